/*
 * The lexer: text in, tokens with their places out. Words are found in the table of token.def; comments
 * and white space are passed over, or handed to whoever asks for them (the formatter).
 *
 * Whatever the bytes are, every call makes progress. What is no token is reported, once for a run of such
 * bytes, and given as TOKEN_ERROR; a number that cannot be used is reported and given as a bad number.
 */
#ifndef MPC_LEXER_LEX_H
#define MPC_LEXER_LEX_H

#include "compiler/support/diag.h"
#include "compiler/support/str.h"

typedef enum token_kind {
#define TOKEN(id, text, class) TOKEN_##id,
#include "compiler/lexer/token.def"
#undef TOKEN
    TOKEN_COUNT
} token_kind;

typedef struct token_number {
    double value;
    int64_t integer;
    bool is_integer;                             /* no point, no exponent, and it fits in 64 bits */
    bool bad;                                    /* reported: a suffix, out of range */
} token_number;

typedef struct token {
    token_kind kind;
    span at;
    str text;                                    /* NAME; NUMBER as written; STRING without its quotes */
    token_number number;                         /* NUMBER */
} token;

typedef struct lexer {
    str_table *names;
    diags *ds;
    const source *source;
    uint32_t file;
    const char *at, *end;                        /* end points to the NUL behind the text */
    str words[TOKEN_COUNT];                      /* interned, by kind; NULL for what is no word */
    void (*comment)(void *ud, span at);          /* for each comment, when set; without its newline */
    void *ud;
    const char *stray_line;                      /* end of the line last reported for such characters */
    bool cut;                                    /* the text ended inside a comment: that was reported */
} lexer;

void lexer_init(lexer *lx, str_table *names, diags *ds, const source_set *sources, uint32_t file);
token lexer_next(lexer *lx);                     /* TOKEN_EOF at the end, again and again */

const char *token_text(token_kind kind);         /* "node", ";", "a name" */
bool token_is_word(token_kind kind);             /* a reserved word */

/* The tokens of a file, one a line, for --emit tokens: line:column, kind, text. */
void lex_dump(str_table *names, diags *ds, const source_set *sources, uint32_t file, buf *out);

#endif
