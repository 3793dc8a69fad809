/*
 * Arithmetic: functions of the language from the operations of the IR, in forms that neither overflow nor
 * cancel where the result is representable.
 */
#include "compiler/lower/lower_int.h"

ir_type stored_type(sem_elem e)
{
    switch (e) {
    case SEM_F64: return T_F64;
    case SEM_F16: return T_F16;
    case SEM_BF16: return T_BF16;
    case SEM_INDEX: return T_INDEX;
    case SEM_BOOL: return T_BOOL;
    case SEM_F32: case SEM_WEAK: case SEM_POISON: return T_F32;
    }
    return T_F32;
}

ir_val as_type(lowering *L, ir_val v, ir_type t)
{
    const unsigned from = ir_at(L->l, v)->type;
    return ir_is_float(from) && from != t ? ir_cast(L->l, v, t) : v;
}

/* x > 0 ? x : alpha (e^x - 1) */
static ir_val elu(ir_layer *l, ir_val x, ir_val alpha)
{
    return ir_where(l, ir_lt(l, ir_like(l, x, 0), x), x, ir_mul(l, alpha, ir_ew1(l, OP_EXPM1, x)));
}

static ir_val compare(lowering *L, sem_fn fn, ir_val a, ir_val b)
{
    ir_layer *l = L->l;
    switch ((int)fn) {
    case SEM_FN_lt: return ir_lt(l, a, b);
    case SEM_FN_le: return ir_le(l, a, b);
    case SEM_FN_gt: return ir_lt(l, b, a);
    case SEM_FN_ge: return ir_le(l, b, a);
    case SEM_FN_eq: return ir_eq(l, a, b);
    default: return ir_ne(l, a, b);
    }
}

/* A number beside an index: as an index where it is one, otherwise both are compared as numbers. */
static bool compare_mixed(lowering *L, const ir_val *given, ir_val *a, ir_type t)
{
    ir_layer *l = L->l;
    const uint32_t number = ir_at(l, given[0])->type == T_INDEX;
    if ((ir_at(l, given[1])->type == T_INDEX) == (number == 1)) return false;
    double x;
    if (ir_is_const(l, given[number], &x) && x >= 0 && x < INT32_MAX && x == (double)(int64_t)x) {
        a[number] = ir_const_index(l, (int64_t)x, dim_const(l->dims, (int64_t)x + 1));
        a[!number] = given[!number];
    } else {
        a[number] = as_type(L, given[number], t);
        a[!number] = ir_cast(l, given[!number], t);
    }
    return true;
}

