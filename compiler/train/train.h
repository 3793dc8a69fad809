/* From a layer to its two programs of training.
 *
 *     forward IR -> joint IR (outputs and gradients) -> passes -> cut -> train IR, backward IR
 *
 * The joint layer is the forward's with an input more for the cotangent of each floating output, and an output more for
 * each gradient. After the passes it is cut: what does not depend on a cotangent is the
 * forward's, and those of its values that gradients read are saved by the train layer, or computed again by the backward
 * layer from what is saved or bound anyway. docs/derivatives.md, section 3, has the rule.
 */
#ifndef MPC_TRAIN_TRAIN_H
#define MPC_TRAIN_TRAIN_H

#include "compiler/passes/passes.h"

/* What an input or output of a layer of training is outside of it. */
typedef enum train_kind { TRAIN_INPUT, TRAIN_OUTPUT, TRAIN_SAVED, TRAIN_COTANGENT, TRAIN_GRADIENT } train_kind;
typedef struct train_role {
    train_kind kind;
    uint32_t index;             /* of the forward's input (INPUT, GRADIENT) or output (OUTPUT, COTANGENT); of the saved value */
} train_role;

/* What became of a value that gradients read: for explain. */
typedef struct train_choice {
    str name;                   /* of the value, or of its operation */
    const char *op;
    str rows;                   /* its domain: "edge", "dst", ... */
    span where;
    bool saved, is_output;      /* saved; read from the caller's output instead */
    double bytes, ns;           /* of keeping it; of computing it again from what is kept */
} train_choice;

typedef struct train_layers {
    ir_layer *joint;
    ir_layer *train;            /* outputs as the forward's, then the saved values */
    ir_layer *backward;         /* inputs as the forward's, then cotangents and what is read of the train layer; outputs are
                                   the gradients */
    train_role *train_outputs, *backward_inputs, *backward_outputs;
    train_role *train_inputs;   /* the joint's: cotangents are not read */
    uint32_t n_saved;
    train_choice *choices; uint32_t n_choices;
    pass_stats stats;           /* of the passes over the joint layer */
} train_layers;

/* `forward` after passes for training (options->inference false), with a trap set. wanted: by input, floating ones only.
 * Everything in `mem`. When the passes broke the layer, stats.broken says so and there are no layers. */
train_layers *train_build(const ir_layer *forward, arena *mem, const bool *wanted, const pass_options *options);

/* Does the layer have an input that may be wanted? */
bool train_differentiable(const ir_layer *l, ir_val v);

/* ---- for the files of this folder ------------------------------------------------------------------------------- */

/* The joint layer before its passes; *n_cotangents of its inputs, the last, are those of the outputs, in their order. */
ir_layer *train_joint(const ir_layer *forward, arena *mem, const bool *wanted, uint32_t *n_cotangents);

/* Cuts t->joint. The forward has n_inputs and n_outputs; cotangents follow its inputs, gradients its outputs. */
void train_cut(train_layers *t, arena *mem, const pass_options *options, uint32_t n_inputs, uint32_t n_outputs);

#endif
