/*
 * libcublas, found at run time by name, as libcuda is (cuda_api.h): the library that the environment's MPC_LIBCUBLAS names, else
 * libcublas.so.13, .12 and libcublas.so in the loader's places and in /usr/local/cuda: one that the process has loaded already
 * (PyTorch's) is found by its name, too. It stays open for the life of the process.
 */
#ifndef RUNTIME_CUBLAS_API_H
#define RUNTIME_CUBLAS_API_H

#include <stdbool.h>
#include <stddef.h>

typedef struct cublas_api {
    void *library;
#define CUBLAS_FN(field, symbol, arguments) int (*field) arguments;
#include "runtime/cublas_api.def"
#undef CUBLAS_FN
} cublas_api;

/* Numbers of the library's headers that are used here. */
enum {
    CUBLAS_N = 0, CUBLAS_T = 1,
    CUBLAS_F32 = 0, CUBLAS_F64 = 1,                     /* cudaDataType */
    CUBLAS_COMPUTE_F32 = 68, CUBLAS_COMPUTE_F64 = 70,
    CUBLAS_ALGORITHM_DEFAULT = -1,
    CUBLAS_MATH_DEFAULT = 0, CUBLAS_MATH_TF32 = 3
};

/* Opens the library and takes its functions. False, with a line in err, when it is not there or lacks one. */
bool cublas_api_open(cublas_api *api, char *err, size_t err_size);

#endif
