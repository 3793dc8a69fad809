/* The verifier: what holds of every value, of domains, loops and the interface; verify_class.c has the rules by class.
 * Written apart from the constructors on purpose: what they compute is recomputed here from the operands. A function
 * returns false after saying why. */
#include "compiler/ir/verify_int.h"

#include "compiler/ir/build.h"
#include "compiler/ir/table.h"
#include "compiler/ir/verify.h"

#include <stdarg.h>
#include <string.h>

bool verify_fail(checker *c, const char *fmt, ...)
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

bool verify_same_shape(const checker *c, const ir_node *a, const ir_node *b)
{
    bool same = a->rank == b->rank;
    for (uint32_t k = 0; same && k < a->rank; k++)
        same = same_dim(c, a->shape[k], b->shape[k]);
    return same;
}

bool verify_same_type(const checker *c, const ir_node *a, const ir_node *b)
{
    return a->type == b->type && (a->type != T_INDEX || same_dim(c, a->range, b->range));
}

/* ---- regions and domains ---- */

bool verify_within(const ir_layer *l, uint32_t inner, uint32_t outer)
{
    while (inner > outer)
        inner = l->loops[inner - 1].parent;
    return inner == outer;
}

static bool join_region(const checker *c, uint32_t *region, uint32_t with)
{
    if (verify_within(c->l, with, *region))
        *region = with;
    return verify_within(c->l, *region, with);
}

static bool check_region(checker *c)
{
    uint32_t region = 0;
    ir_val pairs = c->l->domains[c->n->dom.i].map;
    if (pairs.i && pairs.i >= c->v && !ir_same(pairs, (ir_val){c->v}))
        return verify_fail(c, "lies in a domain that is made after it");
    if (c->n->region > c->l->n_loops)
        return verify_fail(c, "lies in a region that there is not");
    if (ir_ops[c->n->op].cls == CLS_LOOP)
        return true;
    if (pairs.i && !join_region(c, &region, c->l->nodes[pairs.i].region))
        return verify_fail(c, "depends on two loops, neither in the other");
    for (uint32_t k = 0; k < c->n->nargs; k++)
        if (!join_region(c, &region, arg(c, k)->region))
            return verify_fail(c, "depends on two loops, neither in the other");
    return region == c->n->region || verify_fail(c, "region %u, where its operands say %u", c->n->region, region);
}

/* ---- every value ---- */

static bool check_common(checker *c)
{
    const ir_node *n = c->n;
    if (n->op >= OP_N)
        return verify_fail(c, "no operation");
    int want = ir_ops[n->op].nargs;
    if (want >= 0 ? n->nargs != (uint32_t)want : n->nargs == 0)
        return verify_fail(c, "%u operands, not %d", n->nargs, want);
    for (uint32_t k = 0; k < n->nargs; k++)
        if (n->args[k].i == 0 || n->args[k].i >= c->v)
            return verify_fail(c, "operand %u is no earlier value", k);
    if (n->type > T_MAP || n->dom.i >= c->l->n_domains || n->rank > IR_MAX_RANK)
        return verify_fail(c, "type, domain or rank");
    for (uint32_t k = 0; k < n->rank; k++)
        if (!dim_ok(n->shape[k]))
            return verify_fail(c, "axis %u has no dim", k);
    if (n->op != OP_DIMVAL && dim_ok(n->range) != (n->type == T_INDEX))
        return verify_fail(c, "an index has a range, and only an index");
    if (n->none && n->type != T_INDEX)
        return verify_fail(c, "only an index may be none");
    if (dim_ok(n->slots) ? n->op != OP_RECORD && n->op != OP_INPUT : n->op == OP_RECORD)
        return verify_fail(c, "a record is a sequence, an input may be one, and nothing else");
    if (n->apart && !dim_ok(n->slots))
        return verify_fail(c, "of a sequence alone are every few entries kept");
    for (uint32_t k = 0; k < n->nargs; k++)
        if (dim_ok(arg(c, k)->slots) != (n->op == OP_RECALL))
            return verify_fail(c, "operand %u is a sequence, or should be one", k);
    bool half = n->type == T_F16 || n->type == T_BF16;
    ir_class cls = ir_ops[n->op].cls;
    if (half && n->op != OP_INPUT && n->op != OP_CAST && cls != CLS_SHAPE && cls != CLS_GATHER)
        return verify_fail(c, "a half type is only stored, moved and cast");
    if ((cls == CLS_MAP) != (n->type == T_MAP))
        return verify_fail(c, "a map, or an operand where there is none");
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
            return verify_fail(c, "operand %u is a map, or should be one", k);
    return true;
}

static bool check_value(checker *c)
{
    return check_common(c) && check_operand_kinds(c) && check_region(c) && verify_class(c);
}

/* ---- tables ---- */

