/* Math functions as vector code: exp, log, sin, tanh, erf, pow and the like, for f32 and f64 in any number of
 * lanes. The table math.def lists them with the bound on the error of each. NaN, infinities, denormals and
 * huge arguments are right; a lane's result depends on that lane's argument only, never on the number of
 * lanes. */
#ifndef MPC_CODEGEN_CPU_MATH_H
#define MPC_CODEGEN_CPU_MATH_H

#include "codegen/cpu/emit.h"

typedef enum {
#define M(id, name, arguments, place, body, ulp32, ulp64, meaning) MATH_##id,
#include "codegen/cpu/math.def"
#undef M
    MATH_COUNT
} math_id;

const char *math_name(math_id f);
int math_arguments(math_id f);
double math_ulp(math_id f, elem t);          /* the bound that math.def states */

/* f of the arguments, all of one type: f32 or f64, scalar or vector. Emits the code in place where it is
 * short, else a call of an internal function made once a module. */
LLVMValueRef emit_math(emitter *e, math_id f, const LLVMValueRef *args);
LLVMValueRef emit_math1(emitter *e, math_id f, LLVMValueRef x);
LLVMValueRef emit_math2(emitter *e, math_id f, LLVMValueRef x, LLVMValueRef y);

#endif
