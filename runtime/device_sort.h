/* What kernels are given that build pair structures in a call, one text for both sides, as device_control.h is. The kernels are
 * codegen/cuda/pairs.cuh; modules have them whose programs ask for it. How many pairs come out only the device knows: sizes that are
 * pointers are read there, memory is for the most there can be. All sums and sorts are by places alone, so that bits are equal from run to run.
 *
 * mp_pair_keys    row and index of each member
 * mp_sort_count   how often each digit of the key comes in each tile; mp_scan: where those begin; mp_sort_move: a stable step of the sort
 * mp_pair_count   members that begin a pair; mp_scan; mp_pair_write: pairs, their members, the pair of each member
 * mp_pair_search  where each row's, or each index's, pairs or members begin
 * mp_fiber_count  hubs and pieces of rows; mp_scan; mp_fiber_write: lists of both (device_abi.h) */
#ifndef MP_DEVICE_SORT_H
#define MP_DEVICE_SORT_H

enum { MP_SORT_DIGITS = 16, MP_SORT_BITS = 4, MP_SORT_EACH = 16, MP_SORT_TILE = 256 * MP_SORT_EACH, MP_SORT_SHARED = 4 * (MP_SORT_TILE + 256) };

typedef struct mp_keys_args {
    const long long *ptr;           /* members of the rows */
    long long n_rows, n, n_indices;
    void *const *now;               /* the index is buffer `index` there, */
    const int *place;               /* that of member k at place[k]; NULL: at k */
    int index;
    int *row, *idx;                 /* by member; one without an index, or with one that is none, has n_rows and n_indices */
} mp_keys_args;

typedef struct mp_sort_args {
    const int *key;                 /* by what is sorted */
    const unsigned *from;           /* NULL: 0, 1, ... */
    unsigned *to, *counts;          /* counts: by digit, then tile */
    const long long *n;             /* of at most `most`; NULL: as many */
    long long most;
    int shift;
} mp_sort_args;

/* Sums before each of n numbers, in each of as many parts as blocks; the sum of part b goes to *total[b]. */
typedef struct mp_scan_args { unsigned *counts; long long n; long long *total[2]; } mp_scan_args;

typedef struct mp_pairs_args {
    const int *row, *idx, *name;    /* name: what kernels call member k; NULL: k */
    const unsigned *sorted;
    unsigned *counts;               /* by tile */
    long long n_rows, n_indices, n;
    int *pair_row, *pair_idx;
    long long *pair_ptr, *order, *pair_of, *n_pairs, *n_grouped;
} mp_pairs_args;

/* at[i], i <= n_keys: the first of `key` (sorted: key[in[j]]; in NULL: key[j]) that is at least i; through `then`, if given. */
typedef struct mp_search_args {
    const int *key;
    const unsigned *in;
    const long long *n, *then;
    long long n_keys, *at;
    long long *sorted;              /* gets in[j], if given */
} mp_search_args;

typedef struct mp_fiber_args {
    const long long *ptr, *n_rows;  /* n_rows NULL: most */
    long long most, hub_members, piece_members;
    unsigned *counts;               /* hubs by tile, then pieces by tile */
    long long *hub_row, *hub_first, *piece_row, *piece_at, *now;        /* now: rows, hubs, pieces (mp_device_launch.counts) */
} mp_fiber_args;

#endif
