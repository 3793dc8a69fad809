/* Depth-first search with a bound. See order.h. */
#include "compiler/passes/order.h"
#include "compiler/passes/cost.h"

#include <math.h>
#include <string.h>

enum { MAX_STATES = 20000, MAX_KEPT = 4096 };

typedef enum { BEFORE, UNDERWAY, AFTER } stage;         /* of the sum; a product without one is BEFORE */

typedef struct state {
    stage stage;
    uint8_t way;
    uint32_t n;
    order_factor f[ORDER_FACTORS];
    double cost;
} state;

typedef struct search {
    const order_problem *p;
    order *best, now;
    uint32_t states;
} search;

static double elements(const order_problem *p, letters s)
{
    double e = 1;
    for (; s; s &= s - 1)
        e *= p->size[__builtin_ctz(s)];
    return e;
}

static double rows_at(const order_problem *p, const state *s, uint8_t home)
{
    if (home == HOME_UNIT)
        return 1;
    if (s->stage == BEFORE)
        return p->rows[home];
    if (s->stage == AFTER || home == AFTER_REST)
        return p->group_rows;
    return home == AFTER_KIND ? 8 : p->way[s->way].rows;
}

static bool is_kind(const order_problem *p, const state *s, uint8_t home)
{
    return s->stage == BEFORE ? p->kind[home] : s->stage == UNDERWAY && home == AFTER_KIND;
}

static uint8_t joined(const order_problem *p, const state *s, uint8_t a, uint8_t b)
{
    if (a == b || b == HOME_UNIT)
        return a;
    if (a == HOME_UNIT)
        return b;
    return s->stage == BEFORE ? p->join[a][b] : HOME_LOCAL;
}

/* Reading a factor of home `from` by the rows of `to`, and storing it before. */
static double read_cost(const order_problem *p, const state *s, const order_factor *f, uint8_t to)
{
    if (f->home == to || f->home <= HOME_LOCAL || s->stage == AFTER)
        return 0;
    double bytes = 4 * elements(p, f->at), byte = s->stage == BEFORE ? p->byte[f->home] : COST_TABLE;
    double ns = bytes * rows_at(p, s, to) * byte * f->steps;
    if (f->computed && byte == COST_FAR)
        ns += bytes * rows_at(p, s, f->home) * COST_STREAM * f->steps;
    return ns;
}

static double merge_cost(const order_problem *p, const state *s, const order_factor *a,
                         const order_factor *b, uint8_t home, letters result)
{
    double rows = rows_at(p, s, home), steps = a->steps > b->steps ? a->steps : b->steps;
    letters all = a->at | b->at;
    double ns = read_cost(p, s, a, home) + read_cost(p, s, b, home);
    const order_factor *rare = a->steps < b->steps ? a : b;
    if (a->steps != b->steps && rare->home == HOME_LOCAL && rare->computed)    /* kept for all steps */
        ns += rows * elements(p, rare->at) * 4 * COST_STREAM * 0.5 * steps;
    if (a->inverse != b->inverse)
        ns += rows * cost_lanes(elements(p, all)) * 4 * COST_EW * steps;
    if (home == HOME_UNIT && elements(p, all) > 1)
        return ns + COST_WEIGHT + (all == result ? 0 : 2 * elements(p, all) * COST_WEIGHT_FLOP);
    if (all == result)
        return ns + rows * cost_lanes(elements(p, all)) * COST_EW * steps;
    bool kind = is_kind(p, s, a->home) || is_kind(p, s, b->home),
         unit = a->home == HOME_UNIT || b->home == HOME_UNIT;
    double rate = COST_DOT;
    if (result && (unit || kind))
        rate = s->stage == BEFORE && p->edges && home == HOME_LOCAL
                   ? (kind ? 3 * COST_GEMM_EDGE : COST_GEMM_EDGE)
                   : COST_GEMM;
    return ns + 2 * elements(p, all) * rows * rate * steps;
}

static letters needed_without(const order_problem *p, const state *s, uint32_t i, uint32_t j)
{
    letters need = p->out;
    for (uint32_t k = 0; k < s->n; k++)
        if (k != i && k != j)
            need |= s->f[k].at;
    return need;
}

static void look(search *q, const state *s);

static void push(search *q, order_step step, const state *next)
{
    if (next->cost >= q->best->cost)
        return;
    q->now.at[q->now.n++] = step;
    look(q, next);
    q->now.n--;
}

