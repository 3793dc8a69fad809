/* The functions of mpc.h. */
#include "mpc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/cuda/nvrtc.h"
#include "compiler/driver/emit.h"
#include "compiler/driver/library.h"
#include "runtime/for_compiler.h"

static mp_status fail(mp_context *ctx, mp_status st, const char *text)
{
    return mp_for_compiler_v1()->error_set_text(ctx, st, text);
}

static mp_status check_arch(mp_context *ctx, const compile_options *o)
{
    char err[2400];
    const cpu_backend *b = NULL;
    for (int i = 0; i < o->n_arch; i++) {
        if (nvrtc_is_arch(o->arch[i]))
            continue;
        if (!b && !(b = cpu_backend_open(err, sizeof err)))
            return fail(ctx, MP_SYSTEM, err);
        if (!b->knows_target(o->arch[i], err, sizeof err))
            return fail(ctx, MP_USAGE, err);
    }
    return MP_OK;
}

/* The options as the pipeline takes them. */
static mp_status read_options(mp_context *ctx, const mpc_options *from, compile_options *out)
{
    static const sem_elem reals[] = {[MP_F32] = SEM_F32, [MP_F64] = SEM_F64, [MP_F16] = SEM_F16, [MP_BF16] = SEM_BF16};
    mpc_options o = {0};
    if (from)
        memcpy(&o, from, from->size && from->size < sizeof o ? from->size : sizeof o);
    if (o.level < 0 || o.level > MPC_O3)
        return fail(ctx, MP_USAGE, "mpc_options: there is no such level");
    if ((unsigned)o.real > MP_BF16)
        return fail(ctx, MP_USAGE, "mpc_options: real must be a floating type");
    if (o.n_defines < 0 || (o.n_defines && !o.defines) || o.n_arch < 0 || (o.n_arch && !o.arch))
        return fail(ctx, MP_USAGE, "mpc_options: a list is NULL");
    for (int i = 0; i < o.n_defines; i++)
        if (!o.defines[i])
            return fail(ctx, MP_USAGE, "mpc_options: a define is NULL");
    for (int i = 0; i < o.n_arch; i++)
        if (!o.arch[i])
            return fail(ctx, MP_USAGE, "mpc_options: the name of a CPU is NULL");
    *out = (compile_options){.level = o.level ? o.level - 1 : 3, .real = reals[o.real], .layer = o.layer, .defines = o.defines,
                             .n_defines = o.n_defines, .arch = o.arch, .n_arch = o.n_arch, .cpu = (o.targets & MPC_TARGET_CPU) != 0, .cuda = (o.targets & MPC_TARGET_CUDA) != 0, .verify = o.verify != 0, .grad = o.grad, .debug = o.debug != 0,
                             .warnings = (o.warnings & (MPC_WARN_ALL | MPC_WARN_ERROR)) != 0,
                             .warnings_are_errors = (o.warnings & MPC_WARN_ERROR) != 0};
    return check_arch(ctx, out);
}

static mp_status check_call(mp_context *ctx, const void *a, const void *b, const void *c, const char *what)
{
    if (!ctx)
        return MP_USAGE;
    return a && b && c ? MP_OK : fail(ctx, MP_USAGE, what);
}

/* What a compilation says: warnings after a success, else the message. */
static mp_status conclude(mp_context *ctx, compilation *c, compile_result r)
{
    buf text = buf_make(NULL);
    mp_status st = library_status(r);
    compile_messages(c, &text);
    if (st)
        fail(ctx, st, buf_text(&text));
    else
        mp_for_compiler_v1()->set_warnings(ctx, buf_text(&text));
    buf_free(&text);
    return st;
}

static mp_status compile_module(mp_context *ctx, const char *name, const char *text, size_t n, const mpc_options *options, mp_module **out)
{
    jit_options o = {0};
    mp_status st = read_options(ctx, options, &o.compile);
    if (st)
        return st;
    o.no_cache = options && (!options->size || options->size >= sizeof *options) && options->no_cache;
    buf messages = buf_make(NULL);
    st = library_compile(ctx, name, text, n, &o, &messages, out);
    if (!st)
        mp_for_compiler_v1()->set_warnings(ctx, buf_text(&messages));
    buf_free(&messages);
    return st;
}

mp_status mpc_compile_text(mp_context *ctx, const char *name, const char *text, const mpc_options *options, mp_module **out)
{
    mp_status st = check_call(ctx, text, out, out, "mpc_compile_text: text and result must not be NULL");
    return st ? st : compile_module(ctx, name ? name : "<text>", text, strlen(text), options, out);
}

