/* Buffers of a kernel, found by going through its body. */
#include "compiler/plan/uses.h"

#include "compiler/support/vec.h"

typedef struct search { const kplan *p; arena *a; kuses u; bool *seen; } search;

static void in_expr(search *s, kx x)
{
    VEC(uint32_t) todo = {0};
    vec_push(s->a, &todo, x.i);
    while (todo.n) {
        uint32_t i = vec_pop(&todo);
        if (!i || s->seen[i])
            continue;
        s->seen[i] = true;
        const kexpr *e = &s->p->exprs[i];
        if (e->op == KX_LOAD || e->op == KX_ILOAD)
            s->u.read[e->buffer] = true;
        vec_push(s->a, &todo, e->a.i);
        vec_push(s->a, &todo, e->b.i);
        vec_push(s->a, &todo, e->c.i);
    }
}

static void in_gemm(search *s, const kgemm *g)
{
    s->u.read[g->b] = true;
    if (g->a_is_buffer)
        s->u.read[g->a] = true;
    in_expr(s, g->a_offset);
    in_expr(s, g->b_offset);
    in_expr(s, g->c_offset);
    in_expr(s, g->group);
}

kuses kernel_uses(const kplan *p, uint32_t kernel, arena *a)
{
    search s = {.p = p, .a = a, .u = {NEW_N(a, bool, p->n_buffers + 1), NEW_N(a, bool, p->n_buffers + 1)},
                .seen = NEW_N(a, bool, p->n_exprs + 1)};
    VEC(const knode *) todo = {0};
    vec_push(a, &todo, p->kernels[kernel].body);
    while (todo.n) {
        const knode *n = vec_pop(&todo);
        for (uint32_t i = 0; i < n->n_body; i++)
            vec_push(a, &todo, n->body[i]);
        for (uint32_t i = 0; i < n->n_init; i++)
            vec_push(a, &todo, n->init[i]);
        for (uint32_t i = 0; i < n->n_combine; i++)
            vec_push(a, &todo, n->combine[i]);
        in_expr(&s, n->value);
        if (n->kind == KN_STORE || n->kind == KN_ACCUM) {
            in_expr(&s, n->dest.offset);
            in_expr(&s, n->dest.row);
            if (n->dest.kind == REF_BUFFER)
                s.u.written[n->dest.id] = true;
            if (n->dest.kind == REF_BUFFER && n->kind == KN_ACCUM)
                s.u.read[n->dest.id] = true;
        }
        if (n->kind == KN_GEMM)
            in_gemm(&s, n->gemm);
    }
    return s.u;
}
