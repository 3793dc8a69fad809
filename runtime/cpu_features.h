/*
 * What the CPU that we run on can do, in LLVM's names of features and of the x86-64 levels: "avx2,fma", "x86-64-v3".
 */
#ifndef RUNTIME_CPU_FEATURES_H
#define RUNTIME_CPU_FEATURES_H

#include <stdbool.h>

/* Does it have everything on the comma-separated list? A '+' before a name is allowed, a name with '-' before it asks
 * for nothing, and neither does the empty list. A name that is not known here is not there. NULL: no. */
bool cpu_has(const char *features);

/* The features that are there, comma-separated: for notes and messages. At most `size` bytes. */
void cpu_features_text(char *text, unsigned size);

#endif
