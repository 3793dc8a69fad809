/* Sums of outer products, which the derivative by a matrix is: the members' rows of A and B are multiplied as
 * one dense product, into a matrix as accumulator.
 *
 * In the IR it is agg_sum(einsum(a, b)), or agg_sum(mul(a, b)) where the axes of a and b are not the same: both become
 * one form here, a contraction, whose result the planner never makes. */
#include "compiler/plan/planner.h"

#include <string.h>

/* ---- which there are --------------------------------------------------------------------------------------------- */

enum { ONE_A = 100, ONE_B = 150 };      /* letters of axes of 1: of one operand alone */

/* Letters of an operand of a `mul`: numbers of the result's axes, but for its axes of 1. False: too many. */
static bool number(planner *pl, ir_val x, uint32_t rank, uint8_t ones, uint8_t *names, uint8_t *n, ir_einsum *e)
{
    const ir_node *v = at_of(pl, x);
    for (uint32_t k = 0; k < v->rank; k++) {
        uint8_t axis = (uint8_t)(rank - v->rank + k);
        bool one = dim_is(pl->l->dims, v->shape[k], 1);
        names[(*n)++] = one ? (uint8_t)(ones + axis) : axis;
        if (!one)
            continue;
        if (e->nout == IR_MAX_RANK)
            return false;
        e->out[e->nout++] = (uint8_t)(ones + axis);
    }
    return true;
}

static bool as_contraction(planner *pl, ir_val x, ir_node *form)
{
    *form = *at_of(pl, x);
    if (form->op == OP_EINSUM)
        return true;
    uint32_t rank = form->rank;
    ir_einsum e;
    memset(&e, 0, sizeof e);
    for (uint32_t k = 0; k < rank; k++)
        if (!dim_is(pl->l->dims, form->shape[k], 1))
            e.out[e.nout++] = (uint8_t)k;
    if (!number(pl, form->args[0], rank, ONE_A, e.a, &e.na, &e) || !number(pl, form->args[1], rank, ONE_B, e.b, &e.nb, &e))
        return false;
    form->op = OP_EINSUM;
    form->u.ein = e;
    return true;
}

/* The wider of the two sides becomes the columns. */
static letters sum_letters(planner *pl, const ir_node *n, bool *swapped)
{
    letters l = product_letters(&n->u.ein, false);
    int64_t m, c;
    dim md = product_dim(pl, n, l.m, l.nm), nd = product_dim(pl, n, l.n, l.nn);
    *swapped = dim_is_const(pl->l->dims, md, &m) && dim_is_const(pl->l->dims, nd, &c) && c < 16 && m > c;
    return *swapped ? product_letters(&n->u.ein, true) : l;
}

static bool worth_it(planner *pl, const ir_node *n)
{
    enum { FEW = 32 };
    bool swapped;
    letters l = sum_letters(pl, n, &swapped);
    if (l.odd || l.nb > 1 || l.nm == 0 || l.nn == 0)
        return false;
    int64_t m, c;
    bool known = dim_is_const(pl->l->dims, product_dim(pl, n, l.m, l.nm), &m) && dim_is_const(pl->l->dims, product_dim(pl, n, l.n, l.nn), &c);
    return !known || (m > 1 && c > 1 && m * c >= FEW);
}

void make_sums(planner *pl)
{
    pl->sums = NEW_N(pl->mem, const ir_node *, pl->n_info + 1);
    for (uint32_t i = 1; i < pl->n_info; i++) {
        const ir_node *v = at_of(pl, (ir_val){i});
        if (v->op != OP_AGG_SUM || is_pad(pl, (ir_val){i}))
            continue;
        ir_val x = v->args[0];
        const ir_node *p = at_of(pl, x);
        if (p->dom.i == 0 || (p->op != OP_EINSUM && p->op != OP_MUL) || at_of(pl, p->args[0])->dom.i == 0 || at_of(pl, p->args[1])->dom.i == 0)
            continue;
        ir_node *form = NEW(pl->mem, ir_node);
        if (as_contraction(pl, x, form) && worth_it(pl, form))
            pl->sums[i] = form;
    }
}

/* ---- in a kernel --------------------------------------------------------------------------------------------------- */

