/* The interpreter's side of `mpc check`: see check_reference.h. */
#include "compiler/driver/check_reference.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/derive/derive.h"
#include "compiler/ir/copy.h"
#include "runtime/convert.h"
#include "runtime/graph.h"
#include "runtime/layer.h"

static void *room(int64_t n, size_t size)
{
    return calloc((size_t)(n > 0 ? n : 1), size);
}

static bool is_floating(int type)
{
    return type == T_F64 || type == T_F32 || type == T_F16 || type == T_BF16;
}

/* ---- The layer with its gradients -------------------------------------------------------------------------------- */

static void add_gradients(arena *mem, joint *j)
{
    ir_layer *l = j->l;
    derive_seed *seeds = NEW_N(mem, derive_seed, j->n_outputs + 1);
    ir_val *wanted = NEW_N(mem, ir_val, j->n_inputs + 1), *grads = NEW_N(mem, ir_val, j->n_inputs + 1);
    uint32_t *number = NEW_N(mem, uint32_t, j->n_inputs + 1), n_seeds = 0, n_wanted = 0;
    for (uint32_t i = 0; i < j->n_outputs; i++) {
        ir_val y = l->outputs[i].value;
        if (!is_floating(ir_at(l, y)->type))
            continue;
        if (!ir_dom_same(ir_at(l, y)->dom, l->outputs[i].rows) && ir_dom_same(ir_at(l, y)->dom, l->src))
            y = ir_gather(l, y, ir_map_prefix(l));
        ir_shape shape = ir_shape_of(l, y);
        ir_val dy = ir_input_add(l, l->outputs[i].name, ir_at(l, y)->dom, (ir_type)ir_at(l, y)->type, &shape, (dim){0}, false, false);
        j->cotangent[i] = ir_at(l, dy)->u.input;
        seeds[n_seeds++] = (derive_seed){y, dy};
    }
    for (uint32_t i = 0; i < j->n_inputs; i++) {
        if (!is_floating(ir_at(l, l->inputs[i].value)->type))
            continue;
        number[n_wanted] = i;
        wanted[n_wanted++] = l->inputs[i].value;
    }
    derive(l, mem, seeds, n_seeds, wanted, n_wanted, grads);
    for (uint32_t k = 0; k < n_wanted; k++)
        j->gradient[number[k]] = ir_output_add(l, l->inputs[number[k]].name, grads[k], ir_at(l, grads[k])->dom, (span){0});
}

typedef struct holding { joint *j; arena *mem; } holding;

/* Within the step of a loop a value is another one each time: there they stay. */
static ir_val hold(void *ud, ir_copier *c, ir_val old, const ir_val *args)
{
    const holding *h = ud;
    const ir_node *n = ir_at(c->from, old);
    if (n->op != OP_STOP || n->region)
        return (ir_val){0};
    ir_shape shape = ir_shape_of(c->to, args[0]);
    h->j->stops[h->j->n_stops++] = old;
    return ir_input_add(c->to, c->to->name, ir_at(c->to, args[0])->dom, (ir_type)n->type, &shape, (dim){0}, false, false);
}

static void make_held(arena *mem, joint *j)
{
    bool any = false;
    for (uint32_t i = 1; i < j->l->n_nodes; i++)
        any |= j->l->nodes[i].op == OP_STOP && !j->l->nodes[i].region;
    j->held = j->l;
    if (!any)
        return;
    j->stops = NEW_N(mem, ir_val, j->l->n_nodes);
    j->held = ir_rebuild(j->l, mem, hold, &(holding){j, mem});
}

