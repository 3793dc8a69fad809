/* The layer's tables, hash-consing, domains, what the layer shows outside, and the leaves.
 *
 * A value is identified by operation, operands, domain, type, shape and attributes; span and name are of
 * the first that was made. Inputs are never merged: each has an index of its own. */
#include "compiler/ir/build_int.h"
#include "compiler/ir/scalar.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *ir_grown(arena *mem, const void *table, uint32_t n, uint32_t *cap, size_t size)
{
    uint32_t room = *cap ? 2 * *cap : 8;
    void *grown = arena_alloc_array(mem, room, size);
    if (n)
        memcpy(grown, table, n * size);
    *cap = room;
    return grown;
}

ir_layer *ir_layer_new(arena *mem, dim_table *dims, str name)
{
    ir_layer *l = NEW(mem, ir_layer);
    l->mem = mem;
    l->dims = dims;
    l->name = name;
    l->builder = NEW(mem, struct ir_builder);
    l->builder->values = idset_make(mem);
    IR_GROW(l, l->nodes, l->n_nodes, l->cap_nodes);
    l->n_nodes = 1;                             /* 0 is no value */
    ir_domain_add(l, &(ir_domain){.kind = DOM_UNIT, .name = "unit"});
    return l;
}

ir_trap *ir_set_trap(ir_layer *l, ir_trap *trap)
{
    ir_trap *before = l->builder->trap;
    l->builder->trap = trap;
    return before;
}

void ir_bug(const ir_layer *l, const char *fmt, ...)
{
    ir_trap *trap = l->builder->trap;
    if (!trap)
        abort();
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(trap->text, sizeof trap->text, fmt, ap);
    va_end(ap);
    longjmp(trap->env, 1);
}

span ir_set_where(ir_layer *l, span where)
{
    span before = l->builder->where;
    l->builder->where = where;
    return before;
}

void ir_name(ir_layer *l, ir_val v, str name)
{
    ir_check_value(l, OP_N, v);
    if (!l->nodes[v.i].name)
        l->nodes[v.i].name = name;
}

/* ---- checks ---- */

static const char *op_text(ir_op op) { return op < OP_N ? ir_ops[op].text : "a use"; }

void ir_check_value(const ir_layer *l, ir_op op, ir_val v)
{
    if (v.i == 0 || v.i >= l->n_nodes)
        ir_bug(l, "%s: operand %%%u is no value of the layer", op_text(op), v.i);
    if (l->nodes[v.i].type == T_MAP)
        ir_bug(l, "%s: operand %%%u is a map", op_text(op), v.i);
    if (ir_is_sequence(l, v) && op != OP_RECALL && op != OP_N)
        ir_bug(l, "%s: operand %%%u is a sequence", op_text(op), v.i);
}

void ir_check_map(const ir_layer *l, ir_op op, ir_val along)
{
    if (along.i == 0 || along.i >= l->n_nodes || l->nodes[along.i].type != T_MAP)
        ir_bug(l, "%s: operand %%%u is no map", op_text(op), along.i);
}

void ir_check_arith(const ir_layer *l, ir_op op, ir_val v)
{
    ir_check_value(l, op, v);
    if (!ir_is_arith(l->nodes[v.i].type))
        ir_bug(l, "%s: operand %%%u is neither f32 nor f64", op_text(op), v.i);
}

void ir_check_scalar(const ir_layer *l, ir_op op, ir_val v)
{
    ir_check_value(l, op, v);
    if (l->nodes[v.i].rank || l->nodes[v.i].dom.i)
        ir_bug(l, "%s: operand %%%u is no scalar of the unit domain", op_text(op), v.i);
}

uint32_t ir_axis(const ir_layer *l, ir_op op, int axis, uint32_t rank)
{
    int at = axis < 0 ? axis + (int)rank : axis;
    if (at < 0 || at >= (int)rank)
        ir_bug(l, "%s: no axis %d in rank %u", op_text(op), axis, rank);
    return (uint32_t)at;
}

/* ---- values ---- */

ir_node ir_blank(ir_op op)
{
    ir_node n;
    memset(&n, 0, sizeof n);
    n.op = (uint8_t)op;
    return n;
}

