/*
 * Memory as it is told against memory as the system sees it. A layer with an array by node is prepared and called for a
 * larger graph than before, so that its code is there; then the most that the context counted, the bytes that an
 * allocator handed out and what the process came to hold beyond what it had agree, and the workspace is the most of it.
 */
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mpc.h"
#include "tests/expect.h"

enum { WIDTH = 64, HEADS = 8, MIB = 1 << 20, SLACK = 4 * MIB };

static const char source[] =
    "layer GAT(d, heads, out) {\n"
    "    node  x[d];\n"
    "    param W[d, heads, out], a_src[heads, out], a_dst[heads, out];\n"
    "    node    z = x @ W;\n"
    "    edge    s = leaky_relu(dot(src.z, a_src) + dot(dst.z, a_dst), 0.2);\n"
    "    message f = softmax(s)[:, None] * src.z;\n"
    "    update  g = sum(f).reshape(heads * out);\n"
    "}\n";

/* ---- an allocator that counts ----------------------------------------------------------------------------------- */

typedef struct counted { _Atomic int64_t now, peak; } counted;

static void *count_and_allocate(void *ud, void *ptr, size_t old_size, size_t new_size, size_t align)
{
    counted *c = ud;
    int64_t now = atomic_fetch_add(&c->now, (int64_t)new_size - (ptr ? (int64_t)old_size : 0)) + (int64_t)new_size - (ptr ? (int64_t)old_size : 0);
    int64_t peak = atomic_load(&c->peak);
    while (now > peak && !atomic_compare_exchange_weak(&c->peak, &peak, now))
        ;
    return plain_resize(ptr, old_size, new_size, align);
}

/* ---- what the system sees --------------------------------------------------------------------------------------- */

/* A line of /proc/self/status, in bytes; -1 when there is none. */
static int64_t status_bytes(const char *name)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    int64_t kib = -1;
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, name, strlen(name)) == 0)
            kib = strtoll(line + strlen(name) + 1, NULL, 10);
    if (f)
        fclose(f);
    return kib < 0 ? -1 : kib * 1024;
}

/* Makes the greatest resident memory what it is now. */
static bool reset_resident(void)
{
    FILE *f = fopen("/proc/self/clear_refs", "w");
    bool ok = f && fputs("5", f) >= 0;
    return f && fclose(f) == 0 && ok;
}

/* ---- the layer -------------------------------------------------------------------------------------------------- */

static int failed;

static bool good(mp_context *ctx, mp_status st, const char *what)
{
    if (!st)
        return true;
    printf("%s: %s: %s\n", what, mp_status_name(st), mp_error_message(ctx));
    failed++;
    return false;
}

static DLTensor tensor(float *data, int ndim, int64_t *shape)
{
    return (DLTensor){ .data = data, .device = { kDLCPU, 0 }, .ndim = ndim, .dtype = { kDLFloat, 32, 1 }, .shape = shape };
}

static bool bind_nodes(mp_context *ctx, mp_layer *layer, float *x, float *g, int64_t nodes)
{
    DLTensor tx = tensor(x, 2, (int64_t[]){ nodes, WIDTH }), tg = tensor(g, 2, (int64_t[]){ nodes, WIDTH });
    return good(ctx, mp_bind(layer, "x", &tx, 0), "x") && good(ctx, mp_bind(layer, "g", &tg, 0), "g");
}

static void near(const char *what, int64_t a, const char *other, int64_t b, int64_t slack)
{
    if (a - b <= slack && b - a <= slack)
        return;
    printf("%s: %.1f MiB, %s: %.1f MiB\n", what, (double)a / MIB, other, (double)b / MIB);
    failed++;
}

