/* See segment.h. A loop L recorded states that a loop M recalls: in the step of M stands a loop F, with L's step, that starts at
 * the last states that were kept and takes the steps from there to the states that M asks for. All states that those
 * depend on are kept, too.
 *
 * A loop with a state by edge or pair keeps all its states: sequences of those are not saved for a backward pass, so what
 * belongs together would lie in two places.
 *
 * A loop that recalls sequences itself (the derivative of a derivative) keeps all its states: running it again would need
 * the states of the other loop again. */
#include "compiler/passes/segment.h"

#include "compiler/ir/copy.h"
#include "compiler/support/vec.h"

typedef struct replay { uint32_t loop, around, again; bool back; uint32_t *state; } replay;      /* state: 1 + the state of `again` */

typedef struct segmenter {
    const ir_layer *from;
    arena *mem;
    uint8_t **recalled;         /* by loop and state: recalled somewhere; NULL: the loop keeps all its states */
    VEC(replay) made;
} segmenter;

static bool is_long(const ir_layer *l, const ir_loop *p, int64_t least)
{
    int64_t steps;
    for (uint32_t k = 0; k < p->nstates; k++) {
        const ir_dom_kind kind = l->domains[ir_at(l, p->states[k].state)->dom.i].kind;
        if (kind == DOM_EDGES || kind == DOM_PAIR)
            return false;
    }
    return !p->again && (!dim_is_const(l->dims, p->limit, &steps) || steps >= least);
}

/* Which states of which loops are recalled. */
static void find_recalled(segmenter *s, int64_t least)
{
    const ir_layer *l = s->from;
    const ir_live live = ir_find_live(l, s->mem);
    uint8_t *whole = NEW_N(s->mem, uint8_t, l->n_loops);
    for (uint32_t i = 0; i < live.n; i++) {
        const ir_node *n = ir_at(l, live.order[i]);
        if (n->op == OP_RECALL)
            whole[n->u.loop.loop] = 1;
    }
    for (uint32_t i = 0; i < live.n; i++) {
        const ir_node *n = ir_at(l, live.order[i]);
        const ir_node *record = n->op == OP_RECALL ? ir_at(l, n->args[0]) : n;
        if (record == n || record->op != OP_RECORD || record->apart)
            continue;
        const uint32_t loop = record->u.loop.loop;
        const ir_node *of = ir_at(l, record->args[0]);
        if (whole[loop] || of->op != OP_STATE || of->u.loop.loop != loop || !is_long(l, &l->loops[loop], least))
            continue;
        if (!s->recalled[loop])
            s->recalled[loop] = NEW_N(s->mem, uint8_t, l->loops[loop].nstates);
        s->recalled[loop][of->u.loop.state] = 1;
    }
}

typedef struct search { const ir_layer *l; uint32_t loop; uint8_t *seen; VEC(ir_val) todo; arena *mem; } search;

static void reach(search *s, ir_val v)
{
    if (v.i && !s->seen[v.i] && ir_region_within(s->l, ir_at(s->l, v)->region, s->l->loops[s->loop].region)) {
        s->seen[v.i] = 1;
        vec_push(s->mem, &s->todo, v);
    }
}

/* The states that the next values of some depend on, and those of these, and so on. */
static void close_states(search *s)
{
    const ir_layer *l = s->l;
    while (s->todo.n) {
        const ir_node *n = ir_at(l, vec_pop(&s->todo));
        for (uint32_t k = 0; k < n->nargs; k++)
            reach(s, n->args[k]);
        reach(s, l->domains[n->dom.i].map);
        if (ir_ops[n->op].cls != CLS_LOOP)
            continue;
        const ir_loop *p = &l->loops[n->u.loop.loop];
        if (n->u.loop.loop == s->loop) {
            if (n->op == OP_STATE)
                reach(s, p->states[n->u.loop.state].next);
            continue;
        }
        for (uint32_t k = 0; k < p->nstates; k++) {
            reach(s, p->states[k].init);
            reach(s, p->states[k].next);
        }
        reach(s, p->tol);
        reach(s, p->count);
    }
}

