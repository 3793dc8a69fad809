/*
 * Descriptions of layers from their plans. All is laid out in the arena as the structs of runtime/description.h; then
 * description_check looks at it as the loader will, and description_write makes the bytes.
 *
 * Dims are collected in one list a layer: those of shapes, ranges and defaults, those in the slots of the plans, and
 * the conditions that could not be proved when the layer was compiled.
 */
#include "compiler/plan/describe.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/plan/uses.h"
#include "compiler/support/map.h"
#include "compiler/support/vec.h"
#include "runtime/description.h"

typedef struct known_dim { const dim_table *t; dim d; } known_dim;
typedef struct known_symbol { const dim_table *t; dim_sym s; } known_symbol;

typedef struct describer {
    arena *a;
    const describe_layer *in;
    const ir_layer *layer;
    desc_layer *out;
    VEC(known_dim) known_dims;
    VEC(desc_dim) dims;
    VEC(known_symbol) known_symbols;
    VEC(uint32_t) symbol_of;                     /* by known symbol: its number in names */
    idset symbols;                               /* the known ones */
    uint32_t of_layer;                           /* so many of them, the first, are of the layer's table */
    VEC(const char *) names;
    VEC(desc_check) checks;
    uint32_t first_kernel;
} describer;

/* ---- dims ------------------------------------------------------------------------------------------------------- */

typedef struct symbol_query { const describer *g; known_symbol symbol; } symbol_query;

static bool is_symbol(const void *ud, uint32_t i)
{
    const symbol_query *q = ud;
    known_symbol k = q->g->known_symbols.at[i];
    return k.t == q->symbol.t && k.s.i == q->symbol.s.i;
}

/* Symbols of one table are told apart by id; those of another table are the same if they have the same name. */
static uint32_t symbol_number(describer *g, const dim_table *t, dim_sym s)
{
    symbol_query q = {g, {t, s}};
    uint64_t hash = hash_combine(hash_u64(map_key(t)), s.i);
    uint32_t known = idset_find(&g->symbols, hash, is_symbol, &q), number = UINT32_MAX;
    if (known != UINT32_MAX)
        return g->symbol_of.at[known];
    str name = dim_symbol_name(t, s);
    if (t == g->layer->dims && g->of_layer == g->known_symbols.n)
        g->of_layer++;
    for (uint32_t i = t == g->layer->dims ? g->of_layer : 0; i < g->known_symbols.n; i++) {
        known_symbol k = g->known_symbols.at[i];
        if (k.t != t && strcmp(dim_symbol_name(k.t, k.s), name) == 0)
            number = g->symbol_of.at[i];
    }
    if (number == UINT32_MAX) {
        number = g->names.n;
        vec_push(g->a, &g->names, name);
    }
    idset_add(&g->symbols, hash, g->known_symbols.n);
    vec_push(g->a, &g->known_symbols, (known_symbol){t, s});
    vec_push(g->a, &g->symbol_of, number);
    return number;
}

static desc_poly describe_poly(describer *g, const dim_table *t, dim d, bool denominator)
{
    desc_poly p = {.n_terms = dim_n_terms(t, d, denominator)};
    p.terms = NEW_N(g->a, desc_term, p.n_terms);
    for (uint32_t i = 0; i < p.n_terms; i++) {
        desc_term *x = &p.terms[i];
        x->coef = dim_term(t, d, denominator, i, &x->n_powers);
        x->powers = NEW_N(g->a, desc_power, x->n_powers);
        for (uint32_t j = 0; j < x->n_powers; j++) {
            dim_sym s = dim_term_power(t, d, denominator, i, j, &x->powers[j].exponent);
            x->powers[j].symbol = symbol_number(g, t, s);
        }
    }
    return p;
}

static uint32_t dim_number(describer *g, const dim_table *t, dim d)
{
    for (uint32_t i = 0; i < g->known_dims.n; i++)
        if (g->known_dims.at[i].t == t && dim_same(g->known_dims.at[i].d, d))
            return i;
    desc_dim out = {.text = dim_text(t, d, g->a), .num = describe_poly(g, t, d, false), .den = describe_poly(g, t, d, true)};
    vec_push(g->a, &g->known_dims, (known_dim){t, d});
    vec_push(g->a, &g->dims, out);
    return g->dims.n - 1;
}

