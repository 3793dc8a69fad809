/* Expressions as C text: what each becomes, and in which scope its value is computed. See cuda_gen.h. */
#include "codegen/cuda/cuda_gen.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { INLINE = 40 };           /* integer arithmetic of no more characters stays a part of what it is used in */

const char *cg_type(ktype t)
{
    switch (t) {
    case KT_F64: return "double";
    case KT_F32: case KT_F16: case KT_BF16: return "float";
    case KT_I64: case KT_I32: return "mp_i64";
    case KT_BOOL: return "bool";
    }
    return "mp_i64";
}

const char *cg_memory(ktype t)
{
    switch (t) {
    case KT_F64: return "double";
    case KT_F32: return "float";
    case KT_F16: case KT_BF16: return "mp_u16";
    case KT_I64: return "mp_i64";
    case KT_I32: return "int";
    case KT_BOOL: return "mp_u8";
    }
    return "mp_i64";
}

const char *cg_suffix(ktype t)
{
    switch (t) {
    case KT_F64: return "f64";
    case KT_F32: return "f32";
    case KT_F16: return "f16";
    case KT_BF16: return "bf16";
    case KT_I64: return "i64";
    case KT_I32: return "i32";
    case KT_BOOL: return "bool";
    }
    return "i64";
}

const char *cg_number(cgen *g, ktype t, double v)
{
    const char *s = cg_suffix(t);
    if (t == KT_BOOL)
        return v != 0 ? "true" : "false";
    if (isnan(v))
        return arena_printf(g->mem, "mp_nan_%s()", s);
    if (isinf(v))
        return arena_printf(g->mem, "%smp_inf_%s()", v < 0 ? "-" : "", s);
    char text[40];
    snprintf(text, sizeof text, t == KT_F64 ? "%.17g" : "%.9g", v);
    if (!strpbrk(text, ".e"))
        strcat(text, ".0");
    return arena_printf(g->mem, v < 0 || signbit(v) ? "(%s%s)" : "%s%s", text, t == KT_F64 ? "" : "f");
}

const char *cg_eval(cgen *g, kx x) { return cg_value(g, x).text; }

/* ---- where a value goes -------------------------------------------------------------------------------- */

static bool narrow(const cgen *g, kx x) { return !g->wide && !(g->has[x.i] & HAS_WIDE); }

/* As far out as `depth`, but values by lane stay inside of loops that have enough of them already. */
static int settle(cgen *g, int depth, bool by_lane)
{
    if (!by_lane)
        return depth;
    int at = g->depth;
    bool leaves = false;
    while (at > depth && (g->scope[at].plain || g->scope[at].room > 0)) {
        leaves |= !g->scope[at].plain;
        at--;
    }
    if (!leaves)
        return depth > at ? depth : g->depth;
    for (int d = at + 1; d <= g->depth; d++)
        g->scope[d].room--;
    return at;
}

static const char *type_of(const cgen *g, kx x)
{
    const kexpr *e = &g->p->exprs[x.i];
    return e->type == KT_I64 && narrow(g, x) ? "int" : cg_type((ktype)e->type);
}

/* The outermost scope whose head may use the value. */
static int from_head(value v) { return v.depth + v.stays; }

static int deepest(int a, int b) { return a > b ? a : b; }

/* What must stay is written here and now, everything else into the head of a scope: there the order is that of need. */
static value name_it(cgen *g, kx x, const char *text, int depth, bool stay)
{
    const char *name = cg_name(g, "t");
    if (stay)
        cg_text(g, "const %s %s = %s;\n", type_of(g, x), name, text);
    else
        cg_text_at(g, depth, "const %s %s = %s;\n", type_of(g, x), name, text);
    return (value){name, stay ? g->depth : depth, stay};
}

/* ---- memory -------------------------------------------------------------------------------------------- */

static value row_at(cgen *g, uint32_t buffer, kx row)
{
    int64_t zero;
    const char *base = cg_buffer(g, buffer);
    if (kx_is_int(g->p, row, &zero) && zero == 0)
        return (value){base, g->part, false};
    value r = cg_value(g, row);
    note n = cg_note(g, row);
    bool stay = n.flags & (N_VOLATILE | N_POINT) || (g->chosen && n.flags & N_FREE) || from_head(r) > g->depth;
    int depth = stay ? g->depth : deepest(from_head(r), g->part);
    uint64_t key = (uint64_t)1 << 63 | (uint64_t)(buffer + 1) << 32 | row.i;
    cached *have = stay ? NULL : cg_find(g, key, n.depth, false);
    if (have)
        return (value){have->text, have->depth, have->stays};
    const char *name = cg_name(g, "p"), *qualifier = g->written[buffer] ? "" : "const ";
    const char *elems = cg_dim(g, g->p->buffers[buffer].elems);
    const char *text = arena_printf(g->mem, "%s%s *const %s = %s + (mp_i64)(%s) * %s;\n", qualifier,
                                    cg_memory(g->p->buffers[buffer].type), name, base, r.text, elems);
    if (stay)
        cg_text(g, "%s", text);
    else
        cg_text_at(g, depth, "%s", text);
    if (!stay)
        cg_keep(g, key, depth, false, false, name);
    return (value){name, depth, stay};
}

