/* The whole text: what all kernels share (prelude.cuh), then the kernels. See print.h. */
#include "codegen/cuda/print.h"

#include <string.h>

#include "codegen/cuda/kernel.h"
#include "codegen/cuda/prelude.h"

void cuda_print(arena *mem, const kplan *const *plans, uint32_t n_plans, const cuda_options *o, buf *out, cuda_kernel **kernels,
                uint32_t *n_kernels)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < n_plans; i++)
        n += plans[i]->n_kernels;
    cuda_kernel *list = NEW_N(mem, cuda_kernel, n + 1);
    buf_puts(out, cuda_prelude());
    n = 0;
    for (uint32_t i = 0; i < n_plans; i++)
        for (uint32_t k = 0; k < plans[i]->n_kernels; k++, n++)
            list[n] = cuda_kernel_print(mem, plans[i], k, n, o, out);
    if (kernels)
        *kernels = list;
    if (n_kernels)
        *n_kernels = n;
}
