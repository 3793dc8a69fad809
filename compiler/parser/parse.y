/*
 * The grammar. Actions only call constructors (ast_build.h); what is wrong with a token is said in
 * syntax_error.c; tokens come through feed.c, which closes what was left open.
 *
 * A statement that cannot be read is passed over to its ';' or past its block and stays in the tree as
 * AST_STMT_ERROR, so that the rest of the file is parsed as if it were right.
 */
%require "3.8"
%code top {
#include "compiler/parser/ast_build.h"
#include "compiler/parser/parse.h"
}
%code requires {
#include "compiler/parser/ast_build.h"
}
%define api.pure full
%define api.prefix {mp_}
%define api.token.prefix {TOK_}
%define api.value.type union
%define api.location.type {span}
%define parse.error custom
%define parse.lac full
%param { parser *p }
%locations
%expect 0

%code {
/* The parser's stacks are fixed: nothing is allocated behind the arena's back, and input cannot grow them. */
#define YYINITDEPTH 4000
#define YYMAXDEPTH 4000

#define YYLLOC_DEFAULT(all, rhs, n)                                                            \
    ((all) = (n) ? (span){YYRHSLOC(rhs, 1).file, YYRHSLOC(rhs, 1).lo, YYRHSLOC(rhs, n).hi}     \
                 : (span){YYRHSLOC(rhs, 0).file, YYRHSLOC(rhs, 0).hi, YYRHSLOC(rhs, 0).hi})

static int mp_lex(MP_STYPE *value, span *at, parser *p);
static void mp_error(span *at, parser *p, const char *text);

#define MAKE(type, ...) arena_copy(p->a, &(type)__VA_ARGS__, sizeof(type))
#define LIST(out, type, ...) ((out) = NEW(p->a, type), (void)vec_push(p->a, (out), __VA_ARGS__))
#define GROW(out, list, ...) ((out) = (list), (void)vec_push(p->a, (out), __VA_ARGS__))
#define NAMED(text, at) ((ast_name){(text), (at)})

static span last_byte(span all)                  /* the '}' of a block */
{
    return (span){all.file, all.hi - (all.hi > all.lo), all.hi};
}
}

%token EOF 0
%token <str> NAME STRING
%token <ast_expr *> NUMBER
%token LAYER FN CONST LET RETURN NODE SRC DST EDGE GRAPH GLOBAL PARAM MESSAGE UPDATE USE ITERATE FOR UNTIL
%token NEXT CHANGE INIT BY PER OR_WORD NONE_WORD TRAINING REAL INDEX BOOL NONE F64 F32 F16 BF16
%token LPAREN "(" RPAREN ")" LBRACKET "[" RBRACKET "]" LBRACE "{" RBRACE "}" SEMICOLON ";" COMMA ","
%token COLON ":" DOT "."
%token ASSIGN "=" PLUS "+" MINUS "-" STAR "*" SLASH "/" POWER "**" AT "@"
%token LT "<" LE "<=" GT ">" GE ">=" EQ "==" NE "!="
%token NOT "!" AND "&&" OR "||"

%nterm <ast_expr *> expr and comparison sum term unary power postfix primary default
%nterm <ast_op> compare_op sum_op term_op unary_op
%nterm <ast_domain> domain domain_opt by_end
%nterm <ast_arg *> arg
%nterm <arg_list *> args args1
%nterm <ast_subscript *> sub
%nterm <sub_list *> subs
%nterm <ast_declarator *> declarator
%nterm <declarator_list *> declarators
%nterm <expr_list *> dims shape
%nterm <ast_type *> type
%nterm <ast_type_kind> type_word
%nterm <ast_init *> init init_opt
%nterm <ast_stmt *> stmt
%nterm <stmt_list *> stmts body
%nterm <ast_state *> state
%nterm <state_list *> states
%nterm <iterate_head *> iterate_head
%nterm <until *> until_opt
%nterm <ast_static *> static
%nterm <static_list *> statics statics1
%nterm <name_list *> names names1
%nterm <let_list *> lets
%nterm <fn_body *> fn_body
%nterm <ast_name *> lost

%%

file:
    items

items:
    %empty
|   items item
|   items error

item:
    LAYER NAME "(" statics ")" body     { add_layer(p, @1, NAMED($2, @2), $4, $6, last_byte(@6), @$); }
