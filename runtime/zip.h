/*
 * Just enough of the zip format for .npz: entries stored or deflated, with 64-bit sizes; no encryption, no archives of
 * several parts. Everything that an archive says about itself is checked against its size.
 */
#ifndef RUNTIME_ZIP_H
#define RUNTIME_ZIP_H

#include "runtime/file.h"

typedef struct zip_entry {
    const char *name;           /* in the archive's bytes, not ended by a NUL */
    size_t name_size;
    int method;                 /* 0 stored, 8 deflated */
    uint32_t crc;
    uint64_t packed, size;      /* bytes in the archive, bytes of the contents */
    const unsigned char *data;  /* [packed] */
} zip_entry;

/* A walk over the directory of a mapped archive. */
typedef struct zip_reader {
    mp_context *ctx;
    const char *path;
    const unsigned char *bytes;
    size_t n;
    size_t at, end;             /* of the rest of the directory */
    uint64_t left;              /* entries not yet read */
} zip_reader;

mp_status zip_open(mp_context *ctx, const char *path, const file_bytes *file, zip_reader *out);
/* The next entry; *more is false at the end. */
mp_status zip_next(zip_reader *r, zip_entry *out, bool *more);
/* The contents into `out`, which has e->size bytes; its checksum is checked. MP_UNSUPPORTED for a deflated entry in a
 * build without zlib. */
mp_status zip_unpack(mp_context *ctx, const char *path, const zip_entry *e, void *out);

uint32_t zip_crc(uint32_t before, const void *bytes, size_t n);    /* 0 to begin with */

/* Writing: entries one after the other, then the directory. */
typedef struct zip_written {
    uint32_t crc;
    uint64_t size, offset;
} zip_written;
/* The header before the contents of an entry; its length. buf has room for 64 + the name. */
size_t zip_local_header(const char *name, const zip_written *w, unsigned char *buf);
size_t zip_directory_entry(const char *name, const zip_written *w, unsigned char *buf);
size_t zip_end(uint64_t n_entries, uint64_t directory_at, uint64_t directory_size, unsigned char *buf);
enum { ZIP_HEADER_MAX = 128 };

#endif
