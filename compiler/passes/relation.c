/* Relation: views of values by pair are contracted before anybody lays them out.
 *
 * einsum("ri,rio->o", spread(p), W) is a sum over the pairs of a row of p @ W[r]: no table of rows by
 * relations exists. Element-wise work on such views is done by pair. */
#include "compiler/passes/rules.h"
#include "compiler/passes/term.h"

#include <string.h>

/* An operand that has the letter of the relations, by pair: w[..., r, ...] of the unit domain or by row. */
static term by_pair(ir_layer *l, ir_val pairs, ir_val w, const uint8_t *names, uint32_t n, uint8_t letter)
{
    uint8_t perm[IR_MAX_RANK], rest[IR_MAX_RANK];
    uint32_t at = n, k = 0;
    for (uint32_t j = 0; j < n; j++)
        if (names[j] == letter)
            at = j;
    if (at == n) {                              /* the same for all relations */
        term t = term_make(l, w, names);
        if (!is_unit(l, t.v))
            t.v = ir_gather(l, t.v, ir_map_first(l, pairs));
        return t;
    }
    perm[k++] = (uint8_t)at;
    for (uint32_t j = 0; j < n; j++) {
        if (j != at) {
            rest[k - 1] = names[j];
            perm[k++] = (uint8_t)j;
        }
    }
    w = ir_transpose(l, w, perm);
    w = is_unit(l, w) ? ir_gather(l, ir_rows(l, w), ir_map_second(l, pairs)) : ir_unspread(l, w, pairs);
    return term_make(l, w, rest);
}

static ir_val contract_spread(ir_layer *l, ir_val v)
{
    ir_einsum e = ir_at(l, v)->u.ein;
    for (uint32_t k = 0; k < 2; k++) {
        ir_val a = arg_of(l, v, k), w = arg_of(l, v, !k);
        if (op_of(l, a) != OP_SPREAD)
            continue;
        const uint8_t *names = k ? e.b : e.a, *other = k ? e.a : e.b;
        letters keep = 0;
        for (uint32_t j = 0; j < e.nout; j++)
            keep |= (letters)1 << e.out[j];
        if (keep >> names[0] & 1)
            continue;
        ir_val pairs = arg_of(l, a, 1), p = arg_of(l, a, 0);
        if (op_of(l, w) == OP_SPREAD && ir_same(arg_of(l, w, 1), pairs) && other[0] == names[0])
            w = arg_of(l, w, 0), other++;
        else if (ir_at(l, w)->type == T_MAP)
            continue;
        term x = term_make(l, p, names + 1), y;
        if (!ir_same(w, arg_of(l, v, !k)))
            y = term_make(l, w, other);
        else
            y = by_pair(l, pairs, w, other, ir_at(l, w)->rank, names[0]);
        term t = term_contract(l, &x, &y, keep);
        return ir_agg(l, OP_AGG_SUM, term_arrange(l, &t, e.out, e.nout), ir_map_first(l, pairs));
    }
    return v;
}

static ir_val reduce_spread(ir_layer *l, ir_val v)
{
    ir_val a = arg_of(l, v, 0);
    if (op_of(l, a) != OP_SPREAD)
        return v;
    int axis = ir_at(l, v)->u.axis;
    ir_val p = arg_of(l, a, 0), pairs = arg_of(l, a, 1);
    if (axis == 0)
        return op_of(l, v) == OP_RSUM ? ir_agg(l, OP_AGG_SUM, p, ir_map_first(l, pairs)) : v;
    return ir_spread(l, ir_reduce(l, op_of(l, v), p, axis - 1), pairs);
}

/* Does f(0, ...) = 0 hold where one operand is a spread, whatever the others are? A weight counts as
 * finite; what is NaN at a row stays so. */
static bool keeps_zeros(const ir_layer *l, ir_val v, uint32_t n_spread)
{
    const ir_node *n = ir_at(l, v);
    unsigned flags = ir_ops[n->op].flags;
    if (n->nargs == 1)
        return (flags & (OPF_ZERO0 | OPF_LINALL)) != 0;
    if (n->op == OP_DIV)
        return n_spread == 1 && op_of(l, n->args[0]) == OP_SPREAD && is_positive(l, n->args[1]);
    if (n_spread == n->nargs)
        return n->op == OP_ADD || n->op == OP_SUB || n->op == OP_MUL || n->op == OP_MAX || n->op == OP_MIN;
    for (uint32_t k = 0; k < n->nargs; k++)
        if (op_of(l, n->args[k]) != OP_SPREAD && !is_unit(l, bare(l, n->args[k])) &&
            !is_finite(l, n->args[k]))
            return false;
    return (flags & OPF_LIN0) && (flags & OPF_LIN1);
}

