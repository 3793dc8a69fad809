/* Layers backwards: the gradients of a program by all its floating inputs, together with its outputs, through the passes,
 * the plan and the code, against the interpreter, on hard graphs and with 1, 2 and 7 threads.
 *
 *     backward FILE.mp NAME=SIZE ... [--all] [--seed N] [--plan] [--ir] [--time NODES EDGES THREADS]
 *
 * The joint program holds everything that a backward has, whatever is saved: walks along both directions, sums to
 * params, positions of maxima, shares made again. In f64 with known dims and in f32 with open ones; --all: in all four ways. --plan and --ir print; --time runs it on a random graph of skewed
 * degrees and tells the milliseconds of a call. */
#include "codegen/cpu/jit.h"
#include "codegen/cpu/module.h"
#include "compiler/derive/derive.h"
#include "compiler/ir/copy.h"
#include "compiler/ir/print.h"
#include "compiler/ir/verify.h"
#include "compiler/passes/passes.h"
#include "compiler/plan/describe.h"
#include "compiler/plan/plan.h"
#include "compiler/plan/plan_print.h"
#include "compiler/plan/plan_verify.h"
#include "runtime/module.h"
#include "tests/prop/tensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { N_CONTEXTS = 3, MOST_GIVEN = 64 };

typedef struct options {
    const char *path, *text;
    sizes sizes;
    uint64_t seed;
    bool plan, ir, all;
    int64_t nodes, edges;
    int threads;
    const char *given[MOST_GIVEN];      /* a name, behind it its size */
    int n_given;
} options;

/* ---- the joint program ------------------------------------------------------------------------------------------ */

static bool is_float(const ir_layer *l, ir_val v) { return ir_is_float((ir_type)ir_at(l, v)->type); }

/* Adds cotangents to the inputs and gradients to the outputs. */
static void differentiate(ir_layer *l, arena *mem)
{
    uint32_t n_outputs = l->n_outputs, n_inputs = l->n_inputs, n_seeds = 0, n_wanted = 0;
    derive_seed *seeds = NEW_N(mem, derive_seed, n_outputs);
    ir_val *wanted = NEW_N(mem, ir_val, n_inputs), *grads = NEW_N(mem, ir_val, n_inputs);
    uint32_t *of = NEW_N(mem, uint32_t, n_inputs);
    for (uint32_t i = 0; i < n_outputs; i++) {
        ir_output o = l->outputs[i];
        if (!is_float(l, o.value))
            continue;
        ir_val y = o.value;
        if (ir_at(l, y)->dom.i != o.rows.i)
            y = ir_gather(l, y, ir_map_prefix(l));
        ir_shape s = ir_shape_of(l, y);
        ir_type t = ir_at(l, y)->type == T_F64 ? T_F64 : T_F32;
        ir_val dy = ir_input_add(l, arena_printf(mem, "d %s", o.name), ir_at(l, y)->dom, t, &s, (dim){0}, false, false);
        seeds[n_seeds++] = (derive_seed){y, dy};
    }
    for (uint32_t i = 0; i < n_inputs; i++)
        if (ir_is(l->inputs[i].value) && is_float(l, l->inputs[i].value)) {
            of[n_wanted] = i;
            wanted[n_wanted++] = l->inputs[i].value;
        }
    derive(l, mem, seeds, n_seeds, wanted, n_wanted, grads);
    for (uint32_t k = 0; k < n_wanted; k++)
        ir_output_add(l, arena_printf(mem, "grad %s", l->inputs[of[k]].name), grads[k], ir_at(l, wanted[k])->dom, (span){0});
}

static ir_layer *run_passes(arena *mem, const ir_layer *l, bool inference, const char **why)
{
    pass_stats stats = {0};
    ir_layer *done = passes_run(l, mem, &(pass_options){.inference = inference, .verify = true}, &stats);
    *why = stats.broken;
    return done;
}

typedef struct joint { ir_layer *raw, *done; } joint;

