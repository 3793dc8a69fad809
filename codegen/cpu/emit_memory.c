/* Memory and reductions of the emitter: see emit.h. */
#include "codegen/cpu/emit.h"

#include <math.h>

/* ---- addresses ----------------------------------------------------------------------------------------- */

LLVMValueRef emit_ptr(emitter *e, elem t, LLVMValueRef base, LLVMValueRef index)
{
    LLVMTypeRef unit = emit_mem_type(e, t, 1);
    return LLVMBuildInBoundsGEP2(e->b, unit, base, &index, 1, "");
}

LLVMValueRef emit_ptr_bytes(emitter *e, LLVMValueRef base, int64_t bytes)
{
    if (bytes == 0)
        return base;
    LLVMValueRef at = emit_i64(e, bytes);
    return LLVMBuildInBoundsGEP2(e->b, e->i8_t, base, &at, 1, "");
}

/* ---- from and to memory types -------------------------------------------------------------------------- */

static LLVMValueRef to_register(emitter *e, elem t, LLVMValueRef raw)
{
    if (t == EL_BOOL)
        return LLVMBuildICmp(e->b, LLVMIntNE, raw, LLVMConstNull(LLVMTypeOf(raw)), "");
    return t == EL_F16 || t == EL_BF16 ? emit_widen16(e, t, raw) : raw;
}

static LLVMValueRef to_memory(emitter *e, elem t, LLVMValueRef v)
{
    if (t == EL_BOOL)
        return LLVMBuildZExt(e->b, v, emit_type_like(e->i8_t, LLVMTypeOf(v)), "");
    return t == EL_F16 || t == EL_BF16 ? emit_narrow16(e, t, v) : v;
}

/* Masked by hardware, or lane by lane? Single lanes go by a branch; elements below 4 bytes have no masked
 * access before AVX-512, and LLVM then makes a branch a lane itself. */
LLVMValueRef emit_load(emitter *e, elem t, int lanes, LLVMValueRef ptr, LLVMValueRef mask)
{
    LLVMTypeRef type = emit_mem_type(e, t, lanes);
    LLVMValueRef raw;
    if (!mask) {
        raw = LLVMBuildLoad2(e->b, type, ptr, "");
        LLVMSetAlignment(raw, (unsigned)elem_size(t));
    } else if (lanes == 1) {
        emit_if c = emit_if_begin(e, mask);
        LLVMValueRef one = LLVMBuildLoad2(e->b, type, ptr, "");
        LLVMSetAlignment(one, (unsigned)elem_size(t));
        emit_if_end(e, &c);
        raw = emit_if_value(e, &c, one, LLVMConstNull(type));
    } else {
        LLVMTypeRef over[] = {type, e->ptr_t};
        LLVMValueRef args[] = {ptr, emit_i32(e, (int)elem_size(t)), mask, LLVMConstNull(type)};
        raw = emit_intrinsic(e, "llvm.masked.load", over, 2, args, 4);
    }
    return to_register(e, t, raw);
}

void emit_store(emitter *e, elem t, LLVMValueRef value, LLVMValueRef ptr, LLVMValueRef mask)
{
    value = to_memory(e, t, value);
    if (!mask) {
        LLVMSetAlignment(LLVMBuildStore(e->b, value, ptr), (unsigned)elem_size(t));
    } else if (emit_lanes(value) == 1) {
        emit_if c = emit_if_begin(e, mask);
        LLVMSetAlignment(LLVMBuildStore(e->b, value, ptr), (unsigned)elem_size(t));
        emit_if_end(e, &c);
    } else {
        LLVMTypeRef over[] = {LLVMTypeOf(value), e->ptr_t};
        LLVMValueRef args[] = {value, ptr, emit_i32(e, (int)elem_size(t)), mask};
        emit_intrinsic(e, "llvm.masked.store", over, 2, args, 4);
    }
}

LLVMValueRef emit_gather(emitter *e, elem t, LLVMValueRef base, LLVMValueRef index, LLVMValueRef mask)
{
    int lanes = emit_lanes(index);
    LLVMValueRef at = emit_ptr(e, t, base, index);      /* one pointer a lane */
    if (lanes == 1)
        return emit_load(e, t, 1, at, mask);
    LLVMTypeRef type = emit_mem_type(e, t, lanes);
    LLVMTypeRef over[] = {type, LLVMTypeOf(at)};
    if (!mask)
        mask = LLVMConstAllOnes(LLVMVectorType(e->i1_t, (unsigned)lanes));
    LLVMValueRef args[] = {at, emit_i32(e, (int)elem_size(t)), mask, LLVMConstNull(type)};
    return to_register(e, t, emit_intrinsic(e, "llvm.masked.gather", over, 2, args, 4));
}

