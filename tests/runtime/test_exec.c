/*
 * Layers made by hand, run: the same bits with any number of threads, hubs and pieces, loops that end by themselves,
 * pairs known beforehand and computed in the call, orders of edges, conversions, the workspace.
 */
#include <math.h>

#include "tests/runtime/check.h"
#include "tests/runtime/layer_module.h"

typedef struct world {
    check *c;
    void *description;
    mp_module_v1 table;
    mp_module *mod;
    mp_graph *g;
    int64_t n, e;
    int32_t *src, *dst;
    float *x, *w, *y;
    int64_t d;
    uint64_t seed;
} world;

static DLTensor tensor(void *data, DLDataTypeCode code, int bits, int rank, int64_t *shape)
{
    return (DLTensor){ .data = data, .device = { kDLCPU, 0 }, .ndim = rank, .dtype = { (uint8_t)code, (uint8_t)bits, 1 },
                       .shape = shape };
}

#define F32(data, ...) tensor(data, kDLFloat, 32, (int)(sizeof((int64_t[]){ __VA_ARGS__ }) / 8), (int64_t[]){ __VA_ARGS__ })

static float random_real(uint64_t *seed)
{
    return (float)(check_random(seed) >> 40) / (float)(1 << 24) - 0.5f;
}

/* A graph with a hub of 20,000 edges, nodes without any, loops and repeated edges. */
static world begin(check *c, int64_t d)
{
    world t = { .c = c, .n = 3000, .e = 50000, .d = d, .seed = 7 };
    size_t bytes;
    t.description = test_description(&bytes);
    t.table = test_table(t.description, bytes);
    OK(c, module_from_table(c->ctx, &t.table, NULL, &t.mod));
    t.src = malloc((size_t)t.e * sizeof *t.src);
    t.dst = malloc((size_t)t.e * sizeof *t.dst);
    t.x = malloc((size_t)(t.n * d) * sizeof *t.x);
    t.y = malloc((size_t)(t.n * d) * sizeof *t.y);
    t.w = malloc((size_t)t.e * sizeof *t.w);
    for (int64_t i = 0; i < t.e; i++) {
        t.src[i] = (int32_t)check_below(&t.seed, t.n);
        t.dst[i] = i % 5 < 2 ? 17 : (int32_t)check_below(&t.seed, t.n - 100);
        t.w[i] = random_real(&t.seed);
    }
    for (int64_t i = 0; i < t.n * d; i++)
        t.x[i] = random_real(&t.seed);
    OK(c, mp_graph_from_coo(c->ctx, t.n, t.n, t.e, t.src, t.dst, &t.g));
    return t;
}

static void end(world *t)
{
    mp_graph_destroy(t->g);
    mp_module_destroy(t->mod);
    free(t->description);
    free(t->src);
    free(t->dst);
    free(t->x);
    free(t->y);
    free(t->w);
}

static bool near(double a, double b, double tolerance)
{
    return fabs(a - b) <= tolerance * (1 + fabs(b));
}

static mp_layer *create(world *t, const char *name)
{
    mp_layer *l = NULL;
    OK(t->c, mp_layer_create(t->mod, name, NULL, 0, &l));
    return l;
}

/* ---- Walks with hubs -------------------------------------------------------------------------------------------- */

static void spmm_expected(const world *t, double scale, double *want)
{
    for (int64_t i = 0; i < t->n * t->d; i++)
        want[i] = 0;
    for (int64_t e = 0; e < t->e; e++)
        for (int64_t j = 0; j < t->d; j++)
            want[t->dst[e] * t->d + j] += scale * (double)t->w[e] * (double)t->x[t->src[e] * t->d + j];
}

