/* Random programs against the interpreter:
 *
 *     prop [options]
 *
 *     --seed S          the first program (default 1)
 *     --count N         how many (default 1)
 *     --jobs J          processes (default 1)
 *     --passes          compare the IR before and after the passes only
 *     --plan            and plan, but make no code
 *     --grad            the training pass and its gradients, of programs with grad(y, x) in them
 *     --all             every variant of code, instead of two for each program
 *     --require N       fail unless each row of the table, domain, by and per occurred N times
 *     --print           print the program, do nothing else
 *     --file FILE.mp    this program instead of random ones, with more options in a first line "// prop: ..."
 *     -D NAME=VALUE         each of its static arguments
 *     --data SEED, --fill N
 *     --graph KIND      on these kinds of graph (graphs.c)
 *     --keep-going      go on after failures (up to 20)
 *     --no-shrink
 *     --tell            say what was left out, and why it differed
 *     --seconds N       that a program may take (default 60)
 *
 * Workers are processes: one that dies is a finding like any other. What fails is made smaller, and printed with
 * the command that repeats it. Exit status 0; 1 when something differs, or too much was left out.
 */
#include "tests/prop/gen.h"
#include "tests/prop/shrink.h"
#include "tests/prop/trial.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_JOBS = 64, MAX_FAILURES = 20 };

typedef struct options {
    uint64_t seed, count;
    int jobs, require, seconds;
    unsigned what;
    bool print, keep_going, shrink, tell;
    const char *file;
    trial given;                        /* of --file */
    const char *self;
} options;

/* Shared by a worker and the process that watches it. */
typedef struct board {
    uint64_t now;                       /* the program it is at */
    uint64_t verdicts[V_N];
    uint64_t ops[OP_N], features[FEATURES];
    slopes slopes;
    int failed;                         /* of the last program: verdict + 1; the watcher takes it from here */
    char text[4000];
} board;

static bool given_size(options *o, const char *text)
{
    const char *eq = strchr(text, '=');
    if (!eq || o->given.sizes.n == 16)
        return false;
    int i = o->given.sizes.n++;
    o->given.sizes.at[i].name = strndup(text, (size_t)(eq - text));
    o->given.sizes.at[i].real = strpbrk(eq, ".e") != NULL;
    o->given.sizes.at[i].number = strtod(eq + 1, NULL);
    o->given.sizes.at[i].dim = strtoll(eq + 1, NULL, 0);
    return true;
}

static bool given_graph(options *o, const char *name)
{
    for (int k = 0; k < HG_N; k++)
        if (!strcmp(name, graph_kind_name[k]) && o->given.n_graphs < 4) {
            o->given.graphs[o->given.n_graphs++] = k;
            return true;
        }
    return false;
}

static bool parse_options(int argc, char **argv, options *o)
{
    for (int i = 0; i < argc; i++) {
        bool more = i + 1 < argc;
        if (!strcmp(argv[i], "--seed") && more) o->seed = strtoull(argv[++i], NULL, 0);
        else if (!strcmp(argv[i], "--count") && more) o->count = strtoull(argv[++i], NULL, 0);
        else if (!strcmp(argv[i], "--jobs") && more) o->jobs = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--require") && more) o->require = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--passes")) o->what &= TRIAL_GRAD;
        else if (!strcmp(argv[i], "--plan")) o->what = (o->what & TRIAL_GRAD) | TRIAL_PLAN;
        else if (!strcmp(argv[i], "--grad")) o->what |= TRIAL_GRAD;
        else if (!strcmp(argv[i], "--device")) o->what |= TRIAL_DEVICE;
        else if (!strcmp(argv[i], "--all")) o->what |= TRIAL_ALL_VARIANTS;
        else if (!strcmp(argv[i], "--print")) o->print = true;
        else if (!strcmp(argv[i], "--file") && more) o->file = argv[++i];
        else if (!strcmp(argv[i], "--data") && more) o->given.seed = strtoull(argv[++i], NULL, 0);
        else if (!strcmp(argv[i], "--fill") && more) o->given.fill = (fill_kind)atoi(argv[++i]);
        else if (!strcmp(argv[i], "--graph") && more) { if (!given_graph(o, argv[++i])) return false; }
        else if (!strcmp(argv[i], "-D") && more) { if (!given_size(o, argv[++i])) return false; }
        else if (!strcmp(argv[i], "--tell")) o->tell = true;
        else if (!strcmp(argv[i], "--seconds") && more) o->seconds = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--keep-going")) o->keep_going = true;
        else if (!strcmp(argv[i], "--no-shrink")) o->shrink = false;
        else return false;
    }
    return o->jobs >= 1 && o->jobs <= MAX_JOBS;
}

