/* One kernel of a plan to its functions in CUDA C: see print.h. */
#ifndef MPC_CODEGEN_CUDA_KERNEL_H
#define MPC_CODEGEN_CUDA_KERNEL_H

#include "codegen/cuda/print.h"

/* Writes the functions of kernel number `kernel` of the plan, which is `number` in the module; or, in its place, of a part of it
 * (blas.h). Buffers of the plan from n_buffers on are the launch's own memory. */
cuda_kernel cuda_kernel_print(arena *mem, const kplan *p, uint32_t kernel, const kkernel *part, uint32_t n_buffers, uint32_t number,
                              const cuda_options *o, buf *out);

#endif
