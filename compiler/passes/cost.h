/* What values cost, at typical sizes: by this the passes compare orders of work.
 *
 * A cost is time in nanoseconds on two threads of a machine as in docs/performance.md: flops over the rate
 * of their kind, bytes over the bandwidth of theirs. It knows what fusion will do only roughly: element-
 * wise work touches no memory, a gather reads its rows (those of the member's own group from cache), what
 * is gathered and is no input was stored before. */
#ifndef MPC_PASSES_COST_H
#define MPC_PASSES_COST_H

#include "compiler/ir/build.h"
#include "compiler/passes/passes.h"

typedef struct cost_model {
    const ir_layer *l;
    const pass_options *options;
    double nodes, degree, graphs;
    /* symbols (bits) that are taken for small: ranges of indices, heads and what a head has */
    uint64_t few;
    bool assumed;               /* set when a dim without a value was taken at its typical one */
} cost_model;

cost_model cost_model_make(const ir_layer *l, const pass_options *options);

/* Nanoseconds. An operation of cost 1 of the table on a number; a flop of a dense product, in a large one
 * and in one by members; a byte read by gathers from elsewhere, from the own row, from a table by index; a
 * byte stored and read again. */
#define COST_EW        (1.0 / 60)
#define COST_GEMM      (1.0 / 300)
#define COST_GEMM_EDGE (1.0 / 230)
#define COST_DOT       (1.0 / 100)
#define COST_FAR       (1.0 / 100)
#define COST_OWN       (1.0 / 1000)
#define COST_TABLE     (1.0 / 400)
#define COST_STREAM    (1.0 / 22)

/* A weight computed from weights, each call, before all else: a kernel, and a flop of it. Dear, so that it
 * pays on graphs thirty times smaller, too. */
#define COST_WEIGHT      200000.0
#define COST_WEIGHT_FLOP (1.0 / 3)

/* Numbers as an element-wise operation pays for them: a vector is the least. */
static inline double cost_lanes(double elems) { return elems < 8 ? 8 : elems; }

double cost_dim(cost_model *m, dim d);
double cost_rows(cost_model *m, ir_dom d);
double cost_elems(cost_model *m, ir_val v);                 /* numbers a member */
double cost_gather_byte(const cost_model *m, ir_val along);
/* Made from nothing but inputs by moving elements: there without being stored. */
bool cost_in_memory(const ir_layer *l, ir_val v);
/* Does gathering along the map leave something to win by computing before it? */
bool cost_fewer_rows(cost_model *m, ir_dom few, ir_dom many);

/* of computing it from its operands, in all steps of its loops */
pass_cost cost_value(cost_model *m, ir_val v);
pass_cost cost_layer(cost_model *m, arena *scratch);        /* of all that the outputs need */

#endif
