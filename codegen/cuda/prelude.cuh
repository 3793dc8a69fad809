/* What all kernels share: types, loads and stores of each element type, math that keeps NaN, Philox, lanes, tile products. The text is
 * CUDA C, and plain C where MP_EMULATOR is defined: then the emulator has defined what only a device has. */

typedef long long mp_i64;
typedef unsigned int mp_u32;
typedef unsigned long long mp_u64;
typedef unsigned short mp_u16;
typedef unsigned char mp_u8;

#ifndef MP_EMULATOR

typedef struct mp_f2 { float x, y; } mp_f2;
typedef struct __align__(16) mp_f4 { float x, y, z, w; } mp_f4;
typedef struct mp_d2 { double x, y; } mp_d2;

#ifndef NULL
#define NULL 0
#endif
#define MP_DEVICE static __device__ __forceinline__
/* 128 registers a thread: a multiprocessor holds 512 of them at least. Left to itself the assembler wants more, and spills for it. */
#define MP_KERNEL(threads) extern "C" __global__ void __launch_bounds__(threads, 512 / (threads))
#define MP_SHARED(name) extern __shared__ __align__(16) char name[];

MP_DEVICE float mp_bits_f32(mp_u32 b) { return __uint_as_float(b); }
MP_DEVICE mp_u32 mp_f32_bits(float x) { return __float_as_uint(x); }
MP_DEVICE double mp_bits_f64(mp_u64 b) { return __longlong_as_double((mp_i64)b); }
MP_DEVICE mp_u64 mp_f64_bits(double x) { return (mp_u64)__double_as_longlong(x); }

/* The lanes of a group, which lie side by side in a warp. */
MP_DEVICE unsigned mp_mask(int lanes)
{
    return lanes == 32 ? 0xffffffffu : ((1u << lanes) - 1u) << (threadIdx.x % 32 / lanes * lanes);
}
MP_DEVICE void mp_sync(unsigned mask) { __syncwarp(mask); }
MP_DEVICE void mp_barrier() { __syncthreads(); }
MP_DEVICE bool mp_any(unsigned mask, bool x) { return __any_sync(mask, x); }
MP_DEVICE float mp_from_f32(unsigned mask, float x, int d) { return __shfl_xor_sync(mask, x, d); }
MP_DEVICE double mp_from_f64(unsigned mask, double x, int d) { return __shfl_xor_sync(mask, x, d); }
MP_DEVICE mp_i64 mp_from_i64(unsigned mask, mp_i64 x, int d) { return __shfl_xor_sync(mask, x, d); }
MP_DEVICE bool mp_from_bool(unsigned mask, bool x, int d) { return __shfl_xor_sync(mask, (int)x, d) != 0; }

/* One instruction of one operand, of two. */
#define MP_PTX1(name, R, A, text, out, in) MP_DEVICE R name(A a) { R x; asm(text " %0, %1;" : out(x) : in(a)); return x; }
#define MP_PTX2(name, T, text, out, in) MP_DEVICE T name(T a, T b) { T x; asm(text " %0, %1, %2;" : out(x) : in(a), in(b)); return x; }

/* Memory that no kernel writes while this one runs: read through the cache that knows it. */
#define MP_LD(name, R, A, T, type, out) \
    MP_DEVICE R name(const A *p) { T x; asm("ld.global.nc." type " %0, [%1];" : out(x) : "l"(p)); return x; }
#define MP_LD2(name, R, A, type, out)                                                               \
    MP_DEVICE R name(const A *p)                                                                    \
    {                                                                                               \
        R v;                                                                                        \
        asm("ld.global.nc.v2." type " {%0, %1}, [%2];" : out(v.x), out(v.y) : "l"(p));              \
        return v;                                                                                   \
    }
