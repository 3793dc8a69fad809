/* Values as functions of indices: the expression of one element of a value at a spot. Views (reshape,
 * transpose, slice, broadcast, lookups, gathers) become arithmetic on the indices of the loads below them. */
#include "compiler/plan/planner.h"

#include <float.h>
#include <math.h>

kx linear(body *b, ir_val v, const kx *idx)
{
    const ir_node *n = at_of(b->pl, v);
    dim_table *t = b->pl->l->dims;
    kx sum = kx_int(b->p, 0);
    dim s = dim_const(t, 1);
    for (int k = (int)n->rank - 1; k >= 0; k--) {
        sum = kx_iadd(b->p, sum, kx_imul(b->p, idx[k], kx_dimval(b->p, kdim_of(b->p, s))));
        s = dim_mul(t, s, n->shape[k]);
    }
    return sum;
}

kx local_offset(body *b, ir_val v, const local_of *lo, const kx *idx)
{
    const ir_node *n = at_of(b->pl, v);
    dim_table *t = b->pl->l->dims;
    kx sum = kx_int(b->p, 0);
    dim s = dim_const(t, 1);
    for (int k = (int)n->rank - 1; k >= 0; k--) {
        int axis = lo->order[k];
        sum = kx_iadd(b->p, sum, kx_imul(b->p, idx[axis], kx_dimval(b->p, kdim_of(b->p, s))));
        s = dim_mul(t, s, n->shape[axis]);
    }
    return sum;
}

/* Indices of an operand of shape `from` where the result has indices idx: NumPy's broadcast. */
static void broadcast_idx(body *b, const ir_node *to, const kx *idx, const ir_node *from, kx *out)
{
    dim_table *t = b->pl->l->dims;
    int off = (int)to->rank - (int)from->rank;
    for (int k = 0; k < from->rank; k++)
        out[k] = dim_is(t, from->shape[k], 1) && !dim_is(t, to->shape[k + off], 1) ? kx_int(b->p, 0) : idx[k + off];
}

/* Indices into `from` of the element of `to` at idx, both row-major over the same elements. Axes that agree
 * keep their index; only what is really split or merged costs a division. */
static void reshape_idx(body *b, const ir_node *to, const kx *idx, const ir_node *from, kx *out)
{
    dim_table *t = b->pl->l->dims;
    int i = from->rank - 1, o = to->rank - 1;
    for (int k = 0; k < from->rank; k++)
        out[k] = kx_int(b->p, 0);
    while (i >= 0) {
        if (dim_is(t, from->shape[i], 1)) { i--; continue; }
        if (o >= 0 && dim_is(t, to->shape[o], 1)) { o--; continue; }
        if (o < 0)
            return;
        /* the smallest group of axes on both sides with as many elements */
        dim in = from->shape[i], ou = to->shape[o];
        int i0 = i, o0 = o;
        while (!dim_equal(t, in, ou)) {
            int64_t ci, co;
            bool know = dim_is_const(t, in, &ci) && dim_is_const(t, ou, &co);
            dim grown = i0 > 0 ? dim_mul(t, in, from->shape[i0 - 1]) : DIM_ERROR;
            if (i0 > 0 && (o0 == 0 || (know ? ci < co : dim_equal(t, grown, ou)))) {
                i0--;
                in = grown;
            } else if (o0 > 0) {
                o0--;
                ou = dim_mul(t, ou, to->shape[o0]);
            } else {
                break;
            }
        }
        kx lin = kx_int(b->p, 0);
        dim s = dim_const(t, 1);
        for (int k = o; k >= o0; k--) {
            lin = kx_iadd(b->p, lin, kx_imul(b->p, idx[k], kx_dimval(b->p, kdim_of(b->p, s))));
            s = dim_mul(t, s, to->shape[k]);
        }
        if (i == i0) {
            out[i] = lin;
        } else if (o == o0 || i > i0) {
            for (int k = i; k >= i0; k--) {
                kx n = kx_dimval(b->p, kdim_of(b->p, from->shape[k]));
                out[k] = k == i0 ? lin : kx_imod(b->p, lin, n);
                lin = kx_idiv(b->p, lin, n);
            }
        }
        i = i0 - 1;
        o = o0 - 1;
    }
}

