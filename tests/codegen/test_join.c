/* Parts of a module put together: names that one leaves open and another defines meet, hidden ones stay inside, what is
 * local to two parts under one name stays apart; the same bytes each time; and damaged parts are refused. */
#define _GNU_SOURCE
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include <llvm-c/IRReader.h>

#include "codegen/cpu/join.h"
#include "codegen/cpu/object.h"
#include "harness.h"

/* Each with constants, data and a local function of the same names. As kernels, they have no tables for unwinding, of which
 * the loader of the tests takes one section alone. */
static const char *const sources[] = {
    "@numbers = internal constant [4 x double] [double 1.5, double 2.5, double 3.5, double 4.5]\n"
    "@count = internal global i64 100\n"
    "declare hidden double @second(i64)\n"
    "declare double @strtod(ptr, ptr)\n"
    "@text = private unnamed_addr constant [4 x i8] c\"2.5\\00\"\n"
    "define internal i64 @next() noinline nounwind {\n"
    "  %c = load i64, ptr @count\n"
    "  %d = add i64 %c, 1\n"
    "  store i64 %d, ptr @count\n"
    "  ret i64 %d\n"
    "}\n"
    "define double @first(i64 %i) nounwind {\n"
    "  %p = getelementptr double, ptr @numbers, i64 %i\n"
    "  %x = load double, ptr %p\n"
    "  %y = call double @second(i64 %i)\n"
    "  %s = fadd double %x, %y\n"
    "  %n = call i64 @next()\n"
    "  %m = sitofp i64 %n to double\n"
    "  %t = fadd double %s, %m\n"
    "  %k = call double @strtod(ptr @text, ptr null)\n"
    "  %r = fmul double %t, %k\n"
    "  ret double %r\n"
    "}\n",
    "@numbers = internal constant [4 x double] [double 10.0, double 20.0, double 30.0, double 40.0]\n"
    "@count = internal global i64 7000\n"
    "define internal i64 @next() noinline nounwind {\n"
    "  %c = load i64, ptr @count\n"
    "  %d = add i64 %c, 1000\n"
    "  store i64 %d, ptr @count\n"
    "  ret i64 %d\n"
    "}\n"
    "define hidden double @second(i64 %i) nounwind {\n"
    "  %p = getelementptr double, ptr @numbers, i64 %i\n"
    "  %x = load double, ptr %p\n"
    "  %n = call i64 @next()\n"
    "  %m = sitofp i64 %n to double\n"
    "  %r = fadd double %x, %m\n"
    "  %h = fadd double %r, 0.25\n"
    "  ret double %h\n"
    "}\n",
    /* a table of addresses of the others */
    "declare hidden double @second(i64)\n"
    "declare double @first(i64)\n"
    "@table = constant [2 x ptr] [ptr @first, ptr @second]\n",
};
enum { PARTS = sizeof sources / sizeof sources[0] };

static bool make(harness *h, const char *cpu, const char *source, object_bytes *out)
{
    char err[1024] = "", *why = NULL;
    LLVMContextRef cx = LLVMContextCreate();
    LLVMModuleRef mod = NULL;
    cpu_target target;
    LLVMTargetMachineRef tm = cpu_target_find(cpu, &target, err, sizeof err) ? cpu_target_machine(&target, 2, err, sizeof err) : NULL;
    LLVMMemoryBufferRef text = LLVMCreateMemoryBufferWithMemoryRangeCopy(source, strlen(source), "source");
    bool ok = tm && !LLVMParseIRInContext(cx, text, &mod, &why);
    if (ok) {
        LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(tm);
        LLVMSetModuleDataLayout(mod, layout);
        LLVMSetTarget(mod, target.triple);
        LLVMDisposeTargetData(layout);
        ok = object_make(mod, tm, 2, true, out, err, sizeof err);
    }
    CHECK(h, ok, "%s: %s %s", cpu, err, why ? why : "");
    LLVMDisposeMessage(why);
    if (mod)
        LLVMDisposeModule(mod);
    if (tm)
        LLVMDisposeTargetMachine(tm);
    LLVMContextDispose(cx);
    return ok;
}

static void check_runs(harness *h, const object_bytes *joined)
{
    char err[1024] = "";
    jit_module *m = jit_load(joined->data, joined->size, NULL, 0, err, sizeof err);
    CHECK(h, m, "%s", err);
    typedef double fn(int64_t);
    fn **table = m ? (fn **)jit_find(m, "table", err, sizeof err) : NULL;
    fn *first = m ? (fn *)(uintptr_t)jit_find(m, "first", err, sizeof err) : NULL;
    CHECK(h, table && first, "%s", err);
    if (table && first) {
        CHECK(h, table[0] == first, "the address in the table");
        double a = first(0), b = table[1](2), c = table[0](3);
        CHECK(h, a == (1.5 + (10 + 8000 + 0.25) + 101) * 2.5, "first: %g", a);
        CHECK(h, b == 30 + 9000 + 0.25, "second: %g", b);
        CHECK(h, c == (4.5 + (40 + 10000 + 0.25) + 102) * 2.5, "first again: %g", c);
    }
    err[0] = 0;
    CHECK(h, !m || !jit_find(m, "second", err, sizeof err), "a hidden name is seen");
    jit_free(m);
}

