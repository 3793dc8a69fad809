/* Liveness, order and rebuilding. Loops are the only places where a value is read before it is made (the
 * next value of a state): so a state depends on its init alone, and what a loop leaves behind (finals, steps, records)
 * on everything of the loop. */
#include "compiler/ir/copy.h"
#include "compiler/support/vec.h"

#include <string.h>

typedef struct { ir_val v; uint32_t next; } frame;
typedef VEC(ir_val) values;

/* ---- liveness ---- */

static void want(ir_live *live, values *work, arena *mem, ir_val v)
{
    if (v.i && !live->value[v.i]) {
        live->value[v.i] = 1;
        vec_push(mem, work, v);
    }
}

static void want_state(const ir_layer *l, ir_live *live, values *work, arena *mem, uint32_t loop, uint32_t k)
{
    const ir_loop *p = &l->loops[loop];
    if (live->state[loop][k])
        return;
    live->state[loop][k] = 1;
    want(live, work, mem, p->states[k].init);
    want(live, work, mem, p->states[k].next);
    if (live->loop[loop])
        return;
    live->loop[loop] = 1;
    want(live, work, mem, p->tol);
    want(live, work, mem, p->count);
    for (uint32_t j = 0; ir_is(p->tol) && j < p->nstates; j++)      /* all states decide when it stops */
        want_state(l, live, work, mem, loop, j);
}

/* A loop that runs has a state, even if only its steps are recorded. */
static void want_loop(const ir_layer *l, ir_live *live, values *work, arena *mem, uint32_t loop)
{
    if (!live->loop[loop])
        want_state(l, live, work, mem, loop, 0);
}

static void mark_live(const ir_layer *l, ir_live *live, arena *mem)
{
    values work = {0};
    for (uint32_t i = 0; i < l->n_outputs; i++) {
        want(live, &work, mem, l->outputs[i].value);
        want(live, &work, mem, l->domains[l->outputs[i].rows.i].map);
    }
    while (work.n) {
        const ir_node *n = ir_at(l, vec_pop(&work));
        for (uint32_t k = 0; k < n->nargs; k++)
            want(live, &work, mem, n->args[k]);
        want(live, &work, mem, l->domains[n->dom.i].map);
        if (n->op == OP_STATE || n->op == OP_FINAL)
            want_state(l, live, &work, mem, n->u.loop.loop, n->u.loop.state);
        else if (ir_ops[n->op].cls == CLS_LOOP)
            want_loop(l, live, &work, mem, n->u.loop.loop);
    }
}

/* ---- order ---- */

/* The k-th value that v must come after; none past the last. Dead states have no say. `records` is by loop: what one
 * leaves behind is there once the loop has run, and then all that is recorded in it must have been at hand. */
static bool needed(const ir_layer *l, const ir_live *live, const values *records, ir_val v, uint32_t k, ir_val *out)
{
    const ir_node *n = ir_at(l, v);
    *out = (ir_val){0};
    if (k < n->nargs) {
        *out = n->args[k];
        return true;
    }
    k -= n->nargs;
    if (k == 0) {
        *out = l->domains[n->dom.i].map;
        return true;
    }
    k--;
    const ir_loop *p = ir_ops[n->op].cls == CLS_LOOP ? &l->loops[n->u.loop.loop] : NULL;
    if (n->op == OP_STATE && k == 0) {
        *out = p->states[n->u.loop.state].init;
        return true;
    }
    if ((n->op == OP_STEP || n->op == OP_RECALL) && k == 0) {
        *out = p->count;
        return true;
    }
    if (!ir_leaves_loop((ir_op)n->op))
        return false;
    const values *recorded = &records[n->u.loop.loop];
    if (k > 2 * p->nstates + 1) {
        k -= 2 * p->nstates + 2;
        if (k < recorded->n)
            *out = ir_at(l, recorded->at[k])->args[0];
        return k < recorded->n;
    }
    if (k >= 2 * p->nstates)
        *out = k == 2 * p->nstates ? p->tol : p->count;
    else if (live->state[n->u.loop.loop][k / 2])
        *out = k % 2 ? p->states[k / 2].next : p->states[k / 2].init;
    return true;
}

