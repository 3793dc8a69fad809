/* Constructors of expressions and the questions on them: see kx.h.
 *
 * Operands are made before what uses them, so numbers rise from operands to results: walks over an expression
 * go down the numbers with a mark each, without recursion. What is asked often (rows, members, locals, loaded
 * indices) is kept as facts beside each expression. */
#include "compiler/plan/kx.h"

#include <string.h>

#include "compiler/plan/kx_tables.h"
#include "compiler/support/poly.h"

enum { USES_ROW = 1, USES_MEMBER = 2, USES_LOCALS = 4, HAS_INDEX = 8 };

struct kx_fact {
    uint64_t vars;              /* bit var % 64: may depend on it */
    uint32_t depth;
    uint8_t uses;
};

/* The plan's arrays have no capacity of their own: they are full where the number of entries is a power of
 * two. */
void *kx_grow(arena *a, void *at, uint32_t n, size_t size)
{
    if (n != 0 && (n < 8 || (n & (n - 1))))
        return at;
    if (n > UINT32_MAX / 2)
        arena_fail(a, ARENA_LIMIT);
    void *room = arena_alloc_array(a, n < 8 ? 8 : (size_t)n * 2, size);
    if (n)
        memcpy(room, at, (size_t)n * size);
    return room;
}

kplan *kplan_new(arena *mem, const ir_layer *layer)
{
    kplan *p = NEW(mem, kplan);
    p->mem = mem;
    p->layer = layer;
    p->tables = NEW(mem, struct kx_tables);
    p->tables->set = idset_make(mem);
    p->exprs = kx_grow(mem, NULL, 0, sizeof *p->exprs);
    p->tables->facts = kx_grow(mem, NULL, 0, sizeof *p->tables->facts);
    p->n_exprs = 1;
    return p;
}

static uint64_t hash_expr(const kexpr *x);

static void *copied(arena *a, const void *from, uint32_t n, size_t size)
{
    size_t room = 8;
    while (room < n)
        room *= 2;
    void *to = arena_alloc_array(a, room, size);
    if (n)
        memcpy(to, from, (size_t)n * size);
    return to;
}

kplan *kplan_copy(arena *mem, const kplan *p)
{
    kplan *q = NEW(mem, kplan);
    *q = *p;
    q->mem = mem;
    q->exprs = copied(mem, p->exprs, p->n_exprs, sizeof *p->exprs);
    q->dims = copied(mem, p->dims, p->n_dims, sizeof *p->dims);
    q->buffers = copied(mem, p->buffers, p->n_buffers, sizeof *p->buffers);
    q->kernels = copied(mem, p->kernels, p->n_kernels, sizeof *p->kernels);
    q->steps = copied(mem, p->steps, p->n_steps, sizeof *p->steps);
    q->pairs = copied(mem, p->pairs, p->n_pairs, sizeof *p->pairs);
    q->loops = copied(mem, p->loops, p->n_loops, sizeof *p->loops);
    q->replays = copied(mem, p->replays, p->n_replays, sizeof *p->replays);
    q->tables = NEW(mem, struct kx_tables);
    q->tables->set = idset_make(mem);
    q->tables->facts = copied(mem, p->tables->facts, p->n_exprs, sizeof *p->tables->facts);
    for (uint32_t i = 1; i < q->n_exprs; i++)
        idset_add(&q->tables->set, hash_expr(&q->exprs[i]), i);
    return q;
}

/* ---- sizes --------------------------------------------------------------------------------------------- */

kdim kdim_int(int64_t value) { return (kdim){true, value, 0}; }

uint32_t kdim_slot(kplan *p, dim d)
{
    for (uint32_t i = 0; i < p->n_dims; i++)
        if (dim_equal(p->layer->dims, p->dims[i], d))
            return i;
    p->dims = kx_grow(p->mem, p->dims, p->n_dims, sizeof *p->dims);
    p->dims[p->n_dims] = d;
    return p->n_dims++;
}

kdim kdim_of(kplan *p, dim d)
{
    int64_t value;
    if (dim_is_const(p->layer->dims, d, &value))
        return kdim_int(value);
    return (kdim){false, 0, kdim_slot(p, d)};
}

dim kdim_dim(kplan *p, kdim d)
{
    return d.is_const ? dim_const(p->layer->dims, d.value) : p->dims[d.slot];
}

