/*
 * Symbolic dims as quotients of sparse polynomials.
 *
 * Monomials, polynomials and dims are each hash-consed: equal ones have one id. A polynomial is a list of
 * terms in descending graded lexicographic order (total degree first, then earlier symbols first), which
 * is a monomial order, so that division by the leading term ends. Reduction of a quotient takes out common
 * integers and monomials and divides exactly in either direction where that goes; that is no full gcd, so
 * equality is decided crosswise rather than by id.
 */
#include "compiler/support/poly_internal.h"

#include <string.h>

/* ---- monomials ---- */

typedef struct mono_key { const dim_table *t; const power *list; uint32_t n; } mono_key;

static bool same_mono(const void *ud, uint32_t id)
{
    const mono_key *k = ud;
    const mono *m = &k->t->monos.at[id];
    return m->n == k->n && memcmp(m->list, k->list, k->n * sizeof *k->list) == 0;
}

static uint32_t mono_of(dim_table *t, const power *list, uint32_t n)
{
    mono_key k = {t, list, n};
    uint64_t hash = hash_bytes(list, n * sizeof *list);
    uint32_t id = idset_find(&t->mono_set, hash, same_mono, &k);
    if (id != UINT32_MAX)
        return id;
    uint32_t degree = 0;
    for (uint32_t i = 0; i < n; i++)
        degree += list[i].exponent;
    id = t->monos.n;
    vec_push(t->a, &t->monos,
             (mono){.list = arena_copy(t->a, list, n * sizeof *list), .n = n, .degree = degree});
    idset_add(&t->mono_set, hash, id);
    return id;
}

/* Of a monomial product or quotient: exponents of b are added (sign 1) or subtracted (-1). NOTHING when a
 * quotient does not exist or a degree is too high. */
static uint32_t mono_combine(dim_table *t, uint32_t ai, uint32_t bi, int sign)
{
    power list[2 * DIM_MAX_DEGREE];              /* exponents are at least 1: there are no more symbols */
    mono a = t->monos.at[ai], b = t->monos.at[bi];
    uint32_t n = 0, i = 0, j = 0;
    if (sign > 0 && a.degree + b.degree > DIM_MAX_DEGREE)
        return NOTHING;
    while (i < a.n || j < b.n) {
        if (j == b.n || (i < a.n && a.list[i].symbol < b.list[j].symbol)) {
            list[n++] = a.list[i++];
        } else if (i == a.n || b.list[j].symbol < a.list[i].symbol) {
            if (sign < 0)
                return NOTHING;
            list[n++] = b.list[j++];
        } else {
            int64_t e = (int64_t)a.list[i].exponent + sign * (int64_t)b.list[j].exponent;
            if (e < 0)
                return NOTHING;
            if (e > 0)
                list[n++] = (power){a.list[i].symbol, (uint32_t)e};
            i++, j++;
        }
    }
    return mono_of(t, list, n);
}

static uint32_t mono_gcd(dim_table *t, uint32_t ai, uint32_t bi)
{
    power list[DIM_MAX_DEGREE];
    mono a = t->monos.at[ai], b = t->monos.at[bi];
    uint32_t n = 0;
    for (uint32_t i = 0, j = 0; i < a.n && j < b.n;) {
        if (a.list[i].symbol < b.list[j].symbol) {
            i++;
        } else if (b.list[j].symbol < a.list[i].symbol) {
            j++;
        } else {
            uint32_t e = a.list[i].exponent < b.list[j].exponent ? a.list[i].exponent : b.list[j].exponent;
            list[n++] = (power){a.list[i].symbol, e};
            i++, j++;
        }
    }
    return mono_of(t, list, n);
}

/* The order of terms: negative when a comes first. */
static int mono_compare(const dim_table *t, uint32_t ai, uint32_t bi)
{
    if (ai == bi)
        return 0;
    const mono *a = &t->monos.at[ai], *b = &t->monos.at[bi];
    if (a->degree != b->degree)
        return a->degree > b->degree ? -1 : 1;
    for (uint32_t i = 0; i < a->n && i < b->n; i++) {
        if (a->list[i].symbol != b->list[i].symbol)
            return a->list[i].symbol < b->list[i].symbol ? -1 : 1;
        if (a->list[i].exponent != b->list[i].exponent)
            return a->list[i].exponent > b->list[i].exponent ? -1 : 1;
    }
    return a->n > b->n ? -1 : 1;
}

