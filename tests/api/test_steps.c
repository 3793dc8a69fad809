/*
 * What a program that trains does around the two passes: steps of all params with a decay of each, clipping, running
 * statistics, and layers that the host joins over blocks.
 */
#include <math.h>
#include <stdbool.h>

#include "tests/runtime/check.h"
#include "mpc.h"

enum { NODES = 30, IN = 4, HIDDEN = 5, OUT = 3 };

static const char text[] =
    "layer Linear(in, out) { node x[in]; param W[in, out], b[out] init constant(0.5); update y = x @ W + b; }\n"
    "layer Net(in, hid) {\n"
    "    node x[in]; use c1 = Linear(in, hid); use c2 = Linear(hid, 1);\n"
    "    update global loss = sum(square(c2(x = tanh(c1(x = x))))); }\n"
    "layer Norm(d, momentum: real = 0.25) {\n"
    "    node x[d]; global mean_seen[d], var_seen[d]; param gamma[d] init ones, beta[d];\n"
    "    global mu = where(training, mean(x), mean_seen);\n"
    "    global v = where(training, var(x), var_seen);\n"
    "    update y = (x - mu) * rsqrt(v + 1e-5) * gamma + beta;\n"
    "    update global mean_next = (1 - momentum) * mean_seen + momentum * mu;\n"
    "    update global var_next = (1 - momentum) * var_seen + momentum * v; }\n"
    "layer Conv(in, out) {\n"
    "    node x[in]; param Wself[in, out], Wneigh[in, out];\n"
    "    message f = src.x; update h = tanh(x @ Wself + mean(f) @ Wneigh + in_degree * 0.01); }\n";

static DLTensor matrix(float *data, int64_t rank, int64_t *shape)
{
    return (DLTensor){ .data = data, .device = { kDLCPU, 0 }, .ndim = (int32_t)rank, .dtype = { kDLFloat, 32, 1 }, .shape = shape };
}

static bool near(double a, double b, double tolerance)
{
    return fabs(a - b) <= tolerance * fmax(1, fabs(b));
}

static void some_numbers(float *x, int64_t n, uint64_t seed)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)((double)(check_random(&seed) >> 11) * 0x1p-53 * 2 - 1);
}

/* Params before a step, with their gradients. */
typedef struct copy { float w[64], g[64]; int64_t n; double decay; } copy;

static int64_t copy_all(check *c, const mp_params *p, copy *out)
{
    for (int64_t i = 0; i < mp_params_count(p); i++) {
        const char *name;
        DLTensor w, g;
        OK(c, mp_params_get(p, i, &name, &w, &g));
        out[i] = (copy){ .n = 1, .decay = !strcmp(name, "c2.b") ? 3 : !strncmp(name, "c1.", 3) ? 0 : 1 };
        for (int k = 0; k < w.ndim; k++)
            out[i].n *= w.shape[k];
        memcpy(out[i].w, w.data, (size_t)out[i].n * sizeof(float));
        memcpy(out[i].g, g.data, (size_t)out[i].n * sizeof(float));
    }
    return mp_params_count(p);
}

