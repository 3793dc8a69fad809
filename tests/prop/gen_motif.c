/* Equations as they stand in well-known layers, over random shapes and with random expressions where a paper has
 * a feature: so that programs look like what the passes and the planner are made for. And iterate blocks. */
#include "tests/prop/gen.h"

#include <stdarg.h>
#include <string.h>

static gx *par(gen *g, gx *x) { return x->n ? g_mk(g, x->type, x->mag, "($0)", 1, x) : x; }

/* A small dim: weights of rank 3 and edge features stay small. */
static int small(gen *g, int64_t limit)
{
    for (int i = 0; i < 6; i++) {
        int d = g_dim_any(g);
        if (g->dims[d].value <= limit)
            return d;
    }
    return g_dim_const(g, 2);
}

static gsym *feature(gen *g, gdom dom, gshape s)
{
    if (g->program->two_sided && dom == G_NODE)
        dom = g_chance(g, 50) ? G_NODE : G_DST;
    for (int i = g->n_syms; i-- > 0;) {
        gsym *v = g->syms[i];
        if (v->dom == dom && v->type.elem == G_REAL && g_shape_same(g, v->type.shape, s) && g_chance(g, 60))
            return v;
    }
    if (g_chance(g, 30))
        return g_define(g, dom, "z", g_tame(g, g_expr(g, g_at(dom), s, 2, true), 5));
    return g_declare(g, dom, g_real(s));
}

static gsym *node_feature(gen *g, gshape s)
{
    bool two = g->program->two_sided;
    g->program->two_sided = false;
    gsym *v = feature(g, G_NODE, s);
    g->program->two_sided = two;
    return v;
}

static gx *src(gen *g, const gsym *s) { return g_read_at(g, s->dom == G_DST ? "dst" : "src", s); }
static gx *dst(gen *g, const gsym *s) { return g_read_at(g, s->dom == G_SRC ? "src" : "dst", s); }
static gx *here(gen *g, const gsym *s) { return g_read_at(g, "", s); }

/* Text over symbols and expressions of a given shape; magnitudes are held by the data and the weights. */
static gx *say(gen *g, gshape s, const char *text, int n, ...)
{
    gx *x = g_mk(g, g_real(s), 4, text, n);
    va_list ap;
    va_start(ap, n);
    for (int i = 0; i < n; i++)
        x->kid[i] = par(g, va_arg(ap, gx *));
    va_end(ap);
    return x;
}

static gshape s0(void) { return g_shape(0, NULL); }
static gshape s1(int a) { return g_shape(1, &a); }
static gshape s2(int a, int b) { return g_shape(2, (int[]){a, b}); }

/* The message, at times weighted by an edge's scalar, so that factors meet. */
static gx *weighted(gen *g, gx *m)
{
    if (g_chance(g, 60))
        return m;
    gx *w = g_tame(g, g_expr(g, g_at(G_EDGE), s0(), 1 + g_below(g, 2), true), 3);
    return say(g, m->type.shape, g_chance(g, 50) ? "$0 * $1" : "$1 * $0", 2, w, m);
}

static const char *any_kind(gen *g)
{
    static const char *const kinds[] = {"sum", "sum", "mean", "max", "min", "sum", "std", "var"};
    return kinds[g_below(g, 8)];
}

static gx *gathered(gen *g, const gsym *f)
{
    return say(g, f->type.shape, arena_printf(g->mem, g_chance(g, 90) ? "%s($0)" : "%s($0, by = dst)", any_kind(g)), 1, here(g, f));
}

static void out(gen *g, gdom dom, gx *y)
{
    if (g_chance(g, 60) || g->n_loops)
        g_define(g, dom, "o", y);
    else
        g_update(g, dom, "y", y);
}

/* ---- layers of the papers ---- */

