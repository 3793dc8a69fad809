/* Expressions of a wanted type: element-wise functions, feature axes, shapes, lookups, aggregates, calls.
 *
 * Each production makes an expression of shape s at the context's member, or returns NULL when it does not
 * apply. Where a rule is discontinuous (floor, sign, comparisons, bucket) its operand is shifted off the numbers that
 * programs are likely to hit exactly: a tie that rounding decides says nothing about the compiler. */
#include "tests/prop/gen.h"

#include <math.h>
#include <string.h>

enum { TOO_LARGE = 40 };

gctx g_at(gdom dom) { return (gctx){.dom = dom, .outer = dom}; }

static bool is_nodal(gdom d) { return d == G_NODE || d == G_SRC || d == G_DST; }

gx *g_tame(gen *g, gx *x, double limit)
{
    if (x->mag <= limit)
        return x;
    if (limit >= 1 && g_chance(g, 60))
        return g_mk(g, x->type, 1, "tanh($0)", 1, x);
    return g_mk(g, x->type, limit, arena_printf(g->mem, "clamp($0, -%.3g, %.3g)", limit, limit), 1, x);
}

static gx *sane(gen *g, gx *x) { return x && x->type.elem == G_REAL ? g_tame(g, x, TOO_LARGE) : x; }

/* ---- leaves ---- */

/* Can a value of `dom` be read at the member, and does reading it make the expression one of that domain? */
static bool readable(gdom value, gctx c, bool must)
{
    switch (c.dom) {
    case G_PARAM: return value == G_PARAM && !must;
    case G_GLOBAL: return value <= G_GLOBAL && !must;
    case G_GRAPH: return must ? value == G_GRAPH : value <= G_GRAPH;
    case G_NODE: return value == G_NODE || value == G_DST || (!must && value <= G_GRAPH);
    case G_SRC: return value == G_SRC || (!must && (value == G_NODE || value <= G_GRAPH));
    case G_DST: return value == G_DST || (!must && (value == G_NODE || value <= G_GRAPH));
    case G_EDGE: return must ? value >= G_NODE : true;
    case G_N_DOMS: break;
    }
    return false;
}

static const gsym *find(gen *g, gctx c, gtype t, bool must)
{
    const gsym *found[G_MAX_SYMS];
    int n = 0;
    for (int i = 0; i < g->n_syms; i++) {
        const gsym *s = g->syms[i];
        bool same = s->type.elem == t.elem && g_shape_same(g, s->type.shape, t.shape) &&
                    (t.elem != G_INDEX || (g_dim_same(g, s->type.range, t.range) && (t.none || !s->type.none)));
        if (same && readable(s->dom, c, must))
            found[n++] = s;
    }
    if (!n)
        return NULL;
    int at = g_below(g, n), later = g_below(g, n);      /* rather a later one: chains grow long */
    return found[at > later ? at : later];
}

static gdom input_domain(gen *g, gctx c, bool must)
{
    static const gdom coarse[] = {G_PARAM, G_PARAM, G_GLOBAL, G_GRAPH};
    if (!must && g_chance(g, 25)) {
        gdom d = coarse[g_below(g, 4)];
        return d < c.dom ? d : c.dom == G_GLOBAL ? G_GLOBAL : G_PARAM;
    }
    if (c.dom == G_EDGE && g_chance(g, 60))
        return !g->program->two_sided ? G_NODE : g_chance(g, 40) ? G_SRC : g_chance(g, 60) ? G_DST : G_NODE;
    if (c.dom == G_NODE && g->program->two_sided && g_chance(g, 20))
        return G_DST;
    return c.dom;
}

static gx *builtin(gen *g, gctx c)
{
    gtype t = g_real(g_shape(0, NULL));
    int what = g_below(g, 4);
    if (g->n_loops && what == 0)
        return g_mk(g, t, 4, "real(step)", 0);
    if (c.dom == G_EDGE)
        return g_mk(g, t, 6, what & 1 ? "src.out_degree" : what & 2 ? "src.in_degree" : "dst.in_degree", 0);
    if (c.dom == G_NODE)
        return g_mk(g, t, 6, what & 1 ? "in_degree" : what == 2 ? "out_degree" : "graph.num_nodes", 0);
    if (c.dom == G_GRAPH || c.dom == G_GLOBAL)
        return g_mk(g, t, 30, what & 1 ? "num_nodes" : "num_edges", 0);
    return g_number(g, g_uniform(g, -1, 1));
}

static gx *constant(gen *g, gshape s)
{
    const gdim *d = &g->dims[s.rank ? s.d[0] : 0];
    if (s.rank == 1 && d->value < 9 && g_chance(g, 50))
        return g_mk(g, g_real(s), 8, arena_printf(g->mem, "iota(%s)", d->text), 0);
    if (s.rank)
        return g_mk(g, g_real(s), 1, arena_printf(g->mem, g_chance(g, 50) ? "ones(%s)" : "zeros(%s)", g_dims_text(g, &s)), 0);
    const gstatic *k = &g->layer->statics[g_chance(g, 50) ? g->layer->n_statics - 1 : g_below(g, g->layer->n_statics)];
    if (g_chance(g, 50) && (k->real || k->dim < 9))         /* the last one may be real */
        return g_mk(g, g_real(s), k->real ? 1 : 8, k->name, 0);
    return g_number(g, g_uniform(g, -1.5, 1.5));
}

