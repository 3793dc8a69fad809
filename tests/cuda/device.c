/* The device runtime through its public headers, on a GPU where there is one, else on the emulated driver that the environment
 * names: results are the CPU's within rounding and the same bits each time, for tensors of the device and of the host; streams;
 * capture in a graph, which shows that a call neither allocates nor waits; memory comes back; an `until` that ends early.
 *
 *   device EXAMPLES PROGRAMS       without a driver, or without NVRTC: 77 */
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mpc.h"

enum { SKIPPED = 77, NODES = 1400, EDGES = 6000, IN = 12, OUT = 8 };

typedef struct world {
    mp_context *cpu, *gpu;
    int failed;
} world;

#define CHECK(w, x)                                                                             \
    do {                                                                                        \
        if (!(x)) {                                                                             \
            fprintf(stderr, "%s:%d: %s: %s | %s\n", __FILE__, __LINE__, #x, mp_error_message((w)->cpu), mp_error_message((w)->gpu)); \
            (w)->failed++;                                                                      \
        }                                                                                       \
    } while (0)

/* One node with very many edges, which is walked in pieces; some with none. */
static mp_graph *graph(mp_context *ctx)
{
    int32_t *src = calloc(EDGES, sizeof *src), *dst = calloc(EDGES, sizeof *dst);
    mp_graph *g = NULL;
    uint32_t x = 1;
    for (int i = 0; i < EDGES; i++) {
        x = x * 1664525u + 1013904223u;
        src[i] = (int32_t)(x >> 8) % NODES;
        x = x * 1664525u + 1013904223u;
        dst[i] = i % 3 == 0 ? 7 : (int32_t)(x >> 8) % (NODES - 50);
        if (i % 5 == 0)
            src[i] = 11;
    }
    mp_graph_from_coo(ctx, NODES, NODES, EDGES, src, dst, &g);
    free(src);
    free(dst);
    return g;
}

typedef struct tensor { DLTensor t; int64_t shape[2]; float *data; } tensor;

static void make(world *w, tensor *t, int64_t rows, int64_t width, uint64_t stream)
{
    *t = (tensor){.shape = {rows ? rows : width, width}};
    t->data = calloc((size_t)((rows ? rows : 1) * width), sizeof *t->data);
    t->t = (DLTensor){.data = t->data, .device = {kDLCPU, 0}, .ndim = rows ? 2 : 1, .dtype = {kDLFloat, 32, 1}, .shape = t->shape};
    CHECK(w, mp_fill_normal(w->cpu, &t->t, 5, stream) == MP_OK);
}

static int64_t count(const DLTensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->ndim; i++)
        n *= t->shape[i];
    return n;
}

static int near(const float *a, const float *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (!(fabsf(a[i] - b[i]) <= 2e-4f * (1 + fabsf(b[i]))))
            return fprintf(stderr, "element %lld: %g, not %g\n", (long long)i, (double)a[i], (double)b[i]), 0;
    return 1;
}

static mp_layer *layer_of(world *w, mp_context *ctx, const char *folder, const char *file, const mp_static *statics, int n)
{
    char path[600];
    mp_module *mod = NULL;
    mp_layer *layer = NULL;
    snprintf(path, sizeof path, "%s/%s", folder, file);
    CHECK(w, mpc_compile_file(ctx, path, &(mpc_options){.no_cache = 1}, &mod) == MP_OK);
    if (mod)
        CHECK(w, mp_layer_create(mod, NULL, statics, n, &layer) == MP_OK);
    mp_module_destroy(mod);
    return layer;
}

/* ---- GCN: forward and backward, host and device, a captured graph ----------------------------------------------- */

typedef struct values { tensor x, W, b, y, dy, dx, dW; } values;

static void make_values(world *w, values *v)
{
    make(w, &v->x, NODES, IN, 1);
    make(w, &v->W, IN, OUT, 2);
    make(w, &v->b, 0, OUT, 3);
    make(w, &v->y, NODES, OUT, 4);
    make(w, &v->dy, NODES, OUT, 5);
    make(w, &v->dx, NODES, IN, 6);
    make(w, &v->dW, IN, OUT, 7);
}

static void free_values(values *v)
{
    tensor *const all[] = {&v->x, &v->W, &v->b, &v->y, &v->dy, &v->dx, &v->dW};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]->data);
}

