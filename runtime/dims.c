/*
 * Dims from shapes. Every bound axis is an equation "dim = extent"; equations are used as soon as all or all but one of
 * their symbols have values, until none says anything new. There are few of them, so they are simply gone through
 * again.
 */
#include "runtime/dims.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "runtime/tensor.h"

enum { TEXT = 256 };

bool dim_values_make(mp_context *ctx, uint32_t n, dim_values *v)
{
    *v = (dim_values){ .n = n };
    v->value = mem_array(ctx, n, sizeof *v->value, "values of dims");
    v->known = mem_array(ctx, n, sizeof *v->known, "values of dims");
    v->origin = mem_array(ctx, n, sizeof *v->origin, "values of dims");
    if (!v->value || !v->known || !v->origin) {
        dim_values_free(ctx, v);
        return false;
    }
    memset(v->value, 0, n * sizeof *v->value);
    memset(v->known, 0, n * sizeof *v->known);
    memset(v->origin, 0, n * sizeof *v->origin);
    return true;
}

void dim_values_free(mp_context *ctx, dim_values *v)
{
    mem_array_free(ctx, v->value, v->n, sizeof *v->value);
    mem_array_free(ctx, v->known, v->n, sizeof *v->known);
    mem_array_free(ctx, v->origin, v->n, sizeof *v->origin);
    *v = (dim_values){ 0 };
}

void dim_values_copy(dim_values *to, const dim_values *from)
{
    memcpy(to->value, from->value, from->n * sizeof *from->value);
    memcpy(to->known, from->known, from->n * sizeof *from->known);
    memcpy(to->origin, from->origin, from->n * sizeof *from->origin);
}

/* ---- Texts ------------------------------------------------------------------------------------------------------ */

const char *dims_rows_text(const desc_value *v)
{
    switch (v->domain) {
    case MP_DOMAIN_EDGE: return "edges";
    case MP_DOMAIN_NODE: return "nodes";
    case MP_DOMAIN_SRC: return "source nodes";
    case MP_DOMAIN_DST: return "destination nodes";
    case MP_DOMAIN_GRAPH: return "graphs";
    case MP_DOMAIN_GLOBAL: case MP_DOMAIN_PARAM: break;
    }
    return "";
}

__attribute__((format(printf, 4, 5)))
static size_t add(char *buf, size_t size, size_t used, const char *fmt, ...)
{
    if (used >= size)
        return used;
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(buf + used, size - used, fmt, args);
    va_end(args);
    return n < 0 ? used : used + (size_t)n;
}

const char *dims_shape_text(const desc_layer *l, const desc_value *v, char *buf, size_t size)
{
    size_t used = add(buf, size, 0, "[%s", desc_value_has_rows(v) ? dims_rows_text(v) : "");
    for (uint32_t i = 0; i < v->rank; i++)
        used = add(buf, size, used, "%s%s", i || desc_value_has_rows(v) ? ", " : "", l->dims[v->dims[i]].text);
    add(buf, size, used, "]");
    return buf;
}

/* ": in is 16 by the shape of x, out is 4 by default", of the symbols of a dim that have values. */
static const char *reasons(const desc_layer *l, const desc_dim *d, const dim_values *v, char *buf, size_t size)
{
    size_t used = 0;
    buf[0] = 0;
    const desc_poly *both[2] = { &d->num, &d->den };
    for (uint32_t s = 0; s < v->n; s++) {
        bool in = false;
        for (int k = 0; k < 2; k++)
            for (uint32_t i = 0; i < both[k]->n_terms; i++)
                for (uint32_t j = 0; j < both[k]->terms[i].n_powers; j++)
                    in |= both[k]->terms[i].powers[j].symbol == s;
        if (!in || !v->known[s])
            continue;
        used = add(buf, size, used, "%s%s is %lld", used ? ", " : ": ", l->symbols[s], (long long)v->value[s]);
        switch (v->origin[s].kind) {
        case DIM_OPEN: break;
        case DIM_GIVEN: used = add(buf, size, used, " as given"); break;
        case DIM_DEFAULT: used = add(buf, size, used, " by default"); break;
        case DIM_SHAPE: used = add(buf, size, used, " by the shape of %s", v->origin[s].value); break;
        }
    }
    return buf;
}

