/* Loads and stores of kernels: buffers, locals, and how lanes lie in memory. See kernel_gen.h. */
#include "codegen/cpu/kernel_gen.h"

#include <stddef.h>

enum { LINE = 64, FRAME_LIMIT = 4096, FRAME_SLACK = 256 };

/* ---- locals -------------------------------------------------------------------------------------------- */

uint32_t kernel_copies(const kkernel *k, uint32_t local)
{
    const klocal *l = &k->locals[local];
    if (!l->tiled)
        return 1;
    if (l->scope == SCOPE_ROW)
        return k->tile > 1 ? k->tile : 1;
    return k->walk && k->walk->kind == KN_BLOCKS ? k->walk->block : 1;
}

bool kg_in_frame(const kgen *g, const klocal *l, int64_t limit)
{
    (void)g;
    return l->elems.is_const && l->elems.value <= limit / (int64_t)elem_size(kg_elem(l->type));
}

/* One array: LLVM takes no alloca of several apart. */
LLVMValueRef kg_frame(kgen *g, int64_t elems, elem t)
{
    int64_t bytes = (elems * (int64_t)elem_size(t) + LINE - 1) / LINE * LINE + FRAME_SLACK;
    return emit_local(g->e, LLVMArrayType2(g->e->i8_t, (uint64_t)bytes), 1, LINE);
}

/* Bytes of so many copies, a multiple of a line. */
static LLVMValueRef room_of(kgen *g, const klocal *l, int64_t copies)
{
    kval n = kg_imul(g, kg_dim(g, l->elems), kg_const(copies * (int64_t)elem_size(kg_elem(l->type))));
    int64_t bytes;
    if (kg_is_const(n, &bytes))
        return emit_i64(g->e, (bytes + LINE - 1) / LINE * LINE);
    return emit_and(g->e, kg_int1(g, kg_iadd(g, n, kg_const(LINE - 1))), emit_i64(g->e, -LINE));
}

void kg_locals_open(kgen *g)
{
    g->locals = NEW_N(g->mem, kstorage, g->k->n_locals + 1);
    g->acc_offset = NEW_N(g->mem, LLVMValueRef, g->k->n_locals + 1);
    LLVMValueRef at = emit_i64(g->e, 0), in_state = at;
    for (uint32_t i = 1; i < g->k->n_locals; i++) {
        const klocal *l = &g->k->locals[i];
        kstorage *s = &g->locals[i];
        uint32_t copies = kernel_copies(g->k, i);
        s->type = kg_elem(l->type);
        s->frame = copies == 1 && kg_in_frame(g, l, FRAME_LIMIT);
        s->elems = l->elems.is_const ? l->elems.value : 0;
        s->base = s->frame ? kg_frame(g, s->elems, s->type) : emit_ptr(g->e, EL_I8, g->scratch, at);
        at = emit_add(g->e, at, room_of(g, l, copies));
        if (l->accumulator) {
            g->acc_offset[i] = in_state;
            in_state = emit_add(g->e, in_state, room_of(g, l, 1));
        }
    }
}

LLVMValueRef kg_local_ptr(kgen *g, uint32_t local)
{
    kstorage *s = &g->locals[local];
    if (s->shadow)
        return s->shadow;
    if (kernel_copies(g->k, local) == 1)
        return s->base;
    bool by_row = g->k->locals[local].scope == SCOPE_ROW;
    const kbind *at = by_row ? &g->row : &g->member;
    LLVMValueRef first = by_row ? g->tile_start : g->block_start, here = kg_int1(g, at->value);
    if (here == first)
        return s->base;
    uint64_t key = (uint64_t)3 << 62 | local;
    kcached *have = kg_find(g, key, at->depth, false);
    if (have)
        return have->value.v;
    LLVMBasicBlockRef from = kg_enter(g, at->depth);
    kval n = kg_imul(g, kg_isub(g, kg_scalar(here), kg_scalar(first)), kg_dim(g, g->k->locals[local].elems));
    LLVMValueRef p = emit_ptr(g->e, s->type, s->base, kg_int1(g, n));
    kg_leave(g, at->depth, from);
    kg_keep(g, key, at->depth, false, kg_real(p));
    return p;
}

