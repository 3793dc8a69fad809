/* Plans as text: see plan_print.h.
 *
 *     kernel 0 spmm  rows dst, fiber in
 *       local acc: f32[d] by row, accumulator
 *       rows
 *         walk
 *           init
 *             for i0 < d
 *               acc[i0] = 0
 *           for i1 < d
 *             acc[i1] += x[in_src[member]][i1]
 */
#include "compiler/plan/plan_print.h"

#include "compiler/plan/kx.h"

enum { MOST_DEPTH = 60, MOST_TEXT = 1500 };      /* of an expression: shared parts are printed each time */

static const char *const types[] = {[KT_F64] = "f64", [KT_F32] = "f32", [KT_F16] = "f16", [KT_BF16] = "bf16",
                                    [KT_I64] = "i64", [KT_I32] = "i32", [KT_BOOL] = "bool"};

static const char *const rows_names[] = {
    [ROWS_ONE] = "unit",      [ROWS_SRC] = "src",     [ROWS_DST] = "dst", [ROWS_EDGES] = "edges",
    [ROWS_GRAPHS] = "graphs", [ROWS_PAIRS] = "pairs", [ROWS_DIM] = "dim"
};

static const char *const fiber_names[] = {
    [FIBER_NONE] = "none", [FIBER_IN] = "in", [FIBER_OUT] = "out", [FIBER_GRAPH_DST] = "nodes of graph",
    [FIBER_GRAPH_EDGE] = "edges of graph", [FIBER_ALL] = "all", [FIBER_PAIR] = "members of pair",
    [FIBER_PAIR_BASE] = "pairs of row", [FIBER_PAIR_INDEX] = "pairs of index",
    [FIBER_INDEX] = "members of index",
};

static const char *const graph_names[GRAPH_N_ARRAYS] = {
    [GRAPH_IN_SRC] = "in_src",       [GRAPH_IN_DST] = "in_dst",       [GRAPH_IN_EID] = "in_edge",
    [GRAPH_OUT_DST] = "out_dst",     [GRAPH_OUT_SRC] = "out_src",     [GRAPH_OUT_POS] = "out_position",
    [GRAPH_OUT_EID] = "out_edge",    [GRAPH_IN_DEGREE] = "in_degree", [GRAPH_OUT_DEGREE] = "out_degree",
    [GRAPH_DST_GRAPH] = "dst_graph", [GRAPH_SRC_GRAPH] = "src_graph", [GRAPH_NUM_NODES] = "num_nodes",
    [GRAPH_NUM_EDGES] = "num_edges", [GRAPH_TOTALS] = "totals",       [GRAPH_IN_PTR] = "in_ptr",
    [GRAPH_OUT_PTR] = "out_ptr",     [GRAPH_IN_PLACE] = "in_place",   [GRAPH_OUT_PLACE_IN] = "out_place_in",
    [GRAPH_IN_PLACE_OUT] = "in_place_out",
};

static void print_dim(const kplan *p, kdim d, buf *out)
{
    if (d.is_const)
        buf_printf(out, "%lld", (long long)d.value);
    else if (d.slot < p->n_dims && p->layer->dims)
        dim_print(p->layer->dims, p->dims[d.slot], out);
    else
        buf_printf(out, "dim%u", d.slot);
}

static void print_buffer(const kplan *p, uint32_t i, buf *out)
{
    const kbuffer *b = &p->buffers[i];
    static const char *const kinds[] = { [BUF_INPUT] = "in",
                                         [BUF_OUTPUT] = "out",
                                         [BUF_WORK] = "work",
                                         [BUF_GRAPH] = "graph",
                                         [BUF_PAIR_ROW] = "pair_row",
                                         [BUF_PAIR_IDX] = "pair_index",
                                         [BUF_PAIR_MEMBER] = "pair_member",
                                         [BUF_PAIR_OF] = "pair_of",
                                         [BUF_PAIR_BY_INDEX] = "pair_by_index",
                                         [BUF_EDGE_ROW] = "edge_row",
                                         [BUF_EDGE_ROW_OUT] = "edge_row_out",
                                         [BUF_SLOT] = "slot" };
    if (b->kind == BUF_GRAPH && b->index < GRAPH_N_ARRAYS)
        buf_puts(out, graph_names[b->index]);
    else if (b->name)
        buf_puts(out, b->name);
    else
        buf_printf(out, "%s%u", kinds[b->kind], i);
}

