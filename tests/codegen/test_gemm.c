/* Products against a plain loop, bit for bit: each element is one chain of multiply-adds over k, so the
 * reference knows the very result. Odd sizes, sizes known and unknown to the code, all kinds, both types,
 * accumulating or not, CPUs with and without fused multiply-add and masked memory; nothing outside of C's
 * rows and columns is written. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "codegen/cpu/gemm.h"
#include "harness.h"

enum { ROOM = 65 * 330, PAD = 3 };      /* elements of a matrix, at most */

static const int64_t sizes[] = {0, 1, 3, 17, 63, 64, 65};   /* all triples, but not for each variant */
enum { SIZES = (int)(sizeof sizes / sizeof sizes[0]) };

typedef void gemm_fn(const void *a, int64_t lda, const void *b, int64_t ldb, void *c, int64_t ldc, int64_t m,
                     int64_t n, int64_t k);

static double get(elem t, const void *p, int64_t i)
{
    return t == EL_F64 ? ((const double *)p)[i] : (double)((const float *)p)[i];
}
static void set(elem t, void *p, int64_t i, double x)
{
    if (t == EL_F64)
        ((double *)p)[i] = x;
    else
        ((float *)p)[i] = (float)x;
}

static double multiply_add(elem t, bool fused, double a, double b, double c)
{
    if (t == EL_F64) {
        volatile double p = a * b;
        return fused ? fma(a, b, c) : p + c;
    }
    if (!fused) {
        volatile float p = (float)a * (float)b;
        return (double)(p + (float)c);
    }
    return (double)fmaf((float)a, (float)b, (float)c);
}

typedef struct buffers {
    double a[ROOM], b[ROOM], c[ROOM], want[ROOM];
} buffers;

static void check(harness *h, gemm_fn *fn, const gemm_spec *s, buffers *x, int64_t m, int64_t n, int64_t k)
{
    elem t = s->type;
    bool fused = h->target.has_fma;
    int64_t lda = (s->kind == GEMM_TN ? m : k) + PAD, ldb = (s->kind == GEMM_NT ? k : n) + PAD, ldc = n + PAD;
    int64_t used = (m + 1) * ldc;       /* and a row more, that must stay */
    for (int64_t i = 0; i < used; i++)
        set(t, x->c, i, (double)(i % 31) / 8);
    memcpy(x->want, x->c, (size_t)used * elem_size(t));
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = s->accumulate ? get(t, x->c, i * ldc + j) : 0;
            for (int64_t p = 0; p < k; p++) {
                double a = get(t, x->a, s->kind == GEMM_TN ? p * lda + i : i * lda + p);
                double b = get(t, x->b, s->kind == GEMM_NT ? j * ldb + p : p * ldb + j);
                sum = multiply_add(t, fused, a, b, sum);
            }
            set(t, x->want, i * ldc + j, sum);
        }
    fn(x->a, lda, x->b, ldb, x->c, ldc, m, n, k);
    bool same = memcmp(x->c, x->want, (size_t)used * elem_size(t)) == 0;
    for (int64_t i = 0; !same && i < used; i++)
        if (get(t, x->c, i) != get(t, x->want, i)) {
            CHECK(h, false, "%s %s kind %d add %d, %lld x %lld x %lld: element %lld, %lld is %a, not %a",
                  h->target.name, elem_name(t), (int)s->kind, (int)s->accumulate, (long long)m, (long long)n,
                  (long long)k, (long long)(i / ldc), (long long)(i % ldc), get(t, x->c, i),
                  get(t, x->want, i));
            break;
        }
}

