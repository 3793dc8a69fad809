/*
 * safetensors: a length, a JSON table of names, types, shapes and places, then the bytes of all arrays without gaps.
 * The table is read strictly: what it says of places and sizes must fit the file before anything is taken from it.
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/context.h"
#include "runtime/convert.h"
#include "runtime/file.h"
#include "runtime/tensor.h"

enum { HEAD = 8, MOST_TABLE = 100000000, NAME_ROOM = 1024 };

static const struct { const char *name; tensor_type type; } types[] = {
    { "F64", TENSOR_F64 }, { "F32", TENSOR_F32 }, { "F16", TENSOR_F16 }, { "BF16", TENSOR_BF16 }, { "I64", TENSOR_I64 },
    { "I32", TENSOR_I32 }, { "I16", TENSOR_I16 }, { "I8", TENSOR_I8 }, { "U64", TENSOR_U64 }, { "U32", TENSOR_U32 },
    { "U16", TENSOR_U16 }, { "U8", TENSOR_U8 }, { "BOOL", TENSOR_BOOL },
};
enum { TYPES = sizeof types / sizeof types[0] };

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

typedef struct entry {
    char name[NAME_ROOM];
    bool known;                     /* a type that has a name here */
    tensor_type type;
    int rank;
    int64_t shape[TENSOR_MAX_RANK];
    uint64_t begin, end;            /* in the bytes after the table */
} entry;

typedef struct reader {
    mp_context *ctx;
    const char *path, *at, *end;
    const char *data;               /* the bytes after the table */
    uint64_t data_bytes;
    bool started;                   /* the first entry was read */
} reader;

static mp_status broken(const reader *r, const char *what)
{
    return error_set(r->ctx, MP_INVALID, "%s: its table cannot be read: %s", r->path, what);
}

static void skip_space(reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t'))
        r->at++;
}

static bool take(reader *r, char c)
{
    skip_space(r);
    if (r->at == r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

static bool hex4(reader *r, uint32_t *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++, r->at++) {
        if (r->at == r->end)
            return false;
        char c = *r->at;
        uint32_t digit = c >= '0' && c <= '9' ? (uint32_t)(c - '0') : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                       : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10) : 16;
        if (digit == 16)
            return false;
        *out = *out * 16 + digit;
    }
    return true;
}

static size_t utf8(uint32_t u, char *out)
{
    if (u < 0x80) {
        out[0] = (char)u;
        return 1;
    }
    size_t n = u < 0x800 ? 2 : u < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, u >>= 6)
        out[i] = (char)(0x80 | (u & 0x3f));
    out[0] = (char)((0xf00u >> n & 0xff) | u);
    return n;
}

/* The character behind a backslash, as UTF-8; 0 when there is none such. */
static size_t escaped(reader *r, char out[4])
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = r->at < r->end ? *r->at++ : 0;
    const char *plain = c ? strchr(from, c) : NULL;
    if (plain) {
        out[0] = to[plain - from];
        return 1;
    }
    uint32_t u, low;
    if (c != 'u' || !hex4(r, &u) || u == 0)
        return 0;
    if (u >= 0xd800 && u < 0xdc00) {
        if (r->end - r->at < 2 || r->at[0] != '\\' || r->at[1] != 'u')
            return 0;
        r->at += 2;
        if (!hex4(r, &low) || low < 0xdc00 || low > 0xdfff)
            return 0;
        u = 0x10000 + ((u - 0xd800) << 10) + (low - 0xdc00);
    }
    return utf8(u, out);
}

/* A string into buf; what does not fit is cut (no name asked for is that long). */
static bool take_string(reader *r, char *buf, size_t size)
{
    size_t n = 0;
    if (!take(r, '"'))
        return false;
    while (r->at < r->end && *r->at != '"') {
        char c[4];
        size_t k = 1;
        c[0] = *r->at++;
        if (c[0] == '\\' && !(k = escaped(r, c)))
            return false;
        if ((unsigned char)c[0] < 0x20 && k == 1 && r->at[-1] == c[0])
            return false;
        if (n + k < size)
            memcpy(buf + n, c, k);
        n += k;
    }
    buf[n < size ? n : size - 1] = 0;
    return r->at < r->end && *r->at++ == '"';
}

static bool take_number(reader *r, uint64_t *out)
{
    skip_space(r);
    const char *first = r->at;
    *out = 0;
    while (r->at < r->end && *r->at >= '0' && *r->at <= '9') {
        if (*out > (UINT64_MAX >> 1) / 10 - 1)
            return false;
        *out = *out * 10 + (uint64_t)(*r->at++ - '0');
    }
    return r->at > first;
}

