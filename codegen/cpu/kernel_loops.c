/* Loops over feature axes: which loop becomes vectors, how the rest is cut. See kernel_gen.h.
 *
 * Vectors run over the axes that the destinations keep. Where the sizes are known and small the innermost of
 * these axes together are one range, cut into points (kernel_gen.h) that are written one after the other;
 * otherwise one axis is a loop of vectors with a masked rest. A reduction keeps its sums in registers, one
 * chain for each element; where only a reduced axis can be read side by side, sums are kept by lane and
 * combined at the end by halves. */
#include "codegen/cpu/debuginfo.h"
#include "codegen/cpu/kernel_gen.h"

#include <string.h>

enum { MOST_LOOPS = IR_MAX_RANK + 2, MOST_STATEMENTS = 64 };

typedef enum { ROLE_OUTER, ROLE_VECTOR, ROLE_REDUCE } role;

typedef struct axis {
    uint32_t var;
    kdim extent;
    bool reduce;
    role role;
} axis;

typedef struct nest {
    knode *const *body;         /* statements */
    uint32_t n_body;
    kx cond;                    /* of an IFANY: then there are no statements */
    LLVMValueRef any;           /* its variable: was it true? */
    axis at[MOST_LOOPS];        /* axes of extent 1 are left out */
    int n;
    int width;                  /* lanes of a whole vector */
    bool doubled;               /* which is two of the machine's */
    int most;                   /* vectors that are written one after the other */
    bool sums;                  /* there are reduced axes */
    bool by_lane;               /* the vector axis is a reduced one */
    LLVMValueRef temp[MOST_STATEMENTS * KG_UNROLL];     /* running sums: by point, by statement */
    int points;                 /* in flight: first << 8 | count */
    int64_t unrolled;           /* times that what is inside is written so far */
} nest;

LLVMValueRef kg_extent(kgen *g, kdim d) { return kg_int1(g, kg_dim(g, d)); }

/* ---- what the axes are to the expressions -------------------------------------------------------------- */

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

/* ---- the plan of a nest -------------------------------------------------------------------------------- */

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
static void choose(kgen *g, nest *n)
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

/* ---- statements ---------------------------------------------------------------------------------------- */

static red_op reduction(ir_op op)
{
    if (op == OP_MUL)
        return RED_MUL;
    if (op == OP_MAX)
        return RED_MAX;
    if (op == OP_MIN)
        return RED_MIN;
    if (op == OP_AND)
        return RED_AND;
    return op == OP_OR ? RED_OR : RED_ADD;
}

static elem dest_elem(const kgen *g, const kref *d)
{
    return kg_elem(d->kind == REF_LOCAL ? g->k->locals[d->id].type : g->p->buffers[d->id].type);
}

static LLVMValueRef as_type_of(kgen *g, LLVMValueRef v, LLVMValueRef like)
{
    return emit_convert(g->e, v, emit_elem(like));
}

/* An offset that goes by a loaded index may be none: below 0, nothing is written. */
static LLVMValueRef written_at_all(kgen *g, const kref *d)
{
    if (!(g->has[d->offset.i] & HAS_INDEX))
        return NULL;
    kval v = kg_eval(g, d->offset);
    v.lane = NULL;              /* of one row of a table: all lanes or none */
    return v.vec ? NULL : kg_icompare(g, CMP_GE, v, kg_const(0));
}

static void statement(kgen *g, const knode *s)
{
    debug_line(g->e, s->where);
    LLVMValueRef ok = written_at_all(g, &s->dest);
    emit_if c;
    if (ok) {
        c = emit_if_begin(g->e, ok);
        kg_push(g, false);
    }
    kval v = kg_eval(g, s->value);
    if (s->kind == KN_ACCUM) {
        LLVMValueRef old = kg_dest_load(g, &s->dest);
        v = kg_real(emit_combine(g->e, reduction(s->op), old, as_type_of(g, kg_vector(g, v), old)));
    }
    kg_dest_store(g, &s->dest, v);
    if (ok) {
        kg_pop(g);
        emit_if_end(g->e, &c);
    }
}

