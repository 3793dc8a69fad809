/*
 * What the lexer, the parser and the formatter make of a file, on standard output:
 *
 *     parse_tool tokens FILE     the tokens, then the diagnostics
 *     parse_tool ast FILE        the tree, then the diagnostics
 *     parse_tool err FILE        the diagnostics
 *     parse_tool fmt FILE        the formatted text (of a wrong file: the diagnostics)
 *     parse_tool laws FILE       formatting keeps the tree and is idempotent; expressions print and read back
 *
 * Exit status 0; 1 when a law does not hold; 2 for wrong usage.
 */
#include "compiler/lexer/lex.h"
#include "compiler/parser/ast_print.h"
#include "compiler/parser/fmt.h"
#include "compiler/parser/parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct session { arena *a; source_set *sources; str_table *names; diags *ds; } session;

static session begin(arena *a)
{
    session s = {.a = a, .sources = source_set_new(a), .names = str_table_new(a)};
    s.ds = diags_new(a, s.sources);
    return s;
}

static bool read_file(const char *path, buf *text)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return false;
    char part[4096];
    for (size_t n; (n = fread(part, 1, sizeof part, f)) > 0;)
        buf_write(text, part, n);
    fclose(f);
    return true;
}

/* The dump of a text; the number of errors in *errors. */
static const char *dump_of(arena *a, const char *text, size_t n, uint32_t *errors)
{
    session s = begin(a);
    buf out = buf_make(a);
    ast_dump(parse_file(a, s.names, s.ds, s.sources, source_add(s.sources, "text", text, n)), &out);
    *errors = s.ds->n_errors;
    return buf_text(&out);
}

static const char *formatted(arena *a, const char *text, size_t n, bool *good)
{
    session s = begin(a);
    buf out = buf_make(a);
    *good = fmt_file(a, s.names, s.ds, s.sources, source_add(s.sources, "text", text, n), &out);
    return buf_text(&out);
}

/* Each equation's expression printed and read again is the same tree. */
static bool printing_keeps(arena *a, const ast_stmt *stmt)
{
    if (stmt->kind == AST_STMT_ITERATE) {
        bool good = true;
        for (uint32_t i = 0; i < stmt->iterate.n_body; i++)
            good = printing_keeps(a, stmt->iterate.body[i]) && good;
        return good;
    }
    if (stmt->kind != AST_STMT_DEFINE && stmt->kind != AST_STMT_UPDATE && stmt->kind != AST_STMT_NEXT)
        return true;
    buf once = buf_make(a), twice = buf_make(a), text = buf_make(a);
    ast_print_expr(stmt->eq.value, &once);
    buf_printf(&text, "const c = %s;", buf_text(&once));
    session s = begin(a);
    ast_file *f = parse_file(a, s.names, s.ds, s.sources, source_add(s.sources, "printed", text.at, text.n));
    if (s.ds->n_errors == 0 && f->n_items == 1)
        ast_print_expr(f->items[0]->constant.value, &twice);
    if (strcmp(buf_text(&once), buf_text(&twice)) == 0)
        return true;
    printf("printed as %s and read back as %s\n", buf_text(&once), buf_text(&twice));
    return false;
}

static int check_laws(arena *a, const buf *text)
{
    uint32_t errors, errors2;
    bool good, good2;
    const char *tree = dump_of(a, text->at ? text->at : "", text->n, &errors);
    const char *once = formatted(a, text->at ? text->at : "", text->n, &good);
    if (good != (errors == 0))
        return printf("the formatter and the parser disagree about errors\n"), 1;
    if (!good)
        return 0;
    const char *tree2 = dump_of(a, once, strlen(once), &errors2);
    const char *twice = formatted(a, once, strlen(once), &good2);
    if (errors2 || strcmp(tree, tree2))
        return printf("formatting changes the tree:\n%s\n", once), 1;
    if (!good2 || strcmp(once, twice))
        return printf("formatting twice differs:\n%s\nand\n%s\n", once, twice), 1;

    session s = begin(a);
    ast_file *f = parse_file(a, s.names, s.ds, s.sources, source_add(s.sources, "text", once, strlen(once)));
    for (uint32_t i = 0; i < f->n_items; i++)
        for (uint32_t j = 0; f->items[i]->kind == AST_ITEM_LAYER && j < f->items[i]->layer.n_body; j++)
            good = printing_keeps(a, f->items[i]->layer.body[j]) && good;
    return !good;
}

static void print_diagnostics(const session *s)
{
    buf out = buf_make(NULL);
    diags_sort(s->ds);
    for (uint32_t i = 0; i < s->ds->n; i++)      /* all of them: diags_print stops after a few */
        diag_print_one(s->ds, s->ds->at[i], &(diag_print_options){0}, &out);
    fputs(buf_text(&out), stdout);
    buf_free(&out);
}

int main(int argc, char **argv)
{
    buf text = buf_make(NULL), out = buf_make(NULL);
    if (argc != 3 || !read_file(argv[2], &text)) {
        fprintf(stderr, "usage: parse_tool tokens|ast|err|fmt|laws FILE\n");
        return 2;
    }
    arena *a = arena_new((size_t)1 << 30);
    jmp_buf oom;
    arena_set_oom(a, &oom);
    if (setjmp(oom)) {
        printf("out of memory\n");
        return 1;
    }
    int status = 0;
    if (strcmp(argv[1], "laws") == 0) {
        status = check_laws(a, &text);
    } else {
        session s = begin(a);
        const char *name = strrchr(argv[2], '/') ? strrchr(argv[2], '/') + 1 : argv[2];
        uint32_t file = source_add(s.sources, name, buf_text(&text), text.n);
        if (strcmp(argv[1], "tokens") == 0)
            lex_dump(s.names, s.ds, s.sources, file, &out);
        else if (strcmp(argv[1], "fmt") == 0)
            fmt_file(a, s.names, s.ds, s.sources, file, &out);
        else if (strcmp(argv[1], "ast") == 0)
            ast_dump(parse_file(a, s.names, s.ds, s.sources, file), &out);
        else
            parse_file(a, s.names, s.ds, s.sources, file);
        fwrite(buf_text(&out), 1, out.n, stdout);
        print_diagnostics(&s);
    }
    buf_free(&out);
    buf_free(&text);
    arena_free(a);
    return status;
}
