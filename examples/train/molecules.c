/*
 * Classes of molecules: a graph isomorphism network with batch normalisation over batches of small graphs.
 *
 *     train_molecules
 *     train_molecules --data FOLDER          (a folder such as TU's MUTAG: ten-fold cross-validation, docs/accuracy.md)
 *
 * Without a folder molecules are made: rings and chains of carbon with groups on them. The question is whether a nitro
 * group sits on a ring; the others have one on a chain, or a ring with single oxygens, so that counting does not tell.
 *
 * The running statistics of the normalisations are a value that goes in and comes out: the host copies it.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train.h"

enum { KINDS = 5, MOST_ATOMS = 40, DEPTH = 4, NORMS = 4, FOLDS = 10 };
enum { CARBON = 0, NITROGEN = 1, OXYGEN = 2, HALOGEN = 3, SULFUR = 4 };

typedef struct molecules {
    int64_t n, features, classes;
    int32_t *ptr, *edge_ptr, *src, *dst, *y, *fold;     /* src, dst count from the molecule's first atom */
    float *x;
    mp_graph **graph;
} molecules;

typedef struct settings {
    common_options common;
    int64_t hidden, epochs, batch, molecules, halve;
    double lr, drop;
} settings;

/* A batch, as the layer takes it: the arrays are borrowed until the next. */
typedef struct batch {
    mp_graph *g;
    float *x;
    int32_t *y;
    int64_t n, atoms;
} batch;

/* ---- Molecules that are made ------------------------------------------------------------------------------------- */

typedef struct builder {
    dice *d;
    int n, n_bonds;
    int kind[MOST_ATOMS], bond[MOST_ATOMS][2];
    bool ring[MOST_ATOMS];
} builder;

static int atom(builder *b, int kind, int to)
{
    b->kind[b->n] = kind;
    b->ring[b->n] = false;
    if (to >= 0) {
        b->bond[b->n_bonds][0] = to;
        b->bond[b->n_bonds++][1] = b->n;
    }
    return b->n++;
}

/* A carbon with fewer than three bonds, on a ring or not. */
static int free_carbon(const builder *b, bool on_ring)
{
    int found = -1, seen = 0;
    for (int i = 0; i < b->n; i++) {
        int bonds = 0;
        for (int k = 0; k < b->n_bonds; k++)
            bonds += b->bond[k][0] == i || b->bond[k][1] == i;
        if (b->kind[i] == CARBON && b->ring[i] == on_ring && bonds < 3 && dice_below(b->d, ++seen) == 0)
            found = i;
    }
    return found;
}

static void add_ring(builder *b, int size)
{
    int last = b->n ? free_carbon(b, dice_unit(b->d) < 0.5) : -1, first = b->n;
    for (int i = 0; i < size; i++) {
        last = atom(b, CARBON, last);
        b->ring[last] = true;
    }
    b->bond[b->n_bonds][0] = last;
    b->bond[b->n_bonds++][1] = first;
}

static void add_chain(builder *b, int length)
{
    int last = b->n ? free_carbon(b, dice_unit(b->d) < 0.6) : -1;
    for (int i = 0; i < length; i++)
        last = atom(b, CARBON, last);
}

static void add_nitro(builder *b, bool on_ring)
{
    int at = free_carbon(b, on_ring);
    if (at < 0)
        return;
    at = atom(b, NITROGEN, at);
    atom(b, OXYGEN, at);
    atom(b, OXYGEN, at);
}

static bool has_nitro_on_ring(const builder *b)
{
    for (int i = 0; i < b->n; i++) {
        int oxygens = 0, ring = 0;
        for (int k = 0; k < b->n_bonds; k++) {
            int other = b->bond[k][0] == i ? b->bond[k][1] : b->bond[k][1] == i ? b->bond[k][0] : -1;
            oxygens += other >= 0 && b->kind[other] == OXYGEN;
            ring += other >= 0 && b->ring[other];
        }
        if (b->kind[i] == NITROGEN && oxygens == 2 && ring > 0)
            return true;
    }
    return false;
}

