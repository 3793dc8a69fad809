/* The walk backwards: which values matter, in which order, and the sums of what flows to them.
 *
 * Operands stand before what is made of them, so a walk over falling indices meets a value when all that reads it has been
 * met: no recursion, no order to compute. A loop is met once, after the first of its finals: before it stand the finals
 * of its other states, and everything that it reads stands after. */
#include "compiler/derive/derive_int.h"

#include <math.h>
#include <string.h>

/* ---- contributions ---- */

/* Which branch of a where, 1 or 2, is 0; 0 if v is none such. */
static uint32_t empty_branch(const ir_layer *l, ir_val v)
{
    double x;
    for (uint32_t k = 1; ir_at(l, v)->op == OP_WHERE && k <= 2; k++)
        if (ir_is_uniform(l, ir_at(l, v)->args[k], &x) && x == 0)
            return k;
    return 0;
}

static ir_val where_like(ir_layer *l, ir_val cond, uint32_t empty, ir_val x, ir_val other)
{
    return empty == 1 ? ir_where(l, cond, other, x) : ir_where(l, cond, x, other);
}

/* What flows through both branches of one choice is one choice: where(c, a, 0) + where(c, 0, b) = where(c, a, b). */
static ir_val sum_of(ir_layer *l, ir_val a, ir_val b)
{
    const uint32_t m = empty_branch(l, a), n = empty_branch(l, b);
    if (!m || !n || !ir_same(ir_at(l, a)->args[0], ir_at(l, b)->args[0]))
        return ir_add(l, a, b);
    ir_val cond = ir_at(l, a)->args[0], x = ir_at(l, a)->args[3 - m], y = ir_at(l, b)->args[3 - n];
    return m == n ? where_like(l, cond, m, ir_add(l, x, y), ir_at(l, a)->args[m]) : where_like(l, cond, m, x, y);
}

void derive_add(derivation *d, ir_val v, ir_val g)
{
    if (!derive_wants(d, v))
        return;
    d->cot[v.i] = ir_is(d->cot[v.i]) ? sum_of(d->l, d->cot[v.i], g) : g;
}

void derive_add_members(derivation *d, ir_val v, ir_val g, ir_dom dom)
{
    ir_layer *l = d->l;
    if (!derive_wants(d, v))
        return;
    if (dom.i && !ir_at(l, v)->dom.i) {
        ir_val unit = ir_map_unit(l, dom);
        g = ir_at(l, g)->dom.i ? ir_agg(l, OP_AGG_SUM, g, unit) : ir_mul(l, g, ir_count(l, derive_type(l, g), unit));
    }
    derive_add(d, v, g);
}

void derive_add_repeated(derivation *d, ir_val v, ir_val g, ir_val y)
{
    ir_layer *l = d->l;
    if (!derive_wants(d, v))
        return;
    ir_shape from = ir_shape_of(l, y), to = ir_shape_of(l, v), own = ir_shape_of(l, g);
    ir_shape kept = {.rank = to.rank};
    const int lead = (int)from.rank - (int)to.rank, lack = (int)from.rank - (int)own.rank;
    dim times = dim_const(l->dims, 1);
    bool reshaped = own.rank > to.rank;
    for (int k = (int)from.rank - 1; k >= 0; k--) {
        const bool there = k >= lack && !dim_is(l->dims, own.at[k - lack], 1);
        const bool repeated = (k < lead || dim_is(l->dims, to.at[k - lead], 1)) && !dim_is(l->dims, from.at[k], 1);
        if (k >= lead)
            kept.at[k - lead] = there && !repeated ? own.at[k - lack] : dim_const(l->dims, 1);
        if (!repeated)
            continue;
        if (there) {
            g = ir_reduce(l, OP_RSUM, g, k - lack);
            reshaped = true;
        } else {
            times = dim_mul(l->dims, times, from.at[k]);
        }
    }
    if (reshaped)
        g = ir_reshape(l, g, &kept);
    if (!dim_is(l->dims, times, 1))
        g = ir_mul(l, g, ir_dimval(l, derive_type(l, g), times));
    derive_add_members(d, v, g, ir_at(l, y)->dom);
}

