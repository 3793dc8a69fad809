/*
 * The parser: the text of a file in, its tree out.
 */
#ifndef MPC_PARSER_PARSE_H
#define MPC_PARSER_PARSE_H

#include "compiler/parser/ast.h"
#include "compiler/support/diag.h"

/*
 * Parses a registered file. Never NULL: after errors (they are in ds) the tree holds what could be
 * recovered, good enough for later stages to report more, not to be compiled. Allocates in a; strings are
 * interned in names.
 */
ast_file *parse_file(arena *a, str_table *names, diags *ds, const source_set *sources, uint32_t file);

#endif
