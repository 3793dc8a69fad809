/* See oracle.h. */
#include "tests/prop/oracle.h"

#include "compiler/ir/build.h"
#include "compiler/ir/copy.h"
#include "compiler/ir/scalar.h"
#include "compiler/lower/lower.h"
#include "compiler/parser/parse.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- text to IR ---- */

ir_layer *oracle_lower(arena *mem, const char *text, sem_elem real, const sizes *fixed, const char **why)
{
    str_table *names = str_table_new(mem);
    source_set *sources = source_set_new(mem);
    diags *ds = diags_new(mem, sources);
    uint32_t file = source_add(sources, "layer.mp", text, strlen(text));
    const ast_file *tree = parse_file(mem, names, ds, sources, file);
    const sem_program *p = sema_check(mem, names, ds, tree, &(sem_options){.real = real});
    sem_layer *layer = sem_find_layer(p, NULL);
    for (int i = 0; layer && fixed && i < fixed->n; i++) {
        char value[40];
        snprintf(value, sizeof value, fixed->at[i].real ? "%.17g" : "%.0f", fixed->at[i].real ? fixed->at[i].number : (double)fixed->at[i].dim);
        sem_define(p, layer, str_intern(names, fixed->at[i].name, strlen(fixed->at[i].name)), value, ds);
    }
    ir_layer *l = layer && !diags_failed(ds) ? lower_layer(mem, names, ds, layer) : NULL;
    if (!l || diags_failed(ds)) {
        buf out = buf_make(mem);
        diags_print(ds, &(diag_print_options){0}, &out);
        *why = buf_text(&out);
        return NULL;
    }
    return l;
}

/* ---- sizes and inputs ---- */

typedef struct lookup_in { const ir_layer *l; const sizes *s; } lookup_in;

static bool symbol_value(void *ud, dim_sym sym, int64_t *value)
{
    const lookup_in *in = ud;
    const char *name = dim_symbol_name(in->l->dims, sym);
    for (int i = 0; i < in->s->n; i++)
        if (!in->s->at[i].real && !strcmp(in->s->at[i].name, name)) {
            *value = in->s->at[i].dim;
            return true;
        }
    return false;
}

int64_t oracle_dim(const ir_layer *l, dim d, const sizes *s)
{
    lookup_in in = {l, s};
    int64_t n = -1;
    return dim_eval(l->dims, d, symbol_value, &in, &n) == DIM_FINE ? n : -1;
}

static int64_t rows_of(const ir_layer *l, ir_dom dom, const situation *s)
{
    const ir_domain *d = &l->domains[dom.i];
    switch (d->kind) {
    case DOM_UNIT: return 1;
    case DOM_NODES: return d->side == SIDE_SRC ? s->graph->n_src : s->graph->n_dst;
    case DOM_EDGES: return s->graph->n_edges;
    case DOM_GRAPHS: return s->graph->n_graphs;
    case DOM_INDEX: case DOM_PAIR: return 0;
    }
    return 0;
}

static uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static bool is_lone(const situation *s, const ir_domain *d, int64_t row)
{
    if (d->kind != DOM_NODES)
        return false;
    bool apart = d->side == SIDE_DST && s->graph->n_dst > s->graph->n_src;
    return s->graph->isolated[apart ? s->graph->n_src + row : row];
}

bool oracle_is_cotangent(const ir_layer *l, uint32_t input) { return !strncmp(l->inputs[input].name, "cot.", 4); }

/* The first is never: a call without any cotangent takes ones. */
bool oracle_is_zero(const ir_layer *l, uint32_t input, const situation *s)
{
    return oracle_is_cotangent(l, input) && input && oracle_is_cotangent(l, input - 1) && (s->seed + input) % 4 == 0;
}