static void gcn(gen *g)
{
    static const char *const norms[] = {"rsqrt(in_degree + 1)", "where(in_degree > 0, rsqrt(in_degree), 0)", "rsqrt(in_degree)", "1 / in_degree", "rsqrt(out_degree + 1)",
                                        "where(out_degree > 0, 1 / out_degree, 0)"};
    int d = g_dim_any(g), o = g_dim_any(g);
    gsym *x = node_feature(g, s1(d)), *n = g_define(g, G_NODE, "n", say(g, s0(), norms[g_below(g, 6)], 0));
    gx *w = here(g, g_weight(g, 2, d, o));
    bool early = g_chance(g, 40);
    gx *m = early ? say(g, s1(o), "$0 * ($1 @ $2)", 3, src(g, n), src(g, x), w) : say(g, s1(d), "$0 * $1", 2, src(g, n), src(g, x));
    if (g_chance(g, 30))
        m = say(g, m->type.shape, "$0 * $1", 2, m, dst(g, n));
    gsym *f = g_message(g, "msg", weighted(g, m));
    if (early)
        out(g, G_NODE, say(g, s1(o), "$0 * sum($1)", 2, here(g, n), here(g, f)));
    else
        out(g, G_NODE, say(g, s1(o), "($0 * (sum($1) + $0 * $2)) @ $3", 4, here(g, n), here(g, f), here(g, x), w));
}

static void gat(gen *g)
{
    int d = g_dim_any(g), h = small(g, 4), o = small(g, 17), how = g_below(g, 4);
    gsym *x = node_feature(g, s1(d)), *z = g_define(g, G_NODE, "z", say(g, s2(h, o), "$0 @ $1", 2, here(g, x), here(g, g_weight(g, 3, d, h, o))));
    gx *s;
    if (how == 0) {
        s = say(g, s1(h), "leaky_relu(dot($0, $1) + dot($2, $3), 0.2)", 4, src(g, z), here(g, g_weight(g, 2, h, o)), dst(g, z), here(g, g_weight(g, 2, h, o)));
    } else if (how == 1) {
        int k = small(g, 8);
        gsym *e = feature(g, G_EDGE, s1(k));
        s = say(g, s1(h), "dot(leaky_relu($0 + $1 + $2 @ $3, 0.2), $4)", 5, src(g, z), dst(g, z), here(g, e), here(g, g_weight(g, 3, k, h, o)), here(g, g_weight(g, 2, h, o)));
    } else {
        gsym *q = g_define(g, G_NODE, "q", say(g, s2(h, o), "$0 @ $1", 2, here(g, x), here(g, g_weight(g, 3, d, h, o))));
        s = say(g, s1(h), arena_printf(g->mem, how == 2 ? "dot($0, $1) / sqrt(%s)" : "4 * dot($0, $1) / %s", g->dims[o].text), 2, dst(g, q), src(g, z));
    }
    if (g_chance(g, 25))
        s = say(g, s1(h), "$0 + $1", 2, s, g_expr(g, g_at(G_EDGE), g_chance(g, 50) ? s1(h) : s0(), 2, true));
    if (g->wild)
        s = say(g, s1(h), "where($1, $0, log(0))", 2, s, g_bool(g, g_at(G_EDGE), s0(), 1, true));
    gsym *e = g_define(g, G_EDGE, "s", s);
    gsym *f = g_message(g, "msg", say(g, s2(h, o), g_chance(g, 80) ? "softmax($0)[:, None] * $1" : "dropout(softmax($0), 0.2)[:, None] * $1", 2, here(g, e), src(g, z)));
    if (g_chance(g, 50))
        out(g, G_NODE, say(g, s1(g_dim_prod(g, h, o)), arena_printf(g->mem, "sum($0).reshape(%s) + $1", g->dims[g_dim_prod(g, h, o)].text), 2, here(g, f),
                           here(g, g_weight(g, 1, g_dim_prod(g, h, o)))));
    else
        out(g, G_NODE, say(g, s2(h, o), "sum($0)", 1, here(g, f)));
}

