/* Verify, optimise, emit: see object.h. */
#include "codegen/cpu/object.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <llvm-c/Analysis.h>
#include <llvm-c/Error.h>
#include <llvm-c/Transforms/PassBuilder.h>

/* The emitters make vectors, fold constants and keep values out of memory themselves. What is left to do:
 * inline the math functions, drop what is computed twice, take what a loop does not change out of it, and
 * unroll where asked. Vectorisers, inliners by cost, interprocedural passes and everything about memory that
 * we do not use are left out: they take most of the time of LLVM's own pipelines and find nothing here. */
static const char *const pipelines[4] = {
    "always-inline,globaldce",
    "always-inline,globaldce,function(early-cse,simplifycfg,instsimplify)",
    "always-inline,globaldce,function(sroa,early-cse<memssa>,simplifycfg,instcombine<no-verify-fixpoint>,"
    "loop-mssa(licm),loop-unroll<O2>,early-cse,simplifycfg)",
    "always-inline,globaldce,function(sroa,early-cse<memssa>,simplifycfg,instcombine<no-verify-fixpoint>,"
    "loop-mssa(loop-rotate,licm),gvn,loop-unroll<O3>,instcombine<no-verify-fixpoint>,early-cse<memssa>,"
    "loop-mssa(licm),simplifycfg)",
};

bool object_verify(LLVMModuleRef mod, char *err, size_t err_size)
{
    char *message = NULL;
    bool bad = LLVMVerifyModule(mod, LLVMReturnStatusAction, &message);
    if (bad)
        snprintf(err, err_size, "the LLVM module is malformed: %s", message ? message : "");
    LLVMDisposeMessage(message);
    return !bad;
}

bool object_optimize(LLVMModuleRef mod, LLVMTargetMachineRef tm, int level, bool verify_each, char *err,
                     size_t err_size)
{
    if (!object_verify(mod, err, err_size))
        return false;
    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    LLVMPassBuilderOptionsSetVerifyEach(options, verify_each);
    LLVMErrorRef failed = LLVMRunPasses(mod, pipelines[level < 0 ? 0 : level > 3 ? 3 : level], tm, options);
    LLVMDisposePassBuilderOptions(options);
    if (failed) {
        char *message = LLVMGetErrorMessage(failed);
        snprintf(err, err_size, "LLVM's passes failed: %s", message);
        LLVMDisposeErrorMessage(message);
        return false;
    }
    return object_verify(mod, err, err_size);
}

static bool keep(object_bytes *out, const char *data, size_t size, char *err, size_t err_size)
{
    out->data = malloc(size + 1);
    if (!out->data) {
        out->size = 0;
        snprintf(err, err_size, "out of memory for %zu bytes of code", size);
        return false;
    }
    memcpy(out->data, data, size);
    out->data[size] = 0;
    out->size = size;
    return true;
}

static bool emit_code(LLVMModuleRef mod, LLVMTargetMachineRef tm, LLVMCodeGenFileType kind, object_bytes *out,
                      char *err, size_t err_size)
{
    LLVMMemoryBufferRef buffer = NULL;
    char *message = NULL;
    if (LLVMTargetMachineEmitToMemoryBuffer(tm, mod, kind, &message, &buffer)) {
        snprintf(err, err_size, "LLVM could not emit the code: %s", message ? message : "");
        LLVMDisposeMessage(message);
        return false;
    }
    bool ok = keep(out, LLVMGetBufferStart(buffer), LLVMGetBufferSize(buffer), err, err_size);
    LLVMDisposeMemoryBuffer(buffer);
    return ok;
}

/* Emission runs passes that change the module (lowering of intrinsics), so each emission works on a copy. */
static bool emit_copy(LLVMModuleRef mod, LLVMTargetMachineRef tm, LLVMCodeGenFileType kind, object_bytes *out,
                      char *err, size_t err_size)
{
    *out = (object_bytes){0};
    if (!object_verify(mod, err, err_size))
        return false;
    LLVMModuleRef copy = LLVMCloneModule(mod);
    bool ok = emit_code(copy, tm, kind, out, err, err_size);
    LLVMDisposeModule(copy);
    return ok;
}

bool object_emit(LLVMModuleRef mod, LLVMTargetMachineRef tm, object_bytes *out, char *err, size_t err_size)
{
    return emit_copy(mod, tm, LLVMObjectFile, out, err, err_size);
}

bool object_emit_asm(LLVMModuleRef mod, LLVMTargetMachineRef tm, object_bytes *out, char *err,
                     size_t err_size)
{
    return emit_copy(mod, tm, LLVMAssemblyFile, out, err, err_size);
}

bool object_emit_ir(LLVMModuleRef mod, object_bytes *out, char *err, size_t err_size)
{
    char *text = LLVMPrintModuleToString(mod);
    bool ok = keep(out, text, strlen(text), err, err_size);
    LLVMDisposeMessage(text);
    return ok;
}

void object_free(object_bytes *b)
{
    free(b->data);
    *b = (object_bytes){0};
}
