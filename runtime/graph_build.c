/*
 * Graphs from the caller's arrays. Everything is checked and copied here, once: ranges, offsets, batches; messages name
 * the array, the position and the value. Later stages trust what is stored.
 */
#include <string.h>

#include "runtime/context.h"
#include "runtime/convert.h"
#include "runtime/graph.h"

/* An integer array of 32 or 64 bits. */
typedef struct ints {
    const void *p;
    bool wide;
} ints;

static int64_t ints_at(ints a, int64_t i)
{
    return a.wide ? ((const int64_t *)a.p)[i] : ((const int32_t *)a.p)[i];
}

static mp_status copy_nodes(mp_graph *g, const char *name, const char *side, ints a, int64_t limit, int32_t *out)
{
    for (int64_t e = 0; e < g->n_edges; e++) {
        int64_t v = ints_at(a, e);
        if (v >= 0 && v < limit) {
            out[e] = (int32_t)v;
            continue;
        }
        if (limit == 0) {
            return error_set(g->ctx, MP_INVALID, "%s: element %lld is %lld, but the graph has no %s nodes", name,
                             (long long)e, (long long)v, side);
        }
        return error_set(g->ctx, MP_INVALID, "%s: element %lld is %lld, but must be in 0..%lld (the graph has %lld %s nodes)",
                         name, (long long)e, (long long)v, (long long)limit - 1, (long long)limit, side);
    }
    return MP_OK;
}

/* Offsets of n rows into `total` members: from 0, never back, to total. */
static mp_status check_offsets(mp_context *ctx, const char *name, ints ptr, int64_t n, int64_t total, const char *members)
{
    int64_t before = ints_at(ptr, 0);
    if (before != 0)
        return error_set(ctx, MP_INVALID, "%s: element 0 is %lld, but must be 0", name, (long long)before);
    for (int64_t i = 1; i <= n; i++) {
        int64_t v = ints_at(ptr, i);
        if (v < before) {
            return error_set(ctx, MP_INVALID, "%s: element %lld is %lld, less than the one before it (%lld)", name,
                             (long long)i, (long long)v, (long long)before);
        }
        before = v;
    }
    if (before != total) {
        return error_set(ctx, MP_INVALID, "%s: the last element is %lld, but there are %lld %s", name, (long long)before,
                         (long long)total, members);
    }
    return MP_OK;
}

static mp_status own_list(mp_graph *g)
{
    g->src = graph_own(g, g->n_edges, sizeof *g->src, "the edges' sources");
    g->dst = g->src ? graph_own(g, g->n_edges, sizeof *g->dst, "the edges' destinations") : NULL;
    if (!g->dst)
        return MP_SYSTEM;
    atomic_fetch_or(&g->have, GRAPH_HAVE_LIST);
    return MP_OK;
}

static mp_status take_coo(mp_graph *g, ints src, ints dst)
{
    if (g->n_edges && (!src.p || !dst.p))
        return error_set(g->ctx, MP_USAGE, "src and dst must not be NULL for a graph of %lld edges", (long long)g->n_edges);
    mp_status st = own_list(g);
    if (!st)
        st = copy_nodes(g, "edge_src", "source", src, g->n_src, g->src);
    if (!st)
        st = copy_nodes(g, "edge_dst", "destination", dst, g->n_dst, g->dst);
    return st;
}