static void edge_mlp(gen *g)
{
    int d = g_dim_any(g), k = small(g, 8), h = small(g, 17), o = small(g, 17), how = g_below(g, 4);
    gsym *x = node_feature(g, s1(d));
    gx *in;
    int width = g_dim_sum(g, d, d);
    if (how == 0) {
        in = say(g, s1(width), "concat($0, $1 - $0)", 2, dst(g, x), src(g, x));
    } else if (how == 1) {
        in = say(g, s1(width), "concat($0, $1)", 2, src(g, x), dst(g, x));
    } else {
        width = g_dim_sum(g, width, k);
        in = say(g, s1(width), "concat($0, $1, $2)", 3, src(g, x), dst(g, x),
                 how == 2 ? here(g, feature(g, G_EDGE, s1(k))) : par(g, g_tame(g, g_expr(g, g_at(G_EDGE), s1(k), 2, true), 3)));
    }
    gx *m = g_act(g, say(g, s1(h), "$0 @ $1 + $2", 3, in, here(g, g_weight(g, 2, width, h)), here(g, g_weight(g, 1, h))));
    if (g_chance(g, 50)) {
        m = say(g, s1(o), "$0 @ $1", 2, m, here(g, g_weight(g, 2, h, o)));
        if (g_chance(g, 50))
            m = g_act(g, m);
    } else {
        o = h;
    }
    gsym *f = g_message(g, "msg", weighted(g, m));
    if (g_chance(g, 30))
        out(g, G_EDGE, say(g, s1(o), "relu($0)", 1, here(g, f)));
    out(g, G_NODE, gathered(g, f));
}

static void pna(gen *g)
{
    int d = small(g, 8), o = g_dim_any(g), d2 = g_dim_sum(g, d, d), d4 = g_dim_sum(g, g_dim_sum(g, d2, d), d);
    gsym *x = node_feature(g, s1(d));
    gsym *f = g_message(g, "msg", say(g, s1(d), "concat($0, $1) @ $2 + $3", 4, src(g, x), dst(g, x), here(g, g_weight(g, 2, d2, d)), here(g, g_weight(g, 1, d))));
    gsym *a = g_define(g, G_NODE, "a", say(g, s1(d4), "concat(mean($0), max($0), min($0), std($0))", 1, here(g, f)));
    gsym *t = g_define(g, G_NODE, "t", say(g, s0(), "log(in_degree + 1)", 0));
    int w = g_dim_sum(g, g_dim_sum(g, d, d4), g_dim_sum(g, d4, d4));
    out(g, G_NODE, say(g, s1(o), "concat($0, $1, $1 * $2, $1 * where($2 > 0, 1.5 / $2, 0)) @ $3", 4, here(g, x), here(g, a), here(g, t), here(g, g_weight(g, 2, w, o))));
}

static gsym *relation(gen *g, gdom dom, int r, bool none)
{
    for (int i = 0; i < g->n_syms; i++) {
        gsym *s = g->syms[i];
        if (s->dom == dom && s->type.elem == G_INDEX && !s->type.shape.rank && s->type.range == r && (none || !s->type.none))
            return s;
    }
    return g_declare(g, dom, (gtype){.elem = G_INDEX, .range = r, .none = none && g_chance(g, 30)});
}

