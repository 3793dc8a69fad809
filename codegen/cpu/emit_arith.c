/* Arithmetic of the emitter: see emit.h. One place gives each floating-point instruction its flags. */
#include "codegen/cpu/emit.h"

static LLVMValueRef flagged(emitter *e, LLVMValueRef v)
{
    if (e->fp_flags && LLVMIsAInstruction(v) && LLVMCanValueUseFastMathFlags(v))
        LLVMSetFastMathFlags(v, e->fp_flags);
    return v;
}

static LLVMValueRef unary(emitter *e, const char *intrinsic, LLVMValueRef a)
{
    LLVMTypeRef t = LLVMTypeOf(a);
    return flagged(e, emit_intrinsic(e, intrinsic, &t, 1, &a, 1));
}

static LLVMValueRef binary(emitter *e, const char *intrinsic, LLVMValueRef a, LLVMValueRef b)
{
    LLVMTypeRef t = LLVMTypeOf(a);
    return flagged(e, emit_intrinsic(e, intrinsic, &t, 1, (LLVMValueRef[]){a, b}, 2));
}

/* ---- numbers ------------------------------------------------------------------------------------------- */

LLVMValueRef emit_add(emitter *e, LLVMValueRef a, LLVMValueRef b)
{
    return emit_is_real(a) ? flagged(e, LLVMBuildFAdd(e->b, a, b, "")) : LLVMBuildAdd(e->b, a, b, "");
}

LLVMValueRef emit_sub(emitter *e, LLVMValueRef a, LLVMValueRef b)
{
    return emit_is_real(a) ? flagged(e, LLVMBuildFSub(e->b, a, b, "")) : LLVMBuildSub(e->b, a, b, "");
}

LLVMValueRef emit_mul(emitter *e, LLVMValueRef a, LLVMValueRef b)
{
    return emit_is_real(a) ? flagged(e, LLVMBuildFMul(e->b, a, b, "")) : LLVMBuildMul(e->b, a, b, "");
}

LLVMValueRef emit_div(emitter *e, LLVMValueRef a, LLVMValueRef b)
{
    return emit_is_real(a) ? flagged(e, LLVMBuildFDiv(e->b, a, b, "")) : LLVMBuildSDiv(e->b, a, b, "");
}

LLVMValueRef emit_rem(emitter *e, LLVMValueRef a, LLVMValueRef b)
{
    return LLVMBuildSRem(e->b, a, b, "");
}

LLVMValueRef emit_neg(emitter *e, LLVMValueRef a)
{
    return emit_is_real(a) ? LLVMBuildFNeg(e->b, a, "") : LLVMBuildNeg(e->b, a, "");
}

LLVMValueRef emit_abs(emitter *e, LLVMValueRef a)
{
    if (emit_is_real(a))
        return unary(e, "llvm.fabs", a);
    return emit_select(e, emit_cmp(e, CMP_LT, a, emit_like(e, a, 0)), emit_neg(e, a), a);
}

LLVMValueRef emit_fma(emitter *e, LLVMValueRef a, LLVMValueRef b, LLVMValueRef c)
{
    if (!e->target->has_fma || !emit_is_real(a))
        return emit_add(e, emit_mul(e, a, b), c);
    LLVMTypeRef t = LLVMTypeOf(a);
    return flagged(e, emit_intrinsic(e, "llvm.fma", &t, 1, (LLVMValueRef[]){a, b, c}, 3));
}

LLVMValueRef emit_copysign(emitter *e, LLVMValueRef magnitude, LLVMValueRef sign)
{
    return binary(e, "llvm.copysign", magnitude, sign);
}

/* ---- maximum and minimum: a NaN on either side comes out ----------------------------------------------- */

static bool is_constant_number(LLVMValueRef v)
{
    LLVMValueRef c = v;
    if (LLVMIsAConstantDataVector(v) || LLVMIsAConstantVector(v)) {
        unsigned n = LLVMGetVectorSize(LLVMTypeOf(v));
        c = LLVMGetAggregateElement(v, 0);
        for (unsigned i = 1; i < n; i++)
            if (LLVMGetAggregateElement(v, i) != c)
                return false;
    }
    if (LLVMIsAConstantAggregateZero(v))
        return true;
    if (!c || !LLVMIsAConstantFP(c))
        return false;
    LLVMBool loses = 0;
    double x = LLVMConstRealGetDouble(c, &loses);
    return x == x;
}

