/* Kernels by tiles and by blocks of members: dense products with what is fused around them. */
#include <math.h>
#include <string.h>

#include "kernel_harness.h"

static const kh_cut whole = {1 << 30, 0, 0};

/* y = relu(x W + b) over rows: W as [k, n], [n, k] or with both strides wide; `m` rows of x side by side, in
 * `batch`es; with groups, W by row. */
typedef struct dense_case { int64_t k, n, m, batch; int layout, groups; bool open, copy; } dense_case;

static void dense(dense_case c)
{
    enum { N = 43 };
    int64_t ae = c.batch * c.m * c.k, ce = c.batch * c.m * c.n, wide = c.layout == 2 ? 2 : 1,
            we = c.batch * c.k * c.n * wide;
    int groups = c.groups ? c.groups : 1;
    float *x = kh_floats((size_t)(N * ae), 1), *W = kh_floats((size_t)(we * groups), 2),
          *b = kh_floats((size_t)ce, 3), *y = kh_floats((size_t)(N * ce), 4);
    int32_t group[N];
    for (int i = 0; i < N; i++)
        group[i] = c.groups ? (i / 3) % (c.groups + 1) - 1 : 0;
    khar *h = kh_open();
    kplan *p = h->p;
    kdim K = kh_dim(h, c.k, c.open), NN = kh_dim(h, c.n, c.open), M = kdim_int(c.m), B = kdim_int(c.batch);
    kdim MK = kdim_mul(p, M, K), MN = kdim_mul(p, M, NN),
         KN = kdim_mul(p, kdim_mul(p, K, NN), kdim_int(wide));
    kdim AE = kdim_mul(p, B, MK), CE = kdim_mul(p, B, MN);
    uint32_t bx = kh_buffer(h, KT_F32, ROWS_DST, AE, x),
             bw = kh_buffer(h, KT_F32, ROWS_ONE, kdim_mul(p, KN, B), W);
    uint32_t bb = kh_buffer(h, KT_F32, ROWS_ONE, CE, b),
             bg = kh_buffer(h, KT_I32, ROWS_DST, kdim_int(1), group);
    uint32_t by = kh_buffer(h, KT_F32, ROWS_DST, CE, y);
    kkernel k = {.name = "dense", .rows = {ROWS_DST, 0}, .tile = 8};
    uint32_t a = kkernel_add_local(p, &k, (klocal){SCOPE_ROW, KT_F32, AE, true, false, "x"});
    uint32_t t = kkernel_add_local(p, &k, (klocal){SCOPE_ROW, KT_F32, CE, true, false, "t"});
    kloop l0 = kh_axis(&k, AE, false), l1 = kh_axis(&k, CE, false);
    kx one = kx_var(p, l1.var), zero = kx_int(p, 0);
    knode *load = kn_for1(
        p, &l0, 1,
        kn_store(p, kref_local(a, kx_var(p, l0.var)), kx_load(p, bx, kx_row(p), kx_var(p, l0.var), false)));
    knode *r0 = kn_rows(p, &load, 1);
    kgemm g = { .a_is_buffer = !c.copy,
                .a = c.copy ? a : bx,
                .b = bw,
                .c = t,
                .m = M,
                .n = NN,
                .k = K,
                .batch = B,
                .a_m = K,
                .a_k = kdim_int(1),
                .b_k = c.layout == 0   ? NN
                       : c.layout == 1 ? kdim_int(1)
                                       : kdim_mul(p, NN, kdim_int(2)),
                .b_n = c.layout == 0   ? kdim_int(1)
                       : c.layout == 1 ? K
                                       : kdim_int(2),
                .c_m = NN,
                .c_n = kdim_int(1),
                .a_batch = MK,
                .b_batch = KN,
                .c_batch = MN,
                .type = KT_F32,
                .a_offset = zero,
                .b_offset = zero,
                .c_offset = zero };
    if (c.groups) {
        g.group = kx_iload(p, bg, kx_row(p));
        g.b_group = kdim_mul(p, KN, B);
    }
    knode *prod = kn_gemm(p, g);
    kx v = kx_map(p, OP_ADD, KT_F32, kx_local(p, &k, t, one), kx_load(p, bb, zero, one, false), (kx){0});
    knode *out = kn_for1(
        p, &l1, 1,
        kn_store(p, kref_buffer(by, kx_row(p), one), kx_map(p, OP_RELU, KT_F32, v, (kx){ 0 }, (kx){ 0 })));
    knode *r1 = kn_rows(p, &out, 1);
    k.body = c.copy ? kn_seq(p, KH_LIST(r0, prod, r1)) : kn_seq(p, KH_LIST(prod, r1));
    uint32_t kn = kplan_add_kernel(p, k);
    kh_build(h);
    for (int pass = 0; pass < 2; pass++) {
        kh_run(h, kn, N, NULL, pass ? (kh_cut){5, 0, 0} : whole);
        for (int64_t i = 0; i < N; i++)
            for (int64_t q = 0; q < c.batch; q++)
                for (int64_t s = 0; s < c.m; s++)
                    for (int64_t j = 0; j < c.n; j++) {
                        double want = (double)b[(q * c.m + s) * c.n + j];
                        for (int64_t kk = 0; kk < c.k && group[i] >= 0; kk++) {
                            int64_t at = c.layout == 0   ? kk * c.n + j
                                         : c.layout == 1 ? j * c.k + kk
                                                         : (kk * c.n + j) * 2;
                            want += (double)x[i * ae + (q * c.m + s) * c.k + kk]
                                    * (double)W[group[i] * we + q * c.k * c.n * wide + at];
                        }
                        want = want > 0 ? want : 0;
                        double got = (double)y[i * ce + (q * c.m + s) * c.n + j];
                        KCHECK(fabs(want - got) < 1e-4,
                               "dense k=%d n=%d m=%d batch=%d layout=%d groups=%d open=%d copy=%d: "
                               "[%d][%d][%d][%d] = %g, not %g",
                               (int)c.k, (int)c.n, (int)c.m, (int)c.batch, c.layout, c.groups, c.open, c.copy,
                               (int)i, (int)q, (int)s, (int)j, got, want);
                    }
    }
    kh_close(h);
    free(x); free(W); free(b); free(y);
}

