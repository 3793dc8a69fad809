/*
 * Trees as text. The dump writes a statement a line and an expression as a list with its operator first,
 * so that nothing depends on precedence; the printer of expressions writes what a user would.
 */
#include "compiler/parser/ast_print.h"

/* ---- the dump ---- */

static void dump_expr(const ast_expr *e, buf *out);

static void dump_args(const ast_arg *args, uint32_t n, buf *out)
{
    for (uint32_t i = 0; i < n; i++) {
        buf_putc(out, ' ');
        if (args[i].kind != AST_ARG_PLAIN)
            buf_printf(out, "%s=", args[i].name.text);
        if (args[i].kind == AST_ARG_BY)
            buf_puts(out, ast_domain_name(args[i].by));
        else
            dump_expr(args[i].value, out);
    }
}

static void dump_subscripts(const ast_expr *e, buf *out)
{
    for (uint32_t i = 0; i < e->index.n_subs; i++) {
        const ast_subscript *s = &e->index.subs[i];
        buf_putc(out, ' ');
        if (s->kind == AST_SUB_NONE)
            buf_puts(out, "None");
        if (s->lo)
            dump_expr(s->lo, out);
        if (s->kind == AST_SUB_SLICE)
            buf_putc(out, ':');
        if (s->hi)
            dump_expr(s->hi, out);
    }
}

static void dump_expr(const ast_expr *e, buf *out)
{
    switch (e->kind) {
    case AST_EXPR_ERROR:
        buf_puts(out, "<error>");
        return;
    case AST_EXPR_NUMBER:
        buf_puts(out, e->number.text);
        return;
    case AST_EXPR_STRING:
        buf_printf(out, "\"%s\"", e->string.text);
        return;
    case AST_EXPR_NAME:
        buf_puts(out, e->name.text);
        return;
    case AST_EXPR_QUALIFIED:
        buf_printf(out, "%s.%s", ast_domain_name(e->qualified.domain), e->qualified.name.text);
        return;
    case AST_EXPR_UNARY:
    case AST_EXPR_BINARY:
        buf_printf(out, "(%s", ast_op_text(e->op.op));
        if (e->op.left) {
            buf_putc(out, ' ');
            dump_expr(e->op.left, out);
        }
        buf_putc(out, ' ');
        dump_expr(e->op.right, out);
        break;
    case AST_EXPR_CALL:
    case AST_EXPR_METHOD:
    case AST_EXPR_MEMBER:
        buf_puts(out, e->kind == AST_EXPR_CALL     ? "(call "
                      : e->kind == AST_EXPR_METHOD ? "(method "
                                                   : "(member ");
        buf_puts(out, e->call.name.text);
        if (e->call.base) {
            buf_puts(out, " of ");
            dump_expr(e->call.base, out);
        }
        dump_args(e->call.args, e->call.n_args, out);
        break;
    case AST_EXPR_INDEX:
        buf_puts(out, "(index ");
        dump_expr(e->index.base, out);
        dump_subscripts(e, out);
        break;
    }
    buf_putc(out, ')');
}

static void indent(int depth, buf *out)
{
    buf_fill(out, ' ', 2 * (size_t)depth);
}

static const char *type_text(ast_type_kind kind)
{
    static const char *const texts[] = {
        [AST_TYPE_DEFAULT] = "default", [AST_TYPE_REAL] = "real", [AST_TYPE_F64] = "f64", [AST_TYPE_F32] = "f32",
        [AST_TYPE_F16] = "f16", [AST_TYPE_BF16] = "bf16", [AST_TYPE_INDEX] = "index", [AST_TYPE_BOOL] = "bool",
    };
    return texts[kind];
}

static void dump_declarator(const ast_declarator *d, ast_domain domain, int depth, buf *out)
{
    indent(depth, out);
    buf_printf(out, "input %s %s", ast_domain_name(domain), d->name.text);
    for (uint32_t i = 0; i < d->n_dims; i++) {
        buf_puts(out, i ? ", " : " [");
        dump_expr(d->dims[i], out);
    }
    buf_puts(out, d->n_dims ? "]" : "");
    if (d->type.kind != AST_TYPE_DEFAULT)
        buf_printf(out, ": %s", type_text(d->type.kind));
    if (d->type.range) {
        buf_putc(out, ' ');
        dump_expr(d->type.range, out);
        buf_puts(out, d->type.or_none ? " or none" : "");
    }
    if (d->init) {
        buf_printf(out, " init %s", d->init->name.text);
        dump_args(d->init->args, d->init->n_args, out);
    }
    buf_putc(out, '\n');
}

