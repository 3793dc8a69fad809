/* The adjoint of a loop: another loop, of as many steps, that goes back through them (docs/derivatives.md, "Loops").
 *
 * Its states are the cotangents of the loop's states and the sums of what flows to values outside. A step of it makes the
 * values of the loop's step once more, from recalled states, and takes their derivative; inner loops are part of that, so
 * they are run again, and have adjoints of their own, in the step. What the derivative does not read is not recorded: it
 * is made here and dropped with all else that nothing reads.
 *
 * An entry of a sequence that the loop recalled passes its cotangent on to the sequence: recorded by the new loop, it is a
 * sequence again, whose entries come in the new loop's order. */
#include "compiler/derive/derive_int.h"

#include "compiler/ir/copy.h"
#include "compiler/support/vec.h"

typedef VEC(ir_val) vals;

typedef struct backward {
    derivation *d;
    ir_layer *l;
    uint32_t loop, into;            /* the loop, and its adjoint */
    uint8_t *seen, *varies;         /* by value: a cotangent reaches it; it depends on something wanted */
    vals todo;
    vals outside;                   /* where what flows out of the step is summed up */
    vals recalls;                   /* entries of sequences, read by the loop's own step */
    vals records;                   /* of values of the loop, with contributions */
} backward;

static bool is_narrow(const ir_node *n) { return n->rank == 0; }

/* A value outside of the loop that is a function of others, made again in each step sooner than summed up by itself:
 * repetitions and views always, cheap arithmetic and products by edge on rows of features, whose sums would be memory by
 * edge (the matrices that an edge network makes, with their d x d numbers an edge). */
static bool passes(const backward *b, ir_val v)
{
    const ir_layer *l = b->l;
    const ir_node *n = ir_at(l, v);
    if (!ir_region_within(l, l->loops[b->loop].parent, n->region) || n->op == OP_RECORD)
        return true;                /* known in another loop only, whose sequence is recalled inside */
    const ir_dom_kind kind = l->domains[n->dom.i].kind;
    const bool wide = (kind == DOM_EDGES || kind == DOM_PAIR) && !is_narrow(n);
    switch (ir_ops[n->op].cls) {
    case CLS_EW:
        return n->op == OP_CAST ? ir_is_arith(ir_at(l, n->args[0])->type) : wide && ir_ops[n->op].cost <= 5 && n->op != OP_STOP;
    case CLS_CONTRACT: return wide;
    case CLS_SHAPE: return n->op == OP_RESHAPE || n->op == OP_TRANSPOSE || n->op == OP_BROADCAST || n->op == OP_SLICE;
    case CLS_GATHER: return true;
    case CLS_LEAF: case CLS_REDUCE: case CLS_AGG: case CLS_GROUP: case CLS_MAP: case CLS_LOOP: return false;
    }
    return false;
}

static void reach(backward *b, ir_val v)
{
    if (v.i && !b->seen[v.i] && ir_is_float(ir_at(b->l, v)->type)) {
        b->seen[v.i] = 1;
        vec_push(b->d->work, &b->todo, v);
    }
}

static void reach_loop(backward *b, uint32_t loop)
{
    const ir_loop *p = &b->l->loops[loop];
    for (uint32_t k = 0; k < p->nstates; k++) {
        reach(b, p->states[k].init);
        reach(b, p->states[k].next);
    }
}

/* All that a cotangent of what was reached flows to, from step to step, as far as it matters. */
static void spread_out(backward *b)
{
    const ir_layer *l = b->l;
    const uint32_t own = l->loops[b->loop].region;
    while (b->todo.n) {
        const ir_val v = vec_pop(&b->todo);
        const ir_node *n = ir_at(l, v);
        const bool inside = ir_region_within(l, n->region, own);
        if (!inside && !derive_wants(b->d, v) && ir_region_within(l, l->loops[b->loop].parent, n->region))
            continue;
        if (!inside && !passes(b, v)) {
            vec_push(b->d->work, &b->outside, v);
            continue;
        }
        if (n->op == OP_STATE && n->u.loop.loop == b->loop) {
            reach(b, l->loops[b->loop].states[n->u.loop.state].next);
        } else if (n->op == OP_STATE) {
            reach(b, l->loops[n->u.loop.loop].states[n->u.loop.state].init);
            reach(b, l->loops[n->u.loop.loop].states[n->u.loop.state].next);
        } else if (n->op == OP_FINAL || n->op == OP_RECORD) {
            reach_loop(b, n->u.loop.loop);
        } else if (n->op == OP_RECALL && n->u.loop.loop == b->loop) {
            if (derive_wants(b->d, n->args[0]))
                vec_push(b->d->work, &b->recalls, v);
            continue;
        }
        if (ir_ops[n->op].cls == CLS_LOOP || derive_rules[n->op])
            for (uint32_t k = 0; k < n->nargs; k++)
                reach(b, n->args[k]);
    }
}