/* The file's contents, malloc'ed and with a NUL. */
static mp_status read_file(mp_context *ctx, const char *path, char **text, size_t *n)
{
    char why[1200];
    FILE *f = fopen(path, "rb");
    size_t room = 1 << 14;
    bool ok = f;
    *text = malloc(room);
    *n = 0;
    while (ok && *text) {
        size_t got = fread(*text + *n, 1, room - *n - 1, f);
        *n += got;
        ok = !ferror(f) && *n <= SOURCE_MAX_BYTES;
        if (!got)
            break;
        if (room - *n < 2) {
            char *more = realloc(*text, room *= 2);
            if (!more)
                free(*text);
            *text = more;
        }
    }
    int wrong = errno;
    if (f)
        fclose(f);
    if (ok && *text) {
        (*text)[*n] = 0;
        return MP_OK;
    }
    bool memory = !*text, large = *n > SOURCE_MAX_BYTES;
    free(*text);
    *text = NULL;
    snprintf(why, sizeof why, "%s: %s", path, memory ? "out of memory" : large ? "the file is too large" : strerror(wrong));
    return fail(ctx, memory ? MP_SYSTEM : MP_INVALID, why);
}

mp_status mpc_compile_file(mp_context *ctx, const char *path, const mpc_options *options, mp_module **out)
{
    char *text;
    size_t n;
    mp_status st = check_call(ctx, path, out, out, "mpc_compile_file: path and result must not be NULL");
    if (!st)
        st = read_file(ctx, path, &text, &n);
    if (st)
        return st;
    st = compile_module(ctx, path, text, n, options, out);
    free(text);
    return st;
}

mp_status mpc_emit(mp_context *ctx, const char *name, const char *text, const mpc_options *options, mpc_emit_kind kind,
                   const char *stage, char **bytes, size_t *size)
{
    compile_options o;
    mp_status st = check_call(ctx, text, bytes, size, "mpc_emit: text and results must not be NULL");
    if (!st)
        st = read_options(ctx, options, &o);
    if (st)
        return st;
    if (kind == MPC_EMIT_SO || (unsigned)kind > MPC_EMIT_CUBIN)
        return fail(ctx, MP_USAGE, "mpc_emit: there is no such kind of result; mpc_compile_library writes libraries");
    buf known = buf_make(NULL);
    bool unknown = stage && !emit_stage_exists(stage, &known);
    if (unknown)
        st = fail(ctx, MP_USAGE, "mpc_emit: there is no such pass");
    buf_free(&known);
    if (st)
        return st;
    o.stop_after = kind == MPC_EMIT_IR ? stage : NULL;
    compilation *c = compile_new(&o);
    if (!c)
        return fail(ctx, MP_SYSTEM, "out of memory");
    buf out = buf_make(NULL);
    st = conclude(ctx, c, emit_text(c, name ? name : "<text>", text, strlen(text), kind, &out));
    compile_free(c);
    if (!st) {
        buf_putc(&out, 0);
        if (out.failed)
            st = fail(ctx, MP_SYSTEM, "out of memory");
    }
    if (st) {
        buf_free(&out);
        return st;
    }
    *size = out.n - 1;
    *bytes = buf_take(&out);
    return MP_OK;
}

void mpc_free(void *bytes)
{
    free(bytes);
}

mp_status mpc_compile_library(mp_context *ctx, const char *name, const char *text, const mpc_options *options, const char *path)
{
    compile_options o;
    char err[2400];
    mp_status st = check_call(ctx, text, path, path, "mpc_compile_library: text and path must not be NULL");
    if (!st)
        st = read_options(ctx, options, &o);
    if (st)
        return st;
    const cpu_backend *backend = cpu_backend_open(err, sizeof err);
    if (!backend)
        return fail(ctx, MP_SYSTEM, err);
    compilation *c = compile_new(&o);
    if (!c)
        return fail(ctx, MP_SYSTEM, "out of memory");
    object_bytes object = {0};
    compile_result r = compile_parse(c, name ? name : "<text>", text, strlen(text));
    if (r == COMPILE_OK || r == COMPILE_WRONG)
        r = compile_object(c, backend, MODULE_OBJECT, &object);
    st = conclude(ctx, c, r);
    compile_free(c);
    if (!st && !backend->link(path, &object, 1, NULL, 0, err, sizeof err))
        st = fail(ctx, MP_SYSTEM, err);
    backend->free_bytes(&object);
    return st;
}

mp_status mpc_format(mp_context *ctx, const char *name, const char *text, char **out, size_t *size)
{
    mp_status st = check_call(ctx, text, out, size, "mpc_format: text and results must not be NULL");
    if (st)
        return st;
    compilation *c = compile_new(&(compile_options){.level = 3});
    if (!c)
        return fail(ctx, MP_SYSTEM, "out of memory");
    buf b = buf_make(NULL);
    st = conclude(ctx, c, compile_format(c, name ? name : "<text>", text, strlen(text), &b));
    compile_free(c);
    buf_putc(&b, 0);
    if (!st && b.failed)
        st = fail(ctx, MP_SYSTEM, "out of memory");
    if (st) {
        buf_free(&b);
        return st;
    }
    *size = b.n - 1;
    *out = buf_take(&b);
    return MP_OK;
}

const char *mpc_warnings(const mp_context *ctx)
{
    return ctx ? mp_for_compiler_v1()->warnings(ctx) : "";
}