static void bind(world *w, mp_layer *l, DLTensor *const t[7])
{
    CHECK(w, mp_bind(l, "x", t[0], 0) == MP_OK && mp_bind(l, "W", t[1], 0) == MP_OK && mp_bind(l, "b", t[2], 0) == MP_OK);
    CHECK(w, mp_bind(l, "g", t[3], 0) == MP_OK && mp_bind_grad(l, "g", t[4], 0) == MP_OK);
    CHECK(w, mp_bind_grad(l, "x", t[5], 0) == MP_OK && mp_bind_grad(l, "W", t[6], 0) == MP_OK);
}

static void list(values *v, DLTensor *out[7])
{
    tensor *const all[] = {&v->x, &v->W, &v->b, &v->y, &v->dy, &v->dx, &v->dW};
    for (int i = 0; i < 7; i++)
        out[i] = &all[i]->t;
}

static void pass(world *w, mp_layer *l, mp_graph *g, mp_tape **tape)
{
    CHECK(w, mp_forward_train(l, g, 3, tape) == MP_OK);
    CHECK(w, mp_backward(l, *tape) == MP_OK);
}

/* The result on the device against the one on the CPU. */
static void compare(world *w, DLManagedTensor *const there[7], values *want)
{
    DLTensor *all[7];
    list(want, all);
    const int results[] = {3, 5, 6};
    for (int i = 0; i < 3; i++) {
        DLManagedTensor *here = NULL;
        CHECK(w, mp_tensor_to(w->gpu, &there[results[i]]->dl_tensor, (DLDevice){kDLCPU, 0}, &here) == MP_OK);
        if (!here)
            continue;
        CHECK(w, near(here->dl_tensor.data, all[results[i]]->data, count(all[results[i]])));
        here->deleter(here);
    }
}

/* The driver's own functions, for streams and graphs. */
typedef struct graphs {
    int (*retain)(void **context, int device);
    int (*push)(void *context);
    int (*stream)(void **s, unsigned flags);
    int (*stream_drop)(void *s);
    int (*begin)(void *s, int mode);
    int (*end)(void *s, void **graph);
    int (*make)(void **exec, void *graph, unsigned long long flags);
    int (*launch)(void *exec, void *s);
    int (*exec_drop)(void *exec);
    int (*graph_drop)(void *graph);
    int (*fill)(uint64_t to, unsigned char value, size_t bytes, void *s);
    int (*copy)(uint64_t to, uint64_t from, size_t bytes, void *s);
} graphs;

static int find_graphs(graphs *d)
{
    const char *own = getenv("MPC_LIBCUDA");
    void *library = dlopen(own && *own ? own : "libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    const struct { const char *name; void *to; } all[] = {
        {"cuDevicePrimaryCtxRetain", &d->retain}, {"cuCtxPushCurrent_v2", &d->push}, {"cuStreamCreate", &d->stream},
        {"cuStreamDestroy_v2", &d->stream_drop}, {"cuStreamBeginCapture_v2", &d->begin}, {"cuStreamEndCapture", &d->end},
        {"cuGraphInstantiateWithFlags", &d->make}, {"cuGraphLaunch", &d->launch}, {"cuGraphExecDestroy", &d->exec_drop},
        {"cuGraphDestroy", &d->graph_drop}, {"cuMemsetD8Async", &d->fill},
        {"cuMemcpyDtoDAsync_v2", &d->copy},
    };
    int found = library != NULL;
    for (size_t i = 0; i < sizeof all / sizeof *all && found; i++) {
        void *at = dlsym(library, all[i].name);
        memcpy(all[i].to, &at, sizeof at);
        found = at != NULL;
    }
    return found;
}

