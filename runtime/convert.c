/*
 * Conversion of runs of elements, then of whole tensors by runs along their last axis. Between two types that differ,
 * a run goes by blocks through float64 (which holds every float and every int32 exactly) or, where both are integers,
 * through int64.
 */
#include "runtime/convert.h"

#include <string.h>
#include "runtime/context.h"
#include "runtime/half.h"

enum { BLOCK = 512, PART_ELEMENTS = 1 << 16 };

#define EACH(T, expr)                                   \
    {                                                   \
        const T *s = src;                               \
        for (int64_t i = 0; i < n; i++) {               \
            T v = s[i * stride];                        \
            dst[i] = (expr);                            \
        }                                               \
        return;                                         \
    }

static void load_f64(tensor_type from, const void *src, int64_t stride, double *dst, int64_t n)
{
    switch (from) {
    case TENSOR_F64: EACH(double, v)
    case TENSOR_F32: EACH(float, (double)v)
    case TENSOR_F16: EACH(uint16_t, (double)f16_to_f32(v))
    case TENSOR_BF16: EACH(uint16_t, (double)bf16_to_f32(v))
    case TENSOR_I8: EACH(int8_t, v)
    case TENSOR_I16: EACH(int16_t, v)
    case TENSOR_I32: EACH(int32_t, v)
    case TENSOR_I64: EACH(int64_t, (double)v)
    case TENSOR_U8: EACH(uint8_t, v)
    case TENSOR_U16: EACH(uint16_t, v)
    case TENSOR_U32: EACH(uint32_t, v)
    case TENSOR_U64: EACH(uint64_t, (double)v)
    case TENSOR_BOOL: EACH(uint8_t, v != 0)
    case TENSOR_TYPES: return;
    }
}

static void load_i64(tensor_type from, const void *src, int64_t stride, int64_t *dst, int64_t n)
{
    switch (from) {
    case TENSOR_I8: EACH(int8_t, v)
    case TENSOR_I16: EACH(int16_t, v)
    case TENSOR_I32: EACH(int32_t, v)
    case TENSOR_I64: EACH(int64_t, v)
    case TENSOR_U8: EACH(uint8_t, v)
    case TENSOR_U16: EACH(uint16_t, v)
    case TENSOR_U32: EACH(uint32_t, v)
    case TENSOR_U64: EACH(uint64_t, (int64_t)v)
    case TENSOR_BOOL: EACH(uint8_t, v != 0)
    case TENSOR_F64: case TENSOR_F32: case TENSOR_F16: case TENSOR_BF16: case TENSOR_TYPES: return;
    }
}

#undef EACH
#define EACH(T, expr)                                   \
    {                                                   \
        T *d = dst;                                     \
        for (int64_t i = 0; i < n; i++)                 \
            d[i * stride] = (expr);                     \
        return;                                         \
    }

static void store_f64(const double *src, tensor_type to, void *dst, int64_t stride, int64_t n)
{
    switch (to) {
    case TENSOR_F64: EACH(double, src[i])
    case TENSOR_F32: EACH(float, (float)src[i])
    case TENSOR_F16: EACH(uint16_t, f64_to_f16(src[i]))
    case TENSOR_BF16: EACH(uint16_t, f64_to_bf16(src[i]))
    case TENSOR_BOOL: EACH(uint8_t, src[i] != 0)
    case TENSOR_I8: case TENSOR_I16: case TENSOR_I32: case TENSOR_I64: case TENSOR_U8: case TENSOR_U16:
    case TENSOR_U32: case TENSOR_U64: case TENSOR_TYPES: return;
    }
}

static void store_i64(const int64_t *src, tensor_type to, void *dst, int64_t stride, int64_t n)
{
    switch (to) {
    case TENSOR_I8: EACH(int8_t, (int8_t)src[i])
    case TENSOR_I16: EACH(int16_t, (int16_t)src[i])
    case TENSOR_I32: EACH(int32_t, (int32_t)src[i])
    case TENSOR_I64: EACH(int64_t, src[i])
    case TENSOR_U8: EACH(uint8_t, (uint8_t)src[i])
    case TENSOR_U16: EACH(uint16_t, (uint16_t)src[i])
    case TENSOR_U32: EACH(uint32_t, (uint32_t)src[i])
    case TENSOR_U64: EACH(uint64_t, (uint64_t)src[i])
    case TENSOR_BOOL: EACH(uint8_t, src[i] != 0)
    case TENSOR_F64: case TENSOR_F32: case TENSOR_F16: case TENSOR_BF16: case TENSOR_TYPES: return;
    }
}

#undef EACH

