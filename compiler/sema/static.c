/*
 * What is known without data: dims, steps and axes; numbers of constants, defaults and initialisers.
 */
#include "compiler/sema/check.h"

#include <math.h>
#include <string.h>

/* ---- constants ---- */

bool sem_folds(sem_fn fn)
{
    return fn <= SEM_FN_neg || (fn >= SEM_FN_exp && fn <= SEM_FN_clamp);
}

double sem_fold(sem_fn fn, const double *v)
{
    const double x = v[0];
    switch ((int)fn) {
    case SEM_FN_add: return x + v[1];
    case SEM_FN_sub: return x - v[1];
    case SEM_FN_mul: return x * v[1];
    case SEM_FN_div: return x / v[1];
    case SEM_FN_pow: return pow(x, v[1]);
    case SEM_FN_neg: return -x;
    case SEM_FN_exp: return exp(x);
    case SEM_FN_log: return log(x);
    case SEM_FN_log1p: return log1p(x);
    case SEM_FN_sqrt: return sqrt(x);
    case SEM_FN_rsqrt: return 1 / sqrt(x);
    case SEM_FN_abs: return fabs(x);
    case SEM_FN_sign: return x > 0 ? 1 : x < 0 ? -1 : x;
    case SEM_FN_sin: return sin(x);
    case SEM_FN_cos: return cos(x);
    case SEM_FN_tanh: return tanh(x);
    case SEM_FN_sigmoid: return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x));
    case SEM_FN_relu: return x < 0 ? 0 : x;
    case SEM_FN_leaky_relu: return x > 0 ? x : v[1] * x;
    case SEM_FN_elu: return x > 0 ? x : v[1] * expm1(x);
    case SEM_FN_selu: return 1.0507009873554804934 * (x > 0 ? x : 1.6732632423543772848 * expm1(x));
    case SEM_FN_gelu: return 0.5 * x * (1 + erf(x * 0.70710678118654752440));
    case SEM_FN_silu: return x >= 0 ? x / (1 + exp(-x)) : x * (exp(x) / (1 + exp(x)));
    case SEM_FN_softplus: return (x > 0 ? x : 0) + log1p(exp(-fabs(x)));
    case SEM_FN_erf: return erf(x);
    case SEM_FN_square: return x * x;
    case SEM_FN_floor: return floor(x);
    case SEM_FN_atan2: return atan2(x, v[1]);
    case SEM_FN_maximum: return x != x || v[1] != v[1] ? NAN : x > v[1] ? x : v[1];
    case SEM_FN_minimum: return x != x || v[1] != v[1] ? NAN : x < v[1] ? x : v[1];
    case SEM_FN_clamp: return x < v[1] ? v[1] : x > v[2] ? v[2] : x;
    default: return NAN;
    }
}

bool static_number(checker *c, const ast_expr *e, const char *what, double *out)
{
    sem_expr *v = check_expr(c, e, ectx_of(SEM_PARAM));
    if (sem_is_bad(v)) return false;
    if (!v->constant) {
        sem_err(c, DIAG_STATIC, e->at, "%s must be a constant", what);
        return false;
    }
    *out = v->number;
    return true;
}

sem_expr *static_real(checker *c, const ast_expr *e, const char *what)
{
    sem_expr *v = check_expr(c, e, ectx_of(SEM_PARAM));
    if (sem_is_bad(v)) return NULL;
    if (v->type.elem != SEM_WEAK || v->type.shape.rank) {
        sem_err(c, DIAG_STATIC, e->at, "%s must be a number: it is made of constants and static arguments",
                what);
        return NULL;
    }
    return v;
}

/* ---- dims ---- */

static dim of_double(checker *c, double v)
{
    if (v != floor(v) || fabs(v) >= 9.2e18) return DIM_ERROR;
    return dim_const(c->dims, (int64_t)v);
}

dim dim_of_expr(checker *c, const sem_expr *e)
{
    return e->constant ? of_double(c, e->number) : e->integer;
}