static void make_molecule(builder *b, dice *d)
{
    *b = (builder){ .d = d };
    add_ring(b, dice_unit(d) < 0.8 ? 6 : 5);
    add_chain(b, 2 + (int)dice_below(d, 3));
    if (dice_unit(d) < 0.4)
        add_ring(b, 6);
    if (dice_unit(d) < 0.85)
        add_nitro(b, dice_unit(d) < 0.52);
    for (int k = (int)dice_below(d, 5); k > 0; k--) {
        static const int kinds[] = { OXYGEN, HALOGEN, SULFUR, NITROGEN };
        int at = free_carbon(b, dice_unit(d) < 0.5);
        at = at >= 0 ? atom(b, kinds[dice_below(d, 4)], at) : -1;
        if (at >= 0 && b->kind[at] == NITROGEN)
            atom(b, OXYGEN, at);
    }
}

static void make_molecules(molecules *m, uint64_t seed, int64_t n)
{
    dice d = { seed };
    builder b;
    int64_t edges = 0;
    *m = (molecules){ .n = n, .features = KINDS, .classes = 2 };
    m->ptr = room(n + 1, sizeof *m->ptr);
    m->edge_ptr = room(n + 1, sizeof *m->edge_ptr);
    m->y = room(n, sizeof *m->y);
    m->fold = room(n, sizeof *m->fold);
    m->src = room(2 * n * MOST_ATOMS, sizeof *m->src);
    m->dst = room(2 * n * MOST_ATOMS, sizeof *m->dst);
    m->x = room(n * MOST_ATOMS * KINDS, sizeof *m->x);
    for (int64_t i = 0; i < n; i++) {
        make_molecule(&b, &d);
        m->y[i] = has_nitro_on_ring(&b);
        m->fold[i] = (int32_t)(i % FOLDS);
        for (int k = 0; k < b.n; k++)
            m->x[(m->ptr[i] + k) * KINDS + b.kind[k]] = 1;
        for (int k = 0; k < b.n_bonds; k++, edges += 2) {
            m->src[edges] = m->dst[edges + 1] = b.bond[k][0];
            m->dst[edges] = m->src[edges + 1] = b.bond[k][1];
        }
        m->ptr[i + 1] = m->ptr[i] + b.n;
        m->edge_ptr[i + 1] = (int32_t)edges;
    }
}

/* ---- Molecules of a folder --------------------------------------------------------------------------------------- */

static void read_molecules(molecules *m, mp_context *ctx, const char *folder)
{
    int64_t rows, n_ptr, n_edges;
    *m = (molecules){ 0 };
    m->x = folder_rows(ctx, folder, "x", &rows, &m->features);
    m->y = folder_ints(ctx, folder, "y", &m->n);
    m->ptr = folder_ints(ctx, folder, "graph_ptr", &n_ptr);
    m->edge_ptr = folder_ints(ctx, folder, "edge_ptr", NULL);
    m->src = folder_ints(ctx, folder, "edge_src", &n_edges);
    m->dst = folder_ints(ctx, folder, "edge_dst", NULL);
    m->fold = folder_ints(ctx, folder, "fold", NULL);
    if (n_ptr != m->n + 1 || m->ptr[m->n] != rows || m->edge_ptr[m->n] != n_edges) {
        fprintf(stderr, "%s: its arrays do not go together\n", folder);
        exit(1);
    }
    for (int64_t i = 0; i < m->n; i++) {
        m->classes = m->y[i] >= m->classes ? m->y[i] + 1 : m->classes;
        for (int64_t e = m->edge_ptr[i]; e < m->edge_ptr[i + 1]; e++) {
            m->src[e] -= m->ptr[i];
            m->dst[e] -= m->ptr[i];
        }
    }
}

static void make_graphs(mp_context *ctx, molecules *m)
{
    m->graph = room(m->n, sizeof(mp_graph *));
    for (int64_t i = 0; i < m->n; i++) {
        int64_t atoms = m->ptr[i + 1] - m->ptr[i], e = m->edge_ptr[i];
        check(ctx, mp_graph_from_coo(ctx, atoms, atoms, m->edge_ptr[i + 1] - e, m->src + e, m->dst + e, &m->graph[i]));
    }
}

static void molecules_free(molecules *m)
{
    for (int64_t i = 0; i < m->n; i++)
        mp_graph_destroy(m->graph[i]);
    free(m->graph);
    free(m->ptr);
    free(m->edge_ptr);
    free(m->src);
    free(m->dst);
    free(m->y);
    free(m->fold);
    free(m->x);
}

/* ---- Batches ----------------------------------------------------------------------------------------------------- */

static void batch_drop(batch *b)
{
    mp_graph_destroy(b->g);
    free(b->x);
    free(b->y);
    *b = (batch){ 0 };
}

