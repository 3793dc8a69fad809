/* See term.h. */
#include "compiler/passes/term.h"

#include <string.h>

letters term_letters(const term *t)
{
    letters s = 0;
    for (uint32_t k = 0; k < t->n; k++)
        s |= (letters)1 << t->at[k];
    return s;
}

term term_make(ir_layer *l, ir_val v, const uint8_t *names)
{
    term t = {0};
    ir_shape s = ir_shape_of(l, v), kept = {0};
    for (uint32_t k = 0; k < s.rank; k++) {
        if (dim_is(l->dims, s.at[k], 1))
            continue;
        kept.at[kept.rank++] = s.at[k];
        t.at[t.n++] = names[k];
    }
    t.v = kept.rank == s.rank ? v : ir_reshape(l, v, &kept);
    return t;
}

term term_of_operand(ir_layer *l, ir_val v, const uint8_t *names, uint32_t n)
{
    return term_make(l, v, names + (n - ir_at(l, v)->rank));
}

void term_of_einsum(ir_layer *l, ir_val v, const uint8_t *names, uint8_t *next, term *a, term *b)
{
    ir_einsum e = ir_at(l, v)->u.ein;
    uint8_t of[2 * IR_MAX_RANK], at[IR_MAX_RANK];
    memset(of, 0xff, sizeof of);
    for (uint32_t k = 0; k < e.nout; k++)
        of[e.out[k]] = names[k];
    ir_val x = arg_of(l, v, 0), y = arg_of(l, v, 1);
    for (uint32_t k = 0; k < e.na; k++) {
        if (of[e.a[k]] == 0xff)
            of[e.a[k]] = (*next)++;
        at[k] = of[e.a[k]];
    }
    *a = term_make(l, x, at);
    for (uint32_t k = 0; k < e.nb; k++) {
        if (of[e.b[k]] == 0xff)
            of[e.b[k]] = (*next)++;
        at[k] = of[e.b[k]];
    }
    *b = term_make(l, y, at);
}

term term_sum(ir_layer *l, const term *t, letters keep)
{
    term r = *t;
    for (uint32_t k = 0; k < r.n;) {
        if (keep >> r.at[k] & 1) {
            k++;
            continue;
        }
        r.v = ir_reduce(l, OP_RSUM, r.v, (int)k);
        memmove(&r.at[k], &r.at[k + 1], (r.n - k - 1) * sizeof *r.at);
        r.n--;
    }
    return r;
}

static uint32_t bits(letters s)
{
    return (uint32_t)__builtin_popcount(s);
}

bool term_fits(letters a, letters b, letters keep)
{
    return bits((a | b) & keep) <= IR_MAX_RANK && bits(a | b) <= 2 * IR_MAX_RANK;
}

static bool comes_after(uint8_t a, uint8_t b, letters last)
{
    bool a_last = last >> a & 1, b_last = last >> b & 1;
    return a_last != b_last ? a_last : a_last ? a > b : a < b;
}

term term_contract(ir_layer *l, const term *x, const term *y, letters keep)
{
    return term_contract_to(l, x, y, keep, 0);
}

term term_contract_to(ir_layer *l, const term *x, const term *y, letters keep, letters last)
{
    letters both = term_letters(x) & term_letters(y);
    term a = term_sum(l, x, keep | both), b = term_sum(l, y, keep | both), r = {0};
    ir_einsum e;
    memset(&e, 0, sizeof e);
    e.na = (uint8_t)a.n;
    e.nb = (uint8_t)b.n;
    memcpy(e.a, a.at, a.n);
    memcpy(e.b, b.at, b.n);
    letters taken = 0;
    for (uint32_t side = 0; side < 2; side++) {
        const term *t = side ? &b : &a;
        for (uint32_t k = 0; k < t->n; k++) {
            letters bit = (letters)1 << t->at[k];
            if (!(keep & bit) || (taken & bit))
                continue;
            taken |= bit;
            e.out[e.nout++] = t->at[k];
        }
    }
    for (uint32_t k = 1; last && k < e.nout; k++)
        for (uint32_t j = k; j > 0 && comes_after(e.out[j - 1], e.out[j], last); j--) {
            uint8_t t = e.out[j];
            e.out[j] = e.out[j - 1];
            e.out[j - 1] = t;
        }
    r.v = ir_contract(l, a.v, b.v, &e);
    r.n = e.nout;
    memcpy(r.at, e.out, e.nout);
    return r;
}

ir_val term_arrange(ir_layer *l, const term *t, const uint8_t *names, uint32_t n)
{
    uint8_t perm[IR_MAX_RANK];
    uint32_t found = 0;
    ir_shape given = ir_shape_of(l, t->v), s = {0};
    for (uint32_t k = 0; k < n; k++) {
        uint32_t j = 0;
        while (j < t->n && t->at[j] != names[k])
            j++;
        if (j == t->n && !s.rank)               /* leading axes of 1 are understood */
            continue;
        s.at[s.rank++] = j == t->n ? dim_const(l->dims, 1) : given.at[j];
        if (j < t->n)
            perm[found++] = (uint8_t)j;
    }
    if (found != t->n)
        ir_bug(l, "a term with a letter that its place lacks");
    return ir_reshape(l, ir_transpose(l, t->v, perm), &s);
}
