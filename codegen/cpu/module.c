/* One LLVM module of all kernels, for one or several CPUs: see module.h. */
#include "codegen/cpu/module.h"

#include <stdio.h>
#include <string.h>

#include "codegen/cpu/debuginfo.h"
#include "codegen/cpu/kernel.h"
#include "runtime/device_code.h"

enum { MOST_VARIANTS = 8 };

typedef struct builder {
    arena *mem;
    const module_input *in;
    emitter e;
    cpu_target target[MOST_VARIANTS];
    uint32_t n_variants;
    uint64_t n_kernels;
} builder;

/* Helpers that kernels share (math functions, products) are made once a variant: those of the variant before
 * get names of their own, so that the next one does not find them. */
static void put_aside(builder *b, uint32_t variant)
{
    for (LLVMValueRef f = LLVMGetFirstFunction(b->e.mod); f; f = LLVMGetNextFunction(f)) {
        size_t n;
        const char *name = LLVMGetValueName2(f, &n);
        if (n < 4 || memcmp(name, "mpc.", 4) != 0 || LLVMIsDeclaration(f))
            continue;
        const char *now = arena_printf(b->mem, "v%u.%s", variant, name);
        LLVMSetValueName2(f, now, strlen(now));
    }
}

static LLVMValueRef constant(builder *b, LLVMTypeRef type, LLVMValueRef value, const char *name)
{
    LLVMValueRef g = LLVMAddGlobal(b->e.mod, type, name);
    LLVMSetInitializer(g, value);
    LLVMSetGlobalConstant(g, 1);
    LLVMSetLinkage(g, LLVMPrivateLinkage);
    LLVMSetUnnamedAddress(g, LLVMGlobalUnnamedAddr);
    return g;
}

static LLVMValueRef text(builder *b, const char *s)
{
    LLVMValueRef v = LLVMConstStringInContext2(b->e.cx, s, strlen(s), 0);
    return constant(b, LLVMTypeOf(v), v, "text");
}

static LLVMValueRef list(builder *b, LLVMTypeRef type, LLVMValueRef *at, uint64_t n, const char *name)
{
    LLVMValueRef v = LLVMConstArray2(type, at, n);
    return constant(b, LLVMTypeOf(v), v, name);
}

static LLVMTypeRef entry_type(builder *b)
{
    LLVMTypeRef parts[] = {b->e.ptr_t, b->e.ptr_t};
    return LLVMStructTypeInContext(b->e.cx, parts, 2, 0);
}

/* The kernels of all plans for one CPU, as a list of mp_kernel_entry. */
static LLVMValueRef variant(builder *b, uint32_t v)
{
    const kernel_options options = {.prefetch = b->in->prefetch};
    LLVMValueRef *entries = NEW_N(b->mem, LLVMValueRef, b->n_kernels + 1), none = LLVMConstNull(b->e.ptr_t);
    uint64_t n = 0;
    b->e.target = &b->target[v];
    b->e.fp_flags = b->target[v].has_fma ? LLVMFastMathAllowContract : LLVMFastMathNone;
    for (uint32_t i = 0; i < b->in->n_plans; i++) {
        const kplan *p = b->in->plans[i];
        for (uint32_t k = 0; k < p->n_kernels; k++) {
            const char *name = p->kernels[k].name ? p->kernels[k].name : "kernel";
            if (b->n_variants > 1)
                name = arena_printf(b->mem, "%s.%s", name, b->target[v].name);
            kernel_functions f = kernel_emit(&b->e, b->mem, p, k, name, &options);
            LLVMValueRef parts[] = {f.rows, f.piece ? f.piece : none};
            entries[n++] = LLVMConstStructInContext(b->e.cx, parts, 2, 0);
        }
    }
    if (v + 1 < b->n_variants)
        put_aside(b, v);
    return list(b, entry_type(b), entries, n, "kernels");
}

/* What a CPU must have to run the variant. */
static const char *needs(builder *b, const cpu_target *t)
{
    if (t->isa == CPU_AARCH64)
        return "aarch64";
    return t->features[0] ? arena_printf(b->mem, "%s,%s", t->cpu, t->features) : t->cpu;
}

static void table(builder *b, LLVMValueRef *kernels)
{
    emitter *e = &b->e;
    LLVMValueRef features[MOST_VARIANTS];
    for (uint32_t v = 0; v < b->n_variants; v++)
        features[v] = text(b, needs(b, &b->target[v]));
    LLVMValueRef bytes = LLVMConstStringInContext2(e->cx, b->in->description, b->in->description_bytes, 1);
    LLVMValueRef description = constant(b, LLVMTypeOf(bytes), bytes, "description");
    LLVMSetAlignment(description, 16);
    LLVMValueRef fields[] = {
        emit_i32(e, MP_ABI_VERSION),
        emit_i32(e, (int32_t)b->n_variants),
        text(b, "mpc"),
        description,
        emit_i64(e, (int64_t)b->in->description_bytes),
        list(b, e->ptr_t, features, b->n_variants, "features"),
        list(b, e->ptr_t, kernels, b->n_variants, "variants"),
        emit_i64(e, (int64_t)b->n_kernels),
        emit_i64(e, (int64_t)b->in->source_hash),
    };
    LLVMValueRef v = LLVMConstStructInContext(e->cx, fields, sizeof fields / sizeof *fields, 0);
    LLVMValueRef g = LLVMAddGlobal(e->mod, LLVMTypeOf(v), MP_MODULE_SYMBOL);
    LLVMSetInitializer(g, v);
    LLVMSetGlobalConstant(g, 1);
    LLVMSetLinkage(g, LLVMExternalLinkage);
    LLVMSetAlignment(g, 16);
}

