/* Which values of a kernel get a local of their own, and the statements that fill it: reductions, products, what is read
 * more than once or by larger values and costs something, and rows that every member reads. */
#include "compiler/plan/planner.h"

#include <math.h>
#include <string.h>

bool computed_here(const body *b, ir_val v, at a)
{
    const planner *pl = b->pl;
    const vinfo *i = &pl->info[v.i];
    if (i->agg && pl->anchors.at[i->agg - 1].kernel == b->number)
        return a == AT_ROW;
    if (!i->stored)
        return true;
    if (!i->store || pl->anchors.at[i->store - 1].kernel != b->number)
        return false;
    return pl->anchors.at[i->store - 1].member ? a == AT_MEMBER : a == AT_ROW || a == AT_PRE;
}

local_of *local_at(body *b, ir_val v, at a)
{
    switch (a) {
    case AT_ROW: case AT_PRE: return &b->row_local[v.i];
    case AT_MEMBER: return &b->member_local[v.i];
    case AT_OTHER: break;
    }
    return NULL;
}

uint32_t add_local(body *b, const char *name, kscope scope, ktype t, dim elems, bool acc)
{
    return kkernel_add_local(b->p, &b->k, (klocal){.scope = scope, .type = t, .elems = kdim_of(b->p, elems), .accumulator = acc, .name = name});
}

static void want(body *b, ir_val reader, ir_val v, at a)
{
    planner *pl = b->pl;
    const ir_node *n = at_of(pl, v);
    if (n->dom.i == 0 && !(b->kp->rows.i == 0 && (a == AT_ROW || a == AT_PRE)))
        return;                                         /* of the whole call: from memory or inline */
    b->need[v.i] |= (uint8_t)(1 << a);
    uint8_t *u = &b->uses[v.i];
    if ((*u & USES_COUNT) < USES_COUNT)
        (*u)++;
    if (ir_is(reader)) {
        const ir_node *r = at_of(pl, reader);
        bool larger = r->op == OP_EINSUM || ir_ops[r->op].cls == CLS_AGG;
        if (!larger)
            larger = !dim_equal(pl->l->dims, elems_of(pl, reader), elems_of(pl, v)) && ir_ops[r->op].cls == CLS_EW;
        if (larger)
            *u |= USES_LARGER;
    }
}

static void want_operands(body *b, ir_val v, at a)
{
    planner *pl = b->pl;
    const ir_node *n = at_of(pl, v);
    if (!computed_here(b, v, a))
        return;
    if (pl->sums[v.i]) {                /* the products are never there: their operands are */
        for (uint32_t k = 0; k < 2; k++)
            want(b, n->args[0], pl->sums[v.i]->args[k], AT_MEMBER);
        return;
    }
    if (is_agg(pl, v)) {
        for (uint32_t k = 0; k < n->nargs; k++)
            if (at_of(pl, n->args[k])->type != T_MAP)
                want(b, v, n->args[k], AT_MEMBER);
        return;
    }
    if (n->op == OP_RESHAPE || n->op == OP_TRANSPOSE || n->op == OP_BROADCAST)      /* read as often and by as large ones as its view */
        b->uses[n->args[0].i] |= (b->uses[v.i] & USES_COUNT) > 1 ? USES_LARGER : b->uses[v.i] & USES_LARGER;
    switch ((ir_op)n->op) {
    case OP_GATHER:
        if (a == AT_MEMBER && map_own(pl, b->kp->fiber, n->args[1])) {
            want(b, v, n->args[0], AT_PRE);
            b->uses[n->args[0].i] |= USES_BY_MEMBERS;
        } else if (a != AT_MEMBER && map_is_row(pl, n->args[1])) {
            want(b, v, n->args[0], a);
        }
        if (at_of(pl, n->args[1])->op == OP_MAP_INDEX)
            want(b, v, at_of(pl, n->args[1])->args[0], a);
        return;
    case OP_ROWS: case OP_UNROWS:
        return;
    case OP_AGG_SUM:            /* a pad */
        return;
    case OP_UNSPREAD:
        if (a == AT_MEMBER && b->kp->fiber.kind == FIBER_PAIR_BASE)
            want(b, v, n->args[0], AT_PRE);
        return;
    default:
        for (uint32_t k = 0; k < n->nargs; k++)
            if (at_of(pl, n->args[k])->type != T_MAP)
                want(b, v, n->args[k], a);
    }
}

