/* mpc run: a layer on a graph, its outputs to files. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "compiler/driver/session.h"
#include "runtime/convert.h"
#include "runtime/layer.h"

typedef VEC(char *) path_list;

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

static exit_status save(session *s, pending *p, const DLTensor *t, const char *path)
{
    for (uint32_t i = 0; i < p->files.n; i++)
        if (strcmp(p->files.at[i].path, path) == 0 && strcmp(p->files.at[i].temporary, path) != 0)
            return cli_fail(EXIT_USAGE, "%s: two results cannot go to one file", path);
    const char *temporary = pending_add(p, path);
    if (!temporary)
        return cli_fail(EXIT_SYSTEM, "out of memory");
    if (mp_npy_save(s->ctx, temporary, t) == MP_OK)
        return EXIT_DONE;
    /* the message, with the name that the user knows */
    const char *text = mp_error_message(s->ctx);
    size_t n = strlen(temporary);
    if (strncmp(text, temporary, n) == 0)
        return cli_fail(EXIT_SYSTEM, "%s%s", path, text + n);
    return cli_fail(EXIT_SYSTEM, "%s: %s", path, text);
}

static exit_status save_output(session *s, pending *p, const char *name, const char *path)
{
    DLManagedTensor *t;
    mp_status st = session_output(s, name, &t);
    if (st)
        return cli_report(s->ctx, st);
    exit_status end = save(s, p, &t->dl_tensor, path);
    t->deleter(t);
    return end;
}

static exit_status save_gradient(session *s, pending *p, const char *name, const char *path)
{
    const DLTensor *t = session_gradient(s, name);
    return t ? save(s, p, t, path) : EXIT_DONE;
}

typedef exit_status save_one(session *s, pending *p, const char *name, const char *path);

/* All outputs, or all gradients, into a folder, which is made if need be. `paths` keeps the names. */
static exit_status save_all(session *s, pending *p, mp_role role, save_one *one, const char *folder, path_list *paths)
{
    struct stat about;
    if (stat(folder, &about) != 0 && mkdir(folder, 0777) != 0)
        return cli_fail(EXIT_SYSTEM, "cannot make \"%s\": %s", folder, strerror(errno));
    for (int i = 0; i < mp_layer_count(s->layer, role); i++) {
        mp_value_info v = {.size = sizeof v};
        mp_layer_value(s->layer, role, i, &v);
        size_t size = strlen(folder) + strlen(v.name) + 8;
        char *path = malloc(size);
        if (!path || !vec_push(NULL, paths, path)) {
            free(path);
            return cli_fail(EXIT_SYSTEM, "out of memory");
        }
        snprintf(path, size, "%s%s.npy", folder, v.name);
        exit_status st = one(s, p, v.name, path);
        if (st != EXIT_DONE)
            return st;
    }
    return EXIT_DONE;
}

static exit_status save_results(const cli_options *o, session *s)
{
    pending p = {0};
    path_list paths = {0};
    exit_status st = EXIT_DONE;
    for (uint32_t i = 0; i < o->out.n && st == EXIT_DONE; i++) {
        const named_file *f = &o->out.at[i];
        st = f->name ? save_output(s, &p, f->name, f->file) : save_all(s, &p, MP_OUTPUT, save_output, f->file, &paths);
    }
    for (uint32_t i = 0; i < o->grad_out.n && st == EXIT_DONE; i++) {
        const named_file *f = &o->grad_out.at[i];
        st = f->name ? save_gradient(s, &p, f->name, f->file) : save_all(s, &p, MP_INPUT, save_gradient, f->file, &paths);
        if (!f->name && st == EXIT_DONE)
            st = save_all(s, &p, MP_PARAM, save_gradient, f->file, &paths);
    }
    exit_status end = pending_finish(&p, st == EXIT_DONE);
    for (uint32_t i = 0; i < paths.n; i++)
        free(paths.at[i]);
    vec_free(&paths);
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

static void print_line(const char *name, const DLTensor *t)
{
    char shape[TENSOR_TEXT];
    printf("%-16s %-20s %-9s ", name, tensor_shape_text(t->shape, t->ndim, shape, sizeof shape), type_text(t));
    summary u = summarize(t);
    if (u.count)
        printf("%12.6g %12.6g %12.6g", u.mean, u.min, u.max);
    else
        printf("%12s %12s %12s", "-", "-", "-");
    if (u.not_finite)
        printf("  (%lld not finite)", (long long)u.not_finite);
    putchar('\n');
}

static void print_gradients(session *s)
{
    printf("%-16s %-20s %-9s %12s %12s %12s\n", "gradient of", "shape", "type", "mean", "min", "max");
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < mp_layer_count(s->layer, k ? MP_PARAM : MP_INPUT); i++) {
            mp_value_info v = {.size = sizeof v};
            const DLTensor *t = mp_layer_value(s->layer, k ? MP_PARAM : MP_INPUT, i, &v) ? NULL : session_gradient(s, v.name);
            if (t)
                print_line(v.name, t);
        }
}

