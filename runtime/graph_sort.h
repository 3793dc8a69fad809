/*
 * The counting sort behind walk orders: rows of edges by one end, in edge order within a row. It goes by threads and by
 * blocks that stay in cache; its result depends on neither.
 */
#ifndef RUNTIME_GRAPH_SORT_H
#define RUNTIME_GRAPH_SORT_H

#include "runtime/graph.h"

/* What is sorted and where it goes. Fewer than 2^31 edges. */
typedef struct edge_sort {
    int64_t n_edges, n_keys;
    const int32_t *key;         /* [n_edges]: 0..n_keys-1 */
    const int32_t *other;       /* [n_edges] */
    const int32_t *extra;       /* [n_edges], or NULL */
    int64_t *ptr;               /* [n_keys + 1], written */
    int32_t *other_out;         /* [n_edges], written: other in the new order */
    int32_t *eid_out;           /* [n_edges], written: place before the sort */
    int32_t *extra_out;         /* [n_edges], written where extra is given */
} edge_sort;

mp_status graph_sort_edges(mp_context *ctx, const edge_sort *s);

#endif
