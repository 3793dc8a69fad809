/* The generator behind dropout: Philox 4x32-10 (Salmon, Moraes, Dror and Shaw, SC 2011), a function of
 * key and counter, so that a mask is recomputed, never stored, and does not depend on who computes it.
 *
 *   key      the call's seed, low word first
 *   counter  [0]  element of the member's feature array (row-major), divided by 4
 *            [1]  low word of the member's number in its domain (edges: in the order of the edge list)
 *            [2]  place in the program, xor the high word of the member's number times 0x9E3779B1
 *            [3]  steps of the loops around the place: low word of the integer that operand `key` of
 *                 dropout holds: 0 outside of loops, (steps outside) * K + step in a loop of limit K
 *
 * The element's word is that of its number modulo 4. Its upper 24 bits are a uniform u in [0, 1), exact
 * in f32; the element is kept when u >= p, compared in f32, and then multiplied by 1 / (1 - p).
 */
#ifndef MPC_IR_PHILOX_H
#define MPC_IR_PHILOX_H

#include <stdbool.h>
#include <stdint.h>

enum { PHILOX_ROUNDS = 10 };
#define PHILOX_M0 UINT32_C(0xD2511F53)
#define PHILOX_M1 UINT32_C(0xCD9E8D57)
#define PHILOX_W0 UINT32_C(0x9E3779B9)
#define PHILOX_W1 UINT32_C(0xBB67AE85)
#define PHILOX_MEMBER_HIGH UINT32_C(0x9E3779B1)

static inline void philox(uint64_t seed, const uint32_t counter[4], uint32_t out[4])
{
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        uint64_t p0 = (uint64_t)PHILOX_M0 * c0, p1 = (uint64_t)PHILOX_M1 * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += PHILOX_W0;
        k1 += PHILOX_W1;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* Is this element kept? */
static inline bool dropout_keeps(uint64_t seed, uint32_t site, uint64_t steps, uint64_t member, uint64_t element, double p)
{
    uint32_t counter[4] = {(uint32_t)(element >> 2), (uint32_t)member,
                           site ^ (uint32_t)(member >> 32) * PHILOX_MEMBER_HIGH, (uint32_t)steps};
    uint32_t word[4];
    philox(seed, counter, word);
    return (float)(word[element & 3] >> 8) * 0x1p-24f >= (float)p;
}

#endif
