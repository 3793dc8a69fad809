/*
 * Walk orders of a graph, built at the first need: incoming and outgoing rows by counting sorts that keep the edge
 * list's order within a row, degrees, and the ranges of a batch's graphs. A list that is sorted by destination already
 * is not copied: its order is the identity.
 */
#include <string.h>

#include "runtime/context.h"
#include "runtime/graph.h"
#include "runtime/graph_sort.h"

static mp_status ensure(mp_graph *g, unsigned bit, mp_status (*build)(mp_graph *g))
{
    if (atomic_load_explicit(&g->have, memory_order_acquire) & bit)
        return MP_OK;
    mp_status st = MP_OK;
    pthread_mutex_lock(&g->lock);
    if (!(atomic_load_explicit(&g->have, memory_order_relaxed) & bit)) {
        int mark = g->n_owned;
        st = build(g);
        if (st)
            graph_disown(g, mark);
        else
            atomic_fetch_or_explicit(&g->have, bit, memory_order_release);
    }
    pthread_mutex_unlock(&g->lock);
    return st;
}

/* ---- The edge list of a complete graph ---- */

static mp_status build_list(mp_graph *g)
{
    int32_t *src = graph_own(g, g->n_edges, sizeof *src, "the edges' sources");
    int32_t *dst = src ? graph_own(g, g->n_edges, sizeof *dst, "the edges' destinations") : NULL;
    if (!dst)
        return MP_SYSTEM;
    for (int64_t i = 0, e = 0; i < g->n_src; i++) {
        for (int64_t j = 0; j < g->n_dst; j++, e++) {
            src[e] = (int32_t)i;
            dst[e] = (int32_t)j;
        }
    }
    g->src = src;
    g->dst = dst;
    return MP_OK;
}

mp_status graph_list(mp_graph *g, const int32_t **src, const int32_t **dst)
{
    mp_status st = ensure(g, GRAPH_HAVE_LIST, build_list);
    if (!st) {
        *src = g->src;
        *dst = g->dst;
    }
    return st;
}

/* ---- Rows ---- */

static bool narrow(const mp_graph *g)
{
    return g->n_edges <= 0x7fffffff;
}

/* Positions as an array that is being written. */
typedef struct places {
    int32_t *i32;
    int64_t *i64;
} places;

static mp_status own_places(mp_graph *g, places *out)
{
    *out = (places){ 0 };
    if (g->n_edges == 0)
        return MP_OK;
    if (narrow(g))
        out->i32 = graph_own(g, g->n_edges, sizeof *out->i32, "the order of the edges");
    else
        out->i64 = graph_own(g, g->n_edges, sizeof *out->i64, "the order of the edges");
    return out->i32 || out->i64 ? MP_OK : MP_SYSTEM;
}

static inline void place_set(places p, int64_t k, int64_t v)
{
    if (p.i32)
        p.i32[k] = (int32_t)v;
    else
        p.i64[k] = v;
}

static graph_positions positions(places p)
{
    return (graph_positions){ p.i32, p.i64 };
}

static bool is_sorted(const int32_t *a, int64_t n)
{
    for (int64_t i = 1; i < n; i++) {
        if (a[i] < a[i - 1])
            return false;
    }
    return true;
}

/* ptr[i] = number of keys below i, for i in 0..n. */
static void count_keys(const int32_t *key, int64_t n_keys, int64_t n, int64_t *ptr)
{
    memset(ptr, 0, (size_t)(n + 1) * sizeof *ptr);
    for (int64_t e = 0; e < n_keys; e++)
        ptr[key[e] + 1]++;
    for (int64_t i = 0; i < n; i++)
        ptr[i + 1] += ptr[i];
}

/* After a scatter ptr[i] is the end of row i; that is the start of row i + 1. */
static void shift_back(int64_t *ptr, int64_t n)
{
    if (n)
        memmove(ptr + 1, ptr, (size_t)n * sizeof *ptr);
    ptr[0] = 0;
}

static int64_t longest(const int64_t *ptr, int64_t n)
{
    int64_t most = 0;
    for (int64_t i = 0; i < n; i++)
        most = ptr[i + 1] - ptr[i] > most ? ptr[i + 1] - ptr[i] : most;
    return most;
}

static bool lists_everything(const graph_rows *r, int64_t n_other)
{
    if (r->n_rows == 0 || n_other == 0 || r->max_row != n_other || r->n_edges / n_other != r->n_rows ||
        r->n_edges % n_other)
        return false;
    for (int64_t i = 0, k = 0; i < r->n_rows; i++) {
        for (int64_t j = 0; j < n_other; j++, k++) {
            if (r->other[k] != j)
                return false;
        }
    }
    return true;
}

