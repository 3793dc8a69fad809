/*
 * Graph sources: folders, text files, formulas; what each means and what each refuses.
 */
#include <dirent.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "runtime/graph.h"
#include "runtime/graph_read.h"
#include "runtime/npy.h"

typedef struct place {
    char folder[64];
    char path[384];
} place;

static const char *inside(place *at, const char *name)
{
    snprintf(at->path, sizeof at->path, "%s/%s", at->folder, name);
    return at->path;
}

static void empty_folder(place *at)
{
    DIR *d = opendir(at->folder);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (e->d_name[0] != '.')
            unlink(inside(at, e->d_name));
    }
    if (d)
        closedir(d);
}

static void text_file(place *at, const char *name, const char *text)
{
    FILE *f = fopen(inside(at, name), "wb");
    if (!f || fputs(text, f) < 0)
        exit(1);
    fclose(f);
}

static void array(check *c, place *at, const char *name, tensor_type type, int rank, const int64_t *shape, const void *data)
{
    int64_t copy[4] = { 0 };
    memcpy(copy, shape, (size_t)rank * sizeof *copy);
    DLTensor t = { .data = (void *)(uintptr_t)data, .device = { kDLCPU, 0 }, .ndim = rank, .dtype = tensor_dtype(type), .shape = copy };
    OK(c, npy_save(c->ctx, inside(at, name), &t));
}

static void list(check *c, place *at, const char *name, int64_t n, const int32_t *data)
{
    array(c, at, name, TENSOR_I32, 1, &n, data);
}

static mp_status read_source(check *c, const char *spec)
{
    graph_source s;
    mp_status st = graph_source_read(c->ctx, spec, &s);
    if (!st)
        graph_source_free(c->ctx, &s);
    return st;
}

static bool edges_are(const graph_source *s, int64_t n, const int32_t *src, const int32_t *dst)
{
    return s->n_edges == n && !memcmp(s->src, src, (size_t)n * sizeof *src) && !memcmp(s->dst, dst, (size_t)n * sizeof *dst);
}

static void folders(check *c, place *at)
{
    graph_source s;
    list(c, at, "edge_src.npy", 3, (int32_t[]){ 0, 1, 2 });
    list(c, at, "edge_dst.npy", 3, (int32_t[]){ 1, 4, 0 });
    OK(c, graph_source_read(c->ctx, at->folder, &s));
    CHECK(c, s.n_src == 5 && s.n_dst == 5 && !s.n_known && s.is_folder);
    CHECK(c, edges_are(&s, 3, (int32_t[]){ 0, 1, 2 }, (int32_t[]){ 1, 4, 0 }));
    mp_graph *g = NULL;
    OK(c, graph_source_graph(c->ctx, &s, 9, 9, &g));
    CHECK(c, mp_graph_num_src(g) == 9);
    mp_graph_destroy(g);
    graph_source_free(c->ctx, &s);
    text_file(at, "num_nodes.txt", "6 5\n");
    OK(c, graph_source_read(c->ctx, at->folder, &s));
    CHECK(c, s.n_src == 6 && s.n_dst == 5 && s.n_known);
    graph_source_free(c->ctx, &s);
    static const char *const bad[] = { "three\n", "-3\n", "", "5 6 7\n", "5.5\n", "99999999999999999999", "5 x", "2147483648" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        text_file(at, "num_nodes.txt", bad[i]);
        FAILS(c, MP_INVALID, "num_nodes.txt:1:", read_source(c, at->folder));
    }
    text_file(at, "num_nodes.txt", " 4 ");
    FAILS(c, MP_INVALID, "edge_dst.npy: element 1 is 4, but must be in 0..3", read_source(c, at->folder));
    text_file(at, "num_nodes.txt", "5");
    array(c, at, "edge_dst.npy", TENSOR_F32, 1, (int64_t[]){ 3 }, (float[]){ 1, 1, 1 });
    FAILS(c, MP_INVALID, "int32 or int64, not float32", read_source(c, at->folder));
    list(c, at, "edge_dst.npy", 2, (int32_t[]){ 1, 2 });
    FAILS(c, MP_INVALID, "edge_src.npy has 3 elements, but edge_dst.npy has 2", read_source(c, at->folder));
    array(c, at, "edge_dst.npy", TENSOR_I64, 2, (int64_t[]){ 3, 1 }, (int64_t[]){ 1, 2, 0 });
    FAILS(c, MP_INVALID, "has the shape [3, 1]", read_source(c, at->folder));
    unlink(inside(at, "edge_dst.npy"));
    FAILS(c, MP_INVALID, "edge_dst.npy: cannot be opened", read_source(c, at->folder));
    unlink(inside(at, "edge_src.npy"));
    FAILS(c, MP_INVALID, "edge_src.npy: cannot be opened", read_source(c, at->folder));
    empty_folder(at);
}

