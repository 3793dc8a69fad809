/*
 * Compile, run, train, destroy, again and again: through mpc.h and mp.h only. After each cycle the context holds
 * not a byte, every cycle gives the same numbers, and objects may go in any order.
 *
 *     test_cycles [CYCLES]
 */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mpc.h"

enum { IN = 5, OUT = 3, NODES = 34 };

static const char source[] =
    "layer GCN(in, out) {\n"
    "    node  x[in];\n"
    "    param W[in, out], b[out];\n"
    "    node    n = rsqrt(in_degree + 1);\n"
    "    message f = src.n * src.x;\n"
    "    update  h = tanh((n * (sum(f) + n * x)) @ W + b);\n"
    "}\n"
    "layer Two(in, out) {\n"
    "    node  x[in];\n"
    "    use   c = GCN(in, out);\n"
    "    node    z = c(x = x);\n"
    "    edge    s = dot(src.x, dst.x);\n"
    "    message m = softmax(s) * src.z;\n"
    "    update  g = sum(m);\n"
    "}\n";

static const char plain[] =
    "layer Plain(in, out) {\n"
    "    node  x[in];\n"
    "    param W[in, out];\n"
    "    edge    s = exp(-dot(src.x, dst.x));\n"
    "    message f = softmax(s) * (src.x @ W);\n"
    "    update  g = sum(f) + max(f);\n"
    "}\n";

static const char wrong[] = "layer Wrong(n) {\n    node x[n];\n    update y = x @ z;\n}\n";

typedef struct cycle {
    mp_context *ctx;
    mp_module *module;
    mp_graph *graph;
    mp_layer *layer;
    int failed;
} cycle;

static bool good(cycle *c, mp_status st, const char *what)
{
    if (!st)
        return true;
    printf("%s: %s: %s\n", what, mp_status_name(st), mp_error_message(c->ctx));
    c->failed++;
    return false;
}

static DLTensor matrix(float *data, int64_t *shape)
{
    return (DLTensor){
        .data = data, .device = { kDLCPU, 0 }, .ndim = 2, .dtype = { kDLFloat, 32, 1 }, .shape = shape
    };
}

static void fill(float *to, int n, int step)
{
    for (int i = 0; i < n; i++)
        to[i] = (float)((i * step) % 17 - 8) / 16;
}

/* One layer, with 1 or 2 threads, its output into `g`. */
static void run(cycle *c, const mpc_options *options, float *g)
{
    float x[NODES * IN], w[IN * OUT];
    fill(x, NODES * IN, 7);
    fill(w, IN * OUT, 5);
    DLTensor tx = matrix(x, (int64_t[]){ NODES, IN }), tw = matrix(w, (int64_t[]){ IN, OUT }),
             tg = matrix(g, (int64_t[]){ NODES, OUT });
    if (good(c, mp_graph_read(c->ctx, "karate", &c->graph, NULL), "graph") &&
        good(c, mpc_compile_text(c->ctx, "plain.mp", plain, options, &c->module), "compile") &&
        good(c, mp_layer_create(c->module, NULL, NULL, 0, &c->layer), "layer") &&
        good(c, mp_bind(c->layer, "x", &tx, 0), "x") && good(c, mp_bind(c->layer, "W", &tw, MP_CONST), "W") &&
        good(c, mp_bind(c->layer, "g", &tg, 0), "g") && good(c, mp_forward(c->layer, c->graph), "forward"))
        good(c, mp_forward(c->layer, c->graph), "forward again");
}

/* Instances, whose params keep their own memory, and outputs that the layer keeps. */
static void run_instances(cycle *c, const mpc_options *options)
{
    mp_module *module = NULL;
    mp_layer *layer = NULL;
    mp_static statics[] = { MP_DIM("in", IN), MP_DIM("out", OUT) };
    float x[NODES * IN], w[IN * OUT], b[OUT];
    DLTensor tx = matrix(x, (int64_t[]){ NODES, IN }), tw = matrix(w, (int64_t[]){ IN, OUT }),
             tb = matrix(b, (int64_t[]){ OUT }), out;
    tb.ndim = 1;
    fill(x, NODES * IN, 3);
    fill(w, IN * OUT, 5);
    fill(b, OUT, 1);
    if (good(c, mpc_compile_text(c->ctx, "gcn.mp", source, options, &module), "compile") &&
        good(c, mp_layer_create(module, "Two", statics, 2, &layer), "layer") &&
        good(c, mp_bind(layer, "x", &tx, 0), "x") && good(c, mp_bind(layer, "c.W", &tw, 0), "W") &&
        good(c, mp_bind(layer, "c.b", &tb, 0), "b") && good(c, mp_forward(layer, c->graph), "forward") &&
        good(c, mp_output(layer, "g", &out), "output") && !(fabsf(((float *)out.data)[0]) <= 1)) {
        printf("Two: g[0][0] is out of range\n");
        c->failed++;
    }
    mp_module_destroy(module);          /* before its layer */
    mp_layer_destroy(layer);
}

