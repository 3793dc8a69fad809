/* Staging: which values are stored, and in which kernel each store and each aggregate happens.
 *
 * Anchors (stores and aggregates) are taken in the order of their values, so that what they read has its
 * stage already. The rules (docs/design.md, "Staging"), s being the stage:
 *
 *   another row of b is read              s > s(b)
 *   the own row of b, in or before a walk s >= s(b), and > where b needs an aggregate of its own stage
 *   the own row of b, after the walk      s >= s(b); after an aggregate: in that aggregate's kernel, or later from memory
 *
 * When a value turns out to be needed from memory it becomes stored and staging starts again; that ends,
 * because values are only ever added. */
#include "compiler/plan/planner.h"

#include <string.h>

/* ---- what is cheap, what is heavy ------------------------------------------------------------------------ */

static bool is_leaf(const planner *pl, ir_val v)
{
    const ir_node *n = at_of(pl, v);
    return pl->info[v.i].stored || n->op == OP_STEP || (ir_ops[n->op].cls == CLS_LEAF && !is_agg(pl, v));
}

/* A reduction, product or costly function: nothing to do twice without need. */
bool heavy(const planner *pl, ir_val v)
{
    const ir_node *n = at_of(pl, v);
    if (is_pad(pl, v))
        return false;
    switch (ir_ops[n->op].cls) {
    case CLS_REDUCE: case CLS_CONTRACT: case CLS_AGG: return true;
    case CLS_GROUP: return n->op != OP_POSITION;
    case CLS_SHAPE: return n->op == OP_SPREAD || n->op == OP_ONEHOT_ADD || n->op == OP_CONCAT;
    case CLS_EW: return ir_ops[n->op].cost >= 4;
    case CLS_LEAF: return is_agg(pl, v);
    case CLS_GATHER: case CLS_MAP: case CLS_LOOP: return false;
    }
    return false;
}

typedef struct inline_cost { uint32_t ops, wide, narrow, nodes, n_store; ir_val store[3]; bool no; } inline_cost;

static void inline_visit(planner *pl, ir_val v, bool scalar_root, inline_cost *c, uint32_t depth)
{
    const ir_node *n = at_of(pl, v);
    if (c->no || depth > 12 || ++c->nodes > 24) {
        c->no = true;
        return;
    }
    if (is_leaf(pl, v)) {
        if (n->op == OP_CONST || n->op == OP_REALARG || n->op == OP_DIMVAL || n->op == OP_IOTA || n->op == OP_TRAINING || n->dom.i == 0)
            return;
        if (scalar_root || !dim_is(pl->l->dims, elems_of(pl, v), 1))
            c->wide++;
        else
            c->narrow++;
        if (n->op == OP_COUNT)
            c->ops++;
        return;
    }
    /* a scalar beside a row of features (a norm): itself from memory, so that the row need not be */
    if (!scalar_root && n->dom.i != 0 && n->rank == 0 && c->n_store < 3 && (ir_ops[n->op].cls != CLS_EW || ir_ops[n->op].cost > 1)) {
        if (ir_ops[n->op].cls != CLS_GATHER) {
            c->store[c->n_store++] = v;
            c->narrow++;
            return;
        }
    }
    switch (ir_ops[n->op].cls) {
    case CLS_EW:
        if (n->dom.i == 0 && n->rank == 0) {        /* a scalar of the call is worked out once a kernel */
            c->ops += 0;
        } else {
            c->ops += n->op == OP_CAST ? 0 : (uint32_t)ir_ops[n->op].cost;
        }
        break;
    case CLS_SHAPE:
        if (n->op == OP_SPREAD || n->op == OP_ONEHOT_ADD || n->op == OP_CONCAT)
            c->no = true;
        break;
    case CLS_GATHER:
        break;
    case CLS_AGG:
        if (is_pad(pl, v))
            c->ops++;
        else
            c->no = true;
        break;
    case CLS_LEAF: case CLS_REDUCE: case CLS_CONTRACT: case CLS_GROUP: case CLS_MAP: case CLS_LOOP:
        c->no = true;
        break;
    }
    for (uint32_t k = 0; k < n->nargs && !c->no; k++)
        if (at_of(pl, n->args[k])->type != T_MAP)
            inline_visit(pl, n->args[k], scalar_root, c, depth + 1);
        else if (at_of(pl, n->args[k])->op == OP_MAP_INDEX && !is_leaf(pl, at_of(pl, n->args[k])->args[0]))
            inline_visit(pl, at_of(pl, n->args[k])->args[0], scalar_root, c, depth + 1);
}

