/*
 * Training through the public headers: tapes, gradients and cotangents in all the ways that they may be bound.
 *
 *   Net(in, out)     node x[in]; edge rel: index(3), w; param W[in, out], b[out], R[3, out]
 *                    message m = w * (src.x @ W) * R[rel];  update h = tanh(sum(m) + b), y = |mean(m)|^2
 *   Drop(in)         node x[in]; update g = sum(dropout(src.x, 0.5)), t = x in training, else 0
 *
 * That the numbers are right is the business of other tests; here it is which numbers go where. So gradients of one way are
 * compared, bit by bit, with those of another.
 */
#include <math.h>
#include <stdbool.h>
#include "mpc.h"
#include "tests/expect.h"

enum { NODES = 40, EDGES = 160, IN = 6, OUT = 5, RELS = 3, CALLS = 3 };

static const char source[] =
    "layer Net(in, out) {\n"
    "    node  x[in];\n"
    "    edge  rel: index(3), w;\n"
    "    param W[in, out], b[out], R[3, out];\n"
    "    message m = w * (src.x @ W) * R[rel];\n"
    "    update  h = tanh(sum(m) + b);\n"
    "    node    z = mean(m);\n"
    "    update  y = dot(z, z);\n"
    "}\n"
    "layer Drop(in) {\n"
    "    node  x[in];\n"
    "    update g = sum(dropout(src.x, 0.5));\n"
    "    update t = where(training, x, 0);\n"
    "}\n";

typedef struct test {
    mp_context *ctx;
    mp_module *mod;
    mp_graph *g[CALLS];
    int failed;
    long allocations;
} test;

/* ---- data ------------------------------------------------------------------------------------------------------- */

typedef struct tensor {
    DLTensor t;
    int64_t shape[3], strides[3];
    void *data;
} tensor;

static uint32_t state = 1;

static float number(void)
{
    state = state * 1664525u + 1013904223u;
    return (float)(state >> 9) / (float)(1 << 22) - 1;
}

/* Rows 0: without. */
static tensor *make(DLDataTypeCode code, int bits, int rank, int64_t a, int64_t b)
{
    tensor *x = calloc(1, sizeof *x);
    x->shape[0] = a;
    x->shape[1] = b;
    int64_t n = (rank > 0 ? a : 1) * (rank > 1 ? b : 1);
    x->data = calloc((size_t)n + 1, (size_t)bits / 8);
    x->t = (DLTensor){ .data = x->data, .device = { kDLCPU, 0 }, .ndim = rank, .dtype = { (uint8_t)code, (uint8_t)bits, 1 },
                       .shape = x->shape };
    return x;
}

static int64_t count(const tensor *x)
{
    int64_t n = 1;
    for (int i = 0; i < x->t.ndim; i++)
        n *= x->shape[i];
    return n;
}

static tensor *floats(int rank, int64_t a, int64_t b)
{
    tensor *x = make(kDLFloat, 32, rank, a, b);
    for (int64_t i = 0; i < count(x); i++)
        ((float *)x->data)[i] = number();
    return x;
}

static void drop(tensor *x)
{
    if (x)
        free(x->data);
    free(x);
}

static bool same(const tensor *a, const tensor *b)
{
    return memcmp(a->data, b->data, (size_t)count(a) * a->t.dtype.bits / 8) == 0;
}

static bool near(float a, float b)
{
    return fabsf(a - b) <= 1e-5f * (1 + fabsf(a) + fabsf(b));
}

static bool is_filled(const tensor *x, float value)
{
    for (int64_t i = 0; i < count(x); i++)
        if (((float *)x->data)[i] != value)
            return false;
    return true;
}

static void fill(tensor *x, float value)
{
    for (int64_t i = 0; i < count(x); i++)
        ((float *)x->data)[i] = value;
}

/* Inputs and params of Net for one call. */
typedef struct net { tensor *x, *rel, *w, *W, *b, *R, *dh, *dy; } net;
typedef struct grads { tensor *x, *w, *W, *b, *R; } grads;

static net net_make(void)
{
    net n = { floats(2, NODES, IN), make(kDLInt, 32, 1, EDGES, 0), floats(1, EDGES, 0), floats(2, IN, OUT), floats(1, OUT, 0),
              floats(2, RELS, OUT), floats(2, NODES, OUT), floats(1, NODES, 0) };
    for (int i = 0; i < EDGES; i++)
        ((int32_t *)n.rel->data)[i] = (int32_t)(i * 7 % RELS);
    return n;
}

