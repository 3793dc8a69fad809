/* Loop nests on the lanes of a group: docs/cuda.md, "Feature loops". See nest.h. */
#include "codegen/cuda/nest.h"

enum { MOST_VEC = 4 };

/* ---- lanes hold the elements --------------------------------------------------------------------------- */

/* Values of a statement at elements v0 .. v1 of a chunk, then its stores. */
static void some_elements(cgen *g, const nest *n, const knode *s, int chunk, int v0, int v1)
{
    const char *v[MOST_VEC], *f = cg_first(g, chunk);
    for (int e = v0; e < v1; e++) {
        bound b = cg_bind_point(g, n, 0, n->n_keep, f, chunk, e);
        v[e] = cg_eval(g, s->value);
        cg_unbind_axes(g, n, &b);
    }
    for (int e = v0; e < v1; e++) {
        bound b = cg_bind_point(g, n, 0, n->n_keep, f, chunk, e);
        bool all = e == v0 && v1 - v0 == g->vec && cg_stores_vector(g, s);
        if (all)
            cg_put_vector(g, s, v);
        else
            cg_put(g, s, v[e]);
        cg_unbind_axes(g, n, &b);
        if (all)
            break;
    }
    cg_changed(g);
}

static void lanes_plain(cgen *g, const nest *n)
{
    for (int c = 0; c < cg_chunks(g, n->total); c++) {
        bool whole = n->total % g->vec == 0;
        for (int v = 0; v < (whole ? 1 : g->vec); v++) {
            bool guard = cg_open_guard(g, n->total, c, v);
            for (uint32_t i = 0; i < n->n_body; i++)
                some_elements(g, n, n->body[i], c, v, whole ? g->vec : v + 1);
            cg_close_guard(g, guard);
        }
    }
}

/* Reduced loops run inside of each element: the sums of a chunk go through them together. */
static void lanes_with_sums(cgen *g, const nest *n)
{
    for (int c = 0; c < cg_chunks(g, n->total); c++) {
        bool whole = n->total % g->vec == 0;
        for (int v0 = 0; v0 < (whole ? 1 : g->vec); v0++) {
            int v1 = whole ? g->vec : v0 + 1;
            bool guard = cg_open_guard(g, n->total, c, v0);
            const char *f = cg_first(g, c);
            const char **sum = NEW_N(g->mem, const char *, (size_t)n->n_body * MOST_VEC);
            for (uint32_t i = 0; i < n->n_body; i++)
                for (int v = v0; v < v1; v++)
                    sum[i * MOST_VEC + (uint32_t)v] = cg_begin_sum(g, n->body[i]);
            bound r = cg_open_range(g, n, n->n_keep, n->n, BY_ONE);
            cg_changed(g);
            for (uint32_t i = 0; i < n->n_body; i++)
                for (int v = v0; v < v1; v++) {
                    bound b = cg_bind_point(g, n, 0, n->n_keep, f, c, v);
                    cg_add(g, n->body[i], sum[i * MOST_VEC + (uint32_t)v]);
                    cg_unbind_axes(g, n, &b);
                }
            cg_close_range(g, n, &r);
            for (uint32_t i = 0; i < n->n_body; i++)
                for (int v = v0; v < v1; v++) {
                    bound b = cg_bind_point(g, n, 0, n->n_keep, f, c, v);
                    cg_put(g, n->body[i], sum[i * MOST_VEC + (uint32_t)v]);
                    cg_unbind_axes(g, n, &b);
                }
            cg_changed(g);
            cg_close_guard(g, guard);
        }
    }
}

/* ---- heads --------------------------------------------------------------------------------------------- */

static void heads_plain(cgen *g, const nest *n)
{
    for (int c = 0; c < cg_chunks(g, g->total); c++) {
        bool guard = cg_open_guard(g, g->total, c, 0);
        for (uint32_t i = 0; i < n->n_body; i++) {
            bound b = cg_bind_head(g, n, c);
            const char *v = cg_eval(g, n->body[i]->value);
            cg_put_guarded(g, n->body[i], v, cg_owns_head(g, c));
            cg_unbind_axes(g, n, &b);
            cg_changed(g);
        }
        cg_close_guard(g, guard);
    }
}

