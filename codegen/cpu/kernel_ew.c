/* Element-wise operations (the switch has a case for each of the table) and dropout's random number. */
#include "codegen/cpu/kernel_gen.h"
#include "codegen/cpu/math.h"

#include <stddef.h>

#include "compiler/ir/philox.h"

static LLVMValueRef compare(kgen *g, cmp_op op, kval a, kval b, LLVMValueRef x, LLVMValueRef y)
{
    return a.is_int ? kg_icompare(g, op, a, b) : emit_cmp(g->e, op, x, y);
}

static LLVMValueRef power(kgen *g, LLVMValueRef x, LLVMValueRef y)
{
    LLVMBool loses;
    LLVMValueRef c = emit_lanes(y) > 1 && LLVMIsConstant(y) ? LLVMGetAggregateElement(y, 0) : y;
    double by = c && LLVMIsAConstantFP(c) ? LLVMConstRealGetDouble(c, &loses) : 0;
    return by == 2 ? emit_mul(g->e, x, x) : emit_math2(g->e, MATH_POW, x, y);
}

/* The product; 0 where either is 0. */
static LLVMValueRef mul0(emitter *em, LLVMValueRef x, LLVMValueRef y)
{
    LLVMValueRef zero = LLVMConstNull(LLVMTypeOf(x));
    LLVMValueRef none = emit_or(em, emit_cmp(em, CMP_EQ, x, zero), emit_cmp(em, CMP_EQ, y, zero));
    return emit_select(em, none, zero, emit_mul(em, x, y));
}

static LLVMValueRef apply(kgen *g, const kexpr *e, kval a, kval b, LLVMValueRef x, LLVMValueRef y,
                          LLVMValueRef z)
{
    emitter *em = g->e;
    switch ((ir_op)e->map) {
    case OP_ADD: return emit_add(em, x, y);
    case OP_SUB: return emit_sub(em, x, y);
    case OP_MUL: return emit_mul(em, x, y);
    case OP_MUL0: return mul0(em, x, y);
    case OP_DIV: return emit_div(em, x, y);
    case OP_POW: return power(g, x, y);
    case OP_ATAN2: return emit_math2(em, MATH_ATAN2, x, y);
    case OP_MAX: return emit_max(em, x, y);
    case OP_MIN: return emit_min(em, x, y);
    case OP_NEG: return emit_neg(em, x);
    case OP_ABS: return emit_abs(em, x);
    case OP_SIGN: return emit_math1(em, MATH_SIGN, x);
    case OP_FLOOR: return emit_math1(em, MATH_FLOOR, x);
    case OP_EXP: return emit_math1(em, MATH_EXP, x);
    case OP_EXPM1: return emit_math1(em, MATH_EXPM1, x);
    case OP_LOG: return emit_math1(em, MATH_LOG, x);
    case OP_LOG1P: return emit_math1(em, MATH_LOG1P, x);
    case OP_SQRT: case OP_SQRT0: return emit_math1(em, MATH_SQRT, x);
    case OP_RSQRT: return emit_math1(em, MATH_RSQRT, x);
    case OP_SIN: return emit_math1(em, MATH_SIN, x);
    case OP_COS: return emit_math1(em, MATH_COS, x);
    case OP_TANH: return emit_math1(em, MATH_TANH, x);
    case OP_SIGMOID: return emit_math1(em, MATH_SIGMOID, x);
    case OP_SOFTPLUS: return emit_math1(em, MATH_SOFTPLUS, x);
    case OP_ERF: return emit_math1(em, MATH_ERF, x);
    case OP_RELU: return emit_relu(em, x);
    case OP_LT: return compare(g, CMP_LT, a, b, x, y);
    case OP_LE: return compare(g, CMP_LE, a, b, x, y);
    case OP_EQ: return compare(g, CMP_EQ, a, b, x, y);
    case OP_NE: return compare(g, CMP_NE, a, b, x, y);
    case OP_AND: return emit_and(em, x, y);
    case OP_OR: return emit_or(em, x, y);
    case OP_NOT: return emit_not(em, x);
    case OP_WHERE: return emit_select(em, x, y, z);
    case OP_CAST: return emit_convert(em, x, kg_elem((ktype)e->type));
    case OP_HAS: return kg_icompare(g, CMP_GE, a, kg_const(0));
    case OP_STOP: return x;
    /* not element-wise, or expressions of their own */
    case OP_BUCKET: case OP_DROPOUT: case OP_CONST: case OP_INPUT: case OP_REALARG: case OP_DIMVAL:
    case OP_IOTA: case OP_INDEGREE: case OP_COUNT: case OP_TRAINING: case OP_RSUM: case OP_RMAX:
    case OP_RMIN: case OP_EINSUM: case OP_RESHAPE: case OP_TRANSPOSE: case OP_BROADCAST: case OP_SLICE:
    case OP_CONCAT: case OP_LOOKUP: case OP_ONEHOT_ADD: case OP_ROWS: case OP_UNROWS: case OP_SPREAD:
    case OP_UNSPREAD: case OP_GATHER: case OP_AGG_SUM: case OP_AGG_MAX: case OP_AGG_MIN: case OP_AGG_PROD:
    case OP_AGG_VAR: case OP_AGG_ANY: case OP_AGG_ALL: case OP_AGG_EXPSUM: case OP_AGG_SOFTSUM:
    case OP_AGG_ARGMAX: case OP_AGG_ARGMIN: case OP_POSITION: case OP_SOFTMAX: case OP_MAP_SRC:
    case OP_MAP_DST: case OP_MAP_SRC_DST: case OP_MAP_DST_SRC: case OP_MAP_PREFIX: case OP_MAP_SUFFIX:
    case OP_MAP_GRAPH: case OP_MAP_UNIT: case OP_MAP_INDEX: case OP_MAP_PAIR: case OP_MAP_FIRST:
    case OP_MAP_SECOND: case OP_STATE: case OP_STEP: case OP_FINAL:
    case OP_STEPS: case OP_RECORD: case OP_RECALL:
    case OP_N: break;
    }
    return x;
}

