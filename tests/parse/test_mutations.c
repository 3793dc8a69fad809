/*
 * Programs changed at random: whatever comes out, the parser ends with a tree or with diagnostics, and a
 * program without errors obeys the formatter's laws. The changes are the same in every run.
 *
 *     test_mutations FOLDER      the .mp files there are the seeds
 */
#include "compiler/parser/ast_print.h"
#include "compiler/parser/fmt.h"
#include "compiler/parser/parse.h"
#include "tests/support/check.h"

#include <dirent.h>
#include <stdlib.h>

enum { PER_SEED = 150, MAX_SEED = 20000 };

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static const char *const fragments[] = {
    "(", ")", "[", "]", "{", "}", ";", ",", ":", ".", "=", "-", "**", "@", "!", "<", "&&", "||", "node", "src.", "edge", "update",
    "message", "iterate", "for", "until change <", "layer", "fn", "return", "let", "next", "init", "by = ", "per = ", "None", "1e9",
    "0x1", "1.5.2", "\"", "/*", "*/", "//", "#", "\xff\xfe", "\xc3\xa9", "\n", " ", "real", "index(", "x", "or none",
};

/* A few cuts, copies and insertions. */
static void change(buf *text, uint64_t *random)
{
    for (uint64_t steps = 1 + next_random(random) % 4; steps; steps--) {
        buf out = buf_make(NULL);
        size_t n = text->n, from = n ? next_random(random) % n : 0, len = next_random(random) % 12;
        if (len > n - from)
            len = n - from;
        buf_write(&out, buf_text(text), from);
        switch (next_random(random) % 3) {
        case 0:                                  /* cut */
            break;
        case 1: {                                /* copy from elsewhere */
            size_t other = n ? next_random(random) % n : 0;
            buf_write(&out, buf_text(text) + other, len < n - other ? len : n - other);
            len = 0;
            break;
        }
        default:
            buf_puts(&out, fragments[next_random(random) % (sizeof fragments / sizeof *fragments)]);
            len = 0;
            break;
        }
        buf_write(&out, buf_text(text) + from + len, n - from - len);
        buf_free(text);
        *text = out;
    }
}

static bool format(const char *text, size_t n, buf *out, buf *tree)
{
    arena *a = arena_new((size_t)64 << 20);
    source_set *sources = source_set_new(a);
    str_table *names = str_table_new(a);
    diags *ds = diags_new(a, sources);
    uint32_t file = source_add(sources, "mutant", text, n);
    bool good = fmt_file(a, names, ds, sources, file, out);
    if (good)
        ast_dump(parse_file(a, names, ds, sources, file), tree);
    buf printed = buf_make(NULL);
    diags_print(ds, &(diag_print_options){.color = true}, &printed);
    buf_free(&printed);
    arena_free(a);
    return good;
}

static void try(const buf *text)
{
    buf once = buf_make(NULL), twice = buf_make(NULL), tree = buf_make(NULL), tree2 = buf_make(NULL);
    if (format(text->n ? text->at : "", text->n, &once, &tree)) {
        bool good = format(buf_text(&once), once.n, &twice, &tree2);
        bool same = good && strcmp(buf_text(&once), buf_text(&twice)) == 0
                    && strcmp(buf_text(&tree), buf_text(&tree2)) == 0;
        CHECK(same);
        if (!same)
            fprintf(stderr, "--- of\n%s\n--- once\n%s\n--- twice\n%s\n", text->at, buf_text(&once),
                    buf_text(&twice));
    }
    buf_free(&once);
    buf_free(&twice);
    buf_free(&tree);
    buf_free(&tree2);
}

static void try_seed(const char *path)
{
    static const size_t room = MAX_SEED;
    char *text = malloc(room);
    FILE *f = fopen(path, "rb");
    size_t n = f && text ? fread(text, 1, room, f) : 0;
    if (f)
        fclose(f);
    uint64_t random = 0x9e3779b97f4a7c15u ^ n;
    for (int i = 0; i < PER_SEED; i++) {
        buf mutant = buf_make(NULL);
        buf_write(&mutant, text, n);
        change(&mutant, &random);
        try(&mutant);
        buf_free(&mutant);
    }
    free(text);
}

int main(int argc, char **argv)
{
    DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
    if (!folder)
        return fprintf(stderr, "usage: test_mutations FOLDER\n"), 2;
    int seeds = 0;
    for (struct dirent *e; (e = readdir(folder));) {
        size_t n = strlen(e->d_name);
        if (n < 4 || strcmp(e->d_name + n - 3, ".mp"))
            continue;
        buf path = buf_make(NULL);
        buf_printf(&path, "%s/%s", argv[1], e->d_name);
        try_seed(buf_text(&path));
        buf_free(&path);
        seeds++;
    }
    closedir(folder);
    CHECK(seeds > 0);
    return check_done();
}
