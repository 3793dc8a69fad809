/*
 * Layers: creation from static arguments, destruction, and finding values by name.
 */
#include "runtime/layer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "runtime/device.h"
#include "runtime/prepare.h"

mp_status layer_error_set(mp_layer *layer, mp_status status, const char *fmt, ...)
{
    char text[2048];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return error_set(layer->ctx, status, "%s: %s", layer->desc->name, text);
}

/* ---- Names ------------------------------------------------------------------------------------------------------ */

enum { NAME_MAX_COMPARED = 40 };

/* Levenshtein's distance; long names are far from everything. */
static uint32_t distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    if (n > NAME_MAX_COMPARED || m > NAME_MAX_COMPARED)
        return UINT32_MAX;
    uint32_t row[NAME_MAX_COMPARED + 1];
    for (size_t j = 0; j <= m; j++)
        row[j] = (uint32_t)j;
    for (size_t i = 1; i <= n; i++) {
        uint32_t diagonal = row[0];
        row[0] = (uint32_t)i;
        for (size_t j = 1; j <= m; j++) {
            uint32_t replace = diagonal + (a[i - 1] != b[j - 1]), drop = row[j] + 1, insert = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = replace < drop ? replace : drop;
            row[j] = insert < row[j] ? insert : row[j];
        }
    }
    return row[m];
}

const char *nearest_name(const char *name, const char *(*names)(const void *ud, uint32_t i), const void *ud, uint32_t n)
{
    const char *best = NULL;
    uint32_t least = (uint32_t)(strlen(name) < 3 ? 1 : strlen(name) / 3 + 1);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t d = distance(name, names(ud, i));
        if (d <= least && (!best || d < least)) {
            least = d;
            best = names(ud, i);
        }
    }
    return best;
}

static const char *static_name(const void *ud, uint32_t i)
{
    return ((const desc_layer *)ud)->statics[i].name;
}

static const char *layer_name(const void *ud, uint32_t i)
{
    return ((const desc_module *)ud)->layers[i].name;
}

static const char *value_name(const void *ud, uint32_t i)
{
    const desc_layer *l = ud;
    return i < l->n_inputs ? l->inputs[i].name : l->outputs[i - l->n_inputs].name;
}

mp_status layer_find(mp_layer *layer, const char *name, mp_role *role, uint32_t *number)
{
    const desc_layer *l = layer->desc;
    for (uint32_t i = 0; i < l->n_inputs + l->n_outputs; i++) {
        if (strcmp(value_name(l, i), name))
            continue;
        *role = i >= l->n_inputs ? MP_OUTPUT : l->inputs[i].param ? MP_PARAM : MP_INPUT;
        *number = i >= l->n_inputs ? i - l->n_inputs : i;
        return MP_OK;
    }
    const char *like = nearest_name(name, value_name, l, l->n_inputs + l->n_outputs);
    return layer_error(layer, MP_INVALID, "there is no input, param or output \"%.100s\"%s%s%s", name,
                       like ? "; did you mean \"" : "", like ? like : "", like ? "\"?" : "");
}

/* ---- Creation --------------------------------------------------------------------------------------------------- */

static mp_status find_layer(mp_module *mod, const char *name, uint32_t *number)
{
    const desc_module *m = mod->desc;
    if (!m->n_layers)
        return error_set(mod->ctx, MP_INVALID, "the module has no layers");
    *number = m->n_layers - 1;
    if (!name)
        return MP_OK;
    for (uint32_t i = 0; i < m->n_layers; i++)
        if (strcmp(m->layers[i].name, name) == 0) {
            *number = i;
            return MP_OK;
        }
    const char *like = nearest_name(name, layer_name, m, m->n_layers);
    return error_set(mod->ctx, MP_INVALID, "the module has no layer \"%.100s\"%s%s%s", name, like ? "; did you mean \"" : "",
                     like ? like : "", like ? "\"?" : "");
}

static mp_status take_dim(mp_layer *layer, uint32_t i, int64_t value)
{
    const desc_static *s = &layer->desc->statics[i];
    if (value < 1)
        return layer_error(layer, MP_INVALID, "%s is %lld, but must be positive", s->name, (long long)value);
    if (s->fixed && value != s->dim)
        return layer_error(layer, MP_INVALID, "%s is %lld, but the module was compiled for %lld", s->name, (long long)value,
                           (long long)s->dim);
    layer->plain_dims[i] = value;
    if (s->symbol == DESC_NONE || s->fixed)
        return MP_OK;
    layer->given.value[s->symbol] = value;
    layer->given.known[s->symbol] = true;
    layer->given.origin[s->symbol] = (dim_origin){ DIM_GIVEN, NULL };
    return MP_OK;
}

