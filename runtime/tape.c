/*
 * Training passes, backwards, and their tapes.
 *
 * A backward runs on the tensors that were bound at its forward: for its time the layer's lists of tensors are exchanged
 * for the tape's. When they have the form of those the backward was last prepared for, only pointers are set anew.
 */
#include "runtime/tape.h"

#include <string.h>

#include "runtime/device.h"

/* ---- Layout ----------------------------------------------------------------------------------------------------- */

static bool backward_reads(const desc_layer *l, uint32_t output)
{
    const desc_program *d = desc_find_program(l, DESC_BACKWARD);
    for (uint32_t k = 0; d && k < d->n_buffers; k++)
        if (d->buffers[k].kind == BUF_OUTPUT && d->buffers[k].index == output)
            return true;
    return false;
}

/* Will the output lie in memory of the caller's as the kernels wrote it? */
static bool stays(const mp_layer *layer, const prepared *p, uint32_t buffer)
{
    for (uint32_t i = 0; i < p->n_drains; i++)
        if (p->drains[i].buffer == buffer)
            return false;
    return layer->outputs[p->program->buffers[buffer].index].bound;
}

mp_status tape_layout(mp_layer *layer, prepared *p)
{
    const desc_program *d = p->program;
    size_t end = 0;
    bool fits = true;
    for (uint32_t i = 0; i < p->desc->n_outputs; i++)
        p->kept_at[i] = SIZE_MAX;
    for (uint32_t k = 0; k < d->n_buffers; k++) {
        const desc_buffer *b = &d->buffers[k];
        bool keeps = b->kind == BUF_OUTPUT && backward_reads(p->desc, b->index) && !stays(layer, p, k);
        if (b->kind != BUF_SAVED && !keeps)
            continue;
        *(keeps ? &p->kept_at[b->index] : &p->saved_at[b->index]) = end;
        fits &= p->bytes[k] <= PTRDIFF_MAX - 64 && !__builtin_add_overflow(end, round_up_64(p->bytes[k]), &end) &&
                end <= PTRDIFF_MAX;
    }
    p->tape_bytes = end;
    return fits ? MP_OK : layer_error(layer, MP_SYSTEM, "a tape is too large");
}

/* ---- Life ------------------------------------------------------------------------------------------------------- */

/* What the last forward left, but for memory. */
static void tape_clear(mp_tape *t)
{
    for (uint32_t i = 0; t->inputs && i < t->n_inputs; i++)
        binding_drop(t->ctx, &t->inputs[i]);
    for (uint32_t i = 0; t->outputs && i < t->n_outputs; i++)
        binding_drop(t->ctx, &t->outputs[i]);
    graph_release(t->graph);
    t->graph = NULL;
    t->filled = false;
}

static void tape_free(mp_tape *t)
{
    mp_context *ctx = t->ctx;
    tape_clear(t);
    mem_array_free(ctx, t->inputs, t->n_inputs, sizeof *t->inputs);
    mem_array_free(ctx, t->outputs, t->n_outputs, sizeof *t->outputs);
    mem_array_free(ctx, t->kept_at, t->n_outputs, sizeof *t->kept_at);
    mem_array_free(ctx, t->saved_at, t->n_saved, sizeof *t->saved_at);
    mem_array_free(ctx, t->saved_bytes, t->n_saved, sizeof *t->saved_bytes);
    mem_array_free(ctx, t->steps, t->n_loops, sizeof *t->steps);
    data_free(ctx, t->memory, t->bytes);
    mem_free(ctx, t, sizeof *t);
    context_release(ctx);
}

static void take_from_layer(mp_tape *t)
{
    for (mp_tape **at = &t->layer->tapes; *at; at = &(*at)->next)
        if (*at == t) {
            *at = t->next;
            return;
        }
}

void tapes_leave(mp_layer *layer)
{
    for (mp_tape *t = layer->tapes, *next; t; t = next) {
        next = t->next;
        t->layer = NULL;
        if (t->at_rest)
            tape_free(t);
    }
    layer->tapes = NULL;
}

void mp_tape_destroy(mp_tape *tape)
{
    if (!tape)
        return;
    uint32_t n = 0;
    for (const mp_tape *t = tape->layer ? tape->layer->tapes : NULL; t; t = t->next)
        n += t->at_rest;
    if (tape->layer && n < TAPES_AT_REST) {
        tape_clear(tape);
        tape->at_rest = true;
        return;
    }
    if (tape->layer)
        take_from_layer(tape);
    tape_free(tape);
}

