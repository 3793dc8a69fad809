/* Which values may be infinite or no numbers although all inputs are finite: quotients, logarithms, powers, exponentials.
 *
 * A product with such a factor needs care in a derivative: where the cotangent is 0 the product must be 0 (language,
 * "Derivatives"). Overflow of sums and products is not counted: what it makes infinite was so in the forward already. */
#ifndef MPC_DERIVE_WILD_H
#define MPC_DERIVE_WILD_H

#include "compiler/ir/build.h"

enum { WILD_MAY_BE = 1, WILD_POSITIVE = 2, WILD_NOT_NEGATIVE = 4 };

/* By value, for those below n: WILD_MAY_BE, and what is known of the sign where it is a number. */
uint8_t *wild_find(const ir_layer *l, uint32_t n, arena *mem);

#endif
