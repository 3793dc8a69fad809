/* Consistency of plans: see plan_verify.h. The first fault found is told; the walk ends there. */
#include "compiler/plan/plan_verify.h"

#include <string.h>

#include "compiler/plan/kx.h"

enum { MOST_NESTING = 32 };

typedef struct verifier {
    arena *mem;
    const kplan *p;
    const kkernel *k;
    const char *bad;
    bool *bound;                /* by variable: a loop around binds it */
    uint8_t *needed;            /* by expression */
    const knode *walk;
    bool row, member, combine, blocks;
} verifier;

#define FAIL(v, ...) ((v)->bad = (v)->bad ? (v)->bad : arena_printf((v)->mem, __VA_ARGS__))
#define NAME(v) ((v)->k ? (v)->k->name ? (v)->k->name : "?" : "the plan")

/* ---- expressions --------------------------------------------------------------------------------------- */

static bool is_int(const kplan *p, kx x) { return kx_is(x) && p->exprs[x.i].type == KT_I64; }
static bool is_bool(const kplan *p, kx x) { return kx_is(x) && p->exprs[x.i].type == KT_BOOL; }
static bool is_real(const kplan *p, kx x)
{
    return kx_is(x) && (p->exprs[x.i].type == KT_F32 || p->exprs[x.i].type == KT_F64);
}
static bool same_type(const kplan *p, kx a, kx b)
{
    return kx_is(a) && kx_is(b) && p->exprs[a.i].type == p->exprs[b.i].type;
}

static bool dim_good(const kplan *p, kdim d) { return d.is_const ? d.value >= 0 : d.slot < p->n_dims; }

/* Operands of an operation of class EW. */
static bool map_good(const kplan *p, const kexpr *e)
{
    if (e->map >= OP_N || ir_ops[e->map].cls != CLS_EW)
        return false;
    kx args[3] = {e->a, e->b, e->c};
    for (int i = 0; i < 3; i++)
        if (kx_is(args[i]) != (i < ir_ops[e->map].nargs))
            return false;
    switch ((ir_op)e->map) {
    case OP_BUCKET: case OP_DROPOUT: return false;
    case OP_HAS: return is_int(p, e->a) && e->type == KT_BOOL;
    case OP_LT: case OP_LE: case OP_EQ: case OP_NE: return same_type(p, e->a, e->b) && e->type == KT_BOOL;
    case OP_AND: case OP_OR: return is_bool(p, e->a) && is_bool(p, e->b) && e->type == KT_BOOL;
    case OP_NOT: return is_bool(p, e->a) && e->type == KT_BOOL;
    case OP_WHERE:
        return is_bool(p, e->a) && same_type(p, e->b, e->c) && p->exprs[e->b.i].type == e->type
               && e->type != KT_I64;
    case OP_CAST: return !is_int(p, e->a) && e->type != KT_I64;
    case OP_ADD: case OP_SUB: case OP_MUL: case OP_MUL0: case OP_DIV: case OP_POW: case OP_ATAN2: case OP_MAX: case OP_MIN:
    case OP_NEG: case OP_ABS: case OP_SIGN: case OP_FLOOR: case OP_EXP: case OP_EXPM1: case OP_LOG: case OP_LOG1P:
    case OP_SQRT: case OP_SQRT0: case OP_RSQRT: case OP_SIN: case OP_COS: case OP_TANH: case OP_SIGMOID:
    case OP_SOFTPLUS: case OP_ERF: case OP_RELU: case OP_STOP:
        for (int i = 0; i < ir_ops[e->map].nargs; i++)
            if (!is_real(p, args[i]) || p->exprs[args[i].i].type != e->type)
                return false;
        return true;
    case OP_CONST: case OP_INPUT: case OP_REALARG: case OP_DIMVAL: case OP_IOTA: case OP_INDEGREE:
    case OP_COUNT: case OP_TRAINING: case OP_RSUM: case OP_RMAX: case OP_RMIN: case OP_EINSUM:
    case OP_RESHAPE: case OP_TRANSPOSE: case OP_BROADCAST: case OP_SLICE: case OP_CONCAT: case OP_LOOKUP:
    case OP_ONEHOT_ADD: case OP_ROWS: case OP_UNROWS: case OP_SPREAD: case OP_UNSPREAD: case OP_GATHER:
    case OP_AGG_SUM: case OP_AGG_MAX: case OP_AGG_MIN: case OP_AGG_PROD: case OP_AGG_VAR: case OP_AGG_ANY:
    case OP_AGG_ALL: case OP_AGG_EXPSUM: case OP_AGG_SOFTSUM: case OP_AGG_ARGMAX: case OP_AGG_ARGMIN:
    case OP_POSITION: case OP_SOFTMAX: case OP_MAP_SRC: case OP_MAP_DST: case OP_MAP_SRC_DST:
    case OP_MAP_DST_SRC: case OP_MAP_PREFIX: case OP_MAP_SUFFIX: case OP_MAP_GRAPH: case OP_MAP_UNIT:
    case OP_MAP_INDEX: case OP_MAP_PAIR: case OP_MAP_FIRST: case OP_MAP_SECOND: case OP_STATE: case OP_STEP:
    case OP_FINAL: case OP_STEPS: case OP_RECORD: case OP_RECALL:
    case OP_N: break;
    }
    return false;
}