kdim kdim_add(kplan *p, kdim a, kdim b)
{
    int64_t v;
    if (a.is_const && b.is_const && !__builtin_add_overflow(a.value, b.value, &v))
        return kdim_int(v);
    return kdim_of(p, dim_add(p->layer->dims, kdim_dim(p, a), kdim_dim(p, b)));
}

kdim kdim_sub(kplan *p, kdim a, kdim b)
{
    int64_t v;
    if (a.is_const && b.is_const && !__builtin_sub_overflow(a.value, b.value, &v))
        return kdim_int(v);
    return kdim_of(p, dim_sub(p->layer->dims, kdim_dim(p, a), kdim_dim(p, b)));
}

kdim kdim_mul(kplan *p, kdim a, kdim b)
{
    int64_t v;
    if (a.is_const && b.is_const && !__builtin_mul_overflow(a.value, b.value, &v))
        return kdim_int(v);
    return kdim_of(p, dim_mul(p->layer->dims, kdim_dim(p, a), kdim_dim(p, b)));
}

/* ---- hash-consing -------------------------------------------------------------------------------------- */

static bool same_expr(const kexpr *x, const kexpr *y)
{
    return x->op == y->op && x->type == y->type && x->map == y->map && x->guarded == y->guarded
           && x->var == y->var && x->buffer == y->buffer && x->local == y->local && x->a.i == y->a.i
           && x->b.i == y->b.i && x->c.i == y->c.i && kdim_same(x->dim, y->dim) && x->value.i == y->value.i;
}

typedef struct probe { const kplan *p; const kexpr *x; } probe;

static bool same_entry(const void *ud, uint32_t id)
{
    const probe *q = ud;
    return same_expr(&q->p->exprs[id], q->x);
}

static uint64_t hash_expr(const kexpr *x)
{
    uint64_t h =
        hash_u64((uint64_t)x->op << 24 | (uint64_t)x->type << 16 | (uint64_t)x->map << 8 | x->guarded);
    h = hash_combine(h, (uint64_t)x->var << 32 | x->buffer);
    h = hash_combine(h, (uint64_t)x->local << 32 | x->a.i);
    h = hash_combine(h, (uint64_t)x->b.i << 32 | x->c.i);
    h = hash_combine(h, x->dim.is_const ? (uint64_t)x->dim.value : ~(uint64_t)x->dim.slot);
    return hash_combine(h, (uint64_t)x->value.i);
}

static struct kx_fact fact_of(const kplan *p, const kexpr *x)
{
    struct kx_fact f = {0};
    const kx args[] = {x->a, x->b, x->c};
    for (int i = 0; i < 3; i++) {
        const struct kx_fact *g = &p->tables->facts[args[i].i];
        f.vars |= g->vars;
        f.uses |= g->uses;
        f.depth = g->depth > f.depth ? g->depth : f.depth;
    }
    f.depth++;
    switch ((kx_op)x->op) {
    case KX_VAR: f.vars = (uint64_t)1 << (x->var & 63); break;
    case KX_ROW: f.uses |= USES_ROW; break;
    case KX_MEMBER: f.uses |= USES_MEMBER; break;
    case KX_ILOAD: case KX_BUCKET: f.uses |= HAS_INDEX; break;
    case KX_IDX: f.uses |= HAS_INDEX | USES_LOCALS; break;
    case KX_LOCAL: case KX_OTHER: f.uses |= USES_LOCALS; break;
    case KX_INT: case KX_DIM: case KX_STEP: case KX_IADD: case KX_ISUB: case KX_IMUL: case KX_IDIV:
    case KX_IMOD: case KX_ISEL: case KX_NUM: case KX_REALARG: case KX_TRAINING: case KX_LOAD:
    case KX_FROM_INT: case KX_MAP:
    case KX_SELECT: case KX_RANDOM: break;
    }
    return f;
}

static kx make(kplan *p, kexpr x)
{
    probe q = {p, &x};
    uint64_t h = hash_expr(&x);
    uint32_t id = idset_find(&p->tables->set, h, same_entry, &q);
    if (id != UINT32_MAX)
        return (kx){id};
    id = p->n_exprs;
    p->exprs = kx_grow(p->mem, p->exprs, id, sizeof *p->exprs);
    p->tables->facts = kx_grow(p->mem, p->tables->facts, id, sizeof *p->tables->facts);
    p->exprs[id] = x;
    p->tables->facts[id] = fact_of(p, &x);
    p->n_exprs++;
    idset_add(&p->tables->set, h, id);
    return (kx){id};
}

