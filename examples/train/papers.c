/*
 * A graph of papers that cite each other, with the words of each and its field: from a folder, or made, so that papers
 * cite mostly their own field and a paper's words are mostly, but not only, those of its field.
 */
#include <stdlib.h>
#include <string.h>

#include "train.h"

enum { WORDS = 400, FIELDS = 6, WORDS_A_PAPER = 14, CITES = 3 };

static void make_words(dice *d, float *row, int32_t field)
{
    for (int k = 0; k < WORDS_A_PAPER; k++) {
        int64_t own = WORDS / FIELDS;
        int64_t w = dice_unit(d) < 0.28 ? field * own + dice_below(d, own) : dice_below(d, WORDS);
        row[w] = 1;
    }
}

/* Every paper cites some of those before it, well cited ones rather than others, its own field four times out of five. */
static void make_edges(dice *d, papers *t)
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

void papers_make(papers *t, uint64_t seed, int64_t n, int64_t labels)
{
    dice d = { seed };
    int64_t labelled[FIELDS] = { 0 };
    *t = (papers){ .n = n, .features = WORDS, .classes = FIELDS };
    t->y = room(n, sizeof *t->y);
    t->x = room(n * WORDS, sizeof *t->x);
    for (int k = 0; k < 3; k++)
        t->mask[k] = room(n, sizeof **t->mask);
    for (int64_t i = 0; i < n; i++) {
        t->y[i] = (int32_t)dice_below(&d, FIELDS);
        make_words(&d, &t->x[i * WORDS], t->y[i]);
        bool train = labelled[t->y[i]] < labels;
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

void papers_read(papers *t, mp_context *ctx, const char *folder)
{
    int64_t n_dst, n_y;
    *t = (papers){ 0 };
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

void papers_normalise(papers *t)
{
    for (int64_t i = 0; i < t->n; i++) {
        float sum = 0;
        for (int64_t k = 0; k < t->features; k++)
            sum += t->x[i * t->features + k];
        for (int64_t k = 0; k < t->features && sum > 0; k++)
            t->x[i * t->features + k] /= sum;
    }
}

void papers_free(papers *t)
{
    free(t->src);
    free(t->dst);
    free(t->y);
    free(t->x);
    for (int k = 0; k < 3; k++)
        free(t->mask[k]);
}
