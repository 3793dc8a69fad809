/*
 * Opening of a GPU, its memory and stream: see device.h.
 */
#include "runtime/device_blas.h"

#include <stdio.h>
#include <string.h>

/* ---- Opening ---------------------------------------------------------------------------------------------------- */

static int attribute(const device *d, int which)
{
    int value = 0;
    return d->api.device_attribute(&value, which, d->number) == 0 ? value : 0;
}

/* The driver's own words for an error. */
static const char *error_text(const device *d, int result, char *room, size_t size)
{
    const char *text = NULL;
    if (d->api.error_text(result, &text) != 0 || !text) {
        snprintf(room, size, "error %d", result);
        return room;
    }
    return text;
}

static mp_status fail(mp_context *ctx, const device *d, int result, const char *what)
{
    char room[40];
    return error_set(ctx, MP_SYSTEM, "%s: %s", what, error_text(d, result, room, sizeof room));
}

/* Freed blocks stay with the pool, for the next allocation. */
static void keep_pool(device *d)
{
    void *blocks = NULL;
    uint64_t all = UINT64_MAX;
    d->pools = attribute(d, CUDA_ATTRIBUTE_POOLS) && d->api.pool_get(&blocks, d->number) == 0
               && d->api.pool_set(blocks, CUDA_POOL_THRESHOLD, &all) == 0;
}

static mp_status open_driver(mp_context *ctx, device *d)
{
    char why[300];
    if (!cuda_api_open(&d->api, why, sizeof why))
        return error_set(ctx, MP_UNSUPPORTED, "%s", why);
    int result = d->api.init(0), n = 0;
    if (result == 0)
        result = d->api.driver_version(&d->api.version);
    if (result == 0)
        result = d->api.device_count(&n);
    if (result != 0)
        return fail(ctx, d, result, "the CUDA driver does not start");
    if (d->ordinal >= n)
        return error_set(ctx, MP_UNSUPPORTED, "there is no GPU number %d: this machine has %d", d->ordinal, n);
    result = d->api.device_get(&d->number, d->ordinal);
    return result ? fail(ctx, d, result, "a GPU") : MP_OK;
}

/* Numbers of an H200 where the driver tells none. */
static void find_speed(device *d)
{
    int clock = attribute(d, CUDA_ATTRIBUTE_CLOCK), memory = attribute(d, CUDA_ATTRIBUTE_MEMORY_CLOCK), bus = attribute(d, CUDA_ATTRIBUTE_BUS);
    int lanes = d->major < 8 || (d->major == 8 && d->minor == 0) ? 64 : 128;
    d->flops = clock > 0 ? 2.0 * lanes * d->multiprocessors * clock * 1e3 : 60e12;
    d->bandwidth = memory > 0 && bus > 0 ? 2.0 * memory * 1e3 * bus / 8 : 4.8e12;
}

static mp_status open_context(mp_context *ctx, device *d)
{
    d->major = attribute(d, CUDA_ATTRIBUTE_MAJOR);
    d->minor = attribute(d, CUDA_ATTRIBUTE_MINOR);
    d->multiprocessors = attribute(d, CUDA_ATTRIBUTE_MULTIPROCESSORS);
    d->shared_most = attribute(d, CUDA_ATTRIBUTE_SHARED_OPTIN);
    find_speed(d);
    if (d->api.device_name(d->name, sizeof d->name, d->number) != 0)
        strcpy(d->name, "a GPU");
    int result = d->api.primary_retain(&d->cu, d->number);
    if (result)
        return fail(ctx, d, result, d->name);
    keep_pool(d);
    result = d->api.push(d->cu);
    void *seen = NULL, *before;
    if (result == 0) {
        result = d->api.host_alloc(&seen, sizeof *d->seen, CUDA_HOST_PORTABLE | CUDA_HOST_MAPPED);
        if (result == 0)
            result = d->api.event_make(&d->event, CUDA_EVENT_NO_TIMING);
        d->api.pop(&before);
    }
    d->seen = seen;
    if (!result)
        *d->seen = 0;
    return result ? fail(ctx, d, result, d->name) : MP_OK;
}

