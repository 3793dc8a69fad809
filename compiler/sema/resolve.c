/*
 * Names: scopes, look-ups, likely misspellings, and the check of helpers' names, which holds whether they
 * are called or not.
 */
#include "compiler/sema/check.h"

#include <string.h>

static const struct { const char *text; sem_group group; } functions[] = {
#define FN(id, group, params, needed, preset, text) {text, SEM_G_##group},
#include "compiler/sema/functions.def"
#undef FN
};

static const char *const values[] = {"in_degree", "out_degree", "num_nodes", "num_edges"};
enum {
    N_VALUES = sizeof values / sizeof *values,
    MAX_SUGGESTED = 50
}; /* later errors come without a suggestion */

bool sem_find_fn(const char *name, bool method, sem_fn *out)
{
    for (int i = 0; i < SEM_N_FNS; i++) {
        sem_group g = functions[i].group;
        if (g == SEM_G_OP || (g == SEM_G_AXIS) != method || strcmp(functions[i].text, name)) continue;
        *out = (sem_fn)i;
        return true;
    }
    return false;
}

bool sem_is_value_name(str name)
{
    for (int i = 0; i < N_VALUES; i++)
        if (!strcmp(values[i], name)) return true;
    return false;
}

binding *scope_find(const scope *s, str name)
{
    for (; s; s = s->up) {
        binding *b = map_get_ptr(&s->names, name);
        if (b) return b;
    }
    return NULL;
}

sem_loop *scope_loop(const scope *s)
{
    while (s && !s->loop) s = s->up;
    return s ? s->loop : NULL;
}

bool scope_bind(checker *c, str name, span where, binding b)
{
    if (!name) return false;
    binding *old = scope_find(c->scope, name);
    if (old) {
        diag *d = sem_err(c, DIAG_NAME, where, "`%s` is defined already", name);
        diag_note_at(d, old->where, "here");
        return false;
    }
    if (sem_is_value_name(name)) {
        sem_err(c, DIAG_NAME, where, "`%s` is the name of a built-in value", name);
        return false;
    }
    binding *own = NEW(c->a, binding);
    *own = b;
    own->where = where;
    map_put_ptr(&c->scope->names, name, own);
    return true;
}

const local *frame_find(const fn_frame *f, str name)
{
    const uint64_t *i = map_get(&f->names, map_key(name));
    return i ? &f->locals[*i - 1] : NULL;
}

bool frame_add(checker *c, fn_frame *f, const ast_name *name, sem_expr *value)
{
    if (!name->text) return true;
    bool fresh;
    uint64_t *slot = map_slot_of(&f->names, map_key(name->text), &fresh);
    if (!fresh) {
        sem_err(c, DIAG_NAME, name->span, "`%s` is defined already", name->text);
        return false;
    }
    f->locals[f->n++] = (local){name->text, name->span, value};
    *slot = f->n;
    return true;
}

/* ---- suggestions ---- */

typedef struct nearest { const char *wrong; const char *best; int distance; } nearest;

static void consider(nearest *n, const char *known)
{
    int d = diag_name_distance(n->wrong, known);
    if (d < n->distance) {
        n->distance = d;
        n->best = known;
    }
}

static void consider_map(nearest *n, const map *m)
{
    for (uint32_t i = 0; i < m->cap; i++)
        if (m->slots[i].used) consider(n, (const char *)(uintptr_t)m->slots[i].key);
}

