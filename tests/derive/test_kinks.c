/* Where differences do not tell: kinks, ties, infinite derivatives, zeros in products, half types, where a gradient ends. */
#include "tests/derive/gradient.h"

#include <math.h>

typedef struct bench { fixture f; ir_layer *l; ir_val x, b; } bench;

/* x and b, scalars by node, with these values. */
static void open(bench *t, const double *x, const double *b, int64_t n, const char *edges)
{
    fixture_open(&t->f);
    fixture_graph(&t->f, n, n, edges);
    t->l = t->f.l;
    t->x = fixture_input(&t->f, "x", ir_dom_src(t->l), T_F64, (ir_shape){0});
    t->b = fixture_input(&t->f, "b", ir_dom_src(t->l), T_F64, (ir_shape){0});
    fixture_give(&t->f, t->x, x, n);
    fixture_give(&t->f, t->b, b, n);
}

static ir_val num(const bench *t, double x) { return ir_const(t->l, T_F64, x); }

static ir_val grad_of(bench *t, ir_val y, ir_val dy, ir_val x)
{
    ir_val g;
    derive(t->l, t->f.mem, &(derive_seed){y, dy}, 1, &x, 1, &g);
    return g;
}

/* The gradients of y's sum with respect to x and b; closes. */
static void expect(bench *t, ir_val y, const double *dx, const double *db, int64_t n)
{
    fixture_output(&t->f, "dx", grad_of(t, y, num(t, 1), t->x));
    fixture_output(&t->f, "db", grad_of(t, y, num(t, 1), t->b));
    if (fixture_run(&t->f)) {
        CHECK_NEAR(fixture_out(&t->f, 0), dx, n, 1e-12);
        if (db)
            CHECK_NEAR(fixture_out(&t->f, 1), db, n, 1e-12);
    }
    fixture_close(&t->f);
}

static void kinks(void)
{
    const double x[] = {-1, 0, 1, 0}, b[] = {0, 0, 0, 2};
    bench t;
    open(&t, x, b, 4, "");
    expect(&t, ir_relu(t.l, t.x), (double[]){0, 0, 1, 0}, NULL, 4);
    open(&t, x, b, 4, "");
    expect(&t, ir_ew1(t.l, OP_ABS, t.x), (double[]){-1, 0, 1, 0}, NULL, 4);
    open(&t, x, b, 4, "");
    expect(&t, ir_ew1(t.l, OP_SQRT0, ir_mul(t.l, t.x, t.x)), (double[]){-1, 0, 1, 0}, NULL, 4);
    open(&t, x, b, 4, "");
    expect(&t, ir_maximum(t.l, t.x, t.b), (double[]){0, 0.5, 1, 0}, (double[]){1, 0.5, 0, 1}, 4);
    open(&t, x, b, 4, "");
    expect(&t, ir_minimum(t.l, t.x, t.b), (double[]){1, 0.5, 0, 1}, (double[]){0, 0.5, 1, 0}, 4);
    open(&t, (double[]){0, 2, 0}, (double[]){2, 0, 0}, 3, "");
    expect(&t, ir_pow(t.l, t.x, t.b), (double[]){0, 0, 0}, (double[]){0, log(2), 0}, 3);
    open(&t, (double[]){0, 0}, (double[]){0, 2}, 2, "");
    expect(&t, ir_ew2(t.l, OP_ATAN2, t.x, t.b), (double[]){0, 0.5}, (double[]){0, 0}, 2);
}

/* What a branch that is not taken computes contributes nothing. */
static void branches(void)
{
    const double x[] = {-1, 0, 4, 1000}, b[] = {0, 0, 1, 1};
    bench t;
    for (int k = 0; k < 7; k++) {
        open(&t, x, b, 4, "");
        ir_layer *l = t.l;
        const ir_op ops[] = {OP_SQRT, OP_LOG, OP_RSQRT};
        ir_val cond = ir_lt(l, num(&t, 1), t.x), f;
        double at = 0, far = 0;
        if (k < 3) {
            f = ir_ew1(l, ops[k], t.x);
            at = k == 0 ? 0.25 : k == 1 ? 0.25 : -0.0625;
            far = k == 0 ? 0.5 / sqrt(1000) : k == 1 ? 1e-3 : -0.5 * pow(1000, -1.5);
        } else if (k == 3) {
            f = ir_div(l, num(&t, 1), t.x);
            at = -0.0625;
            far = -1e-6;
        } else if (k == 4) {                    /* a product with what is infinite there */
            f = ir_mul(l, t.x, ir_rsqrt(l, t.x));
            at = 0.25;
            far = 0.5 / sqrt(1000);
        } else if (k == 5) {
            f = ir_pow(l, t.x, num(&t, 0.5));
            at = 0.25;
            far = 0.5 / sqrt(1000);
        } else {                                /* e^1000 is infinite */
            cond = ir_lt(l, t.x, num(&t, 100));
            f = ir_exp(l, t.x);
        }
        ir_val y = ir_where(l, cond, f, num(&t, 0));
        if (k < 6)
            expect(&t, y, (double[]){0, 0, at, far}, NULL, 4);
        else
            expect(&t, y, (double[]){exp(-1), 1, exp(4), 0}, NULL, 4);
    }
}

