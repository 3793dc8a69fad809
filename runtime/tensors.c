/*
 * The ways of tensors into and out of the buffers of a program. A tensor of the buffer's type, compact and in its order
 * of rows, is used where it lies. Otherwise there is a copy: packed (type, strides), then ordered (edge list or walk
 * order). Outputs go the same way backwards, after the last kernel.
 */
#include "runtime/device_program.h"

#include <string.h>
#include "runtime/convert.h"
#include "runtime/graph_arrays.h"

enum { ORDER_PART = 4096 };         /* rows that a thread moves at a time */

static tensor_type type_of_elem(uint32_t e)
{
    static const tensor_type of[DESC_ELEMS] = {
        [DESC_F64] = TENSOR_F64, [DESC_F32] = TENSOR_F32, [DESC_F16] = TENSOR_F16, [DESC_BF16] = TENSOR_BF16,
        [DESC_I64] = TENSOR_I64, [DESC_I32] = TENSOR_I32, [DESC_BOOL] = TENSOR_BOOL,
    };
    return of[e];
}

/* ---- Copies ------------------------------------------------------------------------------------------------------ */

enum { COPY_PART = 1 << 20 };       /* bytes */

typedef struct copy_job { char *to; const char *from; size_t n; } copy_job;

static void copy_part(void *arg, int64_t part, int thread)
{
    (void)thread;
    const copy_job *c = arg;
    size_t at = (size_t)part * COPY_PART;
    memcpy(c->to + at, c->from + at, c->n - at < COPY_PART ? c->n - at : COPY_PART);
}

mp_status copy_bytes(mp_context *ctx, void *to, const void *from, size_t n)
{
    if (context_on_device(ctx))
        return device_copy(ctx, to, from, n);
    copy_job c = { to, from, n };
    pool_run(ctx->pool, (int64_t)((n + COPY_PART - 1) / COPY_PART), copy_part, &c);
    return MP_OK;
}

/* ---- Order of rows ---------------------------------------------------------------------------------------------- */

typedef struct reorder {
    graph_positions eid;            /* of the walk */
    bool to_walk;
    const char *from;
    char *to;
    size_t row;                     /* bytes */
    int64_t n;
} reorder;

static void reorder_part(void *arg, int64_t part, int thread)
{
    (void)thread;
    const reorder *r = arg;
    int64_t end = (part + 1) * ORDER_PART < r->n ? (part + 1) * ORDER_PART : r->n;
    for (int64_t k = part * ORDER_PART; k < end; k++) {
        int64_t e = graph_position(r->eid, k);
        memcpy(r->to + (size_t)(r->to_walk ? k : e) * r->row, r->from + (size_t)(r->to_walk ? e : k) * r->row, r->row);
    }
}

static void reorder_rows(mp_layer *layer, prepared *p, row_order order, const void *from, void *to, size_t bytes)
{
    mp_context *ctx = layer->ctx;
    int64_t n = p->graph->n_edges;
    if (!n || !bytes)
        return;
    if (p->device) {
        device_reorder(layer, p, order, from, to, bytes);
        return;
    }
    reorder r = { order == ORDER_TO_OUT ? p->out_eid : p->eid, order != ORDER_FROM_WALK, from, to, bytes / (size_t)n, n };
    pool_run(ctx->pool, (n + ORDER_PART - 1) / ORDER_PART, reorder_part, &r);
}

static bool is_identity(graph_positions p)
{
    return !p.i32 && !p.i64;
}

/* How kernels read an edge input in either order, each row's place being told by a buffer of that walk. */
typedef struct edge_reads { bool in, out; } edge_reads;

static edge_reads reads_of(const prepared *p, uint32_t buffer)
{
    edge_reads r = { false, false };
    for (uint32_t k = 0; p->program->buffers[buffer].rows.kind == ROWS_EDGES && k < p->program->n_buffers; k++) {
        const desc_buffer *b = &p->program->buffers[k];
        r.in |= b->kind == BUF_EDGE_ROW && b->index == buffer;
        r.out |= b->kind == BUF_EDGE_ROW_OUT && b->index == buffer;
    }
    return r;
}

static bool makes_pairs(const prepared *p, uint32_t buffer)
{
    for (uint32_t i = 0; i < p->program->n_pairs; i++)
        if (p->program->pairs[i].index_buffer == buffer)
            return true;
    return false;
}

/* The order in which such an input is read. What never changes is put in walk order once, where its rows are short: a
 * few bytes each from all over memory cost a walk more than the rows of its nodes; long rows cost hardly more. The
 * order is that of the outgoing walk where nothing else reads the input. */
