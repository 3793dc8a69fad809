/*
 * Fibers of launches: the offsets of the members of each row, from the graph or from a pair structure.
 */
#include "runtime/device_program.h"

int64_t prepared_rows(const prepared *p, mp_rows rows)
{
    const mp_graph *g = p->graph;
    switch ((mp_rows_kind)rows.kind) {
    case ROWS_ONE: return 1;
    case ROWS_SRC: return g->n_src;
    case ROWS_DST: return g->n_dst;
    case ROWS_EDGES: return g->n_edges;
    case ROWS_GRAPHS: return g->n_graphs;
    case ROWS_PAIRS: return p->pairs[rows.which].made ? p->pairs[rows.which].index.n_pairs
                                                      : p->pairs[rows.which].index.room_pairs;
    case ROWS_DIM: return p->dim[rows.which];
    }
    return 0;
}

static fiber_rows whole_rows(int64_t n, int64_t whole[2])
{
    whole[0] = 0;
    whole[1] = n;
    return (fiber_rows){ 1, n, whole };
}

mp_status fiber_of_graph(prepared *p, mp_fiber fiber, int64_t whole[2], fiber_rows *out)
{
    mp_graph *g = p->graph;
    const graph_rows *rows = NULL;
    graph_batch batch;
    mp_status st = MP_OK;
    switch ((mp_fiber_kind)fiber.kind) {
    case FIBER_IN: case FIBER_OUT:
        st = fiber.kind == FIBER_IN ? graph_in(g, &rows) : graph_out(g, &rows);
        if (!st)
            *out = (fiber_rows){ rows->n_rows, rows->n_edges, rows->ptr };
        return st;
    case FIBER_GRAPH_DST: case FIBER_GRAPH_EDGE:
        if (fiber.kind == FIBER_GRAPH_DST && fiber.which && g->n_src != g->n_dst) {     /* two sides are one graph */
            *out = whole_rows(g->n_src, whole);
            return MP_OK;
        }
        st = graph_batches(g, &batch);
        if (!st && fiber.kind == FIBER_GRAPH_DST)
            *out = (fiber_rows){ batch.n_graphs, g->n_dst, batch.node_ptr };
        else if (!st)
            *out = (fiber_rows){ batch.n_graphs, g->n_edges, batch.edge_ptr };
        return st;
    case FIBER_ALL:
        *out = whole_rows(prepared_rows(p, fiber.which >= FIBER_ALL_DIM ? (mp_rows){ ROWS_DIM, fiber.which - FIBER_ALL_DIM }
                                                                        : (mp_rows){ fiber.which, 0 }), whole);
        return MP_OK;
    case FIBER_NONE: case FIBER_PAIR: case FIBER_PAIR_BASE: case FIBER_PAIR_INDEX: case FIBER_INDEX:
        break;
    }
    return error_set(g->ctx, MP_INVALID, "the module is damaged: a kernel has unknown members");
}

static fiber_rows most_of_pairs(const prepared *p, mp_fiber fiber);

/* As the pairs are now; the most there can be where only the device knows them. */
static fiber_rows fiber_of_pairs(prepared *p, launch *l, mp_fiber fiber)
{
    const pair_state *s = &p->pairs[fiber.kind == FIBER_ALL ? fiber.which - FIBER_ALL_PAIRS : fiber.which];
    const pair_index *x = &s->index;
    if (s->device)
        return most_of_pairs(p, fiber);
    switch ((mp_fiber_kind)fiber.kind) {
    case FIBER_PAIR: return (fiber_rows){ x->n_pairs, x->n_grouped, x->pair_ptr };
    case FIBER_PAIR_BASE: return (fiber_rows){ x->n_rows, x->n_pairs, x->row_ptr };
    case FIBER_PAIR_INDEX: return (fiber_rows){ x->n_indices, x->n_pairs, s->by_ptr };
    case FIBER_INDEX: return (fiber_rows){ x->n_indices, x->n_grouped, s->member_ptr };
    case FIBER_NONE: case FIBER_IN: case FIBER_OUT: case FIBER_GRAPH_DST: case FIBER_GRAPH_EDGE: case FIBER_ALL: break;
    }
    return whole_rows(x->n_pairs, l->whole);
}

