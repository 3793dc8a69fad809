/* See backend.h.
 *
 * Modules compiled in memory are specialised for the dims they meet; libraries keep them open. Each variant runs in
 * three contexts: one thread, two, and seven played by a loop of our own that takes the parts in another order.
 * A cache of its own lets a program be compiled once for the three. What the interface leaves to the caller is chosen by
 * the seed: integers of 32 or 64 bits, constant tensors, rows with gaps, edges in walk order, outputs in memory of the
 * layer's, static arguments that shapes determine. */
#include "tests/prop/backend.h"

#include "compiler/ir/build.h"
#include "mpc.h"
#include "tests/prop/tensors.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { N_CONTEXTS = 3, MAX_VARIANTS = 8, PAGE = 4096, BOUND = 64 };

typedef struct variant {
    bool f64, open, defines;            /* open: a library, dims unknown; defines: static arguments by -D */
    int level;
    mp_module *mod[N_CONTEXTS];
    mp_layer *layer[N_CONTEXTS];
    char name[80];
} variant;

struct backend {
    const trial *t;
    arena *mem;
    char folder[64];
    mp_context *ctx[N_CONTEXTS];
    variant v[MAX_VARIANTS]; int n;
    const char *defines[16]; int n_defines;
    ir_layer *f32;                      /* the program with f32 as its reals; with gradients its joint layer */
    bool training;                      /* the training pass and its gradients */
    ir_trap trap;
    int n_graphs;                       /* compared so far */
    struct bound { struct bound *next; void *at; size_t bytes; } *bounded;
};

/* ---- memory between pages that may not be touched --------------------------------------------------------------- */

/* Ends where such a page begins, as far as the alignment allows. What layers may read, or write, is inside. */
static void *bounded(backend *b, arena *mem, size_t bytes, size_t align)
{
    size_t pages = (bytes + PAGE - 1) / PAGE * PAGE;
    if (b->t->seed % 3 == 0 || pages > BOUND * PAGE)
        return arena_alloc_array(mem, bytes + 1, 1);
    char *at = mmap(NULL, pages + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED || mprotect(at + PAGE, pages, PROT_READ | PROT_WRITE))
        return arena_alloc_array(mem, bytes + 1, 1);
    struct bound *h = NEW(b->mem, struct bound);
    *h = (struct bound){b->bounded, at, pages + 2 * PAGE};
    b->bounded = h;
    return at + PAGE + (pages - bytes) / align * align;
}

/* ---- contexts ---- */

/* Seven threads played by one: every third part, then the next, then the others, from the last to the first. */
static void backwards(void *ud, int64_t n, mp_part_fn part, void *arg)
{
    (void)ud;
    for (int64_t first = 2; first >= 0; first--)
        for (int64_t p = n - 1 - (n - 1 - first + 3) % 3; p >= 0; p -= 3)
            if (p % 3 == first % 3 && p < n)
                part(arg, p, (int)(p % 7));
}

static bool make_contexts(backend *b, buf *out)
{
    mp_context_options o[N_CONTEXTS] = {{.threads = 1}, {.threads = 2}, {.threads = 7, .parallel_for = backwards}};
    for (int k = 0; k < N_CONTEXTS; k++) {
        if (b->t->what & TRIAL_DEVICE)
            o[k].device = (DLDevice){kDLCUDA, 0};
        if (mp_context_create(&o[k], &b->ctx[k])) {
            buf_printf(out, "context: %s\n", mp_error_message(NULL));
            return false;
        }
    }
    return true;
}

static void empty_folder(const char *folder)
{
    DIR *d = opendir(folder);
    char path[400];
    for (struct dirent *e; d && (e = readdir(d));) {
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        unlink(path);
    }
    if (d)
        closedir(d);
}

/* ---- compiling ---- */

/* At times what an input's shape says is left to it. */
static bool is_determined(const backend *b, int i)
{
    if (b->t->sizes.at[i].real || (b->t->seed + (uint64_t)i) % 3)
        return false;
    const ir_layer *l = b->f32;
    for (uint32_t k = 0; k < l->n_inputs; k++) {
        const ir_node *v = ir_at(l, l->inputs[k].value);
        for (uint32_t d = 0; d < v->rank; d++) {
            dim_sym sym;
            if (dim_is_symbol(l->dims, v->shape[d], &sym) && !strcmp(dim_symbol_name(l->dims, sym), b->t->sizes.at[i].name))
                return true;
        }
    }
    return false;
}

