/* A module in parts, each in an LLVM context of its own, so that threads optimise them and select their instructions
 * side by side. The objects are put together by join.h. How a module is cut follows from what is in it, not from the
 * machine that compiles it: the bytes are the same with any number of threads. */
#ifndef MPC_CODEGEN_CPU_PARTS_H
#define MPC_CODEGEN_CPU_PARTS_H

#include "codegen/cpu/emit.h"
#include "codegen/cpu/object.h"
#include "compiler/support/arena.h"
#include "compiler/support/vec.h"

typedef struct code_part {
    emitter e;
    LLVMTargetMachineRef tm;
    uint64_t weight;            /* instructions */
    object_bytes object;
    bool ok;
    char err[512];
} code_part;

typedef struct code_parts { code_part **at; uint32_t n, cap; } code_parts;

/* A new part at the end, open for emission; NULL with a text in err. */
code_part *parts_add(code_parts *p, arena *mem, const cpu_target *target, int level, char *err, size_t err_size);
/* Of all its functions. */
uint64_t part_instructions(const code_part *p);
/* Optimises all and makes their objects. False with a text in err. */
bool parts_compile(code_parts *p, int level, bool verify, char *err, size_t err_size);
/* Everything that is still held. */
void parts_close(code_parts *p);

#endif
