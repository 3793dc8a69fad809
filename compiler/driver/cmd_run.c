/* mpc run: a layer on a graph, its outputs to files. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "compiler/driver/session.h"
#include "runtime/convert.h"
#include "runtime/tensor.h"

/* ---- Files ------------------------------------------------------------------------------------------------------- */

static exit_status check_outputs(const cli_options *o, session *s)
{
    for (uint32_t i = 0; i < o->out.n; i++) {
        mp_value_info v = {.size = sizeof v};
        if (!o->out.at[i].name)
            continue;
        mp_status st = mp_layer_find(s->layer, o->out.at[i].name, &v);
        if (st)
            return cli_report(s->ctx, st);
        if (v.role != MP_OUTPUT)
            return cli_fail(EXIT_WRONG, "--out %s: this is an input of %s, no output", v.name, mp_layer_name(s->layer));
    }
    return EXIT_DONE;
}

static exit_status save(session *s, pending *p, const char *name, const char *path)
{
    DLTensor t;
    mp_status st = mp_output(s->layer, name, &t);
    const char *temporary = st ? NULL : pending_add(p, path);
    if (!st && !temporary)
        return cli_fail(EXIT_SYSTEM, "out of memory");
    if (st)
        return cli_report(s->ctx, st);
    if (mp_npy_save(s->ctx, temporary, &t) == MP_OK)
        return EXIT_DONE;
    /* the message, with the name that the user knows */
    const char *text = mp_error_message(s->ctx);
    size_t n = strlen(temporary);
    if (strncmp(text, temporary, n) == 0)
        return cli_fail(EXIT_SYSTEM, "%s%s", path, text + n);
    return cli_fail(EXIT_SYSTEM, "%s: %s", path, text);
}

/* All outputs into a folder, which is made if need be. `paths` keeps the names. */
static exit_status save_all(session *s, pending *p, const char *folder, char **paths, uint32_t *n)
{
    struct stat about;
    if (stat(folder, &about) != 0 && mkdir(folder, 0777) != 0)
        return cli_fail(EXIT_SYSTEM, "cannot make \"%s\": %s", folder, strerror(errno));
    for (int i = 0; i < mp_layer_count(s->layer, MP_OUTPUT); i++) {
        mp_value_info v = {.size = sizeof v};
        mp_layer_value(s->layer, MP_OUTPUT, i, &v);
        size_t size = strlen(folder) + strlen(v.name) + 8;
        char *path = paths[*n] = malloc(size);
        if (!path)
            return cli_fail(EXIT_SYSTEM, "out of memory");
        ++*n;
        snprintf(path, size, "%s%s.npy", folder, v.name);
        exit_status st = save(s, p, v.name, path);
        if (st != EXIT_DONE)
            return st;
    }
    return EXIT_DONE;
}

static exit_status save_outputs(const cli_options *o, session *s)
{
    pending p = {0};
    uint32_t n = 0;
    char **paths = calloc((size_t)o->out.n * (size_t)mp_layer_count(s->layer, MP_OUTPUT) + 1, sizeof *paths);
    exit_status st = paths ? EXIT_DONE : cli_fail(EXIT_SYSTEM, "out of memory");
    for (uint32_t i = 0; i < o->out.n && st == EXIT_DONE; i++) {
        const named_file *f = &o->out.at[i];
        st = f->name ? save(s, &p, f->name, f->file) : save_all(s, &p, f->file, paths, &n);
    }
    exit_status end = pending_finish(&p, st == EXIT_DONE);
    for (uint32_t i = 0; i < n; i++)
        free(paths[i]);
    free(paths);
    return st ? st : end;
}

/* ---- Reports ----------------------------------------------------------------------------------------------------- */

typedef struct summary { double mean, min, max; int64_t count, not_finite; } summary;

/* Over the finite elements. */
static summary summarize(const DLTensor *t)
{
    summary s = {.min = INFINITY, .max = -INFINITY};
    int64_t n = tensor_count(t);
    double *x = malloc((size_t)(n ? n : 1) * sizeof *x), sum = 0;
    if (!x)
        return (summary){NAN, NAN, NAN, 0, 0};
    convert_in(NULL, t, TENSOR_F64, x);
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(x[i])) {
            s.not_finite++;
            continue;
        }
        sum += x[i];
        s.count++;
        s.min = x[i] < s.min ? x[i] : s.min;
        s.max = x[i] > s.max ? x[i] : s.max;
    }
    s.mean = s.count ? sum / (double)s.count : NAN;
    free(x);
    return s;
}

static const char *type_text(const DLTensor *t)
{
    tensor_type type;
    return tensor_type_of(t->dtype, &type) ? tensor_type_name(type) : "?";
}

