/* Values that several kernels work out: once, from memory, or in each of them?
 *
 * A value is stored where working it out again, with all that it takes which is not in memory, costs more than the
 * array does. Taken from the last value to the first: what is stored spares its readers all that it was made of, so
 * of a chain only the end is stored, unless the middle is needed elsewhere, too. */
#include "compiler/passes/cost.h"
#include "compiler/plan/planner.h"

/* By edge little is stored but outputs: a few numbers an edge (a score or share a head) that cost more to work out
 * again than to read. Never a row of features, whatever it costs: memory by edge and feature is what fusion is for. */
bool may_store_by_edge(const planner *pl, ir_val x)
{
    enum { FEW = 16 };
    const ir_node *n = at_of(pl, x);
    int64_t width;
    bool known = dim_is_const(pl->l->dims, elems_of((planner *)pl, x), &width);
    return (known ? width <= FEW : n->rank == 0) && ir_ops[n->op].cls != CLS_CONTRACT;
}

/* Nothing that a few vector instructions do is worth an array. */
static bool costly(const ir_node *n)
{
    ir_class cls = ir_ops[n->op].cls;
    return cls == CLS_CONTRACT || cls == CLS_REDUCE || (cls == CLS_EW && ir_ops[n->op].cost >= 12);
}

enum { MOST_MEMBERS = 256 };      /* of a chain: what costs so much pays anyway */

typedef struct chain {
    planner *pl;
    cost_model *model;
    uint8_t *seen;
    VEC(uint32_t) members;      /* what is worked out with the value, itself the first */
    double ns;
    bool costly;
} chain;

static bool ends_chain(const chain *c, ir_val v, ir_val as_stored, uint32_t dom)
{
    const vinfo *i = &c->pl->info[v.i];
    const ir_node *n = at_of(c->pl, v);
    return i->stored || i->agg || ir_same(v, as_stored) || n->dom.i != dom || n->type == T_MAP;
}

/* What the value is made of, at its own rows, down to what is in memory (one value as if it were) or an aggregate. Rows that
 * are gathered cost nothing here: one of the ends is the walk's own, the other's row is read for something else as a rule. */
static void follow(chain *c, ir_val x, ir_val as_stored)
{
    planner *pl = c->pl;
    vec_clear(&c->members);
    c->ns = 0;
    c->costly = false;
    vec_push(pl->mem, &c->members, x.i);
    c->seen[x.i] = 1;
    for (uint32_t i = 0; i < c->members.n; i++) {
        ir_val v = {c->members.at[i]};
        const ir_node *n = at_of(pl, v);
        if (c->members.n > MOST_MEMBERS)
            break;
        c->ns += n->op == OP_GATHER ? 0 : cost_value(c->model, v).ns;
        c->costly |= costly(n);
        for (uint32_t k = 0; k < n->nargs; k++) {
            ir_val a = n->args[k];
            if (c->seen[a.i] || ends_chain(c, a, as_stored, n->dom.i))
                continue;
            c->seen[a.i] = 1;
            vec_push(pl->mem, &c->members, a.i);
        }
    }
    for (uint32_t i = 0; i < c->members.n; i++)
        c->seen[c->members.at[i]] = 0;
}

static double type_size(uint32_t t)
{
    return t == T_F64 ? 8 : t == T_BOOL ? 1 : 4;
}

static double array_bytes(chain *c, ir_val x)
{
    const ir_node *n = at_of(c->pl, x);
    return cost_rows(c->model, n->dom) * cost_elems(c->model, x) * type_size(n->type);
}

/* An array by edge is written in the order of one walk and, as a rule, read in that of another. A sum over all rows, which
 * takes them as members, could do without the array. */
static double array_cost(chain *c, ir_val x, const plan_use *use)
{
    enum { BY_ROW = 2, BY_MEMBER = 6, BY_EDGE = 4 };
    bool by_edge = c->pl->l->domains[at_of(c->pl, x)->dom.i].kind == DOM_EDGES;
    return array_bytes(c, x) * COST_STREAM * (by_edge ? BY_EDGE : use[x.i].member ? BY_MEMBER : BY_ROW);
}

static bool pays(chain *c, ir_val x, const plan_use *use)
{
    planner *pl = c->pl;
    const ir_node *n = at_of(pl, x);
    ir_dom_kind kind = pl->l->domains[n->dom.i].kind;
    ir_class cls = ir_ops[n->op].cls;
    bool moves = cls == CLS_LEAF || cls == CLS_MAP || cls == CLS_LOOP || cls == CLS_GATHER || (cls == CLS_SHAPE && !heavy(pl, x));
    if (n->type == T_INDEX || n->type == T_BOOL || moves)
        return false;
    if (kind == DOM_UNIT)
        return costly(n);
    bool by_edge = kind == DOM_EDGES;
    if (by_edge ? !may_store_by_edge(pl, x) : kind == DOM_PAIR && (use[x.i].member || !costly(n)))
        return false;
    return c->costly && c->ns > array_cost(c, x, use);
}

/* Is there a part that other values are made of, too, no larger than x, and with it in memory x is cheap? */
static ir_val common_part(chain *c, ir_val x, const plan_use *use, const uint32_t *readers)
{
    ir_val found = {0};
    uint32_t n = c->members.n;
    uint32_t *parts = NEW_N(c->pl->mem, uint32_t, n + 1);
    for (uint32_t i = 0; i < n; i++)
        parts[i] = c->members.at[i];
    for (uint32_t i = 1; i < n && !ir_is(found); i++) {
        ir_val v = {parts[i]};
        if (!use[v.i].twice || readers[v.i] < 2 || !costly(at_of(c->pl, v)) || array_bytes(c, v) > array_bytes(c, x))
            continue;
        follow(c, v, (ir_val){0});
        if (!pays(c, v, use))
            continue;
        follow(c, x, v);
        if (!pays(c, x, use))
            found = v;
    }
    follow(c, ir_is(found) ? found : x, (ir_val){0});
    return ir_is(found) ? found : x;
}

static uint32_t *count_readers(planner *pl)
{
    uint32_t *readers = NEW_N(pl->mem, uint32_t, pl->n_info);
    for (uint32_t i = 1; i < pl->n_info; i++)
        for (uint32_t k = 0; pl->info[i].live && k < pl->l->nodes[i].nargs; k++)
            readers[pl->l->nodes[i].args[k].i]++;
    return readers;
}

void share_values(planner *pl, const plan_use *use)
{
    static const pass_options typical = {0};
    cost_model model = cost_model_make(pl->l, &typical);
    chain c = {.pl = pl, .model = &model, .seen = NEW_N(pl->mem, uint8_t, pl->n_info)};
    uint8_t *spared = NEW_N(pl->mem, uint8_t, pl->n_info);      /* part of a chain that is stored now: seen again next time */
    uint32_t *readers = count_readers(pl);
    for (uint32_t i = pl->n_info - 1; i > 0; i--) {
        ir_val x = {i};
        if (!use[i].twice || spared[i] || pl->info[i].stored)
            continue;
        follow(&c, x, (ir_val){0});
        if (!pays(&c, x, use))
            continue;
        x = common_part(&c, x, use, readers);
        if (spared[x.i])
            continue;
        need_store(pl, x);
        for (uint32_t k = 0; k < c.members.n; k++)
            spared[c.members.at[k]] = 1;
    }
}
