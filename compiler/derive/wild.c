/* One walk over all values; see wild.h. */
#include "compiler/derive/wild.h"

#include <math.h>
#include <string.h>

enum {
    ANY = WILD_MAY_BE | WILD_POLE, GROWS = WILD_MAY_BE, NNEG = WILD_NOT_NEGATIVE, NPOS = WILD_NOT_POSITIVE, NZERO = WILD_NOT_ZERO,
    POS = NNEG | NZERO, SIGN = NNEG | NPOS
};

typedef struct { const ir_layer *l; uint8_t *of; } facts;

static unsigned of(const facts *f, const ir_node *n, uint32_t k) { return k < n->nargs ? f->of[n->args[k].i] : 0; }

static ir_val bare(const ir_layer *l, ir_val v)
{
    const ir_op op = (ir_op)ir_at(l, v)->op;
    return op == OP_BROADCAST || op == OP_RESHAPE ? ir_at(l, v)->args[0] : v;
}

/* A condition that keeps x from 0 where it is `truth`; none if it says no such thing. */
static ir_val kept_from_zero(const ir_layer *l, ir_val cond, bool truth)
{
    const ir_node *c = ir_at(l, bare(l, cond));
    double zero;
    for (uint32_t k = 0; c->nargs == 2 && k < 2; k++) {
        if (!ir_is_uniform(l, c->args[k], &zero) || zero != 0)
            continue;
        if (truth ? c->op == OP_NE || (c->op == OP_LT && k == 0) : c->op == OP_EQ || (c->op == OP_LE && k == 1))
            return bare(l, c->args[!k]);
    }
    return (ir_val){0};
}

/* Is it 0 that makes this branch of a where wild, and x kept from it there? A positive x for what needs a positive one is
 * taken on trust of the same condition. */
static bool is_guarded(const facts *f, const ir_node *where, uint32_t branch)
{
    const ir_layer *l = f->l;
    ir_val x = kept_from_zero(l, where->args[0], branch == 1);
    const ir_node *y = ir_at(l, bare(l, where->args[branch]));
    if (!ir_is(x) || f->of[x.i] & ANY)
        return false;
    if (y->op == OP_DIV)
        return ir_same(bare(l, y->args[1]), x) && !(of(f, y, 0) & ANY);
    const bool positive = f->of[x.i] & NNEG || ir_at(l, bare(l, where->args[0]))->op == OP_LT;
    return (y->op == OP_RSQRT || y->op == OP_LOG || y->op == OP_SQRT || y->op == OP_SQRT0) && positive &&
           ir_same(bare(l, y->args[0]), x);
}

static unsigned branch(const facts *f, const ir_node *where, uint32_t k)
{
    const unsigned a = of(f, where, k);
    return a & ANY && is_guarded(f, where, k) ? a & ~(unsigned)ANY : a;
}

static unsigned power(const facts *f, const ir_node *n)
{
    double by;
    const unsigned a = of(f, n, 0);
    const bool whole = ir_is_uniform(f->l, n->args[1], &by) && by >= 0 && by == floor(by);
    const bool root = ir_is_uniform(f->l, n->args[1], &by) && by >= 0 && a & NNEG;
    return (whole || root ? a & ANY : ANY) | (a & NNEG);
}

/* Of a product or quotient. */
static unsigned sign_of(unsigned a, unsigned b)
{
    const bool same = (a & b & NNEG) || (a & b & NPOS);
    const bool other = (a & NNEG && b & NPOS) || (a & NPOS && b & NNEG);
    return (same ? NNEG : 0) | (other ? NPOS : 0) | (a & b & NZERO);
}

static unsigned number(double x)
{
    return (isfinite(x) ? 0 : ANY) | (x >= 0 ? NNEG : 0) | (x <= 0 ? NPOS : 0) | (x != 0 ? NZERO : 0);
}

/* e^a: does it stay finite? Where a is not positive, or what is left of the greatest of its group. */
static bool is_bounded(const facts *f, const ir_node *exp)
{
    const ir_node *x = ir_at(f->l, exp->args[0]);
    if (of(f, exp, 0) & ANY)
        return false;
    if (of(f, exp, 0) & NPOS)
        return true;
    if (x->op != OP_SUB)
        return false;
    const ir_node *top = ir_at(f->l, x->args[1]);
    while (top->op == OP_STOP || top->op == OP_GATHER || top->op == OP_RESHAPE || top->op == OP_BROADCAST)
        top = ir_at(f->l, top->args[0]);
    return (top->op == OP_AGG_MAX || top->op == OP_RMAX) && ir_same(top->args[0], x->args[0]);
}

