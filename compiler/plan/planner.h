/* Inside of the planner: what its files share, in the order in which they work. */
#ifndef MPC_PLAN_PLANNER_H
#define MPC_PLAN_PLANNER_H

#include "compiler/ir/build.h"
#include "compiler/plan/kx.h"
#include "compiler/plan/plan.h"
#include "compiler/support/vec.h"

/* Where a value is wanted inside a kernel. */
typedef enum at {
    AT_ROW,         /* of the kernel's row, after the walk */
    AT_PRE,         /* of the kernel's row, before or in the walk */
    AT_MEMBER,      /* of the current member */
    AT_OTHER        /* of any other row: from memory, or cheap arithmetic on what is in memory */
} at;

/* A store or an aggregate: what kernels are made for. */
typedef struct anchor {
    ir_val v;
    bool agg;                 /* v's reduction itself; otherwise a store of v */
    bool member;              /* a store at member level (edges) */
    uint32_t buffer;          /* store */
    ir_dom rows;              /* rows of its kernel */
    mp_fiber fiber;           /* agg, member; of other stores FIBER_NONE until it follows an aggregate */
    uint32_t region;
    int stage;                /* within its region */
    bool post;                /* needs an aggregate of its own kernel */
    uint32_t loop;            /* 1 + the loop that starts from it (first states, tolerance), or 0 */
    uint32_t kernel;          /* 1 + index into planner.kernels */
} anchor;

typedef struct vinfo {
    bool live;
    bool stored;              /* there is a buffer that holds it, for good */
    uint32_t buffer;
    uint32_t store;           /* 1 + anchor that fills it; 0: an input, or a loop's state */
    uint32_t agg;             /* 1 + anchor */
    uint32_t cost;            /* scalar operations an element, itself and what would be computed inline with it */
    uint32_t depth;
    int raise;                /* aggregate: not before this stage */
} vinfo;

typedef struct kernel_plan {  /* a kernel to be: the anchors with one key */
    uint32_t region;
    ir_dom rows;
    mp_fiber fiber;
    int stage;
    VEC(uint32_t) anchors;
} kernel_plan;

typedef struct loop_plan {
    int stage;                /* in the region around it */
    uint32_t *cur, *next;     /* buffers by state */
    uint32_t *value;          /* of a loop that runs again: the buffers of its final values */
    ir_val change;            /* greatest move of a step: f64 unit scalar */
    uint32_t change_buffer, tol_buffer;
    uint32_t count_buffer, steps_buffer;        /* 1 + buffer; 0: none */
} loop_plan;

typedef struct slot_plan {    /* an entry of a sequence in the steps of a loop: written (record) or read (recall) */
    ir_val v;
    uint32_t buffer, loop;
    bool back;
} slot_plan;

typedef struct pairs_plan { ir_val map; uint32_t id; int stage; uint32_t region; bool at_prepare; } pairs_plan;

typedef struct planner {
    kplan *p;
    ir_layer *l;
    arena *mem;
    plan_options opt;
    const char *why;          /* set: no plan */
    vinfo *info;              /* by value */
    uint32_t n_info;
    VEC(anchor) anchors;
    VEC(kernel_plan) kernels;
    loop_plan *loops;
    VEC(pairs_plan) pairs;
    VEC(slot_plan) slots;
    bool again;               /* staging found another value to store */
    uint32_t seen_epoch;
    uint32_t *seen;           /* by value and `at` */
    map buffers;              /* (kind, index) -> 1 + buffer */
    const ir_node **sums;     /* by value: the product whose sum it is, or NULL (product_sum.c) */
    VEC(ir_output) stores;    /* outputs as given */
} planner;

