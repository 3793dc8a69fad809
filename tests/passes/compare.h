/* Two layers with the same inputs, run by the interpreter on hard graphs, must agree. */
#ifndef MPC_TESTS_PASSES_COMPARE_H
#define MPC_TESTS_PASSES_COMPARE_H

#include "compiler/ir/ir.h"

/* Graphs without edges, with isolated nodes whose features are not numbers, hubs, repeated edges, self-loops,
 * blocks, batches; several sizes of the dims. What differs is written to out. */
bool compare_layers(const ir_layer *before, const ir_layer *after, buf *out);

#endif
