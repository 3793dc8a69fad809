/* Every row of math.def, for both types, several lane counts, with and without fused multiply-add, against
 * libm in the next wider type: the error stays below the bound that the table states, over dense samples of
 * the whole range, around hard places, and special values. All lane counts give the same bits. */
#include <fenv.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/cpu/math.h"
#include "harness.h"

enum { COUNT = 1 << 15 };       /* multiple of all lane counts */

static const int lane_counts[] = {1, 2, 4, 8, 16, 32};
enum { LANE_COUNTS = 6 };

/* ---- what is right ------------------------------------------------------------------------------------- */

static long double right1(math_id f, long double x)
{
    switch (f) {
    case MATH_EXP: return expl(x);
    case MATH_EXPM1: return expm1l(x);
    case MATH_LOG: return logl(x);
    case MATH_LOG1P: return log1pl(x);
    case MATH_SIN: return sinl(x);
    case MATH_COS: return cosl(x);
    case MATH_TANH: return tanhl(x);
    case MATH_SIGMOID: return x >= 0 ? 1 / (1 + expl(-x)) : expl(x) / (1 + expl(x));
    case MATH_SOFTPLUS: return (x > 0 ? x : 0 * x) + log1pl(expl(-fabsl(x)));
    case MATH_ERF: return erfl(x);
    case MATH_SQRT: return sqrtl(x);
    case MATH_RSQRT: return 1 / sqrtl(x);
    case MATH_FLOOR: return floorl(x);
    case MATH_SIGN: return isnan(x) ? x : (long double)((x > 0) - (x < 0));
    case MATH_ABS: return fabsl(x);
    case MATH_POW:
    case MATH_ATAN2:
    case MATH_COUNT: break;
    }
    abort();
}

static long double right(math_id f, long double x, long double y)
{
    if (f == MATH_POW)
        return powl(x, y);
    if (f == MATH_ATAN2)
        return atan2l(x, y);
    if (f == MATH_SOFTPLUS && (isnan(x) || isinf(x)))
        return x == -INFINITY ? 0 : x;
    return right1(f, x);
}

/* ---- arguments ----------------------------------------------------------------------------------------- */

