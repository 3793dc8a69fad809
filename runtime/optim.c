/*
 * SGD with momentum, Adam (Kingma and Ba, ICLR 2015) and AdamW (Loshchilov and Hutter, ICLR 2019), in PyTorch's form;
 * gradients clipped by the norm of all of them.
 */
#include <math.h>

#include "runtime/context.h"
#include "runtime/tensor.h"

enum { PART = 1 << 14 };

typedef struct update {
    int64_t n;
    void *param, *grad, *a, *b;     /* a, b: velocity, or the two moments; NULL where there is none */
    mp_sgd sgd;
    mp_adam adam;
    double rate, root2;             /* Adam: lr / (1 - beta1^t), sqrt(1 - beta2^t) */
} update;

static int64_t part_end(const update *u, int64_t part)
{
    return u->n - part * PART < PART ? u->n : (part + 1) * PART;
}

/* One body for both widths. */
#define SGD_PART(NAME, T)                                                                       \
    static void NAME(void *arg, int64_t part, int thread)                                       \
    {                                                                                           \
        (void)thread;                                                                           \
        const update *u = arg;                                                                  \
        T *p = u->param, *v = u->a;                                                             \
        const T *g = u->grad;                                                                   \
        T lr = (T)u->sgd.lr, momentum = (T)u->sgd.momentum, decay = (T)u->sgd.weight_decay;     \
        for (int64_t i = part * PART; i < part_end(u, part); i++) {                             \
            T d = g[i] + decay * p[i];                                                          \
            if (v) {                                                                            \
                v[i] = momentum * v[i] + d;                                                     \
                d = u->sgd.nesterov ? d + momentum * v[i] : v[i];                               \
            }                                                                                   \
            p[i] -= lr * d;                                                                     \
        }                                                                                       \
    }
SGD_PART(sgd_f32, float)
SGD_PART(sgd_f64, double)

#define ADAM_PART(NAME, T, SQRT)                                                                \
    static void NAME(void *arg, int64_t part, int thread)                                       \
    {                                                                                           \
        (void)thread;                                                                           \
        const update *u = arg;                                                                  \
        T *p = u->param, *m = u->a, *v = u->b;                                                  \
        const T *g = u->grad;                                                                   \
        T b1 = (T)u->adam.beta1, b2 = (T)u->adam.beta2, eps = (T)u->adam.eps;                   \
        T rate = (T)u->rate, root2 = (T)u->root2;                                               \
        T keep = u->adam.decoupled ? (T)(1 - u->adam.lr * u->adam.weight_decay) : 1;            \
        T decay = u->adam.decoupled ? 0 : (T)u->adam.weight_decay;                              \
        for (int64_t i = part * PART; i < part_end(u, part); i++) {                             \
            T d = g[i] + decay * p[i];                                                          \
            m[i] = b1 * m[i] + (1 - b1) * d;                                                    \
            v[i] = b2 * v[i] + (1 - b2) * d * d;                                                \
            p[i] = keep * p[i] - rate * m[i] / (SQRT(v[i]) / root2 + eps);                      \
        }                                                                                       \
    }
ADAM_PART(adam_f32, float, sqrtf)
ADAM_PART(adam_f64, double, sqrt)

static mp_status take(mp_context *ctx, const char *name, const DLTensor *t, const DLTensor *like, tensor_type *type, void **data)
{
    mp_status st = tensor_check_host(ctx, name, t);
    if (st)
        return st;
    tensor_type mine;
    if (!tensor_type_of(t->dtype, &mine) || (mine != TENSOR_F32 && mine != TENSOR_F64))
        return error_set(ctx, MP_INVALID, "%s: must be float32 or float64", name);
    if (!tensor_is_compact(t))
        return error_set(ctx, MP_INVALID, "%s: must be compact, row by row", name);
    if (like && (mine != *type || !tensor_same_shape(t, like))) {
        char a[TENSOR_TEXT], b[TENSOR_TEXT];
        return error_set(ctx, MP_INVALID, "%s: is %s%s, but the param is %s%s", name, tensor_type_name(mine),
                         tensor_shape_text(t->shape, t->ndim, a, sizeof a), tensor_type_name(*type),
                         tensor_shape_text(like->shape, like->ndim, b, sizeof b));
    }
    *type = mine;
    *data = tensor_data(t);
    return MP_OK;
}

