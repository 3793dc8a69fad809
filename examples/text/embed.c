/*
 * Positive pointwise mutual information (Bullinaria & Levy, 2007), max(0, log p(a, b) / p(a) p(b)), says how
 * much more often two words stand together than chance would have it. Its d strongest eigenvectors, found by
 * orthogonal iteration (multiply all, make them orthonormal again, repeat), are the coordinates; each is
 * scaled by the square root of its eigenvalue, so that the dot product of two words comes near their mutual
 * information.
 */
#include "embed.h"

#include <math.h>
#include <stdlib.h>

enum { ROUNDS = 100 };

/* Counts to mutual information; the diagonal holds what a word knows about itself: its row's largest. */
static void mutual_information(const float *together, int n, float *m)
{
    double all = 0;
    float *row = m + (size_t)n * (size_t)n;
    for (int i = 0; i < n; i++) {
        row[i] = 0;
        for (int j = 0; j < n; j++)
            row[i] += together[i * n + j];
        all += (double)row[i];
    }
    for (int i = 0; i < n; i++) {
        float most = 0;
        for (int j = 0; j < n; j++) {
            float both = together[i * n + j];
            m[i * n + j] = both > 0 ? fmaxf(0, logf(both * (float)all / (row[i] * row[j]))) : 0;
            most = fmaxf(most, m[i * n + j]);
        }
        m[i * n + i] = most;
    }
}

/* The columns of v[n, d] made orthonormal, one after the other; their lengths before that in `length`. */
static void orthonormal(float *v, int n, int d, float *length)
{
    for (int k = 0; k < d; k++) {
        for (int q = 0; q < k; q++) {
            float dot = 0;
            for (int i = 0; i < n; i++)
                dot += v[i * d + k] * v[i * d + q];
            for (int i = 0; i < n; i++)
                v[i * d + k] -= dot * v[i * d + q];
        }
        float squares = 0;
        for (int i = 0; i < n; i++)
            squares += v[i * d + k] * v[i * d + k];
        length[k] = sqrtf(squares);
        for (int i = 0; i < n; i++)
            v[i * d + k] /= fmaxf(length[k], 1e-20f);
    }
}

bool embed(const float *together, int n, int d, float *v)
{
    float *m = calloc((size_t)n * (size_t)n + (size_t)n + 1, sizeof *m);
    float *next = calloc((size_t)n * (size_t)d + (size_t)d + 1, sizeof *next);
    if (m && next) {
        float *length = next + (size_t)n * (size_t)d;
        mutual_information(together, n, m);
        for (int i = 0; i < n * d; i++)     /* any start will do that is not orthogonal to what is sought */
            v[i] = sinf((float)(i * i + 1));
        orthonormal(v, n, d, length);
        for (int round = 0; round < ROUNDS; round++) {
            for (int i = 0; i < n * d; i++)
                next[i] = 0;
            for (int i = 0; i < n; i++)
                for (int j = 0; j < n; j++)
                    for (int k = 0; k < d; k++)
                        next[i * d + k] += m[i * n + j] * v[j * d + k];
            for (int i = 0; i < n * d; i++)
                v[i] = next[i];
            orthonormal(v, n, d, length);
        }
        for (int i = 0; i < n; i++)
            for (int k = 0; k < d; k++)
                v[i * d + k] *= sqrtf(length[k]);
    }
    bool done = m && next;
    free(m);
    free(next);
    return done;
}
