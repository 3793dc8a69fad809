/* Walks over members: of a row, of blocks of rows, and merging of pieces of hubs. See kernel_gen.h.
 *
 * Accumulators have a shadow in the frame while a walk adds to them, so that they are registers in its loop
 * whatever else is done to them: other parts of a tile read them from scratch, or a loop after the walk goes
 * through them. */
#include "codegen/cpu/kernel_gen.h"

#include <string.h>

enum { PREFETCH_LINES = 8, PREFETCH_AHEAD = 12, LINE_BYTES = 64, SHADOW_BYTES = 4096 };

/* ---- shadows ------------------------------------------------------------------------------------------- */

static bool shadow_worthy(const kgen *g, uint32_t local)
{
    const klocal *l = &g->k->locals[local];
    return l->scope == SCOPE_ROW && !g->locals[local].shadow && kg_in_frame(g, l, SHADOW_BYTES);
}

static void shadow_open(kgen *g, uint32_t local)
{
    kstorage *s = &g->locals[local];
    s->shadow = kg_frame(g, s->elems, s->type);
    kg_changed(g);
}

static void shadow_close(kgen *g, uint32_t local)
{
    kstorage *s = &g->locals[local];
    LLVMValueRef shadow = s->shadow;
    s->shadow = NULL;
    kg_copy_local(g, local, kg_local_ptr(g, local), shadow);
    kg_changed(g);
}

/* The row locals that statements write. */
static void mark_written(knode *const *body, uint32_t n, bool *marks)
{
    for (uint32_t i = 0; i < n; i++) {
        const knode *k = body[i];
        if ((k->kind == KN_STORE || k->kind == KN_ACCUM) && k->dest.kind == REF_LOCAL)
            marks[k->dest.id] = true;
        mark_written(k->body, k->n_body, marks);
    }
}

/* ---- members ------------------------------------------------------------------------------------------- */

static void prefetch(kgen *g, const knode *n, LLVMValueRef member)
{
    LLVMValueRef ahead = emit_add(g->e, member, emit_i64(g->e, g->prefetch ? g->prefetch : PREFETCH_AHEAD));
    ahead = emit_min(g->e, ahead, g->last_member);
    kg_push(g, false);
    kbind old = kg_bind(g, &g->member, kg_scalar(ahead), false);
    for (uint32_t i = 0; i < n->n_prefetch; i++) {
        const struct kprefetch *f = &n->prefetch[i];
        int64_t size = (int64_t)elem_size(kg_elem(g->p->buffers[f->buffer].type));
        LLVMValueRef p = kg_row_ptr(g, f->buffer, f->row_at);
        if (g->strip && kdim_same(f->elems, g->strip->extent)) {
            int64_t bytes = (int64_t)g->strip->count * g->strip->width * size;
            p = emit_ptr(g->e, kg_elem(g->p->buffers[f->buffer].type), p, g->strip->base);
            for (int64_t at = 0; at < bytes && (!at || !g->strip->mask[0]); at += LINE_BYTES)
                emit_prefetch(g->e, emit_ptr_bytes(g->e, p, at), false, 3);
        } else if (f->elems.is_const) {
            for (int64_t at = 0; at / size < f->elems.value && at < PREFETCH_LINES * LINE_BYTES;
                 at += LINE_BYTES)
                emit_prefetch(g->e, emit_ptr_bytes(g->e, p, at), false, 3);
        } else {
            LLVMValueRef last =
                kg_int1(g, kg_isub(g, kg_imul(g, kg_dim(g, f->elems), kg_const(size)), kg_const(1)));
            for (int64_t at = 0; at < PREFETCH_LINES / 2 * LINE_BYTES; at += LINE_BYTES)
                emit_prefetch(g->e, emit_ptr(g->e, EL_I8, p, emit_min(g->e, emit_i64(g->e, at), last)), false,
                              3);
        }
    }
    kg_unbind(g, &g->member, old);
    kg_pop(g);
}

