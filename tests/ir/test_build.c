/* Constructors: what they fold and what they leave alone, sharing, regions, bugs, rebuilding. */
#include "tests/ir/fixture.h"

#include <math.h>
#include <stdlib.h>

typedef struct { fixture f; ir_layer *l; ir_val x, y, e, w; dim d; } bench;

static void open(bench *b)
{
    fixture_open(&b->f);
    b->l = b->f.l;
    b->d = fixture_dim(&b->f, "d", 4);
    b->x = fixture_input(&b->f, "x", ir_dom_src(b->l), T_F32, shape_of(&b->f, 1, b->d));
    b->y = fixture_input(&b->f, "y", ir_dom_src(b->l), T_F32, shape_of(&b->f, 1, b->d));
    b->e = fixture_input(&b->f, "e", ir_dom_edge(b->l), T_F32, shape_of(&b->f, 1, b->d));
    b->w = fixture_input(&b->f, "w", ir_dom_unit(), T_F32, shape_of(&b->f, 2, b->d, b->d));
}

static bool is(const bench *b, ir_val v, ir_op op) { return ir_at(b->l, v)->op == op; }
static ir_val num(bench *b, double a) { return ir_const(b->l, T_F32, a); }

static bool folds_to(bench *b, ir_val v, double want)
{
    double got;
    return ir_is_uniform(b->l, v, &got) && (got == want || (isnan(got) && isnan(want)));
}

static void folding(void)
{
    bench b;
    open(&b);
    ir_layer *l = b.l;
    CHECK(folds_to(&b, ir_add(l, num(&b, 0.1), num(&b, 0.2)), (float)((float)0.1 + (double)(float)0.2)));
    CHECK(folds_to(&b, ir_mul(l, num(&b, 1e30), num(&b, 1e30)), INFINITY));
    CHECK(folds_to(&b, ir_mul(l, num(&b, 0), num(&b, INFINITY)), NAN));
    CHECK(folds_to(&b, ir_where(l, ir_lt(l, num(&b, 1), num(&b, 2)), num(&b, 3), num(&b, 4)), 3));
    CHECK(ir_at(l, ir_cast(l, num(&b, 2049), T_F16))->op == OP_CAST);       /* there are no numbers of a half type */
    CHECK(folds_to(&b, ir_dimval(l, T_F32, dim_const(b.f.dims, 7)), 7));
    CHECK(ir_same(num(&b, NAN), ir_div(l, num(&b, 0), num(&b, 0))));
    CHECK(ir_same(num(&b, 0), num(&b, -0.0)));
    ir_val zeros = ir_zeros_like(l, b.x);
    CHECK(ir_same(ir_add(l, b.x, zeros), b.x));
    CHECK(ir_same(ir_exp(l, zeros), ir_broadcast(l, num(&b, 1), ir_at(l, b.x)->dom, &(ir_shape){1, {b.d}})));
    CHECK(folds_to(&b, ir_agg(l, OP_AGG_SUM, num(&b, 3), ir_map_dst(l)), 0) == false);
    CHECK(ir_same(ir_agg(l, OP_AGG_SUM, num(&b, 1), ir_map_dst(l)), ir_count(l, T_F32, ir_map_dst(l))));
    fixture_close(&b.f);
}

