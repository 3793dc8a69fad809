/* Maps between domains, and what goes along them: gather, aggregates, softmax. */
#include "compiler/ir/build_int.h"

#include <math.h>

/* ---- maps ---- */

static ir_val map_plain(ir_layer *l, ir_op op, ir_dom from, ir_dom to)
{
    ir_node n = ir_blank(op);
    n.type = T_MAP;
    n.dom = from;
    n.u.cod = to;
    return ir_intern(l, &n, NULL, 0);
}

ir_val ir_map_src(ir_layer *l) { ir_dom e = ir_dom_edge(l); return map_plain(l, OP_MAP_SRC, e, ir_dom_src(l)); }
ir_val ir_map_dst(ir_layer *l) { ir_dom e = ir_dom_edge(l); return map_plain(l, OP_MAP_DST, e, ir_dom_dst(l)); }
ir_val ir_map_src_dst(ir_layer *l) { ir_dom e = ir_dom_edge(l); return map_plain(l, OP_MAP_SRC_DST, e, ir_dom_dst(l)); }
ir_val ir_map_dst_src(ir_layer *l) { ir_dom e = ir_dom_edge(l); return map_plain(l, OP_MAP_DST_SRC, e, ir_dom_src(l)); }
ir_val ir_map_prefix(ir_layer *l) { ir_dom d = ir_dom_dst(l); return map_plain(l, OP_MAP_PREFIX, d, ir_dom_src(l)); }
ir_val ir_map_square(ir_layer *l) { ir_dom s = ir_dom_src(l); return map_plain(l, OP_MAP_SUFFIX, s, ir_dom_dst(l)); }

ir_val ir_map_graph(ir_layer *l, ir_dom from)
{
    if (l->domains[from.i].kind != DOM_EDGES && l->domains[from.i].kind != DOM_NODES)
        ir_bug(l, "map_graph: from the domain %s", l->domains[from.i].name);
    return map_plain(l, OP_MAP_GRAPH, from, ir_dom_graph(l));
}

ir_val ir_map_unit(ir_layer *l, ir_dom from)
{
    if (!from.i)
        ir_bug(l, "map_unit: from the unit domain itself");
    return map_plain(l, OP_MAP_UNIT, from, ir_dom_unit());
}

static void check_index(const ir_layer *l, ir_op op, ir_val index)
{
    ir_check_value(l, op, index);
    const ir_node *i = ir_at(l, index);
    if (i->type != T_INDEX || i->rank || !i->dom.i)
        ir_bug(l, "%s: %%%u is no scalar index of members", ir_ops[op].text, index.i);
}

ir_val ir_map_index(ir_layer *l, ir_val index)
{
    check_index(l, OP_MAP_INDEX, index);
    ir_dom cod = ir_dom_index(l, ir_at(l, index)->range);
    ir_node n = ir_blank(OP_MAP_INDEX);
    n.type = T_MAP;
    n.dom = ir_at(l, index)->dom;
    n.u.cod = cod;
    return ir_intern(l, &n, &index, 1);
}

ir_val ir_map_pair(ir_layer *l, ir_val index, ir_val along)
{
    ir_check_map(l, OP_MAP_PAIR, along);
    if (!ir_at(l, index)->dom.i) {              /* the same index for all */
        ir_shape s = ir_shape_of(l, index);
        index = ir_broadcast(l, index, ir_at(l, along)->dom, &s);
    }
    check_index(l, OP_MAP_PAIR, index);
    if (!ir_dom_same(ir_at(l, index)->dom, ir_at(l, along)->dom))
        ir_bug(l, "map_pair: index %%%u and map %%%u are of two domains", index.i, along.i);
    for (uint32_t i = 1; i < l->n_domains; i++) {       /* the domain is made with its map, so look for both */
        ir_val made = l->domains[i].map;
        if (ir_is(made) && ir_same(ir_arg(l, made, 0), index) && ir_same(ir_arg(l, made, 1), along))
            return made;
    }
    ir_domain d = {.kind = DOM_PAIR, .range = ir_at(l, index)->range, .base = ir_cod(l, along)};
    d.name = arena_printf(l->mem, "pair%u", l->n_domains);
    ir_dom cod = ir_domain_add(l, &d);
    ir_node n = ir_blank(OP_MAP_PAIR);
    n.type = T_MAP;
    n.dom = ir_at(l, along)->dom;
    n.u.cod = cod;
    ir_val v = ir_intern(l, &n, (ir_val[]){index, along}, 2);
    l->domains[cod.i].map = v;
    return v;
}