const char *cg_row_at(cgen *g, uint32_t buffer, kx row) { return row_at(g, buffer, row).text; }

/* Is the integer a multiple of `by` at v = 0? */
bool cg_divides(cgen *g, kx x, int by)
{
    const kexpr *e = &g->p->exprs[x.i];
    switch ((kx_op)e->op) {
    case KX_INT: return e->value.i % by == 0;
    case KX_DIM: return e->dim.is_const && e->dim.value % by == 0;
    case KX_VAR: return e->var == g->vector_var;
    case KX_IADD: case KX_ISUB: return cg_divides(g, e->a, by) && cg_divides(g, e->b, by);
    case KX_IMUL: return cg_divides(g, e->a, by) || cg_divides(g, e->b, by);
    case KX_IDIV: case KX_IMOD: case KX_ROW: case KX_MEMBER: case KX_STEP: case KX_ILOAD: case KX_BUCKET: case KX_IDX:
    case KX_ISEL: case KX_NUM: case KX_REALARG: case KX_TRAINING: case KX_LOAD: case KX_LOCAL: case KX_OTHER: case KX_FROM_INT:
    case KX_MAP: case KX_SELECT: case KX_RANDOM: break;
    }
    return false;
}

static bool moves_by_one(cgen *g, kx row, kx offset)
{
    kdim stride;
    return g->vector_var != UINT32_MAX && !kx_depends(g->p, row, g->vector_var)
        && kx_stride(g->work, offset, g->vector_var, &stride) && kdim_is(stride, 1) && cg_divides(g, offset, g->vec);
}

static bool loads_vectors(const cgen *g, ktype t)
{
    switch (t) {
    case KT_F32: case KT_F16: case KT_BF16: return g->vec == 2 || g->vec == 4;
    case KT_F64: return g->vec == 2;
    case KT_I64: case KT_I32: case KT_BOOL: break;
    }
    return false;
}

static const char *not_negative(cgen *g, const char *old, const char *text)
{
    return old ? arena_printf(g->mem, "%s && (%s) >= 0", old, text) : arena_printf(g->mem, "(%s) >= 0", text);
}

static value load(cgen *g, kx x, bool stay)
{
    const kexpr *e = &g->p->exprs[x.i];
    const kbuffer *b = &g->p->buffers[e->buffer];
    int64_t zero;
    bool guard_row = e->guarded && g->has[e->a.i] & (HAS_INDEX | HAS_SUB);
    bool guard_offset = e->guarded && g->has[e->b.i] & (HAS_INDEX | HAS_SUB);
    bool whole = (kx_is_int(g->p, e->a, &zero) && zero == 0) || (b->elems.is_const && b->elems.value % g->vec == 0);
    bool vector = !g->written[e->buffer] && !guard_offset && whole && loads_vectors(g, b->type) && moves_by_one(g, e->a, e->b);
    static const char part[] = "xyzw";
    uint64_t key = (uint64_t)1 << 62 | (uint64_t)(x.i & 0x3fffffff) << 32 | g->point0;
    if (vector && g->elem > 0) {
        cached *have = cg_find(g, key, 0, false);
        if (have)
            return (value){arena_printf(g->mem, "%s.%c", have->text, part[g->elem]), have->depth, have->stays};
        vector = false;
    }
    value row = row_at(g, e->buffer, e->a), offset = cg_value(g, e->b);
    int depth = deepest(from_head(row), from_head(offset));
    const char *ok = NULL;
    if (guard_row) {
        value r = cg_value(g, e->a);
        depth = deepest(from_head(r), depth);
        ok = not_negative(g, NULL, r.text);
    }
    if (guard_offset)
        ok = not_negative(g, ok, offset.text);
    note n = cg_note(g, x);
    stay |= depth > g->depth;
    depth = stay ? g->depth : settle(g, depth, n.flags & N_POINT);
    const char *of = g->written[e->buffer] ? "mp_get" : "mp_ld", *s = cg_suffix(b->type);
    if (vector) {
        const char *name = cg_name(g, "v"), *type = b->type == KT_F64 ? "mp_d2" : g->vec == 4 ? "mp_f4" : "mp_f2";
        const char *none = b->type == KT_F64 ? "mp_zero_d2()" : g->vec == 4 ? "mp_zero_f4()" : "mp_zero_f2()";
        const char *text = arena_printf(g->mem, "%s%d_%s(%s + %s)", of, g->vec, s, row.text, offset.text);
        text = ok ? arena_printf(g->mem, "const %s %s = %s ? %s : %s;\n", type, name, ok, text, none)
                  : arena_printf(g->mem, "const %s %s = %s;\n", type, name, text);
        if (stay)
            cg_text(g, "%s", text);
        else
            cg_text_at(g, depth, "%s", text);
        cg_keep(g, key, depth, false, stay, name);
        return (value){arena_printf(g->mem, "%s.x", name), depth, stay};
    }
    const char *text = arena_printf(g->mem, "%s_%s(%s + %s)", of, s, row.text, offset.text);
    if (ok)
        text = arena_printf(g->mem, "%s ? %s : %s", ok, text, cg_number(g, (ktype)e->type, 0));
    if (g->written[e->buffer])
        g->reads_room = true;
    return name_it(g, x, text, depth, stay);
}

