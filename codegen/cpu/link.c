/* Shared libraries by the system's compiler driver: see link.h. */
#define _GNU_SOURCE             /* pipe2 */
#include "codegen/cpu/link.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { NOT_FOUND = -1 };        /* the tool is not there: try the next one */

/* Writes a file whole; on failure it is gone again. */
static bool write_file(const char *path, const object_bytes *b, char *err, size_t err_size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        snprintf(err, err_size, "cannot write \"%s\": %s", path, strerror(errno));
        return false;
    }
    size_t done = 0;
    while (done < b->size) {
        ssize_t n = write(fd, b->data + done, b->size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    int wrong = done < b->size ? errno : 0;
    if (close(fd) != 0 && !wrong)
        wrong = errno;
    if (wrong) {
        snprintf(err, err_size, "cannot write \"%s\": %s", path, strerror(wrong));
        unlink(path);
        return false;
    }
    return true;
}

/* Reads what the tool says, keeps the beginning of it. */
static void collect(int fd, char *out, size_t size)
{
    size_t at = 0;
    char chunk[1024];
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        for (ssize_t i = 0; i < n && at + 1 < size; i++)
            out[at++] = chunk[i];
    }
    while (at > 0 && (out[at - 1] == '\n' || out[at - 1] == ' '))
        at--;
    if (size)
        out[at] = 0;
}

