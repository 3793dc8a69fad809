/* Element-wise operations: types, broadcasting, folding, and identities that hold for NaN and infinity.
 *
 * An operand that is repeated to a shape or domain which the other operands have anyway stands bare: the
 * repetition is implicit. One that is alone is repeated after the operation, not before. */
#include "compiler/ir/build_int.h"
#include "compiler/ir/scalar.h"

#include <math.h>
#include <string.h>

enum { EW_MAX = 3 };

/* What an operand may be. */
typedef enum { TAKES_ARITH, TAKES_BOOL, TAKES_INDEX, TAKES_ORDERED, TAKES_ANY } takes;

static takes operand_kind(ir_op op, uint32_t k)
{
    if (op == OP_AND || op == OP_OR || op == OP_NOT || (op == OP_WHERE && k == 0))
        return TAKES_BOOL;
    if (op == OP_HAS)
        return TAKES_INDEX;
    if (op == OP_LT || op == OP_LE)
        return TAKES_ORDERED;
    if (op == OP_EQ || op == OP_NE || op == OP_WHERE)
        return TAKES_ANY;
    return TAKES_ARITH;
}

static bool kind_takes(takes t, unsigned type)
{
    switch (t) {
    case TAKES_ARITH: return ir_is_arith(type);
    case TAKES_BOOL: return type == T_BOOL;
    case TAKES_INDEX: return type == T_INDEX;
    case TAKES_ORDERED: return ir_is_arith(type) || type == T_INDEX;
    case TAKES_ANY: return ir_is_arith(type) || type == T_INDEX || type == T_BOOL;
    }
    return false;
}

/* Domain and shape of the operands together. */
static bool ew_extent(const ir_layer *l, ir_op op, const ir_val *args, uint32_t n, ir_dom *dom, ir_shape *shape)
{
    *dom = ir_dom_unit();
    *shape = (ir_shape){0};
    for (uint32_t k = 0; k < n; k++) {
        ir_shape s = ir_shape_of(l, args[k]);
        *dom = ir_dom_join(l, op, *dom, ir_at(l, args[k])->dom);
        if (!ir_shape_broadcast(l, shape, &s, shape))
            return false;
    }
    return true;
}

static void check_types(const ir_layer *l, ir_op op, const ir_val *args, uint32_t n)
{
    uint32_t first = op == OP_WHERE;            /* operands from here on have one type */
    for (uint32_t k = 0; k < n; k++) {
        ir_check_value(l, op, args[k]);
        const ir_node *a = ir_at(l, args[k]), *b = ir_at(l, args[first]);
        if (!kind_takes(operand_kind(op, k), a->type) || (k > first && a->type != b->type))
            ir_bug(l, "%s: type of operand %%%u", ir_ops[op].text, args[k].i);
        if (op == OP_WHERE && k == 2 && a->type == T_INDEX && !dim_equal(l->dims, a->range, b->range))
            ir_bug(l, "where: indices of two ranges");
    }
}

/* Drops repetitions that change neither domain nor shape of the result. */
static void drop_repeats(const ir_layer *l, ir_op op, ir_val *args, uint32_t n, ir_dom dom, const ir_shape *shape)
{
    for (uint32_t k = 0; k < n; k++) {
        if (ir_op_of(l, args[k]) != OP_BROADCAST)
            continue;
        ir_val kept = args[k];
        ir_dom d;
        ir_shape s;
        args[k] = ir_arg(l, kept, 0);
        if (!ew_extent(l, op, args, n, &d, &s) || !ir_dom_same(d, dom) || !ir_shape_same(l, &s, shape))
            args[k] = kept;
    }
}

static bool is_number(const ir_layer *l, ir_val v, double x)
{
    double value;
    return ir_is_uniform(l, v, &value) && value == x;
}

static ir_val inner(const ir_layer *l, ir_val v, ir_op op)
{
    return ir_op_of(l, v) == op ? ir_arg(l, v, 0) : (ir_val){0};
}

/* x op x = x and the like, for one and two operands; none if there is nothing to say. The result may
 * lack domain or shape of the operation: the caller repeats it to them. */
