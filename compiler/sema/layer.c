/*
 * Layers: declarations, equations and blocks in order, and what was never used.
 */
#include "compiler/sema/check.h"

#include <string.h>

static sem_sym *new_sym(checker *c, sem_sym_kind kind, const ast_name *name, sem_dom d)
{
    sem_sym *s = NEW(c->a, sem_sym);
    s->kind = kind;
    s->name = name->text;
    s->where = name->span;
    s->dom = d;
    return s;
}

/* False: the name is taken, or missing. */
static bool enter(checker *c, sem_sym *s)
{
    if (!scope_bind(c, s->name, s->where, (binding){.kind = BIND_SYM, .sym = s})) return false;
    vec_push(c->a, &c->syms, s);
    return true;
}

static sem_dom dom_of(ast_domain d, sem_dom none)
{
    switch (d) {
    case AST_DOM_NONE: return none;
    case AST_DOM_EDGE: return SEM_EDGE;
    case AST_DOM_NODE: return SEM_NODE;
    case AST_DOM_SRC: return SEM_SRC;
    case AST_DOM_DST: return SEM_DST;
    case AST_DOM_GRAPH: return SEM_GRAPH;
    case AST_DOM_GLOBAL: return SEM_GLOBAL;
    case AST_DOM_PARAM: return SEM_PARAM;
    }
    return none;
}

/* ---- static arguments ---- */

static void statics(checker *c, const ast_item *it)
{
    sem_layer *l = c->layer;
    l->statics = NEW_N(c->a, sem_static, it->layer.n_statics + 1);
    for (uint32_t i = 0; i < it->layer.n_statics; i++) {
        const ast_static *a = &it->layer.statics[i];
        sem_static *s = &l->statics[l->n_statics];
        *s = (sem_static){.name = a->name.text, .where = a->name.span, .real = a->is_real};
        if (!s->name) {
            l->bad = true;
            continue;
        }
        if (a->value && a->is_real) {
            s->has_default = static_number(c, a->value, "the default of a real", &s->real_default);
        } else if (a->value) {
            s->dim_default = static_positive(c, a->value, "a static argument");
            s->has_default = dim_ok(s->dim_default);
        }
        if (!scope_bind(c, s->name, s->where, (binding){.kind = BIND_STATIC, .static_ = l->n_statics}))
            continue;
        if (!s->real) s->sym = dim_symbol(l->dims, s->name);
        l->n_statics++;
    }
}

/* ---- inputs and params ---- */

static sem_type declared_type(checker *c, const ast_type *t)
{
    sem_type r = {.elem = c->real};
    switch (t->kind) {
    case AST_TYPE_DEFAULT: case AST_TYPE_REAL: break;
    case AST_TYPE_F64: r.elem = SEM_F64; break;
    case AST_TYPE_F32: r.elem = SEM_F32; break;
    case AST_TYPE_F16: r.elem = SEM_F16; break;
    case AST_TYPE_BF16: r.elem = SEM_BF16; break;
    case AST_TYPE_BOOL: r.elem = SEM_BOOL; break;
    case AST_TYPE_INDEX:
        r.elem = SEM_INDEX;
        r.none = t->or_none;
        r.range = t->range ? static_positive(c, t->range, "the range of an index") : DIM_ERROR;
        if (!dim_ok(r.range)) {
            r.elem = SEM_POISON;
            c->layer->bad = true;
        }
        break;
    }
    return r;
}