/* ---- buffers ------------------------------------------------------------------------------------------- */

LLVMValueRef kg_buffer(kgen *g, uint32_t buffer)
{
    uint64_t key = (uint64_t)1 << 63 | buffer;
    kcached *have = kg_find(g, key, 0, false);
    if (have)
        return have->value.v;
    LLVMBasicBlockRef from = kg_enter(g, 0);
    LLVMValueRef p = emit_invariant(g->e, emit_load_ptr(g->e, g->buf, 8 * (int64_t)buffer));
    kg_leave(g, 0, from);
    kg_keep(g, key, 0, false, kg_real(p));
    return p;
}

LLVMValueRef kg_row_ptr(kgen *g, uint32_t buffer, kx row)
{
    int64_t zero;
    kval r = kg_eval(g, row);
    LLVMValueRef base = kg_buffer(g, buffer);
    if (kg_is_const(r, &zero) && zero == 0)
        return base;
    knote n = kg_note(g, row);
    /* a point's row is another one at each point: a constant distance, not worth keeping */
    bool stay = (n.flags & (N_VOLATILE | N_POINT)) || (g->chosen && (n.flags & N_FREE));
    int depth = stay ? g->depth : n.depth;
    uint64_t key = (uint64_t)1 << 63 | (uint64_t)(buffer + 1) << 32 | row.i;
    kcached *have = stay ? NULL : kg_find(g, key, depth, false);
    if (have)
        return have->value.v;
    LLVMBasicBlockRef from = stay ? NULL : kg_enter(g, depth);
    kval at = kg_imul(g, r, kg_dim(g, g->p->buffers[buffer].elems));
    LLVMValueRef p = emit_ptr(g->e, kg_elem(g->p->buffers[buffer].type), base, kg_int1(g, at));
    kg_leave(g, depth, from);
    if (!stay)
        kg_keep(g, key, depth, false, kg_real(p));
    return p;
}

/* ---- how lanes lie ------------------------------------------------------------------------------------- */

typedef struct access {
    elem t;
    LLVMValueRef base;
    bool frame;                 /* there is room behind the last element: no mask is needed to read */
    bool invariant;
    LLVMValueRef valid;         /* i1, NULL: true. Where false elements read as 0, the address may be anything */
} access;

static LLVMValueRef zeros(kgen *g)
{
    if (!g->zeros) {
        LLVMTypeRef t = LLVMArrayType2(g->e->i8_t, FRAME_SLACK);
        LLVMValueRef z = LLVMGetNamedGlobal(g->e->mod, "mpc.zeros");
        if (!z) {
            z = LLVMAddGlobal(g->e->mod, t, "mpc.zeros");
            LLVMSetInitializer(z, LLVMConstNull(t));
            LLVMSetGlobalConstant(z, 1);
            LLVMSetLinkage(z, LLVMInternalLinkage);
            LLVMSetAlignment(z, LINE);
        }
        g->zeros = z;
    }
    return g->zeros;
}

static LLVMValueRef element(kgen *g, const access *m, kval offset, int64_t add)
{
    LLVMValueRef p = offset.v ? emit_ptr(g->e, m->t, m->base, offset.v) : m->base;
    uint64_t at = (uint64_t)offset.add + (uint64_t)add;     /* wraps as offsets do */
    return emit_ptr_bytes(g->e, p, (int64_t)(at * (uint64_t)elem_size(m->t)));
}

static LLVMValueRef valid_or_zeros(kgen *g, const access *m, LLVMValueRef p)
{
    return m->valid ? emit_select(g->e, m->valid, p, zeros(g)) : p;
}

static LLVMValueRef finish(kgen *g, const access *m, LLVMValueRef v)
{
    return m->invariant ? emit_invariant(g->e, v) : v;
}

