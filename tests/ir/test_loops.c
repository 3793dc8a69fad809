/* Loops: states replaced together, until, nesting, what is hoisted out, dead states. */
#include "tests/ir/fixture.h"

#include <math.h>

/* z = (1 - a) A z + a h until no element moves by tol. */
static void appnp(void)
{
    enum { N = 6, D = 2 };
    fixture f;
    fixture_open(&f);
    ir_layer *l = f.l;
    dim d = fixture_dim(&f, "d", D), K = fixture_dim(&f, "K", 500);
    fixture_random_graph(&f, N, N, 15);
    ir_val h = fixture_input(&f, "h", ir_dom_src(l), T_F64, shape_of(&f, 1, d));
    ir_val w = fixture_input(&f, "w", ir_dom_edge(l), T_F64, (ir_shape){0});
    const double *vh = fixture_fill(&f, h, N * D), *vw = fixture_fill(&f, w, 15);
    uint32_t loop = ir_loop_begin(l, 0, str_of(f.names, "z"), K, 1);
    ir_val z = ir_loop_state(l, loop, 0, str_of(f.names, "z"), h);
    ir_val m = ir_mul(l, ir_expand(l, ir_mul(l, w, ir_like(l, w, 0.3)), -1), ir_gather(l, z, ir_map_src(l)));
    ir_val sum = ir_gather(l, ir_agg(l, OP_AGG_SUM, m, ir_map_dst(l)), ir_map_square(l));
    ir_loop_next(l, loop, 0, ir_add(l, ir_mul(l, sum, ir_like(l, h, 0.9)), ir_mul(l, h, ir_like(l, h, 0.1))));
    ir_loop_until(l, loop, ir_const(l, T_F64, 1e-6));
    ir_loop_end(l, loop);
    fixture_output(&f, "g", ir_loop_final(l, loop, 0));
    CHECK(ir_at(l, m)->region == 1 && ir_at(l, ir_mul(l, w, ir_like(l, w, 0.3)))->region == 0);
    if (fixture_run(&f)) {
        double at[N * D], next[N * D], change = 1;
        int steps = 0;
        memcpy(at, vh, sizeof at);
        while (steps < 500 && change >= 1e-6) {
            memset(next, 0, sizeof next);
            for (int e = 0; e < 15; e++)
                for (int c = 0; c < D; c++)
                    next[f.graph.dst[e] * D + c] += vw[e] * 0.3 * at[f.graph.src[e] * D + c];
            change = 0;
            for (int i = 0; i < N * D; i++) {
                next[i] = 0.9 * next[i] + 0.1 * vh[i];
                change = fmax(change, fabs(next[i] - at[i]));
            }
            memcpy(at, next, sizeof at);
            steps++;
        }
        CHECK(steps < 500 && f.result.loops[0].steps == steps);
        CHECK_NEAR(&f.result.loops[0].change, &change, 1, 1e-9);
        CHECK_NEAR(fixture_out(&f, 0), at, N * D, 1e-12);
    }
    f.inputs[ir_at(l, h)->u.input] = (interp_data){(double[N * D]){NAN}, N * D};
    f.dim_values[1] = 7;
    if (fixture_run(&f))
        CHECK(f.result.loops[0].steps == 7 && isnan(f.result.loops[0].change));   /* a NaN has moved */
    fixture_close(&f);
}