static void add_chunk(cgen *g, const nest *n, const knode *s, const char *sum, int c, int from, int64_t total)
{
    bool whole = total % g->vec == 0;
    for (int v0 = 0; v0 < (whole ? 1 : g->vec); v0++) {
        bool guard = cg_open_guard(g, total, c, v0);
        for (int v = v0; v < (whole ? g->vec : v0 + 1); v++) {
            bound b = cg_bind_point(g, n, from, n->n, cg_first(g, c), c, v);
            cg_add(g, s, sum);
            cg_unbind_axes(g, n, &b);
        }
        cg_close_guard(g, guard);
    }
}

static void heads_sum(cgen *g, const nest *n)
{
    int64_t width = g->total / g->heads, a_chunk = (int64_t)g->lanes * g->vec;
    int together = width > a_chunk ? (int)(width / a_chunk) : 1;
    int lanes = width >= a_chunk ? g->lanes : (int)(width / g->vec);
    for (int c = 0; c < cg_chunks(g, g->total); c += together)
        for (uint32_t i = 0; i < n->n_body; i++) {
            const knode *s = n->body[i];
            const char *sum = cg_begin_sum(g, s);
            for (int k = c; k < c + together; k++)
                add_chunk(g, n, s, sum, k, 0, g->total);
            cg_across(g, s, sum, lanes);
            for (int k = c; k < c + together; k++) {
                bound b = cg_bind_head(g, n, k);
                cg_put_guarded(g, s, sum, cg_owns_head(g, k));
                cg_unbind_axes(g, n, &b);
            }
            cg_changed(g);
        }
}

/* ---- the other modes ----------------------------------------------------------------------------------- */

static void lanes_sum(cgen *g, const nest *n)
{
    for (uint32_t i = 0; i < n->n_body; i++) {
        const knode *s = n->body[i];
        const char *sum = cg_begin_sum(g, s);
        for (int c = 0; c < cg_chunks(g, n->total); c++)
            add_chunk(g, n, s, sum, c, n->n_keep, n->total);
        cg_across(g, s, sum, g->lanes);
        cg_put_guarded(g, s, sum, "lane == 0");
        cg_changed(g);
    }
}

static void repeat(cgen *g, const nest *n)
{
    for (int64_t f = 0; f < n->keep; f++) {
        bound b = cg_bind_constants(g, n, 0, n->n_keep, f);
        for (uint32_t i = 0; i < n->n_body; i++) {
            const knode *s = n->body[i];
            const char *v = NULL;
            if (n->n > n->n_keep) {
                const char *sum = cg_begin_sum(g, s);
                for (int64_t r = 0; r < n->reduced; r++) {
                    bound inner = cg_bind_constants(g, n, n->n_keep, n->n, r);
                    cg_add(g, s, sum);
                    cg_unbind_axes(g, n, &inner);
                }
                v = sum;
            } else {
                v = cg_eval(g, s->value);
            }
            cg_put_guarded(g, s, v, "lane == 0");
            cg_changed(g);
        }
        cg_unbind_axes(g, n, &b);
    }
}

static void stride(cgen *g, const nest *n)
{
    bound b = cg_open_range(g, n, 0, n->n_keep, BY_LANE);
    cg_changed(g);
    for (uint32_t i = 0; i < n->n_body; i++) {
        const knode *s = n->body[i];
        const char *v;
        if (n->n > n->n_keep) {
            v = cg_begin_sum(g, s);
            bound r = cg_open_range(g, n, n->n_keep, n->n, BY_ONE);
            cg_changed(g);
            cg_add(g, s, v);
            cg_close_range(g, n, &r);
        } else {
            v = cg_eval(g, s->value);
        }
        cg_put(g, s, v);
        cg_changed(g);
    }
    cg_close_range(g, n, &b);
    cg_changed(g);
}

