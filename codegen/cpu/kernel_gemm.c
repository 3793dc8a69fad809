/* Dense products on the rows of a tile or the members of a block. See kernel_gen.h and gemm.h.
 *
 * Rows that lie at one distance make one call; with groups, the rows of the tile or block that have the same
 * one do. Operands whose inner stride is not 1 are taken by plain loops: the planner packs those that are
 * worth it. */
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

/* ---- one product of `rows` rows ------------------------------------------------------------------------ */

static void by_loops(kgen *g, const product *p, LLVMValueRef a, LLVMValueRef b, LLVMValueRef c,
                     LLVMValueRef rows)
{
    emitter *e = g->e;
    const kgemm *m = p->m;
    LLVMValueRef zero = emit_i64(e, 0);
    emit_loop row = emit_for_begin(e, zero, rows, 1);
    emit_loop i = emit_for_begin(e, zero, kg_int1(g, dim_of(g, m->m)), 1);
    LLVMValueRef ai = at(g, p->t, at(g, p->t, a, kg_imul(g, kg_scalar(row.i), p->a_row)),
                         kg_imul(g, kg_scalar(i.i), dim_of(g, m->a_m)));
    LLVMValueRef ci = at(g, p->t, at(g, p->t, c, kg_imul(g, kg_scalar(row.i), p->c_row)),
                         kg_imul(g, kg_scalar(i.i), dim_of(g, m->c_m)));
    emit_loop j = emit_for_begin(e, zero, kg_int1(g, dim_of(g, m->n)), 1);
    LLVMValueRef bj = at(g, p->t, b, kg_imul(g, kg_scalar(j.i), dim_of(g, m->b_n)));
    LLVMValueRef cj = at(g, p->t, ci, kg_imul(g, kg_scalar(j.i), dim_of(g, m->c_n)));
    LLVMValueRef first = m->accumulate ? emit_load(e, p->t, 1, cj, NULL) : emit_number(e, p->t, 1, 0);
    emit_loop k = emit_for_begin(e, zero, kg_int1(g, dim_of(g, m->k)), 1);
    LLVMValueRef sum = emit_carry(e, &k, first);
    LLVMValueRef x =
        emit_load(e, p->t, 1, at(g, p->t, ai, kg_imul(g, kg_scalar(k.i), dim_of(g, m->a_k))), NULL);
    LLVMValueRef y =
        emit_load(e, p->t, 1, at(g, p->t, bj, kg_imul(g, kg_scalar(k.i), dim_of(g, m->b_k))), NULL);
    emit_next(&k, 0, emit_fma(e, x, y, sum));
    emit_for_end(e, &k);
    emit_store(e, p->t, k.result[0], cj, NULL);
    emit_for_end(e, &j);
    emit_for_end(e, &i);
    emit_for_end(e, &row);
}

static void call(kgen *g, const product *p, LLVMValueRef a, kval lda, LLVMValueRef b, LLVMValueRef c,
                 kval ldc, LLVMValueRef rows)
{
    const kgemm *m = p->m;
    gemm_spec s = {.type = p->t, .kind = p->kind, .accumulate = m->accumulate};
    s.n = m->n.is_const ? m->n.value : 0;
    s.k = m->k.is_const ? m->k.value : 0;
    kval ldb = dim_of(g, p->kind == GEMM_NT ? m->b_n : m->b_k);
    emit_gemm(g->e, &s, a, kg_int1(g, lda), b, kg_int1(g, ldb), c, kg_int1(g, ldc), rows,
              kg_int1(g, dim_of(g, m->n)), kg_int1(g, dim_of(g, m->k)));
}

static bool row_is(kgen *g, kval row, kval m, kdim stride)
{
    int64_t r, count, s;
    return kg_is_const(row, &r) && kg_is_const(m, &count) && kg_is_const(dim_of(g, stride), &s)
           && r == count * s;
}