static ir_val map_of_pair(ir_layer *l, ir_op op, ir_val pairs)
{
    ir_check_map(l, op, pairs);
    if (ir_op_of(l, pairs) != OP_MAP_PAIR)
        ir_bug(l, "%s: %%%u is no map to pairs", ir_ops[op].text, pairs.i);
    ir_dom from = ir_cod(l, pairs), to = l->domains[from.i].base;
    if (op == OP_MAP_SECOND)
        to = ir_dom_index(l, l->domains[from.i].range);
    ir_node n = ir_blank(op);
    n.type = T_MAP;
    n.dom = from;
    n.u.cod = to;
    return ir_intern(l, &n, &pairs, 1);
}

ir_val ir_map_first(ir_layer *l, ir_val pairs) { return map_of_pair(l, OP_MAP_FIRST, pairs); }
ir_val ir_map_second(ir_layer *l, ir_val pairs) { return map_of_pair(l, OP_MAP_SECOND, pairs); }

bool ir_map_total(const ir_layer *l, ir_val along)
{
    while (ir_op_of(l, along) == OP_MAP_PAIR) {
        if (ir_at(l, ir_arg(l, along, 0))->none)
            return false;
        along = ir_arg(l, along, 1);
    }
    return ir_op_of(l, along) != OP_MAP_INDEX || !ir_at(l, ir_arg(l, along, 0))->none;
}

ir_val ir_map_compose(ir_layer *l, ir_val outer, ir_val inner)
{
    ir_check_map(l, OP_GATHER, outer);
    ir_check_map(l, OP_GATHER, inner);
    ir_op o = ir_op_of(l, outer), i = ir_op_of(l, inner);
    ir_dom from = ir_at(l, inner)->dom;
    if (o == OP_MAP_UNIT && ir_map_total(l, inner))
        return ir_map_unit(l, from);
    if (o == OP_MAP_GRAPH && (l->domains[from.i].kind == DOM_EDGES || l->domains[from.i].kind == DOM_NODES) && i != OP_MAP_PAIR &&
        i != OP_MAP_INDEX)
        return ir_map_graph(l, from);           /* an edge lies in the graph of its ends */
    if (o == OP_MAP_PREFIX && i == OP_MAP_DST)
        return ir_map_dst_src(l);
    if (o == OP_MAP_PREFIX && i == OP_MAP_SRC_DST)
        return ir_map_src(l);
    if (o == OP_MAP_SUFFIX && i == OP_MAP_SRC)
        return ir_map_src_dst(l);
    if (o == OP_MAP_SUFFIX && i == OP_MAP_DST_SRC)
        return ir_map_dst(l);
    if ((o == OP_MAP_FIRST || o == OP_MAP_SECOND) && ir_same(ir_arg(l, outer, 0), inner) && ir_map_total(l, inner))
        return o == OP_MAP_FIRST ? ir_arg(l, inner, 1) : ir_map_index(l, ir_arg(l, inner, 0));
    return (ir_val){0};
}

/* ---- gather ---- */

ir_val ir_gather(ir_layer *l, ir_val a, ir_val along)
{
    ir_check_value(l, OP_GATHER, a);
    ir_check_map(l, OP_GATHER, along);
    ir_dom cod = ir_cod(l, along), from = ir_at(l, along)->dom, dom = ir_at(l, a)->dom;
    ir_shape s = ir_shape_of(l, a);
    bool total = ir_map_total(l, along);
    if (dom.i && !ir_dom_same(dom, cod))
        ir_bug(l, "gather: %%%u of the domain %s by a map to %s", a.i, l->domains[dom.i].name, l->domains[cod.i].name);
    if (!dom.i) {
        if (total)
            return a;
        a = ir_broadcast(l, a, cod, &s);
    }
    if (total && ir_op_of(l, a) == OP_BROADCAST && !ir_at(l, ir_arg(l, a, 0))->dom.i)
        return ir_broadcast(l, ir_arg(l, a, 0), from, &s);
    if (ir_op_of(l, a) == OP_GATHER) {
        ir_val outer = ir_arg(l, a, 1);
        ir_op o = ir_op_of(l, outer), i = ir_op_of(l, along);
        if ((o == OP_MAP_PREFIX && i == OP_MAP_SUFFIX) || (o == OP_MAP_SUFFIX && i == OP_MAP_PREFIX))
            return ir_arg(l, a, 0);
        ir_val both = ir_map_compose(l, outer, along);
        if (ir_is(both))
            return ir_gather(l, ir_arg(l, a, 0), both);
    }
    if (ir_op_of(l, a) == OP_AGG_SUM && ir_op_of(l, ir_arg(l, a, 1)) == OP_MAP_PREFIX) {        /* to its place and back */
        if (ir_op_of(l, along) == OP_MAP_PREFIX)
            return ir_arg(l, a, 0);
        if (ir_op_of(l, along) == OP_MAP_DST_SRC)
            return ir_gather(l, ir_arg(l, a, 0), ir_map_dst(l));
    }
    ir_node n = ir_blank_like(l, OP_GATHER, a);
    n.dom = from;
    return ir_intern(l, &n, (ir_val[]){a, along}, 2);
}

