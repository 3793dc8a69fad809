/*
 * Helpers for training: batches of graphs, sampled blocks, optimisers, clipped gradients.
 */
#include <math.h>

#include "check.h"
#include "runtime/graph.h"
#include "runtime/tensor.h"

static void batches(check *c)
{
    mp_graph *a = NULL, *b = NULL, *k = NULL, *two = NULL, *all = NULL;
    OK(c, mp_graph_from_coo(c->ctx, 3, 3, 2, (int32_t[]){ 0, 2 }, (int32_t[]){ 1, 0 }, &a));
    OK(c, mp_graph_create(c->ctx, &(mp_graph_desc){ .n_src = 1, .n_dst = 1, .in_degree = (int32_t[]){ 5 } }, &b));
    OK(c, mp_graph_create(c->ctx, &(mp_graph_desc){ .format = MP_GRAPH_COMPLETE, .n_src = 2, .n_dst = 2 }, &k));
    OK(c, mp_graph_batch(c->ctx, (mp_graph *[]){ a, b }, 2, &two));
    OK(c, mp_graph_batch(c->ctx, (mp_graph *[]){ k, two, a }, 3, &all));
    CHECK(c, mp_graph_num_graphs(all) == 4 && mp_graph_num_src(all) == 9 && mp_graph_num_edges(all) == 8);
    int64_t src[8], dst[8];
    OK(c, mp_graph_edges(all, src, dst));
    CHECK(c, src[2] == 1 && dst[2] == 0 && src[4] == 2 && dst[4] == 3 && src[7] == 8 && dst[7] == 6);
    graph_degrees d;
    graph_batch batch;
    OK(c, graph_in_degrees(all, &d));
    OK(c, graph_batches(all, &batch));
    CHECK(c, d.count[0] == 2 && d.count[3] == 1 && d.count[5] == 5 && batch.of_node[5] == 2 && batch.node_ptr[3] == 6);
    mp_graph_destroy(all);
    all = NULL;
    OK(c, mp_graph_batch(c->ctx, NULL, 0, &all));
    CHECK(c, mp_graph_num_graphs(all) == 0 && mp_graph_num_src(all) == 0);
    mp_graph_destroy(all);
    mp_graph *block = NULL;
    OK(c, mp_graph_from_coo(c->ctx, 3, 2, 0, NULL, NULL, &block));
    FAILS(c, MP_INVALID, "graph 1 has 3 source and 2", mp_graph_batch(c->ctx, (mp_graph *[]){ a, block }, 2, &all));
    FAILS(c, MP_USAGE, "graph 0 is NULL", mp_graph_batch(c->ctx, (mp_graph *[]){ NULL }, 1, &all));
    mp_graph_destroy(block);
    mp_graph_destroy(a);
    mp_graph_destroy(b);
    mp_graph_destroy(k);
    mp_graph_destroy(two);
}

static void check_block(check *c, mp_graph *g, const int64_t *nodes, int64_t n, int64_t fanout)
{
    mp_graph *block = NULL;
    DLManagedTensor *src_nodes = NULL, *edge_ids = NULL;
    OK(c, mp_graph_sample(g, nodes, n, fanout, 42, &block, &src_nodes, &edge_ids));
    if (!block)
        return;
    int64_t e = mp_graph_num_edges(block), n_src = mp_graph_num_src(block), bad = 0;
    int64_t *src = malloc((size_t)e * 8 + 8), *dst = malloc((size_t)e * 8 + 8);
    int64_t *all_src = malloc((size_t)g->n_edges * 8 + 8), *all_dst = malloc((size_t)g->n_edges * 8 + 8);
    OK(c, mp_graph_edges(block, src, dst));
    OK(c, mp_graph_edges(g, all_src, all_dst));
    const int64_t *original = src_nodes->dl_tensor.data, *ids = edge_ids->dl_tensor.data;
    CHECK(c, src_nodes->dl_tensor.shape[0] == n_src && edge_ids->dl_tensor.shape[0] == e && mp_graph_num_dst(block) == n);
    graph_degrees whole, in;
    OK(c, graph_in_degrees(g, &whole));
    OK(c, graph_in_degrees(block, &in));
    CHECK(c, in.n == n_src);
    for (int64_t i = 0; i < n_src; i++) {
        bad += i < n && original[i] != nodes[i];
        bad += in.count[i] != whole.count[original[i]];
        for (int64_t j = 0; j < i; j++)
            bad += original[i] == original[j];
    }
    for (int64_t i = 0, k = 0; i < n; i++) {
        int64_t want = fanout >= 0 && whole.count[nodes[i]] > fanout ? fanout : whole.count[nodes[i]];
        for (int64_t j = 0; j < want && k < e; j++, k++) {
            bad += dst[k] != i || all_dst[ids[k]] != nodes[i] || all_src[ids[k]] != original[src[k]];
            bad += j > 0 && ids[k] <= ids[k - 1];
        }
        bad += i == n - 1 && k != e;
    }
    CHECK(c, bad == 0);
    free(src);
    free(dst);
    free(all_src);
    free(all_dst);
    src_nodes->deleter(src_nodes);
    edge_ids->deleter(edge_ids);
    mp_graph_destroy(block);
}

