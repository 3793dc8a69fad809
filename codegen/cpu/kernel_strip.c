/* Walks by strips. See kernel_gen.h.
 *
 * A walk that sums rows of features keeps its accumulators in registers only where their number is known and
 * small. Where it is not known (dims left open, ahead of time) or too large, and no element has anything to
 * do with another, the row is cut into strips of as many vectors as registers hold, and the members are
 * walked once for each: whole strips, half strips, and for what is left masked half strips. What does not
 * follow the axis (counts, scores a row) is done again for each strip, with the same result. An element's
 * bits are those of a walk over whole rows. */
#include "codegen/cpu/kernel_gen.h"

#include <string.h>

typedef struct search {
    kgen *g;
    kdim extent;
    bool found, bad;
    bool *written;              /* by local: rows of features that the walk writes */
    uint32_t var;               /* of the nest that is looked at, or UINT32_MAX */
    uint8_t *seen;              /* by expression, in the nest */
} search;

/* ---- may the walk be cut? ------------------------------------------------------------------------------ */

static bool along(const search *s, kdim e) { return kdim_same(e, s->extent); }

/* Locals of the walk are read at the axis's own element; costly functions that do not follow the axis are not
 * worth doing again. */
static void look_expr(search *s, kx x)
{
    enum { COSTLY = 12 };
    if (!kx_is(x) || s->seen[x.i] || s->bad)
        return;
    s->seen[x.i] = 1;
    const kexpr *e = &s->g->p->exprs[x.i];
    if (e->op == KX_LOCAL || e->op == KX_IDX || e->op == KX_OTHER) {
        const kexpr *at = &s->g->p->exprs[e->a.i];
        if (s->written[e->local] && (at->op != KX_VAR || at->var != s->var))
            s->bad = true;
    }
    if (e->op == KX_MAP && s->var == UINT32_MAX && ir_ops[e->map].cost >= COSTLY)
        s->bad = true;
    look_expr(s, e->a);
    look_expr(s, e->b);
    look_expr(s, e->c);
}

static void look_statement(search *s, const knode *n)
{
    memset(s->seen, 0, s->g->p->n_exprs);
    look_expr(s, n->value);
    if (n->dest.kind == REF_LOCAL && s->written[n->dest.id]) {
        const kexpr *at = &s->g->p->exprs[n->dest.offset.i];
        s->bad |= at->op != KX_VAR || at->var != s->var;
    } else {
        look_expr(s, n->dest.offset);
        look_expr(s, n->dest.row);
    }
}

/* The one axis of a nest, without those of one step. NULL: none; `bad` where there are more. */
static const kloop *axis_of(search *s, const knode *n)
{
    const kloop *axis = NULL;
    for (uint32_t i = 0; i < n->n_loops; i++) {
        if (kdim_is(n->loops[i].extent, 1))
            continue;
        s->bad |= axis || n->loops[i].reduce;
        axis = &n->loops[i];
    }
    return axis;
}

static void look(search *s, knode *const *body, uint32_t n)
{
    for (uint32_t i = 0; i < n && !s->bad; i++) {
        const knode *k = body[i];
        switch (k->kind) {
        case KN_STORE: case KN_ACCUM:
            s->var = UINT32_MAX;
            look_statement(s, k);
            break;
        case KN_FOR: {
            const kloop *axis = axis_of(s, k);
            s->bad |= axis && !along(s, axis->extent);
            for (uint32_t j = 0; j < k->n_body && !s->bad; j++) {
                s->var = axis ? axis->var : UINT32_MAX;
                look_statement(s, k->body[j]);
            }
            break;
        }
        case KN_IFANY:
            s->bad |= axis_of(s, k) != NULL;
            s->var = UINT32_MAX;
            memset(s->seen, 0, s->g->p->n_exprs);
            look_expr(s, k->value);
            look(s, k->body, k->n_body);
            break;
        case KN_SEQ: look(s, k->body, k->n_body); break;
        case KN_ROWS: case KN_WALK: case KN_BLOCKS: case KN_MEMBERS: case KN_GEMM: s->bad = true; break;
        }
    }
}

/* The rows of features that the walk writes, all of one extent. */
static void find(search *s, knode *const *body, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const knode *k = body[i];
        find(s, k->body, k->n_body);
        if ((k->kind != KN_STORE && k->kind != KN_ACCUM) || k->dest.kind != REF_LOCAL)
            continue;
        const klocal *l = &s->g->k->locals[k->dest.id];
        if (kdim_is(l->elems, 1))
            continue;
        s->bad |= s->found && !along(s, l->elems);
        s->extent = l->elems;
        s->found = s->written[k->dest.id] = true;
    }
}

/* ---- the strips ---------------------------------------------------------------------------------------- */

typedef struct cut { const knode *walk; const search *s; kstrip strip; } cut;