/* Where the layer defines the name, though not to be seen from here: later, or inside of a block. */
static bool find_elsewhere(ast_stmt *const *body, uint32_t n, str name, span *where, bool *inside,
                           bool nested)
{
    for (uint32_t i = 0; i < n; i++) {
        const ast_stmt *s = body[i];
        const ast_name *found = NULL;
        switch (s->kind) {
        case AST_STMT_DECL:
            for (uint32_t k = 0; k < s->decl.n && !found; k++)
                if (s->decl.list[k].name.text == name) found = &s->decl.list[k].name;
            break;
        case AST_STMT_DEFINE: case AST_STMT_UPDATE:
            if (s->eq.name.text == name) found = &s->eq.name;
            break;
        case AST_STMT_USE:
            if (s->use.name.text == name) found = &s->use.name;
            break;
        case AST_STMT_ITERATE:
            for (uint32_t k = 0; k < s->iterate.n_states && !found; k++)
                if (s->iterate.states[k].name.text == name) found = &s->iterate.states[k].name;
            if (!found && find_elsewhere(s->iterate.body, s->iterate.n_body, name, where, inside, true))
                return true;
            break;
        case AST_STMT_ERROR: case AST_STMT_NEXT:
            break;
        }
        if (found) {
            *where = found->span;
            *inside = nested;
            return true;
        }
    }
    return false;
}

void sem_unknown_name(checker *c, str name, span at)
{
    diag *d = sem_err(c, DIAG_NAME, at, "`%s` is not defined", name);
    if (d->dropped || c->ds->n_errors > MAX_SUGGESTED) return;
    span where;
    bool inside;
    if (c->layer && !c->fn &&
        find_elsewhere(c->layer->ast->layer.body, c->layer->ast->layer.n_body, name, &where, &inside,
                       false)) {
        bool before = where.lo < at.lo;
        diag_note_at(d, where,
                     before && inside ? "it is defined inside of this block and not seen outside"
                     : before         ? "it is being defined here"
                                      : "it is defined here, and names are defined before use");
        return;
    }
    nearest n = {name, NULL, DIAG_NOT_NEAR};
    if (c->fn) {
        for (uint32_t i = 0; i < c->fn->n; i++) consider(&n, c->fn->locals[i].name);
        if (c->layer && scope_find(c->scope, name)) {
            diag_help(d, "an fn sees no names of the layer; pass `%s` as an argument", name);
            return;
        }
    } else {
        for (const scope *s = c->scope; s; s = s->up) consider_map(&n, &s->names);
    }
    consider_map(&n, &c->consts);
    for (int i = 0; i < N_VALUES; i++) consider(&n, values[i]);
    if (n.best) diag_help(d, "did you mean `%s`?", n.best);
    else if (c->fn) diag_help(d, "an fn sees its arguments and constants, no names of a layer");
}

void sem_unknown_fn(checker *c, str name, span at, bool method)
{
    sem_fn f;
    diag *d;
    for (uint32_t i = 0; i < c->file->n_items && !method; i++) {
        const ast_item *it = c->file->items[i];
        if (it->kind != AST_ITEM_FN || it->name.text != name) continue;
        bool self = at.lo >= it->span.lo && at.hi <= it->span.hi;
        d = sem_err(c, DIAG_NAME, at, self ? "`%s` calls itself" : "`%s` is not defined yet", name);
        if (self) diag_help(d, "there is no recursion; repeat steps with iterate");
        else diag_note_at(d, it->name.span, "it is defined here, and names are defined before use");
        return;
    }
    d = sem_err(c, DIAG_NAME, at, method ? "there is no method `.%s`" : "there is no function `%s`", name);
    if (d->dropped || c->ds->n_errors > MAX_SUGGESTED) return;
    if (sem_find_fn(name, !method, &f)) {
        if (method) diag_help(d, "it is a function: write %s(…)", name);
        else diag_help(d, "it is a method: write x.%s(…)", name);
        return;
    }
    if (!method && map_get_ptr(&c->layers, name)) {
        diag_help(d, "a layer is called through an instance: use c = %s(…); then c(x = …)", name);
        return;
    }
    nearest n = {name, NULL, DIAG_NOT_NEAR};
    for (int i = 0; i < SEM_N_FNS; i++)
        if (functions[i].group != SEM_G_OP && (functions[i].group == SEM_G_AXIS) == method)
            consider(&n, functions[i].text);
    if (!method) {
        consider_map(&n, &c->fns);
        for (const scope *s = c->scope; s; s = s->up)
            for (uint32_t i = 0; i < s->names.cap; i++) {
                const map_slot *slot = &s->names.slots[i];
                if (slot->used && ((binding *)(uintptr_t)slot->value)->kind == BIND_INST)
                    consider(&n, (const char *)(uintptr_t)slot->key);
            }
    }
    if (n.best) diag_help(d, method ? "did you mean `.%s`?" : "did you mean `%s`?", n.best);
}

