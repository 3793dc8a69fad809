/* Scopes of the text that is written, and what is remembered of values in them. See cuda_gen.h. */
#include "codegen/cuda/cuda_gen.h"

#include <stdarg.h>
#include <string.h>

/* ---- text ---------------------------------------------------------------------------------------------- */

void cg_push(cgen *g, bool plain)
{
    if (g->depth + 1 >= CG_SCOPES)
        arena_fail(g->mem, ARENA_LIMIT);
    scope *s = &g->scope[++g->depth];
    *s = (scope){.head = buf_make(g->mem), .body = buf_make(g->mem), .serial = ++g->serials, .room = CG_HOIST, .plain = plain};
}

void cg_pop(cgen *g)
{
    scope *s = &g->scope[g->depth], *out = &g->scope[g->depth - 1];
    g->depth--;
    buf_write(&out->body, s->head.at ? s->head.at : "", s->head.n);
    buf_write(&out->body, s->body.at ? s->body.at : "", s->body.n);
}

void cg_text_at(cgen *g, int depth, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&g->scope[depth].head, fmt, ap);
    va_end(ap);
}

void cg_text(cgen *g, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&g->scope[g->depth].body, fmt, ap);
    va_end(ap);
}

void cg_open(cgen *g, bool plain, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&g->scope[g->depth].body, fmt, ap);
    va_end(ap);
    buf_puts(&g->scope[g->depth].body, " {\n");
    cg_push(g, plain);
}

void cg_close(cgen *g)
{
    cg_pop(g);
    cg_text(g, "}\n");
}

/* Products want the registers for themselves: nothing but numbers of lanes is carried from one part of a block's work to the next. */
int cg_open_part(cgen *g)
{
    int before = g->part;
    cg_open(g, false, "%s", "");
    g->part = g->depth;
    return before;
}

void cg_close_part(cgen *g, int before)
{
    g->part = before;
    cg_close(g);
}

const char *cg_name(cgen *g, const char *prefix)
{
    return arena_printf(g->mem, "%s%u", prefix, ++g->names);
}

/* The place in the layer's source, for messages and profilers. */
void cg_line(cgen *g, span where)
{
    if (!g->o || !g->o->sources || where.file >= g->o->sources->n || where.hi <= where.lo)
        return;
    const source *f = source_get(g->o->sources, where.file);
    uint32_t line = source_place(f, where.lo).line;
    cg_text(g, "#line %u \"", line);
    for (const char *c = f->name; *c; c++)
        cg_text(g, *c == '"' || *c == '\\' ? "\\%c" : (unsigned char)*c < ' ' ? "?" : "%c", *c);
    cg_text(g, "\"\n");
}

uint32_t cg_intern(cgen *g, const char *text)
{
    for (uint32_t i = 0; i < g->texts.n; i++)
        if (strcmp(g->texts.at[i], text) == 0)
            return i + 1;
    vec_push(g->mem, &g->texts, text);
    return g->texts.n;
}

/* ---- bindings ------------------------------------------------------------------------------------------ */

binding cg_bind(cgen *g, binding *b, const char *text, bool point)
{
    binding old = *b;
    *b = (binding){.text = text, .depth = point ? 0 : g->depth, .bound = true, .point = point};
    g->epoch++;
    return old;
}

void cg_unbind(cgen *g, binding *b, binding old)
{
    *b = old;
    g->epoch++;
}

void cg_changed(cgen *g) { g->stamp++; }

/* ---- what is known of an expression -------------------------------------------------------------------- */

static note of_binding(const binding *b)
{
    return (note){.depth = b->bound ? b->depth : 0, .flags = b->point && !b->is_const ? N_POINT : 0};
}

static void join(note *n, note other)
{
    n->depth = n->depth > other.depth ? n->depth : other.depth;
    n->flags |= other.flags;
}

