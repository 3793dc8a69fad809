/* sin, cos and atan2.
 *
 * sin and cos take away the nearest multiple n of pi / 2 in three parts by fused multiply-adds, the first of
 * which is exact (without them: in five short parts, whose products are exact). That holds up to 1e5 in f32
 * and 2^30 in f64. Beyond, lanes go a slower way, taken only if one of them needs it: f32 through f64, f64
 * through libm. */
#include <math.h>
#include <stdio.h>

#include "codegen/cpu/math_parts.h"
#include "codegen/cpu/math_poly.h"

static const double half_pi32[] = {0x1.921fb6p+0, -0x1.777a5cp-25, -0x1.ee59dap-50};
static const double half_pi64[] = {0x1.921fb54442d18p+0, 0x1.1a62633145c07p-54, -0x1.f1976b7ed8fbcp-110};
static const double half_pi_short[] = {0x1.921fb4p+0, 0x1.4442dp-24, 0x1.846988p-48, 0x1.8cc518p-72,
                                       -0x1.fc8f8cp-97};

/* sin or cos for arguments in the range of the reduction. quarter: 0 for sin, 1 for cos. */
static val trig_reduced(const mx *m, val x, int quarter)
{
    emitter *e = m->e;
    mx_round n = mx_nearest(m, emit_mul(e, x, mx_c(m, 0x1.45f306dc9c883p-1)));
    const double *parts = !e->target->has_fma ? half_pi_short : m->wide ? half_pi64 : half_pi32;
    int count = e->target->has_fma ? 3 : 5;
    val r = x;
    for (int i = 0; i < count; i++)
        r = mx_fnma(m, n.real, mx_c(m, parts[i]), r);

    val z = emit_mul(e, r, r);
    val s = emit_fma(e, emit_mul(e, r, z), MX_POLY(m, z, poly_sin), r);
    val c = mx_fnma(m, z, mx_c(m, 0.5), mx_c(m, 1));
    c = emit_fma(e, emit_mul(e, z, z), MX_POLY(m, z, poly_cos), c);

    val q = quarter ? emit_add(e, n.raw, mx_int(m, quarter)) : n.raw;
    val odd = emit_cmp(e, CMP_NE, emit_and(e, q, mx_int(m, 1)), mx_int(m, 0));
    val sign = emit_shl(e, emit_and(e, q, mx_int(m, 2)), m->wide ? 62 : 30);
    val v = emit_select(e, odd, c, s);
    return mx_to_real(m, emit_xor(e, mx_to_bits(m, v), sign));
}

/* Each lane by libm: arguments beyond 2^30 are rare, and want hundreds of bits of pi. */
static val by_libm(const mx *m, val x, const char *name)
{
    emitter *e = m->e;
    val r = x;
    for (int i = 0; i < m->lanes; i++) {
        val lane = emit_lane(e, x, i);
        r = emit_set_lane(e, r, emit_call_extern(e, name, e->f64_t, &lane, 1), i);
    }
    return r;
}

static val trig_far(const mx *m, val x, math_id f)
{
    emitter *e = m->e;
    char name[64];
    snprintf(name, sizeof name, "mpc.%s.far.%sx%d", math_name(f), elem_name(m->t), m->lanes);
    val fn = LLVMGetNamedFunction(e->mod, name);
    if (!fn) {
        fn = emit_function_begin(e, name, FN_INTERNAL, m->real, &m->real, 1);
        emit_attribute(e, fn, -1, "noinline");
        emit_attribute(e, fn, -1, "cold");
        e->fp_flags = LLVMFastMathNone;
        val p = emit_param(e, 0);
        val r = m->wide ? by_libm(m, p, math_name(f))
                        : emit_convert(e, emit_math1(e, f, emit_convert(e, p, EL_F64)), EL_F32);
        emit_return(e, r);
        emit_function_end(e);
    }
    return emit_call(e, fn, &x, 1);
}