static void identities(void)
{
    bench b;
    open(&b);
    ir_layer *l = b.l;
    ir_val x = b.x, y = b.y;
    CHECK(ir_same(ir_add(l, x, y), ir_add(l, y, x)));
    CHECK(!ir_same(ir_sub(l, x, y), ir_sub(l, y, x)));
    CHECK(ir_same(ir_neg(l, ir_neg(l, x)), x));
    CHECK(ir_same(ir_add(l, x, ir_neg(l, y)), ir_sub(l, x, y)));
    CHECK(ir_same(ir_neg(l, ir_sub(l, x, y)), ir_sub(l, y, x)));
    CHECK(ir_same(ir_mul(l, x, num(&b, 1)), x) && ir_same(ir_mul(l, num(&b, -1), x), ir_neg(l, x)));
    CHECK(ir_same(ir_div(l, x, num(&b, 1)), x));
    CHECK(ir_same(ir_pow(l, x, num(&b, 2)), ir_mul(l, x, x)));
    CHECK(folds_to(&b, ir_pow(l, x, num(&b, 0)), 1));
    CHECK(ir_same(ir_maximum(l, x, x), x) && ir_same(ir_relu(l, ir_relu(l, x)), ir_relu(l, x)));
    CHECK(is(&b, ir_mul(l, x, num(&b, 0)), OP_MUL));            /* NaN and infinity make NaN */
    CHECK(is(&b, ir_sub(l, x, x), OP_SUB));
    CHECK(is(&b, ir_div(l, x, x), OP_DIV));
    CHECK(is(&b, ir_eq(l, x, x), OP_EQ));
    ir_val c = ir_lt(l, x, y);
    CHECK(ir_same(ir_where(l, ir_not(l, c), x, y), ir_where(l, c, y, x)) && ir_same(ir_where(l, c, x, x), x));
    CHECK(ir_same(ir_not(l, ir_eq(l, x, y)), ir_ne(l, x, y)));
    CHECK(is(&b, ir_not(l, c), OP_NOT));                        /* not y <= x: NaN */
    CHECK(ir_same(ir_and(l, c, ir_const(l, T_BOOL, 1)), c));
    CHECK(folds_to(&b, ir_or(l, c, ir_const(l, T_BOOL, 1)), 1));
    CHECK(ir_same(ir_cast(l, ir_cast(l, x, T_F64), T_F32), x));
    CHECK(!ir_same(ir_cast(l, ir_cast(l, x, T_F16), T_F32), x));
    fixture_close(&b.f);
}

static void shapes(void)
{
    bench b;
    open(&b);
    ir_layer *l = b.l;
    dim_table *t = b.f.dims;
    dim one = dim_const(t, 1), half = dim_div(t, b.d, dim_const(t, 2));
    ir_shape col = shape_of(&b.f, 2, b.d, one), pairs = shape_of(&b.f, 2, half, dim_const(t, 2)), flat = shape_of(&b.f, 1, b.d);
    ir_val r = ir_reshape(l, b.x, &pairs);
    CHECK(is(&b, r, OP_RESHAPE) && ir_same(ir_reshape(l, r, &flat), b.x));
    CHECK(ir_same(ir_expand(l, b.x, -1), ir_reshape(l, b.x, &col)) && ir_same(ir_squeeze(l, ir_expand(l, b.x, 0), 0), b.x));
    ir_val wt = ir_transpose(l, b.w, (uint8_t[]){1, 0});
    CHECK(ir_same(ir_transpose(l, wt, (uint8_t[]){1, 0}), b.w) && ir_same(ir_transpose(l, b.w, (uint8_t[]){0, 1}), b.w));
    CHECK(is(&b, ir_transpose(l, ir_expand(l, b.x, 0), (uint8_t[]){1, 0}), OP_RESHAPE));
    CHECK(ir_same(ir_slice(l, b.x, 0, dim_const(t, 0), b.d), b.x));
    ir_val s = ir_slice(l, b.x, 0, one, dim_sub(t, b.d, one)), s2 = ir_slice(l, s, 0, one, one);
    CHECK(ir_same(s2, ir_slice(l, b.x, 0, dim_const(t, 2), one)));
    ir_val cat = ir_concat(l, (ir_val[]){b.x, b.y, s}, 3, 0);
    CHECK(ir_same(ir_slice(l, cat, 0, b.d, b.d), b.y) && ir_same(ir_concat(l, &b.x, 1, 0), b.x));
    CHECK(ir_same(ir_concat(l, (ir_val[]){ir_concat(l, (ir_val[]){b.x, b.y}, 2, 0), s}, 2, 0), cat));
    /* No letter is summed: an element-wise product. */
    CHECK(ir_same(ir_einsum_(l, b.x, b.y, "a,a->a"), ir_mul(l, b.x, b.y)));
    CHECK(ir_same(ir_einsum_(l, b.x, b.y, "a,b->ab"), ir_mul(l, ir_expand(l, b.x, -1), ir_expand(l, b.y, 0))));
    CHECK(is(&b, ir_einsum_(l, b.x, b.y, "a,a->"), OP_EINSUM));
    CHECK(ir_same(ir_matmul(l, b.x, b.w), ir_einsum_(l, b.x, b.w, "i,io->o")));
    /* Repeating is implicit. */
    ir_shape wide = shape_of(&b.f, 2, b.d, b.d);
    ir_val xb = ir_broadcast(l, b.x, ir_at(l, b.x)->dom, &wide);
    CHECK(is(&b, xb, OP_BROADCAST) && ir_same(ir_add(l, xb, b.w), ir_add(l, b.x, b.w)));
    CHECK(is(&b, ir_exp(l, xb), OP_BROADCAST));
    CHECK(ir_same(ir_rows(l, ir_unrows(l, ir_rows(l, b.w))), ir_rows(l, b.w)) && ir_same(ir_unrows(l, ir_rows(l, b.w)), b.w));
    fixture_close(&b.f);
}

