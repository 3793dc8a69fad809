/* Makes a failing program smaller while it fails in the same way: drops equations, outputs and inputs, puts operands
 * or constants in the place of expressions, takes fewer graphs, plainer inputs and smaller dims. */
#ifndef MPC_TESTS_PROP_SHRINK_H
#define MPC_TESTS_PROP_SHRINK_H

#include "tests/prop/gen.h"
#include "tests/prop/trial.h"

/* The sizes that the program is meant for. */
void trial_of_program(trial *t, const gprogram *p, const char *text);

/* Tries run in processes of their own, so that a crash can be made smaller too. */
void shrink_failure(uint64_t seed, unsigned what, verdict v, buf *out);

#endif
