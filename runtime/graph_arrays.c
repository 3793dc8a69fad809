/*
 * Graph arrays for kernels. What they are made from is built first, each under its own lock; then the array is made
 * under the graph's lock, so that two threads do not make it twice.
 */
#include "runtime/graph_arrays.h"

#include "runtime/context.h"

_Static_assert((int)GRAPH_N_ARRAYS <= (int)GRAPH_ARRAYS, "a place for each array");

static mp_status build_sources(mp_graph *g, mp_graph_array which)
{
    const graph_rows *rows;
    graph_degrees degrees;
    graph_batch batch;
    switch (which) {
    case GRAPH_IN_SRC: case GRAPH_IN_DST: case GRAPH_IN_EID: case GRAPH_IN_PTR: case GRAPH_IN_PLACE:
        return graph_in(g, &rows);
    case GRAPH_OUT_DST: case GRAPH_OUT_SRC: case GRAPH_OUT_POS: case GRAPH_OUT_EID: case GRAPH_OUT_PTR:
        return graph_out(g, &rows);
    case GRAPH_OUT_PLACE_IN: case GRAPH_IN_PLACE_OUT: {
        mp_status st = graph_in(g, &rows);
        return st ? st : graph_out(g, &rows);
    }
    case GRAPH_IN_DEGREE:
        return graph_in_degrees(g, &degrees);
    case GRAPH_OUT_DEGREE:
        return graph_out_degrees(g, &degrees);
    case GRAPH_DST_GRAPH: case GRAPH_SRC_GRAPH: case GRAPH_NUM_NODES: case GRAPH_NUM_EDGES:
        return graph_batches(g, &batch);
    case GRAPH_TOTALS: case GRAPH_IN_IDENTITY: case GRAPH_N_ARRAYS:
        break;
    }
    return MP_OK;
}

/* The row of each position. */
static const void *row_of_position(mp_graph *g, const graph_rows *r, const int32_t *list)
{
    if (!r->eid.i32 && !r->eid.i64 && list)
        return list;
    int32_t *rows = graph_own(g, r->n_edges, sizeof *rows, "the row of each edge");
    for (int64_t i = 0; rows && i < r->n_rows; i++)
        for (int64_t k = r->ptr[i]; k < r->ptr[i + 1]; k++)
            rows[k] = (int32_t)i;
    return rows;
}

static const void *wide_positions(mp_graph *g, graph_positions p)
{
    if (p.i64)
        return p.i64;
    int64_t *wide = graph_own(g, g->n_edges, sizeof *wide, "the order of the edges");
    for (int64_t k = 0; wide && k < g->n_edges; k++)
        wide[k] = graph_position(p, k);
    return wide;
}

/* Places of edges among those of their row, for all positions of `walk`. */
static const void *places(mp_graph *g, const graph_rows *r)
{
    int32_t *place = graph_own(g, r->n_edges, sizeof *place, "places of edges");
    for (int64_t i = 0; place && i < r->n_rows; i++)
        for (int64_t k = r->ptr[i]; k < r->ptr[i + 1]; k++)
            place[k] = (int32_t)(k - r->ptr[i]);
    return place;
}

/* The same by position of the other walk: out.pos names positions of the incoming one. */
static const void *places_across(mp_graph *g, bool by_out)
{
    int32_t *place = graph_own(g, g->n_edges, sizeof *place, "places of edges");
    const graph_rows *in = &g->in, *out = &g->out;
    for (int64_t i = 0; place && !by_out && i < out->n_rows; i++)
        for (int64_t k = out->ptr[i]; k < out->ptr[i + 1]; k++)
            place[graph_position(out->pos, k)] = (int32_t)(k - out->ptr[i]);
    for (int64_t k = 0; place && by_out && k < out->n_edges; k++)
        place[k] = (int32_t)(graph_position(out->pos, k) - in->ptr[out->other[k]]);
    return place;
}

static const void *reals_of_counts(mp_graph *g, const int64_t *count, int64_t known, int64_t n)
{
    double *d = graph_own(g, n, sizeof *d, "degrees");
    for (int64_t i = 0; d && i < n; i++)
        d[i] = i < known ? (double)count[i] : 0;
    return d;
}

static const void *sizes(mp_graph *g, const int64_t *ptr)
{
    double *d = graph_own(g, g->n_graphs, sizeof *d, "the sizes of graphs");
    for (int64_t k = 0; d && k < g->n_graphs; k++)
        d[k] = (double)(ptr[k + 1] - ptr[k]);
    return d;
}

static const void *totals(mp_graph *g)
{
    double *d = graph_own(g, 4, sizeof *d, "the totals of a graph");
    if (d) {
        d[0] = (double)g->n_dst;
        d[1] = (double)g->n_edges;
        d[2] = (double)g->n_graphs;
        d[3] = (double)g->n_src;
    }
    return d;
}

static const void *make(mp_graph *g, mp_graph_array which)
{
    int64_t most = g->n_src > g->n_dst ? g->n_src : g->n_dst;
    switch (which) {
    case GRAPH_IN_SRC: return g->in.other;
    case GRAPH_IN_DST: return row_of_position(g, &g->in, g->complete ? NULL : g->dst);
    case GRAPH_IN_EID: return wide_positions(g, g->in.eid);
    case GRAPH_IN_PTR: return g->in.ptr;
    case GRAPH_OUT_DST: return g->out.other;
    case GRAPH_OUT_SRC: return row_of_position(g, &g->out, g->complete ? NULL : g->src);
    case GRAPH_OUT_POS: return wide_positions(g, g->out.pos);
    case GRAPH_OUT_EID: return wide_positions(g, g->out.eid);
    case GRAPH_OUT_PTR: return g->out.ptr;
    case GRAPH_IN_DEGREE: return reals_of_counts(g, g->in_deg.count, g->in_deg.n, most);
    case GRAPH_OUT_DEGREE: return reals_of_counts(g, g->out_deg.count, g->out_deg.n, most);
    case GRAPH_DST_GRAPH: case GRAPH_SRC_GRAPH: return g->batch.of_node;
    case GRAPH_NUM_NODES: return sizes(g, g->batch.node_ptr);
    case GRAPH_NUM_EDGES: return sizes(g, g->batch.edge_ptr);
    case GRAPH_TOTALS: return totals(g);
    case GRAPH_IN_IDENTITY: return wide_positions(g, (graph_positions){ 0 });
    case GRAPH_IN_PLACE: return places(g, &g->in);
    case GRAPH_OUT_PLACE_IN: return places_across(g, true);
    case GRAPH_IN_PLACE_OUT: return places_across(g, false);
    case GRAPH_N_ARRAYS: break;
    }
    return NULL;
}

mp_status graph_array(mp_graph *g, mp_graph_array which, const void **out)
{
    const void *made = atomic_load_explicit(&g->arrays[which], memory_order_acquire);
    if (!made) {
        mp_status st = build_sources(g, which);
        if (st)
            return st;
        pthread_mutex_lock(&g->lock);
        made = atomic_load_explicit(&g->arrays[which], memory_order_relaxed);
        if (!made) {
            made = make(g, which);
            atomic_store_explicit(&g->arrays[which], made, memory_order_release);
        }
        pthread_mutex_unlock(&g->lock);
        if (!made)
            return MP_SYSTEM;               /* the message is set */
    }
    *out = made;
    return MP_OK;
}
