/*
 * The feed of tokens, between the lexer and the grammar.
 *
 * It keeps count of brackets and of the statement at hand, and makes up the tokens whose lack is plain: a
 * ';' before a word that begins a statement, a '{' behind a head, a '}' before the next layer or at the
 * end. So one slip is one error and what follows is read as it was meant. It also ends the input where
 * brackets nest too deep.
 */
#include "compiler/parser/ast_build.h"

const token *feed_peek(parser *p, uint32_t i)
{
    while (p->n_ahead <= i)
        p->ahead[p->n_ahead++] = lexer_next(&p->lex);
    return &p->ahead[i];
}

ast_domain domain_of(token_kind kind)
{
    static const unsigned char domains[TOKEN_COUNT] = {
        [TOKEN_EDGE] = AST_DOM_EDGE, [TOKEN_NODE] = AST_DOM_NODE, [TOKEN_SRC] = AST_DOM_SRC, [TOKEN_DST] = AST_DOM_DST,
        [TOKEN_GRAPH] = AST_DOM_GRAPH, [TOKEN_GLOBAL] = AST_DOM_GLOBAL, [TOKEN_PARAM] = AST_DOM_PARAM,
    };
    return domains[kind];
}

static bool begins_item(token_kind k)
{
    return k == TOKEN_LAYER || k == TOKEN_FN || k == TOKEN_CONST;
}

/* Whether the next token can only be the first of a statement or item (src.x goes on an expression). */
static bool begins_statement(parser *p)
{
    token_kind k = feed_peek(p, 0)->kind, after = feed_peek(p, 1)->kind;
    if (k == TOKEN_RETURN)
        return true;
    bool word = domain_of(k) != AST_DOM_NONE || begins_item(k) || k == TOKEN_MESSAGE || k == TOKEN_UPDATE
                || k == TOKEN_USE || k == TOKEN_ITERATE || k == TOKEN_NEXT || k == TOKEN_LET;
    return word && (after == TOKEN_NAME || token_is_word(after));
}

/* Whether an expression, a declarator or a type may end with it. */
static bool may_end(token_kind k)
{
    return k == TOKEN_NAME || k == TOKEN_NUMBER || k == TOKEN_STRING || k == TOKEN_RPAREN
           || k == TOKEN_RBRACKET || k == TOKEN_TRAINING || (k >= TOKEN_F64 && k <= TOKEN_BF16)
           || k == TOKEN_REAL || k == TOKEN_BOOL || k == TOKEN_NONE_WORD;
}

/* Whether a '{' comes before the statement's first ';'. */
static bool in_head(const parser *p)
{
    return p->key == TOKEN_LAYER || p->key == TOKEN_ITERATE || (p->key == TOKEN_FN && !p->assigned);
}

static bool inside_brackets(const parser *p)
{
    return p->n_open && p->open[p->n_open - 1].kind != TOKEN_LBRACE;
}

/* Whether only a ';' lacks to the statement, as far as one can see without the grammar. */
static bool complete(const parser *p)
{
    if (inside_brackets(p) || !may_end(p->now.kind) || in_head(p))
        return false;
    return p->assigned || p->key == TOKEN_RETURN || domain_of(p->key) != AST_DOM_NONE;
}

static void end_statement(parser *p)
{
    while (inside_brackets(p))
        p->n_open--;
    p->in_statement = false;
}

static void close_bracket(parser *p, token_kind opener)
{
    if (opener == TOKEN_LBRACE)
        end_statement(p);
    if (p->n_open && p->open[p->n_open - 1].kind == opener) {
        p->n_open--;
        p->n_braces -= opener == TOKEN_LBRACE;
    } else {
        p->unmatched = true;
    }
}

