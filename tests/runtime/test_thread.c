/*
 * The pool: each part exactly once, visible results, nested and concurrent calls, foreign loops, forked children.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

typedef struct tally {
    pool *p;
    int64_t n;
    _Atomic int *seen;
    int64_t *plain;             /* written without atomics: pool_run must make it visible */
    int threads;
    _Atomic int bad;
} tally;

static void count_part(void *arg, int64_t part, int thread)
{
    tally *t = arg;
    if (part < 0 || part >= t->n || thread < 0 || thread >= t->threads) {
        atomic_fetch_add(&t->bad, 1);
        return;
    }
    atomic_fetch_add(&t->seen[part], 1);
    t->plain[part] = part * 3;
}

static int run_once(pool *p, int64_t n)
{
    tally t = { .p = p, .n = n, .threads = pool_threads(p) };
    t.seen = calloc((size_t)n + 1, sizeof *t.seen);
    t.plain = calloc((size_t)n + 1, sizeof *t.plain);
    pool_run(p, n, count_part, &t);
    int bad = atomic_load(&t.bad);
    for (int64_t i = 0; i < n; i++)
        bad += atomic_load(&t.seen[i]) != 1 || t.plain[i] != i * 3;
    free((void *)t.seen);
    free(t.plain);
    return bad;
}

static void sizes(check *c)
{
    for (int threads = 1; threads <= 5; threads++) {
        pool *p = pool_create(threads);
        CHECK(c, p && pool_threads(p) == threads);
        for (int64_t n = 0; n < 70; n++)
            CHECK(c, run_once(p, n) == 0);
        CHECK(c, run_once(p, 10000) == 0);
        pool_destroy(p);
    }
    CHECK(c, run_once(NULL, 5) == 0);
    pool_destroy(NULL);
    pool_destroy(pool_create(4));
}

static void many_small_loops(check *c)
{
    pool *p = pool_create(2);
    struct timespec t0, t1;
    clock_gettime(CLOCK_MONOTONIC, &t0);
    int bad = 0;
    for (int i = 0; i < 3000; i++)
        bad += run_once(p, 1 + i % 7);
    clock_gettime(CLOCK_MONOTONIC, &t1);
    CHECK(c, bad == 0);
    printf("a small loop: %.2f us\n", ((double)(t1.tv_sec - t0.tv_sec) * 1e6 + (double)(t1.tv_nsec - t0.tv_nsec) * 1e-3) / 3000);
    /* Workers that have gone to sleep wake up again. */
    for (int i = 0; i < 5; i++) {
        usleep(2000);
        CHECK(c, run_once(p, 20) == 0);
    }
    pool_destroy(p);
}

static void nested_part(void *arg, int64_t part, int thread)
{
    (void)thread;
    tally *t = arg;
    if (run_once(t->p, 5 + part))
        atomic_fetch_add(&t->bad, 1);
}

static void *host_thread(void *arg)
{
    tally *t = arg;
    for (int i = 0; i < 300; i++) {
        if (run_once(t->p, 1 + i % 50))
            atomic_fetch_add(&t->bad, 1);
    }
    return NULL;
}

static void nested_and_concurrent(check *c)
{
    tally t = { .p = pool_create(3) };
    pool_run(t.p, 40, nested_part, &t);
    CHECK(c, atomic_load(&t.bad) == 0);
    pthread_t host[4];
    for (int i = 0; i < 4; i++)
        CHECK(c, !pthread_create(&host[i], NULL, host_thread, &t));
    for (int i = 0; i < 4; i++)
        pthread_join(host[i], NULL);
    CHECK(c, atomic_load(&t.bad) == 0);
    pool_destroy(t.p);
}

static void backwards(void *ud, int64_t n_parts, mp_part_fn part, void *arg)
{
    ++*(int *)ud;
    for (int64_t i = n_parts; i-- > 0;)
        part(arg, i, (int)(i % 3));
}

static void foreign_loop(check *c)
{
    int calls = 0;
    mp_context *ctx = NULL;
    OK(c, mp_context_create(&(mp_context_options){ .threads = 3, .parallel_for = backwards, .parallel_for_ud = &calls }, &ctx));
    CHECK(c, mp_context_threads(ctx) == 3 && run_once(ctx->pool, 11) == 0 && calls == 1);
    mp_context_destroy(ctx);
}

static void forked_child(check *c)
{
    pool *p = pool_create(3);
    CHECK(c, run_once(p, 30) == 0);
    pid_t child = fork();
    if (child == 0) {
        int bad = run_once(p, 30);
        pool_destroy(p);
        _exit(bad != 0);
    }
    int status = 1;
    CHECK(c, child > 0 && waitpid(child, &status, 0) == child && status == 0);
    CHECK(c, run_once(p, 30) == 0);
    pool_destroy(p);
}

typedef struct speaker {
    mp_context *ctx;
    int id;
    int wrong;
} speaker;

static void *speak(void *arg)
{
    speaker *s = arg;
    char want[64];
    for (int i = 0; i < 200; i++) {
        error_set(s->ctx, MP_INVALID, "thread %d says %d", s->id, i);
        snprintf(want, sizeof want, "thread %d says %d", s->id, i);
        s->wrong += strcmp(mp_error_message(s->ctx), want) != 0;
    }
    return NULL;
}

static void messages(check *c)
{
    CHECK(c, !strcmp(mp_error_message(c->ctx), ""));
    pthread_t host[4];
    speaker s[4];
    for (int i = 0; i < 4; i++) {
        s[i] = (speaker){ c->ctx, i, 0 };
        CHECK(c, !pthread_create(&host[i], NULL, speak, &s[i]));
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(host[i], NULL);
        CHECK(c, s[i].wrong == 0);
    }
    CHECK(c, !strcmp(mp_error_message(c->ctx), ""));
    char *longer = malloc(100001);
    memset(longer, 'x', 100000);
    longer[100000] = 0;
    CHECK(c, error_set_text(c->ctx, MP_INVALID, longer) == MP_INVALID && strlen(mp_error_message(c->ctx)) == 100000);
    error_set(c->ctx, MP_SYSTEM, "short");
    CHECK(c, error_prefix(c->ctx, MP_SYSTEM, "in %s", "here") == MP_SYSTEM);
    CHECK(c, !strcmp(mp_error_message(c->ctx), "in here: short"));
    free(longer);
    CHECK(c, strlen(mp_error_message(NULL)) > 0);
}

static void bad_options(check *c)
{
    mp_context *ctx = NULL;
    CHECK(c, mp_context_create(&(mp_context_options){ .threads = -1 }, &ctx) == MP_USAGE);
    CHECK(c, mp_context_create(&(mp_context_options){ .device = { kDLMetal, 0 } }, &ctx) == MP_UNSUPPORTED);
    CHECK(c, mp_context_create(NULL, NULL) == MP_USAGE && !ctx);
    OK(c, mp_context_create(NULL, &ctx));
    CHECK(c, mp_context_threads(ctx) == context_cores());
    mp_context_destroy(ctx);
}

int main(void)
{
    check c = check_begin(2);
    forked_child(&c);
    sizes(&c);
    many_small_loops(&c);
    nested_and_concurrent(&c);
    foreign_loop(&c);
    messages(&c);
    bad_options(&c);
    return check_end(&c);
}
