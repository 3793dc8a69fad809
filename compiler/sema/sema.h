/*
 * The semantic stage: the syntax tree of a file in, checked and typed layers out, with all diagnostics of
 * the language but those of syntax.
 *
 * A typed expression is a node of a graph without cycles: fns are gone (inlined, what they share is shared),
 * names are resolved, each node has a domain, an element type and a symbolic shape. Layers are not inlined:
 * a call names the instance and the output, and a callee is checked once for all values of its statics.
 *
 * Domains. An expression's domain is the finest that its operands need; its equation may be in a finer one,
 * and then broadcasts. On a block a node value may have rows for all source nodes or only for destinations:
 * that is found by the lowering, not here.
 *
 * Numbers, static arguments and their sums, products … are "weak": scalars (numbers, dimvals, realargs and
 * EW of these) without a width of their own, which take that of the operand beside them, else `real`.
 *
 * Nothing here is recursive in the size of the result: chains of definitions and lets may be long, so who
 * walks these graphs uses a stack of his own.
 */
#ifndef MPC_SEMA_SEMA_H
#define MPC_SEMA_SEMA_H

#include "compiler/parser/ast.h"
#include "compiler/support/diag.h"
#include "compiler/support/poly.h"

enum {
    SEM_MAX_RANK = 4,
    SEM_MAX_INLINED = 1 << 18,                   /* expressions that inlined fns may make in a file */
    SEM_MAX_EXPANDED = 1 << 18,                  /* expressions of a layer with all its layers of layers */
    SEM_MAX_LEVEL = 1000,                        /* nesting of expressions, through fns */
    SEM_MAX_NEST = 200,                          /* layers within layers */
};

typedef enum sem_dom { SEM_PARAM, SEM_GLOBAL, SEM_GRAPH, SEM_NODE, SEM_SRC, SEM_DST, SEM_EDGE } sem_dom;
const char *sem_dom_name(sem_dom d);             /* "edge" */
static inline bool sem_is_nodal(sem_dom d) { return d == SEM_NODE || d == SEM_SRC || d == SEM_DST; }

typedef enum sem_elem {
    SEM_POISON,                                  /* something was reported: says nothing any more */
    SEM_WEAK, SEM_F16, SEM_BF16, SEM_F32, SEM_F64,
    SEM_INDEX, SEM_BOOL,
} sem_elem;
static inline bool sem_is_float(sem_elem e) { return e >= SEM_WEAK && e <= SEM_F64; }

typedef struct sem_shape { uint32_t rank; dim at[SEM_MAX_RANK]; } sem_shape;

typedef struct sem_type {
    sem_elem elem;
    bool none;                                   /* INDEX: -1 may occur */
    dim range;                                   /* INDEX */
    sem_shape shape;
} sem_type;

/* Built-in functions and operators; groups say how they are checked. */
typedef enum sem_group {
    SEM_G_OP,                                    /* an operator: has no name to call */
    SEM_G_EW,                                    /* floating operands, element by element */
    SEM_G_AGG,                                   /* an aggregate: finer domain to coarser */
    SEM_G_AXIS,                                  /* over a feature axis: a method */
    SEM_G_SPECIAL,                               /* by name, each with a rule of its own */
} sem_group;

typedef enum sem_fn {
#define FN(id, group, params, needed, preset, text) SEM_FN_##id,
#include "compiler/sema/functions.def"
#undef FN
    SEM_N_FNS
} sem_fn;
const char *sem_fn_name(sem_fn f);

typedef struct sem_expr sem_expr;
typedef struct sem_sym sem_sym;
typedef struct sem_loop sem_loop;
typedef struct sem_inst sem_inst;
typedef struct sem_layer sem_layer;

