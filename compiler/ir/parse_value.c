/* A line of the text form that makes a value: operation, attributes, operands, type. See parse_int.h. */
#include "compiler/ir/parse_int.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "compiler/ir/build_int.h"
#include "compiler/ir/table.h"

static bool read_shape(reader *r, ir_node *n)
{
    if (!text_take(r, "["))
        return true;
    do {
        if (n->rank == IR_MAX_RANK)
            return text_fail(r, "more than %d axes", IR_MAX_RANK);
        if (!text_dim(r, &n->shape[n->rank]))
            return false;
        n->rank++;
    } while (text_take(r, ","));
    return text_need(r, "]");
}

static bool read_slots(reader *r, ir_node *n)
{
    if (!text_take(r, "by"))
        return true;
    if (!text_need(r, "step") || !text_need(r, "(") || !text_dim(r, &n->slots) || !text_need(r, ")"))
        return false;
    n->apart = text_take(r, "apart");
    return true;
}

static bool read_type(reader *r, ir_node *n)
{
    if (!text_need(r, ":") || !text_domain(r, &n->dom))
        return false;
    if (text_take(r, "->")) {
        n->type = T_MAP;
        return text_domain(r, &n->u.cod);
    }
    for (uint32_t t = 0; t < T_MAP; t++) {
        if (!text_take(r, ir_type_names[t]))
            continue;
        n->type = (uint8_t)t;
        if (t == T_INDEX) {
            if (!text_need(r, "(") || !text_dim(r, &n->range) || !text_need(r, ")"))
                return false;
            n->none = text_take(r, "or") && text_need(r, "none");
        }
        return read_shape(r, n) && read_slots(r, n);
    }
    return text_fail(r, "expected a type");
}

static bool read_letters(reader *r, const char **at, uint8_t *letters, uint8_t *n)
{
    for (; **at >= 'a' && **at < 'a' + 2 * IR_MAX_RANK; ++*at) {
        if (*n == IR_MAX_RANK)
            return text_fail(r, "more than %d axes", IR_MAX_RANK);
        letters[(*n)++] = (uint8_t)(**at - 'a');
    }
    return true;
}

static bool read_einsum(reader *r, ir_einsum *e)
{
    str spec;
    if (!text_string(r, &spec))
        return false;
    const char *at = spec;
    if (!read_letters(r, &at, e->a, &e->na) || *at++ != ',' || !read_letters(r, &at, e->b, &e->nb) || at[0] != '-' || at[1] != '>')
        return text_fail(r, "letters of the einsum");
    at += 2;
    if (!read_letters(r, &at, e->out, &e->nout) || *at)
        return text_fail(r, "letters of the einsum");
    return true;
}

static bool read_init(reader *r, ir_input *in)
{
    if (!text_string(r, &in->name))
        return false;
    in->sided = text_take(r, "sided");
    in->of_call = text_take(r, "saved");
    if (!text_take(r, "init"))
        return !r->error;
    for (uint32_t k = 0; k < IR_N_INITS; k++) {
        if (!text_take(r, ir_init_names[k]))
            continue;
        in->init = (ir_init_kind)k;
        if (!ir_init_args[k])
            return true;
        if (!text_need(r, "(") || !text_double(r, &in->init_a))
            return false;
        if (ir_init_args[k] > 1 && (!text_need(r, ",") || !text_double(r, &in->init_b)))
            return false;
        return text_need(r, ")");
    }
    return text_fail(r, "expected a way to initialise");
}

static bool read_loop_ref(reader *r, ir_node *n)
{
    if (!text_need(r, "of") || !text_loop(r, &n->u.loop.loop))
        return false;
    const ir_loop *p = &r->l->loops[n->u.loop.loop];
    n->region = ir_leaves_loop((ir_op)n->op) ? p->parent : p->region;
    return true;
}

static bool read_static_ref(reader *r, uint32_t *out)
{
    str name;
    if (!text_name(r, &name))
        return false;
    for (uint32_t i = 0; i < r->l->n_statics; i++) {
        if (r->l->statics[i].name == name) {
            *out = i;
            return true;
        }
    }
    return text_fail(r, "there is no static argument %s", name);
}

/* The attributes before the operands. */
static bool read_before(reader *r, ir_node *n)
{
    double x;
    switch (n->op) {
    case OP_CONST:
        if (!text_double(r, &x))
            return false;
        n->u.value = isnan(x) ? (double)NAN : x;
        return true;
    case OP_REALARG: return read_static_ref(r, &n->u.realarg);
    case OP_DIMVAL: return text_dim(r, &n->range);
    case OP_EINSUM: return read_einsum(r, &n->u.ein);
    case OP_STEP:
    case OP_RECALL: n->u.loop.state = text_take(r, "back"); return read_loop_ref(r, n);
    case OP_STEPS:
    case OP_RECORD: return read_loop_ref(r, n);
    case OP_STATE:
    case OP_FINAL: {
        uint32_t state;
        if (!text_uint(r, &state) || !read_loop_ref(r, n))
            return false;
        n->u.loop.state = state;
        return true;
    }
    default: return true;                       /* the others have none */
    }
}

