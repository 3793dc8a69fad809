/* The table of operations as data, and small facts about types and domains. */
#include "compiler/ir/table.h"

/* The columns of ops.def, as the names stand there. */
#define COMM   OPF_COMM
#define ASSOC  OPF_ASSOC
#define IDEM   OPF_IDEM
#define LIN0   OPF_LIN0
#define LIN1   OPF_LIN1
#define LINALL OPF_LINALL
#define ZERO0  OPF_ZERO0
#define MONO   OPF_MONO
#undef NAN
#define NAN    OPF_NAN

const ir_opinfo ir_ops[OP_N] = {
#define OP(id_, text_, n, class_, shape_, type_, derivative_, flags_, cost_, meaning_)                        \
    [OP_##id_] = {.id = #id_, .text = text_, .nargs = n, .cls = CLS_##class_, .shape = SHAPE_##shape_,        \
                  .type = TYPE_##type_, .derivative = #derivative_, .flags = flags_, .cost = cost_,           \
                  .meaning = meaning_},
#include "compiler/ir/ops.def"
#undef OP
};

const char *const ir_type_names[] = {
    [T_F64] = "f64", [T_F32] = "f32", [T_F16] = "f16", [T_BF16] = "bf16",
    [T_INDEX] = "index", [T_BOOL] = "bool", [T_MAP] = "map",
};

const char *const ir_init_names[] = {
    [INIT_NONE] = "none", [INIT_ZEROS] = "zeros", [INIT_ONES] = "ones", [INIT_CONSTANT] = "constant",
    [INIT_UNIFORM] = "uniform", [INIT_NORMAL] = "normal", [INIT_GLOROT_UNIFORM] = "glorot_uniform",
    [INIT_GLOROT_NORMAL] = "glorot_normal", [INIT_KAIMING_UNIFORM] = "kaiming_uniform",
    [INIT_KAIMING_NORMAL] = "kaiming_normal",
};

const uint8_t ir_init_args[] = {
    [INIT_CONSTANT] = 1, [INIT_UNIFORM] = 2, [INIT_NORMAL] = 1, [INIT_KAIMING_NORMAL] = 0,
};
