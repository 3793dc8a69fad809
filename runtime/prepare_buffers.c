/*
 * How large the buffers of a program are, and memory of those that are computed before the call. Of sequences (the states
 * of a loop by step) some entries alone are kept where all of them would take too much.
 */
#include "runtime/prepare.h"

#include <math.h>
#include "runtime/device_fiber.h"
#include "runtime/graph_arrays.h"

mp_status buffers_of_graph(prepared *p)
{
    const desc_program *d = p->program;
    for (uint32_t k = 0; k < d->n_buffers; k++) {
        const desc_buffer *b = &d->buffers[k];
        p->rows[k] = prepared_rows(p, b->rows);
        if (b->kind != BUF_GRAPH || p->unused[k])
            continue;
        const void *array;
        mp_status st = p->device ? device_graph_array(p->graph, (mp_graph_array)b->index, &array)
                                 : graph_array(p->graph, (mp_graph_array)b->index, &array);
        if (st)
            return st;
        p->base[k] = (void *)(uintptr_t)array;
    }
    return MP_OK;
}

/* Entries of a sequence that have memory. Where not all are kept, those that are not go to one place behind the others. */
static int64_t entries_of(const prepared *p, uint32_t k)
{
    const desc_buffer *b = &p->program->buffers[k];
    int64_t slots = desc_size_value(&b->slots, p->dim), apart = p->apart[k];
    if (b->entries == ENTRIES_BETWEEN)
        return apart - 1;
    return apart > 1 ? slots / apart + (slots % apart != 0) + 1 : slots;
}

/* The least c with c c >= n. */
static int64_t root_of(int64_t n)
{
    if (n < 2)
        return 1;
    int64_t c = (int64_t)sqrt((double)n);
    while (c > 1 && c - 1 >= n / (c - 1) + (n % (c - 1) != 0))
        c--;
    while (c < n / c + (n % c != 0))
        c++;
    return c;
}

/* How far apart the states of loops are kept: all of them where those of one kind (of the workspace, of tapes) do not
 * take more than the layer may have for it, else so that there are about as many as lie between two. */
static void choose_entries(const mp_layer *layer, prepared *p)
{
    const desc_program *d = p->program;
    size_t sum[2] = { 0, 0 };
    for (uint32_t k = 0; k < d->n_buffers; k++) {
        const desc_buffer *b = &d->buffers[k];
        size_t row, all;
        bool fits = mem_size(desc_size_value(&b->elems, p->dim), desc_elem_size(b->type), &row) &&
                    mem_size(prepared_rows(p, b->rows), row, &all);
        p->apart[k] = 1;
        if (!b->sequence || b->entries != ENTRIES_APART)
            continue;
        size_t *of = &sum[b->kind == BUF_SAVED];
        fits = fits && mem_size(desc_size_value(&b->slots, p->dim), round_up_64(all), &all) && !__builtin_add_overflow(*of, all, of);
        *of = fits ? *of : SIZE_MAX;
    }
    for (uint32_t k = 0; k < d->n_buffers; k++)
        if (d->buffers[k].sequence && d->buffers[k].entries == ENTRIES_APART && sum[d->buffers[k].kind == BUF_SAVED] > layer->state_memory)
            p->apart[k] = root_of(desc_size_value(&d->buffers[k].slots, p->dim));
    for (uint32_t i = 0; i < d->n_replays; i++) {
        const desc_replay *r = &d->replays[i];
        p->apart[r->made] = p->loops[r->loop].apart = p->apart[r->kept];
    }
}

static mp_status work_bytes(mp_layer *layer, prepared *p, uint32_t k)
{
    const desc_buffer *b = &p->program->buffers[k];
    int64_t elems = desc_size_value(&b->elems, p->dim);
    size_t row;
    p->rows[k] = prepared_rows(p, b->rows);
    if (!mem_size(elems, desc_elem_size(b->type), &row) || !mem_size(p->rows[k], row, &p->bytes[k]))
        return layer_error(layer, MP_INVALID, "%lld rows of %lld elements (%s) are too large", (long long)p->rows[k],
                           (long long)elems, b->name);
    if (b->sequence || b->kind == BUF_SLOT)
        p->bytes[k] = round_up_64(p->bytes[k]);
    int64_t slots = b->sequence ? entries_of(p, k) : 1;
    if (b->sequence && !mem_size(slots, p->bytes[k], &p->bytes[k]))
        return layer_error(layer, MP_INVALID, "the %lld steps of %s are too large", (long long)slots, b->name);
    return MP_OK;
}

mp_status buffers_of_step(mp_layer *layer, prepared *p, uint32_t step)
{
    for (uint32_t k = 0; k < p->program->n_buffers; k++) {
        const desc_buffer *b = &p->program->buffers[k];
        if (b->kind != BUF_WORK || b->first != step || p->unused[k])
            continue;
        mp_status st = work_bytes(layer, p, k);
        if (st)
            return st;
        p->kept[k] = p->base[k] = data_alloc(layer->ctx, p->bytes[k]);
        st = p->kept[k] ? data_zero(layer->ctx, p->kept[k], p->bytes[k]) : error_memory(layer->ctx, p->bytes[k], b->name);
        if (st)
            return st;
    }
    return MP_OK;
}

mp_status buffers_of_call(mp_layer *layer, prepared *p)
{
    const desc_program *d = p->program;
    mp_status st = MP_OK;
    choose_entries(layer, p);
    for (uint32_t k = 0; k < d->n_buffers && !st; k++)
        if ((d->buffers[k].kind == BUF_WORK && !p->kept[k]) || d->buffers[k].kind == BUF_SLOT || d->buffers[k].kind == BUF_SAVED)
            st = work_bytes(layer, p, k);
    return st;
}
