/* The table tests itself: for each operation the flags of its row hold in the interpreter on random
 * operands. An operation is run as a layer of its own, y = op(a, b, ...), on inputs given by the test. */
#include "tests/ir/fixture.h"

#include <math.h>
#include <stdlib.h>

enum { N = 40, WIDTH = 6, EDGES = 60 };

typedef struct op_layer {
    fixture f;
    ir_op op;
    ir_val in[3];
    uint32_t n;                 /* operands that are not maps */
    int64_t size[3];
    bool truth;                 /* operands are bools */
} op_layer;

static bool is_unary_shape(ir_op op)
{
    return op == OP_RESHAPE || op == OP_TRANSPOSE || op == OP_BROADCAST || op == OP_SLICE || op == OP_ROWS || op == OP_UNROWS;
}

static ir_val shape_op(op_layer *t, ir_op op, dim two, dim three)
{
    ir_layer *l = t->f.l;
    ir_val a = t->in[0];
    ir_shape swapped = shape_of(&t->f, 2, three, two), wide = shape_of(&t->f, 3, two, two, three);
    if (op == OP_RESHAPE) return ir_reshape(l, a, &swapped);
    if (op == OP_TRANSPOSE) return ir_transpose(l, a, (uint8_t[]){1, 0});
    if (op == OP_BROADCAST) return ir_broadcast(l, a, ir_at(l, a)->dom, &wide);
    if (op == OP_ROWS) return ir_rows(l, a);
    if (op == OP_UNROWS) return ir_unrows(l, ir_ew1(l, OP_STOP, ir_rows(l, a)));
    return ir_slice(l, a, 1, dim_const(t->f.dims, 1), two);
}

/* False where the operation has no operand to try. Operands are f64, [2, 3] at each member. */
static bool open(op_layer *t, ir_op op)
{
    memset(t, 0, sizeof *t);
    ir_class cls = ir_ops[op].cls;
    if (cls == CLS_LEAF || cls == CLS_MAP || cls == CLS_LOOP || op == OP_POSITION || op == OP_HAS)
        return false;
    fixture *f = &t->f;
    fixture_open(f);
    fixture_random_graph(f, N, N, EDGES);
    ir_layer *l = f->l;
    dim two = dim_const(f->dims, 2), three = dim_const(f->dims, 3);
    ir_shape s = shape_of(f, 2, two, three);
    bool edges = cls == CLS_AGG || cls == CLS_GROUP || op == OP_LOOKUP || op == OP_ONEHOT_ADD || op == OP_SPREAD;
    ir_dom dom = op == OP_ROWS || op == OP_UNROWS ? ir_dom_unit() : edges ? ir_dom_edge(l) : ir_dom_src(l);
    t->op = op;
    t->truth = op == OP_AND || op == OP_OR || op == OP_NOT || op == OP_AGG_ANY || op == OP_AGG_ALL;
    t->n = cls == CLS_EW ? (uint32_t)ir_ops[op].nargs : cls == CLS_CONTRACT || op == OP_CONCAT || op == OP_AGG_SOFTSUM ? 2 : 1;
    if (op == OP_DROPOUT)
        t->n = 1;
    for (uint32_t k = 0; k < t->n; k++) {
        ir_type type = t->truth || (op == OP_WHERE && k == 0) ? T_BOOL : T_F64;
        t->in[k] = fixture_input(f, "a", dom, type, s);
        t->size[k] = WIDTH * (dom.i == 0 ? 1 : edges ? EDGES : N);
    }
    ir_val y, at = {0};
    if (op == OP_LOOKUP || op == OP_ONEHOT_ADD || op == OP_SPREAD || op == OP_UNSPREAD) {
        at = fixture_index(f, "i", ir_dom_edge(l), two, true);
        double *v = NEW_N(f->mem, double, EDGES);
        for (int e = 0; e < EDGES; e++)
            v[e] = e % 3 - 1;
        fixture_give(f, at, v, EDGES);
    }
    if (op == OP_CAST) y = ir_cast(l, t->in[0], T_F32);
    else if (op == OP_BUCKET) y = ir_bucket(l, t->in[0], three);
    else if (op == OP_DROPOUT) y = ir_dropout(l, t->in[0], ir_const(l, T_F64, 0.3), ir_step_key(l, 0), 5);
    else if (cls == CLS_EW) y = ir_ew(l, op, t->in);
    else if (cls == CLS_REDUCE) y = ir_reduce(l, op, t->in[0], 0);
    else if (cls == CLS_CONTRACT) y = ir_einsum_(l, t->in[0], t->in[1], "ab,cb->ac");
    else if (op == OP_CONCAT) y = ir_concat(l, t->in, 2, 1);
    else if (is_unary_shape(op)) y = shape_op(t, op, two, three);
    else if (op == OP_LOOKUP) y = ir_lookup(l, t->in[0], at);
    else if (op == OP_ONEHOT_ADD) y = ir_unlookup(l, t->in[0], at);
    else if (op == OP_SPREAD) {
        ir_val pairs = ir_map_pair(l, at, ir_map_src(l));
        y = ir_spread(l, ir_agg(l, OP_AGG_SUM, t->in[0], pairs), pairs);
    } else if (op == OP_UNSPREAD) y = ir_unspread(l, t->in[0], ir_map_pair(l, at, ir_map_src(l)));
    else if (op == OP_GATHER) y = ir_gather(l, t->in[0], ir_map_src(l));
    else if (op == OP_AGG_SOFTSUM) y = ir_softsum(l, t->in[0], t->in[1], ir_map_dst(l));
    else if (cls == CLS_AGG) y = ir_agg(l, op, t->in[0], ir_map_dst(l));
    else y = ir_softmax(l, t->in[0], ir_map_dst(l));
    fixture_output(f, "y", y);
    f->call.training = true;
    return true;
}

