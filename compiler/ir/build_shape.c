/* Shapes: axis reductions, contractions, and the operations that only move elements. */
#include "compiler/ir/build_int.h"

#include <string.h>

ir_val ir_reduce(ir_layer *l, ir_op op, ir_val a, int axis)
{
    if (op >= OP_N || ir_ops[op].cls != CLS_REDUCE)
        ir_bug(l, "reduce: not with %s", op < OP_N ? ir_ops[op].text : "?");
    ir_check_arith(l, op, a);
    uint32_t at = ir_axis(l, op, axis, ir_at(l, a)->rank);
    ir_shape s = ir_shape_of(l, a);
    if (dim_is(l->dims, s.at[at], 1))
        return ir_squeeze(l, a, (int)at);
    ir_node n = ir_blank_like(l, op, a);
    s.rank--;
    memmove(&s.at[at], &s.at[at + 1], (s.rank - at) * sizeof *s.at);
    ir_set_shape(&n, &s);
    n.u.axis = (int32_t)at;
    return ir_intern(l, &n, &a, 1);
}

/* ---- contraction ---- */

static int letter_at(const uint8_t *letters, uint32_t n, uint8_t letter)
{
    for (uint32_t k = 0; k < n; k++)
        if (letters[k] == letter)
            return (int)k;
    return -1;
}

/* The letters in the order of their coming, as 0, 1, … */
static ir_einsum renumber(const ir_layer *l, const ir_einsum *e)
{
    uint8_t names[2 * IR_MAX_RANK], n = 0;
    ir_einsum r;
    memset(&r, 0, sizeof r);
    r.na = e->na;
    r.nb = e->nb;
    r.nout = e->nout;
    for (uint32_t k = 0; k < e->na; k++) {
        if (letter_at(e->a, k, e->a[k]) >= 0)
            ir_bug(l, "einsum: a letter twice in the left operand");
        names[n] = e->a[k];
        r.a[k] = n++;
    }
    for (uint32_t k = 0; k < e->nb; k++) {
        if (letter_at(e->b, k, e->b[k]) >= 0)
            ir_bug(l, "einsum: a letter twice in the right operand");
        int at = letter_at(names, n, e->b[k]);
        if (at < 0) {
            at = n;
            names[n++] = e->b[k];
        }
        r.b[k] = (uint8_t)at;
    }
    for (uint32_t k = 0; k < e->nout; k++) {
        int at = letter_at(names, n, e->out[k]);
        if (at < 0 || letter_at(e->out, k, e->out[k]) >= 0)
            ir_bug(l, "einsum: letters of the result");
        r.out[k] = (uint8_t)at;
    }
    return r;
}

/* An operand with its axes in the result's order and 1 where it lacks one: an element-wise operand. */
static ir_val in_order_of(ir_layer *l, ir_val v, const uint8_t *letters, uint32_t n, const ir_einsum *e)
{
    uint8_t perm[IR_MAX_RANK];
    uint32_t found = 0;
    ir_shape s = {e->nout, {{0}}}, given = ir_shape_of(l, v);
    for (uint32_t k = 0; k < e->nout; k++) {
        int at = letter_at(letters, n, e->out[k]);
        s.at[k] = at < 0 ? dim_const(l->dims, 1) : given.at[at];
        if (at >= 0)
            perm[found++] = (uint8_t)at;
    }
    return ir_reshape(l, ir_transpose(l, v, perm), &s);
}

static bool sums_nothing(const ir_einsum *e)
{
    for (uint32_t k = 0; k < e->na; k++)
        if (letter_at(e->out, e->nout, e->a[k]) < 0)
            return false;
    for (uint32_t k = 0; k < e->nb; k++)
        if (letter_at(e->out, e->nout, e->b[k]) < 0)
            return false;
    return true;
}

