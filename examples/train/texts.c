/*
 * Classes of texts: words and documents are the nodes of one graph, and what is learned about some documents spreads over
 * the words to the others (Yao, Mao, Luo: Graph Convolutional Networks for Text Classification, AAAI 2019).
 *
 *     train_texts                            on sentences of four topics, a dozen of them kept apart
 *     train_texts --data FOLDER              (a folder such as R8's: docs/accuracy.md)
 *
 * A word weighs in a document how often it stands there times how few documents have it (tf-idf); two words are joined
 * where they stand near each other more often than chance would have it, by how much (pointwise mutual information).
 */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train.h"

typedef struct corpus {
    int64_t n_docs, n_words, classes;
    int32_t *ptr, *word;            /* document k has the words word[ptr[k]] .. */
    int32_t *y;
    uint8_t *part;                  /* 0 training, 1 validation, 2 test */
    char **text, **topic;           /* of sentences; else NULL */
} corpus;

typedef struct edges {
    int64_t n, room;
    int32_t *src, *dst;
    float *w;
} edges;

typedef struct settings {
    common_options common;
    const char *sentences;
    int64_t hidden, epochs, window, least;
    double lr, drop;
} settings;

/* ---- A folder ---------------------------------------------------------------------------------------------------- */

static void read_folder(corpus *c, mp_context *ctx, const char *folder)
{
    static const char *const names[3] = { "train_mask", "val_mask", "test_mask" };
    int64_t n_ptr, n_tokens, n;
    *c = (corpus){ 0 };
    c->word = folder_ints(ctx, folder, "x_id", &n_tokens);
    c->ptr = folder_ints(ctx, folder, "graph_ptr", &n_ptr);
    c->y = folder_ints(ctx, folder, "y", &c->n_docs);
    if (n_ptr != c->n_docs + 1 || c->ptr[c->n_docs] != n_tokens) {
        fprintf(stderr, "%s: its arrays do not go together\n", folder);
        exit(1);
    }
    c->part = room(c->n_docs, 1);
    for (int k = 0; k < 3; k++) {
        int32_t *bits = folder_ints(ctx, folder, names[k], &n);
        for (int64_t i = 0; i < c->n_docs && i < n; i++)
            c->part[i] = bits[i] ? (uint8_t)k : c->part[i];
        free(bits);
    }
    for (int64_t i = 0; i < n_tokens; i++)
        c->n_words = c->word[i] >= c->n_words ? c->word[i] + 1 : c->n_words;
    for (int64_t i = 0; i < c->n_docs; i++)
        c->classes = c->y[i] >= c->classes ? c->y[i] + 1 : c->classes;
}

/* ---- Sentences: "topic: text", "topic? text" for one that is kept apart ------------------------------------------- */

enum { MOST_SENTENCES = 2000, MOST_TOKENS = 60000, MOST_TOPICS = 32, LETTERS = 24 };

static int32_t number_of(const char *name, size_t n, char (*names)[LETTERS], int64_t *count, int64_t most)
{
    n = n < LETTERS - 1 ? n : LETTERS - 1;
    for (int64_t i = 0; i < *count; i++) {
        if (strlen(names[i]) == n && !strncasecmp(names[i], name, n))
            return (int32_t)i;
    }
    if (*count == most)
        return (int32_t)(most - 1);
    for (size_t i = 0; i < n; i++)
        names[*count][i] = (char)tolower((unsigned char)name[i]);
    return (int32_t)(*count)++;
}

static void read_words(corpus *c, const char *text, char (*words)[LETTERS])
{
    int32_t at = c->ptr[c->n_docs];
    for (const char *p = text; *p;) {
        size_t n = 0;
        while (isalpha((unsigned char)p[n]))
            n++;
        if (n > 1 && at < MOST_TOKENS)
            c->word[at++] = number_of(p, n, words, &c->n_words, MOST_TOKENS);
        p += n ? n : 1;
    }
    c->ptr[c->n_docs + 1] = at;
}

