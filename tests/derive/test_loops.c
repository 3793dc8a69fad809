/* Derivatives of loops, first and second order, against differences: states of all kinds, values from outside, inner loops,
 * `until`; what is recorded and what is not. */
#include "compiler/passes/segment.h"
#include "tests/derive/gradient.h"

#include <math.h>

enum { N = 6, E = 14, D = 2 };

typedef struct bench {
    fixture f;
    ir_layer *l;
    dim d, K;
    ir_val x, h, w, W, a;           /* by node and feature twice, by edge, a matrix, a number a step */
} bench;

static ir_val num(const bench *t, double x) { return ir_const(t->l, T_F64, x); }
static str name_of(bench *t, const char *s) { return str_of(t->f.names, s); }

static void scaled(bench *t, ir_val input, int64_t n, double by)
{
    double *v = fixture_fill(&t->f, input, n);
    for (int64_t i = 0; i < n; i++)
        v[i] *= by;
}

static void open(bench *t, int64_t steps)
{
    fixture_open(&t->f);
    t->l = t->f.l;
    fixture_random_graph(&t->f, N, N, E);
    t->d = fixture_dim(&t->f, "d", D);
    t->K = fixture_dim(&t->f, "K", steps);
    t->x = fixture_input(&t->f, "x", ir_dom_src(t->l), T_F64, shape_of(&t->f, 1, t->d));
    t->h = fixture_input(&t->f, "h", ir_dom_src(t->l), T_F64, shape_of(&t->f, 1, t->d));
    t->w = fixture_input(&t->f, "w", ir_dom_edge(t->l), T_F64, (ir_shape){0});
    t->W = fixture_input(&t->f, "W", ir_dom_unit(), T_F64, shape_of(&t->f, 2, t->d, t->d));
    t->a = fixture_input(&t->f, "a", ir_dom_unit(), T_F64, shape_of(&t->f, 1, t->K));
    scaled(t, t->x, N * D, 1);
    scaled(t, t->h, N * D, 1);
    scaled(t, t->w, E, 0.5);
    scaled(t, t->W, D * D, 0.7);
    scaled(t, t->a, steps, 0.8);
}

static uint32_t records_in(const ir_layer *l)
{
    uint32_t n = 0;
    for (uint32_t i = 1; i < l->n_nodes; i++)
        n += l->nodes[i].op == OP_RECORD;
    return n;
}

static const char *text_of(const ir_layer *l, arena *mem)
{
    buf b = buf_make(mem);
    ir_print(l, &b);
    return buf_text(&b);
}

/* What is left when all that nothing reads is dropped gives the same. Returns the number of records. */
static uint32_t close(bench *t)
{
    fixture *f = &t->f;
    uint32_t n = f->l->n_outputs, records = 0;
    if (fixture_run(f)) {
        double **was = NEW_N(f->mem, double *, n);
        for (uint32_t i = 0; i < n; i++)
            was[i] = arena_copy(f->mem, fixture_out(f, i), (size_t)f->result.outputs[i].n * sizeof(double));
        f->l = ir_compact(t->l, f->mem);
        records = records_in(f->l);
        if (fixture_run(f))
            for (uint32_t i = 0; i < n; i++)
                CHECK_NEAR(fixture_out(f, i), was[i], f->result.outputs[i].n, 1e-12);
        ir_layer *parts = segment_loops(t->l, f->mem, 1);
        for (f->call.apart = 0; f->call.apart < 5; f->call.apart++) {
            f->l = parts;
            if (fixture_run(f))
                for (uint32_t i = 0; i < n; i++)
                    CHECK_NEAR(fixture_out(f, i), was[i], f->result.outputs[i].n, 1e-12);
            f->l = ir_compact(parts, f->mem);
        }
        bool again = false;
        for (uint32_t i = 0; i < parts->n_loops; i++)
            again = again || parts->loops[i].again;
        CHECK(again == (records > 0));
        const char *error = NULL, *text = text_of(parts, f->mem);
        ir_layer *read = ir_parse(f->mem, f->dims, f->names, text, &error);
        CHECK(read && !strcmp(text_of(read, f->mem), text));
        f->l = t->l;
    }
    fixture_close(f);
    return records;
}

