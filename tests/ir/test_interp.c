/* The oracle against layers computed by hand, in loops written apart from it. */
#include "tests/ir/fixture.h"
#include "compiler/ir/philox.h"
#include "compiler/ir/scalar.h"

#include <math.h>
#include <stdlib.h>

static double leaky(double a) { return a > 0 ? a : 0.2 * a; }

static ir_val leaky_relu(ir_layer *l, ir_val a)
{
    ir_val zero = ir_like(l, a, 0);
    return ir_where(l, ir_lt(l, zero, a), a, ir_mul(l, a, ir_like(l, a, 0.2)));
}

/* g = sum over edges of softmax(leaky_relu(a.z_src + b.z_dst)) z_src, once in one operation, once in three. */
static void gat(void)
{
    enum { N = 6, IN = 3, H = 2, O = 2 };
    fixture f;
    fixture_open(&f);
    ir_layer *l = f.l;
    dim in = fixture_dim(&f, "in", IN), heads = fixture_dim(&f, "heads", H), out = fixture_dim(&f, "out", O);
    fixture_random_graph(&f, N, N, 17);
    ir_val x = fixture_input(&f, "x", ir_dom_src(l), T_F64, shape_of(&f, 1, in));
    ir_val W = fixture_input(&f, "W", ir_dom_unit(), T_F64, shape_of(&f, 3, in, heads, out));
    ir_val a = fixture_input(&f, "a", ir_dom_unit(), T_F64, shape_of(&f, 2, heads, out));
    ir_val b = fixture_input(&f, "b", ir_dom_unit(), T_F64, shape_of(&f, 2, heads, out));
    const double *vx = fixture_fill(&f, x, N * IN), *vW = fixture_fill(&f, W, IN * H * O);
    const double *va = fixture_fill(&f, a, H * O), *vb = fixture_fill(&f, b, H * O);

    ir_val z = ir_matmul(l, x, W);
    ir_val za = ir_reduce(l, OP_RSUM, ir_mul(l, z, a), -1), zb = ir_reduce(l, OP_RSUM, ir_mul(l, z, b), -1);
    ir_val s = leaky_relu(l, ir_add(l, ir_gather(l, za, ir_map_src(l)), ir_gather(l, zb, ir_map_dst_src(l))));
    ir_val zs = ir_gather(l, z, ir_map_src(l)), soft = ir_softmax(l, s, ir_map_dst(l));
    fixture_output(&f, "g", ir_agg(l, OP_AGG_SUM, ir_mul(l, ir_expand(l, soft, -1), zs), ir_map_dst(l)));
    fixture_output(&f, "h", ir_softsum(l, s, zs, ir_map_dst(l)));
    if (fixture_run(&f)) {
        double vz[N][H][O] = {{{0}}}, want[N][H][O] = {{{0}}};
        for (int i = 0; i < N; i++)
            for (int c = 0; c < IN; c++)
                for (int j = 0; j < H * O; j++)
                    (&vz[i][0][0])[j] += vx[i * IN + c] * vW[c * H * O + j];
        for (int i = 0; i < N; i++) {
            for (int h = 0; h < H; h++) {
                double total = 0;
                for (int e = 0; e < f.graph.n_edges; e++) {
                    if (f.graph.dst[e] != i)
                        continue;
                    double score = 0;
                    for (int o = 0; o < O; o++)
                        score += va[h * O + o] * vz[f.graph.src[e]][h][o] + vb[h * O + o] * vz[i][h][o];
                    double w = exp(leaky(score));
                    total += w;
                    for (int o = 0; o < O; o++)
                        want[i][h][o] += w * vz[f.graph.src[e]][h][o];
                }
                for (int o = 0; o < O && total > 0; o++)
                    want[i][h][o] /= total;
            }
        }
        CHECK_NEAR(fixture_out(&f, 0), &want[0][0][0], N * H * O, 1e-12);
        CHECK_NEAR(fixture_out(&f, 1), &want[0][0][0], N * H * O, 1e-12);
    }
    fixture_close(&f);
}