static ir_val identity(ir_layer *l, ir_op op, const ir_val *a)
{
    const ir_val none = {0};
    ir_val x;
    if (ir_ops[op].nargs == 2 && (ir_ops[op].flags & OPF_IDEM) && ir_same(a[0], a[1]))
        return a[0];
    if (ir_ops[op].nargs == 1 && (ir_ops[op].flags & OPF_IDEM) && ir_op_of(l, a[0]) == op)
        return a[0];
    /* Each operation alone: what is not listed has no identity that is always right. */
    if (op == OP_ADD) {
        if (is_number(l, a[1], 0)) return a[0];
        if (is_number(l, a[0], 0)) return a[1];
        if (ir_is(x = inner(l, a[1], OP_NEG))) return ir_sub(l, a[0], x);
        if (ir_is(x = inner(l, a[0], OP_NEG))) return ir_sub(l, a[1], x);
    } else if (op == OP_SUB) {
        if (is_number(l, a[1], 0)) return a[0];
        if (is_number(l, a[0], 0)) return ir_neg(l, a[1]);
        if (ir_is(x = inner(l, a[1], OP_NEG))) return ir_add(l, a[0], x);
    } else if (op == OP_MUL) {
        if (is_number(l, a[1], 1)) return a[0];
        if (is_number(l, a[0], 1)) return a[1];
        if (is_number(l, a[1], -1)) return ir_neg(l, a[0]);
        if (is_number(l, a[0], -1)) return ir_neg(l, a[1]);
        ir_val y;
        if (ir_is(x = inner(l, a[0], OP_NEG)) && ir_is(y = inner(l, a[1], OP_NEG))) return ir_mul(l, x, y);
    } else if (op == OP_MUL0) {
        double x0;
        if (is_number(l, a[0], 0) || is_number(l, a[1], 0)) return ir_like(l, a[0], 0);
        if ((ir_is_uniform(l, a[0], &x0) || ir_is_uniform(l, a[1], &x0)) && isfinite(x0)) return ir_mul(l, a[0], a[1]);
    } else if (op == OP_DIV) {
        if (is_number(l, a[1], 1)) return a[0];
        if (is_number(l, a[1], -1)) return ir_neg(l, a[0]);
    } else if (op == OP_POW) {
        if (is_number(l, a[1], 1)) return a[0];
        if (is_number(l, a[1], 2)) return ir_mul(l, a[0], a[0]);
        if (is_number(l, a[1], 0)) return ir_like(l, a[0], 1);          /* C's pow: of NaN too */
        if (is_number(l, a[1], -1)) return ir_div(l, ir_like(l, a[0], 1), a[0]);
    } else if (op == OP_NEG) {
        if (ir_is(x = inner(l, a[0], OP_NEG))) return x;
        if (ir_op_of(l, a[0]) == OP_SUB) return ir_sub(l, ir_arg(l, a[0], 1), ir_arg(l, a[0], 0));
    } else if (op == OP_ABS) {
        if (ir_is(x = inner(l, a[0], OP_NEG))) return ir_ew1(l, OP_ABS, x);
        if (ir_op_of(l, a[0]) == OP_ABS) return a[0];
    } else if (op == OP_SIGN || op == OP_FLOOR || op == OP_STOP) {
        if (ir_op_of(l, a[0]) == op) return a[0];
    } else if (op == OP_NOT) {
        if (ir_is(x = inner(l, a[0], OP_NOT))) return x;
        if (ir_op_of(l, a[0]) == OP_EQ) return ir_ne(l, ir_arg(l, a[0], 0), ir_arg(l, a[0], 1));
        if (ir_op_of(l, a[0]) == OP_NE) return ir_eq(l, ir_arg(l, a[0], 0), ir_arg(l, a[0], 1));
    } else if (op == OP_AND) {
        if (is_number(l, a[1], 1)) return a[0];
        if (is_number(l, a[0], 1)) return a[1];
        if (is_number(l, a[0], 0) || is_number(l, a[1], 0)) return ir_const(l, T_BOOL, 0);
    } else if (op == OP_OR) {
        if (is_number(l, a[1], 0)) return a[0];
        if (is_number(l, a[0], 0)) return a[1];
        if (is_number(l, a[0], 1) || is_number(l, a[1], 1)) return ir_const(l, T_BOOL, 1);
    } else if (op == OP_WHERE) {
        double c;
        if (ir_is_uniform(l, a[0], &c)) return c != 0 ? a[1] : a[2];
        if (ir_same(a[1], a[2])) return a[1];
        if (ir_is(x = inner(l, a[0], OP_NOT))) return ir_where(l, x, a[2], a[1]);
    } else if (op == OP_HAS) {
        if (!ir_at(l, a[0])->none) return ir_const(l, T_BOOL, 1);
    }
    return none;
}

static ir_node result_node(const ir_layer *l, ir_op op, const ir_val *args, ir_dom dom, const ir_shape *shape)
{
    ir_node n = ir_blank(op);
    const ir_node *like = ir_at(l, args[ir_ops[op].type == TYPE_ARG1 ? 1 : 0]);
    n.type = ir_ops[op].type == TYPE_BOOL ? T_BOOL : like->type;
    if (n.type == T_INDEX) {
        n.range = like->range;
        n.none = like->none || (op == OP_WHERE && ir_at(l, args[2])->none);
    }
    n.dom = dom;
    ir_set_shape(&n, shape);
    return n;
}

/* A constant with type and range of the node. */
static ir_val constant_of(ir_layer *l, const ir_node *n, double x)
{
    return n->type == T_INDEX ? ir_const_index(l, (int64_t)x, n->range) : ir_const(l, n->type, x);
}

