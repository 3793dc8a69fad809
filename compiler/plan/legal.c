/* Before planning: forms of the IR that no kernel has are rewritten to ones that have, and each loop with
 * `until` gets the value that it compares.
 *
 *   agg_sum(f, map_prefix)  gather(f, map_square), on square graphs; the other way round, too
 *   agg(f, map_dst_src)     agg(f, map_dst) as rows of the source side, zeros (prod, all: 1) behind them
 *   agg(f, map_prefix)      f as rows of the source side, zeros (prod, all: 1) behind them
 *   change of a loop        the greatest |next - state| of all elements of all states, in f64 */
#include "compiler/plan/planner.h"

#include <stdarg.h>
#include <stdio.h>

#include "compiler/ir/copy.h"

void plan_fail(planner *pl, const char *fmt, ...)
{
    if (pl->why)
        return;
    char text[300];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    pl->why = arena_strdup(pl->mem, text);
}

static bool structural(const ir_layer *l, ir_val m)
{
    switch ((ir_op)ir_at(l, m)->op) {
    case OP_MAP_SRC: case OP_MAP_DST: case OP_MAP_SRC_DST: case OP_MAP_GRAPH: case OP_MAP_PREFIX: case OP_MAP_SUFFIX: return true;
    case OP_MAP_UNIT: {
        ir_dom_kind k = l->domains[ir_at(l, m)->dom.i].kind;
        return k == DOM_NODES || k == DOM_EDGES || k == DOM_GRAPHS;
    }
    default: return false;
    }
}

bool is_pad(const planner *pl, ir_val v)
{
    const ir_node *n = at_of(pl, v);
    return n->op == OP_AGG_SUM && at_of(pl, n->args[1])->op == OP_MAP_PREFIX;
}

bool is_agg(const planner *pl, ir_val v)
{
    const ir_node *n = at_of(pl, v);
    if (is_pad(pl, v))
        return false;
    return ir_ops[n->op].cls == CLS_AGG || n->op == OP_SPREAD || (n->op == OP_COUNT && !structural(pl->l, n->args[0]));
}

/* The other way of a map that sends row i to row i of as many rows. */
static ir_val way_back(ir_layer *l, ir_val along)
{
    bool square = false;
    for (uint32_t i = 0; i < l->n_needs; i++)
        square = square || l->needs[i].kind == NEED_SQUARE;
    if (ir_at(l, along)->op == OP_MAP_SUFFIX)
        return ir_map_prefix(l);
    return square && ir_at(l, along)->op == OP_MAP_PREFIX ? ir_map_square(l) : (ir_val){0};
}

/* One row for each, and what an aggregate is over nothing for the rest. */
static ir_val filled(ir_layer *l, ir_op op, ir_val x, ir_val along)
{
    if (op == OP_AGG_ANY || op == OP_AGG_ALL) {
        ir_val is = ir_cast(l, op == OP_AGG_ANY ? x : ir_not(l, x), T_F32);
        ir_val any = ir_lt(l, ir_const(l, T_F32, 0), filled(l, OP_AGG_SUM, is, along));
        return op == OP_AGG_ANY ? any : ir_not(l, any);
    }
    if (op == OP_AGG_PROD) {
        ir_val none = ir_eq(l, ir_count(l, T_F32, along), ir_const(l, T_F32, 0));
        ir_shape s = ir_shape_of(l, x);
        for (uint32_t k = 0; k < s.rank; k++)
            none = ir_expand(l, none, -1);
        return ir_where(l, none, ir_like(l, x, 1), filled(l, OP_AGG_SUM, x, along));
    }
    ir_val back = way_back(l, along);
    return ir_is(back) ? ir_gather(l, x, back) : ir_agg(l, OP_AGG_SUM, x, along);
}

static ir_val rule(void *ud, ir_copier *c, ir_val old, const ir_val *args)
{
    (void)ud;
    ir_layer *l = c->to;
    const ir_node *n = ir_at(c->from, old);
    if (ir_ops[n->op].cls != CLS_AGG && n->op != OP_COUNT)
        return (ir_val){0};
    ir_val along = args[n->nargs - 1];
    if (n->op == OP_AGG_SUM && ir_is(way_back(l, along)))
        return ir_gather(l, args[0], way_back(l, along));
    ir_op kind = (ir_op)ir_at(l, along)->op;
    bool sides = kind == OP_MAP_DST_SRC, row = kind == OP_MAP_PREFIX || kind == OP_MAP_SUFFIX;
    if (sides && n->op == OP_COUNT)
        return ir_agg(l, OP_AGG_SUM, ir_count(l, (ir_type)n->type, ir_map_dst(l)), ir_map_prefix(l));
    if (n->op == OP_COUNT || (!sides && !row) || (row && n->op == OP_AGG_SUM) || n->type == T_INDEX)
        return (ir_val){0};
    ir_val x = args[0];
    if (sides)
        x = n->op == OP_AGG_SOFTSUM ? ir_softsum(l, args[0], args[1], ir_map_dst(l)) : ir_agg(l, (ir_op)n->op, args[0], ir_map_dst(l));
    else if (n->op == OP_AGG_SOFTSUM)                    /* one member each */
        x = args[1];
    else if (n->op == OP_AGG_EXPSUM)
        x = ir_add(l, ir_sub(l, args[0], args[0]), ir_like(l, args[0], 1));
    else if (n->op == OP_AGG_VAR)
        x = ir_sub(l, args[0], args[0]);
    return filled(l, (ir_op)n->op, x, sides ? ir_map_prefix(l) : along);
}

void legalise(planner *pl)
{
    pl->l = ir_rebuild(pl->l, pl->mem, rule, NULL);
    pl->l = ir_compact(pl->l, pl->mem);
}

static ir_val change_of(ir_layer *l, const ir_state *s)
{
    ir_val d = ir_ew1(l, OP_ABS, ir_sub(l, s->next, s->state));
    while (ir_at(l, d)->rank)
        d = ir_reduce(l, OP_RMAX, d, -1);
    ir_dom dom = ir_at(l, d)->dom;
    if (dom.i)
        d = ir_agg(l, OP_AGG_MAX, d, ir_map_unit(l, dom));
    return ir_cast(l, d, T_F64);
}

void make_changes(planner *pl)
{
    ir_layer *l = pl->l;
    for (uint32_t i = 0; i < l->n_loops; i++) {
        if (!ir_is(l->loops[i].tol))
            continue;
        ir_val most = {0};
        for (uint32_t k = 0; k < l->loops[i].nstates; k++) {
            ir_state s = l->loops[i].states[k];
            if (!ir_is_arith(ir_at(l, s.state)->type))
                continue;
            ir_val d = change_of(l, &s);
            most = ir_is(most) ? ir_maximum(l, most, d) : d;
        }
        pl->loops[i].change = ir_is(most) ? most : ir_const(l, T_F64, 0);
        l->loops[i].tol = ir_cast(l, l->loops[i].tol, T_F64);
    }
}
