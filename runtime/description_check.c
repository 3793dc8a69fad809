/*
 * Does a description hold together? Every number that names something is followed once, here, so that the rest of the
 * runtime need not. What depends on values (a buffer's size against its tensor's) is checked by prepare.
 */
#include "runtime/description.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_DEGREE = 64,
    MAX_NESTING = 64,               /* of loops */
    MAX_TILE = 1 << 20,
    MAX_ROW_COST = 1 << 30,
    MAX_COPIES = 1 << 24,
};

typedef struct check {
    const desc_layer *l;
    const desc_program *p;
    uint64_t n_kernels;
    char *why;
} check;

__attribute__((format(printf, 2, 3)))
static bool bad(check *c, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(c->why, DESC_WHY, fmt, args);
    va_end(args);
    return false;
}

/* ---- the layer -------------------------------------------------------------------------------------------------- */

static bool optional(uint32_t id, uint32_t n)
{
    return id == DESC_NONE || id < n;
}

static bool check_poly(check *c, const desc_poly *p)
{
    for (uint32_t i = 0; i < p->n_terms; i++) {
        const desc_term *t = &p->terms[i];
        for (uint32_t j = 0; j < t->n_powers; j++) {
            if (t->powers[j].symbol >= c->l->n_symbols)
                return bad(c, "a dim has an unknown symbol");
            if (t->powers[j].exponent < 1 || t->powers[j].exponent > MAX_DEGREE)
                return bad(c, "a dim has a power out of range");
        }
    }
    return true;
}

static bool check_dims(check *c)
{
    const desc_layer *l = c->l;
    for (uint32_t i = 0; i < l->n_dims; i++) {
        if (!check_poly(c, &l->dims[i].num) || !check_poly(c, &l->dims[i].den))
            return false;
        if (!l->dims[i].den.n_terms)
            return bad(c, "dim %u is divided by zero", i);
    }
    for (uint32_t i = 0; i < l->n_divisions; i++)
        if (l->divisions[i].num >= l->n_dims || l->divisions[i].den >= l->n_dims)
            return bad(c, "division %u is of an unknown dim", i);
    for (uint32_t i = 0; i < l->n_checks; i++)
        if (l->checks[i].dim >= l->n_dims)
            return bad(c, "condition %u is on an unknown dim", i);
    return true;
}

static bool check_statics(check *c)
{
    for (uint32_t i = 0; i < c->l->n_statics; i++) {
        const desc_static *s = &c->l->statics[i];
        if (!optional(s->symbol, c->l->n_symbols) || !optional(s->default_dim, c->l->n_dims))
            return bad(c, "static argument %u names an unknown dim", i);
        if (s->real && (s->symbol != DESC_NONE || s->default_dim != DESC_NONE))
            return bad(c, "static argument %u is a real with a dim", i);
        if (!s->real && s->has_default && !s->fixed && s->default_dim == DESC_NONE)
            return bad(c, "static argument %u lacks its default", i);
    }
    return true;
}

static bool check_value(check *c, const desc_value *v, const char *what, uint32_t i)
{
    if ((unsigned)v->domain > MP_DOMAIN_PARAM || (unsigned)v->type > MP_BOOL || (unsigned)v->init.kind > MP_INIT_KAIMING_NORMAL)
        return bad(c, "%s %u has an unknown domain, type or initialiser", what, i);
    if (v->rows > ROWS_GRAPHS)
        return bad(c, "%s %u has unknown rows", what, i);
    if (v->rank > MP_MAX_RANK)
        return bad(c, "%s %u has rank %u", what, i, v->rank);
    for (uint32_t k = 0; k < v->rank; k++)
        if (v->dims[k] >= c->l->n_dims)
            return bad(c, "%s %u has an unknown dim", what, i);
    if (v->type == MP_INDEX ? v->range >= c->l->n_dims : v->range != DESC_NONE)
        return bad(c, "%s %u has a wrong range", what, i);
    return true;
}

/* ---- programs --------------------------------------------------------------------------------------------------- */

static bool check_size(const check *c, const desc_size *s)
{
    return s->is_const ? s->value >= 0 : s->slot < c->p->n_slots;
}

