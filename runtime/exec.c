/*
 * Calls: the steps of a program. All that can be wrong is found before the first kernel runs; nothing is allocated.
 */
#include <math.h>
#include <string.h>

#include "runtime/device_program.h"

static double scalar(const prepared *p, uint32_t buffer)
{
    return *(const double *)p->now[buffer];
}

/* Is another step of the loop due? A NaN has moved. */
bool loop_goes_on(prepared *p, uint32_t loop)
{
    const desc_loop *l = &p->program->loops[loop];
    loop_state *s = &p->loops[loop];
    s->steps = ++p->step[loop];
    p->step[p->program->n_loops + loop]--;
    if (l->until) {
        s->change = scalar(p, l->change_buffer);
        if (s->change < scalar(p, l->tol_buffer))
            return false;
    }
    return s->steps < s->most;
}

/* The entry of a sequence for the step of a loop. */
static int64_t entry_of(const prepared *p, uint32_t loop, bool back)
{
    return p->step[back ? p->program->n_loops + loop : loop];
}

/* From the last state kept at or before the one asked for to the end of what lies between it and the next one kept: all
 * at once, so that it serves the steps after, too. */
static bool begin_again(prepared *p, uint32_t loop)
{
    loop_state *s = &p->loops[loop];
    const uint32_t n = p->program->n_loops;
    int64_t entry = entry_of(p, s->around, p->program->loops[loop].again == 2), first = entry - entry % s->apart;
    if (first == s->first)
        return false;
    int64_t last = p->step[s->around] + p->step[n + s->around];        /* of all that were recorded */
    s->first = p->step[loop] = first;
    p->step[n + loop] = last - first;
    s->most = last - first < s->apart ? last : first + s->apart - 1;
    return s->most > first;
}

/* The states of a loop that runs again: where its step reads and writes them, or the ones that it was asked for. */
static void place_states(prepared *p, uint32_t loop, bool in_step)
{
    const desc_program *d = p->program;
    const loop_state *s = &p->loops[loop];
    const int64_t at = (in_step ? p->step[loop] : entry_of(p, s->around, d->loops[loop].again == 2)) - s->first;
    for (uint32_t i = 0; i < d->n_replays; i++) {
        const desc_replay *r = &d->replays[i];
        if (r->loop != loop)
            continue;
        const size_t bytes = p->bytes[r->cur];
        char *made = p->now[r->made], *kept = (char *)p->now[r->kept] + (size_t)(s->first / s->apart) * bytes;
        void *now = at ? made + (size_t)(at - 1) * bytes : kept;
        if (in_step) {
            p->now[r->cur] = now;
            p->now[r->next] = made + (size_t)at * bytes;
        } else {
            p->now[r->value] = now;
        }
    }
}

/* Returns whether there is a first step. */
bool loop_begin(prepared *p, uint32_t loop)
{
    const desc_loop *l = &p->program->loops[loop];
    if (l->again)
        return begin_again(p, loop);
    int64_t most = desc_size_value(&l->limit, p->dim);
    if (l->count_buffer) {
        double count = scalar(p, l->count_buffer - 1);
        most = count < (double)most ? count > 0 ? (int64_t)count : 0 : most;
    }
    p->step[loop] = 0;
    p->step[p->program->n_loops + loop] = most - 1;
    p->loops[loop].steps = 0;
    p->loops[loop].change = NAN;
    p->loops[loop].most = most;
    for (uint32_t i = 0; i < p->program->n_loops; i++)
        if (p->loops[i].around == loop)
            p->loops[i].first = -1;
    return most > 0;
}

static void end_loop(prepared *p, uint32_t loop)
{
    uint32_t steps = p->program->loops[loop].steps_buffer;
    if (steps)
        *(double *)p->now[steps - 1] = (double)p->loops[loop].steps;
}

/* A slot's place is an entry of its sequence. */
static void place_slot(prepared *p, const desc_step *s)
{
    const desc_program *d = p->program;
    const uint32_t sequence = d->buffers[s->a].index;
    int64_t entry = entry_of(p, s->b, s->kind == STEP_SLOT_BACK), apart = p->apart[sequence];
    if (apart > 1)                              /* of those that are not kept there is one place, behind the others */
        entry = entry % apart ? (p->loops[s->b].most + apart - 1) / apart : entry / apart;
    p->now[s->a] = (char *)p->now[sequence] + (size_t)entry * p->bytes[s->a];
}