static mp_status choose_order(prepared *p, uint32_t k, const binding *t, bool constant, edge_reads reads, row_order *out)
{
    enum { SHORT_ROW = 64 };            /* bytes */
    const graph_rows *in, *outgoing;
    mp_status st = graph_in(p->graph, &in);
    if (st)
        return st;
    p->eid = in->eid;
    bool walk = t->flags & MP_WALK_ORDER;
    int64_t n = p->graph->n_edges;
    p->in_walk[k] = walk;
    if (walk || !constant || !n || p->bytes[k] / (size_t)n > SHORT_ROW)
        return MP_OK;
    if (!reads.in && !makes_pairs(p, k)) {
        st = graph_out(p->graph, &outgoing);
        if (st || is_identity(outgoing->eid))
            return st;
        p->out_eid = outgoing->eid;
        p->in_out[k] = true;
        *out = ORDER_TO_OUT;
    } else if (!is_identity(in->eid)) {
        *out = ORDER_TO_WALK;
        p->in_walk[k] = true;
    }
    return MP_OK;
}

/* From the tensor's order to the buffer's. */
static mp_status order_between(prepared *p, const desc_buffer *b, const binding *t, row_order *out)
{
    *out = ORDER_AS_IS;
    bool walk = t->flags & MP_WALK_ORDER;
    if (b->rows.kind != ROWS_EDGES || walk == b->walk_order)
        return MP_OK;
    const graph_rows *in;
    mp_status st = graph_in(p->graph, &in);
    if (st)
        return st;
    p->eid = in->eid;
    if (!is_identity(in->eid))
        *out = walk ? ORDER_FROM_WALK : ORDER_TO_WALK;
    return MP_OK;
}

/* ---- Whose a buffer is ------------------------------------------------------------------------------------------ */

bool prepared_is_input(const prepared *p, const desc_buffer *b)
{
    return b->kind == BUF_INPUT || b->kind == BUF_COTANGENT || (b->kind == BUF_OUTPUT && p->kind == DESC_BACKWARD);
}

bool prepared_is_output(const prepared *p, const desc_buffer *b)
{
    return b->kind == BUF_GRADIENT || (b->kind == BUF_OUTPUT && p->kind != DESC_BACKWARD);
}

const binding *prepared_binding(const mp_layer *layer, const prepared *p, uint32_t buffer)
{
    const desc_buffer *b = &p->program->buffers[buffer];
    switch ((mp_buffer_kind)b->kind) {
    case BUF_INPUT: return &layer->inputs[b->index];
    case BUF_OUTPUT: return &layer->outputs[b->index];
    case BUF_COTANGENT: return &layer->cotangents[b->index];
    case BUF_GRADIENT: return &layer->gradients[b->index];
    case BUF_WORK: case BUF_GRAPH: case BUF_PAIR_ROW: case BUF_PAIR_IDX: case BUF_PAIR_MEMBER: case BUF_PAIR_OF:
    case BUF_PAIR_BY_INDEX: case BUF_EDGE_ROW: case BUF_EDGE_ROW_OUT: case BUF_SLOT: case BUF_SAVED: break;
    }
    return NULL;
}

static const char *name_of(const mp_layer *layer, const prepared *p, uint32_t buffer)
{
    const desc_buffer *b = &p->program->buffers[buffer];
    bool input = b->kind == BUF_INPUT || b->kind == BUF_GRADIENT;
    return input ? layer->desc->inputs[b->index].name : layer->desc->outputs[b->index].name;
}

/* ---- Inputs ----------------------------------------------------------------------------------------------------- */

static void *direct(const binding *b)
{
    return b->copy ? b->copy : tensor_data(&b->t);
}

static mp_status room(mp_layer *layer, const char *name, size_t bytes, void **out)
{
    *out = data_alloc(layer->ctx, bytes);
    return *out ? MP_OK : error_memory(layer->ctx, bytes, name);
}

/* A cotangent that is not bound: zeros, or ones where no output has one. */
static mp_status fill_cotangent(mp_layer *layer, prepared *p, uint32_t k)
{
    bool any = false;
    tensor_type type = type_of_elem(p->program->buffers[k].type);
    for (uint32_t i = 0; i < layer->desc->n_outputs; i++)
        any |= layer->cotangents[i].bound;
    feed f = { .buffer = k, .constant = true, .once = true, .bytes = p->bytes[k] };
    mp_status st = room(layer, name_of(layer, p, k), f.bytes, &f.packed);
    p->base[k] = f.packed;
    p->feeds[p->n_feeds++] = f;
    if (st || !f.bytes)
        return st;
    char *here = mem_zalloc(layer->ctx, f.bytes);
    if (!here)
        return error_memory(layer->ctx, f.bytes, name_of(layer, p, k));
    double one = 1;
    for (size_t at = 0, size = tensor_type_size(type); at < f.bytes && !any; at += size)
        convert_run(TENSOR_F64, &one, 1, type, here + at, 1);
    st = data_upload(layer->ctx, f.packed, here, f.bytes);
    mem_free(layer->ctx, here, f.bytes);
    return st;
}

