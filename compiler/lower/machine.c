/*
 * The machine: lowers an expression after all that it needs, with a stack of its own.
 *
 * An item is looked at until everything that it reads is there; each look pushes what is missing. The calls
 * of layers and the loops are items that open a frame or a loop on the way.
 */
#include "compiler/lower/lower_int.h"

enum { MAX_LOOP_DEPTH = 60, FLIP_DST = 1, FLIP_DEG = 2 };

void lower_fail(lowering *L, diag_class class, span at, const char *fmt, ...)
{
    L->failed = true;
    va_list ap;
    va_start(ap, fmt);
    diag_verror(L->ds, class, at, fmt, ap);
    va_end(ap);
}

frame *frame_new(lowering *L, env *e, frame *up, uint32_t region, uint32_t depth)
{
    frame *f = NEW(L->a, frame);
    *f = (frame){.e = e, .id = L->n_frames++, .up = up, .region = region, .depth = depth};
    f->inputs = NEW_N(L->a, lowered, e->layer->n_inputs + 1);
    f->memo = NEW_N(L->a, lowered, 2 * (size_t)e->layer->n_exprs + 1);
    f->loops = NEW_N(L->a, loop_record, e->layer->n_loops + 1);
    return f;
}

/* ---- widths ---- */

static bool real_wide(const frame *f) { return is_wide(f->e->layer->real); }

/* The width in which operands are compared. */
static bool compare_wide(const frame *f, const sem_expr *e)
{
    bool weak = true;
    for (uint32_t i = 0; i < e->n_args; i++) {
        const sem_type *t = &e->args[i]->type;
        int64_t range;
        if (t->elem == SEM_F64) return true;
        if (t->elem == SEM_INDEX && !(dim_is_const(f->e->layer->dims, t->range, &range) && range <= 1 << 24))
            return true;
        weak = weak && t->elem == SEM_WEAK;
    }
    return weak && real_wide(f);
}

/* The width of an expression's own arithmetic. */
static bool own_wide(const item *it)
{
    const sem_expr *e = it->e;
    if (e->type.elem == SEM_WEAK) return it->wide;
    if (sem_is_float(e->type.elem)) return is_wide(e->type.elem);
    return e->kind == SEM_EW ? compare_wide(it->f, e) : real_wide(it->f);
}

static lowered *slot(const frame *f, const sem_expr *e, bool wide)
{
    return &f->memo[2 * (size_t)e->id + (e->type.elem == SEM_WEAK && wide)];
}

/* Is it there? Otherwise it is next. */
static bool ready(lowering *L, frame *f, const sem_expr *e, bool wide)
{
    if (ir_is(slot(f, e, wide)->v)) return true;
    item it = {.f = f, .e = e, .wide = wide};
    vec_push(L->a, &L->stack, it);
    return false;
}

static lowered typed(lowering *L, const frame *f, const sem_expr *e, const sem_type *t)
{
    lowered x = *slot(f, e, is_wide(t->elem));
    if (sem_is_float(t->elem)) x.v = as_type(L, x.v, arith_type(is_wide(t->elem)));
    return x;
}

/* ---- loops ---- */

static uint64_t flip_key(const frame *f, const sem_loop *loop, uint32_t k)
{
    return hash_combine(hash_combine(hash_u64(f->id + 1), loop->id), k);
}

static unsigned flips_of(const lowering *L, const frame *f, const sem_loop *loop, uint32_t k)
{
    uint64_t *bits = map_get(L->flips, flip_key(f, loop, k));
    return bits ? (unsigned)*bits : 0;
}

static void flip(lowering *L, const frame *f, const sem_loop *loop, uint32_t k, unsigned bit)
{
    map_put(L->flips, flip_key(f, loop, k), flips_of(L, f, loop, k) | bit);
    L->flipped = true;
}

static ir_side side_of(const lowering *L, ir_val v) { return L->l->domains[ir_at(L->l, v)->dom.i].side; }

/* The start of a state in the state's own domain and shape. */
static bool start_of(lowering *L, frame *f, const sem_sym *s, loop_state *st, ir_val *init)
{
    lowered x = typed(L, f, s->value, &s->type);
    ir_shape shape;
    if (!env_shape(L, f->e, &s->type.shape, s->where, &shape)) return false;
    ir_dom dom = dom_for(L, s->dom);
    if (s->dom == SEM_NODE) {
        const unsigned known = flips_of(L, f, s->loop, s->index);
        const ir_side side = side_of(L, x.v);
        st->dst = known & FLIP_DST || side == SIDE_DST || (side == SIDE_NONE && L->bipartite);
        if (st->dst) x = at_dst(L, x);
        st->deg = !st->dst && (known & FLIP_DEG || x.deg);
        dom = st->dst ? ir_dom_dst(L->l) : ir_dom_src(L->l);
    } else {
        x = settle(L, s, x);
    }
    *init = ir_broadcast(L->l, x.v, dom, &shape);
    return true;
}

