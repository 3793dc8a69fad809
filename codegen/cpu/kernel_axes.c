/* Which axis of a nest becomes vectors, and how wide they are: see kernel_nest.h.
 *
 * An axis costs what its lanes would have to gather; the cheapest that the destinations keep is taken, or a
 * reduced one where only that can be read side by side. */
#include "codegen/cpu/kernel_nest.h"

static bool depends(const kgen *g, kx x, uint32_t var)
{
    return g->vars[(size_t)x.i * g->var_words + var / 64] >> (var % 64) & 1;
}

typedef enum {
    STEP_NONE,
    STEP_ONE,
    STEP_OTHER,
    STEP_INDEX
} axis_step; /* how an address moves with a variable */

static axis_step worse(axis_step a, axis_step b) { return a > b ? a : b; }

static axis_step step_of(const kgen *g, kx x, uint32_t var)
{
    if (!kx_is(x) || !depends(g, x, var))
        return STEP_NONE;
    const kexpr *e = &g->p->exprs[x.i];
    int64_t one;
    switch ((kx_op)e->op) {
    case KX_VAR: return STEP_ONE;
    case KX_IADD: {
        axis_step a = step_of(g, e->a, var), b = step_of(g, e->b, var);
        return a == STEP_NONE ? b : b == STEP_NONE ? a : worse(worse(a, b), STEP_OTHER);
    }
    case KX_ISUB: {
        axis_step a = step_of(g, e->a, var), b = step_of(g, e->b, var);
        return b == STEP_NONE ? a : worse(worse(a, b), STEP_OTHER);
    }
    case KX_IMUL:
        if (kx_is_int(g->p, e->b, &one) && one == 1)
            return step_of(g, e->a, var);
        return worse(worse(step_of(g, e->a, var), step_of(g, e->b, var)), STEP_OTHER);
    case KX_IDIV: case KX_IMOD:
        return worse(worse(step_of(g, e->a, var), step_of(g, e->b, var)), STEP_OTHER);
    case KX_ILOAD: case KX_BUCKET: case KX_IDX: case KX_ISEL: return STEP_INDEX;
    case KX_INT: case KX_DIM: case KX_ROW: case KX_MEMBER: case KX_STEP: case KX_NUM: case KX_REALARG:
    case KX_TRAINING: case KX_LOAD: case KX_LOCAL: case KX_OTHER: case KX_FROM_INT: case KX_MAP:
    case KX_SELECT:
    case KX_RANDOM: break;
    }
    return STEP_OTHER;
}

static axis_step dest_step(const kgen *g, const kref *d, uint32_t var)
{
    axis_step s = step_of(g, d->offset, var);
    return d->kind == REF_BUFFER && kx_is(d->row) && depends(g, d->row, var) ? STEP_INDEX : s;
}

/* Loads below x that would need a gather if var ran over the lanes. */
static int gathers(const kgen *g, kx x, uint32_t var, uint8_t *seen)
{
    if (!kx_is(x) || !depends(g, x, var) || seen[x.i])
        return 0;
    seen[x.i] = 1;
    const kexpr *e = &g->p->exprs[x.i];
    int n = gathers(g, e->a, var, seen) + gathers(g, e->b, var, seen) + gathers(g, e->c, var, seen);
    if (e->op == KX_LOAD && (depends(g, e->a, var) || step_of(g, e->b, var) > STEP_ONE))
        n++;
    if ((e->op == KX_LOCAL || e->op == KX_ILOAD || e->op == KX_IDX || e->op == KX_OTHER)
        && step_of(g, e->a, var) > STEP_ONE)
        n++;
    return n;
}

static int gathers_of(kgen *g, const nest *n, uint32_t var)
{
    arena_mark m = arena_get_mark(g->mem);
    uint8_t *seen = NEW_N(g->mem, uint8_t, g->p->n_exprs);
    int count = gathers(g, n->cond, var, seen);
    for (uint32_t i = 0; i < n->n_body; i++) {
        count += gathers(g, n->body[i]->value, var, seen);
        count += dest_step(g, &n->body[i]->dest, var) > STEP_ONE;
    }
    arena_release(g->mem, m);
    return count;
}