static void maps(void)
{
    bench b;
    open(&b);
    ir_layer *l = b.l;
    ir_val src = ir_map_src(l), dst = ir_map_dst(l), pre = ir_map_prefix(l);
    CHECK(ir_same(ir_gather(l, b.w, src), b.w));
    CHECK(ir_same(ir_gather(l, ir_gather(l, b.x, pre), dst), ir_gather(l, b.x, ir_map_dst_src(l))));
    ir_val d = ir_agg(l, OP_AGG_SUM, b.e, dst);
    CHECK(ir_same(ir_gather(l, ir_gather(l, d, ir_map_square(l)), pre), d));
    CHECK(ir_same(ir_agg(l, OP_AGG_SUM, b.x, ir_map_square(l)), ir_gather(l, b.x, pre)));
    ir_val g = ir_agg(l, OP_AGG_SUM, d, ir_map_graph(l, ir_dom_dst(l)));
    ir_val at_edge = ir_gather(l, ir_gather(l, g, ir_map_graph(l, ir_dom_dst(l))), dst);
    CHECK(ir_same(at_edge, ir_gather(l, g, ir_map_graph(l, ir_dom_edge(l)))));
    ir_val all = ir_agg(l, OP_AGG_SUM, g, ir_map_unit(l, ir_dom_graph(l)));
    CHECK(ir_at(l, all)->dom.i == 0 && ir_same(ir_gather(l, all, ir_map_unit(l, ir_dom_edge(l))), all));
    /* An index that may be none sends its member nowhere: a constant becomes 0 there. */
    ir_val sure = fixture_index(&b.f, "sure", ir_dom_edge(l), b.d, false), maybe = fixture_index(&b.f, "maybe", ir_dom_edge(l), b.d, true);
    CHECK(folds_to(&b, ir_gather(l, num(&b, 2), ir_map_index(l, sure)), 2));
    CHECK(is(&b, ir_gather(l, num(&b, 2), ir_map_index(l, maybe)), OP_GATHER));
    ir_val p = ir_map_pair(l, sure, dst), q = ir_map_pair(l, maybe, dst);
    CHECK(ir_same(p, ir_map_pair(l, sure, dst)) && !ir_same(p, q) && ir_map_total(l, p) && !ir_map_total(l, q));
    CHECK(ir_same(ir_gather(l, ir_gather(l, d, ir_map_first(l, p)), p), ir_gather(l, d, dst)));
    CHECK(is(&b, ir_at(l, ir_gather(l, ir_gather(l, d, ir_map_first(l, q)), q))->args[0], OP_GATHER));
    ir_val by_pair = ir_agg(l, OP_AGG_SUM, b.e, p);
    CHECK(ir_same(ir_unspread(l, ir_spread(l, by_pair, p), p), by_pair));
    fixture_close(&b.f);
}

static void sharing(void)
{
    bench b;
    open(&b);
    ir_layer *l = b.l;
    ir_set_where(l, (span){1, 2, 3});
    ir_val v = ir_exp(l, b.x);
    ir_set_where(l, (span){1, 7, 9});
    CHECK(ir_same(v, ir_exp(l, b.x)) && ir_at(l, v)->where.lo == 2 && ir_at(l, ir_exp(l, b.y))->where.lo == 7);
    ir_name(l, v, str_of(b.f.names, "first"));
    ir_name(l, v, str_of(b.f.names, "second"));
    CHECK_TEXT(ir_at(l, v)->name, "first");
    uint32_t n = l->n_nodes;
    ir_val again = ir_add(l, ir_exp(l, b.x), ir_exp(l, b.y));
    CHECK(l->n_nodes == n + 1 && ir_same(again, ir_add(l, ir_exp(l, b.y), v)));
    CHECK(!ir_same(fixture_input(&b.f, "x", ir_dom_src(l), T_F32, shape_of(&b.f, 1, b.d)), b.x));
    fixture_close(&b.f);
}

