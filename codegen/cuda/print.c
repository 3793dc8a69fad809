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

/* Room and state of a kernel as the dims say: for those whose sizes the compiler does not know. */
static void print_sizes(const cuda_kernel *k, uint32_t n, buf *out)
{
    buf_puts(out, "MP_KERNEL(32) mp_sizes(const mp_sizes_args A)\n{\nconst mp_i64 *const d = A.dim;\n(void)d;\nswitch (A.kernel) {\n");
    for (uint32_t i = 0; i < n; i++)
        buf_printf(out, "case %u: A.out[0] = %s; A.out[1] = %s; break;\n", i, k[i].room_bytes, k[i].state_bytes);
    buf_puts(out, "}\n}\n");
}

void cuda_print_module(arena *mem, const kplan *const *plans, uint32_t n_plans, const cuda_options *o, buf *out,
                       cuda_kernel **kernels, uint32_t *n_kernels)
{
    cuda_print(mem, plans, n_plans, o, out, kernels, n_kernels);
    buf_puts(out, "#line 1 \"runtime\"\n");
    buf_puts(out, cuda_runtime_text());
    print_sizes(*kernels, *n_kernels, out);
}
