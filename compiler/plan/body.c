/* The body of one kernel: which values get a local, the statements in order, and the loops around them. */
#include "compiler/plan/planner.h"

#include <math.h>
#include <string.h>

/* ---- small things ---------------------------------------------------------------------------------------- */

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

/* One variable for each way of standing in a nest (depth, loops outside, extent), so that equal nests have
 * equal expressions and can be merged. */
kx var_of(body *b, uint32_t depth, uint32_t parent, kdim extent, bool reduce, uint32_t *id)
{
    for (uint32_t i = 0; i < b->vars.n; i++) {
        loop_var *q = &b->vars.at[i];
        if (q->depth == depth && q->parent == parent && q->reduce == reduce && kdim_same(q->extent, extent)) {
            *id = q->var;
            return kx_var(b->p, q->var);
        }
    }
    *id = kkernel_new_var(&b->k);
    vec_push(b->pl->mem, &b->vars, (loop_var){depth, parent, *id, extent, reduce});
    return kx_var(b->p, *id);
}

void nest_add(body *b, nest *n, dim extent, bool reduce, kx *idx)
{
    if (dim_is(b->pl->l->dims, extent, 1)) {
        *idx = kx_int(b->p, 0);
        return;
    }
    uint32_t parent = n->n ? n->loops[n->n - 1].var + 1 : 0, id;
    kdim e = kdim_of(b->p, extent);
    *idx = var_of(b, n->n, parent, e, reduce, &id);
    n->loops[n->n++] = (kloop){.var = id, .extent = e, .reduce = reduce};
}

void nest_shape(body *b, nest *n, ir_val v)
{
    const ir_node *x = at_of(b->pl, v);
    n->n = 0;
    for (int k = 0; k < x->rank; k++)
        nest_add(b, n, x->shape[k], false, &n->idx[k]);
}

/* Does x read the local otherwise than at `offset`? Says yes when the expression is too large to look through. */
static bool reads_elsewhere(const kplan *p, kx x, uint32_t local, kx offset, int *budget)
{
    if (!kx_is(x))
        return false;
    if (--*budget < 0)
        return true;
    const kexpr *e = kx_at(p, x);
    if ((e->op == KX_LOCAL || e->op == KX_IDX) && e->local == local)
        return !kx_is(offset) || !kx_same(e->a, offset);
    return reads_elsewhere(p, e->a, local, offset, budget) || reads_elsewhere(p, e->b, local, offset, budget) ||
           reads_elsewhere(p, e->c, local, offset, budget);
}

static bool same_loops(const knode *f, const nest *n)
{
    if (f->kind != KN_FOR || f->n_loops != n->n)
        return false;
    for (uint32_t i = 0; i < n->n; i++)
        if (f->loops[i].var != n->loops[i].var || f->loops[i].reduce != n->loops[i].reduce)
            return false;
    return true;
}

/* May the statement join the others of the loop? Each of its iterations may read only what the same iteration wrote. */
static bool may_join(const kplan *p, const knode *f, const knode *s)
{
    bool reduce = false;
    for (uint32_t i = 0; i < f->n_loops; i++)
        reduce |= f->loops[i].reduce;
    for (uint32_t i = 0; i < f->n_body; i++) {
        const knode *q = f->body[i];
        int budget = 400;
        if (q->kind != KN_STORE && q->kind != KN_ACCUM)
            return false;
        if (q->dest.kind == REF_LOCAL && reads_elsewhere(p, s->value, q->dest.id, reduce ? (kx){0} : q->dest.offset, &budget))
            return false;
        if (s->dest.kind == REF_LOCAL && reads_elsewhere(p, q->value, s->dest.id, (kx){0}, &budget))
            return false;
        /* parts of one value stand beside each other, but what is added up at a place of its own wants all of it begun */
        if ((q->kind == KN_ACCUM || s->kind == KN_ACCUM) && q->dest.kind == s->dest.kind && q->dest.id == s->dest.id &&
            !kx_same(q->dest.offset, s->dest.offset))
            return false;
    }
    return f->n_body < 16;
}

