/* A device on the CPU, for tests: the generated CUDA C is compiled as C with this header in front. Blocks run one after the
 * other; the threads of a block are fibers that run until they must wait for others: at a barrier of the block, or of the lanes
 * of a mask (synchronisation, shuffles, votes). A thread that waits for what never comes is an error that is told.
 *
 * Fibers find themselves by their stack: its lowest bytes hold the thread. EMU_REVERSE, in the environment of a run, runs threads from the last to the first: results
 * must be the same bits, or a synchronisation is missing. Memory of a block is full of rubbish when it begins. */
#ifndef TESTS_CUDA_EMULATOR_H
#define TESTS_CUDA_EMULATOR_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "runtime/abi.h"

/* The compiler's own loader of objects has no such table, nor does code need it there. */
__asm__(".weak _GLOBAL_OFFSET_TABLE_\n");

#define MP_EMULATOR 1
#define MP_DEVICE static inline __attribute__((unused))
#define MP_KERNEL(threads) static __attribute__((noinline)) void
#define MP_SHARED(name) char *const name = emu_self()->block->shared;

/* ---- threads ------------------------------------------------------------------------------------------- */

enum { EMU_STACK = 1 << 16, EMU_MOST = 1024, EMU_WARP = 32 };

typedef struct emu_index { int x; } emu_index;

typedef struct emu_warp { unsigned arrived; } emu_warp;

typedef struct emu_block {
    emu_index index, threads, blocks;
    emu_warp warp[EMU_MOST / EMU_WARP];
    int at_barrier, done;
    char *shared, *stacks;
    void *scheduler;                    /* its stack pointer, while a fiber runs */
    void (*enter)(struct emu_block *);
    const void *args, *launch, *kernel;
} emu_block;

typedef struct emu_thread {
    emu_block *block;
    emu_index index;
    bool waits, done;
    void *sp;
    uint64_t slot;                      /* what lanes hand to each other */
} emu_thread;

static inline emu_thread *emu_self(void)
{
    return (emu_thread *)((uintptr_t)__builtin_frame_address(0) & ~(uintptr_t)(EMU_STACK - 1));
}

static inline emu_thread *emu_at(const emu_block *b, int i)
{
    return (emu_thread *)(void *)(b->stacks + (size_t)i * EMU_STACK);
}

#define threadIdx (emu_self()->index)
#define blockIdx (emu_self()->block->index)
#define blockDim (emu_self()->block->threads)
#define gridDim (emu_self()->block->blocks)

/* ---- switching ----------------------------------------------------------------------------------------- */

#if defined(__x86_64__)

void emu_switch(void **from, void *to) __attribute__((visibility("hidden")));
__asm__(".text\n.hidden emu_switch\n.globl emu_switch\n.type emu_switch, @function\nemu_switch:\n"
        "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
        "movq %rsp, (%rdi)\nmovq %rsi, %rsp\n"
        "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\nretq\n");

static void *emu_first(char *top, void (*entry)(void))
{
    uint64_t *sp = (uint64_t *)(void *)top - 2;
    *sp = (uint64_t)(uintptr_t)entry;
    for (int i = 0; i < 6; i++)
        *--sp = 0;
    return sp;
}

#elif defined(__aarch64__)

void emu_switch(void **from, void *to) __attribute__((visibility("hidden")));
__asm__(".text\n.hidden emu_switch\n.globl emu_switch\n.type emu_switch, %function\nemu_switch:\n"
        "sub sp, sp, #160\nstp x19, x20, [sp]\nstp x21, x22, [sp, #16]\nstp x23, x24, [sp, #32]\nstp x25, x26, [sp, #48]\n"
        "stp x27, x28, [sp, #64]\nstp x29, x30, [sp, #80]\nstp d8, d9, [sp, #96]\nstp d10, d11, [sp, #112]\n"
        "stp d12, d13, [sp, #128]\nstp d14, d15, [sp, #144]\nmov x9, sp\nstr x9, [x0]\nmov sp, x1\n"
        "ldp x19, x20, [sp]\nldp x21, x22, [sp, #16]\nldp x23, x24, [sp, #32]\nldp x25, x26, [sp, #48]\n"
        "ldp x27, x28, [sp, #64]\nldp x29, x30, [sp, #80]\nldp d8, d9, [sp, #96]\nldp d10, d11, [sp, #112]\n"
        "ldp d12, d13, [sp, #128]\nldp d14, d15, [sp, #144]\nadd sp, sp, #160\nret\n");

