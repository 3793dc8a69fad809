/* Over feature axes: sums, extremes, contractions. */
#include "compiler/derive/derive_int.h"

#include <math.h>
#include <string.h>

void derive_RSUM(derivation *d, ir_val y, ir_val dy)
{
    ir_val a = derive_arg(d, y, 0);
    ir_val g = derive_ranked(d, dy, ir_at(d->l, y)->rank);
    derive_add_members(d, a, ir_expand(d->l, g, ir_at(d->l, y)->u.axis), ir_at(d->l, y)->dom);
}

/* To the first along the axis that attains it (a NaN attains all). */
static void extreme(derivation *d, ir_val y, ir_val dy)
{
    ir_layer *l = d->l;
    ir_val a = derive_arg(d, y, 0);
    const int axis = ir_at(l, y)->u.axis;
    const ir_type type = derive_type(l, a);
    const dim width = ir_at(l, a)->shape[axis];
    ir_shape column = {.rank = ir_at(l, a)->rank};
    for (uint32_t k = 0; k < column.rank; k++)
        column.at[k] = k == (uint32_t)axis ? width : dim_const(l->dims, 1);
    ir_val number = ir_reshape(l, ir_iota(l, type, width), &column);
    ir_val best = ir_expand(l, y, axis);
    ir_val attains = ir_or(l, ir_eq(l, a, best), ir_ne(l, a, a));
    ir_val first = ir_reduce(l, OP_RMIN, ir_where(l, attains, number, ir_dimval(l, type, width)), axis);
    ir_val g = ir_expand(l, derive_ranked(d, dy, ir_at(l, y)->rank), axis);
    derive_add(d, a, ir_where(l, ir_eq(l, number, ir_expand(l, first, axis)), g, derive_zero(d, y)));
}

void derive_RMAX(derivation *d, ir_val y, ir_val dy) { extreme(d, y, dy); }
void derive_RMIN(derivation *d, ir_val y, ir_val dy) { extreme(d, y, dy); }

/* ---- contractions ---- */

typedef struct { uint8_t n, at[2 * IR_MAX_RANK]; } letters;

static bool has(const letters *s, uint8_t letter) { return s->n && memchr(s->at, letter, s->n); }

static letters letters_of(const uint8_t *at, uint32_t n)
{
    letters s = {.n = (uint8_t)n};
    memcpy(s.at, at, n);
    return s;
}

/* The cotangent with the letters of the axes along which it is not the same for all. */
static ir_val own_letters(derivation *d, ir_val dy, const ir_einsum *e, letters *own)
{
    ir_layer *l = d->l;
    ir_shape s = ir_shape_of(l, dy), kept = {0};
    own->n = 0;
    for (uint32_t k = 0; k < s.rank; k++) {
        if (dim_is(l->dims, s.at[k], 1))
            continue;
        own->at[own->n++] = e->out[e->nout - s.rank + k];
        kept.at[kept.rank++] = s.at[k];
    }
    return ir_reshape(l, dy, &kept);
}

/* An operand that may be infinite, 0 where it is no number and the member's whole cotangent is 0: nothing of the member is
 * read then. Where it is a number it stays, so that what flows through the cotangent is not lost in a second derivative. */
static ir_val without_poles(derivation *d, ir_val y, ir_val dy, ir_val other)
{
    ir_layer *l = d->l;
    const ir_dom dom = ir_at(l, y)->dom;
    if (!(d->wild[other.i] & WILD_POLE) || !ir_dom_same(ir_at(l, other)->dom, dom) || (dom.i && !derive_lacks(d, dy)))
        return other;
    ir_val most = ir_ew1(l, OP_ABS, derive_full(d, dy, y));
    while (ir_at(l, most)->rank)
        most = ir_reduce(l, OP_RMAX, most, 0);
    ir_val number = ir_ew2(l, OP_LT, ir_ew1(l, OP_ABS, other), ir_like(l, other, INFINITY));
    ir_val read = ir_ew2(l, OP_NE, most, ir_like(l, most, 0));
    return ir_where(l, ir_ew2(l, OP_OR, number, read), other, ir_like(l, other, 0));
}

/* The contribution to one operand: dy contracted with the other. Letters that stand in the operand alone were summed
 * over: there it is the same for all. */
static void one_operand(derivation *d, ir_val y, ir_val dy, uint32_t which)
{
    ir_layer *l = d->l;
    const ir_einsum e = ir_at(l, y)->u.ein;
    ir_val v = derive_arg(d, y, which), other = derive_arg(d, y, !which);
    if (!derive_wants(d, v))
        return;
    other = without_poles(d, y, dy, other);
    const letters to = which ? letters_of(e.b, e.nb) : letters_of(e.a, e.na);
    const letters from = which ? letters_of(e.a, e.na) : letters_of(e.b, e.nb);
    letters own;
    ir_val g = own_letters(d, dy, &e, &own);
    ir_einsum back;
    memset(&back, 0, sizeof back);
    ir_shape shape = ir_shape_of(l, v);
    back.na = own.n;
    memcpy(back.a, own.at, own.n);
    back.nb = from.n;
    memcpy(back.b, from.at, from.n);
    for (uint32_t k = 0; k < to.n; k++) {
        if (has(&own, to.at[k]) || has(&from, to.at[k]))
            back.out[back.nout++] = to.at[k];
        else
            shape.at[k] = dim_const(l->dims, 1);
    }
    g = ir_reshape(l, ir_contract(l, g, other, &back), &shape);
    derive_add_members(d, v, g, ir_at(l, y)->dom);
}

void derive_EINSUM(derivation *d, ir_val y, ir_val dy)
{
    one_operand(d, y, dy, 0);
    one_operand(d, y, dy, 1);
}
