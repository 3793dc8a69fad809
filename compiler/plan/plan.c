/* From the IR to the kernel plan, in order: legal forms, what is stored, stages, kernels, steps. */
#include "compiler/plan/planner.h"

#include "compiler/ir/copy.h"

static void note_costs(planner *pl)
{
    for (uint32_t i = 1; i < pl->n_info; i++) {
        const ir_node *n = &pl->l->nodes[i];
        vinfo *v = &pl->info[i];
        ir_class c = ir_ops[n->op].cls;
        if (c == CLS_REDUCE || c == CLS_CONTRACT || c == CLS_AGG || c == CLS_LEAF || c == CLS_LOOP || c == CLS_MAP)
            continue;                   /* a local of its own, or nothing to work out */
        v->cost = (uint32_t)ir_ops[n->op].cost;
        for (uint32_t k = 0; k < n->nargs; k++) {
            const vinfo *a = &pl->info[n->args[k].i];
            v->cost += a->cost;
            if (a->depth <= 24 && a->depth + 1 > v->depth)
                v->depth = a->depth + 1;
        }
        if (v->cost > 1000)
            v->cost = 1000;
    }
}

static uint32_t add_entry(planner *pl, uint32_t sequence, const char *name)
{
    kbuffer b = pl->p->buffers[sequence];
    b.kind = BUF_SLOT;
    b.index = sequence;
    b.sequence = false;
    b.entries = ENTRIES_ALL;
    b.slots = (kdim){0};
    b.name = name;
    return kplan_add_buffer(pl->p, b);
}

/* The entry of a sequence that the steps of a loop write or read. */
static void add_slot(planner *pl, ir_val v, uint32_t sequence, uint32_t loop, bool back)
{
    uint32_t slot = add_entry(pl, sequence, pl->p->buffers[sequence].name);
    vec_push(pl->mem, &pl->slots, (slot_plan){.v = v, .buffer = slot, .loop = loop, .back = back});
}

/* The states of a loop that runs again: some lie in the sequence that it starts from, the others in one of its own. */
static void take_replays(planner *pl, uint32_t loop)
{
    const ir_loop *lp = &pl->l->loops[loop];
    loop_plan *q = &pl->loops[loop];
    for (uint32_t k = 0; k < lp->nstates; k++) {
        const ir_state *s = &lp->states[k];
        kreplay r = {.loop = loop, .kept = pl->info[at_of(pl, s->init)->args[0].i].buffer};
        kbuffer made = pl->p->buffers[r.kept];
        made.kind = BUF_WORK;
        made.index = r.kept;
        made.entries = ENTRIES_BETWEEN;
        made.walk_order = true;
        made.name = arena_printf(pl->mem, "%s again", s->name ? s->name : "state");
        r.made = kplan_add_buffer(pl->p, made);
        r.cur = add_entry(pl, r.kept, s->name);
        r.next = add_entry(pl, r.made, arena_printf(pl->mem, "next %s", s->name ? s->name : "state"));
        r.value = add_entry(pl, r.kept, s->name);
        q->cur[k] = r.cur;
        q->next[k] = r.next;
        q->value[k] = r.value;
        pl->info[s->state.i].stored = true;
        pl->info[s->state.i].buffer = r.cur;
        kplan_add_replay(pl->p, r);
    }
    for (uint32_t i = 1; i < pl->n_info; i++) {
        const ir_node *n = &pl->l->nodes[i];
        if (!pl->info[i].live || n->op != OP_FINAL || n->u.loop.loop != loop)
            continue;
        pl->info[i].stored = true;
        pl->info[i].buffer = q->value[n->u.loop.state];
    }
}

/* Sequences that are no inputs or outputs lie in the workspace. Operands come before what reads them. */
static void take_sequences(planner *pl)
{
    for (uint32_t i = 1; i < pl->n_info; i++) {
        const ir_node *n = &pl->l->nodes[i];
        vinfo *v = &pl->info[i];
        if (!v->live || (n->op != OP_RECORD && n->op != OP_RECALL))
            continue;
        if (n->op == OP_RECORD) {
            const ir_node *of = at_of(pl, n->args[0]);
            const char *name = arena_printf(pl->mem, "steps of %s", of->name ? of->name : ir_ops[of->op].text);
            if (!v->stored) {
                v->buffer = work_buffer(pl, name, ktype_of((ir_type)n->type), rows_of(pl, n->dom), elems_of(pl, (ir_val){i}));
                pl->p->buffers[v->buffer].sequence = true;
                pl->p->buffers[v->buffer].slots = kdim_of(pl->p, n->slots);
                pl->p->buffers[v->buffer].entries = n->apart ? ENTRIES_APART : ENTRIES_ALL;
                v->stored = true;
            }
            add_slot(pl, (ir_val){i}, v->buffer, n->u.loop.loop, false);
        } else if (ir_at(pl->l, n->args[0])->apart) {       /* where a loop starts that runs again; nothing else reads it */
            v->stored = true;
            v->buffer = pl->info[n->args[0].i].buffer;
        } else {
            add_slot(pl, (ir_val){i}, pl->info[n->args[0].i].buffer, n->u.loop.loop, n->u.loop.state);
            v->stored = true;
            v->buffer = vec_last(&pl->slots).buffer;
        }
    }
    for (uint32_t i = 0; i < pl->l->n_loops; i++)
        if (pl->loops[i].cur && pl->l->loops[i].again)
            take_replays(pl, i);
}

