/* The report of a layer: see explain.h. */
#include "compiler/driver/explain.h"

#include <string.h>

#include "compiler/driver/explain_cost.h"
#include "compiler/plan/kx.h"
#include "compiler/plan/uses.h"
#include "compiler/support/vec.h"

static size_t type_size(ktype t)
{
    switch (t) {
    case KT_F64: case KT_I64: return 8;
    case KT_F32: case KT_I32: return 4;
    case KT_F16: case KT_BF16: return 2;
    case KT_BOOL: return 1;
    }
    return 0;
}

static const char *rows_text(mp_rows r)
{
    switch ((mp_rows_kind)r.kind) {
    case ROWS_ONE: return "once";
    case ROWS_SRC: return "source nodes";
    case ROWS_DST: return "destination nodes";
    case ROWS_EDGES: return "edges";
    case ROWS_GRAPHS: return "graphs";
    case ROWS_PAIRS: return "pairs";
    case ROWS_DIM: return "values of an index";
    }
    return "rows";
}

static const char *fiber_text(mp_fiber f)
{
    switch ((mp_fiber_kind)f.kind) {
    case FIBER_NONE: return NULL;
    case FIBER_IN: return "the incoming edges of each";
    case FIBER_OUT: return "the outgoing edges of each";
    case FIBER_GRAPH_DST: return "the nodes of each";
    case FIBER_GRAPH_EDGE: return "the edges of each";
    case FIBER_ALL:
        return f.which == ROWS_EDGES ? "all edges" : f.which == ROWS_GRAPHS ? "all graphs" : f.which < FIBER_ALL_PAIRS ? "all nodes"
               : f.which < FIBER_ALL_DIM ? "all pairs" : "all values";
    case FIBER_PAIR: return "the members of each";
    case FIBER_PAIR_BASE: return "the pairs of each";
    case FIBER_PAIR_INDEX: return "the pairs of each";
    case FIBER_INDEX: return "the members of each";
    }
    return NULL;
}

/* Rows where they are known; -1. */
static int64_t rows_number(const kplan *p, const explain_graph *g, mp_rows r)
{
    int64_t v;
    switch ((mp_rows_kind)r.kind) {
    case ROWS_ONE: return 1;
    case ROWS_SRC: return g ? g->n_src : -1;
    case ROWS_DST: return g ? g->n_dst : -1;
    case ROWS_EDGES: return g ? g->n_edges : -1;
    case ROWS_GRAPHS: return g ? g->n_graphs : -1;
    case ROWS_DIM: return r.which < p->n_dims && dim_is_const(p->layer->dims, p->dims[r.which], &v) ? v : -1;
    case ROWS_PAIRS: break;
    }
    return -1;
}

static void print_dim(const kplan *p, kdim d, buf *out)
{
    if (d.is_const)
        buf_printf(out, "%lld", (long long)d.value);
    else
        dim_print(p->layer->dims, p->dims[d.slot], out);
}

static void print_count(buf *out, double n)
{
    static const char *const units[] = {"", " k", " M", " G", " T"};
    size_t u = 0;
    while (n >= 10000 && u + 1 < sizeof units / sizeof *units) {
        n /= 1000;
        u++;
    }
    buf_printf(out, n < 100 && u ? "%.1f%s" : "%.0f%s", n, u ? units[u] : " ");
}

/* "edges x 64 x 4 bytes", and how many those are. */
static void print_size(const kplan *p, const kbuffer *b, const explain_graph *g, buf *out)
{
    if (b->rows.kind != ROWS_ONE)
        buf_printf(out, "%s x ", b->rows.kind == ROWS_DIM ? "index" : rows_text(b->rows));
    print_dim(p, b->elems, out);
    buf_printf(out, " x %zu bytes", type_size(b->type));
    int64_t rows = rows_number(p, g, b->rows);
    if (rows >= 0 && b->elems.is_const) {
        buf_puts(out, " = ");
        print_count(out, (double)rows * (double)b->elems.value * (double)type_size(b->type));
        buf_puts(out, "B");
    }
}

/* ---- What a kernel writes and reads ------------------------------------------------------------------------------ */

static uint32_t count_nodes(const kplan *p, const knode *top, knode_kind kind)
{
    uint32_t count = 0;
    VEC(const knode *) todo = {0};
    vec_push(p->mem, &todo, top);
    while (todo.n) {
        const knode *n = vec_pop(&todo);
        count += n->kind == kind;
        for (uint32_t i = 0; i < n->n_body; i++)
            vec_push(p->mem, &todo, n->body[i]);
    }
    return count;
}

static bool by_user(const kbuffer *b)
{
    return b->kind == BUF_INPUT || b->kind == BUF_OUTPUT || b->kind == BUF_WORK;
}

static void print_names(const kplan *p, const char *what, const bool *which, buf *out)
{
    const char *sep = what;
    for (uint32_t i = 0; i < p->n_buffers; i++) {
        if (!which[i] || !by_user(&p->buffers[i]))
            continue;
        buf_puts(out, sep);
        if (p->buffers[i].name)
            buf_puts(out, p->buffers[i].name);
        else
            buf_printf(out, "value %u", i);
        sep = ", ";
    }
    if (sep != what)
        buf_putc(out, '\n');
}

