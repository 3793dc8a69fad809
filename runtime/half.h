/*
 * float16 (IEEE binary16) and bfloat16 as storage types: conversion to and from float and double, rounding to the
 * nearest, ties to even, once. NaN stays NaN, overflow goes to infinity, subnormals are kept.
 */
#ifndef RUNTIME_HALF_H
#define RUNTIME_HALF_H

#include <stdint.h>
#include <string.h>

static inline uint32_t half_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static inline float half_float(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static inline float bf16_to_f32(uint16_t h)
{
    return half_float((uint32_t)h << 16);
}

static inline uint16_t f32_to_bf16(float f)
{
    uint32_t u = half_bits(f);
    if ((u & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(u >> 16 | 0x40u);
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}

static inline float f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = h >> 10 & 31u, fraction = h & 0x3ffu;
    if (exponent == 31)
        return half_float(sign | 0x7f800000u | fraction << 13);
    if (exponent)
        return half_float(sign | (exponent + 112u) << 23 | fraction << 13);
    float f = (float)fraction * 0x1p-24f;
    return sign ? -f : f;
}

static inline uint16_t f32_to_f16(float f)
{
    uint32_t u = half_bits(f), sign = u >> 16 & 0x8000u;
    u &= 0x7fffffffu;
    if (u > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u | (u >> 13 & 0x3ffu));
    if (u >= 0x477ff000u)                       /* 65520 and more */
        return (uint16_t)(sign | 0x7c00u);
    if (u < 0x38800000u) {                      /* below 2^-14: adding 0.5 rounds to a multiple of 2^-24 */
        uint32_t r = half_bits(half_float(u) + 0.5f);
        return (uint16_t)(sign | (r - 0x3f000000u));
    }
    u += 0xfffu + (u >> 13 & 1u);
    return (uint16_t)(sign | (u - 0x38000000u) >> 13);
}

/* The float next to d whose last bit tells that something was cut off ("round to odd"): rounding it once more to a
 * type with at least two bits less gives what rounding d directly would. */
static inline float half_round_to_odd(double d)
{
    float f = (float)d;
    if ((double)f == d || d != d)
        return f;
    uint32_t u = half_bits(f);
    double a = d < 0 ? -d : d, b = (double)f < 0 ? -(double)f : (double)f;
    if (b > a)
        u--;
    return half_float(u | 1u);
}

static inline uint16_t f64_to_f16(double d)
{
    return f32_to_f16(half_round_to_odd(d));
}

static inline uint16_t f64_to_bf16(double d)
{
    return f32_to_bf16(half_round_to_odd(d));
}

#endif