static gx *leaf(gen *g, gctx c, gshape s, bool must)
{
    if (!must && g_chance(g, s.rank ? 6 : 25))
        return constant(g, s);
    if (!must && !s.rank && g_chance(g, 15))
        return g_tame(g, builtin(g, c), 6);
    const gsym *v = find(g, c, g_real(s), must);
    if (!v || (g->layer->n_inputs < 12 && g_chance(g, 12)))
        v = g_declare(g, input_domain(g, c, must), g_real(s));
    return g_read(g, c, v);
}

/* ---- element by element ---- */

static gx *unary(gen *g, gctx c, gshape s, int fuel, bool must)
{
    static const struct { const char *text; double least, mag; } fns[] = {
        {"exp($0)", 2, 7.4}, {"exp(-$0)", 2, 7.4}, {"log(abs($0) + 0.3)", 0, 3}, {"log(1 + square($0))", 0, 4}, {"log1p(abs($0))", 0, 3}, {"sqrt(abs($0) + 0.1)", 0, 4},
        {"rsqrt(abs($0) + 0.5)", 0, 1.5}, {"abs($0)", 0, 0}, {"sign($0 + 0.1371)", 0, 1}, {"sin($0)", 20, 1}, {"cos($0)", 20, 1},
        {"tanh($0)", 0, 1}, {"sigmoid($0)", 0, 1}, {"relu($0)", 0, 0}, {"leaky_relu($0)", 0, 0}, {"leaky_relu($0, 0.2)", 0, 0},
        {"leaky_relu($0, slope = 0.3)", 0, 0}, {"elu($0)", 0, 0}, {"elu($0, 0.7)", 0, 0}, {"selu($0)", 0, 0}, {"gelu($0)", 0, 0},
        {"silu($0)", 0, 0}, {"softplus($0)", 0, 0}, {"erf($0)", 0, 1}, {"square($0)", 5, 25}, {"floor(3 * $0 + 0.3713)", 5, 15},
        {"(-$0)", 0, 0}, {"$0 ** 2", 5, 25}, {"$0 ** 3", 3, 27}, {"(abs($0) + 0.5) ** 1.7", 5, 18}, {"(abs($0) + 0.5) ** -1.5", 0, 3},
        {"clamp($0, -0.7, 0.9)", 0, 0.9}, {"maximum($0, 0.21)", 0, 0}, {"minimum($0, 0.33)", 0, 0}, {"(1 - $0)", 0, 0}, {"$0 / 3", 0, 0},
        {"2 * $0", 0, 0}, {"(abs($0) + 0.25) ** 0.5", 0, 4}, {"1 / (1 + exp(-$0))", 4, 1}, {"dropout($0, 0.3)", 0, 0}, {"stop_gradient($0)", 0, 0}};
    static const char *const wild[] = {"log(abs($0))", "log(relu($0))", "relu($0) ** -1", "rsqrt(relu($0))", "sqrt($0)", "log($0 - 0.5)", "log1p($0 - 0.7)"};
    enum { N = sizeof fns / sizeof *fns };
    if (g->wild && g_chance(g, 8)) {
        gx *x = g_expr(g, c, s, fuel - 1, must);
        return g_mk(g, g_real(s), 3, wild[g_below(g, 7)], 1, x);
    }
    int i = g_below(g, N);
    gx *x = g_expr(g, c, s, fuel - 1, must);
    if (fns[i].least)
        x = g_tame(g, x, fns[i].least);
    const char *text = fns[i].text;
    if (text[0] == '$')                         /* postfix binds tighter than whatever the operand is made of */
        text = arena_printf(g->mem, "(($0)%s)", text + 2);
    return g_mk(g, g_real(s), fns[i].mag ? fns[i].mag : 2 * x->mag + 1, text, 1, x);
}

gx *g_act(gen *g, gx *x)
{
    static const char *const acts[] = {"relu($0)", "tanh($0)", "sigmoid($0)", "silu($0)", "gelu($0)", "elu($0)", "leaky_relu($0, 0.2)", "softplus($0)"};
    int i = g_below(g, 8);
    return g_mk(g, x->type, i == 1 || i == 2 ? 1 : x->mag, acts[i], 1, x);
}

/* An operand that broadcasts to s: s itself, a scalar, its last axes, or with one axis of 1. */
static gx *broadcast(gen *g, gctx c, gshape s, int fuel, bool must)
{
    int how = g_below(g, 10);
    if (how < 3 && s.rank)
        return g_expr(g, c, g_shape(0, NULL), fuel, must);
    if (how < 4 && s.rank > 1)
        return g_expr(g, c, g_shape_without(s, 0), fuel, must);
    if (how < 6 && s.rank) {
        int axis = g_below(g, s.rank);
        gx *x = g_expr(g, c, g_shape_without(s, axis), fuel, must);
        const char *subs = "";
        for (int i = 0; i <= axis; i++)
            subs = arena_printf(g->mem, "%s%s%s", subs, i ? ", " : "", i == axis ? "None" : ":");
        return g_mk(g, g_real(g_shape_with(x->type.shape, axis, g_dim_const(g, 1))), x->mag, arena_printf(g->mem, "($0)[%s]", subs), 1, x);
    }
    return g_expr(g, c, s, fuel, must);
}

