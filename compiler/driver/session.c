/* Opening of programs with data: see session.h. */
#include "compiler/driver/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/driver/library.h"
#include "runtime/device.h"
#include "runtime/layer.h"

static void say(void *ud, const char *text)
{
    (void)ud;
    fprintf(stderr, "mpc: note: %s\n", text);
}

static exit_status open_module(const cli_options *o, session *s)
{
    exit_status st = cli_read(o->input, &s->file);
    if (st != EXIT_DONE)
        return st;
    s->library = cli_is_library(&s->file);
    if (s->library) {
        mp_status m = mp_module_load(s->ctx, o->input, &s->mod);
        return m ? cli_report(s->ctx, m) : EXIT_DONE;
    }
    buf messages = buf_make(NULL);
    jit_options jo = {.compile = options_compile(o), .no_cache = o->no_cache, .ms = &s->compile_ms};
    mp_status m = library_compile(s->ctx, s->file.name, s->file.text, s->file.n, &jo, &messages, &s->mod);
    fputs(buf_text(&messages), stderr);
    if (m && !messages.n)
        cli_report(s->ctx, m);
    buf_free(&messages);
    return m == MP_UNSUPPORTED ? EXIT_WRONG : cli_exit_of(m);
}

/* ---- Derivatives ------------------------------------------------------------------------------------------------- */

static mp_status check_cotangents(const cli_options *o, const session *s)
{
    mp_role role;
    uint32_t i;
    for (uint32_t k = 0; k < o->cotangents.n; k++) {
        mp_status st = layer_find(s->layer, o->cotangents.at[k].name, &role, &i);
        if (!st && role != MP_OUTPUT)
            st = error_set(s->ctx, MP_INVALID, "--cotangent %s: only outputs have cotangents", o->cotangents.at[k].name);
        if (st)
            return st;
    }
    for (uint32_t k = 0; k < o->grad_out.n; k++) {
        if (!o->grad_out.at[k].name)
            continue;
        mp_status st = layer_find(s->layer, o->grad_out.at[k].name, &role, &i);
        if (!st && role == MP_OUTPUT)
            st = error_set(s->ctx, MP_INVALID, "--grad-out %s: this is an output; inputs and params have gradients",
                           o->grad_out.at[k].name);
        if (st)
            return st;
    }
    return MP_OK;
}

/* All gradients that are asked for: those named, or every one that the layer has. */
static mp_status bind_gradients(const cli_options *o, session *s)
{
    const desc_layer *l = s->layer->desc;
    mp_status st = MP_OK;
    for (uint32_t i = 0; i < l->n_inputs && !st; i++) {
        bool asked = !o->grad_out.n;
        for (uint32_t k = 0; k < o->grad_out.n; k++)
            asked |= !o->grad_out.at[k].name || strcmp(o->grad_out.at[k].name, l->inputs[i].name) == 0;
        if (asked && l->inputs[i].differentiable)
            st = bind_gradient(s->layer, &s->data, i);
    }
    return st;
}

/* A name that has no gradient says why. */
static mp_status check_gradients(const cli_options *o, session *s)
{
    DLTensor none = {0};
    for (uint32_t k = 0; k < o->grad_out.n; k++) {
        mp_value_info v = {.size = sizeof v};
        const char *name = o->grad_out.at[k].name;
        if (!name || mp_layer_find(s->layer, name, &v) != MP_OK || v.differentiable)
            continue;
        return mp_bind_grad(s->layer, name, &none, 0);
    }
    return layer_trains(s->layer);
}

exit_status session_bind_gradients(const cli_options *o, session *s)
{
    mp_status st = check_gradients(o, s);
    for (uint32_t k = 0; k < o->cotangents.n && !st; k++)
        st = bind_cotangent(s->layer, &s->data, o->cotangents.at[k].name, o->cotangents.at[k].file);
    if (!st)
        st = bind_gradients(o, s);
    if (st == MP_UNSUPPORTED)
        return cli_report(s->ctx, st), EXIT_WRONG;
    return st ? cli_report(s->ctx, st) : EXIT_DONE;
}

const DLTensor *session_gradient(const session *s, const char *name)
{
    mp_role role;
    uint32_t i;
    if (layer_find(s->layer, name, &role, &i) != MP_OK || role == MP_OUTPUT || !s->data.gradients || !s->data.gradients[i])
        return NULL;
    return &s->data.gradients[i]->dl_tensor;
}

/* ---- Outputs ----------------------------------------------------------------------------------------------------- */

/* The memory of a tensor that is only looked at. */
static void keep(void *ud)
{
    (void)ud;
}

