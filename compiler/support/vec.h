/*
 * Growable arrays of any type.
 *
 *     VEC(int) v = {0};
 *     vec_push(a, &v, 7);            // in arena a; never fails (the arena jumps)
 *     vec_push(NULL, &v, 7);         // in malloc'ed memory; false when there is none
 *     for (uint32_t i = 0; i < v.n; i++) use(v.at[i]);
 *     vec_free(&v);                  // malloc'ed ones only
 *
 * A vector lives in one place all its life: always the same arena, or always NULL.
 */
#ifndef MPC_SUPPORT_VEC_H
#define MPC_SUPPORT_VEC_H

#include "compiler/support/arena.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define VEC(T) struct { T *at; uint32_t n, cap; }

/* Room for `want` elements; for the macros below. */
bool vec_reserve_bytes(arena *a, void **at, uint32_t *cap, uint32_t n, uint32_t want, size_t size);

#define VEC_PARTS(v) (void **)&(v)->at, &(v)->cap, (v)->n
#define vec_reserve(a, v, want) \
    ((want) <= (v)->cap || vec_reserve_bytes((a), VEC_PARTS(v), (want), sizeof *(v)->at))
#define vec_push(a, v, ...) \
    (((v)->n < (v)->cap || vec_reserve_bytes((a), VEC_PARTS(v), (v)->n + 1, sizeof *(v)->at)) \
         ? ((v)->at[(v)->n++] = (__VA_ARGS__), true) : false)
#define vec_pop(v)   ((v)->at[--(v)->n])
#define vec_last(v)  ((v)->at[(v)->n - 1])
#define vec_clear(v) ((void)((v)->n = 0))
#define vec_free(v)  (free((v)->at), (v)->at = NULL, (void)((v)->n = (v)->cap = 0))

#endif
