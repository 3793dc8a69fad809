/* The intermediate representation: one SSA graph of tensor operations a layer.
 *
 * A value has a domain (one row a member), an element type and a symbolic feature shape. Maps between
 * domains are values too, so that src.x, E[id], W[rel] are all `gather`, and sums over edges, nodes,
 * relations all `agg_*`: each is the other's adjoint (docs/design.md, "IR").
 *
 * Values are made by the constructors of build.h, which fold constants, canonicalise and hash-cons, and
 * are never changed afterwards: a pass builds new values and redirects the outputs.
 *
 * Broadcasting. Operands of an EW operation lie in one domain, except that any may lie in the unit domain;
 * their shapes broadcast as in NumPy. Every other change of domain is a gather, explicit. Arithmetic is
 * in f32 or f64: half types occur only as types of inputs, outputs and operands or results of `cast`.
 */
#ifndef MPC_IR_H
#define MPC_IR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compiler/support/arena.h"
#include "compiler/support/poly.h"
#include "compiler/support/span.h"
#include "compiler/support/str.h"

typedef enum ir_op {
#define OP(id, ...) OP_##id,
#include "compiler/ir/ops.def"
#undef OP
    OP_N
} ir_op;

typedef enum { CLS_LEAF, CLS_EW, CLS_REDUCE, CLS_CONTRACT, CLS_SHAPE, CLS_GATHER, CLS_AGG, CLS_GROUP, CLS_MAP, CLS_LOOP } ir_class;

enum {                      /* flags of the table */
    OPF_COMM = 1, OPF_ASSOC = 2, OPF_IDEM = 4, OPF_LIN0 = 8, OPF_LIN1 = 16, OPF_LINALL = 32,
    OPF_ZERO0 = 64, OPF_MONO = 128, OPF_NAN = 256
};

typedef enum { T_F64, T_F32, T_F16, T_BF16, T_INDEX, T_BOOL, T_MAP } ir_type;

enum { IR_MAX_RANK = 8 };   /* the language allows 4; `per` and contractions add some */

typedef struct { uint32_t i; } ir_val;      /* index of a value; 0 is none */
typedef struct { uint32_t i; } ir_dom;      /* index of a domain */

/* Domains are objects of the layer, no closed set: layers over several node or edge sets only add objects. */
typedef enum {
    DOM_UNIT,               /* the whole call: params, globals; always domain 0 */
    DOM_NODES,              /* nodes; `side` tells whose rows */
    DOM_EDGES,
    DOM_GRAPHS,             /* graphs of the batch */
    DOM_INDEX,              /* 0..R-1, made by `rows` and `map_index` */
    DOM_PAIR                /* pairs (i, r) that occur, made by `map_pair` */
} ir_dom_kind;

typedef enum { SIDE_NONE, SIDE_SRC, SIDE_DST } ir_side;

typedef struct ir_domain {
    ir_dom_kind kind;
    ir_side side;           /* NODES: SRC has n_src rows, DST has n_dst rows (the first n_dst of SRC on a block) */
    str name;               /* for printing: "edge", "src", "dst", "graph", "unit", "index(R)", "pair1" */
    dim range;              /* INDEX, PAIR: R */
    ir_val map;             /* PAIR: the map_pair that made it */
    ir_dom base;            /* PAIR: domain of i */
} ir_domain;

typedef struct ir_einsum {  /* letters are small numbers; each appears at most once in an operand */
    uint8_t na, nb, nout;
    uint8_t a[IR_MAX_RANK], b[IR_MAX_RANK], out[IR_MAX_RANK];
} ir_einsum;

typedef struct ir_node {
    uint8_t op;             /* ir_op */
    uint8_t type;           /* ir_type */
    uint8_t rank;
    bool none;              /* T_INDEX: -1 may occur */
    bool apart;             /* a sequence of which every c-th entry is kept, c being chosen when the layer is prepared */
    ir_dom dom;             /* MAP: the domain it maps from */
    uint32_t region;        /* 0: once a call; otherwise 1 + the innermost loop whose step it depends on */
    uint32_t nargs;
    const ir_val *args;
    dim shape[IR_MAX_RANK]; /* the first `rank` are valid */
    dim range;              /* T_INDEX: R; DIMVAL: the dim */
    dim slots;              /* a sequence (record, or an input that was one): its entries at most; otherwise no dim */
    span where;             /* source text it comes from, for diagnostics, explain and debug lines */
    str name;               /* name in the source, or NULL */
    union {
        double value;                               /* CONST */
        uint32_t input;                             /* INPUT: index into ir_layer.inputs */
        uint32_t realarg;                           /* REALARG: index into ir_layer.statics */
        int32_t axis;                               /* REDUCE, CONCAT: 0 <= axis < rank */
        struct { int32_t axis; dim lo; } slice;     /* SLICE: from lo; the length is the result's */
        uint8_t perm[IR_MAX_RANK];                  /* TRANSPOSE */
        ir_einsum ein;                              /* EINSUM */
        ir_dom cod;                                 /* MAP: the domain it maps to */
        uint32_t place;                             /* DROPOUT: place in the program */
        struct { uint32_t loop, state; } loop;      /* STATE, FINAL; STEP, RECALL: state 1 counts from the last step;
                                                       STEPS, RECORD: the loop */
    } u;
} ir_node;