/* Two states swap; the step's own weight; a third state that nothing needs disappears with compaction. */
static void states(void)
{
    fixture f;
    fixture_open(&f);
    ir_layer *l = f.l;
    dim K = fixture_dim(&f, "K", 3);
    ir_val W = fixture_input(&f, "W", ir_dom_unit(), T_F64, shape_of(&f, 1, K));
    fixture_give(&f, W, (double[]){1, 10, 100}, 3);
    uint32_t loop = ir_loop_begin(l, 0, NULL, K, 3);
    ir_val a = ir_loop_state(l, loop, 0, str_of(f.names, "a"), ir_const(l, T_F64, 1));
    ir_val b = ir_loop_state(l, loop, 1, str_of(f.names, "b"), ir_const(l, T_F64, 2));
    ir_val c = ir_loop_state(l, loop, 2, str_of(f.names, "c"), ir_const(l, T_F64, 3));
    ir_loop_next(l, loop, 0, b);
    ir_loop_next(l, loop, 1, ir_add(l, a, ir_lookup(l, W, ir_loop_step(l, loop))));
    ir_loop_next(l, loop, 2, ir_mul(l, c, a));
    ir_loop_end(l, loop);
    fixture_output(&f, "a", ir_loop_final(l, loop, 0));
    fixture_output(&f, "b", ir_loop_final(l, loop, 1));
    if (fixture_run(&f)) {                      /* (1,2) (2,2) (2,12) (12,102) */
        CHECK(fixture_out(&f, 0)[0] == 12 && fixture_out(&f, 1)[0] == 102);
        CHECK(f.result.loops[0].steps == 3);
    }
    ir_layer *small = ir_compact(l, f.mem);
    CHECK(ir_verify(small, f.mem) == NULL);
    CHECK(small->n_loops == 1 && small->loops[0].nstates == 2);
    interp_result r;
    CHECK(interp_run(small, &f.call, &r) && r.outputs[0].at[0] == 12 && r.outputs[1].at[0] == 102);
    interp_free(&r);
    fixture_close(&f);
}

/* An inner loop that reads the outer state runs each step; one that does not is moved out. */
static void nested(void)
{
    fixture f;
    fixture_open(&f);
    ir_layer *l = f.l;
    dim two = dim_const(f.dims, 2), three = dim_const(f.dims, 3);
    ir_val x = fixture_input(&f, "x", ir_dom_unit(), T_F64, (ir_shape){0});
    fixture_give(&f, x, (double[]){5}, 1);
    uint32_t outer = ir_loop_begin(l, 0, str_of(f.names, "z"), two, 1);
    ir_val z = ir_loop_state(l, outer, 0, str_of(f.names, "z"), ir_const(l, T_F64, 1));

    uint32_t inner = ir_loop_begin(l, outer + 1, str_of(f.names, "y"), three, 1);
    ir_val y = ir_loop_state(l, inner, 0, str_of(f.names, "y"), z);
    ir_val key = ir_step_key(l, inner + 1);
    ir_loop_next(l, inner, 0, ir_add(l, ir_mul(l, y, ir_like(l, y, 10)), ir_add(l, key, z)));
    ir_loop_end(l, inner);
    ir_val fy = ir_loop_final(l, inner, 0);

    uint32_t free_ = ir_loop_begin(l, outer + 1, str_of(f.names, "q"), three, 1);
    ir_val q = ir_loop_state(l, free_, 0, str_of(f.names, "q"), x);
    ir_loop_next(l, free_, 0, ir_mul(l, q, x));
    ir_loop_end(l, free_);
    ir_val fq = ir_loop_final(l, free_, 0);

    CHECK(l->loops[inner].parent == outer + 1 && ir_at(l, fy)->region == outer + 1);
    CHECK(l->loops[free_].parent == 0 && ir_at(l, fq)->region == 0);
    CHECK(ir_at(l, key)->region == inner + 1);
    ir_loop_next(l, outer, 0, ir_add(l, fy, fq));
    ir_loop_end(l, outer);
    fixture_output(&f, "z", ir_loop_final(l, outer, 0));
    double at = 1;
    for (int i = 0; i < 2; i++) {
        double v = at;
        for (int j = 0; j < 3; j++)
            v = 10 * v + (i * 3 + j) + at;
        at = v + 625;
    }
    if (fixture_run(&f))
        CHECK_NEAR(fixture_out(&f, 0), &at, 1, 0);
    ir_layer *again = ir_compact(l, f.mem);
    const char *broken = ir_verify(again, f.mem);
    CHECK(!broken);
    interp_result r;
    CHECK(interp_run(again, &f.call, &r) && r.outputs[0].at[0] == at);
    interp_free(&r);
    fixture_close(&f);
}

