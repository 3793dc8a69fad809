/* Loops, and values made again on other operands. */
#include "compiler/ir/build_int.h"

#include <string.h>

static ir_loop *loop_at(const ir_layer *l, uint32_t loop)
{
    if (loop >= l->n_loops)
        ir_bug(l, "there is no loop %u", loop);
    return &l->loops[loop];
}

static ir_state *state_at(const ir_layer *l, uint32_t loop, uint32_t k)
{
    if (k >= loop_at(l, loop)->nstates)
        ir_bug(l, "loop %u has no state %u", loop, k);
    return &l->loops[loop].states[k];
}

uint32_t ir_loop_begin(ir_layer *l, uint32_t parent, str name, dim limit, uint32_t n_states)
{
    if (!dim_ok(limit) || !n_states || parent > l->n_loops)
        ir_bug(l, "a loop without limit, states or a place");
    IR_GROW(l, l->loops, l->n_loops, l->builder->cap_loops);
    l->loops[l->n_loops] = (ir_loop){.name = name, .region = l->n_loops + 1, .parent = parent, .limit = limit,
                                     .nstates = n_states, .states = NEW_N(l->mem, ir_state, n_states),
                                     .where = l->builder->where};
    return l->n_loops++;
}

ir_val ir_loop_state(ir_layer *l, uint32_t loop, uint32_t k, str name, ir_val init)
{
    ir_check_value(l, OP_STATE, init);
    ir_state *s = state_at(l, loop, k);
    if (ir_is(s->state) || !ir_region_within(l, l->loops[loop].parent, ir_at(l, init)->region))
        ir_bug(l, "state %u of loop %u: made twice, or from a value inside", k, loop);
    s->name = name;
    s->init = init;
    ir_node n = ir_blank_like(l, OP_STATE, init);
    n.none = n.type == T_INDEX;                 /* whatever the next values are */
    n.region = l->loops[loop].region;
    n.u.loop.loop = loop;
    n.u.loop.state = k;
    n.name = name;
    s->state = ir_intern(l, &n, NULL, 0);
    return s->state;
}

static ir_val step_value(ir_layer *l, uint32_t loop, bool back)
{
    const ir_loop *p = loop_at(l, loop);
    if (back && ir_is(p->tol))
        ir_bug(l, "loop %u: its last step is not known before it", loop);
    ir_node n = ir_blank(OP_STEP);
    n.type = T_INDEX;
    n.range = p->limit;
    n.region = p->region;
    n.u.loop.loop = loop;
    n.u.loop.state = back;
    return ir_intern(l, &n, NULL, 0);
}

ir_val ir_loop_step(ir_layer *l, uint32_t loop) { return step_value(l, loop, false); }
ir_val ir_loop_step_back(ir_layer *l, uint32_t loop) { return step_value(l, loop, true); }

void ir_loop_next(ir_layer *l, uint32_t loop, uint32_t k, ir_val next)
{
    ir_check_value(l, OP_FINAL, next);
    ir_state *s = state_at(l, loop, k);
    if (!ir_is(s->state))
        ir_bug(l, "state %u of loop %u has a next value, but no first", k, loop);
    ir_shape shape = ir_shape_of(l, s->state);
    next = ir_broadcast(l, next, ir_at(l, s->state)->dom, &shape);
    if (!ir_kind_same(l, next, s->state) || !ir_region_within(l, l->loops[loop].region, ir_at(l, next)->region))
        ir_bug(l, "state %u of loop %u: %%%u is no next value", k, loop, next.i);
    s->next = next;
}

void ir_loop_until(ir_layer *l, uint32_t loop, ir_val tol)
{
    ir_check_scalar(l, OP_FINAL, tol);
    ir_check_arith(l, OP_FINAL, tol);
    if (!ir_region_within(l, loop_at(l, loop)->parent, ir_at(l, tol)->region))
        ir_bug(l, "loop %u: its tolerance %%%u is known inside only", loop, tol.i);
    l->loops[loop].tol = tol;
}

