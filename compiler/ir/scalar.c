/* Element-wise operations on doubles: NaN passes through max, min, relu and sign; sigmoid and softplus do
 * not overflow. Half types are rounded by scaling, which is exact in double. */
#include "compiler/ir/scalar.h"

#include <math.h>

static double passing_max(double a, double b)
{
    if (isnan(a) || isnan(b))
        return NAN;
    return a > b ? a : b;
}

static double passing_min(double a, double b)
{
    if (isnan(a) || isnan(b))
        return NAN;
    return a < b ? a : b;
}

static double sign(double a)
{
    return isnan(a) ? a : a > 0 ? 1 : a < 0 ? -1 : 0;
}

static double sigmoid(double a)
{
    if (a >= 0)
        return 1 / (1 + exp(-a));
    double e = exp(a);                          /* NaN comes here too, and passes */
    return e / (1 + e);
}

static double softplus(double a)
{
    return a > 0 ? a + log1p(exp(-a)) : log1p(exp(a));
}

double ir_scalar(ir_op op, const double *x)
{
    switch (op) {
    case OP_ADD: return x[0] + x[1];
    case OP_SUB: return x[0] - x[1];
    case OP_MUL: return x[0] * x[1];
    case OP_MUL0: return x[0] == 0 || x[1] == 0 ? 0 : x[0] * x[1];
    case OP_DIV: return x[0] / x[1];
    case OP_POW: return pow(x[0], x[1]);
    case OP_ATAN2: return atan2(x[0], x[1]);
    case OP_MAX: return passing_max(x[0], x[1]);
    case OP_MIN: return passing_min(x[0], x[1]);
    case OP_NEG: return -x[0];
    case OP_ABS: return fabs(x[0]);
    case OP_SIGN: return sign(x[0]);
    case OP_FLOOR: return floor(x[0]);
    case OP_EXP: return exp(x[0]);
    case OP_EXPM1: return expm1(x[0]);
    case OP_LOG: return log(x[0]);
    case OP_LOG1P: return log1p(x[0]);
    case OP_SQRT:
    case OP_SQRT0: return sqrt(x[0]);
    case OP_RSQRT: return 1 / sqrt(x[0]);
    case OP_SIN: return sin(x[0]);
    case OP_COS: return cos(x[0]);
    case OP_TANH: return tanh(x[0]);
    case OP_SIGMOID: return sigmoid(x[0]);
    case OP_SOFTPLUS: return softplus(x[0]);
    case OP_ERF: return erf(x[0]);
    case OP_RELU: return passing_max(x[0], 0);
    case OP_LT: return x[0] < x[1];
    case OP_LE: return x[0] <= x[1];
    case OP_EQ: return x[0] == x[1];
    case OP_NE: return x[0] != x[1];
    case OP_AND: return x[0] != 0 && x[1] != 0;
    case OP_OR: return x[0] != 0 || x[1] != 0;
    case OP_NOT: return x[0] == 0;
    case OP_WHERE: return x[0] != 0 ? x[1] : x[2];
    case OP_HAS: return x[0] >= 0;
    case OP_CAST:                               /* of the number; rounding is ir_round's */
    case OP_STOP: return x[0];
    case OP_CONST: case OP_INPUT: case OP_REALARG: case OP_DIMVAL: case OP_IOTA: case OP_INDEGREE: case OP_COUNT:
    case OP_TRAINING: case OP_BUCKET: case OP_DROPOUT: case OP_RSUM: case OP_RMAX: case OP_RMIN: case OP_EINSUM:
    case OP_RESHAPE: case OP_TRANSPOSE: case OP_BROADCAST: case OP_SLICE: case OP_CONCAT: case OP_LOOKUP:
    case OP_ONEHOT_ADD: case OP_ROWS: case OP_UNROWS: case OP_SPREAD: case OP_UNSPREAD: case OP_GATHER:
    case OP_AGG_SUM: case OP_AGG_MAX: case OP_AGG_MIN: case OP_AGG_PROD: case OP_AGG_VAR: case OP_AGG_ANY:
    case OP_AGG_ALL: case OP_AGG_EXPSUM: case OP_AGG_SOFTSUM: case OP_AGG_ARGMAX: case OP_AGG_ARGMIN:
    case OP_POSITION: case OP_SOFTMAX: case OP_MAP_SRC: case OP_MAP_DST: case OP_MAP_SRC_DST: case OP_MAP_DST_SRC:
    case OP_MAP_PREFIX: case OP_MAP_SUFFIX: case OP_MAP_GRAPH: case OP_MAP_UNIT: case OP_MAP_INDEX: case OP_MAP_PAIR:
    case OP_MAP_FIRST: case OP_MAP_SECOND: case OP_STATE: case OP_STEP: case OP_FINAL: case OP_STEPS:
    case OP_RECORD: case OP_RECALL: case OP_N:
        break;
    }
    return NAN;                                 /* not an operation on numbers */
}

double ir_scalar_bucket(double x, int64_t range)
{
    if (!(x >= 1))                              /* NaN too */
        return 0;
    return x >= (double)range ? (double)(range - 1) : floor(x);
}

/* A format with `digits` significant bits, least exponent emin (of normal numbers, 2^emin) and greatest
 * finite number max: below emin the spacing stays that of 2^emin. */
typedef struct format { int digits, emin; double max; } format;

static const format formats[] = {[T_F32] = {24, -126, 0x1.fffffep127}, [T_F16] = {11, -14, 65504}, [T_BF16] = {8, -126, 0x1.fep127}};

/* The distance of the format's numbers around x, which is finite and not 0. */
static double spacing(double x, const format *f)
{
    int e;
    frexp(x, &e);                               /* |x| in [2^(e-1), 2^e) */
    return ldexp(1, (e - 1 < f->emin ? f->emin + 1 : e) - f->digits);
}

static double round_to(double x, const format *f)
{
    if (x == 0 || !isfinite(x))
        return x;
    double unit = spacing(x, f);
    double r = rint(x / unit) * unit;           /* the default rounding mode: ties to even */
    return fabs(r) > f->max ? copysign(INFINITY, x) : r;
}

double ir_round(double x, unsigned type)
{
    switch ((ir_type)type) {
    case T_F32: return (double)(float)x;
    case T_F16: case T_BF16: return round_to(x, &formats[type]);
    case T_F64:
    case T_INDEX:
    case T_BOOL:
    case T_MAP: break;
    }
    return x;
}

double ir_round_other(double x, unsigned type)
{
    double near = ir_round(x, type);
    if (near == x || !isfinite(near))
        return near;
    double unit = spacing(x, &formats[type]), other = x > near ? near + unit : near - unit;
    return fabs(other) > formats[type].max ? near : other;
}
