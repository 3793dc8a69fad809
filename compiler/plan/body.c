/* The body of one kernel: its statements in order. First what the members' walk reads of the row, then what is done for
 * each member, then what follows the walk; in each list values stand in the order of the IR, so that what a value is made
 * of has its local before it. */
#include "compiler/plan/planner.h"

static void emit_store(body *b, const anchor *an)
{
    planner *pl = b->pl;
    const ir_node *n = at_of(pl, an->v);
    b->p->here = n->where;
    spot w = an->member ? member_place(b) : row_place(b, AT_ROW, n->dom);
    if (n->dom.i == 0 && b->kp->rows.i != 0)
        w = (spot){AT_OTHER, n->dom, kx_int(b->p, 0)};
    const kbuffer *u = &b->p->buffers[an->buffer];
    kx row = u->rows.kind == ROWS_ONE ? kx_int(b->p, 0) : an->member ? w.row : kx_row(b->p);
    if (an->member && !u->walk_order)
        row = kx_iload(b->p, buffer_of(pl, BUF_GRAPH, GRAPH_IN_EID), kx_member(b->p));
    nest q;
    nest_shape(b, &q, an->v);
    kx x = n->type == T_INDEX ? index_value(b, an->v, w, q.idx) : value(b, an->v, w, q.idx);
    if (n->type != T_INDEX && (ktype)kx_at(b->p, x)->type == KT_F32 && b->p->buffers[an->buffer].type == KT_F64)
        x = kx_cast(b->p, KT_F64, x);
    put(b, b->out, &q, kn_store(b->p, kref_buffer(an->buffer, row, linear(b, an->v, q.idx)), x));
}

/* Stores of a value that the kernel has at its members, or at its rows. */
static void emit_stores_of(body *b, ir_val v, bool member)
{
    const planner *pl = b->pl;
    for (uint32_t k = 0; k < b->kp->anchors.n; k++) {
        const anchor *a = &pl->anchors.at[b->kp->anchors.at[k]];
        if (!a->agg && a->member == member && ir_same(a->v, v))
            emit_store(b, a);
    }
}

/* Stores of values that lie in the unit domain while the rows do not, and of none needed at a row. */
static void emit_other_stores(body *b)
{
    const planner *pl = b->pl;
    for (uint32_t k = 0; k < b->kp->anchors.n && !pl->why; k++) {
        const anchor *a = &pl->anchors.at[b->kp->anchors.at[k]];
        if (!a->member && !a->agg && !(b->need[a->v.i] & (1 << AT_ROW | 1 << AT_PRE)))
            emit_store(b, a);
    }
}

static void build_pre(body *b)
{
    b->out = &b->pre;
    for (uint32_t i = 1; i < b->pl->n_info && !b->pl->why; i++)
        if (b->need[i] & 1 << AT_PRE && wants_local(b, (ir_val){i}, AT_PRE))
            make_local(b, (ir_val){i}, AT_PRE);
}

static void build_members(body *b)
{
    b->out = &b->mem;
    for (uint32_t i = 1; i < b->pl->n_info && !b->pl->why; i++) {
        ir_val v = {i};
        if (b->need[i] & 1 << AT_MEMBER && wants_local(b, v, AT_MEMBER) && !b->member_local[i].local)
            make_local(b, v, AT_MEMBER);
        if (b->need[i] & 1 << AT_ROW && b->pl->info[i].agg && computed_here(b, v, AT_ROW))
            agg_step(b, v);
        if (b->need[i] & 1 << AT_MEMBER)
            emit_stores_of(b, v, true);
    }
}

static void build_post(body *b)
{
    b->out = &b->post;
    for (uint32_t i = 1; i < b->pl->n_info && !b->pl->why; i++) {
        ir_val v = {i};
        if (!(b->need[i] & (1 << AT_ROW | 1 << AT_PRE)))
            continue;
        if (b->need[i] & 1 << AT_ROW && !b->row_local[i].local && wants_local(b, v, AT_ROW))
            make_local(b, v, AT_ROW);
        emit_stores_of(b, v, false);
    }
    emit_other_stores(b);
}

static body *body_begin(planner *pl, uint32_t kernel)
{
    kernel_plan *kp = &pl->kernels.at[kernel];
    body *b = NEW(pl->mem, body);
    *b = (body){.pl = pl, .p = pl->p, .kp = kp, .number = kernel + 1, .member_dom = member_dom(pl, kp->fiber)};
    b->need = NEW_N(pl->mem, uint8_t, pl->n_info);
    b->uses = NEW_N(pl->mem, uint8_t, pl->n_info);
    b->row_local = NEW_N(pl->mem, local_of, pl->n_info);
    b->member_local = NEW_N(pl->mem, local_of, pl->n_info);
    const char *first = NULL;
    for (uint32_t i = 0; i < kp->anchors.n && !first; i++)
        first = at_of(pl, pl->anchors.at[kp->anchors.at[i]].v)->name;
    b->k = (kkernel){.name = arena_printf(pl->mem, "%s_%u_%s", pl->l->name, pl->p->n_kernels, first ? first : "k"), .rows = rows_of(pl, kp->rows),
                     .fiber = kp->fiber, .flops_row = -1, .flops_member = -1, .bytes_row = -1, .bytes_member = -1};
    return b;
}

uint32_t body_build(planner *pl, uint32_t kernel)
{
    body *b = body_begin(pl, kernel);
    find_needs(b);
    aggs_begin(b);
    build_pre(b);
    build_members(b);
    build_post(b);
    if (pl->why)
        return 0;
    const kernel_plan *kp = b->kp;
    pl->p->here = kp->anchors.n ? at_of(pl, pl->anchors.at[kp->anchors.at[0]].v)->where : (span){0};
    assemble(b);
    return kplan_add_kernel(pl->p, b->k);
}
