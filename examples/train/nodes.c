/*
 * Classes of the nodes of one graph, from few labels: GCN, GAT, GraphSAGE or APPNP on a citation-style graph.
 *
 *     train_nodes --model gat
 *     train_nodes --model gcn --data FOLDER --runs 10        (a folder such as Planetoid's Cora: docs/accuracy.md)
 *
 * Without a folder the graph is made: papers of six fields cite mostly their own, and a paper's words are mostly, but
 * not only, those of its field. Dropout, loss and both passes run in layers; the host joins two, steps the params, looks
 * at the nodes kept for validation after each step, and ends as the papers do: GCN and GraphSAGE with the last step,
 * when the validation loss has not fallen for ten steps; GAT and APPNP with the step that was best there.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train.h"

typedef struct settings {
    common_options common;
    const char *model, *stop;
    bool rise, best;                        /* --stop */
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

/* The product of words and weights, a layer of its own; and the rows that it hands to the model, with their gradient. */
typedef struct words {
    trainer t;                              /* its params are stepped with the model's */
    mp_graph *g;                            /* an edge from each word to each paper that has it */
    int32_t *id;
    float *share, *z, *dz;
} words;

static void words_open(words *w, const trainer *t, const papers *k, int64_t width)
{
    int64_t n = 0;
    for (int64_t i = 0; i < k->n * k->features; i++)
        n += k->x[i] != 0;
    int32_t *src = room(n, sizeof *src), *dst = room(n, sizeof *dst);
    *w = (words){ .t = { .ctx = t->ctx, .module = t->module }, .id = room(k->features, sizeof *w->id), .share = room(n, sizeof *w->share),
                  .z = room(k->n * width, sizeof *w->z), .dz = room(k->n * width, sizeof *w->dz) };
    n = 0;
    for (int32_t i = 0; i < k->n; i++) {
        for (int32_t f = 0; f < k->features; f++) {
            float x = k->x[i * k->features + f];
            if (x == 0)
                continue;
            src[n] = f;
            dst[n] = i;
            w->share[n++] = x;
        }
    }
    for (int32_t f = 0; f < k->features; f++)
        w->id[f] = f;
    check(t->ctx, mp_graph_from_coo(t->ctx, k->features, k->n, n, src, dst, &w->g));
    free(src);
    free(dst);
}

static void words_close(words *w)
{
    trainer_reset(&w->t);
    mp_graph_destroy(w->g);
    free(w->id);
    free(w->share);
    free(w->z);
    free(w->dz);
}

/* Both layers, joined: z and its gradient are in memory that one writes and the other reads. */
static void open_layers(trainer *t, words *w, const settings *s, const papers *k, int64_t width)
{
    static const struct { const char *model, *layer; } names[] = { { "gcn", "GCN" }, { "gat", "GAT" }, { "sage", "SAGE" },
                                                                   { "appnp", "APPNP" } };
    const char *name = "";
    for (int i = 0; i < 4; i++)
        name = strcmp(s->model, names[i].model) ? name : names[i].layer;
    trainer_layer(&w->t, "Words", (mp_static[]){ MP_DIM("words", k->features), MP_DIM("out", width), MP_REAL("drop", s->drop) }, 3);
    trainer_layer(t, name, (mp_static[]){ MP_DIM("hidden", s->hidden), MP_DIM("classes", k->classes), MP_REAL("drop", s->drop),
                                          MP_DIM("heads", s->heads) }, strcmp(name, "GAT") ? 3 : 4);
    int64_t shape[] = { k->n, width };
    DLTensor dz = { .data = w->dz, .device = { kDLCPU, 0 }, .ndim = 2, .dtype = { kDLFloat, 32, 1 }, .shape = shape };
    check(t->ctx, mp_bind_grad(w->t.layer, "z", &dz, 0));
    check(t->ctx, mp_bind_grad(t->layer, "z", &dz, 0));
    mp_layer *models[2] = { t->layer, t->test }, *firsts[2] = { w->t.layer, w->t.test };
    for (int i = 0; i < 2; i++) {
        bind_ints(t->ctx, firsts[i], "word", w->id, k->features);
        bind_floats(t->ctx, firsts[i], "share", w->share, mp_graph_num_edges(w->g), -1, MP_CONST);
        bind_floats(t->ctx, firsts[i], "z", w->z, k->n, width, 0);
        bind_floats(t->ctx, models[i], "z", w->z, k->n, width, 0);
        bind_ints(t->ctx, models[i], "y", k->y, k->n);
        bind_floats(t->ctx, models[i], "mask", k->mask[i], k->n, -1, 0);
    }
}

enum { LABELS = 15 };

/* Of the rows that the words' layer makes. */
static int64_t width_of(const settings *s)
{
    return s->hidden * (!strcmp(s->model, "gat") ? s->heads : !strcmp(s->model, "sage") ? 2 : 1);
}

/* Steps until the validation loss rises, or nothing has become better there for --patience steps. Returns the test score:
 * of the last step, or of the best. */