static bool check_rows(const check *c, const mp_rows *r)
{
    switch (r->kind) {
    case ROWS_ONE: case ROWS_SRC: case ROWS_DST: case ROWS_EDGES: case ROWS_GRAPHS: return true;
    case ROWS_PAIRS: return r->which < c->p->n_pairs;
    case ROWS_DIM: return r->which < c->p->n_slots;
    default: return false;
    }
}

static bool check_fiber(const check *c, const mp_fiber *f)
{
    switch (f->kind) {
    case FIBER_NONE: case FIBER_IN: case FIBER_OUT: case FIBER_GRAPH_DST: case FIBER_GRAPH_EDGE: return true;
    case FIBER_ALL:
        if (f->which >= FIBER_ALL_DIM)
            return f->which - FIBER_ALL_DIM < c->p->n_slots;
        return f->which <= ROWS_GRAPHS || (f->which >= FIBER_ALL_PAIRS && f->which - FIBER_ALL_PAIRS < c->p->n_pairs);
    case FIBER_PAIR: case FIBER_PAIR_BASE: case FIBER_PAIR_INDEX: return f->which < c->p->n_pairs;
    case FIBER_INDEX: return f->which < c->p->n_pairs && c->p->pairs[f->which].base.kind == FIBER_ALL;
    default: return false;
    }
}

static desc_elem elem_of_type(mp_type t)
{
    static const desc_elem of[] = {
        [MP_F32] = DESC_F32, [MP_F64] = DESC_F64, [MP_F16] = DESC_F16, [MP_BF16] = DESC_BF16,
        [MP_INDEX] = DESC_I32, [MP_BOOL] = DESC_BOOL,
    };
    return of[t];
}

static desc_elem elem_of_graph_array(uint32_t which)
{
    static const desc_elem of[GRAPH_N_ARRAYS] = {
        [GRAPH_IN_SRC] = DESC_I32, [GRAPH_IN_DST] = DESC_I32, [GRAPH_IN_EID] = DESC_I64,
        [GRAPH_OUT_DST] = DESC_I32, [GRAPH_OUT_SRC] = DESC_I32, [GRAPH_OUT_POS] = DESC_I64, [GRAPH_OUT_EID] = DESC_I64,
        [GRAPH_IN_DEGREE] = DESC_F64, [GRAPH_OUT_DEGREE] = DESC_F64,
        [GRAPH_DST_GRAPH] = DESC_I32, [GRAPH_SRC_GRAPH] = DESC_I32,
        [GRAPH_NUM_NODES] = DESC_F64, [GRAPH_NUM_EDGES] = DESC_F64, [GRAPH_TOTALS] = DESC_F64,
        [GRAPH_IN_PTR] = DESC_I64, [GRAPH_OUT_PTR] = DESC_I64, [GRAPH_IN_IDENTITY] = DESC_I64,
        [GRAPH_IN_PLACE] = DESC_I32, [GRAPH_OUT_PLACE_IN] = DESC_I32, [GRAPH_IN_PLACE_OUT] = DESC_I32,
    };
    return of[which];
}

static bool same_size(const desc_size *a, const desc_size *b)
{
    return a->is_const == b->is_const && (a->is_const ? a->value == b->value : a->slot == b->slot);
}

static bool same_array(const desc_buffer *a, const desc_buffer *b)
{
    return a->type == b->type && a->rows.kind == b->rows.kind && a->rows.which == b->rows.which && same_size(&a->elems, &b->elems);
}

/* Edge values that come from outside: their rows may stand in either order. */
static bool is_read_by_edge(const check *c, const desc_buffer *b)
{
    bool read = b->kind == BUF_INPUT || b->kind == BUF_COTANGENT || (b->kind == BUF_OUTPUT && c->p->kind == DESC_BACKWARD);
    return read && b->rows.kind == ROWS_EDGES;
}

