/*
 * All params of a layer together: values that start as declared, a gradient each, what an optimiser keeps of them, and
 * files. The layer borrows values and gradients as it would a caller's.
 */
#include <string.h>

#include "runtime/convert.h"
#include "runtime/layer.h"

typedef struct param {
    char *name;
    size_t name_size;
    bool trained;                               /* has a gradient */
    double decay;                               /* times the optimiser's */
    DLManagedTensor *value, *grad, *a, *b;      /* a, b: velocity or moments; NULL until the first step */
} param;

struct mp_params {
    mp_context *ctx;
    int64_t n, step;
    param *list;
};

static mp_status zeros_like(mp_context *ctx, const DLTensor *t, DLManagedTensor **out)
{
    tensor_type type = TENSOR_F32;
    tensor_type_of(t->dtype, &type);
    mp_status st = tensor_new(ctx, type, t->ndim, t->shape, out);
    if (!st && tensor_count(t))
        memset((*out)->dl_tensor.data, 0, (size_t)tensor_count(t) * tensor_type_size(type));
    return st;
}

static void drop(DLManagedTensor *t)
{
    if (t)
        t->deleter(t);
}

void mp_params_destroy(mp_params *p)
{
    if (!p)
        return;
    mp_context *ctx = p->ctx;
    for (int64_t i = 0; i < p->n; i++) {
        param *q = &p->list[i];
        drop(q->value);
        drop(q->grad);
        drop(q->a);
        drop(q->b);
        mem_free(ctx, q->name, q->name_size);
    }
    mem_array_free(ctx, p->list, p->n, sizeof *p->list);
    mem_free(ctx, p, sizeof *p);
    context_release(ctx);
}

/* ---- Making ------------------------------------------------------------------------------------------------------ */

static mp_status make_param(mp_layer *layer, const desc_value *v, const dim_values *dims, uint64_t seed, uint64_t stream, param *out)
{
    mp_context *ctx = layer->ctx;
    int64_t shape[MP_MAX_RANK];
    for (uint32_t i = 0; i < v->rank; i++) {
        if (dims_eval(ctx, layer->desc, v->dims[i], dims, &shape[i]))
            return layer_error(layer, MP_USAGE, "mp_params_create: '%s' of '%s' is not settled yet: bind the inputs, or give "
                               "the static arguments, first", layer->desc->dims[v->dims[i]].text, v->name);
    }
    out->name_size = strlen(v->name) + 1;
    out->name = mem_alloc(ctx, out->name_size);
    if (!out->name)
        return error_memory(ctx, out->name_size, "a name");
    memcpy(out->name, v->name, out->name_size);
    out->decay = 1;
    out->trained = v->differentiable;
    mp_status st = tensor_new(ctx, v->type == MP_F64 ? TENSOR_F64 : TENSOR_F32, (int)v->rank, shape, &out->value);
    if (!st)
        st = mp_fill_init(ctx, &out->value->dl_tensor, &v->init, seed, stream);
    if (!st && out->trained)
        st = zeros_like(ctx, &out->value->dl_tensor, &out->grad);
    return st;
}

static mp_status make_params(mp_layer *layer, uint64_t seed, mp_params *p)
{
    const desc_layer *l = layer->desc;
    p->list = mem_array(p->ctx, mp_layer_count(layer, MP_PARAM), sizeof *p->list, "params");
    if (!p->list)
        return MP_SYSTEM;
    p->n = mp_layer_count(layer, MP_PARAM);
    memset(p->list, 0, (size_t)p->n * sizeof *p->list);
    dim_values dims;
    if (!dim_values_make(p->ctx, l->n_symbols, &dims)) {
        dim_values_free(p->ctx, &dims);
        return MP_SYSTEM;
    }
    dim_values_copy(&dims, &layer->given);
    mp_status st = dims_settle(p->ctx, l, layer->shapes, layer_shapes(layer, NULL), &dims);
    /* The stream is the place among all inputs, as the command has it: the same seed gives the same params. */
    for (uint32_t i = 0, k = 0; i < l->n_inputs && !st; i++) {
        if (l->inputs[i].param)
            st = make_param(layer, &l->inputs[i], &dims, seed, i + 1, &p->list[k++]);
    }
    dim_values_free(p->ctx, &dims);
    return st;
}

