/*
 * Files and their line tables. A line ends after "\n"; "\r" before it is white space of the line. An
 * invalid byte of UTF-8 counts as one character, so that columns are defined in any file.
 */
#include "compiler/support/span.h"

#include <string.h>

source_set *source_set_new(arena *a)
{
    source_set *s = NEW(a, source_set);
    s->a = a;
    return s;
}

uint32_t source_add(source_set *s, const char *name, const char *text, size_t len)
{
    if (len > SOURCE_MAX_BYTES)
        return UINT32_MAX;
    source *f = NEW(s->a, source);
    f->name = arena_strdup(s->a, name);
    f->text = arena_strndup(s->a, text, len);
    f->len = (uint32_t)len;

    uint32_t n = 1;
    for (const char *p = f->text, *end = p + len; (p = memchr(p, '\n', (size_t)(end - p))); p++)
        n++;
    f->lines = NEW_N(s->a, uint32_t, n);
    f->n_lines = n;
    n = 1;
    for (const char *p = f->text, *end = p + len; (p = memchr(p, '\n', (size_t)(end - p))); p++)
        f->lines[n++] = (uint32_t)(p + 1 - f->text);

    vec_push(s->a, s, f);
    return s->n - 1;
}

const source *source_get(const source_set *s, uint32_t file)
{
    return file < s->n ? s->at[file] : NULL;
}

uint32_t source_line(const source *f, uint32_t offset)
{
    uint32_t lo = 0, hi = f->n_lines;            /* lines[lo] <= offset < lines[hi] */
    while (hi - lo > 1) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (f->lines[mid] <= offset)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

place source_place(const source *f, uint32_t offset)
{
    if (offset > f->len)
        offset = f->len;
    uint32_t line = source_line(f, offset), column = 1;
    const char *p = f->text + f->lines[line], *end = f->text + offset;
    while (p < end) {
        p += utf8_next(p, f->text + f->len, NULL);
        column += p <= end;
    }
    return (place){line + 1, column};
}

place span_place(const source_set *s, span at)
{
    const source *f = source_get(s, at.file);
    return f ? source_place(f, at.lo) : (place){1, 1};
}

uint32_t utf8_next(const char *p, const char *end, uint32_t *code)
{
    const unsigned char *u = (const unsigned char *)p;
    size_t room = (size_t)(end - p);
    uint32_t n = u[0] < 0x80 ? 1 : u[0] < 0xc2 ? 0 : u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : u[0] < 0xf5 ? 4 : 0;
    uint32_t c = n <= 1 ? u[0] : u[0] & (0x7fu >> n);
    bool good = n != 0 && n <= room;
    for (uint32_t i = 1; good && i < n; i++) {
        good = (u[i] & 0xc0) == 0x80;
        c = c << 6 | (u[i] & 0x3fu);
    }
    good = good && !(n == 3 && (c < 0x800 || (c >= 0xd800 && c < 0xe000)));
    good = good && !(n == 4 && (c < 0x10000 || c > 0x10ffff));
    if (code)
        *code = good ? c : UINT32_MAX;
    return good ? n : 1;
}
