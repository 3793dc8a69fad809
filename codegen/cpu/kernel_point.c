/* What is written for one point of a nest: its statements, or a part of them: see kernel_nest.h. */
#include "codegen/cpu/debuginfo.h"
#include "codegen/cpu/kernel_nest.h"

red_op kg_reduction(ir_op op)
{
    if (op == OP_MUL)
        return RED_MUL;
    if (op == OP_MAX)
        return RED_MAX;
    if (op == OP_MIN)
        return RED_MIN;
    if (op == OP_AND)
        return RED_AND;
    return op == OP_OR ? RED_OR : RED_ADD;
}

static elem dest_elem(const kgen *g, const kref *d)
{
    return kg_elem(d->kind == REF_LOCAL ? g->k->locals[d->id].type : g->p->buffers[d->id].type);
}

static LLVMValueRef as_type_of(kgen *g, LLVMValueRef v, LLVMValueRef like)
{
    return emit_convert(g->e, v, emit_elem(like));
}

/* An offset that goes by a loaded index may be none: below 0, nothing is written. */
static LLVMValueRef written_at_all(kgen *g, const kref *d)
{
    if (!(g->has[d->offset.i] & HAS_INDEX))
        return NULL;
    kval v = kg_eval(g, d->offset);
    v.lane = NULL;              /* of one row of a table: all lanes or none */
    return v.vec ? NULL : kg_icompare(g, CMP_GE, v, kg_const(0));
}

static void statement(kgen *g, const knode *s)
{
    debug_line(g->e, s->where);
    LLVMValueRef ok = written_at_all(g, &s->dest);
    emit_if c;
    if (ok) {
        c = emit_if_begin(g->e, ok);
        kg_push(g, false);
    }
    kval v = kg_eval(g, s->value);
    if (s->kind == KN_ACCUM) {
        LLVMValueRef old = kg_dest_load(g, &s->dest);
        v = kg_real(emit_combine(g->e, kg_reduction(s->op), old, as_type_of(g, kg_vector(g, v), old)));
    }
    kg_dest_store(g, &s->dest, v);
    if (ok) {
        kg_pop(g);
        emit_if_end(g->e, &c);
    }
}

/* Running sums in variables of the frame, which become registers. */
static void sums_begin(kgen *g, nest *n, int point)
{
    for (uint32_t i = 0; i < n->n_body; i++) {
        const knode *s = n->body[i];
        debug_line(g->e, s->where);
        elem t = elem_register(dest_elem(g, &s->dest));
        LLVMValueRef first =
            n->by_lane ? emit_neutral(g->e, kg_reduction(s->op), t, g->lanes) : kg_dest_load(g, &s->dest);
        LLVMValueRef *temp = &n->temp[point * (int)n->n_body + (int)i];
        *temp = emit_local(g->e, LLVMTypeOf(first), 1, 64);
        LLVMBuildStore(g->e->b, first, *temp);
    }
}

static void sums_step(kgen *g, nest *n, int point)
{
    for (uint32_t i = 0; i < n->n_body; i++) {
        const knode *s = n->body[i];
        debug_line(g->e, s->where);
        LLVMValueRef temp = n->temp[point * (int)n->n_body + (int)i];
        LLVMTypeRef type = LLVMGetAllocatedType(temp);
        LLVMValueRef v = kg_vector(g, kg_eval(g, s->value));
        LLVMValueRef old = LLVMBuildLoad2(g->e->b, type, temp, "");
        int held = emit_lanes(old);
        if (held > g->lanes) {                          /* a narrower rest of a sum by lane */
            LLVMValueRef rest = emit_slice(g->e, old, 0, g->lanes);
            LLVMValueRef now = emit_combine(g->e, kg_reduction(s->op), rest, as_type_of(g, v, old));
            if (g->tail)
                now = emit_select(g->e, g->tail, now, rest);
            for (int l = 0; l < g->lanes; l++)
                old = emit_set_lane(g->e, old, emit_lane(g->e, now, l), l);
            LLVMBuildStore(g->e->b, old, temp);
            continue;
        }
        LLVMValueRef now = emit_combine(g->e, kg_reduction(s->op), old, as_type_of(g, v, old));
        if (n->by_lane && g->tail)
            now = emit_select(g->e, g->tail, now, old);
        LLVMBuildStore(g->e->b, now, temp);
    }
}

static void sums_end(kgen *g, nest *n, int point)
{
    for (uint32_t i = 0; i < n->n_body; i++) {
        const knode *s = n->body[i];
        debug_line(g->e, s->where);
        LLVMValueRef temp = n->temp[point * (int)n->n_body + (int)i];
        LLVMValueRef v = LLVMBuildLoad2(g->e->b, LLVMGetAllocatedType(temp), temp, "");
        if (n->by_lane)
            v = emit_combine(g->e, kg_reduction(s->op), kg_dest_load(g, &s->dest),
                             emit_reduce(g->e, kg_reduction(s->op), v));
        kg_dest_store(g, &s->dest, kg_real(v));
    }
}

/* The values of a point as they are, and destinations that take such values: for sums over short rows. */
static void values(kgen *g, nest *n, int point)
{
    for (uint32_t i = 0; i < n->n_body; i++) {
        debug_line(g->e, n->body[i]->where);
        elem t = elem_register(dest_elem(g, &n->body[i]->dest));
        n->temp[point * (int)n->n_body + (int)i] =
            emit_convert(g->e, kg_vector(g, kg_eval(g, n->body[i]->value)), t);
    }
}

static void take(kgen *g, nest *n, int point)
{
    for (uint32_t i = 0; i < n->n_body; i++) {
        const knode *s = n->body[i];
        debug_line(g->e, s->where);
        LLVMValueRef v = n->temp[point * (int)n->n_body + (int)i];
        kg_dest_store(g, &s->dest,
                      kg_real(emit_combine(g->e, kg_reduction(s->op), kg_dest_load(g, &s->dest), v)));
    }
}

/* One value of the condition for each lane. */
static void look(kgen *g, nest *n)
{
    LLVMValueRef c = kg_vector(g, kg_eval(g, n->cond));
    if (g->tail && g->lanes > 1)
        c = emit_and(g->e, c, g->tail);
    LLVMValueRef old = LLVMBuildLoad2(g->e->b, g->e->i1_t, n->any, "");
    LLVMBuildStore(g->e->b, emit_or(g->e, old, g->lanes > 1 ? emit_any(g->e, c) : c), n->any);
}

static void plain(kgen *g, nest *n)
{
    if (kx_is(n->cond))
        look(g, n);
    for (uint32_t i = 0; i < n->n_body; i++)
        statement(g, n->body[i]);
}

void kg_part(kgen *g, nest *n, part what, int point)
{
    kg_push(g, true);
    switch (what) {
    case PART_ALL: plain(g, n); break;
    case PART_BEGIN: sums_begin(g, n, point); break;
    case PART_STEP: sums_step(g, n, point); break;
    case PART_END: sums_end(g, n, point); break;
    case PART_VALUES: values(g, n, point); break;
    case PART_TAKE: take(g, n, point); break;
    }
    kg_pop(g);
}