static bool expr_good(const kplan *p, const kexpr *e)
{
    bool buffer = e->buffer < p->n_buffers;
    switch ((kx_op)e->op) {
    case KX_INT: case KX_VAR: case KX_ROW: case KX_MEMBER: return e->type == KT_I64;
    case KX_STEP: return e->type == KT_I64 && e->var < 2 * p->n_loops;
    case KX_DIM: return e->type == KT_I64 && !e->dim.is_const && dim_good(p, e->dim);
    case KX_IADD: case KX_ISUB: case KX_IMUL: case KX_IDIV:
    case KX_IMOD: return is_int(p, e->a) && is_int(p, e->b) && e->type == KT_I64;
    case KX_ILOAD:
        return is_int(p, e->a) && buffer
               && (p->buffers[e->buffer].type == KT_I32 || p->buffers[e->buffer].type == KT_I64);
    case KX_BUCKET: return is_real(p, e->a) && is_int(p, e->b) && e->type == KT_I64;
    case KX_IDX: return is_int(p, e->a) && e->type == KT_I64;
    case KX_ISEL: return is_bool(p, e->a) && is_int(p, e->b) && is_int(p, e->c) && e->type == KT_I64;
    case KX_NUM: return e->type == KT_F32 || e->type == KT_F64 || e->type == KT_BOOL;
    case KX_REALARG: return e->type == KT_F32 || e->type == KT_F64;
    case KX_TRAINING: return e->type == KT_BOOL;
    case KX_LOAD:
        return is_int(p, e->a) && is_int(p, e->b) && buffer && p->buffers[e->buffer].type != KT_I32
               && p->buffers[e->buffer].type != KT_I64;
    case KX_LOCAL: return is_int(p, e->a) && e->type != KT_I64;
    case KX_OTHER: return is_int(p, e->a);
    case KX_FROM_INT: return is_int(p, e->a) && (e->type == KT_F32 || e->type == KT_F64);
    case KX_MAP: return map_good(p, e);
    case KX_SELECT:
        return is_bool(p, e->a) && same_type(p, e->b, e->c) && !is_int(p, e->b)
               && p->exprs[e->b.i].type == e->type;
    case KX_RANDOM: return is_real(p, e->a) && is_int(p, e->b) && is_int(p, e->c) && e->type == KT_F32;
    }
    return false;
}

