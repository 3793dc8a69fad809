/* Expressions: where each is evaluated, and what is done there. See kernel_gen.h. */
#include "codegen/cpu/kernel_gen.h"
#include "codegen/cpu/math.h"

#include <stddef.h>

elem kg_elem(ktype t)
{
    switch (t) {
    case KT_F64: return EL_F64;
    case KT_F32: return EL_F32;
    case KT_F16: return EL_F16;
    case KT_BF16: return EL_BF16;
    case KT_I64: return EL_I64;
    case KT_I32: return EL_I32;
    case KT_BOOL: return EL_BOOL;
    }
    return EL_I64;
}

kval kg_real(LLVMValueRef v) { return (kval){.v = v}; }

LLVMValueRef kg_vector(kgen *g, kval v)
{
    if (v.is_int)
        return kg_intn(g, v);
    return kg_uniform(v) ? emit_splat(g->e, v.v, g->lanes) : v.v;
}

static int constant_bit(LLVMValueRef c)
{
    return LLVMIsAConstantInt(c) ? (int)LLVMConstIntGetZExtValue(c) : -1;
}

int kg_constant_mask(LLVMValueRef mask)
{
    if (!LLVMIsConstant(mask))
        return -1;
    int n = emit_lanes(mask);
    if (n == 1)
        return constant_bit(mask);
    int all = constant_bit(LLVMGetAggregateElement(mask, 0));
    for (int l = 1; l < n; l++)
        if (constant_bit(LLVMGetAggregateElement(mask, (unsigned)l)) != all)
            return -1;
    return all;
}

LLVMValueRef kg_both(kgen *g, LLVMValueRef a, LLVMValueRef b)
{
    int na = emit_lanes(a), nb = emit_lanes(b);
    if (na < nb)
        a = emit_splat(g->e, a, nb);
    else if (nb < na)
        b = emit_splat(g->e, b, na);
    return emit_and(g->e, a, b);
}

/* ---- one side of a select ------------------------------------------------------------------------------ */

static kval side(kgen *g, kx x, LLVMValueRef cond)
{
    if (!(kg_note(g, x).flags & N_FREE))
        return kg_eval(g, x);
    LLVMValueRef old = g->chosen;
    uint32_t old_id = g->mask_id;
    if (!old)
        g->chosen = cond;
    else
        g->chosen = kg_both(g, old, cond);
    g->mask_id = ++g->points;
    kval v = kg_eval(g, x);
    g->chosen = old;
    g->mask_id = old_id;
    return v;
}

static kval select_value(kgen *g, const kexpr *e)
{
    LLVMValueRef cond = kg_eval(g, e->a).v;
    int known = kg_constant_mask(cond);
    if (known >= 0)
        return kg_eval(g, known ? e->b : e->c);
    kval b = side(g, e->b, cond), c = side(g, e->c, emit_not(g->e, cond));
    if (emit_lanes(cond) > 1 || !kg_uniform(b) || !kg_uniform(c)) {
        LLVMValueRef v = emit_select(g->e, cond, kg_vector(g, b), kg_vector(g, c));
        return e->op == KX_SELECT ? kg_real(v) : (kval){.is_int = true, .vec = true, .v = v, .align = 1};
    }
    if (e->op == KX_SELECT)
        return kg_real(emit_select(g->e, cond, b.v, c.v));
    return kg_scalar(emit_select(g->e, cond, kg_int1(g, b), kg_int1(g, c)));
}

/* ---- the rest ------------------------------------------------------------------------------------------ */

static LLVMValueRef of_args(kgen *g, size_t field, uint32_t index, elem t)
{
    LLVMValueRef list = emit_invariant(g->e, emit_load_ptr(g->e, g->args, (int64_t)field));
    return emit_invariant(g->e, emit_field(g->e, t, list, 8 * (int64_t)index));
}

static kval bucket(kgen *g, kval a, kval range)
{
    LLVMValueRef x = emit_convert(g->e, emit_convert(g->e, a.v, EL_I32), EL_I64);
    bool one = kg_uniform(a) && kg_uniform(range);
    if (!one && kg_uniform(a))
        x = emit_splat(g->e, x, g->lanes);
    kval most = kg_isub(g, range, kg_const(1));
    LLVMValueRef top = one ? kg_int1(g, most) : kg_intn(g, most);
    x = emit_min(g->e, emit_max(g->e, x, emit_like(g->e, x, 0)), top);
    return one ? kg_scalar(x) : (kval){.is_int = true, .vec = true, .v = x, .align = 1};
}

