/*
 * Classes of the nodes of one graph, from few labels: GCN, GAT, GraphSAGE or APPNP on a citation-style graph.
 *
 *     train_nodes --model gat
 *     train_nodes --model gcn --data FOLDER --runs 10        (a folder such as Planetoid's Cora: docs/accuracy.md)
 *
 * Without a folder the graph is made: papers of six fields cite mostly their own, and a paper's words are mostly, but
 * not only, those of its field. Dropout, loss and both passes run in the layer; the host steps the params, looks
 * at the nodes kept for validation after each step, and keeps the test score of the step that was best there.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train.h"

typedef struct task {
    int64_t n, n_edges, features, classes;
    int32_t *src, *dst, *y;
    float *x, *mask[3];                     /* mask: training, validation, test */
} task;

typedef struct settings {
    common_options common;
    const char *model;
    int64_t hidden, heads, epochs, patience, nodes, decay_all, raw;
    double lr, decay, drop;
} settings;

/* ---- Data -------------------------------------------------------------------------------------------------------- */

enum { WORDS = 400, FIELDS = 6, WORDS_A_PAPER = 14, CITES = 3, LABELS = 15 };

static void make_words(dice *d, float *row, int32_t field)
{
    for (int k = 0; k < WORDS_A_PAPER; k++) {
        int64_t own = WORDS / FIELDS;
        int64_t w = dice_unit(d) < 0.28 ? field * own + dice_below(d, own) : dice_below(d, WORDS);
        row[w] = 1;
    }
}

/* Every paper cites some of those before it, well cited ones rather than others, its own field four times out of five. */
static void make_edges(dice *d, task *t)
{
    t->src = room(2 * CITES * t->n, sizeof *t->src);
    t->dst = room(2 * CITES * t->n, sizeof *t->dst);
    for (int64_t i = 8; i < t->n; i++) {
        int64_t cites = 1 + dice_below(d, 2 * CITES - 1);
        for (int64_t k = 0; k < cites && t->n_edges + 2 <= 2 * CITES * t->n; k++) {
            bool own = dice_unit(d) < 0.8;
            int64_t other = 0;
            for (int tries = 0; tries < 40; tries++) {
                other = t->n_edges && dice_unit(d) < 0.4 ? t->dst[dice_below(d, t->n_edges)] : dice_below(d, i);
                if (other < i && (t->y[other] == t->y[i]) == own)
                    break;
            }
            if (other >= i)
                continue;
            t->src[t->n_edges] = t->dst[t->n_edges + 1] = (int32_t)i;
            t->dst[t->n_edges] = t->src[t->n_edges + 1] = (int32_t)other;
            t->n_edges += 2;
        }
    }
}

static void make_task(task *t, uint64_t seed, int64_t n)
{
    dice d = { seed };
    int64_t labelled[FIELDS] = { 0 };
    *t = (task){ .n = n, .features = WORDS, .classes = FIELDS };
    t->y = room(n, sizeof *t->y);
    t->x = room(n * WORDS, sizeof *t->x);
    for (int k = 0; k < 3; k++)
        t->mask[k] = room(n, sizeof **t->mask);
    for (int64_t i = 0; i < n; i++) {
        t->y[i] = (int32_t)dice_below(&d, FIELDS);
        make_words(&d, &t->x[i * WORDS], t->y[i]);
        bool train = labelled[t->y[i]] < LABELS;
        labelled[t->y[i]] += train;
        t->mask[train ? 0 : i % 3 ? 2 : 1][i] = 1;
    }
    make_edges(&d, t);
}

static float *read_mask(mp_context *ctx, const char *folder, const char *name, int64_t n)
{
    int64_t rows;
    int32_t *bits = folder_ints(ctx, folder, name, &rows);
    float *out = room(n, sizeof *out);
    for (int64_t i = 0; i < n && i < rows; i++)
        out[i] = bits[i] != 0;
    free(bits);
    return out;
}

static void read_task(task *t, mp_context *ctx, const char *folder)
{
    int64_t n_dst, n_y;
    *t = (task){ 0 };
    t->x = folder_rows(ctx, folder, "x", &t->n, &t->features);
    t->src = folder_ints(ctx, folder, "edge_src", &t->n_edges);
    t->dst = folder_ints(ctx, folder, "edge_dst", &n_dst);
    t->y = folder_ints(ctx, folder, "y", &n_y);
    if (n_dst != t->n_edges || n_y != t->n) {
        fprintf(stderr, "%s: its arrays do not go together\n", folder);
        exit(1);
    }
    for (int64_t i = 0; i < t->n; i++)
        t->classes = t->y[i] >= t->classes ? t->y[i] + 1 : t->classes;
    t->mask[0] = read_mask(ctx, folder, "train_mask", t->n);
    t->mask[1] = read_mask(ctx, folder, "val_mask", t->n);
    t->mask[2] = read_mask(ctx, folder, "test_mask", t->n);
}

