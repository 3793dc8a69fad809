/* See match.h. */
#include "compiler/passes/match.h"

#include <math.h>

enum { MAX_DEPTH = 10 };        /* of what is looked at to prove something of a value */

ir_val bare(const ir_layer *l, ir_val v)
{
    return op_of(l, v) == OP_BROADCAST ? arg_of(l, v, 0) : v;
}

ir_val as_shape_of(ir_layer *l, ir_val w, ir_val v)
{
    ir_shape s = ir_shape_of(l, v), t = ir_shape_of(l, w);
    bool ones = s.rank > t.rank;                /* only axes of 1 before those that it has */
    for (uint32_t k = 0; ones && k < s.rank; k++)
        ones = k < s.rank - t.rank ? dim_is(l->dims, s.at[k], 1)
                                   : dim_equal(l->dims, s.at[k], t.at[k - (s.rank - t.rank)]);
    return ones ? ir_reshape(l, w, &s) : ir_broadcast(l, w, dom_of(l, w), &s);
}

/* ---- where values live ---- */

/* How a gather along `given` reads as one along `map` of something that lives at its codomain. */
typedef enum { LIFT_NO, LIFT_SAME, LIFT_PREFIX, LIFT_SQUARE, LIFT_GRAPH, LIFT_FIRST, LIFT_SECOND } lifting;

static lifting lifting_of(const ir_layer *l, ir_val given, ir_val along)
{
    ir_op g = op_of(l, given), m = op_of(l, along);
    if (ir_same(given, along))
        return LIFT_SAME;
    if (m == OP_MAP_DST && g == OP_MAP_DST_SRC)
        return LIFT_PREFIX;
    if (m == OP_MAP_SRC && g == OP_MAP_SRC_DST)
        return LIFT_SQUARE;
    if (g == OP_MAP_GRAPH &&
        (m == OP_MAP_DST || m == OP_MAP_SRC || m == OP_MAP_DST_SRC || m == OP_MAP_SRC_DST))
        return LIFT_GRAPH;
    if (m == OP_MAP_PAIR && ir_map_total(l, along)) {
        if (g == OP_MAP_INDEX && ir_same(arg_of(l, given, 0), arg_of(l, along, 0)))
            return LIFT_SECOND;
        if (lifting_of(l, given, arg_of(l, along, 1)) != LIFT_NO)
            return LIFT_FIRST;
    }
    return LIFT_NO;
}

bool map_lifts(const ir_layer *l, ir_val given, ir_val along)
{
    return lifting_of(l, given, along) != LIFT_NO;
}

static ir_val lift_gathered(ir_layer *l, ir_val u, ir_val given, ir_val along)
{
    switch (lifting_of(l, given, along)) {
    case LIFT_NO: return (ir_val){0};
    case LIFT_SAME: return u;
    case LIFT_PREFIX: return ir_gather(l, u, ir_map_prefix(l));
    case LIFT_SQUARE: return ir_gather(l, u, ir_map_square(l));
    case LIFT_GRAPH: return ir_gather(l, u, ir_map_graph(l, ir_cod(l, along)));
    case LIFT_SECOND: return ir_gather(l, u, ir_map_second(l, along));
    case LIFT_FIRST:
        return ir_gather(l, lift_gathered(l, u, given, arg_of(l, along, 1)), ir_map_first(l, along));
    }
    return (ir_val){0};
}

bool lifts(const ir_layer *l, ir_val v, ir_val along)
{
    if (is_unit(l, v))
        return true;
    if (!ir_dom_same(dom_of(l, v), ir_at(l, along)->dom))
        return false;
    if (op_of(l, v) == OP_BROADCAST)
        return lifts(l, arg_of(l, v, 0), along);
    return op_of(l, v) == OP_GATHER && lifting_of(l, arg_of(l, v, 1), along) != LIFT_NO;
}

ir_val lift(ir_layer *l, ir_val v, ir_val along)
{
    if (!lifts(l, v, along))
        return (ir_val){0};
    if (is_unit(l, v))
        return v;
    if (op_of(l, v) == OP_BROADCAST) {
        ir_shape s = ir_shape_of(l, v);
        ir_val w = lift(l, arg_of(l, v, 0), along);
        return ir_broadcast(l, w, dom_of(l, w), &s);
    }
    return lift_gathered(l, arg_of(l, v, 0), arg_of(l, v, 1), along);
}

