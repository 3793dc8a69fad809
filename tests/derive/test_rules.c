/* Each operation that has a derivative, by itself, on graphs that are hard: no edges, isolated nodes, a hub, repeated edges,
 * self-loops, blocks. Adding a row to the table without a case here fails. */
#include "tests/derive/gradient.h"

#include <stdio.h>

typedef struct setting {
    fixture f;
    dim two, three, rel;
    ir_val in[MAX_WANTED];
    uint32_t n;
} setting;

typedef enum { NO_EDGES, RANDOM, HUB, BLOCK, N_GRAPHS } graph_kind;

static bool tried[OP_N];

static void open(setting *s, graph_kind g)
{
    memset(s, 0, sizeof *s);
    fixture *f = &s->f;
    fixture_open(f);
    if (g == NO_EDGES)
        fixture_graph(f, 3, 3, "");
    else if (g == RANDOM)
        fixture_random_graph(f, 7, 7, 20);
    else if (g == HUB)
        fixture_graph(f, 5, 5, "0>2 1>2 2>2 3>2 4>2 1>2 0>2 2>4");
    else
        fixture_random_graph(f, 8, 5, 16);
    s->two = dim_const(f->dims, 2);
    s->three = fixture_dim(f, "k", 3);
    s->rel = fixture_dim(f, "R", 4);
    f->call.training = true;
    f->call.seed = 11;
}

/* An input with random values, that is differentiated by. */
static ir_val input(setting *s, ir_dom dom, uint32_t rank, dim a, dim b)
{
    ir_val v = fixture_input(&s->f, "x", dom, T_F64, shape_of(&s->f, rank, a, b));
    fixture_fill(&s->f, v, size_of(&s->f, v));
    s->in[s->n++] = v;
    return v;
}

static ir_val index_of(setting *s, ir_dom dom, bool none)
{
    ir_val v = fixture_index(&s->f, "i", dom, s->rel, none);
    const int64_t n = rows_of(&s->f, dom);
    double *at = NEW_N(s->f.mem, double, n + 1);
    for (int64_t k = 0; k < n; k++)
        at[k] = (double)(k * 7 % 5) - (none || k * 7 % 5 ? 1 : 0);
    fixture_give(&s->f, v, at, n);
    return v;
}

static void finish(setting *s, const char *what, ir_val y)
{
    ir_layer *l = s->f.l;
    for (uint32_t i = 1; i < l->n_nodes; i++)
        tried[l->nodes[i].op] = true;
    check_gradient(&s->f, what, y, s->in, s->n);
    fixture_close(&s->f);
}

static ir_val positive(ir_layer *l, ir_val x) { return ir_add(l, ir_mul(l, x, x), ir_like(l, x, 0.3)); }

/* Operands alike, or one repeated: to the domain, along an axis, both. */
static void element_wise(ir_op op)
{
    for (int how = 0; how < 5; how++) {
        setting s;
        open(&s, RANDOM);
        ir_layer *l = s.f.l;
        ir_dom edge = ir_dom_edge(l), unit = ir_dom_unit();
        dim one = dim_const(s.f.dims, 1);
        ir_val a = how == 3 ? input(&s, unit, 2, s.two, one) : how == 4 ? input(&s, unit, 0, one, one) : input(&s, edge, 2, s.two, s.three);
        ir_val b = how == 1 ? input(&s, unit, 1, s.three, one) : how == 2 ? input(&s, edge, 2, s.two, one)
                                                                           : input(&s, edge, 2, s.two, s.three);
        if (op == OP_POW || op == OP_LOG || op == OP_LOG1P || op == OP_SQRT || op == OP_SQRT0 || op == OP_RSQRT)
            a = positive(l, a);
        if (op == OP_DIV)
            b = ir_sub(l, positive(l, b), ir_like(l, b, 2.5));          /* of unknown sign */
        ir_val y;
        if (op == OP_CAST)
            y = ir_cast(l, a, T_F32);
        else if (op == OP_DROPOUT)
            y = ir_dropout(l, ir_mul(l, a, b), ir_const(l, T_F64, 0.4), ir_step_key(l, 0), 3);
        else if (op == OP_WHERE)
            y = ir_where(l, ir_lt(l, ir_mul(l, a, b), ir_like(l, a, 0)), a, b);
        else if (ir_ops[op].nargs == 2)
            y = ir_ew2(l, op, a, b);
        else
            y = ir_ew1(l, op, a);
        finish(&s, ir_ops[op].text, op == OP_CAST ? ir_cast(l, y, T_F64) : y);
    }
}

static bool is_element_wise(int op) { return ir_ops[op].cls == CLS_EW && strcmp(ir_ops[op].derivative, "NONE") != 0; }

