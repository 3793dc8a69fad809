/* Product: factors, contractions and one sum over members in the cheapest order.
 *
 * So factors of one map are multiplied where they live, weights are multiplied with each other first, what
 * is the same for a group leaves the sum, a product by a weight stands before or after the sum as widths
 * say, and products with a matrix a relation are made once a pair of node and relation. A factor that
 * leaves a sum must not make 0 of nothing into something else: where it may be no finite number, the
 * result is 0 where there are no members. */
#include "compiler/passes/product.h"
#include "compiler/passes/rules.h"

#include <string.h>

enum { MAX_TREE = 400 };

typedef struct homes {
    uint32_t n;
    ir_val map[ORDER_HOMES];
    ir_val way[ORDER_WAYS], rest[ORDER_WAYS];   /* maps of the ways; of the sum that is left after them */
} homes;

/* ---- stating the problem ---- */

static uint8_t home_id(homes *h, ir_val along)
{
    for (uint8_t k = 2; k < h->n; k++)
        if (ir_same(h->map[k], along))
            return k;
    if (h->n == ORDER_HOMES)
        return HOME_LOCAL;
    h->map[h->n] = along;
    return (uint8_t)h->n++;
}

static bool is_kind_map(const ir_layer *l, ir_val along)
{
    return op_of(l, along) == OP_MAP_INDEX && ir_map_total(l, along);
}

static bool is_node_map(const ir_layer *l, ir_val along)
{
    return l->domains[ir_cod(l, along).i].kind == DOM_NODES;
}

static uint8_t home_of(rewriter *r, homes *h, const factor *f, bool divides)
{
    ir_layer *l = r->l;
    if (is_unit(l, f->t.v))
        return HOME_UNIT;
    if (op_of(l, f->t.v) != OP_GATHER)
        return HOME_LOCAL;
    ir_val along = arg_of(l, f->t.v, 1);
    if (!cost_fewer_rows(&r->model, ir_cod(l, along), dom_of(l, f->t.v)) ||
        (divides && !ir_map_total(l, along)))
        return HOME_LOCAL;
    return home_id(h, along);
}

/* The map to the side of a node that edges are sorted by. */
static ir_val sorted_side(ir_layer *l, ir_val node)
{
    ir_op op = op_of(l, node);
    return op == OP_MAP_DST_SRC ? ir_map_dst(l) : op == OP_MAP_SRC_DST ? ir_map_src(l) : node;
}

/* Pairs of a node and a kind: homes of what depends on both. */
static void add_pairs(rewriter *r, homes *h)
{
    ir_layer *l = r->l;
    uint32_t n = h->n;
    for (uint32_t i = 2; i < n; i++) {
        for (uint32_t j = 2; j < n; j++) {
            ir_val kind = h->map[i], node = h->map[j];
            if (!is_kind_map(l, kind) || !is_node_map(l, node) || h->n == ORDER_HOMES)
                continue;
            home_id(h, ir_map_pair(l, arg_of(l, kind, 0), sorted_side(l, node)));
        }
    }
}

static void add_way(rewriter *r, const product *p, homes *h, order_problem *q, ir_val way, ir_val rest)
{
    ir_layer *l = r->l;
    if (q->n_ways == ORDER_WAYS)
        return;
    order_way *w = &q->way[q->n_ways];
    h->way[q->n_ways] = way;
    h->rest[q->n_ways++] = rest;
    *w = (order_way){.rows = cost_rows(&r->model, ir_cod(l, way)), .byte = cost_gather_byte(&r->model, way)};
    w->home[HOME_UNIT] = HOME_UNIT;
    w->home[HOME_LOCAL] = ORDER_NO;
    for (uint32_t k = 2; k < h->n; k++) {
        ir_val m = h->map[k];
        bool to_way = map_lifts(l, m, way), to_groups = map_lifts(l, m, p->map);
        w->home[k] = !to_way ? ORDER_NO : !ir_is(rest) || !to_groups ? HOME_LOCAL : AFTER_REST;
        if (to_way && ir_is(rest) && is_kind_map(l, m) && op_of(l, way) == OP_MAP_PAIR)
            w->home[k] = AFTER_KIND;
    }
}

