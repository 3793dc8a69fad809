/*
 * Contexts: creation from options, holders, the cores of the process, notes to the caller's log.
 */
#include "runtime/context.h"

#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/device.h"

int mp_version(void)
{
    return MP_VERSION_NUMBER;
}

/* Cores' worth of time that the control group grants, or 0 when it sets no limit. */
static int quota_cores(void)
{
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (!f)
        return 0;
    char quota[32];
    long period = 0;
    int got = fscanf(f, "%31s %ld", quota, &period);
    fclose(f);
    if (got != 2 || period <= 0 || strcmp(quota, "max") == 0)
        return 0;
    long q = strtol(quota, NULL, 10);
    return q > 0 ? (int)((q + period - 1) / period) : 0;
}

int context_cores(void)
{
    cpu_set_t set;
    int n = 0;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        n = CPU_COUNT(&set);
    if (n < 1)
        n = (int)sysconf(_SC_NPROCESSORS_ONLN);
    int quota = quota_cores();
    if (quota && quota < n)
        n = quota;
    return n < 1 ? 1 : n > POOL_MAX_THREADS ? POOL_MAX_THREADS : n;
}

static mp_status check_options(const mp_context_options *o)
{
    if (o->threads < 0 || o->threads > POOL_MAX_THREADS)
        return MP_USAGE;
    bool none = o->device.device_type == 0 && o->device.device_id == 0;
    bool cpu = o->device.device_type == kDLCPU && o->device.device_id == 0;
    bool cuda = o->device.device_type == kDLCUDA && o->device.device_id >= 0;
    return none || cpu || cuda ? MP_OK : MP_UNSUPPORTED;
}

mp_status mp_context_create(const mp_context_options *options, mp_context **out)
{
    if (!out)
        return MP_USAGE;
    mp_context_options o = { 0 };
    if (options)
        memcpy(&o, options, options->size && options->size < sizeof o ? options->size : sizeof o);
    o.size = sizeof o;
    mp_status st = check_options(&o);
    if (st)
        return st;
    if (!o.device.device_type)
        o.device = (DLDevice){ kDLCPU, 0 };
    if (!o.threads)
        o.threads = context_cores();
    mp_context *ctx = calloc(1, sizeof *ctx);
    if (!ctx)
        return MP_SYSTEM;
    ctx->options = o;
    ctx->errors = error_list_create();
    ctx->pool = o.parallel_for ? pool_create_foreign(o.threads, o.parallel_for, o.parallel_for_ud)
                               : pool_create(o.threads);
    if (!ctx->errors || !ctx->pool || pthread_mutex_init(&ctx->lock, NULL)) {
        pool_destroy(ctx->pool);
        error_list_destroy(ctx->errors);
        free(ctx);
        return MP_SYSTEM;
    }
    atomic_init(&ctx->holders, 1);
    *out = ctx;
    return MP_OK;
}

void context_retain(mp_context *ctx)
{
    atomic_fetch_add_explicit(&ctx->holders, 1, memory_order_relaxed);
}

void context_release(mp_context *ctx)
{
    if (!ctx || atomic_fetch_sub_explicit(&ctx->holders, 1, memory_order_acq_rel) != 1)
        return;
    device_close(ctx);
    pthread_mutex_destroy(&ctx->lock);
    pool_destroy(ctx->pool);
    error_list_destroy(ctx->errors);
    free(ctx);
}

void mp_context_destroy(mp_context *ctx)
{
    context_release(ctx);
}

int mp_context_threads(const mp_context *ctx)
{
    return ctx ? pool_threads(ctx->pool) : 0;
}

void mp_context_memory(const mp_context *ctx, uint64_t *now, uint64_t *peak)
{
    if (now)
        *now = ctx ? atomic_load_explicit(&ctx->bytes_now, memory_order_relaxed) : 0;
    if (peak)
        *peak = ctx ? atomic_load_explicit(&ctx->bytes_peak, memory_order_relaxed) : 0;
}

void mp_context_reset_peak(mp_context *ctx)
{
    if (ctx)
        atomic_store(&ctx->bytes_peak, atomic_load(&ctx->bytes_now));
    if (ctx)
        atomic_store(&ctx->device_peak, atomic_load(&ctx->device_now));
}

void context_log(mp_context *ctx, const char *fmt, ...)
{
    if (!ctx || !ctx->options.log)
        return;
    char line[2048];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    ctx->options.log(ctx->options.log_ud, line);
}
