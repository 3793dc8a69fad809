/*
 * Graphs on a GPU: arrays of a graph and the members of its rows, uploaded once each and kept with the graph.
 *
 * Rows with more than DEVICE_HUB members are hubs, walked in pieces of DEVICE_PIECE members; all rows are listed in the
 * order in which groups of lanes take them: by powers of two of their members, the longest first, so that neighbours
 * have about equal work and the longest are not left for the end. Both are a graph's constants, never a device's.
 */
#ifndef RUNTIME_DEVICE_FIBER_H
#define RUNTIME_DEVICE_FIBER_H

#include "runtime/abi.h"
#include "runtime/device.h"
#include "runtime/graph.h"

enum { DEVICE_HUB = 512, DEVICE_PIECE = 256 };

typedef struct device_fiber {
    int64_t n_rows, n_hubs, n_pieces;
    const int64_t *ptr;                             /* this and the others: on the device, in one block */
    const int32_t *order;                           /* NULL: as they are */
    const int64_t *hub_row, *hub_first, *piece_row, *piece_at;
    const int64_t *counts;                          /* rows, hubs, pieces as the device finds them: the numbers above are the most then; or NULL */
    void *memory;
    size_t bytes;
} device_fiber;

/* From offsets on the host. */
mp_status device_fiber_make(mp_context *ctx, const int64_t *ptr, int64_t n_rows, device_fiber *out);
void device_fiber_free(mp_context *ctx, device_fiber *f);
/* Pieces that rows with so many members can have at most. */
int64_t device_fiber_most_pieces(int64_t n_members);

/* The same array as graph_array's, on the device. */
mp_status device_graph_array(mp_graph *g, mp_graph_array which, const void **out);
/* A fiber of the graph's own whose offsets are `ptr`: of FIBER_IN, OUT, GRAPH_DST, GRAPH_EDGE. It lives with the graph. */
mp_status device_graph_fiber(mp_graph *g, mp_fiber fiber, const int64_t *ptr, int64_t n_rows, const device_fiber **out);
void device_graph_free(mp_graph *g);

#endif