static void spmm(world *t)
{
    check *c = t->c;
    mp_layer *l = NULL;
    OK(c, mp_layer_create(t->mod, "SPMM", (mp_static[]){ MP_REAL("scale", 2) }, 1, &l));
    DLTensor x = F32(t->x, t->n, t->d), w = F32(t->w, t->e), y = F32(t->y, t->n, t->d);
    OK(c, mp_bind(l, "x", &x, 0));
    OK(c, mp_bind(l, "w", &w, 0));
    OK(c, mp_bind(l, "y", &y, 0));
    OK(c, mp_forward(l, t->g));
    double *want = malloc((size_t)(t->n * t->d) * sizeof *want);
    spmm_expected(t, 2, want);
    int64_t bad = 0;
    for (int64_t i = 0; i < t->n * t->d; i++)
        bad += !near((double)t->y[i], want[i], 1e-3);
    CHECK(c, bad == 0);

    /* in the graph's order, flagged so */
    int64_t *order = malloc((size_t)t->e * sizeof *order);
    float *walk = malloc((size_t)t->e * sizeof *walk), *y2 = malloc((size_t)(t->n * t->d) * sizeof *y2);
    OK(c, mp_graph_edge_order(t->g, order));
    for (int64_t k = 0; k < t->e; k++)
        walk[k] = t->w[order[k]];
    DLTensor walked = F32(walk, t->e), second = F32(y2, t->n, t->d);
    OK(c, mp_bind(l, "w", &walked, MP_WALK_ORDER));
    OK(c, mp_bind(l, "y", &second, 0));
    OK(c, mp_forward(l, t->g));
    CHECK(c, memcmp(t->y, y2, (size_t)(t->n * t->d) * sizeof *y2) == 0);

    /* float64 and strided: converted at each call, and once */
    double *wide = malloc((size_t)(t->n * t->d * 2) * sizeof *wide);
    for (int64_t i = 0; i < t->n * t->d; i++)
        wide[2 * i] = (double)t->x[i];
    DLTensor strided = tensor(wide, kDLFloat, 64, 2, (int64_t[]){ t->n, t->d });
    strided.strides = (int64_t[]){ 2 * t->d, 2 };
    for (unsigned flags = 0; flags <= MP_CONST; flags++) {
        memset(y2, 0, (size_t)(t->n * t->d) * sizeof *y2);
        OK(c, mp_bind(l, "x", &strided, flags));
        OK(c, mp_forward(l, t->g));
        CHECK(c, memcmp(t->y, y2, (size_t)(t->n * t->d) * sizeof *y2) == 0);
    }
    wide[0] += 1;                       /* it was const: not read again */
    OK(c, mp_forward(l, t->g));
    CHECK(c, memcmp(t->y, y2, (size_t)(t->n * t->d) * sizeof *y2) == 0);

    /* an output over its input, one in float64, one of the layer's own */
    float *both = malloc((size_t)(t->n * t->d) * sizeof *both);
    memcpy(both, t->x, (size_t)(t->n * t->d) * sizeof *both);
    DLTensor same = F32(both, t->n, t->d), out64 = tensor(wide, kDLFloat, 64, 2, (int64_t[]){ t->n, t->d }), own;
    OK(c, mp_bind(l, "x", &same, 0));
    OK(c, mp_bind(l, "y", &same, 0));
    OK(c, mp_forward(l, t->g));
    CHECK(c, memcmp(t->y, both, (size_t)(t->n * t->d) * sizeof *y2) == 0);
    OK(c, mp_bind(l, "x", &x, 0));
    OK(c, mp_bind(l, "y", &out64, 0));
    OK(c, mp_forward(l, t->g));
    bad = 0;
    for (int64_t i = 0; i < t->n * t->d; i++)
        bad += wide[i] != (double)t->y[i];
    CHECK(c, bad == 0);
    OK(c, mp_bind(l, "y", NULL, 0));
    OK(c, mp_prepare(l, t->g));
    FAILS(c, MP_USAGE, "no forward pass", mp_output(l, "y", &own));
    OK(c, mp_forward(l, t->g));
    OK(c, mp_output(l, "y", &own));
    CHECK(c, own.ndim == 2 && own.shape[0] == t->n && own.shape[1] == t->d);
    CHECK(c, memcmp(t->y, own.data, (size_t)(t->n * t->d) * sizeof *y2) == 0);
    mp_layer_destroy(l);
    free(both);
    free(wide);
    free(walk);
    free(y2);
    free(order);
    free(want);
}

/* ---- Loops ------------------------------------------------------------------------------------------------------ */

