/*
 * Layers of layers: instances, their static arguments, and their calls.
 */
#include "compiler/sema/check.h"

/* ---- the callee's dims in ours ---- */

typedef struct replace { const sem_inst *inst; } replace;

static dim replace_static(void *ud, dim_sym s)
{
    const sem_inst *inst = ((replace *)ud)->inst;
    const sem_layer *l = inst->callee;
    const dim d = dim_of_symbol(l->dims, s);
    for (uint32_t i = 0; i < l->n_statics; i++)
        if (!l->statics[i].real && dim_same(l->statics[i].sym, d)) return inst->dims[i];
    return DIM_ERROR;
}

static dim inst_dim(dim_table *to, const sem_inst *inst, dim d)
{
    replace r = {inst};
    return dim_subst(to, inst->callee->dims, d, replace_static, &r);
}

static sem_type inst_type(dim_table *to, const sem_inst *inst, sem_type t)
{
    if (t.elem == SEM_INDEX) t.range = inst_dim(to, inst, t.range);
    for (uint32_t i = 0; i < t.shape.rank; i++) t.shape.at[i] = inst_dim(to, inst, t.shape.at[i]);
    return t;
}

/* ---- use ---- */

static void check_expanded(checker *c, span at)
{
    if (c->n_called > SEM_MAX_EXPANDED)
        sem_exhausted(c, at,
                      "with the layers that it uses, layer `%s` has more than %d expressions and params",
                      c->layer->name, (int)SEM_MAX_EXPANDED);
}

static sem_layer *find_callee(checker *c, const ast_name *name)
{
    sem_layer *l = map_get_ptr(&c->layers, name->text);
    if (l && l != c->layer) return l;
    for (uint32_t i = 0; i < c->file->n_items; i++) {
        const ast_item *it = c->file->items[i];
        if (it->kind != AST_ITEM_LAYER || it->name.text != name->text) continue;
        diag *d = sem_err(c, DIAG_NAME, name->span,
                          it == c->layer->ast ? "layer `%s` uses itself" : "layer `%s` is not defined yet",
                          name->text);
        if (it != c->layer->ast)
            diag_note_at(d, it->name.span, "it is defined here, and layers are defined before use");
        return NULL;
    }
    diag *d = sem_err(c, DIAG_NAME, name->span, "there is no layer `%s`", name->text);
    const char *best = NULL;
    int nearest = DIAG_NOT_NEAR;
    for (uint32_t i = 0; i < c->all.n && !d->dropped; i++) {
        int distance = diag_name_distance(name->text, c->all.at[i]->name);
        if (distance < nearest) {
            nearest = distance;
            best = c->all.at[i]->name;
        }
    }
    if (best) diag_help(d, "did you mean `%s`?", best);
    return NULL;
}

static bool give(checker *c, sem_inst *inst, uint32_t i, const ast_expr *value)
{
    const sem_static *s = &inst->callee->statics[i];
    if (!s->real) {
        inst->dims[i] = static_positive(c, value, arena_printf(c->a, "`%s`", s->name));
        return dim_ok(inst->dims[i]);
    }
    inst->reals[i] = static_real(c, value, arena_printf(c->a, "`%s`", s->name));
    return inst->reals[i] != NULL;
}

static bool static_args(checker *c, const ast_stmt *s, sem_inst *inst)
{
    const sem_layer *l = inst->callee;
    bool *given = NEW_N(c->a, bool, l->n_statics + 1);
    bool fine = true;
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->use.n_args; i++) {
        const ast_arg *a = &s->use.args[i];
        uint32_t at = l->n_statics;
        if (a->kind == AST_ARG_NAMED) {
            for (uint32_t k = 0; k < l->n_statics; k++)
                if (l->statics[k].name == a->name.text) at = k;
            if (at == l->n_statics) {
                diag *d = sem_err(c, DIAG_STATIC, a->span, "layer `%s` has no static argument `%s`", l->name,
                                  a->name.text);
                diag_note_at(d, l->ast->name.span, "defined here");
                fine = false;
                continue;
            }
        } else if (a->kind == AST_ARG_PLAIN && n < l->n_statics) {
            at = n++;
        } else {
            sem_err(c, DIAG_STATIC, a->span, "layer `%s` has %u static argument%s", l->name, l->n_statics,
                    l->n_statics == 1 ? "" : "s");
            fine = false;
            continue;
        }
        if (given[at]) {
            sem_err(c, DIAG_STATIC, a->span, "`%s` is given twice", l->statics[at].name);
            fine = false;
            continue;
        }
        given[at] = true;
        fine = give(c, inst, at, a->value) && fine;
    }
    for (uint32_t i = 0; i < l->n_statics && fine; i++) {
        const sem_static *st = &l->statics[i];
        if (given[i]) continue;
        if (!st->has_default) {
            diag *d = sem_err(c, DIAG_STATIC, s->use.layer.span, "layer `%s` needs its static argument `%s`",
                              l->name, st->name);
            diag_note_at(d, st->where, "declared here, without a default");
            return false;
        }
        if (st->real) {
            const ast_expr at = {.span = s->use.layer.span, .at = s->use.layer.span};
            inst->reals[i] = sem_number(c, &at, st->real_default);
        } else {
            inst->dims[i] = inst_dim(c->dims, inst, st->dim_default);
            if (!dim_ok(inst->dims[i])) {
                sem_err(c, DIAG_STATIC, s->use.layer.span, "the default of `%s` %s", st->name,
                        dim_why_text(dim_last_why(c->dims)));
                return false;
            }
        }
    }
    return fine;
}