ir_val ir_contract(ir_layer *l, ir_val a, ir_val b, const ir_einsum *given)
{
    ir_check_arith(l, OP_EINSUM, a);
    ir_check_arith(l, OP_EINSUM, b);
    const ir_node *x = ir_at(l, a), *y = ir_at(l, b);
    if (x->type != y->type || x->rank != given->na || y->rank != given->nb || given->nout > IR_MAX_RANK)
        ir_bug(l, "einsum: types or ranks of %%%u and %%%u", a.i, b.i);
    ir_node n = ir_blank(OP_EINSUM);
    n.u.ein = renumber(l, given);
    const ir_einsum *e = &n.u.ein;
    for (uint32_t k = 0; k < e->nb; k++) {
        int at = letter_at(e->a, e->na, e->b[k]);
        if (at >= 0 && !dim_equal(l->dims, x->shape[at], y->shape[k]))
            ir_bug(l, "einsum: one letter for two dims of %%%u and %%%u", a.i, b.i);
    }
    if (sums_nothing(e))
        return ir_mul(l, in_order_of(l, a, e->a, e->na, e), in_order_of(l, b, e->b, e->nb, e));
    ir_shape s = {e->nout, {{0}}};
    for (uint32_t k = 0; k < e->nout; k++) {
        int at = letter_at(e->a, e->na, e->out[k]);
        s.at[k] = at >= 0 ? x->shape[at] : y->shape[letter_at(e->b, e->nb, e->out[k])];
    }
    n.type = x->type;
    n.dom = ir_dom_join(l, OP_EINSUM, x->dom, y->dom);
    ir_set_shape(&n, &s);
    return ir_intern(l, &n, (ir_val[]){a, b}, 2);
}

ir_val ir_einsum_(ir_layer *l, ir_val a, ir_val b, const char *spec)
{
    ir_einsum e;
    memset(&e, 0, sizeof e);
    uint8_t *part = e.a, *count = &e.na;
    for (const char *p = spec; *p; p++) {
        if (*p == ',') {
            part = e.b;
            count = &e.nb;
        } else if (*p == '-' && p[1] == '>') {
            part = e.out;
            count = &e.nout;
            p++;
        } else if (*p != ' ') {
            if (*count == IR_MAX_RANK)
                ir_bug(l, "einsum: \"%s\" has too many axes", spec);
            part[(*count)++] = (uint8_t)*p;
        }
    }
    return ir_contract(l, a, b, &e);
}

ir_val ir_matmul(ir_layer *l, ir_val a, ir_val b)
{
    ir_check_value(l, OP_EINSUM, a);
    ir_check_value(l, OP_EINSUM, b);
    ir_einsum e;
    memset(&e, 0, sizeof e);
    e.na = ir_at(l, a)->rank;
    e.nb = ir_at(l, b)->rank;
    if (!e.na || !e.nb || e.na > IR_MAX_RANK || e.nb > IR_MAX_RANK || e.na + e.nb - 2 > IR_MAX_RANK)
        ir_bug(l, "matmul: ranks of %%%u and %%%u", a.i, b.i);
    for (uint32_t k = 0; k < e.na; k++)
        e.a[k] = (uint8_t)k;
    for (uint32_t k = 0; k < IR_MAX_RANK && k < e.nb; k++)
        e.b[k] = (uint8_t)(e.na - 1 + k);
    for (uint32_t k = 0; k + 1 < e.na; k++)
        e.out[e.nout++] = e.a[k];
    for (uint32_t k = 1; k < e.nb; k++)
        e.out[e.nout++] = e.b[k];
    return ir_contract(l, a, b, &e);
}

/* ---- the same elements elsewhere ---- */

ir_val ir_reshape(ir_layer *l, ir_val a, const ir_shape *shape)
{
    ir_check_value(l, OP_RESHAPE, a);
    ir_shape s = ir_shape_of(l, a);
    if (ir_shape_same(l, &s, shape))
        return a;
    if (shape->rank > IR_MAX_RANK || !dim_equal(l->dims, ir_shape_count(l, &s), ir_shape_count(l, shape)))
        ir_bug(l, "reshape: another number of elements than %%%u", a.i);
    if (ir_op_of(l, a) == OP_RESHAPE)
        return ir_reshape(l, ir_arg(l, a, 0), shape);
    if (ir_is_uniform(l, a, NULL))
        return ir_broadcast(l, ir_op_of(l, a) == OP_CONST ? a : ir_arg(l, a, 0), ir_at(l, a)->dom, shape);
    ir_node n = ir_blank_like(l, OP_RESHAPE, a);
    ir_set_shape(&n, shape);
    return ir_intern(l, &n, &a, 1);
}

