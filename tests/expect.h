/*
 * What tests of the runtime and of the public interfaces share: checks that print what is not so and count it, in anything that has
 * `ctx` and `failed`; and the C library's memory in the form of an allocator.
 */
#ifndef TESTS_EXPECT_H
#define TESTS_EXPECT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "mp.h"

#define CHECK(c, cond)                                                                          \
    do {                                                                                        \
        if (!(cond)) {                                                                          \
            printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #cond);                           \
            (c)->failed++;                                                                      \
        }                                                                                       \
    } while (0)

/* The call succeeds. */
#define OK(c, call)                                                                             \
    do {                                                                                        \
        mp_status st_ = (call);                                                                 \
        if (st_) {                                                                              \
            printf("%s:%d: %s: %s: %s\n", __FILE__, __LINE__, #call, mp_status_name(st_),       \
                   mp_error_message((c)->ctx));                                                 \
            (c)->failed++;                                                                      \
        }                                                                                       \
    } while (0)

/* The call fails with the status, and its message contains the text. */
#define FAILS(c, want, text, call)                                                              \
    do {                                                                                        \
        mp_status st_ = (call);                                                                 \
        if (st_ != (want) || !strstr(mp_error_message((c)->ctx), (text))) {                     \
            printf("%s:%d: %s: %s, message \"%s\"; wanted %s and \"%s\"\n", __FILE__, __LINE__, \
                   #call, mp_status_name(st_), mp_error_message((c)->ctx), mp_status_name(want), (text)); \
            (c)->failed++;                                                                      \
        }                                                                                       \
    } while (0)

/* The inside of an mp_context_options.alloc that counts, limits or fails. */
static inline void *plain_resize(void *ptr, size_t old_size, size_t new_size, size_t align)
{
    if (!new_size) {
        free(ptr);
        return NULL;
    }
    void *p = aligned_alloc(align, (new_size + align - 1) / align * align);
    if (p && ptr) {
        memcpy(p, ptr, old_size < new_size ? old_size : new_size);
        free(ptr);
    }
    return p;
}

#endif
