/* Inside of the reader of the text form: shared by parse.c (the layer), parse_text.c (words, numbers, dims) and
 * parse_value.c (the lines of values). Each function takes what comes next on the line, or says why not and returns
 * false; the first reason is the one that is told. */
#ifndef MPC_IR_PARSE_INT_H
#define MPC_IR_PARSE_INT_H

#include "compiler/ir/ir.h"
#include "compiler/support/map.h"
#include "compiler/support/vec.h"

typedef VEC(ir_state) states;
typedef struct pair_line { ir_val given; uint32_t domain; } pair_line;

typedef struct reader {
    const char *p;              /* next character of the line */
    uint32_t line;
    arena *mem;
    str_table *names;
    ir_layer *l;
    map values;                 /* by id in the text: id in the layer */
    VEC(states) states;         /* by loop */
    VEC(pair_line) pairs;
    const char *error;
} reader;

bool text_fail(reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void text_spaces(reader *r);
bool text_at_end(reader *r);                            /* of the line, but for a comment */
bool text_take(reader *r, const char *s);               /* if it comes next; a word only when the whole word is it */
bool text_need(reader *r, const char *s);
bool text_name(reader *r, str *out);
bool text_string(reader *r, str *out);
bool text_uint(reader *r, uint32_t *out);
bool text_double(reader *r, double *out);
bool text_value(reader *r, ir_val *out);                /* one that is known */
bool text_dim(reader *r, dim *out);

/* parse.c */
bool text_domain(reader *r, ir_dom *out);               /* by its name, or index(range) */
bool text_loop(reader *r, uint32_t *out);               /* by its number in the text: from 0 */

/* parse_value.c: after the % */
bool text_value_line(reader *r);

#endif
