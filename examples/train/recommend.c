/*
 * A recommender: LightGCN, trained by Bayesian personalised ranking (Rendle et al., UAI 2009): what a user took should
 * score higher than what was drawn at random.
 *
 *     train_recommend
 *     train_recommend --data FOLDER          (edge_src.npy: users, edge_dst.npy: items; items counted on their own)
 *
 * Without a folder users and items have hidden tastes, and a user takes what suits. Two items a user are kept
 * apart; the score is how many of them stand among the first twenty that the user has not taken.
 *
 * The loss is of triples of user and items, not of nodes or edges: the host computes it, and binds its derivative by the
 * layer's output as the cotangent.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train.h"

enum { APART = 2, FIRST = 20 };

typedef struct task {
    int64_t users, items, n_taken;
    int32_t *user, *item;           /* what was taken, by user; of each user the last APART are kept apart */
    int64_t *ptr;                   /* [users + 1] */
    int32_t *apart;                 /* [users * APART], -1 for none */
} task;

typedef struct settings {
    common_options common;
    int64_t dims, epochs, steps, batch, users, items;
    double lr, decay;
} settings;

/* ---- Data -------------------------------------------------------------------------------------------------------- */

enum { TASTES = 6 };

static void make_pairs(dice *d, task *t, int64_t each)
{
    float *taste = room((t->users + t->items) * TASTES, sizeof *taste), *fame = room(t->items, sizeof *fame);
    double *weight = room(t->items, sizeof *weight);
    bool *has = room(t->items, sizeof *has);
    for (int64_t i = 0; i < (t->users + t->items) * TASTES; i++)
        taste[i] = (float)dice_normal(d);
    for (int64_t i = 0; i < t->items; i++)
        fame[i] = (float)dice_normal(d);
    t->user = room(t->users * each, sizeof *t->user);
    t->item = room(t->users * each, sizeof *t->item);
    for (int64_t u = 0; u < t->users; u++) {
        double all = 0;
        for (int64_t i = 0; i < t->items; i++) {
            double s = 0.8 * (double)fame[i];
            for (int k = 0; k < TASTES; k++)
                s += 0.9 * (double)(taste[u * TASTES + k] * taste[(t->users + i) * TASTES + k]);
            all += weight[i] = exp(s);
            has[i] = false;
        }
        for (int64_t k = 0; k < each; k++) {
            double x = dice_unit(d) * all;
            int64_t i = 0;
            while (i < t->items - 1 && (has[i] || (x -= weight[i]) > 0))
                i++;
            if (has[i])
                continue;
            has[i] = true;
            all -= weight[i];
            t->user[t->n_taken] = (int32_t)u;
            t->item[t->n_taken++] = (int32_t)i;
        }
    }
    free(taste);
    free(fame);
    free(weight);
    free(has);
}

static void read_pairs(task *t, mp_context *ctx, const char *folder)
{
    int64_t n;
    int32_t *user = folder_ints(ctx, folder, "edge_src", &t->n_taken), *item = folder_ints(ctx, folder, "edge_dst", &n);
    if (n != t->n_taken) {
        fprintf(stderr, "%s: its arrays do not go together\n", folder);
        exit(1);
    }
    for (int64_t e = 0; e < n; e++) {
        t->users = user[e] >= t->users ? user[e] + 1 : t->users;
        t->items = item[e] >= t->items ? item[e] + 1 : t->items;
    }
    t->user = room(n, sizeof *t->user);
    t->item = room(n, sizeof *t->item);
    int64_t *next = room(t->users + 1, sizeof *next);
    for (int64_t e = 0; e < n; e++)
        next[user[e] + 1]++;
    for (int64_t u = 0; u < t->users; u++)
        next[u + 1] += next[u];
    for (int64_t e = 0; e < n; e++) {
        int64_t k = next[user[e]]++;
        t->user[k] = user[e];
        t->item[k] = item[e];
    }
    free(next);
    free(user);
    free(item);
}

/* Of each user with enough items the last APART, in an order of chance, leave the list. */
static void keep_apart(dice *d, task *t)
{
    int64_t kept = 0;
    t->ptr = room(t->users + 1, sizeof *t->ptr);
    t->apart = room(t->users * APART, sizeof *t->apart);
    for (int64_t u = 0, at = 0, end; u < t->users; u++, at = end) {
        for (end = at; end < t->n_taken && t->user[end] == u; end++)
            continue;
        dice_shuffle(d, t->item + at, end - at);
        int64_t stay = end - at > 2 * APART ? end - APART : end;
        for (int64_t k = 0; k < APART; k++)
            t->apart[u * APART + k] = stay + k < end ? t->item[stay + k] : -1;
        for (int64_t k = at; k < stay; k++) {
            t->user[kept] = (int32_t)u;
            t->item[kept++] = t->item[k];
        }
        t->ptr[u + 1] = kept;
    }
    t->n_taken = kept;
}

