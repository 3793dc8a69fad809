/*
 * The generator against the vectors published with it (Random123), and the fills: moments, ranges, initialisers, the
 * same values whatever the threads and strides.
 */
#include <math.h>

#include "check.h"
#include "runtime/random.h"
#include "runtime/tensor.h"

static void known_answers(check *c)
{
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } v[] = {
        { { 0, 0, 0, 0 }, { 0, 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
        { { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff }, { 0xffffffff, 0xffffffff },
          { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
        { { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 }, { 0xa4093822, 0x299f31d0 },
          { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
    };
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        uint32_t out[4];
        philox(v[i].counter, v[i].key, out);
        CHECK(c, memcmp(out, v[i].out, sizeof out) == 0);
    }
}

static DLTensor tensor_of(void *data, tensor_type type, int rank, int64_t *shape, int64_t *strides)
{
    return (DLTensor){ .data = data, .device = { kDLCPU, 0 }, .ndim = rank, .dtype = tensor_dtype(type), .shape = shape,
                       .strides = strides };
}

static void moments(const double *x, int64_t n, double *mean, double *std)
{
    double s = 0, q = 0;
    for (int64_t i = 0; i < n; i++)
        s += x[i];
    *mean = s / (double)n;
    for (int64_t i = 0; i < n; i++)
        q += (x[i] - *mean) * (x[i] - *mean);
    *std = sqrt(q / (double)n);
}

static void fills(check *c)
{
    enum { ROWS = 300, COLUMNS = 200, N = ROWS * COLUMNS };
    double *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y), mean, std;
    int64_t shape[] = { ROWS, COLUMNS }, columns[] = { 1, ROWS };
    DLTensor t = tensor_of(x, TENSOR_F64, 2, shape, NULL);
    OK(c, mp_fill_normal(c->ctx, &t, 5, 1));
    moments(x, N, &mean, &std);
    CHECK(c, fabs(mean) < 0.02 && fabs(std - 1) < 0.02);
    DLTensor transposed = tensor_of(y, TENSOR_F64, 2, shape, columns);
    mp_context *single = NULL;
    OK(c, mp_context_create(&(mp_context_options){ .threads = 1 }, &single));
    OK(c, mp_fill_normal(single, &transposed, 5, 1));
    mp_context_destroy(single);
    int bad = 0;
    for (int i = 0; i < N; i++)
        bad += x[i] != y[i % COLUMNS * ROWS + i / COLUMNS];
    CHECK(c, bad == 0);
    OK(c, mp_fill_normal(c->ctx, &t, 5, 2));
    CHECK(c, x[0] != y[0]);
    OK(c, mp_fill_uniform(c->ctx, &t, -2, 4, 5, 1));
    moments(x, N, &mean, &std);
    CHECK(c, fabs(mean - 1) < 0.03 && fabs(std - 6 / sqrt(12)) < 0.03);
    static const struct {
        mp_init init;
        double mean, std;
    } inits[] = {
        { { MP_INIT_ZEROS, 0, 0 }, 0, 0 }, { { MP_INIT_ONES, 0, 0 }, 1, 0 }, { { MP_INIT_CONSTANT, 3.5, 0 }, 3.5, 0 },
        { { MP_INIT_UNIFORM, 1, 2 }, 1.5, 0.288675 }, { { MP_INIT_NORMAL, 0.25, 0 }, 0, 0.25 },
        { { MP_INIT_GLOROT_UNIFORM, 0, 0 }, 0, 0.0632456 }, { { MP_INIT_GLOROT_NORMAL, 0, 0 }, 0, 0.0632456 },
        { { MP_INIT_KAIMING_UNIFORM, 0, 0 }, 0, 0.0816497 }, { { MP_INIT_KAIMING_NORMAL, 0, 0 }, 0, 0.0816497 },
    };
    for (size_t i = 0; i < sizeof inits / sizeof *inits; i++) {
        OK(c, mp_fill_init(c->ctx, &t, &inits[i].init, 9, i));
        moments(x, N, &mean, &std);
        CHECK(c, fabs(mean - inits[i].mean) < 0.01 && fabs(std - inits[i].std) <= 0.02 * inits[i].std);
    }
    free(x);
    free(y);
}

static void indices_and_refusals(check *c)
{
    int32_t r[1000], seen[7] = { 0 };
    int64_t shape[] = { 1000 };
    DLTensor t = tensor_of(r, TENSOR_I32, 1, shape, NULL);
    OK(c, mp_fill_index(c->ctx, &t, 7, 3, 0));
    for (int i = 0; i < 1000; i++) {
        CHECK(c, r[i] >= 0 && r[i] < 7);
        seen[r[i] % 7]++;
    }
    for (int i = 0; i < 7; i++)
        CHECK(c, seen[i] > 90);
    FAILS(c, MP_INVALID, "0..-1", mp_fill_index(c->ctx, &t, 0, 3, 0));
    FAILS(c, MP_INVALID, "floating", mp_fill_normal(c->ctx, &t, 3, 0));
    FAILS(c, MP_USAGE, "no such initialiser", mp_fill_init(c->ctx, &t, &(mp_init){ .kind = (mp_init_kind)77 }, 0, 0));
    float f = 1;
    DLTensor scalar = tensor_of(&f, TENSOR_F32, 0, NULL, NULL);
    OK(c, mp_fill_init(c->ctx, &scalar, &(mp_init){ .kind = MP_INIT_CONSTANT, .a = 2 }, 0, 0));
    CHECK(c, f == 2);
    FAILS(c, MP_INVALID, "must be int32", mp_fill_index(c->ctx, &scalar, 5, 0, 0));
    int64_t none[] = { 0, 4 };
    DLTensor empty = tensor_of(NULL, TENSOR_F32, 2, none, NULL);
    OK(c, mp_fill_normal(c->ctx, &empty, 0, 0));
}

int main(void)
{
    check c = check_begin(2);
    known_answers(&c);
    fills(&c);
    indices_and_refusals(&c);
    return check_end(&c);
}
