/* Module, types, constants and lanes of the emitter: see emit.h. */
#include "codegen/cpu/emit.h"

#include <string.h>

/* ---- module -------------------------------------------------------------------------------------------- */

void emit_open(emitter *e, const char *module_name, const cpu_target *target, LLVMTargetMachineRef tm)
{
    memset(e, 0, sizeof *e);
    e->cx = LLVMContextCreate();
    e->mod = LLVMModuleCreateWithNameInContext(module_name, e->cx);
    e->b = LLVMCreateBuilderInContext(e->cx);
    e->target = target;
    LLVMSetTarget(e->mod, target->triple);
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(tm);
    LLVMSetModuleDataLayout(e->mod, layout);
    LLVMDisposeTargetData(layout);
    e->fp_flags = target->has_fma ? LLVMFastMathAllowContract : LLVMFastMathNone;

    e->void_t = LLVMVoidTypeInContext(e->cx);
    e->ptr_t = LLVMPointerTypeInContext(e->cx, 0);
    e->i1_t = LLVMInt1TypeInContext(e->cx);
    e->i8_t = LLVMInt8TypeInContext(e->cx);
    e->i16_t = LLVMInt16TypeInContext(e->cx);
    e->i32_t = LLVMInt32TypeInContext(e->cx);
    e->i64_t = LLVMInt64TypeInContext(e->cx);
    e->f16_t = LLVMHalfTypeInContext(e->cx);
    e->f32_t = LLVMFloatTypeInContext(e->cx);
    e->f64_t = LLVMDoubleTypeInContext(e->cx);
}

void emit_close(emitter *e)
{
    LLVMDisposeBuilder(e->b);
    LLVMDisposeModule(e->mod);
    LLVMContextDispose(e->cx);
    memset(e, 0, sizeof *e);
}

/* ---- types --------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    unsigned char size, real;
    elem in_register;
} elems[EL_COUNT] = {
    [EL_BOOL] = {"bool", 1, 0, EL_BOOL}, [EL_I8] = {"i8", 1, 0, EL_I8},    [EL_I32] = {"i32", 4, 0, EL_I32},
    [EL_I64] = {"i64", 8, 0, EL_I64},    [EL_F16] = {"f16", 2, 1, EL_F32}, [EL_BF16] = {"bf16", 2, 1, EL_F32},
    [EL_F32] = {"f32", 4, 1, EL_F32},    [EL_F64] = {"f64", 8, 1, EL_F64},
};

size_t elem_size(elem t) { return elems[t].size; }
bool elem_is_real(elem t) { return elems[t].real; }
const char *elem_name(elem t) { return elems[t].name; }
elem elem_register(elem t) { return elems[t].in_register; }

static LLVMTypeRef widen_type(LLVMTypeRef scalar, int lanes)
{
    return lanes == 1 ? scalar : LLVMVectorType(scalar, (unsigned)lanes);
}

static LLVMTypeRef scalar_type(emitter *e, elem t)
{
    switch (t) {
    case EL_BOOL: return e->i1_t;
    case EL_I8: return e->i8_t;
    case EL_I32: return e->i32_t;
    case EL_I64: return e->i64_t;
    case EL_F16: case EL_BF16: case EL_F32: return e->f32_t;
    case EL_F64: return e->f64_t;
    case EL_COUNT: break;
    }
    return e->void_t;
}

LLVMTypeRef emit_type(emitter *e, elem t, int lanes)
{
    return widen_type(scalar_type(e, t), lanes);
}

LLVMTypeRef emit_mem_type(emitter *e, elem t, int lanes)
{
    LLVMTypeRef s = t == EL_BOOL ? e->i8_t : t == EL_F16 || t == EL_BF16 ? e->i16_t : scalar_type(e, t);
    return widen_type(s, lanes);
}

LLVMTypeRef emit_type_like(LLVMTypeRef scalar, LLVMTypeRef shape)
{
    return LLVMGetTypeKind(shape) == LLVMVectorTypeKind ? LLVMVectorType(scalar, LLVMGetVectorSize(shape))
                                                        : scalar;
}

int emit_lanes(LLVMValueRef v)
{
    LLVMTypeRef t = LLVMTypeOf(v);
    return LLVMGetTypeKind(t) == LLVMVectorTypeKind ? (int)LLVMGetVectorSize(t) : 1;
}

static LLVMTypeRef lane_type(LLVMValueRef v)
{
    LLVMTypeRef t = LLVMTypeOf(v);
    return LLVMGetTypeKind(t) == LLVMVectorTypeKind ? LLVMGetElementType(t) : t;
}

bool emit_is_real(LLVMValueRef v)
{
    LLVMTypeKind k = LLVMGetTypeKind(lane_type(v));
    return k == LLVMFloatTypeKind || k == LLVMDoubleTypeKind || k == LLVMHalfTypeKind;
}

elem emit_elem(LLVMValueRef v)
{
    LLVMTypeRef t = lane_type(v);
    LLVMTypeKind k = LLVMGetTypeKind(t);
    if (k == LLVMFloatTypeKind)
        return EL_F32;
    if (k == LLVMDoubleTypeKind)
        return EL_F64;
    if (k != LLVMIntegerTypeKind)
        return EL_COUNT;
    switch (LLVMGetIntTypeWidth(t)) {
    case 1: return EL_BOOL;
    case 8: return EL_I8;
    case 32: return EL_I32;
    case 64: return EL_I64;
    default: return EL_COUNT;
    }
}

/* ---- constants ----------------------------------------------------------------------------------------- */

