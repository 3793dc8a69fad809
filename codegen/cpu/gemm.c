/* Dense products as register tiles: see gemm.h.
 *
 * A tile is `rows` rows of C by `vectors` vectors, held in registers while k runs; each step broadcasts one
 * element of A a row and loads one row of a panel of B (as Goto and van de Geijn 2008, without packing A: our
 * A is read once or from L2). Around it:
 *
 *   rows of A by blocks that fit L2          (NN, NT)
 *     k by blocks of a panel that fits L1
 *       panels of B, `vectors` wide          NT: transposed into the stack first
 *         tiles of rows
 *
 * One tile serves every number of rows: past the end it computes the last row again and stores it again, with
 * the same bits. */
#include "codegen/cpu/gemm.h"

#include <stdio.h>

#include "compiler/support/vec.h"

enum {
    K_BLOCK = 256,              /* rows of a panel */
    K_BLOCK_LONG = 320,         /* a known k up to this is not cut */
    K_BLOCK_NODES = 96,        /* TN: k runs over nodes, and a block of A lies beside that of B */
    L1_BYTES = 24 * 1024,       /* what B may take to be read whole for each tile of rows */
    L2_BYTES = 128 * 1024,      /* a block of A */
    PACK_ROWS = 40,             /* rows of C from which on a panel is worth a copy */
    PACK_ROWS_FAR = 24,         /* the same where rows of B are */
    FAR_APART = 1024,           /* so many elements apart or more, and n is not known */
    MOST_ROWS = 8, MOST_VECTORS = 4,
};

typedef struct tile_shape {
    int rows, vectors;
} tile_shape;

/* What all parts need while one function is written. */
typedef struct gemm_writer {
    emitter *e;
    const gemm_spec *s;
    int lanes;
    tile_shape tile;
    int unroll;                 /* of k */
    LLVMValueRef a, lda, b, ldb, c, ldc, m, n, k;
    LLVMValueRef room;          /* on the stack, for a panel; NULL if none is ever packed */
} gemm_writer;

typedef struct panel {
    LLVMValueRef at, ld;        /* first row, distance of rows */
    LLVMValueRef c;             /* C at the panel's first column */
    int vectors;
    bool packed;                /* on the stack, with all its columns */
    LLVMValueRef mask[MOST_VECTORS];
} panel;

/* ---- choices ------------------------------------------------------------------------------------------- */

static int div_up(int64_t a, int b) { return (int)((a + b - 1) / b); }

/* Accumulators, a row of the panel and a broadcast must fit the registers; eight chains keep units busy. */
static tile_shape choose_tile(const cpu_target *t, int64_t n, int lanes)
{
    int wide = n > 0 && n < 1024 ? div_up(n, lanes) : MOST_VECTORS;
    if (t->vector_registers >= 32)
        return wide == 1   ? (tile_shape){8, 1}
               : wide == 2 ? (tile_shape){8, 2}
               : wide == 3 ? (tile_shape){8, 3}
                           : (tile_shape){6, 4};
    if (!t->has_fma)            /* the product needs a register, too */
        return wide == 1 ? (tile_shape){8, 1} : (tile_shape){4, 2};
    return wide == 1 ? (tile_shape){8, 1} : wide == 3 ? (tile_shape){4, 3} : (tile_shape){6, 2};
}

static int64_t k_block(const gemm_spec *s)
{
    if (s->kind == GEMM_TN)
        return K_BLOCK_NODES;
    return s->k > 0 && s->k <= K_BLOCK_LONG ? s->k : K_BLOCK;
}

static int64_t row_block(const gemm_writer *w)
{
    const gemm_spec *s = w->s;
    int64_t size = (int64_t)elem_size(s->type), kb = k_block(s);
    if (s->kind == GEMM_NN && s->k > 0 && s->n > 0 && s->k <= kb && s->k * s->n * size <= L1_BYTES)
        return w->tile.rows;
    int64_t rows = L2_BYTES / (kb * size);
    return rows / w->tile.rows * w->tile.rows;
}