/* Operands of the operation; NULL keeps what was there. The result, copied, in the fixture's arena. */
static double *apply(op_layer *t, const double *a, const double *b, const double *c)
{
    const double *given[] = {a, b, c};
    for (uint32_t k = 0; k < t->n; k++)
        if (given[k])
            fixture_give(&t->f, t->in[k], given[k], t->size[k]);
    if (!fixture_run(&t->f))
        exit(1);
    return arena_copy(t->f.mem, fixture_out(&t->f, 0), (size_t)t->f.result.outputs[0].n * sizeof(double));
}

static double *random_operand(op_layer *t, uint32_t k)
{
    double *v = NEW_N(t->f.mem, double, t->size[k]);
    for (int64_t i = 0; i < t->size[k]; i++) {
        double u = fixture_uniform(&t->f);
        v[i] = ir_at(t->f.l, t->in[k])->type == T_BOOL ? u > 0 : t->op == OP_POW ? fabs(2 * u) : 2 * u;
    }
    return v;
}

static double *combined(op_layer *t, uint32_t k, double p, const double *a, double q, const double *b)
{
    double *v = NEW_N(t->f.mem, double, t->size[k]);
    for (int64_t i = 0; i < t->size[k]; i++)
        v[i] = p * a[i] + q * b[i];
    return v;
}

static double *zeros(op_layer *t, uint32_t k) { return NEW_N(t->f.mem, double, t->size[k]); }

static void check_same(op_layer *t, const char *flag, const double *got, const double *want, double tol)
{
    int before = *check_failures();
    CHECK_NEAR(got, want, t->f.result.outputs[0].n, tol);
    if (*check_failures() != before)
        fprintf(stderr, "%s is not %s\n", ir_ops[t->op].text, flag);
}

/* f(2a - 3b) = 2 f(a) - 3 f(b), with the operands before and after k fixed. */
static void check_linear(op_layer *t, uint32_t k, const char *flag)
{
    double *fixed[3] = {0}, *a = random_operand(t, k), *b = random_operand(t, k), *both = combined(t, k, 2, a, -3, b);
    for (uint32_t j = 0; j < t->n; j++)
        fixed[j] = random_operand(t, j);
    const double *of[3];
    double *results[3];
    for (int i = 0; i < 3; i++) {
        for (uint32_t j = 0; j < 3; j++)
            of[j] = fixed[j];
        of[k] = i == 0 ? a : i == 1 ? b : both;
        results[i] = apply(t, of[0], of[1], of[2]);
    }
    int64_t n = t->f.result.outputs[0].n;
    double *want = NEW_N(t->f.mem, double, n), tol = t->op == OP_CAST ? 1e-6 : 1e-11;
    for (int64_t i = 0; i < n; i++)
        want[i] = 2 * results[0][i] - 3 * results[1][i];
    check_same(t, flag, results[2], want, tol);
}

static void check_linear_all(op_layer *t)
{
    double *a[2] = {0}, *b[2] = {0}, *both[2] = {0};
    for (uint32_t k = 0; k < t->n; k++) {
        a[k] = random_operand(t, k);
        b[k] = random_operand(t, k);
        both[k] = combined(t, k, 2, a[k], -3, b[k]);
    }
    double *fa = apply(t, a[0], a[1], NULL), *fb = apply(t, b[0], b[1], NULL), *fab = apply(t, both[0], both[1], NULL);
    int64_t n = t->f.result.outputs[0].n;
    double *want = NEW_N(t->f.mem, double, n);
    for (int64_t i = 0; i < n; i++)
        want[i] = 2 * fa[i] - 3 * fb[i];
    check_same(t, "LINALL", fab, want, t->op == OP_CAST ? 1e-6 : 1e-11);
}

