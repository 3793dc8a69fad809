/* Loading objects into the process: see jit.h. Each object has an LLJIT instance of its own: making one costs
 * well under a millisecond, it isolates names, and disposing of it frees all there is, without shared state
 * to lock. */
#include "codegen/cpu/jit.h"

#include <stdio.h>
#include <stdlib.h>

#include <llvm-c/Core.h>
#include <llvm-c/Error.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/Orc.h>

#include "codegen/cpu/target.h"

struct jit_module {
    LLVMOrcLLJITRef jit;
};

static bool failed(LLVMErrorRef error, const char *what, char *err, size_t err_size)
{
    if (!error)
        return false;
    char *message = LLVMGetErrorMessage(error);
    snprintf(err, err_size, "%s: %s", what, message);
    LLVMDisposeErrorMessage(message);
    return true;
}

static LLVMErrorRef define_given(LLVMOrcLLJITRef jit, LLVMOrcJITDylibRef lib, const jit_symbol *given,
                                 size_t n)
{
    if (n == 0)
        return NULL;
    LLVMOrcCSymbolMapPair *pairs = calloc(n, sizeof *pairs);
    if (!pairs)
        return LLVMCreateStringError("out of memory");
    for (size_t i = 0; i < n; i++) {
        pairs[i].Name = LLVMOrcLLJITMangleAndIntern(jit, given[i].name);
        pairs[i].Sym.Address = (LLVMOrcExecutorAddress)(uintptr_t)given[i].address;
        pairs[i].Sym.Flags.GenericFlags =
            LLVMJITSymbolGenericFlagsExported | LLVMJITSymbolGenericFlagsCallable;
    }
    LLVMOrcMaterializationUnitRef unit = LLVMOrcAbsoluteSymbols(pairs, n);
    free(pairs);
    LLVMErrorRef error = LLVMOrcJITDylibDefine(lib, unit);
    if (error)
        LLVMOrcDisposeMaterializationUnit(unit);
    return error;
}

static LLVMErrorRef define_process(LLVMOrcLLJITRef jit, LLVMOrcJITDylibRef lib)
{
    LLVMOrcDefinitionGeneratorRef process = NULL;
    LLVMErrorRef error = LLVMOrcCreateDynamicLibrarySearchGeneratorForProcess(
        &process, LLVMOrcLLJITGetGlobalPrefix(jit), NULL, NULL);
    if (!error)
        LLVMOrcJITDylibAddGenerator(lib, process);
    return error;
}

/* What goes wrong comes back from the calls below; the session's own report, to standard error, is not
 * wanted. */
static void keep_quiet(void *ctx, LLVMErrorRef error)
{
    (void)ctx;
    LLVMConsumeError(error);
}

jit_module *jit_load(const void *object, size_t size, const jit_symbol *given, size_t n_given, char *err,
                     size_t err_size)
{
    cpu_target_init();
    jit_module *m = calloc(1, sizeof *m);
    if (!m) {
        snprintf(err, err_size, "out of memory");
        return NULL;
    }
    if (failed(LLVMOrcCreateLLJIT(&m->jit, NULL), "LLVM cannot load code here", err, err_size)) {
        free(m);
        return NULL;
    }
    LLVMOrcExecutionSessionSetErrorReporter(LLVMOrcLLJITGetExecutionSession(m->jit), keep_quiet, NULL);
    LLVMOrcJITDylibRef lib = LLVMOrcLLJITGetMainJITDylib(m->jit);
    LLVMMemoryBufferRef copy = LLVMCreateMemoryBufferWithMemoryRangeCopy(object, size, "object");
    LLVMOrcResourceTrackerRef tracker = LLVMOrcJITDylibCreateResourceTracker(lib);
    bool bad = failed(define_given(m->jit, lib, given, n_given), "given symbols", err, err_size);
    bad = bad || failed(define_process(m->jit, lib), "symbols of the process", err, err_size);
    if (bad)
        LLVMDisposeMemoryBuffer(copy);
    else        /* takes the buffer, whatever comes of it */
        bad = failed(LLVMOrcLLJITAddObjectFileWithRT(m->jit, tracker, copy), "the object cannot be loaded",
                     err, err_size);
    LLVMOrcReleaseResourceTracker(tracker);
    if (bad) {
        jit_free(m);
        return NULL;
    }
    return m;
}

void *jit_find(jit_module *m, const char *name, char *err, size_t err_size)
{
    LLVMOrcExecutorAddress address = 0;
    if (failed(LLVMOrcLLJITLookup(m->jit, &address, name), name, err, err_size))
        return NULL;
    return (void *)(uintptr_t)address;
}

void jit_free(jit_module *m)
{
    if (!m)
        return;
    LLVMConsumeError(LLVMOrcDisposeLLJIT(m->jit));
    free(m);
}
