/* The rules of values, one function a class of operations. See verify.c. */
#include "compiler/ir/verify_int.h"

#include "compiler/ir/build.h"
#include "compiler/ir/table.h"

static bool is_one(const checker *c, dim d) { return dim_is(c->l->dims, d, 1); }
static bool moves(unsigned type) { return type != T_MAP; }

/* Operands may lie in the result's domain or the unit's; at least one lies there. */
static bool check_joined_domain(checker *c, uint32_t nargs)
{
    bool found = c->n->dom.i == 0;
    for (uint32_t k = 0; k < nargs; k++) {
        uint32_t d = arg(c, k)->dom.i;
        if (d && d != c->n->dom.i)
            return verify_fail(c, "operand %u lies in another domain", k);
        found = found || d == c->n->dom.i;
    }
    return found || verify_fail(c, "no operand lies in its domain");
}

static bool check_leaf(checker *c)
{
    const ir_node *n = c->n;
    ir_op op = (ir_op)n->op;
    bool unit_scalar = n->rank == 0 && n->dom.i == 0;
    if (op == OP_INPUT) {
        if (n->u.input >= c->l->n_inputs || c->l->inputs[n->u.input].value.i != c->v)
            return verify_fail(c, "is not in the table of inputs");
        return !c->l->inputs[n->u.input].param || n->dom.i == 0 || verify_fail(c, "a param outside of the unit domain");
    }
    if (op == OP_CONST)
        return (unit_scalar && n->type != T_MAP) || verify_fail(c, "a constant is a scalar of the unit domain");
    if (op == OP_TRAINING)
        return (unit_scalar && n->type == T_BOOL) || verify_fail(c, "is a bool of the unit domain");
    if (!ir_is_arith(n->type))
        return verify_fail(c, "is neither f32 nor f64");
    if (op == OP_REALARG)
        return (unit_scalar && n->u.realarg < c->l->n_statics && c->l->statics[n->u.realarg].real) || verify_fail(c, "no real static");
    if (op == OP_DIMVAL)
        return (unit_scalar && dim_ok(n->range)) || verify_fail(c, "no dim");
    if (op == OP_IOTA)
        return (n->rank == 1 && n->dom.i == 0) || verify_fail(c, "has one axis, in the unit domain");
    if (op == OP_INDEGREE)
        return (n->rank == 0 && c->l->src.i && n->dom.i == c->l->src.i) || verify_fail(c, "is of source-side nodes");
    return (n->rank == 0 && n->dom.i == arg(c, 0)->u.cod.i) || verify_fail(c, "lies where the map leads");         /* count */
}

static bool check_ew_types(checker *c)
{
    ir_op op = (ir_op)c->n->op;
    uint32_t first = op == OP_WHERE;
    for (uint32_t k = 0; k < c->n->nargs; k++) {
        unsigned t = arg(c, k)->type;
        bool fits = ir_is_arith(t);
        if (op == OP_AND || op == OP_OR || op == OP_NOT || (op == OP_WHERE && k == 0))
            fits = t == T_BOOL;
        else if (op == OP_HAS)
            fits = t == T_INDEX;
        else if (op == OP_CAST)
            fits = t != T_MAP;
        else if (op == OP_LT || op == OP_LE)
            fits = fits || t == T_INDEX;
        else if (op == OP_EQ || op == OP_NE || op == OP_WHERE)
            fits = fits || t == T_INDEX || t == T_BOOL;
        if (!fits || (op != OP_DROPOUT && k > first && t != arg(c, first)->type))
            return verify_fail(c, "type of operand %u", k);
    }
    if (op == OP_WHERE && !verify_same_type(c, arg(c, 1), arg(c, 2)))
        return verify_fail(c, "operands of two types");
    if (op == OP_DROPOUT && (arg(c, 1)->type != c->n->type || arg(c, 2)->type != T_F64))
        return verify_fail(c, "type of the rate or the key");
    return true;
}