static void drift(world *t)
{
    check *c = t->c;
    mp_layer *l = create(t, "DRIFT");
    DLTensor h = F32(t->x, t->n, t->d), g = F32(t->y, t->n, t->d);
    OK(c, mp_bind(l, "h", &h, 0));
    OK(c, mp_bind(l, "g", &g, 0));
    OK(c, mp_forward(l, t->g));
    mp_iteration it = { .size = sizeof it };
    OK(c, mp_layer_iteration(l, 0, &it));
    CHECK(c, it.steps > 3 && it.steps < 50 && it.change < 1e-3 && strcmp(it.name, "z") == 0);

    /* by hand, as often */
    size_t n = (size_t)(t->n * t->d);
    double *z = malloc(n * sizeof *z), *next = malloc(n * sizeof *next), *degree = calloc((size_t)t->n, sizeof *degree);
    for (size_t i = 0; i < n; i++)
        z[i] = (double)t->x[i];
    for (int64_t e = 0; e < t->e; e++)
        degree[t->dst[e]]++;
    for (int64_t s = 0; s < it.steps; s++) {
        memset(next, 0, n * sizeof *next);
        for (int64_t e = 0; e < t->e; e++)
            for (int64_t j = 0; j < t->d; j++)
                next[t->dst[e] * t->d + j] += z[t->src[e] * t->d + j];
        for (size_t i = 0; i < n; i++) {
            double deg = degree[i / (size_t)t->d];
            next[i] = 0.5 * ((deg > 0 ? next[i] / deg : 0) + (double)t->x[i]);
        }
        memcpy(z, next, n * sizeof *z);
    }
    int64_t bad = 0;
    for (size_t i = 0; i < n; i++)
        bad += !near((double)t->y[i], z[i], 1e-4);
    CHECK(c, bad == 0);

    /* a limit; a NaN has moved; again from the start */
    mp_layer *three = NULL;
    OK(c, mp_layer_create(t->mod, "DRIFT", (mp_static[]){ MP_DIM("K", 3) }, 1, &three));
    OK(c, mp_bind(three, "h", &h, 0));
    OK(c, mp_forward(three, t->g));
    OK(c, mp_layer_iteration(three, 0, &it));
    CHECK(c, it.steps == 3 && it.change >= 1e-3);
    float kept = t->x[0];
    t->x[0] = NAN;
    OK(c, mp_forward(l, t->g));
    OK(c, mp_layer_iteration(l, 0, &it));
    CHECK(c, it.steps == 50 && isnan(it.change));
    t->x[0] = kept;
    OK(c, mp_forward(l, t->g));
    bad = 0;
    for (size_t i = 0; i < n; i++)
        bad += !near((double)t->y[i], z[i], 1e-4);
    CHECK(c, bad == 0);

    mp_graph *block;
    OK(c, mp_graph_from_coo(c->ctx, t->n, 5, 0, NULL, NULL, &block));
    FAILS(c, MP_INVALID, "z is read at source nodes", mp_forward(l, block));
    mp_graph_destroy(block);
    mp_layer_destroy(three);
    mp_layer_destroy(l);
    free(z);
    free(next);
    free(degree);
}

/* ---- Pairs ------------------------------------------------------------------------------------------------------ */

enum { R = 6 };

/* Sum over incoming edges of (rel + 1) x[src], and the pairs that occur. */
static void check_rel(const world *t, const int64_t *rel, const float *y, const float *pairs)
{
    size_t n = (size_t)(t->n * t->d);
    double *want = calloc(n, sizeof *want);
    char *seen = calloc((size_t)t->n, R);
    int64_t count[R] = { 0 }, bad = 0;
    for (int64_t e = 0; e < t->e; e++) {
        if (rel[e] < 0)
            continue;
        for (int64_t j = 0; j < t->d; j++)
            want[t->dst[e] * t->d + j] += (double)(rel[e] + 1) * (double)t->x[t->src[e] * t->d + j];
        count[rel[e]] += !seen[t->dst[e] * R + rel[e]];
        seen[t->dst[e] * R + rel[e]] = 1;
    }
    for (size_t i = 0; i < n; i++)
        bad += !near((double)y[i], want[i], 1e-3);
    for (int r = 0; r < R; r++)
        bad += pairs[r] != (float)count[r];
    CHECK(t->c, bad == 0);
    free(want);
    free(seen);
}

