/* What compiled code and the runtime agree on. A compiled layer is a description (a plan: buffers, launches,
 * loops; read by module.c) and a table of kernel entry points, both found through one exported symbol,
 * `mp_module_v1`. Kernels see the world through mp_kargs and mp_launch only.
 *
 * Everything here is fixed-layout C; a change of meaning raises MP_ABI_VERSION, which the loader checks.
 */
#ifndef MP_ABI_H
#define MP_ABI_H

#include <stdint.h>

#define MP_ABI_VERSION 2
#define MP_MODULE_SYMBOL "mp_module_v1"

/* ---- rows: how many, known when the graph is bound ------------------------------------------------- */
typedef enum {
    ROWS_ONE = 0, ROWS_SRC, ROWS_DST, ROWS_EDGES, ROWS_GRAPHS,
    ROWS_PAIRS,                       /* of pair structure `which` */
    ROWS_DIM                          /* dim slot `which` */
} mp_rows_kind;
typedef struct { uint32_t kind, which; } mp_rows;

/* ---- fibers: the members of each row, as ptr[row] .. ptr[row + 1] ------------------------------------ */
typedef enum {
    FIBER_NONE = 0,
    FIBER_IN,                         /* rows: destinations; members: incoming edges in walk order */
    FIBER_OUT,                        /* rows: sources; members: outgoing edges */
    FIBER_GRAPH_DST,                  /* rows: graphs; members: their destination nodes; which = 1: their source nodes */
    FIBER_GRAPH_EDGE,                 /* rows: graphs; members: their edges in (incoming) walk order */
    FIBER_ALL,                        /* one row; members: all rows of kind `which` (mp_rows_kind; pairs: FIBER_ALL_PAIRS + index,
                                         a dim: FIBER_ALL_DIM + slot) */
    FIBER_PAIR,                       /* rows: pairs of structure `which`; members: base members, through its `member` list */
    FIBER_PAIR_BASE,                  /* rows: rows of the structure's base; members: its pairs (contiguous) */
    FIBER_PAIR_INDEX,                 /* rows: values r of the structure's index; members: its pairs, through its `by_index` list */
    FIBER_INDEX                       /* rows: values r of the index of a structure whose base is one row; members: base members,
                                         through its `member` list */
} mp_fiber_kind;
enum { FIBER_ALL_PAIRS = 16, FIBER_ALL_DIM = 1 << 16 };
typedef struct { uint32_t kind, which; } mp_fiber;

/* ---- buffers ------------------------------------------------------------------------------------------ */
typedef enum {
    BUF_INPUT = 0,                    /* bound by the caller: index is the input's; index inputs are int32, checked copies */
    BUF_OUTPUT,
    BUF_WORK,                         /* in the workspace */
    BUF_GRAPH,                        /* an mp_graph_array */
    BUF_PAIR_ROW,                     /* int32 a pair: row of its base         (index: pair structure) */
    BUF_PAIR_IDX,                     /* int32 a pair: its r */
    BUF_PAIR_MEMBER,                  /* int64 a member: base member (an edge: its position in the incoming walk), grouped by pair */
    BUF_PAIR_OF,                      /* int64 a base member (named so): its pair, -1 for none */
    BUF_PAIR_BY_INDEX,                /* int64 a pair: pairs grouped by r */
    BUF_EDGE_ROW,                     /* int64 by position of the incoming walk: row of that edge in the memory of buffer
                                         `index`, which the runtime may have put in walk order */
    BUF_EDGE_ROW_OUT,                 /* the same by position of the outgoing walk */
    BUF_SLOT,                         /* an entry of a sequence, buffer `index`: where it is, STEP_SLOT says */
    BUF_SAVED,                        /* in the tape: written by the training pass, read by the backward */
    BUF_COTANGENT,                    /* bound by the caller: of output `index`; read by the backward */
    BUF_GRADIENT                      /* bound by the caller: of input `index`; written by the backward */
} mp_buffer_kind;