ir_val lower_ew(lowering *L, const sem_expr *e, const ir_val *given, ir_type t)
{
    enum { MOST = 3 };
    ir_layer *l = L->l;
    ir_val a[MOST] = {{0}};
    const sem_fn fn = e->u.fn;
    if (e->n_args != 2 || !compare_mixed(L, given, a, t))
        for (uint32_t i = 0; i < e->n_args; i++) a[i] = as_type(L, given[i], t);
    const ir_val x = a[0];
    switch (fn) {
    case SEM_FN_add: return ir_add(l, x, a[1]);
    case SEM_FN_sub: return ir_sub(l, x, a[1]);
    case SEM_FN_mul: return ir_mul(l, x, a[1]);
    case SEM_FN_div: return ir_div(l, x, a[1]);
    case SEM_FN_pow: return ir_pow(l, x, a[1]);
    case SEM_FN_neg: return ir_neg(l, x);
    case SEM_FN_lt: case SEM_FN_le: case SEM_FN_gt: case SEM_FN_ge: case SEM_FN_eq: case SEM_FN_ne:
        return compare(L, fn, x, a[1]);
    case SEM_FN_and: return ir_and(l, x, a[1]);
    case SEM_FN_or: return ir_or(l, x, a[1]);
    case SEM_FN_not: return ir_not(l, x);
    case SEM_FN_where: return ir_where(l, x, a[1], a[2]);
    case SEM_FN_exp: return ir_exp(l, x);
    case SEM_FN_log: return ir_log(l, x);
    case SEM_FN_log1p: return ir_ew1(l, OP_LOG1P, x);
    case SEM_FN_sqrt: return ir_sqrt(l, x);
    case SEM_FN_rsqrt: return ir_rsqrt(l, x);
    case SEM_FN_abs: return ir_ew1(l, OP_ABS, x);
    case SEM_FN_sign: return ir_ew1(l, OP_SIGN, x);
    case SEM_FN_sin: return ir_ew1(l, OP_SIN, x);
    case SEM_FN_cos: return ir_ew1(l, OP_COS, x);
    case SEM_FN_tanh: return ir_ew1(l, OP_TANH, x);
    case SEM_FN_sigmoid: return ir_ew1(l, OP_SIGMOID, x);
    case SEM_FN_relu: return ir_relu(l, x);
    case SEM_FN_leaky_relu: return ir_where(l, ir_lt(l, ir_like(l, x, 0), x), x, ir_mul(l, a[1], x));
    case SEM_FN_elu: return elu(l, x, a[1]);
    case SEM_FN_selu:                            /* Klambauer et al., 2017 */
        return ir_mul(l, ir_like(l, x, 1.0507009873554804934),
                      elu(l, x, ir_like(l, x, 1.6732632423543772848)));
    case SEM_FN_gelu: {
        ir_val cdf = ir_add(l, ir_like(l, x, 1),
                            ir_ew1(l, OP_ERF, ir_mul(l, x, ir_like(l, x, 0.70710678118654752440))));
        return ir_mul(l, ir_mul(l, ir_like(l, x, 0.5), x), cdf);
    }
    case SEM_FN_silu: return ir_mul(l, x, ir_ew1(l, OP_SIGMOID, x));
    case SEM_FN_softplus: return ir_ew1(l, OP_SOFTPLUS, x);
    case SEM_FN_erf: return ir_ew1(l, OP_ERF, x);
    case SEM_FN_square: return ir_mul(l, x, x);
    case SEM_FN_floor: return ir_ew1(l, OP_FLOOR, x);
    case SEM_FN_atan2: return ir_ew2(l, OP_ATAN2, x, a[1]);
    case SEM_FN_maximum: return ir_maximum(l, x, a[1]);
    case SEM_FN_minimum: return ir_minimum(l, x, a[1]);
    case SEM_FN_clamp: return ir_minimum(l, ir_maximum(l, x, a[1]), a[2]);
    case SEM_FN_sum: case SEM_FN_mean: case SEM_FN_max: case SEM_FN_min: case SEM_FN_prod: case SEM_FN_var:
    case SEM_FN_std: case SEM_FN_count: case SEM_FN_any: case SEM_FN_all: case SEM_FN_softmax:
    case SEM_FN_axis_sum: case SEM_FN_axis_mean: case SEM_FN_axis_max: case SEM_FN_axis_min:
    case SEM_FN_axis_var: case SEM_FN_axis_norm: case SEM_FN_axis_softmax: case SEM_FN_axis_log_softmax:
    case SEM_FN_reshape: case SEM_FN_transpose: case SEM_FN_real: case SEM_FN_bucket: case SEM_FN_dot:
    case SEM_FN_layer_norm: case SEM_FN_concat: case SEM_FN_stack: case SEM_FN_iota: case SEM_FN_zeros:
    case SEM_FN_ones:
    case SEM_FN_einsum: case SEM_FN_dropout: case SEM_FN_stop_gradient: case SEM_FN_grad: case SEM_N_FNS:
        break;
    }
    ir_bug(l, "`%s` is not element-wise", sem_fn_name(fn));
}

/* ---- over an axis ---- */

static ir_val mean(ir_layer *l, ir_val x, int axis)
{
    const ir_node *n = ir_at(l, x);
    ir_val width = ir_dimval(l, (ir_type)n->type, n->shape[axis]);
    return ir_div(l, ir_reduce(l, OP_RSUM, x, axis), width);
}

