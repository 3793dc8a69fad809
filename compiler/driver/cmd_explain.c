/* mpc explain: what became of the layers; with a graph in numbers. */
#include <stdlib.h>

#include "compiler/driver/emit.h"
#include "compiler/driver/explain.h"
#include "compiler/driver/session.h"

static exit_status explain_with_graph(const cli_options *o, session *s, compilation *c, buf *out)
{
    exit_status st = session_lower(s, c);
    if (st == EXIT_DONE && (st = cli_status(compile_plan(c))) != EXIT_DONE)
        cli_messages(c);
    if (st == EXIT_DONE) {
        const mp_graph *g = s->data.graph;
        explain_graph about = {mp_graph_num_src(g), mp_graph_num_dst(g), mp_graph_num_edges(g), mp_graph_num_graphs(g)};
        explain_layer(&c->layers[0], &about, out);
        cli_time(o, c);
    }
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
    co.programs = o->grad ? COMPILE_ALL : COMPILE_FORWARD;
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
