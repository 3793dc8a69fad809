/*
 * A layer with its params: opened, bound, stepped, scored.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train.h"

void *room(int64_t n, size_t size)
{
    void *p = calloc((size_t)(n > 0 ? n : 1), size);
    if (!p) {
        fprintf(stderr, "out of memory\n");
        exit(3);
    }
    return p;
}

void check(const mp_context *ctx, mp_status status)
{
    if (status != MP_OK) {
        fprintf(stderr, "%s\n", mp_error_message(ctx));
        exit((int)status);
    }
}

void trainer_open(trainer *t, const common_options *o)
{
    *t = (trainer){ .one = 1 };
    check(t->ctx, mp_context_create(&(mp_context_options){ .threads = (int)o->threads }, &t->ctx));
    check(t->ctx, mpc_compile_file(t->ctx, o->layers, NULL, &t->module));
}

void trainer_layer(trainer *t, const char *name, const mp_static *statics, int n)
{
    check(t->ctx, mp_layer_create(t->module, name, statics, n, &t->layer));
    check(t->ctx, mp_layer_create(t->module, name, statics, n, &t->test));
}

void trainer_params(trainer *t, uint64_t seed)
{
    check(t->ctx, mp_params_create(t->layer, seed, &t->params));
    check(t->ctx, mp_params_bind(t->params, t->test, 0));
}

double trainer_step(trainer *t, mp_graph *g, uint64_t seed)
{
    if (!t->tape) {
        DLTensor one = { .data = &t->one, .device = { kDLCPU, 0 }, .dtype = { kDLFloat, 32, 1 } };
        check(t->ctx, mp_bind_grad(t->layer, "loss", &one, 0));
    }
    check(t->ctx, mp_forward_train(t->layer, g, seed, &t->tape));
    check(t->ctx, mp_backward(t->layer, t->tape));
    return (double)output_floats(t->ctx, t->layer, "loss")[0];
}

void trainer_reset(trainer *t)
{
    mp_tape_destroy(t->tape);
    mp_layer_destroy(t->layer);
    mp_layer_destroy(t->test);
    mp_params_destroy(t->params);
    t->tape = NULL;
    t->layer = t->test = NULL;
    t->params = NULL;
}

void trainer_close(trainer *t, const common_options *o)
{
    if (o->save && t->params) {
        check(t->ctx, mp_params_save(t->params, o->save));
        printf("params: %s\n", o->save);
    }
    trainer_reset(t);
    mp_module_destroy(t->module);
    mp_context_destroy(t->ctx);
}

static DLTensor tensor(const void *data, DLDataTypeCode code, int64_t rows, int64_t columns, int64_t shape[2])
{
    int rank = 0;
    if (rows >= 0)
        shape[rank++] = rows;
    if (columns >= 0)
        shape[rank++] = columns;
    return (DLTensor){ .data = (void *)(uintptr_t)data, .device = { kDLCPU, 0 }, .ndim = rank, .dtype = { (uint8_t)code, 32, 1 },
                       .shape = shape };
}

void bind_floats(mp_context *ctx, mp_layer *l, const char *name, const float *data, int64_t rows, int64_t columns, unsigned flags)
{
    int64_t shape[2];
    DLTensor t = tensor(data, kDLFloat, rows, columns, shape);
    check(ctx, mp_bind(l, name, &t, flags));
}

void bind_ints(mp_context *ctx, mp_layer *l, const char *name, const int32_t *data, int64_t rows)
{
    int64_t shape[2];
    DLTensor t = tensor(data, kDLInt, rows, -1, shape);
    check(ctx, mp_bind(l, name, &t, 0));
}

const float *output_floats(mp_context *ctx, mp_layer *l, const char *name)
{
    DLTensor t;
    check(ctx, mp_output(l, name, &t));
    return (const float *)((const char *)t.data + t.byte_offset);
}

double accuracy(const float *logits, const int32_t *y, const float *mask, int64_t n, int64_t classes)
{
    double right = 0, all = 0;
    for (int64_t i = 0; i < n; i++) {
        const float *row = &logits[i * classes];
        int64_t best = 0;
        for (int64_t k = 1; k < classes; k++)
            best = row[k] > row[best] ? k : best;
        if (mask && mask[i] <= 0)
            continue;
        right += best == y[i];
        all++;
    }
    return all > 0 ? right / all : NAN;
}

double cross_entropy(const float *logits, const int32_t *y, const float *mask, int64_t n, int64_t classes)
{
    double loss = 0, all = 0;
    for (int64_t i = 0; i < n; i++) {
        const float *row = &logits[i * classes];
        double top = (double)row[0], sum = 0;
        if ((mask && mask[i] <= 0) || y[i] < 0)
            continue;
        for (int64_t k = 1; k < classes; k++)
            top = fmax(top, (double)row[k]);
        for (int64_t k = 0; k < classes; k++)
            sum += exp((double)row[k] - top);
        loss += top + log(sum) - (double)row[y[i]];
        all++;
    }
    return all > 0 ? loss / all : NAN;
}

enum { WINDOW = 10 };

bool loss_rises(const double *loss, int64_t n)
{
    int64_t least = 0;
    for (int64_t i = 1; i < n; i++)
        least = loss[i] < loss[least] ? i : least;
    return n - 1 - least >= WINDOW;
}
