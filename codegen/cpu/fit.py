#!/usr/bin/env python3
"""Fits the polynomials of math_poly.h: minimax by Remez's exchange in 60 digits, then rounded to the type.

Usage: fit.py > math_poly.h        (needs mpmath; ten seconds)

Each row of FITS: name, type, number of coefficients, interval, the function, and the weight of its error,
chosen so that the weighted error is the error of the final result relative to the result.
"""
from mpmath import mp, mpf, exp, expm1, log, log1p, sin, cos, atan, erf, erfc, sqrt, pi
from mpmath import frexp, ldexp, lu_solve, matrix, nint

mp.dps = 60
LN2_2 = log(2) / 2


def remez(f, w, n, a, b):
    """Coefficients c[0..n) that minimise max |w (f - sum c x^i)| on [a, b], and that error."""
    a, b = mpf(a), mpf(b)
    off = (b - a) / 1000        # so that no node lies where the weight is 0
    xs = [(a + b) / 2 - (b - a) / 2 * cos(pi * (2 * i + 1) / (2 * (n + 1))) + off for i in range(n + 1)]
    grid = [(a + b) / 2 - (b - a) / 2 * cos(pi * i / 600) for i in range(601)]
    fg, wg = [f(x) for x in grid], [w(x) for x in grid]
    for _ in range(12):
        A = matrix(n + 1, n + 1)
        y = matrix(n + 1, 1)
        for i, x in enumerate(xs):
            for j in range(n):
                A[i, j] = x ** j * w(x)
            A[i, n] = (-1) ** i
            y[i] = f(x) * w(x)
        c = lu_solve(A, y)
        err = [wg[k] * (fg[k] - sum(c[j] * x ** j for j in range(n))) for k, x in enumerate(grid)]
        # the largest error of each run of one sign
        peaks = []
        for k, e in enumerate(err):
            if e == 0:
                continue
            if peaks and (e > 0) == (peaks[-1][1] > 0):
                if abs(e) > abs(peaks[-1][1]):
                    peaks[-1] = (k, e)
            else:
                peaks.append((k, e))
        while len(peaks) > n + 1:
            peaks.pop(0 if abs(peaks[0][1]) < abs(peaks[-1][1]) else -1)
        worst = max(abs(e) for e in err)
        if len(peaks) < n + 1:
            break
        xs = [grid[k] for k, _ in peaks]
        if worst < abs(c[n]) * mpf('1.001'):
            break
    return [c[j] for j in range(n)], worst


def rounded(x, bits):
    m, e = frexp(x)
    return ldexp(nint(m * 2 ** bits), e - bits)


def q_exp(r):
    if abs(r) < mpf(10) ** -12:
        return mpf(1) / 2 + r / 6 + r * r / 24
    return (expm1(r) - r) / (r * r)


def p_log(f):
    if abs(f) < mpf(10) ** -12:
        return mpf(1) / 3 - f / 4 + f * f / 5
    return (log1p(f) - f + f * f / 2) / f ** 3


def r_log(z):
    """log((1 + s) / (1 - s)) = 2 s + s R, R of z = s^2 without its factor z."""
    if z < mpf(10) ** -18:
        return mpf(2) / 3 + 2 * z / 5
    s = sqrt(z)
    return (log1p(2 * s / (1 - s)) / s - 2) / z


def r_log_tail(z):
    """what is left after the cubic term: log = 2 s + 2/3 s^3 + s^5 T(z)"""
    if z < mpf(10) ** -14:
        return mpf(2) / 5 + 2 * z / 7 + 2 * z * z / 9
    return (r_log(z) - mpf(2) / 3) / z


def s_sin(z):
    if z < mpf(10) ** -18:
        return -mpf(1) / 6 + z / 120
    r = sqrt(z)
    return (sin(r) / r - 1) / z


def c_cos(z):
    if z < mpf(10) ** -12:
        return mpf(1) / 24 - z / 720 + z * z / 40320
    return (cos(sqrt(z)) - 1 + z / 2) / (z * z)


def a_atan(z):
    if z < mpf(10) ** -18:
        return -mpf(1) / 3 + z / 5
    t = sqrt(z)
    return (atan(t) / t - 1) / z


def e_erf(z):
    if z < mpf(10) ** -18:
        return 2 / sqrt(pi) * (1 - z / 3)
    x = sqrt(z)
    return erf(x) / x


def h_tanh(z):
    """tanh x = x + x^3 H(x^2)"""
    if z < mpf(10) ** -18:
        return -mpf(1) / 3 + 2 * z / 15
    x = sqrt(z)
    return (mp.tanh(x) / x - 1) / z


