/*
 * Tables and launches of a program on a GPU: see device_program.h.
 */
#include "runtime/device_program.h"

#include <string.h>

/* ---- Tables ----------------------------------------------------------------------------------------------------- */

/* Places of parts in one block, each at a multiple of 64 bytes. */
static size_t part(size_t *end, uint32_t n, size_t size)
{
    size_t at = *end;
    *end += round_up_64((size_t)n * size);
    return at;
}

static uint32_t count_ops(const desc_program *d)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < d->n_steps; i++)
        n += d->steps[i].kind == STEP_END ? 2 : d->steps[i].kind != STEP_LAUNCH && d->steps[i].kind != STEP_PAIRS;
    return n;
}

static mp_status make_tables(mp_context *ctx, prepared *p)
{
    struct device_program *v = p->device;
    const desc_program *d = p->program;
    size_t end = 0;
    v->n_ops = count_ops(d);
    size_t dim = part(&end, d->n_slots, sizeof *v->dim), real = part(&end, p->desc->n_statics, sizeof *v->real);
    size_t base = part(&end, d->n_buffers, sizeof *v->base), now = part(&end, d->n_buffers, sizeof *v->now);
    size_t step = part(&end, 2 * d->n_loops, sizeof *v->step), loops = part(&end, d->n_loops, sizeof *v->loops);
    size_t ops = part(&end, v->n_ops, sizeof *v->ops), replays = part(&end, d->n_replays, sizeof *v->replays);
    char *at = data_alloc(ctx, end);
    if (!at)
        return error_memory(ctx, end, "tables of a layer");
    v->tables = at;
    v->table_bytes = end;
    v->dim = (int64_t *)(void *)(at + dim);
    v->real = (double *)(void *)(at + real);
    v->base = (void **)(void *)(at + base);
    v->now = (void **)(void *)(at + now);
    v->step = (int64_t *)(void *)(at + step);
    v->loops = (mp_loop *)(void *)(at + loops);
    v->ops = (mp_op *)(void *)(at + ops);
    v->replays = (mp_replay *)(void *)(at + replays);
    mp_status st = device_fill(ctx, at, 0, end);
    if (!st)
        st = device_upload(ctx, v->dim, p->dim, d->n_slots * sizeof *p->dim);
    return st ? st : device_upload(ctx, v->real, p->real, p->desc->n_statics * sizeof *p->real);
}

/* Room and state of each kernel: from the code, or told by a function of it where they follow from the dims. */
static mp_status find_sizes(mp_context *ctx, prepared *p)
{
    struct device_program *v = p->device;
    const desc_program *d = p->program;
    bool asked = false;
    int64_t *out = data_alloc(ctx, (2 * (size_t)d->n_kernels + 1) * sizeof *out);
    mp_status st = out ? MP_OK : error_memory(ctx, 2 * d->n_kernels * sizeof *out, "sizes of kernels");
    for (uint32_t i = 0; i < d->n_kernels && !st; i++) {
        const device_kernel *k = &v->mod->code.kernels[d->kernels[i].entry];
        mp_sizes_args a = { (const long long *)v->dim, (long long *)(out + 2 * i), (int)d->kernels[i].entry };
        if (k->room_bytes >= 0 && k->state_bytes >= 0)
            continue;
        asked = true;
        device_enter(ctx);
        st = device_run(ctx, v->mod->sizes, 1, 1, 0, &a, NULL);
        device_leave(ctx);
    }
    if (!st && asked)
        st = device_download(ctx, v->sizes, out, 2 * d->n_kernels * sizeof *out);
    data_free(ctx, out, (2 * (size_t)d->n_kernels + 1) * sizeof *out);
    for (uint32_t i = 0; i < d->n_kernels && !st; i++) {
        const device_kernel *k = &v->mod->code.kernels[d->kernels[i].entry];
        if (k->room_bytes >= 0 && k->state_bytes >= 0) {
            v->sizes[2 * i] = k->room_bytes;
            v->sizes[2 * i + 1] = k->state_bytes;
        }
        if (v->sizes[2 * i] < 0 || v->sizes[2 * i + 1] < 0)
            st = error_set(ctx, MP_INVALID, "the dims are too large: the memory of kernel %s overflows", d->kernels[i].name);
    }
    return st;
}

/* The arrays on the host, with their lengths. */
#define ARRAYS(A) \
    A(launches, d->n_kernels) A(sizes, 2 * d->n_kernels) A(op, d->n_steps) \
    A(counted, d->n_loops) A(left, d->n_loops) A(number, d->n_loops) A(sent, d->n_buffers)

#define MAKE(array, n) && (v->array = mem_zeros(ctx, n, sizeof *v->array, "the state of a layer"))
#define FREE(array, n) mem_array_free(ctx, v->array, n, sizeof *v->array);