static void open_loop(lowering *L, frame *f, const sem_loop *loop, loop_record *r)
{
    const uint32_t parent = loop->up ? f->loops[loop->up->id].region : f->region;
    r->depth = 1 + (loop->up ? f->loops[loop->up->id].depth : f->depth);
    if (r->depth > MAX_LOOP_DEPTH) {
        lower_fail(L, DIAG_LIMIT, loop->where,
                   "blocks of iterate are nested more than %d deep, through layers", (int)MAX_LOOP_DEPTH);
        return;
    }
    const dim limit = env_dim(L, f->e, loop->limit, loop->where);
    if (!dim_ok(limit)) return;
    r->states = NEW_N(L->a, loop_state, loop->n_states + 1);
    ir_val *init = NEW_N(L->a, ir_val, loop->n_states + 1);
    for (uint32_t k = 0; k < loop->n_states; k++)
        if (!start_of(L, f, loop->states[k], &r->states[k], &init[k])) return;
    ir_set_where(L->l, loop->where);
    r->loop = ir_loop_begin(L->l, parent, loop->states[0]->name, limit, loop->n_states);
    r->region = r->loop + 1;
    L->l->loops[r->loop].where = loop->where;
    for (uint32_t k = 0; k < loop->n_states; k++)
        r->states[k].now =
            (lowered){ir_loop_state(L->l, r->loop, k, loop->states[k]->name, init[k]), r->states[k].deg};
    if (loop->tol) {
        const sem_elem real = f->e->layer->real;
        ir_loop_until(L->l, r->loop,
                      as_type(L, slot(f, loop->tol, is_wide(real))->v, arith_type(is_wide(real))));
    }
    r->status = LOOP_ACTIVE;
}

static void close_loop(lowering *L, frame *f, const sem_loop *loop, loop_record *r)
{
    for (uint32_t k = 0; k < loop->n_states; k++) {
        const sem_sym *s = loop->states[k];
        loop_state *st = &r->states[k];
        lowered x = typed(L, f, s->next, &s->type);
        if (s->dom != SEM_NODE) {
            x = settle(L, s, x);
        } else if (st->dst) {
            x = at_dst(L, x);
        } else if (side_of(L, x.v) == SIDE_DST) {
            flip(L, f, loop, k, FLIP_DST);       /* for this attempt anything of the right kind does */
            x.v = ir_gather(L->l, x.v, ir_map_square(L->l));
        } else if (x.deg && !st->deg) {
            flip(L, f, loop, k, FLIP_DEG);
        }
        ir_loop_next(L->l, r->loop, k, x.v);
    }
    ir_loop_end(L->l, r->loop);
    for (uint32_t k = 0; k < loop->n_states; k++)
        r->states[k].last = (lowered){ir_loop_final(L->l, r->loop, k), r->states[k].deg};
    r->status = LOOP_DONE;
}

static bool loop_step(lowering *L, item it)
{
    loop_record *r = &it.f->loops[it.loop->id];
    bool all = true;
    if (r->status == LOOP_DONE) return true;
    if (r->status == LOOP_NONE) {
        for (uint32_t k = it.loop->n_states; k-- > 0;)
            all = ready(L, it.f, it.loop->states[k]->value, is_wide(it.loop->states[k]->type.elem)) && all;
        if (it.loop->tol) all = ready(L, it.f, it.loop->tol, real_wide(it.f)) && all;
        if (!all) return false;
        open_loop(L, it.f, it.loop, r);
        if (L->failed) return false;
    }
    for (uint32_t k = it.loop->n_states; k-- > 0;)
        all = ready(L, it.f, it.loop->states[k]->next, is_wide(it.loop->states[k]->type.elem)) && all;
    if (all) close_loop(L, it.f, it.loop, r);
    return all;
}

static uint32_t region_in(const frame *f, const sem_loop *loop)
{
    return loop ? f->loops[loop->id].region : f->region;
}
static uint32_t depth_in(const frame *f, const sem_loop *loop)
{
    return loop ? f->loops[loop->id].depth : f->depth;
}

/* ---- names ---- */

