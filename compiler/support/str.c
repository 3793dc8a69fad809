/*
 * Each string is stored behind its length; a table of ids finds it by hash.
 */
#include "compiler/support/str.h"

#include <string.h>

typedef struct stored { size_t n; char text[]; } stored;

static const stored *stored_of(str s)
{
    return (const stored *)(const void *)(s - offsetof(stored, text));
}

str_table *str_table_new(arena *a)
{
    str_table *t = NEW(a, str_table);
    t->a = a;
    t->set = idset_make(a);
    return t;
}

typedef struct wanted { const str_table *t; const char *s; size_t n; } wanted;

static bool same(const void *ud, uint32_t id)
{
    const wanted *w = ud;
    str s = w->t->at[id];
    return stored_of(s)->n == w->n && memcmp(s, w->s, w->n) == 0;
}

str str_intern(str_table *t, const char *s, size_t n)
{
    wanted w = {t, s, n};
    uint64_t hash = hash_bytes(s, n);
    uint32_t id = idset_find(&t->set, hash, same, &w);
    if (id != UINT32_MAX)
        return t->at[id];
    stored *m = arena_alloc(t->a, sizeof *m + n + 1);
    m->n = n;
    memcpy(m->text, s, n);
    idset_add(&t->set, hash, t->n);
    vec_push(t->a, t, m->text);
    return m->text;
}

str str_of(str_table *t, const char *s)
{
    return str_intern(t, s, strlen(s));
}

size_t str_length(str s)
{
    return stored_of(s)->n;
}
