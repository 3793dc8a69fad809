/* The whole text: what all kernels share (prelude.cuh), then the kernels. See print.h. */
#include "codegen/cuda/print.h"

#include <string.h>

#include "codegen/cuda/blas.h"
#include "codegen/cuda/kernel.h"
#include "codegen/cuda/prelude.h"

/* The kernel's stand-ins, behind all others in the list. */
static void print_split(arena *mem, const kplan *p, uint32_t kernel, const cuda_options *o, buf *out, cuda_kernels *list, cuda_kernel *main)
{
    blas_split *s = NEW(mem, blas_split);
    if (!blas_split_kernel(mem, p, kernel, s))
        return;
    const kkernel *part[] = {s->before, s->after};
    uint32_t *to[] = {&main->before, &main->after};
    for (int i = 0; i < 2; i++) {
        if (!part[i])
            continue;
        *to[i] = list->n;
        list->at[list->n] = cuda_kernel_print(mem, s->plan, kernel, part[i], s->n_buffers, list->n, o, out);
        list->n++;
    }
    main->products = s->products;
    main->n_products = s->n_products;
    main->own = s->own;
    main->n_own = s->n_own;
}

void cuda_print(arena *mem, const kplan *const *plans, uint32_t n_plans, const cuda_options *o, buf *out, cuda_kernels *kernels)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < n_plans; i++)
        n += plans[i]->n_kernels;
    cuda_kernels list = {.at = NEW_N(mem, cuda_kernel, 3 * n + 1)};
    buf_puts(out, cuda_prelude());
    for (uint32_t i = 0; i < n_plans; i++)
        for (uint32_t k = 0; k < plans[i]->n_kernels; k++, list.n++)
            list.at[list.n] = cuda_kernel_print(mem, plans[i], k, NULL, plans[i]->n_buffers, list.n, o, out);
    list.n_main = list.n;
    n = 0;
    for (uint32_t i = 0; i < n_plans; i++)
        for (uint32_t k = 0; k < plans[i]->n_kernels; k++)
            print_split(mem, plans[i], k, o, out, &list, &list.at[n++]);
    if (kernels)
        *kernels = list;
}

/* Room and state of a kernel as the dims say: for those whose sizes the compiler does not know. */
static void print_sizes(const cuda_kernel *k, uint32_t n, buf *out)
{
    buf_puts(out, "MP_KERNEL(32) mp_sizes(const mp_sizes_args A)\n{\nconst mp_i64 *const d = A.dim;\n(void)d;\nswitch (A.kernel) {\n");
    for (uint32_t i = 0; i < n; i++)
        buf_printf(out, "case %u: A.out[0] = %s; A.out[1] = %s; break;\n", i, k[i].room_bytes, k[i].state_bytes);
    buf_puts(out, "}\n}\n");
}

static bool builds_pairs(const kplan *p)
{
    for (uint32_t i = 0; i < p->n_steps; i++)
        if (p->steps[i].kind == STEP_PAIRS && !p->steps[i].at_prepare)
            return true;
    return false;
}

void cuda_print_module(arena *mem, const kplan *const *plans, uint32_t n_plans, const cuda_options *o, buf *out, cuda_kernels *kernels)
{
    cuda_print(mem, plans, n_plans, o, out, kernels);
    buf_puts(out, "#line 1 \"runtime\"\n");
    buf_puts(out, cuda_runtime_text());
    bool pairs = false;
    for (uint32_t i = 0; i < n_plans; i++)
        pairs |= builds_pairs(plans[i]);
    if (pairs)
        buf_puts(out, cuda_pairs_text());
    print_sizes(kernels->at, kernels->n, out);
}
