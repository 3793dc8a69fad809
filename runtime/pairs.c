/*
 * Pair structures of a program. One whose index is known beforehand is made by prepare, as large as it is; one whose
 * index is computed in the call has room for whatever comes out.
 */
#include "runtime/prepare.h"

#include <string.h>

#include "runtime/device_program.h"

static bool made_by_prepare(const desc_program *d, uint32_t i)
{
    for (uint32_t s = 0; s < d->n_steps; s++)
        if (d->steps[s].kind == STEP_PAIRS && d->steps[s].a == i)
            return d->steps[s].at_prepare;
    return false;
}

static bool asked_by_index(const desc_program *d, uint32_t i)
{
    for (uint32_t b = 0; b < d->n_buffers; b++)
        if (d->buffers[b].kind == BUF_PAIR_BY_INDEX && d->buffers[b].index == i)
            return true;
    for (uint32_t k = 0; k < d->n_kernels; k++)
        if (d->kernels[k].fiber.kind == FIBER_PAIR_INDEX && d->kernels[k].fiber.which == i)
            return true;
    return false;
}

static bool members_asked_by_index(const desc_program *d, uint32_t i)
{
    for (uint32_t k = 0; k < d->n_kernels; k++)
        if (d->kernels[k].fiber.kind == FIBER_INDEX && d->kernels[k].fiber.which == i)
            return true;
    return false;
}

/* The pairs of the one row are in the order of their indices: members of an index that does not occur are none. */
static void find_members(pair_state *s)
{
    const pair_index *x = &s->index;
    int64_t pair = 0;
    for (int64_t r = 0; s->by_member && r <= x->n_indices; r++) {
        while (pair < x->n_pairs && x->pair_idx[pair] < r)
            pair++;
        s->member_ptr[r] = pair < x->n_pairs ? x->pair_ptr[pair] : x->n_grouped;
    }
}

static mp_status room_for_members(mp_layer *layer, pair_state *s)
{
    if (!s->by_member)
        return MP_OK;
    s->member_ptr = mem_array(layer->ctx, s->index.n_indices + 1, sizeof *s->member_ptr, "members by index");
    return s->member_ptr ? MP_OK : MP_SYSTEM;
}

/* Where the index of the member at position k stands in its buffer, and what kernels call that member: edges go by their
 * position in the incoming walk. */
static mp_status find_places(prepared *p, pair_state *s)
{
    const desc_buffer *b = &p->program->buffers[s->desc->index_buffer];
    bool in_walk = b->walk_order || p->in_walk[s->desc->index_buffer];
    const graph_rows *rows;
    s->place = s->name = (graph_positions){ 0 };
    if (b->rows.kind != ROWS_EDGES)
        return MP_OK;
    if (s->desc->base.kind == FIBER_OUT) {
        mp_status st = graph_out(p->graph, &rows);
        if (!st) {
            s->place = in_walk ? rows->pos : rows->eid;
            s->name = rows->pos;
        }
        return st;
    }
    mp_status st = graph_in(p->graph, &rows);
    if (!st && !in_walk)
        s->place = rows->eid;
    return st;
}

static mp_status prepare_one(mp_layer *layer, prepared *p, uint32_t i)
{
    pair_state *s = &p->pairs[i];
    s->desc = &p->program->pairs[i];
    s->by_index = asked_by_index(p->program, i);
    s->by_member = members_asked_by_index(p->program, i);
    int64_t range = desc_size_value(&s->desc->range, p->dim);
    if (range < 1 || range > (int64_t)1 << 31)
        return layer_error(layer, MP_UNSUPPORTED, "an index of %lld values cannot be grouped by", (long long)range);
    fiber_rows base;
    mp_status st = fiber_of_graph(p, s->desc->base, s->whole, &base);
    if (st)
        return st;
    const desc_buffer *b = &p->program->buffers[s->desc->index_buffer];
    if (desc_size_value(&b->elems, p->dim) != 1 || b->rows.kind == ROWS_PAIRS || prepared_rows(p, b->rows) < base.n_members)
        return layer_error(layer, MP_INVALID, "the module is damaged: buffer %s is no index of the members", b->name);
    s->base_ptr = base.ptr;
    s->index = (pair_index){ .n_rows = base.n_rows, .n_members = base.n_members, .n_indices = range };
    st = find_places(p, s);
    if (!st)
        st = room_for_members(layer, s);
    if (st || made_by_prepare(p->program, i))
        return st;
    if (p->device)
        return device_pairs_prepare(layer, p, i, &base);
    st = pair_builder_make(layer->ctx, base.ptr, base.n_rows, range, &s->index, &s->builder);
    if (!st)
        find_members(s);
    if (st || !s->by_index)
        return st;
    s->by_ptr = mem_array(layer->ctx, range + 1, sizeof *s->by_ptr, "pairs by index");
    s->by_order = mem_array(layer->ctx, s->index.room_pairs, sizeof *s->by_order, "pairs by index");
    if (!s->by_ptr || !s->by_order)
        return MP_SYSTEM;
    pair_index_by_index_into(&s->index, s->by_ptr, s->by_order);
    return MP_OK;
}