static void walk_members(kgen *g, const knode *n, LLVMValueRef from, LLVMValueRef to)
{
    emit_loop l = emit_for_begin(g->e, from, to, 1);
    kg_push(g, false);
    kbind old = kg_bind(g, &g->member, kg_scalar(l.i), false);
    kg_changed(g);
    if (n->n_prefetch && g->prefetch >= 0)
        prefetch(g, n, l.i);
    kg_body(g, n->body, n->n_body);
    kg_unbind(g, &g->member, old);
    kg_pop(g);
    emit_for_end(g->e, &l);
    kg_changed(g);
}

static LLVMValueRef offset_of_row(kgen *g, LLVMValueRef row)
{
    return emit_invariant(g->e, emit_load(g->e, EL_I64, 1, kg_offset_ptr(g, row), NULL));
}

static LLVMValueRef read_variable(kgen *g, LLVMValueRef v)
{
    return LLVMBuildLoad2(g->e->b, g->e->i64_t, v, "");
}

/* Merges the pieces of the next hub into the accumulators, in order. */
static void merge_pieces(kgen *g, const knode *n)
{
    LLVMValueRef hub = read_variable(g, g->hub), next = emit_add(g->e, hub, emit_i64(g->e, 1));
    LLVMValueRef first = emit_load(g->e, EL_I64, 1, emit_ptr(g->e, EL_I64, g->hub_first, hub), NULL);
    LLVMValueRef end = emit_load(g->e, EL_I64, 1, emit_ptr(g->e, EL_I64, g->hub_first, next), NULL);
    emit_loop l = emit_for_begin(g->e, first, end, 1);
    kg_push(g, false);
    g->other = emit_ptr(g->e, EL_I8, g->states, emit_mul(g->e, l.i, g->state_bytes));
    kg_changed(g);
    kg_body(g, n->combine, n->n_combine);
    kg_changed(g);
    g->other = NULL;
    kg_pop(g);
    emit_for_end(g->e, &l);
}

/* Goes on to the hub after that. */
static void next_hub(kgen *g)
{
    LLVMValueRef next = emit_add(g->e, read_variable(g, g->hub), emit_i64(g->e, 1));
    LLVMBuildStore(g->e->b, next, g->hub);
    LLVMBuildStore(g->e->b, emit_load(g->e, EL_I64, 1, emit_ptr(g->e, EL_I64, g->hub_rows, next), NULL),
                   g->hub_row);
}

/* A piece keeps the accumulators of its row, and that is all it does. */
static void leave_piece(kgen *g)
{
    emit_if c = emit_if_begin(g->e, kg_is_piece(g));
    emit_if_weight(g->e, &c, true);
    kg_push(g, false);
    for (uint32_t i = 1; i < g->k->n_locals; i++)
        if (g->k->locals[i].accumulator)
            kg_copy_local(g, i, emit_ptr(g->e, EL_I8, g->state, g->acc_offset[i]), kg_local_ptr(g, i));
    kg_pop(g);
    emit_if_return(g->e, &c);
    g->walked = true;
}

static LLVMValueRef is_hub(kgen *g, LLVMValueRef row)
{
    return emit_cmp(g->e, CMP_EQ, row, read_variable(g, g->hub_row));
}

void kg_walk_once(kgen *g, const knode *n)
{
    bool *mine = NEW_N(g->mem, bool, g->k->n_locals + 1);
    for (uint32_t i = 1; i < g->k->n_locals; i++)
        if (g->k->locals[i].accumulator && shadow_worthy(g, i)) {
            mine[i] = true;
            shadow_open(g, i);
        }
    kg_body(g, n->init, n->n_init);
    LLVMValueRef row = kg_int1(g, g->row.value);
    emit_if c = emit_if_begin(g->e, is_hub(g, row));
    emit_if_weight(g->e, &c, true);
    kg_push(g, false);
    merge_pieces(g, n);
    kg_pop(g);
    emit_else(g->e, &c);
    kg_push(g, false);
    LLVMValueRef from = offset_of_row(g, row);
    LLVMValueRef to = offset_of_row(g, emit_add(g->e, row, emit_i64(g->e, 1)));
    walk_members(g, n, from, to);
    kg_pop(g);
    emit_if_end(g->e, &c);
    kg_changed(g);
    for (uint32_t i = 1; i < g->k->n_locals; i++)
        if (mine[i])
            shadow_close(g, i);
}

