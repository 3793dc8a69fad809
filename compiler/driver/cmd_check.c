/* mpc check: derivatives against differences, and the layer's code beside the reference interpreter, on the same data.
 *
 * The interpreter runs the equations as they were written, before any pass, in double precision; which errors are plain rounding
 * is in check_expected.h. Without --graph all of it is done on graphs that are made up, and what is reported of a value is the
 * worst of them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/driver/check_expected.h"
#include "compiler/driver/check_graphs.h"
#include "runtime/convert.h"
#include "runtime/graph.h"
#include "runtime/layer.h"

enum { MOST_ELEMENTS = 200000000 };     /* that the interpreter is given to hold */

typedef enum finding_kind { FOUND_OUTPUT, FOUND_SLOPE, FOUND_GRADIENT, FOUND_KINDS } finding_kind;

/* Of a value, on the graph where it was worst. */
typedef struct finding {
    finding_kind kind;
    const char *name, *graph;
    double error, allowed;
    int64_t wrong, n;                   /* elements; of slopes directions */
    int64_t kinks;                      /* of all directions tried, those where the function was not smooth */
    int64_t tried;
} finding;

typedef struct checking {
    const cli_options *o;
    session *s;
    compilation *c;
    joint joint;
    bool lowered, derivatives, coded;   /* derivatives are wanted; the code has some */
    VEC(finding) findings;
    VEC(const char *) graphs;
    bool full;                          /* there was no memory for one */
} checking;

static void *room(int64_t n, size_t size)
{
    return calloc((size_t)(n > 0 ? n : 1), size);
}

/* ---- Comparison -------------------------------------------------------------------------------------------------- */

static double badness(const finding *f)
{
    return f->wrong ? 1e300 : f->allowed > 0 ? f->error / f->allowed : f->error > 0 ? 1e300 : 0;
}

/* Keeps the worse of what was known of the value and this. */
static void found(checking *k, finding f)
{
    for (uint32_t i = 0; i < k->findings.n; i++) {
        finding *old = &k->findings.at[i];
        if (old->kind != f.kind || strcmp(old->name, f.name) != 0)
            continue;
        f.tried += old->tried;
        f.kinks += old->kinks;
        if (badness(&f) > badness(old)) {
            *old = f;
        } else {
            old->tried = f.tried;
            old->kinks = f.kinks;
        }
        return;
    }
    k->full |= !vec_push(NULL, &k->findings, f);
}

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
static finding compare(ir_type type, const double *got, const expected *e, uint32_t output)
{
    const double *exact = e->exact.outputs[output].at;
    const int64_t n = e->exact.outputs[output].n;
    double largest = 0;
    for (int64_t i = 0; i < n; i++)
        largest = isfinite(exact[i]) && !e->open[output][i] ? fmax(largest, fabs(exact[i])) : largest;
    bool plain = type == T_INDEX || type == T_BOOL;
    finding v = {.allowed = plain ? 0 : 32 * e->rounding[output] + 64 * unit_of(type) * largest, .n = n};
    for (int64_t i = 0; i < n; i++) {
        bool same = got[i] == exact[i] || (isnan(got[i]) && isnan(exact[i]));
        if (same || e->open[output][i])
            continue;
        double error = fabs(got[i] - exact[i]);
        if (isfinite(error))
            v.error = fmax(v.error, error);
        v.wrong += !isfinite(error) || error > v.allowed;
    }
    return v;
}

/* What the code made of output `i` of the joint layer. */
static exit_status compare_array(checking *k, finding_kind kind, const char *graph, const expected *e, uint32_t i, const DLTensor *t)
{
    const ir_layer *l = k->joint.l;
    int64_t n = tensor_count(t), want = e->exact.outputs[i].n;
    if (n != want)
        return cli_fail(EXIT_WRONG, "%s has %lld elements, the interpreter's has %lld", l->outputs[i].name, (long long)n,
                        (long long)want);
    double *got = room(n, sizeof *got);
    if (!got)
        return cli_fail(EXIT_SYSTEM, "out of memory");
    convert_in(k->s->ctx, t, TENSOR_F64, got);
    finding f = compare((ir_type)ir_at(l, l->outputs[i].value)->type, got, e, i);
    f.kind = kind;
    f.name = l->outputs[i].name;
    f.graph = graph;
    found(k, f);
    free(got);
    return EXIT_DONE;
}

