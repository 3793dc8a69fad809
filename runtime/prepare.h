/*
 * What a layer needs to run on one graph: values of the dims, pointers of the buffers, launches with their cuts, pair
 * structures, copies of tensors that kernels cannot read as they are, and the layout of the workspace. Made by
 * layer_prepare; a call (exec.c) allocates nothing.
 */
#ifndef RUNTIME_PREPARE_H
#define RUNTIME_PREPARE_H

#include "runtime/fiber.h"
#include "runtime/launch.h"
#include "runtime/layer.h"

/* A pair structure; `builder` is kept where the index is computed in the call. */
typedef struct pair_state {
    const desc_pairs *desc;
    pair_index index;
    pair_builder *builder;
    int64_t *by_ptr, *by_order;     /* pairs by index, where something asks for them; [n_indices + 1], [room_pairs] */
    bool by_index;                  /* something asks for them */
    int64_t *member_ptr;            /* members by index, where the base is one row and something asks; [n_indices + 1] */
    bool by_member;
    bool made;                      /* by prepare: index.n_pairs is final */
    const int64_t *base_ptr;        /* the fiber's offsets */
    int64_t whole[2];
    graph_positions place;          /* of a member in the index buffer */
    graph_positions name;           /* of a member in the structure */
    struct device_pairs *device;    /* on a GPU, of one that is built in calls (device_pairs.c) */
    void *on_device[5];             /* on a GPU: rows, indices, members, pairs of members, pairs by index */
    size_t device_bytes[5];
} pair_state;

/* Rows between the edge list's order and the walk order. */
typedef enum row_order { ORDER_AS_IS, ORDER_TO_WALK, ORDER_FROM_WALK, ORDER_TO_OUT /* of the outgoing walk */ } row_order;

/* The way of what the caller bound into a buffer. */
typedef struct feed {
    uint32_t buffer;
    bool constant;                  /* a cotangent that is not bound: filled by prepare */
    bool convert;                   /* type or strides differ: packed first */
    row_order order;
    bool once;                      /* contents never change: done by prepare */
    void *packed, *ordered;
    size_t bytes;                   /* of each */
} feed;

/* The way of an output or a gradient out of a buffer. */
typedef struct drain {
    uint32_t buffer;
    bool convert;                   /* into the caller's tensor, from `ordered` or `staged` */
    bool add;                       /* to what is there */
    row_order order;
    bool overlaps;                  /* the caller's tensor shares memory with another: written at the end */
    void *staged, *ordered;
    size_t bytes;
} drain;

typedef struct loop_state {
    int64_t steps;
    double change;
    int64_t most;                   /* steps that it takes at most */
    uint32_t around;                /* the loop around it, or DESC_NONE */
    int64_t apart, first;           /* of one that runs again: so many steps apart its states are kept; the kept one that it
                                       starts from, -1: it has not run in the steps of the loop around it */
} loop_state;

struct prepared {
    mp_graph *graph;
    desc_program_kind kind;
    bind_count bound, bound_grads;  /* the layer's, as it was made or refreshed */
    const desc_layer *desc;         /* of the code that runs: the layer's, or a specialised one's */
    const desc_program *program;
    const mp_kernel_entry *entries;
    graph_positions eid;            /* walk order -> edge list; set where something is permuted */
    graph_positions out_eid;        /* the same of the outgoing walk */
    int64_t *dim;                   /* by slot */
    double *real;                   /* by static of `desc` */
    int64_t *step;                  /* by loop; then by loop the steps that are left */
    loop_state *loops;
    uint32_t *loop_start, *loop_end;        /* by loop: its STEP_LOOP, its STEP_END */
    int64_t *rows;                  /* by buffer */
    size_t *bytes;                  /* by buffer, where it has memory of its own size; of a slot, between entries */
    int64_t *apart;                 /* by buffer, of sequences: so many steps apart its entries are kept; 1: all */
    void **base, **now;             /* by buffer: its memory; `now` follows the swaps of a call */
    void **kept;                    /* by buffer: memory of what is computed by prepare */
    size_t *offset;                 /* by buffer: in the workspace; SIZE_MAX: not there */
    bool *left_out;                 /* by step: makes nothing that is wanted */
    bool *unused;                   /* by buffer: of no step that is done */
    bool *from_tape;                /* by buffer: an output that the backward finds in its tape */
    size_t *saved_at;               /* by saved value (TRAIN): its place in a tape; */
    size_t *kept_at;                /* by output (TRAIN): the same of outputs that the backward reads, else SIZE_MAX */
    size_t tape_bytes;
    launch *launches;               /* by kernel */
    pair_state *pairs;
    feed *feeds;
    drain *drains;
    bool *in_walk;                  /* by buffer: an edge input whose rows are in walk order */
    bool *in_out;                   /* by buffer: in the order of the outgoing walk */
    uint32_t n_feeds, n_drains;
    size_t states_at, scratch_at, scratch_stride, workspace_bytes;
    launch_memory memory;
    mp_kargs args;
    struct device_program *device;  /* on a GPU (device_program.h): then base, now and what they point to are data there, and
                                       launches are its own */
};