|   LAYER lost body                     { add_broken(p, AST_ITEM_LAYER, @1, *$2, $3, @$); }
|   LAYER lost ";"                      { add_broken(p, AST_ITEM_LAYER, @1, *$2, NULL, @$); yyerrok; }
|   FN NAME "(" names ")" "=" expr ";"  { add_fn(p, @1, NAMED($2, @2), $4, NULL, $7, @$); }
|   FN NAME "(" names ")" fn_body       { add_fn(p, @1, NAMED($2, @2), $4, $6->lets, $6->result, @$); }
|   FN lost fn_body                     { add_broken(p, AST_ITEM_FN, @1, *$2, NULL, @$); (void)$3; }
|   FN lost ";"                         { add_broken(p, AST_ITEM_FN, @1, *$2, NULL, @$); yyerrok; }
|   CONST NAME "=" expr ";"             { add_const(p, @1, NAMED($2, @2), $4, @$); }
|   CONST lost ";"                      { add_broken(p, AST_ITEM_CONST, @1, *$2, NULL, @$); yyerrok; }

lost:                                   /* what cannot be read, with the name that was seen in it */
    error               { $$ = MAKE(ast_name, {p->subject.text, p->subject.span}); }

statics:
    %empty              { $$ = NEW(p->a, static_list); }
|   statics1
statics1:
    static              { LIST($$, static_list, *$1); }
|   statics1 "," static { GROW($$, $1, *$3); }
static:
    NAME default            { $$ = MAKE(ast_static, {NAMED($1, @1), false, $2}); }
|   NAME ":" REAL default   { $$ = MAKE(ast_static, {NAMED($1, @1), true, $4}); }
default:
    %empty              { $$ = NULL; }
|   "=" expr            { $$ = $2; }

names:
    %empty              { $$ = NEW(p->a, name_list); }
|   names1
names1:
    NAME                { LIST($$, name_list, NAMED($1, @1)); }
|   names1 "," NAME     { GROW($$, $1, NAMED($3, @3)); }

fn_body:
    "{" lets RETURN expr ";" "}"        { $$ = MAKE(fn_body, {$2, $4}); }
|   "{" lets error "}"                  { $$ = MAKE(fn_body, {$2, build_error(p, @3)}); yyerrok; }
lets:
    %empty              { $$ = NEW(p->a, let_list); }
|   lets LET NAME "=" expr ";"  { GROW($$, $1, (ast_let){NAMED($3, @3), $5}); }
|   lets error ";"      { $$ = $1; add_lost_let(p, $1, @2); yyerrok; }

/* ---- statements ---- */

body:
    "{" stmts "}"       { $$ = $2; }
|   "{" stmts error "}" { $$ = $2; yyerrok; }
stmts:
    %empty              { $$ = NEW(p->a, stmt_list); }
|   stmts stmt          { GROW($$, $1, $2); }

stmt:
    domain declarators ";"                  { $$ = build_decl(p, $1, @1, $2, @$); }
|   domain NAME "=" expr ";"
        { $$ = build_equation(p, AST_STMT_DEFINE, $1, @1, @1, NAMED($2, @2), $4, @$); }
|   MESSAGE NAME "=" expr ";"               { $$ = build_message(p, @1, NAMED($2, @2), $4, @$); }
|   UPDATE domain_opt NAME "=" expr ";"
        { $$ = build_equation(p, AST_STMT_UPDATE, $2, @1, @2, NAMED($3, @3), $5, @$); }
|   NEXT NAME "=" expr ";"
        { $$ = build_equation(p, AST_STMT_NEXT, AST_DOM_NONE, @1, @1, NAMED($2, @2), $4, @$); }
|   USE NAME "=" NAME "(" args ")" ";"      { $$ = build_use(p, @1, NAMED($2, @2), NAMED($4, @4), $6, @$); }
|   ITERATE iterate_head body               { $$ = build_iterate(p, @1, $2, $3, last_byte(@3), @$); }
|   ITERATE lost body                       { $$ = build_lost_iterate(p, @1, *$2, $3, @$); yyerrok; }
|   ITERATE lost ";"                        { $$ = build_lost_iterate(p, @1, *$2, NULL, @$); yyerrok; }
|   error ";"                               { $$ = build_lost(p, true, @$); yyerrok; }
|   error body                              { $$ = build_lost(p, false, @$); yyerrok; }

domain:
    EDGE    { $$ = AST_DOM_EDGE; }
