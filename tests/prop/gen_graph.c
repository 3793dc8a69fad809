/* Expressions that leave the member: lookups, aggregates, softmax, calls of helpers and layers. See gen_expr.c. */
#include "tests/prop/gen.h"

#include <string.h>

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
    const gsym *v = g_find(g, c, t, true);
    if (!v) {
        t.none = none && g_chance(g, 40);
        gdom d = g_input_domain(g, c, true);
        v = g_declare(g, d == G_PARAM ? G_GLOBAL : d, t);
    }
    gx *x = g_read(g, c, v);
    return x;
}

gx *g_lookup(gen *g, gctx c, gshape s, int fuel, bool must)
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

gx *g_aggregate(gen *g, gctx c, gshape s, int fuel, bool must)
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
    const char *kind = kinds[g_below(g, 13)], *by = by_src ? ", by = src" : g_is_nodal(c.dom) && g_chance(g, 10) ? ", by = dst" : "";
    gx *i = per ? g_index(g, m, s.d[0], g_shape(0, NULL), fuel - 1, true) : NULL;
    if (per && !strcmp(i->text, "step"))
        return NULL;
    if (!strcmp(kind, "count")) {
        if (inner.rank)
            return NULL;
        if (per)
            return g_mk(g, g_real(s), 6, arena_printf(g->mem, "count(per = $0%s)", by), 1, i);
        return g_mk(g, g_real(s), g_is_nodal(c.dom) ? 6 : 30, by_src ? "count(by = src)" : "count()", 0);
    }
    gx *x = g_expr(g, m, inner, fuel - 1, true);
    double members = g_is_nodal(c.dom) ? 5 : 30, mag = x->mag;
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

gx *g_softmax(gen *g, gctx c, gshape s, int fuel, bool must)
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

gx *g_helper(gen *g, gctx c, gshape s, int fuel, bool must)
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
gx *g_call(gen *g, gctx c, gshape s, int fuel, bool must)
{
    for (int k = 0; k < g->n_inst; k++) {
        const glayer *l = g->inst[k].layer;
        for (int o = 0; o < l->n_outputs; o++) {
            const gsym *y = l->outputs[o];
            if (!g_readable(y->dom, c, must) || (c.dom == G_EDGE) != (y->dom == G_EDGE) || (c.dom >= G_NODE && y->dom < G_NODE))
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