static void take_stored(planner *pl, const ir_live *live)
{
    ir_layer *l = pl->l;
    for (uint32_t i = 0; i < l->n_inputs; i++) {
        ir_val v = l->inputs[i].value;
        if (!ir_is(v) || !pl->info[v.i].live)
            continue;
        pl->info[v.i].stored = true;
        pl->info[v.i].buffer = buffer_of(pl, BUF_INPUT, i);
    }
    for (uint32_t i = 0; i < l->n_loops; i++) {
        if (!live->loop[i])
            continue;
        const ir_loop *lp = &l->loops[i];
        loop_plan *q = &pl->loops[i];
        q->cur = NEW_N(pl->mem, uint32_t, lp->nstates + 1);
        q->next = NEW_N(pl->mem, uint32_t, lp->nstates + 1);
        q->value = NEW_N(pl->mem, uint32_t, lp->nstates + 1);
        for (uint32_t k = 0; k < lp->nstates && !lp->again; k++) {
            ir_val s = lp->states[k].state;
            const ir_node *n = at_of(pl, s);
            q->cur[k] = work_buffer(pl, lp->states[k].name, ktype_of((ir_type)n->type), rows_of(pl, n->dom), elems_of(pl, s));
            q->next[k] = work_buffer(pl, arena_printf(pl->mem, "next %s", lp->states[k].name), ktype_of((ir_type)n->type), rows_of(pl, n->dom),
                                     elems_of(pl, s));
            pl->info[s.i].stored = true;
            pl->info[s.i].buffer = q->cur[k];
        }
        dim one = dim_const(l->dims, 1);
        if (ir_is(lp->count))
            q->count_buffer = 1 + work_buffer(pl, "count", KT_F64, (mp_rows){ROWS_ONE, 0}, one);
        if (ir_is(lp->tol)) {
            q->change_buffer = work_buffer(pl, "change", KT_F64, (mp_rows){ROWS_ONE, 0}, one);
            q->tol_buffer = work_buffer(pl, "tolerance", KT_F64, (mp_rows){ROWS_ONE, 0}, one);
        }
    }
    for (uint32_t i = 1; i < pl->n_info; i++) {
        const ir_node *n = &l->nodes[i];
        if (pl->info[i].live && n->op == OP_FINAL && !l->loops[n->u.loop.loop].again) {
            pl->info[i].stored = true;
            pl->info[i].buffer = pl->loops[n->u.loop.loop].cur[n->u.loop.state];
        } else if (pl->info[i].live && n->op == OP_STEPS) {
            pl->info[i].stored = true;
            pl->info[i].buffer = work_buffer(pl, "steps", KT_F64, (mp_rows){ROWS_ONE, 0}, dim_const(l->dims, 1));
            pl->loops[n->u.loop.loop].steps_buffer = 1 + pl->info[i].buffer;
        }
    }
    for (uint32_t k = 0; k < l->n_outputs; k++) {
        ir_output *o = &l->outputs[k];
        const ir_node *n = at_of(pl, o->value);
        kbuffer b = {.kind = BUF_OUTPUT, .index = k, .type = ktype_of((ir_type)n->type), .rows = rows_of(pl, o->rows),
                     .elems = kdim_of(pl->p, elems_of(pl, o->value)), .walk_order = false, .name = o->name};
        b.sequence = dim_ok(n->slots);
        b.entries = n->apart ? ENTRIES_APART : ENTRIES_ALL;
        if (b.sequence)
            b.slots = kdim_of(pl->p, n->slots);
        uint32_t id = kplan_add_buffer(pl->p, b);
        *map_slot_of(&pl->buffers, (uint64_t)BUF_OUTPUT << 32 | k, NULL) = id + 1;
        /* an output serves as the stored value itself where the rows are the same and nothing is rounded */
        vinfo *v = &pl->info[o->value.i];
        bool exact = n->type != T_F16 && n->type != T_BF16;
        if (!v->stored && n->region == 0 && n->dom.i == o->rows.i && exact && n->op != OP_CONST) {
            v->stored = true;
            v->buffer = id;
        }
    }
}

kplan *plan_build(arena *mem, ir_layer *l, const plan_options *options, const char **why)
{
    planner *pl = NEW(mem, planner);
    *pl = (planner){.l = l, .mem = mem, .opt = options ? *options : (plan_options){0}};
    pl->buffers = map_make(mem);
    if (!pl->opt.tile)
        pl->opt.tile = 32;
    if (!pl->opt.tile_wide)
        pl->opt.tile_wide = 128;
    if (!pl->opt.block)
        pl->opt.block = 128;
    legalise(pl);
    pl->p = kplan_new(mem, pl->l);
    pl->loops = NEW_N(mem, loop_plan, pl->l->n_loops + 1);
    make_changes(pl);
    pl->p->layer = pl->l;
    pl->n_info = pl->l->n_nodes;
    pl->info = NEW_N(mem, vinfo, pl->n_info + 1);
    ir_live live = ir_find_live(pl->l, mem);
    for (uint32_t i = 0; i < live.n; i++)
        pl->info[live.order[i].i].live = true;
    for (uint32_t i = 0; i < pl->l->n_loops; i++)       /* what the loops compare is no part of the IR's own liveness */
        if (ir_is(pl->loops[i].change))
            for (uint32_t k = pl->n_info - 1; k > 0; k--) {
                if (ir_same(pl->loops[i].change, (ir_val){k}))
                    pl->info[k].live = true;
                if (pl->info[k].live)
                    for (uint32_t q = 0; q < pl->l->nodes[k].nargs; q++)
                        pl->info[pl->l->nodes[k].args[q].i].live = true;
            }
    make_sums(pl);
    note_costs(pl);
    take_stored(pl, &live);
    take_sequences(pl);
    stage_all(pl);
    if (!pl->why)
        steps_build(pl);
    *why = pl->why;
    return pl->why ? NULL : pl->p;
}
