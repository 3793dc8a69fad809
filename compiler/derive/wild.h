/* Which values may be infinite or no numbers although all inputs are finite: quotients, logarithms, powers, exponentials.
 *
 * A product with such a factor needs care in a derivative: where the cotangent is 0 the product must be 0 (language,
 * "Derivatives"). Overflow of sums and products is not counted: what it makes infinite was so in the forward already.
 * A real static argument is taken for a number that may be divided by. */
#ifndef MPC_DERIVE_WILD_H
#define MPC_DERIVE_WILD_H

#include "compiler/ir/build.h"

enum {
    WILD_MAY_BE = 1,            /* infinite or NaN */
    WILD_NOT_NEGATIVE = 2,      /* these three where it is a number */
    WILD_NOT_POSITIVE = 4,
    WILD_NOT_ZERO = 8,
    WILD_POLE = 16              /* and at some members alone: not by an exponential, or by a number that is the same for all */
};

/* By value, for those below n: what is known of it. */
uint8_t *wild_find(const ir_layer *l, uint32_t n, arena *mem);

#endif
