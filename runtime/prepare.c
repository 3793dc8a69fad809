/*
 * Preparation of a layer for a graph, in order: values of all dims; what the graph must be; rows and ranges of the bound
 * tensors; the code (the layer's own or one specialised for these dims); memory of the buffers; the steps that depend on
 * graph and indices alone, which are run here; launches; the layout of the workspace.
 */
#include "runtime/device_program.h"

#include <math.h>
#include <string.h>
#include "runtime/graph_arrays.h"

/* ---- Dims ------------------------------------------------------------------------------------------------------- */

static mp_status settle_dims(mp_layer *layer)
{
    dim_values *v = &layer->spare;
    dim_values_copy(v, &layer->given);
    uint32_t n = layer_shapes(layer, NULL);
    mp_status st = dims_settle(layer->ctx, layer->desc, layer->shapes, n, v);
    if (!st)
        st = dims_check(layer->ctx, layer->desc, v);
    if (!st)
        dim_values_copy(&layer->values, v);
    return st;
}

/* Elements of a row of a value. */
static mp_status count_elems(mp_layer *layer, const desc_value *v, int64_t *out)
{
    int64_t n = 1;
    for (uint32_t i = 0; i < v->rank; i++) {
        int64_t x;
        mp_status st = dims_eval(layer->ctx, layer->desc, v->dims[i], &layer->values, &x);
        if (st)
            return st;
        if (x < 1 || __builtin_mul_overflow(n, x, &n))
            return layer_error(layer, MP_INVALID, "%s: %s is %lld, which is %s", v->name, layer->desc->dims[v->dims[i]].text,
                               (long long)x, x < 1 ? "not positive" : "too large");
    }
    *out = n;
    return MP_OK;
}

/* ---- The graph -------------------------------------------------------------------------------------------------- */

static mp_status check_needs(mp_layer *layer, const mp_graph *g)
{
    for (uint32_t i = 0; i < layer->desc->n_needs; i++) {
        const desc_need *n = &layer->desc->needs[i];
        if (n->kind == DESC_NEED_SQUARE && !g->is_square) {
            return layer_error(layer, MP_INVALID, "%s is read at source nodes, but only destination nodes have it: the "
                               "graph must be square, it has %lld source and %lld destination nodes", n->name,
                               (long long)g->n_src, (long long)g->n_dst);
        }
        if (n->kind == DESC_NEED_DEGREES && !g->src_degrees_known) {
            return layer_error(layer, MP_INVALID, "%s needs the in_degree of all source nodes: the graph must be square or "
                               "have been given them, it has %lld source and %lld destination nodes", n->name,
                               (long long)g->n_src, (long long)g->n_dst);
        }
    }
    return MP_OK;
}

static mp_status check_rows(mp_layer *layer, const prepared *p, const desc_value *v, const binding *b)
{
    if (!b->bound || !desc_value_has_rows(v))
        return MP_OK;
    int64_t rows = prepared_rows(p, (mp_rows){ v->rows, 0 });
    if (b->shape[0] == rows)
        return MP_OK;
    char given[TENSOR_TEXT], expected[TENSOR_TEXT];
    return layer_error(layer, MP_INVALID, "%s has shape %s, but must have %s, and the graph has %lld %s", v->name,
                       tensor_shape_text(b->shape, b->t.ndim, given, sizeof given),
                       dims_shape_text(layer->desc, v, expected, sizeof expected), (long long)rows, dims_rows_text(v));
}

/* An index whose range was open when it was bound. */
static mp_status check_range(mp_layer *layer, const desc_value *v, const binding *b)
{
    int64_t range;
    if (v->type != MP_INDEX || !b->bound)
        return MP_OK;
    mp_status st = dims_eval(layer->ctx, layer->desc, v->range, &layer->values, &range);
    if (st || b->greatest < range)
        return st;
    const int32_t *index = b->copy;
    int64_t at = 0;
    while (index[at] < range)
        at++;
    return layer_error(layer, MP_INVALID, "%s: element %lld is %d, but must be in 0..%lld%s", v->name, (long long)at, index[at],
                       (long long)range - 1, v->none ? " or -1" : "");
}

