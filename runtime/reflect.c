/*
 * Reflection: a layer's values and static arguments as the description has them, with what is settled filled in.
 */
#include <math.h>
#include <string.h>

#include "runtime/device_program.h"

const char *mp_layer_name(const mp_layer *layer)
{
    return layer ? layer->desc->name : NULL;
}

static bool has_role(const desc_layer *l, uint32_t i, mp_role role)
{
    return i >= l->n_inputs ? role == MP_OUTPUT : role == (l->inputs[i].param ? MP_PARAM : MP_INPUT);
}

int mp_layer_count(const mp_layer *layer, mp_role role)
{
    int n = 0;
    if (!layer)
        return 0;
    for (uint32_t i = 0; i < layer->desc->n_inputs + layer->desc->n_outputs; i++)
        n += has_role(layer->desc, i, role);
    return n;
}

static int64_t dim_or_open(const mp_layer *layer, uint32_t dim)
{
    int64_t x;
    return desc_dim_eval(&layer->desc->dims[dim], layer->values.value, layer->values.known, &x) == DESC_FINE ? x : -1;
}

/* Does the backward read what is bound? Known once there is code; before, what may be differentiated may be read. */
static bool is_saved(const mp_layer *layer, mp_role role, const desc_value *v)
{
    const desc_layer *l = layer->desc;
    const prepared *p = layer->prepared[DESC_TRAIN];
    const desc_program *back = desc_find_program(p ? p->desc : l, DESC_BACKWARD);
    bool any = false;
    uint32_t kind = role == MP_OUTPUT ? BUF_OUTPUT : BUF_INPUT, i = (uint32_t)(v - (role == MP_OUTPUT ? l->outputs : l->inputs));
    for (uint32_t k = 0; back && k < back->n_buffers; k++)
        if (back->buffers[k].kind == kind && back->buffers[k].index == i)
            return true;
    for (uint32_t k = 0; !back && layer->mod->source.specialise && k < l->n_inputs; k++)
        any |= l->inputs[k].differentiable;
    return any && (role != MP_OUTPUT || v->differentiable);
}

static const prepared *any_prepared(const mp_layer *layer)
{
    for (int k = 0; k < DESC_PROGRAM_KINDS; k++)
        if (layer->prepared[k])
            return layer->prepared[k];
    return NULL;
}

static void describe(const mp_layer *layer, mp_role role, const desc_value *v, mp_value_info *out)
{
    const desc_layer *l = layer->desc;
    const prepared *p = layer->prepared[layer->last] ? layer->prepared[layer->last] : any_prepared(layer);
    mp_value_info info = { .size = out->size, .name = v->name, .role = role, .domain = v->domain, .type = v->type,
                           .saved = is_saved(layer, role, v), .differentiable = v->differentiable, .none = v->none, .rank = (int)v->rank,
                           .range_value = -1, .rows = 1, .init = v->init };
    for (int i = 0; i < MP_MAX_RANK; i++) {
        bool there = (uint32_t)i < v->rank;
        info.dims[i] = there ? l->dims[v->dims[i]].text : NULL;
        info.shape[i] = there ? dim_or_open(layer, v->dims[i]) : -1;
    }
    if (v->type == MP_INDEX) {
        info.range = l->dims[v->range].text;
        info.range_value = dim_or_open(layer, v->range);
    }
    if (desc_value_has_rows(v))
        info.rows = p ? prepared_rows(p, (mp_rows){ v->rows, 0 }) : -1;
    memcpy(out, &info, out->size && out->size < sizeof info ? out->size : sizeof info);
}

static mp_status check_info(const mp_layer *layer, const void *info, const char *call)
{
    if (!layer)
        return MP_USAGE;
    return info ? MP_OK : error_set(layer->ctx, MP_USAGE, "%s: the result must not be NULL", call);
}

mp_status mp_layer_value(const mp_layer *layer, mp_role role, int i, mp_value_info *info)
{
    mp_status st = check_info(layer, info, "mp_layer_value");
    if (st)
        return st;
    const desc_layer *l = layer->desc;
    for (uint32_t k = 0; i >= 0 && k < l->n_inputs + l->n_outputs; k++) {
        if (!has_role(l, k, role) || i-- > 0)
            continue;
        describe(layer, role, k < l->n_inputs ? &l->inputs[k] : &l->outputs[k - l->n_inputs], info);
        return MP_OK;
    }
    return error_set(layer->ctx, MP_USAGE, "%s: there is no such input, param or output", l->name);
}

mp_status mp_layer_find(const mp_layer *layer, const char *name, mp_value_info *info)
{
    mp_status st = check_info(layer, info, "mp_layer_find");
    mp_role role;
    uint32_t i;
    if (!st && !name)
        st = error_set(layer->ctx, MP_USAGE, "mp_layer_find: the name is NULL");
    if (!st)
        st = layer_find((mp_layer *)(uintptr_t)layer, name, &role, &i);
    if (!st)
        describe(layer, role, role == MP_OUTPUT ? &layer->desc->outputs[i] : &layer->desc->inputs[i], info);
    return st;
}

int mp_layer_num_statics(const mp_layer *layer)
{
    return layer ? (int)layer->desc->n_statics : 0;
}

mp_status mp_layer_static(const mp_layer *layer, int i, mp_static_info *out)
{
    mp_status st = check_info(layer, out, "mp_layer_static");
    if (st)
        return st;
    const desc_layer *l = layer->desc;
    if (i < 0 || (uint32_t)i >= l->n_statics)
        return error_set(layer->ctx, MP_USAGE, "%s: there is no static argument %d", l->name, i);
    const desc_static *s = &l->statics[i];
    mp_static_info info = { .size = out->size, .name = s->name, .kind = s->real ? MP_STATIC_REAL : MP_STATIC_DIM };
    if (s->real) {
        info.settled = 1;
        info.real = layer->reals[i];
    } else if (s->symbol != DESC_NONE && layer->values.known[s->symbol]) {
        info.settled = 1;
        info.dim = layer->values.value[s->symbol];
    } else {
        info.settled = layer->plain_dims[i] > 0;
        info.dim = layer->plain_dims[i];
    }
    memcpy(out, &info, out->size && out->size < sizeof info ? out->size : sizeof info);
    return MP_OK;
}

/* That which ran, or, before, that of the module, where it has one. */
static const desc_program *program_of(const mp_layer *layer)
{
    const prepared *p = layer->prepared[layer->last];
    return p ? p->program : desc_find_program(layer->desc, DESC_FORWARD);
}

int mp_layer_num_iterations(const mp_layer *layer)
{
    const desc_program *d = layer ? program_of(layer) : NULL;
    return d ? (int)d->n_loops : 0;
}

mp_status mp_layer_iteration(const mp_layer *layer, int i, mp_iteration *out)
{
    mp_status st = check_info(layer, out, "mp_layer_iteration");
    if (st)
        return st;
    const desc_program *d = program_of(layer);
    if (!d || i < 0 || (uint32_t)i >= d->n_loops)
        return error_set(layer->ctx, MP_USAGE, "%s: there is no iteration %d", layer->desc->name, i);
    mp_iteration info = { .size = out->size, .name = d->loops[i].name, .change = NAN };
    prepared *p = layer->prepared[layer->last];
    if (p && layer->ran && (uint32_t)i < p->program->n_loops) {
        if (p->device)
            device_program_fetch((mp_layer *)(uintptr_t)layer, p);
        info.steps = p->loops[i].steps;
        info.change = p->loops[i].change;
    }
    memcpy(out, &info, out->size && out->size < sizeof info ? out->size : sizeof info);
    return MP_OK;
}