static bool definition(lowering *L, frame *f, const sem_sym *s, lowered *out)
{
    if (!ready(L, f, s->value, is_wide(s->type.elem))) return false;
    lowered x = settle(L, s, typed(L, f, s->value, &s->type));
    ir_name(L->l, x.v, s->name);
    *out = lower_variable(L, f, s, x);
    return true;
}

static bool read(lowering *L, frame *f, const sem_expr *e, lowered *out)
{
    const sem_sym *s = e->u.sym;
    switch (s->kind) {
    case SEM_S_INPUT: case SEM_S_PARAM:
        *out = f->inputs[s->index];
        return true;
    case SEM_S_DEF:
        return definition(L, f, s, out);
    case SEM_S_STATE: {
        const loop_record *r = &f->loops[s->loop->id];
        if (r->status == LOOP_NONE) {
            item it = {.f = f, .loop = s->loop};
            vec_push(L->a, &L->stack, it);
            return false;
        }
        *out = r->status == LOOP_ACTIVE ? r->states[s->index].now : r->states[s->index].last;
        return true;
    }
    }
    return true;
}

/* ---- calls of layers ---- */

static frame *enter(lowering *L, frame *f, const sem_expr *e)
{
    env *callee = f->e->insts[e->u.call.inst->index];
    frame *g = frame_new(L, callee, f, region_in(f, e->u.call.loop), depth_in(f, e->u.call.loop));
    for (uint32_t i = 0; i < callee->layer->n_inputs; i++) {
        const sem_sym *s = callee->layer->inputs[i];
        if (e->args[i]) g->inputs[i] = lower_variable(L, g, s, settle(L, s, typed(L, f, e->args[i], &s->type)));
        else g->inputs[i].v = env_param(callee, s);
    }
    return g;
}

static bool call(lowering *L, uint32_t at, lowered *out)
{
    item it = L->stack.at[at];
    const sem_layer *l = it.e->u.call.inst->callee;
    if (!it.callee) {
        bool all = true;
        for (uint32_t i = l->n_inputs; i-- > 0;)
            if (it.e->args[i]) all = ready(L, it.f, it.e->args[i], is_wide(l->inputs[i]->type.elem)) && all;
        if (!all) return false;
        it.callee = L->stack.at[at].callee = enter(L, it.f, it.e);
    }
    return definition(L, it.callee, it.e->u.call.output, out);
}

/* ---- expressions ---- */

static ir_val real_static(lowering *L, const frame *f, uint32_t i, ir_type t)
{
    const sem_static *s = &f->e->layer->statics[i];
    return s->fixed ? ir_const(L->l, t, s->real_value) : ir_realarg(L->l, t, i);
}

static ir_val dropout(lowering *L, const item *it, ir_val x, ir_val p)
{
    const uint32_t region = region_in(it->f, it->e->u.loop);
    /* Each member draws for itself, even where x is one for all. */
    ir_dom dom = dom_for(L, (sem_dom)it->e->args[0]->dom);
    return ir_dropout(L->l, in_domain(L, x, dom), as_type(L, p, (ir_type)ir_at(L->l, x)->type),
                      ir_step_key(L->l, region), L->place++);
}

static ir_val dot(lowering *L, ir_val a, ir_val b)
{
    return ir_reduce(L->l, OP_RSUM, ir_mul(L->l, a, b), -1);
}