/* The mean by relation, through pairs that occur and through a table of all of them. */
static void rgcn(void)
{
    enum { N = 5, D = 2, O = 3, R = 4, E = 23 };
    fixture f;
    fixture_open(&f);
    ir_layer *l = f.l;
    dim d = fixture_dim(&f, "d", D), out = fixture_dim(&f, "out", O), rels = fixture_dim(&f, "R", R);
    fixture_random_graph(&f, N, N, E);
    ir_val x = fixture_input(&f, "x", ir_dom_src(l), T_F64, shape_of(&f, 1, d));
    ir_val W = fixture_input(&f, "W", ir_dom_unit(), T_F64, shape_of(&f, 3, rels, d, out));
    ir_val rel = fixture_index(&f, "rel", ir_dom_edge(l), rels, true);
    const double *vx = fixture_fill(&f, x, N * D), *vW = fixture_fill(&f, W, R * D * O);
    double vr[E];
    for (int e = 0; e < E; e++)
        vr[e] = e % 7 == 3 ? -1 : e * e % 3;    /* relation 2 never occurs */
    fixture_give(&f, rel, vr, E);

    ir_val pairs = ir_map_pair(l, rel, ir_map_dst(l));
    ir_val sum = ir_agg(l, OP_AGG_SUM, ir_gather(l, x, ir_map_src(l)), pairs);
    ir_val mean = ir_div(l, sum, ir_count(l, T_F64, pairs));
    fixture_output(&f, "g", ir_einsum_(l, ir_spread(l, mean, pairs), W, "ri,rio->o"));
    ir_val Wr = ir_gather(l, ir_rows(l, W), ir_map_second(l, pairs));
    fixture_output(&f, "h", ir_agg(l, OP_AGG_SUM, ir_matmul(l, mean, Wr), ir_map_first(l, pairs)));
    if (fixture_run(&f)) {
        double want[N][O] = {{0}};
        for (int i = 0; i < N; i++) {
            for (int r = 0; r < R; r++) {
                double m[D] = {0};
                int n = 0;
                for (int e = 0; e < E; e++) {
                    if (f.graph.dst[e] != i || vr[e] != r)
                        continue;
                    n++;
                    for (int c = 0; c < D; c++)
                        m[c] += vx[f.graph.src[e] * D + c];
                }
                for (int c = 0; c < D && n; c++)
                    for (int o = 0; o < O; o++)
                        want[i][o] += m[c] / n * vW[(r * D + c) * O + o];
            }
        }
        CHECK_NEAR(fixture_out(&f, 0), &want[0][0], N * O, 1e-13);
        CHECK_NEAR(fixture_out(&f, 1), &want[0][0], N * O, 1e-13);
    }
    fixture_close(&f);
}

/* Sum, mean, max, min, product, variance: on a block, with values far from 0, an isolated node and a NaN. */
static void aggregates(void)
{
    fixture f;
    fixture_open(&f);
    ir_layer *l = f.l;
    fixture_graph(&f, 5, 3, "0>0 1>0 4>0 2>2 2>2 3>2");
    ir_val x = fixture_input(&f, "x", ir_dom_src(l), T_F64, (ir_shape){0});
    fixture_give(&f, x, (double[]){1e6 + 1, 1e6 + 2, 5, NAN, 1e6 + 6}, 5);
    ir_val m = ir_gather(l, x, ir_map_src(l)), to = ir_map_dst(l);
    static const ir_op ops[] = {OP_AGG_SUM, OP_AGG_MAX, OP_AGG_MIN, OP_AGG_PROD, OP_AGG_VAR, OP_AGG_ARGMAX, OP_AGG_ARGMIN};
    static const double want[][3] = {{3e6 + 9, 0, NAN}, {1e6 + 6, 0, NAN}, {1e6 + 1, 0, NAN}, {0, 1, NAN}, {14.0 / 3, 0, NAN},
                                     {2, -1, 2}, {0, -1, 2}};
    for (size_t k = 0; k < sizeof ops / sizeof *ops; k++)
        fixture_output(&f, "o", ir_agg(l, ops[k], m, to));
    fixture_output(&f, "n", ir_count(l, T_F64, to));
    fixture_output(&f, "d", ir_in_degree(l, T_F64));
    fixture_output(&f, "p", ir_position(l, to));
    ir_output_add(l, "rows", ir_neg(l, x), ir_dom_dst(l), (span){0});
    if (fixture_run(&f)) {
        for (uint32_t k = 0; k < sizeof ops / sizeof *ops; k++) {
            double w[3];
            memcpy(w, want[k], sizeof w);
            if (ops[k] == OP_AGG_PROD)
                w[0] = (1e6 + 1) * (1e6 + 2) * (1e6 + 6);
            CHECK_NEAR(fixture_out(&f, k), w, 3, 1e-9);
        }
        CHECK_NEAR(fixture_out(&f, 7), ((double[]){3, 0, 3}), 3, 0);
        CHECK_NEAR(fixture_out(&f, 8), ((double[]){3, 0, 3, 0, 0}), 5, 0);
        CHECK_NEAR(fixture_out(&f, 9), ((double[]){0, 1, 2, 0, 1, 2}), 6, 0);
        CHECK(f.result.outputs[10].rows == 3 && f.result.outputs[10].n == 3);
    }
    f.graph.degrees = (int64_t[]){9, 8, 7, 6, 5};
    if (fixture_run(&f))
        CHECK_NEAR(fixture_out(&f, 8), ((double[]){9, 8, 7, 6, 5}), 5, 0);
    fixture_close(&f);
}