static void read_sentences(corpus *c, const char *path)
{
    char line[1024], (*words)[LETTERS] = room(MOST_TOKENS, LETTERS), (*topics)[LETTERS] = room(MOST_TOPICS, LETTERS);
    FILE *f = fopen(path, "r");
    if (!f) {
        fprintf(stderr, "%s: cannot be read\n", path);
        exit(1);
    }
    *c = (corpus){ .ptr = room(MOST_SENTENCES + 1, sizeof *c->ptr), .word = room(MOST_TOKENS, sizeof *c->word),
                   .y = room(MOST_SENTENCES, sizeof *c->y), .part = room(MOST_SENTENCES, 1),
                   .text = room(MOST_SENTENCES, sizeof *c->text), .topic = room(MOST_TOPICS, sizeof *c->topic) };
    while (c->n_docs < MOST_SENTENCES && fgets(line, sizeof line, f)) {
        size_t n = strcspn(line, ":?");
        line[strcspn(line, "\n")] = 0;
        if (!line[0] || !line[n])
            continue;
        c->part[c->n_docs] = line[n] == '?' ? 2 : c->n_docs % 6 == 5;
        c->y[c->n_docs] = number_of(line, n, topics, &c->classes, MOST_TOPICS);
        c->text[c->n_docs] = strdup(line + n + 2);
        read_words(c, line + n + 1, words);
        c->n_docs++;
    }
    fclose(f);
    for (int64_t k = 0; k < c->classes; k++)
        c->topic[k] = strdup(topics[k]);
    free(words);
    free(topics);
}

/* ---- The graph --------------------------------------------------------------------------------------------------- */

static void join(edges *e, int64_t a, int64_t b, double w)
{
    if (e->n + 2 > e->room) {
        e->room = 2 * e->room + 1024;
        e->src = realloc(e->src, (size_t)e->room * sizeof *e->src);
        e->dst = realloc(e->dst, (size_t)e->room * sizeof *e->dst);
        e->w = realloc(e->w, (size_t)e->room * sizeof *e->w);
        if (!e->src || !e->dst || !e->w)
            exit(3);
    }
    e->src[e->n] = e->dst[e->n + 1] = (int32_t)a;
    e->dst[e->n] = e->src[e->n + 1] = (int32_t)b;
    e->w[e->n] = e->w[e->n + 1] = (float)w;
    e->n += 2;
}

static void join_documents(edges *e, const corpus *c)
{
    int32_t *docs = room(c->n_words, sizeof *docs), *here = room(c->n_words, sizeof *here);
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t k = 0; k < c->n_docs; k++) {
            for (int64_t i = c->ptr[k]; i < c->ptr[k + 1]; i++)
                here[c->word[i]]++;
            for (int64_t i = c->ptr[k]; i < c->ptr[k + 1]; i++) {
                int32_t w = c->word[i];
                if (!here[w])
                    continue;
                if (pass == 0)
                    docs[w]++;
                else if (docs[w] < c->n_docs)
                    join(e, w, c->n_words + k, here[w] * log((double)c->n_docs / docs[w]));
                here[w] = 0;
            }
        }
    }
    free(docs);
    free(here);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Every two words less than `window` places apart count once. */
static void join_words(edges *e, const corpus *c, int64_t window, int64_t least)
{
    int64_t n = 0, all = 0;
    for (int64_t k = 0; k < c->n_docs; k++)
        n += (c->ptr[k + 1] - c->ptr[k]) * (window - 1);
    uint64_t *pair = room(n, sizeof *pair);
    double *count = room(c->n_words, sizeof *count);
    n = 0;
    for (int64_t k = 0; k < c->n_docs; k++) {
        for (int64_t i = c->ptr[k]; i < c->ptr[k + 1]; i++) {
            for (int64_t j = i + 1; j < c->ptr[k + 1] && j < i + window; j++) {
                uint64_t a = (uint64_t)c->word[i], b = (uint64_t)c->word[j];
                if (a == b)
                    continue;
                pair[n++] = a < b ? a << 32 | b : b << 32 | a;
                count[a]++;
                count[b]++;
                all += 2;
            }
        }
    }
    qsort(pair, (size_t)n, sizeof *pair, by_value);
    for (int64_t i = 0, end; i < n; i = end) {
        for (end = i; end < n && pair[end] == pair[i]; end++)
            continue;
        int64_t a = (int64_t)(pair[i] >> 32), b = (int64_t)(pair[i] & 0xffffffff);
        double pmi = log((double)(end - i) * (double)all / (count[a] * count[b]));
        if (end - i >= least && pmi > 0)
            join(e, a, b, pmi);
    }
    free(pair);
    free(count);
}