/* A z + …, by node. */
static ir_val spread(bench *t, ir_val z)
{
    ir_layer *l = t->l;
    ir_val m = ir_mul(l, ir_expand(l, t->w, -1), ir_gather(l, z, ir_map_src(l)));
    return ir_gather(l, ir_agg(l, OP_AGG_SUM, m, ir_map_dst(l)), ir_map_square(l));
}

static ir_val times(bench *t, ir_val z, ir_val W) { return ir_matmul(t->l, z, W); }

/* z <- (1 - a) A z + a h: nothing is recorded for the derivatives by x and h. */
static void appnp(int64_t steps, bool by_weight)
{
    bench t;
    open(&t, steps);
    ir_layer *l = t.l;
    uint32_t loop = ir_loop_begin(l, 0, name_of(&t, "z"), t.K, 1);
    ir_val z = ir_loop_state(l, loop, 0, name_of(&t, "z"), t.x);
    ir_loop_next(l, loop, 0, ir_add(l, ir_mul(l, spread(&t, z), num(&t, 0.8)), ir_mul(l, t.h, num(&t, 0.2))));
    ir_loop_end(l, loop);
    check_gradient(&t.f, "appnp", ir_loop_final(l, loop, 0), (ir_val[]){t.x, t.h, t.w}, by_weight ? 3 : 2);
    const uint32_t records = close(&t);
    CHECK(by_weight ? records > 0 : records == 0);
}

/* z <- tanh(z W + A z) a[step] + h. */
static void recurrent(int64_t steps)
{
    bench t;
    open(&t, steps);
    ir_layer *l = t.l;
    uint32_t loop = ir_loop_begin(l, 0, name_of(&t, "z"), t.K, 1);
    ir_val z = ir_loop_state(l, loop, 0, name_of(&t, "z"), t.x);
    ir_val u = ir_ew1(l, OP_TANH, ir_add(l, times(&t, z, t.W), spread(&t, z)));
    ir_loop_next(l, loop, 0, ir_add(l, ir_mul(l, u, ir_lookup(l, t.a, ir_loop_step(l, loop))), t.h));
    ir_loop_end(l, loop);
    check_gradient(&t.f, "recurrent", ir_loop_final(l, loop, 0), (ir_val[]){t.x, t.h, t.w, t.W, t.a}, 5);
    close(&t);
}

/* Two states that read each other, a number of the call that both read, one that has no part in it. */
static void several(void)
{
    bench t;
    open(&t, 3);
    ir_layer *l = t.l;
    uint32_t loop = ir_loop_begin(l, 0, name_of(&t, "p"), t.K, 4);
    ir_val p = ir_loop_state(l, loop, 0, name_of(&t, "p"), t.x), q = ir_loop_state(l, loop, 1, name_of(&t, "q"), t.h);
    ir_val c = ir_loop_state(l, loop, 2, name_of(&t, "c"), num(&t, 1)), s = ir_loop_state(l, loop, 3, name_of(&t, "s"), t.x);
    ir_val all = ir_agg(l, OP_AGG_SUM, ir_mul(l, p, q), ir_map_unit(l, ir_dom_src(l)));
    ir_loop_next(l, loop, 0, ir_ew1(l, OP_SIN, ir_add(l, q, ir_mul(l, p, c))));
    ir_loop_next(l, loop, 1, ir_mul(l, p, ir_ew1(l, OP_SIGMOID, times(&t, spread(&t, q), t.W))));
    ir_loop_next(l, loop, 2, ir_mul(l, c, ir_ew1(l, OP_COS, ir_reduce(l, OP_RSUM, all, 0))));
    ir_loop_next(l, loop, 3, ir_mul(l, s, s));
    ir_loop_end(l, loop);
    ir_val y = ir_mul(l, ir_loop_final(l, loop, 0), ir_add(l, ir_loop_final(l, loop, 1), ir_loop_final(l, loop, 2)));
    check_gradient(&t.f, "several", y, (ir_val[]){t.x, t.h, t.w, t.W}, 4);
    close(&t);
}

