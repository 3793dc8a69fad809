/* Scopes, bindings and the cache of values: see kernel_gen.h. */
#include "codegen/cpu/kernel_gen.h"

#include <assert.h>
#include <string.h>

/* ---- scopes -------------------------------------------------------------------------------------------- */

void kg_push(kgen *g, bool inline_)
{
    assert(g->depth + 1 < KG_SCOPES);
    kscope_open *s = &g->scope[++g->depth];
    *s = (kscope_open){.serial = ++g->serials, .inline_ = inline_};
    s->room = g->e->target->vector_registers / 4;
    if (!inline_) {
        s->head = LLVMGetInsertBlock(g->e->b);
        s->body = LLVMAppendBasicBlockInContext(g->e->cx, g->e->fn, "");
        LLVMMoveBasicBlockAfter(s->body, s->head);
        LLVMPositionBuilderAtEnd(g->e->b, s->body);
    }
}

void kg_pop(kgen *g)
{
    kscope_open *s = &g->scope[g->depth--];
    if (!s->inline_) {
        LLVMBasicBlockRef here = LLVMGetInsertBlock(g->e->b);
        LLVMPositionBuilderAtEnd(g->e->b, s->head);
        LLVMBuildBr(g->e->b, s->body);
        LLVMPositionBuilderAtEnd(g->e->b, here);
    }
}

kbind kg_bind(kgen *g, kbind *what, kval value, bool point)
{
    kbind old = *what;
    *what = (kbind){value, point ? 0 : g->depth, point, true};
    g->epoch++;
    return old;
}

void kg_unbind(kgen *g, kbind *what, kbind old)
{
    *what = old;
    g->epoch++;
}

void kg_changed(kgen *g)
{
    g->stamp++;
    for (int i = 0; i < 64; i++)
        g->changed[i] = g->stamp;
}

void kg_changed_by(kgen *g, const kref *d) { g->changed[kg_place(d->kind == REF_BUFFER, d->id)] = ++g->stamp; }

/* Was something that the expression reads written after that stamp? */
static bool changed_since(const kgen *g, uint32_t expr, uint32_t stamp)
{
    for (uint64_t bits = g->reads[expr]; bits; bits &= bits - 1)
        if (g->changed[__builtin_ctzll(bits)] > stamp)
            return true;
    return false;
}

LLVMBasicBlockRef kg_enter(kgen *g, int depth)
{
    if (g->scope[depth].inline_)
        return NULL;
    LLVMBasicBlockRef from = LLVMGetInsertBlock(g->e->b);
    LLVMPositionBuilderAtEnd(g->e->b, g->scope[depth].head);
    return from;
}

void kg_leave(kgen *g, int depth, LLVMBasicBlockRef from)
{
    if (!from)
        return;
    g->scope[depth].head = LLVMGetInsertBlock(g->e->b);
    LLVMPositionBuilderAtEnd(g->e->b, from);
}

/* ---- where an expression belongs ----------------------------------------------------------------------- */

static knote of_bind(const kbind *b)
{
    assert(b->bound);
    return (knote){ .depth = b->depth,
                    .flags = (b->point ? N_POINT : 0u) | (kg_uniform(b->value) ? 0u : N_VARIES) };
}

static void join(knote *n, knote o)
{
    n->depth = o.depth > n->depth ? o.depth : n->depth;
    n->flags |= o.flags;
}

/* A load whose address is made of rows, members and constants may run though its value is not wanted. */
static void load_note(kgen *g, const kexpr *x, knote *n)
{
    n->flags |= N_LOADS;
    if ((g->has[x->a.i] | g->has[x->b.i]) & (HAS_VAR | HAS_INDEX))
        n->flags |= N_FREE;
    if (g->written[x->buffer])
        n->flags |= N_VOLATILE;
}

/* Only the taken side counts. Where the condition is known in all lanes the other side is not there at all;
 * otherwise loads of the sides are masked, and that code stays where it is. */
static knote select_note(kgen *g, const kexpr *x)
{
    knote n = kg_note(g, x->a), b = kg_note(g, x->b), c = kg_note(g, x->c);
    if ((b.flags | c.flags) & N_FREE) {
        int known = kg_constant_mask(kg_eval(g, x->a).v);
        if (known >= 0)
            return known ? b : c;
        n.flags |= N_VOLATILE;
    }
    join(&n, b);
    join(&n, c);
    return n;
}

knote kg_note(kgen *g, kx x)
{
    if (g->note[x.i].epoch == g->epoch)
        return g->note[x.i];
    const kexpr *e = &g->p->exprs[x.i];
    knote n = {.depth = 0};
    switch ((kx_op)e->op) {
    case KX_INT: case KX_NUM: case KX_DIM: case KX_STEP: case KX_REALARG: case KX_TRAINING:
        break;
    case KX_VAR: n = of_bind(&g->var[e->var]); break;
    case KX_ROW: n = of_bind(&g->row); break;
    case KX_MEMBER: n = of_bind(&g->member); break;
    case KX_LOCAL: case KX_IDX: case KX_OTHER:
        n = kg_note(g, e->a);
        n.flags |= N_VOLATILE;
        break;
    case KX_LOAD:
        n = kg_note(g, e->a);
        join(&n, kg_note(g, e->b));
        load_note(g, e, &n);
        break;
    case KX_ILOAD:
        n = kg_note(g, e->a);
        load_note(g, e, &n);
        break;
    case KX_SELECT: case KX_ISEL:
        n = select_note(g, e);
        break;
    case KX_IADD: case KX_ISUB: case KX_IMUL: case KX_IDIV: case KX_IMOD: case KX_BUCKET: case KX_FROM_INT:
    case KX_MAP: case KX_RANDOM:
        n = kg_note(g, e->a);
        if (kx_is(e->b))
            join(&n, kg_note(g, e->b));
        if (kx_is(e->c))
            join(&n, kg_note(g, e->c));
        break;
    }
    n.epoch = g->epoch;
    return g->note[x.i] = n;
}

/* ---- cache --------------------------------------------------------------------------------------------- */

kcached *kg_find(kgen *g, uint64_t key, int depth, bool is_volatile)
{
    uint64_t *at = map_get(&g->cache, key);
    if (!at)
        return NULL;
    kcached *c = &g->cached.at[*at - 1];
    if (c->depth > g->depth || g->scope[c->depth].serial != c->serial || c->depth < depth)
        return NULL;
    if ((is_volatile || c->is_volatile) && (c->depth != g->depth || changed_since(g, (uint32_t)(key >> 32), c->stamp)))
        return NULL;
    return c;
}

void kg_keep(kgen *g, uint64_t key, int depth, bool is_volatile, kval v)
{
    bool fresh;
    uint64_t *at = map_slot_of(&g->cache, key, &fresh);
    if (fresh) {
        vec_push(g->mem, &g->cached, (kcached){0});
        *at = g->cached.n;
    }
    g->cached.at[*at - 1] = (kcached){v, g->scope[depth].serial, g->stamp, depth, is_volatile};
}
