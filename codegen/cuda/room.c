/* Where the locals that are not registers lie in the room of a block: those that are not alive at the same time share it. See
 * cuda_gen.h.
 *
 * A block's parts are the nodes of the kernel's top sequence, with a barrier behind each; a local is alive from the first that mentions
 * it to the last. Tiles and blocks of members are made smaller until the room is what a multiprocessor has for several blocks. */
#include "codegen/cuda/cuda_gen.h"

enum { ROOM_GOOD = 48 << 10, TILE_LEAST = 8, BLOCK_LEAST = 32 };

/* ---- when locals are alive ----------------------------------------------------------------------------- */

static void mark_expr(const cgen *g, kx x, bool *marks, uint8_t *seen)
{
    if (!kx_is(x) || seen[x.i])
        return;
    seen[x.i] = 1;
    const kexpr *e = &g->p->exprs[x.i];
    if (e->op == KX_LOCAL || e->op == KX_IDX || e->op == KX_OTHER)
        marks[e->local] = true;
    mark_expr(g, e->a, marks, seen);
    mark_expr(g, e->b, marks, seen);
    mark_expr(g, e->c, marks, seen);
}

static void mark(const cgen *g, const knode *n, bool *marks, uint8_t *seen)
{
    mark_expr(g, n->value, marks, seen);
    mark_expr(g, n->dest.row, marks, seen);
    mark_expr(g, n->dest.offset, marks, seen);
    if ((n->kind == KN_STORE || n->kind == KN_ACCUM) && n->dest.kind == REF_LOCAL)
        marks[n->dest.id] = true;
    if (n->kind == KN_GEMM) {
        const kgemm *m = n->gemm;
        marks[m->c] = true;
        if (!m->a_is_buffer)
            marks[m->a] = true;
        if (m->b_is_local)
            marks[m->b] = true;
        mark_expr(g, m->group, marks, seen);
    }
    for (uint32_t i = 0; i < n->n_body; i++)
        mark(g, n->body[i], marks, seen);
    for (uint32_t i = 0; i < n->n_init; i++)
        mark(g, n->init[i], marks, seen);
    for (uint32_t i = 0; i < n->n_combine; i++)
        mark(g, n->combine[i], marks, seen);
}

static void find_lives(cgen *g)
{
    const knode *top = g->k->body;
    for (uint32_t i = 0; i < top->n_body; i++) {
        arena_mark m = arena_get_mark(g->mem);
        bool *marks = NEW_N(g->mem, bool, g->k->n_locals + 1);
        mark(g, top->body[i], marks, NEW_N(g->mem, uint8_t, g->p->n_exprs + 1));
        for (uint32_t l = 1; l < g->k->n_locals; l++)
            if (marks[l]) {
                if (!g->at[l].used)
                    g->at[l].first = i;
                g->at[l].used = true;
                g->at[l].last = i;
            }
        arena_release(g->mem, m);
    }
}

/* ---- bytes --------------------------------------------------------------------------------------------- */

static int64_t size_of(ktype t)
{
    return t == KT_F64 || t == KT_I64 ? 8 : t == KT_F32 || t == KT_I32 ? 4 : t == KT_BOOL ? 1 : 2;
}

const char *cg_bytes(cgen *g, kdim elems, int64_t copies, ktype t)
{
    if (elems.is_const)
        return arena_printf(g->mem, "%lldLL", (long long)((elems.value * copies * size_of(t) + 15) / 16 * 16));
    return arena_printf(g->mem, "(d[%u] * %lld + 15) / 16 * 16", elems.slot, (long long)(copies * size_of(t)));
}

/* The lowest place where the local fits between those that are alive with it. */
static int64_t fit(const cgen *g, uint32_t local, int64_t bytes)
{
    const local_place *me = &g->at[local];
    int64_t at = 0;
    for (bool moved = true; moved;) {
        moved = false;
        for (uint32_t i = 1; i < local; i++) {
            const local_place *p = &g->at[i];
            if (p->kind != IN_ROOM || p->last < me->first || me->last < p->first || at + bytes <= p->start || p->start + p->bytes <= at)
                continue;
            at = p->start + p->bytes;
            moved = true;
        }
    }
    return at;
}

/* Bytes where all sizes are known, else -1. */
static int64_t lay_out_known(cgen *g)
{
    int64_t end = 0;
    for (uint32_t i = 1; i < g->k->n_locals; i++) {
        const klocal *l = &g->k->locals[i];
        local_place *at = &g->at[i];
        if (at->kind != IN_ROOM)
            continue;
        if (!l->elems.is_const || l->elems.value > INT32_MAX)
            return -1;
        at->bytes = (l->elems.value * cg_copies(g, i) * size_of(l->type) + 15) / 16 * 16;
        at->start = fit(g, i, at->bytes);
        at->offset = arena_printf(g->mem, "%lld", (long long)at->start);
        end = at->start + at->bytes > end ? at->start + at->bytes : end;
    }
    return end;
}

static void lay_out_open(cgen *g)
{
    const char *end = "0LL";
    for (uint32_t i = 1; i < g->k->n_locals; i++)
        if (g->at[i].kind == IN_ROOM) {
            g->at[i].offset = end;
            end = arena_printf(g->mem, "%s + %s", end, cg_bytes(g, g->k->locals[i].elems, cg_copies(g, i), g->k->locals[i].type));
        }
    g->room_end = end;
}

static bool groups_products(knode *const *body, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if ((body[i]->kind == KN_GEMM && kx_is(body[i]->gemm->group)) || groups_products(body[i]->body, body[i]->n_body))
            return true;
    return false;
}

void cg_room(cgen *g)
{
    find_lives(g);
    g->has_groups = groups_products(g->k->body->body, g->k->body->n_body);
    int64_t bytes = lay_out_known(g);
    while (bytes > ROOM_GOOD && g->by_block && (g->tile > TILE_LEAST || g->block > BLOCK_LEAST)) {
        g->tile = g->tile > TILE_LEAST ? g->tile / 2 : g->tile;
        g->block = g->block > BLOCK_LEAST ? g->block / 2 : g->block;
        bytes = lay_out_known(g);
    }
    if (bytes < 0)
        lay_out_open(g);
    else
        g->room_end = arena_printf(g->mem, "%lldLL", (long long)bytes);
    if (g->has_groups)          /* a number for each row of the tile or member of the block, behind everything else */
        g->room_bytes = arena_printf(g->mem, "%s + %u", g->room_end, 8 * (g->tile > g->block ? g->tile : g->block));
    else
        g->room_bytes = g->room_end;
    const char *state = "0LL";
    for (uint32_t i = 1; i < g->k->n_locals; i++)
        if (g->k->locals[i].accumulator) {
            g->at[i].state = arena_printf(g->mem, "(%s)", state);
            state = arena_printf(g->mem, "%s + %s", state, cg_bytes(g, g->k->locals[i].elems, 1, g->k->locals[i].type));
        }
    g->state_bytes = state;
}
