/* Products: which contractions become dense products on a tile, with what operands, and which stay loops. */
#include "compiler/plan/planner.h"

#include <string.h>

static bool holds(const uint8_t *l, int n, uint8_t x)
{
    for (int i = 0; i < n; i++)
        if (l[i] == x)
            return true;
    return false;
}

/* Letters by the part they play, with a and b exchanged when the weights stand on the left. Each kind is in
 * the order in which the weights have it (m: the other operand). */
letters product_letters(const ir_einsum *e, bool swapped)
{
    letters r = {0};
    const uint8_t *a = swapped ? e->b : e->a, *b = swapped ? e->a : e->b;
    int na = swapped ? e->nb : e->na, nb = swapped ? e->na : e->nb;
    for (int i = 0; i < nb; i++) {
        bool in_a = holds(a, na, b[i]), out = holds(e->out, e->nout, b[i]);
        if (in_a && out) r.batch[r.nb++] = b[i];
        else if (in_a) r.k[r.nk++] = b[i];
        else if (out) r.n[r.nn++] = b[i];
        else r.odd = true;
    }
    for (int i = 0; i < na; i++)
        if (!holds(b, nb, a[i])) {
            if (holds(e->out, e->nout, a[i])) r.m[r.nm++] = a[i];
            else r.odd = true;
        }
    return r;
}

ir_val grouped_weights(planner *pl, ir_val w)
{
    const ir_node *n = at_of(pl, w);
    return n->op == OP_GATHER ? n->args[0] : w;
}

/* A gather of rows of weights by an index or by the index of a pair. */
static bool is_grouped(planner *pl, ir_val w)
{
    const ir_node *n = at_of(pl, w);
    if (n->op != OP_GATHER || pl->info[w.i].stored)
        return false;
    ir_op m = (ir_op)at_of(pl, n->args[1])->op;
    return (m == OP_MAP_INDEX || m == OP_MAP_SECOND) && pl->l->domains[at_of(pl, n->args[0])->dom.i].kind == DOM_INDEX;
}

static dim letter_dim(planner *pl, const ir_node *n, uint8_t x)
{
    const ir_einsum *e = &n->u.ein;
    for (int i = 0; i < e->na; i++)
        if (e->a[i] == x)
            return at_of(pl, n->args[0])->shape[i];
    for (int i = 0; i < e->nb; i++)
        if (e->b[i] == x)
            return at_of(pl, n->args[1])->shape[i];
    return DIM_ERROR;
}

dim product_dim(planner *pl, const ir_node *n, const uint8_t *l, int count)
{
    dim d = dim_const(pl->l->dims, 1);
    for (int i = 0; i < count; i++)
        d = dim_mul(pl->l->dims, d, letter_dim(pl, n, l[i]));
    return d;
}

product_form product_of(planner *pl, ir_val v, bool *swapped)
{
    const ir_node *n = at_of(pl, v);
    *swapped = false;
    for (int side = 1; side >= 0; side--) {
        ir_val w = n->args[side], x = n->args[1 - side];
        bool unit = at_of(pl, w)->dom.i == 0, grouped = is_grouped(pl, w);
        if ((!unit && !grouped) || (!unit && at_of(pl, x)->dom.i == 0))
            continue;
        letters l = product_letters(&n->u.ein, side == 0);
        if (l.odd || l.nk == 0 || l.nn == 0)
            continue;
        int64_t k, c;
        dim kd = product_dim(pl, n, l.k, l.nk), nd = product_dim(pl, n, l.n, l.nn);
        if (dim_is_const(pl->l->dims, kd, &k) && dim_is_const(pl->l->dims, nd, &c) && k * c < 64)
            continue;                   /* too small for a tile */
        *swapped = side == 0;
        return unit ? PRODUCT_GEMM : PRODUCT_GROUPED;
    }
    return PRODUCT_LOOPS;
}

/* ---- as loops ------------------------------------------------------------------------------------------------ */

static spot operand_at(body *b, ir_val x, spot w)
{
    if (at_of(b->pl, x)->dom.i == 0 && w.dom.i != 0)
        return (spot){AT_OTHER, ir_dom_unit(), kx_int(b->p, 0)};
    return w;
}

