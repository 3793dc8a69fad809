/* The derivatives of a program under test: the layer with a cotangent for each floating output and the gradients of all
 * floating inputs and params as more outputs, for the interpreter; and differences of the layer itself, which know no
 * rule of derivatives.
 */
#ifndef MPC_TESTS_PROP_REVERSE_H
#define MPC_TESTS_PROP_REVERSE_H

#include "compiler/support/buf.h"
#include "tests/prop/oracle.h"

typedef struct reverse {
    ir_layer *joint;                    /* inputs: the layer's, then "cot.NAME"; outputs: the layer's, then "grad.NAME" */
    uint32_t n_inputs, n_outputs;       /* of the layer itself */
    uint32_t n_values;                  /* of `joint`, that are the layer's */
    int32_t *cotangent, *gradient;      /* by output the input, by input the output of `joint`; -1 */
    ir_layer *held;                     /* the layer alone, its stop_gradients inputs that hold what they were */
    ir_val *stops; uint32_t n_stops;    /* by those inputs, which follow the layer's own: the values in `joint` */
    bool moving;                        /* a stop_gradient within a loop: differences would go through it */
} reverse;

/* Of a lowered layer with a trap set, which stays as it is. */
reverse *reverse_make(arena *mem, const ir_layer *l);

/* Elements of all values of a layer together: the interpreter keeps each. */
double reverse_elements(const ir_layer *l, const situation *s);

/* Has the layer itself, in a run of r->joint, a NaN by edge, by graph or of the call? What is 0 times that is open. A node may
 * have one that no edge reads: no gradient may show it. */
bool reverse_has_nan(const reverse *r, const oracle *o);

/* What became of the directions that were tried. */
typedef struct slopes { uint64_t told, kinks, hidden; } slopes;

/* One direction of chance by input, at the inputs of o, a run of r->joint, or beside them where they are at a kink. False:
 * a gradient is another one, and out says which. */
bool reverse_slopes(arena *mem, const reverse *r, const oracle *o, slopes *n, buf *out);

#endif
