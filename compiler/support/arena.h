/*
 * Arenas: memory that belongs to a stage and is dropped with it.
 *
 * A chunked bump allocator. What it hands out is zeroed and aligned for any type. Nothing is freed
 * alone: either everything allocated after a mark is released, or the whole arena.
 *
 * An arena never returns NULL. When the system has no memory, or the arena's limit of bytes is
 * reached, it jumps to the handler registered in `oom` (set by the entry point of the library with
 * setjmp); the value passed to longjmp is ARENA_NO_MEMORY or ARENA_LIMIT. Without a handler it aborts.
 * Code that holds a malloc'ed resource must not allocate from an arena that jumps past it.
 */
#ifndef MPC_SUPPORT_ARENA_H
#define MPC_SUPPORT_ARENA_H

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

enum { ARENA_NO_MEMORY = 1, ARENA_LIMIT = 2 };   /* values of the longjmp */

typedef struct arena arena;
typedef struct arena_mark { void *chunk; char *at; } arena_mark;

/* A new arena that may take at most `limit` bytes from the system (0: no limit). NULL when there is no
 * memory even for that. */
arena *arena_new(size_t limit);
void arena_free(arena *a);                       /* NULL is fine */

/* The handler; returns the one that was set before, so that callers nest. NULL removes it. */
jmp_buf *arena_set_oom(arena *a, jmp_buf *handler);
/* Jumps to the handler as an exhausted arena does: for limits that others check. */
_Noreturn void arena_fail(arena *a, int why);

void *arena_alloc(arena *a, size_t size);                    /* zeroed; size 0 gives a valid pointer */
void *arena_alloc_array(arena *a, size_t n, size_t size);    /* the product is checked */
void *arena_copy(arena *a, const void *from, size_t size);

#define NEW(a, T)      ((T *)arena_alloc((a), sizeof(T)))
#define NEW_N(a, T, n) ((T *)arena_alloc_array((a), (size_t)(n), sizeof(T)))

arena_mark arena_get_mark(const arena *a);
void arena_release(arena *a, arena_mark m);      /* drops what was allocated since the mark */

char *arena_strdup(arena *a, const char *s);
char *arena_strndup(arena *a, const char *s, size_t n);
char *arena_printf(arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

size_t arena_bytes(const arena *a);              /* taken from the system so far */

#endif
