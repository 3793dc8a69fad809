/*
 * Shapes: which fit together, and what comes out.
 */
#include "compiler/sema/check.h"

#include <string.h>

bool shape_same(checker *c, const sem_shape *a, const sem_shape *b)
{
    if (a->rank != b->rank) return false;
    for (uint32_t i = 0; i < a->rank; i++)
        if (!dim_equal(c->dims, a->at[i], b->at[i])) return false;
    return true;
}

bool shape_join(checker *c, const sem_shape *a, const sem_shape *b, sem_shape *out, int *axis)
{
    const sem_shape *big = a->rank >= b->rank ? a : b, *small = big == a ? b : a;
    sem_shape r = *big;
    for (uint32_t k = 1; k <= small->rank; k++) {
        dim x = big->at[big->rank - k], y = small->at[small->rank - k];
        if (dim_equal(c->dims, x, y)) {
            if (!dim_ok(x)) r.at[r.rank - k] = y;
        } else if (dim_is(c->dims, x, 1)) {
            r.at[r.rank - k] = y;
        } else if (!dim_is(c->dims, y, 1)) {
            *axis = -(int)k;
            return false;
        }
    }
    *out = r;
    return true;
}

bool shape_fits(checker *c, const sem_shape *small, const sem_shape *into)
{
    sem_shape joined;
    int axis;
    return shape_join(c, small, into, &joined, &axis) && shape_same(c, &joined, into);
}

bool shape_rank_ok(checker *c, uint32_t rank, span at)
{
    if (rank <= SEM_MAX_RANK) return true;
    sem_err(c, DIAG_SHAPE, at, "this has %u axes, and %d is the most", rank, (int)SEM_MAX_RANK);
    return false;
}

bool shape_axis(checker *c, const ast_expr *axis, uint32_t rank, span at, const char *text, uint32_t *out)
{
    int64_t a;
    if (!static_integer(c, axis, "an axis", &a)) return false;
    if (a >= -(int64_t)rank && a < (int64_t)rank) {
        *out = (uint32_t)(a < 0 ? a + rank : a);
        return true;
    }
    if (rank) sem_err(c, DIAG_SHAPE, at, "there is no axis %lld in %s", (long long)a, text);
    else sem_err(c, DIAG_SHAPE, at, "a scalar has no axes");
    return false;
}

/* ---- products ---- */

sem_expr *shape_matmul(checker *c, const ast_expr *e, sem_expr *l, sem_expr *r)
{
    if (sem_is_bad(l) || sem_is_bad(r)) return sem_bad(c, e);
    if (!need_float(c, l, e->at, "`@`") || !need_float(c, r, e->at, "`@`")) return sem_bad(c, e);
    const sem_shape *a = &l->type.shape, *b = &r->type.shape;
    diag *d = NULL;
    if (!a->rank || !b->rank) {
        d = sem_err(c, DIAG_SHAPE, e->at, "`@` needs an axis on both sides, and the %s is a scalar",
                    a->rank ? "right" : "left");
        diag_help(d, "write * to scale");
    } else if (!dim_equal(c->dims, a->at[a->rank - 1], b->at[0])) {
        d = sem_err(c, DIAG_SHAPE, e->at,
                    "cannot contract %s with %s: the last axis of the left is %s, the first of the right %s",
                    sem_sh(c, a), sem_sh(c, b), dim_text(c->dims, a->at[a->rank - 1], c->a),
                    dim_text(c->dims, b->at[0], c->a));
        if (b->rank == 2 && e->op.right->kind == AST_EXPR_NAME &&
            dim_equal(c->dims, a->at[a->rank - 1], b->at[1]))
            diag_help(d, "the last axis of the right would fit: write %s.transpose(0, 1)",
                      sem_expr_text(c, e->op.right));
    }
    if (d) {
        diag_mark(d, e->op.left->span);
        diag_mark(d, e->op.right->span);
        return sem_bad(c, e);
    }
    const uint32_t rank = a->rank + b->rank - 2;
    if (!shape_rank_ok(c, rank, e->at)) return sem_bad(c, e);
    sem_expr *v = sem_new(c, SEM_MATMUL, e, 2);
    v->args[0] = l;
    v->args[1] = r;
    v->dom = (uint8_t)dom_join((sem_dom)l->dom, (sem_dom)r->dom);
    v->type.elem = elem_join(l->type.elem, r->type.elem);
    v->type.shape.rank = rank;
    for (uint32_t i = 0; i + 1 < a->rank; i++) v->type.shape.at[i] = a->at[i];
    for (uint32_t i = 1; i < b->rank; i++) v->type.shape.at[a->rank + i - 2] = b->at[i];
    return v;
}

