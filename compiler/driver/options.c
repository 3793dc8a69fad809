/* Reading of the command line: see options.h. */
#include "compiler/driver/options.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef enum option_id {
#define GROUP(title)
#define OPTION(id, text, argument, commands, help) OPT_##id,
#include "compiler/driver/options.def"
#undef OPTION
#undef GROUP
    OPT_COUNT
} option_id;

typedef struct option_row { const char *group; const char *text, *argument, *commands, *help; int id; } option_row;

static const option_row rows[] = {
#define GROUP(title) {title, NULL, NULL, NULL, NULL, -1},
#define OPTION(id, text, argument, commands, help) {NULL, text, argument, commands, help, OPT_##id},
#include "compiler/driver/options.def"
#undef OPTION
#undef GROUP
};
enum { N_ROWS = sizeof rows / sizeof *rows };

static const struct { const char *name; char letter; const char *usage; const char *what; } commands[] = {
    [CMD_COMPILE] = {"", 'C', "layer.mp -o layer.so", "compile ahead of time to a shared library"},
    [CMD_RUN] = {"run", 'R', "layer.mp --graph SPEC", "compile in memory (or take a layer.so), run on a graph, write the outputs"},
    [CMD_BENCH] = {"bench", 'B', "layer.mp --graph SPEC", "the same, timed"},
    [CMD_CHECK] = {"check", 'K', "layer.mp [--graph SPEC]", "derivatives against differences, code against the reference interpreter"},
    [CMD_FMT] = {"fmt", 'F', "layer.mp", "format"},
    [CMD_EXPLAIN] = {"explain", 'X', "layer.mp", "what the compiler did: kernels, what was hoisted and reordered, bytes"},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

__attribute__((format(printf, 3, 4))) static bool wrong(char *err, size_t err_size, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(err, err_size, fmt, args);
    va_end(args);
    return false;
}

/* ---- Values ----------------------------------------------------------------------------------------------------- */

static bool is_name(const char *s, size_t n)
{
    if (!n || (!isalpha((unsigned char)s[0]) && s[0] != '_'))
        return false;
    for (size_t i = 1; i < n; i++)
        if (!isalnum((unsigned char)s[i]) && s[i] != '_' && s[i] != '.')
            return false;
    return true;
}

static bool split(const char *value, named_file *out, char *err, size_t err_size, const char *option)
{
    const char *eq = strchr(value, '=');
    if (!eq || !is_name(value, (size_t)(eq - value)) || !eq[1])
        return wrong(err, err_size, "%s wants NAME=FILE.npy, not '%.100s'", option, value);
    *out = (named_file){.name = strndup(value, (size_t)(eq - value)), .file = eq + 1};
    return out->name || wrong(err, err_size, "out of memory");
}

/* NAME=FILE, or a folder for all. */
static bool out_file(cli_options *o, bool gradient, const char *value, char *err, size_t err_size)
{
    named_file f = {0};
    const char *option = gradient ? "--grad-out" : "--out";
    const char *eq = strchr(value, '=');
    if (eq && is_name(value, (size_t)(eq - value))) {
        if (!split(value, &f, err, err_size, option))
            return false;
    } else if (*value && value[strlen(value) - 1] == '/') {
        f.file = value;
    } else {
        return wrong(err, err_size, "%s wants NAME=FILE.npy, or a folder DIR/ for all, not '%.100s'", option, value);
    }
    return (gradient ? vec_push(NULL, &o->grad_out, f) : vec_push(NULL, &o->out, f)) || wrong(err, err_size, "out of memory");
}

static bool number(const char *text, const char *option, int64_t lo, int64_t hi, int64_t *out, char *err, size_t err_size)
{
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (!*text || *end || errno || v < lo || v > hi)
        return wrong(err, err_size, "%s wants an integer from %lld to %lld, not '%.60s'", option, (long long)lo, (long long)hi, text);
    *out = v;
    return true;
}

static bool real_type(cli_options *o, const char *value, char *err, size_t err_size)
{
    static const struct { const char *name; sem_elem elem; } types[] = {
        {"f32", SEM_F32}, {"f64", SEM_F64}, {"f16", SEM_F16}, {"bf16", SEM_BF16}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(value, types[i].name) == 0) {
            o->real = types[i].elem;
            return true;
        }
    return wrong(err, err_size, "--real is f32, f64, f16 or bf16, not '%.60s'", value);
}

static bool take(cli_options *o, option_id id, const char *value, char *err, size_t err_size)
{
    int64_t n = 0;
    named_file f;
    char *end;
    switch (id) {
    case OPT_OUTPUT: o->output = value; break;
    case OPT_LEVEL:
        if (strlen(value) != 1 || value[0] < '0' || value[0] > '3')
            return wrong(err, err_size, "-O is -O0, -O1, -O2 or -O3, not '-O%.60s'", value);
        o->level = value[0] - '0';
        break;
    case OPT_DEFINE:
        if (!strchr(value, '='))
            return wrong(err, err_size, "-D wants DIM=VALUE, not '%.100s'", value);
        vec_push(NULL, &o->defines, value);
        break;
    case OPT_LAYER: o->layer = value; break;
    case OPT_REAL: return real_type(o, value, err, err_size);
    case OPT_TARGET:
        o->cuda |= strcmp(value, "cuda") == 0;
        o->cpu |= strcmp(value, "cpu") == 0;
        if (strcmp(value, "cuda") != 0 && strcmp(value, "cpu") != 0)
            return wrong(err, err_size, "--target is cpu or cuda, not '%.60s'", value);
        break;
    case OPT_ARCH: vec_push(NULL, &o->arch, value); break;
    case OPT_GRAD: o->grad = value; break;
    case OPT_EMIT: o->emit = value; break;
    case OPT_HEADER:
        o->wants_header = true;
        o->header = value;
        break;
    case OPT_DEPENDS: o->depends = true; break;
    case OPT_WARN:
        o->warn_all |= strcmp(value, "all") == 0;
        o->warn_error |= strcmp(value, "error") == 0;
        if (strcmp(value, "all") != 0 && strcmp(value, "error") != 0)
            return wrong(err, err_size, "-W is -Wall or -Werror, not '-W%.60s'", value);
        break;
    case OPT_DEBUG: o->debug = true; break;
    case OPT_VERIFY: o->verify = true; break;
    case OPT_TIME: o->time = true; break;
    case OPT_NO_CACHE: o->no_cache = true; break;
    case OPT_GRAPH: o->graph = value; break;
    case OPT_WEIGHT: o->weight = value; break;
    case OPT_IN:
        if (!split(value, &f, err, err_size, "--in"))
            return false;
        vec_push(NULL, &o->in, f);
        break;
    case OPT_SEED:
        errno = 0;
        o->seed = strtoull(value, &end, 10);
        if (!isdigit((unsigned char)value[0]) || *end || errno)
            return wrong(err, err_size, "--seed wants a number of at most 64 bits, not '%.60s'", value);
        break;
    case OPT_OUT: return out_file(o, false, value, err, err_size);
    case OPT_COTANGENT:
        if (!split(value, &f, err, err_size, "--cotangent"))
            return false;
        vec_push(NULL, &o->cotangents, f);
        break;
    case OPT_GRAD_OUT: return out_file(o, true, value, err, err_size);
    case OPT_TRAIN: o->train = true; break;
    case OPT_TF32: o->tf32 = true; break;
    case OPT_THREADS:
        if (!number(value, "--threads", 1, 1024, &n, err, err_size))
            return false;
        o->threads = (int)n;
        break;
    case OPT_JSON: o->json = true; break;
    case OPT_BACKWARD: o->backward = true; break;
    case OPT_MIN_TIME:
        o->min_time = strtod(value, &end);
        if (!*value || *end || !(o->min_time >= 0 && o->min_time <= 86400))
            return wrong(err, err_size, "--min-time wants seconds, not '%.60s'", value);
        break;
    case OPT_IN_PLACE: o->in_place = true; break;
    case OPT_CHECK: o->check = true; break;
    case OPT_COLOR:
        if (value && strcmp(value, "always") != 0 && strcmp(value, "never") != 0 && strcmp(value, "auto") != 0)
            return wrong(err, err_size, "--color is always, never or auto, not '%.60s'", value);
        o->color = !value || strcmp(value, "always") == 0 || (strcmp(value, "auto") == 0 && isatty(STDERR_FILENO));
        break;
    case OPT_VERBOSE: o->verbose = true; break;
    case OPT_HELP: o->help = true; break;
    case OPT_VERSION: o->version = true; break;
    case OPT_COUNT: break;
    }
    return true;
}

/* ---- Words ------------------------------------------------------------------------------------------------------ */

/* The row of an argument; *value is what is joined to it, or NULL. */
static const option_row *find_row(const char *arg, const char **value)
{
    bool is_long = arg[1] == '-';
    const option_row *best = NULL;
    for (int i = 0; i < N_ROWS; i++) {
        if (!rows[i].text)
            continue;
        size_t n = strlen(rows[i].text);
        if (strncmp(arg, rows[i].text, n) != 0 || (best && strlen(best->text) > n))
            continue;
        bool whole = !arg[n];
        bool joined = rows[i].argument && (is_long ? arg[n] == '=' : rows[i].text[1] != '-');
        if (!whole && !joined)
            continue;
        best = &rows[i];
        *value = whole ? NULL : arg + n + (is_long ? 1 : 0);
    }
    return best;
}

static bool unknown(const cli_options *o, const char *arg, char *err, size_t err_size)
{
    const char *like = NULL;
    int least = DIAG_NOT_NEAR;
    size_t n = strcspn(arg, "=");
    char *name = strndup(arg, n);
    for (int i = 0; name && i < N_ROWS; i++) {
        if (!rows[i].text || !strchr(rows[i].commands, commands[o->command].letter))
            continue;
        int d = diag_name_distance(name, rows[i].text);
        if (d < least) {
            least = d;
            like = rows[i].text;
        }
    }
    free(name);
    return wrong(err, err_size, "there is no option '%.60s'%s%s%s", arg, like ? "; did you mean '" : "", like ? like : "",
                 like ? "'?" : "");
}

static bool option(cli_options *o, int argc, char **argv, int *i, char *err, size_t err_size)
{
    const char *value = NULL;
    const option_row *r = find_row(argv[*i], &value);
    if (!r)
        return unknown(o, argv[*i], err, err_size);
    if (!strchr(r->commands, commands[o->command].letter)) {
        return wrong(err, err_size, "%s is no option %s%s%s", r->text, o->command ? "of `mpc " : "for compiling: it belongs to `mpc run`",
                     commands[o->command].name, o->command ? "`" : "");
    }
    bool optional = r->argument && r->argument[0] == '=';
    if (r->argument && !optional && !value) {
        if (*i + 1 >= argc)
            return wrong(err, err_size, "%s wants %s", r->text, r->argument);
        value = argv[++*i];
    }
    if (value && !*value)
        return wrong(err, err_size, "%s wants %s", r->text, r->argument + optional);
    return take(o, (option_id)r->id, value, err, err_size);
}

static cli_command command_of(const char *word)
{
    for (int i = 1; i < N_COMMANDS; i++)
        if (strcmp(word, commands[i].name) == 0)
            return (cli_command)i;
    return CMD_COMPILE;
}

static bool consistent(cli_options *o, char *err, size_t err_size)
{
    if (o->help || o->version)
        return true;
    if (!o->input)
        return wrong(err, err_size, "no file given");
    if ((o->command == CMD_RUN || o->command == CMD_BENCH) && !o->graph)
        return wrong(err, err_size, "--graph is missing: a folder, a file, complete:N, rmat:SCALE,EDGES,SEED, er:N,EDGES,SEED or karate");
    if (o->command == CMD_FMT && o->in_place && (o->output || strcmp(o->input, "-") == 0))
        return wrong(err, err_size, "-i goes neither with -o nor with standard input");
    return true;
}

bool options_parse(int argc, char **argv, cli_options *o, char *err, size_t err_size)
{
    *o = (cli_options){.level = 3, .real = SEM_F32, .min_time = 1, .color = isatty(STDERR_FILENO)};
    int i = 1;
    if (argc > 1 && (o->command = command_of(argv[1])) != CMD_COMPILE)
        i = 2;
    bool only_files = false;
    for (; i < argc; i++) {
        const char *arg = argv[i];
        if (!only_files && strcmp(arg, "--") == 0) {
            only_files = true;
        } else if (!only_files && arg[0] == '-' && arg[1]) {
            if (!option(o, argc, argv, &i, err, err_size))
                return false;
        } else if (!o->input) {
            o->input = arg;
        } else if (command_of(arg) != CMD_COMPILE || command_of(o->input) != CMD_COMPILE) {
            return wrong(err, err_size, "the command comes first: mpc %.20s FILE ...", command_of(arg) ? arg : o->input);
        } else {
            return wrong(err, err_size, "one file at a time: '%.60s' and '%.60s'", o->input, arg);
        }
    }
    o->cpu |= !o->cuda;
    return consistent(o, err, err_size);
}

static void free_named(named_file *f, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        free(f[i].name);
}

void options_free(cli_options *o)
{
    free_named(o->in.at, o->in.n);
    free_named(o->out.at, o->out.n);
    free_named(o->cotangents.at, o->cotangents.n);
    free_named(o->grad_out.at, o->grad_out.n);
    vec_free(&o->in);
    vec_free(&o->out);
    vec_free(&o->cotangents);
    vec_free(&o->grad_out);
    vec_free(&o->defines);
    vec_free(&o->arch);
}

compile_options options_compile(const cli_options *o)
{
    return (compile_options){.level = o->level, .real = o->real, .layer = o->layer, .last_layer = o->command != CMD_COMPILE,
                             .defines = o->defines.at, .n_defines = (int)o->defines.n, .arch = o->arch.at,
                             .n_arch = (int)o->arch.n, .cpu = o->cpu, .cuda = o->cuda, .verify = o->verify, .debug = o->debug, .warnings = o->warn_all || o->warn_error,
                             .grad = o->grad, .warnings_are_errors = o->warn_error, .color = o->color};
}

/* ---- Help ------------------------------------------------------------------------------------------------------- */

enum { HELP_COLUMN = 26, HELP_WIDTH = 104 };

/* The text, broken at spaces, beside the column. */
static void wrapped(buf *out, const char *text)
{
    size_t room = HELP_WIDTH - HELP_COLUMN;
    while (strlen(text) > room) {
        size_t n = room;
        while (n > 1 && text[n] != ' ')
            n--;
        buf_write(out, text, n);
        buf_putc(out, '\n');
        buf_fill(out, ' ', HELP_COLUMN);
        text += n + 1;
    }
    buf_puts(out, text);
    buf_putc(out, '\n');
}

void options_help(const cli_options *o, buf *out)
{
    if (o->command == CMD_COMPILE) {
        buf_puts(out, "mpc compiles layers of graph neural networks.\n\n");
        for (int i = 0; i < N_COMMANDS; i++) {
            char usage[80];
            snprintf(usage, sizeof usage, "mpc%s%s %s", i ? " " : "", commands[i].name, commands[i].usage);
            buf_printf(out, "  %-36s %s\n", usage, commands[i].what);
        }
    } else {
        buf_printf(out, "mpc %s %s [options]: %s\n", commands[o->command].name, commands[o->command].usage, commands[o->command].what);
    }
    const char *group = NULL;
    for (int i = 0; i < N_ROWS; i++) {
        if (rows[i].group) {
            group = rows[i].group;
            continue;
        }
        if (o->command != CMD_COMPILE && !strchr(rows[i].commands, commands[o->command].letter))
            continue;
        if (group)
            buf_printf(out, "\n%s\n", group);
        group = NULL;
        char head[64];
        const char *a = rows[i].argument;
        bool is_long = rows[i].text[1] == '-';
        if (a && a[0] == '=')
            snprintf(head, sizeof head, "%s[%s]", rows[i].text, a);
        else
            snprintf(head, sizeof head, "%s%s%s", rows[i].text, a && (is_long || rows[i].text[1] == 'o') ? " " : "", a ? a : "");
        buf_printf(out, "  %-*s ", HELP_COLUMN - 3, head);
        if (strlen(head) > HELP_COLUMN - 3) {
            buf_putc(out, '\n');
            buf_fill(out, ' ', HELP_COLUMN);
        }
        wrapped(out, rows[i].help);
    }
    buf_puts(out, "\nExit status: 0 done, 1 the program or its data is wrong, 2 wrong usage, 3 the system failed.\n");
}
