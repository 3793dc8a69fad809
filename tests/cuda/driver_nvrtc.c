/* NVRTC for the emulated driver (driver_cuda.c): CUDA C is compiled as C with the emulator in front, by the system's compiler, to a
 * shared library, which counts as a cubin (or PTX). It has the functions of libnvrtc that codegen/cuda/nvrtc.c calls. */
#define _GNU_SOURCE
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define API __attribute__((visibility("default")))

typedef struct program { char *text, *log, *bytes; size_t size; } program;

extern char **environ;

API int nvrtcVersion(int *major, int *minor);
API int nvrtcCreateProgram(void **out, const char *text, const char *name, int n, const char *const *headers, const char *const *names);
API int nvrtcCompileProgram(void *p, int n, const char *const *options);
API int nvrtcDestroyProgram(void **p);
API int nvrtcGetProgramLogSize(void *p, size_t *n);
API int nvrtcGetProgramLog(void *p, char *text);
API int nvrtcGetPTXSize(void *p, size_t *n);
API int nvrtcGetPTX(void *p, char *text);
API int nvrtcGetCUBINSize(void *p, size_t *n);
API int nvrtcGetCUBIN(void *p, char *bytes);
API const char *nvrtcGetErrorString(int result);

enum { FAILED = 6 };

int nvrtcVersion(int *major, int *minor)
{
    *major = 0;                         /* no real one: what it made is not taken for NVIDIA's by a cache */
    *minor = 1;
    return 0;
}

int nvrtcCreateProgram(void **out, const char *text, const char *name, int n, const char *const *headers, const char *const *names)
{
    (void)name, (void)n, (void)headers, (void)names;
    program *p = calloc(1, sizeof *p);
    if (!p || !(p->text = strdup(text)) || !(p->log = strdup("")))
        return 1;
    *out = p;
    return 0;
}

/* "name(const T A, const U L)" behind MP_KERNEL(..): the function that calls it, and its row in the list. */
static void write_kernel(FILE *f, FILE *list, const char *at)
{
    char name[256], first[64], second[64];
    int n = sscanf(at, " %255[^(](const %63[a-z_] %*[A-Z], const %63[a-z_]", name, first, second);
    if (n < 2)
        return;
    fprintf(f, "static void emu_call_%s(void **p) { %s(*(const %s *)p[0]", name, name, first);
    if (n == 3)
        fprintf(f, ", *(const %s *)p[1]", second);
    fprintf(f, "); }\n");
    fprintf(list, "{\"%s\", emu_call_%s, {sizeof(%s), ", name, name, first);
    fprintf(list, n == 3 ? "sizeof(%s)}},\n" : "0}},\n", second);
}

static bool write_source(const program *p, const char *path)
{
    char *rows = NULL;
    size_t n;
    FILE *f = fopen(path, "wb"), *list = open_memstream(&rows, &n);
    if (!f || !list)
        return false;
    fputs(p->text, f);
    fputs("\n#line 1 \"image\"\ntypedef struct emu_function { const char *name; void (*run)(void **p); size_t bytes[2]; } emu_function;\n", f);
    for (const char *at = p->text; (at = strstr(at, "\nMP_KERNEL("));) {
        at = strchr(at, ')');
        if (!at++)
            break;
        write_kernel(f, list, at);
    }
    fclose(list);
    fprintf(f, "static const emu_function emu_list[] = {\n%s{0}};\n#include \"tests/cuda/device_image.h\"\n", rows);
    free(rows);
    return fclose(f) == 0;
}

static bool run(const char *const *argv, const char *log)
{
    pid_t pid;
    int status = 0;
    posix_spawn_file_actions_t to;
    posix_spawn_file_actions_init(&to);
    posix_spawn_file_actions_addopen(&to, 2, log, 0x241 /* O_WRONLY | O_CREAT | O_TRUNC */, 0600);
    bool ok = posix_spawnp(&pid, argv[0], &to, NULL, (char *const *)(unsigned long)argv, environ) == 0;
    posix_spawn_file_actions_destroy(&to);
    return ok && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static char *read_file(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    long n = f && fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;
    char *bytes = n >= 0 ? calloc((size_t)n + 1, 1) : NULL;
    if (bytes && (fseek(f, 0, SEEK_SET) != 0 || fread(bytes, 1, (size_t)n, f) != (size_t)n)) {
        free(bytes);
        bytes = NULL;
    }
    if (f)
        fclose(f);
    *size = bytes ? (size_t)n : 0;
    return bytes;
}

int nvrtcCompileProgram(void *handle, int n, const char *const *options)
{
    program *p = handle;
    char folder[] = "/tmp/mpc-driver-XXXXXX", source[64], library[64], log[64];
    (void)n, (void)options;
    if (!mkdtemp(folder))
        return 1;
    snprintf(source, sizeof source, "%s/module.c", folder);
    snprintf(library, sizeof library, "%s/module.so", folder);
    snprintf(log, sizeof log, "%s/log", folder);
    const char *reverse = getenv("EMU_REVERSE") ? "-DEMU_REVERSE" : "-DEMU_FORWARD";
    const char *argv[] = {EMU_CC, "-std=gnu11", "-O1", "-fPIC", "-shared", "-fvisibility=hidden", "-w", "-fno-stack-protector", "-ffp-contract=off",
                          "-I" EMU_ROOT, "-I" EMU_ROOT "/include", reverse, "-include", "tests/cuda/emulator.h", source, "-o", library, "-lm", NULL};
    bool ok = write_source(p, source) && run(argv, log);
    size_t size;
    p->bytes = ok ? read_file(library, &p->size) : NULL;
    char *text = read_file(log, &size);
    if (text) {
        free(p->log);
        p->log = text;
    }
    if (!getenv("EMU_KEEP")) {
        unlink(source);
        unlink(library);
        unlink(log);
        rmdir(folder);
    }
    return p->bytes ? 0 : FAILED;
}

int nvrtcDestroyProgram(void **handle)
{
    program *p = *handle;
    free(p->text);
    free(p->log);
    free(p->bytes);
    free(p);
    *handle = NULL;
    return 0;
}

int nvrtcGetProgramLogSize(void *p, size_t *n) { return *n = strlen(((program *)p)->log) + 1, 0; }
int nvrtcGetProgramLog(void *p, char *text) { return strcpy(text, ((program *)p)->log), 0; }
int nvrtcGetPTXSize(void *p, size_t *n) { return *n = ((program *)p)->size + 1, 0; }
int nvrtcGetPTX(void *p, char *text) { return memcpy(text, ((program *)p)->bytes, ((program *)p)->size + 1), 0; }
int nvrtcGetCUBINSize(void *p, size_t *n) { return *n = ((program *)p)->size, 0; }
int nvrtcGetCUBIN(void *p, char *bytes) { return memcpy(bytes, ((program *)p)->bytes, ((program *)p)->size), 0; }
const char *nvrtcGetErrorString(int result) { return result == FAILED ? "NVRTC_ERROR_COMPILATION" : result ? "an error" : "no error"; }
