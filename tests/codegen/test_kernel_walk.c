/* Kernels that walk: sums, means, attention, over open and known widths, with hubs in pieces. */
#include <math.h>
#include <string.h>

#include "kernel_harness.h"

static const kh_cut whole = {1 << 30, 0, 0};

/* y[i] = sum over members of w[m] * x[src m] (w optional), y = mean where wanted. */
static void spmm(int64_t d, bool open, bool weighted, uint32_t tile, ktype in)
{
    kh_graph g = kh_graph_make(67, 5);
    float *x = kh_floats((size_t)(g.n * d), 1), *w = kh_floats((size_t)g.m, 2),
          *y = kh_floats((size_t)(g.n * d), 3);
    uint16_t *half = malloc((size_t)(g.n * d + 1) * 2);
    for (int64_t i = 0; i < g.n * d; i++) { /* bf16: the upper half of an f32; f16: of small integers */
        uint32_t bits;
        memcpy(&bits, &x[i], 4);
        half[i] = (uint16_t)(bits >> 16);
        if (in == KT_F16) {
            half[i] = i % 3 == 0 ? 0x3c00 : i % 3 == 1 ? 0xc000 : 0x3555;
            x[i] = i % 3 == 0 ? 1.0f : i % 3 == 1 ? -2.0f : 0.333251953125f;
        } else if (in == KT_BF16) {
            bits &= 0xffff0000u;
            memcpy(&x[i], &bits, 4);
        }
    }
    khar *h = kh_open();
    kplan *p = h->p;
    kdim dd = kh_dim(h, d, open);
    uint32_t bx = kh_buffer(h, in, ROWS_SRC, dd, in == KT_F32 ? (void *)x : half),
             bs = kh_buffer(h, KT_I32, ROWS_EDGES, kdim_int(1), g.src);
    uint32_t bw = kh_buffer(h, KT_F32, ROWS_EDGES, kdim_int(1), w),
             by = kh_buffer(h, KT_F32, ROWS_DST, dd, y);
    kkernel k = {.name = "spmm", .rows = {ROWS_DST, 0}, .fiber = {FIBER_IN, 0}, .tile = tile};
    uint32_t acc = kkernel_add_local(p, &k, (klocal){SCOPE_ROW, KT_F32, dd, tile > 1, true, "acc"});
    kloop l0 = kh_axis(&k, dd, false), l1 = kh_axis(&k, dd, false), l2 = kh_axis(&k, dd, false),
          l3 = kh_axis(&k, dd, false);
    knode *init = kn_for1(p, &l0, 1, kn_store(p, kref_local(acc, kx_var(p, l0.var)), kx_num(p, KT_F32, 0)));
    kx m = kx_member(p), src = kx_iload(p, bs, m);
    kx v = kx_load(p, bx, src, kx_var(p, l1.var), false);
    if (weighted)
        v = kx_map(p, OP_MUL, KT_F32, v, kx_load(p, bw, m, kx_int(p, 0), false), (kx){0});
    knode *step = kn_for1(p, &l1, 1, kn_accum(p, OP_ADD, kref_local(acc, kx_var(p, l1.var)), v));
    knode *comb = kn_for1(
        p, &l2, 1,
        kn_accum(p, OP_ADD, kref_local(acc, kx_var(p, l2.var)), kx_other(p, &k, acc, kx_var(p, l2.var))));
    k.walk = kn_walk(p, &init, 1, &step, 1, &comb, 1);
    kn_prefetch(p, k.walk, bx, src, dd);
    knode *out = kn_for1(
        p, &l3, 1,
        kn_store(p, kref_buffer(by, kx_row(p), kx_var(p, l3.var)), kx_local(p, &k, acc, kx_var(p, l3.var))));
    if (tile > 1) {
        knode *r0 = kn_rows(p, &k.walk, 1), *r1 = kn_rows(p, &out, 1);
        k.body = kn_seq(p, KH_LIST(r0, r1));
    } else {
        knode *rows = kn_rows(p, KH_LIST(k.walk, out));
        k.body = kn_seq(p, &rows, 1);
    }
    uint32_t kn = kplan_add_kernel(p, k);
    kh_build(h);

    kh_run(h, kn, g.n, g.ptr, whole);
    for (int64_t i = 0; i < g.n; i++)
        for (int64_t j = 0; j < d; j++) {
            double want = 0;
            for (int64_t e = g.ptr[i]; e < g.ptr[i + 1]; e++)
                want += (weighted ? (double)w[e] : 1.0) * (double)x[g.src[e] * d + j];
            KCHECK(fabs(want - (double)y[i * d + j]) < 1e-4,
                   "spmm d=%d open=%d weighted=%d tile=%u type=%d: y[%d][%d] = %g, not %g", (int)d, open,
                   weighted, tile, in, (int)i, (int)j, (double)y[i * d + j], want);
        }
    float *first = malloc((size_t)(g.n * d + 1) * 4);
    memcpy(first, y, (size_t)(g.n * d) * 4);
    kh_run(h, kn, g.n, g.ptr, (kh_cut){7, 0, 0});
    KCHECK(memcmp(first, y, (size_t)(g.n * d) * 4) == 0, "spmm d=%d: other parts, other bits", (int)d);
    kh_run(h, kn, g.n, g.ptr, (kh_cut){11, 40, 16});
    memcpy(first, y, (size_t)(g.n * d) * 4);
    kh_run(h, kn, g.n, g.ptr, (kh_cut){32, 40, 16});
    KCHECK(memcmp(first, y, (size_t)(g.n * d) * 4) == 0, "spmm d=%d: other parts, other bits with hubs",
           (int)d);
    for (int64_t i = 0; i < g.n; i++)
        for (int64_t j = 0; j < d; j++) {
            double want = 0;
            for (int64_t e = g.ptr[i]; e < g.ptr[i + 1]; e++)
                want += (weighted ? (double)w[e] : 1.0) * (double)x[g.src[e] * d + j];
            KCHECK(fabs(want - (double)y[i * d + j]) < 1e-4,
                   "spmm d=%d open=%d tile=%u in pieces: y[%d][%d] = %g, not %g", (int)d, open, tile, (int)i,
                   (int)j, (double)y[i * d + j], want);
        }
    kh_close(h);
    free(x); free(w); free(y); free(first); free(half);
    kh_graph_free(&g);
}