static bool varies(const backward *b, ir_val v)
{
    const ir_layer *l = b->l;
    const ir_node *n = ir_at(l, v);
    const bool left = n->op == OP_FINAL || n->op == OP_RECORD;
    if (n->op == OP_STATE || left) {
        const ir_loop *p = &l->loops[n->u.loop.loop];
        for (uint32_t k = 0; k < p->nstates; k++) {
            if (n->op == OP_STATE && k != n->u.loop.state)
                continue;
            const ir_val init = p->states[k].init;
            if (b->varies[init.i] || b->varies[p->states[k].next.i] || (n->u.loop.loop == b->loop && derive_wants(b->d, init)))
                return true;
        }
    }
    for (uint32_t k = 0; k < n->nargs; k++)
        if (b->varies[n->args[k].i])
            return true;
    return false;
}

/* What is reached and depends on something that is wanted, in any number of steps. */
static void find_varying(backward *b)
{
    for (uint32_t k = 0; k < b->outside.n; k++)
        b->varies[b->outside.at[k].i] = 1;
    for (uint32_t k = 0; k < b->recalls.n; k++)
        b->varies[b->recalls.at[k].i] = 1;
    for (bool more = true; more;) {
        more = false;
        for (uint32_t i = 1; i < b->d->n; i++)
            if (b->seen[i] && !b->varies[i] && varies(b, (ir_val){i})) {
                b->varies[i] = 1;
                more = true;
            }
    }
}

/* The region in which the cotangents are known. */
static uint32_t region_of(const backward *b, const ir_val *dfinal)
{
    const ir_loop *p = &b->l->loops[b->loop];
    uint32_t region = p->parent;
    for (uint32_t k = 0; k < p->nstates; k++)
        if (ir_is(dfinal[k]))
            region = ir_region_join(b->l, region, ir_at(b->l, dfinal[k])->region);
    for (uint32_t k = 0; k < b->records.n; k++)
        for (const sequence_part *q = b->d->sequences[b->records.at[k].i]; q; q = q->next)
            region = ir_region_join(b->l, region, ir_at(b->l, q->g)->region);
    return region;
}

/* What stands for the states, steps and recalled entries of the loop in the step of its adjoint. */
static ir_cloner *step_again(backward *b)
{
    ir_layer *l = b->l;
    const ir_loop *p = &l->loops[b->loop];
    const uint32_t n_states = p->nstates;
    const bool back = !ir_is(p->tol);
    const ir_val step = ir_loop_step(l, b->loop), step_back = back ? ir_loop_step_back(l, b->loop) : step;
    const uint32_t n = l->n_nodes;
    ir_cloner *c = ir_cloner_new(l, b->d->work, b->loop, b->into);
    for (uint32_t k = 0; k < n_states; k++) {
        const ir_val state = l->loops[b->loop].states[k].state;
        c->copy.memo[state.i] = ir_recall(l, b->into, ir_record(l, b->loop, state), true);
    }
    for (uint32_t i = 1; i < n; i++) {
        const ir_node *x = ir_at(l, (ir_val){i});
        if (x->op == OP_RECALL && x->u.loop.loop == b->loop)
            c->copy.memo[i] = ir_recall(l, b->into, x->args[0], !x->u.loop.state);
    }
    c->copy.memo[step_back.i] = ir_loop_step(l, b->into);
    c->copy.memo[step.i] = ir_loop_step_back(l, b->into);
    return c;
}

static bool is_zero(const ir_layer *l, ir_val v)
{
    double x;
    return ir_is_uniform(l, v, &x) && x == 0;
}

static void add_sequence(derivation *d, ir_val sequence, ir_val g, bool turned)
{
    sequence_part *q = NEW(d->work, sequence_part);
    *q = (sequence_part){.next = d->sequences[sequence.i], .g = g, .turned = turned};
    d->sequences[sequence.i] = q;
}