static void stride_sum(cgen *g, const nest *n)
{
    for (uint32_t i = 0; i < n->n_body; i++) {
        const knode *s = n->body[i];
        const char *sum = cg_begin_sum(g, s);
        bound r = cg_open_range(g, n, n->n_keep, n->n, BY_LANE);
        cg_changed(g);
        cg_add(g, s, sum);
        cg_close_range(g, n, &r);
        cg_across(g, s, sum, g->lanes);
        cg_put_guarded(g, s, sum, "lane == 0");
        cg_changed(g);
    }
}

/* ---- nests --------------------------------------------------------------------------------------------- */

static bool is_empty(const nest *n)
{
    for (int i = 0; i < n->n; i++)
        if (kdim_is(n->at[i].extent, 0))
            return true;
    return false;
}

void cg_for(cgen *g, const knode *k)
{
    const nest *found = cg_nest(g, k);
    if (!found || is_empty(found))
        return;
    nest n = *found;
    knode *self = (knode *)(uintptr_t)k;
    if (k->kind != KN_FOR) {
        n.body = &self;
        n.n_body = 1;
    }
    if (!n.n_body)
        return;
    cg_line(g, n.body[0]->where.hi > n.body[0]->where.lo ? n.body[0]->where : k->where);
    cg_bind_ones(g, &n);
    cg_meet(g, n.body, n.n_body, (kx){0});
    g->now = &n;
    switch (n.mode) {
    case NEST_REPEAT: repeat(g, &n); break;
    case NEST_LANES:
        if (n.n > n.n_keep)
            lanes_with_sums(g, &n);
        else
            lanes_plain(g, &n);
        break;
    case NEST_HEADS: heads_plain(g, &n); break;
    case NEST_HEADS_SUM: heads_sum(g, &n); break;
    case NEST_LANES_SUM: lanes_sum(g, &n); break;
    case NEST_STRIDE: stride(g, &n); break;
    case NEST_STRIDE_SUM: stride_sum(g, &n); break;
    }
    g->now = NULL;
}

static void any_here(cgen *g, const char *any, kx cond)
{
    const char *c = cg_eval(g, cond);
    cg_text(g, "%s = %s || %s;\n", any, any, c);
}

void cg_ifany(cgen *g, const knode *k)
{
    const nest *n = cg_nest(g, k);
    if (!n || is_empty(n))
        return;
    cg_line(g, k->where);
    cg_bind_ones(g, n);
    cg_meet(g, NULL, 0, k->value);
    const char *any = cg_name(g, "any");
    cg_text(g, "bool %s = false;\n", any);
    switch (n->mode) {
    case NEST_REPEAT:
        for (int64_t f = 0; f < n->keep; f++) {
            bound b = cg_bind_constants(g, n, 0, n->n_keep, f);
            any_here(g, any, k->value);
            cg_unbind_axes(g, n, &b);
        }
        break;
    case NEST_LANES: case NEST_LANES_SUM: case NEST_HEADS_SUM:
        for (int c = 0; c < cg_chunks(g, n->total); c++)
            for (int v = 0; v < g->vec; v++) {
                bool guard = cg_open_guard(g, n->total, c, v);
                bound b = cg_bind_point(g, n, 0, n->n_keep, cg_first(g, c), c, v);
                any_here(g, any, k->value);
                cg_unbind_axes(g, n, &b);
                cg_close_guard(g, guard);
            }
        break;
    case NEST_HEADS:
        for (int c = 0; c < cg_chunks(g, g->total); c++) {
            bool guard = cg_open_guard(g, g->total, c, 0);
            bound b = cg_bind_head(g, n, c);
            any_here(g, any, k->value);
            cg_unbind_axes(g, n, &b);
            cg_close_guard(g, guard);
        }
        break;
    case NEST_STRIDE: case NEST_STRIDE_SUM: {
        bound b = cg_open_range(g, n, 0, n->n_keep, BY_LANE);
        any_here(g, any, k->value);
        cg_close_range(g, n, &b);
        break;
    }
    }
    if (g->lanes > 1 && n->mode != NEST_REPEAT)
        cg_open(g, true, "if (mp_any(mask, %s))", any);
    else
        cg_open(g, true, "if (%s)", any);
    cg_changed(g);
    cg_body(g, k->body, k->n_body);
    cg_close(g);
    cg_changed(g);
}
