/* mpc explain: what became of the layers; with a graph in numbers. */
#include <stdlib.h>

#include "compiler/driver/emit.h"
#include "compiler/driver/explain.h"
#include "compiler/driver/session.h"
#include "runtime/layer.h"

/* Values of the static arguments as data settles them: dims[i], or 0 where they are open. */
static exit_status settle(session *s, int64_t **dims, double **reals, uint32_t *n)
{
    const desc_layer *l = s->layer->desc;
    dim_values v;
    *n = l->n_statics;
    *dims = calloc(*n + 1, sizeof **dims);
    *reals = calloc(*n + 1, sizeof **reals);
    if (!*dims || !*reals || !dim_values_make(s->ctx, l->n_symbols, &v))
        return cli_fail(EXIT_SYSTEM, "out of memory");
    dim_values_copy(&v, &s->layer->given);
    mp_status st = dims_settle(s->ctx, l, s->layer->shapes, layer_shapes(s->layer, NULL), &v);
    for (uint32_t i = 0; i < *n; i++) {
        const desc_static *d = &l->statics[i];
        (*reals)[i] = s->layer->reals[i];
        (*dims)[i] = d->symbol != DESC_NONE && v.known[d->symbol] ? v.value[d->symbol] : s->layer->plain_dims[i];
    }
    dim_values_free(s->ctx, &v);
    return st ? cli_report(s->ctx, st) : EXIT_DONE;
}

static exit_status explain_with_graph(const cli_options *o, session *s, compilation *c, buf *out)
{
    int64_t *dims = NULL;
    double *reals = NULL;
    uint32_t n = 0;
    exit_status st = settle(s, &dims, &reals, &n);
    if (st == EXIT_DONE) {
        c->opt.layer = mp_layer_name(s->layer);
        compile_result r = compile_parse(c, s->file.name, s->file.text, s->file.n);
        if (r == COMPILE_OK)
            r = compile_check(c);
        if (r == COMPILE_OK)
            r = compile_define(c, dims, reals, n);
        if (r == COMPILE_OK)
            r = compile_plan(c);
        st = cli_status(r);
        if (st != EXIT_DONE)
            cli_messages(c);
    }
    if (st == EXIT_DONE) {
        const mp_graph *g = s->data.graph;
        explain_graph about = {mp_graph_num_src(g), mp_graph_num_dst(g), mp_graph_num_edges(g), mp_graph_num_graphs(g)};
        explain_layer(&c->layers[0], &about, out);
        cli_time(o, c);
    }
    free(dims);
    free(reals);
    return st;
}

static exit_status explain_text(const cli_options *o, compilation *c, buf *out)
{
    file_text f;
    exit_status st = cli_read(o->input, &f);
    if (st != EXIT_DONE)
        return st;
    if (cli_is_library(&f)) {
        st = cli_fail(EXIT_WRONG, "%s: this is a library; explain wants the program", o->input);
    } else {
        c->opt.last_layer = false;
        st = cli_status(emit_text(c, f.name, f.text, f.n, MPC_EMIT_EXPLAIN, out));
        cli_messages(c);
        cli_time(o, c);
    }
    free(f.text);
    return st;
}

exit_status cmd_explain(const cli_options *o)
{
    compile_options co = options_compile(o);
    compilation *c = compile_new(&co);
    buf out = buf_make(NULL);
    session s = {0};
    exit_status st = c ? EXIT_DONE : cli_fail(EXIT_SYSTEM, "out of memory");
    if (st == EXIT_DONE && o->graph) {
        st = session_open(o, &s);
        if (st == EXIT_DONE && s.library)
            st = cli_fail(EXIT_WRONG, "%s: this is a library; explain wants the program", o->input);
        if (st == EXIT_DONE)
            st = explain_with_graph(o, &s, c, &out);
    } else if (st == EXIT_DONE) {
        st = explain_text(o, c, &out);
    }
    if (st == EXIT_DONE)
        st = out.failed ? cli_fail(EXIT_SYSTEM, "out of memory") : cli_write(o->output, out.at ? out.at : "", out.n);
    buf_free(&out);
    compile_free(c);
    session_close(&s);
    return st;
}
