/* The table of for_compiler.h. */
#include "runtime/for_compiler.h"

#include "runtime/cpu_features.h"

const mp_for_compiler *mp_for_compiler_v1(void)
{
    static const mp_for_compiler table = {
        .version = MP_FOR_COMPILER_VERSION,
        .module_from_table = module_from_table,
        .error_set_text = error_set_text,
        .set_warnings = error_set_warnings,
        .warnings = error_warnings,
        .log = context_log,
        .cpu_features = cpu_features_text,
    };
    return &table;
}
