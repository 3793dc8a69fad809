/*
 * Blocks of sampled neighbours (Hamilton et al., GraphSAGE, NeurIPS 2017). A node's edges are chosen by one pass over
 * its incoming row, each taken with probability (still wanted) / (still left), which gives every subset the same chance
 * and keeps edge order. A draw depends on seed, node and place in the row alone.
 */
#include <string.h>

#include "runtime/context.h"
#include "runtime/graph.h"
#include "runtime/random.h"
#include "runtime/tensor.h"

/* Original node -> place in the block: open addressing, at most half full. */
typedef struct node_map {
    int64_t size;               /* a power of two */
    int32_t *key, *value;       /* key -1: free */
} node_map;

static mp_status map_create(mp_context *ctx, int64_t n, node_map *out)
{
    node_map m = { .size = 16 };
    while (m.size < 2 * n)
        m.size *= 2;
    m.key = mem_array(ctx, m.size, sizeof *m.key, "a sample");
    m.value = mem_array(ctx, m.size, sizeof *m.value, "a sample");
    if (m.key)
        memset(m.key, 0xff, (size_t)m.size * sizeof *m.key);
    *out = m;
    return m.key && m.value ? MP_OK : MP_SYSTEM;
}

static void map_free(mp_context *ctx, node_map *m)
{
    mem_array_free(ctx, m->key, m->size, sizeof *m->key);
    mem_array_free(ctx, m->value, m->size, sizeof *m->value);
}

/* The node's place; `next` if it was not there, and then it is there with that place. */
static int32_t map_place(node_map *m, int32_t node, int32_t next)
{
    uint64_t at = (uint64_t)(uint32_t)node * 0x9e3779b97f4a7c15u >> 20;
    for (;; at++) {
        int64_t i = (int64_t)(at & (uint64_t)(m->size - 1));
        if (m->key[i] == node)
            return m->value[i];
        if (m->key[i] < 0) {
            m->key[i] = node;
            m->value[i] = next;
            return next;
        }
    }
}

typedef struct sample {
    mp_context *ctx;
    mp_graph *g;
    const graph_rows *in;
    int64_t n_nodes, n_edges;       /* edges: exactly as many as will be taken */
    int64_t fanout;
    uint64_t seed;
    node_map map;
    int64_t n_src;
    DLManagedTensor *src_nodes, *edge_ids;
    int64_t *src, *dst;             /* [n_edges] */
    int64_t *in_degree, *out_degree;    /* [n_src] */
} sample;

static int64_t taken_of(const sample *s, int64_t node)
{
    int64_t all = s->in->ptr[node + 1] - s->in->ptr[node];
    return s->fanout >= 0 && all > s->fanout ? s->fanout : all;
}

/* Checks the nodes, gives them the first places, and counts the edges. */
static mp_status begin(sample *s, const int64_t *nodes)
{
    for (int64_t i = 0; i < s->n_nodes; i++) {
        if (nodes[i] < 0 || nodes[i] >= s->g->n_dst) {
            return error_set(s->ctx, MP_INVALID, "nodes: element %lld is %lld, but must be in 0..%lld", (long long)i,
                             (long long)nodes[i], (long long)s->g->n_dst - 1);
        }
        s->n_edges += taken_of(s, nodes[i]);
    }
    /* No more places than nodes of the graph, however many edges there are. */
    int64_t places = s->n_nodes + s->n_edges;
    mp_status st = map_create(s->ctx, places < s->g->n_src ? places : s->g->n_src, &s->map);
    for (int64_t i = 0; i < s->n_nodes && !st; i++) {
        if (i >= s->g->n_src || map_place(&s->map, (int32_t)nodes[i], (int32_t)i) != i) {
            st = error_set(s->ctx, MP_INVALID, "nodes: element %lld is %lld, which was there before: they must be distinct",
                           (long long)i, (long long)nodes[i]);
        }
    }
    s->n_src = s->n_nodes;
    return st;
}

static mp_status make_room(sample *s)
{
    s->src = mem_array(s->ctx, s->n_edges, sizeof *s->src, "a sample");
    s->dst = mem_array(s->ctx, s->n_edges, sizeof *s->dst, "a sample");
    return s->src && s->dst ? tensor_new(s->ctx, TENSOR_I64, 1, &s->n_edges, &s->edge_ids) : MP_SYSTEM;
}

