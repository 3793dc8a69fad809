/*
 * The few macros of a unit test: a failed check prints itself and the program goes on; check_done is the
 * exit status.
 */
#ifndef MPC_TESTS_CHECK_H
#define MPC_TESTS_CHECK_H

#include <stdio.h>
#include <string.h>

#define CHECK(cond) \
    ((cond) ? (void)0 : (void)(fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond), (*check_failures())++))
#define CHECK_TEXT(got, want) check_text(__FILE__, __LINE__, (got), (want))

static inline int *check_failures(void)
{
    static int n;
    return &n;
}
static inline void check_text(const char *file, int line, const char *got, const char *want)
{
    if (strcmp(got, want) == 0)
        return;
    fprintf(stderr, "%s:%d: got\n%s\nwant\n%s\n", file, line, got, want);
    (*check_failures())++;
}
static inline int check_done(void)
{
    if (*check_failures())
        fprintf(stderr, "%d checks failed\n", *check_failures());
    return *check_failures() != 0;
}

#endif
