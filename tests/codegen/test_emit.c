/* The emitter's helpers, by running what they emit: half precision over all its values, masks, gathers,
 * reductions, maxima with NaN, conversions, loops and branches; on this CPU, and as for one without its newer
 * instructions. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

static const int lane_counts[] = {1, 2, 4, 8, 16, 32};
enum { LANE_COUNTS = 6 };

static LLVMValueRef load_at(emitter *e, elem t, int lanes, LLVMValueRef base, LLVMValueRef i)
{
    return emit_load(e, t, lanes, emit_ptr(e, t, base, i), NULL);
}

static void *named(harness *h, const char *what, int lanes)
{
    char name[96];
    snprintf(name, sizeof name, "%.64s_%d", what, lanes);
    return harness_find(h, name);
}

static harness_map begin(harness *h, const char *what, int lanes)
{
    char name[96];
    snprintf(name, sizeof name, "%.64s_%d", what, lanes);
    return harness_map_begin(h, name, lanes);
}

/* ---- f16 and bf16 -------------------------------------------------------------------------------------- */

static double f16_value(unsigned h)
{
    int exponent = (int)(h >> 10 & 31);
    double m = (double)(h & 1023), v;
    if (exponent == 31)
        v = m != 0 ? NAN : INFINITY;
    else
        v = exponent ? ldexp(1024 + m, exponent - 25) : ldexp(m, -24);
    return h & 0x8000 ? -v : v;
}

static double bf16_value(unsigned b)
{
    uint32_t bits = b << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return (double)f;
}

static double value16(elem t, unsigned bits) { return t == EL_F16 ? f16_value(bits) : bf16_value(bits); }

/* The nearest 16-bit number, ties to even, by bisection over the numbers of the same sign. */
static unsigned nearest16(elem t, double x)
{
    unsigned infinity = t == EL_F16 ? 0x7c00 : 0x7f80, low = 0, high = infinity;
    double a = fabs(x);
    while (high - low > 1) {
        unsigned mid = (low + high) / 2;
        if (value16(t, mid) <= a)
            low = mid;
        else
            high = mid;
    }
    if (a >= value16(t, infinity))
        low = infinity;
    /* infinity stands where the next number would */
    double next = low + 1 == infinity ? (t == EL_F16 ? 65536.0 : ldexp(1, 128)) : value16(t, low + 1);
    if (low != infinity && a != value16(t, low)) {
        double half = value16(t, low) / 2 + next / 2;
        if (a > half || (a == half && (low & 1)))
            low++;
    }
    return low | (signbit(x) ? 0x8000u : 0);
}

static void build_half(harness *h)
{
    emitter *e = &h->e;
    static const elem types[] = {EL_F16, EL_BF16};
    for (int k = 0; k < LANE_COUNTS; k++)
        for (int i = 0; i < 2; i++) {
            int lanes = lane_counts[k];
            char name[32];
            snprintf(name, sizeof name, "widen_%s", elem_name(types[i]));
            harness_map m = begin(h, name, lanes);
            LLVMValueRef x = load_at(e, types[i], lanes, m.a, m.i);
            emit_store(e, EL_F32, x, emit_ptr(e, EL_F32, m.out, m.i), NULL);
            harness_map_end(h, &m);
            static const elem from[] = {EL_F32, EL_F64};
            for (int j = 0; j < 2; j++) {
                snprintf(name, sizeof name, "narrow_%s_%s", elem_name(types[i]), elem_name(from[j]));
                m = begin(h, name, lanes);
                emit_store(e, types[i], load_at(e, from[j], lanes, m.a, m.i),
                           emit_ptr(e, types[i], m.out, m.i), NULL);
                harness_map_end(h, &m);
            }
        }
}

enum { ALL = 65536, AROUND = 5 * ALL };

/* Each number, what lies halfway to the next, and what lies next to that in f32 and in f64. */
static void around(elem t, double *x)
{
    for (unsigned i = 0; i < ALL; i++) {
        double a = value16(t, i),
               b = value16(t, (i & 0x7fff) == (t == EL_F16 ? 0x7bff : 0x7f7f) ? i : (i + 1) & 0xffff);
        double half = isfinite(a) && isfinite(b) ? a / 2 + b / 2 : a;
        double *p = x + 5 * i;
        p[0] = a, p[1] = half;
        p[2] = (double)nextafterf((float)half, i & 1 ? INFINITY : -INFINITY);
        p[3] = nextafter(half, INFINITY), p[4] = nextafter(half, -INFINITY);
    }
    x[6] = 65519.999, x[7] = 65520, x[8] = 1e300, x[11] = 3.3999e38, x[12] = -1e-300;
}

