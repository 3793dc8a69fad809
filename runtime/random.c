/*
 * Seeded fills: each element draws from the counter-based generator at its own row-major place.
 */
#include "runtime/random.h"

#include <math.h>
#include "runtime/context.h"
#include "runtime/convert.h"

enum { BLOCK = 256, PART = 1 << 14 };

static double unit(uint32_t high, uint32_t low)
{
    return (double)(((uint64_t)high << 32 | low) >> 11) * 0x1p-53;
}

double random_uniform(uint64_t seed, uint64_t stream, uint64_t place)
{
    uint32_t b[4];
    random_block(seed, stream, place, b);
    return unit(b[0], b[1]);
}

double random_normal(uint64_t seed, uint64_t stream, uint64_t place)
{
    uint32_t b[4];
    random_block(seed, stream, place, b);
    double u = 1.0 - unit(b[0], b[1]);          /* (0, 1] */
    return sqrt(-2.0 * log(u)) * cos(0x1.921fb54442d18p+2 * unit(b[2], b[3]));
}

uint64_t random_below(uint64_t seed, uint64_t stream, uint64_t place, uint64_t range)
{
    uint32_t b[4];
    random_block(seed, stream, place, b);
    return (uint64_t)(((unsigned __int128)((uint64_t)b[0] << 32 | b[1]) * range) >> 64);
}

double random_init_scale(const mp_init *init, const int64_t *shape, int rank)
{
    double in = rank > 0 ? (double)shape[0] : 1.0, out = 1.0;
    for (int i = 1; i < rank; i++)
        out *= (double)shape[i];
    in = in < 1 ? 1 : in;
    switch (init->kind) {
    case MP_INIT_ZEROS: return 0;
    case MP_INIT_ONES: return 1;
    case MP_INIT_CONSTANT: return init->a;
    case MP_INIT_UNIFORM: return init->b - init->a;
    case MP_INIT_NORMAL: return init->a;
    case MP_INIT_GLOROT_UNIFORM: return sqrt(6.0 / (in + out));
    case MP_INIT_GLOROT_NORMAL: return sqrt(2.0 / (in + out));
    case MP_INIT_KAIMING_UNIFORM: return sqrt(6.0 / in);
    case MP_INIT_KAIMING_NORMAL: return sqrt(2.0 / in);
    }
    return 0;
}

typedef enum fill_kind { FILL_VALUE, FILL_UNIFORM, FILL_NORMAL, FILL_INDEX } fill_kind;

typedef struct filler {
    fill_kind kind;
    double lo, scale;           /* value: lo; uniform: lo + scale * [0, 1); normal: lo + scale * N(0, 1) */
    uint64_t range;
    uint64_t seed, stream;
    const DLTensor *t;
    tensor_type type;
    int64_t count, run, stride;
} filler;

static char *element(const filler *f, int64_t place)
{
    const DLTensor *t = f->t;
    int64_t at = 0;
    for (int i = t->ndim - 1; i >= 0; i--) {
        at += place % t->shape[i] * tensor_stride(t, i);
        place /= t->shape[i];
    }
    return (char *)tensor_data(t) + at * (int64_t)tensor_type_size(f->type);
}

static double draw(const filler *f, int64_t place)
{
    switch (f->kind) {
    case FILL_VALUE: return f->lo;
    case FILL_UNIFORM: return f->lo + f->scale * random_uniform(f->seed, f->stream, (uint64_t)place);
    case FILL_NORMAL: return f->lo + f->scale * random_normal(f->seed, f->stream, (uint64_t)place);
    case FILL_INDEX: break;
    }
    return 0;
}

static void fill_piece(const filler *f, int64_t first, int64_t n)
{
    union {
        double real[BLOCK];
        int64_t index[BLOCK];
    } b;
    if (f->kind == FILL_INDEX) {
        for (int64_t i = 0; i < n; i++)
            b.index[i] = (int64_t)random_below(f->seed, f->stream, (uint64_t)(first + i), f->range);
        convert_run_out(TENSOR_I64, b.index, f->type, element(f, first), f->stride, n);
    } else {
        for (int64_t i = 0; i < n; i++)
            b.real[i] = draw(f, first + i);
        convert_run_out(TENSOR_F64, b.real, f->type, element(f, first), f->stride, n);
    }
}

