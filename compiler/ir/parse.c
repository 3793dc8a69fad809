/* The reader of the text form; print.h shows it. Values are entered as they stand, nothing is folded or
 * merged, and ir_verify decides at the end whether the whole is a layer. The first error ends the reading. */
#include "compiler/ir/parse_int.h"

#include <string.h>

#include "compiler/ir/build_int.h"
#include "compiler/ir/print.h"
#include "compiler/ir/verify.h"

/* ---- the head ---- */

static bool read_statics(reader *r)
{
    if (!text_need(r, "("))
        return false;
    while (!text_take(r, ")")) {
        str name;
        if (r->l->n_statics && !text_need(r, ","))
            return false;
        if (!text_name(r, &name))
            return false;
        bool real = text_take(r, ":") && text_need(r, "real");
        uint32_t at = real ? ir_static_real(r->l, name) : ir_static_dim(r->l, name);
        ir_static *s = &r->l->statics[at];
        if (!real)
            dim_symbol(r->l->dims, name);
        if (text_take(r, "=")) {
            s->has_default = true;
            if (real ? !text_double(r, &s->value) : !text_dim(r, &s->dim_default))
                return false;
        }
        if (text_take(r, "fixed")) {
            s->fixed = true;
            if (!text_double(r, &s->value))
                return false;
        }
        if (r->error)
            return false;
    }
    return true;
}

bool text_domain(reader *r, ir_dom *out)
{
    str name;
    if (!text_name(r, &name))
        return false;
    if (strcmp(name, "index") == 0) {
        dim range;
        if (!text_need(r, "(") || !text_dim(r, &range) || !text_need(r, ")"))
            return false;
        *out = ir_dom_index(r->l, range);
        return true;
    }
    for (uint32_t i = 0; i < r->l->n_domains; i++) {
        if (strcmp(r->l->domains[i].name, name) == 0) {
            *out = (ir_dom){i};
            return true;
        }
    }
    return text_fail(r, "there is no domain %s", name);
}

static bool read_domain(reader *r)
{
    ir_layer *l = r->l;
    text_spaces(r);
    if (strncmp(r->p, "index(", 6) == 0) {
        ir_dom d;
        return text_domain(r, &d);
    }
    str name;
    if (!text_name(r, &name))
        return false;
    ir_domain d = {.name = name};
    ir_dom *role = NULL;
    if (text_take(r, "edges")) {
        d.kind = DOM_EDGES;
        role = &l->edge;
    } else if (text_take(r, "graphs")) {
        d.kind = DOM_GRAPHS;
        role = &l->graph;
    } else if (text_take(r, "nodes")) {
        d.kind = DOM_NODES;
        d.side = text_take(r, "src") ? SIDE_SRC : SIDE_DST;
        role = d.side == SIDE_SRC ? &l->src : &l->dst;
        if (d.side == SIDE_DST && !text_need(r, "dst"))
            return false;
    } else if (text_take(r, "pair")) {
        uint32_t id;
        d.kind = DOM_PAIR;
        if (!text_need(r, "%") || !text_uint(r, &id))
            return false;
        vec_push(r->mem, &r->pairs, (pair_line){{id}, l->n_domains});
    } else {
        return text_fail(r, "expected the kind of domain %s", name);
    }
    if (role && role->i)
        return text_fail(r, "a second domain of the kind of %s", name);
    for (uint32_t i = 0; i < l->n_domains; i++)
        if (strcmp(l->domains[i].name, name) == 0)
            return text_fail(r, "a second domain %s", name);
    ir_dom made = ir_domain_add(l, &d);
    if (role)
        *role = made;
    return true;
}

static bool read_need(reader *r)
{
    str name;
    bool square = text_take(r, "square");
    if ((!square && !text_need(r, "degrees")) || !text_string(r, &name))
        return false;
    ir_need_add(r->l, square ? NEED_SQUARE : NEED_DEGREES, *name ? name : NULL, (span){0});
    return true;
}

static bool read_loop(reader *r)
{
    uint32_t region, parent, depth = 0;
    str name;
    dim limit;
    if (!text_uint(r, &region) || !text_string(r, &name) || !text_need(r, "in") || !text_uint(r, &parent) || !text_need(r, "for") ||
        !text_dim(r, &limit))
        return false;
    if (region != r->l->n_loops + 1 || parent >= region)
        return text_fail(r, "loops are numbered from 1, one inside of another comes after it");
    for (uint32_t at = parent; at; at = ir_region_parent(r->l, at))
        if (++depth >= IR_MAX_NEST)
            return text_fail(r, "more than %d loops inside each other", IR_MAX_NEST);
    uint32_t loop = ir_loop_begin(r->l, parent, *name ? name : NULL, limit, 1);
    if (text_take(r, "again"))
        ir_loop_again(r->l, loop, text_take(r, "back"));
    vec_push(r->mem, &r->states, (states){0});
    return true;
}