static void net_drop(net *n)
{
    tensor *all[] = { n->x, n->rel, n->w, n->W, n->b, n->R, n->dh, n->dy };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        drop(all[i]);
}

static grads grads_make(void)
{
    return (grads){ floats(2, NODES, IN), floats(1, EDGES, 0), floats(2, IN, OUT), floats(1, OUT, 0), floats(2, RELS, OUT) };
}

static void grads_drop(grads *g)
{
    tensor *all[] = { g->x, g->w, g->W, g->b, g->R };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        drop(all[i]);
}

static bool grads_same(const grads *a, const grads *b)
{
    return same(a->x, b->x) && same(a->w, b->w) && same(a->W, b->W) && same(a->b, b->b) && same(a->R, b->R);
}

static void bind_inputs(test *t, mp_layer *l, const net *n)
{
    OK(t, mp_bind(l, "x", &n->x->t, 0));
    OK(t, mp_bind(l, "rel", &n->rel->t, 0));
    OK(t, mp_bind(l, "w", &n->w->t, 0));
    OK(t, mp_bind(l, "W", &n->W->t, 0));
    OK(t, mp_bind(l, "b", &n->b->t, 0));
    OK(t, mp_bind(l, "R", &n->R->t, 0));
}

static void bind_cotangents(test *t, mp_layer *l, const net *n)
{
    OK(t, mp_bind_grad(l, "h", &n->dh->t, 0));
    OK(t, mp_bind_grad(l, "y", &n->dy->t, 0));
}

static void bind_grads(test *t, mp_layer *l, const grads *g, unsigned flags)
{
    OK(t, mp_bind_grad(l, "x", &g->x->t, flags));
    OK(t, mp_bind_grad(l, "w", &g->w->t, flags));
    OK(t, mp_bind_grad(l, "W", &g->W->t, flags));
    OK(t, mp_bind_grad(l, "b", &g->b->t, flags));
    OK(t, mp_bind_grad(l, "R", &g->R->t, flags));
}

static mp_layer *net_layer(test *t)
{
    mp_layer *l = NULL;
    OK(t, mp_layer_create(t->mod, "Net", NULL, 0, &l));
    return l;
}

/* The gradients of one call by itself, with a layer of its own. */
static grads alone(test *t, const net *n, mp_graph *g)
{
    mp_layer *l = net_layer(t);
    grads d = grads_make();
    mp_tape *tape = NULL;
    bind_inputs(t, l, n);
    bind_cotangents(t, l, n);
    bind_grads(t, l, &d, 0);
    OK(t, mp_forward_train(l, g, 0, &tape));
    OK(t, mp_backward(l, tape));
    mp_tape_destroy(tape);
    mp_layer_destroy(l);
    return d;
}

/* ---- tests ------------------------------------------------------------------------------------------------------ */

/* Other tensors, other indices and, in turn, other graphs; then the backwards, first to last and again. */
static void three_calls(test *t, bool other_graphs)
{
    net n[CALLS];
    grads want[CALLS];
    mp_tape *tape[CALLS] = { NULL };
    mp_layer *l = net_layer(t);
    for (int i = 0; i < CALLS; i++) {
        n[i] = net_make();
        ((int32_t *)n[i].rel->data)[i] = (int32_t)(i + 1) % RELS;
        want[i] = alone(t, &n[i], t->g[other_graphs ? i : 0]);
    }
    grads d = grads_make();
    bind_grads(t, l, &d, 0);
    for (int i = 0; i < CALLS; i++) {
        bind_inputs(t, l, &n[i]);
        OK(t, mp_forward_train(l, t->g[other_graphs ? i : 0], 0, &tape[i]));
        OK(t, mp_forward(l, t->g[0]));                  /* in between */
    }
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < CALLS; i++) {
            bind_cotangents(t, l, &n[i]);
            OK(t, mp_backward(l, tape[i]));
            CHECK(t, grads_same(&d, &want[i]));
        }
    /* A tape that is used again, and one that was destroyed and rests. */
    mp_tape_destroy(tape[0]);
    tape[0] = NULL;
    for (int i = 0; i < CALLS; i++) {
        bind_inputs(t, l, &n[i]);
        bind_cotangents(t, l, &n[i]);
        OK(t, mp_forward_train(l, t->g[other_graphs ? i : 0], 0, i < 2 ? &tape[0] : &tape[2]));
        OK(t, mp_backward(l, i < 2 ? tape[0] : tape[2]));
        CHECK(t, grads_same(&d, &want[i]));
    }
    mp_tape_destroy(tape[1]);
    mp_layer_destroy(l);
    mp_tape_destroy(tape[0]);                           /* after their layer */
    mp_tape_destroy(tape[2]);
    grads_drop(&d);
    for (int i = 0; i < CALLS; i++) {
        net_drop(&n[i]);
        grads_drop(&want[i]);
    }
}

