/* The kernel plan: all that a back end sees of a layer.
 *
 * A plan is a program of steps (launches, loops, builds of index structures) over buffers. A launch runs a
 * kernel over all rows of a domain, cut into parts by the graph and the sizes alone. A kernel's body is a
 * tree of loops over rows, members and feature axes with statements at the leaves; everything a statement
 * computes is an expression over integer indices, so that views (slices, transposes, reshapes, lookups,
 * gathers) have become address arithmetic. docs/design.md, "The kernel plan", tells the whole.
 *
 * The plan is data: it holds no pointers into the IR but the spans, and both back ends print it or
 * compile it without deciding anything that changes results.
 */
#ifndef MPC_PLAN_KERNEL_H
#define MPC_PLAN_KERNEL_H

#include "compiler/ir/ir.h"
#include "runtime/abi.h"

/* ---- sizes ----------------------------------------------------------------------------------------- */

/* A dim that is needed at run time stands in a slot of mp_kargs.dim; constants need none. */
typedef struct kdim { bool is_const; int64_t value; uint32_t slot; } kdim;

/* ---- buffers --------------------------------------------------------------------------------------- */

typedef enum { KT_F64, KT_F32, KT_F16, KT_BF16, KT_I64, KT_I32, KT_BOOL } ktype;   /* element types in memory */

/* One array in memory: `rows` rows of `elems` contiguous elements. Never aliased by another that a kernel
 * writes. Those the runtime owns (graph arrays) are named by mp_graph_array. */
typedef struct kbuffer {
    mp_buffer_kind kind;      /* abi.h: input, output, work, graph, pairs ... */
    uint32_t index;           /* which input, output, graph array ... */
    ktype type;
    mp_rows rows;             /* abi.h: whose rows */
    kdim elems;               /* elements a row */
    bool walk_order;          /* edge rows are positions of the incoming walk, not numbers of the edge list */
    mp_entries entries;       /* of a sequence: which are kept (abi.h); of those between, `index` is the sequence of those apart */
    bool sequence;            /* an array of `slots` such arrays; an entry is a buffer of kind SLOT, whose index is this buffer */
    kdim slots;
    uint32_t first, last;     /* WORK: the steps between which it is alive */
    const char *name;
} kbuffer;

/* ---- expressions ----------------------------------------------------------------------------------- */

typedef struct { uint32_t i; } kx;      /* index of an expression in the plan; 0 is none */

typedef enum kx_op {
    /* integers (int64) */
    KX_INT,         /* value.i */
    KX_DIM,         /* value of a kdim: dim */
    KX_VAR,         /* feature loop variable: var */
    KX_ROW,         /* the current row (KN_ROWS), or the row that the current member belongs to (KN_MEMBERS) */
    KX_MEMBER,      /* position of the current member in the kernel's fiber */
    KX_STEP,        /* number of the step of loop `var`; n_loops on, how many steps are left after it */
    KX_IADD, KX_ISUB, KX_IMUL, KX_IDIV, KX_IMOD,        /* of non-negative integers */
    KX_ILOAD,       /* element of an integer buffer: buffer, a = linear element offset; -1 may come out */
    KX_BUCKET,      /* a real, b integer R: floor(a) held to 0..R-1, NaN gives 0 */
    KX_IDX,         /* value of an integer local: local, a = element offset */
    KX_ISEL,        /* a bool, b, c integers */

    /* reals (f32 or f64: `type`) and booleans (KT_BOOL) */
    KX_NUM,         /* value.f */
    KX_REALARG,     /* real static argument: var */
    KX_TRAINING,    /* bool */
    KX_LOAD,        /* buffer, a = row, b = element offset in the row; a < 0 or b < 0 gives 0 when `guarded`; half types are
                       widened to f32 */
    KX_LOCAL,       /* local, a = element offset */
    KX_OTHER,       /* in a combine: the accumulator `local` of the piece that is merged in, a = offset */
    KX_FROM_INT,    /* a integer -> real */
    KX_MAP,         /* element-wise: op is the EW row of ops.def; a, b, c operands (CAST changes type). LT LE EQ NE compare
                       integers too, HAS asks a >= 0 of one; BUCKET and DROPOUT are KX_BUCKET and KX_RANDOM instead */
    KX_SELECT,      /* a bool; b, c of `type`: only the taken side counts (a piecewise concat) */
    KX_RANDOM       /* dropout's u in [0, 1), f32 (compiler/ir/philox.h): a = key (real), b = number of the member in its
                       domain, c = element of the member (integers), value.i = place. The element is kept when u >= p,
                       as LE(p, u) in f32 */
} kx_op;