/* As the papers have it: each row of words sums to 1; rows without words stay zero. */
static void normalise_rows(task *t)
{
    for (int64_t i = 0; i < t->n; i++) {
        float sum = 0;
        for (int64_t k = 0; k < t->features; k++)
            sum += t->x[i * t->features + k];
        for (int64_t k = 0; k < t->features && sum > 0; k++)
            t->x[i * t->features + k] /= sum;
    }
}

static mp_graph *make_graph(mp_context *ctx, const task *t, bool loops)
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

static void task_free(task *t)
{
    free(t->src);
    free(t->dst);
    free(t->y);
    free(t->x);
    for (int k = 0; k < 3; k++)
        free(t->mask[k]);
}

/* ---- Training ---------------------------------------------------------------------------------------------------- */

typedef struct history {
    double *loss, *loss_apart, *right, *right_test;
    int64_t n;
} history;

static void open_layer(trainer *t, const settings *s, const task *k)
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

/* Steps until validation has not become better for --patience of them. Returns the test score of the best step. */
static double train(trainer *t, const settings *s, const task *k, mp_graph *g, uint64_t seed, history *h)
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
    for (int64_t epoch = 0; epoch < s->epochs && since < s->patience; epoch++) {
        double loss = trainer_step(t, g, seed << 32 | (uint64_t)epoch);
        check(t->ctx, mp_params_adam(t->params, &adam));
        check(t->ctx, mp_forward(t->test, g));
        const float *logits = output_floats(t->ctx, t->test, "logits");
        double apart = cross_entropy(logits, k->y, k->mask[1], k->n, k->classes);
        double right = accuracy(logits, k->y, k->mask[1], k->n, k->classes);
        double test = accuracy(logits, k->y, k->mask[2], k->n, k->classes);
        if (right > best_right || (right == best_right && apart < best_loss))
            score = test;
        since = right > best_right || apart < best_loss ? 0 : since + 1;
        best_right = fmax(best_right, right);
        best_loss = fmin(best_loss, apart);
        h->loss[h->n] = loss;
        h->loss_apart[h->n] = apart;
        h->right[h->n] = 100 * right;
        h->right_test[h->n++] = 100 * test;
        progress_step(&bar, epoch + 1, "loss %.3f, validation %.1f %%, test %.1f %%", loss, 100 * right, 100 * score);
    }
    progress_end(&bar);
    return 100 * score;
}

static void draw(const settings *s, const task *k, const history *h, double score)
{
    char title[128], subtitle[128];
    snprintf(title, sizeof title, "%s: %.1f %% of the test nodes", s->model, score);
    snprintf(subtitle, sizeof subtitle, "%lld nodes, %lld edges, %lld classes; the test score is that of the best validation",
             (long long)k->n, (long long)k->n_edges, (long long)k->classes);
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
    s->epochs = s->epochs ? s->epochs : gat ? 400 : 200;
}

int main(int argc, char **argv)
{
    settings s = { .common = { .layers = LAYERS_FILE, .curve = "nodes.svg", .seed = 1, .runs = 1, .expect = NAN }, .model = "gcn",
                   .heads = 8, .patience = 100, .nodes = 1800, .lr = -1, .decay = -1, .drop = -1 };
    const option options[] = {
        { "model", OPTION_TEXT, &s.model, "gcn, gat, sage or appnp" },
        COMMON_OPTIONS(s.common),
        { "epochs", OPTION_COUNT, &s.epochs, "at most; 0: the model's" },
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
    task k;
    trainer_open(&t, &s.common);
    if (s.common.data)
        read_task(&k, t.ctx, s.common.data);
    else
        make_task(&k, (uint64_t)s.common.seed, s.nodes);
    if (!s.raw)
        normalise_rows(&k);
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
    task_free(&k);
    free(h.loss);
    free(h.loss_apart);
    free(h.right);
    free(h.right_test);
    free(scores);
    return score_status(&s.common, mean, false);
}
