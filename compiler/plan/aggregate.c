/* Aggregates as accumulators: what each keeps, how a member goes in, how two pieces of a hub are merged, and
 * what comes out (docs/design.md, "Walks").
 *
 * Softmax in one walk (Milakov & Gimelshein 2018): m, l and the weighted sums are rescaled only when a
 * score exceeds m by more than SLACK. m starts at the lowest finite number, so that a score of -inf first does no
 * harm and a group of -inf alone ends as 0 / 0. Variance: Welford's update, Chan's merge, of the distances from the first
 * member: exact for values that lie close together far from zero, where a mean in f32 would not be. */
#include "compiler/plan/planner.h"

#include <float.h>
#include <math.h>

typedef struct acc_of {
    uint32_t a, b;            /* locals: the accumulator; var: mean and M2 */
    uint32_t n;               /* var: members so far */
    bool shared;              /* max, min: `a` belongs to the argmax (argmin) of the same members */
    uint32_t first;           /* var: the first member; mean is counted from it */
    ir_val group;             /* softmax: the scores of the group that it belongs to, or none */
    local_of matrix;          /* sum of products: the accumulator, its axes in an order of its own */
    bool stepped;
} acc_of;

/* A softmax group has its locals at its scores' acc_of. Sums are of e^(s - m), where m is a reference and not the
 * maximum: terms of up to e^SLACK do no harm, and rescaling the sums costs more than the sums themselves. `top` is the
 * maximum, kept where it (or the sum of e^(s - top)) is a value of its own; else 0. */
typedef struct acc_group { uint32_t m, l, s, c, p, top; bool stepped, used; } acc_group;
enum { SLACK = 8 };

typedef struct accs { acc_of *of; acc_group *groups; uint32_t count; bool counts; } accs;

static accs *accs_of(body *b) { return b->accs; }

static bool is_var(const ir_node *n) { return n->op == OP_AGG_VAR; }
static bool is_arg(const ir_node *n) { return n->op == OP_AGG_ARGMAX || n->op == OP_AGG_ARGMIN; }
static bool is_soft(const ir_node *n) { return n->op == OP_AGG_EXPSUM || n->op == OP_AGG_SOFTSUM; }

static ktype acc_type(const planner *pl, ir_val v) { return kreg_of((ir_type)at_of(pl, v)->type); }

static kx cell(body *b, uint32_t local, kx offset) { return kx_local(b->p, &b->k, local, offset); }
static kx other(body *b, uint32_t local, kx offset) { return kx_other(b->p, &b->k, local, offset); }
static kx op2(body *b, ir_op op, ktype t, kx x, kx y) { return kx_map(b->p, op, t, x, y, (kx){0}); }
static kx op1(body *b, ir_op op, ktype t, kx x) { return kx_map(b->p, op, t, x, (kx){0}, (kx){0}); }
static kx num(body *b, ktype t, double v) { return kx_num(b->p, t, v); }

static void init_with(body *b, ir_val shape_of, uint32_t local, ktype t, double v)
{
    nest q;
    nest_shape(b, &q, shape_of);
    put(b, &b->init, &q, kn_store(b->p, kref_local(local, linear(b, shape_of, q.idx)), num(b, t, v)));
}

static void init_scalar(body *b, uint32_t local, ktype t, double v)
{
    nest q = {0};
    put(b, &b->init, &q, kn_store(b->p, kref_local(local, kx_int(b->p, 0)), num(b, t, v)));
}

/* The accumulator that counts members, made when something asks whether the group is empty and the graph cannot tell. */
static uint32_t counter(body *b)
{
    accs *s = accs_of(b);
    if (!s->count) {
        s->count = add_local(b, "members", SCOPE_ROW, KT_F64, dim_const(b->pl->l->dims, 1), true);
        init_scalar(b, s->count, KT_F64, 0);
        nest q = {0};
        kref d = kref_local(s->count, kx_int(b->p, 0));
        put(b, &b->combine, &q, kn_accum(b->p, OP_ADD, d, other(b, s->count, kx_int(b->p, 0))));
    }
    return s->count;
}

static bool counted_by_graph(const body *b) { return b->kp->fiber.kind == FIBER_IN || b->kp->fiber.kind == FIBER_OUT; }

