/* See harness.h. */
#include "harness.h"

#include <stdlib.h>
#include <time.h>

#include "codegen/cpu/object.h"

static void die(const char *what, const char *why)
{
    printf("%s: %s\n", what, why);
    exit(1);
}

double harness_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

void harness_open_target(harness *h, const cpu_target *t)
{
    char err[512] = "";
    int failures = h->failures;
    *h = (harness){.target = *t, .failures = failures};
    h->tm = cpu_target_machine(&h->target, 2, err, sizeof err);
    if (!h->tm)
        die("machine", err);
    emit_open(&h->e, "test", &h->target, h->tm);
}

void harness_open(harness *h, const char *cpu)
{
    char err[2048] = "";
    cpu_target t;
    if (!cpu_target_find(cpu, &t, err, sizeof err))
        die("target", err);
    harness_open_target(h, &t);
}

void harness_load(harness *h, int level)
{
    char err[4096] = "";
    object_bytes object;
    double t0 = harness_now_ms();
    if (!object_optimize(h->e.mod, h->tm, level, true, err, sizeof err))
        die("optimize", err);
    double t1 = harness_now_ms();
    if (!object_emit(h->e.mod, h->tm, &object, err, sizeof err))
        die("emit", err);
    double t2 = harness_now_ms();
    h->jit = jit_load(object.data, object.size, NULL, 0, err, sizeof err);
    if (!h->jit)
        die("load", err);
    h->optimize_ms = t1 - t0;
    h->emit_ms = t2 - t1;
    h->load_ms = harness_now_ms() - t2;
    object_free(&object);
}

void *harness_find(harness *h, const char *name)
{
    char err[4096] = "";
    void *p = jit_find(h->jit, name, err, sizeof err);
    if (!p)
        die("find", err);
    return p;
}

void harness_dump(harness *h, int level)
{
    char err[4096] = "";
    object_bytes text;
    if (!object_optimize(h->e.mod, h->tm, level, false, err, sizeof err))
        die("optimize", err);
    if (!object_emit_asm(h->e.mod, h->tm, &text, err, sizeof err))
        die("emit", err);
    fwrite(text.data, 1, text.size, stdout);
    object_free(&text);
}

void harness_close(harness *h)
{
    jit_free(h->jit);
    emit_close(&h->e);
    LLVMDisposeTargetMachine(h->tm);
    h->jit = NULL;
    h->tm = NULL;
}

harness_map harness_map_begin(harness *h, const char *name, int lanes)
{
    emitter *e = &h->e;
    LLVMTypeRef params[] = {e->ptr_t, e->ptr_t, e->ptr_t, e->i64_t};
    emit_function_begin(e, name, FN_EXPORTED, e->void_t, params, 4);
    harness_map m = {.a = emit_param(e, 0), .b = emit_param(e, 1), .out = emit_param(e, 2)};
    m.loop = emit_for_begin(e, emit_i64(e, 0), emit_param(e, 3), lanes);
    m.i = m.loop.i;
    return m;
}

void harness_map_end(harness *h, harness_map *m)
{
    emit_for_end(&h->e, &m->loop);
    emit_return(&h->e, NULL);
    emit_function_end(&h->e);
}