enum { MAX_OPERANDS = 8 };

static bool is_letter(char ch) { return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z'); }

/* Cuts "ij,jk->ik" into its operands and result; NULL: reported. */
static sem_einsum *cut_spec(checker *c, const ast_expr *spec, uint32_t *n_operands)
{
    sem_einsum *es = NEW(c->a, sem_einsum);
    const char *s = spec->string.text, *arrow = strstr(s, "->");
    if (!arrow) {
        diag *d = sem_err(c, DIAG_SHAPE, spec->at, "the specification has no `->`");
        diag_help(d, "write the letters of the result after it, as in \"ij,jk->ik\"");
        return NULL;
    }
    uint32_t n = 0, len = 0;
    const size_t max = strlen(s) + 1;
    char *cur = NEW_N(c->a, char, max);
    for (const char *p = s; ; p++) {
        if (p == arrow || *p == ',' || !*p) {
            if (n >= MAX_OPERANDS) {
                sem_err(c, DIAG_LIMIT, spec->at, "einsum takes at most %d operands", (int)MAX_OPERANDS);
                return NULL;
            }
            if (p > arrow) {
                if (*p) break;
                es->out = cur;
                *n_operands = n;
                return es;
            }
            es->in[n++] = cur;
            cur = NEW_N(c->a, char, max);
            len = 0;
            if (p == arrow) p++;
        } else if (*p == ' ') {
            continue;
        } else if (!is_letter(*p)) {
            break;
        } else if (strchr(cur, *p)) {
            sem_err(c, DIAG_SHAPE, spec->at, "the letter %c stands twice in one operand", *p);
            return NULL;
        } else {
            cur[len++] = *p;
        }
    }
    sem_err(c, DIAG_SHAPE, spec->at,
            "the specification is letters, commas and one `->`, as in \"ij,jk->ik\"");
    return NULL;
}

sem_expr *shape_einsum(checker *c, const ast_expr *e, const ast_expr *spec, sem_expr **args, uint32_t n)
{
    uint32_t n_in = 0;
    sem_einsum *es = cut_spec(c, spec, &n_in);
    if (!es || sem_any_bad(args, n)) return sem_bad(c, e);
    if (n_in != n) {
        sem_err(c, DIAG_SHAPE, e->at, "the specification has %u operand%s, and %u %s given", n_in,
                n_in == 1 ? "" : "s", n, n == 1 ? "is" : "are");
        return sem_bad(c, e);
    }
    dim size[128] = {{0}};
    bool known[128] = {false};
    sem_expr *v = sem_new(c, SEM_EINSUM, e, n);
    v->u.einsum = es;
    v->type.elem = SEM_WEAK;
    for (uint32_t i = 0; i < n; i++) {
        const sem_shape *s = &args[i]->type.shape;
        if (!need_float(c, args[i], e->at, "`einsum`")) return sem_bad(c, e);
        if (strlen(es->in[i]) != s->rank) {
            diag *d =
                sem_err(c, DIAG_SHAPE, e->at, "operand %u is %s, and \"%s\" names %zu ax%s", i + 1,
                        sem_sh(c, s), es->in[i], strlen(es->in[i]), strlen(es->in[i]) == 1 ? "is" : "es");
            diag_mark(d, args[i]->span);
            return sem_bad(c, e);
        }
        for (uint32_t k = 0; k < s->rank; k++) {
            const int letter = es->in[i][k];
            if (known[letter] && !dim_equal(c->dims, size[letter], s->at[k])) {
                diag *d =
                    sem_err(c, DIAG_SHAPE, e->at, "the axis %c is %s in one operand and %s in another",
                            letter, dim_text(c->dims, size[letter], c->a), dim_text(c->dims, s->at[k], c->a));
                diag_mark(d, args[i]->span);
                return sem_bad(c, e);
            }
            size[letter] = s->at[k];
            known[letter] = true;
        }
        v->args[i] = args[i];
        v->dom = (uint8_t)dom_join((sem_dom)v->dom, (sem_dom)args[i]->dom);
        v->type.elem = elem_join(v->type.elem, args[i]->type.elem);
    }
    const size_t rank = strlen(es->out);
    if (!shape_rank_ok(c, (uint32_t)rank, spec->at)) return sem_bad(c, e);
    for (size_t k = 0; k < rank; k++) {
        const int letter = es->out[k];
        if (!known[letter]) {
            sem_err(c, DIAG_SHAPE, spec->at, "the letter %c of the result is in no operand", letter);
            return sem_bad(c, e);
        }
        v->type.shape.at[k] = size[letter];
    }
    v->type.shape.rank = (uint32_t)rank;
    if (v->type.elem == SEM_WEAK) v->type.elem = c->real;
    return v;
}

/* ---- several into one ---- */

/* Joins element types and domains of the parts into v. */
static bool join_parts(checker *c, const ast_expr *e, sem_expr *v, sem_expr **args, uint32_t n)
{
    sem_type t = args[0]->type;
    for (uint32_t i = 0; i < n; i++) {
        if (!type_agree(c, &t, &args[i]->type)) {
            diag *d = sem_err(c, DIAG_TYPE, e->at, "`%s` of %s and %s", e->call.name.text, sem_ty(c, args[0]),
                              sem_ty(c, args[i]));
            diag_mark(d, args[i]->span);
            return false;
        }
        v->args[i] = args[i];
        v->dom = (uint8_t)dom_join((sem_dom)v->dom, (sem_dom)args[i]->dom);
    }
    if (t.elem == SEM_WEAK) t.elem = c->real;
    v->type = t;
    return true;
}

sem_expr *shape_concat(checker *c, const ast_expr *e, sem_expr **args, uint32_t n, const ast_expr *axis_expr)
{
    if (sem_any_bad(args, n)) return sem_bad(c, e);
    const sem_shape *first = &args[0]->type.shape;
    for (uint32_t i = 0; i < n; i++) {
        if (args[i]->type.shape.rank && args[i]->type.shape.rank == first->rank) continue;
        diag *d;
        if (!args[i]->type.shape.rank) {
            d = sem_err(c, DIAG_SHAPE, e->at, "`concat` joins along an axis, and a scalar has none");
            diag_help(d, "stack(…) makes an axis of scalars, x[None] one of a single scalar");
        } else {
            d = sem_err(c, DIAG_SHAPE, e->at, "`concat` of %s and %s: the ranks differ", sem_sh(c, first),
                        sem_sh(c, &args[i]->type.shape));
        }
        diag_mark(d, args[i]->span);
        return sem_bad(c, e);
    }
    uint32_t axis = first->rank - 1;
    if (axis_expr && !shape_axis(c, axis_expr, first->rank, e->at, sem_sh(c, first), &axis))
        return sem_bad(c, e);
    dim total = first->at[axis];
    for (uint32_t i = 1; i < n; i++) {
        const sem_shape *s = &args[i]->type.shape;
        for (uint32_t k = 0; k < s->rank; k++) {
            if (k == axis || dim_equal(c->dims, s->at[k], first->at[k])) continue;
            diag *d = sem_err(c, DIAG_SHAPE, e->at, "`concat` along axis %u of %s and %s: axis %u differs",
                              axis, sem_sh(c, first), sem_sh(c, s), k);
            diag_mark(d, args[i]->span);
            return sem_bad(c, e);
        }
        total = dim_add(c->dims, total, s->at[axis]);
    }
    if (!dim_ok(total)) {
        sem_err(c, DIAG_LIMIT, e->at, "the length of the joined axis %s",
                dim_why_text(dim_last_why(c->dims)));
        return sem_bad(c, e);
    }
    sem_expr *v = sem_new(c, SEM_CONCAT, e, n);
    if (!join_parts(c, e, v, args, n)) return sem_bad(c, e);
    v->u.axis.axis = axis;
    v->type.shape.at[axis] = total;
    return v;
}

sem_expr *shape_stack(checker *c, const ast_expr *e, sem_expr **args, uint32_t n)
{
    if (sem_any_bad(args, n)) return sem_bad(c, e);
    for (uint32_t i = 1; i < n; i++) {
        if (shape_same(c, &args[0]->type.shape, &args[i]->type.shape)) continue;
        diag *d = sem_err(c, DIAG_SHAPE, e->at, "`stack` of %s and %s: the shapes differ",
                          sem_sh(c, &args[0]->type.shape), sem_sh(c, &args[i]->type.shape));
        diag_mark(d, args[0]->span);
        diag_mark(d, args[i]->span);
        return sem_bad(c, e);
    }
    sem_shape s = args[0]->type.shape;
    if (!shape_rank_ok(c, s.rank + 1, e->at)) return sem_bad(c, e);
    sem_expr *v = sem_new(c, SEM_STACK, e, n);
    if (!join_parts(c, e, v, args, n)) return sem_bad(c, e);
    memmove(&s.at[1], &s.at[0], sizeof s.at - sizeof *s.at);
    s.at[0] = dim_const(c->dims, n);
    s.rank++;
    v->type.shape = s;
    return v;
}

sem_expr *shape_reshape(checker *c, const ast_expr *e, sem_expr *v, const dim *dims, uint32_t n)
{
    if (!shape_rank_ok(c, n, e->at)) return sem_bad(c, e);
    dim before = dim_const(c->dims, 1), after = before;
    sem_expr *r = sem_new(c, SEM_RESHAPE, e, 1);
    r->args[0] = v;
    r->dom = v->dom;
    r->type = v->type;
    if (r->type.elem == SEM_WEAK) r->type.elem = c->real;        /* weak values are scalars */
    for (uint32_t i = 0; i < v->type.shape.rank; i++) before = dim_mul(c->dims, before, v->type.shape.at[i]);
    for (uint32_t i = 0; i < n; i++) {
        after = dim_mul(c->dims, after, dims[i]);
        r->type.shape.at[i] = dims[i];
    }
    r->type.shape.rank = n;
    if (!dim_ok(before) || !dim_ok(after)) {
        sem_err(c, DIAG_LIMIT, e->at, "the number of elements %s", dim_why_text(dim_last_why(c->dims)));
        return sem_bad(c, e);
    }
    if (dim_equal(c->dims, before, after)) return r;
    diag *d = sem_err(c, DIAG_SHAPE, e->at, "cannot reshape %s, of %s elements, to %s, of %s",
                      sem_sh(c, &v->type.shape), dim_text(c->dims, before, c->a), sem_sh(c, &r->type.shape),
                      dim_text(c->dims, after, c->a));
    diag_mark(d, v->span);
    return sem_bad(c, e);
}

/* ---- indexing ---- */

static sem_expr *step_of(checker *c, const ast_expr *e, sem_kind kind, sem_expr *v, uint32_t axis)
{
    sem_expr *r = sem_new(c, kind, e, 1);
    r->args[0] = v;
    r->dom = v->dom;
    r->type = v->type;
    if (r->type.elem == SEM_WEAK) r->type.elem = c->real;        /* weak values are scalars */
    if (kind == SEM_NEWAXIS) r->u.axis.axis = axis;
    else r->u.slice.axis = axis;
    return r;
}

static bool provably_above(checker *c, dim a, dim limit)          /* a > limit, whatever the symbols */
{
    int64_t v;
    dim d = dim_sub(c->dims, a, limit);
    return dim_ok(d) && dim_is_const(c->dims, d, &v) && v > 0;
}

/* A position of a subscript: negative numbers count from the end. */
static dim position(checker *c, const ast_expr *e, dim n)
{
    int64_t v;
    dim d = static_dim(c, e);
    if (dim_ok(d) && dim_is_const(c->dims, d, &v) && v < 0) return dim_add(c->dims, n, d);
    return d;
}

static bool negative(checker *c, dim d)
{
    int64_t v;
    return dim_is_const(c->dims, d, &v) && v < 0;
}

static sem_expr *pick(checker *c, const ast_expr *e, const ast_subscript *sub, sem_expr *v, uint32_t axis)
{
    const dim n = v->type.shape.at[axis];
    dim at = position(c, sub->lo, n);
    if (!dim_ok(at)) return NULL;
    if (negative(c, at) || provably_above(c, dim_add(c->dims, at, dim_const(c->dims, 1)), n)) {
        diag *d = sem_err(c, DIAG_SHAPE, e->at, "index %s is outside of an axis of %s",
                          sem_expr_text(c, sub->lo), dim_text(c->dims, n, c->a));
        diag_mark(d, sub->span);
        return NULL;
    }
    sem_expr *r = step_of(c, e, SEM_PICK, v, axis);
    r->u.slice.lo = at;
    sem_shape *s = &r->type.shape;
    for (uint32_t i = axis; i + 1 < s->rank; i++) s->at[i] = s->at[i + 1];
    s->rank--;
    return r;
}

static sem_expr *slice(checker *c, const ast_expr *e, const ast_subscript *sub, sem_expr *v, uint32_t axis)
{
    if (!sub->lo && !sub->hi) return v;
    const dim n = v->type.shape.at[axis];
    dim lo = sub->lo ? position(c, sub->lo, n) : dim_const(c->dims, 0),
        hi = sub->hi ? position(c, sub->hi, n) : n;
    if (!dim_ok(lo) || !dim_ok(hi)) return NULL;
    dim len = dim_sub(c->dims, hi, lo);
    int64_t k;
    const char *wrong = negative(c, lo) || provably_above(c, hi, n) ? "reaches out of"
                      : dim_is_const(c->dims, len, &k) && k <= 0 ? "takes nothing of" : NULL;
    if (wrong) {
        diag *d =
            sem_err(c, DIAG_SHAPE, e->at, "this slice %s an axis of %s", wrong, dim_text(c->dims, n, c->a));
        diag_mark(d, sub->span);
        return NULL;
    }
    if (!dim_ok(len)) {
        sem_err(c, DIAG_LIMIT, e->at, "the length of this slice is no dim");
        return NULL;
    }
    sem_expr *r = step_of(c, e, SEM_SLICE, v, axis);
    r->u.slice.lo = lo;
    r->type.shape.at[axis] = len;
    return r;
}

static sem_expr *lookup(checker *c, const ast_expr *e, const ast_subscript *sub, sem_expr *table,
                        sem_expr *index, uint32_t axis)
{
    if (sem_is_bad(index)) return NULL;
    const sem_shape *t = &table->type.shape, *i = &index->type.shape;
    diag *d = NULL;
    if (index->type.elem != SEM_INDEX) {
        d = sem_err(c, DIAG_TYPE, e->at, "a subscript is an integer or an index, and this is %s",
                    sem_ty(c, index));
        if (sem_is_float(index->type.elem)) diag_help(d, "bucket(x, R) makes an index(R) of a number");
    } else if (axis) {
        d = sem_err(c, DIAG_SHAPE, e->at, "an index looks up along the first axis only");
        diag_help(d, "transpose first");
    } else if (!dim_equal(c->dims, index->type.range, t->at[0])) {
        d = sem_err(c, DIAG_SHAPE, e->at, "an index(%s) cannot look up in %s: its first axis is %s",
                    dim_text(c->dims, index->type.range, c->a), sem_sh(c, t),
                    dim_text(c->dims, t->at[0], c->a));
    }
    if (d) {
        diag_mark(d, sub->span);
        return NULL;
    }
    if (!shape_rank_ok(c, t->rank - 1 + i->rank, e->at)) return NULL;
    sem_expr *r = sem_new(c, SEM_LOOKUP, e, 2);
    r->args[0] = table;
    r->args[1] = index;
    r->dom = (uint8_t)dom_join((sem_dom)table->dom, (sem_dom)index->dom);
    r->type = table->type;
    r->type.shape = *i;
    for (uint32_t k = 1; k < t->rank; k++) r->type.shape.at[r->type.shape.rank++] = t->at[k];
    return r;
}

sem_expr *shape_index(checker *c, const ast_expr *e, ectx x)
{
    sem_expr *v = check_expr(c, e->index.base, x);
    bool failed = sem_is_bad(v);
    uint32_t axis = 0, used = 0;
    const uint32_t rank = failed ? 0 : v->type.shape.rank;
    for (uint32_t i = 0; i < e->index.n_subs; i++) {
        const ast_subscript *sub = &e->index.subs[i];
        sem_expr *index = NULL;
        if (sub->kind == AST_SUB_INDEX && !static_form(c, sub->lo)) {
            index = check_expr(c, sub->lo, x);
            if (sem_is_bad(index)) failed = true;
        }
        if (failed) continue;
        if (sub->kind == AST_SUB_NONE) {
            if (!shape_rank_ok(c, v->type.shape.rank + 1, e->at)) {
                failed = true;
                continue;
            }
            sem_expr *r = step_of(c, e, SEM_NEWAXIS, v, axis);
            sem_shape *s = &r->type.shape;
            memmove(&s->at[axis + 1], &s->at[axis], (s->rank - axis) * sizeof *s->at);
            s->at[axis++] = dim_const(c->dims, 1);
            s->rank++;
            v = r;
            continue;
        }
        if (used++ >= rank) {
            diag *d = rank ? sem_err(c, DIAG_SHAPE, e->at, "%s has %u ax%s, and this subscript wants more",
                                     sem_sh(c, &v->type.shape), rank, rank == 1 ? "is" : "es")
                           : sem_err(c, DIAG_SHAPE, e->at, "a scalar has no elements to take");
            diag_mark(d, sub->span);
            failed = true;
            continue;
        }
        if (index) {
            const uint32_t more = index->type.shape.rank;
            v = lookup(c, e, sub, v, index, axis);
            axis += more;
        } else if (sub->kind == AST_SUB_INDEX) {
            v = pick(c, e, sub, v, axis);
        } else {
            v = slice(c, e, sub, v, axis++);
        }
        failed = !v;
    }
    return failed ? sem_bad(c, e) : v;
}
