/*
 * What the lexer does beyond its automaton: words, the values of numbers, comments, and bytes that are no
 * token. Text must be UTF-8 everywhere, in comments too, and hold no NUL.
 */
#include "compiler/lexer/lex_text.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const texts[TOKEN_COUNT] = {
#define TOKEN(id, text, class) text,
#include "compiler/lexer/token.def"
#undef TOKEN
};

enum { WORD, SIGN, OTHER };
static const unsigned char classes[TOKEN_COUNT] = {
#define TOKEN(id, text, class) class,
#include "compiler/lexer/token.def"
#undef TOKEN
};

const char *token_text(token_kind kind)
{
    return texts[kind];
}

bool token_is_word(token_kind kind)
{
    return classes[kind] == WORD;
}

void lexer_init(lexer *lx, str_table *names, diags *ds, const source_set *sources, uint32_t file)
{
    const source *f = source_get(sources, file);
    *lx =
        (lexer){.names = names, .ds = ds, .source = f, .file = file, .at = f->text, .end = f->text + f->len};
    for (int k = 0; k < TOKEN_COUNT; k++)
        if (classes[k] == WORD)
            lx->words[k] = str_of(names, texts[k]);
    if (f->len >= 3 && memcmp(f->text, "\xef\xbb\xbf", 3) == 0)
        lx->at += 3;                             /* a byte order mark says nothing in UTF-8 */
}

static span span_of(const lexer *lx, const char *lo, const char *hi)
{
    return (span){lx->file, (uint32_t)(lo - lx->source->text), (uint32_t)(hi - lx->source->text)};
}

token lex_sign(lexer *lx, token_kind kind, const char *start)
{
    return (token){.kind = kind, .at = span_of(lx, start, lx->at)};
}

token lex_word(lexer *lx, const char *start)
{
    token t = lex_sign(lx, TOKEN_NAME, start);
    t.text = str_intern(lx->names, start, (size_t)(lx->at - start));
    if (lx->at - start <= 8)                     /* no reserved word is longer */
        for (int k = 0; k < TOKEN_COUNT; k++)
            if (lx->words[k] == t.text)
                t.kind = (token_kind)k;
    return t;
}

/* Reports text that is not UTF-8: the whole run of such bytes, once. Returns its end. */
static const char *report_not_utf8(lexer *lx, const char *at)
{
    const char *start = at;
    uint32_t code = UINT32_MAX;
    while (at < lx->end && code == UINT32_MAX) {
        uint32_t n = utf8_next(at, lx->end, &code);
        if (code == UINT32_MAX)
            at += n;
    }
    diag_error(lx->ds, DIAG_SYNTAX, span_of(lx, start, at), "the byte 0x%02x is not UTF-8 here",
               (unsigned char)*start);
    return at;
}

static const char *report_nul(lexer *lx, const char *at)
{
    const char *start = at;
    while (at < lx->end && *at == '\0')
        at++;
    diag_error(lx->ds, DIAG_SYNTAX, span_of(lx, start, at), "a NUL byte in the text");
    return at;
}

/* Past one character inside a comment or a string, reporting it when it is wrong. */
static const char *pass(lexer *lx, const char *at)
{
    if ((unsigned char)*at < 0x80)
        return *at ? at + 1 : report_nul(lx, at);
    uint32_t code, n = utf8_next(at, lx->end, &code);
    return code == UINT32_MAX ? report_not_utf8(lx, at) : at + n;
}

static void to_line_end(lexer *lx)
{
    while (lx->at < lx->end && *lx->at != '\n')
        lx->at = pass(lx, lx->at);
}

void lex_line_comment(lexer *lx, const char *start)
{
    to_line_end(lx);
    if (lx->comment)
        lx->comment(lx->ud, span_of(lx, start, lx->at));
}

