/* Element-wise operations. An operand may have been repeated to domain and shape of the result: derive_add_repeated sums.
 *
 * Where a factor can be infinite (derive_times), a cotangent of zero gives zero. At kinks the derivative is PyTorch's. */
#include "compiler/derive/derive_int.h"

/* Of a number and not wild: may be divided by; is in the domain of a root. */
static bool is_not_zero(const derivation *d, ir_val v) { return (d->wild[v.i] & (WILD_MAY_BE | WILD_NOT_ZERO)) == WILD_NOT_ZERO; }
static bool is_not_negative(const derivation *d, ir_val v)
{
    return (d->wild[v.i] & (WILD_MAY_BE | WILD_NOT_NEGATIVE)) == WILD_NOT_NEGATIVE;
}
static bool is_positive(const derivation *d, ir_val v) { return is_not_zero(d, v) && is_not_negative(d, v); }


static ir_val scaled(derivation *d, ir_val v, double by) { return ir_mul(d->l, v, ir_const(d->l, derive_type(d->l, v), by)); }
static ir_val number(derivation *d, ir_val like, double x) { return ir_const(d->l, derive_type(d->l, like), x); }

/* dy times a factor, to the only operand */
static void chain(derivation *d, ir_val y, ir_val dy, ir_val factor, bool wild)
{
    ir_val a = derive_arg(d, y, 0);
    derive_add_repeated(d, a, derive_times(d, dy, factor, wild), y);
}

static bool wild_operand(const derivation *d, ir_val y) { return derive_wild(d, derive_arg(d, y, 0)); }

void derive_ADD(derivation *d, ir_val y, ir_val dy)
{
    ir_val a = derive_arg(d, y, 0), b = derive_arg(d, y, 1);
    derive_add_repeated(d, a, dy, y);
    derive_add_repeated(d, b, dy, y);
}

void derive_SUB(derivation *d, ir_val y, ir_val dy)
{
    ir_val a = derive_arg(d, y, 0), b = derive_arg(d, y, 1);
    derive_add_repeated(d, a, dy, y);
    if (derive_wants(d, b))
        derive_add_repeated(d, b, ir_neg(d->l, dy), y);
}

static void product(derivation *d, ir_val y, ir_val dy, bool always)
{
    ir_val a = derive_arg(d, y, 0), b = derive_arg(d, y, 1);
    if (ir_same(a, b)) {
        if (derive_wants(d, a))
            derive_add_repeated(d, a, derive_times(d, dy, scaled(d, a, 2), always || derive_wild(d, a)), y);
        return;
    }
    if (derive_wants(d, a))
        derive_add_repeated(d, a, derive_times(d, dy, b, always || derive_wild(d, b)), y);
    if (derive_wants(d, b))
        derive_add_repeated(d, b, derive_times(d, dy, a, always || derive_wild(d, a)), y);
}

void derive_MUL(derivation *d, ir_val y, ir_val dy) { product(d, y, dy, false); }
void derive_MUL0(derivation *d, ir_val y, ir_val dy) { product(d, y, dy, true); }

void derive_DIV(derivation *d, ir_val y, ir_val dy)
{
    ir_layer *l = d->l;
    ir_val a = derive_arg(d, y, 0), b = derive_arg(d, y, 1);
    const bool safe = is_not_zero(d, b);
    if (derive_share(d, y, dy))
        return;
    if (derive_wants(d, a))
        derive_add_repeated(d, a, safe ? ir_div(l, dy, b) : derive_times(d, dy, ir_div(l, number(d, b, 1), b), true), y);
    if (derive_wants(d, b))
        derive_add_repeated(d, b, ir_neg(l, derive_times(d, dy, ir_div(l, y, b), !safe || derive_wild(d, y))), y);
}