/* Gradients one after another share what is recorded: also that of a state which none of them moves. */
static void one_after_another(void)
{
    bench t;
    open(&t, 3);
    ir_layer *l = t.l;
    uint32_t loop = ir_loop_begin(l, 0, name_of(&t, "z"), t.K, 2);
    ir_val z = ir_loop_state(l, loop, 0, name_of(&t, "z"), t.x), c = ir_loop_state(l, loop, 1, name_of(&t, "c"), num(&t, 0.5));
    ir_loop_next(l, loop, 0, ir_ew1(l, OP_TANH, ir_add(l, times(&t, z, t.W), ir_mul(l, z, c))));
    ir_loop_next(l, loop, 1, ir_mul(l, ir_ew1(l, OP_COS, c), num(&t, 0.5)));
    ir_loop_end(l, loop);
    ir_val g;
    derive(l, t.f.mem, &(derive_seed){ir_loop_final(l, loop, 0), num(&t, 1)}, 1, &t.x, 1, &g);
    check_gradient(&t.f, "one after another", ir_add(l, g, ir_loop_final(l, loop, 0)), (ir_val[]){t.x, t.W}, 2);
    close(&t);
}

/* Stops when it moves little: as many steps backwards. At once: one step. */
static void until(double tol, int64_t least, int64_t most)
{
    bench t;
    open(&t, 40);
    ir_layer *l = t.l;
    uint32_t loop = ir_loop_begin(l, 0, name_of(&t, "z"), t.K, 1);
    ir_val z = ir_loop_state(l, loop, 0, name_of(&t, "z"), t.x);
    ir_val u = ir_ew1(l, OP_TANH, ir_mul(l, spread(&t, z), num(&t, 0.4)));
    ir_loop_next(l, loop, 0, ir_add(l, u, ir_mul(l, t.h, ir_mul(l, z, num(&t, 0.1)))));
    ir_loop_until(l, loop, num(&t, tol));
    ir_loop_end(l, loop);
    check_gradient(&t.f, "until", ir_loop_final(l, loop, 0), (ir_val[]){t.x, t.h, t.w}, 3);
    if (fixture_run(&t.f))
        for (uint32_t i = 0; i < l->n_loops; i++)
            CHECK(t.f.result.loops[i].steps == t.f.result.loops[0].steps);
    CHECK(t.f.result.loops[0].steps >= least && t.f.result.loops[0].steps <= most);
    close(&t);
}

/* A loop in the step of a loop; the inner one starts from the outer state and reads it, and the step of both. */
static void nested(bool settles)
{
    bench t;
    open(&t, 3);
    ir_layer *l = t.l;
    dim two = dim_const(t.f.dims, settles ? 9 : 2);
    uint32_t outer = ir_loop_begin(l, 0, name_of(&t, "z"), t.K, 1);
    ir_val z = ir_loop_state(l, outer, 0, name_of(&t, "z"), t.x);
    uint32_t inner = ir_loop_begin(l, outer + 1, name_of(&t, "y"), two, 1);
    ir_val y = ir_loop_state(l, inner, 0, name_of(&t, "y"), ir_mul(l, z, t.h));
    ir_val key = ir_ew1(l, OP_COS, ir_step_key(l, inner + 1));
    ir_val u = ir_ew1(l, OP_TANH, ir_add(l, times(&t, y, t.W), ir_mul(l, spread(&t, z), key)));
    ir_loop_next(l, inner, 0, ir_mul(l, u, ir_ew1(l, OP_SIGMOID, ir_add(l, y, t.h))));
    if (settles)
        ir_loop_until(l, inner, num(&t, 0.05));
    ir_loop_end(l, inner);
    ir_val next = ir_add(l, ir_mul(l, ir_loop_final(l, inner, 0), ir_lookup(l, t.a, ir_loop_step(l, outer))), t.h);
    ir_loop_next(l, outer, 0, ir_add(l, next, ir_mul(l, z, num(&t, 0.3))));
    ir_loop_end(l, outer);
    check_gradient(&t.f, settles ? "nested, until" : "nested", ir_loop_final(l, outer, 0), (ir_val[]){t.x, t.h, t.w, t.W, t.a}, 5);
    close(&t);
}

