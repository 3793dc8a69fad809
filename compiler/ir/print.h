/* The text form of the IR, which reads back exactly (but for places in the source).
 *
 *     layer GAT(in, heads = 8, out, slope: real = 0.2)
 *     need square "z"
 *     domain edge edges
 *     domain src nodes src
 *     domain index(R)
 *     domain pair5 pair %7
 *     loop 1 "z" in 0 for K                              // region 1, in region 0
 *     %1 = input "x" : src f32[in]
 *     %2 = param "W" init uniform(0, 1) : unit f32[in, heads, out]
 *     %3 = einsum "ab,bcd->acd" %1, %2 : src f32[heads, out]  // z
 *     %4 = map_src : edge -> src
 *     %5 = gather %3, %4 : edge f32[heads, out]
 *     %6 = state 0 of 1 : src f32[out] @1                // lies in region 1
 *     next 1 "z" %3 %6 %9                                // init, state, next
 *     until 1 %8
 *     output "g" dst %20
 *
 * One line a statement. A comment at the end of a value's line is its name in the source.
 */
#ifndef MPC_IR_PRINT_H
#define MPC_IR_PRINT_H

#include "compiler/ir/ir.h"

void ir_print(const ir_layer *l, buf *out);
void ir_print_value(const ir_layer *l, ir_val v, buf *out);      /* its line, without the end of the line */
void ir_print_type(const ir_layer *l, ir_val v, buf *out);       /* "edge f32[heads, out]" */

/* The layer that a text describes, checked by ir_verify. NULL and *error (in mem) when it is none. Symbols
 * of dims are those of `dims` with that name; names are interned in `names`. */
ir_layer *ir_parse(arena *mem, dim_table *dims, str_table *names, const char *text, const char **error);

enum { IR_MAX_NEST = 64 };      /* loops inside each other */

#endif