/* Is it in memory of the host, and the kernels read that of a GPU? */
static bool is_elsewhere(const prepared *p, const binding *t)
{
    return p->device && (t->copy || !tensor_on_device(&t->t));
}

/* A GPU changes the order of rows by a list that must be there before a call. */
static mp_status order_list(const prepared *p, row_order order)
{
    const void *list;
    return p->device && order != ORDER_AS_IS ? device_graph_array(p->graph, order == ORDER_TO_OUT ? GRAPH_OUT_EID : GRAPH_IN_EID, &list) : MP_OK;
}

static mp_status prepare_input(mp_layer *layer, prepared *p, uint32_t k)
{
    const desc_buffer *b = &p->program->buffers[k];
    const binding *t = prepared_binding(layer, p, k);
    const char *name = name_of(layer, p, k);
    if (!t->bound && b->kind == BUF_COTANGENT)
        return fill_cotangent(layer, p, k);
    if (b->kind == BUF_OUTPUT && tape_keeps(layer, b->index)) {     /* in the order of the edge list */
        p->from_tape[k] = true;
        return MP_OK;
    }
    if (!t->bound)
        return layer_error(layer, MP_USAGE, "%s is not bound", name);
    feed f = { .buffer = k, .bytes = p->bytes[k], .once = t->copy || (t->flags & MP_CONST) };
    f.convert = is_elsewhere(p, t) || (!t->copy && (t->type != type_of_elem(b->type) || !t->compact));
    edge_reads reads = reads_of(p, k);
    mp_status st = reads.in || reads.out ? choose_order(p, k, t, f.once, reads, &f.order) : order_between(p, b, t, &f.order);
    if (!st)
        st = order_list(p, f.order);
    if (st)
        return st;
    p->base[k] = direct(t);
    if (!f.convert && f.order == ORDER_AS_IS)
        return MP_OK;
    if (f.convert)
        st = room(layer, name, f.bytes, &f.packed);
    if (!st && f.order != ORDER_AS_IS)
        st = room(layer, name, f.bytes, &f.ordered);
    p->feeds[p->n_feeds++] = f;
    p->base[k] = f.ordered ? f.ordered : f.packed;
    return st;
}

/* What was checked when it was bound is in the buffer's type already. */
static void feed_device(mp_layer *layer, prepared *p, const binding *t, tensor_type type, void *to)
{
    DLTensor copy = t->t;
    if (t->copy) {
        copy.data = t->copy;
        copy.byte_offset = 0;
        copy.strides = NULL;
        copy.device = (DLDevice){ kDLCPU, 0 };
        copy.dtype = tensor_dtype(type);
    }
    device_convert_in(layer, p, &copy, type, to);
}

void tensors_feed(mp_layer *layer, prepared *p, bool once)
{
    for (uint32_t i = 0; i < p->n_feeds; i++) {
        const feed *f = &p->feeds[i];
        if (f->once != once || f->constant)
            continue;
        const binding *t = prepared_binding(layer, p, f->buffer);
        const void *from = direct(t);
        tensor_type type = type_of_elem(p->program->buffers[f->buffer].type);
        if (f->convert && p->device)
            feed_device(layer, p, t, type, f->packed);
        else if (f->convert)
            convert_in(layer->ctx, &t->t, type, f->packed);
        if (f->convert)
            from = f->packed;
        if (f->order != ORDER_AS_IS)
            reorder_rows(layer, p, f->order, from, f->ordered, f->bytes);
    }
}

/* ---- Outputs ---------------------------------------------------------------------------------------------------- */

typedef struct range { const char *lo, *hi; } range;

static range range_of(const binding *b)
{
    const char *at = tensor_data(&b->t);
    range r = { at, at };
    if (!tensor_count(&b->t))
        return (range){ NULL, NULL };
    int64_t size = (int64_t)tensor_type_size(b->type);
    for (int i = 0; i < b->t.ndim; i++) {
        int64_t reach = (b->t.shape[i] - 1) * tensor_stride(&b->t, i) * size;
        if (reach > 0)
            r.hi += reach;
        else
            r.lo += reach;
    }
    r.hi += size;
    return r;
}

