/* Graphs made up for `mpc check`: see check_graphs.h. */
#include "compiler/driver/check_graphs.h"

#include <stddef.h>

enum { MOST_EDGES = 700 };

typedef struct made {
    const char *name;
    int n_src, n_dst, n_edges;
    int fill;                       /* edges into node 0, in percent; the others go anywhere but into node 1 */
    bool two_sided, block;
    int n_graphs, graph_ptr[8];
} made;

/* Node 1 has no incoming edges and the last node none at all, where there are enough nodes. */
static const made list[CHECK_GRAPHS] = {
    {.name = "scattered", .n_src = 11, .n_dst = 11, .n_edges = 31, .fill = 15},
    {.name = "batch", .n_src = 16, .n_dst = 16, .n_edges = 44, .n_graphs = 5, .graph_ptr = {0, 6, 7, 7, 12, 16}},
    {.name = "hub", .n_src = 30, .n_dst = 30, .n_edges = 640, .fill = 90},
    {.name = "no edges", .n_src = 5, .n_dst = 5},
    {.name = "one node, its own neighbour", .n_src = 1, .n_dst = 1, .n_edges = 3, .fill = 100},
    {.name = "block", .n_src = 14, .n_dst = 6, .n_edges = 30, .fill = 15, .block = true},
    {.name = "two sides", .n_src = 7, .n_dst = 10, .n_edges = 33, .fill = 15, .two_sided = true},
    {.name = "two sides, a hub", .n_src = 25, .n_dst = 8, .n_edges = 500, .fill = 90, .two_sided = true},
    {.name = "two sides, no edges", .n_src = 3, .n_dst = 4, .two_sided = true},
};

const char *check_graph_name(int number)
{
    return list[number].name;
}

bool check_graph_two_sided(int number)
{
    return list[number].two_sided;
}

bool check_graph_is_block(int number)
{
    return list[number].block;
}

static uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static int below(uint64_t *state, int n)
{
    return (int)(draw(state) % (uint64_t)n);
}

static void scatter(const made *m, uint64_t *r, int32_t *src, int32_t *dst)
{
    bool same = !m->two_sided;
    int from = m->n_src > 3 ? m->n_src - 1 : m->n_src, to = same && m->n_dst == m->n_src && m->n_dst > 3 ? m->n_dst - 1 : m->n_dst;
    for (int e = 0; e < m->n_edges; e++) {
        src[e] = below(r, from);
        dst[e] = below(r, 100) < m->fill ? 0 : below(r, to);
        if (dst[e] == 1)
            dst[e] = 0;
    }
    for (int e = 8; e < m->n_edges; e += 8) {       /* repeated edges, and self-loops where nodes are the same */
        src[e] = src[e - 1];
        dst[e] = dst[e - 1];
        if (same && e + 1 < m->n_edges)
            src[e + 1] = dst[e + 1];
    }
}

static void scatter_batch(const made *m, uint64_t *r, int32_t *src, int32_t *dst)
{
    for (int e = 0; e < m->n_edges; e++) {
        int k = below(r, m->n_graphs), first = m->graph_ptr[k], n = m->graph_ptr[k + 1] - first;
        if (n == 0) {
            first = 0;
            n = m->graph_ptr[1];
        }
        src[e] = first + below(r, n);
        dst[e] = first + below(r, n);
    }
}

mp_status check_graph_make(mp_context *ctx, int number, uint64_t seed, mp_graph **out)
{
    const made *m = &list[number];
    int32_t src[MOST_EDGES], dst[MOST_EDGES], degree[64] = {0};
    uint64_t r = seed * 64 + (uint64_t)number;
    if (m->n_graphs)
        scatter_batch(m, &r, src, dst);
    else
        scatter(m, &r, src, dst);
    for (int i = m->n_dst; i < m->n_src && m->block; i++)
        degree[i] = below(&r, 4);
    for (int e = 0; e < m->n_edges && m->block; e++)
        degree[dst[e]]++;
    mp_graph_desc d = {.size = sizeof d, .n_src = m->n_src, .n_dst = m->n_dst, .n_edges = m->n_edges, .src = src, .dst = dst,
                       .graph_ptr = m->n_graphs ? m->graph_ptr : NULL, .n_graphs = m->n_graphs,
                       .in_degree = m->block ? degree : NULL};
    return mp_graph_create(ctx, &d, out);
}
