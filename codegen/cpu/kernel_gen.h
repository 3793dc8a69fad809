/* Inside of kernel generation: shared by kernel.c and kernel_*.c.
 *
 * Values. A kval is an expression's value in the current place: a real or boolean as an LLVM scalar (the
 * same in all lanes) or vector; an integer as scalar + constant + a constant for each lane where that is
 * possible, so that addresses show whether lanes lie side by side, and as a vector of i64 otherwise.
 *
 * Scopes. Each loop and branch that is being written is a scope with an open block in front of its body, the
 * head: an expression is evaluated in the head of the innermost scope that binds something it depends on. A
 * point is one vector of an unrolled loop nest: there the loop variables are constants by lane, which bind
 * no scope, so values that vary by lane can leave loops over members and rows, too. */
#ifndef MPC_CODEGEN_CPU_KERNEL_GEN_H
#define MPC_CODEGEN_CPU_KERNEL_GEN_H

#include "codegen/cpu/kernel.h"
#include "compiler/plan/kx.h"
#include "compiler/support/map.h"
#include "compiler/support/vec.h"

enum { KG_LANES = 32, KG_SCOPES = 64, KG_UNROLL = 16 };

typedef struct kval {
    LLVMValueRef v;             /* integer: scalar part, NULL for 0 */
    const int64_t *lane;        /* integer: added by lane, 0 in lane 0; NULL: the same in all lanes */
    int64_t add;                /* integer: added in all lanes */
    int64_t align;              /* integer: divides the scalar part; 0 where that is 0 */
    bool is_int, vec;           /* vec: v is a vector (integers: then lane and add are not used) */
} kval;

typedef struct kbind {          /* of the row, the member, a loop variable */
    kval value;
    int depth;                  /* number of the scope that binds it */
    bool point;                 /* a constant by lane */
    bool bound;
} kbind;

typedef struct kscope_open {
    uint32_t serial;
    bool inline_;               /* no head: straight on */
    LLVMBasicBlockRef head, body;
    int room;                   /* vectors that may still be kept across it */
} kscope_open;

enum { N_VOLATILE = 1, N_POINT = 2, N_LOADS = 4, N_FREE = 8, N_VARIES = 16 };
typedef struct knote {
    uint32_t epoch;
    int depth;
    unsigned flags;
} knote; /* of an expression, while nothing is bound anew */
typedef struct kcached { kval value; uint32_t serial, stamp; int depth; bool is_volatile; } kcached;

typedef struct kstorage {       /* of a local */
    elem type;
    bool frame;                 /* in the function's frame, in registers if all goes well */
    int64_t elems;              /* frame: known number of elements; behind them is room for a vector */
    LLVMValueRef base;
    LLVMValueRef shadow;        /* the current copy, while a walk keeps it in the frame */
    bool strip;                 /* the shadow holds the strip alone */
} kstorage;

/* A walk over one strip of an axis that is too long, or not known, to keep whole in registers: kernel_strip.c. */
enum { KG_STRIP = 8 };
typedef struct kstrip {
    kdim extent;                /* of the axis */
    int width, count;           /* lanes of a vector, vectors */
    LLVMValueRef base;          /* the first element */
    LLVMValueRef mask[KG_STRIP];        /* NULL: all lanes count */
    int depth;                  /* of the scope that binds the base */
    uint32_t point;             /* number of the first vector */
} kstrip;

typedef struct kgen {
    emitter *e;
    arena *mem;
    const kplan *p;
    const kkernel *k;
    int prefetch;
    bool *written;              /* by buffer */
    uint8_t *has;               /* by expression: bits HAS_* of what it contains */
    uint64_t *reads;            /* by expression: bits kg_place of what it reads that the kernel writes */
    uint64_t *vars;             /* by expression: words of bits of the loop variables in it */
    uint32_t var_words;
    LLVMValueRef zeros;         /* 256 bytes of 0 */

    /* the function that is being written */
    LLVMValueRef args, launch, scratch;
    LLVMValueRef state;         /* of a piece, or a null pointer where rows are wanted; NULL: no fiber */
    LLVMValueRef buf, dim;      /* fields of args */
    bool in_walk, walked;       /* after the walk a piece is done */
    LLVMValueRef ptr;           /* the fiber's offsets */
    LLVMValueRef last_member;   /* of the part: no prefetch looks behind it */
    LLVMValueRef hub, hub_row;  /* variables in the frame: number of the next hub, its row */
    LLVMValueRef hub_rows, hub_first, states, state_bytes;      /* of the launch */
    LLVMValueRef tile_start, tile_rows;
    LLVMValueRef block_start, block_end, block_row, block_last; /* the block's members, first and last row */
    LLVMValueRef other;                         /* state of the piece that is merged in */
    const kstrip *strip;                        /* the walk that is being written; NULL: whole rows */
    kstorage *locals;
    LLVMValueRef *acc_offset;                   /* by local: bytes in a state */

    kscope_open scope[KG_SCOPES];
    int depth;                  /* number of the innermost scope */
    uint32_t serials, epoch, stamp, points;
    uint32_t changed[64];       /* stamp of the last change, by kg_place */
    kbind row, member, *var;
    int lanes, active;          /* lanes in use: active of them, when the tail is known */
    uint32_t point;             /* 0: none */
    uint32_t mask_id;           /* of the mask below; 0: none */
    LLVMValueRef tail;          /* lanes inside of the loop, NULL: all */
    LLVMValueRef chosen;        /* lanes for which the value counts (sides of a select), NULL: all */
    int ride; /* the scope for which a varying value leaves its own, while its parts are evaluated; or -1 */
    knote *note;
    VEC(kcached) cached;
    map cache;                  /* expression and point -> 1 + index into cached */
} kgen;

