/*
 * What preparing a layer checks: values of all dims; that the graph is what the layer needs; rows, ranges and presence of
 * the bound tensors. Kernels trust what was checked here.
 */
#include "runtime/prepare.h"

#include "runtime/graph_arrays.h"

static mp_status settle_dims(mp_layer *layer)
{
    dim_values *v = &layer->spare;
    dim_values_copy(v, &layer->given);
    uint32_t n = layer_shapes(layer, NULL);
    mp_status st = dims_settle(layer->ctx, layer->desc, layer->shapes, n, v);
    if (!st)
        st = dims_check(layer->ctx, layer->desc, v);
    if (!st)
        dim_values_copy(&layer->values, v);
    return st;
}

mp_status prepare_elems(mp_layer *layer, const desc_value *v, int64_t *out)
{
    int64_t n = 1;
    for (uint32_t i = 0; i < v->rank; i++) {
        int64_t x;
        mp_status st = dims_eval(layer->ctx, layer->desc, v->dims[i], &layer->values, &x);
        if (st)
            return st;
        if (x < 1 || __builtin_mul_overflow(n, x, &n))
            return layer_error(layer, MP_INVALID, "%s: %s is %lld, which is %s", v->name, layer->desc->dims[v->dims[i]].text,
                               (long long)x, x < 1 ? "not positive" : "too large");
    }
    *out = n;
    return MP_OK;
}

static mp_status check_needs(mp_layer *layer, const mp_graph *g)
{
    for (uint32_t i = 0; i < layer->desc->n_needs; i++) {
        const desc_need *n = &layer->desc->needs[i];
        if (n->kind == DESC_NEED_SQUARE && !g->is_square) {
            return layer_error(layer, MP_INVALID, "%s is read at source nodes, but only destination nodes have it: the "
                               "graph must be square, it has %lld source and %lld destination nodes", n->name,
                               (long long)g->n_src, (long long)g->n_dst);
        }
        if (n->kind == DESC_NEED_DEGREES && !g->src_degrees_known) {
            return layer_error(layer, MP_INVALID, "%s needs the in_degree of all source nodes: the graph must be square or "
                               "have been given them, it has %lld source and %lld destination nodes", n->name,
                               (long long)g->n_src, (long long)g->n_dst);
        }
    }
    return MP_OK;
}

static mp_status check_rows(mp_layer *layer, const prepared *p, const desc_value *v, const binding *b)
{
    if (!b->bound || !desc_value_has_rows(v))
        return MP_OK;
    int64_t rows = prepared_rows(p, (mp_rows){ v->rows, 0 });
    if (b->shape[0] == rows)
        return MP_OK;
    char given[TENSOR_TEXT], expected[TENSOR_TEXT];
    return layer_error(layer, MP_INVALID, "%s has shape %s, but must have %s, and the graph has %lld %s", v->name,
                       tensor_shape_text(b->shape, b->t.ndim, given, sizeof given),
                       dims_shape_text(layer->desc, v, expected, sizeof expected), (long long)rows, dims_rows_text(v));
}

/* An index whose range was open when it was bound. */
static mp_status check_range(mp_layer *layer, const desc_value *v, const binding *b)
{
    int64_t range;
    if (v->type != MP_INDEX || !b->bound)
        return MP_OK;
    mp_status st = dims_eval(layer->ctx, layer->desc, v->range, &layer->values, &range);
    if (st || b->greatest < range)
        return st;
    const int32_t *index = b->copy;
    int64_t at = 0;
    while (index[at] < range)
        at++;
    return layer_error(layer, MP_INVALID, "%s: element %lld is %d, but must be in 0..%lld%s", v->name, (long long)at, index[at],
                       (long long)range - 1, v->none ? " or -1" : "");
}

/* All that the code reads. What a backward does not need for the gradients that are bound counts, too: its forward
 * needed it. */
mp_status prepare_check_bound(mp_layer *layer, const desc_program *d)
{
    for (uint32_t k = 0; k < d->n_buffers; k++)
        if (d->buffers[k].kind == BUF_INPUT && !layer->inputs[d->buffers[k].index].bound)
            return layer_error(layer, MP_USAGE, "%s is not bound", layer->desc->inputs[d->buffers[k].index].name);
    return MP_OK;
}

static mp_status check_tensors(mp_layer *layer, const prepared *p)
{
    const desc_layer *l = layer->desc;
    bool back = p->kind == DESC_BACKWARD;
    mp_status st = MP_OK;
    for (uint32_t i = 0; i < l->n_inputs && !st; i++) {
        st = check_rows(layer, p, &l->inputs[i], &layer->inputs[i]);
        if (!st)
            st = check_range(layer, &l->inputs[i], &layer->inputs[i]);
        if (!st && back && (st = check_rows(layer, p, &l->inputs[i], &layer->gradients[i])))
            st = error_prefix(layer->ctx, st, "a gradient");
    }
    for (uint32_t i = 0; i < l->n_outputs && !st; i++) {
        st = check_rows(layer, p, &l->outputs[i], &layer->outputs[i]);
        if (!st && back && (st = check_rows(layer, p, &l->outputs[i], &layer->cotangents[i])))
            st = error_prefix(layer->ctx, st, "the cotangent of an output");
    }
    return st;
}

mp_status prepare_check(mp_layer *layer, mp_graph *g, desc_program_kind kind)
{
    const desc_program *d = desc_find_program(layer->desc, kind);
    mp_status st = d ? prepare_check_bound(layer, d) : MP_OK;
    if (!st)
        st = settle_dims(layer);
    if (!st)
        st = check_needs(layer, g);
    return st ? st : check_tensors(layer, &(prepared){ .graph = g, .kind = kind });
}