/* ---- small pieces -------------------------------------------------------------------------------------- */

static LLVMValueRef least(emitter *e, LLVMValueRef a, LLVMValueRef b)
{
    return emit_select(e, emit_cmp(e, CMP_LT, a, b), a, b);
}

static LLVMValueRef plus(emitter *e, LLVMValueRef a, int64_t x)
{
    return x ? LLVMBuildNSWAdd(e->b, a, emit_i64(e, x), "") : a;
}

static LLVMValueRef times(emitter *e, LLVMValueRef a, LLVMValueRef b)
{
    return LLVMBuildNSWMul(e->b, a, b, "");
}

static LLVMValueRef at(gemm_writer *w, LLVMValueRef base, LLVMValueRef index)
{
    return emit_ptr(w->e, w->s->type, base, index);
}

static LLVMValueRef vector_at(gemm_writer *w, LLVMValueRef row, int v)
{
    return emit_ptr_bytes(w->e, row, (int64_t)v * w->lanes * (int64_t)elem_size(w->s->type));
}

/* ---- a tile -------------------------------------------------------------------------------------------- */

/* Where a step of k reads: B's row, and for each row of C an element of A. */
typedef struct cursor {
    LLVMValueRef b_row, a_row[MOST_ROWS], a_index;
} cursor;

static void step(gemm_writer *w, const panel *p, const cursor *at_k, LLVMValueRef *acc)
{
    emitter *e = w->e;
    LLVMValueRef b[MOST_VECTORS];
    for (int v = 0; v < p->vectors; v++)
        b[v] =
            emit_load(e, w->s->type, w->lanes, vector_at(w, at_k->b_row, v), p->packed ? NULL : p->mask[v]);
    for (int r = 0; r < w->tile.rows; r++) {
        LLVMValueRef x = emit_load(e, w->s->type, 1, at(w, at_k->a_row[r], at_k->a_index), NULL);
        x = emit_splat(e, x, w->lanes);
        for (int v = 0; v < p->vectors; v++)
            acc[r * p->vectors + v] = emit_fma(e, x, b[v], acc[r * p->vectors + v]);
    }
}

/* k from `from` to `to` in steps of `unroll`; the accumulators are carried round. In TN a step of k is a row
 * of A, so one pointer runs down A and the rows of C are small offsets to it: unrolled, those would not fit
 * the registers. */
static void run_k(gemm_writer *w, const panel *p, LLVMValueRef *acc, const LLVMValueRef *a_row,
                  const LLVMValueRef *shift, LLVMValueRef from, LLVMValueRef to, int unroll)
{
    emitter *e = w->e;
    int rows = w->tile.rows, count = rows * p->vectors;
    LLVMValueRef now[MOST_ROWS * MOST_VECTORS];
    emit_loop l = emit_for_begin(e, from, to, unroll);
    for (int i = 0; i < count; i++)
        now[i] = emit_carry(e, &l, acc[i]);
    if (w->s->kind == GEMM_TN) {
        LLVMValueRef a = emit_carry(e, &l, a_row[0]), b = emit_carry(e, &l, p->at);
        cursor c = {.b_row = b, .a_index = emit_i64(e, 0)};
        for (int r = 0; r < rows; r++)
            c.a_row[r] = at(w, a, shift[r]);
        step(w, p, &c, now);
        emit_next(&l, count, at(w, a, w->lda));
        emit_next(&l, count + 1, at(w, b, p->ld));
    } else {
        for (int u = 0; u < unroll; u++) {
            LLVMValueRef k = plus(e, l.i, u);
            cursor c = {.b_row = at(w, p->at, times(e, k, p->ld)), .a_index = k};
            for (int r = 0; r < rows; r++)
                c.a_row[r] = a_row[r];
            step(w, p, &c, now);
        }
    }
    for (int i = 0; i < count; i++)
        emit_next(&l, i, now[i]);
    emit_for_end(e, &l);
    for (int i = 0; i < count; i++)
        acc[i] = l.result[i];
}

