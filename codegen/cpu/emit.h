/* Thin helpers over LLVM's builder: what a kernel generator says in two words.
 *
 * An `emitter` holds the module being written, the current function and place, the target, and the
 * floating-point policy: contraction into fused multiply-adds is allowed (where the target has them), nothing
 * else is; NaN and infinity are honoured, sums keep their order.
 *
 * Values are LLVM values. A vector of 1 lane is a scalar: every helper takes either, and `lanes` may be 1, 2,
 * 4, 8, 16, 32. In memory elements have one of the types of `elem`; in registers f16 and bf16 are computed in
 * f32 and bool is i1, so a load widens and a store narrows. Integers are signed.
 *
 * A mask is a vector of i1, or NULL for "all lanes": helpers give NULL where they can tell, and then plain
 * loads and stores are emitted. Lanes that a mask leaves out read as 0 and are not touched in memory. */
#ifndef MPC_CODEGEN_CPU_EMIT_H
#define MPC_CODEGEN_CPU_EMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <llvm-c/Core.h>

#include "codegen/cpu/target.h"

typedef enum { EL_BOOL, EL_I8, EL_I32, EL_I64, EL_F16, EL_BF16, EL_F32, EL_F64, EL_COUNT } elem;

enum { EMIT_DEPTH = 8, EMIT_CARRY = 64 };

typedef struct emitter {
    LLVMContextRef cx;
    LLVMModuleRef mod;
    LLVMBuilderRef b;
    const cpu_target *target;
    LLVMFastMathFlags fp_flags;         /* put on every floating-point instruction that the helpers build */
    LLVMValueRef fn;                    /* current function; NULL outside of functions */
    LLVMTypeRef void_t, ptr_t, i1_t, i8_t, i16_t, i32_t, i64_t, f16_t, f32_t, f64_t;
    struct {                            /* functions that wait while one they need is written */
        LLVMValueRef fn;
        LLVMBasicBlockRef at;
        LLVMFastMathFlags fp_flags;
        LLVMMetadataRef line;
    } stack[EMIT_DEPTH];
    int depth;
    struct debuginfo *debug;            /* debuginfo.h; NULL: no lines */
    struct gemm_set *products;          /* gemm.h: products are written elsewhere; NULL: beside their callers */
} emitter;

/* ---- module -------------------------------------------------------------------------------------------- */

/* Starts a module of its own context for the target, which must outlive the emitter. tm gives triple and
 * layout. */
void emit_open(emitter *e, const char *module_name, const cpu_target *target, LLVMTargetMachineRef tm);
/* Frees all of it. */
void emit_close(emitter *e);

/* ---- types --------------------------------------------------------------------------------------------- */

size_t elem_size(elem t);                                           /* bytes in memory */
bool elem_is_real(elem t);
const char *elem_name(elem t);
elem elem_register(elem t);                                         /* what it is in registers: f16 -> f32 */
LLVMTypeRef emit_type(emitter *e, elem t, int lanes);               /* in registers */
LLVMTypeRef emit_mem_type(emitter *e, elem t, int lanes);           /* in memory */
/* the scalar type in as many lanes as shape has */
LLVMTypeRef emit_type_like(LLVMTypeRef scalar, LLVMTypeRef shape);
int emit_lanes(LLVMValueRef v);
bool emit_is_real(LLVMValueRef v);                                  /* scalar or vector of floating point */
elem emit_elem(LLVMValueRef v);                                     /* of a value in a register */

/* ---- constants and lanes ------------------------------------------------------------------------------- */

LLVMValueRef emit_i32(emitter *e, int32_t x);
LLVMValueRef emit_i64(emitter *e, int64_t x);
LLVMValueRef emit_bool(emitter *e, bool x);
/* A constant of the register type of t in all lanes. emit_number is for any element type, emit_like for that
 * of v. */
LLVMValueRef emit_number(emitter *e, elem t, int lanes, double x);
LLVMValueRef emit_integer(emitter *e, elem t, int lanes, int64_t x);
LLVMValueRef emit_like(emitter *e, LLVMValueRef v, double x);
LLVMValueRef emit_iota(emitter *e, elem t, int lanes);              /* 0, 1, 2, ... */
LLVMValueRef emit_splat(emitter *e, LLVMValueRef scalar, int lanes);
LLVMValueRef emit_lane(emitter *e, LLVMValueRef v, int lane);
LLVMValueRef emit_set_lane(emitter *e, LLVMValueRef v, LLVMValueRef x, int lane);
LLVMValueRef emit_slice(emitter *e, LLVMValueRef v, int first, int lanes);
LLVMValueRef emit_concat(emitter *e, LLVMValueRef a, LLVMValueRef b);    /* two of equal lanes into one */

/* ---- arithmetic: floating point or integer by the type of a -------------------------------------------- */

