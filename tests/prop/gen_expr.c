/* Expressions of a wanted type: what stands at the ends of one, and the choice of a production (gen_ew.c, gen_axes.c,
 * gen_graph.c, gen_grad.c).
 *
 * Each production makes an expression of shape s at the context's member, or returns NULL when it does not
 * apply. Where a rule is discontinuous (floor, sign, comparisons, bucket) its operand is shifted off the numbers that
 * programs are likely to hit exactly: a tie that rounding decides says nothing about the compiler. */
#include "tests/prop/gen.h"

enum { TOO_LARGE = 40 };

gctx g_at(gdom dom) { return (gctx){.dom = dom, .outer = dom}; }

bool g_is_nodal(gdom d) { return d == G_NODE || d == G_SRC || d == G_DST; }

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

bool g_readable(gdom value, gctx c, bool must)
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

const gsym *g_find(gen *g, gctx c, gtype t, bool must)
{
    const gsym *found[G_MAX_SYMS];
    int n = 0;
    for (int i = 0; i < g->n_syms; i++) {
        const gsym *s = g->syms[i];
        bool same = s->type.elem == t.elem && g_shape_same(g, s->type.shape, t.shape) &&
                    (t.elem != G_INDEX || (g_dim_same(g, s->type.range, t.range) && (t.none || !s->type.none)));
        if (same && g_readable(s->dom, c, must))
            found[n++] = s;
    }
    if (!n)
        return NULL;
    int at = g_below(g, n), later = g_below(g, n);      /* rather a later one: chains grow long */
    return found[at > later ? at : later];
}

gdom g_input_domain(gen *g, gctx c, bool must)
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

gx *g_leaf(gen *g, gctx c, gshape s, bool must)
{
    if (!must && g_chance(g, s.rank ? 6 : 25))
        return constant(g, s);
    if (!must && !s.rank && g_chance(g, 15))
        return g_tame(g, builtin(g, c), 6);
    const gsym *v = g_find(g, c, g_real(s), must);
    if (!v || (g->layer->n_inputs < 12 && g_chance(g, 12)))
        v = g_declare(g, g_input_domain(g, c, must), g_real(s));
    return g_read(g, c, v);
}

/* ---- the choice ---- */

gx *g_expr(gen *g, gctx c, gshape s, int fuel, bool must)
{
    static const struct { production *make; int weight; } rules[] = {
        {g_unary, 18}, {g_binary, 22}, {g_choice, 4}, {g_reduce, 7}, {g_along_axis, 4}, {g_dot, 4}, {g_matmul, 9}, {g_einsum, 6}, {g_reshape, 3}, {g_transpose, 3},
        {g_concat, 7}, {g_stack, 3}, {g_slice, 3}, {g_pick, 3}, {g_new_axis, 3}, {g_lookup, 6}, {g_aggregate, 22}, {g_softmax, 6}, {g_helper, 4}, {g_call, 12}, {g_grad, 6}};
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
    return g_leaf(g, c, s, must);
}
