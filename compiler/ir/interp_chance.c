/* Rounding by chance: what machines may make of the same operations.
 *
 * Each result is one of the two numbers of its type around it. And a value that several read is often computed anew for each, in
 * another order, with products contracted elsewhere: so each value is computed twice, with roundings of its own, and
 * what adds or multiplies reads one or the other of each operand. What compares, chooses or moves elements stays with one of the two:
 * a maximum is one of its members there. Leaves are the same for all. */
#include "compiler/ir/interp_int.h"
#include "compiler/ir/scalar.h"

#include <math.h>
#include <stdlib.h>

struct chance {
    uint64_t state;
    uint32_t n;
    interp_array *twin;         /* by value: the second; none for leaves, maps and what belongs to a loop */
    ir_val *swapped; uint32_t n_swapped;        /* of which the second is in the first's place for now */
};

void chance_open(run *x)
{
    if (!x->call->round || !x->call->chance)
        return;
    x->chance = NEW(x->scratch, chance);
    *x->chance = (chance){.state = x->call->chance, .n = x->l->n_nodes, .twin = NEW_N(x->scratch, interp_array, x->l->n_nodes)};
}

void chance_close(chance *c)
{
    for (uint32_t i = 0; c && i < c->n; i++)
        free(c->twin[i].at);
}

static uint64_t draw(chance *c)
{
    uint64_t z = c->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* What f64 makes of a number that f32 holds is taken for exact. */
double chance_keep(chance *c, unsigned type, double value)
{
    uint64_t z = draw(c);
    if (type != T_F64)
        return z & 1 ? ir_round(value, type) : ir_round_other(value, type);
    return (double)(float)value == value || z & 1 ? value : nextafter(value, z & 2 ? INFINITY : -INFINITY);
}

static bool mixes(ir_op op)
{
    return op == OP_ADD || op == OP_SUB || op == OP_MUL || op == OP_MUL0 || op == OP_DIV || op == OP_EINSUM || op == OP_RSUM ||
           op == OP_AGG_SUM || op == OP_AGG_VAR || op == OP_AGG_SOFTSUM;
}

static void swap(run *x, ir_val v)
{
    interp_array one = x->r->values[v.i];
    x->r->values[v.i] = x->chance->twin[v.i];
    x->chance->twin[v.i] = one;
}

void chance_begin(run *x, ir_val v, bool second)
{
    chance *c = x->chance;
    const ir_node *n = node_of(x, v);
    c->swapped = NEW_N(x->scratch, ir_val, n->nargs + 1);
    c->n_swapped = 0;
    for (uint32_t k = 0; k < n->nargs; k++) {
        const ir_val a = n->args[k];
        bool again = false;
        for (uint32_t j = 0; j < c->n_swapped; j++)
            again = again || ir_same(c->swapped[j], a);
        const bool other = mixes((ir_op)n->op) ? draw(c) & 1 : second;
        if (again || !other || !c->twin[a.i].at)
            continue;
        swap(x, a);
        c->swapped[c->n_swapped++] = a;
    }
    if (second) {
        swap(x, v);
        c->swapped[c->n_swapped++] = v;
    }
}

void chance_end(run *x)
{
    for (uint32_t k = 0; k < x->chance->n_swapped; k++)
        swap(x, x->chance->swapped[k]);
}
