/*
 * Places in source text: a span is a file and two byte offsets. Files are registered in a source_set,
 * which knows their text and finds line and column.
 */
#ifndef MPC_SUPPORT_SPAN_H
#define MPC_SUPPORT_SPAN_H

#include "compiler/support/vec.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct span {
    uint32_t file;                               /* index in the source_set */
    uint32_t lo, hi;                             /* bytes lo .. hi - 1; hi == lo: a place between bytes */
} span;

typedef struct source {
    const char *name;                            /* as the user gave it */
    const char *text;                            /* len bytes, then a NUL */
    uint32_t len;
    uint32_t *lines;                             /* offset of the first byte of each line */
    uint32_t n_lines;                            /* at least 1 */
} source;

typedef struct source_set {
    arena *a;
    VEC(source *);
} source_set;

typedef struct place { uint32_t line, column; } place;       /* 1-based; columns count characters */

enum { SOURCE_MAX_BYTES = 1 << 28 };             /* larger files are refused */

source_set *source_set_new(arena *a);
/* Copies name and text. The id of the file, or UINT32_MAX when the text is longer than SOURCE_MAX_BYTES. */
uint32_t source_add(source_set *s, const char *name, const char *text, size_t len);

const source *source_get(const source_set *s, uint32_t file);
uint32_t source_line(const source *f, uint32_t offset);      /* 0-based index into f->lines */
place source_place(const source *f, uint32_t offset);
place span_place(const source_set *s, span at);              /* of its first byte */

static inline span span_join(span a, span b)     /* from the first byte of either to the last */
{
    return (span){a.file, a.lo < b.lo ? a.lo : b.lo, a.hi > b.hi ? a.hi : b.hi};
}
static inline bool span_same(span a, span b)
{
    return a.file == b.file && a.lo == b.lo && a.hi == b.hi;
}

/* Length in bytes of the UTF-8 character at p (end > p), 1 for a byte that starts no valid one; *code is
 * its code point, or UINT32_MAX. Overlong forms, surrogates and values past U+10FFFF are not valid. */
uint32_t utf8_next(const char *p, const char *end, uint32_t *code);

#endif