static void shapes(void)
{
    static const char *const names[] = {"rsum", "rsum 1", "rmax", "rmin", "reshape", "transpose", "broadcast", "slice", "slices", "concat", "stop"};
    for (uint32_t k = 0; k < sizeof names / sizeof *names; k++) {
        setting s;
        open(&s, RANDOM);
        ir_layer *l = s.f.l;
        ir_dom edge = ir_dom_edge(l);
        dim_table *t = s.f.dims;
        dim one = dim_const(t, 1);
        ir_val a = input(&s, edge, 2, s.two, s.three), b = input(&s, ir_dom_unit(), 2, s.two, s.two), y = a;
        ir_shape swapped = shape_of(&s.f, 2, s.three, s.two), wide = shape_of(&s.f, 3, s.two, s.two, s.three);
        switch (k) {
        case 0: y = ir_reduce(l, OP_RSUM, a, 0); break;
        case 1: y = ir_reduce(l, OP_RSUM, a, 1); break;
        case 2: y = ir_reduce(l, OP_RMAX, a, 1); break;
        case 3: y = ir_reduce(l, OP_RMIN, a, 0); break;
        case 4: y = ir_reshape(l, a, &swapped); break;
        case 5: y = ir_transpose(l, a, (uint8_t[]){1, 0}); break;
        case 6: y = ir_broadcast(l, a, edge, &wide); break;
        case 7: y = ir_slice(l, a, 1, one, one); break;
        case 8:
            y = ir_add(l, ir_mul(l, ir_slice(l, a, 1, one, s.two), ir_slice(l, a, 1, dim_const(t, 0), s.two)),
                       ir_add(l, ir_slice(l, a, 1, one, s.two), ir_slice(l, a, 1, s.two, one)));
            break;
        case 9: y = ir_concat(l, (ir_val[]){a, b, a}, 3, 1); break;
        default: y = ir_mul(l, a, ir_sub(l, a, ir_ew1(l, OP_EXP, ir_ew1(l, OP_STOP, ir_const(l, T_F64, 2))))); break;
        }
        finish(&s, names[k], ir_mul(l, y, y));
    }
}

static void contractions(void)
{
    static const char *const specs[] = {"ab,cb->ac", "ab,bc->ac", "ab,cb->", "ab,cb->b", "ab,cb->ca", "ab,cb->a", "ab,ab->b", "ab,ab->a"};
    for (uint32_t k = 0; k < sizeof specs / sizeof *specs; k++) {
        for (int how = 0; how < 3; how++) {
            setting s;
            open(&s, how == 2 ? NO_EDGES : RANDOM);
            ir_layer *l = s.f.l;
            ir_dom edge = ir_dom_edge(l);
            const bool turned = k == 1;
            ir_val a = input(&s, how == 1 ? ir_dom_unit() : edge, 2, s.two, s.three);
            ir_val b = input(&s, how ? edge : ir_dom_unit(), 2, turned ? s.three : s.two, turned ? s.two : s.three);
            finish(&s, specs[k], ir_einsum_(l, a, b, specs[k]));
        }
    }
}

/* Cotangents that are one for all: of a sum over all axes and members. */
static void sums_of_products(void)
{
    for (int how = 0; how < 2; how++) {
        setting s;
        open(&s, RANDOM);
        ir_layer *l = s.f.l;
        ir_val x = input(&s, ir_dom_src(l), 1, s.three, s.three), w = input(&s, ir_dom_unit(), 2, s.three, s.two);
        ir_val z = ir_matmul(l, ir_gather(l, x, ir_map_src(l)), w);
        ir_val sum = ir_reduce(l, OP_RSUM, how ? ir_ew1(l, OP_TANH, z) : z, 0);
        finish(&s, "sum of a product", ir_agg(l, OP_AGG_SUM, sum, ir_map_unit(l, ir_dom_edge(l))));
    }
}

static void lookups(graph_kind g)
{
    for (int k = 0; k < 9; k++) {
        setting s;
        open(&s, g);
        ir_layer *l = s.f.l;
        ir_dom edge = ir_dom_edge(l);
        ir_val i = index_of(&s, edge, k & 1), src = ir_map_src(l), y;
        if (k < 2) {
            y = ir_lookup(l, input(&s, ir_dom_unit(), 2, s.rel, s.three), i);
        } else if (k < 4) {
            y = ir_lookup(l, input(&s, edge, 2, s.rel, s.three), i);
        } else if (k == 4) {
            y = ir_unlookup(l, input(&s, edge, 1, s.three, s.three), i);
        } else if (k == 5) {
            y = ir_gather(l, ir_rows(l, input(&s, ir_dom_unit(), 2, s.rel, s.three)), ir_map_index(l, i));
        } else if (k == 6) {
            y = ir_unrows(l, ir_agg(l, OP_AGG_SUM, input(&s, edge, 1, s.three, s.three), ir_map_index(l, i)));
        } else {
            ir_val pairs = ir_map_pair(l, i, src), a = input(&s, edge, 1, s.three, s.three);
            ir_val sums = ir_agg(l, k == 7 ? OP_AGG_SUM : OP_AGG_MAX, a, pairs);
            y = ir_spread(l, ir_mul(l, sums, sums), pairs);
            y = ir_agg(l, OP_AGG_SUM, ir_unspread(l, ir_mul(l, y, input(&s, ir_dom_src(l), 2, s.rel, s.three)), pairs), ir_map_first(l, pairs));
        }
        finish(&s, "by index", ir_mul(l, y, y));
    }
}

