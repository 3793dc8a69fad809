/*
 * Which steps of a backward program are done. A gradient is computed where a buffer is bound for it; a step that makes
 * nothing of use for those is left out, and what only it reads has no memory.
 *
 * What is needed only grows while the steps are gone through, last to first and again until nothing changes: so steps of
 * loops, which read what later ones wrote a turn before, need no thought of their own.
 */
#include "runtime/prepare.h"

typedef struct finder {
    const desc_program *d;
    const prepared *p;
    bool *needed;                   /* by buffer */
    bool *done;                     /* by step */
    bool changed;
} finder;

/* A slot is a part of its sequence. */
static void need(finder *f, uint32_t buffer)
{
    const desc_buffer *b = &f->d->buffers[buffer];
    f->changed |= !f->needed[buffer];
    f->needed[buffer] = true;
    if (b->kind == BUF_SLOT && !f->needed[b->index])
        need(f, b->index);
}

static bool is_needed(const finder *f, uint32_t buffer)
{
    const desc_buffer *b = &f->d->buffers[buffer];
    return f->needed[buffer] || (b->kind == BUF_SLOT && f->needed[b->index]);
}

static void do_step(finder *f, uint32_t step)
{
    f->changed |= !f->done[step];
    f->done[step] = true;
}

static void look_at_launch(finder *f, uint32_t step)
{
    const desc_kernel *k = &f->d->kernels[f->d->steps[step].a];
    bool of_use = false;
    for (uint32_t u = 0; u < k->n_uses; u++)
        of_use |= (k->uses[u].how & DESC_WRITES) && is_needed(f, k->uses[u].buffer);
    if (!of_use)
        return;
    do_step(f, step);
    for (uint32_t u = 0; u < k->n_uses; u++)
        if ((k->uses[u].how & DESC_READS) || f->d->buffers[k->uses[u].buffer].kind == BUF_SLOT)
            need(f, k->uses[u].buffer);
}

/* A loop is done when something in it is. */
static void look_at_loop(finder *f, uint32_t loop)
{
    const desc_loop *l = &f->d->loops[loop];
    uint32_t start = f->p->loop_start[loop], end = f->p->loop_end[loop];
    bool any = false;
    for (uint32_t i = start + 1; i < end; i++)
        any |= f->done[i];
    if (!any)
        return;
    do_step(f, start);
    do_step(f, end);
    if (l->until) {
        need(f, l->tol_buffer);
        need(f, l->change_buffer);
    }
    if (l->count_buffer)
        need(f, l->count_buffer - 1);
    if (l->steps_buffer)
        need(f, l->steps_buffer - 1);
}

/* A state made again: all of it, if it is asked for or another state of the loop reads it. */
static bool look_at_replay(finder *f, const desc_replay *r)
{
    if (!f->needed[r->value] && !f->needed[r->cur] && !f->needed[r->next])
        return false;
    need(f, r->value);
    need(f, r->cur);
    need(f, r->next);
    return true;
}

static void look_at(finder *f, uint32_t i)
{
    const desc_step *s = &f->d->steps[i];
    switch ((mp_step_kind)s->kind) {
    case STEP_LAUNCH:
        look_at_launch(f, i);
        break;
    case STEP_PAIRS:                /* rows and members of kernels may be of them */
        do_step(f, i);
        need(f, f->d->pairs[s->a].index_buffer);
        break;
    case STEP_LOOP:
        look_at_loop(f, s->a);
        break;
    case STEP_END:
        break;
    case STEP_SLOT: case STEP_SLOT_BACK:
        if (is_needed(f, s->a)) {
            do_step(f, i);
            need(f, s->a);
        }
        break;
    case STEP_REPLAY: case STEP_REPLAYED:
        for (uint32_t k = 0; k < f->d->n_replays; k++)
            if (f->d->replays[k].loop == s->a && look_at_replay(f, &f->d->replays[k]))
                do_step(f, i);
        break;
    case STEP_SWAP:
        if (f->needed[s->a] || f->needed[s->b]) {
            do_step(f, i);
            need(f, s->a);
            need(f, s->b);
        }
        break;
    }
}

/* Buffers that no step touches. A kernel may write more than is needed: that has memory, too. */
static void find_unused(finder *f, prepared *p)
{
    const desc_program *d = f->d;
    for (uint32_t k = 0; k < d->n_buffers; k++)
        p->unused[k] = !f->needed[k];
    for (uint32_t i = 0; i < d->n_steps; i++) {
        if (!f->done[i] || d->steps[i].kind != STEP_LAUNCH)
            continue;
        const desc_kernel *k = &d->kernels[d->steps[i].a];
        for (uint32_t u = 0; u < k->n_uses; u++)
            p->unused[k->uses[u].buffer] = false;
    }
    for (uint32_t k = 0; k < d->n_buffers; k++)         /* their rows are read through others */
        if ((d->buffers[k].kind == BUF_EDGE_ROW || d->buffers[k].kind == BUF_EDGE_ROW_OUT) && !p->unused[k])
            p->unused[d->buffers[k].index] = false;
}

mp_status wanted_find(mp_layer *layer, prepared *p)
{
    const desc_program *d = p->program;
    finder f = { .d = d, .p = p };
    f.needed = mem_array(layer->ctx, d->n_buffers, sizeof *f.needed, "the steps of a backward");
    f.done = mem_zeros(layer->ctx, d->n_steps, sizeof *f.done, "the steps of a backward");
    mp_status st = f.needed && f.done ? MP_OK : MP_SYSTEM;
    for (uint32_t k = 0; !st && k < d->n_buffers; k++)
        f.needed[k] = d->buffers[k].kind == BUF_GRADIENT && layer->gradients[d->buffers[k].index].bound;
    for (f.changed = !st; f.changed;) {
        f.changed = false;
        for (uint32_t i = d->n_steps; i-- > 0;)
            look_at(&f, i);
    }
    if (!st) {
        for (uint32_t i = 0; i < d->n_steps; i++)
            p->left_out[i] = !f.done[i];
        find_unused(&f, p);
    }
    mem_array_free(layer->ctx, f.needed, d->n_buffers, sizeof *f.needed);
    mem_array_free(layer->ctx, f.done, d->n_steps, sizeof *f.done);
    return st;
}