/* ---- polynomials ---- */

typedef struct poly_key { const dim_table *t; const term *terms; uint32_t n; } poly_key;

static bool same_poly(const void *ud, uint32_t id)
{
    const poly_key *k = ud;
    const poly *p = &k->t->polys.at[id];
    if (p->n != k->n)
        return false;
    for (uint32_t i = 0; i < p->n; i++)
        if (p->terms[i].coef != k->terms[i].coef || p->terms[i].mono != k->terms[i].mono)
            return false;
    return true;
}

static uint32_t poly_of(dim_table *t, const term *terms, uint32_t n)
{
    uint64_t hash = n;
    for (uint32_t i = 0; i < n; i++)
        hash = hash_combine(hash_combine(hash, (uint64_t)terms[i].coef), terms[i].mono);
    poly_key k = {t, terms, n};
    uint32_t id = idset_find(&t->poly_set, hash, same_poly, &k);
    if (id != UINT32_MAX)
        return id;
    id = t->polys.n;
    vec_push(t->a, &t->polys, (poly){.terms = arena_copy(t->a, terms, n * sizeof *terms), .n = n});
    idset_add(&t->poly_set, hash, id);
    return id;
}

static uint32_t poly_const(dim_table *t, int64_t value)
{
    term one = {value, t->mono_one};
    return poly_of(t, &one, value != 0);
}

static uint32_t fail(dim_table *t, dim_why why)
{
    t->why = why;
    return NOTHING;
}

/* a + factor * mono * b, the step of every operation. */
static uint32_t poly_add_scaled(dim_table *t, uint32_t ai, uint32_t bi, int64_t factor, uint32_t by)
{
    term out[2 * DIM_MAX_TERMS];
    uint32_t n = 0, i = 0, j = 0;
    poly a = t->polys.at[ai], b = t->polys.at[bi];
    while (i < a.n || j < b.n) {
        term next = {0, t->mono_one};
        if (j < b.n) {
            next.mono = mono_combine(t, b.terms[j].mono, by, 1);
            if (next.mono == NOTHING)
                return fail(t, DIM_TOO_LARGE);
            if (__builtin_mul_overflow(b.terms[j].coef, factor, &next.coef))
                return fail(t, DIM_OVERFLOW);
        }
        int order = i == a.n ? 1 : j == b.n ? -1 : mono_compare(t, a.terms[i].mono, next.mono);
        if (order < 0) {
            next = a.terms[i++];
        } else if (order > 0) {
            j++;
        } else {
            if (__builtin_add_overflow(a.terms[i].coef, next.coef, &next.coef))
                return fail(t, DIM_OVERFLOW);
            i++, j++;
        }
        if (next.coef == 0)
            continue;
        out[n++] = next;
        if (n > DIM_MAX_TERMS)
            return fail(t, DIM_TOO_LARGE);
    }
    return poly_of(t, out, n);
}

static uint32_t poly_add(dim_table *t, uint32_t a, uint32_t b, int64_t factor)
{
    return poly_add_scaled(t, a, b, factor, t->mono_one);
}

static uint32_t poly_mul(dim_table *t, uint32_t a, uint32_t b)
{
    if (a == t->poly_one)
        return b;
    if (b == t->poly_one)
        return a;
    uint32_t sum = t->poly_zero;
    if ((uint64_t)t->polys.at[a].n * t->polys.at[b].n > 4 * DIM_MAX_TERMS)
        return fail(t, DIM_TOO_LARGE);
    for (uint32_t i = 0; i < t->polys.at[a].n && sum != NOTHING; i++) {
        term x = t->polys.at[a].terms[i];
        sum = poly_add_scaled(t, sum, b, x.coef, x.mono);
    }
    return sum;
}