static gx *binary(gen *g, gctx c, gshape s, int fuel, bool must)
{
    static const struct { const char *text; int kind; } ops[] = {
        {"($0 + $1)", 0}, {"($0 + $1)", 0}, {"($0 - $1)", 0}, {"($0 * $1)", 1}, {"($0 * $1)", 1}, {"($0 * $1)", 1}, {"($0 * sigmoid($1))", 2},
        {"($0 / (abs($1) + 0.5))", 0}, {"($0 / (softplus($1) + 0.1))", 0}, {"maximum($0, $1)", 0}, {"minimum($0, $1)", 0},
        {"atan2($0, abs($1) + 0.2)", 2}, {"alpha_mix($0, $1)", 0}, {"gate($0, $1)", 0}, {"((abs($0) + 0.5) ** tanh($1))", 2}};
    enum { N = sizeof ops / sizeof *ops };
    int i = g_below(g, N);
    bool first = g_chance(g, 50);
    gx *a = g_expr(g, c, s, fuel - 1, must && first), *b = broadcast(g, c, s, g_below(g, fuel), must && !first);
    if (ops[i].kind == 1) {
        a = g_tame(g, a, 10);
        b = g_tame(g, b, 5);
    }
    bool swap = i < 6 && g_chance(g, 30);
    double mag = ops[i].kind == 1 ? a->mag * b->mag : ops[i].kind == 2 ? a->mag + 1 : a->mag + b->mag;
    return g_mk(g, g_real(s), mag, ops[i].text, 2, swap ? b : a, swap ? a : b);
}

static gx *choice(gen *g, gctx c, gshape s, int fuel, bool must)
{
    if (g_chance(g, 20))                        /* a bool or an index as a number */
        return g_mk(g, g_real(s), 8, "real($0)", 1, g_chance(g, 60) ? g_bool(g, c, s, fuel, must) : g_index(g, c, g_dim_any(g), s, fuel - 1, true));
    bool cond = g_chance(g, 30);
    gx *w = g_bool(g, c, g_chance(g, 50) ? s : g_shape(0, NULL), fuel - 1, must && cond);
    gx *a = g_expr(g, c, s, fuel - 1, must && !cond), *b = broadcast(g, c, s, g_below(g, fuel), false);
    if (g_chance(g, 30))
        b = g_number(g, g_uniform(g, -1, 1));
    return g_mk(g, g_real(s), a->mag + b->mag, g_chance(g, 50) ? "where($0, $1, $2)" : "where(!($0), $2, $1)", 3, w, a, b);
}

gx *g_bool(gen *g, gctx c, gshape s, int fuel, bool must)
{
    gtype t = {.elem = G_BOOL, .shape = s};
    int what = g_below(g, 10);
    if (what < 2 || fuel <= 0) {
        const gsym *v = find(g, c, t, must);
        if (!v)
            v = g_declare(g, must ? input_domain(g, c, true) : c.dom == G_PARAM || c.dom == G_GLOBAL ? G_GLOBAL : input_domain(g, c, true), t);
        if (v->dom != G_PARAM)
            return g_read(g, c, v);
    }
    if (!must && !s.rank && g_chance(g, 5))
        return g_mk(g, t, 1, "training", 0);
    if (what < 4 && fuel > 0) {
        gx *a = g_bool(g, c, s, fuel - 1, must), *b = g_bool(g, c, g_chance(g, 50) ? s : g_shape(0, NULL), g_below(g, fuel), false);
        return g_mk(g, t, 1, what & 1 ? "($0 && $1)" : g_chance(g, 50) ? "($0 || $1)" : "(!$0)", 2, a, b);
    }
    if (what < 6 && !c.in_agg && is_nodal(c.dom) && c.dom != G_SRC && fuel > 0)
        return g_mk(g, t, 1, what & 1 ? "any($0)" : "all($0)", 1, g_bool(g, (gctx){G_EDGE, c.dom, true}, s, fuel - 1, true));
    static const char *const cmp[] = {"($0 > 0.1873)", "($0 <= 0.3171)", "(0.0711 < $0)", "($0 >= $1 + 0.0317)", "($0 < $1 - 0.0511)", "(floor($0 + 0.27) == 0)",
                                      "(floor($0 + 0.27) != floor($1 + 0.41))"};
    int i = g_below(g, 7);
    gx *a = g_expr(g, c, s, fuel - 1, must), *b = i >= 3 && i != 5 ? broadcast(g, c, s, fuel - 2, false) : a;
    return g_mk(g, t, 1, cmp[i], 2, a, b);
}

/* ---- feature axes ---- */

static gx *reduce(gen *g, gctx c, gshape s, int fuel, bool must)
{
    static const char *const fns[] = {"sum", "sum", "mean", "max", "min", "var", "norm"};
    if (s.rank == 3)
        return NULL;
    int axis = g_below(g, s.rank + 1), i = g_below(g, 7), d = g_dim_any(g);
    gshape from = g_shape_with(s, axis, d);
    if (g_shape_size(g, from) > 200)
        return NULL;
    gx *x = g_expr(g, c, from, fuel - 1, must);
    int shown = g_chance(g, 50) ? axis : axis - from.rank;
    double n = (double)g->dims[d].value;
    return g_mk(g, g_real(s), i < 2 ? x->mag * n : i == 5 ? x->mag * x->mag : i == 6 ? x->mag * sqrt(n) : x->mag,
                arena_printf(g->mem, "($0).%s(%d)", fns[i], shown), 1, x);
}

static gx *along_axis(gen *g, gctx c, gshape s, int fuel, bool must)
{
    if (!s.rank)
        return NULL;
    gx *x = g_expr(g, c, s, fuel - 1, must);
    int axis = g_below(g, s.rank), shown = g_chance(g, 50) ? axis : axis - s.rank;
    if (g_chance(g, 35)) {
        gshape last = g_shape(1, &s.d[s.rank - 1]);
        gx *gamma = leaf(g, c, last, false), *beta = leaf(g, c, g_chance(g, 50) ? last : g_shape(0, NULL), false);
        return g_mk(g, g_real(s), 5, g_chance(g, 60) ? "layer_norm($0, $1, $2, 0.01)" : "layer_norm($0, $1, $2, eps = 0.1)", 3, x, gamma, beta);
    }
    bool log = g_chance(g, 40);
    return g_mk(g, g_real(s), log ? x->mag * 2 + 3 : 1, arena_printf(g->mem, log ? "($0).log_softmax(%d)" : "($0).softmax(%d)", shown), 1, x);
}

