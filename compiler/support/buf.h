/*
 * A text that grows: printing without files. With an arena it lives there; without one it is malloc'ed,
 * owned by whoever holds the buf, and when memory ends it stays as it was and `failed` is set.
 * `at` is NUL-terminated once something was written, and may hold NUL bytes inside.
 */
#ifndef MPC_SUPPORT_BUF_H
#define MPC_SUPPORT_BUF_H

#include "compiler/support/arena.h"

#include <stdarg.h>
#include <stdbool.h>

typedef struct buf {
    char *at;
    size_t n, cap;
    arena *a;                                    /* NULL: malloc'ed */
    bool failed;
} buf;

static inline buf buf_make(arena *a) { return (buf){.a = a}; }
void buf_free(buf *b);                           /* malloc'ed ones; leaves an empty buf */
const char *buf_text(buf *b);                    /* never NULL, NUL-terminated */
char *buf_take(buf *b);                          /* malloc'ed; the caller frees it; NULL if failed */

void buf_write(buf *b, const char *s, size_t n);
void buf_puts(buf *b, const char *s);
void buf_putc(buf *b, char c);
void buf_fill(buf *b, char c, size_t n);         /* n times c */
void buf_printf(buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
/* The shortest decimal text that reads back as the same double: 0.1, 1e-05, 3, inf, -inf, nan. */
void buf_double(buf *b, double x);

#endif
