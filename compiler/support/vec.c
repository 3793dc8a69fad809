/*
 * The growth of vectors: doubling, from eight elements on. In an arena the old array is left behind,
 * which wastes no more than the final size.
 */
#include "compiler/support/vec.h"

#include <string.h>

bool vec_reserve_bytes(arena *a, void **at, uint32_t *cap, uint32_t n, uint32_t want, size_t size)
{
    if (want <= *cap)
        return true;
    uint64_t room = *cap < 8 ? 8 : (uint64_t)*cap * 2;
    if (room < want)
        room = want;
    if (room > UINT32_MAX || want < n) {         /* want < n: the count itself wrapped */
        if (a)
            arena_fail(a, ARENA_LIMIT);
        return false;
    }
    void *p;
    if (a) {
        p = arena_alloc_array(a, room, size);
        if (n)
            memcpy(p, *at, n * size);
    } else {
        p = size && room > SIZE_MAX / size ? NULL : realloc(*at, room * size);
        if (!p)
            return false;
    }
    *at = p;
    *cap = (uint32_t)room;
    return true;
}
