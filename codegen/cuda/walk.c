/* Walks over members: of a row by its group, of blocks of rows by a block of threads, of pieces of hubs. See cuda_gen.h. */
#include "codegen/cuda/cuda_gen.h"

enum { LOADS = 64 };            /* registers of a lane that loads of members take at most */

static void each_accumulator(cgen *g, void (*each)(cgen *, uint32_t))
{
    for (uint32_t i = 1; i < g->k->n_locals; i++)
        if (g->k->locals[i].accumulator)
            each(g, i);
}

/* The rows of a tile by the groups of the block. */
static void open_rows(cgen *g, const char *first, const char *end)
{
    cg_open(g, false, "for (mp_i64 row = %s + group; row < %s; row += %d)", first, end, g->groups);
    cg_changed(g);
}

static void close_rows(cgen *g)
{
    cg_sync(g);
    cg_close(g);
    cg_changed(g);
}

static void barrier(cgen *g)
{
    cg_text(g, "mp_barrier();\n");
    g->reads_room = g->wrote_room = false;
    cg_changed(g);
}

/* Lanes meet where a loop begins and where it goes round. */
static void open_loop(cgen *g, const char *text)
{
    cg_sync(g);
    cg_open(g, false, "%s", text);
    cg_changed(g);
}

static void close_loop(cgen *g)
{
    cg_sync(g);
    cg_close(g);
    cg_changed(g);
}

static void store_one(cgen *g, uint32_t local)
{
    const char *type = cg_memory(g->k->locals[local].type);
    cg_copy_state(g, local, arena_printf(g->mem, "((%s *)(state + %s))", type, g->at[local].state));
}

static void merge_pieces(cgen *g, const knode *n)
{
    cg_text(g, "const mp_i64 hub = mp_hub_of(L.hub_row, L.n_hubs, row);\n");
    open_loop(g, "for (mp_i64 piece = L.hub_first[hub]; piece < L.hub_first[hub + 1]; piece++)");
    cg_text(g, "const char *const other = L.state + piece * L.state_bytes;\n");
    cg_body(g, n->combine, n->n_combine);
    close_loop(g);
}

static bool asks(knode *const *body, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (body[i]->kind == KN_IFANY)
            return true;
    return false;
}

static int loads_of(const cgen *g, kx x, uint8_t *seen)
{
    if (!kx_is(x) || seen[x.i] || !(g->has[x.i] & HAS_MEMBER))
        return 0;
    seen[x.i] = 1;
    const kexpr *e = &g->p->exprs[x.i];
    int n = loads_of(g, e->a, seen) + loads_of(g, e->b, seen) + loads_of(g, e->c, seen);
    if (e->op == KX_LOAD || e->op == KX_ILOAD)
        n += !(g->has[x.i] & HAS_VAR) || !g->total ? 1 : cg_chunks(g, g->total) * g->vec;
    return n;
}

static int loads_in(const cgen *g, knode *const *body, uint32_t n, uint8_t *seen)
{
    int loads = 0;
    for (uint32_t i = 0; i < n; i++)
        loads += loads_of(g, body[i]->value, seen) + loads_in(g, body[i]->body, body[i]->n_body, seen);
    return loads;
}

/* Members whose loads are under way together: as many as have room in registers. */
static int unrolled(const cgen *g, const knode *n)
{
    int most = asks(n->body, n->n_body) ? 2 : 4, loads = loads_in(g, n->body, n->n_body, NEW_N(g->mem, uint8_t, g->p->n_exprs));
    while (most > 1 && most * loads > LOADS)
        most /= 2;
    return most;
}

static void walk_members(cgen *g, const knode *n, const char *from, const char *to)
{
    cg_sync(g);
    cg_text(g, "#pragma unroll %d\n", unrolled(g, n));
    cg_open(g, false, "for (mp_i64 member = %s; member < %s; member++)", from, to);
    binding old = cg_bind(g, &g->member, "member", false);
    cg_changed(g);
    cg_body(g, n->body, n->n_body);
    cg_unbind(g, &g->member, old);
    close_loop(g);
}

