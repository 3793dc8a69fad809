/*
 * Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) and what is drawn from it. A
 * value is a function of key, stream and place alone, so fills are the same for any number of threads and machines.
 *
 * Layout of a draw: key = the seed's two halves; counter = (place low, place high, stream low, stream high). Each place
 * of a fill draws a block of its own.
 */
#ifndef RUNTIME_RANDOM_H
#define RUNTIME_RANDOM_H

#include <stdint.h>
#include "mp.h"

static inline void philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3], k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xd2511f53u * c0, p1 = (uint64_t)0xcd9e8d57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

static inline void random_block(uint64_t seed, uint64_t stream, uint64_t place, uint32_t out[4])
{
    const uint32_t counter[4] = { (uint32_t)place, (uint32_t)(place >> 32), (uint32_t)stream, (uint32_t)(stream >> 32) };
    const uint32_t key[2] = { (uint32_t)seed, (uint32_t)(seed >> 32) };
    philox(counter, key, out);
}

double random_uniform(uint64_t seed, uint64_t stream, uint64_t place);     /* [0, 1), 53 bits */
double random_normal(uint64_t seed, uint64_t stream, uint64_t place);      /* by Box and Muller */
uint64_t random_below(uint64_t seed, uint64_t stream, uint64_t place, uint64_t range);     /* 0..range-1, range >= 1 */

/* The bounds of an initialiser for a shape: half-width of a uniform or standard deviation of a normal distribution;
 * for the others the value. */
double random_init_scale(const mp_init *init, const int64_t *shape, int rank);

#endif