/* Running sums in variables of the frame, which become registers. */
static void sums_begin(kgen *g, nest *n, int point)
{
    for (uint32_t i = 0; i < n->n_body; i++) {
        const knode *s = n->body[i];
        debug_line(g->e, s->where);
        elem t = elem_register(dest_elem(g, &s->dest));
        LLVMValueRef first =
            n->by_lane ? emit_neutral(g->e, reduction(s->op), t, g->lanes) : kg_dest_load(g, &s->dest);
        LLVMValueRef *temp = &n->temp[point * (int)n->n_body + (int)i];
        *temp = emit_local(g->e, LLVMTypeOf(first), 1, 64);
        LLVMBuildStore(g->e->b, first, *temp);
    }
}

static void sums_step(kgen *g, nest *n, int point)
{
    for (uint32_t i = 0; i < n->n_body; i++) {
        const knode *s = n->body[i];
        debug_line(g->e, s->where);
        LLVMValueRef temp = n->temp[point * (int)n->n_body + (int)i];
        LLVMTypeRef type = LLVMGetAllocatedType(temp);
        LLVMValueRef v = kg_vector(g, kg_eval(g, s->value));
        LLVMValueRef old = LLVMBuildLoad2(g->e->b, type, temp, "");
        int held = emit_lanes(old);
        if (held > g->lanes) {                          /* a narrower rest of a sum by lane */
            LLVMValueRef rest = emit_slice(g->e, old, 0, g->lanes);
            LLVMValueRef now = emit_combine(g->e, reduction(s->op), rest, as_type_of(g, v, old));
            if (g->tail)
                now = emit_select(g->e, g->tail, now, rest);
            for (int l = 0; l < g->lanes; l++)
                old = emit_set_lane(g->e, old, emit_lane(g->e, now, l), l);
            LLVMBuildStore(g->e->b, old, temp);
            continue;
        }
        LLVMValueRef now = emit_combine(g->e, reduction(s->op), old, as_type_of(g, v, old));
        if (n->by_lane && g->tail)
            now = emit_select(g->e, g->tail, now, old);
        LLVMBuildStore(g->e->b, now, temp);
    }
}

static void sums_end(kgen *g, nest *n, int point)
{
    for (uint32_t i = 0; i < n->n_body; i++) {
        const knode *s = n->body[i];
        debug_line(g->e, s->where);
        LLVMValueRef temp = n->temp[point * (int)n->n_body + (int)i];
        LLVMValueRef v = LLVMBuildLoad2(g->e->b, LLVMGetAllocatedType(temp), temp, "");
        if (n->by_lane)
            v = emit_combine(g->e, reduction(s->op), kg_dest_load(g, &s->dest),
                             emit_reduce(g->e, reduction(s->op), v));
        kg_dest_store(g, &s->dest, kg_real(v));
    }
}

/* The values of a point as they are, and destinations that take such values: for sums over short rows,
 * below. */
static void values(kgen *g, nest *n, int point)
{
    for (uint32_t i = 0; i < n->n_body; i++) {
        debug_line(g->e, n->body[i]->where);
        elem t = elem_register(dest_elem(g, &n->body[i]->dest));
        n->temp[point * (int)n->n_body + (int)i] =
            emit_convert(g->e, kg_vector(g, kg_eval(g, n->body[i]->value)), t);
    }
}

static void take(kgen *g, nest *n, int point)
{
    for (uint32_t i = 0; i < n->n_body; i++) {
        const knode *s = n->body[i];
        debug_line(g->e, s->where);
        LLVMValueRef v = n->temp[point * (int)n->n_body + (int)i];
        kg_dest_store(g, &s->dest,
                      kg_real(emit_combine(g->e, reduction(s->op), kg_dest_load(g, &s->dest), v)));
    }
}

/* One value of the condition for each lane. */
static void look(kgen *g, nest *n)
{
    LLVMValueRef c = kg_vector(g, kg_eval(g, n->cond));
    if (g->tail && g->lanes > 1)
        c = emit_and(g->e, c, g->tail);
    LLVMValueRef old = LLVMBuildLoad2(g->e->b, g->e->i1_t, n->any, "");
    LLVMBuildStore(g->e->b, emit_or(g->e, old, g->lanes > 1 ? emit_any(g->e, c) : c), n->any);
}

static void plain(kgen *g, nest *n)
{
    if (kx_is(n->cond))
        look(g, n);
    for (uint32_t i = 0; i < n->n_body; i++)
        statement(g, n->body[i]);
}

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