/* ---- Training ---------------------------------------------------------------------------------------------------- */

typedef struct nodes {              /* words first, then documents */
    int64_t n;
    int32_t *id, *y;
    float *mask[3];
} nodes;

typedef struct history { double *loss, *apart, *right, *right_test; int64_t n; } history;

static void open_layer(trainer *t, const settings *s, const corpus *c, const nodes *k, const edges *e)
{
    trainer_layer(t, "TextGCN", (mp_static[]){ MP_DIM("nodes", k->n), MP_DIM("hidden", s->hidden), MP_DIM("classes", c->classes),
                                               MP_REAL("drop", s->drop) }, 4);
    mp_layer *both[2] = { t->layer, t->test };
    for (int i = 0; i < 2; i++) {
        bind_ints(t->ctx, both[i], "id", k->id, k->n);
        bind_ints(t->ctx, both[i], "y", k->y, k->n);
        bind_floats(t->ctx, both[i], "mask", k->mask[0], k->n, -1, 0);
        bind_floats(t->ctx, both[i], "w", e->w, e->n, -1, MP_CONST);
    }
}

/* Until the validation loss rises, as in the paper. Returns the test score of the last step. */
static double train(trainer *t, const settings *s, const corpus *c, const nodes *k, const edges *e, mp_graph *g, uint64_t seed,
                    history *h)
{
    mp_adam adam = MP_ADAM_DEFAULT;
    adam.lr = s->lr;
    trainer_reset(t);
    open_layer(t, s, c, k, e);
    trainer_params(t, seed);
    double score = 0;
    char what[64];
    progress bar;
    snprintf(what, sizeof what, "textgcn, seed %llu", (unsigned long long)seed);
    progress_begin(&bar, what, s->epochs);
    h->n = 0;
    for (int64_t epoch = 0; epoch < s->epochs && !loss_rises(h->apart, h->n); epoch++) {
        double loss = trainer_step(t, g, seed << 32 | (uint64_t)epoch);
        check(t->ctx, mp_params_adam(t->params, &adam));
        check(t->ctx, mp_forward(t->test, g));
        const float *logits = output_floats(t->ctx, t->test, "logits");
        double apart = cross_entropy(logits, k->y, k->mask[1], k->n, c->classes);
        double right = accuracy(logits, k->y, k->mask[1], k->n, c->classes);
        score = accuracy(logits, k->y, k->mask[2], k->n, c->classes);
        h->loss[h->n] = loss;
        h->apart[h->n] = apart;
        h->right[h->n] = 100 * right;
        h->right_test[h->n++] = 100 * score;
        progress_step(&bar, epoch + 1, "loss %.3f, validation %.1f %%, test %.1f %%", loss, 100 * right, 100 * score);
    }
    progress_end(&bar);
    return 100 * score;
}

/* What was made of the sentences that were kept apart. */
static void show(trainer *t, const corpus *c, mp_graph *g)
{
    check(t->ctx, mp_forward(t->test, g));
    const float *logits = output_floats(t->ctx, t->test, "logits") + c->n_words * c->classes;
    for (int64_t i = 0; i < c->n_docs; i++) {
        int64_t best = 0;
        for (int64_t k = 1; k < c->classes; k++)
            best = logits[i * c->classes + k] > logits[i * c->classes + best] ? k : best;
        if (c->part[i] == 2)
            printf("    %-10s %s%s\n", c->topic[best], c->text[i], best == c->y[i] ? "" : "   (wrong)");
    }
}

static void draw(const settings *s, const corpus *c, const edges *e, const history *h, double score)
{
    char title[128], subtitle[128];
    snprintf(title, sizeof title, "Texts by words: %.1f %% of the test documents", score);
    snprintf(subtitle, sizeof subtitle, "%lld documents and %lld words joined by %lld edges", (long long)c->n_docs,
             (long long)c->n_words, (long long)e->n);
    picture *p = picture_new(title, subtitle);
    picture_panel(p, "cross entropy", "epoch", true);
    picture_line(p, "training", h->loss, h->n);
    picture_line(p, "validation", h->apart, h->n);
    picture_panel(p, "right, in %", "epoch", false);
    picture_line(p, "validation", h->right, h->n);
    picture_line(p, "test", h->right_test, h->n);
    picture_write(p, s->common.curve);
}