static mp_status build_complete(mp_graph *g, graph_rows *r, int64_t n_rows, int64_t n_other, bool transposed)
{
    int64_t *ptr = graph_own(g, n_rows + 1, sizeof *ptr, "the rows of a graph");
    int32_t *other = ptr ? graph_own(g, g->n_edges, sizeof *other, "the rows of a graph") : NULL;
    places at = { 0 };
    if (!other || (own_places(g, &at)))
        return MP_SYSTEM;
    for (int64_t i = 0; i <= n_rows; i++)
        ptr[i] = i * n_other;
    for (int64_t i = 0, k = 0; i < n_rows; i++) {
        for (int64_t j = 0; j < n_other; j++, k++) {
            other[k] = (int32_t)j;
            place_set(at, k, j * n_rows + i);
        }
    }
    *r = (graph_rows){ .n_rows = n_rows, .n_edges = g->n_edges, .max_row = n_rows ? n_other : 0, .ptr = ptr,
                       .other = other, .full = n_rows > 0 && n_other > 0 };
    if (transposed)
        r->eid = positions(at);
    else
        r->pos = positions(at);
    return MP_OK;
}

/* Rows of `key`, which is not sorted. ptr is filled in; other and eid (and pos, from walk) are made. */
static mp_status sort_rows(mp_graph *g, const int32_t *key, const int32_t *other, int64_t n_keys, places walk, int64_t *ptr,
                           int32_t **other_out, places *eid, places *pos)
{
    bool with_pos = walk.i32 || walk.i64;
    *pos = (places){ 0 };
    *other_out = graph_own(g, g->n_edges, sizeof **other_out, "the rows of a graph");
    if (!*other_out || own_places(g, eid) || (with_pos && own_places(g, pos)))
        return MP_SYSTEM;
    if (narrow(g)) {
        return graph_sort_edges(g->ctx, &(edge_sort){ .n_edges = g->n_edges, .n_keys = n_keys, .key = key, .other = other,
                                                      .extra = walk.i32, .ptr = ptr, .other_out = *other_out,
                                                      .eid_out = eid->i32, .extra_out = pos->i32 });
    }
    count_keys(key, g->n_edges, n_keys, ptr);
    for (int64_t e = 0; e < g->n_edges; e++) {
        int64_t k = ptr[key[e]]++;
        (*other_out)[k] = other[e];
        place_set(*eid, k, e);
        if (with_pos)
            place_set(*pos, k, walk.i64[e]);
    }
    shift_back(ptr, n_keys);
    return MP_OK;
}

static mp_status build_in(mp_graph *g)
{
    if (g->complete)
        return build_complete(g, &g->in, g->n_dst, g->n_src, true);
    int64_t *ptr = graph_own(g, g->n_dst + 1, sizeof *ptr, "the rows of a graph");
    if (!ptr)
        return MP_SYSTEM;
    graph_rows r = { .n_rows = g->n_dst, .n_edges = g->n_edges, .ptr = ptr, .other = g->src };
    if (is_sorted(g->dst, g->n_edges)) {
        count_keys(g->dst, g->n_edges, g->n_dst, ptr);
    } else {
        int32_t *other;
        places eid, pos;
        if (sort_rows(g, g->dst, g->src, g->n_dst, (places){ 0 }, ptr, &other, &eid, &pos))
            return MP_SYSTEM;
        r.other = other;
        r.eid = positions(eid);
    }
    r.max_row = longest(ptr, g->n_dst);
    r.full = lists_everything(&r, g->n_src);
    g->in = r;
    return MP_OK;
}

mp_status graph_in(mp_graph *g, const graph_rows **out)
{
    mp_status st = ensure(g, GRAPH_HAVE_IN, build_in);
    if (!st)
        *out = &g->in;
    return st;
}

/* The place in the walk order of each edge of the list; {NULL, NULL} when that is the identity. */
static mp_status invert_walk(mp_graph *g, places *out)
{
    *out = (places){ 0 };
    if (!g->in.eid.i32 && !g->in.eid.i64)
        return MP_OK;
    if (narrow(g))
        out->i32 = mem_array(g->ctx, g->n_edges, sizeof *out->i32, "the order of the edges");
    else
        out->i64 = mem_array(g->ctx, g->n_edges, sizeof *out->i64, "the order of the edges");
    if (!out->i32 && !out->i64)
        return MP_SYSTEM;
    for (int64_t k = 0; k < g->n_edges; k++)
        place_set(*out, graph_position(g->in.eid, k), k);
    return MP_OK;
}

static mp_status fill_out(mp_graph *g, int64_t *ptr, places walk)
{
    graph_rows r = { .n_rows = g->n_src, .n_edges = g->n_edges, .ptr = ptr, .other = g->dst };
    bool same_walk = !walk.i32 && !walk.i64;
    places eid, pos = { 0 };
    if (is_sorted(g->src, g->n_edges)) {
        count_keys(g->src, g->n_edges, g->n_src, ptr);
        if (!same_walk && own_places(g, &pos))
            return MP_SYSTEM;
        for (int64_t e = 0; !same_walk && e < g->n_edges; e++)
            place_set(pos, e, graph_position(positions(walk), e));
        r.pos = positions(pos);
    } else {
        int32_t *other;
        if (sort_rows(g, g->src, g->dst, g->n_src, walk, ptr, &other, &eid, &pos))
            return MP_SYSTEM;
        r.other = other;
        r.eid = positions(eid);
        r.pos = same_walk ? r.eid : positions(pos);
    }
    r.max_row = longest(ptr, g->n_src);
    r.full = lists_everything(&r, g->n_dst);
    g->out = r;
    return MP_OK;
}