double *oracle_input(arena *mem, const ir_layer *l, uint32_t input, const situation *s, int64_t *n)
{
    const ir_input *in = &l->inputs[input];
    const ir_node *v = ir_at(l, in->value);
    int64_t rows = rows_of(l, v->dom, s), elems = 1, range = v->type == T_INDEX ? oracle_dim(l, v->range, s->sizes) : 0;
    uint64_t r = s->seed;
    for (const char *p = in->name; *p; p++)
        r = (r ^ (uint64_t)*p) * 0x100000001b3u;
    for (uint32_t k = 0; k < v->rank; k++)
        elems *= oracle_dim(l, v->shape[k], s->sizes);
    /* a weight's columns are of length about 1, so that products neither grow nor vanish */
    double size = in->param && v->rank >= 2 ? 1.2 / sqrt((double)oracle_dim(l, v->shape[0], s->sizes)) : 1.5;
    *n = rows * elems;
    double *at = NEW_N(mem, double, *n + 1);
    if (oracle_is_zero(l, input, s))
        return at;
    for (int64_t k = 0; k < *n; k++) {
        uint64_t z = draw(&r);
        if (v->type == T_BOOL)
            at[k] = z & 1;
        else if (v->type == T_INDEX)
            at[k] = v->none && z % 4 == 0 ? -1 : (double)((z >> 8) % (uint64_t)(range > 0 ? range : 1));
        else
            at[k] = ir_round(size * ((double)(z >> 11) * 0x1p-52 - 1), v->type == T_F64 ? T_F32 : v->type);
        if (!ir_is_float(v->type) || s->fill == FILL_PLAIN || in->param || oracle_is_cotangent(l, input))
            continue;
        bool lone = is_lone(s, &l->domains[v->dom.i], k / (elems ? elems : 1));
        if (s->fill == FILL_SOME_INF ? z % 61 == 0 : lone)
            at[k] = s->fill == FILL_LONE_NAN ? NAN : z & 64 ? INFINITY : -INFINITY;
    }
    return at;
}

/* ---- running ---- */

enum { MAX_SYMBOLS = 64, MAX_STATICS = 64 };

typedef enum rounding { HALVES, ROUNDED, EXACT } rounding;      /* what is rounded to its type: half types alone, all, nothing */

static bool run(const ir_layer *l, const situation *s, const interp_data *inputs, rounding how, bool poison, uint64_t chance, interp_result *r)
{
    int64_t dims[MAX_SYMBOLS] = {0};
    double reals[MAX_STATICS] = {0};
    uint32_t n = dim_n_symbols(l->dims);
    for (uint32_t i = 0; i < n && i < MAX_SYMBOLS; i++) {
        lookup_in in = {l, s->sizes};
        symbol_value(&in, (dim_sym){i}, &dims[i]);
    }
    for (uint32_t i = 0; i < l->n_statics && i < MAX_STATICS; i++)
        for (int k = 0; k < s->sizes->n; k++)
            if (l->statics[i].real && !strcmp(l->statics[i].name, s->sizes->at[k].name))
                reals[i] = s->sizes->at[k].number;
    const hard_graph *g = s->graph;
    interp_graph ig = {.n_src = g->n_src, .n_dst = g->n_dst, .n_edges = g->n_edges, .src = g->src, .dst = g->dst, .square = g->square,
                       .n_graphs = g->n_graphs, .graph_ptr = g->graph_ptr, .degrees = g->degrees};
    interp_call call = {.graph = &ig, .dims = dims, .n_dims = n < MAX_SYMBOLS ? n : MAX_SYMBOLS, .reals = reals, .inputs = inputs, .seed = ORACLE_SEED, .training = s->training,
                        .apart = s->apart, .round = how == ROUNDED || chance, .chance = chance, .exact = how == EXACT, .poison = poison};
    return interp_run(l, &call, r);
}

static bool interpret(const ir_layer *l, const situation *s, const interp_data *inputs, rounding how, bool poison, interp_result *r)
{
    return run(l, s, inputs, how, poison, 0, r);
}

bool oracle_interpret(const ir_layer *l, const situation *s, const interp_data *inputs, interp_result *result)
{
    return interpret(l, s, inputs, EXACT, false, result);
}