void put(body *b, nodes *list, const nest *n, knode *s)
{
    arena *mem = b->pl->mem;
    if (n->n == 0) {
        vec_push(mem, list, s);
        return;
    }
    if (list->n && same_loops(vec_last(list), n) && may_join(b->p, vec_last(list), s)) {
        knode *f = vec_last(list);
        knode **body_ = NEW_N(mem, knode *, f->n_body + 1);
        memcpy(body_, f->body, f->n_body * sizeof *body_);
        body_[f->n_body++] = s;
        f->body = body_;
        return;
    }
    vec_push(mem, list, kn_for1(b->p, n->loops, n->n, s));
}

/* ---- which values are needed where ------------------------------------------------------------------------- */

static void want(body *b, ir_val reader, ir_val v, at a)
{
    planner *pl = b->pl;
    const ir_node *n = at_of(pl, v);
    if (n->dom.i == 0 && !(b->kp->rows.i == 0 && (a == AT_ROW || a == AT_PRE)))
        return;                                         /* of the whole call: from memory or inline */
    b->need[v.i] |= (uint8_t)(1 << a);
    uint8_t *u = &b->uses[v.i];
    if ((*u & 0x3f) < 0x3f)
        (*u)++;
    if (ir_is(reader)) {
        const ir_node *r = at_of(pl, reader);
        bool larger = r->op == OP_EINSUM || ir_ops[r->op].cls == CLS_AGG;
        if (!larger)
            larger = !dim_equal(pl->l->dims, elems_of(pl, reader), elems_of(pl, v)) && ir_ops[r->op].cls == CLS_EW;
        if (larger)
            *u |= 0x80;
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
        b->uses[n->args[0].i] |= (b->uses[v.i] & 0x3f) > 1 ? 0x80 : b->uses[v.i] & 0x80;
    switch ((ir_op)n->op) {
    case OP_GATHER:
        if (a == AT_MEMBER && map_own(pl, b->kp->fiber, n->args[1])) {
            want(b, v, n->args[0], AT_PRE);
            b->uses[n->args[0].i] |= 0x40;              /* read by members: worked out once a row */
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

static bool is_view(ir_op op)
{
    return op == OP_RESHAPE || op == OP_TRANSPOSE || op == OP_BROADCAST || op == OP_SLICE || op == OP_GATHER || op == OP_LOOKUP ||
           op == OP_ROWS || op == OP_UNROWS || op == OP_UNSPREAD;
}

static bool wants_local(body *b, ir_val v, at a)
{
    planner *pl = b->pl;
    const ir_node *n = at_of(pl, v);
    if (n->type == T_INDEX || n->type == T_MAP)
        return false;
    bool many = (b->uses[v.i] & 0x3f) > 1, larger = b->uses[v.i] & 0x80;
    if (!computed_here(b, v, a))        /* a row that each member reads stays at hand */
        return a == AT_PRE && (b->uses[v.i] & 0x40) && n->dom.i != 0;
    switch (ir_ops[n->op].cls) {
    case CLS_LEAF:
        if (is_agg(pl, v))
            return false;
        return a == AT_PRE && (b->uses[v.i] & 0x40) && n->op != OP_CONST && n->dom.i != 0;
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
    if (a == AT_PRE && (b->uses[v.i] & 0x40) && n->dom.i != 0)
        return true;
    return pl->info[v.i].depth > 24 || (pl->info[v.i].cost > 8 && (many || larger) && !is_view((ir_op)n->op));
}

/* ---- locals of values ---------------------------------------------------------------------------------------- */

static void emit_reduce(body *b, ir_val v, at a, spot w, const local_of *lo)
{
    planner *pl = b->pl;
    kplan *p = b->p;
    const ir_node *n = at_of(pl, v), *m = at_of(pl, n->args[0]);
    ktype t = kreg_of((ir_type)n->type);
    double start = n->op == OP_RSUM ? 0 : n->op == OP_RMAX ? -HUGE_VAL : HUGE_VAL;
    nest q;
    nest_shape(b, &q, v);
    kref dest = kref_local(lo->local, local_offset(b, v, lo, q.idx));
    (void)a;
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

static void emit_concat(body *b, ir_val v, spot w, kref (*dest)(body *, void *, const kx *), void *ud)
{
    planner *pl = b->pl;
    const ir_node *n = at_of(pl, v);
    dim_table *t = pl->l->dims;
    dim lo = dim_const(t, 0);
    for (uint32_t k = 0; k < n->nargs; k++) {
        nest q;
        nest_shape(b, &q, n->args[k]);
        kx to[IR_MAX_RANK];
        memcpy(to, q.idx, sizeof to);
        to[n->u.axis] = kx_iadd(b->p, q.idx[n->u.axis], kx_dimval(b->p, kdim_of(b->p, lo)));
        spot pw = at_of(pl, n->args[k])->dom.i == 0 && w.dom.i != 0 ? (spot){AT_OTHER, ir_dom_unit(), kx_int(b->p, 0)} : w;
        kx x = value(b, n->args[k], pw, q.idx);
        put(b, b->out, &q, kn_store(b->p, dest(b, ud, to), x));
        lo = dim_add(t, lo, at_of(pl, n->args[k])->shape[n->u.axis]);
    }
}

typedef struct local_dest { ir_val v; const local_of *lo; } local_dest;
static kref to_local(body *b, void *ud, const kx *idx)
{
    const local_dest *d = ud;
    return kref_local(d->lo->local, local_offset(b, d->v, d->lo, idx));
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
    if (n->op == OP_EINSUM && computed_here(b, v, a)) {
        make_product(b, v, a);
        return;
    }
    spot w = a == AT_MEMBER ? member_place(b) : row_place(b, a, n->dom);
    local_of lo = {0};
    for (int k = 0; k < n->rank; k++)
        lo.order[k] = (uint8_t)k;
    lo.local = add_local(b, n->name ? n->name : ir_ops[n->op].text, a == AT_MEMBER ? SCOPE_MEMBER : SCOPE_ROW, kreg_of((ir_type)n->type),
                         elems_of(pl, v), false);
    if (computed_here(b, v, a) && ir_ops[n->op].cls == CLS_REDUCE) {
        emit_reduce(b, v, a, w, &lo);
    } else if (computed_here(b, v, a) && n->op == OP_CONCAT) {
        emit_concat(b, v, w, to_local, &(local_dest){v, &lo});
    } else if (computed_here(b, v, a) && n->op == OP_ONEHOT_ADD) {
        emit_unlookup(b, v, w, &lo);
    } else {
        nest q;
        nest_shape(b, &q, v);
        kx x = value(b, v, w, q.idx);
        put(b, b->out, &q, kn_store(b->p, kref_local(lo.local, local_offset(b, v, &lo, q.idx)), x));
    }
    *local_at(b, v, a) = lo;
}

/* ---- stores ---------------------------------------------------------------------------------------------------- */

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

/* ---- the tree ---------------------------------------------------------------------------------------------------- */

/* The row of a buffer whose elements from `offset` on are read: row * elems + element, as integers are loaded. */
static kx row_of_offset(const kplan *p, kx offset, kdim elems)
{
    const kexpr *e = kx_at(p, offset);
    for (int depth = 0; depth < 4 && e->op == KX_IADD; depth++) {
        offset = e->a;
        e = kx_at(p, offset);
    }
    bool one = elems.is_const && elems.value == 1;
    return e->op == KX_IMUL ? e->a : one ? offset : (kx){0};
}

/* Rows that a walk reads from all over memory: those whose number is itself read by the member. A number by edge, too, where the
 * walk is not in the order in which edges stand. */
static void add_prefetch_of(body *b, knode *walk, kx x, uint32_t *seen, int depth)
{
    enum { MOST = 8, WIDE = 4 };
    if (!kx_is(x) || seen[x.i] || depth > 64)
        return;
    seen[x.i] = 1;
    const kexpr *e = kx_at(b->p, x);
    if (e->op == KX_LOAD || e->op == KX_ILOAD) {
        const kbuffer *u = &b->p->buffers[e->buffer];
        kdim elems = u->elems;
        kx row = e->op == KX_LOAD ? e->a : row_of_offset(b->p, e->a, elems);
        const kexpr *r = kx_is(row) ? kx_at(b->p, row) : NULL;
        bool wide = !elems.is_const || elems.value >= WIDE;
        bool scattered = u->rows.kind == ROWS_EDGES && u->kind != BUF_GRAPH && b->kp->fiber.kind == FIBER_OUT;
        if (r && r->op == KX_ILOAD && kx_uses_member(b->p, r->a) && (wide || scattered)) {
            bool have = false;
            for (uint32_t i = 0; i < walk->n_prefetch; i++)
                have |= walk->prefetch[i].buffer == e->buffer && kx_same(walk->prefetch[i].row_at, row);
            if (!have && walk->n_prefetch < MOST)
                kn_prefetch(b->p, walk, e->buffer, row, elems);
        }
    }
    add_prefetch_of(b, walk, e->a, seen, depth + 1);
    add_prefetch_of(b, walk, e->b, seen, depth + 1);
    add_prefetch_of(b, walk, e->c, seen, depth + 1);
}

static void add_prefetch(body *b, knode *walk, knode *const *list, uint32_t n, uint32_t *seen)
{
    for (uint32_t i = 0; i < n; i++) {
        add_prefetch_of(b, walk, list[i]->value, seen, 0);
        add_prefetch(b, walk, list[i]->body, list[i]->n_body, seen);
    }
}

/* Locals that statements of different groups share have a copy a row of the tile or member of the block. */
typedef struct marker { body *b; uint32_t *group; uint32_t *seen; uint32_t now; } marker;

static void mark_local(marker *m, uint32_t local)
{
    if (m->group[local] && m->group[local] != m->now)
        m->b->k.locals[local].tiled = true;
    m->group[local] = m->now;
}

static void mark_expr(marker *m, kx x)
{
    if (!kx_is(x) || m->seen[x.i] == m->now)
        return;
    m->seen[x.i] = m->now;
    const kexpr *e = kx_at(m->b->p, x);
    if (e->op == KX_LOCAL || e->op == KX_IDX || e->op == KX_OTHER)
        mark_local(m, e->local);
    mark_expr(m, e->a);
    mark_expr(m, e->b);
    mark_expr(m, e->c);
}

static void mark_node(marker *m, const knode *n)
{
    mark_expr(m, n->value);
    if ((n->kind == KN_STORE || n->kind == KN_ACCUM) && n->dest.kind == REF_LOCAL)
        mark_local(m, n->dest.id);
    mark_expr(m, n->dest.offset);
    mark_expr(m, n->dest.row);
    for (uint32_t i = 0; i < n->n_init; i++)
        mark_node(m, n->init[i]);
    for (uint32_t i = 0; i < n->n_combine; i++)
        mark_node(m, n->combine[i]);
    for (uint32_t i = 0; i < n->n_body; i++)
        mark_node(m, n->body[i]);
}

static void mark_gemm(marker *m, const kgemm *g)
{
    body *b = m->b;
    if (!g->a_is_buffer)
        b->k.locals[g->a].tiled = true;
    if (g->b_is_local)
        b->k.locals[g->b].tiled = true;
    b->k.locals[g->c].tiled = true;
    mark_expr(m, g->a_offset);
    mark_expr(m, g->b_offset);
    mark_expr(m, g->c_offset);
    mark_expr(m, g->group);
}

static void mark_tiled(body *b, knode *const *list, uint32_t n, marker *m)
{
    for (uint32_t i = 0; i < n; i++) {
        const knode *q = list[i];
        m->now++;
        if (q->kind == KN_GEMM) {
            mark_gemm(m, q->gemm);
        } else if (q->kind == KN_BLOCKS) {
            for (uint32_t k = 0; k < q->n_init; k++)
                mark_node(m, q->init[k]);
            for (uint32_t k = 0; k < q->n_combine; k++)
                mark_node(m, q->combine[k]);
            mark_tiled(b, q->body, q->n_body, m);
        } else {
            mark_node(m, q);
        }
    }
}

/* Statements of one level, products apart: row (member) loops around the statements between products. */
static void group(body *b, nodes *to, const nodes *from, knode *(*wrap)(kplan *, knode *const *, uint32_t), nodes *open)
{
    arena *mem = b->pl->mem;
    for (uint32_t i = 0; i < from->n; i++) {
        if (from->at[i]->kind == KN_GEMM) {
            if (open->n)
                vec_push(mem, to, wrap(b->p, open->at, open->n));
            *open = (nodes){.n = 0};
            vec_push(mem, to, from->at[i]);
        } else {
            vec_push(mem, open, from->at[i]);
        }
    }
}

static void close_group(body *b, nodes *to, knode *(*wrap)(kplan *, knode *const *, uint32_t), nodes *open)
{
    if (open->n)
        vec_push(b->pl->mem, to, wrap(b->p, open->at, open->n));
    *open = (nodes){.n = 0};
}

static bool has_gemm(const nodes *l)
{
    for (uint32_t i = 0; i < l->n; i++)
        if (l->at[i]->kind == KN_GEMM)
            return true;
    return false;
}

/* A product whose weights do not stay in L2 reads them for each tile: then a tile has more rows. */
static bool has_wide_gemm(const nodes *l)
{
    enum { WIDE_BYTES = 512 * 1024 };
    for (uint32_t i = 0; i < l->n; i++) {
        const kgemm *g = l->at[i]->kind == KN_GEMM ? l->at[i]->gemm : NULL;
        if (g && g->n.is_const && g->k.is_const && g->n.value > 0 &&
            g->k.value > WIDE_BYTES / (g->type == KT_F64 ? 8 : 4) / g->n.value)
            return true;
    }
    return false;
}

static void assemble(body *b)
{
    kplan *p = b->p;
    planner *pl = b->pl;
    nodes top = {0}, open = {0};
    bool walks = b->kp->fiber.kind != FIBER_NONE;
    group(b, &top, &b->pre, kn_rows, &open);
    if (walks && has_gemm(&b->mem)) {
        close_group(b, &top, kn_rows, &open);
        nodes inner = {0}, mopen = {0};
        group(b, &inner, &b->mem, kn_members, &mopen);
        close_group(b, &inner, kn_members, &mopen);
        uint32_t *seen = NEW_N(pl->mem, uint32_t, p->n_exprs);
        for (uint32_t i = 0; i < inner.n; i++)
            if (inner.at[i]->kind == KN_MEMBERS)
                add_prefetch(b, inner.at[i], inner.at[i]->body, inner.at[i]->n_body, seen);
        b->k.walk = kn_blocks(p, pl->opt.block, b->init.at, b->init.n, inner.at, inner.n, b->combine.at, b->combine.n);
        vec_push(pl->mem, &top, b->k.walk);
        for (uint32_t i = 1; i < b->k.n_locals; i++)
            if (b->k.locals[i].accumulator)
                b->k.locals[i].tiled = true;
    } else if (walks) {
        b->k.walk = kn_walk(p, b->init.at, b->init.n, b->mem.at, b->mem.n, b->combine.at, b->combine.n);
        uint32_t *seen = NEW_N(pl->mem, uint32_t, p->n_exprs);
        add_prefetch(b, b->k.walk, b->mem.at, b->mem.n, seen);
        vec_push(pl->mem, &open, b->k.walk);
    }
    group(b, &top, &b->post, kn_rows, &open);
    close_group(b, &top, kn_rows, &open);
    bool gemm = has_gemm(&b->pre) || has_gemm(&b->post) || has_gemm(&b->mem);
    uint32_t tile = has_wide_gemm(&b->pre) || has_wide_gemm(&b->post) ? pl->opt.tile_wide : pl->opt.tile;
    b->k.tile = gemm && !b->sums ? tile : 1;                /* matrices as accumulators: one row at a time */
    b->k.row_cost = gemm ? 16 : 2;
    if (gemm) {
        marker m = {.b = b, .group = NEW_N(pl->mem, uint32_t, b->k.n_locals + 1), .seen = NEW_N(pl->mem, uint32_t, p->n_exprs)};
        mark_tiled(b, top.at, top.n, &m);
    }
    b->k.body = kn_seq(p, top.at, top.n);
}

uint32_t body_build(planner *pl, uint32_t kernel)
{
    kernel_plan *kp = &pl->kernels.at[kernel];
    body *b = NEW(pl->mem, body);
    *b = (body){.pl = pl, .p = pl->p, .kp = kp, .number = kernel + 1};
    b->need = NEW_N(pl->mem, uint8_t, pl->n_info);
    b->uses = NEW_N(pl->mem, uint8_t, pl->n_info);
    b->row_local = NEW_N(pl->mem, local_of, pl->n_info);
    b->member_local = NEW_N(pl->mem, local_of, pl->n_info);
    b->member_dom = member_dom(pl, kp->fiber);
    const char *first = NULL;
    for (uint32_t i = 0; i < kp->anchors.n; i++) {
        anchor *a = &pl->anchors.at[kp->anchors.at[i]];
        b->need[a->v.i] |= (uint8_t)(1 << (a->member ? AT_MEMBER : AT_ROW));
        if (!a->agg)
            b->uses[a->v.i]++;      /* its store */
        if (at_of(pl, a->v)->name && !first)
            first = at_of(pl, a->v)->name;
    }
    const span start = kp->anchors.n ? at_of(pl, pl->anchors.at[kp->anchors.at[0]].v)->where : (span){0};
    b->k = (kkernel){.name = arena_printf(pl->mem, "%s_%u_%s", pl->l->name, pl->p->n_kernels, first ? first : "k"), .rows = rows_of(pl, kp->rows),
                     .fiber = kp->fiber, .flops_row = -1, .flops_member = -1, .bytes_row = -1, .bytes_member = -1};
    for (uint32_t i = pl->n_info - 1; i > 0; i--)
        for (int a = AT_ROW; a <= AT_MEMBER; a++)
            if (b->need[i] & 1 << a)
                want_operands(b, (ir_val){i}, (at)a);
    aggs_begin(b);

    b->out = &b->pre;
    for (uint32_t i = 1; i < pl->n_info && !pl->why; i++)
        if (b->need[i] & 1 << AT_PRE && wants_local(b, (ir_val){i}, AT_PRE))
            make_local(b, (ir_val){i}, AT_PRE);
    b->out = &b->mem;
    for (uint32_t i = 1; i < pl->n_info && !pl->why; i++) {
        ir_val v = {i};
        if (b->need[i] & 1 << AT_MEMBER && wants_local(b, v, AT_MEMBER) && !b->member_local[i].local)
            make_local(b, v, AT_MEMBER);
        if (b->need[i] & 1 << AT_ROW && pl->info[i].agg && computed_here(b, v, AT_ROW))
            agg_step(b, v);
        if (b->need[i] & 1 << AT_MEMBER)
            for (uint32_t k = 0; k < kp->anchors.n; k++) {
                anchor *a = &pl->anchors.at[kp->anchors.at[k]];
                if (a->member && ir_same(a->v, v))
                    emit_store(b, a);
            }
    }
    b->out = &b->post;
    for (uint32_t i = 1; i < pl->n_info && !pl->why; i++) {
        ir_val v = {i};
        if (!(b->need[i] & (1 << AT_ROW | 1 << AT_PRE)))
            continue;
        if (b->need[i] & 1 << AT_ROW && !b->row_local[i].local && wants_local(b, v, AT_ROW))
            make_local(b, v, AT_ROW);
        for (uint32_t k = 0; k < kp->anchors.n; k++) {
            anchor *a = &pl->anchors.at[kp->anchors.at[k]];
            if (!a->member && !a->agg && ir_same(a->v, v))
                emit_store(b, a);
        }
    }
    /* stores of values that lie in the unit domain while the rows do not, and of none needed at a row */
    for (uint32_t k = 0; k < kp->anchors.n && !pl->why; k++) {
        anchor *a = &pl->anchors.at[kp->anchors.at[k]];
        if (!a->member && !a->agg && !(b->need[a->v.i] & (1 << AT_ROW | 1 << AT_PRE)))
            emit_store(b, a);
    }
    if (pl->why)
        return 0;
    pl->p->here = start;
    assemble(b);
    return kplan_add_kernel(pl->p, b->k);
}