/* ---- conditions ------------------------------------------------------------------------------------------------- */

static void condition(describer *g, dim d, int64_t least, const char *what)
{
    int64_t v;
    if (!dim_ok(d) || (dim_is_const(g->layer->dims, d, &v) && v >= least))
        return;
    if (least == 1 && dim_is_symbol(g->layer->dims, d, NULL))       /* statics are positive */
        return;
    uint32_t number = dim_number(g, g->layer->dims, d);
    for (uint32_t i = 0; i < g->checks.n; i++)
        if (g->checks.at[i].dim == number && g->checks.at[i].least >= least)
            return;
    vec_push(g->a, &g->checks, (desc_check){.dim = number, .least = least, .what = what});
}

static void conditions_of_node(describer *g, const ir_node *n)
{
    dim_table *t = g->layer->dims;
    const char *name = n->name ? n->name : "a value";
    for (uint32_t i = 0; i < n->rank; i++)
        condition(g, n->shape[i], 1, arena_printf(g->a, "axis %u of %s (%s)", i, name, dim_text(t, n->shape[i], g->a)));
    if (n->type == T_INDEX)
        condition(g, n->range, 1, arena_printf(g->a, "the range of %s (%s)", name, dim_text(t, n->range, g->a)));
    if (n->op != OP_SLICE || n->nargs < 1)
        return;
    const ir_node *from = ir_at(g->layer, n->args[0]);
    const char *of = from->name ? from->name : "a value";
    int32_t axis = n->u.slice.axis;
    dim lo = n->u.slice.lo, end = dim_add(t, lo, n->shape[axis]);
    condition(g, lo, 0, arena_printf(g->a, "the first place taken from axis %d of %s (%s)", axis, of, dim_text(t, lo, g->a)));
    condition(g, dim_sub(t, from->shape[axis], end), 0,
              arena_printf(g->a, "what follows the places up to %s on axis %d of %s", dim_text(t, end, g->a), axis, of));
}

/* Of all that the outputs depend on. */
static void conditions(describer *g)
{
    const ir_layer *l = g->layer;
    bool *seen = NEW_N(g->a, bool, l->n_nodes + 1);
    VEC(uint32_t) todo = {0};
    for (uint32_t i = 0; i < l->n_inputs; i++)
        vec_push(g->a, &todo, l->inputs[i].value.i);
    for (uint32_t i = 0; i < l->n_outputs; i++)
        vec_push(g->a, &todo, l->outputs[i].value.i);
    for (uint32_t i = 0; i < l->n_loops; i++) {
        vec_push(g->a, &todo, l->loops[i].tol.i);
        vec_push(g->a, &todo, l->loops[i].count.i);
        for (uint32_t k = 0; k < l->loops[i].nstates; k++) {
            vec_push(g->a, &todo, l->loops[i].states[k].init.i);
            vec_push(g->a, &todo, l->loops[i].states[k].next.i);
        }
        condition(g, l->loops[i].limit, 0, arena_printf(g->a, "the number of steps of %s (%s)", l->loops[i].name,
                                                        dim_text(l->dims, l->loops[i].limit, g->a)));
    }
    while (todo.n) {
        uint32_t v = vec_pop(&todo);
        if (!v || v >= l->n_nodes || seen[v])
            continue;
        seen[v] = true;
        conditions_of_node(g, &l->nodes[v]);
        for (uint32_t k = 0; k < l->nodes[v].nargs; k++)
            vec_push(g->a, &todo, l->nodes[v].args[k].i);
    }
}

/* ---- names and shapes ------------------------------------------------------------------------------------------- */

static mp_type type_of(ir_type t)
{
    switch (t) {
    case T_F64: return MP_F64;
    case T_F32: return MP_F32;
    case T_F16: return MP_F16;
    case T_BF16: return MP_BF16;
    case T_INDEX: return MP_INDEX;
    case T_BOOL: return MP_BOOL;
    case T_MAP: break;
    }
    return MP_F32;
}