/* ---- the end ---- */

bool text_loop(reader *r, uint32_t *loop)
{
    if (!text_uint(r, loop))
        return false;
    if (*loop == 0 || *loop > r->l->n_loops)
        return text_fail(r, "there is no loop %u", *loop);
    --*loop;
    return true;
}

static bool read_next(reader *r)
{
    uint32_t loop;
    ir_state s = {0};
    if (!text_loop(r, &loop) || !text_string(r, &s.name) || !text_value(r, &s.init) || !text_value(r, &s.state) ||
        !text_value(r, &s.next))
        return false;
    if (!*s.name)
        s.name = NULL;
    vec_push(r->mem, &r->states.at[loop], s);
    return true;
}

static bool read_until(reader *r)
{
    uint32_t loop;
    return text_loop(r, &loop) && text_value(r, &r->l->loops[loop].tol);
}

static bool read_count(reader *r)
{
    uint32_t loop;
    return text_loop(r, &loop) && text_value(r, &r->l->loops[loop].count);
}

static bool read_output(reader *r)
{
    ir_output o = {0};
    if (!text_string(r, &o.name))
        return false;
    o.sided = text_take(r, "sided");
    if (!text_domain(r, &o.rows) || !text_value(r, &o.value))
        return false;
    IR_GROW(r->l, r->l->outputs, r->l->n_outputs, r->l->builder->cap_outputs);
    r->l->outputs[r->l->n_outputs++] = o;
    return true;
}

static bool read_line(reader *r)
{
    if (text_at_end(r))
        return true;
    if (text_take(r, "%")) return text_value_line(r);
    if (text_take(r, "need")) return read_need(r);
    if (text_take(r, "domain")) return read_domain(r);
    if (text_take(r, "loop")) return read_loop(r);
    if (text_take(r, "next")) return read_next(r);
    if (text_take(r, "until")) return read_until(r);
    if (text_take(r, "count")) return read_count(r);
    if (text_take(r, "output")) return read_output(r);
    return text_fail(r, "expected a statement");
}

static bool read_layer(reader *r)
{
    str name;
    while (text_at_end(r) && *r->p) {                /* comments before the layer */
        while (*r->p && *r->p != '\n')
            r->p++;
        if (*r->p) {
            r->p++;
            r->line++;
        }
    }
    if (!text_need(r, "layer") || !text_name(r, &name))
        return false;
    r->l->name = name;
    if (!read_statics(r))
        return false;
    for (;;) {
        if (!text_at_end(r))
            return text_fail(r, "expected the end of the line");
        while (*r->p && *r->p != '\n')
            r->p++;
        if (!*r->p)
            return true;
        r->p++;
        r->line++;
        if (!read_line(r))
            return false;
    }
}

static bool finish(reader *r)
{
    for (uint32_t i = 0; i < r->states.n; i++) {
        if (!r->states.at[i].n)
            return text_fail(r, "loop %u has no states", i + 1);
        r->l->loops[i].states = r->states.at[i].at;
        r->l->loops[i].nstates = r->states.at[i].n;
    }
    for (uint32_t i = 0; i < r->pairs.n; i++) {
        uint64_t *v = map_get(&r->values, r->pairs.at[i].given.i);
        if (!v || *v != r->l->domains[r->pairs.at[i].domain].map.i)
            return text_fail(r, "%%%u does not make the pairs of %s", r->pairs.at[i].given.i, r->l->domains[r->pairs.at[i].domain].name);
    }
    const char *broken = ir_verify(r->l, r->mem);
    if (broken) {
        r->error = broken;
        return false;
    }
    return true;
}

/* A function of its own, so that no variable of it lives in the frame that a longjmp returns to. */
static __attribute__((noinline)) bool read_all(reader *r) { return read_layer(r) && finish(r); }

ir_layer *ir_parse(arena *mem, dim_table *dims, str_table *names, const char *text, const char **error)
{
    reader *r = NEW(mem, reader);               /* not on the stack: it is read after a longjmp */
    ir_trap *trap = NEW(mem, ir_trap);
    *r = (reader){.p = text, .line = 1, .mem = mem, .names = names, .values = map_make(mem)};
    r->l = ir_layer_new(mem, dims, NULL);
    ir_set_trap(r->l, trap);
    volatile bool ok = false;
    if (setjmp(trap->env) == 0)
        ok = read_all(r);
    else
        text_fail(r, "%s", trap->text);
    ir_set_trap(r->l, NULL);
    *error = ok ? NULL : r->error;
    return ok ? r->l : NULL;
}