static void samples(check *c)
{
    mp_graph *g = NULL;
    OK(c, mp_graph_read(c->ctx, "rmat:6,900,1", &g, NULL));
    int64_t nodes[] = { 0, 5, 63, 1, 17, 40 };
    for (int64_t fanout = -1; fanout < 12; fanout += 3)
        check_block(c, g, nodes, 6, fanout);
    check_block(c, g, nodes, 0, 3);
    mp_graph *block = NULL, *again = NULL;
    DLManagedTensor *ids = NULL;
    OK(c, mp_graph_sample(g, nodes, 6, 4, 1, &block, NULL, &ids));
    OK(c, mp_graph_sample(g, nodes, 6, 4, 1, &again, NULL, NULL));
    CHECK(c, mp_graph_num_src(block) == mp_graph_num_src(again));
    mp_graph_destroy(again);
    mp_graph *second = NULL;            /* a block of the block: its destinations are nodes of it */
    OK(c, mp_graph_sample(block, (int64_t[]){ 2, 0 }, 2, -1, 1, &second, NULL, NULL));
    CHECK(c, mp_graph_num_dst(second) == 2);
    mp_graph_destroy(second);
    FAILS(c, MP_INVALID, "element 1 is 6, but must be in 0..5", mp_graph_sample(block, (int64_t[]){ 0, 6 }, 2, 1, 1, &second, NULL, NULL));
    FAILS(c, MP_INVALID, "element 1 is 3, which was there before", mp_graph_sample(g, (int64_t[]){ 3, 3 }, 2, 1, 1, &second, NULL, NULL));
    mp_graph_destroy(block);
    OK(c, mp_graph_from_coo(c->ctx, 4, 2, 0, NULL, NULL, &block));
    FAILS(c, MP_INVALID, "know the degrees", mp_graph_sample(block, nodes, 1, 1, 1, &second, NULL, NULL));
    mp_graph_destroy(block);
    ids->deleter(ids);
    mp_graph_destroy(g);
    /* each of 6 edges is among the 2 chosen as often as the others */
    int32_t src[6] = { 1, 2, 3, 4, 5, 6 }, dst[6] = { 0 };
    int64_t seen[6] = { 0 }, zero = 0;
    OK(c, mp_graph_from_coo(c->ctx, 7, 7, 6, src, dst, &g));
    for (uint64_t seed = 0; seed < 3000; seed++) {
        OK(c, mp_graph_sample(g, &zero, 1, 2, seed, &block, NULL, &ids));
        seen[((int64_t *)ids->dl_tensor.data)[0]]++;
        seen[((int64_t *)ids->dl_tensor.data)[1]]++;
        ids->deleter(ids);
        mp_graph_destroy(block);
    }
    for (int i = 0; i < 6; i++)
        CHECK(c, seen[i] > 900 && seen[i] < 1100);
    mp_graph_destroy(g);
}

static DLTensor vector(void *data, tensor_type type, int64_t *shape)
{
    return (DLTensor){ .data = data, .device = { kDLCPU, 0 }, .ndim = 1, .dtype = tensor_dtype(type), .shape = shape };
}

