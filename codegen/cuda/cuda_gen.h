/* Inside of the CUDA printer: shared by kernel.c and the other files of this folder. docs/cuda.md tells how work is mapped.
 *
 * Scopes. Each block `{ … }` that is open is a scope with two texts, its head and what follows. An expression is written into the
 * head of the innermost scope that binds something it depends on, so that what does not change in a loop is computed in front
 * of it; what reads memory that the kernel writes is written where it is asked for.
 *
 * Points. Inside a loop nest that is spread over the lanes of a group, loop variables are functions of the lane's number, known
 * in the whole kernel: a point (chunk c, element v) is one element that a lane holds. */
#ifndef MPC_CODEGEN_CUDA_GEN_H
#define MPC_CODEGEN_CUDA_GEN_H

#include "codegen/cuda/print.h"
#include "compiler/plan/kx.h"
#include "compiler/support/buf.h"
#include "compiler/support/map.h"
#include "compiler/support/vec.h"

enum {
    CG_SCOPES = 64,
    CG_LOOPS = IR_MAX_RANK + 2,
    CG_SLOTS = 16,              /* elements of a row that a lane holds at most */
    CG_REPEAT = 4,              /* loops of so few elements are done by every lane */
    CG_HOIST = 24,              /* values by lane that are carried into a loop at most */
};

/* ---- how a loop nest is spread over a group ------------------------------------------------------------ */

typedef enum nest_mode {
    NEST_REPEAT,                /* every lane does all of it */
    NEST_LANES,                 /* lanes hold the kept elements; reduced loops, if any, run inside of each */
    NEST_HEADS,                 /* kept elements are the outer part [heads] of the kernel's layout [heads, width] */
    NEST_HEADS_SUM,             /* [heads, width] summed over width: lanes of a head add up */
    NEST_LANES_SUM,             /* all loops are reduced: the lanes' parts are added up */
    NEST_STRIDE,                /* sizes are open or large: a loop over the elements, lane by lane */
    NEST_STRIDE_SUM             /* the same over reduced elements */
} nest_mode;

typedef struct axis { uint32_t var; kdim extent; bool reduce; } axis;

typedef struct nest {
    const knode *node;          /* KN_FOR or KN_IFANY */
    knode *const *body; uint32_t n_body;
    axis at[CG_LOOPS]; int n;   /* kept axes first; those of extent 1 are left out */
    int n_keep;
    int64_t keep, reduced;      /* their sizes, -1: open */
    nest_mode mode;
    int64_t total;              /* LANES, HEADS*, *_SUM: elements that are spread over the lanes */
} nest;

/* ---- where locals are ---------------------------------------------------------------------------------- */

typedef enum storage {
    IN_ROOM,                    /* memory of the group or block: shared, or global where that is too small */
    IN_LANES,                   /* registers: a lane has the elements that it holds in a nest of this size */
    IN_HEADS,                   /* registers: a lane has those of the heads that it works for */
    IN_ALL                      /* registers: each lane has all of it */
} storage;

typedef struct local_place {
    storage kind, walk_kind;    /* walk_kind: of an accumulator while its row is walked */
    const char *state;          /* accumulators: offset in the state of a piece */
    const char *offset;         /* room: of the first copy */
    int64_t start, bytes;       /* the same, where sizes are known */
    bool used; uint32_t first, last;            /* nodes of the top sequence between which it is alive */
} local_place;

/* ---- scopes and values --------------------------------------------------------------------------------- */

typedef struct binding {        /* of the row, the member, a loop variable */
    const char *text;
    int depth;
    bool bound, point;
    bool is_const; int64_t value;
} binding;

typedef struct scope {
    buf head, body;
    uint32_t serial;
    int room;                   /* values by lane that may still be carried into it */
    bool plain;                 /* straight on: values do not stop here unless they must */
} scope;

enum { HAS_VAR = 1, HAS_INDEX = 2, HAS_SUB = 4, HAS_WIDE = 8, HAS_MEMBER = 16 };     /* what an expression contains */

enum { N_VOLATILE = 1, N_POINT = 2, N_FREE = 4 };
typedef struct note { uint32_t epoch; int depth; unsigned flags; } note;

typedef struct cached { const char *text; uint32_t serial; int depth; bool is_volatile, stays; uint32_t stamp; } cached;