/* 0 where `index` is negative (none), else `x`; for integers and reals. */
static kx if_some(body *b, kx index, kx x)
{
    kplan *p = b->p;
    ktype t = (ktype)kx_at(p, x)->type;
    kx none = kx_map(p, OP_LT, KT_BOOL, kx_from_int(p, KT_F64, index), kx_num(p, KT_F64, 0), (kx){0});
    if (t == KT_I64)
        return kx_isel(p, none, kx_int(p, -1), x);
    return kx_select(p, none, kx_num(p, t, 0), x);
}

kx index_or_0(body *b, kx index)
{
    kplan *p = b->p;
    kx none = kx_map(p, OP_LT, KT_BOOL, kx_from_int(p, KT_F64, index), kx_num(p, KT_F64, 0), (kx){0});
    return kx_isel(p, none, kx_int(p, 0), index);
}

/* Where operand k of a value at `w` is wanted. Unit operands lie elsewhere, unless the kernel's row is the unit's. */
static spot operand_place(body *b, ir_val arg, spot w)
{
    const ir_node *n = at_of(b->pl, arg);
    if (n->dom.i == 0 && w.dom.i != 0)
        return (spot){AT_OTHER, n->dom, kx_int(b->p, 0)};
    return w;
}

/* Is a source row one of the destinations, too? */
static kx is_destination(body *b, kx row)
{
    kplan *p = b->p;
    kx rows = kx_load(p, buffer_of(b->pl, BUF_GRAPH, GRAPH_TOTALS), kx_int(p, 0), kx_int(p, 0), false);         /* n_dst */
    return kx_map(p, OP_LT, KT_BOOL, kx_from_int(p, KT_F64, row), rows, (kx){0});
}

typedef kx value_fn(body *b, ir_val v, spot w, const kx *idx);