LLVMValueRef emit_load_ptr(emitter *e, LLVMValueRef ptr, int64_t bytes)
{
    LLVMValueRef v = LLVMBuildLoad2(e->b, e->ptr_t, emit_ptr_bytes(e, ptr, bytes), "");
    LLVMSetAlignment(v, 8);
    return v;
}

LLVMValueRef emit_field(emitter *e, elem t, LLVMValueRef base, int64_t bytes)
{
    return emit_load(e, t, 1, emit_ptr_bytes(e, base, bytes), NULL);
}

LLVMValueRef emit_invariant(emitter *e, LLVMValueRef load)
{
    if (LLVMIsALoadInst(load) || LLVMIsACallInst(load)) {
        unsigned kind = LLVMGetMDKindIDInContext(e->cx, "invariant.load", 14);
        LLVMMetadataRef empty = LLVMMDNodeInContext2(e->cx, NULL, 0);
        LLVMSetMetadata(load, kind, LLVMMetadataAsValue(e->cx, empty));
    }
    return load;
}

void emit_prefetch(emitter *e, LLVMValueRef ptr, bool write, int locality)
{
    LLVMValueRef args[] = {ptr, emit_i32(e, write), emit_i32(e, locality), emit_i32(e, 1)};
    emit_intrinsic(e, "llvm.prefetch", &e->ptr_t, 1, args, 4);
}

LLVMValueRef emit_local(emitter *e, LLVMTypeRef type, int64_t count, unsigned align)
{
    LLVMBasicBlockRef here = LLVMGetInsertBlock(e->b), entry = LLVMGetEntryBasicBlock(e->fn);
    LLVMPositionBuilder(e->b, entry, LLVMGetFirstInstruction(entry));
    LLVMValueRef room = LLVMBuildArrayAlloca(e->b, type, emit_i64(e, count), "");
    LLVMSetAlignment(room, align);
    LLVMPositionBuilderAtEnd(e->b, here);
    return room;
}

/* ---- masks --------------------------------------------------------------------------------------------- */

LLVMValueRef emit_mask_below(emitter *e, int lanes, LLVMValueRef count)
{
    if (LLVMIsAConstantInt(count) && LLVMConstIntGetSExtValue(count) >= lanes)
        return NULL;
    if (LLVMGetIntTypeWidth(LLVMTypeOf(count)) == 64) {
        /* held to the lanes, so that half the bits do */
        LLVMValueRef all = emit_i64(e, lanes);
        count =
            LLVMBuildTrunc(e->b, emit_select(e, emit_cmp(e, CMP_LT, count, all), count, all), e->i32_t, "");
    }
    return emit_cmp(e, CMP_LT, emit_iota(e, EL_I32, lanes), emit_splat(e, count, lanes));
}

LLVMValueRef emit_mask_and(emitter *e, LLVMValueRef a, LLVMValueRef b)
{
    return !a ? b : !b ? a : emit_and(e, a, b);
}

/* ---- reductions ---------------------------------------------------------------------------------------- */

LLVMValueRef emit_combine(emitter *e, red_op op, LLVMValueRef a, LLVMValueRef b)
{
    switch (op) {
    case RED_ADD: return emit_add(e, a, b);
    case RED_MUL: return emit_mul(e, a, b);
    case RED_MAX: return emit_max(e, a, b);
    case RED_MIN: return emit_min(e, a, b);
    case RED_AND: return emit_and(e, a, b);
    case RED_OR: return emit_or(e, a, b);
    }
    return a;
}

LLVMValueRef emit_reduce(emitter *e, red_op op, LLVMValueRef v)
{
    for (int lanes = emit_lanes(v); lanes > 1; lanes /= 2)
        v = emit_combine(e, op, emit_slice(e, v, 0, lanes / 2), emit_slice(e, v, lanes / 2, lanes / 2));
    return v;
}

LLVMValueRef emit_neutral(emitter *e, red_op op, elem t, int lanes)
{
    bool real = elem_is_real(t), wide = t == EL_I64;
    switch (op) {
    case RED_ADD: return emit_integer(e, t, lanes, 0);
    case RED_MUL: return emit_integer(e, t, lanes, 1);
    case RED_AND: return emit_integer(e, t, lanes, -1);
    case RED_OR: return emit_integer(e, t, lanes, 0);
    case RED_MAX:
        return real ? emit_number(e, t, lanes, -INFINITY)
                    : emit_integer(e, t, lanes, wide ? INT64_MIN : INT32_MIN);
    case RED_MIN:
        return real ? emit_number(e, t, lanes, INFINITY)
                    : emit_integer(e, t, lanes, wide ? INT64_MAX : INT32_MAX);
    }
    return NULL;
}