static bool compile(backend *b, variant *v, int k, buf *out)
{
    mpc_options o = {.level = v->level ? MPC_O3 : MPC_O0, .real = v->f64 ? MP_F64 : MP_F32, .grad = b->training ? "all" : "none", .verify = 1,
                     .targets = b->t->what & TRIAL_DEVICE ? MPC_TARGET_CUDA : 0};
    if (v->defines) {
        o.defines = b->defines;
        o.n_defines = b->n_defines;
    }
    mp_status st;
    if (v->open) {
        char path[100];
        snprintf(path, sizeof path, "%s/v%d.so", b->folder, (int)(v - b->v));
        st = k ? MP_OK : mpc_compile_library(b->ctx[k], "layer.mp", b->t->text, &o, path);
        if (!st)
            st = mp_module_load(b->ctx[k], path, &v->mod[k]);
    } else {
        st = mpc_compile_text(b->ctx[k], "layer.mp", b->t->text, &o, &v->mod[k]);
    }
    mp_static statics[16];
    int n = 0;
    for (int i = 0; i < b->t->sizes.n; i++)
        if (!v->defines && !b->t->sizes.at[i].has_default && !is_determined(b, i))
            statics[n++] = (mp_static){b->t->sizes.at[i].name, b->t->sizes.at[i].real ? MP_STATIC_REAL : MP_STATIC_DIM, b->t->sizes.at[i].dim,
                                       b->t->sizes.at[i].number};
    if (!st)
        st = mp_layer_create(v->mod[k], NULL, statics, n, &v->layer[k]);
    if (!st && b->training && b->t->seed % 3)           /* of long loops few states are kept */
        st = mp_set_state_memory(v->layer[k], b->t->seed % 3 == 1 ? 0 : 2000);
    if (st)
        buf_printf(out, "%s: %s: %s\n", v->name, mp_status_name(st), mp_error_message(b->ctx[k]));
    return !st;
}

static void add_variant(backend *b, bool f64, int level, bool open, bool defines)
{
    variant *v = &b->v[b->n++];
    *v = (variant){.f64 = f64, .level = level, .open = open, .defines = defines && b->n_defines};
    snprintf(v->name, sizeof v->name, "%s -O%d, %s%s", f64 ? "f64" : "f32", level ? 3 : 0, open ? "library" : "in memory", v->defines ? ", -D" : "");
}

static ir_layer *joint_of(backend *b, ir_layer *l)
{
    ir_set_trap(l, &b->trap);
    return setjmp(b->trap.env) ? NULL : reverse_make(b->mem, l)->joint;
}

backend *backend_new(const trial *t, buf *out)
{
    arena *mem = arena_new(0);
    backend *b = NEW(mem, backend);
    *b = (backend){.t = t, .mem = mem, .folder = "/tmp/mpc-prop-XXXXXX"};
    if (!mkdtemp(b->folder)) {
        buf_puts(out, "no folder for temporary files\n");
        arena_free(mem);
        return NULL;
    }
    setenv("MPC_CACHE_DIR", b->folder, 1);
    for (int i = 0; i < t->sizes.n; i++)
        b->defines[b->n_defines++] = t->sizes.at[i].real ? arena_printf(mem, "%s=%.17g", t->sizes.at[i].name, t->sizes.at[i].number)
                                                         : arena_printf(mem, "%s=%lld", t->sizes.at[i].name, (long long)t->sizes.at[i].dim);
    uint64_t r = t->seed * 0x9e3779b97f4a7c15u >> 40;
    if (t->what & TRIAL_ALL_VARIANTS) {
        for (int k = 0; k < 8; k++)
            add_variant(b, k & 1, k >> 1 & 1, k >> 2 & 1, !(k >> 2 & 1) && (r & 1));
    } else {
        add_variant(b, true, r & 1, r % 7 == 0, r & 8);
        add_variant(b, false, !(r & 1), r % 7 == 1, r & 16);
    }
    const char *why;
    b->training = t->what & TRIAL_GRAD;
    b->f32 = oracle_lower(mem, t->text, SEM_F32, NULL, &why);
    if (!b->f32)
        buf_printf(out, "with f32: %s", why);
    else if (b->training && !(b->f32 = joint_of(b, b->f32)))
        buf_printf(out, "derivatives with f32: %s\n", b->trap.text);
    if (b->f32 && make_contexts(b, out))
        return b;
    backend_free(b);
    return NULL;
}

