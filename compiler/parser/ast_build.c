/*
 * Constructors of the tree. What the grammar cannot say, they check: the depth of expressions, which
 * statements a block may hold, words in places where only some domains have a meaning.
 */
#include "compiler/parser/ast_build.h"

#include <string.h>

const char *ast_domain_name(ast_domain d)
{
    static const char *const names[] = {
        [AST_DOM_NONE] = "", [AST_DOM_EDGE] = "edge", [AST_DOM_NODE] = "node", [AST_DOM_SRC] = "src", [AST_DOM_DST] = "dst",
        [AST_DOM_GRAPH] = "graph", [AST_DOM_GLOBAL] = "global", [AST_DOM_PARAM] = "param",
    };
    return names[d];
}

const char *ast_op_text(ast_op op)
{
    static const char *const texts[AST_N_OPS] = {
        [AST_OP_NEG] = "-", [AST_OP_NOT] = "!", [AST_OP_ADD] = "+", [AST_OP_SUB] = "-", [AST_OP_MUL] = "*", [AST_OP_DIV] = "/",
        [AST_OP_POW] = "**", [AST_OP_MATMUL] = "@", [AST_OP_LT] = "<", [AST_OP_LE] = "<=", [AST_OP_GT] = ">",
        [AST_OP_GE] = ">=", [AST_OP_EQ] = "==", [AST_OP_NE] = "!=", [AST_OP_AND] = "&&", [AST_OP_OR] = "||",
    };
    return texts[op];
}

/* ---- expressions ---- */

static ast_expr *new_expr(parser *p, ast_expr_kind kind, span all, span at)
{
    ast_expr *e = NEW(p->a, ast_expr);
    e->kind = kind;
    e->id = p->n_exprs++;
    e->depth = 1;
    e->span = all;
    e->at = at;
    return e;
}

ast_expr *build_error(parser *p, span all)
{
    return new_expr(p, AST_EXPR_ERROR, all, all);
}

/* e as the parent of child: deeper by one. */
static void over(ast_expr *e, const ast_expr *child)
{
    if (child && child->depth >= e->depth)
        e->depth = child->depth + 1;
}

/* e, or an error in its place when it is too deep: then recursion over the tree stays bounded. */
static ast_expr *bounded(parser *p, ast_expr *e)
{
    if (e->depth <= AST_MAX_DEPTH)
        return e;
    report_too_deep(p, e->at);
    return build_error(p, e->span);
}

ast_expr *build_number(parser *p, const token *t)
{
    if (t->number.bad)
        return build_error(p, t->at);
    ast_expr *e = new_expr(p, AST_EXPR_NUMBER, t->at, t->at);
    e->number.value = t->number.value;
    e->number.is_integer = t->number.is_integer;
    e->number.integer = t->number.integer;
    e->number.text = t->text;
    return e;
}

ast_expr *build_string(parser *p, str text, span at)
{
    ast_expr *e = new_expr(p, AST_EXPR_STRING, at, at);
    e->string.text = text;
    return e;
}

ast_expr *build_name(parser *p, str text, span at)
{
    ast_expr *e = new_expr(p, AST_EXPR_NAME, at, at);
    e->name.text = text;
    return e;
}

ast_expr *build_qualified(parser *p, ast_domain domain, ast_name name, span all)
{
    span word = {all.file, all.lo, all.lo + (uint32_t)strlen(ast_domain_name(domain))};
    if (domain != AST_DOM_SRC && domain != AST_DOM_DST && domain != AST_DOM_GRAPH) {
        diag *d = diag_error(p->ds, DIAG_DOMAIN, word,
                             "nothing is read through `%s.`: only through `src.`, `dst.` and `graph.`",
                             ast_domain_name(domain));
        if (domain == AST_DOM_NODE)
            diag_help(d, "from an edge, write src.%s or dst.%s; in a node equation, %s alone", name.text,
                      name.text, name.text);
        else
            diag_help(d, "write %s alone", name.text);
        return build_error(p, all);
    }
    ast_expr *e = new_expr(p, AST_EXPR_QUALIFIED, all, word);
    e->qualified.domain = domain;
    e->qualified.name = name;
    return e;
}

