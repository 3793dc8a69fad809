/* Walking a layer and building it anew: what passes are made of.
 *
 *     static ir_val rule(void *ud, ir_copier *c, ir_val old, const ir_val *args)
 *     {
 *         const ir_node *n = ir_at(c->from, old);      // args: the new values of n->args
 *         if (…) return ir_mul(c->to, …);              // rewritten
 *         return (ir_val){0};                          // as it was, on the new operands
 *     }
 *     ir_layer *after = ir_rebuild(before, mem, rule, &my);
 *
 * The layer that is read is not changed. All goes through the constructors, so simplifications fire again.
 */
#ifndef MPC_IR_COPY_H
#define MPC_IR_COPY_H

#include "compiler/ir/build.h"

/* What outputs need, and nothing else. */
typedef struct ir_live {
    ir_val *order;          /* operands first; a state after its init; a final after all of its loop; a value of
                               a pair domain after the domain's map */
    uint32_t n;
    uint8_t *value;         /* by value: 1 if in `order` */
    uint8_t **state;        /* by loop and state: 1 if its values matter */
    uint8_t *loop;          /* by loop: 1 if a state of it matters */
} ir_live;

ir_live ir_find_live(const ir_layer *l, arena *mem);

/* For each value how often it is used by live values, loops (init, next, tolerance) and outputs. */
uint32_t *ir_uses(const ir_layer *l, const ir_live *live, arena *mem);

typedef struct ir_copier ir_copier;
typedef ir_val ir_rewrite(void *ud, ir_copier *c, ir_val old, const ir_val *args);

struct ir_copier {
    const ir_layer *from;
    ir_layer *to;
    ir_live live;           /* of `from` */
    ir_val *memo;           /* by old value: the new one, once it is made */
    uint32_t *loops;        /* by old loop: 1 + the new one, once begun */
    uint8_t *ended;         /* by old loop */
    ir_rewrite *rewrite;    /* may be NULL */
    void *ud;
};

ir_dom ir_copy_dom(ir_copier *c, ir_dom old);
uint32_t ir_copy_loop(ir_copier *c, uint32_t old);     /* the loop in the new layer, begun */

/* The layer anew, in `mem`, with the same inputs, statics, needs and outputs. The rule is asked about every
 * value but states and steps. What no output needs is left behind; so are values that only the rewriting
 * made and did not use, if the result is compacted. */
ir_layer *ir_rebuild(const ir_layer *from, arena *mem, ir_rewrite *rewrite, void *ud);
ir_layer *ir_compact(const ir_layer *from, arena *mem);

/* The step of a loop once more, in the step of another loop of the same layer: values of the first loop's region and of
 * loops inside of it are made again, others stand for themselves. `memo` is by value, of those that were there at the
 * beginning: what it becomes, or none as long as it has not been made. The caller sets it for the states of the loop
 * and what else is special to it (its steps, what it recalls) before anything is made. */
typedef struct ir_cloner {
    ir_copier copy;
    uint32_t region, n;
    arena *work;
} ir_cloner;

ir_cloner *ir_cloner_new(ir_layer *l, arena *work, uint32_t loop, uint32_t into);
ir_val ir_clone(ir_cloner *c, ir_val v);

#endif
