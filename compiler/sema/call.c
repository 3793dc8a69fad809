/*
 * Calls of functions and methods, and the inlining of helpers.
 */
#include "compiler/sema/check.h"

#include <string.h>

enum { MAX_PARAMS = 4 };

static const struct { const char *params; uint8_t needed; double preset; } signature[] = {
#define FN(id, group, params, needed, preset, text) {params, needed, preset},
#include "compiler/sema/functions.def"
#undef FN
};

/* ---- arguments ---- */

static uint32_t count_params(const char *params)
{
    uint32_t n = *params ? 1 : 0;
    for (; *params; params++) n += *params == ' ';
    return n;
}

static int param_at(const char *params, const char *name)
{
    const size_t len = strlen(name);
    for (int i = 0; ; i++) {
        const char *end = strchr(params, ' ');
        const size_t n = end ? (size_t)(end - params) : strlen(params);
        if (n == len && !memcmp(params, name, n)) return i;
        if (!end) return -1;
        params = end + 1;
    }
}

static bool stray_by(checker *c, const ast_expr *e, const ast_arg *a)
{
    if (a->kind != AST_ARG_BY && a->kind != AST_ARG_PER) return false;
    sem_err(c, DIAG_TYPE, a->span, "`%s` is no aggregate and takes no `%s`", e->call.name.text,
            a->kind == AST_ARG_BY ? "by" : "per");
    return true;
}

/* `known`: the names that there are; NULL is for none that are worth telling. */
static bool place_named(checker *c, const ast_expr *e, const ast_arg *a, int at, const char *known, const ast_expr **slot)
{
    if (at < 0) {
        diag *d = sem_err(c, DIAG_NAME, a->span, "`%s` has no argument `%s`", e->call.name.text, a->name.text);
        if (known && *known) diag_help(d, "those that it has: %s", known);
        return false;
    }
    if (slot[at]) {
        sem_err(c, DIAG_NAME, a->span, "`%s` is given twice", a->name.text);
        return false;
    }
    slot[at] = a->value;
    return true;
}

/* Puts each argument where its parameter is; those not given stay NULL. */
static bool bind_args(checker *c, const ast_expr *e, sem_fn fn, const ast_expr **slot)
{
    const char *params = signature[fn].params;
    const uint32_t most = count_params(params);
    uint32_t n = 0;
    for (uint32_t i = 0; i < e->call.n_args; i++) {
        const ast_arg *a = &e->call.args[i];
        if (stray_by(c, e, a)) return false;
        if (a->kind == AST_ARG_NAMED) {
            if (!place_named(c, e, a, param_at(params, a->name.text), params, slot)) return false;
        } else if (n >= most) {
            diag *d = sem_err(c, DIAG_TYPE, e->at, "`%s` takes %u argument%s, and %u are given",
                              e->call.name.text, most, most == 1 ? "" : "s", e->call.n_args);
            diag_mark(d, a->span);
            return false;
        } else {
            slot[n++] = a->value;
        }
    }
    for (uint32_t i = 0; i < signature[fn].needed; i++) {
        if (slot[i]) continue;
        sem_err(c, DIAG_TYPE, e->at, "`%s` needs %u argument%s (%s)", e->call.name.text, signature[fn].needed,
                signature[fn].needed == 1 ? "" : "s", params);
        return false;
    }
    return true;
}

/* Of a function of any number of operands: all are plain, but one may be named. */
static bool plain_args(checker *c, const ast_expr *e, uint32_t least, const char *named,
                       const ast_expr **value)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < e->call.n_args; i++) {
        const ast_arg *a = &e->call.args[i];
        if (stray_by(c, e, a)) return false;
        if (a->kind == AST_ARG_NAMED) {
            if (!place_named(c, e, a, named && !strcmp(a->name.text, named) ? 0 : -1, named, value)) return false;
        } else {
            n++;
        }
    }
    if (n >= least) return true;
    sem_err(c, DIAG_TYPE, e->at, "`%s` needs an argument", e->call.name.text);
    return false;
}

static sem_expr **check_plain(checker *c, const ast_expr *e, uint32_t skip, ectx x, uint32_t *n)
{
    sem_expr **args = NEW_N(c->a, sem_expr *, e->call.n_args + 1);
    *n = 0;
    for (uint32_t i = 0; i < e->call.n_args; i++) {
        if (e->call.args[i].kind != AST_ARG_PLAIN) continue;
        if (skip) skip--;
        else args[(*n)++] = check_expr(c, e->call.args[i].value, x);
    }
    return args;
}

/* ---- helpers ---- */

