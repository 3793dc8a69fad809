/*
 * Symbolic dims: exact rational functions of named symbols with integer coefficients.
 *
 * A dim is an id in a dim_table. Every dim is reduced (common factors that can be found by exact
 * division, by monomials and by integers are taken out; the denominator's leading coefficient is
 * positive), and equal forms have equal ids, so that printing is stable. dim_equal is provable equality:
 * numerators multiplied crosswise agree as polynomials. (a/b)*b == a.
 *
 * A quotient is meant to leave no remainder: "in / 2" is a dim, and each division that is not exact as
 * polynomials is kept in the table as a condition to be checked once the symbols have values.
 *
 * Nothing here fails but by value: overflow of a coefficient, a zero divisor, a remainder between numbers
 * or too large a polynomial give DIM_ERROR, which is absorbed by every operation; dim_table.why says why.
 */
#ifndef MPC_SUPPORT_POLY_H
#define MPC_SUPPORT_POLY_H

#include "compiler/support/buf.h"
#include "compiler/support/map.h"
#include "compiler/support/str.h"

typedef struct dim { uint32_t i; } dim;
typedef struct dim_table dim_table;

#define DIM_ERROR ((dim){0})                     /* a zero-initialised dim is an error */
static inline bool dim_ok(dim d) { return d.i != 0; }

enum {
    DIM_MAX_TERMS = 512,                         /* of a polynomial */
    DIM_MAX_DEGREE = 64,                         /* total, of a monomial */
};

typedef enum dim_why {
    DIM_FINE, DIM_OVERFLOW, DIM_DIV_BY_ZERO, DIM_REMAINDER, DIM_TOO_LARGE, DIM_UNBOUND
} dim_why;
const char *dim_why_text(dim_why why);           /* "overflows 64 bits", … */

dim_table *dim_table_new(arena *a);
dim_why dim_last_why(const dim_table *t);        /* of the last operation that failed */

dim dim_const(dim_table *t, int64_t value);
dim dim_symbol(dim_table *t, str name);          /* one dim a name (compared by address) */
dim dim_symbol_fresh(dim_table *t, str name);    /* another symbol of that name each time */
dim dim_add(dim_table *t, dim a, dim b);
dim dim_sub(dim_table *t, dim a, dim b);
dim dim_mul(dim_table *t, dim a, dim b);
dim dim_div(dim_table *t, dim a, dim b);         /* exact division */
dim dim_neg(dim_table *t, dim a);
dim dim_pow(dim_table *t, dim a, uint32_t n);

bool dim_equal(const dim_table *t, dim a, dim b);            /* provably; DIM_ERROR equals all (poison) */
static inline bool dim_same(dim a, dim b) { return a.i == b.i; }
bool dim_is_const(const dim_table *t, dim d, int64_t *value);    /* value may be NULL */
bool dim_is(const dim_table *t, dim d, int64_t value);

/* Symbols. Their ids count from 0 in the order of their coming. */
typedef struct dim_sym { uint32_t i; } dim_sym;
uint32_t dim_n_symbols(const dim_table *t);
str dim_symbol_name(const dim_table *t, dim_sym s);
dim dim_of_symbol(dim_table *t, dim_sym s);
bool dim_is_symbol(const dim_table *t, dim d, dim_sym *s);   /* a symbol and nothing else; s may be NULL */
/* Calls f for each symbol that d depends on, once each, in the order of ids, until it returns false. */
bool dim_each_symbol(const dim_table *t, dim d, bool (*f)(void *ud, dim_sym s), void *ud);

/* The value at given values of the symbols. DIM_FINE and *out, or why not. lookup returns false for a
 * symbol that has no value. */
typedef bool dim_lookup(void *ud, dim_sym s, int64_t *value);
dim_why dim_eval(const dim_table *t, dim d, dim_lookup *lookup, void *ud, int64_t *out);

/* d of table `from` with each symbol replaced, as a dim of table `to` (which may be the same). */
typedef dim dim_replace(void *ud, dim_sym s);
dim dim_subst(dim_table *to, const dim_table *from, dim d, dim_replace *f, void *ud);

/* The solution of "d = value" where exactly one symbol has no value and d is linear in it. */
bool dim_solve(const dim_table *t, dim d, int64_t value, dim_lookup *lookup, void *ud, dim_sym *s,
               int64_t *out);

/* The divisions a / b that must leave no remainder, in the order of dim_div. */
uint32_t dim_n_divisions(const dim_table *t);
void dim_division(const dim_table *t, uint32_t i, dim *a, dim *b);

/* The terms of a dim's numerator or denominator, for writing it down elsewhere: coefficients, and powers of symbols
 * by ascending id. No terms: 0. */
uint32_t dim_n_terms(const dim_table *t, dim d, bool denominator);
int64_t dim_term(const dim_table *t, dim d, bool denominator, uint32_t i, uint32_t *n_powers);
dim_sym dim_term_power(const dim_table *t, dim d, bool denominator, uint32_t i, uint32_t j, uint32_t *exponent);

/* In the user's notation: 2*in + 1, heads*out, (in + 1)/2, in**2. "?" for DIM_ERROR. */
void dim_print(const dim_table *t, dim d, buf *out);
const char *dim_text(const dim_table *t, dim d, arena *a);

#endif
