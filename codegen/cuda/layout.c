/* How each loop nest of a kernel is spread over the lanes of a group, and where each local is. See cuda_gen.h.
 *
 * The lanes of a group hold a row's elements in chunks: element f of a nest is held by lane f / vec % lanes. Locals that all nests
 * read and write just where their elements are held are registers; so are small ones that every lane has whole, and the scalars of heads,
 * which the lanes of a head have together. Everything else lies in memory of the group. */
#include "codegen/cuda/cuda_gen.h"

#include <string.h>

/* ---- integers at points -------------------------------------------------------------------------------- */

bool cg_int_at(const cgen *g, kx x, const int64_t *var, int64_t *out)
{
    const kexpr *e = &g->p->exprs[x.i];
    int64_t a, b;
    switch ((kx_op)e->op) {
    case KX_INT: *out = e->value.i; return true;
    case KX_DIM: *out = e->dim.value; return e->dim.is_const;
    case KX_VAR: *out = var[e->var]; return *out >= 0;
    case KX_IADD: case KX_ISUB: case KX_IMUL: case KX_IDIV: case KX_IMOD:
        if (!cg_int_at(g, e->a, var, &a) || !cg_int_at(g, e->b, var, &b))
            return false;
        switch ((kx_op)e->op) {
        case KX_IADD: return !__builtin_add_overflow(a, b, out);
        case KX_ISUB: return !__builtin_sub_overflow(a, b, out);
        case KX_IMUL: return !__builtin_mul_overflow(a, b, out);
        default: break;
        }
        if (a < 0 || b < 1)
            return false;
        *out = e->op == KX_IDIV ? a / b : a % b;
        return true;
    case KX_ROW: case KX_MEMBER: case KX_STEP: case KX_ILOAD: case KX_BUCKET: case KX_IDX: case KX_ISEL: case KX_NUM:
    case KX_REALARG: case KX_TRAINING: case KX_LOAD: case KX_LOCAL: case KX_OTHER: case KX_FROM_INT: case KX_MAP:
    case KX_SELECT: case KX_RANDOM: break;
    }
    return false;
}

/* Values of the axes from..to of a nest at element f of them. */
static void set_vars(const nest *n, int from, int to, int64_t f, int64_t *var)
{
    for (int i = to - 1; i >= from; i--) {
        var[n->at[i].var] = f % n->at[i].extent.value;
        f /= n->at[i].extent.value;
    }
}

/* ---- nests --------------------------------------------------------------------------------------------- */

static int64_t size_of(const nest *n, int from, int to)
{
    int64_t size = 1;
    for (int i = from; i < to; i++)
        if (!n->at[i].extent.is_const || __builtin_mul_overflow(size, n->at[i].extent.value, &size) || size > INT32_MAX)
            return -1;
    return size;
}

static void add_nest(cgen *g, const knode *node, uint32_t cap)
{
    if (g->n_nests == cap)
        return;
    nest *n = &g->nests[g->n_nests++];
    *n = (nest){.node = node, .body = node->body, .n_body = node->kind == KN_FOR ? node->n_body : 0};
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < node->n_loops; i++) {
            const kloop *l = &node->loops[i];
            bool reduce = l->reduce && node->kind == KN_FOR;
            if (reduce == (pass == 1) && !kdim_is(l->extent, 1))
                n->at[n->n++] = (axis){l->var, l->extent, reduce};
        }
        if (pass == 0)
            n->n_keep = n->n;
    }
    n->keep = size_of(n, 0, n->n_keep);
    n->reduced = size_of(n, n->n_keep, n->n);
}

static uint32_t count_nodes(knode *const *body, uint32_t n)
{
    uint32_t count = n;
    for (uint32_t i = 0; i < n; i++)
        count += count_nodes(body[i]->body, body[i]->n_body) + count_nodes(body[i]->init, body[i]->n_init)
               + count_nodes(body[i]->combine, body[i]->n_combine);
    return count;
}

static void find_nests(cgen *g, knode *const *body, uint32_t n, uint32_t cap)
{
    for (uint32_t i = 0; i < n; i++) {
        const knode *k = body[i];
        if (k->kind == KN_FOR || k->kind == KN_IFANY || k->kind == KN_STORE || k->kind == KN_ACCUM)
            add_nest(g, k, cap);
        if (k->kind == KN_FOR)
            continue;
        find_nests(g, k->init, k->n_init, cap);
        find_nests(g, k->combine, k->n_combine, cap);
        find_nests(g, k->body, k->n_body, cap);
    }
}

