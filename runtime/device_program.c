/*
 * Tables of a program on a GPU: see device_program.h.
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

enum { PARTS = 3, SIZES = DEVICE_PART_SIZES };

/* The kernel itself, or what stands in for it; NULL: nothing does. */
static const device_kernel *part_of(const prepared *p, uint32_t kernel, int i, uint32_t *entry)
{
    const device_code *c = &p->device->mod->code;
    *entry = p->program->kernels[kernel].entry;
    if (i)
        *entry = i == 1 ? c->kernels[*entry].before : c->kernels[*entry].after;
    return *entry == DEVICE_NONE ? NULL : &c->kernels[*entry];
}

static bool knows_sizes(const device_kernel *k)
{
    return !k || (k->room_bytes >= 0 && k->state_bytes >= 0);
}

/* Room and state of each kernel: from the code, or told by a function of it where they follow from the dims. */
static mp_status find_sizes(mp_context *ctx, prepared *p)
{
    struct device_program *v = p->device;
    const uint32_t n = PARTS * p->program->n_kernels;
    size_t bytes = (2 * (size_t)n + 1) * sizeof(int64_t);
    bool asked = false;
    uint32_t entry;
    int64_t *out = data_alloc(ctx, bytes);
    mp_status st = out ? MP_OK : error_memory(ctx, bytes, "sizes of kernels");
    for (uint32_t i = 0; i < n && !st; i++) {
        if (knows_sizes(part_of(p, i / PARTS, (int)(i % PARTS), &entry)))
            continue;
        mp_sizes_args a = { (const long long *)v->dim, (long long *)(out + 2 * i), (int)entry };
        asked = true;
        device_enter(ctx);
        st = device_run(ctx, v->mod->sizes, 1, 1, 0, &a, NULL);
        device_leave(ctx);
    }
    if (!st && asked)
        st = device_download(ctx, v->sizes, out, 2 * (size_t)n * sizeof *out);
    data_free(ctx, out, bytes);
    for (uint32_t i = 0; i < n && !st; i++) {
        const device_kernel *k = part_of(p, i / PARTS, (int)(i % PARTS), &entry);
        if (knows_sizes(k)) {
            v->sizes[2 * i] = k ? k->room_bytes : 0;
            v->sizes[2 * i + 1] = k ? k->state_bytes : 0;
        }
        if (v->sizes[2 * i] < 0 || v->sizes[2 * i + 1] < 0)
            st = error_set(ctx, MP_INVALID, "the dims are too large: the memory of kernel %s overflows", p->program->kernels[i / PARTS].name);
    }
    return st;
}

/* The arrays on the host, with their lengths. */
#define ARRAYS(A) \
    A(launches, d->n_kernels) A(sizes, (int64_t)SIZES * d->n_kernels) A(op, d->n_steps) \
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
        device_launch_free(ctx, &v->launches[i]);
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
