/*
 * Long iterations backwards: with all states kept and with few, by 1, 2 and 7 threads. Bits do not depend on threads, and
 * what is kept grows with the root of the number of steps when that is asked for.
 */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mpc.h"

enum { D = 4, STEPS = 1000, NODES = 300, N_X = NODES * D, N_W = D * D, N_GRADS = N_X + N_W + STEPS };

static const char source[] =
    "layer Long(d, K) {\n"
    "    node  x[d];\n"
    "    param W[d, d], a[K];\n"
    "    iterate z = x, c = 1 for K {\n"
    "        message m = src.z;\n"
    "        iterate y = mean(m) * a[step] for 2 { next y = sin(y + 0.3 * z); }\n"
    "        next z = tanh(0.5 * z @ W + y) + 0.2 * c * x;\n"
    "        next c = 0.5 * cos(c * dot(z, z));\n"
    "    }\n"
    "    update g = z;\n"
    "}\n"
    "layer Settles(d, K) {\n"
    "    node  x[d];\n"
    "    param W[d, d], a[K];\n"
    "    iterate z = x for 1000 until change < 1e-5 {\n"
    "        message m = src.z;\n"
    "        next z = 0.9 * tanh(0.4 * z @ W + 0.8 * mean(m)) + 0.2 * x * a[0];\n"
    "    }\n"
    "    update g = z;\n"
    "}\n"
    "layer Inside(d, K) {\n"
    "    node  x[d];\n"
    "    param W[d, d], a[K];\n"
    "    iterate z = x for K {\n"
    "        message m = src.z;\n"
    "        next z = tanh(0.5 * z @ W + mean(m) * a[step]) + 0.2 * x;\n"
    "    }\n"
    "    node  force = grad(z * z, x);\n"
    "    update g = force + z;\n"
    "}\n";

typedef struct result { float g[N_X], grads[N_GRADS]; size_t tape, workspace; } result;

static int failed;

static bool good(mp_context *ctx, mp_status st, const char *what)
{
    if (st && failed++ < 10)
        printf("%s: %s: %s\n", what, mp_status_name(st), mp_error_message(ctx));
    return !st;
}

static DLTensor tensor(float *data, int ndim, int64_t *shape)
{
    return (DLTensor){ .data = data, .device = { kDLCPU, 0 }, .ndim = ndim, .dtype = { kDLFloat, 32, 1 }, .shape = shape };
}

static void fill(float *to, int n, int step)
{
    for (int i = 0; i < n; i++)
        to[i] = (float)((i * step) % 17 - 8) / 16;
}

static void train(mp_context *ctx, mp_module *module, const char *name, size_t memory, result *r)
{
    mp_graph *graph = NULL;
    mp_layer *layer = NULL;
    mp_tape *tape = NULL;
    static float x[N_X], w[N_W], a[STEPS];
    fill(x, N_X, 7);
    fill(w, N_W, 5);
    fill(a, STEPS, 3);
    int64_t nodes[] = { NODES, D }, square[] = { D, D }, steps[] = { STEPS };
    DLTensor tx = tensor(x, 2, nodes), tw = tensor(w, 2, square), ta = tensor(a, 1, steps), tg = tensor(r->g, 2, nodes);
    DLTensor dx = tensor(r->grads, 2, nodes), dw = tensor(r->grads + N_X, 2, square), da = tensor(r->grads + N_X + N_W, 1, steps);
    bool ok = good(ctx, mp_graph_read(ctx, "er:300,1500,1", &graph, NULL), "graph") &&
              good(ctx, mp_layer_create(module, name, NULL, 0, &layer), name) && good(ctx, mp_bind(layer, "x", &tx, 0), "x") &&
              good(ctx, mp_bind(layer, "W", &tw, 0), "W") && good(ctx, mp_bind(layer, "a", &ta, 0), "a") &&
              good(ctx, mp_bind(layer, "g", &tg, 0), "g") && good(ctx, mp_bind_grad(layer, "x", &dx, 0), "dx") &&
              good(ctx, mp_bind_grad(layer, "W", &dw, 0), "dW") && good(ctx, mp_bind_grad(layer, "a", &da, 0), "da");
    if (ok && memory != SIZE_MAX)
        ok = good(ctx, mp_set_state_memory(layer, memory), "state memory");
    ok = ok && good(ctx, mp_tape_bytes(layer, graph, &r->tape), "tape bytes") &&
         good(ctx, mp_workspace_bytes(layer, graph, &r->workspace), "workspace") &&
         good(ctx, mp_forward_train(layer, graph, 1, &tape), "forward");
    if (ok && memory == 0)                      /* the tape knows how it was filled */
        ok = good(ctx, mp_set_state_memory(layer, SIZE_MAX), "state memory");
    if (ok)
        good(ctx, mp_backward(layer, tape), "backward");
    mp_tape_destroy(tape);
    mp_layer_destroy(layer);
    mp_graph_destroy(graph);
}

