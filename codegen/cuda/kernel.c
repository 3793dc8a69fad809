/* One kernel: its functions, locals, tiles. See kernel.h and cuda_gen.h. */
#include "codegen/cuda/kernel.h"

#include <string.h>

#include "codegen/cuda/cuda_gen.h"

/* ---- statements in order ------------------------------------------------------------------------------- */

static void rows_node(cgen *g, const knode *n)
{
    if (!g->by_block) {                 /* the row is there */
        cg_body(g, n->body, n->n_body);
        return;
    }
    cg_open(g, false, "for (mp_i64 row = tile0 + group; row < tile1; row += %d)", g->groups);
    binding old = cg_bind(g, &g->row, "row", false);
    cg_changed(g);
    cg_body(g, n->body, n->n_body);
    cg_unbind(g, &g->row, old);
    cg_sync(g);
    cg_close(g);
    cg_changed(g);
}

static void one(cgen *g, const knode *n)
{
    switch (n->kind) {
    case KN_SEQ: cg_body(g, n->body, n->n_body); break;
    case KN_ROWS: rows_node(g, n); break;
    case KN_WALK: cg_walk(g, n); break;
    case KN_BLOCKS: cg_blocks(g, n); break;
    case KN_MEMBERS: cg_members(g, n); break;
    case KN_FOR: case KN_STORE: case KN_ACCUM:
        if (!cg_left_to_rows(g, n))
            cg_for(g, n);
        break;
    case KN_IFANY: cg_ifany(g, n); break;
    case KN_GEMM: cg_gemm(g, n->gemm); break;
    }
}

void cg_body(cgen *g, knode *const *body, uint32_t n)
{
    for (uint32_t i = 0; i < n && !g->done; i++)
        one(g, body[i]);
}

/* ---- facts --------------------------------------------------------------------------------------------- */

static void mark_buffers(cgen *g, knode *const *body, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const knode *k = body[i];
        if ((k->kind == KN_STORE || k->kind == KN_ACCUM) && k->dest.kind == REF_BUFFER)
            g->written[k->dest.id] = true;
        mark_buffers(g, k->body, k->n_body);
        mark_buffers(g, k->init, k->n_init);
        mark_buffers(g, k->combine, k->n_combine);
    }
}

static void mark_exprs(cgen *g)
{
    const kplan *p = g->p;
    g->has = NEW_N(g->mem, uint8_t, p->n_exprs);
    for (uint32_t i = 1; i < p->n_exprs; i++) {
        const kexpr *e = &p->exprs[i];
        uint8_t has = g->has[e->a.i] | g->has[e->b.i] | g->has[e->c.i];
        switch ((kx_op)e->op) {
        case KX_VAR: has |= HAS_VAR; break;
        case KX_ILOAD: case KX_IDX: case KX_BUCKET: has |= HAS_INDEX | HAS_WIDE; break;
        case KX_ROW: case KX_STEP: has |= HAS_WIDE; break;
        case KX_MEMBER: has |= HAS_WIDE | HAS_MEMBER; break;
        case KX_ISUB: has |= HAS_SUB; break;
        case KX_INT: has |= e->value.i < 0 ? HAS_SUB : 0; has |= e->value.i > INT32_MAX ? HAS_WIDE : 0; break;
        case KX_DIM: has |= e->dim.is_const && e->dim.value <= INT32_MAX ? 0 : HAS_WIDE; break;
        case KX_IADD: case KX_IMUL: case KX_IDIV: case KX_IMOD: case KX_ISEL: case KX_NUM: case KX_REALARG: case KX_TRAINING:
        case KX_LOAD: case KX_LOCAL: case KX_OTHER: case KX_FROM_INT: case KX_MAP: case KX_SELECT: case KX_RANDOM: break;
        }
        g->has[i] = has;
    }
    for (uint32_t i = 0; i < p->n_buffers; i++)
        g->wide |= p->buffers[i].elems.is_const && p->buffers[i].elems.value > INT32_MAX / 4;
    for (uint32_t i = 1; i < g->k->n_locals; i++)
        g->wide |= g->k->locals[i].elems.is_const && g->k->locals[i].elems.value > INT32_MAX / 4;
}

static bool has_fiber(const kkernel *k) { return k->fiber.kind != FIBER_NONE && k->walk; }

/* ---- functions ----------------------------------------------------------------------------------------- */