static void pairs(world *t)
{
    check *c = t->c;
    int64_t *rel = malloc((size_t)t->e * sizeof *rel);
    float *w = malloc((size_t)t->e * sizeof *w), counts[R];
    DLTensor x = F32(t->x, t->n, t->d), y = F32(t->y, t->n, t->d), n = F32(counts, R), weights = F32(w, t->e);
    DLTensor index = tensor(rel, kDLInt, 64, 1, &t->e);
    mp_layer *known = NULL, *computed = NULL;
    OK(c, mp_layer_create(t->mod, "REL", (mp_static[]){ MP_DIM("R", R) }, 1, &known));
    OK(c, mp_layer_create(t->mod, "BUCKET", NULL, 0, &computed));
    OK(c, mp_bind(known, "x", &x, 0));
    OK(c, mp_bind(known, "y", &y, 0));
    OK(c, mp_bind(known, "pairs", &n, 0));
    OK(c, mp_bind(computed, "x", &x, 0));
    OK(c, mp_bind(computed, "y", &y, 0));
    OK(c, mp_bind(computed, "pairs", &n, 0));
    OK(c, mp_bind(computed, "w", &weights, 0));
    for (int round = 0; round < 3; round++) {           /* none, few pairs, every edge of one relation */
        for (int64_t e = 0; e < t->e; e++)
            rel[e] = round == 0 ? -1 : round == 1 ? check_below(&t->seed, R) - (check_below(&t->seed, 9) == 0) : R - 1;
        OK(c, mp_bind(known, "rel", &index, 0));
        OK(c, mp_forward(known, t->g));
        check_rel(t, rel, t->y, counts);
        for (int64_t e = 0; e < t->e; e++) {
            rel[e] = rel[e] < 0 ? 0 : rel[e];
            w[e] = (float)rel[e] + 0.5f;
        }
        OK(c, mp_forward(computed, t->g));
        check_rel(t, rel, t->y, counts);
    }
    mp_layer_destroy(known);
    mp_layer_destroy(computed);
    free(rel);
    free(w);
}

/* ---- Edge values ------------------------------------------------------------------------------------------------ */

static void edges(world *t)
{
    check *c = t->c;
    int64_t k2 = 4;
    float *e = malloc((size_t)(t->e * k2) * sizeof *e), *o = malloc((size_t)(t->e * k2) * sizeof *o), s = 3;
    uint8_t *keep = malloc((size_t)t->e);
    for (int64_t i = 0; i < t->e * k2; i++)
        e[i] = random_real(&t->seed);
    for (int64_t i = 0; i < t->e; i++)
        keep[i] = (uint8_t)(check_below(&t->seed, 2) * 5);
    mp_layer *l = create(t, "EDGES");
    DLTensor in = F32(e, t->e, k2), out = F32(o, t->e, k2), scalar = tensor(&s, kDLFloat, 32, 0, NULL);
    DLTensor mask = tensor(keep, kDLUInt, 8, 1, &t->e), own;
    OK(c, mp_bind(l, "e", &in, 0));
    OK(c, mp_bind(l, "keep", &mask, 0));
    OK(c, mp_bind(l, "s", &scalar, 0));
    for (int round = 0; round < 3; round++) {           /* own output, bound, const input */
        if (round == 1)
            OK(c, mp_bind(l, "o", &out, 0));
        if (round == 2)
            OK(c, mp_bind(l, "e", &in, MP_CONST));
        memset(o, 0, (size_t)(t->e * k2) * sizeof *o);
        OK(c, mp_forward(l, t->g));
        OK(c, mp_output(l, "o", &own));
        int64_t bad = 0;
        for (int64_t i = 0; i < t->e * k2; i++)
            bad += ((float *)own.data)[i] != (keep[i / k2] ? 3 * e[i] : 0);
        CHECK(c, bad == 0);
    }
    /* both in the graph's order: nothing is moved */
    int64_t *order = malloc((size_t)t->e * sizeof *order), bad = 0;
    OK(c, mp_graph_edge_order(t->g, order));
    OK(c, mp_bind(l, "e", &in, MP_WALK_ORDER));
    OK(c, mp_bind(l, "o", &out, MP_WALK_ORDER));
    OK(c, mp_forward(l, t->g));
    for (int64_t i = 0; i < t->e * k2; i++)
        bad += o[i] != (keep[order[i / k2]] ? 3 * e[i] : 0);
    CHECK(c, bad == 0);
    free(order);
    mp_layer_destroy(l);
    free(e);
    free(o);
    free(keep);
}

/* ---- Workspace and small graphs --------------------------------------------------------------------------------- */