/* One at rest, or a new one. */
static mp_status tape_find(mp_layer *layer, mp_tape **out)
{
    for (mp_tape *t = layer->tapes; t; t = t->next)
        if (t->at_rest) {
            *out = t;
            return MP_OK;
        }
    mp_context *ctx = layer->ctx;
    mp_tape *t = mem_zalloc(ctx, sizeof *t);
    if (!t)
        return error_memory(ctx, sizeof *t, "a tape");
    context_retain(ctx);
    t->ctx = ctx;
    t->n_inputs = layer->desc->n_inputs;
    t->n_outputs = layer->desc->n_outputs;
    t->inputs = mem_zeros(ctx, t->n_inputs, sizeof *t->inputs, "a tape");
    t->outputs = mem_zeros(ctx, t->n_outputs, sizeof *t->outputs, "a tape");
    t->kept_at = mem_zeros(ctx, t->n_outputs, sizeof *t->kept_at, "a tape");
    if (!t->inputs || !t->outputs || !t->kept_at) {
        tape_free(t);
        return MP_SYSTEM;
    }
    t->layer = layer;
    t->at_rest = true;
    t->next = layer->tapes;
    layer->tapes = t;
    *out = t;
    return MP_OK;
}

/* An array of another length; what was in it is lost. */
static bool renew(mp_context *ctx, void *array, uint32_t old, uint32_t n, size_t size)
{
    void **at = array;
    if (*at && old == n)
        return true;
    mem_array_free(ctx, *at, old, size);
    *at = mem_zeros(ctx, n, size, "a tape");
    return *at != NULL;
}

/* Room for what the prepared program leaves. What the tape held is lost, whatever comes. */
static mp_status tape_room(mp_tape *t, const prepared *p)
{
    mp_context *ctx = t->ctx;
    tape_clear(t);
    uint32_t n = p->desc->n_saved, loops = p->program->n_loops;
    bool ok = renew(ctx, &t->saved_at, t->n_saved, n, sizeof *t->saved_at);
    ok = renew(ctx, &t->saved_bytes, t->n_saved, n, sizeof *t->saved_bytes) && ok;
    t->n_saved = n;
    ok = renew(ctx, &t->steps, t->n_loops, loops, sizeof *t->steps) && ok;
    t->n_loops = loops;
    if (!ok)
        return MP_SYSTEM;
    if (t->memory && t->bytes >= p->tape_bytes)
        return MP_OK;
    data_free(ctx, t->memory, t->bytes);
    t->memory = data_alloc(ctx, p->tape_bytes);
    t->bytes = t->memory ? p->tape_bytes : 0;
    return t->memory ? MP_OK : error_memory(ctx, p->tape_bytes, "a tape");
}

/* ---- The training pass ------------------------------------------------------------------------------------------ */

static mp_status check_training(mp_layer *layer, const mp_graph *g, const char *call)
{
    mp_status st = layer_check_call(layer, g, call);
    return st ? st : layer_trains(layer);
}

/* Both passes, so that the backward finds all in place. */
static mp_status prepare_training(mp_layer *layer, mp_graph *g)
{
    mp_status st = layer_prepare(layer, g, DESC_TRAIN);
    return st || !layer_has_gradients(layer) ? st : layer_prepare(layer, g, DESC_BACKWARD);
}

mp_status mp_tape_bytes(mp_layer *layer, mp_graph *g, size_t *bytes)
{
    mp_status st = check_training(layer, g, "mp_tape_bytes");
    if (!st && !bytes)
        st = layer_error(layer, MP_USAGE, "mp_tape_bytes: the result must not be NULL");
    if (!st)
        st = prepare_training(layer, g);
    if (!st)
        *bytes = layer->prepared[DESC_TRAIN]->tape_bytes;
    return st;
}

static void point_to_tape(prepared *p, const mp_tape *t)
{
    for (uint32_t k = 0; k < p->program->n_buffers; k++) {
        const desc_buffer *b = &p->program->buffers[k];
        if (b->kind == BUF_SAVED)
            p->base[k] = t->memory + t->saved_at[b->index];
        if (p->from_tape[k])
            p->base[k] = t->memory + t->kept_at[b->index];
    }
}

bool tape_keeps(const mp_layer *layer, uint32_t output)
{
    const prepared *p = layer->prepared[DESC_TRAIN];
    const size_t *at = layer->running ? layer->running->kept_at : p ? p->kept_at : NULL;
    return at && at[output] != SIZE_MAX;
}

/* After the pass: all that the backward asks for. */
static void tape_fill(mp_layer *layer, const prepared *p, mp_graph *g, uint64_t seed, mp_tape *t)
{
    const desc_program *d = p->program;
    t->desc = p->desc;
    t->seed = seed;
    t->bound = layer->bound;
    t->state_memory = layer->state_memory;
    graph_retain(g);
    t->graph = g;
    for (uint32_t i = 0; i < t->n_inputs; i++)
        binding_share(t->ctx, &t->inputs[i], &layer->inputs[i]);
    for (uint32_t i = 0; i < t->n_outputs; i++)
        binding_share(t->ctx, &t->outputs[i], &layer->outputs[i]);
    for (uint32_t k = 0; k < d->n_buffers; k++) {
        uint32_t i = d->buffers[k].index;
        if (d->buffers[k].kind == BUF_SAVED)
            t->saved_bytes[i] = p->bytes[k];
        if (d->buffers[k].kind == BUF_OUTPUT && p->kept_at[i] != SIZE_MAX)
            copy_bytes(layer->ctx, t->memory + p->kept_at[i], p->base[k], p->bytes[k]);
    }
    for (uint32_t i = 0; i < d->n_loops; i++)
        t->steps[i] = p->loops[i].steps;
    t->filled = true;
    t->at_rest = false;
}

