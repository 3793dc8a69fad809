/* What a stage made, as bytes: for --emit and mpc_emit. */
#ifndef MPC_DRIVER_EMIT_H
#define MPC_DRIVER_EMIT_H

#include "compiler/driver/compile.h"
#include "mpc.h"

/* Finds "ir", "ir@after:hoist", ... `stage` (may be NULL) gets the pass, a part of `text`. */
bool emit_kind_of(const char *text, mpc_emit_kind *kind, const char **stage);

/* Is there such a pass ("lower" is one)? `known` gets the names when there is not. */
bool emit_stage_exists(const char *stage, buf *known);

/* Compiles `text` as far as that takes. Not for MPC_EMIT_SO. Objects and texts of the back end go to `out`, too. */
compile_result emit_text(compilation *c, const char *name, const char *text, size_t n, mpc_emit_kind kind, buf *out);

#endif