void check_use(checker *c, const ast_stmt *s)
{
    sem_inst *inst = NEW(c->a, sem_inst);
    inst->name = s->use.name.text;
    inst->where = s->use.name.span;
    sem_layer *l = s->use.layer.text ? find_callee(c, &s->use.layer) : NULL;
    if (!l) c->layer->bad = true;
    inst->callee = l;
    if (l) {
        inst->dims = NEW_N(c->a, dim, l->n_statics + 1);
        inst->reals = NEW_N(c->a, sem_expr *, l->n_statics + 1);
        inst->own = NEW_N(c->a, bool, l->n_inputs + 1);
        inst->tied = NEW_N(c->a, bool, l->n_inputs + 1);
        if (l->nest + 1 > c->layer->nest) c->layer->nest = l->nest + 1;
        c->n_called += l->n_params;
        c->layer->n_params += l->n_params;
        check_expanded(c, s->use.layer.span);
        if (l->bad) c->layer->bad = true;
        if (c->layer->nest > SEM_MAX_NEST)
            sem_exhausted(c, s->use.layer.span, "layers are nested more than %d deep", (int)SEM_MAX_NEST);
        if (!static_args(c, s, inst)) inst->callee = NULL;
    }
    if (scope_bind(c, inst->name, inst->where, (binding){.kind = BIND_INST, .inst = inst}) && inst->callee) {
        inst->index = c->insts.n;
        vec_push(c->a, &c->insts, inst);
    }
}

/* ---- calls ---- */

sem_sym *instance_output(const sem_inst *inst, str name)
{
    const sem_layer *l = inst->callee;
    if (!l) return NULL;
    if (!name) return l->n_outputs == 1 ? l->outputs[0] : NULL;
    for (uint32_t i = 0; i < l->n_outputs; i++)
        if (l->outputs[i]->name == name) return l->outputs[i];
    return NULL;
}

static sem_sym *chosen_output(checker *c, const ast_expr *e, const sem_inst *inst, const ast_name *output)
{
    const sem_layer *l = inst->callee;
    sem_sym *s = instance_output(inst, output ? output->text : NULL);
    if (s) return s;
    if (output) {
        diag *d = sem_err(c, DIAG_NAME, output->span, "layer `%s` has no update `%s`", l->name, output->text);
        diag_note_at(d, l->ast->name.span, "defined here");
    } else if (l->n_outputs == 0) {
        sem_err(c, DIAG_NAME, e->at, "layer `%s` has no update: its call has no value", l->name);
    } else {
        diag *d = sem_err(c, DIAG_NAME, e->at, "layer `%s` has %u updates: say which", l->name, l->n_outputs);
        diag_help(d, "write %s(…).%s", inst->name, l->outputs[0]->name);
    }
    return NULL;
}

static void check_arg(checker *c, const sem_inst *inst, const sem_sym *input, const ast_arg *a,
                      sem_expr **out, bool *fine)
{
    sem_expr *v = check_expr(c, a->value, ectx_of(input->dom));
    if (sem_is_bad(v) || input->type.elem == SEM_POISON) {
        c->layer->bad = true;
        *fine = false;
        return;
    }
    sem_type want = inst_type(c->dims, inst, input->type), got = want;
    const bool kind = type_agree(c, &got, &v->type) && (got.none == want.none || !got.none);
    if (!kind || !shape_same(c, &want.shape, &v->type.shape)) {
        const char *wanted = sem_type_text(c->dims, &want, c->real, c->a);
        diag *d = sem_err(c, kind ? DIAG_SHAPE : DIAG_TYPE, a->value->at,
                          "`%s` of layer `%s` is %s here, and this is %s", input->name, inst->callee->name,
                          wanted, sem_ty(c, v));
        diag_mark(d, a->value->span);
        diag_note_at(d, input->where, "declared here");
        *fine = false;
        return;
    }
    warn_narrowed(c, a->value->at, v->type.elem, want.elem);
    *out = v;
}