/* Operands that are all the same in every lane are computed once, as scalars. */
kval kg_map(kgen *g, const kexpr *e, kval a, kval b, kval c)
{
    const kval in[3] = {a, b, c};
    const kx from[3] = {e->a, e->b, e->c};
    LLVMValueRef x[3] = {NULL, NULL, NULL};
    bool one = true;
    for (int i = 0; i < 3; i++)
        one &= !kx_is(from[i]) || kg_uniform(in[i]);
    for (int i = 0; i < 3; i++)
        if (kx_is(from[i]) && !in[i].is_int)
            x[i] = one ? in[i].v : kg_vector(g, in[i]);
    return kg_real(apply(g, e, a, b, x[0], x[1], x[2]));
}

/* ---- Philox, in 32-bit lanes that are computed as 64-bit ones ------------------------------------------ */

kval kg_random(kgen *g, const kexpr *e, kval key, kval member, kval element)
{
    emitter *em = g->e;
    bool one = kg_uniform(key) && kg_uniform(member) && kg_uniform(element);
    int lanes = one ? 1 : g->lanes;
    LLVMValueRef low = emit_integer(em, EL_I64, lanes, UINT32_MAX);
    LLVMValueRef m = one ? kg_int1(g, member) : kg_intn(g, member),
                 el = one ? kg_int1(g, element) : kg_intn(g, element);
    LLVMValueRef steps =
        emit_convert(em, kg_uniform(key) && !one ? emit_splat(em, key.v, lanes) : key.v, EL_I64);
    LLVMValueRef seed = emit_invariant(em, emit_field(em, EL_I64, g->args, offsetof(mp_kargs, seed)));
    LLVMValueRef k0 = emit_and(em, emit_splat(em, seed, lanes), low),
                 k1 = emit_shr(em, emit_splat(em, seed, lanes), 32);
    LLVMValueRef high = emit_and(
        em, emit_mul(em, emit_shr(em, m, 32), emit_integer(em, EL_I64, lanes, PHILOX_MEMBER_HIGH)), low);
    LLVMValueRef c[4] = {
        emit_and(em, emit_shr(em, el, 2), low),
        emit_and(em, m, low),
        emit_xor(em, emit_integer(em, EL_I64, lanes, (int64_t)(uint32_t)e->value.i), high),
        emit_and(em, steps, low),
    };
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        LLVMValueRef p0 = emit_mul(em, c[0], emit_integer(em, EL_I64, lanes, PHILOX_M0));
        LLVMValueRef p1 = emit_mul(em, c[2], emit_integer(em, EL_I64, lanes, PHILOX_M1));
        c[0] = emit_xor(em, emit_xor(em, emit_shr(em, p1, 32), c[1]), k0);
        c[2] = emit_xor(em, emit_xor(em, emit_shr(em, p0, 32), c[3]), k1);
        c[1] = emit_and(em, p1, low);
        c[3] = emit_and(em, p0, low);
        k0 = emit_and(em, emit_add(em, k0, emit_integer(em, EL_I64, lanes, PHILOX_W0)), low);
        k1 = emit_and(em, emit_add(em, k1, emit_integer(em, EL_I64, lanes, PHILOX_W1)), low);
    }
    LLVMValueRef which = emit_and(em, el, emit_integer(em, EL_I64, lanes, 3)), word = c[0];
    for (int i = 1; i < 4; i++)
        word = emit_select(em, emit_cmp(em, CMP_EQ, which, emit_integer(em, EL_I64, lanes, i)), c[i], word);
    LLVMValueRef u = emit_convert(em, emit_convert(em, emit_shr(em, word, 8), EL_I32), EL_F32);
    return kg_real(emit_mul(em, u, emit_number(em, EL_F32, lanes, 0x1p-24)));
}
