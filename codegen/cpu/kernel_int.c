/* Integers of address arithmetic: a scalar that the code computes, plus constants by lane: kernel_gen.h. */
#include "codegen/cpu/kernel_gen.h"

#include <string.h>

static int64_t gcd(int64_t a, int64_t b)
{
    while (b) {
        int64_t t = a % b;
        a = b;
        b = t;
    }
    return a < 0 ? -a : a;
}

kval kg_const(int64_t x) { return (kval){.is_int = true, .add = x}; }
kval kg_scalar(LLVMValueRef v)
{
    if (LLVMIsAConstantInt(v))
        return kg_const(LLVMConstIntGetSExtValue(v));
    return (kval){.is_int = true, .v = v, .align = 1};
}

/* base + by_lane[l], where `align` divides base. */
kval kg_lanes(kgen *g, LLVMValueRef base, int64_t align, const int64_t *by_lane)
{
    kval r = base ? kg_scalar(base) : kg_const(0);
    if (r.v)
        r.align = align;
    int64_t first = by_lane[0];
    r.add += first;
    bool varies = false;
    for (int l = 1; l < g->lanes; l++)
        varies |= by_lane[l] != first;
    if (varies) {
        int64_t *lane = NEW_N(g->mem, int64_t, g->lanes);
        for (int l = 0; l < g->lanes; l++)
            lane[l] = by_lane[l] - first;
        r.lane = lane;
    }
    return r;
}

bool kg_uniform(kval v)
{
    if (v.is_int)
        return !v.vec && !v.lane;
    return emit_lanes(v.v) == 1;
}

bool kg_is_const(kval v, int64_t *x)
{
    if (v.vec || v.lane || v.v)
        return false;
    if (x)
        *x = v.add;
    return true;
}

LLVMValueRef kg_int1(kgen *g, kval v)
{
    if (!v.v)
        return emit_i64(g->e, v.add);
    return v.add ? LLVMBuildNSWAdd(g->e->b, v.v, emit_i64(g->e, v.add), "") : v.v;
}

static LLVMValueRef by_lane(kgen *g, kval v)
{
    LLVMValueRef c[KG_LANES];
    for (int l = 0; l < g->lanes; l++)
        c[l] = emit_i64(g->e, v.add + (v.lane ? v.lane[l] : 0));
    return g->lanes == 1 ? c[0] : LLVMConstVector(c, (unsigned)g->lanes);
}

LLVMValueRef kg_intn(kgen *g, kval v)
{
    if (v.vec)
        return v.v;
    if (!v.lane)
        return emit_splat(g->e, kg_int1(g, v), g->lanes);
    LLVMValueRef c = by_lane(g, v);
    return v.v ? emit_add(g->e, emit_splat(g->e, v.v, g->lanes), c) : c;
}

static kval of_vector(LLVMValueRef v)
{
    if (emit_lanes(v) == 1)
        return kg_scalar(v);
    return (kval){.is_int = true, .vec = true, .v = v, .align = 1};
}

/* Offsets of rows that no memory can hold may overflow: such code is emitted and never run. */
static int64_t plus(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

static int64_t times(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a * (uint64_t)b);
}

/* a + s * b by lane, for s of 1 or -1; NULL where no lane differs. */
static const int64_t *add_lanes(kgen *g, const int64_t *a, const int64_t *b, int64_t s)
{
    if (!b || (!a && s == 1))
        return b ? b : a;
    int64_t *r = NEW_N(g->mem, int64_t, g->lanes);
    bool varies = false;
    for (int l = 0; l < g->lanes; l++) {
        r[l] = plus(a ? a[l] : 0, times(s, b[l]));
        varies |= r[l] != 0;
    }
    return varies ? r : NULL;
}

kval kg_iadd(kgen *g, kval a, kval b)
{
    if (a.vec || b.vec)
        return of_vector(emit_add(g->e, kg_intn(g, a), kg_intn(g, b)));
    kval r = {.is_int = true, .add = plus(a.add, b.add), .lane = add_lanes(g, a.lane, b.lane, 1)};
    r.v = !a.v ? b.v : !b.v ? a.v : LLVMBuildNSWAdd(g->e->b, a.v, b.v, "");
    r.align = gcd(a.align, b.align);
    return r;
}

kval kg_isub(kgen *g, kval a, kval b)
{
    if (a.vec || b.vec)
        return of_vector(emit_sub(g->e, kg_intn(g, a), kg_intn(g, b)));
    kval r = {.is_int = true, .add = plus(a.add, times(-1, b.add)), .lane = add_lanes(g, a.lane, b.lane, -1)};
    r.v = !b.v ? a.v : LLVMBuildNSWSub(g->e->b, a.v ? a.v : emit_i64(g->e, 0), b.v, "");
    r.align = gcd(a.align, b.align);
    return r;
}