static bool check_buffer(check *c, const desc_buffer *b, uint32_t i)
{
    const desc_program *p = c->p;
    const desc_value *v = NULL;
    uint32_t type = b->type;
    if (b->type >= DESC_ELEMS || !check_rows(c, &b->rows) || !check_size(c, &b->elems))
        return bad(c, "buffer %u has an unknown type, rows or size", i);
    if (b->sequence && (!check_size(c, &b->slots) || b->kind == BUF_GRAPH || b->kind == BUF_SLOT || b->entries > ENTRIES_BETWEEN ||
                        (b->entries == ENTRIES_BETWEEN && b->kind != BUF_WORK)))
        return bad(c, "buffer %u has an unknown number of entries, or cannot have any", i);
    switch (b->kind) {
    case BUF_INPUT:
        if (b->index >= c->l->n_inputs)
            return bad(c, "buffer %u is of an unknown input", i);
        v = &c->l->inputs[b->index];
        break;
    case BUF_OUTPUT:
        if (b->index >= c->l->n_outputs)
            return bad(c, "buffer %u is of an unknown output", i);
        v = &c->l->outputs[b->index];
        break;
    case BUF_WORK:
        if (b->first > b->last || b->last >= p->n_steps)
            return bad(c, "buffer %u lives outside of the program", i);
        return true;
    case BUF_SLOT: {
        const desc_buffer *s = b->index < p->n_buffers ? &p->buffers[b->index] : NULL;
        if (!s || !s->sequence || !same_array(s, b))
            return bad(c, "buffer %u is no entry of a sequence", i);
        return true;
    }
    case BUF_GRAPH:
        if (b->index >= GRAPH_N_ARRAYS)
            return bad(c, "buffer %u is of an unknown array of the graph", i);
        type = elem_of_graph_array(b->index);
        break;
    case BUF_PAIR_ROW: case BUF_PAIR_IDX: case BUF_PAIR_MEMBER: case BUF_PAIR_OF: case BUF_PAIR_BY_INDEX:
        if (b->index >= p->n_pairs)
            return bad(c, "buffer %u is of an unknown pair structure", i);
        type = b->kind == BUF_PAIR_ROW || b->kind == BUF_PAIR_IDX ? DESC_I32 : DESC_I64;
        break;
    case BUF_EDGE_ROW: case BUF_EDGE_ROW_OUT:
        if (b->index >= p->n_buffers || b->rows.kind != ROWS_EDGES || !is_read_by_edge(c, &p->buffers[b->index]))
            return bad(c, "buffer %u gives rows of an unknown edge input", i);
        type = DESC_I64;
        break;
    case BUF_SAVED:
        if (b->index >= c->l->n_saved)
            return bad(c, "buffer %u is of an unknown saved value", i);
        return p->kind != DESC_FORWARD ? true : bad(c, "buffer %u is of no forward pass", i);
    case BUF_COTANGENT:
        if (p->kind != DESC_BACKWARD || b->index >= c->l->n_outputs || !c->l->outputs[b->index].differentiable)
            return bad(c, "buffer %u is the cotangent of what has none", i);
        v = &c->l->outputs[b->index];
        break;
    case BUF_GRADIENT:
        if (p->kind != DESC_BACKWARD || b->index >= c->l->n_inputs || !c->l->inputs[b->index].differentiable)
            return bad(c, "buffer %u is the gradient of what has none", i);
        if (p->n_steps && (b->first > b->last || b->last >= p->n_steps))
            return bad(c, "buffer %u lives outside of the program", i);
        v = &c->l->inputs[b->index];
        break;
    default:
        return bad(c, "buffer %u is of an unknown kind", i);
    }
    if (v) {
        type = elem_of_type(v->type);
        if (b->rows.kind != v->rows)
            return bad(c, "buffer %u has other rows than its value", i);
    }
    if (type != b->type)
        return bad(c, "buffer %u has another type than its array", i);
    return true;
}

static bool check_locals(check *c, const desc_local *list, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (!check_size(c, &list[i].elems) || list[i].type >= DESC_ELEMS || list[i].copies < 1 || list[i].copies > MAX_COPIES)
            return false;
    return true;
}

static bool check_kernel(check *c, const desc_kernel *k, uint32_t i)
{
    if (!check_rows(c, &k->rows) || !check_fiber(c, &k->fiber))
        return bad(c, "kernel %u has unknown rows or members", i);
    if (k->tile < 1 || k->tile > MAX_TILE || k->row_cost > MAX_ROW_COST)
        return bad(c, "kernel %u has a tile or a cost out of range", i);
    if (k->entry >= c->n_kernels)
        return bad(c, "kernel %u has an unknown entry point", i);
    for (uint32_t u = 0; u < k->n_uses; u++)
        if (k->uses[u].buffer >= c->p->n_buffers || k->uses[u].how > (DESC_READS | DESC_WRITES))
            return bad(c, "kernel %u uses an unknown buffer", i);
    if (!check_locals(c, k->scratch, k->n_scratch) || !check_locals(c, k->state, k->n_state))
        return bad(c, "kernel %u has a wrong local", i);
    return true;
}

