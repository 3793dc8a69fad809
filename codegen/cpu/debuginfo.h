/* Lines of the source in the code, for debuggers and profilers: each instruction of a kernel names the line of
 * the equation that it computes a part of. Functions that kernels share (math, products) have none: they stand
 * in a profile under their names.
 *
 * An emitter without debug_open does nothing of it. */
#ifndef MPC_CODEGEN_CPU_DEBUGINFO_H
#define MPC_CODEGEN_CPU_DEBUGINFO_H

#include "codegen/cpu/emit.h"
#include "compiler/support/span.h"

/* `file` of `sources` becomes the compile unit; both outlive the emitter. */
void debug_open(emitter *e, arena *mem, const source_set *sources, uint32_t file);
/* Once, when all is written and before the module is verified. */
void debug_close(emitter *e);

/* The function that was begun last is one of the source: it stands where `where` does. */
void debug_function(emitter *e, const char *name, span where);
/* Instructions from now on, until the function's end, belong to this place; an empty span changes nothing. */
void debug_line(emitter *e, span where);

#endif
