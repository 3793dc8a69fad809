/* The pipeline in one place: read it aloud. */
#include "compiler/driver/compile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "codegen/cuda/image.h"
#include "compiler/ir/build.h"
#include "compiler/ir/verify.h"
#include "compiler/lower/lower.h"
#include "compiler/parser/fmt.h"
#include "compiler/plan/describe.h"
#include "compiler/plan/plan_verify.h"

enum {
    COMPILE_MEMORY = 2000u << 20,               /* bytes that one compilation may take */
    COMPILE_OPERANDS = 10000,                   /* operations and their operands in a layer: a GAT has 60 */
};

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

compilation *compile_new(const compile_options *o)
{
    arena *mem = arena_new(COMPILE_MEMORY);
    if (!mem)
        return NULL;
    jmp_buf out;
    jmp_buf *before = arena_set_oom(mem, &out);
    if (setjmp(out)) {
        arena_free(mem);
        return NULL;
    }
    compilation *c = NEW(mem, compilation);
    *c = (compilation){.mem = mem, .names = str_table_new(mem), .sources = source_set_new(mem), .opt = *o};
    c->diags = diags_new(mem, c->sources);
    arena_set_oom(mem, before);
    return c;
}

void compile_free(compilation *c)
{
    if (c) {
        free(c->device);
        arena_free(c->mem);
    }
}

/* Runs a stage with memory running out turned into a value. */
typedef compile_result stage_fn(compilation *c, void *ud);

static compile_result guarded(compilation *c, stage_fn *f, void *ud)
{
    jmp_buf out;
    jmp_buf *before = arena_set_oom(c->mem, &out);
    compile_result r;
    int why = setjmp(out);
    if (why) {
        c->limit = why == ARENA_LIMIT;
        c->why = c->limit ? "the program needs more memory than a compilation may take" : "out of memory";
        r = c->limit ? COMPILE_LIMIT : COMPILE_FAILED;
    } else {
        r = f(c, ud);
    }
    arena_set_oom(c->mem, before);
    return r;
}

static compile_result verdict(const compilation *c)
{
    bool wrong = diags_failed(c->diags) || (c->opt.warnings_are_errors && c->opt.warnings && c->diags->n_warnings);
    return c->why ? c->limit ? COMPILE_LIMIT : COMPILE_FAILED : wrong ? COMPILE_WRONG : COMPILE_OK;
}

typedef struct text_in { const char *name, *text; size_t n; buf *out; } text_in;

static compile_result add_source(compilation *c, const text_in *t)
{
    c->source_hash = hash_bytes(t->text, t->n);
    c->file = source_add(c->sources, t->name, t->text, t->n);
    if (c->file != UINT32_MAX)
        return COMPILE_OK;
    c->why = "the file is too large";
    c->limit = true;
    return COMPILE_LIMIT;
}

static compile_result do_parse(compilation *c, void *ud)
{
    const text_in *t = ud;
    double start = now_ms();
    if (add_source(c, t) != COMPILE_OK)
        return COMPILE_LIMIT;
    c->ast = parse_file(c->mem, c->names, c->diags, c->sources, c->file);
    c->ms_front += now_ms() - start;
    return verdict(c);
}

compile_result compile_parse(compilation *c, const char *name, const char *text, size_t n)
{
    return guarded(c, do_parse, &(text_in){name, text, n, NULL});
}

static compile_result do_format(compilation *c, void *ud)
{
    const text_in *t = ud;
    if (add_source(c, t) != COMPILE_OK)
        return COMPILE_LIMIT;
    return fmt_file(c->mem, c->names, c->diags, c->sources, c->file, t->out) ? COMPILE_OK : COMPILE_WRONG;
}

compile_result compile_format(compilation *c, const char *name, const char *text, size_t n, buf *out)
{
    return guarded(c, do_format, &(text_in){name, text, n, out});
}

