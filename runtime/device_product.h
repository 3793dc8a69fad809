/*
 * Products that cuBLAS does in the place of a kernel's own: chosen by prepare, put on the stream by a call.
 */
#ifndef RUNTIME_DEVICE_PRODUCT_H
#define RUNTIME_DEVICE_PRODUCT_H

#include "runtime/device_blas.h"
#include "runtime/device_program.h"

/* Where an operand is: in a buffer of the program, or in the launch's own memory. */
typedef struct device_place { bool is_own; uint32_t id; size_t bytes; } device_place;

struct device_gemm {
    blas_gemm call;                             /* without places */
    device_place first, second, result;
};

/* l->products and the rest of what stands for them; none where they are not worth it, or there is no cuBLAS. */
mp_status device_products_make(mp_layer *layer, prepared *p, uint32_t kernel, int64_t n_rows, int64_t n_members, device_launch *l);
void device_products_free(mp_context *ctx, device_launch *l);
/* `own`: the launch's own memory, and behind it that of cuBLAS. */
mp_status device_products_run(mp_context *ctx, const prepared *p, const device_launch *l, char *own);

#endif
