/*
 * Tensors and conversion: half types against a double-precision reference, strides, checks, index ranges.
 */
#include <math.h>

#include "check.h"
#include "runtime/convert.h"
#include "runtime/half.h"

/* d rounded to a type of `bits` significant bits and smallest exponent `emin`; largest finite value `most`. */
static double round_to(double d, int bits, int emin, double most)
{
    if (d != d || isinf(d) || d == 0)
        return d;
    int e;
    frexp(d, &e);
    int unit = (e > emin ? e : emin) - bits;
    double r = ldexp(rint(ldexp(d, -unit)), unit);
    return fabs(r) > most ? copysign(INFINITY, d) : r;
}

static void halves(check *c)
{
    int bad = 0;
    for (uint32_t h = 0; h < 65536; h++) {
        float f = f16_to_f32((uint16_t)h), b = bf16_to_f32((uint16_t)h);
        if (f == f)
            bad += f32_to_f16(f) != h || f64_to_f16((double)f) != h;
        else
            bad += f16_to_f32(f32_to_f16(f)) == f16_to_f32(f32_to_f16(f));
        if (b == b)
            bad += f32_to_bf16(b) != h || f64_to_bf16((double)b) != h;
        else
            bad += bf16_to_f32(f32_to_bf16(b)) == bf16_to_f32(f32_to_bf16(b));
    }
    CHECK(c, bad == 0);
    CHECK(c, f16_to_f32(0x3c00) == 1.0f && f16_to_f32(0x7bff) == 65504.0f && f16_to_f32(0x0001) == 0x1p-24f);
    CHECK(c, f32_to_f16(65519.0f) == 0x7bff && f32_to_f16(65520.0f) == 0x7c00 && f32_to_f16(-1e30f) == 0xfc00);
    CHECK(c, f32_to_f16(0x1p-25f) == 0 && f32_to_f16(0x1.000002p-25f) == 1);
    uint64_t rng = 11;
    for (int i = 0; i < 200000; i++) {
        double d = ldexp((double)(int64_t)check_random(&rng), (int)check_below(&rng, 48) - 90);
        if (i & 1)                      /* close to a tie of float16 */
            d = round_to(d, 12, -14, 1e300) * (1 + ((double)check_below(&rng, 3) - 1) * 0x1p-50);
        bad += (double)f16_to_f32(f64_to_f16(d)) != round_to(d, 11, -13, 65504.0);
        double e = ldexp(d, (int)check_below(&rng, 260) - 130);
        bad += (double)bf16_to_f32(f64_to_bf16(e)) != round_to(e, 8, -125, 0x1.fep127);
    }
    CHECK(c, bad == 0);
}

static DLTensor tensor_of(void *data, tensor_type type, int rank, int64_t *shape, int64_t *strides)
{
    return (DLTensor){ .data = data, .device = { kDLCPU, 0 }, .ndim = rank, .dtype = tensor_dtype(type), .shape = shape,
                       .strides = strides };
}

static void strides(check *c)
{
    float data[24];
    for (int i = 0; i < 24; i++)
        data[i] = (float)i + 0.5f;
    double out[24];
    DLTensor t = tensor_of(data, TENSOR_F32, 2, (int64_t[]){ 3, 4 }, (int64_t[]){ 1, 3 });      /* Fortran order */
    OK(c, tensor_check_host(c->ctx, "x", &t));
    CHECK(c, !tensor_is_compact(&t));
    convert_in(c->ctx, &t, TENSOR_F64, out);
    CHECK(c, out[0] == 0.5 && out[1] == 3.5 && out[4] == 1.5 && out[11] == 11.5);
    t = tensor_of(data + 23, TENSOR_F32, 3, (int64_t[]){ 2, 3, 4 }, (int64_t[]){ -12, -4, -1 });
    convert_in(c->ctx, &t, TENSOR_F64, out);
    CHECK(c, out[0] == 23.5 && out[23] == 0.5 && out[5] == 18.5);
    t = tensor_of(data, TENSOR_F32, 2, (int64_t[]){ 3, 2 }, (int64_t[]){ 0, 5 });                /* broadcast rows */
    convert_in(c->ctx, &t, TENSOR_F64, out);
    CHECK(c, out[0] == 0.5 && out[5] == 5.5);
    t = tensor_of(data, TENSOR_F32, 0, NULL, NULL);
    t.byte_offset = 8;
    convert_in(c->ctx, &t, TENSOR_F64, out);
    CHECK(c, out[0] == 2.5);
    uint16_t h[12];
    DLTensor dst = tensor_of(h, TENSOR_F16, 2, (int64_t[]){ 3, 4 }, (int64_t[]){ 1, 3 });
    convert_out(c->ctx, data, TENSOR_F32, &dst);
    CHECK(c, f16_to_f32(h[1]) == 4.5f && f16_to_f32(h[3]) == 1.5f);
    int64_t big = ((int64_t)1 << 60) + 1, back;
    convert_run(TENSOR_I64, &big, 1, TENSOR_I64, &back, 1);
    CHECK(c, back == big);
    uint8_t flags[3] = { 0, 7, 1 };
    convert_run(TENSOR_BOOL, flags, 1, TENSOR_F64, out, 3);
    CHECK(c, out[0] == 0 && out[1] == 1 && out[2] == 1);
    /* More than a part, compact and not: through the threads. */
    enum { N = 300000 };
    int32_t *many = malloc(N * sizeof *many);
    double *wide = malloc(N * sizeof *wide);
    for (int i = 0; i < N; i++)
        many[i] = i;
    t = tensor_of(many, TENSOR_I32, 2, (int64_t[]){ N / 3, 3 }, (int64_t[]){ 3, 1 });
    CHECK(c, tensor_is_compact(&t));
    int bad = 0;
    convert_in(c->ctx, &t, TENSOR_F64, wide);
    for (int i = 0; i < N; i++)
        bad += wide[i] != i;
    t = tensor_of(many, TENSOR_I32, 2, (int64_t[]){ N / 3, 3 }, (int64_t[]){ 1, N / 3 });
    convert_in(c->ctx, &t, TENSOR_F64, wide);
    for (int i = 0; i < N; i++)
        bad += wide[i] != i % 3 * (N / 3) + i / 3;
    CHECK(c, bad == 0);
    free(many);
    free(wide);
}