static bool check_pairs(check *c, const desc_pairs *s, uint32_t i)
{
    bool base = s->base.kind == FIBER_IN || s->base.kind == FIBER_OUT || s->base.kind == FIBER_GRAPH_DST ||
                s->base.kind == FIBER_GRAPH_EDGE || (s->base.kind == FIBER_ALL && s->base.which <= ROWS_GRAPHS);
    if (!base)
        return bad(c, "pair structure %u has an unknown base (%u, %u)", i, s->base.kind, s->base.which);
    if (!check_size(c, &s->range) || s->index_buffer >= c->p->n_buffers)
        return bad(c, "pair structure %u has an unknown index", i);
    const desc_buffer *b = &c->p->buffers[s->index_buffer];
    if (b->type != DESC_I32 || b->sequence || (b->kind != BUF_INPUT && b->kind != BUF_OUTPUT && b->kind != BUF_WORK &&
                                               b->kind != BUF_GRAPH && b->kind != BUF_SLOT && b->kind != BUF_SAVED))
        return bad(c, "pair structure %u has an index of a wrong type", i);
    return true;
}

static bool is_unit_scalar(const check *c, uint32_t buffer)
{
    if (buffer >= c->p->n_buffers)
        return false;
    const desc_buffer *b = &c->p->buffers[buffer];
    return b->type == DESC_F64 && b->rows.kind == ROWS_ONE && b->elems.is_const && b->elems.value >= 1 && b->kind == BUF_WORK;
}

static bool check_loop(check *c, const desc_loop *l, uint32_t i)
{
    if (!check_size(c, &l->limit))
        return bad(c, "loop %u has an unknown limit", i);
    if ((l->count_buffer && !is_unit_scalar(c, l->count_buffer - 1)) || (l->steps_buffer && !is_unit_scalar(c, l->steps_buffer - 1)))
        return bad(c, "loop %u has a number of steps that is no scalar", i);
    return true;
}

static bool check_swap(check *c, const desc_step *s, uint32_t i)
{
    if (s->a >= c->p->n_buffers || s->b >= c->p->n_buffers)
        return bad(c, "step %u is on an unknown buffer", i);
    const desc_buffer *a = &c->p->buffers[s->a], *b = &c->p->buffers[s->b];
    if (a->kind != BUF_WORK || b->kind != BUF_WORK || a->sequence || b->sequence || !same_array(a, b))
        return bad(c, "step %u swaps buffers that differ", i);
    return true;
}

static bool check_replay(const check *c, const desc_replay *r)
{
    const desc_program *p = c->p;
    const uint32_t at[] = { r->kept, r->made, r->cur, r->next, r->value };
    for (int k = 0; k < 5; k++)
        if (at[k] >= p->n_buffers)
            return false;
    const desc_buffer *kept = &p->buffers[r->kept], *made = &p->buffers[r->made];
    if (r->loop >= p->n_loops || !p->loops[r->loop].again || p->loops[r->loop].again > 2 || p->loops[r->loop].until)
        return false;
    bool fits = kept->sequence && kept->entries == ENTRIES_APART && same_size(&kept->slots, &p->loops[r->loop].limit) &&
                made->sequence && made->entries == ENTRIES_BETWEEN && made->index == r->kept && same_array(kept, made);
    for (int k = 2; k < 5; k++)
        fits = fits && p->buffers[at[k]].kind == BUF_SLOT && p->buffers[at[k]].index == (k == 3 ? r->made : r->kept) &&
               p->buffers[at[k]].type == kept->type;
    return fits;
}

