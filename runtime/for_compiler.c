/* The table of for_compiler.h. */
#include "runtime/for_compiler.h"

#include "runtime/cpu_features.h"
#include "runtime/device.h"

static mp_status device_arch(mp_context *ctx, int *arch)
{
    device *d;
    *arch = 0;
    mp_status st = context_on_device(ctx) ? device_open(ctx, &d) : MP_OK;
    if (!st && context_on_device(ctx))
        *arch = d->major * 10 + d->minor;
    return st;
}

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
        .device_arch = device_arch,
    };
    return &table;
}