bool kx_is_int(const kplan *p, kx x, int64_t *value)
{
    const kexpr *e = kx_at(p, x);
    if (x.i == 0 || e->op != KX_INT)
        return false;
    if (value)
        *value = e->value.i;
    return true;
}

bool kx_is_num(const kplan *p, kx x, double *value)
{
    const kexpr *e = kx_at(p, x);
    if (x.i == 0 || e->op != KX_NUM)
        return false;
    if (value)
        *value = e->value.f;
    return true;
}

bool kx_is_dim(const kplan *p, kx x, kdim *value)
{
    const kexpr *e = kx_at(p, x);
    if (x.i == 0 || (e->op != KX_INT && e->op != KX_DIM))
        return false;
    if (value)
        *value = e->op == KX_INT ? kdim_int(e->value.i) : e->dim;
    return true;
}

/* ---- integers ------------------------------------------------------------------------------------------ */

kx kx_int(kplan *p, int64_t value)
{
    return make(p, (kexpr){ .op = KX_INT, .type = KT_I64, .value.i = value });
}

kx kx_dimval(kplan *p, kdim d)
{
    return d.is_const ? kx_int(p, d.value) : make(p, (kexpr){.op = KX_DIM, .type = KT_I64, .dim = d});
}

kx kx_var(kplan *p, uint32_t var) { return make(p, (kexpr){.op = KX_VAR, .type = KT_I64, .var = var}); }
kx kx_row(kplan *p) { return make(p, (kexpr){.op = KX_ROW, .type = KT_I64}); }
kx kx_member(kplan *p) { return make(p, (kexpr){.op = KX_MEMBER, .type = KT_I64}); }
kx kx_step(kplan *p, uint32_t loop) { return make(p, (kexpr){.op = KX_STEP, .type = KT_I64, .var = loop}); }

static kx binary(kplan *p, kx_op op, kx a, kx b)
{
    return make(p, (kexpr){.op = (uint8_t)op, .type = KT_I64, .a = a, .b = b});
}

/* Sums and products of two dims are dims, where the table can say so. */
static bool fold_dims(kplan *p, kx a, kx b, dim (*f)(dim_table *, dim, dim), kx *out)
{
    kdim da, db;
    if (!kx_is_dim(p, a, &da) || !kx_is_dim(p, b, &db) || !p->layer->dims)
        return false;
    dim d = f(p->layer->dims, kdim_dim(p, da), kdim_dim(p, db));
    if (!dim_ok(d))
        return false;
    *out = kx_dimval(p, kdim_of(p, d));
    return true;
}

kx kx_iadd(kplan *p, kx a, kx b)
{
    int64_t x = 0, y = 0, z;
    kx r;
    bool ca = kx_is_int(p, a, &x), cb = kx_is_int(p, b, &y);
    if (ca && cb && !__builtin_add_overflow(x, y, &z))
        return kx_int(p, z);
    if (ca && x == 0)
        return b;
    if (cb && y == 0)
        return a;
    if (fold_dims(p, a, b, dim_add, &r))
        return r;
    if (ca || (!cb && a.i > b.i && kx_is_dim(p, a, NULL))) {        /* constants to the right */
        r = a; a = b; b = r;
        cb = ca; y = x;
    }
    const kexpr *e = kx_at(p, a);
    int64_t w;
    if (cb && e->op == KX_IADD && kx_is_int(p, e->b, &w) && !__builtin_add_overflow(w, y, &z))
        return kx_iadd(p, e->a, kx_int(p, z));
    return binary(p, KX_IADD, a, b);
}

kx kx_isub(kplan *p, kx a, kx b)
{
    int64_t x, y, z;
    kx r;
    bool ca = kx_is_int(p, a, &x), cb = kx_is_int(p, b, &y);
    if (ca && cb && !__builtin_sub_overflow(x, y, &z))
        return kx_int(p, z);
    if (cb && y != INT64_MIN)
        return kx_iadd(p, a, kx_int(p, -y));
    if (kx_same(a, b))
        return kx_int(p, 0);
    if (fold_dims(p, a, b, dim_sub, &r))
        return r;
    return binary(p, KX_ISUB, a, b);
}