typedef struct cgen {
    arena *mem;
    const kplan *p;
    kplan *work;                /* the plan again, for questions that may add expressions */
    const kkernel *k;
    uint32_t n_buffers;         /* buffers of the plan; those beyond are the launch's own memory */
    const cuda_options *o;
    uint32_t number;            /* of the kernel in the module */
    const char *name;

    /* the shape of the kernel */
    bool by_block;              /* a block of threads takes a tile of rows */
    bool piece;                 /* the piece function is written */
    bool done;                  /* piece: the walk is written */
    bool in_walk, in_blocks;
    int threads, lanes, groups; /* threads a block; lanes a group; groups a block */
    uint32_t tile, block;       /* rows of a tile, members of a block of them: at most the plan's */
    bool has_groups;            /* a product takes its matrix by row */
    const char *room_end, *room_bytes, *state_bytes;
    int vec;                    /* elements side by side that a lane holds */
    int64_t total, heads;       /* the layout [heads, total / heads]; 0: none */
    bool wide;                  /* offsets in a row may pass 2^31 */
    local_place *at;                  /* by local */
    nest *nests; uint32_t n_nests;

    /* facts by buffer and expression */
    bool *written, *used;
    uint8_t *has;

    /* what is being written */
    scope scope[CG_SCOPES];
    int depth;
    int part;                   /* scope of the block's part: pointers and what depends on nothing else live as long as it */
    uint32_t serials, epoch, stamp, names;
    binding row, member, *var;
    bool combining;             /* KX_OTHER may be read */
    const nest *now;            /* the nest that is written, its point: */
    int chunk, elem;
    uint32_t point, point0;     /* names of the bindings of the variables, here and at v = 0; 0: none */
    uint32_t vector_var;        /* the variable that counts v up, UINT32_MAX: none */
    int chosen;                 /* inside of a side of a select */
    bool reads_room, wrote_room;        /* since lanes met last */
    note *note;
    map cache;
    VEC(const char *) texts;    /* that have a number: points, values by lane */
    VEC(cached) values;
} cgen;

/* layout.c */
void cg_layout(cgen *g);                                        /* all of the kernel's nests, lanes, places of locals */
const nest *cg_nest(cgen *g, const knode *n);                    /* of a node that cg_layout saw */
storage cg_storage(const cgen *g, uint32_t local);               /* here and now */
int64_t cg_local_elems(const cgen *g, uint32_t local);           /* -1: open */
uint32_t cg_copies(const cgen *g, uint32_t local);
int cg_chunks(const cgen *g, int64_t total);
bool cg_int_at(const cgen *g, kx x, const int64_t *var, int64_t *out);   /* with the variables at these values */
bool cg_writes_rows(const cgen *g, knode *const *body, uint32_t n);      /* row locals: then members go in order */
bool cg_left_to_rows(const cgen *g, const knode *n);

/* room.c */
void cg_room(cgen *g);                                          /* tiles, offsets of locals, sizes */
const char *cg_bytes(cgen *g, kdim elems, int64_t copies, ktype t);

/* scope.c */
void cg_push(cgen *g, bool plain);
void cg_pop(cgen *g);
void cg_text(cgen *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));        /* here, in order */
/* In the head of an open scope: what never changes in it. */
void cg_text_at(cgen *g, int depth, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int cg_open_part(cgen *g);                                      /* gives what cg_close_part takes */
void cg_close_part(cgen *g, int before);
void cg_open(cgen *g, bool plain, const char *fmt, ...) __attribute__((format(printf, 3, 4)));   /* "for (…)": a block */
void cg_close(cgen *g);
binding cg_bind(cgen *g, binding *b, const char *text, bool point);
void cg_unbind(cgen *g, binding *b, binding old);
const char *cg_name(cgen *g, const char *prefix);
void cg_line(cgen *g, span where);
void cg_changed(cgen *g);                                       /* memory that the kernel writes was written */
cached *cg_find(cgen *g, uint64_t key, int depth, bool is_volatile);
void cg_keep(cgen *g, uint64_t key, int depth, bool is_volatile, bool stays, const char *text);
note cg_note(cgen *g, kx x);
const char *cg_dim(cgen *g, kdim d);
const char *cg_buffer(cgen *g, uint32_t buffer);

uint32_t cg_intern(cgen *g, const char *text);                  /* a number for each text, from 1 */

/* expr.c */
const char *cg_type(ktype t);                                   /* of a register */
const char *cg_memory(ktype t);                                 /* of an element in memory */
const char *cg_suffix(ktype t);
const char *cg_eval(cgen *g, kx x);
/* A text that is good in scope `depth` from its head on, or, of what had to stay where it was asked for, from there on. */
typedef struct value { const char *text; int depth; bool stays; } value;
value cg_value(cgen *g, kx x);
const char *cg_map(cgen *g, const kexpr *e, const char *a, const char *b, const char *c);
const char *cg_number(cgen *g, ktype t, double v);
const char *cg_row_at(cgen *g, uint32_t buffer, kx row);
const char *cg_room_at(cgen *g, uint32_t local);                 /* the current copy of a local in the room */
bool cg_divides(cgen *g, kx x, int by);
const char *cg_register(cgen *g, uint32_t local, kx offset);     /* the element of a local, wherever it is */

/* nest.c */
void cg_for(cgen *g, const knode *n);
void cg_ifany(cgen *g, const knode *n);
const char *cg_combined(cgen *g, ir_op op, ktype t, const char *a, const char *b);     /* a op b */
void cg_sync(cgen *g);                                          /* lanes of the group meet, if need be */
void cg_copy_state(cgen *g, uint32_t local, const char *state); /* accumulator -> memory */
void cg_walk_to_room(cgen *g, uint32_t local);
void cg_body(cgen *g, knode *const *body, uint32_t n);

/* walk.c */
void cg_walk(cgen *g, const knode *n);
void cg_blocks(cgen *g, const knode *n);
void cg_members(cgen *g, const knode *n);

/* gemm.c */
void cg_gemm(cgen *g, const kgemm *m);

#endif
