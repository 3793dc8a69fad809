/* Shapes: parts of concats, reshapes that cancel, axis sums and contractions in one canonical form.
 *
 * A sum over an axis of a product becomes a contraction; a contraction has no axes of 1, no repeated and no
 * transposed operands. So the rules for products see one form of them. */
#include "compiler/passes/rules.h"
#include "compiler/passes/term.h"

#include <string.h>

static bool not_negative(const ir_layer *l, dim d)
{
    int64_t n;
    return dim_is_const(l->dims, d, &n) && n >= 0;
}

/* The operands that a range of a concat's axis touches: first and last, and where the first begins. */
static bool parts_of_range(const ir_layer *l, ir_val concat, dim lo, dim len, uint32_t *first,
                           uint32_t *last, dim *begin)
{
    uint32_t axis = (uint32_t)ir_at(l, concat)->u.axis, n = ir_at(l, concat)->nargs;
    dim at = dim_const(l->dims, 0), end = dim_add(l->dims, lo, len);
    bool found = false;
    for (uint32_t k = 0; k < n; k++) {
        dim past = dim_add(l->dims, at, ir_at(l, arg_of(l, concat, k))->shape[axis]);
        if (!found && not_negative(l, dim_sub(l->dims, lo, at)) &&
            not_negative(l, dim_sub(l->dims, past, lo)) && !dim_equal(l->dims, past, lo)) {
            found = true;
            *first = k;
            *begin = at;
        } else if (!found && dim_equal(l->dims, lo, at)) {
            found = true;
            *first = k;
            *begin = at;
        }
        if (found && (dim_equal(l->dims, past, end) || not_negative(l, dim_sub(l->dims, past, end)))) {
            *last = k;
            return true;
        }
        at = past;
    }
    return false;
}

ir_val rule_slice(rewriter *r, ir_val v)
{
    ir_layer *l = r->l;
    if (op_of(l, v) != OP_SLICE)
        return v;
    ir_val a = arg_of(l, v, 0);
    int axis = ir_at(l, v)->u.slice.axis;
    dim lo = ir_at(l, v)->u.slice.lo, len = ir_at(l, v)->shape[axis];
    if (op_of(l, a) == OP_CONCAT && ir_at(l, a)->u.axis == axis) {
        uint32_t first, last, n = ir_at(l, a)->nargs;
        dim begin;
        if (!parts_of_range(l, a, lo, len, &first, &last, &begin) || (first == 0 && last == n - 1))
            return v;
        ir_val all = first == last ? arg_of(l, a, first)
                                   : ir_concat(l, ir_at(l, a)->args + first, last - first + 1, axis);
        return ir_slice(l, all, axis, dim_sub(l->dims, lo, begin), len);
    }
    if (op_of(l, a) == OP_BROADCAST) {
        ir_val b = arg_of(l, a, 0);
        int at = axis - (ir_at(l, a)->rank - ir_at(l, b)->rank);
        bool repeated = at < 0 || dim_is(l->dims, ir_at(l, b)->shape[at], 1);
        ir_shape s = ir_shape_of(l, v);
        return ir_broadcast(l, repeated ? b : ir_slice(l, b, at, lo, len), dom_of(l, v), &s);
    }
    return v;
}

/* Neighbouring slices of one value, put together again. */
ir_val rule_concat(rewriter *r, ir_val v)
{
    ir_layer *l = r->l;
    if (op_of(l, v) != OP_CONCAT)
        return v;
    int axis = ir_at(l, v)->u.axis;
    uint32_t n = ir_at(l, v)->nargs, made = 0;
    arena_mark mark = arena_get_mark(r->work);
    ir_val *parts = NEW_N(r->work, ir_val, n);
    for (uint32_t k = 0; k < n; k++) {
        ir_val b = arg_of(l, v, k), a = made ? parts[made - 1] : b;
        if (made && op_of(l, a) == OP_SLICE && op_of(l, b) == OP_SLICE &&
            ir_same(arg_of(l, a, 0), arg_of(l, b, 0)) && ir_at(l, a)->u.slice.axis == axis &&
            ir_at(l, b)->u.slice.axis == axis &&
            dim_equal(l->dims, dim_add(l->dims, ir_at(l, a)->u.slice.lo, ir_at(l, a)->shape[axis]),
                      ir_at(l, b)->u.slice.lo)) {
            dim len = dim_add(l->dims, ir_at(l, a)->shape[axis], ir_at(l, b)->shape[axis]);
            parts[made - 1] = ir_slice(l, arg_of(l, a, 0), axis, ir_at(l, a)->u.slice.lo, len);
            continue;
        }
        parts[made++] = b;
    }
    ir_val w = made < n ? ir_concat(l, parts, made, axis) : v;
    arena_release(r->work, mark);
    return w;
}

