/* Derivatives against finite differences, in the interpreter's double precision. */
#ifndef MPC_TESTS_DERIVE_GRADIENT_H
#define MPC_TESTS_DERIVE_GRADIENT_H

#include "compiler/derive/derive.h"
#include "tests/ir/fixture.h"

enum { MAX_WANTED = 6 };

/* y is a floating value of the layer, `in` are inputs of it (f64) with values. Checks the gradient of a random
 * combination of y's elements along random directions, then that of a random combination of those gradients: the
 * second derivatives. Counts and prints failures under `what`. */
void check_gradient(fixture *f, const char *what, ir_val y, const ir_val *in, uint32_t n);

int64_t rows_of(const fixture *f, ir_dom dom);          /* of all domains but pairs */
int64_t size_of(const fixture *f, ir_val v);            /* elements of a value */

#endif
