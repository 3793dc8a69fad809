/* Bounded memory for recorded states (docs/derivatives.md, "Loops"): of long loops every c-th state alone is kept, and the
 * states between are made again, by a loop within the step of the loop that recalls them.
 *
 * The last pass of a layer with derivatives: what it makes is not differentiated any more. */
#ifndef MPC_PASSES_SEGMENT_H
#define MPC_PASSES_SEGMENT_H

#include "compiler/ir/ir.h"

/* Below this many steps all states are kept: 2 sqrt(K) of them would not be much less. */
enum { SEGMENT_STEPS = 32 };

/* The layer anew, in `mem`. Loops that take fewer steps than `least` for certain stay as they are. */
ir_layer *segment_loops(const ir_layer *from, arena *mem, int64_t least);

#endif
