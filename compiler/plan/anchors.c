/* The anchors: every store and every aggregate of the layer, for which staging looks for kernels. */
#include "compiler/plan/stage.h"

static uint32_t new_anchor(planner *pl, anchor a)
{
    vec_push(pl->mem, &pl->anchors, a);
    return pl->anchors.n;
}

/* The kernel rows and fiber of a store of a value of domain d. */
static void store_rows(planner *pl, anchor *a, ir_dom d)
{
    if (pl->l->domains[d.i].kind == DOM_EDGES) {
        a->member = true;
        a->fiber = (mp_fiber){FIBER_IN, 0};
        a->rows = ir_dom_dst(pl->l);
    } else {
        a->rows = d;
    }
}

void need_store(planner *pl, ir_val v)
{
    vinfo *i = &pl->info[v.i];
    if (i->stored)
        return;
    const ir_node *n = at_of(pl, v);
    i->stored = true;
    i->buffer = work_buffer(pl, n->name ? n->name : ir_ops[n->op].text, ktype_of((ir_type)n->type), rows_of(pl, n->dom), elems_of(pl, v));
    pl->again = true;
}

static void anchor_aggregate(planner *pl, ir_val v)
{
    const ir_node *n = at_of(pl, v);
    ir_val m = n->op == OP_SPREAD ? (ir_val){0} : n->args[n->nargs - 1];
    mp_fiber f = n->op == OP_SPREAD ? (mp_fiber){FIBER_PAIR_BASE, pairs_of(pl, n->args[1])} : fiber_of(pl, m);
    if (f.kind == FIBER_NONE)
        plan_fail(pl, "an aggregate along '%s'", ir_ops[at_of(pl, m)->op].text);
    else
        pl->info[v.i].agg = new_anchor(pl, (anchor){.v = v, .agg = true, .rows = n->dom, .fiber = f, .region = n->region});
}

/* A store of v into rows of domain d. Returns its number from 1 on. */
static uint32_t anchor_store(planner *pl, ir_val v, uint32_t buffer, ir_dom d, uint32_t region, uint32_t loop)
{
    anchor a = {.v = v, .buffer = buffer, .region = region, .loop = loop};
    store_rows(pl, &a, d);
    return new_anchor(pl, a);
}

/* Outputs that no store serves have stores of their own. */
static void anchor_outputs(planner *pl)
{
    ir_layer *l = pl->l;
    for (uint32_t k = 0; k < l->n_outputs; k++) {
        const ir_output *o = &l->outputs[k];
        const vinfo *vi = &pl->info[o->value.i];
        uint32_t id = buffer_of(pl, BUF_OUTPUT, k);
        if (vi->buffer != id || !(vi->store || ir_is_sequence(l, o->value)))
            anchor_store(pl, o->value, id, o->rows, 0, 0);
    }
}

/* What a step records. */
static void anchor_records(planner *pl)
{
    for (uint32_t k = 0; k < pl->slots.n; k++) {
        const ir_node *n = at_of(pl, pl->slots.at[k].v);
        if (n->op == OP_RECORD)
            anchor_store(pl, n->args[0], pl->slots.at[k].buffer, n->dom, pl->l->loops[n->u.loop.loop].region, 0);
    }
}

/* What a loop starts from, and what its step leaves: states, and what decides whether there is another step. */
static void anchor_loop(planner *pl, uint32_t i)
{
    const ir_loop *lp = &pl->l->loops[i];
    const loop_plan *q = &pl->loops[i];
    if (!q->cur)
        return;
    if (ir_is(lp->count))
        anchor_store(pl, lp->count, q->count_buffer - 1, ir_dom_unit(), lp->parent, i + 1);
    for (uint32_t k = 0; k < lp->nstates; k++) {
        ir_dom d = at_of(pl, lp->states[k].state)->dom;
        if (!lp->again)         /* else it starts where its states are kept */
            anchor_store(pl, lp->states[k].init, q->cur[k], d, lp->parent, i + 1);
        anchor_store(pl, lp->states[k].next, q->next[k], d, lp->region, 0);
    }
    if (ir_is(lp->tol)) {
        anchor_store(pl, q->change, q->change_buffer, ir_dom_unit(), lp->region, 0);
        anchor_store(pl, lp->tol, q->tol_buffer, ir_dom_unit(), lp->parent, i + 1);
    }
}

void anchors_make(planner *pl)
{
    vec_clear(&pl->anchors);
    for (uint32_t i = 1; i < pl->n_info; i++)
        pl->info[i].store = pl->info[i].agg = 0;
    for (uint32_t i = 1; i < pl->n_info && !pl->why; i++) {
        vinfo *vi = &pl->info[i];
        const ir_node *n = &pl->l->nodes[i];
        if (vi->live && is_agg(pl, (ir_val){i}))
            anchor_aggregate(pl, (ir_val){i});
        if (vi->live && vi->stored && n->op != OP_INPUT && ir_ops[n->op].cls != CLS_LOOP)
            vi->store = anchor_store(pl, (ir_val){i}, vi->buffer, n->dom, n->region, 0);
    }
    anchor_outputs(pl);
    anchor_records(pl);
    for (uint32_t i = 0; i < pl->l->n_loops; i++)
        anchor_loop(pl, i);
}
