/* The program: launches, loops and builds of pair structures in the order of their stages; how long each
 * buffer of the workspace is alive. */
#include "compiler/plan/planner.h"

#include <stdlib.h>

typedef struct item { int stage, kind; uint32_t id; } item;     /* kind: 0 launch without walk, 1 with one, 2 pairs, 3 loop */

static int by_stage(const void *x, const void *y)
{
    const item *a = x, *b = y;
    if (a->stage != b->stage)
        return a->stage < b->stage ? -1 : 1;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

static void region_steps(planner *pl, uint32_t region)
{
    kplan *p = pl->p;
    VEC(item) items = {0};
    for (uint32_t i = 0; i < pl->kernels.n; i++)
        if (pl->kernels.at[i].region == region)
            vec_push(pl->mem, &items, (item){pl->kernels.at[i].stage, pl->kernels.at[i].fiber.kind != FIBER_NONE, i});
    for (uint32_t i = 0; i < pl->pairs.n; i++)
        if (!pl->pairs.at[i].at_prepare && pl->pairs.at[i].region == region)
            vec_push(pl->mem, &items, (item){pl->pairs.at[i].stage, 2, pl->pairs.at[i].id});
    for (uint32_t i = 0; i < pl->l->n_loops; i++)
        if (pl->loops[i].cur && pl->l->loops[i].parent == region)
            vec_push(pl->mem, &items, (item){pl->loops[i].stage, 3, i});
    if (items.n)
        qsort(items.at, items.n, sizeof *items.at, by_stage);
    for (uint32_t i = 0; i < items.n && !pl->why; i++) {
        const item *t = &items.at[i];
        if (t->kind <= 1) {
            uint32_t k = body_build(pl, t->id);
            kplan_add_step(p, (kstep){.kind = STEP_LAUNCH, .a = k});
        } else if (t->kind == 2) {
            kplan_add_step(p, (kstep){.kind = STEP_PAIRS, .a = t->id});
        } else {
            const ir_loop *lp = &pl->l->loops[t->id];
            kplan_add_step(p, (kstep){.kind = STEP_LOOP, .a = t->id});
            for (uint32_t k = 0; k < pl->slots.n; k++) {
                const slot_plan *s = &pl->slots.at[k];
                if (s->loop == t->id)
                    kplan_add_step(p, (kstep){.kind = s->back ? STEP_SLOT_BACK : STEP_SLOT, .a = s->buffer, .b = t->id});
            }
            if (lp->again)
                kplan_add_step(p, (kstep){.kind = STEP_REPLAY, .a = t->id});
            region_steps(pl, lp->region);
            for (uint32_t k = 0; k < lp->nstates && !lp->again; k++)
                kplan_add_step(p, (kstep){.kind = STEP_SWAP, .a = pl->loops[t->id].cur[k], .b = pl->loops[t->id].next[k]});
            kplan_add_step(p, (kstep){.kind = STEP_END, .a = t->id});
            if (lp->again)
                kplan_add_step(p, (kstep){.kind = STEP_REPLAYED, .a = t->id});
        }
    }
}

/* ---- lives ---------------------------------------------------------------------------------------------------- */

typedef struct lives { planner *pl; uint32_t now; uint32_t *seen; } lives;

static void touch(lives *s, uint32_t buffer)
{
    kbuffer *b = &s->pl->p->buffers[buffer];
    if (b->first > s->now)
        b->first = s->now;
    if (b->last < s->now)
        b->last = s->now;
    if (b->kind == BUF_SLOT)
        touch(s, b->index);
}

/* All that a loop has as long as it runs: its states, what it compares, what it records. */
static void touch_loop(lives *s, uint32_t loop)
{
    planner *pl = s->pl;
    const loop_plan *q = &pl->loops[loop];
    const ir_loop *lp = &pl->l->loops[loop];
    for (uint32_t k = 0; k < lp->nstates; k++) {
        touch(s, q->cur[k]);
        touch(s, q->next[k]);
    }
    if (ir_is(lp->tol)) {
        touch(s, q->change_buffer);
        touch(s, q->tol_buffer);
    }
    if (q->count_buffer)
        touch(s, q->count_buffer - 1);
    if (q->steps_buffer)
        touch(s, q->steps_buffer - 1);
    for (uint32_t k = 0; k < pl->slots.n; k++)
        if (pl->slots.at[k].loop == loop)
            touch(s, pl->slots.at[k].buffer);
    /* what a loop inside made again serves several steps */
    for (uint32_t i = 0; i < pl->p->n_replays; i++) {
        const kreplay *r = &pl->p->replays[i];
        if (r->loop != loop && pl->l->loops[r->loop].parent != lp->region)
            continue;
        touch(s, r->kept);
        touch(s, r->made);
    }
}

static void touch_expr(lives *s, kx x)
{
    if (!kx_is(x) || s->seen[x.i] == s->now + 1)
        return;
    s->seen[x.i] = s->now + 1;
    const kexpr *e = kx_at(s->pl->p, x);
    if (e->op == KX_LOAD || e->op == KX_ILOAD)
        touch(s, e->buffer);
    touch_expr(s, e->a);
    touch_expr(s, e->b);
    touch_expr(s, e->c);
}

static void touch_node(lives *s, const knode *n)
{
    touch_expr(s, n->value);
    touch_expr(s, n->dest.row);
    touch_expr(s, n->dest.offset);
    if ((n->kind == KN_STORE || n->kind == KN_ACCUM) && n->dest.kind == REF_BUFFER)
        touch(s, n->dest.id);
    if (n->gemm) {
        if (n->gemm->a_is_buffer)
            touch(s, n->gemm->a);
        if (!n->gemm->b_is_local)
            touch(s, n->gemm->b);
        touch_expr(s, n->gemm->a_offset);
        touch_expr(s, n->gemm->b_offset);
        touch_expr(s, n->gemm->group);
    }
    for (uint32_t i = 0; i < n->n_init; i++)
        touch_node(s, n->init[i]);
    for (uint32_t i = 0; i < n->n_body; i++)
        touch_node(s, n->body[i]);
    for (uint32_t i = 0; i < n->n_combine; i++)
        touch_node(s, n->combine[i]);
}

static void note_lives(planner *pl)
{
    kplan *p = pl->p;
    lives s = {.pl = pl, .seen = NEW_N(pl->mem, uint32_t, p->n_exprs)};
    for (uint32_t i = 0; i < p->n_buffers; i++) {
        p->buffers[i].first = UINT32_MAX;
        p->buffers[i].last = 0;
    }
    for (s.now = 0; s.now < p->n_steps; s.now++) {
        const kstep *t = &p->steps[s.now];
        if (t->kind == STEP_LAUNCH)
            touch_node(&s, p->kernels[t->a].body);
        else if (t->kind == STEP_PAIRS)
            touch(&s, p->pairs[t->a].index_buffer);
    }
    /* what stands before a loop and is read in it lives to its end; a loop's own states live from its start */
    for (uint32_t i = 0; i < p->n_steps; i++) {
        if (p->steps[i].kind != STEP_LOOP)
            continue;
        uint32_t loop = p->steps[i].a, end = i;
        while (p->steps[end].kind != STEP_END || p->steps[end].a != loop)
            end++;
        s.now = i;
        touch_loop(&s, loop);
        s.now = end;
        touch_loop(&s, loop);
        for (uint32_t k = 0; k < p->n_buffers; k++)
            if (p->buffers[k].first < i && p->buffers[k].last >= i && p->buffers[k].last < end)
                p->buffers[k].last = end;
    }
    /* outer loops once more: an inner loop may have stretched a life */
    for (uint32_t i = 0; i < p->n_steps; i++) {
        if (p->steps[i].kind != STEP_LOOP)
            continue;
        uint32_t end = i;
        while (p->steps[end].kind != STEP_END || p->steps[end].a != p->steps[i].a)
            end++;
        for (uint32_t k = 0; k < p->n_buffers; k++)
            if (p->buffers[k].first < i && p->buffers[k].last >= i && p->buffers[k].last < end)
                p->buffers[k].last = end;
    }
    for (uint32_t i = 0; i < p->n_buffers; i++)
        if (p->buffers[i].first == UINT32_MAX)
            p->buffers[i].first = p->buffers[i].last = 0;
}

void steps_build(planner *pl)
{
    kplan *p = pl->p;
    for (uint32_t i = 0; i < pl->l->n_loops; i++) {
        const ir_loop *lp = &pl->l->loops[i];
        kplan_add_loop(p, (kloop_info){.name = lp->name, .limit = kdim_of(p, lp->limit), .until = ir_is(lp->tol),
                                       .tol_buffer = pl->loops[i].tol_buffer, .change_buffer = pl->loops[i].change_buffer,
                                       .again = lp->again,
                                       .count_buffer = pl->loops[i].count_buffer, .steps_buffer = pl->loops[i].steps_buffer});
    }
    for (uint32_t i = 0; i < pl->pairs.n; i++) {
        ir_val index = at_of(pl, pl->pairs.at[i].map)->args[0];
        p->pairs[pl->pairs.at[i].id].index_buffer = pl->info[index.i].buffer;
        if (pl->pairs.at[i].at_prepare)
            kplan_add_step(p, (kstep){.kind = STEP_PAIRS, .a = pl->pairs.at[i].id, .at_prepare = true});
    }
    region_steps(pl, 0);
    if (!pl->why)
        note_lives(pl);
}
