/*
 * A tape: what one training pass keeps for its backward. One allocation holds the saved values and, where the caller's
 * tensors cannot be read later, outputs that the backward reads; beside it stand the seed, the graph, the steps that
 * loops took, and the tensors that were bound, so that the layer may be bound and called again before the backward.
 *
 * A layer knows its tapes. One that was destroyed rests with the layer and is used again.
 */
#ifndef RUNTIME_TAPE_H
#define RUNTIME_TAPE_H

#include "runtime/prepare.h"

enum { TAPES_AT_REST = 4 };         /* so many are kept */

struct mp_tape {
    mp_context *ctx;
    mp_layer *layer;                /* NULL: it has gone */
    mp_tape *next;                  /* of the layer's */
    bool at_rest, filled;
    mp_graph *graph;
    const desc_layer *desc;         /* of the code that filled it */
    uint64_t seed;
    bool no_dropout;
    char *memory;
    size_t bytes;
    uint32_t n_inputs, n_outputs, n_saved, n_loops;
    binding *inputs, *outputs;      /* as they were bound */
    size_t *kept_at;                /* by output: its place in the tape; SIZE_MAX: not there */
    bind_count bound;
    size_t state_memory;            /* the layer's */
    size_t *saved_at, *saved_bytes; /* by saved value */
    int64_t *steps;                 /* by loop of the training program: those it took */
};

#endif
