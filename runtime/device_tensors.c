/*
 * Tensors to and from a GPU: conversions for the calls of a layer (device_program.h), copies between host and device.
 */
#include <string.h>

#include "runtime/convert.h"
#include "runtime/device_program.h"

static void failed(prepared *p, mp_status st)
{
    if (!p->device->failed)
        p->device->failed = st;
}

static int64_t blocks_for(const mp_context *ctx, int64_t n)
{
    int64_t blocks = (n + 255) / 256, most = (int64_t)ctx->device->multiprocessors * 32;
    return blocks < most ? blocks : most;
}

/* ---- Conversions ------------------------------------------------------------------------------------------------ */

/* Strides of a tensor and of a compact array of its shape. */
static mp_convert_args arguments(const DLTensor *t, bool from_tensor)
{
    mp_convert_args a = { .rank = t->ndim, .n = tensor_count(t) };
    int64_t compact = 1;
    for (int i = t->ndim - 1; i >= 0; i--) {
        a.shape[i] = t->shape[i];
        a.from_stride[i] = from_tensor ? tensor_stride(t, i) : compact;
        a.to_stride[i] = from_tensor ? compact : tensor_stride(t, i);
        compact *= t->shape[i];
    }
    return a;
}

static void convert(mp_layer *layer, prepared *p, const mp_convert_args *a)
{
    failed(p, device_run(layer->ctx, p->device->mod->convert, blocks_for(layer->ctx, a->n), 256, 0, a, NULL));
}

static tensor_type type_of(const DLTensor *t)
{
    tensor_type type = TENSOR_F32;
    tensor_type_of(t->dtype, &type);
    return type;
}

static size_t bytes_of(const DLTensor *t, tensor_type type)
{
    return (size_t)tensor_count(t) * tensor_type_size(type);
}

void device_convert_in(mp_layer *layer, prepared *p, const DLTensor *t, tensor_type to, void *dst)
{
    mp_context *ctx = layer->ctx;
    size_t bytes = bytes_of(t, to);
    if (tensor_on_device(t)) {
        mp_convert_args a = arguments(t, true);
        a.from = tensor_data(t);
        a.from_type = type_of(t);
        a.to = dst;
        a.to_type = to;
        convert(layer, p, &a);
    } else if (type_of(t) == to && tensor_is_compact(t)) {
        failed(p, device_upload(ctx, dst, tensor_data(t), bytes));
    } else {
        void *room = mem_alloc(ctx, bytes);
        if (room) {
            convert_in(ctx, t, to, room);
            failed(p, device_upload(ctx, dst, room, bytes));
            failed(p, device_synchronize(ctx));
        } else {
            failed(p, error_memory(ctx, bytes, "a tensor"));
        }
        mem_free(ctx, room, bytes);
    }
}

void device_convert_out(mp_layer *layer, prepared *p, const void *src, tensor_type from, const DLTensor *t, bool add)
{
    mp_context *ctx = layer->ctx;
    size_t bytes = bytes_of(t, from);
    if (tensor_on_device(t)) {
        mp_convert_args a = arguments(t, false);
        a.from = src;
        a.from_type = from;
        a.to = tensor_data(t);
        a.to_type = type_of(t);
        a.add = add;
        convert(layer, p, &a);
        return;
    }
    void *room = mem_alloc(ctx, bytes);
    mp_status st = room ? device_download(ctx, room, src, bytes) : error_memory(ctx, bytes, "a tensor");
    failed(p, st);
    if (!st && !p->device->failed) {
        if (add)
            convert_add(ctx, room, from, t);
        else
            convert_out(ctx, room, from, t);
    }
    mem_free(ctx, room, bytes);
}

/* The largest word that divides rows, and stands where memory of the context's does. */
static int word_of(size_t row, const void *from, const void *to)
{
    int word = 16;
    while (row % (size_t)word || (uintptr_t)from % (uintptr_t)word || (uintptr_t)to % (uintptr_t)word)
        word /= 2;
    return word;
}

void device_reorder(mp_layer *layer, prepared *p, row_order way, const void *from, void *to, size_t bytes)
{
    int64_t n = p->graph->n_edges;
    const void *order;
    mp_status st = device_graph_array(p->graph, way == ORDER_TO_OUT ? GRAPH_OUT_EID : GRAPH_IN_EID, &order);
    if (!st) {
        size_t row = bytes / (size_t)n;
        mp_reorder_args a = { .from = from, .to = to, .order = order, .n = n, .row_bytes = (long long)row, .to_walk = way != ORDER_FROM_WALK,
                              .word = word_of(row, from, to) };
        st = device_run(layer->ctx, p->device->mod->reorder, blocks_for(layer->ctx, n * (int64_t)(row / (size_t)a.word)), 256, 0, &a, NULL);
    }
    failed(p, st);
}

