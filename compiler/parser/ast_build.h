/*
 * The parser's state and the constructors that its grammar calls. For parse.y, feed.c, syntax_error.c and
 * ast_build.c; others read the tree in ast.h.
 */
#ifndef MPC_PARSER_AST_BUILD_H
#define MPC_PARSER_AST_BUILD_H

#include "compiler/lexer/lex.h"
#include "compiler/parser/ast.h"
#include "compiler/support/vec.h"

/* Lists while they grow; the tree keeps their arrays. */
typedef VEC(ast_arg) arg_list;
typedef VEC(ast_subscript) sub_list;
typedef VEC(ast_expr *) expr_list;
typedef VEC(ast_declarator) declarator_list;
typedef VEC(ast_state) state_list;
typedef VEC(ast_stmt *) stmt_list;
typedef VEC(ast_static) static_list;
typedef VEC(ast_let) let_list;
typedef VEC(ast_name) name_list;

/* Parts of statements, while they are put together. */
typedef struct iterate_head {
    ast_domain domain;
    state_list *states;
    ast_expr *limit, *tolerance;
    span change;
} iterate_head;
typedef struct until { ast_expr *value; span change; } until;
typedef struct fn_body { let_list *lets; ast_expr *result; } fn_body;

enum { MAX_OPEN = AST_MAX_DEPTH + AST_MAX_BLOCKS + 4 };

typedef struct open_bracket { token_kind kind; span at; } open_bracket;

typedef struct parser {
    arena *a;
    str_table *names;
    diags *ds;
    lexer lex;
    VEC(ast_item *) items;
    uint32_t n_exprs;

    /* the feed of tokens: see feed.c */
    token ahead[2];                              /* read, not yet given */
    uint32_t n_ahead;
    token last;                                  /* the one given before the present one */
    token now;                                   /* the present one */
    bool made_up;                                /* it is not in the text: ahead[0] stands there */
    bool unmatched;                              /* it closes a bracket that was never opened */
    bool quiet;                                  /* enough was said: the rest goes unreported */
    open_bracket open[MAX_OPEN];                 /* brackets of all kinds, outermost first */
    uint32_t n_open, n_braces;
    open_bracket inner;                          /* the innermost before the present token; kind EOF: none */

    /* the statement at hand, kept until the next one begins */
    bool in_statement;
    token_kind key;                              /* its first word */
    span key_at;
    ast_domain domain;                           /* the domain it names first, if any */
    ast_name subject;                            /* the name that it defines: behind the key or the domain */
    bool subject_past;                           /* other tokens have come: there is none */
    bool assigned;                               /* an '=' stands in it, outside of brackets */
} parser;

/* feed.c: the next token for the grammar. Keeps count of brackets and statements, and closes what was left
 * open, so that one slip is one error. */
token feed_next(parser *p);
const token *feed_peek(parser *p, uint32_t i);   /* what comes after the present token: 0 or 1 ahead */
ast_domain domain_of(token_kind kind);           /* of a domain's word; NONE of another token */

/* syntax_error.c */
typedef struct syntax_error {
    token_kind found;
    bool expects[TOKEN_COUNT];
} syntax_error;
void report_syntax_error(parser *p, const syntax_error *e);
diag *report_missing(parser *p, token_kind what);    /* "expected `;` …" behind the token given last */
void report_too_deep(parser *p, span at);

/* ---- constructors; `all` is the span of the whole, `at` of the token that stands for it ---- */

ast_expr *build_error(parser *p, span all);
ast_expr *build_number(parser *p, const token *t);
ast_expr *build_string(parser *p, str text, span at);
ast_expr *build_name(parser *p, str text, span at);
ast_expr *build_qualified(parser *p, ast_domain domain, ast_name name, span all);
ast_expr *build_unary(parser *p, ast_op op, span at, ast_expr *operand);
ast_expr *build_binary(parser *p, ast_op op, span at, ast_expr *left, ast_expr *right);
ast_expr *build_call(parser *p, ast_name name, arg_list *args, span all);
ast_expr *build_method(parser *p, ast_expr *base, ast_name name, arg_list *args, span all);
ast_expr *build_member(parser *p, ast_expr *base, ast_name name, span all);
ast_expr *build_index(parser *p, ast_expr *base, sub_list *subs, span all);
ast_expr *build_parens(ast_expr *inner, span all);

ast_arg *build_by(parser *p, span word, ast_domain domain, span value, span all);

ast_stmt *build_decl(parser *p, ast_domain domain, span key, declarator_list *list, span all);
/* word: where the domain is written */
ast_stmt *build_equation(parser *p, ast_stmt_kind kind, ast_domain domain, span key, span word, ast_name name,
                         ast_expr *value, span all);
ast_stmt *build_message(parser *p, span key, ast_name name, ast_expr *value, span all);
ast_stmt *build_use(parser *p, span key, ast_name name, ast_name layer, arg_list *args, span all);
ast_stmt *build_iterate(parser *p, span key, const iterate_head *head, stmt_list *body, span end, span all);
/* AST_STMT_ERROR, with the name that the statement at hand would have defined when it is known. */
ast_stmt *build_lost(parser *p, bool with_name, span all);
ast_stmt *build_lost_iterate(parser *p, span key, ast_name name, stmt_list *body, span all);
void add_lost_let(parser *p, let_list *lets, span all);

void add_layer(parser *p, span key, ast_name name, static_list *statics, stmt_list *body, span end, span all);
void add_fn(parser *p, span key, ast_name name, name_list *params, let_list *lets, ast_expr *result,
            span all);
void add_broken(parser *p, ast_item_kind kind, span key, ast_name name, stmt_list *body, span all);
void add_const(parser *p, span key, ast_name name, ast_expr *value, span all);

#endif