static void print_table(session *s)
{
    printf("%-16s %-20s %-9s %12s %12s %12s\n", "output", "shape", "type", "mean", "min", "max");
    for (int i = 0; i < mp_layer_count(s->layer, MP_OUTPUT); i++) {
        mp_value_info v = {.size = sizeof v};
        DLManagedTensor *t;
        if (mp_layer_value(s->layer, MP_OUTPUT, i, &v) != MP_OK || session_output(s, v.name, &t) != MP_OK)
            continue;
        print_line(v.name, &t->dl_tensor);
        t->deleter(t);
    }
    if (s->backward)
        print_gradients(s);
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

static void json_gradients(session *s, buf *out)
{
    const char *sep = "";
    buf_puts(out, ", \"gradients\": [");
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < mp_layer_count(s->layer, k ? MP_PARAM : MP_INPUT); i++) {
            mp_value_info v = {.size = sizeof v};
            const DLTensor *t = mp_layer_value(s->layer, k ? MP_PARAM : MP_INPUT, i, &v) ? NULL : session_gradient(s, v.name);
            if (!t)
                continue;
            buf_printf(out, "%s{\"name\": ", sep);
            cli_json_string(out, v.name);
            buf_puts(out, ", \"shape\": ");
            session_json_shape(t, out);
            buf_printf(out, ", \"type\": \"%s\"}", type_text(t));
            sep = ", ";
        }
    buf_putc(out, ']');
}

typedef struct times { double forward, backward; } times;

static exit_status print_json(session *s, times ms)
{
    size_t bytes = 0, saved = 0;
    buf out = buf_make(NULL);
    bytes = layer_workspace(s->layer);
    if (s->training)
        mp_tape_bytes(s->layer, s->data.graph, &saved);
    buf_putc(&out, '{');
    session_json_head(s, &out);
    json_outputs(s, &out);
    if (s->backward)
        json_gradients(s, &out);
    buf_printf(&out, ", \"compile_ms\": %.3f, \"prepare_ms\": %.3f, \"%s\": %.3f, \"workspace_bytes\": %zu", s->compile_ms,
               s->prepare_ms, s->training ? "forward_train_ms" : "forward_ms", ms.forward, bytes);
    if (s->backward)
        buf_printf(&out, ", \"backward_ms\": %.3f", ms.backward);
    if (s->training)
        buf_printf(&out, ", \"saved_bytes\": %zu", saved);
    buf_puts(&out, "}\n");
    exit_status st = out.failed ? cli_fail(EXIT_SYSTEM, "out of memory") : cli_write(NULL, out.at, out.n);
    buf_free(&out);
    return st;
}

static mp_status run_passes(const cli_options *o, session *s, times *ms)
{
    double start = cli_now_ms();
    mp_status m = s->training ? mp_forward_train(s->layer, s->data.graph, o->seed, &s->tape) : mp_forward(s->layer, s->data.graph);
    if (!m)
        m = mp_synchronize(s->ctx);
    double middle = cli_now_ms();
    if (!m && s->backward)
        m = mp_backward(s->layer, s->tape);
    if (!m)
        m = mp_synchronize(s->ctx);
    *ms = (times){middle - start, cli_now_ms() - middle};
    return m;
}

static exit_status run(const cli_options *o, session *s)
{
    times ms;
    exit_status st = check_outputs(o, s);
    if (st == EXIT_DONE)
        st = s->training ? session_prepare_training(s) : session_prepare(s);
    if (st != EXIT_DONE)
        return st;
    mp_status m = run_passes(o, s, &ms);
    if (m)
        return cli_report(s->ctx, m);
    st = save_results(o, s);
    if (st != EXIT_DONE)
        return st;
    if (o->time)
        fprintf(stderr, "compile %.2f ms, prepare %.2f ms, forward %.2f ms\n", s->compile_ms, s->prepare_ms, ms.forward);
    if (o->time && s->backward)
        fprintf(stderr, "backward %.2f ms\n", ms.backward);
    if (o->json)
        return print_json(s, ms);
    if (!o->out.n && !o->grad_out.n)
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