static const char *const_offset(cgen *g, kx offset)
{
    int64_t *var = NEW_N(g->mem, int64_t, g->k->n_vars + 1), at;
    for (uint32_t i = 0; i < g->k->n_vars; i++)
        var[i] = g->var[i].is_const ? g->var[i].value : -1;
    return cg_int_at(g, offset, var, &at) ? arena_printf(g->mem, "%lld", (long long)at) : "0 /* not constant */";
}

const char *cg_room_at(cgen *g, uint32_t local)
{
    const klocal *l = &g->k->locals[local];
    if (!l->tiled || !g->by_block)
        return arena_printf(g->mem, "r%u", local);
    binding *at = l->scope == SCOPE_ROW ? &g->row : &g->member;
    const char *first = l->scope == SCOPE_ROW ? "tile0" : "block0";
    uint64_t key = (uint64_t)3 << 62 | (uint64_t)1 << 40 | local;
    cached *have = cg_find(g, key, at->depth, false);
    if (have)
        return have->text;
    const char *name = cg_name(g, "q");
    cg_text_at(g, at->depth, "%s *const %s = r%u + (%s - %s) * %s;\n", cg_memory(l->type), name, local, at->text, first,
               cg_dim(g, l->elems));
    cg_keep(g, key, at->depth, false, false, name);
    return name;
}

const char *cg_register(cgen *g, uint32_t local, kx offset)
{
    switch (cg_storage(g, local)) {
    case IN_LANES: return arena_printf(g->mem, "L%u[%d]", local, g->chunk * g->vec + g->elem);
    case IN_HEADS: return arena_printf(g->mem, "L%u[%d]", local, g->chunk);
    case IN_ALL: return arena_printf(g->mem, "L%u[%s]", local, const_offset(g, offset));
    case IN_ROOM: break;
    }
    const char *at = cg_eval(g, offset);
    return arena_printf(g->mem, "%s[%s]", cg_room_at(g, local), at);
}

/* ---- the rest ------------------------------------------------------------------------------------------ */

static value both_sides(cgen *g, kx x, value cond)
{
    const kexpr *e = &g->p->exprs[x.i];
    const char *name = cg_name(g, "t");
    cg_text(g, "%s %s;\n", type_of(g, x), name);
    g->chosen++;
    cg_open(g, true, "if (%s)", cond.text);
    const char *b = cg_eval(g, e->b);
    cg_text(g, "%s = %s;\n", name, b);
    cg_close(g);
    cg_open(g, true, "else");
    const char *c = cg_eval(g, e->c);
    cg_text(g, "%s = %s;\n", name, c);
    cg_close(g);
    g->chosen--;
    return (value){name, g->depth, true};
}

static const char *binary(cgen *g, const char *a, const char *op, const char *b)
{
    return arena_printf(g->mem, "(%s %s %s)", a, op, b);
}

