/* The cost model. See cost.h. */
#include "compiler/passes/cost.h"

#include "compiler/ir/copy.h"

#include <math.h>

enum { TYPICAL_DIM = 64, TYPICAL_FEW = 8, TYPICAL_STEPS = 10, MAX_NESTING = 16 };

typedef struct marking { uint64_t bits; } marking;

static bool mark_symbol(void *ud, dim_sym s)
{
    ((marking *)ud)->bits |= s.i < 64 ? (uint64_t)1 << s.i : 0;
    return true;
}

/* Typical dims that nobody gave: a range of an index is a number of kinds, and what only weights of three
 * or more axes have (not counting one by kind) is a number of heads or the width of one. */
static uint64_t small_symbols(const ir_layer *l)
{
    marking kinds = {0}, heads = {0}, wide = {0};
    for (uint32_t i = 0; i < l->n_inputs; i++) {
        const ir_node *n = ir_at(l, l->inputs[i].value);
        if (n->type == T_INDEX)
            dim_each_symbol(l->dims, n->range, mark_symbol, &kinds);
    }
    for (uint32_t i = 0; i < l->n_inputs; i++) {
        const ir_node *n = ir_at(l, l->inputs[i].value);
        marking first = {0};
        if (n->rank)
            dim_each_symbol(l->dims, n->shape[0], mark_symbol, &first);
        uint32_t axes = n->rank - (n->rank && (first.bits & kinds.bits));
        for (uint32_t k = 0; k < n->rank; k++)
            if (!l->inputs[i].param || axes >= 3)
                dim_each_symbol(l->dims, n->shape[k], mark_symbol, l->inputs[i].param ? &heads : &wide);
    }
    return kinds.bits | (heads.bits & ~wide.bits);
}

cost_model cost_model_make(const ir_layer *l, const pass_options *o)
{
    return (cost_model){.l = l,
                        .options = o,
                        .nodes = o->nodes > 0 ? o->nodes : 1e5,
                        .degree = o->degree > 0 ? o->degree : 16,
                        .graphs = o->graphs > 0 ? o->graphs : 64,
                        .few = small_symbols(l)};
}

static bool symbol_value(void *ud, dim_sym s, int64_t *value)
{
    cost_model *m = ud;
    if (m->options->dim_value && m->options->dim_value(m->options->ud, s, value) && *value > 0)
        return true;
    m->assumed = true;
    *value = s.i < 64 && m->few >> s.i & 1 ? TYPICAL_FEW : TYPICAL_DIM;
    return true;
}

double cost_dim(cost_model *m, dim d)
{
    int64_t n;
    if (dim_is_const(m->l->dims, d, &n))
        return (double)n;
    if (dim_eval(m->l->dims, d, symbol_value, m, &n) == DIM_FINE)
        return n > 0 ? (double)n : 1;
    return TYPICAL_DIM;         /* a quotient that typical values do not divide */
}

double cost_rows(cost_model *m, ir_dom dom)
{
    const ir_domain *d = &m->l->domains[dom.i];
    switch (d->kind) {
    case DOM_UNIT: return 1;
    case DOM_NODES: return m->nodes;
    case DOM_EDGES: return m->nodes * m->degree;
    case DOM_GRAPHS: return m->graphs;
    case DOM_INDEX: return cost_dim(m, d->range);
    case DOM_PAIR: {
        double members = cost_rows(m, ir_at(m->l, d->map)->dom),
               cells = cost_rows(m, d->base) * cost_dim(m, d->range);
        /* cells that are hit, members thrown at random */
        return cells < 1 ? 1 : cells * (1 - exp(-members / cells));
    }
    }
    return 1;
}

bool cost_fewer_rows(cost_model *m, ir_dom few, ir_dom many)
{
    return cost_rows(m, few) < cost_rows(m, many);
}

double cost_elems(cost_model *m, ir_val v)
{
    const ir_node *n = ir_at(m->l, v);
    double e = 1;
    for (uint32_t k = 0; k < n->rank; k++)
        e *= cost_dim(m, n->shape[k]);
    return e;
}

double cost_gather_byte(const cost_model *m, ir_val along)
{
    ir_op op = (ir_op)ir_at(m->l, along)->op;
    /* pairs are in the order of their first: those of a row are near each other */
    if (op == OP_MAP_PAIR)
        return cost_gather_byte(m, ir_at(m->l, along)->args[1]) == COST_OWN ? COST_TABLE : COST_FAR;
    if (op == OP_MAP_INDEX || op == OP_MAP_SECOND)
        return COST_TABLE;
    return op == OP_MAP_SRC || op == OP_MAP_SRC_DST ? COST_FAR : COST_OWN;
}

bool cost_in_memory(const ir_layer *l, ir_val v)
{
    for (int depth = 0; depth < MAX_NESTING; depth++) {
        const ir_node *n = ir_at(l, v);
        if (n->op == OP_INPUT || n->op == OP_STATE || n->op == OP_FINAL || n->op == OP_RECALL || n->dom.i == 0)
            return true;
        if ((n->op != OP_RESHAPE && n->op != OP_SLICE && n->op != OP_ROWS && n->op != OP_CAST &&
             n->op != OP_GATHER) ||
            n->nargs == 0)
            return n->op == OP_COUNT || n->op == OP_INDEGREE;
        v = n->args[0];
    }
    return false;
}

static double steps_around(cost_model *m, uint32_t region)
{
    double n = 1;
    for (int depth = 0; region && depth < MAX_NESTING; depth++) {
        int64_t k;
        dim limit = m->l->loops[region - 1].limit;
        n *= dim_is_const(m->l->dims, limit, &k) && k < TYPICAL_STEPS ? (double)k : TYPICAL_STEPS;
        region = m->l->loops[region - 1].parent;
    }
    return n;
}