static exit_status compare_outputs(checking *k, const char *graph, const expected *e)
{
    exit_status st = EXIT_DONE;
    for (uint32_t i = 0; i < k->joint.n_outputs && st == EXIT_DONE; i++) {
        DLManagedTensor *t = NULL;
        mp_status m = session_output(k->s, k->joint.l->outputs[i].name, &t);
        st = m ? cli_report(k->s->ctx, m) : compare_array(k, FOUND_OUTPUT, graph, e, i, &t->dl_tensor);
        if (t)
            t->deleter(t);
    }
    return st;
}

/* ---- Gradients of the code --------------------------------------------------------------------------------------- */

static mp_status bind_cotangents(checking *k, const reference *r)
{
    mp_status m = MP_OK;
    for (uint32_t i = 0; i < k->joint.n_outputs && !m; i++) {
        DLTensor t;
        if (!k->joint.cotangent[i])
            continue;
        m = mp_output(k->s->layer, k->joint.l->outputs[i].name, &t);
        t = (DLTensor){.data = r->inputs[k->joint.cotangent[i]], .device = {kDLCPU, 0}, .ndim = t.ndim, .dtype = {kDLFloat, 64, 1},
                       .shape = t.shape};
        if (!m)
            m = mp_bind_grad(k->s->layer, k->joint.l->outputs[i].name, &t, 0);
    }
    return m;
}

static mp_status bind_gradients(checking *k, double **grads)
{
    mp_status m = MP_OK;
    const desc_layer *l = k->s->layer->desc;
    for (uint32_t i = 0; i < l->n_inputs && !m; i++) {
        if (!l->inputs[i].differentiable || !k->joint.gradient[i])
            continue;
        DLTensor t = k->s->data.arrays[i]->dl_tensor;
        grads[i] = room(tensor_count(&t), sizeof(double));
        if (!grads[i])
            return error_memory(k->s->ctx, 0, "gradients");
        t.data = grads[i];
        t.byte_offset = 0;
        t.strides = NULL;
        t.dtype = (DLDataType){kDLFloat, 64, 1};
        m = mp_bind_grad(k->s->layer, l->inputs[i].name, &t, 0);
    }
    return m;
}

static exit_status compare_gradients(checking *k, const char *graph, const expected *e, double **grads)
{
    exit_status st = EXIT_DONE;
    for (uint32_t i = 0; i < k->joint.n_inputs && st == EXIT_DONE; i++) {
        if (!grads[i])
            continue;
        DLTensor t = k->s->data.arrays[i]->dl_tensor;
        t.data = grads[i];
        t.byte_offset = 0;
        t.strides = NULL;
        t.dtype = (DLDataType){kDLFloat, 64, 1};
        st = compare_array(k, FOUND_GRADIENT, graph, e, k->joint.gradient[i], &t);
    }
    return st;
}

/* The training pass and its backward beside the interpreter. */
static exit_status check_code(checking *k, const char *graph, const reference *r)
{
    expected e = {0};
    mp_tape *tape = NULL;
    double **grads = room(k->joint.n_inputs, sizeof *grads);
    exit_status st = grads ? expected_make(r, &k->c->layers[0], true, &e) : cli_fail(EXIT_SYSTEM, "out of memory");
    if (st == EXIT_DONE) {
        mp_status m = bind_cotangents(k, r);
        if (!m)
            m = bind_gradients(k, grads);
        if (!m)
            m = mp_forward_train(k->s->layer, k->s->data.graph, r->seed, &tape);
        if (!m)
            m = mp_backward(k->s->layer, tape);
        st = m ? cli_report(k->s->ctx, m) : compare_outputs(k, graph, &e);
    }
    if (st == EXIT_DONE)
        st = compare_gradients(k, graph, &e, grads);
    mp_tape_destroy(tape);
    for (uint32_t i = 0; grads && i < k->joint.n_inputs; i++)
        free(grads[i]);
    free(grads);
    expected_free(&e);
    return st;
}

/* ---- One graph --------------------------------------------------------------------------------------------------- */

static exit_status check_slopes(checking *k, const char *graph, reference *r)
{
    exit_status st = EXIT_DONE;
    for (uint32_t i = 0; i < k->joint.n_inputs && st == EXIT_DONE; i++) {
        slope s;
        if (!k->joint.gradient[i])
            continue;
        st = reference_slope(r, i, &s);
        if (st == EXIT_DONE)
            found(k, (finding){.kind = FOUND_SLOPE, .name = k->joint.l->inputs[i].name, .graph = graph, .error = fabs(s.told - s.seen),
                               .allowed = s.allowed, .wrong = s.wrong, .n = s.tried, .tried = s.tried, .kinks = s.kinks});
    }
    return st;
}

