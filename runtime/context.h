/*
 * The context: options, threads, counted memory, messages, and a count of holders. Objects made in a context hold it,
 * so that it goes with the last of them.
 */
#ifndef RUNTIME_CONTEXT_H
#define RUNTIME_CONTEXT_H

#include <pthread.h>
#include <stdatomic.h>
#include "mp.h"
#include "runtime/error.h"
#include "runtime/thread.h"

typedef struct device device;        /* device.h */

struct mp_context {
    mp_context_options options;     /* copied; fields of a newer header that the caller lacks are zero */
    pool *pool;
    error_list *errors;
    _Atomic uint64_t bytes_now, bytes_peak;
    _Atomic int64_t holders;
    pthread_mutex_t lock;           /* guards the opening of the device */
    device *device;                 /* NULL: for the CPU, or nothing has needed it yet */
    void *stream;                   /* of the device */
    _Atomic uint64_t device_now, device_peak;
};

void context_retain(mp_context *ctx);
void context_release(mp_context *ctx);

/* Memory of the context's allocator, counted, aligned to 64 bytes (large blocks to a huge page). The size must be
 * given again at the end. 0 bytes give a pointer that may not be read; mem_free of NULL does nothing. Safe from any
 * thread. NULL when there is no memory; no message is set. */
enum { MEM_ALIGN = 64 };
void *mem_alloc(mp_context *ctx, size_t bytes);
void *mem_zalloc(mp_context *ctx, size_t bytes);
void *mem_resize(mp_context *ctx, void *p, size_t old_bytes, size_t new_bytes);   /* on failure p stays */
void mem_free(mp_context *ctx, void *p, size_t bytes);

/* count * size, or false when it overflows or exceeds PTRDIFF_MAX. Negative counts are refused. */
_Bool mem_size(int64_t count, size_t size, size_t *bytes);
/* An array of n elements, checked; sets the message ("out of memory: ... for WHAT") and returns NULL on failure. */
void *mem_array(mp_context *ctx, int64_t n, size_t size, const char *what);
void *mem_zeros(mp_context *ctx, int64_t n, size_t size, const char *what);     /* the same, all zero */
void mem_array_free(mp_context *ctx, void *p, int64_t n, size_t size);

/* Cores that the process may run on (its affinity mask and, where set, the control group's quota); at least 1. */
int context_cores(void);

void context_log(mp_context *ctx, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
