/* The reader of the text form; print.h shows it. Values are entered as they stand, nothing is folded or
 * merged, and ir_verify decides at the end whether the whole is a layer. The first error ends the reading. */
#include "compiler/ir/build_int.h"
#include "compiler/ir/print.h"
#include "compiler/ir/table.h"
#include "compiler/ir/verify.h"
#include "compiler/support/vec.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PARENS = 64, MAX_POWER = 64 };

typedef VEC(ir_state) states;
typedef struct { ir_val given; uint32_t domain; } pair_line;

typedef struct reader {
    const char *p;              /* next character of the line */
    uint32_t line;
    arena *mem;
    str_table *names;
    ir_layer *l;
    map values;                 /* by id in the text: id in the layer */
    VEC(states) states;         /* by loop */
    VEC(pair_line) pairs;
    const char *error;
} reader;

static bool fail(reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool fail(reader *r, const char *fmt, ...)
{
    if (r->error)
        return false;
    buf b = buf_make(r->mem);
    buf_printf(&b, "line %u: ", r->line);
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    r->error = buf_text(&b);
    return false;
}

/* ---- tokens ---- */

static void spaces(reader *r)
{
    while (*r->p == ' ' || *r->p == '\t')
        r->p++;
}

static bool at_end(reader *r)
{
    spaces(r);
    return *r->p == '\n' || *r->p == '\r' || *r->p == 0 || (r->p[0] == '/' && r->p[1] == '/');
}

/* Takes this text if it comes next; a word only when the whole word is it. */
static bool take(reader *r, const char *s)
{
    spaces(r);
    size_t n = strlen(s);
    if (strncmp(r->p, s, n) != 0)
        return false;
    bool word = isalnum((unsigned char)s[n - 1]) || s[n - 1] == '_';
    if (word && (isalnum((unsigned char)r->p[n]) || r->p[n] == '_'))
        return false;
    r->p += n;
    return true;
}

static bool need(reader *r, const char *s) { return take(r, s) || fail(r, "expected `%s`", s); }

static bool read_name(reader *r, str *out)
{
    spaces(r);
    const char *from = r->p;
    if (!isalpha((unsigned char)*from) && *from != '_')
        return fail(r, "expected a name");
    while (isalnum((unsigned char)*r->p) || *r->p == '_')
        r->p++;
    *out = str_intern(r->names, from, (size_t)(r->p - from));
    return true;
}

static bool read_string(reader *r, str *out)
{
    if (!need(r, "\""))
        return false;
    const char *from = r->p;
    while (*r->p && *r->p != '"' && *r->p != '\n')
        r->p++;
    *out = str_intern(r->names, from, (size_t)(r->p - from));
    return need(r, "\"");
}

static bool read_uint(reader *r, uint32_t *out)
{
    spaces(r);
    uint64_t x = 0;
    if (!isdigit((unsigned char)*r->p))
        return fail(r, "expected a number");
    while (isdigit((unsigned char)*r->p) && x <= UINT32_MAX)
        x = 10 * x + (uint64_t)(*r->p++ - '0');
    *out = (uint32_t)x;
    return x <= UINT32_MAX || fail(r, "number too large");
}

static bool read_double(reader *r, double *out)
{
    spaces(r);
    char text[64];                              /* strtod by itself would cross the end of the line */
    size_t n = 0;
    while (n + 1 < sizeof text && (isalnum((unsigned char)r->p[n]) || strchr("+-.", r->p[n])) && r->p[n]) {
        text[n] = r->p[n];
        n++;
    }
    text[n] = 0;
    char *end;
    *out = strtod(text, &end);
    if (end == text)
        return fail(r, "expected a number");
    r->p += end - text;
    return true;
}

static bool read_value(reader *r, ir_val *out)
{
    uint32_t id;
    if (!need(r, "%") || !read_uint(r, &id))
        return false;
    uint64_t *known = map_get(&r->values, id);
    if (!known)
        return fail(r, "%%%u is not known here", id);
    *out = (ir_val){(uint32_t)*known};
    return true;
}

/* ---- dims ---- */

static bool read_dim_sum(reader *r, dim *out, uint32_t depth);

static bool read_dim_atom(reader *r, dim *out, uint32_t depth)
{
    spaces(r);
    if (depth > MAX_PARENS)
        return fail(r, "too many parentheses");
    if (take(r, "("))
        return read_dim_sum(r, out, depth + 1) && need(r, ")");
    if (take(r, "-")) {
        if (!read_dim_atom(r, out, depth + 1))
            return false;
        *out = dim_neg(r->l->dims, *out);
        return true;
    }
    if (isdigit((unsigned char)*r->p)) {
        int64_t x = 0;
        for (; isdigit((unsigned char)*r->p); r->p++)
            if (__builtin_mul_overflow(x, (int64_t)10, &x) || __builtin_add_overflow(x, (int64_t)(*r->p - '0'), &x))
                return fail(r, "number too large");
        *out = dim_const(r->l->dims, x);
    } else {
        str name;
        if (!read_name(r, &name))
            return false;
        *out = dim_symbol(r->l->dims, name);
    }
    uint32_t power;
    if (take(r, "**")) {
        if (!read_uint(r, &power))
            return false;
        if (power > MAX_POWER)
            return fail(r, "power too large");
        *out = dim_pow(r->l->dims, *out, power);
    }
    return true;
}

static bool read_dim_product(reader *r, dim *out, uint32_t depth)
{
    if (!read_dim_atom(r, out, depth))
        return false;
    for (;;) {
        bool times = take(r, "*");
        dim right;
        spaces(r);
        if (!times && (r->p[0] != '/' || r->p[1] == '/'))
            return true;
        if (!times)
            r->p++;
        if (!read_dim_atom(r, &right, depth))
            return false;
        *out = times ? dim_mul(r->l->dims, *out, right) : dim_div(r->l->dims, *out, right);
    }
}

static bool read_dim_sum(reader *r, dim *out, uint32_t depth)
{
    if (!read_dim_product(r, out, depth))
        return false;
    for (;;) {
        spaces(r);
        bool plus = *r->p == '+';
        dim right;
        if (!plus && (r->p[0] != '-' || r->p[1] == '>'))
            return true;
        r->p++;
        if (!read_dim_product(r, &right, depth))
            return false;
        *out = plus ? dim_add(r->l->dims, *out, right) : dim_sub(r->l->dims, *out, right);
    }
}

static bool read_dim(reader *r, dim *out)
{
    if (!read_dim_sum(r, out, 0))
        return false;
    return dim_ok(*out) || fail(r, "a dim that %s", dim_why_text(dim_last_why(r->l->dims)));
}

/* ---- the head ---- */

static bool read_statics(reader *r)
{
    if (!need(r, "("))
        return false;
    while (!take(r, ")")) {
        str name;
        if (r->l->n_statics && !need(r, ","))
            return false;
        if (!read_name(r, &name))
            return false;
        bool real = take(r, ":") && need(r, "real");
        uint32_t at = real ? ir_static_real(r->l, name) : ir_static_dim(r->l, name);
        ir_static *s = &r->l->statics[at];
        if (!real)
            dim_symbol(r->l->dims, name);
        if (take(r, "=")) {
            s->has_default = true;
            if (real ? !read_double(r, &s->value) : !read_dim(r, &s->dim_default))
                return false;
        }
        if (take(r, "fixed")) {
            s->fixed = true;
            if (!read_double(r, &s->value))
                return false;
        }
        if (r->error)
            return false;
    }
    return true;
}

static bool read_domain_ref(reader *r, ir_dom *out)
{
    str name;
    if (!read_name(r, &name))
        return false;
    if (strcmp(name, "index") == 0) {
        dim range;
        if (!need(r, "(") || !read_dim(r, &range) || !need(r, ")"))
            return false;
        *out = ir_dom_index(r->l, range);
        return true;
    }
    for (uint32_t i = 0; i < r->l->n_domains; i++) {
        if (strcmp(r->l->domains[i].name, name) == 0) {
            *out = (ir_dom){i};
            return true;
        }
    }
    return fail(r, "there is no domain %s", name);
}

static bool read_domain(reader *r)
{
    ir_layer *l = r->l;
    spaces(r);
    if (strncmp(r->p, "index(", 6) == 0) {
        ir_dom d;
        return read_domain_ref(r, &d);
    }
    str name;
    if (!read_name(r, &name))
        return false;
    ir_domain d = {.name = name};
    ir_dom *role = NULL;
    if (take(r, "edges")) {
        d.kind = DOM_EDGES;
        role = &l->edge;
    } else if (take(r, "graphs")) {
        d.kind = DOM_GRAPHS;
        role = &l->graph;
    } else if (take(r, "nodes")) {
        d.kind = DOM_NODES;
        d.side = take(r, "src") ? SIDE_SRC : SIDE_DST;
        role = d.side == SIDE_SRC ? &l->src : &l->dst;
        if (d.side == SIDE_DST && !need(r, "dst"))
            return false;
    } else if (take(r, "pair")) {
        uint32_t id;
        d.kind = DOM_PAIR;
        if (!need(r, "%") || !read_uint(r, &id))
            return false;
        vec_push(r->mem, &r->pairs, (pair_line){{id}, l->n_domains});
    } else {
        return fail(r, "expected the kind of domain %s", name);
    }
    if (role && role->i)
        return fail(r, "a second domain of the kind of %s", name);
    for (uint32_t i = 0; i < l->n_domains; i++)
        if (strcmp(l->domains[i].name, name) == 0)
            return fail(r, "a second domain %s", name);
    ir_dom made = ir_domain_add(l, &d);
    if (role)
        *role = made;
    return true;
}

static bool read_need(reader *r)
{
    str name;
    bool square = take(r, "square");
    if ((!square && !need(r, "degrees")) || !read_string(r, &name))
        return false;
    ir_need_add(r->l, square ? NEED_SQUARE : NEED_DEGREES, *name ? name : NULL, (span){0});
    return true;
}

static bool read_loop(reader *r)
{
    uint32_t region, parent, depth = 0;
    str name;
    dim limit;
    if (!read_uint(r, &region) || !read_string(r, &name) || !need(r, "in") || !read_uint(r, &parent) || !need(r, "for") ||
        !read_dim(r, &limit))
        return false;
    if (region != r->l->n_loops + 1 || parent >= region)
        return fail(r, "loops are numbered from 1, one inside of another comes after it");
    for (uint32_t at = parent; at; at = ir_region_parent(r->l, at))
        if (++depth >= IR_MAX_NEST)
            return fail(r, "more than %d loops inside each other", IR_MAX_NEST);
    uint32_t loop = ir_loop_begin(r->l, parent, *name ? name : NULL, limit, 1);
    if (take(r, "again"))
        ir_loop_again(r->l, loop, take(r, "back"));
    vec_push(r->mem, &r->states, (states){0});
    return true;
}

/* ---- values ---- */

static bool read_shape(reader *r, ir_node *n)
{
    if (!take(r, "["))
        return true;
    do {
        if (n->rank == IR_MAX_RANK)
            return fail(r, "more than %d axes", IR_MAX_RANK);
        if (!read_dim(r, &n->shape[n->rank]))
            return false;
        n->rank++;
    } while (take(r, ","));
    return need(r, "]");
}

static bool read_slots(reader *r, ir_node *n)
{
    if (!take(r, "by"))
        return true;
    if (!need(r, "step") || !need(r, "(") || !read_dim(r, &n->slots) || !need(r, ")"))
        return false;
    n->apart = take(r, "apart");
    return true;
}

static bool read_type(reader *r, ir_node *n)
{
    if (!need(r, ":") || !read_domain_ref(r, &n->dom))
        return false;
    if (take(r, "->")) {
        n->type = T_MAP;
        return read_domain_ref(r, &n->u.cod);
    }
    for (uint32_t t = 0; t < T_MAP; t++) {
        if (!take(r, ir_type_names[t]))
            continue;
        n->type = (uint8_t)t;
        if (t == T_INDEX) {
            if (!need(r, "(") || !read_dim(r, &n->range) || !need(r, ")"))
                return false;
            n->none = take(r, "or") && need(r, "none");
        }
        return read_shape(r, n) && read_slots(r, n);
    }
    return fail(r, "expected a type");
}

static bool read_letters(reader *r, const char **at, uint8_t *letters, uint8_t *n)
{
    for (; **at >= 'a' && **at < 'a' + 2 * IR_MAX_RANK; ++*at) {
        if (*n == IR_MAX_RANK)
            return fail(r, "more than %d axes", IR_MAX_RANK);
        letters[(*n)++] = (uint8_t)(**at - 'a');
    }
    return true;
}

static bool read_einsum(reader *r, ir_einsum *e)
{
    str spec;
    if (!read_string(r, &spec))
        return false;
    const char *at = spec;
    if (!read_letters(r, &at, e->a, &e->na) || *at++ != ',' || !read_letters(r, &at, e->b, &e->nb) || at[0] != '-' || at[1] != '>')
        return fail(r, "letters of the einsum");
    at += 2;
    if (!read_letters(r, &at, e->out, &e->nout) || *at)
        return fail(r, "letters of the einsum");
    return true;
}

static bool read_init(reader *r, ir_input *in)
{
    if (!read_string(r, &in->name))
        return false;
    in->sided = take(r, "sided");
    in->of_call = take(r, "saved");
    if (!take(r, "init"))
        return !r->error;
    for (uint32_t k = 0; k < IR_N_INITS; k++) {
        if (!take(r, ir_init_names[k]))
            continue;
        in->init = (ir_init_kind)k;
        if (!ir_init_args[k])
            return true;
        if (!need(r, "(") || !read_double(r, &in->init_a))
            return false;
        if (ir_init_args[k] > 1 && (!need(r, ",") || !read_double(r, &in->init_b)))
            return false;
        return need(r, ")");
    }
    return fail(r, "expected a way to initialise");
}

static bool read_loop_ref(reader *r, ir_node *n)
{
    if (!need(r, "of") || !read_uint(r, &n->u.loop.loop))
        return false;
    if (n->u.loop.loop == 0 || n->u.loop.loop > r->l->n_loops)
        return fail(r, "there is no loop %u", n->u.loop.loop);
    n->u.loop.loop--;
    const ir_loop *p = &r->l->loops[n->u.loop.loop];
    n->region = ir_leaves_loop((ir_op)n->op) ? p->parent : p->region;
    return true;
}

static bool read_static_ref(reader *r, uint32_t *out)
{
    str name;
    if (!read_name(r, &name))
        return false;
    for (uint32_t i = 0; i < r->l->n_statics; i++) {
        if (r->l->statics[i].name == name) {
            *out = i;
            return true;
        }
    }
    return fail(r, "there is no static argument %s", name);
}

/* The attributes before the operands. */
static bool read_before(reader *r, ir_node *n)
{
    double x;
    switch (n->op) {
    case OP_CONST:
        if (!read_double(r, &x))
            return false;
        n->u.value = isnan(x) ? (double)NAN : x;
        return true;
    case OP_REALARG: return read_static_ref(r, &n->u.realarg);
    case OP_DIMVAL: return read_dim(r, &n->range);
    case OP_EINSUM: return read_einsum(r, &n->u.ein);
    case OP_STEP:
    case OP_RECALL: n->u.loop.state = take(r, "back"); return read_loop_ref(r, n);
    case OP_STEPS:
    case OP_RECORD: return read_loop_ref(r, n);
    case OP_STATE:
    case OP_FINAL: {
        uint32_t state;
        if (!read_uint(r, &state) || !read_loop_ref(r, n))
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
    if (!need(r, "axis") || !read_uint(r, &axis))
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
        return need(r, "from") && read_dim(r, &n->u.slice.lo);
    }
    if (n->op == OP_TRANSPOSE) {
        if (!need(r, "("))
            return false;
        for (uint32_t k = 0; k < IR_MAX_RANK; k++) {
            uint32_t axis;
            if (!read_uint(r, &axis))
                return false;
            n->u.perm[k] = axis < IR_MAX_RANK ? (uint8_t)axis : IR_MAX_RANK;
            if (!take(r, ","))
                break;
        }
        return need(r, ")");
    }
    if (n->op == OP_DROPOUT)
        return need(r, "place") && read_uint(r, &n->u.place);
    return true;
}

static bool find_op(reader *r, ir_op *op)
{
    str name;
    if (!read_name(r, &name))
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
    return fail(r, "there is no operation %s", name);
}

/* The comment at the end of the line: a name. */
static str read_comment(reader *r)
{
    spaces(r);
    if (r->p[0] != '/' || r->p[1] != '/')
        return NULL;
    r->p += 2;
    spaces(r);
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
    if (take(r, "@")) {
        if (!read_uint(r, &region))
            return false;
        if (region != l->nodes[v.i].region)
            return fail(r, "%%%u lies in region %u", id, l->nodes[v.i].region);
    }
    l->nodes[v.i].name = read_comment(r);
    *map_slot_of(&r->values, id, &fresh) = v.i;
    return fresh || fail(r, "a second %%%u", id);
}

static bool read_value_line(reader *r)
{
    uint32_t id;
    ir_op op = OP_N;
    ir_input in = {0};
    VEC(ir_val) args = {0};
    spaces(r);
    if (!read_uint(r, &id) || !need(r, "="))
        return false;
    spaces(r);
    in.param = strncmp(r->p, "param", 5) == 0;
    if (!find_op(r, &op))
        return false;
    ir_node n = ir_blank(op);
    if (op == OP_INPUT ? !read_init(r, &in) : !read_before(r, &n))
        return false;
    spaces(r);
    while (*r->p == '%') {
        ir_val v;
        if (!read_value(r, &v))
            return false;
        vec_push(r->mem, &args, v);
        if (!take(r, ","))
            break;
        spaces(r);
    }
    return read_after(r, &n) && read_type(r, &n) && enter_value(r, id, &n, args.at, args.n, &in);
}

/* ---- the end ---- */

static bool read_loop_number(reader *r, uint32_t *loop)
{
    if (!read_uint(r, loop))
        return false;
    if (*loop == 0 || *loop > r->l->n_loops)
        return fail(r, "there is no loop %u", *loop);
    --*loop;
    return true;
}

static bool read_next(reader *r)
{
    uint32_t loop;
    ir_state s = {0};
    if (!read_loop_number(r, &loop) || !read_string(r, &s.name) || !read_value(r, &s.init) || !read_value(r, &s.state) ||
        !read_value(r, &s.next))
        return false;
    if (!*s.name)
        s.name = NULL;
    vec_push(r->mem, &r->states.at[loop], s);
    return true;
}

static bool read_until(reader *r)
{
    uint32_t loop;
    return read_loop_number(r, &loop) && read_value(r, &r->l->loops[loop].tol);
}

static bool read_count(reader *r)
{
    uint32_t loop;
    return read_loop_number(r, &loop) && read_value(r, &r->l->loops[loop].count);
}

static bool read_output(reader *r)
{
    ir_output o = {0};
    if (!read_string(r, &o.name))
        return false;
    o.sided = take(r, "sided");
    if (!read_domain_ref(r, &o.rows) || !read_value(r, &o.value))
        return false;
    IR_GROW(r->l, r->l->outputs, r->l->n_outputs, r->l->builder->cap_outputs);
    r->l->outputs[r->l->n_outputs++] = o;
    return true;
}

static bool read_line(reader *r)
{
    if (at_end(r))
        return true;
    if (take(r, "%")) return read_value_line(r);
    if (take(r, "need")) return read_need(r);
    if (take(r, "domain")) return read_domain(r);
    if (take(r, "loop")) return read_loop(r);
    if (take(r, "next")) return read_next(r);
    if (take(r, "until")) return read_until(r);
    if (take(r, "count")) return read_count(r);
    if (take(r, "output")) return read_output(r);
    return fail(r, "expected a statement");
}

static bool read_layer(reader *r)
{
    str name;
    while (at_end(r) && *r->p) {                /* comments before the layer */
        while (*r->p && *r->p != '\n')
            r->p++;
        if (*r->p) {
            r->p++;
            r->line++;
        }
    }
    if (!need(r, "layer") || !read_name(r, &name))
        return false;
    r->l->name = name;
    if (!read_statics(r))
        return false;
    for (;;) {
        if (!at_end(r))
            return fail(r, "expected the end of the line");
        while (*r->p && *r->p != '\n')
            r->p++;
        if (!*r->p)
            return true;
        r->p++;
        r->line++;
        if (!read_line(r))
            return false;
    }
}

static bool finish(reader *r)
{
    for (uint32_t i = 0; i < r->states.n; i++) {
        if (!r->states.at[i].n)
            return fail(r, "loop %u has no states", i + 1);
        r->l->loops[i].states = r->states.at[i].at;
        r->l->loops[i].nstates = r->states.at[i].n;
    }
    for (uint32_t i = 0; i < r->pairs.n; i++) {
        uint64_t *v = map_get(&r->values, r->pairs.at[i].given.i);
        if (!v || *v != r->l->domains[r->pairs.at[i].domain].map.i)
            return fail(r, "%%%u does not make the pairs of %s", r->pairs.at[i].given.i, r->l->domains[r->pairs.at[i].domain].name);
    }
    const char *broken = ir_verify(r->l, r->mem);
    if (broken) {
        r->error = broken;
        return false;
    }
    return true;
}

/* A function of its own, so that no variable of it lives in the frame that a longjmp returns to. */
static __attribute__((noinline)) bool read_all(reader *r) { return read_layer(r) && finish(r); }

ir_layer *ir_parse(arena *mem, dim_table *dims, str_table *names, const char *text, const char **error)
{
    reader *r = NEW(mem, reader);               /* not on the stack: it is read after a longjmp */
    ir_trap *trap = NEW(mem, ir_trap);
    *r = (reader){.p = text, .line = 1, .mem = mem, .names = names, .values = map_make(mem)};
    r->l = ir_layer_new(mem, dims, NULL);
    ir_set_trap(r->l, trap);
    volatile bool ok = false;
    if (setjmp(trap->env) == 0)
        ok = read_all(r);
    else
        fail(r, "%s", trap->text);
    ir_set_trap(r->l, NULL);
    *error = ok ? NULL : r->error;
    return ok ? r->l : NULL;
}
