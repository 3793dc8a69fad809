/*
 * What the files of the semantic stage share: the checker, its scopes, and who answers for what.
 */
#ifndef MPC_SEMA_CHECK_H
#define MPC_SEMA_CHECK_H

#include "compiler/sema/sema.h"
#include "compiler/support/vec.h"

/* What a name of a layer stands for. */
typedef enum bind_kind { BIND_STATIC, BIND_SYM, BIND_INST } bind_kind;
typedef struct binding {
    bind_kind kind;
    span where;
    union { uint32_t static_; sem_sym *sym; sem_inst *inst; };
} binding;

typedef struct scope {                           /* a layer, or an iterate block in it */
    struct scope *up;
    sem_loop *loop;                              /* NULL: the layer itself */
    map names;                                   /* str -> binding* */
} scope;

typedef struct local { str name; span where; sem_expr *value; } local;

typedef struct fn_frame {                        /* an fn while it is inlined */
    const ast_item *fn;
    local *locals;                               /* parameters, then lets */
    uint32_t n;
    map names;                                   /* str -> 1 + index of the local */
    const struct fn_frame *up;                   /* the frame of its call, NULL: an equation */
    span call;
} fn_frame;

/* Where an expression stands. */
typedef struct ectx {
    sem_dom dom;                                 /* the equation's, or of an aggregate's members */
    sem_dom outer;                               /* of the equation, where dom is that of an argument */
    bool in_agg;                                 /* within the argument of an aggregate */
} ectx;

typedef struct file_const { span where; bool bad; double value; } file_const;

typedef struct checker {
    arena *a;
    str_table *names;
    diags *ds;
    const ast_file *file;
    sem_elem real;
    sem_program *prog;
    map consts, fns, layers;                     /* str -> file_const*, const ast_item*, sem_layer* */
    map wrong_fns;                               /* those of fns with an error told at their definition: calls say nothing */
    VEC(sem_layer *) all;

    sem_layer *layer;                            /* NULL while a constant is checked */
    dim_table *dims;
    scope *scope;
    const fn_frame *fn;                          /* NULL: in an equation */
    sem_sym *def;                                /* the equation, NULL: none */
    bool dst_read;                               /* the equation read a dst value */
    VEC(sem_sym *) syms;                         /* of the layer */
    VEC(sem_inst *) insts;
    uint32_t level, n_inlined;
    uint32_t n_exprs;                            /* of the layer */
    uint64_t n_called;                           /* expressions of the layers it calls */
    bool exhausted;                              /* a limit was hit: everything is poison from here on */
} checker;