static bool check_args(checker *c, const ast_expr *e, sem_inst *inst, sem_expr **args)
{
    const sem_layer *l = inst->callee;
    bool *given = NEW_N(c->a, bool, l->n_inputs + 1);
    bool fine = true;
    for (uint32_t i = 0; i < e->call.n_args; i++) {
        const ast_arg *a = &e->call.args[i];
        if (a->kind != AST_ARG_NAMED) {
            diag *d = sem_err(c, DIAG_NAME, e->at, "a layer's call names its inputs");
            diag_mark(d, a->span);
            if (l->n_inputs) diag_help(d, "write %s = …", l->inputs[0]->name);
            return false;
        }
        uint32_t at = 0;
        while (at < l->n_inputs && l->inputs[at]->name != a->name.text) at++;
        if (at == l->n_inputs) {
            diag *d = sem_err(c, DIAG_NAME, a->span, "layer `%s` has no input `%s`", l->name, a->name.text);
            diag_note_at(d, l->ast->name.span, "defined here");
            fine = false;
        } else if (given[at]) {
            sem_err(c, DIAG_NAME, a->span, "`%s` is given twice", a->name.text);
            fine = false;
        } else {
            given[at] = true;
            check_arg(c, inst, l->inputs[at], a, &args[at], &fine);
        }
    }
    for (uint32_t i = 0; i < l->n_inputs; i++) {
        if (l->inputs[i]->kind == SEM_S_PARAM) {
            if (given[i]) inst->tied[i] = true;
            else inst->own[i] = true;
        } else if (!given[i] && fine) {
            diag *d = sem_err(c, DIAG_NAME, e->at, "the input `%s` of layer `%s` is not given",
                              l->inputs[i]->name, l->name);
            diag_note_at(d, l->inputs[i]->where, "declared here");
            fine = false;
        }
    }
    return fine;
}

sem_expr *check_instance_call(checker *c, const ast_expr *e, sem_inst *inst, const ast_name *output, ectx x)
{
    const sem_layer *l = inst->callee;
    inst->n_calls++;
    if (!l) {
        c->layer->bad = true;
        return sem_bad(c, e);
    }
    c->n_called += l->expanded;
    check_expanded(c, e->at);
    sem_sym *s = chosen_output(c, e, inst, output);
    sem_expr *r = sem_new(c, SEM_CALL, e, l->n_inputs);
    if (!check_args(c, e, inst, r->args) || !s) return sem_bad(c, e);
    if (s->type.elem == SEM_POISON || c->exhausted) {
        c->layer->bad = true;
        return sem_bad(c, e);
    }
    r->u.call.inst = inst;
    r->u.call.output = s;
    r->u.call.loop = scope_loop(c->scope);
    r->dom = (uint8_t)s->dom;
    r->type = inst_type(c->dims, inst, s->type);
    return read_value(c, e, r, s->name, x);
}

/* ---- c1.W ---- */

/* The instances that a path as a.b goes through, outermost first; false: it is no such path. */
static bool path_of(checker *c, const ast_expr *e, sem_inst **path, uint32_t *n)
{
    if (e->kind == AST_EXPR_NAME) {
        binding *b = scope_find(c->scope, e->name.text);
        if (!b || b->kind != BIND_INST) return false;
        path[(*n)++] = b->inst;
        return true;
    }
    if (e->kind != AST_EXPR_MEMBER || !path_of(c, e->call.base, path, n)) return false;
    const sem_layer *l = path[*n - 1]->callee;
    for (uint32_t i = 0; l && i < l->n_insts; i++)
        if (l->insts[i]->name == e->call.name.text) {
            path[(*n)++] = l->insts[i];
            return true;
        }
    return false;
}

sem_expr *check_instance_param(checker *c, const ast_expr *e)
{
    if (c->fn || !c->scope) return NULL;
    sem_inst **path = NEW_N(c->a, sem_inst *, e->depth + 1);
    uint32_t n = 0;
    if (!path_of(c, e->call.base, path, &n)) return NULL;
    sem_inst *last = path[n - 1];
    path[0]->n_calls++;
    if (!last->callee) {
        c->layer->bad = true;
        return sem_bad(c, e);
    }
    uint32_t k = 0;
    const sem_layer *l = last->callee;
    while (k < l->n_inputs && (l->inputs[k]->kind != SEM_S_PARAM || l->inputs[k]->name != e->call.name.text))
        k++;
    if (k == l->n_inputs || (n > 1 && !last->own[k])) {
        diag *d = sem_err(c, DIAG_NAME, e->call.name.span,
                          k == l->n_inputs ? "layer `%s` has no param `%s`"
                                           : "in each call of this `%s` the param `%s` is given",
                          l->name, e->call.name.text);
        diag_note_at(d, k == l->n_inputs ? l->ast->name.span : l->inputs[k]->where,
                     k == l->n_inputs ? "defined here" : "declared here");
        return sem_bad(c, e);
    }
    last->own[k] = true;
    sem_expr *r = sem_new(c, SEM_INST_PARAM, e, 0);
    r->type = l->inputs[k]->type;
    r->u.param.path = path;
    r->u.param.n = n;
    r->u.param.sym = l->inputs[k];
    if (sem_is_bad(r)) return r;
    for (uint32_t i = n; i-- > 0;)
        r->type = inst_type(i ? path[i - 1]->callee->dims : c->dims, path[i], r->type);
    return r;
}