/* May v be worked out again wherever another row of it is read? At most 3 operations an element, one row of its width. */
bool inline_ok(planner *pl, ir_val v)
{
    if (is_leaf(pl, v))
        return true;
    inline_cost c = {0};
    bool scalar = dim_is(pl->l->dims, elems_of(pl, v), 1);
    inline_visit(pl, v, scalar, &c, 0);
    if (at_of(pl, v)->dom.i == 0 && scalar)
        return !c.no;
    if (c.no || c.ops > 3 || c.wide > 1 || c.narrow > 2)
        return false;
    for (uint32_t i = 0; i < c.n_store; i++)
        need_store(pl, c.store[i]);
    return true;
}

/* ---- anchors ---------------------------------------------------------------------------------------------- */

static uint32_t new_anchor(planner *pl, anchor a)
{
    vec_push(pl->mem, &pl->anchors, a);
    return pl->anchors.n;
}

/* The kernel rows and fiber of a store of a value of domain d. */
static void store_rows(planner *pl, anchor *a, ir_dom d)
{
    if (pl->l->domains[d.i].kind == DOM_EDGES) {
        a->member = true;
        a->fiber = (mp_fiber){FIBER_IN, 0};
        a->rows = ir_dom_dst(pl->l);
    } else {
        a->rows = d;
    }
}

void need_store(planner *pl, ir_val v)
{
    vinfo *i = &pl->info[v.i];
    if (i->stored)
        return;
    const ir_node *n = at_of(pl, v);
    i->stored = true;
    i->buffer = work_buffer(pl, n->name ? n->name : ir_ops[n->op].text, ktype_of((ir_type)n->type), rows_of(pl, n->dom), elems_of(pl, v));
    pl->again = true;
}

static void make_anchors(planner *pl)
{
    ir_layer *l = pl->l;
    vec_clear(&pl->anchors);
    for (uint32_t i = 1; i < pl->n_info; i++)
        pl->info[i].store = pl->info[i].agg = 0;
    for (uint32_t i = 1; i < pl->n_info; i++) {
        vinfo *vi = &pl->info[i];
        const ir_node *n = &l->nodes[i];
        if (!vi->live)
            continue;
        if (is_agg(pl, (ir_val){i})) {
            ir_val m = n->op == OP_SPREAD ? (ir_val){0} : n->args[n->nargs - 1];
            mp_fiber f = n->op == OP_SPREAD ? (mp_fiber){FIBER_PAIR_BASE, pairs_of(pl, n->args[1])}
                                            : fiber_of(pl, m);
            if (f.kind == FIBER_NONE) {
                plan_fail(pl, "an aggregate along '%s'", ir_ops[at_of(pl, m)->op].text);
                return;
            }
            vi->agg = new_anchor(pl, (anchor){.v = {i}, .agg = true, .rows = n->dom, .fiber = f, .region = n->region});
        }
        if (vi->stored && n->op != OP_INPUT && ir_ops[n->op].cls != CLS_LOOP) {
            anchor a = {.v = {i}, .buffer = vi->buffer, .region = n->region};
            store_rows(pl, &a, n->dom);
            vi->store = new_anchor(pl, a);
        }
    }
    /* Outputs that no store serves, and states: stores of their own. */
    for (uint32_t k = 0; k < l->n_outputs; k++) {
        ir_output *o = &l->outputs[k];
        uint32_t id = buffer_of(pl, BUF_OUTPUT, k);
        if (ir_is_sequence(l, o->value) && pl->info[o->value.i].buffer == id)
            continue;
        if (pl->info[o->value.i].store && pl->info[o->value.i].buffer == id)
            continue;
        anchor a = {.v = o->value, .buffer = id, .region = 0};
        store_rows(pl, &a, o->rows);
        new_anchor(pl, a);
    }
    for (uint32_t k = 0; k < pl->slots.n; k++) {
        const ir_node *n = at_of(pl, pl->slots.at[k].v);
        if (n->op != OP_RECORD)
            continue;
        anchor a = {.v = n->args[0], .buffer = pl->slots.at[k].buffer, .region = l->loops[n->u.loop.loop].region};
        store_rows(pl, &a, n->dom);
        new_anchor(pl, a);
    }
    for (uint32_t i = 0; i < l->n_loops; i++) {
        ir_loop *lp = &l->loops[i];
        if (!pl->loops[i].cur)
            continue;
        if (ir_is(lp->count))
            new_anchor(pl, (anchor){.v = lp->count, .buffer = pl->loops[i].count_buffer - 1, .rows = ir_dom_unit(), .region = lp->parent,
                                    .loop = i + 1});
        for (uint32_t k = 0; k < lp->nstates; k++) {
            ir_dom d = at_of(pl, lp->states[k].state)->dom;
            anchor first = {.v = lp->states[k].init, .buffer = pl->loops[i].cur[k], .region = lp->parent, .loop = i + 1};
            anchor next = {.v = lp->states[k].next, .buffer = pl->loops[i].next[k], .region = lp->region};
            store_rows(pl, &first, d);
            store_rows(pl, &next, d);
            if (!lp->again)         /* else it starts where its states are kept */
                new_anchor(pl, first);
            new_anchor(pl, next);
        }
        if (ir_is(lp->tol)) {
            new_anchor(pl, (anchor){.v = pl->loops[i].change, .buffer = pl->loops[i].change_buffer, .rows = ir_dom_unit(), .region = lp->region});
            new_anchor(pl, (anchor){.v = lp->tol, .buffer = pl->loops[i].tol_buffer, .rows = ir_dom_unit(),
                                     .region = lp->parent, .loop = i + 1});
        }
    }
}

