/* Relocatable objects into this process, without a linker and without LLVM.
 *
 * Takes what the CPU back end emits: position-independent ELF for x86-64 or AArch64. Sections get pages of their own
 * kind (code, constants, data); undefined symbols are looked up in the process. Everything read from the object is
 * checked against its bounds, so that a damaged file is an error. Code of the object may run until it is unloaded. */
#ifndef MPC_DRIVER_OBJECT_LOAD_H
#define MPC_DRIVER_OBJECT_LOAD_H

#include <stddef.h>

typedef struct loaded_object loaded_object;

/* `bytes` are not needed afterwards. NULL and a line in err when it cannot be. Any thread. */
loaded_object *object_load(const void *bytes, size_t n, char *err, size_t err_size);
/* The address of a global symbol that the object defines; NULL without. */
void *object_symbol(const loaded_object *o, const char *name);
void object_unload(loaded_object *o);                           /* NULL is nothing */

#endif
