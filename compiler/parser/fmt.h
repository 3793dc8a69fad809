/*
 * The formatter behind `mpc fmt`: the same program in the house form of the language.
 */
#ifndef MPC_PARSER_FMT_H
#define MPC_PARSER_FMT_H

#include "compiler/support/buf.h"
#include "compiler/support/diag.h"
#include "compiler/support/str.h"

/*
 * Writes the formatted text of a registered file. Comments and blank lines (one at most) stay where they
 * are, tokens are never changed, so the result parses to the same tree, and formatting it again changes
 * nothing. false, with diagnostics and nothing written, when the file has syntax errors.
 */
bool fmt_file(arena *a, str_table *names, diags *ds, const source_set *sources, uint32_t file, buf *out);

#endif
