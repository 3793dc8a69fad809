/* Takes kernels apart around products that a BLAS may do: see blas.h. */
#include "codegen/cuda/blas.h"

#include <string.h>

#include "compiler/plan/kx.h"

/* A local that is the result of products alone: where it is made instead. */
typedef struct home {
    bool used, bad;
    bool placed;                        /* `at` is valid */
    bool transposed;
    uint32_t buffer;                    /* in the copy of the plan */
    kdim at;                            /* offset in a row */
    cuda_operand operand;
    const knode *store;                 /* the statement that copied it there, or NULL: memory of the launch */
} home;

typedef struct splitter {
    arena *mem;
    const kplan *p;                     /* as it is; questions that may add to a plan go to `ask` */
    kplan *ask, *out;
    const kkernel *k;
    blas_split *r;
    bool *written;                      /* by buffer */
    home *homes;                        /* by local */
    const kgemm *taken[CUDA_PRODUCTS];
    uint32_t n_taken;
    bool before;                        /* operands of sums may be worked out in front, by the nodes of the walk that are */
    bool *pure;                         /* by node of the walk: it makes members' values of stored ones and of such values */
    bool *made_pure;                    /* by local: all that writes it is */
} splitter;

/* ---- which locals are read and written ----------------------------------------------------------------- */

typedef struct marks { const kplan *p; bool *reads, *writes; uint8_t *seen; } marks;

static marks marks_make(arena *mem, const kplan *p, const kkernel *k)
{
    return (marks){p, NEW_N(mem, bool, k->n_locals + 1), NEW_N(mem, bool, k->n_locals + 1), NEW_N(mem, uint8_t, p->n_exprs + 1)};
}

static void mark_expr(marks *m, kx x)
{
    if (!kx_is(x) || m->seen[x.i])
        return;
    m->seen[x.i] = 1;
    const kexpr *e = &m->p->exprs[x.i];
    if (e->op == KX_LOCAL || e->op == KX_IDX || e->op == KX_OTHER)
        m->reads[e->local] = true;
    mark_expr(m, e->a);
    mark_expr(m, e->b);
    mark_expr(m, e->c);
}

static void mark_nodes(marks *m, knode *const *body, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const knode *k = body[i];
        mark_expr(m, k->value);
        mark_expr(m, k->dest.row);
        mark_expr(m, k->dest.offset);
        if ((k->kind == KN_STORE || k->kind == KN_ACCUM) && k->dest.kind == REF_LOCAL)
            m->writes[k->dest.id] = true;
        if (k->kind == KN_GEMM) {
            const kgemm *g = k->gemm;
            m->writes[g->c] = true;
            if (!g->a_is_buffer)
                m->reads[g->a] = true;
            if (g->b_is_local)
                m->reads[g->b] = true;
            mark_expr(m, g->group);
        }
        mark_nodes(m, k->body, k->n_body);
        mark_nodes(m, k->init, k->n_init);
        mark_nodes(m, k->combine, k->n_combine);
    }
}

/* ---- which products ------------------------------------------------------------------------------------ */

static void find_written(splitter *s, knode *const *body, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const knode *k = body[i];
        if ((k->kind == KN_STORE || k->kind == KN_ACCUM) && k->dest.kind == REF_BUFFER)
            s->written[k->dest.id] = true;
        find_written(s, k->body, k->n_body);
        find_written(s, k->init, k->n_init);
        find_written(s, k->combine, k->n_combine);
    }
}

static bool is_taken(const splitter *s, const knode *n)
{
    for (uint32_t i = 0; n->kind == KN_GEMM && i < s->n_taken; i++)
        if (s->taken[i] == n->gemm)
            return true;
    return false;
}

/* An operand as it lies in memory that the kernel only reads. */
static bool is_stored(const splitter *s, uint32_t buffer, ktype t)
{
    return !s->written[buffer] && s->p->buffers[buffer].type == t && s->p->buffers[buffer].kind != BUF_SLOT;
}

static bool is_zero(const splitter *s, kx x)
{
    int64_t v;
    return !kx_is(x) || (kx_is_int(s->p, x, &v) && v == 0);
}

static bool is_place(const splitter *s, kx x)
{
    return !kx_is(x) || kx_is_dim(s->p, x, NULL);
}

