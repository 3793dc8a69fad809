/* From plans to CUDA C: one source text for all kernels of a module.
 *
 * The text is complete (no header is needed) and is also plain C: with MP_EMULATOR defined it compiles for a host that supplies
 * threads and lanes. Each kernel of a plan becomes `kN_NAME_rows` and, where it walks a fiber, `kN_NAME_piece`
 * (runtime/device_abi.h says what they are given). docs/cuda.md is the design. */
#ifndef MPC_CODEGEN_CUDA_PRINT_H
#define MPC_CODEGEN_CUDA_PRINT_H

#include "compiler/plan/kernel.h"
#include "compiler/support/buf.h"
#include "runtime/device_abi.h"

typedef struct cuda_options {
    const source_set *sources;          /* for #line; NULL: none */
} cuda_options;

enum { CUDA_PRODUCTS = 8, CUDA_OWN = MP_DEVICE_OWN };

/* Memory of a launch that is split: an array of f32 or f64 rows. */
typedef enum cuda_rows { CUDA_ONE_ROW, CUDA_ROWS, CUDA_MEMBERS } cuda_rows;        /* of the kernel, of its one row's members */
typedef struct cuda_own { cuda_rows rows; kdim elems; ktype type; } cuda_own;

/* C (+)= A B for each of the kernel's rows, or, `sum`, C (+)= A^T B over all members: strides and sizes as in kgemm. */
typedef struct cuda_operand { bool is_own; uint32_t id; kdim at; } cuda_operand;   /* a buffer or number of `own`, offset in a row */
typedef struct cuda_product {
    bool sum, accumulate;
    bool transposed;                    /* sum: C is stored [n, m] */
    ktype type;
    cuda_operand a, b, c;
    kdim m, n, k, batch, a_m, a_k, b_k, b_n, a_batch, b_batch, c_batch;
} cuda_product;

/* How a kernel is to be launched. */
typedef struct cuda_kernel {
    const char *rows, *piece;           /* names of the functions; piece NULL: no fiber */
    int threads;                        /* of a block */
    int rows_a_block, pieces_a_block;
    bool any_order;                     /* takes mp_device_launch.order */
    const char *room_bytes, *state_bytes;       /* C expressions over d[], the values of the dims */
    /* In its place, where a BLAS does its products: `before` over all members as rows, the products, `after`. */
    const cuda_product *products;
    uint32_t n_products;
    const cuda_own *own;
    uint32_t n_own;
    uint32_t before, after;             /* numbers in the list, 0: none */
} cuda_kernel;

/* All kernels of the plans in their order, then those that stand in for some of them. */
typedef struct cuda_kernels { cuda_kernel *at; uint32_t n_main, n; } cuda_kernels;

/* `kernels` (may be NULL) gets a list in `mem`. */
void cuda_print(arena *mem, const kplan *const *plans, uint32_t n_plans, const cuda_options *o, buf *out, cuda_kernels *kernels);

/* The same with what the runtime needs beside the kernels: its own, and `mp_sizes`. */
void cuda_print_module(arena *mem, const kplan *const *plans, uint32_t n_plans, const cuda_options *o, buf *out, cuda_kernels *kernels);

#endif
