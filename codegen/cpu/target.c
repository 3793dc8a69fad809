/* CPU targets: see target.h. Named ones come from target.def; `native` is put together from what LLVM says of
 * the machine, by features and not by name, so that a masked feature (a virtual machine, an old kernel) is
 * not used.
 *
 * LLVM is told the level and the few features beside it that the emitters use, so that a module can say exactly what
 * it needs and is never loaded where an instruction is missing; the CPU's name is for timings alone. */
#include "codegen/cpu/target.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <llvm-c/Core.h>
#include <llvm-c/Target.h>

typedef struct target_row {
    const char *name, *cpu;
    cpu_isa isa;
    int level, bits, registers, fma, f16, mask;
} target_row;

static const target_row rows[] = {
#define T(name, cpu, isa, level, bits, registers, fma, f16, mask)                                            \
    {name, cpu, isa, level, bits, registers, fma, f16, mask},
#include "codegen/cpu/target.def"
#undef T
};

enum { ROWS = (int)(sizeof rows / sizeof rows[0]) };

/* ---- LLVM's own tables --------------------------------------------------------------------------------- */

static void register_targets(void)
{
#ifdef MPC_LLVM_X86
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeX86AsmParser();
#endif
#ifdef MPC_LLVM_AARCH64
    LLVMInitializeAArch64TargetInfo();
    LLVMInitializeAArch64Target();
    LLVMInitializeAArch64TargetMC();
    LLVMInitializeAArch64AsmPrinter();
    LLVMInitializeAArch64AsmParser();
#endif
}

void cpu_target_init(void)
{
    /* LLVM's registry belongs to the process and is not locked: neither can this flag be anywhere else. */
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, register_targets);
}

/* ---- names --------------------------------------------------------------------------------------------- */

const char *cpu_target_name(size_t i)
{
    if (i == 0)
        return "native";
    return i <= ROWS ? rows[i - 1].name : NULL;
}

static void say_unknown(const char *name, char *err, size_t size)
{
    if (!err || size == 0)
        return;
    int at = snprintf(err, size, "unknown CPU \"%s\"; known are", name);
    const char *known;
    for (size_t i = 0; at >= 0 && (size_t)at < size && (known = cpu_target_name(i)); i++)
        at += snprintf(err + at, size - (size_t)at, "%s %s", i ? "," : "", known);
}

/* Is +feature in LLVM's comma-separated list? */
static bool has_feature(const char *list, const char *feature)
{
    size_t n = strlen(feature);
    for (const char *p = list; (p = strstr(p, feature)); p += n)
        if (p > list && p[-1] == '+' && (p[n] == ',' || p[n] == 0))
            return true;
    return false;
}

static bool has_all(const char *list, const char *const *features, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!has_feature(list, features[i]))
            return false;
    return true;
}

#define HAS_ALL(list, names) has_all(list, names, sizeof names / sizeof names[0])