/* y[i] = max over members of relu(u[src] + v[i]) W + b; max over nothing is 0. Also stores the hidden row of
 * each member. */
static void edge_mlp(int64_t d, int64_t n, bool open, uint32_t tile, uint32_t block)
{
    kh_graph g = kh_graph_make(59, 21);
    float *u = kh_floats((size_t)(g.n * d), 1), *v = kh_floats((size_t)(g.n * d), 2),
          *W = kh_floats((size_t)(d * n), 3), *b = kh_floats((size_t)n, 4);
    float *y = kh_floats((size_t)(g.n * n), 5), *eo = kh_floats((size_t)(g.m * n), 6);
    khar *h = kh_open();
    kplan *p = h->p;
    kdim D = kh_dim(h, d, open), NN = kh_dim(h, n, open), one = kdim_int(1);
    uint32_t bu = kh_buffer(h, KT_F32, ROWS_SRC, D, u), bv = kh_buffer(h, KT_F32, ROWS_DST, D, v),
             bw = kh_buffer(h, KT_F32, ROWS_ONE, kdim_mul(p, D, NN), W);
    uint32_t bb = kh_buffer(h, KT_F32, ROWS_ONE, NN, b), bs = kh_buffer(h, KT_I32, ROWS_EDGES, one, g.src);
    uint32_t by = kh_buffer(h, KT_F32, ROWS_DST, NN, y), be = kh_buffer(h, KT_F32, ROWS_EDGES, NN, eo);
    kkernel k = {.name = "mlp", .rows = {ROWS_DST, 0}, .fiber = {FIBER_IN, 0}, .tile = tile};
    uint32_t acc = kkernel_add_local(p, &k, (klocal){SCOPE_ROW, KT_F32, NN, true, true, "acc"});
    uint32_t cnt = kkernel_add_local(p, &k, (klocal){SCOPE_ROW, KT_I64, one, true, true, "count"});
    uint32_t hid = kkernel_add_local(p, &k, (klocal){SCOPE_MEMBER, KT_F32, D, true, false, "hidden"});
    uint32_t res = kkernel_add_local(p, &k, (klocal){SCOPE_MEMBER, KT_F32, NN, true, false, "res"});
    kloop l[8];
    kx x[8];
    for (int i = 0; i < 8; i++) {
        l[i] = kh_axis(&k, i == 1 ? D : NN, false);
        x[i] = kx_var(p, l[i].var);
    }
    kx zero = kx_int(p, 0), none = {0}, m = kx_member(p), row = kx_row(p);
    knode *init[] = { kn_for1(p, &l[0], 1, kn_store(p, kref_local(acc, x[0]), kx_num(p, KT_F32, -INFINITY))),
                      kn_store(p, kref_local(cnt, zero), zero) };
    kx sum = kx_map(p, OP_ADD, KT_F32, kx_load(p, bu, kx_iload(p, bs, m), x[1], false),
                    kx_load(p, bv, row, x[1], false), none);
    knode *hidden =
        kn_for1(p, &l[1], 1, kn_store(p, kref_local(hid, x[1]), kx_map(p, OP_RELU, KT_F32, sum, none, none)));
    kgemm gm = { .a = hid,
                 .b = bw,
                 .c = res,
                 .m = one,
                 .n = NN,
                 .k = D,
                 .batch = one,
                 .a_m = D,
                 .a_k = one,
                 .b_k = NN,
                 .b_n = one,
                 .c_m = NN,
                 .c_n = one,
                 .a_batch = D,
                 .b_batch = one,
                 .c_batch = NN,
                 .type = KT_F32,
                 .a_offset = zero,
                 .b_offset = zero,
                 .c_offset = zero };
    kx val = kx_map(p, OP_ADD, KT_F32, kx_local(p, &k, res, x[2]), kx_load(p, bb, zero, x[2], false), none);
    knode *use[] = { kn_for(p, &l[2], 1,
                            KH_LIST(kn_store(p, kref_buffer(be, m, x[2]), val),
                                    kn_accum(p, OP_MAX, kref_local(acc, x[2]), val))),
                     kn_accum(p, OP_ADD, kref_local(cnt, zero), kx_int(p, 1)) };
    knode *body[] = {kn_members(p, &hidden, 1), kn_gemm(p, gm), kn_members(p, use, 2)};
    knode *comb[] = { kn_for1(p, &l[3], 1,
                              kn_accum(p, OP_MAX, kref_local(acc, x[3]), kx_other(p, &k, acc, x[3]))),
                      kn_accum(p, OP_ADD, kref_local(cnt, zero), kx_other(p, &k, cnt, zero)) };
    kn_prefetch(p, body[0], bu, kx_iload(p, bs, m), D);
    k.walk = kn_blocks(p, block, init, 2, body, 3, comb, 2);
    kx any = kx_map(p, OP_LT, KT_BOOL, zero, kx_idx(p, cnt, zero), none);
    knode *out =
        kn_for1(p, &l[4], 1,
                kn_store(p, kref_buffer(by, row, x[4]),
                         kx_map(p, OP_WHERE, KT_F32, any, kx_local(p, &k, acc, x[4]), kx_num(p, KT_F32, 0))));
    knode *rows = kn_rows(p, &out, 1);
    k.body = kn_seq(p, KH_LIST(k.walk, rows));
    uint32_t kn = kplan_add_kernel(p, k);
    kh_build(h);
    if (getenv("KH_TIME"))
        printf("mlp %d %d open=%d: %.1f ms\n", (int)d, (int)n, open, h->build_ms);
    for (int pass = 0; pass < 3; pass++) {
        memset(eo, 0, (size_t)(g.m * n) * 4);
        kh_run(h, kn, g.n, g.ptr, pass == 0 ? whole : pass == 1 ? (kh_cut){9, 0, 0} : (kh_cut){13, 40, 37});
        for (int64_t i = 0; i < g.n; i++)
            for (int64_t j = 0; j < n; j++) {
                double most = g.ptr[i] == g.ptr[i + 1] ? 0 : -INFINITY;
                for (int64_t e = g.ptr[i]; e < g.ptr[i + 1]; e++) {
                    double r = (double)b[j];
                    for (int64_t q = 0; q < d; q++) {
                        double a = (double)u[g.src[e] * d + q] + (double)v[i * d + q];
                        r += (a > 0 ? a : 0) * (double)W[q * n + j];
                    }
                    most = r > most ? r : most;
                    KCHECK(fabs(r - (double)eo[e * n + j]) < 1e-4,
                           "mlp %d %d open=%d pass %d: edge %d[%d] = %g, not %g", (int)d, (int)n, open, pass,
                           (int)e, (int)j, (double)eo[e * n + j], r);
                }
                KCHECK(fabs(most - (double)y[i * n + j]) < 1e-4,
                       "mlp %d %d open=%d pass %d: %d[%d] = %g, not %g", (int)d, (int)n, open, pass, (int)i,
                       (int)j, (double)y[i * n + j], most);
            }
    }
    kh_close(h);
    free(u); free(v); free(W); free(b); free(y); free(eo);
    kh_graph_free(&g);
}

