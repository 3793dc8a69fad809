/* The cut of the joint layer.
 *
 * 1. Which values depend on a cotangent. All of a loop does when one of its states does.
 * 2. For each other value, in the order of the IR: would it be saved if it were needed? It would when keeping it costs
 *    less than computing it again from inputs and from values before it that would be saved. Never by edge or by pair.
 *    An output costs nothing.
 * 3. From what the gradients read backwards: what would be saved is, of the rest the operands are needed in turn.
 * 4. One by one, values that are needed change sides where that makes all of it cheaper: a sum is saved in place of two
 *    products that only it needs; a number is computed again when what it is computed from is there anyway.
 */
#include "compiler/ir/copy.h"
#include "compiler/passes/cost.h"
#include "compiler/support/vec.h"
#include "compiler/train/train.h"

typedef enum fate { FATE_AGAIN, FATE_SAVED, FATE_OUTPUT } fate;

typedef struct cutter {
    const ir_layer *l;
    arena *mem;
    cost_model model;
    ir_live live;
    uint32_t n_inputs, n_outputs;
    uint8_t *depends;           /* by value: on a cotangent */
    uint8_t *loop_depends;
    uint8_t *fate;              /* by value: what it would be */
    uint32_t *output;           /* by value: 1 + the output that holds it as it is */
    uint8_t *needed;            /* by value: by the backward */
    double *bytes, *again, *own;        /* own: of computing it from its operands */
    uint32_t *seen, turn;
    VEC(uint32_t) todo;
} cutter;

/* ---- what is the forward's -------------------------------------------------------------------------------------- */

static bool is_of_loop(const ir_node *n)
{
    return ir_ops[n->op].cls == CLS_LOOP;
}

static bool value_depends(const cutter *c, ir_val v)
{
    const ir_node *n = ir_at(c->l, v);
    if (n->op == OP_INPUT)
        return n->u.input >= c->n_inputs;
    if (is_of_loop(n) && c->loop_depends[n->u.loop.loop])
        return true;
    for (uint32_t k = 0; k < n->nargs; k++)
        if (c->depends[n->args[k].i])
            return true;
    return n->region && c->loop_depends[n->region - 1];
}

static void find_dependence(cutter *c)
{
    const ir_layer *l = c->l;
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t i = 0; i < c->live.n; i++)
            c->depends[c->live.order[i].i] = value_depends(c, c->live.order[i]);
        for (uint32_t i = 0; i < l->n_loops; i++) {
            const ir_loop *p = &l->loops[i];
            bool any = c->depends[p->tol.i] || c->depends[p->count.i];
            for (uint32_t k = 0; k < p->nstates; k++)
                if (c->live.state[i][k])
                    any |= c->depends[p->states[k].init.i] || c->depends[p->states[k].next.i];
            if (c->live.loop[i] && any && !c->loop_depends[i])
                c->loop_depends[i] = changed = true;
        }
    }
}

/* ---- what would be saved ---------------------------------------------------------------------------------------- */

static void push(cutter *c, ir_val v)
{
    if (!v.i || c->seen[v.i] == c->turn)
        return;
    c->seen[v.i] = c->turn;
    vec_push(c->mem, &c->todo, v.i);
}

/* All that v is computed from at once: operands, and for what a loop leaves behind all of the loop. */
static void push_operands(cutter *c, const ir_node *n)
{
    for (uint32_t k = 0; k < n->nargs; k++)
        push(c, n->args[k]);
    push(c, c->l->domains[n->dom.i].map);
    if (!is_of_loop(n))
        return;
    const ir_loop *p = &c->l->loops[n->u.loop.loop];
    push(c, p->tol);
    push(c, p->count);
    for (uint32_t k = 0; k < p->nstates; k++) {
        if (!c->live.state[n->u.loop.loop][k])
            continue;
        push(c, p->states[k].init);
        push(c, p->states[k].next);
    }
}

static double size_of(ir_type t)
{
    return t == T_F64 ? 8 : t == T_BOOL ? 1 : t == T_F16 || t == T_BF16 ? 2 : 4;
}

