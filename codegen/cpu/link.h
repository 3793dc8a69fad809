/* Objects to a shared library, by the system's linker or compiler driver.
 *
 * Tried in turn: the program named by the environment's MPC_CC, ld, cc, gcc, clang; with further arguments ld
 * is the last. It is started with an argument vector, never through a shell. The library appears under its name only when it is complete. */
#ifndef MPC_CODEGEN_CPU_LINK_H
#define MPC_CODEGEN_CPU_LINK_H

#include <stdbool.h>
#include <stddef.h>

#include "codegen/cpu/object.h"

/* Writes the shared library `path` from objects in memory. `extra` are arguments after the objects
 * (libraries, -L, -l, -Wl,…); where only ld is found, those that start with -Wl, are given without that. On
 * failure returns false, puts what the tool said into err, and leaves no file behind. */
bool link_shared(const char *path, const object_bytes *objects, size_t n_objects, const char *const *extra,
                 size_t n_extra, char *err, size_t err_size);

#endif