static bool check_ew(checker *c)
{
    const ir_node *n = c->n;
    uint32_t nargs = n->op == OP_DROPOUT ? 1 : n->nargs;
    if (!check_ew_types(c) || !check_joined_domain(c, nargs))
        return false;
    ir_type_rule rule = ir_ops[n->op].type;
    bool typed = rule == TYPE_BOOL ? n->type == T_BOOL
                 : n->op == OP_CAST ? ir_is_float(n->type)
                 : n->op == OP_BUCKET ? n->type == T_INDEX
                                      : verify_same_type(c, n, arg(c, rule == TYPE_ARG1 ? 1 : 0));
    if (!typed)
        return verify_fail(c, "type of the result");
    for (uint32_t k = nargs; k < n->nargs; k++)
        if (arg(c, k)->rank || arg(c, k)->dom.i)
            return verify_fail(c, "operand %u is a scalar of the unit domain", k);
    for (uint32_t k = 0; k < nargs; k++)
        if (arg(c, k)->rank > n->rank)
            return verify_fail(c, "operand %u has more axes than the result", k);
    for (uint32_t at = 0; at < n->rank; at++) {         /* counted from the last axis */
        dim d = n->shape[n->rank - 1 - at];
        bool made = false;
        for (uint32_t k = 0; k < nargs; k++) {
            const ir_node *a = arg(c, k);
            if (at >= a->rank)
                continue;
            dim e = a->shape[a->rank - 1 - at];
            made = made || same_dim(c, d, e);
            if (!same_dim(c, d, e) && !is_one(c, e))
                return verify_fail(c, "shape of operand %u", k);
        }
        if (!made)
            return verify_fail(c, "an axis of the result that no operand has");
    }
    return true;
}

static bool check_reduce(checker *c)
{
    const ir_node *n = c->n, *a = arg(c, 0);
    if (!ir_is_arith(n->type) || a->type != n->type || a->dom.i != n->dom.i)
        return verify_fail(c, "type or domain");
    if (n->u.axis < 0 || n->u.axis >= a->rank || n->rank + 1 != a->rank)
        return verify_fail(c, "no such axis");
    for (uint32_t k = 0; k < n->rank; k++)
        if (!same_dim(c, n->shape[k], a->shape[k + (k >= (uint32_t)n->u.axis)]))
            return verify_fail(c, "shape");
    return true;
}

static bool check_einsum(checker *c)
{
    const ir_node *n = c->n;
    const ir_einsum *e = &n->u.ein;
    dim of[2 * IR_MAX_RANK];
    unsigned seen = 0;
    if (!ir_is_arith(n->type) || arg(c, 0)->type != n->type || arg(c, 1)->type != n->type)
        return verify_fail(c, "types");
    if (e->na != arg(c, 0)->rank || e->nb != arg(c, 1)->rank || e->nout != n->rank)
        return verify_fail(c, "letters for another rank");
    for (uint32_t operand = 0; operand < 2; operand++) {
        const uint8_t *letters = operand ? e->b : e->a;
        unsigned here = 0;
        for (uint32_t k = 0; k < arg(c, operand)->rank; k++) {
            uint32_t x = letters[k];
            if (x >= 2 * IR_MAX_RANK || here & 1u << x)
                return verify_fail(c, "a letter twice in operand %u", operand);
            if (seen & 1u << x && !same_dim(c, of[x], arg(c, operand)->shape[k]))
                return verify_fail(c, "one letter for two dims");
            of[x] = arg(c, operand)->shape[k];
            here |= 1u << x;
            seen |= 1u << x;
        }
    }
    unsigned out = 0;
    for (uint32_t k = 0; k < n->rank; k++) {
        uint32_t x = e->out[k];
        if (x >= 2 * IR_MAX_RANK || !(seen & 1u << x) || out & 1u << x || !same_dim(c, of[x], n->shape[k]))
            return verify_fail(c, "letters of the result");
        out |= 1u << x;
    }
    return check_joined_domain(c, 2);
}

/* All axes but one, or all if axis is the rank. */
static bool same_but(const checker *c, const ir_node *a, const ir_node *b, uint32_t axis)
{
    bool same = a->rank == b->rank;
    for (uint32_t k = 0; same && k < a->rank; k++)
        same = k == axis || same_dim(c, a->shape[k], b->shape[k]);
    return same;
}

static dim count_of(const checker *c, const ir_node *n)
{
    dim d = dim_const(c->l->dims, 1);
    for (uint32_t k = 0; k < n->rank; k++)
        d = dim_mul(c->l->dims, d, n->shape[k]);
    return d;
}

/* n's shape is `first` followed by a's axes from `skip` on. */
static bool shape_after(const checker *c, const ir_node *n, const dim *first, uint32_t n_first, const ir_node *a, uint32_t skip)
{
    bool same = a->rank >= skip && n->rank == n_first + a->rank - skip;
    for (uint32_t k = 0; same && k < n->rank; k++)
        same = same_dim(c, n->shape[k], k < n_first ? first[k] : a->shape[k - n_first + skip]);
    return same;
}

