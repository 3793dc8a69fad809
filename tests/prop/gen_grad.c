/* Gradients inside programs: grad(y, x) of what was made before or is made for it, and of gradients again. */
#include "tests/prop/gen.h"

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
        e = g_mk(g, e->type, e->mag + 1, "($0 + 0.3 * $1)", 2, e, g_leaf(g, g_at(at), g_shape(0, NULL), true));
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