static double einsum_points(cost_model *m, const ir_node *n)
{
    const ir_node *a = ir_at(m->l, n->args[0]), *b = ir_at(m->l, n->args[1]);
    double points = 1;
    unsigned seen = 0;
    for (uint32_t k = 0; k < a->rank; k++) {
        seen |= 1u << n->u.ein.a[k];
        points *= cost_dim(m, a->shape[k]);
    }
    for (uint32_t k = 0; k < b->rank; k++)
        if (!(seen & 1u << n->u.ein.b[k]))
            points *= cost_dim(m, b->shape[k]);
    return points;
}

/* A product with a matrix that all members, or all of a kind, share. */
static bool is_dense(const ir_layer *l, ir_val v)
{
    const ir_node *n = ir_at(l, v);
    if (n->dom.i == 0)
        return true;
    if (n->op != OP_GATHER)
        return false;
    ir_op along = (ir_op)ir_at(l, n->args[1])->op;
    return along == OP_MAP_INDEX || along == OP_MAP_SECOND;
}

static void einsum_cost(cost_model *m, const ir_node *n, double rows, pass_cost *c)
{
    double points = einsum_points(m, n);
    const ir_node *a = ir_at(m->l, n->args[0]), *b = ir_at(m->l, n->args[1]);
    bool dense = a->rank && b->rank && n->rank && (is_dense(m->l, n->args[0]) || is_dense(m->l, n->args[1]));
    bool edges = m->l->domains[n->dom.i].kind == DOM_EDGES;
    c->flops += 2 * points * rows;
    c->ns += 2 * points * rows * (!dense ? COST_DOT : edges ? COST_GEMM_EDGE : COST_GEMM);
}

pass_cost cost_value(cost_model *m, ir_val v)
{
    const ir_node *n = ir_at(m->l, v);
    pass_cost c = {0};
    double rows = cost_rows(m, n->dom), elems = cost_elems(m, v);
    switch (ir_ops[n->op].cls) {
    case CLS_LEAF: case CLS_MAP: case CLS_LOOP:
        break;
    case CLS_EW:
        c.flops = rows * elems;
        c.ns = rows * cost_lanes(elems) * ir_ops[n->op].cost * COST_EW;
        break;
    case CLS_REDUCE:
        c.flops = rows * cost_elems(m, n->args[0]);
        c.ns = c.flops * ir_ops[n->op].cost * COST_EW;
        break;
    case CLS_CONTRACT:
        einsum_cost(m, n, rows, &c);
        break;
    case CLS_SHAPE:
        if (n->op == OP_CONCAT || n->op == OP_LOOKUP || n->op == OP_ONEHOT_ADD || n->op == OP_SPREAD) {
            c.bytes = rows * elems * 4;
            c.ns = n->op == OP_CONCAT && n->dom.i ? c.bytes * COST_OWN : c.bytes * COST_STREAM;
        }
        break;
    case CLS_GATHER:
        c.bytes = rows * elems * 4;
        c.ns = c.bytes * cost_gather_byte(m, n->args[1]);
        break;
    case CLS_AGG: case CLS_GROUP: {
        const ir_node *along = ir_at(m->l, n->args[n->nargs - 1]);
        double members = cost_rows(m, along->dom);
        if (n->op == OP_POSITION)
            break;
        double wide = cost_elems(m, n->args[n->nargs - 2]);
        c.flops = members * wide;
        c.ns =
            members * cost_lanes(wide) * ir_ops[n->op].cost * COST_EW * (n->op == OP_AGG_SOFTSUM ? 0.2 : 1);
        if (n->op == OP_AGG_SOFTSUM)
            c.ns += members * cost_elems(m, n->args[0]) * ir_ops[n->op].cost * COST_EW;
        break;
    }
    }
    if (!n->dom.i && n->rank && n->op == OP_EINSUM)
        c.ns = COST_WEIGHT + c.flops * COST_WEIGHT_FLOP;
    else if (!n->dom.i && n->rank > 1 && ir_ops[n->op].cls == CLS_EW)
        c.ns = COST_WEIGHT;
    double steps = steps_around(m, n->region);
    return (pass_cost){c.flops * steps, c.bytes * steps, c.ns * steps};
}

/* Is the value read at other rows than its own, so that it must be stored? */
static bool read_elsewhere(const ir_layer *l, const ir_node *gather)
{
    ir_op along = (ir_op)ir_at(l, gather->args[1])->op;
    return along == OP_MAP_SRC || along == OP_MAP_SRC_DST || along == OP_MAP_PAIR || along == OP_MAP_INDEX;
}

pass_cost cost_layer(cost_model *m, arena *scratch)
{
    arena_mark mark = arena_get_mark(scratch);
    ir_live live = ir_find_live(m->l, scratch);
    uint8_t *stored = NEW_N(scratch, uint8_t, m->l->n_nodes);
    pass_cost sum = {0};
    for (uint32_t i = 0; i < live.n; i++) {
        pass_cost c = cost_value(m, live.order[i]);
        const ir_node *n = ir_at(m->l, live.order[i]);
        sum.flops += c.flops;
        sum.bytes += c.bytes;
        sum.ns += c.ns;
        ir_val a = n->nargs ? n->args[0] : (ir_val){0};
        if (n->op == OP_GATHER && !stored[a.i] && read_elsewhere(m->l, n) && !cost_in_memory(m->l, a)) {
            stored[a.i] = 1;
            double bytes = cost_rows(m, ir_at(m->l, a)->dom) * cost_elems(m, a) * 4 *
                           steps_around(m, ir_at(m->l, a)->region);
            sum.bytes += 2 * bytes;
            sum.ns += bytes * COST_STREAM;
        }
    }
    arena_release(scratch, mark);
    return sum;
}
