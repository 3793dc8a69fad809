/* Maps as arrays: for each member the member that it is sent to, or -1. */
#include "compiler/ir/interp_int.h"

#include <stdlib.h>

static int compare_keys(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void run_pairs(run *x, ir_val v, double *out, int64_t rows)
{
    const double *index = array_of(x, arg_of(x, v, 0))->at, *base = array_of(x, arg_of(x, v, 1))->at;
    const ir_domain *d = &x->l->domains[node_of(x, v)->u.cod.i];
    int64_t range = run_dim(x, v, d->range), n = 0, distinct = 0;
    if (range <= 0 || range > INT32_MAX)
        run_fail(x, v, "range of the index");
    int64_t *keys = arena_alloc_array(x->scratch, (size_t)rows, sizeof *keys);
    for (int64_t m = 0; m < rows; m++)
        if (index[m] >= 0 && base[m] >= 0)
            keys[n++] = (int64_t)base[m] * range + (int64_t)index[m];
    qsort(keys, (size_t)n, sizeof *keys, compare_keys);
    for (int64_t i = 0; i < n; i++)
        if (i == 0 || keys[i] != keys[i - 1])
            keys[distinct++] = keys[i];
    pair_list *p = &x->pairs[node_of(x, v)->u.cod.i];
    free(p->first);
    free(p->second);
    *p = (pair_list){0};
    p->first = run_alloc(x, distinct, sizeof *p->first);
    p->second = run_alloc(x, distinct, sizeof *p->second);
    p->n = distinct;
    for (int64_t i = 0; i < distinct; i++) {
        p->first[i] = keys[i] / range;
        p->second[i] = keys[i] % range;
    }
    for (int64_t m = 0; m < rows; m++) {
        out[m] = -1;
        if (index[m] < 0 || base[m] < 0)
            continue;
        int64_t key = (int64_t)base[m] * range + (int64_t)index[m];
        const int64_t *at = bsearch(&key, keys, (size_t)distinct, sizeof *keys, compare_keys);
        out[m] = (double)(at - keys);
    }
}

static void run_graphs(run *x, ir_val v, double *out, int64_t rows)
{
    const interp_graph *g = x->call->graph;
    bool edges = x->l->domains[node_of(x, v)->dom.i].kind == DOM_EDGES;
    for (int64_t m = 0; g->graph_ptr && m < rows; m++) {
        int64_t node = edges ? g->dst[m] : m, at = 0;
        while (at + 1 < g->n_graphs && node >= g->graph_ptr[at + 1])
            at++;
        out[m] = (double)at;
    }
}

void run_map(run *x, ir_val v, double *out, int64_t rows)
{
    const ir_node *n = node_of(x, v);
    const interp_graph *g = x->call->graph;
    ir_op op = (ir_op)n->op;
    if ((op == OP_MAP_SRC_DST || op == OP_MAP_SUFFIX) && !g->square)
        run_fail(x, v, "only on a square graph");
    if ((op == OP_MAP_DST_SRC || op == OP_MAP_PREFIX) && g->n_dst > g->n_src)
        run_fail(x, v, "more destination nodes than sources");
    if (op == OP_MAP_PAIR) {
        run_pairs(x, v, out, rows);
        return;
    }
    if (op == OP_MAP_GRAPH) {
        run_graphs(x, v, out, rows);
        return;
    }
    const pair_list *pairs = &x->pairs[n->dom.i];
    for (int64_t m = 0; m < rows; m++) {
        if (op == OP_MAP_SRC || op == OP_MAP_SRC_DST)
            out[m] = g->src[m];
        else if (op == OP_MAP_DST || op == OP_MAP_DST_SRC)
            out[m] = g->dst[m];
        else if (op == OP_MAP_PREFIX || op == OP_MAP_SUFFIX)
            out[m] = (double)m;
        else if (op == OP_MAP_INDEX)
            out[m] = array_of(x, n->args[0])->at[m];
        else if (op == OP_MAP_FIRST)
            out[m] = (double)pairs->first[m];
        else if (op == OP_MAP_SECOND)
            out[m] = (double)pairs->second[m];
        else
            out[m] = 0;                         /* map_unit */
    }
}

void run_count(run *x, ir_val v, double *out)
{
    const interp_array *along = array_of(x, arg_of(x, v, 0));
    for (int64_t m = 0; m < along->n; m++)
        if (along->at[m] >= 0)
            out[(int64_t)along->at[m]] += 1;
    int64_t rows = array_of(x, v)->rows;
    for (int64_t i = 0; i < rows; i++)
        out[i] = run_keep(x, node_of(x, v)->type, out[i]);
}
