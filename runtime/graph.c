/*
 * Graph objects: memory, holders, and the small questions. Making them from arrays is graph_build.c, their walk orders
 * are graph_order.c.
 */
#include "runtime/graph.h"

#include <string.h>
#include "runtime/context.h"
#include "runtime/device_fiber.h"

enum { MAX_NODES = 0x7fffffff };

mp_status graph_new(mp_context *ctx, int64_t n_src, int64_t n_dst, int64_t n_edges, mp_graph **out)
{
    if (n_src < 0 || n_dst < 0 || n_edges < 0) {
        return error_set(ctx, MP_INVALID, "a graph cannot have %lld source nodes, %lld destination nodes and %lld edges",
                         (long long)n_src, (long long)n_dst, (long long)n_edges);
    }
    if (n_src > MAX_NODES || n_dst > MAX_NODES) {
        return error_set(ctx, MP_INVALID, "%lld nodes are too many: a side may have at most %d",
                         (long long)(n_src > n_dst ? n_src : n_dst), MAX_NODES);
    }
    mp_graph *g = mem_zalloc(ctx, sizeof *g);
    if (!g)
        return error_memory(ctx, sizeof *g, "a graph");
    if (pthread_mutex_init(&g->lock, NULL)) {
        mem_free(ctx, g, sizeof *g);
        return error_set(ctx, MP_SYSTEM, "a lock cannot be made");
    }
    g->ctx = ctx;
    g->n_src = n_src;
    g->n_dst = n_dst;
    g->n_edges = n_edges;
    g->n_graphs = 1;
    g->is_square = g->src_degrees_known = n_src == n_dst;
    atomic_init(&g->holders, 1);
    context_retain(ctx);
    *out = g;
    return MP_OK;
}

void *graph_own(mp_graph *g, int64_t n, size_t size, const char *what)
{
    if (g->n_owned == GRAPH_OWNED) {
        error_set(g->ctx, MP_SYSTEM, "a graph has no place for %s", what);
        return NULL;
    }
    void *p = mem_array(g->ctx, n, size, what);
    if (p) {
        g->owned[g->n_owned] = p;
        g->owned_bytes[g->n_owned++] = (size_t)n * size;
    }
    return p;
}

void graph_disown(mp_graph *g, int n_owned)
{
    while (g->n_owned > n_owned) {
        g->n_owned--;
        mem_free(g->ctx, g->owned[g->n_owned], g->owned_bytes[g->n_owned]);
    }
}

void graph_retain(mp_graph *g)
{
    atomic_fetch_add_explicit(&g->holders, 1, memory_order_relaxed);
}

void graph_release(mp_graph *g)
{
    if (!g || atomic_fetch_sub_explicit(&g->holders, 1, memory_order_acq_rel) != 1)
        return;
    mp_context *ctx = g->ctx;
    device_graph_free(g);
    graph_disown(g, 0);
    pthread_mutex_destroy(&g->lock);
    mem_free(ctx, g, sizeof *g);
    context_release(ctx);
}

void mp_graph_destroy(mp_graph *g)
{
    graph_release(g);
}

int64_t mp_graph_num_src(const mp_graph *g)
{
    return g ? g->n_src : 0;
}

int64_t mp_graph_num_dst(const mp_graph *g)
{
    return g ? g->n_dst : 0;
}

int64_t mp_graph_num_edges(const mp_graph *g)
{
    return g ? g->n_edges : 0;
}

int64_t mp_graph_num_graphs(const mp_graph *g)
{
    return g ? g->n_graphs : 0;
}

mp_status mp_graph_edges(mp_graph *g, int64_t *src, int64_t *dst)
{
    if (!g)
        return MP_USAGE;
    if (g->n_edges && (!src || !dst))
        return error_set(g->ctx, MP_USAGE, "mp_graph_edges: src and dst must not be NULL");
    if (g->complete) {
        for (int64_t i = 0, e = 0; i < g->n_src; i++) {
            for (int64_t j = 0; j < g->n_dst; j++, e++) {
                src[e] = i;
                dst[e] = j;
            }
        }
        return MP_OK;
    }
    for (int64_t e = 0; e < g->n_edges; e++) {
        src[e] = g->src[e];
        dst[e] = g->dst[e];
    }
    return MP_OK;
}

mp_status mp_graph_edge_order(mp_graph *g, int64_t *order)
{
    if (!g)
        return MP_USAGE;
    if (g->n_edges && !order)
        return error_set(g->ctx, MP_USAGE, "mp_graph_edge_order: order must not be NULL");
    const graph_rows *in;
    mp_status st = graph_in(g, &in);
    if (st)
        return st;
    for (int64_t k = 0; k < g->n_edges; k++)
        order[k] = graph_position(in->eid, k);
    return MP_OK;
}