static bool fits_row(const splitter *s, const kgemm *m)
{
    return !m->sum && m->a_is_buffer && is_stored(s, m->a, m->type) && is_stored(s, m->b, m->type) && kdim_is(m->a_k, 1)
        && kdim_is(m->c_n, 1) && kdim_same(m->c_m, m->n) && (kdim_is(m->b_n, 1) || kdim_is(m->b_k, 1));
}

/* Operands by member: stored, or locals that `before` may work out. */
static bool fits_sum(const splitter *s, const kgemm *m)
{
    return m->sum && kdim_is(m->a_m, 1) && kdim_is(m->b_n, 1) && kdim_is(m->c_n, 1) && kdim_same(m->c_m, m->n)
        && (m->a_is_buffer ? is_stored(s, m->a, m->type) : s->before && s->made_pure[m->a])
        && (m->b_is_local ? s->before && s->made_pure[m->b] : is_stored(s, m->b, m->type));
}

static bool fits(const splitter *s, const kgemm *m)
{
    const klocal *c = &s->k->locals[m->c];
    return (m->type == KT_F32 || m->type == KT_F64) && c->type == m->type && !kx_is(m->group) && is_zero(s, m->c_offset)
        && is_place(s, m->a_offset) && is_place(s, m->b_offset) && (m->sum ? fits_sum(s, m) : fits_row(s, m));
}

static bool writes_members_alone(const splitter *s, knode *const *body, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const knode *k = body[i];
        if (k->kind == KN_FOR ? !writes_members_alone(s, k->body, k->n_body)
                              : (k->kind != KN_STORE && k->kind != KN_ACCUM) || k->dest.kind != REF_LOCAL || s->k->locals[k->dest.id].scope != SCOPE_MEMBER)
            return false;
    }
    return true;
}

/* Which nodes of the walk could stand in front of it: where the kernel has one row whose members are all rows of nodes, of graphs or of a
 * param. By edge nothing is stored. */
static void find_pure(splitter *s)
{
    const kkernel *k = s->k;
    const knode *w = k->walk;
    s->before = w && w->kind == KN_BLOCKS && k->fiber.kind == FIBER_ALL && k->rows.kind == ROWS_ONE && k->fiber.which != ROWS_EDGES
             && (k->fiber.which < FIBER_ALL_PAIRS || k->fiber.which >= FIBER_ALL_DIM);
    if (!s->before)
        return;
    s->pure = NEW_N(s->mem, bool, w->n_body + 1);
    s->made_pure = NEW_N(s->mem, bool, k->n_locals + 1);
    for (uint32_t l = 1; l < k->n_locals; l++)
        s->made_pure[l] = k->locals[l].scope == SCOPE_MEMBER;
    for (uint32_t i = 0; i < w->n_body; i++) {
        const knode *n = w->body[i];
        s->pure[i] = n->kind == KN_MEMBERS ? writes_members_alone(s, n->body, n->n_body)
                                           : n->kind == KN_GEMM && !n->gemm->sum && k->locals[n->gemm->c].scope == SCOPE_MEMBER;
    }
    for (bool again = true; again;) {           /* until nothing that is pure has to do with what is not */
        again = false;
        for (uint32_t i = 0; i < w->n_body; i++) {
            marks m = marks_make(s->mem, s->p, k);
            mark_nodes(&m, &w->body[i], 1);
            for (uint32_t l = 1; l < k->n_locals; l++) {
                if (s->pure[i] && ((m.reads[l] && !s->made_pure[l]) || (m.writes[l] && !s->made_pure[l])))
                    s->pure[i] = false, again = true;
                if (!s->pure[i] && m.writes[l] && s->made_pure[l])
                    s->made_pure[l] = false, again = true;
            }
        }
    }
}

static void take(splitter *s, const knode *n)
{
    if (n->kind != KN_GEMM || s->n_taken == CUDA_PRODUCTS || !fits(s, n->gemm))
        return;
    s->taken[s->n_taken++] = n->gemm;
    s->homes[n->gemm->c].used = true;
}