dim dim_arith(checker *c, sem_fn fn, const sem_expr *l, const sem_expr *r)
{
    dim a = dim_of_expr(c, l), b = r ? dim_of_expr(c, r) : a;
    if (!dim_ok(a) || !dim_ok(b)) return DIM_ERROR;
    switch ((int)fn) {
    case SEM_FN_add: return dim_add(c->dims, a, b);
    case SEM_FN_sub: return dim_sub(c->dims, a, b);
    case SEM_FN_mul: return dim_mul(c->dims, a, b);
    case SEM_FN_neg: return dim_neg(c->dims, a);
    default: return DIM_ERROR;
    }
}

static const sem_static *find_static(checker *c, str name)
{
    binding *b = c->fn ? NULL : scope_find(c->scope, name);
    return b && b->kind == BIND_STATIC ? &c->layer->statics[b->static_] : NULL;
}

bool static_form(checker *c, const ast_expr *e)
{
    switch (e->kind) {
    case AST_EXPR_NUMBER: return true;
    case AST_EXPR_NAME: {
        const local *l = c->fn ? frame_find(c->fn, e->name.text) : NULL;
        if (l) return l->value && l->value->type.elem == SEM_WEAK && dim_ok(dim_of_expr(c, l->value));
        if (!c->fn && scope_find(c->scope, e->name.text)) {
            const sem_static *s = find_static(c, e->name.text);
            return s && !s->real;
        }
        return map_get_ptr(&c->consts, e->name.text) != NULL;
    }
    case AST_EXPR_UNARY: return e->op.op == AST_OP_NEG && static_form(c, e->op.right);
    case AST_EXPR_BINARY:
        switch ((int)e->op.op) {
        case AST_OP_ADD: case AST_OP_SUB: case AST_OP_MUL: case AST_OP_DIV: case AST_OP_POW:
            return static_form(c, e->op.left) && static_form(c, e->op.right);
        default: return false;
        }
    case AST_EXPR_ERROR:
    case AST_EXPR_STRING:
    case AST_EXPR_QUALIFIED:
    case AST_EXPR_CALL:
    case AST_EXPR_METHOD:
    case AST_EXPR_MEMBER:
    case AST_EXPR_INDEX:
        return false;
    }
    return false;
}

static dim not_static(checker *c, const ast_expr *e, const char *found)
{
    diag *d = sem_err(c, DIAG_STATIC, e->at, "%s is no static integer", found);
    diag_help(d, "dims, axes and steps are made of integers, static arguments and constants");
    return DIM_ERROR;
}

static dim dim_name(checker *c, const ast_expr *e)
{
    str name = e->name.text;
    const char *quoted = arena_printf(c->a, "`%s`", name);
    if (c->fn) {
        const local *l = frame_find(c->fn, name);
        if (l) {
            if (!l->value || sem_is_bad(l->value)) return DIM_ERROR;
            dim d = dim_of_expr(c, l->value);
            return dim_ok(d) ? d : not_static(c, e, quoted);
        }
    } else {
        binding *b = scope_find(c->scope, name);
        if (b && b->kind != BIND_STATIC) {
            if (b->kind == BIND_SYM) b->sym->used = true;
            if (b->kind == BIND_SYM && b->sym->type.elem == SEM_POISON) return DIM_ERROR;
            return not_static(c, e, quoted);
        }
        if (b) {
            const sem_static *s = &c->layer->statics[b->static_];
            if (!s->real) return s->sym;
            diag *d = sem_err(c, DIAG_STATIC, e->at, "`%s` is a real, and this must be an integer", name);
            diag_note_at(d, s->where, "declared here");
            return DIM_ERROR;
        }
    }
    const file_const *k = map_get_ptr(&c->consts, name);
    if (k) {
        if (k->bad) {
            if (c->layer) c->layer->bad = true;
            return DIM_ERROR;
        }
        dim d = of_double(c, k->value);
        if (!dim_ok(d))
            sem_err(c, DIAG_STATIC, e->at, "`%s` is %g, and this must be an integer", name, k->value);
        return d;
    }
    if (sem_is_value_name(name)) return not_static(c, e, quoted);
    sem_unknown_name(c, name, e->at);
    return DIM_ERROR;
}

