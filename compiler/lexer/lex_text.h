/*
 * The parts of the lexer that its automaton calls. `start` is the first byte of the token; lx->at is
 * behind what the automaton has read.
 */
#ifndef MPC_LEXER_LEX_TEXT_H
#define MPC_LEXER_LEX_TEXT_H

#include "compiler/lexer/lex.h"

token lex_sign(lexer *lx, token_kind kind, const char *start);
token lex_word(lexer *lx, const char *start);
token lex_number(lexer *lx, const char *start);
token lex_string(lexer *lx, const char *start);
token lex_half_sign(lexer *lx, token_kind kind, const char *start);      /* & and |: taken for && and || */
token lex_stray(lexer *lx, const char *start);
void lex_line_comment(lexer *lx, const char *start);
void lex_block_comment(lexer *lx, const char *start);
void lex_hash_comment(lexer *lx, const char *start);

#endif
