/*
 * Cutting and running of launches.
 */
#include "runtime/launch.h"

/* ---- Sizes ------------------------------------------------------------------------------------------------------ */

static bool add_locals(const desc_local *list, uint32_t n, const int64_t *dim, size_t *total)
{
    for (uint32_t i = 0; i < n; i++) {
        size_t bytes;
        if (!mem_size(desc_size_value(&list[i].elems, dim), (size_t)list[i].copies * desc_elem_size(list[i].type), &bytes) ||
            __builtin_add_overflow(*total, round_up_64(bytes), total) || *total > PTRDIFF_MAX)
            return false;
    }
    return true;
}

mp_status launch_init(mp_context *ctx, launch *l, const desc_kernel *k, const mp_kernel_entry *entry, const int64_t *dim)
{
    *l = (launch){ .kernel = k, .entry = *entry };
    if (!add_locals(k->scratch, k->n_scratch, dim, &l->scratch_bytes) ||
        !add_locals(k->state, k->n_state, dim, &l->state_bytes))
        return error_set(ctx, MP_INVALID, "the dims are too large: the scratch of kernel %s overflows", k->name);
    return MP_OK;
}

bool launch_states(const launch *l, size_t *bytes)
{
    return mem_size(l->room_pieces, l->state_bytes, bytes);
}

/* ---- Cuts ------------------------------------------------------------------------------------------------------- */

static int64_t row_cost(const launch *l)
{
    return l->kernel->row_cost ? l->kernel->row_cost : 1;
}

static bool has_hubs(const launch *l)
{
    return l->entry.piece != NULL;
}

mp_status launch_reserve(mp_context *ctx, launch *l, int64_t n_rows, int64_t n_members)
{
    if (l->kernel->fiber.kind == FIBER_NONE)
        return MP_OK;
    int64_t cost;
    if (__builtin_mul_overflow(n_rows, row_cost(l), &cost) || __builtin_add_overflow(cost, n_members, &cost))
        return error_set(ctx, MP_INVALID, "kernel %s has too many rows and members", l->kernel->name);
    /* A part but the last costs LAUNCH_PART or more; a hub costs its pieces, which are fewer than its members. */
    l->room_parts = cost / LAUNCH_PART + 1;
    l->room_hubs = has_hubs(l) ? n_members / LAUNCH_HUB : 0;
    l->room_pieces = has_hubs(l) ? n_members / LAUNCH_PIECE + l->room_hubs : 0;
    l->parts = mem_array(ctx, l->room_parts, sizeof *l->parts, "parts of a launch");
    l->pieces = mem_array(ctx, l->room_pieces, sizeof *l->pieces, "parts of a launch");
    l->hub_row = mem_array(ctx, l->room_hubs + 1, sizeof *l->hub_row, "parts of a launch");
    l->hub_first = mem_array(ctx, l->room_hubs + 1, sizeof *l->hub_first, "parts of a launch");
    return l->parts && l->pieces && l->hub_row && l->hub_first ? MP_OK : MP_SYSTEM;
}

void launch_free(mp_context *ctx, launch *l)
{
    mem_array_free(ctx, l->parts, l->room_parts, sizeof *l->parts);
    mem_array_free(ctx, l->pieces, l->room_pieces, sizeof *l->pieces);
    mem_array_free(ctx, l->hub_row, l->room_hubs + 1, sizeof *l->hub_row);
    mem_array_free(ctx, l->hub_first, l->room_hubs + 1, sizeof *l->hub_first);
    *l = (launch){ 0 };
}

static void cut_plain(launch *l)
{
    int64_t tile = l->kernel->tile, rows = LAUNCH_PART / row_cost(l);
    rows = rows < 1 ? 1 : rows;
    l->part_rows = (rows + tile - 1) / tile * tile;
    l->n_parts = (l->n_rows + l->part_rows - 1) / l->part_rows;
}

/* Cuts a hub into pieces; returns what its row costs in the loop over rows: a piece to combine is like a member. */
static int64_t cut_hub(launch *l, int64_t row)
{
    int64_t end = l->ptr[row + 1], before = l->n_pieces;
    l->hub_row[l->n_hubs] = row;
    l->hub_first[l->n_hubs++] = before;
    for (int64_t m = l->ptr[row]; m < end; m += LAUNCH_PIECE)
        l->pieces[l->n_pieces++] = (launch_piece){ row, m, end - m < LAUNCH_PIECE ? end : m + LAUNCH_PIECE };
    return l->n_pieces - before;
}

static void cut_fiber(launch *l)
{
    int64_t tile = l->kernel->tile, cost = 0, start = 0, first_hub = 0;
    for (int64_t i = 0; i < l->n_rows; i++) {
        int64_t members = l->ptr[i + 1] - l->ptr[i];
        cost += row_cost(l) + (has_hubs(l) && members > LAUNCH_HUB ? cut_hub(l, i) : members);
        bool last = i + 1 == l->n_rows;
        if (!last && (cost < LAUNCH_PART || (i + 1) % tile))
            continue;
        l->parts[l->n_parts++] = (launch_part){ start, i + 1, first_hub };
        start = i + 1;
        first_hub = l->n_hubs;
        cost = 0;
    }
    l->hub_row[l->n_hubs] = INT64_MAX;
    l->hub_first[l->n_hubs] = l->n_pieces;
}

void launch_cut(launch *l, int64_t n_rows, const int64_t *ptr)
{
    l->n_rows = n_rows;
    l->ptr = ptr;
    l->n_parts = l->n_hubs = l->n_pieces = 0;
    if (ptr)
        cut_fiber(l);
    else
        cut_plain(l);
}

/* ---- Running ---------------------------------------------------------------------------------------------------- */

typedef struct job {
    const launch *l;
    const mp_kargs *args;
    const launch_memory *memory;
    mp_launch view;
} job;

static void *scratch_of(const job *j, int thread)
{
    return j->memory->scratch + (size_t)thread * j->memory->scratch_stride;
}

static void run_piece(void *arg, int64_t part, int thread)
{
    const job *j = arg;
    const launch_piece *p = &j->l->pieces[part];
    char *state = j->memory->states + (size_t)part * j->l->state_bytes;
    j->l->entry.piece(j->args, &j->view, p->row, p->lo, p->hi, state, scratch_of(j, thread));
}

static void run_rows(void *arg, int64_t part, int thread)
{
    const job *j = arg;
    const launch *l = j->l;
    launch_part p;
    if (l->ptr) {
        p = l->parts[part];
    } else {
        int64_t lo = part * l->part_rows;
        p = (launch_part){ lo, l->n_rows - lo < l->part_rows ? l->n_rows : lo + l->part_rows, 0 };
    }
    l->entry.rows(j->args, &j->view, p.lo, p.hi, p.hub, scratch_of(j, thread));
}

void launch_run(mp_context *ctx, const launch *l, const mp_kargs *args, const launch_memory *memory)
{
    static const int64_t no_hubs[2] = { INT64_MAX, 0 };
    job j = { .l = l, .args = args, .memory = memory };
    j.view = (mp_launch){ .ptr = l->ptr, .hub_row = l->ptr ? l->hub_row : &no_hubs[0],
                          .hub_first = l->ptr ? l->hub_first : &no_hubs[1], .state = memory->states,
                          .state_bytes = (int64_t)l->state_bytes };
    pool_run(ctx->pool, l->n_pieces, run_piece, &j);
    pool_run(ctx->pool, l->n_parts, run_rows, &j);
}
