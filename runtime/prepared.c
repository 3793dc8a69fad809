/*
 * The state of a prepared program: its arrays, made all zero and freed together.
 */
#include "runtime/device_program.h"

#include "runtime/graph.h"

/* Every array of `prepared`, with its length. */
#define ARRAYS(A) \
    A(dim, d->n_slots) A(real, p->desc->n_statics) \
    A(step, 2 * d->n_loops) A(loops, d->n_loops) A(loop_start, d->n_loops) A(loop_end, d->n_loops) \
    A(rows, d->n_buffers) A(bytes, d->n_buffers) A(apart, d->n_buffers) \
    A(base, d->n_buffers) A(now, d->n_buffers) A(kept, d->n_buffers) A(offset, d->n_buffers) \
    A(left_out, d->n_steps) A(unused, d->n_buffers) A(from_tape, d->n_buffers) \
    A(saved_at, p->desc->n_saved) A(kept_at, p->desc->n_outputs) \
    A(launches, d->n_kernels) A(pairs, d->n_pairs) \
    A(feeds, d->n_buffers) A(drains, d->n_buffers) A(in_walk, d->n_buffers) A(in_out, d->n_buffers)

#define MAKE(array, n) && (p->array = mem_zeros(ctx, n, sizeof *p->array, "the state of a layer"))
#define FREE(array, n) mem_array_free(ctx, p->array, n, sizeof *p->array);

mp_status prepared_room(mp_context *ctx, prepared *p)
{
    const desc_program *d = p->program;
    return true ARRAYS(MAKE) ? MP_OK : MP_SYSTEM;
}

void prepared_free(mp_context *ctx, prepared *p)
{
    if (!p)
        return;
    const desc_program *d = p->program;
    tensors_free(ctx, p);
    pairs_free(ctx, p);
    device_program_free(ctx, p);
    for (uint32_t i = 0; p->launches && i < d->n_kernels; i++)
        if (p->launches[i].kernel)
            launch_free(ctx, &p->launches[i]);
    for (uint32_t i = 0; p->kept && i < d->n_buffers; i++)
        data_free(ctx, p->kept[i], p->bytes[i]);
    ARRAYS(FREE)
    mp_graph *g = p->graph;
    mem_free(ctx, p, sizeof *p);
    graph_release(g);
}