note cg_note(cgen *g, kx x)
{
    if (!kx_is(x))
        return (note){0};
    if (g->note[x.i].epoch == g->epoch)
        return g->note[x.i];
    const kexpr *e = &g->p->exprs[x.i];
    note n = {0};
    join(&n, cg_note(g, e->a));
    join(&n, cg_note(g, e->b));
    join(&n, cg_note(g, e->c));
    switch ((kx_op)e->op) {
    case KX_VAR: {
        const binding *b = &g->var[e->var];
        n = of_binding(b);
        if (b->is_const)                        /* a number of its own at each point */
            n.flags |= N_POINT;
        break;
    }
    case KX_ROW: n = of_binding(&g->row); break;
    case KX_MEMBER: n = of_binding(&g->member); break;
    case KX_LOCAL: case KX_IDX: case KX_OTHER:
        n.flags |= N_VOLATILE;
        if ((e->op == KX_OTHER || cg_storage(g, e->local) == IN_ROOM) && g->has[e->a.i] & (HAS_VAR | HAS_INDEX))
            n.flags |= N_FREE;
        break;
    case KX_LOAD: case KX_ILOAD:
        if (g->written[e->buffer])
            n.flags |= N_VOLATILE;
        if ((g->has[e->a.i] | g->has[e->b.i]) & (HAS_VAR | HAS_INDEX))
            n.flags |= N_FREE;
        break;
    case KX_INT: case KX_NUM: case KX_DIM: case KX_STEP: case KX_REALARG: case KX_TRAINING: case KX_IADD: case KX_ISUB:
    case KX_IMUL: case KX_IDIV: case KX_IMOD: case KX_BUCKET: case KX_ISEL: case KX_FROM_INT: case KX_MAP: case KX_SELECT:
    case KX_RANDOM: break;
    }
    n.epoch = g->epoch;
    return g->note[x.i] = n;
}

/* ---- values in scopes ---------------------------------------------------------------------------------- */

cached *cg_find(cgen *g, uint64_t key, int depth, bool is_volatile)
{
    uint64_t *at = map_get(&g->cache, key);
    if (!at)
        return NULL;
    cached *c = &g->values.at[*at - 1];
    if (c->depth > g->depth || c->depth < depth || g->scope[c->depth].serial != c->serial)
        return NULL;
    if ((is_volatile || c->is_volatile) && c->stamp != g->stamp)
        return NULL;
    return c;
}

void cg_keep(cgen *g, uint64_t key, int depth, bool is_volatile, bool stays, const char *text)
{
    bool fresh;
    uint64_t *at = map_slot_of(&g->cache, key, &fresh);
    if (fresh) {
        vec_push(g->mem, &g->values, (cached){0});
        *at = g->values.n;
    }
    g->values.at[*at - 1] = (cached){text, g->scope[depth].serial, depth, is_volatile, stays, g->stamp};
}

const char *cg_dim(cgen *g, kdim d)
{
    if (d.is_const)
        return arena_printf(g->mem, d.value > INT32_MAX || g->wide ? "%lldLL" : "%lld", (long long)d.value);
    uint64_t key = (uint64_t)3 << 62 | d.slot;
    cached *have = cg_find(g, key, 0, false);
    if (have)
        return have->text;
    const char *name = arena_printf(g->mem, "d%u", d.slot);
    cg_text_at(g, 0, "const mp_i64 %s = A.dim[%u];\n", name, d.slot);
    cg_keep(g, key, 0, false, false, name);
    return name;
}

const char *cg_buffer(cgen *g, uint32_t buffer)
{
    uint64_t key = (uint64_t)1 << 63 | buffer;
    cached *have = cg_find(g, key, 0, false);
    if (have)
        return have->text;
    const char *type = cg_memory(g->p->buffers[buffer].type), *name = arena_printf(g->mem, "b%u", buffer);
    const char *qualifier = g->written[buffer] ? "" : "const ";
    const char *at = buffer < g->n_buffers ? arena_printf(g->mem, "A.buf[%u]", buffer) : arena_printf(g->mem, "L.own[%u]", buffer - g->n_buffers);
    cg_text_at(g, g->part, "%s%s *const %s = (%s%s *)%s;\n", qualifier, type, name, qualifier, type, at);
    cg_keep(g, key, g->part, false, false, name);
    return name;
}
