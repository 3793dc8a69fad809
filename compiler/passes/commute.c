/* Commute: products and sums exchanged where the whole layer becomes cheaper.
 *
 * Unlike the rules of hoist, these rewritings win only sometimes: sum(f) @ W as sum(f @ W) when W narrows,
 * and x @ W is there already for the node itself. So each is tried: the layer is rewritten at one place,
 * normalised by the rules of simplify and hoist, and its cost compared. What is cheaper stays. The choices
 * are recorded; at other sizes another run of the passes may choose otherwise. */
#include "compiler/passes/product.h"
#include "compiler/passes/rules.h"
#include "compiler/passes/terms.h"

#include "compiler/ir/copy.h"

#include <string.h>

enum { MAX_TRIES = 96, MAX_WORK = 60000, MAX_DEPTH = 12 };

/* ---- a product before the sum, or into the terms of what it multiplies ---- */

typedef struct pushing {
    const rewriter *r;
    ir_layer *l;
    ir_val w;
    uint8_t names_a[IR_MAX_RANK], names_w[IR_MAX_RANK], out[IR_MAX_RANK];
    uint32_t na, nout;
    letters keep;
    bool into_sums;             /* go through sums over members, too */
    bool met_sum, met_terms;
} pushing;

static ir_val here(pushing *p, ir_val a)
{
    term x = term_of_operand(p->l, a, p->names_a, p->na), y = term_make(p->l, p->w, p->names_w);
    term t = term_contract(p->l, &x, &y, p->keep);
    return term_arrange(p->l, &t, p->out, p->nout);
}

/* The operand of an element-wise operation that lacks the summed letters, aligned with the result's axes;
 * none if it has them. */
static ir_val scale(pushing *p, ir_val a)
{
    term t = term_of_operand(p->l, a, p->names_a, p->na);
    return term_letters(&t) & ~p->keep ? (ir_val){0} : term_arrange(p->l, &t, p->out, p->nout);
}

static ir_val push_into(pushing *p, ir_val a, int depth)
{
    ir_layer *l = p->l;
    ir_op op = op_of(l, a);
    ir_node n = *ir_at(l, a);
    if (depth > MAX_DEPTH || is_unit(l, a) || rw_uses(p->r, a) > 1)     /* what others read is there anyway */
        return here(p, a);
    if (op == OP_AGG_SUM && p->into_sums) {
        p->met_sum = true;
        return ir_agg(l, OP_AGG_SUM, here(p, n.args[0]), n.args[1]);
    }
    /* an operand that is repeated is contracted as it is: term.h */
    if (op == OP_ADD || op == OP_SUB) {
        p->met_terms = true;
        ir_val x = push_into(p, n.args[0], depth + 1);
        return ir_ew2(l, op, x, push_into(p, n.args[1], depth + 1));
    }
    if (op == OP_NEG)
        return ir_neg(l, push_into(p, n.args[0], depth + 1));
    /* shared with what sources compute */
    if (op == OP_GATHER && op_of(l, n.args[1]) == OP_MAP_PREFIX && is_unit(l, p->w))
        return ir_gather(l, push_into(p, n.args[0], depth + 1), n.args[1]);
    if (op == OP_MUL || op == OP_DIV) {
        for (uint32_t k = 0; k < (op == OP_DIV ? 1u : 2u); k++) {
            ir_val s = ir_at(l, n.args[k])->rank == n.rank ? scale(p, n.args[!k]) : (ir_val){0};
            if (!ir_is(s))
                continue;
            ir_val x = push_into(p, n.args[k], depth + 1);
            return op == OP_DIV ? ir_div(l, x, s) : ir_mul(l, x, s);
        }
    }
    double zero;
    if (op == OP_WHERE && ir_at(l, n.args[1])->rank == n.rank && ir_is_uniform(l, n.args[2], &zero) &&
        zero == 0) {
        ir_val c = scale(p, n.args[0]);
        if (ir_is(c)) {
            ir_val x = push_into(p, n.args[1], depth + 1);
            return ir_where(l, c, x, ir_like(l, x, 0));
        }
    }
    return here(p, a);
}

