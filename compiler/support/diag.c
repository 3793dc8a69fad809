/*
 * Collecting diagnostics. Printing is diag_print.c.
 */
#include "compiler/support/diag.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const class_names[DIAG_N_CLASSES] = {
    [DIAG_SYNTAX] = "syntax", [DIAG_NAME] = "name", [DIAG_TYPE] = "type", [DIAG_SHAPE] = "shape",
    [DIAG_DOMAIN] = "domain", [DIAG_STATIC] = "static", [DIAG_VALUE] = "value", [DIAG_LIMIT] = "limit",
    [DIAG_UNUSED] = "unused", [DIAG_PRECISION] = "precision",
};

const char *diag_class_name(diag_class class)
{
    return class_names[class];
}

diags *diags_new(arena *a, const source_set *sources)
{
    diags *ds = NEW(a, diags);
    ds->a = a;
    ds->sources = sources;
    ds->places = map_make(a);
    ds->sink = NEW(a, diag);
    ds->sink->dropped = true;
    ds->sink->in = ds;
    return ds;
}

/* A diagnostic to be filled in, or the sink when this place has one of the same severity or there are
 * more than anyone will read. */
static diag *enter(diags *ds, diag_severity severity, diag_class class, span at)
{
    if (ds->n >= DIAG_MAX_KEPT && (severity == DIAG_WARNING || ds->n_errors >= DIAG_MAX_KEPT)) {
        ds->n_errors += severity == DIAG_ERROR;
        ds->n_warnings += severity == DIAG_WARNING;
        return ds->sink;
    }
    bool fresh;
    uint64_t key = (uint64_t)at.file << 33 | (uint64_t)at.lo << 1 | (severity == DIAG_WARNING);
    map_slot_of(&ds->places, key, &fresh);
    if (!fresh)
        return ds->sink;
    ds->n_errors += severity == DIAG_ERROR;
    ds->n_warnings += severity == DIAG_WARNING;

    diag *d = NEW(ds->a, diag);
    *d = (diag){.severity = severity, .class = class, .at = at, .order = ds->n, .in = ds};
    d->last_note = &d->notes;
    vec_push(ds->a, ds, d);
    return d;
}

/* The text of a message; one that quotes a name of a megabyte is cut. */
static const char *format(arena *a, const char *fmt, va_list ap)
{
    char text[800];
    int n = vsnprintf(text, sizeof text, fmt, ap);
    if (n < 0)
        return "";
    if ((size_t)n < sizeof text)
        return arena_strndup(a, text, (size_t)n);
    size_t cut = sizeof text - 1;
    while (cut && ((unsigned char)text[cut - 1] & 0xc0) == 0x80)
        cut--;                                   /* no part of a character */
    return arena_printf(a, "%.*s...", (int)(cut ? cut - 1 : 0), text);
}

diag *diag_verror(diags *ds, diag_class class, span at, const char *fmt, va_list ap)
{
    diag *d = enter(ds, DIAG_ERROR, class, at);
    if (!d->dropped)
        d->text = format(ds->a, fmt, ap);
    return d;
}

diag *diag_error(diags *ds, diag_class class, span at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    diag *d = diag_verror(ds, class, at, fmt, ap);
    va_end(ap);
    return d;
}

diag *diag_warning(diags *ds, diag_class class, span at, const char *fmt, ...)
{
    diag *d = enter(ds, DIAG_WARNING, class, at);
    if (!d->dropped) {
        va_list ap;
        va_start(ap, fmt);
        d->text = format(ds->a, fmt, ap);
        va_end(ap);
    }
    return d;
}

void diag_mark(diag *d, span operand)
{
    if (!d->dropped && d->n_marks < DIAG_MAX_MARKS)
        d->marks[d->n_marks++] = operand;
}

static void add_note(diag *d, diag_note note, const char *fmt, va_list ap)
{
    if (d->dropped)
        return;
    diag_note *n = NEW(d->in->a, diag_note);
    *n = note;
    n->text = format(d->in->a, fmt, ap);
    *d->last_note = n;
    d->last_note = &n->next;
}

void diag_help(diag *d, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add_note(d, (diag_note){.is_help = true}, fmt, ap);
    va_end(ap);
}

void diag_note_at(diag *d, span at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add_note(d, (diag_note){.placed = true, .at = at}, fmt, ap);
    va_end(ap);
}

void diag_note_plain(diag *d, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add_note(d, (diag_note){0}, fmt, ap);
    va_end(ap);
}

static int by_place(const void *x, const void *y)
{
    const diag *a = *(diag *const *)x, *b = *(diag *const *)y;
    if (a->at.file != b->at.file)
        return a->at.file < b->at.file ? -1 : 1;
    if (a->at.lo != b->at.lo)
        return a->at.lo < b->at.lo ? -1 : 1;
    if (a->severity != b->severity)
        return a->severity == DIAG_ERROR ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

void diags_sort(diags *ds)
{
    if (ds->n)
        qsort(ds->at, ds->n, sizeof *ds->at, by_place);
}

/* Edits between two names, neighbours swapped counting as one; long names are not worth it. */
int diag_name_distance(const char *wrong, const char *known)
{
    enum { LONGEST = 40 };
    size_t n = strlen(wrong), m = strlen(known);
    if (n > LONGEST || m > LONGEST || n == 0 || m == 0)
        return DIAG_NOT_NEAR;
    int row[3][LONGEST + 1];
    for (size_t j = 0; j <= m; j++)
        row[0][j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int *now = row[i % 3], *up = row[(i - 1) % 3], *upper = row[(i + 1) % 3];   /* i + 1 is i - 2 mod 3 */
        now[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            int best = up[j - 1] + (wrong[i - 1] != known[j - 1]);
            if (up[j] + 1 < best)
                best = up[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && wrong[i - 1] == known[j - 2] && wrong[i - 2] == known[j - 1]
                && upper[j - 2] + 1 < best)
                best = upper[j - 2] + 1;
            now[j] = best;
        }
    }
    int distance = row[n % 3][m];
    size_t longer = n > m ? n : m;
    return (size_t)distance * 3 <= longer && distance > 0 ? distance : DIAG_NOT_NEAR;
}