static void one_batch(kgen *g, const product *p, LLVMValueRef a, LLVMValueRef b, LLVMValueRef c,
                      LLVMValueRef rows)
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

static void all_batches(kgen *g, const product *p, LLVMValueRef a, LLVMValueRef b, LLVMValueRef c,
                        LLVMValueRef rows)
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

/* ---- groups -------------------------------------------------------------------------------------------- */

static void clear(kgen *g, const product *p, LLVMValueRef c)
{
    emitter *e = g->e;
    const kgemm *m = p->m;
    LLVMValueRef zero = emit_i64(e, 0);
    emit_loop l = emit_for_begin(e, zero, kg_extent(g, m->batch), 1);
    emit_loop i = emit_for_begin(e, zero, kg_extent(g, m->m), 1);
    emit_loop j = emit_for_begin(e, zero, kg_extent(g, m->n), 1);
    kval offset = kg_imul(g, kg_scalar(l.i), dim_of(g, m->c_batch));
    offset = kg_iadd(g, offset, kg_imul(g, kg_scalar(i.i), dim_of(g, m->c_m)));
    offset = kg_iadd(g, offset, kg_imul(g, kg_scalar(j.i), dim_of(g, m->c_n)));
    emit_store(e, p->t, emit_number(e, p->t, 1, 0), at(g, p->t, c, offset), NULL);
    emit_for_end(e, &j);
    emit_for_end(e, &i);
    emit_for_end(e, &l);
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

/* Rows that are not neighbours are copied side by side, multiplied, and the results copied back. */
typedef struct packing {
    LLVMValueRef room_a, room_c;        /* PACK_BYTES / 2 each */
    LLVMValueRef most;                  /* rows at a time */
    LLVMValueRef rows;                  /* their numbers */
} packing;

enum { PACK_BYTES = 64 * 1024 };

static void copy_rows(kgen *g, const product *p, const packing *k, LLVMValueRef count, LLVMValueRef packed,
                      LLVMValueRef rows, kval row, kval length, bool out)
{
    emitter *e = g->e;
    emit_loop l = emit_for_begin(e, emit_i64(e, 0), count, 1);
    LLVMValueRef from = read_i64(g, emit_ptr(e, EL_I64, k->rows, l.i));
    LLVMValueRef mine = at(g, p->t, packed, kg_imul(g, kg_scalar(l.i), length));
    LLVMValueRef theirs = at(g, p->t, rows, kg_imul(g, kg_scalar(from), row));
    LLVMValueRef bytes = kg_int1(g, kg_imul(g, length, kg_const((int64_t)elem_size(p->t))));
    unsigned align = (unsigned)elem_size(p->t);
    if (out)
        LLVMBuildMemCpy(e->b, theirs, align, mine, align, bytes);
    else
        LLVMBuildMemCpy(e->b, mine, align, theirs, align, bytes);
    emit_for_end(e, &l);
}

static void packed_batches(kgen *g, const product *p, const packing *k, LLVMValueRef b, LLVMValueRef count)
{
    emitter *e = g->e;
    const kgemm *m = p->m;
    kval a_length = dim_of(g, m->k), c_length = dim_of(g, m->n);
    emit_loop l = emit_for_begin(e, emit_i64(e, 0), kg_extent(g, m->batch), 1);
    LLVMValueRef al = at(g, p->t, p->a, kg_imul(g, kg_scalar(l.i), dim_of(g, m->a_batch)));
    LLVMValueRef bl = at(g, p->t, b, kg_imul(g, kg_scalar(l.i), dim_of(g, m->b_batch)));
    LLVMValueRef cl = at(g, p->t, p->c, kg_imul(g, kg_scalar(l.i), dim_of(g, m->c_batch)));
    copy_rows(g, p, k, count, k->room_a, al, p->a_row, a_length, false);
    if (m->accumulate)
        copy_rows(g, p, k, count, k->room_c, cl, p->c_row, c_length, false);
    call(g, p, k->room_a, a_length, bl, k->room_c, c_length, count);
    copy_rows(g, p, k, count, k->room_c, cl, p->c_row, c_length, true);
    emit_for_end(e, &l);
}

/* Every row has its group in a list. The rows of the first group that is left are taken together, until none
 * is left. */
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

    bool packs = kdim_is(m->m, 1) && !p->plain && most > 1;
    packing k = {.rows = emit_local(e, e->i64_t, most, 64)};
    kval longest = kg_iadd(g, dim_of(g, m->k), dim_of(g, m->n));
    if (packs) {
        k.room_a = emit_local(e, LLVMArrayType2(e->i8_t, PACK_BYTES / 2), 1, 64);
        k.room_c = emit_local(e, LLVMArrayType2(e->i8_t, PACK_BYTES / 2), 1, 64);
        LLVMValueRef room = emit_i64(e, PACK_BYTES / 2 / (int64_t)elem_size(p->t));
        k.most =
            emit_max(e, emit_i64(e, 1), emit_div(e, room, emit_max(e, kg_int1(g, longest), emit_i64(e, 1))));
    }
    LLVMValueRef count_var = emit_local(e, e->i64_t, 1, 8), zero = emit_i64(e, 0), one = emit_i64(e, 1),
                 done = emit_i64(e, INT64_MIN);
    emit_loop first = emit_for_begin(e, zero, p->rows, 1);
    LLVMValueRef group = read_i64(g, emit_ptr(e, EL_I64, s.list, first.i));
    emit_if left = emit_if_begin(e, emit_cmp(e, CMP_NE, group, done));

    emit_store(e, EL_I64, zero, count_var, NULL);
    emit_loop look = emit_for_begin(e, first.i, p->rows, 1);
    LLVMValueRef at_look = emit_ptr(e, EL_I64, s.list, look.i), so_far = read_i64(g, count_var);
    LLVMValueRef same = emit_cmp(e, CMP_EQ, read_i64(g, at_look), group);
    if (packs)
        same = emit_and(e, same, emit_cmp(e, CMP_LT, so_far, k.most));
    else                        /* neighbours alone */
        same = emit_and(e, same, emit_cmp(e, CMP_EQ, emit_sub(e, look.i, first.i), so_far));
    emit_if mine = emit_if_begin(e, same);
    emit_store(e, EL_I64, look.i, emit_ptr(e, EL_I64, k.rows, so_far), NULL);
    emit_store(e, EL_I64, emit_add(e, so_far, one), count_var, NULL);
    emit_store(e, EL_I64, done, at_look, NULL);
    emit_if_end(e, &mine);
    emit_for_end(e, &look);

    LLVMValueRef rows = read_i64(g, count_var);
    LLVMValueRef last = read_i64(g, emit_ptr(e, EL_I64, k.rows, emit_sub(e, rows, one)));
    LLVMValueRef a = at(g, p->t, p->a, kg_imul(g, kg_scalar(first.i), p->a_row));
    LLVMValueRef c = at(g, p->t, p->c, kg_imul(g, kg_scalar(first.i), p->c_row));
    emit_if some = emit_if_begin(e, emit_cmp(e, CMP_GE, group, zero));
    LLVMValueRef b = at(g, p->t, p->b, kg_imul(g, kg_scalar(group), dim_of(g, m->b_group)));
    if (packs) {
        LLVMValueRef together = emit_cmp(e, CMP_EQ, emit_sub(e, last, first.i), emit_sub(e, rows, one));
        emit_if side = emit_if_begin(e, together);
        all_batches(g, p, a, b, c, rows);
        emit_else(e, &side);
        packed_batches(g, p, &k, b, rows);
        emit_if_end(e, &side);
    } else {
        all_batches(g, p, a, b, c, rows);
    }
    if (!m->accumulate) {
        emit_else(e, &some);
        emit_loop each = emit_for_begin(e, zero, rows, 1);
        LLVMValueRef row = read_i64(g, emit_ptr(e, EL_I64, k.rows, each.i));
        clear(g, p, at(g, p->t, p->c, kg_imul(g, kg_scalar(row), p->c_row)));
        emit_for_end(e, &each);
    }
    emit_if_end(e, &some);
    emit_if_end(e, &left);
    emit_for_end(e, &first);
}

