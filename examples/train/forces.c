/*
 * A force field: a potential learned from energies and forces of small clusters of atoms. The forces are a derivative in
 * the layer, so that the step of training is a derivative of a derivative.
 *
 *     train_forces
 *
 * The clusters are made: two kinds of atoms, Morse potentials between them, places of chance, shaken down a little.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train.h"

enum { FEWEST = 6, MOST = 12, KINDS = 2, SPREAD_STEPS = 60 };

typedef struct clusters {
    int64_t n;
    int64_t *ptr;
    int32_t *kind;
    float *place, *force, *energy;
    mp_graph **graph;
} clusters;

typedef struct settings {
    common_options common;
    int64_t dims, epochs, batch, clusters;
    double lr, clip, weight;
} settings;

/* ---- Clusters ---------------------------------------------------------------------------------------------------- */

/* Energy of a pair at distance r, by the kinds of the two; its derivative. */
static double morse(int a, int b, double r, double *slope)
{
    static const double depth[3] = { 1.0, 1.6, 0.7 }, rest[3] = { 1.5, 1.2, 1.9 }, stiff[3] = { 1.6, 1.9, 1.3 };
    int k = a + b;
    double e = exp(-stiff[k] * (r - rest[k]));
    *slope = 2 * depth[k] * stiff[k] * (e - e * e);
    return depth[k] * (e * e - 2 * e);
}

static double energy_of(int64_t n, const int32_t *kind, const double *x, double *force)
{
    double all = 0;
    memset(force, 0, (size_t)(3 * n) * sizeof *force);
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < i; j++) {
            double d[3], r = 0, slope;
            for (int k = 0; k < 3; k++) {
                d[k] = x[3 * i + k] - x[3 * j + k];
                r += d[k] * d[k];
            }
            r = sqrt(r + 1e-12);
            all += morse(kind[i], kind[j], r, &slope);
            for (int k = 0; k < 3; k++) {
                force[3 * i + k] -= slope * d[k] / r;
                force[3 * j + k] += slope * d[k] / r;
            }
        }
    }
    return all;
}

/* Places of chance, then some steps downhill, each at most a tenth long: neither at rest nor torn apart. */
static double make_cluster(dice *d, int64_t n, const int32_t *kind, double *x, double *force)
{
    int64_t steps = SPREAD_STEPS / 4 + dice_below(d, SPREAD_STEPS);
    double energy = 0, radius = 0.95 * cbrt((double)n);
    for (int64_t i = 0; i < 3 * n; i++)
        x[i] = (2 * dice_unit(d) - 1) * radius;
    for (int64_t s = 0; s <= steps; s++) {
        energy = energy_of(n, kind, x, force);
        for (int64_t i = 0; i < 3 * n && s < steps; i++)
            x[i] += fmax(-0.1, fmin(0.1, 0.03 * force[i]));
    }
    for (int64_t i = 0; i < 3 * n; i++)
        x[i] += 0.04 * dice_normal(d);
    energy = energy_of(n, kind, x, force);
    return energy;
}

static mp_graph *all_pairs(mp_context *ctx, int64_t n)
{
    int32_t src[MOST * MOST], dst[MOST * MOST];
    int64_t e = 0;
    mp_graph *g;
    for (int32_t i = 0; i < n; i++) {
        for (int32_t j = 0; j < n; j++) {
            if (i != j) {
                src[e] = i;
                dst[e++] = j;
            }
        }
    }
    check(ctx, mp_graph_from_coo(ctx, n, n, e, src, dst, &g));
    return g;
}

static void make_clusters(clusters *c, mp_context *ctx, uint64_t seed, int64_t n)
{
    dice d = { seed };
    double x[3 * MOST], force[3 * MOST];
    *c = (clusters){ .n = n, .ptr = room(n + 1, sizeof *c->ptr), .kind = room(n * MOST, sizeof *c->kind),
                     .place = room(3 * n * MOST, sizeof *c->place), .force = room(3 * n * MOST, sizeof *c->force),
                     .energy = room(n, sizeof *c->energy), .graph = room(n, sizeof(mp_graph *)) };
    for (int64_t i = 0; i < n; i++) {
        int64_t atoms = FEWEST + dice_below(&d, MOST - FEWEST + 1), at = c->ptr[i];
        for (int64_t k = 0; k < atoms; k++)
            c->kind[at + k] = (int32_t)dice_below(&d, KINDS);
        c->energy[i] = (float)make_cluster(&d, atoms, c->kind + at, x, force);
        for (int64_t k = 0; k < 3 * atoms; k++) {
            c->place[3 * at + k] = (float)x[k];
            c->force[3 * at + k] = (float)force[k];
        }
        c->ptr[i + 1] = at + atoms;
        c->graph[i] = all_pairs(ctx, atoms);
    }
}

