/*
 * Layers when memory ends: the n-th allocation fails, for n = 1, 2, ... until all succeed. Each time the call that met it
 * says so, nothing is left behind, and nothing is broken.
 */
#include "tests/runtime/check.h"
#include "tests/runtime/layer_module.h"

typedef struct ration { int64_t left; bool refused; } ration;

static void *rationed(void *ud, void *ptr, size_t old_size, size_t new_size, size_t align)
{
    ration *r = ud;
    if (new_size && r->left-- <= 0) {
        r->refused = true;
        return NULL;
    }
    return plain_resize(ptr, old_size, new_size, align);
}

enum { N = 40, E = 200, D = 3, R = 4 };

static float x[N * D], w[E], e4[E * 4];
static int32_t rel[E], src[E], dst[E];
static uint8_t keep[E];
static double wide[N * D];

static mp_status bind(mp_layer *l, const char *name, void *data, DLDataTypeCode code, int bits, int64_t rows, int64_t cols)
{
    int64_t shape[2] = { rows, cols };
    DLTensor t = { .data = data, .device = { kDLCPU, 0 }, .ndim = cols ? 2 : 1, .dtype = { (uint8_t)code, (uint8_t)bits, 1 },
                   .shape = shape };
    if (!rows)
        t.ndim = 0;
    return mp_bind(l, name, &t, 0);
}

static mp_status bind_all(mp_layer *l, int which)
{
    mp_status st = MP_OK;
    switch (which) {
    case 0: st = bind(l, "x", wide, kDLFloat, 64, N, D); break;         /* converted */
    case 1: st = bind(l, "h", x, kDLFloat, 32, N, D); break;
    case 2: case 3: st = bind(l, "x", x, kDLFloat, 32, N, D); break;
    case 4: st = bind(l, "e", e4, kDLFloat, 32, E, 4); break;
    }
    if (!st && (which == 0 || which == 3))
        st = bind(l, "w", w, kDLFloat, 32, E, 0);
    if (!st && which == 2)
        st = bind(l, "rel", rel, kDLInt, 32, E, 0);
    if (!st && which == 4)
        st = bind(l, "keep", keep, kDLUInt, 8, E, 0);
    if (!st && which == 4)
        st = bind(l, "s", wide, kDLFloat, 64, 0, 0);
    return st;
}

static mp_status once(mp_context *ctx, const mp_module_v1 *table, int which)
{
    mp_module *m = NULL;
    mp_graph *g = NULL;
    mp_layer *l = NULL;
    mp_status st = module_from_table(ctx, table, NULL, &m);
    if (!st)
        st = mp_graph_from_coo(ctx, N, N, E, src, dst, &g);
    bool pairs = which == 2 || which == 3;
    if (!st)
        st = mp_layer_create(m, mp_module_layer_name(m, which), (mp_static[]){ MP_DIM("R", R) }, pairs ? 1 : 0, &l);
    if (!st)
        st = bind_all(l, which);
    for (int i = 0; i < 2 && !st; i++)
        st = mp_forward(l, g);
    mp_layer_destroy(l);
    mp_graph_destroy(g);
    mp_module_destroy(m);
    return st;
}

int main(void)
{
    check c = { 0 };
    size_t n;
    void *bytes = test_description(&n);
    mp_module_v1 table = test_table(bytes, n);
    uint64_t seed = 3;
    for (int i = 0; i < E; i++) {
        src[i] = (int32_t)check_below(&seed, N);
        dst[i] = (int32_t)check_below(&seed, N);
        rel[i] = (int32_t)check_below(&seed, R);
    }
    for (int which = 0; which < 5; which++) {
        for (int64_t allowed = 0;; allowed++) {
            ration r = { allowed, false };
            if (mp_context_create(&(mp_context_options){ .threads = 1, .alloc = rationed, .alloc_ud = &r }, &c.ctx))
                return 1;
            mp_status st = once(c.ctx, &table, which);
            CHECK(&c, st == (r.refused ? MP_SYSTEM : MP_OK));
            CHECK(&c, !r.refused || strstr(mp_error_message(c.ctx), "out of memory"));
            uint64_t now;
            mp_context_memory(c.ctx, &now, NULL);
            CHECK(&c, now == 0);
            mp_context_destroy(c.ctx);
            if (!r.refused || c.failed || allowed > 2000)
                break;
        }
    }
    free(bytes);
    return c.failed != 0;
}
