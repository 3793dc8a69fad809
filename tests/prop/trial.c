/* See trial.h. */
#include "tests/prop/trial.h"

#include "compiler/ir/build.h"
#include "compiler/ir/copy.h"
#include "compiler/ir/print.h"
#include "compiler/ir/verify.h"
#include "compiler/passes/passes.h"
#include "compiler/plan/plan.h"
#include "compiler/plan/plan_verify.h"
#include "tests/prop/backend.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const verdict_name[V_N] = {"same", "left out", "refused", "broken", "differs", "backend", "crash"};

/* Found in the text of the program, but for the domains. */
const char *const feature_name[] = {
    "domain unit", "domain src", "domain dst", "domain edge", "domain graph", "domain index", "domain pair",
    "by = src", "by = dst", "per =", "softmax per", "iterate", "until", "step", "use", "update edge", "update graph", "update global", "update src", "message",
    "sum(", "mean(", "max(", "min(", "prod(", "var(", "std(", "count(", "any(", "all(", "softmax(", ".sum(", ".mean(", ".max(", ".min(", ".var(", ".norm(",
    ".softmax(", ".log_softmax(", "layer_norm(", "einsum(", " @ ", "dot(", ".reshape(", ".transpose(", "concat(", "stack(", "None]", "or none", "bucket(", "iota(",
    "dropout(", "stop_gradient(", "where(", ": bool", ": f16", ": bf16", ": real", "grad(", NULL};
enum { FIRST_TEXT = 7 };

void trial_choose(trial *t, uint64_t seed)
{
    static const graph_kind often[] = {HG_TINY, HG_MID, HG_BATCH, HG_BLOCK, HG_BLOCK_DEGREES, HG_STAR_IN, HG_STAR_OUT, HG_COMPLETE};
    uint64_t r = seed * 0x9e3779b97f4a7c15u;
    r ^= r >> 29;
    t->seed = seed;
    t->graphs[0] = often[r % 8];
    t->graphs[1] = (int)((r >> 8) % HG_HUB);
    t->graphs[2] = (r >> 20) % 25 == 0 ? HG_HUB : HG_TINY;
    t->graphs[3] = (int)((r >> 30) % HG_HUB);
    t->n_graphs = 4;
    t->fill = (r >> 40) % 10 < 6 ? FILL_PLAIN : (fill_kind)(1 + (r >> 50) % 3);
}

static bool has_text(const char *text, const char *part)
{
    if (part[0] == '.' || strchr(part, ' '))
        return strstr(text, part) != NULL;
    for (const char *p = text; (p = strstr(p, part)); p++)      /* a name of its own, no method */
        if (p == text || (p[-1] != '.' && p[-1] != '_' && (p[-1] < 'a' || p[-1] > 'z')))
            return true;
    return false;
}

static void note_features(const trial *t, coverage *c)
{
    for (int i = FIRST_TEXT; feature_name[i]; i++)
        c->feature[i] |= has_text(t->text, feature_name[i]);
    for (const char *p = t->text; (p = strstr(p, "softmax(")); p++) {
        const char *end = strchr(p, ';'), *per = strstr(p, "per =");
        c->feature[10] |= end && per && per < end;
    }
}

static void note_ops(arena *mem, const ir_layer *l, coverage *c)
{
    arena_mark mark = arena_get_mark(mem);
    ir_live live = ir_find_live(l, mem);
    for (uint32_t i = 0; i < live.n; i++) {
        const ir_node *v = ir_at(l, live.order[i]);
        const ir_domain *d = &l->domains[v->dom.i];
        c->op[v->op] = 1;
        int row = d->kind == DOM_UNIT ? 0 : d->kind == DOM_NODES ? (d->side == SIDE_SRC ? 1 : 2) : d->kind == DOM_EDGES ? 3 : d->kind == DOM_GRAPHS ? 4
                  : d->kind == DOM_INDEX ? 5 : 6;
        c->feature[row] = 1;
    }
    arena_release(mem, mark);
}

static void tell(buf *out, const situation *s, const char *what, const char *name, const mismatch *m)
{
    if (m->scale < 0) {
        buf_printf(out, "%s, graph %s: %s has %.0f elements, not %.0f\n", what, graph_kind_name[s->graph->kind], name, m->got, m->want);
        return;
    }
    buf_printf(out, "%s, graph %s, fill %d: %s[%lld] is %.17g, not %.17g (scale %.3g, off by %.3g of it)\n", what, graph_kind_name[s->graph->kind], s->fill, name,
               (long long)m->at, m->got, m->want, m->scale, m->scale > 0 ? fabs(m->got - m->want) / m->scale : 0);
}

