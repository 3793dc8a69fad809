/*
 * Binding: a tensor is checked against its value (type, rank, the dims that other tensors and static arguments have
 * settled), then borrowed or, for an index or bool, copied. Nothing changes when a check fails.
 */
#include <string.h>

#include "runtime/convert.h"
#include "runtime/layer.h"

/* ---- Types ------------------------------------------------------------------------------------------------------ */

static bool type_fits(mp_type want, tensor_type given, bool output)
{
    switch (want) {
    case MP_F32: case MP_F64: case MP_F16: case MP_BF16:
        return tensor_type_is_float(given) || (!output && given == TENSOR_BOOL);
    case MP_INDEX: return given == TENSOR_I32 || given == TENSOR_I64;
    case MP_BOOL: return given == TENSOR_BOOL;
    }
    return false;
}

static const char *type_text(mp_type want)
{
    switch (want) {
    case MP_F32: case MP_F64: case MP_F16: case MP_BF16: return "a float";
    case MP_INDEX: return "an index: int32 or int64";
    case MP_BOOL: return "a bool: bool or uint8";
    }
    return "";
}

/* Bytes are bools here: they bind to real values as 0 and 1. */
static tensor_type type_of(const DLTensor *t)
{
    tensor_type type = TENSOR_F32;
    tensor_type_of(t->dtype, &type);
    return type == TENSOR_U8 ? TENSOR_BOOL : type;
}

/* ---- Checks ----------------------------------------------------------------------------------------------------- */

/* What a tensor is bound as. */
typedef enum bound_as { AS_INPUT, AS_OUTPUT, AS_GRADIENT, AS_COTANGENT } bound_as;

static bool is_written(bound_as as)
{
    return as == AS_OUTPUT || as == AS_GRADIENT;
}

static mp_status check_flags(mp_layer *layer, const desc_value *v, bound_as as, unsigned flags)
{
    if (flags & ~(unsigned)(MP_CONST | MP_WALK_ORDER | MP_ACCUMULATE))
        return layer_error(layer, MP_USAGE, "%s: unknown flags %#x", v->name, flags);
    if ((flags & MP_ACCUMULATE) && as != AS_GRADIENT)
        return layer_error(layer, MP_USAGE, "%s: MP_ACCUMULATE is for gradients", v->name);
    if (is_written(as) && (flags & MP_CONST))
        return layer_error(layer, MP_USAGE, "%s: %s cannot be MP_CONST", v->name, as == AS_OUTPUT ? "an output" : "a gradient");
    if ((flags & MP_WALK_ORDER) && v->rows != ROWS_EDGES)
        return layer_error(layer, MP_USAGE, "%s: MP_WALK_ORDER is for edge values", v->name);
    return MP_OK;
}

static mp_status check_shape(mp_layer *layer, const desc_value *v, const DLTensor *t)
{
    int want = (int)v->rank + (desc_value_has_rows(v) ? 1 : 0);
    if (t->ndim == want)
        return MP_OK;
    char given[TENSOR_TEXT], expected[TENSOR_TEXT];
    return layer_error(layer, MP_INVALID, "%s has shape %s, but must have %s", v->name,
                       tensor_shape_text(t->shape, t->ndim, given, sizeof given),
                       dims_shape_text(layer->desc, v, expected, sizeof expected));
}

/* Elements of an output must be apart. */
static bool writable(const DLTensor *t)
{
    for (int i = 0; i < t->ndim; i++)
        if (t->strides && t->shape[i] > 1 && t->strides[i] == 0)
            return false;
    return true;
}

static mp_status check_tensor(mp_layer *layer, const desc_value *v, bound_as as, const DLTensor *t, unsigned flags)
{
    bool output = as != AS_INPUT;
    mp_status st = check_flags(layer, v, as, flags);
    if (st)
        return st;
    st = tensor_check_place(layer->ctx, v->name, t);
    if (st)
        return error_prefix(layer->ctx, st, "%s", layer->desc->name);
    tensor_type type;
    tensor_type_of(t->dtype, &type);
    if (!type_fits(v->type, type_of(t), output))
        return layer_error(layer, MP_INVALID, "%s holds %s, but must be %s", v->name, tensor_type_name(type),
                           type_text(v->type));
    st = check_shape(layer, v, t);
    if (st)
        return st;
    if (is_written(as) && !writable(t))
        return layer_error(layer, MP_INVALID, "%s: elements of %s cannot share memory (a stride is 0)", v->name,
                           as == AS_OUTPUT ? "an output" : "a gradient");
    return MP_OK;
}

