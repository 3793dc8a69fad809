/*
 * libcuda by dlopen: see cuda_api.h.
 */
#include "runtime/cuda_api.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *open_library(void)
{
    const char *own = getenv("MPC_LIBCUDA");
    if (own && *own)
        return dlopen(own, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    return library ? library : dlopen("libcuda.so", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
}

/* Puts a symbol's address into a pointer to a function, whatever its type. */
static bool take(void *library, const char *name, void *to)
{
    void *at = dlsym(library, name);
    memcpy(to, &at, sizeof at);
    return at != NULL;
}

bool cuda_api_open(cuda_api *api, char *err, size_t err_size)
{
    const char *missing = NULL;
    *api = (cuda_api){ .library = open_library() };
    if (!api->library) {
        snprintf(err, err_size, "there is no CUDA driver: libcuda.so.1, which comes with NVIDIA's driver, is not found");
        return false;
    }
#define CUDA_FN(field, symbol, arguments)                       \
    if (!take(api->library, symbol, &api->field) && !missing)   \
        missing = symbol;
#include "runtime/cuda_api.def"
#undef CUDA_FN
    if (missing)
        snprintf(err, err_size, "the CUDA driver is too old: it has no %s; one for CUDA 12 or later is needed", missing);
    return !missing;
}