static const char *text_of(cgen *g, const kexpr *e, const char *a, const char *b, const char *c)
{
    switch ((kx_op)e->op) {
    case KX_IADD: return binary(g, a, "+", b);
    case KX_ISUB: return binary(g, a, "-", b);
    case KX_IMUL: return binary(g, a, "*", b);
    case KX_IDIV: return binary(g, a, "/", b);
    case KX_IMOD: return binary(g, a, "%", b);
    case KX_DIM: return cg_dim(g, e->dim);
    case KX_STEP: return arena_printf(g->mem, "A.step[%u]", e->var);
    case KX_ILOAD: {
        const char *of = g->written[e->buffer] ? "mp_get" : "mp_ld";
        return arena_printf(g->mem, "%s_%s(%s + %s)", of, cg_suffix(g->p->buffers[e->buffer].type), cg_buffer(g, e->buffer), a);
    }
    case KX_BUCKET: return arena_printf(g->mem, "mp_bucket_%s(%s, %s)", cg_suffix((ktype)g->p->exprs[e->a.i].type), a, b);
    case KX_IDX: case KX_LOCAL: return cg_register(g, e->local, e->a);
    case KX_OTHER:
        return arena_printf(g->mem, "((const %s *)(other + %s))[%s]", cg_memory(g->k->locals[e->local].type),
                            g->at[e->local].state, a);
    case KX_REALARG: return arena_printf(g->mem, "(%s)A.real[%u]", cg_type((ktype)e->type), e->var);
    case KX_TRAINING: return "(A.training != 0)";
    case KX_FROM_INT: return arena_printf(g->mem, "(%s)(%s)", cg_type((ktype)e->type), a);
    case KX_MAP: return cg_map(g, e, a, b, c);
    case KX_RANDOM:
        return arena_printf(g->mem, "mp_random(A.seed, (mp_i64)(%s), %s, %s, %uu)", a, b, c, (uint32_t)e->value.i);
    case KX_SELECT: case KX_ISEL: return arena_printf(g->mem, "(%s ? %s : %s)", a, b, c);
    case KX_INT: case KX_NUM: case KX_VAR: case KX_ROW: case KX_MEMBER: case KX_LOAD: break;
    }
    return "0";
}

static bool is_short(const kexpr *e, const char *text)
{
    switch ((kx_op)e->op) {
    case KX_IADD: case KX_ISUB: case KX_IMUL: case KX_IDIV: case KX_IMOD: return strlen(text) <= INLINE;
    case KX_DIM: return true;
    case KX_STEP: case KX_ILOAD: case KX_BUCKET: case KX_IDX: case KX_LOCAL: case KX_OTHER: case KX_REALARG: case KX_TRAINING:
    case KX_FROM_INT: case KX_MAP: case KX_RANDOM: case KX_SELECT: case KX_ISEL: case KX_INT: case KX_NUM: case KX_VAR:
    case KX_ROW: case KX_MEMBER: case KX_LOAD: break;
    }
    return false;
}

value cg_value(cgen *g, kx x)
{
    if (!kx_is(x))
        return (value){"0", 0, false};
    const kexpr *e = &g->p->exprs[x.i];
    switch ((kx_op)e->op) {
    case KX_INT: return (value){cg_dim(g, kdim_int(e->value.i)), 0, false};
    case KX_NUM: return (value){cg_number(g, (ktype)e->type, e->value.f), 0, false};
    case KX_VAR: return (value){g->var[e->var].text, g->var[e->var].depth, false};
    case KX_ROW: return (value){g->row.text, g->row.depth, false};
    case KX_MEMBER: return (value){g->member.text, g->member.depth, false};
    case KX_IADD: case KX_ISUB: case KX_IMUL: case KX_IDIV: case KX_IMOD: case KX_DIM: case KX_STEP: case KX_ILOAD:
    case KX_BUCKET: case KX_IDX: case KX_LOCAL: case KX_OTHER: case KX_REALARG: case KX_TRAINING: case KX_LOAD:
    case KX_FROM_INT: case KX_MAP: case KX_RANDOM: case KX_SELECT: case KX_ISEL: break;
    }
    note n = cg_note(g, x);
    bool is_volatile = n.flags & N_VOLATILE, stay = is_volatile || (g->chosen && n.flags & N_FREE);
    uint64_t key = (uint64_t)x.i << 32 | (n.flags & N_POINT ? g->point : 0);
    cached *have = cg_find(g, key, n.depth, is_volatile);
    if (have)
        return (value){have->text, have->depth, have->stays};
    value v;
    bool either = e->op == KX_SELECT || e->op == KX_ISEL;
    if (e->op == KX_LOAD) {
        v = load(g, x, stay);
    } else if (either && (cg_note(g, e->b).flags | cg_note(g, e->c).flags) & N_FREE) {
        value cond = cg_value(g, e->a);
        v = both_sides(g, x, cond);
    } else {
        bool local = e->op == KX_LOCAL || e->op == KX_IDX;
        value a = local ? (value){"0", 0, false} : cg_value(g, e->a), b = cg_value(g, e->b), c = cg_value(g, e->c);
        int depth = deepest(deepest(from_head(a), from_head(b)), deepest(from_head(c), e->op == KX_ILOAD ? g->part : 0));
        const char *text = text_of(g, e, a.text, b.text, c.text);
        if (local && cg_storage(g, e->local) == IN_ROOM)
            g->reads_room = true;
        if (e->op == KX_ILOAD && g->written[e->buffer])
            g->reads_room = true;
        stay |= depth > g->depth;
        if (is_short(e, text))
            v = (value){text, stay ? g->depth : depth, stay};
        else
            v = name_it(g, x, text, stay ? g->depth : settle(g, depth, n.flags & N_POINT), stay);
    }
    cg_keep(g, key, v.depth, is_volatile, v.stays, v.text);
    return v;
}