MP_LD(mp_ld_f32, float, float, float, "f32", "=f")
MP_LD(mp_ld_f64, double, double, double, "f64", "=d")
MP_LD(mp_ld_i32, mp_i64, int, int, "s32", "=r")
MP_LD(mp_ld_i64, mp_i64, mp_i64, mp_i64, "s64", "=l")
MP_LD(mp_ld_u16, mp_u16, mp_u16, mp_u16, "u16", "=h")
MP_LD(mp_ld_u32, mp_u32, void, mp_u32, "u32", "=r")
MP_LD(mp_ld_u64, mp_u64, void, mp_u64, "u64", "=l")
MP_LD2(mp_ld2_f32, mp_f2, float, "f32", "=f")
MP_LD2(mp_ld2_f64, mp_d2, double, "f64", "=d")
MP_DEVICE mp_f4 mp_ld4_f32(const float *p)
{
    mp_f4 v;
    asm("ld.global.nc.v4.f32 {%0, %1, %2, %3}, [%4];" : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w) : "l"(p));
    return v;
}
MP_PTX1(mp_of_f16, float, mp_u16, "cvt.f32.f16", "=f", "h")
MP_PTX1(mp_to_f16, mp_u16, float, "cvt.rn.f16.f32", "=h", "f")
MP_PTX1(mp_to_bf16, mp_u16, float, "cvt.rn.bf16.f32", "=h", "f")
MP_PTX2(mp_max_f32, float, "max.NaN.f32", "=f", "f")
MP_PTX2(mp_min_f32, float, "min.NaN.f32", "=f", "f")
MP_DEVICE mp_f4 mp_get4_f32(const float *p) { return *(const mp_f4 *)p; }
MP_DEVICE void mp_put2_f32(float *p, float x, float y) { *(float2 *)p = make_float2(x, y); }
MP_DEVICE void mp_put4_f32(float *p, float x, float y, float z, float w) { *(float4 *)p = make_float4(x, y, z, w); }
MP_DEVICE void mp_put2_f64(double *p, double x, double y) { *(double2 *)p = make_double2(x, y); }
MP_DEVICE void mp_put_u32(void *p, mp_u32 x) { *(mp_u32 *)p = x; }
MP_DEVICE void mp_put_u64(void *p, mp_u64 x) { *(mp_u64 *)p = x; }

#endif

/* ---- numbers ------------------------------------------------------------------------------------------- */

MP_DEVICE float mp_inf_f32(void) { return mp_bits_f32(0x7f800000u); }
MP_DEVICE float mp_nan_f32(void) { return mp_bits_f32(0x7fc00000u); }
MP_DEVICE double mp_inf_f64(void) { return mp_bits_f64(0x7ff0000000000000ull); }
MP_DEVICE double mp_nan_f64(void) { return mp_bits_f64(0x7ff8000000000000ull); }
MP_DEVICE mp_i64 mp_least_i64(void) { return (mp_i64)0x8000000000000000ull; }
MP_DEVICE mp_i64 mp_most_i64(void) { return 0x7fffffffffffffffll; }
MP_DEVICE mp_i64 mp_min_i64(mp_i64 a, mp_i64 b) { return a < b ? a : b; }
MP_DEVICE mp_i64 mp_max_i64(mp_i64 a, mp_i64 b) { return a > b ? a : b; }
MP_DEVICE double mp_max_f64(double a, double b) { return a != a ? a : b != b ? b : a > b ? a : b; }
MP_DEVICE double mp_min_f64(double a, double b) { return a != a ? a : b != b ? b : a < b ? a : b; }

/* ---- elements in memory -------------------------------------------------------------------------------- */

MP_DEVICE float mp_of_bf16(mp_u16 h) { return mp_bits_f32((mp_u32)h << 16); }

/* To an odd last bit, so that rounding once more gives what rounding once would have given. */
MP_DEVICE float mp_odd_f32(double x)
{
    const float f = (float)x;
    const double back = (double)f;
    mp_u32 b = mp_f32_bits(f);
    if (x != x || back == x)
        return f;
    if ((back < x) == (x > 0))          /* nearer to 0 than x: its last bit becomes odd */
        b |= 1u;
    else
        b = b % 2u ? b : b - 1u;
    return mp_bits_f32(b);
}