void cg_walk(cgen *g, const knode *n)
{
    g->in_walk = true;
    g->epoch++;
    cg_body(g, n->init, n->n_init);
    if (g->piece) {
        walk_members(g, n, "lo", "hi");
        cg_sync(g);
        each_accumulator(g, store_one);
        g->done = true;
        g->in_walk = false;
        g->epoch++;
        return;
    }
    const char *first = cg_name(g, "first"), *end = cg_name(g, "end");
    int depth = g->row.depth;
    cg_text_at(g, depth, "const mp_i64 %s = L.ptr[row], %s = L.ptr[row + 1];\n", first, end);
    cg_sync(g);
    cg_open(g, true, "if (%s - %s > L.hub_members)", end, first);
    merge_pieces(g, n);
    cg_close(g);
    cg_open(g, true, "else");
    walk_members(g, n, first, end);
    cg_close(g);
    cg_changed(g);
    g->wrote_room = true;               /* on one of the two ways, at least */
    cg_sync(g);
    each_accumulator(g, cg_walk_to_room);
    g->in_walk = false;
    g->epoch++;
    cg_changed(g);
}

/* ---- blocks -------------------------------------------------------------------------------------------- */

static void open_member(cgen *g, binding *old)
{
    *old = cg_bind(g, &g->member, "member", false);
    cg_changed(g);
}

/* Members whose results go into accumulators of their rows are taken row by row, in order; otherwise all groups take members. */
void cg_members(cgen *g, const knode *n)
{
    binding old_row = g->row, old;
    if (cg_writes_rows(g, n->body, n->n_body)) {
        cg_open(g, false, "for (mp_i64 row = block_row + group; row <= block_last; row += %d)", g->groups);
        cg_bind(g, &g->row, "row", false);
        cg_changed(g);
        if (g->piece)
            cg_text(g, "const mp_i64 from = block0, to = block1;\n");
        else
            cg_text(g, "const mp_i64 from = mp_max_i64(block0, L.ptr[row]), to = mp_min_i64(block1, L.ptr[row + 1]);\n");
        cg_open(g, false, "for (mp_i64 member = from; member < to; member++)");
        open_member(g, &old);
        cg_body(g, n->body, n->n_body);
        cg_unbind(g, &g->member, old);
        close_loop(g);
        close_rows(g);
    } else {
        cg_open(g, false, "for (mp_i64 member = block0 + group; member < block1; member += %d)", g->groups);
        open_member(g, &old);
        cg_text_at(g, g->depth, "const mp_i64 row = %s;\n",
                   g->piece ? "block_row" : "mp_row_of(L.ptr, block_row, block_last, member)");
        cg_bind(g, &g->row, "row", false);
        cg_body(g, n->body, n->n_body);
        cg_unbind(g, &g->member, old);
        close_loop(g);
    }
    cg_unbind(g, &g->row, old_row);
}

static void blocks_of(cgen *g, const knode *n, const char *row, const char *from, const char *to)
{
    if (!g->piece)
        cg_text(g, "mp_i64 at_row = %s;\n", row);
    cg_open(g, false, "for (mp_i64 block0 = %s; block0 < %s; block0 += %u)", from, to, g->block);
    cg_text_at(g, g->depth, "const mp_i64 block1 = mp_min_i64(block0 + %u, %s);\n", g->block, to);
    if (g->piece) {
        cg_text_at(g, g->depth, "const mp_i64 block_row = tile0, block_last = tile0;\n");
    } else {
        cg_text(g, "while (L.ptr[at_row + 1] <= block0)\nat_row++;\nconst mp_i64 block_row = at_row;\n");
        cg_text(g, "while (L.ptr[at_row + 1] < block1)\nat_row++;\nconst mp_i64 block_last = at_row;\n");
    }
    cg_changed(g);
    g->in_blocks = true;
    for (uint32_t i = 0; i < n->n_body; i++) {
        int before = cg_open_part(g);
        cg_body(g, &n->body[i], 1);
        cg_close_part(g, before);
        barrier(g);
    }
    g->in_blocks = false;
    cg_close(g);
    cg_changed(g);
}

static void rows_of(cgen *g, knode *const *body, uint32_t n)
{
    open_rows(g, "tile0", "tile1");
    binding old = cg_bind(g, &g->row, "row", false);
    cg_body(g, body, n);
    cg_unbind(g, &g->row, old);
    close_rows(g);
}

/* Is a combine nothing but `accumulator op= that of the piece`, element by element, on room? Then all threads of the block do it, each its
 * own elements over all pieces: gradients of params have large states and many pieces. */
static bool is_plain(const cgen *g, knode *const *body, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const knode *s = body[i];
        if (s->kind == KN_FOR) {
            if (!is_plain(g, s->body, s->n_body))
                return false;
            continue;
        }
        const kexpr *v = &g->p->exprs[s->value.i];
        if (s->kind != KN_ACCUM || s->dest.kind != REF_LOCAL || v->op != KX_OTHER || v->local != s->dest.id || v->a.i != s->dest.offset.i
            || g->at[s->dest.id].kind != IN_ROOM)
            return false;
    }
    return true;
}

