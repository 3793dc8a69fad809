/*
 * Which products of a launch cuBLAS does, and how: the code's description of them (device_code.h) at the sizes of a graph.
 *
 * A launch is taken apart where that is faster by an estimate from the device's own numbers: a kernel of ours reaches some 0.3 of
 * the peak in a product, cuBLAS some 0.8; what is stored for it goes through memory twice; each more launch costs some microseconds.
 * Nothing here is trusted before it is checked against the program: what does not fit is left to the kernel.
 */
#include "runtime/device_product.h"

#include <limits.h>

enum { PIECE_MEMBERS = DEVICE_PIECE };
static const double OURS = 0.3, BLAS = 0.8, LAUNCH = 3e-6;

/* ---- where the launch stands ------------------------------------------------------------------------------------ */

/* In a loop the places of buffers, and whether a step is taken at all, are known on the device alone. */
static bool in_loop(const prepared *p, uint32_t kernel)
{
    const desc_program *d = p->program;
    int depth = 0;
    for (uint32_t i = 0; i < d->n_steps; i++) {
        const desc_step *s = &d->steps[i];
        depth += s->kind == STEP_LOOP;
        depth -= s->kind == STEP_END;
        if (s->kind == STEP_LAUNCH && s->a == kernel && depth)
            return true;
    }
    return false;
}

/* Rows that a call decides on. */
static bool is_open(const prepared *p, mp_rows rows)
{
    return rows.kind == ROWS_PAIRS && !p->pairs[rows.which].made;
}

/* A buffer whose place the host knows. */
static bool is_fixed(const prepared *p, uint32_t buffer)
{
    const desc_program *d = p->program;
    const desc_buffer *b = &d->buffers[buffer];
    switch ((mp_buffer_kind)b->kind) {
    case BUF_INPUT: case BUF_OUTPUT: case BUF_WORK: case BUF_SAVED: case BUF_COTANGENT: case BUF_GRADIENT: break;
    case BUF_GRAPH: case BUF_PAIR_ROW: case BUF_PAIR_IDX: case BUF_PAIR_MEMBER: case BUF_PAIR_OF: case BUF_PAIR_BY_INDEX: case BUF_EDGE_ROW:
    case BUF_EDGE_ROW_OUT: case BUF_SLOT: return false;
    }
    for (uint32_t i = 0; i < d->n_steps; i++)
        if (d->steps[i].kind == STEP_SWAP && (d->steps[i].a == buffer || d->steps[i].b == buffer))
            return false;
    return !b->sequence && !is_open(p, b->rows);
}

/* ---- numbers ---------------------------------------------------------------------------------------------------- */

typedef struct sizes { int64_t m, n, k, batch, a_m, a_k, b_k, b_n, a_batch, b_batch, c_batch; } sizes;
typedef struct array { int64_t row, all, at; } array;          /* elements of a row, of all; where the operand begins */
typedef struct view { const prepared *p; int64_t n_rows, n_members; const device_kernel *code; } view;

static bool value(const view *v, device_size s, int64_t *out)
{
    if (s.slot != DEVICE_NONE && s.slot >= v->p->program->n_slots)
        return false;
    *out = s.slot == DEVICE_NONE ? s.value : v->p->dim[s.slot];
    return *out >= 0;
}

static bool read_sizes(const view *v, const device_product *q, sizes *s)
{
    bool ok = value(v, q->m, &s->m) && value(v, q->n, &s->n) && value(v, q->k, &s->k) && value(v, q->batch, &s->batch) && value(v, q->a_m, &s->a_m) &&
              value(v, q->a_k, &s->a_k) && value(v, q->b_k, &s->b_k) && value(v, q->b_n, &s->b_n) && value(v, q->a_batch, &s->a_batch) &&
              value(v, q->b_batch, &s->b_batch) && value(v, q->c_batch, &s->c_batch);
    return ok && s->m > 0 && s->n > 0 && s->k > 0 && s->batch > 0;
}

static int64_t own_rows(const view *v, const device_own *o)
{
    return o->rows == DEVICE_ONE_ROW ? 1 : o->rows == DEVICE_ROWS ? v->n_rows : v->n_members;
}

static bool find_array(const view *v, const device_operand *o, uint32_t element, array *out)
{
    int64_t rows;
    if (o->is_own) {
        rows = own_rows(v, &v->code->own[o->id]);
        if (!value(v, v->code->own[o->id].elems, &out->row))
            return false;
    } else {
        const desc_program *d = v->p->program;
        if (o->id >= d->n_buffers || !is_fixed(v->p, o->id) || d->buffers[o->id].type != (element == 8 ? DESC_F64 : DESC_F32))
            return false;
        rows = v->p->rows[o->id];
        out->row = desc_size_value(&d->buffers[o->id].elems, v->p->dim);
    }
    return value(v, o->at, &out->at) && !__builtin_mul_overflow(rows, out->row, &out->all);
}

