/* mpc check: the layer's code beside the reference interpreter, on the same data.
 *
 * The interpreter runs the equations as they were written, before any pass, in double precision, and once more with
 * every operation rounded to the layer's types: how far that is from exact says what error is plain rounding. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/driver/session.h"
#include "compiler/ir/interp.h"
#include "runtime/convert.h"
#include "runtime/graph.h"
#include "runtime/layer.h"

enum { MOST_ELEMENTS = 200000000 };     /* that the interpreter is given to hold */

typedef struct reference {
    interp_graph graph;
    int32_t *src, *dst;
    double **inputs;
    interp_data *data;
    double *reals;
    interp_result exact, rounded;
} reference;

typedef struct verdict { const char *name; double error, allowed; int64_t wrong, n; } verdict;

static void *room(int64_t n, size_t size)
{
    return calloc((size_t)(n > 0 ? n : 1), size);
}

/* ---- The reference ----------------------------------------------------------------------------------------------- */

static exit_status take_graph(session *s, reference *r)
{
    mp_graph *g = s->data.graph;
    int64_t *wide = room(2 * g->n_edges, sizeof *wide);
    r->src = room(g->n_edges, sizeof *r->src);
    r->dst = room(g->n_edges, sizeof *r->dst);
    bool ok = wide && r->src && r->dst;
    if (ok && mp_graph_edges(g, wide, wide + g->n_edges) != MP_OK) {
        free(wide);
        return cli_report(s->ctx, MP_SYSTEM);
    }
    for (int64_t i = 0; ok && i < g->n_edges; i++) {
        r->src[i] = (int32_t)wide[i];
        r->dst[i] = (int32_t)wide[g->n_edges + i];
    }
    free(wide);
    r->graph = (interp_graph){.n_src = g->n_src, .n_dst = g->n_dst, .n_edges = g->n_edges, .src = r->src, .dst = r->dst,
                              .square = g->is_square, .n_graphs = g->n_graphs, .graph_ptr = g->n_graphs > 1 ? g->node_ptr : NULL,
                              .degrees = g->given_in};
    return ok ? EXIT_DONE : cli_fail(EXIT_SYSTEM, "out of memory");
}

static exit_status take_inputs(session *s, reference *r)
{
    const desc_layer *l = s->layer->desc;
    r->inputs = room(l->n_inputs, sizeof *r->inputs);
    r->data = room(l->n_inputs, sizeof *r->data);
    r->reals = room(l->n_statics, sizeof *r->reals);
    if (!r->inputs || !r->data || !r->reals)
        return cli_fail(EXIT_SYSTEM, "out of memory");
    for (uint32_t i = 0; i < l->n_inputs; i++) {
        const DLTensor *t = &s->data.arrays[i]->dl_tensor;
        int64_t n = tensor_count(t);
        r->inputs[i] = room(n, sizeof(double));
        if (!r->inputs[i])
            return cli_fail(EXIT_SYSTEM, "out of memory");
        convert_in(s->ctx, t, TENSOR_F64, r->inputs[i]);
        r->data[i] = (interp_data){r->inputs[i], n};
    }
    for (uint32_t i = 0; i < l->n_statics; i++)
        r->reals[i] = s->layer->reals[i];
    return EXIT_DONE;
}

static int64_t rows_of(const mp_graph *g, const ir_layer *l, ir_dom d)
{
    const ir_domain *dom = &l->domains[d.i];
    int64_t range = 1;
    switch (dom->kind) {
    case DOM_NODES: return dom->side == SIDE_SRC ? g->n_src : g->n_dst;
    case DOM_EDGES: return g->n_edges;
    case DOM_GRAPHS: return g->n_graphs;
    case DOM_INDEX: dim_is_const(l->dims, dom->range, &range); return range;
    case DOM_PAIR: return g->n_edges;
    case DOM_UNIT: break;
    }
    return 1;
}

/* Elements of all values together: the interpreter keeps each. */
static double elements(const mp_graph *g, const ir_layer *l)
{
    double all = 0;
    for (uint32_t i = 1; i < l->n_nodes; i++) {
        const ir_node *n = &l->nodes[i];
        double elems = (double)rows_of(g, l, n->dom);
        for (uint32_t k = 0; k < n->rank; k++) {
            int64_t x = 1;
            dim_is_const(l->dims, n->shape[k], &x);
            elems *= (double)x;
        }
        all += elems;
    }
    return all;
}

static exit_status interpret(session *s, const ir_layer *l, reference *r)
{
    exit_status st = take_graph(s, r);
    if (st == EXIT_DONE)
        st = take_inputs(s, r);
    if (st != EXIT_DONE)
        return st;
    interp_call call = {.graph = &r->graph, .reals = r->reals, .inputs = r->data};
    if (!interp_run(l, &call, &r->exact))
        return cli_fail(EXIT_WRONG, "the interpreter: %s", r->exact.why);
    call.round = true;
    if (!interp_run(l, &call, &r->rounded))
        return cli_fail(EXIT_WRONG, "the interpreter: %s", r->rounded.why);
    return EXIT_DONE;
}

static void reference_free(reference *r, uint32_t n_inputs)
{
    for (uint32_t i = 0; r->inputs && i < n_inputs; i++)
        free(r->inputs[i]);
    free(r->inputs);
    free(r->data);
    free(r->reals);
    free(r->src);
    free(r->dst);
    interp_free(&r->exact);
    interp_free(&r->rounded);
}

/* ---- Comparison -------------------------------------------------------------------------------------------------- */

