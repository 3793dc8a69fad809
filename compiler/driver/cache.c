/* The cache of objects: see cache.h. An entry is head, key, object. */
#include "compiler/driver/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "compiler/support/map.h"

typedef struct head {
    char magic[8];
    uint64_t n_key, n_object, hash;             /* hash: of the object */
} head;

#define MAGIC "mpcobj1"
enum { LARGEST_ENTRY = 64 << 20, TOUCH_AFTER = 3600 };

bool cache_folder(char *out, size_t size)
{
    const char *own = getenv("MPC_CACHE_DIR"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n = own ? snprintf(out, size, "%s", own)
            : xdg && xdg[0] == '/' ? snprintf(out, size, "%s/mpc", xdg)
            : home && home[0] == '/' ? snprintf(out, size, "%s/.cache/mpc", home) : 0;
    return n > 0 && (size_t)n < size;
}

static bool entry_path(const char *folder, const char *key, size_t n_key, char out[PATH_MAX])
{
    int n = snprintf(out, PATH_MAX, "%s/%016llx.mpo", folder, (unsigned long long)hash_bytes(key, n_key));
    return n > 0 && n < PATH_MAX;
}

/* What we load becomes code of this process: it must be ours alone to write. */
static bool is_private(const struct stat *st)
{
    return st->st_uid == geteuid() && !(st->st_mode & (S_IWGRP | S_IWOTH));
}

static bool folder_is_private(const char *folder)
{
    struct stat st;
    return stat(folder, &st) == 0 && S_ISDIR(st.st_mode) && is_private(&st);
}

static bool read_all(int fd, void *to, size_t n)
{
    char *at = to;
    while (n) {
        ssize_t got = read(fd, at, n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += got;
        n -= (size_t)got;
    }
    return true;
}

static bool write_all(int fd, const void *from, size_t n)
{
    const char *at = from;
    while (n) {
        ssize_t put = write(fd, at, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return false;
        at += put;
        n -= (size_t)put;
    }
    return true;
}

/* The entry's object, if the file is one and is of this key. */
static void *read_entry(int fd, const struct stat *st, const char *key, size_t n_key, size_t *n)
{
    head h;
    if (!S_ISREG(st->st_mode) || !is_private(st) || st->st_size < (off_t)sizeof h || st->st_size > LARGEST_ENTRY)
        return NULL;
    if (!read_all(fd, &h, sizeof h) || memcmp(h.magic, MAGIC, sizeof h.magic) != 0 || h.n_key != n_key ||
        h.n_object > LARGEST_ENTRY || (uint64_t)st->st_size != sizeof h + h.n_key + h.n_object)
        return NULL;
    size_t body = (size_t)(h.n_key + h.n_object);
    char *bytes = malloc(body + 1);
    if (bytes && read_all(fd, bytes, body) && memcmp(bytes, key, n_key) == 0 &&
        hash_bytes(bytes + n_key, (size_t)h.n_object) == h.hash) {
        *n = (size_t)h.n_object;
        memmove(bytes, bytes + n_key, *n);
        return bytes;
    }
    free(bytes);
    return NULL;
}

void *cache_load(const char *folder, const char *key, size_t n_key, size_t *n)
{
    char path[PATH_MAX];
    struct stat st;
    if (!entry_path(folder, key, n_key, path) || !folder_is_private(folder))
        return NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return NULL;
    void *object = fstat(fd, &st) == 0 ? read_entry(fd, &st, key, n_key, n) : NULL;
    close(fd);
    if (object && time(NULL) - st.st_mtime > TOUCH_AFTER)       /* in use: not among the oldest */
        utimensat(AT_FDCWD, path, NULL, 0);
    return object;
}

/* ---- Writing ---------------------------------------------------------------------------------------------------- */

static bool make_folder(const char *folder)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s", folder) >= (int)sizeof path)
        return false;
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(path, 0700);
        *slash = '/';
    }
    mkdir(path, 0700);
    return folder_is_private(folder);
}

typedef struct entry { char name[32]; time_t when; off_t bytes; } entry;

static int older_first(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    return x->when < y->when ? -1 : x->when > y->when;
}

static bool is_entry(const char *name)
{
    size_t n = strlen(name);
    return n < sizeof((entry *)0)->name && n > 4 && (strcmp(name + n - 4, ".mpo") == 0 || strncmp(name, ".mpo-", 5) == 0);
}

/* The entries of the folder; NULL when there is no memory. */
static entry *list_entries(DIR *d, size_t *n, off_t *bytes)
{
    size_t room = 0;
    entry *list = NULL;
    struct stat st;
    *n = 0;
    *bytes = 0;
    for (struct dirent *e; (e = readdir(d));) {
        if (!is_entry(e->d_name) || fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
            continue;
        if (*n == room) {
            entry *more = realloc(list, (room = room ? room * 2 : 256) * sizeof *list);
            if (!more) {
                free(list);
                return NULL;
            }
            list = more;
        }
        entry *x = &list[(*n)++];
        memcpy(x->name, e->d_name, strlen(e->d_name) + 1);      /* is_entry: it fits */
        x->when = st.st_mtime;
        x->bytes = st.st_size;
        *bytes += st.st_size;
    }
    return list;
}

/* Removes the oldest entries until three quarters of the limit are left. */
static void shrink(const char *folder)
{
    DIR *d = opendir(folder);
    if (!d)
        return;
    size_t n;
    off_t bytes;
    entry *list = list_entries(d, &n, &bytes);
    if (list && bytes > CACHE_MOST_BYTES) {
        qsort(list, n, sizeof *list, older_first);
        for (size_t i = 0; i < n && bytes > (off_t)CACHE_MOST_BYTES / 4 * 3; i++)
            if (unlinkat(dirfd(d), list[i].name, 0) == 0)
                bytes -= list[i].bytes;
    }
    free(list);
    closedir(d);
}

void cache_store(const char *folder, const char *key, size_t n_key, const void *bytes, size_t n)
{
    char path[PATH_MAX], temporary[PATH_MAX];
    if (n + n_key + sizeof(head) > LARGEST_ENTRY || !make_folder(folder) || !entry_path(folder, key, n_key, path) ||
        snprintf(temporary, sizeof temporary, "%s/.mpo-XXXXXX", folder) >= (int)sizeof temporary)
        return;
    int fd = mkstemp(temporary);
    if (fd < 0)
        return;
    head h = {.magic = MAGIC, .n_key = n_key, .n_object = n, .hash = hash_bytes(bytes, n)};
    bool ok = write_all(fd, &h, sizeof h) && write_all(fd, key, n_key) && write_all(fd, bytes, n);
    ok = close(fd) == 0 && ok;
    if (!ok || rename(temporary, path) != 0) {
        unlink(temporary);
        return;
    }
    if (hash_bytes(key, n_key) % 16 == 0)       /* now and then */
        shrink(folder);
}