static LLVMValueRef extremum(emitter *e, bool max, LLVMValueRef a, LLVMValueRef b)
{
    cmp_op op = max ? CMP_GT : CMP_LT;
    if (!emit_is_real(a))
        return emit_select(e, emit_cmp(e, op, a, b), a, b);
    if (e->target->isa == CPU_AARCH64)
        return binary(e, max ? "llvm.maximum" : "llvm.minimum", a, b);
    /* `a > b ? a : b` is one instruction on x86 and gives b for a NaN in either: so a constant goes to the
     * left, and only two variables need the test of a. */
    if (is_constant_number(b)) {
        LLVMValueRef t = a;
        a = b;
        b = t;
    }
    LLVMValueRef m = LLVMBuildSelect(e->b, emit_cmp(e, op, a, b), a, b, "");
    return is_constant_number(a) ? m : LLVMBuildSelect(e->b, emit_is_nan(e, a), a, m, "");
}

LLVMValueRef emit_max(emitter *e, LLVMValueRef a, LLVMValueRef b) { return extremum(e, true, a, b); }
LLVMValueRef emit_min(emitter *e, LLVMValueRef a, LLVMValueRef b) { return extremum(e, false, a, b); }

LLVMValueRef emit_clamp(emitter *e, LLVMValueRef x, LLVMValueRef lo, LLVMValueRef hi)
{
    return emit_min(e, emit_max(e, x, lo), hi);
}

LLVMValueRef emit_relu(emitter *e, LLVMValueRef a)
{
    return emit_max(e, a, emit_like(e, a, 0));
}

/* ---- bits ---------------------------------------------------------------------------------------------- */

LLVMValueRef emit_and(emitter *e, LLVMValueRef a, LLVMValueRef b) { return LLVMBuildAnd(e->b, a, b, ""); }
LLVMValueRef emit_or(emitter *e, LLVMValueRef a, LLVMValueRef b) { return LLVMBuildOr(e->b, a, b, ""); }
LLVMValueRef emit_xor(emitter *e, LLVMValueRef a, LLVMValueRef b) { return LLVMBuildXor(e->b, a, b, ""); }
LLVMValueRef emit_not(emitter *e, LLVMValueRef a) { return LLVMBuildNot(e->b, a, ""); }

static LLVMValueRef shift_amount(emitter *e, LLVMValueRef a, int bits)
{
    LLVMTypeRef t = LLVMTypeOf(a);
    bool vector = LLVMGetTypeKind(t) == LLVMVectorTypeKind;
    return emit_splat(e, LLVMConstInt(vector ? LLVMGetElementType(t) : t, (unsigned)bits, 0), emit_lanes(a));
}

LLVMValueRef emit_shl(emitter *e, LLVMValueRef a, int bits)
{
    return LLVMBuildShl(e->b, a, shift_amount(e, a, bits), "");
}

LLVMValueRef emit_shr(emitter *e, LLVMValueRef a, int bits)
{
    return LLVMBuildLShr(e->b, a, shift_amount(e, a, bits), "");
}

/* ---- comparisons --------------------------------------------------------------------------------------- */

LLVMValueRef emit_cmp(emitter *e, cmp_op op, LLVMValueRef a, LLVMValueRef b)
{
    static const LLVMRealPredicate real[] = {
        [CMP_LT] = LLVMRealOLT, [CMP_LE] = LLVMRealOLE, [CMP_GT] = LLVMRealOGT,
        [CMP_GE] = LLVMRealOGE, [CMP_EQ] = LLVMRealOEQ, [CMP_NE] = LLVMRealUNE};
    static const LLVMIntPredicate integer[] = {
        [CMP_LT] = LLVMIntSLT, [CMP_LE] = LLVMIntSLE, [CMP_GT] = LLVMIntSGT,
        [CMP_GE] = LLVMIntSGE, [CMP_EQ] = LLVMIntEQ,  [CMP_NE] = LLVMIntNE};
    static const LLVMIntPredicate boolean[] = {
        [CMP_LT] = LLVMIntULT, [CMP_LE] = LLVMIntULE, [CMP_GT] = LLVMIntUGT,
        [CMP_GE] = LLVMIntUGE, [CMP_EQ] = LLVMIntEQ,  [CMP_NE] = LLVMIntNE};
    if (emit_is_real(a))
        return LLVMBuildFCmp(e->b, real[op], a, b, "");
    return LLVMBuildICmp(e->b, emit_elem(a) == EL_BOOL ? boolean[op] : integer[op], a, b, "");
}

LLVMValueRef emit_is_nan(emitter *e, LLVMValueRef a)
{
    return LLVMBuildFCmp(e->b, LLVMRealUNO, a, a, "");
}

LLVMValueRef emit_select(emitter *e, LLVMValueRef c, LLVMValueRef a, LLVMValueRef b)
{
    return LLVMBuildSelect(e->b, c, a, b, "");
}

