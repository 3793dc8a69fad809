/*
 * .npy files. The header is a Python dictionary literal with three keys; it is read by a small scanner that takes what
 * NumPy writes in any order and spacing, and refuses everything else.
 */
#include "runtime/npy.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "runtime/context.h"
#include "runtime/convert.h"
#include "runtime/file.h"

/* ---- Header ---- */

static const struct {
    const char *descr;
    tensor_type type;
} dtypes[] = {
    { "<f8", TENSOR_F64 }, { "<f4", TENSOR_F32 }, { "<f2", TENSOR_F16 }, { "|i1", TENSOR_I8 }, { "<i2", TENSOR_I16 },
    { "<i4", TENSOR_I32 }, { "<i8", TENSOR_I64 }, { "|u1", TENSOR_U8 }, { "<u2", TENSOR_U16 }, { "<u4", TENSOR_U32 },
    { "<u8", TENSOR_U64 }, { "|b1", TENSOR_BOOL },
};

typedef struct scanner {
    const char *p, *end;
} scanner;

static void skip_space(scanner *s)
{
    while (s->p < s->end && isspace((unsigned char)*s->p))
        s->p++;
}

static bool take(scanner *s, char c)
{
    skip_space(s);
    if (s->p == s->end || *s->p != c)
        return false;
    s->p++;
    return true;
}

/* A quoted string without escapes. */
static bool take_string(scanner *s, char *buf, size_t size)
{
    skip_space(s);
    if (s->p == s->end || (*s->p != '\'' && *s->p != '"'))
        return false;
    char quote = *s->p++;
    size_t n = 0;
    while (s->p < s->end && *s->p != quote) {
        if (n + 1 >= size || *s->p == '\\')
            return false;
        buf[n++] = *s->p++;
    }
    if (s->p == s->end)
        return false;
    s->p++;
    buf[n] = 0;
    return true;
}

static bool take_word(scanner *s, const char *word)
{
    skip_space(s);
    size_t n = strlen(word);
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n))
        return false;
    s->p += n;
    return true;
}

static bool take_count(scanner *s, int64_t *out)
{
    skip_space(s);
    if (s->p == s->end || !isdigit((unsigned char)*s->p))
        return false;
    int64_t v = 0;
    while (s->p < s->end && isdigit((unsigned char)*s->p)) {
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *s->p - '0', &v))
            return false;
        s->p++;
    }
    if (s->p < s->end && *s->p == 'L')      /* as Python 2 wrote long integers */
        s->p++;
    *out = v;
    return true;
}

static mp_status broken(mp_context *ctx, const char *path, const char *what)
{
    return error_set(ctx, MP_INVALID, "%s: is no .npy array: %s", path, what);
}

static mp_status take_shape(mp_context *ctx, const char *path, scanner *s, npy_header *h)
{
    if (!take(s, '('))
        return broken(ctx, path, "its shape is no tuple");
    h->rank = 0;
    while (!take(s, ')')) {
        int64_t n;
        if (!take_count(s, &n))
            return broken(ctx, path, "an extent of its shape is no number, or too large");
        if (h->rank == TENSOR_MAX_RANK)
            return error_set(ctx, MP_INVALID, "%s: has more than %d axes", path, TENSOR_MAX_RANK);
        h->shape[h->rank++] = n;
        if (!take(s, ',') && !take(s, ')'))
            return broken(ctx, path, "its shape does not end");
        if (s->p[-1] == ')')
            break;
    }
    return MP_OK;
}

static mp_status take_dtype(mp_context *ctx, const char *path, scanner *s, npy_header *h)
{
    char descr[32];
    if (!take_string(s, descr, sizeof descr))
        return error_set(ctx, MP_INVALID, "%s: has elements of several fields, which are not supported", path);
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        const char *d = dtypes[i].descr;
        bool any_order = d[0] == '|' && (descr[0] == '<' || descr[0] == '>' || descr[0] == '=' || descr[0] == '|');
        if (strcmp(descr, d) == 0 || (any_order && strcmp(descr + 1, d + 1) == 0)) {
            h->type = dtypes[i].type;
            return MP_OK;
        }
    }
    const char *why = descr[0] == '>' ? " (big-endian)" : strchr(descr, 'c') ? " (complex)" : strchr(descr, 'O') ? " (objects)" : "";
    return error_set(ctx, MP_INVALID, "%s: has elements of type '%s'%s, which is not supported", path, descr, why);
}