static void *emu_first(char *top, void (*entry)(void))
{
    uint64_t *sp = (uint64_t *)(void *)top - 20;
    memset(sp, 0, 160);
    sp[11] = (uint64_t)(uintptr_t)entry;
    return sp;
}

#else
#error "the emulator switches fibers on x86-64 and aarch64"
#endif

static void emu_wait(emu_thread *t)
{
    t->waits = true;
    while (t->waits)
        emu_switch(&t->sp, t->block->scheduler);
}

static void emu_begin(void)
{
    emu_thread *t = emu_self();
    t->block->enter(t->block);
    t->done = true;
    t->block->done++;
    for (;;)
        emu_switch(&t->sp, t->block->scheduler);
}

__attribute__((noreturn)) static void emu_stuck(const emu_block *b)
{
    fprintf(stderr, "emulator: threads of block %d wait for each other: %d of %d have ended, %d are at the barrier\n", b->index.x,
            b->done, b->threads.x, b->at_barrier);
    abort();
}

/* One block: its threads in turn, until all have ended. */
static void emu_run_block(emu_block *b)
{
    b->at_barrier = b->done = 0;
    memset(b->warp, 0, sizeof b->warp);
    for (int i = 0; i < b->threads.x; i++) {
        emu_thread *t = emu_at(b, i);
        *t = (emu_thread){.block = b, .index = {i}};
        t->sp = emu_first((char *)t + EMU_STACK, emu_begin);
    }
    const bool reverse = getenv("EMU_REVERSE") != NULL;
    while (b->done < b->threads.x) {
        bool moved = false;
        for (int i = 0; i < b->threads.x; i++) {
            emu_thread *t = emu_at(b, reverse ? b->threads.x - 1 - i : i);
            if (t->done || t->waits)
                continue;
            moved = true;
            emu_switch(&b->scheduler, t->sp);
        }
        if (!moved)
            emu_stuck(b);
    }
}

/* ---- what a device has --------------------------------------------------------------------------------- */

MP_DEVICE unsigned mp_mask(int lanes)
{
    return lanes == 32 ? 0xffffffffu : ((1u << lanes) - 1u) << (threadIdx.x % 32 / lanes * lanes);
}

MP_DEVICE void mp_sync(unsigned mask)
{
    emu_thread *t = emu_self();
    emu_warp *w = &t->block->warp[t->index.x / EMU_WARP];
    w->arrived |= 1u << t->index.x % EMU_WARP;
    if ((w->arrived & mask) != mask) {
        emu_wait(t);
        return;
    }
    w->arrived &= ~mask;
    for (int i = 0; i < EMU_WARP; i++)
        if (mask >> i & 1)
            emu_at(t->block, t->index.x / EMU_WARP * EMU_WARP + i)->waits = false;
}

MP_DEVICE void mp_barrier(void)
{
    emu_thread *t = emu_self();
    emu_block *b = t->block;
    if (++b->at_barrier < b->threads.x) {
        emu_wait(t);
        return;
    }
    b->at_barrier = 0;
    for (int i = 0; i < b->threads.x; i++)
        emu_at(b, i)->waits = false;
}

static inline uint64_t emu_exchange(unsigned mask, uint64_t x, int d)
{
    emu_thread *t = emu_self();
    t->slot = x;
    mp_sync(mask);
    uint64_t y = emu_at(t->block, t->index.x ^ d)->slot;
    mp_sync(mask);
    return y;
}

MP_DEVICE bool mp_any(unsigned mask, bool x)
{
    emu_thread *t = emu_self();
    bool any = false;
    t->slot = x;
    mp_sync(mask);
    for (int i = 0; i < EMU_WARP; i++)
        if (mask >> i & 1)
            any |= emu_at(t->block, t->index.x / EMU_WARP * EMU_WARP + i)->slot != 0;
    mp_sync(mask);
    return any;
}

#define EMU_FROM(T, s)                                              \
    MP_DEVICE T mp_from_##s(unsigned mask, T x, int d)              \
    {                                                               \
        uint64_t bits = 0;                                          \
        memcpy(&bits, &x, sizeof x);                                \
        bits = emu_exchange(mask, bits, d);                         \
        memcpy(&x, &bits, sizeof x);                                \
        return x;                                                   \
    }
EMU_FROM(float, f32)
EMU_FROM(double, f64)
EMU_FROM(long long, i64)
EMU_FROM(bool, bool)

