/* Counting: see explain_cost.h. An element-wise operation counts as one flop, a multiplication and addition as two. */
#include "compiler/driver/explain_cost.h"

#include <string.h>

#include "compiler/plan/kx.h"
#include "compiler/support/vec.h"

double explain_rows(const kplan *p, const explain_graph *g, mp_rows r)
{
    int64_t v;
    switch ((mp_rows_kind)r.kind) {
    case ROWS_ONE: return 1;
    case ROWS_SRC: return (double)g->n_src;
    case ROWS_DST: return (double)g->n_dst;
    case ROWS_EDGES: case ROWS_PAIRS: return (double)g->n_edges;
    case ROWS_GRAPHS: return (double)g->n_graphs;
    case ROWS_DIM: return r.which < p->n_dims && dim_is_const(p->layer->dims, p->dims[r.which], &v) ? (double)v : -1;
    }
    return -1;
}

double explain_members(const kplan *p, const explain_graph *g, mp_fiber f)
{
    switch ((mp_fiber_kind)f.kind) {
    case FIBER_NONE: return 0;
    case FIBER_IN: case FIBER_OUT: case FIBER_GRAPH_EDGE: case FIBER_PAIR: case FIBER_PAIR_BASE: case FIBER_PAIR_INDEX: case FIBER_INDEX:
        return (double)g->n_edges;
    case FIBER_GRAPH_DST: return (double)g->n_dst;
    case FIBER_ALL:
        return explain_rows(p, g, f.which < FIBER_ALL_PAIRS ? (mp_rows){f.which, 0}
                                  : f.which < FIBER_ALL_DIM ? (mp_rows){ROWS_PAIRS, f.which - FIBER_ALL_PAIRS}
                                                            : (mp_rows){ROWS_DIM, f.which - FIBER_ALL_DIM});
    }
    return -1;
}

/* ---- Kernels ----------------------------------------------------------------------------------------------------- */

typedef struct counter {
    const kplan *p;
    bool known;
    double flops[2];                /* a row, a member */
    bool *read[2], *written;        /* by buffer: by row, by member */
    uint32_t *seen, round;          /* by expression */
} counter;

typedef struct place_in { const knode *n; double times; int member; } place_in;

static double extent(counter *c, kdim d)
{
    c->known &= d.is_const;
    return d.is_const ? (double)d.value : 0;
}

/* Element-wise operations under x, each once; buffers that it reads. */
static double operations(counter *c, kx x, int member)
{
    double n = 0;
    VEC(uint32_t) todo = {0};
    vec_push(c->p->mem, &todo, x.i);
    c->round++;
    while (todo.n) {
        uint32_t i = vec_pop(&todo);
        if (!i || c->seen[i] == c->round)
            continue;
        c->seen[i] = c->round;
        const kexpr *e = &c->p->exprs[i];
        n += e->op == KX_MAP || e->op == KX_SELECT || e->op == KX_RANDOM;
        if (e->op == KX_LOAD || e->op == KX_ILOAD)
            c->read[member][e->buffer] = true;
        vec_push(c->p->mem, &todo, e->a.i);
        vec_push(c->p->mem, &todo, e->b.i);
        vec_push(c->p->mem, &todo, e->c.i);
    }
    return n;
}

static void count_product(counter *c, const kgemm *g, const place_in *at)
{
    c->flops[at->member] += 2 * at->times * extent(c, g->m) * extent(c, g->n) * extent(c, g->k) * extent(c, g->batch);
    if (!g->b_is_local)
        c->read[g->sum ? at->member : 0][g->b] = true;
    if (g->a_is_buffer)
        c->read[at->member][g->a] = true;
    operations(c, g->group, at->member);
}

static void count_node(counter *c, const place_in *at)
{
    const knode *n = at->n;
    switch (n->kind) {
    case KN_STORE: case KN_ACCUM:
        c->flops[at->member] += at->times * (operations(c, n->value, at->member) + (n->kind == KN_ACCUM));
        operations(c, n->dest.offset, at->member);
        operations(c, n->dest.row, at->member);
        if (n->dest.kind == REF_BUFFER)
            c->written[n->dest.id] = true;
        break;
    case KN_IFANY: c->flops[at->member] += at->times * operations(c, n->value, at->member); break;
    case KN_GEMM: count_product(c, n->gemm, at); break;
    case KN_SEQ: case KN_ROWS: case KN_WALK: case KN_BLOCKS: case KN_MEMBERS: case KN_FOR: break;
    }
}

static void count_kernel(counter *c, const kkernel *k)
{
    VEC(place_in) todo = {0};
    vec_push(c->p->mem, &todo, (place_in){k->body, 1, 0});
    while (todo.n) {
        place_in at = vec_pop(&todo);
        count_node(c, &at);
        place_in below = at;
        below.member |= at.n->kind == KN_WALK || at.n->kind == KN_BLOCKS;
        for (uint32_t i = 0; i < at.n->n_loops && at.n->kind == KN_FOR; i++)
            below.times *= extent(c, at.n->loops[i].extent);
        for (uint32_t i = 0; i < at.n->n_body; i++) {
            below.n = at.n->body[i];
            vec_push(c->p->mem, &todo, below);
        }
    }
}