static void clusters_free(clusters *c)
{
    for (int64_t i = 0; i < c->n; i++)
        mp_graph_destroy(c->graph[i]);
    free(c->graph);
    free(c->ptr);
    free(c->kind);
    free(c->place);
    free(c->force);
    free(c->energy);
}

/* ---- Batches ----------------------------------------------------------------------------------------------------- */

typedef struct batch {
    mp_graph *g;
    int64_t n, atoms;
    int32_t *kind;
    float *place, *force, *energy;
} batch;

static void batch_drop(batch *b)
{
    mp_graph_destroy(b->g);
    free(b->kind);
    free(b->place);
    free(b->force);
    free(b->energy);
    *b = (batch){ 0 };
}

static void batch_bind(mp_context *ctx, mp_layer *l, const clusters *c, const int32_t *which, int64_t n, batch *b)
{
    mp_graph **graphs = room(n, sizeof(mp_graph *));
    batch_drop(b);
    *b = (batch){ .n = n, .kind = room(n * MOST, sizeof *b->kind), .place = room(3 * n * MOST, sizeof *b->place),
                  .force = room(3 * n * MOST, sizeof *b->force), .energy = room(n, sizeof *b->energy) };
    for (int64_t i = 0; i < n; i++) {
        int64_t at = c->ptr[which[i]], atoms = c->ptr[which[i] + 1] - at;
        graphs[i] = c->graph[which[i]];
        memcpy(b->kind + b->atoms, c->kind + at, (size_t)atoms * sizeof *b->kind);
        memcpy(b->place + 3 * b->atoms, c->place + 3 * at, (size_t)(3 * atoms) * sizeof *b->place);
        memcpy(b->force + 3 * b->atoms, c->force + 3 * at, (size_t)(3 * atoms) * sizeof *b->force);
        b->energy[i] = c->energy[which[i]];
        b->atoms += atoms;
    }
    check(ctx, mp_graph_batch(ctx, graphs, n, &b->g));
    bind_ints(ctx, l, "z", b->kind, b->atoms);
    bind_floats(ctx, l, "pos", b->place, b->atoms, 3, 0);
    bind_floats(ctx, l, "force_true", b->force, b->atoms, 3, 0);
    bind_floats(ctx, l, "energy_true", b->energy, n, -1, 0);
    free(graphs);
}

/* ---- Training ---------------------------------------------------------------------------------------------------- */

typedef struct history { double *loss, *force, *energy; } history;

/* Mean absolute errors of a component of the force and of the energy an atom. */
static void measure(trainer *t, const batch *b, double *force, double *energy)
{
    check(t->ctx, mp_forward(t->test, b->g));
    const float *f = output_floats(t->ctx, t->test, "force"), *e = output_floats(t->ctx, t->test, "e");
    *force = *energy = 0;
    for (int64_t i = 0; i < 3 * b->atoms; i++)
        *force += fabs((double)(f[i] - b->force[i])) / (double)(3 * b->atoms);
    for (int64_t i = 0; i < b->n; i++)
        *energy += fabs((double)(e[i] - b->energy[i])) / (double)b->atoms;
}

static double train(trainer *t, const settings *s, const clusters *c, uint64_t seed, batch *apart, history *h)
{
    int64_t n_in = c->n - c->n / 5, n_out = c->n - n_in, step = 0;
    int32_t *which = room(c->n, sizeof *which);
    dice d = { seed };
    batch now = { 0 };
    mp_adam adam = MP_ADAM_DEFAULT;
    for (int32_t i = 0; i < c->n; i++)
        which[i] = i;
    trainer_reset(t);
    trainer_layer(t, "ForceField", (mp_static[]){ MP_DIM("species", KINDS), MP_DIM("d", s->dims),
                                                  MP_REAL("force_weight", s->weight) }, 3);
    batch_bind(t->ctx, t->test, c, which + n_in, n_out, apart);
    trainer_params(t, seed);
    char what[64];
    progress bar;
    snprintf(what, sizeof what, "force field, seed %llu", (unsigned long long)seed);
    progress_begin(&bar, what, s->epochs);
    for (int64_t epoch = 0; epoch < s->epochs; epoch++) {
        double loss = 0;
        adam.lr = s->lr * (1e-2 + 0.5 * (1 + cos(3.14159265 * (double)epoch / (double)s->epochs)));
        dice_shuffle(&d, which, n_in);
        for (int64_t at = 0; at < n_in; at += s->batch) {
            int64_t n = n_in - at < s->batch ? n_in - at : s->batch;
            batch_bind(t->ctx, t->layer, c, which + at, n, &now);
            loss += trainer_step(t, now.g, seed << 32 | (uint64_t)step++) * (double)n / (double)n_in;
            check(t->ctx, mp_params_clip(t->params, s->clip, NULL));
            check(t->ctx, mp_params_adam(t->params, &adam));
        }
        h->loss[epoch] = loss;
        measure(t, apart, &h->force[epoch], &h->energy[epoch]);
        progress_step(&bar, epoch + 1, "loss %.3f, kept apart: force off by %.3f, energy an atom by %.4f", loss, h->force[epoch],
                      h->energy[epoch]);
    }
    progress_end(&bar);
    batch_drop(&now);
    free(which);
    return h->force[s->epochs - 1];
}