void kg_walk(kgen *g, const knode *n)
{
    g->in_walk = true;
    if (!kg_walk_strips(g, n))
        kg_walk_once(g, n);
    leave_piece(g);
    emit_if c = emit_if_begin(g->e, is_hub(g, kg_int1(g, g->row.value)));
    emit_if_weight(g->e, &c, true);
    next_hub(g);
    emit_if_end(g->e, &c);
    g->in_walk = false;
}

/* ---- blocks -------------------------------------------------------------------------------------------- */

/* while (ptr[row + 1] <= limit) row++, with `<` for strict. */
static LLVMValueRef row_at(kgen *g, LLVMValueRef row, LLVMValueRef limit, bool strict)
{
    emitter *e = g->e;
    LLVMValueRef var = emit_local(e, e->i64_t, 1, 8);
    LLVMBuildStore(e->b, row, var);
    LLVMBasicBlockRef test = LLVMAppendBasicBlockInContext(e->cx, e->fn, "seek"),
                      more = LLVMAppendBasicBlockInContext(e->cx, e->fn, ""),
                      after = LLVMAppendBasicBlockInContext(e->cx, e->fn, "");
    LLVMBuildBr(e->b, test);
    LLVMPositionBuilderAtEnd(e->b, test);
    LLVMValueRef next = emit_add(e, read_variable(g, var), emit_i64(e, 1));
    LLVMValueRef end = offset_of_row(g, next);
    LLVMBuildCondBr(e->b, emit_cmp(e, strict ? CMP_LT : CMP_LE, end, limit), more, after);
    LLVMPositionBuilderAtEnd(e->b, more);
    LLVMBuildStore(e->b, next, var);
    LLVMBuildBr(e->b, test);
    LLVMPositionBuilderAtEnd(e->b, after);
    return read_variable(g, var);
}

/* Members are taken row by row, so that what belongs to the row is computed once for its members in the
 * block. */
void kg_each_member(kgen *g, knode *const *body, uint32_t n_body, void (*each)(kgen *, void *), void *ud,
                    const knode *pre)
{
    bool *mine = NEW_N(g->mem, bool, g->k->n_locals + 1);
    mark_written(body, n_body, mine);
    emit_loop rows = emit_for_begin(g->e, g->block_row, emit_add(g->e, g->block_last, emit_i64(g->e, 1)), 1);
    kg_push(g, false);
    kbind old_row = kg_bind(g, &g->row, kg_scalar(rows.i), false);
    LLVMValueRef from = emit_max(g->e, g->block_start, offset_of_row(g, rows.i));
    LLVMValueRef to = emit_min(g->e, g->block_end, offset_of_row(g, emit_add(g->e, rows.i, emit_i64(g->e, 1))));
    for (uint32_t i = 1; i < g->k->n_locals; i++) {
        mine[i] = mine[i] && !g->locals[i].frame && shadow_worthy(g, i);
        if (mine[i]) {
            LLVMValueRef home = kg_local_ptr(g, i);
            shadow_open(g, i);
            kg_copy_local(g, i, g->locals[i].shadow, home);
        }
    }
    emit_loop l = emit_for_begin(g->e, from, to, 1);
    kg_push(g, false);
    kbind old = kg_bind(g, &g->member, kg_scalar(l.i), false);
    kg_changed(g);
    if (pre && pre->n_prefetch && g->prefetch >= 0)
        prefetch(g, pre, l.i);
    each(g, ud);
    kg_unbind(g, &g->member, old);
    kg_pop(g);
    emit_for_end(g->e, &l);
    for (uint32_t i = 1; i < g->k->n_locals; i++)
        if (mine[i])
            shadow_close(g, i);
    kg_unbind(g, &g->row, old_row);
    kg_pop(g);
    emit_for_end(g->e, &rows);
    kg_changed(g);
}

