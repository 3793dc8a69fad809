/*
 * Open addressing with linear probing over a power of two of slots.
 */
#include "compiler/support/map.h"

#include <string.h>

static map_slot *probe(map_slot *slots, uint32_t cap, uint64_t key)
{
    uint32_t i = (uint32_t)hash_u64(key) & (cap - 1);
    while (slots[i].used && slots[i].key != key)
        i = (i + 1) & (cap - 1);
    return &slots[i];
}

uint64_t *map_get(const map *m, uint64_t key)
{
    if (!m->n)
        return NULL;
    map_slot *s = probe(m->slots, m->cap, key);
    return s->used ? &s->value : NULL;
}

static void grow(map *m)
{
    uint32_t cap = m->cap ? m->cap * 2 : 16;
    if (m->cap > UINT32_MAX / 2)
        arena_fail(m->a, ARENA_LIMIT);
    map_slot *slots = NEW_N(m->a, map_slot, cap);
    for (uint32_t i = 0; i < m->cap; i++)
        if (m->slots[i].used)
            *probe(slots, cap, m->slots[i].key) = m->slots[i];
    m->slots = slots;
    m->cap = cap;
}

uint64_t *map_slot_of(map *m, uint64_t key, bool *fresh)
{
    if (m->n >= m->cap / 4 * 3)
        grow(m);
    map_slot *s = probe(m->slots, m->cap, key);
    if (fresh)
        *fresh = !s->used;
    if (!s->used) {
        *s = (map_slot){.key = key, .used = true};
        m->n++;
    }
    return &s->value;
}

void map_put(map *m, uint64_t key, uint64_t value)
{
    *map_slot_of(m, key, NULL) = value;
}

uint32_t idset_find(const idset *s, uint64_t hash, bool (*same)(const void *ud, uint32_t id), const void *ud)
{
    if (!s->n)
        return UINT32_MAX;
    uint32_t top = (uint32_t)(hash >> 32);
    for (uint32_t i = top & (s->cap - 1); s->slots[i]; i = (i + 1) & (s->cap - 1)) {
        uint32_t id = (uint32_t)s->slots[i] - 1;
        if ((uint32_t)(s->slots[i] >> 32) == top && same(ud, id))
            return id;
    }
    return UINT32_MAX;
}

static void enter(uint64_t *slots, uint32_t cap, uint64_t entry)
{
    uint32_t i = (uint32_t)(entry >> 32) & (cap - 1);
    while (slots[i])
        i = (i + 1) & (cap - 1);
    slots[i] = entry;
}

void idset_add(idset *s, uint64_t hash, uint32_t id)
{
    if (s->n >= s->cap / 4 * 3) {
        uint32_t cap = s->cap ? s->cap * 2 : 16;
        if (s->cap > UINT32_MAX / 2)
            arena_fail(s->a, ARENA_LIMIT);
        uint64_t *slots = NEW_N(s->a, uint64_t, cap);
        for (uint32_t i = 0; i < s->cap; i++)
            if (s->slots[i])
                enter(slots, cap, s->slots[i]);
        s->slots = slots;
        s->cap = cap;
    }
    enter(s->slots, s->cap, (hash & 0xffffffff00000000u) | ((uint64_t)id + 1));
    s->n++;
}

uint64_t hash_bytes(const void *p, size_t n)
{
    const unsigned char *at = p;
    uint64_t h = n;
    for (; n >= 8; at += 8, n -= 8) {
        uint64_t w;
        memcpy(&w, at, 8);
        h = hash_combine(h, w);
    }
    uint64_t w = 0;
    memcpy(&w, at, n);
    return hash_combine(h, w);
}
