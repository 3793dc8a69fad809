/*
 * Pair structures on a GPU. They are built on the host, where their index is known beforehand or was computed by kernels
 * before the first call. One whose index is computed in a call is built by the device, in memory for the most that may come out:
 * a stable sort of the members by index, then by row, four bits at a time, pairs where neighbours differ, running sums by tiles
 * (device_sort.h). Nothing comes to the host.
 */
#include "runtime/device_program.h"

#include <string.h>

#include "runtime/device_sort.h"

/* What kernels read of a structure. */
enum { PAIR_LISTS = 5 };
typedef struct list { const void *host; int64_t n, room; size_t size; } list;

static void lists_of(const pair_state *s, list out[PAIR_LISTS])
{
    const pair_index *x = &s->index;
    out[0] = (list){ x->pair_row, x->n_pairs, x->room_pairs, sizeof *x->pair_row };
    out[1] = (list){ x->pair_idx, x->n_pairs, x->room_pairs, sizeof *x->pair_idx };
    out[2] = (list){ x->order, x->n_grouped, x->room_grouped, sizeof *x->order };
    out[3] = (list){ x->pair_of, x->n_members, x->n_members, sizeof *x->pair_of };
    out[4] = (list){ s->by_order, s->by_order ? x->n_pairs : 0, s->by_order ? x->room_pairs : 0, sizeof *s->by_order };
}

mp_status device_pairs_upload(mp_layer *layer, prepared *p, uint32_t i)
{
    pair_state *s = &p->pairs[i];
    mp_context *ctx = layer->ctx;
    list lists[PAIR_LISTS];
    lists_of(s, lists);
    mp_status st = MP_OK;
    for (int k = 0; k < PAIR_LISTS && !st; k++) {
        const list *l = &lists[k];
        size_t room = (size_t)(l->room > l->n ? l->room : l->n) * l->size;
        if (!l->host)
            continue;
        if (s->device_bytes[k] < room || !s->on_device[k]) {
            data_free(ctx, s->on_device[k], s->device_bytes[k]);
            s->on_device[k] = data_alloc(ctx, room);
            s->device_bytes[k] = s->on_device[k] ? room : 0;
        }
        st = s->on_device[k] ? device_upload(ctx, s->on_device[k], l->host, (size_t)l->n * l->size)
                             : error_memory(ctx, room, "pairs of row and index");
    }
    return st;
}

/* ---- built in a call -------------------------------------------------------------------------------------------- */

enum { KINDS = FIBER_INDEX + 1, SCAN_SHARED = 4 * 256 };

struct device_pairs {
    void *memory;
    size_t bytes;
    int64_t *ptr, *row_ptr, *pair_ptr, *by_ptr, *member_ptr, *n_grouped;
    int64_t *whole;                 /* 0, the number of pairs, 0, 0: offsets of all of them as one row; counts of rows that are pairs */
    int32_t *place, *name;          /* NULL: as they are */
    int32_t *row, *idx, *pair_row, *pair_idx;
    int64_t *order, *pair_of, *by_order;
    uint32_t *spare[2], *counts;
    device_fiber fibers[KINDS];     /* by mp_fiber_kind, where a kernel walks it */
    bool walked[KINDS];
};

static bool is_of(mp_fiber f, uint32_t i)
{
    switch ((mp_fiber_kind)f.kind) {
    case FIBER_PAIR: case FIBER_PAIR_BASE: case FIBER_PAIR_INDEX: case FIBER_INDEX: return f.which == i;
    case FIBER_ALL: return f.which < FIBER_ALL_DIM && f.which >= FIBER_ALL_PAIRS && f.which - FIBER_ALL_PAIRS == i;
    case FIBER_NONE: case FIBER_IN: case FIBER_OUT: case FIBER_GRAPH_DST: case FIBER_GRAPH_EDGE: break;
    }
    return false;
}

/* Parts of the memory, each at a multiple of 64 bytes: counted first, then placed. */
typedef struct room { char *base; size_t end; bool ok; } room;

static void *part(room *r, int64_t n, size_t size)
{
    size_t bytes, at = r->end;
    r->ok = r->ok && mem_size(n, size, &bytes) && bytes < PTRDIFF_MAX / 64 && r->end < PTRDIFF_MAX / 2;
    if (r->ok)
        r->end += round_up_64(bytes);
    return r->ok && r->base ? r->base + at : NULL;
}