static void check_narrow(harness *h, elem t, elem from)
{
    static double x[AROUND];
    static float narrow[AROUND];
    static uint16_t want[AROUND], got[AROUND];
    around(t, x);
    for (int i = 0; i < AROUND; i++) {
        narrow[i] = (float)x[i];
        x[i] = from == EL_F32 ? (double)narrow[i] : x[i];
        want[i] = isnan(x[i]) ? 0 : (uint16_t)nearest16(t, x[i]);
    }
    char name[32];
    snprintf(name, sizeof name, "narrow_%s_%s", elem_name(t), elem_name(from));
    for (int k = 0; k < LANE_COUNTS; k++) {
        int count = AROUND / 32 * 32;
        ((harness_map_fn *)named(h, name, lane_counts[k]))(from == EL_F64 ? (void *)x : (void *)narrow, NULL,
                                                           got, count);
        for (int i = 0; i < count; i++)
            CHECK(h, isnan(x[i]) ? isnan(value16(t, got[i])) : got[i] == want[i],
                  "%s %s x%d (%s): %a gives %04x, not %04x", name, elem_name(from), lane_counts[k],
                  h->target.cpu, x[i], got[i], want[i]);
    }
}

static void check_half(harness *h, elem t)
{
    static uint16_t bits[ALL];
    static float wide[ALL];
    char name[32];
    for (unsigned i = 0; i < ALL; i++)
        bits[i] = (uint16_t)i;
    snprintf(name, sizeof name, "widen_%s", elem_name(t));
    for (int k = 0; k < LANE_COUNTS; k++) {
        ((harness_map_fn *)named(h, name, lane_counts[k]))(bits, NULL, wide, ALL);
        for (unsigned i = 0; i < ALL; i++) {
            double want = value16(t, i), got = (double)wide[i];
            CHECK(h, isnan(want) ? isnan(got) : got == want && !signbit(got) == !signbit(want),
                  "%s x%d (%s): %04x gives %a", name, lane_counts[k], h->target.cpu, i, got);
        }
    }
    check_narrow(h, t, EL_F32);
    check_narrow(h, t, EL_F64);
}

/* ---- masks, gathers, reductions ------------------------------------------------------------------------ */

/* out[i] = a[i] for the first n of `lanes` elements */
static void build_masks(harness *h)
{
    emitter *e = &h->e;
    static const elem types[] = {EL_F32, EL_F64, EL_I32, EL_F16, EL_BOOL};
    for (int k = 0; k < LANE_COUNTS; k++)
        for (int i = 0; i < 5; i++) {
            int lanes = lane_counts[k];
            char name[64];
            snprintf(name, sizeof name, "mask_%s_%d", elem_name(types[i]), lanes);
            LLVMTypeRef params[] = {e->ptr_t, e->ptr_t, e->ptr_t, e->i64_t};
            emit_function_begin(e, name, FN_EXPORTED, e->void_t, params, 4);
            LLVMValueRef mask = emit_mask_below(e, lanes, emit_param(e, 3));
            LLVMValueRef x = emit_load(e, types[i], lanes, emit_param(e, 0), mask);
            emit_store(e, types[i], x, emit_param(e, 2), mask);
            emit_return(e, NULL);
            emit_function_end(e);

            snprintf(name, sizeof name, "gather_%s", elem_name(types[i]));
            harness_map m = begin(h, name, lanes);
            LLVMValueRef index = load_at(e, EL_I32, lanes, m.b, m.i);
            LLVMValueRef inside = emit_cmp(e, CMP_GE, index, emit_like(e, index, 0));
            x = emit_gather(e, types[i], m.a, index, inside);
            emit_store(e, types[i], x, emit_ptr(e, types[i], m.out, m.i), NULL);
            harness_map_end(h, &m);
        }
}

