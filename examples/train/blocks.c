/*
 * A graph too large for one step: GraphSAGE on blocks of sampled neighbours (Hamilton et al., NeurIPS 2017).
 *
 *     train_blocks
 *     train_blocks --data FOLDER             (a folder as train_nodes takes)
 *
 * A step is for a batch of nodes. Some neighbours of each are drawn, and some of each of those: two blocks, so that what
 * the first layer computes are the rows that the second one reads. The host joins the two: the output of the first is
 * the input of the second, and the gradient of that input is the cotangent of that output. To score, the same params
 * run on the whole graph.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train.h"

typedef struct settings {
    common_options common;
    int64_t hidden, epochs, batch, fanout, nodes;
    double lr, drop;
} settings;

/* One of the two layers: `test` has the same params and the whole graph. */
typedef struct half {
    mp_layer *layer, *test;
    mp_params *params;
    mp_tape *tape;
} half;

typedef struct net {
    mp_context *ctx;
    mp_module *module;
    half first, last;
    float one;
} net;

/* What a step needs: blocks, and rows of their source nodes. */
typedef struct step {
    mp_graph *outer, *inner;            /* of the first layer, of the last */
    float *x, *dh;                      /* dh: gradient of the rows between the layers */
    int32_t *y;
    int64_t n_outer, n_inner;           /* source nodes */
} step;

static void half_open(net *n, half *h, const char *name, const mp_static *statics, int n_statics, uint64_t seed)
{
    check(n->ctx, mp_layer_create(n->module, name, statics, n_statics, &h->layer));
    check(n->ctx, mp_layer_create(n->module, name, statics, n_statics, &h->test));
    check(n->ctx, mp_params_create(h->layer, seed, &h->params));
    check(n->ctx, mp_params_bind(h->params, h->test, 0));
}

static void half_close(half *h)
{
    mp_tape_destroy(h->tape);
    mp_layer_destroy(h->layer);
    mp_layer_destroy(h->test);
    mp_params_destroy(h->params);
    *h = (half){ 0 };
}

static void step_drop(step *s)
{
    mp_graph_destroy(s->outer);
    mp_graph_destroy(s->inner);
    free(s->x);
    free(s->dh);
    free(s->y);
    *s = (step){ 0 };
}

/* Blocks around the nodes of a batch: from its members to theirs, then to those of all that came in. */
static void step_sample(net *n, const settings *s, const papers *k, mp_graph *g, const int64_t *batch, int64_t size, uint64_t seed,
                        step *out)
{
    DLManagedTensor *inner, *outer;
    step_drop(out);
    check(n->ctx, mp_graph_sample(g, batch, size, s->fanout, seed, &out->inner, &inner, NULL));
    const int64_t *nodes = inner->dl_tensor.data;
    out->n_inner = inner->dl_tensor.shape[0];
    check(n->ctx, mp_graph_sample(g, nodes, out->n_inner, s->fanout, ~seed, &out->outer, &outer, NULL));
    out->y = room(out->n_inner, sizeof *out->y);
    for (int64_t i = 0; i < out->n_inner; i++)
        out->y[i] = k->y[nodes[i]];
    nodes = outer->dl_tensor.data;
    out->n_outer = outer->dl_tensor.shape[0];
    out->x = room(out->n_outer * k->features, sizeof *out->x);
    for (int64_t i = 0; i < out->n_outer; i++)
        memcpy(out->x + i * k->features, k->x + nodes[i] * k->features, (size_t)k->features * sizeof *out->x);
    out->dh = room(out->n_inner * s->hidden, sizeof *out->dh);
    inner->deleter(inner);
    outer->deleter(outer);
}

/* The loss of a batch; gradients are in the params then. What is bound must fit the graph of a call, so that gradients are
 * bound before it, too. */
