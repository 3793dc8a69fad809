/* Names that the text form, messages and docs share; the table of operations itself is ir_ops of ir.h. */
#ifndef MPC_IR_TABLE_H
#define MPC_IR_TABLE_H

#include "compiler/ir/ir.h"

enum { IR_N_TYPES = T_MAP + 1, IR_N_INITS = INIT_KAIMING_NORMAL + 1 };

extern const char *const ir_type_names[IR_N_TYPES];      /* "f32" */
extern const char *const ir_init_names[IR_N_INITS];      /* "glorot_uniform" */
extern const uint8_t ir_init_args[IR_N_INITS];           /* numbers that follow in parentheses */

#endif