ir_node ir_blank_like(const ir_layer *l, ir_op op, ir_val v)
{
    const ir_node *from = ir_at(l, v);
    ir_node n = ir_blank(op);
    n.type = from->type;
    n.none = from->none;
    n.dom = from->dom;
    n.rank = from->rank;
    memcpy(n.shape, from->shape, sizeof n.shape);
    n.range = from->type == T_INDEX ? from->range : (dim){0};
    return n;
}

void ir_set_shape(ir_node *n, const ir_shape *s)
{
    memset(n->shape, 0, sizeof n->shape);
    n->rank = (uint8_t)s->rank;
    for (uint32_t k = 0; k < s->rank; k++)
        n->shape[k] = s->at[k];
}

static uint64_t node_hash(const ir_node *n)
{
    uint64_t h = hash_combine(n->op | (uint64_t)n->type << 8 | (uint64_t)n->rank << 16 | (uint64_t)n->none << 24 | (uint64_t)n->apart << 25,
                              n->dom.i);
    for (uint32_t k = 0; k < n->nargs; k++)
        h = hash_combine(h, n->args[k].i);
    for (uint32_t k = 0; k < n->rank; k++)
        h = hash_combine(h, n->shape[k].i);
    return hash_combine(hash_combine(h, n->range.i | (uint64_t)n->slots.i << 32), hash_bytes(&n->u, sizeof n->u));
}

typedef struct { const ir_layer *l; const ir_node *n; } sought;

static bool node_same(const void *ud, uint32_t id)
{
    const sought *s = ud;
    const ir_node *a = s->n, *b = &s->l->nodes[id];
    return a->op == b->op && a->type == b->type && a->rank == b->rank && a->none == b->none && a->apart == b->apart && a->dom.i == b->dom.i &&
           a->nargs == b->nargs && a->range.i == b->range.i && a->slots.i == b->slots.i &&
           (a->nargs == 0 || memcmp(a->args, b->args, a->nargs * sizeof *a->args) == 0) &&
           memcmp(a->shape, b->shape, a->rank * sizeof *a->shape) == 0 && memcmp(&a->u, &b->u, sizeof a->u) == 0;
}

static ir_val node_push(ir_layer *l, ir_node *n)
{
    n->args = n->nargs ? arena_copy(l->mem, n->args, n->nargs * sizeof *n->args) : NULL;
    if (l->n_nodes == UINT32_MAX)
        arena_fail(l->mem, ARENA_LIMIT);
    IR_GROW(l, l->nodes, l->n_nodes, l->cap_nodes);
    l->nodes[l->n_nodes] = *n;
    return (ir_val){l->n_nodes++};
}

static void node_finish(const ir_layer *l, ir_node *n, const ir_val *args, uint32_t nargs)
{
    n->args = args;
    n->nargs = nargs;
    if (ir_ops[n->op].cls != CLS_LOOP) {
        ir_val pairs = l->domains[n->dom.i].map;        /* there are no members before the pairs are known */
        n->region = ir_is(pairs) ? ir_at(l, pairs)->region : 0;
        for (uint32_t k = 0; k < nargs; k++)
            n->region = ir_region_join(l, n->region, ir_at(l, args[k])->region);
    }
}

ir_val ir_intern(ir_layer *l, ir_node *n, const ir_val *args, uint32_t nargs)
{
    node_finish(l, n, args, nargs);
    uint64_t h = node_hash(n);
    uint32_t id = idset_find(&l->builder->values, h, node_same, &(sought){l, n});
    if (id != UINT32_MAX)
        return (ir_val){id};
    n->where = l->builder->where;
    ir_val v = node_push(l, n);
    idset_add(&l->builder->values, h, v.i);
    return v;
}

ir_val ir_append(ir_layer *l, ir_node *n, const ir_val *args, uint32_t nargs)
{
    node_finish(l, n, args, nargs);
    uint64_t h = node_hash(n);
    bool known = idset_find(&l->builder->values, h, node_same, &(sought){l, n}) != UINT32_MAX;
    ir_val v = node_push(l, n);
    if (!known)
        idset_add(&l->builder->values, h, v.i);
    return v;
}

/* ---- domains ---- */

ir_dom ir_domain_add(ir_layer *l, const ir_domain *d)
{
    IR_GROW(l, l->domains, l->n_domains, l->builder->cap_domains);
    l->domains[l->n_domains] = *d;
    return (ir_dom){l->n_domains++};
}