void backend_free(backend *b)
{
    if (!b)
        return;
    for (int i = 0; i < b->n; i++)
        for (int k = 0; k < N_CONTEXTS; k++) {
            mp_layer_destroy(b->v[i].layer[k]);
            mp_module_destroy(b->v[i].mod[k]);
        }
    for (int k = 0; k < N_CONTEXTS; k++)
        mp_context_destroy(b->ctx[k]);
    empty_folder(b->folder);
    rmdir(b->folder);
    for (struct bound *h = b->bounded; h; h = h->next)
        munmap(h->at, h->bytes);
    arena_free(b->mem);
}

/* ---- tensors ---- */

/* Rows in another order and with gaps. order: by row of the tensor the row of the data; NULL: the same. */
typedef struct layout { int64_t rows, width, gap; const int64_t *order; } layout;

static int64_t element_at(const layout *y, int64_t row, int64_t k) { return row * (y->width + y->gap) + k; }
static int64_t data_row(const layout *y, int64_t row) { return y->order ? y->order[row] : row; }

static layout layout_of(const hard_graph *g, const ir_layer *l, ir_dom rows, int64_t n, const int64_t *order, uint64_t chance)
{
    layout y = {.rows = tensors_rows(l, rows, g)};
    y.width = y.rows ? n / y.rows : 0;
    y.gap = rows.i && chance % 7 == 3 ? 2 : 0;
    y.order = l->domains[rows.i].kind == DOM_EDGES && chance % 5 == 1 ? order : NULL;
    return y;
}

/* ---- running ---- */

typedef struct results { double **at; int64_t *n; } results;

static bool say(backend *b, const variant *v, int k, const oracle *o, mp_status st, const char *what, buf *out)
{
    if (st)
        buf_printf(out, "%s, %d threads, graph %s: %s: %s: %s\n", v->name, (int[]){1, 2, 7}[k], graph_kind_name[o->at->graph->kind], what,
                   mp_status_name(st), mp_error_message(b->ctx[k]));
    return !st;
}

static bool bind_inputs(backend *b, variant *v, int k, arena *mem, const oracle *o, const int64_t *order, buf *out)
{
    const ir_layer *l = o->layer;
    for (uint32_t i = 0; i < l->n_inputs; i++) {
        const ir_node *n = ir_at(l, l->inputs[i].value);
        const interp_data *in = &o->inputs[i];
        uint64_t chance = o->at->seed + i;
        layout y = layout_of(o->at->graph, l, n->dom, in->n, order, chance);
        DLDataType type = tensors_type(n->type, v->f64, chance & 1);
        int64_t room = y.rows * (y.width + y.gap) - (y.rows ? y.gap : 0);
        char *data = bounded(b, mem, (size_t)room * (type.bits / 8), type.bits / 8);
        for (int64_t row = 0; row < y.rows; row++)
            for (int64_t e = 0; e < y.width; e++)
                tensors_put(data, type, element_at(&y, row, e), in->at[data_row(&y, row) * y.width + e]);
        tensor t;
        tensors_describe(&t, l, l->inputs[i].value, n->dom, o->at, type, data, y.gap);
        unsigned flags = (chance % 3 == 0 ? MP_CONST : 0u) | (y.order ? MP_WALK_ORDER : 0u);
        mp_status st = !oracle_is_cotangent(l, i) ? mp_bind(v->layer[k], l->inputs[i].name, &t.dl, flags)
                       : mp_bind_grad(v->layer[k], l->inputs[i].name + 4, oracle_is_zero(l, i, o->at) ? NULL : &t.dl, flags & ~(unsigned)MP_CONST);
        if (!say(b, v, k, o, st, l->inputs[i].name, out))
            return false;
    }
    return true;
}

static bool is_gradient(const ir_layer *l, uint32_t output) { return !strncmp(l->outputs[output].name, "grad.", 5); }