/* da = b a^(b-1), nothing where b is 0; db = y log a, nothing where a is 0 and b is not negative. */
void derive_POW(derivation *d, ir_val y, ir_val dy)
{
    ir_layer *l = d->l;
    ir_val a = derive_arg(d, y, 0), b = derive_arg(d, y, 1), zero = derive_zero(d, y);
    if (derive_wants(d, a)) {
        ir_val factor = ir_mul(l, b, ir_pow(l, a, ir_sub(l, b, number(d, b, 1))));
        factor = ir_where(l, ir_eq(l, b, zero), zero, factor);
        derive_add_repeated(d, a, derive_times(d, dy, factor, derive_wild(d, y)), y);
    }
    if (derive_wants(d, b)) {
        ir_val nothing = ir_and(l, ir_eq(l, a, zero), ir_le(l, zero, b));
        ir_val factor = ir_where(l, nothing, zero, ir_mul(l, y, ir_log(l, a)));
        derive_add_repeated(d, b, derive_times(d, dy, factor, true), y);
    }
}

/* of atan2(a, b): b / (a^2 + b^2) and -a / (a^2 + b^2); 0 at the origin */
void derive_ATAN2(derivation *d, ir_val y, ir_val dy)
{
    ir_layer *l = d->l;
    ir_val a = derive_arg(d, y, 0), b = derive_arg(d, y, 1), zero = derive_zero(d, y);
    ir_val square = ir_add(l, ir_mul(l, a, a), ir_mul(l, b, b));
    ir_val share = ir_where(l, ir_eq(l, square, zero), zero, ir_div(l, number(d, y, 1), square));
    ir_val g = derive_times(d, dy, share, true);
    const bool wild = derive_wild(d, a) || derive_wild(d, b);
    if (derive_wants(d, a))
        derive_add_repeated(d, a, derive_times(d, g, b, wild), y);
    if (derive_wants(d, b))
        derive_add_repeated(d, b, ir_neg(l, derive_times(d, g, a, wild)), y);
}

/* To the one that wins; half to each of equals. */
static void winner(derivation *d, ir_val y, ir_val dy, ir_val v, ir_val loses)
{
    ir_layer *l = d->l;
    if (!derive_wants(d, v))
        return;
    ir_val equal = ir_eq(l, derive_arg(d, y, 0), derive_arg(d, y, 1));
    ir_val g = ir_where(l, equal, scaled(d, dy, 0.5), dy);
    derive_add_repeated(d, v, ir_where(l, loses, derive_zero(d, y), g), y);
}

void derive_MAX(derivation *d, ir_val y, ir_val dy)
{
    ir_val a = derive_arg(d, y, 0), b = derive_arg(d, y, 1);
    winner(d, y, dy, a, ir_lt(d->l, a, b));
    winner(d, y, dy, b, ir_lt(d->l, b, a));
}

void derive_MIN(derivation *d, ir_val y, ir_val dy)
{
    ir_val a = derive_arg(d, y, 0), b = derive_arg(d, y, 1);
    winner(d, y, dy, a, ir_lt(d->l, b, a));
    winner(d, y, dy, b, ir_lt(d->l, a, b));
}

void derive_NEG(derivation *d, ir_val y, ir_val dy) { derive_add_repeated(d, derive_arg(d, y, 0), ir_neg(d->l, dy), y); }

void derive_ABS(derivation *d, ir_val y, ir_val dy)
{
    chain(d, y, dy, ir_ew1(d->l, OP_SIGN, derive_arg(d, y, 0)), false);
}

void derive_RELU(derivation *d, ir_val y, ir_val dy)
{
    ir_val zero = derive_zero(d, y);
    derive_add_repeated(d, derive_arg(d, y, 0), ir_where(d->l, ir_le(d->l, y, zero), zero, dy), y);
}

void derive_EXP(derivation *d, ir_val y, ir_val dy) { chain(d, y, dy, y, derive_wild(d, y)); }
void derive_EXPM1(derivation *d, ir_val y, ir_val dy) { chain(d, y, dy, ir_exp(d->l, derive_arg(d, y, 0)), true); }

void derive_LOG(derivation *d, ir_val y, ir_val dy)
{
    ir_val a = derive_arg(d, y, 0);
    if (is_positive(d, a))
        derive_add_repeated(d, a, ir_div(d->l, dy, a), y);
    else
        chain(d, y, dy, ir_div(d->l, number(d, y, 1), a), true);
}

