/*
 * Random numbers for data, splits and batches (SplitMix64): the same on every machine.
 */
#include <math.h>

#include "train.h"

uint64_t dice_bits(dice *d)
{
    uint64_t z = d->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

double dice_unit(dice *d)
{
    return (double)(dice_bits(d) >> 11) * 0x1p-53;
}

int64_t dice_below(dice *d, int64_t n)
{
    return (int64_t)(dice_unit(d) * (double)n);
}

double dice_normal(dice *d)
{
    double u = 1 - dice_unit(d), v = dice_unit(d);
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

void dice_shuffle(dice *d, int32_t *list, int64_t n)
{
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t k = dice_below(d, i + 1);
        int32_t x = list[i];
        list[i] = list[k];
        list[k] = x;
    }
}