/* used[0..n_loops): loops begun; used[n_loops..): pair structures built, then, by buffer, slots placed. */
static bool check_steps(check *c, bool *used)
{
    const desc_program *p = c->p;
    bool *slot = used + p->n_loops + p->n_pairs;
    uint32_t open[MAX_NESTING], depth = 0;
    for (uint32_t i = 0; i < p->n_steps; i++) {
        const desc_step *s = &p->steps[i];
        if (s->at_prepare && (depth || (s->kind != STEP_LAUNCH && s->kind != STEP_PAIRS)))
            return bad(c, "step %u cannot be done beforehand", i);
        switch (s->kind) {
        case STEP_LAUNCH:
            if (s->a >= p->n_kernels)
                return bad(c, "step %u launches an unknown kernel", i);
            break;
        case STEP_PAIRS:
            if (s->a >= p->n_pairs || used[p->n_loops + s->a])
                return bad(c, "step %u builds an unknown pair structure, or one twice", i);
            used[p->n_loops + s->a] = true;
            break;
        case STEP_LOOP:
            if (s->a >= p->n_loops || used[s->a] || depth == MAX_NESTING)
                return bad(c, "step %u begins an unknown loop, or one twice", i);
            if (p->loops[s->a].again && (!depth || !same_size(&p->loops[s->a].limit, &p->loops[open[depth - 1]].limit)))
                return bad(c, "loop %u runs again, but not in a loop of as many steps", s->a);
            used[s->a] = true;
            open[depth++] = s->a;
            break;
        case STEP_END:
            if (!depth || open[--depth] != s->a)
                return bad(c, "step %u ends a loop that is not open", i);
            if (p->loops[s->a].until &&
                (!is_unit_scalar(c, p->loops[s->a].tol_buffer) || !is_unit_scalar(c, p->loops[s->a].change_buffer)))
                return bad(c, "loop %u has no change or tolerance", s->a);
            break;
        case STEP_SWAP:
            if (!check_swap(c, s, i))
                return false;
            break;
        case STEP_SLOT: case STEP_SLOT_BACK: {
            bool inside = false;
            for (uint32_t k = 0; k < depth; k++)
                inside = inside || open[k] == s->b;
            if (s->a >= p->n_buffers || p->buffers[s->a].kind != BUF_SLOT || !inside || slot[s->a] ||
                p->buffers[p->buffers[s->a].index].entries == ENTRIES_BETWEEN || p->loops[s->b].again ||
                !same_size(&p->buffers[p->buffers[s->a].index].slots, &p->loops[s->b].limit))
                return bad(c, "step %u is on no entry of a sequence, or outside of its loop", i);
            slot[s->a] = true;
            break;
        }
        case STEP_REPLAY:
            if (depth < 2 || open[depth - 1] != s->a || !p->loops[s->a].again)
                return bad(c, "step %u is in no loop that runs again in another", i);
            break;
        case STEP_REPLAYED:
            if (!depth || s->a >= p->n_loops || !used[s->a] || !p->loops[s->a].again || !i || p->steps[i - 1].kind != STEP_END ||
                p->steps[i - 1].a != s->a)
                return bad(c, "step %u comes after no loop that runs again in another", i);
            break;
        default:
            return bad(c, "step %u is of an unknown kind", i);
        }
    }
    return depth ? bad(c, "a loop has no end") : true;
}

static uint32_t count_buffers(const desc_program *p, mp_buffer_kind kind, uint32_t index)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < p->n_buffers; k++)
        n += p->buffers[k].kind == (uint32_t)kind && p->buffers[k].index == index;
    return n;
}

/* Each output is written by one buffer; so are the saved values by the training pass and the gradients by the backward.
 * What is only read has one buffer at most. */
static bool check_results(check *c)
{
    const desc_layer *l = c->l;
    bool back = c->p->kind == DESC_BACKWARD;
    for (uint32_t i = 0; i < l->n_outputs; i++) {
        uint32_t n = count_buffers(c->p, BUF_OUTPUT, i);
        if (back ? n > 1 : n != 1)
            return bad(c, "output %u has %u buffers", i, n);
        if (count_buffers(c->p, BUF_COTANGENT, i) > 1)
            return bad(c, "output %u has several cotangents", i);
    }
    for (uint32_t i = 0; i < l->n_inputs && back; i++)
        if (count_buffers(c->p, BUF_GRADIENT, i) != (l->inputs[i].differentiable ? 1 : 0))
            return bad(c, "input %u has another number of gradients than one", i);
    for (uint32_t i = 0; i < l->n_saved && c->p->kind != DESC_FORWARD; i++) {
        uint32_t n = count_buffers(c->p, BUF_SAVED, i);
        if (back ? n > 1 : n != 1)
            return bad(c, "saved value %u has %u buffers", i, n);
    }
    return true;
}

