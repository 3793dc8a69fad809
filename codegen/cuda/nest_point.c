/* Loop variables at the points of a nest: see nest.h and cuda_gen.h, "Points". */
#include "codegen/cuda/nest.h"

/* A function of the lane's number, computed once a thread. */
static const char *by_lane(cgen *g, const char *text)
{
    uint64_t key = (uint64_t)5 << 60 | cg_intern(g, text);
    cached *have = cg_find(g, key, 0, false);
    if (have)
        return have->text;
    const char *name = cg_name(g, "e");
    cg_text_at(g, 0, "const %s %s = %s;\n", g->wide ? "mp_i64" : "int", name, text);
    cg_keep(g, key, 0, false, false, name);
    return name;
}

const char *cg_first(cgen *g, int chunk)
{
    if (g->lanes == 1)
        return arena_printf(g->mem, "%d", chunk * g->vec);
    const char *lane = g->vec == 1 ? "lane" : arena_printf(g->mem, "lane * %d", g->vec);
    return by_lane(g, chunk ? arena_printf(g->mem, "%s + %d", lane, chunk * g->lanes * g->vec) : lane);
}

const char *cg_head(cgen *g, int chunk)
{
    int64_t width = g->total / g->heads;
    return by_lane(g, arena_printf(g->mem, "%s / %lld", cg_first(g, chunk), (long long)width));
}

const char *cg_owns_head(cgen *g, int chunk)
{
    int64_t width = g->total / g->heads;
    return arena_printf(g->mem, "%s %% %lld == 0 && %s < %lld", cg_first(g, chunk), (long long)width, cg_first(g, chunk),
                        (long long)g->total);
}

static int64_t inner_size(const nest *n, int from, int to)
{
    int64_t s = 1;
    for (int i = from; i < to; i++)
        s *= n->at[i].extent.value;
    return s;
}

/* Element f of the axes from..to, of known sizes: the value of axis i. */
static const char *decoded(cgen *g, const nest *n, int from, int i, int to, const char *f)
{
    int64_t inside = inner_size(n, i + 1, to);
    const char *text = f;
    if (inside > 1)
        text = arena_printf(g->mem, "%s / %lld", text, (long long)inside);
    if (i > from)
        text = arena_printf(g->mem, "%s %% %lld", inside > 1 ? arena_printf(g->mem, "(%s)", text) : text,
                            (long long)n->at[i].extent.value);
    return text == f ? f : by_lane(g, text);
}

static bound bound_begin(cgen *g, int from, int to)
{
    return (bound){.point = g->point, .point0 = g->point0, .vector_var = g->vector_var, .chunk = g->chunk, .elem = g->elem,
                   .from = from, .to = to};
}

void cg_unbind_axes(cgen *g, const nest *n, const bound *b)
{
    for (int i = b->from; i < b->to; i++)
        cg_unbind(g, &g->var[n->at[i].var], b->old[i]);
    g->point = b->point;
    g->point0 = b->point0;
    g->vector_var = b->vector_var;
    g->chunk = b->chunk;
    g->elem = b->elem;
}

bound cg_bind_point(cgen *g, const nest *n, int from, int to, const char *f, int chunk, int v)
{
    bound b = bound_begin(g, from, to);
    buf name = buf_make(g->mem), name0 = buf_make(g->mem);
    int64_t last = to > from ? n->at[to - 1].extent.value : 1;
    bool side_by_side = last % g->vec == 0;
    g->vector_var = UINT32_MAX;
    for (int i = from; i < to; i++) {
        const char *at0 = decoded(g, n, from, i, to, f), *at = at0;
        if (v && !side_by_side)
            at = decoded(g, n, from, i, to, by_lane(g, arena_printf(g->mem, "%s + %d", f, v)));
        else if (v && i == to - 1)
            at = arena_printf(g->mem, "(%s + %d)", at0, v);
        b.old[i] = cg_bind(g, &g->var[n->at[i].var], at, true);
        buf_printf(&name, "%u=%s;", n->at[i].var, at);
        buf_printf(&name0, "%u=%s;", n->at[i].var, at0);
        if (i == to - 1 && side_by_side && g->vec > 1)
            g->vector_var = n->at[i].var;
    }
    g->point = cg_intern(g, buf_text(&name));
    g->point0 = cg_intern(g, buf_text(&name0));
    g->chunk = chunk;
    g->elem = v;
    return b;
}

