/* pow: e^(y log |x|) with log |x| known far beyond the type, then the sign and the special values of C.
 *
 * f32 is computed in f64, whose logarithm has bits to spare. f64 takes the logarithm as an unevaluated sum of
 * two (Dekker 1971): s = f / (2 + f) and the terms 2 s and 2/3 s^3 of the series of artanh in double length,
 * the rest in single; about 2^-65 relative, which y log x, up to 745, needs. */
#include <math.h>

#include "codegen/cpu/math_parts.h"
#include "codegen/cpu/math_poly.h"

typedef struct twin {
    val hi, lo;
} twin;

/* a + b exactly, |a| >= |b| or a = 0 */
static twin fast_two_sum(const mx *m, val a, val b)
{
    val s = emit_add(m->e, a, b);
    return (twin){s, emit_sub(m->e, b, emit_sub(m->e, s, a))};
}

static twin split(const mx *m, val a)
{
    emitter *e = m->e;
    val big = emit_mul(e, a, mx_c(m, 0x1p27 + 1));
    val hi = emit_sub(e, big, emit_sub(e, big, a));
    return (twin){hi, emit_sub(e, a, hi)};
}

/* a * b exactly */
static twin two_product(const mx *m, val a, val b)
{
    emitter *e = m->e;
    val p = emit_mul(e, a, b);
    if (e->target->has_fma)
        return (twin){p, emit_fma(e, a, b, emit_neg(e, p))};
    twin x = split(m, a), y = split(m, b);
    val r = emit_sub(e, emit_mul(e, x.hi, y.hi), p);
    r = emit_add(e, r, emit_mul(e, x.hi, y.lo));
    r = emit_add(e, r, emit_mul(e, x.lo, y.hi));
    return (twin){p, emit_add(e, r, emit_mul(e, x.lo, y.lo))};
}

/* log(1 + f) + k ln 2 in double length */
static twin log_twin(const mx *m, val mantissa, val k)
{
    emitter *e = m->e;
    val one = mx_c(m, 1), f = emit_sub(e, mantissa, one);
    val d = emit_add(e, mantissa, one);
    val d_lo = emit_sub(e, mantissa, emit_sub(e, d, one));
    val inverse = emit_div(e, one, d);
    val s = emit_mul(e, f, inverse);
    twin sd = two_product(m, s, d);
    val rest = emit_sub(e, emit_sub(e, emit_sub(e, f, sd.hi), sd.lo), emit_mul(e, s, d_lo));
    val s_lo = emit_mul(e, rest, inverse);

    twin z = two_product(m, s, s);
    z.lo = emit_fma(e, emit_add(e, s, s), s_lo, z.lo);
    twin s3 = two_product(m, z.hi, s);
    s3.lo = emit_add(e, s3.lo, emit_fma(e, z.hi, s_lo, emit_mul(e, z.lo, s)));
    val c_hi = mx_c(m, 0x1.5555555555555p-1), c_lo = mx_c(m, 0x1.5555555555555p-55);
    twin u = two_product(m, s3.hi, c_hi);
    u.lo = emit_add(e, u.lo, emit_fma(e, s3.hi, c_lo, emit_mul(e, s3.lo, c_hi)));
    val tail = emit_mul(
        e, emit_mul(e, s3.hi, z.hi),
        mx_poly(m, z.hi, poly_log_tail64, (int)(sizeof poly_log_tail64 / sizeof poly_log_tail64[0])));

    twin h = fast_two_sum(m, emit_mul(e, k, mx_c(m, 0x1.62e42fefa4p-1)), emit_add(e, s, s));
    twin g = fast_two_sum(m, h.hi, u.hi);
    val lo = emit_fma(e, k, mx_c(m, -0x1.8432a1b0e2634p-43), emit_add(e, s_lo, s_lo));
    lo = emit_add(e, lo, emit_add(e, tail, u.lo));
    lo = emit_add(e, lo, emit_add(e, g.lo, h.lo));
    return fast_two_sum(m, g.hi, lo);
}