static void rgcn(gen *g)
{
    int d = small(g, 8), o = small(g, 17), r = small(g, 8), how = g_below(g, 6);
    gsym *x = node_feature(g, s1(d)), *rel = relation(g, G_EDGE, r, true);
    gx *w = here(g, g_weight(g, 3, r, d, o)), *self = say(g, s1(o), "$0 @ $1", 2, here(g, x), here(g, g_weight(g, 2, d, o)));
    if (how == 0) {
        out(g, G_NODE, say(g, s1(o), arena_printf(g->mem, "einsum(\"ri,rio->o\", %s($0, per = $1), $2) + $3", any_kind(g)), 4, src(g, x), here(g, rel), w, self));
    } else if (how == 1) {
        gsym *f = g_message(g, "msg", weighted(g, say(g, s1(o), "$0 @ $1[$2]", 3, src(g, x), w, here(g, rel))));
        out(g, G_NODE, say(g, s1(o), "sum($0) + $1", 2, here(g, f), self));
    } else if (how == 2) {
        gsym *v = g_define(g, G_EDGE, "v", say(g, s1(o), "$0 @ $1[$2]", 3, src(g, x), w, here(g, rel)));
        gx *q = here(g, g_weight(g, 2, r, o));
        gsym *s = g_define(g, G_EDGE, "s", say(g, s0(), "leaky_relu(dot($0 @ $1[$2], $3[$2]) + dot($4, $3[$2]), 0.2)", 5, dst(g, x), w, here(g, rel), q, here(g, v)));
        gsym *f = g_message(g, "msg", say(g, s1(o), g_chance(g, 80) ? "softmax($0) * $1" : "softmax($0, per = $2) * $1", 3, here(g, s), here(g, v), here(g, rel)));
        out(g, G_NODE, say(g, s1(o), "sum($0)", 1, here(g, f)));
    } else if (how == 5) {                      /* relations weighed by each node */
        gsym *b = node_feature(g, s1(r));
        out(g, G_NODE, say(g, s1(d), arena_printf(g->mem, "einsum(\"r,ri->i\", tanh($0), %s($1, per = $2))", any_kind(g)), 3, here(g, b), src(g, x), here(g, rel)));
    } else if (how == 3) {
        gsym *type = relation(g, G_NODE, r, false), *k = g_define(g, G_NODE, "k", say(g, s1(o), "$0 @ $1[$2]", 3, here(g, x), w, here(g, type)));
        gsym *f = g_message(g, "msg", weighted(g, src(g, k)));
        out(g, G_NODE, say(g, s1(o), "sigmoid($0[$1]) * sum($2)", 3, here(g, g_weight(g, 1, r)), here(g, type), here(g, f)));
    } else {
        gsym *a = g_define(g, G_NODE, "a", say(g, s2(r, d), arena_printf(g->mem, "%s($0 * $1[$2], per = $2)", any_kind(g)), 3, src(g, x), here(g, g_weight(g, 2, r, d)), here(g, rel)));
        out(g, G_NODE, say(g, s1(d), g_chance(g, 50) ? "$0.sum(0)" : "$0.max(0)", 1, here(g, a)));
    }
}

static void gated(gen *g)
{
    int d = g_dim_any(g);
    gsym *h = node_feature(g, s1(d)), *e = feature(g, G_EDGE, s1(d));
    gsym *gate = g_define(g, G_EDGE, "gate", say(g, s1(d), "$0 @ $1 + $2 @ $3 + $4", 5, src(g, h), here(g, g_weight(g, 2, d, d)), dst(g, h), here(g, g_weight(g, 2, d, d)), here(g, e)));
    gsym *eta = g_define(g, G_EDGE, "eta", say(g, s1(d), "sigmoid($0)", 1, here(g, gate)));
    gsym *f = g_message(g, "msg", say(g, s1(d), "$0 * ($1 @ $2)", 3, here(g, eta), src(g, h), here(g, g_weight(g, 2, d, d))));
    if (g_chance(g, 60))
        out(g, G_EDGE, say(g, s1(d), "$0 + relu($1)", 2, here(g, e), here(g, gate)));
    out(g, G_NODE, say(g, s1(d), "$0 + relu($0 @ $1 + sum($2) / (sum($3) + 1e-2))", 4, here(g, h), here(g, g_weight(g, 2, d, d)), here(g, f), here(g, eta)));
}

static void gin(gen *g)
{
    int d = g_dim_any(g), h = g_dim_any(g), o = g_dim_any(g);
    gsym *x = node_feature(g, s1(d));
    gx *m = src(g, x);
    if (g_chance(g, 50)) {
        int k = small(g, 8);
        m = say(g, s1(d), "relu($0 + $1 @ $2)", 3, m, here(g, feature(g, G_EDGE, s1(k))), here(g, g_weight(g, 2, k, d)));
    }
    gsym *f = g_message(g, "msg", weighted(g, m));
    out(g, G_NODE, say(g, s1(o), "relu(((1 + $0) * $1 + sum($2)) @ $3 + $4) @ $5", 6, here(g, g_weight(g, 0)), here(g, x), here(g, f), here(g, g_weight(g, 2, d, h)),
                       here(g, g_weight(g, 1, h)), here(g, g_weight(g, 2, h, o))));
}

