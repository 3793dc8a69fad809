/*
 * Which kind of graph a description means, and the folder of arrays.
 */
#include "runtime/graph_read.h"

#include <ctype.h>
#include <string.h>
#include "runtime/context.h"
#include "runtime/convert.h"
#include "runtime/file.h"
#include "runtime/graph.h"
#include "runtime/npy.h"

enum { MAX_NODES = 0x7fffffff };

mp_status graph_source_edges(mp_context *ctx, graph_source *s, int64_t n_edges, bool weighted)
{
    s->n_edges = n_edges;
    s->src = mem_array(ctx, n_edges, sizeof *s->src, "edges");
    s->dst = s->src ? mem_array(ctx, n_edges, sizeof *s->dst, "edges") : NULL;
    if (!s->dst)
        return MP_SYSTEM;
    if (weighted && !(s->weights = mem_array(ctx, n_edges, sizeof *s->weights, "weights of edges")))
        return MP_SYSTEM;
    return MP_OK;
}

void graph_source_infer_nodes(graph_source *s)
{
    int64_t most = -1;
    for (int64_t e = 0; e < s->n_edges; e++) {
        most = s->src[e] > most ? s->src[e] : most;
        most = s->dst[e] > most ? s->dst[e] : most;
    }
    s->n_src = s->n_dst = most + 1;
    s->n_known = false;
}

void graph_source_free(mp_context *ctx, graph_source *s)
{
    mem_array_free(ctx, s->src, s->n_edges, sizeof *s->src);
    mem_array_free(ctx, s->dst, s->n_edges, sizeof *s->dst);
    mem_array_free(ctx, s->weights, s->n_edges, sizeof *s->weights);
    mem_array_free(ctx, s->graph_ptr, s->n_graphs + 1, sizeof *s->graph_ptr);
    mem_array_free(ctx, s->labels, s->n_src, sizeof *s->labels);
    *s = (graph_source){ 0 };
}

/* ---- A folder ---- */

/* folder/name as a tensor; MP_OK with NULL where there is no such file and `optional`. */
static mp_status load_array(mp_context *ctx, const char *folder, const char *name, bool optional, DLManagedTensor **out)
{
    char *path = file_join(ctx, folder, name);
    if (!path)
        return MP_SYSTEM;
    *out = NULL;
    mp_status st = optional && !file_exists(path) ? MP_OK : npy_load(ctx, path, out);
    mem_free(ctx, path, strlen(path) + 1);
    return st;
}

static mp_status want_list(mp_context *ctx, const char *folder, const char *name, const DLTensor *t)
{
    if (t->ndim == 1)
        return MP_OK;
    char shape[TENSOR_TEXT];
    return error_set(ctx, MP_INVALID, "%s/%s: must be a list, but has the shape %s", folder, name,
                     tensor_shape_text(t->shape, t->ndim, shape, sizeof shape));
}

/* A number of nodes at *p, which moves past it; -1 if there is none that is possible. */
static int64_t node_count(const char **p)
{
    int64_t v = 0;
    if (!isdigit((unsigned char)**p))
        return -1;
    for (; isdigit((unsigned char)**p); ++*p)
        v = v > MAX_NODES ? v : v * 10 + (**p - '0');
    return v > MAX_NODES ? -1 : v;
}

static void skip_space(const char **p)
{
    while (isspace((unsigned char)**p))
        ++*p;
}

/* num_nodes.txt: "n", or "n_src n_dst". */
static mp_status parse_num_nodes(mp_context *ctx, const char *path, const char *text, graph_source *s)
{
    const char *p = text;
    skip_space(&p);
    int64_t n_src = node_count(&p), n_dst = n_src;
    if (n_src >= 0 && (isspace((unsigned char)*p) || !*p)) {
        skip_space(&p);
        if (*p)
            n_dst = node_count(&p);
        skip_space(&p);
        if (n_dst >= 0 && !*p) {
            s->n_src = n_src;
            s->n_dst = n_dst;
            s->n_known = true;
            return MP_OK;
        }
    }
    return error_set(ctx, MP_INVALID, "%s:1: must hold one number of nodes, or two (sources and destinations), from 0 to %d, "
                     "but holds '%.40s'", path, MAX_NODES, text);
}

static mp_status read_num_nodes(mp_context *ctx, const char *folder, graph_source *s)
{
    char *path = file_join(ctx, folder, "num_nodes.txt");
    if (!path)
        return MP_SYSTEM;
    mp_status st = MP_OK;
    if (file_exists(path)) {
        file_bytes f;
        st = file_read(ctx, path, &f);
        if (!st) {
            size_t n = strcspn(f.data, "\r\n");
            char *rest = f.data + n;
            while (isspace((unsigned char)*rest))
                rest++;
            if (!*rest && (size_t)(rest - f.data) == f.size)
                f.data[n] = 0;
            st = parse_num_nodes(ctx, path, f.data, s);
            file_free(ctx, &f);
        }
    }
    mem_free(ctx, path, strlen(path) + 1);
    return st;
}