/* The results of the products that are taken are written by those alone, and read by no other product but as rows of its left operand. */
static void find_other_uses(splitter *s, knode *const *body, uint32_t n, bool in_blocks)
{
    for (uint32_t i = 0; i < n; i++) {
        const knode *k = body[i];
        if ((k->kind == KN_STORE || k->kind == KN_ACCUM) && k->dest.kind == REF_LOCAL)
            s->homes[k->dest.id].bad = true;
        if (k->kind == KN_GEMM && !is_taken(s, k)) {
            const kgemm *m = k->gemm;
            s->homes[m->c].bad = true;
            if (!m->a_is_buffer && (in_blocks || m->sum))
                s->homes[m->a].bad = true;
            if (m->b_is_local)
                s->homes[m->b].bad = true;
        }
        find_other_uses(s, k->body, k->n_body, in_blocks || k->kind == KN_BLOCKS);
    }
}

/* What is first made of a result sets it, what follows adds. */
static bool in_order(const splitter *s, const kgemm *m)
{
    bool first = true;
    for (uint32_t i = 0; i < s->n_taken && s->taken[i] != m; i++)
        first &= s->taken[i]->c != m->c;
    return m->sum || m->accumulate != first;
}

static void drop_bad(splitter *s)
{
    for (bool again = true; again;) {
        again = false;
        for (uint32_t i = 0; i < s->n_taken; i++) {
            if (!s->homes[s->taken[i]->c].bad && in_order(s, s->taken[i]))
                continue;
            s->homes[s->taken[i]->c].bad = true;
            memmove(s->taken + i, s->taken + i + 1, (s->n_taken - i - 1) * sizeof *s->taken);
            s->n_taken--;
            i--;
            again = true;
        }
    }
}

static void find_products(splitter *s)
{
    const knode *top = s->k->body;
    find_pure(s);
    for (uint32_t i = 0; i < top->n_body; i++) {
        take(s, top->body[i]);
        if (top->body[i]->kind == KN_BLOCKS && s->k->rows.kind == ROWS_ONE && s->k->fiber.kind == FIBER_ALL)
            for (uint32_t j = 0; j < top->body[i]->n_body; j++)
                if (top->body[i]->body[j]->kind == KN_GEMM && top->body[i]->body[j]->gemm->sum)
                    take(s, top->body[i]->body[j]);
    }
    find_other_uses(s, top->body, top->n_body, false);
    drop_bad(s);
}

/* ---- where results go ---------------------------------------------------------------------------------- */

static dim dim_of(const splitter *s, kdim d)
{
    return d.is_const ? dim_const(s->p->layer->dims, d.value) : s->p->dims[d.slot];
}

static bool equal(const splitter *s, dim a, dim b)
{
    return dim_ok(a) && dim_ok(b) && dim_equal(s->p->layer->dims, a, b);
}

/* Its value where all loop variables are 0. */
static bool at_zero(splitter *s, kx x, kdim *out)
{
    for (uint32_t v = 0; v < s->k->n_vars; v++)
        x = kx_subst_var(s->ask, x, v, kx_int(s->ask, 0));
    return kx_is_dim(s->ask, x, out) && (out->is_const || out->slot < s->p->n_dims);
}

/* `for …: buffer[row][f] = local[g]` over all of the local, f = g + a constant, or the transposed of g. */
static bool is_copy(splitter *s, const knode *loops, const knode *st, const kgemm *m, home *h)
{
    const kexpr *v = &s->p->exprs[st->value.i];
    int64_t zero;
    if (st->kind != KN_STORE || st->dest.kind != REF_BUFFER || v->op != KX_LOCAL || v->local != m->c
        || s->p->buffers[st->dest.id].type != m->type || s->p->buffers[st->dest.id].kind == BUF_SLOT)
        return false;
    if (m->sum ? !(kx_is_int(s->p, st->dest.row, &zero) && zero == 0) : s->p->exprs[st->dest.row.i].op != KX_ROW)
        return false;
    dim_table *t = s->p->layer->dims;
    dim all = dim_const(t, 1), rows = dim_of(s, m->m), columns = dim_of(s, m->n);
    bool same = true, turned = m->sum && kdim_is(m->batch, 1);
    for (uint32_t i = 0; i < loops->n_loops; i++) {
        kdim from, to;
        all = dim_mul(t, all, dim_of(s, loops->loops[i].extent));
        if (loops->loops[i].reduce || !kx_stride(s->ask, v->a, loops->loops[i].var, &from) || !kx_stride(s->ask, st->dest.offset, loops->loops[i].var, &to))
            return false;
        dim f = kdim_dim(s->ask, from), g = kdim_dim(s->ask, to);
        same &= equal(s, f, g);
        turned &= equal(s, dim_mul(t, f, rows), g) || equal(s, f, dim_mul(t, g, columns));
    }
    kdim first;
    if (!equal(s, all, dim_of(s, s->k->locals[m->c].elems)) || !at_zero(s, v->a, &first) || !kdim_is(first, 0) || !at_zero(s, st->dest.offset, &h->at))
        return false;
    h->transposed = !same && turned;
    return same || (turned && kdim_is(h->at, 0));
}