static bool check_program(check *c)
{
    const desc_program *p = c->p;
    if (p->kind >= DESC_PROGRAM_KINDS)
        return bad(c, "a program of an unknown kind");
    for (uint32_t i = 0; i < p->n_slots; i++)
        if (p->slots[i] >= c->l->n_dims)
            return bad(c, "slot %u has an unknown dim", i);
    for (uint32_t i = 0; i < p->n_buffers; i++)
        if (!check_buffer(c, &p->buffers[i], i))
            return false;
    if (!check_results(c))
        return false;
    for (uint32_t i = 0; i < p->n_kernels; i++)
        if (!check_kernel(c, &p->kernels[i], i))
            return false;
    for (uint32_t i = 0; i < p->n_pairs; i++)
        if (!check_pairs(c, &p->pairs[i], i))
            return false;
    for (uint32_t i = 0; i < p->n_loops; i++)
        if (!check_loop(c, &p->loops[i], i))
            return false;
    for (uint32_t i = 0; i < p->n_replays; i++)
        if (!check_replay(c, &p->replays[i]))
            return bad(c, "replay %u is of no loop, or of no sequences and their entries", i);
    bool *used = calloc((size_t)p->n_loops + p->n_pairs + p->n_buffers + 1, sizeof *used);
    if (!used)
        return bad(c, "out of memory for the check");
    bool fine = check_steps(c, used);
    free(used);
    return fine;
}

/* Both programs of training, or none; and a saved value is read as what it was written. */
static bool check_training(check *c)
{
    const desc_program *train = desc_find_program(c->l, DESC_TRAIN), *back = desc_find_program(c->l, DESC_BACKWARD);
    if (!train != !back || (!train && c->l->n_saved))
        return bad(c, "there is only a half of training");
    if (train && c->l->n_saved > train->n_buffers)
        return bad(c, "there are more saved values than buffers");
    for (uint32_t k = 0; back && k < back->n_buffers; k++) {
        const desc_buffer *b = &back->buffers[k];
        for (uint32_t i = 0; b->kind == BUF_SAVED && i < train->n_buffers; i++) {
            const desc_buffer *t = &train->buffers[i];
            if (t->kind == BUF_SAVED && t->index == b->index && (t->type != b->type || t->rows.kind != b->rows.kind))
                return bad(c, "saved value %u is written and read as different things", b->index);
        }
    }
    return true;
}

static bool check_layer(check *c)
{
    const desc_layer *l = c->l;
    if (!check_dims(c) || !check_statics(c))
        return false;
    for (uint32_t i = 0; i < l->n_inputs; i++)
        if (!check_value(c, &l->inputs[i], "input", i))
            return false;
    for (uint32_t i = 0; i < l->n_outputs; i++)
        if (!check_value(c, &l->outputs[i], "output", i))
            return false;
    for (uint32_t i = 0; i < l->n_needs; i++)
        if (l->needs[i].kind >= DESC_NEED_KINDS)
            return bad(c, "an unknown need");
    if (!check_training(c))
        return false;
    for (uint32_t i = 0; i < l->n_programs; i++) {
        c->p = &l->programs[i];
        if (!check_program(c))
            return false;
        for (uint32_t j = 0; j < i; j++)
            if (l->programs[j].kind == c->p->kind)
                return bad(c, "two programs of one kind");
    }
    return true;
}

bool description_check(const desc_module *m, uint64_t n_kernels, char why[DESC_WHY])
{
    why[0] = 0;
    for (uint32_t i = 0; i < m->n_layers; i++) {
        check c = { .l = &m->layers[i], .n_kernels = n_kernels, .why = why };
        if (check_layer(&c))
            continue;
        char text[DESC_WHY];
        snprintf(text, sizeof text, "layer %.40s: %.100s", m->layers[i].name, why);
        memcpy(why, text, sizeof text);
        return false;
    }
    return true;
}
