/* What the runtime's own kernels on a device are given: one text for both sides, as device_abi.h is. The kernels are
 * codegen/cuda/runtime.cuh; every module has them.
 *
 * mp_begin    sets the places of buffers that a call knows, then all of `now` from `base`
 * mp_control  goes through steps that are not launches: loops, swaps, places of entries, as runtime/exec.c does on the CPU
 * mp_convert  between element types, strides and compact arrays
 * mp_reorder  rows between the edge list's order and the walk order
 * mp_sizes    (generated with the kernels) room and state of a kernel at given dims */
#ifndef MP_DEVICE_CONTROL_H
#define MP_DEVICE_CONTROL_H

enum { MP_BEGIN_PLACES = 64, MP_CONTROL_OPS = 60, MP_TENSOR_RANK = 8 };

typedef struct mp_begin_args {
    void **base, **now;
    int n_buffers, n;
    int buffer[MP_BEGIN_PLACES];
    void *place[MP_BEGIN_PLACES];
} mp_begin_args;

/* A step, with what it needs of the description resolved. Loops -1: none; buffers -1: none. */
typedef enum mp_op_kind {
    MP_OP_LOOP, MP_OP_END, MP_OP_LEAVE, MP_OP_SWAP, MP_OP_SLOT, MP_OP_SLOT_BACK, MP_OP_REPLAY, MP_OP_REPLAYED
} mp_op_kind;

typedef struct mp_op {
    int kind, around;               /* the loop around it: where that has ended, the step is left out */
    int a, b;
    int sequence;                   /* SLOT: its buffer, */
    long long bytes, apart;         /*   bytes between entries, how far apart they are kept */
} mp_op;

/* A loop: what is fixed, then what a call changes. */
typedef struct mp_loop {
    int around, again, until;
    int tol, change_at, count_at, steps_at;         /* buffers, or -1 */
    long long limit, apart;
    long long steps, most, first;
    double change;
} mp_loop;

typedef struct mp_replay { int loop, kept, made, cur, next, value; long long bytes; } mp_replay;

typedef struct mp_control_args {
    void **now;
    long long *step;
    mp_loop *loops;
    const mp_op *ops;
    const mp_replay *replays;
    unsigned long long *seen;       /* of the host; gets `number` when a loop ends early */
    int n_loops, n_replays, n;
    int op[MP_CONTROL_OPS];
    unsigned number[MP_CONTROL_OPS];
} mp_control_args;

typedef enum mp_element {           /* as tensor_type numbers them */
    MP_E_F64, MP_E_F32, MP_E_F16, MP_E_BF16, MP_E_I8, MP_E_I16, MP_E_I32, MP_E_I64, MP_E_U8, MP_E_U16, MP_E_U32, MP_E_U64, MP_E_BOOL
} mp_element;

typedef struct mp_convert_args {
    const void *from;
    void *to;
    int from_type, to_type, rank, add;
    long long n;                    /* elements */
    long long shape[MP_TENSOR_RANK], from_stride[MP_TENSOR_RANK], to_stride[MP_TENSOR_RANK];
} mp_convert_args;

typedef struct mp_reorder_args {
    const char *from;
    char *to;
    const long long *order;         /* row of the edge list by position of the walk */
    long long n, row_bytes;
    int to_walk, word;              /* bytes that are moved at a time: 16, 8, 4, 2, 1 */
} mp_reorder_args;

typedef struct mp_sizes_args { const long long *dim; long long *out; int kernel; } mp_sizes_args;

#endif