/* ---- Copies ----------------------------------------------------------------------------------------------------- */

static void set_tensor(binding *b, const DLTensor *t, unsigned flags)
{
    b->bound = true;
    b->flags = flags;
    b->type = type_of(t);
    b->compact = tensor_is_compact(t);
    b->t = *t;
    b->t.dtype = tensor_dtype(b->type);
    b->t.shape = b->shape;
    b->t.strides = NULL;
    if (!t->ndim)
        return;
    memcpy(b->shape, t->shape, (size_t)t->ndim * sizeof *t->shape);
    if (t->strides) {
        memcpy(b->strides, t->strides, (size_t)t->ndim * sizeof *t->strides);
        b->t.strides = b->strides;
    }
}

static mp_status copy_index(mp_layer *layer, const desc_value *v, const dim_values *dims, binding *b)
{
    int64_t range, n = tensor_count(&b->t);
    if (desc_dim_eval(&layer->desc->dims[v->range], dims->value, dims->known, &range) != DESC_FINE || range < 1)
        range = (int64_t)1 << 31;               /* checked by prepare, when it is known */
    size_t bytes;
    if (!mem_size(n, sizeof(int32_t), &bytes) || !binding_copy_room(layer->ctx, b, bytes))
        return error_memory(layer->ctx, (size_t)n * sizeof(int32_t), v->name);
    int32_t *copy = b->copy;
    host_view view;
    mp_status st = tensor_to_host(layer->ctx, &b->t, &view);
    if (!st)
        st = convert_index(layer->ctx, v->name, &view.t, range, v->none, copy);
    host_view_free(layer->ctx, &view);
    if (st) {
        binding_drop(layer->ctx, b);
        return error_prefix(layer->ctx, st, "%s", layer->desc->name);
    }
    b->greatest = -1;
    for (int64_t i = 0; i < n; i++)
        b->greatest = copy[i] > b->greatest ? copy[i] : b->greatest;
    return MP_OK;
}

static mp_status copy_bool(mp_layer *layer, const desc_value *v, binding *b)
{
    int64_t n = tensor_count(&b->t);
    if (!binding_copy_room(layer->ctx, b, (size_t)n))
        return error_memory(layer->ctx, (size_t)n, v->name);
    host_view view;
    mp_status st = tensor_to_host(layer->ctx, &b->t, &view);
    if (!st)
        convert_in(layer->ctx, &view.t, TENSOR_BOOL, b->copy);
    else
        binding_drop(layer->ctx, b);
    host_view_free(layer->ctx, &view);
    return st;
}

/* ---- mp_bind ---------------------------------------------------------------------------------------------------- */

static bool same_layout(const binding *a, const binding *b)
{
    return a->bound && a->type == b->type && a->compact == b->compact && a->flags == b->flags &&
           tensor_same_shape(&a->t, &b->t);
}

/* A float tensor that differs from the one before in its memory alone needs no new shapes, room or copies. */
static bool same_but_memory(const binding *old, const binding *new)
{
    return same_layout(old, new) && !new->copy && !(new->flags & MP_CONST);
}

static void count_bind(mp_layer *layer, bound_as as, bool same_form)
{
    bind_count *c = as == AS_INPUT || as == AS_OUTPUT ? &layer->bound : &layer->bound_grads;
    c->places++;
    c->forms += !same_form;
}

static mp_status unbind(mp_layer *layer, bound_as as, binding *b)
{
    if (!b->bound)
        return MP_OK;
    binding_drop(layer->ctx, b);
    count_bind(layer, as, false);
    dim_values_copy(&layer->values, &layer->given);
    return dims_from_shapes(layer->ctx, layer->desc, layer->shapes, layer_shapes(layer, NULL), &layer->values);
}

