/*
 * Graphs: walk orders against brute force on hard graphs, batches, degrees, formats, and every refusal.
 */
#include <math.h>
#include <time.h>

#include "check.h"
#include "runtime/graph.h"

/* Checks both walk orders and all that derives from them against the edge list. */
static void check_orders(check *c, mp_graph *g)
{
    int64_t n = g->n_edges;
    int64_t *src = malloc((size_t)n * 8 + 8), *dst = malloc((size_t)n * 8 + 8), *order = malloc((size_t)n * 8 + 8);
    OK(c, mp_graph_edges(g, src, dst));
    OK(c, mp_graph_edge_order(g, order));
    const graph_rows *in, *out;
    OK(c, graph_in(g, &in));
    OK(c, graph_out(g, &out));
    CHECK(c, in->n_rows == g->n_dst && out->n_rows == g->n_src && in->n_edges == n && out->n_edges == n);
    CHECK(c, in->ptr[0] == 0 && in->ptr[in->n_rows] == n && out->ptr[0] == 0 && out->ptr[out->n_rows] == n);
    int64_t bad = 0, longest = 0;
    bool full = n > 0;
    for (int64_t i = 0; i < in->n_rows; i++) {
        longest = in->ptr[i + 1] - in->ptr[i] > longest ? in->ptr[i + 1] - in->ptr[i] : longest;
        for (int64_t k = in->ptr[i]; k < in->ptr[i + 1]; k++) {
            int64_t e = graph_position(in->eid, k);
            bad += e != order[k] || dst[e] != i || src[e] != in->other[k];
            bad += k > in->ptr[i] && graph_position(in->eid, k - 1) >= e;
            full &= in->other[k] == k - in->ptr[i];
        }
        full &= in->ptr[i + 1] - in->ptr[i] == g->n_src;
    }
    CHECK(c, longest == in->max_row && full == in->full);
    for (int64_t i = 0; i < out->n_rows; i++) {
        for (int64_t k = out->ptr[i]; k < out->ptr[i + 1]; k++) {
            int64_t e = graph_position(out->eid, k);
            bad += src[e] != i || dst[e] != out->other[k] || order[graph_position(out->pos, k)] != e;
            bad += k > out->ptr[i] && graph_position(out->eid, k - 1) >= e;
        }
    }
    CHECK(c, bad == 0);
    graph_degrees di, dd;
    OK(c, graph_in_degrees(g, &di));
    OK(c, graph_out_degrees(g, &dd));
    for (int64_t i = 0; i < g->n_dst && !g->given_in; i++)
        CHECK(c, di.count[i] == in->ptr[i + 1] - in->ptr[i]);
    for (int64_t i = 0; i < g->n_src && !g->given_out; i++)
        CHECK(c, dd.count[i] == out->ptr[i + 1] - out->ptr[i]);
    graph_batch b;
    OK(c, graph_batches(g, &b));
    CHECK(c, b.n_graphs == g->n_graphs && b.node_ptr[b.n_graphs] == g->n_dst && b.edge_ptr[b.n_graphs] == n);
    for (int64_t k = 0; k < b.n_graphs; k++) {
        for (int64_t i = b.node_ptr[k]; i < b.node_ptr[k + 1]; i++)
            CHECK(c, b.of_node[i] == k);
        CHECK(c, b.edge_ptr[k] == in->ptr[b.node_ptr[k]]);
    }
    free(src);
    free(dst);
    free(order);
}

static void hard_graphs(check *c)
{
    static const struct {
        int64_t n_src, n_dst, n_edges;
        int32_t src[12], dst[12];
    } cases[] = {
        { 0, 0, 0, { 0 }, { 0 } },
        { 1, 1, 0, { 0 }, { 0 } },
        { 1, 1, 3, { 0 }, { 0 } },                                                      /* repeated self-loops */
        { 5, 5, 0, { 0 }, { 0 } },
        { 4, 4, 6, { 3, 0, 3, 3, 1, 0 }, { 1, 1, 1, 1, 1, 1 } },                        /* a hub of all edges */
        { 4, 4, 5, { 2, 2, 2, 2, 2 }, { 3, 0, 3, 1, 2 } },                              /* a hub at the source */
        { 3, 3, 4, { 1, 0, 2, 1 }, { 0, 1, 1, 2 } },                                    /* sorted by destination */
        { 3, 3, 4, { 0, 1, 1, 2 }, { 2, 0, 2, 1 } },                                    /* sorted by source */
        { 6, 2, 5, { 5, 0, 4, 1, 5 }, { 1, 0, 0, 1, 1 } },                              /* a block */
        { 2, 6, 5, { 1, 0, 0, 1, 1 }, { 5, 0, 4, 1, 5 } },                              /* two sides */
        { 3, 0, 0, { 0 }, { 0 } },
        { 3, 3, 9, { 0, 1, 2, 2, 1, 0, 0, 1, 2 }, { 0, 0, 0, 2, 2, 2, 1, 1, 1 } },      /* complete, in disorder */
        { 2, 3, 6, { 0, 0, 0, 1, 1, 1 }, { 0, 1, 2, 0, 1, 2 } },                        /* complete, in order */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mp_graph *g = NULL;
        OK(c, mp_graph_from_coo(c->ctx, cases[i].n_src, cases[i].n_dst, cases[i].n_edges, cases[i].src, cases[i].dst, &g));
        if (g)
            check_orders(c, g);
        mp_graph_destroy(g);
    }
    mp_graph *none = NULL;
    OK(c, mp_graph_from_coo(c->ctx, 3, 3, 0, NULL, NULL, &none));
    mp_graph_destroy(none);
}

