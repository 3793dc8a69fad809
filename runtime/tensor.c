/*
 * Element types, checks and sizes of DLTensors, and tensors of our own.
 */
#include "runtime/tensor.h"

#include <stdio.h>
#include <string.h>
#include "runtime/context.h"

static const struct {
    uint8_t code, bits;
    const char *name;
} types[TENSOR_TYPES] = {
    [TENSOR_F64] = { kDLFloat, 64, "float64" },
    [TENSOR_F32] = { kDLFloat, 32, "float32" },
    [TENSOR_F16] = { kDLFloat, 16, "float16" },
    [TENSOR_BF16] = { kDLBfloat, 16, "bfloat16" },
    [TENSOR_I8] = { kDLInt, 8, "int8" },
    [TENSOR_I16] = { kDLInt, 16, "int16" },
    [TENSOR_I32] = { kDLInt, 32, "int32" },
    [TENSOR_I64] = { kDLInt, 64, "int64" },
    [TENSOR_U8] = { kDLUInt, 8, "uint8" },
    [TENSOR_U16] = { kDLUInt, 16, "uint16" },
    [TENSOR_U32] = { kDLUInt, 32, "uint32" },
    [TENSOR_U64] = { kDLUInt, 64, "uint64" },
    [TENSOR_BOOL] = { TENSOR_DL_BOOL, 8, "bool" },
};

bool tensor_type_of(DLDataType dtype, tensor_type *out)
{
    for (int i = 0; i < TENSOR_TYPES; i++) {
        if (dtype.lanes == 1 && dtype.code == types[i].code && dtype.bits == types[i].bits) {
            *out = (tensor_type)i;
            return true;
        }
    }
    return false;
}

DLDataType tensor_dtype(tensor_type type)
{
    return (DLDataType){ types[type].code, types[type].bits, 1 };
}

size_t tensor_type_size(tensor_type type)
{
    return types[type].bits / 8u;
}

const char *tensor_type_name(tensor_type type)
{
    return types[type].name;
}

bool tensor_type_is_float(tensor_type type)
{
    return type <= TENSOR_BF16;
}

/* That every element's offset in bytes fits into an int64, and so does the number of elements. */
static bool extent_fits(const DLTensor *t, size_t size)
{
    int64_t count = 1, last = 0, first = 0, bytes;
    bool empty = false;
    for (int i = 0; i < t->ndim; i++)
        empty |= t->shape[i] == 0;
    if (empty)
        return true;
    for (int i = 0; i < t->ndim; i++) {
        int64_t reach;
        if (__builtin_mul_overflow(count, t->shape[i], &count))
            return false;
        if (!t->strides)
            continue;
        if (__builtin_mul_overflow(t->shape[i] - 1, t->strides[i], &reach))
            return false;
        if (__builtin_add_overflow(reach > 0 ? last : first, reach, reach > 0 ? &last : &first))
            return false;
    }
    return !__builtin_mul_overflow(count, (int64_t)size, &bytes) && !__builtin_mul_overflow(last, (int64_t)size, &bytes) &&
           !__builtin_mul_overflow(first, (int64_t)size, &bytes);
}

mp_status tensor_check(mp_context *ctx, const char *name, const DLTensor *t)
{
    tensor_type type;
    if (!t)
        return error_set(ctx, MP_USAGE, "%s: the tensor is NULL", name);
    if (t->ndim < 0 || t->ndim > TENSOR_MAX_RANK)
        return error_set(ctx, MP_INVALID, "%s: has %d axes, but at most %d are possible", name, t->ndim, TENSOR_MAX_RANK);
    if (t->ndim && !t->shape)
        return error_set(ctx, MP_USAGE, "%s: the tensor's shape is NULL", name);
    if (!tensor_type_of(t->dtype, &type)) {
        return error_set(ctx, MP_INVALID, "%s: elements of %s are not possible (type code %d, %d bits, %d lanes)", name,
                         t->dtype.code == kDLComplex ? "complex type" : "this type", t->dtype.code, t->dtype.bits,
                         t->dtype.lanes);
    }
    for (int i = 0; i < t->ndim; i++) {
        if (t->shape[i] < 0)
            return error_set(ctx, MP_INVALID, "%s: axis %d has the extent %lld", name, i, (long long)t->shape[i]);
    }
    size_t size = tensor_type_size(type);
    if (!extent_fits(t, size))
        return error_set(ctx, MP_INVALID, "%s: the extents of its axes are too large", name);
    if (tensor_count(t) == 0)
        return MP_OK;
    if (!t->data)
        return error_set(ctx, MP_USAGE, "%s: the tensor's data is NULL", name);
    if ((uintptr_t)tensor_data(t) % size)
        return error_set(ctx, MP_INVALID, "%s: the data is not aligned to its type (%s)", name, types[type].name);
    return MP_OK;
}

mp_status tensor_check_host(mp_context *ctx, const char *name, const DLTensor *t)
{
    mp_status st = tensor_check(ctx, name, t);
    if (st)
        return st;
    int d = (int)t->device.device_type;
    if (d == kDLCPU || d == kDLCUDAHost || d == kDLCUDAManaged || d == kDLROCMHost)
        return MP_OK;
    return error_set(ctx, MP_INVALID, "%s: the tensor is not in the CPU's memory (device type %d)", name, d);
}

