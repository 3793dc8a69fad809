/* One walk over all values; see wild.h. */
#include "compiler/derive/wild.h"

#include <math.h>

enum { ANY = WILD_MAY_BE, POS = WILD_POSITIVE | WILD_NOT_NEGATIVE, NNEG = WILD_NOT_NEGATIVE, SIGNS = POS };

typedef struct { const ir_layer *l; uint8_t *of; } facts;

static unsigned of(const facts *f, const ir_node *n, uint32_t k) { return k < n->nargs ? f->of[n->args[k].i] : 0; }

static ir_val bare(const ir_layer *l, ir_val v)
{
    const ir_op op = (ir_op)ir_at(l, v)->op;
    return op == OP_BROADCAST || op == OP_RESHAPE ? ir_at(l, v)->args[0] : v;
}

/* where(0 < x, f(x), c): is x what makes the first branch wild? */
static bool guarded(const facts *f, const ir_node *where)
{
    const ir_layer *l = f->l;
    const ir_node *c = ir_at(l, bare(l, where->args[0])), *y = ir_at(l, bare(l, where->args[1]));
    double zero;
    if (c->op != OP_LT || !ir_is_uniform(l, c->args[0], &zero) || zero < 0)
        return false;
    if (y->op == OP_RSQRT || y->op == OP_LOG || y->op == OP_SQRT || y->op == OP_SQRT0)
        return ir_same(bare(l, y->args[0]), bare(l, c->args[1])) && !(of(f, y, 0) & ANY);
    return y->op == OP_DIV && ir_same(bare(l, y->args[1]), bare(l, c->args[1])) && !((of(f, y, 0) | of(f, y, 1)) & ANY);
}

static bool is_not_zero(const ir_layer *l, ir_val v)
{
    double x;
    return ir_is_uniform(l, v, &x) && x != 0;
}

static unsigned power(const facts *f, const ir_node *n)
{
    double by;
    const unsigned a = of(f, n, 0);
    const bool whole = ir_is_uniform(f->l, n->args[1], &by) && by >= 0 && by == floor(by);
    return (whole ? a & ANY : ANY) | (a & NNEG);
}

static unsigned fact(const facts *f, const ir_node *n)
{
    const unsigned a = of(f, n, 0), b = of(f, n, 1), both = a & b, any = (a | b) & ANY;
    switch ((ir_op)n->op) {
    case OP_CONST: return (isfinite(n->u.value) ? 0 : ANY) | (n->u.value > 0 ? POS : n->u.value >= 0 ? NNEG : 0);
    case OP_DIMVAL: return POS;
    case OP_IOTA: case OP_COUNT: case OP_INDEGREE: return NNEG;
    case OP_ADD: return any | (both & NNEG) | ((both & NNEG) && ((a | b) & WILD_POSITIVE) ? POS : 0);
    case OP_MUL: case OP_MUL0: return any | (ir_same(n->args[0], n->args[1]) ? NNEG : 0) | (both & SIGNS);
    case OP_DIV:
        return any | (b & WILD_POSITIVE || is_not_zero(f->l, n->args[1]) ? 0 : ANY) | (both & SIGNS);
    case OP_POW: return power(f, n);
    case OP_MAX: return any | ((a | b) & SIGNS);
    case OP_MIN: return any | (both & SIGNS);
    case OP_ABS: case OP_RELU: return (a & ANY) | NNEG | (a & SIGNS);
    case OP_NEG: case OP_FLOOR: return a & ANY;
    case OP_SIGN: case OP_TANH: case OP_ERF: case OP_SIN: case OP_COS: case OP_ATAN2: return any;
    case OP_SIGMOID: return NNEG;
    case OP_SOFTPLUS: return (a & ANY) | NNEG;
    case OP_EXP: {
        const ir_node *x = ir_at(f->l, n->args[0]);
        const bool below = x->op == OP_NEG && of(f, x, 0) & NNEG && !(of(f, x, 0) & ANY);
        return (below ? 0 : ANY) | NNEG;
    }
    case OP_EXPM1: return ANY;
    case OP_LOG: return a & WILD_POSITIVE ? a & ANY : ANY;
    case OP_SQRT: case OP_SQRT0: return (a & NNEG ? a & ANY : ANY) | NNEG | (a & SIGNS);
    case OP_RSQRT: return (a & WILD_POSITIVE ? a & ANY : ANY) | POS;
    case OP_WHERE: {
        const unsigned c = of(f, n, 2), first = guarded(f, n) ? b & ~(unsigned)ANY : b;
        return ((first | c) & ANY) | (first & c & SIGNS);
    }
    case OP_RSUM: case OP_RMAX: case OP_RMIN: case OP_SPREAD: case OP_UNSPREAD: case OP_GATHER: case OP_LOOKUP:
    case OP_AGG_SUM: case OP_AGG_MAX: case OP_AGG_MIN: case OP_DROPOUT:
        /* 0 over nothing */
        return n->op == OP_GATHER && ir_map_total(f->l, n->args[1]) ? a : a & (ANY | NNEG);
    case OP_EINSUM: return any | (both & NNEG);
    case OP_AGG_PROD: return a & (ANY | NNEG);
    case OP_AGG_VAR: case OP_AGG_EXPSUM: return (a & ANY) | NNEG;
    case OP_AGG_SOFTSUM: return any;
    case OP_SOFTMAX: return NNEG;
    case OP_STOP: case OP_CAST: case OP_RESHAPE: case OP_TRANSPOSE: case OP_BROADCAST: case OP_SLICE: case OP_ROWS: case OP_UNROWS:
        return a;
    case OP_CONCAT: case OP_ONEHOT_ADD: {
        unsigned all = 0;
        for (uint32_t k = 0; k < n->nargs; k++)
            all |= of(f, n, k) & ANY;
        return all;
    }
    default: return 0;          /* inputs, states and what is no real number */
    }
}

uint8_t *wild_find(const ir_layer *l, uint32_t n, arena *mem)
{
    facts f = {l, NEW_N(mem, uint8_t, n)};
    for (uint32_t i = 1; i < n; i++)
        if (l->nodes[i].type != T_MAP)
            f.of[i] = (uint8_t)fact(&f, &l->nodes[i]);
    return f.of;
}
