/* Binding of arrays to a layer: see bind_data.h. Uses the runtime's inner functions: the command is linked with them. */
#include "compiler/driver/bind_data.h"

#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/convert.h"
#include "runtime/file.h"
#include "runtime/graph_read.h"
#include "runtime/layer.h"
#include "runtime/tensor.h"

typedef struct binder {
    mp_context *ctx;
    mp_layer *layer;
    const desc_layer *desc;
    const cli_options *o;
    graph_source source;
    bound_data *out;
} binder;

/* ---- Arrays from files ------------------------------------------------------------------------------------------- */

/* The input or param that --in or --weight names. */
static mp_status find_input(binder *b, const char *name, const char *option, uint32_t *i)
{
    mp_role role;
    mp_status st = layer_find(b->layer, name, &role, i);
    if (!st && role == MP_OUTPUT)
        st = error_set(b->ctx, MP_INVALID, "%s is an output of %s: %s binds inputs and params", name, b->desc->name, option);
    return st;
}

static mp_status load_named(binder *b)
{
    for (uint32_t k = 0; k < b->o->in.n; k++) {
        uint32_t i;
        const named_file *f = &b->o->in.at[k];
        mp_status st = find_input(b, f->name, "--in", &i);
        if (st)
            return st;
        if (b->out->arrays[i])
            b->out->arrays[i]->deleter(b->out->arrays[i]);
        b->out->arrays[i] = NULL;
        st = mp_npy_load(b->ctx, f->file, &b->out->arrays[i]);
        if (st)
            return error_prefix(b->ctx, st, "%s", f->name);
    }
    return MP_OK;
}

static mp_status load_one_of_folder(binder *b, uint32_t i)
{
    const char *name = b->desc->inputs[i].name;
    char file[300];
    sparse_matrix m;
    if (snprintf(file, sizeof file, "%s.npy", name) >= (int)sizeof file)
        return MP_OK;
    char *path = file_join(b->ctx, b->o->graph, file);
    if (!path)
        return MP_SYSTEM;
    mp_status st = MP_OK;
    if (file_exists(path)) {
        st = mp_npy_load(b->ctx, path, &b->out->arrays[i]);
    } else if (sparse_matrix_exists(b->ctx, b->o->graph, name)) {
        st = sparse_matrix_read(b->ctx, b->o->graph, name, &m);
        if (!st) {
            st = sparse_matrix_dense(b->ctx, &m, &b->out->arrays[i]);
            sparse_matrix_free(b->ctx, &m);
        }
    }
    mem_free(b->ctx, path, strlen(path) + 1);
    return st;
}

static mp_status load_folder(binder *b)
{
    mp_status st = MP_OK;
    for (uint32_t i = 0; b->source.is_folder && i < b->desc->n_inputs && !st; i++)
        if (!b->out->arrays[i])
            st = load_one_of_folder(b, i);
    return st;
}

static bool is_edge_scalar(const desc_value *v)
{
    return !v->param && v->rows == ROWS_EDGES && v->rank == 0 && v->type != MP_INDEX && v->type != MP_BOOL;
}

/* The graph's own weights go to --weight, or to the only scalar edge input that nothing else is bound to. */
static mp_status take_weights(binder *b)
{
    uint32_t at = UINT32_MAX, found = 0;
    if (b->o->weight) {
        mp_status st = find_input(b, b->o->weight, "--weight", &at);
        if (st)
            return st;
        if (!is_edge_scalar(&b->desc->inputs[at]))
            return error_set(b->ctx, MP_INVALID, "--weight %s: this is no scalar edge input", b->o->weight);
        if (!b->source.weights)
            return error_set(b->ctx, MP_INVALID, "--weight %s: the graph has no weights", b->o->weight);
        found = 1;
    }
    for (uint32_t i = 0; i < b->desc->n_inputs && !b->o->weight; i++)
        if (is_edge_scalar(&b->desc->inputs[i]) && !b->out->arrays[i]) {
            at = i;
            found++;
        }
    if (!b->source.weights || found != 1 || b->out->arrays[at])
        return MP_OK;
    mp_status st = tensor_new(b->ctx, TENSOR_F64, 1, &b->source.n_edges, &b->out->arrays[at]);
    if (!st && b->source.n_edges)
        memcpy(b->out->arrays[at]->dl_tensor.data, b->source.weights, (size_t)b->source.n_edges * sizeof(double));
    return st;
}

