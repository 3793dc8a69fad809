/*
 * The formatter. It lays out tokens and comments anew and changes none of them: a statement a line, four
 * spaces a block, the names of adjacent statements in one column, trailing comments of adjacent lines in
 * another. Line breaks inside a statement and parentheses stay as the user set them.
 *
 * Pieces (tokens and comments in the order of the text) become lines; lines are aligned and written.
 */
#include "compiler/parser/fmt.h"

#include "compiler/lexer/lex.h"
#include "compiler/parser/parse.h"
#include "compiler/support/vec.h"

#include <string.h>

enum { STEP = 4, ONE_LINE = 100, COMMENT = TOKEN_COUNT };

typedef struct piece {
    int kind;                                    /* a token_kind or COMMENT */
    uint32_t lo, hi;
    uint32_t newlines;                           /* between the piece before it and this one */
} piece;

typedef struct line {
    uint32_t indent;                             /* in columns */
    bool blank_before;
    bool comment;                                /* a comment alone */
    bool goes_on;                                /* continues the statement of the line before */
    bool opens;                                  /* ends with '{' */
    uint32_t key;                                /* length of the first word when names stand behind it */
    buf text;
    const piece *trailing;                       /* a comment behind it */
} line;

typedef struct formatter {
    arena *a;
    const char *text;
    VEC(piece) pieces;
    VEC(line) lines;
    uint32_t depth;                              /* of blocks */
    VEC(int) brackets;                           /* ( and [ of the statement at hand */
    bool open_line;                              /* the last line takes more tokens */
    bool in_statement;
    bool flat;                                   /* inside a block that stays on one line */
    uint32_t flat_end;                           /* the index of its '}' */
    int before;                                  /* the kind of the piece before, -1 at a beginning */
    int token_before;                            /* the same among tokens */
    bool unary;                                  /* token_before is an operator of one operand */
} formatter;

/* ---- pieces ---- */

static void add_piece(formatter *f, int kind, uint32_t lo, uint32_t hi)
{
    uint32_t from = f->pieces.n ? vec_last(&f->pieces).hi : 0, newlines = 0;
    for (uint32_t i = from; i < lo; i++)
        newlines += f->text[i] == '\n';
    vec_push(f->a, &f->pieces, (piece){kind, lo, hi, newlines});
}

static void add_comment(void *ud, span at)
{
    formatter *f = ud;
    while (at.hi > at.lo && strchr(" \t\r\f\v", f->text[at.hi - 1]))
        at.hi--;
    add_piece(f, COMMENT, at.lo, at.hi);
}

static bool is_line_comment(const formatter *f, const piece *p)
{
    return p->kind == COMMENT && f->text[p->lo + 1] == '/';
}

/* ---- spaces between tokens ---- */

static bool ends_operand(int k)
{
    return k == TOKEN_NAME || k == TOKEN_NUMBER || k == TOKEN_STRING || k == TOKEN_RPAREN
           || k == TOKEN_RBRACKET || k == TOKEN_TRAINING;
}

static bool is_unary(int before, int k)
{
    return k == TOKEN_NOT || (k == TOKEN_MINUS && !ends_operand(before));
}

/* `unary`: the token before is an operator of one operand. */
static bool space(int before, bool unary, bool in_index, int k)
{
    if (before < 0 || before == TOKEN_LPAREN || before == TOKEN_LBRACKET)
        return false;
    if (k == TOKEN_RPAREN || k == TOKEN_RBRACKET || k == TOKEN_COMMA || k == TOKEN_SEMICOLON)
        return false;
    if (before == COMMENT || k == COMMENT)
        return true;
    if (k == TOKEN_DOT)
        return before == TOKEN_NUMBER;           /* 2 .sum(0): 2. is a number */
    if (k == TOKEN_COLON)
        return before == TOKEN_COMMA;            /* x[:, :] */
    if (before == TOKEN_DOT || unary)
        return false;
    if (before == TOKEN_COLON)
        return !in_index;
    if (k == TOKEN_LBRACKET)
        return !ends_operand(before);
    if (k == TOKEN_LPAREN)
        return !(before == TOKEN_NAME || before == TOKEN_REAL || before == TOKEN_INDEX);
    return true;
}

static bool in_index(const formatter *f)
{
    return f->brackets.n && vec_last(&f->brackets) == TOKEN_LBRACKET;
}

static void follow(formatter *f, int k)
{
    f->unary = k != COMMENT && is_unary(f->token_before, k);
    f->before = k;
    if (k == COMMENT)
        return;
    f->token_before = k;
    if (k == TOKEN_LPAREN || k == TOKEN_LBRACKET)
        vec_push(f->a, &f->brackets, k);
    else if ((k == TOKEN_RPAREN || k == TOKEN_RBRACKET) && f->brackets.n)
        f->brackets.n--;
}