static dim dim_binary(checker *c, const ast_expr *e)
{
    dim l = static_dim(c, e->op.left), r = static_dim(c, e->op.right), d;
    if (!dim_ok(l) || !dim_ok(r)) return DIM_ERROR;
    switch ((int)e->op.op) {
    case AST_OP_ADD: d = dim_add(c->dims, l, r); break;
    case AST_OP_SUB: d = dim_sub(c->dims, l, r); break;
    case AST_OP_MUL: d = dim_mul(c->dims, l, r); break;
    case AST_OP_DIV: d = dim_div(c->dims, l, r); break;
    case AST_OP_POW: {
        int64_t n;
        if (!dim_is_const(c->dims, r, &n) || n < 0 || n > DIM_MAX_DEGREE) {
            sem_err(c, DIAG_STATIC, e->op.right->at, "the exponent in a dim must be an integer from 0 to %d",
                    (int)DIM_MAX_DEGREE);
            return DIM_ERROR;
        }
        d = dim_pow(c->dims, l, (uint32_t)n);
        break;
    }
    default: return not_static(c, e, "this");
    }
    if (dim_ok(d)) return d;
    dim_why why = dim_last_why(c->dims);
    diag_class class = why == DIM_DIV_BY_ZERO || why == DIM_REMAINDER ? DIAG_VALUE : DIAG_LIMIT;
    sem_err(c, class, e->at, "`%s` %s", sem_expr_text(c, e), dim_why_text(why));
    return DIM_ERROR;
}

dim static_dim(checker *c, const ast_expr *e)
{
    switch (e->kind) {
    case AST_EXPR_ERROR:
        if (c->layer) c->layer->bad = true;
        return DIM_ERROR;
    case AST_EXPR_NUMBER:
        if (e->number.is_integer) return dim_const(c->dims, e->number.integer);
        sem_err(c, DIAG_STATIC, e->at, "%s is no integer%s",
                e->number.text && strlen(e->number.text) < 40 ? e->number.text : "this",
                e->number.value == floor(e->number.value) ? " that fits in 64 bits" : "");
        return DIM_ERROR;
    case AST_EXPR_NAME: return dim_name(c, e);
    case AST_EXPR_UNARY:
        if (e->op.op == AST_OP_NEG) {
            dim d = static_dim(c, e->op.right);
            return dim_ok(d) ? dim_neg(c->dims, d) : d;
        }
        return not_static(c, e, "this");
    case AST_EXPR_BINARY: return dim_binary(c, e);
    case AST_EXPR_STRING:
    case AST_EXPR_QUALIFIED:
    case AST_EXPR_CALL:
    case AST_EXPR_METHOD:
    case AST_EXPR_MEMBER:
    case AST_EXPR_INDEX: break;
    }
    return not_static(c, e, "this");
}

dim static_positive(checker *c, const ast_expr *e, const char *what)
{
    dim d = static_dim(c, e);
    int64_t v;
    if (dim_ok(d) && dim_is_const(c->dims, d, &v) && v <= 0) {
        sem_err(c, DIAG_STATIC, e->at, "%s must be positive, and this is %lld", what, (long long)v);
        return DIM_ERROR;
    }
    return d;
}

bool static_integer(checker *c, const ast_expr *e, const char *what, int64_t *out)
{
    dim d = static_dim(c, e);
    if (!dim_ok(d)) return false;
    if (dim_is_const(c->dims, d, out)) return true;
    sem_err(c, DIAG_STATIC, e->at, "%s must be known here, and `%s` is not", what, sem_expr_text(c, e));
    return false;
}