/* Is the row's group not empty? As a boolean. */
static kx some(body *b)
{
    kplan *p = b->p;
    if (b->kp->fiber.kind == FIBER_PAIR)                     /* pairs occur */
        return kx_num(p, KT_BOOL, 1);
    kx n;
    if (counted_by_graph(b)) {
        uint32_t ptr = buffer_of(b->pl, BUF_GRAPH, b->kp->fiber.kind == FIBER_IN ? GRAPH_IN_PTR : GRAPH_OUT_PTR);
        n = kx_from_int(p, KT_F64, kx_isub(p, kx_iload(p, ptr, kx_iadd(p, kx_row(p), kx_int(p, 1))), kx_iload(p, ptr, kx_row(p))));
    } else {
        n = cell(b, counter(b), kx_int(p, 0));
    }
    return op2(b, OP_LT, KT_BOOL, num(b, KT_F64, 0), n);
}

static void soft_group(body *b, ir_val s)
{
    accs *ac = accs_of(b);
    acc_group *g = &ac->groups[s.i];
    if (g->used)
        return;
    g->used = true;
    ktype t = acc_type(b->pl, s);
    dim e = elems_of(b->pl, s);
    g->m = add_local(b, "softmax.max", SCOPE_ROW, t, e, true);
    g->l = add_local(b, "softmax.sum", SCOPE_ROW, t, e, true);
    g->s = add_local(b, "softmax.score", SCOPE_MEMBER, t, e, false);
    g->p = add_local(b, "softmax.weight", SCOPE_MEMBER, t, e, false);
    g->c = add_local(b, "softmax.scale", SCOPE_ROW, t, e, false);
    double low = t == KT_F64 ? -DBL_MAX : -FLT_MAX;
    init_with(b, s, g->m, t, low);
    init_with(b, s, g->l, t, 0);
    for (uint32_t k = 0; k < b->kp->anchors.n && !g->top; k++) {
        const anchor *an = &b->pl->anchors.at[b->kp->anchors.at[k]];
        const ir_node *n = at_of(b->pl, an->v);
        if (an->agg && (n->op == OP_AGG_MAX || n->op == OP_AGG_EXPSUM) && ir_same(n->args[0], s)) {
            g->top = add_local(b, "softmax.top", SCOPE_ROW, t, e, true);
            init_with(b, s, g->top, t, low);
        }
    }
}

/* Index of the scores' element that weighs element idx of the values. */
static kx score_offset(body *b, ir_val s, const kx *idx)
{
    const ir_node *n = at_of(b->pl, s);
    kx in[IR_MAX_RANK];
    for (int k = 0; k < n->rank; k++)
        in[k] = dim_is(b->pl->l->dims, n->shape[k], 1) ? kx_int(b->p, 0) : idx[k];
    return linear(b, s, in);
}

/* The argmax of what v is the greatest of, in this kernel; or none. */
static ir_val arg_of_same(body *b, ir_val v)
{
    planner *pl = b->pl;
    const ir_node *n = at_of(pl, v);
    ir_op want = n->op == OP_AGG_MAX ? OP_AGG_ARGMAX : OP_AGG_ARGMIN;
    for (uint32_t k = 0; k < b->kp->anchors.n; k++) {
        const anchor *an = &pl->anchors.at[b->kp->anchors.at[k]];
        const ir_node *m = at_of(pl, an->v);
        if (an->agg && m->op == want && ir_same(m->args[0], n->args[0]))
            return an->v;
    }
    return (ir_val){0};
}

static void begin_arg(body *b, ir_val v)
{
    planner *pl = b->pl;
    const ir_node *n = at_of(pl, v);
    acc_of *a = &accs_of(b)->of[v.i];
    if (a->a)
        return;
    ktype t = acc_type(pl, n->args[0]);
    a->a = add_local(b, "best", SCOPE_ROW, t, elems_of(pl, v), true);
    a->n = add_local(b, "place", SCOPE_ROW, KT_I64, elems_of(pl, v), true);
    init_with(b, v, a->a, t, n->op == OP_AGG_ARGMAX ? -HUGE_VAL : HUGE_VAL);
    nest q;
    nest_shape(b, &q, v);
    put(b, &b->init, &q, kn_store(b->p, kref_local(a->n, linear(b, v, q.idx)), kx_int(b->p, -1)));
}

/* Members come in the order of their numbers along edges' ends alone; elsewhere the lesser number wins among equals. */
static bool in_order(const body *b) { return b->kp->fiber.kind == FIBER_IN || b->kp->fiber.kind == FIBER_OUT; }

