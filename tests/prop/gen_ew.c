/* Expressions element by element: functions, arithmetic with operands that broadcast, choices, bools. See gen_expr.c. */
#include "tests/prop/gen.h"

gx *g_unary(gen *g, gctx c, gshape s, int fuel, bool must)
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

gx *g_binary(gen *g, gctx c, gshape s, int fuel, bool must)
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

gx *g_choice(gen *g, gctx c, gshape s, int fuel, bool must)
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
        const gsym *v = g_find(g, c, t, must);
        if (!v)
            v = g_declare(g, must ? g_input_domain(g, c, true) : c.dom == G_PARAM || c.dom == G_GLOBAL ? G_GLOBAL : g_input_domain(g, c, true), t);
        if (v->dom != G_PARAM)
            return g_read(g, c, v);
    }
    if (!must && !s.rank && g_chance(g, 5))
        return g_mk(g, t, 1, "training", 0);
    if (what < 4 && fuel > 0) {
        gx *a = g_bool(g, c, s, fuel - 1, must), *b = g_bool(g, c, g_chance(g, 50) ? s : g_shape(0, NULL), g_below(g, fuel), false);
        return g_mk(g, t, 1, what & 1 ? "($0 && $1)" : g_chance(g, 50) ? "($0 || $1)" : "(!$0)", 2, a, b);
    }
    if (what < 6 && !c.in_agg && g_is_nodal(c.dom) && c.dom != G_SRC && fuel > 0)
        return g_mk(g, t, 1, what & 1 ? "any($0)" : "all($0)", 1, g_bool(g, (gctx){G_EDGE, c.dom, true}, s, fuel - 1, true));
    static const char *const cmp[] = {"($0 > 0.1873)", "($0 <= 0.3171)", "(0.0711 < $0)", "($0 >= $1 + 0.0317)", "($0 < $1 - 0.0511)", "(floor($0 + 0.27) == 0)",
                                      "(floor($0 + 0.27) != floor($1 + 0.41))"};
    int i = g_below(g, 7);
    gx *a = g_expr(g, c, s, fuel - 1, must), *b = i >= 3 && i != 5 ? broadcast(g, c, s, fuel - 2, false) : a;
    return g_mk(g, t, 1, cmp[i], 2, a, b);
}