/* Two steps by hand on one number, then descent on a bowl in both widths. */
static void optimisers(check *c)
{
    int64_t one[] = { 1 };
    double p = 1, g = 0.5, v = 0;
    DLTensor tp = vector(&p, TENSOR_F64, one), tg = vector(&g, TENSOR_F64, one), tv = vector(&v, TENSOR_F64, one);
    mp_sgd sgd = { .lr = 0.1, .momentum = 0.9, .weight_decay = 0.2 };
    OK(c, mp_sgd_step(c->ctx, &sgd, &tp, &tg, &tv));
    CHECK(c, fabs(v - 0.7) < 1e-15 && fabs(p - 0.93) < 1e-15);
    OK(c, mp_sgd_step(c->ctx, &sgd, &tp, &tg, &tv));
    CHECK(c, fabs(v - (0.63 + 0.5 + 0.186)) < 1e-15 && fabs(p - (0.93 - 0.1316)) < 1e-15);
    p = 1;
    OK(c, mp_sgd_step(c->ctx, &(mp_sgd){ .lr = 0.1 }, &tp, &tg, NULL));
    CHECK(c, fabs(p - 0.95) < 1e-15);
    FAILS(c, MP_USAGE, "needs a velocity", mp_sgd_step(c->ctx, &sgd, &tp, &tg, NULL));
    mp_adam adam = MP_ADAM_DEFAULT;
    double m = 0;
    p = 1;
    v = 0;
    DLTensor tm = vector(&m, TENSOR_F64, one);
    OK(c, mp_adam_step(c->ctx, &adam, 1, &tp, &tg, &tm, &tv));
    CHECK(c, fabs(p - (1 - 1e-3 * 0.5 / (0.5 + 1e-8))) < 1e-12);
    adam.decoupled = 1;
    adam.weight_decay = 0.1;
    p = 1;
    m = v = 0;
    OK(c, mp_adam_step(c->ctx, &adam, 1, &tp, &tg, &tm, &tv));
    CHECK(c, fabs(p - (1 - 1e-4 - 1e-3 * 0.5 / (0.5 + 1e-8))) < 1e-12);
    FAILS(c, MP_USAGE, "count from 1", mp_adam_step(c->ctx, &adam, 0, &tp, &tg, &tm, &tv));
    enum { N = 40000 };
    int64_t many[] = { N };
    float *x = calloc(N, sizeof *x), *dx = calloc(N, sizeof *dx), *m1 = calloc(N, sizeof *m1), *m2 = calloc(N, sizeof *m2);
    DLTensor tx = vector(x, TENSOR_F32, many), tdx = vector(dx, TENSOR_F32, many), t1 = vector(m1, TENSOR_F32, many),
             t2 = vector(m2, TENSOR_F32, many);
    mp_adam fast = MP_ADAM_DEFAULT;
    fast.lr = 0.05;
    for (int step = 1; step <= 200; step++) {
        for (int i = 0; i < N; i++)
            dx[i] = x[i] - (float)(i % 7) * 0.1f;
        OK(c, mp_adam_step(c->ctx, &fast, step, &tx, &tdx, &t1, &t2));
    }
    int bad = 0;
    for (int i = 0; i < N; i++)
        bad += fabsf(x[i] - (float)(i % 7) * 0.1f) > 0.01f;
    CHECK(c, bad == 0);
    FAILS(c, MP_INVALID, "grad: is float64[1], but the param is float32[40000]", mp_sgd_step(c->ctx, &sgd, &tx, &tg, &t1));
    free(x);
    free(dx);
    free(m1);
    free(m2);
}

static void clipping(check *c)
{
    float a[2] = { 3, 0 };
    double b[1] = { -4 }, norm = 0;
    int64_t two[] = { 2 }, one[] = { 1 };
    DLTensor t[2] = { { .data = a, .device = { kDLCPU, 0 }, .ndim = 1, .dtype = { kDLFloat, 32, 1 }, .shape = two },
                      { .data = b, .device = { kDLCPU, 0 }, .ndim = 1, .dtype = { kDLFloat, 64, 1 }, .shape = one } };
    OK(c, mp_clip_grad_norm(c->ctx, t, 2, 6, &norm));
    CHECK(c, norm == 5 && a[0] == 3 && b[0] == -4);
    OK(c, mp_clip_grad_norm(c->ctx, t, 2, 1, NULL));
    CHECK(c, fabs((double)a[0] - 0.6) < 1e-6 && fabs(b[0] + 0.8) < 1e-6);
    OK(c, mp_clip_grad_norm(c->ctx, NULL, 0, 1, &norm));
    CHECK(c, norm == 0);
    FAILS(c, MP_USAGE, "a norm above 0", mp_clip_grad_norm(c->ctx, t, 2, 0, NULL));
    t[1].dtype = (DLDataType){ kDLInt, 64, 1 };
    FAILS(c, MP_INVALID, "must be float32 or float64", mp_clip_grad_norm(c->ctx, t, 2, 1, NULL));
}

int main(void)
{
    check c = check_begin(2);
    batches(&c);
    samples(&c);
    optimisers(&c);
    clipping(&c);
    return check_end(&c);
}
