/* Kernels by row: how indices become addresses, reductions over axes, every operation, dropout. */
#include <math.h>
#include <string.h>

#include "compiler/ir/philox.h"
#include "compiler/ir/scalar.h"
#include "kernel_harness.h"

static const kh_cut whole = {1 << 30, 0, 0};
enum { N = 37 };
static const kx none = {0};

typedef struct one { khar *h; kplan *p; kkernel k; knode *body[16]; uint32_t n; } one;

static one open_one(void)
{
    one o = {.h = kh_open(), .k = {.name = "map", .rows = {ROWS_DST, 0}, .tile = 1}};
    o.p = o.h->p;
    return o;
}

static void run_one(one *o)
{
    knode *rows = kn_rows(o->p, o->body, o->n);
    o->k.body = kn_seq(o->p, &rows, 1);
    uint32_t k = kplan_add_kernel(o->p, o->k);
    kh_build(o->h);
    kh_run(o->h, k, N, NULL, whole);
}

static kx var(one *o, kloop l) { return kx_var(o->p, l.var); }

/* Slices, concatenation, transposes, reshapes by quotient and remainder, repeated axes. */
static void addresses(int64_t a, int64_t b, bool open)
{
    one o = open_one();
    kplan *p = o.p;
    kdim A = kh_dim(o.h, a, open), B = kh_dim(o.h, b, open), AB = kdim_mul(p, A, B), S = kdim_add(p, A, B);
    float *x = kh_floats((size_t)(N * a * b), 1), *u = kh_floats((size_t)(N * a), 2),
          *v = kh_floats((size_t)(N * b), 3);
    float *cat = kh_floats((size_t)(N * (a + b)), 4), *tr = kh_floats((size_t)(N * a * b), 5),
          *sh = kh_floats((size_t)(N * a * b), 6);
    float *outer = kh_floats((size_t)(N * a * b), 7);
    uint32_t bx = kh_buffer(o.h, KT_F32, ROWS_DST, AB, x), bu = kh_buffer(o.h, KT_F32, ROWS_DST, A, u),
             bv = kh_buffer(o.h, KT_F32, ROWS_DST, B, v);
    uint32_t bc = kh_buffer(o.h, KT_F32, ROWS_DST, S, cat), bt = kh_buffer(o.h, KT_F32, ROWS_DST, AB, tr),
             bs = kh_buffer(o.h, KT_F32, ROWS_DST, AB, sh);
    uint32_t bo = kh_buffer(o.h, KT_F32, ROWS_DST, AB, outer);
    kx row = kx_row(p), xa = kx_dimval(p, A), xb = kx_dimval(p, B);
    kloop l = kh_axis(&o.k, S, false);
    kx i = var(&o, l);
    kx left = kx_load(p, bu, row, i, false), right = kx_load(p, bv, row, kx_isub(p, i, xa), false);
    kx first = kx_map(p, OP_LT, KT_BOOL, i, xa, none);
    o.body[o.n++] = kn_for1(p, &l, 1, kn_store(p, kref_buffer(bc, row, i), kx_select(p, first, left, right)));
    kloop t[2] = {kh_axis(&o.k, B, false), kh_axis(&o.k, A, false)};
    kx j = var(&o, t[0]), k = var(&o, t[1]);
    o.body[o.n++] = kn_for1(p, t, 2, kn_store(p, kref_buffer(bt, row, kx_iadd(p, kx_imul(p, j, xa), k)),
                                              kx_load(p, bx, row, kx_iadd(p, kx_imul(p, k, xb), j), false)));
    /* element q of [a, b] as element (q div a, q mod a) of [b, a], transposed */
    kloop q = kh_axis(&o.k, AB, false);
    kx e = var(&o, q), at = kx_iadd(p, kx_imul(p, kx_imod(p, e, xa), xb), kx_idiv(p, e, xa));
    o.body[o.n++] = kn_for1(p, &q, 1, kn_store(p, kref_buffer(bs, row, e), kx_load(p, bx, row, at, false)));
    kloop w[2] = {kh_axis(&o.k, A, false), kh_axis(&o.k, B, false)};
    kx wi = var(&o, w[0]), wj = var(&o, w[1]);
    o.body[o.n++] = kn_for1(p, w, 2,
                            kn_store(p, kref_buffer(bo, row, kx_iadd(p, kx_imul(p, wi, xb), wj)),
                                     kx_map(p, OP_MUL, KT_F32, kx_load(p, bu, row, wi, false),
                                            kx_load(p, bv, row, wj, false), none)));
    run_one(&o);
    for (int64_t r = 0; r < N; r++) {
        for (int64_t c = 0; c < a + b; c++)
            KCHECK(cat[r * (a + b) + c] == (c < a ? u[r * a + c] : v[r * b + c - a]), "concat %d %d open=%d",
                   (int)a, (int)b, open);
        for (int64_t s = 0; s < a; s++)
            for (int64_t y = 0; y < b; y++) {
                KCHECK(tr[r * a * b + y * a + s] == x[r * a * b + s * b + y], "transpose %d %d open=%d",
                       (int)a, (int)b, open);
                KCHECK(sh[r * a * b + y * a + s] == x[r * a * b + s * b + y], "reshape %d %d open=%d", (int)a,
                       (int)b, open);
                KCHECK(outer[r * a * b + s * b + y] == u[r * a + s] * v[r * b + y], "outer %d %d open=%d",
                       (int)a, (int)b, open);
            }
    }
    kh_close(o.h);
    free(x); free(u); free(v); free(cat); free(tr); free(sh); free(outer);
}