static mp_status take_csr(mp_graph *g, const mp_graph_desc *d, bool wide)
{
    bool by_dst = d->format == MP_GRAPH_CSR_BY_DST;
    int64_t n_rows = by_dst ? g->n_dst : g->n_src;
    ints ptr = { d->ptr, wide }, other = { by_dst ? d->src : d->dst, wide };
    if (!ptr.p || (g->n_edges && !other.p))
        return error_set(g->ctx, MP_USAGE, "ptr and %s must not be NULL for a graph by %s", by_dst ? "src" : "dst",
                         by_dst ? "destination" : "source");
    mp_status st = check_offsets(g->ctx, "ptr", ptr, n_rows, g->n_edges, "edges");
    if (!st)
        st = own_list(g);
    if (!st)
        st = by_dst ? copy_nodes(g, "src", "source", other, g->n_src, g->src)
                    : copy_nodes(g, "dst", "destination", other, g->n_dst, g->dst);
    if (st)
        return st;
    int32_t *rows = by_dst ? g->dst : g->src;
    for (int64_t i = 0; i < n_rows; i++) {
        for (int64_t k = ints_at(ptr, i); k < ints_at(ptr, i + 1); k++)
            rows[k] = (int32_t)i;
    }
    return MP_OK;
}

static int64_t graph_of(const int64_t *ptr, int64_t n_graphs, int64_t node)
{
    int64_t lo = 0, hi = n_graphs;          /* ptr[lo] <= node < ptr[hi] */
    while (hi - lo > 1) {
        int64_t mid = lo + (hi - lo) / 2;
        if (ptr[mid] <= node)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

static mp_status refuse_crossing_edges(mp_graph *g)
{
    int64_t lo = 0, hi = 0, at = 0;         /* of the graph that the last edge was in; lists mostly stay within one */
    for (int64_t e = 0; e < g->n_edges; e++) {
        if (g->src[e] < lo || g->src[e] >= hi) {
            at = graph_of(g->node_ptr, g->n_graphs, g->src[e]);
            lo = g->node_ptr[at];
            hi = g->node_ptr[at + 1];
        }
        if (g->dst[e] < lo || g->dst[e] >= hi) {
            return error_set(g->ctx, MP_INVALID, "edge %lld goes from node %d of graph %lld to node %d of graph %lld: "
                             "graph_ptr says they are different graphs of the batch", (long long)e, g->src[e],
                             (long long)at, g->dst[e], (long long)graph_of(g->node_ptr, g->n_graphs, g->dst[e]));
        }
    }
    return MP_OK;
}

static mp_status take_batch(mp_graph *g, ints ptr, int64_t n_graphs)
{
    if (n_graphs < 0)
        return error_set(g->ctx, MP_INVALID, "graph_ptr: a batch cannot have %lld graphs", (long long)n_graphs);
    if (!g->is_square) {
        return error_set(g->ctx, MP_INVALID, "graph_ptr: a graph of %lld source and %lld destination nodes is one graph, "
                         "no batch", (long long)g->n_src, (long long)g->n_dst);
    }
    mp_status st = check_offsets(g->ctx, "graph_ptr", ptr, n_graphs, g->n_dst, "nodes");
    if (st)
        return st;
    if (n_graphs > 0x7fffffff)
        return error_set(g->ctx, MP_INVALID, "graph_ptr: %lld graphs are too many", (long long)n_graphs);
    if (n_graphs > 1 && g->complete)
        return error_set(g->ctx, MP_INVALID, "graph_ptr: a complete graph has edges between all its nodes, so it is no batch");
    g->node_ptr = graph_own(g, n_graphs + 1, sizeof *g->node_ptr, "the graphs of a batch");
    if (!g->node_ptr)
        return MP_SYSTEM;
    for (int64_t i = 0; i <= n_graphs; i++)
        g->node_ptr[i] = ints_at(ptr, i);
    g->n_graphs = n_graphs;
    return n_graphs > 1 ? refuse_crossing_edges(g) : MP_OK;
}

static mp_status take_degrees(mp_graph *g, const char *name, ints a, int64_t **out)
{
    if (!a.p)
        return MP_OK;
    if (g->n_dst > g->n_src)
        return error_set(g->ctx, MP_INVALID, "%s: degrees of all source nodes are for a square graph or a block", name);
    int64_t *d = graph_own(g, g->n_src, sizeof *d, "degrees");
    if (!d)
        return MP_SYSTEM;
    for (int64_t i = 0; i < g->n_src; i++) {
        d[i] = ints_at(a, i);
        if (d[i] < 0)
            return error_set(g->ctx, MP_INVALID, "%s: element %lld is %lld, but must not be negative", name, (long long)i,
                             (long long)d[i]);
    }
    *out = d;
    return MP_OK;
}

static mp_status fill(mp_graph *g, const mp_graph_desc *d)
{
    bool wide = d->index_bits == 64;
    mp_status st = MP_OK;
    switch (d->format) {
    case MP_GRAPH_COO:
        st = take_coo(g, (ints){ d->src, wide }, (ints){ d->dst, wide });
        break;
    case MP_GRAPH_CSR_BY_DST:
    case MP_GRAPH_CSR_BY_SRC:
        st = take_csr(g, d, wide);
        break;
    case MP_GRAPH_COMPLETE:
        g->complete = true;
        break;
    }
    if (!st && d->graph_ptr)
        st = take_batch(g, (ints){ d->graph_ptr, wide }, d->n_graphs);
    if (!st)
        st = take_degrees(g, "in_degree", (ints){ d->in_degree, wide }, &g->given_in);
    if (!st)
        st = take_degrees(g, "out_degree", (ints){ d->out_degree, wide }, &g->given_out);
    g->src_degrees_known |= g->given_in != NULL;
    return st;
}

mp_status mp_graph_create(mp_context *ctx, const mp_graph_desc *desc, mp_graph **out)
{
    if (!ctx)
        return MP_USAGE;
    if (!desc || !out)
        return error_set(ctx, MP_USAGE, "mp_graph_create: the description and the result must not be NULL");
    mp_graph_desc d = { 0 };
    memcpy(&d, desc, desc->size && desc->size < sizeof d ? desc->size : sizeof d);
    if (d.index_bits != 0 && d.index_bits != 32 && d.index_bits != 64)
        return error_set(ctx, MP_USAGE, "mp_graph_create: index_bits is %d, but must be 32 or 64", d.index_bits);
    if ((unsigned)d.format > MP_GRAPH_COMPLETE)
        return error_set(ctx, MP_USAGE, "mp_graph_create: there is no format %d", (int)d.format);
    int64_t n_edges = d.n_edges;
    if (d.format == MP_GRAPH_COMPLETE) {
        int64_t all = d.n_src >= 0 && d.n_dst >= 0 && d.n_src <= 0x7fffffff && d.n_dst <= 0x7fffffff ? d.n_src * d.n_dst : 0;
        if (n_edges && n_edges != all)
            return error_set(ctx, MP_INVALID, "a complete graph of %lld and %lld nodes has not %lld edges", (long long)d.n_src,
                             (long long)d.n_dst, (long long)n_edges);
        n_edges = all;
    }
    mp_graph *g;
    mp_status st = graph_new(ctx, d.n_src, d.n_dst, n_edges, &g);
    if (st)
        return st;
    st = fill(g, &d);
    if (st)
        graph_release(g);
    else
        *out = g;
    return st;
}

mp_status mp_graph_from_coo(mp_context *ctx, int64_t n_src, int64_t n_dst, int64_t n_edges, const int32_t *src,
                            const int32_t *dst, mp_graph **out)
{
    return mp_graph_create(ctx, &(mp_graph_desc){ .index_bits = 32, .n_src = n_src, .n_dst = n_dst, .n_edges = n_edges,
                                                  .src = src, .dst = dst }, out);
}

mp_status mp_graph_from_coo64(mp_context *ctx, int64_t n_src, int64_t n_dst, int64_t n_edges, const int64_t *src,
                              const int64_t *dst, mp_graph **out)
{
    return mp_graph_create(ctx, &(mp_graph_desc){ .index_bits = 64, .n_src = n_src, .n_dst = n_dst, .n_edges = n_edges,
                                                  .src = src, .dst = dst }, out);
}
