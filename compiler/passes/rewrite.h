/* Rewriting a layer by rules until none applies: what every pass runs on.
 *
 * A sweep builds the layer anew, operands first. Each value is made on its new operands by the
 * constructors and shown to the rules; a rule returns it as it is, or another value of the layer that is
 * equal to it (up to what constructors may do: a value of the unit domain where all members hold the
 * same). Sweeps follow until none rewrites. Between them the layer lives in scratch memory. */
#ifndef MPC_PASSES_REWRITE_H
#define MPC_PASSES_REWRITE_H

#include "compiler/ir/build.h"
#include "compiler/passes/cost.h"
#include "compiler/passes/passes.h"
#include "compiler/support/vec.h"

typedef struct rewriter {
    ir_layer *l;                /* the layer that is being built */
    const pass_options *options;
    pass_stats *stats;
    const char *pass;
    cost_model model;           /* of l */
    arena *mem;                 /* for stats */
    arena *scratch[2];          /* layers of sweeps, in turn */
    arena *between;             /* a layer between two runs of a pass */
    arena *candidates[2];       /* layers of the search, in turn: the best so far and the next to be tried */
    arena *work;                /* what a sweep needs to know */
    struct order_memo *orders;  /* of products, found before */
    uint32_t *uses;             /* by value of l: users it had before the sweep; see rw_uses */
    uint32_t n_uses, cap_uses;
    uint32_t fired;             /* rules that applied in this run */
    bool quiet;                 /* count nothing: a candidate is tried */
    struct rewrite_site *site;  /* to be rewritten in the first sweep, or NULL */
} rewriter;

typedef ir_val rewrite_rule(rewriter *r, ir_val v);
typedef struct rewrite {
    const char *name;
    rewrite_rule *apply;
    bool late;                  /* only where no other rule applies to any value */
} rewrite;

/* A single rewriting of a single value: tried once, in the first sweep. */
typedef struct rewrite_site {
    ir_val at;                  /* value of the layer before */
    ir_val (*apply)(rewriter *r, ir_val v);
    bool applied;
} rewrite_site;

/* The rules to the end, `from` untouched; the result in `mem`. */
ir_layer *rewrite_run(rewriter *r, const ir_layer *from, arena *mem, const rewrite *rules, uint32_t n_rules);
/* The same with one rewriting first. NULL when that one returned its value unchanged. */
ir_layer *rewrite_try(rewriter *r, const ir_layer *from, arena *mem, rewrite_site *site,
                      const rewrite *rules, uint32_t n_rules);

/* How many users a value has; one for a value that the sweep has just made. */
uint32_t rw_uses(const rewriter *r, ir_val v);

#endif
