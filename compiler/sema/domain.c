/*
 * Domains: which values may be read where, what an argument needs, and what to write instead.
 */
#include "compiler/sema/check.h"

#include <string.h>

/* ---- what an expression needs ---- */

static unsigned need_of_dom(sem_dom d)
{
    static const unsigned need[] = {
        [SEM_PARAM] = 0,        [SEM_GLOBAL] = 0,          [SEM_GRAPH] = NEED_GRAPH,
        [SEM_NODE] = NEED_NODE, [SEM_SRC] = NEED_FROM_SRC, [SEM_DST] = NEED_FROM_DST,
        [SEM_EDGE] = NEED_EDGE};
    return need[d];
}

static unsigned need_of_name(checker *c, str name)
{
    if (c->fn) {
        const local *l = frame_find(c->fn, name);
        if (l) return l->value ? need_of_dom(l->value->dom) : 0;
    } else {
        binding *b = scope_find(c->scope, name);
        if (b) return b->kind == BIND_SYM ? need_of_dom(b->sym->dom) : 0;
    }
    return !strcmp(name, "in_degree") || !strcmp(name, "out_degree") ? NEED_NODE : 0;
}

static sem_inst *instance_of(checker *c, const ast_expr *e)
{
    if (e->kind != AST_EXPR_CALL || c->fn) return NULL;
    binding *b = scope_find(c->scope, e->call.name.text);
    return b && b->kind == BIND_INST ? b->inst : NULL;
}

static unsigned need_of_call(checker *c, const ast_expr *e, str output)
{
    sem_inst *inst = instance_of(c, e);
    if (inst) {
        sem_sym *s = instance_output(inst, output);
        return s ? need_of_dom(s->dom) : 0;
    }
    sem_fn f;
    const bool own = map_get_ptr(&c->fns, e->call.name.text) != NULL;
    if (!own && sem_find_fn(e->call.name.text, false, &f)) {
        if (f >= SEM_FN_sum && f < SEM_FN_softmax)
            return 0; /* an aggregate is a value of the equation's own domain */
        if (f == SEM_FN_grad)
            return e->call.n_args == 2 && e->call.args[1].value ? need_of(c, e->call.args[1].value) : 0;
    }
    unsigned need = 0;
    for (uint32_t i = 0; i < e->call.n_args; i++)
        if (e->call.args[i].value) need |= need_of(c, e->call.args[i].value);
    return need;
}

unsigned need_of(checker *c, const ast_expr *e)
{
    unsigned need = 0;
    switch (e->kind) {
    case AST_EXPR_ERROR: case AST_EXPR_NUMBER: case AST_EXPR_STRING: return 0;
    case AST_EXPR_NAME: return need_of_name(c, e->name.text);
    case AST_EXPR_QUALIFIED: return e->qualified.domain == AST_DOM_GRAPH ? NEED_GRAPH : NEED_EDGE;
    case AST_EXPR_UNARY: return need_of(c, e->op.right);
    case AST_EXPR_BINARY: return need_of(c, e->op.left) | need_of(c, e->op.right);
    case AST_EXPR_CALL: return need_of_call(c, e, NULL);
    case AST_EXPR_MEMBER:
        return instance_of(c, e->call.base) ? need_of_call(c, e->call.base, e->call.name.text) : 0;
    case AST_EXPR_METHOD: return need_of(c, e->call.base);
    case AST_EXPR_INDEX:
        need = need_of(c, e->index.base);
        for (uint32_t i = 0; i < e->index.n_subs; i++) {
            if (e->index.subs[i].lo) need |= need_of(c, e->index.subs[i].lo);
            if (e->index.subs[i].hi) need |= need_of(c, e->index.subs[i].hi);
        }
        return need;
    }
    return need;
}

sem_dom need_finest(unsigned need)
{
    if (need & NEED_EDGE) return SEM_EDGE;
    if (need & NEED_FROM_SRC && !(need & NEED_FROM_DST)) return SEM_SRC;
    if (need & (NEED_NODE | NEED_FROM_SRC | NEED_FROM_DST)) return SEM_NODE;
    return need & NEED_GRAPH ? SEM_GRAPH : SEM_PARAM;
}

ectx natural_ctx(unsigned need, ectx x)
{
    sem_dom finest = need_finest(need);
    const bool finer = sem_is_nodal(finest) ? !sem_is_nodal(x.dom) && x.dom < SEM_NODE : finest > x.dom;
    if (!finer) return x;
    return (ectx){.dom = finest, .outer = x.dom, .in_agg = x.in_agg};
}

/* ---- reading ---- */

static bool readable(sem_dom value, sem_dom at)
{
    if (value == SEM_PARAM) return true;
    if (value == SEM_GLOBAL) return at != SEM_PARAM;
    if (value == at) return true;
    switch (at) {
    case SEM_NODE: return value == SEM_DST;
    case SEM_SRC: case SEM_DST: return value == SEM_NODE;
    case SEM_PARAM: case SEM_GLOBAL: case SEM_GRAPH: case SEM_EDGE: return false;
    }
    return false;
}