static uint64_t state;
static uint64_t random_bits(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static double random_unit(void) { return (double)(random_bits() >> 11) * 0x1p-53; }

static double random_of_type(elem t)        /* any bits of the type: every exponent alike */
{
    uint64_t r = random_bits();
    if (t == EL_F64) {
        double x;
        memcpy(&x, &r, sizeof x);
        return x;
    }
    uint32_t r32 = (uint32_t)r;
    float x;
    memcpy(&x, &r32, sizeof x);
    return (double)x;
}

static const double special[] = {
    0.0, -0.0, 1, -1, 2, -2, 0.5, -0.5, 3, -3, INFINITY, -INFINITY, NAN, 1e-45, -1e-45, 5e-324, -5e-324,
    1e-40, -1e-40, 1e-310, 1.1754943508222875e-38, 2.2250738585072014e-308, 3.4028234663852886e38,
    -3.4028234663852886e38, 1.7976931348623157e308, 88.7228, 88.73, 89, -87.3, -88, -103.9, -104, -110, 709.78,
    709.79, -708.4, -745.1, -745.2, -746, 1e6, -1e6, 1e9, 1e10, 1e15, 1e22, -1e22, 1e38, 3.14159265358979,
    1.5707963267948966, 0.7853981633974483, 16.5, 9.01, 10, 20, 0.625, 0.921875, 3.92, 4, 6, 0.9999999,
    1.0000001, 1 - 0x1p-53, 1 + 0x1p-52, 0.70710678118654752, 8388608.5, 4503599627370497.0,
    9007199254740993.0, 1e5, 99999, 1073741824.0, 1073741825.0, 16777217, 33554431, 0x1p-26, 0x1p-12,
};
enum { SPECIALS = (int)(sizeof special / sizeof special[0]) };

/* arguments of both kinds: near where the function bends, and everywhere */
static void fill(math_id f, elem t, double *x, double *y)
{
    for (int i = 0; i < COUNT; i++) {
        double u = random_unit() * 2 - 1;
        switch (i % 4) {
        case 0: x[i] = random_of_type(t); break;
        case 1: x[i] = u * 4; break;
        case 2: x[i] = u * (t == EL_F64 ? 750 : 110); break;
        default: x[i] = f == MATH_LOG || f == MATH_LOG1P ? 1 + u * 0.5 : u * 1e7; break;
        }
        y[i] = 0;
        if (f == MATH_POW) {
            double limit = t == EL_F64 ? 745 : 104;
            int kind = (i / 4) % 4;
            if (kind == 0)          /* powers in and a little beyond the range */
                x[i] = fabs(x[i]), y[i] = (random_unit() * 2 - 1) * limit / log(x[i]);
            else if (kind == 1)     /* near 1 with large exponents */
                x[i] = 1 + u * 1e-3, y[i] = (random_unit() * 2 - 1) * limit / log(x[i]);
            else if (kind == 2)
                y[i] = floor(random_unit() * 20) - 10;
            else
                y[i] = random_of_type(t);
        } else if (f == MATH_ATAN2) {
            y[i] = (i / 4) % 2 ? (random_unit() * 2 - 1) * fabs(x[i]) * 4 : random_of_type(t);
        }
    }
    /* specials with specials */
    for (int i = 0; i < SPECIALS; i++) {
        if (math_arguments(f) == 1)
            x[i * 7] = special[i];
        for (int j = 0; math_arguments(f) == 2 && j < SPECIALS; j++) {
            x[i * SPECIALS + j] = special[i];
            y[i * SPECIALS + j] = special[j];
        }
    }
    if (t == EL_F32)
        for (int i = 0; i < COUNT; i++)
            x[i] = (double)(float)x[i], y[i] = (double)(float)y[i];
}

/* ---- the error ----------------------------------------------------------------------------------------- */

static double ulps(elem t, double got, long double want)
{
    if (isnan(want))
        return isnan(got) ? 0 : INFINITY;
    if (isnan(got))
        return INFINITY;
    int low = t == EL_F64 ? -1074 : -149, bits = t == EL_F64 ? 53 : 24;
    /* infinity counts as the number after the largest: a result that just rounds over is no worse than others
     */
    long double beyond = ldexpl(1, t == EL_F64 ? 1024 : 128), have = (long double)got;
    if (fabsl(have) > beyond)
        have = copysignl(beyond, have);
    if (fabsl(want) > beyond)
        want = copysignl(beyond, want);
    int exponent;
    frexpl(want, &exponent);
    int place = exponent - bits < low ? low : exponent - bits;
    if (want == 0)
        place = low;
    return (double)(fabsl(have - want) / ldexpl(1, place));
}

static double load(elem t, const void *p, int i)
{
    return t == EL_F64 ? ((const double *)p)[i] : (double)((const float *)p)[i];
}

static void check_function(harness *h, math_id f, elem t, const char *cpu, bool print)
{
    static double x[COUNT], y[COUNT], bx[COUNT], by[COUNT], out[COUNT], first[COUNT];
    size_t size = elem_size(t);
    fill(f, t, x, y);
    for (int i = 0; i < COUNT; i++) {
        if (t == EL_F64)
            bx[i] = x[i], by[i] = y[i];
        else
            ((float *)bx)[i] = (float)x[i], ((float *)by)[i] = (float)y[i];
    }
    for (int k = 0; k < LANE_COUNTS; k++) {
        char name[64];
        snprintf(name, sizeof name, "%s_%s_%d", math_name(f), elem_name(t), lane_counts[k]);
        harness_map_fn *fn = (harness_map_fn *)harness_find(h, name);
        fn(bx, by, k == 0 ? first : out, COUNT);
        if (k > 0)
            for (int i = 0; i < COUNT; i++) {
                bool nans = isnan(load(t, first, i)) && isnan(load(t, out, i));
                bool same = nans || memcmp((char *)first + (size_t)i * size, (char *)out + (size_t)i * size,
                                           size) == 0;
                CHECK(h, same, "%s %s x%d (%s): %a, alone %a, for %a, %a", math_name(f), elem_name(t),
                      lane_counts[k], cpu, load(t, out, i), load(t, first, i), x[i], y[i]);
            }
    }
    double worst = 0, bound = math_ulp(f, t);
    int at = 0;
    for (int i = 0; i < COUNT; i++) {
        long double want = right(f, (long double)x[i], (long double)y[i]);
        double u = ulps(t, load(t, first, i), want);
        if (u > worst)
            worst = u, at = i;
        if (want == 0 && !isnan(load(t, first, i)))
            CHECK(h,
                  !signbit(want) == !signbit(load(t, first, i)) || load(t, first, i) != 0 || f == MATH_SIGN,
                  "%s %s (%s): sign of zero for %a, %a", math_name(f), elem_name(t), cpu, x[i], y[i]);
    }
    CHECK(h, worst <= bound, "%s %s (%s): %.2f ulp for %a, %a: %a, not %La", math_name(f), elem_name(t), cpu,
          worst, x[at], y[at], load(t, first, at), right(f, (long double)x[at], (long double)y[at]));
    if (print)
        printf("%-9s %s %-8s %6.2f ulp of %.1f (%.9g, %.9g)\n", math_name(f), elem_name(t), cpu, worst, bound,
               x[at], y[at]);
}

static void build(harness *h, math_id f, elem t, int lanes)
{
    emitter *e = &h->e;
    char name[64];
    snprintf(name, sizeof name, "%s_%s_%d", math_name(f), elem_name(t), lanes);
    harness_map m = harness_map_begin(h, name, lanes);
    LLVMValueRef args[] = {emit_load(e, t, lanes, emit_ptr(e, t, m.a, m.i), NULL),
                           emit_load(e, t, lanes, emit_ptr(e, t, m.b, m.i), NULL)};
    emit_store(e, t, emit_math(e, f, args), emit_ptr(e, t, m.out, m.i), NULL);
    harness_map_end(h, &m);
}

static void run_all(harness *h, const cpu_target *target, const char *label, bool print)
{
    double t0 = harness_now_ms();
    harness_open_target(h, target);
    static const elem types[] = {EL_F32, EL_F64};
    for (int f = 0; f < MATH_COUNT; f++)
        for (int t = 0; t < 2; t++)
            for (int k = 0; k < LANE_COUNTS; k++)
                build(h, (math_id)f, types[t], lane_counts[k]);
    double t1 = harness_now_ms();
    harness_load(h, 2);
    state = 0x9e3779b97f4a7c15u;
    for (int f = 0; f < MATH_COUNT; f++)
        for (int t = 0; t < 2; t++)
            check_function(h, (math_id)f, types[t], label, print);
    if (print)
        printf("%s: build %.0f, passes %.0f, code %.0f, all %.0f ms\n", label, t1 - t0, h->optimize_ms,
               h->emit_ms, harness_now_ms() - t0);
    harness_close(h);
}

int main(int argc, char **argv)
{
    (void)argv;
    bool print = argc > 1;
    harness h = {0};
    char err[256];
    cpu_target t;
    if (!cpu_target_find("native", &t, err, sizeof err)) {
        printf("%s\n", err);
        return 77;
    }
    run_all(&h, &t, "native", print);
    if (t.isa == CPU_X86_64) {
        cpu_target_find("x86-64-v2", &t, err, sizeof err);
        run_all(&h, &t, "v2", print);
    }
    if (h.failures)
        printf("%d failures\n", h.failures);
    return h.failures != 0;
}