static mp_status take_dictionary(mp_context *ctx, const char *path, scanner *s, npy_header *h)
{
    bool have_type = false, have_order = false, have_shape = false;
    if (!take(s, '{'))
        return broken(ctx, path, "its header is no dictionary");
    while (!take(s, '}')) {
        char key[32];
        mp_status st = MP_OK;
        if (!take_string(s, key, sizeof key) || !take(s, ':'))
            return broken(ctx, path, "its header is no dictionary");
        if (strcmp(key, "descr") == 0) {
            st = take_dtype(ctx, path, s, h);
            have_type = true;
        } else if (strcmp(key, "fortran_order") == 0) {
            h->fortran = take_word(s, "True");
            if (!h->fortran && !take_word(s, "False"))
                return broken(ctx, path, "'fortran_order' is neither True nor False");
            have_order = true;
        } else if (strcmp(key, "shape") == 0) {
            st = take_shape(ctx, path, s, h);
            have_shape = true;
        } else {
            return broken(ctx, path, "its header has an unknown entry");
        }
        if (st)
            return st;
        if (!take(s, ',')) {
            if (!take(s, '}'))
                return broken(ctx, path, "its header does not end");
            break;
        }
    }
    return have_type && have_order && have_shape ? MP_OK : broken(ctx, path, "its header lacks an entry");
}

static mp_status size_of_data(mp_context *ctx, const char *path, npy_header *h)
{
    bool empty = false;
    for (int i = 0; i < h->rank; i++)
        empty |= h->shape[i] == 0;
    h->count = !empty;
    h->data_bytes = empty ? 0 : tensor_type_size(h->type);
    for (int i = 0; i < h->rank && !empty; i++) {
        if (!mem_size(h->shape[i], h->data_bytes, &h->data_bytes)) {
            char text[TENSOR_TEXT];
            tensor_shape_text(h->shape, h->rank, text, sizeof text);
            return error_set(ctx, MP_INVALID, "%s: the shape %s is too large", path, text);
        }
        h->count *= h->shape[i];
    }
    return MP_OK;
}

mp_status npy_parse(mp_context *ctx, const char *path, const void *bytes, size_t n, npy_header *out)
{
    const unsigned char *b = bytes;
    if (n < 10 || memcmp(b, "\x93NUMPY", 6))
        return broken(ctx, path, n == 0 ? "it is empty" : "it does not begin as one");
    if (b[6] < 1 || b[6] > 3)
        return error_set(ctx, MP_INVALID, "%s: is of .npy version %d.%d, but 1 to 3 are known", path, b[6], b[7]);
    size_t prefix = b[6] == 1 ? 10 : 12;
    if (n < prefix)
        return broken(ctx, path, "its header is cut off");
    size_t length = b[8] | (size_t)b[9] << 8;
    if (prefix == 12)
        length |= (size_t)b[10] << 16 | (size_t)b[11] << 24;
    if (length > n - prefix)
        return broken(ctx, path, "its header is cut off");
    npy_header h = { .header_bytes = prefix + length };
    scanner s = { (const char *)b + prefix, (const char *)b + prefix + length };
    mp_status st = take_dictionary(ctx, path, &s, &h);
    if (!st)
        st = size_of_data(ctx, path, &h);
    if (!st)
        *out = h;
    return st;
}

tensor_type npy_written_type(tensor_type type)
{
    return type == TENSOR_BF16 ? TENSOR_F32 : type;
}

