/* From a kernel of the plan to its functions in LLVM IR.
 *
 * Each kernel becomes `rows` and, where it walks a fiber, `piece` (runtime/abi.h says what they do and what
 * they are given). Code is emitted in vectors of the target's width, with what does not change in a loop in
 * front of it; small accumulators end up in registers. The plan must be verified
 * (compiler/plan/plan_verify.h).
 *
 * Scratch of a kernel: every local from number 1 on, in order, each at a multiple of 64 bytes, with room for
 * its copies (kernel_copies), though those that fit into registers do not use it. The state of a piece: the
 * accumulators, one copy each, in the same way. */
#ifndef MPC_CODEGEN_CPU_KERNEL_H
#define MPC_CODEGEN_CPU_KERNEL_H

#include "codegen/cpu/emit.h"
#include "compiler/plan/kernel.h"

typedef struct kernel_options {
    int prefetch;               /* members ahead; 0: 12, negative: no prefetches */
} kernel_options;

typedef struct kernel_functions { LLVMValueRef rows, piece; } kernel_functions;     /* piece NULL: no fiber */

/* Writes the functions `name`.rows and `name`.piece into the emitter's module, with internal linkage; where there
 * are both, they call `name`.walk, which does the work of either. `mem`
 * is for tables that are dropped before it returns. */
kernel_functions kernel_emit(emitter *e, arena *mem, const kplan *p, uint32_t kernel, const char *name,
                             const kernel_options *options);

/* Copies of a local: rows of the tile, members of the block, or 1. */
uint32_t kernel_copies(const kkernel *k, uint32_t local);

#endif
