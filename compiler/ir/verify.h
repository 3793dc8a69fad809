/* Checks every rule of a layer, as ir.h and ops.def state them: operands, types, shapes, domains, regions,
 * maps, loops, the tables. It trusts nothing that a constructor computed, and no index either. */
#ifndef MPC_IR_VERIFY_H
#define MPC_IR_VERIFY_H

#include "compiler/ir/ir.h"

/* NULL if the layer is sound; otherwise the first rule that is broken, naming the value, in `mem`. */
const char *ir_verify(const ir_layer *l, arena *mem);

#endif
