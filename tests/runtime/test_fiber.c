/*
 * Cuts of rows and pairs of (row, index), against brute force.
 */
#include "check.h"
#include "runtime/fiber.h"

static void check_cut(check *c, const int64_t *ptr, int64_t n_rows, fiber_cost cost)
{
    fiber_cut cut = { 0 };
    OK(c, fiber_cut_rows(c->ctx, ptr, n_rows, &cost, &cut));
    int64_t bad = 0, row = 0, part = 0, hub = 0, piece = 0;
    while (row < n_rows) {
        int64_t members = ptr[row + 1] - ptr[row];
        if (cost.hub_members && members > cost.hub_members) {
            bad += hub >= cut.n_hubs || cut.hubs[hub].row != row || cut.hubs[hub].piece0 != piece;
            int64_t at = ptr[row];
            for (int64_t i = 0; !bad && i < cut.hubs[hub].n_pieces; i++, piece++) {
                const fiber_piece *p = &cut.pieces[piece];
                bad += p->hub != hub || p->member0 != at || p->member1 <= at || p->member1 - at > cost.piece_members;
                at = p->member1;
            }
            bad += at != ptr[row + 1];
            hub++;
            row++;
        } else {
            bad += part >= cut.n_parts || cut.parts[part].row0 != row || cut.parts[part].row1 <= row;
            if (bad)
                break;
            int64_t sum = 0, end = cut.parts[part].row1;
            for (int64_t i = row; i < end; i++) {
                bad += sum >= cost.part_cost || (cost.hub_members && ptr[i + 1] - ptr[i] > cost.hub_members);
                sum += ptr[i + 1] - ptr[i] + cost.row_cost;
            }
            bad += cut.parts[part].member0 != ptr[row] || cut.parts[part].member1 != ptr[end];
            row = end;
            part++;
        }
        if (bad)
            break;
    }
    CHECK(c, bad == 0 && row == n_rows && part == cut.n_parts && hub == cut.n_hubs && piece == cut.n_pieces);
    fiber_cut_free(c->ctx, &cut);
}

static void cuts(check *c)
{
    uint64_t rng = 5;
    int64_t ptr[120] = { 0 };
    for (int round = 0; round < 60; round++) {
        int64_t n = check_below(&rng, 119);
        for (int64_t i = 0; i < n; i++) {
            int64_t k = check_below(&rng, 12);
            ptr[i + 1] = ptr[i] + (k == 0 ? 40 + check_below(&rng, 100) : k < 4 ? 0 : k);
        }
        fiber_cost cost = { 1 + check_below(&rng, 4), 1 + check_below(&rng, 60), check_below(&rng, 2) * 30,
                            1 + check_below(&rng, 25) };
        check_cut(c, ptr, n, cost);
    }
    fiber_cut cut;
    FAILS(c, MP_USAGE, "positive", fiber_cut_rows(c->ctx, ptr, 3, &(fiber_cost){ 0, 1, 0, 1 }, &cut));
}