/* A letter of a that is summed, but is not in w: a term that is repeated along it counts as often as it is
 * long, and taken apart it would count once. */
static bool sums_alone(const pushing *p)
{
    letters w = 0;
    for (uint32_t k = 0; k < ir_at(p->l, p->w)->rank; k++)
        w |= (letters)1 << p->names_w[k];
    for (uint32_t k = 0; k < p->na; k++)
        if (!((p->keep | w) >> p->names_a[k] & 1))
            return true;
    return false;
}

static ir_val push_product(rewriter *r, ir_val v, bool into_sums)
{
    ir_layer *l = r->l;
    if (op_of(l, v) != OP_EINSUM || is_unit(l, v))
        return v;
    ir_einsum e = ir_at(l, v)->u.ein;
    for (uint32_t k = 0; k < 2; k++) {
        ir_val a = arg_of(l, v, k);
        pushing p = {.r = r,
                     .l = l,
                     .w = arg_of(l, v, !k),
                     .na = k ? e.nb : e.na,
                     .nout = e.nout,
                     .into_sums = into_sums};
        if (is_unit(l, a) || (into_sums && !is_unit(l, p.w)))
            continue;
        memcpy(p.names_a, k ? e.b : e.a, sizeof p.names_a);
        memcpy(p.names_w, k ? e.a : e.b, sizeof p.names_w);
        memcpy(p.out, e.out, sizeof p.out);
        for (uint32_t j = 0; j < e.nout; j++)
            p.keep |= (letters)1 << e.out[j];
        if (sums_alone(&p))
            continue;
        ir_val w = push_into(&p, a, 0);
        if (into_sums ? !p.met_sum : !p.met_terms)
            continue;
        return as_shape_of(l, w, v);
    }
    return v;
}

static ir_val product_before_sum(rewriter *r, ir_val v) { return push_product(r, v, true); }
static ir_val contraction_by_terms(rewriter *r, ir_val v) { return push_product(r, v, false); }

/* ---- a sum over members of products with a sum: term by term ---- */

static ir_val sum_by_terms(rewriter *r, ir_val v)
{
    ir_layer *l = r->l;
    product p;
    if (op_of(l, v) != OP_AGG_SUM || !product_take(r, v, false, &p) || !ir_same(p.map, arg_of(l, v, 1)))
        return v;
    for (uint32_t k = 0; k < p.n; k++) {
        sum_of s;
        ir_val atom = p.f[k].atom, along = {0};
        if (op_of(l, atom) == OP_GATHER && rw_uses(r, atom) == 1) {
            along = arg_of(l, atom, 1);
            atom = arg_of(l, atom, 0);
        }
        if (p.f[k].inverse || p.f[k].outside || (op_of(l, atom) != OP_ADD && op_of(l, atom) != OP_SUB) ||
            rw_uses(r, atom) > 1 || !sum_take(r, atom, &s))
            continue;
        ir_val out[MAX_TERMS];
        for (uint32_t j = 0; j < s.n; j++) {
            /* The term in the place of the factor: the same axes, gathered as it was. */
            ir_shape shape = ir_shape_of(l, atom), squeezed = ir_shape_of(l, p.f[k].t.v);
            ir_val x = ir_broadcast(l, s.at[j], dom_of(l, s.at[j]), &shape);
            if (ir_is(along) && !is_unit(l, x))
                x = ir_gather(l, x, along);
            term all = {.v = ir_reshape(l, x, &squeezed), .n = p.f[k].t.n};
            memcpy(all.at, p.f[k].t.at, sizeof all.at);
            for (uint32_t i = 0; i < p.n; i++) {
                if (i == k)
                    continue;
                letters need = p.out;
                for (uint32_t m = i + 1; m < p.n; m++)
                    need |= m == k ? 0 : term_letters(&p.f[m].t);
                if (p.f[i].inverse || p.f[i].outside ||
                    !term_fits(term_letters(&all), term_letters(&p.f[i].t), need))
                    return v;
                all = term_contract(l, &all, &p.f[i].t, need);
            }
            out[j] = ir_agg(l, OP_AGG_SUM, term_arrange(l, &all, p.names, p.rank), p.map);
        }
        memcpy(s.at, out, sizeof *out * s.n);
        ir_val sum = ir_mul(l, sum_make(l, &s), ir_dimval(l, (ir_type)ir_at(l, v)->type, p.times));
        return as_shape_of(l, p.minus ? ir_neg(l, sum) : sum, v);
    }
    return v;
}

