/* Sweeps of rules over a layer. See rewrite.h. */
#include "compiler/passes/rewrite.h"

#include "compiler/ir/copy.h"
#include "compiler/ir/table.h"

#include <string.h>

enum {
    MAX_SWEEPS = 40,            /* a rule that never ends is a bug, but must not hang */
    MAX_AT_ONE = 24,            /* rewritings of one value in a sweep */
    MAX_GROWTH = 16             /* a layer may become this many times larger, and 4,096 values more */
};

typedef struct sweep {
    rewriter *r;
    const rewrite *rules;
    uint32_t n_rules, limit;
    const uint32_t *old_uses;
    uint32_t fired;
    bool late;
} sweep;

static void count(rewriter *r, const char *rule)
{
    pass_stats *s = r->stats;
    if (r->quiet || !s)
        return;
    for (uint32_t i = 0; i < s->n_counts; i++) {
        if (!strcmp(s->counts[i].pass, r->pass) && !strcmp(s->counts[i].rule, rule)) {
            s->counts[i].n++;
            return;
        }
    }
    vec_reserve_bytes(r->mem, (void **)&s->counts, &s->cap_counts, s->n_counts, s->n_counts + 1,
                      sizeof *s->counts);
    s->counts[s->n_counts++] = (pass_count){r->pass, rule, 1};
}

uint32_t rw_uses(const rewriter *r, ir_val v)
{
    return v.i < r->n_uses && r->uses[v.i] ? r->uses[v.i] : 1;
}

static void add_uses(rewriter *r, ir_val v, uint32_t n)
{
    while (v.i >= r->n_uses) {
        vec_reserve_bytes(r->work, (void **)&r->uses, &r->cap_uses, r->n_uses, v.i + 1, sizeof *r->uses);
        memset(r->uses + r->n_uses, 0, (r->cap_uses - r->n_uses) * sizeof *r->uses);
        r->n_uses = r->cap_uses;
    }
    r->uses[v.i] += n;
}

static ir_val apply_rules(sweep *s, ir_val v)
{
    rewriter *r = s->r;
    for (uint32_t turn = 0; turn < MAX_AT_ONE && r->l->n_nodes < s->limit; turn++) {
        bool changed = false;
        for (uint32_t k = 0; k < s->n_rules && !changed; k++) {
            ir_val w = s->rules[k].late && !s->late ? v : s->rules[k].apply(r, v);
            if (ir_is(w) && !ir_same(w, v)) {
                count(r, s->rules[k].name);
                s->fired++;
                add_uses(r, w, rw_uses(r, v));
                v = w;
                changed = true;
            }
        }
        if (!changed)
            break;
    }
    return v;
}

static ir_val on_value(void *ud, ir_copier *c, ir_val old, const ir_val *args)
{
    sweep *s = ud;
    rewriter *r = s->r;
    r->l = c->to;
    r->model.l = c->to;
    const ir_node *n = ir_at(c->from, old);
    ir_class cls = ir_ops[n->op].cls;
    if (n->op == OP_INPUT || n->op == OP_REALARG || cls == CLS_LOOP)
        return (ir_val){0};
    ir_val v = ir_remake(c->to, n, ir_copy_dom(c, n->dom), args, n->nargs);
    if (cls == CLS_MAP)
        return v;
    add_uses(r, v, s->old_uses[old.i]);
    if (r->site && ir_same(r->site->at, old)) {
        ir_val w = r->site->apply(r, v);
        if (ir_is(w) && !ir_same(w, v)) {
            r->site->applied = true;
            s->fired++;
            v = w;
        }
    }
    return apply_rules(s, v);
}

static ir_layer *run(rewriter *r, const ir_layer *from, arena *mem, rewrite_site *site,
                     const rewrite *rules, uint32_t n_rules)
{
    uint32_t at = 0, limit = from->n_nodes * MAX_GROWTH + 4096;
    arena_mark empty[2] = {arena_get_mark(r->scratch[0]), arena_get_mark(r->scratch[1])};
    const ir_layer *now = from;
    bool late = false;
    r->site = site;
    for (uint32_t turn = 0; turn < MAX_SWEEPS; turn++) {
        arena *to = r->scratch[at];
        arena_release(to, empty[at]);
        arena_mark work = arena_get_mark(r->work);
        r->uses = NULL;
        r->n_uses = r->cap_uses = 0;
        ir_live live = ir_find_live(now, r->work);
        sweep s = {.r = r,
                   .rules = rules,
                   .n_rules = n_rules,
                   .limit = limit,
                   .old_uses = ir_uses(now, &live, r->work),
                   .late = late};
        now = ir_rebuild(now, to, on_value, &s);
        arena_release(r->work, work);
        r->fired += s.fired;
        if (turn == 0 && site && !site->applied)
            return NULL;
        r->site = NULL;
        at = !at;
        if (!s.fired && late)
            break;
        late = !s.fired;
    }
    ir_layer *done = ir_compact(now, mem);
    arena_release(r->scratch[0], empty[0]);
    arena_release(r->scratch[1], empty[1]);
    r->l = NULL;
    return done;
}

ir_layer *rewrite_run(rewriter *r, const ir_layer *from, arena *mem, const rewrite *rules, uint32_t n_rules)
{
    return run(r, from, mem, NULL, rules, n_rules);
}

ir_layer *rewrite_try(rewriter *r, const ir_layer *from, arena *mem, rewrite_site *site,
                      const rewrite *rules, uint32_t n_rules)
{
    return run(r, from, mem, site, rules, n_rules);
}
