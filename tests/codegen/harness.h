/* Help for tests of emitted code: a module for a CPU, functions over arrays in it, loaded and called. */
#ifndef MPC_TESTS_CODEGEN_HARNESS_H
#define MPC_TESTS_CODEGEN_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "codegen/cpu/emit.h"
#include "codegen/cpu/jit.h"

typedef struct harness {
    cpu_target target;
    LLVMTargetMachineRef tm;
    emitter e;
    jit_module *jit;
    int failures;
    double optimize_ms, emit_ms, load_ms;
} harness;

/* Begins a module for that CPU; code of other CPUs than this one's can be compiled and not run. Exits on
 * failure. */
void harness_open(harness *h, const char *cpu);
/* The same on a described target: for cutting features off the machine at hand. */
void harness_open_target(harness *h, const cpu_target *t);
/* Optimises at that level and loads. */
void harness_load(harness *h, int level);
void *harness_find(harness *h, const char *name);
void harness_close(harness *h);
/* The assembly of the module as it is now, on standard output. */
void harness_dump(harness *h, int level);

/* Begins void name(const void *a, const void *b, void *out, int64_t n) and a loop over n / lanes blocks;
 * inside, the index of the block's first element is returned. */
typedef struct harness_map {
    emit_loop loop;
    LLVMValueRef a, b, out, i;
} harness_map;
harness_map harness_map_begin(harness *h, const char *name, int lanes);
void harness_map_end(harness *h, harness_map *m);
typedef void harness_map_fn(const void *a, const void *b, void *out, int64_t n);

double harness_now_ms(void);

#define CHECK(h, cond, ...)                                                                                 \
    do {                                                                                                    \
        if (!(cond)) {                                                                                      \
            if ((h)->failures++ < 20) {                                                                     \
                printf("%s:%d: ", __FILE__, __LINE__);                                                      \
                printf(__VA_ARGS__);                                                                        \
                putchar('\n');                                                                              \
            }                                                                                               \
        }                                                                                                   \
    } while (0)

#endif
