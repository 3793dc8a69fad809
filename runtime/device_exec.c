/*
 * Calls on a GPU: see device_program.h. Nothing here waits or allocates, but for tensors of the host.
 */
#include "runtime/device_product.h"

#include <string.h>

/* ---- Steps that are not launches -------------------------------------------------------------------------------- */

static void failed(prepared *p, mp_status st)
{
    if (!p->device->failed)
        p->device->failed = st;
}

static void flush(mp_context *ctx, prepared *p)
{
    struct device_program *v = p->device;
    if (!v->pending.n)
        return;
    v->pending.now = v->now;
    v->pending.step = (long long *)v->step;
    v->pending.loops = v->loops;
    v->pending.ops = v->ops;
    v->pending.replays = v->replays;
    v->pending.seen = (unsigned long long *)(uintptr_t)ctx->device->seen;
    v->pending.n_loops = (int)p->program->n_loops;
    v->pending.n_replays = (int)p->program->n_replays;
    failed(p, device_run(ctx, v->mod->control, 1, 32, 0, &v->pending, NULL));
    v->pending.n = 0;
}

static void add_op(mp_context *ctx, prepared *p, int op, uint32_t loop)
{
    mp_control_args *a = &p->device->pending;
    if (a->n == MP_CONTROL_OPS)
        flush(ctx, p);
    a->op[a->n] = op;
    a->number[a->n++] = loop == DESC_NONE ? 0 : p->device->number[loop];
}

/* The places of buffers, as far as the device does not have them. Those that a call may find elsewhere than the one before
 * are told each time: a call that was captured in a graph tells those that it was captured with. */
static bool is_told(const prepared *p, uint32_t k)
{
    switch ((mp_buffer_kind)p->program->buffers[k].kind) {
    case BUF_INPUT: case BUF_OUTPUT: case BUF_COTANGENT: case BUF_GRADIENT: case BUF_SAVED: case BUF_WORK: return true;
    case BUF_GRAPH: case BUF_PAIR_ROW: case BUF_PAIR_IDX: case BUF_PAIR_MEMBER: case BUF_PAIR_OF: case BUF_PAIR_BY_INDEX:
    case BUF_EDGE_ROW: case BUF_EDGE_ROW_OUT: case BUF_SLOT: break;
    }
    return p->device->sent[k] != p->base[k];
}

static void begin(mp_context *ctx, prepared *p)
{
    struct device_program *v = p->device;
    mp_begin_args a = { .base = v->base, .now = v->now, .n_buffers = (int)p->program->n_buffers };
    for (uint32_t k = 0; k < p->program->n_buffers; k++) {
        if (!is_told(p, k))
            continue;
        a.buffer[a.n] = (int)k;
        a.place[a.n++] = v->sent[k] = p->base[k];
        if (a.n == MP_BEGIN_PLACES) {
            failed(p, device_run(ctx, v->mod->begin, 1, 256, 0, &a, NULL));
            a.n = 0;
        }
    }
    failed(p, device_run(ctx, v->mod->begin, 1, 256, 0, &a, NULL));
}

/* ---- Launches --------------------------------------------------------------------------------------------------- */

static void put_part(mp_context *ctx, prepared *p, const device_launch *l, const device_part *part, const launch_memory *memory, char *own)
{
    struct device_program *v = p->device;
    mp_device_args a = { .buf = v->now, .dim = (const long long *)v->dim, .real = v->real, .step = (const long long *)v->step,
                         .seed = p->args.seed, .training = p->args.training };
    mp_device_launch view = part->view;
    if (!part->code)
        return;
    view.state = memory->states;
    view.room = part->shared ? NULL : memory->scratch;
    for (int i = 0; i < MP_DEVICE_OWN && l->n_products; i++)
        view.own[i] = own + l->own_at[i];
    size_t shared = part->shared ? part->room_bytes : 0;
    if (view.n_pieces)
        failed(p, device_run(ctx, part->functions.piece, part->pieces_grid, (int)part->code->threads, shared, &a, &view));
    failed(p, device_run(ctx, part->functions.rows, part->rows_grid, (int)part->code->threads, shared, &a, &view));
}

/* A kernel; or what is done before its products, the products by cuBLAS, what is done after. Its own memory is behind the states. */
static void put_launch(mp_context *ctx, prepared *p, uint32_t kernel, const launch_memory *memory)
{
    const device_launch *l = &p->device->launches[kernel];
    char *own = memory->states;
    if (l->n_products)
        own += round_up_64((size_t)l->room_pieces * l->main.state_bytes);
    flush(ctx, p);
    put_part(ctx, p, l, &l->before, memory, own);
    if (l->n_products && !p->device->failed)
        failed(p, device_products_run(ctx, p, l, own));
    put_part(ctx, p, l, &l->main, memory, own);
}