static void run(mp_context *ctx, tensor_type type, pool_fn f32, pool_fn f64, update *u)
{
    pool_run(ctx->pool, (u->n + PART - 1) / PART, type == TENSOR_F64 ? f64 : f32, u);
}

mp_status mp_sgd_step(mp_context *ctx, const mp_sgd *o, const DLTensor *param, const DLTensor *grad, const DLTensor *velocity)
{
    if (!ctx)
        return MP_USAGE;
    if (!o)
        return error_set(ctx, MP_USAGE, "mp_sgd_step: the options must not be NULL");
    if (o->momentum != 0 && !velocity)
        return error_set(ctx, MP_USAGE, "mp_sgd_step: momentum needs a velocity");
    update u = { .sgd = *o };
    tensor_type type;
    mp_status st = take(ctx, "param", param, NULL, &type, &u.param);
    if (!st)
        st = take(ctx, "grad", grad, param, &type, &u.grad);
    if (!st && o->momentum != 0)
        st = take(ctx, "velocity", velocity, param, &type, &u.a);
    if (st)
        return st;
    u.n = tensor_count(param);
    run(ctx, type, sgd_f32, sgd_f64, &u);
    return MP_OK;
}

mp_status mp_adam_step(mp_context *ctx, const mp_adam *o, int64_t step, const DLTensor *param, const DLTensor *grad,
                       const DLTensor *m, const DLTensor *v)
{
    if (!ctx)
        return MP_USAGE;
    if (!o || step < 1)
        return error_set(ctx, MP_USAGE, "mp_adam_step: the options must not be NULL, and steps count from 1");
    update u = { .adam = *o };
    tensor_type type;
    mp_status st = take(ctx, "param", param, NULL, &type, &u.param);
    if (!st)
        st = take(ctx, "grad", grad, param, &type, &u.grad);
    if (!st)
        st = take(ctx, "m", m, param, &type, &u.a);
    if (!st)
        st = take(ctx, "v", v, param, &type, &u.b);
    if (st)
        return st;
    u.n = tensor_count(param);
    u.rate = o->lr / (1 - pow(o->beta1, (double)step));
    u.root2 = sqrt(1 - pow(o->beta2, (double)step));
    run(ctx, type, adam_f32, adam_f64, &u);
    return MP_OK;
}

/* In the order of the elements, in pieces that do not depend on threads. */
static double sum_of_squares(tensor_type type, const void *data, int64_t n)
{
    double all = 0;
    for (int64_t at = 0; at < n; at += PART) {
        double part = 0;
        for (int64_t i = at; i < n && i < at + PART; i++) {
            double x = type == TENSOR_F64 ? ((const double *)data)[i] : (double)((const float *)data)[i];
            part += x * x;
        }
        all += part;
    }
    return all;
}

static void scale(tensor_type type, void *data, int64_t n, double factor)
{
    for (int64_t i = 0; i < n; i++) {
        if (type == TENSOR_F64)
            ((double *)data)[i] *= factor;
        else
            ((float *)data)[i] *= (float)factor;
    }
}

mp_status mp_clip_grad_norm(mp_context *ctx, const DLTensor *grads, int64_t n, double max_norm, double *norm)
{
    if (!ctx)
        return MP_USAGE;
    if (n < 0 || (n && !grads) || !(max_norm > 0))
        return error_set(ctx, MP_USAGE, "mp_clip_grad_norm: wants gradients and a norm above 0");
    double squares = 0;
    tensor_type type;
    void *data;
    for (int64_t i = 0; i < n; i++) {
        mp_status st = take(ctx, "grad", &grads[i], NULL, &type, &data);
        if (st)
            return st;
        squares += sum_of_squares(type, data, tensor_count(&grads[i]));
    }
    double length = sqrt(squares);
    if (norm)
        *norm = length;
    for (int64_t i = 0; i < n && length > max_norm; i++) {
        take(ctx, "grad", &grads[i], NULL, &type, &data);
        scale(type, data, tensor_count(&grads[i]), max_norm / (length + 1e-6));
    }
    return MP_OK;
}
