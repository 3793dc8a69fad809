/* The compiler's back end for tests of the CUDA printer: a library in the place of the CPU's (compiler/driver/backend.h), which prints
 * CUDA C, compiles it with the system's C compiler and the emulator in front, and hands back the object. So everything that runs on
 * the CPU, the command with all its options, runs the kernels of the CUDA back end. */
#define _GNU_SOURCE
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "codegen/cuda/print.h"
#include "compiler/driver/backend.h"
#include "compiler/driver/version.h"

extern char **environ;
__attribute__((visibility("default"))) const cpu_backend *mpc_cpu_backend_v1(void);

static void write_bytes(buf *out, const char *name, const void *bytes, size_t n)
{
    buf_printf(out, "static const char %s[%zu] __attribute__((aligned(16))) =", name, n + 1);
    for (size_t i = 0; i < n; i++) {
        if (i % 64 == 0)
            buf_puts(out, i ? "\"\n\"" : "\"");
        buf_printf(out, "\\%03o", ((const unsigned char *)bytes)[i]);
    }
    buf_puts(out, n ? "\";\n" : "\"\";\n");
}

static void write_table(const module_input *in, const cuda_kernel *k, uint32_t n, buf *out)
{
    buf_puts(out, "#line 1 \"table\"\n#include \"tests/cuda/launch.h\"\n");
    for (uint32_t i = 0; i < n; i++) {
        buf_printf(out, "static mp_i64 room_%u(const mp_i64 *d) { (void)d; return %s; }\n", i, k[i].room_bytes);
        buf_printf(out, "static mp_i64 state_%u(const mp_i64 *d) { (void)d; return %s; }\n", i, k[i].state_bytes);
        buf_printf(out, "static const emu_entry entry_%u = {%s, %s, %d, %d, %d, %s, room_%u, state_%u};\n", i, k[i].rows,
                   k[i].piece ? k[i].piece : "NULL", k[i].threads, k[i].rows_a_block, k[i].pieces_a_block,
                   k[i].any_order ? "true" : "false", i, i);
        buf_printf(out, "static void rows_%u(const mp_kargs *a, const mp_launch *l, int64_t lo, int64_t hi, int64_t hub, void *scratch)\n"
                   "{ (void)hub; (void)scratch; emu_rows(&entry_%u, a, l, lo, hi); }\n", i, i);
    }
    buf_puts(out, "static const mp_kernel_entry kernels[] = {");
    for (uint32_t i = 0; i < n; i++)
        buf_printf(out, "{rows_%u, NULL},", i);
    buf_puts(out, "{NULL, NULL}};\nstatic const mp_kernel_entry *const variants[] = {kernels};\n"
                  "static const char *const features[] = {\"\"};\n");
    write_bytes(out, "description", in->description, in->description_bytes);
    buf_printf(out, "const mp_module_v1 mp_module_v1_table __asm__(\"" MP_MODULE_SYMBOL "\") = {MP_ABI_VERSION, 1, \"mpc\", description, "
               "%zu, features, variants, %u, %lluull};\n", in->description_bytes, n, (unsigned long long)in->source_hash);
}

static bool run(const char *const *argv)
{
    pid_t pid;
    int status = 0;
    if (posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)(uintptr_t)argv, environ) != 0)
        return false;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool read_file(const char *path, object_bytes *out)
{
    FILE *f = fopen(path, "rb");
    bool ok = f && fseek(f, 0, SEEK_END) == 0;
    long n = ok ? ftell(f) : -1;
    out->data = n >= 0 ? calloc((size_t)n + 1, 1) : NULL;
    ok = out->data && fseek(f, 0, SEEK_SET) == 0 && fread(out->data, 1, (size_t)n, f) == (size_t)n;
    out->size = ok ? (size_t)n : 0;
    if (f)
        fclose(f);
    return ok;
}

static bool compile(const buf *text, object_bytes *out, char *err, size_t err_size)
{
    char folder[] = "/tmp/mpc-emulator-XXXXXX", text_file[64], object[64];
    if (text->failed || !mkdtemp(folder)) {
        snprintf(err, err_size, "the emulator's source cannot be written");
        return false;
    }
    snprintf(text_file, sizeof text_file, "%s/kernels.c", folder);
    snprintf(object, sizeof object, "%s/kernels.o", folder);
    FILE *f = fopen(text_file, "wb");
    bool ok = f && fwrite(text->at, 1, text->n, f) == text->n;
    ok = f && fclose(f) == 0 && ok;
    const char *argv[] = {EMU_CC, "-std=gnu11", "-O1", "-fPIC", "-w", "-fno-asynchronous-unwind-tables", "-fno-stack-protector",
                          "-ffp-contract=off", "-I" EMU_ROOT, "-I" EMU_ROOT "/include", "-include", EMU_ROOT "/tests/cuda/emulator.h", "-c",
                          text_file, "-o", object, NULL};
    ok = ok && run(argv) && read_file(object, out);
    if (!ok)
        snprintf(err, err_size, "the CUDA source does not compile for the emulator: %s", text_file);
    if (ok && !getenv("EMU_KEEP")) {
        unlink(text_file);
        unlink(object);
        rmdir(folder);
    }
    return ok;
}

static bool build(arena *mem, const module_input *in, module_form form, object_bytes *out, char *err, size_t err_size)
{
    buf text = buf_make(mem);
    cuda_kernels kernels;
    *out = (object_bytes){0};
    if (form != MODULE_OBJECT) {
        snprintf(err, err_size, "the emulator makes objects only");
        return false;
    }
    cuda_print(mem, in->plans, in->n_plans, NULL, &text, &kernels);
    write_table(in, kernels.at, kernels.n_main, &text);
    return compile(&text, out, err, err_size);
}

static void free_bytes(object_bytes *b)
{
    free(b->data);
    *b = (object_bytes){0};
}

static bool knows_target(const char *name, char *err, size_t err_size)
{
    (void)name;
    (void)err;
    (void)err_size;
    return true;
}

const cpu_backend *mpc_cpu_backend_v1(void)
{
    static const cpu_backend table = {
        .version = CPU_BACKEND_VERSION,
        .compiler = MPC_COMPILER_VERSION,
        .build = build,
        .free_bytes = free_bytes,
        .link = link_shared,
        .knows_target = knows_target,
    };
    return &table;
}
