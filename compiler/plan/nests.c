/* Loops around statements: variables of the axes of values, and statements of equal loops in one of them. */
#include "compiler/plan/planner.h"

#include <string.h>

/* One variable for each way of standing in a nest (depth, loops outside, extent), so that equal nests have
 * equal expressions and can be merged. */
static kx var_of(body *b, uint32_t depth, uint32_t parent, kdim extent, bool reduce, uint32_t *id)
{
    for (uint32_t i = 0; i < b->vars.n; i++) {
        loop_var *q = &b->vars.at[i];
        if (q->depth == depth && q->parent == parent && q->reduce == reduce && kdim_same(q->extent, extent)) {
            *id = q->var;
            return kx_var(b->p, q->var);
        }
    }
    *id = kkernel_new_var(&b->k);
    vec_push(b->pl->mem, &b->vars, (loop_var){depth, parent, *id, extent, reduce});
    return kx_var(b->p, *id);
}

void nest_add(body *b, nest *n, dim extent, bool reduce, kx *idx)
{
    if (dim_is(b->pl->l->dims, extent, 1)) {
        *idx = kx_int(b->p, 0);
        return;
    }
    uint32_t parent = n->n ? n->loops[n->n - 1].var + 1 : 0, id;
    kdim e = kdim_of(b->p, extent);
    *idx = var_of(b, n->n, parent, e, reduce, &id);
    n->loops[n->n++] = (kloop){.var = id, .extent = e, .reduce = reduce};
}

void nest_shape(body *b, nest *n, ir_val v)
{
    const ir_node *x = at_of(b->pl, v);
    n->n = 0;
    for (int k = 0; k < x->rank; k++)
        nest_add(b, n, x->shape[k], false, &n->idx[k]);
}

/* Does x read the local otherwise than at `offset`? Says yes when the expression is too large to look through. */
static bool reads_elsewhere(const kplan *p, kx x, uint32_t local, kx offset, int *budget)
{
    if (!kx_is(x))
        return false;
    if (--*budget < 0)
        return true;
    const kexpr *e = kx_at(p, x);
    if ((e->op == KX_LOCAL || e->op == KX_IDX) && e->local == local)
        return !kx_is(offset) || !kx_same(e->a, offset);
    return reads_elsewhere(p, e->a, local, offset, budget) || reads_elsewhere(p, e->b, local, offset, budget) ||
           reads_elsewhere(p, e->c, local, offset, budget);
}

static bool same_loops(const knode *f, const nest *n)
{
    if (f->kind != KN_FOR || f->n_loops != n->n)
        return false;
    for (uint32_t i = 0; i < n->n; i++)
        if (f->loops[i].var != n->loops[i].var || f->loops[i].reduce != n->loops[i].reduce)
            return false;
    return true;
}

/* May the statement join the others of the loop? Each of its iterations may read only what the same iteration wrote. */
static bool may_join(const kplan *p, const knode *f, const knode *s)
{
    bool reduce = false;
    for (uint32_t i = 0; i < f->n_loops; i++)
        reduce |= f->loops[i].reduce;
    for (uint32_t i = 0; i < f->n_body; i++) {
        const knode *q = f->body[i];
        int budget = 400;
        if (q->kind != KN_STORE && q->kind != KN_ACCUM)
            return false;
        if (q->dest.kind == REF_LOCAL && reads_elsewhere(p, s->value, q->dest.id, reduce ? (kx){0} : q->dest.offset, &budget))
            return false;
        if (s->dest.kind == REF_LOCAL && reads_elsewhere(p, q->value, s->dest.id, (kx){0}, &budget))
            return false;
        /* parts of one value stand beside each other, but what is added up at a place of its own wants all of it begun */
        if ((q->kind == KN_ACCUM || s->kind == KN_ACCUM) && q->dest.kind == s->dest.kind && q->dest.id == s->dest.id &&
            !kx_same(q->dest.offset, s->dest.offset))
            return false;
    }
    return f->n_body < 16;
}

void put(body *b, nodes *list, const nest *n, knode *s)
{
    arena *mem = b->pl->mem;
    if (n->n == 0) {
        vec_push(mem, list, s);
        return;
    }
    if (list->n && same_loops(vec_last(list), n) && may_join(b->p, vec_last(list), s)) {
        knode *f = vec_last(list);
        knode **body_ = NEW_N(mem, knode *, f->n_body + 1);
        memcpy(body_, f->body, f->n_body * sizeof *body_);
        body_[f->n_body++] = s;
        f->body = body_;
        return;
    }
    vec_push(mem, list, kn_for1(b->p, n->loops, n->n, s));
}
