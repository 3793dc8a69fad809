/*
 * Launches: a kernel over all rows of a domain. Rows are cut into parts of about equal cost, rows with very many
 * members (hubs) are walked in pieces; both depend on the rows and the kernel alone, never on threads, and with them the
 * order in which results are combined.
 */
#ifndef RUNTIME_LAUNCH_H
#define RUNTIME_LAUNCH_H

#include "runtime/context.h"
#include "runtime/description.h"

enum {
    LAUNCH_PART = 8192,             /* cost of a part: members, and row_cost for each row */
    LAUNCH_HUB = 8192,              /* a row with more members is a hub */
    LAUNCH_PIECE = LAUNCH_HUB / 2   /* members of a piece */
};

typedef struct launch_part { int64_t lo, hi, hub; } launch_part;
typedef struct launch_piece { int64_t row, lo, hi; } launch_piece;

typedef struct launch {
    const desc_kernel *kernel;
    mp_kernel_entry entry;
    size_t scratch_bytes, state_bytes;      /* of a thread; of a piece */
    int64_t n_rows;
    const int64_t *ptr;                     /* offsets of the members, [n_rows + 1]; NULL: no fiber */
    int64_t whole[2];                       /* offsets of a fiber that is all members of one row */
    int64_t part_rows;                      /* rows of a part without fiber */
    int64_t n_parts, n_hubs, n_pieces;
    launch_part *parts;                     /* with a fiber */
    launch_piece *pieces;
    int64_t *hub_row, *hub_first;           /* [n_hubs + 1] */
    int64_t room_parts, room_hubs, room_pieces;
} launch;

/* Scratch and state of a kernel whose sizes are known. MP_INVALID when they overflow. */
mp_status launch_init(mp_context *ctx, launch *l, const desc_kernel *k, const mp_kernel_entry *entry, const int64_t *dim);

/* Room for any rows whose number and members are at most these; then a cut allocates nothing. */
mp_status launch_reserve(mp_context *ctx, launch *l, int64_t n_rows, int64_t n_members);
/* Cuts rows by their offsets (NULL: without fiber). What is cut has been reserved. */
void launch_cut(launch *l, int64_t n_rows, const int64_t *ptr);
void launch_free(mp_context *ctx, launch *l);

/* Where a launch finds its memory: states for its pieces, scratch_stride bytes of scratch for each thread. */
typedef struct launch_memory {
    char *states, *scratch;
    size_t scratch_stride;
} launch_memory;

void launch_run(mp_context *ctx, const launch *l, const mp_kargs *args, const launch_memory *memory);

/* Bytes of the states of all pieces. False: they overflow. */
bool launch_states(const launch *l, size_t *bytes);

static inline int64_t desc_size_value(const desc_size *s, const int64_t *dim)
{
    return s->is_const ? s->value : dim[s->slot];
}

static inline size_t round_up_64(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

#endif