static void refusals(check *c)
{
    float data[8];
    DLTensor t = tensor_of(data, TENSOR_F32, 2, (int64_t[]){ 2, 4 }, NULL);
    t.dtype = (DLDataType){ kDLComplex, 64, 1 };
    FAILS(c, MP_INVALID, "x: elements of complex type", tensor_check(c->ctx, "x", &t));
    t.dtype = (DLDataType){ kDLFloat, 32, 4 };
    FAILS(c, MP_INVALID, "4 lanes", tensor_check(c->ctx, "x", &t));
    t.dtype = tensor_dtype(TENSOR_F32);
    t.shape = (int64_t[]){ 2, -4 };
    FAILS(c, MP_INVALID, "axis 1 has the extent -4", tensor_check(c->ctx, "x", &t));
    t.shape = (int64_t[]){ (int64_t)1 << 40, (int64_t)1 << 40 };
    FAILS(c, MP_INVALID, "too large", tensor_check(c->ctx, "x", &t));
    t.shape = (int64_t[]){ 2, 4 };
    t.strides = (int64_t[]){ INT64_MAX, 1 };
    FAILS(c, MP_INVALID, "too large", tensor_check(c->ctx, "x", &t));
    t.strides = NULL;
    t.byte_offset = 2;
    FAILS(c, MP_INVALID, "not aligned", tensor_check(c->ctx, "x", &t));
    t.byte_offset = 0;
    t.device.device_type = kDLCUDA;
    OK(c, tensor_check(c->ctx, "x", &t));
    FAILS(c, MP_INVALID, "not in the CPU's memory", tensor_check_host(c->ctx, "x", &t));
    t.data = NULL;
    FAILS(c, MP_USAGE, "data is NULL", tensor_check(c->ctx, "x", &t));
    t.ndim = 9;
    FAILS(c, MP_INVALID, "9 axes", tensor_check(c->ctx, "x", &t));
    FAILS(c, MP_USAGE, "NULL", tensor_check(c->ctx, "x", NULL));
    t = tensor_of(NULL, TENSOR_F32, 2, (int64_t[]){ INT64_MAX, 0 }, NULL);
    OK(c, tensor_check(c->ctx, "x", &t));
    CHECK(c, tensor_count(&t) == 0);
}

static void indices(check *c)
{
    int64_t data[6] = { 0, 7, -1, 3, 2, 9 };
    int32_t out[6];
    DLTensor t = tensor_of(data, TENSOR_I64, 1, (int64_t[]){ 6 }, NULL);
    FAILS(c, MP_INVALID, "rel: element 2 is -1, but must be in 0..9", convert_index(c->ctx, "rel", &t, 10, false, out));
    OK(c, convert_index(c->ctx, "rel", &t, 10, true, out));
    CHECK(c, out[2] == -1 && out[5] == 9);
    FAILS(c, MP_INVALID, "rel: element 5 is 9, but must be in 0..7 or -1", convert_index(c->ctx, "rel", &t, 8, true, out));
    t = tensor_of(data, TENSOR_I64, 2, (int64_t[]){ 2, 3 }, (int64_t[]){ 1, 2 });
    FAILS(c, MP_INVALID, "rel: element [0, 1] is -1", convert_index(c->ctx, "rel", &t, 10, false, out));
    OK(c, convert_index(c->ctx, "rel", &t, 10, true, out));
    CHECK(c, out[1] == -1 && out[2] == 2 && out[5] == 9);
    t = tensor_of(data, TENSOR_F64, 1, (int64_t[]){ 6 }, NULL);
    FAILS(c, MP_INVALID, "int32 or int64, not float64", convert_index(c->ctx, "rel", &t, 10, false, out));
    t = tensor_of(NULL, TENSOR_I32, 2, (int64_t[]){ 0, 3 }, NULL);
    OK(c, convert_index(c->ctx, "rel", &t, 10, false, out));
    uint64_t huge[1] = { UINT64_MAX };
    t = tensor_of(huge, TENSOR_U64, 1, (int64_t[]){ 1 }, NULL);
    int64_t wide[1];
    FAILS(c, MP_INVALID, "too large", convert_int64(c->ctx, "p", &t, wide));
}

int main(void)
{
    check c = check_begin(2);
    halves(&c);
    strides(&c);
    refusals(&c);
    indices(&c);
    return check_end(&c);
}