const nest *cg_nest(cgen *g, const knode *node)
{
    for (uint32_t i = 0; i < g->n_nests; i++)
        if (g->nests[i].node == node)
            return &g->nests[i];
    return NULL;
}

/* ---- the layout ---------------------------------------------------------------------------------------- */

static bool power_of_two(int64_t x) { return x > 0 && (x & (x - 1)) == 0; }

int cg_chunks(const cgen *g, int64_t total)
{
    int64_t a_chunk = (int64_t)g->lanes * g->vec;
    return (int)((total + a_chunk - 1) / a_chunk);
}

static bool fits(const cgen *g, int64_t total) { return total > 0 && total <= (int64_t)g->lanes * CG_SLOTS; }

static bool in_members(const cgen *g, const knode *node);

/* The size that most of the work has: nests count by their size, those of members most. */
static void choose_total(cgen *g)
{
    int64_t best_score = 0;
    for (uint32_t i = 0; i < g->n_nests; i++) {
        int64_t size = g->nests[i].keep < 0 || g->nests[i].reduced < 0 ? -1 : g->nests[i].keep * g->nests[i].reduced, score = 0;
        if (size <= 1 || size > 32 * CG_SLOTS)
            continue;
        for (uint32_t j = 0; j < g->n_nests; j++) {
            const nest *n = &g->nests[j];
            if (n->keep > 0 && n->reduced > 0 && n->keep * n->reduced == size)
                score += size * (in_members(g, n->node) ? 8 : 1);
        }
        if (score > best_score || (score == best_score && size > g->total)) {
            g->total = size;
            best_score = score;
        }
    }
}

static void choose_heads(cgen *g)
{
    int best_votes = 0;
    g->heads = 1;
    for (uint32_t i = 0; i < g->n_nests && g->total; i++) {
        int64_t h = g->nests[i].keep;
        if (h <= 1 || h >= g->total || g->total % h)
            continue;
        int votes = 0;
        for (uint32_t j = 0; j < g->n_nests; j++) {
            const nest *n = &g->nests[j];
            votes += n->keep == h && (n->reduced == 1 || n->reduced == g->total / h);
        }
        if (votes > best_votes) {
            best_votes = votes;
            g->heads = h;
        }
    }
}

static bool holds_f64(const cgen *g, kx x)
{
    return kx_is(x) && g->p->exprs[x.i].type == KT_F64;
}

/* Elements side by side that a lane holds: 16 bytes of them where widths allow. */
static void choose_vector(cgen *g)
{
    g->vec = 1;
    if (!g->total)
        return;
    int64_t width = g->total / g->heads;
    bool wide = false;
    for (uint32_t i = 0; i < g->n_nests; i++)
        for (uint32_t s = 0; s < g->nests[i].n_body; s++)
            wide |= g->nests[i].keep == g->total && holds_f64(g, g->nests[i].body[s]->value);
    g->vec = width % 4 == 0 && !wide ? 4 : width % 2 == 0 ? 2 : 1;
}

static void choose_lanes(cgen *g)
{
    int64_t lanes_wanted = g->total ? (g->total + g->vec - 1) / g->vec : 1;
    bool open = false;
    for (uint32_t i = 0; i < g->n_nests; i++)
        open |= g->nests[i].keep < 0 || g->nests[i].reduced < 0 || g->nests[i].keep * g->nests[i].reduced > 64;
    if (open && lanes_wanted < 32)
        lanes_wanted = 32;
    g->lanes = 1;
    while (g->lanes < 32 && g->lanes < lanes_wanted)
        g->lanes *= 2;
}

/* Do whole lanes, or whole chunks, belong to one head? */
static bool heads_fit(const cgen *g)
{
    int64_t width = g->heads > 1 ? g->total / g->heads : 0, a_chunk = (int64_t)g->lanes * g->vec;
    return g->heads > 1 && width % g->vec == 0 && fits(g, g->total)
        && (width % a_chunk == 0 || (a_chunk % width == 0 && power_of_two(width / g->vec)))
        && (g->total % a_chunk == 0 || g->total < a_chunk);
}