/* Rows from m0 on, of the block of k that starts at k0 and has kc steps. `fresh`: start from 0 and not from
 * C. */
static void write_tile(gemm_writer *w, const panel *p, LLVMValueRef m0, LLVMValueRef k0, LLVMValueRef kc,
                       LLVMValueRef fresh)
{
    emitter *e = w->e;
    elem t = w->s->type;
    int rows = w->tile.rows, vectors = p->vectors;
    LLVMValueRef a_row[MOST_ROWS], c_row[MOST_ROWS], shift[MOST_ROWS], acc[MOST_ROWS * MOST_VECTORS];
    LLVMValueRef below = LLVMBuildNSWSub(e->b, plus(e, w->m, -1), m0, "");
    for (int r = 0; r < rows; r++) {
        shift[r] = r ? least(e, emit_i64(e, r), below) : emit_i64(e, 0);
        LLVMValueRef row = r ? LLVMBuildNSWAdd(e->b, m0, shift[r], "") : m0;
        LLVMValueRef first = w->s->kind == GEMM_TN ? LLVMBuildNSWAdd(e->b, row, times(e, k0, w->lda), "")
                                                   : LLVMBuildNSWAdd(e->b, times(e, row, w->lda), k0, "");
        a_row[r] = at(w, w->a, first);
        c_row[r] = at(w, p->c, times(e, row, w->ldc));
    }
    bool always = LLVMIsAConstantInt(fresh) && LLVMConstIntGetZExtValue(fresh);
    bool never = LLVMIsAConstantInt(fresh) && !always;
    LLVMValueRef zero = emit_number(e, t, w->lanes, 0), old[MOST_ROWS * MOST_VECTORS];
    emit_if c = {0};
    if (!always && !never)
        c = emit_if_begin(e, emit_not(e, fresh));
    for (int i = 0; i < rows * vectors && !always; i++)
        old[i] =
            emit_load(e, t, w->lanes, vector_at(w, c_row[i / vectors], i % vectors), p->mask[i % vectors]);
    if (!always && !never)
        emit_if_end(e, &c);
    for (int i = 0; i < rows * vectors; i++)
        acc[i] = always ? zero : never ? old[i] : emit_if_value(e, &c, old[i], zero);

    LLVMValueRef none = emit_i64(e, 0);
    if (w->s->kind == GEMM_TN) {
        run_k(w, p, acc, a_row, shift, none, kc, 1);
    } else if (LLVMIsAConstantInt(kc)) {
        int64_t k = LLVMConstIntGetSExtValue(kc), main = k / w->unroll * w->unroll;
        if (main)
            run_k(w, p, acc, a_row, shift, none, emit_i64(e, main), w->unroll);
        if (main < k)
            run_k(w, p, acc, a_row, shift, emit_i64(e, main), kc, 1);
    } else {
        LLVMValueRef main = emit_and(e, kc, emit_i64(e, -w->unroll));
        run_k(w, p, acc, a_row, shift, none, main, w->unroll);
        run_k(w, p, acc, a_row, shift, main, kc, 1);
    }
    for (int i = 0; i < rows * vectors; i++)
        emit_store(e, t, acc[i], vector_at(w, c_row[i / vectors], i % vectors), p->mask[i % vectors]);
}

/* ---- panels -------------------------------------------------------------------------------------------- */

/* Is a panel copied to the stack first? Always where B is transposed, and where it is ragged and masked loads
 * are slow. Else it pays if many rows use it: rows of B that lie a power of two apart share few sets of the
 * cache. */
typedef enum { PACK_NEVER, PACK_LONG, PACK_ALWAYS } packing;

static packing choose_packing(const gemm_writer *w, bool ragged)
{
    if (w->s->kind == GEMM_NT || (ragged && !w->e->target->has_mask))
        return PACK_ALWAYS;
    return w->s->kind == GEMM_NN && row_block(w) == w->tile.rows ? PACK_NEVER : PACK_LONG;
}