/* What is common to reals and indices: views. *done tells whether it was one. */
static kx view_value(body *b, ir_val v, spot w, const kx *idx, value_fn *f, bool *done)
{
    planner *pl = b->pl;
    kplan *p = b->p;
    const ir_node *n = at_of(pl, v);
    kx in[IR_MAX_RANK];
    *done = true;
    switch ((ir_op)n->op) {
    case OP_RESHAPE:
        reshape_idx(b, n, idx, at_of(pl, n->args[0]), in);
        return f(b, n->args[0], w, in);
    case OP_TRANSPOSE:
        for (int k = 0; k < n->rank; k++)
            in[n->u.perm[k]] = idx[k];
        return f(b, n->args[0], w, in);
    case OP_BROADCAST:
        broadcast_idx(b, n, idx, at_of(pl, n->args[0]), in);
        return f(b, n->args[0], operand_place(b, n->args[0], w), in);
    case OP_SLICE:
        for (int k = 0; k < n->rank; k++)
            in[k] = idx[k];
        in[n->u.slice.axis] = kx_iadd(p, idx[n->u.slice.axis], kx_dimval(p, kdim_of(p, n->u.slice.lo)));
        return f(b, n->args[0], w, in);
    case OP_CONCAT: {
        dim_table *t = pl->l->dims;
        int a = n->u.axis;
        dim lo = dim_const(t, 0);
        kx starts[64];
        uint32_t parts = n->nargs < 64 ? n->nargs : 64;
        for (uint32_t k = 0; k < parts; k++) {
            starts[k] = kx_dimval(p, kdim_of(p, lo));
            lo = dim_add(t, lo, at_of(pl, n->args[k])->shape[a]);
        }
        kx x = {0};
        for (int k = (int)parts - 1; k >= 0; k--) {
            for (int i = 0; i < n->rank; i++)
                in[i] = idx[i];
            kx rel = kx_isub(p, idx[a], starts[k]);
            kx len = kx_dimval(p, kdim_of(p, at_of(pl, n->args[k])->shape[a]));
            /* the index is held inside, so that the side not taken reads nothing outside its array */
            kx under = kx_map(p, OP_LT, KT_BOOL, kx_from_int(p, KT_F64, rel), kx_num(p, KT_F64, 0), (kx){0});
            kx over = kx_map(p, OP_LE, KT_BOOL, kx_from_int(p, KT_F64, len), kx_from_int(p, KT_F64, rel), (kx){0});
            in[a] = kx_isel(p, over, kx_int(p, 0), kx_isel(p, under, kx_int(p, 0), rel));
            kx part = f(b, n->args[k], operand_place(b, n->args[k], w), in);
            x = kx_is(x) ? (kx_at(p, part)->type == KT_I64 ? kx_isel(p, over, x, part) : kx_select(p, over, x, part)) : part;
        }
        return x;
    }
    case OP_LOOKUP: {
        const ir_node *i = at_of(pl, n->args[1]);
        kx r = index_value(b, n->args[1], operand_place(b, n->args[1], w), idx);
        in[0] = i->none ? index_or_0(b, r) : r;
        for (int k = i->rank; k < n->rank; k++)
            in[k - i->rank + 1] = idx[k];
        kx x = f(b, n->args[0], operand_place(b, n->args[0], w), in);
        return i->none ? if_some(b, r, x) : x;
    }
    case OP_ROWS:
        in[0] = w.row;
        for (int k = 0; k < n->rank; k++)
            in[k + 1] = idx[k];
        return f(b, n->args[0], (spot){AT_OTHER, ir_dom_unit(), kx_int(p, 0)}, in);
    case OP_UNROWS:
        return f(b, n->args[0], (spot){AT_OTHER, at_of(pl, n->args[0])->dom, idx[0]}, idx + 1);
    case OP_UNSPREAD: {
        ir_val pairs = n->args[1];
        uint32_t q = pairs_of(pl, pairs);
        in[0] = kx_iload(p, buffer_of(pl, BUF_PAIR_IDX, q), w.row);
        for (int k = 0; k < n->rank; k++)
            in[k + 1] = idx[k];
        spot base = {AT_OTHER, at_of(pl, n->args[0])->dom, kx_iload(p, buffer_of(pl, BUF_PAIR_ROW, q), w.row)};
        if (base.dom.i == 0)
            base.row = kx_int(p, 0);
        else if (w.at == AT_MEMBER && b->kp->fiber.kind == FIBER_PAIR_BASE && b->kp->fiber.which == q)
            base = (spot){AT_PRE, base.dom, kx_row(p)};
        return f(b, n->args[0], base, in);
    }
    case OP_GATHER: {
        ir_val m = n->args[1];
        ir_dom cod = at_of(pl, n->args[0])->dom;
        if (cod.i == 0)
            return f(b, n->args[0], (spot){AT_OTHER, cod, kx_int(p, 0)}, idx);
        if (map_is_row(pl, m) && w.at != AT_MEMBER)
            return f(b, n->args[0], (spot){w.at, cod, w.row}, idx);
        if (w.at == AT_MEMBER && map_own(pl, b->kp->fiber, m))
            return f(b, n->args[0], (spot){AT_PRE, cod, kx_row(p)}, idx);
        kx r = map_row(b, m, w);
        if (ir_map_total(pl->l, m))
            return f(b, n->args[0], (spot){AT_OTHER, cod, r}, idx);
        return if_some(b, r, f(b, n->args[0], (spot){AT_OTHER, cod, index_or_0(b, r)}, idx));
    }
    case OP_AGG_SUM: {
        if (!is_pad(pl, v))
            break;
        kx r = kx_isel(p, is_destination(b, w.row), w.row, kx_int(p, -1));
        return if_some(b, r, f(b, n->args[0], (spot){AT_OTHER, at_of(pl, n->args[0])->dom, index_or_0(b, r)}, idx));
    }
    default:
        break;
    }
    *done = false;
    return (kx){0};
}