|   NODE    { $$ = AST_DOM_NODE; }
|   SRC     { $$ = AST_DOM_SRC; }
|   DST     { $$ = AST_DOM_DST; }
|   GRAPH   { $$ = AST_DOM_GRAPH; }
|   GLOBAL  { $$ = AST_DOM_GLOBAL; }
|   PARAM   { $$ = AST_DOM_PARAM; }
domain_opt:
    %empty  { $$ = AST_DOM_NONE; }
|   domain

declarators:
    declarator                  { LIST($$, declarator_list, *$1); }
|   declarators "," declarator  { GROW($$, $1, *$3); }
declarator:
    NAME shape init_opt
        { $$ = MAKE(ast_declarator, {NAMED($1, @1), $2->at, $2->n, {.span = @$}, $3}); }
|   NAME shape init_opt ":" type init_opt
        { $$ = MAKE(ast_declarator, {NAMED($1, @1), $2->at, $2->n, *$5, $3 ? $3 : $6}); }
shape:
    %empty              { $$ = NEW(p->a, expr_list); }
|   "[" dims "]"        { $$ = $2; }
dims:
    expr                { LIST($$, expr_list, $1); }
|   dims "," expr       { GROW($$, $1, $3); }
init_opt:
    %empty              { $$ = NULL; }
|   init
init:
    INIT NAME               { $$ = MAKE(ast_init, {.name = NAMED($2, @2), .span = @$}); }
|   INIT NAME "(" args ")"  { $$ = MAKE(ast_init, {NAMED($2, @2), $4->at, $4->n, @$}); }
type:
    type_word                               { $$ = MAKE(ast_type, {$1, NULL, false, @$}); }
|   INDEX "(" expr ")"                      { $$ = MAKE(ast_type, {AST_TYPE_INDEX, $3, false, @$}); }
|   INDEX "(" expr ")" OR_WORD NONE_WORD    { $$ = MAKE(ast_type, {AST_TYPE_INDEX, $3, true, @$}); }
type_word:
    REAL    { $$ = AST_TYPE_REAL; }
|   F64     { $$ = AST_TYPE_F64; }
|   F32     { $$ = AST_TYPE_F32; }
|   F16     { $$ = AST_TYPE_F16; }
|   BF16    { $$ = AST_TYPE_BF16; }
|   BOOL    { $$ = AST_TYPE_BOOL; }

iterate_head:
    domain_opt states FOR expr until_opt    { $$ = MAKE(iterate_head, {$1, $2, $4, $5->value, $5->change}); }
states:
    state               { LIST($$, state_list, *$1); }
|   states "," state    { GROW($$, $1, *$3); }
state:
    NAME "=" expr       { $$ = MAKE(ast_state, {NAMED($1, @1), $3}); }
until_opt:
    %empty                      { $$ = MAKE(until, {NULL, @$}); }
|   UNTIL CHANGE "<" expr       { $$ = MAKE(until, {$4, @2}); }

/* ---- expressions, loosest first ---- */

expr:
    and
|   expr "||" and       { $$ = build_binary(p, AST_OP_OR, @2, $1, $3); }
and:
    comparison
|   and "&&" comparison { $$ = build_binary(p, AST_OP_AND, @2, $1, $3); }
comparison:
    sum
|   sum compare_op sum  { $$ = build_binary(p, $2, @2, $1, $3); }
compare_op:
    "<"     { $$ = AST_OP_LT; }
|   "<="    { $$ = AST_OP_LE; }
|   ">"     { $$ = AST_OP_GT; }
|   ">="    { $$ = AST_OP_GE; }
|   "=="    { $$ = AST_OP_EQ; }
|   "!="    { $$ = AST_OP_NE; }
sum:
    term
|   sum sum_op term     { $$ = build_binary(p, $2, @2, $1, $3); }
sum_op:
    "+"     { $$ = AST_OP_ADD; }
|   "-"     { $$ = AST_OP_SUB; }
term:
    unary
|   term term_op unary  { $$ = build_binary(p, $2, @2, $1, $3); }
term_op:
    "*"     { $$ = AST_OP_MUL; }
|   "/"     { $$ = AST_OP_DIV; }
|   "@"     { $$ = AST_OP_MATMUL; }
unary:
    power
|   unary_op unary      { $$ = build_unary(p, $1, @1, $2); }
unary_op:
    "-"     { $$ = AST_OP_NEG; }
|   "!"     { $$ = AST_OP_NOT; }
power:
    postfix
