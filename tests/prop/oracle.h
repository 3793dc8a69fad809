/* One program under test: its IR, its inputs on a graph, and what the interpreter makes of them.
 *
 * A program is left out only when the interpreter itself is not sure of it: when its own result moves by more than
 * a hundredth of an array's scale under inputs changed by 1e-6 (relative), that is when errors of rounding
 * grow ten-thousandfold, so that 1e-9 cannot be asked for; or when an infinity that went through a sum or product decides a comparison. Elements
 * that hang on such infinities are not compared: what is exact is which elements those are.
 */
#ifndef MPC_TESTS_PROP_ORACLE_H
#define MPC_TESTS_PROP_ORACLE_H

#include "compiler/ir/interp.h"
#include "compiler/sema/sema.h"
#include "tests/prop/graphs.h"

typedef struct sizes {                  /* values of static arguments, by name */
    int n;
    struct { const char *name; bool real; int64_t dim; double number; bool has_default; } at[16];
} sizes;

/* How inputs are filled. Isolated nodes may hold infinities or NaN: no result may show them but their own. */
typedef enum fill_kind { FILL_PLAIN, FILL_LONE_INF, FILL_LONE_NAN, FILL_SOME_INF, FILL_N } fill_kind;

/* The text as IR. NULL and *why (in mem): diagnostics. `mem` needs no handler: running out of memory aborts. */
ir_layer *oracle_lower(arena *mem, const char *text, sem_elem real, const sizes *fixed, const char **why);

typedef struct situation {
    const hard_graph *graph;
    const sizes *sizes;
    uint64_t seed;
    fill_kind fill;
    bool training;
    int64_t apart;                      /* interp_call's */
} situation;

enum { ORACLE_SEED = 7 };               /* of dropout */

/* Is it the cotangent of an output ("cot.NAME"), and one that is nothing but zeros? */
bool oracle_is_cotangent(const ir_layer *l, uint32_t input);
bool oracle_is_zero(const ir_layer *l, uint32_t input, const situation *s);

/* Elements of an input, the same for each layer that has one of this name: values that f32 (f16, bf16) holds. */
double *oracle_input(arena *mem, const ir_layer *l, uint32_t input, const situation *s, int64_t *n);
int64_t oracle_dim(const ir_layer *l, dim d, const sizes *s);

typedef struct oracle {
    const ir_layer *layer;
    const situation *at;
    interp_data *inputs;
    interp_result result;
    interp_result poisoned;             /* with infinite sums and products as NaN, when there are infinities */
    double greatest;                    /* finite magnitude of any value */
    bool infinite;                      /* an infinity among inputs and values */
    bool nan_decides;                   /* a NaN of `poisoned` is compared with something */
} oracle;

/* False: the layer does not run on this graph; o->result.why says why. */
bool oracle_run(arena *mem, oracle *o, const ir_layer *l, const situation *s);
void oracle_free(oracle *o);

/* The interpreter alone, in double precision, half types too. False, with result.why: it cannot. */
bool oracle_interpret(const ir_layer *l, const situation *s, const interp_data *inputs, interp_result *result);
/* The same with roundings of double precision left to chance, of a seed that is not 0: what rounding may make of it. */
bool oracle_interpret_by_chance(const ir_layer *l, const situation *s, const interp_data *inputs, uint64_t chance, interp_result *result);

/* By output the greatest |rounded - exact| of runs in which every result is rounded to f32, at the inputs and at others
 * beside them (one number may be rounded well by chance); in mem. The layer is one whose reals are f32. An infinite
 * error: the rounded run left the finite numbers. */
double *oracle_f32_error(arena *mem, const oracle *o, int runs);

/* The same errors as they are in double precision: what rounding alone may leave, where larger numbers cancel. */
enum { ORACLE_FEW_RUNS = 3, ORACLE_MANY_RUNS = 16 };
double oracle_f64_noise(double f32_error);

/* Does the result itself move too much? */
bool oracle_is_unsure(arena *mem, const oracle *o);

/* The first element of an output that is not as it must be; -1 for none. tol is absolute. */
typedef struct mismatch { int64_t at; double got, want, scale; } mismatch;
int64_t oracle_compare(const oracle *o, uint32_t output, const double *got, int64_t n, double rel, double abs_tol, mismatch *m);

/* Whether an intermediate in a half type is rounded is open: then results agree to this part of their scale. */
#define ORACLE_HALF 0.03
bool oracle_has_half(const ir_layer *l);

double oracle_scale(const interp_array *a);

#endif