void ir_loop_count(ir_layer *l, uint32_t loop, ir_val count)
{
    ir_check_scalar(l, OP_STEPS, count);
    if (ir_at(l, count)->type != T_F64 || !ir_region_within(l, loop_at(l, loop)->parent, ir_at(l, count)->region))
        ir_bug(l, "loop %u: %%%u is no number of steps known outside", loop, count.i);
    l->loops[loop].count = count;
}

/* What a value is made from: operands, and of what a loop leaves behind (finals, steps, records) all of the loop. */
static bool visit(uint8_t *seen, ir_val v, ir_val *stack, uint32_t *n)
{
    if (!v.i || seen[v.i])
        return false;
    seen[v.i] = 1;
    stack[(*n)++] = v;
    return true;
}

static void visit_loop(const ir_loop *p, uint8_t *seen, ir_val *stack, uint32_t *n)
{
    for (uint32_t k = 0; k < p->nstates; k++) {
        visit(seen, p->states[k].init, stack, n);
        visit(seen, p->states[k].next, stack, n);
    }
    visit(seen, p->tol, stack, n);
    visit(seen, p->count, stack, n);
}

/* The innermost region of what the loop reads from outside of itself. */
static uint32_t region_read(ir_layer *l, uint32_t loop)
{
    arena_mark m = arena_get_mark(l->mem);
    uint8_t *seen = NEW_N(l->mem, uint8_t, l->n_nodes);
    ir_val *stack = NEW_N(l->mem, ir_val, l->n_nodes);
    uint32_t n = 0, region = 0, own = l->loops[loop].region;
    visit_loop(&l->loops[loop], seen, stack, &n);
    while (n) {
        const ir_node *x = ir_at(l, stack[--n]);
        if (!ir_region_within(l, x->region, own)) {
            region = ir_region_join(l, region, x->region);
            continue;
        }
        for (uint32_t k = 0; k < x->nargs; k++)
            visit(seen, x->args[k], stack, &n);
        if (ir_leaves_loop((ir_op)x->op))
            visit_loop(&l->loops[x->u.loop.loop], seen, stack, &n);
    }
    arena_release(l->mem, m);
    return region;
}

void ir_loop_end(ir_layer *l, uint32_t loop)
{
    ir_loop *p = loop_at(l, loop);
    for (uint32_t k = 0; k < p->nstates; k++)
        if (!ir_is(p->states[k].next))
            ir_bug(l, "state %u of loop %u has no next value", k, loop);
    p->parent = region_read(l, loop);
}

ir_val ir_loop_final(ir_layer *l, uint32_t loop, uint32_t k)
{
    const ir_state *s = state_at(l, loop, k);
    ir_node n = ir_blank_like(l, OP_FINAL, s->state);
    n.region = l->loops[loop].parent;
    n.u.loop.loop = loop;
    n.u.loop.state = k;
    n.name = s->name;
    return ir_intern(l, &n, NULL, 0);
}

/* ---- sequences ---- */

ir_val ir_loop_steps(ir_layer *l, uint32_t loop)
{
    const ir_loop *p = loop_at(l, loop);
    if (ir_is(p->count))
        return p->count;
    if (!ir_is(p->tol))
        return ir_dimval(l, T_F64, p->limit);
    ir_node n = ir_blank(OP_STEPS);
    n.type = T_F64;
    n.region = p->parent;
    n.u.loop.loop = loop;
    return ir_intern(l, &n, NULL, 0);
}

ir_val ir_record(ir_layer *l, uint32_t loop, ir_val v)
{
    const ir_loop *p = loop_at(l, loop);
    ir_check_value(l, OP_RECORD, v);
    if (!ir_region_within(l, p->region, ir_at(l, v)->region))
        ir_bug(l, "record: %%%u is not known in the steps of loop %u", v.i, loop);
    ir_node n = ir_blank_like(l, OP_RECORD, v);
    n.slots = p->limit;
    n.region = p->parent;
    n.u.loop.loop = loop;
    return ir_intern(l, &n, &v, 1);
}

