/* The rules of the passes, by subject. A rule returns the value it was given, or an equal one. */
#ifndef MPC_PASSES_RULES_H
#define MPC_PASSES_RULES_H

#include "compiler/passes/rewrite.h"

/* simplify.c: algebra on numbers */
/* training is false, dropout the identity, when that is known */
ir_val rule_inference(rewriter *r, ir_val v);
ir_val rule_where(rewriter *r, ir_val v);
ir_val rule_constants(rewriter *r, ir_val v);       /* (x * 2) * 3, x / 4, ... */
ir_val rule_factor(rewriter *r, ir_val v);          /* x @ A + x @ B */

/* simplify_shape.c: shapes, axis sums, contractions */
ir_val rule_slice(rewriter *r, ir_val v);
ir_val rule_concat(rewriter *r, ir_val v);
ir_val rule_reshape(rewriter *r, ir_val v);
ir_val rule_leading_ones(rewriter *r, ir_val v);
/* sum of a product as a contraction, of what is repeated as a product */
ir_val rule_axis_sum(rewriter *r, ir_val v);
/* axes of 1, repeated or transposed operands of a contraction */
ir_val rule_contract(rewriter *r, ir_val v);

/* hoist.c: what can be computed where there are fewer rows */
ir_val rule_hoist(rewriter *r, ir_val v);
ir_val rule_index_of_node(rewriter *r, ir_val v);   /* W[type of src] is a value of src */
ir_val rule_prefix(rewriter *r, ir_val v);          /* what only destinations read of a source-side value */
ir_val rule_sum_by_rows(rewriter *r, ir_val v);     /* derivatives by what edges share, by way of the rows */

/* linear.c: sums of terms with different maps */
ir_val rule_group_terms(rewriter *r, ir_val v);
ir_val rule_split(rewriter *r, ir_val v);           /* concat, sum or scaled rows into a contraction */

/* leave.c: what leaves an aggregate */
ir_val rule_leave_sum(rewriter *r, ir_val v);
ir_val rule_leave_extreme(rewriter *r, ir_val v);
ir_val rule_leave_var(rewriter *r, ir_val v);
ir_val rule_leave_softmax(rewriter *r, ir_val v);
ir_val rule_mean(rewriter *r, ir_val v);

/* product.c: products, contractions and one sum over members, in the cheapest order */
ir_val rule_product(rewriter *r, ir_val v);

/* relation.c: views by relation */
ir_val rule_spread(rewriter *r, ir_val v);

/* attention.c */
ir_val rule_softsum(rewriter *r, ir_val v);
ir_val rule_softmax(rewriter *r, ir_val v);

/* The passes of passes.def: the layer after it, in `mem`. */
#define PASS(name, function, why) ir_layer *function(rewriter *r, const ir_layer *from, arena *mem);
#include "compiler/passes/passes.def"
#undef PASS

/* The rules of simplify and hoist together, which normalise a layer before its cost is taken. */
extern const rewrite rules_simplify[];
extern const uint32_t n_rules_simplify;
extern const rewrite rules_hoist[];
extern const uint32_t n_rules_hoist;

#endif