static gx *dot(gen *g, gctx c, gshape s, int fuel, bool must)
{
    gshape from = g_shape_with(s, s.rank, g_dim_any(g));
    if (s.rank == 3 || g_shape_size(g, from) > 200)
        return NULL;
    bool first = g_chance(g, 50);
    gx *a = g_tame(g, g_expr(g, c, from, fuel - 1, must && first), 5), *b = g_tame(g, g_expr(g, c, from, g_below(g, fuel), must && !first), 5);
    double n = (double)g->dims[from.d[s.rank]].value;
    return g_mk(g, g_real(s), a->mag * b->mag * sqrt(n), "dot($0, $1)", 2, a, b);
}

static gx *matmul(gen *g, gctx c, gshape s, int fuel, bool must)
{
    int k = g_dim_any(g), split = g_chance(g, 80) ? 0 : g_below(g, s.rank + 1);
    gshape a = g_shape(split, s.d), b = g_shape(s.rank - split, s.d + split);
    a = g_shape_with(a, a.rank, k);
    b = g_shape_with(b, 0, k);
    if (g_shape_size(g, a) > 150 || g_shape_size(g, b) > 1200 || a.rank > 3 || b.rank > 3)
        return NULL;
    gx *x = g_tame(g, g_expr(g, c, a, fuel - 1, must), 8), *w;
    if (g_chance(g, 85) || g_shape_size(g, b) > 150)
        w = g_read_at(g, "", g_declare(g, G_PARAM, g_real(b)));
    else
        w = g_tame(g, g_expr(g, c, b, g_below(g, fuel), false), 3);
    return g_mk(g, g_real(s), 0.6 * x->mag * w->mag * sqrt((double)g->dims[k].value), "(($0) @ $1)", 2, x,
                w->n ? g_mk(g, w->type, w->mag, "($0)", 1, w) : w);
}

/* Random letters: those of s are spread over the operands, and one or two more are summed. */
static gx *einsum(gen *g, gctx c, gshape s, int fuel, bool must)
{
    int letters[6], n = s.rank, extra = 1 + g_below(g, 2), operands = g_chance(g, 80) ? 2 : g_chance(g, 60) ? 3 : 1;
    for (int i = 0; i < s.rank; i++)
        letters[i] = s.d[i];
    for (int i = 0; i < extra; i++) {
        letters[n] = g_dim_any(g);
        if (g->dims[letters[n]].value > 8)
            letters[n] = g_dim_const(g, 2);
        n++;
    }
    gshape part[3] = {{0}};
    char spec[3][8] = {{0}}, out[8] = {0};
    for (int l = 0; l < n; l++) {
        bool used = false;
        for (int o = 0; o < operands; o++) {
            bool take = g_chance(g, l >= s.rank ? 80 : 50) || (o == operands - 1 && !used);
            if (!take || part[o].rank == 3)
                continue;
            int at = g_below(g, part[o].rank + 1);
            memmove(spec[o] + at + 1, spec[o] + at, (size_t)(part[o].rank - at));
            spec[o][at] = (char)('a' + l);
            part[o] = g_shape_with(part[o], at, letters[l]);
            used = true;
        }
        if (!used)
            return NULL;
        if (l < s.rank)
            out[l] = (char)('a' + l);
    }
    gx *x[3] = {NULL};
    double mag = 1, sum = 1;
    int forced = g_below(g, operands);
    for (int l = s.rank; l < n; l++)
        sum *= sqrt((double)g->dims[letters[l]].value);
    const char *specs = "", *args = "";
    for (int o = 0; o < operands; o++) {
        if (g_shape_size(g, part[o]) > 200)
            return NULL;
        bool param = o && !(must && o == forced) && g_chance(g, 50);
        x[o] = param ? g_read_at(g, "", g_declare(g, G_PARAM, g_real(part[o]))) : g_tame(g, g_expr(g, c, part[o], o ? g_below(g, fuel) : fuel - 1, must && o == forced), 4);
        mag *= x[o]->mag;
        specs = arena_printf(g->mem, "%s%s%s", specs, o ? "," : "", spec[o]);
        args = arena_printf(g->mem, "%s, $%d", args, o);
    }
    return g_mk(g, g_real(s), mag * sum, arena_printf(g->mem, "einsum(\"%s->%s\"%s)", specs, out, args), operands, x[0], x[1], x[2]);
}

/* ---- shapes ---- */

static gx *reshape(gen *g, gctx c, gshape s, int fuel, bool must)
{
    gshape from = s;
    for (int i = 0; i < s.rank; i++) {
        const gdim *d = &g->dims[s.d[i]];
        if (d->kind == GD_PROD && s.rank < 3) {
            from.d[i] = d->b;
            from = g_shape_with(from, i, d->a);
            break;
        }
        if (d->kind == GD_CONST && d->value % 2 == 0 && d->value > 2 && s.rank < 3) {
            from.d[i] = g_dim_const(g, d->value / 2);
            from = g_shape_with(from, i, g_dim_const(g, 2));
            break;
        }
    }
    if (g_shape_same(g, from, s) && s.rank >= 2) {
        int p = g_dim_prod(g, s.d[0], s.d[1]);
        from = g_shape_without(s, 0);
        from.d[0] = p;
    } else if (g_shape_same(g, from, s)) {
        if (!s.rank)
            return NULL;
        from = g_shape_with(s, g_below(g, s.rank + 1), g_dim_const(g, 1));
    }
    gx *x = g_expr(g, c, from, fuel - 1, must);
    return g_mk(g, g_real(s), x->mag, arena_printf(g->mem, "($0).reshape(%s)", g_dims_text(g, &s)), 1, x);
}

