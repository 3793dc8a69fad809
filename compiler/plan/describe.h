/*
 * From plans to the description that the runtime reads (runtime/description.h): names, shapes and initialisers for the
 * user, and for each plan its buffers, kernels and steps.
 *
 * Kernels are numbered over all layers and their plans (forward, train, backward), in the order given: that is the order of
 * the entry points in mp_module_v1.kernels.
 */
#ifndef MPC_PLAN_DESCRIBE_H
#define MPC_PLAN_DESCRIBE_H

#include "compiler/plan/kernel.h"

/* What an input or output of a plan's layer is to the runtime, where it is not the layer's own of the same number. */
typedef struct describe_role { mp_buffer_kind kind; uint32_t index; } describe_role;
typedef struct describe_program {
    const kplan *plan;                  /* or NULL */
    const describe_role *inputs, *outputs;
} describe_program;

typedef struct describe_layer {
    const ir_layer *layer;              /* as it was before the passes: names, inputs, outputs, conditions on the dims */
    const kplan *forward;               /* its dims are of forward->layer, which may be another ir_layer of the same
                                           inputs, outputs and dim table. NULL: none */
    describe_program train, backward;   /* both or neither */
    uint32_t n_saved;                   /* values that the one leaves for the other */
    const bool *wanted;                 /* by input: has a gradient; NULL: none has */
} describe_layer;

/* The bytes in arena `a`. NULL, with *why set to a text, when a plan does not hold together (an internal error). */
const void *describe_module(arena *a, const describe_layer *layers, uint32_t n_layers, size_t *n_bytes, const char **why);

/* How many copies of a local its kernel keeps: the rows of the tile, the members of a block, or 1. Scratch holds
 * all locals from number 1 on, in order, each at a multiple of DESC_LOCAL_ALIGN bytes with room for its copies one after
 * the other; the state of a piece holds one copy of each accumulator in the same way. */
uint32_t describe_copies(const kkernel *k, uint32_t local);

#endif
