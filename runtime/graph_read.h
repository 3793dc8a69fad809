/*
 * Graphs from files and from short descriptions: what `--graph` takes. A source is an edge list with what came along;
 * graph_source_graph makes the graph of it. Messages name file and line, or array and position.
 */
#ifndef RUNTIME_GRAPH_READ_H
#define RUNTIME_GRAPH_READ_H

#include <stdbool.h>
#include "mp.h"
#include "runtime/tensor.h"

typedef struct graph_source {
    int64_t n_src, n_dst, n_edges;
    bool n_known;               /* the numbers of nodes were given; otherwise they are the largest node named + 1 */
    bool complete;              /* all n_src * n_dst edges in row order: no lists */
    int32_t *src, *dst;         /* [n_edges], or NULL */
    double *weights;            /* [n_edges], or NULL: none were given */
    int64_t *graph_ptr;         /* [n_graphs + 1], or NULL */
    int64_t n_graphs;
    int32_t *labels;            /* [n_src] with karate: the side that each member took, 0 or 1; else NULL */
    bool is_folder;             /* other arrays may be beside the edges */
} graph_source;

mp_status graph_source_read(mp_context *ctx, const char *spec, graph_source *out);
void graph_source_free(mp_context *ctx, graph_source *s);

/* n_src and n_dst: -1 for those of the source; more than those where the source does not know them (a bound array has
 * more rows than the largest node of an edge). */
mp_status graph_source_graph(mp_context *ctx, const graph_source *s, int64_t n_src, int64_t n_dst, mp_graph **out);

/* A matrix that a folder holds as NAME_indptr.npy, NAME_indices.npy, NAME_data.npy, NAME_shape.npy. Repeated entries
 * of a place are added up. */
typedef struct sparse_matrix {
    int64_t n_rows, n_cols, n_entries;
    int64_t *ptr;               /* [n_rows + 1] */
    int32_t *col;               /* [n_entries] */
    DLManagedTensor *data;      /* [n_entries], floating */
} sparse_matrix;

bool sparse_matrix_exists(mp_context *ctx, const char *folder, const char *name);
mp_status sparse_matrix_read(mp_context *ctx, const char *folder, const char *name, sparse_matrix *out);
mp_status sparse_matrix_dense(mp_context *ctx, const sparse_matrix *m, DLManagedTensor **out);   /* of data's type */
void sparse_matrix_free(mp_context *ctx, sparse_matrix *m);

/* The parts, by format. Each fills in an empty source, which the caller frees, on failure too. */
mp_status graph_read_folder(mp_context *ctx, const char *path, graph_source *out);
mp_status graph_read_text(mp_context *ctx, const char *path, graph_source *out);   /* MatrixMarket or an edge list */
mp_status graph_make_complete(mp_context *ctx, const char *spec, const char *args, graph_source *out);
mp_status graph_make_rmat(mp_context *ctx, const char *spec, const char *args, graph_source *out);
mp_status graph_make_er(mp_context *ctx, const char *spec, const char *args, graph_source *out);
mp_status graph_make_karate(mp_context *ctx, graph_source *out);

/* Room for n_edges edges; sets n_edges. */
mp_status graph_source_edges(mp_context *ctx, graph_source *out, int64_t n_edges, bool weighted);
/* 1 + the largest node of the lists (0 without edges), as both numbers of nodes. */
void graph_source_infer_nodes(graph_source *s);

/* The non-zero elements of a matrix in row order; for mp_graph_from_dense and folders. `src`, `dst`, `weights` have
 * room for *n_edges elements, or are NULL: then they are only counted. */
mp_status graph_dense_edges(mp_context *ctx, const char *name, const DLTensor *a, int64_t *n_edges, int32_t *src,
                            int32_t *dst, double *weights);

#endif
