/* A layer in which every operation of the table occurs once at least; the text form and rebuilding are
 * tested on it. Each value is an output, so that all are computed and compared. */
#include "tests/ir/fixture.h"

typedef struct { fixture *f; ir_layer *l; uint32_t n; } maker;

static ir_val show(maker *m, ir_val v)
{
    fixture_output(m->f, arena_printf(m->f->mem, "o%u", m->n++), v);
    return v;
}

static void element_wise(maker *m, ir_val x, ir_val y)
{
    ir_layer *l = m->l;
    ir_val pos = ir_ew1(l, OP_ABS, y), truth = ir_lt(l, x, y), other = ir_le(l, x, pos);
    for (int k = 0; k < OP_N; k++) {
        ir_op op = (ir_op)k;
        if (ir_ops[k].cls != CLS_EW || op == OP_CAST || op == OP_BUCKET || op == OP_HAS || op == OP_DROPOUT)
            continue;
        if (op == OP_AND || op == OP_OR)
            show(m, ir_ew2(l, op, truth, other));
        else if (op == OP_NOT)
            show(m, ir_not(l, truth));
        else if (op == OP_WHERE)
            show(m, ir_where(l, truth, x, pos));
        else if (op == OP_SQRT || op == OP_SQRT0 || op == OP_RSQRT || op == OP_LOG || op == OP_LOG1P)
            show(m, ir_ew1(l, op, pos));
        else if (op == OP_POW)
            show(m, ir_pow(l, pos, x));
        else if (ir_ops[k].nargs == 2)
            show(m, ir_ew2(l, op, x, y));
        else
            show(m, ir_ew1(l, op, x));
    }
    show(m, ir_cast(l, ir_cast(l, x, T_F16), T_F32));
    show(m, ir_cast(l, x, T_BF16));
    show(m, ir_cast(l, x, T_F64));
}

static void shapes(maker *m, ir_val x, ir_val w, ir_val r, ir_val some, ir_val map_src, dim n, dim h, dim R)
{
    fixture *f = m->f;
    ir_layer *l = m->l;
    ir_shape flat = shape_of(f, 1, dim_mul(f->dims, n, h)), wide = shape_of(f, 3, dim_const(f->dims, 3), n, h);
    show(m, ir_reshape(l, x, &flat));
    show(m, ir_transpose(l, x, (uint8_t[]){1, 0}));
    show(m, ir_broadcast(l, x, ir_at(l, x)->dom, &wide));
    show(m, ir_slice(l, x, -1, dim_const(f->dims, 1), dim_sub(f->dims, h, dim_const(f->dims, 1))));
    show(m, ir_concat(l, (ir_val[]){x, ir_neg(l, x), x}, 3, 0));
    show(m, ir_reduce(l, OP_RSUM, x, 0));
    show(m, ir_reduce(l, OP_RMAX, x, -1));
    show(m, ir_reduce(l, OP_RMIN, x, 0));
    show(m, ir_einsum_(l, x, ir_transpose(l, x, (uint8_t[]){1, 0}), "ab,bc->ac"));
    ir_val picked = show(m, ir_lookup(l, w, some));
    show(m, ir_unlookup(l, picked, some));
    show(m, ir_bucket(l, ir_mul(l, r, ir_like(l, r, 5)), R));
    show(m, ir_not(l, ir_ew1(l, OP_HAS, some)));
    ir_val by = ir_map_index(l, some), pairs = ir_map_pair(l, some, map_src);
    show(m, ir_gather(l, ir_rows(l, w), by));
    show(m, ir_unrows(l, ir_agg(l, OP_AGG_SUM, r, by)));
    ir_val sums = show(m, ir_agg(l, OP_AGG_SUM, r, pairs)), spread = show(m, ir_spread(l, sums, pairs));
    show(m, ir_unspread(l, ir_neg(l, spread), pairs));
    show(m, ir_agg(l, OP_AGG_SUM, sums, ir_map_first(l, pairs)));
    show(m, ir_agg(l, OP_AGG_SUM, sums, ir_map_second(l, pairs)));
}

static void along_maps(maker *m, ir_val x, ir_val e)
{
    ir_layer *l = m->l;
    ir_val to = ir_map_dst(l), dx = ir_gather(l, x, ir_map_prefix(l));
    show(m, ir_gather(l, x, ir_map_src(l)));
    show(m, ir_gather(l, dx, ir_map_src_dst(l)));
    show(m, ir_gather(l, x, ir_map_dst_src(l)));
    show(m, ir_gather(l, ir_neg(l, dx), ir_map_square(l)));
    show(m, ir_agg(l, OP_AGG_SUM, x, ir_map_graph(l, ir_dom_src(l))));
    show(m, ir_agg(l, OP_AGG_SUM, x, ir_map_unit(l, ir_dom_src(l))));
    for (int k = 0; k < OP_N; k++)
        if (ir_ops[k].cls == CLS_AGG && k != OP_AGG_ANY && k != OP_AGG_ALL && k != OP_AGG_SOFTSUM)
            show(m, ir_agg(l, (ir_op)k, e, to));
    ir_val positive = ir_lt(l, ir_like(l, e, 0), e);
    show(m, ir_agg(l, OP_AGG_ANY, positive, to));
    show(m, ir_agg(l, OP_AGG_ALL, positive, to));
    show(m, ir_softsum(l, ir_reduce(l, OP_RSUM, e, -1), e, to));
    show(m, ir_softmax(l, e, to));
    show(m, ir_position(l, to));
    show(m, ir_in_degree(l, T_F32));
    show(m, ir_count(l, T_F32, to));
}