static double unit_of(ir_type t)
{
    switch (t) {
    case T_F64: return 0x1p-53;
    case T_F32: return 0x1p-24;
    case T_F16: return 0x1p-11;
    case T_BF16: return 0x1p-8;
    case T_INDEX: case T_BOOL: case T_MAP: break;
    }
    return 0;
}

/* Errors of rounding are allowed some dozen times over: code adds in another order. Where rounding alone decides
 * between finite and not, or which side of a threshold a truth value is on, nothing is compared. */
static verdict compare(const char *name, ir_type type, const double *got, const double *exact, const double *rounded, int64_t n)
{
    double largest = 0, rounding = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(exact[i]) || !isfinite(rounded[i]))
            continue;
        largest = fmax(largest, fabs(exact[i]));
        rounding = fmax(rounding, fabs(exact[i] - rounded[i]));
    }
    bool plain = type == T_INDEX || type == T_BOOL;
    verdict v = {.name = name, .allowed = plain ? 0 : 32 * rounding + 64 * unit_of(type) * largest, .n = n};
    for (int64_t i = 0; i < n; i++) {
        bool same = got[i] == exact[i] || (isnan(got[i]) && isnan(exact[i]));
        bool decided = plain ? exact[i] == rounded[i] : isfinite(exact[i]) == isfinite(rounded[i]);
        if (same || !decided)
            continue;
        double error = fabs(got[i] - exact[i]);
        if (isfinite(error))
            v.error = fmax(v.error, error);
        v.wrong += !isfinite(error) || error > v.allowed;
    }
    return v;
}

static exit_status compare_output(session *s, const ir_layer *l, const reference *r, uint32_t i, verdict *out)
{
    DLTensor t;
    mp_status m = mp_output(s->layer, l->outputs[i].name, &t);
    if (m)
        return cli_report(s->ctx, m);
    int64_t n = tensor_count(&t);
    const interp_array *e = &r->exact.outputs[i];
    if (n != e->n)
        return cli_fail(EXIT_WRONG, "%s has %lld elements, the interpreter's has %lld", l->outputs[i].name, (long long)n,
                        (long long)e->n);
    double *got = room(n, sizeof *got);
    if (!got)
        return cli_fail(EXIT_SYSTEM, "out of memory");
    convert_in(s->ctx, &t, TENSOR_F64, got);
    *out = compare(l->outputs[i].name, (ir_type)ir_at(l, l->outputs[i].value)->type, got, e->at, r->rounded.outputs[i].at, n);
    free(got);
    return EXIT_DONE;
}

static exit_status report(const cli_options *o, session *s, const verdict *v, uint32_t n)
{
    bool wrong = false;
    buf out = buf_make(NULL);
    if (o->json) {
        buf_putc(&out, '{');
        session_json_head(s, &out);
        buf_puts(&out, ", \"outputs\": [");
    }
    for (uint32_t i = 0; i < n; i++) {
        wrong |= v[i].wrong != 0;
        if (o->json) {
            buf_printf(&out, "%s{\"name\": ", i ? ", " : "");
            cli_json_string(&out, v[i].name);
            buf_printf(&out, ", \"right\": %s, \"max_error\": ", v[i].wrong ? "false" : "true");
            cli_json_number(&out, v[i].error);
            buf_puts(&out, ", \"allowed\": ");
            cli_json_number(&out, v[i].allowed);
            buf_putc(&out, '}');
        } else {
            buf_printf(&out, "%-16s %s: largest error %.3g, allowed %.3g", v[i].name, v[i].wrong ? "WRONG" : "right", v[i].error,
                       v[i].allowed);
            if (v[i].wrong)
                buf_printf(&out, "; %lld of %lld elements are off", (long long)v[i].wrong, (long long)v[i].n);
            buf_putc(&out, '\n');
        }
    }
    buf_puts(&out, o->json ? "]}\n" : "");
    exit_status st = cli_write(NULL, buf_text(&out), out.n);
    buf_free(&out);
    return st ? st : wrong ? EXIT_WRONG : EXIT_DONE;
}

static exit_status check(const cli_options *o, session *s, compilation *c)
{
    reference r = {0};
    exit_status st = session_lower(s, c);
    if (st != EXIT_DONE)
        return st;
    const ir_layer *l = c->layers[0].lowered;
    if (elements(s->data.graph, l) > MOST_ELEMENTS)
        return cli_fail(EXIT_WRONG, "the reference interpreter keeps every value: this graph with these dims is too large for it");
    st = session_prepare(s);
    mp_status m = st == EXIT_DONE ? mp_forward(s->layer, s->data.graph) : MP_OK;
    if (m)
        st = cli_report(s->ctx, m);
    if (st != EXIT_DONE)
        return st;
    verdict *v = room(l->n_outputs, sizeof *v);
    st = v ? interpret(s, l, &r) : cli_fail(EXIT_SYSTEM, "out of memory");
    for (uint32_t i = 0; i < l->n_outputs && st == EXIT_DONE; i++)
        st = compare_output(s, l, &r, i, &v[i]);
    if (st == EXIT_DONE)
        st = report(o, s, v, l->n_outputs);
    reference_free(&r, l->n_inputs);
    free(v);
    return st;
}

exit_status cmd_check(const cli_options *o)
{
    session s;
    compile_options co = options_compile(o);
    compilation *c = compile_new(&co);
    exit_status st = session_open(o, &s);
    if (st == EXIT_DONE && s.library)
        st = cli_fail(EXIT_WRONG, "%s: this is a library; check wants the program", o->input);
    if (st == EXIT_DONE)
        st = c ? check(o, &s, c) : cli_fail(EXIT_SYSTEM, "out of memory");
    compile_free(c);
    session_close(&s);
    return st;
}