static void print_locals(const kkernel *k, buf *out)
{
    const char *sep = "        computes   ";
    for (uint32_t i = 1; i < k->n_locals; i++) {
        const char *name = k->locals[i].name;
        bool again = !name;
        for (uint32_t j = 1; j < i && !again; j++)
            again = k->locals[j].name && strcmp(k->locals[j].name, name) == 0;
        if (again)
            continue;
        buf_printf(out, "%s%s", sep, name);
        sep = ", ";
    }
    if (sep[0] == ',')
        buf_putc(out, '\n');
}

static explain_cost print_kernel(const kplan *p, uint32_t i, const explain_graph *g, bool at_prepare, buf *out)
{
    const kkernel *k = &p->kernels[i];
    kuses u = kernel_uses(p, i, p->mem);
    const char *fiber = fiber_text(k->fiber);
    buf_printf(out, "    %u  %s: %s%s", i + 1, k->name ? k->name : "kernel", k->rows.kind == ROWS_ONE ? "" : "over the ", rows_text(k->rows));
    if (fiber)
        buf_printf(out, ", walking %s", fiber);
    if (k->tile > 1)
        buf_printf(out, ", in tiles of %u rows", k->tile);
    if (at_prepare)
        buf_puts(out, "; once a graph, when it is prepared");
    buf_putc(out, '\n');
    if (k->why)
        buf_printf(out, "        %s\n", k->why);
    print_locals(k, out);
    uint32_t gemms = count_nodes(p, k->body, KN_GEMM);
    if (gemms)
        buf_printf(out, "        %u dense product%s\n", gemms, gemms > 1 ? "s" : "");
    print_names(p, "        reads      ", u.read, out);
    print_names(p, "        writes     ", u.written, out);
    explain_cost cost = g ? explain_kernel(p, k, g) : (explain_cost){0};
    if (cost.known) {
        buf_puts(out, "        work       ");
        print_count(out, cost.flops);
        buf_puts(out, "flop, ");
        print_count(out, cost.bytes);
        buf_puts(out, "B read and written\n");
    }
    return cost;
}

static void print_total(const compiled_layer *l, const kplan *p, const explain_graph *g, explain_cost all, buf *out)
{
    explain_cost unfused = p == l->plan ? explain_unfused(l->lowered, g) : (explain_cost){0};
    buf_puts(out, "\n  all kernels: ");
    print_count(out, all.flops);
    buf_puts(out, "flop, ");
    print_count(out, all.bytes);
    buf_puts(out, "B");
    if (unfused.known) {
        buf_puts(out, "; the equations one operation at a time: ");
        print_count(out, unfused.flops);
        buf_puts(out, "flop, ");
        print_count(out, unfused.bytes);
        buf_puts(out, "B");
    }
    if (p->n_loops)
        buf_puts(out, "; loops to their limit");
    buf_putc(out, '\n');
}

/* How often a kernel is launched: the limits of the loops around its step. */
static double launches(const kplan *p, uint32_t kernel)
{
    double times = 1, now = 0;
    for (uint32_t i = 0; i < p->n_steps; i++) {
        const kstep *s = &p->steps[i];
        kdim limit = s->kind == STEP_LOOP || s->kind == STEP_END ? p->loops[s->a].limit : (kdim){0};
        double n = limit.is_const ? (double)limit.value : 1;
        if (s->kind == STEP_LOOP)
            times *= n;
        else if (s->kind == STEP_END && n > 0)
            times /= n;
        else if (s->kind == STEP_LAUNCH && s->a == kernel && !s->at_prepare)
            now += times;
    }
    return now;
}

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

static void print_memory(const kplan *p, const explain_graph *g, buf *out)
{
    uint32_t n = 0, edges = 0;
    for (uint32_t i = 0; i < p->n_buffers; i++) {
        const kbuffer *b = &p->buffers[i];
        if (b->kind != BUF_WORK)
            continue;
        if (!n++)
            buf_puts(out, "\n  stored between kernels\n");
        edges += b->rows.kind == ROWS_EDGES;
        buf_printf(out, "    %-12s ", b->name ? b->name : "value");
        print_size(p, b, g, out);
        buf_printf(out, "; alive from step %u to %u\n", b->first + 1, b->last + 1);
    }
    if (!n)
        buf_puts(out, "\n  nothing is stored between kernels\n");
    if (!edges)
        buf_puts(out, "    no array by edge is stored\n");
    else
        buf_printf(out, "    %u array%s by edge\n", edges, edges > 1 ? "s" : "");
}

static void print_interface(const kplan *p, const explain_graph *g, buf *out)
{
    for (uint32_t i = 0; i < p->n_buffers; i++) {
        const kbuffer *b = &p->buffers[i];
        if (b->kind != BUF_INPUT && b->kind != BUF_OUTPUT)
            continue;
        buf_printf(out, "    %-6s %-12s ", b->kind == BUF_INPUT ? "reads" : "writes", b->name ? b->name : "value");
        print_size(p, b, g, out);
        buf_puts(out, b->walk_order ? ", in walk order\n" : "\n");
    }
}