static gx *transpose(gen *g, gctx c, gshape s, int fuel, bool must)
{
    if (s.rank < 2)
        return NULL;
    int a = g_below(g, s.rank), b = (a + 1 + g_below(g, s.rank - 1)) % s.rank;
    gshape from = s;
    from.d[a] = s.d[b];
    from.d[b] = s.d[a];
    gx *x = g_expr(g, c, from, fuel - 1, must);
    return g_mk(g, g_real(s), x->mag, arena_printf(g->mem, "($0).transpose(%d, %d)", a, g_chance(g, 50) ? b : b - s.rank), 1, x);
}

static gx *concat(gen *g, gctx c, gshape s, int fuel, bool must)
{
    int axis = -1;
    for (int i = 0; i < s.rank; i++)
        if (g->dims[s.d[i]].kind == GD_SUM || (g->dims[s.d[i]].kind == GD_CONST && g->dims[s.d[i]].value > 1))
            axis = i;
    if (axis < 0)
        return NULL;
    const gdim d = g->dims[s.d[axis]];
    gshape p = s, q = s;
    if (d.kind == GD_SUM) {
        p.d[axis] = d.a;
        q.d[axis] = d.b;
    } else {
        int64_t cut = 1 + g_below(g, (int)d.value - 1);
        p.d[axis] = g_dim_const(g, cut);
        q.d[axis] = g_dim_const(g, d.value - cut);
    }
    bool first = g_chance(g, 50);
    gx *a = g_expr(g, c, p, fuel - 1, must && first), *b = g_expr(g, c, q, g_below(g, fuel), must && !first);
    const char *text = "concat($0, $1)";
    if (axis != s.rank - 1 || g_chance(g, 20))
        text = arena_printf(g->mem, "concat($0, $1, axis = %d)", g_chance(g, 50) ? axis : axis - s.rank);
    return g_mk(g, g_real(s), a->mag > b->mag ? a->mag : b->mag, text, 2, a, b);
}

static gx *stack(gen *g, gctx c, gshape s, int fuel, bool must)
{
    if (!s.rank || g->dims[s.d[0]].kind != GD_CONST || g->dims[s.d[0]].value > 3)
        return NULL;
    gshape from = g_shape_without(s, 0);
    int n = (int)g->dims[s.d[0]].value, forced = g_below(g, n);
    gx *x[3] = {NULL};
    for (int i = 0; i < n; i++)
        x[i] = g_expr(g, c, from, i ? g_below(g, fuel) : fuel - 1, must && i == forced);
    return g_mk(g, g_real(s), x[forced]->mag + 1, n == 1 ? "stack($0)" : n == 2 ? "stack($0, $1)" : "stack($0, $1, $2)", n, x[0], x[1], x[2]);
}

static const char *axis_prefix(gen *g, int axis)
{
    const char *t = "";
    for (int i = 0; i < axis; i++)
        t = arena_printf(g->mem, "%s:, ", t);
    return t;
}

static gx *slice(gen *g, gctx c, gshape s, int fuel, bool must)
{
    if (!s.rank)
        return NULL;
    int axis = g_below(g, s.rank), more = g_dim_any(g);
    if (g->dims[more].value > 8)
        more = g_dim_const(g, 2);
    const gdim own = g->dims[s.d[axis]], other = g->dims[more];
    bool front = g_chance(g, 50);
    gshape from = s;
    from.d[axis] = front ? g_dim_sum(g, s.d[axis], more) : g_dim_sum(g, more, s.d[axis]);
    if (g_shape_size(g, from) > 200)
        return NULL;
    gx *x = g_expr(g, c, from, fuel - 1, must);
    const char *range;
    if (front)
        range = other.kind == GD_CONST && g_chance(g, 50) ? arena_printf(g->mem, ":-%s", other.text) : arena_printf(g->mem, "%s:%s", g_chance(g, 50) ? "0" : "", own.text);
    else
        range = own.kind == GD_CONST && g_chance(g, 50) ? arena_printf(g->mem, "-%s:", own.text) : arena_printf(g->mem, "%s:", other.text);
    return g_mk(g, g_real(s), x->mag, arena_printf(g->mem, "($0)[%s%s]", axis_prefix(g, axis), range), 1, x);
}

static gx *pick(gen *g, gctx c, gshape s, int fuel, bool must)
{
    if (s.rank == 3)
        return NULL;
    int axis = g_below(g, s.rank + 1), n = 1 + g_below(g, 3);
    gx *x = g_expr(g, c, g_shape_with(s, axis, g_dim_const(g, n)), fuel - 1, must);
    return g_mk(g, g_real(s), x->mag, arena_printf(g->mem, "($0)[%s%d]", axis_prefix(g, axis), g_chance(g, 50) ? g_below(g, n) : -1 - g_below(g, n)), 1, x);
}

/* Axes of 1 come from None. */
static gx *new_axis(gen *g, gctx c, gshape s, int fuel, bool must)
{
    for (int i = 0; i < s.rank; i++) {
        if (g->dims[s.d[i]].kind != GD_CONST || g->dims[s.d[i]].value != 1)
            continue;
        gx *x = g_expr(g, c, g_shape_without(s, i), fuel - 1, must);
        return g_mk(g, g_real(s), x->mag, arena_printf(g->mem, "($0)[%sNone]", axis_prefix(g, i)), 1, x);
    }
    return NULL;
}

