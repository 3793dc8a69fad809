/* Attention: sums weighted by a softmax over the same groups become one operation, that a walk computes
 * online.
 *
 * sum(softmax(s) v) is agg_softsum(s, v), where s has the leading axes of v. A share that is wanted by
 * itself is exp(s - greatest) / expsum. So is one that a loop reads in each step but computes outside: it
 * is kept, not computed again each time. No softmax remains. */
#include "compiler/passes/product.h"
#include "compiler/passes/rules.h"

#include <string.h>

/* The names of the sum's axes, those of the scores first, in their order. */
static uint32_t names_scores_first(const product *p, const term *scores, uint8_t *names)
{
    uint32_t n = scores->n;
    memcpy(names, scores->at, n);
    for (uint32_t k = 0; k < p->rank; k++)
        if (!(term_letters(scores) >> p->names[k] & 1))
            names[n++] = p->names[k];
    return n;
}

static bool multiply_others(ir_layer *l, const product *p, uint32_t skip, term *all)
{
    bool any = false;
    for (uint32_t k = 0; k < p->n; k++) {
        if (k == skip)
            continue;
        if (p->f[k].outside || p->f[k].inverse)
            return false;
        letters need = p->out | term_letters(&p->f[skip].t);
        for (uint32_t j = k + 1; j < p->n; j++)
            if (j != skip)
                need |= term_letters(&p->f[j].t);
        if (any && !term_fits(term_letters(all), term_letters(&p->f[k].t), need))
            return false;
        *all = any ? term_contract(l, all, &p->f[k].t, need) : p->f[k].t;
        any = true;
    }
    return any;
}

ir_val rule_softsum(rewriter *r, ir_val v)
{
    ir_layer *l = r->l;
    product p;
    if (op_of(l, v) != OP_AGG_SUM)
        return v;
    if (!product_take(r, v, false, &p) || !ir_same(p.map, arg_of(l, v, 1)))
        return v;
    for (uint32_t k = 0; k < p.n; k++) {
        ir_val soft = p.f[k].atom;
        if (op_of(l, soft) != OP_SOFTMAX || p.f[k].inverse || !ir_same(arg_of(l, soft, 1), p.map) ||
            ir_at(l, soft)->region != ir_at(l, v)->region)
            continue;
        /* The scores with the axes that the factor has: reshaped as the factor is. */
        term s = p.f[k].t, rest;
        if (term_letters(&s) & ~p.out)
            continue;
        if (!multiply_others(l, &p, k, &rest))
            continue;
        ir_val scores = arg_of(l, soft, 0);
        ir_shape shape = ir_shape_of(l, s.v);
        scores = ir_reshape(l, scores, &shape);
        uint8_t names[IR_MAX_RANK];
        uint32_t n = names_scores_first(&p, &s, names);
        ir_val w = term_arrange(l, &rest, names, n);
        ir_shape full = ir_shape_of(l, v), want = {n, {{0}}};
        for (uint32_t j = 0; j < n; j++)
            want.at[j] = full.at[names[j]];
        w = ir_broadcast(l, w, dom_of(l, soft), &want);
        term out = {.v = ir_softsum(l, scores, w, p.map), .n = n};
        memcpy(out.at, names, n);
        ir_val y = ir_mul(l, term_arrange(l, &out, p.names, p.rank),
                          ir_dimval(l, (ir_type)ir_at(l, v)->type, p.times));
        return as_shape_of(l, p.minus ? ir_neg(l, y) : y, v);
    }
    return v;
}

/* Which members the map sends somewhere; none when it is all of them. */
static ir_val members_sent(ir_layer *l, ir_val along)
{
    ir_val sent = {0};
    while (!ir_map_total(l, along)) {
        ir_val has = ir_ew1(l, OP_HAS, arg_of(l, along, 0));
        sent = ir_is(sent) ? ir_and(l, sent, has) : has;
        if (op_of(l, along) != OP_MAP_PAIR)
            break;
        along = arg_of(l, along, 1);
    }
    return sent;
}

/* softmax(s) = exp(s - greatest) / expsum, both once a group. A share does not change with what is subtracted: that has no
 * derivative, and none is taken of the greatest within expsum. */
ir_val rule_softmax(rewriter *r, ir_val v)
{
    ir_layer *l = r->l;
    if (op_of(l, v) != OP_SOFTMAX)
        return v;
    ir_val s = arg_of(l, v, 0), along = arg_of(l, v, 1);
    ir_val top = ir_gather(l, ir_ew1(l, OP_STOP, ir_agg(l, OP_AGG_MAX, s, along)), along);
    ir_val sum = ir_gather(l, ir_agg(l, OP_AGG_EXPSUM, s, along), along);
    ir_val share = ir_div(l, ir_exp(l, ir_sub(l, s, top)), sum);
    ir_val sent = members_sent(l, along);
    /* a member of no group has no share; its condition has the axes of s */
    if (ir_is(sent)) {
        ir_shape ones = {ir_at(l, s)->rank, {{0}}};
        for (uint32_t k = 0; k < ones.rank; k++)
            ones.at[k] = dim_const(l->dims, 1);
        share = ir_where(l, ir_reshape(l, sent, &ones), share, ir_like(l, share, 0));
    }
    ir_shape shape = ir_shape_of(l, v);
    return ir_broadcast(l, share, dom_of(l, v), &shape);
}

ir_layer *pass_attention(rewriter *r, const ir_layer *from, arena *mem)
{
    static const rewrite sums[] = {{"sum weighted by a softmax", rule_softsum, false}};
    static const rewrite shares[] = {{"share of a softmax", rule_softmax, false}};
    arena_mark mark = arena_get_mark(r->between);
    const ir_layer *l = rewrite_run(r, from, r->between, sums, 1);
    ir_layer *done = rewrite_run(r, l, mem, shares, 1);
    arena_release(r->between, mark);
    return done;
}
