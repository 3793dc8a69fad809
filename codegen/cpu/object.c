/* Verify, optimise, emit: see object.h. */
#include "codegen/cpu/object.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <llvm-c/Analysis.h>
#include <llvm-c/Error.h>
#include <llvm-c/Transforms/PassBuilder.h>

#include "codegen/cpu/emit.h"

/* The emitters make vectors, fold constants and keep values out of memory themselves. What is left to do: put
 * the frame's variables into registers, drop what is computed twice, take what a loop does not change out of it, and
 * unroll where asked. Vectorisers, inliners by cost, interprocedural passes and everything about memory that
 * we do not use are left out: they take most of the time of LLVM's own pipelines and find nothing here. Nor does gvn.
 * instcombine is a quarter of what is left; where sizes are open it makes a GAT 6 % faster. */
static const char *const pipelines[4] = {
    "always-inline,globaldce",
    "always-inline,globaldce,function(early-cse,simplifycfg,instsimplify)",
    "always-inline,globaldce,function(sroa,early-cse<memssa>,simplifycfg,loop-mssa(licm),loop-unroll<O2>,early-cse,instsimplify,"
    "simplifycfg)",
    "always-inline,globaldce,function(sroa,early-cse<memssa>,simplifycfg,loop-mssa(licm),loop-unroll<O3>,early-cse<memssa>,"
    "instcombine<no-verify-fixpoint>,loop-mssa(licm),simplifycfg)",
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

/* ---- counters of loops ----------------------------------------------------------------------------------------- */

static bool steps(LLVMValueRef v, LLVMValueRef counter)
{
    return LLVMIsABinaryOperator(v) && LLVMGetInstructionOpcode(v) == LLVMAdd && LLVMGetOperand(v, 0) == counter;
}

static bool is_counter(LLVMValueRef phi, LLVMTypeRef type)
{
    for (unsigned i = 0; LLVMTypeOf(phi) == type && i < LLVMCountIncoming(phi); i++)
        if (steps(LLVMGetIncomingValue(phi, i), phi))
            return true;
    return false;
}

static bool keeps_counters(LLVMValueRef f)
{
    return LLVMGetStringAttributeAtIndex(f, (LLVMAttributeIndex)LLVMAttributeFunctionIndex, EMIT_KEEPS_COUNTERS,
                                         sizeof EMIT_KEEPS_COUNTERS - 1);
}

/* What is addressed by the counter reads `to` instead; steps go on from the counter itself. */
static void read_instead(LLVMValueRef counter, LLVMValueRef to)
{
    LLVMValueRef next[16];
    unsigned n = LLVMCountIncoming(counter), m = 0;
    for (unsigned i = 0; i < n && m < 16; i++)
        if (steps(LLVMGetIncomingValue(counter, i), counter))
            next[m++] = LLVMGetIncomingValue(counter, i);
    LLVMReplaceAllUsesWith(counter, to);
    for (unsigned i = 0; i < m; i++)
        LLVMSetOperand(next[i], 0, counter);
    LLVMSetOperand(to, 0, counter);
}

/* LLVM's strength reduction looks for the best set of pointers to step for all addresses in a loop: a quarter of the
 * time of code generation. On x86 an address may be a base and a scaled counter, which is what the emitters write, and
 * its choice is no faster where sizes are known (where they are not it takes products out of loops, which is worth up to
 * a tenth). No option that is not the whole process's leaves it out; but it has nothing to choose where the counter is
 * read through an annotation, which costs no instruction. */
static void hide_counters(LLVMModuleRef mod)
{
    static const char annotation[] = "llvm.annotation";
    LLVMContextRef cx = LLVMGetModuleContext(mod);
    LLVMTypeRef type = LLVMInt64TypeInContext(cx), ptr = LLVMPointerTypeInContext(cx, 0), over[] = {type, ptr};
    unsigned id = LLVMLookupIntrinsicID(annotation, sizeof annotation - 1);
    LLVMValueRef fn = LLVMGetIntrinsicDeclaration(mod, id, over, 2), none = LLVMConstNull(ptr);
    LLVMBuilderRef b = LLVMCreateBuilderInContext(cx);
    for (LLVMValueRef f = LLVMGetFirstFunction(mod); f; f = LLVMGetNextFunction(f)) {
        if (keeps_counters(f))
            continue;
        for (LLVMBasicBlockRef block = LLVMGetFirstBasicBlock(f); block; block = LLVMGetNextBasicBlock(block)) {
            LLVMValueRef at = LLVMGetFirstInstruction(block);
            while (at && LLVMIsAPHINode(at))
                at = LLVMGetNextInstruction(at);
            for (LLVMValueRef phi = LLVMGetFirstInstruction(block); LLVMIsAPHINode(phi); phi = LLVMGetNextInstruction(phi)) {
                if (!is_counter(phi, type))
                    continue;
                LLVMPositionBuilderBefore(b, at);
                LLVMValueRef args[] = {LLVMGetUndef(type), none, none, LLVMConstNull(LLVMInt32TypeInContext(cx))};
                read_instead(phi, LLVMBuildCall2(b, LLVMGlobalGetValueType(fn), fn, args, 4, ""));
            }
        }
    }
    LLVMDisposeBuilder(b);
}

static bool for_x86(LLVMTargetMachineRef tm)
{
    char *triple = LLVMGetTargetMachineTriple(tm);
    bool is = strncmp(triple, "x86_64", 6) == 0;
    LLVMDisposeMessage(triple);
    return is;
}

/* ---- emission -------------------------------------------------------------------------------------------------- */

static bool emit_it(LLVMModuleRef mod, LLVMTargetMachineRef tm, LLVMCodeGenFileType kind, object_bytes *out, char *err,
                    size_t err_size)
{
    if (for_x86(tm))
        hide_counters(mod);
    return emit_code(mod, tm, kind, out, err, err_size);
}

static bool emit_copy(LLVMModuleRef mod, LLVMTargetMachineRef tm, LLVMCodeGenFileType kind, object_bytes *out,
                      char *err, size_t err_size)
{
    *out = (object_bytes){0};
    if (!object_verify(mod, err, err_size))
        return false;
    LLVMModuleRef copy = LLVMCloneModule(mod);
    bool ok = emit_it(copy, tm, kind, out, err, err_size);
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

bool object_make(LLVMModuleRef mod, LLVMTargetMachineRef tm, int level, bool verify_each, object_bytes *out, char *err,
                 size_t err_size)
{
    *out = (object_bytes){0};
    return object_optimize(mod, tm, level, verify_each, err, err_size) && emit_it(mod, tm, LLVMObjectFile, out, err, err_size);
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