static void graph_norm(gen *g)
{
    int d = small(g, 17);
    gsym *x = node_feature(g, s1(d)), *mu = g_define(g, G_GRAPH, "mu", say(g, s1(d), "mean($0)", 1, here(g, x)));
    gsym *c = g_define(g, G_NODE, "c", say(g, s1(d), "$0 - $1 * $2", 3, here(g, x), here(g, g_weight(g, 1, d)), g_read_at(g, "graph", mu)));
    gsym *v = g_define(g, G_GRAPH, "v", say(g, s1(d), g_chance(g, 50) ? "mean(square($0))" : "var($0)", 1, here(g, c)));
    gsym *y = g_define(g, G_NODE, "x", say(g, s1(d), "$0 * rsqrt($1 + 1e-2)", 2, here(g, c), g_read_at(g, "graph", v)));
    if (g_chance(g, 50))
        out(g, G_GRAPH, say(g, s1(d), arena_printf(g->mem, "%s($0)", any_kind(g)), 1, here(g, y)));
    else
        out(g, G_NODE, here(g, y));
}

static void pooling(gen *g)
{
    int d = small(g, 17), o = g_dim_any(g);
    gdom dom = g_chance(g, 75) ? G_GRAPH : G_GLOBAL;
    gsym *h = node_feature(g, s1(d));
    gx *score = g_chance(g, 50) ? say(g, s1(g_dim_const(g, 1)), "$0 @ $1", 2, here(g, h), here(g, g_weight(g, 2, d, g_dim_const(g, 1))))
                                : g_tame(g, g_expr(g, (gctx){G_NODE, dom, true}, g_chance(g, 50) ? s1(d) : s0(), 2, true), 8);
    out(g, dom, say(g, s1(o), "sum(softmax($0) * $1) @ $2", 3, score, here(g, h), here(g, g_weight(g, 2, d, o))));
}

static void loss(gen *g)
{
    int classes = small(g, 8);
    gsym *x = node_feature(g, s1(classes)), *y = relation(g, G_NODE, classes, false), *mask = feature(g, G_NODE, s0());
    gdom dom = g_chance(g, 70) ? G_GLOBAL : G_GRAPH;
    gsym *p = g_define(g, G_NODE, "p", say(g, s1(classes), "$0.log_softmax(-1)", 1, here(g, x)));
    out(g, dom, say(g, s0(), "-sum($0 * $1[$2]) / (1 + sum(abs($0)))", 3, here(g, mask), here(g, p), here(g, y)));
    gsym *e = g_define(g, G_NODE, "e", say(g, s1(classes), "$0[$1]", 2, here(g, g_weight(g, 2, classes, classes)), here(g, y)));
    gsym *f = g_message(g, "msg", weighted(g, src(g, e)));
    out(g, G_NODE, gathered(g, f));
}

static void network(gen *g)
{
    int k = small(g, 4), d = small(g, 8);
    gsym *x = node_feature(g, s1(d)), *e = feature(g, G_EDGE, s1(k));
    gsym *a = g_define(g, G_EDGE, "A", say(g, s2(d, d), "$0 @ $1", 2, here(g, e), here(g, g_weight(g, 3, k, d, d))));
    gsym *f = g_message(g, "msg", say(g, s1(d), "einsum(\"i,io->o\", $0, $1)", 2, src(g, x), here(g, a)));
    out(g, G_NODE, say(g, s1(d), "tanh(sum($0) + $1)", 2, here(g, f), here(g, x)));
}