/* ---- what an anchor reads ---------------------------------------------------------------------------------- */

typedef struct task { ir_val v; at where; } task;

typedef struct visit {
    planner *pl;
    anchor *a;                /* valid while no anchor is added */
    VEC(task) todo;
    int least;                /* stage at least */
    int post_stage;           /* latest stage of an aggregate that is read at the own row after the walk; -1 */
    mp_fiber post_fiber;
    bool conflict;            /* two such of different fibers in that stage */
    VEC(uint32_t) post;       /* those aggregates (anchors) */
    int loop_least;           /* for loops around: by index of loop, in planner.loops[].stage */
} visit;

static void later(visit *v, int stage)
{
    if (v->least < stage)
        v->least = stage;
}

static void push(visit *v, ir_val x, at where)
{
    planner *pl = v->pl;
    uint32_t *seen = &pl->seen[x.i * 4 + (uint32_t)where];
    if (*seen == pl->seen_epoch)
        return;
    *seen = pl->seen_epoch;
    vec_push(pl->mem, &v->todo, (task){x, where});
}

/* Region `outer` holds what region `inner` reads: the loop of `inner` (or one around it) standing in `outer` comes after. */
static void loop_after(planner *pl, uint32_t inner, uint32_t outer, int stage)
{
    while (inner) {
        ir_loop *lp = &pl->l->loops[inner - 1];
        if (lp->parent == outer) {
            if (pl->loops[inner - 1].stage < stage)
                pl->loops[inner - 1].stage = stage;
            return;
        }
        inner = lp->parent;
    }
}

/* Reads anchor k (a store or an aggregate). */
static void depend(visit *v, uint32_t k, at where)
{
    planner *pl = v->pl;
    const anchor *d = &pl->anchors.at[k], *a = v->a;
    if (d->region != a->region) {
        loop_after(pl, a->region, d->region, d->stage + 1);
        return;
    }
    bool same_rows = d->rows.i == a->rows.i;
    if (d->member) {            /* an edge's value: in the same walk at hand, else from memory */
        bool here = where == AT_MEMBER && a->fiber.kind == FIBER_IN && same_rows;
        later(v, d->stage + (here ? 0 : 1));
    } else if (where == AT_OTHER || where == AT_MEMBER || !same_rows) {
        later(v, d->stage + 1);
    } else if (where == AT_PRE) {
        later(v, d->stage + (d->agg || d->post ? 1 : 0));
    } else {
        later(v, d->stage);
        if (d->agg || d->post)
            vec_push(pl->mem, &v->post, k);
    }
}