/* SGD and Adam of all params are the formulas, with the decay of each; clipped gradients have the norm, together. */
static void steps(check *c, mp_module *mod)
{
    mp_layer *l = NULL;
    mp_params *p = NULL;
    mp_graph *g = NULL;
    mp_tape *tape = NULL;
    float x[3 * IN];
    int64_t shape[] = { 3, IN };
    DLTensor tx = matrix(x, 2, shape);
    some_numbers(x, 3 * IN, 1);
    OK(c, mp_graph_from_coo(c->ctx, 3, 3, 0, NULL, NULL, &g));
    OK(c, mp_layer_create(mod, "Net", (mp_static[]){ MP_DIM("hid", HIDDEN) }, 1, &l));
    OK(c, mp_bind(l, "x", &tx, 0));
    OK(c, mp_params_create(l, 5, &p));
    OK(c, mp_params_set_decay(p, "c1.*", 0));
    OK(c, mp_params_set_decay(p, "c2.b", 3));
    copy before[8], after[8];
    double first = 0;
    for (int step = 0; step < 4; step++) {
        OK(c, mp_forward_train(l, g, 1, &tape));
        OK(c, mp_backward(l, tape));
        int64_t n = copy_all(c, p, before);
        double norm = 0, want = 0, scale = 1;
        OK(c, mp_params_clip(p, step == 0 ? 0.5 : 1e30, &norm));
        for (int64_t i = 0; i < n; i++)
            for (int64_t k = 0; k < before[i].n; k++)
                want += (double)before[i].g[k] * (double)before[i].g[k];
        CHECK(c, near(norm, sqrt(want), 1e-5) && norm > 0.5);
        scale = step == 0 ? 0.5 / norm : 1;
        if (step < 2)
            OK(c, mp_params_sgd(p, &(mp_sgd){ .lr = 0.01, .weight_decay = 0.1 }));
        else
            OK(c, mp_params_adam(p, &(mp_adam){ 0.01, 0.9, 0.999, 1e-8, 0.1, 1 }));
        copy_all(c, p, after);
        for (int64_t i = 0; i < n; i++)
            for (int64_t k = 0; k < before[i].n; k++) {
                double w = (double)before[i].w[k], d = (double)before[i].g[k] * scale, decay = 0.1 * before[i].decay;
                if (step < 2)
                    CHECK(c, near((double)after[i].w[k], w - 0.01 * (d + decay * w), 1e-5));
                else if (step == 2)     /* Adam's first step goes by its rate, against the gradient's sign; AdamW's decay on top */
                    CHECK(c, near((double)after[i].w[k], w * (1 - 0.01 * decay) - 0.01 * d / (fabs(d) + 1e-8), 1e-5));
            }
        DLTensor loss;
        OK(c, mp_output(l, "loss", &loss));
        first = step == 0 ? (double)*(float *)loss.data : first;
        CHECK(c, step == 0 || (double)*(float *)loss.data < first);
    }
    mp_tape_destroy(tape);
    mp_layer_destroy(l);
    mp_params_destroy(p);
    mp_graph_destroy(g);
}