static compile_result do_check(compilation *c, void *ud)
{
    (void)ud;
    double start = now_ms();
    c->sema = sema_check(c->mem, c->names, c->diags, c->ast, &(sem_options){.real = c->opt.real});
    sem_layer *only = NULL;
    if (!c->opt.layer && c->opt.last_layer && c->sema->n_layers)
        c->opt.layer = c->sema->layers[c->sema->n_layers - 1]->name;
    if (c->opt.layer && !(only = sem_find_layer(c->sema, c->opt.layer)) && !diags_failed(c->diags)) {
        diag *d = diag_error(c->diags, DIAG_NAME, (span){c->file, 0, 0}, "no layer '%s' in this file", c->opt.layer);
        if (c->sema->n_layers)
            diag_help(d, "the last one is '%s'", c->sema->layers[c->sema->n_layers - 1]->name);
    }
    for (int i = 0; i < c->opt.n_defines; i++) {
        const char *eq = strchr(c->opt.defines[i], '=');
        if (!eq) {
            diag_error(c->diags, DIAG_STATIC, (span){c->file, 0, 0}, "-D wants NAME=VALUE, not '%s'", c->opt.defines[i]);
            continue;
        }
        str name = str_intern(c->names, c->opt.defines[i], (size_t)(eq - c->opt.defines[i]));
        sem_define(c->sema, only, name, eq + 1, c->diags);
    }
    if (!c->sema->n_layers && !diags_failed(c->diags))
        diag_error(c->diags, DIAG_NAME, (span){c->file, 0, 0}, "there is no layer in this file");
    c->ms_front += now_ms() - start;
    return verdict(c);
}

compile_result compile_check(compilation *c)
{
    compile_result r = verdict(c);
    /* after syntax errors the checks still run: they report more; a tree that could not be made has nothing to check */
    return r == COMPILE_FAILED || r == COMPILE_LIMIT ? r : c->sema ? r : guarded(c, do_check, NULL);
}

typedef struct values { const int64_t *dims; const double *reals; uint32_t n; } values;

static compile_result do_define(compilation *c, void *ud)
{
    const values *v = ud;
    sem_layer *l = sem_find_layer(c->sema, c->opt.layer);
    for (uint32_t i = 0; l && i < l->n_statics && i < v->n; i++) {
        const sem_static *s = &l->statics[i];
        if (s->real)
            sem_define(c->sema, l, s->name, arena_printf(c->mem, "%.17g", v->reals[i]), c->diags);
        else if (v->dims[i] > 0)
            sem_define(c->sema, l, s->name, arena_printf(c->mem, "%lld", (long long)v->dims[i]), c->diags);
    }
    return verdict(c);
}

compile_result compile_define(compilation *c, const int64_t *dims, const double *reals, uint32_t n)
{
    return guarded(c, do_define, &(values){dims, reals, n});
}

static compile_result internal_error(compilation *c, const compiled_layer *l, const char *text)
{
    c->why = arena_printf(c->mem, "internal error in layer '%s': %s", l->name, text);
    return COMPILE_FAILED;
}

/* ---- gradients -------------------------------------------------------------------------------------------------- */

/* Is the name one of the list "W,b,c1.W"? */
static bool is_listed(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = list; *at;) {
        size_t length = strcspn(at, ",");
        if (length == n && strncmp(at, name, n) == 0)
            return true;
        at += length + (at[length] == ',');
    }
    return false;
}

static void find_wanted(compilation *c, compiled_layer *l)
{
    const char *grad = c->opt.grad ? c->opt.grad : "all";
    const ir_layer *ir = l->lowered;
    l->wanted = NEW_N(c->mem, bool, ir->n_inputs + 1);
    for (uint32_t i = 0; i < ir->n_inputs; i++) {
        const ir_input *in = &ir->inputs[i];
        bool asked = strcmp(grad, "all") == 0 || (strcmp(grad, "params") == 0 && in->param) || is_listed(grad, in->name);
        l->wanted[i] = asked && strcmp(grad, "none") != 0 && train_differentiable(ir, in->value);
        l->any_wanted |= l->wanted[i];
    }
}

