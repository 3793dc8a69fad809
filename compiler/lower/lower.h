/*
 * Lowering: a checked layer, with all layers that it uses, to one IR layer.
 *
 * Calls of layers are inlined; the params of instances become inputs named after them (`c1.W`). Static
 * arguments fixed by sem_define are numbers in the result. The IR has a dim table of its own, in which the
 * layer's open static arguments are the symbols.
 *
 * What was left open by the checks and is decided by fixed statics is reported here: dims that are not
 * positive, divisions with a remainder, constant indices out of range.
 */
#ifndef MPC_LOWER_LOWER_H
#define MPC_LOWER_LOWER_H

#include "compiler/ir/ir.h"
#include "compiler/sema/sema.h"

enum { LOWER_MAX_VALUES = 1 << 22 };             /* of the IR; more are an error of class limit */

/* NULL after errors, which are in ds; the layer must not be bad. Allocates in a. */
ir_layer *lower_layer(arena *a, str_table *names, diags *ds, const sem_layer *layer);

#endif