static mp_init_kind init_of(ir_init_kind k, uint32_t rank)
{
    switch (k) {
    case INIT_NONE: return rank >= 2 ? MP_INIT_GLOROT_UNIFORM : MP_INIT_ZEROS;
    case INIT_ZEROS: return MP_INIT_ZEROS;
    case INIT_ONES: return MP_INIT_ONES;
    case INIT_CONSTANT: return MP_INIT_CONSTANT;
    case INIT_UNIFORM: return MP_INIT_UNIFORM;
    case INIT_NORMAL: return MP_INIT_NORMAL;
    case INIT_GLOROT_UNIFORM: return MP_INIT_GLOROT_UNIFORM;
    case INIT_GLOROT_NORMAL: return MP_INIT_GLOROT_NORMAL;
    case INIT_KAIMING_UNIFORM: return MP_INIT_KAIMING_UNIFORM;
    case INIT_KAIMING_NORMAL: return MP_INIT_KAIMING_NORMAL;
    }
    return MP_INIT_ZEROS;
}

static uint32_t rows_of(const ir_layer *l, ir_dom d)
{
    const ir_domain *dom = &l->domains[d.i];
    switch (dom->kind) {
    case DOM_NODES: return dom->side == SIDE_SRC ? ROWS_SRC : ROWS_DST;
    case DOM_EDGES: return ROWS_EDGES;
    case DOM_GRAPHS: return ROWS_GRAPHS;
    case DOM_UNIT: case DOM_INDEX: case DOM_PAIR: break;
    }
    return ROWS_ONE;
}

/* The nodes of a layer whose inputs are all of one side or the other are its destinations. */
static bool two_sided(const ir_layer *l)
{
    bool sides = false, nodes = false;
    for (uint32_t i = 0; i < l->n_inputs; i++) {
        sides |= l->inputs[i].sided;
        nodes |= !l->inputs[i].sided && l->domains[ir_at(l, l->inputs[i].value)->dom.i].kind == DOM_NODES;
    }
    return sides && !nodes;
}

/* As it was declared: on a square graph a `src` value has the rows of a `node`, on others it has not. */
static mp_domain domain_of(uint32_t rows, bool sided)
{
    switch (rows) {
    case ROWS_SRC: return sided ? MP_DOMAIN_SRC : MP_DOMAIN_NODE;
    case ROWS_DST: return sided ? MP_DOMAIN_DST : MP_DOMAIN_NODE;
    case ROWS_EDGES: return MP_DOMAIN_EDGE;
    case ROWS_GRAPHS: return MP_DOMAIN_GRAPH;
    default: return MP_DOMAIN_GLOBAL;
    }
}

static desc_value describe_value(describer *g, const char *name, ir_val v, uint32_t rows, bool sided)
{
    const ir_layer *l = g->layer;
    const ir_node *n = ir_at(l, v);
    desc_value d = {.name = name, .none = n->none && n->type == T_INDEX, .domain = domain_of(rows, sided),
                    .type = type_of((ir_type)n->type), .rows = rows, .rank = n->rank, .range = DESC_NONE};
    for (uint32_t i = 0; i < n->rank && i < MP_MAX_RANK; i++)
        d.dims[i] = dim_number(g, l->dims, n->shape[i]);
    if (n->type == T_INDEX)
        d.range = dim_number(g, l->dims, n->range);
    return d;
}

static void describe_values(describer *g)
{
    const ir_layer *l = g->layer;
    bool any = false;
    g->out->n_inputs = l->n_inputs;
    g->out->inputs = NEW_N(g->a, desc_value, l->n_inputs);
    for (uint32_t i = 0; i < l->n_inputs; i++) {
        const ir_input *in = &l->inputs[i];
        desc_value *v = &g->out->inputs[i];
        *v = describe_value(g, in->name, in->value, rows_of(l, ir_at(l, in->value)->dom), in->sided);
        v->param = in->param;
        if (in->param)
            v->domain = MP_DOMAIN_PARAM;
        v->init = (mp_init){.kind = init_of(in->init, v->rank), .a = in->init_a, .b = in->init_b};
        v->differentiable = g->in->wanted && g->in->wanted[i];
        any |= v->differentiable;
    }
    g->out->n_outputs = l->n_outputs;
    g->out->outputs = NEW_N(g->a, desc_value, l->n_outputs);
    bool sides = two_sided(l);
    for (uint32_t i = 0; i < l->n_outputs; i++) {
        const ir_output *o = &l->outputs[i];
        desc_value *v = &g->out->outputs[i];
        *v = describe_value(g, o->name, o->value, rows_of(l, o->rows), o->sided || sides);
        v->differentiable = any && v->type != MP_INDEX && v->type != MP_BOOL;
    }
}

