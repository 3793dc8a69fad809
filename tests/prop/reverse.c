/* See reverse.h. */
#include "tests/prop/reverse.h"

#include "compiler/derive/derive.h"
#include "compiler/ir/copy.h"

#include <math.h>
#include <string.h>

enum { TRIES = 3 };

/* ---- the layer with its gradients ---- */

static void differentiate(arena *mem, reverse *r)
{
    ir_layer *l = r->joint;
    derive_seed *seeds = NEW_N(mem, derive_seed, r->n_outputs + 1);
    ir_val *wanted = NEW_N(mem, ir_val, r->n_inputs + 1), *grads = NEW_N(mem, ir_val, r->n_inputs + 1);
    uint32_t *of = NEW_N(mem, uint32_t, r->n_inputs + 1), n_seeds = 0, n_wanted = 0;
    for (uint32_t i = 0; i < r->n_outputs; i++) {
        const ir_output o = l->outputs[i];
        ir_val y = o.value;
        r->cotangent[i] = -1;
        if (!ir_is_float(ir_at(l, y)->type))
            continue;
        ir_shape shape = ir_shape_of(l, y);
        if (!ir_dom_same(ir_at(l, y)->dom, o.rows))
            y = ir_at(l, y)->dom.i ? ir_gather(l, y, ir_map_prefix(l)) : ir_broadcast(l, y, o.rows, &shape);
        ir_val dy = ir_input_add(l, arena_printf(mem, "cot.%s", o.name), o.rows, (ir_type)ir_at(l, y)->type, &shape, (dim){0}, false, false);
        r->cotangent[i] = (int32_t)ir_at(l, dy)->u.input;
        seeds[n_seeds++] = (derive_seed){y, dy};
    }
    for (uint32_t i = 0; i < r->n_inputs; i++) {
        r->gradient[i] = -1;
        if (!ir_is_float(ir_at(l, l->inputs[i].value)->type))
            continue;
        of[n_wanted] = i;
        wanted[n_wanted++] = l->inputs[i].value;
    }
    derive(l, mem, seeds, n_seeds, wanted, n_wanted, grads);
    for (uint32_t k = 0; k < n_wanted; k++) {
        str name = arena_printf(mem, "grad.%s", l->inputs[of[k]].name);
        r->gradient[of[k]] = (int32_t)ir_output_add(l, name, grads[k], ir_at(l, wanted[k])->dom, (span){0});
    }
}

static ir_val hold(void *ud, ir_copier *c, ir_val old, const ir_val *args)
{
    reverse *r = ud;
    const ir_node *n = ir_at(c->from, old);
    if (n->op != OP_STOP)
        return (ir_val){0};
    if (n->region) {
        r->moving = true;
        return (ir_val){0};
    }
    ir_shape shape = ir_shape_of(c->to, args[0]);
    r->stops[r->n_stops++] = old;
    return ir_input_add(c->to, "held", ir_at(c->to, args[0])->dom, (ir_type)n->type, &shape, (dim){0}, false, false);
}

reverse *reverse_make(arena *mem, const ir_layer *l)
{
    reverse *r = NEW(mem, reverse);
    *r = (reverse){.n_inputs = l->n_inputs, .n_outputs = l->n_outputs, .joint = ir_compact(l, mem)};
    r->cotangent = NEW_N(mem, int32_t, l->n_outputs + 1);
    r->gradient = NEW_N(mem, int32_t, l->n_inputs + 1);
    r->stops = NEW_N(mem, ir_val, r->joint->n_nodes + 1);
    r->held = ir_rebuild(r->joint, mem, hold, r);
    r->n_values = r->joint->n_nodes;
    differentiate(mem, r);
    return r;
}

double reverse_elements(const ir_layer *l, const situation *s)
{
    double all = 0;
    for (uint32_t i = 1; i < l->n_nodes; i++) {
        const ir_node *n = &l->nodes[i];
        const ir_domain *d = &l->domains[n->dom.i];
        double elems = d->kind == DOM_NODES ? (double)(d->side == SIDE_SRC ? s->graph->n_src : s->graph->n_dst)
                       : d->kind == DOM_EDGES || d->kind == DOM_PAIR ? (double)s->graph->n_edges : 10;
        for (uint32_t k = 0; k < n->rank; k++)
            elems *= (double)oracle_dim(l, n->shape[k], s->sizes);
        all += elems;
    }
    return all;
}