kx kx_imul(kplan *p, kx a, kx b)
{
    int64_t x, y, z;
    kx r;
    bool ca = kx_is_int(p, a, &x), cb = kx_is_int(p, b, &y);
    if (ca && cb && !__builtin_mul_overflow(x, y, &z))
        return kx_int(p, z);
    if ((ca && x == 0) || (cb && y == 0))
        return kx_int(p, 0);
    if (ca && x == 1)
        return b;
    if (cb && y == 1)
        return a;
    if (fold_dims(p, a, b, dim_mul, &r))
        return r;
    if (kx_is_dim(p, a, NULL) && !kx_is_dim(p, b, NULL)) {
        r = a; a = b; b = r;
    }
    /* (x * dim) * dim is x * (dim * dim) */
    const kexpr *e = kx_at(p, a);
    kx inner = e->a, by = e->b;
    if (e->op == KX_IMUL && kx_is_dim(p, b, NULL) && fold_dims(p, by, b, dim_mul, &r))
        return kx_imul(p, inner, r);
    return binary(p, KX_IMUL, a, b);
}

kx kx_idiv(kplan *p, kx a, kx b)
{
    int64_t x, y;
    bool ca = kx_is_int(p, a, &x), cb = kx_is_int(p, b, &y);
    if (cb && y == 1)
        return a;
    if (ca && cb && y > 0)
        return kx_int(p, x / y);
    if (ca && x == 0)
        return a;
    const kexpr *e = kx_at(p, a);
    if (e->op == KX_IMUL && kx_same(e->b, b))
        return e->a;
    return binary(p, KX_IDIV, a, b);
}

kx kx_imod(kplan *p, kx a, kx b)
{
    int64_t x, y;
    bool ca = kx_is_int(p, a, &x), cb = kx_is_int(p, b, &y);
    if (cb && y == 1)
        return kx_int(p, 0);
    if (ca && cb && y > 0)
        return kx_int(p, x % y);
    if (ca && x == 0)
        return a;
    const kexpr *e = kx_at(p, a);
    if (e->op == KX_IMUL && kx_same(e->b, b))
        return kx_int(p, 0);
    return binary(p, KX_IMOD, a, b);
}

kx kx_iload(kplan *p, uint32_t buffer, kx offset)
{
    return make(p, (kexpr){.op = KX_ILOAD, .type = KT_I64, .buffer = buffer, .a = offset});
}

kx kx_bucket(kplan *p, kx real, kx range)
{
    return make(p, (kexpr){.op = KX_BUCKET, .type = KT_I64, .a = real, .b = range});
}

kx kx_idx(kplan *p, uint32_t local, kx offset)
{
    return make(p, (kexpr){.op = KX_IDX, .type = KT_I64, .local = local, .a = offset});
}

kx kx_isel(kplan *p, kx c, kx a, kx b)
{
    double v;
    if (kx_is_num(p, c, &v))
        return v != 0 ? a : b;
    if (kx_same(a, b))
        return a;
    return make(p, (kexpr){.op = KX_ISEL, .type = KT_I64, .a = c, .b = a, .c = b});
}

/* ---- reals --------------------------------------------------------------------------------------------- */

static ktype register_type(ktype t)
{
    switch (t) {
    case KT_F16: case KT_BF16: return KT_F32;
    case KT_I32: return KT_I64;
    case KT_F64: case KT_F32: case KT_I64: case KT_BOOL: break;
    }
    return t;
}

kx kx_num(kplan *p, ktype type, double value)
{
    if (type == KT_BOOL)
        value = value != 0;
    else if (type == KT_F32)
        value = (float)value;
    if (value != value)
        value = __builtin_nan("");
    return make(p, (kexpr){.op = KX_NUM, .type = (uint8_t)type, .value.f = value});
}

kx kx_realarg(kplan *p, ktype type, uint32_t static_)
{
    return make(p, (kexpr){.op = KX_REALARG, .type = (uint8_t)type, .var = static_});
}

kx kx_training(kplan *p) { return make(p, (kexpr){.op = KX_TRAINING, .type = KT_BOOL}); }

kx kx_load(kplan *p, uint32_t buffer, kx row, kx offset, bool guarded)
{
    ktype t = register_type(p->buffers[buffer].type);
    return make(
        p,
        (kexpr){
            .op = KX_LOAD, .type = (uint8_t)t, .guarded = guarded, .buffer = buffer, .a = row, .b = offset });
}

kx kx_local(kplan *p, const kkernel *k, uint32_t local, kx offset)
{
    ktype t = k->locals[local].type;
    if (t == KT_I64)
        return kx_idx(p, local, offset);
    return make(p, (kexpr){.op = KX_LOCAL, .type = (uint8_t)t, .local = local, .a = offset});
}

kx kx_other(kplan *p, const kkernel *k, uint32_t local, kx offset)
{
    return make(
        p, (kexpr){ .op = KX_OTHER, .type = (uint8_t)k->locals[local].type, .local = local, .a = offset });
}