typedef struct name_query { const dim_table *t; const char *name; } name_query;

static bool has_name(const void *ud, uint32_t i)
{
    const name_query *q = ud;
    return strcmp(dim_symbol_name(q->t, (dim_sym){i}), q->name) == 0;
}

/* Of symbols with one name, the first. */
static idset symbols_by_name(describer *g)
{
    const dim_table *t = g->layer->dims;
    idset names = idset_make(g->a);
    for (uint32_t i = 0; i < dim_n_symbols(t); i++) {
        name_query q = {t, dim_symbol_name(t, (dim_sym){i})};
        uint64_t hash = hash_bytes(q.name, strlen(q.name));
        if (idset_find(&names, hash, has_name, &q) == UINT32_MAX)
            idset_add(&names, hash, i);
    }
    return names;
}

static uint32_t symbol_by_name(describer *g, const idset *names, const char *name)
{
    name_query q = {g->layer->dims, name};
    uint32_t i = idset_find(names, hash_bytes(name, strlen(name)), has_name, &q);
    return i == UINT32_MAX ? DESC_NONE : symbol_number(g, q.t, (dim_sym){i});
}

static void describe_statics(describer *g)
{
    const ir_layer *l = g->layer;
    g->out->n_statics = l->n_statics;
    g->out->statics = NEW_N(g->a, desc_static, l->n_statics);
    idset names = symbols_by_name(g);
    for (uint32_t i = 0; i < l->n_statics; i++) {
        const ir_static *s = &l->statics[i];
        desc_static *d = &g->out->statics[i];
        *d = (desc_static){.name = s->name, .real = s->real, .has_default = s->has_default, .fixed = s->fixed,
                           .value = s->value, .default_dim = DESC_NONE, .symbol = DESC_NONE};
        if (s->real)
            continue;
        d->dim = (int64_t)s->value;
        if (s->fixed)
            continue;
        d->symbol = symbol_by_name(g, &names, s->name);
        if (s->has_default)
            d->default_dim = dim_number(g, l->dims, dim_ok(s->dim_default) ? s->dim_default : dim_const(l->dims, d->dim));
    }
}

static void describe_needs(describer *g)
{
    const ir_layer *l = g->layer;
    g->out->n_needs = l->n_needs;
    g->out->needs = NEW_N(g->a, desc_need, l->n_needs);
    for (uint32_t i = 0; i < l->n_needs; i++)
        g->out->needs[i] = (desc_need){.kind = l->needs[i].kind == NEED_SQUARE ? DESC_NEED_SQUARE : DESC_NEED_DEGREES,
                                       .name = l->needs[i].name};
}

static void describe_divisions(describer *g)
{
    const dim_table *t = g->layer->dims;
    uint32_t n = dim_n_divisions(t);
    g->out->n_divisions = n;
    g->out->divisions = NEW_N(g->a, desc_division, n);
    for (uint32_t i = 0; i < n; i++) {
        dim a, b;
        dim_division(t, i, &a, &b);
        g->out->divisions[i] = (desc_division){dim_number(g, t, a), dim_number(g, t, b)};
    }
}

/* ---- plans ------------------------------------------------------------------------------------------------------ */

static desc_size size_of(kdim d)
{
    return (desc_size){.is_const = d.is_const, .value = d.is_const ? d.value : 0, .slot = d.is_const ? 0 : d.slot};
}