/* Sums over either axis, of all, greatest elements, a matrix times a vector, all through locals. */
static void reductions(int64_t a, int64_t b, bool open)
{
    one o = open_one();
    kplan *p = o.p;
    kdim A = kh_dim(o.h, a, open), B = kh_dim(o.h, b, open), AB = kdim_mul(p, A, B), O = kdim_int(1);
    float *x = kh_floats((size_t)(N * a * b), 1), *w = kh_floats((size_t)(a * b), 2);
    float *rows = kh_floats((size_t)(N * a), 3), *cols = kh_floats((size_t)(N * b), 4),
          *rest = kh_floats(N * 4, 5), *mv = kh_floats((size_t)(N * a), 6);
    uint32_t bx = kh_buffer(o.h, KT_F32, ROWS_DST, AB, x), bw = kh_buffer(o.h, KT_F32, ROWS_ONE, AB, w),
             br = kh_buffer(o.h, KT_F32, ROWS_DST, A, rows);
    uint32_t bc = kh_buffer(o.h, KT_F32, ROWS_DST, B, cols),
             be = kh_buffer(o.h, KT_F32, ROWS_DST, kdim_int(4), rest),
             bm = kh_buffer(o.h, KT_F32, ROWS_DST, A, mv);
    uint32_t lr = kkernel_add_local(p, &o.k, (klocal){ SCOPE_ROW, KT_F32, A, false, false, "r" }),
             lc = kkernel_add_local(p, &o.k, (klocal){ SCOPE_ROW, KT_F32, B, false, false, "c" });
    uint32_t ls = kkernel_add_local(p, &o.k, (klocal){ SCOPE_ROW, KT_F32, O, false, false, "s" }),
             lm = kkernel_add_local(p, &o.k, (klocal){ SCOPE_ROW, KT_F32, O, false, false, "m" });
    uint32_t lb = kkernel_add_local(p, &o.k, (klocal){SCOPE_ROW, KT_BOOL, O, false, false, "any"});
    kx row = kx_row(p), zero = kx_int(p, 0), nought = kx_num(p, KT_F32, 0), xb = kx_dimval(p, B);
    kloop i0 = kh_axis(&o.k, A, false), c0 = kh_axis(&o.k, B, false);
    o.body[o.n++] = kn_for1(p, &i0, 1, kn_store(p, kref_local(lr, var(&o, i0)), nought));
    o.body[o.n++] = kn_for1(p, &c0, 1, kn_store(p, kref_local(lc, var(&o, c0)), nought));
    o.body[o.n++] = kn_store(p, kref_local(ls, zero), nought);
    o.body[o.n++] = kn_store(p, kref_local(lm, zero), kx_num(p, KT_F32, -INFINITY));
    o.body[o.n++] = kn_store(p, kref_local(lb, zero), kx_num(p, KT_BOOL, 0));
#define AT(l) kx_iadd(p, kx_imul(p, var(&o, l[0]), xb), var(&o, l[1]))
    kloop r1[2] = {kh_axis(&o.k, A, false), kh_axis(&o.k, B, true)};
    o.body[o.n++] = kn_for1(
        p, r1, 2, kn_accum(p, OP_ADD, kref_local(lr, var(&o, r1[0])), kx_load(p, bx, row, AT(r1), false)));
    kloop r2[2] = {kh_axis(&o.k, A, true), kh_axis(&o.k, B, false)};
    o.body[o.n++] = kn_for1(
        p, r2, 2, kn_accum(p, OP_ADD, kref_local(lc, var(&o, r2[1])), kx_load(p, bx, row, AT(r2), false)));
    kloop r3[2] = {kh_axis(&o.k, A, true), kh_axis(&o.k, B, true)};
    kx v3 = kx_load(p, bx, row, AT(r3), false);
    o.body[o.n++] = kn_for(p, r3, 2,
                           KH_LIST(kn_accum(p, OP_ADD, kref_local(ls, zero), v3),
                                   kn_accum(p, OP_MAX, kref_local(lm, zero), v3),
                                   kn_accum(p, OP_OR, kref_local(lb, zero),
                                            kx_map(p, OP_LT, KT_BOOL, kx_num(p, KT_F32, 0.95), v3, none))));
    /* mv[i] = sum over j of w[i, j] * cols[j] */
    kloop o1 = kh_axis(&o.k, A, false), o2 = kh_axis(&o.k, B, false), o3 = kh_axis(&o.k, A, false);
    kloop r4[2] = {kh_axis(&o.k, A, false), kh_axis(&o.k, B, true)};
    o.body[o.n++] = kn_for1(
        p, &o1, 1, kn_store(p, kref_buffer(br, row, var(&o, o1)), kx_local(p, &o.k, lr, var(&o, o1))));
    o.body[o.n++] = kn_for1(
        p, &o2, 1, kn_store(p, kref_buffer(bc, row, var(&o, o2)), kx_local(p, &o.k, lc, var(&o, o2))));
    o.body[o.n++] = kn_for1(p, &o3, 1, kn_store(p, kref_buffer(bm, row, var(&o, o3)), nought));
    o.body[o.n++] = kn_for1(p, r4, 2,
                            kn_accum(p, OP_ADD, kref_buffer(bm, row, var(&o, r4[0])),
                                     kx_map(p, OP_MUL, KT_F32, kx_load(p, bw, zero, AT(r4), false),
                                            kx_local(p, &o.k, lc, var(&o, r4[1])), none)));
    o.body[o.n++] = kn_store(p, kref_buffer(be, row, zero), kx_local(p, &o.k, ls, zero));
    o.body[o.n++] = kn_store(p, kref_buffer(be, row, kx_int(p, 1)), kx_local(p, &o.k, lm, zero));
    o.body[o.n++] =
        kn_store(p, kref_buffer(be, row, kx_int(p, 2)), kx_cast(p, KT_F32, kx_local(p, &o.k, lb, zero)));
    run_one(&o);
    for (int64_t r = 0; r < N; r++) {
        double all = 0, most = -INFINITY;
        const float *xr = x + r * a * b;
        for (int64_t i = 0; i < a; i++) {
            double s = 0, dot = 0;
            for (int64_t j = 0; j < b; j++) {
                double c = 0;
                for (int64_t k = 0; k < a; k++)
                    c += (double)xr[k * b + j];
                s += (double)xr[i * b + j];
                dot += (double)w[i * b + j] * c;
                most = (double)xr[i * b + j] > most ? (double)xr[i * b + j] : most;
                if (i == 0)
                    KCHECK(fabs(c - (double)cols[r * b + j]) < 1e-4,
                           "sum over axis 0, %d %d open=%d: %g not %g", (int)a, (int)b, open,
                           (double)cols[r * b + j], c);
            }
            all += s;
            KCHECK(fabs(s - (double)rows[r * a + i]) < 1e-4, "sum over axis 1, %d %d open=%d: %g not %g",
                   (int)a, (int)b, open, (double)rows[r * a + i], s);
            KCHECK(fabs(dot - (double)mv[r * a + i]) < 1e-3, "matrix times vector, %d %d open=%d: %g not %g",
                   (int)a, (int)b, open, (double)mv[r * a + i], dot);
        }
        KCHECK(fabs(all - (double)rest[r * 4]) < 1e-3, "sum of all, %d %d open=%d", (int)a, (int)b, open);
        KCHECK(most == (double)rest[r * 4 + 1], "greatest, %d %d open=%d", (int)a, (int)b, open);
        KCHECK((most > 0.95f) == (rest[r * 4 + 2] == 1), "any, %d %d open=%d", (int)a, (int)b, open);
    }
    kh_close(o.h);
    free(x); free(w); free(rows); free(cols); free(rest); free(mv);
}

