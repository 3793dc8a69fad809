/* Before planning: forms of the IR that no kernel has are rewritten to ones that have, and each loop with
 * `until` gets the value that it compares.
 *
 *   agg_sum(f, map_prefix)  gather(f, map_square), on square graphs; the other way round, too
 *   agg(f, map_index i)     rows(spread(agg(f, map_pair(i, map_unit)))): compact over the values that occur
 *   count of such maps      the same of count
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
    bool by_index = ir_at(l, along)->op == OP_MAP_INDEX;
    if (n->op == OP_COUNT) {
        if (structural(l, along))
            return (ir_val){0};
    }
    if (!by_index)
        return (ir_val){0};
    ir_val index = ir_at(l, along)->args[0];
    ir_val pairs = ir_map_pair(l, index, ir_map_unit(l, ir_at(l, along)->dom));
    ir_val x = n->op == OP_COUNT ? ir_count(l, (ir_type)n->type, pairs)
             : n->op == OP_AGG_SOFTSUM ? ir_softsum(l, args[0], args[1], pairs)
             : ir_agg(l, (ir_op)n->op, args[0], pairs);
    if (n->op == OP_AGG_ALL)                             /* over nothing it is true: what is not so is spread */
        return ir_not(l, ir_rows(l, ir_spread(l, ir_not(l, x), pairs)));
    if (n->op == OP_AGG_PROD) {                          /* over nothing it is 1 */
        ir_val members = ir_rows(l, ir_spread(l, ir_count(l, (ir_type)n->type, pairs), pairs));
        return ir_where(l, ir_lt(l, ir_like(l, members, 0), members), ir_rows(l, ir_spread(l, x, pairs)), ir_like(l, x, 1));
    }
    return ir_rows(l, ir_spread(l, x, pairs));
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