static void check_mono(op_layer *t)
{
    double *a = random_operand(t, 0), *more = NEW_N(t->f.mem, double, t->size[0]), *b = t->n > 1 ? random_operand(t, 1) : NULL;
    for (int64_t i = 0; i < t->size[0]; i++) {
        if (t->op == OP_LOG || t->op == OP_LOG1P || t->op == OP_SQRT || t->op == OP_SQRT0)
            a[i] = fabs(a[i]);
        more[i] = a[i] + 1 + fixture_uniform(&t->f);
    }
    double *low = apply(t, a, b, NULL), *high = apply(t, more, b, NULL);
    for (int64_t i = 0; i < t->f.result.outputs[0].n; i++) {
        if (high[i] < low[i]) {
            fprintf(stderr, "%s is not MONO\n", ir_ops[t->op].text);
            CHECK(high[i] >= low[i]);
            break;
        }
    }
}

/* A NaN in every element of any one floating operand makes every element NaN that has members. */
static void check_nan(op_layer *t)
{
    for (uint32_t k = 0; k < t->n; k++) {
        double *v[3] = {0};
        for (uint32_t j = 0; j < t->n; j++)
            v[j] = random_operand(t, j);
        double *clean = apply(t, v[0], v[1], v[2]);
        for (int64_t i = 0; i < t->size[k]; i++)
            v[k][i] = NAN;
        double *y = apply(t, v[0], v[1], v[2]);
        int64_t n = t->f.result.outputs[0].n, w = n / t->f.result.outputs[0].rows, lost = 0;
        for (int64_t i = 0; i < n; i++) {
            bool member = ir_ops[t->op].cls != CLS_AGG;
            for (int64_t e = 0; !member && e < EDGES; e++)
                member = t->f.graph.dst[e] == i / w;
            lost += member && !isnan(y[i]);
        }
        if (lost)
            fprintf(stderr, "%s is not NAN in operand %u\n", ir_ops[t->op].text, k);
        CHECK(lost == 0);
        (void)clean;
    }
}

static void check_flags(op_layer *t)
{
    unsigned flags = ir_ops[t->op].flags;
    double *v[3] = {0};
    for (uint32_t k = 0; k < t->n; k++)
        v[k] = random_operand(t, k);
    double *y = apply(t, v[0], v[1], v[2]);
    int64_t n = t->f.result.outputs[0].n;
    if (flags & OPF_COMM)
        check_same(t, "COMM", apply(t, v[1], v[0], NULL), y, 0);
    if (flags & OPF_ASSOC) {
        double *c = random_operand(t, 0);
        double *left = apply(t, y, c, NULL), *right = apply(t, v[0], apply(t, v[1], c, NULL), NULL);
        check_same(t, "ASSOC", left, right, 1e-13);
    }
    if ((flags & OPF_IDEM) && t->n == 2)
        check_same(t, "IDEM", apply(t, v[0], v[0], NULL), v[0], 0);
    if ((flags & OPF_IDEM) && t->n == 1 && n == t->size[0] && ir_ops[t->op].cls == CLS_EW)
        check_same(t, "IDEM", apply(t, y, NULL, NULL), y, 0);
    if (flags & OPF_LIN0)
        check_linear(t, 0, "LIN0");
    if (flags & OPF_LIN1)
        check_linear(t, 1, "LIN1");
    if (flags & OPF_LINALL)
        check_linear_all(t);
    if (flags & OPF_ZERO0)
        check_same(t, "ZERO0", apply(t, zeros(t, 0), v[1], v[2]), NEW_N(t->f.mem, double, n), 0);
    if (flags & OPF_MONO)
        check_mono(t);
    if (flags & OPF_NAN)
        check_nan(t);
}

/* The columns fit each other. */
static void check_rows(void)
{
    for (int k = 0; k < OP_N; k++) {
        const ir_opinfo *o = &ir_ops[k];
        CHECK(o->text && o->meaning && strlen(o->meaning) > 0 && o->cost >= 0);
        for (int j = 0; j < k; j++)
            CHECK(strcmp(o->text, ir_ops[j].text) != 0);
        if (o->flags & (OPF_COMM | OPF_ASSOC))
            CHECK(o->nargs == 2 && o->cls == CLS_EW);
        if (o->cls == CLS_MAP || o->type == TYPE_BOOL)
            CHECK(strcmp(o->derivative, "NONE") == 0);
        if (o->shape == SHAPE_BCAST)
            CHECK(o->cls == CLS_EW && o->nargs > 1);
        if (o->shape == SHAPE_AXIS)
            CHECK(o->cls == CLS_REDUCE);
    }
}

int main(void)
{
    check_rows();
    for (int k = 0; k < OP_N; k++) {
        op_layer t;
        if (!open(&t, (ir_op)k))
            continue;
        check_flags(&t);
        fixture_close(&t.f);
    }
    return check_done();
}
