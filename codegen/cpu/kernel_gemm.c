/* Dense products on the rows of a tile or the members of a block. See kernel_gen.h and gemm.h.
 *
 * Rows that lie at one distance make one call; with groups, each run of rows of the same group does. Operands
 * whose inner stride is not 1 are taken by plain loops: the planner packs those that are worth it. */
#include "codegen/cpu/gemm.h"
#include "codegen/cpu/kernel_gen.h"

typedef struct product {
    const kgemm *m;
    elem t;
    LLVMValueRef a, b, c;               /* row 0 of the tile, group 0 */
    kval a_row, c_row;                  /* elements from row to row */
    LLVMValueRef rows;
    bool in_block;
    bool plain;                         /* by loops */
    gemm_kind kind;
} product;

static kval dim_of(kgen *g, kdim d) { return kg_dim(g, d); }

static LLVMValueRef at(kgen *g, elem t, LLVMValueRef base, kval offset)
{
    int64_t c;
    if (kg_is_const(offset, &c))
        return emit_ptr_bytes(g->e, base, c * (int64_t)elem_size(t));
    return emit_ptr(g->e, t, base, kg_int1(g, offset));
}

/* ---- one product of `rows` rows ----------------------------------------------------------------------------------- */

static void by_loops(kgen *g, const product *p, LLVMValueRef a, LLVMValueRef b, LLVMValueRef c, LLVMValueRef rows)
{
    emitter *e = g->e;
    const kgemm *m = p->m;
    LLVMValueRef zero = emit_i64(e, 0);
    emit_loop row = emit_for_begin(e, zero, rows, 1);
    emit_loop i = emit_for_begin(e, zero, kg_int1(g, dim_of(g, m->m)), 1);
    LLVMValueRef ai = at(g, p->t, at(g, p->t, a, kg_imul(g, kg_scalar(row.i), p->a_row)), kg_imul(g, kg_scalar(i.i), dim_of(g, m->a_m)));
    LLVMValueRef ci = at(g, p->t, at(g, p->t, c, kg_imul(g, kg_scalar(row.i), p->c_row)), kg_imul(g, kg_scalar(i.i), dim_of(g, m->c_m)));
    emit_loop j = emit_for_begin(e, zero, kg_int1(g, dim_of(g, m->n)), 1);
    LLVMValueRef bj = at(g, p->t, b, kg_imul(g, kg_scalar(j.i), dim_of(g, m->b_n)));
    LLVMValueRef cj = at(g, p->t, ci, kg_imul(g, kg_scalar(j.i), dim_of(g, m->c_n)));
    LLVMValueRef first = m->accumulate ? emit_load(e, p->t, 1, cj, NULL) : emit_number(e, p->t, 1, 0);
    emit_loop k = emit_for_begin(e, zero, kg_int1(g, dim_of(g, m->k)), 1);
    LLVMValueRef sum = emit_carry(e, &k, first);
    LLVMValueRef x = emit_load(e, p->t, 1, at(g, p->t, ai, kg_imul(g, kg_scalar(k.i), dim_of(g, m->a_k))), NULL);
    LLVMValueRef y = emit_load(e, p->t, 1, at(g, p->t, bj, kg_imul(g, kg_scalar(k.i), dim_of(g, m->b_k))), NULL);
    emit_next(&k, 0, emit_fma(e, x, y, sum));
    emit_for_end(e, &k);
    emit_store(e, p->t, k.result[0], cj, NULL);
    emit_for_end(e, &j);
    emit_for_end(e, &i);
    emit_for_end(e, &row);
}

static void call(kgen *g, const product *p, LLVMValueRef a, kval lda, LLVMValueRef b, LLVMValueRef c, kval ldc, LLVMValueRef rows)
{
    const kgemm *m = p->m;
    gemm_spec s = {.type = p->t, .kind = p->kind, .accumulate = m->accumulate};
    s.n = m->n.is_const ? m->n.value : 0;
    s.k = m->k.is_const ? m->k.value : 0;
    kval ldb = dim_of(g, p->kind == GEMM_NT ? m->b_n : m->b_k);
    emit_gemm(g->e, &s, a, kg_int1(g, lda), b, kg_int1(g, ldb), c, kg_int1(g, ldc), rows, kg_int1(g, dim_of(g, m->n)),
              kg_int1(g, dim_of(g, m->k)));
}

static bool row_is(kgen *g, kval row, kval m, kdim stride)
{
    int64_t r, count, s;
    return kg_is_const(row, &r) && kg_is_const(m, &count) && kg_is_const(dim_of(g, stride), &s) && r == count * s;
}