ir_val join_maps(ir_layer *l, ir_val a, ir_val b)
{
    if (lifting_of(l, a, b) != LIFT_NO)
        return b;
    if (lifting_of(l, b, a) != LIFT_NO)
        return a;
    return (ir_val){0};
}

/* ---- what is known of numbers ---- */

/* Of every element, whatever is bound. What is positive or not negative is a number, too. */
typedef struct facts { bool finite, positive, not_negative; } facts;

/* `above` is a value that is known to be greater than zero here: in the branch of a where. */
static facts facts_of(const ir_layer *l, ir_val v, ir_val above, int depth)
{
    facts none = {false, false, false};
    if (depth > MAX_DEPTH)
        return none;
    const ir_node *n = ir_at(l, v);
    if (!ir_is_arith(n->type))
        return none;
    facts a = none, b = none, r = none;
    if (n->nargs > 0 && ir_ops[n->op].cls != CLS_AGG && ir_at(l, n->args[0])->type != T_MAP)
        a = facts_of(l, n->args[0], above, depth + 1);
    if (n->nargs > 1 && ir_ops[n->op].cls == CLS_EW)
        b = facts_of(l, n->args[1], above, depth + 1);
    switch ((ir_op)n->op) {
    case OP_CONST:
        r = (facts){isfinite(n->u.value), n->u.value > 0, n->u.value >= 0};
        break;
    case OP_DIMVAL:
        r = (facts){true, true, true};
        break;
    case OP_REALARG:
        r.finite = true;
        break;
    case OP_COUNT: case OP_INDEGREE: case OP_IOTA:
        r = (facts){true, false, true};
        break;
    /* counts and numbers of the program: their sums and products do not overflow */
    case OP_ADD:
        r = (facts){a.finite && b.finite, (a.positive && b.not_negative) || (a.not_negative && b.positive),
                    a.not_negative && b.not_negative};
        break;
    case OP_SUB:
        r.finite = a.finite && b.finite;
        break;
    case OP_MUL: case OP_MUL0:
        r.finite = a.finite && b.finite;
        r.positive = a.positive && b.positive;
        r.not_negative = r.positive || (r.finite && a.not_negative && b.not_negative);
        break;
    case OP_DIV:
        r.finite = a.finite && b.finite && b.positive;
        r = (facts){r.finite, r.finite && a.positive, r.finite && a.not_negative};
        break;
    case OP_MAX:
        r.finite = a.finite && b.finite;
        r.positive = (a.positive && b.positive) || (r.finite && (a.positive || b.positive));
        r.not_negative =
            (a.not_negative && b.not_negative) || (r.finite && (a.not_negative || b.not_negative));
        break;
    case OP_MIN:
        r = (facts){a.finite && b.finite, a.positive && b.positive, a.not_negative && b.not_negative};
        break;
    case OP_NEG: case OP_FLOOR: case OP_SIGN: case OP_SIN: case OP_COS: case OP_ERF:
        r.finite = a.finite;
        break;
    case OP_ABS: case OP_RELU:
        r = (facts){a.finite, n->op == OP_RELU && a.positive, a.finite || a.not_negative};
        break;
    case OP_SQRT: case OP_SQRT0:
        r = (facts){a.finite && a.not_negative, a.positive, a.not_negative};
        break;
    case OP_RSQRT:
        r = (facts){a.positive, a.positive && a.finite, a.positive};
        break;
    case OP_LOG:
        r.finite = a.finite && a.positive;
        break;
    case OP_LOG1P:
        r = (facts){a.finite && a.not_negative, false, a.not_negative};
        break;
    case OP_TANH:
        r.finite = a.finite;
        break;
    case OP_SIGMOID:
        r = (facts){a.finite, false, a.finite};
        break;
    case OP_WHERE: {
        /* where(0 < x, f(x), c): in the first branch x is positive. */
        const ir_node *c = ir_at(l, n->args[0]);
        double zero;
        ir_val x = c->op == OP_LT && ir_is_uniform(l, c->args[0], &zero) && zero == 0 ? c->args[1] : above;
        a = facts_of(l, n->args[1], x, depth + 1);
        b = facts_of(l, n->args[2], above, depth + 1);
        r = (facts){a.finite && b.finite, a.positive && b.positive, a.not_negative && b.not_negative};
        break;
    }
    case OP_CAST:
        r = ir_is_float(ir_at(l, n->args[0])->type)
                ? a
                : (facts){true, false, ir_at(l, n->args[0])->type == T_BOOL};
        break;
    case OP_STOP: case OP_RESHAPE: case OP_TRANSPOSE: case OP_BROADCAST: case OP_SLICE: case OP_ROWS:
    case OP_UNROWS:
        r = a;
        break;
    case OP_GATHER:             /* 0 where the map says none */
        r = (facts){a.finite, a.positive && ir_map_total(l, n->args[1]), a.not_negative};
        break;
    case OP_INPUT: case OP_TRAINING: case OP_POW: case OP_ATAN2: case OP_EXP: case OP_EXPM1:
    case OP_SOFTPLUS: case OP_LT: case OP_LE: case OP_EQ: case OP_NE: case OP_AND: case OP_OR: case OP_NOT:
    case OP_BUCKET: case OP_HAS: case OP_DROPOUT: case OP_RSUM: case OP_RMAX: case OP_RMIN: case OP_EINSUM:
    case OP_CONCAT: case OP_LOOKUP: case OP_ONEHOT_ADD: case OP_SPREAD: case OP_UNSPREAD: case OP_AGG_SUM:
    case OP_AGG_MAX: case OP_AGG_MIN: case OP_AGG_PROD: case OP_AGG_VAR: case OP_AGG_ANY: case OP_AGG_ALL:
    case OP_AGG_EXPSUM: case OP_AGG_SOFTSUM: case OP_AGG_ARGMAX: case OP_AGG_ARGMIN: case OP_POSITION:
    case OP_SOFTMAX: case OP_MAP_SRC: case OP_MAP_DST: case OP_MAP_SRC_DST: case OP_MAP_DST_SRC:
    case OP_MAP_PREFIX: case OP_MAP_SUFFIX: case OP_MAP_GRAPH: case OP_MAP_UNIT: case OP_MAP_INDEX:
    case OP_MAP_PAIR: case OP_MAP_FIRST: case OP_MAP_SECOND: case OP_STATE: case OP_STEP: case OP_FINAL:
    case OP_STEPS: case OP_RECORD: case OP_RECALL:
    case OP_N:
        break;
    }
    if (ir_is(above) && ir_same(bare(l, v), bare(l, above))) {
        r.positive = true;
        r.not_negative = true;
    }
    return r;
}

