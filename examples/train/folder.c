/*
 * Arrays of a folder, as plain C arrays.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "train.h"

enum { PATH_ROOM = 4096 };

static void join(char path[PATH_ROOM], const char *folder, const char *name, const char *end)
{
    if (snprintf(path, PATH_ROOM, "%s/%s%s.npy", folder, name, end) >= PATH_ROOM) {
        fprintf(stderr, "%s: the path is too long\n", folder);
        exit(2);
    }
}

bool folder_has(const char *folder, const char *name)
{
    char path[PATH_ROOM];
    join(path, folder, name, "");
    return access(path, R_OK) == 0;
}

static int64_t count(const DLTensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->ndim; i++)
        n *= t->shape[i];
    return n;
}

/* Wants rows one after the other, as all files here have them. */
static DLManagedTensor *load(mp_context *ctx, const char *folder, const char *name, const char *end)
{
    char path[PATH_ROOM];
    DLManagedTensor *m = NULL;
    join(path, folder, name, end);
    check(ctx, mp_npy_load(ctx, path, &m));
    if (m->dl_tensor.strides && m->dl_tensor.ndim > 1 && m->dl_tensor.strides[m->dl_tensor.ndim - 1] != 1) {
        fprintf(stderr, "%s: must be in C order\n", path);
        exit(1);
    }
    return m;
}

static const void *data_of(const DLManagedTensor *m)
{
    return (const char *)m->dl_tensor.data + m->dl_tensor.byte_offset;
}

static int32_t *ints(const DLManagedTensor *m, const char *name)
{
    int64_t n = count(&m->dl_tensor);
    int32_t *out = room(n, sizeof *out);
    const void *data = data_of(m);
    for (int64_t i = 0; i < n; i++) {
        if (m->dl_tensor.dtype.bits == 8) {
            out[i] = ((const uint8_t *)data)[i];
        } else if (m->dl_tensor.dtype.bits == 32 && m->dl_tensor.dtype.code == kDLInt) {
            out[i] = ((const int32_t *)data)[i];
        } else if (m->dl_tensor.dtype.bits == 64 && m->dl_tensor.dtype.code == kDLInt) {
            out[i] = (int32_t)((const int64_t *)data)[i];
        } else {
            fprintf(stderr, "%s: must hold integers\n", name);
            exit(1);
        }
    }
    return out;
}

int32_t *folder_ints(mp_context *ctx, const char *folder, const char *name, int64_t *n)
{
    DLManagedTensor *m = load(ctx, folder, name, "");
    int32_t *out = ints(m, name);
    if (n)
        *n = count(&m->dl_tensor);
    m->deleter(m);
    return out;
}

static float *floats(const DLManagedTensor *m, const char *name)
{
    int64_t n = count(&m->dl_tensor);
    float *out = room(n, sizeof *out);
    if (m->dl_tensor.dtype.code != kDLFloat || m->dl_tensor.dtype.bits < 32) {
        fprintf(stderr, "%s: must hold float32 or float64\n", name);
        exit(1);
    }
    for (int64_t i = 0; i < n; i++)
        out[i] = m->dl_tensor.dtype.bits == 64 ? (float)((const double *)data_of(m))[i] : ((const float *)data_of(m))[i];
    return out;
}

static float *sparse_rows(mp_context *ctx, const char *folder, const char *name, int64_t *rows, int64_t *columns)
{
    DLManagedTensor *m[4];
    static const char *const end[4] = { "_indptr", "_indices", "_data", "_shape" };
    for (int i = 0; i < 4; i++)
        m[i] = load(ctx, folder, name, end[i]);
    int32_t *ptr = ints(m[0], name), *index = ints(m[1], name), *shape = ints(m[3], name);
    float *data = floats(m[2], name);
    int64_t filled = count(&m[1]->dl_tensor);
    *rows = shape[0];
    *columns = shape[1];
    float *out = room(*rows * *columns, sizeof *out);
    for (int64_t i = 0; i < *rows; i++) {
        for (int64_t k = ptr[i]; k >= 0 && k < ptr[i + 1] && k < filled; k++) {
            if (index[k] >= 0 && index[k] < *columns)
                out[i * *columns + index[k]] = data[k];
        }
    }
    for (int i = 0; i < 4; i++)
        m[i]->deleter(m[i]);
    free(ptr);
    free(index);
    free(shape);
    free(data);
    return out;
}

float *folder_rows(mp_context *ctx, const char *folder, const char *name, int64_t *rows, int64_t *columns)
{
    if (!folder_has(folder, name))
        return sparse_rows(ctx, folder, name, rows, columns);
    DLManagedTensor *m = load(ctx, folder, name, "");
    float *out = floats(m, name);
    *rows = m->dl_tensor.ndim > 0 ? m->dl_tensor.shape[0] : 1;
    *columns = m->dl_tensor.ndim > 1 ? m->dl_tensor.shape[1] : 1;
    m->deleter(m);
    return out;
}
