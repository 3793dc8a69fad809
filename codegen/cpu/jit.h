/* Objects made by object.h, loaded into this process without a linker.
 *
 * Each loaded object stands for itself: its symbols are its own, names may recur in another one. What it does
 * not define is looked up among the given symbols, then in the process. Any thread may load, look up and
 * free, one thread at a time for one jit_module. */
#ifndef MPC_CODEGEN_CPU_JIT_H
#define MPC_CODEGEN_CPU_JIT_H

#include <stddef.h>

typedef struct jit_module jit_module;

typedef struct jit_symbol {
    const char *name;
    void *address;
} jit_symbol;

/* Copies the object. NULL and a text in err on failure. */
jit_module *jit_load(const void *object, size_t size, const jit_symbol *given, size_t n_given, char *err,
                     size_t err_size);
/* The address of an exported function or datum, valid until jit_free; NULL and a text in err if there is
 * none. The first look-up links the object. */
void *jit_find(jit_module *m, const char *name, char *err, size_t err_size);
/* Its code must not be running. NULL is nothing. */
void jit_free(jit_module *m);

#endif
