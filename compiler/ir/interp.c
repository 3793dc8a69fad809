/* The interpreter's frame: sizes, leaves, element-wise operations, loops, results.
 *
 * Live values are computed in order, region by region: those of a loop's region anew at each step, when
 * the first final of the loop is reached. A value's array is kept until the result is freed. */
#include "compiler/ir/interp_int.h"
#include "compiler/ir/philox.h"
#include "compiler/ir/scalar.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void run_fail(run *x, ir_val v, const char *fmt, ...)
{
    int n = v.i ? snprintf(x->r->why, sizeof x->r->why, "%%%u = %s: ", v.i, ir_ops[node_of(x, v)->op].text) : 0;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(x->r->why + n, sizeof x->r->why - (size_t)n, fmt, ap);
    va_end(ap);
    longjmp(x->failed, 1);
}

void *run_alloc(run *x, int64_t n, size_t size)
{
    void *p = calloc(n > 0 ? (size_t)n : 1, size);
    if (!p)
        run_fail(x, (ir_val){0}, "out of memory");
    return p;
}

/* ---- sizes ---- */

static bool symbol_value(void *ud, dim_sym s, int64_t *value)
{
    const interp_call *call = ud;
    if (s.i >= call->n_dims || call->dims[s.i] == 0)
        return false;
    *value = call->dims[s.i];
    return true;
}

int64_t run_dim(run *x, ir_val v, dim d)
{
    int64_t value;
    dim_why why = dim_eval(x->l->dims, d, symbol_value, (void *)(uintptr_t)x->call, &value);
    if (why != DIM_FINE)
        run_fail(x, v, "the dim %s %s", dim_text(x->l->dims, d, x->scratch), dim_why_text(why));
    return value;
}

extent run_extent(run *x, ir_val v)
{
    const ir_node *n = node_of(x, v);
    extent e = {.rank = n->rank, .n = 1};
    for (uint32_t k = 0; k < n->rank; k++) {
        e.d[k] = run_dim(x, v, n->shape[k]);
        if (e.d[k] < 0 || __builtin_mul_overflow(e.n, e.d[k], &e.n))
            run_fail(x, v, "axis %u is of %lld", k, (long long)e.d[k]);
    }
    return e;
}

int64_t run_rows(run *x, ir_dom d)
{
    const ir_domain *p = &x->l->domains[d.i];
    const interp_graph *g = x->call->graph;
    switch (p->kind) {
    case DOM_UNIT: return 1;
    case DOM_NODES: return p->side == SIDE_SRC ? g->n_src : g->n_dst;
    case DOM_EDGES: return g->n_edges;
    case DOM_GRAPHS: return g->graph_ptr ? g->n_graphs : 1;
    case DOM_INDEX: return run_dim(x, (ir_val){0}, p->range);
    case DOM_PAIR: return x->pairs[d.i].n;
    }
    return 0;
}

double run_keep(const run *x, unsigned type, double value)
{
    bool half = type == T_F16 || type == T_BF16;
    if (x->chance && !x->leaf && ir_is_float(type))
        return chance_keep(x->chance, x->call->exact ? T_F64 : type, value);
    return x->call->round || (half && !x->call->exact) ? ir_round(value, type) : value;
}

bool step_index(int64_t *index, const int64_t *d, uint32_t rank)
{
    for (uint32_t k = rank; k-- > 0;) {
        if (++index[k] < d[k])
            return true;
        index[k] = 0;
    }
    return false;
}

/* ---- leaves ---- */

static void read_input(run *x, ir_val v, double *out, int64_t n)
{
    const ir_node *p = node_of(x, v);
    const interp_data *in = &x->call->inputs[p->u.input];
    const char *name = x->l->inputs[p->u.input].name;
    bool some = dim_ok(p->slots) && in->n >= 0 && in->n < n;        /* the steps that there were */
    if ((in->n != n && !some) || (in->n && !in->at))
        run_fail(x, v, "\"%s\" has %lld elements, not %lld", name, (long long)in->n, (long long)n);
    double range = p->type == T_INDEX ? (double)run_dim(x, v, p->range) : 2;
    for (int64_t i = 0; i < in->n; i++) {
        double a = in->at[i];
        if (ir_is_float(p->type))
            a = run_keep(x, p->type, a);
        else if (a != floor(a) || a >= range || a < (p->none ? -1 : 0))
            run_fail(x, v, "\"%s\": element %lld is %g", name, (long long)i, a);
        out[i] = a;
    }
}