static void accumulate(test *t)
{
    net n = net_make();
    grads one = alone(t, &n, t->g[0]), sum = grads_make();
    mp_layer *l = net_layer(t);
    mp_tape *tape = NULL;
    tensor *wide = make(kDLFloat, 64, 2, OUT, IN);      /* of W, transposed and in f64 */
    wide->t.shape = (int64_t[]){ IN, OUT };
    wide->t.strides = wide->strides;
    wide->strides[0] = 1;
    wide->strides[1] = IN;
    fill(sum.x, 1);
    fill(sum.b, 0);
    fill(sum.R, 0);
    fill(sum.w, 0);
    bind_inputs(t, l, &n);
    bind_cotangents(t, l, &n);
    bind_grads(t, l, &sum, MP_ACCUMULATE);
    OK(t, mp_bind_grad(l, "W", &wide->t, MP_ACCUMULATE));
    OK(t, mp_forward_train(l, t->g[0], 0, &tape));
    for (int i = 0; i < 3; i++)
        OK(t, mp_backward(l, tape));
    const float *dx = one.x->data, *db = one.b->data, *dW = one.W->data, *dw = one.w->data;
    for (int i = 0; i < NODES * IN; i++)
        CHECK(t, near(((float *)sum.x->data)[i], 1 + 3 * dx[i]));
    for (int i = 0; i < OUT; i++)
        CHECK(t, near(((float *)sum.b->data)[i], 3 * db[i]));
    for (int i = 0; i < EDGES; i++)
        CHECK(t, near(((float *)sum.w->data)[i], 3 * dw[i]));
    for (int i = 0; i < IN * OUT; i++)
        CHECK(t, near((float)((double *)wide->data)[i % OUT * IN + i / OUT], 3 * dW[i]));
    mp_tape_destroy(tape);
    mp_layer_destroy(l);
    drop(wide);
    net_drop(&n);
    grads_drop(&one);
    grads_drop(&sum);
}

/* Each gradient alone has the bits that it has among others, and nothing else is written. */
static void some_gradients(test *t)
{
    static const char *const names[] = { "x", "w", "W", "b", "R" };
    net n = net_make();
    grads all = alone(t, &n, t->g[1]);
    tensor *want[] = { all.x, all.w, all.W, all.b, all.R };
    mp_layer *l = net_layer(t);
    mp_tape *tape = NULL;
    bind_inputs(t, l, &n);
    bind_cotangents(t, l, &n);
    for (int k = 0; k < 5; k++) {
        grads d = grads_make();
        tensor *got[] = { d.x, d.w, d.W, d.b, d.R };
        for (int i = 0; i < 5; i++)
            fill(got[i], -77);
        OK(t, mp_bind_grad(l, names[k], &got[k]->t, 0));
        OK(t, mp_forward_train(l, t->g[1], 0, &tape));
        OK(t, mp_backward(l, tape));
        for (int i = 0; i < 5; i++)
            CHECK(t, i == k ? same(got[i], want[i]) : is_filled(got[i], -77));
        OK(t, mp_bind_grad(l, names[k], NULL, 0));
        grads_drop(&d);
    }
    OK(t, mp_backward(l, tape));                        /* none is bound: nothing to do */
    mp_tape_destroy(tape);
    mp_layer_destroy(l);
    net_drop(&n);
    grads_drop(&all);
}