/* Users first, then items, an edge each way. */
static mp_graph *make_graph(mp_context *ctx, const task *t)
{
    mp_graph *g;
    int64_t n = t->users + t->items;
    int32_t *src = room(2 * t->n_taken, sizeof *src), *dst = room(2 * t->n_taken, sizeof *dst);
    for (int64_t e = 0; e < t->n_taken; e++) {
        src[2 * e] = dst[2 * e + 1] = t->user[e];
        dst[2 * e] = src[2 * e + 1] = (int32_t)(t->users + t->item[e]);
    }
    check(ctx, mp_graph_from_coo(ctx, n, n, 2 * t->n_taken, src, dst, &g));
    free(src);
    free(dst);
    return g;
}

/* ---- Loss and score ---------------------------------------------------------------------------------------------- */

static bool took(const task *t, int64_t u, int32_t item)
{
    for (int64_t k = t->ptr[u]; k < t->ptr[u + 1]; k++) {
        if (t->item[k] == item)
            return true;
    }
    return false;
}

/* Mean of -log sigmoid(score of what was taken - score of another); its derivative by the embeddings into dg. */
static double rank_loss(dice *d, const task *t, const float *g, float *dg, int64_t dims, int64_t batch)
{
    double loss = 0;
    memset(dg, 0, (size_t)((t->users + t->items) * dims) * sizeof *dg);
    for (int64_t b = 0; b < batch; b++) {
        int64_t e = dice_below(d, t->n_taken), u = t->user[e];
        int32_t other = (int32_t)dice_below(d, t->items);
        for (int tries = 0; tries < 20 && took(t, u, other); tries++)
            other = (int32_t)dice_below(d, t->items);
        int64_t at[3] = { u * dims, (t->users + t->item[e]) * dims, (t->users + other) * dims };
        double s = 0;
        for (int64_t k = 0; k < dims; k++)
            s += (double)(g[at[0] + k] * (g[at[1] + k] - g[at[2] + k]));
        double p = 1 / (1 + exp(s));                        /* that they are ranked the wrong way */
        loss += s > 0 ? log1p(exp(-s)) : log1p(exp(s)) - s;
        float w = (float)(-p / (double)batch);
        for (int64_t k = 0; k < dims; k++) {
            dg[at[0] + k] += w * (g[at[1] + k] - g[at[2] + k]);
            dg[at[1] + k] += w * g[at[0] + k];
            dg[at[2] + k] -= w * g[at[0] + k];
        }
    }
    return loss / (double)batch;
}

/* The share of the items kept apart that stand among the first that a user has not taken; `g` NULL: by how many took it. */
static double recall(const task *t, const float *g, int64_t dims)
{
    float *score = room(t->items, sizeof *score);
    double found = 0, all = 0;
    for (int64_t u = 0; u < t->users; u++) {
        if (t->apart[u * APART] < 0)
            continue;
        memset(score, 0, (size_t)t->items * sizeof *score);
        for (int64_t e = 0; !g && e < t->n_taken; e++)
            score[t->item[e]]++;
        for (int64_t i = 0; g && i < t->items; i++)
            for (int64_t k = 0; k < dims; k++)
                score[i] += g[u * dims + k] * g[(t->users + i) * dims + k];
        for (int64_t k = t->ptr[u]; k < t->ptr[u + 1]; k++)
            score[t->item[k]] = -INFINITY;
        for (int k = 0; k < APART; k++) {
            int64_t before = 0;
            for (int64_t i = 0; i < t->items; i++)
                before += score[i] > score[t->apart[u * APART + k]];
            found += before < FIRST;
            all++;
        }
    }
    free(score);
    return all > 0 ? 100 * found / all : 0;
}

/* ---- Training ---------------------------------------------------------------------------------------------------- */