static kval scale(kgen *g, kval a, int64_t by)
{
    if (by == 0)
        return kg_const(0);
    if (by == 1)
        return a;
    kval r = {.is_int = true, .add = times(a.add, by)};
    if (__builtin_mul_overflow(a.align, by, &r.align))
        r.align = 1;
    if (a.v)
        r.v = LLVMBuildNSWMul(g->e->b, a.v, emit_i64(g->e, by), "");
    if (a.lane) {
        int64_t *lane = NEW_N(g->mem, int64_t, g->lanes);
        for (int l = 0; l < g->lanes; l++)
            lane[l] = times(a.lane[l], by);
        r.lane = lane;
    }
    return r;
}

kval kg_imul(kgen *g, kval a, kval b)
{
    int64_t c;
    if (kg_is_const(b, &c) && !a.vec)
        return scale(g, a, c);
    if (kg_is_const(a, &c) && !b.vec)
        return scale(g, b, c);
    if (kg_uniform(a) && kg_uniform(b))
        return kg_scalar(LLVMBuildNSWMul(g->e->b, kg_int1(g, a), kg_int1(g, b), ""));
    return of_vector(emit_mul(g->e, kg_intn(g, a), kg_intn(g, b)));
}

/* Quotient or remainder of non-negative integers, b > 0. With base + c (c the constants by lane) there are
 * two cases that stay in this form: b divides the base, or b is a multiple of what divides it and c stays
 * below that. */
static bool split(kgen *g, kval a, int64_t b, bool mod, kval *out)
{
    int64_t most = 0, least = INT64_MAX, q[KG_LANES];
    for (int l = 0; l < g->lanes; l++) {
        q[l] = plus(a.add, a.lane ? a.lane[l] : 0);
        most = q[l] > most ? q[l] : most;
        least = q[l] < least ? q[l] : least;
    }
    if (least < 0)
        return false;
    LLVMValueRef base = a.v, by = emit_i64(g->e, b);
    if (!base || a.align % b == 0) {
        for (int l = 0; l < g->lanes; l++)
            q[l] = mod ? q[l] % b : q[l] / b;
        base = !base || mod ? NULL : LLVMBuildExactUDiv(g->e->b, base, by, "");
        *out = kg_lanes(g, base, 1, q);
        return true;
    }
    if (b % a.align == 0 && most < a.align) {
        if (!mod)
            memset(q, 0, sizeof q);
        base = mod ? LLVMBuildURem(g->e->b, base, by, "") : LLVMBuildUDiv(g->e->b, base, by, "");
        *out = kg_lanes(g, base, mod ? a.align : 1, q);
        return true;
    }
    return false;
}

kval kg_idivmod(kgen *g, kval a, kval b, bool mod)
{
    int64_t c;
    kval r;
    if (kg_is_const(b, &c) && !a.vec && c > 0 && split(g, a, c, mod, &r))
        return r;
    bool one = kg_uniform(a) && kg_uniform(b);
    LLVMValueRef x = one ? kg_int1(g, a) : kg_intn(g, a), y = one ? kg_int1(g, b) : kg_intn(g, b);
    return of_vector(mod ? LLVMBuildURem(g->e->b, x, y, "") : LLVMBuildUDiv(g->e->b, x, y, ""));
}

/* Slots are read at the function's start, once. */
kval kg_dim(kgen *g, kdim d)
{
    if (d.is_const)
        return kg_const(d.value);
    uint64_t key = (uint64_t)1 << 62 | d.slot;
    kcached *c = kg_find(g, key, 0, false);
    if (c)
        return c->value;
    LLVMBasicBlockRef from = kg_enter(g, 0);
    emit_keep_counters(g->e);
    kval v = kg_scalar(emit_invariant(g->e, emit_field(g->e, EL_I64, g->dim, 8 * (int64_t)d.slot)));
    kg_leave(g, 0, from);
    kg_keep(g, key, 0, false, v);
    return v;
}

static bool holds(cmp_op op, int64_t a, int64_t b)
{
    switch (op) {
    case CMP_LT: return a < b;
    case CMP_LE: return a <= b;
    case CMP_GT: return a > b;
    case CMP_GE: return a >= b;
    case CMP_EQ: return a == b;
    case CMP_NE: return a != b;
    }
    return false;
}

/* Where the scalar parts are the same, the constants decide. */
LLVMValueRef kg_icompare(kgen *g, cmp_op op, kval a, kval b)
{
    if (!a.vec && !b.vec && a.v == b.v) {
        LLVMValueRef c[KG_LANES];
        if (kg_uniform(a) && kg_uniform(b))
            return emit_bool(g->e, holds(op, a.add, b.add));
        for (int l = 0; l < g->lanes; l++)
            c[l] = emit_bool(g->e,
                             holds(op, a.add + (a.lane ? a.lane[l] : 0), b.add + (b.lane ? b.lane[l] : 0)));
        return g->lanes == 1 ? c[0] : LLVMConstVector(c, (unsigned)g->lanes);
    }
    if (kg_uniform(a) && kg_uniform(b))
        return emit_cmp(g->e, op, kg_int1(g, a), kg_int1(g, b));
    return emit_cmp(g->e, op, kg_intn(g, a), kg_intn(g, b));
}