ir_val ir_record_apart(ir_layer *l, uint32_t loop, uint32_t k)
{
    const ir_val v = state_at(l, loop, k)->state;
    ir_check_value(l, OP_RECORD, v);
    ir_node n = ir_blank_like(l, OP_RECORD, v);
    n.slots = l->loops[loop].limit;
    n.apart = true;
    n.region = l->loops[loop].parent;
    n.u.loop.loop = loop;
    return ir_intern(l, &n, &v, 1);
}

void ir_loop_again(ir_layer *l, uint32_t loop, bool back)
{
    ir_loop *p = loop_at(l, loop);
    if (!p->parent || ir_is(p->tol) || ir_is(p->count) || (back && ir_is(l->loops[p->parent - 1].tol)))
        ir_bug(l, "loop %u has steps of its own, or stands in none", loop);
    p->again = back ? AGAIN_BACK : AGAIN_ON;
}

ir_val ir_recall(ir_layer *l, uint32_t loop, ir_val sequence, bool back)
{
    const ir_loop *p = loop_at(l, loop);
    ir_check_value(l, OP_RECALL, sequence);
    const ir_node *s = ir_at(l, sequence);
    if (!dim_ok(s->slots) || !ir_region_within(l, p->parent, s->region) || (back && ir_is(p->tol)))
        ir_bug(l, "recall: %%%u is no sequence known around loop %u", sequence.i, loop);
    if (s->op == OP_RECORD && !ir_region_within(l, ir_at(l, s->args[0])->region, l->loops[s->u.loop.loop].region))
        return s->args[0];                      /* the same in all steps */
    ir_node n = ir_blank_like(l, OP_RECALL, sequence);
    n.region = p->region;
    n.u.loop.loop = loop;
    n.u.loop.state = back;
    return ir_intern(l, &n, &sequence, 1);
}

ir_val ir_step_key(ir_layer *l, uint32_t region)
{
    enum { MAX_NEST = 64 };
    uint32_t chain[MAX_NEST], n = 0;
    for (uint32_t r = region; r; r = ir_region_parent(l, r)) {
        if (n == MAX_NEST)
            ir_bug(l, "more than %d loops inside each other", MAX_NEST);
        chain[n++] = r - 1;
    }
    ir_val key = ir_const(l, T_F64, 0);
    while (n--) {
        ir_val limit = ir_dimval(l, T_F64, l->loops[chain[n]].limit);
        key = ir_add(l, ir_mul(l, key, limit), ir_cast(l, ir_loop_step(l, chain[n]), T_F64));
    }
    return key;
}

/* ---- values made again ---- */

static ir_val again_members(ir_layer *l, ir_val a, ir_dom dom)
{
    ir_shape s = ir_shape_of(l, a);
    return ir_broadcast(l, a, dom, &s);
}

