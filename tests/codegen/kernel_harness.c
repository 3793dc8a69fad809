/* See kernel_harness.h. */
#include "kernel_harness.h"

#include <string.h>
#include <time.h>

#include "codegen/cpu/kernel.h"
#include "compiler/plan/plan_verify.h"

int kh_failures;
const char *kh_arch;

static void die(const char *what, const char *why)
{
    printf("%s: %s\n", what, why);
    exit(1);
}

double kh_random(uint64_t *s)
{
    *s = *s * 6364136223846793005u + 1442695040888963407u;
    return (double)(*s >> 33) / 2147483648.0;
}

float *kh_floats(size_t n, uint64_t seed)
{
    float *x = malloc((n + 1) * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(kh_random(&seed) * 2 - 1);
    return x;
}

kh_graph kh_graph_make(int64_t n, uint64_t seed)
{
    kh_graph g = {.n = n, .ptr = malloc(((size_t)n + 1) * sizeof(int64_t))};
    g.ptr[0] = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t degree = (int64_t)(kh_random(&seed) * 9) - 2;
        if (i == n / 3)
            degree = 150;
        if (i == n / 3 + 1)
            degree = 47;
        g.ptr[i + 1] = g.ptr[i] + (degree < 0 ? 0 : degree);
    }
    g.m = g.ptr[n];
    g.src = malloc(((size_t)g.m + 1) * sizeof(int32_t));
    g.dst = malloc(((size_t)g.m + 1) * sizeof(int32_t));
    for (int64_t i = 0; i < n; i++)
        for (int64_t e = g.ptr[i]; e < g.ptr[i + 1]; e++) {
            g.src[e] = (int32_t)(kh_random(&seed) * (double)n);
            g.dst[e] = (int32_t)i;
        }
    return g;
}

void kh_graph_free(kh_graph *g)
{
    free(g->ptr);
    free(g->src);
    free(g->dst);
}

khar *kh_open(void)
{
    khar *h = calloc(1, sizeof *h);
    h->mem = arena_new(0);
    h->names = str_table_new(h->mem);
    h->layer.mem = h->mem;
    h->layer.dims = dim_table_new(h->mem);
    h->layer.name = "test";
    h->p = kplan_new(h->mem, &h->layer);
    return h;
}

void kh_close(khar *h)
{
    jit_free(h->jit);
    arena_free(h->mem);
    free(h);
}

kdim kh_dim(khar *h, int64_t d, bool open)
{
    if (!open)
        return kdim_int(d);
    char name[16];
    snprintf(name, sizeof name, "d%u", h->p->n_dims);
    kdim k = kdim_of(h->p, dim_symbol(h->layer.dims, str_of(h->names, name)));
    h->dim[k.slot] = d;
    return k;
}

static bool value_of(void *ud, dim_sym s, int64_t *value)
{
    khar *h = ud;
    for (uint32_t i = 0; i < h->p->n_dims; i++) {
        dim_sym t;
        if (dim_is_symbol(h->layer.dims, h->p->dims[i], &t) && t.i == s.i) {
            *value = h->dim[i];
            return true;
        }
    }
    return false;
}

uint32_t kh_buffer(khar *h, ktype t, mp_rows_kind rows, kdim elems, void *data)
{
    kbuffer b = { .kind = BUF_INPUT,
                  .index = h->p->n_buffers,
                  .type = t,
                  .rows = { rows, 0 },
                  .elems = elems,
                  .name = "b" };
    uint32_t i = kplan_add_buffer(h->p, b);
    h->buf[i] = data;
    return i;
}

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static module_input input_of(khar *h, const kplan *const *plan)
{
    return (module_input){ .plans = plan,
                           .n_plans = 1,
                           .description = "none",
                           .description_bytes = 4,
                           .arch = &kh_arch,
                           .n_arch = kh_arch ? 1 : 0,
                           .level = 2,
                           .verify = h->training < 0 };
}

void kh_print(khar *h, module_form form)
{
    char err[4096] = "";
    object_bytes o;
    const kplan *plan = h->p;
    module_input in = input_of(h, &plan);
    if (!module_build(h->mem, &in, form, &o, err, sizeof err))
        die("build", err);
    fwrite(o.data, 1, o.size, stdout);
    object_free(&o);
}