/* All that the code reads. What a backward does not need for the gradients that are bound counts, too: its forward
 * needed it. */
static mp_status check_bound(mp_layer *layer, const desc_program *d)
{
    for (uint32_t k = 0; k < d->n_buffers; k++)
        if (d->buffers[k].kind == BUF_INPUT && !layer->inputs[d->buffers[k].index].bound)
            return layer_error(layer, MP_USAGE, "%s is not bound", layer->desc->inputs[d->buffers[k].index].name);
    return MP_OK;
}

static mp_status check_tensors(mp_layer *layer, const prepared *p)
{
    const desc_layer *l = layer->desc;
    bool back = p->kind == DESC_BACKWARD;
    mp_status st = MP_OK;
    for (uint32_t i = 0; i < l->n_inputs && !st; i++) {
        st = check_rows(layer, p, &l->inputs[i], &layer->inputs[i]);
        if (!st)
            st = check_range(layer, &l->inputs[i], &layer->inputs[i]);
        if (!st && back && (st = check_rows(layer, p, &l->inputs[i], &layer->gradients[i])))
            st = error_prefix(layer->ctx, st, "a gradient");
    }
    for (uint32_t i = 0; i < l->n_outputs && !st; i++) {
        st = check_rows(layer, p, &l->outputs[i], &layer->outputs[i]);
        if (!st && back && (st = check_rows(layer, p, &l->outputs[i], &layer->cotangents[i])))
            st = error_prefix(layer->ctx, st, "the cotangent of an output");
    }
    return st;
}

/* ---- Code ------------------------------------------------------------------------------------------------------- */

/* A dim has no value, and code is only made for known dims. */
static mp_status open_dim(mp_layer *layer, const char *name)
{
    for (uint32_t i = 0; i < layer->desc->n_inputs; i++)
        if (!layer->inputs[i].bound)
            return layer_error(layer, MP_USAGE, "%s is not bound", layer->desc->inputs[i].name);
    return layer_error(layer, MP_INVALID, "%s has no value: no shape determines it, so give it as MP_DIM(\"%s\", ...)", name,
                       name);
}

mp_status layer_trains(mp_layer *layer)
{
    const desc_layer *l = layer->desc;
    bool any = desc_find_program(l, DESC_BACKWARD);
    for (uint32_t i = 0; i < l->n_inputs && layer->mod->source.specialise; i++)
        any |= l->inputs[i].differentiable;
    return any ? MP_OK : layer_error(layer, MP_UNSUPPORTED, "this module was compiled without derivatives");
}

/* The code for exactly these values, or else the module's own. */
static mp_status choose_code(mp_layer *layer, desc_program_kind kind, mp_module **out)
{
    const desc_layer *l = layer->desc;
    bool generic = desc_find_program(l, kind);
    *out = layer->mod;
    if (!layer->mod->source.specialise)
        return generic ? MP_OK : layer_error(layer, MP_UNSUPPORTED, "this module has no code for it");
    int64_t *dims = mem_array(layer->ctx, l->n_statics, sizeof *dims, "values of dims");
    double *reals = mem_array(layer->ctx, l->n_statics, sizeof *reals, "values of dims");
    const char *open = NULL;
    for (uint32_t i = 0; dims && reals && i < l->n_statics; i++) {
        const desc_static *s = &l->statics[i];
        bool known = s->symbol != DESC_NONE && layer->values.known[s->symbol];
        reals[i] = s->real ? layer->reals[i] : 0;
        dims[i] = s->real ? 0 : known ? layer->values.value[s->symbol] : layer->plain_dims[i];
        if (!s->real && dims[i] < 1 && s->symbol == DESC_NONE)      /* in no shape: any value does */
            dims[i] = s->has_default && s->dim > 0 ? s->dim : 1;
        if (!s->real && dims[i] < 1)
            open = s->name;
    }
    mp_status st = dims && reals ? MP_OK : MP_SYSTEM;
    mp_module *m = !st && !open ? module_specialised(layer->mod, layer->number, dims, reals, kind != DESC_FORWARD) : NULL;
    mem_array_free(layer->ctx, dims, l->n_statics, sizeof *dims);
    mem_array_free(layer->ctx, reals, l->n_statics, sizeof *reals);
    if (m)
        *out = m;
    if (m || generic)
        return st;
    return st ? st : open ? open_dim(layer, open) : error_status(layer->ctx);
}

