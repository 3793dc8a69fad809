/*
 * The entry to the parser: sets up its state and gathers what the grammar built.
 */
#include "compiler/parser/parse.h"

#include "compiler/parser/ast_build.h"
#include "parse.tab.h"

ast_file *parse_file(arena *a, str_table *names, diags *ds, const source_set *sources, uint32_t file)
{
    parser *p = NEW(a, parser);
    p->a = a;
    p->names = names;
    p->ds = ds;
    lexer_init(&p->lex, names, ds, sources, file);
    p->last = p->now = (token){.kind = TOKEN_EOF, .at = {file, 0, 0}};
    mp_parse(p);                                 /* its status says no more than the diagnostics */

    ast_file *f = NEW(a, ast_file);
    *f = (ast_file){.file = file, .items = p->items.at, .n_items = p->items.n, .n_exprs = p->n_exprs};
    return f;
}
