/* A cuBLAS whose device is the CPU: the functions of libcublas that the runtime calls (runtime/cublas_api.def), beside the driver of
 * driver_cuda.c, which MPC_LIBCUDA names.
 *
 * It is stricter than the library. A product needs a stream that was set and, since then, a workspace of at least 4 MiB, aligned to
 * 256 bytes, of the device's memory; distances of columns and types must be right; all elements of an operand must lie in what was
 * allocated; the result must overlap nothing. The workspace is spoiled by each product. A result that is not added to is not read.
 * With TF32 operands of float32 are rounded to 10 bits. emu_products counts products that have run. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define API __attribute__((visibility("default")))
#define FN(type, name, arguments) API type name arguments; type name arguments

enum { OK = 0, NOT_INITIALIZED = 1, ALLOC_FAILED = 3, INVALID = 7, MAGIC = 0x626c6173 };

typedef struct handle {
    int magic, math;
    void *stream, *workspace;
    size_t workspace_bytes;
    bool has_stream;
} handle;

typedef struct driver {
    int (*call)(void *s, int (*call)(const void *arguments), const void *arguments, size_t bytes);
    int (*is_held)(uint64_t p, size_t bytes);
    int (*is_captured)(void *s);
} driver;

/* A product, as it is put on the stream. */
typedef struct product {
    int ta, tb, m, n, k, lda, ldb, ldc, batch;
    long long a_apart, b_apart, c_apart;
    const void *a, *b;
    void *c, *workspace;
    size_t workspace_bytes;
    bool wide, round;
    double alpha, beta;
} product;

static long long products;

FN(long long, emu_products, (void)) { return products; }

static int wrong(const char *what)
{
    fprintf(stderr, "emulated cuBLAS: %s\n", what);
    return INVALID;
}

static bool find_driver(driver *d)
{
    void *library = dlopen(getenv("MPC_LIBCUDA"), RTLD_NOW | RTLD_LOCAL), *at[3];
    if (!library)
        return false;
    at[0] = dlsym(library, "emu_call");
    at[1] = dlsym(library, "emu_is_held");
    at[2] = dlsym(library, "emu_is_captured");
    memcpy(d, at, sizeof *d);
    return at[0] && at[1] && at[2];
}

/* ---- the product itself --------------------------------------------------------------------------------- */

static double rounded(float x, bool round)
{
    uint32_t bits;
    memcpy(&bits, &x, 4);
    if (round && (bits & 0x7f800000) != 0x7f800000)
        bits = (bits + 0x1000) & ~UINT32_C(0x1fff);
    memcpy(&x, &bits, 4);
    return x;
}

static double element(const void *p, long long at, const product *q)
{
    return q->wide ? ((const double *)p)[at] : rounded(((const float *)p)[at], q->round);
}

static int run(const void *arguments)
{
    const product *q = arguments;
    for (int z = 0; z < q->batch; z++)
        for (int j = 0; j < q->n; j++)
            for (int i = 0; i < q->m; i++) {
                double sum = 0;
                for (int l = 0; l < q->k; l++)
                    sum += element(q->a, z * q->a_apart + (q->ta ? l + (long long)i * q->lda : i + (long long)l * q->lda), q) *
                           element(q->b, z * q->b_apart + (q->tb ? j + (long long)l * q->ldb : l + (long long)j * q->ldb), q);
                long long at = z * q->c_apart + i + (long long)j * q->ldc;
                double old = q->beta != 0 ? q->wide ? ((double *)q->c)[at] : ((float *)q->c)[at] : 0;
                double value = q->alpha * sum + (q->beta != 0 ? q->beta * old : 0);
                if (q->wide)
                    ((double *)q->c)[at] = value;
                else
                    ((float *)q->c)[at] = (float)value;
            }
    memset(q->workspace, 0x5a, 4096);
    memset((char *)q->workspace + q->workspace_bytes - 4096, 0x5a, 4096);
    products++;
    return OK;
}

/* ---- checks --------------------------------------------------------------------------------------------- */

typedef struct range { uint64_t from, to; } range;

static range range_of(const void *p, int rows, int columns, int ld, long long apart, int batch, const product *q)
{
    uint64_t last = (uint64_t)(batch - 1) * (uint64_t)apart + (uint64_t)(columns - 1) * (uint64_t)ld + (uint64_t)(rows - 1), bytes = q->wide ? 8 : 4;
    return (range){(uintptr_t)p, (uintptr_t)p + (last + 1) * bytes};
}

static bool apart(range x, range y) { return x.to <= y.from || y.to <= x.from; }