ir_dom ir_dom_edge(ir_layer *l)
{
    if (!l->edge.i)
        l->edge = ir_domain_add(l, &(ir_domain){.kind = DOM_EDGES, .name = "edge"});
    return l->edge;
}

ir_dom ir_dom_src(ir_layer *l)
{
    if (!l->src.i)
        l->src = ir_domain_add(l, &(ir_domain){.kind = DOM_NODES, .side = SIDE_SRC, .name = "src"});
    return l->src;
}

ir_dom ir_dom_dst(ir_layer *l)
{
    if (!l->dst.i)
        l->dst = ir_domain_add(l, &(ir_domain){.kind = DOM_NODES, .side = SIDE_DST, .name = "dst"});
    return l->dst;
}

ir_dom ir_dom_graph(ir_layer *l)
{
    if (!l->graph.i)
        l->graph = ir_domain_add(l, &(ir_domain){.kind = DOM_GRAPHS, .name = "graph"});
    return l->graph;
}

ir_dom ir_dom_index(ir_layer *l, dim range)
{
    if (!dim_ok(range))
        ir_bug(l, "an index domain without a range");
    for (uint32_t i = 1; i < l->n_domains; i++)
        if (l->domains[i].kind == DOM_INDEX && dim_equal(l->dims, l->domains[i].range, range))
            return (ir_dom){i};
    const char *name = arena_printf(l->mem, "index(%s)", dim_text(l->dims, range, l->mem));
    return ir_domain_add(l, &(ir_domain){.kind = DOM_INDEX, .name = name, .range = range});
}

ir_dom ir_dom_join(const ir_layer *l, ir_op op, ir_dom a, ir_dom b)
{
    if (a.i && b.i && a.i != b.i)
        ir_bug(l, "%s: operands in the domains %s and %s", op_text(op), l->domains[a.i].name, l->domains[b.i].name);
    return a.i ? a : b;
}

/* ---- what the layer shows outside ---- */

static uint32_t static_add(ir_layer *l, str name, bool real)
{
    IR_GROW(l, l->statics, l->n_statics, l->builder->cap_statics);
    l->statics[l->n_statics] = (ir_static){.name = name, .real = real};
    return l->n_statics++;
}

uint32_t ir_static_dim(ir_layer *l, str name) { return static_add(l, name, false); }
uint32_t ir_static_real(ir_layer *l, str name) { return static_add(l, name, true); }

uint32_t ir_output_add(ir_layer *l, str name, ir_val v, ir_dom rows, span where)
{
    ir_check_value(l, OP_N, v);
    ir_dom dom = ir_at(l, v)->dom;
    if (!dom.i && rows.i) {
        ir_shape s = ir_shape_of(l, v);
        v = ir_broadcast(l, v, rows, &s);
    } else if (dom.i != rows.i && !(l->domains[dom.i].side == SIDE_SRC && l->domains[rows.i].side == SIDE_DST)) {
        ir_bug(l, "output: a value of the domain %s as rows of %s", l->domains[dom.i].name, l->domains[rows.i].name);
    }
    IR_GROW(l, l->outputs, l->n_outputs, l->builder->cap_outputs);
    l->outputs[l->n_outputs] = (ir_output){.name = name, .value = v, .rows = rows, .where = where};
    return l->n_outputs++;
}

void ir_output_set(ir_layer *l, uint32_t output, ir_val v)
{
    if (!ir_kind_same(l, l->outputs[output].value, v))
        ir_bug(l, "output: %%%u is no replacement of %%%u", v.i, l->outputs[output].value.i);
    l->outputs[output].value = v;
}

void ir_need_add(ir_layer *l, ir_need_kind kind, str name, span where)
{
    for (uint32_t i = 0; i < l->n_needs; i++)
        if (l->needs[i].kind == kind && (l->needs[i].name == name || (name && l->needs[i].name && !strcmp(l->needs[i].name, name))))
            return;
    IR_GROW(l, l->needs, l->n_needs, l->builder->cap_needs);
    l->needs[l->n_needs++] = (ir_need){.kind = kind, .name = name, .where = where};
}

static ir_val input_add(ir_layer *l, str name, ir_node *n, bool param)
{
    n->u.input = l->n_inputs;
    n->name = name;
    ir_val v = ir_intern(l, n, NULL, 0);
    IR_GROW(l, l->inputs, l->n_inputs, l->builder->cap_inputs);
    l->inputs[l->n_inputs++] = (ir_input){.name = name, .value = v, .param = param, .where = l->builder->where};
    return v;
}

