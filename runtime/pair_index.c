/*
 * The (row, index) pairs that occur. Each row sorts its members by index, keeping their order where indices are equal;
 * rows are independent, so parts of rows are sorted by the threads, then numbered by a running sum, then written.
 *
 * A sort key is the index in the upper half and the member's place in its row in the lower: short rows are sorted by
 * insertion, long ones by bytes of the index (LSD radix), stably.
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/context.h"
#include "runtime/fiber.h"

enum { SHORT_ROW = 32, PART_MEMBERS = 1 << 15, RADIX = 256 };

struct pair_builder {
    const int64_t *ptr;
    int64_t n_rows, n_members;
    const int32_t *index;
    graph_positions eid, name;
    int index_bytes;            /* of the largest index */
    uint64_t *keys, *spare;     /* [n_members] each; a row uses its own stretch */
    fiber_cut cut;
    int64_t *grouped;           /* [n_rows]: members of a row with an index */
    pair_index *pairs;
    int64_t *grouped_before;    /* [n_rows]: grouped members of the rows before */
    int64_t *part_max;          /* [n_parts]: largest pair of a part */
};

typedef pair_builder builder;

static void insertion_sort(uint64_t *k, int64_t n)
{
    for (int64_t i = 1; i < n; i++) {
        uint64_t v = k[i];
        int64_t j = i;
        for (; j > 0 && k[j - 1] > v; j--)
            k[j] = k[j - 1];
        k[j] = v;
    }
}

static void radix_sort(uint64_t *k, uint64_t *spare, int64_t n, int index_bytes)
{
    uint64_t *from = k, *to = spare;
    for (int b = 0; b < index_bytes; b++) {
        int shift = 32 + 8 * b;
        int64_t start[RADIX + 1] = { 0 };
        for (int64_t i = 0; i < n; i++)
            start[(from[i] >> shift & 0xff) + 1]++;
        for (int d = 0; d < RADIX; d++)
            start[d + 1] += start[d];
        for (int64_t i = 0; i < n; i++)
            to[start[from[i] >> shift & 0xff]++] = from[i];
        uint64_t *t = from;
        from = to;
        to = t;
    }
    if (from != k)
        memcpy(k, from, (size_t)n * sizeof *k);
}

/* Sorts the row's members; sets the numbers of its grouped members and of its pairs. */
static void sort_row(const builder *b, int64_t row)
{
    int64_t first = b->ptr[row], end = b->ptr[row + 1], n = 0;
    uint64_t *keys = b->keys + first;
    for (int64_t k = first; k < end; k++) {
        int32_t r = b->index[graph_position(b->eid, k)];
        if (r >= 0)
            keys[n++] = (uint64_t)r << 32 | (uint64_t)(k - first);
    }
    if (n <= SHORT_ROW)
        insertion_sort(keys, n);
    else
        radix_sort(keys, b->spare + first, n, b->index_bytes);
    int64_t n_pairs = 0;
    for (int64_t i = 0; i < n; i++)
        n_pairs += i == 0 || keys[i] >> 32 != keys[i - 1] >> 32;
    b->grouped[row] = n;
    b->pairs->row_ptr[row + 1] = n_pairs;
}

static void sort_part(void *arg, int64_t part, int thread)
{
    (void)thread;
    const builder *b = arg;
    for (int64_t i = b->cut.parts[part].row0; i < b->cut.parts[part].row1; i++)
        sort_row(b, i);
}

static int64_t write_row(const builder *b, int64_t row)
{
    pair_index *p = b->pairs;
    int64_t first = b->ptr[row], end = b->ptr[row + 1], at = b->grouped_before[row], pair = p->row_ptr[row] - 1, most = 0;
    const uint64_t *keys = b->keys + first;
    for (int64_t k = first; k < end; k++)
        p->pair_of[graph_position(b->name, k)] = -1;
    for (int64_t i = 0; i < b->grouped[row]; i++) {
        if (i == 0 || keys[i] >> 32 != keys[i - 1] >> 32) {
            pair++;
            p->pair_row[pair] = (int32_t)row;
            p->pair_idx[pair] = (int32_t)(keys[i] >> 32);
            p->pair_ptr[pair] = at + i;
        }
        int64_t k = graph_position(b->name, first + (int64_t)(keys[i] & 0xffffffffu));
        p->order[at + i] = k;
        p->pair_of[k] = pair;
        int64_t length = at + i + 1 - p->pair_ptr[pair];
        most = length > most ? length : most;
    }
    return most;
}

