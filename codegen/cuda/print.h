/* From plans to CUDA C: one source text for all kernels of a module.
 *
 * The text is complete (no header is needed) and is also plain C: with MP_EMULATOR defined it compiles for a host that supplies
 * threads and lanes. Each kernel of a plan becomes `kN_NAME_rows` and, where it walks a fiber, `kN_NAME_piece`
 * (runtime/device_abi.h says what they are given). docs/cuda.md is the design. */
#ifndef MPC_CODEGEN_CUDA_PRINT_H
#define MPC_CODEGEN_CUDA_PRINT_H

#include "compiler/plan/kernel.h"
#include "compiler/support/buf.h"

typedef struct cuda_options {
    const source_set *sources;          /* for #line; NULL: none */
} cuda_options;

/* How a kernel is to be launched. */
typedef struct cuda_kernel {
    const char *rows, *piece;           /* names of the functions; piece NULL: no fiber */
    int threads;                        /* of a block */
    int rows_a_block, pieces_a_block;
    bool any_order;                     /* takes mp_device_launch.order */
    const char *room_bytes, *state_bytes;       /* C expressions over d[], the values of the dims */
} cuda_kernel;

/* Numbers of kernels go over the plans in their order. `kernels` (may be NULL) gets a list in `mem`. */
void cuda_print(arena *mem, const kplan *const *plans, uint32_t n_plans, const cuda_options *o, buf *out,
                cuda_kernel **kernels, uint32_t *n_kernels);

/* The same with what the runtime needs beside the kernels: its own, and `mp_sizes`. */
void cuda_print_module(arena *mem, const kplan *const *plans, uint32_t n_plans, const cuda_options *o, buf *out,
                       cuda_kernel **kernels, uint32_t *n_kernels);

#endif
