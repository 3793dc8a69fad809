/* Emitted dense products in GF/s on one thread, beside the BLAS found at run time (OpenBLAS, held to one
 * thread).
 *
 *   bench_gemm [M [cpu]]        M rows (default 131072); "s" as third argument prints the assembly instead */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/cpu/gemm.h"
#include "harness.h"

typedef void gemm_fn(const void *a, int64_t lda, const void *b, int64_t ldb, void *c, int64_t ldc, int64_t m,
                     int64_t n, int64_t k);
typedef void sgemm_fn(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda,
                      const float *b, int ldb, float beta, float *c, int ldc);

static void make(harness *h, const char *name, const gemm_spec *s)
{
    emitter *e = &h->e;
    LLVMTypeRef params[] = {e->ptr_t, e->i64_t, e->ptr_t, e->i64_t, e->ptr_t,
                            e->i64_t, e->i64_t, e->i64_t, e->i64_t};
    emit_function_begin(e, name, FN_EXPORTED, e->void_t, params, 9);
    LLVMValueRef p[9];
    for (unsigned i = 0; i < 9; i++)
        p[i] = emit_param(e, i);
    emit_gemm(e, s, p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8]);
    emit_return(e, NULL);
    emit_function_end(e);
}

static double best_of(int times, double *each, int n)
{
    (void)times;
    double best = each[0];
    for (int i = 1; i < n; i++)
        best = each[i] < best ? each[i] : best;
    return best;
}

int main(int argc, char **argv)
{
    int64_t rows = argc > 1 ? atoll(argv[1]) : 131072;
    const char *cpu = argc > 2 ? argv[2] : "native";
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    void *blas = dlopen("libopenblas.so.0", RTLD_NOW);
    sgemm_fn *sgemm = blas ? (sgemm_fn *)dlsym(blas, "cblas_sgemm") : NULL;

    static const struct {
        int64_t n, k;
    } shapes[] = {{64, 64}, {128, 128}, {16, 64}, {64, 16}, {8, 64}, {63, 65}, {256, 256}, {1, 64}};
    int64_t room = (rows > 256 ? rows : 256) * 256 + 64;
    float *a = calloc((size_t)room, 4), *b = calloc((size_t)room, 4), *c = calloc((size_t)room, 4);
    if (!a || !b || !c)
        return 1;
    for (int64_t i = 0; i < room; i++)
        a[i] = (float)(i % 17) - 8, b[i] = (float)(i % 13) - 6, c[i] = 0;

    printf("%-22s %9s %9s %9s   GF/s; code ms\n", "M x N x K", "known", "unknown", "BLAS");
    for (int kind = 0; kind < 3; kind++)
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
            int64_t n = shapes[i].n, k = shapes[i].k, m = rows;
            if (kind == GEMM_TN)
                m = k, k = rows;
            gemm_spec s = {.type = EL_F32,
                           .kind = (gemm_kind)kind,
                           .n = n,
                           .k = kind == GEMM_TN ? 0 : k,
                           .m = kind == GEMM_TN ? m : 0};
            gemm_spec u = {.type = EL_F32, .kind = (gemm_kind)kind};
            harness h = {0};
            harness_open(&h, cpu);
            make(&h, "known", &s);
            if (argc > 3) {
                harness_dump(&h, 2);
                return 0;
            }
            make(&h, "unknown", &u);
            harness_load(&h, 2);
            gemm_fn *fn[2] = {(gemm_fn *)harness_find(&h, "known"), (gemm_fn *)harness_find(&h, "unknown")};
            double ms[3][16];
            int64_t lda = kind == GEMM_TN ? m : k, ldb = kind == GEMM_NT ? k : n;
            int times = 7;
            for (int t = 0; t < times; t++) {
                for (int v = 0; v < 2; v++) {
                    double t0 = harness_now_ms();
                    fn[v](a, lda, b, ldb, c, n, m, n, k);
                    ms[v][t] = harness_now_ms() - t0;
                }
                double t0 = harness_now_ms();
                if (sgemm)
                    sgemm(101, kind == GEMM_TN ? 112 : 111, kind == GEMM_NT ? 112 : 111, (int)m, (int)n,
                          (int)k, 1, a, (int)lda, b, (int)ldb, 0, c, (int)n);
                ms[2][t] = harness_now_ms() - t0;
            }
            double flops = 2e-6 * (double)m * (double)n * (double)k;
            static const char *const kinds[] = {"NN", "NT", "TN"};
            printf("%s %7lld x %3lld x %-6lld", kinds[kind], (long long)m, (long long)n, (long long)k);
            for (int v = 0; v < 3; v++)
                printf(" %9.1f", v == 2 && !sgemm ? 0 : flops / best_of(times, ms[v], times));
            printf("   %.0f + %.0f\n", h.optimize_ms, h.emit_ms);
            harness_close(&h);
        }
    free(a), free(b), free(c);
    return 0;
}