static void emit_loops(body *b, ir_val v, at a, spot w)
{
    planner *pl = b->pl;
    kplan *p = b->p;
    const ir_node *n = at_of(pl, v);
    const ir_einsum *e = &n->u.ein;
    ktype t = kreg_of((ir_type)n->type);
    local_of lo = {0};
    for (int k = 0; k < n->rank; k++)
        lo.order[k] = (uint8_t)k;
    lo.local = add_local(b, n->name ? n->name : "product", a == AT_MEMBER ? SCOPE_MEMBER : SCOPE_ROW, t, elems_of(pl, v), false);
    nest q;
    nest_shape(b, &q, v);
    kref dest = kref_local(lo.local, linear(b, v, q.idx));
    nest r = q;
    kx by_letter[256];
    memset(by_letter, 0, sizeof by_letter);
    for (int i = 0; i < e->nout; i++)
        by_letter[e->out[i]] = q.idx[i];
    for (int side = 0; side < 2; side++)
        for (int i = 0; i < (side ? e->nb : e->na); i++) {
            uint8_t x = side ? e->b[i] : e->a[i];
            if (!kx_is(by_letter[x]))
                nest_add(b, &r, at_of(pl, n->args[side])->shape[i], true, &by_letter[x]);
        }
    kx ia[IR_MAX_RANK], ib[IR_MAX_RANK];
    for (int i = 0; i < e->na; i++)
        ia[i] = by_letter[e->a[i]];
    for (int i = 0; i < e->nb; i++)
        ib[i] = by_letter[e->b[i]];
    kx x = value(b, n->args[0], operand_at(b, n->args[0], w), ia), y = value(b, n->args[1], operand_at(b, n->args[1], w), ib);
    put(b, b->out, &q, kn_store(p, dest, kx_num(p, t, 0)));
    put(b, b->out, &r, kn_accum(p, OP_ADD, dest, kx_map(p, OP_MUL, t, x, y, (kx){0})));
    *local_at(b, v, a) = lo;
}

/* ---- as a dense product ---------------------------------------------------------------------------------------- */

int product_axis(const ir_einsum *e, int side, uint8_t x)
{
    const uint8_t *l = side ? e->b : e->a;
    for (int i = 0; i < (side ? e->nb : e->na); i++)
        if (l[i] == x)
            return i;
    return -1;
}

/* Do the axes of these letters lie as one axis? Then its stride (of the last letter). */
bool product_flat(planner *pl, const ir_node *n, int side, const view *u, const uint8_t *l, int count, dim *stride)
{
    dim_table *t = pl->l->dims;
    const ir_einsum *e = &n->u.ein;
    *stride = dim_const(t, 1);
    dim want = DIM_ERROR;
    for (int i = count - 1; i >= 0; i--) {
        int ax = product_axis(e, side, l[i]);
        dim d = at_of(pl, n->args[side])->shape[ax], s = u->stride[ax];
        if (dim_is(t, d, 1))
            continue;
        if (!dim_ok(want))
            *stride = s;
        else if (!dim_equal(t, s, want))
            return false;
        want = dim_mul(t, s, d);
    }
    return true;
}

/* A copy of the operand by row in a tiled local, its letters in the order batch, m, k. */
uint32_t product_pack(body *b, const ir_node *n, int side, const letters *l, spot w)
{
    planner *pl = b->pl;
    kplan *p = b->p;
    const ir_einsum *e = &n->u.ein;
    ir_val x = n->args[side];
    uint8_t order[3 * IR_MAX_RANK];
    int count = 0;
    for (int i = 0; i < l->nb; i++) order[count++] = l->batch[i];
    for (int i = 0; i < l->nm; i++) order[count++] = l->m[i];
    for (int i = 0; i < l->nk; i++) order[count++] = l->k[i];
    nest q = {0};
    kx idx[IR_MAX_RANK], off = kx_int(p, 0);
    dim one = dim_const(pl->l->dims, 1);
    dim strides[3 * IR_MAX_RANK];
    dim s = one;
    for (int i = count - 1; i >= 0; i--) {
        strides[i] = s;
        s = dim_mul(pl->l->dims, s, at_of(pl, x)->shape[product_axis(e, side, order[i])]);
    }
    for (int i = 0; i < count; i++) {
        int ax = product_axis(e, side, order[i]);
        nest_add(b, &q, at_of(pl, x)->shape[ax], false, &idx[ax]);
        off = kx_iadd(p, off, kx_imul(p, idx[ax], kx_dimval(p, kdim_of(p, strides[i]))));
    }
    uint32_t id = add_local(b, "operand", w.at == AT_MEMBER ? SCOPE_MEMBER : SCOPE_ROW, kreg_of((ir_type)at_of(pl, x)->type), elems_of(pl, x), false);
    kx val = value(b, x, operand_at(b, x, w), idx);
    put(b, b->out, &q, kn_store(p, kref_local(id, off), val));
    return id;
}

/* Strides of the weights in their buffer, per letter kind. */
static bool weights(body *b, const ir_node *n, int side, spot w, view *u, kx *group_, dim *group_stride)
{
    planner *pl = b->pl;
    ir_val x = n->args[side];
    *group_ = (kx){0};
    if (at_of(pl, x)->dom.i == 0)
        return view_of(b, x, (spot){b->kp->rows.i == 0 ? w.at : AT_OTHER, ir_dom_unit(), kx_int(b->p, 0)}, u) && !u->local;
    /* rows of an index domain: either rows(view of a unit array) or a stored value of that domain */
    ir_val g = grouped_weights(pl, x);
    *group_ = map_row(b, at_of(pl, x)->args[1], w);
    if (pl->info[g.i].stored) {
        *group_stride = elems_of(pl, g);
        if (!view_of(b, g, (spot){AT_OTHER, at_of(pl, g)->dom, kx_int(b->p, 0)}, u))
            return false;
        u->row = kx_int(b->p, 0);
        return true;
    }
    if (at_of(pl, g)->op != OP_ROWS)
        return false;
    view whole;
    if (!view_of(b, at_of(pl, g)->args[0], (spot){AT_OTHER, ir_dom_unit(), kx_int(b->p, 0)}, &whole) || whole.local)
        return false;
    *group_stride = whole.stride[0];
    *u = whole;
    for (int i = 0; i + 1 < IR_MAX_RANK; i++)
        u->stride[i] = whole.stride[i + 1];
    return true;
}

