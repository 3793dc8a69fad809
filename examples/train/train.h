/*
 * What the training examples share: options, a progress bar, pictures of curves, arrays from folders, random numbers,
 * and the few lines that join a layer with its params. Programs, not a library: what goes wrong ends them with a line.
 */
#ifndef EXAMPLES_TRAIN_H
#define EXAMPLES_TRAIN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "mpc.h"

/* ---- options.c: --name VALUE ------------------------------------------------------------------------------------- */

typedef enum option_kind { OPTION_COUNT, OPTION_REAL, OPTION_TEXT } option_kind;    /* int64_t, double, const char * */

typedef struct option {
    const char *name;               /* NULL ends the list */
    option_kind kind;
    void *value;                    /* holds the default before */
    const char *help;
} option;

/* Prints the help or what is wrong, and ends the program, where it must. */
void options_read(int argc, char **argv, const char *about, const option *list);

/* What all the programs take. */
typedef struct common_options {
    const char *data, *layers, *curve, *save;
    int64_t seed, runs, threads;
    double expect;
} common_options;
/* clang-format off */
#define COMMON_OPTIONS(o)                                                                                      \
    { "data", OPTION_TEXT, &(o).data, "a folder of arrays; without it data are made" },                         \
    { "layers", OPTION_TEXT, &(o).layers, "the file with the layer" },                                          \
    { "seed", OPTION_COUNT, &(o).seed, "of params, dropout, and of data that are made" },                       \
    { "runs", OPTION_COUNT, &(o).runs, "repeat with this many seeds, then mean and deviation" },                \
    { "threads", OPTION_COUNT, &(o).threads, "0: all cores" },                                                  \
    { "curve", OPTION_TEXT, &(o).curve, "where the picture goes (SVG); \"\": none" },                           \
    { "save", OPTION_TEXT, &(o).save, "where the params go (.npz or .safetensors)" },                           \
    { "expect", OPTION_REAL, &(o).expect, "exit with 1 when the score is worse than this" }
/* clang-format on */

/* ---- progress.c -------------------------------------------------------------------------------------------------- */

typedef struct progress {
    const char *what;
    int64_t total;
    double start, shown;
    int percent;
    bool terminal;
} progress;

double seconds(void);
void progress_begin(progress *p, const char *what, int64_t total);
/* `done` of total steps; the text says how it stands. On a terminal one line is kept up to date. */
void progress_step(progress *p, int64_t done, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void progress_end(progress *p);

/* Mean and standard deviation of what the runs scored, as "81.53 +- 0.42". Returns the mean. */
double score_summary(const char *what, const double *scores, int64_t n, const char *unit);
/* main's result: is the score what --expect wants? `less` where less is better. */
int score_status(const common_options *o, double score, bool less);

/* ---- picture.c: curves as SVG ------------------------------------------------------------------------------------ */

typedef struct picture picture;
picture *picture_new(const char *title, const char *subtitle);
/* The next panel, beside those before. `logarithmic`: the axis upwards. */
void picture_panel(picture *p, const char *title, const char *across, bool logarithmic);
/* Into the last panel: a line through y[0..n), or points (x, y). Copied. */
void picture_line(picture *p, const char *name, const double *y, int64_t n);
void picture_points(picture *p, const char *name, const double *x, const double *y, int64_t n);
/* Writes and frees; an empty path only frees. */
void picture_write(picture *p, const char *path);

/* ---- folder.c: arrays of a folder -------------------------------------------------------------------------------- */

bool folder_has(const char *folder, const char *name);
/* Of any integer type or bool. malloc'ed; ends the program when there is none. */
int32_t *folder_ints(mp_context *ctx, const char *folder, const char *name, int64_t *n);
/* NAME.npy, or NAME_indptr.npy and so on: rows of numbers. */
float *folder_rows(mp_context *ctx, const char *folder, const char *name, int64_t *rows, int64_t *columns);

/* ---- random.c ---------------------------------------------------------------------------------------------------- */

typedef struct dice { uint64_t state; } dice;
uint64_t dice_bits(dice *d);
double dice_unit(dice *d);                  /* in [0, 1) */
int64_t dice_below(dice *d, int64_t n);
double dice_normal(dice *d);
void dice_shuffle(dice *d, int32_t *list, int64_t n);

/* ---- papers.c: a graph of papers ---------------------------------------------------------------------------------- */

typedef struct papers {
    int64_t n, n_edges, features, classes;
    int32_t *src, *dst, *y;
    float *x, *mask[3];                     /* rows of words; mask: training, validation, test */
} papers;

/* `labels` papers of each field are for training, a third of the others for validation. */
void papers_make(papers *t, uint64_t seed, int64_t n, int64_t labels);
/* x (or its sparse rows), edge_src, edge_dst, y, train_mask, val_mask, test_mask. */
void papers_read(papers *t, mp_context *ctx, const char *folder);
/* As is usual: each row of words sums to 1; rows without words stay zero. */
void papers_normalise(papers *t);
void papers_free(papers *t);

/* ---- trainer.c: a layer with its params -------------------------------------------------------------------------- */

void *room(int64_t n, size_t size);         /* zeroed, never NULL */
void check(const mp_context *ctx, mp_status status);

typedef struct trainer {
    mp_context *ctx;
    mp_module *module;
    mp_layer *layer, *test;         /* the same params; `test` is bound to the data that scores are taken on */
    mp_params *params;
    mp_tape *tape;
    float one;                      /* the cotangent of the loss */
} trainer;

void trainer_open(trainer *t, const common_options *o);
/* The layer, twice; statics as for mp_layer_create. Params come with trainer_params, when all inputs are bound. */
void trainer_layer(trainer *t, const char *name, const mp_static *statics, int n);
void trainer_params(trainer *t, uint64_t seed);
/* Forward and backward from the output `loss`; its value. Gradients are in the params then. */
double trainer_step(trainer *t, mp_graph *g, uint64_t seed);
/* Drops layer and params, for the next run. */
void trainer_reset(trainer *t);
void trainer_close(trainer *t, const common_options *o);

/* columns < 0: one number a row; rows < 0: none (a global value). */
void bind_floats(mp_context *ctx, mp_layer *l, const char *name, const float *data, int64_t rows, int64_t columns, unsigned flags);
void bind_ints(mp_context *ctx, mp_layer *l, const char *name, const int32_t *data, int64_t rows);
const float *output_floats(mp_context *ctx, mp_layer *l, const char *name);

/* Of the rows that `mask` marks: the share whose greatest of `classes` logits is that of y, and the mean cross entropy. */
double accuracy(const float *logits, const int32_t *y, const float *mask, int64_t n, int64_t classes);
double cross_entropy(const float *logits, const int32_t *y, const float *mask, int64_t n, int64_t classes);
/* Has none of the last ten losses fallen below those before? Where the papers of GCN and its kin stop. */
bool loss_rises(const double *loss, int64_t n);

#endif
