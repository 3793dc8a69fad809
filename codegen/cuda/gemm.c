/* Dense products on the rows of a tile or the members of a block, by all threads of the block. See cuda_gen.h. */
#include "codegen/cuda/cuda_gen.h"

static const char *offset(cgen *g, kx x) { return kx_is(x) ? cg_eval(g, x) : "0"; }

/* Are widths and distances whole vectors of four, so that the products of mp_gemm4 do? */
static bool whole(kdim d) { return d.is_const && d.value % 4 == 0; }

static bool whole_offset(cgen *g, kx x) { return !kx_is(x) || cg_divides(g, x, 4); }

static bool by_vectors(cgen *g, const kgemm *m)
{
    kdim a_row = m->a_is_buffer ? g->p->buffers[m->a].elems : g->k->locals[m->a].elems;
    kdim b_row = m->b_is_local ? g->k->locals[m->b].elems : g->p->buffers[m->b].elems;
    bool many = !kdim_is(m->batch, 1);
    if (m->type != KT_F32 || kx_is(m->group) || !whole(m->n) || !kdim_is(m->b_n, 1) || !kdim_is(m->c_n, 1) || !whole(m->c_m)
        || !whole(a_row) || !whole(g->k->locals[m->c].elems) || !whole_offset(g, m->a_offset) || !whole_offset(g, m->b_offset)
        || !whole_offset(g, m->c_offset) || (many && (!whole(m->a_batch) || !whole(m->b_batch) || !whole(m->c_batch))))
        return false;
    if (m->sum)
        return whole(m->m) && whole(b_row) && kdim_is(m->a_m, 1) && (kdim_is(m->k, 1) || (whole(m->a_k) && whole(m->b_k)));
    return whole(m->k) && kdim_is(m->a_k, 1) && whole(m->b_k) && (kdim_is(m->m, 1) || whole(m->a_m));
}

/* Four rows a thread where that leaves work for all of them, else two. */
static int tall(const cgen *g, const kgemm *m, uint32_t rows)
{
    return m->m.is_const && m->m.value * rows / 4 * (m->n.value / 4) >= g->threads ? 4 : 2;
}

/* A sum over the members of the block: one row of results, whose k are the members. */
static void sum_of_products(cgen *g, const kgemm *m)
{
    const char *s = cg_suffix(m->type), *type = cg_memory(m->type), *a, *b, *a_row, *b_row;
    const char *c = arena_printf(g->mem, "r%u + %s", m->c, offset(g, m->c_offset));
    a_row = cg_dim(g, m->a_is_buffer ? g->p->buffers[m->a].elems : g->k->locals[m->a].elems);
    a = m->a_is_buffer ? arena_printf(g->mem, "%s + block0 * %s + %s", cg_buffer(g, m->a), a_row, offset(g, m->a_offset))
                       : arena_printf(g->mem, "r%u + %s", m->a, offset(g, m->a_offset));
    b_row = cg_dim(g, m->b_is_local ? g->k->locals[m->b].elems : g->p->buffers[m->b].elems);
    b = m->b_is_local ? arena_printf(g->mem, "r%u + %s", m->b, offset(g, m->b_offset))
                      : arena_printf(g->mem, "%s + block0 * %s + %s", cg_buffer(g, m->b), b_row, offset(g, m->b_offset));
    cg_open(g, false, "for (mp_i64 batch = 0; batch < %s; batch++)", cg_dim(g, m->batch));
    cg_open(g, false, "for (mp_i64 own = 0; own < %s; own++)", cg_dim(g, m->k));
    cg_text(g, "const mp_gemm m = {1, %s, %s, block1 - block0, 0, 1, %s, %s, 1, 0, %s, 1, 1};\n", cg_dim(g, m->m), cg_dim(g, m->n), a_row, b_row,
            cg_dim(g, m->c_m));
    bool vectors = by_vectors(g, m);
    cg_text(g, "%s(&m, (const %s *)(%s) + batch * %s + own * %s, (const %s *)(%s) + batch * %s + own * %s, (%s *)(%s) + batch * %s%s);\n",
            vectors ? "mp_gemm4_sum" : arena_printf(g->mem, "mp_gemm_%s", s), type, a, cg_dim(g, m->a_batch), cg_dim(g, m->a_k), type, b,
            cg_dim(g, m->b_batch), cg_dim(g, m->b_k), type, c, cg_dim(g, m->c_batch), vectors ? "" : ", NULL, 0");
    cg_text(g, "mp_barrier();\n");
    cg_close(g);
    cg_close(g);
    cg_changed(g);
}