static bool check_concat(checker *c)
{
    const ir_node *n = c->n;
    dim width = dim_const(c->l->dims, 0);
    if (n->u.axis < 0 || n->u.axis >= n->rank)
        return verify_fail(c, "no such axis");
    for (uint32_t k = 0; k < n->nargs; k++) {
        if (!same_but(c, n, arg(c, k), (uint32_t)n->u.axis) || !verify_same_type(c, n, arg(c, k)))
            return verify_fail(c, "operand %u does not fit", k);
        width = dim_add(c->l->dims, width, arg(c, k)->shape[n->u.axis]);
    }
    if (!same_dim(c, width, n->shape[n->u.axis]))
        return verify_fail(c, "width of the joined axis");
    return check_joined_domain(c, n->nargs);
}

static bool check_pairs(checker *c, bool spread)
{
    const ir_node *n = c->n, *a = arg(c, 0), *m = arg(c, 1);
    if (m->op != OP_MAP_PAIR)
        return verify_fail(c, "its map makes no pairs");
    const ir_domain *d = &c->l->domains[m->u.cod.i];
    uint32_t by_pair = spread ? a->dom.i : n->dom.i, by_base = spread ? n->dom.i : a->dom.i;
    bool fits = by_pair == m->u.cod.i && by_base == d->base.i &&
                (spread ? shape_after(c, n, &d->range, 1, a, 0) : shape_after(c, a, &d->range, 1, n, 0));
    return fits || verify_fail(c, "domain or shape of the pairs");
}

static bool check_shape(checker *c)
{
    const ir_node *n = c->n, *a = arg(c, 0);
    const ir_domain *from = &c->l->domains[a->dom.i], *to = &c->l->domains[n->dom.i];
    ir_op op = (ir_op)n->op;
    if (!moves(a->type) || !verify_same_type(c, n, a))
        return verify_fail(c, "type");
    if (op == OP_RESHAPE || op == OP_TRANSPOSE || op == OP_SLICE)
        if (n->dom.i != a->dom.i)
            return verify_fail(c, "changes the domain");
    if (op == OP_RESHAPE)
        return same_dim(c, count_of(c, n), count_of(c, a)) || verify_fail(c, "another number of elements");
    if (op == OP_TRANSPOSE) {
        unsigned seen = 0;
        for (uint32_t k = 0; k < n->rank; k++) {
            if (n->rank != a->rank || n->u.perm[k] >= a->rank || seen & 1u << n->u.perm[k] ||
                !same_dim(c, n->shape[k], a->shape[n->u.perm[k]]))
                return verify_fail(c, "no permutation of the operand's axes");
            seen |= 1u << n->u.perm[k];
        }
        return n->rank == a->rank || verify_fail(c, "no permutation of the operand's axes");
    }
    if (op == OP_BROADCAST) {
        if (a->rank > n->rank || (a->dom.i && a->dom.i != n->dom.i))
            return verify_fail(c, "rank or domain");
        for (uint32_t k = 0; k < a->rank; k++) {
            dim d = a->shape[k];
            if (!is_one(c, d) && !same_dim(c, d, n->shape[n->rank - a->rank + k]))
                return verify_fail(c, "axis %u", k);
        }
        return true;
    }
    if (op == OP_SLICE)
        return (n->u.slice.axis >= 0 && n->u.slice.axis < n->rank && dim_ok(n->u.slice.lo) &&
                same_but(c, n, a, (uint32_t)n->u.slice.axis)) || verify_fail(c, "no such range");
    if (op == OP_CONCAT)
        return check_concat(c);
    if (op == OP_LOOKUP || op == OP_ONEHOT_ADD) {
        const ir_node *i = arg(c, 1);
        if (i->type != T_INDEX)
            return verify_fail(c, "operand 1 is no index");
        if (op == OP_LOOKUP ? !a->rank || !same_dim(c, a->shape[0], i->range) || !shape_after(c, n, i->shape, i->rank, a, 1)
                            : !n->rank || !same_dim(c, n->shape[0], i->range) || !shape_after(c, a, i->shape, i->rank, n, 1))
            return verify_fail(c, "shape");
        if (op == OP_ONEHOT_ADD && !ir_is_arith(n->type))
            return verify_fail(c, "type");
        return check_joined_domain(c, 2);
    }
    if (op == OP_ROWS)
        return (a->dom.i == 0 && to->kind == DOM_INDEX && shape_after(c, a, &to->range, 1, n, 0)) || verify_fail(c, "domain or shape");
    if (op == OP_UNROWS)
        return (n->dom.i == 0 && from->kind == DOM_INDEX && shape_after(c, n, &from->range, 1, a, 0)) || verify_fail(c, "domain or shape");
    return check_pairs(c, op == OP_SPREAD);
}