bool is_finite(const ir_layer *l, ir_val v) { return facts_of(l, v, (ir_val){0}, 0).finite; }
bool is_positive(const ir_layer *l, ir_val v) { return facts_of(l, v, (ir_val){0}, 0).positive; }

ir_val where_members(ir_layer *l, ir_val along, ir_val a, double other)
{
    ir_type type = ir_is_arith(ir_at(l, a)->type) ? (ir_type)ir_at(l, a)->type : T_F32;
    ir_val some = ir_lt(l, ir_const(l, type, 0), ir_count(l, type, along));
    /* What is already 0 where there is nothing needs no second test. */
    if (op_of(l, a) == OP_WHERE && ir_same(arg_of(l, a, 0), some)) {
        double x;
        if (ir_is_uniform(l, arg_of(l, a, 2), &x) && x == other)
            return a;
        a = arg_of(l, a, 1);
    }
    return ir_where(l, some, a, ir_like(l, a, other));
}

bool is_monotone(const ir_layer *l, ir_val v, bool for_least)
{
    const ir_node *n = ir_at(l, v);
    if (ir_ops[n->op].cls != CLS_EW || ir_ops[n->op].nargs != 1 ||
        (ir_ops[n->op].flags & (OPF_MONO | OPF_NAN)) != (OPF_MONO | OPF_NAN))
        return false;
    if (!ir_is_arith(n->type) || !ir_is_arith(ir_at(l, n->args[0])->type))
        return false;
    /* These are not numbers below 0 (or -1). Of a least member that is seen; a greatest would hide it. */
    if (n->op == OP_LOG || n->op == OP_LOG1P || n->op == OP_SQRT || n->op == OP_SQRT0)
        return for_least;
    return true;
}
