/* All kernels, for one or several CPUs, and the table that finds them: see module.h.
 *
 * An object is made in parts: small kernels together, larger ones alone, and each product
 * (gemm.h) alone, since several kernels may call it. Functions of other parts are named as hidden symbols. Text, and
 * code with lines of the source, comes from one part. */
#include "codegen/cpu/module.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/cpu/debuginfo.h"
#include "codegen/cpu/gemm.h"
#include "codegen/cpu/join.h"
#include "codegen/cpu/kernel.h"
#include "codegen/cpu/parts.h"
#include "compiler/support/map.h"
#include "compiler/support/str.h"
#include "runtime/device_code.h"

enum { MOST_VARIANTS = 8, PART_INSTRUCTIONS = 200 };

typedef struct builder {
    arena *mem;
    const module_input *in;
    bool cut;                               /* into parts */
    code_parts parts;
    code_part *here;                        /* the last one, that kernels are written to */
    emitter *e;                             /* its */
    gemm_set products;                      /* of the variant that is written */
    map names;                              /* of functions that other parts may name, by hash: how many had it */
    cpu_target target[MOST_VARIANTS];
    uint32_t n_variants;
    uint64_t n_kernels;
    char *err;
    size_t err_size;
} builder;

/* A function of the module, by whatever part it is in. */
typedef struct code_ref { const code_part *part; LLVMValueRef fn; const char *name; } code_ref;

/* ---- parts ------------------------------------------------------------------------------------------------------ */

static bool open_part(builder *b, uint32_t variant)
{
    b->here = parts_add(&b->parts, b->mem, &b->target[variant], b->in->level, b->err, b->err_size);
    if (!b->here)
        return false;
    b->e = &b->here->e;
    if (b->cut)
        b->e->products = &b->products;
    if (b->in->debug)
        debug_open(b->e, b->mem, b->in->debug, b->in->debug_file);
    return true;
}

/* A name that no other function has, the same in every run. */
static const char *own_name(builder *b, const char *name)
{
    uint64_t *had = map_slot_of(&b->names, hash_bytes(name, strlen(name)), NULL);
    return (*had)++ ? own_name(b, arena_printf(b->mem, "%s.%llu", name, (unsigned long long)*had)) : name;
}

static void show_to_parts(LLVMValueRef f)
{
    LLVMSetLinkage(f, LLVMExternalLinkage);
    LLVMSetVisibility(f, LLVMHiddenVisibility);
}

/* Something to name the function by from other parts. */
static code_ref reference(builder *b, LLVMValueRef f)
{
    if (!f || !b->cut)
        return (code_ref){b->here, f, NULL};
    show_to_parts(f);
    size_t n;
    const char *name = LLVMGetValueName2(f, &n);
    return (code_ref){b->here, f, arena_strndup(b->mem, name, n)};
}

static LLVMValueRef address_of(builder *b, const code_ref *f)
{
    if (!f->fn)
        return LLVMConstNull(b->e->ptr_t);
    if (f->part == b->here)
        return f->fn;
    LLVMValueRef there = LLVMAddFunction(b->e->mod, f->name, LLVMFunctionType(b->e->void_t, NULL, 0, 0));
    show_to_parts(there);
    return there;
}

/* The products that the variant's kernels call, each in a part of its own. */
static bool write_products(builder *b, uint32_t variant)
{
    for (uint32_t i = 0; i < b->products.n; i++) {
        if (!open_part(b, variant))
            return false;
        b->e->products = NULL;
        LLVMValueRef f = gemm_function(b->e, &b->products.at[i]);
        const char *name = gemm_name_in(&b->products, b->mem, &b->products.at[i]);
        LLVMSetValueName2(f, name, strlen(name));
        show_to_parts(f);
    }
    return true;
}

/* Where there are no parts, helpers that kernels share (math functions, products) are made once a variant: those of the
 * variant before get names of their own, so that the next one does not find them. */
