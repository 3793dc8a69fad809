/* See tensors.h. */
#include "tests/prop/tensors.h"

mp_status tensors_graph(mp_context *ctx, arena *mem, const hard_graph *g, mp_graph **out)
{
    mp_graph_desc d = {.n_src = g->n_src, .n_dst = g->n_dst, .n_edges = g->n_edges, .src = g->src, .dst = g->dst};
    if (g->kind == HG_COMPLETE) {
        d.format = MP_GRAPH_COMPLETE;
        d.src = d.dst = NULL;
    }
    if (g->graph_ptr) {
        int32_t *ptr = NEW_N(mem, int32_t, g->n_graphs + 1);
        for (int64_t i = 0; i <= g->n_graphs; i++)
            ptr[i] = (int32_t)g->graph_ptr[i];
        d.graph_ptr = ptr;
        d.n_graphs = g->n_graphs;
    }
    if (g->degrees) {
        int32_t *degrees = NEW_N(mem, int32_t, g->n_src + 1);
        for (int64_t i = 0; i < g->n_src; i++)
            degrees[i] = (int32_t)g->degrees[i];
        d.in_degree = degrees;
    }
    return mp_graph_create(ctx, &d, out);
}

int64_t tensors_rows(const ir_layer *l, ir_dom d, const hard_graph *g)
{
    const ir_domain *p = &l->domains[d.i];
    switch (p->kind) {
    case DOM_UNIT: case DOM_INDEX: case DOM_PAIR: return 1;
    case DOM_NODES: return p->side == SIDE_SRC ? g->n_src : g->n_dst;
    case DOM_EDGES: return g->n_edges;
    case DOM_GRAPHS: return g->n_graphs;
    }
    return 1;
}

DLDataType tensors_type(unsigned type, bool f64, bool wide)
{
    int bytes = type == T_BOOL ? 1 : type == T_INDEX ? (wide ? 8 : 4) : f64 ? 8 : 4;
    return (DLDataType){type == T_BOOL ? kDLUInt : type == T_INDEX ? kDLInt : kDLFloat, (uint8_t)(8 * bytes), 1};
}

int64_t tensors_describe(tensor *t, const ir_layer *l, ir_val v, ir_dom rows, const situation *s, DLDataType type, void *data, int64_t gap)
{
    const ir_node *n = ir_at(l, v);
    int rank = 0;
    int64_t step = 1, total = 1;
    if (rows.i)
        t->shape[rank++] = tensors_rows(l, rows, s->graph);
    for (uint32_t k = 0; k < n->rank; k++)
        t->shape[rank++] = oracle_dim(l, n->shape[k], s->sizes);
    for (int k = rank; k-- > 0;) {
        t->strides[k] = k == 0 && rows.i ? step + gap : step;
        step *= t->shape[k];
        total *= t->shape[k];
    }
    t->dl = (DLTensor){.data = data, .device = {kDLCPU, 0}, .ndim = rank, .dtype = type, .shape = t->shape,
                       .strides = gap && rows.i ? t->strides : NULL};
    return total;
}

void tensors_put(void *at, DLDataType t, int64_t i, double x)
{
    if (t.code == kDLUInt)
        ((uint8_t *)at)[i] = x != 0;
    else if (t.code == kDLInt && t.bits == 64)
        ((int64_t *)at)[i] = (int64_t)x;
    else if (t.code == kDLInt)
        ((int32_t *)at)[i] = (int32_t)x;
    else if (t.bits == 64)
        ((double *)at)[i] = x;
    else
        ((float *)at)[i] = (float)x;
}

double tensors_get(const void *at, DLDataType t, int64_t i)
{
    if (t.code == kDLUInt)
        return ((const uint8_t *)at)[i];
    if (t.code == kDLInt)
        return t.bits == 64 ? (double)((const int64_t *)at)[i] : ((const int32_t *)at)[i];
    return t.bits == 64 ? ((const double *)at)[i] : (double)((const float *)at)[i];
}