static desc_elem elem_of(ktype t)
{
    switch (t) {
    case KT_F64: return DESC_F64;
    case KT_F32: return DESC_F32;
    case KT_F16: return DESC_F16;
    case KT_BF16: return DESC_BF16;
    case KT_I64: return DESC_I64;
    case KT_I32: return DESC_I32;
    case KT_BOOL: return DESC_BOOL;
    }
    return DESC_F64;
}

uint32_t describe_copies(const kkernel *k, uint32_t local)
{
    const klocal *l = &k->locals[local];
    if (!l->tiled)
        return 1;
    uint32_t n = l->scope == SCOPE_ROW ? k->tile : k->walk && k->walk->kind == KN_BLOCKS ? k->walk->block : 1;
    return n ? n : 1;
}

static void describe_kernel(describer *g, const kplan *p, uint32_t number, uint32_t entry, desc_kernel *d)
{
    const kkernel *k = &p->kernels[number];
    *d = (desc_kernel){.name = k->name, .rows = k->rows, .fiber = k->fiber, .tile = k->tile ? k->tile : 1,
                       .row_cost = k->row_cost, .entry = entry};
    uint32_t n = k->n_locals ? k->n_locals - 1 : 0;
    d->scratch = NEW_N(g->a, desc_local, n);
    d->state = NEW_N(g->a, desc_local, n);
    for (uint32_t i = 1; i < k->n_locals; i++) {
        const klocal *l = &k->locals[i];
        desc_local x = {.elems = size_of(l->elems), .copies = describe_copies(k, i), .type = elem_of(l->type)};
        d->scratch[d->n_scratch++] = x;
        x.copies = 1;
        if (l->accumulator)
            d->state[d->n_state++] = x;
    }
    kuses u = kernel_uses(p, number, g->a);
    d->uses = NEW_N(g->a, desc_use, p->n_buffers);
    for (uint32_t i = 0; i < p->n_buffers; i++)
        if (u.read[i] || u.written[i])
            d->uses[d->n_uses++] = (desc_use){i, (u.read[i] ? DESC_READS : 0) | (u.written[i] ? DESC_WRITES : 0)};
}

/* What the runtime calls a buffer of the plan. Rows of edge inputs are named by the buffer that they are of. */
static describe_role role_of(const kplan *p, const kbuffer *b, const describe_program *io)
{
    describe_role r = {b->kind, b->index};
    if (b->kind == BUF_INPUT && io->inputs)
        r = io->inputs[b->index];
    if (b->kind == BUF_OUTPUT && io->outputs)
        r = io->outputs[b->index];
    if (b->kind == BUF_EDGE_ROW || b->kind == BUF_EDGE_ROW_OUT) {
        r.index = DESC_NONE;
        for (uint32_t i = 0; i < p->n_buffers; i++)
            if (p->buffers[i].kind == BUF_INPUT && p->buffers[i].index == b->index)
                r.index = i;
    }
    return r;
}

