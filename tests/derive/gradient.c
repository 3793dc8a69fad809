/* See gradient.h. A function of all inputs together, moved along a direction by a small step both ways, must change by
 * what the gradients say. */
#include "tests/derive/gradient.h"

#include <math.h>
#include <stdio.h>

enum { DIRECTIONS = 3 };

static bool symbol_value(void *ud, dim_sym s, int64_t *value)
{
    const fixture *f = ud;
    *value = f->dim_values[s.i];
    return *value != 0;
}

static int64_t dim_number(const fixture *f, dim d)
{
    int64_t value = 0;
    dim_eval(f->dims, d, symbol_value, (void *)(uintptr_t)f, &value);
    return value;
}

int64_t rows_of(const fixture *f, ir_dom dom)
{
    const ir_domain *d = &f->l->domains[dom.i];
    switch (d->kind) {
    case DOM_UNIT: return 1;
    case DOM_NODES: return d->side == SIDE_SRC ? f->graph.n_src : f->graph.n_dst;
    case DOM_EDGES: return f->graph.n_edges;
    case DOM_GRAPHS: return f->graph.graph_ptr ? f->graph.n_graphs : 1;
    case DOM_INDEX: return dim_number(f, d->range);
    case DOM_PAIR: break;
    }
    return 0;
}

int64_t size_of(const fixture *f, ir_val v)
{
    ir_shape s = ir_shape_of(f->l, v);
    int64_t n = rows_of(f, ir_at(f->l, v)->dom);
    for (uint32_t k = 0; k < s.rank; k++)
        n *= dim_number(f, s.at[k]);
    return n;
}

typedef struct probe {
    fixture *f;
    const char *what;
    ir_val in[2 * MAX_WANTED];
    double *at[2 * MAX_WANTED], *way[2 * MAX_WANTED];
    uint32_t n;
} probe;

static double *values_of(fixture *f, ir_val input) { return (double *)(uintptr_t)f->inputs[ir_at(f->l, input)->u.input].at; }

static void watch(probe *p, ir_val input)
{
    const int64_t n = size_of(p->f, input);
    p->in[p->n] = input;
    p->at[p->n] = arena_copy(p->f->mem, values_of(p->f, input), (size_t)n * sizeof(double));
    p->way[p->n++] = NEW_N(p->f->mem, double, n);
}

static void move(probe *p, double by)
{
    for (uint32_t k = 0; k < p->n; k++) {
        double *v = values_of(p->f, p->in[k]);
        for (int64_t i = size_of(p->f, p->in[k]); i-- > 0;)
            v[i] = p->at[k][i] + by * p->way[k][i];
    }
}

static double total(const fixture *f, uint32_t output)
{
    double sum = 0;
    for (int64_t i = 0; i < f->result.outputs[output].n; i++)
        sum += f->result.outputs[output].at[i];
    return sum;
}

/* Output `sum`, a function of what is watched, has the gradients `first`, `first` + 1, … */
static void compare(probe *p, uint32_t sum, uint32_t first, const char *order)
{
    fixture *f = p->f;
    const double step = 1e-5;
    for (int turn = 0; turn < DIRECTIONS; turn++) {
        double told = 0, size = 0;
        if (!fixture_run(f))
            return;
        for (uint32_t k = 0; k < p->n; k++) {
            for (int64_t i = 0; i < size_of(f, p->in[k]); i++) {
                const double part = fixture_out(f, first + k)[i] * (p->way[k][i] = fixture_uniform(f));
                told += part;
                size += fabs(part);
            }
        }
        move(p, step);
        bool ran = fixture_run(f);
        const double above = ran ? total(f, sum) : 0;
        move(p, -step);
        ran = ran && fixture_run(f);
        const double below = ran ? total(f, sum) : 0;
        move(p, 0);
        const double seen = (above - below) / (2 * step);
        if (ran && fabs(seen - told) <= 2e-6 * (1 + size + fabs(above)))
            continue;
        fprintf(stderr, "%s, %s derivative: %.12g by differences, %.12g by rule\n", p->what, order, seen, told);
        (*check_failures())++;
        return;
    }
}

/* The sum of all elements of a times b, as an output by member. */
static void output_product(fixture *f, ir_val a, ir_val b) { fixture_output(f, "sum", ir_mul(f->l, a, b)); }

static ir_val random_like(fixture *f, ir_val v)
{
    ir_val dy = fixture_input(f, "dy", ir_at(f->l, v)->dom, T_F64, ir_shape_of(f->l, v));
    fixture_fill(f, dy, size_of(f, v));
    return dy;
}

void check_gradient(fixture *f, const char *what, ir_val y, const ir_val *in, uint32_t n)
{
    ir_layer *l = f->l;
    probe p = {.f = f, .what = what};
    ir_val grads[MAX_WANTED], seconds[MAX_WANTED + 1];
    derive_seed seeds[MAX_WANTED];
    ir_set_trap(l, &f->trap);
    if (setjmp(f->trap.env)) {
        fprintf(stderr, "%s: %s\n", what, f->trap.text);
        (*check_failures())++;
        return;
    }
    const uint32_t first = l->n_outputs;
    ir_val dy = random_like(f, y);
    for (uint32_t k = 0; k < n; k++)
        watch(&p, in[k]);
    derive(l, f->mem, &(derive_seed){y, dy}, 1, in, n, grads);
    output_product(f, y, dy);
    for (uint32_t k = 0; k < n; k++) {
        CHECK(ir_kind_same(l, grads[k], in[k]));
        fixture_output(f, "g", grads[k]);
    }
    compare(&p, first, first + 1, "first");

    /* Of the gradients, each with a cotangent of its own: one output, so they are laid side by side by summing each. */
    watch(&p, dy);
    for (uint32_t k = 0; k < n; k++)
        seeds[k] = (derive_seed){grads[k], random_like(f, grads[k])};
    ir_val wanted[MAX_WANTED + 1];
    memcpy(wanted, in, n * sizeof *in);
    wanted[n] = dy;
    derive(l, f->mem, seeds, n, wanted, n + 1, seconds);
    ir_val sum = ir_const(l, T_F64, 0);
    for (uint32_t k = 0; k < n; k++) {
        ir_val part = ir_mul(l, seeds[k].y, seeds[k].dy);
        while (ir_at(l, part)->rank)
            part = ir_reduce(l, OP_RSUM, part, 0);
        if (ir_at(l, part)->dom.i)
            part = ir_agg(l, OP_AGG_SUM, part, ir_map_unit(l, ir_at(l, part)->dom));
        sum = ir_add(l, sum, part);
    }
    const uint32_t second = l->n_outputs;
    fixture_output(f, "sum", sum);
    for (uint32_t k = 0; k <= n; k++)
        fixture_output(f, "h", seconds[k]);
    compare(&p, second, second + 1, "second");
    ir_set_trap(l, NULL);
}