/* Of v from its operands. An aggregate is a walk of its own in the backward, which finds its members anew. */
static double own_cost(cutter *c, ir_val v)
{
    const ir_node *n = ir_at(c->l, v);
    double ns = cost_value(&c->model, v).ns;
    if (ir_ops[n->op].cls != CLS_AGG)
        return ns;
    double members = cost_rows(&c->model, ir_at(c->l, n->args[n->nargs - 1])->dom);
    return ns + members * cost_elems(&c->model, n->args[0]) * size_of((ir_type)n->type) * COST_FAR;
}

/* Of computing v from inputs and what would be saved. */
static double cost_again(cutter *c, ir_val v)
{
    double ns = 0;
    c->turn++;
    vec_clear(&c->todo);
    push(c, v);
    while (c->todo.n) {
        ir_val x = {vec_pop(&c->todo)};
        if (!ir_same(x, v) && c->fate[x.i] != FATE_AGAIN)
            continue;
        ns += own_cost(c, x);
        push_operands(c, ir_at(c->l, x));
    }
    return ns;
}

static bool by_member(const cutter *c, const ir_node *n)
{
    ir_dom_kind kind = c->l->domains[n->dom.i].kind;
    return kind == DOM_EDGES || kind == DOM_PAIR;
}

/* A row of a few bytes costs about as much as one of these: it is an array more that kernels go through. */
enum { LEAST_ROW = 16 };

/* May the value be kept? Views and conversions may not: what they are of may. */
static bool is_candidate(const cutter *c, ir_val v)
{
    const ir_node *n = ir_at(c->l, v);
    ir_class cls = ir_ops[n->op].cls;
    bool view = (cls == CLS_SHAPE && n->op != OP_CONCAT) || n->op == OP_CAST || n->op == OP_STOP;
    return !c->depends[v.i] && !n->region && !view && cls != CLS_LEAF && cls != CLS_MAP && n->type != T_MAP;
}

static double keep_cost(cutter *c, ir_val v)
{
    double least = cost_rows(&c->model, ir_at(c->l, v)->dom) * LEAST_ROW;
    return 2 * COST_STREAM * (c->bytes[v.i] > least ? c->bytes[v.i] : least);
}

static void judge(cutter *c, ir_val v)
{
    const ir_node *n = ir_at(c->l, v);
    c->own[v.i] = own_cost(c, v);
    if (!is_candidate(c, v))
        return;
    double entries = dim_ok(n->slots) ? cost_dim(&c->model, n->slots) : 1;
    c->bytes[v.i] = cost_rows(&c->model, n->dom) * cost_elems(&c->model, v) * size_of((ir_type)n->type) * entries;
    c->again[v.i] = cost_again(c, v);
    if (c->output[v.i])
        c->fate[v.i] = FATE_OUTPUT;
    else if (!by_member(c, n) && (keep_cost(c, v) < c->again[v.i] || dim_ok(n->slots)))
        c->fate[v.i] = FATE_SAVED;
}

/* Outputs that lie in memory just as the value is: other rows or a rounded type are something else. */
static void find_outputs(cutter *c)
{
    for (uint32_t i = 0; i < c->n_outputs; i++) {
        const ir_output *o = &c->l->outputs[i];
        const ir_node *n = ir_at(c->l, o->value);
        bool half = n->type == T_F16 || n->type == T_BF16;
        if (!half && ir_dom_same(n->dom, o->rows) && !c->output[o->value.i])
            c->output[o->value.i] = 1 + i;
    }
}

/* ---- what is needed --------------------------------------------------------------------------------------------- */

/* Returns what the forward's part of it costs. */
static double find_needed(cutter *c)
{
    double ns = 0;
    c->turn++;
    vec_clear(&c->todo);
    for (uint32_t i = 0; i < c->live.n; i++)
        c->needed[c->live.order[i].i] = 0;
    for (uint32_t i = c->n_outputs; i < c->l->n_outputs; i++) {
        push(c, c->l->outputs[i].value);
        push(c, c->l->domains[c->l->outputs[i].rows.i].map);
    }
    while (c->todo.n) {
        ir_val v = {vec_pop(&c->todo)};
        c->needed[v.i] = 1;
        if (!c->depends[v.i])
            ns += c->fate[v.i] == FATE_SAVED ? keep_cost(c, v) : c->fate[v.i] == FATE_AGAIN ? c->own[v.i] : 0;
        if (c->depends[v.i] || c->fate[v.i] == FATE_AGAIN)
            push_operands(c, ir_at(c->l, v));
    }
    return ns;
}