ir_val ir_expand(ir_layer *l, ir_val a, int axis)
{
    ir_check_value(l, OP_RESHAPE, a);
    ir_shape s = ir_shape_of(l, a);
    if (s.rank == IR_MAX_RANK)
        ir_bug(l, "reshape: an axis more than there may be");
    uint32_t at = ir_axis(l, OP_RESHAPE, axis, s.rank + 1);
    memmove(&s.at[at + 1], &s.at[at], (s.rank - at) * sizeof *s.at);
    s.at[at] = dim_const(l->dims, 1);
    s.rank++;
    return ir_reshape(l, a, &s);
}

ir_val ir_squeeze(ir_layer *l, ir_val a, int axis)
{
    ir_check_value(l, OP_RESHAPE, a);
    ir_shape s = ir_shape_of(l, a);
    uint32_t at = ir_axis(l, OP_RESHAPE, axis, s.rank);
    s.rank--;
    memmove(&s.at[at], &s.at[at + 1], (s.rank - at) * sizeof *s.at);
    return ir_reshape(l, a, &s);
}

ir_val ir_transpose(ir_layer *l, ir_val a, const uint8_t *given)
{
    ir_check_value(l, OP_TRANSPOSE, a);
    ir_shape s = ir_shape_of(l, a), t = {s.rank, {{0}}};
    uint8_t perm[IR_MAX_RANK] = {0};
    unsigned seen = 0;
    for (uint32_t k = 0; k < s.rank; k++) {
        if (given[k] >= s.rank || seen & 1u << given[k])
            ir_bug(l, "transpose: no permutation of %u axes", s.rank);
        seen |= 1u << given[k];
        perm[k] = given[k];
    }
    if (ir_op_of(l, a) == OP_TRANSPOSE) {
        const uint8_t *below = ir_at(l, a)->u.perm;
        for (uint32_t k = 0; k < s.rank; k++)
            perm[k] = below[perm[k]];
        a = ir_arg(l, a, 0);
        s = ir_shape_of(l, a);
    }
    bool in_order = true;                       /* axes of 1 may go anywhere */
    for (uint32_t k = 0, last = 0; k < s.rank; k++) {
        t.at[k] = s.at[perm[k]];
        if (dim_is(l->dims, t.at[k], 1))
            continue;
        in_order = in_order && perm[k] >= last;
        last = perm[k];
    }
    if (in_order || ir_is_uniform(l, a, NULL))
        return ir_reshape(l, a, &t);
    ir_node n = ir_blank_like(l, OP_TRANSPOSE, a);
    ir_set_shape(&n, &t);
    memcpy(n.u.perm, perm, s.rank);
    return ir_intern(l, &n, &a, 1);
}

ir_val ir_broadcast(ir_layer *l, ir_val a, ir_dom dom, const ir_shape *shape)
{
    ir_check_value(l, OP_BROADCAST, a);
    ir_shape s = ir_shape_of(l, a), t;
    ir_dom from = ir_at(l, a)->dom;
    if (ir_dom_same(from, dom) && ir_shape_same(l, &s, shape))
        return a;
    if (from.i && !ir_dom_same(from, dom))
        ir_bug(l, "broadcast: %%%u from the domain %s to %s", a.i, l->domains[from.i].name, l->domains[dom.i].name);
    if (shape->rank < s.rank || !ir_shape_broadcast(l, &s, shape, &t) || !ir_shape_same(l, &t, shape))
        ir_bug(l, "broadcast: shape of %%%u", a.i);
    if (ir_op_of(l, a) == OP_BROADCAST)
        return ir_broadcast(l, ir_arg(l, a, 0), dom, shape);
    ir_node n = ir_blank_like(l, OP_BROADCAST, a);
    n.dom = dom;
    ir_set_shape(&n, shape);
    return ir_intern(l, &n, &a, 1);
}