static void one_batch(kgen *g, const product *p, LLVMValueRef a, LLVMValueRef b, LLVMValueRef c, LLVMValueRef rows)
{
    emitter *e = g->e;
    const kgemm *m = p->m;
    kval inner = dim_of(g, m->m);
    int64_t one;
    if (p->plain) {
        by_loops(g, p, a, b, c, rows);
    } else if (kg_is_const(inner, &one) && one == 1) {
        call(g, p, a, p->a_row, b, c, p->c_row, rows);
    } else if (row_is(g, p->a_row, inner, m->a_m) && row_is(g, p->c_row, inner, m->c_m)) {
        call(g, p, a, dim_of(g, m->a_m), b, c, dim_of(g, m->c_m), emit_mul(e, rows, kg_int1(g, inner)));
    } else {
        emit_loop i = emit_for_begin(e, emit_i64(e, 0), kg_int1(g, inner), 1);
        LLVMValueRef ai = at(g, p->t, a, kg_imul(g, kg_scalar(i.i), dim_of(g, m->a_m)));
        LLVMValueRef ci = at(g, p->t, c, kg_imul(g, kg_scalar(i.i), dim_of(g, m->c_m)));
        call(g, p, ai, p->a_row, b, ci, p->c_row, rows);
        emit_for_end(e, &i);
    }
}

static void all_batches(kgen *g, const product *p, LLVMValueRef a, LLVMValueRef b, LLVMValueRef c, LLVMValueRef rows)
{
    const kgemm *m = p->m;
    if (kdim_is(m->batch, 1)) {
        one_batch(g, p, a, b, c, rows);
        return;
    }
    emit_loop l = emit_for_begin(g->e, emit_i64(g->e, 0), kg_extent(g, m->batch), 1);
    LLVMValueRef al = at(g, p->t, a, kg_imul(g, kg_scalar(l.i), dim_of(g, m->a_batch)));
    LLVMValueRef bl = at(g, p->t, b, kg_imul(g, kg_scalar(l.i), dim_of(g, m->b_batch)));
    LLVMValueRef cl = at(g, p->t, c, kg_imul(g, kg_scalar(l.i), dim_of(g, m->c_batch)));
    one_batch(g, p, al, bl, cl, rows);
    emit_for_end(g->e, &l);
}

/* ---- groups -------------------------------------------------------------------------------------------------------- */

static void clear(kgen *g, const product *p, LLVMValueRef c, LLVMValueRef rows)
{
    emitter *e = g->e;
    const kgemm *m = p->m;
    LLVMValueRef zero = emit_i64(e, 0);
    emit_loop row = emit_for_begin(e, zero, rows, 1);
    emit_loop l = emit_for_begin(e, zero, kg_extent(g, m->batch), 1);
    emit_loop i = emit_for_begin(e, zero, kg_extent(g, m->m), 1);
    emit_loop j = emit_for_begin(e, zero, kg_extent(g, m->n), 1);
    kval offset = kg_imul(g, kg_scalar(row.i), p->c_row);
    offset = kg_iadd(g, offset, kg_imul(g, kg_scalar(l.i), dim_of(g, m->c_batch)));
    offset = kg_iadd(g, offset, kg_imul(g, kg_scalar(i.i), dim_of(g, m->c_m)));
    offset = kg_iadd(g, offset, kg_imul(g, kg_scalar(j.i), dim_of(g, m->c_n)));
    emit_store(e, p->t, emit_number(e, p->t, 1, 0), at(g, p->t, c, offset), NULL);
    emit_for_end(e, &j);
    emit_for_end(e, &i);
    emit_for_end(e, &l);
    emit_for_end(e, &row);
}

typedef struct group_store { const product *p; LLVMValueRef list; } group_store;

static void store_group(kgen *g, void *ud)
{
    const group_store *s = ud;
    const kbind *here = s->p->in_block ? &g->member : &g->row;
    LLVMValueRef first = s->p->in_block ? g->block_start : g->tile_start;
    LLVMValueRef i = emit_sub(g->e, kg_int1(g, here->value), first);
    kg_push(g, true);
    LLVMValueRef v = kg_int1(g, kg_eval(g, s->p->m->group));
    kg_pop(g);
    emit_store(g->e, EL_I64, v, emit_ptr(g->e, EL_I64, s->list, i), NULL);
}

static LLVMValueRef read_i64(kgen *g, LLVMValueRef p) { return emit_load(g->e, EL_I64, 1, p, NULL); }