static void set_buffers(prepared *p, uint32_t i)
{
    const pair_state *s = &p->pairs[i];
    for (uint32_t k = 0; k < p->program->n_buffers; k++) {
        const desc_buffer *b = &p->program->buffers[k];
        if (b->kind < BUF_PAIR_ROW || b->index != i)
            continue;
        switch ((mp_buffer_kind)b->kind) {
        case BUF_PAIR_ROW: p->base[k] = p->device ? s->on_device[0] : s->index.pair_row; break;
        case BUF_PAIR_IDX: p->base[k] = p->device ? s->on_device[1] : s->index.pair_idx; break;
        case BUF_PAIR_MEMBER: p->base[k] = p->device ? s->on_device[2] : s->index.order; break;
        case BUF_PAIR_OF: p->base[k] = p->device ? s->on_device[3] : s->index.pair_of; break;
        case BUF_PAIR_BY_INDEX: p->base[k] = p->device ? s->on_device[4] : s->by_order; break;
        case BUF_INPUT: case BUF_OUTPUT: case BUF_WORK: case BUF_GRAPH:
        case BUF_EDGE_ROW: case BUF_EDGE_ROW_OUT: case BUF_SLOT: case BUF_SAVED: case BUF_COTANGENT: case BUF_GRADIENT: break;
        }
        p->now[k] = p->base[k];
    }
}

mp_status pairs_prepare(mp_layer *layer, prepared *p)
{
    for (uint32_t i = 0; i < p->program->n_pairs; i++) {
        mp_status st = prepare_one(layer, p, i);
        if (st)
            return st;
        set_buffers(p, i);
    }
    return MP_OK;
}

mp_status pairs_index_to_host(mp_layer *layer, prepared *p, uint32_t i, int32_t **index, size_t *bytes)
{
    const uint32_t buffer = p->pairs[i].desc->index_buffer;
    *bytes = (size_t)p->rows[buffer] * sizeof **index;
    *index = mem_alloc(layer->ctx, *bytes);
    if (!*index)
        return error_memory(layer->ctx, *bytes, "an index");
    mp_status st = device_download(layer->ctx, *index, p->now[buffer], *bytes);
    if (st)
        mem_free(layer->ctx, *index, *bytes);
    return st;
}

mp_status pairs_make(mp_layer *layer, prepared *p, uint32_t i)
{
    pair_state *s = &p->pairs[i];
    int32_t *here = NULL;
    size_t bytes = 0;
    pair_index made;
    mp_status st = p->device ? pairs_index_to_host(layer, p, i, &here, &bytes) : MP_OK;
    if (st)
        return st;
    const int32_t *index = here ? here : p->now[s->desc->index_buffer];
    st = pair_index_build(layer->ctx, s->base_ptr, s->index.n_rows, index, s->place, s->name, s->index.n_indices, &made);
    mem_free(layer->ctx, here, bytes);
    if (st)
        return error_prefix(layer->ctx, st, "%s", layer->desc->name);
    s->index = made;
    s->made = true;
    find_members(s);
    if (s->by_index)
        st = pair_index_by_index(layer->ctx, &s->index, &s->by_ptr, &s->by_order);
    if (!st && p->device)
        st = device_pairs_upload(layer, p, i);
    set_buffers(p, i);
    return st;
}

void pairs_build(mp_context *ctx, prepared *p, uint32_t i, const int32_t *index)
{
    pair_state *s = &p->pairs[i];
    pair_builder_run(ctx, s->builder, index, s->place, s->name, &s->index);
    find_members(s);
    if (s->by_index)
        pair_index_by_index_into(&s->index, s->by_ptr, s->by_order);
}

void pairs_run(mp_layer *layer, prepared *p, uint32_t i)
{
    pairs_build(layer->ctx, p, i, p->now[p->pairs[i].desc->index_buffer]);
    for (uint32_t k = 0; k < p->program->n_kernels; k++)
        if (p->launches[k].kernel && fiber_depends(&p->program->kernels[k], i))
            fiber_recut(layer, p, k);
}

void pairs_free(mp_context *ctx, prepared *p)
{
    for (uint32_t i = 0; p->pairs && i < p->program->n_pairs; i++) {
        pair_state *s = &p->pairs[i];
        device_pairs_free(ctx, s);
        mem_array_free(ctx, s->by_ptr, s->index.n_indices + 1, sizeof *s->by_ptr);
        mem_array_free(ctx, s->member_ptr, s->index.n_indices + 1, sizeof *s->member_ptr);
        mem_array_free(ctx, s->by_order, s->index.room_pairs, sizeof *s->by_order);
        pair_builder_free(ctx, s->builder);
        pair_index_free(ctx, &s->index);
    }
}
