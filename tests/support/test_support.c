/*
 * Arenas, interned strings, maps, vectors, texts, spans and diagnostics.
 */
#include "compiler/support/diag.h"
#include "compiler/support/str.h"
#include "compiler/support/vec.h"
#include "tests/support/check.h"

#include <math.h>

static void test_arena(void)
{
    arena *a = arena_new(1 << 20);
    jmp_buf out;
    arena_set_oom(a, &out);
    char *p = arena_alloc(a, 3);
    CHECK((uintptr_t)p % 16 == 0 && p[0] == 0);
    memset(p, 1, 3);
    arena_mark m = arena_get_mark(a);
    char *q = NEW_N(a, char, 100000);
    memset(q, 7, 100000);
    arena_release(a, m);
    q = NEW_N(a, char, 100);
    for (int i = 0; i < 100; i++)
        CHECK(q[i] == 0);
    CHECK(p[2] == 1);
    CHECK_TEXT(arena_printf(a, "%d-%s", 5, "x"), "5-x");

    volatile int jumps = 0;
    int why = setjmp(out);
    if (why == 0)
        for (;;)
            arena_alloc(a, 1000);
    CHECK(why == ARENA_LIMIT && arena_bytes(a) <= 1 << 20);
    if (++jumps == 1)
        arena_alloc_array(a, SIZE_MAX / 2, 4);
    CHECK(jumps == 2);
    arena_free(a);
    arena_free(NULL);
}

static void test_tables(void)
{
    arena *a = arena_new(0);
    str_table *t = str_table_new(a);
    str first = str_of(t, "n0");
    for (int i = 0; i < 5000; i++) {
        char name[20];
        snprintf(name, sizeof name, "n%d", i % 2500);
        CHECK(strcmp(str_of(t, name), name) == 0);
    }
    CHECK(t->n == 2500 && str_of(t, "n0") == first && str_intern(t, "n0xyz", 2) == first);
    CHECK(str_length(first) == 2 && str_length(str_of(t, "")) == 0);

    map m = map_make(a);
    CHECK(!map_get(&m, 0));
    for (uint64_t i = 0; i < 5000; i++)
        map_put(&m, i * i, i);
    for (uint64_t i = 0; i < 5000; i++)
        CHECK(map_get(&m, i * i) && *map_get(&m, i * i) == i);
    CHECK(m.n == 5000 && !map_has(&m, 2));
    map_put(&m, 4, 77);
    CHECK(*map_get(&m, 4) == 77 && m.n == 5000);

    VEC(int) in_arena = {0}, in_heap = {0};
    for (int i = 0; i < 1000; i++) {
        vec_push(a, &in_arena, i);
        CHECK(vec_push(NULL, &in_heap, -i));
    }
    CHECK(in_arena.n == 1000 && in_arena.at[999] == 999 && vec_pop(&in_heap) == -999 && in_heap.n == 999);
    vec_free(&in_heap);
    arena_free(a);
}

static void test_buf(void)
{
    buf b = buf_make(NULL);
    CHECK_TEXT(buf_text(&b), "");
    buf_puts(&b, "x = ");
    buf_double(&b, 0.1);
    buf_putc(&b, ' ');
    buf_double(&b, 1e-300 / 3);
    buf_putc(&b, ' ');
    buf_double(&b, -(double)INFINITY);
    buf_fill(&b, '-', 3);
    buf_printf(&b, "%s", "end");
    char *text = buf_take(&b);
    CHECK_TEXT(text, "x = 0.1 3.3333333333333334e-301 -inf---end");
    free(text);
    for (int i = 0; i < 10000; i++)
        buf_printf(&b, "%d,", i);
    CHECK(b.n == 48890);
    buf_free(&b);
}

static void test_span(void)
{
    arena *a = arena_new(0);
    source_set *s = source_set_new(a);
    const char text[] = "ab\n\xc3\xa9x\n\nlast \xff\xc0\xaf!";
    uint32_t id = source_add(s, "f.mp", text, sizeof text - 1);
    const source *f = source_get(s, id);
    CHECK(f->n_lines == 4);
#define AT(offset, l, c) CHECK(source_place(f, offset).line == l && source_place(f, offset).column == c)
    AT(0, 1, 1);
    AT(2, 1, 3);                                 /* the newline */
    AT(3, 2, 1);
    AT(5, 2, 2);
    AT(7, 3, 1);
    AT(13, 4, 6);                                /* the invalid byte */
    AT(14, 4, 7);                                /* each byte of an overlong form counts */
    AT(16, 4, 9);
    AT(1000, 4, 10);
    CHECK(source_get(s, id + 1) == NULL && source_add(s, "empty", "", 0) == id + 1);
    CHECK(source_place(source_get(s, id + 1), 0).column == 1);
    arena_free(a);
}

