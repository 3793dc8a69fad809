/* Constructors of the kernel plan: expressions, buffers, kernels, statements.
 *
 * Expressions are hash-consed: equal ones have one number, so a kernel evaluates each once where its
 * variables are the same. Integer arithmetic folds: constants, x + 0, x * 1, x * 0, and sums and products of
 * dims become dims themselves, so that the strides of address arithmetic stay readable (kx_stride). Real
 * arithmetic is taken as it comes: the IR has folded what may be folded.
 *
 * Everything lives in the plan's arena. Its arrays move when they grow: hold numbers, not pointers. */
#ifndef MPC_PLAN_KX_H
#define MPC_PLAN_KX_H

#include "compiler/plan/kernel.h"

kplan *kplan_new(arena *mem, const ir_layer *layer);
/* With tables of its own, so that what is added to the copy is not in the plan. Nodes and locals of kernels are shared. */
kplan *kplan_copy(arena *mem, const kplan *p);

/* ---- sizes ----------------------------------------------------------------------------------------- */

kdim kdim_int(int64_t value);
kdim kdim_of(kplan *p, dim d);                          /* a constant, or the slot of d (one a dim) */
uint32_t kdim_slot(kplan *p, dim d); /* a slot even for a constant (rows are named by slots) */
dim kdim_dim(kplan *p, kdim d);                         /* back */
kdim kdim_add(kplan *p, kdim a, kdim b);
kdim kdim_sub(kplan *p, kdim a, kdim b);
kdim kdim_mul(kplan *p, kdim a, kdim b);
static inline bool kdim_is(kdim d, int64_t value) { return d.is_const && d.value == value; }
static inline bool kdim_same(kdim a, kdim b)
{
    return a.is_const == b.is_const && (a.is_const ? a.value == b.value : a.slot == b.slot);
}

/* ---- expressions ----------------------------------------------------------------------------------- */

static inline const kexpr *kx_at(const kplan *p, kx x) { return &p->exprs[x.i]; }
static inline bool kx_is(kx x) { return x.i != 0; }
static inline bool kx_same(kx a, kx b) { return a.i == b.i; }
bool kx_is_int(const kplan *p, kx x, int64_t *value);   /* an integer constant; value may be NULL */
bool kx_is_num(const kplan *p, kx x, double *value);    /* a real constant */
bool kx_is_dim(const kplan *p, kx x, kdim *value);      /* a constant or a dim */

kx kx_int(kplan *p, int64_t value);
kx kx_dimval(kplan *p, kdim d);
kx kx_var(kplan *p, uint32_t var);
kx kx_row(kplan *p);
kx kx_member(kplan *p);
kx kx_step(kplan *p, uint32_t loop);
kx kx_iadd(kplan *p, kx a, kx b);
kx kx_isub(kplan *p, kx a, kx b);
kx kx_imul(kplan *p, kx a, kx b);
kx kx_idiv(kplan *p, kx a, kx b);                       /* of non-negative integers; b > 0 */
kx kx_imod(kplan *p, kx a, kx b);
kx kx_iload(kplan *p, uint32_t buffer, kx offset);
kx kx_bucket(kplan *p, kx real, kx range);
kx kx_idx(kplan *p, uint32_t local, kx offset);         /* of an I64 local */
kx kx_isel(kplan *p, kx c, kx a, kx b);

kx kx_num(kplan *p, ktype type, double value);          /* F64, F32; BOOL: value != 0 */
kx kx_realarg(kplan *p, ktype type, uint32_t static_);
kx kx_training(kplan *p);
/* The type is what the element becomes in a register: f16 and bf16 are f32. */
kx kx_load(kplan *p, uint32_t buffer, kx row, kx offset, bool guarded);
kx kx_local(kplan *p, const kkernel *k, uint32_t local, kx offset);          /* I64: as kx_idx */
kx kx_other(kplan *p, const kkernel *k, uint32_t local, kx offset);
kx kx_from_int(kplan *p, ktype type, kx a);
kx kx_map(kplan *p, ir_op op, ktype type, kx a, kx b, kx c);                 /* unused operands are (kx){0} */
kx kx_cast(kplan *p, ktype type, kx a);
kx kx_select(kplan *p, kx c, kx a, kx b);
kx kx_random(kplan *p, kx key, kx member, kx element, uint32_t site);   /* site: ir_node.u.place */

