/* Modules compiled in memory: see library.h. */
#include "compiler/driver/library.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "codegen/cuda/nvrtc.h"
#include "compiler/driver/build_id.h"
#include "compiler/driver/cache.h"
#include "compiler/driver/object_load.h"
#include "compiler/driver/version.h"
#include "runtime/for_compiler.h"

/* What a module keeps to compile its layers. */
typedef struct jit_source {
    mp_context *ctx;                /* the module holds it */
    char *name, *text;
    size_t n;
    jit_options options;            /* strings are owned */
    char **defines, **arch, *grad;
    void *description;
    mp_module_v1 table;
} jit_source;

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

mp_status library_status(compile_result r)
{
    switch (r) {
    case COMPILE_OK: return MP_OK;
    case COMPILE_WRONG: return MP_INVALID;
    case COMPILE_LIMIT: return MP_UNSUPPORTED;
    case COMPILE_FAILED: break;
    }
    return MP_SYSTEM;
}

/* ---- Code for given dims ---------------------------------------------------------------------------------------- */

static void drop_code(void *ud)
{
    object_unload(ud);
}

/* A module over the table in an object. NULL, with the message set. */
static mp_module *module_of_object(mp_context *ctx, const void *bytes, size_t n, char *err, size_t err_size)
{
    const mp_for_compiler *rt = mp_for_compiler_v1();
    loaded_object *o = object_load(bytes, n, err, err_size);
    const mp_module_v1 *table = o ? object_symbol(o, MP_MODULE_SYMBOL) : NULL;
    mp_module *m = NULL;
    if (o && !table)
        snprintf(err, err_size, "the object has no " MP_MODULE_SYMBOL);
    if (table && rt->module_from_table(ctx, table, &(module_source){.release = drop_code, .ud = o}, &m) != MP_OK)
        snprintf(err, err_size, "%s", mp_error_message(ctx));
    if (!m)
        object_unload(o);
    return m;
}

/* What the code depends on beside the machine it is for, as text. */
static void write_program(const jit_source *j, const char *layer, const int64_t *dims, const double *reals, uint32_t n, bool training,
                          buf *key)
{
    const compile_options *o = &j->options.compile;
    buf_printf(key, "level %d real %d debug %d layer %s\n", o->level, (int)o->real, o->debug, layer);
    buf_printf(key, "%s %s\n", training ? "training" : "forward", training && o->grad ? o->grad : "");
    for (uint32_t i = 0; i < n; i++)
        buf_printf(key, "%lld %a\n", (long long)dims[i], reals[i]);
    buf_printf(key, "source %zu\n", j->n);
    buf_write(key, j->text, j->n);
}

/* All that the object depends on, as text. */
static void write_key(const jit_source *j, const char *layer, const int64_t *dims, const double *reals, uint32_t n, bool training,
                      buf *key)
{
    char cpu[1024];
    const compile_options *o = &j->options.compile;
    mp_for_compiler_v1()->cpu_features(cpu, sizeof cpu);
    buf_printf(key, "mpc " MPC_COMPILER_VERSION " abi %d build %016llx %016llx\n", MP_ABI_VERSION,
               (unsigned long long)compiler_build_id(), (unsigned long long)cpu_backend_stamp());
    for (int i = 0; i < o->n_arch; i++)
        buf_printf(key, "arch %s\n", o->arch[i]);
    buf_printf(key, "cpu %llx %s\n", (unsigned long long)compiler_cpu_model(), cpu);
    write_program(j, layer, dims, reals, n, training, key);
}

/* What makes code of a compilation that is ready for it. */
typedef compile_result make_code(compilation *c, void *ud);