/* Registers, and pointers to what is in room. */
static void declare_locals(cgen *g)
{
    bool walk = g->k->walk && g->k->walk->kind == KN_WALK;
    for (uint32_t i = 1; i < g->k->n_locals; i++) {
        const klocal *l = &g->k->locals[i];
        const local_place *at = &g->at[i];
        storage kind = at->kind != IN_ROOM ? at->kind : walk ? at->walk_kind : IN_ROOM;
        const char *type = cg_memory(l->type);
        int64_t slots = kind == IN_LANES ? (int64_t)cg_chunks(g, l->elems.value) * g->vec
                      : kind == IN_HEADS ? cg_chunks(g, g->total) : kind == IN_ALL ? l->elems.value : 0;
        if (slots)
            cg_text_at(g, 0, "%s L%u[%lld];\n", type, i, (long long)slots);
        if (at->kind != IN_ROOM)
            continue;
        if ((!l->tiled || !g->by_block) && g->groups > 1)
            cg_text_at(g, 0, "%s *const r%u = (%s *)(room + (%s)) + group * %s;\n", type, i, type, at->offset, cg_dim(g, l->elems));
        else
            cg_text_at(g, 0, "%s *const r%u = (%s *)(room + (%s));\n", type, i, type, at->offset);
    }
    if (g->has_groups)
        cg_text_at(g, 0, "mp_i64 *const group_of = (mp_i64 *)(room + (%s));\n", g->room_end);
}

static bool needs_room(const cgen *g)
{
    for (uint32_t i = 1; i < g->k->n_locals; i++)
        if (g->at[i].kind == IN_ROOM)
            return true;
    return g->has_groups;
}

/* Loops around the kernel's launch whose number of steps only results tell (`until`, and what follows from one backwards): when one
 * has ended, the kernel has nothing to do. */
static void gates(cgen *g, uint32_t kernel)
{
    uint32_t open[64], n = 0;
    for (uint32_t i = 0; i < g->p->n_steps; i++) {
        const kstep *s = &g->p->steps[i];
        if (s->kind == STEP_LOOP && n < 64)
            open[n++] = s->a;
        else if (s->kind == STEP_END && n)
            n--;
        else if (s->kind == STEP_LAUNCH && s->a == kernel)
            for (uint32_t k = 0; k < n; k++)
                if (g->p->loops[open[k]].until || g->p->loops[open[k]].count_buffer || g->p->loops[open[k]].again)
                    cg_text_at(g, 0, "if (A.step[%u] < 0)\nreturn;\n", open[k]);
    }
}

static bool open_sizes(const cgen *g)
{
    for (uint32_t i = 1; i < g->k->n_locals; i++)
        if (!g->k->locals[i].elems.is_const)
            return true;
    return false;
}

static void open_function(cgen *g, uint32_t kernel, bool piece)
{
    g->piece = piece;
    g->done = g->in_walk = g->in_blocks = false;
    g->reads_room = g->wrote_room = false;
    g->depth = -1;
    g->names = 0;
    g->cache = map_make(g->mem);
    vec_clear(&g->values);
    vec_clear(&g->texts);
    g->point = g->point0 = 0;
    g->part = 0;
    g->vector_var = UINT32_MAX;
    g->chosen = 0;
    g->epoch++;
    g->row = g->member = (binding){0};
    memset(g->var, 0, (g->k->n_vars + 1) * sizeof *g->var);
    cg_push(g, false);
    gates(g, kernel);
    if (g->lanes > 1) {
        cg_text_at(g, 0, "const int lane = threadIdx.x %% %d, group = threadIdx.x / %d;\n", g->lanes, g->lanes);
        cg_text_at(g, 0, "const unsigned mask = mp_mask(%d);\n(void)mask;\n", g->lanes);
    } else {
        cg_text_at(g, 0, "const int group = threadIdx.x;\n");
    }
    if (needs_room(g)) {
        cg_text_at(g, 0, "MP_SHARED(shared)\nchar *const room = L.room ? L.room + blockIdx.x * L.room_bytes : shared;\n(void)room;\n");
        if (open_sizes(g))
            cg_text_at(g, 0, "const mp_i64 *const d = A.dim;\n(void)d;\n");
    }
    declare_locals(g);
}

/* How many rows and pieces there are a call may decide. */
static bool is_counted(const kkernel *k)
{
    switch ((mp_fiber_kind)k->fiber.kind) {
    case FIBER_PAIR: case FIBER_PAIR_BASE: case FIBER_PAIR_INDEX: case FIBER_INDEX: return true;
    case FIBER_ALL: return k->fiber.which >= FIBER_ALL_PAIRS && k->fiber.which < FIBER_ALL_DIM;
    case FIBER_NONE: case FIBER_IN: case FIBER_OUT: case FIBER_GRAPH_DST: case FIBER_GRAPH_EDGE: break;
    }
    return k->rows.kind == ROWS_PAIRS;
}

static void close_function(cgen *g, const char *name, buf *out)
{
    const scope *s = &g->scope[0];
    if (is_counted(g->k))
        buf_printf(out, "MP_KERNEL(%d) %s(const mp_device_args A, const mp_device_launch given)\n{\nconst mp_device_launch L = mp_counted(given);\n",
                   g->threads, name);
    else
        buf_printf(out, "MP_KERNEL(%d) %s(const mp_device_args A, const mp_device_launch L)\n{\n", g->threads, name);
    buf_write(out, s->head.at ? s->head.at : "", s->head.n);
    buf_write(out, s->body.at ? s->body.at : "", s->body.n);
    buf_puts(out, "}\n\n");
    g->depth = -1;
}