static void run_leaf(run *x, ir_val v, double *out, int64_t n)
{
    const ir_node *p = node_of(x, v);
    const interp_graph *g = x->call->graph;
    if (p->op == OP_CONST)
        out[0] = p->u.value;
    else if (p->op == OP_INPUT)
        read_input(x, v, out, n);
    else if (p->op == OP_REALARG)
        out[0] = run_keep(x, p->type, x->call->reals[p->u.realarg]);
    else if (p->op == OP_DIMVAL)
        out[0] = run_keep(x, p->type, (double)run_dim(x, v, p->range));
    else if (p->op == OP_TRAINING)
        out[0] = x->call->training;
    else if (p->op == OP_COUNT)
        run_count(x, v, out);
    else if (p->op == OP_IOTA)
        for (int64_t i = 0; i < n; i++)
            out[i] = run_keep(x, p->type, (double)i);
    else if (g->degrees)                        /* in_degree */
        for (int64_t i = 0; i < n; i++)
            out[i] = run_keep(x, p->type, (double)g->degrees[i]);
    else
        for (int64_t e = 0; e < g->n_edges; e++)
            out[g->dst[e]] += 1;
}

/* ---- element by element ---- */

/* An operand's place for an index of the result: strides by axis of the result, 0 where it is repeated. */
static void operand_strides(run *x, ir_val v, const extent *e, int64_t *stride)
{
    extent own = run_extent(x, v);
    int64_t step = 1;
    memset(stride, 0, IR_MAX_RANK * sizeof *stride);
    for (uint32_t k = own.rank; k-- > 0;) {
        stride[k + e->rank - own.rank] = own.d[k] == 1 ? 0 : step;
        step *= own.d[k];
    }
}

static double dropout(const run *x, ir_val v, int64_t member, int64_t element, double a)
{
    double p = array_of(x, arg_of(x, v, 1))->at[0], key = array_of(x, arg_of(x, v, 2))->at[0];
    if (!x->call->training)
        return a;
    bool keeps = dropout_keeps(x->call->seed, node_of(x, v)->u.place, (uint64_t)key, (uint64_t)member, (uint64_t)element, p);
    return a * (keeps ? run_keep(x, node_of(x, v)->type, 1 / (1 - p)) : 0);
}

static void run_ew(run *x, ir_val v, const extent *e, double *out, int64_t rows)
{
    const ir_node *n = node_of(x, v);
    int64_t stride[3][IR_MAX_RANK] = {{0}}, range = n->op == OP_BUCKET ? run_dim(x, v, n->range) : 0;
    uint32_t nargs = n->op == OP_DROPOUT ? 1 : n->nargs;
    for (uint32_t k = 0; k < nargs; k++)
        operand_strides(x, n->args[k], e, stride[k]);
    for (int64_t m = 0; e->n && m < rows; m++) {
        int64_t index[IR_MAX_RANK] = {0}, at = 0;
        const double *row[3] = {NULL};
        for (uint32_t k = 0; k < nargs; k++)
            row[k] = row_of(x, n->args[k], m);
        do {
            double a[3] = {0};
            for (uint32_t k = 0; k < nargs; k++) {
                const double *p = row[k];
                for (uint32_t d = 0; d < e->rank; d++)
                    p += index[d] * stride[k][d];
                a[k] = *p;
            }
            double y = n->op == OP_DROPOUT ? dropout(x, v, m, at, a[0])
                       : n->op == OP_BUCKET ? ir_scalar_bucket(a[0], range)
                                            : ir_scalar((ir_op)n->op, a);
            out[m * e->n + at++] = run_keep(x, n->type, y);
        } while (step_index(index, e->d, e->rank));
    }
}

/* ---- loops ---- */

static void run_region(run *x, uint32_t region);

static void set_array(run *x, ir_val v, const double *from, int64_t rows, int64_t n)
{
    interp_array *a = &x->r->values[v.i];
    if (!a->at || a->n != n) {
        free(a->at);
        a->at = NULL;
        a->at = run_alloc(x, n, sizeof *a->at);
    }
    if (from)
        memcpy(a->at, from, (size_t)n * sizeof *from);
    else
        memset(a->at, 0, (size_t)n * sizeof *a->at);
    a->rows = rows;
    a->n = n;
}

