/* Constructors of the IR: every value of a layer is made here.
 *
 * A constructor checks its operands, works out domain, type, shape and region of the result, folds
 * constants, canonicalises, and returns an equal value that exists already instead of making another.
 * So what it returns may be any value that is equal: another operation, one of the operands, or a value
 * of the unit domain where the members of a domain would all have held the same. Only what is exactly
 * right for NaN and infinity is rewritten here (x * 0 is not 0); the sign of a zero does not count.
 *
 * A broken precondition is a bug of the compiler, never a mistake of the user's: it goes to the trap of
 * ir_set_trap, and aborts when there is none.
 *
 * The region of a value is the innermost region of its operands, so what does not depend on the state or
 * step of a loop stands outside of it from the start.
 */
#ifndef MPC_IR_BUILD_H
#define MPC_IR_BUILD_H

#include <setjmp.h>

#include "compiler/ir/ir.h"
#include "compiler/support/map.h"

typedef struct ir_shape { uint32_t rank; dim at[IR_MAX_RANK]; } ir_shape;

/* Range of a position in a group (position, agg_argmax, agg_argmin): only compared, never looked up. */
enum { IR_ANY_RANGE = INT32_MAX };

typedef struct ir_trap { jmp_buf env; char text[400]; } ir_trap;

struct ir_builder {
    idset values;               /* hash-consing */
    span where;                 /* taken along by new values */
    ir_trap *trap;
    uint32_t cap_domains, cap_inputs, cap_outputs, cap_statics, cap_loops, cap_needs;
};

/* The layer, with its tables in `mem`. `dims` is shared with whatever it is made from. */
ir_layer *ir_layer_new(arena *mem, dim_table *dims, str name);

