/*
 * The pool. A loop is published in one 64-bit word, `work`: its number (epoch) in the upper half, the next part in the
 * lower. Taking a part is a compare-and-swap of that word, so a worker that was asleep during a whole loop can never
 * take a part of a loop it has not read: the epoch differs and the swap fails. Between loops the word is closed (no
 * next part), and only then are the fields that describe the loop changed.
 *
 * The caller waits for the parts, not for the workers: a worker that wakes too late costs nothing. A forked child has no
 * workers and runs its loops alone.
 */
#include "runtime/thread.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

enum { CLOSED = 0x7fffffff, MAX_ROUND = 0x40000000, SPIN = 3000 };

typedef struct worker {
    pool *pool;
    pthread_t thread;
    int index;
} worker;

struct pool {
    int threads;
    int spin;                       /* turns of waiting awake; 0 when there are more threads than cores */
    pid_t process;                  /* that made the workers: a forked child has none */
    mp_parallel_for_fn foreign;     /* or NULL */
    void *foreign_ud;

    pthread_mutex_t running;        /* held by the caller whose loop is in the pool */
    int started;                    /* workers that exist; guarded by running */
    bool tried;                     /* starting was tried; guarded by running */
    worker *workers;                /* [threads - 1] */

    /* The loop. Written by the caller while `work` is closed, read by workers that check `work` afterwards. */
    _Alignas(64) _Atomic uint64_t work;
    _Atomic uint32_t n_parts, chunk;
    _Atomic(pool_fn) fn;
    _Atomic(void *) arg;
    _Atomic int64_t first;          /* number of the round's first part */
    _Alignas(64) _Atomic uint32_t done;

    /* Sleeping */
    _Alignas(64) _Atomic int asleep;        /* workers in wait */
    _Atomic bool caller_asleep, quit;
    pthread_mutex_t lock;
    pthread_cond_t wake, finished;
};

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static uint32_t epoch_of(uint64_t work)
{
    return (uint32_t)(work >> 32);
}

/* Runs parts until there are none left in the current loop. */
static void take_parts(pool *p, int thread)
{
    uint64_t w = atomic_load_explicit(&p->work, memory_order_acquire);
    for (;;) {
        uint32_t next = (uint32_t)w;
        /* Acquire: who reads a field of the next loop also sees that `work` was closed before, and fails to swap. */
        uint32_t n = atomic_load_explicit(&p->n_parts, memory_order_acquire);
        uint32_t chunk = atomic_load_explicit(&p->chunk, memory_order_acquire);
        pool_fn fn = atomic_load_explicit(&p->fn, memory_order_acquire);
        void *arg = atomic_load_explicit(&p->arg, memory_order_acquire);
        int64_t first = atomic_load_explicit(&p->first, memory_order_acquire);
        if (next >= n || next == CLOSED)
            return;
        uint32_t end = n - next < chunk ? n : next + chunk;
        uint64_t taken = (w & 0xffffffff00000000u) | end;
        if (!atomic_compare_exchange_weak_explicit(&p->work, &w, taken, memory_order_acq_rel, memory_order_acquire))
            continue;
        for (uint32_t i = next; i < end; i++)
            fn(arg, first + i, thread);
        if (atomic_fetch_add(&p->done, end - next) + (end - next) == n && atomic_load(&p->caller_asleep)) {
            pthread_mutex_lock(&p->lock);
            pthread_cond_signal(&p->finished);
            pthread_mutex_unlock(&p->lock);
        }
        w = atomic_load_explicit(&p->work, memory_order_acquire);
    }
}

/* Waits for a loop other than `seen`; returns its epoch. */
static uint32_t wait_for_loop(pool *p, uint32_t seen)
{
    for (int i = 0; i < p->spin; i++) {
        uint64_t w = atomic_load_explicit(&p->work, memory_order_acquire);
        if (epoch_of(w) != seen && (uint32_t)w != CLOSED)
            return epoch_of(w);
        if (atomic_load_explicit(&p->quit, memory_order_relaxed))
            return seen;
        relax();
    }
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->asleep, 1);
    uint64_t w;
    while (w = atomic_load(&p->work), (epoch_of(w) == seen || (uint32_t)w == CLOSED) && !atomic_load(&p->quit))
        pthread_cond_wait(&p->wake, &p->lock);
    atomic_fetch_sub(&p->asleep, 1);
    pthread_mutex_unlock(&p->lock);
    return epoch_of(w);
}

static void *worker_main(void *arg)
{
    worker *me = arg;
    pool *p = me->pool;
    uint32_t seen = 0;
    for (;;) {
        uint32_t epoch = wait_for_loop(p, seen);
        if (atomic_load_explicit(&p->quit, memory_order_relaxed))
            return NULL;
        take_parts(p, me->index);
        seen = epoch;
    }
}

static void start_workers(pool *p)
{
    p->tried = true;
    p->process = getpid();
    for (int i = 0; i < p->threads - 1; i++) {
        p->workers[i] = (worker){ .pool = p, .index = i + 1 };
        if (pthread_create(&p->workers[i].thread, NULL, worker_main, &p->workers[i]))
            return;
        p->started++;
    }
}