static void find_copy(splitter *s, knode *const *body, uint32_t n, const kgemm *m, home *h)
{
    for (uint32_t i = 0; i < n && !h->placed; i++) {
        if (body[i]->kind == KN_ROWS)
            find_copy(s, body[i]->body, body[i]->n_body, m, h);
        for (uint32_t j = 0; body[i]->kind == KN_FOR && j < body[i]->n_body && !h->placed; j++) {
            const knode *st = body[i]->body[j];
            if (!is_copy(s, body[i], st, m, h))
                continue;
            h->placed = true;
            h->store = st;
            h->buffer = st->dest.id;
            h->operand = (cuda_operand){.id = h->buffer, .at = h->at};
        }
    }
}

/* Memory of the launch, as one more buffer of the copy. */
static bool add_own(splitter *s, cuda_own o, cuda_operand *operand, uint32_t *buffer)
{
    if (s->r->n_own == CUDA_OWN)
        return false;
    *operand = (cuda_operand){.is_own = true, .id = s->r->n_own, .at = kdim_int(0)};
    s->r->own[s->r->n_own++] = o;
    *buffer = kplan_add_buffer(s->out, (kbuffer){.kind = BUF_WORK, .type = o.type, .rows = s->k->rows, .elems = o.elems, .name = "own"});
    return true;
}

/* Twice the same buffer, or the same with the result of another shape: only the first counts. */
static bool find_home(splitter *s, const kgemm *m)
{
    home *h = &s->homes[m->c];
    if (h->placed)
        return !h->transposed || m->sum;
    find_copy(s, s->k->body->body, s->k->body->n_body, m, h);
    if (h->placed)
        return true;
    h->at = kdim_int(0);
    h->transposed = false;
    h->placed = add_own(s, (cuda_own){m->sum ? CUDA_ONE_ROW : CUDA_ROWS, s->k->locals[m->c].elems, m->type}, &h->operand, &h->buffer);
    return h->placed;
}

/* ---- what is left of the kernel ------------------------------------------------------------------------ */

static bool is_home(const splitter *s, uint32_t local) { return s->homes[local].placed && !s->homes[local].bad; }

/* The results' elements are loaded from where they are made. A transposed one is nowhere read (is_split). */
static kx moved(splitter *s, kx x)
{
    for (uint32_t l = 1; kx_is(x) && l < s->k->n_locals; l++)
        if (is_home(s, l))
            x = kx_subst_local(s->out, x, l, s->homes[l].buffer, s->k->rows.kind == ROWS_ONE ? kx_int(s->out, 0) : kx_row(s->out),
                               kx_dimval(s->out, s->homes[l].at));
    return x;
}

static uint32_t rest_of(splitter *s, knode *const *body, uint32_t n, knode ***out);
static uint32_t rest_of_blocks(splitter *s, const knode *w, knode ***out);

static knode *rest_of_gemm(splitter *s, const knode *n)
{
    if (is_taken(s, n))
        return NULL;
    knode *c = NEW(s->mem, knode);
    kgemm *m = NEW(s->mem, kgemm);
    *c = *n;
    *m = *n->gemm;
    c->gemm = m;
    m->group = moved(s, m->group);
    if (!m->a_is_buffer && is_home(s, m->a)) {
        const home *h = &s->homes[m->a];
        m->a_is_buffer = true;
        m->a = h->buffer;
        m->a_offset = kx_iadd(s->out, kx_is(m->a_offset) ? m->a_offset : kx_int(s->out, 0), kx_dimval(s->out, h->at));
    }
    return c;
}