static bool near(const float *a, const float *b, int n)
{
    float size = 1e-6f, off = 0;
    for (int i = 0; i < n; i++) {
        size = fmaxf(size, fabsf(a[i]));
        off = fmaxf(off, fabsf(a[i] - b[i]));
        if (isnan(a[i]) || isnan(b[i]))
            return false;
    }
    return off <= 1e-3f * size;
}

static void compare(const char *name, const result *first, const result *r, int threads, size_t memory)
{
    const int parts[] = { 0, N_X, N_X + N_W, N_GRADS };
    bool same = near(first->g, r->g, N_X);
    for (int i = 0; i < 3; i++)
        same = same && near(first->grads + parts[i], r->grads + parts[i], parts[i + 1] - parts[i]);
    if (!same) {
        printf("%s: other gradients with %d threads and %zu bytes\n", name, threads, memory);
        failed++;
    }
}

static void same_bits(const char *name, const result *a, const result *b, int threads)
{
    if (memcmp(a->g, b->g, sizeof a->g) == 0 && memcmp(a->grads, b->grads, sizeof a->grads) == 0)
        return;
    printf("%s: other bits with %d threads\n", name, threads);
    failed++;
}

static void bounded(const char *name, const result *all, const result *few)
{
    const size_t state = NODES * D * sizeof(float), kept = all->tape + all->workspace, less = few->tape + few->workspace;
    if (kept < STEPS * state || less > 200 * state) {
        printf("%s: %zu bytes with all states, %zu with few\n", name, kept, less);
        failed++;
    }
}

int main(void)
{
    static const char *const names[] = { "Long", "Settles", "Inside" };
    static const int threads[] = { 1, 2, 7 };
    static result all[3][3], few[3][3];
    for (int t = 0; t < 3; t++) {
        mp_context *ctx = NULL;
        mp_module *module = NULL;
        if (mp_context_create(&(mp_context_options){ .size = sizeof(mp_context_options), .threads = threads[t] }, &ctx)) {
            printf("no context\n");
            return 1;
        }
        mpc_options options = { .size = sizeof options, .level = MPC_O1 };
        if (good(ctx, mpc_compile_text(ctx, "loops.mp", source, &options, &module), "compile")) {
            for (int k = 0; k < 3; k++) {
                train(ctx, module, names[k], SIZE_MAX, &all[k][t]);
                train(ctx, module, names[k], 0, &few[k][t]);
                compare(names[k], &all[k][t], &few[k][t], threads[t], 0);
                same_bits(names[k], &all[k][0], &all[k][t], threads[t]);
                same_bits(names[k], &few[k][0], &few[k][t], threads[t]);
            }
        }
        mp_module_destroy(module);
        mp_context_destroy(ctx);
    }
    for (int k = 0; k < 2; k++)
        bounded(names[k], &all[k][0], &few[k][0]);
    return failed != 0;
}
