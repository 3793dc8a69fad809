/* NVRTC by dlopen: see nvrtc.h. The few functions are declared there as they are in every version since 11.2. */
#include "codegen/cuda/nvrtc.h"

#include <ctype.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *open_library(void)
{
    static const char *const names[] = {
        "libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so", "/usr/local/cuda/lib64/libnvrtc.so.13", "/usr/local/cuda/lib/libnvrtc.so.13",
        "/usr/local/cuda/lib64/libnvrtc.so.12", "/usr/local/cuda/lib/libnvrtc.so.12", "/usr/local/cuda/lib64/libnvrtc.so",
    };
    const char *own = getenv("MPC_NVRTC");
    if (own && *own)
        return dlopen(own, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    void *library = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !library; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    return library;
}

/* Puts a symbol's address into a pointer to a function, whatever its type. */
static bool take(void *library, const char *name, void *to)
{
    void *at = dlsym(library, name);
    memcpy(to, &at, sizeof at);
    return at != NULL;
}

const nvrtc *nvrtc_open(nvrtc *n, char *err, size_t err_size)
{
    int (*version)(int *major, int *minor);
    *n = (nvrtc){.library = open_library()};
    if (!n->library) {
        snprintf(err, err_size, "CUDA kernels are compiled by NVRTC, which is not found: libnvrtc.so.13 or .12 of a CUDA toolkit "
                 "must be where the loader looks, or be named by MPC_NVRTC");
        return NULL;
    }
    bool ok = take(n->library, "nvrtcVersion", &version) && take(n->library, "nvrtcCreateProgram", &n->create)
        && take(n->library, "nvrtcCompileProgram", &n->compile) && take(n->library, "nvrtcDestroyProgram", &n->destroy)
        && take(n->library, "nvrtcGetProgramLogSize", &n->log_size) && take(n->library, "nvrtcGetProgramLog", &n->log)
        && take(n->library, "nvrtcGetPTXSize", &n->ptx_size) && take(n->library, "nvrtcGetPTX", &n->ptx)
        && take(n->library, "nvrtcGetCUBINSize", &n->cubin_size) && take(n->library, "nvrtcGetCUBIN", &n->cubin)
        && take(n->library, "nvrtcGetErrorString", &n->error_text) && version(&n->major, &n->minor) == 0;
    if (!ok)
        snprintf(err, err_size, "this libnvrtc is too old: CUDA 12 or later is needed");
    return ok ? n : NULL;
}

bool nvrtc_is_arch(const char *arch)
{
    const char *digits = strncmp(arch, "sm_", 3) == 0 ? arch + 3 : strncmp(arch, "compute_", 8) == 0 ? arch + 8 : "";
    size_t n = strspn(digits, "0123456789");
    return n >= 2 && n <= 3 && (!digits[n] || ((digits[n] == 'a' || digits[n] == 'f') && !digits[n + 1]));
}

static void take_log(const nvrtc *n, void *program, buf *log)
{
    size_t size = 0;
    if (!log || n->log_size(program, &size) != 0 || size < 2)
        return;
    char *text = malloc(size);
    if (text && n->log(program, text) == 0)
        buf_puts(log, text);
    free(text);
}

bool nvrtc_build(const nvrtc *n, const char *text, const char *name, const nvrtc_options *o, buf *out, buf *log)
{
    char arch[40];
    snprintf(arch, sizeof arch, "--gpu-architecture=%s", o->arch);
    const char *options[] = {arch, "-lineinfo", "--std=c++17", "--diag-suppress=177", "--ptxas-options=-v"};
    void *program = NULL;
    int status = n->create(&program, text, name, 0, NULL, NULL);
    if (status == 0)
        status = n->compile(program, o->verbose ? 5 : 4, options);
    if (program)
        take_log(n, program, log);
    size_t size = 0;
    bool ptx = o->ptx || strncmp(o->arch, "compute_", 8) == 0;
    if (status == 0)
        status = ptx ? n->ptx_size(program, &size) : n->cubin_size(program, &size);
    char *bytes = status == 0 ? malloc(size + 1) : NULL;
    if (status == 0 && bytes)
        status = ptx ? n->ptx(program, bytes) : n->cubin(program, bytes);
    bool ok = status == 0 && bytes;
    if (ok)
        buf_write(out, bytes, ptx && size ? size - 1 : size);           /* PTX counts its NUL */
    else if (log && status)
        buf_printf(log, "%s: NVRTC: %s\n", name, n->error_text(status));
    free(bytes);
    if (program)
        n->destroy(&program);
    return ok;
}
