/* The compiler as a library: modules compiled in memory. mpc.h is the public face; the command uses what is here.
 *
 * A module compiled in memory starts as a description without code: names, shapes, conditions. When a layer is
 * prepared and all its dims have values, the layer is compiled for exactly these values, from the text that was kept,
 * or taken from the cache. */
#ifndef MPC_DRIVER_LIBRARY_H
#define MPC_DRIVER_LIBRARY_H

#include "compiler/driver/compile.h"
#include "mp.h"

typedef struct jit_options {
    compile_options compile;        /* copied as far as it is needed later */
    bool no_cache;
    double *ms;                     /* grows by the time of each compilation; lives as long as the module. May be NULL */
} jit_options;

/* Warnings (after a success) or all that is wrong go to `messages`, as text for people; what is wrong is the context's
 * message, too. */
mp_status library_compile(mp_context *ctx, const char *name, const char *text, size_t n, const jit_options *o,
                          buf *messages, mp_module **out);

/* What a compilation that failed means to a caller. */
mp_status library_status(compile_result r);

#endif
