/*
 * Options of the form --name VALUE or --name=VALUE, from a table that is the help text, too.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "train.h"

static void print_default(const option *o)
{
    if (o->kind == OPTION_COUNT)
        printf(" [%lld]", (long long)*(const int64_t *)o->value);
    else if (o->kind == OPTION_REAL && *(const double *)o->value == *(const double *)o->value)
        printf(" [%g]", *(const double *)o->value);
    else if (o->kind == OPTION_TEXT && *(const char **)o->value) {
        const char *text = *(const char **)o->value, *slash = strrchr(text, '/');
        printf(" [%s]", slash ? slash + 1 : text);
    }
}

static void help(const char *program, const char *about, const option *list)
{
    const char *slash = strrchr(program, '/');
    printf("%s\n\nusage: %s [--option VALUE ...]\n\n", about, slash ? slash + 1 : program);
    for (const option *o = list; o->name; o++) {
        printf("  --%-12s %s", o->name, o->help);
        print_default(o);
        printf("\n");
    }
}

static _Noreturn void wrong(const char *what, const char *which)
{
    fprintf(stderr, "%s '%s'; --help tells what there is\n", what, which);
    exit(2);
}

static void set(const option *o, const char *text)
{
    char *end;
    errno = 0;
    switch (o->kind) {
    case OPTION_COUNT: *(int64_t *)o->value = strtoll(text, &end, 10); break;
    case OPTION_REAL: *(double *)o->value = strtod(text, &end); break;
    case OPTION_TEXT: *(const char **)o->value = text; return;
    }
    if (errno || end == text || *end || (o->kind == OPTION_COUNT && *(int64_t *)o->value < 0))
        wrong("not a number", text);
}

void options_read(int argc, char **argv, const char *about, const option *list)
{
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        if (!strcmp(a, "--help") || !strcmp(a, "-h")) {
            help(argv[0], about, list);
            exit(0);
        }
        if (strncmp(a, "--", 2) != 0)
            wrong("not an option:", a);
        size_t n = strcspn(a + 2, "=");
        const option *o = list;
        while (o->name && (strlen(o->name) != n || strncmp(o->name, a + 2, n) != 0))
            o++;
        if (!o->name)
            wrong("no such option:", a);
        if (!a[2 + n] && i + 1 == argc)
            wrong("a value is missing after", a);
        set(o, a[2 + n] ? a + 3 + n : argv[++i]);
    }
}
