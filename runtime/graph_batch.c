/*
 * Several square graphs side by side as one batch.
 */
#include <string.h>

#include "runtime/context.h"
#include "runtime/graph.h"

typedef struct totals {
    int64_t nodes, edges, graphs;
    bool in_degree, out_degree;     /* some graph was given them */
} totals;

static mp_status count(mp_context *ctx, mp_graph *const *graphs, int64_t n, totals *t)
{
    for (int64_t i = 0; i < n; i++) {
        const mp_graph *g = graphs[i];
        if (!g)
            return error_set(ctx, MP_USAGE, "mp_graph_batch: graph %lld is NULL", (long long)i);
        if (!g->is_square) {
            return error_set(ctx, MP_INVALID, "mp_graph_batch: graph %lld has %lld source and %lld destination nodes; only square "
                             "graphs make a batch", (long long)i, (long long)g->n_src, (long long)g->n_dst);
        }
        if (__builtin_add_overflow(t->edges, g->n_edges, &t->edges))
            return error_set(ctx, MP_INVALID, "mp_graph_batch: there are too many edges");
        t->nodes += g->n_dst;
        t->graphs += g->n_graphs;
        if (t->nodes > 0x7fffffff)
            return error_set(ctx, MP_INVALID, "mp_graph_batch: there are more than 2^31 nodes");
        t->in_degree |= g->given_in != NULL;
        t->out_degree |= g->given_out != NULL;
    }
    return MP_OK;
}

/* Edge e of the batch is edge e - e0 of the graph, nodes moved by node0. */
static mp_status put_edges(mp_graph *g, int64_t node0, int64_t e0, int64_t *src, int64_t *dst)
{
    mp_status st = mp_graph_edges(g, src + e0, dst + e0);
    for (int64_t e = e0; !st && e < e0 + g->n_edges; e++) {
        src[e] += node0;
        dst[e] += node0;
    }
    return st;
}

static mp_status put_degrees(mp_graph *g, int64_t node0, int64_t *in, int64_t *out)
{
    graph_degrees d;
    mp_status st = MP_OK;
    if (in && !(st = graph_in_degrees(g, &d)))
        memcpy(in + node0, d.count, (size_t)g->n_src * sizeof *in);
    if (!st && out && !(st = graph_out_degrees(g, &d)))
        memcpy(out + node0, d.count, (size_t)g->n_src * sizeof *out);
    return st;
}

static mp_status put_all(mp_graph *const *graphs, int64_t n, int64_t *src, int64_t *dst, int64_t *ptr, int64_t *in, int64_t *out)
{
    int64_t node0 = 0, e0 = 0, k = 0;
    mp_status st = MP_OK;
    ptr[0] = 0;
    for (int64_t i = 0; i < n && !st; i++) {
        mp_graph *g = graphs[i];
        st = put_edges(g, node0, e0, src, dst);
        if (!st)
            st = put_degrees(g, node0, in, out);
        for (int64_t j = 1; j <= g->n_graphs; j++)
            ptr[++k] = node0 + (g->node_ptr ? g->node_ptr[j] : g->n_dst);
        node0 += g->n_dst;
        e0 += g->n_edges;
    }
    return st;
}

mp_status mp_graph_batch(mp_context *ctx, mp_graph *const *graphs, int64_t n, mp_graph **out)
{
    if (!ctx)
        return MP_USAGE;
    if (n < 0 || (n && !graphs) || !out)
        return error_set(ctx, MP_USAGE, "mp_graph_batch: the graphs and the result must not be NULL");
    totals t = { 0 };
    mp_status st = count(ctx, graphs, n, &t);
    if (st)
        return st;
    const char *what = "a batch of graphs";
    int64_t *src = mem_array(ctx, t.edges, sizeof *src, what), *dst = mem_array(ctx, t.edges, sizeof *dst, what);
    int64_t *ptr = mem_array(ctx, t.graphs + 1, sizeof *ptr, what);
    int64_t *in = t.in_degree ? mem_array(ctx, t.nodes, sizeof *in, what) : NULL;
    int64_t *outs = t.out_degree ? mem_array(ctx, t.nodes, sizeof *outs, what) : NULL;
    st = src && dst && ptr && (in || !t.in_degree) && (outs || !t.out_degree) ? MP_OK : MP_SYSTEM;
    if (!st && (st = put_all(graphs, n, src, dst, ptr, in, outs)))
        error_prefix(ctx, st, "mp_graph_batch");
    if (!st) {
        st = mp_graph_create(ctx, &(mp_graph_desc){ .index_bits = 64, .n_src = t.nodes, .n_dst = t.nodes, .n_edges = t.edges,
                                                    .src = src, .dst = dst, .graph_ptr = ptr, .n_graphs = t.graphs,
                                                    .in_degree = in, .out_degree = outs }, out);
    }
    mem_array_free(ctx, src, t.edges, sizeof *src);
    mem_array_free(ctx, dst, t.edges, sizeof *dst);
    mem_array_free(ctx, ptr, t.graphs + 1, sizeof *ptr);
    mem_array_free(ctx, in, t.nodes, sizeof *in);
    mem_array_free(ctx, outs, t.nodes, sizeof *outs);
    return st;
}
