/*
 * Instances: static arguments as dims of the IR, params as its inputs.
 */
#include "compiler/lower/lower_int.h"

#include <string.h>

/* ---- dims ---- */

static dim replace_static(void *ud, dim_sym s)
{
    const env *e = ud;
    const sem_layer *l = e->layer;
    const dim d = dim_of_symbol(l->dims, s);
    for (uint32_t i = 0; i < l->n_statics; i++)
        if (!l->statics[i].real && dim_same(l->statics[i].sym, d)) return e->dims[i];
    return DIM_ERROR;
}

dim env_number(lowering *L, const env *e, dim d, span at)
{
    dim r = dim_subst(L->l->dims, e->layer->dims, d, replace_static, (void *)(uintptr_t)e);
    if (!dim_ok(r))
        lower_fail(L, DIAG_STATIC, at, "with these static arguments `%s` %s",
                   dim_text(e->layer->dims, d, L->a), dim_why_text(dim_last_why(L->l->dims)));
    return r;
}

dim env_dim(lowering *L, env *e, dim d, span at)
{
    uint64_t *known = map_get(&e->cache, d.i);
    if (known) return (dim){(uint32_t)*known};
    int64_t value;
    dim r = env_number(L, e, d, at);
    if (dim_ok(r) && dim_is_const(L->l->dims, r, &value) && value <= 0) {
        lower_fail(L, DIAG_STATIC, at,
                   "with these static arguments the dim `%s` is %lld, and must be positive",
                   dim_text(e->layer->dims, d, L->a), (long long)value);
        r = DIM_ERROR;
    }
    map_put(&e->cache, d.i, r.i);
    return r;
}

bool env_shape(lowering *L, env *e, const sem_shape *s, span at, ir_shape *out)
{
    *out = (ir_shape){.rank = s->rank};
    for (uint32_t i = 0; i < s->rank; i++) {
        out->at[i] = env_dim(L, e, s->at[i], at);
        if (!dim_ok(out->at[i])) return false;
    }
    return true;
}

/* ---- inputs and params ---- */

static ir_init_kind init_kind(sem_init_kind k)
{
    static const ir_init_kind kind[] = {[SEM_INIT_NONE] = INIT_NONE,
                                        [SEM_INIT_ZEROS] = INIT_ZEROS,
                                        [SEM_INIT_ONES] = INIT_ONES,
                                        [SEM_INIT_CONSTANT] = INIT_CONSTANT,
                                        [SEM_INIT_UNIFORM] = INIT_UNIFORM,
                                        [SEM_INIT_NORMAL] = INIT_NORMAL,
                                        [SEM_INIT_GLOROT_UNIFORM] = INIT_GLOROT_UNIFORM,
                                        [SEM_INIT_GLOROT_NORMAL] = INIT_GLOROT_NORMAL,
                                        [SEM_INIT_KAIMING_UNIFORM] = INIT_KAIMING_UNIFORM,
                                        [SEM_INIT_KAIMING_NORMAL] = INIT_KAIMING_NORMAL};
    return kind[k];
}

static ir_val input(lowering *L, env *e, const sem_sym *s, str name)
{
    ir_shape shape;
    dim range = DIM_ERROR;
    if (!env_shape(L, e, &s->type.shape, s->where, &shape)) return (ir_val){0};
    if (s->type.elem == SEM_INDEX) {
        range = env_dim(L, e, s->type.range, s->where);
        if (!dim_ok(range)) return (ir_val){0};
    }
    ir_dom dom = s->dom == SEM_NODE ? ir_dom_src(L->l) : dom_for(L, s->dom);
    ir_set_where(L->l, s->where);
    ir_val v = ir_input_add(L->l, name, dom, stored_type(s->type.elem), &shape, range, s->type.none,
                            s->kind == SEM_S_PARAM);
    ir_input *in = ir_input_of(L->l, v);
    in->where = s->where;
    in->sided = s->dom == SEM_SRC || s->dom == SEM_DST;
    in->init = init_kind(s->init);
    in->init_a = s->init_a;
    in->init_b = s->init_b;
    return sem_is_float(s->type.elem) ? as_type(L, v, arith_type(is_wide(s->type.elem))) : v;
}