static bool overlap(range a, range b)
{
    return a.lo < b.hi && b.lo < a.hi;
}

static bool one_overlaps(range mine, const binding *me, const binding *list, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (&list[i] != me && list[i].bound && !list[i].copy && overlap(mine, range_of(&list[i])))
            return true;
    return false;
}

/* Does what is written share memory with what the kernels read where it lies, or with something else that is written? */
static bool shares_memory(const mp_layer *layer, const binding *me)
{
    const desc_layer *l = layer->desc;
    range mine = range_of(me);
    bool gradient = me >= layer->gradients && me < layer->gradients + l->n_inputs;
    if (one_overlaps(mine, me, layer->inputs, l->n_inputs) || one_overlaps(mine, me, layer->outputs, l->n_outputs))
        return true;
    return gradient && (one_overlaps(mine, me, layer->cotangents, l->n_outputs) ||
                        one_overlaps(mine, me, layer->gradients, l->n_inputs));
}

static mp_status refuse_same_memory(mp_layer *layer, const prepared *p)
{
    const desc_layer *l = layer->desc;
    bool back = p->kind == DESC_BACKWARD;
    const binding *list = back ? layer->gradients : layer->outputs;
    const desc_value *values = back ? l->inputs : l->outputs;
    uint32_t n = back ? l->n_inputs : l->n_outputs;
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < i; j++) {
            const binding *a = &list[i], *b = &list[j];
            if (a->bound && b->bound && a->compact && b->compact && overlap(range_of(a), range_of(b)))
                return layer_error(layer, MP_INVALID, "the %s %s and %s are bound to the same memory",
                                   back ? "gradients of" : "outputs", values[j].name, values[i].name);
        }
    return MP_OK;
}

/* Memory of the layer's for an output that is not bound. */
static mp_status own_memory(mp_layer *layer, uint32_t output, size_t bytes)
{
    own_output *own = &layer->own[output];
    if (own->data && own->bytes >= bytes)
        return MP_OK;
    data_free(layer->ctx, own->data, own->bytes);
    own->bytes = 0;
    mp_status st = room(layer, layer->desc->outputs[output].name, bytes, &own->data);
    if (!st)
        own->bytes = bytes;
    return st;
}

static mp_status prepare_output(mp_layer *layer, prepared *p, uint32_t k)
{
    const desc_buffer *b = &p->program->buffers[k];
    const binding *t = prepared_binding(layer, p, k);
    const char *name = name_of(layer, p, k);
    drain d = { .buffer = k, .bytes = p->bytes[k], .add = t->flags & MP_ACCUMULATE };
    if (b->kind == BUF_GRADIENT && !t->bound)       /* left out, or in the workspace */
        return MP_OK;
    mp_status st = order_between(p, b, t, &d.order);
    if (d.order != ORDER_AS_IS)             /* the way out is the other way round */
        d.order = d.order == ORDER_TO_WALK ? ORDER_FROM_WALK : ORDER_TO_WALK;
    if (!st && !t->bound)
        st = own_memory(layer, b->index, d.bytes);
    if (st)
        return st;
    d.convert = d.add || (t->bound && (t->type != type_of_elem(b->type) || !t->compact || is_elsewhere(p, t)));
    st = order_list(p, d.order);
    if (st)
        return st;
    d.overlaps = t->bound && shares_memory(layer, t);
    if (!d.convert && !d.overlaps && d.order == ORDER_AS_IS) {
        p->base[k] = t->bound ? tensor_data(&t->t) : layer->own[b->index].data;
        return MP_OK;
    }
    st = room(layer, name, d.bytes, &d.staged);
    if (!st && d.convert && d.order != ORDER_AS_IS)
        st = room(layer, name, d.bytes, &d.ordered);
    p->drains[p->n_drains++] = d;
    p->base[k] = d.staged;
    return st;
}

void tensors_drain(mp_layer *layer, prepared *p)
{
    for (uint32_t i = 0; i < p->n_drains; i++) {
        const drain *d = &p->drains[i];
        const binding *t = prepared_binding(layer, p, d->buffer);
        const desc_buffer *b = &p->program->buffers[d->buffer];
        void *to = t->bound ? tensor_data(&t->t) : layer->own[b->index].data;
        const void *from = d->staged;
        if (d->order != ORDER_AS_IS) {
            void *ordered = d->convert ? d->ordered : to;
            reorder_rows(layer, p, d->order, from, ordered, d->bytes);
            from = ordered;
        }
        if (p->device && d->convert)
            device_convert_out(layer, p, from, type_of_elem(b->type), &t->t, d->add);
        else if (d->add)
            convert_add(layer->ctx, from, type_of_elem(b->type), &t->t);
        else if (d->convert)
            convert_out(layer->ctx, from, type_of_elem(b->type), &t->t);
        else if (from != to && d->bytes)
            copy_bytes(layer->ctx, to, from, d->bytes);
    }
}