static double train(trainer *t, const settings *s, const task *k, mp_graph *g, uint64_t seed, double *loss, double *found)
{
    int64_t n = k->users + k->items;
    int32_t *id = room(n, sizeof *id);
    float *dg = room(n * s->dims, sizeof *dg);
    int64_t shape[] = { n, s->dims };
    DLTensor cotangent = { .data = dg, .device = { kDLCPU, 0 }, .ndim = 2, .dtype = { kDLFloat, 32, 1 }, .shape = shape };
    dice d = { seed };
    mp_adam adam = MP_ADAM_DEFAULT;
    adam.lr = s->lr;
    adam.weight_decay = s->decay;
    for (int32_t i = 0; i < n; i++)
        id[i] = i;
    trainer_reset(t);
    trainer_layer(t, "LightGCN", (mp_static[]){ MP_DIM("d", s->dims), MP_DIM("users_and_items", n) }, 2);
    bind_ints(t->ctx, t->layer, "id", id, n);
    bind_ints(t->ctx, t->test, "id", id, n);
    trainer_params(t, seed);
    check(t->ctx, mp_bind_grad(t->layer, "g", &cotangent, 0));
    char what[64];
    progress bar;
    snprintf(what, sizeof what, "lightgcn, seed %llu", (unsigned long long)seed);
    progress_begin(&bar, what, s->epochs);
    for (int64_t epoch = 0; epoch < s->epochs; epoch++) {
        loss[epoch] = 0;
        for (int64_t step = 0; step < s->steps; step++) {
            check(t->ctx, mp_forward_train(t->layer, g, seed, &t->tape));
            const float *now = output_floats(t->ctx, t->layer, "g");
            loss[epoch] += rank_loss(&d, k, now, dg, s->dims, s->batch) / (double)s->steps;
            check(t->ctx, mp_backward(t->layer, t->tape));
            check(t->ctx, mp_params_adam(t->params, &adam));
        }
        check(t->ctx, mp_forward(t->test, g));
        found[epoch] = recall(k, output_floats(t->ctx, t->test, "g"), s->dims);
        progress_step(&bar, epoch + 1, "loss %.3f, %.1f %% of what was kept apart", loss[epoch], found[epoch]);
    }
    progress_end(&bar);
    free(id);
    free(dg);
    return found[s->epochs - 1];
}

static void draw(const settings *s, const task *k, const double *loss, const double *found, double score, double famous)
{
    char title[128], subtitle[128];
    double *flat = room(s->epochs, sizeof *flat);
    for (int64_t i = 0; i < s->epochs; i++)
        flat[i] = famous;
    snprintf(title, sizeof title, "LightGCN: recall at %d of %.1f %%", FIRST, score);
    snprintf(subtitle, sizeof subtitle, "%lld users, %lld items, %lld taken", (long long)k->users, (long long)k->items,
             (long long)k->n_taken);
    picture *p = picture_new(title, subtitle);
    picture_panel(p, "ranking loss", "epoch", false);
    picture_line(p, "training", loss, s->epochs);
    picture_panel(p, "found, in %", "epoch", false);
    picture_line(p, "LightGCN", found, s->epochs);
    picture_line(p, "best known", flat, s->epochs);
    picture_write(p, s->common.curve);
    free(flat);
}

int main(int argc, char **argv)
{
    settings s = { .common = { .layers = LAYERS_FILE, .curve = "recommend.svg", .seed = 1, .runs = 1, .expect = NAN },
                   .dims = 32, .epochs = 40, .steps = 20, .batch = 2048, .users = 600, .items = 400, .lr = 0.01, .decay = 1e-5 };
    const option options[] = {
        COMMON_OPTIONS(s.common),
        { "epochs", OPTION_COUNT, &s.epochs, "after each the score is taken" },
        { "steps", OPTION_COUNT, &s.steps, "an epoch" },
        { "batch", OPTION_COUNT, &s.batch, "triples a step" },
        { "dims", OPTION_COUNT, &s.dims, "width of the embeddings" },
        { "lr", OPTION_REAL, &s.lr, "rate of Adam" },
        { "decay", OPTION_REAL, &s.decay, "weight decay" },
        { "users", OPTION_COUNT, &s.users, "that are made" },
        { "items", OPTION_COUNT, &s.items, "that are made" },
        { NULL, OPTION_TEXT, NULL, NULL },
    };
    options_read(argc, argv, "Trains a recommender.", options);
    s.epochs = s.epochs ? s.epochs : 1;

    trainer t;
    task k = { .users = s.users, .items = s.items };
    dice d = { (uint64_t)s.common.seed };
    trainer_open(&t, &s.common);
    if (s.common.data)
        read_pairs(&k, t.ctx, s.common.data);
    else
        make_pairs(&d, &k, 16);
    keep_apart(&d, &k);
    mp_graph *g = make_graph(t.ctx, &k);
    double famous = recall(&k, NULL, 0);
    double *loss = room(s.epochs, sizeof *loss), *found = room(s.epochs, sizeof *found);
    double *scores = room(s.common.runs, sizeof *scores);
    for (int64_t r = 0; r < s.common.runs; r++)
        scores[r] = train(&t, &s, &k, g, (uint64_t)(s.common.seed + r), loss, found);
    printf("the best known items alone: %.2f %%\n", famous);
    double mean = score_summary("recall at 20", scores, s.common.runs, " %");
    draw(&s, &k, loss, found, mean, famous);
    trainer_close(&t, &s.common);
    mp_graph_destroy(g);
    free(k.user);
    free(k.item);
    free(k.ptr);
    free(k.apart);
    free(loss);
    free(found);
    free(scores);
    return score_status(&s.common, mean, false);
}