/* Rows of a table by an index that may be none; adding back by it; the place of the greatest element. */
static void indices(int64_t d, bool open)
{
    enum { R = 5, I = 3 };
    one o = open_one();
    kplan *p = o.p;
    kdim D = kh_dim(o.h, d, open), RD = kdim_mul(p, kdim_int(R), D), ID = kdim_mul(p, kdim_int(I), D);
    float *E = kh_floats((size_t)(R * d), 1), *out = kh_floats((size_t)(N * I * d), 2),
          *back = kh_floats((size_t)(N * R * d), 3), *rows = kh_floats((size_t)(N * d), 4);
    int32_t idx[N * I], arg[N];
    uint64_t seed = 5;
    for (int i = 0; i < N * I; i++)
        idx[i] = (int32_t)(kh_random(&seed) * (R + 1)) - 1;
    uint32_t bE = kh_buffer(o.h, KT_F32, ROWS_ONE, RD, E),
             bi = kh_buffer(o.h, KT_I32, ROWS_DST, kdim_int(I), idx),
             bo = kh_buffer(o.h, KT_F32, ROWS_DST, ID, out);
    uint32_t bb = kh_buffer(o.h, KT_F32, ROWS_DST, RD, back), bT = kh_buffer(o.h, KT_F32, ROWS_DIM, D, E),
             br = kh_buffer(o.h, KT_F32, ROWS_DST, D, rows);
    uint32_t ba = kh_buffer(o.h, KT_I32, ROWS_DST, kdim_int(1), arg);
    uint32_t best =
        kkernel_add_local(p, &o.k, (klocal){ SCOPE_ROW, KT_F32, kdim_int(1), false, false, "best" });
    uint32_t where =
        kkernel_add_local(p, &o.k, (klocal){ SCOPE_ROW, KT_I64, kdim_int(1), false, false, "where" });
    kx row = kx_row(p), xd = kx_dimval(p, D), zero = kx_int(p, 0);
    kloop l[2] = {kh_axis(&o.k, kdim_int(I), false), kh_axis(&o.k, D, false)};
    kx i = var(&o, l[0]), j = var(&o, l[1]),
       id = kx_iload(p, bi, kx_iadd(p, kx_imul(p, row, kx_int(p, I)), i));
    o.body[o.n++] = kn_for1(p, l, 2, kn_store(p, kref_buffer(bo, row, kx_iadd(p, kx_imul(p, i, xd), j)),
                                              kx_load(p, bE, zero, kx_iadd(p, kx_imul(p, id, xd), j), true)));
    kloop z = kh_axis(&o.k, RD, false), m[2] = {kh_axis(&o.k, kdim_int(I), false), kh_axis(&o.k, D, false)};
    o.body[o.n++] = kn_for1(p, &z, 1, kn_store(p, kref_buffer(bb, row, var(&o, z)), kx_num(p, KT_F32, 0)));
    kx mi = var(&o, m[0]), mj = var(&o, m[1]),
       mid = kx_iload(p, bi, kx_iadd(p, kx_imul(p, row, kx_int(p, I)), mi));
    o.body[o.n++] = kn_for1(p, m, 2,
                            kn_accum(p, OP_ADD, kref_buffer(bb, row, kx_iadd(p, kx_imul(p, mid, xd), mj)),
                                     kx_load(p, bo, row, kx_iadd(p, kx_imul(p, mi, xd), mj), false)));
    kloop q = kh_axis(&o.k, D, false);
    kx first = kx_iload(p, bi, kx_imul(p, row, kx_int(p, I)));
    o.body[o.n++] = kn_for1(
        p, &q, 1, kn_store(p, kref_buffer(br, row, var(&o, q)), kx_load(p, bT, first, var(&o, q), true)));
    o.body[o.n++] = kn_store(p, kref_local(best, zero), kx_num(p, KT_F32, -INFINITY));
    o.body[o.n++] = kn_store(p, kref_local(where, zero), kx_int(p, -1));
    for (int c = 0; c < 2; c++) {           /* elements 0 and the last: a bucketed index, too */
        kx at = c ? kx_isub(p, xd, kx_int(p, 1)) : zero, v = kx_load(p, bo, row, at, false);
        kx better = kx_map(p, OP_LT, KT_BOOL, kx_local(p, &o.k, best, zero), v, none);
        o.body[o.n++] = kn_store(p, kref_local(where, zero),
                                 kx_isel(p, better,
                                         kx_bucket(p,
                                                   kx_map(p, OP_ADD, KT_F32, kx_from_int(p, KT_F32, at),
                                                          kx_num(p, KT_F32, 0.7), none),
                                                   xd),
                                         kx_idx(p, where, zero)));
        o.body[o.n++] = kn_accum(p, OP_MAX, kref_local(best, zero), v);
    }
    o.body[o.n++] = kn_store(p, kref_buffer(ba, row, zero), kx_idx(p, where, zero));
    run_one(&o);
    for (int r = 0; r < N; r++) {
        for (int k = 0; k < I; k++)
            for (int64_t c = 0; c < d; c++) {
                int32_t v = idx[r * I + k];
                KCHECK(out[(r * I + k) * d + c] == (v < 0 ? 0 : E[v * d + c]),
                       "lookup d=%d open=%d row %d index %d", (int)d, open, r, v);
                if (k == 0)
                    KCHECK(rows[r * d + c] == (v < 0 ? 0 : E[v * d + c]), "gather of none d=%d open=%d",
                           (int)d, open);
            }
        for (int s = 0; s < R; s++)
            for (int64_t c = 0; c < d; c++) {
                float want = 0;
                for (int k = 0; k < I; k++)
                    if (idx[r * I + k] == s)
                        want += E[s * d + c];
                KCHECK(back[(r * R + s) * d + c] == want, "unlookup d=%d open=%d", (int)d, open);
            }
        float f = out[r * I * d], g = out[r * I * d + d - 1];
        KCHECK(arg[r] == (g > f ? d - 1 : 0), "place of the greatest d=%d open=%d: %d", (int)d, open, arg[r]);
    }
    kh_close(o.h);
    free(E); free(out); free(back); free(rows);
}