static sem_expr *inline_fn(checker *c, const ast_expr *e, const ast_item *it, ectx x)
{
    if (map_get_ptr(&c->wrong_fns, it->name.text)) {
        for (uint32_t i = 0; i < e->call.n_args; i++)
            check_expr(c, e->call.args[i].value, natural_ctx(need_of(c, e->call.args[i].value), x));
        if (c->layer) c->layer->bad = true;
        return sem_bad(c, e);
    }
    const uint32_t n = it->fn.n_params;
    const ast_expr **slot = NEW_N(c->a, const ast_expr *, n + 1);
    uint32_t given = 0;
    for (uint32_t i = 0; i < e->call.n_args; i++) {
        const ast_arg *a = &e->call.args[i];
        if (stray_by(c, e, a)) return sem_bad(c, e);
        if (a->kind == AST_ARG_NAMED) {
            int at = -1;
            for (uint32_t k = 0; k < n; k++)
                if (it->fn.params[k].text == a->name.text) at = (int)k;
            if (!place_named(c, e, a, at, NULL, slot)) return sem_bad(c, e);
        } else if (given < n) {
            slot[given] = a->value;
            given++;
        } else {
            given = n + 1;
        }
    }
    bool all = given <= n;
    for (uint32_t i = 0; i < n; i++) all = all && slot[i];
    if (!all) {
        diag *d = sem_err(c, DIAG_TYPE, e->at, "`%s` takes %u argument%s, and %u %s given", it->name.text, n,
                          n == 1 ? "" : "s", e->call.n_args, e->call.n_args == 1 ? "is" : "are");
        diag_note_at(d, it->name.span, "defined here");
        return sem_bad(c, e);
    }
    fn_frame frame = {.fn = it, .up = c->fn, .call = e->span, .names = map_make(c->a)};
    frame.locals = NEW_N(c->a, local, n + it->fn.n_lets + 1);
    for (uint32_t i = 0; i < n; i++)
        frame_add(c, &frame, &it->fn.params[i], check_expr(c, slot[i], natural_ctx(need_of(c, slot[i]), x)));
    const fn_frame *outer = c->fn;
    c->fn = &frame;
    for (uint32_t i = 0; i < it->fn.n_lets; i++) {
        const ast_let *l = &it->fn.lets[i];
        frame_add(c, &frame, &l->name, check_expr(c, l->value, natural_ctx(need_of(c, l->value), x)));
    }
    sem_expr *r = it->fn.result ? check_expr(c, it->fn.result, x) : sem_bad(c, e);
    c->fn = outer;
    return r;
}

/* ---- functions with rules of their own ---- */

static sem_expr *one_operand(checker *c, sem_kind kind, const ast_expr *e, sem_expr *v, uint32_t room)
{
    sem_expr *r = sem_new(c, kind, e, room);
    r->args[0] = v;
    r->dom = v->dom;
    r->type = v->type;
    if (r->type.elem == SEM_WEAK) r->type.elem = c->real;
    return r;
}

static sem_expr *to_real(checker *c, const ast_expr *e, sem_expr *v)
{
    if (sem_is_bad(v)) return v;
    int64_t range;
    const int64_t exact = c->real == SEM_F64 ? (int64_t)1 << 53 : 1 << 24;
    if (v->type.elem == SEM_INDEX && dim_is_const(c->dims, v->type.range, &range) && range > exact + 1)
        diag_warning(c->ds, DIAG_PRECISION, e->at, "an index(%lld) has more values than a real tells apart",
                     (long long)range);
    sem_expr *r = one_operand(c, SEM_TO_REAL, e, v, 1);
    r->type = (sem_type){.elem = c->real, .shape = v->type.shape};
    return r;
}

static sem_expr *bucket(checker *c, const ast_expr *e, sem_expr *v, const ast_expr *range)
{
    dim r = static_positive(c, range, "the number of buckets");
    if (sem_is_bad(v) || !dim_ok(r) || !need_float(c, v, e->at, "`bucket`")) return sem_bad(c, e);
    sem_expr *b = one_operand(c, SEM_BUCKET, e, v, 1);
    b->type = (sem_type){.elem = SEM_INDEX, .range = r, .shape = v->type.shape};
    return b;
}

static sem_expr *dot(checker *c, const ast_expr *e, sem_expr *a, sem_expr *b)
{
    sem_expr *args[] = {a, b};
    sem_expr *p = type_ew(c, e, SEM_FN_mul, args, 2);
    if (sem_is_bad(p)) return p;
    if (!p->type.shape.rank) {
        sem_err(c, DIAG_SHAPE, e->at, "`dot` sums over the last axis, and both are scalars");
        return sem_bad(c, e);
    }
    p->kind = SEM_DOT;
    p->type.shape.rank--;
    return p;
}

