/* The passes on a layer, on standard output:
 *
 *     pass_tool [options] FILE.mp|FILE.ir
 *
 *     --layer NAME        of a source file (default: the last)
 *     -D NAME=VALUE       a static argument
 *     --stop-after PASS
 *     --training          training is not known to be false
 *     --lowered           the IR before, and nothing else
 *     --report            what was done, and costs, instead of the IR
 *     --check             instead: run the interpreter before and after on hard graphs, and compare; a source is
 *                         taken in f64
 *     --expect OUT        instead: 1 unless the IR is the text of that file; with --bless it is written there
 *
 * Exit status 0; 1 when something is wrong; 2 for wrong usage; 77 when there is nothing to check, because the
 * front end does not take the program. */
#include "tests/passes/compare.h"

#include "compiler/ir/print.h"
#include "compiler/ir/verify.h"
#include "compiler/lower/lower.h"
#include "compiler/parser/parse.h"
#include "compiler/passes/passes.h"
#include "compiler/sema/sema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct options {
    const char *file, *layer;
    const char *defines[64];
    int n_defines;
    pass_options passes;
    const char *expect;
    bool lowered, report, check, bless;
} options;

static bool parse_options(int argc, char **argv, options *o)
{
    for (int i = 1; i < argc; i++) {
        bool more = i + 1 < argc;
        if (!strcmp(argv[i], "--layer") && more) o->layer = argv[++i];
        else if (!strcmp(argv[i], "-D") && more && o->n_defines < 64) o->defines[o->n_defines++] = argv[++i];
        else if (!strcmp(argv[i], "--stop-after") && more) o->passes.stop_after = argv[++i];
        else if (!strcmp(argv[i], "--training")) o->passes.inference = false;
        else if (!strcmp(argv[i], "--expect") && more) o->expect = argv[++i];
        else if (!strcmp(argv[i], "--lowered")) o->lowered = true;
        else if (!strcmp(argv[i], "--bless")) o->bless = true;
        else if (!strcmp(argv[i], "--report")) o->report = true;
        else if (!strcmp(argv[i], "--check")) o->check = true;
        else if (argv[i][0] == '-' || o->file) return false;
        else o->file = argv[i];
    }
    return o->file != NULL;
}

static bool read_file(const char *path, buf *text)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return false;
    char part[4096];
    for (size_t n; (n = fread(part, 1, sizeof part, f)) > 0;)
        buf_write(text, part, n);
    fclose(f);
    return true;
}

static ir_layer *layer_of_source(const options *o, arena *a, str_table *names, const buf *text, buf *out)
{
    source_set *sources = source_set_new(a);
    diags *ds = diags_new(a, sources);
    uint32_t file = source_add(sources, "layer.mp", text->at ? text->at : "", text->n);
    const ast_file *tree = parse_file(a, names, ds, sources, file);
    const sem_program *p =
        sema_check(a, names, ds, tree, &(sem_options){.real = o->check ? SEM_F64 : SEM_F32});
    for (int i = 0; i < o->n_defines; i++) {
        const char *eq = strchr(o->defines[i], '=');
        if (eq)
            sem_define(p, o->layer ? sem_find_layer(p, o->layer) : NULL,
                       arena_strndup(a, o->defines[i], (size_t)(eq - o->defines[i])), eq + 1, ds);
    }
    const sem_layer *layer = sem_find_layer(p, o->layer);
    ir_layer *l = layer && !diags_failed(ds) ? lower_layer(a, names, ds, layer) : NULL;
    if (!l)
        diags_print_short(ds, &(diag_print_options){0}, out);
    return l;
}

static int run(const options *o, arena *a, const buf *text, buf *out)
{
    str_table *names = str_table_new(a);
    size_t n = strlen(o->file);
    ir_layer *l = NULL;
    if (n > 3 && !strcmp(o->file + n - 3, ".ir")) {
        const char *error = NULL;
        l = ir_parse(a, dim_table_new(a), names, text->at ? text->at : "", &error);
        if (!l)
            buf_printf(out, "%s\n", error ? error : "no layer");
    } else {
        l = layer_of_source(o, a, names, text, out);
    }
    if (!l)
        return o->check ? 77 : 1;
    if (o->lowered) {
        ir_print(l, out);
        return 0;
    }
    pass_stats stats = {0};
    ir_layer *done = passes_run(l, a, &o->passes, &stats);
    if (stats.broken) {
        buf_printf(out, "broken: %s\n", stats.broken);
        ir_print(done, out);
        return 1;
    }
    if (o->check) {                             /* and once more: derivatives are taken between two runs */
        pass_stats again = {0};
        ir_layer *twice = passes_run(done, a, &o->passes, &again);
        if (again.broken)
            buf_printf(out, "broken in a second run: %s\n", again.broken);
        else if (again.after.ns > stats.after.ns * 1.02)
            buf_printf(out, "a second run makes it dearer: %g after %g\n", again.after.ns, stats.after.ns);
        else
            return compare_layers(l, done, out) && compare_layers(l, twice, out) ? 0 : 1;
        return 1;
    }
    if (o->report)
        passes_report(&stats, out);
    else
        ir_print(done, out);
    return 0;
}

/* 0 when the text is that of the file. */
static int expected(const options *o, buf *out)
{
    if (o->bless) {
        FILE *f = fopen(o->expect, "wb");
        bool written = f && fwrite(buf_text(out), 1, out->n, f) == out->n;
        out->n = 0;
        return f && !fclose(f) && written ? 0 : 1;
    }
    buf want = buf_make(NULL);
    bool same =
        read_file(o->expect, &want) && want.n == out->n && !memcmp(buf_text(&want), buf_text(out), out->n);
    if (!same)
        fprintf(stderr, "%s: another result is expected by %s:\n", o->file, o->expect);
    else
        out->n = 0;
    buf_free(&want);
    return same ? 0 : 1;
}

int main(int argc, char **argv)
{
    options o = {.passes = {.inference = true, .verify = true}};
    buf text = buf_make(NULL), out = buf_make(NULL);
    if (!parse_options(argc, argv, &o) || !read_file(o.file, &text)) {
        fprintf(stderr, "usage: pass_tool [--layer NAME] [-D NAME=VALUE] [--stop-after PASS] [--training] "
                        "[--before] [--lowered] [--report] [--check] [--expect OUT [--bless]] FILE\n");
        return 2;
    }
    arena *a = arena_new((size_t)2 << 30);
    jmp_buf dry;
    int status = 1;
    arena_set_oom(a, &dry);
    if (!setjmp(dry))
        status = run(&o, a, &text, &out);
    else
        printf("out of memory\n");
    if (status == 0 && o.expect)
        status = expected(&o, &out);
    fwrite(buf_text(&out), 1, out.n, stdout);
    buf_free(&out);
    buf_free(&text);
    arena_free(a);
    return status;
}
