/* Constructors of the plan's tables and statements: see kx.h. */
#include "compiler/plan/kx.h"
#include "compiler/plan/kx_tables.h"

#include <string.h>

#define ADD(p, array, count, value)                                              \
    ((p)->array = kx_grow((p)->mem, (p)->array, (p)->count, sizeof *(p)->array), \
     (p)->array[(p)->count] = (value), (p)->count++)

uint32_t kplan_add_buffer(kplan *p, kbuffer b) { return ADD(p, buffers, n_buffers, b); }
uint32_t kplan_add_step(kplan *p, kstep s) { return ADD(p, steps, n_steps, s); }
uint32_t kplan_add_pairs(kplan *p, kpairs q) { return ADD(p, pairs, n_pairs, q); }
uint32_t kplan_add_replay(kplan *p, kreplay r) { return ADD(p, replays, n_replays, r); }
uint32_t kplan_add_loop(kplan *p, kloop_info l) { return ADD(p, loops, n_loops, l); }

uint32_t kplan_add_kernel(kplan *p, kkernel k)
{
    return ADD(p, kernels, n_kernels, k);
}

uint32_t kkernel_add_local(kplan *p, kkernel *k, klocal l)
{
    if (k->n_locals == 0) {
        k->locals = kx_grow(p->mem, NULL, 0, sizeof *k->locals);
        k->n_locals = 1;
    }
    k->locals = kx_grow(p->mem, k->locals, k->n_locals, sizeof *k->locals);
    k->locals[k->n_locals] = l;
    return k->n_locals++;
}

/* ---- statements ---------------------------------------------------------------------------------------- */

static knode *node(kplan *p, knode_kind kind)
{
    knode *n = NEW(p->mem, knode);
    n->kind = kind;
    n->where = p->here;
    return n;
}

static knode **list(kplan *p, knode *const *from, uint32_t n)
{
    return n ? arena_copy(p->mem, from, n * sizeof *from) : NULL;
}

static knode *with_body(kplan *p, knode_kind kind, knode *const *body, uint32_t n)
{
    knode *k = node(p, kind);
    k->body = list(p, body, n);
    k->n_body = n;
    return k;
}

knode *kn_seq(kplan *p, knode *const *body, uint32_t n) { return with_body(p, KN_SEQ, body, n); }
knode *kn_rows(kplan *p, knode *const *body, uint32_t n) { return with_body(p, KN_ROWS, body, n); }
knode *kn_members(kplan *p, knode *const *body, uint32_t n) { return with_body(p, KN_MEMBERS, body, n); }

knode *kn_walk(kplan *p, knode *const *init, uint32_t n_init, knode *const *body, uint32_t n_body,
               knode *const *combine, uint32_t n_combine)
{
    knode *k = with_body(p, KN_WALK, body, n_body);
    k->init = list(p, init, n_init);
    k->n_init = n_init;
    k->combine = list(p, combine, n_combine);
    k->n_combine = n_combine;
    return k;
}

knode *kn_blocks(kplan *p, uint32_t block, knode *const *init, uint32_t n_init, knode *const *body,
                 uint32_t n_body, knode *const *combine, uint32_t n_combine)
{
    knode *k = kn_walk(p, init, n_init, body, n_body, combine, n_combine);
    k->kind = KN_BLOCKS;
    k->block = block;
    return k;
}

static knode *with_loops(kplan *p, knode_kind kind, const kloop *loops, uint32_t n_loops, knode *const *body,
                         uint32_t n)
{
    knode *k = with_body(p, kind, body, n);
    if (n_loops > sizeof k->loops / sizeof *k->loops)
        arena_fail(p->mem, ARENA_LIMIT);
    if (n_loops)
        memcpy(k->loops, loops, n_loops * sizeof *loops);
    k->n_loops = n_loops;
    return k;
}

knode *kn_for(kplan *p, const kloop *loops, uint32_t n_loops, knode *const *body, uint32_t n)
{
    return with_loops(p, KN_FOR, loops, n_loops, body, n);
}

knode *kn_for1(kplan *p, const kloop *loops, uint32_t n_loops, knode *statement)
{
    return with_loops(p, KN_FOR, loops, n_loops, &statement, 1);
}

knode *kn_ifany(kplan *p, const kloop *loops, uint32_t n_loops, kx cond, knode *const *body, uint32_t n)
{
    knode *k = with_loops(p, KN_IFANY, loops, n_loops, body, n);
    k->value = cond;
    return k;
}

knode *kn_store(kplan *p, kref dest, kx value)
{
    knode *k = node(p, KN_STORE);
    k->dest = dest;
    k->value = value;
    return k;
}

knode *kn_accum(kplan *p, ir_op op, kref dest, kx value)
{
    knode *k = kn_store(p, dest, value);
    k->kind = KN_ACCUM;
    k->op = op;
    return k;
}

knode *kn_gemm(kplan *p, kgemm g)
{
    knode *k = node(p, KN_GEMM);
    k->gemm = arena_copy(p->mem, &g, sizeof g);
    return k;
}

void kn_prefetch(kplan *p, knode *walk, uint32_t buffer, kx row_at, kdim elems)
{
    walk->prefetch = kx_grow(p->mem, walk->prefetch, walk->n_prefetch, sizeof *walk->prefetch);
    walk->prefetch[walk->n_prefetch].buffer = buffer;
    walk->prefetch[walk->n_prefetch].row_at = row_at;
    walk->prefetch[walk->n_prefetch++].elems = elems;
}