/* Values of the slots of p->program, by the symbols' names, and of the real static arguments. */
static mp_status fill_slots(mp_layer *layer, prepared *p)
{
    const desc_layer *l = p->desc;
    dim_values v;
    if (!dim_values_make(layer->ctx, l->n_symbols, &v))
        return MP_SYSTEM;
    for (uint32_t s = 0; s < l->n_symbols; s++)
        for (uint32_t t = 0; t < layer->desc->n_symbols; t++)
            if (layer->values.known[t] && strcmp(l->symbols[s], layer->desc->symbols[t]) == 0) {
                v.value[s] = layer->values.value[t];
                v.known[s] = true;
            }
    mp_status st = MP_OK;
    for (uint32_t i = 0; i < p->program->n_slots && !st; i++)
        st = dims_eval(layer->ctx, l, p->program->slots[i], l == layer->desc ? &layer->values : &v, &p->dim[i]);
    dim_values_free(layer->ctx, &v);
    for (uint32_t i = 0; i < l->n_statics; i++)
        for (uint32_t k = 0; k < layer->desc->n_statics; k++)
            if (strcmp(l->statics[i].name, layer->desc->statics[k].name) == 0)
                p->real[i] = layer->reals[k];
    return st;
}

static void *zeros(mp_layer *layer, uint32_t n, size_t size)
{
    void *p = mem_array(layer->ctx, n, size, "the state of a layer");
    if (p)
        memset(p, 0, n * size);
    return p;
}

static mp_status make_room(mp_layer *layer, prepared *p)
{
    const desc_program *d = p->program;
    p->dim = zeros(layer, d->n_slots, sizeof *p->dim);
    p->real = zeros(layer, p->desc->n_statics, sizeof *p->real);
    p->step = zeros(layer, 2 * d->n_loops, sizeof *p->step);
    p->loops = zeros(layer, d->n_loops, sizeof *p->loops);
    p->loop_start = zeros(layer, d->n_loops, sizeof *p->loop_start);
    p->loop_end = zeros(layer, d->n_loops, sizeof *p->loop_end);
    p->rows = zeros(layer, d->n_buffers, sizeof *p->rows);
    p->bytes = zeros(layer, d->n_buffers, sizeof *p->bytes);
    p->apart = zeros(layer, d->n_buffers, sizeof *p->apart);
    p->base = zeros(layer, d->n_buffers, sizeof *p->base);
    p->now = zeros(layer, d->n_buffers, sizeof *p->now);
    p->kept = zeros(layer, d->n_buffers, sizeof *p->kept);
    p->offset = zeros(layer, d->n_buffers, sizeof *p->offset);
    p->left_out = zeros(layer, d->n_steps, sizeof *p->left_out);
    p->unused = zeros(layer, d->n_buffers, sizeof *p->unused);
    p->from_tape = zeros(layer, d->n_buffers, sizeof *p->from_tape);
    p->saved_at = zeros(layer, p->desc->n_saved, sizeof *p->saved_at);
    p->kept_at = zeros(layer, p->desc->n_outputs, sizeof *p->kept_at);
    p->launches = zeros(layer, d->n_kernels, sizeof *p->launches);
    p->pairs = zeros(layer, d->n_pairs, sizeof *p->pairs);
    p->feeds = zeros(layer, d->n_buffers, sizeof *p->feeds);
    p->drains = zeros(layer, d->n_buffers, sizeof *p->drains);
    p->in_walk = zeros(layer, d->n_buffers, sizeof *p->in_walk);
    p->in_out = zeros(layer, d->n_buffers, sizeof *p->in_out);
    return p->dim && p->real && p->step && p->loops && p->loop_start && p->loop_end && p->rows && p->bytes && p->apart && p->base &&
           p->now && p->kept && p->offset && p->left_out && p->unused && p->from_tape && p->saved_at && p->kept_at && p->launches && p->pairs && p->feeds && p->drains && p->in_walk && p->in_out ? MP_OK : MP_SYSTEM;
}

