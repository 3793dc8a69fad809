/* What the files of the builder share. Nothing outside of compiler/ir includes this. */
#ifndef MPC_IR_BUILD_INT_H
#define MPC_IR_BUILD_INT_H

#include "compiler/ir/build.h"

/* A node of this operation with all else zero, the attributes' padding included: they are compared as bytes. */
ir_node ir_blank(ir_op op);
/* The same, with domain, type, range, none and shape of a value. */
ir_node ir_blank_like(const ir_layer *l, ir_op op, ir_val v);
void ir_set_shape(ir_node *n, const ir_shape *s);

/* The value equal to this node, or a new one. Computes the region from the operands, unless the operation
 * is of class LOOP. Simplifies nothing. */
ir_val ir_intern(ir_layer *l, ir_node *n, const ir_val *args, uint32_t nargs);
/* Always a new value; later ones that are equal become it, unless an earlier one is equal, too. */
ir_val ir_append(ir_layer *l, ir_node *n, const ir_val *args, uint32_t nargs);

/* The domain of an operation on both: one of them, or either if the other is the unit's. */
ir_dom ir_dom_join(const ir_layer *l, ir_op op, ir_dom a, ir_dom b);
ir_dom ir_domain_add(ir_layer *l, const ir_domain *d);

/* Room for one more in a table of n entries. */
#define IR_GROW(l, table, n, cap)                                                                             \
    ((n) < (cap) ? (void)0                                                                                    \
                 : (void)((table) = ir_grown((l)->mem, (table), (n), &(cap), sizeof *(table))))
void *ir_grown(arena *mem, const void *table, uint32_t n, uint32_t *cap, size_t size);

/* A negative axis counts from the end; a bug when there is none such. */
uint32_t ir_axis(const ir_layer *l, ir_op op, int axis, uint32_t rank);
void ir_check_value(const ir_layer *l, ir_op op, ir_val v);
void ir_check_map(const ir_layer *l, ir_op op, ir_val along);
void ir_check_arith(const ir_layer *l, ir_op op, ir_val v);
void ir_check_scalar(const ir_layer *l, ir_op op, ir_val v);        /* of the unit domain */

static inline ir_op ir_op_of(const ir_layer *l, ir_val v) { return (ir_op)l->nodes[v.i].op; }
static inline ir_val ir_arg(const ir_layer *l, ir_val v, uint32_t k) { return l->nodes[v.i].args[k]; }

#endif