static void depend_pairs(visit *v, ir_val m)
{
    planner *pl = v->pl;
    pairs_of(pl, m);
    for (uint32_t i = 0; i < pl->pairs.n; i++) {
        pairs_plan *q = &pl->pairs.at[i];
        if (!ir_same(q->map, m))
            continue;
        ir_val index = at_of(pl, m)->args[0];
        const ir_node *n = at_of(pl, index);
        if (n->op != OP_INPUT) {
            need_store(pl, index);
            uint32_t s = pl->info[index.i].store;
            if (s) {
                q->region = pl->anchors.at[s - 1].region;
                q->stage = pl->anchors.at[s - 1].stage + 1;
                if (q->region == v->a->region)
                    later(v, q->stage + 1);
                else
                    loop_after(pl, v->a->region, q->region, q->stage + 1);
            }
        } else if (pl->l->inputs[n->u.input].of_call) {     /* before anything that is computed */
            q->region = 0;
            q->stage = 0;
            if (v->a->region)
                loop_after(pl, v->a->region, 0, 1);
            else
                later(v, 1);
        } else {
            q->at_prepare = true;
        }
        if (at_of(pl, m)->op == OP_MAP_PAIR && at_of(pl, at_of(pl, m)->args[1])->op == OP_MAP_PAIR)
            depend_pairs(v, at_of(pl, m)->args[1]);
    }
}

static void use_map(visit *v, ir_val m, at where)
{
    planner *pl = v->pl;
    const ir_node *n = at_of(pl, m);
    switch ((ir_op)n->op) {
    case OP_MAP_INDEX:
        if (is_leaf(pl, n->args[0]) || where != AT_OTHER || inline_ok(pl, n->args[0]))
            push(v, n->args[0], where);
        else
            need_store(pl, n->args[0]);
        break;
    case OP_MAP_PAIR: depend_pairs(v, m); break;
    case OP_MAP_FIRST: case OP_MAP_SECOND: depend_pairs(v, n->args[0]); break;
    default: break;
    }
}

/* Another row of x is read, or x lies in the unit domain while the kernel's rows do not. */
static void elsewhere(visit *v, ir_val x)
{
    if (inline_ok(v->pl, x))
        push(v, x, AT_OTHER);
    else
        need_store(v->pl, x);
}

static void operand(visit *v, ir_val x, at where)
{
    const ir_node *n = at_of(v->pl, x);
    if (n->dom.i == 0 && !(v->a->rows.i == 0 && (where == AT_ROW || where == AT_PRE))) {
        if (where == AT_OTHER)
            push(v, x, AT_OTHER);
        else
            elsewhere(v, x);
    } else {
        push(v, x, where);
    }
}

static void visit_value(visit *v, ir_val x, at where, bool root)
{
    planner *pl = v->pl;
    const ir_node *n = at_of(pl, x);
    const vinfo *i = &pl->info[x.i];
    bool agg = is_agg(pl, x);
    if (!root || !(v->a->agg || i->store == (uint32_t)(v->a - pl->anchors.at) + 1)) {
        /* The loop stands in the region of its final values' readers, or around them; a sequence is complete then, too. */
        const ir_node *left = n->op == OP_RECALL ? at_of(pl, n->args[0]) : n;
        if (ir_leaves_loop((ir_op)left->op)) {
            uint32_t loop = left->u.loop.loop, parent = pl->l->loops[loop].parent;
            for (uint32_t k = 0; left->op == OP_FINAL && pl->l->loops[loop].again && k < pl->l->loops[loop].nstates; k++)
                push(v, pl->l->loops[loop].states[k].init, where);
            if (parent == v->a->region)
                later(v, pl->loops[loop].stage + 1);
            else
                loop_after(pl, v->a->region, parent, pl->loops[loop].stage + 1);
            return;
        }
        if (i->stored) {
            if (i->store)
                depend(v, i->store - 1, where);
            return;
        }
        if (agg) {
            bool here = where == AT_ROW && n->dom.i == v->a->rows.i && n->region == v->a->region;
            if (here)
                depend(v, i->agg - 1, where);
            else
                need_store(pl, x);
            return;
        }
        bool by_edge = pl->l->domains[n->dom.i].kind == DOM_EDGES;
        if (n->region != v->a->region && heavy(pl, x) && (!by_edge || may_store_by_edge(pl, x))) {
            need_store(pl, x);
            return;
        }
    } else if (agg && !v->a->agg) {     /* the store of an aggregate's result */
        depend(v, i->agg - 1, AT_ROW);
        return;
    }
    if (agg) {                          /* root: its operand at the members */
        if (n->op == OP_SPREAD) {
            depend_pairs(v, n->args[1]);
            operand(v, n->args[0], AT_MEMBER);
            return;
        }
        if (at_of(pl, n->args[n->nargs - 1])->op == OP_MAP_INDEX)
            depend_pairs(v, n->args[n->nargs - 1]);
        else
            use_map(v, n->args[n->nargs - 1], AT_MEMBER);
        for (uint32_t k = 0; k + 1 < n->nargs; k++) {
            if (pl->sums[x.i])
                for (uint32_t side = 0; side < 2; side++)
                    operand(v, pl->sums[x.i]->args[side], AT_MEMBER);
            else
                operand(v, n->args[k], AT_MEMBER);
        }
        return;
    }
    if (n->op == OP_GATHER) {
        ir_val m = n->args[1];
        if (at_of(pl, n->args[0])->dom.i == 0)
            elsewhere(v, n->args[0]);
        else if (where == AT_MEMBER && map_own(pl, v->a->fiber, m))
            push(v, n->args[0], AT_PRE);
        else if (where != AT_MEMBER && map_is_row(pl, m))
            push(v, n->args[0], where);
        else {
            use_map(v, m, where);
            elsewhere(v, n->args[0]);
        }
        return;
    }
    if (n->op == OP_ROWS || n->op == OP_UNROWS || is_pad(pl, x)) {
        elsewhere(v, n->args[0]);
        return;
    }
    if (n->op == OP_UNSPREAD) {
        depend_pairs(v, n->args[1]);
        if (where == AT_MEMBER && v->a->fiber.kind == FIBER_PAIR_BASE)
            push(v, n->args[0], AT_PRE);
        else
            elsewhere(v, n->args[0]);
        return;
    }
    if (n->op == OP_EINSUM && where != AT_OTHER) {
        bool swapped;
        product_form f = product_of(pl, x, &swapped);
        ir_val w = n->args[swapped ? 0 : 1], other = n->args[swapped ? 1 : 0];
        if (f == PRODUCT_GEMM) {
            if (!is_plain_array(pl, w))
                need_store(pl, w);
            operand(v, w, where);
            operand(v, other, where);
            return;
        }
        if (f == PRODUCT_GROUPED) {
            ir_val g = grouped_weights(pl, w);
            if (!is_plain_array(pl, g))
                need_store(pl, g);
        }
    }
    for (uint32_t k = 0; k < n->nargs; k++) {
        if (at_of(pl, n->args[k])->type == T_MAP)
            use_map(v, n->args[k], where);
        else
            operand(v, n->args[k], where);
    }
}