/* The layer after the passes against the layer before, both in double precision. */
static verdict compare_passes(arena *mem, const oracle *o, const ir_layer *after, buf *out)
{
    oracle b;
    if (!oracle_run(mem, &b, after, o->at)) {
        buf_printf(out, "after the passes, graph %s: %s\n", graph_kind_name[o->at->graph->kind], b.result.why);
        oracle_free(&b);
        return V_DIFFERS;
    }
    verdict v = V_SAME;
    mismatch m;
    for (uint32_t i = 0; v == V_SAME && i < o->layer->n_outputs; i++)
        if (oracle_compare(o, i, b.result.outputs[i].at, b.result.outputs[i].n, 1e-9, 0, &m) >= 0) {
            tell(out, o->at, "after the passes", o->layer->outputs[i].name, &m);
            v = V_DIFFERS;
        }
    oracle_free(&b);
    return v;
}

static bool wants(const ir_layer *l, const hard_graph *g)
{
    for (uint32_t i = 0; i < l->n_needs; i++)
        if (l->needs[i].kind == NEED_SQUARE ? !g->square : !g->square && !g->degrees)
            return false;
    bool nodes = false, pair = false;           /* a node value lies on a block, src and dst inputs on any graph */
    for (uint32_t i = 0; i < l->n_domains; i++)
        pair = pair || l->domains[i].kind == DOM_NODES;
    (void)pair;
    for (uint32_t i = 1; i < l->n_nodes; i++) {
        ir_op op = (ir_op)l->nodes[i].op;
        nodes = nodes || op == OP_MAP_PREFIX || op == OP_MAP_DST_SRC || op == OP_INDEGREE;
    }
    for (uint32_t i = 0; i < l->n_outputs; i++)
        nodes = nodes || !ir_dom_same(l->outputs[i].rows, ir_at(l, l->outputs[i].value)->dom);
    return !(nodes && g->n_dst > g->n_src);
}

/* Relations that a node has no edges of are 0, and no work is done for them: times what is not a number at the node itself
 * they stay 0 in a product over relations. */
static bool nothing_times_nan(const ir_layer *l, const situation *s)
{
    bool relations = false;
    for (uint32_t i = 1; i < l->n_domains; i++)
        relations = relations || l->domains[i].kind == DOM_PAIR;
    return relations && s->fill == FILL_LONE_NAN;
}

static verdict try_layer(arena *mem, const trial *t, ir_layer *l, coverage *c, buf *out)
{
    const char *bad = ir_verify(l, mem);
    if (bad) {
        buf_printf(out, "after lowering: %s\n", bad);
        return V_BROKEN;
    }
    pass_stats stats = {0};
    pass_options po = {.inference = true, .verify = true};
    ir_layer *after = passes_run(l, mem, &po, &stats);
    if (stats.broken) {
        buf_printf(out, "after the passes: %s\n", stats.broken);
        return V_BROKEN;
    }
    if (c) {
        note_ops(mem, l, c);
        note_ops(mem, after, c);
    }
    backend *code = NULL;
    verdict v = V_SAME;
    if (t->what & TRIAL_PLAN) {
        ir_layer *copy = ir_compact(after, mem);
        const char *why = NULL;
        kplan *plan = plan_build(mem, copy, NULL, &why);
        const char *wrong = plan ? plan_verify(plan, mem) : why;
        if (wrong) {
            buf_printf(out, "%s: %s\n", plan ? "plan" : "no plan", wrong);
            return V_BROKEN;
        }
    }
    if (t->what & TRIAL_CODE) {
        code = backend_new(t, out);
        if (!code)
            return V_BACKEND;
    }
    for (int i = 0; v == V_SAME && i < t->n_graphs; i++) {
        const hard_graph *g = graph_make(mem, (graph_kind)t->graphs[i], t->seed);
        situation s = {.graph = g, .sizes = &t->sizes, .seed = t->seed + (uint64_t)i, .fill = t->fill};
        if (!wants(l, g))
            continue;
        oracle o;
        if (!oracle_run(mem, &o, l, &s)) {
            buf_printf(out, "graph %s: %s\n", graph_kind_name[g->kind], o.result.why);
            v = V_BROKEN;
        } else {
            v = compare_passes(mem, &o, after, out);
            if (v == V_SAME && code)
                v = backend_compare(code, mem, &o, out);
            if (v != V_SAME && (oracle_is_unsure(mem, &o) || nothing_times_nan(after, &s)))
                v = V_LEFT_OUT;
        }
        oracle_free(&o);
    }
    backend_free(code);
    return v;
}

verdict trial_run(const trial *t, coverage *c, buf *out)
{
    arena *volatile mem = arena_new((size_t)2 << 30);
    jmp_buf dry;
    ir_trap trap;
    volatile verdict v = V_BROKEN;
    arena_set_oom(mem, &dry);
    if (setjmp(dry)) {
        buf_puts(out, "out of memory\n");
    } else {
        const char *why = "";
        if (c)
            note_features(t, c);
        ir_layer *l = oracle_lower(mem, t->text, SEM_F64, NULL, &why);
        if (!l) {
            buf_puts(out, why);
            v = V_REFUSED;
        } else {
            ir_set_trap(l, &trap);
            if (setjmp(trap.env))
                buf_printf(out, "internal error: %s\n", trap.text);
            else
                v = try_layer(mem, t, l, c, out);
        }
    }
    arena_free(mem);
    return v;
}
