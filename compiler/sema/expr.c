/*
 * Expressions: one case a kind of the tree.
 */
#include "compiler/sema/check.h"

#include <math.h>

static sem_expr *static_value(checker *c, const ast_expr *e, uint32_t i)
{
    const sem_static *s = &c->layer->statics[i];
    sem_expr *r = sem_new(c, s->real ? SEM_REALARG : SEM_DIMVAL, e, 0);
    r->type.elem = SEM_WEAK;
    if (s->real) r->u.static_ = i;
    else r->u.dim = r->integer = s->sym;
    return r;
}

static sem_expr *name(checker *c, const ast_expr *e, ectx x)
{
    str n = e->name.text;
    if (c->fn) {
        const local *l = frame_find(c->fn, n);
        if (l) return l->value ? read_value(c, e, l->value, n, x) : sem_bad(c, e);
    } else {
        binding *b = scope_find(c->scope, n);
        if (b && b->kind == BIND_SYM) return read_sym(c, e, b->sym, x);
        if (b && b->kind == BIND_STATIC) return static_value(c, e, b->static_);
        if (b) {
            b->inst->n_calls++;
            diag *d = sem_err(c, DIAG_NAME, e->at, "`%s` is a layer, no value", n);
            diag_help(d, "call it: %s(x = …)", n);
            return sem_bad(c, e);
        }
    }
    const file_const *k = map_get_ptr(&c->consts, n);
    if (k) {
        if (!k->bad) return sem_number(c, e, k->value);
        if (c->layer) c->layer->bad = true;
        return sem_bad(c, e);
    }
    sem_expr *v = read_builtin(c, e, n, x);
    if (v) return v;
    sem_unknown_name(c, n, e->at);
    return sem_bad(c, e);
}

static sem_fn fn_of(ast_op op)
{
    static const sem_fn fn[AST_N_OPS] = {
        [AST_OP_NEG] = SEM_FN_neg, [AST_OP_NOT] = SEM_FN_not, [AST_OP_ADD] = SEM_FN_add,
        [AST_OP_SUB] = SEM_FN_sub, [AST_OP_MUL] = SEM_FN_mul, [AST_OP_DIV] = SEM_FN_div,
        [AST_OP_POW] = SEM_FN_pow, [AST_OP_LT] = SEM_FN_lt,   [AST_OP_LE] = SEM_FN_le,
        [AST_OP_GT] = SEM_FN_gt,   [AST_OP_GE] = SEM_FN_ge,   [AST_OP_EQ] = SEM_FN_eq,
        [AST_OP_NE] = SEM_FN_ne,   [AST_OP_AND] = SEM_FN_and, [AST_OP_OR] = SEM_FN_or};
    return fn[op];
}

static sem_expr *member(checker *c, const ast_expr *e, ectx x)
{
    const ast_expr *base = e->call.base;
    if (base->kind == AST_EXPR_CALL && !c->fn) {
        binding *b = scope_find(c->scope, base->call.name.text);
        if (b && b->kind == BIND_INST) return check_instance_call(c, base, b->inst, &e->call.name, x);
    }
    sem_expr *v = check_instance_param(c, e);
    if (v) return v;
    v = check_expr(c, base, x);
    if (sem_is_bad(v)) return v;
    diag *d =
        sem_err(c, DIAG_NAME, e->call.name.span,
                "`.%s` can only follow the call of a layer, to choose one of its updates", e->call.name.text);
    diag_mark(d, base->span);
    return sem_bad(c, e);
}

static sem_expr *dispatch(checker *c, const ast_expr *e, ectx x)
{
    switch (e->kind) {
    case AST_EXPR_ERROR:
        if (c->layer) c->layer->bad = true;
        return sem_bad(c, e);
    case AST_EXPR_NUMBER:
        if (isfinite(e->number.value)) return sem_number(c, e, e->number.value);
        sem_err(c, DIAG_VALUE, e->at, "this number is too large");
        return sem_bad(c, e);
    case AST_EXPR_STRING: {
        diag *d = sem_err(c, DIAG_TYPE, e->at, "a text is no value");
        diag_help(d, "only einsum takes one, as its first argument");
        return sem_bad(c, e);
    }
    case AST_EXPR_NAME: return name(c, e, x);
    case AST_EXPR_QUALIFIED: return read_qualified(c, e, x);
    case AST_EXPR_UNARY: return type_unary(c, e, fn_of(e->op.op), check_expr(c, e->op.right, x));
    case AST_EXPR_BINARY: {
        sem_expr *l = check_expr(c, e->op.left, x), *r = check_expr(c, e->op.right, x);
        return e->op.op == AST_OP_MATMUL ? shape_matmul(c, e, l, r) : type_arith(c, e, fn_of(e->op.op), l, r);
    }
    case AST_EXPR_CALL: return check_call(c, e, x);
    case AST_EXPR_METHOD: return check_method(c, e, x);
    case AST_EXPR_MEMBER: return member(c, e, x);
    case AST_EXPR_INDEX: return shape_index(c, e, x);
    }
    return sem_bad(c, e);
}

sem_expr *check_expr(checker *c, const ast_expr *e, ectx x)
{
    if (c->exhausted) return sem_bad(c, e);
    if (c->level >= SEM_MAX_LEVEL) {
        sem_exhausted(c, e->at, "expressions are nested more than %d deep, through fns", (int)SEM_MAX_LEVEL);
        return sem_bad(c, e);
    }
    c->level++;
    sem_expr *r = dispatch(c, e, x);
    c->level--;
    return r;
}
