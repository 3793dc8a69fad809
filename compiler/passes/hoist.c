/* Hoist: what depends on a member of a group only through the group is computed once a group.
 *
 * An operation all of whose operands are gathers along one map (or the same everywhere) is done in the map's
 * codomain and gathered once: relu(src.x @ W) a node, not an edge. It is done where that is less work, the
 * result's storing and its wider or narrower rows counted in. */
#include "compiler/passes/rules.h"
#include "compiler/passes/match.h"
#include "compiler/ir/copy.h"

enum { MAX_OPERANDS = 16, MAX_MAPS = 8 };

static bool may_move(const ir_layer *l, ir_val v)
{
    const ir_node *n = ir_at(l, v);
    switch (ir_ops[n->op].cls) {
    case CLS_EW:                return n->op != OP_DROPOUT;     /* its mask is one of the members */
    case CLS_REDUCE: case CLS_CONTRACT: return true;
    case CLS_SHAPE:
        return n->op == OP_RESHAPE || n->op == OP_TRANSPOSE || n->op == OP_SLICE || n->op == OP_CONCAT ||
               n->op == OP_LOOKUP;
    case CLS_LEAF: case CLS_GATHER: case CLS_AGG: case CLS_GROUP: case CLS_MAP: case CLS_LOOP: return false;
    }
    return false;
}

/* Does the operation give 0 where its gathered operands are 0, as a map that says none makes them? */
static bool keeps_zero(const ir_layer *l, ir_val v)
{
    const ir_node *n = ir_at(l, v);
    unsigned flags = ir_ops[n->op].flags;
    uint32_t units = 0;
    for (uint32_t k = 0; k < n->nargs; k++)
        units += is_unit(l, bare(l, n->args[k]));
    if (n->nargs == 1)
        return (flags & (OPF_ZERO0 | OPF_LINALL)) != 0;
    if (!units)
        return (flags & (OPF_LINALL | OPF_LIN0)) != 0 && n->op != OP_DIV;
    return (flags & OPF_LIN0) && (flags & OPF_LIN1);
}

/* The maps along which operands are gathered, and joins of them. */
static uint32_t candidate_maps(ir_layer *l, ir_val v, ir_val *maps)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < ir_at(l, v)->nargs; k++) {
        ir_val a = arg_of(l, v, k);
        if (op_of(l, a) != OP_GATHER)
            continue;
        ir_val m = arg_of(l, a, 1);
        bool known = false;
        for (uint32_t j = 0; j < n; j++)
            known = known || ir_same(maps[j], m);
        if (!known && n < MAX_MAPS)
            maps[n++] = m;
    }
    return n;
}

static bool all_lift(const ir_layer *l, ir_val v, ir_val along)
{
    for (uint32_t k = 0; k < ir_at(l, v)->nargs; k++)
        if (!lifts(l, arg_of(l, v, k), along))
            return false;
    return true;
}

/* Nanoseconds of the operation and of the gathers around it, before and after. */
static bool pays(rewriter *r, ir_val v, ir_val along)
{
    ir_layer *l = r->l;
    cost_model *m = &r->model;
    const ir_node *n = ir_at(l, v);
    double many = cost_rows(m, n->dom), few = cost_rows(m, ir_cod(l, along)),
           byte = cost_gather_byte(m, along);
    pass_cost work = cost_value(m, v);
    double wide = cost_elems(m, v) * 4, read = 0, kept = 0;
    for (uint32_t k = 0; k < n->nargs; k++) {
        ir_val a = n->args[k];
        bool again = op_of(l, a) != OP_GATHER;
        for (uint32_t j = 0; j < k; j++)
            again = again || ir_same(n->args[j], a);
        if (again)
            continue;
        double bytes = many * cost_elems(m, a) * 4 * byte;
        read += bytes;
        if (rw_uses(r, a) > 1)
            kept += bytes;
    }
    bool view = ir_ops[n->op].cls == CLS_SHAPE && n->op != OP_CONCAT && n->op != OP_LOOKUP;
    double before = work.ns + read;
    double after = work.ns * few / many + kept + many * wide * byte +
                   (view || byte != COST_FAR ? 0 : few * wide * COST_STREAM);
    return view ? after <= before * 1.000001 : after < before;
}

ir_val rule_hoist(rewriter *r, ir_val v)
{
    ir_layer *l = r->l;
    if (is_unit(l, v) || !may_move(l, v) || ir_at(l, v)->nargs > MAX_OPERANDS)
        return v;
    ir_val maps[MAX_MAPS], best = {0}, shared = {0};
    uint32_t n = candidate_maps(l, v, maps);
    for (uint32_t k = 0; k < n; k++) {
        ir_val along = maps[k];
        ir_op kind = op_of(l, along);
        if (kind == OP_MAP_SUFFIX || !all_lift(l, v, along))
            continue;
        /* sources compute the same, most of the time: pass_sides decides in the end */
        if (kind == OP_MAP_PREFIX) {
            shared = along;
            continue;
        }
        if (!cost_fewer_rows(&r->model, ir_cod(l, along), dom_of(l, v)) ||
            (!ir_map_total(l, along) && !keeps_zero(l, v)))
            continue;
        if (!ir_is(best) || cost_fewer_rows(&r->model, ir_cod(l, along), ir_cod(l, best)))
            best = along;
    }
    if (!ir_is(best) || !pays(r, v, best))
        best = shared;
    if (!ir_is(best))
        return v;
    ir_val args[MAX_OPERANDS];
    ir_node like = *ir_at(l, v);
    bool any = false;
    for (uint32_t k = 0; k < like.nargs; k++) {
        args[k] = lift(l, like.args[k], best);
        any = any || !is_unit(l, args[k]);
    }
    return any ? ir_gather(l, ir_remake(l, &like, ir_cod(l, best), args, like.nargs), best) : v;
}

