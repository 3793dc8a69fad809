/* Random programs: from a number to the text of a well-typed layer, with the sizes it is meant for.
 *
 * Programs are made as trees whose nodes know their text, so that the shrinker can take them apart, and printed
 * as source, so that the whole front end is run. Expressions are made from the type that is wanted, down to inputs,
 * which are declared when they are needed. An estimate of magnitude keeps values in a sane range: what would
 * grow is squashed. Infinities and what is not a number come from places that real programs have: 1 / count,
 * rsqrt(in_degree), log(0), scores of -inf.
 */
#ifndef MPC_TESTS_PROP_GEN_H
#define MPC_TESTS_PROP_GEN_H

#include "compiler/support/buf.h"

#include <stdint.h>

enum { GX_KIDS = 6, G_MAX_RANK = 4, G_MAX_DIMS = 160, G_MAX_SYMS = 600, G_MAX_STATICS = 16, G_SETS = 16 };

typedef enum gdom { G_PARAM, G_GLOBAL, G_GRAPH, G_NODE, G_SRC, G_DST, G_EDGE, G_N_DOMS } gdom;
extern const char *const gdom_name[G_N_DOMS];

typedef enum gelem { G_REAL, G_INDEX, G_BOOL } gelem;

typedef enum gdim_kind { GD_SYM, GD_CONST, GD_SUM, GD_PROD } gdim_kind;
typedef struct gdim { gdim_kind kind; int a, b; int64_t value; const char *text; } gdim;

typedef struct gshape { int rank, d[G_MAX_RANK]; } gshape;
typedef struct gtype { gelem elem; gshape shape; int range; bool none; } gtype;

/* An expression: text in which $0 … $5 stand for its operands. */
typedef struct gx gx;
struct gx {
    const char *text;
    gx *kid[GX_KIDS];
    int n;
    gtype type;
    double mag;                 /* about how large its values are */
};

typedef enum gsym_kind { GS_INPUT, GS_PARAM, GS_DEF, GS_STATE } gsym_kind;
typedef struct gsym {
    gsym_kind kind;
    const char *name;
    gdom dom;
    gtype type;
    double mag;
    const char *text;           /* INPUT, PARAM: its declaration */
    int number;
    uint64_t reads[G_SETS];     /* by number: what it depends on, itself among them */
    bool dropped;               /* by the shrinker */
} gsym;

typedef enum gstmt_kind { GT_DEF, GT_MESSAGE, GT_UPDATE, GT_NEXT, GT_ITERATE, GT_TEXT } gstmt_kind;
typedef struct gstmt gstmt;
struct gstmt {
    gstmt_kind kind;
    gdom dom;
    const char *name;           /* TEXT: the statement */
    gx *value;
    int n_states;               /* ITERATE; the start values are `value`'s kids */
    const char *state[4], *limit, *until;
    gstmt *body, *next;
    bool dropped;
};

typedef struct gstatic { const char *name; bool real; int64_t dim; double number; bool has_default; } gstatic;

typedef struct glayer {
    const char *name;
    gstatic statics[G_MAX_STATICS]; int n_statics;
    gsym *inputs[G_MAX_SYMS]; int n_inputs;
    gstmt *stmts;
    gsym *outputs[16]; int n_outputs;
    bool dropped;
} glayer;

typedef struct gprogram {
    uint64_t seed;
    const char *fns;            /* text of the helpers */
    glayer layers[4]; int n_layers;         /* the last one is what is run */
    bool two_sided;             /* has src and dst inputs */
    bool grads;                 /* grad(y, x) may occur */
} gprogram;

/* The program of that number, in `mem`; with `grads` another one, that may have grad(y, x) in it. */
gprogram *gen_program(arena *mem, uint64_t seed, bool grads);
void gen_print(const gprogram *p, buf *out);

/* ---- for the parts of the generator ---- */

typedef struct gctx { gdom dom, outer; bool in_agg; } gctx;

typedef struct gen {
    arena *mem;
    uint64_t random;
    gprogram *program;
    glayer *layer;
    gdim dims[G_MAX_DIMS]; int n_dims;
    gsym *syms[G_MAX_SYMS]; int n_syms;     /* readable */
    gstmt **tail;                           /* where the next statement goes */
    int n_names;
    int n_loops; int loop_limit[4];         /* dims of the limits of the loops around, innermost last */
    struct { const char *name; const glayer *layer; int *dims; } inst[4]; int n_inst;
    struct gen *callee[4];                  /* the state in which layers[i] was made */
    bool sub;                               /* a layer that others use */
    bool wild;                              /* infinities wanted */
} gen;