MP_DEVICE float mp_ld_f16(const mp_u16 *p) { return mp_of_f16(mp_ld_u16(p)); }
MP_DEVICE float mp_ld_bf16(const mp_u16 *p) { return mp_of_bf16(mp_ld_u16(p)); }
MP_DEVICE bool mp_ld_bool(const mp_u8 *p) { return *p != 0; }
#define MP_LD_HALVES(s)                                                                             \
    MP_DEVICE mp_f2 mp_ld2_##s(const mp_u16 *p)                                                     \
    {                                                                                               \
        const mp_u32 b = mp_ld_u32(p);                                                              \
        mp_f2 v;                                                                                    \
        v.x = mp_of_##s((mp_u16)b);                                                                 \
        v.y = mp_of_##s((mp_u16)(b >> 16));                                                         \
        return v;                                                                                   \
    }                                                                                               \
    MP_DEVICE mp_f4 mp_ld4_##s(const mp_u16 *p)                                                     \
    {                                                                                               \
        const mp_u64 b = mp_ld_u64(p);                                                              \
        mp_f4 v;                                                                                    \
        v.x = mp_of_##s((mp_u16)b);                                                                 \
        v.y = mp_of_##s((mp_u16)(b >> 16));                                                         \
        v.z = mp_of_##s((mp_u16)(b >> 32));                                                         \
        v.w = mp_of_##s((mp_u16)(b >> 48));                                                         \
        return v;                                                                                   \
    }
MP_LD_HALVES(f16)
MP_LD_HALVES(bf16)
MP_DEVICE mp_f2 mp_zero_f2(void)
{
    mp_f2 v = {0.0f, 0.0f};
    return v;
}
MP_DEVICE mp_f4 mp_zero_f4(void)
{
    mp_f4 v = {0.0f, 0.0f, 0.0f, 0.0f};
    return v;
}
MP_DEVICE mp_d2 mp_zero_d2(void)
{
    mp_d2 v = {0.0, 0.0};
    return v;
}

/* Memory that this kernel writes. */
MP_DEVICE float mp_get_f32(const float *p) { return *p; }
MP_DEVICE double mp_get_f64(const double *p) { return *p; }
MP_DEVICE float mp_get_f16(const mp_u16 *p) { return mp_of_f16(*p); }
MP_DEVICE float mp_get_bf16(const mp_u16 *p) { return mp_of_bf16(*p); }
MP_DEVICE mp_i64 mp_get_i32(const int *p) { return *p; }
MP_DEVICE mp_i64 mp_get_i64(const mp_i64 *p) { return *p; }
MP_DEVICE bool mp_get_bool(const mp_u8 *p) { return *p != 0; }
MP_DEVICE void mp_put_f32(float *p, float x) { *p = x; }
MP_DEVICE void mp_put_f64(double *p, double x) { *p = x; }
MP_DEVICE void mp_put_i32(int *p, mp_i64 x) { *p = (int)x; }
MP_DEVICE void mp_put_i64(mp_i64 *p, mp_i64 x) { *p = x; }
MP_DEVICE void mp_put_bool(mp_u8 *p, bool x) { *p = x ? 1 : 0; }

