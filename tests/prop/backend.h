/* The compiled layer, through the public interface, in its variants: levels, element types, dims fixed or open,
 * numbers of threads. */
#ifndef MPC_TESTS_PROP_BACKEND_H
#define MPC_TESTS_PROP_BACKEND_H

#include "tests/prop/trial.h"

typedef struct backend backend;

/* Compiles. NULL, with a reason in out, when it cannot. */
backend *backend_new(const trial *t, buf *out);
void backend_free(backend *b);

/* Runs on the oracle's graph and inputs and compares. */
verdict backend_compare(backend *b, arena *mem, const oracle *o, buf *out);

#endif
