/*
 * The workspace: buffers that are alive at the same time lie apart, others may share. Larger buffers are placed first,
 * each at the lowest place where nothing it lives with is in the way. Behind them stand the states of pieces (of the
 * launch that needs most) and the scratch of each thread. Its memory, the caller's or the layer's, comes with a call.
 */
#include "runtime/device_program.h"

#include <stdlib.h>
#include <string.h>

typedef struct life {
    uint32_t buffer, first, last;
    size_t bytes, at;
} life;

static void extend(life *l, uint32_t first, uint32_t last)
{
    l->first = first < l->first ? first : l->first;
    l->last = last > l->last ? last : l->last;
}

/* What is there before a loop and used in it is used in each of its steps. */
static void through_loops(const prepared *p, life *lives, uint32_t n)
{
    for (uint32_t i = p->program->n_steps; i-- > 0;) {          /* inner loops before those around them */
        const desc_step *s = &p->program->steps[i];
        if (s->kind != STEP_LOOP)
            continue;
        uint32_t end = p->loop_end[s->a];
        for (uint32_t k = 0; k < n; k++)
            if (lives[k].first < i && lives[k].last > i && lives[k].last < end)
                lives[k].last = end;
    }
}

/* Two buffers that change places live as long as either, and through all of their loop. */
static void through_swaps(const prepared *p, life *of[])
{
    const desc_program *d = p->program;
    for (uint32_t i = 0; i < d->n_steps; i++) {
        const desc_step *s = &d->steps[i];
        if (s->kind != STEP_SWAP || !of[s->a] || !of[s->b])
            continue;
        uint32_t first = i, last = i;
        for (uint32_t l = 0; l < d->n_loops; l++)               /* the innermost loop around it */
            if (p->loop_end[l] && p->loop_start[l] < i && i < p->loop_end[l] && (last == i || p->loop_start[l] > first)) {
                first = p->loop_start[l];
                last = p->loop_end[l];
            }
        extend(of[s->a], first, last);
        extend(of[s->b], first, last);
        extend(of[s->a], of[s->b]->first, of[s->b]->last);
        extend(of[s->b], of[s->a]->first, of[s->a]->last);
    }
}

static void read_at(life *of[], uint32_t buffer, uint32_t step)
{
    if (of[buffer])
        extend(of[buffer], step, step);
}

static void through_steps(const prepared *p, life *of[])
{
    const desc_program *d = p->program;
    for (uint32_t i = 0; i < d->n_steps; i++) {
        const desc_step *s = &d->steps[i];
        if (s->kind == STEP_PAIRS)
            read_at(of, d->pairs[s->a].index_buffer, i);
        if (s->kind == STEP_LOOP && d->loops[s->a].count_buffer)
            read_at(of, d->loops[s->a].count_buffer - 1, i);
        if (s->kind == STEP_LOOP && d->loops[s->a].steps_buffer)        /* a loop of no steps writes it here */
            read_at(of, d->loops[s->a].steps_buffer - 1, i);
        if (s->kind == STEP_END && d->loops[s->a].until) {
            read_at(of, d->loops[s->a].change_buffer, i);
            read_at(of, d->loops[s->a].tol_buffer, i);
        }
    }
}

static int larger_first(const void *x, const void *y)
{
    const life *a = x, *b = y;
    if (a->bytes != b->bytes)
        return a->bytes > b->bytes ? -1 : 1;
    return a->buffer < b->buffer ? -1 : a->buffer > b->buffer;
}

static int lower_first(const void *x, const void *y)
{
    const life *a = *(life *const *)x, *b = *(life *const *)y;
    return a->at < b->at ? -1 : a->at > b->at;
}

/* Places lives[i], those before it being placed; `near` is room for them. */
static bool place(life *lives, uint32_t i, life **near, size_t *end)
{
    uint32_t n = 0;
    life *me = &lives[i];
    for (uint32_t k = 0; k < i; k++)
        if (lives[k].first <= me->last && me->first <= lives[k].last)
            near[n++] = &lives[k];
    if (n)
        qsort(near, n, sizeof *near, lower_first);
    size_t at = 0;
    for (uint32_t k = 0; k < n; k++) {
        if (near[k]->at >= at && near[k]->at - at >= me->bytes)
            break;
        size_t behind = near[k]->at + near[k]->bytes;
        at = behind > at ? behind : at;
    }
    me->at = at;
    size_t stop;
    if (__builtin_add_overflow(at, me->bytes, &stop) || stop > PTRDIFF_MAX)
        return false;
    *end = stop > *end ? stop : *end;
    return true;
}

/* A gradient that nobody wants but that comes with others is work, too. */
static bool in_workspace(const mp_layer *layer, const prepared *p, uint32_t buffer)
{
    const desc_buffer *b = &p->program->buffers[buffer];
    if (p->unused[buffer])
        return false;
    return (b->kind == BUF_WORK && !p->kept[buffer]) || (b->kind == BUF_GRADIENT && !layer->gradients[b->index].bound);
}

