/*
 * What the runtime's tests share: a context that nothing may be left in, and a small generator of numbers.
 */
#ifndef TESTS_RUNTIME_CHECK_H
#define TESTS_RUNTIME_CHECK_H

#include "runtime/context.h"
#include "tests/expect.h"

/* The number of failures so far, counted in main's variable. */
typedef struct check {
    mp_context *ctx;
    int failed;
} check;

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