static int64_t tiles_of(int64_t n)
{
    return n / MP_SORT_TILE + (n % MP_SORT_TILE != 0);
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void fiber_room(room *r, mp_fiber_kind kind, const pair_state *s, struct device_pairs *d)
{
    const pair_index *x = &s->index;
    bool members = kind == FIBER_PAIR || kind == FIBER_INDEX;
    int64_t pieces = device_fiber_most_pieces(members ? x->room_grouped : x->room_pairs);
    int64_t rows = kind == FIBER_PAIR ? x->room_pairs : kind == FIBER_PAIR_BASE ? x->n_rows : kind == FIBER_ALL ? 1 : x->n_indices;
    device_fiber *f = &d->fibers[kind];
    *f = (device_fiber){ .n_rows = rows, .n_hubs = pieces, .n_pieces = pieces };
    f->ptr = kind == FIBER_PAIR ? d->pair_ptr : kind == FIBER_PAIR_BASE ? d->row_ptr : kind == FIBER_PAIR_INDEX ? d->by_ptr
           : kind == FIBER_INDEX ? d->member_ptr : d->whole;
    f->hub_row = part(r, pieces, 8);
    f->hub_first = part(r, pieces + 1, 8);
    f->piece_row = part(r, pieces, 8);
    f->piece_at = part(r, pieces, 8);
    f->counts = part(r, 3, 8);
}

static void lay_out(room *r, const pair_state *s, struct device_pairs *d)
{
    const pair_index *x = &s->index;
    int64_t n = x->n_members, tiles = tiles_of(most(n, most(x->n_rows, x->n_indices + 1)));
    d->ptr = part(r, x->n_rows + 1, 8);
    d->row_ptr = part(r, x->n_rows + 1, 8);
    d->pair_ptr = part(r, x->room_pairs + 1, 8);
    d->by_ptr = s->by_index ? part(r, x->n_indices + 1, 8) : NULL;
    d->member_ptr = s->by_member ? part(r, x->n_indices + 1, 8) : NULL;
    d->whole = part(r, 4, 8);
    d->n_grouped = part(r, 1, 8);
    d->place = s->place.i32 || s->place.i64 ? part(r, n, 4) : NULL;
    d->name = s->name.i32 || s->name.i64 ? part(r, n, 4) : NULL;
    d->row = part(r, n, 4);
    d->idx = part(r, n, 4);
    d->pair_row = part(r, x->room_pairs, 4);
    d->pair_idx = part(r, x->room_pairs, 4);
    d->order = part(r, n, 8);
    d->pair_of = part(r, n, 8);
    d->by_order = s->by_index ? part(r, x->room_pairs, 8) : NULL;
    d->spare[0] = part(r, n, 4);
    d->spare[1] = part(r, n, 4);
    d->counts = part(r, most(MP_SORT_DIGITS, 2) * (tiles + 1), 4);
    for (int k = 0; k < KINDS; k++)
        if (d->walked[k])
            fiber_room(r, (mp_fiber_kind)k, s, d);
}

static mp_status upload_positions(mp_context *ctx, int32_t *to, graph_positions p, int64_t n)
{
    int32_t *here = to ? mem_array(ctx, n, sizeof *here, "places of members") : NULL;
    if (!here)
        return to ? MP_SYSTEM : MP_OK;
    for (int64_t i = 0; i < n; i++)
        here[i] = (int32_t)graph_position(p, i);
    mp_status st = device_upload(ctx, to, here, (size_t)n * sizeof *here);
    if (!st)
        st = device_synchronize(ctx);           /* the host's copy goes */
    mem_array_free(ctx, here, n, sizeof *here);
    return st;
}

mp_status device_pairs_prepare(mp_layer *layer, prepared *p, uint32_t i, const fiber_rows *base)
{
    mp_context *ctx = layer->ctx;
    pair_state *s = &p->pairs[i];
    pair_index *x = &s->index;
    if (!p->device->mod->sort.keys || !p->device->mod->sort.fiber_write)
        return layer_error(layer, MP_INVALID, "the module is damaged: it does not build pairs");
    if (x->n_members > INT32_MAX || x->n_rows > INT32_MAX || x->n_indices >= INT32_MAX)
        return layer_error(layer, MP_UNSUPPORTED, "%lld members are too many to be grouped by an index", (long long)x->n_members);
    struct device_pairs *d = s->device = mem_zalloc(ctx, sizeof *d);
    if (!d)
        return error_memory(ctx, sizeof *d, "pairs of row and index");
    if (__builtin_mul_overflow(x->n_rows, x->n_indices, &x->room_pairs) || x->room_pairs > x->n_members)
        x->room_pairs = x->n_members;
    x->room_grouped = x->n_members;
    for (uint32_t k = 0; k < p->program->n_kernels; k++)
        if (is_of(p->program->kernels[k].fiber, i))
            d->walked[p->program->kernels[k].fiber.kind] = true;
    room r = { .ok = true };
    lay_out(&r, s, d);
    d->memory = r.ok ? data_alloc(ctx, r.end) : NULL;
    if (!d->memory)
        return error_memory(ctx, r.end, "pairs of row and index");
    d->bytes = r.end;
    r = (room){ .base = d->memory, .ok = true };
    lay_out(&r, s, d);
    void *const lists[PAIR_LISTS] = { d->pair_row, d->pair_idx, d->order, d->pair_of, d->by_order };
    memcpy(s->on_device, lists, sizeof lists);
    mp_status st = device_fill(ctx, d->memory, 0, d->bytes);
    if (!st)
        st = device_upload(ctx, d->ptr, base->ptr, (size_t)(x->n_rows + 1) * sizeof *base->ptr);
    if (!st)
        st = upload_positions(ctx, d->place, s->place, x->n_members);
    return st ? st : upload_positions(ctx, d->name, s->name, x->n_members);
}

bool device_pairs_fiber(const prepared *p, mp_fiber fiber, device_fiber *out)
{
    for (uint32_t i = 0; i < p->program->n_pairs; i++)
        if (is_of(fiber, i) && p->pairs[i].device) {
            *out = p->pairs[i].device->fibers[fiber.kind];
            return true;
        }
    return false;
}

const int64_t *device_pairs_count(const prepared *p, uint32_t i)
{
    return p->pairs[i].device ? p->pairs[i].device->whole + 1 : NULL;
}

/* ---- the build -------------------------------------------------------------------------------------------------- */

typedef struct build { mp_context *ctx; const device_sort *sort; const pair_state *s; struct device_pairs *d; mp_status st; } build;

static void put(build *b, void *function, int64_t blocks, size_t shared, const void *arguments)
{
    if (!b->st)
        b->st = device_run(b->ctx, function, most(blocks, 1), 256, shared, arguments, NULL);
}

static void scan(build *b, int64_t n, int parts, int64_t *total0, int64_t *total1)
{
    mp_scan_args a = { b->d->counts, n, { (long long *)total0, (long long *)total1 } };
    put(b, b->sort->scan, parts, SCAN_SHARED, &a);
}

static int bits_of(int64_t largest)
{
    return largest > 0 ? 64 - __builtin_clzll((unsigned long long)largest) : 1;
}

/* Sorts what `from` lists (NULL: 0, 1, …) by its key; the result is in one of the spare arrays, and never in `from`. */
static uint32_t *sort(build *b, const int32_t *key, int64_t largest, uint32_t *from, const int64_t *n, int64_t n_most)
{
    struct device_pairs *d = b->d;
    int64_t tiles = tiles_of(n_most);
    for (int shift = 0; shift < bits_of(largest); shift += MP_SORT_BITS) {
        uint32_t *to = from == d->spare[0] ? d->spare[1] : d->spare[0];
        mp_sort_args a = { key, from, to, d->counts, (const long long *)n, n_most, shift };
        put(b, b->sort->count, tiles, MP_SORT_SHARED, &a);
        scan(b, MP_SORT_DIGITS * tiles, 1, NULL, NULL);
        put(b, b->sort->move, tiles, MP_SORT_SHARED, &a);
        from = to;
    }
    return from;
}

static void make_pairs(build *b)
{
    struct device_pairs *d = b->d;
    const pair_index *x = &b->s->index;
    int64_t tiles = tiles_of(x->n_members);
    uint32_t *sorted = sort(b, d->idx, x->n_indices, NULL, NULL, x->n_members);
    if (x->n_rows > 1)
        sorted = sort(b, d->row, x->n_rows, sorted, NULL, x->n_members);
    mp_pairs_args a = { d->row, d->idx, d->name, sorted, d->counts, x->n_rows, x->n_indices, x->n_members, d->pair_row, d->pair_idx,
                        (long long *)d->pair_ptr, (long long *)d->order, (long long *)d->pair_of, (long long *)(d->whole + 1), (long long *)d->n_grouped };
    put(b, b->sort->pair_count, tiles, SCAN_SHARED, &a);
    scan(b, tiles, 1, d->whole + 1, NULL);
    put(b, b->sort->pair_write, tiles, SCAN_SHARED, &a);
}

/* Where rows, indices and members begin; the pairs by index. */
static void make_offsets(build *b)
{
    struct device_pairs *d = b->d;
    const pair_index *x = &b->s->index;
    const long long *n = (const long long *)(d->whole + 1);
    mp_search_args rows = { d->pair_row, NULL, n, NULL, x->n_rows, (long long *)d->row_ptr, NULL };
    put(b, b->sort->search, x->n_rows / 256 + 1, 0, &rows);
    if (b->s->by_member) {
        mp_search_args members = { d->pair_idx, NULL, n, (const long long *)d->pair_ptr, x->n_indices, (long long *)d->member_ptr, NULL };
        put(b, b->sort->search, x->n_indices / 256 + 1, 0, &members);
    }
    if (b->s->by_index) {
        uint32_t *sorted = sort(b, d->pair_idx, x->n_indices - 1, NULL, d->whole + 1, x->room_pairs);
        mp_search_args by = { d->pair_idx, sorted, n, NULL, x->n_indices, (long long *)d->by_ptr, (long long *)d->by_order };
        put(b, b->sort->search, most(x->n_indices, x->room_pairs) / 256 + 1, 0, &by);
    }
}

static void make_fiber(build *b, mp_fiber_kind kind)
{
    const device_fiber *f = &b->d->fibers[kind];
    int64_t tiles = tiles_of(f->n_rows), *counts = (int64_t *)(uintptr_t)f->counts;
    mp_fiber_args a = { (const long long *)f->ptr, kind == FIBER_PAIR ? (const long long *)(b->d->whole + 1) : NULL, f->n_rows, DEVICE_HUB, DEVICE_PIECE,
                        b->d->counts, (long long *)(uintptr_t)f->hub_row, (long long *)(uintptr_t)f->hub_first, (long long *)(uintptr_t)f->piece_row,
                        (long long *)(uintptr_t)f->piece_at, (long long *)counts };
    put(b, b->sort->fiber_count, tiles, SCAN_SHARED, &a);
    scan(b, tiles, 2, counts + 1, counts + 2);
    put(b, b->sort->fiber_write, tiles, SCAN_SHARED, &a);
}

/* The places do not change: there is room for whatever comes out. */
mp_status device_pairs_run(mp_context *ctx, prepared *p, uint32_t i)
{
    const pair_state *s = &p->pairs[i];
    struct device_pairs *d = s->device;
    const pair_index *x = &s->index;
    build b = { ctx, &p->device->mod->sort, s, d, MP_OK };
    mp_keys_args keys = { (const long long *)d->ptr, x->n_rows, x->n_members, x->n_indices, p->device->now, d->place, (int)s->desc->index_buffer, d->row,
                          d->idx };
    put(&b, b.sort->keys, x->n_members / 256 + 1, 0, &keys);
    make_pairs(&b);
    make_offsets(&b);
    for (int k = 0; k < KINDS; k++)
        if (d->walked[k])
            make_fiber(&b, (mp_fiber_kind)k);
    return b.st;
}

void device_pairs_free(mp_context *ctx, pair_state *s)
{
    if (s->device) {
        data_free(ctx, s->device->memory, s->device->bytes);
        mem_free(ctx, s->device, sizeof *s->device);
        return;
    }
    for (int k = 0; k < PAIR_LISTS; k++)
        data_free(ctx, s->on_device[k], s->device_bytes[k]);
}