static void add_slopes(slopes *to, const slopes *n)
{
    to->told += n->told;
    to->kinks += n->kinks;
    to->hidden += n->hidden;
}

static void work(const options *o, board *b, uint64_t first, uint64_t step)
{
    for (b->now = first; b->now < o->seed + o->count; b->now += step) {
        arena *mem = arena_new(0);
        buf text = buf_make(NULL), out = buf_make(NULL);
        trial t = {.what = o->what};
        coverage c = {{0}, {0}, {0}};
        gprogram *p = gen_program(mem, b->now, o->what & TRIAL_GRAD);
        gen_print(p, &text);
        trial_choose(&t, b->now);
        trial_of_program(&t, p, buf_text(&text));
        if (o->given.n_graphs) {
            memcpy(t.graphs, o->given.graphs, sizeof t.graphs);
            t.n_graphs = o->given.n_graphs;
        }
        alarm((unsigned)o->seconds);
        verdict v = trial_run(&t, &c, &out);
        alarm(0);
        b->verdicts[v]++;
        if (v == V_LEFT_OUT && o->tell)
            printf("left out, program %llu: %s", (unsigned long long)b->now, buf_text(&out));
        for (int i = 0; i < OP_N; i++)
            b->ops[i] += c.op[i];
        for (int i = 0; i < FEATURES; i++)
            b->features[i] += c.feature[i];
        add_slopes(&b->slopes, &c.slopes);
        arena_free(mem);
        buf_free(&text);
        if (v > V_LEFT_OUT) {
            snprintf(b->text, sizeof b->text, "%s", buf_text(&out));
            b->failed = (int)v + 1;
            fflush(stdout);
            _exit(0);
        }
        buf_free(&out);
    }
    fflush(stdout);
    _exit(0);
}

/* ---- failures ---- */

static void report(const options *o, uint64_t seed, verdict v, const char *text)
{
    printf("\n==== program %llu: %s\n%s", (unsigned long long)seed, verdict_name[v], text);
    fflush(stdout);
    if (o->shrink) {
        buf out = buf_make(NULL);
        shrink_failure(seed, o->what, v, &out);
        fputs(buf_text(&out), stdout);
        buf_free(&out);
    }
    printf("repeat: %s --seed %llu%s%s%s\n", o->self, (unsigned long long)seed, o->what & TRIAL_GRAD ? " --grad" : "",
           o->what & TRIAL_DEVICE ? " --device" : "",
           o->what & TRIAL_CODE ? (o->what & TRIAL_ALL_VARIANTS ? " --all" : "") : o->what & TRIAL_PLAN ? " --plan" : " --passes");
    fflush(stdout);
}

/* ---- the table ---- */

/* Made by the rules of derivatives alone. */
static bool of_derivatives(int op)
{
    return op == OP_ONEHOT_ADD || op == OP_AGG_ARGMAX || op == OP_AGG_ARGMIN || op == OP_POSITION || op == OP_MUL0 || op == OP_STEPS || op == OP_RECORD ||
           op == OP_RECALL;
}

static bool table(const options *o, const board *sum)
{
    bool enough = true, grad = o->what & TRIAL_GRAD;
    uint64_t all = 0;
    for (int v = 0; v < V_N; v++)
        all += sum->verdicts[v];
    printf("\n%llu programs:", (unsigned long long)all);
    for (int v = 0; v < V_N; v++)
        if (sum->verdicts[v])
            printf(" %llu %s", (unsigned long long)sum->verdicts[v], verdict_name[v]);
    printf("\n\nprograms with each operation, before or after the passes:\n");
    for (int i = 0, n = 0; i < OP_N; i++) {
        printf("%-14s%6llu%s", ir_ops[i].text, (unsigned long long)sum->ops[i], ++n % 5 ? "  " : "\n");
        enough = enough && ((!grad && of_derivatives(i)) || sum->ops[i] >= (uint64_t)o->require);
    }
    printf("\n\nand with:\n");
    for (int i = 0; feature_name[i]; i++) {
        printf("%-14s%6llu%s", feature_name[i], (unsigned long long)sum->features[i], (i + 1) % 5 ? "  " : "\n");
        enough = enough && ((!grad && !strcmp(feature_name[i], "grad(")) || sum->features[i] >= (uint64_t)o->require);
    }
    printf("\n");
    if (grad)
        printf("gradients against differences: %llu directions; %llu more at kinks, %llu past a stop_gradient in a loop\n",
               (unsigned long long)sum->slopes.told, (unsigned long long)sum->slopes.kinks, (unsigned long long)sum->slopes.hidden);
    if (!enough)
        printf("some occurred fewer than %d times\n", o->require);
    if (sum->verdicts[V_LEFT_OUT] * 20 > all) {
        printf("more than 5 %% were left out\n");
        enough = false;
    }
    return enough;
}

