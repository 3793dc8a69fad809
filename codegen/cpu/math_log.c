/* log and log1p.
 *
 * x = 2^k m with m from sqrt(1/2) to sqrt(2), f = m - 1 (exact). In f32 a polynomial of f; in f64 the series
 * of artanh in s = f / (2 + f), arranged so that what is rounded early is small: log(1 + f) = f - (h - s (h +
 * z R(z))), h = f^2 / 2, z = s^2. */
#include <math.h>

#include "codegen/cpu/math_parts.h"
#include "codegen/cpu/math_poly.h"

val mx_log_sum(const mx *m, val f, val k)
{
    emitter *e = m->e;
    val hi = mx_pick(m, 0x1.62ep-1, 0x1.62e42fefa4p-1),
        lo = mx_pick(m, 0x1.0bfbe8p-15, -0x1.8432a1b0e2634p-43);
    val h = emit_mul(e, emit_mul(e, f, f), mx_c(m, 0.5));
    val y;
    if (m->wide) {
        val s = emit_div(e, f, emit_add(e, f, mx_c(m, 2)));
        val z = emit_mul(e, s, s);
        val r = emit_mul(e, z, MX_POLY(m, z, poly_log));
        y = emit_fma(e, s, emit_add(e, h, r), emit_mul(e, k, lo));
    } else {
        val f3 = emit_mul(e, emit_mul(e, f, f), f);
        y = emit_fma(e, f3, MX_POLY(m, f, poly_log), emit_mul(e, k, lo));
    }
    return emit_fma(e, k, hi, emit_add(e, f, emit_sub(e, y, h)));
}

val mx_exponent_real(const mx *m, val exponent, val bias)
{
    /* an integer below 2^mantissa put into the last places of 2^mantissa */
    val magic = mx_int(m, mx_bits_of(m, m->wide ? 0x1p52 : 0x1p23));
    return emit_sub(m->e, mx_to_real(m, emit_or(m->e, exponent, magic)), bias);
}

mx_split mx_split_exponent(const mx *m, val x)
{
    emitter *e = m->e;
    int64_t root = mx_bits_of(m, sqrt(0.5)), one = mx_bits_of(m, 1);
    val moved = emit_add(e, mx_to_bits(m, x), mx_int(m, one - root));
    mx_split r;
    r.exponent = emit_shr(e, moved, m->mantissa);
    val low = emit_and(e, moved, mx_int(m, ((int64_t)1 << m->mantissa) - 1));
    r.mantissa = mx_to_real(m, emit_add(e, low, mx_int(m, root)));
    r.k = mx_exponent_real(m, r.exponent, mx_c(m, (m->wide ? 0x1p52 : 0x1p23) + m->bias));
    return r;
}

val body_log(const mx *m, const val *a)
{
    emitter *e = m->e;
    val x = a[0], zero = mx_c(m, 0), inf = mx_c(m, INFINITY);
    /* denormals are scaled up first, and their exponent corrected */
    double up = m->wide ? 0x1p54 : 0x1p25;
    val tiny = emit_cmp(e, CMP_LT, x, mx_pick(m, 0x1p-126, 0x1p-1022));
    val scaled = emit_select(e, tiny, emit_mul(e, x, mx_c(m, up)), x);
    mx_split p = mx_split_exponent(m, scaled);
    val k = emit_sub(e, p.k, emit_select(e, tiny, mx_pick(m, 25, 54), zero));
    val r = mx_log_sum(m, emit_sub(e, p.mantissa, mx_c(m, 1)), k);

    val usual = emit_and(e, emit_cmp(e, CMP_GT, x, zero), emit_cmp(e, CMP_LT, x, inf));
    val other = emit_select(e, emit_cmp(e, CMP_LT, x, zero), mx_c(m, NAN), x);
    other = emit_select(e, emit_cmp(e, CMP_EQ, x, zero), mx_c(m, -INFINITY), other);
    return emit_select(e, usual, r, other);
}

/* k is that of u = 1 + x; then f = x 2^-k + (2^-k - 1) is (1 + x) 2^-k - 1 with one rounding. */
val body_log1p(const mx *m, const val *a)
{
    emitter *e = m->e;
    val x = a[0], one = mx_c(m, 1), minus = mx_c(m, -1);
    val u = emit_add(e, x, one);
    mx_split p = mx_split_exponent(m, u);
    val shrink = mx_to_real(m, emit_shl(e, emit_sub(e, mx_int(m, 2 * m->bias), p.exponent), m->mantissa));
    val f = emit_fma(e, x, shrink, emit_sub(e, shrink, one));
    /* where x is so large that the 1 is lost anyway, 2^-k may be too small to be there */
    val large = emit_cmp(e, CMP_GT, x, mx_pick(m, 0x1p60, 0x1p120));
    f = emit_select(e, large, emit_sub(e, p.mantissa, one), f);
    val r = mx_log_sum(m, f, p.k);

    val inside = emit_and(e, emit_cmp(e, CMP_GT, x, minus), emit_cmp(e, CMP_LT, x, mx_c(m, INFINITY)));
    val usual = emit_and(e, inside, emit_cmp(e, CMP_NE, x, mx_c(m, 0)));
    val other = emit_select(e, emit_cmp(e, CMP_LT, x, minus), mx_c(m, NAN), x);
    other = emit_select(e, emit_cmp(e, CMP_EQ, x, minus), mx_c(m, -INFINITY), other);
    return emit_select(e, usual, r, other);
}

/* In f32 the series of artanh reaches all the way, and 2 s = z - s z leaves small what is rounded early. */
val mx_log1p_between(const mx *m, val z)
{
    emitter *e = m->e;
    val one = mx_c(m, 1);
    if (!m->wide) {
        val s = emit_div(e, z, emit_add(e, z, mx_c(m, 2))), s2 = emit_mul(e, s, s);
        val r = mx_poly(m, s2, poly_log_wide32, (int)(sizeof poly_log_wide32 / sizeof *poly_log_wide32));
        return mx_fnma(m, s, mx_fnma(m, s2, r, z), z);
    }
    mx_split p = mx_split_exponent(m, emit_add(e, z, one));
    val shrink = mx_to_real(m, emit_shl(e, emit_sub(e, mx_int(m, 2 * m->bias), p.exponent), m->mantissa));
    return mx_log_sum(m, emit_fma(e, z, shrink, emit_sub(e, shrink, one)), p.k);
}
