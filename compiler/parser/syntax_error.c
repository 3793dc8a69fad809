/*
 * What is said of a token that does not fit. The grammar tells which tokens would have; from these, the
 * statement at hand and the brackets that are open follow what was expected and what may help.
 */
#include "compiler/parser/ast_build.h"

#include <string.h>

void report_too_deep(parser *p, span at)
{
    if (p->quiet)
        return;
    diag *d = diag_error(p->ds, DIAG_LIMIT, at, "this nests too deep: expressions go %d deep, blocks %d",
                         AST_MAX_DEPTH, AST_MAX_BLOCKS);
    diag_help(d, "name a part of it in an equation of its own");
}

/* A token as it is shown in a message; the text lives as long as the arena. */
static const char *shown(parser *p, const token *t)
{
    enum { LONGEST = 40 };
    if (t->kind == TOKEN_EOF || t->kind == TOKEN_ERROR)
        return token_text(t->kind);
    uint32_t n = t->at.hi - t->at.lo;
    const char *text = p->lex.source->text + t->at.lo;
    if (n <= LONGEST)
        return arena_printf(p->a, "`%.*s`", (int)n, text);
    uint32_t cut = 0;
    while (cut < LONGEST)
        cut += utf8_next(text + cut, text + n, NULL);
    return arena_printf(p->a, "`%.*s...`", (int)cut, text);
}

/* The statement at hand, in words: "the definition of `y`". */
static const char *statement(parser *p)
{
    const char *what = NULL;
    if (p->key == TOKEN_RETURN)
        return "the value of `return`";
    if (p->key == TOKEN_UPDATE)
        what = "the update";
    else if (p->key == TOKEN_USE)
        what = "the instance";
    else if (p->key == TOKEN_MESSAGE)
        what = "the message";
    else if (p->key == TOKEN_NEXT)
        what = "the next value of";
    else if (p->key == TOKEN_FN)
        what = "the function";
    else if (p->assigned)
        what = "the definition of";
    else if (p->key == TOKEN_PARAM)
        what = "the param";
    else if (domain_of(p->key))
        what = p->now.kind == TOKEN_RBRACKET ? "the shape of" : "the input";
    if (!what || !p->subject.text)
        return shown(p, &p->now);
    token name = {.kind = TOKEN_NAME, .at = p->subject.span};
    return arena_printf(p->a, "%s %s", what, shown(p, &name));
}

/* Behind a token: where something is missing at the end of a line. */
static span behind(const token *t)
{
    return (span){t->at.file, t->at.hi, t->at.hi};
}

/* Called by the feed, before the made-up token is given: `now` is the token that it comes after. */
diag *report_missing(parser *p, token_kind what)
{
    span at = behind(&p->now);
    const token *next = feed_peek(p, 0);
    const source *f = p->lex.source;
    if (source_line(f, next->at.lo) == source_line(f, p->now.at.lo))
        at = next->at;
    if (what == TOKEN_LBRACE)
        return diag_error(p->ds, DIAG_SYNTAX, at, "expected `{` after the head of the %s",
                          token_text(p->key));
    return diag_error(p->ds, DIAG_SYNTAX, at, "expected `;` after %s", statement(p));
}

typedef struct report {
    parser *p;
    const syntax_error *e;
    token found;                                 /* of the text */
    const char *text;                            /* it, as shown */
    span at;
} report;

static bool is_comparison(token_kind k)
{
    return k >= TOKEN_LT && k <= TOKEN_NE;
}

static bool is_text(const report *r, const char *word)
{
    return r->found.kind == TOKEN_NAME && strcmp(r->found.text, word) == 0;
}

/* A closing bracket is expected. Where the next token is on a later line, the place is behind the last one. */
static void report_open(const report *r, token_kind closer)
{
    parser *p = r->p;
    const source *f = p->lex.source;
    span at = r->at;
    bool later = source_line(f, r->found.at.lo) != source_line(f, p->last.at.lo);
    if (p->made_up || later)
        at = behind(&p->last);
    bool list = r->e->expects[TOKEN_COMMA];
    diag *d = diag_error(p->ds, DIAG_SYNTAX, at, "expected %s`%s`, found %s", list ? "`,` or " : "",
                         token_text(closer), r->text);
    token_kind opener = closer == TOKEN_RPAREN ? TOKEN_LPAREN : TOKEN_LBRACKET;
    if (p->inner.kind == opener) {
        if (source_line(f, p->inner.at.lo) == source_line(f, at.lo))
            diag_mark(d, p->inner.at);
        diag_note_at(d, p->inner.at, "it closes the `%s` opened here", token_text(opener));
    }
    if (r->found.kind == TOKEN_ASSIGN)
        diag_help(d, "equality is written ==");
}

