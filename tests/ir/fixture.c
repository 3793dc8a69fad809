/* See fixture.h. Memory of graphs and inputs is the fixture's arena's. */
#include "tests/ir/fixture.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void fixture_open(fixture *f)
{
    memset(f, 0, sizeof *f);
    f->mem = arena_new(0);
    f->dims = dim_table_new(f->mem);
    f->names = str_table_new(f->mem);
    f->l = ir_layer_new(f->mem, f->dims, str_of(f->names, "T"));
    f->random = 88172645463325252u;
    f->graph = (interp_graph){.square = true};
    f->call = (interp_call){.graph = &f->graph, .dims = f->dim_values, .n_dims = MAX_DIMS, .reals = f->reals, .inputs = f->inputs};
}

void fixture_close(fixture *f)
{
    interp_free(&f->result);
    arena_free(f->mem);
}

dim fixture_dim(fixture *f, const char *name, int64_t value)
{
    dim d = dim_symbol(f->dims, str_of(f->names, name));
    dim_sym s;
    dim_is_symbol(f->dims, d, &s);
    f->dim_values[s.i] = value;
    return d;
}

ir_shape shape_of(fixture *f, uint32_t rank, ...)
{
    (void)f;
    ir_shape s = {rank, {{0}}};
    va_list ap;
    va_start(ap, rank);
    for (uint32_t k = 0; k < rank; k++)
        s.at[k] = va_arg(ap, dim);
    va_end(ap);
    return s;
}

ir_val fixture_input(fixture *f, const char *name, ir_dom dom, ir_type type, ir_shape shape)
{
    return ir_input_add(f->l, str_of(f->names, name), dom, type, &shape, (dim){0}, false, false);
}

ir_val fixture_index(fixture *f, const char *name, ir_dom dom, dim range, bool none)
{
    return ir_input_add(f->l, str_of(f->names, name), dom, T_INDEX, &(ir_shape){0}, range, none, false);
}

void fixture_graph(fixture *f, int64_t n_src, int64_t n_dst, const char *edges)
{
    int32_t *src = NEW_N(f->mem, int32_t, strlen(edges) + 1), *dst = NEW_N(f->mem, int32_t, strlen(edges) + 1);
    int64_t n = 0;
    for (const char *p = edges; *p;) {
        char *end;
        src[n] = (int32_t)strtol(p, &end, 10);
        dst[n++] = (int32_t)strtol(end + 1, &end, 10);
        for (p = end; *p == ' '; p++)
            ;
    }
    f->graph = (interp_graph){.n_src = n_src, .n_dst = n_dst, .n_edges = n, .src = src, .dst = dst, .square = n_src == n_dst};
}

static uint64_t next_random(fixture *f)
{
    f->random ^= f->random << 13;
    f->random ^= f->random >> 7;
    return f->random ^= f->random << 17;
}

double fixture_uniform(fixture *f) { return (double)(next_random(f) >> 11) * 0x1p-52 - 1; }

void fixture_random_graph(fixture *f, int64_t n_src, int64_t n_dst, int64_t n_edges)
{
    int32_t *src = NEW_N(f->mem, int32_t, n_edges), *dst = NEW_N(f->mem, int32_t, n_edges);
    for (int64_t e = 0; e < n_edges; e++) {
        src[e] = (int32_t)(next_random(f) % (uint64_t)n_src);
        dst[e] = (int32_t)(next_random(f) % (uint64_t)n_dst);
        if (dst[e] == 1)
            dst[e] = 0;                         /* node 1 has no incoming edge */
    }
    if (n_edges > 3) {
        src[1] = src[0];
        dst[1] = dst[0];
        src[2] = dst[2];
    }
    f->graph = (interp_graph){.n_src = n_src, .n_dst = n_dst, .n_edges = n_edges, .src = src, .dst = dst, .square = n_src == n_dst};
}

void fixture_give(fixture *f, ir_val input, const double *values, int64_t n)
{
    f->inputs[ir_at(f->l, input)->u.input] = (interp_data){arena_copy(f->mem, values, (size_t)n * sizeof *values), n};
}

double *fixture_fill(fixture *f, ir_val input, int64_t n)
{
    double *values = NEW_N(f->mem, double, n);
    for (int64_t i = 0; i < n; i++)
        values[i] = fixture_uniform(f);
    fixture_give(f, input, values, n);
    return values;
}

void fixture_output(fixture *f, const char *name, ir_val v)
{
    ir_output_add(f->l, str_of(f->names, name), v, ir_at(f->l, v)->dom, (span){0});
}

bool fixture_run(fixture *f)
{
    const char *broken = ir_verify(f->l, f->mem);
    if (broken) {
        fprintf(stderr, "verify: %s\n", broken);
        (*check_failures())++;
        return false;
    }
    interp_free(&f->result);
    if (!interp_run(f->l, &f->call, &f->result)) {
        fprintf(stderr, "run: %s\n", f->result.why);
        (*check_failures())++;
        return false;
    }
    return true;
}

const double *fixture_out(const fixture *f, uint32_t output) { return f->result.outputs[output].at; }

void check_near(const char *file, int line, const double *got, const double *want, int64_t n, double tol)
{
    for (int64_t i = 0; i < n; i++) {
        bool near = (isnan(got[i]) && isnan(want[i])) || got[i] == want[i] ||
                    fabs(got[i] - want[i]) <= tol * (fabs(want[i]) > 1 ? fabs(want[i]) : 1);
        if (near)
            continue;
        fprintf(stderr, "%s:%d: element %lld is %.17g, not %.17g\n", file, line, (long long)i, got[i], want[i]);
        (*check_failures())++;
        return;
    }
}