static void convert_strided(tensor_type from, const char *src, int64_t from_stride, tensor_type to, char *dst,
                            int64_t to_stride, int64_t n)
{
    int64_t from_size = (int64_t)tensor_type_size(from), to_size = (int64_t)tensor_type_size(to);
    if (from == to && from != TENSOR_BOOL && from_stride == 1 && to_stride == 1) {
        memcpy(dst, src, (size_t)(n * from_size));
        return;
    }
    bool integers = !tensor_type_is_float(from) && !tensor_type_is_float(to);
    union {
        double f[BLOCK];
        int64_t i[BLOCK];
    } block;
    for (int64_t at = 0; at < n; at += BLOCK) {
        int64_t m = n - at < BLOCK ? n - at : BLOCK;
        const char *s = src + at * from_stride * from_size;
        char *d = dst + at * to_stride * to_size;
        if (integers) {
            load_i64(from, s, from_stride, block.i, m);
            store_i64(block.i, to, d, to_stride, m);
        } else {
            load_f64(from, s, from_stride, block.f, m);
            store_f64(block.f, to, d, to_stride, m);
        }
    }
}

void convert_run(tensor_type from, const void *src, int64_t stride, tensor_type to, void *dst, int64_t n)
{
    convert_strided(from, src, stride, to, dst, 1, n);
}

void convert_run_out(tensor_type from, const void *src, tensor_type to, void *dst, int64_t stride, int64_t n)
{
    convert_strided(from, src, 1, to, dst, stride, n);
}

/* Adds a compact run of floats to one with a stride. A sum of two float32 in float64, rounded once, is that in float32. */
static void add_strided(tensor_type from, const char *src, tensor_type to, char *dst, int64_t stride, int64_t n)
{
    if (from == TENSOR_F32 && to == TENSOR_F32 && stride == 1) {
        const float *s = (const float *)(const void *)src;
        float *d = (float *)(void *)dst;
        for (int64_t i = 0; i < n; i++)
            d[i] += s[i];
        return;
    }
    double a[BLOCK], b[BLOCK];
    for (int64_t at = 0; at < n; at += BLOCK) {
        int64_t m = n - at < BLOCK ? n - at : BLOCK;
        char *d = dst + at * stride * (int64_t)tensor_type_size(to);
        load_f64(from, src + at * (int64_t)tensor_type_size(from), 1, a, m);
        load_f64(to, d, stride, b, m);
        for (int64_t i = 0; i < m; i++)
            b[i] += a[i];
        store_f64(b, to, d, stride, m);
    }
}

/* One tensor, cut into runs along its last axis; a compact one is a single long run that is cut at will. */
typedef struct walk {
    const DLTensor *t;
    tensor_type of_t, of_array;
    char *array;
    bool out, add;              /* from the array into the tensor; added to it */
    int64_t run, n_runs, stride;
    int64_t runs_a_part;
} walk;

static char *run_start(const walk *w, int64_t r)
{
    const DLTensor *t = w->t;
    int64_t at = 0;
    if (w->n_runs > 1 || t->ndim > 1) {
        for (int i = t->ndim - 2; i >= 0; i--) {
            at += r % t->shape[i] * tensor_stride(t, i);
            r /= t->shape[i];
        }
    }
    return (char *)tensor_data(t) + at * (int64_t)tensor_type_size(w->of_t);
}

static void convert_piece(const walk *w, char *elements, int64_t stride, int64_t first, int64_t n)
{
    char *array = w->array + first * (int64_t)tensor_type_size(w->of_array);
    if (w->add)
        add_strided(w->of_array, array, w->of_t, elements, stride, n);
    else if (w->out)
        convert_strided(w->of_array, array, 1, w->of_t, elements, stride, n);
    else
        convert_strided(w->of_t, elements, stride, w->of_array, array, 1, n);
}

static void compact_part(void *arg, int64_t part, int thread)
{
    (void)thread;
    const walk *w = arg;
    int64_t first = part * PART_ELEMENTS, n = w->run - first < PART_ELEMENTS ? w->run - first : PART_ELEMENTS;
    convert_piece(w, (char *)tensor_data(w->t) + first * (int64_t)tensor_type_size(w->of_t), 1, first, n);
}

static void strided_part(void *arg, int64_t part, int thread)
{
    (void)thread;
    const walk *w = arg;
    int64_t end = (part + 1) * w->runs_a_part;
    for (int64_t r = part * w->runs_a_part; r < end && r < w->n_runs; r++)
        convert_piece(w, run_start(w, r), w->stride, r * w->run, w->run);
}

