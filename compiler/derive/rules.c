/* Which rule an operation has: the column `derivative` of the table. A name without a rule does not compile. */
#include "compiler/derive/derive_int.h"

#define derive_NONE  NULL       /* no derivative */
#define derive_LEAF  NULL       /* nothing below */
#define derive_STATE NULL       /* a leaf within its step */
#define derive_FINAL NULL       /* the loop as a whole: derive_loop */

derive_rule *const derive_rules[OP_N] = {
#define OP(id, text, nargs, cls, shape, type, derivative, ...) [OP_##id] = derive_##derivative,
#include "compiler/ir/ops.def"
#undef OP
};
