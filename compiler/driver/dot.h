/* The IR of a layer as a picture, for Graphviz: one box a value, in the colour of its domain. */
#ifndef MPC_DRIVER_DOT_H
#define MPC_DRIVER_DOT_H

#include "compiler/ir/ir.h"
#include "compiler/support/buf.h"

void dot_print(const ir_layer *l, buf *out);

#endif