mp_status mp_forward_train(mp_layer *layer, mp_graph *g, uint64_t seed, mp_tape **tape)
{
    mp_status st = check_training(layer, g, "mp_forward_train");
    if (!st && !tape)
        st = layer_error(layer, MP_USAGE, "mp_forward_train: the tape must not be NULL");
    if (!st && *tape && (*tape)->layer != layer)
        st = layer_error(layer, MP_USAGE, "mp_forward_train: the tape is another layer's");
    if (!st)
        st = prepare_training(layer, g);
    if (!st)
        st = layer_place(layer, DESC_TRAIN);
    mp_tape *t = st ? NULL : *tape;
    prepared *p = layer ? layer->prepared[DESC_TRAIN] : NULL;
    if (!st && !t)
        st = tape_find(layer, &t);
    if (!st)
        st = tape_room(t, p);
    if (st)
        return st;
    if (t->n_saved)
        memcpy(t->saved_at, p->saved_at, t->n_saved * sizeof *t->saved_at);
    if (t->n_outputs)
        memcpy(t->kept_at, p->kept_at, t->n_outputs * sizeof *t->kept_at);
    point_to_tape(p, t);
    p->args.seed = seed;
    p->args.training = !layer->no_dropout;
    t->no_dropout = layer->no_dropout;
    st = program_run(layer, p);
    if (st)
        return st;
    layer_ran(layer, DESC_TRAIN);
    tape_fill(layer, p, g, seed, t);
    *tape = t;
    return MP_OK;
}

/* ---- The backward ----------------------------------------------------------------------------------------------- */

/* The layer's own tensors, while the tape's stand in their place. */
typedef struct set_aside { binding *inputs, *outputs; bind_count bound; size_t state_memory; } set_aside;

static set_aside exchange(mp_layer *layer, mp_tape *t)
{
    set_aside mine = { layer->inputs, layer->outputs, layer->bound, layer->state_memory };
    layer->state_memory = t->state_memory;
    layer->inputs = t->inputs;
    layer->outputs = t->outputs;
    layer->bound = t->bound;
    layer->running = t;
    return mine;
}

/* Other tensors may have given the dims other values. */
static void give_back(mp_layer *layer, const mp_tape *t, set_aside mine)
{
    layer->inputs = mine.inputs;
    layer->outputs = mine.outputs;
    layer->bound = mine.bound;
    layer->state_memory = mine.state_memory;
    layer->running = NULL;
    if (t->bound.forms == mine.bound.forms)
        return;
    dim_values_copy(&layer->spare, &layer->given);
    if (dims_settle(layer->ctx, layer->desc, layer->shapes, layer_shapes(layer, NULL), &layer->spare) == MP_OK)
        dim_values_copy(&layer->values, &layer->spare);
}

/* The program must want what the tape has. */
static mp_status check_saved(mp_layer *layer, const prepared *p, const mp_tape *t)
{
    if (p->desc != t->desc)
        return layer_error(layer, MP_USAGE, "mp_backward: the tape was made by other code");
    for (uint32_t k = 0; k < p->program->n_buffers; k++) {
        const desc_buffer *b = &p->program->buffers[k];
        if (b->kind == BUF_SAVED && !p->unused[k] && t->saved_bytes[b->index] != p->bytes[k])
            return layer_error(layer, MP_INVALID, "the module is damaged: %s is saved as %zu bytes and read as %zu", b->name,
                               t->saved_bytes[b->index], p->bytes[k]);
    }
    return MP_OK;
}

static mp_status run_backward(mp_layer *layer, mp_tape *t)
{
    mp_status st = layer_prepare(layer, t->graph, DESC_BACKWARD);
    if (!st)
        st = layer_place(layer, DESC_BACKWARD);
    prepared *p = layer->prepared[DESC_BACKWARD];
    if (!st)
        st = check_saved(layer, p, t);
    if (st)
        return st;
    point_to_tape(p, t);
    p->args.seed = t->seed;
    p->args.training = !t->no_dropout;
    return program_run(layer, p);
}

mp_status mp_backward(mp_layer *layer, mp_tape *tape)
{
    if (!layer)
        return MP_USAGE;
    if (!tape || tape->layer != layer)
        return layer_error(layer, MP_USAGE, "mp_backward: the tape is %s", tape ? "another layer's" : "NULL");
    if (!tape->filled)
        return layer_error(layer, MP_USAGE, "mp_backward: there is nothing on the tape");
    if (!layer_has_gradients(layer))
        return MP_OK;
    set_aside mine = exchange(layer, tape);
    mp_status st = run_backward(layer, tape);
    give_back(layer, tape, mine);
    return st;
}