/* All missing: ones. One missing: zeros. */
static void cotangents(test *t)
{
    net n = net_make();
    mp_layer *l = net_layer(t);
    mp_tape *tape = NULL;
    fill(n.dh, 1);
    fill(n.dy, 1);
    grads ones = alone(t, &n, t->g[0]), d = grads_make();
    bind_inputs(t, l, &n);
    bind_grads(t, l, &d, 0);
    OK(t, mp_forward_train(l, t->g[0], 0, &tape));
    OK(t, mp_backward(l, tape));
    CHECK(t, grads_same(&d, &ones));
    fill(n.dh, 0);
    grads half = alone(t, &n, t->g[0]);
    OK(t, mp_bind_grad(l, "y", &n.dy->t, 0));
    OK(t, mp_backward(l, tape));
    CHECK(t, grads_same(&d, &half));
    CHECK(t, is_filled(d.b, 0));
    OK(t, mp_bind_grad(l, "y", NULL, 0));
    OK(t, mp_backward(l, tape));
    CHECK(t, grads_same(&d, &ones));
    mp_tape_destroy(tape);
    mp_layer_destroy(l);
    net_drop(&n);
    grads_drop(&ones);
    grads_drop(&half);
    grads_drop(&d);
}

/* Outputs of the caller's and of the layer's give the same gradients; so do those in f64, which are kept apart. */
static void outputs(test *t)
{
    net n = net_make();
    grads want = alone(t, &n, t->g[2]), d = grads_make();
    mp_layer *l = net_layer(t);
    mp_tape *tape[2] = { NULL };
    tensor *h[2] = { floats(2, NODES, OUT), make(kDLFloat, 64, 2, NODES, OUT) };
    bind_inputs(t, l, &n);
    bind_cotangents(t, l, &n);
    bind_grads(t, l, &d, 0);
    for (int i = 0; i < 2; i++) {
        OK(t, mp_bind(l, "h", &h[i]->t, 0));
        OK(t, mp_forward_train(l, t->g[2], 0, &tape[i]));
    }
    OK(t, mp_bind(l, "h", NULL, 0));
    for (int i = 0; i < 2; i++) {
        OK(t, mp_backward(l, tape[i]));
        CHECK(t, grads_same(&d, &want));
    }
    for (int i = 0; i < NODES * OUT; i++)
        CHECK(t, ((float *)h[0]->data)[i] == (float)((double *)h[1]->data)[i]);
    mp_tape_destroy(tape[0]);
    mp_tape_destroy(tape[1]);
    mp_layer_destroy(l);
    drop(h[0]);
    drop(h[1]);
    net_drop(&n);
    grads_drop(&want);
    grads_drop(&d);
}

static void mistakes(test *t)
{
    net n = net_make();
    grads d = grads_make();
    mp_layer *l = net_layer(t), *other = net_layer(t);
    mp_tape *tape = NULL, *none = NULL;
    bind_inputs(t, l, &n);
    FAILS(t, MP_INVALID, "no input, param or output", mp_bind_grad(l, "nosuch", &d.x->t, 0));
    FAILS(t, MP_INVALID, "has no gradient", mp_bind_grad(l, "rel", &n.rel->t, 0));
    FAILS(t, MP_INVALID, "must have", mp_bind_grad(l, "W", &d.x->t, 0));
    FAILS(t, MP_INVALID, "must have", mp_bind_grad(l, "W", &d.b->t, 0));
    FAILS(t, MP_INVALID, "a float", mp_bind_grad(l, "w", &n.rel->t, 0));
    FAILS(t, MP_USAGE, "MP_CONST", mp_bind_grad(l, "W", &d.W->t, MP_CONST));
    FAILS(t, MP_USAGE, "MP_ACCUMULATE", mp_bind_grad(l, "h", &n.dh->t, MP_ACCUMULATE));
    FAILS(t, MP_USAGE, "edge values", mp_bind_grad(l, "x", &d.x->t, MP_WALK_ORDER));
    FAILS(t, MP_USAGE, "NULL", mp_backward(l, NULL));
    FAILS(t, MP_USAGE, "NULL", mp_forward_train(l, t->g[0], 0, NULL));
    FAILS(t, MP_USAGE, "NULL", mp_forward_train(l, NULL, 0, &none));
    CHECK(t, none == NULL);
    tensor *few = floats(2, NODES - 1, IN);
    OK(t, mp_bind_grad(l, "x", &few->t, 0));            /* the graph tells */
    FAILS(t, MP_INVALID, "a gradient", mp_forward_train(l, t->g[0], 0, &none));
    CHECK(t, none == NULL);
    OK(t, mp_bind_grad(l, "x", &d.x->t, 0));
    OK(t, mp_bind_grad(l, "b", &d.b->t, 0));
    OK(t, mp_forward_train(l, t->g[0], 0, &tape));
    FAILS(t, MP_USAGE, "another layer's", mp_backward(other, tape));
    FAILS(t, MP_USAGE, "another layer's", mp_forward_train(other, t->g[0], 0, &tape));
    OK(t, mp_backward(l, tape));
    OK(t, mp_bind_grad(l, "W", &(DLTensor){ .data = d.x->data, .device = { kDLCPU, 0 }, .ndim = 2, .dtype = { kDLFloat, 32, 1 },
                                             .shape = n.W->shape }, 0));
    FAILS(t, MP_INVALID, "same memory", mp_backward(l, tape));
    OK(t, mp_bind_grad(l, "W", NULL, 0));
    OK(t, mp_backward(l, tape));
    mp_tape_destroy(tape);
    mp_layer_destroy(l);
    mp_layer_destroy(other);
    drop(few);
    net_drop(&n);
    grads_drop(&d);
}

