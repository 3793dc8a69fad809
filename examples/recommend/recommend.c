/*
 * A step of a recommender: users gather from the films they rated, along edges that carry the stars.
 *
 * The layer is bipartite.mp, the same that a trained recommender would use: mean over the ratings of
 * relu(film @ Wi + stars @ Ws), then an update of the user. Its weights are set by hand here, so that the
 * result can be read: per genre one number for what a user liked and one for what he did not. A film's score
 * for a user is then its genres against these; what he has rated already is left out.
 *
 *     recommend BIPARTITE.mp
 */
#include <stdio.h>
#include <stdlib.h>

#include "mpc.h"

enum { DRAMA, COMEDY, SPACE, CRIME, MUSIC, ANIMATED, GENRES };
static const char *const genre_name[GENRES] = { "drama", "comedy", "space", "crime", "music", "animated" };

/* Films of our own invention, with what is in them. */
typedef struct film { const char *title; float genre[GENRES]; } film;
static const film films[] = {
    { "The Lighthouse Keeper",   { [DRAMA] = 1 } },
    { "Orbit of the Swallow",    { [SPACE] = 1, [DRAMA] = 0.5f } },
    { "Nine Left Gloves",        { [CRIME] = 1 } },
    { "Aunt Ottilie Moves In",   { [COMEDY] = 1 } },
    { "The Cellist of Platform 4", { [MUSIC] = 1, [DRAMA] = 0.5f } },
    { "Snails Can Drive",        { [ANIMATED] = 1, [COMEDY] = 0.5f } },
    { "Docking Manoeuvre",       { [SPACE] = 1 } },
    { "The Second Alibi",        { [CRIME] = 1, [DRAMA] = 0.5f } },
    { "Polka at Midnight",       { [MUSIC] = 1, [COMEDY] = 0.5f } },
    { "A Robot Named Tuesday",   { [ANIMATED] = 1, [SPACE] = 0.5f } },
    { "Heist in C Minor",        { [CRIME] = 0.5f, [MUSIC] = 1 } },
    { "Honeymoon on Ganymede",   { [COMEDY] = 1, [SPACE] = 0.5f } },
};
enum { FILMS = sizeof films / sizeof *films };

/* `likes` is what somebody ticked when signing up: all that is known of Gil, who has rated nothing yet. */
typedef struct user { const char *name; float likes[GENRES]; const char *stars; } user;
static const user users[] = {   /* one digit a film: 1 to 5 stars, a dot for a film not seen */
    { "Ada",  { [SPACE] = 1 },    ".5.2..4..4.." },
    { "Ben",  { 0 },              "4.5...25..2." },
    { "Cleo", { [MUSIC] = 1 },    "...35.1.42.." },
    { "Dov",  { 0 },              "1..5.4.....5" },
    { "Edda", { [ANIMATED] = 1 }, "2....5...4.." },
    { "Fenn", { [CRIME] = 1 },    "3.45..2....." },
    { "Gil",  { [COMEDY] = 1 },   "............" },
};
enum { USERS = sizeof users / sizeof *users, RATINGS = USERS * FILMS };

/* The layer's sizes: a film is its genres and a 1; a user what he ticked; the result is likes, then dislikes.
 */
enum { KI = GENRES + 1, KU = GENRES, D = 2 * GENRES };

typedef struct weights { float Wi[KI][D], Wu[KU][D], Ws[1][D], b[D]; } weights;

/* A message should say: the stars, where the film has the genre, and nothing where it has not. With stars
 * counted from the middle of the scale (-2 .. 2) that is relu(2 genre - 2 + stars); for dislikes the same
 * with -stars. */
static void set_weights(weights *w)
{
    *w = (weights){ 0 };
    for (int g = 0; g < GENRES; g++) {
        for (int sign = 0; sign < 2; sign++) {
            int k = g + sign * GENRES;
            w->Wi[g][k] = 2;
            w->Wi[GENRES][k] = -2;
            w->Ws[0][k] = sign ? -1 : 1;
        }
        w->Wu[g][g] = 0.5f;
    }
}

static void check(const mp_context *ctx, mp_status status)
{
    if (status != MP_OK) {
        fprintf(stderr, "%s\n", mp_error_message(ctx));
        exit((int)status);
    }
}

