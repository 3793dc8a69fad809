/* Element-wise operations: the switch has a case for each of the table. */
#include "codegen/cuda/cuda_gen.h"

static const char *infix(cgen *g, const char *a, const char *op, const char *b)
{
    return arena_printf(g->mem, "(%s %s %s)", a, op, b);
}

static const char *call(cgen *g, const char *name, const kexpr *e, const char *a, const char *b)
{
    return arena_printf(g->mem, b ? "mp_%s_%s(%s, %s)" : "mp_%s_%s(%s)", name, cg_suffix((ktype)e->type), a, b);
}

static const char *power(cgen *g, const kexpr *e, const char *a, const char *b)
{
    double by;
    return kx_is_num(g->p, e->b, &by) && by == 2 ? infix(g, a, "*", a) : call(g, "pow", e, a, b);
}

const char *cg_map(cgen *g, const kexpr *e, const char *a, const char *b, const char *c)
{
    switch ((ir_op)e->map) {
    case OP_ADD: return infix(g, a, "+", b);
    case OP_SUB: return infix(g, a, "-", b);
    case OP_MUL: return infix(g, a, "*", b);
    case OP_MUL0: return call(g, "mul0", e, a, b);
    case OP_DIV: return infix(g, a, "/", b);
    case OP_POW: return power(g, e, a, b);
    case OP_ATAN2: return call(g, "atan2", e, a, b);
    case OP_MAX: return call(g, "max", e, a, b);
    case OP_MIN: return call(g, "min", e, a, b);
    case OP_NEG: return arena_printf(g->mem, "(-%s)", a);
    case OP_ABS: return call(g, "abs", e, a, NULL);
    case OP_SIGN: return call(g, "sign", e, a, NULL);
    case OP_FLOOR: return call(g, "floor", e, a, NULL);
    case OP_EXP: return call(g, "exp", e, a, NULL);
    case OP_EXPM1: return call(g, "expm1", e, a, NULL);
    case OP_LOG: return call(g, "log", e, a, NULL);
    case OP_LOG1P: return call(g, "log1p", e, a, NULL);
    case OP_SQRT: case OP_SQRT0: return call(g, "sqrt", e, a, NULL);
    case OP_RSQRT: return call(g, "rsqrt", e, a, NULL);
    case OP_SIN: return call(g, "sin", e, a, NULL);
    case OP_COS: return call(g, "cos", e, a, NULL);
    case OP_TANH: return call(g, "tanh", e, a, NULL);
    case OP_SIGMOID: return call(g, "sigmoid", e, a, NULL);
    case OP_SOFTPLUS: return call(g, "softplus", e, a, NULL);
    case OP_ERF: return call(g, "erf", e, a, NULL);
    case OP_RELU: return call(g, "relu", e, a, NULL);
    case OP_LT: return infix(g, a, "<", b);
    case OP_LE: return infix(g, a, "<=", b);
    case OP_EQ: return infix(g, a, "==", b);
    case OP_NE: return infix(g, a, "!=", b);
    case OP_AND: return infix(g, a, "&&", b);
    case OP_OR: return infix(g, a, "||", b);
    case OP_NOT: return arena_printf(g->mem, "(!%s)", a);
    case OP_WHERE: return arena_printf(g->mem, "(%s ? %s : %s)", a, b, c);
    case OP_CAST:
        if (e->type == KT_BOOL)
            return arena_printf(g->mem, "(%s != 0)", a);
        return arena_printf(g->mem, "(%s)(%s)", cg_type((ktype)e->type), a);
    case OP_HAS: return arena_printf(g->mem, "(%s >= 0)", a);
    case OP_STOP: return a;
    /* not element-wise, or expressions of their own */
    case OP_BUCKET: case OP_DROPOUT: case OP_CONST: case OP_INPUT: case OP_REALARG: case OP_DIMVAL: case OP_IOTA:
    case OP_INDEGREE: case OP_COUNT: case OP_TRAINING: case OP_RSUM: case OP_RMAX: case OP_RMIN: case OP_EINSUM:
    case OP_RESHAPE: case OP_TRANSPOSE: case OP_BROADCAST: case OP_SLICE: case OP_CONCAT: case OP_LOOKUP: case OP_ONEHOT_ADD:
    case OP_ROWS: case OP_UNROWS: case OP_SPREAD: case OP_UNSPREAD: case OP_GATHER: case OP_AGG_SUM: case OP_AGG_MAX:
    case OP_AGG_MIN: case OP_AGG_PROD: case OP_AGG_VAR: case OP_AGG_ANY: case OP_AGG_ALL: case OP_AGG_EXPSUM:
    case OP_AGG_SOFTSUM: case OP_AGG_ARGMAX: case OP_AGG_ARGMIN: case OP_POSITION: case OP_SOFTMAX: case OP_MAP_SRC:
    case OP_MAP_DST: case OP_MAP_SRC_DST: case OP_MAP_DST_SRC: case OP_MAP_PREFIX: case OP_MAP_SUFFIX: case OP_MAP_GRAPH:
    case OP_MAP_UNIT: case OP_MAP_INDEX: case OP_MAP_PAIR: case OP_MAP_FIRST: case OP_MAP_SECOND: case OP_STATE: case OP_STEP:
    case OP_FINAL: case OP_STEPS: case OP_RECORD: case OP_RECALL: case OP_N: break;
    }
    return a;
}