/* reshape(f(reshape(x))): both meet below f. The same of transposes. */
ir_val rule_reshape(rewriter *r, ir_val v)
{
    ir_layer *l = r->l;
    ir_op op = op_of(l, v);
    if (op != OP_RESHAPE && op != OP_TRANSPOSE)
        return v;
    ir_val f = arg_of(l, v, 0);
    const ir_node *n = ir_at(l, f);
    if (ir_ops[n->op].cls == CLS_EW && ir_ops[n->op].nargs == 1 && op_of(l, n->args[0]) == op &&
        rw_uses(r, f) == 1) {
        ir_node like = *n;
        ir_shape s = ir_shape_of(l, v);
        ir_val x = n->args[0];
        x = op == OP_RESHAPE ? ir_reshape(l, x, &s) : ir_transpose(l, x, ir_at(l, v)->u.perm);
        memcpy(like.shape, s.at, sizeof like.shape);
        like.rank = (uint8_t)s.rank;
        return ir_remake(l, &like, dom_of(l, v), &x, 1);
    }
    if (op == OP_TRANSPOSE && n->op == OP_EINSUM && rw_uses(r, f) == 1) {
        ir_einsum e = n->u.ein;
        for (uint32_t k = 0; k < e.nout; k++)
            e.out[k] = n->u.ein.out[ir_at(l, v)->u.perm[k]];
        return ir_contract(l, n->args[0], n->args[1], &e);
    }
    return v;
}

/* Leading axes of 1 of an operand are understood where another has as many axes. */
ir_val rule_leading_ones(rewriter *r, ir_val v)
{
    ir_layer *l = r->l;
    ir_node like = *ir_at(l, v);
    if (ir_ops[like.op].cls != CLS_EW || like.nargs < 2 || like.op == OP_DROPOUT)
        return v;
    ir_val args[3];
    bool any = false;
    for (uint32_t k = 0; k < like.nargs; k++) {
        ir_val a = args[k] = like.args[k], u = op_of(l, a) == OP_RESHAPE ? arg_of(l, a, 0) : a;
        uint32_t rank = ir_at(l, a)->rank, under = ir_at(l, u)->rank, others = 0;
        for (uint32_t j = 0; j < like.nargs; j++) {
            uint32_t has = j == k ? 0 : ir_at(l, j < k ? args[j] : like.args[j])->rank;
            others = has > others ? has : others;
        }
        ir_shape s = ir_shape_of(l, u), t = ir_shape_of(l, a);
        if (under >= rank || others < rank)
            continue;
        memmove(t.at, t.at + (rank - under), under * sizeof *t.at);
        t.rank = under;
        if (!ir_shape_same(l, &s, &t))
            continue;
        args[k] = u;
        any = true;
    }
    return any ? as_shape_of(l, ir_remake(l, &like, like.dom, args, like.nargs), v) : v;
}

/* ---- axis sums ---- */

static void plain_names(uint8_t *names, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++)
        names[k] = (uint8_t)k;
}

/* Names of the axes of `a` without `axis`. */
static uint32_t names_without(uint8_t *names, uint32_t rank, uint32_t axis)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < rank; k++)
        if (k != axis)
            names[n++] = (uint8_t)k;
    return n;
}

static ir_val sum_of_repeated(ir_layer *l, ir_val v, ir_val a, uint32_t axis)
{
    ir_val b = arg_of(l, a, 0);
    int at = (int)axis - (ir_at(l, a)->rank - ir_at(l, b)->rank);
    if (at >= 0 && !dim_is(l->dims, ir_at(l, b)->shape[at], 1)) {
        ir_val sum = ir_reduce(l, OP_RSUM, b, at);
        ir_shape s = ir_shape_of(l, v);
        return ir_broadcast(l, sum, dom_of(l, v), &s);
    }
    if (at >= 0)
        b = ir_squeeze(l, b, at);
    ir_val times = ir_mul(l, ir_dimval(l, (ir_type)ir_at(l, a)->type, ir_at(l, a)->shape[axis]), b);
    return as_shape_of(l, times, v);
}