/* ---- The graph --------------------------------------------------------------------------------------------------- */

/* Where the file does not say how many nodes there are, an array may have more rows than the edges name nodes. */
static mp_status make_graph(binder *b)
{
    int64_t n_src = -1, n_dst = -1;
    bool two_sided = false;
    for (uint32_t i = 0; i < b->desc->n_inputs; i++)
        two_sided |= b->desc->inputs[i].rows == ROWS_DST;
    for (uint32_t i = 0; i < b->desc->n_inputs && !b->source.n_known; i++) {
        const DLManagedTensor *t = b->out->arrays[i];
        uint32_t rows = b->desc->inputs[i].rows;
        if (!t || t->dl_tensor.ndim < 1 || (rows != ROWS_SRC && rows != ROWS_DST))
            continue;
        int64_t n = t->dl_tensor.shape[0], *side = rows == ROWS_DST ? &n_dst : &n_src;
        int64_t least = rows == ROWS_DST ? b->source.n_dst : b->source.n_src;
        if (n > least && n > *side)
            *side = n;
        if (!two_sided)
            n_dst = n_src;
    }
    return graph_source_graph(b->ctx, &b->source, n_src, n_dst, &b->out->graph);
}

/* ---- Binding ----------------------------------------------------------------------------------------------------- */

/* Scalars by edge belong to the graph; they are copied into walk order once. */
static unsigned flags_of(const desc_value *v)
{
    return is_edge_scalar(v) ? MP_CONST : 0;
}

static mp_status bind_loaded(binder *b)
{
    mp_status st = MP_OK;
    for (uint32_t i = 0; i < b->desc->n_inputs && !st; i++)
        if (b->out->arrays[i])
            st = mp_bind(b->layer, b->desc->inputs[i].name, &b->out->arrays[i]->dl_tensor, flags_of(&b->desc->inputs[i]));
    return st;
}

static int64_t rows_of(const binder *b, const desc_value *v)
{
    const mp_graph *g = b->out->graph;
    switch (v->rows) {
    case ROWS_SRC: return mp_graph_num_src(g);
    case ROWS_DST: return mp_graph_num_dst(g);
    case ROWS_EDGES: return mp_graph_num_edges(g);
    case ROWS_GRAPHS: return mp_graph_num_graphs(g);
    default: return 1;
    }
}

static tensor_type type_of(mp_type t)
{
    switch (t) {
    case MP_F64: return TENSOR_F64;
    case MP_F32: return TENSOR_F32;
    case MP_F16: return TENSOR_F16;
    case MP_BF16: return TENSOR_BF16;
    case MP_INDEX: return TENSOR_I32;
    case MP_BOOL: return TENSOR_U8;
    }
    return TENSOR_F32;
}

static mp_status shape_of(const binder *b, const desc_value *v, const dim_values *dims, int64_t shape[MP_MAX_RANK + 1], int *rank)
{
    mp_status st = MP_OK;
    *rank = 0;
    if (desc_value_has_rows(v))
        shape[(*rank)++] = rows_of(b, v);
    for (uint32_t k = 0; k < v->rank && !st; k++)
        st = dims_eval(b->ctx, b->desc, v->dims[k], dims, &shape[(*rank)++]);
    return st;
}

/* Bytes of a value, as far as its dims are known and few enough to be counted. */
static double bytes_of(const binder *b, const desc_value *v, const dim_values *dims)
{
    int64_t shape[MP_MAX_RANK + 1];
    int rank;
    if (shape_of(b, v, dims, shape, &rank) != MP_OK)
        return 0;
    double bytes = (double)tensor_type_size(type_of(v->type));
    for (int k = 0; k < rank; k++)
        bytes *= (double)shape[k];
    return bytes;
}