/* As the format wants it: local symbols first, sections inside, relocations that name symbols which are there. */
static void check_form(harness *h, const object_bytes *o)
{
    const Elf64_Ehdr *e = (const Elf64_Ehdr *)(const void *)o->data;
    const Elf64_Shdr *s = (const Elf64_Shdr *)(const void *)(o->data + e->e_shoff);
    for (unsigned i = 1; i < e->e_shnum; i++) {
        CHECK(h, s[i].sh_type == SHT_NOBITS || s[i].sh_offset + s[i].sh_size <= o->size, "section %u lies outside", i);
        CHECK(h, s[i].sh_addralign < 2 || s[i].sh_offset % s[i].sh_addralign == 0, "section %u is not aligned", i);
        if (s[i].sh_type == SHT_SYMTAB) {
            const Elf64_Sym *y = (const Elf64_Sym *)(const void *)(o->data + s[i].sh_offset);
            for (size_t k = 0; k < s[i].sh_size / sizeof *y; k++) {
                CHECK(h, (ELF64_ST_BIND(y[k].st_info) == STB_LOCAL) == (k < s[i].sh_info), "symbol %zu is out of order", k);
                CHECK(h, y[k].st_shndx < e->e_shnum || y[k].st_shndx == SHN_ABS, "symbol %zu is nowhere", k);
            }
        }
        if (s[i].sh_type == SHT_RELA) {
            const Elf64_Rela *r = (const Elf64_Rela *)(const void *)(o->data + s[i].sh_offset);
            for (size_t k = 0; k < s[i].sh_size / sizeof *r; k++)
                CHECK(h, ELF64_R_SYM(r[k].r_info) < s[s[i].sh_link].sh_size / sizeof(Elf64_Sym) &&
                             r[k].r_offset < s[s[i].sh_info].sh_size, "relocation %zu of section %u", k, i);
        }
    }
}

static void check_join(harness *h, const char *cpu, bool run)
{
    char err[1024] = "";
    object_bytes parts[PARTS] = {{0}}, joined, again, twice[2];
    for (int i = 0; i < PARTS; i++)
        if (!make(h, cpu, sources[i], &parts[i]))
            return;
    bool ok = object_join(parts, PARTS, &joined, err, sizeof err) && object_join(parts, PARTS, &again, err, sizeof err);
    CHECK(h, ok, "%s", err);
    if (!ok)
        return;
    CHECK(h, joined.size == again.size && !memcmp(joined.data, again.data, joined.size), "other bytes the second time");
    object_free(&again);
    check_form(h, &joined);
    if (run)
        check_runs(h, &joined);
    /* the result is an object like any other */
    ok = object_join(&joined, 1, &again, err, sizeof err);
    CHECK(h, ok, "%s", err);
    if (ok && run)
        check_runs(h, &again);
    object_free(&again);
    object_free(&joined);

    twice[0] = twice[1] = parts[0];
    CHECK(h, !object_join(twice, 2, &again, err, sizeof err) && strstr(err, "two define first"), "defined twice: %s", err);
    CHECK(h, !object_join(parts, 0, &again, err, sizeof err) && !again.data, "nothing was joined");
    for (int i = 0; i < PARTS; i++)
        object_free(&parts[i]);
}

/* Any byte changed, any length: taken or refused, never a crash. */
static void check_damage(harness *h)
{
    char err[1024];
    object_bytes parts[2] = {{0}}, out;
    if (!make(h, "native", sources[0], &parts[0]) || !make(h, "native", sources[1], &parts[1]))
        return;
    char *data = parts[1].data;
    size_t size = parts[1].size, refused = 0;
    char *copy = malloc(size);
    for (size_t i = 0; copy && i < size; i++) {
        memcpy(copy, data, size);
        copy[i] = (char)(copy[i] ^ (1 << i % 8) ^ 0x80);
        parts[1] = (object_bytes){copy, size};
        refused += !object_join(parts, 2, &out, err, sizeof err);
        object_free(&out);
        char *shorter = malloc(i + 1);              /* of its own length, so that a read behind it is seen */
        memcpy(shorter, data, i);
        parts[1] = (object_bytes){shorter, i};
        CHECK(h, !object_join(parts, 2, &out, err, sizeof err), "%zu bytes are enough", i);
        object_free(&out);
        free(shorter);
    }
    CHECK(h, refused > 30, "only %zu changes were seen", refused);
    free(copy);
    free(data);
    object_free(&parts[0]);
}

int main(void)
{
    harness h = {0};
    check_join(&h, "native", true);
    check_join(&h, "x86-64-v2", false);
    check_join(&h, "aarch64", false);
    check_damage(&h);
    if (h.failures)
        printf("%d failures\n", h.failures);
    return h.failures != 0;
}
