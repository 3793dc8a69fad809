/*
 * Element types: what operators and functions take and give.
 */
#include "compiler/sema/check.h"

#include <string.h>

bool need_float(checker *c, const sem_expr *v, span at, const char *who)
{
    if (sem_is_float(v->type.elem)) return true;
    diag *d = sem_err(c, DIAG_TYPE, at, "%s needs numbers, and this is %s", who,
                      v->type.elem == SEM_BOOL ? "a bool" : "an index");
    if (!span_same(at, v->span)) diag_mark(d, v->span);
    diag_help(d, "real(…) converts it");
    return false;
}

sem_elem elem_join(sem_elem a, sem_elem b)
{
    if (a == SEM_POISON || b == SEM_POISON) return SEM_POISON;
    if ((a == SEM_F16 && b == SEM_BF16) || (a == SEM_BF16 && b == SEM_F16)) return SEM_F32;
    return a > b ? a : b;                        /* WEAK < F16, BF16 < F32 < F64 */
}

bool type_agree(checker *c, sem_type *into, const sem_type *other)
{
    if (sem_is_float(into->elem) && sem_is_float(other->elem)) {
        into->elem = elem_join(into->elem, other->elem);
        return true;
    }
    if (into->elem != other->elem) return false;
    if (into->elem != SEM_INDEX) return true;
    into->none |= other->none;
    return dim_equal(c->dims, into->range, other->range);
}

static const char *width_name(sem_elem e)
{
    static const char *const name[] = {
        [SEM_F16] = "f16", [SEM_BF16] = "bf16", [SEM_F32] = "f32", [SEM_F64] = "f64"};
    return name[e];
}

void warn_narrowed(checker *c, span at, sem_elem from, sem_elem to)
{
    if (from == SEM_F64 && to < SEM_F64 && to > SEM_WEAK)
        diag_warning(c->ds, DIAG_PRECISION, at, "an f64 is rounded to %s here", width_name(to));
}

/* ---- operators ---- */

static const char *op_text(sem_fn fn)
{
    static const char *const text[] = {
        "+", "-", "*", "/", "**", "-", "<", "<=", ">", ">=", "==", "!=", "&&", "||", "!"};
    return text[fn];
}

static sem_expr *ew(checker *c, const ast_expr *e, sem_fn fn, sem_expr **args, uint32_t n)
{
    sem_expr *r = sem_new(c, SEM_EW, e, n);
    r->u.fn = fn;
    for (uint32_t i = 0; i < n; i++) {
        r->args[i] = args[i];
        r->dom = (uint8_t)dom_join((sem_dom)r->dom, (sem_dom)args[i]->dom);
    }
    return r;
}

/* Constants become numbers at once, so that messages and limits see their values. */
static sem_expr *fold(checker *c, const ast_expr *e, sem_fn fn, sem_expr *r)
{
    if (r->type.elem != SEM_WEAK || r->n_args > 3) return r;
    double v[3] = {0};
    bool all = sem_folds(fn);
    for (uint32_t i = 0; i < r->n_args; i++) {
        all = all && r->args[i]->constant;
        v[i] = r->args[i]->number;
    }
    if (!all) {
        if (r->n_args <= 2) r->integer = dim_arith(c, fn, r->args[0], r->n_args == 2 ? r->args[1] : NULL);
        return r;
    }
    if (fn == SEM_FN_div && v[1] == 0) {
        sem_err(c, DIAG_VALUE, e->at, "division by zero in a constant");
        return sem_bad(c, e);
    }
    return sem_number(c, e, sem_fold(fn, v));
}

static void suggest_repeat(checker *c, diag *d, const ast_expr *e, const sem_expr *l, const sem_expr *r)
{
    const bool left = l->type.shape.rank < r->type.shape.rank;
    const sem_shape *small = left ? &l->type.shape : &r->type.shape,
                    *big = left ? &r->type.shape : &l->type.shape;
    if (small->rank == 0 || small->rank >= big->rank) return;
    for (uint32_t i = 0; i < small->rank; i++)
        if (!dim_equal(c->dims, small->at[i], big->at[i])) return;
    const ast_expr *operand = left ? e->op.left : e->op.right;
    const bool brackets = operand->kind == AST_EXPR_BINARY || operand->kind == AST_EXPR_UNARY;
    diag_help(d, "to repeat the %s along the last ax%s, write %s%s%s[%s%s]", left ? "left" : "right",
              big->rank - small->rank == 1 ? "is" : "es", brackets ? "(" : "", sem_expr_text(c, operand),
              brackets ? ")" : "",
              small->rank == 1   ? ":, None"
              : small->rank == 2 ? ":, :, None"
                                 : ":, :, :, None",
              big->rank - small->rank == 1   ? ""
              : big->rank - small->rank == 2 ? ", None"
                                             : ", None, None");
}

