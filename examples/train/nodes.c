/*
 * Classes of the nodes of one graph, from few labels: GCN, GAT, GraphSAGE or APPNP on a citation-style graph.
 *
 *     train_nodes --model gat
 *     train_nodes --model gcn --data FOLDER --runs 10        (a folder such as Planetoid's Cora: docs/accuracy.md)
 *
 * Without a folder the graph is made: papers of six fields cite mostly their own, and a paper's words are mostly, but
 * not only, those of its field. Dropout, loss and both passes run in the layer; the host steps the params, looks
 * at the nodes kept for validation after each step, and ends as the papers do: GCN and GraphSAGE with the last step,
 * where the validation loss rises above the mean of the ten before; GAT and APPNP with the step that was best there.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train.h"

typedef struct settings {
    common_options common;
    const char *model, *stop;
    bool rise;                              /* --stop rise */
    int64_t hidden, heads, epochs, patience, nodes, decay_all, raw;
    double lr, decay, drop;
} settings;

/* Attention takes self-loops from the graph; the others have them in their equations. */
static mp_graph *make_graph(mp_context *ctx, const papers *t, bool loops)
{
    mp_graph *g;
    int64_t n = t->n_edges;
    int32_t *src = room(n + t->n, sizeof *src), *dst = room(n + t->n, sizeof *dst);
    memcpy(src, t->src, (size_t)n * sizeof *src);
    memcpy(dst, t->dst, (size_t)n * sizeof *dst);
    for (int32_t i = 0; loops && i < t->n; i++) {
        src[n] = i;
        dst[n++] = i;
    }
    check(ctx, mp_graph_from_coo(ctx, t->n, t->n, n, src, dst, &g));
    free(src);
    free(dst);
    return g;
}

/* ---- Training ---------------------------------------------------------------------------------------------------- */

typedef struct history {
    double *loss, *loss_apart, *right, *right_test;
    int64_t n;
} history;

static void open_layer(trainer *t, const settings *s, const papers *k)
{
    static const struct { const char *model, *layer; } names[] = { { "gcn", "GCN" }, { "gat", "GAT" }, { "sage", "SAGE" },
                                                                   { "appnp", "APPNP" } };
    const char *name = NULL;
    for (int i = 0; i < 4; i++)
        name = strcmp(s->model, names[i].model) ? name : names[i].layer;
    if (!name) {
        fprintf(stderr, "--model is one of gcn, gat, sage, appnp\n");
        exit(2);
    }
    mp_static statics[5] = { MP_DIM("in", k->features), MP_DIM("hidden", s->hidden), MP_DIM("classes", k->classes),
                             MP_REAL("drop", s->drop), MP_DIM("heads", s->heads) };
    trainer_layer(t, name, statics, strcmp(name, "GAT") ? 4 : 5);
    mp_layer *both[2] = { t->layer, t->test };
    for (int i = 0; i < 2; i++) {
        bind_floats(t->ctx, both[i], "x", k->x, k->n, k->features, MP_CONST);
        bind_ints(t->ctx, both[i], "y", k->y, k->n);
        bind_floats(t->ctx, both[i], "mask", k->mask[i], k->n, -1, 0);
    }
}

enum { LABELS = 15 };

/* Steps until the validation loss rises, or nothing has become better there for --patience steps. Returns the test score:
 * of the last step, or of the best. */
static double train(trainer *t, const settings *s, const papers *k, mp_graph *g, uint64_t seed, history *h)
{
    mp_adam adam = MP_ADAM_DEFAULT;
    adam.lr = s->lr;
    adam.weight_decay = s->decay;
    open_layer(t, s, k);
    trainer_params(t, seed);
    for (int64_t i = 0; i < mp_params_count(t->params) && !s->decay_all; i++) {
        const char *name;
        check(t->ctx, mp_params_get(t->params, i, &name, NULL, NULL));
        bool first = !strncmp(name, "first.", 6) || strchr(name, '1');
        check(t->ctx, mp_params_set_decay(t->params, name, first ? 1 : 0));
    }
    double best_loss = INFINITY, best_right = 0, score = 0;
    int64_t since = 0;
    progress bar;
    char what[64];
    snprintf(what, sizeof what, "%s, seed %llu", s->model, (unsigned long long)seed);
    progress_begin(&bar, what, s->epochs);
    h->n = 0;
    for (int64_t epoch = 0; epoch < s->epochs && (s->rise || since < s->patience); epoch++) {
        double loss = trainer_step(t, g, seed << 32 | (uint64_t)epoch);
        check(t->ctx, mp_params_adam(t->params, &adam));
        check(t->ctx, mp_forward(t->test, g));
        const float *logits = output_floats(t->ctx, t->test, "logits");
        double apart = cross_entropy(logits, k->y, k->mask[1], k->n, k->classes);
        double right = accuracy(logits, k->y, k->mask[1], k->n, k->classes);
        double test = accuracy(logits, k->y, k->mask[2], k->n, k->classes);
        if (s->rise || right > best_right || (right == best_right && apart < best_loss))
            score = test;
        since = right > best_right || apart < best_loss ? 0 : since + 1;
        best_right = fmax(best_right, right);
        best_loss = fmin(best_loss, apart);
        h->loss[h->n] = loss;
        h->loss_apart[h->n] = apart;
        h->right[h->n] = 100 * right;
        h->right_test[h->n++] = 100 * test;
        progress_step(&bar, epoch + 1, "loss %.3f, validation %.1f %%, test %.1f %%", loss, 100 * right, 100 * score);
        if (s->rise && loss_rises(h->loss_apart, h->n))
            break;
    }
    progress_end(&bar);
    return 100 * score;
}