ir_val ir_ew(ir_layer *l, ir_op op, const ir_val *given)
{
    if (op >= OP_N || ir_ops[op].cls != CLS_EW || op == OP_CAST || op == OP_BUCKET || op == OP_DROPOUT)
        ir_bug(l, "%s has a constructor of its own", op < OP_N ? ir_ops[op].text : "?");
    uint32_t n = (uint32_t)ir_ops[op].nargs;
    ir_val a[EW_MAX] = {{0}};
    memcpy(a, given, n * sizeof *a);
    check_types(l, op, a, n);
    ir_dom dom;
    ir_shape shape;
    if (!ew_extent(l, op, a, n, &dom, &shape))
        ir_bug(l, "%s: shapes of the operands %%%u and %%%u", ir_ops[op].text, a[0].i, a[n - 1].i);

    ir_node node = result_node(l, op, a, dom, &shape);
    double x[EW_MAX];
    bool all = true;
    for (uint32_t k = 0; k < n; k++)
        all = all && ir_is_uniform(l, a[k], &x[k]);
    if (all)
        return ir_broadcast(l, constant_of(l, &node, ir_scalar(op, x)), dom, &shape);
    ir_val same = identity(l, op, a);
    if (ir_is(same))
        return ir_broadcast(l, same, dom, &shape);

    if (n == 1 && ir_op_of(l, a[0]) == OP_BROADCAST)
        return ir_broadcast(l, ir_ew1(l, op, ir_arg(l, a[0], 0)), dom, &shape);
    drop_repeats(l, op, a, n, dom, &shape);
    if ((ir_ops[op].flags & OPF_COMM) && a[0].i > a[1].i) {
        ir_val t = a[0];
        a[0] = a[1];
        a[1] = t;
    }
    return ir_intern(l, &node, a, n);
}

/* Every number of type a is one of type b. */
static bool widens(unsigned a, unsigned b)
{
    return a == b || b == T_F64 || (b == T_F32 && (a == T_F16 || a == T_BF16));
}

ir_val ir_cast(ir_layer *l, ir_val a, ir_type type)
{
    ir_check_value(l, OP_CAST, a);
    if (!ir_is_float(type))
        ir_bug(l, "cast: not to a floating type");
    ir_type from = ir_at(l, a)->type;
    double x;
    ir_shape shape = ir_shape_of(l, a);
    if (from == type)
        return a;
    if (ir_is_uniform(l, a, &x) && ir_is_arith(type))           /* there are no numbers of a half type */
        return ir_broadcast(l, ir_const(l, type, x), ir_at(l, a)->dom, &shape);
    if (ir_op_of(l, a) == OP_BROADCAST)
        return ir_broadcast(l, ir_cast(l, ir_arg(l, a, 0), type), ir_at(l, a)->dom, &shape);
    if (ir_op_of(l, a) == OP_CAST && ir_is_float(ir_at(l, ir_arg(l, a, 0))->type) && widens(ir_at(l, ir_arg(l, a, 0))->type, from))
        return ir_cast(l, ir_arg(l, a, 0), type);               /* the first lost nothing */
    ir_node n = ir_blank_like(l, OP_CAST, a);
    n.type = (uint8_t)type;
    n.none = false;
    n.range = (dim){0};
    return ir_intern(l, &n, &a, 1);
}

ir_val ir_bucket(ir_layer *l, ir_val a, dim range)
{
    ir_check_arith(l, OP_BUCKET, a);
    if (!dim_ok(range))
        ir_bug(l, "bucket: no range");
    double x;
    int64_t r;
    ir_shape shape = ir_shape_of(l, a);
    if (ir_is_uniform(l, a, &x) && dim_is_const(l->dims, range, &r))
        return ir_broadcast(l, ir_const_index(l, (int64_t)ir_scalar_bucket(x, r), range), ir_at(l, a)->dom, &shape);
    ir_node n = ir_blank_like(l, OP_BUCKET, a);
    n.type = T_INDEX;
    n.range = range;
    return ir_intern(l, &n, &a, 1);
}

ir_val ir_dropout(ir_layer *l, ir_val a, ir_val p, ir_val key, uint32_t site)
{
    ir_check_arith(l, OP_DROPOUT, a);
    ir_check_scalar(l, OP_DROPOUT, p);
    ir_check_scalar(l, OP_DROPOUT, key);
    if (ir_at(l, p)->type != ir_at(l, a)->type || ir_at(l, key)->type != T_F64)
        ir_bug(l, "dropout: type of the rate or the key");
    if (is_number(l, p, 0))
        return a;
    ir_node n = ir_blank_like(l, OP_DROPOUT, a);
    n.u.place = site;
    return ir_intern(l, &n, (ir_val[]){a, p, key}, 3);
}

/* A dropout that keeps everything. */
ir_val ir_variable(ir_layer *l, ir_val a, uint32_t site)
{
    ir_check_arith(l, OP_DROPOUT, a);
    ir_node n = ir_blank_like(l, OP_DROPOUT, a);
    n.u.place = site;
    return ir_intern(l, &n, (ir_val[]){a, ir_like(l, a, 0), ir_const(l, T_F64, 0)}, 3);
}