exit_status joint_make(arena *mem, ir_layer *lowered, bool derivatives, joint *out)
{
    ir_trap trap;
    *out = (joint){.l = lowered, .n_inputs = lowered->n_inputs, .n_outputs = lowered->n_outputs,
                   .cotangent = NEW_N(mem, uint32_t, lowered->n_outputs + 1), .gradient = NEW_N(mem, uint32_t, lowered->n_inputs + 1)};
    if (!derivatives)
        return EXIT_DONE;
    ir_trap *before = ir_set_trap(lowered, &trap);
    if (setjmp(trap.env)) {
        ir_set_trap(lowered, before);
        return cli_fail(EXIT_SYSTEM, "the derivatives of this layer cannot be made: %s", trap.text);
    }
    make_held(mem, out);
    add_gradients(mem, out);
    ir_set_trap(lowered, before);
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

double joint_elements(const joint *j, const mp_graph *g)
{
    const ir_layer *l = j->l;
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

/* ---- Data -------------------------------------------------------------------------------------------------------- */

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

/* Of chance; in the layer's type, so that the code is given the same. */
static exit_status make_cotangent(session *s, const joint *j, uint32_t output, uint64_t seed, reference *r)
{
    DLTensor y;
    uint32_t i = j->cotangent[output];
    mp_status m = mp_output(s->layer, j->l->outputs[output].name, &y);
    if (m)
        return cli_report(s->ctx, m);
    int64_t n = tensor_count(&y);
    r->inputs[i] = room(n, sizeof(double));
    if (!r->inputs[i])
        return cli_fail(EXIT_SYSTEM, "out of memory");
    DLTensor t = {.data = r->inputs[i], .device = {kDLCPU, 0}, .ndim = 1, .dtype = {kDLFloat, 64, 1}, .shape = &n};
    m = mp_fill_normal(s->ctx, &t, seed, 1000 + output);
    for (int64_t k = 0; k < n; k++)                 /* few bits: exact in every type */
        r->inputs[i][k] = rint(r->inputs[i][k] * 8) / 8;
    r->data[i] = (interp_data){r->inputs[i], n};
    return m ? cli_report(s->ctx, m) : EXIT_DONE;
}

exit_status reference_make(session *s, const joint *j, uint64_t seed, reference *r)
{
    const desc_layer *l = s->layer->desc;
    *r = (reference){.joint = j, .seed = seed};
    r->inputs = room(j->l->n_inputs, sizeof *r->inputs);
    r->data = room(j->l->n_inputs, sizeof *r->data);
    r->reals = room(l->n_statics, sizeof *r->reals);
    if (!r->inputs || !r->data || !r->reals)
        return cli_fail(EXIT_SYSTEM, "out of memory");
    exit_status st = take_graph(s, r);
    for (uint32_t i = 0; i < l->n_inputs && st == EXIT_DONE; i++) {
        const DLTensor *t = &s->data.arrays[i]->dl_tensor;
        int64_t n = tensor_count(t);
        r->inputs[i] = room(n, sizeof(double));
        if (!r->inputs[i])
            return cli_fail(EXIT_SYSTEM, "out of memory");
        convert_in(s->ctx, t, TENSOR_F64, r->inputs[i]);
        r->data[i] = (interp_data){r->inputs[i], n};
    }
    for (uint32_t i = 0; i < j->n_outputs && st == EXIT_DONE; i++) {
        if (j->cotangent[i])
            st = make_cotangent(s, j, i, seed, r);
    }
    for (uint32_t i = 0; i < l->n_statics; i++)
        r->reals[i] = s->layer->reals[i];
    return st;
}

void reference_free(reference *r)
{
    for (uint32_t i = 0; r->inputs && i < r->joint->l->n_inputs; i++)
        free(r->inputs[i]);
    free(r->inputs);
    free(r->data);
    free(r->reals);
    free(r->src);
    free(r->dst);
    *r = (reference){0};
}

exit_status reference_run(const reference *r, const ir_layer *l, bool training, rounding_mode mode, uint64_t chance, interp_result *out)
{
    interp_call call = {.graph = &r->graph, .reals = r->reals, .inputs = r->data, .training = training, .seed = r->seed,
                        .round = mode >= ROUND_ALL, .chance = chance, .exact = mode == ROUND_NOTHING || mode == ROUND_F64};
    if (!interp_run(l, &call, out))
        return cli_fail(EXIT_WRONG, "the interpreter: %s", out->why);
    return EXIT_DONE;
}

/* ---- Differences ------------------------------------------------------------------------------------------------- */

enum { DIRECTIONS = 3, TRIES = 4 };

/* What the gradients are gradients of: each output's elements times their cotangents. */
static double weighed(const reference *r, const interp_result *res, double *size)
{
    const joint *j = r->joint;
    double sum = *size = 0;
    for (uint32_t i = 0; i < j->n_outputs; i++) {
        const double *dy = j->cotangent[i] ? r->inputs[j->cotangent[i]] : NULL;
        for (int64_t k = 0; dy && k < res->outputs[i].n; k++) {
            sum += dy[k] * res->outputs[i].at[k];
            *size += fabs(dy[k] * res->outputs[i].at[k]);
        }
    }
    return sum;
}

/* The same of the layer alone. What has no derivative is held as it was at the base, a run of the joint layer. */
static exit_status total(const reference *r, const interp_result *base, double *sum, double *size)
{
    interp_result res = {0};
    const joint *j = r->joint;
    interp_data *data = room(j->n_inputs + j->n_stops, sizeof *data);
    if (!data)
        return cli_fail(EXIT_SYSTEM, "out of memory");
    memcpy(data, r->data, j->n_inputs * sizeof *data);
    for (uint32_t i = 0; i < j->n_stops; i++) {
        const interp_array *v = &base->values[j->stops[i].i];
        data[j->n_inputs + i] = (interp_data){v->at, v->n};
    }
    interp_call call = {.graph = &r->graph, .reals = r->reals, .inputs = j->n_stops ? data : r->data, .training = true, .seed = r->seed,
                        .exact = true};
    exit_status st = EXIT_DONE;
    if (!interp_run(j->held, &call, &res))
        st = cli_fail(EXIT_WRONG, "the interpreter: %s", res.why);
    free(data);
    *sum = *size = 0;
    if (st == EXIT_DONE)
        *sum = weighed(r, &res, size);
    interp_free(&res);
    return st;
}

static double chance(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-52 - 1;
}

typedef struct line { double *at; const double *start, *way; int64_t n; } line;

static void move(const line *l, double by)
{
    for (int64_t i = 0; i < l->n; i++)
        l->at[i] = l->start[i] + by * l->way[i];
}

/* The slope at the start of the line by steps of h and h / 2 both ways. *smooth: the two sides agree the more, the
 * shorter the step. */
static exit_status differences(const reference *r, const interp_result *base, const line *l, double h, double *seen, double *doubt,
                               bool *smooth)
{
    double y[5], size[5];
    static const double by[5] = {-1, -0.5, 0, 0.5, 1};
    for (int k = 0; k < 5; k++) {
        move(l, by[k] * h);
        exit_status st = total(r, base, &y[k], &size[k]);
        if (st != EXIT_DONE)
            return st;
    }
    move(l, 0);
    double wide = (y[4] - y[0]) / (2 * h), narrow = (y[3] - y[1]) / h;
    double bent_wide = (y[4] - 2 * y[2] + y[0]) / h, bent_narrow = 2 * (y[3] - 2 * y[2] + y[1]) / h;
    double noise = 1e-14 * size[2] / h, scale = fabs(wide) + fabs(narrow);
    *seen = narrow + (narrow - wide) / 3;
    *doubt = fabs(narrow - wide) + fabs(2 * bent_narrow - bent_wide) + 64 * noise;     /* a kink too small to be told is in it */
    *smooth = fabs(narrow - wide) <= 1e-4 * scale + 64 * noise && fabs(bent_narrow) <= 0.7 * fabs(bent_wide) + 1e-4 * scale + 64 * noise;
    return EXIT_DONE;
}

static double along(const reference *r, const interp_result *res, uint32_t input, const double *way)
{
    double sum = 0;
    for (int64_t i = 0; i < r->data[input].n; i++)
        sum += way[i] * res->outputs[r->joint->gradient[input]].at[i];
    return sum;
}

/* How far roundings of double precision alone move what the gradient says, and what differences by steps of h do: either may be
 * what larger numbers leave, as the derivative of a tanh near 1. */
static exit_status rounding_of(const reference *r, uint32_t input, const double *way, double h, double *noise)
{
    double sum[2] = {INFINITY, -INFINITY}, all[2] = {INFINITY, -INFINITY};
    exit_status st = EXIT_DONE;
    for (uint64_t chance = 1; chance <= 6 && st == EXIT_DONE; chance++) {
        interp_result res = {0};
        st = reference_run(r, r->joint->l, true, ROUND_F64, chance, &res);
        if (st == EXIT_DONE) {
            double size, y = weighed(r, &res, &size), g = along(r, &res, input, way);
            sum[0] = fmin(sum[0], g);
            sum[1] = fmax(sum[1], g);
            all[0] = fmin(all[0], y);
            all[1] = fmax(all[1], y);
        }
        interp_free(&res);
    }
    *noise = sum[1] >= sum[0] ? sum[1] - sum[0] + 2 * (all[1] - all[0]) / h : 0;
    return st;
}

/* One direction; `beside` moves the start, too. */
static exit_status try_direction(reference *r, uint32_t input, uint64_t *state, bool beside, slope *out, bool *smooth)
{
    interp_result res = {0};
    int64_t n = r->data[input].n;
    double *start = room(n, sizeof *start), *way = room(n, sizeof *way), *before = room(n, sizeof *before);
    exit_status st = start && way && before ? EXIT_DONE : cli_fail(EXIT_SYSTEM, "out of memory");
    *smooth = false;
    if (st == EXIT_DONE) {
        memcpy(before, r->inputs[input], (size_t)n * sizeof *before);
        for (int64_t i = 0; i < n; i++) {
            way[i] = chance(state);
            start[i] = before[i] + (beside ? 0.05 * chance(state) : 0);
        }
        memcpy(r->inputs[input], start, (size_t)n * sizeof *start);
        st = reference_run(r, r->joint->l, true, ROUND_NOTHING, 0, &res);
    }
    double told = st == EXIT_DONE ? along(r, &res, input, way) : 0, size = 0, seen = 0, doubt = 0;
    for (int64_t i = 0; i < n && st == EXIT_DONE; i++)
        size += fabs(way[i] * res.outputs[r->joint->gradient[input]].at[i]);
    line l = {r->inputs[input], start, way, n};
    double h = 1e-2;
    while (st == EXIT_DONE && h > 5e-6 && !*smooth)
        st = differences(r, &res, &l, h /= 10, &seen, &doubt, smooth);
    if (st == EXIT_DONE && *smooth) {
        double allowed = 1e-6 * size + 4 * doubt + 1e-12, error = fabs(told - seen), noise = 0;
        if (!(error <= allowed))
            st = rounding_of(r, input, way, h, &noise);
        allowed += 8 * noise;
        bool worse = !(error / allowed <= fabs(out->told - out->seen) / fmax(out->allowed, 1e-300));
        if (!out->allowed || worse) {
            out->told = told;
            out->seen = seen;
            out->allowed = allowed;
        }
        out->wrong |= !(error <= allowed);
    }
    if (before && start && way)
        memcpy(r->inputs[input], before, (size_t)n * sizeof *before);
    interp_free(&res);
    free(start);
    free(way);
    free(before);
    return st;
}

exit_status reference_slope(reference *r, uint32_t input, slope *out)
{
    uint64_t state = r->seed * 1000 + input;
    exit_status st = EXIT_DONE;
    *out = (slope){0};
    for (int d = 0; d < DIRECTIONS && r->data[input].n && st == EXIT_DONE; d++) {
        bool smooth = false;
        for (int k = 0; k < TRIES && !smooth && st == EXIT_DONE; k++)
            st = try_direction(r, input, &state, k > 0, out, &smooth);
        out->tried++;
        out->kinks += !smooth;
    }
    return st;
}