static void describe_plan(describer *g, const describe_program *io, desc_program_kind kind)
{
    arena *a = g->a;
    const kplan *p = io->plan;
    if (!p)
        return;
    desc_program *d = &g->out->programs[g->out->n_programs++];
    *d = (desc_program){.kind = kind, .n_slots = p->n_dims, .n_buffers = p->n_buffers, .n_kernels = p->n_kernels,
                        .n_steps = p->n_steps, .n_pairs = p->n_pairs, .n_loops = p->n_loops,
                        .n_replays = p->n_replays};
    d->slots = NEW_N(a, uint32_t, p->n_dims);
    for (uint32_t i = 0; i < p->n_dims; i++)
        d->slots[i] = dim_number(g, p->layer->dims, p->dims[i]);
    d->buffers = NEW_N(a, desc_buffer, p->n_buffers);
    for (uint32_t i = 0; i < p->n_buffers; i++) {
        const kbuffer *b = &p->buffers[i];
        describe_role r = role_of(p, b, io);
        desc_size slots = b->sequence ? size_of(b->slots) : (desc_size){.is_const = true};
        d->buffers[i] = (desc_buffer){.kind = r.kind, .index = r.index, .type = elem_of(b->type), .rows = b->rows,
                                      .elems = size_of(b->elems), .walk_order = b->walk_order, .sequence = b->sequence,
                                      .entries = b->entries, .slots = slots, .first = b->first,
                                      .last = b->last, .name = b->name};
    }
    d->kernels = NEW_N(a, desc_kernel, p->n_kernels);
    for (uint32_t i = 0; i < p->n_kernels; i++)
        describe_kernel(g, p, i, g->first_kernel++, &d->kernels[i]);
    d->steps = NEW_N(a, desc_step, p->n_steps);
    for (uint32_t i = 0; i < p->n_steps; i++)
        d->steps[i] = (desc_step){p->steps[i].kind, p->steps[i].a, p->steps[i].b, p->steps[i].at_prepare};
    d->pairs = NEW_N(a, desc_pairs, p->n_pairs);
    for (uint32_t i = 0; i < p->n_pairs; i++)
        d->pairs[i] = (desc_pairs){p->pairs[i].base, p->pairs[i].index_buffer, size_of(p->pairs[i].range)};
    d->replays = NEW_N(a, desc_replay, p->n_replays);
    for (uint32_t i = 0; i < p->n_replays; i++) {
        const kreplay *r = &p->replays[i];
        d->replays[i] = (desc_replay){r->loop, r->kept, r->made, r->cur, r->next, r->value};
    }
    d->loops = NEW_N(a, desc_loop, p->n_loops);
    for (uint32_t i = 0; i < p->n_loops; i++) {
        const kloop_info *l = &p->loops[i];
        d->loops[i] = (desc_loop){.name = l->name, .limit = size_of(l->limit), .until = l->until,
                                  .tol_buffer = l->until ? l->tol_buffer : 0, .change_buffer = l->until ? l->change_buffer : 0,
                                  .again = l->again, .count_buffer = l->count_buffer, .steps_buffer = l->steps_buffer};
    }
}

static void describe_one(arena *a, const describe_layer *in, uint32_t *n_kernels, desc_layer *out)
{
    describer g = {.a = a, .in = in, .layer = in->layer, .out = out, .first_kernel = *n_kernels,
                   .symbols = idset_make(a)};
    *out = (desc_layer){.name = in->layer->name};
    describe_statics(&g);
    describe_values(&g);
    describe_needs(&g);
    describe_divisions(&g);
    conditions(&g);
    out->programs = NEW_N(a, desc_program, DESC_PROGRAM_KINDS);
    describe_plan(&g, &(describe_program){.plan = in->forward}, DESC_FORWARD);
    describe_plan(&g, &in->train, DESC_TRAIN);
    describe_plan(&g, &in->backward, DESC_BACKWARD);
    out->n_saved = in->train.plan ? in->n_saved : 0;
    out->n_dims = g.dims.n;
    out->dims = g.dims.at;
    out->n_symbols = g.names.n;
    out->symbols = g.names.at;
    out->n_checks = g.checks.n;
    out->checks = g.checks.at;
    *n_kernels = g.first_kernel;
}

/* Into the arena; the malloc'ed bytes are freed even if the arena jumps. */
static const void *keep(arena *a, void *bytes, size_t n)
{
    jmp_buf here;
    jmp_buf *outer = arena_set_oom(a, &here);
    int why = setjmp(here);
    if (why) {
        arena_set_oom(a, outer);
        free(bytes);
        arena_fail(a, why);
    }
    const void *copy = arena_copy(a, bytes, n);
    arena_set_oom(a, outer);
    free(bytes);
    return copy;
}

const void *describe_module(arena *a, const describe_layer *layers, uint32_t n_layers, size_t *n_bytes, const char **why)
{
    desc_module m = {.n_layers = n_layers, .layers = NEW_N(a, desc_layer, n_layers)};
    uint32_t n_kernels = 0;
    for (uint32_t i = 0; i < n_layers; i++)
        describe_one(a, &layers[i], &n_kernels, &m.layers[i]);
    char *text = arena_alloc(a, DESC_WHY);
    *why = text;
    if (!description_check(&m, n_kernels, text))
        return NULL;
    void *bytes;
    if (!description_write(&m, &bytes, n_bytes)) {
        *why = "no memory for the description, or it is larger than 4 GiB";
        return NULL;
    }
    return keep(a, bytes, *n_bytes);
}