static void draw(const settings *s, const papers *k, const history *h, double score)
{
    char title[128], subtitle[128];
    snprintf(title, sizeof title, "%s: %.1f %% of the test nodes", s->model, score);
    snprintf(subtitle, sizeof subtitle, "%lld nodes, %lld edges, %lld classes; the test score is that of %s", (long long)k->n,
             (long long)k->n_edges, (long long)k->classes, s->rise ? "the last step" : "the best validation");
    picture *p = picture_new(title, subtitle);
    picture_panel(p, "cross entropy", "epoch", true);
    picture_line(p, "training", h->loss, h->n);
    picture_line(p, "validation", h->loss_apart, h->n);
    picture_panel(p, "right, in %", "epoch", false);
    picture_line(p, "validation", h->right, h->n);
    picture_line(p, "test", h->right_test, h->n);
    picture_write(p, s->common.curve);
}

/* What the papers say of each, where the command says nothing. */
static void fill_defaults(settings *s)
{
    bool gat = !strcmp(s->model, "gat"), appnp = !strcmp(s->model, "appnp");
    s->hidden = s->hidden ? s->hidden : gat ? 8 : appnp ? 64 : 16;
    s->lr = s->lr > 0 ? s->lr : gat ? 0.005 : 0.01;
    s->decay = s->decay >= 0 ? s->decay : appnp ? 5e-3 : 5e-4;
    s->drop = s->drop >= 0 ? s->drop : gat ? 0.6 : 0.5;
    s->decay_all = s->decay_all || gat;
    s->epochs = s->epochs ? s->epochs : !gat && !appnp ? 200 : s->common.data ? 1000 : 300;
    s->stop = s->stop ? s->stop : gat || appnp ? "best" : "rise";
    s->rise = !strcmp(s->stop, "rise");
}

int main(int argc, char **argv)
{
    settings s = { .common = { .layers = LAYERS_FILE, .curve = "nodes.svg", .seed = 1, .runs = 1, .expect = NAN }, .model = "gcn",
                   .heads = 8, .patience = 100, .nodes = 1800, .lr = -1, .decay = -1, .drop = -1 };
    const option options[] = {
        { "model", OPTION_TEXT, &s.model, "gcn, gat, sage or appnp" },
        COMMON_OPTIONS(s.common),
        { "epochs", OPTION_COUNT, &s.epochs, "at most; 0: the model's" },
        { "stop", OPTION_TEXT, &s.stop, "rise: where the validation loss rises, score of the last step; best: by --patience, "
                                        "score of the best step; unless said, the model's" },
        { "patience", OPTION_COUNT, &s.patience, "epochs without better validation before it ends" },
        { "hidden", OPTION_COUNT, &s.hidden, "width (of a head, for gat); 0: the model's" },
        { "heads", OPTION_COUNT, &s.heads, "of gat" },
        { "lr", OPTION_REAL, &s.lr, "rate of Adam; below 0: the model's" },
        { "decay", OPTION_REAL, &s.decay, "weight decay; below 0: the model's" },
        { "decay-all", OPTION_COUNT, &s.decay_all, "1: on all params, not on the first layer's alone" },
        { "drop", OPTION_REAL, &s.drop, "dropout; below 0: the model's" },
        { "raw", OPTION_COUNT, &s.raw, "1: words as they are, rows not divided by their sums" },
        { "nodes", OPTION_COUNT, &s.nodes, "of a graph that is made" },
        { NULL, OPTION_TEXT, NULL, NULL },
    };
    options_read(argc, argv, "Trains a classifier of nodes.", options);
    fill_defaults(&s);

    trainer t;
    papers k;
    trainer_open(&t, &s.common);
    if (s.common.data)
        papers_read(&k, t.ctx, s.common.data);
    else
        papers_make(&k, (uint64_t)s.common.seed, s.nodes, LABELS);
    if (!s.raw)
        papers_normalise(&k);
    mp_graph *g = make_graph(t.ctx, &k, !strcmp(s.model, "gat"));
    history h = { room(s.epochs, sizeof(double)), room(s.epochs, sizeof(double)), room(s.epochs, sizeof(double)),
                  room(s.epochs, sizeof(double)), 0 };
    double *scores = room(s.common.runs, sizeof *scores);
    for (int64_t r = 0; r < s.common.runs; r++) {
        trainer_reset(&t);
        scores[r] = train(&t, &s, &k, g, (uint64_t)(s.common.seed + r), &h);
    }
    double mean = score_summary("test accuracy", scores, s.common.runs, " %");
    draw(&s, &k, &h, mean);
    trainer_close(&t, &s.common);
    mp_graph_destroy(g);
    papers_free(&k);
    free(h.loss);
    free(h.loss_apart);
    free(h.right);
    free(h.right_test);
    free(scores);
    return score_status(&s.common, mean, false);
}
