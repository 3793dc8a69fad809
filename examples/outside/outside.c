/*
 * A program outside of mpc's tree: its layer was compiled by its own build, and is called through the generated
 * header as a typed C function.
 *
 *     outside SAGE.so
 */
#include <math.h>
#include <stdio.h>

#include "sage.h"

enum { N = 6, EDGES = 8, IN = 3, OUT = 2 };

int main(int argc, char **argv)
{
    /* A ring of five with a chord, and a node that nobody links to. */
    static const int32_t src[EDGES] = { 0, 1, 2, 3, 4, 0, 2, 5 }, dst[EDGES] = { 1, 2, 3, 4, 0, 2, 0, 1 };
    static const float x[N * IN] = { 1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 0, 0, 1, 1, 1, 0, 1 };
    static const float Wself[IN * OUT] = { 1, 0, 0, 1, 1, 1 }, Wneigh[IN * OUT] = { 0.5f, 0, 0, 0.5f, -0.5f, 0.5f };
    static const float b[OUT] = { 0.1f, 0.2f };
    float g[N * OUT] = { 0 };

    mp_context *ctx = NULL;
    mp_module *module = NULL;
    mp_graph *graph = NULL;
    mp_layer *sage = NULL;
    if (argc != 2 || mp_context_create(NULL, &ctx) != MP_OK) {
        fprintf(stderr, "usage: outside SAGE.so\n");
        return 2;
    }
    if (mp_module_load(ctx, argv[1], &module) != MP_OK || mp_graph_from_coo(ctx, N, N, EDGES, src, dst, &graph) != MP_OK
        || SAGE(module, &sage, graph, IN, OUT, x, Wself, Wneigh, b, g) != MP_OK) {
        fprintf(stderr, "outside: %s\n", mp_error_message(ctx));
        return 1;
    }

    int wrong = 0;
    for (int i = 0; i < N; i++) {
        double length = hypot((double)g[i * OUT], (double)g[i * OUT + 1]);
        printf("node %d: (%7.4f, %7.4f), of length %.6f\n", i, (double)g[i * OUT], (double)g[i * OUT + 1], length);
        wrong += fabs(length - 1) > 1e-5;       /* the layer normalises its rows */
    }
    mp_layer_destroy(sage);
    mp_module_destroy(module);
    mp_graph_destroy(graph);
    mp_context_destroy(ctx);
    return wrong ? 1 : 0;
}