void prepared_free(mp_context *ctx, prepared *p)
{
    if (!p)
        return;
    const desc_program *d = p->program;
    tensors_free(ctx, p);
    pairs_free(ctx, p);
    device_program_free(ctx, p);
    for (uint32_t i = 0; p->launches && i < d->n_kernels; i++)
        if (p->launches[i].kernel)
            launch_free(ctx, &p->launches[i]);
    for (uint32_t i = 0; p->kept && i < d->n_buffers; i++)
        data_free(ctx, p->kept[i], p->bytes[i]);
    mem_array_free(ctx, p->dim, d->n_slots, sizeof *p->dim);
    mem_array_free(ctx, p->real, p->desc->n_statics, sizeof *p->real);
    mem_array_free(ctx, p->step, 2 * d->n_loops, sizeof *p->step);
    mem_array_free(ctx, p->loops, d->n_loops, sizeof *p->loops);
    mem_array_free(ctx, p->loop_start, d->n_loops, sizeof *p->loop_start);
    mem_array_free(ctx, p->loop_end, d->n_loops, sizeof *p->loop_end);
    mem_array_free(ctx, p->rows, d->n_buffers, sizeof *p->rows);
    mem_array_free(ctx, p->bytes, d->n_buffers, sizeof *p->bytes);
    mem_array_free(ctx, p->apart, d->n_buffers, sizeof *p->apart);
    mem_array_free(ctx, p->base, d->n_buffers, sizeof *p->base);
    mem_array_free(ctx, p->now, d->n_buffers, sizeof *p->now);
    mem_array_free(ctx, p->kept, d->n_buffers, sizeof *p->kept);
    mem_array_free(ctx, p->offset, d->n_buffers, sizeof *p->offset);
    mem_array_free(ctx, p->left_out, d->n_steps, sizeof *p->left_out);
    mem_array_free(ctx, p->unused, d->n_buffers, sizeof *p->unused);
    mem_array_free(ctx, p->from_tape, d->n_buffers, sizeof *p->from_tape);
    mem_array_free(ctx, p->saved_at, p->desc->n_saved, sizeof *p->saved_at);
    mem_array_free(ctx, p->kept_at, p->desc->n_outputs, sizeof *p->kept_at);
    mem_array_free(ctx, p->launches, d->n_kernels, sizeof *p->launches);
    mem_array_free(ctx, p->pairs, d->n_pairs, sizeof *p->pairs);
    mem_array_free(ctx, p->feeds, d->n_buffers, sizeof *p->feeds);
    mem_array_free(ctx, p->drains, d->n_buffers, sizeof *p->drains);
    mem_array_free(ctx, p->in_walk, d->n_buffers, sizeof *p->in_walk);
    mem_array_free(ctx, p->in_out, d->n_buffers, sizeof *p->in_out);
    mp_graph *g = p->graph;
    mem_free(ctx, p, sizeof *p);
    graph_release(g);
}

/* ---- Buffers ---------------------------------------------------------------------------------------------------- */

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

static mp_status prepare_buffers(prepared *p)
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

static void find_loops(prepared *p)
{
    uint32_t inside = DESC_NONE;
    for (uint32_t i = 0; i < p->program->n_steps; i++) {
        const desc_step *s = &p->program->steps[i];
        if (s->kind == STEP_LOOP) {
            p->loop_start[s->a] = i;
            p->loops[s->a].around = inside;
            inside = s->a;
        }
        if (s->kind == STEP_END) {
            p->loop_end[s->a] = i;
            inside = p->loops[s->a].around;
        }
    }
}

