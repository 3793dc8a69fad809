/*
 * Dims at given values: evaluation, substitution, and solving for the one symbol that is missing.
 */
#include "compiler/support/poly_internal.h"

#include <stdlib.h>
#include <string.h>

const char *dim_why_text(dim_why why)
{
    switch (why) {
    case DIM_FINE:        return "is fine";
    case DIM_OVERFLOW:    return "overflows 64 bits";
    case DIM_DIV_BY_ZERO: return "divides by zero";
    case DIM_REMAINDER:   return "leaves a remainder";
    case DIM_TOO_LARGE:   return "is too large an expression";
    case DIM_UNBOUND:     return "has no value yet";
    }
    return "";
}

typedef __int128 wide;

/* The value of a polynomial; intermediates have 128 bits, so that a difference of large terms is right. */
static dim_why eval_poly(const dim_table *t, uint32_t id, dim_lookup *lookup, void *ud, wide *out)
{
    const poly *p = &t->polys.at[id];
    wide sum = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        const mono *m = &t->monos.at[p->terms[i].mono];
        wide x = p->terms[i].coef;
        for (uint32_t j = 0; j < m->n; j++) {
            int64_t v;
            if (!lookup(ud, (dim_sym){m->list[j].symbol}, &v))
                return DIM_UNBOUND;
            for (uint32_t k = 0; k < m->list[j].exponent; k++)
                if (__builtin_mul_overflow(x, (wide)v, &x))
                    return DIM_OVERFLOW;
        }
        if (__builtin_add_overflow(sum, x, &sum))
            return DIM_OVERFLOW;
    }
    *out = sum;
    return DIM_FINE;
}

dim_why dim_eval(const dim_table *t, dim d, dim_lookup *lookup, void *ud, int64_t *out)
{
    if (!dim_ok(d))
        return t->why ? t->why : DIM_TOO_LARGE;
    wide num, den;
    quotient q = t->dims.at[d.i];
    dim_why why = eval_poly(t, q.num, lookup, ud, &num);
    if (why == DIM_FINE)
        why = eval_poly(t, q.den, lookup, ud, &den);
    if (why != DIM_FINE)
        return why;
    if (den == 0)
        return DIM_DIV_BY_ZERO;
    if (num % den != 0)
        return DIM_REMAINDER;
    num /= den;
    if (num > INT64_MAX || num < INT64_MIN)
        return DIM_OVERFLOW;
    *out = (int64_t)num;
    return DIM_FINE;
}

/* ---- symbols of a dim ---- */

static int by_number(const void *x, const void *y)
{
    uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;
    return a < b ? -1 : a > b;
}

typedef struct symbol_list { uint32_t *at; uint32_t n; } symbol_list;

/* Sorted, each once; malloc'ed. `at` is NULL when there are none or no memory. */
static symbol_list symbols_of(const dim_table *t, dim d)
{
    symbol_list s = {0};
    if (!dim_ok(d))
        return s;
    quotient q = t->dims.at[d.i];
    uint32_t all = 0, both[2] = {q.num, q.den};
    for (int k = 0; k < 2; k++)
        for (uint32_t i = 0; i < t->polys.at[both[k]].n; i++)
            all += t->monos.at[t->polys.at[both[k]].terms[i].mono].n;
    if (!all || !(s.at = malloc(all * sizeof *s.at)))
        return s;
    for (int k = 0; k < 2; k++)
        for (uint32_t i = 0; i < t->polys.at[both[k]].n; i++) {
            const mono *m = &t->monos.at[t->polys.at[both[k]].terms[i].mono];
            for (uint32_t j = 0; j < m->n; j++)
                s.at[s.n++] = m->list[j].symbol;
        }
    qsort(s.at, s.n, sizeof *s.at, by_number);
    uint32_t n = 0;
    for (uint32_t i = 0; i < s.n; i++)
        if (n == 0 || s.at[n - 1] != s.at[i])
            s.at[n++] = s.at[i];
    s.n = n;
    return s;
}

