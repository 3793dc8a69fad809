/*
 * Hash maps from 64-bit keys (numbers, ids, pointers) to 64-bit values, in an arena, without removal.
 * Keys of several fields are hashed by hash_u64 and compared by the caller through the value (an id):
 * see idset for hash-consing.
 */
#ifndef MPC_SUPPORT_MAP_H
#define MPC_SUPPORT_MAP_H

#include "compiler/support/arena.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct map_slot { uint64_t key, value; bool used; } map_slot;
typedef struct map {
    arena *a;
    map_slot *slots;                             /* a power of two of them, at most 3/4 used */
    uint32_t n, cap;
} map;

static inline map map_make(arena *a) { return (map){.a = a}; }

/* The slot's value, or NULL. Valid until the next map_put or map_slot_of. */
uint64_t *map_get(const map *m, uint64_t key);
void map_put(map *m, uint64_t key, uint64_t value);          /* replaces */
/* The value of the key, entered as 0 when it was not there (then *fresh is true; fresh may be NULL). */
uint64_t *map_slot_of(map *m, uint64_t key, bool *fresh);

static inline bool map_has(const map *m, uint64_t key) { return map_get(m, key) != NULL; }

/* Pointers as keys and values. */
static inline uint64_t map_key(const void *p) { return (uint64_t)(uintptr_t)p; }
static inline void *map_get_ptr(const map *m, const void *key)
{
    uint64_t *v = map_get(m, map_key(key));
    return v ? (void *)(uintptr_t)*v : NULL;
}
static inline void map_put_ptr(map *m, const void *key, const void *value)
{
    map_put(m, map_key(key), (uint64_t)(uintptr_t)value);
}

/*
 * Hash-consing: a set of ids whose keys live elsewhere. Finds the id with this hash for which
 * same(ud, id) holds; UINT32_MAX when there is none. idset_add enters one that was not found.
 */
typedef struct idset {
    arena *a;
    uint64_t *slots;                             /* hash in the upper half, id + 1 in the lower; 0: free */
    uint32_t n, cap;
} idset;

static inline idset idset_make(arena *a) { return (idset){.a = a}; }
uint32_t idset_find(const idset *s, uint64_t hash, bool (*same)(const void *ud, uint32_t id), const void *ud);
void idset_add(idset *s, uint64_t hash, uint32_t id);

static inline uint64_t hash_u64(uint64_t x)      /* a bijection that spreads all bits */
{
    x ^= x >> 32; x *= 0xd6e8feb86659fd93u;
    x ^= x >> 32; x *= 0xd6e8feb86659fd93u;
    return x ^ x >> 32;
}
static inline uint64_t hash_combine(uint64_t h, uint64_t x)
{
    return hash_u64(h * 0x9e3779b97f4a7c15u + x + 1);
}
uint64_t hash_bytes(const void *p, size_t n);

#endif