static bool check_domains(checker *c)
{
    const ir_layer *l = c->l;
    if (!l->n_domains || l->domains[0].kind != DOM_UNIT)
        return verify_fail(c, "domain 0 is not the unit domain");
    for (uint32_t i = 0; i < l->n_domains; i++) {
        const ir_domain *d = &l->domains[i];
        if (!d->name || (d->kind == DOM_NODES) != (d->side != SIDE_NONE) || (i > 0 && d->kind == DOM_UNIT))
            return verify_fail(c, "domain %u: kind, side or name", i);
        if (dim_ok(d->range) != (d->kind == DOM_INDEX || d->kind == DOM_PAIR) || (d->map.i != 0) != (d->kind == DOM_PAIR))
            return verify_fail(c, "domain %s: range or map", d->name);
        if (d->kind == DOM_PAIR && (!verify_known(c, d->map) || l->nodes[d->map.i].op != OP_MAP_PAIR || l->nodes[d->map.i].u.cod.i != i ||
                                    d->base.i >= l->n_domains))
            return verify_fail(c, "domain %s: %%%u does not make its pairs", d->name, d->map.i);
    }
    const ir_dom roles[] = {l->edge, l->src, l->dst, l->graph};
    static const ir_dom_kind kinds[] = {DOM_EDGES, DOM_NODES, DOM_NODES, DOM_GRAPHS};
    static const ir_side sides[] = {SIDE_NONE, SIDE_SRC, SIDE_DST, SIDE_NONE};
    for (uint32_t k = 0; k < 4; k++)
        if (roles[k].i >= l->n_domains || (roles[k].i && (l->domains[roles[k].i].kind != kinds[k] || l->domains[roles[k].i].side != sides[k])))
            return verify_fail(c, "the layer's domains are of other kinds");
    return true;
}

static bool check_loops_nest(checker *c)
{
    for (uint32_t i = 0; i < c->l->n_loops; i++) {
        const ir_loop *p = &c->l->loops[i];
        if (p->region != i + 1 || p->parent > i || !dim_ok(p->limit) || !p->nstates)
            return verify_fail(c, "loop %u: region, parent, limit or states", i);
    }
    return true;
}

/* A loop that runs again starts from what the loop around it recalls, and goes by its steps. */
static bool check_again(checker *c, uint32_t loop)
{
    const ir_layer *l = c->l;
    const ir_loop *p = &l->loops[loop];
    if (!p->parent || ir_is(p->tol) || ir_is(p->count) || !same_dim(c, p->limit, l->loops[p->parent - 1].limit))
        return verify_fail(c, "loop %u: runs again, but has steps of its own", loop);
    for (uint32_t k = 0; k < p->nstates; k++) {
        const ir_val init = p->states[k].init;
        const ir_node *n = verify_known(c, init) ? ir_at(l, init) : NULL;
        if (!n || n->op != OP_RECALL || n->u.loop.loop != p->parent - 1 || n->u.loop.state != (p->again == AGAIN_BACK) ||
            !ir_at(l, n->args[0])->apart)
            return verify_fail(c, "loop %u, state %u: does not start at an entry that was kept", loop, k);
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
            if (!verify_known(c, s->next) || !verify_known(c, s->state))
                return verify_fail(c, "loop %u, state %u: no value", i, k);
            const ir_node *next = ir_at(l, s->next), *state = ir_at(l, s->state);
            if (state->op != OP_STATE || state->u.loop.loop != i || state->u.loop.state != k)
                return verify_fail(c, "loop %u, state %u: %%%u is another state", i, k, s->state.i);
            if (next->dom.i != state->dom.i || !verify_same_shape(c, next, state) || !verify_same_type(c, next, state))
                return verify_fail(c, "loop %u, state %u: %%%u is unlike the state", i, k, s->next.i);
            if (!verify_within(l, p->region, next->region))
                return verify_fail(c, "loop %u, state %u: %%%u is known in another loop only", i, k, s->next.i);
        }
        const ir_node *count = verify_known(c, p->count) ? ir_at(l, p->count) : NULL;
        if (ir_is(p->count) && (!count || count->rank || count->dom.i || count->type != T_F64 || !verify_within(l, p->parent, count->region)))
            return verify_fail(c, "loop %u: its number of steps", i);
        if (!ir_is(p->tol))
            continue;
        const ir_node *tol = verify_known(c, p->tol) ? ir_at(l, p->tol) : NULL;
        if (!tol || tol->rank || tol->dom.i || !ir_is_arith(tol->type) || !verify_within(l, p->parent, tol->region))
            return verify_fail(c, "loop %u: its tolerance", i);
    }
    return true;
}

static bool check_interface(checker *c)
{
    const ir_layer *l = c->l;
    for (uint32_t i = 0; i < l->n_inputs; i++) {
        ir_val v = l->inputs[i].value;
        if (!l->inputs[i].name || !verify_known(c, v) || ir_at(l, v)->op != OP_INPUT || ir_at(l, v)->u.input != i)
            return verify_fail(c, "input %u: %%%u is none", i, v.i);
    }
    for (uint32_t i = 0; i < l->n_outputs; i++) {
        const ir_output *o = &l->outputs[i];
        if (!o->name || !verify_known(c, o->value) || o->rows.i >= l->n_domains || ir_at(l, o->value)->type == T_MAP)
            return verify_fail(c, "output %u: no value or rows", i);
        const ir_domain *dom = &l->domains[ir_at(l, o->value)->dom.i], *rows = &l->domains[o->rows.i];
        if (dom != rows && !(dom->side == SIDE_SRC && rows->side == SIDE_DST))
            return verify_fail(c, "output %s: rows of %s for a value of %s", o->name, rows->name, dom->name);
        if (ir_at(l, o->value)->region)
            return verify_fail(c, "output %s: %%%u is known in a loop only", o->name, o->value.i);
    }
    for (uint32_t i = 0; i < l->n_statics; i++)
        if (!l->statics[i].name || (l->statics[i].has_default && !l->statics[i].real && !dim_ok(l->statics[i].dim_default)))
            return verify_fail(c, "static %u: name or default", i);
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