/* The operand of a concat that the range [lo, lo + len) of its axis is, or none. */
static ir_val concat_part(ir_layer *l, ir_val concat, uint32_t axis, dim lo, dim len)
{
    dim at = dim_const(l->dims, 0);
    for (uint32_t k = 0; k < ir_at(l, concat)->nargs; k++) {
        ir_val part = ir_arg(l, concat, k);
        dim width = ir_at(l, part)->shape[axis];
        if (dim_equal(l->dims, at, lo) && dim_equal(l->dims, width, len))
            return part;
        at = dim_add(l->dims, at, width);
    }
    return (ir_val){0};
}

ir_val ir_slice(ir_layer *l, ir_val a, int axis, dim lo, dim len)
{
    ir_check_value(l, OP_SLICE, a);
    ir_shape s = ir_shape_of(l, a);
    uint32_t at = ir_axis(l, OP_SLICE, axis, s.rank);
    int64_t first, count, width;
    if (!dim_ok(lo) || !dim_ok(len))
        ir_bug(l, "slice: no dim");
    if (dim_is(l->dims, lo, 0) && dim_equal(l->dims, len, s.at[at]))
        return a;
    if (dim_is_const(l->dims, lo, &first) && dim_is_const(l->dims, len, &count) && dim_is_const(l->dims, s.at[at], &width) &&
        (first < 0 || count < 0 || first > width || count > width - first))
        ir_bug(l, "slice: past the end of %%%u", a.i);
    ir_node n = ir_blank_like(l, OP_SLICE, a);
    s.at[at] = len;
    ir_set_shape(&n, &s);
    if (ir_is_uniform(l, a, NULL))
        return ir_broadcast(l, ir_arg(l, a, 0), n.dom, &s);
    if (ir_op_of(l, a) == OP_SLICE && ir_at(l, a)->u.slice.axis == (int32_t)at)
        return ir_slice(l, ir_arg(l, a, 0), (int)at, dim_add(l->dims, lo, ir_at(l, a)->u.slice.lo), len);
    if (ir_op_of(l, a) == OP_CONCAT && ir_at(l, a)->u.axis == (int32_t)at) {
        ir_val part = concat_part(l, a, at, lo, len);
        if (ir_is(part))
            return ir_broadcast(l, part, n.dom, &s);
    }
    n.u.slice.axis = (int32_t)at;
    n.u.slice.lo = lo;
    return ir_intern(l, &n, &a, 1);
}

ir_val ir_concat(ir_layer *l, const ir_val *args, uint32_t nargs, int axis)
{
    if (!nargs)
        ir_bug(l, "concat: of nothing");
    ir_check_value(l, OP_CONCAT, args[0]);
    uint32_t at = ir_axis(l, OP_CONCAT, axis, ir_at(l, args[0])->rank), flat = 0;
    ir_node n = ir_blank_like(l, OP_CONCAT, args[0]);
    dim width = dim_const(l->dims, 0);
    for (uint32_t k = 0; k < nargs; k++) {
        ir_check_value(l, OP_CONCAT, args[k]);
        const ir_node *x = ir_at(l, args[k]);
        bool same = x->type == n.type && x->rank == n.rank && (x->type != T_INDEX || dim_equal(l->dims, x->range, n.range));
        for (uint32_t j = 0; same && j < n.rank; j++)
            same = j == at || dim_equal(l->dims, x->shape[j], n.shape[j]);
        if (!same)
            ir_bug(l, "concat: %%%u does not fit %%%u", args[k].i, args[0].i);
        n.dom = ir_dom_join(l, OP_CONCAT, n.dom, x->dom);
        n.none = n.none || x->none;
        width = dim_add(l->dims, width, x->shape[at]);
        flat += x->op == OP_CONCAT && x->u.axis == (int32_t)at ? x->nargs : 1;
    }
    if (nargs == 1)
        return args[0];
    n.shape[at] = width;
    n.u.axis = (int32_t)at;
    ir_val *parts = NEW_N(l->mem, ir_val, flat);
    flat = 0;
    for (uint32_t k = 0; k < nargs; k++) {      /* a concat along the same axis gives its operands */
        const ir_node *x = ir_at(l, args[k]);
        bool opens = x->op == OP_CONCAT && x->u.axis == (int32_t)at;
        memcpy(parts + flat, opens ? x->args : &args[k], (opens ? x->nargs : 1) * sizeof *parts);
        flat += opens ? x->nargs : 1;
    }
    return ir_intern(l, &n, parts, flat);
}

