/*
 * What the runtime's tests share: checks that count and print their failures, and a small generator of numbers.
 */
#ifndef TESTS_RUNTIME_CHECK_H
#define TESTS_RUNTIME_CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "mp.h"
#include "runtime/context.h"

/* The number of failures so far, counted in main's variable. */
typedef struct check {
    mp_context *ctx;
    int failed;
} check;

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

static inline uint64_t check_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static inline int64_t check_below(uint64_t *state, int64_t n)
{
    return (int64_t)(check_random(state) % (uint64_t)n);
}

/* Makes the context, or ends the test. */
static inline check check_begin(int threads)
{
    check c = { 0 };
    if (mp_context_create(&(mp_context_options){ .threads = threads }, &c.ctx)) {
        printf("no context\n");
        exit(1);
    }
    return c;
}

/* Nothing may be left in the context; returns main's result. */
static inline int check_end(check *c)
{
    uint64_t now;
    mp_context_memory(c->ctx, &now, NULL);
    CHECK(c, now == 0);
    mp_context_destroy(c->ctx);
    return c->failed != 0;
}

#endif
