/* See trial.h. */
#include "tests/prop/trial.h"

#include "compiler/ir/build.h"
#include "compiler/ir/copy.h"
#include "compiler/ir/print.h"
#include "compiler/ir/verify.h"
#include "compiler/passes/passes.h"
#include "compiler/plan/plan.h"
#include "compiler/plan/plan_verify.h"
#include "compiler/train/train.h"
#include "tests/prop/backend.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const verdict_name[V_N] = {"same", "left out", "refused", "broken", "differs", "slope", "backend", "crash"};

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
    if (t->what & TRIAL_GRAD) {                 /* gradients take longer */
        t->n_graphs = 2;
        t->graphs[1] = t->graphs[(r >> 20) % 25 == 0 ? 2 : 1];
        t->fill = FILL_PLAIN;
    }
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

/* What is compared: the layer as it was written and after the passes. With gradients both are joint layers. */
typedef struct subject {
    const ir_layer *before, *after;
    const reverse *reverse;
    const ir_layer *f32;                /* `before` with f32 as its reals, once it is needed */
} subject;

/* Errors of rounding by output, from those of the layer with f32 as its reals; NULL: there is no such layer. */
static double *rounding(arena *mem, const trial *t, subject *s, const situation *at)
{
    const char *why;
    oracle o;
    if (!s->f32) {
        ir_layer *l = oracle_lower(mem, t->text, SEM_F32, NULL, &why);
        if (l)
            ir_set_trap(l, s->before->builder->trap);
        s->f32 = l && s->reverse ? reverse_make(mem, l)->joint : l;
    }
    if (!s->f32 || !oracle_run(mem, &o, s->f32, at))
        return NULL;
    double *error = oracle_f32_error(mem, &o, ORACLE_MANY_RUNS);
    oracle_free(&o);
    return error;
}

/* The layer after the passes against the layer before, both in double precision. */
static verdict compare_passes(arena *mem, const trial *t, subject *s, const oracle *o, buf *out)
{
    oracle b;
    if (!oracle_run(mem, &b, s->after, o->at)) {
        buf_printf(out, "after the passes, graph %s: %s\n", graph_kind_name[o->at->graph->kind], b.result.why);
        oracle_free(&b);
        return V_DIFFERS;
    }
    verdict v = V_SAME;
    const double *error = NULL, rel = s->reverse && oracle_has_half(s->before) ? ORACLE_HALF : 1e-9;       /* derivatives compute in halves */
    mismatch m;
    for (uint32_t i = 0; v == V_SAME && i < o->layer->n_outputs; i++) {
        if (oracle_compare(o, i, b.result.outputs[i].at, b.result.outputs[i].n, rel, 0, &m) < 0)
            continue;
        if (!error)
            error = rounding(mem, t, s, o->at);
        if (error && oracle_compare(o, i, b.result.outputs[i].at, b.result.outputs[i].n, rel, oracle_f64_noise(error[i]), &m) < 0)
            continue;
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

/* ---- one program ---- */

static bool plan_holds(arena *mem, const ir_layer *l, const char *which, buf *out)
{
    const char *why = NULL;
    kplan *plan = plan_build(mem, ir_compact(l, mem), NULL, &why);
    const char *wrong = plan ? plan_verify(plan, mem) : why;
    if (wrong)
        buf_printf(out, "%s%s: %s\n", which, plan ? "plan" : "no plan", wrong);
    return !wrong;
}

static bool run_passes(arena *mem, const trial *t, ir_layer *l, subject *s, buf *out)
{
    pass_stats stats = {0};
    pass_options po = {.inference = true, .verify = true};
    s->before = l;
    s->after = passes_run(l, mem, &po, &stats);
    if (stats.broken)
        buf_printf(out, "after the passes: %s\n", stats.broken);
    return !stats.broken && (!(t->what & TRIAL_PLAN) || plan_holds(mem, s->after, "", out));
}

/* As the driver does it: passes, derivatives, passes, the cut. */
static bool run_training(arena *mem, const trial *t, ir_layer *l, subject *s, buf *out)
{
    pass_stats stats = {0};
    pass_options po = {.verify = true};
    reverse *r = reverse_make(mem, l);
    bool *wanted = NEW_N(mem, bool, l->n_inputs + 1);
    for (uint32_t i = 0; i < l->n_inputs; i++)
        wanted[i] = r->gradient[i] >= 0;
    s->reverse = r;
    s->before = r->joint;
    const char *bad = ir_verify(r->joint, mem);
    ir_layer *forward = bad ? NULL : passes_run(l, mem, &po, &stats);
    if (!bad)
        bad = stats.broken;
    train_layers *made = bad ? NULL : train_build(forward, mem, wanted, &po);
    if (!bad)
        bad = made->stats.broken;
    if (!bad)
        bad = ir_verify(made->train, mem);
    if (!bad)
        bad = ir_verify(made->backward, mem);
    if (bad) {
        buf_printf(out, "derivatives: %s\n", bad);
        return false;
    }
    s->after = made->joint;
    return !(t->what & TRIAL_PLAN) || (plan_holds(mem, made->train, "training ", out) && plan_holds(mem, made->backward, "backward ", out));
}

enum { MOST_ELEMENTS = 12000000 };      /* the interpreter keeps all values */

static verdict try_graph(arena *mem, const trial *t, subject *sub, backend *code, int i, coverage *c, buf *out)
{
    const hard_graph *g = graph_make(mem, (graph_kind)t->graphs[i], t->seed);
    situation s = {.graph = g, .sizes = &t->sizes, .seed = t->seed + (uint64_t)i, .fill = t->fill, .training = sub->reverse != NULL};
    s.apart = sub->reverse ? (int64_t)(s.seed % 4) : 0;
    if (!wants(sub->before, g) || (sub->reverse && reverse_elements(sub->before, &s) > MOST_ELEMENTS))
        return V_SAME;
    oracle o;
    verdict v = V_BROKEN;
    if (!oracle_run(mem, &o, sub->before, &s)) {
        buf_printf(out, "graph %s: %s\n", graph_kind_name[g->kind], o.result.why);
    } else {
        v = compare_passes(mem, t, sub, &o, out);
        slopes n = {0};
        if (v == V_SAME && sub->reverse && i == 0 && t->fill == FILL_PLAIN && g->kind != HG_HUB &&
            !reverse_slopes(mem, sub->reverse, &o, c ? &c->slopes : &n, out))
            v = V_SLOPE;
        if (v == V_SAME && code)
            v = backend_compare(code, mem, &o, out);
        if (v != V_SAME && (oracle_is_unsure(mem, &o) || (sub->reverse && reverse_has_nan(sub->reverse, &o)) || nothing_times_nan(sub->after, &s)))
            v = V_LEFT_OUT;
    }
    oracle_free(&o);
    return v;
}

static verdict try_layer(arena *mem, const trial *t, ir_layer *l, coverage *c, buf *out)
{
    subject s = {0};
    const char *bad = ir_verify(l, mem);
    if (bad)
        buf_printf(out, "after lowering: %s\n", bad);
    if (bad || !(t->what & TRIAL_GRAD ? run_training(mem, t, l, &s, out) : run_passes(mem, t, l, &s, out)))
        return V_BROKEN;
    if (c) {
        note_ops(mem, s.before, c);
        note_ops(mem, s.after, c);
    }
    backend *code = NULL;
    if (t->what & TRIAL_CODE && !(code = backend_new(t, out)))
        return V_BACKEND;
    verdict v = V_SAME;
    for (int i = 0; v == V_SAME && i < t->n_graphs; i++)
        v = try_graph(mem, t, &s, code, i, c, out);
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