static size_t type_size(ktype t)
{
    switch (t) {
    case KT_F64: case KT_I64: return 8;
    case KT_F32: case KT_I32: return 4;
    case KT_F16: case KT_BF16: return 2;
    case KT_BOOL: return 1;
    }
    return 0;
}

explain_cost explain_kernel(const kplan *p, const kkernel *k, const explain_graph *g)
{
    counter c = {.p = p, .known = true, .written = NEW_N(p->mem, bool, p->n_buffers + 1),
                 .read = {NEW_N(p->mem, bool, p->n_buffers + 1), NEW_N(p->mem, bool, p->n_buffers + 1)},
                 .seen = NEW_N(p->mem, uint32_t, p->n_exprs + 1)};
    count_kernel(&c, k);
    double rows = explain_rows(p, g, k->rows), members = explain_members(p, g, k->fiber);
    explain_cost cost = {.known = c.known && rows >= 0 && members >= 0};
    cost.flops = rows * c.flops[0] + members * c.flops[1];
    for (uint32_t i = 0; i < p->n_buffers; i++) {
        const kbuffer *b = &p->buffers[i];
        if (!c.written[i] && !c.read[0][i] && !c.read[1][i])
            continue;
        double row = extent(&c, b->elems) * (double)type_size(b->type), own = explain_rows(p, g, b->rows);
        cost.known &= c.known && own >= 0;
        if (c.written[i])
            cost.bytes += own * row;
        if (c.read[1][i] && b->rows.kind != ROWS_ONE)
            cost.bytes += members * row;
        else if (c.read[0][i] || c.read[1][i])
            cost.bytes += (b->rows.kind == ROWS_ONE || b->rows.kind == ROWS_DIM ? own : rows) * row;
    }
    return cost;
}

/* ---- Without fusion ---------------------------------------------------------------------------------------------- */

static double member_count(const ir_layer *l, const explain_graph *g, ir_dom d)
{
    const ir_domain *dom = &l->domains[d.i];
    int64_t range = 1;
    switch (dom->kind) {
    case DOM_NODES: return (double)(dom->side == SIDE_SRC ? g->n_src : g->n_dst);
    case DOM_EDGES: case DOM_PAIR: return (double)g->n_edges;
    case DOM_GRAPHS: return (double)g->n_graphs;
    case DOM_INDEX: dim_is_const(l->dims, dom->range, &range); return (double)range;
    case DOM_UNIT: break;
    }
    return 1;
}

static double value_elems(const ir_layer *l, const explain_graph *g, const ir_node *n, bool *known)
{
    double elems = member_count(l, g, n->dom);
    for (uint32_t i = 0; i < n->rank; i++) {
        int64_t x;
        if (dim_is_const(l->dims, n->shape[i], &x))
            elems *= (double)x;
        else
            *known = false;
    }
    return elems;
}

static double value_bytes(const ir_layer *l, const explain_graph *g, const ir_node *n, bool *known)
{
    static const int sizes[] = {[T_F64] = 8, [T_F32] = 4, [T_F16] = 2, [T_BF16] = 2, [T_INDEX] = 4, [T_BOOL] = 1, [T_MAP] = 4};
    return value_elems(l, g, n, known) * sizes[n->type];
}

/* Letters of a contraction that are summed away. */
static double summed(const ir_layer *l, const ir_node *n)
{
    double times = 1;
    const ir_einsum *e = &n->u.ein;
    for (uint32_t side = 0; side < 2 && side < n->nargs; side++) {
        const ir_node *x = ir_at(l, n->args[side]);
        for (uint32_t i = 0; i < (side ? e->nb : e->na); i++) {
            uint8_t letter = side ? e->b[i] : e->a[i];
            bool stays = memchr(e->out, letter, e->nout) || (side && memchr(e->a, letter, e->na));
            int64_t d = 1;
            if (!stays && dim_is_const(l->dims, x->shape[i], &d))
                times *= (double)d;
        }
    }
    return times;
}

explain_cost explain_unfused(const ir_layer *l, const explain_graph *g)
{
    explain_cost cost = {.known = true};
    for (uint32_t i = 1; i < l->n_nodes; i++) {
        const ir_node *n = &l->nodes[i];
        ir_class class = ir_ops[n->op].cls;
        double steps = 1;
        if (class == CLS_LEAF || class == CLS_MAP || n->type == T_MAP)
            continue;
        for (uint32_t region = n->region; region; region = l->loops[region - 1].parent) {
            int64_t limit = 1;
            dim_is_const(l->dims, l->loops[region - 1].limit, &limit);
            steps *= (double)limit;
        }
        double elems = value_elems(l, g, n, &cost.known), first = 0, bytes = value_bytes(l, g, n, &cost.known);
        for (uint32_t k = 0; k < n->nargs; k++) {
            const ir_node *x = ir_at(l, n->args[k]);
            if (class == CLS_GATHER && !k)          /* reads a row a member, however few rows there are */
                bytes *= 2;
            else
                bytes += value_bytes(l, g, x, &cost.known);
            if (!k)
                first = value_elems(l, g, x, &cost.known);
        }
        cost.bytes += steps * bytes;
        cost.flops += steps * (class == CLS_EW ? elems : class == CLS_REDUCE || class == CLS_AGG || class == CLS_GROUP ? first
                               : class == CLS_CONTRACT ? 2 * elems * summed(l, n) : 0);
    }
    return cost;
}
