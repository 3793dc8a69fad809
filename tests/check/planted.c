/* The command with an error in it, for a test of `mpc check`: these stand in front of two of the compiler's functions.
 *
 *     PLANT=rule        the derivative of tanh is a ten-thousandth too large, wherever it is used
 *     PLANT=gradient    the compiled gradients are, those of the interpreter are not
 */
#include <stdlib.h>
#include <string.h>

#include "compiler/derive/derive_int.h"
#include "compiler/train/train.h"

void __real_derive_TANH(derivation *d, ir_val y, ir_val dy);
void __wrap_derive_TANH(derivation *d, ir_val y, ir_val dy);
void __real_train_cut(train_layers *t, arena *mem, const pass_options *options, uint32_t n_inputs, uint32_t n_outputs);
void __wrap_train_cut(train_layers *t, arena *mem, const pass_options *options, uint32_t n_inputs, uint32_t n_outputs);

static bool is_planted(const char *what)
{
    const char *plant = getenv("PLANT");
    return plant && strcmp(plant, what) == 0;
}

static ir_val more(ir_layer *l, ir_val v)
{
    return ir_mul(l, v, ir_const(l, (ir_type)ir_at(l, v)->type, 1.0001));
}

void __wrap_derive_TANH(derivation *d, ir_val y, ir_val dy)
{
    __real_derive_TANH(d, y, is_planted("rule") ? more(d->l, dy) : dy);
}

void __wrap_train_cut(train_layers *t, arena *mem, const pass_options *options, uint32_t n_inputs, uint32_t n_outputs)
{
    for (uint32_t i = n_outputs; is_planted("gradient") && i < t->joint->n_outputs; i++)
        t->joint->outputs[i].value = more(t->joint, t->joint->outputs[i].value);
    __real_train_cut(t, mem, options, n_inputs, n_outputs);
}