static knode *rest_of_node(splitter *s, const knode *n)
{
    if (n->kind == KN_GEMM)
        return rest_of_gemm(s, n);
    bool statement = n->kind == KN_STORE || n->kind == KN_ACCUM;
    if (statement && n->dest.kind == REF_LOCAL && is_home(s, n->dest.id))
        return NULL;                            /* to zero, to merge pieces */
    for (uint32_t l = 1; statement && l < s->k->n_locals; l++)
        if (is_home(s, l) && s->homes[l].store == n)
            return NULL;
    knode *c = NEW(s->mem, knode);
    *c = *n;
    c->value = moved(s, n->value);
    if (statement) {
        c->dest.row = moved(s, n->dest.row);
        c->dest.offset = moved(s, n->dest.offset);
        return c;
    }
    c->n_body = n->kind == KN_BLOCKS && s->before ? rest_of_blocks(s, n, &c->body) : rest_of(s, n->body, n->n_body, &c->body);
    c->n_init = rest_of(s, n->init, n->n_init, &c->init);
    c->n_combine = rest_of(s, n->combine, n->n_combine, &c->combine);
    return c->n_body || n->kind == KN_SEQ ? c : NULL;
}

/* Without the members' values that were for the products alone. */
static uint32_t rest_of_blocks(splitter *s, const knode *w, knode ***out)
{
    bool *kept = NEW_N(s->mem, bool, w->n_body + 1);
    marks m = marks_make(s->mem, s->p, s->k);
    uint32_t n = 0;
    knode **list = NEW_N(s->mem, knode *, w->n_body + 1);
    for (uint32_t i = w->n_body; i-- > 0;) {
        marks own = marks_make(s->mem, s->p, s->k);
        mark_nodes(&own, &w->body[i], 1);
        kept[i] = !is_taken(s, w->body[i]) && !s->pure[i];
        for (uint32_t l = 1; l < s->k->n_locals && s->pure[i]; l++)
            kept[i] |= own.writes[l] && m.reads[l];
        if (kept[i])
            mark_nodes(&m, &w->body[i], 1);
    }
    for (uint32_t i = 0; i < w->n_body; i++)
        if (kept[i])
            list[n++] = w->body[i];
    return rest_of(s, list, n, out);
}

static uint32_t rest_of(splitter *s, knode *const *body, uint32_t n, knode ***out)
{
    uint32_t left = 0;
    knode **list = n ? NEW_N(s->mem, knode *, n) : NULL;
    for (uint32_t i = 0; i < n; i++) {
        knode *c = rest_of_node(s, body[i]);
        if (c)
            list[left++] = c;
    }
    *out = list;
    return left;
}

static knode *find_walk(knode *const *body, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (body[i]->kind == KN_WALK || body[i]->kind == KN_BLOCKS)
            return body[i];
        knode *in = find_walk(body[i]->body, body[i]->n_body);
        if (in)
            return in;
    }
    return NULL;
}

/* Without products there is no need of tiles: the parts of a row become one. */
static void untile(splitter *s, kkernel *k)
{
    knode *top = k->body;
    uint32_t n = 0;
    for (uint32_t i = 0; i < top->n_body; i++) {
        if (top->body[i]->kind != KN_ROWS)
            return;
        n += top->body[i]->n_body;
    }
    knode **all = NEW_N(s->mem, knode *, n + 1), *rows = NEW(s->mem, knode);
    n = 0;
    for (uint32_t i = 0; i < top->n_body; i++)
        for (uint32_t j = 0; j < top->body[i]->n_body; j++)
            all[n++] = top->body[i]->body[j];
    *rows = (knode){.kind = KN_ROWS, .where = top->body[0]->where, .body = all, .n_body = n};
    top->body[0] = rows;
    top->n_body = 1;
    k->tile = 1;
    for (uint32_t l = 1; l < k->n_locals; l++)
        k->locals[l].tiled = false;
}

