/* The stages as text: see emit.h. */
#include "compiler/driver/emit.h"

#include <string.h>

#include "codegen/cuda/nvrtc.h"
#include "codegen/cuda/print.h"
#include "compiler/driver/dot.h"
#include "compiler/driver/explain.h"
#include "compiler/driver/header.h"
#include "compiler/ir/print.h"
#include "compiler/lexer/lex.h"
#include "compiler/parser/ast_print.h"
#include "compiler/plan/plan_print.h"

static const struct { const char *name; mpc_emit_kind kind; } kinds[] = {
    {"tokens", MPC_EMIT_TOKENS}, {"ast", MPC_EMIT_AST}, {"ir", MPC_EMIT_IR}, {"plan", MPC_EMIT_PLAN}, {"llvm", MPC_EMIT_LLVM},
    {"asm", MPC_EMIT_ASM}, {"obj", MPC_EMIT_OBJ}, {"so", MPC_EMIT_SO}, {"header", MPC_EMIT_HEADER}, {"dot", MPC_EMIT_DOT},
    {"cuda", MPC_EMIT_CUDA}, {"ptx", MPC_EMIT_PTX}, {"cubin", MPC_EMIT_CUBIN},
};

bool emit_kind_of(const char *text, mpc_emit_kind *kind, const char **stage)
{
    static const char after[] = "@after:";
    size_t n = strcspn(text, "@");
    *stage = NULL;
    if (text[n]) {
        if (strncmp(text + n, after, sizeof after - 1) != 0 || strncmp(text, "ir@", 3) != 0 || !text[n + sizeof after - 1])
            return false;
        *stage = text + n + sizeof after - 1;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strlen(kinds[i].name) == n && strncmp(text, kinds[i].name, n) == 0) {
            *kind = kinds[i].kind;
            return true;
        }
    return false;
}

bool emit_stage_exists(const char *stage, buf *known)
{
    static const char *const stages[] = {
        "lower",
#define PASS(name, function, why) name,
#include "compiler/passes/passes.def"
#undef PASS
    };
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++)
        if (strcmp(stages[i], stage) == 0)
            return true;
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++)
        buf_printf(known, "%s%s", i ? ", " : "", stages[i]);
    return false;
}

static compile_result emit_tokens(compilation *c, const char *name, const char *text, size_t n, buf *out)
{
    compile_result r = compile_parse(c, name, text, n);
    if (r == COMPILE_LIMIT || r == COMPILE_FAILED)
        return r;
    diags *quiet = diags_new(c->mem, c->sources);       /* what the lexer has to say was said when parsing */
    lex_dump(c->names, quiet, c->sources, c->file, out);
    return diags_failed(quiet) ? COMPILE_WRONG : COMPILE_OK;
}

static compile_result emit_code(compilation *c, module_form form, buf *out)
{
    char err[600];
    object_bytes bytes = {0};
    compile_result r = compile_plan(c);
    if (r != COMPILE_OK)
        return r;
    const cpu_backend *backend = cpu_backend_open(err, sizeof err);
    if (!backend) {
        c->why = arena_strdup(c->mem, err);
        return COMPILE_FAILED;
    }
    r = compile_object(c, backend, form, &bytes);
    if (r == COMPILE_OK)
        buf_write(out, bytes.data, bytes.size);
    backend->free_bytes(&bytes);
    return r;
}

static void print_cuda(compilation *c, buf *out)
{
    uint32_t n_plans;
    const kplan **plans = compile_plans(c, &n_plans);
    cuda_print(c->mem, plans, n_plans, &(cuda_options){.sources = c->sources}, out, NULL);
}