static void print_steps(const kplan *p, buf *out)
{
    uint32_t depth = 0;
    bool loops = p->n_loops || p->n_pairs;
    if (!loops)
        return;
    buf_puts(out, "\n  steps\n");
    for (uint32_t i = 0; i < p->n_steps; i++) {
        const kstep *s = &p->steps[i];
        depth -= s->kind == STEP_END && depth;
        if (s->kind == STEP_END || s->kind == STEP_SWAP || s->kind >= STEP_SLOT)
            continue;
        buf_fill(out, ' ', 4 + 2 * depth);
        switch (s->kind) {
        case STEP_LAUNCH: buf_printf(out, "kernel %u", s->a + 1); break;
        case STEP_PAIRS: buf_puts(out, "find the pairs that occur"); break;
        case STEP_LOOP:
            buf_printf(out, "repeat %s up to ", p->loops[s->a].name ? p->loops[s->a].name : "");
            print_dim(p, p->loops[s->a].limit, out);
            buf_puts(out, p->loops[s->a].until ? " times, until it settles" : " times");
            depth++;
            break;
        case STEP_END: case STEP_SWAP: case STEP_SLOT: case STEP_SLOT_BACK: case STEP_REPLAY: case STEP_REPLAYED: break;
        }
        buf_puts(out, s->at_prepare ? " (once a graph)\n" : "\n");
    }
}

static void print_passes(const compiled_layer *l, buf *out)
{
    buf text = buf_make(NULL);
    passes_report(&l->stats, &text);
    const char *at = buf_text(&text);
    buf_puts(out, "\n  what was done to the equations (counts of rules; costs at typical sizes where dims are open)\n");
    while (*at) {
        size_t n = strcspn(at, "\n");
        buf_puts(out, "    ");
        buf_write(out, at, n);
        buf_putc(out, '\n');
        at += n + (at[n] == '\n');
    }
    buf_free(&text);
}

static void print_program(const compiled_layer *l, const kplan *p, const explain_graph *g, buf *out)
{
    print_interface(p, g, out);
    buf_puts(out, "\n  kernels\n");
    explain_cost all = {.known = g != NULL};
    for (uint32_t i = 0; i < p->n_kernels; i++) {
        bool at_prepare = false;
        for (uint32_t s = 0; s < p->n_steps; s++)
            at_prepare |= p->steps[s].kind == STEP_LAUNCH && p->steps[s].a == i && p->steps[s].at_prepare;
        explain_cost cost = print_kernel(p, i, g, at_prepare, out);
        double times = launches(p, i);
        all = (explain_cost){all.known && cost.known, all.flops + times * cost.flops, all.bytes + times * cost.bytes};
    }
    if (all.known)
        print_total(l, p, g, all, out);
    print_steps(p, out);
    print_memory(p, g, out);
}

/* What the backward has of the training pass, and what it computes again. */
static void print_cut(const train_layers *t, buf *out)
{
    buf_puts(out, "\n  what gradients read of the forward (bytes and times at typical sizes where they are open)\n");
    for (uint32_t i = 0; i < t->n_choices; i++) {
        const train_choice *c = &t->choices[i];
        buf_printf(out, "    %-16s %-11s by %-6s ", c->name ? c->name : "", c->op, c->rows ? c->rows : "call");
        buf_puts(out, c->saved ? "saved, " : c->is_output ? "read from the output, " : "computed again, ");
        if (c->saved) {
            print_count(out, c->bytes);
            buf_puts(out, "B; ");
        }
        buf_printf(out, "%.3g ms to compute again\n", c->ns / 1e6);
    }
    if (!t->n_choices)
        buf_puts(out, "    nothing but inputs and params\n");
}

void explain_layer(const compiled_layer *l, const explain_graph *g, buf *out)
{
    const kplan *p = l->plan;
    buf_printf(out, "layer %s: %u kernel%s\n", l->name, p->n_kernels, p->n_kernels == 1 ? "" : "s");
    if (g)
        buf_printf(out, "  graph: %lld source and %lld destination nodes, %lld edges, %lld graph%s\n", (long long)g->n_src,
                   (long long)g->n_dst, (long long)g->n_edges, (long long)g->n_graphs, g->n_graphs == 1 ? "" : "s");
    print_program(l, p, g, out);
    print_passes(l, out);
    if (!l->training)
        return;
    buf_printf(out, "\nlayer %s, training pass: %u kernel%s\n", l->name, l->train_plan->n_kernels, l->train_plan->n_kernels == 1 ? "" : "s");
    print_program(l, l->train_plan, g, out);
    buf_printf(out, "\nlayer %s, backward: %u kernel%s\n", l->name, l->backward_plan->n_kernels,
               l->backward_plan->n_kernels == 1 ? "" : "s");
    print_program(l, l->backward_plan, g, out);
    print_cut(l->training, out);
}