/* ---- aggregates ---- */

/* The operand at each member of the map's domain. */
static ir_val at_members(ir_layer *l, ir_op op, ir_val a, ir_val along)
{
    ir_check_map(l, op, along);
    ir_dom from = ir_at(l, along)->dom, dom = ir_at(l, a)->dom;
    ir_shape s = ir_shape_of(l, a);
    if (dom.i && !ir_dom_same(dom, from))
        ir_bug(l, "%s: %%%u of the domain %s by a map from %s", ir_ops[op].text, a.i, l->domains[dom.i].name, l->domains[from.i].name);
    return ir_broadcast(l, a, from, &s);
}

ir_val ir_agg(ir_layer *l, ir_op op, ir_val a, ir_val along)
{
    if (op >= OP_N || ir_ops[op].cls != CLS_AGG || op == OP_AGG_SOFTSUM)
        ir_bug(l, "agg: not with %s", op < OP_N ? ir_ops[op].text : "?");
    bool truth = op == OP_AGG_ANY || op == OP_AGG_ALL;
    if (truth)
        ir_check_value(l, op, a);
    else
        ir_check_arith(l, op, a);
    if (truth && ir_at(l, a)->type != T_BOOL)
        ir_bug(l, "%s: %%%u is no bool", ir_ops[op].text, a.i);
    a = at_members(l, op, a, along);
    ir_dom cod = ir_cod(l, along);
    ir_shape s = ir_shape_of(l, a);
    double c;
    if (op == OP_AGG_SUM && ir_is_uniform(l, a, &c) && isfinite(c)) {
        ir_val sum = ir_mul(l, ir_like(l, a, c), ir_count(l, ir_at(l, a)->type, along));
        return ir_broadcast(l, sum, cod, &s);
    }
    if (ir_op_of(l, along) == OP_MAP_SUFFIX && (op == OP_AGG_SUM || op == OP_AGG_MAX || op == OP_AGG_MIN || op == OP_AGG_PROD))
        return ir_gather(l, a, ir_map_prefix(l));       /* groups of one */
    if (op == OP_AGG_SUM && ir_op_of(l, along) == OP_MAP_DST_SRC)       /* on its own side first */
        return ir_agg(l, op, ir_agg(l, op, a, ir_map_dst(l)), ir_map_prefix(l));
    if (op == OP_AGG_SUM && ir_op_of(l, along) == OP_MAP_SRC_DST)
        return ir_gather(l, ir_agg(l, op, a, ir_map_src(l)), ir_map_prefix(l));
    ir_node n = ir_blank_like(l, op, a);
    n.dom = cod;
    if (op == OP_AGG_ARGMAX || op == OP_AGG_ARGMIN) {
        n.type = T_INDEX;
        n.range = dim_const(l->dims, IR_ANY_RANGE);
        n.none = true;
    }
    return ir_intern(l, &n, (ir_val[]){a, along}, 2);
}

ir_val ir_softsum(ir_layer *l, ir_val s, ir_val v, ir_val along)
{
    ir_check_arith(l, OP_AGG_SOFTSUM, s);
    ir_check_arith(l, OP_AGG_SOFTSUM, v);
    s = at_members(l, OP_AGG_SOFTSUM, s, along);
    v = at_members(l, OP_AGG_SOFTSUM, v, along);
    const ir_node *x = ir_at(l, s), *y = ir_at(l, v);
    bool fits = x->type == y->type && x->rank <= y->rank;
    for (uint32_t k = 0; fits && k < x->rank; k++)
        fits = dim_equal(l->dims, x->shape[k], y->shape[k]);
    if (!fits)
        ir_bug(l, "agg_softsum: %%%u does not fit %%%u from the left", s.i, v.i);
    ir_node n = ir_blank_like(l, OP_AGG_SOFTSUM, v);
    n.dom = ir_cod(l, along);
    return ir_intern(l, &n, (ir_val[]){s, v, along}, 3);
}

ir_val ir_softmax(ir_layer *l, ir_val s, ir_val along)
{
    ir_check_arith(l, OP_SOFTMAX, s);
    s = at_members(l, OP_SOFTMAX, s, along);
    ir_node n = ir_blank_like(l, OP_SOFTMAX, s);
    return ir_intern(l, &n, (ir_val[]){s, along}, 2);
}

ir_val ir_position(ir_layer *l, ir_val along)
{
    ir_check_map(l, OP_POSITION, along);
    ir_node n = ir_blank(OP_POSITION);
    n.type = T_INDEX;
    n.range = dim_const(l->dims, IR_ANY_RANGE);
    n.none = !ir_map_total(l, along);
    n.dom = ir_at(l, along)->dom;
    return ir_intern(l, &n, &along, 1);
}