static void batches(check *c, place *at)
{
    graph_source s;
    mp_graph *g = NULL;
    list(c, at, "edge_src.npy", 2, (int32_t[]){ 0, 3 });
    array(c, at, "edge_dst.npy", TENSOR_I64, 1, (int64_t[]){ 2 }, (int64_t[]){ 1, 2 });
    list(c, at, "graph_ptr.npy", 4, (int32_t[]){ 0, 2, 4, 5 });
    OK(c, graph_source_read(c->ctx, at->folder, &s));
    CHECK(c, s.n_src == 5 && s.n_known && s.n_graphs == 3);
    OK(c, graph_source_graph(c->ctx, &s, -1, -1, &g));
    CHECK(c, mp_graph_num_graphs(g) == 3);
    mp_graph_destroy(g);
    graph_source_free(c->ctx, &s);
    list(c, at, "graph_ptr.npy", 3, (int32_t[]){ 0, 3, 5 });
    OK(c, mp_graph_read(c->ctx, "karate", &g, NULL));
    mp_graph_destroy(g);
    g = NULL;
    FAILS(c, MP_INVALID, "different graphs of the batch", mp_graph_read(c->ctx, at->folder, &g, NULL));
    text_file(at, "num_nodes.txt", "6");
    FAILS(c, MP_INVALID, "the last element is 5, but there are 6 nodes", mp_graph_read(c->ctx, at->folder, &g, NULL));
    list(c, at, "graph_ptr.npy", 0, NULL);
    FAILS(c, MP_INVALID, "is empty", mp_graph_read(c->ctx, at->folder, &g, NULL));
    array(c, at, "graph_ptr.npy", TENSOR_I64, 1, (int64_t[]){ 2 }, (int64_t[]){ 0, (int64_t)1 << 40 });
    FAILS(c, MP_INVALID, "graph_ptr: element 1", mp_graph_read(c->ctx, at->folder, &g, NULL));
    CHECK(c, g == NULL);
    empty_folder(at);
}

static void dense(check *c, place *at)
{
    graph_source s;
    const double a[9] = { 0, 1.5, 0, -2, 0, NAN, 0, 0, 3 };
    array(c, at, "A.npy", TENSOR_F64, 2, (int64_t[]){ 3, 3 }, a);
    OK(c, graph_source_read(c->ctx, at->folder, &s));
    CHECK(c, edges_are(&s, 4, (int32_t[]){ 0, 1, 1, 2 }, (int32_t[]){ 1, 0, 2, 2 }) && s.n_src == 3);
    CHECK(c, s.weights[0] == 1.5 && s.weights[1] == -2 && isnan(s.weights[2]) && s.weights[3] == 3);
    graph_source_free(c->ctx, &s);
    array(c, at, "A.npy", TENSOR_F64, 2, (int64_t[]){ 1, 9 }, a);
    FAILS(c, MP_INVALID, "must be square, but has the shape [1, 9]", read_source(c, at->folder));
    text_file(at, "num_nodes.txt", "4");
    array(c, at, "A.npy", TENSOR_F64, 2, (int64_t[]){ 3, 3 }, a);
    FAILS(c, MP_INVALID, "num_nodes.txt says 4 nodes", read_source(c, at->folder));
    empty_folder(at);
    /* by the public call: columns first, any type, not square */
    int16_t m[6] = { 1, 0, 0, 7, 2, 0 };
    DLTensor t = { .data = m, .device = { kDLCPU, 0 }, .ndim = 2, .dtype = tensor_dtype(TENSOR_I16),
                   .shape = (int64_t[]){ 2, 3 }, .strides = (int64_t[]){ 1, 2 } };
    mp_graph *g = NULL;
    OK(c, mp_graph_from_dense(c->ctx, &t, &g));
    int64_t src[3], dst[3];
    CHECK(c, mp_graph_num_edges(g) == 3 && mp_graph_num_dst(g) == 3);
    OK(c, mp_graph_edges(g, src, dst));
    CHECK(c, src[0] == 0 && dst[0] == 0 && src[1] == 0 && dst[1] == 2 && src[2] == 1 && dst[2] == 1);
    mp_graph_destroy(g);
    float w[3];
    DLTensor weights = { .data = w, .device = { kDLCPU, 0 }, .ndim = 1, .dtype = tensor_dtype(TENSOR_F32), .shape = (int64_t[]){ 3 } };
    OK(c, mp_dense_weights(c->ctx, &t, &weights));
    CHECK(c, w[0] == 1 && w[1] == 2 && w[2] == 7);
    weights.shape[0] = 2;
    FAILS(c, MP_INVALID, "a floating list of 3", mp_dense_weights(c->ctx, &t, &weights));
    t.ndim = 1;
    FAILS(c, MP_INVALID, "two axes", mp_graph_from_dense(c->ctx, &t, &g));
}