static void put_in_order(const ir_layer *l, ir_live *live, arena *mem)
{
    uint8_t *seen = NEW_N(mem, uint8_t, l->n_nodes);
    values *records = NEW_N(mem, values, l->n_loops);
    VEC(frame) stack = {0};
    for (uint32_t i = 1; i < l->n_nodes; i++)
        if (live->value[i] && l->nodes[i].op == OP_RECORD)
            vec_push(mem, &records[l->nodes[i].u.loop.loop], (ir_val){i});
    for (uint32_t i = 0; i < l->n_outputs; i++) {
        if (seen[l->outputs[i].value.i])
            continue;
        seen[l->outputs[i].value.i] = 1;
        vec_push(mem, &stack, (frame){l->outputs[i].value, 0});
        while (stack.n) {
            frame *top = &vec_last(&stack);
            ir_val next;
            if (!needed(l, live, records, top->v, top->next++, &next)) {
                live->order[live->n++] = vec_pop(&stack).v;
            } else if (next.i && !seen[next.i]) {
                seen[next.i] = 1;
                vec_push(mem, &stack, (frame){next, 0});
            }
        }
    }
}

ir_live ir_find_live(const ir_layer *l, arena *mem)
{
    ir_live live = {.order = NEW_N(mem, ir_val, l->n_nodes), .value = NEW_N(mem, uint8_t, l->n_nodes),
                    .state = NEW_N(mem, uint8_t *, l->n_loops), .loop = NEW_N(mem, uint8_t, l->n_loops)};
    for (uint32_t i = 0; i < l->n_loops; i++)
        live.state[i] = NEW_N(mem, uint8_t, l->loops[i].nstates);
    mark_live(l, &live, mem);
    put_in_order(l, &live, mem);
    return live;
}

uint32_t *ir_uses(const ir_layer *l, const ir_live *live, arena *mem)
{
    uint32_t *uses = NEW_N(mem, uint32_t, l->n_nodes);
    for (uint32_t i = 0; i < live->n; i++) {
        const ir_node *n = ir_at(l, live->order[i]);
        for (uint32_t k = 0; k < n->nargs; k++)
            uses[n->args[k].i]++;
    }
    for (uint32_t i = 0; i < l->n_loops; i++) {
        for (uint32_t k = 0; k < l->loops[i].nstates; k++) {
            if (!live->state[i][k])
                continue;
            uses[l->loops[i].states[k].init.i]++;
            uses[l->loops[i].states[k].next.i]++;
        }
        if (live->loop[i]) {
            uses[l->loops[i].tol.i]++;
            uses[l->loops[i].count.i]++;
        }
    }
    for (uint32_t i = 0; i < l->n_outputs; i++)
        uses[l->outputs[i].value.i]++;
    uses[0] = 0;
    return uses;
}

/* ---- rebuilding ---- */

ir_dom ir_copy_dom(ir_copier *c, ir_dom old)
{
    const ir_domain *d = &c->from->domains[old.i];
    switch (d->kind) {
    case DOM_UNIT: break;
    case DOM_NODES: return d->side == SIDE_SRC ? ir_dom_src(c->to) : ir_dom_dst(c->to);
    case DOM_EDGES: return ir_dom_edge(c->to);
    case DOM_GRAPHS: return ir_dom_graph(c->to);
    case DOM_INDEX: return ir_dom_index(c->to, d->range);
    case DOM_PAIR: return ir_cod(c->to, c->memo[d->map.i]);
    }
    return ir_dom_unit();
}

static ir_val fitted(ir_copier *c, ir_val old)
{
    const ir_node *n = ir_at(c->from, old);
    ir_shape s = ir_shape_of(c->from, old);
    return ir_broadcast(c->to, c->memo[old.i], ir_copy_dom(c, n->dom), &s);
}

/* The loop in the new layer, and the loops around it first. Nesting is as deep as the source's. */
uint32_t ir_copy_loop(ir_copier *c, uint32_t loop)
{
    const ir_layer *l = c->from;
    for (;;) {
        uint32_t at = loop;                     /* the outermost that is not begun yet */
        while (l->loops[at].parent && !c->loops[l->loops[at].parent - 1])
            at = l->loops[at].parent - 1;
        if (c->loops[at])
            return c->loops[at] - 1;
        const ir_loop *p = &l->loops[at];
        uint32_t n = 0;
        for (uint32_t k = 0; k < p->nstates; k++)
            n += c->live.state[at][k];
        span before = ir_set_where(c->to, p->where);
        c->loops[at] = 1 + ir_loop_begin(c->to, p->parent ? c->loops[p->parent - 1] : 0, p->name, p->limit, n ? n : 1);
        ir_set_where(c->to, before);
        if (p->again)
            ir_loop_again(c->to, c->loops[at] - 1, p->again == AGAIN_BACK);
    }
}

static uint32_t copy_state_index(const ir_copier *c, uint32_t loop, uint32_t k)
{
    uint32_t at = 0;
    for (uint32_t j = 0; j < k; j++)
        at += c->live.state[loop][j];
    return at;
}