ir_val rule_axis_sum(rewriter *r, ir_val v)
{
    ir_layer *l = r->l;
    if (op_of(l, v) != OP_RSUM)
        return v;
    ir_val a = arg_of(l, v, 0);
    uint32_t axis = (uint32_t)ir_at(l, v)->u.axis, rank = ir_at(l, a)->rank;
    uint8_t names[IR_MAX_RANK], left[IR_MAX_RANK], next = (uint8_t)rank;
    plain_names(names, rank);
    uint32_t n_left = names_without(left, rank, axis);
    letters keep = (((letters)1 << rank) - 1) & ~((letters)1 << axis);
    ir_op op = op_of(l, a);
    if (op == OP_BROADCAST)
        return sum_of_repeated(l, v, a, axis);
    if (rw_uses(r, a) > 1)
        return v;
    if (op == OP_NEG)
        return ir_neg(l, ir_reduce(l, OP_RSUM, arg_of(l, a, 0), (int)axis));
    if (op == OP_MUL || op == OP_EINSUM) {
        term x, y;
        if (op == OP_MUL) {
            x = term_of_operand(l, arg_of(l, a, 0), names, rank);
            y = term_of_operand(l, arg_of(l, a, 1), names, rank);
        } else {
            term_of_einsum(l, a, names, &next, &x, &y);
        }
        term t = term_contract(l, &x, &y, keep);
        return as_shape_of(l, term_arrange(l, &t, left, n_left), v);
    }
    if (op == OP_DIV) {
        term y = term_of_operand(l, arg_of(l, a, 1), names, rank);
        ir_val x = arg_of(l, a, 0);
        if ((term_letters(&y) & ~keep) || ir_at(l, x)->rank != rank ||
            dim_is(l->dims, ir_at(l, x)->shape[axis], 1))
            return v;
        return as_shape_of(
            l, ir_div(l, ir_reduce(l, OP_RSUM, x, (int)axis), term_arrange(l, &y, left, n_left)), v);
    }
    return v;
}

/* ---- contractions ---- */

/* An operand without transposition and repetition; *negative is turned when it was negated. */
static term plain_operand(ir_layer *l, ir_val v, const uint8_t *names, bool *negative)
{
    uint8_t at[IR_MAX_RANK];
    memcpy(at, names, sizeof at);
    for (;;) {
        const ir_node *n = ir_at(l, v);
        if (n->op == OP_NEG) {
            *negative = !*negative;
        } else if (n->op == OP_TRANSPOSE) {
            uint8_t was[IR_MAX_RANK];
            memcpy(was, at, sizeof was);
            for (uint32_t k = 0; k < n->rank; k++)
                at[n->u.perm[k]] = was[k];
        } else if (n->op == OP_BROADCAST) {
            uint32_t lead = n->rank - ir_at(l, n->args[0])->rank;
            memmove(at, at + lead, sizeof at - lead);
        } else {
            return term_make(l, v, at);
        }
        v = n->args[0];
    }
}

static bool is_plain(const ir_layer *l, ir_val v)
{
    const ir_node *n = ir_at(l, v);
    for (uint32_t k = 0; k < n->rank; k++)
        if (dim_is(l->dims, n->shape[k], 1))
            return false;
    return n->op != OP_NEG && n->op != OP_TRANSPOSE && n->op != OP_BROADCAST;
}

ir_val rule_contract(rewriter *r, ir_val v)
{
    ir_layer *l = r->l;
    if (op_of(l, v) != OP_EINSUM)
        return v;
    ir_val a = arg_of(l, v, 0), b = arg_of(l, v, 1);
    if (is_plain(l, a) && is_plain(l, b))
        return v;
    ir_einsum e = ir_at(l, v)->u.ein;
    bool negative = false;
    term x = plain_operand(l, a, e.a, &negative), y = plain_operand(l, b, e.b, &negative);
    letters keep = 0, have = term_letters(&x) | term_letters(&y), seen = 0;
    for (uint32_t k = 0; k < e.nout; k++)
        keep |= (letters)1 << e.out[k];
    dim times = dim_const(l->dims, 1);          /* of summed letters that no operand has any more */
    for (uint32_t side = 0; side < 2; side++) {
        uint32_t n = side ? e.nb : e.na;
        for (uint32_t k = 0; k < n; k++) {
            uint8_t letter = side ? e.b[k] : e.a[k];
            if (!((have | keep | seen) >> letter & 1))
                times = dim_mul(l->dims, times, ir_at(l, side ? b : a)->shape[k]);
            seen |= (letters)1 << letter;
        }
    }
    term t = term_contract(l, &x, &y, keep);
    ir_val w = term_arrange(l, &t, e.out, e.nout);
    w = ir_mul(l, w, ir_dimval(l, (ir_type)ir_at(l, v)->type, times));
    return as_shape_of(l, negative ? ir_neg(l, w) : w, v);
}
