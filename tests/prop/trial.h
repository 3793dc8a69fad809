/* A program tried on hard graphs: every way of running it must agree with the interpreter on what was written. */
#ifndef MPC_TESTS_PROP_TRIAL_H
#define MPC_TESTS_PROP_TRIAL_H

#include "tests/prop/reverse.h"

typedef enum verdict {
    V_SAME,
    V_LEFT_OUT,             /* the interpreter is not sure of the result */
    V_REFUSED,              /* the text has errors: the generator's mistake, or the front end's */
    V_BROKEN,               /* the verifier of the IR or of the plan objects */
    V_DIFFERS,              /* results of the passes differ */
    V_SLOPE,                /* a gradient is not what differences say */
    V_BACKEND,              /* results of the compiled layer differ, or it cannot be compiled or run */
    V_CRASH,                /* set by who watches the process */
    V_N
} verdict;
extern const char *const verdict_name[V_N];

/* GRAD: the training pass and its gradients instead of the inference pass; the random programs have grads in them. */
enum { TRIAL_PLAN = 1, TRIAL_CODE = 2, TRIAL_ALL_VARIANTS = 4, TRIAL_GRAD = 8,
       TRIAL_DEVICE = 16 };     /* on a GPU, or what the environment names in its place */

typedef struct trial {
    const char *text;
    sizes sizes;
    uint64_t seed;
    int graphs[4], n_graphs;        /* graph_kind; those the layer cannot run on are passed over */
    fill_kind fill;
    unsigned what;                  /* TRIAL_* */
} trial;

/* What a program has, for the table of coverage: 1 by row. */
enum { FEATURES = 160 };
typedef struct coverage { uint8_t op[OP_N]; uint8_t feature[FEATURES]; slopes slopes; } coverage;
extern const char *const feature_name[];        /* ends with NULL */

/* Which graphs, and how to fill inputs, for a seed. */
void trial_choose(trial *t, uint64_t seed);

/* c may be NULL. What went wrong is written to out. */
verdict trial_run(const trial *t, coverage *c, buf *out);

#endif