kx kx_from_int(kplan *p, ktype type, kx a)
{
    int64_t v;
    if (kx_is_int(p, a, &v))
        return kx_num(p, type, (double)v);
    return make(p, (kexpr){.op = KX_FROM_INT, .type = (uint8_t)type, .a = a});
}

kx kx_map(kplan *p, ir_op op, ktype type, kx a, kx b, kx c)
{
    if (op == OP_STOP || (op == OP_CAST && kx_at(p, a)->type == type))
        return a;
    if (op == OP_CAST && kx_at(p, a)->type == KT_I64)
        return kx_from_int(p, type, a);
    return make(p, (kexpr){.op = KX_MAP, .map = (uint8_t)op, .type = (uint8_t)type, .a = a, .b = b, .c = c});
}

kx kx_cast(kplan *p, ktype type, kx a)
{
    double v;
    if (kx_is_num(p, a, &v))
        return kx_num(p, type, v);
    return kx_map(p, OP_CAST, type, a, (kx){0}, (kx){0});
}

kx kx_select(kplan *p, kx c, kx a, kx b)
{
    double v;
    if (kx_is_num(p, c, &v))
        return v != 0 ? a : b;
    if (kx_same(a, b))
        return a;
    return make(p, (kexpr){.op = KX_SELECT, .type = kx_at(p, a)->type, .a = c, .b = a, .c = b});
}

kx kx_random(kplan *p, kx key, kx member, kx element, uint32_t site)
{
    return make(
        p, (kexpr){ .op = KX_RANDOM, .type = KT_F32, .a = key, .b = member, .c = element, .value.i = site });
}

/* ---- questions ----------------------------------------------------------------------------------------- */

static bool uses(const kplan *p, kx x, int what) { return (p->tables->facts[x.i].uses & what) != 0; }
bool kx_uses_row(const kplan *p, kx x) { return uses(p, x, USES_ROW); }
bool kx_uses_member(const kplan *p, kx x) { return uses(p, x, USES_MEMBER); }
bool kx_uses_locals(const kplan *p, kx x) { return uses(p, x, USES_LOCALS); }
bool kx_has_index(const kplan *p, kx x) { return uses(p, x, HAS_INDEX); }
uint32_t kx_depth(const kplan *p, kx x) { return p->tables->facts[x.i].depth; }

/* Is there an expression below x (or x) for which f holds? */
static bool any_below(const kplan *p, kx x, bool (*f)(const kplan *, const kexpr *, uint32_t), uint32_t ud)
{
    arena_mark m = arena_get_mark(p->mem);
    uint8_t *needed = NEW_N(p->mem, uint8_t, x.i + 1);
    bool found = false;
    needed[x.i] = 1;
    for (uint32_t i = x.i; i > 0 && !found; i--) {
        if (!needed[i])
            continue;
        const kexpr *e = &p->exprs[i];
        found = f(p, e, ud);
        needed[e->a.i] = needed[e->b.i] = needed[e->c.i] = 1;
    }
    arena_release(p->mem, m);
    return found;
}

static bool is_var(const kplan *p, const kexpr *e, uint32_t var)
{
    (void)p;
    return e->op == KX_VAR && e->var == var;
}

bool kx_depends(const kplan *p, kx x, uint32_t var)
{
    if (!(p->tables->facts[x.i].vars >> (var & 63) & 1))
        return false;
    return any_below(p, x, is_var, var);
}

static bool reads(const kplan *p, const kexpr *e, uint32_t buffer)
{
    (void)p;
    return (e->op == KX_LOAD || e->op == KX_ILOAD) && e->buffer == buffer;
}

bool kx_reads_buffer(const kplan *p, kx x, uint32_t buffer) { return any_below(p, x, reads, buffer); }

static bool stride_at(kplan *p, kx x, uint32_t var, kdim *stride, int depth)
{
    *stride = kdim_int(0);
    if (!kx_depends(p, x, var))
        return true;
    const kexpr e = *kx_at(p, x);
    if (e.op == KX_VAR) {
        *stride = kdim_int(1);
        return true;
    }
    if (depth == 0 || (e.op != KX_IADD && e.op != KX_ISUB && e.op != KX_IMUL))
        return false;
    kdim a, b;
    if (!stride_at(p, e.a, var, &a, depth - 1) || !stride_at(p, e.b, var, &b, depth - 1))
        return false;
    kdim by;
    if (e.op == KX_IADD)
        *stride = kdim_add(p, a, b);
    else if (e.op == KX_ISUB)
        *stride = kdim_sub(p, a, b);
    else if (kdim_is(b, 0) && kx_is_dim(p, e.b, &by))
        *stride = kdim_mul(p, a, by);
    else if (kdim_is(a, 0) && kx_is_dim(p, e.a, &by))
        *stride = kdim_mul(p, b, by);
    else
        return false;
    return stride->is_const || dim_ok(p->dims[stride->slot]);
}

