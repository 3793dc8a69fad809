/* From the IR to the kernel plan: which values are stored, which kernels there are, what each does.
 *
 * Input: a layer after all passes (no softmax, no dropout at inference), verified. Output: a plan in `mem`.
 * Choices are described in docs/design.md, "The kernel plan". The IR layer gains values (the change of a
 * loop's states, legal forms of aggregates), none is altered. */
#ifndef MPC_PLAN_PLAN_H
#define MPC_PLAN_PLAN_H

#include "compiler/plan/kernel.h"

typedef struct plan_options {
    uint32_t tile;            /* rows of a tile; 0: 32 */
    uint32_t tile_wide;       /* the same where a product's weights do not stay in L2; 0: 128 */
    uint32_t block;           /* members of a block; 0: 128 */
} plan_options;

/* NULL when the layer has something that a plan cannot hold; then *why tells what, in `mem`. */
kplan *plan_build(arena *mem, ir_layer *l, const plan_options *options, const char **why);

#endif