static exit_status lower_once(checking *k)
{
    if (k->lowered)
        return EXIT_DONE;
    exit_status st = session_lower(k->s, k->c);
    if (st == EXIT_DONE)
        st = joint_make(k->c->mem, k->c->layers[0].lowered, k->derivatives, &k->joint);
    k->lowered = true;
    const desc_layer *l = k->s->layer->desc;
    for (uint32_t i = 0; i < l->n_inputs; i++)
        k->coded |= k->derivatives && l->inputs[i].differentiable;
    return st;
}

static exit_status check_graph(checking *k, const char *graph)
{
    expected e = {0};
    reference r = {0};
    exit_status st = lower_once(k);
    if (st == EXIT_DONE && joint_elements(&k->joint, k->s->data.graph) > MOST_ELEMENTS)
        st = cli_fail(EXIT_WRONG, "the reference interpreter keeps every value: this graph with these dims is too large for it");
    if (st == EXIT_DONE)
        st = session_prepare(k->s);
    mp_status m = st == EXIT_DONE ? mp_forward(k->s->layer, k->s->data.graph) : MP_OK;
    if (m)
        st = cli_report(k->s->ctx, m);
    if (st != EXIT_DONE)
        return st;
    k->full |= !vec_push(NULL, &k->graphs, graph);
    st = reference_make(k->s, &k->joint, k->o->seed, &r);
    if (st == EXIT_DONE)
        st = expected_make(&r, &k->c->layers[0], false, &e);
    if (st == EXIT_DONE)
        st = compare_outputs(k, graph, &e);
    if (st == EXIT_DONE && k->coded)
        st = check_code(k, graph, &r);
    if (st == EXIT_DONE && k->derivatives)
        st = check_slopes(k, graph, &r);
    expected_free(&e);
    reference_free(&r);
    return st;
}

/* ---- All graphs -------------------------------------------------------------------------------------------------- */

static bool has_two_sides(const checking *k)
{
    const desc_module *m = k->s->mod->desc;
    const desc_layer *l = m->n_layers ? &m->layers[m->n_layers - 1] : NULL;
    bool two = false;
    for (uint32_t i = 0; k->o->layer && i < m->n_layers; i++)
        l = strcmp(m->layers[i].name, k->o->layer) ? l : &m->layers[i];
    for (uint32_t i = 0; l && i < l->n_inputs; i++)
        two |= l->inputs[i].rows == ROWS_DST;
    return two;
}

/* Layers may want a square graph: blocks are tried, and left out where they are refused. */
static bool refused(checking *k, int number)
{
    return check_graph_is_block(number) && mp_prepare(k->s->layer, k->s->data.graph) == MP_INVALID;
}

static exit_status check_made(checking *k)
{
    bool two_sides = has_two_sides(k);
    exit_status st = EXIT_DONE;
    for (int i = 0; i < CHECK_GRAPHS && st == EXIT_DONE; i++) {
        mp_graph *g = NULL;
        if (check_graph_two_sided(i) != two_sides)
            continue;
        mp_status m = check_graph_make(k->s->ctx, i, k->o->seed, &g);
        if (m)
            return cli_report(k->s->ctx, m);
        if (k->s->layer)            /* the last one stays, for the report */
            session_end(k->s);
        st = session_begin(k->o, k->s, g);
        if (st == EXIT_DONE && !refused(k, i))
            st = check_graph(k, check_graph_name(i));
    }
    return st;
}

/* ---- The report -------------------------------------------------------------------------------------------------- */

static const char *verdict(const finding *f)
{
    if (f->wrong)
        return "WRONG";
    return f->kind == FOUND_SLOPE && f->tried && f->kinks == f->tried ? "not told" : "right";
}

static bool wrong(const checking *k)
{
    bool any = false;
    for (uint32_t i = 0; i < k->findings.n; i++)
        any |= k->findings.at[i].wrong != 0;
    return any;
}

static void say(const checking *k, finding_kind kind, const char *title, buf *out)
{
    bool first = true;
    for (uint32_t i = 0; i < k->findings.n; i++) {
        const finding *f = &k->findings.at[i];
        if (f->kind != kind)
            continue;
        if (first)
            buf_printf(out, "\n%s\n", title);
        first = false;
        buf_printf(out, "  %-16s %-8s", f->name, verdict(f));
        if (f->kind == FOUND_SLOPE && f->kinks == f->tried)
            buf_puts(out, f->tried ? "  no direction in which it is smooth" : "  no elements");
        else
            buf_printf(out, "  largest error %.3g, allowed %.3g", f->error, f->allowed);
        if (f->kind == FOUND_SLOPE && f->kinks && f->kinks < f->tried)
            buf_printf(out, " (%lld of %lld directions meet a kink)", (long long)f->kinks, (long long)f->tried);
        if (f->wrong && f->kind != FOUND_SLOPE)
            buf_printf(out, "; %lld of %lld elements are off", (long long)f->wrong, (long long)f->n);
        if (f->wrong && !k->o->graph)
            buf_printf(out, "; on the graph \"%s\"", f->graph);
        buf_putc(out, '\n');
    }
}

