/*
 * Pair structures on a GPU. They are built on the host, where their index is known beforehand or was computed by kernels
 * before the first call; one whose index is computed in a call comes to the host for it, which waits.
 */
#include "runtime/device_program.h"

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

void device_pairs_free(mp_context *ctx, pair_state *s)
{
    for (int k = 0; k < PAIR_LISTS; k++)
        data_free(ctx, s->on_device[k], s->device_bytes[k]);
}

/* The places do not change: there is room for whatever comes out. */
mp_status device_pairs_run(mp_layer *layer, prepared *p, uint32_t i)
{
    mp_context *ctx = layer->ctx;
    size_t bytes;
    int32_t *index;
    mp_status st = pairs_index_to_host(layer, p, i, &index, &bytes);
    if (st)
        return st;
    pairs_build(ctx, p, i, index);
    mem_free(ctx, index, bytes);
    st = device_pairs_upload(layer, p, i);
    for (uint32_t k = 0; k < p->program->n_kernels && !st; k++)
        if (p->device->launches[k].made && fiber_depends(&p->program->kernels[k], i))
            st = fiber_recut(layer, p, k);
    return st;
}
