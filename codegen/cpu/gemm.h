/* Dense products as register tiles, for the shapes of GNN layers: tall and thin, small inner dimensions.
 *
 *   GEMM_NN   C[m, n] (+)= sum over k of A[m, k] B[k, n]        x @ W
 *   GEMM_NT   C[m, n] (+)= sum over k of A[m, k] B[n, k]        dy @ W transposed
 *   GEMM_TN   C[m, n] (+)= sum over k of A[k, m] B[k, n]        x transposed @ dy: k runs over the nodes
 *
 * Rows are contiguous, lda, ldb, ldc are their distances in elements. Each element of C is one plain chain of
 * multiply-adds over k in rising order, started from 0 or (accumulate) from C: the bits do not depend on the
 * tiles, on how the caller cuts m, nor on cutting k into calls that accumulate. */
#ifndef MPC_CODEGEN_CPU_GEMM_H
#define MPC_CODEGEN_CPU_GEMM_H

#include "codegen/cpu/emit.h"
#include "compiler/support/arena.h"

typedef enum { GEMM_NN, GEMM_NT, GEMM_TN } gemm_kind;

typedef struct gemm_spec {
    elem type;                  /* EL_F32 or EL_F64 */
    gemm_kind kind;
    bool accumulate;            /* C += instead of C = */
    int64_t m, n, k;            /* where known at compile time; 0: given at run time */
} gemm_spec;

/* Products that are called here and written in another module, under the prefix and their name. */
typedef struct gemm_set {
    arena *mem;                 /* for names, which are dropped with the kernel */
    const char *prefix;
    gemm_spec *at;              /* malloc'ed; the owner frees it */
    uint32_t n, cap;
} gemm_set;

const char *gemm_name_in(const gemm_set *set, arena *mem, const gemm_spec *spec);

/* The internal function for the spec, made once a module:
 *   void (ptr a, i64 lda, ptr b, i64 ldb, ptr c, i64 ldc, i64 m, i64 n, i64 k)
 * Where the emitter has a set of products: a hidden one of another module, and the spec is in the set.
 * Any of m, n, k may be 0; what the spec knows is not read from the arguments. C must not overlap A or B.
 * It keeps no state, allocates nothing, and uses at most GEMM_STACK bytes of stack. */
enum { GEMM_STACK = 96 * 1024 };
LLVMValueRef gemm_function(emitter *e, const gemm_spec *spec);

/* A call of it. m, n, k may be NULL where the spec has them. */
void emit_gemm(emitter *e, const gemm_spec *spec, LLVMValueRef a, LLVMValueRef lda, LLVMValueRef b,
               LLVMValueRef ldb, LLVMValueRef c, LLVMValueRef ldc, LLVMValueRef m, LLVMValueRef n,
               LLVMValueRef k);

#endif
