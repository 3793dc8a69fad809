/*
 * A layer with its bound tensors, and what is prepared for the graph it last ran on. Belongs to one thread at a time.
 *
 * Binding keeps the caller's tensors (floats) or checked copies (index, bool). What follows from shapes, types and the
 * graph is in `prepared` (prepare.h), one for each program, which is thrown away when a bind or another graph contradicts
 * it. Whether one does is told by numbers that grow with each bind: what is prepared remembers those it was made at.
 */
#ifndef RUNTIME_LAYER_H
#define RUNTIME_LAYER_H

#include "runtime/context.h"
#include "runtime/dims.h"
#include "runtime/module.h"
#include "runtime/tensor.h"

typedef struct prepared prepared;

/* A tensor of the caller's. */
typedef struct binding {
    bool bound, compact;
    unsigned flags;
    tensor_type type;               /* uint8 counts as bool */
    DLTensor t;                     /* shape and strides are the arrays below */
    int64_t shape[TENSOR_MAX_RANK], strides[TENSOR_MAX_RANK];
    void *copy;                     /* index: int32, bool: bytes of 0 or 1; compact, in the caller's order */
    size_t copy_bytes;
    int64_t *holders;               /* of the copy, before which it stands: the layer and tapes */
    int64_t greatest;               /* of an index: its largest element, -1 for none */
} binding;

/* An output's memory when none is bound, and its shape for mp_output. */
typedef struct own_output {
    void *data;
    size_t bytes;
    int64_t shape[TENSOR_MAX_RANK];
} own_output;

/* How often something was bound: in another form (shape, type, flags), or to other memory alone. */
typedef struct bind_count { uint64_t forms, places; } bind_count;

enum { STATE_MEMORY = 1 << 30 };    /* where nothing else was said */

struct mp_layer {
    mp_context *ctx;
    mp_module *mod;
    uint32_t number;                /* in mod->desc->layers */
    const desc_layer *desc;
    dim_values given;               /* by mp_layer_create */
    dim_values values;              /* given and by shapes; spare: for trying out a bind */
    dim_values spare;
    bool *was_given;               /* [n_statics]: dims too */
    double *reals;                  /* [n_statics]: settled values */
    int64_t *plain_dims;            /* [n_statics]: dims that occur in no shape: what was given, or 0 */
    dim_shape *shapes;              /* room for all inputs and outputs */
    binding *inputs, *outputs;
    binding *gradients, *cotangents;        /* by input, by output */
    own_output *own;                /* by output */
    bind_count bound, bound_grads;  /* of inputs and outputs, of gradients and cotangents */
    bool no_dropout;                /* in passes of training, too: `training` is false there */
    bool ran;                       /* a forward has succeeded since the outputs' shapes last changed: */
    desc_program_kind last;         /* this one */
    prepared *prepared[DESC_PROGRAM_KINDS];
    size_t state_memory;            /* more than this, and not all states of loops are kept */
    void *workspace;                /* the caller's, or NULL */
    size_t workspace_bytes;
    void *own_workspace;            /* where the caller gave none; of the programs in turn */
    size_t own_bytes;
    mp_tape *tapes;                 /* all of them, those at rest too */
    const mp_tape *running;         /* in a backward: its tape, whose tensors are in `inputs` and `outputs` */
};

/* The shapes of all that is bound, into layer->shapes; `except` (may be NULL) is left out. */
uint32_t layer_shapes(mp_layer *layer, const binding *except);

/* "GAT: MESSAGE". */
#define layer_error(layer, status, ...) layer_error_set((layer), (status), __VA_ARGS__)
mp_status layer_error_set(mp_layer *layer, mp_status status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The name in `names` that looks most like `name`, or NULL when none does. */
const char *nearest_name(const char *name, const char *(*names)(const void *ud, uint32_t i), const void *ud, uint32_t n);

/* An input (role MP_INPUT or MP_PARAM) or output by name; the error proposes one. */
mp_status layer_find(mp_layer *layer, const char *name, mp_role *role, uint32_t *number);

/* layout.c: the most workspace that any of the programs needs which are prepared. */
size_t layer_workspace(const mp_layer *layer);
/* prepare_code.c: is there code for training, or can it be made? Otherwise an error. */
mp_status layer_trains(mp_layer *layer);

/* The layer and graph of a call: neither is NULL, both are of one context. */
mp_status layer_check_call(mp_layer *layer, const mp_graph *g, const char *call);
/* Is any gradient bound? */
bool layer_has_gradients(const mp_layer *layer);

/* tape.c: the tapes of a layer that goes. */
void tapes_leave(mp_layer *layer);

void binding_drop(mp_context *ctx, binding *b);
/* The same tensor and copy in another place. */
void binding_share(mp_context *ctx, binding *to, const binding *from);
/* Room for a copy of so many bytes, held once. False: no memory. */
bool binding_copy_room(mp_context *ctx, binding *b, size_t bytes);

#endif