static void check_exprs(verifier *v)
{
    const kplan *p = v->p;
    for (uint32_t i = 1; i < p->n_exprs && !v->bad; i++) {
        const kexpr *e = &p->exprs[i];
        if (e->a.i >= i || e->b.i >= i || e->c.i >= i)
            FAIL(v, "expression %u comes before its operands", i);
        else if (!expr_good(p, e))
            FAIL(v, "expression %u (kind %u, operation %u): operands or types do not fit", i, e->op, e->map);
        else if (kx_depth(p, (kx){i}) > KX_MAX_DEPTH)
            FAIL(v, "expression %u is nested more than %d deep", i, KX_MAX_DEPTH);
    }
}

/* Is everything that x reads there at this place? */
static void check_use(verifier *v, kx x, const char *what)
{
    if (!kx_is(x) || v->bad)
        return;
    if (x.i >= v->p->n_exprs) {
        FAIL(v, "%s: %s is no expression", NAME(v), what);
        return;
    }
    memset(v->needed, 0, x.i + 1);
    v->needed[x.i] = 1;
    for (uint32_t i = x.i; i > 0 && !v->bad; i--) {
        if (!v->needed[i])
            continue;
        const kexpr *e = &v->p->exprs[i];
        v->needed[e->a.i] = v->needed[e->b.i] = v->needed[e->c.i] = 1;
        if (e->op == KX_VAR && (e->var >= v->k->n_vars || !v->bound[e->var]))
            FAIL(v, "%s: %s reads variable %u, which no loop around it has", NAME(v), what, e->var);
        else if (e->op == KX_ROW && !v->row)
            FAIL(v, "%s: %s reads the row outside of rows", NAME(v), what);
        else if (e->op == KX_MEMBER && !v->member)
            FAIL(v, "%s: %s reads the member outside of members", NAME(v), what);
        else if (e->op == KX_OTHER && !v->combine)
            FAIL(v, "%s: %s reads a piece's state outside of combine", NAME(v), what);
        if (v->bad || (e->op != KX_LOCAL && e->op != KX_IDX && e->op != KX_OTHER))
            continue;
        if (e->local == 0 || e->local >= v->k->n_locals) {
            FAIL(v, "%s: %s reads local %u of %u", NAME(v), what, e->local, v->k->n_locals);
            continue;
        }
        const klocal *l = &v->k->locals[e->local];
        if ((e->op == KX_OTHER ? (uint8_t)l->type : e->op == KX_IDX ? KT_I64 : e->type) != (uint8_t)l->type)
            FAIL(v, "%s: %s reads local %u (%s) as another type", NAME(v), what, e->local, l->name);
        else if (l->scope == SCOPE_MEMBER && !v->member)
            FAIL(v, "%s: %s reads local %u (%s) outside of members", NAME(v), what, e->local, l->name);
        else if (e->op == KX_OTHER && !l->accumulator)
            FAIL(v, "%s: %s reads local %u (%s) of a piece, but it is no accumulator", NAME(v), what,
                 e->local, l->name);
    }
}

/* ---- statements ---------------------------------------------------------------------------------------- */

static bool reads_var(verifier *v, kx x, uint32_t var) { return kx_is(x) && kx_depends(v->p, x, var); }