static void geometric(gen *g)
{
    int d = small(g, 8), k = small(g, 8), three = g_dim_const(g, 3);
    gsym *h = node_feature(g, s1(d)), *pos = node_feature(g, s1(three));
    gsym *delta = g_define(g, G_EDGE, "delta", say(g, s1(three), "$0 - $1", 2, dst(g, pos), src(g, pos)));
    gsym *r = g_define(g, G_EDGE, "r", say(g, s0(), g_chance(g, 50) ? "$0.norm(-1)" : "dot($0, $0)", 1, here(g, delta)));
    if (g_chance(g, 50)) {
        gsym *rbf = g_define(g, G_EDGE, "rbf", say(g, s1(k), arena_printf(g->mem, "exp(-2 * square($0 - iota(%s) * (2 / %s)))", g->dims[k].text, g->dims[k].text), 1, here(g, r)));
        gsym *f = g_message(g, "msg", say(g, s1(d), "softplus($0 @ $1) * where($2 < 1.93, 0.5 * (cos($2) + 1), 0) * ($3 @ $4)", 5, here(g, rbf), here(g, g_weight(g, 2, k, d)), here(g, r),
                                        src(g, h), here(g, g_weight(g, 2, d, d))));
        out(g, G_NODE, say(g, s1(d), "sum($0)", 1, here(g, f)));
    } else {
        int w = g_dim_sum(g, g_dim_sum(g, d, d), g_dim_const(g, 1));
        gsym *m = g_message(g, "m", say(g, s1(d), "silu(concat($0, $1, $2[None]) @ $3)", 4, dst(g, h), src(g, h), here(g, r), here(g, g_weight(g, 2, w, d))));
        gsym *f = g_message(g, "msg", say(g, s1(three), "$0 * ($1 @ $2)", 3, here(g, delta), here(g, m), here(g, g_weight(g, 2, d, g_dim_const(g, 1)))));
        out(g, G_NODE, say(g, s1(three), "$0 + mean($1)", 2, here(g, pos), here(g, f)));
        out(g, G_NODE, say(g, s1(d), "$0 + sum($1)", 2, here(g, h), here(g, m)));
    }
}

/* Sums at both ends of the edges: hypergraph-like, bipartite both ways. */
static void both_ways(gen *g)
{
    int d = g_dim_any(g);
    gsym *x = feature(g, G_EDGE, s1(d)), *v = node_feature(g, s1(d));
    gsym *f = g_message(g, "msg", say(g, s1(d), "$0 * $1", 2, here(g, x), src(g, v)));
    gsym *a = g_define(g, G_NODE, "a", say(g, s1(d), arena_printf(g->mem, "%s($0)", any_kind(g)), 1, here(g, f)));
    gsym *b = g_define(g, G_NODE, "b", say(g, s1(d), arena_printf(g->mem, "%s($0, by = src)", any_kind(g)), 1, here(g, f)));
    if (g_chance(g, 50))
        out(g, G_EDGE, say(g, s1(d), g_chance(g, 50) ? "$0 - $1" : "$0 * $1", 2, dst(g, a), src(g, b)));
    else
        out(g, G_NODE, say(g, s1(d), "$0 + $1", 2, here(g, a), here(g, b)));
}

/* Nodes that some neighbour, or all, have marked; counts of marks. */
static void marked(gen *g)
{
    int d = small(g, 8);
    gsym *x = node_feature(g, s1(d));
    gx *flag = g_bool(g, g_at(G_EDGE), g_chance(g, 50) ? s1(d) : s0(), 2, true);
    gsym *m = g_define(g, G_EDGE, "m", flag);
    gsym *a = g_define(g, G_NODE, "a", g_mk(g, flag->type, 1, g_chance(g, 50) ? "any($0)" : g_chance(g, 50) ? "all($0)" : "any($0, by = src)", 1, here(g, m)));
    gsym *f = g_message(g, "msg", say(g, s1(d), "where($0, $1, real($2) * $1)", 3, g_read_at(g, "dst", a), src(g, x), here(g, m)));
    out(g, G_NODE, say(g, s1(d), g_chance(g, 50) ? "sum($0) + real($1)" : "where($1 || training, max($0), $2)", 3, here(g, f), here(g, a), here(g, x)));
}