/* Training: params, tapes that are filled twice, left unread, or outlive their layer. */
static void run_training(cycle *c, const mpc_options *options, int round)
{
    mp_module *module = NULL;
    mp_layer *layer = NULL;
    mp_params *params = NULL;
    mp_tape *read = NULL, *unread = NULL;
    mp_static statics[] = { MP_DIM("in", IN), MP_DIM("out", OUT) };
    mp_adam adam = MP_ADAM_DEFAULT;
    float x[NODES * IN], dx[NODES * IN];
    DLTensor tx = matrix(x, (int64_t[]){ NODES, IN }), tdx = matrix(dx, (int64_t[]){ NODES, IN });
    fill(x, NODES * IN, 3);
    bool fine = good(c, mpc_compile_text(c->ctx, "gcn.mp", source, options, &module), "compile") &&
                good(c, mp_layer_create(module, "Two", statics, 2, &layer), "layer") &&
                good(c, mp_bind(layer, "x", &tx, 0), "x") && good(c, mp_bind_grad(layer, "x", &tdx, 0), "the gradient of x") &&
                good(c, mp_params_create(layer, 1, &params), "params");
    for (int i = 0; i < 2 && fine; i++)
        fine = good(c, mp_forward_train(layer, c->graph, 1, &read), "forward") &&
               good(c, mp_backward(layer, read), "backward") && good(c, mp_params_adam(params, &adam), "step");
    if (fine && good(c, mp_forward_train(layer, c->graph, 2, &unread), "forward") && !isfinite(dx[0])) {
        printf("Two: the gradient of x is no number\n");
        c->failed++;
    }
    mp_module_destroy(module);
    if (round % 2)
        mp_tape_destroy(unread);
    mp_layer_destroy(layer);
    if (!(round % 2))
        mp_tape_destroy(unread);
    mp_tape_destroy(read);
    mp_params_destroy(params);
}

/* What fails leaves nothing behind either. */
static void fail(cycle *c, const mpc_options *options)
{
    mp_module *module = NULL;
    char *text = NULL;
    size_t n;
    if (mpc_compile_text(c->ctx, "wrong.mp", wrong, options, &module) != MP_INVALID || module ||
        !strstr(mp_error_message(c->ctx), "wrong.mp:3")) {
        printf("a wrong program: %s\n", mp_error_message(c->ctx));
        c->failed++;
    }
    if (good(c, mpc_emit(c->ctx, "gcn.mp", plain, options, MPC_EMIT_LLVM, NULL, &text, &n), "emit"))
        mpc_free(text);
    mp_layer *layer = NULL;
    if (mp_layer_create(c->module, "Nothing", NULL, 0, &layer) != MP_INVALID || layer) {
        printf("a layer that is not there was made\n");
        c->failed++;
    }
}

static int one(int round, float *g)
{
    cycle c = { 0 };
    uint64_t now = 1;
    const char *arch = getenv("MPC_TEST_ARCH");
    mpc_options options = { .size = sizeof options, .arch = &arch, .n_arch = arch != NULL };
    if (mp_context_create(&(mp_context_options){ .threads = 1 + round % 2 }, &c.ctx)) {
        printf("no context\n");
        return 1;
    }
    run(&c, &options, g);
    if (!c.failed)
        run_instances(&c, &options);
    if (!c.failed)
        run_training(&c, &options, round);
    if (!c.failed)
        fail(&c, &options);
    mp_layer_destroy(c.layer);
    if (round % 3) {
        mp_graph_destroy(c.graph);
        mp_module_destroy(c.module);
    } else {
        mp_module_destroy(c.module);
        mp_graph_destroy(c.graph);
    }
    mp_context_memory(c.ctx, &now, NULL);
    if (now) {
        printf("cycle %d: %llu bytes are left in the context\n", round, (unsigned long long)now);
        c.failed++;
    }
    mp_context_destroy(c.ctx);
    return c.failed;
}

int main(int argc, char **argv)
{
    int cycles = argc > 1 ? atoi(argv[1]) : 20, failed = 0;
    float first[NODES * OUT], g[NODES * OUT];
    for (int i = 0; i < cycles && !failed; i++) {
        failed += one(i, i ? g : first);
        if (i && memcmp(first, g, sizeof g) != 0) {
            printf("cycle %d has other results than the first\n", i);
            failed++;
        }
    }
    return failed != 0;
}