static sem_expr *layer_norm(checker *c, const ast_expr *e, sem_expr **args)
{
    if (sem_any_bad(args, 4)) return sem_bad(c, e);
    const sem_shape *s = &args[0]->type.shape;
    sem_expr *r = one_operand(c, SEM_LAYER_NORM, e, args[0], 4);
    for (uint32_t i = 0; i < 4; i++) {
        if (!need_float(c, args[i], e->at, "`layer_norm`")) return sem_bad(c, e);
        r->args[i] = args[i];
        r->dom = (uint8_t)dom_join((sem_dom)r->dom, (sem_dom)args[i]->dom);
        r->type.elem = elem_join(r->type.elem, args[i]->type.elem);
    }
    const char *what = !s->rank                                  ? "a scalar has no axis to normalise"
                       : !shape_fits(c, &args[1]->type.shape, s) ? "gamma does not fit"
                       : !shape_fits(c, &args[2]->type.shape, s) ? "beta does not fit"
                       : args[3]->type.shape.rank                ? "eps must be a scalar"
                                                                 : NULL;
    if (!what) return r;
    diag *d = sem_err(c, DIAG_SHAPE, e->at, "`layer_norm` of %s, gamma %s, beta %s: %s", sem_sh(c, s),
                      sem_sh(c, &args[1]->type.shape), sem_sh(c, &args[2]->type.shape), what);
    for (uint32_t i = 0; i < 3; i++) diag_mark(d, args[i]->span);
    return sem_bad(c, e);
}

static sem_expr *dropout(checker *c, const ast_expr *e, sem_expr *v, sem_expr *p)
{
    sem_expr *args[] = {v, p};
    if (sem_any_bad(args, 2)) return sem_bad(c, e);
    if (!need_float(c, v, e->at, "`dropout`") || !need_float(c, p, e->at, "`dropout`")) return sem_bad(c, e);
    diag *d = NULL;
    if (p->constant && !(p->number >= 0 && p->number < 1))
        d = sem_err(c, DIAG_VALUE, e->at,
                    "the probability of `dropout` is %g, and must be at least 0 and less than 1", p->number);
    else if (p->type.shape.rank)
        d = sem_err(c, DIAG_SHAPE, e->at, "the probability of `dropout` must be a scalar");
    else if (p->dom > SEM_GLOBAL)
        d = sem_err(c, DIAG_DOMAIN, e->at,
                    "the probability of `dropout` must be the same for the whole call");
    if (d) {
        diag_mark(d, p->span);
        return sem_bad(c, e);
    }
    sem_expr *r = one_operand(c, SEM_DROPOUT, e, v, 2);
    r->args[1] = p;
    r->u.loop = scope_loop(c->scope);
    return r;
}

static sem_expr *fill(checker *c, const ast_expr *e, double value)
{
    sem_expr *r = sem_new(c, SEM_FILL, e, 0);
    r->type.elem = c->real;
    r->u.value = value;
    if (!plain_args(c, e, 0, NULL, NULL) || !shape_rank_ok(c, e->call.n_args, e->at)) return sem_bad(c, e);
    for (uint32_t i = 0; i < e->call.n_args; i++) {
        dim d = static_positive(c, e->call.args[i].value, "a dim");
        if (!dim_ok(d)) return sem_bad(c, e);
        r->type.shape.at[r->type.shape.rank++] = d;
    }
    return r;
}

static sem_expr *iota(checker *c, const ast_expr *e, const ast_expr *n)
{
    dim d = static_positive(c, n, "a dim");
    if (!dim_ok(d)) return sem_bad(c, e);
    sem_expr *r = sem_new(c, SEM_IOTA, e, 0);
    r->type = (sem_type){.elem = c->real, .shape = {.rank = 1, .at = {d}}};
    return r;
}

static sem_expr *einsum(checker *c, const ast_expr *e, ectx x)
{
    if (!plain_args(c, e, 1, NULL, NULL)) return sem_bad(c, e);
    const ast_expr *spec = e->call.args[0].value;
    uint32_t n;
    sem_expr **args = check_plain(c, e, 1, x, &n);
    if (spec->kind != AST_EXPR_STRING) {
        diag *d = sem_err(c, DIAG_TYPE, e->at, "the first argument of `einsum` is its specification");
        diag_help(d, "as in einsum(\"ij,jk->ik\", a, b)");
        return sem_bad(c, e);
    }
    return shape_einsum(c, e, spec, args, n);
}

