/* Rows, buffers, maps and fibers: how the IR's domains and maps lie in memory. */
#include "compiler/plan/planner.h"

ktype ktype_of(ir_type t)
{
    switch (t) {
    case T_F64: return KT_F64;
    case T_F32: return KT_F32;
    case T_F16: return KT_F16;
    case T_BF16: return KT_BF16;
    case T_BOOL: return KT_BOOL;
    case T_INDEX: case T_MAP: return KT_I32;
    }
    return KT_F32;
}

ktype kreg_of(ir_type t)
{
    switch (t) {
    case T_F64: return KT_F64;
    case T_F32: case T_F16: case T_BF16: return KT_F32;
    case T_BOOL: return KT_BOOL;
    case T_INDEX: case T_MAP: return KT_I64;
    }
    return KT_F32;
}

mp_rows rows_of(planner *pl, ir_dom d)
{
    const ir_domain *dm = &pl->l->domains[d.i];
    switch (dm->kind) {
    case DOM_UNIT: return (mp_rows){ROWS_ONE, 0};
    case DOM_NODES: return (mp_rows){dm->side == SIDE_SRC ? ROWS_SRC : ROWS_DST, 0};
    case DOM_EDGES: return (mp_rows){ROWS_EDGES, 0};
    case DOM_GRAPHS: return (mp_rows){ROWS_GRAPHS, 0};
    case DOM_INDEX: return (mp_rows){ROWS_DIM, kdim_slot(pl->p, dm->range)};
    case DOM_PAIR: return (mp_rows){ROWS_PAIRS, pairs_of(pl, dm->map)};
    }
    return (mp_rows){ROWS_ONE, 0};
}

dim elems_of(planner *pl, ir_val v)
{
    ir_shape s = ir_shape_of(pl->l, v);
    return ir_shape_count(pl->l, &s);
}

uint32_t work_buffer(planner *pl, const char *name, ktype t, mp_rows rows, dim elems)
{
    return kplan_add_buffer(pl->p, (kbuffer){.kind = BUF_WORK, .index = 0, .type = t, .rows = rows,
                                             .elems = kdim_of(pl->p, elems), .walk_order = true, .name = name});
}

/* Types and rows of the graph's own arrays, as abi.h has them. */
static const struct { ktype type; uint32_t rows; const char *name; } graph_arrays[GRAPH_N_ARRAYS] = {
    [GRAPH_IN_SRC] = {KT_I32, ROWS_EDGES, "in.src"},
    [GRAPH_IN_DST] = {KT_I32, ROWS_EDGES, "in.dst"},
    [GRAPH_IN_EID] = {KT_I64, ROWS_EDGES, "in.eid"},
    [GRAPH_OUT_DST] = {KT_I32, ROWS_EDGES, "out.dst"},
    [GRAPH_OUT_SRC] = {KT_I32, ROWS_EDGES, "out.src"},
    [GRAPH_OUT_POS] = {KT_I64, ROWS_EDGES, "out.pos"},
    [GRAPH_OUT_EID] = {KT_I64, ROWS_EDGES, "out.eid"},
    [GRAPH_IN_DEGREE] = {KT_F64, ROWS_SRC, "in_degree"},
    [GRAPH_OUT_DEGREE] = {KT_F64, ROWS_SRC, "out_degree"},
    [GRAPH_DST_GRAPH] = {KT_I32, ROWS_DST, "dst.graph"},
    [GRAPH_SRC_GRAPH] = {KT_I32, ROWS_SRC, "src.graph"},
    [GRAPH_NUM_NODES] = {KT_F64, ROWS_GRAPHS, "num_nodes"},
    [GRAPH_NUM_EDGES] = {KT_F64, ROWS_GRAPHS, "num_edges"},
    [GRAPH_TOTALS] = {KT_F64, ROWS_ONE, "totals"},
    [GRAPH_IN_IDENTITY] = {KT_I64, ROWS_EDGES, "in.identity"},
    [GRAPH_IN_PLACE] = {KT_I32, ROWS_EDGES, "in.place"},
    [GRAPH_OUT_PLACE_IN] = {KT_I32, ROWS_EDGES, "out.place_in"},
    [GRAPH_IN_PLACE_OUT] = {KT_I32, ROWS_EDGES, "in.place_out"},
    [GRAPH_IN_PTR] = {KT_I64, ROWS_DST, "in.ptr"},
    [GRAPH_OUT_PTR] = {KT_I64, ROWS_SRC, "out.ptr"},
};