static void check_masks(harness *h)
{
    static const elem types[] = {EL_F32, EL_F64, EL_I32, EL_F16, EL_BOOL};
    unsigned char from[512], to[512];
    for (int k = 0; k < LANE_COUNTS; k++)
        for (int i = 0; i < 5; i++) {
            int lanes = lane_counts[k], size = (int)elem_size(types[i]);
            char name[64];
            snprintf(name, sizeof name, "mask_%s", elem_name(types[i]));
            harness_map_fn *fn = (harness_map_fn *)named(h, name, lanes);
            for (int n = -1; n <= lanes + 1; n++) {
                int used = n < 0 ? 0 : n > lanes ? lanes : n;
                /* placed at the end of its room: reading past the mask would be seen by a sanitizer */
                unsigned char *exact = malloc((size_t)(used * size) + 1);
                for (int j = 0; j < used * size; j++)
                    exact[j] = from[j] =
                        types[i] == EL_BOOL ? (unsigned char)(j % 3 == 0) : (unsigned char)(j * 5 % 60 + 1);
                memset(to, 0xee, sizeof to);
                fn(exact, NULL, to, n);
                bool rest = true;
                for (int j = used * size; j < 512; j++)
                    rest = rest && to[j] == 0xee;
                CHECK(h, memcmp(to, from, (size_t)(used * size)) == 0, "%s x%d: first %d differ", name, lanes,
                      n);
                CHECK(h, rest, "%s x%d: written past %d", name, lanes, n);
                free(exact);
            }
            float table[64], out[64];
            int32_t index[64];
            for (int j = 0; j < 64; j++)
                index[j] = j % 5 == 0 ? -1 : j * 37 % 61;
            if (types[i] != EL_F32)
                continue;
            for (int j = 0; j < 64; j++)
                table[j] = (float)j + 0.5f;
            ((harness_map_fn *)named(h, "gather_f32", lanes))(table, index, out, 64);
            for (int j = 0; j < 64; j++)
                CHECK(h, out[j] == (index[j] < 0 ? 0 : table[index[j]]), "gather x%d: %d gives %g", lanes,
                      index[j], (double)out[j]);
        }
}

/* one value a block of lanes, repeated */
static void build_reductions(harness *h)
{
    emitter *e = &h->e;
    for (int k = 0; k < LANE_COUNTS; k++)
        for (int op = RED_ADD; op <= RED_MIN; op++) {
            char name[32];
            snprintf(name, sizeof name, "reduce_%d", op);
            harness_map m = begin(h, name, lane_counts[k]);
            LLVMValueRef r = emit_reduce(e, (red_op)op, load_at(e, EL_F32, lane_counts[k], m.a, m.i));
            emit_store(e, EL_F32, emit_splat(e, r, lane_counts[k]), emit_ptr(e, EL_F32, m.out, m.i), NULL);
            harness_map_end(h, &m);
        }
}

static float combine(int op, float a, float b)
{
    if (op == RED_ADD)
        return a + b;
    if (op == RED_MUL)
        return a * b;
    if (isnan(a) || isnan(b))
        return NAN;
    return op == RED_MAX ? (a > b ? a : b) : (a < b ? a : b);
}

static void check_reductions(harness *h)
{
    enum { N = 256 };
    float a[N], out[N];
    for (int i = 0; i < N; i++)
        a[i] = i % 41 == 40 ? NAN : (float)(i * 29 % 37) / 8 - 2;
    for (int k = 0; k < LANE_COUNTS; k++)
        for (int op = RED_ADD; op <= RED_MIN; op++) {
            int lanes = lane_counts[k];
            char name[32];
            snprintf(name, sizeof name, "reduce_%d", op);
            ((harness_map_fn *)named(h, name, lanes))(a, NULL, out, N);
            for (int i = 0; i < N; i += lanes) {
                float v[32];
                memcpy(v, a + i, (size_t)lanes * sizeof *v);
                for (int n = lanes; n > 1; n /= 2)
                    for (int j = 0; j < n / 2; j++)
                        v[j] = combine(op, v[j], v[j + n / 2]);
                CHECK(h, v[0] == out[i] || (isnan(v[0]) && isnan(out[i])), "reduce %d x%d: %g, not %g", op,
                      lanes, (double)out[i], (double)v[0]);
            }
        }
}