static void bind(const mp_context *ctx, mp_layer *layer, const char *name, void *data, int64_t rows,
                 int64_t columns)
{
    int64_t shape[] = { rows, columns };
    DLTensor t = { .data = data,
                   .device = { kDLCPU, 0 },
                   .ndim = columns ? 2 : 1,
                   .dtype = { kDLFloat, 32, 1 },
                   .shape = shape };
    check(ctx, mp_bind(layer, name, &t, 0));
}

static float score(const float taste[D], const film *f)
{
    float s = 0;
    for (int g = 0; g < GENRES; g++)
        s += f->genre[g] * (taste[g] - taste[GENRES + g]);
    return s;
}

static void show(const user *u, const float taste[D])
{
    printf("%-5s", u->name);
    for (int sign = 1; sign >= -1; sign -= 2) {
        const char *word = sign > 0 ? " likes" : "; dislikes";
        for (int g = 0; g < GENRES; g++) {
            float t = (float)sign * (taste[g] - taste[GENRES + g]);
            if (t > 0) {
                printf("%s %s %.2f", word, genre_name[g], (double)t);
                word = ",";
            }
        }
    }
    printf("\n");
    char seen[FILMS];
    for (int i = 0; i < FILMS; i++)
        seen[i] = u->stars[i] != '.';
    for (int k = 0; k < 3; k++) {
        int best = -1;
        for (int i = 0; i < FILMS; i++)
            if (!seen[i] && (best < 0 || score(taste, &films[i]) > score(taste, &films[best])))
                best = i;
        if (best < 0)
            break;
        seen[best] = 1;
        printf("      %5.2f  %s\n", (double)score(taste, &films[best]), films[best].title);
    }
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: recommend BIPARTITE.mp\n");
        return 2;
    }
    mp_context *ctx = NULL;
    mp_module *module = NULL;
    mp_layer *layer = NULL;
    mp_graph *ratings = NULL;
    check(ctx, mp_context_create(NULL, &ctx));
    check(ctx, mpc_compile_file(ctx, argv[1], NULL, &module));
    check(ctx, mp_layer_create(module, "Rating", NULL, 0, &layer));

    /* One edge a rating, film -> user; stars counted from the middle of the scale. */
    int32_t film_of[RATINGS], user_of[RATINGS];
    float stars[RATINGS], item[FILMS][KI], who[USERS][KU], taste[USERS][D];
    int64_t n = 0;
    for (int u = 0; u < USERS; u++) {
        for (int i = 0; i < FILMS; i++) {
            if (users[u].stars[i] == '.')
                continue;
            film_of[n] = i;
            user_of[n] = u;
            stars[n++] = (float)(users[u].stars[i] - '3');
        }
        for (int g = 0; g < KU; g++)
            who[u][g] = users[u].likes[g];
    }
    for (int i = 0; i < FILMS; i++)
        for (int g = 0; g < KI; g++)
            item[i][g] = g < GENRES ? films[i].genre[g] : 1;
    check(ctx, mp_graph_from_coo(ctx, FILMS, USERS, n, film_of, user_of, &ratings));

    weights w;
    set_weights(&w);
    bind(ctx, layer, "item", item, FILMS, KI);
    bind(ctx, layer, "user", who, USERS, KU);
    bind(ctx, layer, "stars", stars, n, 0);
    bind(ctx, layer, "Wi", w.Wi, KI, D);
    bind(ctx, layer, "Wu", w.Wu, KU, D);
    bind(ctx, layer, "Ws", w.Ws, 1, D);
    bind(ctx, layer, "b", w.b, D, 0);
    bind(ctx, layer, "g", taste, USERS, D);
    check(ctx, mp_forward(layer, ratings));

    printf("%d users, %d films, %lld ratings: each user's taste, and what to show next\n\n", USERS, FILMS,
           (long long)n);
    for (int u = 0; u < USERS; u++)
        show(&users[u], taste[u]);

    mp_layer_destroy(layer);
    mp_module_destroy(module);
    mp_graph_destroy(ratings);
    mp_context_destroy(ctx);
    return 0;
}