static nest_mode mode_of(const cgen *g, const nest *n)
{
    bool heads = heads_fit(g);
    if (n->keep < 0 || n->reduced < 0)
        return n->n_keep ? NEST_STRIDE : NEST_STRIDE_SUM;
    if (heads && n->keep == g->heads && n->reduced == 1)
        return NEST_HEADS;
    if (heads && n->keep == g->heads && n->reduced == g->total / g->heads)
        return NEST_HEADS_SUM;
    if (n->keep * n->reduced == 1 || (n->keep <= CG_REPEAT && n->reduced <= CG_REPEAT && n->keep * n->reduced != g->total))
        return NEST_REPEAT;
    if (g->lanes == 1 && n->keep * n->reduced <= CG_SLOTS)
        return NEST_REPEAT;
    if (n->keep == 1)
        return fits(g, n->reduced) ? NEST_LANES_SUM : NEST_STRIDE_SUM;
    return fits(g, n->keep) ? NEST_LANES : NEST_STRIDE;
}

static int64_t spread(const cgen *g, const nest *n)
{
    switch (n->mode) {
    case NEST_LANES: return n->keep;
    case NEST_HEADS: case NEST_HEADS_SUM: return g->total;
    case NEST_LANES_SUM: return n->reduced;
    case NEST_REPEAT: case NEST_STRIDE: case NEST_STRIDE_SUM: break;
    }
    return 0;
}

/* ---- places of locals ---------------------------------------------------------------------------------- */

int64_t cg_local_elems(const cgen *g, uint32_t local)
{
    kdim d = g->k->locals[local].elems;
    return d.is_const ? d.value : -1;
}

/* Is the offset element f of the outer `axes` axes, whatever the others? */
static bool is_element(const cgen *g, const nest *n, kx offset, int axes, int64_t *var)
{
    int64_t total = size_of(n, 0, n->n), inner = size_of(n, axes, n->n), at;
    if (total < 1 || total > 32 * CG_SLOTS)
        return false;
    for (uint32_t i = 0; i < g->k->n_vars; i++)
        var[i] = -1;
    for (uint32_t i = 0; i < n->node->n_loops; i++)
        if (kdim_is(n->node->loops[i].extent, 1))
            var[n->node->loops[i].var] = 0;
    bool ok = true;
    for (int64_t f = 0; f < total && ok; f++) {
        set_vars(n, 0, n->n, f, var);
        ok = cg_int_at(g, offset, var, &at) && at == f / inner;
    }
    return ok;
}

static int axes_of(const nest *n, int64_t size)
{
    int64_t s = 1;
    int i = 0;
    while (i < n->n && s < size)
        s *= n->at[i++].extent.value;
    return s == size ? i : -1;
}

/* Which ways to hold the local does one access leave? Bits 1 << storage. */
static unsigned allowed(cgen *g, const nest *n, uint32_t local, kx offset, bool write, int64_t *var)
{
    unsigned ways = 1u << IN_ROOM;
    int64_t elems = cg_local_elems(g, local), at;
    if (elems < 0)
        return ways;
    bool spread_out = n->mode != NEST_REPEAT && n->mode != NEST_STRIDE && n->mode != NEST_STRIDE_SUM;
    if (spread_out && elems == n->total) {
        int axes = n->mode == NEST_LANES ? n->n_keep : n->n;
        bool mine = n->mode != NEST_HEADS && (n->mode == NEST_LANES || !write);
        if (mine && axes == n->n && is_element(g, n, offset, axes, var))
            ways |= 1u << IN_LANES;
        if (mine && axes < n->n) {              /* reduced loops inside: the offset must not move with them */
            nest outer = *n;
            outer.n = axes;
            if (is_element(g, &outer, offset, axes, var))
                ways |= 1u << IN_LANES;
        }
    }
    if (heads_fit(g) && elems == g->heads && n->total == g->total && spread_out && n->mode != NEST_LANES_SUM) {
        int axes = n->mode == NEST_LANES ? axes_of(n, g->heads) : n->n_keep;
        if (axes >= 0 && !(n->mode == NEST_LANES && (write || n->n > n->n_keep)) && is_element(g, n, offset, axes, var))
            ways |= 1u << IN_HEADS;
    }
    if (elems <= (g->lanes == 1 ? CG_SLOTS : CG_REPEAT)) {
        bool repeat = n->mode == NEST_REPEAT;
        for (uint32_t i = 0; i < g->k->n_vars; i++)
            var[i] = -1;
        for (uint32_t i = 0; i < n->node->n_loops; i++)
            if (repeat || kdim_is(n->node->loops[i].extent, 1))
                var[n->node->loops[i].var] = 0;
        bool fixed = cg_int_at(g, offset, var, &at);
        if (fixed && (!write || repeat || n->mode == NEST_LANES_SUM || n->mode == NEST_STRIDE_SUM))
            ways |= 1u << IN_ALL;
    }
    return ways;
}