/* ---- maxima, conversions, control ---------------------------------------------------------------------- */

enum { MAX_AB, MIN_AB, RELU, CLAMP, MAX_CONST, PICKS };

static void build_picks(harness *h)
{
    emitter *e = &h->e;
    for (int k = 0; k < LANE_COUNTS; k++) {
        int lanes = lane_counts[k];
        for (int what = 0; what < PICKS; what++) {
            char name[32];
            snprintf(name, sizeof name, "pick_%d", what);
            harness_map m = begin(h, name, lanes);
            LLVMValueRef a = load_at(e, EL_F32, lanes, m.a, m.i), b = load_at(e, EL_F32, lanes, m.b, m.i),
                         r = a;
            switch (what) {
            case MAX_AB: r = emit_max(e, a, b); break;
            case MIN_AB: r = emit_min(e, a, b); break;
            case RELU: r = emit_relu(e, a); break;
            case CLAMP: r = emit_clamp(e, a, emit_like(e, a, -1), emit_like(e, a, 2)); break;
            default: r = emit_max(e, emit_like(e, a, 0.5), a); break;
            }
            emit_store(e, EL_F32, r, emit_ptr(e, EL_F32, m.out, m.i), NULL);
            harness_map_end(h, &m);
        }
        static const elem from[] = {EL_F32, EL_F64}, to[] = {EL_I32, EL_I64};
        for (int i = 0; i < 2; i++)
            for (int j = 0; j < 2; j++) {
                char name[32];
                snprintf(name, sizeof name, "int_%d%d", i, j);
                harness_map m = begin(h, name, lanes);
                LLVMValueRef x = load_at(e, from[i], lanes, m.a, m.i);
                emit_store(e, to[j], emit_convert(e, x, to[j]), emit_ptr(e, to[j], m.out, m.i), NULL);
                harness_map_end(h, &m);
                snprintf(name, sizeof name, "real_%d%d", i, j);
                m = begin(h, name, lanes);
                x = load_at(e, to[j], lanes, m.a, m.i);
                emit_store(e, from[i], emit_convert(e, x, from[i]), emit_ptr(e, from[i], m.out, m.i), NULL);
                harness_map_end(h, &m);
            }
    }
}

static int64_t held(double x, int wide)
{
    if (isnan(x))
        return 0;
    double limit = wide ? 0x1p63 : 0x1p31;
    if (x >= limit)
        return wide ? INT64_MAX : INT32_MAX;
    if (x < -limit)
        return wide ? INT64_MIN : INT32_MIN;
    return (int64_t)x;
}

static void check_picks(harness *h)
{
    enum { N = 64 };
    static const double hard[] = {0,         -0.0, 1,   -1,    0.5,  -0.5,  NAN,  INFINITY,
                                  -INFINITY, 1.5,  2.5, -3.99, 1e10, -1e10, 1e30, 2147483648.0};
    float a[N], b[N], out[N];
    double d[N];
    for (int i = 0; i < N; i++)
        a[i] = (float)hard[i % 16], b[i] = (float)hard[(i * 5 + i / 16) % 16], d[i] = hard[i % 16];
    for (int k = 0; k < LANE_COUNTS; k++) {
        int lanes = lane_counts[k];
        for (int what = 0; what < PICKS; what++) {
            char name[32];
            snprintf(name, sizeof name, "pick_%d", what);
            ((harness_map_fn *)named(h, name, lanes))(a, b, out, N);
            for (int i = 0; i < N; i++) {
                float want;
                switch (what) {
                case MAX_AB: want = combine(RED_MAX, a[i], b[i]); break;
                case MIN_AB: want = combine(RED_MIN, a[i], b[i]); break;
                case RELU: want = combine(RED_MAX, a[i], 0); break;
                case CLAMP: want = combine(RED_MIN, combine(RED_MAX, a[i], -1), 2); break;
                default: want = combine(RED_MAX, a[i], 0.5f); break;
                }
                CHECK(h, out[i] == want || (isnan(out[i]) && isnan(want)), "%s x%d: %g, %g gives %g", name,
                      lanes, (double)a[i], (double)b[i], (double)out[i]);
            }
        }
        for (int wide = 0; wide < 2; wide++) {
            int32_t i32[N];
            int64_t i64[N], back64[N];
            ((harness_map_fn *)named(h, wide ? "int_11" : "int_10", lanes))(
                d, NULL, wide ? (void *)i64 : (void *)i32, N);
            for (int i = 0; i < N; i++)
                CHECK(h, (wide ? i64[i] : i32[i]) == held(d[i], wide), "f64 to i%d x%d: %g", wide ? 64 : 32,
                      lanes, d[i]);
            ((harness_map_fn *)named(h, wide ? "int_01" : "int_00", lanes))(
                a, NULL, wide ? (void *)i64 : (void *)i32, N);
            for (int i = 0; i < N; i++)
                CHECK(h, (wide ? i64[i] : i32[i]) == held((double)a[i], wide), "f32 to i%d x%d: %g",
                      wide ? 64 : 32, lanes, (double)a[i]);
            for (int i = 0; i < N; i++)
                back64[i] = (int64_t)i * i * 7919 * 104729 - 1000000007;
            ((harness_map_fn *)named(h, "real_01", lanes))(back64, NULL, out, N);
            for (int i = 0; i < N; i++)
                CHECK(h, out[i] == (float)back64[i], "i64 to f32 x%d: %lld", lanes, (long long)back64[i]);
        }
    }
}