/* Softmax over the outgoing edges; a group that is all -inf, one with +inf, large numbers. */
static void softmax(void)
{
    fixture f;
    fixture_open(&f);
    ir_layer *l = f.l;
    fixture_graph(&f, 4, 4, "0>1 0>2 1>0 1>1 2>3 2>2 0>0");
    ir_val s = fixture_input(&f, "s", ir_dom_edge(l), T_F64, (ir_shape){0});
    fixture_give(&f, s, (double[]){1000, 1000 + log(2), -INFINITY, -INFINITY, INFINITY, 0, 1000}, 7);
    fixture_output(&f, "p", ir_softmax(l, s, ir_map_src(l)));
    fixture_output(&f, "n", ir_agg(l, OP_AGG_EXPSUM, s, ir_map_src(l)));
    if (fixture_run(&f)) {
        CHECK_NEAR(fixture_out(&f, 0), ((double[]){0.25, 0.5, NAN, NAN, NAN, NAN, 0.25}), 7, 1e-12);
        CHECK_NEAR(fixture_out(&f, 1), ((double[]){2, NAN, NAN, 0}), 4, 1e-12);
    }
    fixture_close(&f);
}

/* Batches: nodes and edges to their graphs, and graphs to all. */
static void readout(void)
{
    fixture f;
    fixture_open(&f);
    ir_layer *l = f.l;
    fixture_graph(&f, 5, 5, "0>1 1>0 3>4");
    f.graph.graph_ptr = (int64_t[]){0, 2, 2, 5};
    f.graph.n_graphs = 3;
    ir_val x = fixture_input(&f, "x", ir_dom_src(l), T_F64, (ir_shape){0});
    fixture_give(&f, x, (double[]){1, 2, 4, 8, 16}, 5);
    ir_val sum = ir_agg(l, OP_AGG_SUM, x, ir_map_graph(l, ir_dom_src(l)));
    fixture_output(&f, "r", sum);
    fixture_output(&f, "e", ir_gather(l, sum, ir_map_graph(l, ir_dom_edge(l))));
    fixture_output(&f, "n", ir_count(l, T_F64, ir_map_graph(l, ir_dom_dst(l))));
    fixture_output(&f, "m", ir_agg(l, OP_AGG_MAX, sum, ir_map_unit(l, ir_dom_graph(l))));
    if (fixture_run(&f)) {
        CHECK_NEAR(fixture_out(&f, 0), ((double[]){3, 0, 28}), 3, 0);
        CHECK_NEAR(fixture_out(&f, 1), ((double[]){3, 3, 28}), 3, 0);
        CHECK_NEAR(fixture_out(&f, 2), ((double[]){2, 0, 3}), 3, 0);
        CHECK_NEAR(fixture_out(&f, 3), ((double[]){28}), 1, 0);
    }
    fixture_close(&f);
}