static mp_status bind_output(mp_layer *layer, const ir_layer *l, uint32_t i, const DLTensor *t, unsigned flags)
{
    const char *name = l->outputs[i].name;
    return is_gradient(l, i) ? mp_bind_grad(layer, name + 5, t, flags) : mp_bind(layer, name, t, flags);
}

static mp_status call(const backend *b, mp_layer *layer, mp_graph *g)
{
    if (!b->training)
        return mp_forward(layer, g);
    mp_tape *tape = NULL;
    mp_status st = mp_forward_train(layer, g, ORACLE_SEED, &tape);
    if (!st)
        st = mp_backward(layer, tape);
    mp_tape_destroy(tape);
    return st;
}

/* Outputs as doubles; their memory holds another pattern before. A gradient that is not asked for has none. */
static bool run(backend *b, variant *v, int k, arena *mem, const oracle *o, results *r, buf *out)
{
    const ir_layer *l = o->layer;
    const hard_graph *hg = o->at->graph;
    mp_layer *layer = v->layer[k];
    mp_graph *g = NULL;
    int64_t *order = NEW_N(mem, int64_t, hg->n_edges + 1);
    bool fine = say(b, v, k, o, tensors_graph(b->ctx[k], mem, hg, &g), "graph", out) && say(b, v, k, o, mp_graph_edge_order(g, order), "order", out) &&
                bind_inputs(b, v, k, mem, o, order, out);
    layout *y = NEW_N(mem, layout, l->n_outputs + 1);
    DLTensor *t = NEW_N(mem, DLTensor, l->n_outputs + 1);
    *r = (results){NEW_N(mem, double *, l->n_outputs + 1), NEW_N(mem, int64_t, l->n_outputs + 1)};
    for (uint32_t i = 0; fine && i < l->n_outputs; i++) {
        const ir_output *p = &l->outputs[i];
        const ir_node *n = ir_at(l, p->value);
        int64_t elems = 1;
        for (uint32_t d = 0; d < n->rank; d++)
            elems *= oracle_dim(l, n->shape[d], o->at->sizes);
        uint64_t chance = o->at->seed * 3 + i;
        y[i] = layout_of(hg, l, p->rows, tensors_rows(l, p->rows, hg) * elems, order, chance);
        r->n[i] = y[i].rows * elems;
        r->at[i] = NEW_N(mem, double, r->n[i] + 1);
        DLDataType type = tensors_type(n->type, v->f64, true);
        size_t room = (size_t)(y[i].rows * (elems + y[i].gap) - (y[i].rows ? y[i].gap : 0));
        void *data = bounded(b, mem, room * (type.bits / 8), type.bits / 8);
        bool gradient = is_gradient(l, i), adds = gradient && chance % 5 == 2;
        memset(data, adds ? 0 : 0xa5, room * (type.bits / 8));
        tensor own;
        tensors_describe(&own, l, p->value, p->rows, o->at, type, data, y[i].gap);
        t[i] = own.dl;
        if (gradient ? chance % 7 == 6 : chance % 4 == 2 && n->type != T_F16 && n->type != T_BF16) {     /* in memory of the layer's */
            t[i].data = NULL;
            y[i].gap = 0;
            y[i].order = NULL;
        }
        unsigned flags = (y[i].order ? MP_WALK_ORDER : 0u) | (adds ? MP_ACCUMULATE : 0u);
        fine = say(b, v, k, o, bind_output(layer, l, i, t[i].data ? &own.dl : NULL, flags), p->name, out);
    }
    fine = fine && say(b, v, k, o, mp_prepare(layer, g), "prepare", out) && say(b, v, k, o, call(b, layer, g), b->training ? "training" : "forward", out);
    for (uint32_t i = 0; fine && i < l->n_outputs; i++) {
        DLTensor at = t[i];
        DLManagedTensor *here = NULL;
        if (!at.data && is_gradient(l, i)) {
            r->at[i] = NULL;
            continue;
        }
        if (!at.data)
            fine = say(b, v, k, o, mp_output(layer, l->outputs[i].name, &at), "output", out);
        if (fine && at.device.device_type != kDLCPU) {
            fine = say(b, v, k, o, mp_tensor_to(b->ctx[k], &at, (DLDevice){kDLCPU, 0}, &here), "output", out);
            at = here ? here->dl_tensor : at;
        }
        for (int64_t row = 0; fine && row < y[i].rows; row++)
            for (int64_t e = 0; e < y[i].width; e++)
                r->at[i][data_row(&y[i], row) * y[i].width + e] = tensors_get(at.data, at.dtype, element_at(&y[i], row, e));
        if (here)
            here->deleter(here);
    }
    mp_graph_destroy(g);
    return fine;
}

