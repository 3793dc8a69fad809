/* The rules, one function a class of operations. Written apart from the constructors on purpose: what
 * they compute is recomputed here from the operands. A function returns false after saying why. */
#include "compiler/ir/verify.h"
#include "compiler/ir/build.h"
#include "compiler/ir/table.h"

#include <stdarg.h>
#include <string.h>

typedef struct checker {
    const ir_layer *l;
    arena *mem;
    const char *why;
    uint32_t v;                 /* the value at hand */
    const ir_node *n;
} checker;

static bool fail(checker *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool fail(checker *c, const char *fmt, ...)
{
    buf b = buf_make(c->mem);
    if (c->v)
        buf_printf(&b, "%%%u = %s: ", c->v, c->n->op < OP_N ? ir_ops[c->n->op].text : "?");
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    c->why = buf_text(&b);
    return false;
}

static const ir_node *arg(const checker *c, uint32_t k) { return &c->l->nodes[c->n->args[k].i]; }
static bool same_dim(const checker *c, dim a, dim b) { return dim_equal(c->l->dims, a, b); }
static bool is_one(const checker *c, dim d) { return dim_is(c->l->dims, d, 1); }
static bool moves(unsigned type) { return type != T_MAP; }

static bool known_value(const checker *c, ir_val v) { return v.i != 0 && v.i < c->l->n_nodes; }

static bool same_shape(const checker *c, const ir_node *a, const ir_node *b)
{
    bool same = a->rank == b->rank;
    for (uint32_t k = 0; same && k < a->rank; k++)
        same = same_dim(c, a->shape[k], b->shape[k]);
    return same;
}

/* Same element type, and the same range of an index. */
static bool same_type(const checker *c, const ir_node *a, const ir_node *b)
{
    return a->type == b->type && (a->type != T_INDEX || same_dim(c, a->range, b->range));
}

/* ---- regions and domains ---- */

static bool within(const ir_layer *l, uint32_t inner, uint32_t outer)
{
    while (inner > outer)
        inner = l->loops[inner - 1].parent;
    return inner == outer;
}

static bool join_region(const checker *c, uint32_t *region, uint32_t with)
{
    if (within(c->l, with, *region))
        *region = with;
    return within(c->l, *region, with);
}

static bool check_region(checker *c)
{
    uint32_t region = 0;
    ir_val pairs = c->l->domains[c->n->dom.i].map;
    if (pairs.i && pairs.i >= c->v && !ir_same(pairs, (ir_val){c->v}))
        return fail(c, "lies in a domain that is made after it");
    if (c->n->region > c->l->n_loops)
        return fail(c, "lies in a region that there is not");
    if (ir_ops[c->n->op].cls == CLS_LOOP)
        return true;
    if (pairs.i && !join_region(c, &region, c->l->nodes[pairs.i].region))
        return fail(c, "depends on two loops, neither in the other");
    for (uint32_t k = 0; k < c->n->nargs; k++)
        if (!join_region(c, &region, arg(c, k)->region))
            return fail(c, "depends on two loops, neither in the other");
    return region == c->n->region || fail(c, "region %u, where its operands say %u", c->n->region, region);
}

/* Operands may lie in the result's domain or the unit's; at least one lies there. */
static bool check_joined_domain(checker *c, uint32_t nargs)
{
    bool found = c->n->dom.i == 0;
    for (uint32_t k = 0; k < nargs; k++) {
        uint32_t d = arg(c, k)->dom.i;
        if (d && d != c->n->dom.i)
            return fail(c, "operand %u lies in another domain", k);
        found = found || d == c->n->dom.i;
    }
    return found || fail(c, "no operand lies in its domain");
}

/* ---- classes ---- */

static bool check_common(checker *c)
{
    const ir_node *n = c->n;
    if (n->op >= OP_N)
        return fail(c, "no operation");
    int want = ir_ops[n->op].nargs;
    if (want >= 0 ? n->nargs != (uint32_t)want : n->nargs == 0)
        return fail(c, "%u operands, not %d", n->nargs, want);
    for (uint32_t k = 0; k < n->nargs; k++)
        if (n->args[k].i == 0 || n->args[k].i >= c->v)
            return fail(c, "operand %u is no earlier value", k);
    if (n->type > T_MAP || n->dom.i >= c->l->n_domains || n->rank > IR_MAX_RANK)
        return fail(c, "type, domain or rank");
    for (uint32_t k = 0; k < n->rank; k++)
        if (!dim_ok(n->shape[k]))
            return fail(c, "axis %u has no dim", k);
    if (n->op != OP_DIMVAL && dim_ok(n->range) != (n->type == T_INDEX))
        return fail(c, "an index has a range, and only an index");
    if (n->none && n->type != T_INDEX)
        return fail(c, "only an index may be none");
    if (dim_ok(n->slots) ? n->op != OP_RECORD && n->op != OP_INPUT : n->op == OP_RECORD)
        return fail(c, "a record is a sequence, an input may be one, and nothing else");
    if (n->apart && !dim_ok(n->slots))
        return fail(c, "of a sequence alone are every few entries kept");
    for (uint32_t k = 0; k < n->nargs; k++)
        if (dim_ok(arg(c, k)->slots) != (n->op == OP_RECALL))
            return fail(c, "operand %u is a sequence, or should be one", k);
    bool half = n->type == T_F16 || n->type == T_BF16;
    ir_class cls = ir_ops[n->op].cls;
    if (half && n->op != OP_INPUT && n->op != OP_CAST && cls != CLS_SHAPE && cls != CLS_GATHER)
        return fail(c, "a half type is only stored, moved and cast");
    if ((cls == CLS_MAP) != (n->type == T_MAP))
        return fail(c, "a map, or an operand where there is none");
    return true;
}

static bool is_map_operand(ir_op op, uint32_t k, uint32_t nargs)
{
    ir_class cls = ir_ops[op].cls;
    bool last = k + 1 == nargs;
    return last && (cls == CLS_GATHER || cls == CLS_AGG || cls == CLS_GROUP || op == OP_COUNT || op == OP_SPREAD ||
                    op == OP_UNSPREAD || (cls == CLS_MAP && op != OP_MAP_INDEX));
}

static bool check_operand_kinds(checker *c)
{
    for (uint32_t k = 0; k < c->n->nargs; k++)
        if (is_map_operand((ir_op)c->n->op, k, c->n->nargs) != (arg(c, k)->type == T_MAP))
            return fail(c, "operand %u is a map, or should be one", k);
    return true;
}

static bool check_leaf(checker *c)
{
    const ir_node *n = c->n;
    ir_op op = (ir_op)n->op;
    bool unit_scalar = n->rank == 0 && n->dom.i == 0;
    if (op == OP_INPUT) {
        if (n->u.input >= c->l->n_inputs || c->l->inputs[n->u.input].value.i != c->v)
            return fail(c, "is not in the table of inputs");
        return !c->l->inputs[n->u.input].param || n->dom.i == 0 || fail(c, "a param outside of the unit domain");
    }
    if (op == OP_CONST)
        return (unit_scalar && n->type != T_MAP) || fail(c, "a constant is a scalar of the unit domain");
    if (op == OP_TRAINING)
        return (unit_scalar && n->type == T_BOOL) || fail(c, "is a bool of the unit domain");
    if (!ir_is_arith(n->type))
        return fail(c, "is neither f32 nor f64");
    if (op == OP_REALARG)
        return (unit_scalar && n->u.realarg < c->l->n_statics && c->l->statics[n->u.realarg].real) || fail(c, "no real static");
    if (op == OP_DIMVAL)
        return (unit_scalar && dim_ok(n->range)) || fail(c, "no dim");
    if (op == OP_IOTA)
        return (n->rank == 1 && n->dom.i == 0) || fail(c, "has one axis, in the unit domain");
    if (op == OP_INDEGREE)
        return (n->rank == 0 && c->l->src.i && n->dom.i == c->l->src.i) || fail(c, "is of source-side nodes");
    return (n->rank == 0 && n->dom.i == arg(c, 0)->u.cod.i) || fail(c, "lies where the map leads");         /* count */
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
            return fail(c, "type of operand %u", k);
    }
    if (op == OP_WHERE && !same_type(c, arg(c, 1), arg(c, 2)))
        return fail(c, "operands of two types");
    if (op == OP_DROPOUT && (arg(c, 1)->type != c->n->type || arg(c, 2)->type != T_F64))
        return fail(c, "type of the rate or the key");
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
                                      : same_type(c, n, arg(c, rule == TYPE_ARG1 ? 1 : 0));
    if (!typed)
        return fail(c, "type of the result");
    for (uint32_t k = nargs; k < n->nargs; k++)
        if (arg(c, k)->rank || arg(c, k)->dom.i)
            return fail(c, "operand %u is a scalar of the unit domain", k);
    for (uint32_t k = 0; k < nargs; k++)
        if (arg(c, k)->rank > n->rank)
            return fail(c, "operand %u has more axes than the result", k);
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
                return fail(c, "shape of operand %u", k);
        }
        if (!made)
            return fail(c, "an axis of the result that no operand has");
    }
    return true;
}