static void run_steps(mp_layer *layer, prepared *p)
{
    const desc_program *d = p->program;
    for (uint32_t i = 0; i < d->n_steps; i++) {
        const desc_step *s = &d->steps[i];
        if (s->at_prepare || p->left_out[i])
            continue;
        switch ((mp_step_kind)s->kind) {
        case STEP_LAUNCH:
            launch_run(layer->ctx, &p->launches[s->a], &p->args, &p->memory);
            break;
        case STEP_PAIRS:
            pairs_run(layer, p, s->a);
            break;
        case STEP_LOOP:
            if (loop_begin(p, s->a))
                break;
            end_loop(p, s->a);
            i = p->loop_end[s->a];
            break;
        case STEP_END:
            if (loop_goes_on(p, s->a))
                i = p->loop_start[s->a];
            else
                end_loop(p, s->a);
            break;
        case STEP_SLOT: case STEP_SLOT_BACK:
            place_slot(p, s);
            break;
        case STEP_REPLAY: case STEP_REPLAYED:
            place_states(p, s->a, s->kind == STEP_REPLAY);
            break;
        case STEP_SWAP: {
            void *a = p->now[s->a];
            p->now[s->a] = p->now[s->b];
            p->now[s->b] = a;
            break;
        }
        }
    }
}

mp_status program_run(mp_layer *layer, prepared *p)
{
    if (p->program->n_buffers)
        memcpy(p->now, p->base, p->program->n_buffers * sizeof *p->base);
    if (p->device)
        return device_program_run(layer, p);
    tensors_feed(layer, p, false);
    run_steps(layer, p);
    tensors_drain(layer, p);
    return MP_OK;
}

/* The forward pass, and those of training where gradients are bound. */
static mp_status prepare_asked(mp_layer *layer, mp_graph *g)
{
    mp_status st = layer_prepare(layer, g, DESC_FORWARD);
    if (!st && layer_has_gradients(layer))
        st = layer_prepare(layer, g, DESC_TRAIN);
    if (!st && layer_has_gradients(layer))
        st = layer_prepare(layer, g, DESC_BACKWARD);
    return st;
}

mp_status mp_prepare(mp_layer *layer, mp_graph *g)
{
    mp_status st = layer_check_call(layer, g, "mp_prepare");
    if (!st)
        st = prepare_asked(layer, g);
    return st ? st : layer_place(layer, DESC_FORWARD);
}

void layer_ran(mp_layer *layer, desc_program_kind kind)
{
    layer->ran = true;
    layer->last = kind;
    layer_set_shapes(layer, layer->prepared[kind]);
}

mp_status mp_forward(mp_layer *layer, mp_graph *g)
{
    mp_status st = layer_check_call(layer, g, "mp_forward");
    if (!st)
        st = layer_prepare(layer, g, DESC_FORWARD);
    if (!st)
        st = layer_place(layer, DESC_FORWARD);
    if (st)
        return st;
    st = program_run(layer, layer->prepared[DESC_FORWARD]);
    if (!st)
        layer_ran(layer, DESC_FORWARD);
    return st;
}

mp_status mp_output(mp_layer *layer, const char *name, DLTensor *out)
{
    if (!layer)
        return MP_USAGE;
    if (!name || !out)
        return layer_error(layer, MP_USAGE, "mp_output: the name and the result must not be NULL");
    mp_role role;
    uint32_t i;
    mp_status st = layer_find(layer, name, &role, &i);
    if (st)
        return st;
    if (role != MP_OUTPUT)
        return layer_error(layer, MP_USAGE, "%s is no output", name);
    if (!layer->ran)
        return layer_error(layer, MP_USAGE, "%s: there has been no forward pass yet", name);
    static const tensor_type type_of[] = {
        [MP_F32] = TENSOR_F32, [MP_F64] = TENSOR_F64, [MP_F16] = TENSOR_F16, [MP_BF16] = TENSOR_BF16,
        [MP_INDEX] = TENSOR_I32, [MP_BOOL] = TENSOR_BOOL,
    };
    const binding *b = &layer->outputs[i];
    const desc_value *v = &layer->desc->outputs[i];
    own_output *own = &layer->own[i];
    if (b->bound)
        *out = b->t;
    else
        *out = (DLTensor){ .data = own->data, .device = layer->ctx->options.device, .ndim = (int)v->rank + (desc_value_has_rows(v) ? 1 : 0),
                           .dtype = tensor_dtype(type_of[v->type]), .shape = own->shape };
    return MP_OK;
}

mp_status mp_set_workspace(mp_layer *layer, void *memory, size_t bytes)
{
    if (!layer)
        return MP_USAGE;
    if ((uintptr_t)memory % MEM_ALIGN)
        return layer_error(layer, MP_USAGE, "the workspace must be aligned to %d bytes", MEM_ALIGN);
    layer->workspace = memory;
    layer->workspace_bytes = memory ? bytes : 0;
    return MP_OK;
}

mp_status mp_set_state_memory(mp_layer *layer, size_t bytes)
{
    if (!layer)
        return MP_USAGE;
    layer->bound.forms += layer->state_memory != bytes;
    layer->state_memory = bytes;
    return MP_OK;
}

mp_status mp_workspace_bytes(mp_layer *layer, mp_graph *g, size_t *bytes)
{
    mp_status st = layer_check_call(layer, g, "mp_workspace_bytes");
    if (!st && !bytes)
        st = layer_error(layer, MP_USAGE, "mp_workspace_bytes: the result must not be NULL");
    if (!st)
        st = prepare_asked(layer, g);
    if (!st)
        *bytes = layer_workspace(layer);
    return st;
}