uint64_t g_random(gen *g);
int g_below(gen *g, int n);                 /* 0 … n-1 */
bool g_chance(gen *g, int percent);
double g_uniform(gen *g, double lo, double hi);

int g_dim_const(gen *g, int64_t value);
int g_dim_sum(gen *g, int a, int b);
int g_dim_prod(gen *g, int a, int b);
int g_dim_any(gen *g);                      /* a static argument or a number */
bool g_dim_same(const gen *g, int a, int b);
gshape g_shape(int rank, const int *d);     /* d may be NULL for a scalar */
gshape g_shape_any(gen *g, gdom dom, int max_rank);
gshape g_shape_with(gshape s, int axis, int d);         /* a new axis */
gshape g_shape_without(gshape s, int axis);
bool g_shape_same(const gen *g, gshape a, gshape b);
int64_t g_shape_size(const gen *g, gshape s);
const char *g_dims_text(gen *g, const gshape *s);       /* "d, 3" */

gtype g_real(gshape s);
gx *g_mk(gen *g, gtype type, double mag, const char *text, int n, ...);
gx *g_number(gen *g, double value);
const char *g_name(gen *g, const char *stem);

gsym *g_declare(gen *g, gdom dom, gtype type);          /* an input or param */
gsym *g_weight(gen *g, int rank, ...);                  /* a param of these dims, scaled for products */
gx *g_read(gen *g, gctx c, const gsym *s);              /* src. or dst. at random from an edge */
gx *g_read_at(gen *g, const char *end, const gsym *s);  /* "src", "dst", "graph" or "" */
gsym *g_define(gen *g, gdom dom, const char *stem, gx *value);
gsym *g_message(gen *g, const char *stem, gx *value);
gsym *g_update(gen *g, gdom dom, const char *stem, gx *value);
gstmt *g_stmt(gen *g, gstmt_kind kind);

gctx g_at(gdom dom);
bool g_is_nodal(gdom dom);
/* Can a value of that domain be read at the member, and (`must`) does reading it make the expression one of that domain? */
bool g_readable(gdom value, gctx c, bool must);
const gsym *g_find(gen *g, gctx c, gtype t, bool must);         /* one of the type that is readable; or NULL */
gdom g_input_domain(gen *g, gctx c, bool must);                 /* for a new input that the member reads */
/* `must`: the expression reads something of the context's own domain, so that an aggregate has members. */
gx *g_expr(gen *g, gctx c, gshape s, int fuel, bool must);
gx *g_index(gen *g, gctx c, int range, gshape s, int fuel, bool none);
gx *g_bool(gen *g, gctx c, gshape s, int fuel, bool must);
gx *g_tame(gen *g, gx *x, double limit);                /* squashed if it is too large */
gx *g_act(gen *g, gx *x);                               /* an activation */

/* What the text of the expression names. `reads` is by number of a symbol. */
void g_note_reads(const gen *g, const gx *x, uint64_t *reads);
bool g_reads(const gsym *s, const gsym *what);

/* Productions: an expression of shape s at the member, or NULL where it does not apply. */
typedef gx *production(gen *g, gctx c, gshape s, int fuel, bool must);
gx *g_leaf(gen *g, gctx c, gshape s, bool must);                /* always applies */
production g_unary, g_binary, g_choice;                         /* gen_ew.c */
production g_reduce, g_along_axis, g_dot, g_matmul, g_einsum;    /* gen_axes.c */
production g_reshape, g_transpose, g_concat, g_stack, g_slice, g_pick, g_new_axis;
production g_lookup, g_aggregate, g_softmax, g_helper, g_call;   /* gen_graph.c */
production g_grad;                                              /* gen_grad.c: of something, by what has that shape */
void g_grads(gen *g);                       /* an equation or two with grad */

void g_motif(gen *g);                       /* equations as in a well-known layer, on what there is */
void g_loop(gen *g, int fuel);              /* an iterate block */
void g_fns(gen *g, buf *out);

#endif