static void random_graphs(check *c)
{
    uint64_t rng = 1;
    for (int round = 0; round < 40; round++) {
        int64_t n_src = 1 + check_below(&rng, 30), n_dst = 1 + check_below(&rng, 30), n = check_below(&rng, 200);
        int64_t src[200], dst[200];
        for (int64_t e = 0; e < n; e++) {
            src[e] = check_below(&rng, n_src);
            dst[e] = check_below(&rng, n_dst);
        }
        mp_graph *g = NULL;
        OK(c, mp_graph_from_coo64(c->ctx, n_src, n_dst, n, src, dst, &g));
        if (g)
            check_orders(c, g);
        mp_graph_destroy(g);
    }
}

/* Enough edges for several chunks and buckets; all of them at one node, or spread with the last nodes empty. */
static void many_edges(check *c)
{
    enum { E = 100000, N = 5000 };
    int32_t *src = malloc(E * sizeof *src), *dst = malloc(E * sizeof *dst);
    uint64_t rng = 9;
    for (int round = 0; round < 3; round++) {
        for (int64_t e = 0; e < E; e++) {
            src[e] = (int32_t)check_below(&rng, N);
            dst[e] = round == 0 ? (int32_t)check_below(&rng, N - 2) : round == 1 ? (int32_t)(e == 7) : (int32_t)check_below(&rng, N / 7);
        }
        mp_graph *g = NULL;
        OK(c, mp_graph_from_coo(c->ctx, N, N - round, E, src, dst, &g));
        if (g)
            check_orders(c, g);
        mp_graph_destroy(g);
    }
    free(src);
    free(dst);
}

static void formats(check *c)
{
    mp_graph *g = NULL;
    int32_t ptr[] = { 0, 2, 2, 3 }, other[] = { 2, 0, 1 };
    OK(c, mp_graph_create(c->ctx, &(mp_graph_desc){ .format = MP_GRAPH_CSR_BY_DST, .n_src = 4, .n_dst = 3, .n_edges = 3,
                                                    .ptr = ptr, .src = other }, &g));
    check_orders(c, g);
    const graph_rows *in;
    OK(c, graph_in(g, &in));
    CHECK(c, !in->eid.i32 && !in->eid.i64 && in->other[0] == 2 && in->ptr[1] == 2);
    mp_graph_destroy(g);
    int64_t ptr64[] = { 0, 2, 2, 3 }, other64[] = { 2, 0, 1 };
    OK(c, mp_graph_create(c->ctx, &(mp_graph_desc){ .format = MP_GRAPH_CSR_BY_SRC, .index_bits = 64, .n_src = 3,
                                                    .n_dst = 3, .n_edges = 3, .ptr = ptr64, .dst = other64 }, &g));
    check_orders(c, g);
    mp_graph_destroy(g);
    for (int64_t n = 0; n < 4; n++) {
        OK(c, mp_graph_create(c->ctx, &(mp_graph_desc){ .format = MP_GRAPH_COMPLETE, .n_src = n, .n_dst = 3 }, &g));
        CHECK(c, mp_graph_num_edges(g) == 3 * n);
        check_orders(c, g);
        const int32_t *src, *dst;
        OK(c, graph_list(g, &src, &dst));
        CHECK(c, n == 0 || (src[3 * n - 1] == n - 1 && dst[3 * n - 1] == 2));
        mp_graph_destroy(g);
    }
}

