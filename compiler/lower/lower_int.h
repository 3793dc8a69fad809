/*
 * What the files of the lowering share.
 *
 * A frame is a layer in the course of a call: which values its inputs have, and what its expressions became.
 * An env is an instance: its static arguments and its params' names; calls of one instance share it.
 *
 * Values are made when something needs them, by a machine with a stack of its own (machine.c): chains of
 * equations may be longer than the C stack is deep. Every expression is lowered once a frame, a weak one once
 * a width.
 *
 * A node value lies on the source side or on the destination side. The sides of an iterate's states are not
 * known before its body is: the first attempt takes them as their start is, and where a next value then
 * lies on the destination side the table `flips` says so and the layer is lowered again from the start.
 */
#ifndef MPC_LOWER_LOWER_INT_H
#define MPC_LOWER_LOWER_INT_H

#include "compiler/ir/build.h"
#include "compiler/lower/lower.h"
#include "compiler/support/vec.h"

/* A value of the IR for an expression. */
typedef struct lowered {
    ir_val v;                                    /* none: not yet */
    bool deg;                                    /* source-side, but depends on in_degree: valid for
                                                    destinations unless the graph knows all degrees */
} lowered;

typedef struct env {
    const sem_layer *layer;
    const sem_inst *inst;                        /* in up's layer; NULL: the root */
    struct env *up;
    str prefix;                                  /* "", "c1." */
    dim *dims;                                   /* by static: integers, in the IR's table */
    struct env **insts;                          /* by instance of the layer */
    map cache;                                   /* dims already replaced */
    map params;                                  /* sem_sym* -> ir_val: own params of this instance */
} env;

typedef enum loop_status { LOOP_NONE, LOOP_ACTIVE, LOOP_DONE } loop_status;

typedef struct loop_state {
    lowered now, last;                           /* the state within, the state after */
    bool dst, deg;
} loop_state;

typedef struct loop_record {
    loop_status status;
    uint32_t loop;                               /* in ir_layer.loops */
    uint32_t region, depth;
    loop_state *states;
} loop_record;

typedef struct frame {
    env *e;
    uint32_t id;
    struct frame *up;                            /* the caller's */
    uint32_t region, depth;                      /* of the call */
    lowered *inputs;                             /* by input of the layer */
    lowered *memo;                               /* by expression: 2 id + (wide) */
    loop_record *loops;                          /* by loop of the layer */
} frame;

typedef struct item {                            /* of the machine's stack */
    frame *f;
    const sem_expr *e;                           /* NULL: a loop */
    const sem_loop *loop;
    frame *callee;                               /* CALL: once it was entered */
    bool wide;
    uint8_t phase;
} item;

typedef struct lowering {
    arena *a;
    str_table *names;
    diags *ds;
    const sem_layer *root;
    ir_layer *l;
    bool bipartite;                              /* two sets of nodes: a node value is by destination */
    bool failed;
    VEC(item) stack;
    uint32_t n_frames, place;
    map *flips;                                  /* hash of (frame, loop, state) -> FLIP_ bits */
    bool flipped;
    arena *work;                                 /* of one gradient at a time */
    map variables;                               /* hash of (frame, symbol) -> the value that gradients are taken by */
    uint32_t n_variables;
} lowering;

/* ---- machine.c ---- */
lowered machine_run(lowering *L, frame *f, const sem_expr *e, bool wide);
frame *frame_new(lowering *L, env *e, frame *up, uint32_t region, uint32_t depth);
void lower_fail(lowering *L, diag_class class, span at, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* ---- env.c: static arguments, params ---- */
env *env_root(lowering *L);
dim env_number(lowering *L, const env *e, dim d, span at);       /* any integer; DIM_ERROR: reported */
dim env_dim(lowering *L, env *e, dim d, span at);                /* a positive one */
bool env_shape(lowering *L, env *e, const sem_shape *s, span at, ir_shape *out);
ir_val env_param(const env *e, const sem_sym *s);
void env_inputs(lowering *L, env *e, lowered *inputs);           /* the root's */
void env_instances(lowering *L, env *e);         /* makes those below, with their params */

/* ---- types ---- */
static inline bool is_wide(sem_elem e) { return e == SEM_F64; }
static inline ir_type arith_type(bool wide) { return wide ? T_F64 : T_F32; }
ir_type stored_type(sem_elem e);
ir_val as_type(lowering *L, ir_val v, ir_type t);                /* floating values only; others stay */

/* ---- member.c: domains, sides, aggregates ---- */
ir_dom dom_for(lowering *L, sem_dom d);          /* NODE: where a node value lies when nothing says */
lowered at_dst(lowering *L, lowered x);
lowered at_src(lowering *L, lowered x, str name, span at);
bool unify(lowering *L, const sem_expr *e, lowered *args);       /* operands to one side; has one deg? */
lowered settle(lowering *L, const sem_sym *s, lowered x);        /* on the side that the name promises */
lowered lower_end(lowering *L, const sem_expr *e, lowered x);    /* src.x dst.x graph.x */
lowered lower_degree(lowering *L, const sem_expr *e);
ir_val lower_number_of(lowering *L, const sem_expr *e);
lowered lower_agg(lowering *L, const sem_expr *e, const lowered *args);
lowered lower_softmax(lowering *L, const sem_expr *e, const lowered *args);
ir_val in_domain(lowering *L, ir_val v, ir_dom d);               /* broadcast when of the unit domain */

/* ---- value.c: element by element, axes; shape.c ---- */
ir_val lower_ew(lowering *L, const sem_expr *e, const ir_val *a, ir_type t);
ir_val lower_axis(lowering *L, sem_fn fn, ir_val x, uint32_t axis);
ir_val lower_layer_norm(lowering *L, const ir_val *a);
ir_val lower_einsum(lowering *L, const sem_expr *e, const ir_val *a);
ir_val lower_shape(lowering *L, const frame *f, const sem_expr *e, const ir_val *a);
ir_val lower_lookup(lowering *L, ir_val table, ir_val index);

/* ---- grad.c ---- */
lowered lower_variable(lowering *L, const frame *f, const sem_sym *s, lowered x);   /* x itself, if no gradient is by s */
lowered lower_grad(lowering *L, lowered y, lowered x);

#endif