static double step_run(net *n, const settings *s, const papers *k, const step *b, uint64_t seed)
{
    DLTensor h;
    int64_t shape[2] = { b->n_inner, s->hidden };
    DLTensor dh = { .data = b->dh, .device = { kDLCPU, 0 }, .ndim = 2, .dtype = { kDLFloat, 32, 1 }, .shape = shape };
    DLTensor one = { .data = &n->one, .device = { kDLCPU, 0 }, .dtype = { kDLFloat, 32, 1 } };
    bind_floats(n->ctx, n->first.layer, "x", b->x, b->n_outer, k->features, 0);
    check(n->ctx, mp_bind_grad(n->first.layer, "h", &dh, 0));
    check(n->ctx, mp_forward_train(n->first.layer, b->outer, seed, &n->first.tape));
    check(n->ctx, mp_output(n->first.layer, "h", &h));

    check(n->ctx, mp_bind(n->last.layer, "x", &h, 0));
    check(n->ctx, mp_bind_grad(n->last.layer, "x", &dh, 0));
    check(n->ctx, mp_bind_grad(n->last.layer, "loss", &one, 0));
    bind_ints(n->ctx, n->last.layer, "y", b->y, b->n_inner);
    check(n->ctx, mp_forward_train(n->last.layer, b->inner, seed, &n->last.tape));

    check(n->ctx, mp_backward(n->last.layer, n->last.tape));
    check(n->ctx, mp_backward(n->first.layer, n->first.tape));
    return (double)output_floats(n->ctx, n->last.layer, "loss")[0];
}

/* Logits of all nodes, with all neighbours. */
static const float *score(net *n, const papers *k, mp_graph *g)
{
    DLTensor h;
    bind_floats(n->ctx, n->first.test, "x", k->x, k->n, k->features, MP_CONST);
    check(n->ctx, mp_forward(n->first.test, g));
    check(n->ctx, mp_output(n->first.test, "h", &h));
    check(n->ctx, mp_bind(n->last.test, "x", &h, 0));
    bind_ints(n->ctx, n->last.test, "y", k->y, k->n);
    check(n->ctx, mp_forward(n->last.test, g));
    return output_floats(n->ctx, n->last.test, "logits");
}

typedef struct history { double *loss, *right, *right_test; } history;

/* The test score of the epoch that was best in validation. */
static double train(net *n, const settings *s, const papers *k, mp_graph *g, uint64_t seed, history *h)
{
    int32_t *order = room(k->n, sizeof *order);
    int64_t *batch = room(s->batch, sizeof *batch), n_train = 0, drawn = 0, joined = 0;
    step b = { 0 };
    dice d = { seed };
    mp_adam adam = MP_ADAM_DEFAULT;
    adam.lr = s->lr;
    for (int32_t i = 0; i < k->n; i++)
        if (k->mask[0][i] > 0)
            order[n_train++] = i;
    half_close(&n->first);
    half_close(&n->last);
    half_open(n, &n->first, "Hidden", (mp_static[]){ MP_DIM("in", k->features), MP_DIM("out", s->hidden) }, 2, 2 * seed);
    half_open(n, &n->last, "Classes", (mp_static[]){ MP_DIM("in", s->hidden), MP_DIM("classes", k->classes), MP_REAL("drop", s->drop) },
              3, 2 * seed + 1);
    double best = 0, test_of_best = 0;
    progress bar;
    char what[64];
    snprintf(what, sizeof what, "sage by blocks, seed %llu", (unsigned long long)seed);
    progress_begin(&bar, what, s->epochs);
    for (int64_t epoch = 0; epoch < s->epochs; epoch++) {
        double loss = 0;
        dice_shuffle(&d, order, n_train);
        for (int64_t at = 0; at < n_train; at += s->batch) {
            int64_t size = n_train - at < s->batch ? n_train - at : s->batch;
            for (int64_t i = 0; i < size; i++)
                batch[i] = order[at + i];
            uint64_t draw = dice_bits(&d);
            step_sample(n, s, k, g, batch, size, draw, &b);
            loss += step_run(n, s, k, &b, draw) * (double)size / (double)n_train;
            check(n->ctx, mp_params_adam(n->first.params, &adam));
            check(n->ctx, mp_params_adam(n->last.params, &adam));
            drawn += size;
            joined += b.n_outer;
        }
        const float *logits = score(n, k, g);
        h->loss[epoch] = loss;
        h->right[epoch] = 100 * accuracy(logits, k->y, k->mask[1], k->n, k->classes);
        h->right_test[epoch] = 100 * accuracy(logits, k->y, k->mask[2], k->n, k->classes);
        if (h->right[epoch] > best) {
            best = h->right[epoch];
            test_of_best = h->right_test[epoch];
        }
        progress_step(&bar, epoch + 1, "loss %.3f, validation %.1f %%, test %.1f %%, %.1f nodes read for one", loss, h->right[epoch],
                      test_of_best, (double)joined / (double)drawn);
    }
    progress_end(&bar);
    step_drop(&b);
    free(order);
    free(batch);
    return test_of_best;
}

