/* Expressions over feature axes: reductions, products, and what changes the shape alone. See gen_expr.c. */
#include "tests/prop/gen.h"

#include <math.h>
#include <string.h>

/* ---- feature axes ---- */

gx *g_reduce(gen *g, gctx c, gshape s, int fuel, bool must)
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

gx *g_along_axis(gen *g, gctx c, gshape s, int fuel, bool must)
{
    if (!s.rank)
        return NULL;
    gx *x = g_expr(g, c, s, fuel - 1, must);
    int axis = g_below(g, s.rank), shown = g_chance(g, 50) ? axis : axis - s.rank;
    if (g_chance(g, 35)) {
        gshape last = g_shape(1, &s.d[s.rank - 1]);
        gx *gamma = g_leaf(g, c, last, false), *beta = g_leaf(g, c, g_chance(g, 50) ? last : g_shape(0, NULL), false);
        return g_mk(g, g_real(s), 5, g_chance(g, 60) ? "layer_norm($0, $1, $2, 0.01)" : "layer_norm($0, $1, $2, eps = 0.1)", 3, x, gamma, beta);
    }
    bool log = g_chance(g, 40);
    return g_mk(g, g_real(s), log ? x->mag * 2 + 3 : 1, arena_printf(g->mem, log ? "($0).log_softmax(%d)" : "($0).softmax(%d)", shown), 1, x);
}

gx *g_dot(gen *g, gctx c, gshape s, int fuel, bool must)
{
    gshape from = g_shape_with(s, s.rank, g_dim_any(g));
    if (s.rank == 3 || g_shape_size(g, from) > 200)
        return NULL;
    bool first = g_chance(g, 50);
    gx *a = g_tame(g, g_expr(g, c, from, fuel - 1, must && first), 5), *b = g_tame(g, g_expr(g, c, from, g_below(g, fuel), must && !first), 5);
    double n = (double)g->dims[from.d[s.rank]].value;
    return g_mk(g, g_real(s), a->mag * b->mag * sqrt(n), "dot($0, $1)", 2, a, b);
}

gx *g_matmul(gen *g, gctx c, gshape s, int fuel, bool must)
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
gx *g_einsum(gen *g, gctx c, gshape s, int fuel, bool must)
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

gx *g_reshape(gen *g, gctx c, gshape s, int fuel, bool must)
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

gx *g_transpose(gen *g, gctx c, gshape s, int fuel, bool must)
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

gx *g_concat(gen *g, gctx c, gshape s, int fuel, bool must)
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

gx *g_stack(gen *g, gctx c, gshape s, int fuel, bool must)
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

gx *g_slice(gen *g, gctx c, gshape s, int fuel, bool must)
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

gx *g_pick(gen *g, gctx c, gshape s, int fuel, bool must)
{
    if (s.rank == 3)
        return NULL;
    int axis = g_below(g, s.rank + 1), n = 1 + g_below(g, 3);
    gx *x = g_expr(g, c, g_shape_with(s, axis, g_dim_const(g, n)), fuel - 1, must);
    return g_mk(g, g_real(s), x->mag, arena_printf(g->mem, "($0)[%s%d]", axis_prefix(g, axis), g_chance(g, 50) ? g_below(g, n) : -1 - g_below(g, n)), 1, x);
}

/* Axes of 1 come from None. */
gx *g_new_axis(gen *g, gctx c, gshape s, int fuel, bool must)
{
    for (int i = 0; i < s.rank; i++) {
        if (g->dims[s.d[i]].kind != GD_CONST || g->dims[s.d[i]].value != 1)
            continue;
        gx *x = g_expr(g, c, g_shape_without(s, i), fuel - 1, must);
        return g_mk(g, g_real(s), x->mag, arena_printf(g->mem, "($0)[%sNone]", axis_prefix(g, i)), 1, x);
    }
    return NULL;
}
