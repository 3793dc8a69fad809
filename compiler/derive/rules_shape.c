/* The same elements in another order or place: each has another of its kind for an adjoint. */
#include "compiler/derive/derive_int.h"

void derive_RESHAPE(derivation *d, ir_val y, ir_val dy)
{
    ir_val a = derive_arg(d, y, 0);
    ir_shape s = ir_shape_of(d->l, a);
    derive_add(d, a, ir_reshape(d->l, derive_shaped(d, dy, y), &s));
}

void derive_TRANSPOSE(derivation *d, ir_val y, ir_val dy)
{
    const ir_node *n = ir_at(d->l, y);
    uint8_t back[IR_MAX_RANK] = {0};
    for (uint32_t k = 0; k < n->rank; k++)
        back[n->u.perm[k]] = (uint8_t)k;
    derive_add(d, n->args[0], ir_transpose(d->l, derive_ranked(d, dy, n->rank), back));
}

void derive_BROADCAST(derivation *d, ir_val y, ir_val dy) { derive_add_repeated(d, derive_arg(d, y, 0), dy, y); }

void derive_SLICE(derivation *d, ir_val y, ir_val dy)
{
    const ir_node *n = ir_at(d->l, y);
    derive_add_slice(d, n->args[0], derive_shaped(d, dy, y), n->u.slice.axis, n->u.slice.lo, n->shape[n->u.slice.axis]);
}

void derive_CONCAT(derivation *d, ir_val y, ir_val dy)
{
    ir_layer *l = d->l;
    const ir_node *n = ir_at(l, y);
    const int axis = n->u.axis;
    ir_val g = derive_ranked(d, dy, n->rank);
    const bool same = dim_is(l->dims, ir_at(l, g)->shape[axis], 1);     /* for all along the axis */
    dim at = dim_const(l->dims, 0);
    for (uint32_t k = 0; k < n->nargs; k++) {
        const dim width = ir_at(l, n->args[k])->shape[axis];
        if (derive_wants(d, n->args[k]))
            derive_add_members(d, n->args[k], same ? g : ir_slice(l, g, axis, at, width), n->dom);
        at = dim_add(l->dims, at, width);
    }
}

/* A table that is one for all, looked up by members: summed by index at once, not as a table a member. */
void derive_LOOKUP(derivation *d, ir_val y, ir_val dy)
{
    ir_layer *l = d->l;
    ir_val a = derive_arg(d, y, 0), index = derive_arg(d, y, 1);
    const ir_dom dom = ir_at(l, y)->dom;
    if (!derive_wants(d, a))
        return;
    ir_val g = derive_shaped(d, dy, y);
    if (dom.i && !ir_at(l, a)->dom.i && !ir_at(l, index)->rank) {
        ir_val by = ir_map_index(l, index);
        ir_shape s = ir_shape_of(l, y);
        g = ir_broadcast(l, ir_agg(l, OP_AGG_SUM, g, by), ir_cod(l, by), &s);
        derive_add(d, a, ir_unrows(l, g));
    } else {
        derive_add_members(d, a, ir_unlookup(l, g, index), dom);
    }
}

void derive_UNLOOKUP(derivation *d, ir_val y, ir_val dy)
{
    ir_val index = derive_arg(d, y, 1);
    derive_add_members(d, derive_arg(d, y, 0), ir_lookup(d->l, derive_shaped(d, dy, y), index), ir_at(d->l, y)->dom);
}

void derive_ROWS(derivation *d, ir_val y, ir_val dy)
{
    derive_add(d, derive_arg(d, y, 0), ir_unrows(d->l, derive_full(d, dy, y)));
}

void derive_UNROWS(derivation *d, ir_val y, ir_val dy)
{
    derive_add(d, derive_arg(d, y, 0), ir_rows(d->l, derive_shaped(d, dy, y)));
}

void derive_SPREAD(derivation *d, ir_val y, ir_val dy)
{
    ir_val pairs = derive_arg(d, y, 1);
    derive_add(d, derive_arg(d, y, 0), ir_unspread(d->l, derive_full(d, dy, y), pairs));
}

void derive_UNSPREAD(derivation *d, ir_val y, ir_val dy)
{
    ir_val pairs = derive_arg(d, y, 1);
    derive_add(d, derive_arg(d, y, 0), ir_spread(d->l, derive_shaped(d, dy, y), pairs));
}
