/* Loops as a whole. */
#include "compiler/derive/derive_int.h"

void derive_loop(derivation *d, uint32_t loop, const ir_val *dfinal)
{
    (void)dfinal;
    ir_bug(d->l, "derive: the loop of `%s` has no derivative", d->l->loops[loop].name);
}

void derive_RECORD(derivation *d, ir_val y, ir_val dy)
{
    (void)dy;
    ir_bug(d->l, "derive: the sequence %%%u has no derivative", y.i);
}

void derive_RECALL(derivation *d, ir_val y, ir_val dy)
{
    (void)dy;
    ir_bug(d->l, "derive: the entry %%%u of a sequence has no derivative", y.i);
}