bool reverse_has_nan(const reverse *r, const oracle *o)
{
    const ir_layer *l = r->joint;
    for (uint32_t i = 1; i < r->n_values; i++) {
        const interp_array *a = &o->result.values[i];
        for (int64_t k = 0; a->at && ir_is_float(l->nodes[i].type) && l->domains[l->nodes[i].dom.i].kind != DOM_NODES && k < a->n; k++)
            if (isnan(a->at[k]))
                return true;
    }
    return false;
}

/* ---- differences ---- */

typedef struct line { const reverse *r; const oracle *o; interp_data *inputs; double *at; const double *start, *way; int64_t n; } line;

/* What the gradients are gradients of: the outputs' elements times their cotangents. */
static double weighed(const line *l, const interp_result *got, double *size)
{
    const reverse *r = l->r;
    double sum = *size = 0;
    for (uint32_t i = 0; i < r->n_outputs; i++) {
        const double *dy = r->cotangent[i] >= 0 ? l->o->inputs[r->cotangent[i]].at : NULL;
        for (int64_t k = 0; dy && k < got->outputs[i].n; k++) {
            sum += dy[k] * got->outputs[i].at[k];
            *size += fabs(dy[k] * got->outputs[i].at[k]);
        }
    }
    return sum;
}

/* The same `by` along the line. */
static bool total(const line *l, const interp_result *base, double by, double *sum, double *size)
{
    const reverse *r = l->r;
    interp_result got = {0};
    for (uint32_t i = 0; i < r->n_stops; i++)
        l->inputs[r->n_inputs + i] = (interp_data){base->values[r->stops[i].i].at, base->values[r->stops[i].i].n};
    for (int64_t k = 0; k < l->n; k++)
        l->at[k] = l->start[k] + by * l->way[k];
    bool ran = oracle_interpret(r->held, l->o->at, l->inputs, &got);
    *sum = *size = 0;
    if (ran)
        *sum = weighed(l, &got, size);
    interp_free(&got);
    return ran;
}

typedef struct seen { double slope, doubt; bool smooth; } seen;

/* By steps of h and h / 2 both ways, extrapolated. Smooth is where the two sides agree the more, the shorter the step. */
static bool differences(const line *l, const interp_result *base, double h, seen *s)
{
    static const double by[5] = {-1, -0.5, 0, 0.5, 1};
    double y[5], size[5];
    for (int k = 0; k < 5; k++)
        if (!total(l, base, by[k] * h, &y[k], &size[k]))
            return false;
    double wide = (y[4] - y[0]) / (2 * h), narrow = (y[3] - y[1]) / h;
    double bent_wide = (y[4] - 2 * y[2] + y[0]) / h, bent_narrow = 2 * (y[3] - 2 * y[2] + y[1]) / h;
    double noise = 1e-14 * size[2] / h, scale = fabs(wide) + fabs(narrow);
    s->slope = narrow + (narrow - wide) / 3;
    s->doubt = fabs(narrow - wide) + fabs(2 * bent_narrow - bent_wide) + 64 * noise;       /* a kink too small to be told is in it */
    s->smooth = fabs(narrow - wide) <= 1e-4 * scale + 64 * noise && fabs(bent_narrow) <= 0.7 * fabs(bent_wide) + 1e-4 * scale + 64 * noise;
    return true;
}

static double chance(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-52 - 1;
}

typedef enum told { TOLD_RIGHT, TOLD_WRONG, TOLD_KINK } told;

static double along(const line *l, const double *gradient)
{
    double sum = 0;
    for (int64_t k = 0; k < l->n; k++)
        sum += l->way[k] * gradient[k];
    return sum;
}

