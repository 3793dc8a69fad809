/* See compare.h. */
#include "tests/passes/compare.h"

#include "compiler/ir/build.h"
#include "compiler/ir/interp.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_SYMBOLS = 64, MAX_STATICS = 32, MAX_GRAPH_EDGES = 400, N_SIZES = 3, LONE = 4 };

/* In the last an element of each weight is infinite: then only rows without incoming edges are compared. */
typedef enum { ORDINARY, LONE_NAN, LONE_INF, READ_NAN, WEIGHT_INF, N_FILLS } fill;

typedef struct graph_case {
    const char *name;
    int64_t n_src, n_dst, n_edges;
    bool square;
    int64_t n_graphs, ptr[8];
} graph_case;

/* Node LONE has no edges, node 1 no incoming ones, node 0 is a hub in all that have edges. */
static const graph_case cases[] = {
    {"no nodes", 0, 0, 0, true, 1, {0, 0}},
    {"one node", 1, 1, 0, true, 1, {0, 1}},
    {"no edges", 6, 6, 0, true, 1, {0, 6}},
    {"tiny", 9, 9, 23, true, 1, {0, 9}},
    {"mid", 40, 40, 300, true, 1, {0, 40}},
    {"batch", 24, 24, 90, true, 5, {0, 8, 9, 9, 17, 24}},
    {"block", 20, 7, 60, false, 1, {0, 20}},
};
enum { N_CASES = sizeof cases / sizeof *cases };

typedef struct bench {
    const ir_layer *l;
    uint64_t random;
    int64_t dims[MAX_SYMBOLS];
    double reals[MAX_STATICS];
    int32_t src[MAX_GRAPH_EDGES], dst[MAX_GRAPH_EDGES];
    interp_graph g;
    interp_data *inputs;
} bench;

static uint64_t next_random(bench *b)
{
    b->random ^= b->random << 13;
    b->random ^= b->random >> 7;
    return b->random ^= b->random << 17;
}

static double uniform(bench *b) { return (double)(next_random(b) >> 11) * 0x1p-52 - 1; }

static bool symbol_value(void *ud, dim_sym s, int64_t *value)
{
    bench *b = ud;
    if (s.i >= MAX_SYMBOLS)
        return false;
    *value = b->dims[s.i];
    return true;
}

static int64_t dim_of(bench *b, dim d)
{
    int64_t n = -1;
    return dim_eval(b->l->dims, d, symbol_value, b, &n) == DIM_FINE ? n : -1;
}

static void make_graph(bench *b, const graph_case *c)
{
    for (int64_t e = 0; e < c->n_edges; e++) {
        int64_t k = c->n_graphs > 1 ? (int64_t)(next_random(b) % (uint64_t)c->n_graphs) : 0;
        int64_t lo = c->n_graphs > 1 ? c->ptr[k] : 0,
                n_src = c->n_graphs > 1 ? c->ptr[k + 1] - lo : c->n_src,
                n_dst = c->n_graphs > 1 ? n_src : c->n_dst;
        if (n_src == 0) {
            lo = 0;
            n_src = n_dst = c->ptr[1];
        }
        int64_t s = lo + (int64_t)(next_random(b) % (uint64_t)n_src),
                d = lo + (int64_t)(next_random(b) % (uint64_t)n_dst);
        if (e % 5 == 0)
            d = lo;
        if (d == 1 || d == LONE)
            d = 0;
        if (s == LONE)
            s = d;
        if (c->n_graphs > 1 && lo && (s < lo || d < lo))
            s = d = lo;
        b->src[e] = (int32_t)s;
        b->dst[e] = (int32_t)d;
    }
    if (c->n_edges > 4) {
        b->src[1] = b->src[0];
        b->dst[1] = b->dst[0];
        if (c->square)
            b->src[2] = b->dst[2];
    }
    b->g = (interp_graph){.n_src = c->n_src,
                          .n_dst = c->n_dst,
                          .n_edges = c->n_edges,
                          .src = b->src,
                          .dst = b->dst,
                          .square = c->square,
                          .n_graphs = c->n_graphs,
                          .graph_ptr = c->square ? c->ptr : NULL};
}

static int64_t rows_of(bench *b, ir_dom dom)
{
    const ir_domain *d = &b->l->domains[dom.i];
    switch (d->kind) {
    case DOM_UNIT: return 1;
    case DOM_NODES: return d->side == SIDE_SRC ? b->g.n_src : b->g.n_dst;
    case DOM_EDGES: return b->g.n_edges;
    case DOM_GRAPHS: return b->g.n_graphs;
    case DOM_INDEX: case DOM_PAIR: return dim_of(b, d->range);
    }
    return 0;
}