/* ---- Steps that are done beforehand ----------------------------------------------------------------------------- */

static mp_status launch_now(mp_layer *layer, prepared *p, uint32_t kernel)
{
    mp_context *ctx = layer->ctx;
    mp_status st = fiber_prepare(layer, p, kernel);
    if (st || p->device)
        return st ? st : device_launch_now(layer, p, kernel);
    const launch *l = &p->launches[kernel];
    size_t states, scratch;
    if (!launch_states(l, &states) || !mem_size(pool_threads(ctx->pool), l->scratch_bytes, &scratch))
        return layer_error(layer, MP_SYSTEM, "the scratch of kernel %s is too large", l->kernel->name);
    launch_memory m = { mem_alloc(ctx, states), mem_alloc(ctx, scratch), l->scratch_bytes };
    if (m.states && m.scratch)
        launch_run(ctx, l, &p->args, &m);
    else
        st = error_memory(ctx, states + scratch, "the scratch of a kernel");
    mem_free(ctx, m.states, states);
    mem_free(ctx, m.scratch, scratch);
    return st;
}

/* What a step before the call writes first is kept until the layer is prepared anew. */
static mp_status keep_buffers(mp_layer *layer, prepared *p, uint32_t step)
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

static mp_status run_beforehand(mp_layer *layer, prepared *p)
{
    const desc_program *d = p->program;
    mp_status st = MP_OK;
    for (uint32_t i = 0; i < d->n_steps && !st; i++) {
        if (!d->steps[i].at_prepare || p->left_out[i])
            continue;
        st = keep_buffers(layer, p, i);
        memcpy(p->now, p->base, d->n_buffers * sizeof *p->base);
        if (!st)
            st = d->steps[i].kind == STEP_PAIRS ? pairs_make(layer, p, d->steps[i].a) : launch_now(layer, p, d->steps[i].a);
    }
    return st;
}

/* Buffers and launches of the call; pairs that were made beforehand have their final numbers now. */
static mp_status prepare_call(mp_layer *layer, prepared *p)
{
    const desc_program *d = p->program;
    mp_status st = MP_OK;
    choose_entries(layer, p);
    for (uint32_t k = 0; k < d->n_buffers && !st; k++)
        if ((d->buffers[k].kind == BUF_WORK && !p->kept[k]) || d->buffers[k].kind == BUF_SLOT || d->buffers[k].kind == BUF_SAVED)
            st = work_bytes(layer, p, k);
    for (uint32_t i = 0; i < d->n_steps && !st; i++)
        if (d->steps[i].kind == STEP_LAUNCH && !p->left_out[i] && !p->launches[d->steps[i].a].kernel)
            st = fiber_prepare(layer, p, d->steps[i].a);
    if (!st && p->kind == DESC_TRAIN)
        st = tape_layout(layer, p);
    if (!st && p->device)
        st = device_program_finish(layer, p);
    return st ? st : layout_workspace(layer, p);
}

/* ---- All of it -------------------------------------------------------------------------------------------------- */

static mp_status prepare_values(mp_layer *layer, prepared *p, mp_module *mod)
{
    const desc_layer *l = layer->desc;
    int64_t *in = zeros(layer, l->n_inputs, sizeof *in), *out = zeros(layer, l->n_outputs, sizeof *out);
    mp_status st = in && out ? MP_OK : MP_SYSTEM;
    for (uint32_t i = 0; i < l->n_inputs && !st; i++)
        if (layer->inputs[i].bound || (p->kind == DESC_BACKWARD && l->inputs[i].differentiable))
            st = count_elems(layer, &l->inputs[i], &in[i]);
    for (uint32_t i = 0; i < l->n_outputs && !st; i++)
        st = count_elems(layer, &l->outputs[i], &out[i]);
    if (!st)
        st = fill_slots(layer, p);
    if (!st && context_on_device(layer->ctx))
        st = device_program_begin(layer, p, mod);
    if (!st)
        st = prepare_buffers(p);
    if (!st)
        st = tensors_prepare(layer, p, in, out);
    mem_array_free(layer->ctx, in, l->n_inputs, sizeof *in);
    mem_array_free(layer->ctx, out, l->n_outputs, sizeof *out);
    return st;
}

