/*
 * Whole files: reading by a map or into memory, writing beside and renaming.
 */
#include "runtime/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "runtime/context.h"

static mp_status open_error(mp_context *ctx, const char *path, int err)
{
    bool wrong_path = err == ENOENT || err == ENOTDIR || err == EACCES || err == EISDIR || err == ENAMETOOLONG || err == ELOOP;
    return error_set(ctx, wrong_path ? MP_INVALID : MP_SYSTEM, "%s: cannot be opened: %s", path, strerror(err));
}

/* The descriptor of a regular file, and its size. */
static mp_status open_file(mp_context *ctx, const char *path, int *out, size_t *size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return open_error(ctx, path, errno);
    struct stat s;
    mp_status st = MP_OK;
    if (fstat(fd, &s))
        st = error_set(ctx, MP_SYSTEM, "%s: %s", path, strerror(errno));
    else if (!S_ISREG(s.st_mode))
        st = error_set(ctx, MP_INVALID, "%s: is %s, not a file", path, S_ISDIR(s.st_mode) ? "a folder" : "a device or a pipe");
    if (st) {
        close(fd);
        return st;
    }
    *out = fd;
    *size = (size_t)s.st_size;
    return MP_OK;
}

static mp_status read_all(mp_context *ctx, const char *path, int fd, size_t size, file_bytes *out)
{
    if (size > PTRDIFF_MAX - 1)
        return error_set(ctx, MP_INVALID, "%s: is too large", path);
    char *p = mem_alloc(ctx, size + 1);
    if (!p)
        return error_memory(ctx, size + 1, path);
    size_t got = 0;
    while (got < size) {
        ssize_t n = read(fd, p + got, size - got < (1u << 30) ? size - got : 1u << 30);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            int err = errno;
            mem_free(ctx, p, size + 1);
            return error_set(ctx, MP_SYSTEM, "%s: cannot be read: %s", path, strerror(err));
        }
        if (n == 0)
            break;
        got += (size_t)n;
    }
    p[got] = 0;
    *out = (file_bytes){ .data = p, .size = got, .allocated = size + 1 };
    return MP_OK;
}

mp_status file_read(mp_context *ctx, const char *path, file_bytes *out)
{
    int fd = -1;
    size_t size = 0;
    mp_status st = open_file(ctx, path, &fd, &size);
    if (st)
        return st;
    st = read_all(ctx, path, fd, size, out);
    close(fd);
    return st;
}

mp_status file_map(mp_context *ctx, const char *path, file_bytes *out)
{
    enum { WORTH_MAPPING = 1 << 16 };
    int fd = -1;
    size_t size = 0;
    mp_status st = open_file(ctx, path, &fd, &size);
    if (st)
        return st;
    void *p = size >= WORTH_MAPPING ? mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    if (p != MAP_FAILED)
        *out = (file_bytes){ .data = p, .size = size, .mapped = true };
    else
        st = read_all(ctx, path, fd, size, out);
    close(fd);
    return st;
}

void file_free(mp_context *ctx, file_bytes *f)
{
    if (f->mapped)
        munmap(f->data, f->size);
    else
        mem_free(ctx, f->data, f->allocated);
    *f = (file_bytes){ 0 };
}

bool file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

bool file_is_folder(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

char *file_join(mp_context *ctx, const char *folder, const char *name)
{
    size_t n = strlen(folder), m = strlen(name);
    bool slash = n && folder[n - 1] != '/';
    char *p = mem_alloc(ctx, n + slash + m + 1);
    if (!p) {
        error_memory(ctx, n + m + 2, "a path");
        return NULL;
    }
    memcpy(p, folder, n);
    if (slash)
        p[n] = '/';
    memcpy(p + n + slash, name, m + 1);
    return p;
}

/* A new file beside `path`. Its name is free: the number in it goes up until it is. -1 with errno set on failure. */
static int create_beside(const char *path, char *name, size_t size)
{
    for (unsigned i = 0; i < 10000; i++) {
        snprintf(name, size, "%s.%ld-%u.part", path, (long)getpid(), i);
        int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

static mp_status write_error(mp_context *ctx, const char *path, int err)
{
    bool wrong_path = err == ENOENT || err == ENOTDIR || err == EACCES || err == EROFS || err == EPERM ||
                      err == ENAMETOOLONG || err == EISDIR || err == ELOOP;
    return error_set(ctx, wrong_path ? MP_INVALID : MP_SYSTEM, "%s: cannot be written: %s", path, strerror(err));
}

mp_status file_out_begin(mp_context *ctx, const char *path, file_out *out)
{
    enum { SUFFIX = 48 };
    struct stat s;
    bool there = stat(path, &s) == 0;
    if (there && S_ISDIR(s.st_mode))
        return error_set(ctx, MP_INVALID, "%s: is a folder", path);
    size_t size = strlen(path) + SUFFIX;
    char *name = NULL;
    int fd;
    if (there && !S_ISREG(s.st_mode)) {         /* a pipe or a device cannot be replaced */
        fd = open(path, O_WRONLY | O_CLOEXEC);
    } else {
        name = mem_alloc(ctx, size);
        if (!name)
            return error_memory(ctx, size, "a path");
        fd = create_beside(path, name, size);
    }
    FILE *f = fd < 0 ? NULL : fdopen(fd, "wb");
    if (!f) {
        int err = errno;
        if (fd >= 0)
            close(fd);
        if (fd >= 0 && name)
            unlink(name);
        mem_free(ctx, name, size);
        return write_error(ctx, path, err);
    }
    *out = (file_out){ ctx, path, name, size, f };
    return MP_OK;
}

bool file_out_write(file_out *out, const void *bytes, size_t n)
{
    return fwrite(bytes, 1, n, out->f) == n;
}

mp_status file_out_end(file_out *out, bool keep)
{
    errno = 0;
    bool good = !ferror(out->f);
    int err = errno;
    if (fclose(out->f) && good) {
        good = false;
        err = errno;
    }
    if (good && keep && out->temporary && rename(out->temporary, out->path)) {
        good = false;
        err = errno;
    }
    if ((!good || !keep) && out->temporary)
        unlink(out->temporary);
    mem_free(out->ctx, out->temporary, out->temporary_size);
    if (good)
        return MP_OK;
    return error_set(out->ctx, MP_SYSTEM, "%s: cannot be written: %s", out->path, err ? strerror(err) : "the disk may be full");
}
