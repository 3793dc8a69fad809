/* The reference of `mpc check`: the interpreter on the equations as they were written, before any pass, in double
 * precision, with gradients by the compiler's reverse mode; and differences of the same, which know no rules. */
#ifndef MPC_DRIVER_CHECK_REFERENCE_H
#define MPC_DRIVER_CHECK_REFERENCE_H

#include "compiler/driver/session.h"
#include "compiler/ir/interp.h"

/* A layer with a cotangent for each floating output, and gradients of all floating inputs and params as more outputs. */
typedef struct joint {
    ir_layer *l;
    uint32_t n_inputs, n_outputs;       /* of the layer itself; behind them the cotangents and the gradients */
    uint32_t *cotangent;                /* by output: its number among the inputs, or 0 */
    uint32_t *gradient;                 /* by input: its number among the outputs, or 0 */
    ir_layer *held;                     /* for differences: the layer whose stop_gradient are inputs, held at what they were */
    ir_val *stops; uint32_t n_stops;    /* by those inputs, which follow the layer's own: the values in `l` */
} joint;

/* Of the lowered layer, which it adds to. Reports. */
exit_status joint_make(arena *mem, ir_layer *lowered, bool derivatives, joint *out);
/* Elements of all values together on a graph: the interpreter keeps each. */
double joint_elements(const joint *j, const mp_graph *g);

typedef struct reference {
    const joint *joint;
    interp_graph graph;
    int32_t *src, *dst;
    double **inputs;                    /* cotangents, too: of chance */
    interp_data *data;
    double *reals;
    uint64_t seed;
} reference;

/* The session's data as the interpreter takes them. Reports; to be freed on failure, too. */
exit_status reference_make(session *s, const joint *j, uint64_t seed, reference *out);
void reference_free(reference *r);
/* Which results are rounded to their type: none; those of f16 and bf16; all; all as if they were f64, by chance. */
typedef enum rounding_mode { ROUND_NOTHING, ROUND_HALVES, ROUND_ALL, ROUND_F64 } rounding_mode;
/* The joint layer, or one of the same inputs. chance: of the last two, interp_call's. Reports. The result is to be freed on
 * failure, too. */
exit_status reference_run(const reference *r, const ir_layer *l, bool training, rounding_mode mode, uint64_t chance, interp_result *out);

/* A gradient against differences along directions of chance, around the data and, where a kink is near, a little beside. */
typedef struct slope {
    double told, seen, allowed;         /* of the direction where they differ most, in terms of what is allowed */
    int tried, kinks;                   /* directions; those of them where the function was not smooth */
    bool wrong;
} slope;
exit_status reference_slope(reference *r, uint32_t input, slope *out);

#endif