static void initialiser(checker *c, const ast_init *init, sem_sym *s)
{
    static const struct { const char *name; sem_init_kind kind; uint32_t n; } known[] = {
        {"zeros", SEM_INIT_ZEROS, 0},
        {"ones", SEM_INIT_ONES, 0},
        {"constant", SEM_INIT_CONSTANT, 1},
        {"uniform", SEM_INIT_UNIFORM, 2},
        {"normal", SEM_INIT_NORMAL, 1},
        {"glorot_uniform", SEM_INIT_GLOROT_UNIFORM, 0},
        {"glorot_normal", SEM_INIT_GLOROT_NORMAL, 0},
        {"kaiming_uniform", SEM_INIT_KAIMING_UNIFORM, 0},
        {"kaiming_normal", SEM_INIT_KAIMING_NORMAL, 0}};
    enum { N = sizeof known / sizeof *known };
    if (!init->name.text) return;
    uint32_t i = 0;
    while (i < N && strcmp(known[i].name, init->name.text)) i++;
    if (i == N) {
        diag *d = sem_err(c, DIAG_NAME, init->name.span, "there is no initialiser `%s`", init->name.text);
        const char *best = NULL;
        int nearest = DIAG_NOT_NEAR;
        for (uint32_t k = 0; k < N; k++) {
            int distance = diag_name_distance(init->name.text, known[k].name);
            if (distance < nearest) {
                nearest = distance;
                best = known[k].name;
            }
        }
        if (best) diag_help(d, "did you mean `%s`?", best);
        else
            diag_help(d, "there are zeros, ones, constant(c), uniform(a, b), normal(std), and "
                         "glorot_ and kaiming_ with uniform or normal");
        return;
    }
    bool plain = init->n_args == known[i].n;
    for (uint32_t k = 0; k < init->n_args; k++) plain = plain && init->args[k].kind == AST_ARG_PLAIN;
    if (!plain) {
        sem_err(c, DIAG_VALUE, init->name.span, "`%s` takes %u number%s", known[i].name, known[i].n,
                known[i].n == 1 ? "" : "s");
        return;
    }
    double v[2] = {0};
    for (uint32_t k = 0; k < init->n_args; k++)
        if (!static_number(c, init->args[k].value, "a number of an initialiser", &v[k])) return;
    if (known[i].kind == SEM_INIT_NORMAL && !(v[0] >= 0))
        sem_err(c, DIAG_VALUE, init->args[0].value->at, "a standard deviation cannot be negative");
    if (known[i].kind == SEM_INIT_UNIFORM && !(v[0] <= v[1]))
        sem_err(c, DIAG_VALUE, init->name.span, "`uniform` from %g to %g is an empty range", v[0], v[1]);
    s->init = known[i].kind;
    s->init_a = v[0];
    s->init_b = v[1];
}

static void declaration(checker *c, const ast_stmt *st)
{
    for (uint32_t i = 0; i < st->decl.n; i++) {
        const ast_declarator *a = &st->decl.list[i];
        const sem_dom d = dom_of(st->domain, SEM_NODE);
        sem_sym *s = new_sym(c, d == SEM_PARAM ? SEM_S_PARAM : SEM_S_INPUT, &a->name, d);
        s->type = declared_type(c, &a->type);
        bool fine = s->type.elem != SEM_POISON;
        if (d == SEM_PARAM && fine && !sem_is_float(s->type.elem)) {
            diag *e = sem_err(c, DIAG_TYPE, a->type.span, "a param is learnt, and so must be a real");
            diag_help(e, "as an input of the whole call it would be: global %s",
                      a->name.text ? a->name.text : "x");
            fine = false;
        }
        if (a->n_dims > SEM_MAX_RANK) {
            sem_err(c, DIAG_SHAPE, a->name.span, "`%s` has %u axes, and %d is the most",
                    a->name.text ? a->name.text : "this", a->n_dims, (int)SEM_MAX_RANK);
            fine = false;
        }
        for (uint32_t k = 0; k < a->n_dims; k++) {
            dim v = static_positive(c, a->dims[k], "a dim");
            if (!dim_ok(v)) c->layer->bad = true, fine = false;
            if (k < SEM_MAX_RANK) s->type.shape.at[s->type.shape.rank++] = v;
        }
        if (a->init && d == SEM_PARAM) initialiser(c, a->init, s);
        else if (a->init) sem_err(c, DIAG_DOMAIN, a->init->span, "only a param is initialised");
        if (!fine) s->type.elem = SEM_POISON;
        if (!enter(c, s)) continue;
        s->index = c->layer->n_inputs++;         /* collected in order at the end */
        c->layer->n_params += d == SEM_PARAM;
    }
}

