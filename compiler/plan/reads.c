/* What an anchor reads, and the stage that follows from it: see stage.c for the rules.
 *
 * From an anchor's value the walk goes down to what is at hand (in memory, or an accumulator of the same kernel); what
 * turns out to be needed from memory is stored on the way, and staging starts again. */
#include "compiler/plan/stage.h"

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
        if (is_at_hand(pl, n->args[0]) || where != AT_OTHER || inline_ok(pl, n->args[0]))
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

/* The final value of a loop, or what its steps recorded: the loop stands in the region of its readers, or around
 * them; a sequence is complete when it has ended, too. */
static void visit_loop(visit *v, const ir_node *left, at where)
{
    planner *pl = v->pl;
    const uint32_t loop = left->u.loop.loop;
    const ir_loop *lp = &pl->l->loops[loop];
    for (uint32_t k = 0; left->op == OP_FINAL && lp->again && k < lp->nstates; k++)
        push(v, lp->states[k].init, where);
    if (lp->parent == v->a->region)
        later(v, pl->loops[loop].stage + 1);
    else
        loop_after(pl, v->a->region, lp->parent, pl->loops[loop].stage + 1);
}

/* Does the way down end here: is the value there when it is read, or has it to be stored? */
static bool at_hand(visit *v, ir_val x, at where)
{
    planner *pl = v->pl;
    const ir_node *n = at_of(pl, x), *left = n->op == OP_RECALL ? at_of(pl, n->args[0]) : n;
    const vinfo *i = &pl->info[x.i];
    if (ir_leaves_loop((ir_op)left->op)) {
        visit_loop(v, left, where);
        return true;
    }
    if (i->stored) {
        if (i->store)
            depend(v, i->store - 1, where);
        return true;
    }
    if (is_agg(pl, x)) {
        bool here = where == AT_ROW && n->dom.i == v->a->rows.i && n->region == v->a->region;
        if (here)
            depend(v, i->agg - 1, where);
        else
            need_store(pl, x);
        return true;
    }
    bool by_edge = pl->l->domains[n->dom.i].kind == DOM_EDGES;
    if (n->region == v->a->region || !heavy(pl, x) || (by_edge && !may_store_by_edge(pl, x)))
        return false;
    need_store(pl, x);
    return true;
}

/* An aggregate reads its operand at the members. */
static void visit_aggregate(visit *v, ir_val x)
{
    planner *pl = v->pl;
    const ir_node *n = at_of(pl, x), *product = pl->sums[x.i];
    if (n->op == OP_SPREAD) {
        depend_pairs(v, n->args[1]);
        operand(v, n->args[0], AT_MEMBER);
        return;
    }
    const ir_val m = n->args[n->nargs - 1];
    if (at_of(pl, m)->op == OP_MAP_INDEX)
        depend_pairs(v, m);
    else
        use_map(v, m, AT_MEMBER);
    for (uint32_t k = 0; !product && k + 1 < n->nargs; k++)
        operand(v, n->args[k], AT_MEMBER);
    for (uint32_t side = 0; product && side < 2; side++)
        operand(v, product->args[side], AT_MEMBER);
}

static void visit_gather(visit *v, const ir_node *n, at where)
{
    planner *pl = v->pl;
    ir_val x = n->args[0], m = n->args[1];
    if (at_of(pl, x)->dom.i == 0) {
        elsewhere(v, x);
    } else if (where == AT_MEMBER && map_own(pl, v->a->fiber, m)) {
        push(v, x, AT_PRE);
    } else if (where != AT_MEMBER && map_is_row(pl, m)) {
        push(v, x, where);
    } else {
        use_map(v, m, where);
        elsewhere(v, x);
    }
}

static void visit_unspread(visit *v, const ir_node *n, at where)
{
    depend_pairs(v, n->args[1]);
    if (where == AT_MEMBER && v->a->fiber.kind == FIBER_PAIR_BASE)
        push(v, n->args[0], AT_PRE);
    else
        elsewhere(v, n->args[0]);
}

/* A product reads its weights as an array. */
static void store_weights(planner *pl, ir_val x)
{
    const ir_node *n = at_of(pl, x);
    bool swapped;
    product_form f = product_of(pl, x, &swapped);
    if (f == PRODUCT_LOOPS)
        return;
    ir_val w = n->args[swapped ? 0 : 1], array = f == PRODUCT_GEMM ? w : grouped_weights(pl, w);
    if (!is_plain_array(pl, array))
        need_store(pl, array);
}

static void visit_operands(visit *v, const ir_node *n, at where)
{
    for (uint32_t k = 0; k < n->nargs; k++)
        if (at_of(v->pl, n->args[k])->type == T_MAP)
            use_map(v, n->args[k], where);
        else
            operand(v, n->args[k], where);
}

static void visit_value(visit *v, ir_val x, at where, bool root)
{
    planner *pl = v->pl;
    const ir_node *n = at_of(pl, x);
    const bool agg = is_agg(pl, x), own = root && (v->a->agg || pl->info[x.i].store == (uint32_t)(v->a - pl->anchors.at) + 1);
    if (!own && at_hand(v, x, where))
        return;
    if (agg && !v->a->agg) {                /* the store of its result */
        depend(v, pl->info[x.i].agg - 1, AT_ROW);
    } else if (agg) {
        visit_aggregate(v, x);
    } else if (n->op == OP_GATHER) {
        visit_gather(v, n, where);
    } else if (n->op == OP_ROWS || n->op == OP_UNROWS || is_pad(pl, x)) {
        elsewhere(v, n->args[0]);
    } else if (n->op == OP_UNSPREAD) {
        visit_unspread(v, n, where);
    } else {
        if (n->op == OP_EINSUM && where != AT_OTHER)
            store_weights(pl, x);
        visit_operands(v, n, where);
    }
}

visit visit_begin(planner *pl, anchor *a)
{
    visit v = {.pl = pl, .a = a};
    pl->seen_epoch++;
    push(&v, a->v, a->member ? AT_MEMBER : AT_ROW);
    return v;
}

bool visit_next(visit *v, task *t)
{
    if (!v->todo.n || v->pl->why)
        return false;
    *t = vec_pop(&v->todo);
    visit_value(v, t->v, t->where, !v->begun);
    v->begun = true;
    return true;
}