#define EMU_CAST(name, T, U)                                        \
    MP_DEVICE T name(U x)                                           \
    {                                                               \
        T y;                                                        \
        memcpy(&y, &x, sizeof y);                                   \
        return y;                                                   \
    }
EMU_CAST(mp_bits_f32, float, unsigned)
EMU_CAST(mp_f32_bits, unsigned, float)
EMU_CAST(mp_bits_f64, double, unsigned long long)
EMU_CAST(mp_f64_bits, unsigned long long, double)

/* A load of several elements needs its address aligned to all of them, as on a device. */
static inline const void *emu_aligned(const void *p, size_t to)
{
    if ((uintptr_t)p % to) {
        fprintf(stderr, "emulator: a load or store of %zu bytes at an address that is not aligned to them\n", to);
        abort();
    }
    return p;
}

#define EMU_LOAD(name, R, T)                                        \
    MP_DEVICE R name(const T *p)                                    \
    {                                                               \
        R v;                                                        \
        memcpy(&v, emu_aligned(p, sizeof v), sizeof v);             \
        return v;                                                   \
    }
typedef struct mp_f2 { float x, y; } mp_f2;
typedef struct mp_f4 { float x, y, z, w; } mp_f4;
typedef struct mp_d2 { double x, y; } mp_d2;
EMU_LOAD(mp_ld_f32, float, float)
EMU_LOAD(mp_ld2_f32, mp_f2, float)
EMU_LOAD(mp_ld4_f32, mp_f4, float)
EMU_LOAD(mp_get4_f32, mp_f4, float)
EMU_LOAD(mp_ld_f64, double, double)
EMU_LOAD(mp_ld2_f64, mp_d2, double)
EMU_LOAD(mp_ld_i64, long long, long long)
EMU_LOAD(mp_ld_u16, unsigned short, unsigned short)
EMU_LOAD(mp_ld_u32, unsigned, void)
EMU_LOAD(mp_ld_u64, unsigned long long, void)
MP_DEVICE long long mp_ld_i32(const int *p) { return *p; }

static inline void emu_store(void *p, const void *v, size_t n) { memcpy((void *)(uintptr_t)emu_aligned(p, n), v, n); }
MP_DEVICE void mp_put2_f32(float *p, float x, float y) { emu_store(p, (float[]){x, y}, 8); }
MP_DEVICE void mp_put4_f32(float *p, float x, float y, float z, float w) { emu_store(p, (float[]){x, y, z, w}, 16); }
MP_DEVICE void mp_put2_f64(double *p, double x, double y) { emu_store(p, (double[]){x, y}, 16); }
MP_DEVICE void mp_put_u32(void *p, unsigned x) { emu_store(p, &x, 4); }
MP_DEVICE void mp_put_u64(void *p, unsigned long long x) { emu_store(p, &x, 8); }

MP_DEVICE float mp_max_f32(float a, float b) { return a != a ? a : b != b ? b : a > b ? a : b; }
MP_DEVICE float mp_min_f32(float a, float b) { return a != a ? a : b != b ? b : a < b ? a : b; }

/* Half types, as the device's conversions round: to the nearest, ties to even. */
MP_DEVICE float mp_of_f16(unsigned short h)
{
    const int e = h >> 10 & 31, m = h & 1023;
    const float s = h >> 15 ? -1.0f : 1.0f;
    if (e == 31)
        return m ? (float)NAN : s * (float)INFINITY;
    return s * (e ? ldexpf((float)(m + 1024), e - 25) : ldexpf((float)m, -24));
}

MP_DEVICE unsigned short mp_to_f16(float x)
{
    const unsigned short s = signbit(x) ? 0x8000 : 0;
    if (x != x)
        return 0x7fff;
    int e;
    const float a = fabsf(x);
    if (a >= 65520.0f)
        return s | 0x7c00;
    frexpf(a, &e);
    if (e < -13)
        e = -13;
    const float m = rintf(ldexpf(a, 11 - e));           /* exact: a has 24 bits, powers of two only move it */
    if (a == 0)
        return s;
    return s | (unsigned short)((unsigned)m + ((unsigned)(e + 13) << 10));
}

MP_DEVICE unsigned short mp_to_bf16(float x)
{
    const unsigned b = mp_f32_bits(x);
    if (x != x)
        return 0x7fff;
    return (unsigned short)((b + 0x7fff + (b >> 16 & 1)) >> 16);
}

#endif
