/*
 * Text classification by messages: words are nodes, two words of one sentence are joined by an edge, and how
 * alike their embeddings are weighs what they tell each other. Two words a topic are labelled;
 * label_propagation.mp spreads that over the rest until nothing moves. Sentences that were kept apart then
 * get the topic that their words speak for.
 *
 *     text LABEL_PROPAGATION.mp SENTENCES.txt
 *
 * A line of the file is "topic: sentence", or "topic? sentence" for one that is kept apart; topics before the
 * colon are only used to count how many of the latter came out right.
 */
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "embed.h"
#include "mpc.h"

enum { TOPICS = 4, LABELS = 2, DIMS = 16, BAR = 24 };
enum { MAX_WORDS = 512, MAX_SENTENCES = 256, MAX_LENGTH = 32, LETTERS = 20 };

static const char *const topic_name[TOPICS] = { "weather", "cooking", "sport", "music" };
static const char *const label[TOPICS][LABELS] = {
    { "rain", "sun" }, { "butter", "soup" }, { "team", "race" }, { "song", "concert" }
};

/* Words that say nothing about a topic. */
static const char stop_words[] =
    " a after again all an and any are as at away be before came come comes coming for from full gave "
    "goes good had hardly has have he her his in into is it last let light made make mean new no of on "
    "or our out over put said says set she so that the them then there they this three to tonight too "
    "two until us was we well were when will with without who would ";

typedef struct sentence {
    int topic;
    bool apart;                             /* not part of the graph: to be classified */
    int n, word[MAX_LENGTH];
    char text[128];
} sentence;

typedef struct corpus {
    int n_words, n_sentences;
    char word[MAX_WORDS][LETTERS];
    sentence sentence[MAX_SENTENCES];
} corpus;

