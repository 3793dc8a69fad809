/*
 * Interned strings: equal text has one address, so names compare by pointer. A str is NUL-terminated
 * and holds no NUL; it lives as long as the arena of its table.
 */
#ifndef MPC_SUPPORT_STR_H
#define MPC_SUPPORT_STR_H

#include "compiler/support/map.h"
#include "compiler/support/vec.h"

typedef const char *str;

typedef struct str_table {
    arena *a;
    idset set;
    VEC(str);                                    /* by id, in the order of their coming */
} str_table;

str_table *str_table_new(arena *a);
str str_intern(str_table *t, const char *s, size_t n);
str str_of(str_table *t, const char *s);         /* the same of a C string */
size_t str_length(str s);                        /* in constant time; interned strings only */

#endif
