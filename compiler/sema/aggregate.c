/*
 * Aggregates: from a finer domain to the equation's own; and softmax, which stays.
 */
#include "compiler/sema/check.h"

typedef struct parts {
    const ast_expr *value, *per;
    const ast_arg *by;
} parts;

static bool cut(checker *c, const ast_expr *e, sem_fn fn, parts *p)
{
    bool fine = true;
    for (uint32_t i = 0; i < e->call.n_args; i++) {
        const ast_arg *a = &e->call.args[i];
        switch (a->kind) {
        case AST_ARG_BY:
            p->by = a;
            break;
        case AST_ARG_PER:
            p->per = a->value;
            break;
        case AST_ARG_NAMED:
            sem_err(c, DIAG_NAME, a->span, "`%s` has no argument `%s`", sem_fn_name(fn), a->name.text);
            fine = false;
            break;
        case AST_ARG_PLAIN:
            if (!p->value && fn != SEM_FN_count) {
                p->value = a->value;
                break;
            }
            if (fine) {
                diag *d = sem_err(c, DIAG_TYPE, e->at,
                                  fn == SEM_FN_count ? "`count` takes no value" : "`%s` aggregates one value",
                                  sem_fn_name(fn));
                diag_mark(d, a->span);
            }
            fine = false;
            break;
        }
    }
    if (fine && !p->value && fn != SEM_FN_count) {
        sem_err(c, DIAG_TYPE, e->at, "`%s` needs a value to aggregate", sem_fn_name(fn));
        fine = false;
    }
    return fine;
}

static bool holds_aggregate(checker *c, const ast_expr *e)
{
    switch (e->kind) {
    case AST_EXPR_ERROR:
    case AST_EXPR_NUMBER:
    case AST_EXPR_STRING:
    case AST_EXPR_NAME:
    case AST_EXPR_QUALIFIED: return false;
    case AST_EXPR_UNARY: return holds_aggregate(c, e->op.right);
    case AST_EXPR_BINARY: return holds_aggregate(c, e->op.left) || holds_aggregate(c, e->op.right);
    case AST_EXPR_METHOD: return holds_aggregate(c, e->call.base);
    case AST_EXPR_INDEX: return holds_aggregate(c, e->index.base);
    case AST_EXPR_MEMBER: return false;
    case AST_EXPR_CALL: {
        sem_fn f;
        if (!map_get_ptr(&c->fns, e->call.name.text) && sem_find_fn(e->call.name.text, false, &f) &&
            f >= SEM_FN_sum && f < SEM_FN_softmax)
            return true;
        for (uint32_t i = 0; i < e->call.n_args; i++)
            if (e->call.args[i].value && holds_aggregate(c, e->call.args[i].value)) return true;
        return false;
    }
    }
    return false;
}

static void nested(checker *c, const ast_expr *e)
{
    diag *d = sem_err(c, DIAG_DOMAIN, e->at, "aggregates do not nest");
    diag_help(d, "name the inner one in an equation of its own, and aggregate that");
}

/* The argument needs nothing finer than the equation has. Says so, unless it is wrong in itself. */
static void nothing(checker *c, const ast_expr *e, sem_fn fn, const ast_expr *value, unsigned need, ectx x)
{
    if (value && sem_is_bad(check_expr(c, value, x))) return;
    if (value && holds_aggregate(c, value)) {
        nested(c, e);
        return;
    }
    const bool node = sem_is_nodal(x.dom);
    diag *d = sem_err(c, DIAG_DOMAIN, e->at, "`%s` has nothing to aggregate: its argument needs no %s",
                      sem_fn_name(fn),
                      node                 ? "edge"
                      : x.dom == SEM_GRAPH ? "node or edge"
                                           : "graph, node or edge");
    if (!value) return;
    diag_mark(d, value->span);
    if (node && need & (NEED_NODE | NEED_FROM_SRC) && value->kind == AST_EXPR_NAME)
        diag_help(d, "write src.%s for the values of the sources", value->name.text);
    else if (node && need & NEED_NODE)
        diag_help(d, "write src. before a name for the value of an edge's source");
}

/* Whether it may stand here, and over what it goes. */
static bool members(checker *c, const ast_expr *e, sem_fn fn, const parts *p, ectx x, sem_agg *agg)
{
    if (x.in_agg) {
        nested(c, e);
        return false;
    }
    if (x.dom == SEM_EDGE) {
        diag *d = sem_err(c, DIAG_DOMAIN, e->at, "an edge has nothing to aggregate");
        diag_help(d, "name the aggregate in a node equation and read it with dst. or src.");
        return false;
    }
    unsigned need = (p->value ? need_of(c, p->value) : 0) | (p->per ? need_of(c, p->per) : 0);
    if (fn == SEM_FN_count && !p->per) need = sem_is_nodal(x.dom) ? NEED_EDGE : NEED_NODE;
    sem_dom finest = need_finest(need);
    const bool fine = sem_is_nodal(x.dom) ? finest == SEM_EDGE : x.dom == SEM_GRAPH ? finest >= SEM_NODE
                    : x.dom == SEM_GLOBAL && finest >= SEM_GRAPH;
    if (!fine) {
        nothing(c, e, fn, p->value ? p->value : p->per, need, x);
        return false;
    }
    agg->member = finest;
    agg->to = x.dom;
    agg->by_src = p->by && p->by->by == AST_DOM_SRC;
    if (p->by && !sem_is_nodal(x.dom)) {
        sem_err(c, DIAG_DOMAIN, p->by->span, "`by` chooses an end of the edges, and this is evaluated for %s",
                x.dom == SEM_GRAPH ? "a graph" : "the whole call");
        return false;
    }
    if (x.dom == SEM_SRC && !agg->by_src) {
        diag *d = sem_err(
            c, DIAG_DOMAIN, e->at,
            "`%s` goes over the incoming edges of destination nodes, and this is evaluated for a source node",
            sem_fn_name(fn));
        diag_help(d, "for its outgoing edges write by = src");
        return false;
    }
    if (x.dom == SEM_DST && agg->by_src) {
        sem_err(c, DIAG_DOMAIN, p->by->span,
                "by = src gives values of source nodes, and this is evaluated for a destination node");
        return false;
    }
    return true;
}