typedef enum sem_kind {
    SEM_BAD,                                     /* poison */
    SEM_NUMBER,                                  /* weak; u.value */
    SEM_DIMVAL,                                  /* weak; u.dim: a static integer argument */
    SEM_REALARG,                                 /* weak; u.static_: a static real argument */
    SEM_READ,                                    /* u.sym, at the member itself */
    SEM_AT_SRC, SEM_AT_DST, SEM_AT_GRAPH,        /* args[0] at an edge's end, or the graph of a member */
    SEM_IN_DEGREE, SEM_OUT_DEGREE,               /* node */
    SEM_NUM_NODES, SEM_NUM_EDGES,                /* graph or global */
    SEM_TRAINING,
    SEM_STEP,                                    /* u.loop */
    SEM_EW,                                      /* u.fn: an operator, a function of group EW, where */
    SEM_TO_REAL,                                 /* real(args[0]) */
    SEM_BUCKET,                                  /* to index(type.range) */
    SEM_MATMUL,
    SEM_EINSUM,                                  /* u.einsum */
    SEM_AXIS,                                    /* u.axis: fn over an axis >= 0 */
    SEM_DOT,
    SEM_LAYER_NORM,                              /* x, gamma, beta, eps */
    SEM_RESHAPE,                                 /* to the type's shape */
    SEM_TRANSPOSE,                               /* u.swap: two axes change places */
    SEM_CONCAT, SEM_STACK,                       /* u.axis.axis (0 for a stack) */
    SEM_SLICE,                                   /* u.slice: axis, lo; the length is the type's */
    SEM_PICK,                                    /* u.slice: axis, lo: one element, the axis goes */
    SEM_NEWAXIS,                                 /* u.axis.axis: an axis of 1 in the result */
    SEM_LOOKUP,                                  /* args[0][args[1]] along axis 0 */
    SEM_IOTA,                                    /* of the type's shape */
    SEM_FILL,                                    /* u.value everywhere, of the type's shape */
    SEM_AGG,                                     /* u.agg */
    SEM_SOFTMAX,                                 /* u.agg: within the groups of members */
    SEM_DROPOUT,                                 /* x, p; u.loop: the block it stands in, NULL for none */
    SEM_STOP,
    SEM_GRAD,                                    /* u.sym: gradient of args[0]'s sum with respect to it */
    SEM_CALL,                                    /* u.call */
    SEM_INST_PARAM,                              /* u.param: c1.W */
} sem_kind;

typedef struct sem_agg {
    sem_fn fn;
    sem_dom member;                              /* whose members: EDGE, NODE, SRC, DST, GRAPH */
    sem_dom to;                                  /* AGG: the result's domain: NODE, SRC, DST, GRAPH, GLOBAL.
                                                    SOFTMAX: whose members share: NODE, GRAPH or GLOBAL */
    bool by_src;                                 /* edges to nodes: outgoing */
    bool per;                                    /* the last operand is the index */
    bool no_value;                               /* count(): no operand but the index */
} sem_agg;

typedef struct sem_einsum { char *in[8]; char *out; } sem_einsum;        /* letters of each operand */

struct sem_expr {
    uint8_t kind;                                /* sem_kind */
    uint8_t dom;                                 /* sem_dom */
    bool constant;                               /* weak, its value is known: number */
    uint32_t id;                                 /* counts from 0 in the layer */
    uint32_t n_args;
    sem_expr **args;
    sem_type type;
    double number;                               /* when constant */
    dim integer;                                 /* weak: its value, if made of integers; or DIM_ERROR */
    span span, at;                               /* as those of the tree */
    union {
        double value;
        dim dim;
        uint32_t static_;
        sem_sym *sym;
        sem_loop *loop;
        sem_fn fn;
        struct { sem_fn fn; uint32_t axis; } axis;
        struct { uint32_t a, b; } swap;
        struct { uint32_t axis; dim lo; } slice;
        sem_einsum *einsum;
        sem_agg agg;
        struct {                                 /* args[i]: for callee->inputs[i]; NULL: an own param */
            sem_inst *inst;
            sem_sym *output;
            sem_loop *loop;                      /* the block it stands in, NULL for none */
        } call;
        struct { sem_inst **path; uint32_t n; sem_sym *sym; } param;     /* instances, outermost first */
    } u;
};

typedef enum sem_init_kind {
    SEM_INIT_NONE, SEM_INIT_ZEROS, SEM_INIT_ONES, SEM_INIT_CONSTANT, SEM_INIT_UNIFORM, SEM_INIT_NORMAL,
    SEM_INIT_GLOROT_UNIFORM, SEM_INIT_GLOROT_NORMAL, SEM_INIT_KAIMING_UNIFORM, SEM_INIT_KAIMING_NORMAL,
} sem_init_kind;