static bool same_bits(const results *a, const results *b, const oracle *o, const variant *v, const char *what, buf *out)
{
    for (uint32_t i = 0; i < o->layer->n_outputs; i++)
        for (int64_t j = 0; a->at[i] && j < a->n[i]; j++)
            if (memcmp(&a->at[i][j], &b->at[i][j], sizeof(double)) && !(isnan(a->at[i][j]) && isnan(b->at[i][j]))) {
                buf_printf(out, "%s, graph %s: %s: %s[%lld] is %.17g and %.17g\n", v->name, graph_kind_name[o->at->graph->kind], what,
                           o->layer->outputs[i].name, (long long)j, a->at[i][j], b->at[i][j]);
                return false;
            }
    return true;
}

static verdict compare_variant(backend *b, variant *v, arena *mem, const oracle *o, const double *f32_error, bool threads, buf *out)
{
    results r[N_CONTEXTS], again;
    for (int k = 0; k < (threads ? N_CONTEXTS : 1); k++) {
        if (!v->layer[k] && !compile(b, v, k, out))
            return V_BACKEND;
        if (!run(b, v, k, mem, o, &r[k], out))
            return V_BACKEND;
    }
    if (!run(b, v, 0, mem, o, &again, out) || !same_bits(&r[0], &again, o, v, "two runs", out))
        return V_BACKEND;
    for (int k = 1; threads && k < N_CONTEXTS; k++)
        if (!same_bits(&r[0], &r[k], o, v, k == 1 ? "1 and 2 threads" : "1 and 7 threads", out))
            return V_BACKEND;
    double half = oracle_has_half(o->layer) ? ORACLE_HALF : 0;
    for (uint32_t i = 0; i < o->layer->n_outputs; i++) {
        mismatch m;
        if (!r[0].at[i])
            continue;
        double rel = v->f64 ? 1e-9 : 0, error = v->f64 ? oracle_f64_noise(f32_error[i]) : 8 * f32_error[i];
        if (oracle_compare(o, i, r[0].at[i], r[0].n[i], rel > half ? rel : half, error, &m) < 0)
            continue;
        if (!v->f64)
            error = 8 * oracle_f32_error(mem, o, ORACLE_MANY_RUNS)[i];
        if (oracle_compare(o, i, r[0].at[i], r[0].n[i], rel > half ? rel : half, error, &m) < 0)
            continue;
        buf_printf(out, "%s, graph %s, fill %d: %s[%lld] is %.9g, not %.9g (scale %.3g, off by %.3g, allowed %.3g)\n", v->name,
                   graph_kind_name[o->at->graph->kind], o->at->fill, o->layer->outputs[i].name, (long long)m.at, m.got, m.want, m.scale, fabs(m.got - m.want),
                   v->f64 ? rel * m.scale : error);
        return V_BACKEND;
    }
    return V_SAME;
}

verdict backend_compare(backend *b, arena *mem, const oracle *o, buf *out)
{
    bool threads = b->t->what & TRIAL_DEVICE ? false : b->n_graphs++ == 0 || o->at->graph->kind == HG_HUB;
    verdict v = V_SAME;
    oracle rough;
    double *error = NULL;
    if (!oracle_run(mem, &rough, b->f32, o->at)) {
        buf_printf(out, "with f32: %s\n", rough.result.why);
        v = V_BROKEN;
    } else {
        error = oracle_f32_error(mem, &rough, ORACLE_FEW_RUNS);
    }
    for (int i = 0; v == V_SAME && i < b->n; i++)
        v = compare_variant(b, &b->v[i], mem, b->v[i].f64 ? o : &rough, error, threads, out);
    oracle_free(&rough);
    return v;
}