static ir_val copy_state(ir_copier *c, uint32_t loop, uint32_t k)
{
    const ir_state *s = &c->from->loops[loop].states[k];
    uint32_t to = ir_copy_loop(c, loop), at = copy_state_index(c, loop, k);
    ir_val made = c->to->loops[to].states[at].state;
    return ir_is(made) ? made : ir_loop_state(c->to, to, at, s->name, fitted(c, s->init));
}

/* The loop in the new layer with all that is in it. */
static uint32_t copy_ended(ir_copier *c, uint32_t loop)
{
    const ir_loop *p = &c->from->loops[loop];
    uint32_t to = ir_copy_loop(c, loop);
    if (!c->ended[loop]) {
        c->ended[loop] = 1;
        for (uint32_t j = 0; j < p->nstates; j++) {
            if (!c->live.state[loop][j])
                continue;
            copy_state(c, loop, j);
            ir_loop_next(c->to, to, copy_state_index(c, loop, j), c->memo[p->states[j].next.i]);
        }
        if (ir_is(p->tol))
            ir_loop_until(c->to, to, c->memo[p->tol.i]);
        if (ir_is(p->count))
            ir_loop_count(c->to, to, c->memo[p->count.i]);
        ir_loop_end(c->to, to);
    }
    return to;
}

static ir_val copy_left(ir_copier *c, const ir_node *n, const ir_val *args)
{
    uint32_t loop = n->u.loop.loop, to = copy_ended(c, loop);
    if (n->op == OP_FINAL)
        return ir_loop_final(c->to, to, copy_state_index(c, loop, n->u.loop.state));
    if (n->apart)
        return ir_record_apart(c->to, to, copy_state_index(c, loop, ir_at(c->from, n->args[0])->u.loop.state));
    return n->op == OP_STEPS ? ir_loop_steps(c->to, to) : ir_record(c->to, to, args[0]);
}

static ir_val copy_value(ir_copier *c, ir_val old, const ir_val *args)
{
    const ir_node *n = ir_at(c->from, old);
    if (n->op == OP_STATE)
        return copy_state(c, n->u.loop.loop, n->u.loop.state);
    if (n->op == OP_STEP)
        return (n->u.loop.state ? ir_loop_step_back : ir_loop_step)(c->to, ir_copy_loop(c, n->u.loop.loop));
    if (c->rewrite) {
        ir_val v = c->rewrite(c->ud, c, old, args);
        if (ir_is(v))
            return v;
    }
    if (ir_leaves_loop((ir_op)n->op))
        return copy_left(c, n, args);
    if (n->op == OP_RECALL)
        return ir_recall(c->to, ir_copy_loop(c, n->u.loop.loop), args[0], n->u.loop.state);
    if (n->op == OP_INPUT)
        return c->to->inputs[n->u.input].value;
    if (n->op == OP_REALARG)
        return ir_realarg(c->to, (ir_type)n->type, n->u.realarg);
    return ir_remake(c->to, n, ir_copy_dom(c, n->dom), args, n->nargs);
}

static void copy_interface(ir_copier *c)
{
    const ir_layer *l = c->from;
    for (uint32_t i = 0; i < l->n_statics; i++) {
        uint32_t at = l->statics[i].real ? ir_static_real(c->to, l->statics[i].name) : ir_static_dim(c->to, l->statics[i].name);
        c->to->statics[at] = l->statics[i];
    }
    for (uint32_t i = 0; i < l->n_needs; i++)
        ir_need_add(c->to, l->needs[i].kind, l->needs[i].name, l->needs[i].where);
    for (uint32_t i = 0; i < l->n_inputs; i++) {
        const ir_input *in = &l->inputs[i];
        const ir_node *n = ir_at(l, in->value);
        ir_shape s = ir_shape_of(l, in->value);
        ir_set_where(c->to, in->where);
        ir_dom dom = ir_copy_dom(c, n->dom);
        ir_val v = dim_ok(n->slots) ? ir_input_sequence(c->to, in->name, dom, n)
                                    : ir_input_add(c->to, in->name, dom, (ir_type)n->type, &s, n->range, n->none, in->param);
        c->to->inputs[i].sided = in->sided;
        c->to->inputs[i].of_call = in->of_call;
        c->to->inputs[i].init = in->init;
        c->to->inputs[i].init_a = in->init_a;
        c->to->inputs[i].init_b = in->init_b;
        c->memo[in->value.i] = v;
    }
}