static mp_status take_shape(reader *r, entry *e)
{
    if (!take(r, '['))
        return broken(r, "a shape is not a list");
    for (e->rank = 0; !take(r, ']'); e->rank++) {
        uint64_t n;
        if ((e->rank && !take(r, ',')) || !take_number(r, &n))
            return broken(r, "a shape is not a list of sizes");
        if (e->rank == TENSOR_MAX_RANK)
            return broken(r, "an array has more axes than can be");
        e->shape[e->rank] = (int64_t)n;
    }
    return MP_OK;
}

static mp_status take_fields(reader *r, entry *e)
{
    int seen = 0;
    char key[32], type[32];
    if (!take(r, '{'))
        return broken(r, "an entry is not an object");
    do {
        mp_status st = MP_OK;
        if (!take_string(r, key, sizeof key) || !take(r, ':'))
            return broken(r, "an entry has no key where one should be");
        if (!strcmp(key, "dtype")) {
            if (!take_string(r, type, sizeof type))
                return broken(r, "a type is not a string");
            for (int i = 0; i < TYPES; i++) {
                if (!strcmp(types[i].name, type)) {
                    e->type = types[i].type;
                    e->known = true;
                }
            }
            seen |= 1;
        } else if (!strcmp(key, "shape")) {
            st = take_shape(r, e);
            seen |= 2;
        } else if (!strcmp(key, "data_offsets")) {
            if (!take(r, '[') || !take_number(r, &e->begin) || !take(r, ',') || !take_number(r, &e->end) || !take(r, ']'))
                return broken(r, "a place is not two numbers");
            seen |= 4;
        } else {
            return broken(r, "an entry has a key that is none of dtype, shape and data_offsets");
        }
        if (st)
            return st;
    } while (take(r, ','));
    return !take(r, '}') ? broken(r, "an entry does not end") : seen == 7 ? MP_OK : broken(r, "an entry lacks a key");
}

/* Does the place hold what type and shape say? */
static mp_status check_place(const reader *r, const entry *e)
{
    size_t bytes = e->known ? tensor_type_size(e->type) : 0;
    bool fits = true, empty = false;
    for (int i = 0; i < e->rank; i++)
        empty |= e->shape[i] == 0;
    for (int i = 0; i < e->rank && !empty; i++)
        fits = fits && mem_size(e->shape[i], bytes, &bytes);
    bytes = empty ? 0 : bytes;
    if (e->begin > e->end || e->end > r->data_bytes || (e->known && (!fits || e->end - e->begin != bytes)))
        return error_set(r->ctx, MP_INVALID, "%s: '%s': its place does not fit its shape or the file", r->path, e->name);
    return MP_OK;
}

static mp_status skip_metadata(reader *r)
{
    char text[8];
    if (!take(r, '{'))
        return broken(r, "the metadata is not an object");
    if (take(r, '}'))
        return MP_OK;
    do {
        if (!take_string(r, text, sizeof text) || !take(r, ':') || !take_string(r, text, sizeof text))
            return broken(r, "the metadata is not made of strings");
    } while (take(r, ','));
    return take(r, '}') ? MP_OK : broken(r, "the metadata does not end");
}

/* The next array's entry; *more is false at the end of the table. */
static mp_status next_entry(reader *r, entry *e, bool *more)
{
    for (;;) {
        *more = false;
        if (!r->started && !take(r, '{'))
            return broken(r, "it is not an object");
        bool first = !r->started;
        r->started = true;
        if (take(r, '}')) {
            skip_space(r);
            return r->at == r->end ? MP_OK : broken(r, "something follows it");
        }
        memset(e, 0, sizeof *e);
        if ((!first && !take(r, ',')) || !take_string(r, e->name, sizeof e->name) || !take(r, ':'))
            return broken(r, "a name is missing");
        if (strcmp(e->name, "__metadata__") != 0) {
            mp_status st = take_fields(r, e);
            *more = true;
            return st ? st : check_place(r, e);
        }
        mp_status st = skip_metadata(r);
        if (st)
            return st;
    }
}

static mp_status reader_open(mp_context *ctx, const char *path, const file_bytes *file, reader *r)
{
    uint64_t n = 0;
    for (int i = 0; i < HEAD && file->size >= HEAD; i++)
        n |= (uint64_t)(unsigned char)file->data[i] << 8 * i;
    if (file->size < HEAD || n > MOST_TABLE || n > file->size - HEAD)
        return error_set(ctx, MP_INVALID, "%s: is no safetensors file", path);
    *r = (reader){ .ctx = ctx, .path = path, .at = file->data + HEAD, .end = file->data + HEAD + n,
                   .data = file->data + HEAD + n, .data_bytes = file->size - HEAD - n };
    return MP_OK;
}