/* How many steps a loop takes at most; of one that runs again, how many there were in all. */
static int64_t most_steps(run *x, uint32_t loop)
{
    const ir_loop *p = &x->l->loops[loop];
    while (p->again)
        p = &x->l->loops[loop = p->parent - 1];
    int64_t limit = run_dim(x, (ir_val){0}, p->limit);
    if (!ir_is(p->count))
        return limit;
    double count = array_of(x, p->count)->at[0];
    return count < (double)limit ? count > 0 ? (int64_t)count : 0 : limit;
}

/* The values of a step at the end of their sequences. Sequences grow: how many steps there will be is not known. */
static void record_step(run *x, uint32_t loop)
{
    for (uint32_t i = 0; i < x->live.n; i++) {
        ir_val v = x->live.order[i];
        const ir_node *n = node_of(x, v);
        if (n->op != OP_RECORD || n->u.loop.loop != loop)
            continue;
        const interp_array *from = array_of(x, n->args[0]);
        interp_array *to = &x->r->values[v.i];
        int64_t all = to->n + from->n;
        if (all > INT64_MAX / (int64_t)sizeof *to->at)
            run_fail(x, v, "too large");
        double *grown = realloc(to->at, (size_t)(all > 0 ? all : 1) * sizeof *grown);
        if (!grown)
            run_fail(x, v, "out of memory");
        to->at = grown;
        memcpy(grown + to->n, from->at, (size_t)from->n * sizeof *grown);
        to->n = all;
        to->rows += from->rows;
    }
}

static void forget_records(run *x, uint32_t loop)
{
    for (uint32_t i = 0; i < x->live.n; i++) {
        ir_val v = x->live.order[i];
        const ir_node *n = node_of(x, v);
        if (n->op == OP_RECORD && n->u.loop.loop == loop)
            set_array(x, v, NULL, 0, 0);
    }
}

/* The entry for the step that a loop is in. */
static int64_t entry_of(run *x, uint32_t loop, bool back)
{
    return back ? most_steps(x, loop) - 1 - x->steps[loop] : x->steps[loop];
}

static int64_t kept_entry(const run *x, int64_t entry) { return x->call->apart > 1 ? entry - entry % x->call->apart : entry; }

static void recall(run *x, ir_val v)
{
    const ir_node *n = node_of(x, v);
    const interp_array *s = array_of(x, n->args[0]);
    uint32_t loop = n->u.loop.loop;
    extent e = run_extent(x, v);
    int64_t rows = run_rows(x, n->dom), size = rows * e.n, entry = entry_of(x, loop, n->u.loop.state);
    if (entry >= 0 && node_of(x, n->args[0])->apart)
        entry = kept_entry(x, entry);
    if (entry < 0 || (size && entry >= s->n / size))
        run_fail(x, v, "entry %lld of a sequence of %lld", (long long)entry, (long long)(size ? s->n / size : 0));
    set_array(x, v, s->at + entry * size, rows, size);
}

/* Moves the states on. Returns whether an element moved by tol or more. */
static bool advance(run *x, uint32_t loop, double tol, double *change)
{
    const ir_loop *p = &x->l->loops[loop];
    bool moved = false;
    *change = 0;
    double **next = arena_alloc_array(x->scratch, p->nstates, sizeof *next);
    for (uint32_t k = 0; k < p->nstates; k++) {         /* all are read before one is replaced */
        if (!x->live.state[loop][k])
            continue;
        const interp_array *to = array_of(x, p->states[k].next), *from = array_of(x, p->states[k].state);
        if (to->n != from->n)
            run_fail(x, p->states[k].next, "is of another size than the state");
        next[k] = arena_copy(x->scratch, to->at, (size_t)to->n * sizeof *to->at);
        for (int64_t i = 0; i < to->n; i++) {
            double by = fabs(to->at[i] - from->at[i]);
            moved = moved || !(by < tol);               /* NaN has moved */
            if (!(by <= *change))
                *change = isnan(*change) ? *change : by;
        }
    }
    for (uint32_t k = 0; k < p->nstates; k++) {
        const interp_array *a = array_of(x, p->states[k].state);
        if (next[k])
            set_array(x, p->states[k].state, next[k], a->rows, a->n);
    }
    return moved;
}