static joint make_joint(arena *mem, const options *o, sem_elem real, bool fixed, const char **why)
{
    joint j = {0};
    ir_layer *l = oracle_lower(mem, o->text, real, fixed ? &o->sizes : NULL, why);
    if (!l || !(l = run_passes(mem, l, true, why)) || *why)
        return j;
    differentiate(l, mem);
    ir_layer *done = run_passes(mem, l, true, why);
    if (!*why)
        j = (joint){l, done};
    return j;
}

/* ---- compiled --------------------------------------------------------------------------------------------------- */

typedef struct compiled {
    joint j;
    bool f64, fixed;
    char name[40];
    jit_module *code;
    mp_module *mod[N_CONTEXTS];
    mp_layer *layer[N_CONTEXTS];
} compiled;

static bool build(arena *mem, const options *o, compiled *c, const char **why)
{
    snprintf(c->name, sizeof c->name, "%s, dims %s", c->f64 ? "f64" : "f32", c->fixed ? "known" : "open");
    c->j = make_joint(mem, o, c->f64 ? SEM_F64 : SEM_F32, c->fixed, why);
    if (*why)
        return false;
    buf out = buf_make(mem);
    if (o->ir)
        ir_print(c->j.done, &out);
    kplan *p = plan_build(mem, c->j.done, NULL, why);
    if (p && o->plan)
        plan_print(p, &out);
    if (out.n)
        printf("%s\n", buf_text(&out));
    if (!p || (*why = plan_verify(p, mem)))
        return false;
    describe_layer d = {.layer = c->j.raw, .forward = p};
    size_t n;
    const void *about = describe_module(mem, &d, 1, &n, why);
    if (!about)
        return false;
    *why = NULL;
    const kplan *plans[] = {p};
    module_input in = {.plans = plans, .n_plans = 1, .description = about, .description_bytes = n, .level = 3, .verify = true};
    object_bytes object;
    char *err = arena_alloc(mem, 600);
    *why = err;
    if (!module_build(mem, &in, MODULE_OBJECT, &object, err, 600))
        return false;
    c->code = jit_load(object.data, object.size, NULL, 0, err, 600);
    object_free(&object);
    *why = c->code ? NULL : err;
    return c->code != NULL;
}

static bool load(const options *o, compiled *c, int k, mp_context *ctx)
{
    char err[300];
    const mp_module_v1 *table = jit_find(c->code, MP_MODULE_SYMBOL, err, sizeof err);
    mp_static statics[16];
    int n = 0;
    for (int i = 0; i < o->sizes.n && !c->fixed; i++)
        if (!o->sizes.at[i].has_default)
            statics[n++] = (mp_static){o->sizes.at[i].name, o->sizes.at[i].real ? MP_STATIC_REAL : MP_STATIC_DIM, o->sizes.at[i].dim, o->sizes.at[i].number};
    if (table && !module_from_table(ctx, table, &(module_source){0}, &c->mod[k]) && !mp_layer_create(c->mod[k], NULL, statics, n, &c->layer[k]))
        return true;
    printf("%s: %s\n", c->name, table ? mp_error_message(ctx) : err);
    return false;
}

static void unload(compiled *c)
{
    for (int k = 0; k < N_CONTEXTS; k++) {
        mp_layer_destroy(c->layer[k]);
        mp_module_destroy(c->mod[k]);
    }
    jit_free(c->code);
}

/* ---- one call --------------------------------------------------------------------------------------------------- */

static DLDataType type_of(const ir_layer *l, ir_val v, bool f64) { return tensors_type(ir_at(l, v)->type, f64, false); }

