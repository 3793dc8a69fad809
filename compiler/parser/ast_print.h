/*
 * The tree as text: for --emit ast, for tests, and to show an expression in a message.
 */
#ifndef MPC_PARSER_AST_PRINT_H
#define MPC_PARSER_AST_PRINT_H

#include "compiler/parser/ast.h"
#include "compiler/support/buf.h"

/* An indented dump of all that the tree holds, spans aside: equal trees give equal dumps. */
void ast_dump(const ast_file *f, buf *out);
/* The expression in the notation of the language, with the parentheses that it needs. */
void ast_print_expr(const ast_expr *e, buf *out);

#endif