static mp_status build_out(mp_graph *g)
{
    if (g->complete)
        return build_complete(g, &g->out, g->n_src, g->n_dst, false);
    int64_t *ptr = graph_own(g, g->n_src + 1, sizeof *ptr, "the rows of a graph");
    if (!ptr)
        return MP_SYSTEM;
    places walk;
    mp_status st = invert_walk(g, &walk);
    if (st)
        return st;
    st = fill_out(g, ptr, walk);
    mem_array_free(g->ctx, walk.i32, g->n_edges, sizeof *walk.i32);
    mem_array_free(g->ctx, walk.i64, g->n_edges, sizeof *walk.i64);
    return st;
}

mp_status graph_out(mp_graph *g, const graph_rows **out)
{
    const graph_rows *in;
    mp_status st = graph_in(g, &in);
    if (!st)
        st = ensure(g, GRAPH_HAVE_OUT, build_out);
    if (!st)
        *out = &g->out;
    return st;
}

/* ---- Degrees ---- */

static mp_status degrees_of_rows(mp_graph *g, const int64_t *ptr, int64_t n, graph_degrees *out)
{
    int64_t *count = graph_own(g, n, sizeof *count, "degrees");
    if (!count)
        return MP_SYSTEM;
    for (int64_t i = 0; i < n; i++)
        count[i] = ptr[i + 1] - ptr[i];
    *out = (graph_degrees){ n, count };
    return MP_OK;
}

static mp_status build_in_degrees(mp_graph *g)
{
    if (!g->given_in)
        return degrees_of_rows(g, g->in.ptr, g->n_dst, &g->in_deg);
    g->in_deg = (graph_degrees){ g->n_src, g->given_in };
    return MP_OK;
}

mp_status graph_in_degrees(mp_graph *g, graph_degrees *out)
{
    const graph_rows *in;
    mp_status st = graph_in(g, &in);
    if (!st)
        st = ensure(g, GRAPH_HAVE_IN_DEG, build_in_degrees);
    if (!st)
        *out = g->in_deg;
    return st;
}

static mp_status build_out_degrees(mp_graph *g)
{
    if (g->given_out) {
        g->out_deg = (graph_degrees){ g->n_src, g->given_out };
        return MP_OK;
    }
    int64_t *count = graph_own(g, g->n_src, sizeof *count, "degrees");
    if (!count)
        return MP_SYSTEM;
    for (int64_t i = 0; i < g->n_src; i++)
        count[i] = g->complete ? g->n_dst : 0;
    for (int64_t e = 0; !g->complete && e < g->n_edges; e++)
        count[g->src[e]]++;
    g->out_deg = (graph_degrees){ g->n_src, count };
    return MP_OK;
}

mp_status graph_out_degrees(mp_graph *g, graph_degrees *out)
{
    mp_status st = ensure(g, GRAPH_HAVE_OUT_DEG, build_out_degrees);
    if (!st)
        *out = g->out_deg;
    return st;
}

/* ---- Batches ---- */

static mp_status build_batch(mp_graph *g)
{
    int64_t n = g->n_src > g->n_dst ? g->n_src : g->n_dst;
    int64_t *edge_ptr = graph_own(g, g->n_graphs + 1, sizeof *edge_ptr, "the graphs of a batch");
    int32_t *of_node = edge_ptr ? graph_own(g, n, sizeof *of_node, "the graph of each node") : NULL;
    const int64_t *node_ptr = g->node_ptr;
    if (of_node && !node_ptr) {
        int64_t *whole = graph_own(g, 2, sizeof *whole, "the graphs of a batch");
        if (whole) {
            whole[0] = 0;
            whole[1] = g->n_dst;
        }
        node_ptr = whole;
    }
    if (!of_node || !node_ptr)
        return MP_SYSTEM;
    for (int64_t k = 0; k <= g->n_graphs; k++)
        edge_ptr[k] = g->in.ptr[node_ptr[k]];
    if (g->n_graphs <= 1) {
        memset(of_node, 0, (size_t)n * sizeof *of_node);
    } else {
        for (int64_t k = 0; k < g->n_graphs; k++) {
            for (int64_t i = node_ptr[k]; i < node_ptr[k + 1]; i++)
                of_node[i] = (int32_t)k;
        }
    }
    g->batch = (graph_batch){ g->n_graphs, node_ptr, edge_ptr, of_node };
    return MP_OK;
}

mp_status graph_batches(mp_graph *g, graph_batch *out)
{
    const graph_rows *in;
    mp_status st = graph_in(g, &in);
    if (!st)
        st = ensure(g, GRAPH_HAVE_BATCH, build_batch);
    if (!st)
        *out = g->batch;
    return st;
}