/* Compiles one layer for known values. The error is set on failure. `arch`: of a GPU, or NULL. */
static bool compile_layer(jit_source *j, const char *layer, const int64_t *dims, const double *reals, uint32_t n, bool training,
                          const char *const *arch, make_code *make, void *ud)
{
    const mp_for_compiler *rt = mp_for_compiler_v1();
    compile_options o = j->options.compile;
    o.defines = NULL;
    o.n_defines = 0;
    o.layer = layer;
    o.warnings = o.warnings_are_errors = o.color = false;
    o.stop_after = NULL;
    o.programs = training ? COMPILE_TRAINING : COMPILE_FORWARD;
    o.grad_of_any = true;
    if (arch) {
        o.arch = arch;
        o.n_arch = 1;
        o.one_gpu = true;
    }
    o.cuda = false;
    compilation *c = compile_new(&o);
    if (!c)
        return rt->error_set_text(j->ctx, MP_SYSTEM, "out of memory"), false;
    compile_result r = compile_parse(c, j->name, j->text, j->n);
    if (r == COMPILE_OK)
        r = compile_check(c);
    if (r == COMPILE_OK)
        r = compile_define(c, dims, reals, n);
    if (r == COMPILE_OK)
        r = make(c, ud);
    if (r != COMPILE_OK) {
        buf text = buf_make(NULL);
        compile_messages(c, &text);
        rt->error_set_text(j->ctx, library_status(r), buf_text(&text));
        buf_free(&text);
    }
    compile_free(c);
    return r == COMPILE_OK;
}

typedef struct object_maker { const cpu_backend *backend; object_bytes *out; } object_maker;

static compile_result make_object(compilation *c, void *ud)
{
    const object_maker *m = ud;
    return compile_object(c, m->backend, MODULE_OBJECT, m->out);
}

static mp_module *compile_and_load(jit_source *j, const char *layer, const int64_t *dims, const double *reals, uint32_t n,
                                   bool training, const char *folder, const buf *key)
{
    const mp_for_compiler *rt = mp_for_compiler_v1();
    char err[1024] = "";
    object_bytes object = {0};
    const cpu_backend *backend = cpu_backend_open(err, sizeof err);
    if (!backend) {
        rt->error_set_text(j->ctx, MP_SYSTEM, err);
        return NULL;
    }
    if (!compile_layer(j, layer, dims, reals, n, training, NULL, make_object, &(object_maker){backend, &object}))
        return NULL;
    mp_module *m = module_of_object(j->ctx, object.data, object.size, err, sizeof err);
    if (!m)
        rt->error_set_text(j->ctx, MP_SYSTEM, err);
    else if (folder)
        cache_store(folder, key->at, key->n, object.data, object.size);
    backend->free_bytes(&object);
    return m;
}

/* ---- Code for a GPU ---------------------------------------------------------------------------------------------- */

/* What is kept of it: lengths, the description, then the images at a multiple of 64 bytes. */
typedef struct gpu_head { uint64_t n_kernels, description_bytes, device_bytes; } gpu_head;
enum { GPU_ALIGN = 64 };

/* Bytes of a layer for a GPU and the table over them, owned by their module. */
typedef struct gpu_object { mp_module_v1 table; void *bytes; } gpu_object;

static size_t device_place(const gpu_head *h)
{
    return (sizeof *h + h->description_bytes + GPU_ALIGN - 1) / GPU_ALIGN * GPU_ALIGN;
}

static void drop_gpu_object(void *ud)
{
    gpu_object *o = ud;
    free(o->bytes);
    free(o);
}

/* Takes the bytes, which are malloc'ed, on failure, too. */
static mp_module *module_of_gpu(mp_context *ctx, void *bytes, size_t n, char *err, size_t err_size)
{
    const mp_for_compiler *rt = mp_for_compiler_v1();
    gpu_head h;
    mp_module *m = NULL;
    gpu_object *o = calloc(1, sizeof *o);
    bool whole = n >= sizeof h;
    if (whole) {
        memcpy(&h, bytes, sizeof h);
        whole = h.description_bytes < n && h.device_bytes < n && device_place(&h) + h.device_bytes == n;
    }
    if (!o || !whole) {
        snprintf(err, err_size, "%s", o ? "its end is missing" : "out of memory");
        free(bytes);
        free(o);
        return NULL;
    }
    o->bytes = bytes;
    o->table = (mp_module_v1){.abi_version = MP_ABI_VERSION, .compiler = MPC_COMPILER_VERSION, .description = (char *)bytes + sizeof h,
                              .description_bytes = h.description_bytes, .n_kernels = h.n_kernels};
    module_source from = {.release = drop_gpu_object, .ud = o, .device_code = (char *)bytes + device_place(&h), .device_bytes = h.device_bytes};
    if (rt->module_from_table(ctx, &o->table, &from, &m) != MP_OK) {
        snprintf(err, err_size, "%s", mp_error_message(ctx));
        drop_gpu_object(o);
    }
    return m;
}