static void check_pairs(check *c, const int64_t *ptr, int64_t n_rows, const int32_t *index, graph_positions eid, int64_t r)
{
    pair_index p = { 0 };
    OK(c, pair_index_build(c->ctx, ptr, n_rows, index, eid, (graph_positions){ 0 }, r, &p));
    int64_t pair = 0, at = 0, bad = 0, most = 0;
    for (int64_t i = 0; i < n_rows; i++) {
        bad += p.row_ptr[i] != pair;
        int32_t last = -1;
        for (;;) {                              /* the next larger index of the row */
            int32_t next = INT32_MAX;
            for (int64_t k = ptr[i]; k < ptr[i + 1]; k++) {
                int32_t v = index[graph_position(eid, k)];
                if (v > last && v < next)
                    next = v;
            }
            if (next == INT32_MAX)
                break;
            int64_t start = at;
            bad += p.pair_row[pair] != i || p.pair_idx[pair] != next || p.pair_ptr[pair] != at;
            for (int64_t k = ptr[i]; k < ptr[i + 1]; k++) {
                if (index[graph_position(eid, k)] == next)
                    bad += p.order[at++] != k || p.pair_of[k] != pair;
            }
            most = at - start > most ? at - start : most;
            last = next;
            pair++;
        }
        for (int64_t k = ptr[i]; k < ptr[i + 1]; k++)
            bad += index[graph_position(eid, k)] < 0 && p.pair_of[k] != -1;
    }
    CHECK(c, bad == 0 && pair == p.n_pairs && at == p.n_grouped && p.pair_ptr[pair] == at && p.max_pair == most);
    CHECK(c, p.row_ptr[n_rows] == pair);
    int64_t *idx_ptr = NULL;
    int64_t *idx_order = NULL;
    OK(c, pair_index_by_index(c->ctx, &p, &idx_ptr, &idx_order));
    for (int64_t v = 0; v < r; v++) {
        for (int64_t k = idx_ptr[v]; k < idx_ptr[v + 1]; k++)
            bad += p.pair_idx[idx_order[k]] != v || (k > idx_ptr[v] && idx_order[k] <= idx_order[k - 1]);
    }
    CHECK(c, bad == 0 && idx_ptr[0] == 0 && idx_ptr[r] == p.n_pairs);
    mem_array_free(c->ctx, idx_ptr, r + 1, sizeof *idx_ptr);
    mem_array_free(c->ctx, idx_order, p.n_pairs, sizeof *idx_order);

    pair_builder *builder = NULL;
    pair_index q = { 0 };
    OK(c, pair_builder_make(c->ctx, ptr, n_rows, r, &q, &builder));
    for (int again = 0; again < 2; again++) {
        pair_builder_run(c->ctx, builder, index, eid, (graph_positions){ 0 }, &q);
        CHECK(c, q.n_pairs == p.n_pairs && q.n_grouped == p.n_grouped && q.max_pair == p.max_pair);
        CHECK(c, !memcmp(q.pair_idx, p.pair_idx, (size_t)p.n_pairs * sizeof *p.pair_idx));
        CHECK(c, !memcmp(q.pair_ptr, p.pair_ptr, (size_t)(p.n_pairs + 1) * sizeof *p.pair_ptr));
        CHECK(c, !memcmp(q.order, p.order, (size_t)p.n_grouped * sizeof *p.order));
    }
    pair_builder_free(c->ctx, builder);
    pair_index_free(c->ctx, &q);
    pair_index_free(c->ctx, &p);
}

static void pairs(check *c)
{
    enum { ROWS = 60, MEMBERS = 60 * 400 };
    static const int64_t ranges[] = { 1, 2, 7, 255, 256, 257, 70000 };
    uint64_t rng = 7;
    int32_t *index = malloc(MEMBERS * sizeof *index), *eid = malloc(MEMBERS * sizeof *eid);
    int64_t ptr[ROWS + 1] = { 0 };
    for (int round = 0; round < 28; round++) {
        int64_t r = ranges[round % 7], n_rows = round == 0 ? 0 : 1 + check_below(&rng, ROWS);
        for (int64_t i = 0; i < n_rows; i++)
            ptr[i + 1] = ptr[i] + (check_below(&rng, 4) == 0 ? check_below(&rng, 400) : check_below(&rng, 6));
        int64_t n = n_rows ? ptr[n_rows] : 0;
        for (int64_t k = 0; k < n; k++) {
            index[k] = (int32_t)(check_below(&rng, r + 1) - 1);
            eid[k] = (int32_t)(n - 1 - k);
        }
        graph_positions at = { 0 };
        if (round & 1)
            at.i32 = eid;
        check_pairs(c, ptr, n_rows, index, at, r);
    }
    free(index);
    free(eid);
}

int main(void)
{
    check c = check_begin(2);
    cuts(&c);
    pairs(&c);
    return check_end(&c);
}
