/* What the files of the interpreter share. Nothing outside of compiler/ir includes this. */
#ifndef MPC_IR_INTERP_INT_H
#define MPC_IR_INTERP_INT_H

#include <setjmp.h>

#include "compiler/ir/copy.h"
#include "compiler/ir/interp.h"

/* A shape with its numbers. */
typedef struct extent { uint32_t rank; int64_t d[IR_MAX_RANK], n; } extent;

/* The pairs of a pair domain, sorted by i, then r. */
typedef struct pair_list { int64_t n, *first, *second; } pair_list;

typedef struct run {
    const ir_layer *l;
    const interp_call *call;
    interp_result *r;
    arena *scratch;
    jmp_buf failed;
    ir_live live;
    pair_list *pairs;           /* by domain */
    int64_t *steps;             /* by loop: the step it is in */
    uint64_t *ran;              /* by loop: the pass over its parent region in which it ran last */
    uint64_t passes;
    struct chance *chance;      /* NULL: rounding is to the nearest, if at all */
    bool leaf;                  /* what is computed is one: not left to chance */
} run;

_Noreturn void run_fail(run *x, ir_val v, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void *run_alloc(run *x, int64_t n, size_t size);        /* zeroed, malloc'ed, freed with run_free or the result */

int64_t run_dim(run *x, ir_val v, dim d);
extent run_extent(run *x, ir_val v);
int64_t run_rows(run *x, ir_dom d);

static inline const ir_node *node_of(const run *x, ir_val v) { return ir_at(x->l, v); }
static inline const interp_array *array_of(const run *x, ir_val v) { return &x->r->values[v.i]; }
static inline ir_val arg_of(const run *x, ir_val v, uint32_t k) { return ir_at(x->l, v)->args[k]; }
/* The row of an operand at a member: that of the unit domain has one for all. */
static inline const double *row_of(const run *x, ir_val v, int64_t member)
{
    const interp_array *a = array_of(x, v);
    return node_of(x, v)->dom.i ? a->at + member * (a->n / a->rows) : a->at;
}

/* A floating result as it is kept: half types always rounded, the others if the call says so. */
double run_keep(const run *x, unsigned type, double value);

/* interp_chance.c: rounding by chance, where the call asks for it. */
typedef struct chance chance;
void chance_open(run *x);
void chance_close(chance *c);
double chance_keep(chance *c, unsigned type, double value);
/* Around the computation of v, the first or the second time: has it read, and be, one or the other of two. */
void chance_begin(run *x, ir_val v, bool second);
void chance_end(run *x);

/* Steps through all indices below d, last axis fastest; false after the last. */
bool step_index(int64_t *index, const int64_t *d, uint32_t rank);

/* One function a class. `out` has room for rows * extent, zeroed. */
void run_reduce(run *x, ir_val v, const extent *e, double *out, int64_t rows);
void run_einsum(run *x, ir_val v, const extent *e, double *out, int64_t rows);
void run_shape(run *x, ir_val v, const extent *e, double *out, int64_t rows);
void run_gather(run *x, ir_val v, double *out, int64_t rows);
void run_agg(run *x, ir_val v, double *out, int64_t rows);
void run_softmax(run *x, ir_val v, double *out, int64_t rows);
void run_position(run *x, ir_val v, double *out, int64_t rows);
void run_count(run *x, ir_val v, double *out);
void run_map(run *x, ir_val v, double *out, int64_t rows);

#endif