ast_expr *build_unary(parser *p, ast_op op, span at, ast_expr *operand)
{
    if (operand->kind == AST_EXPR_ERROR) {
        operand->span = span_join(at, operand->span);
        return operand;
    }
    ast_expr *e = new_expr(p, AST_EXPR_UNARY, span_join(at, operand->span), at);
    e->op.op = op;
    e->op.right = operand;
    over(e, operand);
    return bounded(p, e);
}

ast_expr *build_binary(parser *p, ast_op op, span at, ast_expr *left, ast_expr *right)
{
    if (left->kind == AST_EXPR_ERROR || right->kind == AST_EXPR_ERROR) {
        ast_expr *e = left->kind == AST_EXPR_ERROR ? left : right;
        e->span = span_join(left->span, right->span);
        return e;
    }
    ast_expr *e = new_expr(p, AST_EXPR_BINARY, span_join(left->span, right->span), at);
    e->op.op = op;
    e->op.left = left;
    e->op.right = right;
    over(e, left);
    over(e, right);
    return bounded(p, e);
}

static ast_expr *with_args(parser *p, ast_expr *e, ast_expr *base, ast_name name, arg_list *args)
{
    e->call.base = base;
    e->call.name = name;
    over(e, base);
    if (args) {
        e->call.args = args->at;
        e->call.n_args = args->n;
        for (uint32_t i = 0; i < args->n; i++)
            over(e, args->at[i].value);
    }
    return bounded(p, e);
}

ast_expr *build_call(parser *p, ast_name name, arg_list *args, span all)
{
    return with_args(p, new_expr(p, AST_EXPR_CALL, all, name.span), NULL, name, args);
}

ast_expr *build_method(parser *p, ast_expr *base, ast_name name, arg_list *args, span all)
{
    if (base->kind == AST_EXPR_ERROR) {
        base->span = all;
        return base;
    }
    return with_args(p, new_expr(p, AST_EXPR_METHOD, all, name.span), base, name, args);
}

ast_expr *build_member(parser *p, ast_expr *base, ast_name name, span all)
{
    if (base->kind == AST_EXPR_ERROR) {
        base->span = all;
        return base;
    }
    return with_args(p, new_expr(p, AST_EXPR_MEMBER, all, name.span), base, name, NULL);
}

ast_expr *build_index(parser *p, ast_expr *base, sub_list *subs, span all)
{
    if (base->kind == AST_EXPR_ERROR) {
        base->span = all;
        return base;
    }
    span at = base->at.lo == all.lo ? base->at : (span){all.file, all.lo, all.lo + 1};
    ast_expr *e = new_expr(p, AST_EXPR_INDEX, all, at);
    e->index.base = base;
    e->index.subs = subs->at;
    e->index.n_subs = subs->n;
    over(e, base);
    for (uint32_t i = 0; i < subs->n; i++) {
        over(e, subs->at[i].lo);
        over(e, subs->at[i].hi);
    }
    return bounded(p, e);
}

ast_expr *build_parens(ast_expr *inner, span all)
{
    inner->span = all;
    return inner;
}

ast_arg *build_by(parser *p, span word, ast_domain domain, span value, span all)
{
    if (domain != AST_DOM_SRC && domain != AST_DOM_DST) {
        diag *d = diag_error(p->ds, DIAG_DOMAIN, value,
                             "`by` takes `src` or `dst`: the end of the edge that the result is at");
        diag_help(d, "for one result for each value of an index, write per = …");
        domain = AST_DOM_DST;
    }
    ast_arg *arg = NEW(p->a, ast_arg);
    *arg = (ast_arg){.kind = AST_ARG_BY, .name = {p->lex.words[TOKEN_BY], word}, .by = domain, .span = all};
    return arg;
}