static unsigned expr_ways(cgen *g, const nest *n, kx x, uint32_t local, int64_t *var, uint8_t *seen)
{
    if (!kx_is(x) || seen[x.i])
        return ~0u;
    seen[x.i] = 1;
    const kexpr *e = &g->p->exprs[x.i];
    unsigned ways = expr_ways(g, n, e->a, local, var, seen) & expr_ways(g, n, e->b, local, var, seen)
                  & expr_ways(g, n, e->c, local, var, seen);
    if ((e->op == KX_LOCAL || e->op == KX_IDX) && e->local == local)
        ways &= allowed(g, n, local, e->a, false, var);
    return ways;
}

static unsigned nest_ways(cgen *g, const nest *n, uint32_t local, int64_t *var, uint8_t *seen)
{
    unsigned ways = ~0u;
    memset(seen, 0, g->p->n_exprs);
    const knode *self = n->node;
    knode *const *body = n->body;
    uint32_t n_body = n->n_body;
    if (self->kind == KN_IFANY)
        ways &= expr_ways(g, n, self->value, local, var, seen);
    if (self->kind == KN_STORE || self->kind == KN_ACCUM) {
        body = (knode *const *)&n->node;
        n_body = 1;
    }
    for (uint32_t i = 0; i < n_body; i++) {
        const knode *s = body[i];
        ways &= expr_ways(g, n, s->value, local, var, seen) & expr_ways(g, n, s->dest.offset, local, var, seen)
              & expr_ways(g, n, s->dest.row, local, var, seen);
        if (s->dest.kind == REF_LOCAL && s->dest.id == local)
            ways &= allowed(g, n, local, s->dest.offset, true, var);
    }
    return ways;
}

static bool contains(knode *const *body, uint32_t n, const knode *what)
{
    for (uint32_t i = 0; i < n; i++)
        if (body[i] == what || contains(body[i]->body, body[i]->n_body, what) || contains(body[i]->init, body[i]->n_init, what)
            || contains(body[i]->combine, body[i]->n_combine, what))
            return true;
    return false;
}

static bool in_members(const cgen *g, const knode *node)
{
    return g->k->walk && contains(g->k->walk->body, g->k->walk->n_body, node);
}

static storage best_way(unsigned ways)
{
    return ways & 1u << IN_ALL ? IN_ALL : ways & 1u << IN_HEADS ? IN_HEADS : ways & 1u << IN_LANES ? IN_LANES : IN_ROOM;
}

/* Expressions that nobody asks where they are evaluated: groups of products, rows of prefetches, offsets. */
static bool read_elsewhere(cgen *g, knode *const *body, uint32_t n, uint32_t local, int64_t *var, uint8_t *seen)
{
    static const nest none = {.mode = NEST_STRIDE, .keep = -1, .reduced = -1};
    for (uint32_t i = 0; i < n; i++) {
        const knode *k = body[i];
        if (k->kind == KN_GEMM) {
            memset(seen, 0, g->p->n_exprs);
            const kgemm *m = k->gemm;
            nest at = none;
            knode empty = {.kind = KN_FOR};
            at.node = &empty;
            unsigned ways = expr_ways(g, &at, m->group, local, var, seen) & expr_ways(g, &at, m->a_offset, local, var, seen)
                          & expr_ways(g, &at, m->b_offset, local, var, seen) & expr_ways(g, &at, m->c_offset, local, var, seen);
            if (ways != ~0u || (!m->a_is_buffer && m->a == local) || (m->b_is_local && m->b == local) || m->c == local)
                return true;
        }
        if (read_elsewhere(g, k->body, k->n_body, local, var, seen))
            return true;
    }
    return false;
}

