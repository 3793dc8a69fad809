/* Reverse mode on the IR: gradients as values of the same layer.
 *
 * From values and their cotangents (the seeds) to the gradients of the wanted values. Whatever is made here
 * are ordinary values of the IR, made by its constructors: they are folded, hash-consed and fused like all
 * others, and can be differentiated again. Nothing later knows that a value is a gradient.
 *
 * The rules are those of docs/derivatives.md. Each operation has one, named by the column `derivative` of
 * compiler/ir/ops.def.
 *
 *     ir_val dy = ir_input_add(l, "dy", …);                   // of y's domain, type and shape
 *     ir_val wanted[] = {x, W}, grads[2];
 *     derive(l, work, &(derive_seed){y, dy}, 1, wanted, 2, grads);
 *
 * To differentiate an output of a layer: its value as it stands in ir_layer.outputs (of a half type, too). An
 * output whose `rows` are fewer than its value's (a source-side value as destination rows) has a cotangent of
 * those rows: the seed is then (ir_gather(y, map_prefix), dy).
 */
#ifndef MPC_DERIVE_DERIVE_H
#define MPC_DERIVE_DERIVE_H

#include "compiler/ir/build.h"

typedef struct derive_seed {
    ir_val y;               /* a floating value */
    ir_val dy;              /* its cotangent: of y's kind, or one that broadcasts to it; of y's type or the type
                               in which y's is computed */
} derive_seed;

/* grads[k] becomes the gradient of wanted[k], with its domain, type and shape: the sum over all seeds of dy times
 * the derivative of y. It is zeros (a constant, repeated) where no seed depends on it. A value may be wanted that
 * others wanted depend on: each gets all that flows to it. A wanted value is where the walk ends unless it depends
 * on another wanted one, so gradients of definitions are cut off there. In a loop's region its states are leaves:
 * that differentiates within the step. The same seed may stand twice.
 *
 * What is needed on the way is taken from `work`, which the caller may release afterwards; it may be the layer's
 * own arena. A broken precondition goes to the trap of the layer. */
void derive(ir_layer *l, arena *work, const derive_seed *seeds, uint32_t n_seeds, const ir_val *wanted, uint32_t n_wanted,
            ir_val *grads);

/* The same with every wanted value for a leaf: what flows to one does not flow on to another that it depends on. */
void derive_partial(ir_layer *l, arena *work, const derive_seed *seeds, uint32_t n_seeds, const ir_val *wanted,
                    uint32_t n_wanted, ir_val *grads);

#endif