/* ---- equations ---- */

static void define(checker *c, const ast_stmt *st, sem_loop *loop)
{
    const bool update = st->kind == AST_STMT_UPDATE;
    sem_dom d = st->eq.is_message ? SEM_EDGE : dom_of(st->domain, SEM_NODE);
    if (d == SEM_PARAM) {
        diag *e = sem_err(c, DIAG_DOMAIN, st->key, "a param has no equation: it is learnt");
        diag_help(e, "global names a value of the whole call");
        d = SEM_GLOBAL;
    }
    sem_sym *s = new_sym(c, SEM_S_DEF, &st->eq.name, d);
    s->message = st->eq.is_message;
    s->update = update;
    s->loop = loop;
    if (update && loop) {
        diag *e = sem_err(c, DIAG_DOMAIN, st->key, "an update stands outside of iterate");
        diag_help(e, "name the value here, make it a state, and update from that after the block");
    }
    c->def = s;
    c->dst_read = false;
    s->value = check_expr(c, st->eq.value, ectx_of(d));
    c->def = NULL;
    s->type = s->value->type;
    if (s->type.elem == SEM_WEAK) s->type.elem = c->real;
    if (update && st->domain == AST_DOM_NONE && c->dst_read) s->dom = SEM_DST;
    enter(c, s);
}

/* ---- iterate ---- */

static void body(checker *c, ast_stmt *const *list, uint32_t n, sem_loop *loop);

static void start(checker *c, const ast_state *a, sem_dom d, sem_sym *s)
{
    s->value = check_expr(c, a->start, ectx_of(d));
    s->type = s->value->type;
    if (s->type.elem == SEM_WEAK) s->type.elem = c->real;
}

static void tolerance(checker *c, const ast_expr *e, sem_loop *loop)
{
    sem_expr *v = check_expr(c, e, ectx_of(SEM_GLOBAL));
    if (sem_is_bad(v)) return;
    if (!need_float(c, v, e->at, "a tolerance")) return;
    if (v->type.shape.rank) sem_err(c, DIAG_SHAPE, e->at, "a tolerance must be a scalar");
    else if (v->constant && !(v->number > 0)) sem_err(c, DIAG_VALUE, e->at, "a tolerance must be positive");
    else loop->tol = v;
}

static void iterate(checker *c, const ast_stmt *st, sem_loop *up)
{
    const sem_dom d = dom_of(st->domain, SEM_NODE);
    sem_loop *loop = NEW(c->a, sem_loop);
    *loop =
        (sem_loop){.up = up, .where = st->key, .id = c->layer->n_loops++, .n_states = st->iterate.n_states};
    loop->states = NEW_N(c->a, sem_sym *, loop->n_states + 1);
    for (uint32_t i = 0; i < loop->n_states; i++) {
        const ast_state *a = &st->iterate.states[i];
        sem_sym *s = loop->states[i] = new_sym(c, SEM_S_STATE, &a->name, d);
        s->loop = loop;
        s->index = i;
        start(c, a, d, s);
    }
    loop->limit = static_positive(c, st->iterate.limit, "the number of steps");
    if (!dim_ok(loop->limit)) c->layer->bad = true;
    if (st->iterate.tolerance) tolerance(c, st->iterate.tolerance, loop);
    for (uint32_t i = 0; i < loop->n_states; i++) enter(c, loop->states[i]);
    scope inner = {.up = c->scope, .loop = loop, .names = map_make(c->a)};
    c->scope = &inner;
    body(c, st->iterate.body, st->iterate.n_body, loop);
    c->scope = inner.up;
    for (uint32_t i = 0; i < loop->n_states; i++) {
        sem_sym *s = loop->states[i];
        if (s->next) continue;
        diag *e = sem_err(c, DIAG_NAME, s->where, "the state `%s` has no next value", s->name ? s->name : "");
        diag_help(e, "write next %s = …; in the block", s->name ? s->name : "z");
    }
}

