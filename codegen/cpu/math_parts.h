/* What the bodies of the math functions are made of; private to math_*.c.
 *
 * A body writes its function for any number of lanes of one real type. `mx` holds that type and its integer
 * twin, and the numbers of its format, so that most bodies serve f32 and f64 alike. Nothing here relies on
 * contraction: every fused multiply-add is asked for, so a lane's bits do not depend on what stands around
 * it. */
#ifndef MPC_CODEGEN_CPU_MATH_PARTS_H
#define MPC_CODEGEN_CPU_MATH_PARTS_H

#include "codegen/cpu/math.h"

typedef LLVMValueRef val;

typedef struct mx {
    emitter *e;
    elem t;                     /* EL_F32 or EL_F64 */
    int lanes;
    bool wide;                  /* f64 */
    LLVMTypeRef real, integer;  /* of all lanes */
    int mantissa;               /* stored bits: 23 or 52 */
    int bias;                   /* 127 or 1023 */
} mx;

mx mx_of(emitter *e, val like);
mx mx_make(emitter *e, elem t, int lanes);

/* constants; pick gives the one for the type */
val mx_c(const mx *m, double x);
val mx_pick(const mx *m, double f32, double f64);
val mx_int(const mx *m, int64_t x);
/* bits of the constant x in the type */
int64_t mx_bits_of(const mx *m, double x);

val mx_to_bits(const mx *m, val x);
val mx_to_real(const mx *m, val bits);
/* c - a * b */
val mx_fnma(const mx *m, val a, val b, val c);
/* c[0] + c[1] x + ... + c[n-1] x^(n-1) */
val mx_poly(const mx *m, val x, const double *c, int n);
/* The coefficients of one name for the type at hand. */
#define MX_POLY(m, x, name)                                                                                 \
    ((m)->wide ? mx_poly(m, x, name##64, (int)(sizeof name##64 / sizeof name##64[0]))                       \
               : mx_poly(m, x, name##32, (int)(sizeof name##32 / sizeof name##32[0])))

/* x rounded to an integer by adding and taking away 1.5 * 2^mantissa: as a real, and by the low bits of
 * `raw`. |x| must be below 2^(mantissa - 2). */
typedef struct mx_round {
    val real;
    val raw;                    /* bits of the sum: the integer, as far as low bits matter */
} mx_round;
mx_round mx_nearest(const mx *m, val x);
/* The integer of it, exact. */
val mx_round_int(const mx *m, mx_round r);

/* p 2^n by two factors, so that results below the normal range round once; |n| up to twice the exponent's
 * range. */
val mx_scale(const mx *m, val p, val n);
/* 2^n in the normal range */
val mx_power2(const mx *m, val n);

/* e^x = 2^n (1 + q) with q = e^r - 1; x not beyond the range of exponents by more than a few. */
typedef struct mx_exp {
    val n, q;
} mx_exp;
mx_exp mx_exp_parts(const mx *m, val x);
/* e^x where the result is known to be in the normal range. */
val mx_exp_plain(const mx *m, val x);

/* log(1 + f) + k ln 2, f from sqrt(1/2) - 1 to sqrt(2) - 1. */
val mx_log_sum(const mx *m, val f, val k);
/* k and m of x = 2^k m, m from sqrt(1/2) to sqrt(2); x > 0 and normal. exponent: k + bias as an integer. */
typedef struct mx_split {
    val mantissa, exponent, k;
} mx_split;
mx_split mx_split_exponent(const mx *m, val x);
/* A biased exponent as a real number, less `bias`. */
val mx_exponent_real(const mx *m, val exponent, val bias);

val mx_log1p_between(const mx *m, val z);       /* log(1 + z), z from 0 to 1 */

val body_exp(const mx *m, const val *a);
val body_expm1(const mx *m, const val *a);
val body_log(const mx *m, const val *a);
val body_log1p(const mx *m, const val *a);
val body_sin(const mx *m, const val *a);
val body_cos(const mx *m, const val *a);
val body_tanh(const mx *m, const val *a);
val body_sigmoid(const mx *m, const val *a);
val body_softplus(const mx *m, const val *a);
val body_erf(const mx *m, const val *a);
val body_pow(const mx *m, const val *a);
val body_atan2(const mx *m, const val *a);
val body_sqrt(const mx *m, const val *a);
val body_rsqrt(const mx *m, const val *a);
val body_floor(const mx *m, const val *a);
val body_sign(const mx *m, const val *a);
val body_abs(const mx *m, const val *a);

#endif
