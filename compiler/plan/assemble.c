/* The tree of a kernel from its lists of statements: row loops, the walk or blocks of members, products between them;
 * rows to prefetch; and which locals have a copy for each row of a tile. */
#include "compiler/plan/planner.h"

/* The row of a buffer whose elements from `offset` on are read: row * elems + element, as integers are loaded. */
static kx row_of_offset(const kplan *p, kx offset, kdim elems)
{
    const kexpr *e = kx_at(p, offset);
    for (int depth = 0; depth < 4 && e->op == KX_IADD; depth++) {
        offset = e->a;
        e = kx_at(p, offset);
    }
    bool one = elems.is_const && elems.value == 1;
    return e->op == KX_IMUL ? e->a : one ? offset : (kx){0};
}

/* Rows that a walk reads from all over memory: those whose number is itself read by the member. A number by edge, too, where the
 * walk is not in the order in which edges stand. */
static void add_prefetch_of(body *b, knode *walk, kx x, uint32_t *seen, int depth)
{
    enum { MOST = 8, WIDE = 4 };
    if (!kx_is(x) || seen[x.i] || depth > 64)
        return;
    seen[x.i] = 1;
    const kexpr *e = kx_at(b->p, x);
    if (e->op == KX_LOAD || e->op == KX_ILOAD) {
        const kbuffer *u = &b->p->buffers[e->buffer];
        kdim elems = u->elems;
        kx row = e->op == KX_LOAD ? e->a : row_of_offset(b->p, e->a, elems);
        const kexpr *r = kx_is(row) ? kx_at(b->p, row) : NULL;
        bool wide = !elems.is_const || elems.value >= WIDE;
        bool scattered = u->rows.kind == ROWS_EDGES && u->kind != BUF_GRAPH && b->kp->fiber.kind == FIBER_OUT;
        if (r && r->op == KX_ILOAD && kx_uses_member(b->p, r->a) && (wide || scattered)) {
            bool have = false;
            for (uint32_t i = 0; i < walk->n_prefetch; i++)
                have |= walk->prefetch[i].buffer == e->buffer && kx_same(walk->prefetch[i].row_at, row);
            if (!have && walk->n_prefetch < MOST)
                kn_prefetch(b->p, walk, e->buffer, row, elems);
        }
    }
    add_prefetch_of(b, walk, e->a, seen, depth + 1);
    add_prefetch_of(b, walk, e->b, seen, depth + 1);
    add_prefetch_of(b, walk, e->c, seen, depth + 1);
}

static void add_prefetch(body *b, knode *walk, knode *const *list, uint32_t n, uint32_t *seen)
{
    for (uint32_t i = 0; i < n; i++) {
        add_prefetch_of(b, walk, list[i]->value, seen, 0);
        add_prefetch(b, walk, list[i]->body, list[i]->n_body, seen);
    }
}

/* Locals that statements of different groups share have a copy a row of the tile or member of the block. */
typedef struct marker { body *b; uint32_t *group; uint32_t *seen; uint32_t now; } marker;

static void mark_local(marker *m, uint32_t local)
{
    if (m->group[local] && m->group[local] != m->now)
        m->b->k.locals[local].tiled = true;
    m->group[local] = m->now;
}

static void mark_expr(marker *m, kx x)
{
    if (!kx_is(x) || m->seen[x.i] == m->now)
        return;
    m->seen[x.i] = m->now;
    const kexpr *e = kx_at(m->b->p, x);
    if (e->op == KX_LOCAL || e->op == KX_IDX || e->op == KX_OTHER)
        mark_local(m, e->local);
    mark_expr(m, e->a);
    mark_expr(m, e->b);
    mark_expr(m, e->c);
}

static void mark_node(marker *m, const knode *n)
{
    mark_expr(m, n->value);
    if ((n->kind == KN_STORE || n->kind == KN_ACCUM) && n->dest.kind == REF_LOCAL)
        mark_local(m, n->dest.id);
    mark_expr(m, n->dest.offset);
    mark_expr(m, n->dest.row);
    for (uint32_t i = 0; i < n->n_init; i++)
        mark_node(m, n->init[i]);
    for (uint32_t i = 0; i < n->n_combine; i++)
        mark_node(m, n->combine[i]);
    for (uint32_t i = 0; i < n->n_body; i++)
        mark_node(m, n->body[i]);
}

static void mark_gemm(marker *m, const kgemm *g)
{
    body *b = m->b;
    if (!g->a_is_buffer)
        b->k.locals[g->a].tiled = true;
    if (g->b_is_local)
        b->k.locals[g->b].tiled = true;
    b->k.locals[g->c].tiled = true;
    mark_expr(m, g->a_offset);
    mark_expr(m, g->b_offset);
    mark_expr(m, g->c_offset);
    mark_expr(m, g->group);
}

