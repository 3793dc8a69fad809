/* See graphs.h. Node 1 has no incoming edges, the last node none at all, where a kind leaves room for it. */
#include "tests/prop/graphs.h"

#include <string.h>

const char *const graph_kind_name[HG_N] = {
    "tiny", "mid", "batch", "block", "block-degrees", "star-in", "star-out", "no-edges", "one-node", "loops", "no-nodes",
    "complete", "path", "two-sided", "no-dst", "graphs-empty", "hub"};

static uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static int64_t below(uint64_t *state, int64_t n) { return n > 0 ? (int64_t)(draw(state) % (uint64_t)n) : 0; }

static void sizes(hard_graph *g, int64_t n_src, int64_t n_dst, int64_t n_edges)
{
    g->n_src = n_src;
    g->n_dst = n_dst;
    g->n_edges = n_edges;
    g->square = n_src == n_dst;
}

static void edge(hard_graph *g, int64_t e, int64_t from, int64_t to)
{
    g->src[e] = (int32_t)from;
    g->dst[e] = (int32_t)to;
}

/* Random edges with a small hub, that leave node 1 without incoming edges and the last one alone. */
static void scatter(hard_graph *g, uint64_t *r)
{
    int64_t ns = g->n_src > 3 ? g->n_src - 1 : g->n_src, nd = g->n_dst > 3 && g->square ? g->n_dst - 1 : g->n_dst;
    for (int64_t e = 0; e < g->n_edges; e++) {
        int64_t from = below(r, ns), to = below(r, 6) ? below(r, nd) : 0;
        edge(g, e, from, to == 1 ? 0 : to);
    }
    if (g->n_edges > 5) {
        edge(g, 2, g->src[1], g->dst[1]);                       /* a repeated edge */
        edge(g, 4, g->dst[3] % g->n_src, g->dst[3]);            /* on a square graph a self-loop */
    }
}

static void batch(arena *mem, hard_graph *g, uint64_t *r, const int64_t *ptr, int64_t n)
{
    g->n_graphs = n;
    g->graph_ptr = arena_copy(mem, ptr, (size_t)(n + 1) * sizeof *ptr);
    for (int64_t e = 0; e < g->n_edges; e++) {
        int64_t k = below(r, n);
        while (ptr[k] == ptr[k + 1])
            k = (k + 1) % n;
        edge(g, e, ptr[k] + below(r, ptr[k + 1] - ptr[k]), ptr[k] + below(r, ptr[k + 1] - ptr[k]));
    }
}

hard_graph *graph_make(arena *mem, graph_kind kind, uint64_t seed)
{
    hard_graph *g = NEW(mem, hard_graph);
    uint64_t r = seed * 31 + (uint64_t)kind;
    g->kind = kind;
    g->n_graphs = 1;
    switch (kind) {
    case HG_TINY: sizes(g, 9, 9, 23); break;
    case HG_MID: sizes(g, 40 + below(&r, 9), 0, 150); sizes(g, g->n_src, g->n_src, 150); break;
    case HG_BATCH: sizes(g, 17, 17, 50); break;
    case HG_BLOCK: case HG_BLOCK_DEGREES: sizes(g, 15, 6, 40); break;
    case HG_STAR_IN: case HG_STAR_OUT: sizes(g, 12, 12, 40); break;
    case HG_NO_EDGES: sizes(g, 6, 6, 0); break;
    case HG_ONE_NODE: sizes(g, 1, 1, 0); break;
    case HG_LOOPS: sizes(g, 1, 1, 3); break;
    case HG_NO_NODES: sizes(g, 0, 0, 0); break;
    case HG_COMPLETE: sizes(g, 6, 6, 36); break;
    case HG_PATH: sizes(g, 10, 10, 9); break;
    case HG_TWO_SIDED: sizes(g, 6, 11, 30); break;
    case HG_NO_DST: sizes(g, 5, 0, 0); break;
    case HG_GRAPHS_EMPTY: sizes(g, 7, 7, 0); break;
    case HG_HUB: sizes(g, 30, 30, 9200); break;
    case HG_N: break;
    }
    g->src = NEW_N(mem, int32_t, g->n_edges + 1);
    g->dst = NEW_N(mem, int32_t, g->n_edges + 1);
    switch (kind) {
    case HG_BATCH: batch(mem, g, &r, (const int64_t[]){0, 5, 6, 6, 12, 17, 17}, 6); break;
    case HG_GRAPHS_EMPTY: batch(mem, g, &r, (const int64_t[]){0, 0, 3, 7, 7}, 4); break;
    case HG_COMPLETE:
        for (int64_t e = 0; e < 36; e++)
            edge(g, e, e / 6, e % 6);
        break;
    case HG_PATH:
        for (int64_t e = 0; e < 9; e++)
            edge(g, e, e, e + 1);
        break;
    case HG_STAR_IN:
        for (int64_t e = 0; e < g->n_edges; e++)
            edge(g, e, below(&r, g->n_src - 1), 0);
        break;
    case HG_STAR_OUT:
        for (int64_t e = 0; e < g->n_edges; e++)
            edge(g, e, 0, below(&r, g->n_dst - 1));
        break;
    case HG_HUB:
        for (int64_t e = 0; e < g->n_edges; e++)
            edge(g, e, below(&r, 16) ? below(&r, 29) : 3, below(&r, 50) ? 3 : below(&r, 29));
        break;
    case HG_TINY: case HG_MID: case HG_BLOCK: case HG_BLOCK_DEGREES: case HG_NO_EDGES: case HG_ONE_NODE: case HG_LOOPS: case HG_NO_NODES:
    case HG_TWO_SIDED: case HG_NO_DST: case HG_N: scatter(g, &r); break;
    }
    g->isolated = NEW_N(mem, uint8_t, g->n_src + g->n_dst + 1);
    memset(g->isolated, 1, (size_t)(g->n_src + g->n_dst));
    for (int64_t e = 0; e < g->n_edges; e++) {
        g->isolated[g->src[e]] = 0;
        g->isolated[g->square || g->n_dst <= g->n_src ? g->dst[e] : g->n_src + g->dst[e]] = 0;
    }
    if (kind == HG_BLOCK_DEGREES) {
        g->degrees = NEW_N(mem, int64_t, g->n_src);
        for (int64_t i = g->n_dst; i < g->n_src; i++)
            g->degrees[i] = below(&r, 4);
        for (int64_t e = 0; e < g->n_edges; e++)
            g->degrees[g->dst[e]]++;
    }
    return g;
}
