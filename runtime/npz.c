/*
 * .npz: a zip archive of .npy files.
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/context.h"
#include "runtime/convert.h"
#include "runtime/npy.h"
#include "runtime/zip.h"

enum { NAME_MAX_SIZE = 1000 };

/* Length of an entry's name without ".npy"; -1 when it is no array. */
static int64_t array_name(const zip_entry *e)
{
    return e->name_size >= 4 && !memcmp(e->name + e->name_size - 4, ".npy", 4) ? (int64_t)e->name_size - 4 : -1;
}

/* ---- Reading ---- */

static mp_status check_array(mp_context *ctx, const char *path, const zip_entry *e, const void *bytes, npy_header *h)
{
    mp_status st = npy_parse(ctx, path, bytes, (size_t)e->size, h);
    if (!st && e->size - h->header_bytes < h->data_bytes) {
        st = error_set(ctx, MP_INVALID, "%s: '%.*s' is cut short: %llu bytes of data, but its shape needs %zu", path,
                       (int)e->name_size, e->name, (unsigned long long)(e->size - h->header_bytes), h->data_bytes);
    }
    return st;
}

/* A compact copy of the data behind the header, with the strides that Fortran order has. */
static mp_status make_tensor(mp_context *ctx, const npy_header *h, const char *bytes, DLManagedTensor **out)
{
    mp_status st = tensor_new(ctx, h->type, h->rank, h->shape, out);
    if (st)
        return st;
    void *data = (*out)->dl_tensor.data;
    if (!h->fortran || h->rank < 2 || h->count < 2) {
        memcpy(data, bytes + h->header_bytes, h->data_bytes);
        return MP_OK;
    }
    char *aligned = mem_alloc(ctx, h->data_bytes);
    if (!aligned) {
        (*out)->deleter(*out);
        return error_memory(ctx, h->data_bytes, "an array");
    }
    memcpy(aligned, bytes + h->header_bytes, h->data_bytes);
    int64_t strides[TENSOR_MAX_RANK], stride = 1;
    for (int i = 0; i < h->rank; i++) {
        strides[i] = stride;
        stride *= h->shape[i];
    }
    DLTensor columns = (*out)->dl_tensor;
    columns.data = aligned;
    columns.strides = strides;
    convert_in(ctx, &columns, h->type, data);
    mem_free(ctx, aligned, h->data_bytes);
    return MP_OK;
}

static mp_status load_entry(mp_context *ctx, const char *path, const zip_entry *e, DLManagedTensor **out)
{
    /* Deflate packs at most about 1030 to 1: a size beyond that is a lie, and not worth asking for memory. */
    if (e->size > PTRDIFF_MAX / 2 || e->size / 1100 > e->packed + 1)
        return error_set(ctx, MP_INVALID, "%s: '%.*s' says a size that cannot be", path, (int)e->name_size, e->name);
    char *bytes = mem_alloc(ctx, (size_t)e->size);
    if (!bytes)
        return error_memory(ctx, (size_t)e->size, path);
    npy_header h;
    mp_status st = zip_unpack(ctx, path, e, bytes);
    if (!st)
        st = check_array(ctx, path, e, bytes, &h);
    if (!st)
        st = make_tensor(ctx, &h, bytes, out);
    mem_free(ctx, bytes, (size_t)e->size);
    return st;
}

mp_status mp_npz_load(mp_context *ctx, const char *path, const char *name, DLManagedTensor **out)
{
    if (!ctx)
        return MP_USAGE;
    if (!path || !name || !out)
        return error_set(ctx, MP_USAGE, "mp_npz_load: the path, the name and the result must not be NULL");
    file_bytes file;
    mp_status st = file_map(ctx, path, &file);
    if (st)
        return st;
    zip_reader r;
    zip_entry e;
    bool more = false, found = false;
    st = zip_open(ctx, path, &file, &r);
    while (!st && !found && !(st = zip_next(&r, &e, &more)) && more)
        found = array_name(&e) == (int64_t)strlen(name) && !memcmp(e.name, name, strlen(name));
    if (!st)
        st = found ? load_entry(ctx, path, &e, out) : error_set(ctx, MP_INVALID, "%s: holds no array '%s'", path, name);
    file_free(ctx, &file);
    return st;
}

/* The number of arrays; the name of array `which` into `name`, if that is not NULL. */
static mp_status walk(mp_context *ctx, const char *path, int64_t which, char *name, size_t size, int64_t *n)
{
    file_bytes file;
    mp_status st = file_map(ctx, path, &file);
    if (st)
        return st;
    zip_reader r;
    zip_entry e;
    bool more = false;
    int64_t count = 0;
    st = zip_open(ctx, path, &file, &r);
    while (!st && !(st = zip_next(&r, &e, &more)) && more) {
        int64_t length = array_name(&e);
        if (length < 0)
            continue;
        if (name && count == which) {
            if ((uint64_t)length >= size)
                st = error_set(ctx, MP_USAGE, "mp_npz_name: the name has %lld bytes, the buffer %zu", (long long)length + 1, size);
            else
                memcpy(memset(name, 0, (size_t)length + 1), e.name, (size_t)length);
        }
        count++;
    }
    file_free(ctx, &file);
    if (!st && n)
        *n = count;
    return st;
}