/* The states of the new loop that are to be there: by state. */
static uint8_t *states_of(segmenter *s, ir_copier *c, uint32_t old, uint32_t loop)
{
    const ir_loop *p = &c->to->loops[loop];
    search q = {.l = c->to, .loop = loop, .seen = NEW_N(s->mem, uint8_t, c->to->n_nodes), .mem = s->mem};
    uint8_t *there = NEW_N(s->mem, uint8_t, p->nstates);
    for (uint32_t k = 0, at = 0; k < s->from->loops[old].nstates; k++) {
        if (!c->live.state[old][k])
            continue;
        if (s->recalled[old][k])
            reach(&q, p->states[at].state);
        at++;
    }
    close_states(&q);
    for (uint32_t k = 0; k < p->nstates; k++)
        there[k] = q.seen[p->states[k].state.i];
    return there;
}

static void make_body(segmenter *s, ir_layer *l, const replay *r)
{
    const bool back = !ir_is(l->loops[r->loop].tol);
    const ir_val step = ir_loop_step(l, r->loop), step_back = back ? ir_loop_step_back(l, r->loop) : step;
    ir_cloner *c = ir_cloner_new(l, s->mem, r->loop, r->again);
    c->copy.memo[step_back.i] = ir_loop_step_back(l, r->again);
    c->copy.memo[step.i] = ir_loop_step(l, r->again);
    const ir_loop from = l->loops[r->loop];
    for (uint32_t k = 0; k < from.nstates; k++)
        if (r->state[k])
            c->copy.memo[from.states[k].state.i] = l->loops[r->again].states[r->state[k] - 1].state;
    for (uint32_t k = 0; k < from.nstates; k++)
        if (r->state[k])
            ir_loop_next(l, r->again, r->state[k] - 1, ir_clone(c, from.states[k].next));
}

static const replay *replay_of(segmenter *s, ir_copier *c, uint32_t old, uint32_t loop, uint32_t around, bool back)
{
    ir_layer *l = c->to;
    for (uint32_t i = 0; i < s->made.n; i++) {
        const replay *r = &s->made.at[i];
        if (r->loop == loop && r->around == around && r->back == back)
            return r;
    }
    const ir_loop from = l->loops[loop];
    const uint8_t *there = states_of(s, c, old, loop);
    replay r = {.loop = loop, .around = around, .back = back, .state = NEW_N(s->mem, uint32_t, from.nstates)};
    uint32_t n = 0;
    for (uint32_t k = 0; k < from.nstates; k++)
        if (there[k])
            r.state[k] = ++n;
    r.again = ir_loop_begin(l, l->loops[around].region, arena_printf(l->mem, "%s again", from.name ? from.name : "loop"), from.limit, n);
    ir_loop_again(l, r.again, back);
    for (uint32_t k = 0; k < from.nstates; k++)
        if (there[k])
            ir_loop_state(l, r.again, r.state[k] - 1, from.states[k].name, ir_recall(l, around, ir_record_apart(l, loop, k), back));
    make_body(s, l, &r);
    ir_loop_end(l, r.again);
    vec_push(s->mem, &s->made, r);
    return &vec_last(&s->made);
}

static ir_val rule(void *ud, ir_copier *c, ir_val old, const ir_val *args)
{
    segmenter *s = ud;
    const ir_node *n = ir_at(c->from, old);
    if (n->op != OP_RECALL)
        return (ir_val){0};
    const ir_node *record = ir_at(c->from, n->args[0]), *now = ir_at(c->to, args[0]);
    if (record->op != OP_RECORD || !s->recalled[record->u.loop.loop] || now->op != OP_RECORD)
        return (ir_val){0};
    const ir_node *of = ir_at(c->to, now->args[0]);
    if (of->op != OP_STATE || of->u.loop.loop != now->u.loop.loop)
        return (ir_val){0};
    const uint32_t state = of->u.loop.state, loop = now->u.loop.loop;
    const replay *r = replay_of(s, c, record->u.loop.loop, loop, ir_copy_loop(c, n->u.loop.loop), n->u.loop.state);
    return ir_loop_final(c->to, r->again, r->state[state] - 1);
}

ir_layer *segment_loops(const ir_layer *from, arena *mem, int64_t least)
{
    segmenter s = {.from = from, .mem = mem, .recalled = NEW_N(mem, uint8_t *, from->n_loops)};
    find_recalled(&s, least);
    return ir_compact(ir_rebuild(from, mem, rule, &s), mem);
}