/* ---- lookups ---- */

gx *g_index(gen *g, gctx c, int range, gshape s, int fuel, bool none)
{
    gtype t = {.elem = G_INDEX, .shape = s, .range = range, .none = none};
    if (g->n_loops && !s.rank && g->loop_limit[g->n_loops - 1] == range && g_chance(g, 60))
        return g_mk(g, t, 1, "step", 0);
    if (fuel > 0 && g_chance(g, 20)) {
        gx *x = g_tame(g, g_expr(g, c, s, fuel - 1, true), 5);
        t.none = false;
        return g_mk(g, t, 1, arena_printf(g->mem, "bucket(2.7 * $0 + 1.313, %s)", g->dims[range].text), 1, x);
    }
    const gsym *v = find(g, c, t, true);
    if (!v) {
        t.none = none && g_chance(g, 40);
        gdom d = input_domain(g, c, true);
        v = g_declare(g, d == G_PARAM ? G_GLOBAL : d, t);
    }
    gx *x = g_read(g, c, v);
    return x;
}

static gx *lookup(gen *g, gctx c, gshape s, int fuel, bool must)
{
    if (c.dom == G_PARAM || c.dom == G_GLOBAL)
        return g->n_loops && c.dom == G_GLOBAL && s.rank < 3 && !must
                   ? g_mk(g, g_real(s), 1, "$0[step]", 1, g_read_at(g, "", g_declare(g, G_PARAM, g_real(g_shape_with(s, 0, g->loop_limit[g->n_loops - 1]))))) : NULL;
    int range = g->n_loops && g_chance(g, 50) ? g->loop_limit[g->n_loops - 1] : g_dim_any(g);
    bool wide = s.rank && s.rank < 3 && g_chance(g, 15);
    gshape table = g_shape_with(wide ? g_shape_without(s, 0) : s, 0, range);
    if (g_shape_size(g, table) > 1000 || table.rank > 3)
        return NULL;
    gx *i = g_index(g, c, range, wide ? g_shape(1, s.d) : g_shape(0, NULL), fuel - 1, true);
    if (strcmp(i->text, "step") == 0 && must)
        return NULL;
    gx *w = g_shape_size(g, table) > 150 || g_chance(g, 70) ? g_read_at(g, "", g_declare(g, G_PARAM, g_real(table)))
                                                            : g_mk(g, g_real(table), 1, "($0)", 1, g_expr(g, c, table, fuel - 1, false));
    return g_mk(g, g_real(s), w->mag, "$0[$1]", 2, w, i);
}

/* ---- aggregates ---- */

static gx *aggregate(gen *g, gctx c, gshape s, int fuel, bool must)
{
    static const char *const kinds[] = {"sum", "sum", "sum", "sum", "mean", "mean", "max", "max", "min", "prod", "var", "std", "count"};
    if (c.in_agg || c.dom == G_EDGE || c.dom == G_PARAM)
        return NULL;
    (void)must;                                 /* its value is one of the context's domain anyway */
    gctx m = {.dom = G_EDGE, .outer = c.dom, .in_agg = true};
    if (c.dom == G_GRAPH)
        m.dom = g_chance(g, 60) ? G_NODE : G_EDGE;
    else if (c.dom == G_GLOBAL)
        m.dom = g_chance(g, 40) ? G_NODE : g_chance(g, 50) ? G_EDGE : g->program->two_sided ? G_SRC : G_GRAPH;
    bool by_src = c.dom == G_SRC || (c.dom == G_NODE && g_chance(g, 20)), per = s.rank && g->dims[s.d[0]].value <= 17 && g_chance(g, 25);
    gshape inner = per ? g_shape_without(s, 0) : s;
    const char *kind = kinds[g_below(g, 13)], *by = by_src ? ", by = src" : is_nodal(c.dom) && g_chance(g, 10) ? ", by = dst" : "";
    gx *i = per ? g_index(g, m, s.d[0], g_shape(0, NULL), fuel - 1, true) : NULL;
    if (per && !strcmp(i->text, "step"))
        return NULL;
    if (!strcmp(kind, "count")) {
        if (inner.rank)
            return NULL;
        if (per)
            return g_mk(g, g_real(s), 6, arena_printf(g->mem, "count(per = $0%s)", by), 1, i);
        return g_mk(g, g_real(s), is_nodal(c.dom) ? 6 : 30, by_src ? "count(by = src)" : "count()", 0);
    }
    gx *x = g_expr(g, m, inner, fuel - 1, true);
    double members = is_nodal(c.dom) ? 5 : 30, mag = x->mag;
    if (kind[0] == 's' && kind[1] == 'u')
        mag *= members;
    if (kind[0] == 'p')
        x = g_tame(g, x, 1.5), mag = 5;
    if (kind[0] == 'v')
        x = g_tame(g, x, 6), mag = x->mag * x->mag;
    if (kind[0] == 's' && kind[1] == 't')       /* std of equal members is a tie of its own */
        x = g_tame(g, x, 20);
    if (per)
        return g_mk(g, g_real(s), mag, arena_printf(g->mem, "%s($0, per = $1%s)", kind, by), 2, x, i);
    return g_mk(g, g_real(s), mag, arena_printf(g->mem, "%s($0%s)", kind, by), 1, x);
}