/* A lookup by none is 0, along an axis and along a map; its adjoint leaves it out. */
static void lookups(void)
{
    fixture f;
    fixture_open(&f);
    ir_layer *l = f.l;
    dim R = fixture_dim(&f, "R", 3), two = dim_const(f.dims, 2);
    fixture_graph(&f, 4, 4, "");
    ir_val W = fixture_input(&f, "W", ir_dom_unit(), T_F64, shape_of(&f, 2, R, two));
    ir_val i = fixture_index(&f, "i", ir_dom_src(l), R, true);
    fixture_give(&f, W, (double[]){1, 2, 3, 4, 5, 6}, 6);
    fixture_give(&f, i, (double[]){2, -1, 0, 2}, 4);
    ir_val rows = ir_lookup(l, W, i);
    fixture_output(&f, "a", rows);
    fixture_output(&f, "b", ir_gather(l, ir_rows(l, W), ir_map_index(l, i)));
    fixture_output(&f, "c", ir_agg(l, OP_AGG_SUM, ir_unlookup(l, rows, i), ir_map_unit(l, ir_dom_src(l))));
    fixture_output(&f, "d", ir_unrows(l, ir_agg(l, OP_AGG_SUM, rows, ir_map_index(l, i))));
    fixture_output(&f, "e", ir_gather(l, ir_const(l, T_F64, 7), ir_map_index(l, i)));
    fixture_output(&f, "h", ir_ew1(l, OP_HAS, i));
    static const double want[] = {5, 6, 0, 0, 1, 2, 5, 6}, sums[] = {1, 2, 0, 0, 10, 12};
    if (fixture_run(&f)) {
        CHECK_NEAR(fixture_out(&f, 0), want, 8, 0);
        CHECK_NEAR(fixture_out(&f, 1), want, 8, 0);
        CHECK_NEAR(fixture_out(&f, 2), sums, 6, 0);
        CHECK_NEAR(fixture_out(&f, 3), sums, 6, 0);
        CHECK_NEAR(fixture_out(&f, 4), ((double[]){7, 0, 7, 7}), 4, 0);
        CHECK_NEAR(fixture_out(&f, 5), ((double[]){1, 0, 1, 1}), 4, 0);
    }
    fixture_give(&f, i, (double[]){2, -1, 3, 2}, 4);
    interp_free(&f.result);
    CHECK(!interp_run(l, &f.call, &f.result));
    CHECK(strstr(f.result.why, "\"i\": element 2 is 3") != NULL);
    fixture_close(&f);
}

/* Shapes: each against indices written out. */
static void shapes(void)
{
    fixture f;
    fixture_open(&f);
    ir_layer *l = f.l;
    dim two = dim_const(f.dims, 2), three = dim_const(f.dims, 3), n = fixture_dim(&f, "n", 2);
    fixture_graph(&f, 1, 1, "");
    ir_val x = fixture_input(&f, "x", ir_dom_unit(), T_F64, shape_of(&f, 2, n, three));
    ir_val y = fixture_input(&f, "y", ir_dom_unit(), T_F64, shape_of(&f, 1, n));
    fixture_give(&f, x, (double[]){1, 2, 3, 4, 5, NAN}, 6);
    fixture_give(&f, y, (double[]){10, 100}, 2);
    ir_shape wide = shape_of(&f, 3, two, n, three);
    fixture_output(&f, "t", ir_transpose(l, x, (uint8_t[]){1, 0}));
    fixture_output(&f, "s", ir_slice(l, x, 1, dim_const(f.dims, 1), two));
    fixture_output(&f, "b", ir_broadcast(l, ir_expand(l, y, 1), ir_dom_unit(), &wide));
    fixture_output(&f, "c", ir_concat(l, (ir_val[]){x, ir_expand(l, y, 1)}, 2, 1));
    fixture_output(&f, "m", ir_reduce(l, OP_RMAX, x, 1));
    fixture_output(&f, "r", ir_reduce(l, OP_RSUM, x, 0));
    fixture_output(&f, "o", ir_einsum_(l, y, x, "a,ac->ca"));
    fixture_output(&f, "e", ir_einsum_(l, y, x, "a,bc->ac"));
    fixture_output(&f, "k", ir_contract(l, y, x, &(ir_einsum){.na = 1, .nb = 2, .nout = 1, .a = {0}, .b = {0, 1}, .out = {1}}));
    if (fixture_run(&f)) {
        CHECK_NEAR(fixture_out(&f, 0), ((double[]){1, 4, 2, 5, 3, NAN}), 6, 0);
        CHECK_NEAR(fixture_out(&f, 1), ((double[]){2, 3, 5, NAN}), 4, 0);
        CHECK_NEAR(fixture_out(&f, 2), ((double[]){10, 10, 10, 100, 100, 100, 10, 10, 10, 100, 100, 100}), 12, 0);
        CHECK_NEAR(fixture_out(&f, 3), ((double[]){1, 2, 3, 10, 4, 5, NAN, 100}), 8, 0);
        CHECK_NEAR(fixture_out(&f, 4), ((double[]){3, NAN}), 2, 0);
        CHECK_NEAR(fixture_out(&f, 5), ((double[]){5, 7, NAN}), 3, 0);
        CHECK_NEAR(fixture_out(&f, 6), ((double[]){10, 400, 20, 500, 30, NAN}), 6, 0);
        CHECK_NEAR(fixture_out(&f, 7), ((double[]){50, 70, NAN, 500, 700, NAN}), 6, 0);
        CHECK_NEAR(fixture_out(&f, 8), ((double[]){410, 520, NAN}), 3, 0);
    }
    fixture_close(&f);
}

