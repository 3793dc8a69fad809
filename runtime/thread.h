/*
 * A pool of threads that runs the parts of a loop. Parts are taken from a counter, so whoever is free takes the next;
 * the caller takes part. How work is cut into parts is the caller's business and must not depend on the number of
 * threads: then results do not, either. Workers spin shortly for the next loop and sleep after that, so that a layer of
 * many small loops costs microseconds for each.
 *
 * One loop runs in the pool at a time. A pool_run that finds the pool busy (another host thread, or a part of the
 * running loop) runs its parts itself, at once, as thread 0: nothing waits for anything, nested calls included.
 */
#ifndef RUNTIME_THREAD_H
#define RUNTIME_THREAD_H

#include <stdint.h>
#include "mp.h"

typedef struct pool pool;
typedef mp_part_fn pool_fn;     /* void (*)(void *arg, int64_t part, int thread), thread in 0..pool_threads-1 */

enum { POOL_MAX_THREADS = 1024 };

/* threads >= 1, the caller's included. Threads are made at the first loop that needs them; fewer if the system gives
 * fewer. NULL when there is no memory. */
pool *pool_create(int threads);
/* A pool over the caller's loop; it is trusted to pass threads below `threads`. */
pool *pool_create_foreign(int threads, mp_parallel_for_fn loop, void *ud);
void pool_destroy(pool *p);

int pool_threads(const pool *p);

/* fn(arg, part, thread) once for each part of 0..n_parts-1, in any order; returns when all are done. What the parts
 * wrote is then visible to the caller. pool NULL, one thread or one part: called in order, right here. */
void pool_run(pool *p, int64_t n_parts, pool_fn fn, void *arg);

#endif
