/* IR to IR: what a layer computes, with less work.
 *
 * Passes are the rows of passes.def, in that order. Each gives an equal layer (language.md's rules for
 * numbers: sums may be reassociated, NaN and infinity are honoured, and a factor that leaves an aggregate
 * never makes something that is not a number where a group is empty). Running them all again, after
 * differentiation, is meant to be done and gives the same when there is nothing left to win.
 *
 * Choices by size take dims that are known (constants after -D) as they are and the others at typical
 * values, `pass_options.dim_value` first; each is recorded with its costs, so that a caller who learns the
 * dims later can run the passes again with them.
 */
#ifndef MPC_PASSES_PASSES_H
#define MPC_PASSES_PASSES_H

#include "compiler/ir/ir.h"

typedef struct pass_options {
    /* there will be no training pass: `training` is false, dropout the identity */
    bool inference;
    bool verify;                /* check the layer after each pass */
    const char *stop_after;     /* name of a pass, or NULL */
    dim_lookup *dim_value;      /* values that symbols have or are likely to have; may be NULL */
    void *ud;
    /* of a typical graph; 0: 100,000 nodes, 16 edges a node, 64 graphs */
    double nodes, degree, graphs;
    /* Called after each pass with the layer as it is then: for --emit=ir@after:pass. May be NULL. */
    void (*after)(void *ud, const char *pass, const ir_layer *l);
} pass_options;

/* How often a rule fired. */
typedef struct pass_count { const char *pass, *rule; uint32_t n; } pass_count;

/* An order of work that was chosen by size. Costs in nanoseconds at the sizes assumed. */
typedef struct pass_choice {
    const char *pass, *what;    /* "product before the sum" */
    span where;
    str name;                   /* of the value, or NULL */
    bool taken;                 /* otherwise it stayed as written */
    bool by_default;            /* dims are open: at other sizes the other order may be better */
    double cost, other;         /* of what was chosen, of what was not */
} pass_choice;

/* What a layer costs, once through, at the sizes assumed. */
typedef struct pass_cost { double flops, bytes, ns; } pass_cost;

typedef struct pass_stats {
    pass_count *counts;   uint32_t n_counts, cap_counts;
    pass_choice *choices; uint32_t n_choices, cap_choices;
    pass_cost before, after;
    const char *broken;         /* text of the verifier, with the name of the pass; NULL: sound */
} pass_stats;

/* The layer after the passes, in `mem`; `from` stays as it is. When the verifier objects, stats->broken says
 * what and the layer before the pass in question is returned. `stats` is zero-initialised by the caller. */
ir_layer *passes_run(const ir_layer *from, arena *mem, const pass_options *options, pass_stats *stats);

/* For explain: what was done, in lines. */
void passes_report(const pass_stats *stats, buf *out);

#endif