/* Finds entry `which`, or the one of that name when `name` is not NULL; counts on the way. */
static mp_status find(reader *r, const char *name, int64_t which, entry *e, int64_t *n, bool *found)
{
    bool more = true;
    *found = false;
    *n = 0;
    for (;;) {
        mp_status st = next_entry(r, e, &more);
        if (st || !more)
            return st;
        if (name ? !strcmp(e->name, name) : *n == which) {
            *found = true;
            return MP_OK;
        }
        ++*n;
    }
}

static mp_status load_entry(const reader *r, const entry *e, DLManagedTensor **out)
{
    if (!e->known)
        return error_set(r->ctx, MP_UNSUPPORTED, "%s: '%s' is of a type that is not read here", r->path, e->name);
    mp_status st = tensor_new(r->ctx, e->type, e->rank, e->shape, out);
    if (!st && e->end > e->begin)
        memcpy((*out)->dl_tensor.data, r->data + e->begin, (size_t)(e->end - e->begin));
    return st;
}

mp_status mp_safetensors_load(mp_context *ctx, const char *path, const char *name, DLManagedTensor **out)
{
    if (!ctx)
        return MP_USAGE;
    if (!path || !name || !out)
        return error_set(ctx, MP_USAGE, "mp_safetensors_load: the path, the name and the result must not be NULL");
    file_bytes file;
    mp_status st = file_map(ctx, path, &file);
    if (st)
        return st;
    reader r;
    entry e;
    int64_t n;
    bool found = false;
    st = reader_open(ctx, path, &file, &r);
    if (!st)
        st = find(&r, name, 0, &e, &n, &found);
    if (!st)
        st = found ? load_entry(&r, &e, out) : error_set(ctx, MP_INVALID, "%s: holds no array '%s'", path, name);
    file_free(ctx, &file);
    return st;
}

mp_status mp_safetensors_count(mp_context *ctx, const char *path, int64_t *n)
{
    if (!ctx)
        return MP_USAGE;
    if (!path || !n)
        return error_set(ctx, MP_USAGE, "mp_safetensors_count: the path and the result must not be NULL");
    file_bytes file;
    mp_status st = file_map(ctx, path, &file);
    if (st)
        return st;
    reader r;
    entry e;
    bool found;
    int64_t count = 0;
    st = reader_open(ctx, path, &file, &r);
    if (!st)
        st = find(&r, NULL, -1, &e, &count, &found);
    file_free(ctx, &file);
    if (!st)
        *n = count;
    return st;
}

mp_status mp_safetensors_name(mp_context *ctx, const char *path, int64_t i, char *name, size_t size)
{
    if (!ctx)
        return MP_USAGE;
    if (!path || !name || !size)
        return error_set(ctx, MP_USAGE, "mp_safetensors_name: the path and the buffer must not be NULL");
    name[0] = 0;
    file_bytes file;
    mp_status st = file_map(ctx, path, &file);
    if (st)
        return st;
    reader r;
    entry e;
    bool found = false;
    int64_t n;
    st = reader_open(ctx, path, &file, &r);
    if (!st && i >= 0)
        st = find(&r, NULL, i, &e, &n, &found);
    if (!st && found && strlen(e.name) >= size)
        st = error_set(ctx, MP_USAGE, "mp_safetensors_name: the name has %zu bytes, the buffer %zu", strlen(e.name) + 1, size);
    else if (!st && found)
        strcpy(name, e.name);
    file_free(ctx, &file);
    return st;
}

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

typedef struct writer {
    mp_context *ctx;
    file_out f;
    char *table;                    /* NULL while its length is measured */
    size_t n;
} writer;

static void put(writer *w, const char *text)
{
    size_t n = strlen(text);
    if (w->table)
        memcpy(w->table + w->n, text, n);
    w->n += n;
}

static void put_string(writer *w, const char *s)
{
    put(w, "\"");
    for (; *s; s++) {
        char c[8] = { *s };
        if (*s == '"' || *s == '\\')
            snprintf(c, sizeof c, "\\%c", *s);
        else if ((unsigned char)*s < 0x20)
            snprintf(c, sizeof c, "\\u%04x", (unsigned)*s);
        put(w, c);
    }
    put(w, "\"");
}

