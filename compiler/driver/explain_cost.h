/* Work and memory traffic of kernels, counted from the plan for a known graph and known dims; and what the same equations
 * cost when every operation is a pass over memory of its own. */
#ifndef MPC_DRIVER_EXPLAIN_COST_H
#define MPC_DRIVER_EXPLAIN_COST_H

#include "compiler/driver/explain.h"

typedef struct explain_cost { bool known; double flops, bytes; } explain_cost;

/* Rows, or members of the fiber over all rows; -1 where the graph does not tell (pairs: at most the edges). */
double explain_rows(const kplan *p, const explain_graph *g, mp_rows r);
double explain_members(const kplan *p, const explain_graph *g, mp_fiber f);

/* Bytes: what is written once, weights once, rows as often as they are read. */
explain_cost explain_kernel(const kplan *p, const kkernel *k, const explain_graph *g);
/* Every operation of the layer reads its operands and writes its result. */
explain_cost explain_unfused(const ir_layer *l, const explain_graph *g);

#endif