typedef struct kexpr {
    uint8_t op;               /* kx_op */
    uint8_t type;             /* KT_F64 KT_F32 KT_BOOL, or KT_I64 */
    uint8_t map;              /* KX_MAP: an ir_op of class EW */
    bool guarded;             /* KX_LOAD */
    uint32_t var;             /* KX_VAR, KX_STEP, KX_REALARG */
    uint32_t buffer, local;
    kx a, b, c;
    kdim dim;
    union { int64_t i; double f; } value;
} kexpr;

/* ---- locals ---------------------------------------------------------------------------------------- */

/* Scratch of a kernel, never shared between threads.
 *   one copy a row or member (tile == 1): lives in registers where its size is small and known;
 *   one a row of the tile or member of the block (tile > 1): memory that stays in L1 or L2; the copy of the
 *   current row (member) is meant when a statement names it. */
typedef enum { SCOPE_ROW, SCOPE_MEMBER } kscope;
typedef struct klocal {
    kscope scope;
    ktype type;               /* F64 F32 BOOL I64 */
    kdim elems;
    bool tiled;               /* a copy for each row of the tile / member of the block */
    bool accumulator;         /* part of the walk's state: kept across members, stored by pieces of hubs */
    const char *name;
} klocal;

/* ---- body ------------------------------------------------------------------------------------------ */

typedef enum knode_kind {
    KN_SEQ,         /* body in order */
    KN_ROWS,        /* for each row of the tile: body */
    KN_WALK,        /* inside KN_ROWS: for each member of the row: body.  init before, combine to merge pieces */
    KN_BLOCKS,      /* inside the top SEQ: for each block of at most `block` consecutive members of the tile's rows: body */
    KN_MEMBERS,     /* inside KN_BLOCKS: for each member of the block: body */
    KN_FOR,         /* feature loops around statements: loops[], innermost last; statements in order inside */
    KN_STORE,       /* dest = value                       (a statement; its loops are the KN_FOR around it) */
    KN_ACCUM,       /* dest = dest `op` value; op: ADD MUL MAX MIN AND OR */
    KN_IFANY,       /* if cond is true for any values of loops[]: body. Cond may be a scalar (no loops) */
    KN_GEMM         /* dense product on the tile (top SEQ) or the block (inside KN_BLOCKS) */
} knode_kind;

typedef struct kloop {
    uint32_t var;             /* its loop variable; loops side by side may share it if they have the same extent */
    kdim extent;
    bool reduce;              /* carried by KN_ACCUM: the destination does not depend on it */
} kloop;

typedef struct kref {         /* where a statement writes */
    enum { REF_LOCAL, REF_BUFFER } kind;
    uint32_t id;
    kx row;                   /* BUFFER */
    kx offset;
} kref;

/* C[m, n] (+)= sum over k of A[m, k] B[k, n] for every row of the tile or member of the block.
 * A is the tiled local `a` or, when a_is_buffer, rows row0.. of a buffer (row index = KX_ROW / KX_MEMBER: contiguous rows).
 * Offsets and strides are in elements. `batch` products stand side by side (heads).
 * With `group` the weights of a row start at b_offset + group * b_group (a relation's matrix); a negative group adds nothing.
 *
 * With `sum` (inside KN_BLOCKS of a kernel without tiles) it is a sum over the members of the block instead:
 * C[m, n] += sum over members and k of A[member; k, m] B[member; k, n], C an accumulator of the row, A and B each a tiled
 * local or contiguous rows of a buffer. Then a_m, b_n, c_n are 1; m and n are few or many, k the members' own. */
