/* The table of math functions and what their bodies share: see math.h and math_parts.h. */
#include "codegen/cpu/math.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "codegen/cpu/math_parts.h"

typedef enum { INLINE, CALL } math_place;

static const struct {
    const char *name;
    int arguments;
    math_place place;
    val (*body)(const mx *m, const val *a);
    double ulp32, ulp64;
} table[MATH_COUNT] = {
#define M(id, name, arguments, place, body, ulp32, ulp64, meaning)                                           \
    {name, arguments, place, body, ulp32, ulp64},
#include "codegen/cpu/math.def"
#undef M
};

const char *math_name(math_id f) { return table[f].name; }
int math_arguments(math_id f) { return table[f].arguments; }
double math_ulp(math_id f, elem t) { return t == EL_F64 ? table[f].ulp64 : table[f].ulp32; }

/* ---- emission ------------------------------------------------------------------------------------------ */

static val make_function(emitter *e, math_id f, val like, const char *name)
{
    int n = table[f].arguments;
    LLVMTypeRef type = LLVMTypeOf(like), params[2] = {type, type};
    val fn = emit_function_begin(e, name, FN_INTERNAL, type, params, (unsigned)n);
    emit_attribute(e, fn, -1, "noinline");
    e->fp_flags = LLVMFastMathNone;
    mx m = mx_of(e, like);
    val args[2] = {emit_param(e, 0), n > 1 ? emit_param(e, 1) : NULL};
    emit_return(e, table[f].body(&m, args));
    emit_function_end(e);
    return fn;
}

LLVMValueRef emit_math(emitter *e, math_id f, const LLVMValueRef *args)
{
    mx m = mx_of(e, args[0]);
    if (table[f].place == INLINE) {
        LLVMFastMathFlags flags = e->fp_flags;
        e->fp_flags = LLVMFastMathNone;
        val r = table[f].body(&m, args);
        e->fp_flags = flags;
        return r;
    }
    char name[64];
    snprintf(name, sizeof name, "mpc.%s.%sx%d", table[f].name, elem_name(m.t), m.lanes);
    val fn = LLVMGetNamedFunction(e->mod, name);
    if (!fn)
        fn = make_function(e, f, args[0], name);
    return emit_call(e, fn, args, (unsigned)table[f].arguments);
}

LLVMValueRef emit_math1(emitter *e, math_id f, LLVMValueRef x)
{
    return emit_math(e, f, &x);
}

LLVMValueRef emit_math2(emitter *e, math_id f, LLVMValueRef x, LLVMValueRef y)
{
    return emit_math(e, f, (LLVMValueRef[]){x, y});
}

/* ---- parts --------------------------------------------------------------------------------------------- */

mx mx_make(emitter *e, elem t, int lanes)
{
    bool wide = t == EL_F64;
    return (mx){.e = e,
                .t = t,
                .lanes = lanes,
                .wide = wide,
                .real = emit_type(e, t, lanes),
                .integer = emit_type(e, wide ? EL_I64 : EL_I32, lanes),
                .mantissa = wide ? 52 : 23,
                .bias = wide ? 1023 : 127};
}

mx mx_of(emitter *e, val like)
{
    return mx_make(e, emit_elem(like), emit_lanes(like));
}

val mx_c(const mx *m, double x) { return emit_number(m->e, m->t, m->lanes, x); }
val mx_pick(const mx *m, double f32, double f64) { return mx_c(m, m->wide ? f64 : f32); }
val mx_int(const mx *m, int64_t x) { return emit_integer(m->e, m->wide ? EL_I64 : EL_I32, m->lanes, x); }

int64_t mx_bits_of(const mx *m, double x)
{
    int64_t wide;
    int32_t narrow;
    float f = (float)x;
    memcpy(&wide, &x, sizeof wide);
    memcpy(&narrow, &f, sizeof narrow);
    return m->wide ? wide : narrow;
}

val mx_to_bits(const mx *m, val x) { return emit_bits(m->e, x, m->integer); }
val mx_to_real(const mx *m, val bits) { return emit_bits(m->e, bits, m->real); }

val mx_fnma(const mx *m, val a, val b, val c)
{
    if (!m->e->target->has_fma)
        return emit_sub(m->e, c, emit_mul(m->e, a, b));
    return emit_fma(m->e, emit_neg(m->e, a), b, c);
}

val mx_poly(const mx *m, val x, const double *c, int n)
{
    val r = mx_c(m, c[n - 1]);
    for (int i = n - 2; i >= 0; i--)
        r = emit_fma(m->e, r, x, mx_c(m, c[i]));
    return r;
}

mx_round mx_nearest(const mx *m, val x)
{
    val magic = mx_pick(m, 0x1.8p23, 0x1.8p52);
    val sum = emit_add(m->e, x, magic);
    return (mx_round){.real = emit_sub(m->e, sum, magic), .raw = mx_to_bits(m, sum)};
}

val mx_round_int(const mx *m, mx_round r)
{
    return emit_sub(m->e, r.raw, mx_int(m, mx_bits_of(m, m->wide ? 0x1.8p52 : 0x1.8p23)));
}

val mx_power2(const mx *m, val n)
{
    return mx_to_real(m, emit_shl(m->e, emit_add(m->e, n, mx_int(m, m->bias)), m->mantissa));
}

val mx_scale(const mx *m, val p, val n)
{
    /* Half of n, rounded down, by a logical shift of n made positive: AVX2 has no arithmetic one for 64 bits.
     */
    emitter *e = m->e;
    int64_t off = 4 * (m->bias + 1);
    val half = emit_sub(e, emit_shr(e, emit_add(e, n, mx_int(m, off)), 1), mx_int(m, off / 2));
    val rest = emit_sub(e, n, half);
    return emit_mul(e, emit_mul(e, p, mx_power2(m, half)), mx_power2(m, rest));
}

/* ---- the plain ones ------------------------------------------------------------------------------------ */

static val intrinsic1(const mx *m, const char *name, val x)
{
    return emit_intrinsic(m->e, name, &m->real, 1, &x, 1);
}

val body_sqrt(const mx *m, const val *a) { return intrinsic1(m, "llvm.sqrt", a[0]); }
val body_floor(const mx *m, const val *a) { return intrinsic1(m, "llvm.floor", a[0]); }
val body_abs(const mx *m, const val *a) { return intrinsic1(m, "llvm.fabs", a[0]); }

val body_rsqrt(const mx *m, const val *a)
{
    return emit_div(m->e, mx_c(m, 1), intrinsic1(m, "llvm.sqrt", a[0]));
}

val body_sign(const mx *m, const val *a)
{
    emitter *e = m->e;
    val zero = mx_c(m, 0), x = a[0];
    val r = emit_select(e, emit_cmp(e, CMP_GT, x, zero), mx_c(m, 1), x);
    return emit_select(e, emit_cmp(e, CMP_LT, x, zero), mx_c(m, -1), r);
}
