/*
 * Dims at given values. Intermediates have 128 bits, so that a difference of large terms is right.
 */
#include "runtime/description.h"

typedef __int128 wide;

const char *desc_why_text(desc_why why)
{
    switch (why) {
    case DESC_FINE: return "is fine";
    case DESC_UNBOUND: return "has no value yet";
    case DESC_OVERFLOW: return "overflows 64 bits";
    case DESC_REMAINDER: return "leaves a remainder";
    case DESC_ZERO_DIVISOR: return "divides by zero";
    }
    return "";
}

/* The polynomial as slope * x[unknown] + rest; unknown DESC_NONE: all symbols have values. */
static desc_why eval_linear(const desc_poly *p, const int64_t *value, const bool *known, uint32_t unknown, wide *slope,
                            wide *rest)
{
    *slope = *rest = 0;
    for (uint32_t i = 0; i < p->n_terms; i++) {
        const desc_term *t = &p->terms[i];
        wide x = t->coef, *into = rest;
        for (uint32_t j = 0; j < t->n_powers; j++) {
            uint32_t s = t->powers[j].symbol, e = t->powers[j].exponent;
            if (s == unknown) {
                if (e != 1 || into == slope)
                    return DESC_UNBOUND;
                into = slope;
                continue;
            }
            if (!known[s])
                return DESC_UNBOUND;
            for (; e; e--)
                if (__builtin_mul_overflow(x, (wide)value[s], &x))
                    return DESC_OVERFLOW;
        }
        if (__builtin_add_overflow(*into, x, into))
            return DESC_OVERFLOW;
    }
    return DESC_FINE;
}

desc_why desc_dim_eval(const desc_dim *d, const int64_t *value, const bool *known, int64_t *out)
{
    wide none, num, den;
    desc_why why = eval_linear(&d->num, value, known, DESC_NONE, &none, &num);
    if (why == DESC_FINE)
        why = eval_linear(&d->den, value, known, DESC_NONE, &none, &den);
    if (why != DESC_FINE)
        return why;
    if (den == 0)
        return DESC_ZERO_DIVISOR;
    if (den == -1 && __builtin_sub_overflow((wide)0, num, &num))
        return DESC_OVERFLOW;
    if (den != -1) {
        if (num % den != 0)
            return DESC_REMAINDER;
        num /= den;
    }
    if (num > INT64_MAX || num < INT64_MIN)
        return DESC_OVERFLOW;
    *out = (int64_t)num;
    return DESC_FINE;
}

/* The one symbol of d without a value; DESC_NONE when there are none or several. */
static uint32_t one_unknown(const desc_dim *d, const bool *known)
{
    uint32_t found = DESC_NONE;
    const desc_poly *both[2] = { &d->num, &d->den };
    for (int k = 0; k < 2; k++)
        for (uint32_t i = 0; i < both[k]->n_terms; i++)
            for (uint32_t j = 0; j < both[k]->terms[i].n_powers; j++) {
                uint32_t s = both[k]->terms[i].powers[j].symbol;
                if (known[s] || s == found)
                    continue;
                if (found != DESC_NONE)
                    return DESC_NONE;
                found = s;
            }
    return found;
}

desc_solve desc_dim_solve(const desc_dim *d, int64_t v, const int64_t *value, const bool *known, uint32_t *symbol,
                          int64_t *out)
{
    uint32_t unknown = one_unknown(d, known);
    wide a, b, c, e, slope, rest, product;          /* (a x + b) / (c x + e) = v */
    if (unknown == DESC_NONE || eval_linear(&d->num, value, known, unknown, &a, &b) != DESC_FINE ||
        eval_linear(&d->den, value, known, unknown, &c, &e) != DESC_FINE)
        return SOLVE_UNKNOWN;
    if (__builtin_mul_overflow(c, (wide)v, &product) || __builtin_sub_overflow(a, product, &slope) ||
        __builtin_mul_overflow(e, (wide)v, &product) || __builtin_sub_overflow(product, b, &rest))
        return SOLVE_UNKNOWN;
    *symbol = unknown;
    if (slope < 0) {                                /* both sides negated, so that MIN / -1 cannot come up */
        if (__builtin_sub_overflow((wide)0, slope, &slope) || __builtin_sub_overflow((wide)0, rest, &rest))
            return SOLVE_UNKNOWN;
    }
    if (slope == 0 || rest % slope != 0)
        return slope == 0 && rest == 0 ? SOLVE_UNKNOWN : SOLVE_IMPOSSIBLE;
    wide x = rest / slope;
    if (x > INT64_MAX || x < INT64_MIN)
        return SOLVE_IMPOSSIBLE;
    *out = (int64_t)x;
    return SOLVE_FOUND;
}