/* x minus its mean over the axis */
/* x - mean(x), twice: the mean of values far from zero is rounded, and that error, squared, would be all of a small
 * variance. What is left after the first time is small, so its own mean is exact enough. */
static ir_val centred(ir_layer *l, ir_val x, int axis)
{
    ir_val c = ir_sub(l, x, ir_expand(l, mean(l, x, axis), axis));
    return ir_sub(l, c, ir_expand(l, mean(l, c, axis), axis));
}

/* In f32: by f64, whose squares neither overflow nor vanish. In f64: of x over its greatest magnitude, where
 * that is a number to divide by; the result is the same for any scale, so the scale has no derivative. */
static ir_val norm(lowering *L, ir_val x, int axis)
{
    ir_layer *l = L->l;
    if (ir_at(l, x)->type == T_F32) {
        ir_val w = ir_cast(l, x, T_F64);
        return ir_cast(l, ir_ew1(l, OP_SQRT0, ir_reduce(l, OP_RSUM, ir_mul(l, w, w), axis)), T_F32);
    }
    ir_val most = ir_reduce(l, OP_RMAX, ir_ew1(l, OP_ABS, x), axis), zero = ir_like(l, most, 0);
    ir_val good = ir_and(l, ir_lt(l, zero, most), ir_le(l, most, ir_like(l, most, 1.7976931348623157e308)));
    ir_val scale = ir_ew1(l, OP_STOP, ir_where(l, good, most, ir_like(l, most, 1)));
    ir_val y = ir_div(l, x, ir_expand(l, scale, axis));
    return ir_mul(l, scale, ir_ew1(l, OP_SQRT0, ir_reduce(l, OP_RSUM, ir_mul(l, y, y), axis)));
}

/* x minus its greatest over the axis; softmax is the same for any shift, so that has no derivative. */
static ir_val shifted(ir_layer *l, ir_val x, int axis)
{
    return ir_sub(l, x, ir_expand(l, ir_ew1(l, OP_STOP, ir_reduce(l, OP_RMAX, x, axis)), axis));
}

ir_val lower_axis(lowering *L, sem_fn fn, ir_val x, uint32_t at)
{
    ir_layer *l = L->l;
    const int axis = (int)at;
    switch ((int)fn) {
    case SEM_FN_axis_sum: return ir_reduce(l, OP_RSUM, x, axis);
    case SEM_FN_axis_max: return ir_reduce(l, OP_RMAX, x, axis);
    case SEM_FN_axis_min: return ir_reduce(l, OP_RMIN, x, axis);
    case SEM_FN_axis_mean: return mean(l, x, axis);
    case SEM_FN_axis_var: {
        ir_val c = centred(l, x, axis);
        return mean(l, ir_mul(l, c, c), axis);
    }
    case SEM_FN_axis_norm: return norm(L, x, axis);
    case SEM_FN_axis_softmax: {
        ir_val p = ir_exp(l, shifted(l, x, axis));
        return ir_div(l, p, ir_expand(l, ir_reduce(l, OP_RSUM, p, axis), axis));
    }
    default: {                                   /* log_softmax */
        ir_val d = shifted(l, x, axis);
        return ir_sub(l, d, ir_expand(l, ir_log(l, ir_reduce(l, OP_RSUM, ir_exp(l, d), axis)), axis));
    }
    }
}

/* x, gamma, beta, eps; over the last axis */
ir_val lower_layer_norm(lowering *L, const ir_val *a)
{
    ir_layer *l = L->l;
    const int axis = ir_at(l, a[0])->rank - 1;
    ir_val c = centred(l, a[0], axis), var = mean(l, ir_mul(l, c, c), axis);
    ir_val scale = ir_expand(l, ir_rsqrt(l, ir_add(l, var, a[3])), axis);
    return ir_add(l, ir_mul(l, ir_mul(l, c, scale), a[1]), a[2]);
}