static bool join_operands(checker *c, const ast_expr *e, sem_fn fn, sem_expr *l, sem_expr *r, sem_shape *out)
{
    int axis = 0;
    if (shape_join(c, &l->type.shape, &r->type.shape, out, &axis)) return true;
    const char *a = sem_sh(c, &l->type.shape), *b = sem_sh(c, &r->type.shape);
    const char *with = fn == SEM_FN_mul || fn == SEM_FN_div ? "by"
                       : fn == SEM_FN_pow                   ? "to the power"
                                                            : "and";
    const sem_shape *ls = &l->type.shape, *rs = &r->type.shape;
    diag *d =
        sem_err(c, DIAG_SHAPE, e->at, "cannot %s %s %s %s: axis %d is %s on the left, %s on the right",
                sem_fn_name(fn), a, with, b, axis, dim_text(c->dims, ls->at[(int)ls->rank + axis], c->a),
                dim_text(c->dims, rs->at[(int)rs->rank + axis], c->a));
    diag_mark(d, e->op.left->span);
    diag_mark(d, e->op.right->span);
    suggest_repeat(c, d, e, l, r);
    return false;
}

static sem_expr *wrong_kind(checker *c, const ast_expr *e, sem_fn fn, const sem_expr *l, const sem_expr *r,
                            const char *wants)
{
    diag *d = sem_err(c, DIAG_TYPE, e->at, "`%s` needs %s, and %s is %s", op_text(fn), wants,
                      r ? "one operand" : "this", sem_ty(c, l));
    diag_mark(d, l->span);
    if (l->type.elem == SEM_INDEX || l->type.elem == SEM_BOOL) diag_help(d, "real(…) converts it");
    else diag_help(d, "a comparison, as x > 0, gives a bool");
    return sem_bad(c, e);
}

static bool comparable(checker *c, sem_fn fn, const sem_expr *l, const sem_expr *r)
{
    const sem_elem a = l->type.elem, b = r->type.elem;
    if (sem_is_float(a) && sem_is_float(b)) return true;
    if (a == SEM_BOOL && b == SEM_BOOL) return fn == SEM_FN_eq || fn == SEM_FN_ne;
    if (a == SEM_INDEX && b == SEM_INDEX) return true;
    if (a == SEM_INDEX && b == SEM_WEAK) return dim_ok(dim_of_expr(c, r));
    if (b == SEM_INDEX && a == SEM_WEAK) return dim_ok(dim_of_expr(c, l));
    return false;
}

sem_expr *type_arith(checker *c, const ast_expr *e, sem_fn fn, sem_expr *l, sem_expr *r)
{
    sem_expr *args[] = {l, r};
    if (sem_any_bad(args, 2)) return sem_bad(c, e);
    sem_type t = {0};
    if (fn <= SEM_FN_pow) {
        if (!sem_is_float(l->type.elem)) return wrong_kind(c, e, fn, l, r, "numbers");
        if (!sem_is_float(r->type.elem)) return wrong_kind(c, e, fn, r, l, "numbers");
        t.elem = elem_join(l->type.elem, r->type.elem);
    } else if (fn == SEM_FN_and || fn == SEM_FN_or) {
        if (l->type.elem != SEM_BOOL) return wrong_kind(c, e, fn, l, r, "bools");
        if (r->type.elem != SEM_BOOL) return wrong_kind(c, e, fn, r, l, "bools");
        t.elem = SEM_BOOL;
    } else {
        if (!comparable(c, fn, l, r)) {
            diag *d = sem_err(c, DIAG_TYPE, e->at, "`%s` cannot compare %s with %s", op_text(fn),
                              sem_ty(c, l), sem_ty(c, r));
            diag_mark(d, l->span);
            diag_mark(d, r->span);
            return sem_bad(c, e);
        }
        t.elem = SEM_BOOL;
    }
    if (!join_operands(c, e, fn, l, r, &t.shape)) return sem_bad(c, e);
    sem_expr *v = ew(c, e, fn, args, 2);
    v->type = t;
    return fold(c, e, fn, v);
}