void kh_build(khar *h)
{
    char err[4096] = "";
    const char *bad = plan_verify(h->p, h->mem);
    if (bad)
        die("plan", bad);
    for (uint32_t i = 0; i < h->p->n_dims; i++)         /* products and sums of the open sizes */
        if (!dim_is_symbol(h->layer.dims, h->p->dims[i], NULL) &&
            dim_eval(h->layer.dims, h->p->dims[i], value_of, h, &h->dim[i]) != DIM_FINE)
            die("dim", dim_text(h->layer.dims, h->p->dims[i], h->mem));
    object_bytes o;
    const kplan *plan = h->p;
    module_input in = input_of(h, &plan);
    double start = now_ms();
    if (!module_build(h->mem, &in, MODULE_OBJECT, &o, err, sizeof err))
        die("build", err);
    h->build_ms = now_ms() - start;
    h->jit = jit_load(o.data, o.size, NULL, 0, err, sizeof err);
    object_free(&o);
    if (!h->jit || !(h->module = jit_find(h->jit, MP_MODULE_SYMBOL, err, sizeof err)))
        die("load", err);
}

static int64_t local_bytes(khar *h, const klocal *l, uint32_t copies)
{
    int64_t n = l->elems.is_const ? l->elems.value : h->dim[l->elems.slot];
    int64_t size = l->type == KT_BOOL ? 1 : l->type == KT_F32 ? 4 : 8;
    return (n * size * copies + 63) / 64 * 64;
}

void kh_run(khar *h, uint32_t k, int64_t n, const int64_t *ptr, kh_cut cut)
{
    const kkernel *kk = &h->p->kernels[k];
    const mp_kernel_entry *f = &h->module->kernels[0][k];
    int64_t scratch = 0, state = 0, hubs = 0, pieces = 0;
    for (uint32_t i = 1; i < kk->n_locals; i++) {
        scratch += local_bytes(h, &kk->locals[i], kernel_copies(kk, i));
        if (kk->locals[i].accumulator)
            state += local_bytes(h, &kk->locals[i], 1);
    }
    char *room = aligned_alloc(64, (size_t)scratch + 64);
    memset(room, 0xff, (size_t)scratch + 64);
    int64_t *hub_row = malloc(((size_t)n + 1) * sizeof *hub_row),
            *hub_first = malloc(((size_t)n + 1) * sizeof *hub_first);
    for (int64_t i = 0; ptr && cut.hub && i < n; i++)
        if (ptr[i + 1] - ptr[i] > cut.hub) {
            hub_row[hubs] = i;
            hub_first[hubs++] = pieces;
            pieces += (ptr[i + 1] - ptr[i] + cut.piece - 1) / cut.piece;
        }
    hub_row[hubs] = INT64_MAX;
    hub_first[hubs] = pieces;
    char *states = aligned_alloc(64, (size_t)(state * pieces) + 64);
    memset(states, 0xff, (size_t)(state * pieces));
    mp_kargs args = { .buf = h->buf,
                      .dim = h->dim,
                      .real = h->real,
                      .step = h->step,
                      .seed = h->seed,
                      .training = h->training > 0 };
    mp_launch launch = {
        .ptr = ptr, .hub_row = hub_row, .hub_first = hub_first, .state = states, .state_bytes = state
    };
    for (int64_t i = hubs - 1; i >= 0; i--)
        for (int64_t q = hub_first[i]; q < hub_first[i + 1]; q++) {
            int64_t lo = ptr[hub_row[i]] + (q - hub_first[i]) * cut.piece, hi = lo + cut.piece;
            if (hi > ptr[hub_row[i] + 1])
                hi = ptr[hub_row[i] + 1];
            f->piece(&args, &launch, hub_row[i], lo, hi, states + q * state, room);
        }
    for (int64_t lo = 0; lo < n; lo += cut.part) {
        int64_t hub = 0, hi = lo + cut.part < n ? lo + cut.part : n;
        while (hub_row[hub] < lo)
            hub++;
        f->rows(&args, &launch, lo, hi, hub, room);
    }
    free(room);
    free(hub_row);
    free(hub_first);
    free(states);
}