static void check_statement(verifier *v, const knode *s, const knode *around)
{
    const kref *d = &s->dest;
    if (s->kind != KN_STORE && s->kind != KN_ACCUM) {
        FAIL(v, "%s: a loop over features holds something else than statements", NAME(v));
        return;
    }
    if (!kx_is(s->value) || !is_int(v->p, d->offset)) {
        FAIL(v, "%s: a statement without value or without offset", NAME(v));
        return;
    }
    check_use(v, s->value, "a value");
    check_use(v, d->offset, "a destination");
    if (d->kind == REF_LOCAL) {
        if (d->id == 0 || d->id >= v->k->n_locals)
            FAIL(v, "%s: a statement writes local %u of %u", NAME(v), d->id, v->k->n_locals);
        else if (v->k->locals[d->id].scope == SCOPE_MEMBER && !v->member)
            FAIL(v, "%s: local %u is written outside of members", NAME(v), d->id);
    } else {
        if (d->id >= v->p->n_buffers || !is_int(v->p, d->row))
            FAIL(v, "%s: a statement writes buffer %u of %u", NAME(v), d->id, v->p->n_buffers);
        check_use(v, d->row, "a destination");
    }
    if (s->kind == KN_ACCUM && s->op != OP_ADD && s->op != OP_MUL && s->op != OP_MAX && s->op != OP_MIN
        && s->op != OP_AND && s->op != OP_OR)
        FAIL(v, "%s: '%s' does not accumulate", NAME(v), ir_ops[s->op].text);
    for (uint32_t i = 0; around && i < around->n_loops && !v->bad; i++) {
        const kloop *l = &around->loops[i];
        bool moves =
            reads_var(v, d->offset, l->var) || (d->kind == REF_BUFFER && reads_var(v, d->row, l->var));
        if (l->reduce && (moves || s->kind != KN_ACCUM))
            FAIL(v, "%s: a statement under a reduced axis must accumulate where that axis does not matter",
                 NAME(v));
        else if (!l->reduce && !moves && !kdim_is(l->extent, 1))
            FAIL(v, "%s: a destination does not follow the axis of variable %u", NAME(v), l->var);
    }
}

/* Sums are held back to the end of their loops: nothing in these may read them. */
static void check_sums(verifier *v, const knode *n)
{
    bool reduced = false;
    for (uint32_t i = 0; i < n->n_loops; i++)
        reduced |= n->loops[i].reduce;
    for (uint32_t i = 0; reduced && i < n->n_body && !v->bad; i++)
        for (uint32_t j = 0; j < n->n_body && !v->bad; j++) {
            if (n->body[i]->dest.kind != REF_LOCAL)
                continue;
            memset(v->needed, 0, n->body[j]->value.i + 1);
            v->needed[n->body[j]->value.i] = 1;
            for (uint32_t x = n->body[j]->value.i; x > 0; x--) {
                const kexpr *e = &v->p->exprs[x];
                if (!v->needed[x])
                    continue;
                v->needed[e->a.i] = v->needed[e->b.i] = v->needed[e->c.i] = 1;
                if ((e->op == KX_LOCAL || e->op == KX_IDX) && e->local == n->body[i]->dest.id)
                    FAIL(v, "%s: a sum over an axis reads local %u, which is summed there", NAME(v),
                         e->local);
            }
        }
}

static void loops_open(verifier *v, const knode *n)
{
    for (uint32_t i = 0; i < n->n_loops; i++) {
        const kloop *l = &n->loops[i];
        if (l->var >= v->k->n_vars || !dim_good(v->p, l->extent))
            FAIL(v, "%s: a loop without variable or extent", NAME(v));
        else if (v->bound[l->var])
            FAIL(v, "%s: a loop inside a loop has its variable %u", NAME(v), l->var);
        else
            v->bound[l->var] = true;
    }
}

static void loops_close(verifier *v, const knode *n)
{
    for (uint32_t i = 0; i < n->n_loops; i++)
        if (n->loops[i].var < v->k->n_vars)
            v->bound[n->loops[i].var] = false;
}

