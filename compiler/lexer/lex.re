/*
 * The scanner. re2c makes the automaton of the token shapes; what needs more than a regular expression
 * (comments and their UTF-8, wrong bytes, the value of a number) is in plain C in lex_text.c.
 */
#include "compiler/lexer/lex_text.h"

token lexer_next(lexer *lx)
{
    const char *marker;
    for (;;) {
        const char *start = lx->at;
        /*!re2c
        re2c:api:style = free-form;
        re2c:define:YYCTYPE = "unsigned char";
        re2c:define:YYCURSOR = lx->at;
        re2c:define:YYLIMIT = lx->end;
        re2c:define:YYMARKER = marker;
        re2c:yyfill:enable = 0;
        re2c:eof = 0;

        digit    = [0-9];
        exponent = [eE] [+-]? digit+;
        number   = (digit+ ("." digit*)? | "." digit+) exponent?;

        $                    { return lex_sign(lx, TOKEN_EOF, start); }
        [ \t\r\n\f\v]+       { continue; }
        "//"                 { lex_line_comment(lx, start); continue; }
        "/*"                 { lex_block_comment(lx, start); continue; }
        [A-Za-z_][A-Za-z0-9_]*  { return lex_word(lx, start); }
        number               { return lex_number(lx, start); }
        ["]                  { return lex_string(lx, start); }
        "("                  { return lex_sign(lx, TOKEN_LPAREN, start); }
        ")"                  { return lex_sign(lx, TOKEN_RPAREN, start); }
        "["                  { return lex_sign(lx, TOKEN_LBRACKET, start); }
        "]"                  { return lex_sign(lx, TOKEN_RBRACKET, start); }
        "{"                  { return lex_sign(lx, TOKEN_LBRACE, start); }
        "}"                  { return lex_sign(lx, TOKEN_RBRACE, start); }
        ";"                  { return lex_sign(lx, TOKEN_SEMICOLON, start); }
        ","                  { return lex_sign(lx, TOKEN_COMMA, start); }
        ":"                  { return lex_sign(lx, TOKEN_COLON, start); }
        "."                  { return lex_sign(lx, TOKEN_DOT, start); }
        "="                  { return lex_sign(lx, TOKEN_ASSIGN, start); }
        "+"                  { return lex_sign(lx, TOKEN_PLUS, start); }
        "-"                  { return lex_sign(lx, TOKEN_MINUS, start); }
        "*"                  { return lex_sign(lx, TOKEN_STAR, start); }
        "/"                  { return lex_sign(lx, TOKEN_SLASH, start); }
        "**"                 { return lex_sign(lx, TOKEN_POWER, start); }
        "@"                  { return lex_sign(lx, TOKEN_AT, start); }
        "<"                  { return lex_sign(lx, TOKEN_LT, start); }
        "<="                 { return lex_sign(lx, TOKEN_LE, start); }
        ">"                  { return lex_sign(lx, TOKEN_GT, start); }
        ">="                 { return lex_sign(lx, TOKEN_GE, start); }
        "=="                 { return lex_sign(lx, TOKEN_EQ, start); }
        "!="                 { return lex_sign(lx, TOKEN_NE, start); }
        "!"                  { return lex_sign(lx, TOKEN_NOT, start); }
        "&&"                 { return lex_sign(lx, TOKEN_AND, start); }
        "||"                 { return lex_sign(lx, TOKEN_OR, start); }
        "&"                  { return lex_half_sign(lx, TOKEN_AND, start); }
        "|"                  { return lex_half_sign(lx, TOKEN_OR, start); }
        "#"                  { lex_hash_comment(lx, start); continue; }
        *                    { return lex_stray(lx, start); }
        */
    }
}
