/* Files, messages and JSON for the commands: see cli.h. */
#include "compiler/driver/cli.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "codegen/cuda/nvrtc.h"

double cli_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

/* ---- Messages --------------------------------------------------------------------------------------------------- */

exit_status cli_fail(exit_status status, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("mpc: error: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    return status;
}

exit_status cli_exit_of(mp_status st)
{
    switch (st) {
    case MP_OK: return EXIT_DONE;
    case MP_INVALID: return EXIT_WRONG;
    case MP_USAGE: return EXIT_USAGE;
    case MP_UNSUPPORTED: case MP_SYSTEM: break;
    }
    return EXIT_SYSTEM;
}

exit_status cli_report(mp_context *ctx, mp_status st)
{
    const char *text = mp_error_message(ctx);
    size_t n = strlen(text);
    if (strchr(text, '\n')) {       /* a compiler's diagnostics, as they are */
        fputs(text, stderr);
        if (text[n - 1] != '\n')
            fputc('\n', stderr);
    } else {
        cli_fail(EXIT_WRONG, "%s", n ? text : mp_status_name(st));
    }
    return cli_exit_of(st);
}

exit_status cli_status(compile_result r)
{
    switch (r) {
    case COMPILE_OK: return EXIT_DONE;
    case COMPILE_WRONG: case COMPILE_LIMIT: return EXIT_WRONG;
    case COMPILE_FAILED: break;
    }
    return EXIT_SYSTEM;
}

void cli_messages(compilation *c)
{
    buf text = buf_make(NULL);
    compile_messages(c, &text);
    fputs(buf_text(&text), stderr);
    buf_free(&text);
}

void cli_time(const cli_options *o, const compilation *c)
{
    if (!o->time)
        return;
    fprintf(stderr, "front %.2f ms, passes %.2f ms, plan %.2f ms, code %.2f ms, memory %.2f MB\n", c->ms_front, c->ms_passes,
            c->ms_plan, c->ms_code, (double)arena_bytes(c->mem) / 1e6);
}

exit_status cli_check_arch(const cli_options *o)
{
    char err[2400];
    const cpu_backend *b = NULL;
    for (uint32_t i = 0; i < o->arch.n; i++) {
        const char *arch = o->arch.at[i];
        if (nvrtc_is_arch(arch)) {
            if (!o->cuda)
                return cli_fail(EXIT_USAGE, "--arch %.40s is a GPU's: it goes with --target cuda", arch);
            continue;
        }
        if (o->cuda && !o->cpu)
            return cli_fail(EXIT_USAGE, "--arch: '%.60s' is no architecture of a GPU: sm_80, sm_90, compute_90 are", arch);
        if (!b && !(b = cpu_backend_open(err, sizeof err)))
            return cli_fail(EXIT_SYSTEM, "%s", err);
        if (!b->knows_target(o->arch.at[i], err, sizeof err))
            return cli_fail(EXIT_USAGE, "--arch: %s", err);
    }
    return EXIT_DONE;
}

/* ---- Reading ---------------------------------------------------------------------------------------------------- */

static exit_status read_stream(FILE *f, const char *path, file_text *out)
{
    size_t room = 1 << 16;
    char *text = malloc(room);
    out->n = 0;
    while (text) {
        size_t got = fread(text + out->n, 1, room - out->n - 1, f);
        out->n += got;
        if (!got)
            break;
        if (out->n > SOURCE_MAX_BYTES) {
            free(text);
            return cli_fail(EXIT_WRONG, "%s: the file is too large: more than %d MiB", path, SOURCE_MAX_BYTES >> 20);
        }
        if (room - out->n < 2) {
            char *more = realloc(text, room *= 2);
            if (!more)
                free(text);
            text = more;
        }
    }
    if (!text)
        return cli_fail(EXIT_SYSTEM, "%s: out of memory", path);
    if (ferror(f)) {
        int why = errno;
        free(text);
        return cli_fail(why == EISDIR ? EXIT_WRONG : EXIT_SYSTEM, "%s: %s", path, why == EISDIR ? "this is a folder" : strerror(why));
    }
    text[out->n] = 0;
    out->text = text;
    return EXIT_DONE;
}

exit_status cli_read(const char *path, file_text *out)
{
    *out = (file_text){.name = path};
    if (strcmp(path, "-") == 0) {
        out->name = "<stdin>";
        return read_stream(stdin, "<stdin>", out);
    }
    errno = 0;
    FILE *f = fopen(path, "rb");
    if (!f)
        return cli_fail(EXIT_WRONG, "%s: %s", path, strerror(errno));
    exit_status st = read_stream(f, path, out);
    fclose(f);
    return st;
}

bool cli_is_library(const file_text *f)
{
    return f->n >= 4 && memcmp(f->text, "\177ELF", 4) == 0;
}

/* ---- Writing ---------------------------------------------------------------------------------------------------- */

/* Is there something at `path` that is no plain file? */
static bool is_special(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

const char *pending_add(pending *p, const char *path)
{
    size_t n = strlen(path) + 48;
    char *t = malloc(n);
    if (!t || !vec_push(NULL, &p->files, (pending_file){.temporary = t, .path = path})) {
        free(t);
        return NULL;
    }
    if (is_special(path))
        snprintf(t, n, "%s", path);
    else
        snprintf(t, n, "%s.part-%ld-%u", path, (long)getpid(), p->files.n);
    return t;
}

exit_status pending_finish(pending *p, bool keep)
{
    exit_status st = EXIT_DONE;
    for (uint32_t i = 0; i < p->files.n && keep; i++) {
        pending_file *f = &p->files.at[i];
        if (strcmp(f->temporary, f->path) == 0)
            continue;
        f->renamed = rename(f->temporary, f->path) == 0;
        if (f->renamed)
            continue;
        st = cli_fail(EXIT_SYSTEM, "cannot write \"%s\": %s", f->path, strerror(errno));
        for (uint32_t k = 0; k < i; k++)
            if (p->files.at[k].renamed)
                unlink(p->files.at[k].path);
        keep = false;
    }
    for (uint32_t i = 0; i < p->files.n; i++) {
        pending_file *f = &p->files.at[i];
        if (!f->renamed && strcmp(f->temporary, f->path) != 0)
            unlink(f->temporary);
        free(f->temporary);
    }
    vec_free(&p->files);
    return st;
}

static exit_status write_plain(const char *path, const char *named, const char *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    if (!f)
        return cli_fail(EXIT_SYSTEM, "cannot write \"%s\": %s", named, strerror(errno));
    bool ok = fwrite(bytes, 1, n, f) == n;
    ok = fclose(f) == 0 && ok;
    return ok ? EXIT_DONE : cli_fail(EXIT_SYSTEM, "cannot write \"%s\": %s", named, strerror(errno));
}

exit_status cli_write(const char *path, const char *bytes, size_t n)
{
    if (!path || strcmp(path, "-") == 0) {
        bool ok = fwrite(bytes, 1, n, stdout) == n && fflush(stdout) == 0;
        return ok ? EXIT_DONE : cli_fail(EXIT_SYSTEM, "cannot write to standard output: %s", strerror(errno));
    }
    pending p = {0};
    const char *t = pending_add(&p, path);
    if (!t)
        return cli_fail(EXIT_SYSTEM, "out of memory");
    exit_status st = write_plain(t, path, bytes, n);
    exit_status end = pending_finish(&p, st == EXIT_DONE);
    return st ? st : end;
}

/* ---- JSON ------------------------------------------------------------------------------------------------------- */

void cli_json_string(buf *out, const char *s)
{
    buf_putc(out, '"');
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c < 0x20)
            buf_printf(out, "\\u%04x", c);
        else
            buf_putc(out, (char)c);
    }
    buf_putc(out, '"');
}

void cli_json_number(buf *out, double x)
{
    if (isfinite(x))
        buf_double(out, x);
    else
        buf_puts(out, "null");
}