LLVMValueRef emit_any(emitter *e, LLVMValueRef mask)
{
    int lanes = emit_lanes(mask);
    if (lanes == 1)
        return mask;
    LLVMTypeRef bits = LLVMIntTypeInContext(e->cx, (unsigned)lanes);
    return LLVMBuildICmp(e->b, LLVMIntNE, LLVMBuildBitCast(e->b, mask, bits, ""), LLVMConstInt(bits, 0, 0),
                         "");
}

/* ---- conversions --------------------------------------------------------------------------------------- */

LLVMValueRef emit_bits(emitter *e, LLVMValueRef v, LLVMTypeRef to)
{
    return LLVMBuildBitCast(e->b, v, to, "");
}

LLVMValueRef emit_convert(emitter *e, LLVMValueRef v, elem to)
{
    to = elem_register(to);
    elem from = emit_elem(v);
    if (from == to)
        return v;
    int lanes = emit_lanes(v);
    LLVMTypeRef type = emit_type(e, to, lanes);
    bool real_from = elem_is_real(from), real_to = elem_is_real(to);
    if (to == EL_BOOL)
        return emit_cmp(e, CMP_NE, v, emit_like(e, v, 0));
    if (real_from && real_to)
        return to == EL_F64 ? LLVMBuildFPExt(e->b, v, type, "") : LLVMBuildFPTrunc(e->b, v, type, "");
    if (real_from) {
        LLVMTypeRef over[] = {type, LLVMTypeOf(v)};
        return emit_intrinsic(e, "llvm.fptosi.sat", over, 2, &v, 1);
    }
    if (real_to)
        return from == EL_BOOL ? LLVMBuildUIToFP(e->b, v, type, "") : LLVMBuildSIToFP(e->b, v, type, "");
    if (from == EL_BOOL)
        return LLVMBuildZExt(e->b, v, type, "");
    return elem_size(to) > elem_size(from) ? LLVMBuildSExt(e->b, v, type, "")
                                           : LLVMBuildTrunc(e->b, v, type, "");
}

static LLVMValueRef int_like(emitter *e, LLVMValueRef v, uint32_t x)
{
    return emit_integer(e, EL_I32, emit_lanes(v), (int32_t)x);
}

/* f16 by integers: a denormal m 2^-24 is made by adding m to the bits of 1/2, whose last place is 2^-24. */
static LLVMValueRef widen_f16(emitter *e, LLVMValueRef h)
{
    LLVMTypeRef i32 = emit_type_like(e->i32_t, LLVMTypeOf(h)), f32 = emit_type_like(e->f32_t, LLVMTypeOf(h));
    LLVMValueRef x = LLVMBuildZExt(e->b, h, i32, "");
    LLVMValueRef sign = emit_shl(e, emit_and(e, x, int_like(e, x, 0x8000)), 16);
    LLVMValueRef m = emit_and(e, x, int_like(e, x, 0x7fff));
    LLVMValueRef shifted = emit_shl(e, m, 13);
    LLVMValueRef normal = emit_add(e, shifted, int_like(e, x, 112u << 23));
    /* a NaN comes out quiet, as from hardware */
    LLVMValueRef quiet = emit_select(e, emit_cmp(e, CMP_GT, m, int_like(e, x, 0x7c00)),
                                     int_like(e, x, 0x7fc00000), int_like(e, x, 0x7f800000));
    LLVMValueRef special = emit_or(e, shifted, quiet);
    LLVMValueRef half = emit_number(e, EL_F32, emit_lanes(h), 0.5);
    LLVMValueRef tiny =
        LLVMBuildFSub(e->b, emit_bits(e, emit_add(e, m, int_like(e, x, 0x3f000000)), f32), half, "");
    LLVMValueRef r =
        emit_select(e, emit_cmp(e, CMP_LT, m, int_like(e, x, 0x0400)), emit_bits(e, tiny, i32), normal);
    r = emit_select(e, emit_cmp(e, CMP_GE, m, int_like(e, x, 0x7c00)), special, r);
    return emit_bits(e, emit_or(e, r, sign), f32);
}