ir_val ir_input_add(ir_layer *l, str name, ir_dom dom, ir_type type, const ir_shape *shape, dim range, bool none, bool param)
{
    if (type == T_MAP || (type == T_INDEX) != dim_ok(range) || dom.i >= l->n_domains || (param && dom.i))
        ir_bug(l, "input: neither type, range nor domain fit");
    ir_node n = ir_blank(OP_INPUT);
    n.type = (uint8_t)type;
    n.dom = dom;
    n.range = range;
    n.none = none;
    ir_set_shape(&n, shape);
    return input_add(l, name, &n, param);
}

ir_val ir_input_sequence(ir_layer *l, str name, ir_dom dom, const ir_node *like)
{
    if (!dim_ok(like->slots) || dom.i >= l->n_domains)
        ir_bug(l, "input: no sequence, or no domain");
    ir_node n = ir_blank(OP_INPUT);
    n.type = like->type;
    n.dom = dom;
    n.range = like->range;
    n.none = like->none;
    n.slots = like->slots;
    n.apart = like->apart;
    n.rank = like->rank;
    memcpy(n.shape, like->shape, like->rank * sizeof *n.shape);
    return input_add(l, name, &n, false);
}

ir_input *ir_input_of(const ir_layer *l, ir_val v)
{
    if (ir_op_of(l, v) != OP_INPUT)
        ir_bug(l, "input: %%%u is none", v.i);
    return &l->inputs[ir_at(l, v)->u.input];
}

/* ---- leaves ---- */

static ir_node leaf(const ir_layer *l, ir_op op, ir_type type)
{
    if (!ir_is_arith(type))
        ir_bug(l, "%s: neither f32 nor f64", op_text(op));
    ir_node n = ir_blank(op);
    n.type = (uint8_t)type;
    return n;
}

ir_val ir_const(ir_layer *l, ir_type type, double value)
{
    if (type == T_INDEX || type == T_MAP)
        ir_bug(l, "const: an index needs a range");
    ir_node n = ir_blank(OP_CONST);
    n.type = (uint8_t)type;
    n.u.value = type == T_BOOL ? value != 0 : isnan(value) ? (double)NAN : ir_round(value, type) + 0.0;    /* -0 is 0 */
    return ir_intern(l, &n, NULL, 0);
}

ir_val ir_const_index(ir_layer *l, int64_t value, dim range)
{
    ir_node n = ir_blank(OP_CONST);
    n.type = T_INDEX;
    n.range = range;
    n.none = value < 0;
    n.u.value = value < 0 ? -1 : (double)value;
    return ir_intern(l, &n, NULL, 0);
}

ir_val ir_realarg(ir_layer *l, ir_type type, uint32_t static_)
{
    if (static_ >= l->n_statics || !l->statics[static_].real)
        ir_bug(l, "realarg: no real static %u", static_);
    if (l->statics[static_].fixed)
        return ir_const(l, type, l->statics[static_].value);
    ir_node n = leaf(l, OP_REALARG, type);
    n.u.realarg = static_;
    return ir_intern(l, &n, NULL, 0);
}

ir_val ir_dimval(ir_layer *l, ir_type type, dim d)
{
    int64_t value;
    if (!dim_ok(d))
        ir_bug(l, "dimval: no dim");
    if (dim_is_const(l->dims, d, &value))
        return ir_const(l, type, (double)value);
    ir_node n = leaf(l, OP_DIMVAL, type);
    n.range = d;
    return ir_intern(l, &n, NULL, 0);
}

ir_val ir_iota(ir_layer *l, ir_type type, dim count)
{
    ir_shape s = {1, {count}};
    if (dim_is(l->dims, count, 1))
        return ir_broadcast(l, ir_const(l, type, 0), ir_dom_unit(), &s);
    ir_node n = leaf(l, OP_IOTA, type);
    ir_set_shape(&n, &s);
    return ir_intern(l, &n, NULL, 0);
}

ir_val ir_in_degree(ir_layer *l, ir_type type)
{
    ir_node n = leaf(l, OP_INDEGREE, type);
    n.dom = ir_dom_src(l);
    return ir_intern(l, &n, NULL, 0);
}

