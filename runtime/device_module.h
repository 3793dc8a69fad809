/*
 * A module's code on the GPU of its context: the image for its architecture, loaded at the first need, with the functions
 * of its kernels and the runtime's own. It stays until the module goes.
 */
#ifndef RUNTIME_DEVICE_MODULE_H
#define RUNTIME_DEVICE_MODULE_H

#include "runtime/device.h"
#include "runtime/device_code.h"
#include "runtime/module.h"

typedef struct device_functions { void *rows, *piece; } device_functions;

typedef struct device_sort {        /* device_sort.h */
    void *keys, *count, *scan, *move, *pair_count, *pair_write, *search, *fiber_count, *fiber_write;
} device_sort;

typedef struct device_module {
    device_code code;               /* read when the module was loaded */
    void *cu;                       /* NULL: not yet loaded */
    device_functions *kernels;      /* by kernel */
    void *begin, *control, *convert, *reorder, *sizes;
    device_sort sort;               /* NULL where no program builds pairs in a call */
} device_module;

/* Reads the bytes that came with the module (NULL: none did). They must stay. */
mp_status device_module_read(mp_context *ctx, const void *bytes, size_t n_bytes, uint64_t n_kernels, device_module **out);
/* Loads it. The message names the architectures that there is code for, where that of the GPU is not among them. */
mp_status device_module_load(mp_module *m, const device_module **out);
void device_module_free(mp_context *ctx, device_module *d);

#endif