static void tile_body(cgen *g)
{
    for (uint32_t i = 0; i < g->k->body->n_body && !g->done; i++) {
        int before = cg_open_part(g);
        cg_body(g, &g->k->body->body[i], 1);
        cg_close_part(g, before);
        cg_text(g, "mp_barrier();\n");
        g->reads_room = g->wrote_room = false;
        cg_changed(g);
    }
}

static void bind_row(cgen *g, const char *text)
{
    cg_text_at(g, g->depth, "const mp_i64 row = %s;\n", text);
    cg_bind(g, &g->row, "row", false);
}

static void rows_function(cgen *g)
{
    if (g->by_block) {
        uint32_t tile = g->tile;
        cg_open(g, false, "for (mp_i64 tile0 = L.lo + blockIdx.x * %uLL; tile0 < L.hi; tile0 += gridDim.x * %uLL)", tile, tile);
        cg_text_at(g, g->depth, "const mp_i64 tile1 = mp_min_i64(tile0 + %u, L.hi);\n", tile);
        cg_changed(g);
        tile_body(g);
    } else {
        cg_open(g, false, "for (mp_i64 at = L.lo + blockIdx.x * %dLL + group; at < L.hi; at += gridDim.x * %dLL)", g->groups,
                g->groups);
        bind_row(g, "L.order ? L.order[at] : at");
        cg_changed(g);
        cg_body(g, g->k->body->body, g->k->body->n_body);
        cg_sync(g);
    }
    cg_close(g);
}

static void piece_function(cgen *g)
{
    const char *members = "const mp_i64 lo = L.piece_at[piece], hi = mp_min_i64(lo + L.piece_members, L.ptr[%s + 1]);\n"
                          "char *const state = L.state + piece * L.state_bytes;\n";
    if (g->by_block) {
        cg_open(g, false, "for (mp_i64 piece = blockIdx.x; piece < L.n_pieces; piece += gridDim.x)");
        cg_text_at(g, g->depth, "const mp_i64 tile0 = L.piece_row[piece], tile1 = tile0 + 1;\n(void)tile1;\n");
        cg_text_at(g, g->depth, members, "tile0");
        cg_changed(g);
        tile_body(g);
    } else {
        cg_open(g, false, "for (mp_i64 piece = blockIdx.x * %dLL + group; piece < L.n_pieces; piece += gridDim.x * %dLL)", g->groups,
                g->groups);
        bind_row(g, "L.piece_row[piece]");
        cg_text_at(g, g->depth, members, "row");
        cg_changed(g);
        cg_body(g, g->k->body->body, g->k->body->n_body);
        cg_sync(g);
    }
    cg_close(g);
}

/* A name for C: letters, digits and underscores. */
static const char *identifier(arena *mem, const char *name, uint32_t number)
{
    char *s = arena_printf(mem, "k%u_%.60s", number, name ? name : "kernel");
    for (char *c = s; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9')))
            *c = '_';
    return s;
}

cuda_kernel cuda_kernel_print(arena *mem, const kplan *p, uint32_t kernel, const kkernel *part, uint32_t n_buffers, uint32_t number,
                              const cuda_options *o, buf *out)
{
    cgen *g = NEW(mem, cgen);
    g->mem = mem;
    g->p = p;
    g->work = (kplan *)(uintptr_t)p;
    g->k = part ? part : &p->kernels[kernel];
    g->n_buffers = n_buffers;
    g->o = o;
    g->written = NEW_N(mem, bool, p->n_buffers + 1);
    g->var = NEW_N(mem, binding, g->k->n_vars + 1);
    mark_buffers(g, g->k->body->body, g->k->body->n_body);
    mark_exprs(g);
    cg_layout(g);
    g->note = NEW_N(mem, note, p->n_exprs);
    const char *name = identifier(mem, g->k->name, number);
    cuda_kernel c = {.rows = arena_printf(mem, "%s_rows", name), .threads = g->threads,
                     .rows_a_block = g->by_block ? (int)g->tile : g->groups,
                     .pieces_a_block = g->by_block ? 1 : g->groups, .any_order = !g->by_block,
                     .room_bytes = g->room_bytes, .state_bytes = g->state_bytes};
    open_function(g, kernel, false);
    rows_function(g);
    close_function(g, c.rows, out);
    if (has_fiber(g->k)) {
        c.piece = arena_printf(mem, "%s_piece", name);
        open_function(g, kernel, true);
        piece_function(g);
        close_function(g, c.piece, out);
    }
    return c;
}
