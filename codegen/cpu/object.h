/* From a module to machine code: check, optimise by a short list of passes, and emit.
 *
 * Code comes out of the emitters in vectors already, so the passes are those that clean up after them; the
 * list of each level was chosen by time to compile against time to run. */
#ifndef MPC_CODEGEN_CPU_OBJECT_H
#define MPC_CODEGEN_CPU_OBJECT_H

#include <stdbool.h>
#include <stddef.h>

#include <llvm-c/Core.h>
#include <llvm-c/TargetMachine.h>

typedef struct object_bytes {
    char *data;                 /* followed by one NUL that size does not count */
    size_t size;
} object_bytes;

/* Is the module well-formed? False, with LLVM's words in err, if not. */
bool object_verify(LLVMModuleRef mod, char *err, size_t err_size);

/* Verifies, runs the passes of level 0 to 3, verifies again. verify_each: after each pass, too. */
bool object_optimize(LLVMModuleRef mod, LLVMTargetMachineRef tm, int level, bool verify_each, char *err,
                     size_t err_size);

/* An ELF object, or the text of its assembly, into memory of the caller's (object_free). The module stays as it is. */
bool object_emit(LLVMModuleRef mod, LLVMTargetMachineRef tm, object_bytes *out, char *err, size_t err_size);
bool object_emit_asm(LLVMModuleRef mod, LLVMTargetMachineRef tm, object_bytes *out, char *err,
                     size_t err_size);
/* object_optimize and object_emit of a module that is then only good to be disposed of. */
bool object_make(LLVMModuleRef mod, LLVMTargetMachineRef tm, int level, bool verify_each, object_bytes *out, char *err,
                 size_t err_size);
/* The text of the module's LLVM IR. */
bool object_emit_ir(LLVMModuleRef mod, object_bytes *out, char *err, size_t err_size);

void object_free(object_bytes *b);

#endif