/* Row-wise stores: after which walk, and in whose kernel. */
static void settle(planner *pl, anchor *a, visit *v)
{
    if (a->agg || a->member)
        return;
    for (uint32_t i = 0; i < v->post.n; i++) {
        const anchor *d = &pl->anchors.at[v->post.at[i]];
        if (d->stage < a->stage) {
            vinfo *of = &pl->info[d->v.i];
            if (of->stored)
                continue;
            if (!of->raise) {               /* walk later, with what else is needed there; once */
                of->raise = a->stage;
                pl->again = true;
            } else {
                need_store(pl, d->v);
            }
        } else if (!a->post) {
            a->post = true;
            a->fiber = d->fiber;
        } else if (a->fiber.kind != d->fiber.kind || a->fiber.which != d->fiber.which) {
            v->conflict = true;
        }
    }
    if (v->conflict) {               /* one walk a kernel: all of them from memory, a stage later */
        for (uint32_t i = 0; i < v->post.n; i++)
            need_store(pl, pl->anchors.at[v->post.at[i]].v);
        a->stage++;
        a->post = false;
        a->fiber = (mp_fiber){FIBER_NONE, 0};
    }
}

static void stage_anchor(planner *pl, uint32_t k)
{
    visit v = {.pl = pl, .a = &pl->anchors.at[k], .post_stage = -1};
    pl->seen_epoch++;
    anchor *a = v.a;
    a->stage = 0;
    a->post = false;
    if (!a->agg && !a->member)
        a->fiber = (mp_fiber){FIBER_NONE, 0};
    at where = a->member ? AT_MEMBER : AT_ROW;
    visit_value(&v, a->v, where, true);
    while (v.todo.n && !pl->why) {
        task t = vec_pop(&v.todo);
        visit_value(&v, t.v, t.where, false);
    }
    if (pl->again || pl->why)
        return;
    a->stage = v.least;
    if (a->agg && a->stage < pl->info[a->v.i].raise)
        a->stage = pl->info[a->v.i].raise;
    settle(pl, a, &v);
    if (a->loop && pl->loops[a->loop - 1].stage <= a->stage)        /* a loop starts after what it starts from */
        pl->loops[a->loop - 1].stage = a->stage + 1;
}

/* ---- kernels ------------------------------------------------------------------------------------------------ */