/* Follows the token that is about to be given. */
static void follow(parser *p, const token *t)
{
    token_kind k = t->kind;
    p->unmatched = false;
    p->inner = p->n_open ? p->open[p->n_open - 1] : (open_bracket){.kind = TOKEN_EOF};
    if (k == TOKEN_LPAREN || k == TOKEN_LBRACKET || k == TOKEN_LBRACE) {
        p->subject_past = true;
        if (k == TOKEN_LBRACE)
            end_statement(p);
        if (k == TOKEN_LBRACE ? p->n_braces > AST_MAX_BLOCKS : p->n_open - p->n_braces >= AST_MAX_DEPTH) {
            report_too_deep(p, t->at);
            p->quiet = true;
            return;
        }
        p->n_braces += k == TOKEN_LBRACE;
        p->open[p->n_open++] = (open_bracket){k, t->at};
        return;
    }
    if (k == TOKEN_SEMICOLON) {
        end_statement(p);
        return;
    }
    if (k == TOKEN_RPAREN || k == TOKEN_RBRACKET || k == TOKEN_RBRACE) {
        close_bracket(p, k == TOKEN_RPAREN     ? TOKEN_LPAREN
                         : k == TOKEN_RBRACKET ? TOKEN_LBRACKET
                                               : TOKEN_LBRACE);
        return;
    }
    if (!p->in_statement) {
        p->in_statement = true;
        p->key = k;
        p->key_at = t->at;
        p->subject = (ast_name){0};
        p->domain = domain_of(k);
        p->assigned = p->subject_past = false;
    } else if (!p->subject_past && !p->domain && domain_of(k)
               && (p->key == TOKEN_UPDATE || p->key == TOKEN_ITERATE)) {
        p->domain = domain_of(k);
    } else if (!p->subject_past) {
        if (k == TOKEN_NAME)
            p->subject = (ast_name){t->text, t->at};
        p->subject_past = true;
    }
    p->assigned = p->assigned || (k == TOKEN_ASSIGN && !inside_brackets(p));
}

static token give(parser *p, token t, bool made_up)
{
    p->last = p->now;
    p->made_up = made_up;
    follow(p, &t);
    p->now = t;
    return t;
}

/* A token that is not in the text, behind the one given last. */
static token make_up(parser *p, token_kind kind, bool report)
{
    token t = {.kind = kind, .at = {p->lex.file, p->now.at.hi, p->now.at.hi}};
    p->last = p->now;
    if (report && !p->quiet)
        report_missing(p, kind);
    return give(p, t, true);
}

/* At the end of the text: what is open is closed, innermost first. */
static token give_end(parser *p)
{
    token end = {.kind = TOKEN_EOF, .at = feed_peek(p, 0)->at};
    if (p->quiet)
        end.at = p->now.at;
    if (p->in_statement && !in_head(p) && (p->n_braces || p->key == TOKEN_CONST || p->key == TOKEN_FN))
        return make_up(p, TOKEN_SEMICOLON, complete(p));
    if (p->n_braces) {
        while (inside_brackets(p))
            p->n_open--;
        if (!p->quiet && !p->lex.cut && !(p->in_statement && in_head(p))) {
            diag *d = diag_error(p->ds, DIAG_SYNTAX, end.at, "expected `}` before the end of the file");
            diag_note_at(d, p->open[p->n_open - 1].at, "it closes the `{` opened here");
            p->quiet = true;
        }
        return make_up(p, TOKEN_RBRACE, false);
    }
    return give(p, end, false);
}

/* Whether a layer or fn that begins here shows that a '}' was forgotten: a const or fn inside a layer may
 * as well be in the wrong place, unless it stands at the beginning of a line. */
static bool ends_block(parser *p, const token *t)
{
    if (!p->n_braces || p->in_statement || !begins_item(t->kind))
        return false;
    return t->kind == TOKEN_LAYER || t->at.lo == 0 || p->lex.source->text[t->at.lo - 1] == '\n';
}

token feed_next(parser *p)
{
    const token *t = feed_peek(p, 0);
    if (t->kind == TOKEN_EOF || p->quiet)
        return give_end(p);
    if (p->in_statement && begins_statement(p)) {
        bool goes_on = domain_of(t->kind) && (p->now.kind == TOKEN_UPDATE || p->now.kind == TOKEN_ITERATE);
        if (in_head(p) && !inside_brackets(p) && may_end(p->now.kind) && !begins_item(t->kind))
            return make_up(p, TOKEN_LBRACE, true);
        if (!in_head(p) && !goes_on)
            return make_up(p, TOKEN_SEMICOLON, complete(p));
    }
    if (t->kind == TOKEN_RBRACE && p->in_statement && !in_head(p) && p->n_braces)
        return make_up(p, TOKEN_SEMICOLON, complete(p));
    if (ends_block(p, t)) {
        diag *d = diag_error(p->ds, DIAG_SYNTAX, t->at, "expected `}` before `%s`", token_text(t->kind));
        diag_note_at(d, p->open[p->n_open - 1].at, "it closes the `{` opened here");
        return make_up(p, TOKEN_RBRACE, false);
    }
    token taken = *t;
    p->ahead[0] = p->ahead[1];
    p->n_ahead--;
    give(p, taken, false);
    return p->quiet ? give_end(p) : taken;
}
