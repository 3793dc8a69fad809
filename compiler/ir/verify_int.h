/* Inside of the verifier: shared by verify.c and verify_class.c. */
#ifndef MPC_IR_VERIFY_INT_H
#define MPC_IR_VERIFY_INT_H

#include "compiler/ir/ir.h"

typedef struct checker {
    const ir_layer *l;
    arena *mem;
    const char *why;
    uint32_t v;                 /* the value at hand; 0: none */
    const ir_node *n;
} checker;

/* Says why, with the value at hand; false. */
bool verify_fail(checker *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* verify_class.c: the value at hand follows the rules of its class. */
bool verify_class(checker *c);

bool verify_within(const ir_layer *l, uint32_t inner, uint32_t outer);          /* regions */
bool verify_same_shape(const checker *c, const ir_node *a, const ir_node *b);
/* Same element type, and the same range of an index. */
bool verify_same_type(const checker *c, const ir_node *a, const ir_node *b);

static inline const ir_node *arg(const checker *c, uint32_t k) { return &c->l->nodes[c->n->args[k].i]; }
static inline bool same_dim(const checker *c, dim a, dim b) { return dim_equal(c->l->dims, a, b); }
static inline bool verify_known(const checker *c, ir_val v) { return v.i != 0 && v.i < c->l->n_nodes; }

#endif