static ir_op op_of(knode *const *body, uint32_t n, uint32_t local)
{
    for (uint32_t i = 0; i < n; i++) {
        ir_op op = body[i]->kind == KN_FOR ? op_of(body[i]->body, body[i]->n_body, local)
                 : body[i]->dest.id == local ? body[i]->op : OP_N;
        if (op != OP_N)
            return op;
    }
    return OP_N;
}

static bool all_in_room(const cgen *g)
{
    for (uint32_t i = 1; i < g->k->n_locals; i++)
        if (g->k->locals[i].accumulator && g->at[i].kind != IN_ROOM)
            return false;
    return true;
}

static void open_elements(cgen *g, uint32_t local)
{
    cg_open(g, false, "for (mp_i64 i = threadIdx.x; i < %s; i += %d)", cg_dim(g, g->k->locals[local].elems), g->threads);
}

static void store_by_block(cgen *g)
{
    for (uint32_t l = 1; l < g->k->n_locals; l++)
        if (g->k->locals[l].accumulator) {
            open_elements(g, l);
            cg_text(g, "((%s *)(state + %s))[i] = r%u[i];\n", cg_memory(g->k->locals[l].type), g->at[l].state, l);
            cg_close(g);
        }
}

static void merge_by_block(cgen *g, const knode *n)
{
    cg_text(g, "const mp_i64 hub = mp_hub_of(L.hub_row, L.n_hubs, row), end = L.hub_first[hub + 1];\n");
    for (uint32_t l = 1; l < g->k->n_locals; l++) {
        ir_op op = g->k->locals[l].accumulator ? op_of(n->combine, n->n_combine, l) : OP_N;
        if (op == OP_N)
            continue;
        const klocal *it = &g->k->locals[l];
        const char *type = cg_memory(it->type), *at = cg_room_at(g, l);
        open_elements(g, l);
        cg_text(g, "%s all = %s[i];\n#pragma unroll 8\n", type, at);
        cg_open(g, false, "for (mp_i64 piece = L.hub_first[hub]; piece < end; piece++)");
        cg_text(g, "const %s one = ((const %s *)(L.state + piece * L.state_bytes + %s))[i];\n", type, type, g->at[l].state);
        cg_text(g, "all = %s;\n", cg_combined(g, op, it->type == KT_I32 ? KT_I64 : it->type, "all", "one"));
        cg_close(g);
        cg_text(g, "%s[i] = all;\n", at);
        cg_close(g);
    }
}

/* The rows of the tile between its hubs have contiguous members; each hub merges its pieces. */
void cg_blocks(cgen *g, const knode *n)
{
    g->in_walk = g->in_blocks = true;
    g->epoch++;
    rows_of(g, n->init, n->n_init);
    barrier(g);
    if (g->piece) {
        blocks_of(g, n, "tile0", "lo", "hi");
        if (all_in_room(g)) {
            store_by_block(g);
            g->in_walk = g->in_blocks = false;
            g->done = true;
            g->epoch++;
            return;
        }
        cg_open(g, true, "if (group == 0)");
        cg_text_at(g, g->depth, "const mp_i64 row = tile0;\n");
        binding old = cg_bind(g, &g->row, "row", false);
        each_accumulator(g, store_one);
        cg_unbind(g, &g->row, old);
        cg_close(g);
        g->done = true;
    } else {
        cg_open(g, false, "for (mp_i64 start = tile0; start < tile1;)");
        cg_text(g, "mp_i64 stop = start;\nwhile (stop < tile1 && L.ptr[stop + 1] - L.ptr[stop] <= L.hub_members)\nstop++;\n");
        cg_text(g, "const mp_i64 from_member = L.ptr[start], to_member = L.ptr[stop];\n");
        cg_open(g, false, "if (from_member < to_member)");
        blocks_of(g, n, "start", "from_member", "to_member");
        cg_close(g);
        bool plain = is_plain(g, n->combine, n->n_combine);
        cg_open(g, true, plain ? "if (stop < tile1)" : "if (stop < tile1 && group == 0)");
        cg_text_at(g, g->depth, "const mp_i64 row = stop;\n");
        binding old = cg_bind(g, &g->row, "row", false);
        g->row.depth = g->depth;
        g->in_blocks = true;
        if (plain)
            merge_by_block(g, n);
        else
            merge_pieces(g, n);
        cg_unbind(g, &g->row, old);
        cg_close(g);
        cg_text(g, "start = stop + 1;\n");
        cg_close(g);
        barrier(g);
    }
    g->in_walk = g->in_blocks = false;
    g->epoch++;
    cg_changed(g);
}