static void check(const mp_context *ctx, mp_status status)
{
    if (status != MP_OK) {
        fprintf(stderr, "text: %s\n", mp_error_message(ctx));
        exit((int)status);
    }
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* The number of a word, -1 where it has none; a new one if `add` says so. */
static int word_number(corpus *c, const char *w, bool add)
{
    for (int i = 0; i < c->n_words; i++)
        if (!strcmp(c->word[i], w))
            return i;
    if (!add || c->n_words == MAX_WORDS)
        return -1;
    strcpy(c->word[c->n_words], w);
    return c->n_words++;
}

static void read_words(corpus *c, sentence *s, const char *text)
{
    for (const char *p = text; *p;) {
        char w[LETTERS + 2] = " ";
        int n = 1;
        for (; isalpha((unsigned char)*p); p++)
            if (n < LETTERS - 1)
                w[n++] = (char)tolower((unsigned char)*p);
        if (n > 1) {
            w[n] = ' ';
            bool stop = strstr(stop_words, w) != NULL;
            w[n] = 0;
            int i = stop ? -1 : word_number(c, w + 1, !s->apart);
            if (i >= 0 && s->n < MAX_LENGTH)
                s->word[s->n++] = i;
        } else {
            p++;
        }
    }
}

static bool read_sentence(corpus *c, char *line)
{
    size_t topic_length = strcspn(line, ":?");
    if (!line[topic_length] || c->n_sentences == MAX_SENTENCES)
        return false;
    sentence *s = &c->sentence[c->n_sentences++];
    s->apart = line[topic_length] == '?';
    s->topic = -1;
    for (int t = 0; t < TOPICS; t++)
        if (strlen(topic_name[t]) == topic_length && !strncmp(line, topic_name[t], topic_length))
            s->topic = t;
    snprintf(s->text, sizeof s->text, "%s", line + topic_length + 2);
    s->text[strcspn(s->text, "\n")] = 0;
    read_words(c, s, s->text);
    return true;
}

static bool read_corpus(corpus *c, const char *path)
{
    char line[512];
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    while (fgets(line, sizeof line, f))
        if (line[0] != '\n' && !read_sentence(c, line))
            break;
    bool whole = feof(f) != 0;
    fclose(f);
    return whole;
}

/* How often two words stand in one sentence. */
static void count_pairs(const corpus *c, float *together)
{
    for (int k = 0; k < c->n_sentences; k++) {
        const sentence *s = &c->sentence[k];
        for (int a = 0; a < s->n && !s->apart; a++)
            for (int b = 0; b < s->n; b++)
                if (s->word[a] != s->word[b])
                    together[s->word[a] * c->n_words + s->word[b]]++;
    }
}

/* ---- The layer ------------------------------------------------------------------------------- */

static mp_graph *word_graph(mp_context *ctx, const float *together, int n)
{
    int32_t *src = calloc((size_t)n * (size_t)n + 1, sizeof *src),
            *dst = calloc((size_t)n * (size_t)n + 1, sizeof *dst);
    if (!src || !dst)
        exit(3);
    int64_t n_edges = 0;
    for (int32_t i = 0; i < n; i++)
        for (int32_t j = 0; j < n; j++)
            if (together[i * n + j] > 0) {
                src[n_edges] = i;
                dst[n_edges++] = j;
            }
    mp_graph *g = NULL;
    check(ctx, mp_graph_from_coo(ctx, n, n, n_edges, src, dst, &g));
    free(src);
    free(dst);
    return g;
}

static void bind(const mp_context *ctx, mp_layer *layer, const char *name, float *data, int64_t rows,
                 int64_t columns)
{
    int64_t shape[] = { rows, columns };
    DLTensor t = {
        .data = data, .device = { kDLCPU, 0 }, .ndim = 2, .dtype = { kDLFloat, 32, 1 }, .shape = shape
    };
    check(ctx, mp_bind(layer, name, &t, 0));
}

static void classify_words(const char *path, corpus *c, const float *together, float *embedding,
                           float *probability)
{
    mp_context *ctx = NULL;
    mp_module *module = NULL;
    mp_layer *layer = NULL;
    check(ctx, mp_context_create(NULL, &ctx));
    check(ctx, mpc_compile_file(ctx, path, NULL, &module));
    check(ctx, mp_layer_create(module, "TextClassifier", NULL, 0, &layer));
    mp_graph *g = word_graph(ctx, together, c->n_words);

    float *prior = calloc((size_t)c->n_words + 1, TOPICS * sizeof *prior);
    if (!prior)
        exit(3);
    for (int t = 0; t < TOPICS; t++) {
        for (int k = 0; k < LABELS; k++) {
            int i = word_number(c, label[t][k], false);
            if (i >= 0)
                prior[i * TOPICS + t] = 1;
        }
    }
    bind(ctx, layer, "embedding", embedding, c->n_words, DIMS);
    bind(ctx, layer, "prior", prior, c->n_words, TOPICS);
    bind(ctx, layer, "probability", probability, c->n_words, TOPICS);
    check(ctx, mp_forward(layer, g));

    mp_iteration loop = { .size = sizeof loop };
    check(ctx, mp_layer_iteration(layer, 0, &loop));
    printf("%d words, %lld edges; %d words a topic labelled; settled after %lld steps (last change %.1g)\n\n",
           c->n_words, (long long)mp_graph_num_edges(g), LABELS, (long long)loop.steps, loop.change);

    free(prior);
    mp_layer_destroy(layer);
    mp_module_destroy(module);
    mp_graph_destroy(g);
    mp_context_destroy(ctx);
}

/* ---- Showing --------------------------------------------------------------------------------- */

static int best_topic(const float p[TOPICS])
{
    int best = 0;
    for (int t = 1; t < TOPICS; t++)
        best = p[t] > p[best] ? t : best;
    return best;
}

/* A bar of one letter a topic, coloured on a terminal. */
static void bar(const float p[TOPICS])
{
    static const char *const code[TOPICS] = { "\033[38;5;39m", "\033[38;5;208m", "\033[38;5;35m",
                                              "\033[38;5;170m" };
    bool color = isatty(STDOUT_FILENO);
    float sum = 0;
    int drawn = 0;
    for (int t = 0; t < TOPICS; t++) {
        sum += p[t];
        fputs(color ? code[t] : "", stdout);
        for (; drawn < (int)(sum * BAR + 0.5f); drawn++)
            fputs(color ? "█" : (char[]){ topic_name[t][0], 0 }, stdout);
        fputs(color ? "\033[0m" : "", stdout);
    }
    printf("%*s", BAR - drawn, "");
}

static void show_word(const corpus *c, int word, const float p[TOPICS])
{
    bool labelled = false;
    for (int t = 0; t < TOPICS; t++)
        for (int k = 0; k < LABELS; k++)
            labelled |= !strcmp(c->word[word], label[t][k]);
    printf("    %-12s ", c->word[word]);
    bar(p);
    for (int t = 0; t < TOPICS; t++)
        printf("  %s %3.0f %%", topic_name[t], (double)p[t] * 100);
    printf("%s\n", labelled ? "  (labelled)" : "");
}

/* The words of a topic of which it is surest; with topic -1 those of all topics of which it is least sure. */
static void show_words(const corpus *c, const float *probability, int topic, int shown)
{
    bool seen[MAX_WORDS] = { false };
    printf("%s\n", topic < 0 ? "between topics" : topic_name[topic]);
    for (int k = 0; k < shown; k++) {
        int best = -1;
        float best_score = 0;
        for (int i = 0; i < c->n_words; i++) {
            const float *p = &probability[i * TOPICS];
            int t = best_topic(p);
            float score = topic < 0 ? -p[t] : p[t];
            if (!seen[i] && (topic < 0 || t == topic) && (best < 0 || score > best_score)) {
                best = i;
                best_score = score;
            }
        }
        if (best < 0)
            break;
        seen[best] = true;
        show_word(c, best, &probability[best * TOPICS]);
    }
}

/* The sentences that the graph has not seen, by the mean of their words. Returns how many are wrong. */
static int show_sentences(const corpus *c, const float *probability)
{
    int wrong = 0;
    printf("\nsentences kept apart\n");
    for (int k = 0; k < c->n_sentences; k++) {
        const sentence *s = &c->sentence[k];
        float p[TOPICS] = { 0 };
        for (int i = 0; i < s->n; i++)
            for (int t = 0; t < TOPICS; t++)
                p[t] += probability[s->word[i] * TOPICS + t] / (float)s->n;
        if (!s->apart)
            continue;
        int t = best_topic(p);
        wrong += t != s->topic;
        printf("    ");
        bar(p);
        printf("  %-8s %s%s\n", topic_name[t], s->text, t == s->topic ? "" : "   (wrong)");
    }
    return wrong;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: text LABEL_PROPAGATION.mp SENTENCES.txt\n");
        return 2;
    }
    corpus *c = calloc(1, sizeof *c);
    if (!c || !read_corpus(c, argv[2])) {
        fprintf(stderr, "text: cannot read '%s'\n", argv[2]);
        return 1;
    }
    size_t n = (size_t)c->n_words;
    float *together = calloc(n * n + 1, sizeof *together),
          *embedding = calloc(n * DIMS + 1, sizeof *embedding);
    float *probability = calloc(n * TOPICS + 1, sizeof *probability);
    if (!together || !embedding || !probability)
        return 3;
    count_pairs(c, together);
    if (!embed(together, c->n_words, DIMS, embedding))
        return 3;
    classify_words(argv[1], c, together, embedding, probability);
    for (int t = 0; t < TOPICS; t++)
        show_words(c, probability, t, 5);
    show_words(c, probability, -1, 12);
    int wrong = show_sentences(c, probability);

    free(together);
    free(embedding);
    free(probability);
    free(c);
    return wrong == 0 ? 0 : 1;
}
