/*
 * Calls of cuBLAS: see device_blas.h.
 */
#include "runtime/device_blas.h"

#include <stdio.h>

enum { ALIGN = 256 };
/* What the library's documentation recommends: 32 MiB from Hopper on, 4 MiB before. */
static const size_t LARGE = (size_t)32 << 20, SMALL = (size_t)4 << 20;

static bool make_handle(mp_context *ctx, device_blas *b, char *why, size_t size)
{
    int version = 0;
    if (!cublas_api_open(&b->api, why, size))
        return false;
    device_enter(ctx);
    int result = b->api.create(&b->handle);
    if (!result)
        result = b->api.set_math(b->handle, ctx->options.tf32 ? CUBLAS_MATH_TF32 : CUBLAS_MATH_DEFAULT);
    if (!result)
        b->api.version(b->handle, &version);
    else if (b->handle)
        b->api.destroy(b->handle);
    device_leave(ctx);
    if (result)
        snprintf(why, size, "libcublas does not start: error %d", result);
    else
        context_log(ctx, "cuBLAS %d.%d.%d%s", version / 10000, version / 100 % 100, version % 100, ctx->options.tf32 ? ", with TF32" : "");
    return !result;
}

device_blas *device_blas_open(mp_context *ctx)
{
    device *d = ctx->device;
    char why[160];
    pthread_mutex_lock(&ctx->lock);
    if (!d->blas_asked) {
        d->blas_asked = true;
        device_blas *b = mem_zalloc(ctx, sizeof *b);
        if (b && pthread_mutex_init(&b->lock, NULL)) {
            mem_free(ctx, b, sizeof *b);
            b = NULL;
        }
        if (b && !make_handle(ctx, b, why, sizeof why)) {
            context_log(ctx, "products are done by the layers' own kernels: %s", why);
            pthread_mutex_destroy(&b->lock);
            mem_free(ctx, b, sizeof *b);
            b = NULL;
        }
        d->blas = b;
    }
    pthread_mutex_unlock(&ctx->lock);
    return d->blas;
}

void device_blas_close(mp_context *ctx)
{
    device_blas *b = ctx->device->blas;
    if (!b)
        return;
    b->api.destroy(b->handle);
    pthread_mutex_destroy(&b->lock);
    mem_free(ctx, b, sizeof *b);
    ctx->device->blas = NULL;
}

static size_t workspace_bytes(const mp_context *ctx)
{
    return ctx->device->major >= 9 ? LARGE : SMALL;
}

size_t device_blas_workspace(const mp_context *ctx)
{
    return workspace_bytes(ctx) + ALIGN;
}

/* To set the stream takes the workspace away. */
static int place(mp_context *ctx, device_blas *b, void *workspace)
{
    int result = 0;
    if (b->stream != ctx->stream || !b->workspace) {
        result = b->api.set_stream(b->handle, ctx->stream);
        b->stream = ctx->stream;
        b->workspace = NULL;
    }
    if (!result && b->workspace != workspace) {
        result = b->api.set_workspace(b->handle, workspace, workspace_bytes(ctx));
        b->workspace = result ? NULL : workspace;
    }
    return result;
}

static int run_one(const device_blas *b, const blas_gemm *g)
{
    const float alpha = 1, beta = g->accumulate;
    const double alpha64 = 1, beta64 = g->accumulate;
    const void *one = g->wide ? (const void *)&alpha64 : &alpha, *add = g->wide ? (const void *)&beta64 : &beta;
    int type = g->wide ? CUBLAS_F64 : CUBLAS_F32, compute = g->wide ? CUBLAS_COMPUTE_F64 : CUBLAS_COMPUTE_F32;
    if (g->batch == 1)
        return b->api.gemm(b->handle, g->ta, g->tb, g->m, g->n, g->k, one, g->a, type, g->lda, g->b, type, g->ldb, add, g->c, type, g->ldc, compute,
                           CUBLAS_ALGORITHM_DEFAULT);
    return b->api.gemm_batched(b->handle, g->ta, g->tb, g->m, g->n, g->k, one, g->a, type, g->lda, g->a_apart, g->b, type, g->ldb, g->b_apart, add,
                               g->c, type, g->ldc, g->c_apart, g->batch, compute, CUBLAS_ALGORITHM_DEFAULT);
}

mp_status device_blas_run(mp_context *ctx, const blas_gemm *list, uint32_t n, void *workspace)
{
    device_blas *b = ctx->device->blas;
    void *at = (void *)(((uintptr_t)workspace + ALIGN - 1) / ALIGN * ALIGN);
    pthread_mutex_lock(&b->lock);
    int result = place(ctx, b, at);
    for (uint32_t i = 0; i < n && !result; i++)
        result = run_one(b, &list[i]);
    pthread_mutex_unlock(&b->lock);
    return result ? error_set(ctx, MP_SYSTEM, "a product by cuBLAS: error %d", result) : MP_OK;
}