TAN8 = sqrt(2) - 1
S2 = ((sqrt(2) - 1) / (sqrt(2) + 1)) ** 2
ERF32, ERF64 = mpf('0.921875'), mpf('0.921875')


def log_erfc(shift):
    """-log(erfc(x)) as a polynomial in x - shift"""
    return (lambda t: -log(erfc(t + shift))), (lambda t: erfc(t + shift) / erf(t + shift))


G32, W32 = log_erfc(mpf(0))
G64, W64 = log_erfc(mpf('2.5'))

FITS = [
    ('poly_exp', 32, 5, -LN2_2, LN2_2, q_exp, lambda r: r * r / exp(r), 'exp(r) = 1 + r + r^2 Q(r)'),
    ('poly_exp', 64, 10, -LN2_2, LN2_2, q_exp, lambda r: r * r / exp(r), 'the same'),
    ('poly_exp_short', 64, 6, -LN2_2, LN2_2, q_exp, lambda r: r * r / exp(r), 'the same for the f32 pow'),
    ('poly_log', 32, 8, sqrt(mpf(1) / 2) - 1, sqrt(2) - 1, p_log,
     lambda f: abs(f ** 3 / log1p(f)) if f else mpf(0), 'log(1 + f) = f - f^2 / 2 + f^3 P(f)'),
    ('poly_log_wide', 32, 4, 0, mpf(1) / 9, r_log, lambda z: z * sqrt(z) / log1p(2 * sqrt(z) / (1 - sqrt(z))) if z else mpf(0),
     'log = 2 s + s z R(z), s = f / (2 + f), z = s^2, f from 0 to 1'),
    ('poly_log', 64, 7, 0, S2, r_log, lambda z: z / 2, 'log = 2 s + s z R(z), s = f / (2 + f), z = s^2'),
    ('poly_log_short', 64, 5, 0, S2, r_log, lambda z: z / 2, 'the same for the f32 pow'),
    ('poly_log_tail', 64, 7, 0, S2, r_log_tail, lambda z: z * z / 2, 'log = 2 s + 2/3 s^3 + s^5 T(z)'),
    ('poly_sin', 32, 3, 0, (pi / 4) ** 2, s_sin, lambda z: z, 'sin r = r + r^3 S(r^2)'),
    ('poly_sin', 64, 6, 0, (pi / 4) ** 2, s_sin, lambda z: z, 'the same'),
    ('poly_cos', 32, 3, 0, (pi / 4) ** 2, c_cos, lambda z: z * z, 'cos r = 1 - z / 2 + z^2 C(z), z = r^2'),
    ('poly_cos', 64, 6, 0, (pi / 4) ** 2, c_cos, lambda z: z * z, 'the same'),
    ('poly_atan', 32, 5, 0, TAN8 ** 2, a_atan, lambda z: z, 'atan t = t + t^3 A(t^2), t to tan(pi / 8)'),
    ('poly_atan', 64, 11, 0, TAN8 ** 2, a_atan, lambda z: z, 'the same'),
    ('poly_tanh', 32, 5, 0, mpf('0.625') ** 2, h_tanh, lambda z: z, 'tanh x = x + x^3 H(x^2), x to 0.625'),
    ('poly_tanh', 64, 11, 0, mpf('0.625') ** 2, h_tanh, lambda z: z, 'the same'),
    ('poly_erf', 32, 7, 0, ERF32 ** 2, e_erf, lambda z: mpf(1), 'erf x = x E(x^2), x to 0.921875'),
    ('poly_erf', 64, 12, 0, ERF64 ** 2, e_erf, lambda z: mpf(1), 'the same'),
    ('poly_log_erfc', 32, 7, ERF32, mpf('4'), G32, W32, '-log(erfc x), x from 0.921875 to 4'),
    ('poly_log_erfc', 64, 19, ERF64 - mpf('2.5'), mpf('6') - mpf('2.5'), G64, W64,
     '-log(erfc x) in x - 2.5, x from 0.921875 to 6'),
]


def main():
    print('/* Polynomials of the math functions, lowest power first. Made by fit.py: change them there.')
    print(' * The figure is the greatest error relative to the result, before coefficients are rounded. */')
    print('#ifndef MPC_CODEGEN_CPU_MATH_POLY_H')
    print('#define MPC_CODEGEN_CPU_MATH_POLY_H')
    for name, bits, n, a, b, f, w, what in FITS:
        c, err = remez(f, w, n, a, b)
        print(f'\n/* {what}; 2^{float(mp.log(err, 2)):.1f} */')
        print(f'static const double {name}{bits}[] = {{')
        for i in range(0, n, 3):
            line = [float(rounded(x, 24 if bits == 32 else 53)).hex() for x in c[i:i + 3]]
            print('    ' + ', '.join(line) + ',')
        print('};')
    print('\n#endif')


main()