static void convert_tensor(mp_context *ctx, const DLTensor *t, tensor_type of_array, char *array, bool out, bool add)
{
    walk w = { .t = t, .of_array = of_array, .array = array, .out = out, .add = add };
    int64_t n = tensor_count(t);
    if (n == 0 || !tensor_type_of(t->dtype, &w.of_t))
        return;
    pool *p = ctx ? ctx->pool : NULL;
    if (tensor_is_compact(t)) {
        w.run = n;
        pool_run(p, (n + PART_ELEMENTS - 1) / PART_ELEMENTS, compact_part, &w);
        return;
    }
    w.run = t->shape[t->ndim - 1];
    w.stride = tensor_stride(t, t->ndim - 1);
    w.n_runs = n / w.run;
    w.runs_a_part = PART_ELEMENTS / w.run + 1;
    pool_run(p, (w.n_runs + w.runs_a_part - 1) / w.runs_a_part, strided_part, &w);
}

void convert_in(mp_context *ctx, const DLTensor *t, tensor_type to, void *dst)
{
    convert_tensor(ctx, t, to, dst, false, false);
}

void convert_out(mp_context *ctx, const void *src, tensor_type from, const DLTensor *t)
{
    convert_tensor(ctx, t, from, (char *)(uintptr_t)src, true, false);
}

void convert_add(mp_context *ctx, const void *src, tensor_type from, const DLTensor *t)
{
    convert_tensor(ctx, t, from, (char *)(uintptr_t)src, true, true);
}

static mp_status index_error(mp_context *ctx, const char *name, const DLTensor *t, int64_t at, int64_t value,
                             int64_t range, bool none)
{
    int64_t place[TENSOR_MAX_RANK];
    char where[TENSOR_TEXT];
    int64_t rest = at;
    for (int i = t->ndim - 1; i >= 0; i--) {
        place[i] = rest % t->shape[i];
        rest /= t->shape[i];
    }
    if (t->ndim <= 1)
        place[0] = at;
    tensor_shape_text(place, t->ndim, where, sizeof where);
    if (t->ndim <= 1) {
        return error_set(ctx, MP_INVALID, "%s: element %lld is %lld, but must be in 0..%lld%s", name, (long long)at,
                         (long long)value, (long long)range - 1, none ? " or -1" : "");
    }
    return error_set(ctx, MP_INVALID, "%s: element %s is %lld, but must be in 0..%lld%s", name, where,
                     (long long)value, (long long)range - 1, none ? " or -1" : "");
}

mp_status convert_index(mp_context *ctx, const char *name, const DLTensor *t, int64_t range, bool none, int32_t *dst)
{
    tensor_type type;
    if (!tensor_type_of(t->dtype, &type) || (type != TENSOR_I32 && type != TENSOR_I64)) {
        return error_set(ctx, MP_INVALID, "%s: an index takes int32 or int64, not %s", name,
                         tensor_type_of(t->dtype, &type) ? tensor_type_name(type) : "this type");
    }
    if (range > (int64_t)1 << 31)
        return error_set(ctx, MP_UNSUPPORTED, "%s: a range of %lld; an index has at most 2^31 values", name, (long long)range);
    int64_t n = tensor_count(t), lowest = none ? -1 : 0;
    walk w = { .t = t, .of_t = type };
    bool compact = tensor_is_compact(t);
    w.run = compact ? n : t->shape[t->ndim - 1];
    w.stride = compact ? 1 : tensor_stride(t, t->ndim - 1);
    w.n_runs = n ? n / w.run : 0;
    for (int64_t r = 0; r < w.n_runs; r++) {
        const char *s = compact ? tensor_data(t) : run_start(&w, r);
        for (int64_t i = 0; i < w.run; i++) {
            int64_t v = type == TENSOR_I32 ? ((const int32_t *)s)[i * w.stride] : ((const int64_t *)s)[i * w.stride];
            if (v < lowest || v >= range)
                return index_error(ctx, name, t, r * w.run + i, v, range, none);
            dst[r * w.run + i] = (int32_t)v;
        }
    }
    return MP_OK;
}

mp_status convert_int64(mp_context *ctx, const char *name, const DLTensor *t, int64_t *dst)
{
    tensor_type type;
    if (!tensor_type_of(t->dtype, &type) || tensor_type_is_float(type) || type == TENSOR_BOOL) {
        return error_set(ctx, MP_INVALID, "%s: must hold integers, not %s", name,
                         tensor_type_of(t->dtype, &type) ? tensor_type_name(type) : "this type");
    }
    convert_in(ctx, t, TENSOR_I64, dst);
    if (type != TENSOR_U64)
        return MP_OK;
    for (int64_t i = 0; i < tensor_count(t); i++) {
        if (dst[i] < 0)
            return error_set(ctx, MP_INVALID, "%s: element %lld is too large", name, (long long)i);
    }
    return MP_OK;
}