static void add_ways(rewriter *r, const product *p, homes *h, order_problem *q)
{
    ir_layer *l = r->l;
    ir_op m = op_of(l, p->map);
    add_way(r, p, h, q, p->map, (ir_val){0});
    for (uint32_t k = 0; k < p->n; k++)         /* attention's one walk is not taken apart */
        if (op_of(l, p->f[k].atom) == OP_SOFTMAX && ir_same(arg_of(l, p->f[k].atom, 1), p->map))
            return;
    uint32_t n = h->n;
    for (uint32_t k = 2; k < n; k++) {
        ir_val g = sorted_side(l, h->map[k]);
        bool plain = op_of(l, g) == OP_MAP_DST || op_of(l, g) == OP_MAP_SRC ||
                     op_of(l, g) == OP_MAP_GRAPH || op_of(l, g) == OP_MAP_INDEX;
        if (!plain || ir_same(g, p->map) || !ir_map_total(l, g))
            continue;
        if (is_kind_map(l, g) && is_node_map(l, p->map) && op_of(l, p->map) != OP_MAP_PREFIX) {
            ir_val pair = ir_map_pair(l, arg_of(l, g, 0), p->map);
            add_way(r, p, h, q, pair, ir_map_first(l, pair));
        } else if (m == OP_MAP_UNIT) {
            add_way(r, p, h, q, g, ir_map_unit(l, ir_cod(l, g)));
        } else if (m == OP_MAP_GRAPH && is_node_map(l, g)) {
            add_way(r, p, h, q, g, ir_map_graph(l, ir_cod(l, g)));
        }
    }
}

static double steps_of(rewriter *r, ir_val v)
{
    double n = 1;
    for (uint32_t region = ir_at(r->l, v)->region; region; region = ir_region_parent(r->l, region))
        n *= 10;
    return n;
}

static void state_problem(rewriter *r, const product *p, homes *h, order_problem *q)
{
    ir_layer *l = r->l;
    bool divides = false;
    memset(q, 0, sizeof *q);
    *h = (homes){.n = 2};
    for (uint32_t k = 0; k < p->n; k++)
        divides = divides || p->f[k].inverse;
    q->out = p->out;
    q->n = p->n;
    for (uint32_t k = 0; k < p->n; k++) {
        const term *t = &p->f[k].t;
        ir_val atom = p->f[k].atom;
        if (op_of(l, atom) == OP_GATHER)
            atom = arg_of(l, atom, 0);
        q->f[k] = (order_factor){.at = term_letters(t),
                                 .home = home_of(r, h, &p->f[k], divides),
                                 .inverse = p->f[k].inverse,
                                 .computed = !cost_in_memory(l, atom),
                                 .steps = steps_of(r, t->v)};
        for (uint32_t j = 0; j < t->n; j++)
            q->size[t->at[j]] = cost_dim(&r->model, ir_at(l, t->v)->shape[j]);
    }
    add_pairs(r, h);
    if (ir_is(p->map)) {
        q->sums = true;
        q->group_rows = cost_rows(&r->model, ir_cod(l, p->map));
        home_id(h, p->map);
        add_ways(r, p, h, q);
    }
    q->edges = l->domains[p->members.i].kind == DOM_EDGES;
    q->n_homes = h->n;
    q->rows[HOME_UNIT] = 1;
    q->rows[HOME_LOCAL] = cost_rows(&r->model, p->members);
    for (uint32_t k = 2; k < h->n; k++) {
        q->rows[k] = cost_rows(&r->model, ir_cod(l, h->map[k]));
        q->byte[k] = cost_gather_byte(&r->model, h->map[k]);
        q->kind[k] = is_kind_map(l, h->map[k]);
    }
    memset(q->join, HOME_LOCAL, sizeof q->join);
    for (uint32_t i = 2; i < h->n; i++) {
        for (uint32_t j = 2; j < h->n; j++) {
            ir_val m = join_maps(l, h->map[i], h->map[j]);
            uint8_t home = HOME_LOCAL;
            for (uint8_t k = 2; k < h->n; k++) {
                bool both = ir_is(m) ? ir_same(h->map[k], m)
                                     : op_of(l, h->map[k]) == OP_MAP_PAIR &&
                                           map_lifts(l, h->map[i], h->map[k]) &&
                                           map_lifts(l, h->map[j], h->map[k]);
                if (both && (home == HOME_LOCAL || q->rows[k] < q->rows[home]))
                    home = k;
            }
            q->join[i][j] = q->rows[home] < q->rows[HOME_LOCAL] ? home : HOME_LOCAL;
        }
    }
}

/* ---- carrying out an order ---- */

typedef struct maker {
    rewriter *r;
    product *p;
    const homes *h;
    enum { BEFORE, UNDERWAY, AFTER } stage;
    uint32_t way;
    ir_val guard;               /* the map whose groups the last sum was over: they may be empty */
} maker;

static term divided(ir_layer *l, const term *x, const term *y, ir_op op)
{
    uint8_t names[2 * IR_MAX_RANK];
    uint32_t n = 0;
    letters seen = 0;
    for (uint32_t side = 0; side < 2; side++) {
        const term *t = side ? y : x;
        for (uint32_t k = 0; k < t->n; k++) {
            if (!(seen >> t->at[k] & 1))
                names[n++] = t->at[k];
            seen |= (letters)1 << t->at[k];
        }
    }
    term r = {.n = n};
    r.v = ir_ew2(l, op, term_arrange(l, x, names, n), term_arrange(l, y, names, n));
    memcpy(r.at, names, n);
    return r;
}