/* All operands are there. */
static lowered build(lowering *L, const item *it)
{
    ir_layer *l = L->l;
    const sem_expr *e = it->e;
    const ir_type t = arith_type(own_wide(it));
    lowered *x = NEW_N(L->a, lowered, e->n_args + 1);
    ir_val *a = NEW_N(L->a, ir_val, e->n_args + 1);
    for (uint32_t i = 0; i < e->n_args; i++) x[i] = *slot(it->f, e->args[i], t == T_F64);
    switch (e->kind) {                           /* those that look at sides themselves */
    case SEM_AT_SRC: case SEM_AT_DST: case SEM_AT_GRAPH: return lower_end(L, e, x[0]);
    case SEM_AGG: case SEM_SOFTMAX:
        if (!e->u.agg.no_value) x[0].v = as_type(L, x[0].v, t);
        return e->kind == SEM_AGG ? lower_agg(L, e, x) : lower_softmax(L, e, x);
    case SEM_IN_DEGREE: case SEM_OUT_DEGREE: return lower_degree(L, e);
    default: break;
    }
    const bool deg = unify(L, e, x);
    for (uint32_t i = 0; i < e->n_args; i++)
        a[i] = e->kind == SEM_EW || e->kind == SEM_TO_REAL ? x[i].v : as_type(L, x[i].v, t);
    ir_val v = {0};
    dim d;
    switch (e->kind) {
    case SEM_NUMBER: v = ir_const(l, t, e->u.value); break;
    case SEM_DIMVAL:
        d = env_dim(L, it->f->e, e->u.dim, e->at);
        v = dim_ok(d) ? ir_dimval(l, t, d) : ir_const(l, t, 0);
        break;
    case SEM_NUM_NODES: case SEM_NUM_EDGES: v = lower_number_of(L, e); break;
    case SEM_TRAINING: v = ir_training(l); break;
    case SEM_STEP: v = ir_loop_step(l, it->f->loops[e->u.loop->id].loop); break;
    case SEM_EW: v = lower_ew(L, e, a, t); break;
    case SEM_TO_REAL: v = ir_at(l, a[0])->type == t ? a[0] : ir_cast(l, a[0], t); break;
    case SEM_BUCKET:
        d = env_dim(L, it->f->e, e->type.range, e->at);
        v = dim_ok(d) ? ir_bucket(l, a[0], d) : ir_const(l, t, 0);
        break;
    case SEM_MATMUL: v = ir_matmul(l, a[0], a[1]); break;
    case SEM_EINSUM: v = lower_einsum(L, e, a); break;
    case SEM_AXIS: v = lower_axis(L, e->u.axis.fn, a[0], e->u.axis.axis); break;
    case SEM_DOT: v = dot(L, a[0], a[1]); break;
    case SEM_LAYER_NORM: v = lower_layer_norm(L, a); break;
    case SEM_LOOKUP: v = lower_lookup(L, a[0], a[1]); break;
    case SEM_DROPOUT: v = dropout(L, it, a[0], a[1]); break;
    case SEM_STOP: v = ir_ew1(l, OP_STOP, a[0]); break;
    default: v = lower_shape(L, it->f, e, a); break;
    }
    return (lowered){v, deg && side_of(L, v) == SIDE_SRC};
}

static bool operands(lowering *L, item it)
{
    const bool wide = own_wide(&it);
    bool all = true;
    for (uint32_t i = it.e->n_args; i-- > 0;)
        all = ready(L, it.f, it.e->args[i], wide) && all;
    return all;
}

static bool expr_step(lowering *L, uint32_t at, lowered *out)
{
    const item it = L->stack.at[at];
    ir_set_where(L->l, it.e->span);
    switch (it.e->kind) {
    case SEM_READ: return read(L, it.f, it.e, out);
    case SEM_CALL: return call(L, at, out);
    case SEM_REALARG:
        if (it.f->up) {                          /* what the caller gave, in the caller's terms */
            const sem_expr *given = it.f->e->inst->reals[it.e->u.static_];
            if (!ready(L, it.f->up, given, it.wide)) return false;
            *out = *slot(it.f->up, given, it.wide);
        } else {
            out->v = real_static(L, it.f, it.e->u.static_, arith_type(it.wide));
        }
        return true;
    case SEM_INST_PARAM: {
        const env *e = it.f->e;
        for (uint32_t i = 0; i < it.e->u.param.n; i++) e = e->insts[it.e->u.param.path[i]->index];
        out->v = env_param(e, it.e->u.param.sym);
        return true;
    }
    case SEM_GRAD: {
        const sem_expr *y = it.e->args[0];
        lowered x;
        if (!ready(L, it.f, y, is_wide(y->type.elem)) || !read(L, it.f, it.e, &x)) return false;
        *out = lower_grad(L, *slot(it.f, y, is_wide(y->type.elem)), x);
        return true;
    }
    default:
        if (!operands(L, it)) return false;
        *out = build(L, &it);
        return true;
    }
}

lowered machine_run(lowering *L, frame *f, const sem_expr *e, bool wide)
{
    if (!ready(L, f, e, wide)) {
        while (L->stack.n && !L->failed) {
            const uint32_t at = L->stack.n - 1;
            const item it = L->stack.at[at];
            bool done;
            if (L->l->n_nodes > LOWER_MAX_VALUES) {
                lower_fail(L, DIAG_LIMIT, L->root->ast->name.span, "layer `%s` has more than %d operations",
                           L->root->name, (int)LOWER_MAX_VALUES);
            } else if (!it.e) {
                if (loop_step(L, it)) L->stack.n = at;
            } else {
                lowered x = {0};
                done = ir_is(slot(it.f, it.e, it.wide)->v);
                if (!done && expr_step(L, at, &x)) {
                    *slot(it.f, it.e, it.wide) = x;
                    done = true;
                }
                if (done) L->stack.n = at;
            }
        }
        L->stack.n = 0;
    }
    return *slot(f, e, wide);
}
