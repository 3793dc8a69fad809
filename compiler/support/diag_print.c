/*
 * Diagnostics for people:
 *
 *     gat.mp:8:28: error[shape]: cannot multiply [heads] by [heads, out]: …
 *         8 |     message f = softmax(s) * src.z;
 *           |                 ~~~~~~~~~~ ^ ~~~~~
 *           |     help: to repeat the left along the last axis, write softmax(s)[:, None]
 *
 * The marks line up on a terminal: characters are counted by the columns they take, tabs become spaces,
 * bytes that print nothing or are not UTF-8 become a replacement. Of a very long line a window around the
 * position is shown.
 */
#include "compiler/support/diag.h"

#include <string.h>

enum { TAB = 4, WINDOW = 100, NUMBER_WIDTH = 5 };

#define RED     "\033[1;31m"
#define MAGENTA "\033[1;35m"
#define CYAN    "\033[1;36m"
#define BOLD    "\033[1m"
#define PLAIN   "\033[0m"

static void paint(buf *out, const diag_print_options *o, const char *color)
{
    if (o->color)
        buf_puts(out, color);
}

/* Columns that a character takes on a terminal. */
static int width_of(uint32_t c)
{
    static const struct { uint32_t lo, hi; int width; } ranges[] = {
        {0x0300, 0x036f, 0}, {0x0483, 0x0489, 0}, {0x0591, 0x05bd, 0}, {0x0610, 0x061a, 0}, {0x064b, 0x065f, 0},
        {0x1100, 0x115f, 2}, {0x1ab0, 0x1aff, 0}, {0x1dc0, 0x1dff, 0}, {0x200b, 0x200f, 0}, {0x202a, 0x202e, 0},
        {0x2060, 0x2064, 0}, {0x20d0, 0x20ff, 0}, {0x2e80, 0x303e, 2}, {0x3041, 0x33ff, 2}, {0x3400, 0x4dbf, 2},
        {0x4e00, 0x9fff, 2}, {0xa000, 0xa4cf, 2}, {0xac00, 0xd7a3, 2}, {0xf900, 0xfaff, 2}, {0xfe00, 0xfe0f, 0},
        {0xfe20, 0xfe2f, 0}, {0xfe30, 0xfe6f, 2}, {0xfeff, 0xfeff, 0}, {0xff00, 0xff60, 2}, {0xffe0, 0xffe6, 2},
        {0x1f300, 0x1f64f, 2}, {0x1f900, 0x1f9ff, 2}, {0x20000, 0x3fffd, 2},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (c >= ranges[i].lo && c <= ranges[i].hi)
            return ranges[i].width;
    return 1;
}

/* One source line as it is shown: text, and for each byte of a window of it the column it begins at. */
typedef struct shown {
    uint32_t lo, hi;                             /* the window, bytes of the file */
    bool cut_left, cut_right;
    const source *file;
} shown;

static uint32_t step_back(const source *f, uint32_t lo, uint32_t at)
{
    do at--; while (at > lo && ((unsigned char)f->text[at] & 0xc0) == 0x80);
    return at;
}

/* The window of the line around a position: all of it when it is short. */
static shown show_line(const source *f, uint32_t offset)
{
    uint32_t line = source_line(f, offset);
    shown s = {
        .lo = f->lines[line], .hi = line + 1 < f->n_lines ? f->lines[line + 1] - 1 : f->len, .file = f};
    while (s.hi > s.lo && f->text[s.hi - 1] == '\r')
        s.hi--;
    if (s.hi - s.lo <= WINDOW * 2)
        return s;
    uint32_t lo = offset > s.hi ? s.hi : offset, hi = lo;
    for (int i = 0; i < WINDOW * 2 / 3 && lo > s.lo; i++)
        lo = step_back(f, s.lo, lo);
    for (int i = 0; i < WINDOW / 2 && hi < s.hi; i++)
        hi += utf8_next(f->text + hi, f->text + s.hi, NULL);
    s.cut_left = lo > s.lo;
    s.cut_right = hi < s.hi;
    s.lo = lo;
    s.hi = hi;
    return s;
}

/* The character at offset `at`: its length in the file, its width on the terminal from column `col` on. */
static uint32_t next_char(const shown *s, uint32_t at, uint32_t col, int *width, const char **print)
{
    uint32_t code, n = utf8_next(s->file->text + at, s->file->text + s->hi, &code);
    *print = NULL;
    if (code == '\t') {
        *width = TAB - (int)(col % TAB);
        *print = "";
    } else if (code == UINT32_MAX || code < 0x20 || (code >= 0x7f && code < 0xa0)
               || (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069)) {
        *width = 1;
        *print = "\xef\xbf\xbd";
    } else {
        *width = width_of(code);
    }
    return n;
}

static void print_window(const shown *s, buf *out)
{
    if (s->cut_left)
        buf_puts(out, "...");
    uint32_t col = 0;
    for (uint32_t at = s->lo; at < s->hi;) {
        int width;
        const char *print;
        uint32_t n = next_char(s, at, col, &width, &print);
        if (print && !*print)
            buf_fill(out, ' ', (size_t)width);
        else if (print)
            buf_puts(out, print);
        else
            buf_write(out, s->file->text + at, n);
        col += (uint32_t)width;
        at += n;
    }
    if (s->cut_right)
        buf_puts(out, "...");
}

static char mark_at(const diag *d, uint32_t at)
{
    if (at == d->at.lo)
        return '^';
    if (at > d->at.lo && at < d->at.hi)
        return '~';
    for (uint32_t i = 0; i < d->n_marks; i++)
        if (d->marks[i].file == d->at.file && at >= d->marks[i].lo && at < d->marks[i].hi)
            return '~';
    return ' ';
}

static void print_marks(const diag *d, const shown *s, buf *out)
{
    size_t spaces = s->cut_left ? 3 : 0;
    uint32_t col = 0, at = s->lo;
    while (at < s->hi) {
        int width;
        const char *print;
        uint32_t n = next_char(s, at, col, &width, &print);
        char mark = mark_at(d, at);
        if (mark == ' ') {
            spaces += (size_t)width;
        } else {
            buf_fill(out, ' ', spaces);
            spaces = 0;
            buf_putc(out, mark);
            if (width > 1)
                buf_fill(out, '~', (size_t)width - 1);
        }
        col += (uint32_t)width;
        at += n;
    }
    if (d->at.lo >= s->hi) {                     /* at the end of the line or of the file */
        buf_fill(out, ' ', spaces);
        buf_putc(out, '^');
    }
}

static void gutter(buf *out)
{
    buf_fill(out, ' ', NUMBER_WIDTH + 1);
    buf_putc(out, '|');
}

static void heading(const diags *ds, const diag *d, const diag_print_options *o, buf *out)
{
    bool error = d->severity == DIAG_ERROR || o->warnings_are_errors;
    const source *f = source_get(ds->sources, d->at.file);
    paint(out, o, BOLD);
    if (f) {
        place p = source_place(f, d->at.lo);
        buf_printf(out, "%s:%u:%u: ", f->name, p.line, p.column);
    }
    paint(out, o, error ? RED : MAGENTA);
    buf_printf(out, "%s[%s]:", error ? "error" : "warning", diag_class_name(d->class));
    paint(out, o, PLAIN);
    buf_printf(out, " %s\n", d->text);
}

void diag_print_one(const diags *ds, const diag *d, const diag_print_options *o, buf *out)
{
    heading(ds, d, o, out);
    const source *f = source_get(ds->sources, d->at.file);
    if (f) {
        shown s = show_line(f, d->at.lo);
        buf_printf(out, "%*u | ", NUMBER_WIDTH, source_line(f, d->at.lo) + 1);
        print_window(&s, out);
        buf_putc(out, '\n');
        gutter(out);
        buf_putc(out, ' ');
        paint(out, o, RED);
        print_marks(d, &s, out);
        paint(out, o, PLAIN);
        buf_putc(out, '\n');
    }
    for (const diag_note *n = d->notes; n; n = n->next) {
        gutter(out);
        buf_puts(out, "     ");
        paint(out, o, CYAN);
        buf_puts(out, n->is_help ? "help:" : "note:");
        paint(out, o, PLAIN);
        buf_printf(out, " %s", n->text);
        const source *nf = n->placed ? source_get(ds->sources, n->at.file) : NULL;
        if (nf) {
            place p = source_place(nf, n->at.lo);
            buf_printf(out, " (%s:%u:%u)", nf->name, p.line, p.column);
        }
        buf_putc(out, '\n');
    }
}

typedef void print_fn(const diags *ds, const diag *d, const diag_print_options *o, buf *out);

static void print_all(diags *ds, const diag_print_options *o, buf *out, print_fn *print)
{
    diags_sort(ds);
    uint32_t printed = 0, errors = 0, warnings = 0;
    for (uint32_t i = 0; i < ds->n && printed < DIAG_MAX_PRINTED; i++) {
        const diag *d = ds->at[i];
        if (d->severity == DIAG_WARNING && !o->warnings && !o->warnings_are_errors)
            continue;
        print(ds, d, o, out);
        printed++;
        errors += d->severity == DIAG_ERROR;
        warnings += d->severity == DIAG_WARNING;
    }
    uint32_t more = ds->n_errors - errors;
    if (o->warnings || o->warnings_are_errors)
        more += ds->n_warnings - warnings;
    if (more)
        buf_printf(out, "... and %u more\n", more);
}

void diags_print(diags *ds, const diag_print_options *o, buf *out)
{
    print_all(ds, o, out, diag_print_one);
}

void diags_print_short(diags *ds, const diag_print_options *o, buf *out)
{
    print_all(ds, o, out, heading);
}