/* How far roundings of double precision alone move what the gradient says, and what differences by steps of h do: either may be
 * what larger numbers leave, as the derivative of a tanh near 1. */
static double rounding_of(const line *l, uint32_t input, double h)
{
    double sum[2] = {INFINITY, -INFINITY}, all[2] = {INFINITY, -INFINITY};
    l->inputs[input] = (interp_data){l->start, l->n};
    for (uint64_t seed = 1; seed <= 6; seed++) {
        interp_result other = {0};
        if (oracle_interpret_by_chance(l->r->joint, l->o->at, l->inputs, seed, &other)) {
            double size, y = weighed(l, &other, &size), g = along(l, other.outputs[l->r->gradient[input]].at);
            sum[0] = fmin(sum[0], g);
            sum[1] = fmax(sum[1], g);
            all[0] = fmin(all[0], y);
            all[1] = fmax(all[1], y);
        }
        interp_free(&other);
    }
    return sum[1] >= sum[0] ? sum[1] - sum[0] + 2 * (all[1] - all[0]) / h : 0;
}

static told try_direction(arena *mem, const reverse *r, const oracle *o, uint32_t input, uint64_t *state, bool beside, buf *out)
{
    const interp_data in = o->inputs[input];
    double *start = NEW_N(mem, double, in.n + 1), *way = NEW_N(mem, double, in.n + 1);
    line l = {.r = r, .o = o, .inputs = NEW_N(mem, interp_data, o->layer->n_inputs + r->n_stops + 1), .at = NEW_N(mem, double, in.n + 1),
              .start = start, .way = way, .n = in.n};
    interp_result base = {0};
    memcpy(l.inputs, o->inputs, o->layer->n_inputs * sizeof *l.inputs);
    for (int64_t k = 0; k < in.n; k++) {
        way[k] = chance(state);
        start[k] = in.at[k] + (beside ? 0.05 * chance(state) : 0);
    }
    l.inputs[input] = (interp_data){start, in.n};
    bool ran = oracle_interpret(r->joint, o->at, l.inputs, &base);
    l.inputs[input] = (interp_data){l.at, in.n};
    seen s = {0};
    double sum = ran ? along(&l, base.outputs[r->gradient[input]].at) : 0, size = 0;
    for (int64_t k = 0; ran && k < in.n; k++)
        size += fabs(way[k] * base.outputs[r->gradient[input]].at[k]);
    double h = 1e-2;
    while (ran && h > 5e-6 && !s.smooth)
        ran = differences(&l, &base, h /= 10, &s);
    interp_free(&base);
    if (!ran || !s.smooth || !isfinite(s.slope))
        return TOLD_KINK;
    double allowed = 1e-6 * size + 4 * s.doubt + 1e-12;
    if (!(fabs(sum - s.slope) <= allowed))
        allowed += 8 * rounding_of(&l, input, h);
    if (fabs(sum - s.slope) <= allowed)
        return TOLD_RIGHT;
    buf_printf(out, "graph %s: along a direction of %s the gradient says %.9g, differences say %.9g (allowed %.3g)\n", graph_kind_name[o->at->graph->kind],
               o->layer->inputs[input].name, sum, s.slope, allowed);
    return TOLD_WRONG;
}

bool reverse_slopes(arena *mem, const reverse *r, const oracle *o, slopes *n, buf *out)
{
    uint64_t state = o->at->seed * 1000 + 17;
    bool fine = true;
    for (uint32_t i = 0; i < r->n_inputs && fine; i++) {
        if (r->gradient[i] < 0 || !o->inputs[i].n)
            continue;
        if (r->moving) {
            n->hidden++;
            continue;
        }
        told t = TOLD_KINK;
        for (int k = 0; k < TRIES && t == TOLD_KINK; k++) {
            arena_mark mark = arena_get_mark(mem);
            t = try_direction(mem, r, o, i, &state, k > 0, out);
            arena_release(mem, mark);
        }
        n->kinks += t == TOLD_KINK;
        n->told += t != TOLD_KINK;
        fine = t != TOLD_WRONG;
    }
    return fine;
}