enum { MOST_ROUNDS = 4, MOST_LOOKS = 50000000 };

static void improve(cutter *c)
{
    double best = find_needed(c);
    uint64_t looks = 0;
    bool changed = true;
    for (int round = 0; round < MOST_ROUNDS && changed && looks < MOST_LOOKS; round++) {
        changed = false;
        for (uint32_t i = 0; i < c->live.n && looks < MOST_LOOKS; i++) {
            ir_val v = c->live.order[i];
            fate old = (fate)c->fate[v.i];
            if (!c->needed[v.i] || !is_candidate(c, v) || old == FATE_OUTPUT || by_member(c, ir_at(c->l, v)) ||
                dim_ok(ir_at(c->l, v)->slots))
                continue;
            c->fate[v.i] = old == FATE_SAVED ? FATE_AGAIN : FATE_SAVED;
            double now = find_needed(c);
            looks += c->live.n;
            if (now < best * (1 - 1e-9)) {
                best = now;
                changed = true;
            } else {
                c->fate[v.i] = (uint8_t)old;
                find_needed(c);
            }
        }
    }
}

static bool is_read(const cutter *c, ir_val v, fate f)
{
    return c->needed[v.i] && !c->depends[v.i] && c->fate[v.i] == f;
}

static str value_name(cutter *c, ir_val v)
{
    const ir_node *n = ir_at(c->l, v);
    return n->name ? n->name : arena_printf(c->mem, "%s.%u", ir_ops[n->op].text, v.i);
}

/* Values that the backward has, and those that are dear enough to be told of though they are not saved. */
static void report(cutter *c, train_layers *t)
{
    VEC(train_choice) all = {0};
    for (uint32_t i = 0; i < c->live.n; i++) {
        ir_val v = c->live.order[i];
        const ir_node *n = ir_at(c->l, v);
        bool again = is_read(c, v, FATE_AGAIN) && !n->region && c->again[v.i] > 0 && ir_ops[n->op].cls != CLS_GATHER;
        if (!again && !is_read(c, v, FATE_SAVED) && !is_read(c, v, FATE_OUTPUT))
            continue;
        train_choice x = {.name = n->name, .op = ir_ops[n->op].text, .rows = c->l->domains[n->dom.i].name, .where = n->where,
                          .saved = c->fate[v.i] == FATE_SAVED, .is_output = c->fate[v.i] == FATE_OUTPUT,
                          .bytes = c->bytes[v.i], .ns = c->again[v.i]};
        vec_push(c->mem, &all, x);
    }
    t->choices = all.at;
    t->n_choices = all.n;
}

/* ---- the two layers --------------------------------------------------------------------------------------------- */

static void add_output(ir_layer *l, str name, ir_val v)
{
    l->outputs[l->n_outputs++] = (ir_output){.name = name, .value = v, .rows = l->nodes[v.i].dom, .where = l->nodes[v.i].where};
}

/* The joint layer with other outputs. Its nodes are a copy: they may be changed. */
static ir_layer clone(const cutter *c)
{
    const ir_layer *l = c->l;
    ir_layer x = *l;
    x.nodes = NEW_N(c->mem, ir_node, l->n_nodes + 1);
    for (uint32_t i = 0; i < l->n_nodes; i++)
        x.nodes[i] = l->nodes[i];
    x.outputs = NEW_N(c->mem, ir_output, l->n_outputs + l->n_nodes + 1);
    x.n_outputs = 0;
    x.inputs = NEW_N(c->mem, ir_input, l->n_inputs + l->n_nodes + 1);
    for (uint32_t i = 0; i < l->n_inputs; i++)
        x.inputs[i] = l->inputs[i];
    return x;
}