/* a / b where that is a polynomial with integer coefficients, otherwise NOTHING (which is no failure). */
static uint32_t poly_divide(dim_table *t, uint32_t a, uint32_t b)
{
    dim_why before = t->why;
    uint32_t result = t->poly_zero;
    term lead = t->polys.at[b].terms[0];
    for (uint32_t steps = 0; a != t->poly_zero; steps++) {
        term first = t->polys.at[a].terms[0];
        uint32_t m = mono_combine(t, first.mono, lead.mono, -1);
        bool whole = steps < DIM_MAX_TERMS && m != NOTHING && !(lead.coef == -1 && first.coef == INT64_MIN)
                     && first.coef % lead.coef == 0 && first.coef != INT64_MIN;
        if (whole) {
            int64_t c = first.coef / lead.coef;
            result = poly_add_scaled(t, result, t->poly_one, c, m);
            a = poly_add_scaled(t, a, b, -c, m);
        }
        if (!whole || result == NOTHING || a == NOTHING) {
            t->why = before;
            return NOTHING;
        }
    }
    return result;
}

static int64_t gcd(int64_t a, int64_t b)         /* of magnitudes, as a positive number; INT64_MIN gives 1 */
{
    if (a == INT64_MIN || b == INT64_MIN)
        return 1;
    a = a < 0 ? -a : a;
    b = b < 0 ? -b : b;
    while (b) {
        int64_t r = a % b;
        a = b;
        b = r;
    }
    return a;
}

/* The greatest integer and monomial that divide every term; the polynomial is not zero. */
static term content(dim_table *t, uint32_t p)
{
    term c = t->polys.at[p].terms[0];
    for (uint32_t i = 1; i < t->polys.at[p].n; i++) {
        c.coef = gcd(c.coef, t->polys.at[p].terms[i].coef);
        c.mono = mono_gcd(t, c.mono, t->polys.at[p].terms[i].mono);
    }
    c.coef = gcd(c.coef, 0);
    return c;
}

static uint32_t poly_of_term(dim_table *t, term x)
{
    return poly_of(t, &x, 1);
}

/* ---- quotients ---- */

typedef struct quotient_key { const dim_table *t; quotient q; } quotient_key;

static bool same_quotient(const void *ud, uint32_t id)
{
    const quotient_key *k = ud;
    quotient q = k->t->dims.at[id];
    return q.num == k->q.num && q.den == k->q.den;
}

static dim intern(dim_table *t, uint32_t num, uint32_t den)
{
    quotient_key k = {t, {num, den}};
    uint64_t hash = hash_combine(hash_u64(num), den);
    uint32_t id = idset_find(&t->dim_set, hash, same_quotient, &k);
    if (id == UINT32_MAX) {
        id = t->dims.n;
        vec_push(t->a, &t->dims, k.q);
        idset_add(&t->dim_set, hash, id);
    }
    return (dim){id};
}

/* num / den, reduced. */
static dim reduce(dim_table *t, uint32_t num, uint32_t den)
{
    if (num == NOTHING || den == NOTHING)
        return DIM_ERROR;
    if (den == t->poly_zero)
        return fail(t, DIM_DIV_BY_ZERO), DIM_ERROR;
    if (num == t->poly_zero)
        return intern(t, num, t->poly_one);
    if (den == t->poly_one)
        return intern(t, num, den);

    uint32_t whole = poly_divide(t, num, den);
    if (whole != NOTHING)
        return intern(t, whole, t->poly_one);
    uint32_t inverse = poly_divide(t, den, num);
    if (inverse != NOTHING) {
        num = t->poly_one;
        den = inverse;
    } else {
        term a = content(t, num), b = content(t, den);
        term common = {gcd(a.coef, b.coef), mono_gcd(t, a.mono, b.mono)};
        uint32_t factor = poly_of_term(t, common);
        if (factor != t->poly_one) {
            num = poly_divide(t, num, factor);
            den = poly_divide(t, den, factor);
            if (num == NOTHING || den == NOTHING)
                return fail(t, DIM_OVERFLOW), DIM_ERROR;
        }
    }
    if (t->polys.at[den].terms[0].coef < 0) {
        num = poly_add(t, t->poly_zero, num, -1);
        den = poly_add(t, t->poly_zero, den, -1);
        if (num == NOTHING || den == NOTHING)
            return DIM_ERROR;
    }
    if (den != t->poly_one && t->polys.at[num].n == 1 && t->polys.at[den].n == 1
        && t->polys.at[num].terms[0].mono == t->mono_one && t->polys.at[den].terms[0].mono == t->mono_one)
        return fail(t, DIM_REMAINDER), DIM_ERROR;
    return intern(t, num, den);
}