static void print_local(const kkernel *k, uint32_t i, buf *out)
{
    if (k && i < k->n_locals && k->locals[i].name)
        buf_printf(out, "%s.%u", k->locals[i].name, i);
    else
        buf_printf(out, "local.%u", i);
}

/* ---- expressions --------------------------------------------------------------------------------------- */

typedef struct printer { const kplan *p; const kkernel *k; buf *out; int depth; size_t start; } printer;

static void expr(printer *w, kx x, int level);

static void infix(printer *w, const kexpr *e, const char *op, int level, int own)
{
    if (level > own)
        buf_putc(w->out, '(');
    expr(w, e->a, own);
    buf_puts(w->out, op);
    expr(w, e->b, own + 1);
    if (level > own)
        buf_putc(w->out, ')');
}

static void call(printer *w, const char *name, const kexpr *e)
{
    const kx args[] = {e->a, e->b, e->c};
    buf_printf(w->out, "%s(", name);
    for (int i = 0; i < 3; i++)
        if (kx_is(args[i])) {
            if (i)
                buf_puts(w->out, ", ");
            expr(w, args[i], 0);
        }
    buf_putc(w->out, ')');
}

static void operation(printer *w, const kexpr *e, int level)
{
    switch (e->map) {
    case OP_ADD: infix(w, e, " + ", level, 3); return;
    case OP_SUB: infix(w, e, " - ", level, 3); return;
    case OP_MUL: infix(w, e, " * ", level, 4); return;
    case OP_DIV: infix(w, e, " / ", level, 4); return;
    case OP_LT: infix(w, e, " < ", level, 2); return;
    case OP_LE: infix(w, e, " <= ", level, 2); return;
    case OP_EQ: infix(w, e, " == ", level, 2); return;
    case OP_NE: infix(w, e, " != ", level, 2); return;
    case OP_AND: infix(w, e, " and ", level, 1); return;
    case OP_OR: infix(w, e, " or ", level, 0); return;
    case OP_CAST: call(w, types[e->type], e); return;
    default: call(w, ir_ops[e->map].text, e); return;
    }
}

static void expr(printer *w, kx x, int level)
{
    const kexpr *e = &w->p->exprs[x.i];
    if (w->depth == 0)
        w->start = w->out->n;
    if (!kx_is(x) || w->depth >= MOST_DEPTH || w->out->n - w->start > MOST_TEXT) {
        buf_puts(w->out, "…");
        return;
    }
    w->depth++;
    switch ((kx_op)e->op) {
    case KX_INT: buf_printf(w->out, "%lld", (long long)e->value.i); break;
    case KX_DIM: print_dim(w->p, e->dim, w->out); break;
    case KX_VAR: buf_printf(w->out, "i%u", e->var); break;
    case KX_ROW: buf_puts(w->out, "row"); break;
    case KX_MEMBER: buf_puts(w->out, "member"); break;
    case KX_STEP:
        if (e->var < w->p->n_loops)
            buf_printf(w->out, "step%u", e->var);
        else
            buf_printf(w->out, "left%u", e->var - w->p->n_loops);
        break;
    case KX_IADD: infix(w, e, " + ", level, 3); break;
    case KX_ISUB: infix(w, e, " - ", level, 3); break;
    case KX_IMUL: infix(w, e, "*", level, 4); break;
    case KX_IDIV: infix(w, e, " div ", level, 4); break;
    case KX_IMOD: infix(w, e, " mod ", level, 4); break;
    case KX_ILOAD:
        print_buffer(w->p, e->buffer, w->out);
        buf_putc(w->out, '[');
        expr(w, e->a, 0);
        buf_putc(w->out, ']');
        break;
    case KX_BUCKET: call(w, "bucket", e); break;
    case KX_ISEL: case KX_SELECT: call(w, "select", e); break;
    case KX_NUM: buf_double(w->out, e->value.f); break;
    case KX_REALARG: buf_printf(w->out, "real%u", e->var); break;
    case KX_TRAINING: buf_puts(w->out, "training"); break;
    case KX_LOAD:
        print_buffer(w->p, e->buffer, w->out);
        buf_puts(w->out, e->guarded ? "?[" : "[");
        expr(w, e->a, 0);
        buf_puts(w->out, "][");
        expr(w, e->b, 0);
        buf_putc(w->out, ']');
        break;
    case KX_IDX: case KX_LOCAL: case KX_OTHER:
        if (e->op == KX_OTHER)
            buf_puts(w->out, "other ");
        print_local(w->k, e->local, w->out);
        buf_putc(w->out, '[');
        expr(w, e->a, 0);
        buf_putc(w->out, ']');
        break;
    case KX_FROM_INT: call(w, types[e->type], e); break;
    case KX_MAP: operation(w, e, level); break;
    case KX_RANDOM: call(w, "random", e); break;
    }
    w->depth--;
}