static void report_operand(const report *r)
{
    parser *p = r->p;
    if (token_is_word(r->found.kind) && !p->made_up) {
        diag *d = diag_error(p->ds, DIAG_SYNTAX, r->at, "expected an expression, found the reserved word %s",
                             r->text);
        if (domain_of(r->found.kind))
            diag_help(d, "a value is read as src.x, dst.x or graph.x");
        return;
    }
    diag *d = diag_error(p->ds, DIAG_SYNTAX, r->at, "expected an expression, found %s", r->text);
    if (r->found.kind == TOKEN_NONE)
        diag_help(d, "None stands alone between [ and ]");
    if (r->found.kind == TOKEN_LBRACKET || r->found.kind == TOKEN_LBRACE)
        diag_help(d, "to make a list of values, write stack(a, b, …)");
}

static void report_name(const report *r)
{
    parser *p = r->p;
    if (token_is_word(r->found.kind)) {
        diag *d = diag_error(p->ds, DIAG_NAME, r->at, "%s is a reserved word, not a name", r->text);
        diag_help(d, "choose another name, such as %s_", token_text(r->found.kind));
        return;
    }
    token_kind before = p->last.kind;
    const char *whose = before == TOKEN_LAYER  ? "the name of the layer"
                        : before == TOKEN_FN   ? "the name of the function"
                        : before == TOKEN_DOT  ? "a name after `.`"
                        : before == TOKEN_INIT ? "an initialiser"
                                               : "a name";
    diag *d = diag_error(p->ds, DIAG_SYNTAX, r->at, "expected %s, found %s", whose, r->text);
    if (before == TOKEN_INIT)
        diag_help(d, "such as zeros, ones, constant(0.1) or glorot_uniform");
    else if (r->found.kind == TOKEN_RPAREN && before == TOKEN_COMMA)
        diag_help(d, "the list ends without a comma");
}

/* Where a statement of a layer may begin. */
static void report_statement(const report *r)
{
    parser *p = r->p;
    if (r->found.kind == TOKEN_LET || r->found.kind == TOKEN_RETURN) {
        diag *d = diag_error(p->ds, DIAG_SYNTAX, r->at, "%s belongs in a `fn`", r->text);
        diag_help(d, "in a layer, name the domain: node y = …; the result is an update: update g = …;");
    } else if (r->found.kind == TOKEN_CONST || r->found.kind == TOKEN_FN) {
        diag_error(p->ds, DIAG_SYNTAX, r->at, "a `%s` stands outside of layers", token_text(r->found.kind));
    } else if (r->found.kind == TOKEN_FOR || is_text(r, "while")) {
        diag *d = diag_error(p->ds, DIAG_SYNTAX, r->at, "%s begins no statement", r->text);
        diag_help(d, "the only loop is iterate z = start for K { … }");
    } else if (is_text(r, "if")) {
        diag *d = diag_error(p->ds, DIAG_SYNTAX, r->at, "`if` begins no statement");
        diag_help(d, "to choose between values, write where(condition, a, b)");
    } else {
        diag *d = diag_error(p->ds, DIAG_SYNTAX, r->at, "expected a statement, found %s", r->text);
        token_kind next = feed_peek(p, 0)->kind;
        if (r->found.kind == TOKEN_NAME && next == TOKEN_ASSIGN)
            diag_help(d, "say where the value lives: node %s = …, edge %s = …, update %s = …", r->found.text,
                      r->found.text, r->found.text);
        else
            diag_help(d, "a statement begins with node, edge, src, dst, graph, global, param, message, "
                         "update, use, iterate or next");
    }
}

static void report_item(const report *r)
{
    diag *d =
        diag_error(r->p->ds, DIAG_SYNTAX, r->at, "expected `layer`, `fn` or `const`, found %s", r->text);
    if (domain_of(r->found.kind) || r->found.kind == TOKEN_UPDATE || r->found.kind == TOKEN_MESSAGE
        || r->found.kind == TOKEN_USE)
        diag_help(d, "statements stand in a layer: layer Name(in, out) { … }");
}