static mp_status conflict(mp_context *ctx, const desc_layer *l, const dim_shape *s, uint32_t axis, const dim_values *v,
                          const char *but)
{
    char given[TENSOR_TEXT], expected[TEXT], why[TEXT];
    tensor_shape_text(s->shape, s->rank, given, sizeof given);
    dims_shape_text(l, s->value, expected, sizeof expected);
    const desc_dim *d = &l->dims[s->value->dims[axis]];
    reasons(l, d, v, why, sizeof why);
    int at = (int)axis + (desc_value_has_rows(s->value) ? 1 : 0);
    return error_set(ctx, MP_INVALID, "%s: %s has shape %s, but must have %s; axis %d is %lld, %s%s%s%s%s", l->name,
                     s->value->name, given, expected, at, (long long)s->shape[at], *but ? "but " : "not ", d->text,
                     *but ? " " : "", but, why);
}

/* ---- Solving ---------------------------------------------------------------------------------------------------- */

/* One equation. Sets *news when it gave a symbol its value. */
static mp_status use(mp_context *ctx, const desc_layer *l, const dim_shape *s, uint32_t axis, dim_values *v, bool *news)
{
    int64_t extent = s->shape[axis + (desc_value_has_rows(s->value) ? 1u : 0u)], x;
    const desc_dim *d = &l->dims[s->value->dims[axis]];
    uint32_t symbol;
    char but[64];
    switch (desc_dim_eval(d, v->value, v->known, &x)) {
    case DESC_FINE:
        if (x == extent)
            return MP_OK;
        snprintf(but, sizeof but, "%lld", (long long)x);
        if (strcmp(d->text, but) == 0)          /* a number in the program, or one that -D made */
            but[0] = 0;
        else
            snprintf(but, sizeof but, "is %lld", (long long)x);
        return conflict(ctx, l, s, axis, v, but);
    case DESC_OVERFLOW: return conflict(ctx, l, s, axis, v, desc_why_text(DESC_OVERFLOW));
    case DESC_REMAINDER: return conflict(ctx, l, s, axis, v, desc_why_text(DESC_REMAINDER));
    case DESC_ZERO_DIVISOR: return conflict(ctx, l, s, axis, v, desc_why_text(DESC_ZERO_DIVISOR));
    case DESC_UNBOUND: break;
    }
    switch (desc_dim_solve(d, extent, v->value, v->known, &symbol, &x)) {
    case SOLVE_UNKNOWN: return MP_OK;
    case SOLVE_IMPOSSIBLE: return conflict(ctx, l, s, axis, v, "is that for no integer");
    case SOLVE_FOUND: break;
    }
    if (x < 1) {
        snprintf(but, sizeof but, "makes %.24s %lld", l->symbols[symbol], (long long)x);
        return conflict(ctx, l, s, axis, v, but);
    }
    v->value[symbol] = x;
    v->known[symbol] = true;
    v->origin[symbol] = (dim_origin){ DIM_SHAPE, s->value->name };
    *news = true;
    return MP_OK;
}

mp_status dims_from_shapes(mp_context *ctx, const desc_layer *l, const dim_shape *shapes, uint32_t n, dim_values *v)
{
    for (bool news = true; news;) {
        news = false;
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t axis = 0; axis < shapes[i].value->rank; axis++) {
                mp_status st = use(ctx, l, &shapes[i], axis, v, &news);
                if (st)
                    return st;
            }
    }
    return MP_OK;
}

