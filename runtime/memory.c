/*
 * Counted memory of a context: the caller's allocator, or the C library's. Large blocks of the latter are asked for in
 * huge pages: faulting in a fresh result by small pages costs more than many a layer that writes it.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "runtime/context.h"

enum { HUGE_PAGE = 2 << 20, HUGE_FROM = 4 << 20 };

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

static void *default_alloc(size_t bytes, size_t align)
{
    if (bytes >= HUGE_FROM) {
        void *p = aligned_alloc(HUGE_PAGE, round_up(bytes, HUGE_PAGE));
        if (p) {
            madvise(p, round_up(bytes, HUGE_PAGE), MADV_HUGEPAGE);
            return p;
        }
    }
    return aligned_alloc(align, round_up(bytes, align));
}

static void *default_allocator(void *ptr, size_t old_size, size_t new_size, size_t align)
{
    if (new_size == 0) {
        free(ptr);
        return NULL;
    }
    void *p = default_alloc(new_size, align);
    if (p && ptr) {
        memcpy(p, ptr, old_size < new_size ? old_size : new_size);
        free(ptr);
    }
    return p;
}

static void count(mp_context *ctx, size_t minus, size_t plus)
{
    uint64_t now = atomic_fetch_add_explicit(&ctx->bytes_now, (uint64_t)plus - (uint64_t)minus, memory_order_relaxed);
    now += (uint64_t)plus - (uint64_t)minus;
    uint64_t peak = atomic_load_explicit(&ctx->bytes_peak, memory_order_relaxed);
    while (now > peak && !atomic_compare_exchange_weak_explicit(&ctx->bytes_peak, &peak, now,
                                                                memory_order_relaxed, memory_order_relaxed))
        ;
}

void *mem_resize(mp_context *ctx, void *p, size_t old_bytes, size_t new_bytes)
{
    /* One byte stands for nothing, so that NULL always means that there is no memory. */
    size_t from = p ? (old_bytes ? old_bytes : 1) : 0, to = new_bytes ? new_bytes : 1;
    if (to > PTRDIFF_MAX - (size_t)HUGE_PAGE)
        return NULL;
    const mp_context_options *o = &ctx->options;
    void *q = o->alloc ? o->alloc(o->alloc_ud, p, from, to, MEM_ALIGN) : default_allocator(p, from, to, MEM_ALIGN);
    if (q)
        count(ctx, from, to);
    return q;
}

void *mem_alloc(mp_context *ctx, size_t bytes)
{
    return mem_resize(ctx, NULL, 0, bytes);
}

void *mem_zalloc(mp_context *ctx, size_t bytes)
{
    void *p = mem_alloc(ctx, bytes);
    if (p)
        memset(p, 0, bytes);
    return p;
}

void mem_free(mp_context *ctx, void *p, size_t bytes)
{
    if (!p)
        return;
    size_t from = bytes ? bytes : 1;
    const mp_context_options *o = &ctx->options;
    if (o->alloc)
        o->alloc(o->alloc_ud, p, from, 0, MEM_ALIGN);
    else
        free(p);
    count(ctx, from, 0);
}

_Bool mem_size(int64_t n, size_t size, size_t *bytes)
{
    return n >= 0 && !__builtin_mul_overflow((size_t)n, size, bytes) && *bytes <= PTRDIFF_MAX - (size_t)HUGE_PAGE;
}

void *mem_array(mp_context *ctx, int64_t n, size_t size, const char *what)
{
    size_t bytes;
    if (!mem_size(n, size, &bytes)) {
        error_set(ctx, MP_SYSTEM, "out of memory: %lld elements of %zu bytes for %s", (long long)n, size, what);
        return NULL;
    }
    void *p = mem_alloc(ctx, bytes);
    if (!p)
        error_memory(ctx, bytes, what);
    return p;
}

void *mem_zeros(mp_context *ctx, int64_t n, size_t size, const char *what)
{
    void *p = mem_array(ctx, n, size, what);
    if (p)
        memset(p, 0, (size_t)n * size);
    return p;
}

void mem_array_free(mp_context *ctx, void *p, int64_t n, size_t size)
{
    mem_free(ctx, p, (size_t)n * size);
}