static void check_gemm(verifier *v, const kgemm *g)
{
    const kkernel *k = v->k;
    bool b_known = g->b_is_local ? g->sum && g->b > 0 && g->b < k->n_locals : g->b < v->p->n_buffers;
    bool locals = g->c > 0 && g->c < k->n_locals && b_known &&
                  (g->a_is_buffer ? g->a < v->p->n_buffers : g->a > 0 && g->a < k->n_locals);
    const kdim dims[] = { g->m,   g->n,   g->k,   g->batch,   g->a_m,     g->a_k,    g->b_k,
                          g->b_n, g->c_m, g->c_n, g->a_batch, g->b_batch, g->c_batch };
    if (!locals || (g->type != KT_F32 && g->type != KT_F64)) {
        FAIL(v, "%s: a product without operands", NAME(v));
        return;
    }
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++)
        if (!dim_good(v->p, dims[i]))
            FAIL(v, "%s: size %zu of a product is no dim", NAME(v), i);
    ktype a = g->a_is_buffer ? v->p->buffers[g->a].type : k->locals[g->a].type;
    ktype b = g->b_is_local ? k->locals[g->b].type : v->p->buffers[g->b].type;
    kscope scope = v->blocks ? SCOPE_MEMBER : SCOPE_ROW;
    bool members = (g->a_is_buffer || k->locals[g->a].scope == SCOPE_MEMBER) &&
                   (!g->b_is_local || k->locals[g->b].scope == SCOPE_MEMBER);
    if (k->locals[g->c].type != g->type || b != g->type || a != g->type)
        FAIL(v, "%s: operands of a product have different types", NAME(v));
    else if (g->sum && (!v->blocks || k->tile > 1 || !members || !k->locals[g->c].accumulator || kx_is(g->group)))
        FAIL(v, "%s: a sum of products is not over the members of a block into an accumulator", NAME(v));
    else if (g->sum)
        ;
    else if (k->locals[g->c].scope != scope || (!g->a_is_buffer && k->locals[g->a].scope != scope))
        FAIL(v, "%s: a product of %s has a local of another scope", NAME(v), v->blocks ? "members" : "rows");
    else if (!g->a_is_buffer && g->a == g->c)
        FAIL(v, "%s: a product into its own operand", NAME(v));
    check_use(v, g->a_offset, "a product");
    check_use(v, g->b_offset, "a product");
    check_use(v, g->c_offset, "a product");
    bool row = v->row, member = v->member;
    v->row = true;
    v->member |= v->blocks;
    check_use(v, g->group, "a product's group");
    v->row = row;
    v->member = member;
}

/* ---- the tree ------------------------------------------------------------------------------------------ */

static void check_list(verifier *v, knode *const *body, uint32_t n, int depth);

static void check_prefetch(verifier *v, const knode *n)
{
    for (uint32_t i = 0; i < n->n_prefetch; i++) {
        if (n->prefetch[i].buffer >= v->p->n_buffers || !dim_good(v->p, n->prefetch[i].elems))
            FAIL(v, "%s: a prefetch of no buffer", NAME(v));
        check_use(v, n->prefetch[i].row_at, "a prefetch");
    }
}

static void check_walk(verifier *v, const knode *n, int depth)
{
    bool blocks = n->kind == KN_BLOCKS;
    if (v->walk)
        FAIL(v, "%s: two walks", NAME(v));
    else if (n != v->k->walk)
        FAIL(v, "%s: its walk is not the one in its body", NAME(v));
    else if (v->k->fiber.kind == FIBER_NONE)
        FAIL(v, "%s: a walk without a fiber", NAME(v));
    else if (blocks && n->block == 0)
        FAIL(v, "%s: blocks of no members", NAME(v));
    v->walk = n;
    bool row = v->row;
    v->row = true;
    check_list(v, n->init, n->n_init, depth);
    v->combine = true;
    check_list(v, n->combine, n->n_combine, depth);
    v->combine = false;
    v->row = row;
    v->member = !blocks;
    v->blocks = blocks;
    check_prefetch(v, n);
    check_list(v, n->body, n->n_body, depth);
    v->member = v->blocks = false;
}