/* Every name of --grad must have a gradient in some layer. */
static void check_grad(compilation *c)
{
    const char *grad = c->opt.grad;
    if (!grad || c->opt.grad_of_any || !strcmp(grad, "all") || !strcmp(grad, "params") || !strcmp(grad, "none"))
        return;
    for (const char *at = grad; *at;) {
        size_t length = strcspn(at, ",");
        str name = str_intern(c->names, at, length);
        bool found = false, there = false;
        for (uint32_t k = 0; k < c->n_layers; k++)
            for (uint32_t i = 0; i < c->layers[k].lowered->n_inputs; i++)
                if (strcmp(c->layers[k].lowered->inputs[i].name, name) == 0) {
                    there = true;
                    found |= c->layers[k].wanted && c->layers[k].wanted[i];
                }
        if (!found)
            diag_error(c->diags, DIAG_NAME, (span){c->file, 0, 0}, there ? "--grad: '%s' is no float and has no gradient"
                       : "--grad: there is no input or param '%s'; all, params and none are not names", name);
        at += length + (at[length] == ',');
    }
}

static bool wants_training(const compilation *c, const compiled_layer *l)
{
    unsigned programs = c->opt.programs ? c->opt.programs : COMPILE_ALL;
    return (programs & COMPILE_TRAINING) && l->any_wanted && !c->opt.stop_after;
}

static bool wants_forward(const compilation *c)
{
    return !c->opt.programs || (c->opt.programs & COMPILE_FORWARD);
}

/* The layer's programs of training as IR. */
static compile_result make_training(compilation *c, compiled_layer *l)
{
    pass_options po = {.verify = c->opt.verify};
    pass_stats stats = {0};
    ir_layer *forward = passes_run(l->lowered, c->mem, &po, &stats);
    if (stats.broken)
        return internal_error(c, l, stats.broken);
    ir_trap trap;
    ir_set_trap(forward, &trap);
    if (setjmp(trap.env))
        return internal_error(c, l, arena_printf(c->mem, "in its derivatives: %s", trap.text));
    l->training = train_build(forward, c->mem, l->wanted, &po);
    if (l->training->stats.broken)
        return internal_error(c, l, arena_printf(c->mem, "in its derivatives: %s", l->training->stats.broken));
    ir_set_trap(l->training->joint, NULL);
    ir_set_trap(l->training->train, NULL);
    ir_set_trap(l->training->backward, NULL);
    const char *broken = c->opt.verify ? ir_verify(l->training->train, c->mem) : NULL;
    if (!broken && c->opt.verify)
        broken = ir_verify(l->training->backward, c->mem);
    return broken ? internal_error(c, l, arena_printf(c->mem, "after the cut: %s", broken)) : COMPILE_OK;
}

/* Where gradients were not asked for by name and cannot be made, the layer does without training. */
static compile_result without_training(compilation *c, compiled_layer *l, compile_result r)
{
    if (r == COMPILE_OK || c->opt.grad || !wants_forward(c))
        return r;
    l->training = NULL;
    l->train_plan = l->backward_plan = NULL;
    l->wanted = NULL;
    c->why = NULL;
    c->limit = false;
    return COMPILE_OK;
}

static compile_result run_passes(compilation *c, compiled_layer *l)
{
    ir_trap trap, *before = ir_set_trap(l->lowered, &trap);
    if (setjmp(trap.env))
        return internal_error(c, l, trap.text);
    if (c->opt.stop_after && strcmp(c->opt.stop_after, "lower") == 0) {
        l->ir = l->lowered;
    } else {
        pass_options po = {.inference = true, .verify = c->opt.verify, .stop_after = c->opt.stop_after};
        l->ir = passes_run(l->lowered, c->mem, &po, &l->stats);
    }
    ir_set_trap(l->lowered, before);
    return l->stats.broken ? internal_error(c, l, l->stats.broken) : COMPILE_OK;
}