/* ---- contributions to ranges ---- */

void derive_add_slice(derivation *d, ir_val v, ir_val g, int32_t axis, dim lo, dim len)
{
    if (!derive_wants(d, v))
        return;
    slice_part *p = NEW(d->work, slice_part);
    *p = (slice_part){.next = d->parts[v.i], .g = g, .axis = axis, .lo = lo, .len = len};
    d->parts[v.i] = p;
}

static ir_val zeros(derivation *d, ir_val g, int32_t axis, dim width)
{
    ir_shape s = ir_shape_of(d->l, g);
    s.at[axis] = width;
    return ir_broadcast(d->l, derive_zero(d, g), ir_at(d->l, g)->dom, &s);
}

/* The part that begins at `lo` of the axis, taken out of the list; NULL when there is none. */
static slice_part *take_part(const ir_layer *l, slice_part **list, int32_t axis, dim lo)
{
    for (slice_part **p = list; *p; p = &(*p)->next) {
        if ((*p)->axis == axis && dim_equal(l->dims, (*p)->lo, lo)) {
            slice_part *found = *p;
            *p = found->next;
            return found;
        }
    }
    return NULL;
}

/* The parts of v side by side, as far as they follow each other, and zeros around them. */
static void add_parts(derivation *d, ir_val v)
{
    ir_layer *l = d->l;
    while (d->parts[v.i]) {
        slice_part *first = d->parts[v.i], *p;
        const int32_t axis = first->axis;
        const dim width = ir_at(l, v)->shape[axis];
        VEC(ir_val) row = {0};
        dim at = dim_const(l->dims, 0);
        if (!(p = take_part(l, &d->parts[v.i], axis, at))) {
            p = first;
            d->parts[v.i] = first->next;
            ir_val before = zeros(d, p->g, axis, p->lo);
            vec_push(d->work, &row, before);
            at = p->lo;
        }
        for (; p; p = take_part(l, &d->parts[v.i], axis, at)) {
            vec_push(d->work, &row, p->g);
            at = dim_add(l->dims, at, p->len);
        }
        dim rest = dim_sub(l->dims, width, at);
        if (!dim_is(l->dims, rest, 0)) {
            ir_val after = zeros(d, row.at[0], axis, rest);
            vec_push(d->work, &row, after);
        }
        derive_add(d, v, ir_concat(l, row.at, row.n, axis));
    }
}

/* ---- helpers of the rules ---- */

ir_val derive_full(derivation *d, ir_val g, ir_val like)
{
    ir_shape s = ir_shape_of(d->l, like);
    return ir_broadcast(d->l, g, ir_at(d->l, like)->dom, &s);
}

ir_val derive_shaped(derivation *d, ir_val g, ir_val like)
{
    ir_shape s = ir_shape_of(d->l, like);
    return ir_broadcast(d->l, g, ir_at(d->l, g)->dom, &s);
}

ir_val derive_ranked(derivation *d, ir_val g, uint32_t rank)
{
    ir_shape own = ir_shape_of(d->l, g), s = {.rank = rank};
    if (own.rank == rank)
        return g;
    for (uint32_t k = 0; k < rank; k++)
        s.at[k] = k < rank - own.rank ? dim_const(d->l->dims, 1) : own.at[k - (rank - own.rank)];
    return ir_reshape(d->l, g, &s);
}

static ir_val times(ir_layer *l, ir_val dy, ir_val factor, bool wild)
{
    double c;
    if (wild && !(ir_is_uniform(l, factor, &c) && isfinite(c)))
        return ir_ew2(l, OP_MUL0, dy, factor);
    return ir_mul(l, dy, factor);
}

ir_val derive_times(derivation *d, ir_val dy, ir_val factor, bool wild)
{
    ir_layer *l = d->l;
    const uint32_t empty = empty_branch(l, dy);
    if (empty) {                    /* within the choice, so that it can join others */
        const ir_val cond = ir_at(l, dy)->args[0], zero = ir_at(l, dy)->args[empty];
        return where_like(l, cond, empty, times(l, ir_at(l, dy)->args[3 - empty], factor, wild), zero);
    }
    return times(l, dy, factor, wild);
}