void layer_set_shapes(mp_layer *layer, const prepared *p)
{
    const desc_layer *l = layer->desc;
    for (uint32_t i = 0; i < l->n_outputs; i++) {
        const desc_value *v = &l->outputs[i];
        int64_t *shape = layer->own[i].shape;
        int at = 0;
        if (desc_value_has_rows(v))
            shape[at++] = prepared_rows(p, (mp_rows){ v->rows, 0 });
        for (uint32_t k = 0; k < v->rank; k++)
            desc_dim_eval(&l->dims[v->dims[k]], layer->values.value, layer->values.known, &shape[at++]);
    }
}

/* What is checked before there is any code. */
static mp_status check_graph(mp_layer *layer, mp_graph *g, desc_program_kind kind)
{
    const desc_program *d = desc_find_program(layer->desc, kind);
    mp_status st = d ? check_bound(layer, d) : MP_OK;
    if (!st)
        st = settle_dims(layer);
    if (!st)
        st = check_needs(layer, g);
    return st ? st : check_tensors(layer, &(prepared){ .graph = g, .kind = kind });
}

static mp_status prepare_all(mp_layer *layer, mp_graph *g, desc_program_kind kind)
{
    mp_module *mod;
    mp_status st = check_graph(layer, g, kind);
    if (!st)
        st = choose_code(layer, kind, &mod);
    const desc_layer *desc = st || mod == layer->mod ? layer->desc : &mod->desc->layers[0];
    const desc_program *program = desc_find_program(desc, kind);
    if (!st)
        st = check_bound(layer, program);
    if (st)
        return st;
    prepared *p = mem_zalloc(layer->ctx, sizeof *p);
    if (!p)
        return error_memory(layer->ctx, sizeof *p, "the state of a layer");
    graph_retain(g);
    p->graph = g;
    p->kind = kind;
    p->bound = layer->bound;
    p->bound_grads = layer->bound_grads;
    p->desc = desc;
    p->program = program;
    p->entries = mod->kernels;
    layer->prepared[kind] = p;
    st = make_room(layer, p);
    if (st)
        return st;
    p->args = (mp_kargs){ .buf = p->now, .dim = p->dim, .real = p->real, .step = p->step };
    find_loops(p);
    if (kind == DESC_BACKWARD)
        st = wanted_find(layer, p);
    if (!st)
        st = prepare_values(layer, p, mod);
    if (!st)
        st = pairs_prepare(layer, p);
    if (!st)
        st = run_beforehand(layer, p);
    if (!st)
        st = prepare_call(layer, p);
    for (uint32_t i = 0; i < p->program->n_loops; i++)
        p->loops[i].change = NAN;
    return st;
}

mp_status layer_prepare(mp_layer *layer, mp_graph *g, desc_program_kind kind)
{
    prepared *p = layer->prepared[kind];
    bool back = kind == DESC_BACKWARD;
    if (p && p->graph == g && p->bound.forms == layer->bound.forms &&
        (!back || p->bound_grads.forms == layer->bound_grads.forms)) {
        bool fits = true;
        bool moved = p->bound.places != layer->bound.places || (back && p->bound_grads.places != layer->bound_grads.places);
        mp_status st = moved ? tensors_refresh(layer, p, &fits) : MP_OK;
        if (st)
            return st;
        if (fits) {
            p->bound = layer->bound;
            p->bound_grads = layer->bound_grads;
            return MP_OK;
        }
    }
    prepared_free(layer->ctx, p);
    layer->prepared[kind] = NULL;
    layer->ran &= back;
    mp_status st = prepare_all(layer, g, kind);
    if (st) {
        prepared_free(layer->ctx, layer->prepared[kind]);
        layer->prepared[kind] = NULL;
    }
    return st;
}

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