/* In place: a gradient where its cotangent, or its input, stands. */
static void in_place(test *t)
{
    net n = net_make();
    grads want = alone(t, &n, t->g[0]), d = grads_make();
    mp_layer *l = net_layer(t);
    mp_tape *tape = NULL;
    bind_inputs(t, l, &n);
    bind_cotangents(t, l, &n);
    bind_grads(t, l, &d, 0);
    OK(t, mp_bind_grad(l, "x", &n.x->t, 0));
    OK(t, mp_forward_train(l, t->g[0], 0, &tape));
    OK(t, mp_backward(l, tape));
    CHECK(t, same(n.x, want.x) && same(d.W, want.W));
    mp_tape_destroy(tape);
    mp_layer_destroy(l);
    net_drop(&n);
    grads_drop(&want);
    grads_drop(&d);
}

/* Once warm, training allocates nothing, whatever memory the tensors have. */
static void no_allocations(test *t)
{
    net n[2] = { net_make(), net_make() };
    grads d[2] = { grads_make(), grads_make() };
    mp_layer *l = net_layer(t);
    mp_tape *tape = NULL;
    size_t bytes = 0, saved = 0;
    memcpy(n[1].rel->data, n[0].rel->data, EDGES * sizeof(int32_t));
    bind_inputs(t, l, &n[0]);
    bind_cotangents(t, l, &n[0]);
    bind_grads(t, l, &d[0], 0);
    OK(t, mp_prepare(l, t->g[0]));
    OK(t, mp_forward_train(l, t->g[0], 0, &tape));
    long before = t->allocations;
    for (int i = 0; i < 6; i++) {
        OK(t, mp_bind(l, "x", &n[i % 2].x->t, 0));
        OK(t, mp_bind(l, "W", &n[i % 2].W->t, 0));
        OK(t, mp_bind_grad(l, "h", &n[i % 2].dh->t, 0));
        OK(t, mp_bind_grad(l, "W", &d[i % 2].W->t, 0));
        OK(t, mp_forward_train(l, t->g[0], (uint64_t)i, &tape));
        OK(t, mp_backward(l, tape));
        mp_tape_destroy(tape);
        tape = NULL;
        OK(t, mp_forward(l, t->g[0]));
    }
    CHECK(t, t->allocations == before);
    OK(t, mp_workspace_bytes(l, t->g[0], &bytes));
    OK(t, mp_tape_bytes(l, t->g[0], &saved));
    mp_layer_destroy(l);
    for (int i = 0; i < 2; i++) {
        net_drop(&n[i]);
        grads_drop(&d[i]);
    }
}

static void dropout(test *t)
{
    mp_layer *l = NULL;
    mp_tape *tape[2] = { NULL };
    tensor *x = floats(2, NODES, IN), *g[3], *dx[2] = { floats(2, NODES, IN), floats(2, NODES, IN) }, *way = floats(2, NODES, IN);
    OK(t, mp_layer_create(t->mod, "Drop", NULL, 0, &l));
    OK(t, mp_bind(l, "x", &x->t, 0));
    for (int i = 0; i < 3; i++) {
        g[i] = floats(2, NODES, IN);
        OK(t, mp_bind(l, "g", &g[i]->t, 0));
        OK(t, mp_bind(l, "t", &way->t, 0));
        if (i < 2)
            OK(t, mp_forward_train(l, t->g[0], (uint64_t)i, &tape[i]));
        CHECK(t, i == 2 || same(way, x));               /* training is true */
        if (i == 2)
            OK(t, mp_forward(l, t->g[0]));
    }
    CHECK(t, is_filled(way, 0));
    CHECK(t, !same(g[0], g[1]) && !same(g[0], g[2]));
    OK(t, mp_bind(l, "g", &g[2]->t, 0));
    OK(t, mp_forward_train(l, t->g[0], 0, &tape[1]));
    CHECK(t, same(g[0], g[2]));                         /* the same seed again */
    for (int i = 0; i < 2; i++) {
        OK(t, mp_bind_grad(l, "x", &dx[i]->t, 0));
        OK(t, mp_backward(l, tape[i]));
    }
    CHECK(t, same(dx[0], dx[1]));
    mp_tape_destroy(tape[0]);
    mp_tape_destroy(tape[1]);
    mp_layer_destroy(l);
    for (int i = 0; i < 3; i++)
        drop(g[i]);
    drop(x);
    drop(dx[0]);
    drop(dx[1]);
    drop(way);
}