static void put_aside(builder *b, uint32_t variant)
{
    for (LLVMValueRef f = LLVMGetFirstFunction(b->e->mod); f; f = LLVMGetNextFunction(f)) {
        size_t n;
        const char *name = LLVMGetValueName2(f, &n);
        if (n < 4 || memcmp(name, "mpc.", 4) != 0 || LLVMIsDeclaration(f))
            continue;
        const char *now = arena_printf(b->mem, "v%u.%s", variant, name);
        LLVMSetValueName2(f, now, strlen(now));
    }
}

/* ---- the table -------------------------------------------------------------------------------------------------- */

static LLVMValueRef constant(builder *b, LLVMTypeRef type, LLVMValueRef value, const char *name)
{
    LLVMValueRef g = LLVMAddGlobal(b->e->mod, type, name);
    LLVMSetInitializer(g, value);
    LLVMSetGlobalConstant(g, 1);
    LLVMSetLinkage(g, LLVMPrivateLinkage);
    LLVMSetUnnamedAddress(g, LLVMGlobalUnnamedAddr);
    return g;
}

static LLVMValueRef text(builder *b, const char *s)
{
    LLVMValueRef v = LLVMConstStringInContext2(b->e->cx, s, strlen(s), 0);
    return constant(b, LLVMTypeOf(v), v, "text");
}

static LLVMValueRef list(builder *b, LLVMTypeRef type, LLVMValueRef *at, uint64_t n, const char *name)
{
    LLVMValueRef v = LLVMConstArray2(type, at, n);
    return constant(b, LLVMTypeOf(v), v, name);
}

static LLVMTypeRef entry_type(builder *b)
{
    LLVMTypeRef parts[] = {b->e->ptr_t, b->e->ptr_t};
    return LLVMStructTypeInContext(b->e->cx, parts, 2, 0);
}

typedef struct kernel_refs { code_ref rows, piece; } kernel_refs;

/* The kernels of all plans for one CPU. NULL: a text is in err. */
static kernel_refs *variant(builder *b, uint32_t v)
{
    const kernel_options options = {.prefetch = b->in->prefetch};
    kernel_refs *refs = NEW_N(b->mem, kernel_refs, b->n_kernels + 1);
    uint64_t n = 0;
    vec_free(&b->products);
    b->products = (gemm_set){.mem = b->mem, .prefix = b->cut && b->n_variants > 1 ? arena_printf(b->mem, "v%u.", v) : ""};
    if ((b->cut || !b->here) && !open_part(b, v))
        return NULL;
    b->e->target = &b->target[v];
    b->e->fp_flags = b->target[v].has_fma ? LLVMFastMathAllowContract : LLVMFastMathNone;
    for (uint32_t i = 0; i < b->in->n_plans; i++) {
        const kplan *p = b->in->plans[i];
        for (uint32_t k = 0; k < p->n_kernels; k++) {
            const char *name = p->kernels[k].name ? p->kernels[k].name : "kernel";
            if (b->n_variants > 1)
                name = arena_printf(b->mem, "%s.%s", name, b->target[v].name);
            if (b->cut && part_instructions(b->here) > PART_INSTRUCTIONS && !open_part(b, v))
                return NULL;
            kernel_functions f = kernel_emit(b->e, b->mem, p, k, own_name(b, name), &options);
            refs[n++] = (kernel_refs){reference(b, f.rows), reference(b, f.piece)};
        }
    }
    if (b->cut)
        return write_products(b, v) ? refs : NULL;
    if (v + 1 < b->n_variants)
        put_aside(b, v);
    return refs;
}