/* Where the rows of an edge array of the caller's stand. An input may have been put in walk order by the runtime. */
static uint32_t edge_row_buffer(body *b, const kbuffer *u, bool out)
{
    if (u->kind == BUF_INPUT)
        return buffer_of(b->pl, out ? BUF_EDGE_ROW_OUT : BUF_EDGE_ROW, u->index);
    return buffer_of(b->pl, BUF_GRAPH, out ? GRAPH_OUT_EID : GRAPH_IN_EID);
}

/* Row of a stored value in its buffer. Edge arrays of the caller stand in the order of the edge list. */
static kx buffer_row(body *b, uint32_t buffer, spot w)
{
    const kbuffer *u = &b->p->buffers[buffer];
    if (u->rows.kind == ROWS_ONE)
        return kx_int(b->p, 0);
    if (u->rows.kind == ROWS_EDGES && !u->walk_order) {
        if (w.at == AT_MEMBER && b->kp->fiber.kind == FIBER_OUT)
            return kx_iload(b->p, edge_row_buffer(b, u, true), kx_member(b->p));
        return kx_iload(b->p, edge_row_buffer(b, u, false), w.row);
    }
    return w.row;
}

/* The member's number in its domain: of an edge that in the edge list. */
static kx member_number(body *b, ir_dom dom, spot w)
{
    bool out = w.at == AT_MEMBER && b->kp->fiber.kind == FIBER_OUT;
    if (dom.i == 0)
        return kx_int(b->p, 0);
    if (b->pl->l->domains[dom.i].kind != DOM_EDGES)
        return w.row;
    return kx_iload(b->p, buffer_of(b->pl, BUF_GRAPH, out ? GRAPH_OUT_EID : GRAPH_IN_EID), out ? kx_member(b->p) : w.row);
}

/* A number of the member that tells it from the others of its group, and rises in the order of the members: its
 * place in the group along edges' ends, else the number of the member itself. */
kx position_value(body *b, ir_val m, spot w)
{
    planner *pl = b->pl;
    kplan *p = b->p;
    bool own = w.at == AT_MEMBER && map_own(pl, b->kp->fiber, m), out = w.at == AT_MEMBER && b->kp->fiber.kind == FIBER_OUT;
    kx here = kx_member(p);
    switch ((ir_op)at_of(pl, m)->op) {
    case OP_MAP_DST: case OP_MAP_DST_SRC:
        if (own)
            return kx_isub(p, here, kx_iload(p, buffer_of(pl, BUF_GRAPH, GRAPH_IN_PTR), kx_row(p)));
        return out ? kx_iload(p, buffer_of(pl, BUF_GRAPH, GRAPH_OUT_PLACE_IN), here)
                   : kx_iload(p, buffer_of(pl, BUF_GRAPH, GRAPH_IN_PLACE), w.row);
    case OP_MAP_SRC: case OP_MAP_SRC_DST:
        if (own)
            return kx_isub(p, here, kx_iload(p, buffer_of(pl, BUF_GRAPH, GRAPH_OUT_PTR), kx_row(p)));
        return kx_iload(p, buffer_of(pl, BUF_GRAPH, GRAPH_IN_PLACE_OUT), w.row);
    default: return member_number(b, at_of(pl, m)->dom, w);
    }
}

kx index_value(body *b, ir_val v, spot w, const kx *idx)
{
    planner *pl = b->pl;
    kplan *p = b->p;
    const ir_node *n = at_of(pl, v);
    if (pl->info[v.i].stored && !computed_here(b, v, w.at)) {
        uint32_t id = pl->info[v.i].buffer;
        kx off = kx_iadd(p, kx_imul(p, buffer_row(b, id, w), kx_dimval(p, p->buffers[id].elems)), linear(b, v, idx));
        return kx_iload(p, id, off);
    }
    bool done;
    kx x = view_value(b, v, w, idx, index_value, &done);
    if (done)
        return x;
    kx in[IR_MAX_RANK];
    switch ((ir_op)n->op) {
    case OP_CONST: return kx_int(p, (int64_t)n->u.value);
    case OP_STEP: return kx_step(p, n->u.loop.loop + (n->u.loop.state ? b->pl->l->n_loops : 0));
    case OP_POSITION: return position_value(b, n->args[0], w);
    case OP_AGG_ARGMAX: case OP_AGG_ARGMIN: return agg_value(b, v, idx);
    case OP_BUCKET:
        return kx_bucket(p, value(b, n->args[0], operand_place(b, n->args[0], w), idx), kx_dimval(p, kdim_of(p, n->range)));
    case OP_WHERE: {
        kx c, a, e;
        broadcast_idx(b, n, idx, at_of(pl, n->args[0]), in);
        c = value(b, n->args[0], operand_place(b, n->args[0], w), in);
        broadcast_idx(b, n, idx, at_of(pl, n->args[1]), in);
        a = index_value(b, n->args[1], operand_place(b, n->args[1], w), in);
        broadcast_idx(b, n, idx, at_of(pl, n->args[2]), in);
        e = index_value(b, n->args[2], operand_place(b, n->args[2], w), in);
        return kx_isel(p, c, a, e);
    }
    default:
        plan_fail(pl, "an index made by '%s'", ir_ops[n->op].text);
        return kx_int(p, 0);
    }
}