/* A call is captured, rubbish put where its results go, the graph launched. */
static void capture(world *w, mp_layer *l, mp_graph *g, mp_tape **tape, DLManagedTensor *there[7], values *want)
{
    void *stream = NULL, *graph_of = NULL, *exec = NULL, *context = NULL;
    graphs d;
    if (!find_graphs(&d)) {
        CHECK(w, !"the driver has graphs");
        return;
    }
    CHECK(w, d.retain(&context, 0) == 0 && d.push(context) == 0);
    CHECK(w, d.stream(&stream, 1u) == 0);
    CHECK(w, mp_set_stream(w->gpu, stream) == MP_OK);
    pass(w, l, g, tape);
    CHECK(w, mp_synchronize(w->gpu) == MP_OK);
    CHECK(w, d.begin(stream, 0) == 0);
    pass(w, l, g, tape);
    CHECK(w, d.end(stream, &graph_of) == 0);
    CHECK(w, d.make(&exec, graph_of, 0) == 0);
    const int results[] = {3, 5, 6};
    for (int i = 0; i < 3; i++) {                /* rubbish where the results go */
        DLTensor *t = &there[results[i]]->dl_tensor;
        CHECK(w, d.fill((uintptr_t)t->data, 0x7f, (size_t)count(t) * 4, stream) == 0);
    }
    CHECK(w, d.launch(exec, stream) == 0);
    CHECK(w, mp_synchronize(w->gpu) == MP_OK);
    compare(w, there, want);
    CHECK(w, d.exec_drop(exec) == 0 && d.graph_drop(graph_of) == 0);
    CHECK(w, mp_set_stream(w->gpu, NULL) == MP_OK);
    CHECK(w, d.stream_drop(stream) == 0);
}

static void same_bits(world *w, mp_layer *l, mp_graph *g, mp_tape **tape, DLManagedTensor *there[7])
{
    const int results[] = {3, 5, 6};
    for (int i = 0; i < 3; i++) {
        DLManagedTensor *a = NULL, *b = NULL;
        const DLTensor *t = &there[results[i]]->dl_tensor;
        CHECK(w, mp_tensor_to(w->gpu, t, (DLDevice){kDLCPU, 0}, &a) == MP_OK);
        pass(w, l, g, tape);
        CHECK(w, mp_tensor_to(w->gpu, t, (DLDevice){kDLCPU, 0}, &b) == MP_OK);
        CHECK(w, a && b && memcmp(a->dl_tensor.data, b->dl_tensor.data, (size_t)count(t) * 4) == 0);
        if (a)
            a->deleter(a);
        if (b)
            b->deleter(b);
    }
}

static void test_gcn(world *w, const char *folder)
{
    values want, got;
    DLTensor *all[7], *mine[7];
    DLManagedTensor *there[7] = {0};
    mp_tape *tape = NULL, *other = NULL;
    make_values(w, &want);
    make_values(w, &got);
    list(&want, all);
    list(&got, mine);
    mp_graph *here = graph(w->cpu), *g = graph(w->gpu);
    mp_layer *a = layer_of(w, w->cpu, folder, "gcn.mp", NULL, 0), *b = layer_of(w, w->gpu, folder, "gcn.mp", NULL, 0);
    if (a && b) {
        bind(w, a, all);
        pass(w, a, here, &tape);
        bind(w, b, mine);                        /* tensors of the host */
        pass(w, b, g, &other);
        CHECK(w, near(got.y.data, want.y.data, NODES * OUT) && near(got.dx.data, want.dx.data, NODES * IN));
        CHECK(w, near(got.dW.data, want.dW.data, IN * OUT));
        for (int i = 0; i < 7; i++) {
            CHECK(w, mp_tensor_to(w->gpu, all[i], (DLDevice){kDLCUDA, 0}, &there[i]) == MP_OK);
            mine[i] = &there[i]->dl_tensor;
        }
        bind(w, b, mine);                        /* of the device */
        pass(w, b, g, &other);
        compare(w, there, &want);
        same_bits(w, b, g, &other, there);
        capture(w, b, g, &other, there, &want);
    }
    mp_tape_destroy(tape);
    mp_tape_destroy(other);
    mp_layer_destroy(a);
    mp_layer_destroy(b);
    mp_graph_destroy(here);
    mp_graph_destroy(g);
    for (int i = 0; i < 7; i++)
        if (there[i])
            there[i]->deleter(there[i]);
    free_values(&want);
    free_values(&got);
}

/* ---- A loop that ends when a kernel finds it has ------------------------------------------------------------------ */