/* Loaded raw by emit_load, which may widen: the mark goes on the load itself. */
static LLVMValueRef load(kgen *g, const access *m, int lanes, LLVMValueRef p, LLVMValueRef mask)
{
    LLVMValueRef v = emit_load(g->e, m->t, lanes, valid_or_zeros(g, m, p), mask);
    return finish(g, m, v);
}

static bool side_by_side(const kgen *g, kval offset)
{
    if (offset.vec || !offset.lane)
        return false;
    for (int l = 0; l < g->active; l++)
        if (offset.lane[l] != l)
            return false;
    return true;
}

static LLVMValueRef lane_mask(kgen *g, LLVMValueRef chosen)
{
    if (chosen && emit_lanes(chosen) != g->lanes)
        chosen = emit_splat(g->e, chosen, g->lanes);
    return emit_mask_and(g->e, g->tail, chosen);
}

/* A few elements that several lanes share: one load, then a shuffle. */
static LLVMValueRef spread(kgen *g, const access *m, kval offset)
{
    int64_t low = 0, high = 0;
    for (int l = 0; l < g->active; l++) {
        low = offset.lane[l] < low ? offset.lane[l] : low;
        high = offset.lane[l] > high ? offset.lane[l] : high;
    }
    int64_t n = high - low + 1;
    if (n > KG_LANES || n > 2 * g->lanes)
        return NULL;
    int width = 1;
    while (width < n)
        width *= 2;
    LLVMValueRef mask = m->frame || width == n ? NULL : emit_mask_below(g->e, width, emit_i64(g->e, n));
    LLVMValueRef v = load(g, m, width, element(g, m, offset, low), mask), pick[KG_LANES];
    if (width == 1)
        return v;
    for (int l = 0; l < g->lanes; l++)
        pick[l] = emit_i32(g->e, l < g->active ? (int32_t)(offset.lane[l] - low) : 0);
    return LLVMBuildShuffleVector(g->e->b, v, LLVMGetPoison(LLVMTypeOf(v)),
                                  LLVMConstVector(pick, (unsigned)g->lanes), "");
}

static LLVMValueRef load_lanes(kgen *g, access m, kval offset)
{
    LLVMValueRef chosen = g->chosen;
    if (chosen && emit_lanes(chosen) == 1) {            /* the same for all lanes: a choice of address */
        m.valid = m.valid ? emit_and(g->e, m.valid, chosen) : chosen;
        chosen = NULL;
    }
    if (kg_uniform(offset)) {
        if (chosen) {
            LLVMValueRef any = emit_any(g->e, chosen);
            m.valid = m.valid ? emit_and(g->e, m.valid, any) : any;
        }
        return load(g, &m, 1, element(g, &m, offset, 0), NULL);
    }
    if (side_by_side(g, offset)) {
        LLVMValueRef mask = lane_mask(g, chosen);
        if (m.frame && !chosen)
            mask = NULL;
        return load(g, &m, g->lanes, element(g, &m, offset, 0), mask);
    }
    if (offset.lane && !chosen && (!g->tail || LLVMIsConstant(g->tail))) {      /* else how many lanes count is not known */
        LLVMValueRef v = spread(g, &m, offset);
        if (v)
            return v;
    }
    LLVMValueRef mask = lane_mask(g, chosen);
    if (m.valid)
        mask = emit_mask_and(g->e, mask, emit_splat(g->e, m.valid, g->lanes));
    return finish(g, &m, emit_gather(g->e, m.t, m.base, kg_intn(g, offset), mask));
}

/* In the shadow of a strip elements count from its base. */
static kval in_shadow(kgen *g, const kstorage *s, kval offset)
{
    if (s->strip && offset.v == g->strip->base) {
        offset.v = NULL;
        offset.align = 0;
    }
    return offset;
}

/* ---- loads --------------------------------------------------------------------------------------------- */

static LLVMValueRef not_negative(kgen *g, LLVMValueRef old, kval v)
{
    int64_t c;
    if (kg_is_const(v, &c) && c >= 0)
        return old;
    LLVMValueRef ok = kg_icompare(g, CMP_GE, v, kg_const(0));
    return old ? emit_and(g->e, old, ok) : ok;
}

