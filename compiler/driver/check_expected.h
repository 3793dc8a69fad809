/* What `mpc check` expects of the code: the interpreter's results in double precision, and which errors are plain rounding.
 *
 * The model of rounding: the result of each operation is one of the two numbers of its type around the exact one. Which of
 * them is left to chance, in a few runs of the interpreter: of the equations as they were written, and of what the passes
 * made of them, which is what the code computes. Each is compared with a run of the same that rounds nothing: a pass that is
 * wrong makes no error look like rounding. Numbers that cancel in the equations cannot do so in all runs, so what rounding
 * leaves of them shows in one. */
#ifndef MPC_DRIVER_CHECK_EXPECTED_H
#define MPC_DRIVER_CHECK_EXPECTED_H

#include "compiler/driver/check_reference.h"
#include "compiler/driver/compile.h"

typedef struct expected {
    interp_result exact;                /* of the joint layer */
    uint32_t n;                         /* of its outputs, the first so many: */
    double *rounding;                   /* the greatest |rounded - exact| of an element in any run */
    uint8_t **open;                     /* by element: rounding decides whether it is finite, or true */
} expected;

/* Of the inference pass, or of training with all gradients; `made` is the joint's layer as it was compiled. Reports. The
 * result is to be freed on failure, too. */
exit_status expected_make(const reference *r, const compiled_layer *made, bool training, expected *out);
void expected_free(expected *e);

#endif