typedef struct gpu_maker { char *bytes; size_t n; } gpu_maker;

static compile_result make_gpu(compilation *c, void *ud)
{
    gpu_maker *m = ud;
    compile_result r = compile_device(c);
    if (r != COMPILE_OK)
        return r;
    uint32_t n_plans;
    const kplan *const *plans = compile_plans(c, &n_plans);
    gpu_head h = {.description_bytes = c->description_bytes, .device_bytes = c->device_bytes};
    for (uint32_t i = 0; i < n_plans; i++)
        h.n_kernels += plans[i]->n_kernels;
    m->n = device_place(&h) + c->device_bytes;
    m->bytes = calloc(m->n, 1);
    if (!m->bytes) {
        c->why = "out of memory";
        return COMPILE_FAILED;
    }
    memcpy(m->bytes, &h, sizeof h);
    memcpy(m->bytes + sizeof h, c->description, c->description_bytes);
    memcpy(m->bytes + device_place(&h), c->device, c->device_bytes);
    return COMPILE_OK;
}

/* A GPU that is newer than NVRTC gets PTX, which the driver compiles. */
static mp_module *compile_for_device(jit_source *j, const char *layer, const int64_t *dims, const double *reals, uint32_t n, bool training,
                                     int arch, const char *folder, const buf *key)
{
    char name[16], err[1024] = "";
    snprintf(name, sizeof name, "sm_%d", arch);
    const char *archs[] = {name};
    gpu_maker made = {0};
    if (!compile_layer(j, layer, dims, reals, n, training, archs, make_gpu, &made)) {
        archs[0] = "compute_80";
        if (!strstr(mp_error_message(j->ctx), "invalid value for --gpu-architecture") ||
            !compile_layer(j, layer, dims, reals, n, training, archs, make_gpu, &made))
            return NULL;
    }
    if (folder)
        cache_store(folder, key->at, key->n, made.bytes, made.n);
    mp_module *m = module_of_gpu(j->ctx, made.bytes, made.n, err, sizeof err);
    if (!m)
        mp_for_compiler_v1()->error_set_text(j->ctx, MP_SYSTEM, err);
    return m;
}

/* No LLVM here. NVRTC is opened for its version, which is a part of the key. */
static mp_module *specialise_gpu(jit_source *j, const char *layer, const int64_t *dims, const double *reals, uint32_t n, bool training,
                                 int arch, const char *folder)
{
    char err[1024] = "";
    nvrtc room;
    const nvrtc *rtc = nvrtc_open(&room, err, sizeof err);
    if (!rtc) {
        mp_for_compiler_v1()->error_set_text(j->ctx, MP_UNSUPPORTED, err);
        return NULL;
    }
    buf key = buf_make(NULL);
    buf_printf(&key, "mpc " MPC_COMPILER_VERSION " abi %d build %016llx cuda sm_%d nvrtc %d.%d\n", MP_ABI_VERSION,
               (unsigned long long)compiler_build_id(), arch, rtc->major, rtc->minor);
    write_program(j, layer, dims, reals, n, training, &key);
    size_t size = 0;
    void *bytes = folder && !key.failed ? cache_load(folder, key.at, key.n, &size) : NULL;
    mp_module *m = bytes ? module_of_gpu(j->ctx, bytes, size, err, sizeof err) : NULL;
    if (bytes && !m)
        mp_for_compiler_v1()->log(j->ctx, "cache: an entry for %s is not used: %s", layer, err);
    if (!m)
        m = compile_for_device(j, layer, dims, reals, n, training, arch, key.failed ? NULL : folder, &key);
    buf_free(&key);
    return m;
}

/* ---- Either ------------------------------------------------------------------------------------------------------ */

static mp_module *specialise_cpu(jit_source *j, const char *layer, const int64_t *dims, const double *reals, uint32_t n, bool training,
                                 const char *folder)
{
    char err[1024];
    buf key = buf_make(NULL);
    mp_module *m = NULL;
    if (folder) {
        write_key(j, layer, dims, reals, n, training, &key);
        size_t size;
        void *bytes = key.failed ? NULL : cache_load(folder, key.at, key.n, &size);
        m = bytes ? module_of_object(j->ctx, bytes, size, err, sizeof err) : NULL;
        if (bytes && !m)
            mp_for_compiler_v1()->log(j->ctx, "cache: an entry for %s is not used: %s", layer, err);
        free(bytes);
    }
    if (!m)
        m = compile_and_load(j, layer, dims, reals, n, training, key.failed ? NULL : folder, &key);
    buf_free(&key);
    return m;
}

