/* Values with a letter for each axis: what products and contractions are taken apart into.
 *
 * A term has no axes of 1; letters are numbers below TERM_LETTERS. contract() and times() put two together
 * whatever the order of their axes, by einsum where something is summed and by multiplication where not.
 */
#ifndef MPC_PASSES_TERM_H
#define MPC_PASSES_TERM_H

#include "compiler/passes/match.h"

enum { TERM_LETTERS = 32 };     /* letters are bits of a set */

typedef uint32_t letters;       /* a set */

typedef struct term {
    ir_val v;
    uint32_t n;
    uint8_t at[IR_MAX_RANK];    /* letter of each axis */
} term;

letters term_letters(const term *t);

/* The value as a term; axes of 1 are dropped. `names` has a letter for each axis of the value. */
term term_make(ir_layer *l, ir_val v, const uint8_t *names);
/* The operand of an element-wise operation whose result has the letters `names` (n of them): aligned at
 * the right. */
term term_of_operand(ir_layer *l, ir_val v, const uint8_t *names, uint32_t n);
/* The operands of an einsum whose result has the letters `names`; summed letters get numbers from *next
 * on. */
void term_of_einsum(ir_layer *l, ir_val v, const uint8_t *names, uint8_t *next, term *a, term *b);

/* The product of both, summed over the letters that are not in `keep`; axes in the order of a's, then b's
 * letters. The second puts the letters in `last` at the end in their order, the others before them in
 * reverse: x @ U @ V, whose letters are counted from the result inwards, has U @ V with the rows of U and
 * the columns of V. */
term term_contract_to(ir_layer *l, const term *a, const term *b, letters keep, letters last);
term term_contract(ir_layer *l, const term *a, const term *b, letters keep);
term term_sum(ir_layer *l, const term *t, letters keep);    /* summed over the letters not in `keep` */
/* Can the two be contracted without an operand or result of too many axes? */
bool term_fits(letters a, letters b, letters keep);

/* The value with its axes as `names` says, axes of 1 where it lacks a letter but for leading ones: as an
 * operand of an element-wise operation of that rank. All of its letters must be among the names. */
ir_val term_arrange(ir_layer *l, const term *t, const uint8_t *names, uint32_t n);

#endif
