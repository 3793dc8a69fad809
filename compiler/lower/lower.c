/*
 * The lowering's entry: inputs, outputs, and the attempts.
 */
#include "compiler/ir/copy.h"
#include "compiler/lower/lower_int.h"

static bool has_two_sides(const sem_layer *l)
{
    bool sides = false, nodes = false;
    for (uint32_t i = 0; i < l->n_inputs; i++) {
        sides |= l->inputs[i]->dom == SEM_SRC || l->inputs[i]->dom == SEM_DST;
        nodes |= l->inputs[i]->dom == SEM_NODE;
    }
    return sides && !nodes;
}

static void output(lowering *L, frame *f, const sem_sym *s)
{
    lowered x = machine_run(L, f, s->value, is_wide(s->type.elem));
    if (L->failed) return;
    const ir_type stored = stored_type(s->type.elem);
    x.v = as_type(L, x.v, arith_type(is_wide(s->type.elem)));
    x = settle(L, s, x);
    ir_name(L->l, x.v, s->name);
    ir_set_where(L->l, s->where);
    ir_dom rows = s->dom == SEM_NODE ? ir_dom_dst(L->l) : dom_for(L, s->dom);
    uint32_t at = ir_output_add(L->l, s->name, ir_is_float(stored) ? as_type(L, x.v, stored) : x.v, rows, s->where);
    L->l->outputs[at].sided = s->dom == SEM_SRC || s->dom == SEM_DST;
}

static void attempt(lowering *L)
{
    L->l = ir_layer_new(L->a, dim_table_new(L->a), L->root->name);
    ir_trap *trap = NEW(L->a, ir_trap);
    ir_set_trap(L->l, trap);
    if (setjmp(trap->env)) {
        lower_fail(L, DIAG_LIMIT, L->l->builder->where, "internal error in the lowering of layer `%s`: %s",
                   L->root->name, trap->text);
        return;
    }
    L->stack.n = 0;
    L->n_frames = L->place = L->n_variables = 0;
    L->variables = map_make(L->a);
    L->flipped = false;
    env *e = env_root(L);
    frame *f = frame_new(L, e, NULL, 0, 0);
    env_inputs(L, e, f->inputs);
    if (!L->failed) env_instances(L, e);
    for (uint32_t i = 0; i < L->root->n_outputs && !L->failed; i++) output(L, f, L->root->outputs[i]);
    if (L->n_variables && !L->failed && !L->flipped) L->l = ir_rebuild(L->l, L->a, NULL, NULL);
    ir_set_trap(L->l, NULL);
}

static ir_layer *attempts(arena *a, arena *work, str_table *names, diags *ds, const sem_layer *layer)
{
    map flips = map_make(a);
    lowering *L = NEW(a, lowering);
    *L = (lowering){.a = a,
                    .work = work,
                    .names = names,
                    .ds = ds,
                    .root = layer,
                    .bipartite = has_two_sides(layer),
                    .flips = &flips};
    do {
        attempt(L);
    } while (L->flipped && !L->failed);          /* each adds to the finite table of flips */
    return L->failed ? NULL : L->l;
}

/* What jumps past us must not leave the scratch memory behind. */
ir_layer *lower_layer(arena *a, str_table *names, diags *ds, const sem_layer *layer)
{
    jmp_buf dry;
    arena *work = arena_new(0);
    ir_layer *volatile done = NULL;
    if (!work) arena_fail(a, ARENA_NO_MEMORY);
    jmp_buf *before = arena_set_oom(a, &dry);
    arena_set_oom(work, &dry);
    const int why = setjmp(dry);
    if (!why) done = attempts(a, work, names, ds, layer);
    arena_set_oom(a, before);
    arena_free(work);
    if (why) arena_fail(a, why);
    return done;
}
