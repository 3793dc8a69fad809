/*
 * Graphs in text files: MatrixMarket ("%%MatrixMarket matrix coordinate ...", 1-based, row -> column) and edge lists
 * ("src dst [weight]" a line, 0-based, '#' begins a comment). Both are scanned twice: to count, then to fill.
 */
#include <ctype.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "runtime/context.h"
#include "runtime/file.h"
#include "runtime/graph_read.h"

enum { MAX_NODES = 0x7fffffff };

/* One file, line by line; every line ends in a NUL of its own while it is looked at. */
typedef struct reader {
    mp_context *ctx;
    const char *path;
    const char *at, *end;       /* the rest of the file */
    const char *p, *line_end;   /* the rest of the line */
    int64_t line;               /* 1-based */
    locale_t plain;             /* numbers are written with a point, whatever the process's locale */
} reader;

static mp_status wrong(const reader *r, const char *what)
{
    int n = 0;
    while (r->p + n < r->line_end && n < 40 && isprint((unsigned char)r->p[n]))
        n++;
    return error_set(r->ctx, MP_INVALID, "%s:%lld: %s, found '%.*s'", r->path, (long long)r->line, what, n, r->p);
}

static bool next_line(reader *r)
{
    if (r->at >= r->end)
        return false;
    const char *nl = memchr(r->at, '\n', (size_t)(r->end - r->at));
    r->p = r->at;
    r->line_end = nl ? nl : r->end;
    r->at = nl ? nl + 1 : r->end;
    r->line++;
    return true;
}

static void skip_blanks(reader *r)
{
    while (r->p < r->line_end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\r'))
        r->p++;
}

static bool at_end(reader *r, char comment)
{
    skip_blanks(r);
    return r->p == r->line_end || *r->p == comment;
}

/* The next line that is not empty or a comment. */
static bool next_entry(reader *r, char comment)
{
    while (next_line(r)) {
        if (!at_end(r, comment))
            return true;
    }
    return false;
}

static bool ends_word(const reader *r, const char *p)
{
    return p == r->line_end || *p == ' ' || *p == '\t' || *p == '\r' || *p == '#';
}

static bool take_count(reader *r, int64_t *out)
{
    skip_blanks(r);
    const char *p = r->p;
    int64_t v = 0;
    for (; p < r->line_end && isdigit((unsigned char)*p); p++) {
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *p - '0', &v))
            return false;
    }
    if (p == r->p || !ends_word(r, p))
        return false;
    r->p = p;
    *out = v;
    return true;
}

static bool take_real(reader *r, double *out)
{
    skip_blanks(r);
    if (r->p == r->line_end)
        return false;
    char *end;                  /* the file is followed by a NUL, and a newline is no part of a number */
    double v = strtod_l(r->p, &end, r->plain);
    if (end == r->p || end > r->line_end || !ends_word(r, end))
        return false;
    r->p = end;
    *out = v;
    return true;
}

/* ---- Edge lists ---- */

static mp_status take_edge(reader *r, graph_source *s, int64_t e, bool weighted)
{
    int64_t src, dst;
    if (!take_count(r, &src) || !take_count(r, &dst))
        return wrong(r, "an edge is 'source destination' or 'source destination weight', nodes counted from 0");
    if (src >= MAX_NODES || dst >= MAX_NODES) {
        return error_set(r->ctx, MP_INVALID, "%s:%lld: node %lld is too large, at most %d is possible", r->path,
                         (long long)r->line, (long long)(src > dst ? src : dst), MAX_NODES - 1);
    }
    bool has_weight = !at_end(r, '#');
    if (has_weight != weighted)
        return wrong(r, weighted ? "this edge has no weight, but the first one has" : "the first edge has no weight, but this one has");
    double weight = 0;
    if (weighted && !take_real(r, &weight))
        return wrong(r, "a weight must be a number");
    if (!at_end(r, '#'))
        return wrong(r, "an edge has at most two nodes and a weight");
    if (s) {
        s->src[e] = (int32_t)src;
        s->dst[e] = (int32_t)dst;
        if (weighted)
            s->weights[e] = weight;
    }
    return MP_OK;
}

/* Whether the entry that the reader is at has a third word. */
static bool has_third(const reader *r)
{
    reader look = *r;
    for (int i = 0; i < 2 && !at_end(&look, '#'); i++) {
        while (!ends_word(&look, look.p))
            look.p++;
    }
    return !at_end(&look, '#');
}

static mp_status read_edge_list(reader start, graph_source *s)
{
    int64_t n = 0;
    bool weighted = false;
    mp_status st = MP_OK;
    for (reader r = start; !st && next_entry(&r, '#'); n++) {
        if (n == 0)
            weighted = has_third(&r);
        st = take_edge(&r, NULL, n, weighted);
    }
    if (!st)
        st = graph_source_edges(start.ctx, s, n, weighted);
    reader r = start;
    for (int64_t e = 0; !st && e < n && next_entry(&r, '#'); e++)
        st = take_edge(&r, s, e, weighted);
    if (!st)
        graph_source_infer_nodes(s);
    return st;
}

/* ---- MatrixMarket ---- */

typedef struct market {
    bool pattern, symmetric;
    int64_t rows, columns, entries;
} market;

static bool take_word(reader *r, char *buf, size_t size)
{
    skip_blanks(r);
    size_t n = 0;
    while (r->p < r->line_end && !isspace((unsigned char)*r->p) && n + 1 < size)
        buf[n++] = *r->p++;
    buf[n] = 0;
    return n > 0;
}