/* ---- Copies of tensors ------------------------------------------------------------------------------------------ */

bool tensor_on_device(const DLTensor *t)
{
    return t->device.device_type == kDLCUDA || t->device.device_type == kDLCUDAManaged;
}

/* The memory that a tensor of any strides reaches, from the first byte. */
static void extent(const DLTensor *t, char **lo, size_t *bytes)
{
    int64_t size = (int64_t)tensor_type_size(type_of(t)), below = 0, above = 0;
    for (int i = 0; i < t->ndim; i++) {
        int64_t reach = (t->shape[i] - 1) * tensor_stride(t, i) * size;
        *(reach > 0 ? &above : &below) += reach;
    }
    *lo = (char *)tensor_data(t) + below;
    *bytes = (size_t)(above - below + size);
}

mp_status tensor_to_host(mp_context *ctx, const DLTensor *t, host_view *out)
{
    char *lo;
    *out = (host_view){ .t = *t };
    if (!tensor_on_device(t) || !tensor_count(t))
        return MP_OK;
    mp_status st = device_open(ctx, NULL);
    if (st)
        return st;
    extent(t, &lo, &out->bytes);
    out->memory = mem_alloc(ctx, out->bytes);
    if (!out->memory)
        return error_memory(ctx, out->bytes, "a tensor");
    st = device_download(ctx, out->memory, lo, out->bytes);
    out->t.device = (DLDevice){ kDLCPU, 0 };
    out->t.data = out->memory + ((char *)tensor_data(t) - lo);
    out->t.byte_offset = 0;
    if (st)
        host_view_free(ctx, out);
    return st;
}

void host_view_free(mp_context *ctx, host_view *v)
{
    mem_free(ctx, v->memory, v->bytes);
    *v = (host_view){ 0 };
}

typedef struct held { mp_context *ctx; void *data; size_t bytes; } held;

static void drop_data(void *ud)
{
    held *h = ud;
    mp_context *ctx = h->ctx;
    data_free(ctx, h->data, h->bytes);
    mem_free(ctx, h, sizeof *h);
}

/* A compact tensor in the GPU's memory. */
static mp_status new_on_device(mp_context *ctx, const DLTensor *like, DLManagedTensor **out)
{
    held *h = mem_zalloc(ctx, sizeof *h);
    if (!h)
        return error_memory(ctx, sizeof *h, "a tensor");
    *h = (held){ ctx, NULL, bytes_of(like, type_of(like)) };
    h->data = data_alloc(ctx, h->bytes);
    mp_status st = h->data ? tensor_wrap(ctx, type_of(like), like->ndim, like->shape, NULL, h->data, drop_data, h, out)
                           : error_memory(ctx, h->bytes, "a tensor");
    if (st)
        drop_data(h);
    else
        (*out)->dl_tensor.device = ctx->options.device;
    return st;
}

/* To the device from a compact tensor of the host's. */
static mp_status to_device(mp_context *ctx, const DLTensor *t, DLManagedTensor **out)
{
    DLManagedTensor *made = NULL;
    mp_status st = device_open(ctx, NULL);
    if (!st)
        st = new_on_device(ctx, t, &made);
    if (!st)
        st = device_upload(ctx, made->dl_tensor.data, tensor_data(t), bytes_of(t, type_of(t)));
    if (!st)
        st = device_synchronize(ctx);
    if (st && made)
        made->deleter(made);
    else if (!st)
        *out = made;
    return st;
}

mp_status mp_tensor_to(mp_context *ctx, const DLTensor *t, DLDevice place, DLManagedTensor **out)
{
    if (!ctx)
        return MP_USAGE;
    mp_status st = out ? tensor_check(ctx, "the tensor", t) : error_set(ctx, MP_USAGE, "mp_tensor_to: the result must not be NULL");
    bool host = place.device_type == kDLCPU;
    if (!st && !host && !(context_on_device(ctx) && place.device_type == kDLCUDA && place.device_id == ctx->options.device.device_id))
        st = error_set(ctx, MP_USAGE, "mp_tensor_to: the place is neither the host nor the context's GPU");
    if (!st && tensor_on_device(t) && !context_on_device(ctx))
        st = error_set(ctx, MP_USAGE, "mp_tensor_to: the tensor is on a GPU, and the context is for the CPU");
    if (st)
        return st;
    host_view view;
    DLManagedTensor *compact = NULL;
    st = tensor_to_host(ctx, t, &view);
    if (st)
        return st;
    st = tensor_new(ctx, type_of(t), t->ndim, t->shape, &compact);
    if (!st) {
        convert_in(ctx, &view.t, type_of(t), compact->dl_tensor.data);
        st = host ? MP_OK : to_device(ctx, &compact->dl_tensor, out);
    }
    host_view_free(ctx, &view);
    if (!st && host)
        *out = compact;
    else if (compact)
        compact->deleter(compact);
    return st;
}