static void test_until(world *w, const char *folder)
{
    mp_context *const ctx[] = {w->cpu, w->gpu};
    mp_iteration it[2] = {{0}, {0}};
    float *ranks[2] = {NULL, NULL};
    for (int i = 0; i < 2; i++) {
        mp_graph *g = NULL;
        CHECK(w, mp_graph_read(ctx[i], "er:1400,6000,1", &g, NULL) == MP_OK);
        mp_layer *l = layer_of(w, ctx[i], folder, "pagerank.mp", NULL, 0);
        DLTensor t;
        DLManagedTensor *host = NULL;
        if (l) {
            mp_value_info v = {.size = sizeof v};
            CHECK(w, mp_layer_value(l, MP_OUTPUT, 0, &v) == MP_OK);
            CHECK(w, mp_forward(l, g) == MP_OK && mp_output(l, v.name, &t) == MP_OK);
            CHECK(w, mp_tensor_to(ctx[i], &t, (DLDevice){kDLCPU, 0}, &host) == MP_OK);
            it[i].size = sizeof it[i];
            CHECK(w, mp_layer_iteration(l, 0, &it[i]) == MP_OK);
            ranks[i] = calloc(NODES, sizeof *ranks[i]);
            if (host) {
                memcpy(ranks[i], host->dl_tensor.data, NODES * sizeof *ranks[i]);
                host->deleter(host);
            }
        }
        mp_layer_destroy(l);
        mp_graph_destroy(g);
    }
    CHECK(w, it[0].steps > 3 && it[0].steps < 200 && llabs((long long)(it[0].steps - it[1].steps)) < 3);
    CHECK(w, ranks[0] && ranks[1] && near(ranks[1], ranks[0], NODES));
    free(ranks[0]);
    free(ranks[1]);
}

/* ---- Products by cuBLAS ----------------------------------------------------------------------------------------------- */

/* Results of a GAT, and gradients of its params, in a context of their own. */
typedef struct gat_results { float y[NODES * OUT], dx[NODES * IN], dW[IN * OUT]; uint64_t memory; } gat_results;

static void run_gat(world *w, mp_context *ctx, const char *folder, gat_results *r)
{
    tensor x, W, a, b, dy;
    const mp_static statics[] = {MP_DIM("heads", 2), MP_DIM("out", OUT / 2)};
    mp_graph *g = graph(ctx);
    mp_tape *tape = NULL;
    mp_layer *l = layer_of(w, ctx, folder, "gat.mp", statics, 2);
    int64_t three[] = {IN, 2, OUT / 2}, two[] = {2, OUT / 2}, rows[] = {NODES, 2, OUT / 2};
    make(w, &x, NODES, IN, 1);
    make(w, &W, IN, OUT, 2);
    make(w, &a, 0, OUT, 3);
    make(w, &b, 0, OUT, 4);
    make(w, &dy, NODES, OUT, 5);
    DLTensor tW = W.t, ta = a.t, y = dy.t, dW = W.t, dx = x.t, tdy = dy.t;
    tW.ndim = dW.ndim = y.ndim = tdy.ndim = 3;
    tW.shape = dW.shape = three;
    ta.ndim = 2;
    ta.shape = two;
    y.shape = tdy.shape = rows;
    y.data = r->y;
    dx.data = r->dx;
    dW.data = r->dW;
    mp_value_info v = {.size = sizeof v};
    if (l && mp_layer_value(l, MP_OUTPUT, 0, &v) == MP_OK) {
        if (v.rank == 1) {                      /* heads side by side */
            y.ndim = tdy.ndim = 2;
            rows[1] = OUT;
        }
        CHECK(w, mp_bind(l, "x", &x.t, 0) == MP_OK && mp_bind(l, "W", &tW, 0) == MP_OK && mp_bind(l, "a_src", &ta, 0) == MP_OK);
        CHECK(w, mp_bind(l, "a_dst", &ta, 0) == MP_OK && (mp_bind(l, "b", &ta, 0) == MP_OK || mp_bind(l, "b", &b.t, 0) == MP_OK));
        CHECK(w, mp_bind(l, v.name, &y, 0) == MP_OK && mp_bind_grad(l, v.name, &tdy, 0) == MP_OK);
        CHECK(w, mp_bind_grad(l, "x", &dx, 0) == MP_OK && mp_bind_grad(l, "W", &dW, 0) == MP_OK);
        pass(w, l, g, &tape);
        mp_device_memory(ctx, &r->memory, NULL);
    }
    mp_tape_destroy(tape);
    mp_layer_destroy(l);
    mp_graph_destroy(g);
    tensor *const all[] = {&x, &W, &a, &b, &dy};
    for (int i = 0; i < 5; i++)
        free(all[i]->data);
}

static double farthest(const float *a, const float *b, int64_t n)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++)
        most = fmax(most, fabs((double)a[i] - (double)b[i]) / (1 + fabs((double)b[i])));
    return most;
}

/* On the emulated driver products are worth a library's; what it counts shows that it does them. With TF32 results are those of rounded
 * operands. */
