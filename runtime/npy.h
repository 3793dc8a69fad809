/*
 * NumPy's .npy: reading with strict checks, writing whole or not at all. Headers are read here for .npz, too.
 */
#ifndef RUNTIME_NPY_H
#define RUNTIME_NPY_H

#include <stdio.h>
#include "runtime/tensor.h"

/* What a header says. */
typedef struct npy_header {
    tensor_type type;
    bool fortran;
    int rank;
    int64_t shape[TENSOR_MAX_RANK];
    int64_t count;
    size_t data_bytes;          /* count * size of the type */
    size_t header_bytes;        /* where the data begins */
} npy_header;

/* The header at the start of `bytes` (of which there are n, more than the header's). MP_INVALID, with `path` named. */
mp_status npy_parse(mp_context *ctx, const char *path, const void *bytes, size_t n, npy_header *out);

/* The header of an array to be written, into buf; its length, a multiple of 64. bfloat16 is to be written as float32. */
enum { NPY_HEADER_MAX = 512 };
size_t npy_format(tensor_type type, int rank, const int64_t *shape, char buf[NPY_HEADER_MAX]);
tensor_type npy_written_type(tensor_type type);

/* Opens, reads the header, and gives a tensor over the mapped file (or over memory, where it cannot be mapped). */
mp_status npy_load(mp_context *ctx, const char *path, DLManagedTensor **out);
mp_status npy_save(mp_context *ctx, const char *path, const DLTensor *t);

#endif