ir_trap *ir_set_trap(ir_layer *l, ir_trap *trap);           /* returns the one before; NULL: abort */
_Noreturn void ir_bug(const ir_layer *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

span ir_set_where(ir_layer *l, span where);                 /* of values made from now on; returns the one before */
void ir_name(ir_layer *l, ir_val v, str name);              /* unless it has one */

/* Domains; made at first use. Pair domains are made by ir_map_pair. */
static inline ir_dom ir_dom_unit(void) { return (ir_dom){0}; }
ir_dom ir_dom_edge(ir_layer *l);
ir_dom ir_dom_src(ir_layer *l);
ir_dom ir_dom_dst(ir_layer *l);
ir_dom ir_dom_graph(ir_layer *l);
ir_dom ir_dom_index(ir_layer *l, dim range);
static inline bool ir_dom_same(ir_dom a, ir_dom b) { return a.i == b.i; }

/* What the layer shows outside. Each returns its index in the layer's table. */
uint32_t ir_static_dim(ir_layer *l, str name);
uint32_t ir_static_real(ir_layer *l, str name);
uint32_t ir_output_add(ir_layer *l, str name, ir_val v, ir_dom rows, span where);
void ir_output_set(ir_layer *l, uint32_t output, ir_val v); /* redirects; domain, type and shape must stay */
void ir_need_add(ir_layer *l, ir_need_kind kind, str name, span where);      /* once a kind and name */
/* An input or param: a new one each time. range and none: of an index. ir_input_of gives the entry in the table. */
ir_val ir_input_add(ir_layer *l, str name, ir_dom dom, ir_type type, const ir_shape *shape, dim range, bool none, bool param);
ir_input *ir_input_of(const ir_layer *l, ir_val v);

/* Leaves. `type` is T_F32 or T_F64. All but the in-degree and the count are in the unit domain. */
ir_val ir_const(ir_layer *l, ir_type type, double value);   /* T_BOOL and T_INDEX too (a literal index) */
ir_val ir_const_index(ir_layer *l, int64_t value, dim range);
ir_val ir_realarg(ir_layer *l, ir_type type, uint32_t static_);
ir_val ir_dimval(ir_layer *l, ir_type type, dim d);
ir_val ir_iota(ir_layer *l, ir_type type, dim n);
ir_val ir_in_degree(ir_layer *l, ir_type type);             /* of source-side nodes; of destinations it is ir_count(map_dst) */
ir_val ir_count(ir_layer *l, ir_type type, ir_val along);
ir_val ir_training(ir_layer *l);
ir_val ir_like(ir_layer *l, ir_val v, double value);        /* a constant of v's type */
ir_val ir_zeros_like(ir_layer *l, ir_val v);                /* of v's domain, type and shape */

/* Element by element; `op` is any of class EW but cast, bucket and dropout, which have attributes. */
ir_val ir_ew(ir_layer *l, ir_op op, const ir_val *args);
static inline ir_val ir_ew1(ir_layer *l, ir_op op, ir_val a) { return ir_ew(l, op, &a); }
static inline ir_val ir_ew2(ir_layer *l, ir_op op, ir_val a, ir_val b) { return ir_ew(l, op, (ir_val[]){a, b}); }
static inline ir_val ir_ew3(ir_layer *l, ir_op op, ir_val a, ir_val b, ir_val c) { return ir_ew(l, op, (ir_val[]){a, b, c}); }

static inline ir_val ir_add(ir_layer *l, ir_val a, ir_val b) { return ir_ew2(l, OP_ADD, a, b); }
static inline ir_val ir_sub(ir_layer *l, ir_val a, ir_val b) { return ir_ew2(l, OP_SUB, a, b); }
static inline ir_val ir_mul(ir_layer *l, ir_val a, ir_val b) { return ir_ew2(l, OP_MUL, a, b); }
static inline ir_val ir_div(ir_layer *l, ir_val a, ir_val b) { return ir_ew2(l, OP_DIV, a, b); }
static inline ir_val ir_pow(ir_layer *l, ir_val a, ir_val b) { return ir_ew2(l, OP_POW, a, b); }
static inline ir_val ir_maximum(ir_layer *l, ir_val a, ir_val b) { return ir_ew2(l, OP_MAX, a, b); }
static inline ir_val ir_minimum(ir_layer *l, ir_val a, ir_val b) { return ir_ew2(l, OP_MIN, a, b); }
static inline ir_val ir_neg(ir_layer *l, ir_val a) { return ir_ew1(l, OP_NEG, a); }
static inline ir_val ir_exp(ir_layer *l, ir_val a) { return ir_ew1(l, OP_EXP, a); }
static inline ir_val ir_log(ir_layer *l, ir_val a) { return ir_ew1(l, OP_LOG, a); }
static inline ir_val ir_sqrt(ir_layer *l, ir_val a) { return ir_ew1(l, OP_SQRT, a); }
static inline ir_val ir_rsqrt(ir_layer *l, ir_val a) { return ir_ew1(l, OP_RSQRT, a); }
static inline ir_val ir_relu(ir_layer *l, ir_val a) { return ir_ew1(l, OP_RELU, a); }
static inline ir_val ir_lt(ir_layer *l, ir_val a, ir_val b) { return ir_ew2(l, OP_LT, a, b); }
static inline ir_val ir_le(ir_layer *l, ir_val a, ir_val b) { return ir_ew2(l, OP_LE, a, b); }
static inline ir_val ir_eq(ir_layer *l, ir_val a, ir_val b) { return ir_ew2(l, OP_EQ, a, b); }
static inline ir_val ir_ne(ir_layer *l, ir_val a, ir_val b) { return ir_ew2(l, OP_NE, a, b); }
static inline ir_val ir_and(ir_layer *l, ir_val a, ir_val b) { return ir_ew2(l, OP_AND, a, b); }
static inline ir_val ir_or(ir_layer *l, ir_val a, ir_val b) { return ir_ew2(l, OP_OR, a, b); }
static inline ir_val ir_not(ir_layer *l, ir_val a) { return ir_ew1(l, OP_NOT, a); }
static inline ir_val ir_where(ir_layer *l, ir_val c, ir_val a, ir_val b) { return ir_ew3(l, OP_WHERE, c, a, b); }

ir_val ir_cast(ir_layer *l, ir_val a, ir_type type);        /* to a floating type */
ir_val ir_bucket(ir_layer *l, ir_val a, dim range);
/* site: a place of the program, no two alike. key: a T_F64 scalar of the unit domain that tells the steps around
 * it apart (ir_step_key); p: a scalar of the unit domain and of a's type. */
ir_val ir_dropout(ir_layer *l, ir_val a, ir_val p, ir_val key, uint32_t site);
/* a by another name: no other value is it, no constructor looks through it. Derivatives can be taken by it. When a layer is
 * made anew (copy.h), it is a again. site: no two alike, and none of a dropout. */
ir_val ir_variable(ir_layer *l, ir_val a, uint32_t site);
ir_val ir_step_key(ir_layer *l, uint32_t region);           /* 0 outside of loops; (outer step * K) + step … inside */

/* Over feature axes. A negative axis counts from the end. */
ir_val ir_reduce(ir_layer *l, ir_op op, ir_val a, int axis);
ir_val ir_contract(ir_layer *l, ir_val a, ir_val b, const ir_einsum *e);
ir_val ir_einsum_(ir_layer *l, ir_val a, ir_val b, const char *spec);        /* "ab,bc->ac" */
ir_val ir_matmul(ir_layer *l, ir_val a, ir_val b);          /* last axis of a with the first of b */

ir_val ir_reshape(ir_layer *l, ir_val a, const ir_shape *shape);
ir_val ir_transpose(ir_layer *l, ir_val a, const uint8_t *perm);
ir_val ir_broadcast(ir_layer *l, ir_val a, ir_dom dom, const ir_shape *shape);       /* a itself, if of these */
ir_val ir_slice(ir_layer *l, ir_val a, int axis, dim lo, dim len);
ir_val ir_concat(ir_layer *l, const ir_val *args, uint32_t n, int axis);
ir_val ir_lookup(ir_layer *l, ir_val a, ir_val index);
ir_val ir_unlookup(ir_layer *l, ir_val a, ir_val index);    /* a's first axes are those of the index */
ir_val ir_rows(ir_layer *l, ir_val a);
ir_val ir_unrows(ir_layer *l, ir_val a);
ir_val ir_spread(ir_layer *l, ir_val a, ir_val pairs);      /* pairs: the map_pair */
ir_val ir_unspread(ir_layer *l, ir_val a, ir_val pairs);
ir_val ir_expand(ir_layer *l, ir_val a, int axis);          /* a new axis of 1 before `axis` (-1: at the end) */
ir_val ir_squeeze(ir_layer *l, ir_val a, int axis);         /* without an axis of 1 */

/* Along maps. An operand of the unit domain stands for the same at each member; gathering one gives itself. */
ir_val ir_gather(ir_layer *l, ir_val a, ir_val along);
ir_val ir_agg(ir_layer *l, ir_op op, ir_val a, ir_val along); /* any AGG but agg_softsum */
ir_val ir_softsum(ir_layer *l, ir_val s, ir_val v, ir_val along);
ir_val ir_softmax(ir_layer *l, ir_val s, ir_val along);
ir_val ir_position(ir_layer *l, ir_val along);

ir_val ir_map_src(ir_layer *l);
ir_val ir_map_dst(ir_layer *l);
ir_val ir_map_src_dst(ir_layer *l);
ir_val ir_map_dst_src(ir_layer *l);
ir_val ir_map_prefix(ir_layer *l);
ir_val ir_map_square(ir_layer *l);
ir_val ir_map_graph(ir_layer *l, ir_dom from);              /* from edges or nodes */
ir_val ir_map_unit(ir_layer *l, ir_dom from);
ir_val ir_map_index(ir_layer *l, ir_val index);             /* a scalar index of any domain but the unit's */
ir_val ir_map_pair(ir_layer *l, ir_val index, ir_val along);
ir_val ir_map_first(ir_layer *l, ir_val pairs);
ir_val ir_map_second(ir_layer *l, ir_val pairs);
ir_val ir_map_compose(ir_layer *l, ir_val outer, ir_val inner);  /* m -> outer(inner(m)), if one map says it; else none */
bool ir_map_total(const ir_layer *l, ir_val along);           /* sends every member somewhere */

/* Loops. begin; the states, each once and before it is read; their next values; end; then the finals. The
 * parent is a region; end moves the loop to the outermost region in which all that it reads is known. */
uint32_t ir_loop_begin(ir_layer *l, uint32_t parent, str name, dim limit, uint32_t n_states);
ir_val ir_loop_state(ir_layer *l, uint32_t loop, uint32_t k, str name, ir_val init);
ir_val ir_loop_step(ir_layer *l, uint32_t loop);
void ir_loop_next(ir_layer *l, uint32_t loop, uint32_t k, ir_val next);      /* broadcast to the state's kind */
void ir_loop_until(ir_layer *l, uint32_t loop, ir_val tol); /* a floating scalar of the unit domain, known outside */
void ir_loop_end(ir_layer *l, uint32_t loop);
ir_val ir_loop_final(ir_layer *l, uint32_t loop, uint32_t k);

/* Sequences (docs/derivatives.md, "Loops"). A loop with a count takes so many steps: an f64 scalar of the unit domain,
 * known outside, such as ir_loop_steps of another loop. A sequence is read by ir_recall alone; an entry is of the kind
 * of the value recorded. `back` counts from the last step: of a loop without `until`. */
void ir_loop_count(ir_layer *l, uint32_t loop, ir_val count);
ir_val ir_loop_steps(ir_layer *l, uint32_t loop);           /* after the loop's end */
ir_val ir_loop_step_back(ir_layer *l, uint32_t loop);       /* n - 1 - step in a loop of n steps */
ir_val ir_record(ir_layer *l, uint32_t loop, ir_val v);     /* after the loop's end; v known in it */
ir_val ir_recall(ir_layer *l, uint32_t loop, ir_val sequence, bool back);
/* An input that is a sequence: of this kind, with as many entries at most and as many kept as this value of a layer with
 * the same dims. `dom` is its domain here. */
ir_val ir_input_sequence(ir_layer *l, str name, ir_dom dom, const ir_node *like);
/* Every c-th entry alone is kept, of a state; recalled is the last that was kept. ir_loop_again, before the loop's end:
 * it takes the steps from there to the entry for the step of the loop around it, with the numbers that they had. */
ir_val ir_record_apart(ir_layer *l, uint32_t loop, uint32_t k);
void ir_loop_again(ir_layer *l, uint32_t loop, bool back);
uint32_t ir_region_parent(const ir_layer *l, uint32_t region);
bool ir_region_within(const ir_layer *l, uint32_t inner, uint32_t outer);    /* inner is outer or stands in it */
uint32_t ir_region_join(const ir_layer *l, uint32_t a, uint32_t b);          /* the inner one, of which the other stands around it */

/* Questions. */
static inline bool ir_is_float(unsigned type) { return type <= T_BF16; }
static inline bool ir_is_arith(unsigned type) { return type == T_F32 || type == T_F64; }
ir_shape ir_shape_of(const ir_layer *l, ir_val v);
bool ir_shape_same(const ir_layer *l, const ir_shape *a, const ir_shape *b);
bool ir_kind_same(const ir_layer *l, ir_val a, ir_val b);   /* domain, type and shape */
bool ir_shape_broadcast(const ir_layer *l, const ir_shape *a, const ir_shape *b, ir_shape *out);     /* as in NumPy */
dim ir_shape_count(const ir_layer *l, const ir_shape *s);   /* number of elements of a member */
bool ir_is_const(const ir_layer *l, ir_val v, double *value);
bool ir_is_uniform(const ir_layer *l, ir_val v, double *value);      /* a constant, or one broadcast */
ir_dom ir_cod(const ir_layer *l, ir_val along);

/* The value with the operation, type and attributes of `like` (of this layer or another with the same dims)
 * on other operands, through the constructors. `dom` is like's domain in this layer. Not for input, realarg
 * and what is of class LOOP: those name tables of their layer. */
ir_val ir_remake(ir_layer *l, const ir_node *like, ir_dom dom, const ir_val *args, uint32_t n);

#endif