/* ---- grad ---- */

/* Does y depend on s? A walk with a stack of its own; each expression and each name is looked at once. */
static bool depends(checker *c, sem_expr *y, const sem_sym *s)
{
    const arena_mark before = arena_get_mark(c->a);
    bool found = false;
    VEC(sem_expr *) todo = {0};
    bool *seen = NEW_N(c->a, bool, c->n_exprs + 1);
    map syms = map_make(c->a);
    vec_push(c->a, &todo, y);
    while (todo.n && !found) {
        sem_expr *e = vec_pop(&todo);
        if (!e || seen[e->id]) continue;
        seen[e->id] = true;
        for (uint32_t i = 0; i < e->n_args; i++) vec_push(c->a, &todo, e->args[i]);
        if (e->kind != SEM_READ && e->kind != SEM_GRAD) continue;
        found = e->u.sym == s;
        if (map_has(&syms, map_key(e->u.sym))) continue;
        map_put(&syms, map_key(e->u.sym), 1);
        vec_push(c->a, &todo, e->u.sym->value);
        vec_push(c->a, &todo, e->u.sym->next);
    }
    arena_release(c->a, before);
    return found;
}

static sem_expr *grad(checker *c, const ast_expr *e, const ast_expr *ye, const ast_expr *xe, ectx x)
{
    sem_dom yd = need_finest(need_of(c, ye));
    sem_expr *y = check_expr(c, ye, ectx_of(yd == SEM_PARAM ? SEM_GLOBAL : yd));
    sem_expr *v = NULL;
    if (xe->kind == AST_EXPR_NAME) v = check_expr(c, xe, x);
    if ((v && sem_is_bad(v)) || sem_is_bad(y)) return sem_bad(c, e);
    if (!v || v->kind != SEM_READ) {
        diag *d =
            sem_err(c, DIAG_TYPE, xe->at, "`grad` is with respect to an input or an earlier definition");
        diag_help(d, "write its bare name");
        return sem_bad(c, e);
    }
    if (!need_float(c, y, e->at, "`grad`") || !need_float(c, v, e->at, "`grad`")) return sem_bad(c, e);
    if (!depends(c, y, v->u.sym)) {
        diag *d = sem_err(c, DIAG_VALUE, e->at, "`%s` does not depend on `%s`", sem_expr_text(c, ye),
                          v->u.sym->name);
        diag_mark(d, ye->span);
        diag_mark(d, xe->span);
        return sem_bad(c, e);
    }
    sem_expr *r = sem_new(c, SEM_GRAD, e, 1);
    r->args[0] = y;
    r->dom = v->dom;
    r->type = v->type;
    r->u.sym = v->u.sym;
    r->u.sym->by_grad = true;
    return r;
}

/* ---- dispatch ---- */

static sem_expr *special(checker *c, const ast_expr *e, sem_fn fn, ectx x)
{
    const ast_expr *slot[MAX_PARAMS] = {0}, *axis = NULL;
    uint32_t n = 0;
    sem_expr **args;
    switch ((int)fn) {
    case SEM_FN_concat:
        if (!plain_args(c, e, 1, "axis", &axis)) return sem_bad(c, e);
        args = check_plain(c, e, 0, x, &n);
        return shape_concat(c, e, args, n, axis);
    case SEM_FN_stack:
        if (!plain_args(c, e, 1, NULL, NULL)) return sem_bad(c, e);
        args = check_plain(c, e, 0, x, &n);
        return shape_stack(c, e, args, n);
    case SEM_FN_zeros: return fill(c, e, 0);
    case SEM_FN_ones: return fill(c, e, 1);
    case SEM_FN_einsum: return einsum(c, e, x);
    default: break;
    }
    if (!bind_args(c, e, fn, slot)) return sem_bad(c, e);
    switch ((int)fn) {
    case SEM_FN_iota: return iota(c, e, slot[0]);
    case SEM_FN_bucket: return bucket(c, e, check_expr(c, slot[0], x), slot[1]);
    case SEM_FN_grad: return grad(c, e, slot[0], slot[1], x);
    default: break;
    }
    sem_expr *v[MAX_PARAMS] = {0};
    for (uint32_t i = 0; i < count_params(signature[fn].params); i++)
        v[i] = slot[i] ? check_expr(c, slot[i], x) : sem_number(c, e, signature[fn].preset);
    switch ((int)fn) {
    case SEM_FN_where: return type_where(c, e, v[0], v[1], v[2]);
    case SEM_FN_real: return to_real(c, e, v[0]);
    case SEM_FN_dot: return dot(c, e, v[0], v[1]);
    case SEM_FN_layer_norm: return layer_norm(c, e, v);
    case SEM_FN_dropout: return dropout(c, e, v[0], v[1]);
    default:                                     /* stop_gradient */
        if (sem_is_bad(v[0])) return v[0];
        return need_float(c, v[0], e->at, "`stop_gradient`") ? one_operand(c, SEM_STOP, e, v[0], 1)
                                                             : sem_bad(c, e);
    }
}