static const char *printed(diags *ds, bool warnings, buf *b)
{
    buf_free(b);
    diags_print(ds, &(diag_print_options){.warnings = warnings}, b);
    return buf_text(b);
}

static void test_diag(void)
{
    arena *a = arena_new(0);
    source_set *s = source_set_new(a);
    const char text[] = "layer GAT {\n    message f = softmax(s) * src.z;\n\tx\xe2\x82\xac = y;\r\n";
    uint32_t id = source_add(s, "gat.mp", text, sizeof text - 1);
    diags *ds = diags_new(a, s);
    buf b = buf_make(NULL);
#define AT_TEXT(what) ((span){id, (uint32_t)(strstr(text, what) - text), (uint32_t)(strstr(text, what) - text + strlen(what))})
    diag_warning(ds, DIAG_UNUSED, AT_TEXT("y;"), "`%s` is not used", "y");
    diag *d = diag_error(ds, DIAG_SHAPE, AT_TEXT("*"), "cannot multiply %s by %s", "[heads]", "[heads, out]");
    diag_mark(d, AT_TEXT("softmax(s)"));
    diag_mark(d, AT_TEXT("src.z"));
    diag_help(d, "write softmax(s)[:, None]");
    diag_help(diag_error(ds, DIAG_NAME, AT_TEXT("*"), "the same place again"), "nobody sees this");
    diag_note_at(diag_error(ds, DIAG_SYNTAX, (span){id, 0, 5}, "first"), AT_TEXT("GAT"), "named here");
    diag_error(ds, DIAG_SYNTAX, (span){id, sizeof text - 1, sizeof text - 1}, "at the end");
    CHECK(ds->n == 4 && ds->n_errors == 3 && ds->n_warnings == 1 && diags_failed(ds));
    CHECK_TEXT(printed(ds, true, &b),
        "gat.mp:1:1: error[syntax]: first\n"
        "    1 | layer GAT {\n"
        "      | ^~~~~\n"
        "      |     note: named here (gat.mp:1:7)\n"
        "gat.mp:2:28: error[shape]: cannot multiply [heads] by [heads, out]\n"
        "    2 |     message f = softmax(s) * src.z;\n"
        "      |                 ~~~~~~~~~~ ^ ~~~~~\n"
        "      |     help: write softmax(s)[:, None]\n"
        "gat.mp:3:7: warning[unused]: `y` is not used\n"
        "    3 |     x\xe2\x82\xac = y;\n"
        "      |          ^~\n"
        "gat.mp:4:1: error[syntax]: at the end\n"
        "    4 | \n"
        "      | ^\n");
    buf_free(&b);
    diags_print_short(ds, &(diag_print_options){0}, &b);
    CHECK(strstr(buf_text(&b), "warning") == NULL
          && strstr(buf_text(&b), "gat.mp:4:1: error[syntax]: at the end\n"));

    /* a line of a megabyte is shown in part, and of many errors the first ones */
    buf line = buf_make(NULL);
    buf_fill(&line, 'x', 1000000);
    id = source_add(s, "long.mp", line.at, line.n);
    ds = diags_new(a, s);
    for (uint32_t i = 0; i < 1500; i++)
        diag_error(ds, DIAG_NAME, (span){id, 500000 + i, 500001 + i}, "%.20000s", line.at);
    const char *all = printed(ds, false, &b);
    CHECK(strlen(all) < 30000 && strstr(all, "long.mp:1:500001: ") == all
          && strstr(all, "... and 1480 more\n"));
    buf_free(&line);
    buf_free(&b);

    CHECK(diag_name_distance("in_degre", "in_degree") == 1 && diag_name_distance("sofmtax", "softmax") == 1);
    CHECK(diag_name_distance("x", "y") == DIAG_NOT_NEAR && diag_name_distance("abc", "abc") == DIAG_NOT_NEAR);
    arena_free(a);
}

int main(void)
{
    test_arena();
    test_tables();
    test_buf();
    test_span();
    test_diag();
    return check_done();
}