int main(void)
{
    static const char *const cpus[] = {NULL, "x86-64-v2"};
    for (int c = 0; c < 2; c++) {
        kh_arch = cpus[c];
        for (int open = 0; open < 2; open++) {
            dense((dense_case){.k = 17, .n = 63, .m = 1, .batch = 1, .open = open});
            dense((dense_case){.k = 64, .n = 8, .m = 1, .batch = 1, .layout = 1, .open = open, .copy = true});
            dense((dense_case){.k = 5, .n = 3, .m = 1, .batch = 1, .layout = 2, .open = open});
            dense((dense_case){.k = 7, .n = 16, .m = 1, .batch = 3, .open = open, .copy = true});
            dense((dense_case){.k = 9, .n = 12, .m = 4, .batch = 1, .open = open});
            dense((dense_case){.k = 9, .n = 12, .m = 2, .batch = 2, .layout = 1, .open = open, .copy = true});
            dense((dense_case){.k = 16, .n = 17, .m = 1, .batch = 1, .groups = 3, .open = open});
            dense((dense_case){
                .k = 1, .n = 1, .m = 1, .batch = 2, .groups = 2, .layout = 1, .open = open, .copy = true });
            edge_mlp(16, 24, open, 8, 32);
            edge_mlp(3, 17, open, 16, 128);
            edge_mlp(33, 1, open, 1, 7);
        }
    }
    printf(kh_failures ? "%d failures\n" : "ok\n", kh_failures);
    return kh_failures != 0;
}