/* Collatz steps of n, counted up to a limit: nested loops, branches with values, carried values, no
 * iterations. */
static void build_control(harness *h)
{
    emitter *e = &h->e;
    LLVMTypeRef params[] = {e->i64_t, e->i64_t};
    emit_function_begin(e, "collatz", FN_EXPORTED, e->i64_t, params, 2);
    LLVMValueRef one = emit_i64(e, 1), two = emit_i64(e, 2);
    emit_loop l = emit_for_begin(e, emit_i64(e, 0), emit_param(e, 1), 1);
    LLVMValueRef n = emit_carry(e, &l, emit_param(e, 0)), steps = emit_carry(e, &l, emit_i64(e, 0));
    emit_if running = emit_if_begin(e, emit_cmp(e, CMP_NE, n, one));
    emit_if odd = emit_if_begin(e, emit_cmp(e, CMP_NE, emit_rem(e, n, two), emit_i64(e, 0)));
    LLVMValueRef up = emit_add(e, emit_mul(e, n, emit_i64(e, 3)), one);
    emit_else(e, &odd);
    LLVMValueRef down = emit_div(e, n, two);
    emit_if_end(e, &odd);
    LLVMValueRef moved = emit_if_value(e, &odd, up, down), counted = emit_add(e, steps, one);
    emit_if_end(e, &running);
    emit_next(&l, 0, emit_if_value(e, &running, moved, n));
    emit_next(&l, 1, emit_if_value(e, &running, counted, steps));
    emit_for_end(e, &l);
    emit_return(e, l.result[1]);
    emit_function_end(e);
}

static void check_control(harness *h)
{
    typedef int64_t collatz_fn(int64_t n, int64_t limit);
    collatz_fn *fn = (collatz_fn *)harness_find(h, "collatz");
    CHECK(h, fn(27, 1000) == 111, "27 takes %lld", (long long)fn(27, 1000));
    CHECK(h, fn(27, 100) == 100 && fn(27, 0) == 0 && fn(27, -5) == 0 && fn(1, 9) == 0, "limits");
}

static void run(harness *h, const cpu_target *t, int level)
{
    harness_open_target(h, t);
    build_half(h);
    build_masks(h);
    build_reductions(h);
    build_picks(h);
    build_control(h);
    harness_load(h, level);
    check_half(h, EL_F16);
    check_half(h, EL_BF16);
    check_masks(h);
    check_reductions(h);
    check_picks(h);
    check_control(h);
    harness_close(h);
}

int main(void)
{
    harness h = {0};
    char err[256];
    cpu_target t;
    if (!cpu_target_find("native", &t, err, sizeof err)) {
        printf("%s\n", err);
        return 77;
    }
    run(&h, &t, 2);
    if (t.isa == CPU_X86_64) {
        cpu_target_find("x86-64-v2", &t, err, sizeof err);
        run(&h, &t, 1);
    }
    if (h.failures)
        printf("%d failures\n", h.failures);
    return h.failures != 0;
}