static inline const ir_node *at_of(const planner *pl, ir_val v) { return &pl->l->nodes[v.i]; }
void plan_fail(planner *pl, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* legal.c */
bool is_pad(const planner *pl, ir_val v);                       /* agg_sum along map_prefix: row i of a shorter value, 0 past its end */
bool is_agg(const planner *pl, ir_val v);                       /* needs a walk: an aggregate, a spread, a count that the graph cannot tell */
void legalise(planner *pl);                                     /* forms that no kernel has, rewritten */
void make_changes(planner *pl);                                 /* the change of loops with `until` */
void mark_live(planner *pl);

/* access.c */
ktype ktype_of(ir_type t);                                      /* in memory */
ktype kreg_of(ir_type t);                                       /* in a register */
mp_rows rows_of(planner *pl, ir_dom d);
dim elems_of(planner *pl, ir_val v);                            /* elements of a member */
uint32_t buffer_of(planner *pl, mp_buffer_kind kind, uint32_t index);
uint32_t work_buffer(planner *pl, const char *name, ktype t, mp_rows rows, dim elems);
uint32_t pairs_of(planner *pl, ir_val map);                     /* structure of a map_pair; needs its index stored */
mp_fiber fiber_of(planner *pl, ir_val map);                     /* FIBER_NONE kind: none such */
bool map_is_row(const planner *pl, ir_val map);                 /* row i -> row i */
bool map_own(const planner *pl, mp_fiber f, ir_val map);        /* sends a member of the fiber to its row */
ir_dom member_dom(planner *pl, mp_fiber f);

typedef struct spot { at at; ir_dom dom; kx row; } spot;      /* row: in dom; edges by position of the incoming walk */

struct body;
kx map_row(struct body *b, ir_val map, spot at_);              /* row that the map sends the member at `at_` to */

/* A view: an array with strides, as a product wants its operands. */
typedef struct view {
    bool local;               /* of a local; otherwise a buffer at `row` */
    uint32_t id;
    kx row, offset;
    dim stride[IR_MAX_RANK];
} view;
bool view_of(struct body *b, ir_val v, spot where, view *out); /* false: not an array as it lies */
bool is_plain_array(const planner *pl, ir_val v);               /* unit values: view without transposes of an input or stored value */

/* stage.c */
void stage_all(planner *pl);
void need_store(planner *pl, ir_val v);                         /* anchors.c; staging starts again */

/* inline.c */
bool is_at_hand(const planner *pl, ir_val v);                   /* in memory, or a number that costs nothing */
bool heavy(const planner *pl, ir_val v);                        /* a reduction, product or costly function: not to do twice without need */
bool inline_ok(planner *pl, ir_val v);                          /* at most 3 operations an element, one row of its width */

/* ---- share.c: what several kernels work out ---- */

/* 1 + a kernel that works the value out; others do, too; one does so for the members of its rows */
typedef struct plan_use { uint32_t kernel; bool twice, member; } plan_use;

bool may_store_by_edge(const planner *pl, ir_val x);
void share_values(planner *pl, const plan_use *use);        /* by value; stores those that pay */

/* product.c */
typedef struct local_of { uint32_t local; uint8_t order[IR_MAX_RANK]; } local_of;     /* order[k]: axis that stands k-th in memory */
typedef struct letters { uint8_t batch[IR_MAX_RANK], m[IR_MAX_RANK], n[IR_MAX_RANK], k[IR_MAX_RANK]; int nb, nm, nn, nk; bool odd; } letters;
typedef enum { PRODUCT_LOOPS, PRODUCT_GEMM, PRODUCT_GROUPED } product_form;
product_form product_of(planner *pl, ir_val v, bool *swapped);  /* swapped: the weights are operand 0 */
ir_val grouped_weights(planner *pl, ir_val v);                  /* the index-domain value behind a gathered operand */

/* body.c */
typedef VEC(knode *) nodes;
/* Readers of a value in a kernel, saturating; read by members, so worked out once a row; read in a larger loop. */
enum { USES_COUNT = 0x3f, USES_BY_MEMBERS = 0x40, USES_LARGER = 0x80 };
typedef struct loop_var { uint32_t depth, parent, var; kdim extent; bool reduce; } loop_var;

typedef struct body {
    planner *pl;
    kplan *p;
    kkernel k;
    kernel_plan *kp;
    uint32_t number;          /* 1 + of the kernel */
    ir_dom member_dom;
    uint8_t *need;            /* by value: bits 1 << at */
    uint8_t *uses;            /* by value: bits USES_* */
    local_of *row_local, *member_local;
    nodes pre, mem, post, init, combine;
    nodes *out;
    VEC(loop_var) vars;
    uint32_t count_local;     /* accumulator that counts members, when asked for */
    bool sums;                /* a sum of products is among its accumulators */
    struct accs *accs;        /* aggregate.c */
} body;

uint32_t body_build(planner *pl, uint32_t kernel);              /* number of the kernel in the plan */

/* nests.c */
typedef struct nest { kloop loops[IR_MAX_RANK + 2]; uint32_t n; kx idx[IR_MAX_RANK]; } nest;
void nest_shape(body *b, nest *n, ir_val v);                    /* loops over v's axes; idx by axis */
void nest_add(body *b, nest *n, dim extent, bool reduce, kx *idx);
void put(body *b, nodes *list, const nest *n, knode *statement);

/* locals.c */
void find_needs(body *b);                                       /* need and uses, from the anchors down */
bool computed_here(const body *b, ir_val v, at a);
bool wants_local(body *b, ir_val v, at a);
void make_local(body *b, ir_val v, at a);
local_of *local_at(body *b, ir_val v, at a);
uint32_t add_local(body *b, const char *name, kscope scope, ktype t, dim elems, bool acc);

/* assemble.c */
void assemble(body *b);                                         /* b->k.body from the lists */

/* access.c: the places where a kernel wants values */
spot row_place(body *b, at a, ir_dom dom);
spot member_place(body *b);

/* value.c */
kx linear(body *b, ir_val v, const kx *idx);                    /* row-major offset */
kx local_offset(body *b, ir_val v, const local_of *lo, const kx *idx);
kx value(body *b, ir_val v, spot where, const kx *idx);        /* element idx of v there, as an expression */
kx index_value(body *b, ir_val v, spot where, const kx *idx);  /* of an index: an integer, -1 for none */
kx position_value(body *b, ir_val along, spot where);           /* place of the member there in its group */
kx index_or_0(body *b, kx index);                                /* 0 for none */

/* aggregate.c */
void aggs_begin(body *b);                                       /* accumulators, init and combine of all the kernel's */
void agg_step(body *b, ir_val v);                               /* into the member list */
kx agg_value(body *b, ir_val v, const kx *idx);                 /* after the walk */
bool agg_wants_local(const planner *pl, ir_val v);

/* product.c */
void make_product(body *b, ir_val v, at a);

/* Letters of a contraction by the part they play, with a and b exchanged when `swapped`; the size of some of them
 * together; their stride if they lie as one axis; an operand copied to a tiled local, its letters in the order batch, m, k. */
letters product_letters(const ir_einsum *e, bool swapped);
dim product_dim(planner *pl, const ir_node *n, const uint8_t *l, int count);
int product_axis(const ir_einsum *e, int side, uint8_t letter);
bool product_flat(planner *pl, const ir_node *n, int side, const view *u, const uint8_t *l, int count, dim *stride);
uint32_t product_pack(body *b, const ir_node *n, int side, const letters *l, spot w);

/* product_sum.c */
void make_sums(planner *pl);                                    /* finds them */
void sum_begin(body *b, ir_val v, local_of *acc);               /* the accumulator, with the order of its axes */
void sum_step(body *b, ir_val v, const local_of *acc);          /* into the member list */

/* steps.c */
void steps_build(planner *pl);

#endif
