/* The oracle: a plain interpreter of the IR in double precision.
 *
 * Every backend is tested against it, so it is written to be seen right: one loop a rule, sums in the
 * order of the members, every value a dense array (all members of its domain, row-major). It checks what
 * it reads: a wrong size, an index out of range or a slice past the end is an error text, never a crash.
 */
#ifndef MPC_IR_INTERP_H
#define MPC_IR_INTERP_H

#include "compiler/ir/ir.h"

typedef struct interp_graph {
    int64_t n_src, n_dst, n_edges;
    const int32_t *src, *dst;           /* of each edge; src < n_src, dst < n_dst */
    bool square;                        /* both sides are the same nodes (n_src == n_dst) */
    int64_t n_graphs;
    const int64_t *graph_ptr;           /* n_graphs + 1 node offsets; NULL: one graph */
    const int64_t *degrees;             /* incoming edges of all n_src nodes; NULL: unknown past n_dst */
} interp_graph;

typedef struct interp_data { const double *at; int64_t n; } interp_data;     /* n: number of elements */

typedef struct interp_call {
    const interp_graph *graph;
    const int64_t *dims;                /* by symbol of the dim table; 0: not bound */
    uint32_t n_dims;
    const double *reals;                /* by index into the layer's statics; those of dims are not read */
    const interp_data *inputs;          /* by index into the layer's inputs; rows of its domain; bools are 0 and 1 */
    bool training;
    uint64_t seed;
    int64_t apart;                      /* of sequences of which not all entries are kept, every so-manyth; 0: all */
    bool round;                         /* round each floating result to its type, and sums at each addition */
    uint64_t chance;                    /* with `round`, unless 0: by chance of this seed, each to one of the two numbers
                                           around it, and for several that read it not to the same (interp_chance.c);
                                           with `exact`, too, as if all were f64 */
    bool exact;                         /* halves are not rounded to their type, either */
    bool poison;                        /* an infinite sum or product is NaN: what is NaN then hangs on infinities,
                                           where the order of work may decide between infinity and NaN */
} interp_call;

typedef struct interp_report {          /* of a loop; of a nested one its last run */
    int64_t steps;
    double change;                      /* greatest |new - old| of the last step; NaN if one was NaN */
} interp_report;

typedef struct interp_array { double *at; int64_t rows, n; } interp_array;

typedef struct interp_result {
    char why[256];                      /* what was wrong, when interp_run returned false */
    interp_array *outputs;              /* by index into the layer's outputs; parts of `values` */
    interp_array *values;               /* by value; at is NULL where not computed. A map: member -> member, -1 none */
    interp_report *loops;               /* by index into the layer's loops */
    uint32_t n_values;
} interp_result;

bool interp_run(const ir_layer *l, const interp_call *call, interp_result *r);
void interp_free(interp_result *r);     /* after a failed run too */

#endif
