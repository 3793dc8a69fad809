/*
 * A layer given as a string, compiled in memory and run: what a host program of libmpc looks like.
 *
 * The layer is a graph convolution used three times, each with weights of its own (Kipf & Welling, ICLR 2017).
 * The weights are random and nothing is trained, and still the two numbers that come out for each member of
 * Zachary's karate club tell which side he took when the club split: that is the experiment of that paper's
 * appendix. The seed decides how clear the picture is; the one taken unless you give another is a good one.
 *
 *     jit [SEED]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mpc.h"

enum { MAX_PARAMS = 16, WIDTH = 72, HEIGHT = 24, MAX_NODES = 34 };

static const char source[] =
    "layer GCN(in, out) {\n"
    "    node  x[in];\n"
    "    param W[in, out];\n"
    "\n"
    "    node    n = rsqrt(in_degree + 1);\n"
    "    message f = src.n * src.x;\n"
    "    update  g = tanh((n * (sum(f) + n * x)) @ W);\n"
    "}\n"
    "\n"
    "layer Embed(in, hid) {\n"
    "    node x[in];\n"
    "    use  c1 = GCN(in, hid);\n"
    "    use  c2 = GCN(hid, hid);\n"
    "    use  c3 = GCN(hid, 2);\n"
    "\n"
    "    update place = c3(x = c2(x = c1(x = x)));\n"
    "}\n";

/* The side of each member after the split: h for the instructor's, o for the officers'. */
static const char side[] = "hhhhhhhhhohhhhoohhohohoooooooooooo";

/* Every call of the library that can fail goes through here; a host program of any size would return instead.
 */
static void check(mp_context *ctx, mp_status status)
{
    if (status != MP_OK) {
        fprintf(stderr, "%s\n", mp_error_message(ctx));
        exit((int)status);
    }
}

static DLTensor matrix(float *data, int64_t *shape)
{
    return (DLTensor){
        .data = data, .device = { kDLCPU, 0 }, .ndim = 2, .dtype = { kDLFloat, 32, 1 }, .shape = shape
    };
}

/* Every param that the layer has, found by reflection, made and filled as the program says. Its static
 * arguments must be given, so that all shapes are known. */
static int bind_params(mp_context *ctx, mp_layer *layer, uint64_t seed, float *memory[MAX_PARAMS])
{
    int n = mp_layer_count(layer, MP_PARAM);
    for (int i = 0; i < n && i < MAX_PARAMS; i++) {
        mp_value_info info = { .size = sizeof info };
        check(ctx, mp_layer_value(layer, MP_PARAM, i, &info));
        int64_t elements = 1;
        for (int k = 0; k < info.rank; k++)
            elements *= info.shape[k];
        memory[i] = calloc((size_t)elements + 1, sizeof *memory[i]);
        DLTensor t = matrix(memory[i], info.shape);
        t.ndim = info.rank;
        check(ctx, mp_fill_init(ctx, &t, &info.init, seed, (uint64_t)i));
        check(ctx, mp_bind(layer, info.name, &t, 0));
        printf("  %-5s [%lld, %lld]\n", info.name, (long long)info.shape[0], (long long)info.shape[1]);
    }
    return n;
}

/* Each node as the letter of its side at the place that the layer gave it; + where two of different sides
 * meet. */
static void draw(const float *place, int64_t n)
{
    char page[HEIGHT][WIDTH + 1];
    float lo[2] = { place[0], place[1] }, hi[2] = { place[0], place[1] };
    for (int64_t i = 0; i < 2 * n; i++) {
        lo[i % 2] = place[i] < lo[i % 2] ? place[i] : lo[i % 2];
        hi[i % 2] = place[i] > hi[i % 2] ? place[i] : hi[i % 2];
    }
    memset(page, ' ', sizeof page);
    for (int64_t i = 0; i < n; i++) {
        int x = (int)((place[2 * i] - lo[0]) / (hi[0] - lo[0] + 1e-9f) * (WIDTH - 1));
        int y = (int)((place[2 * i + 1] - lo[1]) / (hi[1] - lo[1] + 1e-9f) * (HEIGHT - 1));
        char *spot = &page[HEIGHT - 1 - y][x];
        *spot = *spot == ' ' || *spot == side[i] ? side[i] : '+';
    }
    for (int y = 0; y < HEIGHT; y++) {
        page[y][WIDTH] = 0;
        printf("  |%s|\n", page[y]);
    }
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 3;
    mp_context *ctx = NULL;
    mp_module *module = NULL;
    mp_graph *club = NULL;
    mp_layer *layer = NULL;
    check(ctx, mp_context_create(NULL, &ctx));
    check(ctx, mp_graph_read(ctx, "karate", &club, NULL));
    check(ctx, mpc_compile_text(ctx, "embed.mp", source, NULL, &module));

    int64_t n = mp_graph_num_dst(club);
    if (n > MAX_NODES)
        return 1;
    check(ctx,
          mp_layer_create(module, "Embed", (mp_static[]){ MP_DIM("in", n), MP_DIM("hid", 4) }, 2, &layer));
    printf("Embed, compiled in memory; params, drawn with seed %llu:\n", (unsigned long long)seed);
    float *memory[MAX_PARAMS] = { NULL };
    int n_params = bind_params(ctx, layer, seed, memory);

    /* One row a member that only says who it is. */
    float who[MAX_NODES * MAX_NODES] = { 0 }, place[MAX_NODES * 2] = { 0 };
    for (int64_t i = 0; i < n; i++)
        who[i * n + i] = 1;
    DLTensor x = matrix(who, (int64_t[]){ n, n }), out = matrix(place, (int64_t[]){ n, 2 });
    check(ctx, mp_bind(layer, "x", &x, 0));
    check(ctx, mp_bind(layer, "place", &out, 0));
    check(ctx, mp_forward(layer, club));

    printf("\nThe club, each member where the layer puts him: h stayed with the instructor, o with the "
           "officers.\n\n");
    draw(place, n);

    mp_layer_destroy(layer);
    mp_module_destroy(module);
    mp_graph_destroy(club);
    mp_context_destroy(ctx);
    for (int i = 0; i < n_params && i < MAX_PARAMS; i++)
        free(memory[i]);
    return 0;
}
