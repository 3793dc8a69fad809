/* CPU names: all that are listed make a machine, others are refused with the list. What is emitted for one
 * calls no library that its loader would not find. */
#include <string.h>

#include "codegen/cpu/gemm.h"
#include "codegen/cpu/math.h"
#include "codegen/cpu/object.h"
#include "harness.h"

/* Every listed CPU compiles a vector loop, and LLVM says nothing about an unknown name or feature. */
static void compile_for(harness *h, const char *name)
{
    char err[1024] = "";
    object_bytes object;
    harness_open(h, name);
    emitter *e = &h->e;
    int lanes = cpu_target_lanes(&h->target, 4);
    harness_map m = harness_map_begin(h, "scale", lanes);
    LLVMValueRef x = emit_load(e, EL_F16, lanes, emit_ptr(e, EL_F16, m.a, m.i), NULL);
    x = emit_fma(e, x, emit_like(e, x, 2), emit_like(e, x, 1));
    emit_store(e, EL_F32, x, emit_ptr(e, EL_F32, m.out, m.i), NULL);
    harness_map_end(h, &m);
    bool ok = object_optimize(h->e.mod, h->tm, 2, true, err, sizeof err) &&
              object_emit(h->e.mod, h->tm, &object, err, sizeof err);
    CHECK(h, ok, "%s: %s", name, err);
    if (ok) {
        CHECK(h, object.size > 64 && memcmp(object.data, "\177ELF", 4) == 0, "%s: no ELF object", name);
        object_free(&object);
    }
    harness_close(h);
}

/* ---- no library calls ---------------------------------------------------------------------------------- */

/* Does the line call a function that is neither ours nor one that stands in the text? Such a call is LLVM's
 * way of doing what the machine lacks (half precision, rounding, fused multiply-add, copies), and no loader
 * would find it. */
static bool calls_library(const char *line)
{
    static const char *const calls[] = {"callq\t", "jmp\t", "bl\t", "b\t"};
    for (int i = 0; i < 4; i++) {
        const char *at = strstr(line, calls[i]), *end = strchr(line, '\n');
        if (!at || at > end || at[-1] != '\t')
            continue;
        at += strlen(calls[i]);
        return strncmp(at, "mpc.", 4) != 0 && strncmp(at, ".L", 2) != 0 && strncmp(at, "sin", 3) != 0 &&
               strncmp(at, "cos", 3) != 0 && *at != '*' && *at != '%';
    }
    return false;
}

static void build_everything(harness *h, int lanes)
{
    emitter *e = &h->e;
    static const elem types[] = {EL_F32, EL_F64},
                      memory[] = {EL_F16, EL_BF16, EL_BOOL, EL_I8, EL_I32, EL_I64};
    for (int t = 0; t < 2; t++) {
        harness_map m = harness_map_begin(h, t ? "wide" : "narrow", lanes);
        LLVMValueRef x = emit_load(e, types[t], lanes, emit_ptr(e, types[t], m.a, m.i), NULL);
        for (int f = 0; f < MATH_COUNT; f++)
            x = emit_math(e, (math_id)f, (LLVMValueRef[]){x, x});
        x = emit_fma(e, x, x, emit_splat(e, emit_reduce(e, RED_MAX, x), lanes));
        for (int i = 0; i < 6; i++) {
            LLVMValueRef mask = emit_mask_below(e, lanes, emit_sub(e, emit_param(e, 3), m.i));
            LLVMValueRef y = emit_load(e, memory[i], lanes, emit_ptr(e, memory[i], m.b, m.i), mask);
            emit_store(e, memory[i], emit_convert(e, x, memory[i]), emit_ptr(e, memory[i], m.out, m.i), mask);
            x = emit_add(e, x, emit_convert(e, y, types[t]));
        }
        LLVMValueRef index = emit_load(e, EL_I32, lanes, emit_ptr(e, EL_I32, m.b, m.i), NULL);
        x = emit_add(e, x, emit_gather(e, types[t], m.a, index, NULL));
        emit_store(e, types[t], x, emit_ptr(e, types[t], m.out, m.i), NULL);
        harness_map_end(h, &m);
        for (int kind = 0; kind < 3 && lanes > 1; kind++) {
            gemm_spec s = {.type = types[t],
                           .kind = (gemm_kind)kind,
                           .n = kind == GEMM_NT ? 40 : 0,
                           .accumulate = kind == GEMM_TN};
            LLVMSetLinkage(gemm_function(e, &s), LLVMExternalLinkage);
        }
    }
}

static void check_calls(harness *h, const char *name)
{
    char err[1024] = "";
    object_bytes text;
    static const int widths[] = {1, 4};
    for (int k = 0; k < 2; k++) {
        harness_open(h, name);
        build_everything(h, widths[k]);
        bool ok = object_optimize(h->e.mod, h->tm, 2, true, err, sizeof err) &&
                  object_emit_asm(h->e.mod, h->tm, &text, err, sizeof err);
        CHECK(h, ok, "%s: %s", name, err);
        for (const char *line = ok ? text.data : NULL; line && *line; line = strchr(line, '\n') + 1)
            CHECK(h, !calls_library(line), "%s x%d: %.*s", name, widths[k], (int)strcspn(line, "\n"), line);
        object_free(&text);
        harness_close(h);
    }
}

int main(void)
{
    harness h = {0};
    char err[4096] = "";
    cpu_target t;
    const char *name;
    for (size_t i = 0; (name = cpu_target_name(i)); i++) {
        CHECK(&h, cpu_target_find(name, &t, err, sizeof err), "%s: %s", name, err);
        CHECK(&h, strcmp(t.name, name) == 0 && t.vector_bits >= 128 && t.vector_bits <= 512,
              "%s: description", name);
        CHECK(&h, t.isa == CPU_AARCH64 || t.level >= 2, "%s: level %d", name, t.level);
        CHECK(&h, (t.level == 4) == (t.vector_bits == 512), "%s: width %d at level %d", name, t.vector_bits,
              t.level);
        CHECK(&h, t.level < 3 || (t.has_fma && t.has_f16 && t.has_mask), "%s: lacks what its level has",
              name);
        compile_for(&h, name);
    }
    static const char *const wrong[] = {
        "",
        "zen",
        "x86-64",
        "sm_90",
        "native ",
        "x86-64-v3,+avx512f",
        "a name that is longer than any name of any machine that was ever made"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        err[0] = 0;
        CHECK(&h, !cpu_target_find(wrong[i], &t, err, sizeof err), "\"%s\" was taken", wrong[i]);
        CHECK(&h, strstr(err, "unknown CPU") && strstr(err, "native, x86-64-v2"), "\"%s\": said: %s",
              wrong[i], err);
    }
    char small[16];
    CHECK(&h, !cpu_target_find("zen", &t, small, sizeof small) && strlen(small) == 15,
          "a small buffer: \"%s\"", small);

    static const char *const kinds[] = {"x86-64-v2", "sandybridge", "x86-64-v3", "x86-64-v4", "aarch64"};
    for (int i = 0; i < 5; i++)
        check_calls(&h, kinds[i]);

    cpu_target_find("x86-64-v3", &t, err, sizeof err);
    CHECK(&h, cpu_target_lanes(&t, 4) == 8 && cpu_target_lanes(&t, 8) == 4, "lanes");
    return h.failures != 0;
}