static LLVMValueRef narrow_f16(emitter *e, LLVMValueRef v)
{
    LLVMTypeRef i32 = emit_type_like(e->i32_t, LLVMTypeOf(v)), i16 = emit_type_like(e->i16_t, LLVMTypeOf(v));
    LLVMValueRef bits = emit_bits(e, v, i32);
    LLVMValueRef x = emit_and(e, bits, int_like(e, bits, 0x7fffffff));
    LLVMValueRef sign = emit_and(e, emit_shr(e, bits, 16), int_like(e, bits, 0x8000));
    LLVMValueRef odd = emit_and(e, emit_shr(e, x, 13), int_like(e, x, 1));
    LLVMValueRef normal = emit_add(e, emit_add(e, x, int_like(e, x, 0xc8000fffu)), odd);
    normal = emit_shr(e, normal, 13);
    LLVMValueRef half = emit_number(e, EL_F32, emit_lanes(v), 0.5);
    LLVMValueRef tiny = LLVMBuildFAdd(e->b, emit_bits(e, x, LLVMTypeOf(v)), half, "");
    tiny = emit_sub(e, emit_bits(e, tiny, i32), int_like(e, x, 0x3f000000));
    LLVMValueRef nan =
        emit_or(e, emit_and(e, emit_shr(e, x, 13), int_like(e, x, 0x3ff)), int_like(e, x, 0x7e00));
    LLVMValueRef r = emit_select(e, emit_cmp(e, CMP_LT, x, int_like(e, x, 0x38800000)), tiny, normal);
    r = emit_select(e, emit_cmp(e, CMP_GE, x, int_like(e, x, 0x47800000)), int_like(e, x, 0x7c00), r);
    r = emit_select(e, emit_cmp(e, CMP_GT, x, int_like(e, x, 0x7f800000)), nan, r);
    return LLVMBuildTrunc(e->b, emit_or(e, r, sign), i16, "");
}

static LLVMValueRef narrow_bf16(emitter *e, LLVMValueRef v)
{
    LLVMTypeRef i32 = emit_type_like(e->i32_t, LLVMTypeOf(v)), i16 = emit_type_like(e->i16_t, LLVMTypeOf(v));
    LLVMValueRef x = emit_bits(e, v, i32);
    LLVMValueRef top = emit_shr(e, x, 16);
    LLVMValueRef odd = emit_and(e, top, int_like(e, x, 1));
    LLVMValueRef rounded = emit_shr(e, emit_add(e, emit_add(e, x, int_like(e, x, 0x7fff)), odd), 16);
    LLVMValueRef r = emit_select(e, emit_is_nan(e, v), emit_or(e, top, int_like(e, x, 0x40)), rounded);
    return LLVMBuildTrunc(e->b, r, i16, "");
}

/* f64 to f32 so that rounding again to 16 bits gives what one rounding had given: inexact results are made
 * odd. */
static LLVMValueRef narrow_to_odd(emitter *e, LLVMValueRef v)
{
    LLVMTypeRef f32 = emit_type_like(e->f32_t, LLVMTypeOf(v)), i32 = emit_type_like(e->i32_t, LLVMTypeOf(v));
    LLVMValueRef near = LLVMBuildFPTrunc(e->b, v, f32, "");
    LLVMValueRef back = LLVMBuildFPExt(e->b, near, LLVMTypeOf(v), "");
    LLVMValueRef bits = emit_bits(e, near, i32);
    LLVMValueRef beyond = emit_cmp(e, CMP_GT, emit_abs(e, back), emit_abs(e, v));
    LLVMValueRef cut = emit_sub(e, bits, LLVMBuildZExt(e->b, beyond, i32, ""));
    LLVMValueRef odd = emit_or(e, cut, int_like(e, bits, 1));
    LLVMValueRef inexact = LLVMBuildFCmp(e->b, LLVMRealONE, back, v, "");
    return emit_bits(e, emit_select(e, inexact, odd, bits), f32);
}

LLVMValueRef emit_widen16(emitter *e, elem t, LLVMValueRef bits)
{
    LLVMTypeRef f32 = emit_type_like(e->f32_t, LLVMTypeOf(bits)),
                i32 = emit_type_like(e->i32_t, LLVMTypeOf(bits));
    if (t == EL_BF16)
        return emit_bits(e, emit_shl(e, LLVMBuildZExt(e->b, bits, i32, ""), 16), f32);
    if (e->target->has_f16) {
        LLVMTypeRef f16 = emit_type_like(e->f16_t, LLVMTypeOf(bits));
        return LLVMBuildFPExt(e->b, emit_bits(e, bits, f16), f32, "");
    }
    return widen_f16(e, bits);
}

LLVMValueRef emit_narrow16(emitter *e, elem t, LLVMValueRef real)
{
    if (emit_elem(real) == EL_F64)
        real = narrow_to_odd(e, real);
    if (t == EL_BF16)
        return narrow_bf16(e, real);
    if (e->target->has_f16) {
        LLVMTypeRef f16 = emit_type_like(e->f16_t, LLVMTypeOf(real)),
                    i16 = emit_type_like(e->i16_t, LLVMTypeOf(real));
        return emit_bits(e, LLVMBuildFPTrunc(e->b, real, f16, ""), i16);
    }
    return narrow_f16(e, real);
}