/* u[i[map]] = (u[i])[map]: then it is a value of the map's codomain, which others may join. */
ir_val rule_index_of_node(rewriter *r, ir_val v)
{
    ir_layer *l = r->l;
    if (op_of(l, v) != OP_GATHER || op_of(l, arg_of(l, v, 1)) != OP_MAP_INDEX)
        return v;
    ir_val index = arg_of(l, arg_of(l, v, 1), 0);
    if (op_of(l, index) != OP_GATHER || !ir_map_total(l, arg_of(l, index, 1)) ||
        !cost_fewer_rows(&r->model, dom_of(l, arg_of(l, index, 0)), dom_of(l, v)))
        return v;
    ir_val inner = ir_gather(l, arg_of(l, v, 0), ir_map_index(l, arg_of(l, index, 0)));
    return ir_gather(l, inner, arg_of(l, index, 1));
}

/* The destination side of a source-side value that nothing else reads: computed for the destinations
 * alone. */
ir_val rule_prefix(rewriter *r, ir_val v)
{
    ir_layer *l = r->l;
    if (op_of(l, v) != OP_GATHER || op_of(l, arg_of(l, v, 1)) != OP_MAP_PREFIX)
        return v;
    ir_val a = arg_of(l, v, 0), along = arg_of(l, v, 1);
    ir_node like = *ir_at(l, a);
    if (rw_uses(r, a) > 1 || !may_move(l, a) || like.nargs > MAX_OPERANDS)
        return v;
    ir_val args[MAX_OPERANDS];
    for (uint32_t k = 0; k < like.nargs; k++)
        args[k] = is_unit(l, like.args[k]) ? like.args[k] : ir_gather(l, like.args[k], along);
    return ir_remake(l, &like, dom_of(l, v), args, like.nargs);
}

const rewrite rules_hoist[] = {
    {"known at inference", rule_inference, false},
    {"nested choice", rule_where, false},
    {"constants", rule_constants, false},
    {"slice of a concat", rule_slice, false},
    {"concat of slices", rule_concat, false},
    {"reshapes that cancel", rule_reshape, false},
    {"leading axes of 1", rule_leading_ones, false},
    {"axis sum", rule_axis_sum, false},
    {"contraction", rule_contract, false},
    {"common factor", rule_factor, false},
    {"view by relation", rule_spread, false},
    {"index of a node", rule_index_of_node, false},
    {"computed at the group", rule_hoist, false},
    {"terms of one map together", rule_group_terms, false},
    {"contraction split", rule_split, false},
    {"left a greatest or least", rule_leave_extreme, true},
    {"left a variance", rule_leave_var, true},
    {"left a softmax", rule_leave_softmax, true},
    {"left a sum", rule_leave_sum, true},
    {"left a mean", rule_mean, true},
    {"product in a cheaper order", rule_product, true},
};
const uint32_t n_rules_hoist = sizeof rules_hoist / sizeof *rules_hoist;

/* A product whose result is wider than both operands: its sum is a dense product of the members' rows. */
static bool is_outer(cost_model *m, ir_val v)
{
    const ir_node *n = ir_at(m->l, v);
    if (n->op != OP_EINSUM && n->op != OP_MUL)
        return false;
    double wide = cost_elems(m, v);
    return wide > cost_elems(m, n->args[0]) && wide > cost_elems(m, n->args[1]);
}

static bool sums_all_edges(const ir_layer *l, ir_val v)
{
    return op_of(l, v) == OP_AGG_SUM && op_of(l, arg_of(l, v, 1)) == OP_MAP_UNIT &&
           l->domains[dom_of(l, arg_of(l, v, 0)).i].kind == DOM_EDGES;
}

/* The derivative by a weight that edges share is a sum over all edges. By way of their destinations it is a part of the walk that
 * makes the other derivatives by edge: each row adds up its own, and the rows are added up after it. */
ir_val rule_sum_by_rows(rewriter *r, ir_val v)
{
    enum { MOST = 256 };
    ir_layer *l = r->l;
    if (!sums_all_edges(l, v) || cost_elems(&r->model, arg_of(l, v, 0)) > MOST)
        return v;
    ir_val rows = ir_agg(l, OP_AGG_SUM, arg_of(l, v, 0), ir_map_dst(l));
    return ir_agg(l, OP_AGG_SUM, rows, ir_map_unit(l, dom_of(l, rows)));
}

/* Is there a product of edges' rows, whose walk over all edges takes such sums along? */
static bool has_edge_products(rewriter *r, const ir_layer *l)
{
    cost_model m = cost_model_make(l, r->options);
    ir_live live = ir_find_live(l, r->work);
    for (uint32_t i = 0; i < live.n; i++)
        if (sums_all_edges(l, live.order[i]) && is_outer(&m, arg_of(l, live.order[i], 0)))
            return true;
    return false;
}

/* Last, when it is settled who else reads a source-side value. */
ir_layer *pass_sides(rewriter *r, const ir_layer *from, arena *mem)
{
    static const rewrite rules[] = {{"computed at destinations", rule_prefix, false}, {"sum by rows first", rule_sum_by_rows, false}};
    bool by_rows = !r->options->inference && !has_edge_products(r, from);
    return rewrite_run(r, from, mem, rules, by_rows ? 2 : 1);
}

ir_layer *pass_hoist(rewriter *r, const ir_layer *from, arena *mem)
{
    return rewrite_run(r, from, mem, rules_hoist, n_rules_hoist);
}
