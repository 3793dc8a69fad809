/* Loop nests on the lanes of a group: docs/cuda.md, "Feature loops". See cuda_gen.h. */
#include "codegen/cuda/cuda_gen.h"

#include <stdio.h>
#include <string.h>

enum { MOST_VEC = 4 };

/* ---- points -------------------------------------------------------------------------------------------- */

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

/* Number of the first element that this lane holds in a chunk. */
static const char *first_of(cgen *g, int chunk)
{
    if (g->lanes == 1)
        return arena_printf(g->mem, "%d", chunk * g->vec);
    const char *lane = g->vec == 1 ? "lane" : arena_printf(g->mem, "lane * %d", g->vec);
    return by_lane(g, chunk ? arena_printf(g->mem, "%s + %d", lane, chunk * g->lanes * g->vec) : lane);
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

typedef struct bound { binding old[CG_LOOPS]; uint32_t point, point0, vector_var; int chunk, elem; int from, to; } bound;

static bound bound_begin(cgen *g, int from, int to)
{
    return (bound){.point = g->point, .point0 = g->point0, .vector_var = g->vector_var, .chunk = g->chunk, .elem = g->elem,
                   .from = from, .to = to};
}

static void bound_end(cgen *g, const nest *n, const bound *b)
{
    for (int i = b->from; i < b->to; i++)
        cg_unbind(g, &g->var[n->at[i].var], b->old[i]);
    g->point = b->point;
    g->point0 = b->point0;
    g->vector_var = b->vector_var;
    g->chunk = b->chunk;
    g->elem = b->elem;
}

/* Binds the axes from..to to what lane and point make of them; f is the element at v = 0 (of heads: the head). */
static bound bind_point(cgen *g, const nest *n, int from, int to, const char *f, int chunk, int v)
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

/* Constants: element f of the axes from..to. */
static bound bind_constants(cgen *g, const nest *n, int from, int to, int64_t f)
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

/* Axes of extent 1 are no axes of a nest: their variables are 0 throughout. */
static void bind_ones(cgen *g, const nest *n)
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

/* Opens a loop over the axes from..to as one range, lane by lane or (step NULL) all of it, and binds them. */
static bound open_range(cgen *g, const nest *n, int from, int to, const char *start, const char *step)
{
    bound b = bound_begin(g, from, to);
    const char *f = cg_name(g, "i"), *type = g->wide || n->keep < 0 || n->reduced < 0 ? "mp_i64" : "int";
    cg_open(g, false, "for (%s %s = %s; %s < %s; %s += %s)", type, f, start, f, product_of(g, n, from, to), f, step);
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

static void close_range(cgen *g, const nest *n, const bound *b)
{
    bound_end(g, n, b);
    cg_close(g);
}

/* ---- meeting ------------------------------------------------------------------------------------------- */

void cg_sync(cgen *g)
{
    if ((g->reads_room || g->wrote_room) && g->lanes > 1)
        cg_text(g, "mp_sync(mask);\n");
    g->reads_room = g->wrote_room = false;
}

static bool reads(const cgen *g, kx x, int depth)
{
    const kexpr *e = &g->p->exprs[x.i];
    if (!kx_is(x))
        return false;
    if ((e->op == KX_LOCAL || e->op == KX_IDX) && cg_storage(g, e->local) == IN_ROOM)
        return true;
    if ((e->op == KX_LOAD || e->op == KX_ILOAD) && g->written[e->buffer])
        return true;
    return depth > 0 ? reads(g, e->a, depth - 1) || reads(g, e->b, depth - 1) || reads(g, e->c, depth - 1) : true;
}

static void meet_before(cgen *g, knode *const *body, uint32_t n, kx cond)
{
    bool in = kx_is(cond) && reads(g, cond, 12), out = false;
    for (uint32_t i = 0; i < n; i++) {
        const kref *d = &body[i]->dest;
        bool shared = d->kind == REF_BUFFER || cg_storage(g, d->id) == IN_ROOM;
        in |= reads(g, body[i]->value, 12) || reads(g, d->offset, 12) || (d->kind == REF_BUFFER && reads(g, d->row, 12));
        out |= shared;
    }
    if ((g->wrote_room && (in || out)) || (g->reads_room && out))
        cg_sync(g);
}

/* ---- statements ---------------------------------------------------------------------------------------- */

static ktype type_of(const cgen *g, kx x) { return (ktype)g->p->exprs[x.i].type; }

const char *cg_combined(cgen *g, ir_op op, ktype t, const char *a, const char *b)
{
    const char *how = op == OP_MUL ? "*" : op == OP_AND ? "&&" : op == OP_OR ? "||" : "+";
    if (op == OP_MAX || op == OP_MIN)
        return arena_printf(g->mem, "mp_%s_%s(%s, %s)", op == OP_MAX ? "max" : "min", cg_suffix(t), a, b);
    return arena_printf(g->mem, "%s %s %s", a, how, b);
}

static const char *identity(cgen *g, ir_op op, ktype t)
{
    if (t == KT_I64)
        return op == OP_MUL ? "1" : op == OP_MAX ? "mp_least_i64()" : op == OP_MIN ? "mp_most_i64()" : "0";
    if (t == KT_BOOL)
        return op == OP_AND ? "true" : "false";
    return op == OP_MUL ? cg_number(g, t, 1)
         : op == OP_MAX ? arena_printf(g->mem, "-mp_inf_%s()", cg_suffix(t))
         : op == OP_MIN ? arena_printf(g->mem, "mp_inf_%s()", cg_suffix(t))
                        : cg_number(g, t, 0);
}

static bool in_memory(const cgen *g, const kref *d)
{
    return d->kind == REF_BUFFER || cg_storage(g, d->id) == IN_ROOM;
}

/* dest = value, or dest = dest op value, for one element. Only one lane comes here for memory. */
static void put(cgen *g, const knode *s, const char *v)
{
    const kref *d = &s->dest;
    ktype t = type_of(g, s->value);
    if (d->kind == REF_LOCAL) {
        const char *to = cg_register(g, d->id, d->offset);
        ktype held = g->k->locals[d->id].type;
        if (s->kind == KN_ACCUM)
            v = cg_combined(g, s->op, held == KT_I32 ? KT_I64 : held, to, v);
        cg_text(g, "%s = %s;\n", to, v);
    } else {
        const char *row = cg_row_at(g, d->id, d->row), *at = cg_eval(g, d->offset);
        const char *suffix = cg_suffix(g->p->buffers[d->id].type);
        if (s->kind == KN_ACCUM)
            v = cg_combined(g, s->op, t, arena_printf(g->mem, "mp_get_%s(%s + %s)", suffix, row, at), v);
        bool twice = t == KT_F64 && (g->p->buffers[d->id].type == KT_F16 || g->p->buffers[d->id].type == KT_BF16);
        cg_text(g, "mp_put_%s%s(%s + %s, %s);\n", suffix, twice ? "_f64" : "", row, at, v);
    }
    if (in_memory(g, d))
        g->wrote_room = true;
}

static void put_guarded(cgen *g, const knode *s, const char *v, const char *who)
{
    bool guard = in_memory(g, &s->dest) && g->lanes > 1;
    if (guard)
        cg_open(g, true, "if (%s)", who);
    put(g, s, v);
    if (guard)
        cg_close(g);
}

static bool stores_vector(cgen *g, const knode *s)
{
    const kref *d = &s->dest;
    if (d->kind != REF_BUFFER || s->kind != KN_STORE || g->vec == 1 || g->vector_var == UINT32_MAX)
        return false;
    const kbuffer *b = &g->p->buffers[d->id];
    kdim stride;
    int64_t zero;
    bool whole = (kx_is_int(g->p, d->row, &zero) && zero == 0) || (b->elems.is_const && b->elems.value % g->vec == 0);
    bool type = (b->type == KT_F32 || b->type == KT_F16 || b->type == KT_BF16) ? type_of(g, s->value) == KT_F32
              : b->type == KT_F64 && g->vec == 2;
    return whole && type && !kx_depends(g->p, d->row, g->vector_var)
        && kx_stride(g->work, d->offset, g->vector_var, &stride) && kdim_is(stride, 1) && cg_divides(g, d->offset, g->vec);
}

static void put_vector(cgen *g, const knode *s, const char *const *v)
{
    const kref *d = &s->dest;
    const char *row = cg_row_at(g, d->id, d->row), *at = cg_eval(g, d->offset), *suffix = cg_suffix(g->p->buffers[d->id].type);
    if (g->vec == 4)
        cg_text(g, "mp_put4_%s(%s + %s, %s, %s, %s, %s);\n", suffix, row, at, v[0], v[1], v[2], v[3]);
    else
        cg_text(g, "mp_put2_%s(%s + %s, %s, %s);\n", suffix, row, at, v[0], v[1]);
    g->wrote_room = true;
}

/* ---- lanes hold the elements --------------------------------------------------------------------------- */

/* Opens the guard of a chunk's element v where the nest ends inside; what is loaded then stays inside, too. */
static bool open_guard(cgen *g, int64_t total, int chunk, int v)
{
    int64_t a_chunk = (int64_t)g->lanes * g->vec;
    if ((int64_t)(chunk + 1) * a_chunk <= total)
        return false;
    const char *f = first_of(g, chunk);
    if (v)
        cg_open(g, true, "if (%s + %d < %lld)", f, v, (long long)total);
    else
        cg_open(g, true, "if (%s < %lld)", f, (long long)total);
    g->chosen++;
    return true;
}

static void close_guard(cgen *g, bool open)
{
    if (!open)
        return;
    g->chosen--;
    cg_close(g);
}

/* Values of a statement at elements v0 .. v1 of a chunk, then its stores. */
static void some_elements(cgen *g, const nest *n, const knode *s, int chunk, int v0, int v1)
{
    const char *v[MOST_VEC], *f = first_of(g, chunk);
    for (int e = v0; e < v1; e++) {
        bound b = bind_point(g, n, 0, n->n_keep, f, chunk, e);
        v[e] = cg_eval(g, s->value);
        bound_end(g, n, &b);
    }
    for (int e = v0; e < v1; e++) {
        bound b = bind_point(g, n, 0, n->n_keep, f, chunk, e);
        bool all = e == v0 && v1 - v0 == g->vec && stores_vector(g, s);
        if (all)
            put_vector(g, s, v);
        else
            put(g, s, v[e]);
        bound_end(g, n, &b);
        if (all)
            break;
    }
    cg_changed(g);
}

static void lanes_plain(cgen *g, const nest *n)
{
    for (int c = 0; c < cg_chunks(g, n->total); c++) {
        bool whole = n->total % g->vec == 0;
        for (int v = 0; v < (whole ? 1 : g->vec); v++) {
            bool guard = open_guard(g, n->total, c, v);
            for (uint32_t i = 0; i < n->n_body; i++)
                some_elements(g, n, n->body[i], c, v, whole ? g->vec : v + 1);
            close_guard(g, guard);
        }
    }
}

/* Reduced loops run inside of each element: the sums of a chunk go through them together. */
static void lanes_with_sums(cgen *g, const nest *n)
{
    for (int c = 0; c < cg_chunks(g, n->total); c++) {
        bool whole = n->total % g->vec == 0;
        for (int v0 = 0; v0 < (whole ? 1 : g->vec); v0++) {
            int v1 = whole ? g->vec : v0 + 1;
            bool guard = open_guard(g, n->total, c, v0);
            const char *f = first_of(g, c);
            const char **sum = NEW_N(g->mem, const char *, (size_t)n->n_body * MOST_VEC);
            for (uint32_t i = 0; i < n->n_body; i++)
                for (int v = v0; v < v1; v++) {
                    ktype t = type_of(g, n->body[i]->value);
                    sum[i * MOST_VEC + (uint32_t)v] = cg_name(g, "s");
                    cg_text(g, "%s %s = %s;\n", cg_type(t), sum[i * MOST_VEC + (uint32_t)v], identity(g, n->body[i]->op, t));
                }
            bound r = open_range(g, n, n->n_keep, n->n, "0", "1");
            cg_changed(g);
            for (uint32_t i = 0; i < n->n_body; i++)
                for (int v = v0; v < v1; v++) {
                    bound b = bind_point(g, n, 0, n->n_keep, f, c, v);
                    const char *s = sum[i * MOST_VEC + (uint32_t)v], *x = cg_eval(g, n->body[i]->value);
                    cg_text(g, "%s = %s;\n", s, cg_combined(g, n->body[i]->op, type_of(g, n->body[i]->value), s, x));
                    bound_end(g, n, &b);
                }
            close_range(g, n, &r);
            for (uint32_t i = 0; i < n->n_body; i++)
                for (int v = v0; v < v1; v++) {
                    bound b = bind_point(g, n, 0, n->n_keep, f, c, v);
                    put(g, n->body[i], sum[i * MOST_VEC + (uint32_t)v]);
                    bound_end(g, n, &b);
                }
            cg_changed(g);
            close_guard(g, guard);
        }
    }
}

/* ---- heads --------------------------------------------------------------------------------------------- */

static const char *head_of(cgen *g, int chunk)
{
    int64_t width = g->total / g->heads;
    return by_lane(g, arena_printf(g->mem, "%s / %lld", first_of(g, chunk), (long long)width));
}

/* The lane that writes a head's element to memory, in the chunk where the head begins. */
static const char *owns_head(cgen *g, int chunk)
{
    int64_t width = g->total / g->heads;
    return arena_printf(g->mem, "%s %% %lld == 0 && %s < %lld", first_of(g, chunk), (long long)width, first_of(g, chunk),
                        (long long)g->total);
}

static void heads_plain(cgen *g, const nest *n)
{
    for (int c = 0; c < cg_chunks(g, g->total); c++) {
        bool guard = open_guard(g, g->total, c, 0);
        for (uint32_t i = 0; i < n->n_body; i++) {
            bound b = bind_point(g, n, 0, n->n_keep, head_of(g, c), c, 0);
            g->vector_var = UINT32_MAX;
            const char *v = cg_eval(g, n->body[i]->value);
            put_guarded(g, n->body[i], v, owns_head(g, c));
            bound_end(g, n, &b);
            cg_changed(g);
        }
        close_guard(g, guard);
    }
}

/* Adds up over lanes whose numbers differ below `lanes`. All of them have the sum then. */
static void across(cgen *g, ir_op op, ktype t, const char *s, int lanes)
{
    for (int d = lanes / 2; d >= 1; d /= 2)
        cg_text(g, "%s = %s;\n", s, cg_combined(g, op, t, s, arena_printf(g->mem, "mp_from_%s(mask, %s, %d)", cg_suffix(t), s, d)));
}

static const char *begin_sum(cgen *g, const knode *s)
{
    const char *name = cg_name(g, "s");
    ktype t = type_of(g, s->value);
    cg_text(g, "%s %s = %s;\n", cg_type(t), name, identity(g, s->op, t));
    return name;
}

static void add_chunk(cgen *g, const nest *n, const knode *s, const char *sum, int c, int from, int64_t total)
{
    bool whole = total % g->vec == 0;
    for (int v0 = 0; v0 < (whole ? 1 : g->vec); v0++) {
        bool guard = open_guard(g, total, c, v0);
        for (int v = v0; v < (whole ? g->vec : v0 + 1); v++) {
            bound b = bind_point(g, n, from, n->n, first_of(g, c), c, v);
            const char *x = cg_eval(g, s->value);
            cg_text(g, "%s = %s;\n", sum, cg_combined(g, s->op, type_of(g, s->value), sum, x));
            bound_end(g, n, &b);
        }
        close_guard(g, guard);
    }
}

static void heads_sum(cgen *g, const nest *n)
{
    int64_t width = g->total / g->heads, a_chunk = (int64_t)g->lanes * g->vec;
    int together = width > a_chunk ? (int)(width / a_chunk) : 1;
    int lanes = width >= a_chunk ? g->lanes : (int)(width / g->vec);
    for (int c = 0; c < cg_chunks(g, g->total); c += together)
        for (uint32_t i = 0; i < n->n_body; i++) {
            const knode *s = n->body[i];
            const char *sum = begin_sum(g, s);
            for (int k = c; k < c + together; k++)
                add_chunk(g, n, s, sum, k, 0, g->total);
            across(g, s->op, type_of(g, s->value), sum, lanes);
            for (int k = c; k < c + together; k++) {
                bound b = bind_point(g, n, 0, n->n_keep, head_of(g, k), k, 0);
                g->vector_var = UINT32_MAX;
                put_guarded(g, s, sum, owns_head(g, k));
                bound_end(g, n, &b);
            }
            cg_changed(g);
        }
}

/* ---- the other modes ----------------------------------------------------------------------------------- */

static void lanes_sum(cgen *g, const nest *n)
{
    for (uint32_t i = 0; i < n->n_body; i++) {
        const knode *s = n->body[i];
        const char *sum = begin_sum(g, s);
        for (int c = 0; c < cg_chunks(g, n->total); c++)
            add_chunk(g, n, s, sum, c, n->n_keep, n->total);
        across(g, s->op, type_of(g, s->value), sum, g->lanes);
        put_guarded(g, s, sum, "lane == 0");
        cg_changed(g);
    }
}

static void repeat(cgen *g, const nest *n)
{
    for (int64_t f = 0; f < n->keep; f++) {
        bound b = bind_constants(g, n, 0, n->n_keep, f);
        for (uint32_t i = 0; i < n->n_body; i++) {
            const knode *s = n->body[i];
            const char *v = NULL;
            if (n->n > n->n_keep) {
                const char *sum = begin_sum(g, s);
                for (int64_t r = 0; r < n->reduced; r++) {
                    bound inner = bind_constants(g, n, n->n_keep, n->n, r);
                    const char *x = cg_eval(g, s->value);
                    cg_text(g, "%s = %s;\n", sum, cg_combined(g, s->op, type_of(g, s->value), sum, x));
                    bound_end(g, n, &inner);
                }
                v = sum;
            } else {
                v = cg_eval(g, s->value);
            }
            put_guarded(g, s, v, "lane == 0");
            cg_changed(g);
        }
        bound_end(g, n, &b);
    }
}

static const char *lane_or_zero(const cgen *g) { return g->lanes > 1 ? "lane" : "0"; }

static void stride(cgen *g, const nest *n)
{
    bound b = open_range(g, n, 0, n->n_keep, lane_or_zero(g), arena_printf(g->mem, "%d", g->lanes));
    cg_changed(g);
    for (uint32_t i = 0; i < n->n_body; i++) {
        const knode *s = n->body[i];
        const char *v;
        if (n->n > n->n_keep) {
            v = begin_sum(g, s);
            bound r = open_range(g, n, n->n_keep, n->n, "0", "1");
            cg_changed(g);
            const char *x = cg_eval(g, s->value);
            cg_text(g, "%s = %s;\n", v, cg_combined(g, s->op, type_of(g, s->value), v, x));
            close_range(g, n, &r);
        } else {
            v = cg_eval(g, s->value);
        }
        put(g, s, v);
        cg_changed(g);
    }
    close_range(g, n, &b);
    cg_changed(g);
}

static void stride_sum(cgen *g, const nest *n)
{
    for (uint32_t i = 0; i < n->n_body; i++) {
        const knode *s = n->body[i];
        const char *sum = begin_sum(g, s);
        bound r = open_range(g, n, n->n_keep, n->n, lane_or_zero(g), arena_printf(g->mem, "%d", g->lanes));
        cg_changed(g);
        const char *x = cg_eval(g, s->value);
        cg_text(g, "%s = %s;\n", sum, cg_combined(g, s->op, type_of(g, s->value), sum, x));
        close_range(g, n, &r);
        across(g, s->op, type_of(g, s->value), sum, g->lanes);
        put_guarded(g, s, sum, "lane == 0");
        cg_changed(g);
    }
}

/* ---- nests --------------------------------------------------------------------------------------------- */

static bool is_empty(const nest *n)
{
    for (int i = 0; i < n->n; i++)
        if (kdim_is(n->at[i].extent, 0))
            return true;
    return false;
}

void cg_for(cgen *g, const knode *k)
{
    const nest *found = cg_nest(g, k);
    if (!found || is_empty(found))
        return;
    nest n = *found;
    knode *self = (knode *)(uintptr_t)k;
    if (k->kind != KN_FOR) {
        n.body = &self;
        n.n_body = 1;
    }
    if (!n.n_body)
        return;
    cg_line(g, n.body[0]->where.hi > n.body[0]->where.lo ? n.body[0]->where : k->where);
    bind_ones(g, &n);
    meet_before(g, n.body, n.n_body, (kx){0});
    g->now = &n;
    switch (n.mode) {
    case NEST_REPEAT: repeat(g, &n); break;
    case NEST_LANES:
        if (n.n > n.n_keep)
            lanes_with_sums(g, &n);
        else
            lanes_plain(g, &n);
        break;
    case NEST_HEADS: heads_plain(g, &n); break;
    case NEST_HEADS_SUM: heads_sum(g, &n); break;
    case NEST_LANES_SUM: lanes_sum(g, &n); break;
    case NEST_STRIDE: stride(g, &n); break;
    case NEST_STRIDE_SUM: stride_sum(g, &n); break;
    }
    g->now = NULL;
}

static void any_here(cgen *g, const char *any, kx cond)
{
    const char *c = cg_eval(g, cond);
    cg_text(g, "%s = %s || %s;\n", any, any, c);
}

void cg_ifany(cgen *g, const knode *k)
{
    const nest *n = cg_nest(g, k);
    if (!n || is_empty(n))
        return;
    cg_line(g, k->where);
    bind_ones(g, n);
    meet_before(g, NULL, 0, k->value);
    const char *any = cg_name(g, "any");
    cg_text(g, "bool %s = false;\n", any);
    switch (n->mode) {
    case NEST_REPEAT:
        for (int64_t f = 0; f < n->keep; f++) {
            bound b = bind_constants(g, n, 0, n->n_keep, f);
            any_here(g, any, k->value);
            bound_end(g, n, &b);
        }
        break;
    case NEST_LANES: case NEST_LANES_SUM: case NEST_HEADS_SUM:
        for (int c = 0; c < cg_chunks(g, n->total); c++)
            for (int v = 0; v < g->vec; v++) {
                bool guard = open_guard(g, n->total, c, v);
                bound b = bind_point(g, n, 0, n->n_keep, first_of(g, c), c, v);
                any_here(g, any, k->value);
                bound_end(g, n, &b);
                close_guard(g, guard);
            }
        break;
    case NEST_HEADS:
        for (int c = 0; c < cg_chunks(g, g->total); c++) {
            bool guard = open_guard(g, g->total, c, 0);
            bound b = bind_point(g, n, 0, n->n_keep, head_of(g, c), c, 0);
            g->vector_var = UINT32_MAX;
            any_here(g, any, k->value);
            bound_end(g, n, &b);
            close_guard(g, guard);
        }
        break;
    case NEST_STRIDE: case NEST_STRIDE_SUM: {
        bound b = open_range(g, n, 0, n->n_keep, lane_or_zero(g), arena_printf(g->mem, "%d", g->lanes));
        any_here(g, any, k->value);
        close_range(g, n, &b);
        break;
    }
    }
    if (g->lanes > 1 && n->mode != NEST_REPEAT)
        cg_open(g, true, "if (mp_any(mask, %s))", any);
    else
        cg_open(g, true, "if (%s)", any);
    cg_changed(g);
    cg_body(g, k->body, k->n_body);
    cg_close(g);
    cg_changed(g);
}

/* ---- accumulators to memory ---------------------------------------------------------------------------- */

void cg_copy_state(cgen *g, uint32_t local, const char *to)
{
    const klocal *l = &g->k->locals[local];
    int64_t elems = cg_local_elems(g, local);
    switch (cg_storage(g, local)) {
    case IN_LANES:
        for (int c = 0; c < cg_chunks(g, elems); c++)
            for (int v = 0; v < g->vec; v++) {
                const char *f = first_of(g, c);
                if ((int64_t)(c + 1) * g->lanes * g->vec > elems)
                    cg_text(g, "if (%s + %d < %lld) ", f, v, (long long)elems);
                cg_text(g, "%s[%s + %d] = L%u[%d];\n", to, f, v, local, c * g->vec + v);
            }
        break;
    case IN_HEADS:
        for (int c = 0; c < cg_chunks(g, g->total); c++)
            cg_text(g, "if (%s) %s[%s] = L%u[%d];\n", owns_head(g, c), to, head_of(g, c), local, c);
        break;
    case IN_ALL:
        cg_open(g, true, "%s", g->lanes > 1 ? "if (lane == 0)" : "");
        for (int64_t i = 0; i < elems; i++)
            cg_text(g, "%s[%lld] = L%u[%lld];\n", to, (long long)i, local, (long long)i);
        cg_close(g);
        break;
    case IN_ROOM: {
        const char *from = cg_room_at(g, local), *i = cg_name(g, "i");
        cg_text(g, "for (mp_i64 %s = %s; %s < %s; %s += %d) %s[%s] = %s[%s];\n", i, lane_or_zero(g), i, cg_dim(g, l->elems), i,
                g->lanes, to, i, from, i);
        break;
    }
    }
    g->wrote_room = true;
}

void cg_walk_to_room(cgen *g, uint32_t local)
{
    if (g->at[local].walk_kind != g->at[local].kind)
        cg_copy_state(g, local, cg_room_at(g, local));
}