static void draw(const settings *s, const papers *k, const history *h, double right)
{
    char title[128], subtitle[128];
    snprintf(title, sizeof title, "GraphSAGE by blocks: %.1f %% of the test nodes", right);
    snprintf(subtitle, sizeof subtitle, "%lld nodes, %lld edges; batches of %lld, at most %lld neighbours of each node",
             (long long)k->n, (long long)k->n_edges, (long long)s->batch, (long long)s->fanout);
    picture *p = picture_new(title, subtitle);
    picture_panel(p, "cross entropy", "epoch", true);
    picture_line(p, "training", h->loss, s->epochs);
    picture_panel(p, "right, in %", "epoch", false);
    picture_line(p, "validation", h->right, s->epochs);
    picture_line(p, "test", h->right_test, s->epochs);
    picture_write(p, s->common.curve);
}

int main(int argc, char **argv)
{
    settings s = { .common = { .layers = LAYERS_FILE, .curve = "blocks.svg", .seed = 1, .runs = 1, .expect = NAN },
                   .hidden = 32, .epochs = 10, .batch = 256, .fanout = 5, .nodes = 20000, .lr = 0.01, .drop = 0.2 };
    const option options[] = {
        COMMON_OPTIONS(s.common),
        { "epochs", OPTION_COUNT, &s.epochs, "times through the training nodes" },
        { "batch", OPTION_COUNT, &s.batch, "nodes a step" },
        { "fanout", OPTION_COUNT, &s.fanout, "neighbours drawn of each node" },
        { "hidden", OPTION_COUNT, &s.hidden, "width" },
        { "lr", OPTION_REAL, &s.lr, "rate of Adam" },
        { "drop", OPTION_REAL, &s.drop, "dropout" },
        { "nodes", OPTION_COUNT, &s.nodes, "of a graph that is made" },
        { NULL, OPTION_TEXT, NULL, NULL },
    };
    options_read(argc, argv, "Trains a classifier of nodes on blocks of sampled neighbours.", options);
    s.batch = s.batch ? s.batch : 1;
    s.epochs = s.epochs ? s.epochs : 1;

    net n = { .one = 1 };
    papers k;
    mp_graph *g;
    check(n.ctx, mp_context_create(&(mp_context_options){ .threads = (int)s.common.threads }, &n.ctx));
    check(n.ctx, mpc_compile_file(n.ctx, s.common.layers, NULL, &n.module));
    if (s.common.data)
        papers_read(&k, n.ctx, s.common.data);
    else
        papers_make(&k, (uint64_t)s.common.seed, s.nodes, s.nodes / 12);
    check(n.ctx, mp_graph_from_coo(n.ctx, k.n, k.n, k.n_edges, k.src, k.dst, &g));
    history h = { room(s.epochs, sizeof(double)), room(s.epochs, sizeof(double)), room(s.epochs, sizeof(double)) };
    double *scores = room(s.common.runs, sizeof *scores);
    for (int64_t r = 0; r < s.common.runs; r++)
        scores[r] = train(&n, &s, &k, g, (uint64_t)(s.common.seed + r), &h);
    double mean = score_summary("test accuracy", scores, s.common.runs, " %");
    draw(&s, &k, &h, mean);
    if (s.common.save)
        check(n.ctx, mp_params_save(n.last.params, s.common.save));
    half_close(&n.first);
    half_close(&n.last);
    mp_graph_destroy(g);
    mp_module_destroy(n.module);
    mp_context_destroy(n.ctx);
    papers_free(&k);
    free(h.loss);
    free(h.right);
    free(h.right_test);
    free(scores);
    return score_status(&s.common, mean, false);
}
