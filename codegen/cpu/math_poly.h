/* Polynomials of the math functions, lowest power first. Made by fit.py: change them there.
 * The figure is the greatest error relative to the result, before coefficients are rounded. */
#ifndef MPC_CODEGEN_CPU_MATH_POLY_H
#define MPC_CODEGEN_CPU_MATH_POLY_H

/* exp(r) = 1 + r + r^2 Q(r); 2^-28.3 */
static const double poly_exp32[] = {
    0x1.fffffc0000000p-2, 0x1.5554920000000p-3, 0x1.5558f20000000p-5,
    0x1.1239d40000000p-7, 0x1.6a244e0000000p-10,
};

/* the same; 2^-57.9 */
static const double poly_exp64[] = {
    0x1.000000000000ap-1, 0x1.55555555554fap-3, 0x1.555555555088dp-5,
    0x1.1111111127b9dp-7, 0x1.6c16c1842649ap-10, 0x1.a01a012a68a5fp-13,
    0x1.a0199a173a5a6p-16, 0x1.71df253d4c8e0p-19, 0x1.28ad68588717ap-22,
    0x1.ad7f75957ae9cp-26,
};

/* the same for the f32 pow; 2^-34.2 */
static const double poly_exp_short64[] = {
    0x1.0000003a1ac6bp-1, 0x1.5555544372da4p-3, 0x1.55548dd8b4568p-5,
    0x1.1112707ba11efp-7, 0x1.6d8cf3e473918p-10, 0x1.9f08bef283ca5p-13,
};

/* log(1 + f) = f - f^2 / 2 + f^3 P(f); 2^-27.4 */
static const double poly_log32[] = {
    0x1.5555540000000p-2, -0x1.0002260000000p-2, 0x1.99a00a0000000p-3,
    -0x1.5472480000000p-3, 0x1.22da0c0000000p-3, -0x1.0d85180000000p-3,
    0x1.055bae0000000p-3, -0x1.38b6d00000000p-4,
};

/* log = 2 s + s z R(z), s = f / (2 + f), z = s^2, f from 0 to 1; 2^-27.7 */
static const double poly_log_wide32[] = {
    0x1.5555020000000p-1, 0x1.99d2080000000p-2, 0x1.1ebd140000000p-2,
    0x1.1ed79e0000000p-2,
};

/* log = 2 s + s z R(z), s = f / (2 + f), z = s^2; 2^-59.5 */
static const double poly_log64[] = {
    0x1.5555555555592p-1, 0x1.999999997fdb9p-2, 0x1.24924941f12fcp-2,
    0x1.c71c520949949p-3, 0x1.74663eeda4b80p-3, 0x1.39a1ba1e6c8e7p-3,
    0x1.2f0569fe1a323p-3,
};

/* the same for the f32 pow; 2^-44.9 */
static const double poly_log_short64[] = {
    0x1.555555561e29fp-1, 0x1.999996a994ecep-2, 0x1.249411cbf9a4fp-2,
    0x1.c62b20da23e1ep-3, 0x1.9114d12633d83p-3,
};

/* log = 2 s + 2/3 s^3 + s^5 T(z); 2^-66.3 */
static const double poly_log_tail64[] = {
    0x1.9999999999b30p-2, 0x1.2492492457dbdp-2, 0x1.c71c722d5d797p-3,
    0x1.745ce9e683b70p-3, 0x1.3b1eeb75f5e35p-3, 0x1.0f7ff767215fbp-3,
    0x1.0e422a76057efp-3,
};

/* sin r = r + r^3 S(r^2); 2^-28.1 */
static const double poly_sin32[] = {
    -0x1.5555460000000p-3, 0x1.1107600000000p-7, -0x1.994eb20000000p-13,
};

/* the same; 2^-58.0 */
static const double poly_sin64[] = {
    -0x1.5555555555549p-3, 0x1.111111110f881p-7, -0x1.a01a019c126d5p-13,
    0x1.71de3578769bep-19, -0x1.ae5e66d6b3028p-26, 0x1.5d932fcd7cb83p-33,
};

/* cos r = 1 - z / 2 + z^2 C(z), z = r^2; 2^-33.3 */
static const double poly_cos32[] = {
    0x1.55554a0000000p-5, -0x1.6c0c8c0000000p-10, 0x1.9a025a0000000p-16,
};