sem_expr *type_unary(checker *c, const ast_expr *e, sem_fn fn, sem_expr *v)
{
    if (sem_is_bad(v)) return v;
    if (fn == SEM_FN_not ? v->type.elem != SEM_BOOL : !sem_is_float(v->type.elem))
        return wrong_kind(c, e, fn, v, NULL, fn == SEM_FN_not ? "a bool" : "a number");
    sem_expr *r = ew(c, e, fn, &v, 1);
    r->type = v->type;
    return fold(c, e, fn, r);
}

/* ---- functions ---- */

/* Joins the shapes of all operands, in order. */
static bool join_all(checker *c, const ast_expr *e, const char *who, sem_expr **args, uint32_t n,
                     sem_shape *out)
{
    *out = args[0]->type.shape;
    for (uint32_t i = 1; i < n; i++) {
        sem_shape joined;
        int axis;
        if (!shape_join(c, out, &args[i]->type.shape, &joined, &axis)) {
            diag *d = sem_err(c, DIAG_SHAPE, e->at, "`%s` cannot join %s and %s", who, sem_sh(c, out),
                              sem_sh(c, &args[i]->type.shape));
            for (uint32_t k = 0; k < n; k++) diag_mark(d, args[k]->span);
            return false;
        }
        *out = joined;
    }
    return true;
}

sem_expr *type_where(checker *c, const ast_expr *e, sem_expr *cond, sem_expr *a, sem_expr *b)
{
    sem_expr *args[] = {cond, a, b};
    if (sem_any_bad(args, 3)) return sem_bad(c, e);
    if (cond->type.elem != SEM_BOOL) {
        diag *d = sem_err(c, DIAG_TYPE, e->at, "the condition of `where` is %s, and must be a bool",
                          sem_ty(c, cond));
        diag_mark(d, cond->span);
        if (sem_is_float(cond->type.elem)) diag_help(d, "compare it, as %s != 0", "x");
        return sem_bad(c, e);
    }
    sem_type t = a->type;
    if (!type_agree(c, &t, &b->type)) {
        diag *d =
            sem_err(c, DIAG_TYPE, e->at, "the branches of `where` are %s and %s", sem_ty(c, a), sem_ty(c, b));
        diag_mark(d, a->span);
        diag_mark(d, b->span);
        return sem_bad(c, e);
    }
    if (!join_all(c, e, "where", args, 3, &t.shape)) return sem_bad(c, e);
    sem_expr *r = ew(c, e, SEM_FN_where, args, 3);
    if (t.elem == SEM_WEAK) t.elem = c->real;
    r->type = t;
    return r;
}

sem_expr *type_ew(checker *c, const ast_expr *e, sem_fn fn, sem_expr **args, uint32_t n)
{
    if (sem_any_bad(args, n)) return sem_bad(c, e);
    const char *who = arena_printf(c->a, "`%s`", e->call.name.text);
    sem_type t = {.elem = SEM_WEAK};
    for (uint32_t i = 0; i < n; i++) {
        if (!need_float(c, args[i], e->at, who)) return sem_bad(c, e);
        t.elem = elem_join(t.elem, args[i]->type.elem);
    }
    if (!join_all(c, e, e->call.name.text, args, n, &t.shape)) return sem_bad(c, e);
    if (fn == SEM_FN_clamp && args[1]->constant && args[2]->constant && args[1]->number > args[2]->number) {
        diag *d = sem_err(c, DIAG_VALUE, e->at, "`clamp` to an empty range: %g is above %g", args[1]->number,
                          args[2]->number);
        diag_mark(d, args[1]->span);
        diag_mark(d, args[2]->span);
        return sem_bad(c, e);
    }
    sem_expr *r = ew(c, e, fn, args, n);
    r->type = t;
    return fold(c, e, fn, r);
}