static void sides(gen *g)
{
    int d = small(g, 8), o = small(g, 8);
    gsym *u = g_declare(g, G_SRC, g_real(s1(d))), *v = g_declare(g, G_DST, g_real(s1(o)));
    gsym *f = g_message(g, "msg", say(g, s1(o), "relu($0 @ $1 + $2)", 3, src(g, u), here(g, g_weight(g, 2, d, o)), dst(g, v)));
    out(g, G_DST, say(g, s1(o), "$0 + mean($1)", 2, here(g, v), here(g, f)));
    out(g, G_SRC, say(g, s1(o), arena_printf(g->mem, "%s($0, by = src)", any_kind(g)), 1, here(g, f)));
}

void g_motif(gen *g)
{
    static void (*const motifs[])(gen *) = {gcn, gat, edge_mlp, pna, rgcn, rgcn, gated, gin, graph_norm, pooling, loss, network, geometric, both_ways, gat, edge_mlp, marked};
    enum { N = sizeof motifs / sizeof *motifs };
    if (g->program->two_sided && g_chance(g, 60) && !g->sub)
        sides(g);
    else
        motifs[g_below(g, N)](g);
}

/* ---- iteration ---- */

/* What keeps the chain of steps from growing. */
static gx *contracted(gen *g, gx *x, const gsym *state)
{
    gx *now = g_read_at(g, "", state);
    switch (g_below(g, 4)) {
    case 0: return say(g, x->type.shape, "tanh($0)", 1, x);
    case 1: return say(g, x->type.shape, "0.7 * $0 + 0.3 * tanh($1)", 2, now, x);
    case 2: return say(g, x->type.shape, "sigmoid($1) * $0 + 0.2 * sin($1)", 2, now, x);
    default: return say(g, x->type.shape, "0.5 * $0 + clamp($1, -1, 1)", 2, now, x);
    }
}

