/*
 * Preparation of a layer for a graph, in order: values of all dims, what the graph must be, rows and ranges of the bound
 * tensors (prepare_check.c); the code, the layer's own or one specialised for these dims (prepare_code.c); memory of the
 * buffers (prepare_buffers.c); the steps that depend on graph and indices alone, which are run here; launches; the layout
 * of the workspace (layout.c).
 */
#include "runtime/device_program.h"

#include <math.h>
#include <string.h>

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

static mp_status run_beforehand(mp_layer *layer, prepared *p)
{
    const desc_program *d = p->program;
    mp_status st = MP_OK;
    for (uint32_t i = 0; i < d->n_steps && !st; i++) {
        if (!d->steps[i].at_prepare || p->left_out[i])
            continue;
        st = buffers_of_step(layer, p, i);
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
    mp_status st = buffers_of_call(layer, p);
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
    mp_context *ctx = layer->ctx;
    int64_t *in = mem_zeros(ctx, l->n_inputs, sizeof *in, "elements of a row");
    int64_t *out = mem_zeros(ctx, l->n_outputs, sizeof *out, "elements of a row");
    mp_status st = in && out ? MP_OK : MP_SYSTEM;
    for (uint32_t i = 0; i < l->n_inputs && !st; i++)
        if (layer->inputs[i].bound || (p->kind == DESC_BACKWARD && l->inputs[i].differentiable))
            st = prepare_elems(layer, &l->inputs[i], &in[i]);
    for (uint32_t i = 0; i < l->n_outputs && !st; i++)
        st = prepare_elems(layer, &l->outputs[i], &out[i]);
    if (!st)
        st = prepare_slots(layer, p);
    if (!st && context_on_device(ctx))
        st = device_program_begin(layer, p, mod);
    if (!st)
        st = buffers_of_graph(p);
    if (!st)
        st = tensors_prepare(layer, p, in, out);
    mem_array_free(ctx, in, l->n_inputs, sizeof *in);
    mem_array_free(ctx, out, l->n_outputs, sizeof *out);
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

static mp_status prepare_all(mp_layer *layer, mp_graph *g, desc_program_kind kind)
{
    mp_module *mod;
    mp_status st = prepare_check(layer, g, kind);
    if (!st)
        st = prepare_code(layer, kind, &mod);
    const desc_layer *desc = st || mod == layer->mod ? layer->desc : &mod->desc->layers[0];
    const desc_program *program = desc_find_program(desc, kind);
    if (!st)
        st = prepare_check_bound(layer, program);
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
    st = prepared_room(layer->ctx, p);
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