static const char *kind_of(sem_dom d)
{
    static const char *const text[] = {[SEM_PARAM] = "a param",
                                       [SEM_GLOBAL] = "a value of the whole call",
                                       [SEM_GRAPH] = "a value of each graph",
                                       [SEM_NODE] = "a value of each node",
                                       [SEM_SRC] = "a value of each source node",
                                       [SEM_DST] = "a value of each destination node",
                                       [SEM_EDGE] = "a value of each edge"};
    return text[d];
}

static const char *member_of(sem_dom d)
{
    static const char *const text[] = {
        [SEM_PARAM] = "a param", [SEM_GLOBAL] = "the whole call", [SEM_GRAPH] = "a graph",
        [SEM_NODE] = "a node",   [SEM_SRC] = "a source node",     [SEM_DST] = "a destination node",
        [SEM_EDGE] = "an edge"};
    return text[d];
}

static void unreadable(checker *c, const ast_expr *e, const char *name, sem_dom value, ectx x)
{
    diag *d;
    if (x.dom == SEM_PARAM && value != SEM_PARAM) {
        sem_err(c, DIAG_DOMAIN, e->at, "`%s` is %s; only params, numbers and static arguments can stand here",
                name, kind_of(value));
        return;
    }
    if (x.dom == SEM_EDGE && value == SEM_NODE) {
        d = sem_err(c, DIAG_DOMAIN, e->at, "`%s` is %s, and an edge has two", name, kind_of(value));
        diag_help(d, "write src.%s or dst.%s", name, name);
        return;
    }
    d = sem_err(c, DIAG_DOMAIN, e->at, "`%s` is %s, and this is evaluated for %s", name, kind_of(value),
                member_of(x.dom));
    if (x.dom == SEM_EDGE) {
        diag_help(d, "write %s.%s", sem_dom_name(value), name);
    } else if (sem_is_nodal(x.dom) && value == SEM_GRAPH) {
        diag_help(d, "write graph.%s", name);
    } else if (sem_is_nodal(x.dom) && value == SEM_EDGE) {
        diag_help(d,
                  x.dom == SEM_SRC ? "a source node sees its edges through an aggregate, as sum(%s, by = src)"
                                   : "a node sees its edges through an aggregate, as sum(%s)",
                  name);
    } else if (x.dom < SEM_NODE) {
        diag_help(d, "aggregate it, as mean(%s)", name);
    }
}

sem_expr *read_value(checker *c, const ast_expr *e, sem_expr *value, const char *name, ectx x)
{
    if (sem_is_bad(value)) return value;
    if (!readable(value->dom, x.dom)) {
        unreadable(c, e, name, value->dom, x);
        return sem_bad(c, e);
    }
    if (value->dom == SEM_DST) c->dst_read = true;
    return value;
}

static void flow(checker *c, sem_sym *s, ectx x)
{
    s->used = true;
    if (x.in_agg || x.outer != x.dom) s->aggregated = true;
    if (!c->def || s == c->def) return;
    if (c->def->n_reads && c->def->reads[c->def->n_reads - 1] == s) return;
    if ((c->def->n_reads & (c->def->n_reads - 1)) == 0) {        /* full at powers of two */
        sem_sym **more = NEW_N(c->a, sem_sym *, c->def->n_reads ? 2 * c->def->n_reads : 1);
        for (uint32_t i = 0; i < c->def->n_reads; i++) more[i] = c->def->reads[i];
        c->def->reads = more;
    }
    c->def->reads[c->def->n_reads++] = s;
}

static sem_expr *sym_expr(checker *c, const ast_expr *e, sem_sym *s)
{
    sem_expr *r = sem_new(c, SEM_READ, e, 0);
    r->dom = (uint8_t)s->dom;
    r->type = s->type;
    r->u.sym = s;
    return r;
}

sem_expr *read_sym(checker *c, const ast_expr *e, sem_sym *s, ectx x)
{
    flow(c, s, x);
    if (s->type.elem == SEM_POISON) {
        if (c->layer) c->layer->bad = true;
        return sem_bad(c, e);
    }
    return read_value(c, e, sym_expr(c, e, s), s->name, x);
}

/* ---- built-in values ---- */

static sem_expr *builtin(checker *c, const ast_expr *e, sem_kind kind, sem_dom d)
{
    sem_expr *r = sem_new(c, kind, e, 0);
    r->dom = (uint8_t)d;
    r->type.elem = c->real;
    return r;
}

sem_expr *read_builtin(checker *c, const ast_expr *e, str name, ectx x)
{
    if (!strcmp(name, "in_degree")) return read_value(c, e, builtin(c, e, SEM_IN_DEGREE, SEM_NODE), name, x);
    if (!strcmp(name, "out_degree"))
        return read_value(c, e, builtin(c, e, SEM_OUT_DEGREE, SEM_NODE), name, x);
    const bool nodes = !strcmp(name, "num_nodes");
    if (nodes || !strcmp(name, "num_edges"))
        return read_value(c, e,
                          builtin(c, e, nodes ? SEM_NUM_NODES : SEM_NUM_EDGES,
                                  x.dom == SEM_GLOBAL ? SEM_GLOBAL : SEM_GRAPH),
                          name, x);
    if (!strcmp(name, "training")) {
        sem_expr *r = builtin(c, e, SEM_TRAINING, SEM_PARAM);
        r->type.elem = SEM_BOOL;
        return r;
    }
    if (!strcmp(name, "step") && c->scope) {
        sem_loop *loop = scope_loop(c->scope);
        if (!loop) return NULL;
        sem_expr *r = builtin(c, e, SEM_STEP, SEM_GLOBAL);
        r->type = (sem_type){.elem = SEM_INDEX, .range = loop->limit};
        r->u.loop = loop;
        return r;
    }
    return NULL;
}

