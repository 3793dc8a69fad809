/* What may be worked out again wherever another row of it is read, instead of being stored: cheap arithmetic on
 * what is in memory. Deciding so may ask for a store of a scalar within it (a norm beside a row of features). */
#include "compiler/plan/planner.h"

bool is_at_hand(const planner *pl, ir_val v)
{
    const ir_node *n = at_of(pl, v);
    return pl->info[v.i].stored || n->op == OP_STEP || (ir_ops[n->op].cls == CLS_LEAF && !is_agg(pl, v));
}

/* A reduction, product or costly function: nothing to do twice without need. */
bool heavy(const planner *pl, ir_val v)
{
    const ir_node *n = at_of(pl, v);
    if (is_pad(pl, v))
        return false;
    switch (ir_ops[n->op].cls) {
    case CLS_REDUCE: case CLS_CONTRACT: case CLS_AGG: return true;
    case CLS_GROUP: return n->op != OP_POSITION;
    case CLS_SHAPE: return n->op == OP_SPREAD || n->op == OP_ONEHOT_ADD || n->op == OP_CONCAT;
    case CLS_EW: return ir_ops[n->op].cost >= 4;
    case CLS_LEAF: return is_agg(pl, v);
    case CLS_GATHER: case CLS_MAP: case CLS_LOOP: return false;
    }
    return false;
}

typedef struct inline_cost { uint32_t ops, wide, narrow, nodes, n_store; ir_val store[3]; bool no; } inline_cost;

static void inline_visit(planner *pl, ir_val v, bool scalar_root, inline_cost *c, uint32_t depth)
{
    const ir_node *n = at_of(pl, v);
    if (c->no || depth > 12 || ++c->nodes > 24) {
        c->no = true;
        return;
    }
    if (is_at_hand(pl, v)) {
        if (n->op == OP_CONST || n->op == OP_REALARG || n->op == OP_DIMVAL || n->op == OP_IOTA || n->op == OP_TRAINING || n->dom.i == 0)
            return;
        if (scalar_root || !dim_is(pl->l->dims, elems_of(pl, v), 1))
            c->wide++;
        else
            c->narrow++;
        if (n->op == OP_COUNT)
            c->ops++;
        return;
    }
    /* a scalar beside a row of features (a norm): itself from memory, so that the row need not be */
    if (!scalar_root && n->dom.i != 0 && n->rank == 0 && c->n_store < 3 && (ir_ops[n->op].cls != CLS_EW || ir_ops[n->op].cost > 1)) {
        if (ir_ops[n->op].cls != CLS_GATHER) {
            c->store[c->n_store++] = v;
            c->narrow++;
            return;
        }
    }
    switch (ir_ops[n->op].cls) {
    case CLS_EW:
        if ((n->dom.i || n->rank) && n->op != OP_CAST)      /* a scalar of the call is worked out once a kernel */
            c->ops += (uint32_t)ir_ops[n->op].cost;
        break;
    case CLS_SHAPE:
        if (n->op == OP_SPREAD || n->op == OP_ONEHOT_ADD || n->op == OP_CONCAT)
            c->no = true;
        break;
    case CLS_GATHER:
        break;
    case CLS_AGG:
        if (is_pad(pl, v))
            c->ops++;
        else
            c->no = true;
        break;
    case CLS_LEAF: case CLS_REDUCE: case CLS_CONTRACT: case CLS_GROUP: case CLS_MAP: case CLS_LOOP:
        c->no = true;
        break;
    }
    for (uint32_t k = 0; k < n->nargs && !c->no; k++)
        if (at_of(pl, n->args[k])->type != T_MAP)
            inline_visit(pl, n->args[k], scalar_root, c, depth + 1);
        else if (at_of(pl, n->args[k])->op == OP_MAP_INDEX && !is_at_hand(pl, at_of(pl, n->args[k])->args[0]))
            inline_visit(pl, at_of(pl, n->args[k])->args[0], scalar_root, c, depth + 1);
}

/* May v be worked out again wherever another row of it is read? At most 3 operations an element, one row of its width. */
bool inline_ok(planner *pl, ir_val v)
{
    if (is_at_hand(pl, v))
        return true;
    inline_cost c = {0};
    bool scalar = dim_is(pl->l->dims, elems_of(pl, v), 1);
    inline_visit(pl, v, scalar, &c, 0);
    if (at_of(pl, v)->dom.i == 0 && scalar)
        return !c.no;
    if (c.no || c.ops > 3 || c.wide > 1 || c.narrow > 2)
        return false;
    for (uint32_t i = 0; i < c.n_store; i++)
        need_store(pl, c.store[i]);
    return true;
}