static bool place_all(const mp_layer *layer, prepared *p, life *lives, life **near, life **of, size_t *end)
{
    const desc_program *d = p->program;
    uint32_t n = 0;
    for (uint32_t k = 0; k < d->n_buffers; k++) {
        p->offset[k] = SIZE_MAX;
        of[k] = NULL;
        if (!in_workspace(layer, p, k))
            continue;
        lives[n] = (life){ .buffer = k, .first = d->buffers[k].first, .last = d->buffers[k].last,
                           .bytes = round_up_64(p->bytes[k]) };
        of[k] = &lives[n++];
    }
    through_steps(p, of);
    through_loops(p, lives, n);
    through_swaps(p, of);
    through_loops(p, lives, n);
    if (n)
        qsort(lives, n, sizeof *lives, larger_first);
    for (uint32_t i = 0; i < n; i++) {
        if (!place(lives, i, near, end))
            return false;
        p->offset[lives[i].buffer] = lives[i].at;
    }
    return true;
}

static bool place_launches(mp_context *ctx, prepared *p, size_t end)
{
    size_t states = 0, scratch = 0, all, threads = p->device ? 1 : (size_t)pool_threads(ctx->pool);
    for (uint32_t i = 0; i < p->program->n_steps; i++) {
        const desc_step *s = &p->program->steps[i];
        if (s->kind != STEP_LAUNCH || s->at_prepare || p->left_out[i])
            continue;
        const launch *l = &p->launches[s->a];
        size_t bytes, room = l->scratch_bytes;
        if (p->device ? !device_launch_memory(ctx, &p->device->launches[s->a], &bytes, &room) : !launch_states(l, &bytes))
            return false;
        states = round_up_64(bytes) > states ? round_up_64(bytes) : states;
        scratch = room > scratch ? room : scratch;
    }
    p->states_at = end;
    p->scratch_stride = scratch;
    if (__builtin_add_overflow(end, states, &p->scratch_at) || __builtin_mul_overflow(scratch, threads, &all) ||
        __builtin_add_overflow(all, p->scratch_at, &p->workspace_bytes))
        return false;
    return p->workspace_bytes <= PTRDIFF_MAX;
}

mp_status layout_workspace(mp_layer *layer, prepared *p)
{
    uint32_t n = p->program->n_buffers;
    mp_context *ctx = layer->ctx;
    life *lives = mem_array(ctx, n, sizeof *lives, "the layout of the workspace");
    life **near = mem_array(ctx, n, sizeof *near, "the layout of the workspace");
    life **of = mem_array(ctx, n, sizeof *of, "the layout of the workspace");
    size_t end = 0;
    mp_status st = lives && near && of ? MP_OK : MP_SYSTEM;
    if (!st && (!place_all(layer, p, lives, near, of, &end) || !place_launches(ctx, p, end)))
        st = layer_error(layer, MP_SYSTEM, "the workspace is too large");
    mem_array_free(ctx, lives, n, sizeof *lives);
    mem_array_free(ctx, near, n, sizeof *near);
    mem_array_free(ctx, of, n, sizeof *of);
    return st;
}

/* ---- Its memory ------------------------------------------------------------------------------------------------- */

size_t layer_workspace(const mp_layer *layer)
{
    size_t most = 0;
    for (int k = 0; k < DESC_PROGRAM_KINDS; k++)
        if (layer->prepared[k] && layer->prepared[k]->workspace_bytes > most)
            most = layer->prepared[k]->workspace_bytes;
    return most;
}

/* Memory of the layer's own, large enough for all that is prepared. */
static mp_status own_workspace(mp_layer *layer, size_t bytes)
{
    if (layer->own_workspace && layer->own_bytes >= bytes)
        return MP_OK;
    size_t most = layer_workspace(layer);
    data_free(layer->ctx, layer->own_workspace, layer->own_bytes);
    layer->own_workspace = data_alloc(layer->ctx, most);
    layer->own_bytes = layer->own_workspace ? most : 0;
    return layer->own_workspace ? MP_OK : error_memory(layer->ctx, most, "the workspace");
}

/* Outputs in the layer's own memory, which another program may have made anew. */
static void place_outputs(mp_layer *layer, prepared *p)
{
    for (uint32_t k = 0; k < p->program->n_buffers; k++) {
        const desc_buffer *b = &p->program->buffers[k];
        if (b->kind == BUF_OUTPUT && prepared_is_output(p, b) && !layer->outputs[b->index].bound)
            p->base[k] = layer->own[b->index].data;
    }
    for (uint32_t i = 0; i < p->n_drains; i++)
        p->base[p->drains[i].buffer] = p->drains[i].staged;
}

mp_status layer_place(mp_layer *layer, desc_program_kind kind)
{
    prepared *p = layer->prepared[kind];
    char *at = layer->workspace;
    if (at && layer->workspace_bytes < p->workspace_bytes)
        return layer_error(layer, MP_USAGE, "the workspace has %zu bytes, but %zu are needed", layer->workspace_bytes,
                           p->workspace_bytes);
    if (at) {
        data_free(layer->ctx, layer->own_workspace, layer->own_bytes);
        layer->own_workspace = NULL;
    } else {
        mp_status st = own_workspace(layer, p->workspace_bytes);
        if (st)
            return st;
        at = layer->own_workspace;
    }
    for (uint32_t k = 0; k < p->program->n_buffers; k++)
        if (p->offset[k] != SIZE_MAX)
            p->base[k] = at + p->offset[k];
    place_outputs(layer, p);
    p->memory = (launch_memory){ at + p->states_at, at + p->scratch_at, p->scratch_stride };
    return MP_OK;
}
