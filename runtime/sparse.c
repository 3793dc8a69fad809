/*
 * Matrix inputs that a graph folder holds by compressed rows.
 */
#include <string.h>

#include "runtime/context.h"
#include "runtime/convert.h"
#include "runtime/file.h"
#include "runtime/graph_read.h"
#include "runtime/half.h"
#include "runtime/npy.h"

enum { FILE_NAME = 256 };

/* folder/NAME_part.npy in the context's memory. */
static char *part_path(mp_context *ctx, const char *folder, const char *name, const char *part)
{
    char file[FILE_NAME];
    int n = snprintf(file, sizeof file, "%s_%s.npy", name, part);
    if (n < 0 || n >= FILE_NAME) {
        error_set(ctx, MP_INVALID, "the name '%.40s...' is too long for a file", name);
        return NULL;
    }
    return file_join(ctx, folder, file);
}

bool sparse_matrix_exists(mp_context *ctx, const char *folder, const char *name)
{
    char *path = part_path(ctx, folder, name, "indptr");
    bool there = path && file_exists(path);
    mem_free(ctx, path, path ? strlen(path) + 1 : 0);
    return there;
}

static mp_status load_list(mp_context *ctx, const char *folder, const char *name, const char *part, DLManagedTensor **out)
{
    char *path = part_path(ctx, folder, name, part);
    if (!path)
        return MP_SYSTEM;
    mp_status st = npy_load(ctx, path, out);
    if (!st && (*out)->dl_tensor.ndim != 1) {
        (*out)->deleter(*out);
        *out = NULL;
        st = error_set(ctx, MP_INVALID, "%s: must be a list", path);
    }
    mem_free(ctx, path, strlen(path) + 1);
    return st;
}

static mp_status read_shape(mp_context *ctx, const char *name, const DLTensor *t, sparse_matrix *m)
{
    int64_t shape[2];
    if (t->shape[0] != 2)
        return error_set(ctx, MP_INVALID, "%s_shape.npy: must hold two numbers", name);
    mp_status st = convert_int64(ctx, name, t, shape);
    if (st)
        return st;
    if (shape[0] < 0 || shape[1] < 0 || shape[0] > 0x7fffffff || shape[1] > 0x7fffffff)
        return error_set(ctx, MP_INVALID, "%s_shape.npy: [%lld, %lld] is not possible", name, (long long)shape[0], (long long)shape[1]);
    m->n_rows = shape[0];
    m->n_cols = shape[1];
    return MP_OK;
}

static mp_status read_ptr(mp_context *ctx, const char *name, const DLTensor *t, sparse_matrix *m)
{
    if (t->shape[0] != m->n_rows + 1) {
        return error_set(ctx, MP_INVALID, "%s_indptr.npy: has %lld elements, but %lld rows need %lld", name,
                         (long long)t->shape[0], (long long)m->n_rows, (long long)m->n_rows + 1);
    }
    m->ptr = mem_array(ctx, m->n_rows + 1, sizeof *m->ptr, "a sparse matrix");
    if (!m->ptr)
        return MP_SYSTEM;
    mp_status st = convert_int64(ctx, name, t, m->ptr);
    if (st)
        return st;
    if (m->ptr[0] != 0 || m->ptr[m->n_rows] != m->n_entries) {
        return error_set(ctx, MP_INVALID, "%s_indptr.npy: must go from 0 to %lld, the number of entries", name,
                         (long long)m->n_entries);
    }
    for (int64_t i = 0; i < m->n_rows; i++) {
        if (m->ptr[i + 1] < m->ptr[i])
            return error_set(ctx, MP_INVALID, "%s_indptr.npy: element %lld is less than the one before it", name, (long long)i + 1);
    }
    return MP_OK;
}