static void rounding(void)
{
    CHECK(ir_round(1 + 0x1p-11, T_F16) == 1 && ir_round(1 + 3 * 0x1p-11, T_F16) == 1 + 0x1p-9);
    CHECK(ir_round(65519, T_F16) == 65504 && isinf(ir_round(65520, T_F16)));
    CHECK(ir_round(0x1p-24, T_F16) == 0x1p-24 && ir_round(0x1p-25, T_F16) == 0 && ir_round(0x1.8p-24, T_F16) == 0x1p-23);
    CHECK(ir_round(1 + 0x1p-8, T_BF16) == 1 && ir_round(1 + 0x1.8p-8, T_BF16) == 1 + 0x1p-7);
    CHECK(ir_round(0x1.fep127, T_BF16) == 0x1.fep127 && isinf(ir_round(0x1.ffp127, T_BF16)));
    CHECK(ir_round_other(1 + 0x1p-26, T_F32) == 1 + 0x1p-23 && ir_round_other(1 - 0x1p-30, T_F32) == 1 - 0x1p-24);
    CHECK(ir_round_other(0.25, T_F32) == 0.25 && ir_round_other(1 + 0x1p-12, T_F16) == 1 + 0x1p-10 && ir_round_other(-0x1p-150, T_F32) == -0x1p-149);
    CHECK(ir_round(0x1p-133, T_BF16) == 0x1p-133 && isnan(ir_round(NAN, T_F16)) && ir_round(-0.1, T_F64) == -0.1);

    fixture f;
    fixture_open(&f);
    ir_layer *l = f.l;
    fixture_graph(&f, 3, 3, "0>0 1>0 2>0");
    ir_val x = fixture_input(&f, "x", ir_dom_src(l), T_F32, (ir_shape){0});
    fixture_give(&f, x, (double[]){1, 0x1p-24, 0x1p-24}, 3);
    ir_val sum = ir_agg(l, OP_AGG_SUM, ir_gather(l, x, ir_map_src(l)), ir_map_dst(l));
    fixture_output(&f, "s", sum);
    fixture_output(&f, "h", ir_cast(l, ir_add(l, x, ir_const(l, T_F32, 0x1p-12)), T_F16));
    if (fixture_run(&f)) {
        CHECK(fixture_out(&f, 0)[0] == 1 + 0x1p-23);
        CHECK(fixture_out(&f, 1)[0] == 1);
    }
    f.call.round = true;
    if (fixture_run(&f))
        CHECK(fixture_out(&f, 0)[0] == 1);
    fixture_close(&f);
}

/* By chance: to one side or the other, what is exact stays, and a value less itself shows its rounding where it is no leaf. */
static void chance(void)
{
    fixture f;
    fixture_open(&f);
    ir_layer *l = f.l;
    fixture_graph(&f, 3, 3, "0>0 1>1 2>2");
    ir_val x = fixture_input(&f, "x", ir_dom_src(l), T_F32, (ir_shape){0});
    fixture_give(&f, x, (double[]){0x1.555556p-2, 3, 0x1.99999ap-4}, 3);
    ir_val square = ir_gather(l, ir_mul(l, x, x), ir_map_src(l));
    ir_val most = ir_gather(l, ir_agg(l, OP_AGG_MAX, square, ir_map_dst(l)), ir_map_dst(l));
    fixture_output(&f, "square", square);
    fixture_output(&f, "left", ir_sub(l, square, most));
    fixture_output(&f, "attains", ir_where(l, ir_eq(l, square, most), ir_const(l, T_F32, 1), ir_const(l, T_F32, 0)));
    int moved = 0, left = 0;
    double first = 0;
    f.call.round = true;
    for (f.call.chance = 1; f.call.chance <= 40; f.call.chance++) {
        if (!fixture_run(&f))
            continue;
        const double *s = fixture_out(&f, 0), *d = fixture_out(&f, 1);
        CHECK(s[1] == 9 && d[1] == 0 && fabs(s[0] - 0x1.555556p-2 * 0x1.555556p-2) <= 0x1p-27);
        CHECK_NEAR(fixture_out(&f, 2), ((double[]){1, 1, 1}), 3, 0);
        first = first ? first : s[0];
        moved += s[0] != first;
        left += d[0] != 0;
        CHECK(fabs(d[0]) <= 0x1p-27);
    }
    CHECK(moved > 5 && moved < 38 && left > 5 && left < 38);
    fixture_close(&f);
}