uint32_t buffer_of(planner *pl, mp_buffer_kind kind, uint32_t index)
{
    bool fresh;
    uint64_t *slot = map_slot_of(&pl->buffers, (uint64_t)kind << 32 | index, &fresh);
    if (*slot)
        return (uint32_t)*slot - 1;
    kbuffer b = {.kind = kind, .index = index, .elems = kdim_int(1), .walk_order = true};
    switch (kind) {
    case BUF_INPUT: {
        const ir_input *in = &pl->l->inputs[index];
        const ir_node *n = at_of(pl, in->value);
        b.type = ktype_of((ir_type)n->type);
        b.rows = rows_of(pl, n->dom);
        b.elems = kdim_of(pl->p, elems_of(pl, in->value));
        b.walk_order = false;
        b.name = in->name;
        b.sequence = dim_ok(n->slots);
        b.entries = n->apart ? ENTRIES_APART : ENTRIES_ALL;
        if (b.sequence)
            b.slots = kdim_of(pl->p, n->slots);
        break;
    }
    case BUF_GRAPH:
        b.type = graph_arrays[index].type;
        b.rows = (mp_rows){graph_arrays[index].rows, 0};
        b.elems = kdim_int(index == GRAPH_TOTALS ? 4 : 1);
        b.name = graph_arrays[index].name;
        break;
    case BUF_PAIR_ROW: case BUF_PAIR_IDX:
        b.type = KT_I32;
        b.rows = (mp_rows){ROWS_PAIRS, index};
        b.name = kind == BUF_PAIR_ROW ? "pair.row" : "pair.index";
        break;
    case BUF_SAVED: case BUF_COTANGENT: case BUF_GRADIENT: break;      /* names of the runtime's, not of plans */
    case BUF_EDGE_ROW: case BUF_EDGE_ROW_OUT:
        b.type = KT_I64;
        b.rows = (mp_rows){ROWS_EDGES, 0};
        b.name = "edge.row";
        break;
    case BUF_PAIR_MEMBER: case BUF_PAIR_OF: case BUF_PAIR_BY_INDEX:
        b.type = KT_I64;
        b.rows = (mp_rows){ROWS_PAIRS, index};
        b.name = kind == BUF_PAIR_MEMBER ? "pair.member" : kind == BUF_PAIR_OF ? "pair.of" : "pair.by_index";
        break;
    case BUF_OUTPUT: case BUF_WORK: case BUF_SLOT:
        break;
    }
    uint32_t id = kplan_add_buffer(pl->p, b);
    *map_slot_of(&pl->buffers, (uint64_t)kind << 32 | index, NULL) = id + 1;
    return id;
}

/* All rows of a domain as members. */
static mp_fiber all_of(planner *pl, ir_dom d)
{
    mp_rows r = rows_of(pl, d);
    uint32_t which = r.kind == ROWS_PAIRS ? FIBER_ALL_PAIRS + r.which : r.kind == ROWS_DIM ? FIBER_ALL_DIM + r.which : r.kind;
    return (mp_fiber){FIBER_ALL, which};
}

uint32_t pairs_of(planner *pl, ir_val m)
{
    for (uint32_t i = 0; i < pl->pairs.n; i++)
        if (ir_same(pl->pairs.at[i].map, m))
            return pl->pairs.at[i].id;
    const ir_node *n = at_of(pl, m);
    ir_val index = n->args[0];
    bool whole = n->op == OP_MAP_INDEX;         /* members by index alone: pairs with the whole call */
    ir_dom from = n->dom;
    /* Reserve the spot first: the base of the structure may be a pair domain itself. */
    uint32_t k = pl->pairs.n;
    vec_push(pl->mem, &pl->pairs, (pairs_plan){.map = m, .id = kplan_add_pairs(pl->p, (kpairs){.index_buffer = 0})});
    kpairs *q = &pl->p->pairs[pl->pairs.at[k].id];
    q->range = kdim_of(pl->p, at_of(pl, index)->range);
    mp_fiber base = whole ? all_of(pl, from) : fiber_of(pl, at_of(pl, m)->args[1]);
    pl->p->pairs[pl->pairs.at[k].id].base = base;
    return pl->pairs.at[k].id;
}

