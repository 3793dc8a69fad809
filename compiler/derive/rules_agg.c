/* Along maps: gathers, aggregates, shares. What is by group is computed once a group and gathered. */
#include "compiler/derive/derive_int.h"

void derive_GATHER(derivation *d, ir_val y, ir_val dy)
{
    ir_val along = derive_arg(d, y, 1);
    derive_add(d, derive_arg(d, y, 0), ir_agg(d->l, OP_AGG_SUM, dy, along));
}

/* To each member what its group got; nothing to one of no group. */
static ir_val at_members(derivation *d, ir_val g, ir_val along) { return ir_gather(d->l, g, along); }

void derive_AGG_SUM(derivation *d, ir_val y, ir_val dy)
{
    derive_add(d, derive_arg(d, y, 0), at_members(d, dy, derive_arg(d, y, 1)));
}

/* To the first member in the order of the group that attains it. */
static void extreme(derivation *d, ir_val y, ir_val dy, ir_op position)
{
    ir_layer *l = d->l;
    ir_val a = derive_arg(d, y, 0), along = derive_arg(d, y, 1);
    ir_val won = at_members(d, ir_agg(l, position, a, along), along), own = ir_position(l, along);
    ir_shape ones = {.rank = ir_at(l, a)->rank};
    for (uint32_t k = 0; k < ones.rank; k++)
        ones.at[k] = dim_const(l->dims, 1);
    ir_val wins = ir_eq(l, ir_reshape(l, own, &ones), won);
    derive_add(d, a, ir_where(l, wins, at_members(d, dy, along), derive_zero(d, y)));
}

void derive_AGG_MAX(derivation *d, ir_val y, ir_val dy) { extreme(d, y, dy, OP_AGG_ARGMAX); }
void derive_AGG_MIN(derivation *d, ir_val y, ir_val dy) { extreme(d, y, dy, OP_AGG_ARGMIN); }

/* The product of the others: y / a without a zero; with one, to that member alone, the product of the rest. */
void derive_AGG_PROD(derivation *d, ir_val y, ir_val dy)
{
    ir_layer *l = d->l;
    ir_val a = derive_arg(d, y, 0), along = derive_arg(d, y, 1), zero = derive_zero(d, y), one = ir_like(l, y, 1);
    ir_val is_zero = ir_eq(l, a, zero), rest = ir_where(l, is_zero, one, a);
    ir_val zeros = ir_agg(l, OP_AGG_SUM, ir_where(l, is_zero, one, zero), along);
    ir_val product = ir_agg(l, OP_AGG_PROD, rest, along);
    ir_val of_zero = ir_where(l, ir_eq(l, zeros, one), ir_mul(l, dy, product), zero);
    ir_val of_other = ir_where(l, ir_eq(l, zeros, zero), ir_mul(l, dy, product), zero);
    derive_add(d, a, ir_where(l, is_zero, at_members(d, of_zero, along), ir_div(l, at_members(d, of_other, along), rest)));
}

static ir_val without_mean(ir_layer *l, ir_val a, ir_val of, ir_val along, ir_val members)
{
    return ir_sub(l, a, ir_gather(l, ir_div(l, ir_agg(l, OP_AGG_SUM, of, along), members), along));
}

/* a minus the mean of its group. The mean of values far from zero is rounded, and what is left after the first time is small,
 * so its own mean is exact enough. Over the reals that is 0, whatever a is: it has no derivative, and is not to be worked
 * out over the reals either, which the stop prevents. */
static ir_val centred(ir_layer *l, ir_val a, ir_val along, ir_val members)
{
    ir_val once = without_mean(l, a, a, along, members);
    return without_mean(l, once, ir_ew1(l, OP_STOP, once), along, members);
}

void derive_AGG_VAR(derivation *d, ir_val y, ir_val dy)
{
    ir_layer *l = d->l;
    ir_val a = derive_arg(d, y, 0), along = derive_arg(d, y, 1);
    ir_val members = ir_maximum(l, ir_count(l, derive_type(l, y), along), ir_like(l, y, 1));
    ir_val g = ir_div(l, ir_mul(l, ir_like(l, y, 2), dy), members);
    derive_add(d, a, ir_mul(l, at_members(d, g, along), centred(l, a, along, members)));
}

