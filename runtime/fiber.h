/*
 * Fibers: the members of each row of a CSR, and how work on them is cut and grouped. Cuts depend on the rows and the
 * given constants alone, never on the number of threads.
 *
 * fiber_cut: parts of about equal cost for a loop over rows. Rows with very many members (hubs) belong to no part;
 * their members are cut into pieces of a fixed length, whose partial results are combined in piece order.
 *
 * pair_index: the (row, index) pairs that occur when each member carries an index (a relation): `per` aggregates
 * work on compact rows of pairs, of which there are far fewer than rows times relations.
 */
#ifndef RUNTIME_FIBER_H
#define RUNTIME_FIBER_H

#include "mp.h"
#include "runtime/graph.h"

/* Rows row0 .. row1-1, with members member0 .. member1-1. No hub among them. */
typedef struct fiber_part {
    int64_t row0, row1, member0, member1;
} fiber_part;

/* Members of one hub: member0 .. member1-1, at most piece_members of them. */
typedef struct fiber_piece {
    int64_t hub, member0, member1;
} fiber_piece;

typedef struct fiber_hub {
    int64_t row, piece0, n_pieces;      /* its pieces are piece0 .. piece0+n_pieces-1, in member order */
} fiber_hub;

typedef struct fiber_cut {
    int64_t n_parts, n_hubs, n_pieces;
    fiber_part *parts;                  /* by row */
    fiber_hub *hubs;                    /* by row */
    fiber_piece *pieces;                /* by hub, then member */
} fiber_cut;

/* A row costs its members + row_cost; a part ends when its cost reaches part_cost. Rows of more than hub_members
 * (0: none is a hub) are hubs. All constants >= 1 but hub_members. */
typedef struct fiber_cost {
    int64_t row_cost, part_cost, hub_members, piece_members;
} fiber_cost;

mp_status fiber_cut_rows(mp_context *ctx, const int64_t *ptr, int64_t n_rows, const fiber_cost *cost, fiber_cut *out);
void fiber_cut_free(mp_context *ctx, fiber_cut *cut);

/* Pairs are ordered by row, then by index. Positions are those of the members in the rows' order. */
typedef struct pair_index {
    int64_t n_rows, n_members, n_pairs, n_indices;
    int64_t n_grouped;          /* members with an index other than -1 */
    int64_t *row_ptr;           /* [n_rows + 1]: pairs of a row */
    int32_t *pair_row;          /* [n_pairs] */
    int32_t *pair_idx;          /* [n_pairs] */
    int64_t *pair_ptr;          /* [n_pairs + 1]: into order */
    int64_t *order;             /* [n_grouped]: names of the members grouped by pair, in their own order within a pair */
    int64_t *pair_of;           /* [n_members]: by the member's name; -1 where the index is */
    int64_t max_pair;           /* members of the largest pair */
    int64_t room_pairs, room_grouped;       /* allocated lengths */
} pair_index;

/* `index` has a value of -1 .. n_indices-1 (checked before) for each member; that of the member at position k is
 * index[eid k] (eid all NULL: index[k]). In the result that member is called name k (name all NULL: k): outgoing edges
 * by their place in the incoming walk. MP_UNSUPPORTED from 2^31 members. */
mp_status pair_index_build(mp_context *ctx, const int64_t *ptr, int64_t n_rows, const int32_t *index,
                           graph_positions eid, graph_positions name, int64_t n_indices, pair_index *out);
void pair_index_free(mp_context *ctx, pair_index *pairs);

/* The same in two steps, for an index that is computed again and again: room in *out and in a builder for whatever the
 * index may be, then builds that allocate nothing. `ptr` must stay. */
typedef struct pair_builder pair_builder;
mp_status pair_builder_make(mp_context *ctx, const int64_t *ptr, int64_t n_rows, int64_t n_indices, pair_index *out,
                            pair_builder **builder);
void pair_builder_run(mp_context *ctx, pair_builder *builder, const int32_t *index, graph_positions eid,
                      graph_positions name, pair_index *pairs);
void pair_builder_free(mp_context *ctx, pair_builder *builder);

/* The pairs by index: idx_ptr[n_indices + 1] into idx_order[n_pairs], by row within an index (grouped products).
 * Both are freed by mem_array_free with these counts. */
mp_status pair_index_by_index(mp_context *ctx, const pair_index *pairs, int64_t **idx_ptr, int64_t **idx_order);
void pair_index_by_index_into(const pair_index *pairs, int64_t *idx_ptr, int64_t *idx_order);

#endif