typedef enum { PART_ALL, PART_BEGIN, PART_STEP, PART_END, PART_VALUES, PART_TAKE } part;

static void run(kgen *g, nest *n, part what, int point)
{
    kg_push(g, true);
    switch (what) {
    case PART_ALL: plain(g, n); break;
    case PART_BEGIN: sums_begin(g, n, point); break;
    case PART_STEP: sums_step(g, n, point); break;
    case PART_END: sums_end(g, n, point); break;
    case PART_VALUES: values(g, n, point); break;
    case PART_TAKE: take(g, n, point); break;
    }
    kg_pop(g);
}

static int64_t vector_total(const nest *n)
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

/* The points first .. first + count of the range of the vector axes, whose sizes are known. Each point keeps
 * its number while the nest is written, so that what was computed for one part is there for the next. */
static void points(kgen *g, nest *n, part what, uint32_t base, int64_t total, int first, int count)
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
        run(g, n, what, c - first);
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

static void step_vector(kgen *g, nest *n) { run(g, n, PART_STEP, 0); }
static void all_vector(kgen *g, nest *n) { run(g, n, PART_ALL, 0); }

static const axis *vector_axis(const nest *n)
{
    for (int i = 0; i < n->n; i++)
        if (n->at[i].role == ROLE_VECTOR)
            return &n->at[i];
    return NULL;
}

/* All points of a known range (or one scalar point, where no axis makes vectors) for sums: those that are in
 * flight at a time go through the reduced loops together. */
typedef struct flight { int64_t total; int first, count; uint32_t base; } flight;

static void flight_step(kgen *g, nest *n)
{
    uint32_t base = ++g->points;
    int64_t total = vector_total(n);
    g->points += (uint32_t)((total + n->width - 1) / n->width);
    points(g, n, PART_STEP, base, total, n->points >> 8, n->points & 255);
}

static void sums_of_points(kgen *g, nest *n)
{
    int64_t total = vector_total(n);
    int all = (int)((total + n->width - 1) / n->width), most = g->e->target->vector_registers / 2;
    int at_once = most / (int)(n->n_body ? n->n_body : 1);
    at_once = at_once < 1 ? 1 : at_once > KG_UNROLL ? KG_UNROLL : at_once;
    uint32_t base = g->points + 1;
    g->points += (uint32_t)all;
    for (int first = 0; first < all; first += at_once) {
        int count = all - first < at_once ? all - first : at_once;
        points(g, n, PART_BEGIN, base, total, first, count);
        n->points = first << 8 | count;
        around(g, n, ROLE_REDUCE, 0, flight_step);
        points(g, n, PART_END, base, total, first, count);
    }
}

static void sums_of_vector(kgen *g, nest *n)            /* one vector of a loop over an axis that is kept */
{
    run(g, n, PART_BEGIN, 0);
    around(g, n, ROLE_REDUCE, 0, step_vector);
    run(g, n, PART_END, 0);
}

static void lanes_inside(kgen *g, nest *n)
{
    int64_t total = vector_total(n);
    if (total >= 0 && total <= (int64_t)n->most * n->width) {
        int all = (int)((total + n->width - 1) / n->width);
        for (int c = 0; c < all; c++) {
            uint32_t base = g->points + 1 - (uint32_t)c;
            g->points++;
            n->points = 0;
            points(g, n, PART_STEP, base, total, c, 1);
        }
    } else {
        vector_loop(g, n, vector_axis(n), step_vector);
    }
}

static void sums_by_lane(kgen *g, nest *n)
{
    int64_t total = vector_total(n);
    int lanes = total >= 0 && total < n->width ? power_at_least(total) : n->width;
    vector_state old = vector_begin(g, lanes, lanes, NULL);
    run(g, n, PART_BEGIN, 0);
    vector_end(g, old);
    around(g, n, ROLE_REDUCE, 0, lanes_inside);
    run(g, n, PART_END, 0);
}

/* ---- sums over short rows ------------------------------------------------------------------------------ */

/* s[h] += sum over k of v[h, k], of known sizes that are powers of two: [h, k] is one range of vectors, and
 * neighbours are added until one number is left of each row. Returns how many vectors there are, 0 where
 * this form does not fit. */
