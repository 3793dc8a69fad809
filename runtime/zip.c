/*
 * Reading: the end record is found from the back, the directory is walked, and each entry's local header is followed to
 * its data. Writing: stored entries, with the 64-bit extra field always there, as NumPy writes them.
 */
#include "runtime/zip.h"

#include <string.h>
#include "runtime/context.h"
#ifdef MP_HAVE_ZLIB
#include <zlib.h>
#endif

enum {
    LOCAL = 0x04034b50, CENTRAL = 0x02014b50, END = 0x06054b50, END64 = 0x06064b50, LOCATOR64 = 0x07064b50,
    LOCAL_SIZE = 30, CENTRAL_SIZE = 46, END_SIZE = 22, END64_SIZE = 56, LOCATOR64_SIZE = 20, EXTRA64 = 1
};

static uint64_t get(const unsigned char *p, int bytes)
{
    uint64_t v = 0;
    for (int i = bytes - 1; i >= 0; i--)
        v = v << 8 | p[i];
    return v;
}

static unsigned char *put(unsigned char *p, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        p[i] = (unsigned char)(v >> 8 * i);
    return p + bytes;
}

/* CRC-32 by half bytes. */
uint32_t zip_crc(uint32_t before, const void *bytes, size_t n)
{
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    const unsigned char *p = bytes;
    uint32_t c = ~before;
    for (size_t i = 0; i < n; i++) {
        c ^= p[i];
        c = c >> 4 ^ table[c & 15];
        c = c >> 4 ^ table[c & 15];
    }
    return ~c;
}

static mp_status broken(mp_context *ctx, const char *path, const char *what)
{
    return error_set(ctx, MP_INVALID, "%s: is no .npz archive: %s", path, what);
}

/* ---- Reading ---- */

/* The last end record; a comment of up to 64 KiB may follow it. */
static bool find_end(const unsigned char *b, size_t n, size_t *at)
{
    if (n < END_SIZE)
        return false;
    size_t lowest = n - END_SIZE > 0xffff ? n - END_SIZE - 0xffff : 0;
    for (size_t i = n - END_SIZE + 1; i-- > lowest;) {
        if (get(b + i, 4) == END && get(b + i + 20, 2) <= n - i - END_SIZE) {
            *at = i;
            return true;
        }
    }
    return false;
}

mp_status zip_open(mp_context *ctx, const char *path, const file_bytes *file, zip_reader *out)
{
    const unsigned char *b = (const unsigned char *)file->data;
    size_t n = file->size, at;
    if (!find_end(b, n, &at))
        return broken(ctx, path, n ? "it has no directory" : "it is empty");
    uint64_t entries = get(b + at + 10, 2), size = get(b + at + 12, 4), start = get(b + at + 16, 4);
    if (at >= LOCATOR64_SIZE && get(b + at - LOCATOR64_SIZE, 4) == LOCATOR64) {
        uint64_t end64 = get(b + at - LOCATOR64_SIZE + 8, 8);
        if (end64 > n || n - end64 < END64_SIZE || get(b + end64, 4) != END64)
            return broken(ctx, path, "its directory is not where it says");
        entries = get(b + end64 + 32, 8);
        size = get(b + end64 + 40, 8);
        start = get(b + end64 + 48, 8);
    }
    if (start > n || size > n - start)
        return broken(ctx, path, "its directory is not where it says");
    *out = (zip_reader){ ctx, path, b, n, (size_t)start, (size_t)(start + size), entries };
    return MP_OK;
}

