/*
 * The syntax tree of a file: what the parser says of the text and nothing more. Names are not resolved,
 * nothing is typed. Built in an arena by parse.y through ast_build.h, read by the semantic stage.
 *
 * Every expression has an id, counted from 0 in its file, so that a later stage keeps what it finds in
 * arrays beside the tree. No path from a statement to a leaf is longer than AST_MAX_DEPTH expressions, and
 * blocks nest no deeper than AST_MAX_BLOCKS: a function may recurse over a tree.
 *
 * Each expression has two spans: `span` is all of it, parentheses around it included; `at` is the token a
 * diagnostic points to (the operator of an operation, the name of a call or a method, otherwise the first
 * token).
 *
 * After syntax errors the tree is what could be recovered; expressions that were lost are AST_EXPR_ERROR.
 */
#ifndef MPC_PARSER_AST_H
#define MPC_PARSER_AST_H

#include "compiler/support/span.h"
#include "compiler/support/str.h"

enum {
    AST_MAX_DEPTH = 400,                         /* of an expression: its longest path to a leaf */
    AST_MAX_BLOCKS = 32,                         /* iterate inside iterate */
};

/* Domains as they are written. */
typedef enum ast_domain {
    AST_DOM_NONE,                                /* not written */
    AST_DOM_EDGE, AST_DOM_NODE, AST_DOM_SRC, AST_DOM_DST, AST_DOM_GRAPH, AST_DOM_GLOBAL, AST_DOM_PARAM,
} ast_domain;
const char *ast_domain_name(ast_domain d);       /* "edge"; "" for none */

typedef struct ast_name { str text; span span; } ast_name;   /* text is NULL where none was written */

/* ---- expressions ---- */

typedef enum ast_expr_kind {
    AST_EXPR_ERROR,                              /* something was reported here */
    AST_EXPR_NUMBER, AST_EXPR_STRING,
    AST_EXPR_NAME,                               /* x; also `training` */
    AST_EXPR_QUALIFIED,                          /* src.x dst.x graph.x */
    AST_EXPR_UNARY, AST_EXPR_BINARY,
    AST_EXPR_CALL,                               /* f(a, k = b); f may be the word `real` */
    AST_EXPR_METHOD,                             /* base.f(a, …) */
    AST_EXPR_MEMBER,                             /* base.f: an output of a call, c1(x = h).g */
    AST_EXPR_INDEX,                              /* base[…] */
} ast_expr_kind;

typedef enum ast_op {
    AST_OP_NEG, AST_OP_NOT,                                              /* unary */
    AST_OP_ADD, AST_OP_SUB, AST_OP_MUL, AST_OP_DIV, AST_OP_POW, AST_OP_MATMUL,
    AST_OP_LT, AST_OP_LE, AST_OP_GT, AST_OP_GE, AST_OP_EQ, AST_OP_NE,
    AST_OP_AND, AST_OP_OR,
    AST_N_OPS
} ast_op;
const char *ast_op_text(ast_op op);              /* "-", "**", … */

typedef struct ast_expr ast_expr;

typedef enum ast_arg_kind {
    AST_ARG_PLAIN,                               /* f(x) */
    AST_ARG_NAMED,                               /* f(slope = 0.2) */
    AST_ARG_BY,                                  /* sum(f, by = src): `by` is AST_DOM_SRC or AST_DOM_DST */
    AST_ARG_PER,                                 /* sum(f, per = rel) */
} ast_arg_kind;

typedef struct ast_arg {
    ast_arg_kind kind;
    ast_name name;                               /* of a NAMED one; otherwise the word by or per */
    ast_domain by;                               /* BY only */
    ast_expr *value;                             /* NULL for BY */
    span span;
} ast_arg;

typedef enum ast_subscript_kind { AST_SUB_INDEX, AST_SUB_SLICE, AST_SUB_NONE } ast_subscript_kind;

typedef struct ast_subscript {
    ast_subscript_kind kind;
    ast_expr *lo, *hi;                           /* INDEX: lo; SLICE: either may be NULL; NONE: both NULL */
    span span;
} ast_subscript;

struct ast_expr {
    ast_expr_kind kind;
    uint32_t id;
    uint32_t depth;                              /* 1 for a leaf; at most AST_MAX_DEPTH */
    span span, at;
    union {
        struct {                                 /* NUMBER */
            double value;
            bool is_integer;                     /* written without point and exponent, and fits in 64 bits */
            int64_t integer;
            str text;                            /* as written */
        } number;
        struct { str text; } string;             /* STRING: between the quotes (there are no escapes) */
        struct { str text; } name;               /* NAME */
        struct { ast_domain domain; ast_name name; } qualified;          /* QUALIFIED */
        struct { ast_op op; ast_expr *left, *right; } op;                /* BINARY; UNARY: in right */
        struct {                                 /* CALL (base is NULL), METHOD, MEMBER (no args) */
            ast_expr *base;
            ast_name name;
            ast_arg *args;
            uint32_t n_args;
        } call;
        struct { ast_expr *base; ast_subscript *subs; uint32_t n_subs; } index;     /* INDEX */
    };
};