/* The most there can be of them. */
static fiber_rows most_of_pairs(const prepared *p, mp_fiber fiber)
{
    const pair_index *x = &p->pairs[fiber.kind == FIBER_ALL ? fiber.which - FIBER_ALL_PAIRS : fiber.which].index;
    switch ((mp_fiber_kind)fiber.kind) {
    case FIBER_PAIR: return (fiber_rows){ x->room_pairs, x->room_grouped, NULL };
    case FIBER_PAIR_BASE: return (fiber_rows){ x->n_rows, x->room_pairs, NULL };
    case FIBER_PAIR_INDEX: return (fiber_rows){ x->n_indices, x->room_pairs, NULL };
    case FIBER_INDEX: return (fiber_rows){ x->n_indices, x->room_grouped, NULL };
    case FIBER_NONE: case FIBER_IN: case FIBER_OUT: case FIBER_GRAPH_DST: case FIBER_GRAPH_EDGE: case FIBER_ALL: break;
    }
    return (fiber_rows){ 1, x->room_pairs, NULL };
}

static bool is_of_pairs(mp_fiber f)
{
    return f.kind == FIBER_PAIR || f.kind == FIBER_PAIR_BASE || f.kind == FIBER_PAIR_INDEX ||
           f.kind == FIBER_INDEX || (f.kind == FIBER_ALL && f.which >= FIBER_ALL_PAIRS && f.which < FIBER_ALL_DIM);
}

bool fiber_depends(const desc_kernel *k, uint32_t pairs)
{
    if (is_of_pairs(k->fiber))
        return (k->fiber.kind == FIBER_ALL ? k->fiber.which - FIBER_ALL_PAIRS : k->fiber.which) == pairs;
    return k->rows.kind == ROWS_PAIRS && k->rows.which == pairs;
}

/* Cuts the rows for the CPU, or lists them for the GPU; of those of pairs there may later be more. */
static mp_status cut(mp_layer *layer, prepared *p, uint32_t kernel, fiber_rows f, int64_t most_members)
{
    if (p->device)
        return device_launch_make(layer, p, kernel, &f, most_members);
    launch_cut(&p->launches[kernel], f.n_rows, f.ptr);
    return MP_OK;
}

mp_status fiber_recut(mp_layer *layer, prepared *p, uint32_t kernel)
{
    launch *l = &p->launches[kernel];
    const desc_kernel *k = &p->program->kernels[kernel];
    if (k->fiber.kind == FIBER_NONE) {
        const pair_state *s = k->rows.kind == ROWS_PAIRS ? &p->pairs[k->rows.which] : NULL;
        int64_t n = s && !s->device ? s->index.n_pairs : prepared_rows(p, k->rows);
        return cut(layer, p, kernel, (fiber_rows){ n, 0, NULL }, 0);
    }
    return cut(layer, p, kernel, fiber_of_pairs(p, l, k->fiber), most_of_pairs(p, k->fiber).n_members);
}

mp_status fiber_prepare(mp_layer *layer, prepared *p, uint32_t kernel)
{
    const desc_kernel *k = &p->program->kernels[kernel];
    launch *l = &p->launches[kernel];
    mp_status st = p->device ? MP_OK : launch_init(layer->ctx, l, k, &p->entries[k->entry], p->dim);
    if (st)
        return st;
    l->kernel = k;
    if (k->fiber.kind == FIBER_NONE)
        return fiber_recut(layer, p, kernel);
    fiber_rows f;
    bool pairs = is_of_pairs(k->fiber);
    if (pairs)
        f = most_of_pairs(p, k->fiber);
    else
        st = fiber_of_graph(p, k->fiber, l->whole, &f);
    if (!st && f.n_rows != prepared_rows(p, k->rows))
        st = layer_error(layer, MP_INVALID, "the module is damaged: kernel %s has %lld rows, its members %lld", k->name,
                         (long long)prepared_rows(p, k->rows), (long long)f.n_rows);
    if (!st && !p->device)
        st = launch_reserve(layer->ctx, l, f.n_rows, f.n_members);
    if (st)
        return st;
    return pairs ? fiber_recut(layer, p, kernel) : cut(layer, p, kernel, f, -1);
}