bool dim_each_symbol(const dim_table *t, dim d, bool (*f)(void *ud, dim_sym s), void *ud)
{
    symbol_list s = symbols_of(t, d);
    bool go = true;
    for (uint32_t i = 0; i < s.n && go; i++)
        go = f(ud, (dim_sym){s.at[i]});
    free(s.at);
    return go;
}

/* ---- substitution ---- */

static dim subst_poly(dim_table *to, const dim_table *from, uint32_t id, dim_replace *f, void *ud)
{
    dim sum = dim_const(to, 0);
    poly p = from->polys.at[id];
    for (uint32_t i = 0; i < p.n; i++) {
        dim x = dim_const(to, p.terms[i].coef);
        mono m = from->monos.at[p.terms[i].mono];
        for (uint32_t j = 0; j < m.n; j++)
            x = dim_mul(to, x, dim_pow(to, f(ud, (dim_sym){m.list[j].symbol}), m.list[j].exponent));
        sum = dim_add(to, sum, x);
    }
    return sum;
}

dim dim_subst(dim_table *to, const dim_table *from, dim d, dim_replace *f, void *ud)
{
    if (!dim_ok(d))
        return DIM_ERROR;
    quotient q = from->dims.at[d.i];
    bool whole = q.den == from->poly_one;
    dim num = subst_poly(to, from, q.num, f, ud);
    return whole ? num : dim_div(to, num, subst_poly(to, from, q.den, f, ud));
}

/* ---- solving ---- */

/* The one symbol of d without a value; false when there are none or several. */
static bool one_unknown(const dim_table *t, dim d, dim_lookup *lookup, void *ud, uint32_t *unknown)
{
    symbol_list s = symbols_of(t, d);
    uint32_t n = 0;
    int64_t v;
    for (uint32_t i = 0; i < s.n; i++)
        if (!lookup(ud, (dim_sym){s.at[i]}, &v)) {
            *unknown = s.at[i];
            n++;
        }
    free(s.at);
    return n == 1;
}

/* p = slope * unknown + rest at the given values; false when p is not linear in it or overflows. */
static bool linear(const dim_table *t, uint32_t id, uint32_t unknown, dim_lookup *lookup, void *ud,
                   wide *slope, wide *rest)
{
    const poly *p = &t->polys.at[id];
    *slope = *rest = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        const mono *m = &t->monos.at[p->terms[i].mono];
        wide x = p->terms[i].coef, *into = rest;
        for (uint32_t j = 0; j < m->n; j++) {
            int64_t v;
            if (m->list[j].symbol == unknown) {
                if (m->list[j].exponent != 1)
                    return false;
                into = slope;
                continue;
            }
            if (!lookup(ud, (dim_sym){m->list[j].symbol}, &v))
                return false;
            for (uint32_t k = 0; k < m->list[j].exponent; k++)
                if (__builtin_mul_overflow(x, (wide)v, &x))
                    return false;
        }
        if (__builtin_add_overflow(*into, x, into))
            return false;
    }
    return true;
}

bool dim_solve(const dim_table *t, dim d, int64_t value, dim_lookup *lookup, void *ud, dim_sym *s,
               int64_t *out)
{
    uint32_t unknown = 0;
    wide a, b, c, e;                             /* (a s + b) / (c s + e) = value */
    if (!dim_ok(d) || !one_unknown(t, d, lookup, ud, &unknown))
        return false;
    quotient q = t->dims.at[d.i];
    if (!linear(t, q.num, unknown, lookup, ud, &a, &b) || !linear(t, q.den, unknown, lookup, ud, &c, &e))
        return false;
    wide slope, rest, product;
    if (__builtin_mul_overflow(c, (wide)value, &product) || __builtin_sub_overflow(a, product, &slope)
        || __builtin_mul_overflow(e, (wide)value, &product) || __builtin_sub_overflow(product, b, &rest))
        return false;
    if (slope == 0 || rest % slope != 0)
        return false;
    wide x = rest / slope;
    if (x > INT64_MAX || x < INT64_MIN)
        return false;
    *s = (dim_sym){unknown};
    *out = (int64_t)x;
    return true;
}