static int check(const driver *d, const handle *h, const product *q)
{
    if (!h || h->magic != MAGIC)
        return NOT_INITIALIZED;
    if (!h->has_stream || !h->workspace)
        return wrong("a product without stream or workspace");
    if (q->m < 1 || q->n < 1 || q->k < 1 || q->batch < 1 || (q->ta | q->tb) & ~1)
        return wrong("a product of no size");
    if (q->lda < (q->ta ? q->k : q->m) || q->ldb < (q->tb ? q->n : q->k) || q->ldc < q->m)
        return wrong("columns that lie too close");
    range a = range_of(q->a, q->ta ? q->k : q->m, q->ta ? q->m : q->k, q->lda, q->a_apart, q->batch, q);
    range b = range_of(q->b, q->tb ? q->n : q->k, q->tb ? q->k : q->n, q->ldb, q->b_apart, q->batch, q);
    range c = range_of(q->c, q->m, q->n, q->ldc, q->c_apart, q->batch, q), w = {(uintptr_t)h->workspace, (uintptr_t)h->workspace + h->workspace_bytes};
    if (a.from % 4 || b.from % 4 || c.from % 4 || !d->is_held(a.from, a.to - a.from) || !d->is_held(b.from, b.to - b.from)
        || !d->is_held(c.from, c.to - c.from))
        return wrong("operands beyond what was allocated");
    if (!d->is_held(w.from, w.to - w.from))
        return wrong("a workspace that is gone");
    if (!apart(c, a) || !apart(c, b) || !apart(w, a) || !apart(w, b) || !apart(w, c))
        return wrong("operands that overlap");
    return OK;
}

static int put(handle *h, product *q, const void *alpha, const void *beta, int a_type, int b_type, int c_type, int compute, int algorithm)
{
    driver d;
    if (a_type != b_type || b_type != c_type || (a_type ? a_type != 1 || compute != 70 : compute != 68) || algorithm != -1)
        return wrong("types that do not go together");
    if (!find_driver(&d))
        return NOT_INITIALIZED;
    q->wide = a_type == 1;
    q->alpha = q->wide ? *(const double *)alpha : *(const float *)alpha;
    q->beta = q->wide ? *(const double *)beta : *(const float *)beta;
    int result = check(&d, h, q);
    if (result)
        return result;
    q->workspace = h->workspace;
    q->workspace_bytes = h->workspace_bytes;
    q->round = !q->wide && h->math == 3;
    return d.call(h->stream, run, q, sizeof *q);
}

/* ---- the functions -------------------------------------------------------------------------------------- */

FN(int, cublasCreate_v2, (handle **out))
{
    driver d;
    if (!find_driver(&d) || d.is_captured(NULL))
        return NOT_INITIALIZED;
    handle *h = calloc(1, sizeof *h);
    if (!h)
        return ALLOC_FAILED;
    h->magic = MAGIC;
    *out = h;
    return OK;
}
FN(int, cublasDestroy_v2, (handle *h))
{
    if (!h || h->magic != MAGIC)
        return NOT_INITIALIZED;
    h->magic = 0;
    free(h);
    return OK;
}
FN(int, cublasGetVersion_v2, (handle *h, int *version)) { *version = 120900; return h && h->magic == MAGIC ? OK : NOT_INITIALIZED; }
FN(int, cublasSetStream_v2, (handle *h, void *stream))
{
    h->stream = stream;
    h->has_stream = true;
    h->workspace = NULL;                /* the library's own again: none here */
    return OK;
}
FN(int, cublasSetWorkspace_v2, (handle *h, void *at, size_t bytes))
{
    driver d;
    if (!find_driver(&d) || (uintptr_t)at % 256 || bytes < (size_t)4 << 20 || !d.is_held((uintptr_t)at, bytes))
        return wrong("a workspace that is none");
    h->workspace = at;
    h->workspace_bytes = bytes;
    return OK;
}
FN(int, cublasSetMathMode, (handle *h, int mode))
{
    h->math = mode;
    return mode == 0 || mode == 3 ? OK : INVALID;
}
FN(int, cublasGemmEx, (handle *h, int ta, int tb, int m, int n, int k, const void *alpha, const void *a, int a_type, int lda, const void *b,
                       int b_type, int ldb, const void *beta, void *c, int c_type, int ldc, int compute, int algorithm))
{
    product q = {.ta = ta, .tb = tb, .m = m, .n = n, .k = k, .lda = lda, .ldb = ldb, .ldc = ldc, .batch = 1, .a = a, .b = b, .c = c};
    return put(h, &q, alpha, beta, a_type, b_type, c_type, compute, algorithm);
}
FN(int, cublasGemmStridedBatchedEx,
   (handle *h, int ta, int tb, int m, int n, int k, const void *alpha, const void *a, int a_type, int lda, long long a_apart, const void *b,
    int b_type, int ldb, long long b_apart, const void *beta, void *c, int c_type, int ldc, long long c_apart, int batch, int compute,
    int algorithm))
{
    product q = {.ta = ta, .tb = tb, .m = m, .n = n, .k = k, .lda = lda, .ldb = ldb, .ldc = ldc, .batch = batch, .a_apart = a_apart,
                 .b_apart = b_apart, .c_apart = c_apart, .a = a, .b = b, .c = c};
    return put(h, &q, alpha, beta, a_type, b_type, c_type, compute, algorithm);
}