/* What was there before the walk is the forward's, or a cotangent that is given: those have all their members. */
static bool lacks(const derivation *d, ir_val v) { return v.i >= d->n && d->lacks.at[v.i - d->n]; }

static bool some_lack(const derivation *d, const ir_node *n, bool all)
{
    for (uint32_t k = 0; k < n->nargs; k++)
        if (lacks(d, n->args[k]) != all)
            return !all;
    return all && n->nargs;
}

static bool value_lacks(const derivation *d, ir_val v)
{
    const ir_node *n = ir_at(d->l, v);
    switch (ir_ops[n->op].cls) {
    case CLS_LEAF: case CLS_MAP: return false;
    case CLS_CONTRACT: case CLS_REDUCE: return some_lack(d, n, false);
    case CLS_EW:
        if (n->op == OP_WHERE && empty_branch(d->l, v))
            return true;
        return some_lack(d, n, n->op == OP_ADD || n->op == OP_SUB);
    case CLS_GATHER: return lacks(d, n->args[0]) || !ir_map_total(d->l, n->args[1]);
    case CLS_SHAPE:
        return some_lack(d, n, n->op == OP_CONCAT) || n->op == OP_LOOKUP || n->op == OP_ONEHOT_ADD || n->op == OP_SPREAD;
    case CLS_AGG: case CLS_GROUP: return n->dom.i || some_lack(d, n, false);
    case CLS_LOOP: break;
    }
    return true;
}

bool derive_lacks(derivation *d, ir_val dy)
{
    while (d->n + d->lacks.n < d->l->n_nodes) {
        const uint8_t one = value_lacks(d, (ir_val){d->n + d->lacks.n});
        vec_push(d->work, &d->lacks, one);
    }
    return lacks(d, dy);
}

ir_val derive_zero(derivation *d, ir_val like) { return ir_const(d->l, derive_type(d->l, like), 0); }

/* ---- the walk ---- */

typedef struct loop_finals { ir_val *of; uint32_t first; } loop_finals;     /* by state; the least index of all */

typedef struct walk {
    derivation d;
    loop_finals *loops;
    const uint8_t *cut;             /* by value, or NULL: nothing flows on from here */
} walk;

/* Does a loop carry anything of what is wanted from outside to its finals? */
static bool loop_active(const derivation *d, const ir_loop *p)
{
    for (uint32_t k = 0; k < p->nstates; k++)
        if (d->active[p->states[k].init.i] || d->active[p->states[k].next.i])
            return true;
    return false;
}

static void note_final(walk *w, ir_val v)
{
    const ir_node *n = ir_at(w->d.l, v);
    loop_finals *f = &w->loops[n->u.loop.loop];
    if (!f->of)
        f->of = NEW_N(w->d.work, ir_val, w->d.l->loops[n->u.loop.loop].nstates);
    if (n->op == OP_FINAL)
        f->of[n->u.loop.state] = v;
    if (!f->first)
        f->first = v.i;
}

/* From the first wanted value on: floating values that depend on a wanted one in a way that has a derivative. */
static void find_active(walk *w, uint32_t from)
{
    derivation *d = &w->d;
    for (uint32_t i = from; i < d->n; i++) {
        const ir_node *n = &d->l->nodes[i];
        if (!ir_is_float(n->type) || (w->cut && w->cut[i]))
            continue;
        if (n->op == OP_FINAL || n->op == OP_RECORD) {
            if (loop_active(d, &d->l->loops[n->u.loop.loop]) || (n->op == OP_RECORD && d->active[n->args[0].i])) {
                d->active[i] = 1;
                note_final(w, (ir_val){i});
            }
        } else if (derive_rules[n->op] && !d->active[i]) {
            for (uint32_t k = 0; k < n->nargs && !d->active[i]; k++)
                d->active[i] = d->active[n->args[k].i];
        }
    }
}

