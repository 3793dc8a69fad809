/* The table of the CPU back end, for the library that has LLVM: see backend.h. */
#include "compiler/driver/backend.h"

#include "codegen/cpu/target.h"
#include "compiler/driver/version.h"

__attribute__((visibility("default"))) const cpu_backend *mpc_cpu_backend_v1(void);

static bool knows_target(const char *name, char *err, size_t err_size)
{
    cpu_target t;
    return cpu_target_find(name, &t, err, err_size);
}

const cpu_backend *mpc_cpu_backend_v1(void)
{
    static const cpu_backend table = {
        .version = CPU_BACKEND_VERSION,
        .compiler = MPC_COMPILER_VERSION,
        .build = module_build,
        .free_bytes = object_free,
        .link = link_shared,
        .knows_target = knows_target,
    };
    return &table;
}