static val trig(const mx *m, val x, math_id f, int quarter)
{
    emitter *e = m->e;
    val near;
    if (m->wide || e->target->has_fma) {
        near = trig_reduced(m, x, quarter);
    } else {
        mx wide = mx_make(e, EL_F64, m->lanes);
        near = emit_convert(e, trig_reduced(&wide, emit_convert(e, x, EL_F64), quarter), EL_F32);
    }
    if (quarter == 0)       /* -0 stays */
        near = emit_select(e, emit_cmp(e, CMP_EQ, x, mx_c(m, 0)), x, near);
    double limit = m->wide ? 0x1p30 : 1e5;
    val far = emit_cmp(e, CMP_GT, emit_abs(e, x), mx_c(m, limit));
    emit_if c = emit_if_begin(e, emit_any(e, far));
    emit_if_weight(e, &c, true);
    val both = emit_select(e, far, trig_far(m, x, f), near);
    emit_if_end(e, &c);
    return emit_if_value(e, &c, both, near);
}

val body_sin(const mx *m, const val *a) { return trig(m, a[0], MATH_SIN, 0); }
val body_cos(const mx *m, const val *a) { return trig(m, a[0], MATH_COS, 1); }

/* The smaller over the larger of |x| and |y|, brought below tan(pi / 8) by the addition theorem within the
 * same division; the angle is then a multiple of pi / 4 plus or minus the arc tangent of that. */
val body_atan2(const mx *m, const val *a)
{
    emitter *e = m->e;
    val y = a[0], x = a[1], one = mx_c(m, 1), zero = mx_c(m, 0), inf = mx_c(m, INFINITY);
    val ax = emit_abs(e, x), ay = emit_abs(e, y);
    val swap = emit_cmp(e, CMP_GT, ay, ax);
    val large = emit_select(e, swap, ay, ax), small = emit_select(e, swap, ax, ay);

    /* infinities as 1 and 0 or 1; the sum below must not overflow; 0 / 0 is 0 */
    val endless = emit_cmp(e, CMP_EQ, large, inf);
    small = emit_select(e, endless, emit_select(e, emit_cmp(e, CMP_EQ, small, inf), one, zero), small);
    large = emit_select(e, endless, one, large);
    val huge = emit_cmp(e, CMP_GT, large, mx_pick(m, 0x1p125, 0x1p1021));
    val down = emit_select(e, huge, mx_c(m, 0.25), one);
    small = emit_mul(e, small, down);
    large = emit_mul(e, large, down);
    large = emit_select(e, emit_cmp(e, CMP_EQ, large, zero), one, large);

    val steep = emit_cmp(e, CMP_GT, small, emit_mul(e, large, mx_c(m, 0x1.a827999fcef32p-2)));
    val top = emit_select(e, steep, emit_sub(e, small, large), small);
    val bottom = emit_select(e, steep, emit_add(e, small, large), large);
    val t = emit_div(e, top, bottom);
    val z = emit_mul(e, t, t);
    val angle = emit_fma(e, emit_mul(e, t, z), MX_POLY(m, z, poly_atan), t);

    val left = emit_cmp(e, CMP_LT, mx_to_bits(m, x), mx_int(m, 0));        /* by the sign bit: -0 is left */
    val eighths = emit_select(e, steep, one, zero);
    eighths = emit_select(e, swap, emit_sub(e, mx_c(m, 2), eighths), eighths);
    eighths = emit_select(e, left, emit_sub(e, mx_c(m, 4), eighths), eighths);
    angle = emit_select(e, emit_xor(e, swap, left), emit_neg(e, angle), angle);
    val lo = mx_pick(m, 0x1.5110b4p-23, 0x1.1a62633145c07p-55),
        hi = mx_pick(m, 0x1.921fbp-1, 0x1.921fb54442d18p-1);
    val r = emit_add(e, emit_mul(e, eighths, hi), emit_fma(e, eighths, lo, angle));
    r = emit_copysign(e, r, y);
    return emit_select(e, LLVMBuildFCmp(e->b, LLVMRealUNO, x, y, ""), emit_add(e, x, y), r);
}