kval kg_load(kgen *g, const kexpr *x, kval row, kval offset)
{
    const kbuffer *b = &g->p->buffers[x->buffer];
    access m = {.t = kg_elem(b->type), .invariant = !g->written[x->buffer]};
    bool guard_row = x->guarded && (g->has[x->a.i] & (HAS_INDEX | HAS_SUB));
    bool guard_offset = x->guarded && (g->has[x->b.i] & (HAS_INDEX | HAS_SUB));
    LLVMValueRef v;
    if (kg_uniform(row) && (kg_uniform(offset) || !guard_offset || offset.lane)) {
        m.base = kg_row_ptr(g, x->buffer, x->a);
        if (guard_row)
            m.valid = not_negative(g, NULL, row);
        if (guard_offset) {
            kval first = offset;
            first.lane = NULL;          /* lanes are elements of one row of a table: negative together */
            m.valid = not_negative(g, m.valid, first);
        }
        v = load_lanes(g, m, offset);
    } else {
        m.base = kg_buffer(g, x->buffer);
        kval flat = kg_iadd(g, kg_imul(g, row, kg_dim(g, b->elems)), offset);
        LLVMValueRef old = g->chosen, ok = NULL;
        if (guard_row)
            ok = not_negative(g, ok, row);
        if (guard_offset) {
            LLVMValueRef by_offset = not_negative(g, NULL, offset);
            ok = ok ? kg_both(g, ok, by_offset) : by_offset;
        }
        if (ok)
            g->chosen = old ? kg_both(g, old, ok) : ok;
        v = load_lanes(g, m, flat);
        g->chosen = old;
    }
    return kg_real(v);
}

static kval integer(kgen *g, LLVMValueRef v)
{
    v = emit_convert(g->e, v, EL_I64);
    if (emit_lanes(v) == 1)
        return kg_scalar(v);
    return (kval){.is_int = true, .vec = true, .v = v, .align = 1};
}

kval kg_iload(kgen *g, const kexpr *x, kval offset)
{
    access m = { .t = kg_elem(g->p->buffers[x->buffer].type),
                 .base = kg_buffer(g, x->buffer),
                 .invariant = !g->written[x->buffer] };
    return integer(g, load_lanes(g, m, offset));
}

kval kg_load_local(kgen *g, uint32_t local, kval offset, bool other)
{
    kstorage *s = &g->locals[local];
    access m = {.t = s->type};
    if (other) {
        m.base = emit_ptr(g->e, EL_I8, g->other, g->acc_offset[local]);
    } else {
        m.base = kg_local_ptr(g, local);
        m.frame = s->frame || s->shadow;
        offset = in_shadow(g, s, offset);
    }
    LLVMValueRef v = load_lanes(g, m, offset);
    return s->type == EL_I64 ? integer(g, v) : kg_real(v);
}

/* ---- what statements write ----------------------------------------------------------------------------- */

typedef struct target { access m; kval offset; int64_t elems; bool room; } target;     /* for whole vectors */

static target target_of(kgen *g, const kref *d)
{
    target t = {.offset = kg_eval(g, d->offset)};
    if (d->kind == REF_LOCAL) {
        kstorage *s = &g->locals[d->id];
        t.m = (access){.t = s->type, .base = kg_local_ptr(g, d->id), .frame = s->frame || s->shadow};
        t.elems = s->elems;
        t.offset = in_shadow(g, s, t.offset);
        if (s->strip)
            t.room = true;
        return t;
    }
    kval row = kg_eval(g, d->row);
    t.m.t = kg_elem(g->p->buffers[d->id].type);
    if (kg_uniform(row)) {
        t.m.base = kg_row_ptr(g, d->id, d->row);
    } else {
        t.m.base = kg_buffer(g, d->id);
        t.offset = kg_iadd(g, kg_imul(g, row, kg_dim(g, g->p->buffers[d->id].elems)), t.offset);
    }
    return t;
}

