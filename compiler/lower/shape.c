/*
 * Shapes: contractions, subscripts, look-ups, joining.
 */
#include "compiler/lower/lower_int.h"

#include <string.h>

/* ---- einsum ---- */

static ir_einsum plan(const char *a, const char *b, const char *out)
{
    ir_einsum e;
    memset(&e, 0, sizeof e);
    for (; a[e.na]; e.na++) e.a[e.na] = (uint8_t)a[e.na];
    for (; b[e.nb]; e.nb++) e.b[e.nb] = (uint8_t)b[e.nb];
    for (; out[e.nout]; e.nout++) e.out[e.nout] = (uint8_t)out[e.nout];
    return e;
}

/* One operand: sums over what the result lacks, then the order of its letters. */
static ir_val alone(lowering *L, ir_val v, const char *letters, const char *out)
{
    char left[IR_MAX_RANK + 1] = {0};
    uint32_t n = 0;
    for (uint32_t i = 0; letters[i]; i++) left[n++] = letters[i];
    for (uint32_t i = n; i-- > 0;) {
        if (strchr(out, left[i])) continue;
        v = ir_reduce(L->l, OP_RSUM, v, (int)i);
        memmove(&left[i], &left[i + 1], n-- - i);
    }
    uint8_t perm[IR_MAX_RANK] = {0};
    for (uint32_t i = 0; i < n; i++) perm[i] = (uint8_t)(strchr(left, out[i]) - left);
    return n ? ir_transpose(L->l, v, perm) : v;
}

static bool wanted(const sem_einsum *es, uint32_t from, uint32_t n, char letter)
{
    if (strchr(es->out, letter)) return true;
    for (uint32_t i = from; i < n; i++)
        if (strchr(es->in[i], letter)) return true;
    return false;
}

/* Pairwise, from left to right; a letter is summed as soon as nothing later has it. */
ir_val lower_einsum(lowering *L, const sem_expr *e, const ir_val *a)
{
    const sem_einsum *es = e->u.einsum;
    if (e->n_args == 1) return alone(L, a[0], es->in[0], es->out);
    enum { ROOM = 2 * IR_MAX_RANK + 1 };
    char have[ROOM] = {0}, keep[ROOM];
    strcpy(have, es->in[0]);                     /* at most SEM_MAX_RANK letters */
    ir_val v = a[0];
    for (uint32_t i = 1; i < e->n_args; i++) {
        uint32_t n = 0;
        memset(keep, 0, sizeof keep);
        if (i + 1 == e->n_args) {
            strcpy(keep, es->out);
        } else {
            for (const char *p = have; *p; p++)
                if (wanted(es, i + 1, e->n_args, *p)) keep[n++] = *p;
            for (const char *p = es->in[i]; *p; p++)
                if (!strchr(have, *p) && wanted(es, i + 1, e->n_args, *p)) keep[n++] = *p;
            if (n > IR_MAX_RANK) {
                lower_fail(L, DIAG_LIMIT, e->at, "the product of the first %u operands has more than %d axes",
                           i + 1, (int)IR_MAX_RANK);
                return a[0];
            }
        }
        const ir_einsum p = plan(have, es->in[i], keep);
        v = ir_contract(L->l, v, a[i], &p);
        memcpy(have, keep, sizeof have);
    }
    return v;
}

/* ---- subscripts ---- */

static ir_val sliced(lowering *L, const frame *f, const sem_expr *e, ir_val v, dim len)
{
    ir_layer *l = L->l;
    const uint32_t axis = e->u.slice.axis;
    const dim width = ir_at(l, v)->shape[axis];
    const dim first = env_number(L, f->e, e->u.slice.lo, e->at);
    int64_t lo = 0, n, w;
    if (!dim_ok(first)) return v;
    if (dim_is_const(l->dims, first, &lo) && dim_is_const(l->dims, len, &n) &&
        dim_is_const(l->dims, width, &w) && (lo < 0 || lo > w || n > w - lo)) {
        lower_fail(L, DIAG_VALUE, e->at,
                   "with these static arguments elements %lld to %lld are taken of an axis of %lld",
                   (long long)lo, (long long)(lo + n - 1), (long long)w);
        return v;
    }
    return ir_slice(l, v, (int)axis, first, len);
}

ir_val lower_lookup(lowering *L, ir_val table, ir_val index)
{
    ir_layer *l = L->l;
    const ir_node *t = ir_at(l, table), *i = ir_at(l, index);
    if (!t->dom.i && i->dom.i && !i->rank) return ir_gather(l, ir_rows(l, table), ir_map_index(l, index));
    return ir_lookup(l, table, index);
}

/* ---- the rest ---- */

static ir_val joined(lowering *L, const sem_expr *e, const ir_val *a)
{
    if (e->kind == SEM_CONCAT) return ir_concat(L->l, a, e->n_args, (int)e->u.axis.axis);
    ir_val *parts = NEW_N(L->a, ir_val, e->n_args);
    for (uint32_t i = 0; i < e->n_args; i++) parts[i] = ir_expand(L->l, a[i], 0);
    return ir_concat(L->l, parts, e->n_args, 0);
}

ir_val lower_shape(lowering *L, const frame *f, const sem_expr *e, const ir_val *a)
{
    ir_layer *l = L->l;
    ir_shape s;
    uint8_t perm[IR_MAX_RANK];
    if (!env_shape(L, f->e, &e->type.shape, e->at, &s)) return ir_const(l, T_F32, 0);
    switch (e->kind) {
    case SEM_RESHAPE: return ir_reshape(l, a[0], &s);
    case SEM_TRANSPOSE:
        for (uint8_t i = 0; i < s.rank && i < IR_MAX_RANK; i++) perm[i] = i;
        perm[e->u.swap.a] = (uint8_t)e->u.swap.b;
        perm[e->u.swap.b] = (uint8_t)e->u.swap.a;
        return ir_transpose(l, a[0], perm);
    case SEM_CONCAT: case SEM_STACK: return joined(L, e, a);
    case SEM_SLICE: return sliced(L, f, e, a[0], s.at[e->u.slice.axis]);
    case SEM_PICK: {
        ir_val one = sliced(L, f, e, a[0], dim_const(l->dims, 1));
        return L->failed ? one : ir_squeeze(l, one, (int)e->u.slice.axis);
    }
    case SEM_NEWAXIS: return ir_expand(l, a[0], (int)e->u.axis.axis);
    case SEM_IOTA: return ir_iota(l, arith_type(is_wide(e->type.elem)), s.at[0]);
    default: {                                   /* FILL */
        ir_val c = ir_const(l, arith_type(is_wide(e->type.elem)), e->u.value);
        return ir_broadcast(l, c, ir_dom_unit(), &s);
    }
    }
}