enum { KX_MAX_DEPTH = 2000 };                           /* back ends go down expressions by recursion */

/* ---- questions ------------------------------------------------------------------------------------- */

bool kx_depends(const kplan *p, kx x, uint32_t var);    /* on a feature variable */
bool kx_uses_row(const kplan *p, kx x);
bool kx_uses_member(const kplan *p, kx x);
bool kx_uses_locals(const kplan *p, kx x);              /* reads a local, or KX_OTHER */
bool kx_reads_buffer(const kplan *p, kx x, uint32_t buffer);
bool kx_has_index(const kplan *p, kx x); /* an integer read from memory or made from a real is in it */
uint32_t kx_depth(const kplan *p, kx x); /* operations on the longest way down; KX_MAX_DEPTH is checked */
/* Is x = rest + stride * var with a stride that is a dim, rest without var? Stride 0 where x lacks it. */
bool kx_stride(kplan *p, kx x, uint32_t var, kdim *stride);
kx kx_subst_var(kplan *p, kx x, uint32_t var, kx by);
kx kx_subst_row(kplan *p, kx x, kx by);
kx kx_subst_member(kplan *p, kx x, kx by);
/* Element i of the local becomes element offset + i of that row of the buffer. */
kx kx_subst_local(kplan *p, kx x, uint32_t local, uint32_t buffer, kx row, kx offset);

/* ---- tables of the plan: each returns the number of the new entry ----------------------------------- */

uint32_t kplan_add_buffer(kplan *p, kbuffer b);
uint32_t kplan_add_kernel(kplan *p, kkernel k);         /* locals may follow */
uint32_t kplan_add_step(kplan *p, kstep s);
uint32_t kplan_add_pairs(kplan *p, kpairs q);
uint32_t kplan_add_loop(kplan *p, kloop_info l);
uint32_t kplan_add_replay(kplan *p, kreplay r);
uint32_t kkernel_add_local(kplan *p, kkernel *k, klocal l);                  /* from 1 */
static inline uint32_t kkernel_new_var(kkernel *k) { return k->n_vars++; }

/* ---- statements ------------------------------------------------------------------------------------ */

static inline kref kref_local(uint32_t local, kx offset) { return (kref){REF_LOCAL, local, {0}, offset}; }
static inline kref kref_buffer(uint32_t buffer, kx row, kx offset)
{
    return (kref){ REF_BUFFER, buffer, row, offset };
}

knode *kn_seq(kplan *p, knode *const *body, uint32_t n);
knode *kn_rows(kplan *p, knode *const *body, uint32_t n);
knode *kn_walk(kplan *p, knode *const *init, uint32_t n_init, knode *const *body, uint32_t n_body,
               knode *const *combine, uint32_t n_combine);
knode *kn_blocks(kplan *p, uint32_t block, knode *const *init, uint32_t n_init, knode *const *body,
                 uint32_t n_body, knode *const *combine, uint32_t n_combine);
knode *kn_members(kplan *p, knode *const *body, uint32_t n);
knode *kn_for(kplan *p, const kloop *loops, uint32_t n_loops, knode *const *body, uint32_t n);
knode *kn_for1(kplan *p, const kloop *loops, uint32_t n_loops, knode *statement);
knode *kn_store(kplan *p, kref dest, kx value);
knode *kn_accum(kplan *p, ir_op op, kref dest, kx value);
knode *kn_ifany(kplan *p, const kloop *loops, uint32_t n_loops, kx cond, knode *const *body, uint32_t n);
knode *kn_gemm(kplan *p, kgemm g);
void kn_prefetch(kplan *p, knode *walk, uint32_t buffer, kx row_at, kdim elems);

#endif