static void measure(mp_context *ctx, mp_layer *layer, counted *c, float *x, float *g)
{
    mp_graph *small = NULL, *large = NULL;
    bool ok = good(ctx, mp_graph_read(ctx, "er:100,400,1", &small, NULL), "a small graph") &&
              good(ctx, mp_graph_read(ctx, "er:200000,800000,1", &large, NULL), "a large graph") &&
              bind_nodes(ctx, layer, x, g, 100) && good(ctx, mp_forward(layer, small), "the first call") &&
              bind_nodes(ctx, layer, x, g, 200000);
    uint64_t now = 0, peak = 0;
    size_t workspace = 0;
    malloc_trim(0);
    mp_context_memory(ctx, &now, NULL);
    mp_context_reset_peak(ctx);
    atomic_store(&c->peak, atomic_load(&c->now));
    int64_t allocated = atomic_load(&c->now);
    bool seen = reset_resident();
    int64_t resident = status_bytes("VmRSS:");
    ok = ok && good(ctx, mp_forward(layer, large), "the call") && good(ctx, mp_forward(layer, large), "the call again");
    int64_t most = status_bytes("VmHWM:");
    mp_context_memory(ctx, NULL, &peak);
    ok = ok && good(ctx, mp_workspace_bytes(layer, large, &workspace), "workspace");
    if (ok) {
        int64_t by_context = (int64_t)(peak - now), by_allocator = atomic_load(&c->peak) - allocated;
        if (workspace < (size_t)200000 * WIDTH * sizeof(float)) {
            printf("the workspace is too small for an array by node: %zu bytes\n", workspace);
            failed++;
        }
        near("counted by the context", by_context, "by the allocator", by_allocator, 4096);
        if (by_context < (int64_t)workspace) {
            printf("the context counted %lld bytes, the workspace alone has %zu\n", (long long)by_context, workspace);
            failed++;
        }
        if (seen && resident >= 0 && most >= 0)
            near("counted by the context", by_context, "the process came to hold", most - resident, SLACK + by_context / 20);
    }
    mp_graph_destroy(small);
    mp_graph_destroy(large);
}

int main(void)
{
    counted c = { 0 };
    enum { NODES = 200000 };
    float *x = malloc((size_t)NODES * WIDTH * sizeof *x), *g = malloc((size_t)NODES * WIDTH * sizeof *g);
    float w[WIDTH * WIDTH], a[2 * WIDTH];
    mp_context *ctx = NULL;
    mp_module *module = NULL;
    mp_layer *layer = NULL;
    const mp_context_options options = { .size = sizeof options, .threads = 2, .alloc = count_and_allocate, .alloc_ud = &c };
    if (!x || !g || mp_context_create(&options, &ctx)) {
        printf("no context\n");
        return 1;
    }
    for (int i = 0; i < NODES * WIDTH; i++) {
        x[i] = (float)(i % 17 - 8) / 16;
        g[i] = 0;                               /* it is there before anything is measured */
    }
    for (int i = 0; i < WIDTH * WIDTH; i++)
        w[i] = (float)(i % 13 - 6) / 32;
    for (int i = 0; i < 2 * WIDTH; i++)
        a[i] = (float)(i % 7 - 3) / 8;
    int64_t heads[] = { HEADS, WIDTH / HEADS }, weights[] = { WIDTH, HEADS, WIDTH / HEADS };
    DLTensor tw = tensor(w, 3, weights), ts = tensor(a, 2, heads), td = tensor(a + WIDTH, 2, heads);
    if (good(ctx, mpc_compile_text(ctx, "gat.mp", source, NULL, &module), "compile") &&
        good(ctx, mp_layer_create(module, NULL, NULL, 0, &layer), "layer") && good(ctx, mp_bind(layer, "W", &tw, 0), "W") &&
        good(ctx, mp_bind(layer, "a_src", &ts, 0), "a_src") && good(ctx, mp_bind(layer, "a_dst", &td, 0), "a_dst"))
        measure(ctx, layer, &c, x, g);
    mp_layer_destroy(layer);
    mp_module_destroy(module);
    uint64_t left = 0;
    mp_context_memory(ctx, &left, NULL);
    if (left) {
        printf("%llu bytes are left\n", (unsigned long long)left);
        failed++;
    }
    mp_context_destroy(ctx);
    if (atomic_load(&c.now)) {
        printf("%lld bytes were not given back\n", (long long)atomic_load(&c.now));
        failed++;
    }
    free(x);
    free(g);
    return failed != 0;
}
