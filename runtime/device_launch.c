/*
 * Launches on a GPU: see device_program.h.
 */
#include "runtime/device_product.h"

/* Shared memory where it is enough, else the device's, which bounds the blocks: as many as run at a time. */
static mp_status choose_room(mp_context *ctx, device_part *l, int64_t *most_blocks)
{
    const device *d = ctx->device;
    int fixed = 0, blocks = 0, result = 0;
    *most_blocks = INT32_MAX;
    l->shared = true;
    if (!l->room_bytes)
        return MP_OK;
    void *const functions[] = { l->functions.rows, l->functions.piece };
    device_enter(ctx);
    for (int i = 0; i < 2 && functions[i] && !result; i++) {
        result = d->api.function_get(&fixed, CUDA_FUNCTION_SHARED, functions[i]);
        l->shared &= l->room_bytes + (size_t)fixed <= (size_t)d->shared_most;
    }
    for (int i = 0; i < 2 && functions[i] && !result && l->shared && l->room_bytes > 48 << 10; i++)
        result = d->api.function_set(functions[i], CUDA_FUNCTION_DYNAMIC, (int)l->room_bytes);
    if (!result && !l->shared) {
        result = d->api.occupancy(&blocks, l->functions.rows, (int)l->code->threads, 0);
        *most_blocks = (int64_t)(blocks < 1 ? 1 : blocks) * d->multiprocessors;
    }
    device_leave(ctx);
    return device_check(ctx, result, l->code->rows);
}

static int64_t blocks_of(int64_t n, uint32_t by, int64_t most)
{
    int64_t blocks = n / by + (n % by != 0);
    return blocks < most ? blocks : most;
}

static mp_status find_fiber(mp_layer *layer, prepared *p, const desc_kernel *k, const fiber_rows *rows, device_launch *l)
{
    const device_fiber *of_graph;
    if (l->own)
        device_fiber_free(layer->ctx, &l->fiber);
    l->own = false;
    switch ((mp_fiber_kind)k->fiber.kind) {
    case FIBER_NONE:
        l->fiber = (device_fiber){ .n_rows = rows->n_rows, .counts = k->rows.kind == ROWS_PAIRS ? device_pairs_count(p, k->rows.which) : NULL };
        return MP_OK;
    case FIBER_IN: case FIBER_OUT: case FIBER_GRAPH_DST: case FIBER_GRAPH_EDGE: {
        mp_status st = device_graph_fiber(p->graph, k->fiber, rows->ptr, rows->n_rows, &of_graph);
        if (!st)
            l->fiber = *of_graph;
        return st;
    }
    case FIBER_ALL: case FIBER_PAIR: case FIBER_PAIR_BASE: case FIBER_PAIR_INDEX: case FIBER_INDEX: break;
    }
    if (device_pairs_fiber(p, k->fiber, &l->fiber))
        return MP_OK;
    mp_status st = device_fiber_make(layer->ctx, rows->ptr, rows->n_rows, &l->fiber);
    l->own = !st;
    return st;
}

enum { WHOLE, BEFORE, AFTER };

/* A kernel over the rows of a fiber, or its stand-in. */
static mp_status make_part(mp_layer *layer, prepared *p, uint32_t kernel, int which, const device_fiber *f, device_part *out)
{
    struct device_program *v = p->device;
    const desc_kernel *k = &p->program->kernels[kernel];
    const device_code *c = &v->mod->code;
    uint32_t entry = which == WHOLE ? k->entry : which == BEFORE ? c->kernels[k->entry].before : c->kernels[k->entry].after;
    const int64_t *sizes = v->sizes + DEVICE_PART_SIZES * kernel + 2 * which;
    int64_t most;
    *out = (device_part){ .code = entry == DEVICE_NONE ? NULL : &c->kernels[entry] };
    if (!out->code)
        return MP_OK;
    out->functions = v->mod->kernels[entry];
    out->room_bytes = (size_t)sizes[0];
    out->state_bytes = (size_t)sizes[1];
    if (which == WHOLE && k->fiber.kind != FIBER_NONE && !out->functions.piece)
        return layer_error(layer, MP_INVALID, "the module is damaged: kernel %s has members, but no function for pieces", k->name);
    mp_status st = choose_room(layer->ctx, out, &most);
    if (st)
        return st;
    bool walks = out->functions.piece != NULL;
    out->view = (mp_device_launch){
        .ptr = (const long long *)f->ptr, .order = out->code->any_order ? f->order : NULL, .hi = f->n_rows, .hub_members = DEVICE_HUB,
        .hub_row = (const long long *)f->hub_row, .hub_first = (const long long *)f->hub_first, .n_hubs = f->n_hubs,
        .piece_row = (const long long *)f->piece_row, .piece_at = (const long long *)f->piece_at, .n_pieces = walks ? f->n_pieces : 0,
        .counts = (const long long *)f->counts, .piece_members = DEVICE_PIECE, .state_bytes = (long long)out->state_bytes, .room_bytes = (long long)out->room_bytes,
    };
    out->rows_grid = blocks_of(f->n_rows, out->code->rows_a_block, most);
    out->pieces_grid = blocks_of(out->view.n_pieces, out->code->pieces_a_block, most);
    return MP_OK;
}

mp_status device_launch_make(mp_layer *layer, prepared *p, uint32_t kernel, const fiber_rows *rows, int64_t most_members)
{
    device_launch *l = &p->device->launches[kernel];
    mp_status st = find_fiber(layer, p, &p->program->kernels[kernel], rows, l);
    if (!st)
        st = device_products_make(layer, p, kernel, rows->n_rows, rows->n_members, l);
    l->before = (device_part){ .code = NULL };
    if (!st && l->n_products)               /* members are its rows */
        st = make_part(layer, p, kernel, BEFORE, &(device_fiber){ .n_rows = rows->n_members }, &l->before);
    if (!st)
        st = make_part(layer, p, kernel, l->n_products ? AFTER : WHOLE, &l->fiber, &l->main);
    l->room_pieces = most_members < 0 ? l->fiber.n_pieces : device_fiber_most_pieces(most_members);
    l->made = !st;
    return st;
}

static bool part_memory(const device_part *part, int64_t pieces, size_t *states, size_t *room)
{
    int64_t blocks = part->rows_grid > part->pieces_grid ? part->rows_grid : part->pieces_grid;
    *states = *room = 0;
    return !part->code || (mem_size(pieces, part->state_bytes, states) && (part->shared || mem_size(blocks, part->room_bytes, room)));
}

bool device_launch_memory(const mp_context *ctx, const device_launch *l, size_t *states, size_t *room)
{
    size_t none, before;
    if (!part_memory(&l->main, l->room_pieces, states, room) || !part_memory(&l->before, 0, &none, &before) || *states > PTRDIFF_MAX / 2)
        return false;
    *room = before > *room ? before : *room;
    if (l->n_products)
        *states = round_up_64(*states) + l->own_bytes + device_blas_workspace(ctx);
    return true;
}

void device_launch_free(mp_context *ctx, device_launch *l)
{
    if (l->own)
        device_fiber_free(ctx, &l->fiber);
    device_products_free(ctx, l);
}
