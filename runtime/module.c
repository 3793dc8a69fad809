/*
 * Loading of modules. The table is checked in the order in which its fields can be trusted: version, then the
 * description (description_read), then a variant of the kernels that this CPU can run and that has every entry point.
 */
#include "runtime/module.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include "runtime/cpu_features.h"
#include "runtime/device_module.h"
#include "runtime/module_file.h"

enum { MAX_VARIANTS = 64 };

struct module_special {
    module_special *next;
    uint32_t layer, n;
    bool training;
    mp_module *mod;                 /* NULL: it cannot be specialised for these values */
    int64_t *dims;                  /* [n] */
    double *reals;                  /* [n] */
};

static mp_status read_description(mp_context *ctx, const mp_module_v1 *t, mp_module *m)
{
    char why[DESC_WHY];
    switch (description_read(t->description, t->description_bytes, t->n_kernels, &m->description, why)) {
    case DESC_OK:
        break;
    case DESC_BAD:
        return error_set(ctx, MP_INVALID, "the module is damaged: %s", why);
    case DESC_OTHER_VERSION:
        return error_set(ctx, MP_UNSUPPORTED, "the module was made by another version of the compiler: %s", why);
    case DESC_NO_MEMORY:
        return error_set(ctx, MP_SYSTEM, "%s", why);
    }
    m->desc = description_module(m->description);
    return MP_OK;
}

/* A kernel with members but no function for pieces never has hubs; one without rows cannot run. */
static bool complete(const mp_kernel_entry *kernels, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        if (!kernels[i].rows)
            return false;
    return true;
}

static mp_status choose_variant(mp_context *ctx, const mp_module_v1 *t, mp_module *m)
{
    if (!t->n_variants && !t->n_kernels && m->source.specialise)
        return MP_OK;
    if (context_on_device(ctx) && m->device)
        return MP_OK;
    if (!t->n_variants && m->device)
        return error_set(ctx, MP_UNSUPPORTED, "the module was compiled for CUDA alone, and the context is for the CPU");
    if (t->n_variants < 1 || t->n_variants > MAX_VARIANTS || !t->kernels || !t->variant_features)
        return error_set(ctx, MP_INVALID, "the module is damaged: it has no variants");
    for (uint32_t v = t->n_variants; v-- > 0;) {
        if (!cpu_has(t->variant_features[v]))
            continue;
        if (t->n_kernels && (!t->kernels[v] || !complete(t->kernels[v], t->n_kernels)))
            return error_set(ctx, MP_INVALID, "the module is damaged: a kernel is missing");
        m->kernels = t->kernels[v];
        m->n_kernels = t->n_kernels;
        context_log(ctx, "module: variant %u of %u (%s)", v + 1, t->n_variants, t->variant_features[v]);
        return MP_OK;
    }
    char here[1024];
    cpu_features_text(here, sizeof here);
    return error_set(ctx, MP_UNSUPPORTED, "the module was compiled for other CPUs: it needs %s; this one has %s",
                     t->variant_features[0] ? t->variant_features[0] : "what is not said", here);
}

static mp_status fill(mp_context *ctx, const mp_module_v1 *t, mp_module *m)
{
    if (!t)
        return error_set(ctx, MP_USAGE, "the module's table is NULL");
    if (t->abi_version != MP_ABI_VERSION) {
        return error_set(ctx, MP_UNSUPPORTED, "the module has ABI version %u, this runtime has %d: compile it again",
                         t->abi_version, MP_ABI_VERSION);
    }
    mp_status st = read_description(ctx, t, m);
    if (!st)
        st = device_module_read(ctx, m->source.device_code, m->source.device_bytes, t->n_kernels, &m->device);
    if (!st)
        st = choose_variant(ctx, t, m);
    m->source_hash = t->source_hash;
    return st;
}

static mp_status module_new(mp_context *ctx, const mp_module_v1 *table, void *library, const module_source *source,
                            mp_module **out)
{
    mp_module *m = mem_zalloc(ctx, sizeof *m);
    if (!m)
        return error_memory(ctx, sizeof *m, "a module");
    if (pthread_mutex_init(&m->lock, NULL)) {
        mem_free(ctx, m, sizeof *m);
        return error_set(ctx, MP_SYSTEM, "a lock cannot be made");
    }
    if (source)
        m->source = *source;
    mp_status st = fill(ctx, table, m);
    if (st) {
        device_module_free(ctx, m->device);
        description_free(m->description);
        pthread_mutex_destroy(&m->lock);
        mem_free(ctx, m, sizeof *m);
        return st;
    }
    m->ctx = ctx;
    m->library = library;
    atomic_init(&m->holders, 1);
    context_retain(ctx);
    *out = m;
    return MP_OK;
}

mp_status module_from_table(mp_context *ctx, const mp_module_v1 *table, const module_source *source, mp_module **out)
{
    return module_new(ctx, table, NULL, source, out);
}

mp_status mp_module_load(mp_context *ctx, const char *path, mp_module **out)
{
    if (!ctx)
        return MP_USAGE;
    if (!path || !out)
        return error_set(ctx, MP_USAGE, "mp_module_load: path and result must not be NULL");
    mp_status st = module_file_check(ctx, path);
    if (st)
        return st;
    /* A name without a slash would be looked for among the system's libraries. */
    size_t n = strlen(path);
    char *here = malloc(n + 3);
    if (!here)
        return error_memory(ctx, n + 3, "a path");
    strcpy(here, strchr(path, '/') ? "" : "./");
    strcat(here, path);
    void *library = dlopen(here, RTLD_NOW | RTLD_LOCAL);
    free(here);
    if (!library) {
        const char *why = dlerror();
        return error_set(ctx, MP_INVALID, "%s cannot be loaded: %s", path, why ? why : "no reason is given");
    }
    const mp_module_v1 *table = dlsym(library, MP_MODULE_SYMBOL);
    module_source source = { .device_code = dlsym(library, MP_DEVICE_SYMBOL) };
    st = table ? module_new(ctx, table, library, &source, out)
               : error_set(ctx, MP_INVALID, "not a compiled module: it lacks " MP_MODULE_SYMBOL);
    if (st) {
        dlclose(library);
        return error_prefix(ctx, st, "%s", path);
    }
    return MP_OK;
}

