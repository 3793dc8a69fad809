/*
 * libcuda, found at run time by name: the driver's interface alone. Nothing of CUDA is needed to build, and a process that
 * makes no context for a GPU never looks for it.
 *
 * Looked for: the library that the environment's MPC_LIBCUDA names, else libcuda.so.1 and libcuda.so in the loader's
 * places. It stays open for the life of the process.
 */
#ifndef RUNTIME_CUDA_API_H
#define RUNTIME_CUDA_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct cuda_api {
    void *library;
    int version;                    /* of the driver: 13000 is 13.0 */
#define CUDA_FN(field, symbol, arguments) int (*field) arguments;
#include "runtime/cuda_api.def"
#undef CUDA_FN
} cuda_api;

/* Numbers of the driver's header that are used here. */
enum {
    CUDA_OUT_OF_MEMORY = 2,
    CUDA_ATTRIBUTE_CLOCK = 13, CUDA_ATTRIBUTE_MEMORY_CLOCK = 36 /* kHz */, CUDA_ATTRIBUTE_BUS = 37 /* bits */,
    CUDA_ATTRIBUTE_MULTIPROCESSORS = 16, CUDA_ATTRIBUTE_MAJOR = 75, CUDA_ATTRIBUTE_MINOR = 76, CUDA_ATTRIBUTE_SHARED_OPTIN = 97,
    CUDA_ATTRIBUTE_POOLS = 115,
    CUDA_FUNCTION_SHARED = 1,       /* static, of a function */
    CUDA_FUNCTION_DYNAMIC = 8,      /* most dynamic shared memory */
    CUDA_POOL_THRESHOLD = 4,        /* bytes that a pool keeps */
    CUDA_HOST_PORTABLE = 1, CUDA_HOST_MAPPED = 2,
    CUDA_EVENT_NO_TIMING = 2
};

/* Opens the library and takes its functions. False, with a line in err, when it is not there or too old. */
bool cuda_api_open(cuda_api *api, char *err, size_t err_size);

#endif