static bool check_along_map(checker *c)
{
    const ir_node *n = c->n, *a = arg(c, 0), *m = arg(c, n->nargs - 1);
    ir_op op = (ir_op)n->op;
    bool finer = ir_ops[op].cls == CLS_AGG;     /* the result lies where the map leads */
    if (n->dom.i != (finer ? m->u.cod.i : m->dom.i))
        return verify_fail(c, "domain of the result");
    if (op == OP_POSITION)
        return (n->type == T_INDEX && n->rank == 0) || verify_fail(c, "is a scalar index");
    for (uint32_t k = 0; k + 1 < n->nargs; k++)
        if (arg(c, k)->dom.i != (op == OP_GATHER ? m->u.cod.i : m->dom.i))
            return verify_fail(c, "domain of operand %u", k);
    if (op == OP_AGG_SOFTSUM) {
        const ir_node *v = arg(c, 1);
        bool fits = ir_is_arith(n->type) && a->type == n->type && v->type == n->type && verify_same_shape(c, n, v) && a->rank <= v->rank;
        for (uint32_t k = 0; fits && k < a->rank; k++)
            fits = same_dim(c, a->shape[k], v->shape[k]);
        return fits || verify_fail(c, "types or shapes");
    }
    if (!verify_same_shape(c, n, a))
        return verify_fail(c, "shape");
    if (op == OP_GATHER)
        return verify_same_type(c, n, a) || verify_fail(c, "type");
    if (op == OP_AGG_ANY || op == OP_AGG_ALL)
        return (n->type == T_BOOL && a->type == T_BOOL) || verify_fail(c, "type");
    if (op == OP_AGG_ARGMAX || op == OP_AGG_ARGMIN)
        return (n->type == T_INDEX && n->none && ir_is_arith(a->type)) || verify_fail(c, "type");
    return (ir_is_arith(n->type) && a->type == n->type) || verify_fail(c, "type");
}

static bool check_map(checker *c)
{
    const ir_layer *l = c->l;
    const ir_node *n = c->n;
    if (n->rank || n->u.cod.i >= l->n_domains)
        return verify_fail(c, "no domain that it leads to");
    const ir_domain *from = &l->domains[n->dom.i], *to = &l->domains[n->u.cod.i];
    bool edge = from->kind == DOM_EDGES, node = from->kind == DOM_NODES, fits = false;
    switch (n->op) {
    case OP_MAP_SRC:
    case OP_MAP_DST_SRC: fits = edge && to->kind == DOM_NODES && to->side == SIDE_SRC; break;
    case OP_MAP_DST:
    case OP_MAP_SRC_DST: fits = edge && to->kind == DOM_NODES && to->side == SIDE_DST; break;
    case OP_MAP_PREFIX: fits = node && from->side == SIDE_DST && to->kind == DOM_NODES && to->side == SIDE_SRC; break;
    case OP_MAP_SUFFIX: fits = node && from->side == SIDE_SRC && to->kind == DOM_NODES && to->side == SIDE_DST; break;
    case OP_MAP_GRAPH: fits = (edge || node) && to->kind == DOM_GRAPHS; break;
    case OP_MAP_UNIT: fits = from->kind != DOM_UNIT && to->kind == DOM_UNIT; break;
    case OP_MAP_INDEX: {
        const ir_node *i = arg(c, 0);
        fits = i->type == T_INDEX && i->rank == 0 && i->dom.i == n->dom.i && from->kind != DOM_UNIT && to->kind == DOM_INDEX &&
               same_dim(c, to->range, i->range);
        break;
    }
    case OP_MAP_PAIR: {
        const ir_node *i = arg(c, 0), *m = arg(c, 1);
        fits = i->type == T_INDEX && i->rank == 0 && i->dom.i == n->dom.i && m->dom.i == n->dom.i && to->kind == DOM_PAIR &&
               to->map.i == c->v && to->base.i == m->u.cod.i && same_dim(c, to->range, i->range);
        break;
    }
    case OP_MAP_FIRST:
    case OP_MAP_SECOND: {
        const ir_node *m = arg(c, 0);
        fits = m->op == OP_MAP_PAIR && m->u.cod.i == n->dom.i &&
               (n->op == OP_MAP_FIRST ? from->base.i == n->u.cod.i : to->kind == DOM_INDEX && same_dim(c, to->range, from->range));
        break;
    }
    default:                    /* not of this class */
        break;
    }
    return fits || verify_fail(c, "from %s to %s", from->name, to->name);
}