/* A member x with this number goes in: it is the first (`extra` more must hold), or beats the best so far, which is no NaN. */
static void put_arg(body *b, nodes *list, ir_val v, kx x, kx number, kx extra)
{
    kplan *p = b->p;
    const ir_node *n = at_of(b->pl, v);
    acc_of *a = &accs_of(b)->of[v.i];
    bool max = n->op == OP_AGG_ARGMAX;
    nest q;
    nest_shape(b, &q, v);
    kx off = linear(b, v, q.idx), best = cell(b, a->a, off), kept = cell(b, a->n, off);
    kx beats = op1(b, OP_NOT, KT_BOOL, max ? op2(b, OP_LE, KT_BOOL, x, best) : op2(b, OP_LE, KT_BOOL, best, x));
    if (!in_order(b))
        beats = op2(b, OP_OR, KT_BOOL, beats, op2(b, OP_AND, KT_BOOL, op2(b, OP_EQ, KT_BOOL, x, best), op2(b, OP_LT, KT_BOOL, number, kept)));
    beats = op2(b, OP_AND, KT_BOOL, beats, op2(b, OP_EQ, KT_BOOL, best, best));
    kx take = op2(b, OP_OR, KT_BOOL, beats, op2(b, OP_LT, KT_BOOL, kept, kx_int(p, 0)));
    if (kx_is(extra))
        take = op2(b, OP_AND, KT_BOOL, take, extra);
    put(b, list, &q, kn_store(p, kref_local(a->n, off), kx_isel(p, take, number, kept)));
    put(b, list, &q, kn_accum(p, max ? OP_MAX : OP_MIN, kref_local(a->a, off), x));
}

static void begin_one(body *b, ir_val v)
{
    planner *pl = b->pl;
    const ir_node *n = at_of(pl, v);
    b->p->here = n->where;
    acc_of *a = &accs_of(b)->of[v.i];
    ktype t = acc_type(pl, v);
    if (is_soft(n) || (n->op == OP_AGG_MAX && accs_of(b)->groups[n->args[0].i].used)) {
        a->group = n->args[0];
        if (n->op != OP_AGG_SOFTSUM)
            return;
        a->a = add_local(b, "softmax.acc", SCOPE_ROW, t, elems_of(pl, v), true);
        init_with(b, v, a->a, t, 0);
        return;
    }
    if (pl->sums[v.i]) {
        sum_begin(b, v, &a->matrix);
        a->a = a->matrix.local;
        init_with(b, v, a->a, t, 0);        /* all of it, in whatever order */
        return;
    }
    if (is_arg(n)) {
        begin_arg(b, v);
        return;
    }
    ir_val same = n->op == OP_AGG_MAX || n->op == OP_AGG_MIN ? arg_of_same(b, v) : (ir_val){0};
    if (ir_is(same)) {
        begin_arg(b, same);
        a->a = accs_of(b)->of[same.i].a;
        a->shared = true;
        return;
    }
    double start = 0;
    switch ((ir_op)n->op) {
    case OP_AGG_MAX: start = -HUGE_VAL; break;
    case OP_AGG_MIN: start = HUGE_VAL; break;
    case OP_AGG_PROD: case OP_AGG_ALL: start = 1; break;
    case OP_AGG_SUM: case OP_AGG_ANY: case OP_SPREAD: case OP_COUNT: break;
    case OP_AGG_VAR: {
        dim e = elems_of(pl, v), one = dim_const(pl->l->dims, 1);
        a->n = add_local(b, "var.n", SCOPE_ROW, t, one, true);
        a->a = add_local(b, "var.mean", SCOPE_ROW, t, e, true);
        a->b = add_local(b, "var.m2", SCOPE_ROW, t, e, true);
        a->first = add_local(b, "var.first", SCOPE_ROW, t, e, true);
        init_scalar(b, a->n, t, 0);
        init_with(b, v, a->first, t, 0);
        init_with(b, v, a->a, t, 0);
        init_with(b, v, a->b, t, 0);
        return;
    }
    default:
        plan_fail(pl, "'%s' has no walk on this device", ir_ops[n->op].text);
        return;
    }
    a->a = add_local(b, n->name ? n->name : "acc", SCOPE_ROW, t, elems_of(pl, v), true);
    init_with(b, v, a->a, t, start);
}

