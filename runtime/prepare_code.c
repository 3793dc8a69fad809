/*
 * The code that a layer runs: the module's own or one specialised for the values of its dims, and those values in the
 * order in which that code reads them.
 */
#include "runtime/prepare.h"

#include <string.h>

/* A dim has no value, and code is only made for known dims. */
static mp_status open_dim(mp_layer *layer, const char *name)
{
    for (uint32_t i = 0; i < layer->desc->n_inputs; i++)
        if (!layer->inputs[i].bound)
            return layer_error(layer, MP_USAGE, "%s is not bound", layer->desc->inputs[i].name);
    return layer_error(layer, MP_INVALID, "%s has no value: no shape determines it, so give it as MP_DIM(\"%s\", ...)", name,
                       name);
}

mp_status layer_trains(mp_layer *layer)
{
    const desc_layer *l = layer->desc;
    bool any = desc_find_program(l, DESC_BACKWARD);
    for (uint32_t i = 0; i < l->n_inputs && layer->mod->source.specialise; i++)
        any |= l->inputs[i].differentiable;
    return any ? MP_OK : layer_error(layer, MP_UNSUPPORTED, "this module was compiled without derivatives");
}

mp_status prepare_code(mp_layer *layer, desc_program_kind kind, mp_module **out)
{
    const desc_layer *l = layer->desc;
    bool generic = desc_find_program(l, kind);
    *out = layer->mod;
    if (!layer->mod->source.specialise)
        return generic ? MP_OK : layer_error(layer, MP_UNSUPPORTED, "this module has no code for it");
    int64_t *dims = mem_array(layer->ctx, l->n_statics, sizeof *dims, "values of dims");
    double *reals = mem_array(layer->ctx, l->n_statics, sizeof *reals, "values of dims");
    const char *open = NULL;
    for (uint32_t i = 0; dims && reals && i < l->n_statics; i++) {
        const desc_static *s = &l->statics[i];
        bool known = s->symbol != DESC_NONE && layer->values.known[s->symbol];
        reals[i] = s->real ? layer->reals[i] : 0;
        dims[i] = s->real ? 0 : known ? layer->values.value[s->symbol] : layer->plain_dims[i];
        if (!s->real && dims[i] < 1 && s->symbol == DESC_NONE)      /* in no shape: any value does */
            dims[i] = s->has_default && s->dim > 0 ? s->dim : 1;
        if (!s->real && dims[i] < 1)
            open = s->name;
    }
    mp_status st = dims && reals ? MP_OK : MP_SYSTEM;
    mp_module *m = !st && !open ? module_specialised(layer->mod, layer->number, dims, reals, kind != DESC_FORWARD) : NULL;
    mem_array_free(layer->ctx, dims, l->n_statics, sizeof *dims);
    mem_array_free(layer->ctx, reals, l->n_statics, sizeof *reals);
    if (m)
        *out = m;
    if (m || generic)
        return st;
    return st ? st : open ? open_dim(layer, open) : error_status(layer->ctx);
}

mp_status prepare_slots(mp_layer *layer, prepared *p)
{
    const desc_layer *l = p->desc;
    dim_values v;
    if (!dim_values_make(layer->ctx, l->n_symbols, &v))
        return MP_SYSTEM;
    for (uint32_t s = 0; s < l->n_symbols; s++)
        for (uint32_t t = 0; t < layer->desc->n_symbols; t++)
            if (layer->values.known[t] && strcmp(l->symbols[s], layer->desc->symbols[t]) == 0) {
                v.value[s] = layer->values.value[t];
                v.known[s] = true;
            }
    mp_status st = MP_OK;
    for (uint32_t i = 0; i < p->program->n_slots && !st; i++)
        st = dims_eval(layer->ctx, l, p->program->slots[i], l == layer->desc ? &layer->values : &v, &p->dim[i]);
    dim_values_free(layer->ctx, &v);
    for (uint32_t i = 0; i < l->n_statics; i++)
        for (uint32_t k = 0; k < layer->desc->n_statics; k++)
            if (strcmp(l->statics[i].name, layer->desc->statics[k].name) == 0)
                p->real[i] = layer->reals[k];
    return st;
}