/* ---- lines ---- */

static line *last_line(formatter *f)
{
    return &vec_last(&f->lines);
}

static line *new_line(formatter *f, uint32_t indent, const piece *p)
{
    bool first = f->lines.n == 0;
    bool blank = !first && p->newlines > 1 && !last_line(f)->opens;
    vec_push(f->a, &f->lines, (line){.indent = indent, .blank_before = blank, .text = buf_make(f->a)});
    f->open_line = true;
    return last_line(f);
}

static void append(formatter *f, const piece *p)
{
    if (space(f->before, f->unary, in_index(f), p->kind))
        buf_putc(&last_line(f)->text, ' ');
    for (uint32_t i = p->lo; i < p->hi; i++)
        if (f->text[i] != '\r')
            buf_putc(&last_line(f)->text, f->text[i]);
    follow(f, p->kind);
}

static void end_statement(formatter *f)
{
    f->in_statement = f->open_line = false;
    f->before = f->token_before = -1;
    f->unary = false;
    vec_clear(&f->brackets);
}

/* A fn whose block the user wrote on one line stays there when it fits: the index of its '}', or 0. */
static uint32_t flat_block(formatter *f, uint32_t i)
{
    uint32_t width = 0, blocks = 0;
    formatter probe = *f;                        /* follows the tokens; its vectors may grow on their own */
    probe.brackets.at = NULL;
    probe.brackets.n = probe.brackets.cap = 0;
    for (uint32_t j = i; j < f->pieces.n; j++) {
        const piece *p = &f->pieces.at[j];
        if (p->kind == COMMENT || (j > i && p->newlines))
            return 0;
        width += p->hi - p->lo + space(probe.before, probe.unary, in_index(&probe), p->kind);
        follow(&probe, p->kind);
        blocks += p->kind == TOKEN_LBRACE;
        if (width > ONE_LINE || (p->kind == TOKEN_SEMICOLON && !blocks))
            return 0;
        if (p->kind == TOKEN_RBRACE)
            return j;
    }
    return 0;
}

/* Whether names are aligned behind this first word. */
static bool is_key(int k)
{
    return k >= TOKEN_NODE && k <= TOKEN_ITERATE;
}

/* At the top level a blank line parts whatever has a block from its neighbours. */
static void part_items(formatter *f, const piece *p, bool has_block)
{
    if (f->depth || f->lines.n < 2)
        return;
    const line *before = &f->lines.at[f->lines.n - 2];
    bool after_block = before->text.n == 1 && before->text.at[0] == '}';
    if (after_block || (has_block && !before->comment && p->kind != COMMENT))
        last_line(f)->blank_before = true;
}

static void begin_statement(formatter *f, uint32_t i)
{
    const piece *p = &f->pieces.at[i];
    uint32_t block_end = p->kind == TOKEN_FN ? flat_block(f, i) : 0;
    line *l = new_line(f, f->depth * STEP, p);
    f->in_statement = true;
    int second = i + 1 < f->pieces.n ? f->pieces.at[i + 1].kind : COMMENT;
    if (is_key(p->kind) && second == TOKEN_NAME)
        l->key = p->hi - p->lo;
    bool short_fn = block_end != 0;
    if (p->kind == TOKEN_FN && !short_fn) {      /* fn f(x) = …; has no block either */
        short_fn = true;
        for (uint32_t j = i; j < f->pieces.n && f->pieces.at[j].kind != TOKEN_SEMICOLON; j++)
            if (f->pieces.at[j].kind == TOKEN_LBRACE)
                short_fn = false;
    }
    part_items(f, p, p->kind == TOKEN_LAYER || (p->kind == TOKEN_FN && !short_fn));
    if (block_end) {
        f->flat = true;
        f->flat_end = block_end;
    }
}

/* A break inside a statement: where the user has one, or behind a comment that ends its line. */
static void continue_statement(formatter *f, const piece *p)
{
    bool joins = p->kind == TOKEN_SEMICOLON || p->kind == TOKEN_LBRACE || p->kind == TOKEN_COMMA;
    if (f->open_line && (p->newlines == 0 || joins))
        return;
    bool closes = p->kind == TOKEN_RPAREN || p->kind == TOKEN_RBRACKET || p->kind == TOKEN_LBRACE;
    piece no_blank = *p;
    no_blank.newlines = 1;
    new_line(f, (f->depth + !closes) * STEP, &no_blank)->goes_on = true;
    f->before = -1;                              /* no space at the beginning */
}