/* Memory may be promised and not be there: better to say so than to fill arrays until the process is ended. */
static mp_status check_room(const binder *b, const dim_values *dims)
{
    double bytes = 0, room = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    for (uint32_t i = 0; i < b->desc->n_inputs; i++)
        bytes += bytes_of(b, &b->desc->inputs[i], dims);
    for (uint32_t i = 0; i < b->desc->n_outputs; i++)
        bytes += bytes_of(b, &b->desc->outputs[i], dims);
    if (room <= 0 || bytes <= room)
        return MP_OK;
    return error_set(b->ctx, MP_SYSTEM, "out of memory: inputs, params and outputs of %s would take %.3g GB, this machine has %.3g GB",
                     b->desc->name, bytes / 1e9, room / 1e9);
}

/* For a check params that start alike (as zeros, as ones) are moved apart, in their own type. */
static mp_status scatter(const binder *b, const DLTensor *t, uint64_t stream)
{
    DLManagedTensor *noise = NULL, *value = NULL;
    mp_status st = tensor_new(b->ctx, TENSOR_F64, t->ndim, t->shape, &noise);
    if (!st)
        st = tensor_new(b->ctx, TENSOR_F64, t->ndim, t->shape, &value);
    if (!st)
        st = mp_fill_normal(b->ctx, &noise->dl_tensor, b->o->seed, stream + (UINT64_C(1) << 32));
    if (!st) {
        double *x = value->dl_tensor.data;
        const double *d = noise->dl_tensor.data;
        convert_in(b->ctx, t, TENSOR_F64, x);
        for (int64_t i = 0, n = tensor_count(t); i < n; i++)
            x[i] += 0.2 * d[i];
        convert_out(b->ctx, x, TENSOR_F64, t);
    }
    if (noise)
        noise->deleter(noise);
    if (value)
        value->deleter(value);
    return st;
}

static mp_status fill(binder *b, uint32_t i, const dim_values *dims)
{
    const desc_value *v = &b->desc->inputs[i];
    int64_t shape[MP_MAX_RANK + 1], range = 2;
    int rank;
    mp_status st = shape_of(b, v, dims, shape, &rank);
    if (!st && v->type == MP_INDEX)
        st = dims_eval(b->ctx, b->desc, v->range, dims, &range);
    if (st)
        return error_prefix(b->ctx, st, "%s is not bound and cannot be filled (-D NAME=VALUE gives a dim)", v->name);
    st = tensor_new(b->ctx, type_of(v->type), rank, shape, &b->out->arrays[i]);
    if (st)
        return st;
    DLTensor *t = &b->out->arrays[i]->dl_tensor;
    uint64_t stream = i + 1;
    if (v->type == MP_BOOL) {
        uint8_t *bits = t->data;
        for (int64_t k = 0, n = tensor_count(t); k < n; k++)
            bits[k] = (uint8_t)((uint64_t)k * 0x9e3779b97f4a7c15u + b->o->seed + stream) >> 7 & 1;
    } else if (v->type == MP_INDEX) {
        st = mp_fill_index(b->ctx, t, range, b->o->seed, stream);
    } else {
        st = v->param ? mp_fill_init(b->ctx, t, &v->init, b->o->seed, stream) : mp_fill_normal(b->ctx, t, b->o->seed, stream);
        if (!st && v->param && b->o->command == CMD_CHECK)
            st = scatter(b, t, stream);
    }
    return st ? st : mp_bind(b->layer, v->name, t, flags_of(v));
}