static bool sums_squares(const ir_node *einsum)
{
    const ir_einsum *e = &einsum->u.ein;
    return ir_same(einsum->args[0], einsum->args[1]) && e->na == e->nb && memcmp(e->a, e->b, e->na) == 0;
}

/* Where operand k may be at one: a number that is the same for all members is no pole of some of them. */
static unsigned pole(const facts *f, const ir_node *n, uint32_t k) { return ir_at(f->l, n->args[k])->dom.i ? ANY : GROWS; }

static unsigned fact(const facts *f, const ir_node *n)
{
    const unsigned a = of(f, n, 0), b = of(f, n, 1), both = a & b, any = (a | b) & ANY;
    switch ((ir_op)n->op) {
    case OP_CONST: return number(n->u.value);
    case OP_DIMVAL: return POS;
    case OP_REALARG: return NZERO;
    case OP_IOTA: case OP_COUNT: case OP_INDEGREE: return NNEG;
    case OP_ADD: return any | (both & SIGN) | (both & SIGN ? (a | b) & NZERO : 0);
    case OP_SUB:
        if (ir_same(n->args[0], n->args[1]))
            return any | SIGN;
        return any | (a & NNEG && b & NPOS ? NNEG : 0) | (a & NPOS && b & NNEG ? NPOS : 0);
    case OP_MUL: case OP_MUL0: return any | sign_of(a, b) | (ir_same(n->args[0], n->args[1]) ? NNEG : 0);
    case OP_DIV: return any | (b & NZERO ? 0 : pole(f, n, 1)) | sign_of(a, b);
    case OP_POW: return power(f, n);
    case OP_MAX: return any | (both & SIGN) | ((a | b) & NNEG) | (both & NZERO) | ((a & POS) == POS || (b & POS) == POS ? POS : 0);
    case OP_MIN: return any | (both & SIGN) | ((a | b) & NPOS) | (both & NZERO);
    case OP_ABS: return (a & (ANY | NZERO)) | NNEG;
    case OP_RELU: return (a & ANY) | NNEG | ((a & POS) == POS ? NZERO : 0);
    case OP_NEG: return (a & (ANY | NZERO)) | (a & NNEG ? NPOS : 0) | (a & NPOS ? NNEG : 0);
    case OP_FLOOR: return a & (ANY | NNEG | NPOS);
    case OP_SIGN: case OP_TANH: case OP_ERF: return a;
    case OP_SIN: case OP_COS: case OP_ATAN2: return any;
    case OP_SIGMOID: return NNEG;
    case OP_SOFTPLUS: return (a & ANY) | NNEG;
    case OP_EXP: return (a & ANY) | (is_bounded(f, n) ? 0 : GROWS) | NNEG;
    case OP_EXPM1: return (a & ANY) | (a & NPOS ? 0 : GROWS) | (a & SIGN);
    case OP_LOG: return (a & ANY) | ((a & POS) == POS ? 0 : pole(f, n, 0));
    case OP_LOG1P: return (a & ANY) | (a & NNEG ? 0 : pole(f, n, 0)) | (a & SIGN);
    case OP_SQRT: case OP_SQRT0: return (a & ANY) | (a & NNEG ? 0 : pole(f, n, 0)) | NNEG | (a & NZERO);
    case OP_RSQRT: return (a & ANY) | ((a & POS) == POS ? 0 : pole(f, n, 0)) | POS;
    case OP_WHERE: {
        const unsigned first = branch(f, n, 1), second = branch(f, n, 2);
        return ((first | second) & ANY) | (first & second & (SIGN | NZERO));
    }
    case OP_GATHER: return ir_map_total(f->l, n->args[1]) ? a : a & (ANY | SIGN);
    case OP_RSUM: case OP_RMAX: case OP_RMIN: return a;
    /* 0 over nothing */
    case OP_SPREAD: case OP_UNSPREAD: case OP_LOOKUP: case OP_AGG_SUM: case OP_AGG_MAX: case OP_AGG_MIN: case OP_DROPOUT:
        return a & (ANY | SIGN);
    case OP_EINSUM: return any | (sign_of(a, b) & SIGN) | (sums_squares(n) ? NNEG : 0);
    case OP_AGG_PROD: return a & (ANY | NNEG);
    case OP_AGG_VAR: case OP_AGG_EXPSUM: return (a & ANY) | NNEG;
    case OP_AGG_SOFTSUM: return any;
    case OP_SOFTMAX: return NNEG;
    case OP_STOP: case OP_CAST: case OP_RESHAPE: case OP_TRANSPOSE: case OP_BROADCAST: case OP_SLICE: case OP_ROWS:
    case OP_UNROWS:
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
        if (ir_is_float(l->nodes[i].type))
            f.of[i] = (uint8_t)fact(&f, &l->nodes[i]);
    return f.of;
}
