/*
 * Modules: the description and the kernels of compiled layers, from a shared library or from memory. What is found is
 * checked before it is used; the best variant of the kernels that this CPU can run is chosen once.
 *
 * A module that was compiled in this process may offer to compile a layer again for known dims (`specialise`). What
 * that gives is kept by the module, one for each set of values, as long as the module lives.
 */
#ifndef RUNTIME_MODULE_H
#define RUNTIME_MODULE_H

#include <pthread.h>
#include <stdatomic.h>
#include "runtime/context.h"
#include "runtime/description.h"

typedef struct module_source {
    void (*release)(void *ud);      /* called once when the module goes; may be NULL */
    /* The layer for exactly these values: dims[i] and reals[i] by static argument of the layer (a real's dims[i] and a
     * dim's reals[i] are 0); the programs of training, or else that of the forward pass. Returns a module with one layer
     * whose statics are all fixed and whose inputs and outputs
     * have the same names, types and order; or NULL: the generic code is used. Its holder becomes this module, which
     * asks once for each set of values, one thread at a time. May be NULL. A table without variants (n_variants 0) has
     * no generic code: then this is how all code comes, and NULL is an error, whose message the callee has set and
     * which is not remembered. */
    mp_module *(*specialise)(void *ud, const char *layer, const int64_t *dims, const double *reals, uint32_t n_statics,
                             bool training);
    void *ud;
    const void *device_code;        /* code for GPUs (device_code.h), or NULL; must stay until `release` */
    size_t device_bytes;
} module_source;

/* A module over a table in memory, which must stay until `release`. On failure nothing is released. */
mp_status module_from_table(mp_context *ctx, const mp_module_v1 *table, const module_source *source, mp_module **out);

typedef struct module_special module_special;

struct mp_module {
    mp_context *ctx;
    _Atomic int64_t holders;
    description *description;
    const desc_module *desc;
    const mp_kernel_entry *kernels;     /* of the chosen variant */
    uint64_t n_kernels, source_hash;
    struct device_module *device;       /* code for GPUs, or NULL */
    module_source source;
    void *library;                      /* of dlopen, or NULL */
    pthread_mutex_t lock;               /* guards the specialised ones */
    module_special *specials;
};

void module_retain(mp_module *mod);
void module_release(mp_module *mod);

/* The layer compiled for these values, or NULL where there is none. `layer` is a number in mod->desc->layers. What is
 * returned lives as long as `mod`. Any thread. */
mp_module *module_specialised(mp_module *mod, uint32_t layer, const int64_t *dims, const double *reals, bool training);

#endif
