/*
 * cuBLAS on the GPU of a context: looked for when the first layer is prepared that has products for it, one handle a context.
 * A layer runs without, too: kernels of its own do the products then.
 *
 * Results are equal from run to run: there is one stream, the workspace is given, and cuBLAS's atomics stay off, as they are.
 * TF32 is used where the context's options ask for it.
 */
#ifndef RUNTIME_DEVICE_BLAS_H
#define RUNTIME_DEVICE_BLAS_H

#include <pthread.h>
#include "runtime/cublas_api.h"
#include "runtime/device.h"

typedef struct device_blas {
    cublas_api api;
    void *handle;
    void *stream, *workspace;       /* as the handle has them */
    pthread_mutex_t lock;           /* several layers use the handle */
} device_blas;

/* C[n, m] (+)= op(B)[n, k] op(A)[k, m], all by rows; or, as cuBLAS says it, by columns: C[m, n] (+)= op(A) op(B). */
typedef struct blas_gemm {
    int ta, tb, m, n, k, lda, ldb, ldc, batch;
    int64_t a_apart, b_apart, c_apart;          /* elements between those of a batch */
    const void *a, *b;
    void *c;
    bool wide, accumulate;          /* f64; to what is there */
} blas_gemm;

/* NULL where there is none. The context's device is open. */
device_blas *device_blas_open(mp_context *ctx);
void device_blas_close(mp_context *ctx);

/* Bytes of the workspace that its products want, with what aligning them takes. */
size_t device_blas_workspace(const mp_context *ctx);
/* Puts the products on the stream, in their order; for an entered device. */
mp_status device_blas_run(mp_context *ctx, const blas_gemm *list, uint32_t n, void *workspace);

#endif
