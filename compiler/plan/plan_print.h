/* Plans as text, for people: buffers, kernels as nested loops, steps. */
#ifndef MPC_PLAN_PRINT_H
#define MPC_PLAN_PRINT_H

#include "compiler/plan/kernel.h"
#include "compiler/support/buf.h"

void plan_print(const kplan *p, buf *out);
void plan_print_kernel(const kplan *p, uint32_t kernel, buf *out);
void plan_print_expr(const kplan *p, const kkernel *k, kx x, buf *out);     /* k may be NULL */

#endif