static void test_products(world *w, const char *folder)
{
    const char *own = getenv("MPC_LIBCUBLAS");
    void *library = own && *own ? dlopen(own, RTLD_NOW | RTLD_LOCAL) : NULL, *at = library ? dlsym(library, "emu_products") : NULL;
    long long (*products)(void) = NULL, before;
    memcpy(&products, &at, sizeof at);
    gat_results *r = calloc(3, sizeof *r);
    mp_context *tf32 = NULL;
    mp_context_create(&(mp_context_options){.threads = 2, .device = {kDLCUDA, 0}, .tf32 = 1}, &tf32);
    before = products ? products() : 0;
    run_gat(w, w->cpu, folder, &r[0]);
    run_gat(w, w->gpu, folder, &r[1]);
    CHECK(w, !products || products() >= before + 3);            /* x W, its gradient by W, by what is around it */
    CHECK(w, near(r[1].y, r[0].y, NODES * OUT) && near(r[1].dx, r[0].dx, NODES * IN) && near(r[1].dW, r[0].dW, IN * OUT));
    if (products)
        CHECK(w, r[1].memory > 32u << 20);                      /* cuBLAS's workspace is the layer's */
    if (products && tf32) {
        run_gat(w, tf32, folder, &r[2]);
        double plain = farthest(r[1].y, r[0].y, NODES * OUT), rounded = farthest(r[2].y, r[0].y, NODES * OUT);
        CHECK(w, plain < 1e-5 && rounded > 1e-4 && rounded < 0.1);      /* operands are wrong by 2^-11, and go through a softmax */
    }
    mp_context_destroy(tf32);
    free(r);
}

/* ---- Pairs of an index that is computed in the call ------------------------------------------------------------------- */

enum { BINS = 5, KINDS = 3, BINNED = 11 };

/* x w W V | h s u | their cotangents | gradients of x and W: in the context's memory, or on the device. */
static void binned_tensors(world *w, tensor t[BINNED])
{
    static int64_t three[] = {BINS, IN, OUT};
    const int64_t shape[BINNED][2] = {{NODES, IN}, {0, EDGES}, {BINS, IN * OUT}, {KINDS, IN}, {NODES, OUT}, {0, EDGES}, {KINDS, OUT},
                                      {NODES, OUT}, {0, EDGES}, {KINDS, OUT}, {NODES, IN}};
    for (int i = 0; i < BINNED; i++)
        make(w, &t[i], shape[i][0], shape[i][1], (uint64_t)i + 20);
    t[2].t.ndim = 3;
    t[2].t.shape = three;
}

static mp_status bind_binned(mp_layer *l, DLTensor *const t[BINNED])
{
    static const char *const in[] = {"x", "w", "W", "V"}, *const out[] = {"h", "s", "u"};
    mp_status st = MP_OK;
    for (int i = 0; i < 4 && !st; i++)
        st = mp_bind(l, in[i], t[i], 0);
    for (int i = 0; i < 3 && !st; i++)
        st = mp_bind(l, out[i], t[4 + i], 0) ? MP_USAGE : mp_bind_grad(l, out[i], t[7 + i], 0);
    return st ? st : mp_bind_grad(l, "x", t[10], 0);
}

/* The pairs are built on the device: a call on prepared layers neither waits nor allocates, and can be captured; other weights then give
 * other pairs. */