/* the same to 2^-44, enough for f32 */
static val log_short(const mx *m, val mantissa, val k)
{
    emitter *e = m->e;
    val f = emit_sub(e, mantissa, mx_c(m, 1));
    val s = emit_div(e, f, emit_add(e, f, mx_c(m, 2)));
    val z = emit_mul(e, s, s);
    val r = mx_poly(m, z, poly_log_short64, (int)(sizeof poly_log_short64 / sizeof poly_log_short64[0]));
    val y = mx_fnma(m, s, emit_sub(e, f, emit_mul(e, z, r)), f);
    return emit_fma(e, k, mx_c(m, 0x1.62e42fefa39efp-1), y);
}

/* |x|^y in f64, by the short way for f32 arguments. 0 and infinity (of either) come out right; what involves
 * NaN, y = 0 and |x| = 1 with y infinite is for the caller. */
static val magnitude(const mx *m, val ax, val y, bool narrow)
{
    emitter *e = m->e;
    val zero = mx_c(m, 0), inf = mx_c(m, INFINITY);
    val tiny = emit_cmp(e, CMP_LT, ax, mx_c(m, 0x1p-1022));
    val scaled = narrow ? ax : emit_select(e, tiny, emit_mul(e, ax, mx_c(m, 0x1p54)), ax);
    mx_split p = mx_split_exponent(m, scaled);
    val k = narrow ? p.k : emit_sub(e, p.k, emit_select(e, tiny, mx_c(m, 54), zero));
    twin l = narrow ? (twin){log_short(m, p.mantissa, k), zero} : log_twin(m, p.mantissa, k);
    l.hi = emit_select(e, emit_cmp(e, CMP_EQ, ax, zero), mx_c(m, -INFINITY), l.hi);
    l.hi = emit_select(e, emit_cmp(e, CMP_EQ, ax, inf), inf, l.hi);

    val power = emit_mul(e, l.hi, y);
    val held = emit_clamp(e, power, mx_c(m, -800), mx_c(m, 800));
    mx_round n = mx_nearest(m, emit_mul(e, held, mx_c(m, 0x1.71547652b82fep+0)));
    val r = mx_fnma(m, n.real, mx_c(m, 0x1.62e42fefa4p-1), held);
    r = mx_fnma(m, n.real, mx_c(m, -0x1.8432a1b0e2634p-43), r);
    val q;
    if (narrow) {
        q = mx_poly(m, r, poly_exp_short64, (int)(sizeof poly_exp_short64 / sizeof poly_exp_short64[0]));
    } else {
        twin exact = two_product(m, l.hi, y);
        val lo = emit_fma(e, l.lo, y, exact.lo);
        val usual = emit_cmp(e, CMP_LT, emit_abs(e, power), mx_c(m, 800));
        r = emit_add(e, r, emit_select(e, usual, lo, zero));
        q = MX_POLY(m, r, poly_exp);
    }
    q = emit_fma(e, emit_mul(e, r, r), q, r);
    return mx_scale(m, emit_add(e, q, mx_c(m, 1)), mx_round_int(m, n));
}

val body_pow(const mx *m, const val *a)
{
    emitter *e = m->e;
    val x = a[0], y = a[1], zero = mx_c(m, 0), one = mx_c(m, 1), ax = emit_abs(e, x);
    val r;
    if (m->wide) {
        r = magnitude(m, ax, y, false);
    } else {
        mx wide = mx_make(e, EL_F64, m->lanes);
        r = emit_convert(e, magnitude(&wide, emit_convert(e, ax, EL_F64), emit_convert(e, y, EL_F64), true),
                         EL_F32);
    }
    r = emit_select(e, emit_cmp(e, CMP_EQ, ax, one), one, r);

    val half = emit_mul(e, y, mx_c(m, 0.5));
    val whole = emit_cmp(e, CMP_EQ, body_floor(m, &y), y);
    val odd = emit_and(e, whole, emit_cmp(e, CMP_NE, body_floor(m, &half), half));
    r = emit_select(e, odd, emit_copysign(e, r, x), r);
    val negative = emit_and(e, emit_cmp(e, CMP_LT, x, zero), emit_cmp(e, CMP_GT, x, mx_c(m, -INFINITY)));
    r = emit_select(e, emit_and(e, negative, emit_not(e, whole)), mx_c(m, NAN), r);
    r = emit_select(e, LLVMBuildFCmp(e->b, LLVMRealUNO, x, y, ""), emit_add(e, x, y), r);
    val unit = emit_or(e, emit_cmp(e, CMP_EQ, y, zero), emit_cmp(e, CMP_EQ, x, one));
    return emit_select(e, unit, one, r);
}
