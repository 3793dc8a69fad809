/* The CPUs that code is made for, by name.
 *
 * LLVM takes any text for a CPU and only complains on standard error, so names are checked here, against one
 * table (target.def): the x86-64 levels, `aarch64`, the LLVM names of CPUs that have vectors worth using, and
 * `native`, which asks the machine. What the emitters need to know of a CPU (vector width, registers, fused
 * multiply-add, half precision) is answered by the description, never by asking LLVM again. */
#ifndef MPC_CODEGEN_CPU_TARGET_H
#define MPC_CODEGEN_CPU_TARGET_H

#include <stdbool.h>
#include <stddef.h>

#include <llvm-c/TargetMachine.h>

typedef enum { CPU_X86_64, CPU_AARCH64 } cpu_isa;

typedef struct cpu_target {
    char name[40];          /* as the user wrote it */
    char cpu[40];           /* LLVM's name of the level: nothing beyond it is used, but for `features` */
    char features[64];      /* what the code needs beyond the level, as "+avx,+f16c" */
    char tune[40];          /* LLVM's name of the CPU whose timings are meant */
    char triple[64];
    cpu_isa isa;
    int vector_bits;        /* preferred width: 128, 256 or 512 */
    int vector_registers;   /* 16 or 32 */
    bool has_fma;           /* fused multiply-add of f32 and f64 */
    bool has_f16;           /* conversion between f16 and f32 in hardware */
    bool has_mask;          /* masked loads and stores in hardware (AVX and later) */
    int level; /* x86-64 level 2, 3 or 4; 0 on other machines. For picking a variant at load time */
} cpu_target;

/* Finds the target of that name. On failure returns false and puts one line into err, with the names that
 * exist. */
bool cpu_target_find(const char *name, cpu_target *out, char *err, size_t err_size);

/* The i-th known name, NULL after the last: for help texts and completion. Number 0 is "native". */
const char *cpu_target_name(size_t i);

/* Lanes of an element of that many bytes in one preferred vector. */
int cpu_target_lanes(const cpu_target *t, int elem_bytes);

/* A target machine for position-independent code at that optimisation level (0 to 3; beyond is held to it).
 * The caller disposes of it with LLVMDisposeTargetMachine. NULL and a text in err where LLVM lacks the
 * target. */
LLVMTargetMachineRef cpu_target_machine(const cpu_target *t, int level, char *err, size_t err_size);

/* Registers LLVM's targets, once a process; any thread may call it any number of times. The functions above
 * do. */
void cpu_target_init(void);

#endif