void cg_gemm(cgen *g, const kgemm *m)
{
    if (m->sum) {
        sum_of_products(g, m);
        return;
    }
    bool in_block = g->in_blocks;
    const char *first = in_block ? "block0" : "tile0", *s = cg_suffix(m->type), *type = cg_memory(m->type);
    const char *rows = in_block ? "(int)(block1 - block0)" : "(int)(tile1 - tile0)";
    const char *a, *a_row, *c = arena_printf(g->mem, "r%u + %s", m->c, offset(g, m->c_offset));
    if (m->a_is_buffer) {
        a_row = cg_dim(g, g->p->buffers[m->a].elems);
        a = arena_printf(g->mem, "%s + %s * %s + %s", cg_buffer(g, m->a), first, a_row, offset(g, m->a_offset));
    } else {
        a_row = cg_dim(g, g->k->locals[m->a].elems);
        a = arena_printf(g->mem, "r%u + %s", m->a, offset(g, m->a_offset));
    }
    const char *b = arena_printf(g->mem, "%s + %s", cg_buffer(g, m->b), offset(g, m->b_offset));
    cg_open(g, false, "%s", "");
    const char *groups = "NULL", *list = "NULL";
    if (kx_is(m->group)) {
        /* every row's group first, by one thread a row */
        cg_open(g, false, "for (mp_i64 at = threadIdx.x; at < %s; at += %d)", rows, g->threads);
        binding old_row = g->row, old_member = g->member;
        const char *row = "tile0 + at";
        if (in_block) {
            cg_text_at(g, g->depth, "const mp_i64 member = block0 + at;\n");
            cg_bind(g, &g->member, "member", false);
            row = g->piece ? "tile0" : "mp_row_of(L.ptr, block_row, block_last, member)";
        }
        cg_text_at(g, g->depth, "const mp_i64 row = %s;\n", row);
        cg_bind(g, &g->row, "row", false);
        cg_changed(g);
        const char *number = cg_eval(g, m->group);
        cg_text(g, "group_of[at] = %s;\n", number);
        cg_unbind(g, &g->row, old_row);
        cg_unbind(g, &g->member, old_member);
        cg_close(g);
        cg_text(g, "mp_barrier();\n");
        groups = "group_of";
        list = cg_dim(g, m->b_group);
    }
    bool many = !kdim_is(m->batch, 1);
    if (many)
        cg_open(g, false, "for (mp_i64 batch = 0; batch < %s; batch++)", cg_dim(g, m->batch));
    const char *by = many ? "batch" : "0";
    cg_text(g, "const mp_gemm m = {%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s};\n", rows, cg_dim(g, m->m), cg_dim(g, m->n),
            cg_dim(g, m->k), a_row, cg_dim(g, m->a_m), cg_dim(g, m->a_k), cg_dim(g, m->b_k), cg_dim(g, m->b_n),
            cg_dim(g, g->k->locals[m->c].elems), cg_dim(g, m->c_m), cg_dim(g, m->c_n), m->accumulate ? "1" : "0");
    bool vectors = by_vectors(g, m);
    const char *how = vectors ? arena_printf(g->mem, "mp_gemm4_%d", tall(g, m, in_block ? g->block : g->tile)) : arena_printf(g->mem, "mp_gemm_%s", s);
    cg_text(g, "%s(&m, (const %s *)(%s) + %s * %s, (const %s *)(%s) + %s * %s, (%s *)(%s) + %s * %s", how, type, a, by,
            cg_dim(g, m->a_batch), type, b, by, cg_dim(g, m->b_batch), type, c, by, cg_dim(g, m->c_batch));
    if (vectors)
        cg_text(g, ");\n");
    else
        cg_text(g, ", %s, %s);\n", groups, kx_is(m->group) ? list : "0");
    if (many)
        cg_close(g);
    cg_close(g);
    cg_changed(g);
}