mp_status session_output(const session *s, const char *name, DLManagedTensor **out)
{
    DLTensor t;
    tensor_type type = TENSOR_F32;
    mp_status st = mp_output(s->layer, name, &t);
    if (st)
        return st;
    tensor_type_of(t.dtype, &type);
    return tensor_on_device(&t) ? mp_tensor_to(s->ctx, &t, (DLDevice){kDLCPU, 0}, out)
                                : tensor_wrap(s->ctx, type, t.ndim, t.shape, t.strides, tensor_data(&t), keep, NULL, out);
}

/* ---- Open and close ---------------------------------------------------------------------------------------------- */

exit_status session_open(const cli_options *o, session *s)
{
    *s = (session){0};
    if (o->cuda && o->cpu)
        return cli_fail(EXIT_USAGE, "one --target to run on: cpu or cuda");
    mp_context_options co = {.threads = o->threads, .log = o->verbose ? say : NULL, .tf32 = o->tf32, .device = {o->cuda ? kDLCUDA : kDLCPU, 0}};
    if (mp_context_create(&co, &s->ctx) != MP_OK)
        return cli_fail(EXIT_SYSTEM, "%s", mp_error_message(NULL));
    if (o->cuda && device_open(s->ctx, NULL) != MP_OK)
        return cli_fail(EXIT_SYSTEM, "--target cuda: %s", mp_error_message(s->ctx));
    exit_status st = cli_check_arch(o);
    if (st == EXIT_DONE)
        st = open_module(o, s);
    if (st != EXIT_DONE || !o->graph)
        return st;
    mp_status m = layer_with_defines(s->ctx, s->mod, o, s->library, &s->layer);
    if (m)
        return cli_report(s->ctx, m);
    m = check_cotangents(o, s);
    if (m)
        return cli_report(s->ctx, m);
    s->backward = o->command != CMD_CHECK && (o->cotangents.n || o->grad_out.n || o->backward);
    s->training = s->backward || o->train;
    s->layer->no_dropout = !o->train && o->command != CMD_CHECK;     /* a check is of both passes */
    m = bind_data(s->ctx, s->layer, o, &s->data);
    if (m)
        return cli_report(s->ctx, m);
    return s->backward ? session_bind_gradients(o, s) : EXIT_DONE;
}

/* Values for the dims that neither -D nor a default settles, the n-th attempt: odd ones, then ones that divide well. */
static uint32_t made_dims(const mp_layer *layer, int attempt, mp_static *out)
{
    static const int64_t odd[] = {5, 3, 7, 2, 6, 4};
    const desc_layer *l = layer->desc;
    uint32_t n = 0;
    for (uint32_t i = 0; i < l->n_statics; i++) {
        const desc_static *d = &l->statics[i];
        if (!d->real && !d->fixed && !d->has_default && d->symbol != DESC_NONE && !layer->given.known[d->symbol]) {
            int64_t value = attempt == 0 ? odd[n % 6] : attempt == 1 ? 4 : attempt == 2 ? (n ? 2 : 8) : 1;
            out[n++] = (mp_static)MP_DIM(d->name, value);
        }
    }
    return n;
}

enum { ATTEMPTS = 4 };

exit_status session_begin(const cli_options *o, session *s, mp_graph *g)
{
    mp_static *made = NULL;
    mp_status m = MP_OK;
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        mp_layer *open = NULL;
        m = layer_with_defines(s->ctx, s->mod, o, s->library, &open);
        if (!m && !made)
            made = calloc(open->desc->n_statics + 1, sizeof *made);
        uint32_t n = !m && made ? made_dims(open, attempt, made) : 0;
        if (!m && made)
            m = mp_layer_create(s->mod, o->layer, made, (int)n, &s->layer);
        mp_layer_destroy(open);
        if (m || !made)
            continue;
        bound_data data = {0};
        m = bind_data_on(s->ctx, s->layer, o, g, &data);
        s->data = data;
        if (!m) {
            free(made);
            return EXIT_DONE;
        }
        s->data.graph = NULL;           /* kept for the next attempt */
        session_end(s);
    }
    free(made);
    mp_graph_destroy(g);
    return m ? cli_report(s->ctx, m) : cli_fail(EXIT_SYSTEM, "out of memory");
}

void session_end(session *s)
{
    mp_layer_destroy(s->layer);
    bound_data_free(&s->data);
    s->layer = NULL;
}