static mp_status fill_rest(binder *b)
{
    dim_values v;
    bool all = true;
    for (uint32_t i = 0; i < b->desc->n_inputs; i++)
        all &= b->out->arrays[i] != NULL;
    if (all)
        return MP_OK;
    if (!dim_values_make(b->ctx, b->desc->n_symbols, &v)) {
        dim_values_free(b->ctx, &v);
        return MP_SYSTEM;
    }
    dim_values_copy(&v, &b->layer->given);
    mp_status st = dims_settle(b->ctx, b->desc, b->layer->shapes, layer_shapes(b->layer, NULL), &v);
    if (!st)
        st = check_room(b, &v);
    for (uint32_t i = 0; i < b->desc->n_inputs && !st; i++)
        if (!b->out->arrays[i])
            st = fill(b, i, &v);
    dim_values_free(b->ctx, &v);
    return st;
}

mp_status bind_data(mp_context *ctx, mp_layer *layer, const cli_options *o, bound_data *out)
{
    binder b = {.ctx = ctx, .layer = layer, .desc = layer->desc, .o = o, .out = out};
    *out = (bound_data){.ctx = ctx, .n_arrays = layer->desc->n_inputs, .n_outputs = layer->desc->n_outputs};
    out->arrays = calloc(out->n_arrays + 1, sizeof *out->arrays);
    out->gradients = calloc(out->n_arrays + 1, sizeof *out->gradients);
    out->cotangents = calloc(out->n_outputs + 1, sizeof *out->cotangents);
    if (!out->arrays || !out->gradients || !out->cotangents)
        return error_memory(ctx, 0, "the arrays");
    mp_status st = graph_source_read(ctx, o->graph, &b.source);
    if (!st)
        st = load_named(&b);
    if (!st)
        st = load_folder(&b);
    if (!st)
        st = take_weights(&b);
    if (!st)
        st = make_graph(&b);
    graph_source_free(ctx, &b.source);
    if (!st)
        st = bind_loaded(&b);
    return st ? st : fill_rest(&b);
}

mp_status bind_data_on(mp_context *ctx, mp_layer *layer, const cli_options *o, mp_graph *g, bound_data *out)
{
    binder b = {.ctx = ctx, .layer = layer, .desc = layer->desc, .o = o, .out = out};
    *out = (bound_data){.ctx = ctx, .graph = g, .n_arrays = layer->desc->n_inputs};
    out->arrays = calloc(out->n_arrays + 1, sizeof *out->arrays);
    mp_status st = out->arrays ? load_named(&b) : error_memory(ctx, 0, "the arrays");
    if (!st)
        st = bind_loaded(&b);
    return st ? st : fill_rest(&b);
}

/* ---- Derivatives ------------------------------------------------------------------------------------------------- */

mp_status bind_cotangent(mp_layer *layer, bound_data *d, const char *output, const char *file)
{
    mp_role role;
    uint32_t i;
    mp_status st = layer_find(layer, output, &role, &i);
    if (st)
        return st;
    if (d->cotangents[i])
        d->cotangents[i]->deleter(d->cotangents[i]);
    d->cotangents[i] = NULL;
    st = mp_npy_load(d->ctx, file, &d->cotangents[i]);
    return st ? error_prefix(d->ctx, st, "the cotangent of %s", output)
              : mp_bind_grad(layer, output, &d->cotangents[i]->dl_tensor, 0);
}

mp_status bind_gradient(mp_layer *layer, bound_data *d, uint32_t input)
{
    const binding *b = &layer->inputs[input];
    const desc_value *v = &layer->desc->inputs[input];
    if (!b->bound || d->gradients[input])
        return MP_OK;
    mp_status st = tensor_new(d->ctx, type_of(v->type), b->t.ndim, b->shape, &d->gradients[input]);
    return st ? st : mp_bind_grad(layer, v->name, &d->gradients[input]->dl_tensor, 0);
}

/* One of them; the host's goes when the device's is bound. */
static mp_status move(mp_layer *layer, const char *name, bool derivative, unsigned flags, DLManagedTensor **t)
{
    DLManagedTensor *there;
    if (!*t)
        return MP_OK;
    mp_status st = mp_tensor_to(layer->ctx, &(*t)->dl_tensor, layer->ctx->options.device, &there);
    if (st)
        return st;
    st = derivative ? mp_bind_grad(layer, name, &there->dl_tensor, flags) : mp_bind(layer, name, &there->dl_tensor, flags);
    if (st) {
        there->deleter(there);
        return st;
    }
    (*t)->deleter(*t);
    *t = there;
    return MP_OK;
}

