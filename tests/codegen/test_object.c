/* From module to running code: every level, the texts, several modules with the same names, given symbols,
 * what is missing, threads; and shared libraries by the linker, with the ways in which that can fail. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codegen/cpu/link.h"
#include "codegen/cpu/math.h"
#include "codegen/cpu/object.h"
#include "harness.h"

typedef int64_t value_fn(int64_t x);

/* int64_t value(int64_t x) { return x + add + (call_helper ? helper(x) : 0); } */
static void build_value(harness *h, int64_t add, bool call_helper)
{
    emitter *e = &h->e;
    emit_function_begin(e, "value", FN_EXPORTED, e->i64_t, &e->i64_t, 1);
    LLVMValueRef x = emit_param(e, 0), r = emit_add(e, x, emit_i64(e, add));
    if (call_helper)
        r = emit_add(e, r, emit_call_extern(e, "test_helper_that_is_given", e->i64_t, &x, 1));
    emit_return(e, r);
    emit_function_end(e);
}

static int64_t helper(int64_t x) { return 100 * x; }

static void check_levels(harness *h)
{
    char err[1024] = "";
    for (int level = -1; level <= 4; level++) {
        harness_open(h, "native");
        build_value(h, level, false);
        harness_map m = harness_map_begin(h, "map", 8);
        emitter *e = &h->e;
        LLVMValueRef x = emit_load(e, EL_F32, 8, emit_ptr(e, EL_F32, m.a, m.i), NULL);
        emit_store(e, EL_F32, emit_math1(e, MATH_ERF, x), emit_ptr(e, EL_F32, m.out, m.i), NULL);
        harness_map_end(h, &m);
        harness_load(h, level);
        value_fn *fn = (value_fn *)harness_find(h, "value");
        CHECK(h, fn(40) == 40 + level, "level %d", level);
        float in[8] = {0, 1}, out[8];
        ((harness_map_fn *)harness_find(h, "map"))(in, NULL, out, 8);
        CHECK(h, out[0] == 0 && out[1] > 0.842f && out[1] < 0.843f, "erf at level %d: %g", level,
              (double)out[1]);
        CHECK(h, !jit_find(h->jit, "nothing", err, sizeof err) && strstr(err, "nothing"),
              "missing symbol: %s", err);

        object_bytes text;
        CHECK(h, object_emit_ir(h->e.mod, &text, err, sizeof err) && strstr(text.data, "define i64 @value"),
              "IR text");
        object_free(&text);
        CHECK(h, object_emit_asm(h->e.mod, h->tm, &text, err, sizeof err) && strstr(text.data, "value:"),
              "assembly");
        object_free(&text);
        harness_close(h);
    }
}

static void check_malformed(harness *h)
{
    char err[1024] = "";
    object_bytes object;
    harness_open(h, "native");
    emitter *e = &h->e;
    emit_function_begin(e, "open", FN_EXPORTED, e->i64_t, &e->i64_t, 1);
    emit_function_end(e);           /* without a return */
    CHECK(h, !object_verify(e->mod, err, sizeof err) && strstr(err, "malformed"), "verify: %s", err);
    CHECK(h, !object_optimize(e->mod, h->tm, 2, false, err, sizeof err), "optimize took it");
    CHECK(h, !object_emit(e->mod, h->tm, &object, err, sizeof err) && !object.data, "emit took it");
    jit_module *m = jit_load("no object at all", 16, NULL, 0, err, sizeof err);
    CHECK(h, !m || !jit_find(m, "value", err, sizeof err), "text was loaded");
    jit_free(m);
    jit_free(NULL);
    harness_close(h);
}

/* Two modules with the same name in them; one calls what it was given. */
static void check_modules(harness *h)
{
    char err[1024] = "";
    harness one = {0}, two = {0};
    harness_open(&one, "native");
    build_value(&one, 1, false);
    harness_load(&one, 2);
    harness_open(&two, "native");
    build_value(&two, 2, true);
    object_bytes object;
    bool ok = object_optimize(two.e.mod, two.tm, 2, true, err, sizeof err) &&
              object_emit(two.e.mod, two.tm, &object, err, sizeof err);
    CHECK(h, ok, "%s", err);
    jit_symbol given = {"test_helper_that_is_given", (void *)helper};
    jit_module *m = jit_load(object.data, object.size, &given, 1, err, sizeof err);
    CHECK(h, m, "%s", err);
    value_fn *fn = (value_fn *)jit_find(m, "value", err, sizeof err);
    CHECK(h, fn && fn(5) == 5 + 2 + 500, "given symbol");
    CHECK(h, ((value_fn *)harness_find(&one, "value"))(5) == 6, "the other module");
    jit_free(m);

    m = jit_load(object.data, object.size, NULL, 0, err, sizeof err);
    err[0] = 0;
    CHECK(h, !m || !jit_find(m, "value", err, sizeof err), "an undefined symbol was linked");
    CHECK(h, err[0], "nothing was said of the undefined symbol");
    jit_free(m);
    object_free(&object);
    harness_close(&one);
    harness_close(&two);
}