size_t npy_format(tensor_type type, int rank, const int64_t *shape, char buf[NPY_HEADER_MAX])
{
    const char *descr = "";
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        descr = dtypes[i].type == type ? dtypes[i].descr : descr;
    int n = snprintf(buf + 10, NPY_HEADER_MAX - 10, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
    for (int i = 0; i < rank; i++)
        n += snprintf(buf + 10 + n, NPY_HEADER_MAX - 10 - (size_t)n, "%lld%s", (long long)shape[i],
                      i + 1 < rank ? ", " : rank == 1 ? "," : "");
    n += snprintf(buf + 10 + n, NPY_HEADER_MAX - 10 - (size_t)n, "), }");
    size_t total = ((size_t)n + 10 + 1 + 63) / 64 * 64;
    memset(buf + 10 + n, ' ', total - 10 - (size_t)n - 1);
    buf[total - 1] = '\n';
    memcpy(buf, "\x93NUMPY\x01\x00", 8);
    buf[8] = (char)((total - 10) & 0xff);
    buf[9] = (char)((total - 10) >> 8);
    return total;
}

/* ---- Reading ---- */

/* A mapped file behind a tensor. */
typedef struct backing {
    mp_context *ctx;
    file_bytes file;
} backing;

static void backing_release(void *ud)
{
    backing *b = ud;
    mp_context *ctx = b->ctx;
    file_free(ctx, &b->file);
    mem_free(ctx, b, sizeof *b);
}

/* Data that lies in the file at an address fit for its type stays there. */
static mp_status wrap_file(mp_context *ctx, const npy_header *h, file_bytes *file, DLManagedTensor **out)
{
    int64_t strides[TENSOR_MAX_RANK], stride = 1;
    for (int i = 0; i < h->rank; i++) {
        strides[i] = stride;
        stride *= h->shape[i];
    }
    backing *b = mem_alloc(ctx, sizeof *b);
    if (!b)
        return error_memory(ctx, sizeof *b, "a tensor");
    *b = (backing){ ctx, *file };
    bool columns = h->fortran && h->rank > 1 && h->count > 1;
    mp_status st = tensor_wrap(ctx, h->type, h->rank, h->shape, columns ? strides : NULL, file->data + h->header_bytes,
                               backing_release, b, out);
    if (st)
        mem_free(ctx, b, sizeof *b);
    else
        *file = (file_bytes){ 0 };
    return st;
}

mp_status npy_load(mp_context *ctx, const char *path, DLManagedTensor **out)
{
    file_bytes file;
    npy_header h;
    mp_status st = file_map(ctx, path, &file);
    if (st)
        return st;
    st = npy_parse(ctx, path, file.data, file.size, &h);
    if (!st && file.size - h.header_bytes < h.data_bytes) {
        st = error_set(ctx, MP_INVALID, "%s: is cut short: %zu bytes of data, but its shape needs %zu", path,
                       file.size - h.header_bytes, h.data_bytes);
    }
    if (!st && (uintptr_t)(file.data + h.header_bytes) % tensor_type_size(h.type)) {
        /* A header of odd length (other writers): make room in front so that the data is aligned. */
        size_t n = h.data_bytes;
        char *p = mem_alloc(ctx, n + 1);
        if (p) {
            memcpy(p, file.data + h.header_bytes, n);
            file_free(ctx, &file);
            file = (file_bytes){ .data = p, .size = n, .allocated = n + 1 };
            h.header_bytes = 0;
        } else {
            st = error_memory(ctx, n + 1, path);
        }
    }
    if (!st)
        st = wrap_file(ctx, &h, &file, out);
    file_free(ctx, &file);
    return st;
}

mp_status mp_npy_load(mp_context *ctx, const char *path, DLManagedTensor **out)
{
    if (!ctx)
        return MP_USAGE;
    if (!path || !out)
        return error_set(ctx, MP_USAGE, "mp_npy_load: the path and the result must not be NULL");
    return npy_load(ctx, path, out);
}

/* ---- Writing ---- */

static bool write_data(mp_context *ctx, file_out *f, const DLTensor *t, tensor_type type, tensor_type written, bool *memory)
{
    int64_t n = tensor_count(t);
    size_t bytes = (size_t)n * tensor_type_size(written);
    if (!n)
        return true;
    if (type == written && tensor_is_compact(t))
        return file_out_write(f, tensor_data(t), bytes);
    void *copy = mem_alloc(ctx, bytes);
    if (!copy) {
        *memory = false;
        return false;
    }
    convert_in(ctx, t, written, copy);
    bool good = file_out_write(f, copy, bytes);
    mem_free(ctx, copy, bytes);
    return good;
}

mp_status npy_save(mp_context *ctx, const char *path, const DLTensor *t)
{
    mp_status st = tensor_check_host(ctx, path, t);
    if (st)
        return st;
    tensor_type type = TENSOR_F32;
    tensor_type_of(t->dtype, &type);
    tensor_type written = npy_written_type(type);
    file_out f;
    st = file_out_begin(ctx, path, &f);
    if (st)
        return st;
    char header[NPY_HEADER_MAX];
    size_t n = npy_format(written, t->ndim, t->shape, header);
    bool memory = true;
    bool good = file_out_write(&f, header, n) && write_data(ctx, &f, t, type, written, &memory);
    st = file_out_end(&f, good);
    if (!st && !good)
        st = memory ? error_set(ctx, MP_SYSTEM, "%s: cannot be written", path) : error_memory(ctx, 0, path);
    return st;
}

mp_status mp_npy_save(mp_context *ctx, const char *path, const DLTensor *t)
{
    if (!ctx)
        return MP_USAGE;
    if (!path)
        return error_set(ctx, MP_USAGE, "mp_npy_save: the path must not be NULL");
    return npy_save(ctx, path, t);
}