mp_status device_program_begin(mp_layer *layer, prepared *p, mp_module *mod)
{
    mp_context *ctx = layer->ctx;
    const desc_program *d = p->program;
    const device_module *code;
    mp_status st = device_module_load(mod, &code);
    if (st)
        return layer_error(layer, st, "%s", mp_error_message(ctx));
    struct device_program *v = p->device = mem_zalloc(ctx, sizeof *v);
    if (!v)
        return error_memory(ctx, sizeof *v, "the state of a layer");
    v->mod = code;
    st = true ARRAYS(MAKE) ? make_tables(ctx, p) : MP_SYSTEM;
    return st ? st : find_sizes(ctx, p);
}

void device_program_free(mp_context *ctx, prepared *p)
{
    struct device_program *v = p->device;
    const desc_program *d = p->program;
    if (!v)
        return;
    for (uint32_t i = 0; v->launches && i < d->n_kernels; i++)
        if (v->launches[i].own)
            device_fiber_free(ctx, &v->launches[i].fiber);
    ARRAYS(FREE)
    data_free(ctx, v->tables, v->table_bytes);
    mem_free(ctx, v, sizeof *v);
    p->device = NULL;
}

/* ---- Loops and steps -------------------------------------------------------------------------------------------- */

static int buffer_or_none(uint32_t one_more)
{
    return (int)one_more - 1;
}

static void write_loops(prepared *p, mp_loop *out)
{
    const desc_program *d = p->program;
    for (uint32_t i = 0; i < d->n_loops; i++) {
        const desc_loop *l = &d->loops[i];
        const loop_state *s = &p->loops[i];
        out[i] = (mp_loop){ .around = s->around == DESC_NONE ? -1 : (int)s->around, .again = (int)l->again, .until = l->until,
                            .tol = l->until ? (int)l->tol_buffer : -1, .change_at = l->until ? (int)l->change_buffer : -1,
                            .count_at = buffer_or_none(l->count_buffer), .steps_at = buffer_or_none(l->steps_buffer),
                            .limit = l->again ? 0 : desc_size_value(&l->limit, p->dim), .apart = s->apart, .first = -1 };
    }
}

static void write_ops(prepared *p, mp_op *out)
{
    const desc_program *d = p->program;
    uint32_t n = 0;
    int around = -1;
    for (uint32_t i = 0; i < d->n_steps; i++) {
        const desc_step *s = &d->steps[i];
        mp_op o = { .around = around, .a = (int)s->a, .b = (int)s->b };
        p->device->op[i] = (int)n;
        switch ((mp_step_kind)s->kind) {
        case STEP_LAUNCH: case STEP_PAIRS:
            p->device->op[i] = -1;
            continue;
        case STEP_LOOP:
            o.kind = MP_OP_LOOP;
            around = (int)s->a;
            break;
        case STEP_END:
            around = p->loops[s->a].around == DESC_NONE ? -1 : (int)p->loops[s->a].around;
            o.around = around;
            o.kind = MP_OP_END;
            out[n++] = o;
            o.kind = MP_OP_LEAVE;
            break;
        case STEP_SWAP:
            o.kind = MP_OP_SWAP;
            break;
        case STEP_SLOT: case STEP_SLOT_BACK:
            o.kind = s->kind == STEP_SLOT ? MP_OP_SLOT : MP_OP_SLOT_BACK;
            o.sequence = (int)d->buffers[s->a].index;
            o.bytes = (long long)p->bytes[s->a];
            o.apart = p->apart[d->buffers[s->a].index];
            break;
        case STEP_REPLAY: case STEP_REPLAYED:
            o.kind = s->kind == STEP_REPLAY ? MP_OP_REPLAY : MP_OP_REPLAYED;
            break;
        }
        out[n++] = o;
    }
}

/* The host follows a loop whose steps do not depend on results, in loops that it follows. */
static void find_counted(prepared *p)
{
    const desc_program *d = p->program;
    for (uint32_t i = 0; i < d->n_steps; i++) {
        if (d->steps[i].kind != STEP_LOOP)
            continue;
        uint32_t loop = d->steps[i].a, around = p->loops[loop].around;
        const desc_loop *l = &d->loops[loop];
        p->device->counted[loop] = !l->until && !l->count_buffer && (around == DESC_NONE || p->device->counted[around]);
    }
}

