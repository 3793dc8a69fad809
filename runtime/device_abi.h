/* What kernels on a device are given: one text for both sides. It is a part of the source that codegen/cuda prints,
 * compiled without any other header, and is included by what launches them.
 *
 * All pointers are device memory. A kernel over rows is launched once for all rows: a group of lanes takes a row (or a
 * block of threads a tile of rows), and goes on by the size of the grid. Rows with more than hub_members members were
 * walked before, piece by piece, by the kernel's piece function, which left their accumulators in `state`; the rows
 * function combines them in the order of the pieces.
 *
 * steps[i] of a loop that has ended is negative: kernels inside of it return at once. */
#ifndef MP_DEVICE_ABI_H
#define MP_DEVICE_ABI_H

typedef struct mp_device_args {                 /* mp_kargs (abi.h), field by field */
    void *const *buf;
    const long long *dim;
    const double *real;
    const long long *step;
    unsigned long long seed;
    long long training;
} mp_device_args;

enum { MP_DEVICE_OWN = 6 };

typedef struct mp_device_launch {
    const long long *ptr;                       /* offsets of the rows' members; NULL without fiber */
    const int *order;                           /* rows in the order in which they are taken; NULL: as they are.
                                                   Kernels by tile take none */
    long long lo, hi;                           /* rows (places in `order`) of this launch */
    long long hub_members;                      /* a row with more is a hub */
    const long long *hub_row, *hub_first;       /* hubs ascending; first piece of each, one more at the end */
    long long n_hubs;
    const long long *piece_row, *piece_at;      /* by piece: its row, its first member */
    long long n_pieces, piece_members;          /* the last piece of a hub has fewer */
    char *state;                                /* accumulators of the pieces */
    long long state_bytes;                      /* of one piece */
    char *room;                                 /* memory for locals, room_bytes a block; NULL: it is shared memory */
    long long room_bytes;
    const long long *counts;                    /* hi, n_hubs and n_pieces, where only the device knows them: these are the most then */
    void *own[MP_DEVICE_OWN];                   /* arrays between the parts of a kernel whose products a BLAS does */
} mp_device_launch;

#endif