static bool read_axis(reader *r, int32_t *out)
{
    uint32_t axis;
    if (!text_need(r, "axis") || !text_uint(r, &axis))
        return false;
    *out = axis < IR_MAX_RANK ? (int32_t)axis : IR_MAX_RANK;
    return true;
}

static bool read_after(reader *r, ir_node *n)
{
    if (ir_ops[n->op].cls == CLS_REDUCE || n->op == OP_CONCAT)
        return read_axis(r, &n->u.axis);
    if (n->op == OP_SLICE) {
        int32_t axis;
        if (!read_axis(r, &axis))
            return false;
        n->u.slice.axis = axis;
        return text_need(r, "from") && text_dim(r, &n->u.slice.lo);
    }
    if (n->op == OP_TRANSPOSE) {
        if (!text_need(r, "("))
            return false;
        for (uint32_t k = 0; k < IR_MAX_RANK; k++) {
            uint32_t axis;
            if (!text_uint(r, &axis))
                return false;
            n->u.perm[k] = axis < IR_MAX_RANK ? (uint8_t)axis : IR_MAX_RANK;
            if (!text_take(r, ","))
                break;
        }
        return text_need(r, ")");
    }
    if (n->op == OP_DROPOUT)
        return text_need(r, "place") && text_uint(r, &n->u.place);
    return true;
}

static bool find_op(reader *r, ir_op *op)
{
    str name;
    if (!text_name(r, &name))
        return false;
    for (uint32_t k = 0; k < OP_N; k++) {
        if (strcmp(ir_ops[k].text, name) == 0) {
            *op = (ir_op)k;
            return true;
        }
    }
    if (strcmp(name, "param") == 0) {
        *op = OP_INPUT;
        return true;
    }
    return text_fail(r, "there is no operation %s", name);
}

/* The comment at the end of the line: a name. */
static str read_comment(reader *r)
{
    text_spaces(r);
    if (r->p[0] != '/' || r->p[1] != '/')
        return NULL;
    r->p += 2;
    text_spaces(r);
    const char *from = r->p;
    while (*r->p && *r->p != '\n')
        r->p++;
    const char *to = r->p;
    while (to > from && isspace((unsigned char)to[-1]))
        to--;
    return to > from ? str_intern(r->names, from, (size_t)(to - from)) : NULL;
}

static bool enter_value(reader *r, uint32_t id, ir_node *n, const ir_val *args, uint32_t nargs, const ir_input *in)
{
    ir_layer *l = r->l;
    uint32_t region = 0;
    bool fresh;
    if (n->op == OP_INPUT) {
        n->u.input = l->n_inputs;
        IR_GROW(l, l->inputs, l->n_inputs, l->builder->cap_inputs);
        l->inputs[l->n_inputs++] = *in;
    }
    ir_val v = ir_append(l, n, args, nargs);
    if (n->op == OP_INPUT)
        l->inputs[n->u.input].value = v;
    if (n->op == OP_MAP_PAIR && l->domains[n->u.cod.i].kind == DOM_PAIR && nargs == 2) {
        ir_domain *d = &l->domains[n->u.cod.i];
        d->map = v;
        d->base = l->nodes[args[1].i].type == T_MAP ? l->nodes[args[1].i].u.cod : ir_dom_unit();
        d->range = l->nodes[args[0].i].range;
    }
    if (text_take(r, "@")) {
        if (!text_uint(r, &region))
            return false;
        if (region != l->nodes[v.i].region)
            return text_fail(r, "%%%u lies in region %u", id, l->nodes[v.i].region);
    }
    l->nodes[v.i].name = read_comment(r);
    *map_slot_of(&r->values, id, &fresh) = v.i;
    return fresh || text_fail(r, "a second %%%u", id);
}

bool text_value_line(reader *r)
{
    uint32_t id;
    ir_op op = OP_N;
    ir_input in = {0};
    VEC(ir_val) args = {0};
    text_spaces(r);
    if (!text_uint(r, &id) || !text_need(r, "="))
        return false;
    text_spaces(r);
    in.param = strncmp(r->p, "param", 5) == 0;
    if (!find_op(r, &op))
        return false;
    ir_node n = ir_blank(op);
    if (op == OP_INPUT ? !read_init(r, &in) : !read_before(r, &n))
        return false;
    text_spaces(r);
    while (*r->p == '%') {
        ir_val v;
        if (!text_value(r, &v))
            return false;
        vec_push(r->mem, &args, v);
        if (!text_take(r, ","))
            break;
        text_spaces(r);
    }
    return read_after(r, &n) && read_type(r, &n) && enter_value(r, id, &n, args.at, args.n, &in);
}