static double train(trainer *t, words *w, const settings *s, const papers *k, mp_graph *g, uint64_t seed, history *h)
{
    mp_adam adam = MP_ADAM_DEFAULT;
    adam.lr = s->lr;
    adam.weight_decay = s->decay;
    open_layers(t, w, s, k, width_of(s));
    trainer_params(&w->t, 2 * seed);
    trainer_params(t, 2 * seed + 1);
    for (int64_t i = 0; i < mp_params_count(t->params) && !s->decay_all; i++) {
        const char *name;
        check(t->ctx, mp_params_get(t->params, i, &name, NULL, NULL));
        bool first = !strncmp(name, "first.", 6) || !strcmp(name, "b1");
        check(t->ctx, mp_params_set_decay(t->params, name, first ? 1 : 0));
    }
    double best_loss = INFINITY, best_right = 0, score = 0;
    int64_t since = 0;
    progress bar;
    char what[64];
    snprintf(what, sizeof what, "%s, seed %llu", s->model, (unsigned long long)seed);
    progress_begin(&bar, what, s->epochs);
    h->n = 0;
    for (int64_t epoch = 0; epoch < s->epochs && (!s->best || since < s->patience); epoch++) {
        uint64_t call = seed << 32 | (uint64_t)epoch;
        check(t->ctx, mp_forward_train(w->t.layer, w->g, call, &w->t.tape));
        double loss = trainer_step(t, g, call);
        check(t->ctx, mp_backward(w->t.layer, w->t.tape));
        check(t->ctx, mp_params_adam(w->t.params, &adam));
        check(t->ctx, mp_params_adam(t->params, &adam));
        check(t->ctx, mp_forward(w->t.test, w->g));
        check(t->ctx, mp_forward(t->test, g));
        const float *logits = output_floats(t->ctx, t->test, "logits");
        double apart = cross_entropy(logits, k->y, k->mask[1], k->n, k->classes);
        double right = accuracy(logits, k->y, k->mask[1], k->n, k->classes);
        double test = accuracy(logits, k->y, k->mask[2], k->n, k->classes);
        if (!s->best || right > best_right || (right == best_right && apart < best_loss))
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

/* All params into one file: `W0` of the words' layer, the others the model's. mp_params_load takes its own from it. */
static void save_both(const trainer *t, const words *w, const char *path)
{
    enum { MOST = 16 };
    const char *names[MOST], *end = strrchr(path, '.');
    DLTensor values[MOST];
    int64_t n = 0;
    const mp_params *both[2] = { w->t.params, t->params };
    for (int i = 0; i < 2; i++)
        for (int64_t j = 0; j < mp_params_count(both[i]) && n < MOST; j++, n++)
            check(t->ctx, mp_params_get(both[i], j, &names[n], &values[n], NULL));
    if (end && !strcmp(end, ".npz"))
        check(t->ctx, mp_npz_save(t->ctx, path, names, values, n));
    else
        check(t->ctx, mp_safetensors_save(t->ctx, path, names, values, n));
    printf("params: %s\n", path);
}

static void draw(const settings *s, const papers *k, const history *h, double score)
{
    char title[128], subtitle[128];
    snprintf(title, sizeof title, "%s: %.1f %% of the test nodes", s->model, score);
    snprintf(subtitle, sizeof subtitle, "%lld nodes, %lld edges, %lld classes; the test score is that of %s", (long long)k->n,
             (long long)k->n_edges, (long long)k->classes, s->best ? "the best validation" : "the last step");
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
    if (!gat && !appnp && strcmp(s->model, "gcn") != 0 && strcmp(s->model, "sage") != 0) {
        fprintf(stderr, "--model is one of gcn, gat, sage, appnp\n");
        exit(2);
    }
    s->hidden = s->hidden ? s->hidden : gat ? 8 : appnp ? 64 : 16;
    s->lr = s->lr > 0 ? s->lr : gat ? 0.005 : 0.01;
    s->decay = s->decay >= 0 ? s->decay : appnp ? 5e-3 : 5e-4;
    s->drop = s->drop >= 0 ? s->drop : gat ? 0.6 : 0.5;
    s->decay_all = s->decay_all || gat;
    s->epochs = s->epochs ? s->epochs : !gat && !appnp ? 200 : s->common.data ? 1000 : 300;
    s->stop = s->stop ? s->stop : gat || appnp ? "best" : "rise";
    s->rise = !strcmp(s->stop, "rise");
    s->best = !strcmp(s->stop, "best");
}

int main(int argc, char **argv)
{
    settings s = { .common = { .layers = LAYERS_FILE, .curve = "nodes.svg", .seed = 1, .runs = 1, .expect = NAN }, .model = "gcn",
                   .heads = 8, .patience = 100, .nodes = 1800, .lr = -1, .decay = -1, .drop = -1 };
    const option options[] = {
        { "model", OPTION_TEXT, &s.model, "gcn, gat, sage or appnp" },
        COMMON_OPTIONS(s.common),
        { "epochs", OPTION_COUNT, &s.epochs, "at most; 0: the model's" },
        { "stop", OPTION_TEXT, &s.stop, "rise: when the validation loss has not fallen for 10 epochs, score of the last; end: after "
                                        "all epochs; best: by --patience, score of the best; unless said, the model's" },
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
    words w;
    words_open(&w, &t, &k, width_of(&s));
    history h = { room(s.epochs, sizeof(double)), room(s.epochs, sizeof(double)), room(s.epochs, sizeof(double)),
                  room(s.epochs, sizeof(double)), 0 };
    double *scores = room(s.common.runs, sizeof *scores);
    for (int64_t r = 0; r < s.common.runs; r++) {
        trainer_reset(&w.t);
        trainer_reset(&t);
        scores[r] = train(&t, &w, &s, &k, g, (uint64_t)(s.common.seed + r), &h);
    }
    double mean = score_summary("test accuracy", scores, s.common.runs, " %");
    draw(&s, &k, &h, mean);
    if (s.common.save)
        save_both(&t, &w, s.common.save);
    words_close(&w);
    s.common.save = NULL;
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