static void place_locals(cgen *g)
{
    g->at = NEW_N(g->mem, local_place, g->k->n_locals + 1);
    int64_t *var = NEW_N(g->mem, int64_t, g->k->n_vars + 1);
    uint8_t *seen = NEW_N(g->mem, uint8_t, g->p->n_exprs + 1);
    const knode *walk = g->k->walk && g->k->walk->kind == KN_WALK ? g->k->walk : NULL;
    for (uint32_t l = 1; l < g->k->n_locals; l++) {
        const klocal *it = &g->k->locals[l];
        unsigned ways = ~0u, in_walk = ~0u;
        if (kdim_is(it->elems, 0)) {                    /* in another part of a kernel that is split (blas.h) */
            g->at[l].kind = g->at[l].walk_kind = IN_ALL;
            continue;
        }
        for (uint32_t i = 0; i < g->n_nests; i++) {
            unsigned here = nest_ways(g, &g->nests[i], l, var, seen);
            ways &= here;
            if (walk && contains((knode *const *)&walk, 1, g->nests[i].node))
                in_walk &= here;
        }
        bool shared = it->tiled || read_elsewhere(g, g->k->body->body, g->k->body->n_body, l, var, seen);
        g->at[l].kind = shared || ways == ~0u ? IN_ROOM : best_way(ways);
        g->at[l].walk_kind = g->at[l].kind == IN_ROOM && it->accumulator && walk && in_walk != ~0u ? best_way(in_walk)
                                                                                              : g->at[l].kind;
    }
}

storage cg_storage(const cgen *g, uint32_t local)
{
    bool walks = g->in_walk && !g->in_blocks;
    return walks ? g->at[local].walk_kind : g->at[local].kind;
}

uint32_t cg_copies(const cgen *g, uint32_t local)
{
    const klocal *l = &g->k->locals[local];
    if (!l->tiled || !g->by_block)
        return (uint32_t)g->groups;
    if (l->scope == SCOPE_ROW)
        return g->tile;
    return g->k->walk && g->k->walk->kind == KN_BLOCKS ? g->block : (uint32_t)g->groups;
}

/* ---- other facts --------------------------------------------------------------------------------------- */

bool cg_writes_rows(const cgen *g, knode *const *body, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const knode *k = body[i];
        if ((k->kind == KN_STORE || k->kind == KN_ACCUM) && k->dest.kind == REF_LOCAL
            && g->k->locals[k->dest.id].scope == SCOPE_ROW)
            return true;
        if (cg_writes_rows(g, k->body, k->n_body))
            return true;
    }
    return false;
}

/* A piece leaves what the rows function writes anyway: stores to buffers outside of the walk. */
bool cg_left_to_rows(const cgen *g, const knode *n)
{
    if (!g->piece || g->in_walk)
        return false;
    if (n->kind != KN_FOR)
        return n->dest.kind == REF_BUFFER;
    for (uint32_t i = 0; i < n->n_body; i++)
        if (n->body[i]->dest.kind != REF_BUFFER)
            return false;
    return n->n_body > 0;
}

static bool needs_block(const cgen *g)
{
    for (uint32_t i = 1; i < g->k->n_locals; i++)
        if (g->k->locals[i].tiled)
            return true;
    for (uint32_t i = 0; i < g->k->body->n_body; i++)
        if (g->k->body->body[i]->kind == KN_GEMM || g->k->body->body[i]->kind == KN_BLOCKS)
            return true;
    return false;
}

void cg_layout(cgen *g)
{
    const knode *top = g->k->body;
    uint32_t cap = count_nodes(top->body, top->n_body);
    g->nests = NEW_N(g->mem, nest, cap + 1);
    find_nests(g, top->body, top->n_body, cap);
    g->by_block = needs_block(g);
    g->threads = g->by_block ? 256 : 128;
    choose_total(g);
    choose_heads(g);
    choose_vector(g);
    choose_lanes(g);
    g->groups = g->threads / g->lanes;
    for (uint32_t i = 0; i < g->n_nests; i++) {
        g->nests[i].mode = mode_of(g, &g->nests[i]);
        g->nests[i].total = spread(g, &g->nests[i]);
    }
    place_locals(g);
    g->tile = g->k->tile > 1 ? g->k->tile : 1;
    g->block = g->k->walk && g->k->walk->kind == KN_BLOCKS ? g->k->walk->block : 1;
    cg_room(g);
}