static double typical(const batch *b)
{
    double all = 0;
    for (int64_t i = 0; i < 3 * b->atoms; i++)
        all += fabs((double)b->force[i]) / (double)(3 * b->atoms);
    return all;
}

static void draw(trainer *t, const settings *s, const batch *apart, const history *h, double score)
{
    char title[128], subtitle[128];
    int64_t n = 3 * apart->atoms;
    double *x = room(n, sizeof *x), *y = room(n, sizeof *y);
    check(t->ctx, mp_forward(t->test, apart->g));
    const float *f = output_floats(t->ctx, t->test, "force");
    for (int64_t i = 0; i < n; i++) {
        x[i] = (double)apart->force[i];
        y[i] = (double)f[i];
    }
    snprintf(title, sizeof title, "Forces learned to %.3f of %.2f on average", score, typical(apart));
    snprintf(subtitle, sizeof subtitle, "%lld clusters of %d to %d atoms kept apart", (long long)apart->n, FEWEST, MOST);
    picture *p = picture_new(title, subtitle);
    picture_panel(p, "loss", "epoch", true);
    picture_line(p, "training", h->loss, s->epochs);
    picture_panel(p, "error, kept apart", "epoch", true);
    picture_line(p, "force", h->force, s->epochs);
    picture_line(p, "energy an atom", h->energy, s->epochs);
    picture_panel(p, "force predicted", "true force", false);
    picture_points(p, "components", x, y, n);
    picture_write(p, s->common.curve);
    free(x);
    free(y);
}

int main(int argc, char **argv)
{
    settings s = { .common = { .layers = LAYERS_FILE, .curve = "forces.svg", .seed = 1, .runs = 1, .expect = NAN },
                   .dims = 32, .epochs = 60, .batch = 16, .clusters = 800, .lr = 4e-3, .clip = 10, .weight = 1 };
    const option options[] = {
        COMMON_OPTIONS(s.common),
        { "epochs", OPTION_COUNT, &s.epochs, "walks through the clusters" },
        { "batch", OPTION_COUNT, &s.batch, "clusters a step" },
        { "dims", OPTION_COUNT, &s.dims, "width" },
        { "lr", OPTION_REAL, &s.lr, "rate of Adam" },
        { "clip", OPTION_REAL, &s.clip, "longest gradient" },
        { "weight", OPTION_REAL, &s.weight, "of the forces in the loss" },
        { "clusters", OPTION_COUNT, &s.clusters, "that are made, a fifth kept apart" },
        { NULL, OPTION_TEXT, NULL, NULL },
    };
    options_read(argc, argv, "Trains a force field on energies and forces.", options);
    s.epochs = s.epochs ? s.epochs : 1;
    s.batch = s.batch ? s.batch : 1;
    if (s.common.data || s.clusters < 5) {
        fprintf(stderr, "five clusters at least; folders are not read here\n");
        return 2;
    }

    trainer t;
    clusters c;
    batch apart = { 0 };
    trainer_open(&t, &s.common);
    make_clusters(&c, t.ctx, (uint64_t)s.common.seed, s.clusters);
    history h = { room(s.epochs, sizeof(double)), room(s.epochs, sizeof(double)), room(s.epochs, sizeof(double)) };
    double *scores = room(s.common.runs, sizeof *scores);
    for (int64_t r = 0; r < s.common.runs; r++)
        scores[r] = train(&t, &s, &c, (uint64_t)(s.common.seed + r), &apart, &h);
    printf("a typical component of a force: %.3f\n", typical(&apart));
    double mean = score_summary("error of a component of a force", scores, s.common.runs, "");
    draw(&t, &s, &apart, &h, mean);
    trainer_close(&t, &s.common);
    batch_drop(&apart);
    clusters_free(&c);
    free(h.loss);
    free(h.force);
    free(h.energy);
    free(scores);
    return score_status(&s.common, mean, true);
}