static void test_pairs(world *w, const char *folder)
{
    tensor t[BINNED], other;
    DLTensor *here[BINNED], *there[BINNED];
    DLManagedTensor *moved[BINNED] = {0}, *back = NULL;
    const mp_static statics[] = {MP_DIM("R", BINS), MP_DIM("K", KINDS)};
    mp_graph *g[] = {graph(w->cpu), graph(w->gpu)};
    mp_layer *l[] = {layer_of(w, w->cpu, folder, "binned.mp", statics, 2), layer_of(w, w->gpu, folder, "binned.mp", statics, 2)};
    mp_tape *tape[2] = {NULL, NULL};
    void *stream = NULL, *graph_of = NULL, *exec = NULL, *context = NULL;
    graphs d;
    binned_tensors(w, t);
    for (int i = 0; i < BINNED; i++) {
        here[i] = &t[i].t;
        CHECK(w, mp_tensor_to(w->gpu, here[i], (DLDevice){kDLCUDA, 0}, &moved[i]) == MP_OK);
        there[i] = &moved[i]->dl_tensor;
    }
    CHECK(w, find_graphs(&d) && d.retain(&context, 0) == 0 && d.push(context) == 0 && d.stream(&stream, 1u) == 0);
    CHECK(w, mp_set_stream(w->gpu, stream) == MP_OK);
    CHECK(w, l[0] && l[1] && bind_binned(l[0], here) == MP_OK && bind_binned(l[1], there) == MP_OK);
    pass(w, l[1], g[1], &tape[1]);
    CHECK(w, mp_synchronize(w->gpu) == MP_OK && d.begin(stream, 0) == 0);
    pass(w, l[1], g[1], &tape[1]);
    CHECK(w, d.end(stream, &graph_of) == 0 && d.make(&exec, graph_of, 0) == 0);
    for (int round = 0; round < 2; round++) {
        pass(w, l[0], g[0], &tape[0]);
        CHECK(w, d.launch(exec, stream) == 0 && mp_synchronize(w->gpu) == MP_OK);
        const int results[] = {4, 5, 6, 10};
        for (int i = 0; i < 4; i++) {
            CHECK(w, mp_tensor_to(w->gpu, there[results[i]], (DLDevice){kDLCPU, 0}, &back) == MP_OK);
            CHECK(w, near(back->dl_tensor.data, t[results[i]].data, count(here[results[i]])));
            back->deleter(back);
        }
        make(w, &other, 0, EDGES, 99);          /* other weights, in their places */
        CHECK(w, mp_tensor_to(w->gpu, &other.t, (DLDevice){kDLCUDA, 0}, &back) == MP_OK);
        CHECK(w, d.copy((uintptr_t)there[1]->data, (uintptr_t)back->dl_tensor.data, EDGES * 4, stream) == 0);
        memcpy(t[1].data, other.data, EDGES * 4);
        back->deleter(back);
        free(other.data);
    }
    CHECK(w, d.exec_drop(exec) == 0 && d.graph_drop(graph_of) == 0);
    CHECK(w, mp_set_stream(w->gpu, NULL) == MP_OK && d.stream_drop(stream) == 0);
    for (int i = 0; i < 2; i++) {
        mp_tape_destroy(tape[i]);
        mp_layer_destroy(l[i]);
        mp_graph_destroy(g[i]);
    }
    for (int i = 0; i < BINNED; i++) {
        moved[i]->deleter(moved[i]);
        free(t[i].data);
    }
}

/* ---- An array of more than 2^32 elements ------------------------------------------------------------------------------- */

enum { FAR_ROWS = (1 << 22) + 64, FAR_WIDTH = 1024, FAR_EDGES = 6, FAR_DST = 3 };