/* ---- the search ---- */

typedef struct move {
    const char *what;
    ir_val (*apply)(rewriter *r, ir_val v);
} move;

static const move moves[] = {
    {"product before the sum", product_before_sum},
    {"contraction term by term", contraction_by_terms},
    {"sum term by term", sum_by_terms},
};
enum { N_MOVES = sizeof moves / sizeof *moves };

static pass_cost cost_of(rewriter *r, const ir_layer *l, bool *assumed)
{
    cost_model m = cost_model_make(l, r->options);
    pass_cost c = cost_layer(&m, r->work);
    *assumed = m.assumed;
    return c;
}

static void record(rewriter *r, const move *m, const ir_node *n, bool taken, bool assumed, double cost,
                   double other)
{
    pass_stats *s = r->stats;
    vec_reserve_bytes(r->mem, (void **)&s->choices, &s->cap_choices, s->n_choices, s->n_choices + 1,
                      sizeof *s->choices);
    s->choices[s->n_choices++] = (pass_choice){.pass = r->pass,
                                               .what = m->what,
                                               .where = n->where,
                                               .name = n->name,
                                               .taken = taken,
                                               .by_default = assumed,
                                               .cost = cost,
                                               .other = other};
}

/* Tries all moves on all values once; the first that wins is returned, with its cost. */
static ir_layer *first_that_wins(rewriter *r, ir_layer *l, uint32_t *at, double *cost, arena *to,
                                 uint32_t *tries)
{
    arena_mark empty = arena_get_mark(to), mark = arena_get_mark(r->between);
    ir_live live = ir_find_live(l, r->between);
    uint32_t *uses = ir_uses(l, &live, r->between), n_uses = l->n_nodes;
    for (; *at < live.n * N_MOVES; ++*at) {
        ir_val v = live.order[*at / N_MOVES];
        ir_node n = *ir_at(l, v);
        const move *m = &moves[*at % N_MOVES];
        if ((n.op != OP_EINSUM && n.op != OP_AGG_SUM) || *tries >= MAX_TRIES || *tries * live.n > MAX_WORK)
            continue;
        r->l = l;                               /* does it apply at all? What that makes in l is dead */
        r->model.l = l;
        r->uses = uses;
        r->n_uses = r->cap_uses = n_uses;
        if (ir_same(m->apply(r, v), v))
            continue;
        rewrite_site site = {.at = v, .apply = m->apply};
        ir_layer *next = rewrite_try(r, l, to, &site, rules_hoist, n_rules_hoist);
        if (!next)
            continue;
        ++*tries;
        bool assumed;
        double ns = cost_of(r, next, &assumed).ns;
        bool taken = ns < *cost * 0.995;
        record(r, m, &n, taken, assumed, taken ? ns : *cost, taken ? *cost : ns);
        if (taken) {
            *cost = ns;
            arena_release(r->between, mark);
            return next;
        }
        arena_release(to, empty);
    }
    arena_release(r->between, mark);
    return NULL;
}

ir_layer *pass_commute(rewriter *r, const ir_layer *from, arena *mem)
{
    uint32_t tries = 0, turn = 0, at = 0;
    bool assumed;
    arena_mark empty[2] = {arena_get_mark(r->candidates[0]), arena_get_mark(r->candidates[1])};
    ir_layer *best = ir_compact(from, r->candidates[1]);
    double cost = cost_of(r, best, &assumed).ns;
    r->quiet = true;
    for (;;) {
        ir_layer *next = first_that_wins(r, best, &at, &cost, r->candidates[turn], &tries);
        if (!next)
            break;
        best = next;
        turn = !turn;
        arena_release(r->candidates[turn], empty[turn]);
        at = 0;
    }
    r->quiet = false;
    ir_layer *done = ir_compact(best, mem);
    for (int k = 0; k < 2; k++)
        arena_release(r->candidates[k], empty[k]);
    return done;
}
