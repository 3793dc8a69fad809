/*
 * Inputs that nest or run on without end are refused as such: with a limit, in bounded time and memory,
 * and with a tree that is safe to walk.
 */
#include "compiler/parser/ast_print.h"
#include "compiler/parser/parse.h"
#include "tests/support/check.h"

#include <stdlib.h>

typedef struct outcome { uint32_t errors; diag_class first; uint32_t items; } outcome;

static outcome parse(const buf *text)
{
    arena *a = arena_new((size_t)256 << 20);
    source_set *sources = source_set_new(a);
    diags *ds = diags_new(a, sources);
    uint32_t file = source_add(sources, "deep", text->at, text->n);
    ast_file *f = parse_file(a, str_table_new(a), ds, sources, file);
    buf out = buf_make(NULL);
    ast_dump(f, &out);
    buf_free(&out);
    diags_sort(ds);
    outcome o = {ds->n_errors, ds->n ? ds->at[0]->class : DIAG_N_CLASSES, f->n_items};
    arena_free(a);
    return o;
}

static outcome repeated(const char *before, const char *unit, int n, const char *middle, const char *end_unit,
                        const char *after)
{
    buf text = buf_make(NULL);
    buf_printf(&text, "layer A(in) { node x[in]; %s", before);
    for (int i = 0; i < n; i++)
        buf_puts(&text, unit);
    buf_puts(&text, middle);
    for (int i = 0; i < n; i++)
        buf_puts(&text, end_unit);
    buf_puts(&text, after);
    outcome o = parse(&text);
    buf_free(&text);
    return o;
}

/* With any limit of memory the parser ends or jumps out, and leaves nothing behind. */
static bool starved(size_t limit)
{
    static const char text[] = "layer A(in, K = 3) { node x[in]; iterate z = x for K { next z = (z + "
                               "f(x[0:1])); } update g = z; } fn f(x) = x + ;";
    arena *a = arena_new(limit);
    jmp_buf oom;
    volatile bool ended = false;
    arena_set_oom(a, &oom);
    int why = setjmp(oom);
    if (why == 0) {
        source_set *sources = source_set_new(a);
        diags *ds = diags_new(a, sources);
        uint32_t file = source_add(sources, "starved", text, sizeof text - 1);
        buf out = buf_make(a);
        ast_dump(parse_file(a, str_table_new(a), ds, sources, file), &out);
        CHECK(ds->n_errors == 1);
        ended = true;
    } else {
        CHECK(why == ARENA_LIMIT);
    }
    arena_free(a);
    return ended;
}

#define LIMIT(...) do { outcome o = repeated(__VA_ARGS__); CHECK(o.errors == 1 && o.first == DIAG_LIMIT); } while (0)
#define FINE(...)  do { outcome o = repeated(__VA_ARGS__); CHECK(o.errors == 0 && o.items == 1); } while (0)

int main(void)
{
    enum { MANY = 30000, SOME = AST_MAX_DEPTH - 5 };
    LIMIT("update g = ", "(", MANY, "x", ")", "; }");
    LIMIT("update g = ", "(", MANY, "", "", "");
    LIMIT("update g = ", "relu(", MANY, "x", ")", "; }");
    LIMIT("update g = ", "x[", MANY, "0", "]", "; }");
    LIMIT("update g = ", "- ", MANY, "x", "", "; }");
    LIMIT("update g = ", "!", MANY, "x", "", "; }");
    LIMIT("update g = x", " ** x", MANY, "", "", "; }");
    LIMIT("update g = x", " + x", MANY, "", "", "; }");
    LIMIT("update g = x", ".sum(-1)", MANY, "", "", "; }");
    LIMIT("update g = x", "[0]", MANY, "", "", "; }");
    LIMIT("update g = x", ".y", MANY, "", "", "; }");
    LIMIT("", "iterate z = x for 2 {", MANY, "", "}", "}");
    FINE("update g = ", "(", SOME, "x", ")", "; }");
    FINE("update g = ", "relu(1 + ", SOME / 2, "x", ")", "; }");
    FINE("update g = ", "x[", SOME, "0", "]", "; }");
    FINE("update g = ", "f(y, z = x[1:", SOME / 3, "2", "])", "; }");
    FINE("update g = x", " + x", SOME, "", "", "; }");
    FINE("update g = ", "- ", SOME, "x", "", "; }");
    FINE("update g = x", " ** x", SOME, "", "", "; }");
    FINE("update g = stack(x", ", x", MANY, ")", "", "; }");
    FINE("", "update g = x; ", MANY, "", "", "}");
    FINE("", "iterate z = x for 2 {", AST_MAX_BLOCKS, "", "}", "}");

    outcome o = repeated("", "layer B(in) {", MANY, "", "", "");
    CHECK(o.errors > 0 && o.first == DIAG_SYNTAX);
    o = repeated("", "{", MANY, "", "}", "}");
    CHECK(o.errors == 2);                        /* no statement; too deep */
    o = repeated("", "}", MANY, "", "", "");
    CHECK(o.errors > 0);
    o = repeated("", "]", MANY, "", "", "");
    CHECK(o.errors > 0);
    CHECK(!starved(100) && starved(1 << 20));
    for (size_t limit = 1000; limit < 60000; limit += 97)
        starved(limit);
    return check_done();
}
