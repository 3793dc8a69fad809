/*
 * Code on the GPU: see device_module.h.
 */
#include "runtime/device_module.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

mp_status device_module_read(mp_context *ctx, const void *bytes, size_t n_bytes, uint64_t n_kernels, device_module **out)
{
    *out = NULL;
    if (!bytes)
        return MP_OK;
    device_module *d = mem_zalloc(ctx, sizeof *d);
    if (!d)
        return error_memory(ctx, sizeof *d, "code for a GPU");
    if (!device_code_read(bytes, n_bytes, n_kernels, &d->code)) {
        mem_free(ctx, d, sizeof *d);
        return error_set(ctx, MP_INVALID, "the module is damaged: its code for GPUs cannot be read");
    }
    *out = d;
    return MP_OK;
}

static void write_name(const device_image *m, char *text, size_t size, size_t *n)
{
    if (*n < size)
        *n += (size_t)snprintf(text + *n, size - *n, "%s%s_%u%u%s", *n ? ", " : "", m->kind == DEVICE_PTX ? "compute" : "sm", m->major, m->minor,
                               m->exact ? "a" : "");
}

static mp_status no_image(mp_context *ctx, const device *d, const device_code *c)
{
    char list[400] = "";
    size_t n = 0;
    for (uint32_t i = 0; i < c->n_images; i++)
        write_name(&c->images[i], list, sizeof list, &n);
    return error_set(ctx, MP_UNSUPPORTED, "the module was compiled for %s; %s is sm_%d%d", n ? list : "no GPU", d->name, d->major, d->minor);
}

static mp_status take(mp_context *ctx, device_module *d, const char *name, void **out)
{
    int result = ctx->device->api.module_function(out, d->cu, name);
    return result ? error_prefix(ctx, device_check(ctx, result, name), "the module is damaged") : MP_OK;
}

static mp_status take_all(mp_context *ctx, device_module *d)
{
    const struct { const char *name; void **to; } own[] = {
        { "mp_begin", &d->begin }, { "mp_control", &d->control }, { "mp_convert", &d->convert }, { "mp_reorder", &d->reorder },
        { "mp_sizes", &d->sizes },
    };
    const struct { const char *name; void **to; } some[] = {
        { "mp_pair_keys", &d->sort.keys }, { "mp_sort_count", &d->sort.count }, { "mp_scan", &d->sort.scan }, { "mp_sort_move", &d->sort.move },
        { "mp_pair_count", &d->sort.pair_count }, { "mp_pair_write", &d->sort.pair_write }, { "mp_pair_search", &d->sort.search },
        { "mp_fiber_count", &d->sort.fiber_count }, { "mp_fiber_write", &d->sort.fiber_write },
    };
    mp_status st = MP_OK;
    for (size_t i = 0; i < sizeof own / sizeof *own && !st; i++)
        st = take(ctx, d, own[i].name, own[i].to);
    for (size_t i = 0; i < sizeof some / sizeof *some; i++)
        if (ctx->device->api.module_function(some[i].to, d->cu, some[i].name))
            *some[i].to = NULL;
    d->kernels = mem_array(ctx, d->code.n_kernels, sizeof *d->kernels, "code for a GPU");
    if (!d->kernels)
        return MP_SYSTEM;
    for (uint32_t i = 0; i < d->code.n_kernels; i++)
        d->kernels[i] = (device_functions){ NULL, NULL };
    for (uint32_t i = 0; i < d->code.n_kernels && !st; i++) {
        const device_kernel *k = &d->code.kernels[i];
        st = take(ctx, d, k->rows, &d->kernels[i].rows);
        if (!st && k->piece)
            st = take(ctx, d, k->piece, &d->kernels[i].piece);
    }
    return st;
}

static void unload(mp_context *ctx, device_module *d)
{
    mem_array_free(ctx, d->kernels, d->code.n_kernels, sizeof *d->kernels);
    d->kernels = NULL;
    if (!d->cu)
        return;
    device_enter(ctx);
    ctx->device->api.synchronize(ctx->stream);          /* what was launched may still run */
    ctx->device->api.module_unload(d->cu);
    device_leave(ctx);
    d->cu = NULL;
}

static mp_status load(mp_context *ctx, device_module *d)
{
    device *gpu;
    mp_status st = device_open(ctx, &gpu);
    if (st)
        return st;
    const device_image *image = device_code_choose(&d->code, (uint32_t)gpu->major, (uint32_t)gpu->minor);
    if (!image)
        return no_image(ctx, gpu, &d->code);
    device_enter(ctx);
    st = device_check(ctx, gpu->api.module_load(&d->cu, image->bytes, 0, NULL, NULL), "code for a GPU");
    if (!st)
        st = take_all(ctx, d);
    device_leave(ctx);
    char name[40];
    size_t n = 0;
    write_name(image, name, sizeof name, &n);
    context_log(ctx, "module: code for %s on %s", name, gpu->name);
    if (st)
        unload(ctx, d);
    return st;
}

mp_status device_module_load(mp_module *m, const device_module **out)
{
    if (!m->device)
        return error_set(m->ctx, MP_UNSUPPORTED, "the module has no code for GPUs: compile it with --target cuda");
    pthread_mutex_lock(&m->lock);
    mp_status st = m->device->cu ? MP_OK : load(m->ctx, m->device);
    pthread_mutex_unlock(&m->lock);
    if (!st)
        *out = m->device;
    return st;
}

void device_module_free(mp_context *ctx, device_module *d)
{
    if (!d)
        return;
    unload(ctx, d);
    free(d->code.kernels);
    mem_free(ctx, d, sizeof *d);
}
