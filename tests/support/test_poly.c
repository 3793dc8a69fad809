/*
 * Symbolic dims: laws of arithmetic, what is provably equal, printing, evaluation, limits.
 */
#include "compiler/support/poly.h"
#include "tests/support/check.h"

typedef struct values { int64_t v[8]; uint32_t known; } values;

static bool lookup(void *ud, dim_sym s, int64_t *out)
{
    const values *x = ud;
    *out = x->v[s.i];
    return x->known >> s.i & 1;
}

static dim swap(void *ud, dim_sym s)
{
    return ((const dim *)ud)[s.i];
}

static bool count(void *ud, dim_sym s)
{
    (void)s;
    ++*(int *)ud;
    return true;
}

int main(void)
{
    arena *a = arena_new(0);
    str_table *names = str_table_new(a);
    dim_table *t = dim_table_new(a);
    dim in = dim_symbol(t, str_of(names, "in")), out = dim_symbol(t, str_of(names, "out"));
    dim h = dim_symbol(t, str_of(names, "heads"));
    dim one = dim_const(t, 1), two = dim_const(t, 2), zero = dim_const(t, 0);
#define TEXT(d) dim_text(t, (d), a)

    CHECK(dim_same(dim_symbol(t, str_of(names, "in")), in));
    CHECK(!dim_equal(t, dim_symbol_fresh(t, str_of(names, "in")), in));
    CHECK(dim_same(dim_add(t, in, out), dim_add(t, out, in)));
    CHECK(dim_same(dim_mul(t, in, out), dim_mul(t, out, in)));
    CHECK(dim_same(dim_sub(t, dim_add(t, in, out), out), in));
    CHECK(dim_is(t, dim_sub(t, in, in), 0));
    CHECK(
        dim_same(dim_mul(t, dim_add(t, in, one), dim_sub(t, in, one)), dim_sub(t, dim_mul(t, in, in), one)));
    CHECK(dim_same(dim_mul(t, dim_div(t, in, h), h), in));
    CHECK(dim_same(dim_div(t, dim_mul(t, h, out), h), out));
    CHECK(dim_same(dim_div(t, dim_mul(t, dim_add(t, in, one), h), dim_add(t, in, one)), h));
    CHECK(!dim_equal(t, in, out));
    CHECK(!dim_equal(t, dim_add(t, in, one), in));
    CHECK(dim_equal(t, DIM_ERROR, in));
    /* ((a+1) b) / ((a+1) c) is not reduced, but equal to b / c */
    dim up = dim_mul(t, dim_add(t, in, one), out), down = dim_mul(t, dim_add(t, in, one), h);
    CHECK(dim_equal(t, dim_div(t, up, down), dim_div(t, out, h)));

    CHECK_TEXT(TEXT(dim_add(t, dim_mul(t, two, in), one)), "2*in + 1");
    CHECK_TEXT(TEXT(dim_add(t, one, dim_mul(t, in, two))), "2*in + 1");
    CHECK_TEXT(TEXT(dim_sub(t, dim_mul(t, h, out), in)), "out*heads - in");
    CHECK_TEXT(TEXT(dim_neg(t, in)), "-in");
    CHECK_TEXT(TEXT(zero), "0");
    CHECK_TEXT(TEXT(dim_mul(t, in, in)), "in**2");
    CHECK_TEXT(TEXT(dim_div(t, dim_add(t, in, one), two)), "(in + 1)/2");
    CHECK_TEXT(TEXT(dim_div(t, dim_mul(t, in, two), h)), "2*in/heads");
    CHECK_TEXT(TEXT(dim_div(t, in, dim_mul(t, two, h))), "in/(2*heads)");
    CHECK_TEXT(TEXT(dim_div(t, in, dim_neg(t, h))), "-in/heads");
    CHECK_TEXT(TEXT(DIM_ERROR), "?");
    CHECK_TEXT(TEXT(dim_add(t, dim_div(t, in, two), dim_div(t, out, two))), "(in + out)/2");

    CHECK(!dim_ok(dim_div(t, one, two)) && dim_last_why(t) == DIM_REMAINDER);
    CHECK(!dim_ok(dim_div(t, in, zero)) && dim_last_why(t) == DIM_DIV_BY_ZERO);
    CHECK(dim_is(t, dim_div(t, dim_const(t, 6), two), 3));
    CHECK(!dim_ok(dim_mul(t, dim_const(t, INT64_MAX), two)) && dim_last_why(t) == DIM_OVERFLOW);
    CHECK(!dim_ok(dim_pow(t, in, 1000)) && dim_last_why(t) == DIM_TOO_LARGE);
    CHECK(!dim_ok(dim_pow(t, two, 64)) && dim_last_why(t) == DIM_OVERFLOW);
    CHECK(dim_is(t, dim_pow(t, two, 62), INT64_C(1) << 62));
    CHECK(dim_is(t, dim_pow(t, dim_const(t, -1), 4000000001u), -1));
    CHECK(dim_ok(dim_neg(t, dim_const(t, INT64_MIN + 1))));
    CHECK(!dim_ok(dim_neg(t, dim_const(t, INT64_MIN))));
    CHECK(!dim_ok(dim_add(t, DIM_ERROR, in)));
    dim big = dim_add(t, in, one);
    for (int i = 0; i < 100; i++)
        big = dim_mul(t, big, dim_add(t, dim_add(t, in, out), dim_add(t, h, one)));
    CHECK(!dim_ok(big));

    values v = {{12, 5, 3}, 7};
    int64_t x = 0;
    CHECK(dim_eval(t, dim_add(t, dim_mul(t, in, out), h), lookup, &v, &x) == DIM_FINE && x == 63);
    CHECK(dim_eval(t, dim_div(t, in, h), lookup, &v, &x) == DIM_FINE && x == 4);
    CHECK(dim_eval(t, dim_div(t, in, out), lookup, &v, &x) == DIM_REMAINDER);
    CHECK(dim_eval(t, dim_div(t, in, dim_sub(t, h, dim_const(t, 3))), lookup, &v, &x) == DIM_DIV_BY_ZERO);
    v.known = 3;
    CHECK(dim_eval(t, h, lookup, &v, &x) == DIM_UNBOUND);
    dim_sym s;
    CHECK(dim_solve(t, dim_add(t, dim_mul(t, h, in), one), 37, lookup, &v, &s, &x) && x == 3 && s.i == 2);
    CHECK(dim_solve(t, dim_div(t, in, h), 4, lookup, &v, &s, &x) && x == 3);
    CHECK(!dim_solve(t, dim_mul(t, h, h), 9, lookup, &v, &s, &x));
    CHECK(!dim_solve(t, in, 9, lookup, &v, &s, &x));
    CHECK(!dim_solve(t, dim_mul(t, h, in), 37, lookup, &v, &s, &x));
    v = (values){{INT64_MAX, INT64_MAX, 1}, 7};
    CHECK(dim_eval(t, dim_mul(t, in, out), lookup, &v, &x) == DIM_OVERFLOW);
    CHECK(dim_eval(t, dim_sub(t, dim_mul(t, in, two), out), lookup, &v, &x) == DIM_FINE && x == INT64_MAX);

    dim_table *u = dim_table_new(a);
    dim d = dim_symbol(u, str_of(names, "d")),
        to[] = {dim_mul(u, d, dim_const(u, 2)), dim_const(u, 7), dim_const(u, 4)};
    CHECK_TEXT(dim_text(u, dim_subst(u, t, dim_div(t, dim_add(t, in, out), h), swap, to), a), "(2*d + 7)/4");
    CHECK_TEXT(dim_text(u, dim_subst(u, t, dim_add(t, in, out), swap, to), a), "2*d + 7");

    int n = 0;
    dim_each_symbol(t, dim_div(t, dim_add(t, in, out), dim_mul(t, in, h)), count, &n);
    CHECK(n == 3);
    CHECK(dim_is_symbol(t, in, &s) && s.i == 0 && !dim_is_symbol(t, dim_neg(t, in), NULL)
          && !dim_is_symbol(t, one, NULL));

    dim_table *w = dim_table_new(a);
    dim p = dim_symbol(w, str_of(names, "p")), q = dim_symbol(w, str_of(names, "q"));
    dim_div(w, dim_mul(w, p, q), q);
    CHECK(dim_n_divisions(w) == 0);
    dim_mul(w, dim_div(w, p, q), q);
    dim_div(w, p, q);
    CHECK(dim_n_divisions(w) == 1);
    dim l, r;
    dim_division(w, 0, &l, &r);
    CHECK(dim_same(l, p) && dim_same(r, q));
    arena_free(a);
    return check_done();
}