/* kc rows of B from k0 on, the panel's columns: by vectors, with the panel's masks. */
static void pack_rows(gemm_writer *w, const panel *p, LLVMValueRef k0, LLVMValueRef kc, LLVMValueRef n0)
{
    emitter *e = w->e;
    emit_loop k = emit_for_begin(e, emit_i64(e, 0), kc, 1);
    LLVMValueRef row = LLVMBuildNSWAdd(e->b, k0, k.i, "");
    LLVMValueRef from = at(w, w->b, LLVMBuildNSWAdd(e->b, times(e, row, w->ldb), n0, ""));
    LLVMValueRef to = at(w, w->room, times(e, k.i, emit_i64(e, (int64_t)p->vectors * w->lanes)));
    for (int v = 0; v < p->vectors; v++) {
        LLVMValueRef x = emit_load(e, w->s->type, w->lanes, vector_at(w, from, v), p->mask[v]);
        emit_store(e, w->s->type, x, vector_at(w, to, v), NULL);
    }
    emit_for_end(e, &k);
}

/* The same element by element, where masked loads are slow: columns past the end repeat the last. */
static void pack_elements(gemm_writer *w, const panel *p, LLVMValueRef k0, LLVMValueRef kc, LLVMValueRef n0)
{
    emitter *e = w->e;
    elem t = w->s->type;
    int width = p->vectors * w->lanes;
    LLVMValueRef last = plus(e, w->n, -1);
    emit_loop j = emit_for_begin(e, emit_i64(e, 0), emit_i64(e, width), 1);
    LLVMValueRef col = least(e, LLVMBuildNSWAdd(e->b, n0, j.i, ""), last);
    emit_loop k = emit_for_begin(e, emit_i64(e, 0), kc, 1);
    k.unroll = 4;
    LLVMValueRef from = LLVMBuildNSWAdd(e->b, times(e, LLVMBuildNSWAdd(e->b, k0, k.i, ""), w->ldb), col, "");
    LLVMValueRef to = LLVMBuildNSWAdd(e->b, times(e, k.i, emit_i64(e, width)), j.i, "");
    emit_store(e, t, emit_load(e, t, 1, at(w, w->b, from), NULL), at(w, w->room, to), NULL);
    emit_for_end(e, &k);
    emit_for_end(e, &j);
}

/* n x n, in place: blocks of 1, 2, 4, ... off the diagonal change places (Eklundh 1972). */
static void transpose(emitter *e, LLVMValueRef *v, int n)
{
    for (int b = 1; b < n; b *= 2)
        for (int i = 0; i < n; i++) {
            if (i & b)
                continue;
            LLVMValueRef upper[64], lower[64], x = v[i], y = v[i + b];
            for (int j = 0; j < n; j++) {
                upper[j] = emit_i32(e, j & b ? n + j - b : j);
                lower[j] = emit_i32(e, j & b ? n + j : j + b);
            }
            v[i] = LLVMBuildShuffleVector(e->b, x, y, LLVMConstVector(upper, (unsigned)n), "");
            v[i + b] = LLVMBuildShuffleVector(e->b, x, y, LLVMConstVector(lower, (unsigned)n), "");
        }
}

/* The panel of B's transpose, by squares of lanes x lanes and what k leaves over; columns past the end repeat
 * the last and are never stored. */
