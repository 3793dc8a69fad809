/*
 * DLTensors as they come from outside: element types, checks, sizes. After tensor_check the other functions may be
 * called without further care.
 */
#ifndef RUNTIME_TENSOR_H
#define RUNTIME_TENSOR_H

#include <stdbool.h>
#include "mp.h"

typedef enum tensor_type {
    TENSOR_F64, TENSOR_F32, TENSOR_F16, TENSOR_BF16,
    TENSOR_I8, TENSOR_I16, TENSOR_I32, TENSOR_I64,
    TENSOR_U8, TENSOR_U16, TENSOR_U32, TENSOR_U64, TENSOR_BOOL,
    TENSOR_TYPES
} tensor_type;

enum { TENSOR_MAX_RANK = 8, TENSOR_DL_BOOL = 6 };

/* false for complex numbers, vectors of lanes, and other types that have no name here. */
bool tensor_type_of(DLDataType dtype, tensor_type *out);
DLDataType tensor_dtype(tensor_type type);
size_t tensor_type_size(tensor_type type);
const char *tensor_type_name(tensor_type type);     /* as NumPy says it: "float32", "bool" */
bool tensor_type_is_float(tensor_type type);

/* Checks the struct: not NULL, at most TENSOR_MAX_RANK axes, a known type, no negative extent, data unless it is
 * empty, aligned to its type, extents and strides whose products fit. MP_USAGE or MP_INVALID with `name`. The device
 * is not looked at. */
mp_status tensor_check(mp_context *ctx, const char *name, const DLTensor *t);
/* The same, and that the data can be read here (CPU, pinned or managed memory). */
mp_status tensor_check_host(mp_context *ctx, const char *name, const DLTensor *t);

/* Is it in the memory of a GPU? */
bool tensor_on_device(const DLTensor *t);
/* The same where a context for that GPU takes tensors of the GPU's memory, too. */
mp_status tensor_check_place(mp_context *ctx, const char *name, const DLTensor *t);

/* A tensor as the host can read it: itself, or a copy of its memory with the same strides. */
typedef struct host_view {
    DLTensor t;
    char *memory;
    size_t bytes;
} host_view;
mp_status tensor_to_host(mp_context *ctx, const DLTensor *t, host_view *out);
void host_view_free(mp_context *ctx, host_view *v);

int64_t tensor_count(const DLTensor *t);
void *tensor_data(const DLTensor *t);               /* byte_offset applied */
bool tensor_is_compact(const DLTensor *t);          /* row-major without gaps */
bool tensor_same_shape(const DLTensor *a, const DLTensor *b);
/* "[3, 4]" into buf; for messages. */
const char *tensor_shape_text(const int64_t *shape, int rank, char *buf, size_t size);
enum { TENSOR_TEXT = 192 };

/* The stride of axis i in elements. */
int64_t tensor_stride(const DLTensor *t, int i);

/* A compact tensor on the CPU in memory of the context's, freed by its deleter; it holds the context. */
mp_status tensor_new(mp_context *ctx, tensor_type type, int rank, const int64_t *shape, DLManagedTensor **out);
/* The same over memory that `release(ud)` gives back; strides NULL for compact. On failure nothing is released. */
mp_status tensor_wrap(mp_context *ctx, tensor_type type, int rank, const int64_t *shape, const int64_t *strides,
                      void *data, void (*release)(void *ud), void *ud, DLManagedTensor **out);

#endif