|   postfix "**" unary  { $$ = build_binary(p, AST_OP_POW, @2, $1, $3); }
postfix:
    primary
|   postfix "." NAME                { $$ = build_member(p, $1, NAMED($3, @3), @$); }
|   postfix "." NAME "(" args ")"   { $$ = build_method(p, $1, NAMED($3, @3), $5, @$); }
|   postfix "[" subs "]"            { $$ = build_index(p, $1, $3, @$); }
primary:
    NUMBER
|   STRING                  { $$ = build_string(p, $1, @1); }
|   NAME                    { $$ = build_name(p, $1, @1); }
|   TRAINING                { $$ = build_name(p, p->lex.words[TOKEN_TRAINING], @1); }
|   domain "." NAME         { $$ = build_qualified(p, $1, NAMED($3, @3), @$); }
|   NAME "(" args ")"       { $$ = build_call(p, NAMED($1, @1), $3, @$); }
|   REAL "(" args ")"       { $$ = build_call(p, NAMED(p->lex.words[TOKEN_REAL], @1), $3, @$); }
|   "(" expr ")"            { $$ = build_parens($2, @$); }

args:
    %empty              { $$ = NEW(p->a, arg_list); }
|   args1
args1:
    arg                 { LIST($$, arg_list, *$1); }
|   args1 "," arg       { GROW($$, $1, *$3); }
arg:
    expr                { $$ = MAKE(ast_arg, {.value = $1, .span = @$}); }
|   NAME "=" expr       { $$ = MAKE(ast_arg, {AST_ARG_NAMED, NAMED($1, @1), AST_DOM_NONE, $3, @$}); }
|   PER "=" expr
        { $$ = MAKE(ast_arg, {AST_ARG_PER, NAMED(p->lex.words[TOKEN_PER], @1), AST_DOM_NONE, $3, @$}); }
|   BY "=" by_end       { $$ = build_by(p, @1, $3, @3, @$); }
by_end:
    domain
|   NAME                { $$ = AST_DOM_NONE; }

subs:
    sub                 { LIST($$, sub_list, *$1); }
|   subs "," sub        { GROW($$, $1, *$3); }
sub:
    expr                { $$ = MAKE(ast_subscript, {AST_SUB_INDEX, $1, NULL, @$}); }
|   expr ":" expr       { $$ = MAKE(ast_subscript, {AST_SUB_SLICE, $1, $3, @$}); }
|   expr ":"            { $$ = MAKE(ast_subscript, {AST_SUB_SLICE, $1, NULL, @$}); }
|   ":" expr            { $$ = MAKE(ast_subscript, {AST_SUB_SLICE, NULL, $2, @$}); }
|   ":"                 { $$ = MAKE(ast_subscript, {AST_SUB_SLICE, NULL, NULL, @$}); }
|   NONE                { $$ = MAKE(ast_subscript, {AST_SUB_NONE, NULL, NULL, @$}); }

%%

enum { TOK_ERROR = TOK_MP_error };               /* what was reported: the parser only recovers */

static const short grammar_tokens[TOKEN_COUNT] = {
#define TOKEN(id, text, class) [TOKEN_##id] = TOK_##id,
#include "compiler/lexer/token.def"
#undef TOKEN
};

static int mp_lex(MP_STYPE *value, span *at, parser *p)
{
    token t = feed_next(p);
    *at = t.at;
    if (t.kind == TOKEN_NAME)
        value->TOK_NAME = t.text;
    else if (t.kind == TOKEN_STRING)
        value->TOK_STRING = t.text;
    else if (t.kind == TOKEN_NUMBER)
        value->TOK_NUMBER = build_number(p, &t);
    return grammar_tokens[t.kind];
}

static void mp_error(span *at, parser *p, const char *text)
{
    (void)text;                                  /* only "memory exhausted" comes this way */
    report_too_deep(p, *at);
}

static int yyreport_syntax_error(const yypcontext_t *context, parser *p)
{
    yysymbol_kind_t expected[YYNTOKENS];
    int n = yypcontext_expected_tokens(context, expected, YYNTOKENS);
    syntax_error e = {.found = p->now.kind};
    for (int k = 0; k < TOKEN_COUNT; k++)
        for (int i = 0; i < n; i++)
            e.expects[k] = e.expects[k] || expected[i] == YYTRANSLATE(grammar_tokens[k]);
    e.expects[TOKEN_ERROR] = false;
    report_syntax_error(p, &e);
    return n < 0 ? n : 0;
}