void derive_LOG1P(derivation *d, ir_val y, ir_val dy)
{
    ir_val a = derive_arg(d, y, 0), more = ir_add(d->l, number(d, y, 1), a);
    if (is_not_negative(d, a))
        derive_add_repeated(d, a, ir_div(d->l, dy, more), y);
    else
        chain(d, y, dy, ir_div(d->l, number(d, y, 1), more), true);
}

void derive_SQRT(derivation *d, ir_val y, ir_val dy)
{
    chain(d, y, dy, ir_div(d->l, number(d, y, 0.5), y), !is_positive(d, derive_arg(d, y, 0)));
}

void derive_SQRT0(derivation *d, ir_val y, ir_val dy)
{
    ir_val zero = derive_zero(d, y), factor = ir_div(d->l, number(d, y, 0.5), y);
    chain(d, y, dy, ir_where(d->l, ir_eq(d->l, y, zero), zero, factor), !is_not_negative(d, derive_arg(d, y, 0)));
}

void derive_RSQRT(derivation *d, ir_val y, ir_val dy)
{
    ir_val cube = ir_mul(d->l, ir_mul(d->l, y, y), y);
    chain(d, y, dy, scaled(d, cube, -0.5), derive_wild(d, y));
}

void derive_SIN(derivation *d, ir_val y, ir_val dy)
{
    chain(d, y, dy, ir_ew1(d->l, OP_COS, derive_arg(d, y, 0)), wild_operand(d, y));
}

void derive_COS(derivation *d, ir_val y, ir_val dy)
{
    chain(d, y, ir_neg(d->l, dy), ir_ew1(d->l, OP_SIN, derive_arg(d, y, 0)), wild_operand(d, y));
}

void derive_TANH(derivation *d, ir_val y, ir_val dy)
{
    chain(d, y, dy, ir_sub(d->l, number(d, y, 1), ir_mul(d->l, y, y)), wild_operand(d, y));
}

void derive_SIGMOID(derivation *d, ir_val y, ir_val dy)
{
    chain(d, y, dy, ir_mul(d->l, y, ir_sub(d->l, number(d, y, 1), y)), wild_operand(d, y));
}

void derive_SOFTPLUS(derivation *d, ir_val y, ir_val dy)
{
    chain(d, y, dy, ir_ew1(d->l, OP_SIGMOID, derive_arg(d, y, 0)), wild_operand(d, y));
}

/* 2 / sqrt(pi) e^(-a^2) */
void derive_ERF(derivation *d, ir_val y, ir_val dy)
{
    ir_val a = derive_arg(d, y, 0);
    chain(d, y, dy, scaled(d, ir_exp(d->l, ir_neg(d->l, ir_mul(d->l, a, a))), 1.12837916709551257390), wild_operand(d, y));
}

void derive_WHERE(derivation *d, ir_val y, ir_val dy)
{
    ir_val c = derive_arg(d, y, 0), a = derive_arg(d, y, 1), b = derive_arg(d, y, 2), zero = derive_zero(d, y);
    if (derive_wants(d, a))
        derive_add_repeated(d, a, ir_where(d->l, c, dy, zero), y);
    if (derive_wants(d, b))
        derive_add_repeated(d, b, ir_where(d->l, c, zero, dy), y);
}

/* A value of a half type has a cotangent in f32. */
void derive_CAST(derivation *d, ir_val y, ir_val dy)
{
    ir_val a = derive_arg(d, y, 0);
    derive_add(d, a, ir_cast(d->l, dy, derive_type(d->l, a)));
}

/* The same mask: each member has its own, even where the cotangent is one for all. */
void derive_DROPOUT(derivation *d, ir_val y, ir_val dy)
{
    ir_val p = derive_arg(d, y, 1), key = derive_arg(d, y, 2);
    derive_add(d, derive_arg(d, y, 0), ir_dropout(d->l, derive_full(d, dy, y), p, key, ir_at(d->l, y)->u.place));
}