/* Sizes and offset that do not fit into 32 bits stand in an extra field, in this order. */
static bool widen(const unsigned char *extra, size_t n, uint64_t *size, uint64_t *packed, uint64_t *offset)
{
    uint64_t *fields[3] = { size, packed, offset };
    for (size_t at = 0; n - at >= 4;) {
        size_t length = (size_t)get(extra + at + 2, 2), used = 0;
        if (length > n - at - 4)
            return false;
        if (get(extra + at, 2) == EXTRA64) {
            for (int i = 0; i < 3; i++) {
                if (*fields[i] != 0xffffffffu)
                    continue;
                if (length - used < 8)
                    return false;
                *fields[i] = get(extra + at + 4 + used, 8);
                used += 8;
            }
            return true;
        }
        at += 4 + length;
    }
    return *size != 0xffffffffu && *packed != 0xffffffffu && *offset != 0xffffffffu;
}

static mp_status find_data(zip_reader *r, uint64_t offset, zip_entry *e)
{
    if (offset > r->n || r->n - offset < LOCAL_SIZE || get(r->bytes + offset, 4) != LOCAL)
        return broken(r->ctx, r->path, "an entry is not where its directory says");
    uint64_t data = offset + LOCAL_SIZE + get(r->bytes + offset + 26, 2) + get(r->bytes + offset + 28, 2);
    if (data > r->n || e->packed > r->n - data)
        return broken(r->ctx, r->path, "an entry is cut short");
    e->data = r->bytes + data;
    return MP_OK;
}

mp_status zip_next(zip_reader *r, zip_entry *e, bool *more)
{
    *more = r->left > 0;
    if (!r->left)
        return MP_OK;
    const unsigned char *b = r->bytes + r->at;
    if (r->end - r->at < CENTRAL_SIZE || get(b, 4) != CENTRAL)
        return broken(r->ctx, r->path, "its directory is cut short");
    size_t name = (size_t)get(b + 28, 2), extra = (size_t)get(b + 30, 2), comment = (size_t)get(b + 32, 2);
    if (r->end - r->at - CENTRAL_SIZE < name + extra + comment)
        return broken(r->ctx, r->path, "its directory is cut short");
    uint64_t offset = get(b + 42, 4);
    *e = (zip_entry){ .name = (const char *)b + CENTRAL_SIZE, .name_size = name, .method = (int)get(b + 10, 2),
                      .crc = (uint32_t)get(b + 16, 4), .packed = get(b + 20, 4), .size = get(b + 24, 4) };
    if (get(b + 8, 2) & 1)
        return error_set(r->ctx, MP_INVALID, "%s: is encrypted, which is not supported", r->path);
    if (!widen(b + CENTRAL_SIZE + name, extra, &e->size, &e->packed, &offset))
        return broken(r->ctx, r->path, "its directory lacks a size");
    r->at += CENTRAL_SIZE + name + extra + comment;
    r->left--;
    return find_data(r, offset, e);
}

#ifdef MP_HAVE_ZLIB
static mp_status inflate_entry(mp_context *ctx, const char *path, const zip_entry *e, unsigned char *out)
{
    z_stream z = { 0 };
    if (inflateInit2(&z, -MAX_WBITS) != Z_OK)
        return error_memory(ctx, 0, path);
    uint64_t in_left = e->packed, out_left = e->size;
    const uint64_t step = 1u << 30;         /* zlib counts in unsigned ints */
    unsigned char spare;
    int code = Z_OK;
    z.next_in = (unsigned char *)(uintptr_t)e->data;
    z.next_out = out;
    while (code == Z_OK) {
        if (!z.avail_in && in_left) {
            z.avail_in = (unsigned)(in_left < step ? in_left : step);
            in_left -= z.avail_in;
        }
        if (!z.avail_out && out_left) {
            z.avail_out = (unsigned)(out_left < step ? out_left : step);
            out_left -= z.avail_out;
        } else if (!z.avail_out) {          /* all is there: what follows may only be the end mark */
            z.next_out = &spare;
            z.avail_out = 1;
        }
        code = inflate(&z, Z_NO_FLUSH);
        if (z.next_out == &spare + 1)
            code = Z_DATA_ERROR;
    }
    bool whole = code == Z_STREAM_END && z.total_out == e->size;
    inflateEnd(&z);
    return whole ? MP_OK : broken(ctx, path, "an entry cannot be unpacked");
}
#else
static mp_status inflate_entry(mp_context *ctx, const char *path, const zip_entry *e, unsigned char *out)
{
    (void)e;
    (void)out;
    return error_set(ctx, MP_UNSUPPORTED, "%s: is compressed, and this build has no zlib to unpack it", path);
}
#endif