static void along_maps(graph_kind g)
{
    static const ir_op ops[] = {OP_AGG_SUM, OP_AGG_MAX, OP_AGG_MIN, OP_AGG_PROD, OP_AGG_VAR};
    for (int m = 0; m < 5; m++) {
        for (uint32_t k = 0; k < sizeof ops / sizeof *ops + 5; k++) {
            setting s;
            open(&s, g);
            ir_layer *l = s.f.l;
            ir_dom edge = ir_dom_edge(l);
            ir_val i = index_of(&s, edge, true);
            ir_val to = m == 0   ? ir_map_src(l)
                         : m == 1 ? ir_map_dst(l)
                         : m == 2 ? ir_map_unit(l, edge)
                         : m == 3 ? ir_map_index(l, i)
                                  : ir_map_pair(l, i, ir_map_dst(l));
            ir_val a = input(&s, edge, 2, s.two, s.three), y;
            const uint32_t n = sizeof ops / sizeof *ops;
            if (k < n) {
                y = ir_agg(l, ops[k], a, to);
            } else if (k == n) {
                y = ir_softsum(l, input(&s, edge, 1, s.two, s.two), a, to);
            } else if (k == n + 1) {
                y = ir_softsum(l, input(&s, edge, 2, s.two, s.three), a, to);
            } else if (k == n + 2) {
                y = ir_softmax(l, a, to);
            } else if (k == n + 3) {              /* a share, as the passes write it */
                ir_val top = ir_gather(l, ir_ew1(l, OP_STOP, ir_agg(l, OP_AGG_MAX, a, to)), to);
                ir_val sum = ir_gather(l, ir_agg(l, OP_AGG_EXPSUM, a, to), to);
                y = ir_div(l, ir_exp(l, ir_sub(l, a, top)), sum);
                if (!ir_map_total(l, to))
                    y = ir_where(l, ir_reshape(l, ir_ew1(l, OP_HAS, i), &(ir_shape){2, {dim_const(s.f.dims, 1), dim_const(s.f.dims, 1)}}), y, ir_like(l, y, 0));
            } else {
                y = ir_gather(l, ir_agg(l, OP_AGG_SUM, a, to), to);
            }
            y = ir_mul(l, y, ir_add(l, y, ir_like(l, y, 0.5)));
            if (l->domains[ir_at(l, y)->dom.i].kind == DOM_PAIR)
                y = ir_agg(l, OP_AGG_SUM, y, ir_map_first(l, to));
            finish(&s, k < n ? ir_ops[ops[k]].text : "shares", y);
        }
    }
}

/* Values that stand for all members, and nodes of both sides. */
static void sides(void)
{
    setting s;
    open(&s, BLOCK);
    ir_layer *l = s.f.l;
    ir_val x = input(&s, ir_dom_src(l), 1, s.three, s.three);
    ir_val own = ir_gather(l, x, ir_map_prefix(l)), ends = ir_sub(l, ir_gather(l, x, ir_map_src(l)), ir_gather(l, x, ir_map_dst_src(l)));
    finish(&s, "sides", ir_mul(l, own, ir_agg(l, OP_AGG_SUM, ir_mul(l, ends, ends), ir_map_dst(l))));

    open(&s, HUB);
    l = s.f.l;
    ir_val p = input(&s, ir_dom_unit(), 1, s.three, s.three);
    ir_shape three = shape_of(&s.f, 1, s.three);
    ir_val each = ir_broadcast(l, ir_ew1(l, OP_SIN, p), ir_dom_edge(l), &three);
    finish(&s, "one for all", ir_agg(l, OP_AGG_VAR, ir_mul(l, each, ir_gather(l, input(&s, ir_dom_src(l), 0, s.three, s.three), ir_map_src(l))), ir_map_dst(l)));
}

int main(void)
{
    for (int op = 0; op < OP_N; op++)
        if (is_element_wise(op))
            element_wise((ir_op)op);
    shapes();
    contractions();
    sums_of_products();
    sides();
    for (int g = 0; g < N_GRAPHS; g++) {
        lookups((graph_kind)g);
        along_maps((graph_kind)g);
    }
    for (int op = 0; op < OP_N; op++) {
        const char *rule = ir_ops[op].derivative;
        if (!tried[op] && ir_ops[op].cls != CLS_LOOP && strcmp(rule, "NONE") && strcmp(rule, "LEAF")) {
            fprintf(stderr, "%s has a derivative and no case\n", ir_ops[op].text);
            (*check_failures())++;
        }
    }
    return check_done();
}