static void make_train(cutter *c, train_layers *t, const ir_val *saved)
{
    ir_layer x = clone(c);
    t->train_inputs = NEW_N(c->mem, train_role, x.n_inputs + 1);
    t->train_outputs = NEW_N(c->mem, train_role, c->n_outputs + t->n_saved + 1);
    for (uint32_t i = 0; i < c->n_outputs; i++) {
        x.outputs[x.n_outputs++] = c->l->outputs[i];
        t->train_outputs[i] = (train_role){TRAIN_OUTPUT, i};
    }
    for (uint32_t i = 0; i < t->n_saved; i++) {
        add_output(&x, arena_printf(c->mem, "saved.%s", value_name(c, saved[i])), saved[i]);
        t->train_outputs[c->n_outputs + i] = (train_role){TRAIN_SAVED, i};
    }
    t->train = ir_compact(&x, c->mem);
}

/* Where v was computed it is read from outside now. */
static void becomes_input(cutter *c, train_layers *t, ir_layer *x, ir_val v, const char *prefix, train_role role)
{
    ir_node *n = &x->nodes[v.i];
    str name = arena_printf(c->mem, "%s.%s", prefix, value_name(c, v));
    x->inputs[x->n_inputs] = (ir_input){.name = name, .value = v, .of_call = true, .where = n->where};
    t->backward_inputs[x->n_inputs] = role;
    n->op = OP_INPUT;
    n->nargs = 0;
    n->args = NULL;
    n->region = 0;
    n->u.input = x->n_inputs++;
}

static void make_backward(cutter *c, train_layers *t, const ir_val *saved, const ir_val *outputs, uint32_t n_read)
{
    ir_layer x = clone(c);
    t->backward_inputs = NEW_N(c->mem, train_role, x.n_inputs + t->n_saved + n_read + 1);
    t->backward_outputs = NEW_N(c->mem, train_role, c->l->n_outputs + 1);
    for (uint32_t i = 0; i < t->n_saved; i++)
        becomes_input(c, t, &x, saved[i], "saved", (train_role){TRAIN_SAVED, i});
    for (uint32_t i = 0; i < n_read; i++)
        becomes_input(c, t, &x, outputs[i], "out", (train_role){TRAIN_OUTPUT, c->output[outputs[i].i] - 1});
    for (uint32_t i = c->n_outputs; i < c->l->n_outputs; i++)
        x.outputs[x.n_outputs++] = c->l->outputs[i];
    t->backward = ir_compact(&x, c->mem);
}

void train_cut(train_layers *t, arena *mem, const pass_options *options, uint32_t n_inputs, uint32_t n_outputs)
{
    const ir_layer *l = t->joint;
    uint32_t n = l->n_nodes;
    cutter *c = NEW(mem, cutter);
    *c = (cutter){.l = l, .mem = mem, .model = cost_model_make(l, options), .live = ir_find_live(l, mem), .n_inputs = n_inputs,
                  .n_outputs = n_outputs, .depends = NEW_N(mem, uint8_t, n), .loop_depends = NEW_N(mem, uint8_t, l->n_loops + 1),
                  .fate = NEW_N(mem, uint8_t, n), .output = NEW_N(mem, uint32_t, n), .needed = NEW_N(mem, uint8_t, n),
                  .bytes = NEW_N(mem, double, n), .again = NEW_N(mem, double, n), .own = NEW_N(mem, double, n), .seen = NEW_N(mem, uint32_t, n)};
    find_dependence(c);
    find_outputs(c);
    for (uint32_t i = 0; i < c->live.n; i++)
        judge(c, c->live.order[i]);
    improve(c);
    ir_val *saved = NEW_N(mem, ir_val, n), *outputs = NEW_N(mem, ir_val, n);
    uint32_t n_read = 0;
    for (uint32_t i = 0; i < c->live.n; i++) {
        ir_val v = c->live.order[i];
        if (is_read(c, v, FATE_SAVED))
            saved[t->n_saved++] = v;
        if (is_read(c, v, FATE_OUTPUT))
            outputs[n_read++] = v;
    }
    report(c, t);
    make_train(c, t, saved);
    make_backward(c, t, saved, outputs, n_read);
}
