/* A sum taken apart into signed terms, and put together again. */
#ifndef MPC_PASSES_TERMS_H
#define MPC_PASSES_TERMS_H

#include "compiler/passes/match.h"

enum { MAX_TERMS = 16 };

typedef struct sum_of {
    uint32_t n;
    ir_val at[MAX_TERMS];
    bool minus[MAX_TERMS];
} sum_of;

/* Terms of v, through sums, differences and signs that nobody else reads. False: v is no sum, or too long. */
bool sum_take(const rewriter *r, ir_val v, sum_of *s);
/* The sum of all; none of nothing. Shapes may be smaller than that of what was taken apart: they
 * broadcast. */
ir_val sum_make(ir_layer *l, const sum_of *s);
void sum_drop(sum_of *s, uint32_t k);

#endif