static bool emit_gemm(body *b, ir_val v, at a, spot w, bool swapped)
{
    planner *pl = b->pl;
    kplan *p = b->p;
    dim_table *t = pl->l->dims;
    const ir_node *n = at_of(pl, v);
    int wside = swapped ? 0 : 1, xside = 1 - wside;
    letters l = product_letters(&n->u.ein, swapped);
    if (l.nb > 1)                                        /* several batch letters: only as one axis */
        return false;
    view wu, xu;
    kgemm g = {.type = kreg_of((ir_type)n->type)};
    dim gstride = dim_const(t, 0), bk, bn, ak, am;
    if (!weights(b, n, wside, w, &wu, &g.group, &gstride))
        return false;
    if (!product_flat(pl, n, wside, &wu, l.k, l.nk, &bk) || !product_flat(pl, n, wside, &wu, l.n, l.nn, &bn))
        return false;
    dim K = product_dim(pl, n, l.k, l.nk), M = product_dim(pl, n, l.m, l.nm), N = product_dim(pl, n, l.n, l.nn), B = product_dim(pl, n, l.batch, l.nb);
    dim one = dim_const(t, 1);

    /* the operand by row: as it lies, if its letters lie as the weights want them; otherwise packed */
    ir_val x = n->args[xside];
    spot xw = operand_at(b, x, w);
    bool direct = view_of(b, x, xw, &xu) && product_flat(pl, n, xside, &xu, l.k, l.nk, &ak) && product_flat(pl, n, xside, &xu, l.m, l.nm, &am) && dim_is(t, ak, 1);
    if (direct && !xu.local)                             /* contiguous rows of a buffer only */
        direct = xw.at != AT_MEMBER ? kx_same(xu.row, kx_row(p)) || b->kp->rows.i == 0
                                    : kx_same(xu.row, kx_member(p));
    if (direct && l.nk > 0 && dim_is(t, K, 1))
        ak = one;
    if (direct) {
        g.a_is_buffer = !xu.local;
        g.a = xu.id;
        g.a_offset = xu.offset;
        g.a_k = kdim_of(p, ak);
        g.a_m = kdim_of(p, am);
        g.a_batch = kdim_of(p, l.nb ? xu.stride[product_axis(&n->u.ein, xside, l.batch[0])] : dim_const(t, 0));
    } else {
        g.a = product_pack(b, n, xside, &l, w);
        g.a_offset = kx_int(p, 0);
        g.a_k = kdim_int(1);
        g.a_m = kdim_of(p, K);
        g.a_batch = kdim_of(p, dim_mul(t, M, K));
    }
    g.b = wu.id;
    g.b_offset = wu.offset;
    g.b_k = kdim_of(p, bk);
    g.b_n = kdim_of(p, bn);
    g.b_batch = kdim_of(p, l.nb ? wu.stride[product_axis(&n->u.ein, wside, l.batch[0])] : dim_const(t, 0));
    g.b_group = kdim_of(p, gstride);
    g.m = kdim_of(p, M);
    g.n = kdim_of(p, N);
    g.k = kdim_of(p, K);
    g.batch = kdim_of(p, B);
    g.c_n = kdim_int(1);
    g.c_m = kdim_of(p, N);
    g.c_batch = kdim_of(p, dim_mul(t, M, N));
    g.c_offset = kx_int(p, 0);

    /* the result's axes stand in memory in the order batch, m, n */
    local_of lo = {0};
    const ir_einsum *e = &n->u.ein;
    int count = 0;
    const uint8_t *kinds[3] = {l.batch, l.m, l.n};
    int sizes[3] = {l.nb, l.nm, l.nn};
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < sizes[k]; i++)
            for (int o = 0; o < e->nout; o++)
                if (e->out[o] == kinds[k][i])
                    lo.order[count++] = (uint8_t)o;
    lo.local = add_local(b, n->name ? n->name : "product", a == AT_MEMBER ? SCOPE_MEMBER : SCOPE_ROW, g.type, elems_of(pl, v), false);
    g.c = lo.local;
    vec_push(pl->mem, b->out, kn_gemm(p, g));
    *local_at(b, v, a) = lo;
    return true;
}

void make_product(body *b, ir_val v, at a)
{
    planner *pl = b->pl;
    const ir_node *n = at_of(pl, v);
    spot w = a == AT_MEMBER ? member_place(b) : row_place(b, a, n->dom);
    bool swapped;
    product_form f = product_of(pl, v, &swapped);
    if (f != PRODUCT_LOOPS && emit_gemm(b, v, a, w, swapped))
        return;
    emit_loops(b, v, a, w);
}
