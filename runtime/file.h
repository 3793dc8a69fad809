/*
 * Files read whole and files written whole: a file is written under another name in the same folder and renamed when
 * it is complete, so that a partial one is never seen under its name.
 */
#ifndef RUNTIME_FILE_H
#define RUNTIME_FILE_H

#include <stdbool.h>
#include <stdio.h>
#include "mp.h"

/* A file's contents, mapped (private, may be written to) or read; followed by a NUL where it was read. */
typedef struct file_bytes {
    char *data;
    size_t size;
    bool mapped;
    size_t allocated;       /* of read contents, in the context's memory */
} file_bytes;

/* MP_INVALID: there is no such file, or it is a folder; MP_SYSTEM: the disk or memory failed. */
mp_status file_map(mp_context *ctx, const char *path, file_bytes *out);
mp_status file_read(mp_context *ctx, const char *path, file_bytes *out);     /* text: always with a NUL after it */
void file_free(mp_context *ctx, file_bytes *f);

bool file_exists(const char *path);
bool file_is_folder(const char *path);
/* folder/name in the context's memory, to be freed with mem_free(strlen + 1); NULL with the message set. */
char *file_join(mp_context *ctx, const char *folder, const char *name);

/* A file being written. */
typedef struct file_out {
    mp_context *ctx;
    const char *path;       /* borrowed */
    char *temporary;        /* the name it has until it is complete; NULL for a pipe or a device */
    size_t temporary_size;
    FILE *f;
} file_out;

mp_status file_out_begin(mp_context *ctx, const char *path, file_out *out);
/* All of `n` bytes; false once anything failed (said by file_out_end). */
bool file_out_write(file_out *out, const void *bytes, size_t n);
/* Renames it to its name if all was written and `keep`, else removes it. MP_SYSTEM when writing failed. */
mp_status file_out_end(file_out *out, bool keep);

#endif