static int segment_vectors(const nest *n)
{
    int64_t kept = 1, reduced = 1;
    int reduced_axes = 0;
    for (int i = 0; i < n->n; i++) {
        const axis *a = &n->at[i];
        if (!a->extent.is_const || (a->extent.value & (a->extent.value - 1)) || a->extent.value == 0
            || a->extent.value > 1 << 12)
            return 0;
        *(a->reduce ? &reduced : &kept) *= a->extent.value;
        reduced_axes += a->reduce;
        if (kept * reduced > KG_UNROLL * (int64_t)n->width)
            return 0;
    }
    if (!n->by_lane || reduced_axes != 1 || kept < 2 || kept * reduced < n->width)
        return 0;
    return (int)(kept * reduced / n->width);
}

static LLVMValueRef every_other(kgen *g, LLVMValueRef a, LLVMValueRef b, int first)
{
    LLVMValueRef pick[KG_LANES];
    int lanes = emit_lanes(a), out = b ? lanes : lanes / 2;
    for (int l = 0; l < out; l++)
        pick[l] = emit_i32(g->e, 2 * l + first);
    if (out == 1)
        return emit_lane(g->e, a, first);
    return LLVMBuildShuffleVector(g->e->b, a, b ? b : LLVMGetPoison(LLVMTypeOf(a)),
                                  LLVMConstVector(pick, (unsigned)out), "");
}

static void sums_of_segments(kgen *g, nest *n, int vectors)
{
    for (int i = 0; i + 1 < n->n; i++)              /* the reduced axis is the inner one */
        if (n->at[i].reduce) {
            axis a = n->at[i];
            n->at[i] = n->at[i + 1];
            n->at[i + 1] = a;
        }
    int64_t length = n->at[n->n - 1].extent.value, kept = 1;
    for (int i = 0; i < n->n; i++)
        n->at[i].role = ROLE_VECTOR;
    for (int i = 0; i + 1 < n->n; i++)
        kept *= n->at[i].extent.value;
    uint32_t base = g->points + 1;
    g->points += (uint32_t)vectors;
    points(g, n, PART_VALUES, base, kept * length, 0, vectors);
    int left = 0;
    for (uint32_t i = 0; i < n->n_body; i++) {
        red_op op = reduction(n->body[i]->op);
        LLVMValueRef v[KG_UNROLL];
        for (int c = 0; c < vectors; c++)
            v[c] = n->temp[c * (int)n->n_body + (int)i];
        int64_t k = length;
        left = vectors;
        for (; k > n->width; k /= 2, left /= 2)     /* rows of several vectors: whole vectors first */
            for (int c = 0; c < left / 2; c++)
                v[c] = emit_combine(g->e, op, v[2 * c], v[2 * c + 1]);
        for (; k > 1; k /= 2) {
            if (left == 1) {
                v[0] = emit_combine(g->e, op, every_other(g, v[0], NULL, 0), every_other(g, v[0], NULL, 1));
                continue;
            }
            for (int c = 0; c < left / 2; c++)
                v[c] = emit_combine(g->e, op, every_other(g, v[2 * c], v[2 * c + 1], 0),
                                    every_other(g, v[2 * c], v[2 * c + 1], 1));
            left /= 2;
        }
        for (int c = 0; c < left; c++)
            n->temp[c * (int)n->n_body + (int)i] = v[c];
    }
    n->at[n->n - 1].role = ROLE_REDUCE;
    base = g->points + 1;
    g->points += (uint32_t)left;
    points(g, n, PART_TAKE, base, kept, 0, left);
}

static void inside_outer(kgen *g, nest *n)
{
    const axis *a = vector_axis(n);
    int64_t total = vector_total(n);
    bool known = total >= 0 && total <= (int64_t)n->most * n->width;
    if (n->by_lane) {
        sums_by_lane(g, n);
    } else if (!a || known) {
        if (n->sums) {
            sums_of_points(g, n);
        } else {
            int all = (int)((total + n->width - 1) / n->width);
            uint32_t base = g->points + 1;
            g->points += (uint32_t)all;
            points(g, n, PART_ALL, base, total, 0, all);
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
    n->width = width_of(g, n);
    widen_costly(g, n);
    choose(g, n);
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
        run(g, n, PART_ALL, 0);
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
        int segments = segment_vectors(n);
        if (g->strip && n->n == 1 && kdim_same(n->at[0].extent, g->strip->extent))
            strip_points(g, n);
        else if (segments)
            sums_of_segments(g, n, segments);
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
