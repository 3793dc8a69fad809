/*
 * Two levels: chunks of the edge list are dealt out to buckets of neighbouring keys (a histogram a chunk, running sums,
 * then each chunk writes to its own places), and each bucket, small enough for a cache, is sorted by counting.
 */
#include "runtime/graph_sort.h"

#include <string.h>
#include "runtime/context.h"

enum { MAX_BUCKETS = 1024, MAX_CHUNKS = 256, CHUNK_EDGES = 1 << 15 };

typedef struct entry {
    int32_t key, other, eid, extra;
} entry;

typedef struct sorter {
    const edge_sort *s;
    int shift;                  /* bucket of a key: key >> shift */
    int64_t n_buckets, n_chunks, chunk;
    int64_t *at;                /* [n_chunks][n_buckets]: counts, then where the chunk writes next in a bucket */
    int64_t *start;             /* [n_buckets + 1] */
    entry *dealt;               /* [n_edges], by bucket */
} sorter;

static void chunk_range(const sorter *t, int64_t c, int64_t *first, int64_t *end)
{
    *first = c * t->chunk;
    *end = t->s->n_edges - *first < t->chunk ? t->s->n_edges : *first + t->chunk;
}

static void count_chunk(void *arg, int64_t c, int thread)
{
    (void)thread;
    const sorter *t = arg;
    int64_t first, end, *count = t->at + c * t->n_buckets;
    memset(count, 0, (size_t)t->n_buckets * sizeof *count);
    chunk_range(t, c, &first, &end);
    for (int64_t e = first; e < end; e++)
        count[t->s->key[e] >> t->shift]++;
}

static void place_chunks(const sorter *t)
{
    int64_t sum = 0;
    for (int64_t b = 0; b < t->n_buckets; b++) {
        t->start[b] = sum;
        for (int64_t c = 0; c < t->n_chunks; c++) {
            int64_t n = t->at[c * t->n_buckets + b];
            t->at[c * t->n_buckets + b] = sum;
            sum += n;
        }
    }
    t->start[t->n_buckets] = sum;
}

static void deal_chunk(void *arg, int64_t c, int thread)
{
    (void)thread;
    const sorter *t = arg;
    const edge_sort *s = t->s;
    int64_t first, end, *at = t->at + c * t->n_buckets;
    chunk_range(t, c, &first, &end);
    for (int64_t e = first; e < end; e++) {
        int32_t key = s->key[e];
        t->dealt[at[key >> t->shift]++] = (entry){ key, s->other[e], (int32_t)e, s->extra ? s->extra[e] : 0 };
    }
}

static void sort_bucket(void *arg, int64_t b, int thread)
{
    (void)thread;
    const sorter *t = arg;
    const edge_sort *s = t->s;
    int64_t row0 = b << t->shift, row1 = (b + 1) << t->shift, sum = t->start[b];
    row1 = row1 < s->n_keys ? row1 : s->n_keys;
    int64_t *ptr = s->ptr;
    memset(ptr + row0, 0, (size_t)(row1 - row0) * sizeof *ptr);
    for (int64_t i = t->start[b]; i < t->start[b + 1]; i++)
        ptr[t->dealt[i].key]++;
    for (int64_t r = row0; r < row1; r++) {
        int64_t n = ptr[r];
        ptr[r] = sum;
        sum += n;
    }
    for (int64_t i = t->start[b]; i < t->start[b + 1]; i++) {
        const entry *d = &t->dealt[i];
        int64_t k = ptr[d->key]++;
        s->other_out[k] = d->other;
        s->eid_out[k] = d->eid;
        if (s->extra)
            s->extra_out[k] = d->extra;
    }
    /* Each row's entry is now its end, which is where the next one starts. */
    memmove(ptr + row0 + 1, ptr + row0, (size_t)(row1 - row0 - 1) * sizeof *ptr);
    ptr[row0] = t->start[b];
}

mp_status graph_sort_edges(mp_context *ctx, const edge_sort *s)
{
    if (s->n_edges == 0) {
        memset(s->ptr, 0, (size_t)(s->n_keys + 1) * sizeof *s->ptr);
        return MP_OK;
    }
    sorter t = { .s = s };
    while ((s->n_keys - 1) >> t.shift >= MAX_BUCKETS)
        t.shift++;
    t.n_buckets = ((s->n_keys - 1) >> t.shift) + 1;
    t.chunk = CHUNK_EDGES;
    while ((s->n_edges + t.chunk - 1) / t.chunk > MAX_CHUNKS)
        t.chunk *= 2;
    t.n_chunks = (s->n_edges + t.chunk - 1) / t.chunk;
    t.at = mem_array(ctx, t.n_chunks * t.n_buckets, sizeof *t.at, "sorting edges");
    t.start = mem_array(ctx, t.n_buckets + 1, sizeof *t.start, "sorting edges");
    t.dealt = mem_array(ctx, s->n_edges, sizeof *t.dealt, "sorting edges");
    bool room = t.at && t.start && t.dealt;
    if (room) {
        pool_run(ctx->pool, t.n_chunks, count_chunk, &t);
        place_chunks(&t);
        pool_run(ctx->pool, t.n_chunks, deal_chunk, &t);
        pool_run(ctx->pool, t.n_buckets, sort_bucket, &t);
        s->ptr[s->n_keys] = s->n_edges;
    }
    mem_array_free(ctx, t.at, t.n_chunks * t.n_buckets, sizeof *t.at);
    mem_array_free(ctx, t.start, t.n_buckets + 1, sizeof *t.start);
    mem_array_free(ctx, t.dealt, s->n_edges, sizeof *t.dealt);
    return room ? MP_OK : MP_SYSTEM;
}