/* ---- helpers ---- */

typedef struct seen { checker *c; fn_frame frame; bool *used; } seen;

static void resolve_local(seen *s, str name, span at)
{
    const local *l = frame_find(&s->frame, name);
    if (l) {
        s->used[l - s->frame.locals] = true;
        return;
    }
    if (map_get_ptr(&s->c->consts, name) || sem_is_value_name(name)) return;
    if (!strcmp(name, "training") || !strcmp(name, "step")) return;
    sem_unknown_name(s->c, name, at);
}

static void resolve_expr(seen *s, const ast_expr *e)
{
    if (!e) return;
    switch (e->kind) {
    case AST_EXPR_ERROR: case AST_EXPR_NUMBER: case AST_EXPR_STRING:
        return;
    case AST_EXPR_NAME:
        resolve_local(s, e->name.text, e->at);
        return;
    case AST_EXPR_QUALIFIED:
        resolve_local(s, e->qualified.name.text, e->at);
        return;
    case AST_EXPR_UNARY: case AST_EXPR_BINARY:
        resolve_expr(s, e->op.left);
        resolve_expr(s, e->op.right);
        return;
    case AST_EXPR_CALL: case AST_EXPR_METHOD: case AST_EXPR_MEMBER: {
        sem_fn f;
        bool method = e->kind == AST_EXPR_METHOD;
        resolve_expr(s, e->call.base);
        if (e->kind == AST_EXPR_CALL && !map_get_ptr(&s->c->fns, e->call.name.text) &&
            !sem_find_fn(e->call.name.text, false, &f))
            sem_unknown_fn(s->c, e->call.name.text, e->at, false);
        if (method && !sem_find_fn(e->call.name.text, true, &f))
            sem_unknown_fn(s->c, e->call.name.text, e->at, true);
        for (uint32_t i = 0; i < e->call.n_args; i++) resolve_expr(s, e->call.args[i].value);
        return;
    }
    case AST_EXPR_INDEX:
        resolve_expr(s, e->index.base);
        for (uint32_t i = 0; i < e->index.n_subs; i++) {
            resolve_expr(s, e->index.subs[i].lo);
            resolve_expr(s, e->index.subs[i].hi);
        }
        return;
    }
}

bool sem_resolve_fn(checker *c, const ast_item *it)
{
    const uint32_t n_params = it->fn.n_params, cap = n_params + it->fn.n_lets;
    seen s = {.c = c, .frame = {.fn = it, .call = it->name.span, .names = map_make(c->a)}};
    s.frame.locals = NEW_N(c->a, local, cap + 1);
    s.used = NEW_N(c->a, bool, cap + 1);
    const uint32_t errors = c->ds->n_errors;
    c->fn = &s.frame;
    for (uint32_t i = 0; i < cap; i++) {
        if (i >= n_params) resolve_expr(&s, it->fn.lets[i - n_params].value);
        frame_add(c, &s.frame, i < n_params ? &it->fn.params[i] : &it->fn.lets[i - n_params].name, NULL);
    }
    resolve_expr(&s, it->fn.result);
    c->fn = NULL;
    if (c->ds->n_errors != errors) return false;
    for (uint32_t i = n_params; i < s.frame.n; i++)
        if (!s.used[i])
            diag_warning(c->ds, DIAG_UNUSED, s.frame.locals[i].where, "unused value `%s`",
                         s.frame.locals[i].name);
    return true;
}