bool oracle_interpret_by_chance(const ir_layer *l, const situation *s, const interp_data *inputs, uint64_t chance, interp_result *result)
{
    return run(l, s, inputs, EXACT, false, chance, result);
}

static bool decides(unsigned op)
{
    return op == OP_LT || op == OP_LE || op == OP_EQ || op == OP_NE || op == OP_BUCKET || op == OP_POW;
}

/* What the values hold: infinities; a NaN that is compared once infinite sums are NaN. */
static void inspect(arena *mem, oracle *o)
{
    arena_mark mark = arena_get_mark(mem);
    const ir_layer *l = o->layer;
    ir_live live = ir_find_live(l, mem);
    for (uint32_t i = 0; i < live.n; i++) {
        const interp_array *a = &o->result.values[live.order[i].i];
        for (int64_t k = 0; a->at && ir_is_float(ir_at(l, live.order[i])->type) && k < a->n; k++) {
            o->infinite = o->infinite || isinf(a->at[k]);
            if (isfinite(a->at[k]) && fabs(a->at[k]) > o->greatest)
                o->greatest = fabs(a->at[k]);
        }
    }
    if (o->infinite)
        interpret(l, o->at, o->inputs, HALVES, true, &o->poisoned);
    for (uint32_t i = 0; o->infinite && i < live.n; i++) {
        const ir_node *v = ir_at(l, live.order[i]);
        for (uint32_t j = 0; decides(v->op) && j < v->nargs; j++) {
            const interp_array *b = &o->poisoned.values[v->args[j].i];
            for (int64_t k = 0; b->at && k < b->n; k++)
                o->nan_decides = o->nan_decides || isnan(b->at[k]);
        }
    }
    arena_release(mem, mark);
}

bool oracle_run(arena *mem, oracle *o, const ir_layer *l, const situation *s)
{
    *o = (oracle){.layer = l, .at = s};
    o->inputs = NEW_N(mem, interp_data, l->n_inputs + 1);
    for (uint32_t i = 0; i < l->n_inputs; i++)
        o->inputs[i].at = oracle_input(mem, l, i, s, &o->inputs[i].n);
    if (!interpret(l, s, o->inputs, HALVES, false, &o->result))
        return false;
    inspect(mem, o);
    return true;
}

void oracle_free(oracle *o)
{
    interp_free(&o->result);
    interp_free(&o->poisoned);
}

/* The inputs, each float changed by up to 1e-6 of itself. */
static interp_data *perturbed(arena *mem, const oracle *o, uint64_t seed, double by)
{
    interp_data *in = NEW_N(mem, interp_data, o->layer->n_inputs + 1);
    uint64_t r = seed;
    for (uint32_t i = 0; i < o->layer->n_inputs; i++) {
        const ir_node *v = ir_at(o->layer, o->layer->inputs[i].value);
        double *at = NEW_N(mem, double, o->inputs[i].n + 1);
        for (int64_t k = 0; k < o->inputs[i].n; k++) {
            double u = (double)(draw(&r) >> 11) * 0x1p-52 - 1;
            at[k] = o->inputs[i].at[k];
            if (ir_is_float(v->type) && v->type <= T_F32)
                at[k] *= 1 + by * u;
        }
        in[i] = (interp_data){at, o->inputs[i].n};
    }
    return in;
}

bool oracle_has_half(const ir_layer *l)
{
    for (uint32_t i = 1; i < l->n_nodes; i++)
        if (l->nodes[i].type == T_F16 || l->nodes[i].type == T_BF16)
            return true;
    return false;
}

double oracle_scale(const interp_array *a)
{
    double scale = 0;
    for (int64_t k = 0; k < a->n; k++)
        if (isfinite(a->at[k]) && fabs(a->at[k]) > scale)
            scale = fabs(a->at[k]);
    return scale;
}