/* ---- indices and index domains ---- */

ir_val ir_lookup(ir_layer *l, ir_val a, ir_val index)
{
    ir_check_value(l, OP_LOOKUP, a);
    ir_check_value(l, OP_LOOKUP, index);
    const ir_node *x = ir_at(l, a), *i = ir_at(l, index);
    if (i->type != T_INDEX || !x->rank || !dim_equal(l->dims, i->range, x->shape[0]) || i->rank + x->rank - 1 > IR_MAX_RANK)
        ir_bug(l, "lookup: index %%%u of %%%u", index.i, a.i);
    ir_node n = ir_blank_like(l, OP_LOOKUP, a);
    n.dom = ir_dom_join(l, OP_LOOKUP, x->dom, i->dom);
    ir_shape s = {(uint32_t)i->rank + x->rank - 1, {{0}}};
    for (uint32_t k = 0; k < i->rank; k++)
        s.at[k] = i->shape[k];
    for (uint32_t k = 1; k < x->rank; k++)
        s.at[i->rank + k - 1] = x->shape[k];
    ir_set_shape(&n, &s);
    double at;
    if (!i->none && ir_is_const(l, index, &at))
        return ir_squeeze(l, ir_slice(l, a, 0, dim_const(l->dims, (int64_t)at), dim_const(l->dims, 1)), 0);
    if (!i->none && ir_is_uniform(l, a, NULL))
        return ir_broadcast(l, ir_arg(l, a, 0), n.dom, &s);
    return ir_intern(l, &n, (ir_val[]){a, index}, 2);
}

ir_val ir_unlookup(ir_layer *l, ir_val a, ir_val index)
{
    ir_check_arith(l, OP_ONEHOT_ADD, a);
    ir_check_value(l, OP_ONEHOT_ADD, index);
    const ir_node *x = ir_at(l, a), *i = ir_at(l, index);
    if (i->type != T_INDEX || x->rank < i->rank || x->rank - i->rank + 1 > IR_MAX_RANK)
        ir_bug(l, "unlookup: index %%%u of %%%u", index.i, a.i);
    ir_shape s = {(uint32_t)x->rank - i->rank + 1, {{0}}};
    s.at[0] = i->range;
    for (uint32_t k = 0; k < x->rank; k++) {
        if (k < i->rank && !dim_equal(l->dims, x->shape[k], i->shape[k]))
            ir_bug(l, "unlookup: shapes of %%%u and %%%u", a.i, index.i);
        if (k >= i->rank)
            s.at[k - i->rank + 1] = x->shape[k];
    }
    ir_node n = ir_blank_like(l, OP_ONEHOT_ADD, a);
    n.dom = ir_dom_join(l, OP_ONEHOT_ADD, x->dom, i->dom);
    ir_set_shape(&n, &s);
    return ir_intern(l, &n, (ir_val[]){a, index}, 2);
}

static ir_shape without_first(ir_shape s)
{
    s.rank--;
    memmove(&s.at[0], &s.at[1], s.rank * sizeof *s.at);
    return s;
}

static ir_shape with_first(const ir_layer *l, ir_op op, ir_shape s, dim first)
{
    if (s.rank == IR_MAX_RANK)
        ir_bug(l, "%s: an axis more than there may be", ir_ops[op].text);
    memmove(&s.at[1], &s.at[0], s.rank * sizeof *s.at);
    s.at[0] = first;
    s.rank++;
    return s;
}