void lex_block_comment(lexer *lx, const char *start)
{
    for (;;) {
        if (lx->at >= lx->end) {
            diag *d = diag_error(lx->ds, DIAG_SYNTAX, span_of(lx, start, start + 2),
                                 "this comment is never closed");
            diag_help(d, "close it with */");
            lx->cut = true;
            return;
        }
        if (lx->at[0] == '*' && lx->at[1] == '/')        /* there is a NUL at the end */
            break;
        lx->at = pass(lx, lx->at);
    }
    lx->at += 2;
    if (lx->comment)
        lx->comment(lx->ud, span_of(lx, start, lx->at));
}

void lex_hash_comment(lexer *lx, const char *start)
{
    diag *d = diag_error(lx->ds, DIAG_SYNTAX, span_of(lx, start, lx->at), "`#` begins nothing here");
    diag_help(d, "comments begin with //");
    to_line_end(lx);
}

token lex_string(lexer *lx, const char *start)
{
    const char *open = lx->at;
    while (lx->at < lx->end && *lx->at != '"' && *lx->at != '\n')
        lx->at = pass(lx, lx->at);
    if (lx->at >= lx->end || *lx->at != '"') {
        diag *d = diag_error(lx->ds, DIAG_SYNTAX, span_of(lx, start, open),
                             "this string is not closed on its line");
        diag_help(d, "close it with \"");
        return lex_sign(lx, TOKEN_ERROR, start);
    }
    bool has_nul = memchr(open, '\0', (size_t)(lx->at - open)) != NULL;      /* reported; a str holds none */
    str text = str_intern(lx->names, open, has_nul ? 0 : (size_t)(lx->at - open));
    lx->at++;
    token t = lex_sign(lx, TOKEN_STRING, start);
    t.text = text;
    return t;
}

/* Decimal text to a double whatever the locale's point is: strtod of the text with that point in place. */
static double decimal(const char *s, size_t n)
{
    char small[64], *copy = n < sizeof small ? small : malloc(n + 1), *end;
    if (!copy)
        return NAN;
    memcpy(copy, s, n);
    copy[n] = '\0';
    double x = strtod(copy, &end);
    char *point = strchr(copy, '.');
    if (*end && point) {
        char probe[8];
        snprintf(probe, sizeof probe, "%.1f", 0.5);
        *point = probe[1];
        x = strtod(copy, &end);
    }
    if (copy != small)
        free(copy);
    return x;
}

token lex_number(lexer *lx, const char *start)
{
    enum { SHOWN = 24 };
    const char *tail = lx->at;
    while ((*lx->at >= '0' && *lx->at <= '9') || (*lx->at >= 'a' && *lx->at <= 'z')
           || (*lx->at >= 'A' && *lx->at <= 'Z') || *lx->at == '_' || *lx->at == '.')
        lx->at++;
    token t = lex_sign(lx, TOKEN_NUMBER, start);
    size_t n = (size_t)(lx->at - start);
    t.text = str_intern(lx->names, start, n);
    int shown = n < SHOWN ? (int)n : SHOWN;
    const char *more = n > SHOWN ? "..." : "";
    if (lx->at > tail) {
        diag *d = diag_error(lx->ds, DIAG_SYNTAX, t.at, "`%.*s%s` is not a number", shown, start, more);
        if (*tail == '.')
            diag_help(d, "a number has one decimal point");
        else
            diag_help(d, "numbers are decimal and have no suffix: 1, 0.5, 1e-5");
        t.number.bad = true;
        return t;
    }
    bool whole = strspn(start, "0123456789") >= n;
    if (whole && n > 1 && *start == '0') {
        diag *d = diag_error(lx->ds, DIAG_SYNTAX, t.at, "`%.*s%s` begins with a zero", shown, start, more);
        diag_help(d, "numbers are decimal: leave out the zeros in front");
        t.number.bad = true;
        return t;
    }
    t.number.value = decimal(start, n);
    if (!isfinite(t.number.value)) {
        diag_error(lx->ds, DIAG_VALUE, t.at, "the number `%.*s%s` is too large: the largest is about 1.8e308",
                   shown, start, more);
        t.number.bad = true;
        return t;
    }
    if (whole) {
        errno = 0;
        t.number.integer = strtoll(start, NULL, 10);
        t.number.is_integer = errno == 0;
    }
    return t;
}

