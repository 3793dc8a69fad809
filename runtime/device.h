/*
 * The GPU of a context: opened when something first needs it, kept until the context goes. All work of a context is put
 * on one stream, the caller's (mp_set_stream), in the order of the calls.
 *
 * "Data" is memory that kernels read and write: of tensors, workspaces, tapes. In a context for the CPU it is the
 * context's own memory, so that what prepares layers asks for data without knowing where it lies.
 */
#ifndef RUNTIME_DEVICE_H
#define RUNTIME_DEVICE_H

#include "runtime/context.h"
#include "runtime/cuda_api.h"

struct device {
    cuda_api api;
    int ordinal, number;            /* as the caller counts, as the driver does */
    int major, minor, multiprocessors;
    int shared_most;                /* bytes that a block may have */
    double flops, bandwidth;        /* of float32 arithmetic, a second; bytes of memory a second: to choose by */
    struct device_blas *blas;       /* device_blas.h; NULL: not yet asked for, or there is none */
    bool blas_asked;
    void *cu;                       /* the primary context */
    void *event;                    /* between one stream and the next */
    bool pools;                     /* memory comes and goes in the order of the stream */
    volatile uint64_t *seen;        /* host memory that kernels write: numbers of loops that have ended */
    _Atomic uint64_t loops;         /* numbers given to loops */
    char name[128];
};

static inline bool context_on_device(const mp_context *ctx)
{
    return ctx->options.device.device_type == kDLCUDA;
}

/* Opens the context's GPU where that has not been done. The message says what is missing. */
mp_status device_open(mp_context *ctx, device **out);
void device_close(mp_context *ctx);

/* For the time of several calls of the driver: its context becomes the thread's, then what was before. They nest. */
void device_enter(mp_context *ctx);
void device_leave(mp_context *ctx);

/* MP_OK, or the message "WHAT: what the driver says" with MP_SYSTEM. */
mp_status device_check(mp_context *ctx, int result, const char *what);

/* All of these are for an open device. Copies and fills are put on the stream; download waits for it. */
mp_status device_upload(mp_context *ctx, void *to, const void *from, size_t bytes);
mp_status device_download(mp_context *ctx, void *to, const void *from, size_t bytes);
mp_status device_copy(mp_context *ctx, void *to, const void *from, size_t bytes);
mp_status device_fill(mp_context *ctx, void *to, int value, size_t bytes);
mp_status device_synchronize(mp_context *ctx);
bool device_is_capturing(mp_context *ctx);

/* `arguments` is one struct, or two. Launches of no blocks are none. */
mp_status device_run(mp_context *ctx, void *function, int64_t blocks, int threads, size_t shared, const void *first, const void *second);

/* ---- data ------------------------------------------------------------------------------------------------------- */

/* Aligned to 64 bytes. The size must be given again at the end; NULL when there is none, without a message. Data counts in
 * mp_device_memory (on the CPU: mp_context_memory). */
void *data_alloc(mp_context *ctx, size_t bytes);
void data_free(mp_context *ctx, void *p, size_t bytes);
mp_status data_zero(mp_context *ctx, void *p, size_t bytes);
/* Between data and memory of the host. */
mp_status data_upload(mp_context *ctx, void *to, const void *from, size_t bytes);
mp_status data_download(mp_context *ctx, void *to, const void *from, size_t bytes);

#endif