static mp_module *specialise(void *ud, const char *layer, const int64_t *dims, const double *reals, uint32_t n, bool training)
{
    jit_source *j = ud;
    char folder[PATH_MAX];
    bool cached = !j->options.no_cache && cache_folder(folder, sizeof folder);
    double start = now_ms();
    int arch;
    mp_module *m = NULL;
    if (mp_for_compiler_v1()->device_arch(j->ctx, &arch) == MP_OK)
        m = arch ? specialise_gpu(j, layer, dims, reals, n, training, arch, cached ? folder : NULL)
                 : specialise_cpu(j, layer, dims, reals, n, training, cached ? folder : NULL);
    if (j->options.ms)
        *j->options.ms += now_ms() - start;
    return m;
}

/* ---- The module ------------------------------------------------------------------------------------------------- */

static void free_strings(char **s, int n)
{
    for (int i = 0; s && i < n; i++)
        free(s[i]);
    free(s);
}

static void drop_source(void *ud)
{
    jit_source *j = ud;
    if (!j)
        return;
    free(j->name);
    free(j->text);
    free(j->grad);
    free_strings(j->arch, j->options.compile.n_arch);
    free(j->description);
    free(j);
}

static char **copy_strings(const char *const *s, int n)
{
    char **copy = calloc((size_t)n + 1, sizeof *copy);
    for (int i = 0; copy && i < n; i++)
        if (!(copy[i] = strdup(s[i]))) {
            free_strings(copy, i);
            return NULL;
        }
    return copy;
}

static jit_source *new_source(mp_context *ctx, const char *name, const char *text, size_t n, const jit_options *o,
                              const compilation *c)
{
    jit_source *j = calloc(1, sizeof *j);
    if (!j)
        return NULL;
    j->ctx = ctx;
    j->options = *o;
    compile_options *co = &j->options.compile;
    co->defines = NULL;
    co->n_defines = 0;
    co->layer = NULL;
    co->last_layer = false;
    co->n_arch = 0;
    j->grad = co->grad ? strdup(co->grad) : NULL;
    bool copied = j->grad || !co->grad;
    co->grad = j->grad;
    j->name = strdup(name);
    j->text = malloc(n + 1);
    j->arch = copy_strings(o->compile.arch, o->compile.n_arch);
    j->description = malloc(c->description_bytes + 1);
    if (!copied || !j->name || !j->text || !j->arch || !j->description) {
        drop_source(j);
        return NULL;
    }
    co->n_arch = o->compile.n_arch;
    co->arch = (const char *const *)j->arch;
    memcpy(j->text, text, n);
    j->text[n] = 0;
    j->n = n;
    memcpy(j->description, c->description, c->description_bytes);
    j->table = (mp_module_v1){.abi_version = MP_ABI_VERSION, .compiler = MPC_COMPILER_VERSION, .description = j->description,
                              .description_bytes = c->description_bytes, .source_hash = c->source_hash};
    return j;
}

mp_status library_compile(mp_context *ctx, const char *name, const char *text, size_t n, const jit_options *o, buf *messages,
                          mp_module **out)
{
    const mp_for_compiler *rt = mp_for_compiler_v1();
    double start = now_ms();
    compilation *c = compile_new(&o->compile);
    if (!c)
        return rt->error_set_text(ctx, MP_SYSTEM, "out of memory");
    compile_result r = compile_parse(c, name, text, n);
    if (r == COMPILE_OK || r == COMPILE_WRONG)
        r = compile_describe(c);
    compile_messages(c, messages);
    mp_status st = library_status(r);
    if (st) {
        rt->error_set_text(ctx, st, buf_text(messages));
    } else {
        jit_source *j = new_source(ctx, name, text, n, o, c);
        st = j ? rt->module_from_table(ctx, &j->table, &(module_source){.release = drop_source, .specialise = specialise, .ud = j}, out)
               : rt->error_set_text(ctx, MP_SYSTEM, "out of memory");
        if (st)
            drop_source(j);
    }
    compile_free(c);
    if (o->ms)
        *o->ms += now_ms() - start;
    return st;
}