/* Number of members that a structural map sends to row w.row. */
static kx count_value(body *b, ir_val v, spot w)
{
    planner *pl = b->pl;
    kplan *p = b->p;
    const ir_node *n = at_of(pl, v), *m = at_of(pl, n->args[0]);
    ktype t = kreg_of((ir_type)n->type);
    ir_dom_kind from = pl->l->domains[m->dom.i].kind;
    ir_side side = pl->l->domains[m->dom.i].side;
    mp_graph_array ptr = GRAPH_IN_PTR;
    switch ((ir_op)m->op) {
    case OP_MAP_SRC: case OP_MAP_SRC_DST:
        ptr = GRAPH_OUT_PTR;
        /* fall through */
    case OP_MAP_DST: {
        uint32_t id = buffer_of(pl, BUF_GRAPH, ptr);
        return kx_from_int(p, t, kx_isub(p, kx_iload(p, id, kx_iadd(p, w.row, kx_int(p, 1))), kx_iload(p, id, w.row)));
    }
    case OP_MAP_PREFIX: return kx_select(p, is_destination(b, w.row), kx_num(p, t, 1), kx_num(p, t, 0));
    case OP_MAP_SUFFIX: return kx_num(p, t, 1);
    case OP_MAP_GRAPH:
        return kx_cast(p, t, kx_load(p, buffer_of(pl, BUF_GRAPH, from == DOM_EDGES ? GRAPH_NUM_EDGES : GRAPH_NUM_NODES), w.row,
                                     kx_int(p, 0), false));
    case OP_MAP_UNIT: {
        int64_t k = from == DOM_EDGES ? 1 : from == DOM_GRAPHS ? 2 : side == SIDE_SRC ? 3 : 0;
        return kx_cast(p, t, kx_load(p, buffer_of(pl, BUF_GRAPH, GRAPH_TOTALS), kx_int(p, 0), kx_int(p, k), false));
    }
    default:
        plan_fail(pl, "a count of an unknown map");
        return kx_num(p, t, 0);
    }
}

static kx dropout(body *b, ir_val v, spot w, const kx *idx, kx a, kx rate, kx key)
{
    kplan *p = b->p;
    const ir_node *n = at_of(b->pl, v);
    ktype t = kreg_of((ir_type)n->type);
    kx u = kx_random(p, key, member_number(b, n->dom, w), linear(b, v, idx), n->u.place);
    kx keeps = kx_map(p, OP_LE, KT_BOOL, kx_cast(p, KT_F32, rate), u, (kx){0});
    kx rest = kx_map(p, OP_SUB, t, kx_num(p, t, 1), rate, (kx){0});
    kx scale = kx_map(p, OP_DIV, t, kx_num(p, t, 1), rest, (kx){0});
    kx factor = kx_select(p, kx_training(p), kx_map(p, OP_WHERE, t, keeps, scale, kx_num(p, t, 0)), kx_num(p, t, 1));
    return kx_map(p, OP_MUL, t, a, factor, (kx){0});
}