static void write_part(void *arg, int64_t part, int thread)
{
    (void)thread;
    const builder *b = arg;
    int64_t most = 0;
    for (int64_t i = b->cut.parts[part].row0; i < b->cut.parts[part].row1; i++) {
        int64_t m = write_row(b, i);
        most = m > most ? m : most;
    }
    b->part_max[part] = most;
}

/* Running sums over the rows: where each row's pairs and grouped members begin. */
static void number_rows(const builder *b)
{
    pair_index *p = b->pairs;
    int64_t grouped = 0;
    p->row_ptr[0] = 0;
    for (int64_t i = 0; i < p->n_rows; i++) {
        b->grouped_before[i] = grouped;
        grouped += b->grouped[i];
        p->row_ptr[i + 1] += p->row_ptr[i];
    }
    p->n_grouped = grouped;
    p->n_pairs = p->row_ptr[p->n_rows];
}

static mp_status make_room(mp_context *ctx, builder *b, pair_index *p)
{
    const char *what = "pairs of row and index";
    p->row_ptr = mem_array(ctx, p->n_rows + 1, sizeof *p->row_ptr, what);
    p->pair_of = mem_array(ctx, p->n_members, sizeof *p->pair_of, what);
    b->keys = mem_array(ctx, p->n_members, sizeof *b->keys, what);
    b->spare = mem_array(ctx, p->n_members, sizeof *b->spare, what);
    b->grouped = mem_array(ctx, p->n_rows, sizeof *b->grouped, what);
    b->grouped_before = mem_array(ctx, p->n_rows, sizeof *b->grouped_before, what);
    b->part_max = mem_array(ctx, b->cut.n_parts, sizeof *b->part_max, what);
    return p->row_ptr && p->pair_of && b->keys && b->spare && b->grouped && b->grouped_before && b->part_max ? MP_OK
                                                                                                       : MP_SYSTEM;
}

static mp_status make_pairs(mp_context *ctx, pair_index *p, int64_t n_pairs, int64_t n_grouped)
{
    const char *what = "pairs of row and index";
    p->room_pairs = n_pairs;
    p->room_grouped = n_grouped;
    p->pair_row = mem_array(ctx, n_pairs, sizeof *p->pair_row, what);
    p->pair_idx = mem_array(ctx, n_pairs, sizeof *p->pair_idx, what);
    p->pair_ptr = mem_array(ctx, n_pairs + 1, sizeof *p->pair_ptr, what);
    p->order = mem_array(ctx, n_grouped, sizeof *p->order, what);
    return p->pair_row && p->pair_idx && p->pair_ptr && p->order ? MP_OK : MP_SYSTEM;
}

static void drop(mp_context *ctx, builder *b)
{
    mem_array_free(ctx, b->keys, b->n_members, sizeof *b->keys);
    mem_array_free(ctx, b->spare, b->n_members, sizeof *b->spare);
    mem_array_free(ctx, b->grouped, b->n_rows, sizeof *b->grouped);
    mem_array_free(ctx, b->grouped_before, b->n_rows, sizeof *b->grouped_before);
    mem_array_free(ctx, b->part_max, b->cut.n_parts, sizeof *b->part_max);
    fiber_cut_free(ctx, &b->cut);
}

/* The builder and what of *p does not depend on the index's values. */
static mp_status begin(mp_context *ctx, builder *b, const int64_t *ptr, int64_t n_rows, int64_t n_indices, pair_index *p)
{
    int64_t n_members = n_rows ? ptr[n_rows] : 0;
    if (n_members > 0x7fffffff)
        return error_set(ctx, MP_UNSUPPORTED, "%lld members are too many to be grouped by an index", (long long)n_members);
    *p = (pair_index){ .n_rows = n_rows, .n_members = n_members, .n_indices = n_indices };
    *b = (builder){ .ptr = ptr, .n_rows = n_rows, .n_members = n_members };
    while (b->index_bytes < 4 && n_indices > (int64_t)1 << 8 * b->index_bytes)
        b->index_bytes++;
    mp_status st = fiber_cut_rows(ctx, ptr, n_rows, &(fiber_cost){ 1, PART_MEMBERS, 0, 1 }, &b->cut);
    return st ? st : make_room(ctx, b, p);
}

static void sort(mp_context *ctx, builder *b, const int32_t *index, graph_positions eid, graph_positions name, pair_index *p)
{
    b->index = index;
    b->eid = eid;
    b->name = name;
    b->pairs = p;
    pool_run(ctx->pool, b->cut.n_parts, sort_part, b);
    number_rows(b);
}

static void write_pairs(mp_context *ctx, builder *b)
{
    pair_index *p = b->pairs;
    pool_run(ctx->pool, b->cut.n_parts, write_part, b);
    p->pair_ptr[p->n_pairs] = p->n_grouped;
    p->max_pair = 0;
    for (int64_t i = 0; i < b->cut.n_parts; i++)
        p->max_pair = b->part_max[i] > p->max_pair ? b->part_max[i] : p->max_pair;
}

