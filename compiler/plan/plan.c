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
        for (uint32_t k = 0; k < lp->nstates; k++) {
            ir_val s = lp->states[k].state;
            const ir_node *n = at_of(pl, s);
            q->cur[k] = work_buffer(pl, lp->states[k].name, ktype_of((ir_type)n->type), rows_of(pl, n->dom), elems_of(pl, s));
            q->next[k] = work_buffer(pl, arena_printf(pl->mem, "next %s", lp->states[k].name), ktype_of((ir_type)n->type), rows_of(pl, n->dom),
                                     elems_of(pl, s));
            pl->info[s.i].stored = true;
            pl->info[s.i].buffer = q->cur[k];
        }
        if (ir_is(lp->tol)) {
            dim one = dim_const(l->dims, 1);
            q->change_buffer = work_buffer(pl, "change", KT_F64, (mp_rows){ROWS_ONE, 0}, one);
            q->tol_buffer = work_buffer(pl, "tolerance", KT_F64, (mp_rows){ROWS_ONE, 0}, one);
        }
    }
    for (uint32_t i = 1; i < pl->n_info; i++) {
        const ir_node *n = &l->nodes[i];
        if (pl->info[i].live && n->op == OP_FINAL) {
            pl->info[i].stored = true;
            pl->info[i].buffer = pl->loops[n->u.loop.loop].cur[n->u.loop.state];
        }
    }
    for (uint32_t k = 0; k < l->n_outputs; k++) {
        ir_output *o = &l->outputs[k];
        const ir_node *n = at_of(pl, o->value);
        kbuffer b = {.kind = BUF_OUTPUT, .index = k, .type = ktype_of((ir_type)n->type), .rows = rows_of(pl, o->rows),
                     .elems = kdim_of(pl->p, elems_of(pl, o->value)), .walk_order = false, .name = o->name};
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
    note_costs(pl);
    take_stored(pl, &live);
    stage_all(pl);
    if (!pl->why)
        steps_build(pl);
    *why = pl->why;
    return pl->why ? NULL : pl->p;
}