static kkernel *with_body(splitter *s, knode *top, const char *what)
{
    kkernel *k = NEW(s->mem, kkernel);
    *k = *s->k;
    k->name = arena_printf(s->mem, "%s_%s", s->k->name ? s->k->name : "kernel", what);
    k->locals = NEW_N(s->mem, klocal, k->n_locals + 1);
    if (k->n_locals)
        memcpy(k->locals, s->k->locals, k->n_locals * sizeof *k->locals);
    k->body = top;
    k->walk = find_walk(top->body, top->n_body);
    return k;
}

/* What another part has is no local here. */
static void drop_unused(splitter *s, kkernel *k)
{
    marks m = marks_make(s->mem, s->out, k);
    mark_nodes(&m, k->body->body, k->body->n_body);
    for (uint32_t l = 1; l < k->n_locals; l++)
        if (!m.reads[l] && !m.writes[l])
            k->locals[l] = (klocal){.scope = SCOPE_ROW, .type = k->locals[l].type, .elems = kdim_int(0), .name = k->locals[l].name};
}

static kkernel *after_of(splitter *s)
{
    knode *top = rest_of_node(s, s->k->body);
    if (!top->n_body)
        return NULL;
    kkernel *k = with_body(s, top, "after");
    drop_unused(s, k);
    untile(s, k);
    return k;
}

/* ---- operands of sums ---------------------------------------------------------------------------------- */

/* The members become the rows. */
static kx by_row(splitter *s, kx x)
{
    return kx_is(x) ? kx_subst_member(s->out, kx_subst_row(s->out, x, kx_int(s->out, 0)), kx_row(s->out)) : x;
}

static knode *as_row(splitter *s, const knode *n)
{
    knode *c = NEW(s->mem, knode);
    *c = *n;
    c->value = by_row(s, n->value);
    c->dest.row = by_row(s, n->dest.row);
    c->dest.offset = by_row(s, n->dest.offset);
    c->n_prefetch = 0;
    c->body = n->n_body ? NEW_N(s->mem, knode *, n->n_body) : NULL;
    for (uint32_t i = 0; i < n->n_body; i++)
        c->body[i] = as_row(s, n->body[i]);
    if (n->kind == KN_MEMBERS)
        c->kind = KN_ROWS;
    if (n->kind == KN_GEMM) {
        c->gemm = NEW(s->mem, kgemm);
        *c->gemm = *n->gemm;
        c->gemm->group = by_row(s, n->gemm->group);
    }
    return c;
}

static knode *copy_out(splitter *s, kkernel *k, uint32_t local, uint32_t buffer)
{
    uint32_t var = kkernel_new_var(k);
    kloop loop = {.var = var, .extent = s->k->locals[local].elems};
    kx at = kx_var(s->out, var);
    knode *st = kn_store(s->out, kref_buffer(buffer, kx_row(s->out), at), kx_local(s->out, k, local, at));
    knode *f = kn_for1(s->out, &loop, 1, st);
    return kn_rows(s->out, &f, 1);
}

/* The operand as it lies, or, a member's local, in memory that `before` fills; `made`: by local, which have been. */
static bool operand_of(splitter *s, bool is_local, uint32_t id, kx at, uint32_t *made, cuda_operand *out)
{
    kdim offset = kdim_int(0);
    if (kx_is(at) && !kx_is_dim(s->p, at, &offset))
        return false;
    *out = (cuda_operand){.id = id, .at = offset};
    if (!is_local)
        return true;
    const klocal *l = &s->k->locals[id];
    if (!made[id]) {
        uint32_t buffer;
        if (!add_own(s, (cuda_own){CUDA_MEMBERS, l->elems, l->type}, out, &buffer))
            return false;
        made[id] = buffer;
    }
    *out = (cuda_operand){.is_own = true, .id = made[id] - s->r->n_buffers, .at = offset};
    return true;
}

