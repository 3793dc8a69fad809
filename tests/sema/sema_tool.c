/*
 * What the compiler's front makes of a file, on standard output:
 *
 *     sema_tool [options] FILE.mp
 *
 *     --layer NAME       the layer to lower (default: the last)
 *     -D NAME=VALUE      a static argument
 *     --real TYPE        what `real` is: f64 f32 f16 bf16
 *     --short            diagnostics one line each
 *     -Wall -Werror      warnings; as errors
 *     --ir               lower the layer, verify it and print its IR
 *
 * Exit status 0; 1 when there are errors; 2 for wrong usage.
 */
#include "compiler/parser/parse.h"
#include "compiler/sema/sema.h"
#include "compiler/ir/print.h"
#include "compiler/ir/verify.h"
#include "compiler/lower/lower.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct options {
    const char *file, *layer;
    const char *defines[64];
    int n_defines;
    sem_elem real;
    bool brief, ir;
    diag_print_options print;
} options;

static bool real_type(const char *s, sem_elem *out)
{
    static const struct {
        const char *name;
        sem_elem e;
    } known[] = {{"f64", SEM_F64}, {"f32", SEM_F32}, {"f16", SEM_F16}, {"bf16", SEM_BF16}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(s, known[i].name)) return *out = known[i].e, true;
    return false;
}

static bool parse_options(int argc, char **argv, options *o)
{
    for (int i = 1; i < argc; i++) {
        const bool more = i + 1 < argc;
        if (!strcmp(argv[i], "--layer") && more) o->layer = argv[++i];
        else if (!strcmp(argv[i], "-D") && more && o->n_defines < 64) o->defines[o->n_defines++] = argv[++i];
        else if (!strcmp(argv[i], "--real") && more && real_type(argv[i + 1], &o->real)) i++;
        else if (!strcmp(argv[i], "--short")) o->brief = true;
        else if (!strcmp(argv[i], "--ir")) o->ir = true;
        else if (!strcmp(argv[i], "-Wall")) o->print.warnings = true;
        else if (!strcmp(argv[i], "-Werror")) o->print.warnings = o->print.warnings_are_errors = true;
        else if (argv[i][0] == '-' || o->file) return false;
        else o->file = argv[i];
    }
    return o->file != NULL;
}

static bool read_file(const char *path, buf *text)
{
    FILE *f = fopen(path, "rb");
    if (!f) return false;
    char part[4096];
    for (size_t n; (n = fread(part, 1, sizeof part, f)) > 0;) buf_write(text, part, n);
    fclose(f);
    return true;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void defines(const options *o, const sem_program *p, diags *ds, arena *a)
{
    for (int i = 0; i < o->n_defines; i++) {
        const char *eq = strchr(o->defines[i], '=');
        if (eq)
            sem_define(p, o->layer ? sem_find_layer(p, o->layer) : NULL,
                       arena_strndup(a, o->defines[i], (size_t)(eq - o->defines[i])), eq + 1, ds);
    }
}

static void run(const options *o, arena *a, const buf *text, buf *out, int *status)
{
    source_set *sources = source_set_new(a);
    str_table *names = str_table_new(a);
    diags *ds = diags_new(a, sources);
    const uint32_t file = source_add(sources, base_name(o->file), text->at ? text->at : "", text->n);
    const ast_file *tree = parse_file(a, names, ds, sources, file);
    const sem_program *p = sema_check(a, names, ds, tree, &(sem_options){.real = o->real});
    defines(o, p, ds, a);
    const sem_layer *layer = sem_find_layer(p, o->layer);
    if (o->ir && layer && !diags_failed(ds)) {
        ir_layer *l = lower_layer(a, names, ds, layer);
        const char *broken = l ? ir_verify(l, a) : NULL;
        if (broken) {
            buf_printf(out, "the IR is broken: %s\n", broken);
            *status = 1;
        }
        if (l) ir_print(l, out);
    }
    if (o->brief) {
        diags_print_short(ds, &o->print, out);
    } else {
        diags_sort(ds);
        for (uint32_t i = 0; i < ds->n; i++)
            if (ds->at[i]->severity == DIAG_ERROR || o->print.warnings)
                diag_print_one(ds, ds->at[i], &o->print, out);
    }
    if (diags_failed(ds) || (o->print.warnings_are_errors && ds->n_warnings)) *status = 1;
}

int main(int argc, char **argv)
{
    options o = {.real = SEM_F32};
    buf text = buf_make(NULL), out = buf_make(NULL);
    if (!parse_options(argc, argv, &o) || !read_file(o.file, &text)) {
        fprintf(
            stderr,
            "usage: sema_tool [--layer NAME] [-D NAME=VALUE] [--real TYPE] [--short] [-Wall] [-Werror] [--ir] FILE\n");
        return 2;
    }
    arena *a = arena_new((size_t)4 << 30);
    jmp_buf oom;
    arena_set_oom(a, &oom);
    int status = 0;
    if (setjmp(oom)) {
        printf("out of memory\n");
        return 1;
    }
    run(&o, a, &text, &out, &status);
    fwrite(buf_text(&out), 1, out.n, stdout);
    buf_free(&out);
    buf_free(&text);
    arena_free(a);
    return status;
}
