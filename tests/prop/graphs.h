/* Hard graphs: empty ones, isolated nodes, hubs, repeated edges, self-loops, blocks, batches. */
#ifndef MPC_TESTS_PROP_GRAPHS_H
#define MPC_TESTS_PROP_GRAPHS_H

#include "compiler/support/arena.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum graph_kind {
    HG_TINY, HG_MID, HG_BATCH, HG_BLOCK, HG_BLOCK_DEGREES, HG_STAR_IN, HG_STAR_OUT, HG_NO_EDGES, HG_ONE_NODE, HG_LOOPS, HG_NO_NODES,
    HG_COMPLETE, HG_PATH, HG_TWO_SIDED, HG_NO_DST, HG_GRAPHS_EMPTY, HG_HUB,
    HG_N
} graph_kind;
extern const char *const graph_kind_name[HG_N];

typedef struct hard_graph {
    graph_kind kind;
    int64_t n_src, n_dst, n_edges;
    int32_t *src, *dst;
    bool square;
    int64_t n_graphs, *graph_ptr;       /* NULL: one graph */
    int64_t *degrees;                   /* incoming edges of all source nodes, in the graph a block is part of; or NULL */
    uint8_t *isolated;                  /* by source-side node: no edge here */
} hard_graph;

/* HG_HUB has more members of one node than the runtime cuts in pieces; it is the only large one. */
hard_graph *graph_make(arena *mem, graph_kind kind, uint64_t seed);

#endif
