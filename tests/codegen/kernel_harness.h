/* Help for tests of kernels: plans built by hand, compiled, loaded, run over a graph without a runtime. */
#ifndef MPC_TESTS_CODEGEN_KERNEL_HARNESS_H
#define MPC_TESTS_CODEGEN_KERNEL_HARNESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "codegen/cpu/jit.h"
#include "codegen/cpu/module.h"
#include "compiler/plan/kx.h"

enum { KH_BUFFERS = 24, KH_DIMS = 8 };

/* A small graph with empty rows, a long one, and members grouped by row. */
typedef struct kh_graph {
    int64_t n, m;
    int64_t *ptr;               /* n + 1 */
    int32_t *src, *dst;         /* by member */
} kh_graph;

typedef struct khar {
    arena *mem;
    ir_layer layer;
    str_table *names;
    kplan *p;
    jit_module *jit;
    const mp_module_v1 *module;
    void *buf[KH_BUFFERS];
    int64_t dim[KH_DIMS];
    double real[4];
    int64_t step[4];
    uint64_t seed;
    int64_t training;
    double build_ms;
} khar;

extern int kh_failures;
extern const char *kh_arch;     /* NULL: native */

#define KCHECK(cond, ...)                                                      \
    do {                                                                       \
        if (!(cond) && kh_failures++ < 20) {                                   \
            printf("%s:%d: ", __FILE__, __LINE__);                             \
            printf(__VA_ARGS__);                                               \
            putchar('\n');                                                     \
        }                                                                      \
    } while (0)

kh_graph kh_graph_make(int64_t n, uint64_t seed);
void kh_graph_free(kh_graph *g);

khar *kh_open(void);
void kh_close(khar *h);
/* Size d as a constant or, where `open`, as a dim that is bound to d. */
kdim kh_dim(khar *h, int64_t d, bool open);
uint32_t kh_buffer(khar *h, ktype t, mp_rows_kind rows, kdim elems, void *data);
void kh_build(khar *h);
void kh_print(khar *h, module_form form);       /* on standard output */

/* Runs kernel k over rows 0 .. n in parts of `part` rows. Rows of more than `hub` members (0: none) are
 * walked in pieces of `piece` members. */
typedef struct kh_cut { int64_t part, hub, piece; } kh_cut;
void kh_run(khar *h, uint32_t k, int64_t n, const int64_t *ptr, kh_cut cut);

float *kh_floats(size_t n, uint64_t seed);      /* malloc'ed, in -1 .. 1 */
double kh_random(uint64_t *state);              /* 0 .. 1 */

/* The loop variable of a new axis. */
static inline kloop kh_axis(kkernel *k, kdim extent, bool reduce)
{
    return (kloop){ kkernel_new_var(k), extent, reduce };
}

#define KH_LIST(...) (knode *[]){__VA_ARGS__}, (uint32_t)(sizeof((knode *[]){__VA_ARGS__}) / sizeof(knode *))

#endif