static void pack_transposed(gemm_writer *w, const panel *p, LLVMValueRef k0, LLVMValueRef kc, LLVMValueRef n0)
{
    enum { MOST_LANES = 16 };
    emitter *e = w->e;
    elem t = w->s->type;
    int lanes = w->lanes;
    LLVMValueRef last = plus(e, w->n, -1), width = emit_i64(e, (int64_t)p->vectors * lanes);
    LLVMValueRef from[MOST_LANES], v[MOST_LANES];
    emit_loop j = emit_for_begin(e, emit_i64(e, 0), width, lanes);
    LLVMValueRef first = LLVMBuildNSWAdd(e->b, n0, j.i, "");
    for (int i = 0; i < lanes; i++) {
        LLVMValueRef col = least(e, plus(e, first, i), last);
        from[i] = at(w, w->b, LLVMBuildNSWAdd(e->b, times(e, col, w->ldb), k0, ""));
    }
    LLVMValueRef whole = emit_and(e, kc, emit_i64(e, -lanes)), to = at(w, w->room, j.i);
    emit_loop square = emit_for_begin(e, emit_i64(e, 0), whole, lanes);
    for (int i = 0; i < lanes; i++)
        v[i] = emit_load(e, t, lanes, at(w, from[i], square.i), NULL);
    transpose(e, v, lanes);
    for (int i = 0; i < lanes; i++)
        emit_store(e, t, v[i], at(w, to, times(e, plus(e, square.i, i), width)), NULL);
    emit_for_end(e, &square);
    if (whole != kc) {              /* constants are unique: equal if k is a known multiple */
        emit_loop rest = emit_for_begin(e, whole, kc, 1);
        LLVMValueRef row = LLVMGetPoison(emit_type(e, t, lanes));
        for (int i = 0; i < lanes; i++)
            row = emit_set_lane(e, row, emit_load(e, t, 1, at(w, from[i], rest.i), NULL), i);
        emit_store(e, t, row, at(w, to, times(e, rest.i, width)), NULL);
        emit_for_end(e, &rest);
    }
    emit_for_end(e, &j);
}

/* All tiles of rows m0 to m1 with the panel at column n0. */
static void write_panel(gemm_writer *w, int vectors, bool ragged, LLVMValueRef m0, LLVMValueRef m1,
                        LLVMValueRef k0, LLVMValueRef kc, LLVMValueRef n0, LLVMValueRef fresh)
{
    emitter *e = w->e;
    panel p = {.vectors = vectors, .c = at(w, w->c, n0)};
    if (ragged) {
        LLVMValueRef left = LLVMBuildNSWSub(e->b, w->n, n0, "");
        for (int v = 0; v < vectors; v++)
            p.mask[v] = emit_mask_below(e, w->lanes, plus(e, left, -(int64_t)v * w->lanes));
    }
    packing how = choose_packing(w, ragged);
    LLVMValueRef direct = NULL, width = emit_i64(e, (int64_t)vectors * w->lanes);
    if (how != PACK_ALWAYS)
        direct = at(w, w->b, LLVMBuildNSWAdd(e->b, times(e, k0, w->ldb), n0, ""));
    if (how == PACK_NEVER) {
        p.at = direct;
        p.ld = w->ldb;
    } else if (how == PACK_ALWAYS) {
        if (w->s->kind == GEMM_NT)
            pack_transposed(w, &p, k0, kc, n0);
        else
            pack_elements(w, &p, k0, kc, n0);
        p.packed = true;
        p.at = w->room;
        p.ld = width;
    } else {
        LLVMValueRef least_rows = emit_i64(e, PACK_ROWS);
        if (w->s->kind == GEMM_NN && w->s->n <= 0)
            least_rows = emit_select(e, emit_cmp(e, CMP_GE, w->ldb, emit_i64(e, FAR_APART)), emit_i64(e, PACK_ROWS_FAR), least_rows);
        LLVMValueRef many = emit_cmp(e, CMP_GE, LLVMBuildNSWSub(e->b, m1, m0, ""), least_rows);
        emit_if c = emit_if_begin(e, many);
        pack_rows(w, &p, k0, kc, n0);
        emit_if_end(e, &c);
        p.at = emit_if_value(e, &c, w->room, direct);
        p.ld = emit_if_value(e, &c, width, w->ldb);
    }
    emit_loop rows = emit_for_begin(e, m0, m1, w->tile.rows);
    rows.runs = true;
    write_tile(w, &p, rows.i, k0, kc, fresh);
    emit_for_end(e, &rows);
}

/* ---- the loops around ---------------------------------------------------------------------------------- */