dim_table *dim_table_new(arena *a)
{
    dim_table *t = NEW(a, dim_table);
    t->a = a;
    t->mono_set = t->poly_set = t->dim_set = idset_make(a);
    t->symbols_by_name = t->division_set = map_make(a);
    t->mono_one = mono_of(t, &(power){0, 0}, 0);
    t->poly_zero = poly_of(t, &(term){0, 0}, 0);
    t->poly_one = poly_const(t, 1);
    vec_push(a, &t->dims, (quotient){NOTHING, NOTHING});     /* id 0 is DIM_ERROR */
    return t;
}

dim_why dim_last_why(const dim_table *t)
{
    return t->why;
}

dim dim_const(dim_table *t, int64_t value)
{
    return intern(t, poly_const(t, value), t->poly_one);
}

dim dim_of_symbol(dim_table *t, dim_sym s)
{
    power p = {s.i, 1};
    term x = {1, mono_of(t, &p, 1)};
    return intern(t, poly_of_term(t, x), t->poly_one);
}

dim dim_symbol_fresh(dim_table *t, str name)
{
    dim_sym s = {t->symbols.n};
    vec_push(t->a, &t->symbols, name);
    return dim_of_symbol(t, s);
}

dim dim_symbol(dim_table *t, str name)
{
    bool fresh;
    uint64_t *at = map_slot_of(&t->symbols_by_name, map_key(name), &fresh);
    if (fresh) {
        *at = t->symbols.n;
        return dim_symbol_fresh(t, name);
    }
    return dim_of_symbol(t, (dim_sym){(uint32_t)*at});
}

/* a + sign * b, over the simplest common denominator. */
static dim add(dim_table *t, dim a, dim b, int64_t sign)
{
    if (!dim_ok(a) || !dim_ok(b))
        return DIM_ERROR;
    quotient x = t->dims.at[a.i], y = t->dims.at[b.i];
    uint32_t left = x.num, right = y.num, den = x.den;
    if (x.den != y.den) {
        uint32_t up = poly_divide(t, x.den, y.den), down = poly_divide(t, y.den, x.den);
        if (up != NOTHING) {
            right = poly_mul(t, y.num, up);
        } else if (down != NOTHING) {
            left = poly_mul(t, x.num, down);
            den = y.den;
        } else {
            left = poly_mul(t, x.num, y.den);
            right = poly_mul(t, y.num, x.den);
            den = poly_mul(t, x.den, y.den);
        }
    }
    if (left == NOTHING || right == NOTHING)
        return DIM_ERROR;
    return reduce(t, poly_add(t, left, right, sign), den);
}

dim dim_add(dim_table *t, dim a, dim b)
{
    return add(t, a, b, 1);
}

dim dim_sub(dim_table *t, dim a, dim b)
{
    return add(t, a, b, -1);
}

dim dim_neg(dim_table *t, dim a)
{
    return add(t, dim_const(t, 0), a, -1);
}

/* (a / b) * (c / d) with factors taken out crosswise first, so that intermediates stay small. */
static dim multiply(dim_table *t, quotient x, quotient y)
{
    dim p = reduce(t, x.num, y.den), q = reduce(t, y.num, x.den);
    if (!dim_ok(p) || !dim_ok(q)) {              /* a remainder of a factor need be none of the product */
        uint32_t all = poly_mul(t, x.num, y.num);
        return all == NOTHING ? DIM_ERROR : reduce(t, all, poly_mul(t, x.den, y.den));
    }
    quotient a = t->dims.at[p.i], b = t->dims.at[q.i];
    uint32_t num = poly_mul(t, a.num, b.num);
    if (num == NOTHING)
        return DIM_ERROR;
    return reduce(t, num, poly_mul(t, a.den, b.den));
}

dim dim_mul(dim_table *t, dim a, dim b)
{
    if (!dim_ok(a) || !dim_ok(b))
        return DIM_ERROR;
    return multiply(t, t->dims.at[a.i], t->dims.at[b.i]);
}