/* Batch normalisation: of the batch in a training call, of the running statistics in others, which the host moves on. */
static void statistics(check *c, mp_module *mod)
{
    mp_layer *l = NULL;
    mp_params *p = NULL;
    mp_graph *g = NULL;
    mp_tape *tape = NULL;
    float x[NODES * 2], mean_seen[2] = { 0, 0 }, var_seen[2] = { 1, 1 }, dx[NODES * 2];
    int64_t shape[] = { NODES, 2 }, d[] = { 2 };
    DLTensor tx = matrix(x, 2, shape), tm = matrix(mean_seen, 1, d), tv = matrix(var_seen, 1, d), tdx = matrix(dx, 2, shape), y, next;
    double mean[2] = { 0 }, var[2] = { 0 }, kept_mean[2] = { 0, 0 }, kept_var[2] = { 1, 1 };
    some_numbers(x, NODES * 2, 3);
    for (int i = 0; i < NODES; i++) {
        x[2 * i] = 3 + x[2 * i];
        for (int k = 0; k < 2; k++)
            mean[k] += (double)x[2 * i + k] / NODES;
    }
    for (int i = 0; i < NODES; i++)
        for (int k = 0; k < 2; k++)
            var[k] += ((double)x[2 * i + k] - mean[k]) * ((double)x[2 * i + k] - mean[k]) / NODES;
    OK(c, mp_graph_from_coo(c->ctx, NODES, NODES, 0, NULL, NULL, &g));
    OK(c, mp_layer_create(mod, "Norm", NULL, 0, &l));
    OK(c, mp_bind(l, "x", &tx, 0));
    OK(c, mp_bind(l, "mean_seen", &tm, 0));
    OK(c, mp_bind(l, "var_seen", &tv, 0));
    OK(c, mp_params_create(l, 1, &p));
    OK(c, mp_bind_grad(l, "x", &tdx, 0));
    for (int call = 0; call < 3; call++) {
        OK(c, mp_forward_train(l, g, 1, &tape));
        OK(c, mp_backward(l, tape));
        OK(c, mp_output(l, "y", &y));
        for (int i = 0; i < 2 * NODES; i++)
            CHECK(c, near((double)((float *)y.data)[i], ((double)x[i] - mean[i % 2]) / sqrt(var[i % 2] + 1e-5), 1e-4));
        for (int k = 0; k < 2; k++) {
            double all = 0;                 /* cotangents of ones: y does not change where x is moved as a whole */
            for (int i = 0; i < NODES; i++)
                all += (double)dx[2 * i + k];
            OK(c, mp_output(l, "mean_next", &next));
            kept_mean[k] = 0.75 * kept_mean[k] + 0.25 * mean[k];
            CHECK(c, near((double)((float *)next.data)[k], kept_mean[k], 1e-5) && near(all, 0.25, 1e-4));
            mean_seen[k] = ((float *)next.data)[k];
            OK(c, mp_output(l, "var_next", &next));
            kept_var[k] = 0.75 * kept_var[k] + 0.25 * var[k];
            CHECK(c, near((double)((float *)next.data)[k], kept_var[k], 1e-5));
            var_seen[k] = ((float *)next.data)[k];
        }
    }
    OK(c, mp_forward(l, g));
    OK(c, mp_output(l, "y", &y));
    for (int i = 0; i < 2 * NODES; i++)
        CHECK(c, near((double)((float *)y.data)[i], ((double)x[i] - kept_mean[i % 2]) / sqrt(kept_var[i % 2] + 1e-5), 1e-4));
    mp_tape_destroy(tape);
    mp_layer_destroy(l);
    mp_params_destroy(p);
    mp_graph_destroy(g);
}

/* One layer with its params, in the chain of two below. */
typedef struct part { mp_layer *layer; mp_params *params; mp_tape *tape; } part;

static part part_open(check *c, mp_module *mod, int64_t in, int64_t out, uint64_t seed)
{
    part p = { 0 };
    OK(c, mp_layer_create(mod, "Conv", (mp_static[]){ MP_DIM("in", in), MP_DIM("out", out) }, 2, &p.layer));
    OK(c, mp_params_create(p.layer, seed, &p.params));
    return p;
}

static void part_close(part *p)
{
    mp_tape_destroy(p->tape);
    mp_layer_destroy(p->layer);
    mp_params_destroy(p->params);
}

/* Two layers on two graphs; the cotangent of the last output is `dy`. Its rows come out, gradients are in the params. */
static const float *chain(check *c, part *first, part *last, mp_graph *outer, mp_graph *inner, float *x, float *dy, float *dh)
{
    int64_t sx[] = { mp_graph_num_src(outer), IN }, sh[] = { mp_graph_num_src(inner), HIDDEN }, sy[] = { mp_graph_num_dst(inner), OUT };
    DLTensor tx = matrix(x, 2, sx), th, tdh = matrix(dh, 2, sh), tdy = matrix(dy, 2, sy), y;
    OK(c, mp_bind(first->layer, "x", &tx, 0));
    OK(c, mp_bind_grad(first->layer, "h", &tdh, 0));
    OK(c, mp_forward_train(first->layer, outer, 1, &first->tape));
    OK(c, mp_output(first->layer, "h", &th));
    OK(c, mp_bind(last->layer, "x", &th, 0));
    OK(c, mp_bind_grad(last->layer, "x", &tdh, 0));
    OK(c, mp_bind_grad(last->layer, "h", &tdy, 0));
    OK(c, mp_forward_train(last->layer, inner, 1, &last->tape));
    OK(c, mp_backward(last->layer, last->tape));
    OK(c, mp_backward(first->layer, first->tape));
    OK(c, mp_output(last->layer, "h", &y));
    return y.data;
}

