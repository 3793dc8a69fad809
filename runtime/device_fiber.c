/*
 * Graphs on a GPU: see device_fiber.h.
 */
#include "runtime/device_fiber.h"

#include <string.h>
#include "runtime/graph_arrays.h"

enum { BUCKETS = 65, OWN_FIBERS = 5 };

struct device_graph {
    const void *arrays[GRAPH_N_ARRAYS];
    size_t bytes[GRAPH_N_ARRAYS];
    device_fiber fibers[OWN_FIBERS];
    bool made[OWN_FIBERS];
};

/* ---- Fibers ----------------------------------------------------------------------------------------------------- */

/* 0 for no members, else 1 + the power of two. */
static int bucket_of(int64_t members)
{
    return members > 0 ? 64 - __builtin_clzll((unsigned long long)members) : 0;
}

/* A counting sort, stable: rows of a bucket stay in their order. */
static void order_rows(const int64_t *ptr, int64_t n, int32_t *order)
{
    int64_t first[BUCKETS + 1] = { 0 };
    for (int64_t i = 0; i < n; i++)
        first[BUCKETS - 1 - bucket_of(ptr[i + 1] - ptr[i]) + 1]++;
    for (int b = 0; b < BUCKETS; b++)
        first[b + 1] += first[b];
    for (int64_t i = 0; i < n; i++)
        order[first[BUCKETS - 1 - bucket_of(ptr[i + 1] - ptr[i])]++] = (int32_t)i;
}

static void count_hubs(const int64_t *ptr, int64_t n, int64_t *hubs, int64_t *pieces)
{
    *hubs = *pieces = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t members = ptr[i + 1] - ptr[i];
        if (members <= DEVICE_HUB)
            continue;
        ++*hubs;
        *pieces += (members + DEVICE_PIECE - 1) / DEVICE_PIECE;
    }
}

int64_t device_fiber_most_pieces(int64_t n_members)
{
    return n_members / DEVICE_PIECE + n_members / DEVICE_HUB + 1;
}

/* Where the parts stand in the block, in bytes: offsets, hubs, their first pieces, rows and beginnings of pieces, order. */
typedef struct parts { size_t ptr, hub_row, hub_first, piece_row, piece_at, order, bytes; } parts;

static bool lay_out(int64_t n_rows, int64_t hubs, int64_t pieces, parts *p)
{
    const int64_t counts[] = { n_rows + 1, hubs, hubs + 1, pieces, pieces };
    size_t *const at[] = { &p->ptr, &p->hub_row, &p->hub_first, &p->piece_row, &p->piece_at }, bytes;
    p->bytes = 0;
    for (int i = 0; i < 5; i++) {
        *at[i] = p->bytes;
        if (!mem_size(counts[i], 8, &bytes) || __builtin_add_overflow(p->bytes, bytes, &p->bytes))
            return false;
    }
    p->order = p->bytes;
    return mem_size(n_rows, 4, &bytes) && !__builtin_add_overflow(p->bytes, bytes, &p->bytes);
}

static void write_parts(const int64_t *ptr, int64_t n_rows, const parts *p, char *host)
{
    int64_t *hub_row = (int64_t *)(void *)(host + p->hub_row), *hub_first = (int64_t *)(void *)(host + p->hub_first);
    int64_t *piece_row = (int64_t *)(void *)(host + p->piece_row), *piece_at = (int64_t *)(void *)(host + p->piece_at);
    int64_t hubs = 0, pieces = 0;
    memcpy(host + p->ptr, ptr, (size_t)(n_rows + 1) * sizeof *ptr);
    for (int64_t i = 0; i < n_rows; i++) {
        if (ptr[i + 1] - ptr[i] <= DEVICE_HUB)
            continue;
        hub_row[hubs] = i;
        hub_first[hubs++] = pieces;
        for (int64_t m = ptr[i]; m < ptr[i + 1]; m += DEVICE_PIECE) {
            piece_row[pieces] = i;
            piece_at[pieces++] = m;
        }
    }
    hub_first[hubs] = pieces;
    order_rows(ptr, n_rows, (int32_t *)(void *)(host + p->order));
}

mp_status device_fiber_make(mp_context *ctx, const int64_t *ptr, int64_t n_rows, device_fiber *out)
{
    parts p;
    device_fiber f = { .n_rows = n_rows };
    count_hubs(ptr, n_rows, &f.n_hubs, &f.n_pieces);
    if (!lay_out(n_rows, f.n_hubs, f.n_pieces, &p))
        return error_set(ctx, MP_SYSTEM, "the rows of a graph are too many");
    char *host = mem_alloc(ctx, p.bytes), *at = host ? data_alloc(ctx, p.bytes) : NULL;
    mp_status st = at ? MP_OK : error_memory(ctx, p.bytes, "the rows of a graph");
    if (!st) {
        write_parts(ptr, n_rows, &p, host);
        st = device_upload(ctx, at, host, p.bytes);
    }
    if (!st)
        st = device_synchronize(ctx);           /* the host's copy goes */
    mem_free(ctx, host, p.bytes);
    f.memory = at;
    f.bytes = p.bytes;
    f.ptr = (const int64_t *)(const void *)(at + p.ptr);
    f.hub_row = (const int64_t *)(const void *)(at + p.hub_row);
    f.hub_first = (const int64_t *)(const void *)(at + p.hub_first);
    f.piece_row = (const int64_t *)(const void *)(at + p.piece_row);
    f.piece_at = (const int64_t *)(const void *)(at + p.piece_at);
    f.order = n_rows > 1 ? (const int32_t *)(const void *)(at + p.order) : NULL;
    if (st)
        data_free(ctx, at, p.bytes);
    else
        *out = f;
    return st;
}