static mp_status read_graph_ptr(mp_context *ctx, const char *folder, graph_source *s)
{
    DLManagedTensor *t;
    mp_status st = load_array(ctx, folder, "graph_ptr.npy", true, &t);
    if (st || !t)
        return st;
    st = want_list(ctx, folder, "graph_ptr.npy", &t->dl_tensor);
    int64_t n = tensor_count(&t->dl_tensor);
    if (!st && n == 0)
        st = error_set(ctx, MP_INVALID, "%s/graph_ptr.npy: is empty, but must hold at least a 0", folder);
    if (!st) {
        s->n_graphs = n - 1;
        s->graph_ptr = mem_array(ctx, n, sizeof *s->graph_ptr, "the graphs of a batch");
        st = s->graph_ptr ? convert_int64(ctx, "graph_ptr.npy", &t->dl_tensor, s->graph_ptr) : MP_SYSTEM;
    }
    t->deleter(t);
    return st;
}

static mp_status check_same_length(mp_context *ctx, const char *folder, const DLTensor *src, const DLTensor *dst)
{
    mp_status st = want_list(ctx, folder, "edge_src.npy", src);
    if (!st)
        st = want_list(ctx, folder, "edge_dst.npy", dst);
    if (!st && src->shape[0] != dst->shape[0]) {
        st = error_set(ctx, MP_INVALID, "%s: edge_src.npy has %lld elements, but edge_dst.npy has %lld", folder,
                       (long long)src->shape[0], (long long)dst->shape[0]);
    }
    return st;
}

static mp_status read_edges(mp_context *ctx, const char *folder, graph_source *s)
{
    DLManagedTensor *src = NULL, *dst = NULL;
    mp_status st = load_array(ctx, folder, "edge_src.npy", false, &src);
    if (!st)
        st = load_array(ctx, folder, "edge_dst.npy", false, &dst);
    if (!st)
        st = check_same_length(ctx, folder, &src->dl_tensor, &dst->dl_tensor);
    if (!st)
        st = graph_source_edges(ctx, s, src->dl_tensor.shape[0], false);
    if (!st)
        st = convert_index(ctx, "edge_src.npy", &src->dl_tensor, s->n_known ? s->n_src : MAX_NODES, false, s->src);
    if (!st)
        st = convert_index(ctx, "edge_dst.npy", &dst->dl_tensor, s->n_known ? s->n_dst : MAX_NODES, false, s->dst);
    if (src)
        src->deleter(src);
    if (dst)
        dst->deleter(dst);
    return st;
}

static mp_status read_dense(mp_context *ctx, const char *folder, const DLTensor *a, graph_source *s)
{
    char shape[TENSOR_TEXT];
    if (a->ndim != 2 || a->shape[0] != a->shape[1]) {
        return error_set(ctx, MP_INVALID, "%s/A.npy: an adjacency matrix must be square, but has the shape %s", folder,
                         tensor_shape_text(a->shape, a->ndim, shape, sizeof shape));
    }
    if (s->n_known && (s->n_src != a->shape[0] || s->n_dst != a->shape[0])) {
        return error_set(ctx, MP_INVALID, "%s/A.npy: has %lld rows, but num_nodes.txt says %lld nodes", folder,
                         (long long)a->shape[0], (long long)s->n_src);
    }
    int64_t n_edges = 0;
    mp_status st = graph_dense_edges(ctx, "A.npy", a, &n_edges, NULL, NULL, NULL);
    if (!st)
        st = graph_source_edges(ctx, s, n_edges, true);
    if (!st)
        st = graph_dense_edges(ctx, "A.npy", a, &n_edges, s->src, s->dst, s->weights);
    s->n_src = s->n_dst = a->shape[0];
    s->n_known = true;
    return st;
}

/* Edge lists win over a matrix: A.npy may also be an input of that name. */
static mp_status read_edges_or_dense(mp_context *ctx, const char *folder, graph_source *s)
{
    char *lists = file_join(ctx, folder, "edge_src.npy"), *other = file_join(ctx, folder, "edge_dst.npy");
    bool have_lists = lists && other && (file_exists(lists) || file_exists(other));
    mp_status st = lists && other ? MP_OK : MP_SYSTEM;
    mem_free(ctx, lists, lists ? strlen(lists) + 1 : 0);
    mem_free(ctx, other, other ? strlen(other) + 1 : 0);
    DLManagedTensor *a = NULL;
    if (!st && !have_lists)
        st = load_array(ctx, folder, "A.npy", true, &a);
    if (st)
        return st;
    if (!a)
        return read_edges(ctx, folder, s);
    st = read_dense(ctx, folder, &a->dl_tensor, s);
    a->deleter(a);
    return st;
}

