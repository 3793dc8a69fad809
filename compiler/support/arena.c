/*
 * Chunks are a singly linked list, newest first; a large request gets a chunk of its own size. Memory
 * is zeroed when it is handed out, since a release may have left old contents. Under ASan what is not
 * handed out is poisoned, so that a pointer kept over a release is found.
 */
#include "compiler/support/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
enum { RED_ZONE = 16 };                          /* poisoned bytes after each allocation */
/* Not inlined: the compiler would see fresh memory passed as if it were read. */
__attribute__((noinline)) static void poison(char *p, size_t n) { __asan_poison_memory_region(p, n); }
static void unpoison(char *p, size_t n) { __asan_unpoison_memory_region(p, n); }
#else
enum { RED_ZONE = 0 };
static void poison(char *p, size_t n) { (void)p, (void)n; }
static void unpoison(char *p, size_t n) { (void)p, (void)n; }
#endif

enum { ALIGN = 16, FIRST_CHUNK = 1 << 14, LAST_CHUNK = 1 << 20 };

typedef struct chunk {
    struct chunk *older;
    size_t size;                                 /* of the whole chunk, header included */
} chunk;

struct arena {
    chunk *newest;
    char *at, *end;                              /* free part of the newest chunk */
    size_t next_size;                            /* of the next ordinary chunk: doubles */
    size_t bytes, limit;
    jmp_buf *oom;
};

enum { HEADER = (sizeof(chunk) + ALIGN - 1) / ALIGN * ALIGN };

arena *arena_new(size_t limit)
{
    arena *a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    a->limit = limit ? limit : SIZE_MAX;
    a->next_size = FIRST_CHUNK;
    return a;
}

static void drop_newest(arena *a)
{
    chunk *c = a->newest;
    a->newest = c->older;
    a->bytes -= c->size;
    unpoison((char *)c + HEADER, c->size - HEADER);
    free(c);
}

void arena_free(arena *a)
{
    if (!a)
        return;
    while (a->newest)
        drop_newest(a);
    free(a);
}

jmp_buf *arena_set_oom(arena *a, jmp_buf *handler)
{
    jmp_buf *old = a->oom;
    a->oom = handler;
    return old;
}

_Noreturn void arena_fail(arena *a, int why)
{
    if (!a->oom)
        abort();
    longjmp(*a->oom, why);
}

/* A chunk with room for `size` bytes becomes the newest one. */
static void add_chunk(arena *a, size_t size)
{
    size_t want = a->next_size;
    if (size > want - HEADER)
        want = HEADER + size;
    if (want > a->limit - a->bytes) {            /* bytes <= limit always */
        want = HEADER + size;
        if (want > a->limit - a->bytes)
            arena_fail(a, ARENA_LIMIT);
    }
    chunk *c = malloc(want);
    if (!c)
        arena_fail(a, ARENA_NO_MEMORY);
    if (a->next_size < LAST_CHUNK)
        a->next_size *= 2;
    c->older = a->newest;
    c->size = want;
    a->newest = c;
    a->bytes += want;
    a->at = (char *)c + HEADER;
    a->end = (char *)c + want;
    poison(a->at, want - HEADER);
}

void *arena_alloc(arena *a, size_t size)
{
    if (size > SIZE_MAX / 2)
        arena_fail(a, ARENA_LIMIT);
    size_t step = (size + RED_ZONE + (size == 0) + ALIGN - 1) / ALIGN * ALIGN;
    if (step > (size_t)(a->end - a->at))
        add_chunk(a, step);
    char *p = a->at;
    a->at += step;
    unpoison(p, size);
    memset(p, 0, size);
    return p;
}

void *arena_alloc_array(arena *a, size_t n, size_t size)
{
    size_t all;
    if (__builtin_mul_overflow(n, size, &all))
        arena_fail(a, ARENA_LIMIT);
    return arena_alloc(a, all);
}

void *arena_copy(arena *a, const void *from, size_t size)
{
    void *p = arena_alloc(a, size);
    if (size)
        memcpy(p, from, size);
    return p;
}

arena_mark arena_get_mark(const arena *a)
{
    return (arena_mark){a->newest, a->at};
}

void arena_release(arena *a, arena_mark m)
{
    while (a->newest != m.chunk)
        drop_newest(a);
    a->at = m.at;
    a->end = a->newest ? (char *)a->newest + a->newest->size : NULL;
    if (a->newest)
        poison(a->at, (size_t)(a->end - a->at));
}

char *arena_strndup(arena *a, const char *s, size_t n)
{
    char *p = arena_alloc(a, n + 1);
    memcpy(p, s, n);
    return p;
}

char *arena_strdup(arena *a, const char *s)
{
    return arena_strndup(a, s, strlen(s));
}

char *arena_printf(arena *a, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *p = arena_alloc(a, n < 0 ? 1 : (size_t)n + 1);
    if (n > 0)
        vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p;
}

size_t arena_bytes(const arena *a)
{
    return a->bytes;
}