/* Attention: s = leaky(as[src] + ad[row]) by head; online softmax with a rescale where the maximum moved. */
static void gat(int64_t heads, int64_t d, bool open)
{
    kh_graph g = kh_graph_make(61, 9);
    float *z = kh_floats((size_t)(g.n * heads * d), 1), *as = kh_floats((size_t)(g.n * heads), 2),
          *ad = kh_floats((size_t)(g.n * heads), 3);
    float *y = kh_floats((size_t)(g.n * heads * d), 4);
    for (int64_t i = 0; i < g.n * heads; i++)
        as[i] *= 8;
    khar *h = kh_open();
    kplan *p = h->p;
    kdim H = kh_dim(h, heads, open), D = kh_dim(h, d, open), HD = kdim_mul(p, H, D);
    uint32_t bz = kh_buffer(h, KT_F32, ROWS_SRC, HD, z), bas = kh_buffer(h, KT_F32, ROWS_SRC, H, as),
             bad = kh_buffer(h, KT_F32, ROWS_DST, H, ad);
    uint32_t bs = kh_buffer(h, KT_I32, ROWS_EDGES, kdim_int(1), g.src),
             by = kh_buffer(h, KT_F32, ROWS_DST, HD, y);
    kkernel k = {.name = "gat", .rows = {ROWS_DST, 0}, .fiber = {FIBER_IN, 0}, .tile = 1};
    uint32_t top = kkernel_add_local(p, &k, (klocal){SCOPE_ROW, KT_F32, H, false, true, "m"});
    uint32_t sum = kkernel_add_local(p, &k, (klocal){SCOPE_ROW, KT_F32, H, false, true, "l"});
    uint32_t acc = kkernel_add_local(p, &k, (klocal){SCOPE_ROW, KT_F32, HD, false, true, "a"});
    uint32_t sc = kkernel_add_local(p, &k, (klocal){SCOPE_MEMBER, KT_F32, H, false, false, "s"});
    uint32_t pr = kkernel_add_local(p, &k, (klocal){SCOPE_MEMBER, KT_F32, H, false, false, "p"});
#define L(q, v) kx_local(p, &k, q, v)
#define MAP2(op, a, b) kx_map(p, op, KT_F32, a, b, (kx){0})
#define MAP1(op, a) kx_map(p, op, KT_F32, a, (kx){0}, (kx){0})
    kx row = kx_row(p), mem = kx_member(p), src = kx_iload(p, bs, mem), none = {0};
    kx lowest = kx_num(p, KT_F32, -3.4028234e38), zero = kx_num(p, KT_F32, 0);
    kloop a[24];
    for (int i = 0; i < 24; i++)
        a[i] = kh_axis(&k, i % 2 ? D : H, false);
    kx hx[24];
    for (int i = 0; i < 24; i++)
        hx[i] = kx_var(p, a[i].var);
#define HK(i) kx_iadd(p, kx_imul(p, hx[i], kx_dimval(p, D)), hx[(i) + 1])
    knode *init[] = {
        kn_for(
            p, &a[0], 1,
            KH_LIST(kn_store(p, kref_local(top, hx[0]), lowest), kn_store(p, kref_local(sum, hx[0]), zero))),
        kn_for1(p, &a[2], 2, kn_store(p, kref_local(acc, HK(2)), zero)),
    };
    kx raw = MAP2(OP_ADD, kx_load(p, bas, src, hx[4], false), kx_load(p, bad, row, hx[4], false));
    kx leaky = kx_map(p, OP_WHERE, KT_F32, kx_map(p, OP_LT, KT_BOOL, zero, raw, none), raw,
                      MAP2(OP_MUL, raw, kx_num(p, KT_F32, 0.2)));
    knode *score = kn_for1(p, &a[4], 1, kn_store(p, kref_local(sc, hx[4]), leaky));
    /* rescale */
    kx scale6 = MAP1(OP_EXP, MAP2(OP_SUB, L(top, hx[6]), MAP2(OP_MAX, L(top, hx[6]), L(sc, hx[6]))));
    knode *moved[] = {
        kn_for(p, &a[6], 1,
               KH_LIST(kn_store(p, kref_local(pr, hx[6]), scale6),
                       kn_accum(p, OP_MUL, kref_local(sum, hx[6]), L(pr, hx[6])),
                       kn_accum(p, OP_MAX, kref_local(top, hx[6]), L(sc, hx[6])))),
        kn_for1(p, &a[8], 2, kn_accum(p, OP_MUL, kref_local(acc, HK(8)), L(pr, hx[8]))),
    };
    knode *rescale =
        kn_ifany(p, &a[10], 1, kx_map(p, OP_LT, KT_BOOL, L(top, hx[10]), L(sc, hx[10]), none), moved, 2);
    knode *weight = kn_for(p, &a[12], 1,
                           KH_LIST(kn_store(p, kref_local(pr, hx[12]),
                                            MAP1(OP_EXP, MAP2(OP_SUB, L(sc, hx[12]), L(top, hx[12])))),
                                   kn_accum(p, OP_ADD, kref_local(sum, hx[12]), L(pr, hx[12]))));
    knode *add = kn_for1(p, &a[14], 2,
                         kn_accum(p, OP_ADD, kref_local(acc, HK(14)),
                                  MAP2(OP_MUL, L(pr, hx[14]), kx_load(p, bz, src, HK(14), false))));
    /* combine: both sides to the greater maximum */
#define OTHER(q, v) kx_other(p, &k, q, v)
    kx big = MAP2(OP_MAX, L(top, hx[16]), OTHER(top, hx[16]));
    uint32_t f0 = kkernel_add_local(p, &k, (klocal){SCOPE_ROW, KT_F32, H, false, false, "f0"});
    uint32_t f1 = kkernel_add_local(p, &k, (klocal){SCOPE_ROW, KT_F32, H, false, false, "f1"});
    knode *comb[] = {
        kn_for(
            p, &a[16], 1,
            KH_LIST(kn_store(p, kref_local(f0, hx[16]), MAP1(OP_EXP, MAP2(OP_SUB, L(top, hx[16]), big))),
                    kn_store(p, kref_local(f1, hx[16]), MAP1(OP_EXP, MAP2(OP_SUB, OTHER(top, hx[16]), big))),
                    kn_store(p, kref_local(sum, hx[16]),
                             MAP2(OP_ADD, MAP2(OP_MUL, L(sum, hx[16]), L(f0, hx[16])),
                                  MAP2(OP_MUL, OTHER(sum, hx[16]), L(f1, hx[16])))),
                    kn_accum(p, OP_MAX, kref_local(top, hx[16]), OTHER(top, hx[16])))),
        kn_for1(p, &a[18], 2,
                kn_store(p, kref_local(acc, HK(18)),
                         MAP2(OP_ADD, MAP2(OP_MUL, L(acc, HK(18)), L(f0, hx[18])),
                              MAP2(OP_MUL, OTHER(acc, HK(18)), L(f1, hx[18]))))),
    };
    k.walk = kn_walk(p, init, 2, KH_LIST(score, rescale, weight, add), comb, 2);
    kn_prefetch(p, k.walk, bz, src, HD);
    kx total = L(sum, hx[20]);
    knode *out = kn_for1(p, &a[20], 2,
                         kn_store(p, kref_buffer(by, row, HK(20)),
                                  kx_map(p, OP_WHERE, KT_F32, kx_map(p, OP_LT, KT_BOOL, zero, total, none),
                                         MAP2(OP_DIV, L(acc, HK(20)), total), zero)));
    knode *rows = kn_rows(p, KH_LIST(k.walk, out));
    k.body = kn_seq(p, &rows, 1);
    uint32_t kn = kplan_add_kernel(p, k);
    kh_build(h);
    if (getenv("KH_TIME"))
        printf("gat %d x %d open=%d: %.1f ms\n", (int)heads, (int)d, open, h->build_ms);
    if (getenv("KH_PRINT") && !open && heads == 8)
        kh_print(h, getenv("KH_LLVM") ? MODULE_LLVM : getenv("KH_RAW") ? MODULE_LLVM_RAW : MODULE_ASM);

    for (int pass = 0; pass < 2; pass++) {
        kh_run(h, kn, g.n, g.ptr, pass ? (kh_cut){13, 40, 16} : whole);
        for (int64_t i = 0; i < g.n; i++)
            for (int64_t q = 0; q < heads; q++)
                for (int64_t j = 0; j < d; j++) {
                    double most = -1e300, l = 0, want = 0;
                    for (int64_t e = g.ptr[i]; e < g.ptr[i + 1]; e++) {
                        double s = (double)as[g.src[e] * heads + q] + (double)ad[i * heads + q];
                        s = s > 0 ? s : 0.2 * s;
                        most = s > most ? s : most;
                    }
                    for (int64_t e = g.ptr[i]; e < g.ptr[i + 1]; e++) {
                        double s = (double)as[g.src[e] * heads + q] + (double)ad[i * heads + q];
                        s = exp((s > 0 ? s : 0.2 * s) - most);
                        l += s;
                        want += s * (double)z[(g.src[e] * heads + q) * d + j];
                    }
                    want = l > 0 ? want / l : 0;
                    double got = (double)y[(i * heads + q) * d + j];
                    KCHECK(fabs(want - got) < 1e-5, "gat %dx%d open=%d pass %d: [%d][%d][%d] = %g, not %g",
                           (int)heads, (int)d, open, pass, (int)i, (int)q, (int)j, got, want);
                }
    }
    kh_close(h);
    free(z); free(as); free(ad); free(y);
    kh_graph_free(&g);
}

int main(int argc, char **argv)
{
    static const int64_t widths[] = {1, 2, 3, 8, 17, 19, 63, 64, 100, 256, 300};
    static const char *const cpus[] = {NULL, "x86-64-v3", "x86-64-v2"};
    for (int c = 0; c < (argc > 1 ? atoi(argv[1]) : 3); c++) {
        kh_arch = cpus[c];
        for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
            for (int open = 0; open < 2; open++) {
                spmm(widths[i], open, i % 2, 1, KT_F32);
                if (widths[i] <= 100)
                    spmm(widths[i], open, i % 2 == 0, 8, i % 3 == 0 ? KT_F16 : i % 3 == 1 ? KT_BF16 : KT_F32);
            }
        for (int open = 0; open < 2; open++) {
            gat(8, 8, open);
            gat(4, 32, open);
            gat(3, 5, open);
            gat(1, 17, open);
        }
    }
    printf(kh_failures ? "%d failures\n" : "ok\n", kh_failures);
    return kh_failures != 0;
}
