/* The loader of objects: what it loads runs; what is damaged is refused, whatever byte it is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <llvm-c/Core.h>
#include <llvm-c/IRReader.h>

#include "codegen/cpu/object.h"
#include "codegen/cpu/target.h"
#include "compiler/driver/object_load.h"

/* A constant table, data that is written, a call within, and one to the process. */
static const char source[] =
    "@table = private constant [4 x i32] [i32 1, i32 2, i32 3, i32 4]\n"
    "@count = internal global i32 40\n"
    "@pointer = constant ptr @table\n"
    "declare double @strtod(ptr, ptr)\n"
    "@text = private constant [4 x i8] c\"2.5\\00\"\n"
    "define internal i32 @next() noinline {\n"
    "  %c = load i32, ptr @count\n"
    "  %d = add i32 %c, 1\n"
    "  store i32 %d, ptr @count\n"
    "  ret i32 %d\n"
    "}\n"
    "define i32 @run(i64 %i) {\n"
    "  %t = load ptr, ptr @pointer\n"
    "  %p = getelementptr i32, ptr %t, i64 %i\n"
    "  %x = load i32, ptr %p\n"
    "  %n = call i32 @next()\n"
    "  %s = add i32 %x, %n\n"
    "  %f = call double @strtod(ptr @text, ptr null)\n"
    "  %k = fptosi double %f to i32\n"
    "  %r = mul i32 %s, %k\n"
    "  ret i32 %r\n"
    "}\n";

static bool make_object(object_bytes *out, char *err, size_t size)
{
    cpu_target target;
    LLVMContextRef cx = LLVMContextCreate();
    LLVMModuleRef mod = NULL;
    char *why = NULL;
    LLVMTargetMachineRef tm = cpu_target_find("native", &target, err, size) ? cpu_target_machine(&target, 2, err, size) : NULL;
    LLVMMemoryBufferRef text = LLVMCreateMemoryBufferWithMemoryRangeCopy(source, strlen(source), "source");
    bool ok = tm && !LLVMParseIRInContext(cx, text, &mod, &why);
    if (why)
        snprintf(err, size, "%s", why);
    LLVMDisposeMessage(why);
    if (ok) {
        LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(tm);
        LLVMSetModuleDataLayout(mod, layout);
        LLVMSetTarget(mod, target.triple);
        LLVMDisposeTargetData(layout);
        ok = object_emit(mod, tm, out, err, size);
    }
    if (mod)
        LLVMDisposeModule(mod);
    if (tm)
        LLVMDisposeTargetMachine(tm);
    LLVMContextDispose(cx);
    return ok;
}

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    return 1;
}

int main(void)
{
    char err[1024] = "";
    object_bytes object = {0};
    if (!make_object(&object, err, sizeof err))
        return fail("the object", err);
    loaded_object *a = object_load(object.data, object.size, err, sizeof err), *b = object_load(object.data, object.size, err, sizeof err);
    if (!a || !b)
        return fail("loading", err);
    int (*run)(int64_t) = (int (*)(int64_t))(uintptr_t)object_symbol(a, "run");
    int (*other)(int64_t) = (int (*)(int64_t))(uintptr_t)object_symbol(b, "run");
    if (!run || !other || object_symbol(a, "next") || object_symbol(a, "strtod"))
        return fail("symbols", "those that are global, and no others");
    /* each has data of its own */
    if (run(0) != 84 || run(3) != 92 || other(0) != 84)
        return fail("calls", "a wrong result");
    object_unload(a);
    object_unload(b);

    /* Any byte changed, any length: loaded or refused, but never a crash. Nothing of it is run. */
    char *copy = malloc(object.size);
    size_t refused = 0;
    for (size_t i = 0; copy && i < object.size; i++) {
        memcpy(copy, object.data, object.size);
        copy[i] = (char)(copy[i] ^ (1 << i % 8) ^ 0x80);
        loaded_object *o = object_load(copy, object.size, err, sizeof err);
        refused += !o;
        object_unload(o);
        o = i % 7 == 0 ? object_load(object.data, i, err, sizeof err) : NULL;
        object_unload(o);
    }
    free(copy);
    object_free(&object);
    return copy && refused > 100 ? 0 : fail("damage", "too little of it is seen");
}