static void check_node(verifier *v, knode *n, int depth)
{
    bool untiled = v->k->tile <= 1 && !v->blocks;
    switch (n->kind) {
    case KN_SEQ: check_list(v, n->body, n->n_body, depth); return;
    case KN_ROWS: {
        bool row = v->row;
        if ((v->row && !untiled) || v->member || v->blocks)
            FAIL(v, "%s: rows inside of rows", NAME(v));
        v->row = true;
        check_list(v, n->body, n->n_body, depth);
        v->row = row;
        return;
    }
    case KN_WALK:
        if (!v->row || v->member || v->blocks)
            FAIL(v, "%s: a walk that is not in rows", NAME(v));
        check_walk(v, n, depth);
        return;
    case KN_BLOCKS:
        if ((v->row && !untiled) || v->member || v->blocks)
            FAIL(v, "%s: blocks inside of rows", NAME(v));
        check_walk(v, n, depth);
        return;
    case KN_MEMBERS: {
        if (!v->blocks || v->member)
            FAIL(v, "%s: members that are not in blocks", NAME(v));
        bool row = v->row;
        v->row = v->member = true;
        v->blocks = false;
        check_prefetch(v, n);
        check_list(v, n->body, n->n_body, depth);
        v->blocks = true;
        v->row = row;
        v->member = false;
        return;
    }
    case KN_FOR: case KN_IFANY:
        if (!v->row && !v->member)
            FAIL(v, "%s: statements outside of rows and members", NAME(v));
        if (n->n_loops > sizeof n->loops / sizeof *n->loops) {
            FAIL(v, "%s: too many loops", NAME(v));
            return;
        }
        loops_open(v, n);
        if (n->kind == KN_IFANY) {
            if (!is_bool(v->p, n->value))
                FAIL(v, "%s: a condition that is none", NAME(v));
            check_use(v, n->value, "a condition");
            loops_close(v, n);
            check_list(v, n->body, n->n_body, depth);
            return;
        }
        for (uint32_t i = 0; i < n->n_body && !v->bad; i++)
            check_statement(v, n->body[i], n);
        if (!v->bad)
            check_sums(v, n);
        loops_close(v, n);
        return;
    case KN_STORE: case KN_ACCUM:
        if (!v->row && !v->member)
            FAIL(v, "%s: a statement outside of rows and members", NAME(v));
        check_statement(v, n, NULL);
        return;
    case KN_GEMM:
        if ((v->row && v->k->tile > 1) || v->member || !n->gemm)
            FAIL(v, "%s: a product inside of rows or members", NAME(v));
        else
            check_gemm(v, n->gemm);
        return;
    }
    FAIL(v, "%s: a node of no kind", NAME(v));
}

static void check_list(verifier *v, knode *const *body, uint32_t n, int depth)
{
    if (depth > MOST_NESTING)
        FAIL(v, "%s: nested more than %d deep", NAME(v), MOST_NESTING);
    for (uint32_t i = 0; i < n && !v->bad; i++)
        check_node(v, body[i], depth + 1);
}

static void check_kernel(verifier *v, const kkernel *k)
{
    v->k = k;
    v->walk = NULL;
    v->row = k->tile <= 1;      /* without tiles the row is there everywhere */
    v->member = v->combine = v->blocks = false;
    v->bound = NEW_N(v->mem, bool, k->n_vars + 1);
    if (!k->body || k->body->kind != KN_SEQ)
        FAIL(v, "%s: its body is no sequence", NAME(v));
    for (uint32_t i = 1; i < k->n_locals && !v->bad; i++) {
        const klocal *l = &k->locals[i];
        if (!dim_good(v->p, l->elems)
            || (l->type != KT_F64 && l->type != KT_F32 && l->type != KT_BOOL && l->type != KT_I64))
            FAIL(v, "%s: local %u has no size or an odd type", NAME(v), i);
        else if (l->accumulator && l->scope != SCOPE_ROW)
            FAIL(v, "%s: accumulator %u is not by row", NAME(v), i);
    }
    if (!v->bad)
        check_list(v, k->body->body, k->body->n_body, 0);
    if (!v->bad && k->walk && !v->walk)
        FAIL(v, "%s: its walk is not in its body", NAME(v));
    v->k = NULL;
}