static void choose(sample *s, const int64_t *nodes)
{
    int64_t e = 0, *ids = s->edge_ids->dl_tensor.data;
    for (int64_t i = 0; i < s->n_nodes; i++) {
        int64_t first = s->in->ptr[nodes[i]], left = s->in->ptr[nodes[i] + 1] - first, wanted = taken_of(s, nodes[i]);
        for (int64_t k = first; wanted; k++, left--) {
            uint64_t draw = wanted == left ? 0 : random_below(s->seed, (uint64_t)nodes[i], (uint64_t)(k - first), (uint64_t)left);
            if (draw >= (uint64_t)wanted)
                continue;
            wanted--;
            int32_t place = map_place(&s->map, s->in->other[k], (int32_t)s->n_src);
            s->n_src += place == s->n_src;
            s->src[e] = place;
            s->dst[e] = (int32_t)i;
            ids[e++] = graph_position(s->in->eid, k);
        }
    }
}

/* The original nodes, by place, and their degrees in the whole graph. */
static mp_status look_up(sample *s)
{
    graph_degrees in, out;
    mp_status st = graph_in_degrees(s->g, &in);
    if (!st)
        st = graph_out_degrees(s->g, &out);
    if (!st)
        st = tensor_new(s->ctx, TENSOR_I64, 1, &s->n_src, &s->src_nodes);
    if (st)
        return st;
    s->in_degree = mem_array(s->ctx, s->n_src, sizeof *s->in_degree, "a sample");
    s->out_degree = mem_array(s->ctx, s->n_src, sizeof *s->out_degree, "a sample");
    if (!s->in_degree || !s->out_degree)
        return MP_SYSTEM;
    int64_t *nodes = s->src_nodes->dl_tensor.data;
    for (int64_t i = 0; i < s->map.size; i++) {
        if (s->map.key[i] < 0)
            continue;
        int64_t place = s->map.value[i];
        nodes[place] = s->map.key[i];
        s->in_degree[place] = in.count[s->map.key[i]];
        s->out_degree[place] = out.count[s->map.key[i]];
    }
    return MP_OK;
}

static mp_status make_block(const sample *s, mp_graph **block)
{
    return mp_graph_create(s->ctx, &(mp_graph_desc){ .index_bits = 64, .n_src = s->n_src, .n_dst = s->n_nodes,
                                                     .n_edges = s->n_edges, .src = s->src, .dst = s->dst,
                                                     .in_degree = s->in_degree, .out_degree = s->out_degree }, block);
}

static void hand_over(DLManagedTensor *t, bool good, DLManagedTensor **out)
{
    if (good && out)
        *out = t;
    else if (t)
        t->deleter(t);
}

mp_status mp_graph_sample(mp_graph *g, const int64_t *nodes, int64_t n_nodes, int64_t fanout, uint64_t seed, mp_graph **block,
                          DLManagedTensor **src_nodes, DLManagedTensor **edge_ids)
{
    if (!g)
        return MP_USAGE;
    if (n_nodes < 0 || (n_nodes && !nodes) || !block)
        return error_set(g->ctx, MP_USAGE, "mp_graph_sample: the nodes and the result must not be NULL");
    if (!g->src_degrees_known)
        return error_set(g->ctx, MP_INVALID, "mp_graph_sample: the graph must be square, or know the degrees of all its source nodes");
    sample s = { .ctx = g->ctx, .g = g, .n_nodes = n_nodes, .fanout = fanout, .seed = seed };
    mp_status st = graph_in(g, &s.in);
    if (!st)
        st = begin(&s, nodes);
    if (!st)
        st = make_room(&s);
    if (!st) {
        choose(&s, nodes);
        st = look_up(&s);
    }
    if (!st)
        st = make_block(&s, block);
    map_free(s.ctx, &s.map);
    mem_array_free(s.ctx, s.src, s.n_edges, sizeof *s.src);
    mem_array_free(s.ctx, s.dst, s.n_edges, sizeof *s.dst);
    mem_array_free(s.ctx, s.in_degree, s.n_src, sizeof *s.in_degree);
    mem_array_free(s.ctx, s.out_degree, s.n_src, sizeof *s.out_degree);
    hand_over(s.src_nodes, !st, src_nodes);
    hand_over(s.edge_ids, !st, edge_ids);
    return st;
}