LLVMValueRef emit_i32(emitter *e, int32_t x) { return LLVMConstInt(e->i32_t, (uint64_t)(int64_t)x, 1); }
LLVMValueRef emit_i64(emitter *e, int64_t x) { return LLVMConstInt(e->i64_t, (uint64_t)x, 1); }
LLVMValueRef emit_bool(emitter *e, bool x) { return LLVMConstInt(e->i1_t, x, 0); }

static LLVMValueRef repeat(LLVMValueRef scalar, int lanes)
{
    LLVMValueRef v[64];
    if (lanes == 1)
        return scalar;
    for (int i = 0; i < lanes; i++)
        v[i] = scalar;
    return LLVMConstVector(v, (unsigned)lanes);
}

LLVMValueRef emit_integer(emitter *e, elem t, int lanes, int64_t x)
{
    if (elem_is_real(t))
        return emit_number(e, t, lanes, (double)x);
    return repeat(LLVMConstInt(scalar_type(e, t), (uint64_t)x, 1), lanes);
}

LLVMValueRef emit_number(emitter *e, elem t, int lanes, double x)
{
    if (!elem_is_real(t))
        return emit_integer(e, t, lanes, (int64_t)x);
    return repeat(LLVMConstReal(scalar_type(e, t), x), lanes);
}

LLVMValueRef emit_like(emitter *e, LLVMValueRef v, double x)
{
    return emit_number(e, emit_elem(v), emit_lanes(v), x);
}

LLVMValueRef emit_iota(emitter *e, elem t, int lanes)
{
    LLVMValueRef v[64];
    for (int i = 0; i < lanes; i++)
        v[i] = emit_integer(e, t, 1, i);
    return lanes == 1 ? v[0] : LLVMConstVector(v, (unsigned)lanes);
}

/* ---- lanes --------------------------------------------------------------------------------------------- */

LLVMValueRef emit_splat(emitter *e, LLVMValueRef scalar, int lanes)
{
    if (lanes == 1)
        return scalar;
    if (LLVMIsConstant(scalar) && !LLVMIsAGlobalValue(scalar))
        return repeat(scalar, lanes);
    LLVMTypeRef vector = LLVMVectorType(LLVMTypeOf(scalar), (unsigned)lanes);
    LLVMValueRef v = LLVMBuildInsertElement(e->b, LLVMGetPoison(vector), scalar, emit_i32(e, 0), "");
    return LLVMBuildShuffleVector(e->b, v, LLVMGetPoison(vector), repeat(emit_i32(e, 0), lanes), "");
}

LLVMValueRef emit_lane(emitter *e, LLVMValueRef v, int lane)
{
    return emit_lanes(v) == 1 ? v : LLVMBuildExtractElement(e->b, v, emit_i32(e, lane), "");
}

LLVMValueRef emit_set_lane(emitter *e, LLVMValueRef v, LLVMValueRef x, int lane)
{
    return emit_lanes(v) == 1 ? x : LLVMBuildInsertElement(e->b, v, x, emit_i32(e, lane), "");
}

LLVMValueRef emit_slice(emitter *e, LLVMValueRef v, int first, int lanes)
{
    if (lanes == 1)
        return emit_lane(e, v, first);
    if (first == 0 && lanes == emit_lanes(v))
        return v;
    LLVMValueRef at[64];
    for (int i = 0; i < lanes; i++)
        at[i] = emit_i32(e, first + i);
    return LLVMBuildShuffleVector(e->b, v, LLVMGetPoison(LLVMTypeOf(v)), LLVMConstVector(at, (unsigned)lanes),
                                  "");
}

LLVMValueRef emit_concat(emitter *e, LLVMValueRef a, LLVMValueRef b)
{
    int lanes = emit_lanes(a);
    if (lanes == 1) {
        LLVMValueRef v = LLVMGetPoison(LLVMVectorType(LLVMTypeOf(a), 2));
        return emit_set_lane(e, emit_set_lane(e, v, a, 0), b, 1);
    }
    LLVMValueRef at[128];
    for (int i = 0; i < 2 * lanes; i++)
        at[i] = emit_i32(e, i);
    return LLVMBuildShuffleVector(e->b, a, b, LLVMConstVector(at, 2 * (unsigned)lanes), "");
}
