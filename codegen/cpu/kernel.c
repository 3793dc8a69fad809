/* Kernels: their functions, tiles and rows. See kernel.h and kernel_gen.h. */
#include "codegen/cpu/debuginfo.h"
#include "codegen/cpu/kernel_gen.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* ---- statements in order ------------------------------------------------------------------------------- */

static void each_list(kgen *g, void *ud)
{
    const knode *n = ud;
    kg_body(g, n->body, n->n_body);
}

/* A piece leaves what is written with its row anyway: stores to buffers in front of the walk. */
static bool left_to_rows(const kgen *g, const knode *n)
{
    if (!g->state || g->in_walk || g->walked)
        return false;
    for (uint32_t i = 0; i < n->n_body; i++)
        if (n->body[i]->dest.kind != REF_BUFFER)
            return false;
    return n->n_body > 0;
}

static void statements(kgen *g, const knode *n)
{
    if (!left_to_rows(g, n)) {
        kg_for(g, n);
        return;
    }
    emit_if c = emit_if_begin(g->e, emit_not(g->e, kg_is_piece(g)));
    emit_if_weight(g->e, &c, false);
    kg_push(g, false);
    kg_for(g, n);
    kg_pop(g);
    emit_if_end(g->e, &c);
}

static void one(kgen *g, knode *n)
{
    debug_line(g->e, n->where);
    switch (n->kind) {
    case KN_SEQ: kg_body(g, n->body, n->n_body); break;
    case KN_ROWS: kg_each_row(g, each_list, n); break;
    case KN_WALK: kg_walk(g, n); break;
    case KN_BLOCKS: kg_blocks(g, n); break;
    case KN_MEMBERS: kg_each_member(g, n->body, n->n_body, each_list, n, n); break;
    case KN_FOR: statements(g, n); break;
    case KN_STORE: case KN_ACCUM: {
        knode alone = {.kind = KN_FOR, .where = n->where, .body = &n, .n_body = 1};
        statements(g, &alone);
        break;
    }
    case KN_IFANY: kg_ifany(g, n); break;
    case KN_GEMM: kg_gemm(g, n->gemm); break;
    }
}

void kg_body(kgen *g, knode *const *body, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        one(g, body[i]);
}

void kg_each_row(kgen *g, void (*each)(kgen *, void *), void *ud)
{
    if (g->row.bound) {         /* no tiles: the row is there */
        each(g, ud);
        return;
    }
    LLVMValueRef end = emit_add(g->e, g->tile_start, g->tile_rows);
    emit_loop l = emit_for_begin(g->e, g->tile_start, end, 1);
    l.runs = true;
    kg_push(g, false);
    kbind old = kg_bind(g, &g->row, kg_scalar(l.i), false);
    kg_changed(g);
    each(g, ud);
    kg_unbind(g, &g->row, old);
    kg_pop(g);
    emit_for_end(g->e, &l);
    kg_changed(g);
}

/* ---- functions ----------------------------------------------------------------------------------------- */

static LLVMValueRef field(kgen *g, LLVMValueRef of, size_t at)
{
    return emit_invariant(g->e, emit_load_ptr(g->e, of, (int64_t)at));
}

static LLVMValueRef load_i64(kgen *g, LLVMValueRef list, LLVMValueRef at)
{
    return emit_load(g->e, EL_I64, 1, emit_ptr(g->e, EL_I64, list, at), NULL);
}

static bool has_fiber(const kkernel *k) { return k->fiber.kind != FIBER_NONE && k->walk; }

LLVMValueRef kg_is_piece(kgen *g)
{
    return LLVMBuildIsNotNull(g->e->b, g->state, "");
}

/* Not `inbounds`: the list of a piece (below) has no entries before its row. */
LLVMValueRef kg_offset_ptr(kgen *g, LLVMValueRef row)
{
    return LLVMBuildGEP2(g->e->b, g->e->i64_t, g->ptr, &row, 1, "");
}

static void open_function(kgen *g, const char *name, LLVMValueRef scratch)
{
    debug_function(g->e, name, g->k->body->where);
    g->depth = -1;
    g->lanes = g->active = 1;
    g->point = 0;
    g->ride = -1;
    g->in_walk = g->walked = false;
    g->cache = map_make(g->mem);
    vec_clear(&g->cached);
    g->epoch++;
    g->row = g->member = (kbind){0};
    memset(g->var, 0, (g->k->n_vars + 1) * sizeof *g->var);
    g->args = emit_param(g->e, 0);
    g->launch = emit_param(g->e, 1);
    g->scratch = scratch;
    g->buf = field(g, g->args, offsetof(mp_kargs, buf));
    g->dim = field(g, g->args, offsetof(mp_kargs, dim));
    g->ptr = has_fiber(g->k) ? field(g, g->launch, offsetof(mp_launch, ptr)) : NULL;
    kg_push(g, false);
    kg_locals_open(g);
}