static void open_shadows(kgen *g, const cut *c)
{
    for (uint32_t i = 1; i < g->k->n_locals; i++)
        if (c->s->written[i]) {
            kstorage *k = &g->locals[i];
            k->shadow = kg_frame(g, (int64_t)c->strip.count * c->strip.width, k->type);
            k->strip = true;
        }
    kg_changed(g);
}

static void close_shadows(kgen *g, const cut *c)
{
    const kstrip *s = &c->strip;
    for (uint32_t i = 1; i < g->k->n_locals; i++) {
        if (!c->s->written[i])
            continue;
        kstorage *k = &g->locals[i];
        LLVMValueRef shadow = k->shadow;
        k->shadow = NULL;
        k->strip = false;
        if (!g->k->locals[i].accumulator)
            continue;
        LLVMValueRef home = emit_ptr(g->e, k->type, kg_local_ptr(g, i), s->base);
        for (int v = 0; v < s->count; v++) {
            int64_t bytes = (int64_t)v * s->width * (int64_t)elem_size(k->type);
            LLVMValueRef x = emit_load(g->e, k->type, s->width, emit_ptr_bytes(g->e, shadow, bytes), NULL);
            emit_store(g->e, k->type, x, emit_ptr_bytes(g->e, home, bytes), s->mask[v]);
        }
    }
    kg_changed(g);
}

static LLVMValueRef mask_of(kgen *g, const kstrip *s, LLVMValueRef left, int v)
{
    return emit_mask_below(g->e, s->width, emit_sub(g->e, left, emit_i64(g->e, (int64_t)v * s->width)));
}

/* The strips of `count` vectors from `from` up to `to`; masked: the last may be short. */
static void strips(kgen *g, cut *c, LLVMValueRef from, LLVMValueRef to, LLVMValueRef extent, int count,
                   bool masked)
{
    kstrip *s = &c->strip;
    emit_loop l = emit_for_begin(g->e, from, to, (int64_t)count * s->width);
    s->base = l.i;
    s->count = count;
    LLVMValueRef left = masked ? emit_sub(g->e, extent, l.i) : NULL;
    for (int v = 0; v < KG_STRIP; v++)
        s->mask[v] = masked && v < count ? mask_of(g, s, left, v) : NULL;
    kg_push(g, false);
    s->depth = g->depth;
    s->point = g->points + 1;
    g->points += (uint32_t)count;
    g->strip = s;
    open_shadows(g, c);
    kg_walk_once(g, c->walk);
    close_shadows(g, c);
    g->strip = NULL;
    kg_pop(g);
    emit_for_end(g->e, &l);
}

/* Vectors of a strip: accumulators take three quarters of the registers. */
static int strip_vectors(const kgen *g, const search *s)
{
    int rows = 0, count = KG_STRIP;
    for (uint32_t i = 1; i < g->k->n_locals; i++)
        rows += s->written[i] && g->k->locals[i].accumulator;
    while (count > 0 && count * rows > g->e->target->vector_registers * 3 / 4)
        count /= 2;
    return count;
}

static LLVMValueRef whole(kgen *g, LLVMValueRef extent, LLVMValueRef from, int64_t step)
{
    LLVMValueRef left = emit_sub(g->e, extent, from);
    return emit_add(g->e, from, emit_sub(g->e, left, LLVMBuildURem(g->e->b, left, emit_i64(g->e, step), "")));
}

bool kg_walk_strips(kgen *g, const knode *n)
{
    search s = {.g = g, .var = UINT32_MAX};
    s.written = NEW_N(g->mem, bool, g->k->n_locals + 1);
    s.seen = NEW_N(g->mem, uint8_t, g->p->n_exprs);
    find(&s, n->init, n->n_init);
    find(&s, n->body, n->n_body);
    find(&s, n->combine, n->n_combine);
    if (!s.found || s.bad || !g->e->target->has_mask)
        return false;
    look(&s, n->init, n->n_init);
    look(&s, n->body, n->n_body);
    look(&s, n->combine, n->n_combine);
    cut c = {.walk = n, .s = &s};
    c.strip.extent = s.extent;
    for (uint32_t i = 1; i < g->k->n_locals; i++)
        if (s.written[i]) {
            elem t = kg_elem(g->k->locals[i].type);
            int lanes = cpu_target_lanes(g->e->target, elem_is_real(t) ? (int)elem_size(t) : 8);
            c.strip.width = !c.strip.width || lanes < c.strip.width ? lanes : c.strip.width;
        }
    int count = strip_vectors(g, &s);
    if (s.bad || count < 2 || (s.extent.is_const && s.extent.value <= (int64_t)count * c.strip.width))
        return false;
    LLVMValueRef extent = kg_extent(g, s.extent), zero = emit_i64(g->e, 0);
    LLVMValueRef a = whole(g, extent, zero, (int64_t)count * c.strip.width);
    strips(g, &c, zero, a, extent, count, false);
    int half = count / 2;
    LLVMValueRef b = whole(g, extent, a, (int64_t)half * c.strip.width);
    strips(g, &c, a, b, extent, half, false);
    strips(g, &c, b, extent, extent, half, true);
    return true;
}