void plan_print_expr(const kplan *p, const kkernel *k, kx x, buf *out)
{
    printer w = {.p = p, .k = k, .out = out};
    expr(&w, x, 0);
}

/* ---- statements ---------------------------------------------------------------------------------------- */

static void line(printer *w, int depth) { buf_fill(w->out, ' ', (size_t)depth * 2); }

static void list(printer *w, const char *title, knode *const *body, uint32_t n, int depth);

static void loops(printer *w, const char *word, const knode *n)
{
    buf_puts(w->out, word);
    for (uint32_t i = 0; i < n->n_loops; i++) {
        buf_printf(w->out, "%s i%u < ", i ? "," : "", n->loops[i].var);
        print_dim(w->p, n->loops[i].extent, w->out);
        if (n->loops[i].reduce)
            buf_puts(w->out, " (reduced)");
    }
}

static void statement(printer *w, const knode *n)
{
    if (n->dest.kind == REF_LOCAL) {
        print_local(w->k, n->dest.id, w->out);
    } else {
        print_buffer(w->p, n->dest.id, w->out);
        buf_putc(w->out, '[');
        expr(w, n->dest.row, 0);
        buf_putc(w->out, ']');
    }
    buf_putc(w->out, '[');
    expr(w, n->dest.offset, 0);
    buf_puts(w->out, "] ");
    if (n->kind == KN_ACCUM)
        buf_puts(w->out, n->op == OP_ADD ? "+" : n->op == OP_MUL ? "*" : ir_ops[n->op].text);
    buf_puts(w->out, "= ");
    expr(w, n->value, 0);
    buf_putc(w->out, '\n');
}

static void gemm(printer *w, const kgemm *g)
{
    buf_puts(w->out, "gemm ");
    print_local(w->k, g->c, w->out);
    buf_puts(w->out, g->sum ? " += sum over members of " : g->accumulate ? " += " : " = ");
    if (g->a_is_buffer)
        print_buffer(w->p, g->a, w->out);
    else
        print_local(w->k, g->a, w->out);
    buf_puts(w->out, " x ");
    if (g->b_is_local)
        print_local(w->k, g->b, w->out);
    else
        print_buffer(w->p, g->b, w->out);
    const struct {
        const char *name;
        kdim d;
    } sizes[] = { { "m", g->m }, { "n", g->n }, { "k", g->k }, { "batch", g->batch } };
    buf_puts(w->out, "  (");
    for (int i = 0; i < 4; i++) {
        buf_printf(w->out, "%s%s ", i ? ", " : "", sizes[i].name);
        print_dim(w->p, sizes[i].d, w->out);
    }
    if (!kdim_is(g->b_n, 1) && !g->sum)
        buf_puts(w->out, kdim_is(g->b_k, 1) ? ", transposed" : ", strided");
    if (kx_is(g->group)) {
        buf_puts(w->out, ", group ");
        expr(w, g->group, 0);
    }
    buf_puts(w->out, ")\n");
}