static void *compile_in_thread(void *arg)
{
    harness h = {0};
    int64_t k = *(int64_t *)arg;
    for (int i = 0; i < 3; i++) {
        harness_open(&h, "native");
        build_value(&h, k + i, false);
        harness_load(&h, 2);
        CHECK(&h, ((value_fn *)harness_find(&h, "value"))(7) == 7 + k + i, "in a thread");
        harness_close(&h);
    }
    *(int64_t *)arg = h.failures;
    return NULL;
}

static void check_threads(harness *h)
{
    pthread_t threads[4];
    int64_t arg[4];
    for (int i = 0; i < 4; i++) {
        arg[i] = 100 * i;
        pthread_create(&threads[i], NULL, compile_in_thread, &arg[i]);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        CHECK(h, arg[i] == 0, "thread %d", i);
    }
}

static int count_files(const char *folder)
{
    int n = 0;
    DIR *d = opendir(folder);
    for (struct dirent *f; d && (f = readdir(d));)
        n += f->d_name[0] != '.';
    if (d)
        closedir(d);
    return n;
}

static void check_link(harness *h)
{
    char folder[] = "mpc-link-XXXXXX", path[64], bad[96], err[4096] = "";
    if (!mkdtemp(folder))
        return;
    snprintf(path, sizeof path, "%s/lib.so", folder);
    snprintf(bad, sizeof bad, "%s/none/lib.so", folder);
    harness_open(h, "native");
    build_value(h, 3, false);
    object_bytes object = {0}, junk = {"junk", 4};
    bool ok = object_optimize(h->e.mod, h->tm, 2, true, err, sizeof err) &&
              object_emit(h->e.mod, h->tm, &object, err, sizeof err);
    CHECK(h, ok, "%s", err);

    CHECK(h, link_shared(path, &object, 1, NULL, 0, err, sizeof err), "link: %s", err);
    CHECK(h, count_files(folder) == 1, "%d files are left", count_files(folder));
    void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    CHECK(h, lib, "dlopen: %s", dlerror());
    if (lib) {
        value_fn *fn = (value_fn *)dlsym(lib, "value");
        CHECK(h, fn && fn(4) == 7, "the linked function");
        dlclose(lib);
    }
    const char *extra[] = {"-Wl,--no-undefined", "-lm"};
    CHECK(h, link_shared(path, &object, 1, extra, 2, err, sizeof err), "link over the old one: %s", err);
    unlink(path);

    err[0] = 0;
    CHECK(h, !link_shared(path, &junk, 1, NULL, 0, err, sizeof err) && err[0], "junk was linked");
    CHECK(h, count_files(folder) == 0, "a failed link left %d files", count_files(folder));
    CHECK(h, !link_shared(bad, &object, 1, NULL, 0, err, sizeof err) && strstr(err, "cannot write"),
          "no such folder: %s", err);
    setenv("MPC_CC", "no-such-compiler-here", 1);
    CHECK(h, !link_shared(path, &object, 1, NULL, 0, err, sizeof err) && strstr(err, "MPC_CC"), "MPC_CC: %s",
          err);
    setenv("MPC_CC", "false", 1);
    CHECK(h, !link_shared(path, &object, 1, NULL, 0, err, sizeof err) && strstr(err, "false failed"),
          "false: %s", err);
    setenv("MPC_CC", "ld", 1);
    CHECK(h, link_shared(path, &object, 1, NULL, 0, err, sizeof err), "ld: %s", err);
    lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    CHECK(h, lib && ((value_fn *)dlsym(lib, "value"))(4) == 7, "linked by ld");
    if (lib)
        dlclose(lib);
    unsetenv("MPC_CC");
    unlink(path);
    rmdir(folder);
    object_free(&object);
    harness_close(h);
}

int main(void)
{
    harness h = {0};
    check_levels(&h);
    check_malformed(&h);
    check_modules(&h);
    check_threads(&h);
    check_link(&h);
    if (h.failures)
        printf("%d failures\n", h.failures);
    return h.failures != 0;
}