/* What a loop leaves behind comes after all of the loop. */
static bool check_loop_complete(checker *c, const ir_loop *p)
{
    for (uint32_t k = 0; k < p->nstates; k++)
        if (!p->states[k].state.i || p->states[k].state.i >= c->v || !p->states[k].next.i || p->states[k].next.i >= c->v)
            return verify_fail(c, "comes before state %u has its next value", k);
    return (p->tol.i < c->v && p->count.i < c->v) || verify_fail(c, "comes before the tolerance or the number of steps");
}

static bool check_loop_value(checker *c)
{
    const ir_node *n = c->n;
    if (n->u.loop.loop >= c->l->n_loops)
        return verify_fail(c, "of no loop");
    const ir_loop *p = &c->l->loops[n->u.loop.loop];
    ir_op op = (ir_op)n->op;
    if (n->region != (ir_leaves_loop(op) ? p->parent : p->region))
        return verify_fail(c, "region %u", n->region);
    if ((op == OP_STEP || op == OP_RECALL) && (n->u.loop.state > 1 || (n->u.loop.state && ir_is(p->tol))))
        return verify_fail(c, "the last step is not known before it");
    if (op == OP_STEP)
        return (n->type == T_INDEX && !n->rank && !n->dom.i && same_dim(c, n->range, p->limit)) || verify_fail(c, "is an index below the limit");
    if (op == OP_RECALL || op == OP_RECORD) {
        const ir_node *a = arg(c, 0);
        if (n->dom.i != a->dom.i || !verify_same_shape(c, n, a) || !verify_same_type(c, n, a))
            return verify_fail(c, "is unlike what is recorded");
        if (!verify_within(c->l, op == OP_RECALL ? p->parent : p->region, a->region))
            return verify_fail(c, "of a value known in another loop only");
        if (op == OP_RECALL)
            return true;
        if (!same_dim(c, n->slots, p->limit))
            return verify_fail(c, "has as many entries as its loop has steps at most");
        if (n->apart && (a->op != OP_STATE || a->u.loop.loop != n->u.loop.loop))
            return verify_fail(c, "every few entries are kept of states of its loop alone");
        return check_loop_complete(c, p);
    }
    if (op == OP_STEPS)
        return n->type == T_F64 && !n->rank && !n->dom.i ? check_loop_complete(c, p) : verify_fail(c, "is a number of the unit domain");
    if (n->u.loop.state >= p->nstates)
        return verify_fail(c, "no such state");
    const ir_state *s = &p->states[n->u.loop.state];
    if (n->op == OP_STATE) {
        if (s->state.i != c->v || s->init.i == 0 || s->init.i >= c->v)
            return verify_fail(c, "is not the state of its loop, or has no earlier init");
        const ir_node *init = &c->l->nodes[s->init.i];
        if (init->dom.i != n->dom.i || !verify_same_shape(c, n, init) || !verify_same_type(c, n, init) || n->type == T_MAP)
            return verify_fail(c, "is unlike its init");
        return verify_within(c->l, p->parent, init->region) || verify_fail(c, "starts at a value known inside of the loop only");
    }
    if (!check_loop_complete(c, p))
        return false;
    const ir_node *state = &c->l->nodes[s->state.i];
    return (n->dom.i == state->dom.i && verify_same_shape(c, n, state) && verify_same_type(c, n, state)) || verify_fail(c, "is unlike its state");
}

bool verify_class(checker *c)
{
    switch (ir_ops[c->n->op].cls) {
    case CLS_LEAF: return check_leaf(c);
    case CLS_EW: return check_ew(c);
    case CLS_REDUCE: return check_reduce(c);
    case CLS_CONTRACT: return check_einsum(c);
    case CLS_SHAPE: return check_shape(c);
    case CLS_GATHER:
    case CLS_AGG:
    case CLS_GROUP: return check_along_map(c);
    case CLS_MAP: return check_map(c);
    case CLS_LOOP: return check_loop_value(c);
    }
    return verify_fail(c, "no class");
}
