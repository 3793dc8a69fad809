/*
 * Classes of the nodes of a relational graph that have no features: RGCN.
 *
 *     train_relations
 *     train_relations --data FOLDER          (a folder such as AIFB: docs/accuracy.md)
 *
 * Without a folder the graph is made: people of four groups. Whom they ask is likely of their own group, whom they
 * review is of the next one, and whom they know is anyone. Without the relations the edges say little.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train.h"

typedef struct task {
    int64_t n, n_edges, relations, classes;
    int32_t *src, *dst, *rel, *pair, *y, *id;
    float *mask[2];
} task;

typedef struct settings {
    common_options common;
    int64_t hidden, epochs, nodes;
    double lr, decay;
} settings;

enum { GROUPS = 4, RELATIONS = 3, ASKS = 0, REVIEWS = 1, KNOWS = 2, EACH = 4 };

static int32_t someone(dice *d, const task *t, int32_t group)
{
    int32_t i = (int32_t)dice_below(d, t->n);
    for (int tries = 0; tries < 100 && group >= 0 && t->y[i] != group; tries++)
        i = (int32_t)dice_below(d, t->n);
    return i;
}

/* Each relation and, as the papers do, its inverse. */
static void make_task(task *t, uint64_t seed, int64_t n)
{
    dice d = { seed };
    *t = (task){ .n = n, .n_edges = 2 * n * RELATIONS * EACH, .relations = 2 * RELATIONS, .classes = GROUPS };
    t->src = room(t->n_edges, sizeof *t->src);
    t->dst = room(t->n_edges, sizeof *t->dst);
    t->rel = room(t->n_edges, sizeof *t->rel);
    t->y = room(n, sizeof *t->y);
    for (int64_t i = 0; i < n; i++)
        t->y[i] = (int32_t)dice_below(&d, GROUPS);
    for (int k = 0; k < 2; k++)
        t->mask[k] = room(n, sizeof **t->mask);
    for (int64_t i = 0; i < n; i++)
        t->mask[dice_unit(&d) < 0.3 ? 0 : 1][i] = 1;
    int64_t e = 0;
    for (int32_t i = 0; i < n; i++) {
        for (int32_t k = 0; k < RELATIONS * EACH; k++, e += 2) {
            int32_t r = k / EACH, group = r == ASKS ? t->y[i] : r == REVIEWS ? (t->y[i] + 1) % GROUPS : -1;
            t->src[e] = t->dst[e + 1] = i;
            t->dst[e] = t->src[e + 1] = someone(&d, t, dice_unit(&d) < 0.75 ? group : -1);
            t->rel[e] = r;
            t->rel[e + 1] = r + RELATIONS;
        }
    }
}

static void read_task(task *t, mp_context *ctx, const char *folder)
{
    int64_t n_dst, n_rel, n_mask;
    static const char *const names[2] = { "train_mask", "test_mask" };
    *t = (task){ 0 };
    t->src = folder_ints(ctx, folder, "edge_src", &t->n_edges);
    t->dst = folder_ints(ctx, folder, "edge_dst", &n_dst);
    t->rel = folder_ints(ctx, folder, "edge_type", &n_rel);
    t->y = folder_ints(ctx, folder, "y", &t->n);
    for (int k = 0; k < 2; k++) {
        int32_t *bits = folder_ints(ctx, folder, names[k], &n_mask);
        t->mask[k] = room(t->n, sizeof **t->mask);
        for (int64_t i = 0; i < t->n && i < n_mask; i++)
            t->mask[k][i] = bits[i] != 0;
        free(bits);
    }
    if (n_dst != t->n_edges || n_rel != t->n_edges) {
        fprintf(stderr, "%s: its arrays do not go together\n", folder);
        exit(1);
    }
    for (int64_t e = 0; e < t->n_edges; e++)
        t->relations = t->rel[e] >= t->relations ? t->rel[e] + 1 : t->relations;
    for (int64_t i = 0; i < t->n; i++)
        t->classes = t->y[i] >= t->classes ? t->y[i] + 1 : t->classes;
}

static void number_pairs(task *t)
{
    t->pair = room(t->n_edges, sizeof *t->pair);
    t->id = room(t->n, sizeof *t->id);
    for (int64_t e = 0; e < t->n_edges; e++)
        t->pair[e] = (int32_t)(t->rel[e] * t->n + t->src[e]);
    for (int32_t i = 0; i < t->n; i++)
        t->id[i] = i;
}