typedef enum {
    GRAPH_IN_SRC = 0,                 /* int32, by position of the incoming walk: source row */
    GRAPH_IN_DST,                     /* int32: destination row */
    GRAPH_IN_EID,                     /* int32 or int64 (see GRAPH_EID_TYPE): number in the edge list; int64 here always */
    GRAPH_OUT_DST,                    /* int32, by position of the outgoing walk */
    GRAPH_OUT_SRC,
    GRAPH_OUT_POS,                    /* int64: position of the same edge in the incoming walk */
    GRAPH_OUT_EID,                    /* int64 */
    GRAPH_IN_DEGREE,                  /* f64, n_src rows: given degrees, or counted for the first n_dst */
    GRAPH_OUT_DEGREE,                 /* f64, n_src rows */
    GRAPH_DST_GRAPH,                  /* int32, n_dst rows */
    GRAPH_SRC_GRAPH,                  /* int32, n_src rows (square, or a block of one graph: 0) */
    GRAPH_NUM_NODES,                  /* f64, by graph */
    GRAPH_NUM_EDGES,                  /* f64, by graph */
    GRAPH_TOTALS,                     /* f64[4], unit: n_dst, edges, graphs, n_src */
    GRAPH_IN_PTR, GRAPH_OUT_PTR,      /* int64: fibers' own offsets, rows + 1 */
    GRAPH_IN_IDENTITY,                /* int64, by position of the incoming walk: itself */
    GRAPH_IN_PLACE,                   /* int32, by position of the incoming walk: place among the incoming edges of its destination */
    GRAPH_OUT_PLACE_IN,               /* the same by position of the outgoing walk */
    GRAPH_IN_PLACE_OUT,               /* int32, by position of the incoming walk: place among the outgoing edges of its source */
    GRAPH_N_ARRAYS
} mp_graph_array;

/* Which entries of a sequence have memory. c is chosen when the layer is prepared. */
typedef enum { ENTRIES_ALL = 0, ENTRIES_APART /* every c-th */, ENTRIES_BETWEEN /* c - 1: those after one of another sequence */ } mp_entries;

/* ---- steps -------------------------------------------------------------------------------------------- */
typedef enum {
    STEP_LAUNCH = 0,                  /* a: kernel */
    STEP_PAIRS,                       /* a: pair structure, from its index buffer */
    STEP_LOOP,                        /* a: loop: start, step = 0; body until STEP_END of the same loop */
    STEP_END,                         /* a: loop: count, test limit and tolerance, go back */
    STEP_SWAP,                        /* a, b: work buffers change places (a state and its next) */
    STEP_SLOT,                        /* a: slot buffer, b: loop: a is the entry of its sequence for the loop's step */
    STEP_SLOT_BACK,                   /* the same, for the step as far from the loop's last */
    STEP_REPLAY,                      /* a: loop that runs again: its states' places for its step */
    STEP_REPLAYED                     /* a: the same, after its end: the places of the states that it was asked for */
} mp_step_kind;

/* ---- what a kernel gets ------------------------------------------------------------------------------- */
typedef struct mp_kargs {
    void *const *buf;                 /* by buffer */
    const int64_t *dim;               /* by dim slot */
    const double *real;               /* real static arguments, by static */
    const int64_t *step;              /* current step, by loop; then, by loop, how many steps are left after it, of those that
                                         the loop takes at most */
    uint64_t seed;
    int64_t training;
} mp_kargs;

typedef struct mp_launch {
    const int64_t *ptr;               /* the fiber's offsets; NULL without fiber */
    const int64_t *hub_row;           /* rows whose members were walked in pieces, ascending; ends with INT64_MAX */
    const int64_t *hub_first;         /* first piece of each hub; one more entry at the end */
    const char *state;                /* accumulators of the pieces */
    int64_t state_bytes;              /* of one piece */
} mp_launch;

/* Rows lo..hi; hub is the first hub with row >= lo. scratch: mp_kernel's scratch, 64-byte aligned. */
typedef void mp_rows_fn(const mp_kargs *, const mp_launch *, int64_t lo, int64_t hi, int64_t hub, void *scratch);
/* Members lo..hi of one hub: everything up to and including the walk, then the accumulators go to `state`. */
typedef void mp_piece_fn(const mp_kargs *, const mp_launch *, int64_t row, int64_t lo, int64_t hi, void *state, void *scratch);

typedef struct mp_kernel_entry { mp_rows_fn *rows; mp_piece_fn *piece; } mp_kernel_entry;   /* piece NULL: no fiber */

typedef struct mp_module_v1 {
    uint32_t abi_version;
    uint32_t n_variants;              /* CPU variants of the kernels, best last */
    const char *compiler;             /* version of the compiler */
    const void *description;          /* read and checked by module.c */
    uint64_t description_bytes;
    const char *const *variant_features;         /* by variant: comma-separated CPU features it needs */
    const mp_kernel_entry *const *kernels;       /* by variant: by kernel number, over all layers */
    uint64_t n_kernels;
    uint64_t source_hash;
} mp_module_v1;

#endif