/* Every element-wise operation, in f32 and f64, against the one definition in compiler/ir/scalar.h. */
static void operations(ktype t, int64_t d)
{
    for (int op = 0; op < OP_N; op++) {
        if (ir_ops[op].cls != CLS_EW || op == OP_CAST || op == OP_BUCKET || op == OP_DROPOUT || op == OP_HAS)
            continue;
        one o = open_one();
        kplan *p = o.p;
        size_t size = t == KT_F64 ? 8 : 4, total = (size_t)(N * d);
        double *in[3];
        void *data[3];
        kx arg[3] = {none, none, none};
        kloop l = kh_axis(&o.k, kdim_int(d), false);
        bool logic = op == OP_AND || op == OP_OR || op == OP_NOT;
        for (int i = 0; i < 3; i++) {
            uint64_t seed = 77 + (uint64_t)i;
            in[i] = malloc(total * 8);
            data[i] = malloc(total * 8);
            for (size_t q = 0; q < total; q++) {
                double v = kh_random(&seed) * 4 - (op == OP_LOG || op == OP_LOG1P || op == OP_POW || op == OP_RSQRT ? 0 : 2);
                if (q % 11 == 0)
                    v = 1;
                if (q % 53 == 0)
                    v = NAN;
                if (logic || (op == OP_WHERE && i == 0))
                    v = v > 0.5;
                in[i][q] = t == KT_F32 ? (double)(float)v : v;
                if (t == KT_F32)
                    ((float *)data[i])[q] = (float)v;
                else
                    ((double *)data[i])[q] = v;
            }
            if (i < ir_ops[op].nargs) {
                arg[i] = kx_load(p, kh_buffer(o.h, t, ROWS_DST, kdim_int(d), data[i]), kx_row(p), var(&o, l),
                                 false);
                if (logic || (op == OP_WHERE && i == 0))
                    arg[i] = kx_map(p, OP_LT, KT_BOOL, kx_num(p, t, 0.5), arg[i], none);
            }
        }
        void *out = calloc(total, 8);
        uint32_t bo = kh_buffer(o.h, t, ROWS_DST, kdim_int(d), out);
        bool truth = logic || op == OP_LT || op == OP_LE || op == OP_EQ || op == OP_NE;
        kx v = kx_map(p, (ir_op)op, truth ? KT_BOOL : t, arg[0], arg[1], arg[2]);
        o.body[o.n++] = kn_for1(
            p, &l, 1, kn_store(p, kref_buffer(bo, kx_row(p), var(&o, l)), truth ? kx_cast(p, t, v) : v));
        run_one(&o);
        for (size_t q = 0; q < total; q++) {
            double x[3] = { in[0][q], in[1][q], in[2][q] }, want = ir_scalar((ir_op)op, x),
                   got = size == 4 ? (double)((float *)out)[q] : ((double *)out)[q];
            double bound = fabs(want) * (t == KT_F32 ? 6e-7 : 2e-15) + (t == KT_F32 ? 1e-37 : 1e-300);
            KCHECK(isnan(want) ? isnan(got) : fabs(want - got) <= bound,
                   "%s of %s in %s: (%g, %g, %g) gives %.9g, not %.9g", ir_ops[op].text,
                   t == KT_F32 ? "f32" : "f64", kh_arch ? kh_arch : "native", x[0], x[1], x[2], got, want);
        }
        kh_close(o.h);
        for (int i = 0; i < 3; i++) {
            free(in[i]);
            free(data[i]);
        }
        free(out);
    }
}

