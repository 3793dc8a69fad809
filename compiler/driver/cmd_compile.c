/* mpc FILE: ahead of time to a shared library, or any stage with --emit. */
#include <stdlib.h>
#include <string.h>

#include "compiler/driver/cli.h"
#include "compiler/driver/emit.h"
#include "compiler/driver/header.h"

/* The path with another ending: "a/gat.so" and ".h" give "a/gat.h". */
static char *with_ending(const char *path, const char *ending)
{
    const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.');
    size_t n = dot && dot > (slash ? slash + 1 : path) ? (size_t)(dot - path) : strlen(path);
    char *out = malloc(n + strlen(ending) + 1);
    if (out) {
        memcpy(out, path, n);
        strcpy(out + n, ending);
    }
    return out;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The name of a file for make. */
static void depend_name(buf *out, const char *path)
{
    for (; *path; path++) {
        if (*path == ' ' || *path == '#')
            buf_putc(out, '\\');
        if (*path == '$')
            buf_putc(out, '$');
        buf_putc(out, *path);
    }
}

static exit_status add_text(pending *p, const char *path, const buf *text)
{
    const char *t = pending_add(p, path);
    return t ? cli_write(t, text->at ? text->at : "", text->n) : cli_fail(EXIT_SYSTEM, "out of memory");
}

/* The dependency file and the header, under temporary names. */
static exit_status add_side_files(const cli_options *o, const compilation *c, const char *output, pending *p, char **header,
                                  char **depends)
{
    exit_status st = EXIT_DONE;
    buf text = buf_make(NULL);
    if (o->wants_header) {
        *header = o->header ? strdup(o->header) : with_ending(output, ".h");
        header_print(c, &text);
        st = *header ? add_text(p, *header, &text) : cli_fail(EXIT_SYSTEM, "out of memory");
    }
    text.n = 0;
    if (st == EXIT_DONE && o->depends) {
        *depends = with_ending(output, ".d");
        depend_name(&text, output);
        buf_puts(&text, ": ");
        depend_name(&text, o->input);
        buf_putc(&text, '\n');
        st = *depends ? add_text(p, *depends, &text) : cli_fail(EXIT_SYSTEM, "out of memory");
    }
    buf_free(&text);
    return st;
}

static exit_status write_library(const cli_options *o, compilation *c, const cpu_backend *backend, const char *output,
                                 object_bytes *object)
{
    char err[2400];
    pending p = {0};
    char *header = NULL, *depends = NULL;
    exit_status st = add_side_files(o, c, output, &p, &header, &depends);
    const char *library = st == EXIT_DONE ? pending_add(&p, output) : NULL;
    if (st == EXIT_DONE && (!library || !backend->link(library, object, 1, NULL, 0, err, sizeof err)))
        st = cli_fail(EXIT_SYSTEM, "%s", library ? err : "out of memory");
    exit_status end = pending_finish(&p, st == EXIT_DONE);
    free(header);
    free(depends);
    return st ? st : end;
}

static exit_status compile_library(const cli_options *o, const file_text *f, compilation *c)
{
    char err[600], *named = NULL;
    const char *output = o->output;
    if (!output)
        output = named = with_ending(strcmp(o->input, "-") == 0 ? "layers" : base_name(o->input), ".so");
    if (!output)
        return cli_fail(EXIT_SYSTEM, "out of memory");
    compile_result r = compile_parse(c, f->name, f->text, f->n);
    if (r == COMPILE_OK || r == COMPILE_WRONG)
        r = compile_plan(c);
    exit_status st = cli_status(r);
    object_bytes object = {0};
    const cpu_backend *backend = NULL;
    if (r == COMPILE_OK && !(backend = cpu_backend_open(err, sizeof err)))
        st = cli_fail(EXIT_SYSTEM, "%s", err);
    if (backend)
        st = cli_status(compile_object(c, backend, MODULE_OBJECT, &object));
    cli_messages(c);
    if (backend && st == EXIT_DONE)
        st = write_library(o, c, backend, output, &object);
    if (backend)
        backend->free_bytes(&object);
    free(named);
    return st;
}

static exit_status emit_stage(const cli_options *o, const file_text *f, compilation *c, mpc_emit_kind kind)
{
    buf out = buf_make(NULL);
    compile_result r = emit_text(c, f->name, f->text, f->n, kind, &out);
    exit_status st = cli_status(r);
    cli_messages(c);
    if (st == EXIT_DONE)
        st = out.failed ? cli_fail(EXIT_SYSTEM, "out of memory") : cli_write(o->output, out.at ? out.at : "", out.n);
    buf_free(&out);
    return st;
}

static exit_status check_emit(const cli_options *o, mpc_emit_kind *kind, const char **stage)
{
    *kind = MPC_EMIT_SO;
    *stage = NULL;
    if (o->emit && !emit_kind_of(o->emit, kind, stage))
        return cli_fail(EXIT_USAGE, "--emit: there is no '%s'; one of tokens, ast, ir, ir@after:PASS, plan, llvm, asm, obj, so, "
                        "header, dot, cuda, ptx, cubin", o->emit);
    buf known = buf_make(NULL);
    exit_status st = EXIT_DONE;
    if (*stage && !emit_stage_exists(*stage, &known))
        st = cli_fail(EXIT_USAGE, "--emit: there is no pass '%s'; the passes are %s", *stage, buf_text(&known));
    buf_free(&known);
    if (st == EXIT_DONE && *kind == MPC_EMIT_SO && o->output && strcmp(o->output, "-") == 0)
        st = cli_fail(EXIT_USAGE, "a shared library cannot go to standard output");
    return st;
}

exit_status cmd_compile(const cli_options *o)
{
    mpc_emit_kind kind;
    file_text f = {0};
    compile_options co = options_compile(o);
    exit_status st = check_emit(o, &kind, &co.stop_after);
    bool cuda = kind == MPC_EMIT_CUDA || kind == MPC_EMIT_PTX || kind == MPC_EMIT_CUBIN;
    if (st == EXIT_DONE && !cuda)
        st = cli_check_arch(o);
    if (st == EXIT_DONE)
        st = cli_read(o->input, &f);
    if (st != EXIT_DONE)
        return st;
    compilation *c = NULL;
    if (!(c = compile_new(&co)))
        st = cli_fail(EXIT_SYSTEM, "out of memory");
    else if (kind == MPC_EMIT_SO)
        st = compile_library(o, &f, c);
    else
        st = emit_stage(o, &f, c, kind);
    if (c)
        cli_time(o, c);
    compile_free(c);
    free(f.text);
    return st;
}
