/* Dense products that a BLAS may do in a kernel's place: docs/cuda.md, "Dense products".
 *
 * A kernel is split into up to three: what works out operands (`before`), the products, and what makes of their results what the
 * kernel makes of them (`after`). The kernel itself stays whole in the module, too: which of the two ways is taken is
 * decided for a graph, where sizes are known. Taken apart are
 *   products of rows   X W of a stored X for all rows of the kernel, whatever it does with the result;
 *   sums of products   X^T G over all rows of a domain: gradients of params. Operands that are worked out by row are stored for it.
 *
 * A result that the kernel only copies into a buffer is made there; others are in memory of the launch ("own"). */
#ifndef MPC_CODEGEN_CUDA_BLAS_H
#define MPC_CODEGEN_CUDA_BLAS_H

#include "codegen/cuda/print.h"

typedef struct blas_split {
    kplan *plan;                        /* a copy, whose buffers from n_buffers on are the launch's own memory */
    uint32_t n_buffers;
    kkernel *before, *after;            /* NULL: nothing to do */
    cuda_product products[CUDA_PRODUCTS];
    uint32_t n_products;
    cuda_own own[CUDA_OWN];
    uint32_t n_own;
} blas_split;

/* False: there is no such product in the kernel. */
bool blas_split_kernel(arena *mem, const kplan *p, uint32_t kernel, blas_split *out);

#endif