mp_fiber fiber_of(planner *pl, ir_val m)
{
    const ir_node *n = at_of(pl, m);
    ir_dom_kind from = pl->l->domains[n->dom.i].kind;
    switch ((ir_op)n->op) {
    case OP_MAP_DST: return (mp_fiber){FIBER_IN, 0};
    case OP_MAP_SRC: case OP_MAP_SRC_DST: return (mp_fiber){FIBER_OUT, 0};
    case OP_MAP_GRAPH:
        if (from == DOM_EDGES)
            return (mp_fiber){FIBER_GRAPH_EDGE, 0};
        return (mp_fiber){FIBER_GRAPH_DST, pl->l->domains[n->dom.i].side == SIDE_SRC};
    case OP_MAP_UNIT: return all_of(pl, n->dom);
    case OP_MAP_INDEX: return (mp_fiber){FIBER_INDEX, pairs_of(pl, m)};
    case OP_MAP_PAIR: return (mp_fiber){FIBER_PAIR, pairs_of(pl, m)};
    case OP_MAP_FIRST: return (mp_fiber){FIBER_PAIR_BASE, pairs_of(pl, n->args[0])};
    case OP_MAP_SECOND: return (mp_fiber){FIBER_PAIR_INDEX, pairs_of(pl, n->args[0])};
    default: return (mp_fiber){FIBER_NONE, 0};
    }
}

static bool has_pairs(const planner *pl, ir_val m)
{
    for (uint32_t i = 0; i < pl->pairs.n; i++)
        if (ir_same(pl->pairs.at[i].map, m))
            return true;
    return false;
}

ir_dom member_dom(planner *pl, mp_fiber f)
{
    ir_layer *l = pl->l;
    switch ((mp_fiber_kind)f.kind) {
    case FIBER_IN: case FIBER_OUT: case FIBER_GRAPH_EDGE: return ir_dom_edge(l);
    case FIBER_GRAPH_DST: return f.which ? ir_dom_src(l) : ir_dom_dst(l);
    case FIBER_ALL:
        for (uint32_t i = 0; i < l->n_domains; i++) {
            ir_val made = l->domains[i].map;        /* of pairs that this plan may not have */
            if ((l->domains[i].kind == DOM_PAIR && !has_pairs(pl, made)) || (l->domains[i].kind == DOM_INDEX && f.which < FIBER_ALL_DIM))
                continue;
            if (all_of(pl, (ir_dom){i}).which == f.which)
                return (ir_dom){i};
        }
        break;
    case FIBER_INDEX: case FIBER_PAIR: return at_of(pl, pl->pairs.at[f.which].map)->dom;
    case FIBER_PAIR_BASE: case FIBER_PAIR_INDEX: return at_of(pl, pl->pairs.at[f.which].map)->u.cod;
    case FIBER_NONE: break;
    }
    return ir_dom_unit();
}

bool map_is_row(const planner *pl, ir_val m)
{
    ir_op op = (ir_op)at_of(pl, m)->op;
    return op == OP_MAP_PREFIX || op == OP_MAP_SUFFIX;
}

bool map_own(const planner *pl, mp_fiber f, ir_val m)
{
    const ir_node *n = at_of(pl, m);
    switch ((mp_fiber_kind)f.kind) {
    case FIBER_NONE: return false;
    case FIBER_IN: return n->op == OP_MAP_DST || n->op == OP_MAP_DST_SRC;
    case FIBER_OUT: return n->op == OP_MAP_SRC || n->op == OP_MAP_SRC_DST;
    case FIBER_GRAPH_DST: case FIBER_GRAPH_EDGE: return n->op == OP_MAP_GRAPH;
    case FIBER_ALL: return n->op == OP_MAP_UNIT;
    case FIBER_PAIR: case FIBER_INDEX: return ir_same(m, pl->pairs.at[f.which].map);
    case FIBER_PAIR_BASE: return n->op == OP_MAP_FIRST;
    case FIBER_PAIR_INDEX: return n->op == OP_MAP_SECOND;
    }
    return false;
}

