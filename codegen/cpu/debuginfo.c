/* Line tables by LLVM's DIBuilder: see debuginfo.h. Names of files stand in the table as the user gave them, beside
 * the folder in which the compiler ran. */
#define _GNU_SOURCE
#include "codegen/cpu/debuginfo.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#include <llvm-c/DebugInfo.h>

struct debuginfo {
    LLVMDIBuilderRef builder;
    const source_set *sources;
    LLVMMetadataRef *files;             /* by number in sources */
    LLVMMetadataRef signature;          /* of all functions: their types are not told */
};

static LLVMMetadataRef file_of(LLVMDIBuilderRef b, const source *s)
{
    char folder[PATH_MAX];
    if (!getcwd(folder, sizeof folder))
        strcpy(folder, ".");
    return LLVMDIBuilderCreateFile(b, s->name, strlen(s->name), folder, strlen(folder));
}

static void set_flag(emitter *e, const char *name, int32_t value)
{
    LLVMAddModuleFlag(e->mod, LLVMModuleFlagBehaviorWarning, name, strlen(name), LLVMValueAsMetadata(emit_i32(e, value)));
}

void debug_open(emitter *e, arena *mem, const source_set *sources, uint32_t file)
{
    struct debuginfo *d = NEW(mem, struct debuginfo);
    d->files = NEW_N(mem, LLVMMetadataRef, sources->n);
    d->sources = sources;
    set_flag(e, "Debug Info Version", (int32_t)LLVMDebugMetadataVersion());
    set_flag(e, "Dwarf Version", 4);
    d->builder = LLVMCreateDIBuilder(e->mod);
    for (uint32_t i = 0; i < sources->n; i++)
        d->files[i] = file_of(d->builder, source_get(sources, i));
    static const char producer[] = "mpc";
    LLVMDIBuilderCreateCompileUnit(d->builder, LLVMDWARFSourceLanguageC99, d->files[file], producer, sizeof producer - 1, 1, "", 0, 0,
                                   "", 0, LLVMDWARFEmissionLineTablesOnly, 0, 0, 0, "", 0, "", 0);
    d->signature = LLVMDIBuilderCreateSubroutineType(d->builder, d->files[file], NULL, 0, LLVMDIFlagZero);
    e->debug = d;
}

void debug_close(emitter *e)
{
    if (!e->debug)
        return;
    LLVMDIBuilderFinalize(e->debug->builder);
    LLVMDisposeDIBuilder(e->debug->builder);
    e->debug = NULL;
}

/* 0 where there is no such place. */
static unsigned line_of(const struct debuginfo *d, span where, unsigned *column)
{
    if (where.file >= d->sources->n || where.hi <= where.lo)
        return 0;
    place p = span_place(d->sources, where);
    *column = p.column;
    return p.line;
}

void debug_function(emitter *e, const char *name, span where)
{
    if (!e->debug)
        return;
    unsigned column = 0, line = line_of(e->debug, where, &column);
    LLVMMetadataRef file = e->debug->files[where.file < e->debug->sources->n ? where.file : 0];
    LLVMMetadataRef f = LLVMDIBuilderCreateFunction(e->debug->builder, file, name, strlen(name), "", 0, file, line, e->debug->signature, 1, 1,
                                                    line, LLVMDIFlagZero, 1);
    LLVMSetSubprogram(e->fn, f);
    LLVMSetCurrentDebugLocation2(e->b, LLVMDIBuilderCreateDebugLocation(e->cx, line, column, f, NULL));
}

void debug_line(emitter *e, span where)
{
    LLVMMetadataRef f = e->debug ? LLVMGetSubprogram(e->fn) : NULL;
    unsigned column = 0, line = f ? line_of(e->debug, where, &column) : 0;
    if (line)
        LLVMSetCurrentDebugLocation2(e->b, LLVMDIBuilderCreateDebugLocation(e->cx, line, column, f, NULL));
}