static void by_groups(kgen *g, const product *p)
{
    emitter *e = g->e;
    const kgemm *m = p->m;
    int64_t most = p->in_block ? g->k->walk->block : g->k->tile > 1 ? g->k->tile : 1;
    group_store s = {p, emit_local(e, e->i64_t, most, 64)};
    if (p->in_block)
        kg_each_member(g, NULL, 0, store_group, &s, NULL);
    else
        kg_each_row(g, store_group, &s);

    LLVMValueRef first_var = emit_local(e, e->i64_t, 1, 8), end_var = emit_local(e, e->i64_t, 1, 8);
    emit_store(e, EL_I64, emit_i64(e, 0), first_var, NULL);
    LLVMBasicBlockRef test = LLVMAppendBasicBlockInContext(e->cx, e->fn, "runs"), body = LLVMAppendBasicBlockInContext(e->cx, e->fn, ""),
                      seek = LLVMAppendBasicBlockInContext(e->cx, e->fn, ""), same = LLVMAppendBasicBlockInContext(e->cx, e->fn, ""),
                      found = LLVMAppendBasicBlockInContext(e->cx, e->fn, ""), after = LLVMAppendBasicBlockInContext(e->cx, e->fn, "");
    LLVMBuildBr(e->b, test);
    LLVMPositionBuilderAtEnd(e->b, test);
    LLVMValueRef first = read_i64(g, first_var);
    LLVMBuildCondBr(e->b, emit_cmp(e, CMP_LT, first, p->rows), body, after);
    LLVMPositionBuilderAtEnd(e->b, body);
    LLVMValueRef group = read_i64(g, emit_ptr(e, EL_I64, s.list, first));
    emit_store(e, EL_I64, first, end_var, NULL);
    LLVMBuildBr(e->b, seek);
    LLVMPositionBuilderAtEnd(e->b, seek);
    LLVMValueRef end = emit_add(e, read_i64(g, end_var), emit_i64(e, 1));
    emit_store(e, EL_I64, end, end_var, NULL);
    LLVMBuildCondBr(e->b, emit_cmp(e, CMP_LT, end, p->rows), same, found);
    LLVMPositionBuilderAtEnd(e->b, same);
    LLVMValueRef other = read_i64(g, emit_ptr(e, EL_I64, s.list, end));
    LLVMBuildCondBr(e->b, emit_cmp(e, CMP_EQ, other, group), seek, found);
    LLVMPositionBuilderAtEnd(e->b, found);

    LLVMValueRef rows = emit_sub(e, end, first);
    LLVMValueRef a = at(g, p->t, p->a, kg_imul(g, kg_scalar(first), p->a_row));
    LLVMValueRef c = at(g, p->t, p->c, kg_imul(g, kg_scalar(first), p->c_row));
    emit_if some = emit_if_begin(e, emit_cmp(e, CMP_GE, group, emit_i64(e, 0)));
    all_batches(g, p, a, at(g, p->t, p->b, kg_imul(g, kg_scalar(group), dim_of(g, m->b_group))), c, rows);
    if (!m->accumulate) {
        emit_else(e, &some);
        clear(g, p, c, rows);
    }
    emit_if_end(e, &some);
    emit_store(e, EL_I64, end, first_var, NULL);
    LLVMBuildBr(e->b, test);
    LLVMPositionBuilderAtEnd(e->b, after);
}

/* ---- operands ------------------------------------------------------------------------------------------------------ */

static kval offset_of(kgen *g, kx x) { return kx_is(x) ? kg_eval(g, x) : kg_const(0); }

void kg_gemm(kgen *g, const kgemm *m)
{
    product p = {.m = m, .t = kg_elem(m->type), .in_block = g->block_start != NULL};
    LLVMValueRef first = p.in_block ? g->block_start : g->tile_start;
    p.rows = p.in_block ? emit_sub(g->e, g->block_end, g->block_start) : g->tile_rows;
    kg_push(g, true);
    if (m->a_is_buffer) {
        p.a_row = dim_of(g, g->p->buffers[m->a].elems);
        p.a = at(g, p.t, kg_buffer(g, m->a), kg_imul(g, kg_scalar(first), p.a_row));
    } else {
        p.a_row = dim_of(g, g->k->locals[m->a].elems);
        p.a = g->locals[m->a].base;
    }
    p.a = at(g, p.t, p.a, offset_of(g, m->a_offset));
    p.b = at(g, p.t, kg_buffer(g, m->b), offset_of(g, m->b_offset));
    p.c_row = dim_of(g, g->k->locals[m->c].elems);
    p.c = at(g, p.t, g->locals[m->c].base, offset_of(g, m->c_offset));
    bool along_n = kdim_is(m->b_n, 1) || kdim_is(m->n, 1), along_k = kdim_is(m->b_k, 1) || kdim_is(m->k, 1);
    p.kind = kdim_is(m->b_n, 1) || !along_k ? GEMM_NN : GEMM_NT;
    p.plain = !(kdim_is(m->a_k, 1) || kdim_is(m->k, 1)) || !(kdim_is(m->c_n, 1) || kdim_is(m->n, 1)) || !(along_n || along_k);
    if (kx_is(m->group))
        by_groups(g, &p);
    else
        all_batches(g, &p, p.a, p.b, p.c, p.rows);
    kg_pop(g);
    kg_changed(g);
}
