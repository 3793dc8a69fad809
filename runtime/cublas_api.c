/*
 * libcublas by dlopen: see cublas_api.h.
 */
#include "runtime/cublas_api.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *open_library(void)
{
    static const char *const names[] = { "libcublas.so.13", "libcublas.so.12", "libcublas.so", "/usr/local/cuda/lib64/libcublas.so.13",
                                         "/usr/local/cuda/lib/libcublas.so.13", "/usr/local/cuda/lib64/libcublas.so.12",
                                         "/usr/local/cuda/lib/libcublas.so.12" };
    const char *own = getenv("MPC_LIBCUBLAS");
    if (own && *own)
        return dlopen(own, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    void *library = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !library; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    return library;
}

/* Puts a symbol's address into a pointer to a function, whatever its type. */
static bool take(void *library, const char *name, void *to)
{
    void *at = dlsym(library, name);
    memcpy(to, &at, sizeof at);
    return at != NULL;
}

bool cublas_api_open(cublas_api *api, char *err, size_t err_size)
{
    const char *missing = NULL;
    *api = (cublas_api){ .library = open_library() };
    if (!api->library) {
        snprintf(err, err_size, "there is no libcublas");
        return false;
    }
#define CUBLAS_FN(field, symbol, arguments)                     \
    if (!take(api->library, symbol, &api->field) && !missing)   \
        missing = symbol;
#include "runtime/cublas_api.def"
#undef CUBLAS_FN
    if (missing)
        snprintf(err, err_size, "libcublas is too old: it has no %s", missing);
    return !missing;
}