/* ---- statements ---- */

static ast_stmt *new_stmt(parser *p, ast_stmt_kind kind, ast_domain domain, span key, span all)
{
    ast_stmt *s = NEW(p->a, ast_stmt);
    s->kind = kind;
    s->domain = domain;
    s->span = all;
    s->key = key;
    return s;
}

ast_stmt *build_lost(parser *p, bool with_name, span all)
{
    ast_stmt *s = new_stmt(p, AST_STMT_ERROR, p->domain, p->key_at, all);
    if (with_name
        && (p->key == TOKEN_MESSAGE || p->key == TOKEN_UPDATE || p->key == TOKEN_USE || domain_of(p->key)))
        s->eq.name = p->subject;
    return s;
}

ast_stmt *build_decl(parser *p, ast_domain domain, span key, declarator_list *list, span all)
{
    ast_stmt *s = new_stmt(p, AST_STMT_DECL, domain, key, all);
    const ast_type *type = NULL;                 /* of the declarators before it that have none */
    for (uint32_t i = list->n; i-- > 0;) {
        ast_declarator *d = &list->at[i];
        if (d->type.kind != AST_TYPE_DEFAULT)
            type = &d->type;
        else if (type)
            d->type = *type;
        if (d->init && domain != AST_DOM_PARAM) {
            diag_error(p->ds, DIAG_SYNTAX, d->init->span,
                       "only a param is initialised: `%s` is given with the call", d->name.text);
            d->init = NULL;
        }
    }
    s->decl.list = list->at;
    s->decl.n = list->n;
    return s;
}

ast_stmt *build_equation(parser *p, ast_stmt_kind kind, ast_domain domain, span key, span word, ast_name name,
                         ast_expr *value, span all)
{
    if (domain == AST_DOM_PARAM) {
        diag *d = diag_error(p->ds, DIAG_DOMAIN, word, "a param is learnt, not computed");
        diag_help(d,
                  kind == AST_STMT_UPDATE ? "to return a value of the whole call, write update global %s = …"
                                          : "for a value of the whole call, write global %s = …",
                  name.text);
        ast_stmt *lost = new_stmt(p, AST_STMT_ERROR, AST_DOM_PARAM, key, all);
        lost->eq.name = name;
        return lost;
    }
    ast_stmt *s = new_stmt(p, kind, domain, key, all);
    s->eq.name = name;
    s->eq.value = value;
    return s;
}

ast_stmt *build_message(parser *p, span key, ast_name name, ast_expr *value, span all)
{
    ast_stmt *s = build_equation(p, AST_STMT_DEFINE, AST_DOM_NONE, key, key, name, value, all);
    s->eq.is_message = true;
    return s;
}

ast_stmt *build_use(parser *p, span key, ast_name name, ast_name layer, arg_list *args, span all)
{
    ast_stmt *s = new_stmt(p, AST_STMT_USE, AST_DOM_NONE, key, all);
    s->use.name = name;
    s->use.layer = layer;
    s->use.args = args->at;
    s->use.n_args = args->n;
    return s;
}

