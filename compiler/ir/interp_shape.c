/* Over feature axes: reductions, contractions, and elements in another order or place. */
#include "compiler/ir/interp_int.h"

#include <math.h>
#include <string.h>

static void strides_of(const extent *e, int64_t *stride)
{
    int64_t step = 1;
    for (uint32_t k = e->rank; k-- > 0;) {
        stride[k] = step;
        step *= e->d[k];
    }
}

static double reduced(const run *x, const ir_node *n, double before, double a)
{
    if (n->op == OP_RSUM)
        return run_keep(x, n->type, before + a);
    if (isnan(before) || isnan(a))
        return NAN;
    return n->op == OP_RMAX ? (a > before ? a : before) : (a < before ? a : before);
}

void run_reduce(run *x, ir_val v, const extent *e, double *out, int64_t rows)
{
    const ir_node *n = node_of(x, v);
    extent from = run_extent(x, n->args[0]);
    uint32_t axis = (uint32_t)n->u.axis;
    int64_t inner = 1, len = from.d[axis];
    for (uint32_t k = axis + 1; k < from.rank; k++)
        inner *= from.d[k];
    for (int64_t m = 0; m < rows; m++) {
        const double *a = array_of(x, n->args[0])->at + m * from.n;
        for (int64_t i = 0; i < e->n; i++) {
            const double *first = a + i / inner * len * inner + i % inner;
            double y = n->op == OP_RSUM || !len ? 0 : *first;
            for (int64_t k = 0; k < len; k++)
                y = reduced(x, n, y, first[k * inner]);
            out[m * e->n + i] = y;
        }
    }
}

void run_einsum(run *x, ir_val v, const extent *e, double *out, int64_t rows)
{
    enum { LETTERS = 2 * IR_MAX_RANK };
    const ir_node *n = node_of(x, v);
    const ir_einsum *s = &n->u.ein;
    extent ea = run_extent(x, n->args[0]), eb = run_extent(x, n->args[1]);
    int64_t sa[IR_MAX_RANK], sb[IR_MAX_RANK], d[LETTERS] = {0}, step_a[LETTERS] = {0}, step_b[LETTERS] = {0};
    strides_of(&ea, sa);
    strides_of(&eb, sb);
    for (uint32_t k = 0; k < s->na; k++) {
        d[s->a[k]] = ea.d[k];
        step_a[s->a[k]] = sa[k];
    }
    for (uint32_t k = 0; k < s->nb; k++) {
        d[s->b[k]] = eb.d[k];
        step_b[s->b[k]] = sb[k];
    }
    /* The letters of the result, then those that are summed. */
    uint8_t letters[LETTERS];
    uint32_t all = s->nout;
    int64_t size[LETTERS], sums = 1;
    memcpy(letters, s->out, s->nout);
    for (uint32_t c = 0; c < LETTERS; c++)
        if ((memchr(s->a, (int)c, s->na) || memchr(s->b, (int)c, s->nb)) && !memchr(s->out, (int)c, s->nout)) {
            letters[all++] = (uint8_t)c;
            sums *= d[c];
        }
    for (uint32_t k = 0; k < all; k++)
        size[k] = d[letters[k]];
    bool summed = all > s->nout;                /* the last letter, which steps fastest, is in a loop of its own */
    uint8_t last = summed ? letters[--all] : 0;
    int64_t len = summed ? d[last] : 1, step_last_a = summed ? step_a[last] : 0, step_last_b = summed ? step_b[last] : 0;
    for (int64_t m = 0; sums && e->n && m < rows; m++) {
        const double *a = row_of(x, n->args[0], m), *b = row_of(x, n->args[1], m);
        int64_t index[LETTERS] = {0}, done = 0;
        do {
            int64_t at_a = 0, at_b = 0;
            for (uint32_t k = 0; k < all; k++) {
                at_a += index[k] * step_a[letters[k]];
                at_b += index[k] * step_b[letters[k]];
            }
            double *y = &out[m * e->n + done / sums];
            for (int64_t k = 0; k < len; k++)
                *y = run_keep(x, n->type, *y + run_keep(x, n->type, a[at_a + k * step_last_a] * b[at_b + k * step_last_b]));
            done += len;
        } while (step_index(index, size, all));
    }
}

/* Where the result's element at `index` comes from in the operand, for the operations that pick elements. */
static int64_t source_of(const ir_node *n, const extent *from, const int64_t *stride, const int64_t *index, uint32_t rank, int64_t lo)
{
    int64_t at = 0;
    for (uint32_t k = 0; k < rank; k++) {
        if (n->op == OP_TRANSPOSE)
            at += index[k] * stride[n->u.perm[k]];
        else if (n->op == OP_SLICE)
            at += (index[k] + (k == (uint32_t)n->u.slice.axis ? lo : 0)) * stride[k];
        else if (k + from->rank >= rank && from->d[k + from->rank - rank] != 1)         /* broadcast */
            at += index[k] * stride[k + from->rank - rank];
    }
    return at;
}