/* Whole panels, then what is left of n. */
static void write_columns(gemm_writer *w, LLVMValueRef m0, LLVMValueRef m1, LLVMValueRef k0, LLVMValueRef kc,
                          LLVMValueRef fresh)
{
    emitter *e = w->e;
    int width = w->tile.vectors * w->lanes;
    LLVMValueRef whole;
    if (w->s->n > 0) {
        whole = emit_i64(e, w->s->n / width * width);
    } else {
        LLVMValueRef count = LLVMBuildUDiv(e->b, w->n, emit_i64(e, width), "");
        whole = times(e, count, emit_i64(e, width));
    }
    if (w->s->n <= 0 || w->s->n >= width) {
        emit_loop cols = emit_for_begin(e, emit_i64(e, 0), whole, width);
        write_panel(w, w->tile.vectors, false, m0, m1, k0, kc, cols.i, fresh);
        emit_for_end(e, &cols);
    }
    if (w->s->n > 0) {
        int64_t left = w->s->n % width;
        if (left)
            write_panel(w, div_up(left, w->lanes), true, m0, m1, k0, kc, whole, fresh);
    } else {
        emit_if some = emit_if_begin(e, emit_cmp(e, CMP_LT, whole, w->n));
        write_panel(w, w->tile.vectors, true, m0, m1, k0, kc, whole, fresh);
        emit_if_end(e, &some);
    }
}

static void write_k_blocks(gemm_writer *w, LLVMValueRef m0, LLVMValueRef m1)
{
    emitter *e = w->e;
    int64_t block = k_block(w->s);
    LLVMValueRef zero = emit_i64(e, 0);
    if (w->s->k > 0 && w->s->k <= block) {
        write_columns(w, m0, m1, zero, emit_i64(e, w->s->k), emit_bool(e, !w->s->accumulate));
        return;
    }
    emit_loop l = emit_for_begin(e, zero, w->k, block);
    l.runs = true;              /* with k = 0, C is still set to 0 */
    LLVMValueRef kc = least(e, LLVMBuildNSWSub(e->b, w->k, l.i, ""), emit_i64(e, block));
    LLVMValueRef fresh = w->s->accumulate ? emit_bool(e, false) : emit_cmp(e, CMP_EQ, l.i, zero);
    write_columns(w, m0, m1, l.i, kc, fresh);
    emit_for_end(e, &l);
}

static void write_body(gemm_writer *w)
{
    emitter *e = w->e;
    /* nothing to do where C has no elements; below, each loop over rows runs at least once */
    LLVMValueRef zero = emit_i64(e, 0);
    LLVMValueRef any = emit_and(e, emit_cmp(e, CMP_GT, w->m, zero), emit_cmp(e, CMP_GT, w->n, zero));
    emit_if c = emit_if_begin(e, any);
    if (w->s->kind == GEMM_TN) {
        write_k_blocks(w, zero, w->m);
    } else {
        int64_t block = row_block(w);
        emit_loop l = emit_for_begin(e, zero, w->m, block);
        l.runs = true;
        write_k_blocks(w, l.i, least(e, plus(e, l.i, block), w->m));
        emit_for_end(e, &l);
    }
    emit_if_end(e, &c);
}

enum { NAME_SIZE = 128 };

static void name_of(const gemm_spec *s, char name[NAME_SIZE])
{
    static const char *const kinds[] = {[GEMM_NN] = "nn", [GEMM_NT] = "nt", [GEMM_TN] = "tn"};
    snprintf(name, NAME_SIZE, "mpc.gemm.%s.%s%s.m%lld.n%lld.k%lld", kinds[s->kind], elem_name(s->type),
             s->accumulate ? ".add" : "", (long long)s->m, (long long)s->n, (long long)s->k);
}

const char *gemm_name_in(const gemm_set *set, arena *mem, const gemm_spec *spec)
{
    char name[NAME_SIZE];
    name_of(spec, name);
    return arena_printf(mem, "%s%s", set->prefix, name);
}