static compile_result do_lower(compilation *c, void *ud)
{
    (void)ud;
    compile_result r = COMPILE_OK;
    const sem_layer *only = c->opt.layer ? sem_find_layer(c->sema, c->opt.layer) : NULL;
    c->layers = NEW_N(c->mem, compiled_layer, c->sema->n_layers + 1);
    for (uint32_t i = 0; i < c->sema->n_layers && r == COMPILE_OK; i++) {
        sem_layer *s = c->sema->layers[i];
        if (only && s != only)
            continue;
        compiled_layer *l = &c->layers[c->n_layers++];
        l->name = s->name;
        double start = now_ms();
        l->lowered = lower_layer(c->mem, c->names, c->diags, s);
        c->ms_front += now_ms() - start;
        if (!l->lowered)
            return verdict(c) == COMPILE_OK ? internal_error(c, l, "it could not be lowered") : verdict(c);
        start = now_ms();
        find_wanted(c, l);
        if (wants_forward(c))
            r = run_passes(c, l);
        if (r == COMPILE_OK && wants_training(c, l))
            r = without_training(c, l, make_training(c, l));
        c->ms_passes += now_ms() - start;
    }
    if (r == COMPILE_OK)
        check_grad(c);
    return r == COMPILE_OK ? verdict(c) : r;
}

compile_result compile_lower(compilation *c)
{
    compile_result r = compile_check(c);
    return r != COMPILE_OK || c->layers ? r : guarded(c, do_lower, NULL);
}

/* Code is made for each operand of each operation. A layer with tens of thousands, as a stack of as many values has,
 * would keep the back end busy for minutes. Operands of one operation are read in one loop, whose scheduling takes
 * time by their square: beyond some hundreds they count more. */
static bool is_too_large(const ir_layer *l)
{
    uint64_t n = l->n_nodes;
    for (uint32_t i = 1; i < l->n_nodes; i++) {
        uint64_t operands = l->nodes[i].nargs;
        n += operands + operands * operands / 64;
    }
    return n > COMPILE_OPERANDS;
}

static compile_result plan_one(compilation *c, compiled_layer *l, ir_layer *ir, kplan **plan)
{
    const char *why = NULL;
    if (is_too_large(ir)) {
        c->why = arena_printf(c->mem, "layer '%s' is too large: more than %d operations and operands", l->name, COMPILE_OPERANDS);
        c->limit = true;
        return COMPILE_LIMIT;
    }
    ir_trap trap, *before = ir_set_trap(ir, &trap);
    if (setjmp(trap.env))
        return internal_error(c, l, trap.text);
    *plan = plan_build(c->mem, ir, NULL, &why);
    ir_set_trap(ir, before);
    if (!*plan) {
        c->why = arena_printf(c->mem, "layer '%s' cannot be planned: %s", l->name, why);
        c->limit = true;
        return COMPILE_LIMIT;
    }
    why = plan_verify(*plan, c->mem);
    return why ? internal_error(c, l, arena_printf(c->mem, "the plan does not hold together: %s", why)) : COMPILE_OK;
}

static compile_result plan_layer(compilation *c, compiled_layer *l)
{
    compile_result r = l->ir ? plan_one(c, l, l->ir, &l->plan) : COMPILE_OK;
    if (r != COMPILE_OK || !l->training)
        return r;
    r = plan_one(c, l, l->training->train, &l->train_plan);
    if (r == COMPILE_OK)
        r = plan_one(c, l, l->training->backward, &l->backward_plan);
    return without_training(c, l, r);
}

static compile_result do_plan(compilation *c, void *ud)
{
    (void)ud;
    compile_result r = COMPILE_OK;
    double start = now_ms();
    for (uint32_t i = 0; i < c->n_layers && r == COMPILE_OK; i++)
        r = plan_layer(c, &c->layers[i]);
    c->ms_plan += now_ms() - start;
    return r == COMPILE_OK ? verdict(c) : r;
}

compile_result compile_plan(compilation *c)
{
    compile_result r = compile_lower(c);
    return r != COMPILE_OK || (c->n_layers && (c->layers[0].plan || c->layers[0].train_plan)) ? r : guarded(c, do_plan, NULL);
}