LLVMValueRef emit_add(emitter *e, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef emit_sub(emitter *e, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef emit_mul(emitter *e, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef emit_div(emitter *e, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef emit_rem(emitter *e, LLVMValueRef a, LLVMValueRef b);       /* integers, sign of a */
LLVMValueRef emit_neg(emitter *e, LLVMValueRef a);
LLVMValueRef emit_abs(emitter *e, LLVMValueRef a);
/* a * b + c: fused where the target can, else rounded twice; never a library call. */
LLVMValueRef emit_fma(emitter *e, LLVMValueRef a, LLVMValueRef b, LLVMValueRef c);
/* NaN if either is (integers: signed). */
LLVMValueRef emit_max(emitter *e, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef emit_min(emitter *e, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef emit_clamp(emitter *e, LLVMValueRef x, LLVMValueRef lo, LLVMValueRef hi);
LLVMValueRef emit_relu(emitter *e, LLVMValueRef a);                      /* NaN passes */
LLVMValueRef emit_copysign(emitter *e, LLVMValueRef magnitude, LLVMValueRef sign);
LLVMValueRef emit_and(emitter *e, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef emit_or(emitter *e, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef emit_xor(emitter *e, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef emit_not(emitter *e, LLVMValueRef a);
LLVMValueRef emit_shl(emitter *e, LLVMValueRef a, int bits);
LLVMValueRef emit_shr(emitter *e, LLVMValueRef a, int bits);             /* zeros come in */

typedef enum { CMP_LT, CMP_LE, CMP_GT, CMP_GE, CMP_EQ, CMP_NE } cmp_op;
/* As in C: false with a NaN, but NE, which is true. */
LLVMValueRef emit_cmp(emitter *e, cmp_op op, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef emit_is_nan(emitter *e, LLVMValueRef a);
LLVMValueRef emit_select(emitter *e, LLVMValueRef c, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef emit_any(emitter *e, LLVMValueRef mask);                    /* scalar i1 of a vector of i1 */

/* Between register types: widths of integers and reals, integer to real and back (towards zero, saturating,
 * NaN gives 0), bool to 0 or 1, number to bool (is it not 0). */
LLVMValueRef emit_convert(emitter *e, LLVMValueRef v, elem to);
LLVMValueRef emit_bits(emitter *e, LLVMValueRef v, LLVMTypeRef to);      /* the same bits as another type */
/* f16 and bf16 by their bits (i16 lanes). Narrowing rounds to nearest even, overflows to infinity, keeps NaN;
 * hardware where it is, else integer operations: no library calls on any target. From f64 it rounds once. */
LLVMValueRef emit_widen16(emitter *e, elem t, LLVMValueRef bits);
LLVMValueRef emit_narrow16(emitter *e, elem t, LLVMValueRef real);

/* ---- memory -------------------------------------------------------------------------------------------- */

/* base + index elements of t; the index may be i32 (sign-extended) or i64. */
LLVMValueRef emit_ptr(emitter *e, elem t, LLVMValueRef base, LLVMValueRef index);
LLVMValueRef emit_ptr_bytes(emitter *e, LLVMValueRef base, int64_t bytes);
/* Elements need to be aligned as elements only. */
LLVMValueRef emit_load(emitter *e, elem t, int lanes, LLVMValueRef ptr, LLVMValueRef mask);
void emit_store(emitter *e, elem t, LLVMValueRef value, LLVMValueRef ptr, LLVMValueRef mask);
/* base[index[l]] for each lane; index of i32 or i64 lanes. */
LLVMValueRef emit_gather(emitter *e, elem t, LLVMValueRef base, LLVMValueRef index, LLVMValueRef mask);
/* A pointer loaded from memory, and plain scalars of a struct at a byte offset. */
LLVMValueRef emit_load_ptr(emitter *e, LLVMValueRef ptr, int64_t bytes);
LLVMValueRef emit_field(emitter *e, elem t, LLVMValueRef base, int64_t bytes);
/* The memory that this load (or call of a masked load) reads does not change while the function runs. */
LLVMValueRef emit_invariant(emitter *e, LLVMValueRef load);
/* locality 0 (none) to 3 (keep in all levels). */
void emit_prefetch(emitter *e, LLVMValueRef ptr, bool write, int locality);
/* Lanes whose number is below count (i32 or i64 scalar). NULL where count is a constant and covers all. */
LLVMValueRef emit_mask_below(emitter *e, int lanes, LLVMValueRef count);
LLVMValueRef emit_mask_and(emitter *e, LLVMValueRef a, LLVMValueRef b);  /* either may be NULL */
/* Room in the frame of the current function, made once however often this place is run. */
LLVMValueRef emit_local(emitter *e, LLVMTypeRef type, int64_t count, unsigned align);

typedef enum { RED_ADD, RED_MUL, RED_MAX, RED_MIN, RED_AND, RED_OR } red_op;
/* Over the lanes, in a fixed order: halves are combined until one is left. Max and min pass NaN on. */
LLVMValueRef emit_reduce(emitter *e, red_op op, LLVMValueRef v);
LLVMValueRef emit_combine(emitter *e, red_op op, LLVMValueRef a, LLVMValueRef b);
/* The element that changes nothing: 0, 1, -inf, +inf (integers: the least and greatest), true, false. */
LLVMValueRef emit_neutral(emitter *e, red_op op, elem t, int lanes);

/* ---- control ------------------------------------------------------------------------------------------- */

/* for (i = start; i < end; i += step): i64, step > 0. Values carried round are declared right after begin,
 * given their next value before end, and read after end:
 *     emit_loop l = emit_for_begin(e, start, end, 1);
 *     LLVMValueRef sum = emit_carry(e, &l, zero);
 *     ...                                                  // l.i is the counter
 *     emit_next(&l, 0, emit_add(e, sum, x));
 *     emit_for_end(e, &l);
 *     sum = l.result[0];
 * Loops are left as they are by the optimiser unless l.unroll is set before the end (1: never, n: by n). */
typedef struct emit_loop {
    LLVMValueRef i;
    int unroll;
    bool runs;                          /* known to run at least once: no test before */
    LLVMValueRef start, end;
    int64_t step;
    LLVMBasicBlockRef before, body, after;
    int carries;
    LLVMValueRef phi[EMIT_CARRY], init[EMIT_CARRY], next[EMIT_CARRY], result[EMIT_CARRY];
} emit_loop;

emit_loop emit_for_begin(emitter *e, LLVMValueRef start, LLVMValueRef end, int64_t step);
LLVMValueRef emit_carry(emitter *e, emit_loop *l, LLVMValueRef init);
void emit_next(emit_loop *l, int carry, LLVMValueRef value);
void emit_for_end(emitter *e, emit_loop *l);

/* emit_if c = emit_if_begin(e, cond); ... emit_else(e, &c); ... emit_if_end(e, &c); the else may be left out.
 * emit_if_value after the end: the value from either side (without an else, `otherwise` is from before). */
typedef struct emit_if {
    LLVMBasicBlockRef before, then, other, after, then_end, other_end;
    LLVMValueRef branch;
} emit_if;

emit_if emit_if_begin(emitter *e, LLVMValueRef cond);
void emit_else(emitter *e, emit_if *c);
void emit_if_end(emitter *e, emit_if *c);
void emit_if_return(emitter *e, emit_if *c);            /* in place of the end, without an else: the function (of nothing) is left */
LLVMValueRef emit_if_value(emitter *e, emit_if *c, LLVMValueRef then, LLVMValueRef otherwise);
/* The condition is nearly always false (unlikely = true) or true. */
void emit_if_weight(emitter *e, emit_if *c, bool unlikely);

/* ---- functions ----------------------------------------------------------------------------------------- */

typedef enum { FN_INTERNAL, FN_EXPORTED } fn_visibility;

/* Begins a function and stands in its entry; the function that was being written waits. Parameters are read
 * by LLVMGetParam(fn, i). Begins nest EMIT_DEPTH deep. */
LLVMValueRef emit_function_begin(emitter *e, const char *name, fn_visibility vis, LLVMTypeRef ret,
                                 const LLVMTypeRef *params, unsigned n);
/* The block must have been ended by emit_return. Goes back to where the waiting function was. */
void emit_function_end(emitter *e);
void emit_return(emitter *e, LLVMValueRef v);                            /* NULL: nothing */
LLVMValueRef emit_param(emitter *e, unsigned i);
/* "noalias", "readonly", "nocapture", ... on parameter i of fn; "noinline", "cold", ... on fn with i < 0. */
void emit_attribute(emitter *e, LLVMValueRef fn, int i, const char *name);
/* The loops of the current function multiply their counters by what is not known: see hide_counters in object.c. */
#define EMIT_KEEPS_COUNTERS "mpc-keeps-counters"
void emit_keep_counters(emitter *e);
LLVMValueRef emit_call(emitter *e, LLVMValueRef fn, const LLVMValueRef *args, unsigned n);
/* A function of the runtime or of libc, declared at its first use by the types of the arguments. */
LLVMValueRef emit_call_extern(emitter *e, const char *name, LLVMTypeRef ret, const LLVMValueRef *args,
                              unsigned n);
/* An LLVM intrinsic overloaded on the given types. */
LLVMValueRef emit_intrinsic(emitter *e, const char *name, const LLVMTypeRef *over, unsigned n_over,
                            const LLVMValueRef *args, unsigned n);

#endif
