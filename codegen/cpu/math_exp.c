/* exp and what is made of it: expm1, tanh, sigmoid, softplus, erf.
 *
 * e^x = 2^n e^r with n = x / ln 2 to the nearest and r = x - n ln 2, |r| <= ln 2 / 2, the product taken in
 * two parts whose first is exact; e^r = 1 + r + r^2 Q(r) (Cody and Waite 1980). */
#include <math.h>

#include "codegen/cpu/math_parts.h"
#include "codegen/cpu/math_poly.h"

mx_exp mx_exp_parts(const mx *m, val x)
{
    emitter *e = m->e;
    mx_round n = mx_nearest(m, emit_mul(e, x, mx_c(m, 0x1.71547652b82fep+0)));
    val r = mx_fnma(m, n.real, mx_pick(m, 0x1.62ep-1, 0x1.62e42fefa4p-1), x);
    r = mx_fnma(m, n.real, mx_pick(m, 0x1.0bfbe8p-15, -0x1.8432a1b0e2634p-43), r);
    val q = emit_fma(e, emit_mul(e, r, r), MX_POLY(m, r, poly_exp), r);
    return (mx_exp){.n = mx_round_int(m, n), .q = q};
}

val mx_exp_plain(const mx *m, val x)
{
    mx_exp p = mx_exp_parts(m, x);
    val s = mx_power2(m, p.n);
    return emit_fma(m->e, s, p.q, s);
}

static val hold(const mx *m, val x, double lo, double hi)
{
    return emit_clamp(m->e, x, mx_c(m, lo), mx_c(m, hi));
}

val body_exp(const mx *m, const val *a)
{
    /* beyond these all is 0 or infinity already */
    val x = m->wide ? hold(m, a[0], -746, 710) : hold(m, a[0], -104, 89);
    mx_exp p = mx_exp_parts(m, x);
    return mx_scale(m, emit_add(m->e, p.q, mx_c(m, 1)), p.n);
}

/* 2 (s q + (s - 1/2)), s = 2^(n-1): the halving keeps 2^n finite up to the largest result. */
val body_expm1(const mx *m, const val *a)
{
    emitter *e = m->e;
    val x = m->wide ? hold(m, a[0], -45, 709.9) : hold(m, a[0], -30, 89);
    mx_exp p = mx_exp_parts(m, x);
    val s = mx_power2(m, emit_sub(e, p.n, mx_int(m, 1)));
    val r = emit_fma(e, s, p.q, emit_sub(e, s, mx_c(m, 0.5)));
    r = emit_add(e, r, r);
    /* a halved denormal would lose its last bit, and zero its sign */
    val tiny = emit_cmp(e, CMP_LT, emit_abs(e, a[0]), mx_pick(m, 0x1p-26, 0x1p-55));
    return emit_select(e, tiny, a[0], r);
}

/* Near 0 a polynomial; from 0.625 on 1 - 2 / (e^2x + 1). */
val body_tanh(const mx *m, const val *a)
{
    emitter *e = m->e;
    val x = a[0], ax = emit_abs(e, x);
    val z = emit_mul(e, x, x);
    val small = emit_fma(e, emit_mul(e, ax, z), MX_POLY(m, z, poly_tanh), ax);
    val held = emit_min(e, ax, mx_pick(m, 10, 20));
    val t = mx_exp_plain(m, emit_add(e, held, held));
    val large = emit_sub(e, mx_c(m, 1), emit_div(e, mx_c(m, 2), emit_add(e, t, mx_c(m, 1))));
    val r = emit_select(e, emit_cmp(e, CMP_LT, ax, mx_c(m, 0.625)), small, large);
    return emit_copysign(e, r, x);
}

/* e^-|x|: without overflow one factor serves all of the range, 2^(n + up), and another takes 2^up back, so
 * that results below the normal range round once more there only. */
static val exp_minus_abs(const mx *m, val x)
{
    emitter *e = m->e;
    int up = m->wide ? 512 : 64;
    val minus = emit_max(e, emit_neg(e, emit_abs(e, x)), mx_pick(m, -104, -746));
    mx_exp p = mx_exp_parts(m, minus);
    val s = mx_power2(m, emit_add(e, p.n, mx_int(m, up)));
    return emit_mul(e, emit_fma(e, s, p.q, s), mx_c(m, ldexp(1, -up)));
}

/* By e^-|x|, which cannot overflow: 1 / (1 + z) right of 0, z / (1 + z) left of it. */
val body_sigmoid(const mx *m, const val *a)
{
    emitter *e = m->e;
    val z = exp_minus_abs(m, a[0]), one = mx_c(m, 1);
    /* by the sign alone: -0 and NaN do no harm */
    val left = emit_cmp(e, CMP_LT, mx_to_bits(m, a[0]), mx_int(m, 0));
    return emit_div(e, emit_select(e, left, z, one), emit_add(e, one, z));
}

/* max(x, 0) + log1p(e^-|x|) */
val body_softplus(const mx *m, const val *a)
{
    emitter *e = m->e;
    val z = exp_minus_abs(m, a[0]);
    return emit_add(e, emit_relu(e, a[0]), mx_log1p_between(m, z));
}

/* Near 0 x E(x^2); beyond, 1 - e^-G(x) with G fitted to -log(erfc). */
val body_erf(const mx *m, const val *a)
{
    emitter *e = m->e;
    val x = a[0], ax = emit_abs(e, x);
    val z = emit_mul(e, x, x);
    val small = emit_mul(e, ax, MX_POLY(m, z, poly_erf));
    val held = emit_min(e, ax, mx_pick(m, 4, 6));
    if (m->wide)
        held = emit_sub(e, held, mx_c(m, 2.5));
    val g = MX_POLY(m, held, poly_log_erfc);
    val large = emit_sub(e, mx_c(m, 1), mx_exp_plain(m, emit_neg(e, g)));
    val r = emit_select(e, emit_cmp(e, CMP_LT, ax, mx_c(m, 0.921875)), small, large);
    return emit_copysign(e, r, x);
}