static const describe_role *roles(compilation *c, const train_role *from, uint32_t n)
{
    static const mp_buffer_kind kinds[] = {[TRAIN_INPUT] = BUF_INPUT, [TRAIN_OUTPUT] = BUF_OUTPUT, [TRAIN_SAVED] = BUF_SAVED,
                                           [TRAIN_COTANGENT] = BUF_COTANGENT, [TRAIN_GRADIENT] = BUF_GRADIENT};
    describe_role *to = NEW_N(c->mem, describe_role, n + 1);
    for (uint32_t i = 0; i < n; i++)
        to[i] = (describe_role){kinds[from[i].kind], from[i].index};
    return to;
}

static describe_layer layer_of(compilation *c, const compiled_layer *l, bool code)
{
    describe_layer d = {.layer = l->lowered, .forward = code ? l->plan : NULL, .wanted = l->wanted};
    const train_layers *t = l->training;
    if (!code || !t)
        return d;
    d.train = (describe_program){l->train_plan, roles(c, t->train_inputs, t->train->n_inputs),
                                 roles(c, t->train_outputs, t->train->n_outputs)};
    d.backward = (describe_program){l->backward_plan, roles(c, t->backward_inputs, t->backward->n_inputs),
                                    roles(c, t->backward_outputs, t->backward->n_outputs)};
    d.n_saved = t->n_saved;
    return d;
}

static const void *describe(compilation *c, bool code)
{
    describe_layer *d = NEW_N(c->mem, describe_layer, c->n_layers + 1);
    for (uint32_t i = 0; i < c->n_layers; i++)
        d[i] = layer_of(c, &c->layers[i], code);
    const char *why = NULL;
    c->description = describe_module(c->mem, d, c->n_layers, &c->description_bytes, &why);
    if (!c->description)
        c->why = arena_printf(c->mem, "internal error: %s", why);
    return c->description;
}

static compile_result do_describe(compilation *c, void *ud)
{
    (void)ud;
    return describe(c, false) ? COMPILE_OK : COMPILE_FAILED;
}

compile_result compile_describe(compilation *c)
{
    c->opt.stop_after = "lower";
    compile_result r = compile_lower(c);
    return r != COMPILE_OK ? r : guarded(c, do_describe, NULL);
}

const kplan **compile_plans(compilation *c, uint32_t *n)
{
    const kplan **plans = NEW_N(c->mem, const kplan *, 3 * (size_t)c->n_layers + 1);
    *n = 0;
    for (uint32_t i = 0; i < c->n_layers; i++) {
        const kplan *of[] = {c->layers[i].plan, c->layers[i].train_plan, c->layers[i].backward_plan};
        for (int k = 0; k < 3; k++)
            if (of[k])
                plans[(*n)++] = of[k];
    }
    return plans;
}

typedef struct object_out { const cpu_backend *backend; module_form form; object_bytes *bytes; } object_out;

/* ---- GPUs ------------------------------------------------------------------------------------------------------- */

bool compile_for_cpu(const compile_options *o)
{
    return o->cpu || !o->cuda;
}

/* The names of --arch that are CPUs, or those that are GPUs. */
static const char *const *archs(compilation *c, bool gpu, uint32_t *n)
{
    const char **list = NEW_N(c->mem, const char *, (size_t)c->opt.n_arch + 3);
    *n = 0;
    for (int i = 0; i < c->opt.n_arch; i++)
        if (nvrtc_is_arch(c->opt.arch[i]) == gpu)
            list[(*n)++] = c->opt.arch[i];
    return list;
}

static const char *const *cpus(compilation *c, uint32_t *n)
{
    return archs(c, false, n);
}

typedef struct gpu_out { const nvrtc *n; buf *log; void **bytes; size_t *size; bool ok; } gpu_out;