/* dropout(x, 0.3) in a loop's step 4 */
static void dropout(int64_t d, bool open)
{
    one o = open_one();
    kplan *p = o.p;
    kdim D = kh_dim(o.h, d, open);
    o.h->seed = 0x123456789abcdef0u;
    o.h->training = 1;
    o.h->step[0] = 4;
    o.h->real[1] = 0.3;
    kplan_add_loop(p, (kloop_info){.name = "s", .limit = kdim_int(10)});
    float *x = kh_floats((size_t)(N * d), 1), *y = kh_floats((size_t)(N * d), 2);
    uint32_t bx = kh_buffer(o.h, KT_F32, ROWS_DST, D, x), by = kh_buffer(o.h, KT_F32, ROWS_DST, D, y);
    kloop l = kh_axis(&o.k, D, false);
    kx v = kx_load(p, bx, kx_row(p), var(&o, l), false), q = kx_realarg(p, KT_F32, 1);
    kx u = kx_random(p, kx_from_int(p, KT_F64, kx_step(p, 0)), kx_row(p), var(&o, l), 7);
    kx kept =
        kx_map(p, OP_WHERE, KT_F32, kx_map(p, OP_LE, KT_BOOL, q, u, none),
               kx_map(p, OP_DIV, KT_F32, v, kx_map(p, OP_SUB, KT_F32, kx_num(p, KT_F32, 1), q, none), none),
               kx_num(p, KT_F32, 0));
    o.body[o.n++] = kn_for1(
        p, &l, 1, kn_store(p, kref_buffer(by, kx_row(p), var(&o, l)), kx_select(p, kx_training(p), kept, v)));
    run_one(&o);
    int dropped = 0;
    for (int64_t r = 0; r < N; r++)
        for (int64_t c = 0; c < d; c++) {
            bool keep = dropout_keeps(o.h->seed, 7, 4, (uint64_t)r, (uint64_t)c, 0.3);
            dropped += !keep;
            KCHECK(fabsf(y[r * d + c] - (keep ? x[r * d + c] / 0.7f : 0)) < 1e-6f,
                   "dropout d=%d open=%d row %d element %d", (int)d, open, (int)r, (int)c);
        }
    KCHECK(dropped > 0, "dropout keeps everything");
    kh_close(o.h);
    free(x); free(y);
}

int main(void)
{
    static const char *const cpus[] = {NULL, "x86-64-v2"};
    for (int c = 0; c < 2; c++) {
        kh_arch = cpus[c];
        for (int open = 0; open < 2; open++) {
            addresses(3, 5, open);
            addresses(8, 8, open);
            addresses(1, 17, open);
            addresses(40, 23, open);
            reductions(3, 5, open);
            reductions(8, 8, open);
            reductions(17, 1, open);
            reductions(2, 63, open);
            reductions(4, 32, open);
            reductions(16, 2, open);
            reductions(2, 4, open);
            reductions(30, 33, open);
            indices(1, open);
            indices(16, open);
            indices(19, open);
            dropout(21, open);
        }
        operations(KT_F32, 19);
        operations(KT_F64, 19);
    }
    printf(kh_failures ? "%d failures\n" : "ok\n", kh_failures);
    return kh_failures != 0;
}