dim dim_div(dim_table *t, dim a, dim b)
{
    if (!dim_ok(a) || !dim_ok(b))
        return DIM_ERROR;
    quotient x = t->dims.at[a.i], y = t->dims.at[b.i];
    if (y.num == t->poly_zero)
        return fail(t, DIM_DIV_BY_ZERO), DIM_ERROR;
    dim d = multiply(t, x, (quotient){y.den, y.num});
    if (dim_ok(d) && t->dims.at[d.i].den != t->poly_one) {
        bool fresh;
        map_slot_of(&t->division_set, (uint64_t)a.i << 32 | b.i, &fresh);
        if (fresh)
            vec_push(t->a, &t->divisions, (division){a, b});
    }
    return d;
}

dim dim_pow(dim_table *t, dim a, uint32_t n)
{
    dim p = dim_const(t, 1);
    if (n > DIM_MAX_DEGREE && !dim_is_const(t, a, NULL))
        return fail(t, DIM_TOO_LARGE), DIM_ERROR;
    if (dim_is(t, a, 0) || dim_is(t, a, 1))
        return n ? a : p;
    if (dim_is(t, a, -1))
        return n % 2 ? a : p;
    for (; n && dim_ok(p); n--)                  /* overflows after 63 steps at the latest */
        p = dim_mul(t, p, a);
    return p;
}

bool dim_equal(const dim_table *t, dim a, dim b)
{
    if (a.i == b.i || !dim_ok(a) || !dim_ok(b))
        return true;
    quotient x = t->dims.at[a.i], y = t->dims.at[b.i];
    if (x.den == y.den)
        return false;                            /* the numerators differ: their ids do */
    dim_table *w = (dim_table *)t;               /* interns intermediates; says nothing new of any dim */
    dim_why before = t->why;
    uint32_t l = poly_mul(w, x.num, y.den), r = poly_mul(w, y.num, x.den);
    w->why = before;
    return l != NOTHING && l == r;
}

bool dim_is_const(const dim_table *t, dim d, int64_t *value)
{
    if (!dim_ok(d))
        return false;
    quotient q = t->dims.at[d.i];
    const poly *p = &t->polys.at[q.num];
    if (q.den != t->poly_one || p->n > 1 || (p->n == 1 && p->terms[0].mono != t->mono_one))
        return false;
    if (value)
        *value = p->n ? p->terms[0].coef : 0;
    return true;
}

bool dim_is(const dim_table *t, dim d, int64_t value)
{
    int64_t v;
    return dim_is_const(t, d, &v) && v == value;
}

uint32_t dim_n_symbols(const dim_table *t)
{
    return t->symbols.n;
}

str dim_symbol_name(const dim_table *t, dim_sym s)
{
    return t->symbols.at[s.i];
}

bool dim_is_symbol(const dim_table *t, dim d, dim_sym *s)
{
    if (!dim_ok(d))
        return false;
    quotient q = t->dims.at[d.i];
    const poly *p = &t->polys.at[q.num];
    if (q.den != t->poly_one || p->n != 1 || p->terms[0].coef != 1
        || t->monos.at[p->terms[0].mono].degree != 1)
        return false;
    if (s)
        s->i = t->monos.at[p->terms[0].mono].list[0].symbol;
    return true;
}

uint32_t dim_n_divisions(const dim_table *t)
{
    return t->divisions.n;
}

void dim_division(const dim_table *t, uint32_t i, dim *a, dim *b)
{
    *a = t->divisions.at[i].a;
    *b = t->divisions.at[i].b;
}

static const poly *side(const dim_table *t, dim d, bool denominator)
{
    quotient q = t->dims.at[d.i];
    return &t->polys.at[denominator ? q.den : q.num];
}

uint32_t dim_n_terms(const dim_table *t, dim d, bool denominator)
{
    return dim_ok(d) ? side(t, d, denominator)->n : 0;
}

int64_t dim_term(const dim_table *t, dim d, bool denominator, uint32_t i, uint32_t *n_powers)
{
    term x = side(t, d, denominator)->terms[i];
    *n_powers = t->monos.at[x.mono].n;
    return x.coef;
}

dim_sym dim_term_power(const dim_table *t, dim d, bool denominator, uint32_t i, uint32_t j,
                       uint32_t *exponent)
{
    power p = t->monos.at[side(t, d, denominator)->terms[i].mono].list[j];
    *exponent = p.exponent;
    return (dim_sym){p.symbol};
}