static compile_result do_gpu(compilation *c, void *ud)
{
    gpu_out *o = ud;
    uint32_t n_plans, n_arch;
    const kplan *const *plans = compile_plans(c, &n_plans);
    const char *const *arch = archs(c, true, &n_arch);
    static const char *const usual[] = {"sm_80", "sm_90"};
    cuda_target t = {.arch = n_arch ? arch : usual, .n_arch = n_arch ? n_arch : 2, .ptx_of_newest = !c->opt.one_gpu,
                     .name = source_get(c->sources, c->file)->name};
    double start = now_ms();
    o->ok = cuda_image_build(o->n, c->mem, plans, n_plans, &(cuda_options){.sources = c->sources}, &t, o->bytes, o->size, o->log);
    c->ms_code += now_ms() - start;
    return COMPILE_OK;
}

/* NVRTC has no arena: memory that runs out leaves nothing of it open. */
compile_result compile_for_gpu(compilation *c)
{
    char err[300];
    nvrtc room;
    buf log = buf_make(NULL);
    void *bytes = NULL;
    size_t size = 0;
    gpu_out o = {.n = nvrtc_open(&room, err, sizeof err), .log = &log, .bytes = &bytes, .size = &size};
    compile_result r = compile_plan(c);
    if (r == COMPILE_OK && !o.n) {
        c->why = arena_strdup(c->mem, err);
        r = COMPILE_FAILED;
    }
    if (r == COMPILE_OK)
        r = guarded(c, do_gpu, &o);
    if (r == COMPILE_OK && !o.ok) {
        c->why = arena_printf(c->mem, "the CUDA source does not compile: %s", buf_text(&log));
        r = COMPILE_FAILED;
    }
    buf_free(&log);
    c->device = bytes;
    c->device_bytes = size;
    return r;
}

static compile_result do_describe_code(compilation *c, void *ud)
{
    (void)ud;
    return describe(c, true) ? COMPILE_OK : COMPILE_FAILED;
}

compile_result compile_device(compilation *c)
{
    compile_result r = compile_for_gpu(c);
    return r != COMPILE_OK ? r : guarded(c, do_describe_code, NULL);
}

static compile_result do_object(compilation *c, void *ud)
{
    const object_out *o = ud;
    double start = now_ms();
    if (!describe(c, true))
        return COMPILE_FAILED;
    uint32_t n_plans;
    const kplan *const *plans = compile_plans(c, &n_plans);
    char err[600] = "";
    uint32_t n_cpus;
    module_input in = {.plans = plans, .n_plans = n_plans, .description = c->description,
                       .description_bytes = c->description_bytes, .arch = cpus(c, &n_cpus), .no_cpu = !compile_for_cpu(&c->opt),
                       .device = c->device, .device_bytes = c->device_bytes,
                       .level = c->opt.level, .verify = c->opt.verify,
                       .debug = c->opt.debug ? c->sources : NULL, .debug_file = c->file, .source_hash = c->source_hash};
    in.n_arch = n_cpus;
    if (!o->backend->build(c->mem, &in, o->form, o->bytes, err, sizeof err)) {
        c->why = arena_strdup(c->mem, err);
        return COMPILE_FAILED;
    }
    c->ms_code += now_ms() - start;
    return COMPILE_OK;
}

compile_result compile_object(compilation *c, const cpu_backend *backend, module_form form, object_bytes *out)
{
    compile_result r = compile_plan(c);
    if (r == COMPILE_OK && c->opt.cuda && form == MODULE_OBJECT && !c->device)
        r = compile_for_gpu(c);
    return r != COMPILE_OK ? r : guarded(c, do_object, &(object_out){backend, form, out});
}

typedef struct writer { void (*write)(compilation *, buf *); buf *out; } writer;

static compile_result do_write(compilation *c, void *ud)
{
    const writer *w = ud;
    w->write(c, w->out);
    return COMPILE_OK;
}

compile_result compile_with(compilation *c, void (*write)(compilation *, buf *), buf *out)
{
    return guarded(c, do_write, &(writer){write, out});
}

void compile_messages(compilation *c, buf *out)
{
    diag_print_options o = {.color = c->opt.color, .warnings = c->opt.warnings, .warnings_are_errors = c->opt.warnings_are_errors};
    diags_print(c->diags, &o, out);
    if (c->why)
        buf_printf(out, "mpc: error: %s\n", c->why);
}