static int type_row(const DLTensor *t)
{
    tensor_type type = TENSOR_F32;
    tensor_type_of(t->dtype, &type);
    int i = 0;
    while (i < TYPES - 1 && types[i].type != type)
        i++;
    return i;
}

/* Wide elements first, so that all lie aligned without gaps: the number of the k-th array in the file. */
static void file_order(const DLTensor *tensors, int64_t n, int64_t *order)
{
    int64_t k = 0;
    for (size_t size = 8; size; size /= 2) {
        for (int64_t i = 0; i < n; i++) {
            if (tensor_type_size(types[type_row(&tensors[i])].type) == size)
                order[k++] = i;
        }
    }
}

static void put_table(writer *w, const char *const *names, const DLTensor *tensors, const int64_t *order, int64_t n)
{
    char text[64];
    uint64_t place = 0;
    w->n = 0;
    put(w, "{");
    for (int64_t k = 0; k < n; k++) {
        const DLTensor *t = &tensors[order[k]];
        put(w, k ? "," : "");
        put_string(w, names[order[k]]);
        put(w, ":{\"dtype\":\"");
        put(w, types[type_row(t)].name);
        put(w, "\",\"shape\":[");
        for (int i = 0; i < t->ndim; i++) {
            snprintf(text, sizeof text, "%s%lld", i ? "," : "", (long long)t->shape[i]);
            put(w, text);
        }
        uint64_t bytes = (uint64_t)tensor_count(t) * tensor_type_size(types[type_row(t)].type);
        snprintf(text, sizeof text, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)place,
                 (unsigned long long)(place + bytes));
        put(w, text);
        place += bytes;
    }
    put(w, "}");
    while (w->n % HEAD)
        put(w, " ");
}

static bool write_table(writer *w)
{
    unsigned char head[HEAD];
    for (int i = 0; i < HEAD; i++)
        head[i] = (unsigned char)((uint64_t)w->n >> 8 * i);
    return file_out_write(&w->f, head, HEAD) && file_out_write(&w->f, w->table, w->n);
}

static mp_status write_array(writer *w, const DLTensor *t)
{
    tensor_type type = types[type_row(t)].type;
    size_t bytes = (size_t)tensor_count(t) * tensor_type_size(type);
    void *copy = mem_alloc(w->ctx, bytes);
    if (!copy)
        return error_memory(w->ctx, bytes, w->f.path);
    convert_in(w->ctx, t, type, copy);
    bool good = file_out_write(&w->f, copy, bytes);
    mem_free(w->ctx, copy, bytes);
    return good ? MP_OK : error_set(w->ctx, MP_SYSTEM, "%s: cannot be written", w->f.path);
}

static mp_status write_file(writer *w, const char *path, const char *const *names, const DLTensor *tensors,
                            const int64_t *order, int64_t n)
{
    put_table(w, names, tensors, order, n);
    size_t room = w->n;
    w->table = mem_alloc(w->ctx, room);
    if (!w->table)
        return error_memory(w->ctx, room, path);
    put_table(w, names, tensors, order, n);
    mp_status st = file_out_begin(w->ctx, path, &w->f);
    if (!st) {
        if (!write_table(w))
            st = error_set(w->ctx, MP_SYSTEM, "%s: cannot be written", path);
        for (int64_t k = 0; k < n && !st; k++)
            st = write_array(w, &tensors[order[k]]);
        if (st)
            file_out_end(&w->f, false);         /* keeps the message of what failed */
        else
            st = file_out_end(&w->f, true);
    }
    mem_free(w->ctx, w->table, room);
    return st;
}

mp_status mp_safetensors_save(mp_context *ctx, const char *path, const char *const *names, const DLTensor *tensors, int64_t n)
{
    if (!ctx)
        return MP_USAGE;
    if (!path || n < 0 || (n && (!names || !tensors)))
        return error_set(ctx, MP_USAGE, "mp_safetensors_save: the path, the names and the tensors must not be NULL");
    for (int64_t i = 0; i < n; i++) {
        if (!names[i] || strlen(names[i]) >= NAME_ROOM)
            return error_set(ctx, MP_USAGE, "mp_safetensors_save: a name is NULL or too long");
        mp_status st = tensor_check_host(ctx, names[i], &tensors[i]);
        if (st)
            return st;
    }
    int64_t *order = mem_array(ctx, n, sizeof *order, "an order of arrays");
    if (!order)
        return MP_SYSTEM;
    file_order(tensors, n, order);
    mp_status st = write_file(&(writer){ .ctx = ctx }, path, names, tensors, order, n);
    mem_array_free(ctx, order, n, sizeof *order);
    return st;
}