static void run_loop(run *x, uint32_t loop)
{
    const ir_loop *p = &x->l->loops[loop];
    int64_t limit = most_steps(x, loop), first = 0, step;
    if (p->again) {
        limit = entry_of(x, p->parent - 1, p->again == AGAIN_BACK);
        first = kept_entry(x, limit);
    }
    double change = 0, tol = ir_is(p->tol) ? array_of(x, p->tol)->at[0] : 0;
    for (uint32_t k = 0; k < p->nstates; k++) {
        const interp_array *init = array_of(x, p->states[k].init);
        if (x->live.state[loop][k])
            set_array(x, p->states[k].state, init->at, init->rows, init->n);
    }
    forget_records(x, loop);
    for (step = first; step < limit; step++) {
        arena_mark mark = arena_get_mark(x->scratch);
        x->steps[loop] = step;
        run_region(x, p->region);
        record_step(x, loop);
        bool moved = advance(x, loop, tol, &change);
        arena_release(x->scratch, mark);
        if (ir_is(p->tol) && !moved) {
            step++;
            break;
        }
    }
    x->r->loops[loop] = (interp_report){step, change};
}

static void run_loop_value(run *x, ir_val v, uint64_t pass)
{
    const ir_node *n = node_of(x, v);
    uint32_t loop = n->u.loop.loop;
    if (n->op == OP_STEP) {
        double step = (double)entry_of(x, loop, n->u.loop.state);
        set_array(x, v, &step, 1, 1);
    } else if (n->op == OP_RECALL) {
        recall(x, v);
    }
    if (!ir_leaves_loop((ir_op)n->op))
        return;                                 /* a state is there already */
    if (x->ran[loop] != pass) {
        x->ran[loop] = pass;
        run_loop(x, loop);
    }
    double steps = (double)x->r->loops[loop].steps;
    if (n->op == OP_STEPS)
        set_array(x, v, &steps, 1, 1);
    if (n->op != OP_FINAL)
        return;                                 /* a record was made by the loop */
    const interp_array *state = array_of(x, x->l->loops[loop].states[n->u.loop.state].state);
    set_array(x, v, state->at, state->rows, state->n);
}

/* ---- values ---- */

static bool adds_or_multiplies(unsigned op)
{
    return op == OP_ADD || op == OP_SUB || op == OP_MUL || op == OP_EINSUM || op == OP_RSUM || op == OP_AGG_SUM || op == OP_AGG_VAR || op == OP_AGG_SOFTSUM;
}

static void run_array(run *x, ir_val v, ir_class cls)
{
    const ir_node *n = node_of(x, v);
    extent e = run_extent(x, v);
    int64_t rows = run_rows(x, n->dom), total;
    int64_t slots = dim_ok(n->slots) ? run_dim(x, v, n->slots) : 1;
    if (__builtin_mul_overflow(rows, e.n, &total) || __builtin_mul_overflow(total, slots, &total) || total > INT64_MAX / (int64_t)sizeof(double))
        run_fail(x, v, "too large");
    set_array(x, v, NULL, rows, total);
    double *out = x->r->values[v.i].at;
    switch (cls) {
    case CLS_LEAF: run_leaf(x, v, out, total); break;
    case CLS_EW: run_ew(x, v, &e, out, rows); break;
    case CLS_REDUCE: run_reduce(x, v, &e, out, rows); break;
    case CLS_CONTRACT: run_einsum(x, v, &e, out, rows); break;
    case CLS_SHAPE: run_shape(x, v, &e, out, rows); break;
    case CLS_GATHER: run_gather(x, v, out, rows); break;
    case CLS_AGG: run_agg(x, v, out, rows); break;
    case CLS_GROUP:
        if (n->op == OP_SOFTMAX)
            run_softmax(x, v, out, rows);
        else
            run_position(x, v, out, rows);
        break;
    case CLS_MAP:
    case CLS_LOOP: break;
    }
    for (int64_t i = 0; x->call->poison && adds_or_multiplies(n->op) && i < total; i++)
        if (isinf(out[i]))
            out[i] = NAN;
}

static void run_value(run *x, ir_val v, uint64_t pass)
{
    const ir_node *n = node_of(x, v);
    ir_class cls = ir_ops[n->op].cls;
    x->leaf = cls == CLS_LEAF;
    if (cls == CLS_LOOP) {
        run_loop_value(x, v, pass);
    } else if (cls == CLS_MAP) {
        int64_t members = run_rows(x, n->dom);
        set_array(x, v, NULL, members, members);
        run_map(x, v, x->r->values[v.i].at, members);
    } else if (x->chance && !x->leaf) {
        for (int second = 0; second < 2; second++) {
            chance_begin(x, v, second);
            run_array(x, v, cls);
            chance_end(x);
        }
    } else {
        run_array(x, v, cls);
    }
}