static void leaves_and_loop(maker *m, ir_val x, dim n, dim h)
{
    fixture *f = m->f;
    ir_layer *l = m->l;
    uint32_t a = ir_static_real(l, str_of(f->names, "alpha"));
    l->statics[a].has_default = true;
    l->statics[a].value = f->reals[a] = 0.25;
    ir_val alpha = show(m, ir_realarg(l, T_F32, a));
    show(m, ir_dimval(l, T_F32, dim_add(f->dims, n, h)));
    show(m, ir_iota(l, T_F32, h));
    show(m, ir_training(l));
    uint32_t loop = ir_loop_begin(l, 0, str_of(f->names, "z"), dim_const(f->dims, 4), 2);
    ir_val z = ir_loop_state(l, loop, 0, str_of(f->names, "z"), x);
    ir_val k = ir_loop_state(l, loop, 1, str_of(f->names, "k"), ir_const(l, T_F32, 0));
    ir_val step = ir_cast(l, ir_loop_step(l, loop), T_F32), key = ir_step_key(l, loop + 1);
    ir_loop_next(l, loop, 0, ir_mul(l, ir_dropout(l, z, alpha, key, 7), alpha));
    ir_loop_next(l, loop, 1, ir_add(l, k, step));
    ir_loop_until(l, loop, ir_const(l, T_F32, 0.001));
    ir_loop_end(l, loop);
    show(m, ir_loop_final(l, loop, 0));
    show(m, ir_loop_final(l, loop, 1));

    ir_val record = ir_record(l, loop, z);
    show(m, ir_loop_steps(l, loop));
    uint32_t back = ir_loop_begin(l, 0, str_of(f->names, "back"), dim_const(f->dims, 4), 1);
    ir_val s = ir_loop_state(l, back, 0, NULL, ir_zeros_like(l, x));
    ir_val at = ir_cast(l, ir_loop_step_back(l, back), T_F32);
    ir_val both = ir_add(l, ir_recall(l, back, record, true), ir_recall(l, back, record, false));
    ir_loop_next(l, back, 0, ir_add(l, ir_mul(l, s, alpha), ir_mul(l, both, at)));
    ir_loop_count(l, back, ir_loop_steps(l, loop));
    ir_loop_end(l, back);
    show(m, ir_loop_final(l, back, 0));
}

void build_all_ops(fixture *f)
{
    maker m = {f, f->l, 0};
    ir_layer *l = f->l;
    ir_static_dim(l, str_of(f->names, "n"));
    ir_static_dim(l, str_of(f->names, "h"));
    dim n = fixture_dim(f, "n", 2), h = fixture_dim(f, "h", 3), R = fixture_dim(f, "R", 4);
    l->statics[1].has_default = true;
    l->statics[1].dim_default = dim_mul(f->dims, n, dim_const(f->dims, 4));
    ir_need_add(l, NEED_SQUARE, str_of(f->names, "x"), (span){0});
    ir_val x = fixture_input(f, "x", ir_dom_src(l), T_F32, shape_of(f, 2, n, h));
    ir_val w = fixture_input(f, "w", ir_dom_unit(), T_F32, shape_of(f, 2, R, h));
    ir_val e = fixture_input(f, "e", ir_dom_edge(l), T_F32, shape_of(f, 2, n, h));
    ir_val some = fixture_index(f, "some", ir_dom_edge(l), R, true);
    ir_input_of(l, w)->param = true;
    ir_input_of(l, w)->init = INIT_UNIFORM;
    ir_input_of(l, w)->init_a = -0.5;
    ir_input_of(l, w)->init_b = 1e-5;
    fixture_fill(f, x, f->graph.n_src * 6);
    fixture_fill(f, w, 4 * 3);
    fixture_fill(f, e, f->graph.n_edges * 6);
    double *at = NEW_N(f->mem, double, f->graph.n_edges);
    for (int64_t i = 0; i < f->graph.n_edges; i++)
        at[i] = (double)(i % 5) - 1;
    fixture_give(f, some, at, f->graph.n_edges);
    ir_name(l, x, str_of(f->names, "x"));

    element_wise(&m, x, ir_add(l, x, ir_iota(l, T_F32, h)));
    ir_val r = ir_reduce(l, OP_RSUM, ir_reduce(l, OP_RSUM, e, 0), 0);
    shapes(&m, x, w, r, some, ir_map_src(l), n, h, R);
    along_maps(&m, x, e);
    leaves_and_loop(&m, x, n, h);
}