static void make_nodes(nodes *k, const corpus *c)
{
    *k = (nodes){ .n = c->n_words + c->n_docs };
    k->id = room(k->n, sizeof *k->id);
    k->y = room(k->n, sizeof *k->y);
    for (int i = 0; i < 3; i++)
        k->mask[i] = room(k->n, sizeof **k->mask);
    for (int32_t i = 0; i < k->n; i++) {
        bool word = i < c->n_words;
        k->id[i] = i;
        k->y[i] = word ? -1 : c->y[i - c->n_words];
        if (!word)
            k->mask[c->part[i - c->n_words]][i] = 1;
    }
}

static void drop_corpus(corpus *c)
{
    for (int64_t i = 0; c->text && i < c->n_docs; i++)
        free(c->text[i]);
    for (int64_t i = 0; c->topic && i < c->classes; i++)
        free(c->topic[i]);
    free(c->text);
    free(c->topic);
    free(c->ptr);
    free(c->word);
    free(c->y);
    free(c->part);
}

int main(int argc, char **argv)
{
    settings s = { .common = { .layers = LAYERS_FILE, .curve = "texts.svg", .seed = 1, .runs = 1, .expect = NAN },
                   .sentences = SENTENCES_FILE, .window = 20, .least = 2, .lr = 0.02, .drop = 0.5 };
    const option options[] = {
        COMMON_OPTIONS(s.common),
        { "sentences", OPTION_TEXT, &s.sentences, "a file of lines \"topic: text\", \"topic? text\" for the test" },
        { "epochs", OPTION_COUNT, &s.epochs, "at most, unless the validation loss rises; 0: 200 for a folder, else 60" },
        { "hidden", OPTION_COUNT, &s.hidden, "width; 0: 200 for a folder, else 32" },
        { "window", OPTION_COUNT, &s.window, "words less than this apart stand together" },
        { "least", OPTION_COUNT, &s.least, "times that words of a folder stand together to be joined" },
        { "lr", OPTION_REAL, &s.lr, "rate of Adam" },
        { "drop", OPTION_REAL, &s.drop, "dropout" },
        { NULL, OPTION_TEXT, NULL, NULL },
    };
    options_read(argc, argv, "Trains a classifier of texts.", options);
    s.epochs = s.epochs ? s.epochs : s.common.data ? 200 : 60;
    s.hidden = s.hidden ? s.hidden : s.common.data ? 200 : 32;
    s.window = s.window ? s.window : 1;

    trainer t;
    corpus c;
    nodes k;
    edges e = { 0 };
    mp_graph *g = NULL;
    trainer_open(&t, &s.common);
    if (s.common.data)
        read_folder(&c, t.ctx, s.common.data);
    else
        read_sentences(&c, s.sentences);
    make_nodes(&k, &c);
    join_documents(&e, &c);
    join_words(&e, &c, s.window, s.common.data ? s.least : 1);
    check(t.ctx, mp_graph_from_coo(t.ctx, k.n, k.n, e.n, e.src, e.dst, &g));
    printf("%lld documents, %lld words, %lld edges\n", (long long)c.n_docs, (long long)c.n_words, (long long)e.n);
    history h = { room(s.epochs, sizeof(double)), room(s.epochs, sizeof(double)), room(s.epochs, sizeof(double)),
                  room(s.epochs, sizeof(double)), 0 };
    double *scores = room(s.common.runs, sizeof *scores);
    for (int64_t r = 0; r < s.common.runs; r++)
        scores[r] = train(&t, &s, &c, &k, &e, g, (uint64_t)(s.common.seed + r), &h);
    if (c.text)
        show(&t, &c, g);
    double mean = score_summary("test accuracy", scores, s.common.runs, " %");
    draw(&s, &c, &e, &h, mean);
    trainer_close(&t, &s.common);
    mp_graph_destroy(g);
    drop_corpus(&c);
    free(k.id);
    free(k.y);
    for (int i = 0; i < 3; i++)
        free(k.mask[i]);
    free(e.src);
    free(e.dst);
    free(e.w);
    free(h.loss);
    free(h.apart);
    free(h.right);
    free(h.right_test);
    free(scores);
    return score_status(&s.common, mean, false);
}