/* Places part*PART and on, in pieces that stay within a run of equally spaced elements. */
static void fill_part(void *arg, int64_t part, int thread)
{
    (void)thread;
    const filler *f = arg;
    int64_t end = f->count - part * PART < PART ? f->count : (part + 1) * PART;
    for (int64_t at = part * PART; at < end;) {
        int64_t n = f->run - at % f->run;
        n = n < BLOCK ? n : BLOCK;
        n = n < end - at ? n : end - at;
        fill_piece(f, at, n);
        at += n;
    }
}

static void fill(mp_context *ctx, filler *f, const DLTensor *t)
{
    f->t = t;
    f->count = tensor_count(t);
    if (!f->count)
        return;
    bool compact = tensor_is_compact(t);
    f->run = compact ? f->count : t->shape[t->ndim - 1];
    f->stride = compact ? 1 : tensor_stride(t, t->ndim - 1);
    pool_run(ctx->pool, (f->count + PART - 1) / PART, fill_part, f);
}

static mp_status check_float(mp_context *ctx, const DLTensor *t, tensor_type *type)
{
    mp_status st = tensor_check_host(ctx, "tensor to fill", t);
    if (st)
        return st;
    if (!tensor_type_of(t->dtype, type) || !tensor_type_is_float(*type))
        return error_set(ctx, MP_INVALID, "tensor to fill: must be of a floating type");
    return MP_OK;
}

mp_status mp_fill_normal(mp_context *ctx, const DLTensor *t, uint64_t seed, uint64_t stream)
{
    if (!ctx)
        return MP_USAGE;
    filler f = { .kind = FILL_NORMAL, .scale = 1, .seed = seed, .stream = stream };
    mp_status st = check_float(ctx, t, &f.type);
    if (!st)
        fill(ctx, &f, t);
    return st;
}

mp_status mp_fill_uniform(mp_context *ctx, const DLTensor *t, double lo, double hi, uint64_t seed, uint64_t stream)
{
    if (!ctx)
        return MP_USAGE;
    filler f = { .kind = FILL_UNIFORM, .lo = lo, .scale = hi - lo, .seed = seed, .stream = stream };
    mp_status st = check_float(ctx, t, &f.type);
    if (!st)
        fill(ctx, &f, t);
    return st;
}

mp_status mp_fill_index(mp_context *ctx, const DLTensor *t, int64_t range, uint64_t seed, uint64_t stream)
{
    if (!ctx)
        return MP_USAGE;
    filler f = { .kind = FILL_INDEX, .range = (uint64_t)range, .seed = seed, .stream = stream };
    mp_status st = tensor_check_host(ctx, "tensor to fill", t);
    if (st)
        return st;
    if (!tensor_type_of(t->dtype, &f.type) || (f.type != TENSOR_I32 && f.type != TENSOR_I64))
        return error_set(ctx, MP_INVALID, "tensor to fill: must be int32 or int64");
    if (range < 1 || (f.type == TENSOR_I32 && range > (int64_t)1 << 31))
        return error_set(ctx, MP_INVALID, "indices of 0..%lld are not possible", (long long)range - 1);
    fill(ctx, &f, t);
    return MP_OK;
}

mp_status mp_fill_init(mp_context *ctx, const DLTensor *t, const mp_init *init, uint64_t seed, uint64_t stream)
{
    if (!ctx)
        return MP_USAGE;
    if (!init || (unsigned)init->kind > MP_INIT_KAIMING_NORMAL)
        return error_set(ctx, MP_USAGE, "mp_fill_init: there is no such initialiser");
    filler f = { .seed = seed, .stream = stream };
    mp_status st = check_float(ctx, t, &f.type);
    if (st)
        return st;
    double scale = random_init_scale(init, t->shape, t->ndim);
    switch (init->kind) {
    case MP_INIT_ZEROS: case MP_INIT_ONES: case MP_INIT_CONSTANT:
        f.kind = FILL_VALUE;
        f.lo = scale;
        break;
    case MP_INIT_UNIFORM:
        f.kind = FILL_UNIFORM;
        f.lo = init->a;
        f.scale = scale;
        break;
    case MP_INIT_GLOROT_UNIFORM: case MP_INIT_KAIMING_UNIFORM:
        f.kind = FILL_UNIFORM;
        f.lo = -scale;
        f.scale = 2 * scale;
        break;
    case MP_INIT_NORMAL: case MP_INIT_GLOROT_NORMAL: case MP_INIT_KAIMING_NORMAL:
        f.kind = FILL_NORMAL;
        f.scale = scale;
        break;
    }
    fill(ctx, &f, t);
    return MP_OK;
}