static void dump_stmt(const ast_stmt *s, int depth, buf *out);

static void dump_iterate(const ast_stmt *s, int depth, buf *out)
{
    buf_printf(out, "iterate%s%s\n", s->domain ? " " : "", ast_domain_name(s->domain));
    for (uint32_t i = 0; i < s->iterate.n_states; i++) {
        indent(depth + 1, out);
        buf_printf(out, "state %s = ", s->iterate.states[i].name.text);
        dump_expr(s->iterate.states[i].start, out);
        buf_putc(out, '\n');
    }
    indent(depth + 1, out);
    buf_puts(out, "for ");
    dump_expr(s->iterate.limit, out);
    if (s->iterate.tolerance) {
        buf_puts(out, " until change < ");
        dump_expr(s->iterate.tolerance, out);
    }
    buf_putc(out, '\n');
    for (uint32_t i = 0; i < s->iterate.n_body; i++)
        dump_stmt(s->iterate.body[i], depth + 1, out);
}

static void dump_stmt(const ast_stmt *s, int depth, buf *out)
{
    if (s->kind == AST_STMT_DECL) {
        for (uint32_t i = 0; i < s->decl.n; i++)
            dump_declarator(&s->decl.list[i], s->domain, depth, out);
        return;
    }
    indent(depth, out);
    switch (s->kind) {
    case AST_STMT_ERROR:
        buf_printf(out, "error %s\n", s->eq.name.text ? s->eq.name.text : "");
        return;
    case AST_STMT_DEFINE:
        buf_puts(out, s->eq.is_message ? "message" : ast_domain_name(s->domain));
        break;
    case AST_STMT_UPDATE:
        buf_printf(out, "update%s%s", s->domain ? " " : "", ast_domain_name(s->domain));
        break;
    case AST_STMT_NEXT:
        buf_puts(out, "next");
        break;
    case AST_STMT_USE:
        buf_printf(out, "use %s = %s", s->use.name.text, s->use.layer.text);
        dump_args(s->use.args, s->use.n_args, out);
        buf_putc(out, '\n');
        return;
    case AST_STMT_ITERATE:
        dump_iterate(s, depth, out);
        return;
    case AST_STMT_DECL:
        return;
    }
    buf_printf(out, " %s = ", s->eq.name.text);
    dump_expr(s->eq.value, out);
    buf_putc(out, '\n');
}

static void dump_layer(const ast_item *item, buf *out)
{
    for (uint32_t i = 0; i < item->layer.n_statics; i++) {
        const ast_static *s = &item->layer.statics[i];
        buf_printf(out, "  static %s%s", s->name.text, s->is_real ? ": real" : "");
        if (s->value) {
            buf_puts(out, " = ");
            dump_expr(s->value, out);
        }
        buf_putc(out, '\n');
    }
    for (uint32_t i = 0; i < item->layer.n_body; i++)
        dump_stmt(item->layer.body[i], 1, out);
}

static void dump_fn(const ast_item *item, buf *out)
{
    for (uint32_t i = 0; i < item->fn.n_params; i++)
        buf_printf(out, "  argument %s\n", item->fn.params[i].text);
    for (uint32_t i = 0; i < item->fn.n_lets; i++) {
        buf_printf(out, "  let %s = ", item->fn.lets[i].name.text);
        dump_expr(item->fn.lets[i].value, out);
        buf_putc(out, '\n');
    }
    buf_puts(out, "  return ");
    dump_expr(item->fn.result, out);
    buf_putc(out, '\n');
}

void ast_dump(const ast_file *f, buf *out)
{
    static const char *const kinds[] = {
        [AST_ITEM_LAYER] = "layer", [AST_ITEM_FN] = "fn", [AST_ITEM_CONST] = "const"};
    for (uint32_t i = 0; i < f->n_items; i++) {
        const ast_item *item = f->items[i];
        buf_printf(out, "%s %s%s\n", kinds[item->kind], item->name.text ? item->name.text : "?",
                   item->broken ? " (broken)" : "");
        switch (item->kind) {
        case AST_ITEM_LAYER:
            dump_layer(item, out);
            break;
        case AST_ITEM_FN:
            dump_fn(item, out);
            break;
        case AST_ITEM_CONST:
            buf_puts(out, "  = ");
            dump_expr(item->constant.value, out);
            buf_putc(out, '\n');
            break;
        }
    }
}