void g_loop(gen *g, int fuel)
{
    if (g->n_loops == 2)
        return;
    static const gdom doms[] = {G_NODE, G_NODE, G_NODE, G_NODE, G_EDGE, G_GRAPH, G_GLOBAL};
    gdom dom = doms[g_below(g, 7)];
    bool is_long = g->program->grads && !g->n_loops && g_chance(g, 10);         /* so that not all states are kept */
    int n = g_chance(g, 70) ? 1 : 2, limit = is_long ? g_dim_const(g, 32 + g_below(g, 6)) : g->n_loops ? g_dim_const(g, 2) : g_chance(g, 60) ? g_dim_const(g, 1 + g_below(g, 4)) : small(g, 5);
    gsym *states[2];
    gx *starts = g_mk(g, g_real(s0()), 0, "", 0);
    for (int i = 0; i < n; i++) {
        gshape s = g_shape_any(g, dom, 2);
        gx *start = g_tame(g, g_expr(g, g_at(dom), s, 2, false), 4);
        states[i] = NEW(g->mem, gsym);
        *states[i] = (gsym){.kind = GS_STATE, .name = g_name(g, "z"), .dom = dom, .type = start->type, .mag = 3, .number = g->n_names};
        starts->kid[starts->n++] = start;
    }
    gstmt *st = g_stmt(g, GT_ITERATE);
    *st = (gstmt){.kind = GT_ITERATE, .dom = dom, .value = starts, .n_states = n, .limit = g->dims[limit].text};
    if (g_chance(g, 25))
        st->until = g_chance(g, 50) ? " until change < 1e-12" : g_chance(g, 50) ? " until change < 0.05" : " until change < 1e3";
    for (int i = 0; i < n; i++) {
        st->state[i] = states[i]->name;
        g_note_reads(g, starts->kid[i], states[i]->reads);
        states[i]->reads[states[i]->number / 64] |= (uint64_t)1 << states[i]->number % 64;
        g->syms[g->n_syms++] = states[i];
    }
    gstmt **outer = g->tail;
    int seen = g->n_syms, inputs = g->layer->n_inputs;
    g->tail = &st->body;
    g->loop_limit[g->n_loops++] = limit;
    if (dom == G_NODE && states[0]->type.shape.rank < 2 && g_chance(g, 60)) {
        gsym *f = g_message(g, "msg", weighted(g, src(g, states[0])));
        g_define(g, G_NODE, "a", say(g, f->type.shape, arena_printf(g->mem, "%s($0)", any_kind(g)), 1, here(g, f)));
    } else if (dom == G_NODE && g_chance(g, 25)) {
        g_motif(g);
    } else if (dom == G_NODE && g_chance(g, 30)) {
        gx *a = g_mk(g, states[0]->type, 4, g_chance(g, 50) ? "mean($0)" : "sum($0)", 1, here(g, states[0]));
        g_define(g, g_chance(g, 70) ? G_GRAPH : G_GLOBAL, "a", a);
    } else if (dom == G_EDGE && g_chance(g, 60)) {
        gx *a = g_mk(g, states[0]->type, 4, "sum($0)", 1, here(g, states[0]));
        gsym *v = g_define(g, G_NODE, "a", a);
        g_define(g, G_EDGE, "b", g_mk(g, states[0]->type, 4, "($0 - $1)", 2, src(g, v), here(g, states[0])));
    } else if (g_chance(g, 50)) {
        g_define(g, dom, "v", g_expr(g, g_at(dom), g_shape_any(g, dom, 2), fuel, false));
    }
    if (g->n_loops == 1 && g_chance(g, 12))
        g_loop(g, 1);
    if (g_chance(g, 40)) {                      /* weights of its own for each step */
        int w = states[0]->type.shape.rank ? states[0]->type.shape.d[0] : g_dim_const(g, 1);
        gx *table = here(g, g_declare(g, G_PARAM, g_real(states[0]->type.shape.rank ? s2(limit, w) : s1(limit))));
        g_define(g, states[0]->type.shape.rank ? G_GLOBAL : dom, "b", say(g, states[0]->type.shape.rank ? s1(w) : s0(), "0.5 * $0[step]", 1, table));
    }
    for (int i = 0; i < n; i++) {
        gstmt *next = g_stmt(g, GT_NEXT);
        next->name = states[i]->name;
        next->value = contracted(g, g_expr(g, g_at(dom), states[i]->type.shape, fuel, dom == G_EDGE || dom == G_NODE), states[i]);
    }
    for (gstmt *b = st->body; b; b = b->next)
        for (int i = 0; i < n; i++)
            if (b->kind == GT_NEXT && b->name == states[i]->name)
                g_note_reads(g, b->value, states[i]->reads);
    g->n_loops--;
    g->tail = outer;
    g->n_syms = seen;
    for (int i = inputs; i < g->layer->n_inputs; i++)
        g->syms[g->n_syms++] = g->layer->inputs[i];
}

/* ---- helpers ---- */

void g_fns(gen *g, buf *out)
{
    static const char *const acts[] = {"relu(x)", "tanh(x)", "x * sigmoid(x)", "elu(x, 0.5)", "where(x > 0.0171, x, 0.3 * x)"};
    buf_printf(out, "const half = 0.5;\n");
    buf_printf(out, "fn act(x) = %s;\n", acts[g_below(g, 5)]);
    buf_printf(out, "fn gate(x, h) {\n    let z = sigmoid(x + h);\n    return (1 - z) * tanh(x) + z * h;\n}\n");
    buf_printf(out, "fn alpha_mix(a, b) = %s * a + half * b;\n", g_chance(g, 50) ? "0.3" : "half");
    buf_printf(out, "fn twice(x) = act(act(x));\n");
    buf_printf(out, "fn decay(x) {\n    let a = half * x;\n    let b = %s;\n    return a * b;\n}\n", g_chance(g, 50) ? "exp(-abs(a))" : "sigmoid(-a)");
}