/* What is freed goes back to the pool, and the pool's to the device: others may want it. */
static void close_device(mp_context *ctx, device *d)
{
    void *before, *blocks = NULL;
    if (d->cu && d->api.push(d->cu) == 0) {
        d->api.synchronize(ctx->stream);
        if (ctx->device)
            device_blas_close(ctx);
        if (d->pools && d->api.pool_get(&blocks, d->number) == 0)
            d->api.pool_trim(blocks, 0);
        if (d->event)
            d->api.event_drop(d->event);
        if (d->seen)
            d->api.host_free((void *)(uintptr_t)d->seen);
        d->api.pop(&before);
    }
    if (d->cu)
        d->api.primary_release(d->number);
    mem_free(ctx, d, sizeof *d);
}

mp_status device_open(mp_context *ctx, device **out)
{
    if (!context_on_device(ctx))
        return error_set(ctx, MP_USAGE, "the context is for the CPU");
    mp_status st = MP_OK;
    pthread_mutex_lock(&ctx->lock);
    if (!ctx->device) {
        device *d = mem_zalloc(ctx, sizeof *d);
        st = d ? MP_OK : error_memory(ctx, sizeof *d, "a GPU");
        if (d)
            d->ordinal = ctx->options.device.device_id;
        if (!st)
            st = open_driver(ctx, d);
        if (!st)
            st = open_context(ctx, d);
        if (!st) {
            ctx->device = d;
            context_log(ctx, "GPU %d: %s, sm_%d%d, driver %d.%d", d->ordinal, d->name, d->major, d->minor, d->api.version / 1000,
                        d->api.version % 1000 / 10);
        } else if (d) {
            close_device(ctx, d);
        }
    }
    pthread_mutex_unlock(&ctx->lock);
    if (!st && out)
        *out = ctx->device;
    return st;
}

void device_close(mp_context *ctx)
{
    if (ctx->device)
        close_device(ctx, ctx->device);
    ctx->device = NULL;
}

void device_enter(mp_context *ctx)
{
    if (ctx->device)
        ctx->device->api.push(ctx->device->cu);
}

void device_leave(mp_context *ctx)
{
    void *before;
    if (ctx->device)
        ctx->device->api.pop(&before);
}

mp_status device_check(mp_context *ctx, int result, const char *what)
{
    return result ? fail(ctx, ctx->device, result, what) : MP_OK;
}

/* ---- The stream ------------------------------------------------------------------------------------------------- */

bool device_is_capturing(mp_context *ctx)
{
    int status = 0;
    return ctx->device->api.capturing(ctx->stream, &status) == 0 && status != 0;
}

/* What comes on the new stream waits for what was put on the old one. A stream that is being captured takes part in
 * nothing that lies outside of its graph. */
mp_status mp_set_stream(mp_context *ctx, void *stream)
{
    if (!ctx)
        return MP_USAGE;
    device *d;
    mp_status st = device_open(ctx, &d);
    if (st || ctx->stream == stream)
        return st;
    device_enter(ctx);
    int before = 0, after = 0, result = d->api.capturing(ctx->stream, &before);
    if (result == 0)
        result = d->api.capturing(stream, &after);
    if (result == 0 && !before && !after) {
        result = d->api.event_record(d->event, ctx->stream);
        if (result == 0)
            result = d->api.wait_event(stream, d->event, 0);
    }
    device_leave(ctx);
    ctx->stream = stream;
    return device_check(ctx, result, "another stream");
}

mp_status device_synchronize(mp_context *ctx)
{
    device_enter(ctx);
    int result = ctx->device->api.synchronize(ctx->stream);
    device_leave(ctx);
    return device_check(ctx, result, "the GPU");
}

mp_status mp_synchronize(mp_context *ctx)
{
    if (!ctx)
        return MP_USAGE;
    return ctx->device ? device_synchronize(ctx) : MP_OK;
}

mp_status device_upload(mp_context *ctx, void *to, const void *from, size_t bytes)
{
    if (!bytes)
        return MP_OK;
    device_enter(ctx);
    int result = ctx->device->api.upload((uintptr_t)to, from, bytes, ctx->stream);
    device_leave(ctx);
    return device_check(ctx, result, "a copy to the GPU");
}

mp_status device_download(mp_context *ctx, void *to, const void *from, size_t bytes)
{
    device_enter(ctx);
    int result = bytes ? ctx->device->api.download(to, (uintptr_t)from, bytes, ctx->stream) : 0;
    if (result == 0)
        result = ctx->device->api.synchronize(ctx->stream);
    device_leave(ctx);
    return device_check(ctx, result, "a copy from the GPU");
}

