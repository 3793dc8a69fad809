/* Staging: which values are stored, and in which kernel each store and each aggregate happens.
 *
 * Anchors (stores and aggregates) are taken in the order of their values, so that what they read has its
 * stage already. The rules (docs/design.md, "Staging"), s being the stage:
 *
 *   another row of b is read              s > s(b)
 *   the own row of b, in or before a walk s >= s(b), and > where b needs an aggregate of its own stage
 *   the own row of b, after the walk      s >= s(b); after an aggregate: in that aggregate's kernel, or later from memory
 *
 * When a value turns out to be needed from memory it becomes stored and staging starts again; that ends,
 * because values are only ever added. */
#include "compiler/plan/stage.h"

/* ---- stages ------------------------------------------------------------------------------------------------- */

/* Row-wise stores: after which walk, and in whose kernel. */
static void settle(planner *pl, anchor *a, const visit *v)
{
    bool conflict = false;                  /* aggregates of different fibers in its stage */
    if (a->agg || a->member)
        return;
    for (uint32_t i = 0; i < v->post.n; i++) {
        const anchor *d = &pl->anchors.at[v->post.at[i]];
        if (d->stage < a->stage) {
            vinfo *of = &pl->info[d->v.i];
            if (of->stored)
                continue;
            if (!of->raise) {               /* walk later, with what else is needed there; once */
                of->raise = a->stage;
                pl->again = true;
            } else {
                need_store(pl, d->v);
            }
        } else if (!a->post) {
            a->post = true;
            a->fiber = d->fiber;
        } else if (a->fiber.kind != d->fiber.kind || a->fiber.which != d->fiber.which) {
            conflict = true;
        }
    }
    if (conflict) {               /* one walk a kernel: all of them from memory, a stage later */
        for (uint32_t i = 0; i < v->post.n; i++)
            need_store(pl, pl->anchors.at[v->post.at[i]].v);
        a->stage++;
        a->post = false;
        a->fiber = (mp_fiber){FIBER_NONE, 0};
    }
}

static void stage_anchor(planner *pl, uint32_t k)
{
    anchor *a = &pl->anchors.at[k];
    a->stage = 0;
    a->post = false;
    if (!a->agg && !a->member)
        a->fiber = (mp_fiber){FIBER_NONE, 0};
    visit v = visit_begin(pl, a);
    for (task t; visit_next(&v, &t);)
        ;
    if (pl->again || pl->why)
        return;
    a->stage = v.least;
    if (a->agg && a->stage < pl->info[a->v.i].raise)
        a->stage = pl->info[a->v.i].raise;
    settle(pl, a, &v);
    if (a->loop && pl->loops[a->loop - 1].stage <= a->stage)        /* a loop starts after what it starts from */
        pl->loops[a->loop - 1].stage = a->stage + 1;
}

/* ---- kernels ------------------------------------------------------------------------------------------------ */

static uint32_t kernel_for(planner *pl, const anchor *a, mp_fiber f)
{
    for (uint32_t i = 0; i < pl->kernels.n; i++) {
        kernel_plan *k = &pl->kernels.at[i];
        if (k->region == a->region && k->rows.i == a->rows.i && k->stage == a->stage && k->fiber.kind == f.kind && k->fiber.which == f.which)
            return i;
    }
    vec_push(pl->mem, &pl->kernels, (kernel_plan){.region = a->region, .rows = a->rows, .fiber = f, .stage = a->stage});
    return pl->kernels.n - 1;
}

static void make_kernels(planner *pl)
{
    vec_clear(&pl->kernels);
    for (uint32_t i = 0; i < pl->anchors.n; i++) {          /* walks first: row-wise stores join them */
        anchor *a = &pl->anchors.at[i];
        if (a->agg || a->member || a->post) {
            a->kernel = kernel_for(pl, a, a->fiber) + 1;
            vec_push(pl->mem, &pl->kernels.at[a->kernel - 1].anchors, i);
        }
    }
    for (uint32_t i = 0; i < pl->anchors.n; i++) {
        anchor *a = &pl->anchors.at[i];
        if (a->agg || a->member || a->post)
            continue;
        mp_fiber f = {FIBER_NONE, 0};
        int walks = 0;
        for (uint32_t k = 0; k < pl->kernels.n; k++) {
            kernel_plan *q = &pl->kernels.at[k];
            if (q->region == a->region && q->rows.i == a->rows.i && q->stage == a->stage && q->fiber.kind != FIBER_NONE) {
                f = q->fiber;
                walks++;
            }
        }
        a->kernel = kernel_for(pl, a, walks == 1 ? f : (mp_fiber){FIBER_NONE, 0}) + 1;
        vec_push(pl->mem, &pl->kernels.at[a->kernel - 1].anchors, i);
    }
}

static void note_use(plan_use *u, uint32_t kernel, at where)
{
    u->member |= where == AT_MEMBER;
    if (!u->kernel)
        u->kernel = kernel;
    else if (u->kernel != kernel)
        u->twice = true;
}

/* The same way down as in staging, noting which kernels work out what; then what should be worked out once. */
static void share(planner *pl)
{
    plan_use *use = NEW_N(pl->mem, plan_use, pl->n_info);
    for (uint32_t i = 0; i < pl->anchors.n && !pl->again; i++) {
        const anchor *a = &pl->anchors.at[i];
        visit v = visit_begin(pl, &pl->anchors.at[i]);
        for (task t; visit_next(&v, &t);)
            if (!pl->info[t.v.i].stored && !pl->info[t.v.i].agg && t.where != AT_OTHER)
                note_use(&use[t.v.i], a->kernel, t.where);
    }
    if (!pl->again)
        share_values(pl, use);
}

/* In the order of values; among anchors of one value the aggregate comes first, so that its store can follow it.
 * Stores of outputs and states stand at the end of the list: they go in by their value. */
static void stage_anchors(planner *pl)
{
    uint32_t n = pl->anchors.n;
    uint32_t *order = NEW_N(pl->mem, uint32_t, n + 1), *first = NEW_N(pl->mem, uint32_t, pl->n_info + 1);
    for (uint32_t i = 0; i < n; i++)
        first[pl->anchors.at[i].v.i + 1]++;
    for (uint32_t i = 0; i < pl->n_info; i++)
        first[i + 1] += first[i];
    for (uint32_t i = 0; i < n; i++)
        order[first[pl->anchors.at[i].v.i]++] = i;
    for (uint32_t i = 0; i < n && !pl->why; i++)
        stage_anchor(pl, order[i]);
}

void stage_all(planner *pl)
{
    pl->seen = NEW_N(pl->mem, uint32_t, (size_t)pl->n_info * 4);
    do {
        pl->again = false;
        for (uint32_t i = 0; i < pl->l->n_loops; i++)
            pl->loops[i].stage = 0;
        anchors_make(pl);
        stage_anchors(pl);
        if (pl->again || pl->why)
            continue;
        make_kernels(pl);
        share(pl);
    } while (pl->again && !pl->why);
}