token lex_half_sign(lexer *lx, token_kind kind, const char *start)
{
    token t = lex_sign(lx, kind, start);
    diag *d = diag_error(lx->ds, DIAG_SYNTAX, t.at, "`%c` is not an operator", *start);
    diag_help(d, "write %s for \"%s\" of two conditions", texts[kind], kind == TOKEN_AND ? "and" : "or");
    return t;
}

/* Characters that look like one of ours, as word processors and papers put them. */
static const struct { uint32_t code; const char *ours; } alike[] = {
    {0x00d7, "*"}, {0x00b7, "*"}, {0x22c5, "*"}, {0x2217, "*"}, {0x00f7, "/"}, {0x2212, "-"}, {0x2013, "-"}, {0x2014, "-"},
    {0x2264, "<="}, {0x2265, ">="}, {0x2260, "!="}, {0x2227, "&&"}, {0x2228, "||"}, {0x00ac, "!"}, {0x201c, "\""},
    {0x201d, "\""}, {0x201e, "\""}, {0x00b2, "** 2"}, {0x00b3, "** 3"}, {0xff0c, ","}, {0xff1b, ";"}, {0x00a0, " "},
};

/* Reports a character that is no token. */
static void report_stray(lexer *lx, span at, uint32_t code, const char *start)
{
    if (code < 0x20 || (code >= 0x7f && code < 0xa0)) {
        diag_error(lx->ds, DIAG_SYNTAX, at, "a control character (0x%02" PRIx32 ") in the text", code);
        return;
    }
    diag *d = diag_error(lx->ds, DIAG_SYNTAX, at, "the character `%.*s` means nothing here",
                         (int)(at.hi - at.lo), start);
    for (size_t i = 0; i < sizeof alike / sizeof *alike; i++)
        if (alike[i].code == code)
            diag_help(d,
                      strcmp(alike[i].ours, " ") ? "write %s" : "this is a no-break space: write a plain one",
                      alike[i].ours);
    if (*start == '\'')
        diag_help(d, "strings stand between \" and \"");
    if (*start == '^')
        diag_help(d, "the power is written **");
}

/* Of a line of strange characters the first is reported: the others belong to the same mistake. */
token lex_stray(lexer *lx, const char *start)
{
    bool told = lx->stray_line && start < lx->stray_line;
    uint32_t code, n = utf8_next(start, lx->end, &code);
    lx->at = start + n;
    if (!told) {
        const char *newline = memchr(start, '\n', (size_t)(lx->end - start));
        lx->stray_line = newline ? newline : lx->end;
        if (code == UINT32_MAX)
            lx->at = report_not_utf8(lx, start);
        else if (code == 0)
            lx->at = report_nul(lx, start);
        else
            report_stray(lx, span_of(lx, start, lx->at), code, start);
    }
    return lex_sign(lx, TOKEN_ERROR, start);
}

void lex_dump(str_table *names, diags *ds, const source_set *sources, uint32_t file, buf *out)
{
    lexer lx;
    lexer_init(&lx, names, ds, sources, file);
    for (;;) {
        token t = lexer_next(&lx);
        place p = source_place(lx.source, t.at.lo);
        buf_printf(out, "%" PRIu32 ":%" PRIu32 " ", p.line, p.column);
        if (t.kind == TOKEN_NAME)
            buf_printf(out, "name %s\n", t.text);
        else if (t.kind == TOKEN_NUMBER)
            buf_printf(out, "number %s\n", t.text);
        else if (t.kind == TOKEN_STRING)
            buf_printf(out, "string \"%s\"\n", t.text);
        else if (t.kind == TOKEN_EOF || t.kind == TOKEN_ERROR)
            buf_puts(out, t.kind == TOKEN_EOF ? "end\n" : "error\n");
        else
            buf_printf(out, "%s\n", texts[t.kind]);
        if (t.kind == TOKEN_EOF)
            return;
    }
}
