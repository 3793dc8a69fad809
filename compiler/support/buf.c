/*
 * Growable text; see the header. Numbers are printed with '.' whatever the locale says.
 */
#include "compiler/support/buf.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for n more bytes and the NUL. */
static bool reserve(buf *b, size_t n)
{
    if (b->failed)
        return false;
    if (n < b->cap - b->n)                       /* cap is 0 or greater than n */
        return true;
    if (n > SIZE_MAX / 4 || b->n > SIZE_MAX / 4) {
        if (b->a)
            arena_fail(b->a, ARENA_LIMIT);
        b->failed = true;
        return false;
    }
    size_t cap = b->cap < 128 ? 256 : b->cap * 2;
    if (cap < b->n + n + 1)
        cap = b->n + n + 1;
    char *at;
    if (b->a) {
        at = arena_alloc(b->a, cap);
        if (b->n)
            memcpy(at, b->at, b->n);
    } else {
        at = realloc(b->at, cap);
        if (!at) {
            b->failed = true;
            return false;
        }
    }
    b->at = at;
    b->cap = cap;
    return true;
}

void buf_free(buf *b)
{
    if (!b->a)
        free(b->at);
    *b = buf_make(b->a);
}

const char *buf_text(buf *b)
{
    if (!b->n)
        return "";
    return b->at;
}

char *buf_take(buf *b)
{
    if (b->failed || !reserve(b, 0)) {
        buf_free(b);
        return NULL;
    }
    b->at[b->n] = '\0';
    char *text = b->at;
    *b = buf_make(b->a);
    return text;
}

void buf_write(buf *b, const char *s, size_t n)
{
    if (!reserve(b, n))
        return;
    if (n)
        memcpy(b->at + b->n, s, n);
    b->n += n;
    b->at[b->n] = '\0';
}

void buf_puts(buf *b, const char *s)
{
    buf_write(b, s, strlen(s));
}

void buf_putc(buf *b, char c)
{
    buf_write(b, &c, 1);
}

void buf_fill(buf *b, char c, size_t n)
{
    if (!reserve(b, n))
        return;
    memset(b->at + b->n, c, n);
    b->n += n;
    b->at[b->n] = '\0';
}

void buf_vprintf(buf *b, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    if (n > 0 && reserve(b, (size_t)n)) {
        vsnprintf(b->at + b->n, (size_t)n + 1, fmt, again);
        b->n += (size_t)n;
    }
    va_end(again);
}

void buf_printf(buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(b, fmt, ap);
    va_end(ap);
}

void buf_double(buf *b, double x)
{
    char text[40];
    if (isnan(x) || isinf(x)) {
        buf_puts(b, isnan(x) ? "nan" : x < 0 ? "-inf" : "inf");
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x)
            break;
    }
    for (char *p = text; *p; p++)                /* a locale's decimal comma */
        if (*p == ',')
            *p = '.';
    buf_puts(b, text);
}