static term multiplied(ir_layer *l, const factor *a, const factor *b, letters need, letters out)
{
    if (!a->inverse && !b->inverse)
        return term_contract_to(l, &a->t, &b->t, need, out);
    if (a->inverse && b->inverse)
        return divided(l, &a->t, &b->t, OP_MUL);
    term t = a->inverse ? divided(l, &b->t, &a->t, OP_DIV) : divided(l, &a->t, &b->t, OP_DIV);
    return term_sum(l, &t, need);
}

static bool fits_rank(const factor *a, const factor *b)
{
    return __builtin_popcount(term_letters(&a->t) | term_letters(&b->t)) <= IR_MAX_RANK;
}

static ir_val map_of_home(maker *m, uint8_t home)
{
    if (home <= HOME_LOCAL || m->stage == AFTER)
        return (ir_val){0};
    if (m->stage == BEFORE)
        return m->h->map[home];
    return home == AFTER_REST ? m->h->rest[m->way] : ir_map_second(m->r->l, m->h->way[m->way]);
}

static bool merge(maker *m, const order_step *s)
{
    ir_layer *l = m->r->l;
    product *p = m->p;
    factor *a = &p->f[s->i], *b = &p->f[s->j];
    letters need = p->out;
    for (uint32_t k = 0; k < p->n; k++)
        if (k != s->i && k != s->j)
            need |= term_letters(&p->f[k].t);
    if ((a->inverse || b->inverse) && !fits_rank(a, b))
        return false;
    ir_val along = map_of_home(m, s->home);
    factor x = *a, y = *b;
    if (ir_is(along)) {
        x.t.v = lift(l, x.t.v, along);
        y.t.v = lift(l, y.t.v, along);
        if (!ir_is(x.t.v) || !ir_is(y.t.v))
            return false;
    }
    if ((x.wild || y.wild) && (x.tainted || y.tainted))
        return false;
    factor made = {.t = multiplied(l, &x, &y, need, p->out),
                   .inverse = x.inverse && y.inverse,
                   .summed = x.summed || y.summed,
                   .wild = x.wild || y.wild,
                   .tainted = x.tainted || y.tainted,
                   .outside = x.outside && y.outside};
    if (made.wild && made.summed) {             /* nothing is summed where there are no members */
        made.t.v = where_members(l, m->guard, made.t.v, 0);
        made.wild = false;
    }
    if (ir_is(along))
        made.t.v = ir_gather(l, made.t.v, along);
    *a = made;
    *b = p->f[--p->n];
    return true;
}

/* A factor that the sum leaves behind, guarded where groups may be empty. */
static void leave(maker *m, factor *f, ir_val along, bool last)
{
    ir_layer *l = m->r->l;
    along = last ? m->p->map : along;
    bool finite = is_finite(l, f->t.v), unit = is_unit(l, f->t.v);
    f->wild = false;
    if (f->outside) {
        f->tainted = last && !(finite && (!f->inverse || is_positive(l, f->t.v)));
        return;
    }
    if (op_of(l, along) == OP_MAP_PAIR)           /* no pair without members */
        return;
    if (f->inverse && !is_positive(l, f->t.v))
        f->t.v = where_members(l, along, f->t.v, 1);
    else if (!f->inverse && !finite && !unit)
        f->t.v = where_members(l, along, f->t.v, 0);
    else if (!f->inverse && !finite)
        f->wild = true;
}

static bool sum_members(maker *m, const order_step *s)
{
    ir_layer *l = m->r->l;
    product *p = m->p;
    ir_val along = s->kind == STEP_REST ? m->h->rest[m->way] : m->h->way[s->way];
    bool last = s->kind == STEP_REST || !ir_is(m->h->rest[s->way]);
    m->guard = last ? p->map : along;
    for (uint32_t k = 0; k < p->n; k++) {
        factor *f = &p->f[k];
        if (k == s->i) {
            f->t.v = ir_agg(l, OP_AGG_SUM, f->t.v, along);
            f->summed = true;
            continue;
        }
        f->t.v = lift(l, f->t.v, along);
        if (!ir_is(f->t.v))
            return false;
        leave(m, f, along, last);
    }
    m->way = s->kind == STEP_REST ? m->way : s->way;
    m->stage = last ? AFTER : UNDERWAY;
    return true;
}