static void batches_and_degrees(check *c)
{
    mp_graph *g = NULL;
    int32_t src[] = { 0, 1, 3, 4, 4 }, dst[] = { 1, 0, 4, 3, 4 }, ptr[] = { 0, 2, 2, 3, 5 };
    mp_graph_desc d = { .n_src = 5, .n_dst = 5, .n_edges = 5, .src = src, .dst = dst, .graph_ptr = ptr, .n_graphs = 4 };
    OK(c, mp_graph_create(c->ctx, &d, &g));
    check_orders(c, g);
    CHECK(c, mp_graph_num_graphs(g) == 4);
    mp_graph_destroy(g);
    int32_t src_x[] = { 0, 1, 2, 4, 4 };
    d.src = src_x;
    FAILS(c, MP_INVALID, "edge 2 goes from node 2 of graph 2 to node 4 of graph 3", mp_graph_create(c->ctx, &d, &g));
    d.src = src;
    ptr[0] = 1;
    FAILS(c, MP_INVALID, "graph_ptr: element 0 is 1", mp_graph_create(c->ctx, &d, &g));
    ptr[0] = 0;
    ptr[2] = 1;
    FAILS(c, MP_INVALID, "graph_ptr: element 2 is 1, less than the one before it (2)", mp_graph_create(c->ctx, &d, &g));
    ptr[2] = 2;
    d.n_graphs = 3;
    FAILS(c, MP_INVALID, "graph_ptr: the last element is 3, but there are 5 nodes", mp_graph_create(c->ctx, &d, &g));
    d.n_graphs = 4;
    d.n_src = 6;
    FAILS(c, MP_INVALID, "no batch", mp_graph_create(c->ctx, &d, &g));
    int32_t degree[] = { 7, 0, 2, 5, 1, 9 };
    mp_graph_desc block = { .n_src = 6, .n_dst = 5, .n_edges = 5, .src = src, .dst = dst, .in_degree = degree };
    OK(c, mp_graph_create(c->ctx, &block, &g));
    CHECK(c, g->src_degrees_known);
    graph_degrees in;
    OK(c, graph_in_degrees(g, &in));
    CHECK(c, in.n == 6 && in.count[5] == 9);
    mp_graph_destroy(g);
    degree[3] = -1;
    FAILS(c, MP_INVALID, "in_degree: element 3 is -1", mp_graph_create(c->ctx, &block, &g));
    mp_graph_desc empty = { .graph_ptr = (int32_t[]){ 0 }, .n_graphs = 0 };
    OK(c, mp_graph_create(c->ctx, &empty, &g));
    check_orders(c, g);
    mp_graph_destroy(g);
}

static void refusals(check *c)
{
    mp_graph *g = NULL;
    int32_t src[] = { 0, 1, 3 }, dst[] = { 1, -2, 0 };
    FAILS(c, MP_INVALID, "edge_src: element 2 is 3, but must be in 0..2", mp_graph_from_coo(c->ctx, 3, 3, 3, src, dst, &g));
    FAILS(c, MP_INVALID, "edge_dst: element 1 is -2", mp_graph_from_coo(c->ctx, 4, 3, 3, src, dst, &g));
    FAILS(c, MP_INVALID, "no source nodes", mp_graph_from_coo(c->ctx, 0, 3, 1, src, dst, &g));
    FAILS(c, MP_INVALID, "cannot have", mp_graph_from_coo(c->ctx, -1, 3, 0, NULL, NULL, &g));
    FAILS(c, MP_INVALID, "too many", mp_graph_from_coo(c->ctx, (int64_t)1 << 31, 3, 0, NULL, NULL, &g));
    FAILS(c, MP_SYSTEM, "out of memory", mp_graph_from_coo(c->ctx, 3, 3, INT64_MAX, src, dst, &g));
    FAILS(c, MP_USAGE, "NULL", mp_graph_from_coo(c->ctx, 3, 3, 1, NULL, dst, &g));
    int64_t far[] = { (int64_t)1 << 40 }, zero[] = { 0 };
    FAILS(c, MP_INVALID, "1099511627776", mp_graph_from_coo64(c->ctx, 3, 3, 1, far, zero, &g));
    int32_t ptr[] = { 0, 2, 1, 3 };
    mp_graph_desc d = { .format = MP_GRAPH_CSR_BY_DST, .n_src = 4, .n_dst = 3, .n_edges = 3, .ptr = ptr, .src = src };
    FAILS(c, MP_INVALID, "ptr: element 2 is 1", mp_graph_create(c->ctx, &d, &g));
    d.format = (mp_graph_format)9;
    FAILS(c, MP_USAGE, "no format 9", mp_graph_create(c->ctx, &d, &g));
    d.format = MP_GRAPH_COMPLETE;
    FAILS(c, MP_INVALID, "has not 3 edges", mp_graph_create(c->ctx, &d, &g));
    CHECK(c, g == NULL && mp_graph_create(NULL, &d, &g) == MP_USAGE);
}

/* Allocation that fails after a number of calls. */
typedef struct scarce {
    long left;
    long live;
} scarce;

static void *scarce_alloc(void *ud, void *ptr, size_t old_size, size_t new_size, size_t align)
{
    scarce *s = ud;
    if (new_size && s->left-- <= 0)
        return NULL;
    void *p = plain_resize(ptr, old_size, new_size, align);
    s->live += (p && !ptr) - (new_size == 0);
    return p;
}