static ir_op accum_op(ir_op op)
{
    switch (op) {
    case OP_AGG_MAX: return OP_MAX;
    case OP_AGG_MIN: return OP_MIN;
    case OP_AGG_PROD: return OP_MUL;
    case OP_AGG_ANY: return OP_OR;
    case OP_AGG_ALL: return OP_AND;
    default: return OP_ADD;
    }
}

static void combine_one(body *b, ir_val v)
{
    planner *pl = b->pl;
    kplan *p = b->p;
    const ir_node *n = at_of(pl, v);
    b->p->here = n->where;
    acc_of *a = &accs_of(b)->of[v.i];
    ktype t = acc_type(pl, v);
    if (ir_is(a->group) || a->shared)
        return;
    nest q, none = {0};
    nest_shape(b, &q, v);
    kx off = linear(b, v, q.idx), zero = kx_int(p, 0);
    if (is_arg(n)) {                                    /* a piece without members has no place */
        kx number = other(b, a->n, off);
        put_arg(b, &b->combine, v, other(b, a->a, off), number, op2(b, OP_LE, KT_BOOL, zero, number));
        return;
    }
    if (!is_var(n)) {
        put(b, &b->combine, &q, kn_accum(p, n->op == OP_SPREAD ? OP_ADD : accum_op((ir_op)n->op), kref_local(a->a, off), other(b, a->a, off)));
        return;
    }
    /* n = n1 + n2;  d = mean2 - mean1;  mean = mean1 + d n2 / n;  M2 = M2_1 + M2_2 + d^2 n1 n2 / n */
    kx n1 = cell(b, a->n, zero), n2 = other(b, a->n, zero), sum = op2(b, OP_ADD, t, n1, n2);
    uint32_t f = add_local(b, "var.share", SCOPE_ROW, t, dim_const(pl->l->dims, 1), false);
    uint32_t d = add_local(b, "var.delta", SCOPE_ROW, t, elems_of(pl, v), false);
    kx share = cell(b, f, zero), delta = cell(b, d, off);
    put(b, &b->combine, &none, kn_store(p, kref_local(f, zero), op2(b, OP_DIV, t, n2, sum)));
    kx first = cell(b, a->first, off), first2 = other(b, a->first, off), empty = op2(b, OP_EQ, KT_BOOL, n1, num(b, t, 0));
    put(b, &b->combine, &q, kn_store(p, kref_local(a->first, off), kx_map(p, OP_WHERE, t, empty, first2, first)));
    put(b, &b->combine, &q, kn_store(p, kref_local(d, off),
         op2(b, OP_ADD, t, op2(b, OP_SUB, t, other(b, a->a, off), cell(b, a->a, off)), op2(b, OP_SUB, t, first2, first))));
    put(b, &b->combine, &q, kn_accum(p, OP_ADD, kref_local(a->b, off),
         op2(b, OP_ADD, t, other(b, a->b, off), op2(b, OP_MUL, t, op2(b, OP_MUL, t, delta, delta), op2(b, OP_MUL, t, n1, share)))));
    put(b, &b->combine, &q, kn_accum(p, OP_ADD, kref_local(a->a, off), op2(b, OP_MUL, t, delta, share)));
    put(b, &b->combine, &none, kn_accum(p, OP_ADD, kref_local(a->n, zero), n2));
}