static kval build(kgen *g, const kexpr *e, kval a, kval b, kval c)
{
    switch ((kx_op)e->op) {
    case KX_IADD: return kg_iadd(g, a, b);
    case KX_ISUB: return kg_isub(g, a, b);
    case KX_IMUL: return kg_imul(g, a, b);
    case KX_IDIV: return kg_idivmod(g, a, b, false);
    case KX_IMOD: return kg_idivmod(g, a, b, true);
    case KX_DIM: return kg_dim(g, e->dim);
    case KX_STEP: return kg_scalar(of_args(g, offsetof(mp_kargs, step), e->var, EL_I64));
    case KX_ILOAD: return kg_iload(g, e, a);
    case KX_BUCKET: return bucket(g, a, b);
    case KX_IDX: case KX_LOCAL: return kg_load_local(g, e->local, a, false);
    case KX_OTHER: return kg_load_local(g, e->local, a, true);
    case KX_REALARG:
        return kg_real(emit_convert(g->e, of_args(g, offsetof(mp_kargs, real), e->var, EL_F64),
                                    kg_elem((ktype)e->type)));
    case KX_TRAINING: {
        LLVMValueRef t =
            emit_invariant(g->e, emit_field(g->e, EL_I64, g->args, offsetof(mp_kargs, training)));
        return kg_real(emit_cmp(g->e, CMP_NE, t, emit_i64(g->e, 0)));
    }
    case KX_LOAD: return kg_load(g, e, a, b);
    case KX_FROM_INT:
        return kg_real(
            emit_convert(g->e, kg_uniform(a) ? kg_int1(g, a) : kg_intn(g, a), kg_elem((ktype)e->type)));
    case KX_MAP: return kg_map(g, e, a, b, c);
    case KX_RANDOM: return kg_random(g, e, a, b, c);
    case KX_INT: case KX_NUM: case KX_VAR: case KX_ROW: case KX_MEMBER: case KX_SELECT: case KX_ISEL: break;
    }
    return kg_const(0);
}

/* The scope for a value that varies by lane: as far out as its loops have room for one more vector. */
static int make_room(kgen *g, int depth)
{
    if (g->ride >= 0)
        return g->ride > depth ? g->ride : depth;
    int at = g->depth;
    bool leaves = false;
    while (at > depth && (g->scope[at].inline_ || g->scope[at].room > 0)) {
        leaves |= !g->scope[at].inline_;
        at--;
    }
    if (!leaves)
        return g->depth;
    for (int d = at + 1; d <= g->depth; d++)
        g->scope[d].room--;
    return at;
}

kval kg_eval(kgen *g, kx x)
{
    const kexpr *e = &g->p->exprs[x.i];
    switch ((kx_op)e->op) {
    case KX_INT: return kg_const(e->value.i);
    case KX_NUM: return kg_real(emit_number(g->e, kg_elem((ktype)e->type), 1, e->value.f));
    case KX_VAR: return g->var[e->var].value;
    case KX_ROW: return g->row.value;
    case KX_MEMBER: return g->member.value;
    case KX_IADD: case KX_ISUB: case KX_IMUL: case KX_IDIV: case KX_IMOD: case KX_DIM: case KX_STEP:
    case KX_ILOAD: case KX_BUCKET: case KX_IDX: case KX_LOCAL: case KX_OTHER: case KX_REALARG:
    case KX_TRAINING: case KX_LOAD:
    case KX_FROM_INT: case KX_MAP: case KX_RANDOM: case KX_SELECT: case KX_ISEL: break;
    }
    knote n = kg_note(g, x);
    bool is_volatile = n.flags & N_VOLATILE;
    uint32_t point = n.flags & N_POINT ? g->point : 0;
    if (g->chosen && (n.flags & N_FREE)) {
        is_volatile = true;
        point = g->mask_id;
    }
    uint64_t key = (uint64_t)x.i << 32 | point;
    int depth = is_volatile ? g->depth : n.depth;
    kcached *have = kg_find(g, key, depth, is_volatile);
    if (have && (g->ride < 0 || have->depth <= g->ride))        /* what leaves a scope needs its operands outside, too */
        return have->value;

    int ride = g->ride;
    LLVMValueRef chosen = g->chosen;
    if (!(n.flags & N_FREE))
        g->chosen = NULL;       /* it may run for all lanes, and where the choice is not known yet */
    if (is_volatile) {
        g->ride = -1;
    } else if (n.flags & N_VARIES) {
        depth = make_room(g, depth);
        g->ride = depth < g->depth ? depth : -1;
    }
    kval r;
    if (e->op == KX_SELECT || e->op == KX_ISEL) {
        /* the operands decide on the place: in a head all of them are there, or are constants */
        LLVMBasicBlockRef from = NULL;
        bool hoisted = !is_volatile && !g->scope[depth].inline_;
        if (hoisted && kg_constant_mask(kg_eval(g, e->a).v) < 0) {
            kg_eval(g, e->b);
            kg_eval(g, e->c);
            from = kg_enter(g, depth);
        }
        r = select_value(g, e);
        kg_leave(g, depth, from);
    } else {
        kval a = kx_is(e->a) ? kg_eval(g, e->a) : kg_const(0);
        kval b = kx_is(e->b) ? kg_eval(g, e->b) : kg_const(0);
        kval c = kx_is(e->c) ? kg_eval(g, e->c) : kg_const(0);
        LLVMBasicBlockRef from = is_volatile ? NULL : kg_enter(g, depth);
        r = build(g, e, a, b, c);
        kg_leave(g, depth, from);
    }
    g->ride = ride;
    g->chosen = chosen;
    kg_keep(g, key, depth, is_volatile, r);
    return r;
}