static uint32_t kernel_for(planner *pl, const anchor *a, mp_fiber f)
{
    for (uint32_t i = 0; i < pl->kernels.n; i++) {
        kernel_plan *k = &pl->kernels.at[i];
        if (k->region == a->region && k->rows.i == a->rows.i && k->stage == a->stage && k->fiber.kind == f.kind && k->fiber.which == f.which)
            return i;
    }
    vec_push(pl->mem, &pl->kernels, (kernel_plan){.region = a->region, .rows = a->rows, .fiber = f, .stage = a->stage});
    return pl->kernels.n - 1;
}

static void make_kernels(planner *pl)
{
    vec_clear(&pl->kernels);
    for (uint32_t i = 0; i < pl->anchors.n; i++) {          /* walks first: row-wise stores join them */
        anchor *a = &pl->anchors.at[i];
        if (a->agg || a->member || a->post) {
            a->kernel = kernel_for(pl, a, a->fiber) + 1;
            vec_push(pl->mem, &pl->kernels.at[a->kernel - 1].anchors, i);
        }
    }
    for (uint32_t i = 0; i < pl->anchors.n; i++) {
        anchor *a = &pl->anchors.at[i];
        if (a->agg || a->member || a->post)
            continue;
        mp_fiber f = {FIBER_NONE, 0};
        int walks = 0;
        for (uint32_t k = 0; k < pl->kernels.n; k++) {
            kernel_plan *q = &pl->kernels.at[k];
            if (q->region == a->region && q->rows.i == a->rows.i && q->stage == a->stage && q->fiber.kind != FIBER_NONE) {
                f = q->fiber;
                walks++;
            }
        }
        a->kernel = kernel_for(pl, a, walks == 1 ? f : (mp_fiber){FIBER_NONE, 0}) + 1;
        vec_push(pl->mem, &pl->kernels.at[a->kernel - 1].anchors, i);
    }
}

static void note_use(plan_use *u, uint32_t kernel, at where)
{
    u->member |= where == AT_MEMBER;
    if (!u->kernel)
        u->kernel = kernel;
    else if (u->kernel != kernel)
        u->twice = true;
}

/* The same walk as in staging, noting which kernels work out what; then what should be worked out once. */
static void share(planner *pl)
{
    plan_use *use = NEW_N(pl->mem, plan_use, pl->n_info);
    for (uint32_t i = 0; i < pl->anchors.n && !pl->again; i++) {
        visit v = {.pl = pl, .a = &pl->anchors.at[i]};
        pl->seen_epoch++;
        push(&v, v.a->v, v.a->member ? AT_MEMBER : AT_ROW);
        bool root = true;
        while (v.todo.n) {
            task t = vec_pop(&v.todo);
            bool was_root = root;
            root = false;
            if (!pl->info[t.v.i].stored && !pl->info[t.v.i].agg && t.where != AT_OTHER)
                note_use(&use[t.v.i], v.a->kernel, t.where);
            visit_value(&v, t.v, t.where, was_root);
        }
    }
    if (!pl->again)
        share_values(pl, use);
}

void stage_all(planner *pl)
{
    pl->seen = NEW_N(pl->mem, uint32_t, (size_t)pl->n_info * 4);
    do {
        pl->again = false;
        for (uint32_t i = 0; i < pl->l->n_loops; i++)
            pl->loops[i].stage = 0;
        make_anchors(pl);
        /* In the order of values; among anchors of one value the aggregate comes first, so that its store can
         * follow it. Stores of outputs and states stand at the end of the list: they go in by their value. */
        uint32_t n = pl->anchors.n;
        uint32_t *order = NEW_N(pl->mem, uint32_t, n + 1), *first = NEW_N(pl->mem, uint32_t, pl->n_info + 1);
        for (uint32_t i = 0; i < n; i++)
            first[pl->anchors.at[i].v.i + 1 <= pl->n_info ? pl->anchors.at[i].v.i + 1 : pl->n_info]++;
        for (uint32_t i = 0; i < pl->n_info; i++)
            first[i + 1] += first[i];
        for (uint32_t i = 0; i < n; i++)
            order[first[pl->anchors.at[i].v.i]++] = i;
        for (uint32_t i = 0; i < n && !pl->why; i++)
            stage_anchor(pl, order[i]);
        if (pl->again || pl->why)
            continue;
        /* Loops start after the stores of their states and tolerances. */
        make_kernels(pl);
        share(pl);
    } while (pl->again && !pl->why);
}
