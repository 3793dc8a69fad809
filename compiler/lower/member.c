/*
 * Members: sides of nodes, ends of edges, aggregates.
 */
#include "compiler/lower/lower_int.h"

/* ---- domains and sides ---- */

ir_dom dom_for(lowering *L, sem_dom d)
{
    switch (d) {
    case SEM_PARAM: case SEM_GLOBAL: return ir_dom_unit();
    case SEM_GRAPH: return ir_dom_graph(L->l);
    case SEM_NODE: return L->bipartite ? ir_dom_dst(L->l) : ir_dom_src(L->l);
    case SEM_SRC: return ir_dom_src(L->l);
    case SEM_DST: return ir_dom_dst(L->l);
    case SEM_EDGE: return ir_dom_edge(L->l);
    }
    return ir_dom_unit();
}

static ir_side side_of(const lowering *L, ir_val v)
{
    return L->l->domains[ir_at(L->l, v)->dom.i].side;
}

ir_val in_domain(lowering *L, ir_val v, ir_dom d)
{
    if (ir_at(L->l, v)->dom.i || !d.i) return v;
    ir_shape s = ir_shape_of(L->l, v);
    return ir_broadcast(L->l, v, d, &s);
}

lowered at_dst(lowering *L, lowered x)
{
    if (side_of(L, x.v) == SIDE_SRC) return (lowered){.v = ir_gather(L->l, x.v, ir_map_prefix(L->l))};
    return x;
}

lowered at_src(lowering *L, lowered x, str name, span at)
{
    if (side_of(L, x.v) != SIDE_DST) return x;
    ir_need_add(L->l, NEED_SQUARE, name, at);
    return (lowered){.v = ir_gather(L->l, x.v, ir_map_square(L->l))};
}

/* A name for messages about a value that has none of its own. */
static str name_of(lowering *L, const sem_expr *e)
{
    if (e->kind == SEM_READ) return e->u.sym->name;
    return str_of(L->names, e->kind == SEM_IN_DEGREE ? "in_degree" : "this value");
}

bool unify(lowering *L, const sem_expr *e, lowered *args)
{
    bool deg = false, any_dst = false;
    if (!sem_is_nodal((sem_dom)e->dom)) return false;
    for (uint32_t i = 0; i < e->n_args; i++) any_dst |= side_of(L, args[i].v) == SIDE_DST;
    for (uint32_t i = 0; i < e->n_args; i++) {
        if (e->dom == SEM_SRC) args[i] = at_src(L, args[i], name_of(L, e->args[i]), e->args[i]->at);
        else if (any_dst) args[i] = at_dst(L, args[i]);
        deg |= args[i].deg;
    }
    return deg;
}

lowered settle(lowering *L, const sem_sym *s, lowered x)
{
    if (s->dom == SEM_DST) return at_dst(L, x);
    if (s->dom != SEM_SRC) return x;
    if (x.deg) ir_need_add(L->l, NEED_DEGREES, s->name, s->where);
    return at_src(L, (lowered){.v = x.v}, s->name, s->where);
}

lowered lower_end(lowering *L, const sem_expr *e, lowered x)
{
    ir_layer *l = L->l;
    if (e->kind == SEM_AT_GRAPH) {
        ir_dom from = dom_for(L, (sem_dom)e->dom);
        return (lowered){.v = ir_gather(l, x.v, ir_map_graph(l, from))};
    }
    const ir_side side = side_of(L, x.v);
    if (side == SIDE_NONE) return (lowered){.v = x.v};           /* the same for all */
    if (e->kind == SEM_AT_DST)
        return (lowered){.v = ir_gather(l, x.v, side == SIDE_SRC ? ir_map_dst_src(l) : ir_map_dst(l))};
    if (side == SIDE_DST) {
        ir_need_add(l, NEED_SQUARE, name_of(L, e->args[0]), e->at);
        return (lowered){.v = ir_gather(l, x.v, ir_map_src_dst(l))};
    }
    if (x.deg) ir_need_add(l, NEED_DEGREES, name_of(L, e->args[0]), e->at);
    return (lowered){.v = ir_gather(l, x.v, ir_map_src(l))};
}

lowered lower_degree(lowering *L, const sem_expr *e)
{
    ir_layer *l = L->l;
    const ir_type t = arith_type(is_wide(e->type.elem));
    if (e->kind == SEM_OUT_DEGREE) return (lowered){.v = ir_count(l, t, ir_map_src(l))};
    if (L->bipartite) return (lowered){.v = ir_count(l, t, ir_map_dst(l))};
    return (lowered){.v = ir_in_degree(l, t), .deg = true};
}