/* ---- check.c: making typed expressions, reporting ---- */
sem_expr *sem_new(checker *c, sem_kind kind, const ast_expr *e, uint32_t n_args);
sem_expr *sem_bad(checker *c, const ast_expr *e);
sem_expr *sem_number(checker *c, const ast_expr *e, double value);
static inline bool sem_is_bad(const sem_expr *e) { return e->type.elem == SEM_POISON; }
bool sem_any_bad(sem_expr *const *args, uint32_t n);
/* An error here: marks the layer, and names the calls of fns that led to it. */
diag *sem_err(checker *c, diag_class class, span at, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void sem_exhausted(checker *c, span at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
const char *sem_expr_text(checker *c, const ast_expr *e);     /* as source, shortened */
const char *sem_ty(checker *c, const sem_expr *e);            /* its type for a message */
const char *sem_sh(checker *c, const sem_shape *s);

/* ---- resolve.c: names ---- */
binding *scope_find(const scope *s, str name);
bool scope_bind(checker *c, str name, span where, binding b);  /* false: reported as defined already */
void sem_unknown_name(checker *c, str name, span at);
void sem_unknown_fn(checker *c, str name, span at, bool method);
sem_loop *scope_loop(const scope *s);             /* the block around, NULL: none */
const local *frame_find(const fn_frame *f, str name);
bool frame_add(checker *c, fn_frame *f, const ast_name *name, sem_expr *value);   /* false: it is taken */
bool sem_is_value_name(str name);                /* in_degree, num_nodes … */
bool sem_resolve_fn(checker *c, const ast_item *fn);          /* names of a helper, used or not; false: one is wrong */
bool sem_find_fn(const char *name, bool method, sem_fn *out);

/* ---- static.c: what is known without data ---- */
bool static_form(checker *c, const ast_expr *e); /* is it made of static integers and arithmetic only? */
dim static_dim(checker *c, const ast_expr *e);   /* DIM_ERROR: reported */
dim static_positive(checker *c, const ast_expr *e, const char *what);
bool static_integer(checker *c, const ast_expr *e, const char *what, int64_t *out);   /* a number */
dim dim_of_expr(checker *c, const sem_expr *e);  /* of a weak scalar; DIM_ERROR when it is none, unreported */
dim dim_arith(checker *c, sem_fn fn, const sem_expr *l, const sem_expr *r);      /* weak; r may be NULL */
bool static_number(checker *c, const ast_expr *e, const char *what, double *out);     /* a constant */
sem_expr *static_real(checker *c, const ast_expr *e, const char *what);          /* weak; NULL: reported */
double sem_fold(sem_fn fn, const double *v);     /* the value of an operator or function of constants */
bool sem_folds(sem_fn fn);

/* ---- domain.c ---- */
enum { NEED_EDGE = 1, NEED_NODE = 2, NEED_FROM_SRC = 4, NEED_FROM_DST = 8, NEED_GRAPH = 16 };
unsigned need_of(checker *c, const ast_expr *e); /* the domains that its names need */
sem_dom need_finest(unsigned need);              /* PARAM: none */
ectx natural_ctx(unsigned need, ectx x);         /* where an argument of an fn is evaluated */
static inline ectx ectx_of(sem_dom d) { return (ectx){.dom = d, .outer = d}; }
static inline sem_dom dom_join(sem_dom a, sem_dom b) { return a > b ? a : b; }
sem_expr *read_value(checker *c, const ast_expr *e, sem_expr *value, const char *name, ectx x);
sem_expr *read_sym(checker *c, const ast_expr *e, sem_sym *s, ectx x);
sem_expr *read_qualified(checker *c, const ast_expr *e, ectx x);
sem_expr *read_builtin(checker *c, const ast_expr *e, str name, ectx x);     /* NULL: no such value */

/* ---- type.c ---- */
bool need_float(checker *c, const sem_expr *v, span at, const char *who);
sem_elem elem_join(sem_elem a, sem_elem b);      /* of two floating ones */
sem_expr *type_arith(checker *c, const ast_expr *e, sem_fn fn, sem_expr *l, sem_expr *r);
sem_expr *type_unary(checker *c, const ast_expr *e, sem_fn fn, sem_expr *v);
sem_expr *type_where(checker *c, const ast_expr *e, sem_expr *cond, sem_expr *a, sem_expr *b);
sem_expr *type_ew(checker *c, const ast_expr *e, sem_fn fn, sem_expr **args, uint32_t n);
bool type_agree(checker *c, sem_type *into, const sem_type *other);   /* same kind; joins widths */
void warn_narrowed(checker *c, span at, sem_elem from, sem_elem to);

/* ---- shape.c ---- */
bool shape_same(checker *c, const sem_shape *a, const sem_shape *b);
bool shape_join(checker *c, const sem_shape *a, const sem_shape *b, sem_shape *out, int *axis);
bool shape_fits(checker *c, const sem_shape *small, const sem_shape *into);   /* broadcasts to it */
bool shape_rank_ok(checker *c, uint32_t rank, span at);
sem_expr *shape_matmul(checker *c, const ast_expr *e, sem_expr *l, sem_expr *r);
sem_expr *shape_einsum(checker *c, const ast_expr *e, const ast_expr *spec, sem_expr **args, uint32_t n);
sem_expr *shape_concat(checker *c, const ast_expr *e, sem_expr **args, uint32_t n, const ast_expr *axis);
sem_expr *shape_stack(checker *c, const ast_expr *e, sem_expr **args, uint32_t n);
sem_expr *shape_index(checker *c, const ast_expr *e, ectx x);
bool shape_axis(checker *c, const ast_expr *axis, uint32_t rank, span at, const char *text, uint32_t *out);
sem_expr *shape_reshape(checker *c, const ast_expr *e, sem_expr *v, const dim *dims, uint32_t n);

/* ---- aggregate.c ---- */
sem_expr *check_aggregate(checker *c, const ast_expr *e, sem_fn fn, ectx x);

/* ---- call.c: functions, methods ---- */
sem_expr *check_call(checker *c, const ast_expr *e, ectx x);
sem_expr *check_method(checker *c, const ast_expr *e, ectx x);

/* ---- instance.c: layers of layers ---- */
void check_use(checker *c, const ast_stmt *s);
sem_expr *check_instance_call(checker *c, const ast_expr *e, sem_inst *inst, const ast_name *output, ectx x);
sem_expr *check_instance_param(checker *c, const ast_expr *e);   /* c1.W; NULL: it is no such thing */
sem_sym *instance_output(const sem_inst *inst, str name);    /* name NULL: the only one; NULL: none */

/* ---- expr.c ---- */
sem_expr *check_expr(checker *c, const ast_expr *e, ectx x);

/* ---- layer.c ---- */
void check_layer(checker *c, const ast_item *item);
sem_type sem_scalar(sem_elem e);

#endif