static mp_status bind(mp_layer *layer, const desc_value *v, bound_as as, binding *old, const DLTensor *t, unsigned flags)
{
    mp_status st = check_tensor(layer, v, as, t, flags);
    if (st)
        return st;
    binding new = { 0 };
    set_tensor(&new, t, flags);
    dim_values *dims = &layer->values;
    if (!old->bound || !tensor_same_shape(&old->t, &new.t)) {
        dims = &layer->spare;
        uint32_t n = layer_shapes(layer, old);
        layer->shapes[n++] = (dim_shape){ v, new.shape, new.t.ndim };
        dim_values_copy(dims, &layer->given);
        st = dims_from_shapes(layer->ctx, layer->desc, layer->shapes, n, dims);
        if (!st)
            st = dims_check(layer->ctx, layer->desc, dims);
    }
    if (!st && as == AS_INPUT && v->type == MP_INDEX)
        st = copy_index(layer, v, dims, &new);
    if (!st && as == AS_INPUT && v->type == MP_BOOL)
        st = copy_bool(layer, v, &new);
    if (st)
        return st;
    count_bind(layer, as, same_but_memory(old, &new));
    if (dims == &layer->spare)
        dim_values_copy(&layer->values, dims);
    binding_drop(layer->ctx, old);
    *old = new;
    old->t.shape = old->shape;
    old->t.strides = new.t.strides ? old->strides : NULL;
    return MP_OK;
}

mp_status mp_bind(mp_layer *layer, const char *name, const DLTensor *tensor, unsigned flags)
{
    if (!layer)
        return MP_USAGE;
    if (!name)
        return layer_error(layer, MP_USAGE, "mp_bind: the name is NULL");
    mp_role role;
    uint32_t i;
    mp_status st = layer_find(layer, name, &role, &i);
    if (st)
        return st;
    bool output = role == MP_OUTPUT;
    bound_as as = output ? AS_OUTPUT : AS_INPUT;
    binding *b = output ? &layer->outputs[i] : &layer->inputs[i];
    const desc_value *v = output ? &layer->desc->outputs[i] : &layer->desc->inputs[i];
    return tensor ? bind(layer, v, as, b, tensor, flags) : unbind(layer, as, b);
}

static bool is_float(mp_type t)
{
    return t != MP_INDEX && t != MP_BOOL;
}

/* Why a value has no gradient, or an output no cotangent. */
static mp_status no_derivative(mp_layer *layer, const desc_value *v, bool output)
{
    const desc_layer *l = layer->desc;
    bool any = false;
    for (uint32_t i = 0; i < l->n_inputs; i++)
        any |= l->inputs[i].differentiable;
    if (!is_float(v->type))
        return layer_error(layer, MP_INVALID, "%s is %s: it has no %s", v->name, type_text(v->type), output ? "cotangent" : "gradient");
    if (!any)
        return layer_error(layer, MP_UNSUPPORTED, "%s: this module was compiled without derivatives", v->name);
    return layer_error(layer, MP_UNSUPPORTED, "%s: this module was compiled without its gradient", v->name);
}

mp_status mp_bind_grad(mp_layer *layer, const char *name, const DLTensor *tensor, unsigned flags)
{
    if (!layer)
        return MP_USAGE;
    if (!name)
        return layer_error(layer, MP_USAGE, "mp_bind_grad: the name is NULL");
    mp_role role;
    uint32_t i;
    mp_status st = layer_find(layer, name, &role, &i);
    if (st)
        return st;
    bool output = role == MP_OUTPUT;
    bound_as as = output ? AS_COTANGENT : AS_GRADIENT;
    binding *b = output ? &layer->cotangents[i] : &layer->gradients[i];
    const desc_value *v = output ? &layer->desc->outputs[i] : &layer->desc->inputs[i];
    if (!tensor)
        return unbind(layer, as, b);
    if (!v->differentiable)
        return no_derivative(layer, v, output);
    st = bind(layer, v, as, b, tensor, flags);
    return st == MP_INVALID ? error_prefix(layer->ctx, st, output ? "the cotangent of an output" : "a gradient") : st;
}