mp_status mp_npz_count(mp_context *ctx, const char *path, int64_t *n)
{
    if (!ctx)
        return MP_USAGE;
    if (!path || !n)
        return error_set(ctx, MP_USAGE, "mp_npz_count: the path and the result must not be NULL");
    return walk(ctx, path, 0, NULL, 0, n);
}

mp_status mp_npz_name(mp_context *ctx, const char *path, int64_t i, char *name, size_t size)
{
    if (!ctx)
        return MP_USAGE;
    if (!path || !name || !size)
        return error_set(ctx, MP_USAGE, "mp_npz_name: the path and the buffer must not be NULL");
    name[0] = 0;
    return walk(ctx, path, i, name, size, NULL);
}

/* ---- Writing ---- */

typedef struct archive {
    mp_context *ctx;
    file_out f;
    uint64_t at;
} archive;

static bool emit(archive *a, const void *bytes, size_t n)
{
    a->at += n;
    return file_out_write(&a->f, bytes, n);
}

static mp_status cannot_write(const archive *a)
{
    return error_set(a->ctx, MP_SYSTEM, "%s: cannot be written", a->f.path);
}

static mp_status write_array(archive *a, const char *file_name, const DLTensor *t, zip_written *w)
{
    tensor_type type = TENSOR_F32;
    tensor_type_of(t->dtype, &type);
    tensor_type written = npy_written_type(type);
    char header[NPY_HEADER_MAX];
    size_t head = npy_format(written, t->ndim, t->shape, header), bytes = (size_t)tensor_count(t) * tensor_type_size(written);
    void *copy = mem_alloc(a->ctx, bytes);
    if (!copy)
        return error_memory(a->ctx, bytes, a->f.path);
    convert_in(a->ctx, t, written, copy);
    *w = (zip_written){ .crc = zip_crc(zip_crc(0, header, head), copy, bytes), .size = head + bytes, .offset = a->at };
    unsigned char local[ZIP_HEADER_MAX + NAME_MAX_SIZE];
    size_t n = zip_local_header(file_name, w, local);
    bool good = emit(a, local, n) && emit(a, header, head) && emit(a, copy, bytes);
    mem_free(a->ctx, copy, bytes);
    return good ? MP_OK : cannot_write(a);
}

static mp_status array_file_name(mp_context *ctx, const char *name, char buf[NAME_MAX_SIZE])
{
    int n = name ? snprintf(buf, NAME_MAX_SIZE, "%s.npy", name) : -1;
    return n > 0 && n < NAME_MAX_SIZE ? MP_OK : error_set(ctx, MP_USAGE, "mp_npz_save: a name is NULL or too long");
}

static mp_status write_archive(archive *a, const char *const *names, const DLTensor *tensors, int64_t n, zip_written *w)
{
    char name[NAME_MAX_SIZE];
    unsigned char buf[ZIP_HEADER_MAX + NAME_MAX_SIZE];
    for (int64_t i = 0; i < n; i++) {
        mp_status st = array_file_name(a->ctx, names[i], name);
        if (!st)
            st = tensor_check_host(a->ctx, names[i], &tensors[i]);
        if (!st)
            st = write_array(a, name, &tensors[i], &w[i]);
        if (st)
            return st;
    }
    uint64_t directory = a->at;
    bool good = true;
    for (int64_t i = 0; i < n && good; i++)
        good = !array_file_name(a->ctx, names[i], name) && emit(a, buf, zip_directory_entry(name, &w[i], buf));
    size_t end = zip_end((uint64_t)n, directory, a->at - directory, buf);
    return good && emit(a, buf, end) ? MP_OK : cannot_write(a);
}

mp_status mp_npz_save(mp_context *ctx, const char *path, const char *const *names, const DLTensor *tensors, int64_t n)
{
    if (!ctx)
        return MP_USAGE;
    if (!path || n < 0 || (n && (!names || !tensors)))
        return error_set(ctx, MP_USAGE, "mp_npz_save: the path, the names and the tensors must not be NULL");
    zip_written *w = mem_array(ctx, n, sizeof *w, "an archive");
    if (!w)
        return MP_SYSTEM;
    archive a = { .ctx = ctx };
    mp_status st = file_out_begin(ctx, path, &a.f);
    if (!st) {
        st = write_archive(&a, names, tensors, n, w);
        if (st)
            file_out_end(&a.f, false);      /* keeps the message of what failed */
        else
            st = file_out_end(&a.f, true);
    }
    mem_array_free(ctx, w, n, sizeof *w);
    return st;
}