/* A weight of zero has a gradient, and so has the derivative by it: 0 is not "nothing flows here". */
static void zero_weights(void)
{
    bench t;
    open(&t, (double[]){4, 9}, (double[]){0, 0}, 2, "");
    ir_val force = grad_of(&t, ir_mul(t.l, t.b, ir_sqrt(t.l, t.x)), num(&t, 1), t.x);
    expect(&t, force, (double[]){0, 0}, (double[]){0.25, 1.0 / 6}, 2);
}

static void ties(void)
{
    bench t;
    open(&t, (double[]){3, 3, 1, 3}, (double[]){0, 0, 0, 0}, 4, "2>0 1>0 0>0 3>0 1>2 1>2 2>3");
    ir_val m = ir_agg(t.l, OP_AGG_MAX, ir_gather(t.l, t.x, ir_map_src(t.l)), ir_map_dst(t.l));
    expect(&t, m, (double[]){0, 2, 1, 0}, NULL, 4);
    open(&t, (double[]){3, 1, 1, 3}, (double[]){0, 0, 0, 0}, 4, "3>0 1>0 2>0 1>2 1>2 2>3");
    m = ir_agg(t.l, OP_AGG_MIN, ir_gather(t.l, t.x, ir_map_src(t.l)), ir_map_dst(t.l));
    expect(&t, m, (double[]){0, 2, 1, 0}, NULL, 4);
}

static void products_with_zeros(void)
{
    bench t;
    open(&t, (double[]){2, 0, 3, 0}, (double[]){0, 0, 0, 0}, 4, "0>0 1>0 2>0 0>1 2>1 1>2 3>2 0>2 3>3");
    ir_val p = ir_agg(t.l, OP_AGG_PROD, ir_gather(t.l, t.x, ir_map_src(t.l)), ir_map_dst(t.l));
    expect(&t, p, (double[]){3, 6, 2, 1}, NULL, 4);
}

/* The variance of what lies far from zero, in f32. */
static void far_values(void)
{
    fixture f;
    fixture_open(&f);
    fixture_graph(&f, 4, 4, "0>0 1>0 2>0 3>0");
    f.call.round = true;
    ir_layer *l = f.l;
    ir_val x = fixture_input(&f, "x", ir_dom_src(l), T_F32, (ir_shape){0}), g;
    fixture_give(&f, x, (double[]){1e6, 1e6 + 1, 1e6 + 2, 1e6 + 2.5}, 4);
    ir_val y = ir_agg(l, OP_AGG_VAR, ir_gather(l, x, ir_map_src(l)), ir_map_dst(l));
    derive(l, f.mem, &(derive_seed){y, ir_const(l, T_F32, 1)}, 1, &x, 1, &g);
    fixture_output(&f, "dx", g);
    if (fixture_run(&f))
        CHECK_NEAR(fixture_out(&f, 0), ((double[]){-0.6875, -0.1875, 0.3125, 0.5625}), 4, 1e-6);
    fixture_close(&f);
}

static void half_types(void)
{
    fixture f;
    fixture_open(&f);
    fixture_graph(&f, 2, 2, "");
    ir_layer *l = f.l;
    ir_val x = fixture_input(&f, "x", ir_dom_src(l), T_F16, (ir_shape){0});
    ir_val dy = fixture_input(&f, "dy", ir_dom_src(l), T_F16, (ir_shape){0}), g;
    fixture_give(&f, x, (double[]){2, 3}, 2);
    fixture_give(&f, dy, (double[]){1, 0.5}, 2);
    ir_val wide = ir_cast(l, x, T_F32), y = ir_cast(l, ir_mul(l, wide, wide), T_F16);
    derive(l, f.mem, &(derive_seed){y, dy}, 1, &x, 1, &g);
    CHECK(ir_at(l, g)->type == T_F16);
    fixture_output(&f, "dx", g);
    if (fixture_run(&f))
        CHECK_NEAR(fixture_out(&f, 0), ((double[]){4, 3}), 2, 0);
    fixture_close(&f);
}

/* Several wanted values: with all that flows to each, or each a leaf; a value that nothing depends on. */
static void ends(void)
{
    bench t;
    open(&t, (double[]){2}, (double[]){5}, 1, "");
    ir_layer *l = t.l;
    ir_val h = ir_mul(l, t.x, t.x), y = ir_add(l, ir_mul(l, h, t.x), h), one = num(&t, 1);
    ir_val wanted[] = {t.x, h, t.b}, all[3], leaves[3];
    derive(l, t.f.mem, &(derive_seed){y, one}, 1, wanted, 3, all);
    derive_partial(l, t.f.mem, &(derive_seed){y, one}, 1, wanted, 3, leaves);
    for (int k = 0; k < 3; k++) {
        fixture_output(&t.f, "total", all[k]);
        fixture_output(&t.f, "partial", leaves[k]);
    }
    ir_val still = grad_of(&t, ir_mul(l, ir_ew1(l, OP_STOP, h), t.x), one, t.x);
    fixture_output(&t.f, "still", still);
    if (fixture_run(&t.f)) {
        const double want[] = {16, 4, 3, 3, 0, 0, 4};
        for (uint32_t k = 0; k < 7; k++)
            CHECK_NEAR(fixture_out(&t.f, k), &want[k], 1, 0);
    }
    fixture_close(&t.f);
}

int main(void)
{
    kinks();
    branches();
    zero_weights();
    ties();
    products_with_zeros();
    far_values();
    half_types();
    ends();
    return check_done();
}
