/* Loops over feature axes: which loop becomes vectors, how the rest is cut. See kernel_nest.h.
 *
 * Vectors run over the axes that the destinations keep. Where the sizes are known and small the innermost of
 * these axes together are one range, cut into points (kernel_gen.h) that are written one after the other;
 * otherwise one axis is a loop of vectors with a masked rest. A reduction keeps its sums in registers, one
 * chain for each element; where only a reduced axis can be read side by side, sums are kept by lane and
 * combined at the end by halves. */
#include "codegen/cpu/kernel_nest.h"

LLVMValueRef kg_extent(kgen *g, kdim d) { return kg_int1(g, kg_dim(g, d)); }

/* ---- vectors ------------------------------------------------------------------------------------------- */

typedef struct vector_state { int lanes, active; LLVMValueRef tail; uint32_t point; } vector_state;

static vector_state vector_begin(kgen *g, int lanes, int active, LLVMValueRef tail)
{
    vector_state old = {g->lanes, g->active, g->tail, g->point};
    g->lanes = lanes;
    g->active = active;
    g->tail = tail;
    return old;
}

static void vector_end(kgen *g, vector_state old)
{
    g->lanes = old.lanes;
    g->active = old.active;
    g->tail = old.tail;
    g->point = old.point;
}

static int power_at_least(int64_t n)
{
    int p = 1;
    while (p < n)
        p *= 2;
    return p;
}

int64_t kg_nest_total(const nest *n)
{
    int64_t total = 1;
    for (int i = 0; i < n->n; i++)
        if (n->at[i].role == ROLE_VECTOR) {
            if (!n->at[i].extent.is_const)
                return -1;
            total *= n->at[i].extent.value;
        }
    return total;
}

/* Vectors of that range; the last may be cut. */
static int vectors_of(const nest *n)
{
    return (int)((kg_nest_total(n) + n->width - 1) / n->width);
}

uint32_t kg_new_points(kgen *g, int count)
{
    g->points += (uint32_t)count;
    return g->points - (uint32_t)count + 1;
}

void kg_points(kgen *g, nest *n, part what, uint32_t base, int64_t total, int first, int count)
{
    for (int c = first; c < first + count; c++) {
        int64_t from = (int64_t)c * n->width, left = total - from;
        int lanes = left >= n->width ? n->width : power_at_least(left),
            active = left < lanes ? (int)left : lanes;
        vector_state old = vector_begin(g, lanes, active, NULL);
        g->tail = active < lanes ? emit_mask_below(g->e, lanes, emit_i64(g->e, active)) : NULL;
        kbind saved[MOST_LOOPS];
        int64_t inner = 1;
        for (int i = n->n - 1; i >= 0; i--) {
            const axis *a = &n->at[i];
            if (a->role != ROLE_VECTOR)
                continue;
            int64_t at[KG_LANES];
            bool outermost = true;
            for (int j = 0; j < i; j++)
                outermost &= n->at[j].role != ROLE_VECTOR;
            for (int l = 0; l < lanes; l++)
                at[l] = outermost ? (from + l) / inner : (from + l) / inner % a->extent.value;
            saved[i] = kg_bind(g, &g->var[a->var], kg_lanes(g, NULL, 0, at), true);
            inner *= a->extent.value;
        }
        g->point = base + (uint32_t)c;
        kg_part(g, n, what, c - first);
        for (int i = 0; i < n->n; i++)
            if (n->at[i].role == ROLE_VECTOR)
                kg_unbind(g, &g->var[n->at[i].var], saved[i]);
        vector_end(g, old);
    }
}

/* One vector of the axis that starts at `from`, of which `count` lanes count (NULL: all). */
static void one_vector(kgen *g, nest *n, const axis *a, LLVMValueRef from, int64_t align, int lanes,
                       LLVMValueRef count, void (*each)(kgen *, nest *), bool inline_)
{
    LLVMValueRef tail = count ? emit_mask_below(g->e, lanes, count) : NULL;
    int active = lanes;
    if (count && LLVMIsAConstantInt(count))
        active = (int)LLVMConstIntGetSExtValue(count);
    vector_state old = vector_begin(g, lanes, active, tail);
    kg_push(g, inline_);
    int64_t at[KG_LANES];
    for (int l = 0; l < lanes; l++)
        at[l] = l;
    kbind saved = kg_bind(g, &g->var[a->var], kg_lanes(g, from, align, at), false);
    g->point = ++g->points;
    each(g, n);
    kg_unbind(g, &g->var[a->var], saved);
    kg_pop(g);
    vector_end(g, old);
}

/* A loop of vectors over one axis, and the rest: masked where the machine has masks or the rest is known.
 * Where a vector stands for two of the machine's, a rest of one of them is not made into two. */