mp_status graph_read_folder(mp_context *ctx, const char *path, graph_source *s)
{
    s->is_folder = true;
    mp_status st = read_num_nodes(ctx, path, s);
    if (!st)
        st = read_edges_or_dense(ctx, path, s);
    if (!st)
        st = read_graph_ptr(ctx, path, s);
    if (st || s->n_known)
        return st;
    graph_source_infer_nodes(s);
    if (s->graph_ptr && s->graph_ptr[s->n_graphs] >= s->n_src && s->graph_ptr[s->n_graphs] <= MAX_NODES) {
        s->n_src = s->n_dst = s->graph_ptr[s->n_graphs];
        s->n_known = true;
    }
    return MP_OK;
}

/* ---- Any description ---- */

static mp_status read_any(mp_context *ctx, const char *spec, graph_source *s)
{
    static const struct {
        const char *prefix;
        mp_status (*make)(mp_context *ctx, const char *spec, const char *args, graph_source *out);
    } makers[] = {
        { "complete:", graph_make_complete }, { "rmat:", graph_make_rmat }, { "er:", graph_make_er },
    };
    for (size_t i = 0; i < sizeof makers / sizeof *makers; i++) {
        size_t n = strlen(makers[i].prefix);
        if (strncmp(spec, makers[i].prefix, n) == 0)
            return makers[i].make(ctx, spec, spec + n, s);
    }
    if (strcmp(spec, "karate") == 0)
        return graph_make_karate(ctx, s);
    return file_is_folder(spec) ? graph_read_folder(ctx, spec, s) : graph_read_text(ctx, spec, s);
}

mp_status graph_source_read(mp_context *ctx, const char *spec, graph_source *out)
{
    graph_source s = { 0 };
    mp_status st = read_any(ctx, spec, &s);
    if (st)
        graph_source_free(ctx, &s);
    else
        *out = s;
    return st;
}

mp_status graph_source_graph(mp_context *ctx, const graph_source *s, int64_t n_src, int64_t n_dst, mp_graph **out)
{
    mp_graph_desc d = { .format = s->complete ? MP_GRAPH_COMPLETE : MP_GRAPH_COO, .index_bits = 32,
                        .n_src = n_src < 0 ? s->n_src : n_src, .n_dst = n_dst < 0 ? s->n_dst : n_dst,
                        .n_edges = s->n_edges, .src = s->src, .dst = s->dst };
    if (!s->graph_ptr)
        return mp_graph_create(ctx, &d, out);
    /* Offsets are 64 bits wide, the lists 32: widths are told once for all arrays, so widen or narrow the offsets. */
    int32_t *ptr = mem_array(ctx, s->n_graphs + 1, sizeof *ptr, "the graphs of a batch");
    if (!ptr)
        return MP_SYSTEM;
    mp_status st = MP_OK;
    for (int64_t i = 0; i <= s->n_graphs && !st; i++) {
        if (s->graph_ptr[i] < 0 || s->graph_ptr[i] > MAX_NODES)
            st = error_set(ctx, MP_INVALID, "graph_ptr: element %lld is %lld, but must be in 0..%lld", (long long)i,
                           (long long)s->graph_ptr[i], (long long)d.n_dst);
        else
            ptr[i] = (int32_t)s->graph_ptr[i];
    }
    d.graph_ptr = ptr;
    d.n_graphs = s->n_graphs;
    if (!st)
        st = mp_graph_create(ctx, &d, out);
    mem_array_free(ctx, ptr, s->n_graphs + 1, sizeof *ptr);
    return st;
}

mp_status mp_graph_read(mp_context *ctx, const char *spec, mp_graph **out, DLManagedTensor **weights)
{
    if (!ctx)
        return MP_USAGE;
    if (!spec || !out)
        return error_set(ctx, MP_USAGE, "mp_graph_read: the description and the result must not be NULL");
    graph_source s;
    mp_status st = graph_source_read(ctx, spec, &s);
    if (st)
        return st;
    DLManagedTensor *w = NULL;
    if (weights && s.weights)
        st = tensor_new(ctx, TENSOR_F64, 1, &s.n_edges, &w);
    mp_graph *g = NULL;
    if (!st)
        st = graph_source_graph(ctx, &s, -1, -1, &g);
    if (!st) {
        if (w)
            memcpy(w->dl_tensor.data, s.weights, (size_t)s.n_edges * sizeof *s.weights);
        if (weights)
            *weights = w;
        *out = g;
    } else if (w) {
        w->deleter(w);
    }
    graph_source_free(ctx, &s);
    return st;
}
