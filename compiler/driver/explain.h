/* What the compiler did with a layer, for people: rules that fired and orders that were chosen, kernels and what each
 * computes, what is stored, and bytes, in dims and, where a graph is known, in numbers. */
#ifndef MPC_DRIVER_EXPLAIN_H
#define MPC_DRIVER_EXPLAIN_H

#include "compiler/driver/compile.h"

typedef struct explain_graph { int64_t n_src, n_dst, n_edges, n_graphs; } explain_graph;

/* After compile_plan. `g` may be NULL. */
void explain_layer(const compiled_layer *l, const explain_graph *g, buf *out);

#endif