/* Calls itself through run_loop, as deep as loops nest. */
static void run_region(run *x, uint32_t region)
{
    uint64_t pass = ++x->passes;
    for (uint32_t i = 0; i < x->live.n; i++)
        if (node_of(x, x->live.order[i])->region == region)
            run_value(x, x->live.order[i], pass);
}

/* ---- the call ---- */

static void check_graph(run *x)
{
    const interp_graph *g = x->call->graph;
    if (g->n_src < 0 || g->n_dst < 0 || g->n_edges < 0 || (g->square && g->n_src != g->n_dst) || g->n_dst > INT32_MAX || g->n_src > INT32_MAX)
        run_fail(x, (ir_val){0}, "sizes of the graph");
    for (int64_t e = 0; e < g->n_edges; e++)
        if (g->src[e] < 0 || g->src[e] >= g->n_src || g->dst[e] < 0 || g->dst[e] >= g->n_dst)
            run_fail(x, (ir_val){0}, "edge %lld leaves the graph", (long long)e);
    if (!g->graph_ptr)
        return;
    for (int64_t i = 0; i < g->n_graphs; i++)
        if (g->graph_ptr[i] > g->graph_ptr[i + 1])
            run_fail(x, (ir_val){0}, "offsets of the graphs");
    if (g->n_graphs < 0 || g->graph_ptr[0] != 0 || g->graph_ptr[g->n_graphs] != g->n_dst)
        run_fail(x, (ir_val){0}, "offsets of the graphs");
}

static void run_layer(run *x)
{
    check_graph(x);
    run_region(x, 0);
    for (uint32_t i = 0; i < x->l->n_outputs; i++) {
        const interp_array *a = array_of(x, x->l->outputs[i].value);
        int64_t rows = run_rows(x, x->l->outputs[i].rows);
        bool all = ir_is_sequence(x->l, x->l->outputs[i].value);
        if (rows > a->rows && !all)
            run_fail(x, x->l->outputs[i].value, "has fewer rows than the output \"%s\"", x->l->outputs[i].name);
        x->r->outputs[i] = (interp_array){a->at, rows, all ? a->n : a->rows ? a->n / a->rows * rows : 0};
    }
}

bool interp_run(const ir_layer *l, const interp_call *call, interp_result *r)
{
    memset(r, 0, sizeof *r);
    r->n_values = l->n_nodes;
    r->values = calloc(l->n_nodes, sizeof *r->values);
    r->outputs = calloc(l->n_outputs + 1, sizeof *r->outputs);
    r->loops = calloc(l->n_loops + 1, sizeof *r->loops);
    arena *scratch = arena_new(0);
    jmp_buf no_memory;
    volatile bool ok = false;
    if (!r->values || !r->outputs || !r->loops || !scratch) {
        snprintf(r->why, sizeof r->why, "out of memory");
        arena_free(scratch);
        return false;
    }
    arena_set_oom(scratch, &no_memory);
    pair_list *volatile pairs = NULL;
    chance *volatile by_chance = NULL;
    if (setjmp(no_memory) == 0) {
        run *x = NEW(scratch, run);
        *x = (run){.l = l, .call = call, .r = r, .scratch = scratch};
        x->live = ir_find_live(l, scratch);
        x->pairs = NEW_N(scratch, pair_list, l->n_domains);
        x->steps = NEW_N(scratch, int64_t, l->n_loops);
        x->ran = NEW_N(scratch, uint64_t, l->n_loops);
        pairs = x->pairs;
        chance_open(x);
        by_chance = x->chance;
        if (setjmp(x->failed) == 0) {
            run_layer(x);
            ok = true;
        }
    } else {
        snprintf(r->why, sizeof r->why, "out of memory");
    }
    for (uint32_t i = 0; pairs && i < l->n_domains; i++) {
        free(pairs[i].first);
        free(pairs[i].second);
    }
    chance_close(by_chance);
    arena_free(scratch);
    return ok;
}

void interp_free(interp_result *r)
{
    for (uint32_t i = 0; r->values && i < r->n_values; i++)
        free(r->values[i].at);
    free(r->values);
    free(r->outputs);
    free(r->loops);
    memset(r, 0, sizeof *r);
}