/* M = max(m1, m2); l and the sums of each side times e^(m - M). */
static void combine_group(body *b, ir_val s)
{
    kplan *p = b->p;
    planner *pl = b->pl;
    acc_group *g = &accs_of(b)->groups[s.i];
    ktype t = acc_type(pl, s);
    nest q;
    nest_shape(b, &q, s);
    kx off = linear(b, s, q.idx);
    uint32_t c2 = add_local(b, "softmax.scale2", SCOPE_ROW, t, elems_of(pl, s), false);
    kx m1 = cell(b, g->m, off), m2 = other(b, g->m, off), top = op2(b, OP_MAX, t, m1, m2);
    put(b, &b->combine, &q, kn_store(p, kref_local(g->c, off), op1(b, OP_EXP, t, op2(b, OP_SUB, t, m1, top))));
    put(b, &b->combine, &q, kn_store(p, kref_local(c2, off), op1(b, OP_EXP, t, op2(b, OP_SUB, t, m2, top))));
    put(b, &b->combine, &q, kn_store(p, kref_local(g->l, off),
         op2(b, OP_ADD, t, op2(b, OP_MUL, t, cell(b, g->l, off), cell(b, g->c, off)), op2(b, OP_MUL, t, other(b, g->l, off), cell(b, c2, off)))));
    put(b, &b->combine, &q, kn_accum(p, OP_MAX, kref_local(g->m, off), m2));
    if (g->top)
        put(b, &b->combine, &q, kn_accum(p, OP_MAX, kref_local(g->top, off), other(b, g->top, off)));
    for (uint32_t k = 0; k < b->kp->anchors.n; k++) {
        anchor *an = &pl->anchors.at[b->kp->anchors.at[k]];
        const ir_node *n = at_of(pl, an->v);
        if (!an->agg || n->op != OP_AGG_SOFTSUM || !ir_same(n->args[0], s))
            continue;
        nest r;
        nest_shape(b, &r, an->v);
        kx o = linear(b, an->v, r.idx), so = score_offset(b, s, r.idx);
        uint32_t acc = accs_of(b)->of[an->v.i].a;
        put(b, &b->combine, &r, kn_store(p, kref_local(acc, o), op2(b, OP_ADD, t, op2(b, OP_MUL, t, cell(b, acc, o), cell(b, g->c, so)),
                                                                    op2(b, OP_MUL, t, other(b, acc, o), cell(b, c2, so)))));
    }
}

void aggs_begin(body *b)
{
    planner *pl = b->pl;
    accs *s = NEW(pl->mem, accs);
    s->of = NEW_N(pl->mem, acc_of, pl->n_info);
    s->groups = NEW_N(pl->mem, acc_group, pl->n_info);
    b->accs = s;
    for (uint32_t k = 0; k < b->kp->anchors.n; k++) {
        anchor *an = &pl->anchors.at[b->kp->anchors.at[k]];
        if (an->agg && is_soft(at_of(pl, an->v)))
            soft_group(b, at_of(pl, an->v)->args[0]);
    }
    for (uint32_t k = 0; k < b->kp->anchors.n; k++) {
        anchor *an = &pl->anchors.at[b->kp->anchors.at[k]];
        if (an->agg)
            begin_one(b, an->v);
    }
    for (uint32_t k = 0; k < b->kp->anchors.n && !pl->why; k++) {
        anchor *an = &pl->anchors.at[b->kp->anchors.at[k]];
        if (!an->agg)
            continue;
        const ir_node *n = at_of(pl, an->v);
        combine_one(b, an->v);
        /* what comes out asks for emptiness: the counter must exist before the walk */
        if (!is_arg(n) && n->op != OP_AGG_SUM && n->op != OP_AGG_PROD && n->op != OP_AGG_ANY && n->op != OP_AGG_ALL && n->op != OP_SPREAD && n->op != OP_COUNT &&
            n->op != OP_AGG_VAR && n->op != OP_AGG_EXPSUM)
            some(b);
    }
    for (uint32_t i = 1; i < pl->n_info; i++)
        if (s->groups[i].used)
            combine_group(b, (ir_val){i});
}

static spot arg_place(body *b, ir_val arg)
{
    if (at_of(b->pl, arg)->dom.i == 0)
        return (spot){AT_OTHER, ir_dom_unit(), kx_int(b->p, 0)};
    return member_place(b);
}

/* The value of an operand where the result has indices idx (an operand of the unit domain may have fewer axes). */
static kx arg_value(body *b, ir_val arg, ir_val of, const kx *idx)
{
    const ir_node *n = at_of(b->pl, arg), *r = at_of(b->pl, of);
    kx in[IR_MAX_RANK];
    int off = r->rank - n->rank;
    for (int k = 0; k < n->rank; k++)
        in[k] = dim_is(b->pl->l->dims, n->shape[k], 1) ? kx_int(b->p, 0) : idx[k + off];
    return value(b, arg, arg_place(b, arg), in);
}