/* Blocks with all neighbours give what the whole graph gives: the rows of the batch, and the gradients of the params. */
static void blocks(check *c, mp_module *mod)
{
    enum { BATCH = 6 };
    mp_graph *g = NULL, *inner = NULL, *outer = NULL;
    DLManagedTensor *inner_nodes = NULL, *outer_nodes = NULL;
    uint64_t dice = 9;
    int32_t src[4 * NODES], dst[4 * NODES];
    int64_t batch[BATCH] = { 7, 0, 29, 12, 3, 20 };
    float x[NODES * IN], part_x[NODES * IN], dy[NODES * OUT] = { 0 }, part_dy[BATCH * OUT], dh[NODES * HIDDEN], y[BATCH * OUT];
    for (int e = 0; e < 4 * NODES; e++) {
        src[e] = (int32_t)check_below(&dice, NODES);
        dst[e] = (int32_t)check_below(&dice, NODES);
    }
    some_numbers(x, NODES * IN, 4);
    some_numbers(part_dy, BATCH * OUT, 5);
    OK(c, mp_graph_from_coo(c->ctx, NODES, NODES, 4 * NODES, src, dst, &g));
    part first = part_open(c, mod, IN, HIDDEN, 1), last = part_open(c, mod, HIDDEN, OUT, 2);
    OK(c, mp_graph_sample(g, batch, BATCH, -1, 1, &inner, &inner_nodes, NULL));
    OK(c, mp_graph_sample(g, inner_nodes->dl_tensor.data, inner_nodes->dl_tensor.shape[0], -1, 2, &outer, &outer_nodes, NULL));
    const int64_t *nodes = outer_nodes->dl_tensor.data;
    for (int64_t i = 0; i < outer_nodes->dl_tensor.shape[0]; i++)
        memcpy(&part_x[i * IN], &x[nodes[i] * IN], IN * sizeof *x);
    memcpy(y, chain(c, &first, &last, outer, inner, part_x, part_dy, dh), sizeof y);
    copy of_blocks[2][2], whole[2][2];
    copy_all(c, first.params, of_blocks[0]);
    copy_all(c, last.params, of_blocks[1]);

    for (int i = 0; i < BATCH; i++)
        memcpy(&dy[batch[i] * OUT], &part_dy[i * OUT], OUT * sizeof *dy);
    const float *all = chain(c, &first, &last, g, g, x, dy, dh);
    for (int i = 0; i < BATCH * OUT; i++)
        CHECK(c, near((double)y[i], (double)all[batch[i / OUT] * OUT + i % OUT], 1e-5));
    copy_all(c, first.params, whole[0]);
    copy_all(c, last.params, whole[1]);
    for (int k = 0; k < 4; k++)
        for (int64_t i = 0; i < whole[k / 2][k % 2].n; i++)
            CHECK(c, near((double)of_blocks[k / 2][k % 2].g[i], (double)whole[k / 2][k % 2].g[i], 1e-5));
    part_close(&first);
    part_close(&last);
    inner_nodes->deleter(inner_nodes);
    outer_nodes->deleter(outer_nodes);
    mp_graph_destroy(inner);
    mp_graph_destroy(outer);
    mp_graph_destroy(g);
}

int main(void)
{
    check c = check_begin(2);
    mp_module *mod = NULL;
    OK(&c, mpc_compile_text(c.ctx, "steps.mp", text, &(mpc_options){ .no_cache = 1 }, &mod));
    if (mod) {
        steps(&c, mod);
        statistics(&c, mod);
        blocks(&c, mod);
    }
    mp_module_destroy(mod);
    return check_end(&c);
}