static void vector_loop(kgen *g, nest *n, const axis *a, void (*each)(kgen *, nest *))
{
    LLVMValueRef extent = kg_extent(g, a->extent), zero = emit_i64(g->e, 0), whole;
    int64_t known = a->extent.is_const ? a->extent.value : -1;
    int width = n->width;
    if (known >= 0)
        whole = emit_i64(g->e, known / width * width);
    else
        whole = emit_and(g->e, extent, emit_i64(g->e, -(int64_t)width));
    if (known < 0 || known >= width) {
        emit_loop l = emit_for_begin(g->e, zero, whole, width);
        one_vector(g, n, a, l.i, width, width, NULL, each, false);
        emit_for_end(g->e, &l);
    }
    if (known >= 0) {
        int64_t left = known % width;
        if (left)
            one_vector(g, n, a, whole, width, power_at_least(left), emit_i64(g->e, left), each, false);
        return;
    }
    if (n->doubled) {
        width /= 2;
        LLVMValueRef more = emit_and(g->e, extent, emit_i64(g->e, -(int64_t)width));
        emit_if c = emit_if_begin(g->e, emit_cmp(g->e, CMP_LT, whole, more));
        one_vector(g, n, a, whole, width, width, NULL, each, false);
        emit_if_end(g->e, &c);
        whole = more;
    }
    if (width > 1 && g->e->target->has_mask) {
        LLVMValueRef left = emit_sub(g->e, extent, whole);
        emit_if c = emit_if_begin(g->e, emit_cmp(g->e, CMP_GT, left, zero));
        one_vector(g, n, a, whole, width, width, left, each, false);
        emit_if_end(g->e, &c);
    } else if (width > 1) {
        emit_loop l = emit_for_begin(g->e, whole, extent, 1);
        one_vector(g, n, a, l.i, 1, 1, NULL, each, false);
        emit_for_end(g->e, &l);
    }
}

/* ---- the loops around ---------------------------------------------------------------------------------- */

static void around(kgen *g, nest *n, role r, int i, void (*inside)(kgen *, nest *));

static void around_next(kgen *g, nest *n, role r, int i, LLVMValueRef at, void (*inside)(kgen *, nest *))
{
    kg_push(g, false);
    kbind saved = kg_bind(g, &g->var[n->at[i].var], kg_scalar(at), false);
    around(g, n, r, i + 1, inside);
    kg_unbind(g, &g->var[n->at[i].var], saved);
    kg_pop(g);
}

/* The loops of a role from number i on, then what is inside. */
static void around(kgen *g, nest *n, role r, int i, void (*inside)(kgen *, nest *))
{
    while (i < n->n && n->at[i].role != r)
        i++;
    if (i == n->n) {
        inside(g, n);
        return;
    }
    const axis *a = &n->at[i];
    int64_t room = n->by_lane && r == ROLE_OUTER ? KG_UNROLL : 4;
    if (a->extent.is_const && a->extent.value * n->unrolled <= room) {
        n->unrolled *= a->extent.value;
        uint32_t point = g->point;
        for (int64_t k = 0; k < a->extent.value; k++) {
            kbind saved = kg_bind(g, &g->var[a->var], kg_const(k), true);
            g->point = ++g->points;
            around(g, n, r, i + 1, inside);
            kg_unbind(g, &g->var[a->var], saved);
        }
        g->point = point;
        n->unrolled /= a->extent.value;
        return;
    }
    emit_loop l = emit_for_begin(g->e, emit_i64(g->e, 0), kg_extent(g, a->extent), 1);
    around_next(g, n, r, i, l.i, inside);
    emit_for_end(g->e, &l);
}

static void step_vector(kgen *g, nest *n) { kg_part(g, n, PART_STEP, 0); }
static void all_vector(kgen *g, nest *n) { kg_part(g, n, PART_ALL, 0); }

static const axis *vector_axis(const nest *n)
{
    for (int i = 0; i < n->n; i++)
        if (n->at[i].role == ROLE_VECTOR)
            return &n->at[i];
    return NULL;
}

static void flight_step(kgen *g, nest *n)
{
    uint32_t base = kg_new_points(g, vectors_of(n));
    kg_points(g, n, PART_STEP, base, kg_nest_total(n), n->points >> 8, n->points & 255);
}

static void sums_of_points(kgen *g, nest *n)
{
    int64_t total = kg_nest_total(n);
    int all = vectors_of(n), most = g->e->target->vector_registers / 2;
    int at_once = most / (int)(n->n_body ? n->n_body : 1);
    at_once = at_once < 1 ? 1 : at_once > KG_UNROLL ? KG_UNROLL : at_once;
    uint32_t base = kg_new_points(g, all);
    for (int first = 0; first < all; first += at_once) {
        int count = all - first < at_once ? all - first : at_once;
        kg_points(g, n, PART_BEGIN, base, total, first, count);
        n->points = first << 8 | count;
        around(g, n, ROLE_REDUCE, 0, flight_step);
        kg_points(g, n, PART_END, base, total, first, count);
    }
}