static void close_function(kgen *g)
{
    kg_pop(g);
    emit_return(g->e, NULL);
    emit_function_end(g->e);
}

static LLVMValueRef variable(kgen *g, LLVMValueRef value)
{
    LLVMValueRef v = emit_local(g->e, g->e->i64_t, 1, 8);
    LLVMBuildStore(g->e->b, value, v);
    return v;
}

static void no_alias(kgen *g, LLVMValueRef fn, int param)
{
    emit_attribute(g->e, fn, param, "noalias");
    emit_attribute(g->e, fn, param, "nocapture");
}

/* What the kernel does for rows lo..hi. With a fiber there is a seventh parameter, the state: where it is no
 * null pointer, the rows are one row and the function ends behind its walk. */
static LLVMValueRef body_function(kgen *g, const char *name)
{
    emitter *e = g->e;
    const bool fiber = has_fiber(g->k);
    LLVMTypeRef params[] = {e->ptr_t, e->ptr_t, e->i64_t, e->i64_t, e->i64_t, e->ptr_t, e->ptr_t};
    LLVMValueRef fn = emit_function_begin(e, name, FN_INTERNAL, e->void_t, params, fiber ? 7 : 6);
    no_alias(g, fn, 5);
    LLVMValueRef lo = emit_param(e, 2), hi = emit_param(e, 3);
    g->state = NULL;
    if (fiber) {
        emit_attribute(e, fn, -1, "noinline");
        no_alias(g, fn, 6);
        g->state = emit_param(e, 6);
    }
    open_function(g, name, emit_param(e, 5));
    if (fiber) {
        g->hub_rows = field(g, g->launch, offsetof(mp_launch, hub_row));
        g->hub_first = field(g, g->launch, offsetof(mp_launch, hub_first));
        g->states = field(g, g->launch, offsetof(mp_launch, state));
        g->state_bytes =
            emit_invariant(e, emit_field(e, EL_I64, g->launch, offsetof(mp_launch, state_bytes)));
        g->hub = variable(g, emit_param(e, 4));
        g->hub_row = variable(g, load_i64(g, g->hub_rows, emit_param(e, 4)));
        g->last_member = emit_sub(e, emit_load(e, EL_I64, 1, kg_offset_ptr(g, hi), NULL), emit_i64(e, 1));
    }
    int64_t tile = g->k->tile > 1 ? g->k->tile : 1;
    emit_loop l = emit_for_begin(e, lo, hi, tile);
    kg_push(g, false);
    g->tile_start = l.i;
    kbind old = {0};
    if (tile == 1) {
        g->tile_rows = emit_i64(e, 1);
        old = kg_bind(g, &g->row, kg_scalar(l.i), false);
    } else {
        g->tile_rows = emit_min(e, emit_i64(e, tile), emit_sub(e, hi, l.i));
    }
    kg_changed(g);
    kg_body(g, g->k->body->body, g->k->body->n_body);
    if (tile == 1)
        kg_unbind(g, &g->row, old);
    kg_pop(g);
    emit_for_end(e, &l);
    close_function(g);
    return fn;
}

static LLVMValueRef rows_function(kgen *g, const char *name, LLVMValueRef body)
{
    emitter *e = g->e;
    LLVMTypeRef params[] = {e->ptr_t, e->ptr_t, e->i64_t, e->i64_t, e->i64_t, e->ptr_t};
    LLVMValueRef fn = emit_function_begin(e, name, FN_INTERNAL, e->void_t, params, 6), args[7];
    for (unsigned i = 0; i < 6; i++)
        args[i] = emit_param(e, i);
    args[6] = LLVMConstNull(e->ptr_t);
    debug_function(e, name, g->k->body->where);
    emit_call(e, body, args, 7);
    emit_return(e, NULL);
    emit_function_end(e);
    return fn;
}

/* A piece is the walk over a row that has these members alone, in a launch without hubs: so says a launch in the
 * frame, whose list of offsets starts `row` entries before the two that there are. */