/* Makes layer->prepared[kind] for this graph, or refreshes it, as far as it is stale. The workspace is not yet there. */
mp_status layer_prepare(mp_layer *layer, mp_graph *g, desc_program_kind kind);
/* The workspace: the caller's or one of the layer's, and with it the last pointers but those into tapes. */
mp_status layer_place(mp_layer *layer, desc_program_kind kind);
/* The shapes that mp_output tells: those of this program's outputs. */
void layer_set_shapes(mp_layer *layer, const prepared *p);
void prepared_free(mp_context *ctx, prepared *p);

/* ---- for the files that prepare --------------------------------------------------------------------------------- */

/* prepare_check.c: what is wrong with tensors and graph, before there is any code: dims, needs, rows, ranges. */
mp_status prepare_check(mp_layer *layer, mp_graph *g, desc_program_kind kind);
/* All that the code reads is bound. */
mp_status prepare_check_bound(mp_layer *layer, const desc_program *d);
/* Elements of a row of a value. */
mp_status prepare_elems(mp_layer *layer, const desc_value *v, int64_t *out);

/* prepare_code.c: the code for exactly the values of the dims, or else the module's own. */
mp_status prepare_code(mp_layer *layer, desc_program_kind kind, mp_module **out);
/* Values of the slots of p->program, by the symbols' names, and of the real static arguments. */
mp_status prepare_slots(mp_layer *layer, prepared *p);

/* prepare_buffers.c: arrays of the graph; */
mp_status buffers_of_graph(prepared *p);
/* what a step before the call writes first, which is kept until the layer is prepared anew; */
mp_status buffers_of_step(mp_layer *layer, prepared *p, uint32_t step);
/* the bytes of all else. Pairs that were made beforehand have their final numbers now. */
mp_status buffers_of_call(mp_layer *layer, prepared *p);

/* prepared.c: the arrays of a state whose program is set. */
mp_status prepared_room(mp_context *ctx, prepared *p);

/* How many rows; of pairs that are not made yet the most there can be. */
int64_t prepared_rows(const prepared *p, mp_rows rows);

/* tensors.c: the ways of inputs and outputs. `fits` false: a refreshed pointer needs what was not prepared. */
mp_status tensors_prepare(mp_layer *layer, prepared *p, const int64_t *in_elems, const int64_t *out_elems);
mp_status tensors_refresh(mp_layer *layer, prepared *p, bool *fits);
void tensors_feed(mp_layer *layer, prepared *p, bool once);      /* copies, once ones or each call's */
void tensors_drain(mp_layer *layer, prepared *p);
void tensors_free(mp_context *ctx, prepared *p);

/* What the caller bound to a buffer, or may bind. NULL: no such buffer. */
const binding *prepared_binding(const mp_layer *layer, const prepared *p, uint32_t buffer);
/* Is a buffer read, as inputs are, or written, as outputs are? */
bool prepared_is_input(const prepared *p, const desc_buffer *b);
bool prepared_is_output(const prepared *p, const desc_buffer *b);

/* wanted.c: steps that make no gradient which is bound are left out. */
mp_status wanted_find(mp_layer *layer, prepared *p);

/* tape.c: where saved values and outputs lie in a tape. */
mp_status tape_layout(mp_layer *layer, prepared *p);
/* Is the output copied into tapes because the backward would not find it else? */
bool tape_keeps(const mp_layer *layer, uint32_t output);
/* Runs a program that is prepared and placed. */
mp_status program_run(mp_layer *layer, prepared *p);
/* A forward has succeeded: outputs and iterations are those of this program. */
void layer_ran(mp_layer *layer, desc_program_kind kind);
/* Copies data in pieces, by the threads of the context, or on the GPU. */
mp_status copy_bytes(mp_context *ctx, void *to, const void *from, size_t n);

/* layout.c: where buffers lie in the workspace, by the steps between which they are alive. layer_place is there, too. */
mp_status layout_workspace(mp_layer *layer, prepared *p);

/* pairs.c */
mp_status pairs_prepare(mp_layer *layer, prepared *p);           /* bases; room for those built in calls */
mp_status pairs_make(mp_layer *layer, prepared *p, uint32_t i);  /* by prepare, exactly as large as needed */
void pairs_run(mp_layer *layer, prepared *p, uint32_t i);        /* in a call: then dependent launches are cut again */
void pairs_build(mp_context *ctx, prepared *p, uint32_t i, const int32_t *index);       /* the structure alone */
/* The index of a structure that lies on a GPU, as memory of the host's. */
mp_status pairs_index_to_host(mp_layer *layer, prepared *p, uint32_t i, int32_t **index, size_t *bytes);
void pairs_free(mp_context *ctx, prepared *p);

/* fibers.c: whose members a launch walks. */
typedef struct fiber_rows { int64_t n_rows, n_members; const int64_t *ptr; } fiber_rows;
/* Rows of a fiber of the graph itself (no pairs). `whole` is room for the offsets of a single row. */
mp_status fiber_of_graph(prepared *p, mp_fiber fiber, int64_t whole[2], fiber_rows *out);
mp_status fiber_prepare(mp_layer *layer, prepared *p, uint32_t kernel);      /* sizes, room, the cut */
mp_status fiber_recut(mp_layer *layer, prepared *p, uint32_t kernel);       /* after its pairs were built in a call */
bool fiber_depends(const desc_kernel *k, uint32_t pairs);                    /* on this pair structure */

#endif