static const char *const level2[] = {"sse4.2", "popcnt", "cx16", "sahf"};
static const char *const level3[] = {"avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe"};
static const char *const level4[] = {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"};

/* The level, and what the description claims beyond it, in LLVM's words. */
static void name_instructions(cpu_target *t, bool avx2)
{
    if (t->isa == CPU_AARCH64) {
        snprintf(t->cpu, sizeof t->cpu, "generic");
        return;
    }
    snprintf(t->cpu, sizeof t->cpu, "x86-64-v%d", t->level);
    if (t->level > 2)
        return;
    const struct { bool has; const char *name; } beyond[] = {
        {t->has_mask, "+avx"}, {avx2, "+avx2"}, {t->has_fma, "+fma"}, {t->has_f16, "+f16c"}};
    for (size_t i = 0; i < sizeof beyond / sizeof beyond[0]; i++)
        if (beyond[i].has) {
            size_t at = strlen(t->features);
            snprintf(t->features + at, sizeof t->features - at, "%s%s", at ? "," : "", beyond[i].name);
        }
}

static bool describe_native(cpu_target *t, char *err, size_t err_size)
{
    char *cpu = LLVMGetHostCPUName();
    char *features = LLVMGetHostCPUFeatures();
    char *triple = LLVMGetDefaultTargetTriple();
    bool ok = false;
    snprintf(t->tune, sizeof t->tune, "%s", cpu);
    snprintf(t->triple, sizeof t->triple, "%s", triple);
    if (strncmp(triple, "x86_64", 6) == 0) {
        t->isa = CPU_X86_64;
        if (!HAS_ALL(features, level2)) {
            snprintf(err, err_size,
                     "this CPU (%s) lacks SSE4.2: x86-64-v2 is the least that code is made for", cpu);
            goto done;
        }
        t->level = !HAS_ALL(features, level3) ? 2 : !HAS_ALL(features, level4) ? 3 : 4;
        t->vector_bits = t->level == 4 ? 512 : has_feature(features, "avx2") ? 256 : 128;
        t->vector_registers = t->level == 4 ? 32 : 16;
        t->has_fma = has_feature(features, "fma");
        t->has_f16 = has_feature(features, "f16c");
        t->has_mask = has_feature(features, "avx");
        name_instructions(t, has_feature(features, "avx2"));
        ok = true;
    } else if (strncmp(triple, "aarch64", 7) == 0 || strncmp(triple, "arm64", 5) == 0) {
        t->isa = CPU_AARCH64;
        t->level = 0;
        t->vector_bits = 128;
        t->vector_registers = 32;
        t->has_fma = t->has_f16 = true;
        t->has_mask = false;
        name_instructions(t, false);
        ok = true;
    } else {
        snprintf(err, err_size, "no code generation for this machine (%s); name a CPU to compile for",
                 triple);
    }
done:
    LLVMDisposeMessage(cpu);
    LLVMDisposeMessage(features);
    LLVMDisposeMessage(triple);
    return ok;
}

bool cpu_target_find(const char *name, cpu_target *out, char *err, size_t err_size)
{
    memset(out, 0, sizeof *out);
    cpu_target_init();
    if (strlen(name) >= sizeof out->name) {
        say_unknown(name, err, err_size);
        return false;
    }
    snprintf(out->name, sizeof out->name, "%s", name);
    if (strcmp(name, "native") == 0)
        return describe_native(out, err, err_size);
    for (int i = 0; i < ROWS; i++) {
        const target_row *r = &rows[i];
        if (strcmp(r->name, name) != 0)
            continue;
        snprintf(out->tune, sizeof out->tune, "%s", r->cpu);
        out->isa = r->isa;
        out->level = r->level;
        out->vector_bits = r->bits;
        out->vector_registers = r->registers;
        out->has_fma = r->fma;
        out->has_f16 = r->f16;
        out->has_mask = r->mask;
        name_instructions(out, false);
        /* The machine's own triple where it is of that kind (its vendor and libc), else that of Linux. */
        char *host = LLVMGetDefaultTargetTriple();
        bool host_x86 = strncmp(host, "x86_64", 6) == 0, host_arm = strncmp(host, "aarch64", 7) == 0;
        bool own = r->isa == CPU_X86_64 ? host_x86 : host_arm;
        const char *linux_triple =
            r->isa == CPU_X86_64 ? "x86_64-unknown-linux-gnu" : "aarch64-unknown-linux-gnu";
        snprintf(out->triple, sizeof out->triple, "%s", own ? host : linux_triple);
        LLVMDisposeMessage(host);
        return true;
    }
    say_unknown(name, err, err_size);
    return false;
}

int cpu_target_lanes(const cpu_target *t, int elem_bytes)
{
    return t->vector_bits / 8 / elem_bytes;
}

/* ---- the machine --------------------------------------------------------------------------------------- */

LLVMTargetMachineRef cpu_target_machine(const cpu_target *t, int level, char *err, size_t err_size)
{
    cpu_target_init();
    LLVMTargetRef target = NULL;
    char *message = NULL;
    if (LLVMGetTargetFromTriple(t->triple, &target, &message)) {
        snprintf(err, err_size, "this LLVM makes no code for %s: %s", t->triple, message ? message : "");
        LLVMDisposeMessage(message);
        return NULL;
    }
    /* Never None: its quick selection of instructions (LLVM 19, x86) makes a choice between 0 and a loaded f64 read 16
     * bytes, and these may lie behind the end of an array. */
    static const LLVMCodeGenOptLevel levels[] = {LLVMCodeGenLevelLess, LLVMCodeGenLevelLess,
                                                 LLVMCodeGenLevelDefault, LLVMCodeGenLevelAggressive};
    LLVMCodeGenOptLevel opt = levels[level < 0 ? 0 : level > 3 ? 3 : level];
    LLVMTargetMachineRef tm = LLVMCreateTargetMachine(target, t->triple, t->cpu, t->features, opt,
                                                      LLVMRelocPIC, LLVMCodeModelDefault);
    if (!tm)
        snprintf(err, err_size, "LLVM has no machine for %s on %s", t->cpu, t->triple);
    return tm;
}