mp_status zip_unpack(mp_context *ctx, const char *path, const zip_entry *e, void *out)
{
    mp_status st = MP_OK;
    if (e->method == 8)
        st = inflate_entry(ctx, path, e, out);
    else if (e->method != 0)
        st = error_set(ctx, MP_INVALID, "%s: is compressed by method %d, which is not supported", path, e->method);
    else if (e->packed != e->size)
        st = broken(ctx, path, "an entry has two different sizes");
    else
        memcpy(out, e->data, e->size);
    if (!st && zip_crc(0, out, e->size) != e->crc)
        st = error_set(ctx, MP_INVALID, "%s: the checksum of '%.*s' is wrong", path, (int)e->name_size, e->name);
    return st;
}

/* ---- Writing ---- */

enum { VERSION = 45, DOS_DATE = 0x21 /* 1 January 1980: the same bytes whenever it is written */ };

size_t zip_local_header(const char *name, const zip_written *w, unsigned char *buf)
{
    size_t n = strlen(name);
    unsigned char *p = put(buf, LOCAL, 4);
    p = put(put(put(p, VERSION, 2), 0, 2), 0, 2);                           /* version, flags, stored */
    p = put(put(put(p, 0, 2), DOS_DATE, 2), w->crc, 4);
    p = put(put(p, 0xffffffffu, 4), 0xffffffffu, 4);
    p = put(put(p, n, 2), 20, 2);
    memcpy(p, name, n);
    p = put(put(p + n, EXTRA64, 2), 16, 2);
    p = put(put(p, w->size, 8), w->size, 8);
    return (size_t)(p - buf);
}

size_t zip_directory_entry(const char *name, const zip_written *w, unsigned char *buf)
{
    size_t n = strlen(name);
    unsigned char *p = put(buf, CENTRAL, 4);
    p = put(put(put(put(p, VERSION, 2), VERSION, 2), 0, 2), 0, 2);
    p = put(put(put(p, 0, 2), DOS_DATE, 2), w->crc, 4);
    p = put(put(p, 0xffffffffu, 4), 0xffffffffu, 4);
    p = put(put(put(p, n, 2), 28, 2), 0, 2);
    p = put(put(put(put(p, 0, 2), 0, 2), 0, 4), 0xffffffffu, 4);            /* disk, attributes, offset */
    memcpy(p, name, n);
    p = put(put(p + n, EXTRA64, 2), 24, 2);
    p = put(put(put(p, w->size, 8), w->size, 8), w->offset, 8);
    return (size_t)(p - buf);
}

size_t zip_end(uint64_t n_entries, uint64_t at, uint64_t size, unsigned char *buf)
{
    unsigned char *p = put(put(buf, END64, 4), END64_SIZE - 12, 8);
    p = put(put(put(put(p, VERSION, 2), VERSION, 2), 0, 4), 0, 4);
    p = put(put(put(put(p, n_entries, 8), n_entries, 8), size, 8), at, 8);
    p = put(put(put(put(p, LOCATOR64, 4), 0, 4), at + size, 8), 1, 4);
    uint64_t few = n_entries < 0xffff ? n_entries : 0xffff;
    p = put(put(put(p, END, 4), 0, 2), 0, 2);
    p = put(put(put(p, few, 2), few, 2), size < 0xffffffffu ? size : 0xffffffffu, 4);
    p = put(put(p, at < 0xffffffffu ? at : 0xffffffffu, 4), 0, 2);
    return (size_t)(p - buf);
}