/* ---- src.x, dst.x, graph.x ---- */

/* The value that the name stands for, wherever it lives; NULL: reported, or poison. */
static sem_expr *qualified_value(checker *c, const ast_expr *e, ectx x)
{
    str name = e->qualified.name.text;
    if (c->fn) {
        const local *l = frame_find(c->fn, name);
        if (l) return l->value && !sem_is_bad(l->value) ? l->value : NULL;
    } else {
        binding *b = scope_find(c->scope, name);
        if (b && b->kind == BIND_SYM) {
            flow(c, b->sym, x);
            if (b->sym->type.elem != SEM_POISON) return sym_expr(c, e, b->sym);
            c->layer->bad = true;
            return NULL;
        }
        if (b) {
            sem_err(c, DIAG_DOMAIN, e->at, "`%s` is %s; write it bare", name,
                    b->kind == BIND_STATIC ? "a static argument" : "a layer");
            return NULL;
        }
    }
    if (!strcmp(name, "in_degree")) return builtin(c, e, SEM_IN_DEGREE, SEM_NODE);
    if (!strcmp(name, "out_degree")) return builtin(c, e, SEM_OUT_DEGREE, SEM_NODE);
    if (!strcmp(name, "num_nodes")) return builtin(c, e, SEM_NUM_NODES, SEM_GRAPH);
    if (!strcmp(name, "num_edges")) return builtin(c, e, SEM_NUM_EDGES, SEM_GRAPH);
    if (map_get_ptr(&c->consts, name))
        sem_err(c, DIAG_DOMAIN, e->at, "`%s` is a constant; write it bare", name);
    else sem_unknown_name(c, name, e->at);
    return NULL;
}

sem_expr *read_qualified(checker *c, const ast_expr *e, ectx x)
{
    const ast_domain q = e->qualified.domain;
    const char *name = e->qualified.name.text, *end = ast_domain_name(q);
    sem_expr *v = qualified_value(c, e, x);
    if (!v) return sem_bad(c, e);
    const sem_dom d = (sem_dom)v->dom;
    if (d <= SEM_GLOBAL || (d == SEM_GRAPH) != (q == AST_DOM_GRAPH) || d == SEM_EDGE) {
        diag *w = sem_err(c, DIAG_DOMAIN, e->at, "`%s` is %s, and so has none by %s", name, kind_of(d), end);
        if (readable(d, x.dom)) diag_help(w, "write %s", name);
        else if (x.dom == SEM_EDGE && d != SEM_EDGE)
            diag_help(w, d == SEM_GRAPH ? "write graph.%s" : "write src.%s or dst.%s", name, name);
        return sem_bad(c, e);
    }
    if (q == AST_DOM_GRAPH) {
        if (x.dom < SEM_NODE) {
            diag *w = sem_err(c, DIAG_DOMAIN, e->at,
                              "graph.%s is read from a node or an edge, and this is evaluated for %s", name,
                              member_of(x.dom));
            if (x.dom == SEM_GRAPH) diag_help(w, "write %s", name);
            else diag_help(w, "aggregate it, as mean(%s)", name);
            return sem_bad(c, e);
        }
    } else {
        if (x.dom != SEM_EDGE) {
            diag *w =
                sem_err(c, DIAG_DOMAIN, e->at, "%s.%s is read from an edge, and this is evaluated for %s",
                        end, name, member_of(x.dom));
            if (sem_is_nodal(x.dom) && !x.in_agg)
                diag_help(w, "aggregate over the edges, as sum(%s.%s)", end, name);
            return sem_bad(c, e);
        }
        if ((d == SEM_SRC && q == AST_DOM_DST) || (d == SEM_DST && q == AST_DOM_SRC)) {
            diag *w = sem_err(c, DIAG_DOMAIN, e->at, "`%s` is %s, and has none for a%s node", name,
                              kind_of(d), q == AST_DOM_DST ? " destination" : " source");
            diag_help(w, "write %s.%s", d == SEM_SRC ? "src" : "dst", name);
            return sem_bad(c, e);
        }
    }
    const sem_kind kind = q == AST_DOM_SRC ? SEM_AT_SRC : q == AST_DOM_DST ? SEM_AT_DST : SEM_AT_GRAPH;
    sem_expr *r = sem_new(c, kind, e, 1);
    r->args[0] = v;
    r->dom = (uint8_t)(q == AST_DOM_GRAPH ? x.dom : SEM_EDGE);
    r->type = v->type;
    return r;
}