/* The first open static whose default can be known gets it. */
static bool take_default(const desc_layer *l, dim_values *v)
{
    for (uint32_t i = 0; i < l->n_statics; i++) {
        const desc_static *s = &l->statics[i];
        int64_t x;
        if (s->symbol == DESC_NONE || v->known[s->symbol] || !s->has_default || s->default_dim == DESC_NONE)
            continue;
        if (desc_dim_eval(&l->dims[s->default_dim], v->value, v->known, &x) != DESC_FINE || x < 1)
            continue;
        v->value[s->symbol] = x;
        v->known[s->symbol] = true;
        v->origin[s->symbol] = (dim_origin){ DIM_DEFAULT, NULL };
        return true;
    }
    return false;
}

mp_status dims_settle(mp_context *ctx, const desc_layer *l, const dim_shape *shapes, uint32_t n, dim_values *v)
{
    do {
        mp_status st = dims_from_shapes(ctx, l, shapes, n, v);
        if (st)
            return st;
    } while (take_default(l, v));
    return MP_OK;
}

mp_status dims_check(mp_context *ctx, const desc_layer *l, const dim_values *v)
{
    char why[TEXT];
    for (uint32_t i = 0; i < l->n_divisions; i++) {
        const desc_dim *a = &l->dims[l->divisions[i].num], *b = &l->dims[l->divisions[i].den];
        int64_t x, y;
        if (desc_dim_eval(a, v->value, v->known, &x) != DESC_FINE || desc_dim_eval(b, v->value, v->known, &y) != DESC_FINE)
            continue;
        if (y == 0 || (y != -1 && x % y)) {
            return error_set(ctx, MP_INVALID, "%s: (%s) / (%s) is %lld / %lld, which %s%s", l->name, a->text, b->text,
                             (long long)x, (long long)y, y ? "leaves a remainder" : "divides by zero",
                             reasons(l, a, v, why, sizeof why));
        }
    }
    for (uint32_t i = 0; i < l->n_checks; i++) {
        const desc_check *c = &l->checks[i];
        int64_t x;
        desc_why w = desc_dim_eval(&l->dims[c->dim], v->value, v->known, &x);
        if (w == DESC_UNBOUND || (w == DESC_FINE && x >= c->least))
            continue;
        reasons(l, &l->dims[c->dim], v, why, sizeof why);
        if (w != DESC_FINE)
            return error_set(ctx, MP_INVALID, "%s: %s %s%s", l->name, c->what, desc_why_text(w), why);
        return error_set(ctx, MP_INVALID, "%s: %s is %lld, but must be at least %lld%s", l->name, c->what, (long long)x,
                         (long long)c->least, why);
    }
    return MP_OK;
}

mp_status dims_eval(mp_context *ctx, const desc_layer *l, uint32_t dim, const dim_values *v, int64_t *out)
{
    const desc_dim *d = &l->dims[dim];
    desc_why w = desc_dim_eval(d, v->value, v->known, out);
    char why[TEXT];
    if (w == DESC_FINE)
        return MP_OK;
    if (w != DESC_UNBOUND)
        return error_set(ctx, MP_INVALID, "%s: the dim %s %s%s", l->name, d->text, desc_why_text(w),
                         reasons(l, d, v, why, sizeof why));
    const desc_poly *both[2] = { &d->num, &d->den };
    for (int k = 0; k < 2; k++)
        for (uint32_t i = 0; i < both[k]->n_terms; i++)
            for (uint32_t j = 0; j < both[k]->terms[i].n_powers; j++) {
                uint32_t s = both[k]->terms[i].powers[j].symbol;
                if (!v->known[s])
                    return error_set(ctx, MP_INVALID, "%s: %s has no value: give it when the layer is created, or bind "
                                     "what has it in its shape", l->name, l->symbols[s]);
            }
    return error_set(ctx, MP_INVALID, "%s: the dim %s has no value", l->name, d->text);
}