static void without_derivatives(test *t)
{
    mp_module *mod = NULL;
    mp_layer *l = NULL;
    mp_tape *tape = NULL;
    net n = net_make();
    grads d = grads_make();
    OK(t, mpc_compile_text(t->ctx, "net.mp", source, &(mpc_options){ .grad = "none", .level = MPC_O1, .no_cache = 1 }, &mod));
    OK(t, mp_layer_create(mod, "Net", NULL, 0, &l));
    bind_inputs(t, l, &n);
    FAILS(t, MP_UNSUPPORTED, "without derivatives", mp_bind_grad(l, "W", &d.W->t, 0));
    FAILS(t, MP_UNSUPPORTED, "without derivatives", mp_forward_train(l, t->g[0], 0, &tape));
    mp_layer_destroy(l);
    mp_module_destroy(mod);
    OK(t, mpc_compile_text(t->ctx, "net.mp", source, &(mpc_options){ .grad = "params", .level = MPC_O1, .no_cache = 1 }, &mod));
    OK(t, mp_layer_create(mod, "Net", NULL, 0, &l));
    FAILS(t, MP_UNSUPPORTED, "without its gradient", mp_bind_grad(l, "x", &d.x->t, 0));
    OK(t, mp_bind_grad(l, "W", &d.W->t, 0));
    mp_layer_destroy(l);
    mp_module_destroy(mod);
    net_drop(&n);
    grads_drop(&d);
}

/* ---- all of it -------------------------------------------------------------------------------------------------- */

static void *counted(void *ud, void *ptr, size_t old_size, size_t new_size, size_t align)
{
    *(long *)ud += new_size != 0;
    return plain_resize(ptr, old_size, new_size, align);
}

static void graphs(test *t)
{
    for (int k = 0; k < CALLS; k++) {
        int32_t src[EDGES], dst[EDGES];
        for (int i = 0; i < EDGES; i++) {
            src[i] = (int32_t)((i * (7 + 2 * k) + k) % NODES);
            dst[i] = (int32_t)((i * i + 3 * k) % NODES);
        }
        OK(t, mp_graph_from_coo(t->ctx, NODES, NODES, EDGES, src, dst, &t->g[k]));
    }
}

int main(int argc, char **argv)
{
    test t = { 0 };
    int threads = argc > 1 ? atoi(argv[1]) : 2;
    const char *library = argc > 2 ? argv[2] : NULL;
    if (mp_context_create(&(mp_context_options){ .threads = threads, .alloc = counted, .alloc_ud = &t.allocations }, &t.ctx))
        return 1;
    graphs(&t);
    if (library) {
        OK(&t, mpc_compile_library(t.ctx, "net.mp", source, &(mpc_options){ .level = MPC_O1 }, library));
        OK(&t, mp_module_load(t.ctx, library, &t.mod));
    } else {
        OK(&t, mpc_compile_text(t.ctx, "net.mp", source, &(mpc_options){ .level = MPC_O1, .no_cache = 1 }, &t.mod));
    }
    if (t.mod) {
        three_calls(&t, false);
        three_calls(&t, true);
        accumulate(&t);
        some_gradients(&t);
        cotangents(&t);
        outputs(&t);
        in_place(&t);
        mistakes(&t);
        no_allocations(&t);
        dropout(&t);
        without_derivatives(&t);
    }
    for (int k = 0; k < CALLS; k++)
        mp_graph_destroy(t.g[k]);
    mp_module_destroy(t.mod);
    uint64_t now = 0;
    mp_context_memory(t.ctx, &now, NULL);
    mp_context_destroy(t.ctx);
    if (now)
        printf("%llu bytes are held after all\n", (unsigned long long)now);
    printf("%d failed\n", t.failed);
    return t.failed || now ? 1 : 0;
}