/* The members from .. to of consecutive rows, the first of which is `row`, block by block. */
static void blocks_of(kgen *g, const knode *n, LLVMValueRef row, LLVMValueRef from, LLVMValueRef to)
{
    emitter *e = g->e;
    LLVMValueRef row_var = emit_local(e, e->i64_t, 1, 8);
    LLVMBuildStore(e->b, row, row_var);
    emit_loop l = emit_for_begin(e, from, to, n->block);
    kg_push(g, false);
    g->block_start = l.i;
    g->block_end = emit_min(e, emit_add(e, l.i, emit_i64(e, n->block)), to);
    g->block_row = row_at(g, read_variable(g, row_var), g->block_start, false);
    g->block_last = row_at(g, g->block_row, g->block_end, true);
    LLVMBuildStore(e->b, g->block_last, row_var);
    kg_changed(g);
    kg_push(g, false);
    kg_body(g, n->body, n->n_body);
    kg_pop(g);
    g->block_start = g->block_end = g->block_row = g->block_last = NULL;
    kg_pop(g);
    emit_for_end(e, &l);
    kg_changed(g);
}

typedef struct body_of { knode *const *body; uint32_t n; } body_of;

static void each_body(kgen *g, void *ud)
{
    const body_of *b = ud;
    kg_body(g, b->body, b->n);
}

/* The rows of the tile between its hubs have contiguous members; each hub merges its pieces. */
void kg_blocks(kgen *g, const knode *n)
{
    emitter *e = g->e;
    body_of init = {n->init, n->n_init};
    g->in_walk = true;
    kg_each_row(g, each_body, &init);
    LLVMValueRef end = emit_add(e, g->tile_start, g->tile_rows), row_var = emit_local(e, e->i64_t, 1, 8);
    LLVMBuildStore(e->b, g->tile_start, row_var);
    LLVMBasicBlockRef loop = LLVMAppendBasicBlockInContext(e->cx, e->fn, "between"),
                      after = LLVMAppendBasicBlockInContext(e->cx, e->fn, "");
    LLVMBuildBr(e->b, loop);
    LLVMPositionBuilderAtEnd(e->b, loop);
    kg_push(g, false);
    LLVMValueRef first = read_variable(g, row_var), stop = emit_min(e, read_variable(g, g->hub_row), end);
    blocks_of(g, n, first, offset_of_row(g, first), offset_of_row(g, stop));
    emit_if c = emit_if_begin(e, emit_cmp(e, CMP_LT, stop, end));
    emit_if_weight(e, &c, true);
    kg_push(g, false);
    kbind old = kg_bind(g, &g->row, kg_scalar(stop), false);
    merge_pieces(g, n);
    next_hub(g);
    kg_unbind(g, &g->row, old);
    kg_pop(g);
    emit_if_end(e, &c);
    LLVMValueRef next = emit_add(e, stop, emit_i64(e, 1));
    LLVMBuildStore(e->b, next, row_var);
    kg_pop(g);
    LLVMBuildCondBr(e->b, emit_cmp(e, CMP_LT, next, end), loop, after);
    LLVMPositionBuilderAtEnd(e->b, after);
    kg_changed(g);
    old = kg_bind(g, &g->row, kg_scalar(g->tile_start), false);      /* a piece has this row alone */
    leave_piece(g);
    kg_unbind(g, &g->row, old);
    g->in_walk = false;
}