/* The greatest that is subtracted has no derivative: whatever the sum stands in does not change with it. */
void derive_AGG_EXPSUM(derivation *d, ir_val y, ir_val dy)
{
    ir_layer *l = d->l;
    ir_val a = derive_arg(d, y, 0), along = derive_arg(d, y, 1);
    ir_val top = at_members(d, ir_ew1(l, OP_STOP, ir_agg(l, OP_AGG_MAX, a, along)), along);
    derive_add(d, a, ir_mul(l, at_members(d, dy, along), ir_exp(l, ir_sub(l, a, top))));
}

/* Of a share y of a: da = y (dy - sum of y dy over the group). wild: a member of no group has no number for a share. */
static void share(derivation *d, ir_val y, ir_val dy, ir_val a, ir_val along, bool wild)
{
    ir_layer *l = d->l;
    ir_val mean = ir_agg(l, OP_AGG_SUM, derive_times(d, dy, y, wild), along);
    derive_add(d, a, derive_times(d, ir_sub(l, dy, ir_gather(l, mean, along)), y, wild));
}

void derive_SOFTMAX(derivation *d, ir_val y, ir_val dy) { share(d, y, dy, derive_arg(d, y, 0), derive_arg(d, y, 1), false); }

/* The operand of v if v is of this operation and nobody wants the gradient by v itself; none otherwise. */
static ir_val below(const derivation *d, ir_val v, ir_op op)
{
    return ir_is(v) && derive_op(d, v) == op && !d->wanted[v.i] ? derive_arg(d, v, 0) : (ir_val){0};
}

bool derive_share(derivation *d, ir_val y, ir_val dy)
{
    const ir_layer *l = d->l;
    ir_val gathered = derive_arg(d, y, 1), sum = below(d, gathered, OP_GATHER), a = below(d, sum, OP_AGG_EXPSUM);
    ir_val shifted = below(d, derive_arg(d, y, 0), OP_EXP);
    if (!ir_is(a) || !ir_same(below(d, shifted, OP_SUB), a) || d->wanted[derive_arg(d, y, 0).i])
        return false;
    ir_val along = derive_arg(d, sum, 1), minus = derive_arg(d, shifted, 1), top = below(d, minus, OP_GATHER);
    if (!ir_same(derive_arg(d, gathered, 1), along) || !ir_is(top) || !ir_same(derive_arg(d, minus, 1), along) ||
        ir_at(l, top)->op != OP_STOP)
        return false;
    top = derive_arg(d, top, 0);
    if (ir_at(l, top)->op != OP_AGG_MAX || !ir_same(derive_arg(d, top, 0), a) || !ir_same(derive_arg(d, top, 1), along))
        return false;
    share(d, y, dy, a, along, !ir_map_total(l, along));
    return true;
}

/* Sum over the axes from `rank` on. */
static ir_val sum_beyond(ir_layer *l, ir_val a, uint32_t rank)
{
    while (ir_at(l, a)->rank > rank)
        a = ir_reduce(l, OP_RSUM, a, -1);
    return a;
}

static ir_val with_axes(ir_layer *l, ir_val a, uint32_t rank)
{
    while (ir_at(l, a)->rank < rank)
        a = ir_expand(l, a, -1);
    return a;
}

/* With the shares p = softmax(s): dv = p dy, ds = p (<dy, v> - <dy, y>), where <dy, y> is by group. */
void derive_AGG_SOFTSUM(derivation *d, ir_val y, ir_val dy)
{
    ir_layer *l = d->l;
    ir_val s = derive_arg(d, y, 0), v = derive_arg(d, y, 1), along = derive_arg(d, y, 2);
    const uint32_t rank = ir_at(l, s)->rank, full = ir_at(l, v)->rank;
    ir_val p = ir_softmax(l, s, along), g = at_members(d, dy, along);
    if (derive_wants(d, v))
        derive_add(d, v, ir_mul(l, with_axes(l, p, full), g));
    if (!derive_wants(d, s))
        return;
    ir_val own = sum_beyond(l, ir_mul(l, derive_full(d, g, v), v), rank);
    ir_val mean = sum_beyond(l, ir_mul(l, derive_full(d, dy, y), y), rank);
    derive_add(d, s, ir_mul(l, p, ir_sub(l, own, ir_gather(l, mean, along))));
}