typedef enum sem_sym_kind { SEM_S_INPUT, SEM_S_PARAM, SEM_S_DEF, SEM_S_STATE } sem_sym_kind;

struct sem_sym {
    sem_sym_kind kind;
    str name;
    span where;                                  /* of its name */
    sem_dom dom;
    sem_type type;
    sem_expr *value;                             /* DEF: its equation; STATE: its start; of a coarser
                                                    domain or shape it is broadcast */
    sem_expr *next;                              /* STATE */
    sem_loop *loop;                              /* DEF: the block around, or NULL; STATE: its block */
    uint32_t index;                              /* INPUT, PARAM: in layer->inputs; STATE: in loop->states */
    bool message, update;
    sem_init_kind init;                          /* PARAM; NONE: the default */
    double init_a, init_b;
    bool used;                                   /* read somewhere */
    bool by_grad;                                /* a gradient is taken by it */
    bool aggregated;                             /* it ends in an aggregate or an output */
    uint32_t n_reads;                            /* of its equation */
    sem_sym **reads;
};

struct sem_loop {
    sem_loop *up;                                /* the block around it */
    dim limit;
    sem_expr *tol;                               /* or NULL */
    uint32_t n_states;
    sem_sym **states;
    span where;
    uint32_t id;                                 /* counts from 0 in the layer */
};

typedef struct sem_static {
    str name;
    span where;
    bool real;
    dim sym;                                     /* of an integer: its symbol */
    bool has_default;
    dim dim_default;                             /* may mention other statics */
    double real_default;
    bool fixed;                                  /* by sem_define */
    int64_t dim_value;
    double real_value;
} sem_static;

struct sem_inst {                                /* use c1 = GCN(in, 16); */
    str name;
    span where;
    sem_layer *callee;
    uint32_t index;                              /* in layer->insts */
    dim *dims;                                   /* by static of the callee: integers, in the user's dims */
    sem_expr **reals;                            /* by static of the callee: reals, our weak scalars */
    bool *own;                                   /* by input of the callee: a param of the instance */
    bool *tied;                                  /* by input: some call gave it */
    uint32_t n_calls;                            /* and reads of its params */
};

struct sem_layer {
    str name;
    const ast_item *ast;
    bool bad;                                    /* has errors: is not lowered */
    dim_table *dims;
    sem_elem real;                               /* what `real` is */
    sem_static *statics;   uint32_t n_statics;
    sem_sym **inputs;      uint32_t n_inputs;    /* inputs and params, in order */
    sem_inst **insts;      uint32_t n_insts;
    sem_sym **outputs;     uint32_t n_outputs;   /* updates, in order */
    uint32_t n_exprs, n_loops;
    uint32_t nest;                               /* 1 for a layer without layers */
    uint64_t expanded;                           /* expressions and params, with those of its layers */
    uint64_t n_params;                           /* with those of its instances, and one an instance */
};

typedef struct sem_program {
    sem_layer **layers;
    uint32_t n_layers;
} sem_program;

typedef struct sem_options { sem_elem real; } sem_options;   /* SEM_F32 when 0 */

/* Never NULL; errors and warnings go to ds. Strings are interned in names, which the tree's were. */
sem_program *sema_check(arena *a, str_table *names, diags *ds, const ast_file *file, const sem_options *o);

/* The layer of that name; NULL: there is none. With name NULL the last one of the file. */
sem_layer *sem_find_layer(const sem_program *p, const char *name);

/*
 * `-D name=text`, for one layer or (layer NULL) for each that has such a static argument. Wrong values and
 * unknown names are errors of ds (class static). The value holds when the layer is lowered by itself, not
 * inside of other layers.
 */
bool sem_define(const sem_program *p, sem_layer *layer, const char *name, const char *text, diags *ds);

/* For messages and tests: "real [in, out]", "index(R)". */
const char *sem_type_text(const dim_table *dims, const sem_type *t, sem_elem real, arena *a);
const char *sem_shape_text(const dim_table *dims, const sem_shape *s, arena *a);

#endif