mp_status tensor_check_place(mp_context *ctx, const char *name, const DLTensor *t)
{
    DLDevice here = ctx->options.device;
    if (here.device_type != kDLCUDA || !t || !tensor_on_device(t))
        return tensor_check_host(ctx, name, t);
    mp_status st = tensor_check(ctx, name, t);
    if (!st && t->device.device_type == kDLCUDA && t->device.device_id != here.device_id)
        st = error_set(ctx, MP_INVALID, "%s: the tensor is on GPU %d, the context's is %d", name, t->device.device_id, here.device_id);
    return st;
}

int64_t tensor_count(const DLTensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->ndim; i++) {
        if (t->shape[i] == 0)
            return 0;
        n *= t->shape[i];
    }
    return n;
}

void *tensor_data(const DLTensor *t)
{
    return t->data ? (char *)t->data + t->byte_offset : NULL;
}

int64_t tensor_stride(const DLTensor *t, int axis)
{
    if (t->strides)
        return t->strides[axis];
    int64_t stride = 1;
    for (int i = t->ndim - 1; i > axis; i--)
        stride *= t->shape[i];
    return stride;
}

bool tensor_is_compact(const DLTensor *t)
{
    if (!t->strides || tensor_count(t) <= 1)
        return true;
    int64_t stride = 1;
    for (int i = t->ndim - 1; i >= 0; i--) {
        if (t->shape[i] != 1 && t->strides[i] != stride)
            return false;
        stride *= t->shape[i];
    }
    return true;
}

bool tensor_same_shape(const DLTensor *a, const DLTensor *b)
{
    if (a->ndim != b->ndim)
        return false;
    for (int i = 0; i < a->ndim; i++) {
        if (a->shape[i] != b->shape[i])
            return false;
    }
    return true;
}

const char *tensor_shape_text(const int64_t *shape, int rank, char *buf, size_t size)
{
    size_t used = 0;
    for (int i = 0; i < rank && used < size; i++)
        used += (size_t)snprintf(buf + used, size - used, "%s%lld", i ? ", " : "[", (long long)shape[i]);
    if (used < size)
        snprintf(buf + used, size - used, rank ? "]" : "[]");
    return buf;
}

typedef struct managed {
    DLManagedTensor tensor;
    mp_context *ctx;
    int64_t shape[TENSOR_MAX_RANK], strides[TENSOR_MAX_RANK];
    size_t bytes;                   /* of our own data; without `release` */
    void (*release)(void *ud);
    void *ud;
} managed;

static void managed_delete(DLManagedTensor *t)
{
    managed *m = t->manager_ctx;
    mp_context *ctx = m->ctx;
    if (m->release)
        m->release(m->ud);
    else
        mem_free(ctx, t->dl_tensor.data, m->bytes);
    mem_free(ctx, m, sizeof *m);
    context_release(ctx);
}

static managed *managed_new(mp_context *ctx, tensor_type type, int rank, const int64_t *shape)
{
    managed *m = mem_zalloc(ctx, sizeof *m);
    if (!m) {
        error_memory(ctx, sizeof *m, "a tensor");
        return NULL;
    }
    memcpy(m->shape, shape, (size_t)rank * sizeof *shape);
    m->ctx = ctx;
    m->tensor.manager_ctx = m;
    m->tensor.deleter = managed_delete;
    m->tensor.dl_tensor = (DLTensor){ .device = { kDLCPU, 0 }, .ndim = rank, .dtype = tensor_dtype(type), .shape = m->shape };
    return m;
}

mp_status tensor_wrap(mp_context *ctx, tensor_type type, int rank, const int64_t *shape, const int64_t *strides,
                      void *data, void (*release)(void *ud), void *ud, DLManagedTensor **out)
{
    managed *m = managed_new(ctx, type, rank, shape);
    if (!m)
        return MP_SYSTEM;
    if (strides) {
        memcpy(m->strides, strides, (size_t)rank * sizeof *strides);
        m->tensor.dl_tensor.strides = m->strides;
    }
    m->tensor.dl_tensor.data = data;
    m->release = release;
    m->ud = ud;
    context_retain(ctx);
    *out = &m->tensor;
    return MP_OK;
}

mp_status tensor_new(mp_context *ctx, tensor_type type, int rank, const int64_t *shape, DLManagedTensor **out)
{
    size_t bytes = tensor_type_size(type);
    bool empty = false;
    for (int i = 0; i < rank; i++)
        empty |= shape[i] == 0;
    for (int i = 0; i < rank && !empty; i++) {
        if (!mem_size(shape[i], bytes, &bytes))
            return error_set(ctx, MP_SYSTEM, "out of memory: a tensor whose size does not fit");
    }
    if (empty)
        bytes = 0;
    managed *m = managed_new(ctx, type, rank, shape);
    if (!m)
        return MP_SYSTEM;
    void *data = mem_alloc(ctx, bytes);
    if (!data) {
        mem_free(ctx, m, sizeof *m);
        return error_memory(ctx, bytes, "a tensor");
    }
    m->bytes = bytes;
    m->tensor.dl_tensor.data = data;
    context_retain(ctx);
    *out = &m->tensor;
    return MP_OK;
}