/* Values from outside that the step sees through views and repetitions; one that an earlier loop made. */
static void outside(void)
{
    bench t;
    open(&t, 2);
    ir_layer *l = t.l;
    uint32_t first = ir_loop_begin(l, 0, name_of(&t, "q"), t.K, 1);
    ir_val q = ir_loop_state(l, first, 0, name_of(&t, "q"), t.h);
    ir_loop_next(l, first, 0, ir_ew1(l, OP_SIN, ir_add(l, q, spread(&t, q))));
    ir_loop_end(l, first);
    ir_val made = ir_loop_final(l, first, 0);
    ir_val e = ir_mul(l, ir_gather(l, made, ir_map_dst_src(l)), ir_expand(l, ir_exp(l, t.w), -1));
    uint32_t loop = ir_loop_begin(l, 0, name_of(&t, "z"), t.K, 1);
    ir_val z = ir_loop_state(l, loop, 0, name_of(&t, "z"), t.x);
    ir_val m = ir_mul(l, ir_gather(l, z, ir_map_src(l)), e);
    ir_val sum = ir_gather(l, ir_agg(l, OP_AGG_SUM, m, ir_map_dst(l)), ir_map_square(l));
    ir_loop_next(l, loop, 0, ir_add(l, ir_ew1(l, OP_TANH, ir_add(l, sum, z)), ir_reduce(l, OP_RSUM, t.W, 0)));
    ir_loop_end(l, loop);
    check_gradient(&t.f, "outside", ir_mul(l, ir_loop_final(l, loop, 0), made), (ir_val[]){t.x, t.h, t.w, t.W}, 4);
    close(&t);
}

/* The state stays as it was, or is a value from outside: with and without a way for the cotangent. */
static void trivial(void)
{
    bench t;
    open(&t, 3);
    ir_layer *l = t.l;
    uint32_t loop = ir_loop_begin(l, 0, name_of(&t, "z"), t.K, 3);
    ir_val z = ir_loop_state(l, loop, 0, name_of(&t, "z"), t.x);
    ir_loop_state(l, loop, 1, name_of(&t, "o"), t.x);
    ir_val c = ir_loop_state(l, loop, 2, name_of(&t, "c"), t.x);
    ir_loop_next(l, loop, 0, z);
    ir_loop_next(l, loop, 1, t.h);
    ir_loop_next(l, loop, 2, ir_ew1(l, OP_FLOOR, c));
    ir_loop_end(l, loop);
    ir_val y = ir_add(l, ir_loop_final(l, loop, 1), ir_loop_final(l, loop, 2));
    check_gradient(&t.f, "trivial", ir_add(l, ir_mul(l, ir_loop_final(l, loop, 0), t.x), ir_mul(l, y, y)), (ir_val[]){t.x, t.h}, 2);
    close(&t);
}

int main(void)
{
    appnp(4, false);
    appnp(1, false);
    appnp(3, true);
    recurrent(1);
    recurrent(4);
    several();
    one_after_another();
    until(1e-3, 2, 39);
    until(100, 1, 1);
    nested(false);
    nested(true);
    outside();
    trivial();
    return check_done();
}