/* The molecules `which`, side by side, bound to the layer. */
static void batch_bind(mp_context *ctx, mp_layer *l, const molecules *m, const int32_t *which, int64_t n, batch *b)
{
    mp_graph **graphs = room(n, sizeof(mp_graph *));
    batch_drop(b);
    for (int64_t i = 0; i < n; i++) {
        graphs[i] = m->graph[which[i]];
        b->atoms += m->ptr[which[i] + 1] - m->ptr[which[i]];
    }
    b->n = n;
    b->x = room(b->atoms * m->features, sizeof *b->x);
    b->y = room(n, sizeof *b->y);
    float *x = b->x;
    for (int64_t i = 0; i < n; i++) {
        int64_t first = m->ptr[which[i]] * m->features, end = m->ptr[which[i] + 1] * m->features;
        memcpy(x, m->x + first, (size_t)(end - first) * sizeof *x);
        x += end - first;
        b->y[i] = m->y[which[i]];
    }
    check(ctx, mp_graph_batch(ctx, graphs, n, &b->g));
    bind_floats(ctx, l, "x", b->x, b->atoms, m->features, 0);
    bind_ints(ctx, l, "y", b->y, n);
    free(graphs);
}

/* ---- Training ---------------------------------------------------------------------------------------------------- */

typedef struct history { double *loss, *right; } history;       /* by epoch, means over the folds */

static void open_layer(trainer *t, const settings *s, const molecules *m, float *seen)
{
    trainer_layer(t, "GIN", (mp_static[]){ MP_DIM("in", m->features), MP_DIM("hidden", s->hidden), MP_DIM("classes", m->classes),
                                           MP_REAL("drop", s->drop) }, 4);
    mp_layer *both[2] = { t->layer, t->test };
    int64_t shape[] = { DEPTH, NORMS, s->hidden };
    DLTensor r = { .data = seen, .device = { kDLCPU, 0 }, .ndim = 3, .dtype = { kDLFloat, 32, 1 }, .shape = shape };
    for (int i = 0; i < DEPTH * NORMS; i++)         /* means of 0, variances of 1 */
        for (int64_t k = 0; k < s->hidden; k++)
            seen[i * s->hidden + k] = i % 2 ? 1 : 0;
    for (int i = 0; i < 2; i++)
        check(t->ctx, mp_bind(both[i], "seen", &r, 0));
}

/* One fold: trains on the others, adds to the history. */
static void train_fold(trainer *t, const settings *s, const molecules *m, int32_t fold, uint64_t seed, history *h, progress *bar,
                       int64_t done)
{
    int32_t *in = room(m->n, sizeof *in), *out = room(m->n, sizeof *out);
    float *seen = room(DEPTH * NORMS * s->hidden, sizeof *seen);
    int64_t n_in = 0, n_out = 0, step = 0;
    size_t seen_bytes = (size_t)(DEPTH * NORMS * s->hidden) * sizeof *seen;
    dice d = { seed * 1000 + (uint64_t)fold };
    batch now = { 0 }, apart = { 0 };
    mp_adam adam = MP_ADAM_DEFAULT;
    for (int32_t i = 0; i < m->n; i++) {
        if (m->fold[i] == fold)
            out[n_out++] = i;
        else
            in[n_in++] = i;
    }
    trainer_reset(t);
    open_layer(t, s, m, seen);
    batch_bind(t->ctx, t->test, m, out, n_out, &apart);
    trainer_params(t, seed * 16 + (uint64_t)fold);
    for (int64_t epoch = 0; epoch < s->epochs; epoch++) {
        double loss = 0;
        adam.lr = s->lr * pow(0.5, s->halve ? (double)(epoch / s->halve) : 0);
        dice_shuffle(&d, in, n_in);
        for (int64_t at = 0; at < n_in; at += s->batch) {
            int64_t n = n_in - at < s->batch ? n_in - at : s->batch;
            batch_bind(t->ctx, t->layer, m, in + at, n, &now);
            loss += trainer_step(t, now.g, seed << 40 | (uint64_t)fold << 32 | (uint64_t)step++) * (double)n / (double)n_in;
            memcpy(seen, output_floats(t->ctx, t->layer, "seen_next"), seen_bytes);
            check(t->ctx, mp_params_adam(t->params, &adam));
        }
        check(t->ctx, mp_forward(t->test, apart.g));
        double right = accuracy(output_floats(t->ctx, t->test, "logits"), apart.y, NULL, n_out, m->classes);
        h->loss[epoch] += loss;
        h->right[epoch] += 100 * right;
        progress_step(bar, done + epoch + 1, "fold %d: loss %.3f, kept apart %.1f %% right", fold, loss, 100 * right);
    }
    batch_drop(&now);
    batch_drop(&apart);
    free(in);
    free(out);
    free(seen);
}