static mp_status take_banner(reader *r, market *m)
{
    char word[5][24];
    next_line(r);
    for (int i = 0; i < 5; i++) {
        if (!take_word(r, word[i], sizeof word[i]))
            return wrong(r, "a MatrixMarket file begins with '%%MatrixMarket matrix coordinate FIELD SYMMETRY'");
    }
    if (strcasecmp(word[1], "matrix") || strcasecmp(word[2], "coordinate")) {
        return error_set(r->ctx, MP_INVALID, "%s:1: is a '%s %s', but a graph must be a 'matrix coordinate'", r->path, word[1],
                         word[2]);
    }
    m->pattern = strcasecmp(word[3], "pattern") == 0;
    if (!m->pattern && strcasecmp(word[3], "real") && strcasecmp(word[3], "integer"))
        return error_set(r->ctx, MP_INVALID, "%s:1: '%s' entries are not supported: pattern, real and integer are", r->path, word[3]);
    m->symmetric = strcasecmp(word[4], "symmetric") == 0;
    if (!m->symmetric && strcasecmp(word[4], "general"))
        return error_set(r->ctx, MP_INVALID, "%s:1: '%s' is not supported: general and symmetric are", r->path, word[4]);
    return MP_OK;
}

static mp_status take_sizes(reader *r, market *m)
{
    if (!next_entry(r, '%'))
        return error_set(r->ctx, MP_INVALID, "%s:%lld: ends before the line of sizes", r->path, (long long)r->line);
    if (!take_count(r, &m->rows) || !take_count(r, &m->columns) || !take_count(r, &m->entries) || !at_end(r, '%'))
        return wrong(r, "the sizes are 'ROWS COLUMNS ENTRIES'");
    if (m->rows > MAX_NODES || m->columns > MAX_NODES)
        return error_set(r->ctx, MP_INVALID, "%s:%lld: has too many rows or columns: at most %d are possible", r->path,
                         (long long)r->line, MAX_NODES);
    if (m->symmetric && m->rows != m->columns)
        return error_set(r->ctx, MP_INVALID, "%s:%lld: a symmetric matrix must be square", r->path, (long long)r->line);
    /* Each entry takes a line of at least four bytes: a larger number cannot be true, and is not believed. */
    if (m->entries > (r->end - r->at + 1) / 4)
        return error_set(r->ctx, MP_INVALID, "%s:%lld: says %lld entries, for which the file is too short", r->path,
                         (long long)r->line, (long long)m->entries);
    return MP_OK;
}

static mp_status take_entry(reader *r, const market *m, int64_t *row, int64_t *column, double *value)
{
    if (!take_count(r, row) || !take_count(r, column) || (!m->pattern && !take_real(r, value)) || !at_end(r, '%'))
        return wrong(r, m->pattern ? "an entry is 'ROW COLUMN'" : "an entry is 'ROW COLUMN VALUE'");
    if (*row < 1 || *row > m->rows || *column < 1 || *column > m->columns) {
        return error_set(r->ctx, MP_INVALID, "%s:%lld: entry (%lld, %lld) is outside of the %lld x %lld matrix, whose rows and "
                         "columns count from 1", r->path, (long long)r->line, (long long)*row, (long long)*column,
                         (long long)m->rows, (long long)m->columns);
    }
    return MP_OK;
}

static void put_edge(graph_source *s, int64_t e, int64_t row, int64_t column, double value)
{
    s->src[e] = (int32_t)(row - 1);
    s->dst[e] = (int32_t)(column - 1);
    if (s->weights)
        s->weights[e] = value;
}

/* One pass over the entries; edges go to `s` if it has room for them. */
static mp_status take_entries(reader r, const market *m, graph_source *s, int64_t *n_edges)
{
    int64_t e = 0, row, column;
    double value = 1;
    for (int64_t k = 0; k < m->entries; k++) {
        if (!next_entry(&r, '%'))
            return error_set(r.ctx, MP_INVALID, "%s:%lld: ends after %lld of %lld entries", r.path, (long long)r.line,
                             (long long)k, (long long)m->entries);
        mp_status st = take_entry(&r, m, &row, &column, &value);
        if (st)
            return st;
        if (s)
            put_edge(s, e, row, column, value);
        e++;
        if (m->symmetric && row != column) {
            if (s)
                put_edge(s, e, column, row, value);
            e++;
        }
    }
    *n_edges = e;
    return next_entry(&r, '%') ? wrong(&r, "there are more entries than said") : MP_OK;
}

static mp_status read_market(reader r, graph_source *s)
{
    market m = { 0 };
    int64_t n = 0;
    mp_status st = take_banner(&r, &m);
    if (!st)
        st = take_sizes(&r, &m);
    if (!st)
        st = take_entries(r, &m, NULL, &n);
    if (!st)
        st = graph_source_edges(r.ctx, s, n, !m.pattern);
    if (!st)
        st = take_entries(r, &m, s, &n);
    s->n_src = m.rows;
    s->n_dst = m.columns;
    s->n_known = true;
    return st;
}

mp_status graph_read_text(mp_context *ctx, const char *path, graph_source *out)
{
    static const char banner[] = "%%MatrixMarket";
    file_bytes f;
    mp_status st = file_read(ctx, path, &f);
    if (st)
        return st;
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (plain) {
        reader r = { .ctx = ctx, .path = path, .at = f.data, .end = f.data + f.size, .plain = plain };
        bool is_market = f.size >= sizeof banner - 1 && !strncasecmp(f.data, banner, sizeof banner - 1);
        st = is_market ? read_market(r, out) : read_edge_list(r, out);
        freelocale(plain);
    } else {
        st = error_memory(ctx, 0, "a locale");
    }
    file_free(ctx, &f);
    return st;
}