static gx *softmax(gen *g, gctx c, gshape s, int fuel, bool must)
{
    if (c.dom != G_EDGE && c.dom != G_NODE && !(c.dom == G_GRAPH && c.in_agg && c.outer == G_GLOBAL))
        return NULL;
    gx *x = g_expr(g, c, s, fuel - 1, must);
    if (g->wild && g_chance(g, 20))
        x = g_mk(g, x->type, x->mag, "where($1, $0, log(0))", 2, x, g_bool(g, c, g_shape(0, NULL), 1, false));
    const char *by = c.dom != G_EDGE ? "" : g_chance(g, 20) ? ", by = src" : g_chance(g, 10) ? ", by = dst" : "";
    if (c.dom == G_EDGE && g_chance(g, 15)) {
        gx *i = g_index(g, c, g_dim_any(g), g_shape(0, NULL), fuel - 1, true);
        if (strcmp(i->text, "step"))
            return g_mk(g, g_real(s), 1, arena_printf(g->mem, "softmax($0, per = $1%s)", by), 2, x, i);
    }
    return g_mk(g, g_real(s), 1, arena_printf(g->mem, "softmax($0%s)", by), 1, x);
}

/* ---- helpers and layers ---- */

static gx *helper(gen *g, gctx c, gshape s, int fuel, bool must)
{
    bool first = g_chance(g, 50);
    gx *a = g_expr(g, c, s, fuel - 1, must && first), *b = g_tame(g, g_expr(g, c, s, g_below(g, fuel), must && !first), 5);
    static const char *const text[] = {"gate($0, $1)", "act($0 + $1)", "alpha_mix(a = $0, b = $1)", "twice(act($0)) * tanh($1)", "($0 - decay($1))"};
    return g_mk(g, g_real(s), a->mag + b->mag, arena_printf(g->mem, "(%s)", text[g_below(g, 5)]), 2, a, b);
}

static gshape mapped(gshape s, const int *dims)
{
    for (int i = 0; i < s.rank; i++)
        s.d[i] = dims[s.d[i]];
    return s;
}

/* A call of an instance whose value fits. Its arguments are expressions of the domains of its inputs. */
static gx *call(gen *g, gctx c, gshape s, int fuel, bool must)
{
    for (int k = 0; k < g->n_inst; k++) {
        const glayer *l = g->inst[k].layer;
        for (int o = 0; o < l->n_outputs; o++) {
            const gsym *y = l->outputs[o];
            if (!readable(y->dom, c, must) || (c.dom == G_EDGE) != (y->dom == G_EDGE) || (c.dom >= G_NODE && y->dom < G_NODE))
                continue;
            gshape have = mapped(y->type.shape, g->inst[k].dims);
            bool same = g_shape_same(g, have, s), picked = !same && have.rank == 1 && !s.rank;
            if (!same && !picked)
                continue;
            gx *x = NEW(g->mem, gx);
            *x = (gx){.type = g_real(s), .mag = y->mag};
            const char *args = "";
            for (int i = 0; i < l->n_inputs; i++) {
                const gsym *in = l->inputs[i];
                if ((in->kind == GS_PARAM && !g_chance(g, 15)) || (in->kind == GS_PARAM && x->n >= GX_KIDS - 2))
                    continue;
                if (x->n == GX_KIDS)
                    return NULL;
                gshape want = mapped(in->type.shape, g->inst[k].dims);
                gctx at = g_at(in->dom);
                gx *a = in->type.elem == G_BOOL    ? g_bool(g, at, want, 1, false)
                        : in->type.elem == G_INDEX ? g_index(g, at, g->inst[k].dims[in->type.range], want, 1, in->type.none)
                        : in->kind == GS_PARAM     ? g_read_at(g, "", g_declare(g, G_PARAM, g_real(want)))
                                                   : g_tame(g, g_expr(g, at, want, g_below(g, fuel), false), 5);
                if (in->type.elem == G_REAL && a->n == 0 && !a->type.shape.rank)
                    a = g_mk(g, a->type, a->mag, "($0 + 0)", 1, a);
                args = arena_printf(g->mem, "%s%s%s = $%d", args, *args ? ", " : "", in->name, x->n);
                x->kid[x->n++] = a;
            }
            x->text = arena_printf(g->mem, "%s(%s)%s%s%s", g->inst[k].name, args, l->n_outputs > 1 ? "." : "", l->n_outputs > 1 ? y->name : "",
                                   picked ? "[0]" : "");
            return x;
        }
    }
    return NULL;
}

/* ---- gradients ---- */

/* Can the bare name of s stand at the member? */
static bool is_bare(const gsym *s, gctx c) { return s->type.elem == G_REAL && (s->dom == c.dom || s->dom <= G_GLOBAL); }

/* Something made before that depends on x, as an expression to be differentiated; NULL: there is nothing. */
static gx *made_of(gen *g, const gsym *x)
{
    static const char *const of[] = {"$0", "$0", "square($0)", "sin($0)", "$0 * tanh($0)"};
    const gsym *found[G_MAX_SYMS];
    int n = 0;
    for (int i = 0; i < g->n_syms; i++)
        if (g->syms[i]->kind != GS_INPUT && g->syms[i]->kind != GS_PARAM && g->syms[i] != x && g->syms[i]->type.elem == G_REAL && g_reads(g->syms[i], x))
            found[n++] = g->syms[i];
    if (!n)
        return NULL;
    const gsym *y = found[g_below(g, n)];
    return g_mk(g, y->type, 5, of[g_below(g, 5)], 1, g_read_at(g, "", y));
}