static kx element_wise(body *b, ir_val v, spot w, const kx *idx)
{
    planner *pl = b->pl;
    kplan *p = b->p;
    const ir_node *n = at_of(pl, v);
    ktype t = kreg_of((ir_type)n->type);
    kx a[3] = {{0}};
    for (uint32_t k = 0; k < n->nargs && k < 3; k++) {
        const ir_node *m = at_of(pl, n->args[k]);
        kx in[IR_MAX_RANK];
        broadcast_idx(b, n, idx, m, in);
        spot q = operand_place(b, n->args[k], w);
        a[k] = m->type == T_INDEX ? index_value(b, n->args[k], q, in) : value(b, n->args[k], q, in);
    }
    switch ((ir_op)n->op) {
    case OP_CAST:
        return at_of(pl, n->args[0])->type == T_INDEX ? kx_from_int(p, t, a[0]) : kx_cast(p, t, a[0]);
    case OP_HAS:
        return kx_map(p, OP_LE, KT_BOOL, kx_num(p, KT_F64, 0), kx_from_int(p, KT_F64, a[0]), (kx){0});
    case OP_STOP:
        return a[0];
    case OP_DROPOUT:
        return dropout(b, v, w, idx, a[0], a[1], a[2]);
    case OP_EQ: case OP_NE: case OP_LT: case OP_LE:
        if (kx_at(p, a[0])->type != kx_at(p, a[1])->type)
            for (int k = 0; k < 2; k++)
                if (kx_at(p, a[k])->type == KT_I64)
                    a[k] = kx_from_int(p, KT_F64, a[k]);
        return kx_map(p, (ir_op)n->op, KT_BOOL, a[0], a[1], (kx){0});
    default:
        return kx_map(p, (ir_op)n->op, t, a[0], a[1], a[2]);
    }
}

kx value(body *b, ir_val v, spot w, const kx *idx)
{
    planner *pl = b->pl;
    kplan *p = b->p;
    const ir_node *n = at_of(pl, v);
    ktype t = kreg_of((ir_type)n->type);
    if (n->type == T_INDEX) {
        plan_fail(pl, "an index where a number is wanted");
        return kx_num(p, KT_F64, 0);
    }
    const local_of *lo = local_at(b, v, w.at);
    if (lo && lo->local)
        return kx_local(p, &b->k, lo->local, local_offset(b, v, lo, idx));
    if (pl->info[v.i].stored && !computed_here(b, v, w.at)) {
        uint32_t id = pl->info[v.i].buffer;
        return kx_load(p, id, buffer_row(b, id, w), linear(b, v, idx), false);
    }
    bool done;
    kx x = view_value(b, v, w, idx, value, &done);
    if (done)
        return x;
    switch (ir_ops[n->op].cls) {
    case CLS_LEAF:
        switch ((ir_op)n->op) {
        case OP_CONST: return kx_num(p, t, n->u.value);
        case OP_REALARG: return kx_realarg(p, t, n->u.realarg);
        case OP_DIMVAL: return kx_from_int(p, t, kx_dimval(p, kdim_of(p, n->range)));
        case OP_IOTA: return kx_from_int(p, t, idx[0]);
        case OP_INDEGREE:
            return kx_cast(p, t, kx_load(p, buffer_of(pl, BUF_GRAPH, GRAPH_IN_DEGREE), w.row, kx_int(p, 0), false));
        case OP_COUNT: return is_agg(pl, v) ? agg_value(b, v, idx) : count_value(b, v, w);
        case OP_TRAINING: return kx_training(p);
        default: break;
        }
        break;
    case CLS_EW:
        return element_wise(b, v, w, idx);
    case CLS_AGG:
        return agg_value(b, v, idx);
    case CLS_SHAPE:
        if (n->op == OP_SPREAD)
            return agg_value(b, v, idx);
        break;
    case CLS_REDUCE: case CLS_CONTRACT: case CLS_GATHER: case CLS_GROUP: case CLS_MAP: case CLS_LOOP:
        break;
    }
    plan_fail(pl, "'%s' has no spot in a kernel here", ir_ops[n->op].text);
    return kx_num(p, t == KT_I64 ? KT_F64 : t, 0);
}