static void workspace(world *t)
{
    check *c = t->c;
    mp_layer *l = create(t, "DRIFT");
    DLTensor h = F32(t->x, t->n, t->d), g = F32(t->y, t->n, t->d);
    OK(c, mp_bind(l, "h", &h, 0));
    OK(c, mp_bind(l, "g", &g, 0));
    size_t bytes = 0, state = ((size_t)(t->n * t->d) * sizeof(float) + 63) / 64 * 64;
    OK(c, mp_workspace_bytes(l, t->g, &bytes));
    CHECK(c, bytes >= 2 * state && bytes < 2 * state + 64 * 1024);
    char *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    OK(c, mp_forward(l, t->g));
    float *kept = malloc((size_t)(t->n * t->d) * sizeof *kept);
    memcpy(kept, t->y, (size_t)(t->n * t->d) * sizeof *kept);
    memset(memory, 0x5a, bytes);
    OK(c, mp_set_workspace(l, memory, bytes));
    OK(c, mp_forward(l, t->g));
    CHECK(c, memcmp(kept, t->y, (size_t)(t->n * t->d) * sizeof *kept) == 0);
    FAILS(c, MP_USAGE, "aligned", mp_set_workspace(l, memory + 1, bytes - 1));
    OK(c, mp_set_workspace(l, memory, bytes - 1));
    FAILS(c, MP_USAGE, "are needed", mp_forward(l, t->g));
    OK(c, mp_set_workspace(l, NULL, 0));
    OK(c, mp_forward(l, t->g));
    uint64_t before, after;                     /* nothing is allocated by a call */
    mp_context_memory(c->ctx, &before, NULL);
    mp_context_reset_peak(c->ctx);
    OK(c, mp_forward(l, t->g));
    mp_context_memory(c->ctx, NULL, &after);
    CHECK(c, after == before);
    free(kept);
    free(memory);

    mp_graph *empty;
    OK(c, mp_graph_from_coo(c->ctx, 0, 0, 0, NULL, NULL, &empty));
    DLTensor none = F32(t->x, 0, t->d);
    OK(c, mp_bind(l, "h", &none, 0));
    OK(c, mp_bind(l, "g", &none, 0));
    OK(c, mp_forward(l, empty));
    FAILS(c, MP_INVALID, "h has shape [0, ", mp_forward(l, t->g));
    mp_graph_destroy(empty);
    mp_layer_destroy(l);
}

/* The outputs of all layers with so many threads, one behind the other. */
static float *all_outputs(check *c, int64_t d, size_t *n_out)
{
    world t = begin(c, d);
    size_t n = (size_t)(t.n * t.d), at = 0;
    float *all = malloc((3 * n + R) * sizeof *all);
    float *w = malloc((size_t)t.e * sizeof *w);
    for (int64_t e = 0; e < t.e; e++)
        w[e] = (float)(e % 11);
    DLTensor x = F32(t.x, t.n, t.d), weights = F32(w, t.e), own;
    const char *layers[] = { "SPMM", "DRIFT", "BUCKET" }, *inputs[] = { "x", "h", "x" }, *outputs[] = { "y", "g", "y" };
    for (int i = 0; i < 3; i++) {
        mp_layer *l = NULL;
        OK(c, mp_layer_create(t.mod, layers[i], (mp_static[]){ MP_DIM("R", R) }, i == 2, &l));
        OK(c, mp_bind(l, inputs[i], &x, 0));
        if (i != 1)
            OK(c, mp_bind(l, "w", &weights, 0));
        OK(c, mp_forward(l, t.g));
        OK(c, mp_output(l, outputs[i], &own));
        memcpy(all + at, own.data, n * sizeof *all);
        at += n;
        mp_layer_destroy(l);
    }
    end(&t);
    free(w);
    *n_out = at;
    return all;
}

int main(void)
{
    float *first = NULL;
    size_t n;
    int failed = 0;
    static const int threads[] = { 1, 2, 7 };
    for (int i = 0; i < 3; i++) {
        check c = check_begin(threads[i]);
        world t = begin(&c, i == 0 ? 5 : 3);
        spmm(&t);
        drift(&t);
        pairs(&t);
        edges(&t);
        workspace(&t);
        end(&t);
        float *all = all_outputs(&c, 5, &n);
        CHECK(&c, !first || memcmp(first, all, n * sizeof *all) == 0);
        if (first)
            free(all);
        else
            first = all;
        failed |= check_end(&c);
    }
    free(first);
    return failed;
}