/* z <- w[step] z z + x, at most K steps, until it settles: backwards through its recorded states. The adjoint of the
 * record goes forwards again. An inner loop of the backward one records for itself. */
static void sequences(int64_t limit, bool until, int64_t want)
{
    fixture f;
    fixture_open(&f);
    ir_layer *l = f.l;
    dim K = fixture_dim(&f, "K", limit);
    ir_val W = fixture_input(&f, "W", ir_dom_unit(), T_F64, shape_of(&f, 1, K));
    ir_val x = fixture_input(&f, "x", ir_dom_unit(), T_F64, (ir_shape){0});
    const double *w = fixture_fill(&f, W, limit);
    fixture_give(&f, x, (double[]){0.3}, 1);
    uint32_t loop = ir_loop_begin(l, 0, str_of(f.names, "z"), K, 1);
    ir_val z = ir_loop_state(l, loop, 0, NULL, ir_const(l, T_F64, 0.5));
    ir_val inner = ir_mul(l, z, z);
    ir_loop_next(l, loop, 0, ir_add(l, ir_mul(l, ir_lookup(l, W, ir_loop_step(l, loop)), inner), x));
    if (until)
        ir_loop_until(l, loop, ir_const(l, T_F64, 0.02));
    ir_loop_end(l, loop);
    ir_val s = ir_record(l, loop, z);

    uint32_t back = ir_loop_begin(l, 0, str_of(f.names, "back"), K, 2);
    ir_val y = ir_loop_state(l, back, 0, NULL, ir_const(l, T_F64, 1));
    ir_val dx = ir_loop_state(l, back, 1, NULL, ir_const(l, T_F64, 0));
    ir_val was = ir_recall(l, back, s, true), at = ir_lookup(l, W, ir_loop_step_back(l, back));
    ir_loop_next(l, back, 0, ir_mul(l, ir_mul(l, y, at), ir_mul(l, was, ir_like(l, was, 2))));
    ir_loop_next(l, back, 1, ir_add(l, dx, y));
    ir_loop_count(l, back, ir_loop_steps(l, loop));
    ir_loop_end(l, back);

    uint32_t again = ir_loop_begin(l, 0, str_of(f.names, "again"), K, 1);       /* the sum of y z, from the first step on */
    ir_val sum = ir_loop_state(l, again, 0, NULL, ir_const(l, T_F64, 0));
    ir_val each = ir_mul(l, ir_recall(l, again, ir_record(l, back, y), true), ir_recall(l, again, s, false));
    ir_loop_next(l, again, 0, ir_add(l, sum, each));
    ir_loop_count(l, again, ir_loop_steps(l, loop));
    ir_loop_end(l, again);

    fixture_output(&f, "z", ir_loop_final(l, loop, 0));
    fixture_output(&f, "dx", ir_loop_final(l, back, 1));
    fixture_output(&f, "sum", ir_loop_final(l, again, 0));
    fixture_output(&f, "steps", ir_loop_steps(l, loop));
    double zs[64] = {0.5}, ys[64], change = 1, at_dx = 0, at_y = 1, at_sum = 0;
    int n = 0;
    for (; n < limit && (!until || change >= 0.02); n++) {
        zs[n + 1] = w[n] * zs[n] * zs[n] + 0.3;
        change = fabs(zs[n + 1] - zs[n]);
    }
    for (int i = n - 1; i >= 0; i--) {
        at_dx += at_y;
        ys[i] = at_y;
        at_y *= w[i] * zs[i] * 2;
    }
    for (int i = 0; i < n; i++)
        at_sum += ys[i] * zs[i];
    CHECK(want < 0 || n == want);
    for (int turn = 0; turn < 2; turn++) {
        if (fixture_run(&f)) {
            CHECK_NEAR(fixture_out(&f, 0), &zs[n], 1, 1e-14);
            CHECK_NEAR(fixture_out(&f, 1), &at_dx, 1, 1e-14);
            CHECK_NEAR(fixture_out(&f, 2), &at_sum, 1, 1e-14);
            CHECK(fixture_out(&f, 3)[0] == n);
        }
        f.l = ir_compact(l, f.mem);
    }
    f.l = l;
    fixture_close(&f);
}

