/* A module: the kernels of all plans and the table `mp_module_v1` (runtime/abi.h) that finds them, as one
 * object.
 *
 * Kernels are numbered over the plans in their order. With several CPUs each kernel is there once for each,
 * and the table says what each variant needs, from the least to the best; the loader takes the last one that the
 * machine can run. All are of one machine type. */
#ifndef MPC_CODEGEN_CPU_MODULE_H
#define MPC_CODEGEN_CPU_MODULE_H

#include "codegen/cpu/object.h"
#include "compiler/plan/kernel.h"

typedef struct module_input {
    const kplan *const *plans;          /* verified */
    uint32_t n_plans;
    const void *description;
    size_t description_bytes;
    const char *const *arch;            /* names of target.h; none: `native` */
    uint32_t n_arch;
    int level;                          /* of optimisation, 0 to 3 */
    int prefetch;                       /* members ahead; 0: 12, negative: none */
    bool verify;                        /* LLVM checks after each of its passes */
    const source_set *debug;            /* NULL: no lines of the source in the code */
    uint32_t debug_file;
    uint64_t source_hash;
    bool no_cpu;                        /* no kernels for a CPU: `device` is all the code there is */
    const void *device;                 /* code for GPUs (runtime/device_code.h), or NULL */
    size_t device_bytes;
} module_input;

typedef enum module_form {
    MODULE_OBJECT,
    MODULE_ASM,
    MODULE_LLVM,
    MODULE_LLVM_RAW
} module_form; /* RAW: as emitted */

/* False, with a text in err, on failure. The bytes are the caller's (object_free). */
bool module_build(arena *mem, const module_input *in, module_form form, object_bytes *out, char *err,
                  size_t err_size);

#endif
