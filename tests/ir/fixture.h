/* What the tests of the IR share: a layer with its tables, small graphs, inputs filled at random, a call of
 * the interpreter, comparison. */
#ifndef MPC_TESTS_IR_FIXTURE_H
#define MPC_TESTS_IR_FIXTURE_H

#include "compiler/ir/build.h"
#include "compiler/ir/copy.h"
#include "compiler/ir/interp.h"
#include "compiler/ir/print.h"
#include "compiler/ir/verify.h"
#include "tests/support/check.h"

enum { MAX_INPUTS = 24, MAX_DIMS = 16, MAX_STATICS = 4 };

typedef struct fixture {
    arena *mem;
    dim_table *dims;
    str_table *names;
    ir_layer *l;
    ir_trap trap;
    interp_graph graph;
    int64_t dim_values[MAX_DIMS];
    double reals[MAX_STATICS];
    interp_data inputs[MAX_INPUTS];
    interp_call call;
    interp_result result;
    uint64_t random;
} fixture;

void fixture_open(fixture *f);
void fixture_close(fixture *f);

dim fixture_dim(fixture *f, const char *name, int64_t value);      /* a symbol, bound */
ir_shape shape_of(fixture *f, uint32_t rank, ...);                  /* of dims */
/* Inputs of this kind; values by fixture_fill or fixture_give. */
ir_val fixture_input(fixture *f, const char *name, ir_dom dom, ir_type type, ir_shape shape);
ir_val fixture_index(fixture *f, const char *name, ir_dom dom, dim range, bool none);

/* Edges as "0>1 2>1": nodes by number. Square if n_src == n_dst. */
void fixture_graph(fixture *f, int64_t n_src, int64_t n_dst, const char *edges);
/* A random graph with isolated nodes, self-loops and repeated edges. */
void fixture_random_graph(fixture *f, int64_t n_src, int64_t n_dst, int64_t n_edges);

double fixture_uniform(fixture *f);                                 /* in [-1, 1) */
void fixture_give(fixture *f, ir_val input, const double *values, int64_t n);
double *fixture_fill(fixture *f, ir_val input, int64_t n);          /* at random; returns the values */

void fixture_output(fixture *f, const char *name, ir_val v);
/* Verifies and runs; false, with a message, when either fails. Again frees what was there. */
bool fixture_run(fixture *f);
const double *fixture_out(const fixture *f, uint32_t output);

/* Equal within tol of the greater of 1 and the size; NaN equals NaN. Counts and prints a failure. */
void check_near(const char *file, int line, const double *got, const double *want, int64_t n, double tol);
#define CHECK_NEAR(got, want, n, tol) check_near(__FILE__, __LINE__, (got), (want), (n), (tol))

/* A layer in which every operation occurs, with all inputs filled; f->graph must be square. */
void build_all_ops(fixture *f);

#endif