static mp_status take_real(mp_layer *layer, uint32_t i, double value)
{
    const desc_static *s = &layer->desc->statics[i];
    if (s->fixed && value != s->value)
        return layer_error(layer, MP_INVALID, "%s is %g, but the module was compiled for %g", s->name, value, s->value);
    layer->reals[i] = value;
    return MP_OK;
}

static mp_status take_static(mp_layer *layer, const mp_static *given)
{
    const desc_layer *l = layer->desc;
    if (!given->name)
        return layer_error(layer, MP_USAGE, "the name of a static argument is NULL");
    for (uint32_t i = 0; i < l->n_statics; i++) {
        const desc_static *s = &l->statics[i];
        if (strcmp(s->name, given->name))
            continue;
        if (given->kind != MP_STATIC_DIM && given->kind != MP_STATIC_REAL)
            return layer_error(layer, MP_USAGE, "%s: there is no kind %d of static arguments", s->name, given->kind);
        if (s->real != (given->kind == MP_STATIC_REAL))
            return layer_error(layer, MP_INVALID, "%s is a %s, but was given as a %s", s->name, s->real ? "real" : "dim",
                               s->real ? "dim" : "real");
        if (layer->was_given[i])
            return layer_error(layer, MP_INVALID, "%s was given twice", s->name);
        layer->was_given[i] = true;
        return s->real ? take_real(layer, i, given->real) : take_dim(layer, i, given->dim);
    }
    const char *like = nearest_name(given->name, static_name, l, l->n_statics);
    return layer_error(layer, MP_INVALID, "there is no static argument \"%.100s\"%s%s%s", given->name,
                       like ? "; did you mean \"" : "", like ? like : "", like ? "\"?" : "");
}

static mp_status take_statics(mp_layer *layer, const mp_static *statics, int n)
{
    const desc_layer *l = layer->desc;
    for (uint32_t i = 0; i < l->n_statics; i++) {
        layer->reals[i] = l->statics[i].real && (l->statics[i].fixed || l->statics[i].has_default) ? l->statics[i].value : 0;
        layer->plain_dims[i] = !l->statics[i].real && l->statics[i].fixed ? l->statics[i].dim : 0;
    }
    for (int i = 0; i < n; i++) {
        mp_status st = take_static(layer, &statics[i]);
        if (st)
            return st;
    }
    for (uint32_t i = 0; i < l->n_statics; i++) {
        const desc_static *s = &l->statics[i];
        if (s->real && !s->fixed && !s->has_default && !layer->was_given[i])
            return layer_error(layer, MP_INVALID, "%s has no value: give it as MP_REAL(\"%s\", ...)", s->name, s->name);
    }
    dim_values_copy(&layer->values, &layer->given);
    return dims_check(layer->ctx, l, &layer->values);
}

/* Every array of a layer, with its length. */
#define ARRAYS(A) \
    A(was_given, l->n_statics) A(reals, l->n_statics) A(plain_dims, l->n_statics) \
    A(shapes, 2 * (l->n_inputs + l->n_outputs)) A(inputs, l->n_inputs) A(outputs, l->n_outputs) \
    A(gradients, l->n_inputs) A(cotangents, l->n_outputs) A(own, l->n_outputs)

#define MAKE(array, n) && (layer->array = mem_zeros(ctx, n, sizeof *layer->array, "a layer"))
#define FREE(array, n) mem_array_free(ctx, layer->array, n, sizeof *layer->array);

static mp_status make_room(mp_layer *layer)
{
    mp_context *ctx = layer->ctx;
    const desc_layer *l = layer->desc;
    return dim_values_make(ctx, l->n_symbols, &layer->given) && dim_values_make(ctx, l->n_symbols, &layer->values) &&
           dim_values_make(ctx, l->n_symbols, &layer->spare) ARRAYS(MAKE) ? MP_OK : MP_SYSTEM;
}

