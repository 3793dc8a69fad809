/* The joint layer: the forward's outputs and the gradients, in one graph. */
#include "compiler/train/train.h"

#include "compiler/derive/derive.h"
#include "compiler/ir/copy.h"
#include "compiler/passes/segment.h"

bool train_differentiable(const ir_layer *l, ir_val v)
{
    return ir_is_float(ir_at(l, v)->type);
}

/* The value of which the output's rows are: of a source-side value, the destinations' rows; of one value, each row. */
static ir_val as_rows(ir_layer *l, const ir_output *o)
{
    ir_dom dom = ir_at(l, o->value)->dom;
    if (ir_dom_same(dom, o->rows))
        return o->value;
    if (dom.i == 0) {
        ir_shape shape = ir_shape_of(l, o->value);
        return ir_broadcast(l, o->value, o->rows, &shape);
    }
    return ir_gather(l, o->value, ir_map_prefix(l));
}

static uint32_t add_cotangents(ir_layer *l, arena *mem, uint32_t n_outputs, derive_seed *seeds)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < n_outputs; k++) {
        const ir_output *o = &l->outputs[k];
        if (!train_differentiable(l, o->value))
            continue;
        ir_shape shape = ir_shape_of(l, o->value);
        ir_type type = (ir_type)ir_at(l, o->value)->type;
        str name = arena_printf(mem, "cot.%s", o->name);
        ir_val y = as_rows(l, o);
        ir_val dy = ir_input_add(l, name, l->outputs[k].rows, type, &shape, (dim){0}, false, false);
        seeds[n++] = (derive_seed){y, dy};
    }
    return n;
}

ir_layer *train_joint(const ir_layer *forward, arena *mem, const bool *wanted, uint32_t *n_cotangents)
{
    ir_layer *l = ir_compact(forward, mem);
    uint32_t n_inputs = l->n_inputs, n_outputs = l->n_outputs, n = 0;
    derive_seed *seeds = NEW_N(mem, derive_seed, n_outputs + 1);
    ir_val *of = NEW_N(mem, ir_val, n_inputs + 1), *grads = NEW_N(mem, ir_val, n_inputs + 1);
    *n_cotangents = add_cotangents(l, mem, n_outputs, seeds);
    for (uint32_t i = 0; i < n_inputs; i++)
        if (wanted[i])
            of[n++] = l->inputs[i].value;
    derive(l, mem, seeds, *n_cotangents, of, n, grads);
    for (uint32_t i = 0, k = 0; i < n_inputs; i++) {
        if (!wanted[i])
            continue;
        str name = arena_printf(mem, "grad.%s", l->inputs[i].name);
        ir_output_add(l, name, grads[k], ir_at(l, of[k])->dom, l->inputs[i].where);
        k++;
    }
    return l;
}

train_layers *train_build(const ir_layer *forward, arena *mem, const bool *wanted, const pass_options *options)
{
    train_layers *t = NEW(mem, train_layers);
    pass_options o = *options;
    uint32_t n_cotangents, n_inputs = forward->n_inputs;
    o.inference = false;
    o.stop_after = NULL;
    o.after = NULL;
    ir_layer *joint = train_joint(forward, mem, wanted, &n_cotangents);
    t->joint = passes_run(joint, mem, &o, &t->stats);
    if (t->stats.broken)
        return t;
    t->joint = segment_loops(t->joint, mem, SEGMENT_STEPS);
    train_cut(t, mem, &o, n_inputs, forward->n_outputs);
    t->train->name = arena_printf(mem, "%s_train", forward->name);
    t->backward->name = arena_printf(mem, "%s_backward", forward->name);
    uint32_t k = n_inputs, g = 0;
    for (uint32_t i = 0; i < forward->n_outputs; i++)
        if (train_differentiable(forward, forward->outputs[i].value))
            t->train_inputs[k] = t->backward_inputs[k] = (train_role){TRAIN_COTANGENT, i}, k++;
    for (uint32_t i = 0; i < n_inputs; i++) {
        t->train_inputs[i] = t->backward_inputs[i] = (train_role){TRAIN_INPUT, i};
        if (wanted[i])
            t->backward_outputs[g++] = (train_role){TRAIN_GRADIENT, i};
    }
    return t;
}
