/*
 * Between the element types and strides of tensors and compact arrays. Every name in a message is the user's name of
 * the tensor. Tensors have passed tensor_check_host.
 */
#ifndef RUNTIME_CONVERT_H
#define RUNTIME_CONVERT_H

#include "runtime/tensor.h"

/* n elements with a stride (in elements) to a compact run, and back. To a float: rounded once, integers and bools as
 * numbers (bool: 0 or 1). To an integer: from an integer or bool only, cut to its width; to bool: whether not 0. */
void convert_run(tensor_type from, const void *src, int64_t stride, tensor_type to, void *dst, int64_t n);
void convert_run_out(tensor_type from, const void *src, tensor_type to, void *dst, int64_t stride, int64_t n);

/* All of t to dst, row-major; and a row-major array into t (of any strides). Large ones by the context's threads. */
void convert_in(mp_context *ctx, const DLTensor *t, tensor_type to, void *dst);
void convert_out(mp_context *ctx, const void *src, tensor_type from, const DLTensor *t);
/* The same for floats, added to what is in t: in float32, or in float64 where one of the two is. */
void convert_add(mp_context *ctx, const void *src, tensor_type from, const DLTensor *t);

/* An index array: int32 or int64, each element in 0..range-1, or -1 if `none`. MP_INVALID names the first element that
 * is not: "rel: element 17 is 9, but must be in 0..7". dst has one int32 an element. range <= 2^31. */
mp_status convert_index(mp_context *ctx, const char *name, const DLTensor *t, int64_t range, bool none, int32_t *dst);

/* An integer array of any width as int64 (offsets, shapes). */
mp_status convert_int64(mp_context *ctx, const char *name, const DLTensor *t, int64_t *dst);

#endif
