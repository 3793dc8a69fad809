/*
 * The layer that the project starts from, on a dense adjacency matrix: 10 nodes, 128 features in, 64 out, as
 * in the article. This program only makes and checks arrays; `mpc run` does the work between.
 *
 *     dense make FOLDER     A.npy (the adjacency with its weights), x.npy and the params, drawn at random
 *     dense check FOLDER    g.npy, which mpc wrote, against two dense products and a sum written out here
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mp.h"

enum { N = 10, IN = 128, OUT = 64 };

static void check(const mp_context *ctx, mp_status status)
{
    if (status != MP_OK) {
        fprintf(stderr, "dense: %s\n", mp_error_message(ctx));
        exit((int)status);
    }
}

/* "FOLDER/name.npy" */
static const char *file(char path[4096], const char *folder, const char *name)
{
    snprintf(path, 4096, "%s/%s.npy", folder, name);
    return path;
}

static void save(mp_context *ctx, const char *folder, const char *name, float *data, int64_t rows,
                 int64_t columns)
{
    char path[4096];
    int64_t shape[] = { rows, columns };
    DLTensor t = { .data = data,
                   .device = { kDLCPU, 0 },
                   .ndim = columns ? 2 : 1,
                   .dtype = { kDLFloat, 32, 1 },
                   .shape = shape };
    check(ctx, mp_npy_save(ctx, file(path, folder, name), &t));
}

static void save_normal(mp_context *ctx, const char *folder, const char *name, double scale, int64_t rows,
                        int64_t columns, uint64_t stream)
{
    float data[IN * OUT] = { 0 };
    int64_t n = rows * (columns ? columns : 1);
    DLTensor t = {
        .data = data, .device = { kDLCPU, 0 }, .ndim = 1, .dtype = { kDLFloat, 32, 1 }, .shape = &n
    };
    check(ctx, mp_fill_normal(ctx, &t, 1, stream));
    for (int64_t i = 0; i < n; i++)
        data[i] *= (float)scale;
    save(ctx, folder, name, data, rows, columns);
}

static void make(mp_context *ctx, const char *folder)
{
    /* About half of the pairs are joined, by weights in (0.5, 1); no node has an edge to itself. */
    float a[N * N];
    DLTensor t = { .data = a,
                   .device = { kDLCPU, 0 },
                   .ndim = 1,
                   .dtype = { kDLFloat, 32, 1 },
                   .shape = (int64_t[]){ N * N } };
    check(ctx, mp_fill_uniform(ctx, &t, 0, 1, 1, 0));
    for (int i = 0; i < N * N; i++)
        a[i] = a[i] < 0.5f || i / N == i % N ? 0 : a[i];
    save(ctx, folder, "A", a, N, N);
    save_normal(ctx, folder, "x", 1, N, IN, 1);
    save_normal(ctx, folder, "W1", 1 / sqrt(IN), IN, OUT, 2);
    save_normal(ctx, folder, "b1", 0.1, OUT, 0, 3);
    save_normal(ctx, folder, "W2", 1 / sqrt(OUT), OUT, OUT, 4);
    save_normal(ctx, folder, "b2", 0.1, OUT, 0, 5);
    printf("%s: A [%d, %d], x [%d, %d], W1 b1 W2 b2\n", folder, N, N, N, IN);
}

static DLManagedTensor *load(mp_context *ctx, const char *folder, const char *name, int64_t elements)
{
    char path[4096];
    DLManagedTensor *m;
    check(ctx, mp_npy_load(ctx, file(path, folder, name), &m));
    int64_t n = 1;
    for (int k = 0; k < m->dl_tensor.ndim; k++)
        n *= m->dl_tensor.shape[k];
    if (n != elements || m->dl_tensor.dtype.code != kDLFloat || m->dl_tensor.dtype.bits != 32) {
        fprintf(stderr, "dense: %s has not the %lld floats that were expected\n", path, (long long)elements);
        exit(1);
    }
    return m;
}

static const float *floats(const DLManagedTensor *m)
{
    return (const float *)((const char *)m->dl_tensor.data + m->dl_tensor.byte_offset);
}

/* y = x w + b, in f64 */
static void linear(const double *x, const float *w, const float *b, int rows, int in, int out, double *y)
{
    for (int i = 0; i < rows; i++) {
        for (int k = 0; k < out; k++) {
            double sum = (double)b[k];
            for (int c = 0; c < in; c++)
                sum += x[i * in + c] * (double)w[c * out + k];
            y[i * out + k] = sum;
        }
    }
}

static int compare(mp_context *ctx, const char *folder)
{
    static const char *const name[] = { "A", "x", "W1", "b1", "W2", "b2", "g" };
    static const int64_t size[] = { N * N, N * IN, IN * OUT, OUT, OUT * OUT, OUT, N * OUT };
    DLManagedTensor *m[7];
    for (int i = 0; i < 7; i++)
        m[i] = load(ctx, folder, name[i], size[i]);
    const float *a = floats(m[0]), *x = floats(m[1]), *g = floats(m[6]);

    double wide[N * IN], message[N * OUT], sum[N * OUT] = { 0 }, expected[N * OUT], worst = 0;
    for (int i = 0; i < N * IN; i++)
        wide[i] = (double)x[i];
    linear(wide, floats(m[2]), floats(m[3]), N, IN, OUT, message);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            for (int k = 0; k < OUT; k++)
                sum[j * OUT + k] += (double)a[i * N + j] * message[i * OUT + k];
    linear(sum, floats(m[4]), floats(m[5]), N, OUT, OUT, expected);
    for (int i = 0; i < N * OUT; i++)
        worst = fmax(worst, fabs(expected[i] - (double)g[i]));
    printf("g [%d, %d] differs from dense products in f64 by at most %.2g; its first row starts", N, OUT,
           worst);
    for (int k = 0; k < 6; k++)
        printf(" %.4f", (double)g[k]);
    printf("\n");
    for (int i = 0; i < 7; i++)
        m[i]->deleter(m[i]);
    return worst < 1e-4 ? 0 : 1;
}

int main(int argc, char **argv)
{
    mp_context *ctx = NULL;
    if (argc != 3 || (strcmp(argv[1], "make") && strcmp(argv[1], "check"))) {
        fprintf(stderr, "usage: dense make|check FOLDER\n");
        return 2;
    }
    check(ctx, mp_context_create(NULL, &ctx));
    int status = 0;
    if (!strcmp(argv[1], "make"))
        make(ctx, argv[2]);
    else
        status = compare(ctx, argv[2]);
    mp_context_destroy(ctx);
    return status;
}