/* The rest: the tokens that would do, when they are few. */
static void report_expected(const report *r)
{
    buf list = buf_make(r->p->a);
    int n = 0, left = 0;
    for (int k = 0; k < TOKEN_COUNT; k++)
        left += r->e->expects[k];
    for (int k = 0; k < TOKEN_COUNT && left <= 4; k++)
        if (r->e->expects[k]) {
            bool plain = k == TOKEN_NAME || k == TOKEN_NUMBER || k == TOKEN_STRING || k == TOKEN_EOF;
            buf_printf(&list, n == 0 ? "" : n + 1 == left ? " or " : ", ");
            buf_printf(&list, plain ? "%s" : "`%s`", token_text((token_kind)k));
            n++;
        }
    if (n == 0)
        diag_error(r->p->ds, DIAG_SYNTAX, r->at, "%s is not expected here", r->text);
    else
        diag_error(r->p->ds, DIAG_SYNTAX, r->at, "expected %s, found %s", buf_text(&list), r->text);
}

static void report_assign(const report *r)
{
    parser *p = r->p;
    const char *name = p->subject.text ? p->subject.text : "x";
    diag *d = diag_error(p->ds, DIAG_SYNTAX, r->at, "expected `=`, found %s", r->text);
    if (r->found.kind == TOKEN_LBRACKET)
        diag_help(d, "the shape of a defined value follows from its expression: write %s %s = …",
                  token_text(p->key), name);
    else if (p->key == TOKEN_MESSAGE)
        diag_help(d, "a message is computed: write message %s = …; an input of the edges is edge %s;", name,
                  name);
}

void report_syntax_error(parser *p, const syntax_error *e)
{
    if (p->quiet)
        return;
    report r = {.p = p, .e = e, .found = p->made_up ? *feed_peek(p, 0) : p->now};
    if (r.found.kind == TOKEN_EOF && p->lex.cut)
        return;
    r.text = shown(p, &r.found);
    r.at = r.found.at;
    const bool *may = e->expects;
    bool operand = may[TOKEN_NUMBER];

    if (p->unmatched) {
        token_kind k = r.found.kind;
        diag_error(p->ds, DIAG_SYNTAX, r.at, "%s without a `%s` before it", r.text,
                   k == TOKEN_RPAREN ? "(" : k == TOKEN_RBRACKET ? "[" : "{");
    } else if (operand) {
        report_operand(&r);
    } else if (is_comparison(r.found.kind) && may[TOKEN_AND]) {
        diag *d = diag_error(p->ds, DIAG_SYNTAX, r.at, "comparisons do not chain");
        diag_help(d, "write a < b && b < c");
    } else if (may[TOKEN_BF16]) {
        diag_error(p->ds, DIAG_SYNTAX, r.at,
                   "expected a type, found %s: real, f64, f32, f16, bf16, bool or index(R)", r.text);
    } else if (may[TOKEN_UPDATE]) {
        report_statement(&r);
    } else if (may[TOKEN_LAYER]) {
        report_item(&r);
    } else if (may[TOKEN_LET]) {
        diag *d = diag_error(p->ds, DIAG_SYNTAX, r.at, "expected `let` or `return`, found %s", r.text);
        diag_help(d, "a fn ends with return …;");
    } else if (may[TOKEN_FOR]) {
        diag *d = diag_error(p->ds, DIAG_SYNTAX, r.at, "expected `for`, found %s", r.text);
        diag_help(d, "the limit of steps is given as iterate z = start for K { … }");
    } else if (may[TOKEN_NAME]) {
        report_name(&r);
    } else if (may[TOKEN_RPAREN] && p->inner.kind == TOKEN_LPAREN) {
        report_open(&r, TOKEN_RPAREN);
    } else if (may[TOKEN_RBRACKET] && p->inner.kind == TOKEN_LBRACKET) {
        report_open(&r, TOKEN_RBRACKET);
    } else if (r.found.kind == TOKEN_ASSIGN && may[TOKEN_SEMICOLON] && domain_of(p->key)) {
        diag *d = diag_error(p->ds, DIAG_SYNTAX, r.at, "a declared input is not computed");
        if (p->key == TOKEN_PARAM)
            diag_help(d, "to say how it starts, write param %s[…] init constant(…) or another initialiser", p->subject.text);
        else
            diag_help(d, "a definition has no shape or type of its own: write %s %s = …", token_text(p->key), p->subject.text);
    } else if (may[TOKEN_ASSIGN] && !may[TOKEN_SEMICOLON]) {
        report_assign(&r);
    } else if (may[TOKEN_SEMICOLON]) {
        diag_error(p->ds, DIAG_SYNTAX, r.at, "expected `;`, found %s", r.text);
    } else {
        report_expected(&r);
    }
}