static kkernel *before_of(splitter *s, const uint32_t *made)
{
    const knode *w = s->k->walk;
    uint32_t n = 0;
    knode **list = NEW_N(s->mem, knode *, w->n_body + s->k->n_locals + 1), *top = NEW(s->mem, knode);
    kkernel *k = with_body(s, top, "before");
    bool products = false;
    for (uint32_t i = 0; i < w->n_body; i++) {
        if (!s->pure[i])
            continue;
        products |= w->body[i]->kind == KN_GEMM;
        list[n++] = as_row(s, w->body[i]);
    }
    for (uint32_t l = 1; l < s->k->n_locals; l++)
        if (made[l])
            list[n++] = copy_out(s, k, l, made[l]);
    *top = (knode){.kind = KN_SEQ, .body = list, .n_body = n};
    k->fiber = (mp_fiber){FIBER_NONE, 0};
    k->walk = NULL;
    k->tile = 32;
    drop_unused(s, k);
    for (uint32_t l = 1; l < k->n_locals; l++) {
        k->locals[l].scope = SCOPE_ROW;
        k->locals[l].accumulator = false;
        k->locals[l].tiled = products && !kdim_is(k->locals[l].elems, 0);
    }
    untile(s, k);
    return k;
}

/* ---- all of it ----------------------------------------------------------------------------------------- */

static bool add_product(splitter *s, const kgemm *m, uint32_t *made)
{
    home *h = &s->homes[m->c];
    if (!find_home(s, m))
        return false;
    bool first = true;
    for (uint32_t i = 0; s->taken[i] != m; i++)
        first &= s->taken[i]->c != m->c;
    cuda_product q = {.sum = m->sum, .accumulate = !first, .transposed = h->transposed, .type = m->type, .m = m->m, .n = m->n, .k = m->k,
                      .batch = m->batch, .a_m = m->a_m, .a_k = m->a_k, .b_k = m->b_k, .b_n = m->b_n, .a_batch = m->a_batch,
                      .b_batch = m->b_batch, .c_batch = m->c_batch, .c = h->operand};
    if (!operand_of(s, !m->a_is_buffer, m->a, m->a_offset, made, &q.a) || !operand_of(s, m->b_is_local, m->b, m->b_offset, made, &q.b))
        return false;
    s->r->products[s->r->n_products++] = q;
    return true;
}

/* A transposed result must not be read but by the copy that it is. */
static bool reads_local(const splitter *s, knode *const *body, uint32_t n, uint32_t local, const knode *but)
{
    for (uint32_t i = 0; i < n; i++) {
        const knode *k = body[i];
        if (k == but)
            continue;
        if (k->kind == KN_GEMM && ((!k->gemm->a_is_buffer && k->gemm->a == local) || (k->gemm->b_is_local && k->gemm->b == local)))
            return true;
        const kx all[] = {k->value, k->dest.row, k->dest.offset};
        for (int e = 0; e < 3; e++)
            if (kx_is(all[e]) && !kx_same(kx_subst_local(s->ask, all[e], local, s->homes[local].buffer, kx_row(s->ask), kx_int(s->ask, 0)), all[e]))
                return true;
        if (reads_local(s, k->body, k->n_body, local, but))
            return true;
    }
    return false;
}

static bool is_split(splitter *s)
{
    uint32_t *made = NEW_N(s->mem, uint32_t, s->k->n_locals + 1);
    for (uint32_t i = 0; i < s->n_taken; i++)
        if (!add_product(s, s->taken[i], made))
            return false;
    for (uint32_t l = 1; l < s->k->n_locals; l++)
        if (is_home(s, l) && s->homes[l].transposed && reads_local(s, s->k->body->body, s->k->body->n_body, l, s->homes[l].store))
            return false;
    bool any = false;
    for (uint32_t l = 1; l < s->k->n_locals; l++)
        any |= made[l] != 0;
    s->r->before = any ? before_of(s, made) : NULL;
    s->r->after = after_of(s);
    return s->out->n_dims == s->p->n_dims;      /* new ones would have no slot at run time */
}

bool blas_split_kernel(arena *mem, const kplan *p, uint32_t kernel, blas_split *out)
{
    splitter s = {.mem = mem, .p = p, .k = &p->kernels[kernel], .r = out};
    *out = (blas_split){.n_buffers = p->n_buffers};
    s.written = NEW_N(mem, bool, p->n_buffers + 1);
    s.homes = NEW_N(mem, home, s.k->n_locals + 1);
    find_written(&s, s.k->body->body, s.k->body->n_body);
    find_products(&s);
    if (!s.n_taken)
        return false;
    s.ask = kplan_copy(mem, p);
    s.out = out->plan = kplan_copy(mem, p);
    return is_split(&s);
}