static bool same(const gemm_spec *a, const gemm_spec *b)
{
    return a->type == b->type && a->kind == b->kind && a->accumulate == b->accumulate && a->m == b->m && a->n == b->n && a->k == b->k;
}

static void set_attributes(emitter *e, LLVMValueRef fn)
{
    emit_attribute(e, fn, -1, "noinline");
    emit_attribute(e, fn, 0, "readonly");
    emit_attribute(e, fn, 2, "readonly");
    emit_attribute(e, fn, 4, "noalias");
}

static LLVMValueRef of_another_module(emitter *e, const gemm_spec *s, LLVMTypeRef type)
{
    gemm_set *set = e->products;
    const char *name = gemm_name_in(set, set->mem, s);
    LLVMValueRef fn = LLVMGetNamedFunction(e->mod, name);
    if (fn)
        return fn;
    uint32_t i = 0;
    while (i < set->n && !same(&set->at[i], s))
        i++;
    if (i == set->n && !vec_push(NULL, set, *s))
        arena_fail(set->mem, ARENA_NO_MEMORY);
    fn = LLVMAddFunction(e->mod, name, type);
    LLVMSetVisibility(fn, LLVMHiddenVisibility);
    set_attributes(e, fn);
    emit_attribute(e, fn, -1, "nounwind");
    return fn;
}

LLVMValueRef gemm_function(emitter *e, const gemm_spec *s)
{
    LLVMTypeRef params[] = {e->ptr_t, e->i64_t, e->ptr_t, e->i64_t, e->ptr_t,
                            e->i64_t, e->i64_t, e->i64_t, e->i64_t};
    if (e->products)
        return of_another_module(e, s, LLVMFunctionType(e->void_t, params, 9, 0));
    char name[NAME_SIZE];
    name_of(s, name);
    LLVMValueRef fn = LLVMGetNamedFunction(e->mod, name);
    if (fn)
        return fn;

    fn = emit_function_begin(e, name, FN_INTERNAL, e->void_t, params, 9);
    set_attributes(e, fn);

    gemm_writer w = {.e = e, .s = s};
    w.a = emit_param(e, 0), w.lda = emit_param(e, 1);
    w.b = emit_param(e, 2), w.ldb = emit_param(e, 3);
    w.c = emit_param(e, 4), w.ldc = emit_param(e, 5);
    w.m = s->m > 0 ? emit_i64(e, s->m) : emit_param(e, 6);
    w.n = s->n > 0 ? emit_i64(e, s->n) : emit_param(e, 7);
    w.k = s->k > 0 ? emit_i64(e, s->k) : emit_param(e, 8);
    w.lanes = cpu_target_lanes(e->target, (int)elem_size(s->type));
    w.tile = choose_tile(e->target, s->n, w.lanes);
    w.unroll = e->target->isa == CPU_AARCH64 ? 2 : 4;       /* more would spill the rows' addresses there */
    bool ragged = s->n <= 0 || s->n % (w.tile.vectors * w.lanes) != 0;
    if (choose_packing(&w, false) != PACK_NEVER || choose_packing(&w, ragged) != PACK_NEVER)
        w.room = emit_local(e, emit_type(e, s->type, 1), k_block(s) * w.tile.vectors * w.lanes, 64);
    write_body(&w);
    emit_return(e, NULL);
    emit_function_end(e);
    return fn;
}

void emit_gemm(emitter *e, const gemm_spec *s, LLVMValueRef a, LLVMValueRef lda, LLVMValueRef b,
               LLVMValueRef ldb, LLVMValueRef c, LLVMValueRef ldc, LLVMValueRef m, LLVMValueRef n,
               LLVMValueRef k)
{
    LLVMValueRef fn = gemm_function(e, s);
    LLVMValueRef args[] = {a, lda, b, ldb, c, ldc, m ? m : emit_i64(e, s->m), n ? n : emit_i64(e, s->n),
                           k ? k : emit_i64(e, s->k)};
    emit_call(e, fn, args, 9);
}