static void without_memory(check *c)
{
    int32_t src[] = { 2, 1, 0 }, dst[] = { 1, 0, 2 };
    bool done = false;
    for (long n = 0; n < 60 && !done; n++) {
        scarce s = { n, 0 };
        mp_context *ctx = NULL;
        mp_graph *g = NULL;
        CHECK(c, !mp_context_create(&(mp_context_options){ .threads = 1, .alloc = scarce_alloc, .alloc_ud = &s }, &ctx));
        const graph_rows *rows;
        graph_degrees deg;
        graph_batch b;
        mp_status st = mp_graph_from_coo(ctx, 3, 3, 3, src, dst, &g);
        if (!st)
            st = graph_out(g, &rows);
        if (!st)
            st = graph_in_degrees(g, &deg);
        if (!st)
            st = graph_batches(g, &b);
        CHECK(c, st == MP_OK || (st == MP_SYSTEM && strstr(mp_error_message(ctx), "out of memory")));
        if (st && g) {                      /* the next try succeeds */
            s.left = 1000;
            CHECK(c, !graph_out(g, &rows) && !graph_batches(g, &b));
        }
        mp_graph_destroy(g);
        CHECK(c, s.live == 0);
        mp_context_destroy(ctx);
        done = st == MP_OK;
    }
    CHECK(c, done);
}

static void objects_outlive_the_handle(check *c)
{
    mp_context *ctx = NULL;
    mp_graph *g = NULL;
    OK(c, mp_context_create(NULL, &ctx));
    OK(c, mp_graph_from_coo(ctx, 3, 3, 0, NULL, NULL, &g));
    mp_context_destroy(ctx);
    const graph_rows *in;
    OK(c, graph_in(g, &in));
    mp_graph_destroy(g);
    mp_graph_destroy(NULL);
    mp_context_destroy(NULL);
}

static void *ask_for_everything(void *arg)
{
    mp_graph *g = arg;
    const graph_rows *in, *out;
    graph_degrees di, dd;
    graph_batch b;
    bool good = !graph_out(g, &out) && !graph_in(g, &in) && !graph_in_degrees(g, &di) && !graph_out_degrees(g, &dd) &&
                !graph_batches(g, &b);
    return good && out->ptr[g->n_src] == g->n_edges && di.count[0] == in->ptr[1] ? g : NULL;
}

static void built_once(check *c)
{
    enum { THREADS = 4, E = 3000 };
    int32_t src[E], dst[E];
    uint64_t rng = 21;
    for (int round = 0; round < 10; round++) {
        for (int e = 0; e < E; e++) {
            src[e] = (int32_t)check_below(&rng, 50);
            dst[e] = (int32_t)check_below(&rng, 50);
        }
        mp_graph *g = NULL;
        pthread_t host[THREADS];
        OK(c, mp_graph_from_coo(c->ctx, 50, 50, E, src, dst, &g));
        for (int i = 0; i < THREADS; i++)
            CHECK(c, !pthread_create(&host[i], NULL, ask_for_everything, g));
        for (int i = 0; i < THREADS; i++) {
            void *good = NULL;
            CHECK(c, !pthread_join(host[i], &good) && good == g);
        }
        mp_graph_destroy(g);
    }
}

static void large(check *c)
{
    enum { N = 1 << 17, E = 1 << 21 };
    int32_t *src = malloc(E * sizeof *src), *dst = malloc(E * sizeof *dst);
    uint64_t rng = 3;
    for (int64_t e = 0; e < E; e++) {
        src[e] = (int32_t)check_below(&rng, N);
        dst[e] = (int32_t)(check_below(&rng, N) & check_below(&rng, N));
    }
    struct timespec t0, t1;
    clock_gettime(CLOCK_MONOTONIC, &t0);
    mp_graph *g = NULL;
    const graph_rows *in, *out;
    OK(c, mp_graph_from_coo(c->ctx, N, N, E, src, dst, &g));
    OK(c, graph_in(g, &in));
    OK(c, graph_out(g, &out));
    clock_gettime(CLOCK_MONOTONIC, &t1);
    check_orders(c, g);
    printf("2M edges, both orders: %.1f ms\n", (double)(t1.tv_sec - t0.tv_sec) * 1e3 + (double)(t1.tv_nsec - t0.tv_nsec) * 1e-6);
    mp_graph_destroy(g);
    free(src);
    free(dst);
}

int main(void)
{
    check c = check_begin(2);
    hard_graphs(&c);
    random_graphs(&c);
    many_edges(&c);
    formats(&c);
    batches_and_degrees(&c);
    refusals(&c);
    without_memory(&c);
    objects_outlive_the_handle(&c);
    built_once(&c);
    large(&c);
    return check_end(&c);
}