double *oracle_f32_error(arena *mem, const oracle *o, int runs)
{
    double *error = NEW_N(mem, double, o->layer->n_outputs + 1);
    for (uint64_t round = 0; round < (uint64_t)runs; round++) {
        arena_mark mark = arena_get_mark(mem);
        const interp_data *in = round ? perturbed(mem, o, round, 1e-6) : o->inputs;
        interp_result exact = {0}, rough = {0};
        bool ran = interpret(o->layer, o->at, in, ROUNDED, false, &rough) && (!round || interpret(o->layer, o->at, in, HALVES, false, &exact));
        for (uint32_t i = 0; ran && i < o->layer->n_outputs; i++) {
            const interp_array *a = &rough.outputs[i], *b = round ? &exact.outputs[i] : &o->result.outputs[i];
            double least = 0x1p-23 * oracle_scale(b);
            if (error[i] < least)
                error[i] = least;
            for (int64_t k = 0; k < a->n; k++) {
                if (isfinite(b->at[k]) != isfinite(a->at[k]))
                    error[i] = INFINITY;
                else if (isfinite(a->at[k]) && fabs(a->at[k] - b->at[k]) > error[i])
                    error[i] = fabs(a->at[k] - b->at[k]);
            }
        }
        for (uint32_t i = 0; !round && ran && i < o->layer->n_loops; i++)       /* another number of steps: another result */
            if (rough.loops[i].steps != o->result.loops[i].steps)
                for (uint32_t k = 0; k < o->layer->n_outputs; k++)
                    error[k] = INFINITY;
        interp_free(&exact);
        interp_free(&rough);
        arena_release(mem, mark);
    }
    return error;
}

double oracle_f64_noise(double f32_error) { return isfinite(f32_error) ? 8 * 0x1p-29 * f32_error : 0; }

bool oracle_is_unsure(arena *mem, const oracle *o)
{
    if (o->infinite && o->nan_decides)
        return true;
    bool unsure = false;
    for (uint64_t k = 0; k < 8 && !unsure; k++) {
        arena_mark mark = arena_get_mark(mem);
        interp_result r = {0};
        if (interpret(o->layer, o->at, perturbed(mem, o, 77 + k, 1e-6), HALVES, false, &r))
            for (uint32_t i = 0; i < o->layer->n_outputs; i++) {
                const interp_array *a = &o->result.outputs[i], *b = &r.outputs[i];
                double limit = 0.01 * oracle_scale(a);
                for (int64_t j = 0; j < a->n; j++)
                    unsure = unsure || isnan(a->at[j]) != isnan(b->at[j]) || isinf(a->at[j]) != isinf(b->at[j]) ||
                             (isfinite(a->at[j]) && fabs(a->at[j] - b->at[j]) > limit);
            }
        interp_free(&r);
        arena_release(mem, mark);
    }
    return unsure;
}

int64_t oracle_compare(const oracle *o, uint32_t output, const double *got, int64_t n, double rel, double abs_tol, mismatch *m)
{
    const interp_array *want = &o->result.outputs[output];
    double scale = oracle_scale(want), tol = rel * scale, least = rel > 0 ? 4e-16 * o->greatest : 0;
    if (scale < 1e-6 * o->greatest)
        least = (rel > 0 && rel < 1e-8 ? 3e-14 : 1e-6) * o->greatest;
    if (tol < abs_tol)
        tol = abs_tol;
    if (tol < least)                            /* nothing but rounding is left of larger numbers */
        tol = least;
    if (n != want->n) {
        *m = (mismatch){.at = 0, .got = (double)n, .want = (double)want->n, .scale = -1};
        return 0;
    }
    for (int64_t k = 0; k < n; k++) {
        double a = got[k], b = want->at[k];
        bool open = o->infinite && isnan(o->poisoned.outputs[output].at[k]);
        bool fine = isnan(b) ? isnan(a) : isinf(b) ? a == b : isfinite(a) && fabs(a - b) <= tol;
        if (fine || open)
            continue;
        *m = (mismatch){k, a, b, scale};
        return k;
    }
    return -1;
}
