/* The part of the compiler that needs LLVM, behind a table of functions.
 *
 * It is a shared library of its own, libmpc-cpu, opened when code for a CPU is first made: what never makes any (runs
 * from the cache, runs of shared libraries, --emit ir) starts without LLVM. Built with MPC_BACKEND_LINKED it is linked
 * in instead. */
#ifndef MPC_DRIVER_BACKEND_H
#define MPC_DRIVER_BACKEND_H

#include "codegen/cpu/link.h"
#include "codegen/cpu/module.h"

enum { CPU_BACKEND_VERSION = 1 };               /* of this table */
#define CPU_BACKEND_SYMBOL "mpc_cpu_backend_v1"

typedef struct cpu_backend {
    uint32_t version;
    const char *compiler;                       /* must be the opener's own version */
    bool (*build)(arena *mem, const module_input *in, module_form form, object_bytes *out, char *err, size_t err_size);
    void (*free_bytes)(object_bytes *b);
    bool (*link)(const char *path, const object_bytes *objects, size_t n_objects, const char *const *extra, size_t n_extra,
                 char *err, size_t err_size);
    /* Is this a CPU that --arch takes? Otherwise a line in err, with those that are. */
    bool (*knows_target)(const char *name, char *err, size_t err_size);
} cpu_backend;

/* Opens it, or finds it open; it stays for the life of the process. NULL and a line in err when it cannot be had. */
const cpu_backend *cpu_backend_open(char *err, size_t err_size);

/* Identifies the file of the back end without opening it, for the cache's keys; 0 when it is linked in or not found. */
uint64_t cpu_backend_stamp(void);

#endif