/* The operands: the value, then the index of `per`. */
static bool operands(checker *c, const ast_expr *e, const parts *p, ectx x, sem_expr *r)
{
    uint32_t n = 0;
    bool fine = true;
    r->args = NEW_N(c->a, sem_expr *, 2);
    if (p->value) {
        sem_expr *v = check_expr(c, p->value, x);
        const sem_fn fn = r->u.agg.fn;
        const bool logical = fn == SEM_FN_any || fn == SEM_FN_all;
        if (sem_is_bad(v)) {
            fine = false;
        } else if (logical && v->type.elem != SEM_BOOL) {
            diag *d = sem_err(c, DIAG_TYPE, e->at, "`%s` needs a bool, and this is %s", sem_fn_name(fn),
                              sem_ty(c, v));
            diag_mark(d, v->span);
            diag_help(d, "a comparison, as w > 0, gives one");
            fine = false;
        } else if (!logical && !need_float(c, v, e->at, arena_printf(c->a, "`%s`", sem_fn_name(fn)))) {
            fine = false;
        }
        r->type = v->type;
        r->args[n++] = v;
    }
    if (r->type.elem == SEM_WEAK || !p->value) r->type.elem = c->real;
    if (p->per) {
        sem_expr *i = check_expr(c, p->per, x);
        if (sem_is_bad(i)) {
            fine = false;
        } else if (i->type.elem != SEM_INDEX || i->type.shape.rank) {
            sem_err(c, DIAG_TYPE, p->per->at, "`per` needs a scalar index, and this is %s", sem_ty(c, i));
            fine = false;
        }
        r->args[n++] = i;
    }
    r->n_args = n;
    r->u.agg.per = p->per != NULL;
    r->u.agg.no_value = !p->value;
    return fine;
}

static sem_expr *softmax(checker *c, const ast_expr *e, const parts *p, ectx x)
{
    sem_agg agg = {.fn = SEM_FN_softmax, .member = x.dom, .by_src = p->by && p->by->by == AST_DOM_SRC};
    const bool whole = x.in_agg && x.outer == SEM_GLOBAL;
    if (x.dom == SEM_EDGE) {
        agg.to = SEM_NODE;
    } else if (sem_is_nodal(x.dom) || (x.dom == SEM_GRAPH && whole)) {
        agg.to = whole ? SEM_GLOBAL : SEM_GRAPH;
        if (p->by) {
            sem_err(c, DIAG_DOMAIN, p->by->span,
                    "`by` chooses an end of the edges, and this softmax is among %s",
                    whole ? "the members of the whole call" : "the nodes of a graph");
            return sem_bad(c, e);
        }
    } else {
        sem_err(c, DIAG_DOMAIN, e->at, "`softmax` shares among edges or nodes, and this is evaluated for %s",
                x.dom == SEM_GRAPH ? "a graph" : "the whole call");
        return sem_bad(c, e);
    }
    sem_expr *r = sem_new(c, SEM_SOFTMAX, e, 0);
    r->u.agg = agg;
    r->dom = (uint8_t)x.dom;
    return operands(c, e, p, x, r) ? r : sem_bad(c, e);
}

sem_expr *check_aggregate(checker *c, const ast_expr *e, sem_fn fn, ectx x)
{
    parts p = {0};
    if (!cut(c, e, fn, &p)) return sem_bad(c, e);
    if (p.by && p.by->by != AST_DOM_SRC && p.by->by != AST_DOM_DST) {
        sem_err(c, DIAG_DOMAIN, p.by->span, "`by` is src or dst");
        return sem_bad(c, e);
    }
    if (fn == SEM_FN_softmax) return softmax(c, e, &p, x);
    sem_agg agg = {.fn = fn};
    if (!members(c, e, fn, &p, x, &agg)) return sem_bad(c, e);
    sem_expr *r = sem_new(c, SEM_AGG, e, 0);
    r->u.agg = agg;
    r->dom = (uint8_t)x.dom;
    if (!operands(c, e, &p, (ectx){.dom = agg.member, .outer = x.dom, .in_agg = true}, r))
        return sem_bad(c, e);
    if (!p.per) return r;
    sem_shape *s = &r->type.shape;
    if (!shape_rank_ok(c, s->rank + 1, e->at)) return sem_bad(c, e);
    for (uint32_t i = s->rank++; i > 0; i--) s->at[i] = s->at[i - 1];
    s->at[0] = r->args[r->n_args - 1]->type.range;
    return r;
}