static kx graph_int(planner *pl, mp_graph_array a, kx where)
{
    return kx_iload(pl->p, buffer_of(pl, BUF_GRAPH, a), where);
}

spot row_place(body *b, at a, ir_dom dom)
{
    return (spot){a, dom, b->kp && dom.i == 0 && b->kp->rows.i != 0 ? kx_int(b->p, 0) : kx_row(b->p)};
}

spot member_place(body *b)
{
    planner *pl = b->pl;
    kx m = kx_member(b->p);
    switch ((mp_fiber_kind)b->kp->fiber.kind) {
    case FIBER_OUT: m = graph_int(pl, GRAPH_OUT_POS, m); break;
    case FIBER_PAIR: case FIBER_INDEX: m = kx_iload(b->p, buffer_of(pl, BUF_PAIR_MEMBER, b->kp->fiber.which), m); break;
    case FIBER_PAIR_INDEX: m = kx_iload(b->p, buffer_of(pl, BUF_PAIR_BY_INDEX, b->kp->fiber.which), m); break;
    case FIBER_NONE: case FIBER_IN: case FIBER_GRAPH_DST: case FIBER_GRAPH_EDGE: case FIBER_ALL: case FIBER_PAIR_BASE: break;
    }
    return (spot){AT_MEMBER, b->member_dom, m};
}

kx map_row(body *b, ir_val m, spot w)
{
    planner *pl = b->pl;
    kplan *p = b->p;
    const ir_node *n = at_of(pl, m);
    if (w.at == AT_MEMBER && map_own(pl, b->kp->fiber, m) && n->op != OP_MAP_UNIT)
        return kx_row(p);
    mp_fiber_kind f = w.at == AT_MEMBER ? (mp_fiber_kind)b->kp->fiber.kind : FIBER_NONE;
    switch ((ir_op)n->op) {
    case OP_MAP_SRC: case OP_MAP_SRC_DST: return graph_int(pl, GRAPH_IN_SRC, w.row);
    case OP_MAP_DST: case OP_MAP_DST_SRC:
        return f == FIBER_OUT ? graph_int(pl, GRAPH_OUT_DST, kx_member(p)) : graph_int(pl, GRAPH_IN_DST, w.row);
    case OP_MAP_PREFIX: case OP_MAP_SUFFIX: return w.row;
    case OP_MAP_GRAPH:
        switch (pl->l->domains[n->dom.i].kind) {
        case DOM_EDGES:
            return graph_int(pl, GRAPH_DST_GRAPH, f == FIBER_IN ? kx_row(p) : f == FIBER_OUT ? graph_int(pl, GRAPH_OUT_DST, kx_member(p))
                                                                  : graph_int(pl, GRAPH_IN_DST, w.row));
        case DOM_NODES:
            return graph_int(pl, pl->l->domains[n->dom.i].side == SIDE_SRC ? GRAPH_SRC_GRAPH : GRAPH_DST_GRAPH, w.row);
        case DOM_UNIT: case DOM_GRAPHS: case DOM_INDEX: case DOM_PAIR: break;
        }
        break;
    case OP_MAP_UNIT: return kx_int(p, 0);
    case OP_MAP_INDEX: return index_value(b, n->args[0], w, NULL);
    case OP_MAP_PAIR: return kx_iload(p, buffer_of(pl, BUF_PAIR_OF, pairs_of(pl, m)), w.row);
    case OP_MAP_FIRST: return kx_iload(p, buffer_of(pl, BUF_PAIR_ROW, pairs_of(pl, n->args[0])), w.row);
    case OP_MAP_SECOND: return kx_iload(p, buffer_of(pl, BUF_PAIR_IDX, pairs_of(pl, n->args[0])), w.row);
    default: break;
    }
    plan_fail(pl, "a map of an unknown kind");
    return kx_int(p, 0);
}

/* ---- views --------------------------------------------------------------------------------------------- */

static bool row_major(body *b, ir_val v, const uint8_t *order, view *out)
{
    const ir_node *n = at_of(b->pl, v);
    dim s = dim_const(b->pl->l->dims, 1);
    for (int k = (int)n->rank - 1; k >= 0; k--) {
        int axis = order ? order[k] : k;
        out->stride[axis] = s;
        s = dim_mul(b->pl->l->dims, s, n->shape[axis]);
    }
    return true;
}