mp_status mp_layer_create(mp_module *mod, const char *name, const mp_static *statics, int n_statics, mp_layer **out)
{
    if (!mod)
        return MP_USAGE;
    if (!out || n_statics < 0 || (n_statics && !statics))
        return error_set(mod->ctx, MP_USAGE, "mp_layer_create: the static arguments and the result must not be NULL");
    uint32_t number = 0;
    mp_status st = find_layer(mod, name, &number);
    if (st)
        return st;
    mp_layer *layer = mem_zalloc(mod->ctx, sizeof *layer);
    if (!layer)
        return error_memory(mod->ctx, sizeof *layer, "a layer");
    layer->ctx = mod->ctx;
    layer->mod = mod;
    layer->number = number;
    layer->state_memory = STATE_MEMORY;
    layer->desc = &mod->desc->layers[number];
    module_retain(mod);
    st = make_room(layer);
    if (!st)
        st = take_statics(layer, statics, n_statics);
    if (st)
        mp_layer_destroy(layer);
    else
        *out = layer;
    return st;
}

/* The count of holders stands before the copy. */
bool binding_copy_room(mp_context *ctx, binding *b, size_t bytes)
{
    size_t all;
    char *p = __builtin_add_overflow(bytes, (size_t)MEM_ALIGN, &all) ? NULL : mem_alloc(ctx, all);
    if (!p)
        return false;
    b->holders = (int64_t *)(void *)p;
    *b->holders = 1;
    b->copy = p + MEM_ALIGN;
    b->copy_bytes = bytes;
    return true;
}

void binding_drop(mp_context *ctx, binding *b)
{
    if (b->holders && --*b->holders == 0)
        mem_free(ctx, b->holders, b->copy_bytes + MEM_ALIGN);
    *b = (binding){ 0 };
}

void binding_share(mp_context *ctx, binding *to, const binding *from)
{
    if (from->holders)
        ++*from->holders;
    binding_drop(ctx, to);
    *to = *from;
    to->t.shape = to->shape;
    to->t.strides = from->t.strides ? to->strides : NULL;
}

void mp_layer_destroy(mp_layer *layer)
{
    if (!layer)
        return;
    mp_context *ctx = layer->ctx;
    const desc_layer *l = layer->desc;
    tapes_leave(layer);
    for (int k = 0; k < DESC_PROGRAM_KINDS; k++)
        prepared_free(ctx, layer->prepared[k]);
    for (uint32_t i = 0; layer->inputs && i < l->n_inputs; i++)
        binding_drop(ctx, &layer->inputs[i]);
    for (uint32_t i = 0; layer->own && i < l->n_outputs; i++)
        data_free(ctx, layer->own[i].data, layer->own[i].bytes);
    dim_values_free(ctx, &layer->given);
    dim_values_free(ctx, &layer->values);
    dim_values_free(ctx, &layer->spare);
    data_free(ctx, layer->own_workspace, layer->own_bytes);
    ARRAYS(FREE)
    mp_module *mod = layer->mod;
    context_retain(ctx);
    mem_free(ctx, layer, sizeof *layer);
    module_release(mod);
    context_release(ctx);
}

uint32_t layer_shapes(mp_layer *layer, const binding *except)
{
    const desc_layer *l = layer->desc;
    uint32_t n = 0;
    for (uint32_t i = 0; i < 2 * (l->n_inputs + l->n_outputs); i++) {
        bool derivative = i >= l->n_inputs + l->n_outputs;
        uint32_t k = derivative ? i - l->n_inputs - l->n_outputs : i;
        bool input = k < l->n_inputs;
        k = input ? k : k - l->n_inputs;
        const desc_value *v = input ? &l->inputs[k] : &l->outputs[k];
        const binding *b = input ? derivative ? &layer->gradients[k] : &layer->inputs[k]
                                 : derivative ? &layer->cotangents[k] : &layer->outputs[k];
        if (b->bound && b != except)
            layer->shapes[n++] = (dim_shape){ v, b->shape, b->t.ndim };
    }
    return n;
}

bool layer_has_gradients(const mp_layer *layer)
{
    for (uint32_t i = 0; i < layer->desc->n_inputs; i++)
        if (layer->gradients[i].bound)
            return true;
    return false;
}

mp_status layer_check_call(mp_layer *layer, const mp_graph *g, const char *call)
{
    if (!layer)
        return MP_USAGE;
    if (!g)
        return layer_error(layer, MP_USAGE, "%s: the graph is NULL", call);
    if (g->ctx != layer->ctx)
        return layer_error(layer, MP_USAGE, "%s: the graph belongs to another context", call);
    return MP_OK;
}
