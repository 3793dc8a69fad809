/* Algebra beyond what the constructors do: what is known at inference, nested choices, constants, and sums of
 * products with a common factor. */
#include "compiler/passes/rules.h"
#include "compiler/passes/match.h"

#include <math.h>
#include <string.h>

ir_val rule_inference(rewriter *r, ir_val v)
{
    ir_layer *l = r->l;
    if (!r->options->inference)
        return v;
    if (op_of(l, v) == OP_TRAINING)
        return ir_const(l, T_BOOL, 0);
    if (op_of(l, v) == OP_DROPOUT)
        return arg_of(l, v, 0);
    return v;
}

/* where(c, f(where(c, a, b), x), d) = where(c, f(a, x), d). */
static ir_val within_branch(ir_layer *l, ir_val v, ir_val c, ir_val a, ir_val d)
{
    ir_val args[3];
    ir_node like = *ir_at(l, a);
    bool any = false;
    for (uint32_t k = 0; k < like.nargs; k++) {
        args[k] = like.args[k];
        if (op_of(l, args[k]) != OP_WHERE || !ir_same(arg_of(l, args[k], 0), c))
            continue;
        args[k] = as_shape_of(l, arg_of(l, args[k], 1), args[k]);
        any = true;
    }
    return any ? as_shape_of(l, ir_where(l, c, ir_remake(l, &like, like.dom, args, like.nargs), d), v) : v;
}

/* where(c, where(c, a, b), d): the inner condition is decided. */
ir_val rule_where(rewriter *r, ir_val v)
{
    ir_layer *l = r->l;
    if (op_of(l, v) != OP_WHERE)
        return v;
    ir_val c = arg_of(l, v, 0), a = arg_of(l, v, 1), b = arg_of(l, v, 2);
    if (op_of(l, a) == OP_WHERE && ir_same(arg_of(l, a, 0), c))
        return as_shape_of(l, ir_where(l, c, arg_of(l, a, 1), b), v);
    if (op_of(l, b) == OP_WHERE && ir_same(arg_of(l, b, 0), c))
        return as_shape_of(l, ir_where(l, c, a, arg_of(l, b, 2)), v);
    if (op_of(l, c) == OP_AND && op_of(l, a) == OP_WHERE &&
        (ir_same(arg_of(l, a, 0), arg_of(l, c, 0)) || ir_same(arg_of(l, a, 0), arg_of(l, c, 1))))
        return as_shape_of(l, ir_where(l, c, arg_of(l, a, 1), b), v);
    double zero;
    if (ir_is_uniform(l, b, &zero) && ir_ops[op_of(l, a)].cls == CLS_EW && rw_uses(r, a) == 1)
        return within_branch(l, v, c, a, b);
    return v;
}

/* The uniform operand's number and the other operand. */
static bool number_and(const ir_layer *l, ir_val v, double *x, ir_val *other)
{
    for (uint32_t k = 0; k < 2; k++) {
        if (ir_is_uniform(l, arg_of(l, v, k), x)) {
            *other = arg_of(l, v, !k);
            return true;
        }
    }
    return false;
}

static bool is_normal_product(const ir_layer *l, ir_val v, double x)
{
    double least = ir_at(l, v)->type == T_F64 ? 0x1p-1000 : 0x1p-120, most = 1 / least;
    return fabs(x) > least && fabs(x) < most;
}

ir_val rule_constants(rewriter *r, ir_val v)
{
    ir_layer *l = r->l;
    ir_op op = op_of(l, v);
    double x, y;
    ir_val a, b;
    if (!ir_is_arith(ir_at(l, v)->type))
        return v;
    if (op == OP_DIV && ir_is_uniform(l, arg_of(l, v, 1), &x) && isfinite(x) && x != 0) {
        int e;
        double half = frexp(x, &e);
        if (fabs(half) == 0.5 && e > -100 && e < 100)           /* a power of two: exact */
            return as_shape_of(l, ir_mul(l, arg_of(l, v, 0), ir_like(l, v, 1 / x)), v);
    }
    if (op == OP_MUL && number_and(l, v, &x, &a)) {
        if (op_of(l, a) == OP_MUL && number_and(l, a, &y, &b) && is_normal_product(l, v, x * y))
            return as_shape_of(l, ir_mul(l, b, ir_like(l, v, x * y)), v);
        if (op_of(l, a) == OP_NEG)
            return as_shape_of(l, ir_mul(l, arg_of(l, a, 0), ir_like(l, v, -x)), v);
    }
    if (op == OP_NEG && op_of(l, arg_of(l, v, 0)) == OP_MUL && number_and(l, arg_of(l, v, 0), &x, &a))
        return as_shape_of(l, ir_mul(l, a, ir_like(l, v, -x)), v);
    return v;
}

/* x @ A + x @ B = x @ (A + B), where A and B have fewer rows than x: the sum is nearly free. */
ir_val rule_factor(rewriter *r, ir_val v)
{
    ir_layer *l = r->l;
    if (op_of(l, v) != OP_ADD && op_of(l, v) != OP_SUB)
        return v;
    ir_val a = arg_of(l, v, 0), b = arg_of(l, v, 1);
    if (op_of(l, a) != OP_EINSUM || op_of(l, b) != OP_EINSUM || rw_uses(r, a) > 1 || rw_uses(r, b) > 1 ||
        memcmp(&ir_at(l, a)->u.ein, &ir_at(l, b)->u.ein, sizeof ir_at(l, a)->u.ein) != 0)
        return v;
    ir_einsum e = ir_at(l, a)->u.ein;
    for (uint32_t k = 0; k < 2; k++) {
        ir_val p = arg_of(l, a, !k), q = arg_of(l, b, !k);
        ir_shape s = ir_shape_of(l, p), t = ir_shape_of(l, q);
        if (!ir_same(arg_of(l, a, k), arg_of(l, b, k)) || !ir_shape_same(l, &s, &t) || is_unit(l, v) ||
            !ir_dom_same(dom_of(l, p), dom_of(l, q)) ||
            !cost_fewer_rows(&r->model, dom_of(l, p), dom_of(l, v)))
            continue;
        ir_val sum = ir_ew2(l, op_of(l, v), p, q), x = arg_of(l, a, k);
        return k ? ir_contract(l, sum, x, &e) : ir_contract(l, x, sum, &e);
    }
    return v;
}

const rewrite rules_simplify[] = {
    {"known at inference", rule_inference, false},
    {"nested choice", rule_where, false},
    {"constants", rule_constants, false},
    {"slice of a concat", rule_slice, false},
    {"concat of slices", rule_concat, false},
    {"reshapes that cancel", rule_reshape, false},
    {"leading axes of 1", rule_leading_ones, false},
    {"axis sum", rule_axis_sum, false},
    {"contraction", rule_contract, false},
    {"common factor", rule_factor, false},
};
const uint32_t n_rules_simplify = sizeof rules_simplify / sizeof *rules_simplify;

ir_layer *pass_simplify(rewriter *r, const ir_layer *from, arena *mem)
{
    return rewrite_run(r, from, mem, rules_simplify, n_rules_simplify);
}
