/*
 * The part of `prepared` that stands on a GPU: functions, tables that kernels read (places of buffers, dims, steps of
 * loops), launches, and the host's half of a call: it puts the launches on the stream, and between them short kernels
 * that do what runtime/exec.c does between launches on the CPU. The host takes no decision that depends on results, so
 * no call waits: where a loop may end early, all steps that it may take are put on the stream, and kernels of those that
 * it does not take return at once (device_abi.h).
 */
#ifndef RUNTIME_DEVICE_PROGRAM_H
#define RUNTIME_DEVICE_PROGRAM_H

#include "runtime/device_abi.h"
#include "runtime/device_control.h"
#include "runtime/device_fiber.h"
#include "runtime/device_module.h"
#include "runtime/prepare.h"

/* A kernel as it is launched. */
typedef struct device_part {
    const device_kernel *code;      /* NULL: nothing to do */
    device_functions functions;
    mp_device_launch view;          /* without states and room */
    int64_t rows_grid, pieces_grid; /* blocks */
    size_t room_bytes, state_bytes; /* of a block; of a piece */
    bool shared;                    /* room is shared memory */
} device_part;

enum { DEVICE_PART_SIZES = 6 };      /* room and state, of the kernel, of `before`, of `after` */

typedef struct device_gemm device_gemm;

typedef struct device_launch {
    bool made, own;                 /* own: the fiber's memory is the launch's */
    device_fiber fiber;
    int64_t room_pieces;            /* the most pieces there can be */
    device_part before, main;       /* the kernel; or, where cuBLAS does its products, what is done before and after them */
    device_gemm *products;          /* device_product.h */
    uint32_t n_products;
    size_t own_at[MP_DEVICE_OWN], own_bytes;
} device_launch;

struct device_program {
    const device_module *mod;
    device_launch *launches;        /* by kernel */
    int64_t *sizes;                 /* by kernel: room, state; the same of `before`, of `after` (device_code.h) */
    int *op;                        /* by step: its place among the ops, or -1; of a loop's end, too, that of leaving it */
    bool *counted;                  /* by loop: the host knows its steps */
    int64_t *left;                  /* by loop: steps that may still be put on the stream */
    unsigned *number;               /* by loop: of the run of it that is being put on the stream */
    void **sent;                    /* by buffer: as the device has it in `base` */
    uint32_t n_ops;
    void *tables;                   /* on the device: */
    size_t table_bytes;
    int64_t *dim, *step;
    double *real;
    void **base, **now;
    mp_loop *loops;
    mp_op *ops;
    mp_replay *replays;
    mp_control_args pending;        /* steps that were not yet put on the stream */
    mp_status failed;               /* the first thing that went wrong in a call */
    bool fetched;                   /* the loops' states were brought to the host */
};

/* After the dims are settled: the module, dims, sizes of the kernels. */
mp_status device_program_begin(mp_layer *layer, prepared *p, mp_module *mod);
/* After places, sizes of entries and launches are settled: loops and steps. */
mp_status device_program_finish(mp_layer *layer, prepared *p);
void device_program_free(mp_context *ctx, prepared *p);

/* device_launch.c. A launch: members on the device, grids. `rows` are as they are now; `most_members` counts room for pieces. */
mp_status device_launch_make(mp_layer *layer, prepared *p, uint32_t kernel, const fiber_rows *rows, int64_t most_members);
/* Its states and room in the workspace, in bytes. False: too large. */
bool device_launch_memory(const mp_context *ctx, const device_launch *l, size_t *states, size_t *room);
void device_launch_free(mp_context *ctx, device_launch *l);

/* One launch by itself, before the first call; waits for nothing. */
mp_status device_launch_now(mp_layer *layer, prepared *p, uint32_t kernel);

/* A call: feeds, steps, drains. */
mp_status device_program_run(mp_layer *layer, prepared *p);
/* What the loops of the last call reached, into p->loops; waits for it. */
void device_program_fetch(mp_layer *layer, prepared *p);

/* The loops' decisions, as runtime/exec.c takes them on the CPU; for those that the host can follow. */
bool loop_begin(prepared *p, uint32_t loop);
bool loop_goes_on(prepared *p, uint32_t loop);

/* device_pairs.c: a pair structure's arrays to the device. */
mp_status device_pairs_upload(mp_layer *layer, prepared *p, uint32_t i);
/* One that is built in calls, by the device: room for the most there can be; the build; the rows of launches on it, whose
 * numbers only the device knows. False, NULL: the structure is made by prepare. */
mp_status device_pairs_prepare(mp_layer *layer, prepared *p, uint32_t i, const fiber_rows *base);
mp_status device_pairs_run(mp_context *ctx, prepared *p, uint32_t i);
bool device_pairs_fiber(const prepared *p, mp_fiber fiber, device_fiber *out);
const int64_t *device_pairs_count(const prepared *p, uint32_t i);
void device_pairs_free(mp_context *ctx, pair_state *s);

/* device_tensors.c: as convert_in, convert_out, convert_add and the change of the order of rows, for tensors wherever they
 * lie; the compact side is data. */
void device_convert_in(mp_layer *layer, prepared *p, const DLTensor *t, tensor_type to, void *dst);
void device_convert_out(mp_layer *layer, prepared *p, const void *src, tensor_type from, const DLTensor *t, bool add);
void device_reorder(mp_layer *layer, prepared *p, row_order way, const void *from, void *to, size_t bytes);

#endif