/* Where x can be read, with something new beside it. */
static gx *made_now(gen *g, const gsym *x, int fuel)
{
    static const char *const of[] = {"($0 * $1)", "sin($0 + $1)", "$0 * tanh($0 * $1)", "softplus($0 - $1) * $0", "($0 ** 3 + $1)", "exp(-square($0)) * $1", "$0 * $1 * $0"};
    static const gdom any[] = {G_GLOBAL, G_GRAPH, G_NODE, G_EDGE};
    gdom at = x->dom;
    if (x->dom <= G_GLOBAL)
        at = any[g_below(g, 4)];
    else if (x->dom == G_GRAPH)
        at = any[1 + g_below(g, 3)];
    else if (x->dom < G_EDGE && g_chance(g, 60))
        at = G_EDGE;
    gx *r = g_tame(g, g_read(g, g_at(at), x), 4), *e = g_tame(g, g_expr(g, g_at(at), g_chance(g, 70) ? x->type.shape : g_shape(0, NULL), fuel, false), 4);
    if (at >= G_GRAPH && at != x->dom)          /* what it is of is told by what it reads alone, not by its aggregates */
        e = g_mk(g, e->type, e->mag + 1, "($0 + 0.3 * $1)", 2, e, leaf(g, g_at(at), g_shape(0, NULL), true));
    gx *y = g_mk(g, r->type, 5, of[g_below(g, 7)], 2, r, e);
    if (at == G_NODE && g_chance(g, 30))
        y = g_mk(g, y->type, 5, g_chance(g, 50) ? "square($0) - 0.3 * $0" : "tanh($0)", 1, y);
    return y;
}

/* grad(y, x), by an x that is there or is declared for it. */
static gx *grad_by(gen *g, const gsym *x, int fuel)
{
    gx *y = g_chance(g, 60) ? made_of(g, x) : NULL;
    if (!y)
        y = made_now(g, x, fuel);
    return g_mk(g, x->type, 30, arena_printf(g->mem, "grad($0, %s)", x->name), 1, y);
}

gx *g_grad(gen *g, gctx c, gshape s, int fuel, bool must)
{
    if (!g->program->grads || c.in_agg || c.dom == G_PARAM)
        return NULL;
    const gsym *found[G_MAX_SYMS];
    int n = 0;
    for (int i = 0; i < g->n_syms; i++)
        if (is_bare(g->syms[i], c) && g_shape_same(g, g->syms[i]->type.shape, s) && (!must || g->syms[i]->dom == c.dom))
            found[n++] = g->syms[i];
    return n ? grad_by(g, found[g_below(g, n)], fuel - 1) : NULL;
}

/* An equation with a gradient; at times what it gives is differentiated once more, or twice. */
void g_grads(gen *g)
{
    const gsym *x = NULL;
    for (int tries = 0; tries < 8 && !x; tries++) {
        const gsym *s = g->n_syms ? g->syms[g_below(g, g->n_syms)] : NULL;
        if (s && s->type.elem == G_REAL && g_shape_size(g, s->type.shape) <= 130)
            x = s;
    }
    if (!x) {
        gdom dom = g_chance(g, 50) ? G_NODE : g_chance(g, 50) ? G_EDGE : G_PARAM;
        x = g_declare(g, dom, g_real(g_shape_any(g, dom, 2)));
    }
    gx *y = grad_by(g, x, 1 + g_below(g, 3));
    for (int times = g_chance(g, 40) ? 1 + g_chance(g, 30) : 0;; times--) {
        gdom dom = x->dom == G_PARAM ? G_GLOBAL : x->dom;
        if (g_chance(g, 20))
            y = g_mk(g, y->type, y->mag, "(-$0)", 1, y);
        const gsym *made = g_chance(g, 40) && !times ? g_update(g, dom, "y", y) : g_define(g, dom, "g", y);
        if (!times)
            break;
        static const char *const of[] = {"square($0)", "$0 * tanh($0)", "0.3 * $0 * $0", "sin($0)"};
        gx *again = g_mk(g, made->type, 5, of[g_below(g, 4)], 1, g_read_at(g, "", made));
        const gsym *by = x;
        for (int i = g->n_syms; i-- > 0 && g_chance(g, 50);)
            if (g->syms[i] != made && g->syms[i]->type.elem == G_REAL && g_reads(made, g->syms[i])) {
                by = g->syms[i];
                break;
            }
        x = by;
        y = g_mk(g, x->type, 30, arena_printf(g->mem, "grad($0, %s)", x->name), 1, again);
    }
}

/* ---- the choice ---- */

typedef gx *production(gen *g, gctx c, gshape s, int fuel, bool must);

gx *g_expr(gen *g, gctx c, gshape s, int fuel, bool must)
{
    static const struct { production *make; int weight; } rules[] = {
        {unary, 18}, {binary, 22}, {choice, 4}, {reduce, 7}, {along_axis, 4}, {dot, 4}, {matmul, 9}, {einsum, 6}, {reshape, 3}, {transpose, 3},
        {concat, 7}, {stack, 3}, {slice, 3}, {pick, 3}, {new_axis, 3}, {lookup, 6}, {aggregate, 22}, {softmax, 6}, {helper, 4}, {call, 12}, {g_grad, 6}};
    enum { ALL = sizeof rules / sizeof *rules };
    const int N = g->program->grads ? ALL : ALL - 1;
    int total = 0;
    for (int i = 0; i < N; i++)
        total += rules[i].weight;
    for (int tries = 0; fuel > 0 && tries < 6; tries++) {
        int at = g_below(g, total), i = 0;
        while (at >= rules[i].weight)
            at -= rules[i++].weight;
        gx *x = sane(g, rules[i].make(g, c, s, fuel, must));
        if (x)
            return x;
    }
    return leaf(g, c, s, must);
}