/* The options in a first line "// prop: ...", cut in place. */
static bool options_of_text(char *text, options *o)
{
    char *words[64], *end = strchr(text, '\n');
    int n = 0;
    if (strncmp(text, "// prop:", 8) || !end)
        return true;
    *end = 0;
    for (char *w = strtok(text + 8, " "); w && n < 64; w = strtok(NULL, " "))
        words[n++] = w;
    bool fine = parse_options(n, words, o);
    memset(text, ' ', (size_t)(end - text));
    *end = '\n';
    return fine;
}

static int run_file(options *o)
{
    buf text = buf_make(NULL), out = buf_make(NULL);
    FILE *f = fopen(o->file, "rb");
    char part[4096];
    if (!f) {
        fprintf(stderr, "%s cannot be read\n", o->file);
        return 2;
    }
    for (size_t n; (n = fread(part, 1, sizeof part, f)) > 0;)
        buf_write(&text, part, n);
    fclose(f);
    char *first = strdup(buf_text(&text)), *newline = first ? strchr(first, '\n') : NULL;
    if (newline)
        newline[1] = 0;
    if (!first || !options_of_text(first, o)) {
        fprintf(stderr, "%s: options in the first line\n", o->file);
        buf_free(&text);
        free(first);
        return 2;
    }
    trial t = o->given;
    t.text = buf_text(&text);
    t.what = o->what;
    if (!t.n_graphs)
        t.graphs[t.n_graphs++] = HG_TINY;
    verdict v = trial_run(&t, NULL, &out);
    printf("%s%s\n", buf_text(&out), verdict_name[v]);
    buf_free(&out);
    buf_free(&text);
    free(first);
    return v > V_LEFT_OUT;
}

int main(int argc, char **argv)
{
    options o = {.seed = 1, .count = 1, .jobs = 1, .what = TRIAL_PLAN | TRIAL_CODE, .shrink = true, .seconds = 60, .self = argv[0]};
    if (!parse_options(argc - 1, argv + 1, &o)) {
        fprintf(stderr, "usage: prop [--seed S] [--count N] [--jobs J] [--passes|--plan|--all] [--grad] [--device] [--require N] [--print] [--keep-going] [--no-shrink] [--tell]\n");
        return 2;
    }
    if (o.print) {
        arena *mem = arena_new(0);
        buf text = buf_make(NULL);
        gen_print(gen_program(mem, o.seed, o.what & TRIAL_GRAD), &text);
        fputs(buf_text(&text), stdout);
        buf_free(&text);
        arena_free(mem);
        return 0;
    }
    if (o.file) {
        int status = run_file(&o);
        for (int i = 0; i < o.given.sizes.n; i++)
            free((char *)(uintptr_t)o.given.sizes.at[i].name);
        return status;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    board *boards = mmap(NULL, sizeof *boards * MAX_JOBS, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pids[MAX_JOBS];
    uint64_t next[MAX_JOBS];
    int running = 0, failures = 0;
    for (int j = 0; j < o.jobs; j++, running++) {
        next[j] = o.seed + (uint64_t)j;
        if (!(pids[j] = fork()))
            work(&o, &boards[j], next[j], (uint64_t)o.jobs);
    }
    while (running) {
        int status;
        pid_t pid = wait(&status);
        int j = 0;
        while (j < o.jobs && pids[j] != pid)
            j++;
        if (j == o.jobs)
            break;
        running--;
        board *b = &boards[j];
        bool died = !WIFEXITED(status) || WEXITSTATUS(status);
        if (!died && !b->failed)
            continue;
        failures++;
        char why[100];
        snprintf(why, sizeof why, died && WIFSIGNALED(status) ? "signal %d\n" : "exit status %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        if (died)
            b->verdicts[V_CRASH]++;
        report(&o, b->now, died ? V_CRASH : (verdict)(b->failed - 1), died ? why : b->text);
        b->failed = 0;
        next[j] = b->now + (uint64_t)o.jobs;
        if (o.keep_going && failures < MAX_FAILURES && next[j] < o.seed + o.count) {
            running++;
            if (!(pids[j] = fork()))
                work(&o, b, next[j], (uint64_t)o.jobs);
        }
    }
    board sum = {0};
    for (int j = 0; j < o.jobs; j++) {
        for (int i = 0; i < V_N; i++) sum.verdicts[i] += boards[j].verdicts[i];
        for (int i = 0; i < OP_N; i++) sum.ops[i] += boards[j].ops[i];
        for (int i = 0; i < FEATURES; i++) sum.features[i] += boards[j].features[i];
        add_slopes(&sum.slopes, &boards[j].slopes);
    }
    bool fine = table(&o, &sum);
    return fine && !failures ? 0 : 1;
}