/* ---- sums over members --------------------------------------------------------------------------------- */

static LLVMValueRef sum_rows(kgen *g, elem t, bool local, uint32_t id, kx offset, kval *row)
{
    LLVMValueRef base;
    if (local) {
        *row = dim_of(g, g->k->locals[id].elems);
        base = g->locals[id].base;
    } else {
        *row = dim_of(g, g->p->buffers[id].elems);
        base = at(g, t, kg_buffer(g, id), kg_imul(g, kg_scalar(g->block_start), *row));
    }
    return at(g, t, base, kx_is(offset) ? kg_eval(g, offset) : kg_const(0));
}

/* The members' rows of A and B are the steps of k; with k of their own, one call for each of these. */
static void sum_of_products(kgen *g, const kgemm *m)
{
    emitter *e = g->e;
    elem t = kg_elem(m->type);
    kval a_row, b_row;
    kg_push(g, true);
    LLVMValueRef a = sum_rows(g, t, !m->a_is_buffer, m->a, m->a_offset, &a_row);
    LLVMValueRef b = sum_rows(g, t, m->b_is_local, m->b, m->b_offset, &b_row);
    LLVMValueRef c = at(g, t, kg_local_ptr(g, m->c), kx_is(m->c_offset) ? kg_eval(g, m->c_offset) : kg_const(0));
    LLVMValueRef count = emit_sub(e, g->block_end, g->block_start);
    gemm_spec s = {.type = t, .kind = GEMM_TN, .accumulate = true};
    s.m = m->m.is_const ? m->m.value : 0;
    s.n = m->n.is_const ? m->n.value : 0;
    emit_loop l = emit_for_begin(e, emit_i64(e, 0), kg_extent(g, m->batch), 1);
    emit_loop k = emit_for_begin(e, emit_i64(e, 0), kg_extent(g, m->k), 1);
    kval al = kg_imul(g, kg_scalar(l.i), dim_of(g, m->a_batch)), bl = kg_imul(g, kg_scalar(l.i), dim_of(g, m->b_batch));
    al = kg_iadd(g, al, kg_imul(g, kg_scalar(k.i), dim_of(g, m->a_k)));
    bl = kg_iadd(g, bl, kg_imul(g, kg_scalar(k.i), dim_of(g, m->b_k)));
    kval cl = kg_imul(g, kg_scalar(l.i), dim_of(g, m->c_batch));
    emit_gemm(e, &s, at(g, t, a, al), kg_int1(g, a_row), at(g, t, b, bl), kg_int1(g, b_row), at(g, t, c, cl), kg_int1(g, dim_of(g, m->c_m)),
              kg_int1(g, dim_of(g, m->m)), kg_int1(g, dim_of(g, m->n)), count);
    emit_for_end(e, &k);
    emit_for_end(e, &l);
    kg_pop(g);
    kg_changed(g);
}

/* ---- operands ------------------------------------------------------------------------------------------ */

static kval offset_of(kgen *g, kx x) { return kx_is(x) ? kg_eval(g, x) : kg_const(0); }

void kg_gemm(kgen *g, const kgemm *m)
{
    if (m->sum) {
        sum_of_products(g, m);
        return;
    }
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
    p.plain = !(kdim_is(m->a_k, 1) || kdim_is(m->k, 1)) || !(kdim_is(m->c_n, 1) || kdim_is(m->n, 1))
              || !(along_n || along_k);
    if (kx_is(m->group))
        by_groups(g, &p);
    else
        all_batches(g, &p, p.a, p.b, p.c, p.rows);
    kg_pop(g);
    kg_changed(g);
}