mp_status device_copy(mp_context *ctx, void *to, const void *from, size_t bytes)
{
    if (!bytes)
        return MP_OK;
    device_enter(ctx);
    int result = ctx->device->api.copy((uintptr_t)to, (uintptr_t)from, bytes, ctx->stream);
    device_leave(ctx);
    return device_check(ctx, result, "a copy on the GPU");
}

mp_status device_fill(mp_context *ctx, void *to, int value, size_t bytes)
{
    if (!bytes)
        return MP_OK;
    device_enter(ctx);
    int result = ctx->device->api.fill((uintptr_t)to, (unsigned char)value, bytes, ctx->stream);
    device_leave(ctx);
    return device_check(ctx, result, "a fill of the GPU's memory");
}

mp_status device_run(mp_context *ctx, void *function, int64_t blocks, int threads, size_t shared, const void *first, const void *second)
{
    void *arguments[2] = { (void *)(uintptr_t)first, (void *)(uintptr_t)second };
    if (blocks < 1)
        return MP_OK;
    unsigned grid = blocks > INT32_MAX ? INT32_MAX : (unsigned)blocks;
    int result = ctx->device->api.launch(function, grid, 1, 1, (unsigned)threads, 1, 1, (unsigned)shared, ctx->stream, arguments, NULL);
    return device_check(ctx, result, "a launch");
}

/* ---- Data ------------------------------------------------------------------------------------------------------- */

static void count(mp_context *ctx, size_t minus, size_t plus)
{
    uint64_t now = atomic_fetch_add(&ctx->device_now, (uint64_t)plus - (uint64_t)minus) + plus - minus;
    uint64_t peak = atomic_load(&ctx->device_peak);
    while (now > peak && !atomic_compare_exchange_weak(&ctx->device_peak, &peak, now))
        ;
}

void mp_device_memory(const mp_context *ctx, uint64_t *now, uint64_t *peak)
{
    if (now)
        *now = ctx ? atomic_load(&ctx->device_now) : 0;
    if (peak)
        *peak = ctx ? atomic_load(&ctx->device_peak) : 0;
}

void *data_alloc(mp_context *ctx, size_t bytes)
{
    if (!context_on_device(ctx))
        return mem_alloc(ctx, bytes);
    device *d;
    if (device_open(ctx, &d))
        return NULL;
    const mp_context_options *o = &ctx->options;
    size_t n = bytes ? bytes : 1;
    uint64_t p = 0;
    device_enter(ctx);
    if (o->device_alloc)
        p = (uintptr_t)o->device_alloc(o->device_alloc_ud, NULL, 0, n, MEM_ALIGN);
    else if ((d->pools ? d->api.alloc_async(&p, n, ctx->stream) : d->api.alloc(&p, n)) != 0)
        p = 0;
    device_leave(ctx);
    if (p)
        count(ctx, 0, n);
    return (void *)(uintptr_t)p;
}

void data_free(mp_context *ctx, void *p, size_t bytes)
{
    if (!p)
        return;
    if (!context_on_device(ctx)) {
        mem_free(ctx, p, bytes);
        return;
    }
    const mp_context_options *o = &ctx->options;
    size_t n = bytes ? bytes : 1;
    device_enter(ctx);
    if (o->device_alloc)
        o->device_alloc(o->device_alloc_ud, p, n, 0, MEM_ALIGN);
    else if (ctx->device->pools)
        ctx->device->api.free_async((uintptr_t)p, ctx->stream);
    else
        ctx->device->api.free((uintptr_t)p);
    device_leave(ctx);
    count(ctx, n, 0);
}

mp_status data_zero(mp_context *ctx, void *p, size_t bytes)
{
    if (context_on_device(ctx))
        return device_fill(ctx, p, 0, bytes);
    if (bytes)
        memset(p, 0, bytes);
    return MP_OK;
}

mp_status data_upload(mp_context *ctx, void *to, const void *from, size_t bytes)
{
    if (context_on_device(ctx))
        return device_upload(ctx, to, from, bytes);
    if (bytes)
        memcpy(to, from, bytes);
    return MP_OK;
}

mp_status data_download(mp_context *ctx, void *to, const void *from, size_t bytes)
{
    if (context_on_device(ctx))
        return device_download(ctx, to, from, bytes);
    if (bytes)
        memcpy(to, from, bytes);
    return MP_OK;
}