static void next(checker *c, const ast_stmt *st, sem_loop *loop)
{
    sem_sym *s = NULL;
    for (uint32_t i = 0; loop && i < loop->n_states; i++)
        if (loop->states[i]->name == st->eq.name.text) s = loop->states[i];
    if (!s) {
        diag *d = sem_err(c, DIAG_NAME, st->eq.name.span, "`%s` is no state of this block",
                          st->eq.name.text ? st->eq.name.text : "");
        if (loop) diag_note_at(d, loop->where, "its states are named here");
    }
    c->def = s;
    sem_expr *v = check_expr(c, st->eq.value, ectx_of(s ? s->dom : SEM_NODE));
    c->def = NULL;
    if (!s) return;
    if (s->next) {
        diag *d = sem_err(c, DIAG_NAME, st->eq.name.span, "`%s` has a next value already", s->name);
        diag_note_at(d, s->next->span, "here");
        return;
    }
    s->next = v;
    if (sem_is_bad(v) || s->type.elem == SEM_POISON) return;
    sem_type joined = s->type;
    const bool kind = type_agree(c, &joined, &v->type) && joined.none == s->type.none;
    if (!kind || !shape_fits(c, &v->type.shape, &s->type.shape)) {
        diag *d = sem_err(c, kind ? DIAG_SHAPE : DIAG_TYPE, st->eq.value->at,
                          "the state `%s` is %s, and its next value %s", s->name,
                          sem_type_text(c->dims, &s->type, c->real, c->a), sem_ty(c, v));
        diag_mark(d, st->eq.value->span);
        diag_note_at(d, s->where, "it starts here");
        if (kind && s->value->type.shape.rank < v->type.shape.rank)
            diag_help(d, "start it with zeros(…) or ones(…) of that shape");
        return;
    }
    warn_narrowed(c, st->eq.value->at, v->type.elem, s->type.elem);
}

/* What a statement that could not be read would have defined: a name that silences whatever reads it. */
static void lost(checker *c, const ast_stmt *st)
{
    c->layer->bad = true;
    if (!st->eq.name.text || scope_find(c->scope, st->eq.name.text)) return;
    sem_sym *s = new_sym(c, SEM_S_INPUT, &st->eq.name, dom_of(st->domain, SEM_NODE));
    s->type.elem = SEM_POISON;
    s->used = true;
    if (enter(c, s)) s->index = c->layer->n_inputs++;
}

static void body(checker *c, ast_stmt *const *list, uint32_t n, sem_loop *loop)
{
    for (uint32_t i = 0; i < n; i++) {
        const ast_stmt *s = list[i];
        switch (s->kind) {
        case AST_STMT_ERROR:
            lost(c, s);
            break;
        case AST_STMT_DECL:
            if (loop) sem_err(c, DIAG_DOMAIN, s->key, "inputs and params are declared outside of iterate");
            declaration(c, s);
            break;
        case AST_STMT_DEFINE: case AST_STMT_UPDATE:
            define(c, s, loop);
            break;
        case AST_STMT_NEXT:
            next(c, s, loop);
            break;
        case AST_STMT_USE:
            if (loop) sem_err(c, DIAG_DOMAIN, s->key, "an instance is made outside of iterate");
            check_use(c, s);
            break;
        case AST_STMT_ITERATE:
            iterate(c, s, loop);
            break;
        }
    }
}

/* ---- the end of a layer ---- */

static void mark_reads(const sem_sym *s)
{
    for (uint32_t k = 0; k < s->n_reads; k++) s->reads[k]->aggregated = true;
}

/* What flows into an aggregate, an output or a state is aggregated, as far as a message is concerned. */
static void flow_back(checker *c)
{
    for (uint32_t i = 0; i < c->syms.n; i++)
        if (c->syms.at[i]->kind == SEM_S_STATE) mark_reads(c->syms.at[i]);
    for (uint32_t i = c->syms.n; i-- > 0;)       /* other equations read earlier ones only */
        if (c->syms.at[i]->aggregated || c->syms.at[i]->update) mark_reads(c->syms.at[i]);
}