static bool run(compiled *c, int k, mp_context *ctx, arena *mem, const oracle *o, double **at, int64_t *n)
{
    const ir_layer *l = o->layer;
    mp_layer *layer = c->layer[k];
    mp_graph *g = NULL;
    mp_status st = tensors_graph(ctx, mem, o->at->graph, &g);
    void **data = NEW_N(mem, void *, l->n_outputs + 1);
    tensor t;
    for (uint32_t i = 0; !st && i < l->n_inputs; i++) {
        double *copy = NEW_N(mem, double, o->inputs[i].n + 1);
        tensors_describe(&t, l, l->inputs[i].value, ir_at(l, l->inputs[i].value)->dom, o->at, type_of(l, l->inputs[i].value, c->f64), copy, 0);
        for (int64_t e = 0; e < o->inputs[i].n; e++)
            tensors_put(copy, t.dl.dtype, e, o->inputs[i].at[e]);
        st = mp_bind(layer, l->inputs[i].name, &t.dl, o->at->seed % 2 ? MP_CONST : 0);
    }
    for (uint32_t i = 0; !st && i < l->n_outputs; i++) {
        n[i] = tensors_describe(&t, l, l->outputs[i].value, l->outputs[i].rows, o->at, type_of(l, l->outputs[i].value, c->f64), NULL, 0);
        at[i] = NEW_N(mem, double, n[i] + 1);
        data[i] = NEW_N(mem, double, n[i] + 1);
        memset(data[i], 0xa5, (size_t)n[i] * sizeof(double));
        t.dl.data = data[i];
        st = mp_bind(layer, l->outputs[i].name, &t.dl, 0);
    }
    if (!st)
        st = mp_forward(layer, g);
    if (st)
        printf("%s, graph %s: %s: %s\n", c->name, graph_kind_name[o->at->graph->kind], mp_status_name(st), mp_error_message(ctx));
    for (uint32_t i = 0; !st && i < l->n_outputs; i++)
        for (int64_t e = 0; e < n[i]; e++)
            at[i][e] = tensors_get(data[i], type_of(l, l->outputs[i].value, c->f64), e);
    mp_graph_destroy(g);
    return !st;
}

/* ---- comparison ------------------------------------------------------------------------------------------------- */

static bool same(double a, double b) { return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b)); }

static bool compare(compiled *c, mp_context **ctx, arena *mem, const situation *s)
{
    oracle o;
    bool fine = true;
    bool degrees = s->graph->square || s->graph->degrees;
    for (uint32_t i = 0; i < c->j.raw->n_needs; i++)
        if (!degrees && c->j.raw->needs[i].kind == NEED_DEGREES)
            return true;
    if (!oracle_run(mem, &o, c->j.raw, s)) {
        oracle_free(&o);
        return true;                                    /* a graph that the layer cannot run on */
    }
    uint32_t n_out = o.layer->n_outputs;
    double **at[N_CONTEXTS];
    int64_t *n = NEW_N(mem, int64_t, n_out + 1);
    bool threads = s->graph->kind == HG_HUB || s->graph->kind == HG_MID;
    for (int k = 0; fine && k < (threads ? N_CONTEXTS : 1); k++) {
        at[k] = NEW_N(mem, double *, n_out + 1);
        fine = run(c, k, ctx[k], mem, &o, at[k], n);
    }
    for (int k = 1; fine && threads && k < N_CONTEXTS; k++)
        for (uint32_t i = 0; fine && i < n_out; i++)
            for (int64_t e = 0; fine && e < n[i]; e++)
                if (!same(at[0][i][e], at[k][i][e])) {
                    printf("%s, graph %s: other bits with more threads: %s[%lld]\n", c->name, graph_kind_name[s->graph->kind], o.layer->outputs[i].name,
                           (long long)e);
                    fine = false;
                }
    double *error = fine && !c->f64 ? oracle_f32_error(mem, &o, s->graph->kind == HG_HUB ? 3 : 8) : NULL;
    for (uint32_t i = 0; fine && i < n_out; i++) {
        mismatch m;
        if (oracle_compare(&o, i, at[0][i], n[i], c->f64 ? 1e-9 : 2e-6, error ? 8 * error[i] : 0, &m) < 0)
            continue;
        printf("%s, graph %s: %s[%lld] is %.9g, not %.9g (scale %.3g)\n", c->name, graph_kind_name[s->graph->kind], o.layer->outputs[i].name,
               (long long)m.at, m.got, m.want, m.scale);
        fine = false;
    }
    oracle_free(&o);
    return fine;
}

