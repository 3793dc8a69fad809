/* The pipeline, stage by stage: source, tree, typed tree, IR, passes, plan, description and code.
 *
 * A compilation owns one arena; everything it made goes with it. A stage that fails leaves its diagnostics in
 * c->diags (the program is wrong) or c->why (the system failed, or a limit). */
#ifndef MPC_DRIVER_COMPILE_H
#define MPC_DRIVER_COMPILE_H

#include "compiler/driver/backend.h"
#include "compiler/parser/parse.h"
#include "compiler/passes/passes.h"
#include "compiler/plan/kernel.h"
#include "compiler/plan/plan.h"
#include "compiler/sema/sema.h"
#include "compiler/train/train.h"

/* Programs of a layer that are to be made. */
enum { COMPILE_FORWARD = 1, COMPILE_TRAINING = 2, COMPILE_ALL = 3 };

typedef struct compile_options {
    int level;                          /* 0 ... 3 */
    sem_elem real;
    const char *layer;                  /* or NULL: all, or with `last_layer` the last one */
    bool last_layer;
    const char *const *defines; int n_defines;
    const char *const *arch; int n_arch;        /* of CPUs and GPUs */
    bool cpu, cuda;                     /* targets of a library; neither: cpu */
    bool one_gpu;                       /* no PTX for later GPUs */
    bool verify;
    bool debug;                         /* lines of the source in the code */
    bool warnings, warnings_are_errors;
    const char *stop_after;             /* a pass, "lower", or NULL */
    const char *grad;                   /* gradients of: "all" (NULL, too), "params", "none", or names with commas between */
    bool grad_of_any;                   /* names in `grad` may be of layers that are not compiled */
    unsigned programs;                  /* 0: COMPILE_ALL */
    bool color;
} compile_options;

typedef struct compiled_layer {
    const char *name;
    ir_layer *lowered;                  /* before the passes */
    ir_layer *ir;                       /* after them; NULL without COMPILE_FORWARD */
    pass_stats stats;
    kplan *plan;
    bool *wanted;                       /* by input: a gradient is made */
    bool any_wanted;
    train_layers *training;             /* NULL: none is made */
    kplan *train_plan, *backward_plan;
} compiled_layer;

/* WRONG: the program is; LIMIT: it asks for more than this compiler takes; FAILED: the system, or the compiler, did. */
typedef enum compile_result { COMPILE_OK, COMPILE_WRONG, COMPILE_LIMIT, COMPILE_FAILED } compile_result;

typedef struct compilation {
    arena *mem;
    str_table *names;
    source_set *sources;
    diags *diags;
    compile_options opt;
    uint32_t file;
    ast_file *ast;
    sem_program *sema;
    compiled_layer *layers; uint32_t n_layers;
    const void *description; size_t description_bytes;
    void *device; size_t device_bytes;  /* code for GPUs, malloc'ed */
    const char *why;                    /* COMPILE_FAILED, COMPILE_LIMIT */
    bool limit;
    uint64_t source_hash;
    double ms_front, ms_passes, ms_plan, ms_code;
} compilation;

/* NULL when there is no memory. */
compilation *compile_new(const compile_options *o);
void compile_free(compilation *c);

/* Each runs the stages before it that have not run. A compilation that failed is only good for its messages. */
compile_result compile_parse(compilation *c, const char *name, const char *text, size_t n);
/* The text in the one layout, instead of a compilation. */
compile_result compile_format(compilation *c, const char *name, const char *text, size_t n, buf *out);
compile_result compile_check(compilation *c);           /* sema, with -D */
/* Values for static arguments of the one layer that the options name, by number: dims[i] of a dim (0: left open),
 * reals[i] of a real. After compile_check. */
compile_result compile_define(compilation *c, const int64_t *dims, const double *reals, uint32_t n);
compile_result compile_lower(compilation *c);           /* and passes */
compile_result compile_plan(compilation *c);
/* What compile_plan made, in the order in which a module numbers kernels: of each layer inference, training, backward. */
const kplan **compile_plans(compilation *c, uint32_t *n);
/* c->description without code: names, shapes, conditions on dims. Runs no passes. */
compile_result compile_describe(compilation *c);
/* The bytes are the caller's: `backend->free_bytes`. */
/* Has `write` put what it makes of the compilation into `out`, with memory that runs out turned into a value. */
compile_result compile_with(compilation *c, void (*write)(compilation *, buf *), buf *out);
bool compile_for_cpu(const compile_options *o);
/* c->device: code for the GPUs among opt.arch (none: sm_80 and sm_90), by NVRTC. compile_object does it where opt.cuda asks. */
compile_result compile_for_gpu(compilation *c);
/* The same, and c->description with code. */
compile_result compile_device(compilation *c);
compile_result compile_object(compilation *c, const cpu_backend *backend, module_form form, object_bytes *out);

/* All diagnostics and the reason of a failure, as text for people. */
void compile_messages(compilation *c, buf *out);

#endif
