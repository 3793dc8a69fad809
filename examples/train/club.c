/*
 * Training in one file, by the public headers alone; docs/training.md goes through it.
 *
 * Zachary's karate club (Journal of Anthropological Research, 1977): of 34 members we are told the side that two took when
 * the club split, the instructor's and the officers' own. Each member gets a vector to be learned; two steps along
 * the friendships and a linear map make two scores of it.
 *
 *     train_club [PARAMS.npz]
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "mpc.h"

enum { MEMBERS = 34, D = 8, STEPS = 200 };

/* What each did: h for the instructor (member 0), o for the officers (member 33). */
static const char took[] = "hhhhhhhhhohhhhoohhohohoooooooooooo";

static void check(const mp_context *ctx, mp_status status)
{
    if (status != MP_OK) {
        fprintf(stderr, "%s\n", mp_error_message(ctx));
        exit((int)status);
    }
}

static DLTensor rows(void *data, DLDataTypeCode code, int64_t *shape)
{
    return (DLTensor){ .data = data, .device = { kDLCPU, 0 }, .ndim = shape ? 1 : 0, .dtype = { (uint8_t)code, 32, 1 }, .shape = shape };
}

int main(int argc, char **argv)
{
    int64_t members[] = { MEMBERS };
    int32_t id[MEMBERS], side[MEMBERS];
    float known[MEMBERS] = { 0 }, one = 1;
    for (int i = 0; i < MEMBERS; i++) {
        id[i] = i;
        side[i] = took[i] == 'o';
    }
    known[0] = known[MEMBERS - 1] = 1;

    /* The layer, its graph, its inputs. */
    mp_context *ctx = NULL;
    mp_module *module;
    mp_graph *g;
    mp_layer *layer;
    check(ctx, mp_context_create(NULL, &ctx));
    check(ctx, mpc_compile_file(ctx, LAYERS_FILE, NULL, &module));
    check(ctx, mp_graph_read(ctx, "karate", &g, NULL));
    check(ctx, mp_layer_create(module, "Club", (mp_static[]){ MP_DIM("members", MEMBERS), MP_DIM("d", D) }, 2, &layer));
    DLTensor t_id = rows(id, kDLInt, members), t_side = rows(side, kDLInt, members);
    DLTensor t_known = rows(known, kDLFloat, members), t_one = rows(&one, kDLFloat, NULL);
    check(ctx, mp_bind(layer, "id", &t_id, 0));
    check(ctx, mp_bind(layer, "side", &t_side, 0));
    check(ctx, mp_bind(layer, "known", &t_known, 0));

    /* Its params, and what is to be made small. */
    mp_params *params;
    mp_tape *tape = NULL;
    mp_adam adam = MP_ADAM_DEFAULT;
    DLTensor loss, logits;
    adam.lr = 0.02;
    check(ctx, mp_params_create(layer, 1, &params));
    check(ctx, mp_params_set_decay(params, "E", 0));
    check(ctx, mp_bind_grad(layer, "loss", &t_one, 0));

    /* The steps. */
    adam.weight_decay = 1e-3;
    for (uint64_t step = 0; step < STEPS; step++) {
        check(ctx, mp_forward_train(layer, g, step, &tape));
        check(ctx, mp_backward(layer, tape));
        check(ctx, mp_params_clip(params, 1.0, NULL));
        check(ctx, mp_params_adam(params, &adam));
        check(ctx, mp_output(layer, "loss", &loss));
        if (step % 40 == 39)
            printf("step %3d: loss %.4f\n", (int)step + 1, (double)*(float *)loss.data);
    }

    /* What was learned. */
    int right = 0;
    check(ctx, mp_forward(layer, g));
    check(ctx, mp_output(layer, "logits", &logits));
    for (int i = 0; i < MEMBERS; i++) {
        const float *score = (const float *)logits.data + (size_t)2 * (size_t)i;
        bool officers = score[1] > score[0];
        putchar(officers ? 'o' : 'h');
        right += officers == (took[i] == 'o');
    }
    printf("\n%s\n%d of %d members are put on the side that they took\n", took, right, MEMBERS);
    if (argc > 1)
        check(ctx, mp_params_save(params, argv[1]));

    mp_tape_destroy(tape);
    mp_layer_destroy(layer);
    mp_params_destroy(params);
    mp_graph_destroy(g);
    mp_module_destroy(module);
    mp_context_destroy(ctx);
    return right >= 30 ? 0 : 1;
}
