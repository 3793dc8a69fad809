/* What the files of the reverse mode share. Nothing outside of compiler/derive includes this.
 *
 * The walk goes once through the values that lie between wanted and seeds, from the last to the first, and hands each
 * with its cotangent to the rule of its operation. A rule asks which operands matter and adds a contribution to each. */
#ifndef MPC_DERIVE_DERIVE_INT_H
#define MPC_DERIVE_DERIVE_INT_H

#include "compiler/derive/derive.h"
#include "compiler/support/vec.h"
#include "compiler/derive/wild.h"

typedef struct slice_part {         /* a contribution to a range of an axis, nothing to the rest */
    struct slice_part *next;
    ir_val g;
    int32_t axis;
    dim lo, len;
} slice_part;

typedef struct sequence_part {      /* a contribution to a sequence, itself one: in the order of its entries, or turned round */
    struct sequence_part *next;
    ir_val g;
    bool turned;
} sequence_part;

typedef struct derivation {
    ir_layer *l;
    arena *work;
    uint32_t n;                     /* values below this were there when the walk began */
    uint8_t *active;                /* by value: floating, and depends on a wanted one or is one */
    const uint8_t *wanted;          /* by value */
    uint8_t *wild;                  /* by value: WILD_ bits */
    ir_val *cot;                    /* by value: sum of the contributions so far; none is zero */
    slice_part **parts;             /* by value: contributions to ranges, not yet in the sum */
    sequence_part **sequences;      /* by value: contributions to sequences */
    uint8_t *loop_done;             /* by loop */
    VEC(uint8_t) lacks;             /* by value, from `n` on, as far as it was asked: see derive_lacks */
} derivation;

/* A rule: y is the value, dy its cotangent, not none. dy has the type in which y is computed; its domain may be the
 * unit's and its axes 1 where it is the same for all: derive_full gives it in full. */
typedef void derive_rule(derivation *d, ir_val y, ir_val dy);

static inline bool derive_wants(const derivation *d, ir_val v) { return v.i < d->n && d->active[v.i]; }
static inline bool derive_wild(const derivation *d, ir_val v) { return v.i >= d->n || d->wild[v.i] & WILD_MAY_BE; }

static inline ir_op derive_op(const derivation *d, ir_val v) { return (ir_op)ir_at(d->l, v)->op; }
static inline ir_val derive_arg(const derivation *d, ir_val v, uint32_t k) { return ir_at(d->l, v)->args[k]; }

/* Adds g to the cotangent of v, if v matters. g has v's kind, or broadcasts to it. */
void derive_add(derivation *d, ir_val v, ir_val g);
/* The same where v was repeated to domain and shape of y: g has y's kind, or broadcasts to it, and is summed over
 * what v was repeated along. */
void derive_add_repeated(derivation *d, ir_val v, ir_val g, ir_val y);
/* The same where only the domain may differ: g has the shape of v, or broadcasts to it, at each member of `dom`. */
void derive_add_members(derivation *d, ir_val v, ir_val g, ir_dom dom);
/* Of a quotient: if it is a share, exp(a - greatest) / expsum, adds the contribution to a. */
bool derive_share(derivation *d, ir_val y, ir_val dy);
/* Adds g at [lo, lo + len) of an axis of v. g is full. */
void derive_add_slice(derivation *d, ir_val v, ir_val g, int32_t axis, dim lo, dim len);

ir_val derive_full(derivation *d, ir_val g, ir_val like);      /* repeated to domain and shape of `like` */
ir_val derive_shaped(derivation *d, ir_val g, ir_val like);    /* to its shape only */
ir_val derive_ranked(derivation *d, ir_val g, uint32_t rank);  /* with axes of 1 in front */
/* The product of a cotangent and a factor. `wild`: the factor may be infinite or NaN where the cotangent is 0, and
 * the product is 0 then. */
ir_val derive_times(derivation *d, ir_val dy, ir_val factor, bool wild);
/* May the cotangent be 0 for some members by how it came about: nothing reads them, or what reads them is not taken? */
bool derive_lacks(derivation *d, ir_val dy);
ir_val derive_zero(derivation *d, ir_val like);                /* a scalar, of the type in which `like` is computed */

static inline ir_type derive_type(const ir_layer *l, ir_val v) { return ir_at(l, v)->type == T_F64 ? T_F64 : T_F32; }

/* loop.c: all of a loop at once. dfinal: by state the cotangent of its final, or none. Adds contributions to the
 * inits and to the values outside that the body reads. Called when all finals' cotangents are complete. */
void derive_loop(derivation *d, uint32_t loop, const ir_val *dfinal);

/* By operation: its rule; NULL where it has no derivative, or none of its own (leaves, states, finals). */
extern derive_rule *const derive_rules[OP_N];

/* rules_ew.c */
derive_rule derive_ADD, derive_SUB, derive_MUL, derive_MUL0, derive_DIV, derive_POW, derive_ATAN2, derive_MAX, derive_MIN,
    derive_NEG, derive_ABS, derive_EXP, derive_EXPM1, derive_LOG, derive_LOG1P, derive_SQRT, derive_SQRT0, derive_RSQRT, derive_SIN,
    derive_COS, derive_TANH, derive_SIGMOID, derive_SOFTPLUS, derive_ERF, derive_RELU, derive_WHERE, derive_CAST, derive_DROPOUT;
/* rules_product.c */
derive_rule derive_RSUM, derive_RMAX, derive_RMIN, derive_EINSUM;
/* rules_shape.c */
derive_rule derive_RESHAPE, derive_TRANSPOSE, derive_BROADCAST, derive_SLICE, derive_CONCAT, derive_LOOKUP, derive_UNLOOKUP,
    derive_ROWS, derive_UNROWS, derive_SPREAD, derive_UNSPREAD;
/* rules_agg.c */
derive_rule derive_GATHER, derive_AGG_SUM, derive_AGG_MAX, derive_AGG_MIN, derive_AGG_PROD, derive_AGG_VAR, derive_AGG_EXPSUM,
    derive_AGG_SOFTSUM, derive_SOFTMAX;
/* loop.c */
derive_rule derive_RECORD, derive_RECALL;

#endif