void find_needs(body *b)
{
    planner *pl = b->pl;
    for (uint32_t i = 0; i < b->kp->anchors.n; i++) {
        const anchor *a = &pl->anchors.at[b->kp->anchors.at[i]];
        b->need[a->v.i] |= (uint8_t)(1 << (a->member ? AT_MEMBER : AT_ROW));
        if (!a->agg)
            b->uses[a->v.i]++;      /* its store */
    }
    for (uint32_t i = pl->n_info - 1; i > 0; i--)
        for (int a = AT_ROW; a <= AT_MEMBER; a++)
            if (b->need[i] & 1 << a)
                want_operands(b, (ir_val){i}, (at)a);
}

static bool is_view(ir_op op)
{
    return op == OP_RESHAPE || op == OP_TRANSPOSE || op == OP_BROADCAST || op == OP_SLICE || op == OP_GATHER || op == OP_LOOKUP ||
           op == OP_ROWS || op == OP_UNROWS || op == OP_UNSPREAD;
}

bool wants_local(body *b, ir_val v, at a)
{
    planner *pl = b->pl;
    const ir_node *n = at_of(pl, v);
    if (n->type == T_INDEX || n->type == T_MAP)
        return false;
    bool many = (b->uses[v.i] & USES_COUNT) > 1, larger = b->uses[v.i] & USES_LARGER;
    bool by_members = a == AT_PRE && (b->uses[v.i] & USES_BY_MEMBERS) && n->dom.i != 0;
    if (!computed_here(b, v, a))        /* a row that each member reads stays at hand */
        return by_members;
    switch (ir_ops[n->op].cls) {
    case CLS_LEAF:
        if (is_agg(pl, v))
            return false;
        return by_members && n->op != OP_CONST;
    case CLS_REDUCE: case CLS_CONTRACT: return true;
    case CLS_AGG: return agg_wants_local(pl, v) && (many || larger);
    case CLS_SHAPE:
        if (n->op == OP_SPREAD)
            return false;
        if (n->op == OP_CONCAT || n->op == OP_ONEHOT_ADD)
            return true;
        break;
    case CLS_EW:
        if (ir_ops[n->op].cost >= 4 && (many || larger))
            return true;
        break;
    case CLS_GATHER: case CLS_GROUP: case CLS_MAP: case CLS_LOOP: break;
    }
    if (by_members)
        return true;
    return pl->info[v.i].depth > 24 || (pl->info[v.i].cost > 8 && (many || larger) && !is_view((ir_op)n->op));
}

/* ---- locals of values ---------------------------------------------------------------------------------------- */

static void emit_reduce(body *b, ir_val v, spot w, const local_of *lo)
{
    planner *pl = b->pl;
    kplan *p = b->p;
    const ir_node *n = at_of(pl, v), *m = at_of(pl, n->args[0]);
    ktype t = kreg_of((ir_type)n->type);
    double start = n->op == OP_RSUM ? 0 : n->op == OP_RMAX ? -HUGE_VAL : HUGE_VAL;
    nest q;
    nest_shape(b, &q, v);
    kref dest = kref_local(lo->local, local_offset(b, v, lo, q.idx));
    nest r = q;
    kx in[IR_MAX_RANK], k;
    nest_add(b, &r, m->shape[n->u.axis], true, &k);
    for (int i = 0, o = 0; i < m->rank; i++)
        in[i] = i == n->u.axis ? k : q.idx[o++];
    kx x = value(b, n->args[0], w, in);
    put(b, b->out, &q, kn_store(p, dest, kx_num(p, t, start)));
    ir_op op = n->op == OP_RSUM ? OP_ADD : n->op == OP_RMAX ? OP_MAX : OP_MIN;
    put(b, b->out, &r, kn_accum(p, op, dest, x));
}

