/*
 * grad(y, x): reverse mode on what was lowered so far, with a cotangent of 1.
 *
 * A definition that somewhere stands as x is a value of its own (ir_variable), whatever equals it: so y's dependence on
 * the name is what counts, and what x itself is made of gets nothing. These values are gone once the layer is done.
 */
#include "compiler/derive/derive.h"
#include "compiler/lower/lower_int.h"

enum { VARIABLES_FROM = 0x40000000 };            /* places that no dropout has */

lowered lower_variable(lowering *L, const frame *f, const sem_sym *s, lowered x)
{
    if (!s->by_grad) return x;
    const uint64_t key = hash_combine(hash_u64(f->id + 1), map_key(s));
    uint64_t *known = map_get(&L->variables, key);
    if (known) return (lowered){(ir_val){(uint32_t)*known}, x.deg};
    ir_shape shape;
    if (!env_shape(L, f->e, &s->type.shape, s->where, &shape)) return x;
    ir_val v = in_domain(L, x.v, dom_for(L, s->dom));
    v = ir_broadcast(L->l, v, ir_at(L->l, v)->dom, &shape);
    v = ir_variable(L->l, v, VARIABLES_FROM + L->n_variables++);
    map_put(&L->variables, key, v.i);
    return (lowered){v, x.deg};
}

lowered lower_grad(lowering *L, lowered y, lowered x)
{
    ir_layer *l = L->l;
    if (y.deg) y = at_dst(L, y);                 /* its rows are those of the destinations */
    const arena_mark m = arena_get_mark(L->work);
    ir_val g;
    derive(l, L->work, &(derive_seed){y.v, ir_like(l, y.v, 1)}, 1, &x.v, 1, &g);
    arena_release(L->work, m);
    return (lowered){g, x.deg};
}