/* The published answer of Philox 4x32-10; the mask's rate; what it depends on. */
static void dropout(void)
{
    uint32_t out[4];
    philox(0, (uint32_t[]){0, 0, 0, 0}, out);
    CHECK(out[0] == 0x6627e8d5 && out[1] == 0xe169c58d && out[2] == 0xbc57ac4c && out[3] == 0x9b00dbd8);
    enum { N = 500, D = 9 };
    fixture f;
    fixture_open(&f);
    ir_layer *l = f.l;
    dim d = fixture_dim(&f, "d", D);
    fixture_graph(&f, N, N, "");
    ir_val x = fixture_input(&f, "x", ir_dom_src(l), T_F64, shape_of(&f, 1, d));
    ir_val p = ir_const(l, T_F64, 0.25), key = ir_step_key(l, 0);
    const double *vx = fixture_fill(&f, x, N * D);
    fixture_output(&f, "a", ir_dropout(l, x, p, key, 1));
    fixture_output(&f, "b", ir_dropout(l, x, p, key, 2));
    CHECK(!ir_same(l->outputs[0].value, l->outputs[1].value));
    CHECK(ir_same(l->outputs[0].value, ir_dropout(l, x, p, key, 1)));
    CHECK(ir_same(x, ir_dropout(l, x, ir_const(l, T_F64, 0), key, 1)));
    if (fixture_run(&f))
        CHECK_NEAR(fixture_out(&f, 0), vx, N * D, 0);
    f.call.training = true;
    f.call.seed = UINT64_C(0x123456789abcdef);
    if (fixture_run(&f)) {
        int kept = 0, differ = 0;
        for (int i = 0; i < N * D; i++) {
            double a = fixture_out(&f, 0)[i];
            CHECK(a == 0 || fabs(a - vx[i] / 0.75) < 1e-12);
            kept += a != 0;
            differ += (a != 0) != (fixture_out(&f, 1)[i] != 0);
        }
        CHECK(abs(kept - 3375) < 150);
        CHECK(abs(differ - 1688) < 150);
    }
    fixture_close(&f);
}

/* Nothing at all: no nodes, no edges. */
static void empty(void)
{
    fixture f;
    fixture_open(&f);
    fixture_graph(&f, 0, 0, "");
    build_all_ops(&f);
    CHECK(fixture_run(&f));
    fixture_close(&f);
}

static void refusals(void)
{
    fixture f;
    fixture_open(&f);
    ir_layer *l = f.l;
    dim n = dim_symbol(f.dims, str_of(f.names, "unbound"));
    ir_val x = fixture_input(&f, "x", ir_dom_src(l), T_F64, shape_of(&f, 1, n));
    fixture_give(&f, x, (double[]){1, 2}, 2);
    fixture_output(&f, "o", ir_slice(l, x, 0, dim_const(f.dims, 3), dim_const(f.dims, 1)));
    fixture_output(&f, "p", ir_gather(l, ir_gather(l, x, ir_map_prefix(l)), ir_map_square(l)));
    fixture_graph(&f, 1, 1, "");
    CHECK(!interp_run(l, &f.call, &f.result) && strstr(f.result.why, "unbound"));
    interp_free(&f.result);
    fixture_dim(&f, "unbound", 2);
    CHECK(!interp_run(l, &f.call, &f.result) && strstr(f.result.why, "slice"));
    interp_free(&f.result);
    fixture_dim(&f, "unbound", 3);
    CHECK(!interp_run(l, &f.call, &f.result) && strstr(f.result.why, "\"x\" has 2 elements, not 3"));
    interp_free(&f.result);
    fixture_graph(&f, 1, 1, "0>1");
    CHECK(!interp_run(l, &f.call, &f.result) && strstr(f.result.why, "edge 0"));
    fixture_close(&f);
}

int main(void)
{
    gat();
    rgcn();
    aggregates();
    softmax();
    readout();
    lookups();
    shapes();
    rounding();
    chance();
    dropout();
    empty();
    refusals();
    return check_done();
}