/* ---- expressions as they are written ---- */

enum { BIND_OR = 1, BIND_AND, BIND_COMPARE, BIND_SUM, BIND_TERM, BIND_UNARY, BIND_POWER, BIND_POSTFIX };

static int binding(const ast_expr *e)
{
    if (e->kind == AST_EXPR_UNARY)
        return BIND_UNARY;
    if (e->kind != AST_EXPR_BINARY)
        return BIND_POSTFIX;
    switch (e->op.op) {
    case AST_OP_OR:     return BIND_OR;
    case AST_OP_AND:    return BIND_AND;
    case AST_OP_LT: case AST_OP_LE: case AST_OP_GT: case AST_OP_GE: case AST_OP_EQ: case AST_OP_NE:
                        return BIND_COMPARE;
    case AST_OP_ADD: case AST_OP_SUB:
                        return BIND_SUM;
    case AST_OP_MUL: case AST_OP_DIV: case AST_OP_MATMUL:
                        return BIND_TERM;
    case AST_OP_POW:    return BIND_POWER;
    case AST_OP_NEG: case AST_OP_NOT: case AST_N_OPS:
                        break;
    }
    return BIND_POSTFIX;
}

/* In parentheses when it binds looser than its place asks for. */
static void print_in(const ast_expr *e, int at_least, buf *out)
{
    bool parens = binding(e) < at_least;
    if (parens)
        buf_putc(out, '(');
    ast_print_expr(e, out);
    if (parens)
        buf_putc(out, ')');
}

static void print_args(const ast_arg *args, uint32_t n, buf *out)
{
    buf_putc(out, '(');
    for (uint32_t i = 0; i < n; i++) {
        if (i)
            buf_puts(out, ", ");
        if (args[i].kind != AST_ARG_PLAIN)
            buf_printf(out, "%s = ", args[i].name.text);
        if (args[i].kind == AST_ARG_BY)
            buf_puts(out, ast_domain_name(args[i].by));
        else
            ast_print_expr(args[i].value, out);
    }
    buf_putc(out, ')');
}

static void print_binary(const ast_expr *e, buf *out)
{
    int b = binding(e);
    bool right = e->op.op == AST_OP_POW;         /* the others go to the left; comparisons do not chain */
    print_in(e->op.left, right ? BIND_POSTFIX : b == BIND_COMPARE ? BIND_SUM : b, out);
    buf_printf(out, " %s ", ast_op_text(e->op.op));
    print_in(e->op.right, right ? BIND_UNARY : b + 1, out);
}

static void print_index(const ast_expr *e, buf *out)
{
    print_in(e->index.base, BIND_POSTFIX, out);
    for (uint32_t i = 0; i < e->index.n_subs; i++) {
        const ast_subscript *s = &e->index.subs[i];
        buf_puts(out, i ? ", " : "[");
        if (s->kind == AST_SUB_NONE)
            buf_puts(out, "None");
        if (s->lo)
            ast_print_expr(s->lo, out);
        if (s->kind == AST_SUB_SLICE)
            buf_putc(out, ':');
        if (s->hi)
            ast_print_expr(s->hi, out);
    }
    buf_putc(out, ']');
}

void ast_print_expr(const ast_expr *e, buf *out)
{
    switch (e->kind) {
    case AST_EXPR_ERROR:
    case AST_EXPR_NUMBER:
    case AST_EXPR_STRING:
    case AST_EXPR_NAME:
    case AST_EXPR_QUALIFIED:
        dump_expr(e, out);
        return;
    case AST_EXPR_UNARY:
        buf_puts(out, ast_op_text(e->op.op));
        print_in(e->op.right, BIND_UNARY, out);
        return;
    case AST_EXPR_BINARY:
        print_binary(e, out);
        return;
    case AST_EXPR_CALL:
    case AST_EXPR_METHOD:
    case AST_EXPR_MEMBER:
        if (e->call.base) {
            print_in(e->call.base, BIND_POSTFIX, out);
            if (e->call.base->kind == AST_EXPR_NUMBER)
                buf_putc(out, ' ');              /* 2 .sum: otherwise a number's point */
            buf_putc(out, '.');
        }
        buf_puts(out, e->call.name.text);
        if (e->kind != AST_EXPR_MEMBER)
            print_args(e->call.args, e->call.n_args, out);
        return;
    case AST_EXPR_INDEX:
        print_index(e, out);
        return;
    }
}
