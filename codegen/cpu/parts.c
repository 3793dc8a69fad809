/* Parts and the threads that compile them: see parts.h. The heaviest go first, so that no thread is left with a large
 * one while the others have nothing to do. */
#define _GNU_SOURCE
#include "codegen/cpu/parts.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { MOST_THREADS = 32, STACK_BYTES = 16 << 20 };

code_part *parts_add(code_parts *p, arena *mem, const cpu_target *target, int level, char *err, size_t err_size)
{
    code_part *part = NEW(mem, code_part);
    (void)vec_reserve(mem, p, p->n + 1);
    part->tm = cpu_target_machine(target, level, err, err_size);
    if (!part->tm)
        return NULL;
    emit_open(&part->e, "layers", target, part->tm);
    p->at[p->n++] = part;
    return part;
}

uint64_t part_instructions(const code_part *p)
{
    uint64_t n = 0;
    for (LLVMValueRef f = LLVMGetFirstFunction(p->e.mod); f; f = LLVMGetNextFunction(f))
        for (LLVMBasicBlockRef b = LLVMGetFirstBasicBlock(f); b; b = LLVMGetNextBasicBlock(b))
            for (LLVMValueRef i = LLVMGetFirstInstruction(b); i; i = LLVMGetNextInstruction(i))
                n++;
    return n;
}

static void close_part(code_part *p)
{
    if (!p->tm)
        return;
    emit_close(&p->e);
    LLVMDisposeTargetMachine(p->tm);
    p->tm = NULL;
}

/* ---- threads ---------------------------------------------------------------------------------------------------- */

typedef struct work {
    code_part **order;          /* the heaviest first */
    uint32_t n;
    int level;
    bool verify;
    atomic_uint next;
} work;

static void *compile_some(void *arg)
{
    work *w = arg;
    for (uint32_t i; (i = atomic_fetch_add(&w->next, 1)) < w->n;) {
        code_part *p = w->order[i];
        p->ok = object_make(p->e.mod, p->tm, w->level, w->verify, &p->object, p->err, sizeof p->err);
        close_part(p);
    }
    return NULL;
}

static int by_weight(const void *a, const void *b)
{
    const code_part *x = *(code_part *const *)a, *y = *(code_part *const *)b;
    return x->weight < y->weight ? 1 : x->weight > y->weight ? -1 : 0;
}

static uint32_t threads_for(uint32_t n)
{
    cpu_set_t set;
    int cpus = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    uint32_t most = cpus < 1 ? 1 : cpus > MOST_THREADS ? MOST_THREADS : (uint32_t)cpus;
    return n < most ? n : most;
}

/* Signals of the process are not for these threads. Where one cannot be started, there are fewer. */
static uint32_t start(pthread_t *threads, uint32_t n, work *w)
{
    uint32_t started = 0;
    sigset_t all, before;
    pthread_attr_t a;
    if (n == 0 || pthread_attr_init(&a))
        return 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_setstacksize(&a, STACK_BYTES);
    while (started < n && pthread_create(&threads[started], &a, compile_some, w) == 0)
        started++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&a);
    return started;
}

bool parts_compile(code_parts *p, int level, bool verify, char *err, size_t err_size)
{
    code_part **order = malloc((p->n + 1) * sizeof *order);
    if (!order) {
        snprintf(err, err_size, "out of memory");
        return false;
    }
    for (uint32_t i = 0; i < p->n; i++) {
        order[i] = p->at[i];
        order[i]->weight = part_instructions(order[i]);
    }
    qsort(order, p->n, sizeof *order, by_weight);
    work w = {.order = order, .n = p->n, .level = level, .verify = verify};
    pthread_t threads[MOST_THREADS];
    uint32_t started = start(threads, threads_for(p->n) - 1, &w);
    compile_some(&w);
    for (uint32_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    free(order);
    for (uint32_t i = 0; i < p->n; i++)
        if (!p->at[i]->ok) {
            snprintf(err, err_size, "%s", p->at[i]->err);
            return false;
        }
    return true;
}

void parts_close(code_parts *p)
{
    for (uint32_t i = 0; i < p->n; i++) {
        close_part(p->at[i]);
        object_free(&p->at[i]->object);
    }
    p->n = 0;
}