/* Of the body of a block, the statements that may stand there; the others are reported and taken out. */
static void check_body(parser *p, stmt_list *body, bool in_iterate)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < body->n; i++) {
        ast_stmt *s = body->at[i];
        diag *d = NULL;
        if (s->kind == AST_STMT_NEXT && !in_iterate) {
            d = diag_error(p->ds, DIAG_SYNTAX, s->key, "`next` stands in an `iterate` block");
        } else if (s->kind == AST_STMT_DECL && in_iterate) {
            d = diag_error(p->ds, DIAG_SYNTAX, s->key, "%s stand in the layer, outside of `iterate`",
                           s->domain == AST_DOM_PARAM ? "params" : "inputs");
        } else if (s->kind == AST_STMT_UPDATE && in_iterate) {
            d = diag_error(p->ds, DIAG_SYNTAX, s->key, "an update stands in the layer, outside of `iterate`");
            diag_help(d,
                      "a state is replaced by `next %s = …`; after the block its name holds the final value",
                      s->eq.name.text);
        } else if (s->kind == AST_STMT_USE && in_iterate) {
            d = diag_error(p->ds, DIAG_SYNTAX, s->key,
                           "an instance is made in the layer, outside of `iterate`");
            diag_help(d, "move the `use` before the block; it may be called inside");
        }
        if (d && s->kind == AST_STMT_DECL)
            continue;
        if (d) {
            ast_name name = s->kind == AST_STMT_USE ? s->use.name : s->eq.name;
            s->kind = AST_STMT_ERROR;
            s->eq.name = name;
        }
        body->at[n++] = s;
    }
    body->n = n;
}

ast_stmt *build_iterate(parser *p, span key, const iterate_head *head, stmt_list *body, span end, span all)
{
    ast_stmt *s = new_stmt(p, AST_STMT_ITERATE, head->domain, key, all);
    check_body(p, body, true);
    s->iterate.states = head->states->at;
    s->iterate.n_states = head->states->n;
    s->iterate.limit = head->limit;
    s->iterate.tolerance = head->tolerance;
    s->iterate.change = head->change;
    s->iterate.body = body->at;
    s->iterate.n_body = body->n;
    s->iterate.end = end;
    return s;
}

/* An iterate whose head was lost: the body is read all the same, and one state may have been seen. */
ast_stmt *build_lost_iterate(parser *p, span key, ast_name name, stmt_list *body, span all)
{
    ast_stmt *s = new_stmt(p, AST_STMT_ERROR, p->domain, key, all);
    if (body)
        check_body(p, body, true);
    s->eq.name = name;
    return s;
}

void add_lost_let(parser *p, let_list *lets, span all)
{
    if (p->key == TOKEN_LET && p->subject.text)
        vec_push(p->a, lets, (ast_let){p->subject, build_error(p, all)});
}

/* ---- items ---- */

static ast_item *new_item(parser *p, ast_item_kind kind, span key, ast_name name, span all)
{
    ast_item *i = NEW(p->a, ast_item);
    *i = (ast_item){.kind = kind, .name = name, .span = all, .key = key};
    vec_push(p->a, &p->items, i);
    return i;
}

void add_layer(parser *p, span key, ast_name name, static_list *statics, stmt_list *body, span end, span all)
{
    ast_item *i = new_item(p, AST_ITEM_LAYER, key, name, all);
    check_body(p, body, false);
    i->layer.statics = statics->at;
    i->layer.n_statics = statics->n;
    i->layer.body = body->at;
    i->layer.n_body = body->n;
    i->layer.end = end;
}

void add_fn(parser *p, span key, ast_name name, name_list *params, let_list *lets, ast_expr *result, span all)
{
    ast_item *i = new_item(p, AST_ITEM_FN, key, name, all);
    i->fn.params = params->at;
    i->fn.n_params = params->n;
    if (lets) {
        i->fn.lets = lets->at;
        i->fn.n_lets = lets->n;
    }
    i->fn.result = result;
}

void add_broken(parser *p, ast_item_kind kind, span key, ast_name name, stmt_list *body, span all)
{
    ast_item *i = new_item(p, kind, key, name, all);
    i->broken = true;
    if (kind == AST_ITEM_LAYER && body) {
        check_body(p, body, false);
        i->layer.body = body->at;
        i->layer.n_body = body->n;
    } else if (kind == AST_ITEM_FN) {
        i->fn.result = build_error(p, all);
    } else if (kind == AST_ITEM_CONST) {
        i->constant.value = build_error(p, all);
    }
}

void add_const(parser *p, span key, ast_name name, ast_expr *value, span all)
{
    new_item(p, AST_ITEM_CONST, key, name, all)->constant.value = value;
}