/* Five rows of a matrix of 17 GB are read, some beyond 2^32 elements; on the emulated driver, and on a GPU, whose memory it fits. */
static void test_far(world *w)
{
    static const char text[] = "layer Far(d) {\n    node x[d];\n    update g = sum(src.x) + max(2 * src.x);\n}\n";
    static const int32_t src[FAR_EDGES] = {FAR_ROWS - 1, 5, 1 << 21, FAR_ROWS - 2, 5, (1 << 22) + 1}, dst[FAR_EDGES] = {0, 0, 1, 1, 2, 2};
    const size_t bytes = (size_t)FAR_ROWS * FAR_WIDTH * sizeof(float);
    const char *own = getenv("MPC_LIBCUDA");
    void *library = dlopen(own && *own ? own : "libcuda.so.1", RTLD_NOW | RTLD_LOCAL), *at[3] = {NULL, NULL, NULL};
    int (*alloc)(uint64_t *p, size_t bytes) = NULL, (*release)(uint64_t p) = NULL, (*upload)(uint64_t to, const void *from, size_t bytes, void *s) = NULL;
    uint64_t far = 0;
    if (library) {
        at[0] = dlsym(library, "cuMemAlloc_v2");
        at[1] = dlsym(library, "cuMemFree_v2");
        at[2] = dlsym(library, "cuMemcpyHtoDAsync_v2");
    }
    memcpy(&alloc, &at[0], sizeof alloc);
    memcpy(&release, &at[1], sizeof release);
    memcpy(&upload, &at[2], sizeof upload);
    if (!alloc || !release || !upload || alloc(&far, bytes) != 0) {
        printf("an array of %zu bytes is not to be had\n", bytes);
        return;
    }
    mp_graph *g = NULL;
    mp_module *mod = NULL;
    mp_layer *l = NULL;
    tensor rows, y;
    make(w, &rows, FAR_EDGES, FAR_WIDTH, 7);     /* edge k's row of x; the same where the source is */
    memcpy(rows.data + 4 * FAR_WIDTH, rows.data + FAR_WIDTH, FAR_WIDTH * sizeof(float));
    make(w, &y, FAR_DST, FAR_WIDTH, 8);
    for (int k = 0; k < FAR_EDGES; k++)
        CHECK(w, upload(far + (uint64_t)src[k] * FAR_WIDTH * sizeof(float), rows.data + k * FAR_WIDTH, FAR_WIDTH * sizeof(float), NULL) == 0);
    int64_t shape[] = {FAR_ROWS, FAR_WIDTH};
    DLTensor x = {.data = (void *)(uintptr_t)far, .device = {kDLCUDA, 0}, .ndim = 2, .dtype = {kDLFloat, 32, 1}, .shape = shape};
    CHECK(w, mp_graph_from_coo(w->gpu, FAR_ROWS, FAR_DST, FAR_EDGES, src, dst, &g) == MP_OK);
    CHECK(w, mpc_compile_text(w->gpu, "far.mp", text, &(mpc_options){.no_cache = 1}, &mod) == MP_OK);
    CHECK(w, mod && mp_layer_create(mod, NULL, NULL, 0, &l) == MP_OK);
    CHECK(w, l && mp_bind(l, "x", &x, 0) == MP_OK && mp_bind(l, "g", &y.t, 0) == MP_OK && mp_forward(l, g) == MP_OK);
    int wrong = 0;
    for (int i = 0; i < FAR_DST; i++)
        for (int j = 0; j < FAR_WIDTH; j++) {
            const float *one = rows.data + 2 * i * FAR_WIDTH + j, *two = one + FAR_WIDTH;
            wrong += !near(&y.data[i * FAR_WIDTH + j], &(float){*one + *two + 2 * fmaxf(*one, *two)}, 1);
        }
    CHECK(w, wrong == 0);
    mp_layer_destroy(l);
    mp_module_destroy(mod);
    mp_graph_destroy(g);
    CHECK(w, release(far) == 0);
    free(rows.data);
    free(y.data);
}

/* ---- What must be refused ----------------------------------------------------------------------------------------- */

static void test_refusals(world *w)
{
    tensor x;
    DLManagedTensor *out = NULL;
    make(w, &x, 3, 2, 1);
    CHECK(w, mp_tensor_to(w->cpu, &x.t, (DLDevice){kDLCUDA, 0}, &out) == MP_USAGE);
    CHECK(w, mp_tensor_to(w->gpu, &x.t, (DLDevice){kDLCUDA, 7}, &out) == MP_USAGE);
    CHECK(w, mp_set_stream(w->cpu, NULL) == MP_USAGE);
    CHECK(w, mp_synchronize(w->cpu) == MP_OK);
    mp_context *none = NULL;
    CHECK(w, mp_context_create(&(mp_context_options){.device = {kDLCUDA, 63}}, &none) == MP_OK);
    CHECK(w, mp_set_stream(none, NULL) == MP_UNSUPPORTED && strstr(mp_error_message(none), "63"));
    mp_context_destroy(none);
    free(x.data);
}

int main(int argc, char **argv)
{
    world w = {0};
    if (argc != 3)
        return 2;
    mp_context_create(&(mp_context_options){.threads = 2}, &w.cpu);
    mp_context_create(&(mp_context_options){.threads = 2, .device = {kDLCUDA, 0}}, &w.gpu);
    const int skipped = mp_set_stream(w.gpu, NULL) != MP_OK;
    if (skipped) {
        printf("skipped: %s\n", mp_error_message(w.gpu));
    } else {
        test_gcn(&w, argv[1]);
        test_until(&w, argv[1]);
        test_products(&w, argv[1]);
        test_pairs(&w, argv[2]);
        test_far(&w);
        test_refusals(&w);
        uint64_t left = 1;
        mp_device_memory(w.gpu, &left, NULL);
        CHECK(&w, left == 0);
        printf(w.failed ? "%d failed\n" : "ok\n", w.failed);
    }
    mp_context_destroy(w.cpu);
    mp_context_destroy(w.gpu);
    return skipped ? SKIPPED : w.failed != 0;
}
