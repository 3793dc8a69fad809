/* Questions that several passes ask about values: where they live, what is known of their numbers. */
#ifndef MPC_PASSES_MATCH_H
#define MPC_PASSES_MATCH_H

#include "compiler/passes/rewrite.h"

static inline ir_op op_of(const ir_layer *l, ir_val v) { return (ir_op)l->nodes[v.i].op; }
static inline ir_val arg_of(const ir_layer *l, ir_val v, uint32_t k) { return l->nodes[v.i].args[k]; }
static inline ir_dom dom_of(const ir_layer *l, ir_val v) { return l->nodes[v.i].dom; }
static inline bool is_unit(const ir_layer *l, ir_val v) { return l->nodes[v.i].dom.i == 0; }
static inline bool has_flag(const ir_layer *l, ir_val v, unsigned flag)
{
    return (ir_ops[l->nodes[v.i].op].flags & flag) != 0;
}

/* The value w of the map's codomain, or of the unit domain, with v == gather(w, map); none if v varies
 * within a group. */
ir_val lift(ir_layer *l, ir_val v, ir_val along);
/* Can lift be done? The same without making anything. */
bool lifts(const ir_layer *l, ir_val v, ir_val along);

/* Is every gather along `given` one along `map` of something else? */
bool map_lifts(const ir_layer *l, ir_val given, ir_val along);

/* A map to which gathers along both a and b can be lifted; none if there is none. */
ir_val join_maps(ir_layer *l, ir_val a, ir_val b);

/* Is the value finite (positive and finite) whatever inputs and params are? Real static arguments count as
 * finite. */
bool is_finite(const ir_layer *l, ir_val v);
bool is_positive(const ir_layer *l, ir_val v);

/* a where the map's group has members, 0 (or `other`) where it has none; a itself if `a` says nothing
 * wrong there. */
ir_val where_members(ir_layer *l, ir_val along, ir_val a, double other);

/* w with the shape of v, which it has but for axes of 1 or repetition; in its own domain. */
ir_val as_shape_of(ir_layer *l, ir_val w, ir_val v);

/* The value without its repetitions: what a broadcast repeats. */
ir_val bare(const ir_layer *l, ir_val v);

/* b of a unary op on `a` that keeps the order of numbers and turns none into NaN but NaN. */
bool is_monotone(const ir_layer *l, ir_val v, bool for_least);

#endif