static void print_table(session *s)
{
    printf("%-16s %-20s %-9s %12s %12s %12s\n", "output", "shape", "type", "mean", "min", "max");
    for (int i = 0; i < mp_layer_count(s->layer, MP_OUTPUT); i++) {
        mp_value_info v = {.size = sizeof v};
        DLTensor t;
        if (mp_layer_value(s->layer, MP_OUTPUT, i, &v) != MP_OK || mp_output(s->layer, v.name, &t) != MP_OK)
            continue;
        char shape[TENSOR_TEXT];
        printf("%-16s %-20s %-9s ", v.name, tensor_shape_text(t.shape, t.ndim, shape, sizeof shape), type_text(&t));
        summary u = summarize(&t);
        if (u.count)
            printf("%12.6g %12.6g %12.6g", u.mean, u.min, u.max);
        else
            printf("%12s %12s %12s", "-", "-", "-");
        if (u.not_finite)
            printf("  (%lld not finite)", (long long)u.not_finite);
        putchar('\n');
    }
    for (int i = 0; i < mp_layer_num_iterations(s->layer); i++) {
        mp_iteration it = {.size = sizeof it};
        if (mp_layer_iteration(s->layer, i, &it) == MP_OK)
            printf("iterate %s: %lld steps, last change %g\n", it.name, (long long)it.steps, it.change);
    }
}

static void json_outputs(session *s, buf *out)
{
    buf_puts(out, ", \"outputs\": [");
    for (int i = 0; i < mp_layer_count(s->layer, MP_OUTPUT); i++) {
        mp_value_info v = {.size = sizeof v};
        DLTensor t;
        if (mp_layer_value(s->layer, MP_OUTPUT, i, &v) != MP_OK || mp_output(s->layer, v.name, &t) != MP_OK)
            continue;
        buf_printf(out, "%s{\"name\": ", i ? ", " : "");
        cli_json_string(out, v.name);
        buf_puts(out, ", \"shape\": ");
        session_json_shape(&t, out);
        buf_printf(out, ", \"type\": \"%s\"}", type_text(&t));
    }
    buf_puts(out, "], \"iterate\": [");
    for (int i = 0; i < mp_layer_num_iterations(s->layer); i++) {
        mp_iteration it = {.size = sizeof it};
        if (mp_layer_iteration(s->layer, i, &it) != MP_OK)
            continue;
        buf_printf(out, "%s{\"name\": ", i ? ", " : "");
        cli_json_string(out, it.name);
        buf_printf(out, ", \"steps\": %lld, \"change\": ", (long long)it.steps);
        cli_json_number(out, it.change);
        buf_putc(out, '}');
    }
    buf_putc(out, ']');
}

static exit_status print_json(session *s, double forward_ms)
{
    size_t bytes = 0;
    buf out = buf_make(NULL);
    mp_workspace_bytes(s->layer, s->data.graph, &bytes);
    buf_putc(&out, '{');
    session_json_head(s, &out);
    json_outputs(s, &out);
    buf_printf(&out, ", \"compile_ms\": %.3f, \"prepare_ms\": %.3f, \"forward_ms\": %.3f, \"workspace_bytes\": %zu}\n",
               s->compile_ms, s->prepare_ms, forward_ms, bytes);
    exit_status st = out.failed ? cli_fail(EXIT_SYSTEM, "out of memory") : cli_write(NULL, out.at, out.n);
    buf_free(&out);
    return st;
}

static exit_status run(const cli_options *o, session *s)
{
    exit_status st = check_outputs(o, s);
    if (st == EXIT_DONE)
        st = session_prepare(s);
    if (st != EXIT_DONE)
        return st;
    double start = cli_now_ms();
    mp_status m = mp_forward(s->layer, s->data.graph);
    double forward_ms = cli_now_ms() - start;
    if (m)
        return cli_report(s->ctx, m);
    st = save_outputs(o, s);
    if (st != EXIT_DONE)
        return st;
    if (o->time)
        fprintf(stderr, "compile %.2f ms, prepare %.2f ms, forward %.2f ms\n", s->compile_ms, s->prepare_ms, forward_ms);
    if (o->json)
        return print_json(s, forward_ms);
    if (!o->out.n)
        print_table(s);
    return fflush(stdout) == 0 ? EXIT_DONE : cli_fail(EXIT_SYSTEM, "cannot write to standard output: %s", strerror(errno));
}

exit_status cmd_run(const cli_options *o)
{
    session s;
    exit_status st = session_open(o, &s);
    if (st == EXIT_DONE)
        st = run(o, &s);
    session_close(&s);
    return st;
}