static void sums_of_vector(kgen *g, nest *n)            /* one vector of a loop over an axis that is kept */
{
    kg_part(g, n, PART_BEGIN, 0);
    around(g, n, ROLE_REDUCE, 0, step_vector);
    kg_part(g, n, PART_END, 0);
}

static void lanes_inside(kgen *g, nest *n)
{
    int64_t total = kg_nest_total(n);
    if (total >= 0 && total <= (int64_t)n->most * n->width) {
        for (int c = 0; c < vectors_of(n); c++) {
            uint32_t base = kg_new_points(g, 1) - (uint32_t)c;
            n->points = 0;
            kg_points(g, n, PART_STEP, base, total, c, 1);
        }
    } else {
        vector_loop(g, n, vector_axis(n), step_vector);
    }
}

static void sums_by_lane(kgen *g, nest *n)
{
    int64_t total = kg_nest_total(n);
    int lanes = total >= 0 && total < n->width ? power_at_least(total) : n->width;
    vector_state old = vector_begin(g, lanes, lanes, NULL);
    kg_part(g, n, PART_BEGIN, 0);
    vector_end(g, old);
    around(g, n, ROLE_REDUCE, 0, lanes_inside);
    kg_part(g, n, PART_END, 0);
}

static void inside_outer(kgen *g, nest *n)
{
    const axis *a = vector_axis(n);
    int64_t total = kg_nest_total(n);
    bool known = total >= 0 && total <= (int64_t)n->most * n->width;
    if (n->by_lane) {
        sums_by_lane(g, n);
    } else if (!a || known) {
        if (n->sums) {
            sums_of_points(g, n);
        } else {
            int all = vectors_of(n);
            kg_points(g, n, PART_ALL, kg_new_points(g, all), total, 0, all);
        }
    } else {
        vector_loop(g, n, a, n->sums ? sums_of_vector : all_vector);
    }
}

static bool nest_open(kgen *g, nest *n, const knode *k)
{
    bool empty = false;
    n->unrolled = 1;
    for (uint32_t i = 0; i < k->n_loops; i++) {
        const kloop *l = &k->loops[i];
        empty |= kdim_is(l->extent, 0);
        if (kdim_is(l->extent, 1)) {
            g->var[l->var] = (kbind){.value = kg_const(0), .bound = true};
            g->epoch++;
            continue;
        }
        n->at[n->n++] = (axis){.var = l->var, .extent = l->extent, .reduce = l->reduce};
        n->sums |= l->reduce;
    }
    kg_choose_axes(g, n);
    return !empty;
}

/* The vectors of the strip; they keep their numbers, so that nests of one strip share what they load. */
static void strip_points(kgen *g, nest *n)
{
    const kstrip *s = g->strip;
    for (int c = 0; c < s->count; c++) {
        vector_state old = vector_begin(g, s->width, s->width, s->mask[c]);
        int64_t at[KG_LANES];
        for (int l = 0; l < s->width; l++)
            at[l] = (int64_t)c * s->width + l;
        kbind *var = &g->var[n->at[0].var];
        kbind saved = kg_bind(g, var, kg_lanes(g, s->base, s->width, at), true);
        var->depth = s->depth;
        g->point = s->point + (uint32_t)c;
        kg_part(g, n, PART_ALL, 0);
        kg_unbind(g, var, saved);
        vector_end(g, old);
    }
}

void kg_for(kgen *g, const knode *k)
{
    /* statements in groups that the table of sums has room for */
    for (uint32_t from = 0; from < k->n_body; from += MOST_STATEMENTS) {
        uint32_t count = k->n_body - from < MOST_STATEMENTS ? k->n_body - from : MOST_STATEMENTS;
        nest *n = NEW(g->mem, nest);
        n->body = k->body + from;
        n->n_body = count;
        if (!nest_open(g, n, k))
            continue;
        int segments = kg_segment_vectors(n);
        if (g->strip && n->n == 1 && kdim_same(n->at[0].extent, g->strip->extent))
            strip_points(g, n);
        else if (segments)
            kg_sums_of_segments(g, n, segments);
        else
            around(g, n, ROLE_OUTER, 0, inside_outer);
    }
}

void kg_ifany(kgen *g, const knode *k)
{
    nest *n = NEW(g->mem, nest);
    n->cond = k->value;
    if (!nest_open(g, n, k))
        return;
    for (int i = 0; i < n->n; i++)
        n->at[i].reduce = false;
    n->sums = false;
    n->any = emit_local(g->e, g->e->i1_t, 1, 1);
    LLVMBuildStore(g->e->b, emit_bool(g->e, false), n->any);
    around(g, n, ROLE_OUTER, 0, inside_outer);
    emit_if c = emit_if_begin(g->e, LLVMBuildLoad2(g->e->b, g->e->i1_t, n->any, ""));
    kg_push(g, false);
    kg_body(g, k->body, k->n_body);
    kg_pop(g);
    emit_if_end(g->e, &c);
}