static void wait_until_done(pool *p, uint32_t n)
{
    for (int i = 0; i < p->spin; i++) {
        if (atomic_load_explicit(&p->done, memory_order_acquire) == n)
            return;
        relax();
    }
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->caller_asleep, true);
    while (atomic_load(&p->done) != n)
        pthread_cond_wait(&p->finished, &p->lock);
    atomic_store(&p->caller_asleep, false);
    pthread_mutex_unlock(&p->lock);
}

/* One loop of at most MAX_ROUND parts; the caller holds p->running. */
static void run_round(pool *p, int64_t first, uint32_t n, pool_fn fn, void *arg)
{
    uint32_t chunk = n / ((uint32_t)p->threads * 16u);
    uint64_t epoch = (uint64_t)epoch_of(atomic_load_explicit(&p->work, memory_order_relaxed)) + 1;
    epoch = (epoch & 0xffffffffu) << 32;
    atomic_store(&p->work, epoch | CLOSED);
    atomic_store_explicit(&p->n_parts, n, memory_order_release);
    atomic_store_explicit(&p->chunk, chunk ? chunk : 1, memory_order_release);
    atomic_store_explicit(&p->fn, fn, memory_order_release);
    atomic_store_explicit(&p->arg, arg, memory_order_release);
    atomic_store_explicit(&p->first, first, memory_order_release);
    atomic_store_explicit(&p->done, 0, memory_order_release);
    atomic_store(&p->work, epoch);
    if (atomic_load(&p->asleep) > 0) {
        pthread_mutex_lock(&p->lock);
        pthread_cond_broadcast(&p->wake);
        pthread_mutex_unlock(&p->lock);
    }
    take_parts(p, 0);
    wait_until_done(p, n);
    atomic_store(&p->work, epoch | CLOSED);
}

static void run_here(int64_t n_parts, pool_fn fn, void *arg)
{
    for (int64_t i = 0; i < n_parts; i++)
        fn(arg, i, 0);
}

void pool_run(pool *p, int64_t n_parts, pool_fn fn, void *arg)
{
    if (n_parts <= 0)
        return;
    if (!p || p->threads == 1 || n_parts == 1) {
        run_here(n_parts, fn, arg);
        return;
    }
    if (p->foreign) {
        p->foreign(p->foreign_ud, n_parts, fn, arg);
        return;
    }
    if ((p->started && p->process != getpid()) || pthread_mutex_trylock(&p->running)) {
        run_here(n_parts, fn, arg);
        return;
    }
    if (!p->tried)
        start_workers(p);
    if (!p->started) {
        run_here(n_parts, fn, arg);
    } else {
        for (int64_t first = 0; first < n_parts; first += MAX_ROUND)
            run_round(p, first, (uint32_t)(n_parts - first < MAX_ROUND ? n_parts - first : MAX_ROUND), fn, arg);
    }
    pthread_mutex_unlock(&p->running);
}

int pool_threads(const pool *p)
{
    return p ? p->threads : 1;
}

static pool *pool_new(int threads)
{
    pool *p = aligned_alloc(64, sizeof *p);
    if (!p)
        return NULL;
    *p = (pool){ .threads = threads < 1 ? 1 : threads > POOL_MAX_THREADS ? POOL_MAX_THREADS : threads };
    p->spin = p->threads <= sysconf(_SC_NPROCESSORS_ONLN) ? SPIN : 0;
    atomic_init(&p->work, CLOSED);
    return p;
}

pool *pool_create_foreign(int threads, mp_parallel_for_fn loop, void *ud)
{
    pool *p = pool_new(threads);
    if (p) {
        p->foreign = loop;
        p->foreign_ud = ud;
    }
    return p;
}

pool *pool_create(int threads)
{
    pool *p = pool_new(threads);
    if (!p)
        return NULL;
    int made = 0;
    p->workers = calloc((size_t)p->threads, sizeof *p->workers);
    if (!p->workers || pthread_mutex_init(&p->running, NULL))
        goto fail;
    made = 1;
    if (pthread_mutex_init(&p->lock, NULL))
        goto fail;
    made = 2;
    if (pthread_cond_init(&p->wake, NULL))
        goto fail;
    made = 3;
    if (pthread_cond_init(&p->finished, NULL))
        goto fail;
    return p;
fail:
    if (made > 2)
        pthread_cond_destroy(&p->wake);
    if (made > 1)
        pthread_mutex_destroy(&p->lock);
    if (made > 0)
        pthread_mutex_destroy(&p->running);
    free(p->workers);
    free(p);
    return NULL;
}

void pool_destroy(pool *p)
{
    if (!p)
        return;
    if (!p->foreign && !(p->started && p->process != getpid())) {
        atomic_store(&p->quit, true);
        pthread_mutex_lock(&p->lock);
        pthread_cond_broadcast(&p->wake);
        pthread_mutex_unlock(&p->lock);
        for (int i = 0; i < p->started; i++)
            pthread_join(p->workers[i].thread, NULL);
        pthread_cond_destroy(&p->finished);
        pthread_cond_destroy(&p->wake);
        pthread_mutex_destroy(&p->lock);
        pthread_mutex_destroy(&p->running);
    }
    free(p->workers);
    free(p);
}