mp_status device_launch_now(mp_layer *layer, prepared *p, uint32_t kernel)
{
    mp_context *ctx = layer->ctx;
    size_t states, room;
    if (!device_launch_memory(ctx, &p->device->launches[kernel], &states, &room))
        return layer_error(layer, MP_SYSTEM, "the scratch of kernel %s is too large", p->program->kernels[kernel].name);
    launch_memory m = { data_alloc(ctx, states), data_alloc(ctx, room), 0 };
    p->device->failed = m.states && m.scratch ? MP_OK : error_memory(ctx, states + room, "the scratch of a kernel");
    device_enter(ctx);
    if (!p->device->failed) {
        begin(ctx, p);
        put_launch(ctx, p, kernel, &m);
    }
    device_leave(ctx);
    data_free(ctx, m.states, states);
    data_free(ctx, m.scratch, room);
    return p->device->failed;
}

/* ---- Programs --------------------------------------------------------------------------------------------------- */

/* Steps that the host puts on the stream for a loop that it cannot follow. */
static int64_t most_steps(const prepared *p, uint32_t loop)
{
    const desc_loop *l = &p->program->loops[loop];
    return l->again ? p->loops[loop].apart - 1 : desc_size_value(&l->limit, p->dim);
}

typedef struct running { int64_t left; bool capturing; } running;

/* Is there a step to put on the stream? One that the host cannot follow may have ended: a kernel has said so by its number
 * then, if it has come that far. */
static bool begin_loop(mp_context *ctx, prepared *p, uint32_t loop, int64_t *left)
{
    device *d = ctx->device;
    p->device->number[loop] = (unsigned)atomic_fetch_add(&d->loops, 1) + 1;
    *left = most_steps(p, loop);
    return p->device->counted[loop] ? loop_begin(p, loop) : *left > 0;
}

static bool goes_on(mp_context *ctx, prepared *p, uint32_t loop, int64_t *left, bool capturing)
{
    if (p->device->counted[loop])
        return loop_goes_on(p, loop);
    return --*left > 0 && (capturing || *ctx->device->seen != p->device->number[loop]);
}

static mp_status run_steps(mp_layer *layer, prepared *p)
{
    mp_context *ctx = layer->ctx;
    const desc_program *d = p->program;
    const bool capturing = d->n_loops && device_is_capturing(ctx);
    int64_t *left = p->device->left;
    for (uint32_t i = 0; i < d->n_steps && !p->device->failed; i++) {
        const desc_step *s = &d->steps[i];
        int op = p->device->op[i];
        if (s->at_prepare || p->left_out[i])
            continue;
        switch ((mp_step_kind)s->kind) {
        case STEP_LAUNCH:
            put_launch(ctx, p, s->a, &p->memory);
            break;
        case STEP_PAIRS:
            flush(ctx, p);
            failed(p, device_pairs_run(ctx, p, s->a));
            break;
        case STEP_LOOP: {
            bool first = begin_loop(ctx, p, s->a, &left[s->a]);
            add_op(ctx, p, op, s->a);
            if (first)
                break;
            i = p->loop_end[s->a];
            add_op(ctx, p, p->device->op[i] + 1, s->a);
            break;
        }
        case STEP_END:
            add_op(ctx, p, op, s->a);
            if (goes_on(ctx, p, s->a, &left[s->a], capturing))
                i = p->loop_start[s->a];
            else
                add_op(ctx, p, op + 1, s->a);
            break;
        case STEP_SWAP: case STEP_SLOT: case STEP_SLOT_BACK: case STEP_REPLAY: case STEP_REPLAYED:
            add_op(ctx, p, op, DESC_NONE);
            break;
        }
    }
    flush(ctx, p);
    return p->device->failed;
}

mp_status device_program_run(mp_layer *layer, prepared *p)
{
    mp_context *ctx = layer->ctx;
    p->device->failed = MP_OK;
    p->device->fetched = false;
    p->device->pending.n = 0;
    device_enter(ctx);
    tensors_feed(layer, p, false);
    begin(ctx, p);
    run_steps(layer, p);
    tensors_drain(layer, p);
    device_leave(ctx);
    return p->device->failed;
}

void device_program_fetch(mp_layer *layer, prepared *p)
{
    mp_context *ctx = layer->ctx;
    uint32_t n = p->program->n_loops;
    if (!n || p->device->fetched)
        return;
    mp_loop *loops = mem_array(ctx, n, sizeof *loops, "iterations");
    if (loops && !device_download(ctx, loops, p->device->loops, n * sizeof *loops)) {
        for (uint32_t i = 0; i < n; i++) {
            p->loops[i].steps = loops[i].steps;
            p->loops[i].change = loops[i].change;
        }
        p->device->fetched = true;
    }
    mem_array_free(ctx, loops, n, sizeof *loops);
}