static void node(printer *w, const knode *n, int depth)
{
    line(w, depth);
    switch (n->kind) {
    case KN_SEQ: buf_puts(w->out, "sequence\n"); break;
    case KN_ROWS: buf_puts(w->out, "rows\n"); break;
    case KN_WALK: buf_puts(w->out, "walk\n"); break;
    case KN_BLOCKS: buf_printf(w->out, "blocks of %u members\n", n->block); break;
    case KN_MEMBERS: buf_puts(w->out, "members\n"); break;
    case KN_FOR:
        loops(w, "for", n);
        buf_putc(w->out, '\n');
        break;
    case KN_IFANY:
        loops(w, "if any", n);
        buf_puts(w->out, n->n_loops ? ": " : " ");
        expr(w, n->value, 0);
        buf_putc(w->out, '\n');
        break;
    case KN_STORE: case KN_ACCUM: statement(w, n); return;
    case KN_GEMM: gemm(w, n->gemm); return;
    }
    if (n->n_init)
        list(w, "init", n->init, n->n_init, depth + 1);
    if (n->n_combine)
        list(w, "combine", n->combine, n->n_combine, depth + 1);
    for (uint32_t i = 0; i < n->n_prefetch; i++) {
        line(w, depth + 1);
        buf_puts(w->out, "prefetch ");
        print_buffer(w->p, n->prefetch[i].buffer, w->out);
        buf_putc(w->out, '[');
        expr(w, n->prefetch[i].row_at, 0);
        buf_puts(w->out, "]\n");
    }
    list(w, NULL, n->body, n->n_body, depth + 1);
}

static void list(printer *w, const char *title, knode *const *body, uint32_t n, int depth)
{
    if (title) {
        line(w, depth++);
        buf_printf(w->out, "%s\n", title);
    }
    for (uint32_t i = 0; i < n; i++)
        node(w, body[i], depth);
}

/* ---- the plan ------------------------------------------------------------------------------------------ */

static void print_rows(const kplan *p, mp_rows r, buf *out)
{
    if (r.kind == ROWS_DIM && r.which < p->n_dims)
        print_dim(p, (kdim){false, 0, r.which}, out);
    else
        buf_puts(out, rows_names[r.kind]);
    if (r.kind == ROWS_PAIRS)
        buf_printf(out, "%u", r.which);
}

void plan_print_kernel(const kplan *p, uint32_t kernel, buf *out)
{
    const kkernel *k = &p->kernels[kernel];
    printer w = {.p = p, .k = k, .out = out};
    buf_printf(out, "kernel %u %s  rows ", kernel, k->name ? k->name : "?");
    print_rows(p, k->rows, out);
    if (k->fiber.kind != FIBER_NONE)
        buf_printf(out, ", fiber %s", fiber_names[k->fiber.kind]);
    if (k->tile > 1)
        buf_printf(out, ", tiles of %u", k->tile);
    if (k->why)
        buf_printf(out, "  (%s)", k->why);
    buf_putc(out, '\n');
    for (uint32_t i = 1; i < k->n_locals; i++) {
        const klocal *l = &k->locals[i];
        buf_puts(out, "  local ");
        print_local(k, i, out);
        buf_printf(out, ": %s[", types[l->type]);
        print_dim(p, l->elems, out);
        buf_printf(out, "] by %s%s%s\n", l->scope == SCOPE_ROW ? "row" : "member", l->tiled ? ", tiled" : "",
                   l->accumulator ? ", accumulator" : "");
    }
    list(&w, NULL, k->body->body, k->body->n_body, 1);
}