/* As a list of mp_kernel_entry. */
static LLVMValueRef entries_of(builder *b, const kernel_refs *refs)
{
    LLVMValueRef *entries = NEW_N(b->mem, LLVMValueRef, b->n_kernels + 1);
    for (uint64_t n = 0; n < b->n_kernels; n++) {
        LLVMValueRef parts[] = {address_of(b, &refs[n].rows), address_of(b, &refs[n].piece)};
        entries[n] = LLVMConstStructInContext(b->e->cx, parts, 2, 0);
    }
    return list(b, entry_type(b), entries, b->n_kernels, "kernels");
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
    emitter *e = b->e;
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
    LLVMValueRef bytes = LLVMConstStringInContext2(b->e->cx, b->in->device, b->in->device_bytes, 1);
    LLVMValueRef g = LLVMAddGlobal(b->e->mod, LLVMTypeOf(bytes), MP_DEVICE_SYMBOL);
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

static bool targets(builder *b)
{
    char *err = b->err;
    const size_t err_size = b->err_size;
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

/* Writes everything that there is into the parts. */
static bool emit_all(builder *b)
{
    LLVMValueRef lists[MOST_VARIANTS];
    kernel_refs *kernels[MOST_VARIANTS] = {0};
    for (uint32_t v = 0; v < b->n_variants; v++)
        if (!(kernels[v] = variant(b, v)))
            return false;
    if (!b->here && !open_part(b, 0))
        return false;
    for (uint32_t v = 0; v < b->n_variants; v++)
        lists[v] = entries_of(b, kernels[v]);
    table(b, lists);
    device_code_of(b);
    return true;
}

static bool text_of(builder *b, module_form form, object_bytes *out)
{
    const code_part *p = b->here;
    if (form != MODULE_LLVM_RAW && !object_optimize(p->e.mod, p->tm, b->in->level, b->in->verify, b->err, b->err_size))
        return false;
    return form == MODULE_ASM ? object_emit_asm(p->e.mod, p->tm, out, b->err, b->err_size)
                              : object_emit_ir(p->e.mod, out, b->err, b->err_size);
}

static bool object_of(builder *b, object_bytes *out)
{
    code_parts *p = &b->parts;
    if (!parts_compile(p, b->in->level, b->in->verify, b->err, b->err_size))
        return false;
    if (p->n == 1) {
        *out = p->at[0]->object;
        p->at[0]->object = (object_bytes){0};
        return true;
    }
    object_bytes *objects = calloc(p->n, sizeof *objects);
    for (uint32_t i = 0; i < p->n && objects; i++)
        objects[i] = p->at[i]->object;
    if (!objects)
        snprintf(b->err, b->err_size, "out of memory");
    bool ok = objects && object_join(objects, p->n, out, b->err, b->err_size);
    free(objects);
    return ok;
}

/* Of one part or of all. */
static void close_all(builder *b)
{
    vec_free(&b->products);
    for (uint32_t i = 0; i < b->parts.n; i++)
        if (b->parts.at[i]->tm)
            debug_close(&b->parts.at[i]->e);
    parts_close(&b->parts);
}

bool module_build(arena *mem, const module_input *in, module_form form, object_bytes *out, char *err,
                  size_t err_size)
{
    builder *b = NEW(mem, builder);
    *b = (builder){.mem = mem, .in = in, .err = err, .err_size = err_size, .names = map_make(mem)};
    b->cut = form == MODULE_OBJECT && !in->debug;
    *out = (object_bytes){0};
    if (!targets(b))
        return false;
    for (uint32_t i = 0; i < in->n_plans; i++)
        b->n_kernels += in->plans[i]->n_kernels;
    if (in->no_cpu)
        b->n_variants = 0;
    /* memory may end while LLVM's objects are held: they are given back before the jump goes on */
    jmp_buf full, *outer = arena_set_oom(mem, &full);
    int why = setjmp(full);
    if (why) {
        arena_set_oom(mem, outer);
        close_all(b);
        arena_fail(mem, why);
    }
    bool ok = emit_all(b);
    arena_set_oom(mem, outer);
    for (uint32_t i = 0; i < b->parts.n; i++)
        debug_close(&b->parts.at[i]->e);
    ok = ok && (form == MODULE_OBJECT ? object_of(b, out) : text_of(b, form, out));
    close_all(b);
    return ok;
}