ir_layer *ir_rebuild(const ir_layer *from, arena *mem, ir_rewrite *rewrite, void *ud)
{
    ir_copier c = {.from = from, .to = ir_layer_new(mem, from->dims, from->name), .rewrite = rewrite, .ud = ud};
    c.live = ir_find_live(from, mem);
    c.memo = NEW_N(mem, ir_val, from->n_nodes);
    c.loops = NEW_N(mem, uint32_t, from->n_loops);
    c.ended = NEW_N(mem, uint8_t, from->n_loops);
    ir_set_trap(c.to, from->builder->trap);
    copy_interface(&c);
    VEC(ir_val) args = {0};
    for (uint32_t i = 0; i < c.live.n; i++) {
        ir_val old = c.live.order[i];
        const ir_node *n = ir_at(from, old);
        vec_clear(&args);
        for (uint32_t k = 0; k < n->nargs; k++)
            vec_push(mem, &args, c.memo[n->args[k].i]);
        ir_set_where(c.to, n->where);
        ir_val v = copy_value(&c, old, args.at);
        if (n->name)
            ir_name(c.to, v, n->name);
        c.memo[old.i] = v;
    }
    for (uint32_t i = 0; i < from->n_outputs; i++) {
        const ir_output *o = &from->outputs[i];
        uint32_t at = ir_output_add(c.to, o->name, c.memo[o->value.i], ir_copy_dom(&c, o->rows), o->where);
        c.to->outputs[at].sided = o->sided;
    }
    return c.to;
}

ir_layer *ir_compact(const ir_layer *from, arena *mem)
{
    return ir_rebuild(from, mem, NULL, NULL);
}

/* ---- cloning ---- */

ir_cloner *ir_cloner_new(ir_layer *l, arena *work, uint32_t loop, uint32_t into)
{
    ir_cloner *c = NEW(work, ir_cloner);
    *c = (ir_cloner){.copy = {.from = l, .to = l}, .region = l->loops[loop].region, .n = l->n_nodes, .work = work};
    c->copy.memo = NEW_N(work, ir_val, l->n_nodes);
    c->copy.loops = NEW_N(work, uint32_t, l->n_loops);
    c->copy.ended = NEW_N(work, uint8_t, l->n_loops);
    c->copy.live.state = NEW_N(work, uint8_t *, l->n_loops);
    c->copy.loops[loop] = 1 + into;
    for (uint32_t i = 0; i < l->n_loops; i++) {
        c->copy.live.state[i] = NEW_N(work, uint8_t, l->loops[i].nstates);
        memset(c->copy.live.state[i], 1, l->loops[i].nstates);
    }
    for (uint32_t v = 1; v < c->n; v++)
        if (!ir_region_within(l, l->nodes[v].region, c->region))
            c->copy.memo[v] = (ir_val){v};
    return c;
}

static void clone_want(const ir_cloner *c, uint8_t *seen, values *todo, ir_val v)
{
    if (v.i && !seen[v.i] && !ir_is(c->copy.memo[v.i])) {
        seen[v.i] = 1;
        vec_push(c->work, todo, v);
    }
}

/* Operands stand before what is made of them, the whole of a loop before what it leaves behind: so rising indices will do. */
ir_val ir_clone(ir_cloner *c, ir_val root)
{
    ir_copier *k = &c->copy;
    ir_layer *l = k->to;
    uint8_t *seen = NEW_N(c->work, uint8_t, c->n);
    values todo = {0}, args = {0};
    uint32_t first = c->n, last = 0;
    clone_want(c, seen, &todo, root);
    while (todo.n) {
        const ir_val v = vec_pop(&todo);
        const ir_node *n = ir_at(l, v);
        first = v.i < first ? v.i : first;
        last = v.i > last ? v.i : last;
        for (uint32_t i = 0; i < n->nargs; i++)
            clone_want(c, seen, &todo, n->args[i]);
        clone_want(c, seen, &todo, l->domains[n->dom.i].map);
        if (ir_ops[n->op].cls != CLS_LOOP)
            continue;
        const ir_loop *p = &l->loops[n->u.loop.loop];
        for (uint32_t i = 0; i < p->nstates && p->region != c->region; i++) {
            clone_want(c, seen, &todo, p->states[i].init);
            clone_want(c, seen, &todo, p->states[i].state);
            if (ir_leaves_loop((ir_op)n->op))
                clone_want(c, seen, &todo, p->states[i].next);
        }
        clone_want(c, seen, &todo, p->tol);
        clone_want(c, seen, &todo, p->count);
    }
    const span before = l->builder->where;
    for (uint32_t i = first; i <= last; i++) {
        if (!seen[i])
            continue;
        const ir_node *n = ir_at(l, (ir_val){i});
        vec_clear(&args);
        for (uint32_t j = 0; j < n->nargs; j++)
            vec_push(c->work, &args, k->memo[n->args[j].i]);
        ir_set_where(l, n->where);
        const ir_val made = copy_value(k, (ir_val){i}, args.at);
        if (n->name)
            ir_name(l, made, n->name);
        k->memo[i] = made;
    }
    ir_set_where(l, before);
    return k->memo[root.i];
}