/* the same; 2^-64.2 */
static const double poly_cos64[] = {
    0x1.555555555554cp-5, -0x1.6c16c16c15184p-10, 0x1.a01a019cb270fp-16,
    -0x1.27e4f80a77ce6p-22, 0x1.1ee9ec48b0d4fp-29, -0x1.8faecfb1903bep-37,
};

/* atan t = t + t^3 A(t^2), t to tan(pi / 8); 2^-30.5 */
static const double poly_atan32[] = {
    -0x1.55554a0000000p-2, 0x1.9991ae0000000p-3, -0x1.23b6ca0000000p-3,
    0x1.b203200000000p-4, -0x1.f25b3c0000000p-5,
};

/* the same; 2^-59.5 */
static const double poly_atan64[] = {
    -0x1.555555555553dp-2, 0x1.99999999958fbp-3, -0x1.24924922b1885p-3,
    0x1.c71c70e7cc537p-4, -0x1.745cf90ffbef6p-4, 0x1.3b111cbdf0b89p-4,
    -0x1.10ebe1b1dca01p-4, 0x1.df11a4408b7ffp-5, -0x1.9cdd3ea36091cp-5,
    0x1.37f0156937ef4p-5, -0x1.25a39af3daba1p-6,
};

/* tanh x = x + x^3 H(x^2), x to 0.625; 2^-27.9 */
static const double poly_tanh32[] = {
    -0x1.5555340000000p-2, 0x1.1107680000000p-3, -0x1.b844480000000p-5,
    0x1.5256d60000000p-6, -0x1.76ac120000000p-8,
};

/* the same; 2^-56.5 */
static const double poly_tanh64[] = {
    -0x1.5555555555503p-2, 0x1.111111110b0c9p-3, -0x1.ba1ba1b531155p-5,
    0x1.664f4781f94a5p-6, -0x1.226e16da36f7fp-7, 0x1.d6cf3caaa127dp-9,
    -0x1.7d696a9fe18aep-10, 0x1.336ae70be60ffp-11, -0x1.df7a91dbfc752p-13,
    0x1.43e188c34803cp-14, -0x1.0e3d849cb3b24p-16,
};

/* erf x = x E(x^2), x to 0.921875; 2^-31.2 */
static const double poly_erf32[] = {
    0x1.20dd760000000p+0, -0x1.8127440000000p-2, 0x1.ce2e300000000p-4,
    -0x1.b811c20000000p-6, 0x1.54e6520000000p-8, -0x1.ab48e20000000p-11,
    0x1.603ac60000000p-14,
};

/* the same; 2^-59.7 */
static const double poly_erf64[] = {
    0x1.20dd750429b6dp+0, -0x1.812746b0379e0p-2, 0x1.ce2f21a04260cp-4,
    -0x1.b82ce312687bap-6, 0x1.565bcd08aaba4p-8, -0x1.c02db2ca34360p-11,
    0x1.f9a2fd8164347p-14, -0x1.f4ceb355e8cfcp-17, 0x1.b9af6aaed1ab4p-20,
    -0x1.5d46f9f111f81p-23, 0x1.e0995ab278e19p-27, -0x1.cad97decccb4cp-31,
};

/* -log(erfc x), x from 0.921875 to 4; 2^-29.3 */
static const double poly_log_erfc32[] = {
    0x1.a069ae0000000p-13, 0x1.20ae920000000p+0, 0x1.463f620000000p-1,
    0x1.a9a1ae0000000p-4, -0x1.6c06c40000000p-6, 0x1.8e99bc0000000p-9,
    -0x1.9a73f20000000p-13,
};

/* -log(erfc x) in x - 2.5, x from 0.921875 to 6; 2^-58.5 */
static const double poly_log_erfc64[] = {
    0x1.f3a2dc8691b97p+2, 0x1.56925248da97cp+2, 0x1.e3460a18c4e44p-1,
    0x1.63cc1da644c7cp-7, -0x1.1bd558f225e78p-9, 0x1.b9613a6c3ed33p-12,
    -0x1.4317288a37c38p-14, 0x1.ac03bc01a32ebp-17, -0x1.dae250fa957bep-20,
    0x1.4ecde699e9c2dp-23, 0x1.b4247d3d7bc23p-27, -0x1.73b68f875ed81p-27,
    0x1.e212d1f2e9ff7p-29, -0x1.f347279c10a7cp-31, 0x1.337a7f2669305p-33,
    -0x1.39dffcd017f13p-37, 0x1.6f4ac12bb86d6p-37, -0x1.04635e4bfab00p-43,
    -0x1.6cbd4d383d0bcp-40,
};

#endif