mp_status device_program_finish(mp_layer *layer, prepared *p)
{
    mp_context *ctx = layer->ctx;
    struct device_program *v = p->device;
    const desc_program *d = p->program;
    mp_loop *loops = mem_zeros(ctx, d->n_loops, sizeof *loops, "the state of a layer");
    mp_op *ops = mem_zeros(ctx, v->n_ops, sizeof *ops, "the state of a layer");
    mp_replay *replays = mem_zeros(ctx, d->n_replays, sizeof *replays, "the state of a layer");
    mp_status st = loops && ops && replays ? MP_OK : MP_SYSTEM;
    if (!st) {
        write_loops(p, loops);
        write_ops(p, ops);
        find_counted(p);
        for (uint32_t i = 0; i < d->n_replays; i++) {
            const desc_replay *r = &d->replays[i];
            replays[i] = (mp_replay){ (int)r->loop, (int)r->kept, (int)r->made, (int)r->cur, (int)r->next, (int)r->value,
                                      (long long)p->bytes[r->cur] };
        }
        st = device_upload(ctx, v->loops, loops, d->n_loops * sizeof *loops);
    }
    if (!st)
        st = device_upload(ctx, v->ops, ops, v->n_ops * sizeof *ops);
    if (!st)
        st = device_upload(ctx, v->replays, replays, d->n_replays * sizeof *replays);
    if (!st)
        st = device_synchronize(ctx);
    mem_array_free(ctx, loops, d->n_loops, sizeof *loops);
    mem_array_free(ctx, ops, v->n_ops, sizeof *ops);
    mem_array_free(ctx, replays, d->n_replays, sizeof *replays);
    return st;
}

/* ---- Launches --------------------------------------------------------------------------------------------------- */

/* Shared memory where it is enough, else the device's, which bounds the blocks: as many as run at a time. */
static mp_status choose_room(mp_context *ctx, device_launch *l, int64_t *most_blocks)
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
        l->fiber = (device_fiber){ .n_rows = rows->n_rows };
        return MP_OK;
    case FIBER_IN: case FIBER_OUT: case FIBER_GRAPH_DST: case FIBER_GRAPH_EDGE: {
        mp_status st = device_graph_fiber(p->graph, k->fiber, rows->ptr, rows->n_rows, &of_graph);
        if (!st)
            l->fiber = *of_graph;
        return st;
    }
    case FIBER_ALL: case FIBER_PAIR: case FIBER_PAIR_BASE: case FIBER_PAIR_INDEX: case FIBER_INDEX: break;
    }
    mp_status st = device_fiber_make(layer->ctx, rows->ptr, rows->n_rows, &l->fiber);
    l->own = !st;
    return st;
}

mp_status device_launch_make(mp_layer *layer, prepared *p, uint32_t kernel, const fiber_rows *rows, int64_t most_members)
{
    struct device_program *v = p->device;
    const desc_kernel *k = &p->program->kernels[kernel];
    device_launch *l = &v->launches[kernel];
    l->code = &v->mod->code.kernels[k->entry];
    l->functions = v->mod->kernels[k->entry];
    l->room_bytes = (size_t)v->sizes[2 * kernel];
    l->state_bytes = (size_t)v->sizes[2 * kernel + 1];
    if (k->fiber.kind != FIBER_NONE && !l->functions.piece)
        return layer_error(layer, MP_INVALID, "the module is damaged: kernel %s has members, but no function for pieces", k->name);
    mp_status st = find_fiber(layer, p, k, rows, l);
    int64_t most;
    if (!st)
        st = choose_room(layer->ctx, l, &most);
    if (st)
        return st;
    const device_fiber *f = &l->fiber;
    l->view = (mp_device_launch){
        .ptr = (const long long *)f->ptr, .order = l->code->any_order ? f->order : NULL, .hi = f->n_rows, .hub_members = DEVICE_HUB,
        .hub_row = (const long long *)f->hub_row, .hub_first = (const long long *)f->hub_first, .n_hubs = f->n_hubs,
        .piece_row = (const long long *)f->piece_row, .piece_at = (const long long *)f->piece_at, .n_pieces = f->n_pieces,
        .piece_members = DEVICE_PIECE, .state_bytes = (long long)l->state_bytes, .room_bytes = (long long)l->room_bytes,
    };
    l->rows_grid = blocks_of(f->n_rows, l->code->rows_a_block, most);
    l->pieces_grid = blocks_of(f->n_pieces, l->code->pieces_a_block, most);
    l->room_pieces = most_members < 0 ? f->n_pieces : device_fiber_most_pieces(most_members);
    l->made = true;
    return MP_OK;
}

bool device_launch_memory(const device_launch *l, size_t *states, size_t *room)
{
    int64_t blocks = l->rows_grid > l->pieces_grid ? l->rows_grid : l->pieces_grid;
    *room = 0;
    return mem_size(l->room_pieces, l->state_bytes, states) && (l->shared || mem_size(blocks, l->room_bytes, room));
}