mp_status bound_data_to_device(mp_layer *layer, bound_data *d)
{
    const desc_layer *l = layer->desc;
    mp_status st = MP_OK;
    for (uint32_t i = 0; i < d->n_arrays && !st; i++) {
        st = move(layer, l->inputs[i].name, false, flags_of(&l->inputs[i]), &d->arrays[i]);
        if (!st)
            st = move(layer, l->inputs[i].name, true, 0, &d->gradients[i]);
    }
    for (uint32_t i = 0; i < d->n_outputs && !st; i++)
        st = move(layer, l->outputs[i].name, true, 0, &d->cotangents[i]);
    return st;
}

static void free_arrays(DLManagedTensor **list, uint32_t n)
{
    for (uint32_t i = 0; i < n && list; i++)
        if (list[i])
            list[i]->deleter(list[i]);
    free(list);
}

void bound_data_free(bound_data *d)
{
    free_arrays(d->arrays, d->n_arrays);
    free_arrays(d->gradients, d->n_arrays);
    free_arrays(d->cotangents, d->n_outputs);
    mp_graph_destroy(d->graph);
    *d = (bound_data){0};
}

/* ---- Static arguments -------------------------------------------------------------------------------------------- */

/* "heads=8" as a static argument of the layer. `name` is owned by the caller. */
static mp_status read_define(mp_context *ctx, const desc_layer *l, const char *text, mp_static *out, char *name, size_t size)
{
    size_t n = strcspn(text, "=");
    snprintf(name, size, "%.*s", (int)n, text);
    *out = (mp_static){.name = name, .kind = MP_STATIC_DIM};
    for (uint32_t i = 0; i < l->n_statics; i++)
        if (strcmp(l->statics[i].name, name) == 0 && l->statics[i].real)
            out->kind = MP_STATIC_REAL;
    char *end;
    const char *value = text + n + 1;
    errno = 0;
    if (out->kind == MP_STATIC_REAL)
        out->real = strtod(value, &end);
    else
        out->dim = strtoll(value, &end, 10);
    if (!*value || *end || errno)
        return error_set(ctx, MP_INVALID, "-D %s: %s is wanted", text, out->kind == MP_STATIC_REAL ? "a number" : "an integer of 64 bits");
    return MP_OK;
}

mp_status layer_with_defines(mp_context *ctx, mp_module *mod, const cli_options *o, bool define, mp_layer **out)
{
    uint32_t n = define ? o->defines.n : 0;
    const desc_module *m = mod->desc;
    const desc_layer *l = m->n_layers ? &m->layers[m->n_layers - 1] : NULL;
    for (uint32_t i = 0; o->layer && i < m->n_layers; i++)
        if (strcmp(m->layers[i].name, o->layer) == 0)
            l = &m->layers[i];
    mp_static *statics = calloc(n + 1, sizeof *statics);
    char (*names)[128] = calloc(n + 1, sizeof *names);
    mp_status st = statics && names && l ? MP_OK : error_memory(ctx, 0, "static arguments");
    uint32_t used = 0;
    for (uint32_t i = 0; i < n && !st; i++) {
        bool again = false;         /* the last of several -D's of one name holds */
        size_t length = strcspn(o->defines.at[i], "=") + 1;
        for (uint32_t k = i + 1; k < n; k++)
            again |= strncmp(o->defines.at[i], o->defines.at[k], length) == 0;
        if (again)
            continue;
        st = read_define(ctx, l, o->defines.at[i], &statics[used], names[used], sizeof names[used]);
        used++;
    }
    if (!st)
        st = mp_layer_create(mod, o->layer, statics, (int)used, out);
    free(statics);
    free(names);
    return st;
}