static void try_merges(search *q, const state *s)
{
    const order_problem *p = q->p;
    for (uint32_t i = 0; i < s->n; i++) {
        for (uint32_t j = i + 1; j < s->n; j++) {
            const order_factor *a = &s->f[i], *b = &s->f[j];
            letters need = needed_without(p, s, i, j), result = (a->at | b->at) & need;
            if (!term_fits(a->at, b->at, need))
                continue;
            state next = *s;
            uint8_t home = joined(p, s, a->home, b->home);
            next.cost += merge_cost(p, s, a, b, home, result);
            next.f[i] = (order_factor){.at = result,
                                       .home = home,
                                       .inverse = a->inverse && b->inverse,
                                       .computed = true,
                                       .steps = a->steps > b->steps ? a->steps : b->steps};
            next.f[j] = next.f[--next.n];
            push(q, (order_step){.kind = STEP_MERGE, .i = (uint8_t)i, .j = (uint8_t)j, .home = home}, &next);
        }
    }
}

/* The only factor that varies among the members of a group by the way; ORDER_FACTORS when there are more
 * or none. */
static uint32_t varying(const state *s, const uint8_t *home_after)
{
    uint32_t at = ORDER_FACTORS;
    for (uint32_t k = 0; k < s->n; k++) {
        if (home_after[s->f[k].home] != ORDER_NO)
            continue;
        if (at != ORDER_FACTORS || s->f[k].inverse)
            return ORDER_FACTORS;
        at = k;
    }
    return at;
}

static void try_sums(search *q, const state *s)
{
    const order_problem *p = q->p;
    static const uint8_t rest[ORDER_HOMES] = {HOME_UNIT, ORDER_NO, HOME_LOCAL, ORDER_NO};
    uint32_t ways = s->stage == BEFORE ? p->n_ways : 1;
    for (uint32_t w = 0; w < ways; w++) {
        const uint8_t *after = s->stage == BEFORE ? p->way[w].home : rest;
        uint32_t at = varying(s, after);
        if (at == ORDER_FACTORS)
            continue;
        state next = *s;
        next.cost +=
            cost_lanes(elements(p, s->f[at].at)) * rows_at(p, s, HOME_LOCAL) * COST_EW * s->f[at].steps +
            read_cost(p, s, &s->f[at], HOME_LOCAL);
        for (uint32_t k = 0; k < s->n; k++)
            next.f[k].home = k == at ? HOME_LOCAL : after[s->f[k].home];
        next.f[at].computed = true;
        next.stage = s->stage == BEFORE && w > 0 ? UNDERWAY : AFTER;
        next.way = (uint8_t)w;
        push(q,
             (order_step){
                 .kind = s->stage == BEFORE ? STEP_SUM : STEP_REST, .i = (uint8_t)at, .way = (uint8_t)w},
             &next);
    }
}

static void look(search *q, const state *s)
{
    if (++q->states > MAX_STATES)
        return;
    if (s->n == 1 && (!q->p->sums || s->stage == AFTER)) {
        double cost = s->cost + read_cost(q->p, s, &s->f[0], HOME_LOCAL);
        if (cost < q->best->cost) {
            *q->best = q->now;
            q->best->cost = cost;
        }
        return;
    }
    if (q->p->sums && s->stage != AFTER)
        try_sums(q, s);
    try_merges(q, s);
}

bool order_find(const order_problem *p, order *best)
{
    search q = {.p = p, .best = best};
    state s = {.stage = BEFORE, .n = p->n};
    memcpy(s.f, p->f, sizeof s.f);
    *best = (order){.cost = INFINITY};
    look(&q, &s);
    return isfinite(best->cost);
}

/* ---- problems solved before ---- */

typedef struct solved { order_problem problem; order best; bool found; } solved;

struct order_memo {
    arena *mem;
    idset set;
    solved *at[MAX_KEPT];
    uint32_t n;
};

typedef struct sought { const order_memo *memo; const order_problem *p; } sought;

static bool same_problem(const void *ud, uint32_t id)
{
    const sought *s = ud;
    return memcmp(&s->memo->at[id]->problem, s->p, sizeof *s->p) == 0;
}

order_memo *order_memo_new(arena *mem)
{
    order_memo *m = NEW(mem, order_memo);
    m->mem = mem;
    m->set = idset_make(mem);
    return m;
}

bool order_find_again(order_memo *m, const order_problem *p, order *best)
{
    uint64_t hash = hash_bytes(p, sizeof *p);
    uint32_t id = idset_find(&m->set, hash, same_problem, &(sought){m, p});
    if (id == UINT32_MAX) {
        bool found = order_find(p, best);
        if (m->n == MAX_KEPT)
            return found;
        id = m->n++;
        m->at[id] = NEW(m->mem, solved);
        m->at[id]->problem = *p;
        m->at[id]->best = *best;
        m->at[id]->found = found;
        idset_add(&m->set, hash, id);
    }
    *best = m->at[id]->best;
    return m->at[id]->found;
}