static void build(backward *b, const ir_val *dfinal, const vals *states)
{
    derivation *d = b->d;
    ir_layer *l = b->l;
    const ir_loop loop = l->loops[b->loop];
    const uint32_t ns = states->n, no = b->outside.n, nr = b->recalls.n;
    const char *name = arena_printf(l->mem, "d.%s", loop.name ? loop.name : "loop");
    const span before = ir_set_where(l, loop.where);
    b->into = ir_loop_begin(l, region_of(b, dfinal), name, loop.limit, ns + no ? ns + no : 1);
    if (ir_is(loop.tol) || ir_is(loop.count))
        ir_loop_count(l, b->into, ir_loop_steps(l, b->loop));
    ir_val *wanted = NEW_N(d->work, ir_val, ns + no + nr), *grads = NEW_N(d->work, ir_val, ns + no + nr);
    ir_val *sum = NEW_N(d->work, ir_val, ns + no);
    VEC(derive_seed) seeds = {0};
    ir_cloner *c;
    for (uint32_t k = 0; k < ns + no; k++) {
        const ir_val like = k < ns ? states->at[k] : b->outside.at[k - ns];
        const ir_val at = k < ns ? dfinal[ir_at(l, like)->u.loop.state] : (ir_val){0};
        const char *of = ir_at(l, like)->name ? arena_printf(l->mem, "d.%s", ir_at(l, like)->name) : name;
        sum[k] = ir_loop_state(l, b->into, k, of, derive_full(d, ir_is(at) ? at : derive_zero(d, like), like));
    }
    if (!(ns + no))
        ir_loop_next(l, b->into, 0, ir_loop_state(l, b->into, 0, name, ir_const(l, T_F64, 0)));
    c = step_again(b);
    for (uint32_t k = 0; k < ns; k++) {
        const ir_val next = loop.states[ir_at(l, states->at[k])->u.loop.state].next;
        vec_push(d->work, &seeds, ((derive_seed){ir_clone(c, next), sum[k]}));
        wanted[k] = c->copy.memo[states->at[k].i];
    }
    for (uint32_t k = 0; k < b->records.n; k++) {
        const ir_val v = ir_clone(c, ir_at(l, b->records.at[k])->args[0]);
        for (const sequence_part *q = d->sequences[b->records.at[k].i]; q; q = q->next)
            vec_push(d->work, &seeds, ((derive_seed){v, ir_recall(l, b->into, q->g, !q->turned)}));
    }
    for (uint32_t k = 0; k < no; k++)
        wanted[ns + k] = b->outside.at[k];
    for (uint32_t k = 0; k < nr; k++)
        wanted[ns + no + k] = c->copy.memo[b->recalls.at[k].i];
    derive_partial(l, d->work, seeds.at, seeds.n, wanted, ns + no + nr, grads);
    for (uint32_t k = 0; k < ns + no; k++) {
        const ir_val g = ir_cast(l, grads[k], (ir_type)ir_at(l, sum[k])->type);
        ir_loop_next(l, b->into, k, k < ns ? g : is_zero(l, g) ? sum[k] : ir_add(l, sum[k], g));
    }
    ir_loop_end(l, b->into);
    for (uint32_t k = 0; k < ns + no; k++) {
        if (k < ns)
            derive_add(d, loop.states[ir_at(l, states->at[k])->u.loop.state].init, ir_loop_final(l, b->into, k));
        else if (!is_zero(l, grads[k]))
            derive_add(d, wanted[k], ir_loop_final(l, b->into, k));
    }
    for (uint32_t k = 0; k < nr; k++) {
        const ir_node *n = ir_at(l, b->recalls.at[k]);
        const ir_val sequence = n->args[0];
        const bool turned = !n->u.loop.state;
        if (!is_zero(l, grads[ns + no + k]))
            add_sequence(d, sequence, ir_record(l, b->into, grads[ns + no + k]), turned);
    }
    ir_set_where(l, before);
}

void derive_loop(derivation *d, uint32_t loop, const ir_val *dfinal)
{
    const ir_loop *p = &d->l->loops[loop];
    if (p->again)
        ir_bug(d->l, "derive: the loop of `%s` runs again what another did", p->name);
    backward b = {.d = d, .l = d->l, .loop = loop};
    vals states = {0};
    b.seen = NEW_N(d->work, uint8_t, d->n);
    b.varies = NEW_N(d->work, uint8_t, d->n);
    for (uint32_t k = 0; k < p->nstates; k++)
        if (ir_is(dfinal[k]))
            reach(&b, p->states[k].state);
    for (uint32_t i = 1; i < d->n; i++) {
        const ir_node *n = ir_at(d->l, (ir_val){i});
        if (!d->sequences[i] || n->op != OP_RECORD || n->u.loop.loop != loop)
            continue;
        vec_push(d->work, &b.records, (ir_val){i});
        reach(&b, n->args[0]);
    }
    spread_out(&b);
    find_varying(&b);
    for (uint32_t k = 0; k < p->nstates; k++)
        if (b.varies[p->states[k].state.i])
            vec_push(d->work, &states, p->states[k].state);
    if (states.n || b.outside.n || b.recalls.n)
        build(&b, dfinal, &states);
}

void derive_RECORD(derivation *d, ir_val y, ir_val dy)
{
    (void)dy;
    ir_bug(d->l, "derive: the sequence %%%u is read by its loop alone", y.i);
}

/* Entries that vary with what is wanted are wanted themselves, where their loop is differentiated. Others are leaves. */
void derive_RECALL(derivation *d, ir_val y, ir_val dy)
{
    (void)d;
    (void)y;
    (void)dy;
}