void module_retain(mp_module *m)
{
    atomic_fetch_add_explicit(&m->holders, 1, memory_order_relaxed);
}

static void drop_special(mp_context *ctx, module_special *s)
{
    module_release(s->mod);
    mem_array_free(ctx, s->dims, s->n, sizeof *s->dims);
    mem_array_free(ctx, s->reals, s->n, sizeof *s->reals);
    mem_free(ctx, s, sizeof *s);
}

void module_release(mp_module *m)
{
    if (!m || atomic_fetch_sub_explicit(&m->holders, 1, memory_order_acq_rel) != 1)
        return;
    mp_context *ctx = m->ctx;
    for (module_special *s = m->specials, *next; s; s = next) {
        next = s->next;
        drop_special(ctx, s);
    }
    device_module_free(ctx, m->device);
    description_free(m->description);
    pthread_mutex_destroy(&m->lock);
    if (m->source.release)
        m->source.release(m->source.ud);
    if (m->library)
        dlclose(m->library);
    mem_free(ctx, m, sizeof *m);
    context_release(ctx);
}

void mp_module_destroy(mp_module *m)
{
    module_release(m);
}

int mp_module_num_layers(const mp_module *m)
{
    return m ? (int)m->desc->n_layers : 0;
}

const char *mp_module_layer_name(const mp_module *m, int i)
{
    return m && i >= 0 && (uint32_t)i < m->desc->n_layers ? m->desc->layers[i].name : NULL;
}

/* ---- Specialised layers ----------------------------------------------------------------------------------------- */

static bool same_value(const desc_value *a, const desc_value *b)
{
    return strcmp(a->name, b->name) == 0 && a->type == b->type && a->rows == b->rows && a->rank == b->rank &&
           a->none == b->none;
}

/* Can what was compiled stand for the layer? */
static bool fits(const desc_layer *l, const mp_module *special, bool training)
{
    if (special->desc->n_layers != 1)
        return false;
    const desc_layer *s = &special->desc->layers[0];
    if (s->n_inputs != l->n_inputs || s->n_outputs != l->n_outputs || s->n_programs < 1)
        return false;
    for (uint32_t i = 0; i < l->n_inputs; i++)
        if (!same_value(&l->inputs[i], &s->inputs[i]) || (training && l->inputs[i].differentiable != s->inputs[i].differentiable))
            return false;
    for (uint32_t i = 0; i < l->n_outputs; i++)
        if (!same_value(&l->outputs[i], &s->outputs[i]))
            return false;
    return training ? desc_find_program(s, DESC_TRAIN) && desc_find_program(s, DESC_BACKWARD) : desc_find_program(s, DESC_FORWARD) != NULL;
}

static module_special *find_special(const mp_module *m, uint32_t layer, const int64_t *dims, const double *reals, uint32_t n,
                                    bool training)
{
    for (module_special *s = m->specials; s; s = s->next)
        if (s->layer == layer && s->training == training && (!n || (memcmp(s->dims, dims, n * sizeof *dims) == 0 &&
                                         memcmp(s->reals, reals, n * sizeof *reals) == 0)))
            return s;
    return NULL;
}

static module_special *add_special(mp_module *m, uint32_t layer, const int64_t *dims, const double *reals, uint32_t n, bool training)
{
    module_special *s = mem_zalloc(m->ctx, sizeof *s);
    if (!s)
        return NULL;
    s->n = n;
    s->layer = layer;
    s->training = training;
    s->dims = mem_array(m->ctx, n, sizeof *dims, "values of dims");
    s->reals = mem_array(m->ctx, n, sizeof *reals, "values of dims");
    if (!s->dims || !s->reals) {
        drop_special(m->ctx, s);
        return NULL;
    }
    memcpy(s->dims, dims, n * sizeof *dims);
    memcpy(s->reals, reals, n * sizeof *reals);
    const desc_layer *l = &m->desc->layers[layer];
    s->mod = m->source.specialise(m->source.ud, l->name, dims, reals, n, training);
    if (s->mod && !fits(l, s->mod, training)) {
        context_log(m->ctx, "%s: what was compiled for these dims is another layer; the generic code is used", l->name);
        module_release(s->mod);
        s->mod = NULL;
        error_set(m->ctx, MP_SYSTEM, "%s: what was compiled for its dims is another layer", l->name);
    }
    if (!s->mod && !m->kernels && !m->device) {
        drop_special(m->ctx, s);
        return NULL;
    }
    s->next = m->specials;
    m->specials = s;
    return s;
}

mp_module *module_specialised(mp_module *m, uint32_t layer, const int64_t *dims, const double *reals, bool training)
{
    if (!m->source.specialise)
        return NULL;
    uint32_t n = m->desc->layers[layer].n_statics;
    pthread_mutex_lock(&m->lock);
    module_special *s = find_special(m, layer, dims, reals, n, training);
    if (!s)
        s = add_special(m, layer, dims, reals, n, training);
    pthread_mutex_unlock(&m->lock);
    return s ? s->mod : NULL;
}