static bool check(const options *o, compiled *c, mp_context **ctx)
{
    static const graph_kind kinds[] = {HG_TINY, HG_MID, HG_BATCH, HG_BLOCK, HG_BLOCK_DEGREES, HG_STAR_IN, HG_STAR_OUT, HG_NO_EDGES, HG_ONE_NODE, HG_LOOPS,
                                       HG_NO_NODES, HG_GRAPHS_EMPTY, HG_TWO_SIDED, HG_HUB};
    bool fine = true;
    for (size_t i = 0; fine && i < sizeof kinds / sizeof *kinds; i++) {
        if (kinds[i] == HG_HUB && !c->f64 && !o->all)
            continue;                                   /* its errors of rounding take long to find */
        arena *mem = arena_new(0);
        situation s = {.graph = graph_make(mem, kinds[i], o->seed), .sizes = &o->sizes, .seed = o->seed + i};
        fine = compare(c, ctx, mem, &s);
        arena_free(mem);
    }
    return fine;
}

/* ---- time ------------------------------------------------------------------------------------------------------- */

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

/* Degrees as skewed as those of a Kronecker graph: each bit of an end is 1 with 0.24. */
static int32_t skewed(uint64_t *state, int64_t nodes)
{
    int64_t v = 0;
    for (int64_t bit = 1; bit < nodes; bit *= 2) {
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        if ((*state >> 40) % 100 < 24)
            v |= bit;
    }
    return (int32_t)(v * 7919 % nodes);
}

static bool measure(const options *o, compiled *c)
{
    arena *mem = arena_new(0);
    hard_graph g = {.kind = HG_MID, .n_src = o->nodes, .n_dst = o->nodes, .n_edges = o->edges, .square = true, .n_graphs = 1};
    g.src = NEW_N(mem, int32_t, o->edges);
    g.dst = NEW_N(mem, int32_t, o->edges);
    g.isolated = NEW_N(mem, uint8_t, o->nodes);
    uint64_t state = 1;
    for (int64_t e = 0; e < o->edges; e++) {
        g.src[e] = skewed(&state, o->nodes);
        g.dst[e] = skewed(&state, o->nodes);
    }
    situation s = {.graph = &g, .sizes = &o->sizes, .seed = 1};
    mp_context *ctx = NULL;
    mp_graph *graph = NULL;
    mp_status st = mp_context_create(&(mp_context_options){.threads = o->threads}, &ctx);
    if (st || !load(o, c, 0, ctx) || tensors_graph(ctx, mem, &g, &graph))
        return false;
    const ir_layer *l = c->j.raw;
    tensor t;
    for (uint32_t i = 0; !st && i < l->n_inputs; i++) {
        int64_t n;
        double *in = oracle_input(mem, l, i, &s, &n);
        tensors_describe(&t, l, l->inputs[i].value, ir_at(l, l->inputs[i].value)->dom, &s, type_of(l, l->inputs[i].value, c->f64), in, 0);
        for (int64_t e = 0; e < n; e++)
            tensors_put(in, t.dl.dtype, e, in[e]);
        st = mp_bind(c->layer[0], l->inputs[i].name, &t.dl, 0);
    }
    double best = HUGE_VAL;
    for (int k = 0; !st && k < 12; k++) {
        double start = now_ms();
        st = mp_forward(c->layer[0], graph);
        double took = now_ms() - start;
        best = k && took < best ? took : best;
    }
    size_t bytes = 0;
    mp_workspace_bytes(c->layer[0], graph, &bytes);
    printf("%s: %.1f ms, workspace %.1f MB%s%s\n", c->name, best, (double)bytes / 1e6, st ? ": " : "", st ? mp_error_message(ctx) : "");
    mp_graph_destroy(graph);
    unload(c);
    mp_context_destroy(ctx);
    arena_free(mem);
    return !st;
}