static void print_step(const kplan *p, const kstep *s, int *depth, buf *out)
{
    if (s->kind == STEP_END && *depth > 1)
        --*depth;
    buf_fill(out, ' ', (size_t)*depth * 2);
    switch (s->kind) {
    case STEP_LAUNCH:
        buf_printf(out, "launch %s", p->kernels[s->a].name ? p->kernels[s->a].name : "?");
        break;
    case STEP_PAIRS: buf_printf(out, "pairs %u", s->a); break;
    case STEP_LOOP:
        buf_printf(out, "loop %s, at most ", p->loops[s->a].name ? p->loops[s->a].name : "?");
        print_dim(p, p->loops[s->a].limit, out);
        buf_puts(out, p->loops[s->a].until ? " steps, until it moves no more" : " steps");
        if (p->loops[s->a].again)
            buf_puts(out, p->loops[s->a].again == AGAIN_ON ? ", again" : ", again, back");
        if (p->loops[s->a].count_buffer) {
            buf_puts(out, ", as many as ");
            print_buffer(p, p->loops[s->a].count_buffer - 1, out);
        }
        ++*depth;
        break;
    case STEP_END: buf_puts(out, "end"); break;
    case STEP_SWAP:
        buf_puts(out, "swap ");
        print_buffer(p, s->a, out);
        buf_puts(out, ", ");
        print_buffer(p, s->b, out);
        break;
    case STEP_REPLAY: case STEP_REPLAYED:
        buf_puts(out, s->kind == STEP_REPLAY ? "states of " : "states from ");
        buf_puts(out, p->loops[s->a].name ? p->loops[s->a].name : "?");
        break;
    case STEP_SLOT: case STEP_SLOT_BACK:
        buf_puts(out, "slot ");
        print_buffer(p, s->a, out);
        buf_puts(out, " of ");
        print_buffer(p, p->buffers[s->a].index, out);
        buf_puts(out, s->kind == STEP_SLOT ? "" : ", back");
        break;
    }
    buf_puts(out, s->at_prepare ? "  (at prepare)\n" : "\n");
}

void plan_print(const kplan *p, buf *out)
{
    static const char *const kinds[] = {
        [BUF_INPUT] = "input",       [BUF_OUTPUT] = "output",     [BUF_WORK] = "work",
        [BUF_GRAPH] = "graph",       [BUF_PAIR_ROW] = "pairs",    [BUF_PAIR_IDX] = "pairs",
        [BUF_PAIR_MEMBER] = "pairs", [BUF_PAIR_OF] = "pairs",     [BUF_PAIR_BY_INDEX] = "pairs",
        [BUF_EDGE_ROW] = "graph",    [BUF_EDGE_ROW_OUT] = "graph", [BUF_SLOT] = "entry"
    };
    buf_printf(out, "plan %s\n", p->layer->name ? p->layer->name : "?");
    for (uint32_t i = 0; i < p->n_buffers; i++) {
        const kbuffer *b = &p->buffers[i];
        buf_printf(out, "buffer %u ", i);
        print_buffer(p, i, out);
        buf_printf(out, ": %s ", types[b->type]);
        print_rows(p, b->rows, out);
        buf_puts(out, " x ");
        print_dim(p, b->elems, out);
        buf_printf(out, "  %s", kinds[b->kind]);
        if (b->walk_order)
            buf_puts(out, ", walk order");
        if (b->sequence) {
            buf_puts(out, ", a sequence of ");
            print_dim(p, b->slots, out);
            buf_puts(out, b->entries == ENTRIES_APART ? ", every few kept" : b->entries == ENTRIES_BETWEEN ? ", those between" : "");
        }
        if (b->kind == BUF_WORK)
            buf_printf(out, ", steps %u to %u", b->first, b->last);
        buf_putc(out, '\n');
    }
    for (uint32_t i = 0; i < p->n_pairs; i++) {
        buf_printf(out, "pairs %u: fiber %s, by ", i, fiber_names[p->pairs[i].base.kind]);
        print_buffer(p, p->pairs[i].index_buffer, out);
        buf_puts(out, " of ");
        print_dim(p, p->pairs[i].range, out);
        buf_putc(out, '\n');
    }
    for (uint32_t i = 0; i < p->n_kernels; i++)
        plan_print_kernel(p, i, out);
    buf_puts(out, "steps\n");
    int depth = 1;
    for (uint32_t i = 0; i < p->n_steps; i++)
        print_step(p, &p->steps[i], &depth, out);
}