/* ---- types, inputs and params ---- */

typedef enum ast_type_kind {
    AST_TYPE_DEFAULT,                            /* none written: real */
    AST_TYPE_REAL, AST_TYPE_F64, AST_TYPE_F32, AST_TYPE_F16, AST_TYPE_BF16, AST_TYPE_INDEX, AST_TYPE_BOOL,
} ast_type_kind;

typedef struct ast_type {
    ast_type_kind kind;
    ast_expr *range;                             /* INDEX only */
    bool or_none;                                /* `index(R) or none` */
    span span;
} ast_type;

typedef struct ast_init {                        /* init kaiming_uniform, init normal(0.1) */
    ast_name name;                               /* not checked here */
    ast_arg *args;
    uint32_t n_args;
    span span;
} ast_init;

typedef struct ast_declarator {                  /* W[in, out] init ones */
    ast_name name;
    ast_expr **dims;                             /* empty list and no list are the same: a scalar */
    uint32_t n_dims;
    ast_type type;                               /* written behind it, or behind a later one: a, b: bool */
    ast_init *init;                              /* NULL: none; params only */
} ast_declarator;

/* ---- statements of a layer ---- */

typedef enum ast_stmt_kind {
    AST_STMT_ERROR,                              /* lost in a syntax error; eq.name: what it would define, if seen */
    AST_STMT_DECL,                               /* node x[in], y;   param W[in, out]; */
    AST_STMT_DEFINE,                             /* node z = …;   message f = …; */
    AST_STMT_UPDATE,                             /* update g = …;   update edge e2 = …; */
    AST_STMT_NEXT,                               /* next z = …;  (in iterate only) */
    AST_STMT_USE,                                /* use c1 = GCN(in, 16); */
    AST_STMT_ITERATE,
} ast_stmt_kind;

typedef struct ast_stmt ast_stmt;

typedef struct ast_state { ast_name name; ast_expr *start; } ast_state;

struct ast_stmt {
    ast_stmt_kind kind;
    ast_domain domain;                           /* as written; NONE: message, next, update g, iterate z */
    span span;                                   /* from the first word to the ';' or '}' */
    span key;                                    /* the first word */
    union {
        struct { ast_declarator *list; uint32_t n; } decl;
        struct {                                 /* DEFINE, UPDATE, NEXT */
            ast_name name;
            bool is_message;                     /* DEFINE only: then the domain is NONE and means edge */
            ast_expr *value;
        } eq;
        struct { ast_name name, layer; ast_arg *args; uint32_t n_args; } use;
        struct {
            ast_state *states;
            uint32_t n_states;
            ast_expr *limit;                     /* for K */
            ast_expr *tolerance;                 /* until change < tol, or NULL */
            span change;                         /* of the word, when there is a tolerance */
            ast_stmt **body;
            uint32_t n_body;
            span end;                            /* of the '}' */
        } iterate;
    };
};

/* ---- the file ---- */

typedef struct ast_static {                      /* of a layer: out, K = 10, alpha: real = 0.1 */
    ast_name name;
    bool is_real;
    ast_expr *value;                             /* the default, or NULL */
} ast_static;

typedef struct ast_let { ast_name name; ast_expr *value; } ast_let;

typedef enum ast_item_kind { AST_ITEM_LAYER, AST_ITEM_FN, AST_ITEM_CONST } ast_item_kind;

typedef struct ast_item {
    ast_item_kind kind;
    ast_name name;                               /* text may be NULL when broken */
    bool broken;                                 /* its head was lost in an error: only the name counts */
    span span, key;
    union {
        struct {
            ast_static *statics;
            uint32_t n_statics;
            ast_stmt **body;
            uint32_t n_body;
            span end;                            /* of the '}' */
        } layer;
        struct {
            ast_name *params;
            uint32_t n_params;
            ast_let *lets;                       /* in order; none in the short form fn f(x) = …; */
            uint32_t n_lets;
            ast_expr *result;
        } fn;
        struct { ast_expr *value; } constant;
    };
} ast_item;

typedef struct ast_file {
    uint32_t file;                               /* in the source_set */
    ast_item **items;                            /* in the order of the text */
    uint32_t n_items;
    uint32_t n_exprs;                            /* ids are below it */
} ast_file;

#endif