/* Are the elements at + Σ i_j stride_j, i_j < n_j, all in the array? */
static bool reaches(const array *a, const int64_t *n, const int64_t *stride, int axes)
{
    int64_t last = a->at, more;
    for (int i = 0; i < axes; i++)
        if (__builtin_mul_overflow(n[i] - 1, stride[i], &more) || __builtin_add_overflow(last, more, &last))
            return false;
    return last < a->all;
}

static bool to_int(int64_t x, int *out)
{
    *out = (int)x;
    return x >= 0 && x <= INT_MAX;
}

/* The distance of columns: at least their length; where there is one alone it is not asked. */
static bool to_ld(int64_t ld, int64_t length, int64_t columns, int *out)
{
    return (ld >= length || columns == 1) && to_int(ld > length ? ld : length, out);
}

/* X W, by rows; in the words of cuBLAS, by columns, (X W)^T = W^T X^T. */
static bool product_of_rows(const view *v, const sizes *s, const array *a, const array *b, const array *c, blas_gemm *g)
{
    int64_t rows = v->n_rows, all;
    if (s->a_k != 1 || (s->b_n != 1 && s->b_k != 1) || __builtin_mul_overflow(rows, s->m, &all))
        return false;
    if (s->m > 1 && (a->row != s->m * s->a_m || c->row != s->m * s->n))
        return false;
    bool plain = s->b_n == 1;
    g->ta = plain ? CUBLAS_N : CUBLAS_T;
    g->tb = CUBLAS_N;
    return reaches(a, (int64_t[]){ rows, s->batch, s->m, s->k }, (int64_t[]){ a->row, s->a_batch, s->a_m, 1 }, 4) &&
           reaches(b, (int64_t[]){ s->batch, s->k, s->n }, (int64_t[]){ s->b_batch, s->b_k, s->b_n }, 3) &&
           reaches(c, (int64_t[]){ rows, s->batch, s->m, s->n }, (int64_t[]){ c->row, s->c_batch, s->n, 1 }, 4) && to_int(s->n, &g->m) &&
           to_int(all, &g->n) && to_int(s->k, &g->k) && to_ld(plain ? s->b_k : s->b_n, plain ? s->n : s->k, plain ? s->k : s->n, &g->lda) &&
           to_ld(s->m > 1 ? s->a_m : a->row, s->k, all, &g->ldb) && to_ld(s->m > 1 ? s->n : c->row, s->n, all, &g->ldc);
}

/* A^T B over the members: by columns (A^T B)^T = B^T A; transposed it is A^T B itself. */
static bool product_of_members(const view *v, const device_product *q, const sizes *s, const array *a, const array *b, const array *c, blas_gemm *g)
{
    int64_t members = v->n_members, all, a_ld = s->k > 1 ? s->a_k : a->row, b_ld = s->k > 1 ? s->b_k : b->row;
    if (s->a_m != 1 || s->b_n != 1 || __builtin_mul_overflow(members, s->k, &all) || (q->transposed && s->batch > 1))
        return false;
    if (s->k > 1 && (a->row != s->k * s->a_k || b->row != s->k * s->b_k))
        return false;
    g->ta = CUBLAS_N;
    g->tb = CUBLAS_T;
    return reaches(a, (int64_t[]){ members, s->batch, s->k, s->m }, (int64_t[]){ a->row, s->a_batch, s->a_k, 1 }, 4) &&
           reaches(b, (int64_t[]){ members, s->batch, s->k, s->n }, (int64_t[]){ b->row, s->b_batch, s->b_k, 1 }, 4) &&
           reaches(c, (int64_t[]){ s->batch, s->m, s->n }, (int64_t[]){ s->c_batch, s->n, 1 }, 3) && to_int(q->transposed ? s->m : s->n, &g->m) &&
           to_int(q->transposed ? s->n : s->m, &g->n) && to_int(all, &g->k) &&
           to_ld(q->transposed ? a_ld : b_ld, g->m, all, &g->lda) && to_ld(q->transposed ? b_ld : a_ld, g->n, all, &g->ldb) && to_int(g->m, &g->ldc);
}

static device_place place_of(const device_operand *o, const array *a, uint32_t element)
{
    return (device_place){ o->is_own, o->id, (size_t)a->at * element };
}

static bool make_product(const view *v, const device_product *q, device_gemm *out)
{
    sizes s;
    array a, b, c;
    *out = (device_gemm){ .call = { .wide = q->element == 8, .accumulate = q->accumulate } };
    blas_gemm *g = &out->call;
    if (!read_sizes(v, q, &s) || !find_array(v, &q->a, q->element, &a) || !find_array(v, &q->b, q->element, &b) || !find_array(v, &q->c, q->element, &c) ||
        !to_int(s.batch, &g->batch))
        return false;
    if (q->sum ? !product_of_members(v, q, &s, &a, &b, &c, g) : !product_of_rows(v, &s, &a, &b, &c, g))
        return false;
    bool as_is = q->transposed;                 /* A first */
    out->first = as_is ? place_of(&q->a, &a, q->element) : place_of(&q->b, &b, q->element);
    out->second = as_is ? place_of(&q->b, &b, q->element) : place_of(&q->a, &a, q->element);
    out->result = place_of(&q->c, &c, q->element);
    g->a_apart = as_is ? s.a_batch : s.b_batch;
    g->b_apart = as_is ? s.b_batch : s.a_batch;
    g->c_apart = s.c_batch;
    return true;
}