void env_inputs(lowering *L, env *e, lowered *inputs)
{
    for (uint32_t i = 0; i < e->layer->n_inputs; i++)
        inputs[i].v = input(L, e, e->layer->inputs[i], e->layer->inputs[i]->name);
}

static str joined(lowering *L, str prefix, str name, const char *end)
{
    return str_of(L->names, arena_printf(L->a, "%s%s%s", prefix, name, end));
}

/* The instances of an env, with theirs: nested no deeper than SEM_MAX_NEST, no more than SEM_MAX_EXPANDED
 * in all. */
void env_instances(lowering *L, env *e)
{
    const sem_layer *l = e->layer;
    e->insts = NEW_N(L->a, env *, l->n_insts + 1);
    for (uint32_t i = 0; i < l->n_insts && !L->failed; i++) {
        const sem_inst *inst = l->insts[i];
        env *c = e->insts[i] = NEW(L->a, env);
        *c = (env){.layer = inst->callee,
                   .inst = inst,
                   .up = e,
                   .prefix = joined(L, e->prefix, inst->name, "."),
                   .cache = map_make(L->a),
                   .params = map_make(L->a)};
        c->dims = NEW_N(L->a, dim, c->layer->n_statics + 1);
        for (uint32_t k = 0; k < c->layer->n_statics; k++)
            if (!c->layer->statics[k].real) c->dims[k] = env_dim(L, e, inst->dims[k], inst->where);
        for (uint32_t k = 0; k < c->layer->n_inputs && !L->failed; k++) {
            const sem_sym *s = c->layer->inputs[k];
            if (s->kind != SEM_S_PARAM || !inst->own[k]) continue;
            ir_val v = input(L, c, s, joined(L, c->prefix, s->name, ""));
            map_put(&c->params, map_key(s), v.i);
        }
        env_instances(L, c);
    }
}

ir_val env_param(const env *e, const sem_sym *s)
{
    uint64_t *v = map_get(&e->params, map_key(s));
    return v ? (ir_val){(uint32_t)*v} : (ir_val){0};
}

static void declare_static(lowering *L, env *e, uint32_t i)
{
    const sem_static *s = &e->layer->statics[i];
    uint32_t at;
    if (s->real) {
        at = ir_static_real(L->l, s->name);
    } else {
        at = ir_static_dim(L->l, s->name);
        e->dims[i] = s->fixed ? dim_const(L->l->dims, s->dim_value) : dim_symbol(L->l->dims, s->name);
    }
    ir_static *st = &L->l->statics[at];
    st->has_default = s->has_default;
    st->fixed = s->fixed;
    st->value = s->real ? (s->fixed ? s->real_value : s->real_default) : (double)s->dim_value;
}

env *env_root(lowering *L)
{
    env *e = NEW(L->a, env);
    *e = (env){
        .layer = L->root, .prefix = str_of(L->names, ""), .cache = map_make(L->a), .params = map_make(L->a)};
    e->dims = NEW_N(L->a, dim, L->root->n_statics + 1);
    for (uint32_t i = 0; i < L->root->n_statics; i++) declare_static(L, e, i);
    for (uint32_t i = 0; i < L->root->n_statics; i++) {
        const sem_static *s = &L->root->statics[i];
        if (s->real || !s->has_default) continue;
        ir_static *st = &L->l->statics[i];
        int64_t value;
        st->dim_default =
            s->fixed ? e->dims[i] : dim_subst(L->l->dims, L->root->dims, s->dim_default, replace_static, e);
        st->has_default = dim_ok(st->dim_default);               /* h = d / 2 is none when d is fixed as 3 */
        if (dim_is_const(L->l->dims, st->dim_default, &value)) st->value = (double)value;
    }
    return e;
}
