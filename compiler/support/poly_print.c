/*
 * Dims in the user's notation.
 */
#include "compiler/support/poly_internal.h"

#include <inttypes.h>

static void print_mono(const dim_table *t, const mono *m, buf *out)
{
    for (uint32_t i = 0; i < m->n; i++) {
        if (i)
            buf_putc(out, '*');
        buf_puts(out, dim_symbol_name(t, (dim_sym){m->list[i].symbol}));
        if (m->list[i].exponent > 1)
            buf_printf(out, "**%" PRIu32, m->list[i].exponent);
    }
}

static void print_poly(const dim_table *t, const poly *p, buf *out)
{
    if (p->n == 0)
        buf_putc(out, '0');
    for (uint32_t i = 0; i < p->n; i++) {
        int64_t c = p->terms[i].coef;
        const mono *m = &t->monos.at[p->terms[i].mono];
        if (i)
            buf_puts(out, c < 0 ? " - " : " + ");
        else if (c < 0)
            buf_putc(out, '-');
        uint64_t size = c < 0 ? 0 - (uint64_t)c : (uint64_t)c;
        if (m->n == 0 || size != 1)
            buf_printf(out, "%" PRIu64, size);
        if (m->n && size != 1)
            buf_putc(out, '*');
        print_mono(t, m, out);
    }
}

/* Whether a polynomial needs parentheses beside '/': on the right a product does too. */
static bool loose(const dim_table *t, const poly *p, bool right)
{
    if (p->n != 1)
        return p->n > 1;
    const mono *m = &t->monos.at[p->terms[0].mono];
    return right && (p->terms[0].coef < 0 || m->n + (p->terms[0].coef != 1) > 1);
}

static void print_side(const dim_table *t, const poly *p, bool right, buf *out)
{
    bool parens = loose(t, p, right);
    if (parens)
        buf_putc(out, '(');
    print_poly(t, p, out);
    if (parens)
        buf_putc(out, ')');
}

void dim_print(const dim_table *t, dim d, buf *out)
{
    if (!dim_ok(d)) {
        buf_putc(out, '?');
        return;
    }
    quotient q = t->dims.at[d.i];
    if (q.den == t->poly_one) {
        print_poly(t, &t->polys.at[q.num], out);
        return;
    }
    print_side(t, &t->polys.at[q.num], false, out);
    buf_putc(out, '/');
    print_side(t, &t->polys.at[q.den], true, out);
}

const char *dim_text(const dim_table *t, dim d, arena *a)
{
    buf b = buf_make(a);
    dim_print(t, d, &b);
    return buf_text(&b);
}