/* ---- is it worth it? -------------------------------------------------------------------------------------------- */

static double seconds_saved(const mp_context *ctx, const view *v, const device_gemm *list)
{
    const device *d = ctx->device;
    const device_kernel *k = v->code;
    double saved = 0, bytes = 0;
    int launches = (int)k->n_products + (k->before != DEVICE_NONE) + (k->after != DEVICE_NONE) - 1;
    for (uint32_t i = 0; i < k->n_products; i++) {
        const blas_gemm *g = &list[i].call;
        double result = (double)g->m * g->n * g->batch, element = g->wide ? 8 : 4;
        saved += 2 * result * g->k / (g->wide ? d->flops / 2 : d->flops) * (1 / OURS - 1 / BLAS);
        if (k->products[i].sum)                 /* ours are sums of pieces, which are stored and read again */
            bytes -= 2 * result * element * ((double)v->n_members / PIECE_MEMBERS);
        else if (k->after != DEVICE_NONE && !list[i].result.is_own)
            bytes += result * element;
    }
    for (uint32_t i = 0; i < k->n_own; i++) {
        int64_t elems = 0;
        value(v, k->own[i].elems, &elems);
        bytes += 2.0 * (double)own_rows(v, &k->own[i]) * (double)elems * k->own[i].element;
    }
    return saved - bytes / d->bandwidth - launches * LAUNCH;
}

/* Places of the launch's own memory. */
static bool lay_out(const view *v, device_launch *l)
{
    size_t end = 0;
    for (uint32_t i = 0; i < v->code->n_own; i++) {
        int64_t elems;
        size_t row, all;
        if (!value(v, v->code->own[i].elems, &elems) || !mem_size(elems, v->code->own[i].element, &row) ||
            !mem_size(own_rows(v, &v->code->own[i]), row, &all) || all > PTRDIFF_MAX / 16)
            return false;
        l->own_at[i] = end;
        end += round_up_64(all);
    }
    l->own_bytes = end;
    return true;
}

mp_status device_products_make(mp_layer *layer, prepared *p, uint32_t kernel, int64_t n_rows, int64_t n_members, device_launch *l)
{
    mp_context *ctx = layer->ctx;
    const desc_kernel *k = &p->program->kernels[kernel];
    view v = { p, n_rows, n_members, &p->device->mod->code.kernels[k->entry] };
    device_products_free(ctx, l);
    if (!v.code->n_products || n_rows < 1 || in_loop(p, kernel) || is_open(p, k->rows))
        return MP_OK;
    bool sums = k->rows.kind == ROWS_ONE && k->fiber.kind == FIBER_ALL && n_members > 0;
    for (uint32_t i = 0; i < v.code->n_products; i++)
        if (v.code->products[i].sum && !sums)
            return MP_OK;
    if (v.code->before != DEVICE_NONE && !sums)
        return MP_OK;
    device_gemm *list = mem_array(ctx, v.code->n_products, sizeof *list, "products");
    if (!list)
        return MP_SYSTEM;
    bool ok = lay_out(&v, l);
    for (uint32_t i = 0; i < v.code->n_products && ok; i++)
        ok = make_product(&v, &v.code->products[i], &list[i]);
    if (ok && seconds_saved(ctx, &v, list) >= 0 && device_blas_open(ctx)) {
        l->products = list;
        l->n_products = v.code->n_products;
        context_log(ctx, "%s: products by cuBLAS: %u", k->name, l->n_products);
        return MP_OK;
    }
    l->own_bytes = 0;
    mem_array_free(ctx, list, v.code->n_products, sizeof *list);
    return MP_OK;
}

void device_products_free(mp_context *ctx, device_launch *l)
{
    mem_array_free(ctx, l->products, l->n_products, sizeof *l->products);
    l->products = NULL;
    l->n_products = 0;
    l->own_bytes = 0;
}

/* ---- in a call -------------------------------------------------------------------------------------------------- */

static char *address(const prepared *p, const device_launch *l, char *own, device_place at)
{
    char *base = at.is_own ? own + l->own_at[at.id] : p->base[at.id];
    return base + at.bytes;
}

mp_status device_products_run(mp_context *ctx, const prepared *p, const device_launch *l, char *own)
{
    mp_status st = MP_OK;
    for (uint32_t i = 0; i < l->n_products && !st; i++) {
        blas_gemm g = l->products[i].call;
        g.a = address(p, l, own, l->products[i].first);
        g.b = address(p, l, own, l->products[i].second);
        g.c = address(p, l, own, l->products[i].result);
        st = device_blas_run(ctx, &g, 1, own + l->own_bytes);
    }
    return st;
}