#define MP_PUT_HALVES(s)                                                                            \
    MP_DEVICE void mp_put_##s(mp_u16 *p, float x) { *p = mp_to_##s(x); }                            \
    MP_DEVICE void mp_put_##s##_f64(mp_u16 *p, double x) { *p = mp_to_##s(mp_odd_f32(x)); }         \
    MP_DEVICE void mp_put2_##s(mp_u16 *p, float x, float y) { mp_put_u32(p, mp_to_##s(x) | (mp_u32)mp_to_##s(y) << 16); } \
    MP_DEVICE void mp_put4_##s(mp_u16 *p, float x, float y, float z, float w)                       \
    {                                                                                               \
        mp_put_u64(p, mp_to_##s(x) | (mp_u64)mp_to_##s(y) << 16 | (mp_u64)mp_to_##s(z) << 32 | (mp_u64)mp_to_##s(w) << 48); \
    }
MP_PUT_HALVES(f16)
MP_PUT_HALVES(bf16)

/* ---- functions ----------------------------------------------------------------------------------------- */

#define MP_MATH(T, s, f)                                                                            \
    MP_DEVICE T mp_mul0_##s(T a, T b) { return a == 0 || b == 0 ? 0 : a * b; }                      \
    MP_DEVICE T mp_pow_##s(T a, T b) { return f(pow)(a, b); }                                       \
    MP_DEVICE T mp_atan2_##s(T a, T b) { return f(atan2)(a, b); }                                   \
    MP_DEVICE T mp_abs_##s(T a) { return f(fabs)(a); }                                              \
    MP_DEVICE T mp_sign_##s(T a) { return a > 0 ? (T)1 : a < 0 ? (T)-1 : a != a ? a : (T)0; }       \
    MP_DEVICE T mp_floor_##s(T a) { return f(floor)(a); }                                           \
    MP_DEVICE T mp_exp_##s(T a) { return f(exp)(a); }                                               \
    MP_DEVICE T mp_expm1_##s(T a) { return f(expm1)(a); }                                           \
    MP_DEVICE T mp_log_##s(T a) { return f(log)(a); }                                               \
    MP_DEVICE T mp_log1p_##s(T a) { return f(log1p)(a); }                                           \
    MP_DEVICE T mp_sqrt_##s(T a) { return f(sqrt)(a); }                                             \
    MP_DEVICE T mp_rsqrt_##s(T a) { return (T)1 / f(sqrt)(a); }                                     \
    MP_DEVICE T mp_sin_##s(T a) { return f(sin)(a); }                                               \
    MP_DEVICE T mp_cos_##s(T a) { return f(cos)(a); }                                               \
    MP_DEVICE T mp_tanh_##s(T a) { return f(tanh)(a); }                                             \
    MP_DEVICE T mp_erf_##s(T a) { return f(erf)(a); }                                               \
    MP_DEVICE T mp_relu_##s(T a) { return a < 0 ? (T)0 : a; }                                       \
    MP_DEVICE T mp_sigmoid_##s(T a)                                                                 \
    {                                                                                               \
        const T e = f(exp)(-f(fabs)(a));                                                            \
        return (a < 0 ? e : (T)1) / ((T)1 + e);                                                     \
    }                                                                                               \
    MP_DEVICE T mp_softplus_##s(T a) { return mp_relu_##s(a) + f(log1p)(f(exp)(-f(fabs)(a))); }     \
    MP_DEVICE mp_i64 mp_bucket_##s(T a, mp_i64 range)                                               \
    {                                                                                               \
        return !(a >= 1) ? 0 : a >= (T)range ? range - 1 : (mp_i64)a;                               \
    }
#define MP_F32(name) name##f
#define MP_F64(name) name
MP_MATH(float, f32, MP_F32)
MP_MATH(double, f64, MP_F64)

/* Philox 4x32-10: dropout's u in [0, 1) for an element of a member. */
MP_DEVICE float mp_random(mp_u64 seed, mp_i64 key, mp_i64 member, mp_i64 element, mp_u32 place)
{
    mp_u32 c0 = (mp_u32)(element >> 2), c1 = (mp_u32)member, c2 = place ^ (mp_u32)((mp_u64)member >> 32) * 0x9E3779B1u;
    mp_u32 c3 = (mp_u32)key, k0 = (mp_u32)seed, k1 = (mp_u32)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        const mp_u64 p0 = (mp_u64)0xD2511F53u * c0, p1 = (mp_u64)0xCD9E8D57u * c2;
        c0 = (mp_u32)(p1 >> 32) ^ c1 ^ k0;
        c2 = (mp_u32)(p0 >> 32) ^ c3 ^ k1;
        c1 = (mp_u32)p1;
        c3 = (mp_u32)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    const mp_u32 word = (element & 3) == 0 ? c0 : (element & 3) == 1 ? c1 : (element & 3) == 2 ? c2 : c3;
    return (float)(word >> 8) * 5.9604644775390625e-8f;
}

/* ---- rows and members ---------------------------------------------------------------------------------- */

/* A launch over rows whose number is found on the device. */
MP_DEVICE mp_device_launch mp_counted(mp_device_launch L)
{
    if (L.counts) {
        L.hi = L.counts[0];
        L.n_hubs = L.counts[1];
        L.n_pieces = L.counts[2];
    }
    return L;
}

/* The row of first..last whose members include this one. */
MP_DEVICE mp_i64 mp_row_of(const mp_i64 *ptr, mp_i64 first, mp_i64 last, mp_i64 member)
{
    while (first < last) {
        const mp_i64 middle = (first + last) / 2;
        if (ptr[middle + 1] <= member)
            first = middle + 1;
        else
            last = middle;
    }
    return first;
}

MP_DEVICE mp_i64 mp_hub_of(const mp_i64 *hub_row, mp_i64 n, mp_i64 row)
{
    mp_i64 first = 0, last = n - 1;
    while (first < last) {
        const mp_i64 middle = (first + last) / 2;
        if (hub_row[middle] < row)
            first = middle + 1;
        else
            last = middle;
    }
    return first;
}

/* ---- products on a tile -------------------------------------------------------------------------------- */

/* C[r, i, j] (+)= sum over k of A[r, i, k] B[k, j]: `rows` times m rows, all threads of the block together. Each element is one
 * chain of multiply-adds over k. With groups the matrix of row r starts b_group elements times its group further on; a
 * negative group adds nothing. */
typedef struct mp_gemm {
    int rows;
    mp_i64 m, n, k, a_row, a_m, a_k, b_k, b_n, c_row, c_m, c_n;
    int accumulate;
} mp_gemm;

#define MP_GEMM(T, s)                                                                               \
    MP_DEVICE void mp_gemm_##s(const mp_gemm *g, const T *a, const T *b, T *c, const mp_i64 *group, mp_i64 b_group) \
    {                                                                                               \
        enum { TALL = 8 };                                                                          \
        const mp_i64 rows = g->rows * g->m, blocks = (rows + TALL - 1) / TALL;                      \
        const int by = group ? 1 : TALL;                                                            \
        const mp_i64 tasks = (group ? rows : blocks) * g->n;                                        \
        for (mp_i64 t = threadIdx.x; t < tasks; t += blockDim.x) {                                  \
            const mp_i64 j = t % g->n, r0 = t / g->n * by;                                          \
            const mp_i64 in_group = group ? group[r0 / g->m] : 0;                                   \
            const T *const bj = b + j * g->b_n + (in_group > 0 ? in_group * b_group : 0);           \
            const T *ar[TALL];                                                                      \
            T sum[TALL];                                                                            \
            _Pragma("unroll") for (int r = 0; r < TALL; r++) {                                      \
                const mp_i64 at = mp_min_i64(r0 + (r < by ? r : 0), rows - 1);                      \
                ar[r] = a + at / g->m * g->a_row + at % g->m * g->a_m;                              \
                sum[r] = g->accumulate ? c[at / g->m * g->c_row + at % g->m * g->c_m + j * g->c_n] : (T)0; \
            }                                                                                       \
            if (by == 1) {                                                                          \
                _Pragma("unroll 4") for (mp_i64 k = 0; k < g->k && in_group >= 0; k++)              \
                    sum[0] += ar[0][k * g->a_k] * bj[k * g->b_k];                                   \
            } else {                                                                                \
                _Pragma("unroll 4") for (mp_i64 k = 0; k < g->k; k++) {                             \
                    const T x = bj[k * g->b_k];                                                     \
                    _Pragma("unroll") for (int r = 0; r < TALL; r++) sum[r] += ar[r][k * g->a_k] * x; \
                }                                                                                   \
            }                                                                                       \
            _Pragma("unroll") for (int r = 0; r < TALL; r++) {                                      \
                const mp_i64 at = r0 + r;                                                           \
                if (r < by && at < rows)                                                            \
                    c[at / g->m * g->c_row + at % g->m * g->c_m + j * g->c_n] = sum[r];             \
            }                                                                                       \
        }                                                                                           \
    }
MP_GEMM(float, f32)
MP_GEMM(double, f64)

/* The same where widths are whole vectors and everything is aligned to them: B by rows, A contiguous over k. A thread has four
 * neighbours of `tall` rows. */
MP_DEVICE mp_f4 mp_fma_f4(float a, mp_f4 b, mp_f4 c)
{
    c.x += a * b.x;
    c.y += a * b.y;
    c.z += a * b.z;
    c.w += a * b.w;
    return c;
}

#define MP_GEMM4(TALL)                                                                              \
    MP_DEVICE void mp_gemm4_##TALL(const mp_gemm *g, const float *a, const float *b, float *c)      \
    {                                                                                               \
        const int m = (int)g->m, rows = g->rows * m, across = (int)(g->n / 4), tasks = (rows + TALL - 1) / TALL * across; \
        for (int t = threadIdx.x; t < tasks; t += blockDim.x) {                                     \
            const int j = t % across * 4, r0 = t / across * TALL;                                   \
            const float *ar[TALL];                                                                  \
            mp_f4 sum[TALL];                                                                        \
            _Pragma("unroll") for (int r = 0; r < TALL; r++) {                                      \
                const int at = r0 + r < rows ? r0 + r : rows - 1;                                   \
                ar[r] = a + at / m * g->a_row + at % m * g->a_m;                                    \
                sum[r] = g->accumulate ? mp_get4_f32(c + at / m * g->c_row + at % m * g->c_m + j) : mp_zero_f4(); \
            }                                                                                       \
            _Pragma("unroll 1") for (mp_i64 k = 0; k < g->k; k += 4) {                              \
                const float *const bk = b + k * g->b_k + j;                                         \
                const mp_f4 b0 = mp_ld4_f32(bk), b1 = mp_ld4_f32(bk + g->b_k);                      \
                const mp_f4 b2 = mp_ld4_f32(bk + 2 * g->b_k), b3 = mp_ld4_f32(bk + 3 * g->b_k);     \
                _Pragma("unroll") for (int r = 0; r < TALL; r++) {                                  \
                    const mp_f4 x = mp_get4_f32(ar[r] + k);                                         \
                    sum[r] = mp_fma_f4(x.w, b3, mp_fma_f4(x.z, b2, mp_fma_f4(x.y, b1, mp_fma_f4(x.x, b0, sum[r])))); \
                }                                                                                   \
            }                                                                                       \
            _Pragma("unroll") for (int r = 0; r < TALL; r++) {                                      \
                const int at = r0 + r;                                                              \
                if (at < rows)                                                                      \
                    mp_put4_f32(c + at / m * g->c_row + at % m * g->c_m + j, sum[r].x, sum[r].y, sum[r].z, sum[r].w); \
            }                                                                                       \
        }                                                                                           \
    }
MP_GEMM4(2)
MP_GEMM4(4)

/* C[i, j] += sum over k of A[k, i] B[k, j], rows of both contiguous: a thread has four times four neighbours. */
MP_DEVICE void mp_gemm4_sum(const mp_gemm *g, const float *a, const float *b, float *c)
{
    const int across = (int)(g->n / 4), tasks = (int)(g->m / 4) * across;
    for (int t = threadIdx.x; t < tasks; t += blockDim.x) {
        const int i = t / across * 4, j = t % across * 4;
        float *const to = c + i * g->c_m + j;
        mp_f4 s0 = mp_get4_f32(to), s1 = mp_get4_f32(to + g->c_m), s2 = mp_get4_f32(to + 2 * g->c_m), s3 = mp_get4_f32(to + 3 * g->c_m);
        _Pragma("unroll 4") for (mp_i64 k = 0; k < g->k; k++) {
            const mp_f4 x = mp_get4_f32(a + k * g->a_k + i), y = mp_get4_f32(b + k * g->b_k + j);
            s0 = mp_fma_f4(x.x, y, s0);
            s1 = mp_fma_f4(x.y, y, s1);
            s2 = mp_fma_f4(x.z, y, s2);
            s3 = mp_fma_f4(x.w, y, s3);
        }
        mp_put4_f32(to, s0.x, s0.y, s0.z, s0.w);
        mp_put4_f32(to + g->c_m, s1.x, s1.y, s1.z, s1.w);
        mp_put4_f32(to + 2 * g->c_m, s2.x, s2.y, s2.z, s2.w);
        mp_put4_f32(to + 3 * g->c_m, s3.x, s3.y, s3.z, s3.w);
    }
}