static mp_status read_columns(mp_context *ctx, const char *name, const DLTensor *t, sparse_matrix *m)
{
    char array[FILE_NAME];
    snprintf(array, sizeof array, "%s_indices.npy", name);
    if (t->shape[0] != m->n_entries) {
        return error_set(ctx, MP_INVALID, "%s: has %lld elements, but %s_data.npy has %lld", array, (long long)t->shape[0], name,
                         (long long)m->n_entries);
    }
    m->col = mem_array(ctx, m->n_entries, sizeof *m->col, "a sparse matrix");
    return m->col ? convert_index(ctx, array, t, m->n_cols, false, m->col) : MP_SYSTEM;
}

/* The entries as floats: as they are, or integers and bools as float32. */
static mp_status read_data(mp_context *ctx, DLManagedTensor *t, sparse_matrix *m)
{
    tensor_type type = TENSOR_F32;
    tensor_type_of(t->dl_tensor.dtype, &type);
    m->n_entries = t->dl_tensor.shape[0];
    mp_status st = tensor_new(ctx, tensor_type_is_float(type) ? type : TENSOR_F32, 1, t->dl_tensor.shape, &m->data);
    if (!st) {
        tensor_type_of(m->data->dl_tensor.dtype, &type);
        convert_in(ctx, &t->dl_tensor, type, m->data->dl_tensor.data);
    }
    return st;
}

mp_status sparse_matrix_read(mp_context *ctx, const char *folder, const char *name, sparse_matrix *out)
{
    static const char *const parts[4] = { "shape", "data", "indptr", "indices" };
    DLManagedTensor *t[4] = { NULL };
    sparse_matrix m = { 0 };
    mp_status st = MP_OK;
    for (int i = 0; i < 4 && !st; i++)
        st = load_list(ctx, folder, name, parts[i], &t[i]);
    if (!st)
        st = read_shape(ctx, name, &t[0]->dl_tensor, &m);
    if (!st)
        st = read_data(ctx, t[1], &m);
    if (!st)
        st = read_ptr(ctx, name, &t[2]->dl_tensor, &m);
    if (!st)
        st = read_columns(ctx, name, &t[3]->dl_tensor, &m);
    for (int i = 0; i < 4; i++) {
        if (t[i])
            t[i]->deleter(t[i]);
    }
    if (st)
        sparse_matrix_free(ctx, &m);
    else
        *out = m;
    return st;
}

static void add_f16(uint16_t *a, uint16_t b)
{
    *a = f32_to_f16(f16_to_f32(*a) + f16_to_f32(b));
}

mp_status sparse_matrix_dense(mp_context *ctx, const sparse_matrix *m, DLManagedTensor **out)
{
    tensor_type type = TENSOR_F32;
    tensor_type_of(m->data->dl_tensor.dtype, &type);
    const int64_t shape[2] = { m->n_rows, m->n_cols };
    DLManagedTensor *t;
    mp_status st = tensor_new(ctx, type, 2, shape, &t);
    if (st)
        return st;
    char *dense = t->dl_tensor.data;
    const void *data = m->data->dl_tensor.data;
    memset(dense, 0, (size_t)(m->n_rows * m->n_cols) * tensor_type_size(type));
    for (int64_t i = 0; i < m->n_rows; i++) {
        for (int64_t k = m->ptr[i]; k < m->ptr[i + 1]; k++) {
            int64_t at = i * m->n_cols + m->col[k];
            if (type == TENSOR_F64)
                ((double *)dense)[at] += ((const double *)data)[k];
            else if (type == TENSOR_F32)
                ((float *)dense)[at] += ((const float *)data)[k];
            else
                add_f16((uint16_t *)dense + at, ((const uint16_t *)data)[k]);
        }
    }
    *out = t;
    return MP_OK;
}

void sparse_matrix_free(mp_context *ctx, sparse_matrix *m)
{
    mem_array_free(ctx, m->ptr, m->n_rows + 1, sizeof *m->ptr);
    mem_array_free(ctx, m->col, m->n_entries, sizeof *m->col);
    if (m->data)
        m->data->deleter(m->data);
    *m = (sparse_matrix){ 0 };
}