mp_status mp_params_bind(mp_params *p, mp_layer *layer, int gradients)
{
    if (!p || !layer)
        return MP_USAGE;
    for (int64_t i = 0; i < p->n; i++) {
        const param *q = &p->list[i];
        mp_status st = mp_bind(layer, q->name, &q->value->dl_tensor, 0);
        if (!st && gradients && q->trained)
            st = mp_bind_grad(layer, q->name, &q->grad->dl_tensor, 0);
        if (st)
            return st;
    }
    return MP_OK;
}

mp_status mp_params_create(mp_layer *layer, uint64_t seed, mp_params **out)
{
    if (!layer)
        return MP_USAGE;
    if (!out)
        return error_set(layer->ctx, MP_USAGE, "mp_params_create: the result must not be NULL");
    mp_params *p = mem_zalloc(layer->ctx, sizeof *p);
    if (!p)
        return error_memory(layer->ctx, sizeof *p, "params");
    p->ctx = layer->ctx;
    context_retain(p->ctx);
    mp_status st = make_params(layer, seed, p);
    if (!st)
        st = mp_params_bind(p, layer, 1);
    if (st)
        mp_params_destroy(p);
    else
        *out = p;
    return st;
}

int64_t mp_params_count(const mp_params *p)
{
    return p ? p->n : 0;
}

mp_status mp_params_get(const mp_params *p, int64_t i, const char **name, DLTensor *value, DLTensor *grad)
{
    if (!p)
        return MP_USAGE;
    if (i < 0 || i >= p->n)
        return error_set(p->ctx, MP_USAGE, "mp_params_get: there is no param %lld", (long long)i);
    const param *q = &p->list[i];
    if (name)
        *name = q->name;
    if (value)
        *value = q->value->dl_tensor;
    if (grad)
        *grad = q->grad ? q->grad->dl_tensor : (DLTensor){ 0 };
    return MP_OK;
}

int64_t mp_params_elements(const mp_params *p)
{
    int64_t all = 0;
    for (int64_t i = 0; p && i < p->n; i++)
        all += tensor_count(&p->list[i].value->dl_tensor);
    return all;
}

/* ---- Steps ------------------------------------------------------------------------------------------------------- */

/* "c1.W", or "c1.*": all that begin so. */
static bool matches(const char *pattern, const char *name)
{
    size_t n = strlen(pattern);
    return n && pattern[n - 1] == '*' ? !strncmp(pattern, name, n - 1) : !strcmp(pattern, name);
}

mp_status mp_params_set_decay(mp_params *p, const char *pattern, double factor)
{
    if (!p)
        return MP_USAGE;
    bool found = false;
    for (int64_t i = 0; pattern && i < p->n; i++) {
        if (matches(pattern, p->list[i].name)) {
            p->list[i].decay = factor;
            found = true;
        }
    }
    return found ? MP_OK : error_set(p->ctx, MP_INVALID, "mp_params_set_decay: no param is named '%s'", pattern ? pattern : "");
}

static mp_status need_state(mp_params *p, param *q, bool both)
{
    mp_status st = q->a ? MP_OK : zeros_like(p->ctx, &q->value->dl_tensor, &q->a);
    return st || !both || q->b ? st : zeros_like(p->ctx, &q->value->dl_tensor, &q->b);
}

mp_status mp_params_sgd(mp_params *p, const mp_sgd *o)
{
    if (!p)
        return MP_USAGE;
    if (!o)
        return error_set(p->ctx, MP_USAGE, "mp_params_sgd: the options must not be NULL");
    for (int64_t i = 0; i < p->n; i++) {
        param *q = &p->list[i];
        mp_sgd mine = *o;
        mine.weight_decay *= q->decay;
        if (!q->trained)
            continue;
        mp_status st = o->momentum != 0 ? need_state(p, q, false) : MP_OK;
        if (!st)
            st = mp_sgd_step(p->ctx, &mine, &q->value->dl_tensor, &q->grad->dl_tensor, q->a ? &q->a->dl_tensor : NULL);
        if (st)
            return error_prefix(p->ctx, st, "%s", q->name);
    }
    return MP_OK;
}

mp_status mp_params_adam(mp_params *p, const mp_adam *o)
{
    if (!p)
        return MP_USAGE;
    if (!o)
        return error_set(p->ctx, MP_USAGE, "mp_params_adam: the options must not be NULL");
    p->step++;
    for (int64_t i = 0; i < p->n; i++) {
        param *q = &p->list[i];
        mp_adam mine = *o;
        mine.weight_decay *= q->decay;
        if (!q->trained)
            continue;
        mp_status st = need_state(p, q, true);
        if (!st)
            st = mp_adam_step(p->ctx, &mine, p->step, &q->value->dl_tensor, &q->grad->dl_tensor, &q->a->dl_tensor,
                              &q->b->dl_tensor);
        if (st)
            return error_prefix(p->ctx, st, "%s", q->name);
    }
    return MP_OK;
}