/* Strides of a reshape: axes are split and merged group by group, where the elements lie so that they can be. */
static bool reshape_strides(body *b, const ir_node *from, const ir_node *to, const dim *in, dim *out)
{
    dim_table *t = b->pl->l->dims;
    int i = from->rank - 1, o = to->rank - 1;
    dim one = dim_const(t, 1);
    while (i >= 0 || o >= 0) {
        if (i >= 0 && dim_is(t, from->shape[i], 1)) { i--; continue; }
        if (o >= 0 && dim_is(t, to->shape[o], 1)) { out[o--] = one; continue; }
        if (i < 0 || o < 0)
            return false;
        dim have = from->shape[i], want = to->shape[o], stride = in[i];
        int i0 = i, o0 = o;
        out[o] = stride;
        i--; o--;
        while (!dim_equal(t, have, want)) {
            dim more_in = i >= 0 ? dim_mul(t, have, from->shape[i]) : DIM_ERROR;
            dim more_out = o >= 0 ? dim_mul(t, want, to->shape[o]) : DIM_ERROR;
            /* merge an input axis if that reaches `want`, else split an output axis off */
            if (i >= 0 && (dim_equal(t, more_in, want) || o < 0)) {
                if (!dim_equal(t, in[i], dim_mul(t, in[i + 1], from->shape[i + 1])))
                    return false;
                have = more_in;
                i--;
            } else if (o >= 0) {
                out[o] = dim_mul(t, stride, want);
                want = more_out;
                o--;
            } else {
                return false;
            }
            if (i0 - i > IR_MAX_RANK || o0 - o > IR_MAX_RANK)
                return false;
        }
    }
    return true;
}

bool view_of(body *b, ir_val v, spot w, view *out)
{
    planner *pl = b->pl;
    const ir_node *n = at_of(pl, v);
    const local_of *lo = local_at(b, v, w.at);
    if (lo && lo->local) {
        *out = (view){.local = true, .id = lo->local, .row = {0}, .offset = kx_int(b->p, 0)};
        return row_major(b, v, lo->order, out);
    }
    if (pl->info[v.i].stored && !computed_here(b, v, w.at)) {
        if (n->type != T_F32 && n->type != T_F64)
            return false;
        uint32_t id = pl->info[v.i].buffer;
        *out = (view){.local = false, .id = id, .row = w.row, .offset = kx_int(b->p, 0)};
        if (n->dom.i == 0)
            out->row = kx_int(b->p, 0);
        else if (pl->p->buffers[id].rows.kind == ROWS_EDGES && !pl->p->buffers[id].walk_order)
            return false;
        return row_major(b, v, NULL, out);
    }
    view in;
    switch ((ir_op)n->op) {
    case OP_RESHAPE:
        if (!view_of(b, n->args[0], w, &in))
            return false;
        *out = in;
        return reshape_strides(b, at_of(pl, n->args[0]), n, in.stride, out->stride);
    case OP_TRANSPOSE:
        if (!view_of(b, n->args[0], w, &in))
            return false;
        *out = in;
        for (int k = 0; k < n->rank; k++)
            out->stride[k] = in.stride[n->u.perm[k]];
        return true;
    case OP_SLICE:
        if (!view_of(b, n->args[0], w, &in))
            return false;
        *out = in;
        out->offset = kx_iadd(b->p, in.offset, kx_dimval(b->p, kdim_of(b->p, dim_mul(pl->l->dims, n->u.slice.lo, in.stride[n->u.slice.axis]))));
        return true;
    case OP_GATHER:
        if (map_is_row(pl, n->args[1]) && w.at != AT_MEMBER)
            return view_of(b, n->args[0], (spot){w.at, at_of(pl, n->args[0])->dom, w.row}, out);
        return false;
    default:
        return false;
    }
}

bool is_plain_array(const planner *pl, ir_val v)
{
    for (;;) {
        const ir_node *n = at_of(pl, v);
        if (pl->info[v.i].stored)
            return n->type == T_F32 || n->type == T_F64;
        if (n->op != OP_RESHAPE && n->op != OP_SLICE && n->op != OP_ROWS)
            return false;
        v = n->args[0];
    }
}