static exit_status prepare(session *s, bool training)
{
    double start = cli_now_ms(), before = s->compile_ms;
    size_t bytes;
    mp_status m = training ? mp_tape_bytes(s->layer, s->data.graph, &bytes) : mp_prepare(s->layer, s->data.graph);
    s->prepare_ms = cli_now_ms() - start - (s->compile_ms - before);
    if (m == MP_UNSUPPORTED && !s->library) {       /* the program is more than the compiler takes */
        cli_report(s->ctx, m);
        return EXIT_WRONG;
    }
    return m ? cli_report(s->ctx, m) : EXIT_DONE;
}

exit_status session_prepare(session *s)
{
    return prepare(s, false);
}

exit_status session_prepare_training(session *s)
{
    return prepare(s, true);
}

/* Values of the static arguments as data settles them: dims[i], or 0 where they are open. */
static mp_status settle(session *s, int64_t *dims, double *reals)
{
    const desc_layer *l = s->layer->desc;
    dim_values v;
    if (!dim_values_make(s->ctx, l->n_symbols, &v))
        return MP_SYSTEM;
    dim_values_copy(&v, &s->layer->given);
    mp_status st = dims_settle(s->ctx, l, s->layer->shapes, layer_shapes(s->layer, NULL), &v);
    for (uint32_t i = 0; i < l->n_statics; i++) {
        const desc_static *d = &l->statics[i];
        reals[i] = s->layer->reals[i];
        dims[i] = d->symbol != DESC_NONE && v.known[d->symbol] ? v.value[d->symbol] : s->layer->plain_dims[i];
    }
    dim_values_free(s->ctx, &v);
    return st;
}

exit_status session_lower(session *s, compilation *c)
{
    uint32_t n = s->layer->desc->n_statics;
    int64_t *dims = calloc(n + 1, sizeof *dims);
    double *reals = calloc(n + 1, sizeof *reals);
    mp_status m = dims && reals ? settle(s, dims, reals) : error_memory(s->ctx, 0, "static arguments");
    exit_status st = m ? cli_report(s->ctx, m) : EXIT_DONE;
    if (st == EXIT_DONE) {
        c->opt.layer = mp_layer_name(s->layer);
        compile_result r = compile_parse(c, s->file.name, s->file.text, s->file.n);
        if (r == COMPILE_OK)
            r = compile_check(c);
        if (r == COMPILE_OK)
            r = compile_define(c, dims, reals, n);
        if (r == COMPILE_OK)
            r = compile_lower(c);
        st = cli_status(r);
        if (st != EXIT_DONE)
            cli_messages(c);
    }
    free(dims);
    free(reals);
    return st;
}

void session_close(session *s)
{
    mp_tape_destroy(s->tape);
    mp_layer_destroy(s->layer);
    bound_data_free(&s->data);
    mp_module_destroy(s->mod);
    free(s->file.text);
    mp_context_destroy(s->ctx);
    *s = (session){0};
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

void session_json_dims(const session *s, buf *out)
{
    buf_putc(out, '{');
    for (int i = 0, n = 0; i < mp_layer_num_statics(s->layer); i++) {
        mp_static_info v = {.size = sizeof v};
        if (mp_layer_static(s->layer, i, &v) != MP_OK || !v.settled)
            continue;
        buf_puts(out, n++ ? ", " : "");
        cli_json_string(out, v.name);
        buf_puts(out, ": ");
        if (v.kind == MP_STATIC_REAL)
            cli_json_number(out, v.real);
        else
            buf_printf(out, "%lld", (long long)v.dim);
    }
    buf_putc(out, '}');
}

void session_json_shape(const DLTensor *t, buf *out)
{
    buf_putc(out, '[');
    for (int i = 0; i < t->ndim; i++)
        buf_printf(out, "%s%lld", i ? ", " : "", (long long)t->shape[i]);
    buf_putc(out, ']');
}

void session_json_head(const session *s, buf *out)
{
    const mp_graph *g = s->data.graph;
    buf_puts(out, "\"layer\": ");
    cli_json_string(out, mp_layer_name(s->layer));
    buf_printf(out, ", \"target\": \"%s\", \"threads\": %d, \"nodes\": %lld", context_on_device(s->ctx) ? "cuda" : "cpu", mp_context_threads(s->ctx),
               (long long)mp_graph_num_src(g));
    if (mp_graph_num_dst(g) != mp_graph_num_src(g))
        buf_printf(out, ", \"dst_nodes\": %lld", (long long)mp_graph_num_dst(g));
    buf_printf(out, ", \"edges\": %lld, \"graphs\": %lld, \"dims\": ", (long long)mp_graph_num_edges(g),
               (long long)mp_graph_num_graphs(g));
    session_json_dims(s, out);
}
