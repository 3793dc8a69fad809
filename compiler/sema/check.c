/*
 * The checker's basics: typed expressions, reports, and texts for messages.
 */
#include "compiler/sema/check.h"

#include "compiler/parser/ast_print.h"

#include <string.h>

sem_type sem_scalar(sem_elem e)
{
    return (sem_type){.elem = e};
}

sem_expr *sem_new(checker *c, sem_kind kind, const ast_expr *e, uint32_t n_args)
{
    sem_expr *r = NEW(c->a, sem_expr);
    r->kind = (uint8_t)kind;
    r->span = e->span;
    r->at = e->at;
    r->id = c->n_exprs++;
    r->n_args = n_args;
    r->args = n_args ? NEW_N(c->a, sem_expr *, n_args) : NULL;
    if (c->fn && ++c->n_inlined > SEM_MAX_INLINED) {
        const fn_frame *f = c->fn;
        while (f->up) f = f->up;
        sem_exhausted(c, f->call, "inlining `%s` makes more than %d expressions", f->fn->name.text,
                      (int)SEM_MAX_INLINED);
    }
    return r;
}

sem_expr *sem_bad(checker *c, const ast_expr *e)
{
    return sem_new(c, SEM_BAD, e, 0);            /* type POISON is zero */
}

sem_expr *sem_number(checker *c, const ast_expr *e, double value)
{
    sem_expr *r = sem_new(c, SEM_NUMBER, e, 0);
    r->type.elem = SEM_WEAK;
    r->constant = true;
    r->number = r->u.value = value;
    return r;
}

bool sem_any_bad(sem_expr *const *args, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (sem_is_bad(args[i])) return true;
    return false;
}

static void note_calls(checker *c, diag *d)
{
    int shown = 0;
    for (const fn_frame *f = c->fn; f && shown < 3 && !span_same(f->call, f->fn->name.span);
         f = f->up, shown++)
        diag_note_at(d, f->call, "in this call of `%s`", f->fn->name.text);
}

diag *sem_err(checker *c, diag_class class, span at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    diag *d = diag_verror(c->ds, class, at, fmt, ap);
    va_end(ap);
    if (c->layer) c->layer->bad = true;
    note_calls(c, d);
    return d;
}

void sem_exhausted(checker *c, span at, const char *fmt, ...)
{
    if (c->layer) c->layer->bad = true;
    if (c->exhausted) return;
    c->exhausted = true;
    va_list ap;
    va_start(ap, fmt);
    diag_verror(c->ds, DIAG_LIMIT, at, fmt, ap);
    va_end(ap);
}

/* ---- texts ---- */

const char *sem_expr_text(checker *c, const ast_expr *e)
{
    enum { LONGEST = 40 };
    buf b = buf_make(c->a);
    if (e->span.hi - e->span.lo > 400) return "…";
    ast_print_expr(e, &b);
    if (b.n > LONGEST) return "…";
    return buf_text(&b);
}

const char *sem_shape_text(const dim_table *dims, const sem_shape *s, arena *a)
{
    if (s->rank == 0) return "a scalar";
    buf b = buf_make(a);
    buf_putc(&b, '[');
    for (uint32_t i = 0; i < s->rank; i++) {
        if (i) buf_puts(&b, ", ");
        dim_print(dims, s->at[i], &b);
    }
    buf_putc(&b, ']');
    return buf_text(&b);
}

static const char *elem_text(sem_elem e)
{
    static const char *const text[] = {
        [SEM_POISON] = "?", [SEM_WEAK] = "real", [SEM_F16] = "f16",     [SEM_BF16] = "bf16",
        [SEM_F32] = "f32",  [SEM_F64] = "f64",   [SEM_INDEX] = "index", [SEM_BOOL] = "bool"};
    return text[e];
}

const char *sem_type_text(const dim_table *dims, const sem_type *t, sem_elem real, arena *a)
{
    buf b = buf_make(a);
    if (t->elem == SEM_INDEX) {
        buf_puts(&b, "index(");
        dim_print(dims, t->range, &b);
        buf_puts(&b, t->none ? ") or none" : ")");
    } else {
        buf_puts(&b, t->elem == real || t->elem == SEM_WEAK ? "real" : elem_text(t->elem));
    }
    if (t->shape.rank) {
        buf_putc(&b, ' ');
        buf_puts(&b, sem_shape_text(dims, &t->shape, a));
    }
    return buf_text(&b);
}

const char *sem_ty(checker *c, const sem_expr *e) { return sem_type_text(c->dims, &e->type, c->real, c->a); }
const char *sem_sh(checker *c, const sem_shape *s) { return sem_shape_text(c->dims, s, c->a); }

const char *sem_dom_name(sem_dom d)
{
    static const char *const name[] = {"param", "global", "graph", "node", "src", "dst", "edge"};
    return name[d];
}

const char *sem_fn_name(sem_fn f)
{
    static const char *const name[] = {
#define FN(id, group, params, needed, preset, text) text,
#include "compiler/sema/functions.def"
#undef FN
    };
    return name[f];
}