/* ---- steps --------------------------------------------------------------------------------------------- */

static void check_steps(verifier *v)
{
    const kplan *p = v->p;
    uint32_t open[MOST_NESTING], depth = 0;
    for (uint32_t i = 0; i < p->n_steps && !v->bad; i++) {
        const kstep *s = &p->steps[i];
        switch (s->kind) {
        case STEP_LAUNCH:
            if (s->a >= p->n_kernels)
                FAIL(v, "step %u launches kernel %u of %u", i, s->a, p->n_kernels);
            break;
        case STEP_PAIRS:
            if (s->a >= p->n_pairs)
                FAIL(v, "step %u builds pairs %u of %u", i, s->a, p->n_pairs);
            break;
        case STEP_LOOP:
            if (s->a >= p->n_loops || depth == MOST_NESTING)
                FAIL(v, "step %u begins loop %u of %u", i, s->a, p->n_loops);
            else
                open[depth++] = s->a;
            break;
        case STEP_END:
            if (depth == 0 || open[depth - 1] != s->a)
                FAIL(v, "step %u ends loop %u, which is not the one that is open", i, s->a);
            else
                depth--;
            break;
        case STEP_SWAP:
            if (s->a >= p->n_buffers || s->b >= p->n_buffers || p->buffers[s->a].kind != BUF_WORK
                || p->buffers[s->b].kind != BUF_WORK)
                FAIL(v, "step %u exchanges buffers %u and %u", i, s->a, s->b);
            break;
        case STEP_REPLAY:
            if (s->a >= p->n_loops || !p->loops[s->a].again || depth < 2 || open[depth - 1] != s->a)
                FAIL(v, "step %u is in no loop that runs again in another", i);
            break;
        case STEP_REPLAYED:
            if (s->a >= p->n_loops || !p->loops[s->a].again || depth == 0)
                FAIL(v, "step %u comes after no loop that runs again in another", i);
            break;
        case STEP_SLOT: case STEP_SLOT_BACK:
            if (s->a >= p->n_buffers || p->buffers[s->a].kind != BUF_SLOT || depth == 0 || open[depth - 1] != s->b)
                FAIL(v, "step %u places buffer %u in loop %u", i, s->a, s->b);
            break;
        }
    }
    if (depth)
        FAIL(v, "loop %u has no end", open[depth - 1]);
}

const char *plan_verify(const kplan *p, arena *mem)
{
    verifier v = {.mem = mem, .p = p, .needed = NEW_N(mem, uint8_t, p->n_exprs + 1)};
    for (uint32_t i = 0; i < p->n_buffers; i++)
        if (!dim_good(p, p->buffers[i].elems) || (p->buffers[i].sequence && !dim_good(p, p->buffers[i].slots)))
            FAIL(&v, "buffer %u has no size", i);
        else if (p->buffers[i].kind == BUF_SLOT && (p->buffers[i].index >= p->n_buffers || !p->buffers[p->buffers[i].index].sequence))
            FAIL(&v, "buffer %u is an entry of no sequence", i);
    for (uint32_t i = 0; i < p->n_replays && !v.bad; i++) {
        const kreplay *r = &p->replays[i];
        const uint32_t at[] = {r->kept, r->made, r->cur, r->next, r->value};
        for (uint32_t k = 0; k < 5 && !v.bad; k++)
            if (r->loop >= p->n_loops || at[k] >= p->n_buffers || (k < 2 ? !p->buffers[at[k]].sequence : p->buffers[at[k]].kind != BUF_SLOT))
                FAIL(&v, "replay %u is of no loop, or of no sequences and their entries", i);
    }
    check_exprs(&v);
    for (uint32_t i = 0; i < p->n_kernels && !v.bad; i++)
        check_kernel(&v, &p->kernels[i]);
    if (!v.bad)
        check_steps(&v);
    return v.bad;
}
