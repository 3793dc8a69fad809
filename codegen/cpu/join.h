/* Several relocatable objects into one, without a linker.
 *
 * The parts are ELF as LLVM's back ends for x86-64 and AArch64 write it (relocations with addends, no groups). A
 * symbol that one part leaves undefined and another defines is the same symbol. Names that are hidden become local:
 * parts name each other's functions so, and whoever links the result does not see them.
 *
 * The result depends on the parts and their order alone. */
#ifndef MPC_CODEGEN_CPU_JOIN_H
#define MPC_CODEGEN_CPU_JOIN_H

#include "codegen/cpu/object.h"

/* False, with a text in err, when a part is damaged or holds what is not known here. The bytes are the caller's
 * (object_free). */
bool object_join(const object_bytes *parts, size_t n, object_bytes *out, char *err, size_t err_size);

#endif