static void run_pick(run *x, ir_val v, const extent *e, double *out, int64_t rows)
{
    const ir_node *n = node_of(x, v);
    extent from = run_extent(x, n->args[0]);
    int64_t stride[IR_MAX_RANK] = {0}, lo = n->op == OP_SLICE ? run_dim(x, v, n->u.slice.lo) : 0;
    strides_of(&from, stride);
    if (n->op == OP_SLICE && (lo < 0 || lo > from.d[n->u.slice.axis] - e->d[n->u.slice.axis]))
        run_fail(x, v, "%lld elements from %lld of an axis of %lld", (long long)e->d[n->u.slice.axis], (long long)lo,
                 (long long)from.d[n->u.slice.axis]);
    for (int64_t m = 0; e->n && m < rows; m++) {
        const double *a = row_of(x, n->args[0], m);
        int64_t index[IR_MAX_RANK] = {0}, at = 0;
        do
            out[m * e->n + at++] = a[source_of(n, &from, stride, index, e->rank, lo)];
        while (step_index(index, e->d, e->rank));
    }
}

static void run_concat(run *x, ir_val v, const extent *e, double *out, int64_t rows)
{
    const ir_node *n = node_of(x, v);
    uint32_t axis = (uint32_t)n->u.axis;
    int64_t inner = 1, outer = 1, before = 0;
    for (uint32_t k = 0; k < e->rank; k++)
        *(k < axis ? &outer : &inner) *= k == axis ? 1 : e->d[k];
    for (uint32_t p = 0; p < n->nargs; p++) {
        int64_t len = run_extent(x, n->args[p]).d[axis];
        for (int64_t m = 0; m < rows; m++) {
            const double *a = row_of(x, n->args[p], m);
            for (int64_t o = 0; o < outer; o++)
                memcpy(&out[m * e->n + (o * e->d[axis] + before) * inner], &a[o * len * inner], (size_t)(len * inner) * sizeof *a);
        }
        before += len;
    }
}

/* y[.., k, ..] = a[i[..], k], or for unlookup y[i[..], k] += a[.., k]. */
static void run_lookup(run *x, ir_val v, const extent *e, double *out, int64_t rows)
{
    const ir_node *n = node_of(x, v);
    bool un = n->op == OP_ONEHOT_ADD;
    int64_t places = run_extent(x, n->args[1]).n, range = un ? e->d[0] : run_extent(x, n->args[0]).d[0];
    int64_t inner = un ? (range ? e->n / range : 0) : (places ? e->n / places : 0);
    for (int64_t m = 0; m < rows; m++) {
        const double *a = row_of(x, n->args[0], m), *i = row_of(x, n->args[1], m);
        for (int64_t p = 0; p < places; p++) {
            int64_t at = (int64_t)i[p];
            if (at >= range)
                run_fail(x, v, "index %lld of %lld", (long long)at, (long long)range);
            for (int64_t k = 0; at >= 0 && k < inner; k++) {
                double *y = &out[m * e->n + (un ? at : p) * inner + k];
                double from = a[(un ? p : at) * inner + k];
                *y = un ? run_keep(x, n->type, *y + from) : from;
            }
        }
    }
}

static void run_spread(run *x, ir_val v, const extent *e, double *out, int64_t rows)
{
    const ir_node *n = node_of(x, v);
    bool un = n->op == OP_UNSPREAD;
    const pair_list *p = &x->pairs[node_of(x, n->args[1])->u.cod.i];
    int64_t inner = un ? e->n : run_extent(x, n->args[0]).n, wide = un ? run_extent(x, n->args[0]).n : e->n;
    (void)rows;
    for (int64_t i = 0; i < p->n; i++) {
        int64_t apart = p->first[i] * wide + p->second[i] * inner;
        memcpy(&out[un ? i * inner : apart], &array_of(x, n->args[0])->at[un ? apart : i * inner], (size_t)inner * sizeof *out);
    }
}

void run_shape(run *x, ir_val v, const extent *e, double *out, int64_t rows)
{
    const ir_node *n = node_of(x, v);
    const interp_array *a = array_of(x, n->args[0]);
    if (n->op == OP_TRANSPOSE || n->op == OP_BROADCAST || n->op == OP_SLICE) {
        run_pick(x, v, e, out, rows);
    } else if (n->op == OP_CONCAT) {
        run_concat(x, v, e, out, rows);
    } else if (n->op == OP_LOOKUP || n->op == OP_ONEHOT_ADD) {
        run_lookup(x, v, e, out, rows);
    } else if (n->op == OP_SPREAD || n->op == OP_UNSPREAD) {
        run_spread(x, v, e, out, rows);
    } else {                                    /* reshape, rows, unrows: the same in memory */
        if (a->n != rows * e->n)
            run_fail(x, v, "%lld elements as %lld", (long long)a->n, (long long)(rows * e->n));
        memcpy(out, a->at, (size_t)a->n * sizeof *out);
    }
}
