/*
 * A module made by hand, as a compiler would: layers described by the structs of runtime/description.h, kernels in C.
 *
 *   SPMM(in, scale: real = 1)    node x[in]; edge w;          update y[in] = scale * sum(w * src.x)
 *   DRIFT(in, K = 50)            node h[in];                  iterate z = h for K until change < 1e-3 {
 *                                                                 next z = 0.5 * (mean(src.z) + h) }   update g = z
 *   REL(in, R)                   node x[in]; edge rel: index(R) or none;
 *                                                             update y = sum over r of (r + 1) * sum(src.x, per = rel)
 *                                                             update global pairs[R] = number of (node, r) that occur
 *   BUCKET(in, R)                the same, rel = bucket(w, R) computed in the call
 *   EDGES(k)                     edge e[k]; edge keep: bool; param s: f64;      update edge o = keep ? s * e : 0
 */
#ifndef TESTS_RUNTIME_LAYER_MODULE_H
#define TESTS_RUNTIME_LAYER_MODULE_H

#include "runtime/module.h"

/* The description's bytes, malloc'ed. */
void *test_description(size_t *n_bytes);
/* A table over it; `bytes` must stay. */
mp_module_v1 test_table(const void *bytes, size_t n_bytes);

#endif