/* Code for GPUs is bytes under a name of its own. */
static void device_code_of(builder *b)
{
    if (!b->in->device)
        return;
    LLVMValueRef bytes = LLVMConstStringInContext2(b->e.cx, b->in->device, b->in->device_bytes, 1);
    LLVMValueRef g = LLVMAddGlobal(b->e.mod, LLVMTypeOf(bytes), MP_DEVICE_SYMBOL);
    LLVMSetInitializer(g, bytes);
    LLVMSetGlobalConstant(g, 1);
    LLVMSetLinkage(g, LLVMExternalLinkage);
    LLVMSetAlignment(g, 64);
}

static bool needs_more(const cpu_target *a, const cpu_target *b)
{
    return a->level != b->level ? a->level > b->level : strlen(a->features) > strlen(b->features);
}

/* The loader takes the last one that the machine can run: from the least to the best, equals as they were given. */
static void order_variants(builder *b)
{
    for (uint32_t v = 1; v < b->n_variants; v++)
        for (uint32_t k = v; k > 0 && needs_more(&b->target[k - 1], &b->target[k]); k--) {
            cpu_target t = b->target[k];
            b->target[k] = b->target[k - 1];
            b->target[k - 1] = t;
        }
}

static bool targets(builder *b, char *err, size_t err_size)
{
    static const char *const native[] = {"native"};
    const char *const *names = b->in->n_arch ? b->in->arch : native;
    b->n_variants = b->in->n_arch ? b->in->n_arch : 1;
    if (b->n_variants > MOST_VARIANTS) {
        snprintf(err, err_size, "more than %d CPUs for one module", MOST_VARIANTS);
        return false;
    }
    for (uint32_t v = 0; v < b->n_variants; v++) {
        if (!cpu_target_find(names[v], &b->target[v], err, err_size))
            return false;
        if (b->target[v].isa != b->target[0].isa) {
            snprintf(err, err_size, "'%s' and '%s' are of different machine types", names[0], names[v]);
            return false;
        }
    }
    order_variants(b);
    return true;
}

static bool write_out(LLVMModuleRef mod, LLVMTargetMachineRef tm, const module_input *in, module_form form,
                      object_bytes *out, char *err, size_t err_size)
{
    if (form == MODULE_LLVM_RAW)
        return object_emit_ir(mod, out, err, err_size);
    if (!object_optimize(mod, tm, in->level, in->verify, err, err_size))
        return false;
    switch (form) {
    case MODULE_LLVM: return object_emit_ir(mod, out, err, err_size);
    case MODULE_ASM: return object_emit_asm(mod, tm, out, err, err_size);
    case MODULE_OBJECT: case MODULE_LLVM_RAW: break;
    }
    return object_emit(mod, tm, out, err, err_size);
}

bool module_build(arena *mem, const module_input *in, module_form form, object_bytes *out, char *err,
                  size_t err_size)
{
    builder *b = NEW(mem, builder);
    b->mem = mem;
    b->in = in;
    *out = (object_bytes){0};
    if (!targets(b, err, err_size))
        return false;
    LLVMTargetMachineRef tm = cpu_target_machine(&b->target[0], in->level, err, err_size);
    if (!tm)
        return false;
    emit_open(&b->e, "layers", &b->target[0], tm);
    /* memory may end while LLVM's objects are held: they are given back before the jump goes on */
    jmp_buf full, *outer = arena_set_oom(mem, &full);
    int why = setjmp(full);
    if (why) {
        arena_set_oom(mem, outer);
        debug_close(&b->e);
        emit_close(&b->e);
        LLVMDisposeTargetMachine(tm);
        arena_fail(mem, why);
    }
    for (uint32_t i = 0; i < in->n_plans; i++)
        b->n_kernels += in->plans[i]->n_kernels;
    if (in->debug)
        debug_open(&b->e, mem, in->debug, in->debug_file);
    LLVMValueRef kernels[MOST_VARIANTS];
    b->n_variants = in->no_cpu ? 0 : b->n_variants;
    for (uint32_t v = 0; v < b->n_variants; v++)
        kernels[v] = variant(b, v);
    table(b, kernels);
    device_code_of(b);
    debug_close(&b->e);
    arena_set_oom(mem, outer);
    bool ok = write_out(b->e.mod, tm, in, form, out, err, err_size);
    emit_close(&b->e);
    LLVMDisposeTargetMachine(tm);
    return ok;
}