static void edge_lists(check *c, place *at)
{
    graph_source s;
    text_file(at, "g.txt", "# a graph\n0 1\n\n 2\t0   # back\r\n1 1");
    OK(c, graph_source_read(c->ctx, inside(at, "g.txt"), &s));
    CHECK(c, edges_are(&s, 3, (int32_t[]){ 0, 2, 1 }, (int32_t[]){ 1, 0, 1 }) && s.n_src == 3 && !s.weights && !s.n_known);
    graph_source_free(c->ctx, &s);
    text_file(at, "g.txt", "0 1 0.5\n1 0 -2e3 # w\n");
    OK(c, graph_source_read(c->ctx, inside(at, "g.txt"), &s));
    CHECK(c, s.n_edges == 2 && s.weights && s.weights[0] == 0.5 && s.weights[1] == -2000);
    graph_source_free(c->ctx, &s);
    text_file(at, "g.txt", "# nothing\n");
    OK(c, graph_source_read(c->ctx, inside(at, "g.txt"), &s));
    CHECK(c, s.n_edges == 0 && s.n_src == 0);
    graph_source_free(c->ctx, &s);
    static const struct {
        const char *text, *message;
    } bad[] = {
        { "0 1\n0\n", "g.txt:2:" }, { "0 x\n", "g.txt:1:" }, { "-1 0\n", "g.txt:1:" }, { "0 1\n1 0 0.5\n", "g.txt:2:" },
        { "0 1 2.5\n1 0\n", "g.txt:2:" }, { "0 1 2.5 7\n", "g.txt:1:" }, { "0 1 abc\n", "g.txt:1:" },
        { "0 2147483647\n", "is too large" }, { "0 99999999999999999999\n", "g.txt:1:" }, { "0 1\n\n# x\n1 1.5\n", "g.txt:4:" },
        { "0,1\n", "g.txt:1:" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        text_file(at, "g.txt", bad[i].text);
        FAILS(c, MP_INVALID, bad[i].message, read_source(c, inside(at, "g.txt")));
    }
    FAILS(c, MP_INVALID, "cannot be opened", read_source(c, inside(at, "none.txt")));
    empty_folder(at);
}

static void matrix_market(check *c, place *at)
{
    graph_source s;
    text_file(at, "g.mtx", "%%MatrixMarket matrix coordinate real general\n% note\n\n3 4 3\n1 2 0.5\n3 4 0\n% more\n3 4 1e2\n");
    OK(c, graph_source_read(c->ctx, inside(at, "g.mtx"), &s));
    CHECK(c, edges_are(&s, 3, (int32_t[]){ 0, 2, 2 }, (int32_t[]){ 1, 3, 3 }) && s.n_src == 3 && s.n_dst == 4 && s.n_known);
    CHECK(c, s.weights[0] == 0.5 && s.weights[1] == 0 && s.weights[2] == 100);
    graph_source_free(c->ctx, &s);
    text_file(at, "g.mtx", "%%matrixmarket MATRIX Coordinate Pattern Symmetric\n3 3 2\n2 1\n3 3\n");
    OK(c, graph_source_read(c->ctx, inside(at, "g.mtx"), &s));
    CHECK(c, edges_are(&s, 3, (int32_t[]){ 1, 0, 2 }, (int32_t[]){ 0, 1, 2 }) && !s.weights);
    graph_source_free(c->ctx, &s);
#define HEAD "%%MatrixMarket matrix coordinate integer general\n"
    static const struct {
        const char *text, *message;
    } bad[] = {
        { "%%MatrixMarket matrix array real general\n", "'matrix array'" },
        { "%%MatrixMarket matrix coordinate complex general\n", "'complex'" },
        { "%%MatrixMarket matrix coordinate real hermitian\n", "'hermitian'" },
        { "%%MatrixMarket matrix\n", "g.mtx:1:" },
        { HEAD, "before the line of sizes" },
        { HEAD "3 3\n", "g.mtx:2:" },
        { HEAD "3 3 99999999999\n1 1 1\n", "too short" },
        { HEAD "3 3 9223372036854775807\n", "too short" },
        { HEAD "9999999999 3 0\n", "too many rows" },
        { HEAD "3 3 2\n1 1 1\n% cut\n", "ends after 1 of 2" },
        { HEAD "3 3 1\n1 1 1\n2 2 2\n", "more entries than said" },
        { HEAD "3 3 1\n0 1 1\n", "entry (0, 1) is outside" },
        { HEAD "3 3 1\n1 4 1\n", "entry (1, 4) is outside" },
        { HEAD "3 3 1\n1 2\n", "g.mtx:3:" },
        { HEAD "3 3 1\n1 2 x\n", "g.mtx:3:" },
        { "%%MatrixMarket matrix coordinate pattern symmetric\n3 4 1\n1 2\n", "must be square" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        text_file(at, "g.mtx", bad[i].text);
        FAILS(c, MP_INVALID, bad[i].message, read_source(c, inside(at, "g.mtx")));
    }
    empty_folder(at);
}

/* Files changed at random are read or refused, with a message, and leave nothing behind. */
static void changed_at_random(check *c, place *at)
{
    static const char *const texts[] = {
        "# a graph\n0 1 0.5\n2 1 -1e3 # w\n3 0 7\n",
        "%%MatrixMarket matrix coordinate real symmetric\n% note\n4 4 3\n1 1 0.5\n3 2 1e-3\n4 1 2\n",
    };
    static const char alphabet[] = "0123456789 \n\t#%.-exyMm";
    uint64_t rng = 17;
    for (int round = 0; round < 1500; round++) {
        char text[256];
        size_t n = strlen(texts[round % 2]);
        memcpy(text, texts[round % 2], n + 1);
        for (int64_t k = check_below(&rng, 4); k >= 0; k--) {
            size_t i = (size_t)check_below(&rng, (int64_t)n);
            if (check_below(&rng, 3) == 0 && n > 1)
                memmove(text + i, text + i + 1, n-- - i);
            else
                text[i] = alphabet[check_below(&rng, sizeof alphabet - 1)];
        }
        text_file(at, "g.txt", text);
        mp_graph *g = NULL;
        DLManagedTensor *weights = NULL;
        mp_status st = mp_graph_read(c->ctx, inside(at, "g.txt"), &g, &weights);
        CHECK(c, st == MP_OK || (st == MP_INVALID && strstr(mp_error_message(c->ctx), "g.txt:")));
        mp_graph_destroy(g);
        if (weights)
            weights->deleter(weights);
    }
    empty_folder(at);
}

static void formulas(check *c)
{
    graph_source s, again;
    OK(c, graph_source_read(c->ctx, "complete:5", &s));
    CHECK(c, s.complete && s.n_edges == 25 && s.n_src == 5);
    graph_source_free(c->ctx, &s);
    OK(c, graph_source_read(c->ctx, "complete:0", &s));
    graph_source_free(c->ctx, &s);
    OK(c, graph_source_read(c->ctx, "rmat:10,40000,7", &s));
    mp_context *single = NULL;
    OK(c, mp_context_create(&(mp_context_options){ .threads = 1 }, &single));
    OK(c, graph_source_read(single, "rmat:10,40000,7", &again));
    CHECK(c, s.n_src == 1024 && edges_are(&s, 40000, again.src, again.dst));
    graph_source_free(single, &again);
    mp_context_destroy(single);
    int64_t low = 0, right = 0;         /* the first bit of each end: .24 and .24 are ones */
    for (int64_t e = 0; e < s.n_edges; e++) {
        CHECK(c, s.src[e] >= 0 && s.src[e] < 1024 && s.dst[e] >= 0 && s.dst[e] < 1024);
        low += s.src[e] >= 512;
        right += s.dst[e] >= 512;
    }
    CHECK(c, fabs((double)low / 40000 - 0.24) < 0.02 && fabs((double)right / 40000 - 0.24) < 0.02);
    graph_source_free(c->ctx, &s);
    OK(c, graph_source_read(c->ctx, "er:10,20000,3", &s));
    int64_t seen[10] = { 0 };
    for (int64_t e = 0; e < s.n_edges; e++)
        seen[s.src[e]]++;
    for (int i = 0; i < 10; i++)
        CHECK(c, seen[i] > 1800 && seen[i] < 2200);
    graph_source_free(c->ctx, &s);
    OK(c, graph_source_read(c->ctx, "er:0,0,3", &s));
    graph_source_free(c->ctx, &s);
    static const char *const bad[] = { "complete:", "complete:x", "complete:-1", "complete:3000000000", "rmat:10,20", "rmat:31,5,1",
                                       "er:0,5,1", "er:5,5", "er:5,5,1,", "er:99999999999,5,1", "rmat:1,2,99999999999999999999" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        FAILS(c, MP_INVALID, "'", read_source(c, bad[i]));
    FAILS(c, MP_SYSTEM, "out of memory", read_source(c, "er:5,9223372036854775807,1"));
}

static void karate(check *c)
{
    graph_source s;
    OK(c, graph_source_read(c->ctx, "karate", &s));
    CHECK(c, s.n_src == 34 && s.n_edges == 156 && s.labels);
    int friends[34][34] = { { 0 } }, bad = 0, degree[34] = { 0 }, admin = 0;
    for (int64_t e = 0; e < s.n_edges; e++) {
        friends[s.src[e]][s.dst[e]]++;
        degree[s.src[e]]++;
    }
    for (int i = 0; i < 34; i++) {
        admin += s.labels[i];
        for (int j = 0; j < 34; j++)
            bad += friends[i][j] > 1 || friends[i][j] != friends[j][i] || friends[i][i];
    }
    CHECK(c, bad == 0 && degree[33] == 17 && degree[0] == 16 && degree[32] == 12 && admin == 17);
    graph_source_free(c->ctx, &s);
}

static void sparse(check *c, place *at)
{
    sparse_matrix m;
    DLManagedTensor *t = NULL;
    CHECK(c, !sparse_matrix_exists(c->ctx, at->folder, "x"));
    list(c, at, "x_indptr.npy", 4, (int32_t[]){ 0, 2, 2, 4 });
    list(c, at, "x_indices.npy", 4, (int32_t[]){ 1, 0, 2, 2 });
    array(c, at, "x_data.npy", TENSOR_F32, 1, (int64_t[]){ 4 }, (float[]){ 1, 2, 3, 4 });
    array(c, at, "x_shape.npy", TENSOR_I64, 1, (int64_t[]){ 2 }, (int64_t[]){ 3, 3 });
    CHECK(c, sparse_matrix_exists(c->ctx, at->folder, "x"));
    OK(c, sparse_matrix_read(c->ctx, at->folder, "x", &m));
    OK(c, sparse_matrix_dense(c->ctx, &m, &t));
    const float *x = tensor_data(&t->dl_tensor);
    CHECK(c, x[0] == 2 && x[1] == 1 && x[2] == 0 && x[3] == 0 && x[8] == 7);
    t->deleter(t);
    sparse_matrix_free(c->ctx, &m);
    list(c, at, "x_indices.npy", 4, (int32_t[]){ 1, 0, 3, 2 });
    FAILS(c, MP_INVALID, "x_indices.npy: element 2 is 3", sparse_matrix_read(c->ctx, at->folder, "x", &m));
    list(c, at, "x_indices.npy", 3, (int32_t[]){ 1, 0, 2 });
    FAILS(c, MP_INVALID, "x_data.npy has 4", sparse_matrix_read(c->ctx, at->folder, "x", &m));
    list(c, at, "x_indptr.npy", 4, (int32_t[]){ 0, 3, 2, 4 });
    FAILS(c, MP_INVALID, "less than the one before", sparse_matrix_read(c->ctx, at->folder, "x", &m));
    list(c, at, "x_indptr.npy", 4, (int32_t[]){ 0, 2, 2, 5 });
    FAILS(c, MP_INVALID, "from 0 to 4", sparse_matrix_read(c->ctx, at->folder, "x", &m));
    list(c, at, "x_indptr.npy", 3, (int32_t[]){ 0, 2, 4 });
    FAILS(c, MP_INVALID, "3 rows need 4", sparse_matrix_read(c->ctx, at->folder, "x", &m));
    array(c, at, "x_shape.npy", TENSOR_I64, 1, (int64_t[]){ 2 }, (int64_t[]){ -3, 3 });
    FAILS(c, MP_INVALID, "x_shape.npy", sparse_matrix_read(c->ctx, at->folder, "x", &m));
    unlink(inside(at, "x_data.npy"));
    FAILS(c, MP_INVALID, "x_data.npy: cannot be opened", sparse_matrix_read(c->ctx, at->folder, "x", &m));
    empty_folder(at);
}

int main(void)
{
    check c = check_begin(2);
    place at = { .folder = "graph-test-XXXXXX" };
    if (!mkdtemp(at.folder))
        return 1;
    folders(&c, &at);
    batches(&c, &at);
    dense(&c, &at);
    edge_lists(&c, &at);
    matrix_market(&c, &at);
    changed_at_random(&c, &at);
    formulas(&c);
    karate(&c);
    sparse(&c, &at);
    CHECK(&c, rmdir(at.folder) == 0);
    return check_end(&c);
}
