/* The element-wise operations on numbers, and rounding to the element types. Constant folding and the
 * interpreter share these, so that both mean the same by an operation. Booleans are 0 and 1. */
#ifndef MPC_IR_SCALAR_H
#define MPC_IR_SCALAR_H

#include "compiler/ir/ir.h"

/* Operands in x, in double. Not for cast and bucket (see below) and dropout, which is no function of its operands. */
double ir_scalar(ir_op op, const double *x);
double ir_scalar_bucket(double x, int64_t range);

/* The nearest number of the type, ties to even; T_INDEX, T_BOOL and T_F64 keep x. */
double ir_round(double x, unsigned type);
/* The second nearest: that on the other side of x. x itself where it is one of the type. */
double ir_round_other(double x, unsigned type);

#endif