/* ---- options ---------------------------------------------------------------------------------------------------- */

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    char *text = calloc(1, 1 << 20);
    if (!f || !text || fread(text, 1, (1 << 20) - 1, f) == 0) {
        fprintf(stderr, "%s cannot be read\n", path);
        exit(2);
    }
    fclose(f);
    return text;
}

static void take(options *o, int argc, char **argv)
{
    *o = (options){.seed = 1, .threads = 2};
    for (int i = 1; i < argc; i++) {
        char *eq = strchr(argv[i], '=');
        if (!strcmp(argv[i], "--plan"))
            o->plan = true;
        else if (!strcmp(argv[i], "--all"))
            o->all = true;
        else if (!strcmp(argv[i], "--ir"))
            o->ir = true;
        else if (!strcmp(argv[i], "--seed") && i + 1 < argc)
            o->seed = strtoull(argv[++i], NULL, 10);
        else if (!strcmp(argv[i], "--time") && i + 3 < argc) {
            o->nodes = atoll(argv[i + 1]);
            o->edges = atoll(argv[i + 2]);
            o->threads = atoi(argv[i + 3]);
            i += 3;
        } else if (eq && o->n_given < MOST_GIVEN) {
            *eq = 0;
            o->given[o->n_given++] = argv[i];
        } else {
            o->path = argv[i];
        }
    }
    o->text = read_file(o->path ? o->path : "");
}

/* Sizes of names that the layer has no static argument of are left out, so that one list does for all layers. */
static bool keep_own(options *o)
{
    arena *mem = arena_new(0);
    const char *why = NULL;
    const ir_layer *l = oracle_lower(mem, o->text, SEM_F32, NULL, &why);
    for (int i = 0; l && i < o->n_given && o->sizes.n < 16; i++)
        for (uint32_t k = 0; k < l->n_statics; k++) {
            if (strcmp(l->statics[k].name, o->given[i]))
                continue;
            const char *size = o->given[i] + strlen(o->given[i]) + 1;
            int at = o->sizes.n++;
            o->sizes.at[at].name = o->given[i];
            o->sizes.at[at].real = l->statics[k].real;
            o->sizes.at[at].number = atof(size);
            o->sizes.at[at].dim = atoll(size);
        }
    if (!l)
        printf("%s", why);
    arena_free(mem);
    return l != NULL;
}

int main(int argc, char **argv)
{
    options o;
    take(&o, argc, argv);
    if (!keep_own(&o))
        return 1;
    mp_context *ctx[N_CONTEXTS];
    bool fine = true;
    for (int k = 0; k < N_CONTEXTS; k++)
        fine = fine && mp_context_create(&(mp_context_options){.threads = (int[]){1, 2, 7}[k]}, &ctx[k]) == MP_OK;
    for (int v = 0; fine && v < (o.all ? 4 : 2); v++) {
        arena *mem = arena_new(0);
        compiled c = {.f64 = !(v & 1) != !(v & 2), .fixed = !(v & 1)};
        if (o.nodes)
            c.f64 = false;
        const char *why = NULL;
        fine = build(mem, &o, &c, &why);
        if (!fine)
            printf("%s: %s\n", c.name, why ? why : "?");
        else if (o.nodes)
            fine = measure(&o, &c);
        for (int k = 0; fine && !o.nodes && k < N_CONTEXTS; k++)
            fine = load(&o, &c, k, ctx[k]);
        fine = fine && (o.nodes || check(&o, &c, ctx));
        if (!o.nodes)
            unload(&c);
        arena_free(mem);
    }
    for (int k = 0; k < N_CONTEXTS; k++)
        mp_context_destroy(ctx[k]);
    free((void *)(uintptr_t)o.text);
    return fine ? 0 : 1;
}
