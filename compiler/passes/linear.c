/* Linear: sums whose terms live in different places.
 *
 * Terms along one map are added there, and gathered once. A contraction of a concat or of a sum is taken
 * apart where the parts can then be contracted in fewer rows: concat(dst.x, src.x - dst.x) @ W becomes
 * dst.(x @ (Wa - Wb)) + src.(x @ Wb) with the rules of hoist. */
#include "compiler/passes/rules.h"
#include "compiler/passes/term.h"
#include "compiler/passes/terms.h"

#include <string.h>

/* ---- terms of one map together ---- */

static bool no_wider(rewriter *r, ir_val sum, ir_val a, ir_val b)
{
    double wide = cost_elems(&r->model, sum);
    return wide <= cost_elems(&r->model, a) || wide <= cost_elems(&r->model, b);
}

/* Stands in memory, whoever reads it. */
static bool in_memory_itself(ir_op op)
{
    return op == OP_INPUT || op == OP_STATE || op == OP_FINAL || op == OP_RECALL;
}

/* The two as one term: a gather of their sum where both live, or none. */
static ir_val join_terms(rewriter *r, ir_val a, bool minus_a, ir_val b, bool minus_b)
{
    ir_layer *l = r->l;
    ir_val along = {0}, none = {0};
    bool unit_a = is_unit(l, bare(l, a)), unit_b = is_unit(l, bare(l, b));
    if (unit_a && unit_b) {
        a = bare(l, a);
        b = bare(l, b);
    } else if (unit_a || unit_b) {
        ir_val g = unit_a ? b : a;
        if (op_of(l, g) != OP_GATHER)
            return none;
        ir_op base = op_of(l, arg_of(l, g, 0));
        along = arg_of(l, g, 1);
        bool far = cost_gather_byte(&r->model, along) == COST_FAR;
        if (!ir_map_total(l, along) || (far && in_memory_itself(base)))
            return none;
    } else {
        if (op_of(l, a) != OP_GATHER || op_of(l, b) != OP_GATHER)
            return none;
        along = join_maps(l, arg_of(l, a, 1), arg_of(l, b, 1));
        if (!ir_is(along))
            return none;
    }
    if (ir_is(along) && !cost_fewer_rows(&r->model, ir_cod(l, along), ir_at(l, along)->dom))
        return none;
    ir_val p = ir_is(along) ? lift(l, a, along) : a, q = ir_is(along) ? lift(l, b, along) : b;
    if (!ir_is(p) || !ir_is(q))
        return none;
    sum_of s = {.n = 2, .at = {p, q}, .minus = {minus_a, minus_b}};
    ir_val sum = sum_make(l, &s);
    if (!no_wider(r, sum, p, q))
        return none;
    return ir_is(along) ? ir_gather(l, sum, along) : sum;
}

/* Two contractions of one operand as one. */
static ir_val join_products(rewriter *r, ir_val a, bool minus_a, ir_val b, bool minus_b)
{
    ir_layer *l = r->l;
    const ir_val none = {0};
    if (minus_a || op_of(l, a) != OP_EINSUM || op_of(l, b) != OP_EINSUM)
        return none;
    ir_val both = minus_b ? ir_sub(l, a, b) : ir_add(l, a, b), made = rule_factor(r, both);
    return ir_same(made, both) ? none : made;
}

ir_val rule_group_terms(rewriter *r, ir_val v)
{
    ir_layer *l = r->l;
    sum_of s;
    if ((op_of(l, v) != OP_ADD && op_of(l, v) != OP_SUB) || is_unit(l, v) || !sum_take(r, v, &s))
        return v;
    /* A term of the unit domain goes to the destination if it can: there it leaves the aggregate as well. */
    for (int round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < s.n; i++) {
            for (uint32_t j = i + 1; j < s.n; j++) {
                bool unit = is_unit(l, bare(l, s.at[i])) != is_unit(l, bare(l, s.at[j]));
                ir_val g = is_unit(l, bare(l, s.at[i])) ? s.at[j] : s.at[i];
                bool own =
                    op_of(l, g) == OP_GATHER && cost_gather_byte(&r->model, arg_of(l, g, 1)) == COST_OWN;
                if (round != (!unit ? 0 : own ? 1 : 2))
                    continue;
                ir_val sum = join_terms(r, s.at[i], s.minus[i], s.at[j], s.minus[j]);
                if (!ir_is(sum) && !unit && (s.n > 2))
                    sum = join_products(r, s.at[i], s.minus[i], s.at[j], s.minus[j]);
                if (!ir_is(sum))
                    continue;
                s.at[i] = sum;
                s.minus[i] = false;
                sum_drop(&s, j);
                return as_shape_of(l, sum_make(l, &s), v);
            }
        }
    }
    return v;
}

/* ---- contractions of sums and concats ---- */

typedef struct side {           /* a contraction seen from one of its operands */
    ir_val a, w;
    uint8_t names_a[IR_MAX_RANK], names_w[IR_MAX_RANK], out[IR_MAX_RANK];
    uint32_t na, nw, nout;
    letters keep;
} side;

static side side_of(const ir_layer *l, ir_val v, uint32_t k)
{
    const ir_einsum *e = &ir_at(l, v)->u.ein;
    side s = {.a = arg_of(l, v, k),
              .w = arg_of(l, v, !k),
              .na = k ? e->nb : e->na,
              .nw = k ? e->na : e->nb,
              .nout = e->nout};
    memcpy(s.names_a, k ? e->b : e->a, s.na);
    memcpy(s.names_w, k ? e->a : e->b, s.nw);
    memcpy(s.out, e->out, s.nout);
    for (uint32_t i = 0; i < s.nout; i++)
        s.keep |= (letters)1 << s.out[i];
    return s;
}