ir_val ir_rows(ir_layer *l, ir_val a)
{
    ir_check_value(l, OP_ROWS, a);
    if (ir_at(l, a)->dom.i || !ir_at(l, a)->rank)
        ir_bug(l, "rows: of %%%u", a.i);
    ir_shape s = without_first(ir_shape_of(l, a));
    ir_dom dom = ir_dom_index(l, ir_at(l, a)->shape[0]);
    if (ir_op_of(l, a) == OP_UNROWS)
        return ir_arg(l, a, 0);
    if (ir_is_uniform(l, a, NULL))
        return ir_broadcast(l, ir_arg(l, a, 0), dom, &s);
    ir_node n = ir_blank_like(l, OP_ROWS, a);
    n.dom = dom;
    ir_set_shape(&n, &s);
    return ir_intern(l, &n, &a, 1);
}

ir_val ir_unrows(ir_layer *l, ir_val a)
{
    ir_check_value(l, OP_UNROWS, a);
    const ir_domain *d = &l->domains[ir_at(l, a)->dom.i];
    if (d->kind != DOM_INDEX)
        ir_bug(l, "unrows: %%%u is not of an index domain", a.i);
    ir_shape s = with_first(l, OP_UNROWS, ir_shape_of(l, a), d->range);
    if (ir_op_of(l, a) == OP_ROWS)
        return ir_arg(l, a, 0);
    if (ir_is_uniform(l, a, NULL))
        return ir_broadcast(l, ir_arg(l, a, 0), ir_dom_unit(), &s);
    ir_node n = ir_blank_like(l, OP_UNROWS, a);
    n.dom = ir_dom_unit();
    ir_set_shape(&n, &s);
    return ir_intern(l, &n, &a, 1);
}

static ir_dom pairs_of(const ir_layer *l, ir_op op, ir_val pairs)
{
    ir_check_map(l, op, pairs);
    if (ir_op_of(l, pairs) != OP_MAP_PAIR)
        ir_bug(l, "%s: %%%u is no map to pairs", ir_ops[op].text, pairs.i);
    return ir_cod(l, pairs);
}

ir_val ir_spread(ir_layer *l, ir_val a, ir_val pairs)
{
    ir_check_value(l, OP_SPREAD, a);
    ir_dom cod = pairs_of(l, OP_SPREAD, pairs), base = l->domains[cod.i].base;
    ir_shape s = ir_shape_of(l, a);
    a = ir_broadcast(l, a, cod, &s);
    s = with_first(l, OP_SPREAD, s, l->domains[cod.i].range);
    ir_node n = ir_blank_like(l, OP_SPREAD, a);
    n.dom = base;
    ir_set_shape(&n, &s);
    return ir_intern(l, &n, (ir_val[]){a, pairs}, 2);
}

ir_val ir_unspread(ir_layer *l, ir_val a, ir_val pairs)
{
    ir_check_value(l, OP_UNSPREAD, a);
    ir_dom cod = pairs_of(l, OP_UNSPREAD, pairs);
    const ir_domain *d = &l->domains[cod.i];
    const ir_node *x = ir_at(l, a);
    if ((x->dom.i && x->dom.i != d->base.i) || !x->rank || !dim_equal(l->dims, x->shape[0], d->range))
        ir_bug(l, "unspread: %%%u by the pairs of %%%u", a.i, pairs.i);
    ir_shape full = ir_shape_of(l, a), s = without_first(full);
    if (ir_is_uniform(l, a, NULL))
        return ir_broadcast(l, ir_arg(l, a, 0), cod, &s);
    if (ir_op_of(l, a) == OP_SPREAD && ir_same(ir_arg(l, a, 1), pairs))
        return ir_arg(l, a, 0);
    a = ir_broadcast(l, a, d->base, &full);
    ir_node n = ir_blank_like(l, OP_UNSPREAD, a);
    n.dom = cod;
    ir_set_shape(&n, &s);
    return ir_intern(l, &n, (ir_val[]){a, pairs}, 2);
}
