/*
 * The stage's entry: the items of a file in order. And static arguments given from outside.
 */
#include "compiler/sema/check.h"

#include <errno.h>
#include <stdlib.h>
#include <math.h>
#include <string.h>

static void constant(checker *c, const ast_item *it)
{
    file_const *k = NEW(c->a, file_const);
    k->where = it->name.span;
    sem_expr *v = check_expr(c, it->constant.value, ectx_of(SEM_PARAM));
    k->bad = !v->constant;
    k->value = v->number;
    if (!sem_is_bad(v) && !v->constant)
        sem_err(c, DIAG_STATIC, it->constant.value->at, "a constant is made of numbers and other constants");
    if (!it->name.text) return;
    const file_const *old = map_get_ptr(&c->consts, it->name.text);
    if (!old) {
        map_put_ptr(&c->consts, it->name.text, k);
        return;
    }
    diag *d = sem_err(c, DIAG_NAME, it->name.span, "the constant `%s` is defined already", it->name.text);
    diag_note_at(d, old->where, "here");
}

static void helper(checker *c, const ast_item *it)
{
    const bool right = sem_resolve_fn(c, it);
    if (!it->name.text) return;
    const ast_item *old = map_get_ptr(&c->fns, it->name.text);
    if (!old) {
        if (!right || it->broken) map_put_ptr(&c->wrong_fns, it->name.text, it);
        map_put_ptr(&c->fns, it->name.text, it);
        return;
    }
    diag *d = sem_err(c, DIAG_NAME, it->name.span, "the fn `%s` is defined already", it->name.text);
    diag_note_at(d, old->name.span, "here");
}

sem_program *sema_check(arena *a, str_table *names, diags *ds, const ast_file *file, const sem_options *o)
{
    sem_program *p = NEW(a, sem_program);
    checker *c = NEW(a, checker);
    *c = (checker){.a = a,
                   .names = names,
                   .ds = ds,
                   .file = file,
                   .prog = p,
                   .real = o && o->real ? o->real : SEM_F32,
                   .consts = map_make(a),
                   .fns = map_make(a),
                   .wrong_fns = map_make(a),
                   .layers = map_make(a),
                   .dims = dim_table_new(a)};
    for (uint32_t i = 0; i < file->n_items; i++) {
        const ast_item *it = file->items[i];
        switch (it->kind) {
        case AST_ITEM_LAYER: check_layer(c, it); break;
        case AST_ITEM_FN: helper(c, it); break;
        case AST_ITEM_CONST: constant(c, it); break;
        }
    }
    p->layers = c->all.at;
    p->n_layers = c->all.n;
    return p;
}

sem_layer *sem_find_layer(const sem_program *p, const char *name)
{
    if (!name) return p->n_layers ? p->layers[p->n_layers - 1] : NULL;
    for (uint32_t i = 0; i < p->n_layers; i++)
        if (!strcmp(p->layers[i]->name, name)) return p->layers[i];
    return NULL;
}

/* ---- -D ---- */

static bool define_one(sem_static *s, const char *text, diags *ds)
{
    char *end;
    errno = 0;
    const double real = strtod(text, &end);
    if (!*text || *end || !isfinite(real)) {
        diag_error(ds, DIAG_STATIC, s->where, "-D %s=%s: this is no number", s->name, text);
        return false;
    }
    if (s->real) {
        s->real_value = real;
    } else {
        errno = 0;
        const long long v = strtoll(text, &end, 10);
        const char *why = *end     ? "an integer is wanted"
                          : errno  ? "this is too large"
                          : v <= 0 ? "it must be positive"
                                   : NULL;
        if (why) {
            diag_error(ds, DIAG_STATIC, s->where, "-D %s=%s: %s", s->name, text, why);
            return false;
        }
        s->dim_value = v;
    }
    s->fixed = true;
    return true;
}

bool sem_define(const sem_program *p, sem_layer *layer, const char *name, const char *text, diags *ds)
{
    bool found = false, fine = true;
    const sem_layer *any = layer;
    for (uint32_t i = 0; i < p->n_layers; i++) {
        sem_layer *l = p->layers[i];
        if (layer && l != layer) continue;
        any = l;
        for (uint32_t k = 0; k < l->n_statics; k++) {
            if (strcmp(l->statics[k].name, name)) continue;
            found = true;
            fine = define_one(&l->statics[k], text, ds) && fine;
        }
    }
    if (found) return fine;
    const span where = any ? any->ast->name.span : (span){0};
    diag *d =
        layer ? diag_error(ds, DIAG_STATIC, where, "-D %s: layer `%s` has no static argument `%s`", name,
                           layer->name, name)
              : diag_error(ds, DIAG_STATIC, where, "-D %s: no layer has a static argument `%s`", name, name);
    if (any && any->n_statics) {
        buf b = buf_make(ds->a);
        for (uint32_t k = 0; k < any->n_statics && k < 20; k++)
            buf_printf(&b, "%s%s", k ? ", " : "", any->statics[k].name);
        diag_help(d, "`%s` has %s", any->name, buf_text(&b));
    }
    return false;
}
