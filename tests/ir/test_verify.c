/* A sound layer, one node or table entry changed at a time: the verifier must say which rule is broken. */
#include "tests/ir/fixture.h"

#include <stdlib.h>

typedef struct { fixture f; ir_layer *l; ir_val x, w, i, add, gather, sum, ein, slice, state, final, pairs, spread, half; dim n; } sound;

static void make(sound *s)
{
    fixture_open(&s->f);
    fixture *f = &s->f;
    ir_layer *l = s->l = f->l;
    s->n = fixture_dim(f, "n", 3);
    s->x = fixture_input(f, "x", ir_dom_src(l), T_F32, shape_of(f, 1, s->n));
    s->w = fixture_input(f, "w", ir_dom_unit(), T_F32, shape_of(f, 2, s->n, s->n));
    s->i = fixture_index(f, "i", ir_dom_edge(l), s->n, false);
    s->add = ir_add(l, s->x, ir_exp(l, s->x));
    s->gather = ir_gather(l, s->add, ir_map_src(l));
    s->sum = ir_agg(l, OP_AGG_SUM, s->gather, ir_map_dst(l));
    s->ein = ir_matmul(l, s->sum, s->w);
    s->slice = ir_slice(l, s->ein, 0, dim_const(f->dims, 1), dim_const(f->dims, 1));
    s->pairs = ir_map_pair(l, s->i, ir_map_dst(l));
    s->spread = ir_spread(l, ir_agg(l, OP_AGG_SUM, s->gather, s->pairs), s->pairs);
    s->half = ir_cast(l, s->ein, T_F16);
    uint32_t loop = ir_loop_begin(l, 0, NULL, s->n, 1);
    s->state = ir_loop_state(l, loop, 0, NULL, s->ein);
    ir_loop_next(l, loop, 0, ir_neg(l, s->state));
    ir_loop_until(l, loop, ir_const(l, T_F32, 0.5));
    ir_loop_end(l, loop);
    s->final = ir_loop_final(l, loop, 0);
    fixture_output(f, "o", s->final);
    fixture_output(f, "h", s->half);
}

static ir_node *at(sound *s, ir_val v) { return &s->l->nodes[v.i]; }
static void set_arg(sound *s, ir_val v, uint32_t k, ir_val to) { ((ir_val *)(uintptr_t)at(s, v)->args)[k] = to; }

/* The changes, and what the message must hold. */
static const char *change(sound *s, int which)
{
    ir_layer *l = s->l;
    switch (which) {
    case 0: at(s, s->add)->type = T_F64; return "add: type";
    case 1: at(s, s->add)->op = OP_N; return "no operation";
    case 2: at(s, s->add)->nargs = 1; return "1 operands, not 2";
    case 3: set_arg(s, s->add, 0, s->sum); return "is no earlier value";
    case 4: set_arg(s, s->add, 0, (ir_val){0}); return "is no earlier value";
    case 5: at(s, s->add)->rank = 0; return "operand 0 has more axes";
    case 6: at(s, s->add)->shape[0] = dim_const(s->f.dims, 5); return "shape of operand 0";
    case 7: at(s, s->add)->dom = ir_dom_edge(l); return "lies in another domain";
    case 8: at(s, s->add)->region = 1; return "region 1";
    case 9: at(s, s->add)->range = s->n; return "an index has a range";
    case 10: at(s, s->add)->none = true; return "only an index may be none";
    case 11: at(s, s->gather)->dom = ir_dom_src(l); return "domain of the result";
    case 12: set_arg(s, s->gather, 0, s->w); return "domain of operand 0";
    case 13: set_arg(s, s->gather, 1, s->x); return "is a map, or should be one";
    case 14: at(s, s->gather)->shape[0] = dim_const(s->f.dims, 5); return "gather: shape";
    case 15: at(s, s->sum)->type = T_BOOL; return "type";
    case 16: at(s, s->ein)->u.ein.out[0] = 7; return "letters of the result";
    case 17: at(s, s->ein)->u.ein.a[0] = 40; return "a letter twice";
    case 18: at(s, s->ein)->u.ein.na = 2; return "another rank";
    case 19: at(s, s->slice)->u.slice.axis = 3; return "no such range";
    case 20: at(s, s->spread)->shape[0] = dim_const(s->f.dims, 9); return "pairs";
    case 21: at(s, s->pairs)->u.cod = ir_dom_src(l); return "does not make its pairs";
    case 22: l->domains[ir_cod(l, s->pairs).i].base = ir_dom_edge(l); return "map_pair";
    case 23: at(s, s->half)->op = OP_NEG; return "half type";
    case 24: at(s, s->state)->region = 0; return "region 0";
    case 25: at(s, s->final)->u.loop.state = 4; return "no such state";
    case 26: at(s, s->final)->u.loop.loop = 4; return "of no loop";
    case 27: l->loops[0].states[0].next = s->x; return "is unlike the state";
    case 28: l->loops[0].states[0].init = s->final; return "no earlier init";
    case 29: l->loops[0].parent = 1; return "loop 0";
    case 30: l->loops[0].tol = s->x; return "tolerance";
    case 31: l->outputs[0].value = s->gather; return "rows of dst for a value of edge";
    case 32: l->outputs[0].value = l->loops[0].states[0].next; return "known in a loop only";
    case 33: l->inputs[1].value = s->x; return "table of inputs";
    case 34: l->inputs[0].param = true; return "a param outside";
    case 35: l->domains[0].kind = DOM_EDGES; return "domain 0";
    case 36: l->edge = l->src; return "other kinds";
    case 37: at(s, s->add)->dom.i = 77; return "type, domain or rank";
    case 38: at(s, s->add)->region = 9; return "region that there is not";
    case 39: at(s, s->i)->range = DIM_ERROR; return "an index has a range";
    case 40: at(s, s->state)->shape[0] = dim_const(s->f.dims, 5); return "unlike its init";
    case 41: at(s, s->final)->rank = 0; return "unlike its state";
    default: return NULL;
    }
}

int main(void)
{
    const char *want = "";
    for (int k = -1; want; k++) {
        sound s;
        make(&s);
        want = k < 0 ? "" : change(&s, k);
        const char *said = ir_verify(s.l, s.f.mem);
        if (k < 0 || !want)
            CHECK(said == NULL);
        else if (!said || !strstr(said, want))
            CHECK_TEXT(said ? said : "(sound)", want);
        fixture_close(&s.f);
    }
    return check_done();
}