static void unused(checker *c)
{
    flow_back(c);
    for (uint32_t i = 0; i < c->syms.n; i++) {
        const sem_sym *s = c->syms.at[i];
        if (s->update) continue;
        if (s->message && !s->aggregated) {
            diag_warning(c->ds, DIAG_UNUSED, s->where,
                         s->used ? "the message `%s` is never aggregated"
                                 : "unused message `%s`: it is never aggregated",
                         s->name);
        } else if (!s->used) {
            static const char *const kind[] = {"input", "param", "value", "state"};
            diag_warning(c->ds, DIAG_UNUSED, s->where, "unused %s `%s`", kind[s->kind], s->name);
        }
    }
    for (uint32_t i = 0; i < c->insts.n; i++)
        if (!c->insts.at[i]->n_calls)
            diag_warning(c->ds, DIAG_UNUSED, c->insts.at[i]->where, "unused layer `%s`",
                         c->insts.at[i]->name);
    if (!c->layer->n_outputs)
        diag_warning(c->ds, DIAG_UNUSED, c->layer->ast->name.span, "layer `%s` has no update",
                     c->layer->name);
}

static void collect(checker *c)
{
    sem_layer *l = c->layer;
    uint32_t n_updates = 0, at = 0;
    for (uint32_t i = 0; i < c->syms.n; i++) n_updates += c->syms.at[i]->update;
    l->inputs = NEW_N(c->a, sem_sym *, l->n_inputs + 1);
    l->outputs = NEW_N(c->a, sem_sym *, n_updates + 1);
    for (uint32_t i = 0; i < c->syms.n; i++) {
        sem_sym *s = c->syms.at[i];
        if (s->kind == SEM_S_INPUT || s->kind == SEM_S_PARAM) l->inputs[at++] = s;
        if (s->update) l->outputs[l->n_outputs++] = s;
    }
    l->insts = c->insts.at;
    l->n_insts = c->insts.n;
    for (uint32_t i = 0; i < l->n_insts; i++) {  /* never called: all of its params are its own */
        const sem_inst *inst = l->insts[i];
        for (uint32_t k = 0; k < inst->callee->n_inputs; k++)
            if (!inst->tied[k] && inst->callee->inputs[k]->kind == SEM_S_PARAM) inst->own[k] = true;
    }
}

void check_layer(checker *c, const ast_item *it)
{
    sem_layer *l = NEW(c->a, sem_layer);
    *l = (sem_layer){.name = it->name.text,
                     .ast = it,
                     .dims = dim_table_new(c->a),
                     .real = c->real,
                     .nest = 1,
                     .n_params = 1};
    dim_table *file_dims = c->dims;
    scope top = {.names = map_make(c->a)};
    c->layer = l;
    c->dims = l->dims;
    c->scope = &top;
    c->syms.at = NULL, c->syms.n = c->syms.cap = 0;
    c->insts.at = NULL, c->insts.n = c->insts.cap = 0;
    c->n_exprs = 0;
    c->n_called = 0;
    c->exhausted = false;
    const sem_layer *old = l->name ? map_get_ptr(&c->layers, l->name) : NULL;
    if (old) {
        diag *d = sem_err(c, DIAG_NAME, it->name.span, "layer `%s` is defined already", l->name);
        diag_note_at(d, old->ast->name.span, "here");
    }
    statics(c, it);
    body(c, it->layer.body, it->layer.n_body, NULL);
    collect(c);
    if (!l->bad && !c->exhausted) unused(c);
    l->n_exprs = c->n_exprs;
    l->expanded = (uint64_t)c->n_exprs + l->n_inputs + c->n_called;
    c->scope = NULL;
    c->layer = NULL;
    c->dims = file_dims;
    if (!l->name) return;
    if (!old) map_put_ptr(&c->layers, l->name, l);
    vec_push(c->a, &c->all, l);
}