static ir_val wrong(bench *b, int which)
{
    ir_layer *l = b->l;
    ir_val f64 = ir_const(l, T_F64, 2);
    switch (which) {
    case 0: return ir_add(l, b->x, f64);
    case 1: return ir_add(l, b->x, b->e);
    case 2: return ir_add(l, b->x, ir_iota(l, T_F32, dim_symbol(b->f.dims, str_of(b->f.names, "other"))));
    case 3: return ir_not(l, b->x);
    case 4: return ir_gather(l, b->e, ir_map_src(l));
    case 5: return ir_agg(l, OP_AGG_SUM, b->x, ir_map_src(l));
    case 6: return ir_reduce(l, OP_RSUM, b->x, 1);
    case 7: return ir_einsum_(l, b->x, b->w, "a,bb->a");
    case 8: return ir_transpose(l, b->w, (uint8_t[]){0, 0});
    case 9: return ir_add(l, b->x, (ir_val){0});
    case 10: return ir_neg(l, ir_map_src(l));
    case 11: return ir_lookup(l, b->w, b->x);
    case 12: return ir_ew(l, OP_CAST, &b->x);
    case 13: return ir_spread(l, b->e, ir_map_src(l));
    default: return (ir_val){0};
    }
}

static void bugs(void)
{
    static const char *const says[] = {"add: type", "add: operands in the domains src and edge", "add: shapes", "not: type", "gather: ",
                                       "agg_sum: ", "rsum: no axis", "einsum: a letter twice", "transpose: no permutation",
                                       "add: operand %0 is no value", "neg: operand", "lookup: index", "cast has a constructor",
                                       "spread: "};
    bench b;
    open(&b);
    ir_set_trap(b.l, &b.f.trap);
    for (int k = 0; k < (int)(sizeof says / sizeof *says); k++) {
        volatile bool caught = false;
        if (setjmp(b.f.trap.env) == 0)
            wrong(&b, k);
        else
            caught = true;
        CHECK(caught);
        if (strncmp(b.f.trap.text, says[k], strlen(says[k])) != 0)
            CHECK_TEXT(b.f.trap.text, says[k]);
    }
    CHECK(ir_verify(b.l, b.f.mem) == NULL);
    fixture_close(&b.f);
}

/* A rule of a pass: exp(a) becomes a + 1. */
static ir_val rule(void *ud, ir_copier *c, ir_val old, const ir_val *args)
{
    ++*(int *)ud;
    if (ir_at(c->from, old)->op != OP_EXP)
        return (ir_val){0};
    return ir_add(c->to, args[0], ir_like(c->to, args[0], 1));
}

static void rebuilding(void)
{
    bench b;
    open(&b);
    ir_layer *l = b.l;
    ir_val e = ir_exp(l, ir_neg(l, b.x));
    ir_exp(l, b.y);                             /* dead */
    fixture_output(&b.f, "g", ir_mul(l, e, ir_sub(l, e, ir_like(l, e, 1))));
    int asked = 0;
    ir_layer *to = ir_rebuild(l, b.f.mem, rule, &asked);
    CHECK(ir_verify(to, b.f.mem) == NULL);
    buf text = buf_make(b.f.mem);
    ir_live live = ir_find_live(to, b.f.mem);
    for (uint32_t i = 0; i < live.n; i++)
        buf_printf(&text, "%s ", ir_ops[ir_at(to, live.order[i])->op].text);
    CHECK_TEXT(buf_text(&text), "const input sub sub mul ");
    CHECK(asked == 6 && to->n_inputs == l->n_inputs);
    uint32_t *uses = ir_uses(to, &live, b.f.mem);
    CHECK(uses[to->outputs[0].value.i] == 1 && uses[to->inputs[0].value.i] == 1 && uses[to->inputs[1].value.i] == 0);
    fixture_close(&b.f);
}

/* Long chains do not use the stack. */
static void deep(void)
{
    bench b;
    open(&b);
    ir_val v = b.x;
    for (int i = 0; i < 100000; i++)
        v = ir_ew1(b.l, i % 2 ? OP_SIN : OP_COS, v);
    fixture_output(&b.f, "v", v);
    ir_layer *to = ir_compact(b.l, b.f.mem);
    CHECK(to->n_nodes == b.l->n_nodes);
    fixture_close(&b.f);
}

int main(void)
{
    folding();
    identities();
    shapes();
    maps();
    sharing();
    bugs();
    rebuilding();
    deep();
    return check_done();
}