static void mark_tiled(body *b, knode *const *list, uint32_t n, marker *m)
{
    for (uint32_t i = 0; i < n; i++) {
        const knode *q = list[i];
        m->now++;
        if (q->kind == KN_GEMM) {
            mark_gemm(m, q->gemm);
        } else if (q->kind == KN_BLOCKS) {
            for (uint32_t k = 0; k < q->n_init; k++)
                mark_node(m, q->init[k]);
            for (uint32_t k = 0; k < q->n_combine; k++)
                mark_node(m, q->combine[k]);
            mark_tiled(b, q->body, q->n_body, m);
        } else {
            mark_node(m, q);
        }
    }
}

/* Statements of one level, products apart: row (member) loops around the statements between products. */
static void group(body *b, nodes *to, const nodes *from, knode *(*wrap)(kplan *, knode *const *, uint32_t), nodes *open)
{
    arena *mem = b->pl->mem;
    for (uint32_t i = 0; i < from->n; i++) {
        if (from->at[i]->kind == KN_GEMM) {
            if (open->n)
                vec_push(mem, to, wrap(b->p, open->at, open->n));
            *open = (nodes){.n = 0};
            vec_push(mem, to, from->at[i]);
        } else {
            vec_push(mem, open, from->at[i]);
        }
    }
}

static void close_group(body *b, nodes *to, knode *(*wrap)(kplan *, knode *const *, uint32_t), nodes *open)
{
    if (open->n)
        vec_push(b->pl->mem, to, wrap(b->p, open->at, open->n));
    *open = (nodes){.n = 0};
}

static bool has_gemm(const nodes *l)
{
    for (uint32_t i = 0; i < l->n; i++)
        if (l->at[i]->kind == KN_GEMM)
            return true;
    return false;
}

/* A product whose weights do not stay in L2 reads them for each tile: then a tile has more rows. */
static bool has_wide_gemm(const nodes *l)
{
    enum { WIDE_BYTES = 512 * 1024 };
    for (uint32_t i = 0; i < l->n; i++) {
        const kgemm *g = l->at[i]->kind == KN_GEMM ? l->at[i]->gemm : NULL;
        if (g && g->n.is_const && g->k.is_const && g->n.value > 0 &&
            g->k.value > WIDE_BYTES / (g->type == KT_F64 ? 8 : 4) / g->n.value)
            return true;
    }
    return false;
}

void assemble(body *b)
{
    kplan *p = b->p;
    planner *pl = b->pl;
    nodes top = {0}, open = {0};
    bool walks = b->kp->fiber.kind != FIBER_NONE;
    group(b, &top, &b->pre, kn_rows, &open);
    if (walks && has_gemm(&b->mem)) {
        close_group(b, &top, kn_rows, &open);
        nodes inner = {0}, mopen = {0};
        group(b, &inner, &b->mem, kn_members, &mopen);
        close_group(b, &inner, kn_members, &mopen);
        uint32_t *seen = NEW_N(pl->mem, uint32_t, p->n_exprs);
        for (uint32_t i = 0; i < inner.n; i++)
            if (inner.at[i]->kind == KN_MEMBERS)
                add_prefetch(b, inner.at[i], inner.at[i]->body, inner.at[i]->n_body, seen);
        b->k.walk = kn_blocks(p, pl->opt.block, b->init.at, b->init.n, inner.at, inner.n, b->combine.at, b->combine.n);
        vec_push(pl->mem, &top, b->k.walk);
        for (uint32_t i = 1; i < b->k.n_locals; i++)
            if (b->k.locals[i].accumulator)
                b->k.locals[i].tiled = true;
    } else if (walks) {
        b->k.walk = kn_walk(p, b->init.at, b->init.n, b->mem.at, b->mem.n, b->combine.at, b->combine.n);
        uint32_t *seen = NEW_N(pl->mem, uint32_t, p->n_exprs);
        add_prefetch(b, b->k.walk, b->mem.at, b->mem.n, seen);
        vec_push(pl->mem, &open, b->k.walk);
    }
    group(b, &top, &b->post, kn_rows, &open);
    close_group(b, &top, kn_rows, &open);
    bool gemm = has_gemm(&b->pre) || has_gemm(&b->post) || has_gemm(&b->mem);
    uint32_t tile = has_wide_gemm(&b->pre) || has_wide_gemm(&b->post) ? pl->opt.tile_wide : pl->opt.tile;
    b->k.tile = gemm && !b->sums ? tile : 1;                /* matrices as accumulators: one row at a time */
    b->k.row_cost = gemm ? 16 : 2;
    if (gemm) {
        marker m = {.b = b, .group = NEW_N(pl->mem, uint32_t, b->k.n_locals + 1), .seen = NEW_N(pl->mem, uint32_t, p->n_exprs)};
        mark_tiled(b, top.at, top.n, &m);
    }
    b->k.body = kn_seq(p, top.at, top.n);
}
