/*
 * Features of the CPU, asked of the compiler's own support (which also asks whether the system saves the registers) or
 * of the auxiliary vector.
 */
#include "runtime/cpu_features.h"

#include <stdio.h>
#include <string.h>

#if defined(__x86_64__)

#define FEATURES(F)                                                                                                     \
    F("x86-64-v4") F("x86-64-v3") F("x86-64-v2") F("x86-64")                                                            \
    F("sse3") F("ssse3") F("sse4.1") F("sse4.2") F("popcnt") F("avx") F("avx2") F("fma") F("f16c") F("bmi") F("bmi2")   \
    F("lzcnt") F("movbe") F("aes") F("pclmul") F("gfni") F("vaes") F("vpclmulqdq")                                      \
    F("avx512f") F("avx512bw") F("avx512cd") F("avx512dq") F("avx512vl") F("avx512ifma") F("avx512vbmi")                \
    F("avx512vbmi2") F("avx512vnni") F("avx512bitalg") F("avx512vpopcntdq") F("avx512bf16") F("avx512fp16")

static bool has(const char *name)
{
#define F(text)                                                                                                         \
    if (strcmp(name, text) == 0)                                                                                        \
        return __builtin_cpu_supports(text);
    FEATURES(F)
#undef F
    return strcmp(name, "sse") == 0 || strcmp(name, "sse2") == 0;
}

#define F(text) text,
static const char *const names[] = { FEATURES(F) };
#undef F

#elif defined(__aarch64__)

#include <asm/hwcap.h>
#include <sys/auxv.h>

static const char *const names[] = { "aarch64", "neon", "fp16", "fullfp16", "dotprod", "lse", "crc", "aes", "sha2", "sve",
                                     "sve2", "bf16", "i8mm" };

static bool has(const char *name)
{
    static const struct {
        const char *name;
        unsigned long bit, bit2;
    } bits[] = {
        { "aarch64", HWCAP_ASIMD, 0 }, { "neon", HWCAP_ASIMD, 0 }, { "fp-armv8", HWCAP_FP, 0 },
        { "fullfp16", HWCAP_ASIMDHP, 0 }, { "fp16", HWCAP_ASIMDHP, 0 }, { "dotprod", HWCAP_ASIMDDP, 0 },
        { "lse", HWCAP_ATOMICS, 0 }, { "crc", HWCAP_CRC32, 0 }, { "aes", HWCAP_AES, 0 }, { "sha2", HWCAP_SHA2, 0 },
        { "sve", HWCAP_SVE, 0 }, { "rdm", HWCAP_ASIMDRDM, 0 }, { "rcpc", HWCAP_LRCPC, 0 },
#ifdef HWCAP2_SVE2
        { "sve2", 0, HWCAP2_SVE2 },
#endif
#ifdef HWCAP2_BF16
        { "bf16", 0, HWCAP2_BF16 },
#endif
#ifdef HWCAP2_I8MM
        { "i8mm", 0, HWCAP2_I8MM },
#endif
    };
    unsigned long one = getauxval(AT_HWCAP), two = getauxval(AT_HWCAP2);
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++)
        if (strcmp(name, bits[i].name) == 0)
            return (one & bits[i].bit) == bits[i].bit && (two & bits[i].bit2) == bits[i].bit2;
    return false;
}

#else

static const char *const names[] = { "" };

static bool has(const char *name)
{
    (void)name;
    return false;
}

#endif

bool cpu_has(const char *list)
{
    if (!list)
        return false;
    while (*list) {
        size_t n = strcspn(list, ",");
        char name[64];
        const char *at = list;
        bool wanted = *at != '-' && n > 0;
        if (*at == '+')
            at++;
        size_t length = n - (size_t)(at - list);
        if (wanted && length) {
            if (length >= sizeof name)
                return false;
            memcpy(name, at, length);
            name[length] = 0;
            if (!has(name))
                return false;
        }
        list += n + (list[n] == ',');
    }
    return true;
}

void cpu_features_text(char *text, unsigned size)
{
    unsigned used = 0;
    if (size)
        text[0] = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (has(names[i]) && used < size)
            used += (unsigned)snprintf(text + used, size - used, "%s%s", used ? "," : "", names[i]);
}