static bool check_reduce(checker *c)
{
    const ir_node *n = c->n, *a = arg(c, 0);
    if (!ir_is_arith(n->type) || a->type != n->type || a->dom.i != n->dom.i)
        return fail(c, "type or domain");
    if (n->u.axis < 0 || n->u.axis >= a->rank || n->rank + 1 != a->rank)
        return fail(c, "no such axis");
    for (uint32_t k = 0; k < n->rank; k++)
        if (!same_dim(c, n->shape[k], a->shape[k + (k >= (uint32_t)n->u.axis)]))
            return fail(c, "shape");
    return true;
}

static bool check_einsum(checker *c)
{
    const ir_node *n = c->n;
    const ir_einsum *e = &n->u.ein;
    dim of[2 * IR_MAX_RANK];
    unsigned seen = 0;
    if (!ir_is_arith(n->type) || arg(c, 0)->type != n->type || arg(c, 1)->type != n->type)
        return fail(c, "types");
    if (e->na != arg(c, 0)->rank || e->nb != arg(c, 1)->rank || e->nout != n->rank)
        return fail(c, "letters for another rank");
    for (uint32_t operand = 0; operand < 2; operand++) {
        const uint8_t *letters = operand ? e->b : e->a;
        unsigned here = 0;
        for (uint32_t k = 0; k < arg(c, operand)->rank; k++) {
            uint32_t x = letters[k];
            if (x >= 2 * IR_MAX_RANK || here & 1u << x)
                return fail(c, "a letter twice in operand %u", operand);
            if (seen & 1u << x && !same_dim(c, of[x], arg(c, operand)->shape[k]))
                return fail(c, "one letter for two dims");
            of[x] = arg(c, operand)->shape[k];
            here |= 1u << x;
            seen |= 1u << x;
        }
    }
    unsigned out = 0;
    for (uint32_t k = 0; k < n->rank; k++) {
        uint32_t x = e->out[k];
        if (x >= 2 * IR_MAX_RANK || !(seen & 1u << x) || out & 1u << x || !same_dim(c, of[x], n->shape[k]))
            return fail(c, "letters of the result");
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
        return fail(c, "no such axis");
    for (uint32_t k = 0; k < n->nargs; k++) {
        if (!same_but(c, n, arg(c, k), (uint32_t)n->u.axis) || !same_type(c, n, arg(c, k)))
            return fail(c, "operand %u does not fit", k);
        width = dim_add(c->l->dims, width, arg(c, k)->shape[n->u.axis]);
    }
    if (!same_dim(c, width, n->shape[n->u.axis]))
        return fail(c, "width of the joined axis");
    return check_joined_domain(c, n->nargs);
}

static bool check_pairs(checker *c, bool spread)
{
    const ir_node *n = c->n, *a = arg(c, 0), *m = arg(c, 1);
    if (m->op != OP_MAP_PAIR)
        return fail(c, "its map makes no pairs");
    const ir_domain *d = &c->l->domains[m->u.cod.i];
    uint32_t by_pair = spread ? a->dom.i : n->dom.i, by_base = spread ? n->dom.i : a->dom.i;
    bool fits = by_pair == m->u.cod.i && by_base == d->base.i &&
                (spread ? shape_after(c, n, &d->range, 1, a, 0) : shape_after(c, a, &d->range, 1, n, 0));
    return fits || fail(c, "domain or shape of the pairs");
}

static bool check_shape(checker *c)
{
    const ir_node *n = c->n, *a = arg(c, 0);
    const ir_domain *from = &c->l->domains[a->dom.i], *to = &c->l->domains[n->dom.i];
    ir_op op = (ir_op)n->op;
    if (!moves(a->type) || !same_type(c, n, a))
        return fail(c, "type");
    if (op == OP_RESHAPE || op == OP_TRANSPOSE || op == OP_SLICE)
        if (n->dom.i != a->dom.i)
            return fail(c, "changes the domain");
    if (op == OP_RESHAPE)
        return same_dim(c, count_of(c, n), count_of(c, a)) || fail(c, "another number of elements");
    if (op == OP_TRANSPOSE) {
        unsigned seen = 0;
        for (uint32_t k = 0; k < n->rank; k++) {
            if (n->rank != a->rank || n->u.perm[k] >= a->rank || seen & 1u << n->u.perm[k] ||
                !same_dim(c, n->shape[k], a->shape[n->u.perm[k]]))
                return fail(c, "no permutation of the operand's axes");
            seen |= 1u << n->u.perm[k];
        }
        return n->rank == a->rank || fail(c, "no permutation of the operand's axes");
    }
    if (op == OP_BROADCAST) {
        if (a->rank > n->rank || (a->dom.i && a->dom.i != n->dom.i))
            return fail(c, "rank or domain");
        for (uint32_t k = 0; k < a->rank; k++) {
            dim d = a->shape[k];
            if (!is_one(c, d) && !same_dim(c, d, n->shape[n->rank - a->rank + k]))
                return fail(c, "axis %u", k);
        }
        return true;
    }
    if (op == OP_SLICE)
        return (n->u.slice.axis >= 0 && n->u.slice.axis < n->rank && dim_ok(n->u.slice.lo) &&
                same_but(c, n, a, (uint32_t)n->u.slice.axis)) || fail(c, "no such range");
    if (op == OP_CONCAT)
        return check_concat(c);
    if (op == OP_LOOKUP || op == OP_ONEHOT_ADD) {
        const ir_node *i = arg(c, 1);
        if (i->type != T_INDEX)
            return fail(c, "operand 1 is no index");
        if (op == OP_LOOKUP ? !a->rank || !same_dim(c, a->shape[0], i->range) || !shape_after(c, n, i->shape, i->rank, a, 1)
                            : !n->rank || !same_dim(c, n->shape[0], i->range) || !shape_after(c, a, i->shape, i->rank, n, 1))
            return fail(c, "shape");
        if (op == OP_ONEHOT_ADD && !ir_is_arith(n->type))
            return fail(c, "type");
        return check_joined_domain(c, 2);
    }
    if (op == OP_ROWS)
        return (a->dom.i == 0 && to->kind == DOM_INDEX && shape_after(c, a, &to->range, 1, n, 0)) || fail(c, "domain or shape");
    if (op == OP_UNROWS)
        return (n->dom.i == 0 && from->kind == DOM_INDEX && shape_after(c, n, &from->range, 1, a, 0)) || fail(c, "domain or shape");
    return check_pairs(c, op == OP_SPREAD);
}

static bool check_along_map(checker *c)
{
    const ir_node *n = c->n, *a = arg(c, 0), *m = arg(c, n->nargs - 1);
    ir_op op = (ir_op)n->op;
    bool finer = ir_ops[op].cls == CLS_AGG;     /* the result lies where the map leads */
    if (n->dom.i != (finer ? m->u.cod.i : m->dom.i))
        return fail(c, "domain of the result");
    if (op == OP_POSITION)
        return (n->type == T_INDEX && n->rank == 0) || fail(c, "is a scalar index");
    for (uint32_t k = 0; k + 1 < n->nargs; k++)
        if (arg(c, k)->dom.i != (op == OP_GATHER ? m->u.cod.i : m->dom.i))
            return fail(c, "domain of operand %u", k);
    if (op == OP_AGG_SOFTSUM) {
        const ir_node *v = arg(c, 1);
        bool fits = ir_is_arith(n->type) && a->type == n->type && v->type == n->type && same_shape(c, n, v) && a->rank <= v->rank;
        for (uint32_t k = 0; fits && k < a->rank; k++)
            fits = same_dim(c, a->shape[k], v->shape[k]);
        return fits || fail(c, "types or shapes");
    }
    if (!same_shape(c, n, a))
        return fail(c, "shape");
    if (op == OP_GATHER)
        return same_type(c, n, a) || fail(c, "type");
    if (op == OP_AGG_ANY || op == OP_AGG_ALL)
        return (n->type == T_BOOL && a->type == T_BOOL) || fail(c, "type");
    if (op == OP_AGG_ARGMAX || op == OP_AGG_ARGMIN)
        return (n->type == T_INDEX && n->none && ir_is_arith(a->type)) || fail(c, "type");
    return (ir_is_arith(n->type) && a->type == n->type) || fail(c, "type");
}

static bool check_map(checker *c)
{
    const ir_layer *l = c->l;
    const ir_node *n = c->n;
    if (n->rank || n->u.cod.i >= l->n_domains)
        return fail(c, "no domain that it leads to");
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
    return fits || fail(c, "from %s to %s", from->name, to->name);
}

/* What a loop leaves behind comes after all of the loop. */
static bool check_loop_complete(checker *c, const ir_loop *p)
{
    for (uint32_t k = 0; k < p->nstates; k++)
        if (!p->states[k].state.i || p->states[k].state.i >= c->v || !p->states[k].next.i || p->states[k].next.i >= c->v)
            return fail(c, "comes before state %u has its next value", k);
    return (p->tol.i < c->v && p->count.i < c->v) || fail(c, "comes before the tolerance or the number of steps");
}

static bool check_loop_value(checker *c)
{
    const ir_node *n = c->n;
    if (n->u.loop.loop >= c->l->n_loops)
        return fail(c, "of no loop");
    const ir_loop *p = &c->l->loops[n->u.loop.loop];
    ir_op op = (ir_op)n->op;
    if (n->region != (ir_leaves_loop(op) ? p->parent : p->region))
        return fail(c, "region %u", n->region);
    if ((op == OP_STEP || op == OP_RECALL) && (n->u.loop.state > 1 || (n->u.loop.state && ir_is(p->tol))))
        return fail(c, "the last step is not known before it");
    if (op == OP_STEP)
        return (n->type == T_INDEX && !n->rank && !n->dom.i && same_dim(c, n->range, p->limit)) || fail(c, "is an index below the limit");
    if (op == OP_RECALL || op == OP_RECORD) {
        const ir_node *a = arg(c, 0);
        if (n->dom.i != a->dom.i || !same_shape(c, n, a) || !same_type(c, n, a))
            return fail(c, "is unlike what is recorded");
        if (!within(c->l, op == OP_RECALL ? p->parent : p->region, a->region))
            return fail(c, "of a value known in another loop only");
        if (op == OP_RECALL)
            return true;
        if (!same_dim(c, n->slots, p->limit))
            return fail(c, "has as many entries as its loop has steps at most");
        if (n->apart && (a->op != OP_STATE || a->u.loop.loop != n->u.loop.loop))
            return fail(c, "every few entries are kept of states of its loop alone");
        return check_loop_complete(c, p);
    }
    if (op == OP_STEPS)
        return n->type == T_F64 && !n->rank && !n->dom.i ? check_loop_complete(c, p) : fail(c, "is a number of the unit domain");
    if (n->u.loop.state >= p->nstates)
        return fail(c, "no such state");
    const ir_state *s = &p->states[n->u.loop.state];
    if (n->op == OP_STATE) {
        if (s->state.i != c->v || s->init.i == 0 || s->init.i >= c->v)
            return fail(c, "is not the state of its loop, or has no earlier init");
        const ir_node *init = &c->l->nodes[s->init.i];
        if (init->dom.i != n->dom.i || !same_shape(c, n, init) || !same_type(c, n, init) || n->type == T_MAP)
            return fail(c, "is unlike its init");
        return within(c->l, p->parent, init->region) || fail(c, "starts at a value known inside of the loop only");
    }
    if (!check_loop_complete(c, p))
        return false;
    const ir_node *state = &c->l->nodes[s->state.i];
    return (n->dom.i == state->dom.i && same_shape(c, n, state) && same_type(c, n, state)) || fail(c, "is unlike its state");
}

static bool check_value(checker *c)
{
    if (!check_common(c) || !check_operand_kinds(c) || !check_region(c))
        return false;
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
    return fail(c, "no class");
}

/* ---- tables ---- */

static bool check_domains(checker *c)
{
    const ir_layer *l = c->l;
    if (!l->n_domains || l->domains[0].kind != DOM_UNIT)
        return fail(c, "domain 0 is not the unit domain");
    for (uint32_t i = 0; i < l->n_domains; i++) {
        const ir_domain *d = &l->domains[i];
        if (!d->name || (d->kind == DOM_NODES) != (d->side != SIDE_NONE) || (i > 0 && d->kind == DOM_UNIT))
            return fail(c, "domain %u: kind, side or name", i);
        if (dim_ok(d->range) != (d->kind == DOM_INDEX || d->kind == DOM_PAIR) || (d->map.i != 0) != (d->kind == DOM_PAIR))
            return fail(c, "domain %s: range or map", d->name);
        if (d->kind == DOM_PAIR && (!known_value(c, d->map) || l->nodes[d->map.i].op != OP_MAP_PAIR || l->nodes[d->map.i].u.cod.i != i ||
                                    d->base.i >= l->n_domains))
            return fail(c, "domain %s: %%%u does not make its pairs", d->name, d->map.i);
    }
    const ir_dom roles[] = {l->edge, l->src, l->dst, l->graph};
    static const ir_dom_kind kinds[] = {DOM_EDGES, DOM_NODES, DOM_NODES, DOM_GRAPHS};
    static const ir_side sides[] = {SIDE_NONE, SIDE_SRC, SIDE_DST, SIDE_NONE};
    for (uint32_t k = 0; k < 4; k++)
        if (roles[k].i >= l->n_domains || (roles[k].i && (l->domains[roles[k].i].kind != kinds[k] || l->domains[roles[k].i].side != sides[k])))
            return fail(c, "the layer's domains are of other kinds");
    return true;
}

static bool check_loops_nest(checker *c)
{
    for (uint32_t i = 0; i < c->l->n_loops; i++) {
        const ir_loop *p = &c->l->loops[i];
        if (p->region != i + 1 || p->parent > i || !dim_ok(p->limit) || !p->nstates)
            return fail(c, "loop %u: region, parent, limit or states", i);
    }
    return true;
}

/* A loop that runs again starts from what the loop around it recalls, and goes by its steps. */
static bool check_again(checker *c, uint32_t loop)
{
    const ir_layer *l = c->l;
    const ir_loop *p = &l->loops[loop];
    if (!p->parent || ir_is(p->tol) || ir_is(p->count) || !same_dim(c, p->limit, l->loops[p->parent - 1].limit))
        return fail(c, "loop %u: runs again, but has steps of its own", loop);
    for (uint32_t k = 0; k < p->nstates; k++) {
        const ir_val init = p->states[k].init;
        const ir_node *n = known_value(c, init) ? ir_at(l, init) : NULL;
        if (!n || n->op != OP_RECALL || n->u.loop.loop != p->parent - 1 || n->u.loop.state != (p->again == AGAIN_BACK) ||
            !ir_at(l, n->args[0])->apart)
            return fail(c, "loop %u, state %u: does not start at an entry that was kept", loop, k);
    }
    return true;
}

/* After the values: they are known to be sound. */
static bool check_loops(checker *c)
{
    const ir_layer *l = c->l;
    for (uint32_t i = 0; i < l->n_loops; i++) {
        const ir_loop *p = &l->loops[i];
        if (p->again && !check_again(c, i))
            return false;
        for (uint32_t k = 0; k < p->nstates; k++) {
            const ir_state *s = &p->states[k];
            if (!ir_is(s->next))
                continue;                       /* a loop that was begun and left: no final refers to it */
            if (!known_value(c, s->next) || !known_value(c, s->state))
                return fail(c, "loop %u, state %u: no value", i, k);
            const ir_node *next = ir_at(l, s->next), *state = ir_at(l, s->state);
            if (state->op != OP_STATE || state->u.loop.loop != i || state->u.loop.state != k)
                return fail(c, "loop %u, state %u: %%%u is another state", i, k, s->state.i);
            if (next->dom.i != state->dom.i || !same_shape(c, next, state) || !same_type(c, next, state))
                return fail(c, "loop %u, state %u: %%%u is unlike the state", i, k, s->next.i);
            if (!within(l, p->region, next->region))
                return fail(c, "loop %u, state %u: %%%u is known in another loop only", i, k, s->next.i);
        }
        const ir_node *count = known_value(c, p->count) ? ir_at(l, p->count) : NULL;
        if (ir_is(p->count) && (!count || count->rank || count->dom.i || count->type != T_F64 || !within(l, p->parent, count->region)))
            return fail(c, "loop %u: its number of steps", i);
        if (!ir_is(p->tol))
            continue;
        const ir_node *tol = known_value(c, p->tol) ? ir_at(l, p->tol) : NULL;
        if (!tol || tol->rank || tol->dom.i || !ir_is_arith(tol->type) || !within(l, p->parent, tol->region))
            return fail(c, "loop %u: its tolerance", i);
    }
    return true;
}

static bool check_interface(checker *c)
{
    const ir_layer *l = c->l;
    for (uint32_t i = 0; i < l->n_inputs; i++) {
        ir_val v = l->inputs[i].value;
        if (!l->inputs[i].name || !known_value(c, v) || ir_at(l, v)->op != OP_INPUT || ir_at(l, v)->u.input != i)
            return fail(c, "input %u: %%%u is none", i, v.i);
    }
    for (uint32_t i = 0; i < l->n_outputs; i++) {
        const ir_output *o = &l->outputs[i];
        if (!o->name || !known_value(c, o->value) || o->rows.i >= l->n_domains || ir_at(l, o->value)->type == T_MAP)
            return fail(c, "output %u: no value or rows", i);
        const ir_domain *dom = &l->domains[ir_at(l, o->value)->dom.i], *rows = &l->domains[o->rows.i];
        if (dom != rows && !(dom->side == SIDE_SRC && rows->side == SIDE_DST))
            return fail(c, "output %s: rows of %s for a value of %s", o->name, rows->name, dom->name);
        if (ir_at(l, o->value)->region)
            return fail(c, "output %s: %%%u is known in a loop only", o->name, o->value.i);
    }
    for (uint32_t i = 0; i < l->n_statics; i++)
        if (!l->statics[i].name || (l->statics[i].has_default && !l->statics[i].real && !dim_ok(l->statics[i].dim_default)))
            return fail(c, "static %u: name or default", i);
    return true;
}

const char *ir_verify(const ir_layer *l, arena *mem)
{
    checker c = {.l = l, .mem = mem};
    if (!check_loops_nest(&c) || !check_domains(&c))
        return c.why;
    for (uint32_t v = 1; v < l->n_nodes; v++) {
        c.v = v;
        c.n = &l->nodes[v];
        if (!check_value(&c))
            return c.why;
    }
    c.v = 0;
    if (!check_loops(&c) || !check_interface(&c))
        return c.why;
    return NULL;
}