/* Where the rows of an edge input stand, by position of the walk. */
static mp_status edge_rows(prepared *p, uint32_t k)
{
    const desc_buffer *b = &p->program->buffers[k];
    bool walk = p->in_walk[b->index];
    mp_graph_array which = p->in_out[b->index] || (walk && b->kind == BUF_EDGE_ROW) ? GRAPH_IN_IDENTITY
                           : b->kind == BUF_EDGE_ROW                               ? GRAPH_IN_EID
                           : walk                                                  ? GRAPH_OUT_POS
                                                                                   : GRAPH_OUT_EID;
    const void *array = NULL;
    mp_status st = p->device ? device_graph_array(p->graph, which, &array) : graph_array(p->graph, which, &array);
    p->base[k] = (void *)(uintptr_t)array;
    return st;
}

/* ---- All of them ------------------------------------------------------------------------------------------------ */

mp_status tensors_prepare(mp_layer *layer, prepared *p, const int64_t *in_elems, const int64_t *out_elems)
{
    const desc_program *d = p->program;
    mp_status st = refuse_same_memory(layer, p);
    for (uint32_t k = 0; k < d->n_buffers && !st; k++) {
        const desc_buffer *b = &d->buffers[k];
        if (p->unused[k] || (!prepared_is_input(p, b) && !prepared_is_output(p, b)))
            continue;
        int64_t elems = desc_size_value(&b->elems, p->dim);
        bool input = prepared_is_input(p, b), of_input = b->kind == BUF_INPUT || b->kind == BUF_GRADIENT;
        if (elems != (of_input ? in_elems : out_elems)[b->index] && (b->kind != BUF_INPUT || layer->inputs[b->index].bound))
            return layer_error(layer, MP_INVALID, "the module is damaged: buffer %s has %lld elements a row", b->name,
                               (long long)elems);
        if (!mem_size(p->rows[k], (size_t)elems * desc_elem_size(b->type), &p->bytes[k]))
            return layer_error(layer, MP_INVALID, "%s is too large", b->name);
        st = input ? prepare_input(layer, p, k) : prepare_output(layer, p, k);
    }
    for (uint32_t k = 0; k < d->n_buffers && !st; k++)
        if (!p->unused[k] && (d->buffers[k].kind == BUF_EDGE_ROW || d->buffers[k].kind == BUF_EDGE_ROW_OUT))
            st = edge_rows(p, k);
    if (st || !p->device) {
        if (!st)
            tensors_feed(layer, p, true);
        return st;
    }
    p->device->failed = MP_OK;
    device_enter(layer->ctx);
    tensors_feed(layer, p, true);
    device_leave(layer->ctx);
    return p->device->failed;
}

mp_status tensors_refresh(mp_layer *layer, prepared *p, bool *fits)
{
    *fits = true;
    mp_status st = refuse_same_memory(layer, p);
    if (st)
        return st;
    for (uint32_t k = 0; k < p->program->n_buffers; k++) {
        const desc_buffer *b = &p->program->buffers[k];
        bool staged = false;
        for (uint32_t i = 0; i < p->n_feeds; i++)
            staged |= p->feeds[i].buffer == k;
        for (uint32_t i = 0; i < p->n_drains; i++)
            staged |= p->drains[i].buffer == k;
        if (staged || p->unused[k] || p->from_tape[k])
            continue;
        const binding *t = prepared_binding(layer, p, k);
        if (prepared_is_input(p, b))
            p->base[k] = direct(t);
        if (prepared_is_output(p, b) && t->bound) {
            p->base[k] = tensor_data(&t->t);
            *fits &= !shares_memory(layer, t);
        }
    }
    return MP_OK;
}

void tensors_free(mp_context *ctx, prepared *p)
{
    for (uint32_t i = 0; i < p->n_feeds; i++) {
        data_free(ctx, p->feeds[i].packed, p->feeds[i].bytes);
        data_free(ctx, p->feeds[i].ordered, p->feeds[i].bytes);
    }
    for (uint32_t i = 0; i < p->n_drains; i++) {
        data_free(ctx, p->drains[i].staged, p->drains[i].bytes);
        data_free(ctx, p->drains[i].ordered, p->drains[i].bytes);
    }
}