static int width_of(kgen *g, const nest *n)
{
    bool wide = false, real = false;
    if (kx_is(n->cond)) {
        wide = g->has[n->cond.i] & HAS_F64;
        real = true;
    }
    for (uint32_t i = 0; i < n->n_body; i++) {
        const knode *s = n->body[i];
        ktype t = s->dest.kind == REF_LOCAL ? g->k->locals[s->dest.id].type : g->p->buffers[s->dest.id].type;
        wide |= t == KT_F64 || (g->has[s->value.i] & HAS_F64);
        real |= t != KT_I64 && t != KT_I32;
    }
    return cpu_target_lanes(g->e->target, wide || !real ? 8 : 4);
}

/* Is there a function below x that takes a chain of many operations? */
static bool costly(const kgen *g, kx x, uint8_t *seen)
{
    enum { CHAIN = 12 };
    if (!kx_is(x) || seen[x.i] || !(g->has[x.i] & HAS_VAR))
        return false;
    seen[x.i] = 1;
    const kexpr *e = &g->p->exprs[x.i];
    return (e->op == KX_MAP && ir_ops[e->map].cost >= CHAIN) || costly(g, e->a, seen) || costly(g, e->b, seen)
           || costly(g, e->c, seen);
}

/* Such chains are bound by their latency: two vectors side by side, as one of twice the lanes, fill the units
 * and share the constants. The code is long, so fewer of them are written one after the other. */
static void widen_costly(kgen *g, nest *n)
{
    enum { COSTLY_UNROLL = 4 };
    arena_mark m = arena_get_mark(g->mem);
    uint8_t *seen = NEW_N(g->mem, uint8_t, g->p->n_exprs);
    bool any = costly(g, n->cond, seen);
    for (uint32_t i = 0; i < n->n_body; i++)
        any |= costly(g, n->body[i]->value, seen);
    arena_release(g->mem, m);
    n->most = any ? COSTLY_UNROLL : KG_UNROLL;
    n->doubled = any && n->width > 1 && 2 * n->width <= KG_LANES;
    if (n->doubled)
        n->width *= 2;
}

static bool through_index(const kgen *g, const nest *n, uint32_t var)
{
    for (uint32_t i = 0; i < n->n_body; i++)
        if (dest_step(g, &n->body[i]->dest, var) == STEP_INDEX)
            return true;
    return false;
}

/* Gives the axes their roles. */
static void give_roles(kgen *g, nest *n)
{
    int best = -1, best_cost = 0, best_reduced = -1, reduced_cost = 0;
    for (int i = n->n - 1; i >= 0; i--) {
        axis *a = &n->at[i];
        a->role = a->reduce ? ROLE_REDUCE : ROLE_OUTER;
        if (!a->reduce && through_index(g, n, a->var))
            continue;
        int cost = 8 * gathers_of(g, n, a->var);
        if (a->extent.is_const && a->extent.value < n->width)
            cost += (int)(8 - 8 * a->extent.value / n->width);
        if (a->reduce && (best_reduced < 0 || cost < reduced_cost)) {
            best_reduced = i;
            reduced_cost = cost;
        } else if (!a->reduce && (best < 0 || cost < best_cost)) {
            best = i;
            best_cost = cost;
        }
    }
    if (best < 0 && best_reduced < 0)
        return;
    if (best < 0 || (best_reduced >= 0 && reduced_cost + 4 < best_cost)) {
        n->by_lane = true;
        n->at[best_reduced].role = ROLE_VECTOR;
        return;
    }
    n->at[best].role = ROLE_VECTOR;
    /* known sizes: the axes inside of it and around it join, as long as the points stay few */
    if (!n->at[best].extent.is_const)
        return;
    int64_t total = n->at[best].extent.value, most = (int64_t)n->most * n->width;
    for (int pass = 0; pass < 2; pass++)
        for (int i = pass ? best - 1 : best + 1; pass ? i >= 0 : i < n->n; i += pass ? -1 : 1) {
            axis *a = &n->at[i];
            if (a->role != ROLE_OUTER)
                continue;
            if (!a->extent.is_const || a->extent.value > most / total || through_index(g, n, a->var))
                break;
            a->role = ROLE_VECTOR;
            total *= a->extent.value;
        }
}

void kg_choose_axes(kgen *g, nest *n)
{
    n->width = width_of(g, n);
    widen_costly(g, n);
    give_roles(g, n);
}