ir_val ir_remake(ir_layer *l, const ir_node *like, ir_dom dom, const ir_val *args, uint32_t n)
{
    ir_op op = (ir_op)like->op;
    ir_type type = (ir_type)like->type;
    ir_shape s = {like->rank, {{0}}};
    memcpy(s.at, like->shape, like->rank * sizeof *s.at);
    if (ir_ops[op].nargs >= 0 ? n != (uint32_t)ir_ops[op].nargs : n == 0)
        ir_bug(l, "%s: made again on %u operands", ir_ops[op].text, n);
    switch (op) {
    case OP_CONST:
        return type == T_INDEX ? ir_const_index(l, (int64_t)like->u.value, like->range) : ir_const(l, type, like->u.value);
    case OP_DIMVAL: return ir_dimval(l, type, like->range);
    case OP_IOTA: return ir_iota(l, type, like->shape[0]);
    case OP_INDEGREE: return ir_in_degree(l, type);
    case OP_COUNT: return ir_count(l, type, args[0]);
    case OP_TRAINING: return ir_training(l);
    case OP_ADD: case OP_SUB: case OP_MUL: case OP_MUL0: case OP_DIV: case OP_POW: case OP_ATAN2: case OP_MAX: case OP_MIN:
    case OP_NEG: case OP_ABS: case OP_SIGN: case OP_FLOOR: case OP_EXP: case OP_EXPM1: case OP_LOG: case OP_LOG1P: case OP_SQRT: case OP_SQRT0:
    case OP_RSQRT: case OP_SIN: case OP_COS: case OP_TANH: case OP_SIGMOID: case OP_SOFTPLUS: case OP_ERF: case OP_RELU:
    case OP_LT: case OP_LE: case OP_EQ: case OP_NE: case OP_AND: case OP_OR: case OP_NOT: case OP_WHERE: case OP_HAS:
    case OP_STOP:
        return ir_ew(l, op, args);
    case OP_CAST: return ir_cast(l, args[0], type);
    case OP_BUCKET: return ir_bucket(l, args[0], like->range);
    case OP_DROPOUT:                            /* each member has a mask of its own, even where the operand is one for all */
        return ir_dropout(l, again_members(l, args[0], dom), args[1], args[2], like->u.place);
    case OP_RSUM: case OP_RMAX: case OP_RMIN: return ir_reduce(l, op, args[0], like->u.axis);
    case OP_EINSUM: return ir_contract(l, args[0], args[1], &like->u.ein);
    case OP_RESHAPE: return ir_reshape(l, args[0], &s);
    case OP_TRANSPOSE: return ir_transpose(l, args[0], like->u.perm);
    case OP_BROADCAST: return ir_broadcast(l, args[0], dom, &s);
    case OP_SLICE: return ir_slice(l, args[0], like->u.slice.axis, like->u.slice.lo, like->shape[like->u.slice.axis]);
    case OP_CONCAT: return ir_concat(l, args, n, like->u.axis);
    case OP_LOOKUP: return ir_lookup(l, args[0], args[1]);
    case OP_ONEHOT_ADD: return ir_unlookup(l, args[0], args[1]);
    case OP_ROWS: return ir_rows(l, args[0]);
    case OP_UNROWS: return ir_unrows(l, again_members(l, args[0], ir_dom_index(l, like->shape[0])));
    case OP_SPREAD: return ir_spread(l, args[0], args[1]);
    case OP_UNSPREAD: return ir_unspread(l, args[0], args[1]);
    case OP_GATHER: return ir_gather(l, args[0], args[1]);
    case OP_AGG_SUM: case OP_AGG_MAX: case OP_AGG_MIN: case OP_AGG_PROD: case OP_AGG_VAR: case OP_AGG_ANY: case OP_AGG_ALL:
    case OP_AGG_EXPSUM: case OP_AGG_ARGMAX: case OP_AGG_ARGMIN:
        return ir_agg(l, op, args[0], args[1]);
    case OP_AGG_SOFTSUM: return ir_softsum(l, args[0], args[1], args[2]);
    case OP_POSITION: return ir_position(l, args[0]);
    case OP_SOFTMAX: return ir_softmax(l, args[0], args[1]);
    case OP_MAP_SRC: return ir_map_src(l);
    case OP_MAP_DST: return ir_map_dst(l);
    case OP_MAP_SRC_DST: return ir_map_src_dst(l);
    case OP_MAP_DST_SRC: return ir_map_dst_src(l);
    case OP_MAP_PREFIX: return ir_map_prefix(l);
    case OP_MAP_SUFFIX: return ir_map_square(l);
    case OP_MAP_GRAPH: return ir_map_graph(l, dom);
    case OP_MAP_UNIT: return ir_map_unit(l, dom);
    case OP_MAP_INDEX: return ir_map_index(l, again_members(l, args[0], dom));
    case OP_MAP_PAIR: return ir_map_pair(l, args[0], args[1]);
    case OP_MAP_FIRST: return ir_map_first(l, args[0]);
    case OP_MAP_SECOND: return ir_map_second(l, args[0]);
    case OP_INPUT: case OP_REALARG: case OP_STATE: case OP_STEP: case OP_FINAL: case OP_STEPS: case OP_RECORD: case OP_RECALL:
    case OP_N:
        break;
    }
    ir_bug(l, "%s cannot be made again", op < OP_N ? ir_ops[op].text : "?");
}
