/* Emitted math functions: ns an element over 4096 elements, by lane count, with the time to make each; libm's
 * scalar function beside them where there is one.
 *
 *   bench_math [f32|f64] [cpu] [level]        with a fourth argument, a function's name: its assembly, 8
 * lanes */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/cpu/math.h"
#include "harness.h"

enum { N = 4096 };

static double libm_ns(math_id f)
{
    static const struct {
        math_id id;
        float (*fn)(float);
    } known[] = {{MATH_EXP, expf}, {MATH_EXPM1, expm1f}, {MATH_LOG, logf},   {MATH_LOG1P, log1pf},
                 {MATH_SIN, sinf}, {MATH_COS, cosf},     {MATH_TANH, tanhf}, {MATH_ERF, erff}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i].id == f) {
            volatile float sink = 0;
            double t0 = harness_now_ms();
            for (int j = 0; j < 200000; j++)
                sink = sink * 0 + known[i].fn((float)(j % 1000) * 0.004f + 0.1f);
            return (harness_now_ms() - t0) * 1e6 / 200000;
        }
    return 0;
}

static void build(harness *h, math_id f, elem t, int lanes)
{
    emitter *e = &h->e;
    harness_map m = harness_map_begin(h, "map", lanes);
    LLVMValueRef args[] = {emit_load(e, t, lanes, emit_ptr(e, t, m.a, m.i), NULL),
                           emit_load(e, t, lanes, emit_ptr(e, t, m.b, m.i), NULL)};
    emit_store(e, t, emit_math(e, f, args), emit_ptr(e, t, m.out, m.i), NULL);
    harness_map_end(h, &m);
}

int main(int argc, char **argv)
{
    elem t = argc > 1 && strcmp(argv[1], "f64") == 0 ? EL_F64 : EL_F32;
    const char *cpu = argc > 2 ? argv[2] : "native";
    int level = argc > 3 ? atoi(argv[3]) : 2;
    static double a[N], b[N], out[N];
    for (int i = 0; i < N; i++) {
        double x = (double)i / N * 4 + 0.1;
        if (t == EL_F64)
            a[i] = x, b[i] = 1.5;
        else
            ((float *)a)[i] = (float)x, ((float *)b)[i] = 1.5f;
    }
    printf("%-9s     x8    x16    x32   libm   ns an element; ms to make x8, x32\n", elem_name(t));
    for (int f = 0; f < MATH_COUNT; f++) {
        static const int lanes[] = {8, 16, 32};
        double ns[3], ms[3];
        for (int k = 0; k < 3; k++) {
            harness h = {0};
            harness_open(&h, cpu);
            build(&h, (math_id)f, t, lanes[k]);
            if (argc > 4) {
                if (strcmp(math_name((math_id)f), argv[4]) == 0)
                    harness_dump(&h, level);
                harness_close(&h);
                break;
            }
            harness_load(&h, level);
            harness_map_fn *fn = (harness_map_fn *)harness_find(&h, "map");
            double best = 1e9;
            for (int r = 0; r < 40; r++) {
                double t0 = harness_now_ms();
                for (int j = 0; j < 10; j++)
                    fn(a, b, out, N);
                double each = (harness_now_ms() - t0) * 1e5 / N;
                best = each < best ? each : best;
            }
            ns[k] = best;
            ms[k] = h.optimize_ms + h.emit_ms;
            harness_close(&h);
        }
        if (argc <= 4)
            printf("%-9s %6.2f %6.2f %6.2f %6.1f   %4.1f %4.1f\n", math_name((math_id)f), ns[0], ns[1], ns[2],
                   libm_ns((math_id)f), ms[0], ms[2]);
    }
    return 0;
}