typedef enum { INIT_NONE, INIT_ZEROS, INIT_ONES, INIT_CONSTANT, INIT_UNIFORM, INIT_NORMAL, INIT_GLOROT_UNIFORM,
               INIT_GLOROT_NORMAL, INIT_KAIMING_UNIFORM, INIT_KAIMING_NORMAL } ir_init_kind;

typedef struct ir_input {
    str name;               /* "x"; of an instance's param "c1.W" */
    ir_val value;
    bool param;
    bool sided;             /* declared `src` or `dst`, not `node` */
    bool of_call;           /* saved by the pass before, so not known before a call */
    ir_init_kind init;      /* params */
    double init_a, init_b;
    span where;
} ir_input;

typedef struct ir_output {
    str name;
    ir_val value;           /* stored as the value's type; of a SRC-side value of `node` kind the rows are `rows` */
    ir_dom rows;            /* domain whose rows are written: a node update of a source-side value has n_dst rows */
    bool sided;             /* declared `src` or `dst`, not `node` */
    span where;
} ir_output;

typedef struct ir_static {
    str name;
    bool real;              /* otherwise a dim: the symbol of that name in the dim table */
    bool has_default;
    bool fixed;             /* given by -D: occurs nowhere in the IR any more */
    double value;           /* the default, or the fixed value */
    dim dim_default;        /* a default that mentions other statics (k = four * 2) */
} ir_static;

typedef struct ir_state {
    str name;
    ir_val init;            /* in a region outside of the loop; of the state's domain and shape */
    ir_val state;           /* the STATE value */
    ir_val next;            /* in the loop's region or outside of it */
} ir_state;

/* A loop in the step of another, that runs again what led from the last entry kept of some sequences to the entry for
 * that step. Its steps have the numbers that they had; its states start at those entries. */
typedef enum { AGAIN_NOT, AGAIN_ON, AGAIN_BACK } ir_again;      /* back: the entry is counted from the last */

typedef struct ir_loop {
    str name;               /* of the first state */
    uint32_t region;        /* 1 + its own index */
    uint32_t parent;        /* region around it */
    dim limit;              /* steps at most */
    ir_val tol;             /* unit scalar, or none without `until` */
    ir_again again;         /* then it has neither tolerance nor count: the sequences and the loop around tell */
    ir_val count;           /* f64 unit scalar: so many steps, at most limit (those that another loop took); or none */
    uint32_t nstates;
    ir_state *states;
    span where;
} ir_loop;

/* What the graph must be, or the bind fails with a message that names the value. */
typedef enum { NEED_SQUARE, NEED_DEGREES } ir_need_kind;
typedef struct ir_need { ir_need_kind kind; str name; span where; } ir_need;

typedef struct ir_layer {
    arena *mem;
    dim_table *dims;
    str name;
    ir_node *nodes;         uint32_t n_nodes, cap_nodes;        /* node 0 is unused */
    ir_domain *domains;     uint32_t n_domains;
    ir_input *inputs;       uint32_t n_inputs;
    ir_output *outputs;     uint32_t n_outputs;
    ir_static *statics;     uint32_t n_statics;
    ir_loop *loops;         uint32_t n_loops;                   /* a loop comes after the loop around it */
    ir_need *needs;         uint32_t n_needs;
    ir_dom edge, src, dst, graph;                               /* i == 0: the layer has none yet (unit is domain 0) */
    struct ir_builder *builder;                                 /* hash table of build.c */
} ir_layer;

typedef enum { SHAPE_BCAST, SHAPE_SAME, SHAPE_AXIS, SHAPE_ATTR } ir_shape_rule;
typedef enum { TYPE_SAME, TYPE_BOOL, TYPE_ATTR, TYPE_ARG1 } ir_type_rule;

typedef struct ir_opinfo {
    const char *id, *text;
    int nargs;
    ir_class cls;
    ir_shape_rule shape;
    ir_type_rule type;
    const char *derivative;     /* name of the rule; "NONE" */
    unsigned flags;
    int cost;
    const char *meaning;
} ir_opinfo;

extern const ir_opinfo ir_ops[OP_N];

static inline const ir_node *ir_at(const ir_layer *l, ir_val v) { return &l->nodes[v.i]; }
/* Known after the last step of a loop, in the region around it. */
static inline bool ir_leaves_loop(ir_op op) { return op == OP_FINAL || op == OP_STEPS || op == OP_RECORD; }
static inline bool ir_is(ir_val v) { return v.i != 0; }
static inline bool ir_is_sequence(const ir_layer *l, ir_val v) { return l->nodes[v.i].slots.i != 0; }
static inline bool ir_same(ir_val a, ir_val b) { return a.i == b.i; }

#endif