static void place_token(formatter *f, uint32_t i)
{
    const piece *p = &f->pieces.at[i];
    if (p->kind == TOKEN_RBRACE && !f->flat) {
        f->depth -= f->depth > 0;
        new_line(f, f->depth * STEP, p)->blank_before = false;
        append(f, p);
        end_statement(f);
        return;
    }
    if (!f->in_statement)
        begin_statement(f, i);
    else
        continue_statement(f, p);
    append(f, p);
    if (f->flat) {
        if (i == f->flat_end) {
            f->flat = false;
            end_statement(f);
        }
    } else if (p->kind == TOKEN_SEMICOLON) {
        end_statement(f);
    } else if (p->kind == TOKEN_LBRACE) {
        last_line(f)->opens = true;
        f->depth++;
        end_statement(f);
    }
}

static void place_comment(formatter *f, uint32_t i)
{
    const piece *p = &f->pieces.at[i];
    bool own_line = f->lines.n == 0 || p->newlines > 0;
    bool last_of_line = i + 1 == f->pieces.n || f->pieces.at[i + 1].newlines > 0 || is_line_comment(f, p);
    if (f->in_statement && !own_line && !last_of_line) {
        append(f, p);
        return;
    }
    if (!own_line && !last_line(f)->trailing && !last_line(f)->comment) {
        last_line(f)->trailing = p;
        f->open_line = false;
        return;
    }
    line *l = new_line(f, (f->depth + f->in_statement) * STEP, p);
    l->comment = true;
    if (f->in_statement)
        l->goes_on = true, l->blank_before = false;
    else
        part_items(f, p, false);
    for (uint32_t k = p->lo; k < p->hi; k++)
        if (f->text[k] != '\r')
            buf_putc(&last_line(f)->text, f->text[k]);
    f->open_line = false;
}

/* ---- alignment and output ---- */

static uint32_t width_of(const char *s, size_t n)
{
    uint32_t width = 0;
    for (const char *end = s + n; s < end; width++)
        s += utf8_next(s, end, NULL);
    return width;
}

/* Names behind the first words of adjacent statements of one block begin in one column. */
static void align_names(formatter *f)
{
    for (uint32_t i = 0; i < f->lines.n;) {
        uint32_t j = i, widest = 0, indent = f->lines.at[i].indent;
        for (; j < f->lines.n; j++) {
            const line *l = &f->lines.at[j];
            if (j > i && (l->blank_before || f->lines.at[j - 1].opens))
                break;
            if (!l->comment && !l->goes_on && l->indent != indent)
                break;
            if (l->key > widest)
                widest = l->key;
        }
        if (j == i)
            j = i + 1;
        for (; i < j; i++) {
            line *l = &f->lines.at[i];
            if (!l->key || l->key == widest)
                continue;
            buf padded = buf_make(f->a);
            buf_write(&padded, l->text.at, l->key);
            buf_fill(&padded, ' ', widest - l->key);
            buf_write(&padded, l->text.at + l->key, l->text.n - l->key);
            l->text = padded;
        }
    }
}

static void write_lines(formatter *f, buf *out)
{
    uint32_t run_end = 0, column = 0;            /* of trailing comments that stand below each other */
    for (uint32_t i = 0; i < f->lines.n; i++) {
        const line *l = &f->lines.at[i];
        if (l->blank_before)
            buf_putc(out, '\n');
        buf_fill(out, ' ', l->indent);
        buf_write(out, l->text.at, l->text.n);
        if (l->trailing) {
            if (i >= run_end) {
                column = 0;
                for (run_end = i; run_end < f->lines.n; run_end++) {
                    const line *m = &f->lines.at[run_end];
                    if (!m->trailing || (run_end > i && (m->blank_before || f->lines.at[run_end - 1].opens)))
                        break;
                    uint32_t width = m->indent + width_of(m->text.at, m->text.n);
                    if (width > column)
                        column = width;
                }
            }
            buf_fill(out, ' ', column - l->indent - width_of(l->text.at, l->text.n) + 2);
            for (uint32_t k = l->trailing->lo; k < l->trailing->hi; k++)
                if (f->text[k] != '\r')
                    buf_putc(out, f->text[k]);
        }
        buf_putc(out, '\n');
    }
}

bool fmt_file(arena *a, str_table *names, diags *ds, const source_set *sources, uint32_t file, buf *out)
{
    uint32_t errors = ds->n_errors;
    parse_file(a, names, ds, sources, file);
    if (ds->n_errors != errors)
        return false;
    formatter f = {.a = a, .text = source_get(sources, file)->text, .before = -1, .token_before = -1};
    lexer lx;
    lexer_init(&lx, names, ds, sources, file);
    lx.comment = add_comment;
    lx.ud = &f;
    for (token t = lexer_next(&lx); t.kind != TOKEN_EOF; t = lexer_next(&lx))
        add_piece(&f, (int)t.kind, t.at.lo, t.at.hi);
    for (uint32_t i = 0; i < f.pieces.n; i++) {
        if (f.pieces.at[i].kind == COMMENT)
            place_comment(&f, i);
        else
            place_token(&f, i);
    }
    align_names(&f);
    write_lines(&f, out);
    return true;
}