typedef struct kgemm {
    bool a_is_buffer;
    bool sum, b_is_local;     /* b_is_local: with `sum` only */
    uint32_t a, b, c;         /* a local or buffer; b buffer in unit rows (sum: rows as A's, or a local); c tiled local */
    kx a_offset, b_offset, c_offset;
    kdim m, n, k, batch;      /* m rows of A a row (free letters of the left operand) */
    kdim a_m, a_k, b_k, b_n, c_m, c_n;          /* strides; a_k == 1 and c_n == 1 unless a back end copies */
    kdim a_batch, b_batch, c_batch;
    bool accumulate;
    ktype type;
    kx group;                 /* integer expression by row / member, or none */
    kdim b_group;
} kgemm;

typedef struct knode {
    knode_kind kind;
    span where;                                   /* source of the value that it computes; empty: none */
    struct knode **body; uint32_t n_body;
    struct knode **init; uint32_t n_init;         /* WALK, BLOCKS: set the accumulators */
    struct knode **combine; uint32_t n_combine;   /* WALK, BLOCKS: merge KX_OTHER into the accumulators */
    kloop loops[IR_MAX_RANK + 2]; uint32_t n_loops;   /* FOR, IFANY */
    kref dest;                                    /* STORE, ACCUM */
    kx value;                                     /* STORE, ACCUM, IFANY (the condition) */
    ir_op op;                                     /* ACCUM: OP_ADD OP_MUL OP_MAX OP_MIN OP_AND OP_OR */
    kgemm *gemm;
    uint32_t block;                               /* BLOCKS */
    struct kprefetch { uint32_t buffer; kx row_at; kdim elems; } *prefetch; uint32_t n_prefetch;   /* WALK, MEMBERS: row_at is an
                                                     expression over KX_MEMBER, evaluated `distance` members ahead */
} knode;

typedef struct kkernel {
    const char *name;         /* "GAT_walk1" */
    mp_rows rows;             /* whose rows it runs over */
    mp_fiber fiber;           /* abi.h: whose members it walks; FIBER_NONE */
    uint32_t tile;            /* rows a tile; 1: none */
    klocal *locals; uint32_t n_locals;          /* local 0 is unused */
    knode *body;              /* KN_SEQ */
    knode *walk;              /* the one KN_WALK or KN_BLOCKS in it, or NULL */
    uint32_t n_vars;
    uint32_t row_cost;        /* cost of a row in members, for cutting parts */
    const char *why;          /* for explain: what was fused */
    int64_t flops_row, flops_member, bytes_row, bytes_member;   /* for explain, where constant; else -1 */
} kkernel;

typedef struct kstep {
    mp_step_kind kind;        /* abi.h */
    uint32_t a, b;            /* LAUNCH: kernel; LOOP, END: loop; SWAP: two buffers; SLOT: slot buffer, loop; PAIRS: pair structure */
    bool at_prepare;          /* depends on the graph and index inputs alone */
} kstep;

typedef struct kpairs {       /* a compact set of pairs (row of base fiber, value of an index) */
    mp_fiber base;            /* members are this fiber's members */
    uint32_t index_buffer;    /* one int32 a member row of the buffer */
    kdim range;
    bool dense;               /* every (row, r), for explain */
} kpairs;

typedef struct kreplay {      /* a state of a loop that runs again; all but kept and made are slots */
    uint32_t loop;
    uint32_t kept, made;      /* sequences: the states apart, those between */
    uint32_t cur, next;       /* in the loop's step */
    uint32_t value;           /* in the step of the loop around: the state that was asked for */
} kreplay;

typedef struct kloop_info {
    const char *name;
    kdim limit;
    bool until;
    uint32_t tol_buffer, change_buffer;         /* unit scalars: f64 */
    ir_again again;
    uint32_t count_buffer, steps_buffer;        /* 1 + the same: how many steps to take, how many were taken; 0: none */
} kloop_info;

typedef struct kplan {
    arena *mem;
    const ir_layer *layer;
    dim *dims; uint32_t n_dims;                  /* by slot */
    kexpr *exprs; uint32_t n_exprs;              /* expr 0 is unused */
    kbuffer *buffers; uint32_t n_buffers;
    kkernel *kernels; uint32_t n_kernels;
    kstep *steps; uint32_t n_steps;
    kpairs *pairs; uint32_t n_pairs;
    kloop_info *loops; uint32_t n_loops;
    kreplay *replays; uint32_t n_replays;
    struct kx_tables *tables;                    /* of kx.c */
    span here;                                   /* while it is made: source of the statements that are added */
} kplan;

#endif