/* Runs argv and waits. Returns its exit status, NOT_FOUND without such a program, 128 if it was killed. */
static int run_tool(char *const *argv, char *said, size_t said_size)
{
    int pipe_fd[2];
    if (said_size)
        said[0] = 0;
    if (pipe2(pipe_fd, O_CLOEXEC) != 0) {
        snprintf(said, said_size, "no pipe: %s", strerror(errno));
        return 127;
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipe_fd[1], 1);
    posix_spawn_file_actions_adddup2(&actions, pipe_fd[1], 2);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    pid_t pid = 0;
    int wrong = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(pipe_fd[1]);
    if (wrong) {
        close(pipe_fd[0]);
        snprintf(said, said_size, "%s: %s", argv[0], strerror(wrong));
        return wrong == ENOENT || wrong == EACCES ? NOT_FOUND : 127;
    }
    collect(pipe_fd[0], said, said_size);
    close(pipe_fd[0]);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/* The arguments for one tool. A linker takes what a driver would pass on after -Wl, (one argument each). */
static int run_linker(const char *tool, bool driver, const char *out, char **files, size_t n_files,
                      const char *const *extra, size_t n_extra, char *said, size_t said_size)
{
    const char **argv = calloc(n_files + n_extra + 8, sizeof *argv);
    if (!argv) {
        snprintf(said, said_size, "out of memory");
        return 127;
    }
    size_t n = 0;
    argv[n++] = tool;
    argv[n++] = "-shared";
    argv[n++] = "-o";
    argv[n++] = out;
    for (size_t i = 0; i < n_files; i++)
        argv[n++] = files[i];
    for (size_t i = 0; i < n_extra; i++)
        argv[n++] = !driver && strncmp(extra[i], "-Wl,", 4) == 0 ? extra[i] + 4 : extra[i];
    argv[n++] = driver ? "-lm" : "--build-id";
    argv[n] = NULL;
    int status = run_tool((char *const *)argv, said, said_size);
    free(argv);
    return status;
}

static bool link_files(const char *out, char **files, size_t n_files, const char *const *extra,
                       size_t n_extra, char *err, size_t err_size)
{
    /* A layer needs nothing of what a compiler adds, which takes several times as long as the linker; libraries that are
     * named are where the compiler knows them to be. */
    const char *own = getenv("MPC_CC");
    const char *const alone[] = {own, "ld", "cc", "gcc", "clang"}, *const with_libraries[] = {own, "cc", "gcc", "clang", "ld"};
    const char *const *tools = n_extra ? with_libraries : alone;
    char said[2048];
    for (size_t i = 0; i < sizeof alone / sizeof alone[0]; i++) {
        if (!tools[i] || !tools[i][0])
            continue;
        const char *base = strrchr(tools[i], '/');
        base = base ? base + 1 : tools[i];
        bool driver = strncmp(base, "ld", 2) != 0;
        int status = run_linker(tools[i], driver, out, files, n_files, extra, n_extra, said, sizeof said);
        if (status == 0)
            return true;
        if (status != NOT_FOUND) {
            snprintf(err, err_size, "%s failed (status %d)%s%s", tools[i], status, said[0] ? ": " : "", said);
            return false;
        }
        if (i == 0) {       /* named by the user: not quietly replaced */
            snprintf(err, err_size, "MPC_CC names no program: %s", said);
            return false;
        }
    }
    snprintf(err, err_size, "no linker found: a shared library needs one of ld, cc, gcc, clang (or MPC_CC)");
    return false;
}

/* An object of another machine, which the compilers here cannot link. */
static bool is_foreign(const object_bytes *o)
{
#if defined(__x86_64__)
    const uint16_t here = EM_X86_64;
#elif defined(__aarch64__)
    const uint16_t here = EM_AARCH64;
#else
    const uint16_t here = EM_NONE;
#endif
    Elf64_Ehdr h;
    if (o->size < sizeof h)
        return false;
    memcpy(&h, o->data, sizeof h);
    return memcmp(h.e_ident, ELFMAG, SELFMAG) == 0 && h.e_machine != here;
}

/* A device or a pipe: it is written to, as a file in its place would be none. */
static bool is_special(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && !S_ISREG(s.st_mode) && !S_ISDIR(s.st_mode);
}

static bool copy_into(const char *from, const char *to)
{
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    bool ok = in && out;
    char bytes[4096];
    for (size_t n; ok && (n = fread(bytes, 1, sizeof bytes, in)) > 0;)
        ok = fwrite(bytes, 1, n, out) == n;
    if (in)
        fclose(in);
    return (!out || fclose(out) == 0) && ok;
}

bool link_shared(const char *path, const object_bytes *objects, size_t n_objects, const char *const *extra,
                 size_t n_extra, char *err, size_t err_size)
{
    /* Beside the result, so that the last step is a rename; a folder of its own, so that no name can clash.
     */
    const bool special = is_special(path);
    size_t room = strlen(path) + sizeof P_tmpdir + 32;
    char *folder = malloc(room), *library = malloc(room + 16);
    char **files = calloc(n_objects ? n_objects : 1, sizeof *files);
    size_t written = 0;
    bool ok = false, have_folder = false;
    const char *own = getenv("MPC_CC");
    if (n_objects && is_foreign(&objects[0]) && (!own || !own[0])) {
        snprintf(err, err_size, "this code is for another machine: a library of it needs MPC_CC to name a compiler for that machine "
                 "(--emit obj makes the object alone)");
        goto done;
    }
    if (!folder || !library || !files) {
        snprintf(err, err_size, "out of memory");
        goto done;
    }
    if (special)
        snprintf(folder, room, "%s/mpc-XXXXXX", P_tmpdir);
    else
        snprintf(folder, room, "%s%s.tmp-XXXXXX", path[0] == '-' ? "./" : "", path); /* never read as an option */
    if (!mkdtemp(folder)) {
        snprintf(err, err_size, "cannot write \"%s\": %s", path, strerror(errno));
        goto done;
    }
    have_folder = true;
    snprintf(library, room + 16, "%s/lib.so", folder);
    for (; written < n_objects; written++) {
        files[written] = malloc(room + 16);
        if (!files[written]) {
            snprintf(err, err_size, "out of memory");
            goto done;
        }
        snprintf(files[written], room + 16, "%s/%zu.o", folder, written);
        if (!write_file(files[written], &objects[written], err, err_size)) {
            free(files[written]);
            goto done;
        }
    }
    ok = link_files(library, files, n_objects, extra, n_extra, err, err_size);
    if (ok && (special ? !copy_into(library, path) : rename(library, path) != 0)) {
        snprintf(err, err_size, "cannot write \"%s\": %s", path, strerror(errno));
        ok = false;
    }
done:
    for (size_t i = 0; i < written; i++) {
        unlink(files[i]);
        free(files[i]);
    }
    if (have_folder) {
        unlink(library);
        rmdir(folder);
    }
    free(files);
    free(library);
    free(folder);
    return ok;
}