static void step_group(body *b, ir_val s)
{
    planner *pl = b->pl;
    kplan *p = b->p;
    acc_group *g = &accs_of(b)->groups[s.i];
    if (g->stepped)
        return;
    g->stepped = true;
    span after = p->here;
    p->here = at_of(pl, s)->where;
    ktype t = acc_type(pl, s);
    nest q;
    nest_shape(b, &q, s);
    kx off = linear(b, s, q.idx);
    kx score = cell(b, g->s, off), m = cell(b, g->m, off);
    put(b, &b->mem, &q, kn_store(p, kref_local(g->s, off), arg_value(b, s, s, q.idx)));

    if (g->top)
        put(b, &b->mem, &q, kn_accum(p, OP_MAX, kref_local(g->top, off), score));

    /* a score far above m (or not a number): rescale what there is */
    nodes up = {0};
    nodes *list = &up;
    put(b, list, &q, kn_store(p, kref_local(g->c, off), op1(b, OP_EXP, t, op2(b, OP_SUB, t, m, op2(b, OP_MAX, t, m, score)))));
    put(b, list, &q, kn_accum(p, OP_MUL, kref_local(g->l, off), cell(b, g->c, off)));
    for (uint32_t k = 0; k < b->kp->anchors.n; k++) {
        anchor *an = &pl->anchors.at[b->kp->anchors.at[k]];
        const ir_node *n = at_of(pl, an->v);
        if (an->agg && n->op == OP_AGG_SOFTSUM && ir_same(n->args[0], s)) {
            nest r;
            nest_shape(b, &r, an->v);
            put(b, list, &r, kn_accum(p, OP_MUL, kref_local(accs_of(b)->of[an->v.i].a, linear(b, an->v, r.idx)), cell(b, g->c, score_offset(b, s, r.idx))));
        }
    }
    put(b, list, &q, kn_accum(p, OP_MAX, kref_local(g->m, off), score));
    kx above = kx_map(p, OP_NOT, KT_BOOL, op2(b, OP_LE, KT_BOOL, score, op2(b, OP_ADD, t, m, num(b, t, SLACK))), (kx){0}, (kx){0});
    vec_push(pl->mem, &b->mem, kn_ifany(p, q.loops, q.n, above, up.at, up.n));

    put(b, &b->mem, &q, kn_store(p, kref_local(g->p, off), op1(b, OP_EXP, t, op2(b, OP_SUB, t, score, m))));
    put(b, &b->mem, &q, kn_accum(p, OP_ADD, kref_local(g->l, off), cell(b, g->p, off)));
    p->here = after;
}

void agg_step(body *b, ir_val v)
{
    planner *pl = b->pl;
    kplan *p = b->p;
    const ir_node *n = at_of(pl, v);
    b->p->here = n->where;
    acc_of *a = &accs_of(b)->of[v.i];
    accs *s = accs_of(b);
    ktype t = acc_type(pl, v);
    nest none = {0}, q;
    if (s->count && !s->counts) {
        s->counts = true;
        put(b, &b->mem, &none, kn_accum(p, OP_ADD, kref_local(s->count, kx_int(p, 0)), num(b, KT_F64, 1)));
    }
    if (ir_is(a->group)) {
        step_group(b, a->group);
        if (n->op == OP_AGG_SOFTSUM) {
            nest_shape(b, &q, v);
            kx w = cell(b, s->groups[a->group.i].p, score_offset(b, a->group, q.idx));
            put(b, &b->mem, &q, kn_accum(p, OP_ADD, kref_local(a->a, linear(b, v, q.idx)), op2(b, OP_MUL, t, w, arg_value(b, n->args[1], v, q.idx))));
        }
        return;
    }
    if (n->op == OP_COUNT) {
        put(b, &b->mem, &none, kn_accum(p, OP_ADD, kref_local(a->a, kx_int(p, 0)), num(b, t, 1)));
        return;
    }
    if (n->op == OP_SPREAD) {
        nest_shape(b, &q, n->args[0]);
        kx to[IR_MAX_RANK];
        to[0] = kx_iload(p, buffer_of(pl, BUF_PAIR_IDX, b->kp->fiber.which), member_place(b).row);
        for (int k = 0; k + 1 < n->rank; k++)
            to[k + 1] = q.idx[k];
        kx x = value(b, n->args[0], arg_place(b, n->args[0]), q.idx);
        put(b, &b->mem, &q, kn_store(p, kref_local(a->a, linear(b, v, to)), x));
        return;
    }
    if (a->matrix.local) {
        sum_step(b, v, &a->matrix);
        return;
    }
    if (a->shared)
        return;
    nest_shape(b, &q, v);
    kx off = linear(b, v, q.idx), x = arg_value(b, n->args[0], v, q.idx);
    if (is_arg(n)) {
        put_arg(b, &b->mem, v, x, position_value(b, n->args[1], member_place(b)), (kx){0});
        return;
    }
    if (!is_var(n)) {
        put(b, &b->mem, &q, kn_accum(p, accum_op((ir_op)n->op), kref_local(a->a, off), x));
        return;
    }
    /* n += 1;  d = x - mean;  mean += d / n;  M2 += d (x - mean) */
    dim one = dim_const(pl->l->dims, 1);
    kx zero = kx_int(p, 0);
    uint32_t inv = add_local(b, "var.inv", SCOPE_MEMBER, t, one, false), d = add_local(b, "var.d", SCOPE_MEMBER, t, elems_of(pl, v), false);
    put(b, &b->mem, &none, kn_accum(p, OP_ADD, kref_local(a->n, zero), num(b, t, 1)));
    put(b, &b->mem, &none, kn_store(p, kref_local(inv, zero), op2(b, OP_DIV, t, num(b, t, 1), cell(b, a->n, zero))));
    kx mean = cell(b, a->a, off), dv = cell(b, d, off), iv = cell(b, inv, zero);
    kx first = cell(b, a->first, off), alone = op2(b, OP_EQ, KT_BOOL, cell(b, a->n, zero), num(b, t, 1));
    put(b, &b->mem, &q, kn_store(p, kref_local(a->first, off), kx_map(p, OP_WHERE, t, alone, x, first)));
    put(b, &b->mem, &q, kn_store(p, kref_local(d, off), op2(b, OP_SUB, t, op2(b, OP_SUB, t, x, first), mean)));
    put(b, &b->mem, &q, kn_accum(p, OP_ADD, kref_local(a->b, off), /* d (x - (mean + d / n)) = d d (1 - 1 / n) */
         op2(b, OP_MUL, t, op2(b, OP_MUL, t, dv, dv), op2(b, OP_SUB, t, num(b, t, 1), iv))));
    put(b, &b->mem, &q, kn_accum(p, OP_ADD, kref_local(a->a, off), op2(b, OP_MUL, t, dv, iv)));
}