static LLVMValueRef piece_function(kgen *g, const char *name, LLVMValueRef body)
{
    emitter *e = g->e;
    LLVMTypeRef params[] = {e->ptr_t, e->ptr_t, e->i64_t, e->i64_t, e->i64_t, e->ptr_t, e->ptr_t};
    LLVMValueRef fn = emit_function_begin(e, name, FN_INTERNAL, e->void_t, params, 7);
    LLVMValueRef row = emit_param(e, 2), end = emit_add(e, row, emit_i64(e, 1));
    LLVMValueRef launch = emit_local(e, LLVMArrayType2(e->i8_t, sizeof(mp_launch)), 1, 8);
    LLVMValueRef offsets = emit_local(e, LLVMArrayType2(e->i64_t, 2), 1, 8), no_hub = variable(g, emit_i64(e, INT64_MAX));
    emit_store(e, EL_I64, emit_param(e, 3), offsets, NULL);
    emit_store(e, EL_I64, emit_param(e, 4), emit_ptr_bytes(e, offsets, 8), NULL);
    LLVMValueRef back = emit_sub(e, emit_i64(e, 0), row);
    LLVMBuildMemSet(e->b, launch, LLVMConstInt(e->i8_t, 0, 0), emit_i64(e, sizeof(mp_launch)), 8);
    LLVMBuildStore(e->b, LLVMBuildGEP2(e->b, e->i64_t, offsets, &back, 1, ""), emit_ptr_bytes(e, launch, offsetof(mp_launch, ptr)));
    LLVMBuildStore(e->b, no_hub, emit_ptr_bytes(e, launch, offsetof(mp_launch, hub_row)));
    LLVMValueRef args[] = {emit_param(e, 0), launch, row, end, emit_i64(e, 0), emit_param(e, 6), emit_param(e, 5)};
    debug_function(e, name, g->k->body->where);
    emit_call(e, body, args, 7);
    emit_return(e, NULL);
    emit_function_end(e);
    return fn;
}

/* ---- facts about the kernel ---------------------------------------------------------------------------- */

static void mark_buffers(kgen *g, knode *const *body, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const knode *k = body[i];
        if ((k->kind == KN_STORE || k->kind == KN_ACCUM) && k->dest.kind == REF_BUFFER)
            g->written[k->dest.id] = true;
        mark_buffers(g, k->body, k->n_body);
        mark_buffers(g, k->init, k->n_init);
        mark_buffers(g, k->combine, k->n_combine);
    }
}

static void mark_exprs(kgen *g)
{
    const kplan *p = g->p;
    g->has = NEW_N(g->mem, uint8_t, p->n_exprs);
    g->var_words = g->k->n_vars / 64 + 1;
    g->reads = NEW_N(g->mem, uint64_t, p->n_exprs);
    g->vars = NEW_N(g->mem, uint64_t, (size_t)p->n_exprs * g->var_words);
    for (uint32_t i = 1; i < p->n_exprs; i++) {
        const kexpr *e = &p->exprs[i];
        g->has[i] = g->has[e->a.i] | g->has[e->b.i] | g->has[e->c.i];
        g->reads[i] = g->reads[e->a.i] | g->reads[e->b.i] | g->reads[e->c.i];
        for (uint32_t w = 0; w < g->var_words; w++)
            g->vars[(size_t)i * g->var_words + w] = g->vars[(size_t)e->a.i * g->var_words + w] |
                g->vars[(size_t)e->b.i * g->var_words + w] | g->vars[(size_t)e->c.i * g->var_words + w];
        if (e->op == KX_VAR) {
            g->has[i] |= HAS_VAR;
            if (e->var < g->k->n_vars)
                g->vars[(size_t)i * g->var_words + e->var / 64] |= (uint64_t)1 << (e->var % 64);
        }
        if (e->op == KX_LOCAL || e->op == KX_IDX || e->op == KX_OTHER)
            g->reads[i] |= (uint64_t)1 << kg_place(false, e->local);
        if ((e->op == KX_LOAD || e->op == KX_ILOAD) && g->written[e->buffer])
            g->reads[i] |= (uint64_t)1 << kg_place(true, e->buffer);
        if (e->op == KX_ILOAD || e->op == KX_IDX || e->op == KX_BUCKET)
            g->has[i] |= HAS_INDEX;
        if (e->op == KX_ISUB || (e->op == KX_INT && e->value.i < 0))
            g->has[i] |= HAS_SUB;
        bool varies = false;
        for (uint32_t w = 0; w < g->var_words; w++)
            varies |= g->vars[(size_t)i * g->var_words + w] != 0;
        if (e->type == KT_F64 && varies)
            g->has[i] |= HAS_F64;
    }
}

kernel_functions kernel_emit(emitter *e, arena *mem, const kplan *p, uint32_t kernel, const char *name,
                             const kernel_options *options)
{
    arena_mark m = arena_get_mark(mem);
    kgen *g = NEW(mem, kgen);
    g->e = e;
    g->mem = mem;
    g->p = p;
    g->k = &p->kernels[kernel];
    g->prefetch = options ? options->prefetch : 0;
    g->written = NEW_N(mem, bool, p->n_buffers + 1);
    g->note = NEW_N(mem, knote, p->n_exprs);
    g->var = NEW_N(mem, kbind, g->k->n_vars + 1);
    mark_buffers(g, g->k->body->body, g->k->body->n_body);
    mark_exprs(g);
    kernel_functions f = {0};
    if (has_fiber(g->k)) {
        LLVMValueRef body = body_function(g, arena_printf(mem, "%s.walk", name));
        f.rows = rows_function(g, arena_printf(mem, "%s.rows", name), body);
        f.piece = piece_function(g, arena_printf(mem, "%s.piece", name), body);
    } else {
        f.rows = body_function(g, arena_printf(mem, "%s.rows", name));
    }
    arena_release(mem, m);
    return f;
}