/* A recorded value that is the same in all steps is that value; a loop of which only the steps are recorded runs. */
static void records(void)
{
    fixture f;
    fixture_open(&f);
    ir_layer *l = f.l;
    dim K = fixture_dim(&f, "K", 3);
    ir_val x = fixture_input(&f, "x", ir_dom_unit(), T_F64, (ir_shape){0});
    fixture_give(&f, x, (double[]){2}, 1);
    uint32_t loop = ir_loop_begin(l, 0, NULL, K, 1), to = ir_loop_begin(l, 0, NULL, K, 1);
    ir_val z = ir_loop_state(l, loop, 0, NULL, x), s = ir_loop_state(l, to, 0, NULL, ir_like(l, x, 0));
    ir_val step = ir_cast(l, ir_loop_step(l, loop), T_F64);
    ir_loop_next(l, loop, 0, ir_mul(l, z, z));
    ir_loop_end(l, loop);
    CHECK(ir_same(ir_recall(l, to, ir_record(l, loop, x), false), x));
    ir_val entry = ir_recall(l, to, ir_record(l, loop, ir_add(l, step, x)), true);
    CHECK(ir_at(l, entry)->region == l->loops[to].region);
    ir_loop_next(l, to, 0, ir_add(l, ir_mul(l, s, ir_like(l, x, 10)), entry));
    ir_loop_end(l, to);
    fixture_output(&f, "s", ir_loop_final(l, to, 0));
    if (fixture_run(&f))
        CHECK(fixture_out(&f, 0)[0] == 432);
    f.l = ir_compact(l, f.mem);
    CHECK(f.l->n_loops == 2);
    if (fixture_run(&f))
        CHECK(fixture_out(&f, 0)[0] == 432);
    f.l = l;
    fixture_close(&f);
}

/* Dropout in a loop has a mask of its own each step; outside the key is 0, so nothing keeps it inside. */
static void masks(void)
{
    enum { N = 200 };
    fixture f;
    fixture_open(&f);
    ir_layer *l = f.l;
    fixture_graph(&f, N, N, "");
    ir_val x = fixture_input(&f, "x", ir_dom_src(l), T_F64, (ir_shape){0});
    double ones[N], seen[4] = {0};
    for (int i = 0; i < N; i++)
        ones[i] = 1;
    fixture_give(&f, x, ones, N);
    uint32_t loop = ir_loop_begin(l, 0, NULL, dim_const(f.dims, 3), 1);
    ir_val z = ir_loop_state(l, loop, 0, NULL, ir_zeros_like(l, x));
    ir_val p = ir_const(l, T_F64, 0.5), m = ir_dropout(l, x, p, ir_step_key(l, loop + 1), 3);
    CHECK(ir_at(l, m)->region == loop + 1 && ir_at(l, ir_dropout(l, x, p, ir_step_key(l, 0), 3))->region == 0);
    ir_loop_next(l, loop, 0, ir_add(l, z, m));
    ir_loop_end(l, loop);
    fixture_output(&f, "s", ir_loop_final(l, loop, 0));
    f.call.training = true;
    if (fixture_run(&f)) {
        for (int i = 0; i < N; i++)
            seen[(int)fixture_out(&f, 0)[i] / 2]++;
        CHECK(seen[0] > 5 && seen[1] > 40 && seen[2] > 40 && seen[3] > 5);      /* 1, 3, 3, 1 of 8 */
    }
    fixture_close(&f);
}

int main(void)
{
    appnp();
    states();
    nested();
    masks();
    sequences(7, false, 7);
    sequences(40, true, -1);
    sequences(1, false, 1);
    records();
    return check_done();
}