static void emit_concat(body *b, ir_val v, spot w, const local_of *lo)
{
    planner *pl = b->pl;
    const ir_node *n = at_of(pl, v);
    dim_table *t = pl->l->dims;
    dim from = dim_const(t, 0);
    for (uint32_t k = 0; k < n->nargs; k++) {
        nest q;
        nest_shape(b, &q, n->args[k]);
        kx to[IR_MAX_RANK];
        memcpy(to, q.idx, sizeof to);
        to[n->u.axis] = kx_iadd(b->p, q.idx[n->u.axis], kx_dimval(b->p, kdim_of(b->p, from)));
        spot pw = at_of(pl, n->args[k])->dom.i == 0 && w.dom.i != 0 ? (spot){AT_OTHER, ir_dom_unit(), kx_int(b->p, 0)} : w;
        kx x = value(b, n->args[k], pw, q.idx);
        put(b, b->out, &q, kn_store(b->p, kref_local(lo->local, local_offset(b, v, lo, to)), x));
        from = dim_add(t, from, at_of(pl, n->args[k])->shape[n->u.axis]);
    }
}

static void emit_unlookup(body *b, ir_val v, spot w, const local_of *lo)
{
    planner *pl = b->pl;
    const ir_node *n = at_of(pl, v), *x = at_of(pl, n->args[0]), *i = at_of(pl, n->args[1]);
    nest q;
    nest_shape(b, &q, v);
    put(b, b->out, &q, kn_store(b->p, kref_local(lo->local, local_offset(b, v, lo, q.idx)), kx_num(b->p, kreg_of((ir_type)n->type), 0)));
    nest r;
    nest_shape(b, &r, n->args[0]);
    kx to[IR_MAX_RANK], in = index_value(b, n->args[1], w, r.idx);
    to[0] = index_or_0(b, in);
    for (int k = i->rank; k < x->rank; k++)
        to[1 + k - i->rank] = r.idx[k];
    kx add = value(b, n->args[0], w, r.idx);
    if (i->none)
        add = kx_select(b->p, kx_map(b->p, OP_LT, KT_BOOL, kx_from_int(b->p, KT_F64, in), kx_num(b->p, KT_F64, 0), (kx){0}),
                        kx_num(b->p, kreg_of((ir_type)n->type), 0), add);
    put(b, b->out, &r, kn_accum(b->p, OP_ADD, kref_local(lo->local, local_offset(b, v, lo, to)), add));
}

void make_local(body *b, ir_val v, at a)
{
    planner *pl = b->pl;
    const ir_node *n = at_of(pl, v);
    b->p->here = n->where;
    const bool here = computed_here(b, v, a);
    if (n->op == OP_EINSUM && here) {
        make_product(b, v, a);
        return;
    }
    spot w = a == AT_MEMBER ? member_place(b) : row_place(b, a, n->dom);
    local_of lo = {0};
    for (int k = 0; k < n->rank; k++)
        lo.order[k] = (uint8_t)k;
    lo.local = add_local(b, n->name ? n->name : ir_ops[n->op].text, a == AT_MEMBER ? SCOPE_MEMBER : SCOPE_ROW, kreg_of((ir_type)n->type),
                         elems_of(pl, v), false);
    if (here && ir_ops[n->op].cls == CLS_REDUCE) {
        emit_reduce(b, v, w, &lo);
    } else if (here && n->op == OP_CONCAT) {
        emit_concat(b, v, w, &lo);
    } else if (here && n->op == OP_ONEHOT_ADD) {
        emit_unlookup(b, v, w, &lo);
    } else {
        nest q;
        nest_shape(b, &q, v);
        kx x = value(b, v, w, q.idx);
        put(b, b->out, &q, kn_store(b->p, kref_local(lo.local, local_offset(b, v, &lo, q.idx)), x));
    }
    *local_at(b, v, a) = lo;
}