mp_status pair_index_build(mp_context *ctx, const int64_t *ptr, int64_t n_rows, const int32_t *index,
                           graph_positions eid, graph_positions name, int64_t n_indices, pair_index *out)
{
    pair_index pairs = { 0 };
    builder b = { 0 };
    mp_status st = begin(ctx, &b, ptr, n_rows, n_indices, &pairs);
    if (!st) {
        sort(ctx, &b, index, eid, name, &pairs);
        st = make_pairs(ctx, &pairs, pairs.n_pairs, pairs.n_grouped);
    }
    if (!st)
        write_pairs(ctx, &b);
    drop(ctx, &b);
    if (st)
        pair_index_free(ctx, &pairs);
    else
        *out = pairs;
    return st;
}

mp_status pair_builder_make(mp_context *ctx, const int64_t *ptr, int64_t n_rows, int64_t n_indices, pair_index *out,
                            pair_builder **result)
{
    pair_index pairs = { 0 };
    builder *b = mem_zalloc(ctx, sizeof *b);
    if (!b)
        return error_memory(ctx, sizeof *b, "pairs of row and index");
    mp_status st = begin(ctx, b, ptr, n_rows, n_indices, &pairs);
    if (!st) {
        int64_t most;
        if (__builtin_mul_overflow(n_rows, n_indices, &most) || most > pairs.n_members)
            most = pairs.n_members;
        st = make_pairs(ctx, &pairs, most, pairs.n_members);
    }
    if (st) {
        pair_index_free(ctx, &pairs);
        pair_builder_free(ctx, b);
        return st;
    }
    memset(pairs.row_ptr, 0, (size_t)(n_rows + 1) * sizeof *pairs.row_ptr);
    pairs.pair_ptr[0] = 0;
    *out = pairs;
    *result = b;
    return MP_OK;
}

void pair_builder_run(mp_context *ctx, pair_builder *b, const int32_t *index, graph_positions eid, graph_positions name,
                      pair_index *pairs)
{
    sort(ctx, b, index, eid, name, pairs);
    write_pairs(ctx, b);
}

void pair_builder_free(mp_context *ctx, pair_builder *b)
{
    if (!b)
        return;
    drop(ctx, b);
    mem_free(ctx, b, sizeof *b);
}

void pair_index_free(mp_context *ctx, pair_index *p)
{
    mem_array_free(ctx, p->row_ptr, p->n_rows + 1, sizeof *p->row_ptr);
    mem_array_free(ctx, p->pair_row, p->room_pairs, sizeof *p->pair_row);
    mem_array_free(ctx, p->pair_idx, p->room_pairs, sizeof *p->pair_idx);
    mem_array_free(ctx, p->pair_ptr, p->room_pairs + 1, sizeof *p->pair_ptr);
    mem_array_free(ctx, p->order, p->room_grouped, sizeof *p->order);
    mem_array_free(ctx, p->pair_of, p->n_members, sizeof *p->pair_of);
    *p = (pair_index){ 0 };
}

void pair_index_by_index_into(const pair_index *p, int64_t *ptr, int64_t *order)
{
    memset(ptr, 0, (size_t)(p->n_indices + 1) * sizeof *ptr);
    for (int64_t i = 0; i < p->n_pairs; i++)
        ptr[p->pair_idx[i] + 1]++;
    for (int64_t r = 0; r < p->n_indices; r++)
        ptr[r + 1] += ptr[r];
    for (int64_t i = 0; i < p->n_pairs; i++)
        order[ptr[p->pair_idx[i]]++] = i;
    if (p->n_indices)
        memmove(ptr + 1, ptr, (size_t)p->n_indices * sizeof *ptr);
    ptr[0] = 0;
}

mp_status pair_index_by_index(mp_context *ctx, const pair_index *p, int64_t **idx_ptr, int64_t **idx_order)
{
    int64_t *ptr = mem_array(ctx, p->n_indices + 1, sizeof *ptr, "pairs by index");
    int64_t *order = mem_array(ctx, p->n_pairs, sizeof *order, "pairs by index");
    if (!ptr || !order) {
        mem_array_free(ctx, ptr, p->n_indices + 1, sizeof *ptr);
        mem_array_free(ctx, order, p->n_pairs, sizeof *order);
        return MP_SYSTEM;
    }
    pair_index_by_index_into(p, ptr, order);
    *idx_ptr = ptr;
    *idx_order = order;
    return MP_OK;
}
