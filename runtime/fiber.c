/*
 * Cutting a loop over the rows of a CSR into parts of about equal cost.
 */
#include "runtime/fiber.h"

#include "runtime/context.h"

/* One walk over the rows: once to count, once to fill. */
typedef struct cutter {
    const fiber_cost *cost;
    fiber_cut *cut;
    bool fill;
} cutter;

static void add_part(cutter *c, int64_t row0, int64_t row1, const int64_t *ptr)
{
    if (row0 == row1)
        return;
    if (c->fill)
        c->cut->parts[c->cut->n_parts] = (fiber_part){ row0, row1, ptr[row0], ptr[row1] };
    c->cut->n_parts++;
}

static void add_hub(cutter *c, int64_t row, const int64_t *ptr)
{
    fiber_cut *cut = c->cut;
    int64_t step = c->cost->piece_members, n = (ptr[row + 1] - ptr[row] + step - 1) / step;
    if (c->fill) {
        cut->hubs[cut->n_hubs] = (fiber_hub){ row, cut->n_pieces, n };
        for (int64_t i = 0, m = ptr[row]; i < n; i++, m += step) {
            int64_t end = ptr[row + 1] - m < step ? ptr[row + 1] : m + step;
            cut->pieces[cut->n_pieces + i] = (fiber_piece){ cut->n_hubs, m, end };
        }
    }
    cut->n_hubs++;
    cut->n_pieces += n;
}

static void cut_rows(cutter *c, const int64_t *ptr, int64_t n_rows)
{
    const fiber_cost *cost = c->cost;
    c->cut->n_parts = c->cut->n_hubs = c->cut->n_pieces = 0;
    int64_t start = 0, sum = 0;
    for (int64_t i = 0; i < n_rows; i++) {
        int64_t members = ptr[i + 1] - ptr[i];
        if (cost->hub_members && members > cost->hub_members) {
            add_part(c, start, i, ptr);
            add_hub(c, i, ptr);
            start = i + 1;
            sum = 0;
            continue;
        }
        sum += members + cost->row_cost;
        if (sum >= cost->part_cost) {
            add_part(c, start, i + 1, ptr);
            start = i + 1;
            sum = 0;
        }
    }
    add_part(c, start, n_rows, ptr);
}

mp_status fiber_cut_rows(mp_context *ctx, const int64_t *ptr, int64_t n_rows, const fiber_cost *cost, fiber_cut *out)
{
    if (cost->row_cost < 1 || cost->part_cost < 1 || cost->piece_members < 1 || cost->hub_members < 0)
        return error_set(ctx, MP_USAGE, "the costs by which rows are cut must be positive");
    fiber_cut cut = { 0 };
    cutter c = { cost, &cut, false };
    cut_rows(&c, ptr, n_rows);
    int64_t n_parts = cut.n_parts, n_hubs = cut.n_hubs, n_pieces = cut.n_pieces;
    cut.parts = mem_array(ctx, n_parts, sizeof *cut.parts, "parts of a loop");
    cut.hubs = mem_array(ctx, n_hubs, sizeof *cut.hubs, "parts of a loop");
    cut.pieces = mem_array(ctx, n_pieces, sizeof *cut.pieces, "parts of a loop");
    if (!cut.parts || !cut.hubs || !cut.pieces) {
        cut.n_parts = n_parts;
        fiber_cut_free(ctx, &cut);
        return MP_SYSTEM;
    }
    c.fill = true;
    cut_rows(&c, ptr, n_rows);
    *out = cut;
    return MP_OK;
}

void fiber_cut_free(mp_context *ctx, fiber_cut *cut)
{
    mem_array_free(ctx, cut->parts, cut->n_parts, sizeof *cut->parts);
    mem_array_free(ctx, cut->hubs, cut->n_hubs, sizeof *cut->hubs);
    mem_array_free(ctx, cut->pieces, cut->n_pieces, sizeof *cut->pieces);
    *cut = (fiber_cut){ 0 };
}