/* The same with nothing around the matrices: each lies before, or behind, a page that may not be touched. */
static void check_edges(const gemm_spec *s, gemm_fn *fn, int64_t m, int64_t n, int64_t k)
{
    enum { PAGE = 4096 };
    int64_t count[3] = {m * k, k * n, m * n};
    char *base[3], *matrix[3];
    size_t size[3];
    for (int after = 0; after < 2; after++) {
        for (int i = 0; i < 3; i++) {
            size_t bytes = (size_t)count[i] * elem_size(s->type), pages = (bytes + PAGE - 1) / PAGE * PAGE;
            size[i] = pages + 2 * PAGE;
            base[i] = mmap(NULL, size[i], PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (base[i] == MAP_FAILED ||
                mprotect(base[i] + PAGE, pages + (pages == 0), PROT_READ | PROT_WRITE) != 0)
                abort();
            matrix[i] = after ? base[i] + PAGE : base[i] + PAGE + pages - bytes;
        }
        fn(matrix[0], s->kind == GEMM_TN ? m : k, matrix[1], s->kind == GEMM_NT ? k : n, matrix[2], n, m, n,
           k);
        for (int i = 0; i < 3; i++)
            munmap(base[i], size[i]);
    }
}

static void wrapper(harness *h, const char *name, const gemm_spec *s)
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

static void spec_name(char *out, size_t size, const gemm_spec *s)
{
    snprintf(out, size, "g%d_%s_%d_%lld_%lld_%lld", (int)s->kind, elem_name(s->type), (int)s->accumulate,
             (long long)s->m, (long long)s->n, (long long)s->k);
}

typedef struct shape {
    int64_t n, k;
} shape;

/* known to the code: tails of every kind, one vector, three, more than one block of k */
static const shape known[] = {{64, 64}, {16, 3}, {7, 64}, {65, 17},  {24, 65},
                              {3, 300}, {40, 1}, {1, 63}, {100, 100}};
enum { KNOWN = (int)(sizeof known / sizeof known[0]) };

static void run(harness *h, const cpu_target *target, elem t, int first_kind, int kinds)
{
    static buffers x;
    for (int64_t i = 0; i < ROOM; i++) {
        set(t, x.a, i, (double)((i * 7919 + 13) % 1013) / 512 - 1);
        set(t, x.b, i, (double)((i * 6101 + 7) % 1021) / 512 - 1);
    }
    harness_open_target(h, target);
    for (int kind = first_kind; kind < first_kind + kinds; kind++)
        for (int add = 0; add < 2; add++) {
            gemm_spec s = {.type = t, .kind = (gemm_kind)kind, .accumulate = add};
            char name[96];
            spec_name(name, sizeof name, &s);
            wrapper(h, name, &s);
            for (int i = 0; i < KNOWN && add == 0; i++) {
                s.n = known[i].n, s.k = kind == GEMM_TN ? 0 : known[i].k;
                spec_name(name, sizeof name, &s);
                wrapper(h, name, &s);
            }
        }
    harness_load(h, 2);
    for (int kind = first_kind; kind < first_kind + kinds; kind++)
        for (int add = 0; add < 2; add++) {
            gemm_spec s = {.type = t, .kind = (gemm_kind)kind, .accumulate = add};
            char name[96];
            spec_name(name, sizeof name, &s);
            gemm_fn *fn = (gemm_fn *)harness_find(h, name);
            for (int i = 0; i < SIZES * SIZES * SIZES; i++)
                if (i % (add == 0 ? 2 : 5) == 0 || i < SIZES * SIZES)
                    check(h, fn, &s, &x, sizes[i / SIZES / SIZES], sizes[i / SIZES % SIZES],
                          sizes[i % SIZES]);
            for (int i = 0; i < SIZES * SIZES * SIZES; i += 3)
                check_edges(&s, fn, sizes[i / SIZES / SIZES], sizes[i / SIZES % SIZES], sizes[i % SIZES]);
            check_edges(&s, fn, 128, 128, 48);
            check_edges(&s, fn, 40, 40, 400);
            check(h, fn, &s, &x, 5, 33, 290);
            check(h, fn, &s, &x, 270, 9, 5);
            for (int i = 0; i < KNOWN && add == 0; i++) {
                s.n = known[i].n, s.k = kind == GEMM_TN ? 0 : known[i].k;
                spec_name(name, sizeof name, &s);
                fn = (gemm_fn *)harness_find(h, name);
                static const int64_t ms[] = {0, 1, 5, 6, 13, 64};
                for (int j = 0; j < 6; j++) {
                    check(h, fn, &s, &x, ms[j], s.n, known[i].k);
                    check_edges(&s, fn, ms[j], s.n, known[i].k);
                }
            }
        }
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
    run(&h, &t, EL_F32, GEMM_NN, 3);
    run(&h, &t, EL_F64, GEMM_NN, 3);
    if (t.isa == CPU_X86_64) {
        cpu_target_find("x86-64-v2", &t, err, sizeof err);
        run(&h, &t, EL_F32, GEMM_NN, 3);
    }
    if (h.failures)
        printf("%d failures\n", h.failures);
    return h.failures != 0;
}