ir_val lower_number_of(lowering *L, const sem_expr *e)
{
    ir_layer *l = L->l;
    ir_dom of = e->kind == SEM_NUM_NODES ? ir_dom_dst(l) : ir_dom_edge(l);
    ir_val m = e->dom == SEM_GRAPH ? ir_map_graph(l, of) : ir_map_unit(l, of);
    return ir_count(l, arith_type(is_wide(e->type.elem)), m);
}

/* ---- aggregates ---- */

/* The members as they lie: of node values those on the destination side. */
static ir_val members(lowering *L, const sem_expr *e, lowered x, uint32_t arg)
{
    const sem_dom member = e->u.agg.member;
    if (member != SEM_SRC) return sem_is_nodal(member) ? at_dst(L, x).v : x.v;
    if (x.deg) ir_need_add(L->l, NEED_DEGREES, name_of(L, e->args[arg]), e->at);
    return at_src(L, x, name_of(L, e->args[arg]), e->at).v;
}

static ir_val map_for(lowering *L, const sem_agg *g)
{
    ir_layer *l = L->l;
    ir_dom from = g->member == SEM_NODE ? ir_dom_dst(l) : dom_for(L, g->member);
    if (g->to == SEM_GLOBAL) return ir_map_unit(l, from);
    if (g->to == SEM_GRAPH) return ir_map_graph(l, from);
    return g->by_src ? ir_map_src(l) : ir_map_dst(l);
}

static ir_val aggregate(lowering *L, sem_fn fn, ir_val v, ir_val along, ir_type count_type)
{
    ir_layer *l = L->l;
    switch ((int)fn) {
    case SEM_FN_sum: return ir_agg(l, OP_AGG_SUM, v, along);
    case SEM_FN_max: return ir_agg(l, OP_AGG_MAX, v, along);
    case SEM_FN_min: return ir_agg(l, OP_AGG_MIN, v, along);
    case SEM_FN_prod: return ir_agg(l, OP_AGG_PROD, v, along);
    case SEM_FN_var: return ir_agg(l, OP_AGG_VAR, v, along);
    case SEM_FN_any: return ir_agg(l, OP_AGG_ANY, v, along);
    case SEM_FN_all: return ir_agg(l, OP_AGG_ALL, v, along);
    case SEM_FN_std: return ir_ew1(l, OP_SQRT0, ir_agg(l, OP_AGG_VAR, v, along));
    case SEM_FN_count: return ir_count(l, count_type, along);
    default: {                                   /* mean: nothing over nothing is 0 */
        ir_val sum = ir_agg(l, OP_AGG_SUM, v, along),
               count = ir_count(l, (ir_type)ir_at(l, sum)->type, along);
        ir_val n = ir_maximum(l, count, ir_like(l, count, 1));
        return ir_div(l, sum, n);
    }
    }
}

lowered lower_agg(lowering *L, const sem_expr *e, const lowered *args)
{
    ir_layer *l = L->l;
    const sem_agg *g = &e->u.agg;
    const ir_type t = arith_type(is_wide(e->type.elem));
    ir_val along = map_for(L, g), v = {0};
    if (!g->no_value) v = members(L, e, args[0], 0);
    if (!g->per) return (lowered){.v = aggregate(L, g->fn, v, along, t)};

    ir_val index = in_domain(L, members(L, e, args[e->n_args - 1], e->n_args - 1), ir_at(l, along)->dom);
    if (g->to == SEM_GLOBAL) {
        ir_val by = ir_map_index(l, index);
        return (lowered){.v = ir_unrows(l, in_domain(L, aggregate(L, g->fn, v, by, t), ir_cod(l, by)))};
    }
    ir_val pairs = ir_map_pair(l, index, along);
    return (lowered){.v = ir_spread(l, aggregate(L, g->fn, v, pairs, t), pairs)};
}

lowered lower_softmax(lowering *L, const sem_expr *e, const lowered *args)
{
    ir_layer *l = L->l;
    const sem_agg *g = &e->u.agg;
    ir_val along = map_for(L, g);
    ir_val v = in_domain(L, members(L, e, args[0], 0), ir_at(l, along)->dom);
    if (g->per) {
        ir_val index = in_domain(L, members(L, e, args[1], 1), ir_at(l, along)->dom);
        along = g->to == SEM_GLOBAL ? ir_map_index(l, index) : ir_map_pair(l, index, along);
    }
    return (lowered){.v = ir_softmax(l, v, along)};
}
