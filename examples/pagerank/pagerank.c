/*
 * PageRank to convergence (Brin & Page, 1998): how many steps it took, what still moved in the last one, and
 * the pages that came out on top. The graph is a small web typed in below, or whatever `mpc run --graph`
 * takes.
 *
 *     pagerank PAGERANK.mp [GRAPH [DAMPING]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mpc.h"

enum { TOP = 12, BAR = 40 };

/* An encyclopedia of sixteen pages about networks: who links to whom. "References" links nowhere, so that its
 * rank is handed back to all; nobody links to "Draft". */
static const char *const page[] = {
    "Graph", "Vertex", "Edge", "Degree", "Path", "Tree", "Matrix", "Eigenvector", "Random walk", "PageRank",
    "Citation", "Web", "Search", "Social network", "References", "Draft"
};
enum { PAGES = sizeof page / sizeof *page };
static const char *const links[PAGES] = {
    "Vertex Edge Degree Path Tree Matrix References", "Graph Edge Degree", "Graph Vertex",
    "Graph Vertex Edge Social network",
    "Graph Edge Tree", "Graph Path", "Graph Eigenvector", "Matrix PageRank", "Graph Matrix Degree",
    "Eigenvector Web Search Citation Random walk References", "Graph References", "Graph Search PageRank",
    "Web PageRank", "Graph Degree Web", "", "PageRank Graph"
};

static void check(const mp_context *ctx, mp_status status)
{
    if (status != MP_OK) {
        fprintf(stderr, "%s\n", mp_error_message(ctx));
        exit((int)status);
    }
}

/* "Random walk" has a blank in it, so names are looked for in the list, not the list cut into names. */
static void typed_in(mp_context *ctx, mp_graph **web)
{
    int32_t src[PAGES * PAGES], dst[PAGES * PAGES];
    int64_t n = 0;
    for (int32_t i = 0; i < PAGES; i++)
        for (int32_t j = 0; j < PAGES; j++)
            if (strstr(links[i], page[j])) {
                src[n] = i;
                dst[n++] = j;
            }
    check(ctx, mp_graph_from_coo(ctx, PAGES, PAGES, n, src, dst, web));
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: pagerank PAGERANK.mp [GRAPH [DAMPING]]\n");
        return 2;
    }
    const char *spec = argc > 2 ? argv[2] : NULL;
    double damping = argc > 3 ? strtod(argv[3], NULL) : 0.85;

    mp_context *ctx = NULL;
    mp_module *module = NULL;
    mp_layer *layer = NULL;
    mp_graph *web = NULL;
    check(ctx, mp_context_create(NULL, &ctx));
    /* In f64: ranks of large graphs are small, and the tolerance is 1e-9. */
    check(ctx, mpc_compile_file(ctx, argv[1], &(mpc_options){ .real = MP_F64 }, &module));
    check(ctx, mp_layer_create(module, "PageRank", (mp_static[]){ MP_REAL("damping", damping) }, 1, &layer));
    if (spec)
        check(ctx, mp_graph_read(ctx, spec, &web, NULL));
    else
        typed_in(ctx, &web);

    int64_t n = mp_graph_num_dst(web);
    double *rank = calloc((size_t)n + 1, sizeof *rank);
    if (!rank)
        return 3;
    DLTensor out = {
        .data = rank, .device = { kDLCPU, 0 }, .ndim = 1, .dtype = { kDLFloat, 64, 1 }, .shape = &n
    };
    check(ctx, mp_bind(layer, "rank", &out, 0));
    check(ctx, mp_forward(layer, web));

    mp_iteration loop = { .size = sizeof loop };
    check(ctx, mp_layer_iteration(layer, 0, &loop));
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += rank[i];
    printf("%lld nodes, %lld edges, damping %g: %lld steps, the last moved a rank by at most %.2g; the ranks "
           "sum to %.9f\n\n",
           (long long)n, (long long)mp_graph_num_edges(web), damping, (long long)loop.steps, loop.change,
           sum);

    double top = 0;
    for (int k = 0; k < TOP && k < n; k++) {
        int64_t best = 0;
        for (int64_t i = 1; i < n; i++)
            if (rank[i] > rank[best])
                best = i;
        top = k ? top : rank[best];
        if (spec)
            printf("%12lld", (long long)best);
        else
            printf("%16s", page[best]);
        printf("  %.6f  %.*s\n", rank[best], (int)(rank[best] / top * BAR + 0.5),
               "########################################");
        rank[best] = -1;
    }

    free(rank);
    mp_layer_destroy(layer);
    mp_module_destroy(module);
    mp_graph_destroy(web);
    mp_context_destroy(ctx);
    return sum > 0.999 && sum < 1.001 ? 0 : 1;
}
