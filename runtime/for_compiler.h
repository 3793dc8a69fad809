/*
 * What the compiler's library needs of the runtime beyond mp.h: one table of functions, so that the runtime shows no
 * inner names. The two libraries come from one build; the version says so.
 */
#ifndef RUNTIME_FOR_COMPILER_H
#define RUNTIME_FOR_COMPILER_H

#include "runtime/module.h"

enum { MP_FOR_COMPILER_VERSION = 2 };

typedef struct mp_for_compiler {
    uint32_t version;
    mp_status (*module_from_table)(mp_context *ctx, const mp_module_v1 *table, const module_source *source, mp_module **out);
    mp_status (*error_set_text)(mp_context *ctx, mp_status status, const char *text);
    /* Text that mpc_warnings gives this thread; kept as a copy. */
    void (*set_warnings)(mp_context *ctx, const char *text);
    const char *(*warnings)(const mp_context *ctx);
    void (*log)(mp_context *ctx, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
    void (*cpu_features)(char *text, unsigned size);
    /* The architecture of the context's GPU: 90 is sm_90; 0 in a context for the CPU. */
    mp_status (*device_arch)(mp_context *ctx, int *arch);
} mp_for_compiler;

MP_API const mp_for_compiler *mp_for_compiler_v1(void);

#endif