bound cg_bind_head(cgen *g, const nest *n, int chunk)
{
    bound b = cg_bind_point(g, n, 0, n->n_keep, cg_head(g, chunk), chunk, 0);
    g->vector_var = UINT32_MAX;
    return b;
}

bound cg_bind_constants(cgen *g, const nest *n, int from, int to, int64_t f)
{
    bound b = bound_begin(g, from, to);
    buf name = buf_make(g->mem);
    for (int i = to - 1; i >= from; i--) {
        int64_t x = f % n->at[i].extent.value;
        f /= n->at[i].extent.value;
        binding *var = &g->var[n->at[i].var];
        b.old[i] = cg_bind(g, var, arena_printf(g->mem, "%lld", (long long)x), true);
        var->is_const = true;
        var->value = x;
        buf_printf(&name, "%u=%lld;", n->at[i].var, (long long)x);
    }
    if (g->point)                               /* reduced constants inside of a point: both count */
        buf_printf(&name, "in %u", g->point);
    g->point = g->point0 = cg_intern(g, buf_text(&name));
    g->vector_var = UINT32_MAX;
    return b;
}

void cg_bind_ones(cgen *g, const nest *n)
{
    for (uint32_t i = 0; i < n->node->n_loops; i++)
        if (kdim_is(n->node->loops[i].extent, 1)) {
            binding *var = &g->var[n->node->loops[i].var];
            *var = (binding){.text = "0", .bound = true, .point = true, .is_const = true};
            g->epoch++;
        }
}

static const char *product_of(cgen *g, const nest *n, int from, int to)
{
    int64_t known = 1;
    const char *text = NULL;
    for (int i = from; i < to; i++) {
        kdim d = n->at[i].extent;
        if (d.is_const)
            known *= d.value;
        else
            text = text ? arena_printf(g->mem, "%s * %s", text, cg_dim(g, d)) : cg_dim(g, d);
    }
    if (!text)
        return arena_printf(g->mem, "%lld", (long long)known);
    return known == 1 ? text : arena_printf(g->mem, "%s * %lld", text, (long long)known);
}

bound cg_open_range(cgen *g, const nest *n, int from, int to, range_by by)
{
    bound b = bound_begin(g, from, to);
    const char *f = cg_name(g, "i"), *type = g->wide || n->keep < 0 || n->reduced < 0 ? "mp_i64" : "int";
    const char *start = by == BY_LANE ? cg_lane(g) : "0";
    cg_open(g, false, "for (%s %s = %s; %s < %s; %s += %d)", type, f, start, f, product_of(g, n, from, to), f, by == BY_LANE ? g->lanes : 1);
    for (int i = from; i < to; i++) {
        const char *inside = product_of(g, n, i + 1, to), *text = f;
        if (i + 1 < to)
            text = arena_printf(g->mem, "%s / (%s)", text, inside);
        if (i > from)
            text = arena_printf(g->mem, "(%s) %% %s", text, cg_dim(g, n->at[i].extent));
        if (text != f) {
            const char *name = cg_name(g, "i");
            cg_text_at(g, g->depth, "const %s %s = %s;\n", type, name, text);
            text = name;
        }
        b.old[i] = cg_bind(g, &g->var[n->at[i].var], text, false);
    }
    g->vector_var = UINT32_MAX;
    return b;
}

void cg_close_range(cgen *g, const nest *n, const bound *b)
{
    cg_unbind_axes(g, n, b);
    cg_close(g);
}

bool cg_open_guard(cgen *g, int64_t total, int chunk, int v)
{
    int64_t a_chunk = (int64_t)g->lanes * g->vec;
    if ((int64_t)(chunk + 1) * a_chunk <= total)
        return false;
    const char *f = cg_first(g, chunk);
    if (v)
        cg_open(g, true, "if (%s + %d < %lld)", f, v, (long long)total);
    else
        cg_open(g, true, "if (%s < %lld)", f, (long long)total);
    g->chosen++;
    return true;
}

void cg_close_guard(cgen *g, bool open)
{
    if (!open)
        return;
    g->chosen--;
    cg_close(g);
}