static void leave_loop(walk *w, uint32_t loop)
{
    derivation *d = &w->d;
    const uint32_t n = d->l->loops[loop].nstates;
    ir_val *dfinal = NEW_N(d->work, ir_val, n);
    bool any = false;
    for (uint32_t k = 0; k < n; k++) {
        dfinal[k] = d->cot[w->loops[loop].of[k].i];
        any = any || ir_is(dfinal[k]);
    }
    for (uint32_t i = w->loops[loop].first; i < d->n; i++)
        any = any || (d->sequences[i] && ir_at(d->l, (ir_val){i})->u.loop.loop == loop);
    if (any)
        derive_loop(d, loop, dfinal);
}

static void go_back(walk *w, uint32_t from)
{
    derivation *d = &w->d;
    const span before = d->l->builder->where;
    for (uint32_t i = d->n; i-- > from;) {
        const ir_val v = {i};
        const ir_op op = derive_op(d, v);
        if (!d->active[i])
            continue;
        if (d->parts[i])
            add_parts(d, v);
        if (w->cut && w->cut[i])
            continue;
        ir_set_where(d->l, ir_at(d->l, v)->where);
        if (op == OP_FINAL || op == OP_RECORD) {
            const uint32_t loop = ir_at(d->l, v)->u.loop.loop;
            if (w->loops[loop].first == i)
                leave_loop(w, loop);
        } else if (ir_is(d->cot[i]) && derive_rules[op]) {
            derive_rules[op](d, v, d->cot[i]);
        }
    }
    ir_set_where(d->l, before);
}

/* The sum in full, with the type of the value. */
static ir_val whole(derivation *d, ir_val v)
{
    ir_val g = ir_is(d->cot[v.i]) ? d->cot[v.i] : derive_zero(d, v);
    return ir_cast(d->l, derive_full(d, g, v), (ir_type)ir_at(d->l, v)->type);
}

static void run(ir_layer *l, arena *work, const derive_seed *seeds, uint32_t n_seeds, const ir_val *wanted, uint32_t n_wanted,
                bool cut, ir_val *grads)
{
    walk w = {.d = {.l = l, .work = work, .n = 1}};
    derivation *d = &w.d;
    uint32_t from = UINT32_MAX;
    for (uint32_t k = 0; k < n_seeds; k++)
        d->n = seeds[k].y.i >= d->n ? seeds[k].y.i + 1 : d->n;
    for (uint32_t k = 0; k < n_wanted; k++) {
        if (!wanted[k].i || wanted[k].i >= l->n_nodes || !ir_is_float(ir_at(l, wanted[k])->type))
            ir_bug(l, "derive: %%%u is no floating value", wanted[k].i);
        d->n = wanted[k].i >= d->n ? wanted[k].i + 1 : d->n;
        from = wanted[k].i < from ? wanted[k].i : from;
    }
    d->active = NEW_N(work, uint8_t, d->n);
    d->cot = NEW_N(work, ir_val, d->n);
    d->parts = NEW_N(work, slice_part *, d->n);
    d->sequences = NEW_N(work, sequence_part *, d->n);
    d->wild = wild_find(l, d->n, work);
    w.loops = NEW_N(work, loop_finals, l->n_loops + 1);
    for (uint32_t k = 0; k < n_wanted; k++)
        d->active[wanted[k].i] = 1;
    d->wanted = arena_copy(work, d->active, d->n);
    if (cut)
        w.cut = d->wanted;
    find_active(&w, from);
    for (uint32_t k = 0; k < n_seeds; k++)
        derive_add(d, seeds[k].y, ir_cast(l, seeds[k].dy, derive_type(l, seeds[k].y)));
    go_back(&w, from);
    for (uint32_t k = 0; k < n_wanted; k++)
        grads[k] = whole(d, wanted[k]);
}

void derive(ir_layer *l, arena *work, const derive_seed *seeds, uint32_t n_seeds, const ir_val *wanted, uint32_t n_wanted,
            ir_val *grads)
{
    run(l, work, seeds, n_seeds, wanted, n_wanted, false, grads);
}

void derive_partial(ir_layer *l, arena *work, const derive_seed *seeds, uint32_t n_seeds, const ir_val *wanted,
                    uint32_t n_wanted, ir_val *grads)
{
    run(l, work, seeds, n_seeds, wanted, n_wanted, true, grads);
}