static ir_val make(rewriter *r, ir_val v, product *p, const homes *h, const order *o)
{
    ir_layer *l = r->l;
    maker m = {.r = r, .p = p, .h = h};
    for (uint32_t k = 0; k < o->n; k++)
        if (!(o->at[k].kind == STEP_MERGE ? merge(&m, &o->at[k]) : sum_members(&m, &o->at[k])))
            return v;
    factor *f = &p->f[0];
    if (p->n != 1 || f->wild || (term_letters(&f->t) & ~p->out))
        return v;
    ir_type type = (ir_type)ir_at(l, v)->type;
    ir_val w = term_arrange(l, &f->t, p->names, p->rank);
    if (f->inverse)
        w = ir_div(l, ir_const(l, type, 1), w);
    w = ir_mul(l, w, ir_dimval(l, type, p->times));
    if (p->minus)
        w = ir_neg(l, w);
    return as_shape_of(l, w, v);
}

/* ---- what it wins ---- */

typedef struct tree { ir_val seen[MAX_TREE]; uint32_t n, done; } tree;

static void visit(tree *t, ir_val v)
{
    for (uint32_t k = 0; k < t->n; k++)
        if (ir_same(t->seen[k], v))
            return;
    if (t->n < MAX_TREE)
        t->seen[t->n++] = v;
}

/* Cost of v from the atoms; negative when it is too large a tree to tell. */
static double cost_from(rewriter *r, ir_val v, const ir_val *atoms, uint32_t n_atoms)
{
    ir_layer *l = r->l;
    tree t = {.n = 0};
    double ns = 0;
    visit(&t, v);
    for (; t.done < t.n; t.done++) {
        ir_val x = t.seen[t.done];
        bool atom = ir_at(l, x)->type == T_MAP;
        for (uint32_t k = 0; k < n_atoms; k++)
            atom = atom || ir_same(atoms[k], x);
        if (atom)
            continue;
        const ir_node *n = ir_at(l, x);
        ns += cost_value(&r->model, x).ns;
        if (n->op == OP_GATHER && cost_gather_byte(&r->model, n->args[1]) == COST_FAR &&
            !cost_in_memory(l, n->args[0]))
            ns += cost_rows(&r->model, dom_of(l, n->args[0])) * cost_elems(&r->model, x) * 4 * COST_STREAM *
                  steps_of(r, n->args[0]);
        for (uint32_t k = 0; k < n->nargs; k++)
            visit(&t, n->args[k]);
    }
    return t.n < MAX_TREE ? ns : -1;
}

/* Is v a part of a larger product, that will be looked at as a whole? Only roots are worth the search. */
static bool worth_it(rewriter *r, ir_val v)
{
    ir_op op = op_of(r->l, v);
    if (op == OP_AGG_SUM || op == OP_EINSUM)
        return true;
    return op == OP_MUL && !is_unit(r->l, v);
}

/* Element-wise products of factors that all live in different places, or all among the members, are as
 * they are. */
static bool anything_to_choose(const product *p, const order_problem *q)
{
    letters all = 0;
    uint32_t of_home[ORDER_HOMES] = {0};
    for (uint32_t k = 0; k < q->n; k++) {
        all |= q->f[k].at;
        if (++of_home[q->f[k].home] > 1 && q->f[k].home != HOME_LOCAL)
            return true;
        if (q->f[k].steps != q->f[0].steps)
            return true;
    }
    return ir_is(p->map) || (all & ~p->out);
}

ir_val rule_product(rewriter *r, ir_val v)
{
    ir_layer *l = r->l;
    product p;
    if (!worth_it(r, v) || !ir_is_arith(ir_at(l, v)->type) || !product_take(r, v, true, &p) ||
        p.n < (ir_is(p.map) || op_of(l, v) == OP_EINSUM ? 2u : 3u))
        return v;
    ir_val atoms[2 * ORDER_FACTORS];
    uint32_t n_atoms = 0;
    for (uint32_t k = 0; k < p.n; k++) {
        ir_val a = p.f[k].atom;
        bool gather = op_of(l, a) == OP_GATHER;
        if (!gather || rw_uses(r, a) > 1)       /* read for others anyway */
            atoms[n_atoms++] = a;
        if (gather)
            atoms[n_atoms++] = arg_of(l, a, 0);
    }
    homes h;
    order_problem q;
    order o;
    state_problem(r, &p, &h, &q);
    if (!anything_to_choose(&p, &q) || !order_find_again(r->orders, &q, &o))
        return v;
    ir_val w = make(r, v, &p, &h, &o);
    if (ir_same(w, v))
        return v;
    double before = cost_from(r, v, atoms, n_atoms), after = cost_from(r, w, atoms, n_atoms);
    return before > 0 && after >= 0 && after < before * 0.995 ? w : v;
}