static void fill_input(bench *b, uint32_t i, fill how)
{
    const ir_node *n = ir_at(b->l, b->l->inputs[i].value);
    int64_t rows = rows_of(b, n->dom), elems = 1, range = n->type == T_INDEX ? dim_of(b, n->range) : 0;
    for (uint32_t k = 0; k < n->rank; k++)
        elems *= dim_of(b, n->shape[k]);
    double *at = calloc((size_t)(rows * elems > 0 ? rows * elems : 1), sizeof *at);
    for (int64_t k = 0; at && k < rows * elems; k++) {
        if (n->type == T_BOOL)
            at[k] = next_random(b) & 1;
        else if (n->type == T_INDEX)
            at[k] = n->none && next_random(b) % 4 == 0
                        ? -1
                        : (double)(next_random(b) % (uint64_t)(range > 0 ? range : 1));
        else
            at[k] = uniform(b);
    }
    if (at && how == WEIGHT_INF && b->l->inputs[i].param && elems > 0)
        at[elems / 2] = INFINITY;
    bool nodes = b->l->domains[n->dom.i].kind == DOM_NODES;
    int64_t row = how == READ_NAN ? 2 : LONE;
    if (at && nodes && how != ORDINARY && how != WEIGHT_INF && ir_is_float(n->type) && rows > row)
        for (int64_t k = 0; k < elems; k++)
            at[row * elems + k] = how == LONE_INF ? (k % 2 ? -INFINITY : INFINITY) : NAN;
    free((void *)(uintptr_t)b->inputs[i].at);
    b->inputs[i] = (interp_data){at, rows * elems};
}

static bool near(double got, double want, fill how)
{
    if (isnan(want))
        return isnan(got) || how == LONE_INF || how == WEIGHT_INF;
    if (isinf(want) && how == WEIGHT_INF)       /* sums of infinities in another order */
        return !isfinite(got);
    return got == want || fabs(got - want) <= 1e-9 * (fabs(want) > 1 ? fabs(want) : 1);
}

/* -1: the layer cannot be run on this graph at these sizes, 0: they differ, 1: they agree. */
static int compare_once(bench *b, const ir_layer *before, const ir_layer *after, const char *name, fill how,
                        buf *out)
{
    for (uint32_t i = 0; i < before->n_inputs; i++)
        fill_input(b, i, how);
    interp_call call = {.graph = &b->g,
                        .dims = b->dims,
                        .n_dims = MAX_SYMBOLS,
                        .reals = b->reals,
                        .inputs = b->inputs,
                        .seed = 7};
    interp_result x = {0}, y = {0};
    int verdict = interp_run(before, &call, &x) ? 1 : -1;
    if (verdict == 1 && !interp_run(after, &call, &y)) {
        buf_printf(out, "%s: after the passes: %s\n", name, y.why);
        verdict = 0;
    }
    if (verdict == -1)
        buf_printf(out, "# %s: %s\n", name, x.why);
    for (uint32_t o = 0; verdict == 1 && o < before->n_outputs; o++) {
        if (x.outputs[o].n != y.outputs[o].n || x.outputs[o].rows != y.outputs[o].rows) {
            buf_printf(out, "%s: %s has another size\n", name, before->outputs[o].name);
            verdict = 0;
        }
        for (int64_t k = 0; verdict == 1 && k < x.outputs[o].n; k++) {
            double want = x.outputs[o].at[k], got = y.outputs[o].at[k];
            int64_t row = k / (x.outputs[o].n / x.outputs[o].rows);
            bool nodes = before->domains[before->outputs[o].rows.i].kind == DOM_NODES;
            if (how == WEIGHT_INF && (!nodes || (b->g.n_edges && row != 1 && row != LONE)))
                continue;
            if (near(got, want, how))
                continue;
            buf_printf(out, "%s, fill %d: %s[%lld] is %.12g, not %.12g\n", name, how,
                       before->outputs[o].name, (long long)k, got, want);
            verdict = 0;
        }
    }
    interp_free(&x);
    interp_free(&y);
    return verdict;
}

bool compare_layers(const ir_layer *before, const ir_layer *after, buf *out)
{
    static const int64_t sizes[N_SIZES][4] = {{3, 2, 4, 5}, {4, 4, 4, 4}, {1, 2, 1, 3}};
    bench b = {.l = before, .random = 0x9e3779b97f4a7c15u};
    b.inputs = calloc(before->n_inputs + 1, sizeof *b.inputs);
    uint32_t n = dim_n_symbols(before->dims), ran = 0;
    bool same = b.inputs && n <= MAX_SYMBOLS && before->n_statics <= MAX_STATICS;
    for (uint32_t i = 0; same && i < before->n_statics; i++)
        b.reals[i] =
            before->statics[i].has_default && before->statics[i].real ? before->statics[i].value : 0.7;
    for (int s = 0; same && s < N_SIZES; s++) {
        for (uint32_t i = 0; i < n; i++)
            b.dims[i] = sizes[s][i % 4];
        for (int c = 0; same && c < N_CASES; c++) {
            make_graph(&b, &cases[c]);
            for (int how = ORDINARY; same && how < N_FILLS; how++) {
                int verdict = compare_once(&b, before, after, cases[c].name, (fill)how, out);
                same = verdict != 0;
                ran += verdict == 1;
            }
        }
    }
    for (uint32_t i = 0; i < before->n_inputs && b.inputs; i++)
        free((void *)(uintptr_t)b.inputs[i].at);
    free(b.inputs);
    if (same && !ran)
        buf_puts(out, "it never ran\n");
    else if (same)
        buf_printf(out, "same in %u runs\n", ran);
    return same && ran;
}
