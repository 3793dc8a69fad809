/* Leave: what is the same for a whole group leaves the aggregate over it, and functions that keep the
 * order of numbers leave a greatest or least: max(relu(src.u + dst.v)) is relu(dst.v + max(src.u)), 0 over
 * nothing. Factors of sums are product.c's. */
#include "compiler/passes/rules.h"
#include "compiler/passes/match.h"
#include "compiler/passes/terms.h"

static ir_val as_kind_of(ir_layer *l, ir_val w, ir_val v)
{
    ir_shape s = ir_shape_of(l, v);
    return ir_broadcast(l, as_shape_of(l, w, v), dom_of(l, v), &s);
}


/* The terms of the operand that are the same for a group, as one value of the codomain; the others stay in
 * s. */
static ir_val take_constant_terms(ir_layer *l, sum_of *s, ir_val along)
{
    sum_of out = {0};
    for (uint32_t k = 0; k < s->n;) {
        ir_val w = lift(l, s->at[k], along);
        if (!ir_is(w)) {
            k++;
            continue;
        }
        out.at[out.n] = w;
        out.minus[out.n++] = s->minus[k];
        sum_drop(s, k);
    }
    return sum_make(l, &out);
}

/* ---- sums ---- */

/* sum(src.u + dst.v) = count v + sum(src.u). */
ir_val rule_leave_sum(rewriter *r, ir_val v)
{
    ir_layer *l = r->l;
    sum_of s;
    if (op_of(l, v) != OP_AGG_SUM || !sum_take(r, arg_of(l, v, 0), &s))
        return v;
    ir_val along = arg_of(l, v, 1), a = take_constant_terms(l, &s, along);
    if (!ir_is(a) || !s.n)
        return v;
    ir_val count = ir_count(l, (ir_type)ir_at(l, v)->type, along);
    ir_val all = ir_mul(l, count, is_finite(l, a) ? a : where_members(l, along, a, 0));
    return as_kind_of(l, ir_add(l, all, ir_agg(l, OP_AGG_SUM, sum_make(l, &s), along)), v);
}

/* (count a + s) / maximum(count, 1) = a + s / maximum(count, 1), a being 0 where count is. */
ir_val rule_mean(rewriter *r, ir_val v)
{
    ir_layer *l = r->l;
    if (op_of(l, v) != OP_DIV || op_of(l, arg_of(l, v, 0)) != OP_ADD || op_of(l, arg_of(l, v, 1)) != OP_MAX)
        return v;
    ir_val sum = arg_of(l, v, 0), below = arg_of(l, v, 1), count = {0};
    double one;
    for (uint32_t k = 0; k < 2; k++)
        if (op_of(l, arg_of(l, below, k)) == OP_COUNT && ir_is_uniform(l, arg_of(l, below, !k), &one) &&
            one == 1)
            count = arg_of(l, below, k);
    if (!ir_is(count) || rw_uses(r, sum) > 1)
        return v;
    for (uint32_t k = 0; k < 2; k++) {
        ir_val p = arg_of(l, sum, k), q = arg_of(l, sum, !k);
        for (uint32_t j = 0; op_of(l, p) == OP_MUL && j < 2; j++) {
            if (!ir_same(arg_of(l, p, j), count))
                continue;
            ir_val a = where_members(l, arg_of(l, count, 0), arg_of(l, p, !j), 0);
            return as_kind_of(l, ir_add(l, a, ir_div(l, q, below)), v);
        }
    }
    return v;
}

/* ---- greatest and least ---- */

static ir_op other_end(ir_op op) { return op == OP_AGG_MAX ? OP_AGG_MIN : OP_AGG_MAX; }

/* max(c m): c max(m), or c min(m) for a negative c. Also where a positive c is a value of the group. */
static ir_val extreme_of_product(rewriter *r, ir_val v, ir_val m)
{
    ir_layer *l = r->l;
    ir_val along = arg_of(l, v, 1);
    ir_op op = op_of(l, v);
    bool div = op_of(l, m) == OP_DIV;
    for (uint32_t k = 0; k < (div ? 1u : 2u); k++) {
        ir_val c = lift(l, arg_of(l, m, !k), along), rest = arg_of(l, m, k);
        if (!ir_is(c) || lifts(l, rest, along) || !is_finite(l, c))
            continue;
        double x;
        bool negative = ir_is_uniform(l, c, &x) && x < 0;
        if (!negative && !is_positive(l, c))
            continue;
        ir_val a = ir_agg(l, negative ? other_end(op) : op, rest, along);
        return as_kind_of(l, div ? ir_div(l, a, c) : ir_mul(l, a, c), v);
    }
    return v;
}

/* x < 0 ? c x : x and the like, with 0 <= c: the slope below zero, and the branches in order. */
static bool is_leaky(const ir_layer *l, ir_val m, ir_val *x)
{
    if (op_of(l, m) != OP_WHERE)
        return false;
    ir_val c = arg_of(l, m, 0);
    double zero, slope;
    if (op_of(l, c) != OP_LT && op_of(l, c) != OP_LE)
        return false;
    bool above = ir_is_uniform(l, arg_of(l, c, 0), &zero);      /* 0 < x */
    if ((!above && !ir_is_uniform(l, arg_of(l, c, 1), &zero)) || zero != 0)
        return false;
    *x = arg_of(l, c, above ? 1 : 0);
    ir_val kept = arg_of(l, m, above ? 1 : 2), scaled = arg_of(l, m, above ? 2 : 1);
    if (!ir_same(kept, *x) || op_of(l, scaled) != OP_MUL)
        return false;
    for (uint32_t k = 0; k < 2; k++)
        if (ir_same(arg_of(l, scaled, k), *x) && ir_is_uniform(l, arg_of(l, scaled, !k), &slope) &&
            slope >= 0)
            return true;
    return false;
}