ir_val ir_count(ir_layer *l, ir_type type, ir_val along)
{
    ir_check_map(l, OP_COUNT, along);
    ir_node n = leaf(l, OP_COUNT, type);
    n.dom = ir_cod(l, along);
    return ir_intern(l, &n, &along, 1);
}

ir_val ir_training(ir_layer *l)
{
    ir_node n = ir_blank(OP_TRAINING);
    n.type = T_BOOL;
    return ir_intern(l, &n, NULL, 0);
}

ir_val ir_like(ir_layer *l, ir_val v, double value) { return ir_const(l, ir_at(l, v)->type, value); }

ir_val ir_zeros_like(ir_layer *l, ir_val v)
{
    ir_shape s = ir_shape_of(l, v);
    return ir_broadcast(l, ir_like(l, v, 0), ir_at(l, v)->dom, &s);
}

/* ---- questions ---- */

ir_shape ir_shape_of(const ir_layer *l, ir_val v)
{
    const ir_node *n = ir_at(l, v);
    ir_shape s = {n->rank, {{0}}};
    memcpy(s.at, n->shape, n->rank * sizeof *s.at);
    return s;
}

bool ir_shape_same(const ir_layer *l, const ir_shape *a, const ir_shape *b)
{
    if (a->rank != b->rank)
        return false;
    for (uint32_t k = 0; k < a->rank; k++)
        if (!dim_equal(l->dims, a->at[k], b->at[k]))
            return false;
    return true;
}

bool ir_kind_same(const ir_layer *l, ir_val a, ir_val b)
{
    const ir_node *x = ir_at(l, a), *y = ir_at(l, b);
    ir_shape s = ir_shape_of(l, a), t = ir_shape_of(l, b);
    return x->type == y->type && x->dom.i == y->dom.i && ir_shape_same(l, &s, &t) &&
           (x->type != T_INDEX || dim_equal(l->dims, x->range, y->range)) && dim_ok(x->slots) == dim_ok(y->slots) &&
           (!dim_ok(x->slots) || dim_equal(l->dims, x->slots, y->slots));
}

bool ir_shape_broadcast(const ir_layer *l, const ir_shape *a, const ir_shape *b, ir_shape *out)
{
    const ir_shape *big = a->rank >= b->rank ? a : b, *small = big == a ? b : a;
    uint32_t lead = big->rank - small->rank;
    ir_shape s = *big;
    for (uint32_t k = 0; k < small->rank; k++) {
        dim x = big->at[lead + k], y = small->at[k];
        if (dim_equal(l->dims, x, y) || dim_is(l->dims, y, 1))
            continue;
        if (!dim_is(l->dims, x, 1))
            return false;
        s.at[lead + k] = y;
    }
    *out = s;
    return true;
}

dim ir_shape_count(const ir_layer *l, const ir_shape *s)
{
    dim n = dim_const(l->dims, 1);
    for (uint32_t k = 0; k < s->rank; k++)
        n = dim_mul(l->dims, n, s->at[k]);
    return n;
}

bool ir_is_const(const ir_layer *l, ir_val v, double *value)
{
    if (!v.i || ir_op_of(l, v) != OP_CONST)
        return false;
    if (value)
        *value = ir_at(l, v)->u.value;
    return true;
}

bool ir_is_uniform(const ir_layer *l, ir_val v, double *value)
{
    if (v.i && ir_op_of(l, v) == OP_BROADCAST)
        v = ir_arg(l, v, 0);
    return ir_is_const(l, v, value);
}

ir_dom ir_cod(const ir_layer *l, ir_val along)
{
    ir_check_map(l, OP_N, along);
    return ir_at(l, along)->u.cod;
}

/* ---- regions ---- */

uint32_t ir_region_parent(const ir_layer *l, uint32_t region) { return region ? l->loops[region - 1].parent : 0; }

bool ir_region_within(const ir_layer *l, uint32_t inner, uint32_t outer)
{
    while (inner > outer)                       /* a loop comes after the loop around it */
        inner = ir_region_parent(l, inner);
    return inner == outer;
}

uint32_t ir_region_join(const ir_layer *l, uint32_t a, uint32_t b)
{
    if (ir_region_within(l, a, b))
        return a;
    if (!ir_region_within(l, b, a))
        ir_bug(l, "operands of two loops, neither in the other");
    return b;
}