/* The contraction with another left operand, of the same axes or aligned with them at the right. */
static ir_val contract_part(ir_layer *l, const side *s, ir_val part, ir_val w)
{
    term x = term_of_operand(l, part, s->names_a, s->na), y = term_make(l, w, s->names_w);
    term t = term_contract(l, &x, &y, s->keep);
    return term_arrange(l, &t, s->out, s->nout);
}

/* Scaled by the row a concat or gather that others may share. */
static bool is_scaled(const ir_layer *l, ir_val part, uint32_t axis)
{
    ir_op op = op_of(l, part);
    if (op != OP_MUL && op != OP_DIV)
        return false;
    uint32_t rank = ir_at(l, part)->rank;
    for (uint32_t k = 0; k < (op == OP_DIV ? 1u : 2u); k++) {
        ir_val wide = arg_of(l, part, k), scale = arg_of(l, part, !k);
        uint32_t at = ir_at(l, scale)->rank + axis - rank;      /* wraps when the scale lacks the axis */
        bool lacks = ir_at(l, scale)->rank + axis < rank || dim_is(l->dims, ir_at(l, scale)->shape[at], 1);
        if (lacks && (op_of(l, wide) == OP_CONCAT || op_of(l, wide) == OP_GATHER))
            return true;
    }
    return false;
}

/* Parts that stay together: neither computed elsewhere, nor standing in memory, nor scaled by the row. */
static bool stays(rewriter *r, ir_val part, uint32_t axis)
{
    ir_layer *l = r->l;
    ir_op op = op_of(l, part);
    if (is_unit(l, bare(l, part)) || op == OP_GATHER || in_memory_itself(op))
        return false;
    return !is_scaled(l, part, axis);
}

static ir_val split_concat(rewriter *r, ir_val v, const side *s)
{
    ir_layer *l = r->l;
    uint32_t axis = (uint32_t)ir_at(l, s->a)->u.axis, n = ir_at(l, s->a)->nargs;
    uint8_t letter = s->names_a[axis];
    if (s->keep >> letter & 1)
        return v;
    int w_axis = -1;
    for (uint32_t k = 0; k < s->nw; k++)
        if (s->names_w[k] == letter)
            w_axis = (int)k;
    const ir_val *parts = ir_at(l, s->a)->args;
    ir_val sum = {0};
    dim lo = dim_const(l->dims, 0);
    for (uint32_t k = 0; k < n;) {
        uint32_t end = k + 1;
        while (end < n && stays(r, parts[k], axis) && stays(r, parts[end], axis))
            end++;
        if (end - k == n)
            return v;
        ir_val part = end - k == 1 ? parts[k] : ir_concat(l, parts + k, end - k, (int)axis);
        dim len = ir_at(l, part)->shape[axis];
        ir_val w = w_axis < 0 ? s->w : ir_slice(l, s->w, w_axis, lo, len);
        ir_val product = contract_part(l, s, part, w);
        sum = ir_is(sum) ? ir_add(l, sum, product) : product;
        lo = dim_add(l->dims, lo, len);
        k = end;
    }
    return as_shape_of(l, sum, v);
}

/* Rows in which a part's contraction with w would be computed. */
static double home_rows(rewriter *r, ir_val part, ir_val w)
{
    ir_layer *l = r->l;
    double rows = cost_rows(&r->model, dom_of(l, part));
    part = bare(l, part);
    if (is_unit(l, part))
        return cost_rows(&r->model, dom_of(l, w));
    if (op_of(l, part) == OP_GATHER && lifts(l, w, arg_of(l, part, 1)))
        return cost_rows(&r->model, ir_cod(l, arg_of(l, part, 1)));
    return rows;
}

/* A letter that is summed, but is not in w: a term that is repeated along it counts as often as it is
 * long, and taken apart it would count once. */
static bool sums_alone(const side *s)
{
    letters known = s->keep;
    for (uint32_t k = 0; k < s->nw; k++)
        known |= (letters)1 << s->names_w[k];
    for (uint32_t k = 0; k < s->na; k++)
        if (!(known >> s->names_a[k] & 1))
            return true;
    return false;
}

static ir_val split_sum(rewriter *r, ir_val v, const side *s)
{
    ir_layer *l = r->l;
    sum_of terms;
    if (sums_alone(s) || !sum_take(r, s->a, &terms))
        return v;
    double after = 0, before = cost_rows(&r->model, dom_of(l, v));
    for (uint32_t k = 0; k < terms.n; k++)
        after += home_rows(r, terms.at[k], s->w);
    if (after >= 0.75 * before)
        return v;
    for (uint32_t k = 0; k < terms.n; k++)
        terms.at[k] = contract_part(l, s, terms.at[k], s->w);
    return as_shape_of(l, sum_make(l, &terms), v);
}

ir_val rule_split(rewriter *r, ir_val v)
{
    ir_layer *l = r->l;
    if (op_of(l, v) != OP_EINSUM || is_unit(l, v))
        return v;
    for (uint32_t k = 0; k < 2; k++) {
        side s = side_of(l, v, k);
        if (is_unit(l, s.a))
            continue;
        ir_op op = op_of(l, s.a);
        ir_val w = op == OP_CONCAT                ? split_concat(r, v, &s)
                   : op == OP_ADD || op == OP_SUB ? split_sum(r, v, &s)
                                                  : v;
        if (!ir_same(w, v))
            return w;
    }
    return v;
}