sem_expr *check_call(checker *c, const ast_expr *e, ectx x)
{
    str name = e->call.name.text;
    binding *b = c->fn ? NULL : scope_find(c->scope, name);
    if (b && b->kind == BIND_INST) return check_instance_call(c, e, b->inst, NULL, x);
    const ast_item *fn = map_get_ptr(&c->fns, name);
    if (fn) return inline_fn(c, e, fn, x);
    sem_fn f;
    if (!sem_find_fn(name, false, &f)) {
        if (b && b->kind == BIND_SYM && b->sym->type.elem == SEM_POISON) {
            b->sym->used = true;
        } else if (b) {
            if (b->kind == BIND_SYM) b->sym->used = true;
            diag *d = sem_err(c, DIAG_NAME, e->at, "`%s` is a value, no function", name);
            diag_note_at(d, b->where, "defined here");
        } else {
            sem_unknown_fn(c, name, e->at, false);
        }
        return sem_bad(c, e);
    }
    if (f >= SEM_FN_sum && f <= SEM_FN_softmax) return check_aggregate(c, e, f, x);
    if (f < SEM_FN_exp || f > SEM_FN_clamp) return special(c, e, f, x);
    const ast_expr *slot[MAX_PARAMS] = {0};
    if (!bind_args(c, e, f, slot)) return sem_bad(c, e);
    sem_expr *args[MAX_PARAMS];
    const uint32_t n = count_params(signature[f].params);
    for (uint32_t i = 0; i < n; i++)
        args[i] = slot[i] ? check_expr(c, slot[i], x) : sem_number(c, e, signature[f].preset);
    return type_ew(c, e, f, args, n);
}

static sem_expr *reshape(checker *c, const ast_expr *e, sem_expr *v)
{
    if (!plain_args(c, e, 0, NULL, NULL)) return sem_bad(c, e);
    dim *dims = NEW_N(c->a, dim, e->call.n_args + 1);
    bool fine = true;
    for (uint32_t i = 0; i < e->call.n_args; i++) {
        dims[i] = static_positive(c, e->call.args[i].value, "a dim");
        fine = fine && dim_ok(dims[i]);
    }
    return fine && !sem_is_bad(v) ? shape_reshape(c, e, v, dims, e->call.n_args) : sem_bad(c, e);
}

sem_expr *check_method(checker *c, const ast_expr *e, ectx x)
{
    sem_expr *v = check_expr(c, e->call.base, x);
    sem_fn f;
    if (!sem_find_fn(e->call.name.text, true, &f)) {
        sem_unknown_fn(c, e->call.name.text, e->at, true);
        return sem_bad(c, e);
    }
    if (f == SEM_FN_reshape) return reshape(c, e, v);
    const ast_expr *slot[MAX_PARAMS] = {0};
    if (!bind_args(c, e, f, slot) || sem_is_bad(v)) return sem_bad(c, e);
    const char *text = sem_sh(c, &v->type.shape);
    const uint32_t rank = v->type.shape.rank;
    uint32_t axis, other;
    if (!shape_axis(c, slot[0], rank, e->at, text, &axis)) return sem_bad(c, e);
    if (f == SEM_FN_transpose) {
        if (!shape_axis(c, slot[1], rank, e->at, text, &other)) return sem_bad(c, e);
        sem_expr *r = one_operand(c, SEM_TRANSPOSE, e, v, 1);
        r->u.swap.a = axis;
        r->u.swap.b = other;
        r->type.shape.at[axis] = v->type.shape.at[other];
        r->type.shape.at[other] = v->type.shape.at[axis];
        return r;
    }
    if (!need_float(c, v, e->at, arena_printf(c->a, "`.%s`", e->call.name.text))) return sem_bad(c, e);
    sem_expr *r = one_operand(c, SEM_AXIS, e, v, 1);
    r->u.axis.fn = f;
    r->u.axis.axis = axis;
    if (f == SEM_FN_axis_softmax || f == SEM_FN_axis_log_softmax) return r;
    sem_shape *s = &r->type.shape;
    for (uint32_t i = axis; i + 1 < s->rank; i++) s->at[i] = s->at[i + 1];
    s->rank--;
    return r;
}