static void report_text(const checking *k, buf *out)
{
    buf_puts(out, mp_layer_name(k->s->layer));
    buf_puts(out, k->graphs.n == 1 && k->o->graph ? "" : " on graphs made up: ");
    for (uint32_t i = 0; i < k->graphs.n && !k->o->graph; i++)
        buf_printf(out, "%s%s", i ? ", " : "", k->graphs.at[i]);
    buf_putc(out, '\n');
    say(k, FOUND_OUTPUT, "outputs, the code against the interpreter", out);
    say(k, FOUND_SLOPE, "derivatives, the rules against differences", out);
    say(k, FOUND_GRADIENT, "gradients, the code against the interpreter", out);
    if (k->derivatives && !k->coded)
        buf_puts(out, "\nthe code was compiled without derivatives\n");
    buf_puts(out, wrong(k) ? "\nWRONG\n" : "\nall right\n");
}

static void list(const checking *k, finding_kind kind, const char *title, buf *out)
{
    bool first = true;
    buf_printf(out, ", \"%s\": [", title);
    for (uint32_t i = 0; i < k->findings.n; i++) {
        const finding *f = &k->findings.at[i];
        if (f->kind != kind)
            continue;
        buf_printf(out, "%s{\"name\": ", first ? "" : ", ");
        first = false;
        cli_json_string(out, f->name);
        buf_printf(out, ", \"right\": %s, \"max_error\": ", f->wrong ? "false" : "true");
        cli_json_number(out, f->error);
        buf_puts(out, ", \"allowed\": ");
        cli_json_number(out, f->allowed);
        if (kind == FOUND_SLOPE)
            buf_printf(out, ", \"directions\": %lld, \"kinks\": %lld", (long long)f->tried, (long long)f->kinks);
        buf_puts(out, ", \"graph\": ");
        cli_json_string(out, f->graph);
        buf_putc(out, '}');
    }
    buf_putc(out, ']');
}

static void report_json(const checking *k, buf *out)
{
    buf_putc(out, '{');
    session_json_head(k->s, out);
    buf_puts(out, ", \"graphs_checked\": [");
    for (uint32_t i = 0; i < k->graphs.n; i++) {
        buf_puts(out, i ? ", " : "");
        cli_json_string(out, k->graphs.at[i]);
    }
    buf_printf(out, "], \"right\": %s", wrong(k) ? "false" : "true");
    list(k, FOUND_OUTPUT, "outputs", out);
    list(k, FOUND_SLOPE, "derivatives", out);
    list(k, FOUND_GRADIENT, "gradients", out);
    buf_puts(out, "}\n");
}

static exit_status report(const checking *k)
{
    buf out = buf_make(NULL);
    if (k->o->json)
        report_json(k, &out);
    else
        report_text(k, &out);
    exit_status st = cli_write(NULL, buf_text(&out), out.n);
    buf_free(&out);
    return st ? st : wrong(k) ? EXIT_WRONG : EXIT_DONE;
}

exit_status cmd_check(const cli_options *o)
{
    session s;
    compile_options co = options_compile(o);
    compilation *c = compile_new(&co);
    checking k = {.o = o, .s = &s, .c = c, .derivatives = !o->grad || strcmp(o->grad, "none") != 0};
    exit_status st = session_open(o, &s);
    if (st == EXIT_DONE && s.library)
        st = cli_fail(EXIT_WRONG, "%s: this is a library; check wants the program", o->input);
    if (st == EXIT_DONE && !c)
        st = cli_fail(EXIT_SYSTEM, "out of memory");
    if (st == EXIT_DONE)
        st = o->graph ? check_graph(&k, o->graph) : check_made(&k);
    if (st == EXIT_DONE)
        st = k.full ? cli_fail(EXIT_SYSTEM, "out of memory") : report(&k);
    vec_free(&k.findings);
    vec_free(&k.graphs);
    compile_free(c);
    session_close(&s);
    return st;
}
