/* Finding and opening the CPU back end: beside the program or library that this code is in, or where an installation
 * has its libraries. */
#include "compiler/driver/backend.h"

#include <stdio.h>
#include <string.h>

#include "compiler/driver/version.h"

#ifdef MPC_BACKEND_LINKED

const cpu_backend *mpc_cpu_backend_v1(void);

const cpu_backend *cpu_backend_open(char *err, size_t err_size)
{
    (void)err;
    (void)err_size;
    return mpc_cpu_backend_v1();
}

uint64_t cpu_backend_stamp(void)
{
    return 0;
}

#else

#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

#ifndef MPC_LIBDIR
#define MPC_LIBDIR "lib"
#endif
#define BACKEND_FILE "libmpc-cpu.so"

/* The i-th place to look at: a path in `out`, or false after the last. `here` is the folder of this code. */
static bool nth_place(const char *here, int i, char *out, size_t size)
{
    static const char *const under[] = {"", "/lib", "/../" MPC_LIBDIR, "/../lib", "/../" MPC_LIBDIR "/mpc"};
    if (i < 0 || (size_t)i >= sizeof under / sizeof *under)
        return false;
    int n = snprintf(out, size, "%s%s/" BACKEND_FILE, here, under[i]);
    if (n < 0 || (size_t)n >= size)
        out[0] = 0;
    return true;
}

static bool folder_of_this(char out[PATH_MAX])
{
    Dl_info info;
    if (!dladdr((const void *)(uintptr_t)&cpu_backend_open, &info) || !info.dli_fname)
        return false;
    const char *file = info.dli_fname;
    /* of a program this is argv[0], which need not be a path */
    if (!strchr(file, '/') || !realpath(file, out)) {
        if (!realpath("/proc/self/exe", out))
            return false;
    }
    char *slash = strrchr(out, '/');
    if (!slash)
        return false;
    *slash = 0;
    return true;
}

static bool find(char out[PATH_MAX], struct stat *st)
{
    char here[PATH_MAX];
    if (!folder_of_this(here))
        return false;
    for (int i = 0; nth_place(here, i, out, PATH_MAX); i++)
        if (out[0] && stat(out, st) == 0 && S_ISREG(st->st_mode))
            return true;
    return false;
}

const cpu_backend *cpu_backend_open(char *err, size_t err_size)
{
    char path[PATH_MAX];
    struct stat st;
    /* never closed: LLVM is not made to be unloaded */
    void *library = dlopen(find(path, &st) ? path : BACKEND_FILE, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!library) {
        const char *why = dlerror();
        snprintf(err, err_size, "the back end for CPUs cannot be opened: %s", why ? why : "no reason is given");
        return NULL;
    }
    const cpu_backend *(*get)(void) = (const cpu_backend *(*)(void))(uintptr_t)dlsym(library, CPU_BACKEND_SYMBOL);
    const cpu_backend *b = get ? get() : NULL;
    if (!b || b->version != CPU_BACKEND_VERSION || strcmp(b->compiler, MPC_COMPILER_VERSION) != 0) {
        snprintf(err, err_size, "the back end for CPUs (" BACKEND_FILE ") is of another version of the compiler");
        return NULL;
    }
    return b;
}

uint64_t cpu_backend_stamp(void)
{
    char path[PATH_MAX];
    struct stat st;
    if (!find(path, &st))
        return 0;
    return (uint64_t)st.st_mtim.tv_sec * 1000000007u ^ (uint64_t)st.st_mtim.tv_nsec << 20 ^ (uint64_t)st.st_size * 2654435761u;
}

#endif