bool agg_wants_local(const planner *pl, ir_val v)
{
    const ir_node *n = at_of(pl, v);
    return n->op == OP_AGG_SOFTSUM || n->op == OP_AGG_EXPSUM || n->op == OP_AGG_VAR || n->op == OP_AGG_MAX || n->op == OP_AGG_MIN;
}

kx agg_value(body *b, ir_val v, const kx *idx)
{
    planner *pl = b->pl;
    kplan *p = b->p;
    const ir_node *n = at_of(pl, v);
    acc_of *a = &accs_of(b)->of[v.i];
    ktype t = acc_type(pl, v);
    kx off = linear(b, v, idx);
    if (ir_is(a->group)) {
        acc_group *g = &accs_of(b)->groups[a->group.i];
        kx so = n->op == OP_AGG_SOFTSUM ? score_offset(b, a->group, idx) : off;
        if (n->op == OP_AGG_EXPSUM)
            return op2(b, OP_MUL, t, cell(b, g->l, so), op1(b, OP_EXP, t, op2(b, OP_SUB, t, cell(b, g->m, so), cell(b, g->top, so))));
        if (n->op == OP_AGG_SOFTSUM)
            return kx_select(p, some(b), op2(b, OP_DIV, t, cell(b, a->a, off), cell(b, g->l, so)), num(b, t, 0));
        double low = t == KT_F64 ? -DBL_MAX : -FLT_MAX;
        kx m = cell(b, g->top, so);
        kx was_inf = op2(b, OP_EQ, KT_BOOL, m, num(b, t, low));
        return kx_select(p, some(b), kx_select(p, was_inf, num(b, t, -HUGE_VAL), m), num(b, t, 0));
    }
    if (a->matrix.local)
        return cell(b, a->a, local_offset(b, v, &a->matrix, idx));
    if (is_arg(n))
        return cell(b, a->n, off);
    switch ((ir_op)n->op) {
    case OP_AGG_MAX: case OP_AGG_MIN: return kx_select(p, some(b), cell(b, a->a, off), num(b, t, 0));
    case OP_AGG_VAR: {
        kx c = op2(b, OP_MAX, t, cell(b, a->n, kx_int(p, 0)), num(b, t, 1));
        return op2(b, OP_DIV, t, cell(b, a->b, off), c);
    }
    default: return cell(b, a->a, off);
    }
}
