/* One kernel of a plan to its functions in CUDA C: see print.h. */
#ifndef MPC_CODEGEN_CUDA_KERNEL_H
#define MPC_CODEGEN_CUDA_KERNEL_H

#include "codegen/cuda/print.h"

/* Writes the functions of kernel number `kernel` of the plan, which is `number` in the module. */
cuda_kernel cuda_kernel_print(arena *mem, const kplan *p, uint32_t kernel, uint32_t number, const cuda_options *o, buf *out);

#endif
