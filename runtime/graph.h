/*
 * Graphs as kernels see them. The edge list is copied and checked once when a graph is made; everything else is built
 * at the first need, once, by whichever thread comes first: incoming rows (the walk order: by destination, in edge
 * order within a row), outgoing rows, degrees, the graph of each node. What a function here returns lives with the
 * graph and never changes. Its user keeps the graph alive by graph_retain.
 */
#ifndef RUNTIME_GRAPH_H
#define RUNTIME_GRAPH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "mp.h"

/* A position in a list of edges: 32 bits when the graph has fewer than 2^31 edges, else 64; exactly one pointer of the
 * two is set, or none where the map is the identity (or the graph has no edges). */
typedef struct graph_positions {
    const int32_t *i32;
    const int64_t *i64;
} graph_positions;

static inline int64_t graph_position(graph_positions p, int64_t k)
{
    return p.i32 ? p.i32[k] : p.i64 ? p.i64[k] : k;
}

/* Rows of edges. Incoming: a row a destination, `other` is the source. Outgoing: a row a source, `other` the
 * destination. Row i has the edges k in ptr[i] .. ptr[i+1]-1. */
typedef struct graph_rows {
    int64_t n_rows, n_edges;
    int64_t max_row;            /* edges of the longest row */
    bool full;                  /* every row lists 0, 1, 2 .. to the other side's last node: no list need be read */
    const int64_t *ptr;         /* [n_rows + 1] */
    const int32_t *other;       /* [n_edges] */
    graph_positions eid;        /* [n_edges]: place in the edge list; identity where neither is set */
    graph_positions pos;        /* outgoing only: place in the incoming walk order */
} graph_rows;

/* Numbers of edges. in: n is n_dst, or n_src where the caller gave all degrees. out: n is n_src. */
typedef struct graph_degrees {
    int64_t n;
    const int64_t *count;
} graph_degrees;

/* A batch. For a block or a two-sided graph: one graph of n_dst nodes. */
typedef struct graph_batch {
    int64_t n_graphs;
    const int64_t *node_ptr;    /* [n_graphs + 1]: destination nodes; the sources of a square graph, too */
    const int64_t *edge_ptr;    /* [n_graphs + 1]: edges in the incoming walk order */
    const int32_t *of_node;     /* [max(n_src, n_dst)]: graph of a node; all 0 for a single graph */
} graph_batch;

enum { GRAPH_OWNED = 40, GRAPH_ARRAYS = 20 };

struct device_graph;                /* device_fiber.c */

struct mp_graph {
    mp_context *ctx;
    _Atomic int64_t holders;
    int64_t n_src, n_dst, n_edges, n_graphs;
    bool is_square;             /* n_src == n_dst: sources and destinations are the same nodes */
    bool complete;              /* all n_src * n_dst edges, edge i * n_dst + j from i to j; lists are made at need */
    bool src_degrees_known;     /* the caller gave in_degree of all n_src nodes (or the graph is square) */

    /* Below: by the functions of this header only. `lock` guards the building; a `have` bit is set when done. */
    pthread_mutex_t lock;
    _Atomic unsigned have;
    int32_t *src, *dst;                 /* edge list; NULL for a complete graph until asked for */
    int64_t *given_in, *given_out;      /* degrees from the caller, [n_src], or NULL */
    int64_t *node_ptr;                  /* [n_graphs + 1] */
    graph_rows in, out;
    graph_degrees in_deg, out_deg;
    graph_batch batch;
    _Atomic(const void *) arrays[GRAPH_ARRAYS];     /* graph_arrays.h: made at need, NULL before */
    struct device_graph *device;        /* the same on a GPU, as far as it was asked for */
    void *owned[GRAPH_OWNED];           /* memory behind the above, freed with the graph */
    size_t owned_bytes[GRAPH_OWNED];
    int n_owned;
};

void graph_retain(mp_graph *g);
void graph_release(mp_graph *g);

/* Each builds at need; on failure (memory) the message is set and *out untouched. */
mp_status graph_in(mp_graph *g, const graph_rows **out);
mp_status graph_out(mp_graph *g, const graph_rows **out);
mp_status graph_list(mp_graph *g, const int32_t **src, const int32_t **dst);    /* in edge order */
mp_status graph_in_degrees(mp_graph *g, graph_degrees *out);
mp_status graph_out_degrees(mp_graph *g, graph_degrees *out);
mp_status graph_batches(mp_graph *g, graph_batch *out);

/* For the files that make and build graphs. graph_new: checked sizes, empty otherwise, held by the caller. graph_own:
 * n elements that are freed with the graph; NULL with the message set. */
mp_status graph_new(mp_context *ctx, int64_t n_src, int64_t n_dst, int64_t n_edges, mp_graph **out);
void *graph_own(mp_graph *g, int64_t n, size_t size, const char *what);
void graph_disown(mp_graph *g, int n_owned);     /* frees what was owned after there were n_owned */

enum {
    GRAPH_HAVE_LIST = 1, GRAPH_HAVE_IN = 2, GRAPH_HAVE_OUT = 4, GRAPH_HAVE_IN_DEG = 8, GRAPH_HAVE_OUT_DEG = 16,
    GRAPH_HAVE_BATCH = 32
};

#endif
