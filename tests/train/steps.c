/*
 * Steps of SGD with momentum from given params: prints the loss before each.
 *
 *     steps LAYERS.mp LAYER FOLDER f32|f64 STEPS LR MOMENTUM
 *
 * The folder holds the graph, an array for each input, and the params as params.npz.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mpc.h"

enum { MOST_INPUTS = 16, HIDDEN = 8, CLASSES = 4, HEADS = 4, RELATIONS = 3 };   /* as in curves.py */

static void check(const mp_context *ctx, mp_status status)
{
    if (status != MP_OK) {
        fprintf(stderr, "steps: %s\n", mp_error_message(ctx));
        exit((int)status);
    }
}

static double loss_of(const mp_context *ctx, mp_layer *layer)
{
    DLTensor t;
    check(ctx, mp_output(layer, "loss", &t));
    return t.dtype.bits == 64 ? *(const double *)t.data : (double)*(const float *)t.data;
}

int main(int argc, char **argv)
{
    if (argc != 8) {
        fprintf(stderr, "usage: steps LAYERS.mp LAYER FOLDER f32|f64 STEPS LR MOMENTUM\n");
        return 2;
    }
    const char *folder = argv[3];
    mp_context *ctx = NULL;
    mp_module *mod = NULL;
    mp_layer *layer = NULL;
    mp_graph *g = NULL;
    mp_params *params = NULL;
    mp_tape *tape = NULL;
    DLManagedTensor *inputs[MOST_INPUTS] = { NULL };
    check(ctx, mp_context_create(&(mp_context_options){ .threads = 2 }, &ctx));
    mpc_options options = { .real = strcmp(argv[4], "f64") ? MP_F32 : MP_F64, .layer = argv[2] };
    check(ctx, mpc_compile_file(ctx, argv[1], &options, &mod));
    check(ctx, mp_graph_read(ctx, folder, &g, NULL));
    int heads = !strcmp(argv[2], "GAT"), relations = !strcmp(argv[2], "RGCN");
    mp_static statics[3] = { MP_DIM("hidden", HIDDEN), MP_DIM("classes", CLASSES) };
    statics[2] = heads ? (mp_static)MP_DIM("heads", HEADS) : (mp_static)MP_DIM("R", RELATIONS);
    check(ctx, mp_layer_create(mod, argv[2], statics, 2 + heads + relations, &layer));
    char path[4096];
    for (int i = 0; i < mp_layer_count(layer, MP_INPUT) && i < MOST_INPUTS; i++) {
        mp_value_info info = { .size = sizeof info };
        check(ctx, mp_layer_value(layer, MP_INPUT, i, &info));
        snprintf(path, sizeof path, "%s/%s.npy", folder, info.name);
        check(ctx, mp_npy_load(ctx, path, &inputs[i]));
        check(ctx, mp_bind(layer, info.name, &inputs[i]->dl_tensor, 0));
    }
    check(ctx, mp_params_create(layer, 1, &params));
    snprintf(path, sizeof path, "%s/params.npz", folder);
    check(ctx, mp_params_load(params, path));

    double one = 1;
    DLTensor seed = { .data = &one, .device = { kDLCPU, 0 }, .dtype = { kDLFloat, 64, 1 } };
    check(ctx, mp_bind_grad(layer, "loss", &seed, 0));
    mp_sgd sgd = { .lr = atof(argv[6]), .momentum = atof(argv[7]) };
    for (int step = 0; step < atoi(argv[5]); step++) {
        check(ctx, mp_forward_train(layer, g, 1, &tape));
        printf("%.17g\n", loss_of(ctx, layer));
        check(ctx, mp_backward(layer, tape));
        check(ctx, mp_params_sgd(params, &sgd));
    }
    mp_tape_destroy(tape);
    mp_layer_destroy(layer);
    mp_params_destroy(params);
    for (int i = 0; i < MOST_INPUTS; i++)
        if (inputs[i])
            inputs[i]->deleter(inputs[i]);
    mp_graph_destroy(g);
    mp_module_destroy(mod);
    mp_context_destroy(ctx);
    return 0;
}