/* The element-wise function m = f(x) on another operand. */
static ir_val remake_on(ir_layer *l, ir_val m, ir_val x, ir_val y)
{
    ir_val args[3];
    ir_node like = *ir_at(l, m);
    for (uint32_t k = 0; k < like.nargs; k++) {
        ir_val a = like.args[k];
        if (ir_same(a, x)) {
            args[k] = y;
        } else if (is_unit(l, a)) {
            args[k] = a;
        } else {
            ir_val inner[2];
            ir_node in = *ir_at(l, a);
            for (uint32_t j = 0; j < in.nargs; j++)
                inner[j] = ir_same(in.args[j], x) ? y : in.args[j];
            args[k] = ir_remake(l, &in, dom_of(l, y), inner, in.nargs);
        }
    }
    return ir_remake(l, &like, dom_of(l, y), args, like.nargs);
}

static ir_val extreme_of_sum(rewriter *r, ir_val v, ir_val m)
{
    ir_layer *l = r->l;
    sum_of s;
    if (!sum_take(r, m, &s))
        return v;
    ir_val along = arg_of(l, v, 1), a = take_constant_terms(l, &s, along);
    if (!ir_is(a) || !s.n)
        return v;
    ir_val rest = ir_agg(l, op_of(l, v), sum_make(l, &s), along);
    return as_kind_of(l, where_members(l, along, ir_add(l, a, rest), 0), v);
}

ir_val rule_leave_extreme(rewriter *r, ir_val v)
{
    ir_layer *l = r->l;
    ir_op op = op_of(l, v);
    if (op != OP_AGG_MAX && op != OP_AGG_MIN)
        return v;
    ir_val m = arg_of(l, v, 0), along = arg_of(l, v, 1), x;
    if (lifts(l, m, along))
        return as_kind_of(l, where_members(l, along, lift(l, m, along), 0), v);
    if (is_monotone(l, m, op == OP_AGG_MIN)) {
        ir_node like = *ir_at(l, m);
        ir_val a = ir_agg(l, op, arg_of(l, m, 0), along), f = ir_remake(l, &like, dom_of(l, v), &a, 1);
        return as_kind_of(l, (ir_ops[like.op].flags & OPF_ZERO0) ? f : where_members(l, along, f, 0), v);
    }
    ir_op f = op_of(l, m);
    if (f == OP_NEG)
        return as_kind_of(l, ir_neg(l, ir_agg(l, other_end(op), arg_of(l, m, 0), along)), v);
    if (f == OP_MAX || f == OP_MIN) {
        for (uint32_t k = 0; k < 2; k++) {
            ir_val c = lift(l, arg_of(l, m, k), along);
            if (ir_is(c))
                return as_kind_of(
                    l, where_members(l, along, ir_ew2(l, f, ir_agg(l, op, arg_of(l, m, !k), along), c), 0),
                    v);
        }
    }
    if (f == OP_MUL || f == OP_DIV)
        return extreme_of_product(r, v, m);
    if (f == OP_ADD || f == OP_SUB)
        return extreme_of_sum(r, v, m);
    if (is_leaky(l, m, &x) && ir_same(x, bare(l, x)))
        return as_kind_of(l, remake_on(l, m, x, ir_agg(l, op, x, along)), v);
    return v;
}

/* ---- variance ---- */

/* var(src.u + dst.v) = var(src.u): a shift. What is NaN or infinite in v makes the variance NaN, as written:
 * so v - v, which is 0 or NaN, is added where the group has members. */
ir_val rule_leave_var(rewriter *r, ir_val v)
{
    ir_layer *l = r->l;
    sum_of s;
    if (op_of(l, v) != OP_AGG_VAR || !sum_take(r, arg_of(l, v, 0), &s))
        return v;
    ir_val along = arg_of(l, v, 1), a = take_constant_terms(l, &s, along);
    if (!ir_is(a) || !s.n)
        return v;
    ir_val var = ir_agg(l, OP_AGG_VAR, sum_make(l, &s), along);
    if (!is_finite(l, a)) {
        ir_val still = ir_ew1(l, OP_STOP, a);
        var = ir_add(l, var, where_members(l, along, ir_sub(l, still, still), 0));
    }
    return as_kind_of(l, var, v);
}

/* ---- softmax ---- */

/* A finite shift of a whole group does not change its shares. */
ir_val rule_leave_softmax(rewriter *r, ir_val v)
{
    ir_layer *l = r->l;
    sum_of s;
    if ((op_of(l, v) != OP_SOFTMAX && op_of(l, v) != OP_AGG_EXPSUM) || !sum_take(r, arg_of(l, v, 0), &s))
        return v;
    ir_val along = arg_of(l, v, 1);
    sum_of rest = {0};
    for (uint32_t k = 0; k < s.n; k++) {
        if (lifts(l, s.at[k], along) && is_finite(l, s.at[k]))
            continue;
        rest.at[rest.n] = s.at[k];
        rest.minus[rest.n++] = s.minus[k];
    }
    if (!rest.n || rest.n == s.n)
        return v;
    ir_val scores = sum_make(l, &rest);
    return as_kind_of(l,
                      op_of(l, v) == OP_SOFTMAX ? ir_softmax(l, scores, along)
                                                : ir_agg(l, OP_AGG_EXPSUM, scores, along),
                      v);
}