/* NVRTC has no arena: memory that runs out while the text is printed leaves nothing open. */
static compile_result emit_cuda(compilation *c, const char *name, mpc_emit_kind kind, buf *out)
{
    compile_result r = compile_plan(c);
    if (r != COMPILE_OK || kind == MPC_EMIT_CUDA)
        return r == COMPILE_OK ? compile_with(c, print_cuda, out) : r;
    buf text = buf_make(NULL), log = buf_make(NULL);
    char err[300];
    nvrtc room;
    const nvrtc *n = nvrtc_open(&room, err, sizeof err);
    nvrtc_options o = {.arch = c->opt.n_arch ? c->opt.arch[0] : "sm_80", .ptx = kind == MPC_EMIT_PTX};
    if (!nvrtc_is_arch(o.arch)) {
        c->why = arena_printf(c->mem, "'%s' is no architecture of a GPU: sm_80, sm_90, compute_90 are", o.arch);
        r = COMPILE_FAILED;
    } else if (!n) {
        c->why = arena_strdup(c->mem, err);
        r = COMPILE_FAILED;
    } else {
        r = compile_with(c, print_cuda, &text);
    }
    if (r == COMPILE_OK && !nvrtc_build(n, buf_text(&text), name, &o, out, &log)) {
        c->why = arena_printf(c->mem, "internal error: the CUDA source does not compile:\n%s", buf_text(&log));
        r = COMPILE_FAILED;
    }
    buf_free(&text);
    buf_free(&log);
    return r;
}

static compile_result each_layer(compilation *c, void (*write)(const compiled_layer *l, buf *out), buf *out)
{
    for (uint32_t i = 0; i < c->n_layers; i++) {
        if (i)
            buf_putc(out, '\n');
        write(&c->layers[i], out);
    }
    return COMPILE_OK;
}

static void write_ir(const compiled_layer *l, buf *out)
{
    ir_print(l->ir, out);
    if (!l->training)
        return;
    buf_putc(out, '\n');
    ir_print(l->training->train, out);
    buf_putc(out, '\n');
    ir_print(l->training->backward, out);
}

static void write_plan(const compiled_layer *l, buf *out)
{
    plan_print(l->plan, out);
    if (!l->training)
        return;
    buf_putc(out, '\n');
    plan_print(l->train_plan, out);
    buf_putc(out, '\n');
    plan_print(l->backward_plan, out);
}

static void write_dot(const compiled_layer *l, buf *out) { dot_print(l->ir, out); }
static void write_explain(const compiled_layer *l, buf *out) { explain_layer(l, NULL, out); }

compile_result emit_text(compilation *c, const char *name, const char *text, size_t n, mpc_emit_kind kind, buf *out)
{
    if (kind == MPC_EMIT_TOKENS)
        return emit_tokens(c, name, text, n, out);
    compile_result r = compile_parse(c, name, text, n);
    if (kind == MPC_EMIT_AST) {
        if (r == COMPILE_OK)
            ast_dump(c->ast, out);
        return r;
    }
    if (r != COMPILE_OK && r != COMPILE_WRONG)
        return r;
    if (!c->opt.grad && kind != MPC_EMIT_OBJ && kind != MPC_EMIT_HEADER)        /* for people: what they ask for */
        c->opt.programs = COMPILE_FORWARD;
    switch (kind) {
    case MPC_EMIT_IR: case MPC_EMIT_DOT:
        r = compile_lower(c);
        return r != COMPILE_OK ? r : each_layer(c, kind == MPC_EMIT_IR ? write_ir : write_dot, out);
    case MPC_EMIT_PLAN: case MPC_EMIT_EXPLAIN:
        r = compile_plan(c);
        return r != COMPILE_OK ? r : each_layer(c, kind == MPC_EMIT_PLAN ? write_plan : write_explain, out);
    case MPC_EMIT_HEADER:
        c->opt.stop_after = "lower";
        r = compile_lower(c);
        if (r == COMPILE_OK)
            header_print(c, out);
        return r;
    case MPC_EMIT_LLVM: return emit_code(c, MODULE_LLVM, out);
    case MPC_EMIT_ASM: return emit_code(c, MODULE_ASM, out);
    case MPC_EMIT_OBJ: return emit_code(c, MODULE_OBJECT, out);
    case MPC_EMIT_CUDA: case MPC_EMIT_PTX: case MPC_EMIT_CUBIN: return emit_cuda(c, name, kind, out);
    case MPC_EMIT_TOKENS: case MPC_EMIT_AST: case MPC_EMIT_SO: break;
    }
    c->why = "a shared library is a file, not a text";
    return COMPILE_FAILED;
}