/* maximum(spread(n), 1) is positive though n need not be: seen as by pair when it divides a spread of the
 * same pairs. */
static bool divides_by_pair(const ir_layer *l, ir_val v, ir_val pairs)
{
    if (op_of(l, v) != OP_DIV)
        return false;
    ir_val d = arg_of(l, v, 1);
    double x;
    if (op_of(l, d) != OP_MAX)
        return false;
    for (uint32_t k = 0; k < 2; k++)
        if (ir_is_uniform(l, arg_of(l, d, k), &x) && x > 0) {
            ir_val s = arg_of(l, d, !k);
            if (op_of(l, s) == OP_RESHAPE)
                s = arg_of(l, s, 0);
            return op_of(l, s) == OP_SPREAD && ir_same(arg_of(l, s, 1), pairs);
        }
    return false;
}

/* The operand by pair, its axes after the first; none if it cannot be had. `rank` is the operation's. */
static ir_val operand_by_pair(ir_layer *l, ir_val a, ir_val pairs, uint32_t rank)
{
    const ir_node *n = ir_at(l, a);
    if (n->op == OP_SPREAD && ir_same(n->args[1], pairs) && n->rank == rank)
        return n->args[0];
    if (n->op == OP_RESHAPE && op_of(l, n->args[0]) == OP_SPREAD &&
        ir_same(arg_of(l, n->args[0], 1), pairs) && n->rank == rank &&
        dim_equal(l->dims, n->shape[0], ir_at(l, n->args[0])->shape[0])) {
        ir_shape s = ir_shape_of(l, a), t = {s.rank - 1, {{0}}};        /* axes of 1 put after the first */
        memcpy(t.at, s.at + 1, t.rank * sizeof *t.at);
        return ir_reshape(l, arg_of(l, n->args[0], 0), &t);
    }
    if (n->op == OP_MAX && rank == n->rank) {
        ir_val x = operand_by_pair(l, n->args[0], pairs, rank),
               y = operand_by_pair(l, n->args[1], pairs, rank);
        return ir_is(x) && ir_is(y) ? ir_maximum(l, x, y) : (ir_val){0};
    }
    if (n->rank < rank || dim_is(l->dims, n->shape[0], 1)) {
        if (n->rank == rank)
            a = ir_squeeze(l, a, 0);
        return is_unit(l, a) ? a : ir_gather(l, a, ir_map_first(l, pairs));
    }
    if (op_of(l, bare(l, a)) == OP_CONST)
        return bare(l, a);
    return is_unit(l, a) ? ir_gather(l, ir_rows(l, a), ir_map_second(l, pairs)) : ir_unspread(l, a, pairs);
}

static ir_val map_spread(ir_layer *l, ir_val v)
{
    ir_node like = *ir_at(l, v);
    ir_val pairs = {0}, args[3];
    uint32_t n_spread = 0;
    for (uint32_t k = 0; k < like.nargs; k++) {
        ir_val a = like.args[k];
        if (op_of(l, a) != OP_SPREAD || ir_at(l, a)->rank != like.rank)
            continue;
        pairs = ir_is(pairs) ? pairs : arg_of(l, a, 1);
        if (!ir_same(pairs, arg_of(l, a, 1)) || !dim_equal(l->dims, ir_at(l, a)->shape[0], like.shape[0]))
            return v;
        n_spread++;
    }
    if (!ir_is(pairs) || (!keeps_zeros(l, v, n_spread) && !divides_by_pair(l, v, pairs)))
        return v;
    for (uint32_t k = 0; k < like.nargs; k++) {
        args[k] = operand_by_pair(l, like.args[k], pairs, like.rank);
        if (!ir_is(args[k]))
            return v;
    }
    return ir_spread(l, ir_remake(l, &like, ir_cod(l, pairs), args, like.nargs), pairs);
}

ir_val rule_spread(rewriter *r, ir_val v)
{
    ir_layer *l = r->l;
    if (!ir_is_arith(ir_at(l, v)->type))
        return v;
    switch (ir_ops[op_of(l, v)].cls) {
    case CLS_CONTRACT:
        return as_shape_of(l, contract_spread(l, v), v);
    case CLS_REDUCE:
        return as_shape_of(l, reduce_spread(l, v), v);
    case CLS_EW:
        if (op_of(l, v) == OP_DROPOUT || op_of(l, v) == OP_WHERE)
            return v;
        return as_shape_of(l, map_spread(l, v), v);
    case CLS_LEAF: case CLS_SHAPE: case CLS_GATHER: case CLS_AGG: case CLS_GROUP: case CLS_MAP: case CLS_LOOP:
        return v;
    }
    return v;
}