mp_status mp_params_clip(mp_params *p, double max_norm, double *norm)
{
    if (!p)
        return MP_USAGE;
    DLTensor *grads = mem_array(p->ctx, p->n, sizeof *grads, "gradients");
    if (!grads)
        return MP_SYSTEM;
    int64_t n = 0;
    for (int64_t i = 0; i < p->n; i++) {
        if (p->list[i].trained)
            grads[n++] = p->list[i].grad->dl_tensor;
    }
    mp_status st = mp_clip_grad_norm(p->ctx, grads, n, max_norm, norm);
    mem_array_free(p->ctx, grads, p->n, sizeof *grads);
    return st;
}

/* ---- Files ------------------------------------------------------------------------------------------------------- */

/* By the path's end: 1 .npz, 2 .safetensors, 0 neither. */
static int format_of(const char *path)
{
    size_t n = path ? strlen(path) : 0;
    return n > 4 && !strcmp(path + n - 4, ".npz") ? 1 : n > 12 && !strcmp(path + n - 12, ".safetensors") ? 2 : 0;
}

static mp_status no_format(const mp_params *p, const char *path)
{
    return error_set(p->ctx, MP_USAGE, "%s: params are kept in .npz or .safetensors files", path ? path : "NULL");
}

mp_status mp_params_save(const mp_params *p, const char *path)
{
    if (!p)
        return MP_USAGE;
    int format = format_of(path);
    if (!format)
        return no_format(p, path);
    const char **names = mem_array(p->ctx, p->n, sizeof *names, "names");
    DLTensor *values = names ? mem_array(p->ctx, p->n, sizeof *values, "params") : NULL;
    mp_status st = values ? MP_OK : MP_SYSTEM;
    for (int64_t i = 0; !st && i < p->n; i++) {
        names[i] = p->list[i].name;
        values[i] = p->list[i].value->dl_tensor;
    }
    if (!st)
        st = format == 1 ? mp_npz_save(p->ctx, path, names, values, p->n) : mp_safetensors_save(p->ctx, path, names, values, p->n);
    mem_array_free(p->ctx, values, p->n, sizeof *values);
    mem_array_free(p->ctx, names, p->n, sizeof *names);
    return st;
}

static mp_status load_one(const mp_params *p, const char *path, int format, const param *q, DLManagedTensor **out)
{
    mp_status st = format == 1 ? mp_npz_load(p->ctx, path, q->name, out) : mp_safetensors_load(p->ctx, path, q->name, out);
    if (st)
        return st;
    const DLTensor *t = &(*out)->dl_tensor, *like = &q->value->dl_tensor;
    char a[TENSOR_TEXT], b[TENSOR_TEXT];
    tensor_type type;
    if (!tensor_same_shape(t, like))
        return error_set(p->ctx, MP_INVALID, "%s: '%s' is %s, but the layer's is %s", path, q->name,
                         tensor_shape_text(t->shape, t->ndim, a, sizeof a),
                         tensor_shape_text(like->shape, like->ndim, b, sizeof b));
    if (!tensor_type_of(t->dtype, &type) || !tensor_type_is_float(type))
        return error_set(p->ctx, MP_INVALID, "%s: '%s' is not of a floating type", path, q->name);
    return MP_OK;
}

mp_status mp_params_load(mp_params *p, const char *path)
{
    if (!p)
        return MP_USAGE;
    int format = format_of(path);
    if (!format)
        return no_format(p, path);
    DLManagedTensor **read = mem_array(p->ctx, p->n, sizeof *read, "params");
    if (!read)
        return MP_SYSTEM;
    mp_status st = MP_OK;
    memset(read, 0, (size_t)p->n * sizeof *read);
    for (int64_t i = 0; !st && i < p->n; i++)
        st = load_one(p, path, format, &p->list[i], &read[i]);
    for (int64_t i = 0; i < p->n; i++) {
        const DLTensor *value = &p->list[i].value->dl_tensor;
        tensor_type type = TENSOR_F32;
        tensor_type_of(value->dtype, &type);
        if (!st)
            convert_in(p->ctx, &read[i]->dl_tensor, type, tensor_data(value));
        drop(read[i]);
    }
    mem_array_free(p->ctx, read, p->n, sizeof *read);
    return st;
}