void device_fiber_free(mp_context *ctx, device_fiber *f)
{
    data_free(ctx, f->memory, f->bytes);
    *f = (device_fiber){ 0 };
}

/* ---- Graphs ----------------------------------------------------------------------------------------------------- */

/* Called with the lock held. */
static struct device_graph *graph_on_device(mp_graph *g)
{
    if (!g->device)
        g->device = mem_zalloc(g->ctx, sizeof *g->device);
    if (!g->device)
        error_memory(g->ctx, sizeof *g->device, "a graph");
    return g->device;
}

static bool array_bytes(const mp_graph *g, mp_graph_array which, size_t *bytes)
{
    int64_t nodes = g->n_src > g->n_dst ? g->n_src : g->n_dst;
    switch (which) {
    case GRAPH_IN_SRC: case GRAPH_IN_DST: case GRAPH_OUT_DST: case GRAPH_OUT_SRC: case GRAPH_IN_PLACE: case GRAPH_OUT_PLACE_IN:
    case GRAPH_IN_PLACE_OUT:
        return mem_size(g->n_edges, 4, bytes);
    case GRAPH_IN_EID: case GRAPH_OUT_POS: case GRAPH_OUT_EID: case GRAPH_IN_IDENTITY: return mem_size(g->n_edges, 8, bytes);
    case GRAPH_IN_DEGREE: case GRAPH_OUT_DEGREE: return mem_size(nodes, 8, bytes);
    case GRAPH_DST_GRAPH: case GRAPH_SRC_GRAPH: return mem_size(nodes, 4, bytes);
    case GRAPH_NUM_NODES: case GRAPH_NUM_EDGES: return mem_size(g->n_graphs, 8, bytes);
    case GRAPH_TOTALS: return mem_size(4, 8, bytes);
    case GRAPH_IN_PTR: return mem_size(g->n_dst + 1, 8, bytes);
    case GRAPH_OUT_PTR: return mem_size(g->n_src + 1, 8, bytes);
    case GRAPH_N_ARRAYS: break;
    }
    return false;
}

static mp_status upload_array(mp_graph *g, mp_graph_array which, const void *host)
{
    size_t bytes;
    struct device_graph *d = graph_on_device(g);
    if (!d)
        return MP_SYSTEM;
    if (d->arrays[which])
        return MP_OK;
    if (!array_bytes(g, which, &bytes))
        return error_set(g->ctx, MP_SYSTEM, "a graph is too large");
    void *at = data_alloc(g->ctx, bytes);
    if (!at)
        return error_memory(g->ctx, bytes, "a graph");
    mp_status st = device_upload(g->ctx, at, host, bytes);
    if (st) {
        data_free(g->ctx, at, bytes);
        return st;
    }
    d->arrays[which] = at;
    d->bytes[which] = bytes;
    return MP_OK;
}

mp_status device_graph_array(mp_graph *g, mp_graph_array which, const void **out)
{
    const void *host;
    mp_status st = graph_array(g, which, &host);
    if (st)
        return st;
    pthread_mutex_lock(&g->lock);
    st = upload_array(g, which, host);
    if (!st)
        *out = g->device->arrays[which];
    pthread_mutex_unlock(&g->lock);
    return st;
}

static int place_of(mp_fiber f)
{
    switch ((mp_fiber_kind)f.kind) {
    case FIBER_IN: return 0;
    case FIBER_OUT: return 1;
    case FIBER_GRAPH_DST: return f.which ? 3 : 2;
    case FIBER_GRAPH_EDGE: return 4;
    case FIBER_NONE: case FIBER_ALL: case FIBER_PAIR: case FIBER_PAIR_BASE: case FIBER_PAIR_INDEX: case FIBER_INDEX: break;
    }
    return -1;
}

mp_status device_graph_fiber(mp_graph *g, mp_fiber fiber, const int64_t *ptr, int64_t n_rows, const device_fiber **out)
{
    int at = place_of(fiber);
    if (at < 0)
        return error_set(g->ctx, MP_INVALID, "the module is damaged: a kernel has unknown members");
    mp_status st = MP_OK;
    pthread_mutex_lock(&g->lock);
    struct device_graph *d = graph_on_device(g);
    if (!d)
        st = MP_SYSTEM;
    else if (!d->made[at])
        st = device_fiber_make(g->ctx, ptr, n_rows, &d->fibers[at]);
    if (!st) {
        d->made[at] = true;
        *out = &d->fibers[at];
    }
    pthread_mutex_unlock(&g->lock);
    return st;
}

void device_graph_free(mp_graph *g)
{
    struct device_graph *d = g->device;
    if (!d)
        return;
    for (int i = 0; i < GRAPH_N_ARRAYS; i++)
        data_free(g->ctx, (void *)(uintptr_t)d->arrays[i], d->bytes[i]);
    for (int i = 0; i < OWN_FIBERS; i++)
        device_fiber_free(g->ctx, &d->fibers[i]);
    mem_free(g->ctx, d, sizeof *d);
    g->device = NULL;
}