void sum_begin(body *b, ir_val v, local_of *acc)
{
    planner *pl = b->pl;
    const ir_node *n = pl->sums[v.i], *r = at_of(pl, v);
    bool swapped, used[IR_MAX_RANK] = {false};
    letters l = sum_letters(pl, n, &swapped);
    const uint8_t *kinds[3] = {l.batch, l.m, l.n};
    int sizes[3] = {l.nb, l.nm, l.nn}, count = 0;
    /* axes of the result by letter: those of a `mul` are letters themselves */
    bool numbered = at_of(pl, r->args[0])->op == OP_MUL;
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < sizes[k]; i++)
            for (int o = 0; o < n->u.ein.nout; o++)
                if (n->u.ein.out[o] == kinds[k][i] && n->u.ein.out[o] < ONE_A) {
                    acc->order[count] = (uint8_t)(numbered ? n->u.ein.out[o] : o);
                    used[acc->order[count++]] = true;
                }
    for (int k = 0; k < r->rank; k++)                   /* axes of 1 */
        if (!used[k])
            acc->order[count++] = (uint8_t)k;
    acc->local = add_local(b, r->name ? r->name : "sum", SCOPE_ROW, kreg_of((ir_type)r->type), elems_of(pl, v), true);
    b->sums = true;
}

/* One operand: contiguous rows of a buffer or a local as they lie, or a copy with its letters in the order batch, k, free. */
typedef struct sum_operand { bool local; uint32_t id; kx offset; dim batch, k; } sum_operand;

static sum_operand take_operand(body *b, const ir_node *n, int side, const letters *l, const uint8_t *own, int n_own, spot w)
{
    planner *pl = b->pl;
    dim_table *t = pl->l->dims;
    ir_val x = n->args[side];
    view u;
    dim free_stride, k_stride;
    bool direct = view_of(b, x, w, &u) && product_flat(pl, n, side, &u, own, n_own, &free_stride) && dim_is(t, free_stride, 1) &&
                  product_flat(pl, n, side, &u, l->k, l->nk, &k_stride) && (u.local || kx_same(u.row, kx_member(b->p)));
    if (direct)
        return (sum_operand){u.local, u.id, u.offset, l->nb ? u.stride[product_axis(&n->u.ein, side, l->batch[0])] : dim_const(t, 0),
                             l->nk ? k_stride : dim_const(t, 0)};
    letters packed = *l;                                /* product_pack lays batch, m, k: here batch, k, free */
    memcpy(packed.m, l->k, sizeof packed.m);
    packed.nm = l->nk;
    memcpy(packed.k, own, sizeof packed.k);
    packed.nk = n_own;
    dim width = product_dim(pl, n, own, n_own);
    return (sum_operand){true, product_pack(b, n, side, &packed, w), kx_int(b->p, 0), dim_mul(t, width, product_dim(pl, n, l->k, l->nk)), width};
}

void sum_step(body *b, ir_val v, const local_of *acc)
{
    planner *pl = b->pl;
    kplan *p = b->p;
    dim_table *t = pl->l->dims;
    const ir_node *n = pl->sums[v.i];
    bool swapped;
    letters l = sum_letters(pl, n, &swapped);
    spot w = member_place(b);
    sum_operand left = take_operand(b, n, swapped ? 1 : 0, &l, l.m, l.nm, w);
    sum_operand right = take_operand(b, n, swapped ? 0 : 1, &l, l.n, l.nn, w);
    dim M = product_dim(pl, n, l.m, l.nm), N = product_dim(pl, n, l.n, l.nn);
    kgemm g = {.sum = true, .accumulate = true, .type = kreg_of((ir_type)n->type), .a_is_buffer = !left.local, .b_is_local = right.local,
               .a = left.id, .b = right.id, .c = acc->local, .a_offset = left.offset, .b_offset = right.offset, .c_offset = kx_int(p, 0)};
    g.m = kdim_of(p, M);
    g.n = kdim_of(p, N);
    g.k = kdim_of(p, product_dim(pl, n, l.k, l.nk));
    g.batch = kdim_of(p, product_dim(pl, n, l.batch, l.nb));
    g.a_m = g.b_n = g.c_n = kdim_int(1);
    g.a_k = kdim_of(p, left.k);
    g.b_k = kdim_of(p, right.k);
    g.a_batch = kdim_of(p, left.batch);
    g.b_batch = kdim_of(p, right.batch);
    g.c_m = kdim_of(p, N);
    g.c_batch = kdim_of(p, dim_mul(t, M, N));
    g.b_group = kdim_int(0);
    vec_push(pl->mem, b->out, kn_gemm(p, g));
}