bool kx_stride(kplan *p, kx x, uint32_t var, kdim *stride)
{
    return stride_at(p, x, var, stride, 64);
}

static kx rebuild(kplan *p, kexpr e, kx a, kx b, kx c)
{
    switch ((kx_op)e.op) {
    case KX_IADD: return kx_iadd(p, a, b);
    case KX_ISUB: return kx_isub(p, a, b);
    case KX_IMUL: return kx_imul(p, a, b);
    case KX_IDIV: return kx_idiv(p, a, b);
    case KX_IMOD: return kx_imod(p, a, b);
    case KX_ISEL: return kx_isel(p, a, b, c);
    case KX_SELECT: return kx_select(p, a, b, c);
    case KX_FROM_INT: return kx_from_int(p, (ktype)e.type, a);
    case KX_INT: case KX_DIM: case KX_VAR: case KX_ROW: case KX_MEMBER: case KX_STEP: case KX_ILOAD:
    case KX_BUCKET: case KX_IDX: case KX_NUM: case KX_REALARG: case KX_TRAINING: case KX_LOAD: case KX_LOCAL:
    case KX_OTHER:
    case KX_MAP: case KX_RANDOM: break;
    }
    e.a = a;
    e.b = b;
    e.c = c;
    return make(p, e);
}

/* x with the leaf `from` (its number may be past x: then nothing changes) replaced. */
static kx subst(kplan *p, kx x, kx from, kx by)
{
    if (from.i > x.i)
        return x;
    uint8_t *needed = NEW_N(p->mem, uint8_t, x.i + 1);
    kx *now = NEW_N(p->mem, kx, x.i + 1);
    needed[x.i] = 1;
    for (uint32_t i = x.i; i > 0; i--)
        if (needed[i])
            needed[p->exprs[i].a.i] = needed[p->exprs[i].b.i] = needed[p->exprs[i].c.i] = 1;
    for (uint32_t i = 1; i <= x.i; i++) {
        if (!needed[i])
            continue;
        kexpr e = p->exprs[i];
        kx a = now[e.a.i], b = now[e.b.i], c = now[e.c.i];
        bool moved = !kx_same(a, e.a) || !kx_same(b, e.b) || !kx_same(c, e.c);
        now[i] = i == from.i ? by : moved ? rebuild(p, e, a, b, c) : (kx){i};
    }
    return now[x.i];
}

kx kx_subst_local(kplan *p, kx x, uint32_t local, uint32_t buffer, kx row, kx offset)
{
    uint8_t *needed = NEW_N(p->mem, uint8_t, x.i + 1);
    kx *now = NEW_N(p->mem, kx, x.i + 1);
    needed[x.i] = 1;
    for (uint32_t i = x.i; i > 0; i--)
        if (needed[i])
            needed[p->exprs[i].a.i] = needed[p->exprs[i].b.i] = needed[p->exprs[i].c.i] = 1;
    for (uint32_t i = 1; i <= x.i; i++) {
        if (!needed[i])
            continue;
        kexpr e = p->exprs[i];
        kx a = now[e.a.i], b = now[e.b.i], c = now[e.c.i];
        bool moved = !kx_same(a, e.a) || !kx_same(b, e.b) || !kx_same(c, e.c);
        if (e.op == KX_LOCAL && e.local == local)
            now[i] = kx_load(p, buffer, row, kx_iadd(p, offset, a), false);
        else
            now[i] = moved ? rebuild(p, e, a, b, c) : (kx){i};
    }
    return now[x.i];
}

kx kx_subst_var(kplan *p, kx x, uint32_t var, kx by) { return subst(p, x, kx_var(p, var), by); }
kx kx_subst_row(kplan *p, kx x, kx by) { return kx_uses_row(p, x) ? subst(p, x, kx_row(p), by) : x; }
kx kx_subst_member(kplan *p, kx x, kx by) { return kx_uses_member(p, x) ? subst(p, x, kx_member(p), by) : x; }