LLVMValueRef kg_dest_load(kgen *g, const kref *d)
{
    target t = target_of(g, d);
    LLVMValueRef v = load_lanes(g, t.m, t.offset);
    return kg_uniform(t.offset) ? emit_splat(g->e, v, g->lanes) : v;
}

static void scatter(kgen *g, const target *t, LLVMValueRef v)
{
    if (!g->tail || LLVMIsConstant(g->tail)) {
        for (int l = 0; l < g->active; l++) {
            LLVMValueRef p = t->offset.vec
                                 ? emit_ptr(g->e, t->m.t, t->m.base, emit_lane(g->e, t->offset.v, l))
                                 : element(g, &t->m, t->offset, t->offset.lane[l]);
            emit_store(g->e, t->m.t, emit_lane(g->e, v, l), p, NULL);
        }
        return;
    }
    LLVMValueRef index = kg_intn(g, t->offset);
    for (int l = 0; l < g->lanes; l++) {
        LLVMValueRef p = emit_ptr(g->e, t->m.t, t->m.base, emit_lane(g->e, index, l));
        emit_store(g->e, t->m.t, emit_lane(g->e, v, l), p, emit_lane(g->e, g->tail, l));
    }
}

/* The first `active` lanes without touching what lies behind them: powers of two, so that the frame's
 * elements can still become registers. */
static void store_front(kgen *g, const target *t, LLVMValueRef v)
{
    for (int at = 0; at < g->active;) {
        int n = g->lanes;
        while (n > g->active - at)
            n /= 2;
        emit_store(g->e, t->m.t, emit_slice(g->e, v, at, n), element(g, &t->m, t->offset, at), NULL);
        at += n;
    }
}

void kg_dest_store(kgen *g, const kref *d, kval value)
{
    target t = target_of(g, d);
    LLVMValueRef v = kg_vector(g, value);
    if ((t.m.t != EL_F16 && t.m.t != EL_BF16)
        || !emit_is_real(v)) /* half types: rounded once, from what it is */
        v = emit_convert(g->e, v, elem_register(t.m.t));
    kg_changed_by(g, d);
    if (kg_uniform(t.offset)) {
        emit_store(g->e, t.m.t, g->lanes == 1 ? v : emit_lane(g->e, v, g->active - 1),
                   element(g, &t.m, t.offset, 0), NULL);
    } else if (!side_by_side(g, t.offset)) {
        scatter(g, &t, v);
    } else if (t.m.frame && g->active < g->lanes) {
        bool last = !t.offset.v && t.offset.add + g->active >= t.elems;
        if (last)
            emit_store(g->e, t.m.t, v, element(g, &t.m, t.offset, 0), NULL);
        else
            store_front(g, &t, v);
    } else {
        emit_store(g->e, t.m.t, v, element(g, &t.m, t.offset, 0), t.room ? NULL : g->tail);
    }
}

/* ---- whole copies of locals ---------------------------------------------------------------------------- */

/* Either side may be in the frame: vectors of the size that loops use. */
void kg_copy_local(kgen *g, uint32_t local, LLVMValueRef to, LLVMValueRef from)
{
    kstorage *s = &g->locals[local];
    if (!g->k->locals[local].elems.is_const || s->elems > FRAME_LIMIT) {
        kval n = kg_imul(g, kg_dim(g, g->k->locals[local].elems), kg_const((int64_t)elem_size(s->type)));
        LLVMBuildMemCpy(g->e->b, to, 8, from, 8, kg_int1(g, n));
        return;
    }
    int64_t width = cpu_target_lanes(g->e->target, elem_is_real(s->type) ? (int)elem_size(s->type) : 8);
    for (int64_t at = 0; at < s->elems;) {
        while (width > s->elems - at)
            width /= 2;
        int64_t bytes = at * (int64_t)elem_size(s->type);
        LLVMValueRef v = emit_load(g->e, s->type, (int)width, emit_ptr_bytes(g->e, from, bytes), NULL);
        emit_store(g->e, s->type, v, emit_ptr_bytes(g->e, to, bytes), NULL);
        at += width;
    }
}
