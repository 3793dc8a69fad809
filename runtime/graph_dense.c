/*
 * Edges of a dense adjacency matrix: its non-zero elements in row order (NaN is not zero).
 */
#include "runtime/context.h"
#include "runtime/convert.h"
#include "runtime/graph.h"
#include "runtime/graph_read.h"

enum { BLOCK = 512 };

static mp_status check_matrix(mp_context *ctx, const char *name, const DLTensor *a)
{
    mp_status st = tensor_check_host(ctx, name, a);
    if (!st && a->ndim != 2)
        st = error_set(ctx, MP_INVALID, "%s: an adjacency matrix has two axes, not %d", name, a->ndim);
    if (!st && (a->shape[0] > 0x7fffffff || a->shape[1] > 0x7fffffff))
        st = error_set(ctx, MP_INVALID, "%s: has too many rows or columns", name);
    return st;
}

mp_status graph_dense_edges(mp_context *ctx, const char *name, const DLTensor *a, int64_t *n_edges, int32_t *src,
                            int32_t *dst, double *weights)
{
    mp_status st = check_matrix(ctx, name, a);
    if (st)
        return st;
    tensor_type type = TENSOR_F32;
    tensor_type_of(a->dtype, &type);
    int64_t row = tensor_stride(a, 0), column = tensor_stride(a, 1), size = (int64_t)tensor_type_size(type), e = 0;
    const char *data = tensor_data(a);
    double block[BLOCK];
    for (int64_t i = 0; i < a->shape[0]; i++) {
        for (int64_t j0 = 0; j0 < a->shape[1]; j0 += BLOCK) {
            int64_t n = a->shape[1] - j0 < BLOCK ? a->shape[1] - j0 : BLOCK;
            convert_run(type, data + (i * row + j0 * column) * size, column, TENSOR_F64, block, n);
            for (int64_t j = 0; j < n; j++) {
                if (block[j] == 0)
                    continue;
                if (src)
                    src[e] = (int32_t)i;
                if (dst)
                    dst[e] = (int32_t)(j0 + j);
                if (weights)
                    weights[e] = block[j];
                e++;
            }
        }
    }
    *n_edges = e;
    return MP_OK;
}

mp_status mp_graph_from_dense(mp_context *ctx, const DLTensor *a, mp_graph **out)
{
    if (!ctx)
        return MP_USAGE;
    if (!out)
        return error_set(ctx, MP_USAGE, "mp_graph_from_dense: the result must not be NULL");
    int64_t n = 0;
    graph_source s = { 0 };
    mp_status st = graph_dense_edges(ctx, "A", a, &n, NULL, NULL, NULL);
    if (!st)
        st = graph_source_edges(ctx, &s, n, false);
    if (!st)
        st = graph_dense_edges(ctx, "A", a, &n, s.src, s.dst, NULL);
    if (!st)
        st = mp_graph_from_coo(ctx, a->shape[0], a->shape[1], n, s.src, s.dst, out);
    graph_source_free(ctx, &s);
    return st;
}

mp_status mp_dense_weights(mp_context *ctx, const DLTensor *a, const DLTensor *weights)
{
    if (!ctx)
        return MP_USAGE;
    int64_t n = 0;
    mp_status st = graph_dense_edges(ctx, "A", a, &n, NULL, NULL, NULL);
    if (!st)
        st = tensor_check_host(ctx, "weights", weights);
    if (st)
        return st;
    tensor_type type = TENSOR_F32;
    tensor_type_of(weights->dtype, &type);
    if (!tensor_type_is_float(type) || weights->ndim != 1 || weights->shape[0] != n)
        return error_set(ctx, MP_INVALID, "weights: must be a floating list of %lld elements", (long long)n);
    double *values = mem_array(ctx, n, sizeof *values, "weights of edges");
    if (!values)
        return MP_SYSTEM;
    st = graph_dense_edges(ctx, "A", a, &n, NULL, NULL, values);
    if (!st)
        convert_out(ctx, values, TENSOR_F64, weights);
    mem_array_free(ctx, values, n, sizeof *values);
    return st;
}