/* Locals and written buffers share 64 numbers. */
static inline uint32_t kg_place(bool buffer, uint32_t id) { return buffer ? 48 + id % 16 : id % 48; }

/* kernel_scope.c */
void kg_push(kgen *g, bool inline_);
void kg_pop(kgen *g);
kbind kg_bind(kgen *g, kbind *what, kval value, bool point); /* in the innermost scope; returns the old one */
void kg_unbind(kgen *g, kbind *what, kbind old);
void kg_changed(kgen *g);                       /* anything that the kernel writes may have been written */
void kg_changed_by(kgen *g, const kref *dest);  /* that was */
knote kg_note(kgen *g, kx x);
kcached *kg_find(kgen *g, uint64_t key, int depth, bool is_volatile);
void kg_keep(kgen *g, uint64_t key, int depth, bool is_volatile, kval v);
LLVMBasicBlockRef kg_enter(kgen *g, int depth);                 /* to the head of a scope; NULL: stays */
void kg_leave(kgen *g, int depth, LLVMBasicBlockRef from);

/* kernel_int.c: integers by lane */
kval kg_const(int64_t x);
kval kg_scalar(LLVMValueRef v);                                 /* an i64 */
kval kg_lanes(kgen *g, LLVMValueRef base, int64_t align, const int64_t *by_lane);
bool kg_uniform(kval v);
bool kg_is_const(kval v, int64_t *x);                           /* the same known number in all lanes */
LLVMValueRef kg_int1(kgen *g, kval v);                          /* of a uniform one: i64 */
LLVMValueRef kg_intn(kgen *g, kval v);                          /* i64 in g->lanes */
kval kg_iadd(kgen *g, kval a, kval b);
kval kg_isub(kgen *g, kval a, kval b);
kval kg_imul(kgen *g, kval a, kval b);
kval kg_idivmod(kgen *g, kval a, kval b, bool mod);
kval kg_dim(kgen *g, kdim d);
LLVMValueRef kg_icompare(kgen *g, cmp_op op, kval a, kval b);   /* i1, scalar where both are uniform */

/* kernel_expr.c */
enum { HAS_VAR = 1, HAS_INDEX = 2, HAS_SUB = 4, HAS_F64 = 8 };     /* HAS_F64: that follows a loop variable */
kval kg_eval(kgen *g, kx x);
kval kg_real(LLVMValueRef v);                                   /* a real or boolean, scalar or vector */
LLVMValueRef kg_vector(kgen *g, kval v);                        /* in g->lanes, of its register type */
elem kg_elem(ktype t);
LLVMValueRef kg_both(kgen *g, LLVMValueRef a, LLVMValueRef b);   /* of two masks, by lane where either is */
int kg_constant_mask(LLVMValueRef mask); /* 1: all true, 0: all false, -1: neither or unknown */

/* kernel_ew.c */
kval kg_map(kgen *g, const kexpr *x, kval a, kval b, kval c);
kval kg_random(kgen *g, const kexpr *x, kval key, kval member, kval element);

/* kernel_memory.c */
void kg_locals_open(kgen *g);                                   /* at the function's start */
LLVMValueRef kg_buffer(kgen *g, uint32_t buffer);
LLVMValueRef kg_row_ptr(kgen *g, uint32_t buffer, kx row);      /* of a uniform row */
kval kg_load(kgen *g, const kexpr *x, kval row, kval offset);   /* KX_LOAD */
kval kg_iload(kgen *g, const kexpr *x, kval offset);
kval kg_load_local(kgen *g, uint32_t local, kval offset, bool other);
LLVMValueRef kg_local_ptr(kgen *g, uint32_t local);             /* the current copy */
LLVMValueRef kg_dest_load(kgen *g, const kref *dest);           /* in g->lanes */
void kg_dest_store(kgen *g, const kref *dest, kval value);
void kg_copy_local(kgen *g, uint32_t local, LLVMValueRef to, LLVMValueRef from);    /* one copy */
LLVMValueRef kg_frame(kgen *g, int64_t elems, elem t);            /* room in the function's frame */
bool kg_in_frame(const kgen *g, const klocal *l, int64_t limit);

/* kernel_loops.c */
void kg_for(kgen *g, const knode *n);
void kg_ifany(kgen *g, const knode *n);
LLVMValueRef kg_extent(kgen *g, kdim d);

/* kernel_walk.c */
void kg_walk(kgen *g, const knode *n);
/* Init, members or merging, for all of the row or the strip; whoever calls goes on to the next hub. */
void kg_walk_once(kgen *g, const knode *n);
/* kernel_strip.c */
bool kg_walk_strips(kgen *g, const knode *n);                   /* false: nothing to cut */
void kg_blocks(kgen *g, const knode *n);
/* Of the block; `pre` names rows to prefetch, or NULL. */
void kg_each_member(kgen *g, knode *const *body, uint32_t n_body, void (*each)(kgen *, void *), void *ud,
                    const knode *pre);

/* kernel_gemm.c */
void kg_gemm(kgen *g, const kgemm *m);

/* kernel.c */
LLVMValueRef kg_is_piece(kgen *g);                              /* i1, of a kernel with a fiber */
LLVMValueRef kg_offset_ptr(kgen *g, LLVMValueRef row);          /* where the fiber's offset of a row is */
void kg_body(kgen *g, knode *const *body, uint32_t n);
void kg_each_row(kgen *g, void (*each)(kgen *, void *), void *ud);      /* of the tile */

#endif
