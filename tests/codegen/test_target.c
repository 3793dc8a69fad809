/* CPU names: all that are listed make a machine, others are refused with the list; native fits the machine. */
#include <string.h>

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
    bool ok = object_optimize(h->e.mod, h->tm, 2, true, err, sizeof err) && object_emit(h->e.mod, h->tm, &object, err, sizeof err);
    CHECK(h, ok, "%s: %s", name, err);
    if (ok) {
        CHECK(h, object.size > 64 && memcmp(object.data, "\177ELF", 4) == 0, "%s: no ELF object", name);
        object_free(&object);
    }
    harness_close(h);
}

int main(void)
{
    harness h = {0};
    char err[4096] = "";
    cpu_target t;
    const char *name;
    for (size_t i = 0; (name = cpu_target_name(i)); i++) {
        CHECK(&h, cpu_target_find(name, &t, err, sizeof err), "%s: %s", name, err);
        CHECK(&h, strcmp(t.name, name) == 0 && t.vector_bits >= 128 && t.vector_bits <= 512, "%s: description", name);
        CHECK(&h, t.isa == CPU_AARCH64 || t.level >= 2, "%s: level %d", name, t.level);
        CHECK(&h, (t.level == 4) == (t.vector_bits == 512), "%s: width %d at level %d", name, t.vector_bits, t.level);
        CHECK(&h, t.level < 3 || (t.has_fma && t.has_f16 && t.has_mask), "%s: lacks what its level has", name);
        compile_for(&h, name);
    }
    static const char *const wrong[] = {"", "zen", "x86-64", "sm_90", "native ", "x86-64-v3,+avx512f",
                                        "a name that is longer than any name of any machine that was ever made"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        err[0] = 0;
        CHECK(&h, !cpu_target_find(wrong[i], &t, err, sizeof err), "\"%s\" was taken", wrong[i]);
        CHECK(&h, strstr(err, "unknown CPU") && strstr(err, "native, x86-64-v2"), "\"%s\": said: %s", wrong[i], err);
    }
    char small[16];
    CHECK(&h, !cpu_target_find("zen", &t, small, sizeof small) && strlen(small) == 15, "a small buffer: \"%s\"", small);

    cpu_target_find("x86-64-v3", &t, err, sizeof err);
    CHECK(&h, cpu_target_lanes(&t, 4) == 8 && cpu_target_lanes(&t, 8) == 4, "lanes");
    return h.failures != 0;
}