static double train(trainer *t, const settings *s, const task *k, mp_graph *g, uint64_t seed, double *loss, double *right)
{
    mp_adam adam = MP_ADAM_DEFAULT;
    adam.lr = s->lr;
    adam.weight_decay = s->decay;
    trainer_reset(t);
    trainer_layer(t, "RGCN", (mp_static[]){ MP_DIM("nodes", k->n), MP_DIM("relations", k->relations),
                                            MP_DIM("pairs", k->relations * k->n), MP_DIM("hidden", s->hidden),
                                            MP_DIM("classes", k->classes) }, 5);
    mp_layer *both[2] = { t->layer, t->test };
    for (int i = 0; i < 2; i++) {
        bind_ints(t->ctx, both[i], "id", k->id, k->n);
        bind_ints(t->ctx, both[i], "rel", k->rel, k->n_edges);
        bind_ints(t->ctx, both[i], "pair", k->pair, k->n_edges);
        bind_ints(t->ctx, both[i], "y", k->y, k->n);
        bind_floats(t->ctx, both[i], "mask", k->mask[0], k->n, -1, 0);
    }
    trainer_params(t, seed);
    progress bar;
    char what[64];
    snprintf(what, sizeof what, "rgcn, seed %llu", (unsigned long long)seed);
    progress_begin(&bar, what, s->epochs);
    for (int64_t epoch = 0; epoch < s->epochs; epoch++) {
        loss[epoch] = trainer_step(t, g, seed << 32 | (uint64_t)epoch);
        check(t->ctx, mp_params_adam(t->params, &adam));
        check(t->ctx, mp_forward(t->test, g));
        right[epoch] = 100 * accuracy(output_floats(t->ctx, t->test, "logits"), k->y, k->mask[1], k->n, k->classes);
        progress_step(&bar, epoch + 1, "loss %.3f, test %.1f %%", loss[epoch], right[epoch]);
    }
    progress_end(&bar);
    return right[s->epochs - 1];
}

static void draw(const settings *s, const task *k, const double *loss, const double *right, double score)
{
    char title[128], subtitle[128];
    snprintf(title, sizeof title, "RGCN: %.1f %% of the test nodes", score);
    snprintf(subtitle, sizeof subtitle, "%lld nodes, %lld edges of %lld relations, no features; as it stands after the last epoch",
             (long long)k->n, (long long)k->n_edges, (long long)k->relations);
    picture *p = picture_new(title, subtitle);
    picture_panel(p, "cross entropy", "epoch", true);
    picture_line(p, "training", loss, s->epochs);
    picture_panel(p, "right, in %", "epoch", false);
    picture_line(p, "test", right, s->epochs);
    picture_write(p, s->common.curve);
}

int main(int argc, char **argv)
{
    settings s = { .common = { .layers = LAYERS_FILE, .curve = "relations.svg", .seed = 1, .runs = 1, .expect = NAN },
                   .hidden = 16, .epochs = 50, .nodes = 800, .lr = 0.01 };
    const option options[] = {
        COMMON_OPTIONS(s.common),
        { "epochs", OPTION_COUNT, &s.epochs, "steps, each on the whole graph" },
        { "hidden", OPTION_COUNT, &s.hidden, "width" },
        { "lr", OPTION_REAL, &s.lr, "rate of Adam" },
        { "decay", OPTION_REAL, &s.decay, "weight decay" },
        { "nodes", OPTION_COUNT, &s.nodes, "of a graph that is made" },
        { NULL, OPTION_TEXT, NULL, NULL },
    };
    options_read(argc, argv, "Trains a classifier of the nodes of a relational graph.", options);
    s.epochs = s.epochs ? s.epochs : 1;

    trainer t;
    task k;
    mp_graph *g = NULL;
    trainer_open(&t, &s.common);
    if (s.common.data)
        read_task(&k, t.ctx, s.common.data);
    else
        make_task(&k, (uint64_t)s.common.seed, s.nodes);
    number_pairs(&k);
    check(t.ctx, mp_graph_from_coo(t.ctx, k.n, k.n, k.n_edges, k.src, k.dst, &g));
    double *loss = room(s.epochs, sizeof *loss), *right = room(s.epochs, sizeof *right);
    double *scores = room(s.common.runs, sizeof *scores);
    for (int64_t r = 0; r < s.common.runs; r++)
        scores[r] = train(&t, &s, &k, g, (uint64_t)(s.common.seed + r), loss, right);
    double mean = score_summary("test accuracy", scores, s.common.runs, " %");
    draw(&s, &k, loss, right, mean);
    trainer_close(&t, &s.common);
    mp_graph_destroy(g);
    free(k.src);
    free(k.dst);
    free(k.rel);
    free(k.pair);
    free(k.y);
    free(k.id);
    free(k.mask[0]);
    free(k.mask[1]);
    free(loss);
    free(right);
    free(scores);
    return score_status(&s.common, mean, false);
}
