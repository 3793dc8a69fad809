/* Elements and sums of a nest to registers and memory, lanes that meet for it, and accumulators to the state of a piece. */
#include "codegen/cuda/nest.h"

static ktype type_of(const cgen *g, kx x) { return (ktype)g->p->exprs[x.i].type; }

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

void cg_meet(cgen *g, knode *const *body, uint32_t n, kx cond)
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

void cg_put(cgen *g, const knode *s, const char *v)
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

void cg_put_guarded(cgen *g, const knode *s, const char *v, const char *who)
{
    bool guard = in_memory(g, &s->dest) && g->lanes > 1;
    if (guard)
        cg_open(g, true, "if (%s)", who);
    cg_put(g, s, v);
    if (guard)
        cg_close(g);
}

bool cg_stores_vector(cgen *g, const knode *s)
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

void cg_put_vector(cgen *g, const knode *s, const char *const *v)
{
    const kref *d = &s->dest;
    const char *row = cg_row_at(g, d->id, d->row), *at = cg_eval(g, d->offset), *suffix = cg_suffix(g->p->buffers[d->id].type);
    if (g->vec == 4)
        cg_text(g, "mp_put4_%s(%s + %s, %s, %s, %s, %s);\n", suffix, row, at, v[0], v[1], v[2], v[3]);
    else
        cg_text(g, "mp_put2_%s(%s + %s, %s, %s);\n", suffix, row, at, v[0], v[1]);
    g->wrote_room = true;
}

void cg_across(cgen *g, const knode *n, const char *s, int lanes)
{
    const ktype t = type_of(g, n->value);
    for (int d = lanes / 2; d >= 1; d /= 2)
        cg_text(g, "%s = %s;\n", s, cg_combined(g, n->op, t, s, arena_printf(g->mem, "mp_from_%s(mask, %s, %d)", cg_suffix(t), s, d)));
}

const char *cg_begin_sum(cgen *g, const knode *s)
{
    const char *name = cg_name(g, "s");
    ktype t = type_of(g, s->value);
    cg_text(g, "%s %s = %s;\n", cg_type(t), name, identity(g, s->op, t));
    return name;
}

void cg_add(cgen *g, const knode *s, const char *sum)
{
    const char *x = cg_eval(g, s->value);
    cg_text(g, "%s = %s;\n", sum, cg_combined(g, s->op, type_of(g, s->value), sum, x));
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
                const char *f = cg_first(g, c);
                if ((int64_t)(c + 1) * g->lanes * g->vec > elems)
                    cg_text(g, "if (%s + %d < %lld) ", f, v, (long long)elems);
                cg_text(g, "%s[%s + %d] = L%u[%d];\n", to, f, v, local, c * g->vec + v);
            }
        break;
    case IN_HEADS:
        for (int c = 0; c < cg_chunks(g, g->total); c++)
            cg_text(g, "if (%s) %s[%s] = L%u[%d];\n", cg_owns_head(g, c), to, cg_head(g, c), local, c);
        break;
    case IN_ALL:
        cg_open(g, true, "%s", g->lanes > 1 ? "if (lane == 0)" : "");
        for (int64_t i = 0; i < elems; i++)
            cg_text(g, "%s[%lld] = L%u[%lld];\n", to, (long long)i, local, (long long)i);
        cg_close(g);
        break;
    case IN_ROOM: {
        const char *from = cg_room_at(g, local), *i = cg_name(g, "i");
        cg_text(g, "for (mp_i64 %s = %s; %s < %s; %s += %d) %s[%s] = %s[%s];\n", i, cg_lane(g), i, cg_dim(g, l->elems), i,
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