/* All folds of a folder, the last tenth of what was made. The score is that of the epoch with the best mean, as in the paper. */
static double train(trainer *t, const settings *s, const molecules *m, uint64_t seed, history *h)
{
    int32_t first = s->common.data ? 0 : FOLDS - 1;
    char what[64];
    progress bar;
    snprintf(what, sizeof what, "gin, seed %llu", (unsigned long long)seed);
    progress_begin(&bar, what, (FOLDS - first) * s->epochs);
    memset(h->loss, 0, (size_t)s->epochs * sizeof *h->loss);
    memset(h->right, 0, (size_t)s->epochs * sizeof *h->right);
    for (int32_t fold = first; fold < FOLDS; fold++)
        train_fold(t, s, m, fold, seed, h, &bar, (fold - first) * s->epochs);
    progress_end(&bar);
    double best = 0;
    for (int64_t i = 0; i < s->epochs; i++) {
        h->loss[i] /= FOLDS - first;
        h->right[i] /= FOLDS - first;
        best = fmax(best, h->right[i]);
    }
    return best;
}

static void draw(const settings *s, const molecules *m, const history *h, double score)
{
    char title[128], subtitle[128];
    snprintf(title, sizeof title, "GIN with batch normalisation: %.1f %% right", score);
    snprintf(subtitle, sizeof subtitle, "%lld molecules%s; the epoch with the best mean", (long long)m->n,
             s->common.data ? ", ten-fold cross-validation" : ", a tenth kept apart");
    picture *p = picture_new(title, subtitle);
    picture_panel(p, "cross entropy", "epoch", true);
    picture_line(p, "training", h->loss, s->epochs);
    picture_panel(p, "right, in %", "epoch", false);
    picture_line(p, "kept apart", h->right, s->epochs);
    picture_write(p, s->common.curve);
}

int main(int argc, char **argv)
{
    settings s = { .common = { .layers = LAYERS_FILE, .curve = "molecules.svg", .seed = 1, .runs = 1, .expect = NAN },
                   .hidden = 32, .batch = 32, .molecules = 1000, .halve = 50, .lr = 0.01, .drop = -1 };
    const option options[] = {
        COMMON_OPTIONS(s.common),
        { "epochs", OPTION_COUNT, &s.epochs, "0: 350 for a folder, else 40" },
        { "hidden", OPTION_COUNT, &s.hidden, "width" },
        { "batch", OPTION_COUNT, &s.batch, "molecules a step" },
        { "lr", OPTION_REAL, &s.lr, "rate of Adam" },
        { "halve", OPTION_COUNT, &s.halve, "epochs after which the rate is halved; 0: never" },
        { "drop", OPTION_REAL, &s.drop, "dropout of the readouts; below 0: 0.5 for a folder, else 0" },
        { "molecules", OPTION_COUNT, &s.molecules, "how many are made" },
        { NULL, OPTION_TEXT, NULL, NULL },
    };
    options_read(argc, argv, "Trains a classifier of molecules.", options);
    s.epochs = s.epochs ? s.epochs : s.common.data ? 350 : 40;
    s.drop = s.drop >= 0 ? s.drop : s.common.data ? 0.5 : 0;
    s.batch = s.batch ? s.batch : 1;

    trainer t;
    molecules m;
    trainer_open(&t, &s.common);
    if (s.common.data)
        read_molecules(&m, t.ctx, s.common.data);
    else
        make_molecules(&m, (uint64_t)s.common.seed, s.molecules);
    make_graphs(t.ctx, &m);
    history h = { room(s.epochs, sizeof(double)), room(s.epochs, sizeof(double)) };
    double *scores = room(s.common.runs, sizeof *scores);
    for (int64_t r = 0; r < s.common.runs; r++)
        scores[r] = train(&t, &s, &m, (uint64_t)(s.common.seed + r), &h);
    double mean = score_summary("accuracy", scores, s.common.runs, " %");
    draw(&s, &m, &h, mean);
    trainer_close(&t, &s.common);
    molecules_free(&m);
    free(h.loss);
    free(h.right);
    free(scores);
    return score_status(&s.common, mean, false);
}
