/*
 * Creating and binding layers: what is refused, in which words, and what reflection shows.
 */
#include <math.h>

#include "tests/runtime/check.h"
#include "tests/runtime/layer_module.h"

static DLTensor tensor(void *data, DLDataTypeCode code, int bits, int rank, int64_t *shape)
{
    return (DLTensor){ .data = data, .device = { kDLCPU, 0 }, .ndim = rank, .dtype = { (uint8_t)code, (uint8_t)bits, 1 },
                       .shape = shape };
}

#define SHAPE(...) (int)(sizeof((int64_t[]){ __VA_ARGS__ }) / 8), (int64_t[]){ __VA_ARGS__ }

static float reals[4096];
static int32_t ints[64];

static void statics(check *c, mp_module *mod)
{
    mp_layer *l = NULL;
    FAILS(c, MP_INVALID, "no layer \"SPNM\"; did you mean \"SPMM\"?", mp_layer_create(mod, "SPNM", NULL, 0, &l));
    FAILS(c, MP_INVALID, "SPMM: there is no static argument \"scal\"; did you mean \"scale\"?",
          mp_layer_create(mod, "SPMM", (mp_static[]){ MP_REAL("scal", 1) }, 1, &l));
    FAILS(c, MP_INVALID, "SPMM: scale is a real, but was given as a dim",
          mp_layer_create(mod, "SPMM", (mp_static[]){ MP_DIM("scale", 1) }, 1, &l));
    FAILS(c, MP_INVALID, "SPMM: in is a dim, but was given as a real",
          mp_layer_create(mod, "SPMM", (mp_static[]){ MP_REAL("in", 1) }, 1, &l));
    FAILS(c, MP_INVALID, "SPMM: in is -3, but must be positive",
          mp_layer_create(mod, "SPMM", (mp_static[]){ MP_DIM("in", -3) }, 1, &l));
    FAILS(c, MP_INVALID, "SPMM: in was given twice",
          mp_layer_create(mod, "SPMM", (mp_static[]){ MP_DIM("in", 3), MP_DIM("in", 3) }, 2, &l));
    FAILS(c, MP_INVALID, "EDGES: the square of k is 1, but must be at least 4: k is 1 as given",
          mp_layer_create(mod, "EDGES", (mp_static[]){ MP_DIM("k", 1) }, 1, &l));
    FAILS(c, MP_INVALID, "EDGES: the square of k overflows 64 bits: k is 4611686018427387904",
          mp_layer_create(mod, "EDGES", (mp_static[]){ MP_DIM("k", INT64_C(1) << 62) }, 1, &l));
    CHECK(c, l == NULL);
    OK(c, mp_layer_create(mod, NULL, NULL, 0, &l));
    CHECK(c, strcmp(mp_layer_name(l), "EDGES") == 0);
    mp_layer_destroy(l);
}

static void bind(check *c, mp_module *mod)
{
    mp_layer *l = NULL;
    OK(c, mp_layer_create(mod, "REL", (mp_static[]){ MP_DIM("in", 4) }, 1, &l));
    DLTensor x = tensor(reals, kDLFloat, 32, SHAPE(10, 4)), narrow = tensor(reals, kDLFloat, 32, SHAPE(10, 3));
    DLTensor flat = tensor(reals, kDLFloat, 32, SHAPE(40)), index = tensor(ints, kDLInt, 32, SHAPE(20));
    DLTensor pairs = tensor(reals, kDLFloat, 32, SHAPE(5));
    FAILS(c, MP_INVALID, "REL: there is no input, param or output \"rell\"; did you mean \"rel\"?", mp_bind(l, "rell", &x, 0));
    FAILS(c, MP_INVALID, "REL: x has shape [10, 3], but must have [nodes, in]; axis 1 is 3, but in is 4: in is 4 as given",
          mp_bind(l, "x", &narrow, 0));
    FAILS(c, MP_INVALID, "REL: x has shape [40], but must have [nodes, in]", mp_bind(l, "x", &flat, 0));
    FAILS(c, MP_INVALID, "REL: x holds int32, but must be a float", mp_bind(l, "x", &index, 0));
    FAILS(c, MP_INVALID, "REL: rel holds float32, but must be an index: int32 or int64", mp_bind(l, "rel", &flat, 0));
    FAILS(c, MP_USAGE, "REL: x: MP_WALK_ORDER is for edge values", mp_bind(l, "x", &x, MP_WALK_ORDER));
    FAILS(c, MP_USAGE, "REL: x: unknown flags", mp_bind(l, "x", &x, 64));
    FAILS(c, MP_USAGE, "REL: y: an output cannot be MP_CONST", mp_bind(l, "y", &x, MP_CONST));
    DLTensor broadcast = x, gpu = x, nothing = x;
    broadcast.strides = (int64_t[]){ 0, 1 };
    gpu.device.device_type = kDLCUDA;
    nothing.data = NULL;
    OK(c, mp_bind(l, "x", &broadcast, 0));
    FAILS(c, MP_INVALID, "REL: y: elements of an output cannot share memory", mp_bind(l, "y", &broadcast, 0));
    FAILS(c, MP_INVALID, "REL: x: the tensor is not in the CPU's memory", mp_bind(l, "x", &gpu, 0));
    FAILS(c, MP_USAGE, "REL: x: the tensor's data is NULL", mp_bind(l, "x", &nothing, 0));

    /* R is open when rel is bound, settled by the shape of an output, and checked then */
    ints[7] = 5;
    OK(c, mp_bind(l, "rel", &index, 0));
    OK(c, mp_bind(l, "x", &x, 0));
    mp_graph *g;
    static int32_t src[20], dst[20];
    OK(c, mp_graph_from_coo(c->ctx, 10, 10, 20, src, dst, &g));
    FAILS(c, MP_INVALID, "REL: R has no value: give it when the layer is created, or bind", mp_prepare(l, g));
    OK(c, mp_bind(l, "pairs", &pairs, 0));
    FAILS(c, MP_INVALID, "REL: rel: element 7 is 5, but must be in 0..4 or -1", mp_prepare(l, g));
    FAILS(c, MP_INVALID, "REL: rel: element 7 is 5, but must be in 0..4 or -1", mp_bind(l, "rel", &index, 0));
    ints[7] = -2;
    FAILS(c, MP_INVALID, "REL: rel: element 7 is -2, but must be in 0..4 or -1", mp_bind(l, "rel", &index, 0));
    ints[7] = -1;
    OK(c, mp_bind(l, "rel", &index, 0));
    OK(c, mp_prepare(l, g));

    DLTensor y = tensor(reals, kDLFloat, 32, SHAPE(9, 4)), long_rel = tensor(ints, kDLInt, 32, SHAPE(21));
    OK(c, mp_bind(l, "y", &y, 0));
    FAILS(c, MP_INVALID, "REL: y has shape [9, 4], but must have [nodes, in], and the graph has 10 nodes", mp_forward(l, g));
    OK(c, mp_bind(l, "y", NULL, 0));
    OK(c, mp_bind(l, "rel", &long_rel, 0));
    FAILS(c, MP_INVALID, "REL: rel has shape [21], but must have [edges], and the graph has 20 edges", mp_forward(l, g));
    OK(c, mp_bind(l, "rel", NULL, 0));
    FAILS(c, MP_USAGE, "REL: rel is not bound", mp_forward(l, g));
    OK(c, mp_bind(l, "rel", &index, 0));

    /* two outputs in one place; a graph of another context */
    DLTensor a = tensor(reals + 100, kDLFloat, 32, SHAPE(10, 4)), b = tensor(reals + 130, kDLFloat, 32, SHAPE(5));
    OK(c, mp_bind(l, "y", &a, 0));
    OK(c, mp_bind(l, "pairs", &b, 0));
    FAILS(c, MP_INVALID, "REL: the outputs y and pairs are bound to the same memory", mp_forward(l, g));
    OK(c, mp_bind(l, "pairs", &pairs, 0));
    OK(c, mp_forward(l, g));
    mp_context *other;
    mp_graph *foreign;
    OK(c, mp_context_create(NULL, &other));
    OK(c, mp_graph_from_coo(other, 1, 1, 0, NULL, NULL, &foreign));
    FAILS(c, MP_USAGE, "another context", mp_forward(l, foreign));
    mp_graph_destroy(foreign);
    mp_context_destroy(other);
    FAILS(c, MP_UNSUPPORTED, "without derivatives", mp_forward_train(l, g, 1, NULL));
    FAILS(c, MP_UNSUPPORTED, "without derivatives", mp_bind_grad(l, "x", &x, 0));
    mp_graph_destroy(g);
    mp_layer_destroy(l);
}

/* Compound dims, and values that tensors of an odd kind give. */
static void solve(check *c, mp_module *mod)
{
    mp_layer *l = NULL;
    OK(c, mp_layer_create(mod, "EDGES", NULL, 0, &l));
    DLTensor odd = tensor(reals, kDLFloat, 32, SHAPE(5, 7)), even = tensor(reals, kDLFloat, 32, SHAPE(5, 8));
    DLTensor none = tensor(reals, kDLFloat, 32, SHAPE(5, 0)), six = tensor(reals, kDLFloat, 32, SHAPE(5, 6));
    FAILS(c, MP_INVALID, "EDGES: e has shape [5, 7], but must have [edges, 2*k]; axis 1 is 7, but 2*k is that for no integer",
          mp_bind(l, "e", &odd, 0));
    FAILS(c, MP_INVALID, "axis 1 is 0, but 2*k makes k 0", mp_bind(l, "e", &none, 0));
    OK(c, mp_bind(l, "o", &even, 0));
    FAILS(c, MP_INVALID, "EDGES: e has shape [5, 6], but must have [edges, 2*k]; axis 1 is 6, but 2*k is 8: k is 4 by the "
          "shape of o", mp_bind(l, "e", &six, 0));
    OK(c, mp_bind(l, "o", NULL, 0));
    OK(c, mp_bind(l, "e", &six, 0));
    uint8_t bools[5] = { 0, 1, 2, 0, 255 };
    DLTensor keep = tensor(bools, kDLUInt, 8, SHAPE(5)), numbers = tensor(ints, kDLInt, 32, SHAPE(5));
    DLTensor scalar = tensor(bools + 4, 6, 8, 0, NULL), own;
    OK(c, mp_bind(l, "keep", &keep, 0));
    FAILS(c, MP_INVALID, "EDGES: keep holds int32, but must be a bool: bool or uint8", mp_bind(l, "keep", &numbers, 0));
    OK(c, mp_bind(l, "s", &scalar, 0));                 /* a bool as a real: 1 */
    mp_graph *g;
    static int32_t src[5], dst[5] = { 0, 0, 2, 1, 0 };
    OK(c, mp_graph_from_coo(c->ctx, 3, 3, 5, src, dst, &g));
    for (int i = 0; i < 30; i++)
        reals[i] = (float)i;
    OK(c, mp_forward(l, g));
    OK(c, mp_output(l, "o", &own));
    for (int i = 0; i < 30; i++)
        CHECK(c, ((float *)own.data)[i] == (bools[i / 6] ? (float)i : 0));
    mp_graph_destroy(g);
    mp_layer_destroy(l);
}

static void reflect(check *c, mp_module *mod)
{
    mp_layer *l = NULL;
    OK(c, mp_layer_create(mod, "REL", NULL, 0, &l));
    CHECK(c, mp_module_num_layers(mod) == 5 && strcmp(mp_module_layer_name(mod, 2), "REL") == 0);
    CHECK(c, mp_module_layer_name(mod, 5) == NULL && mp_module_layer_name(mod, -1) == NULL);
    CHECK(c, mp_layer_count(l, MP_INPUT) == 2 && mp_layer_count(l, MP_PARAM) == 0 && mp_layer_count(l, MP_OUTPUT) == 2);
    mp_value_info v = { .size = sizeof v };
    OK(c, mp_layer_value(l, MP_INPUT, 1, &v));
    CHECK(c, strcmp(v.name, "rel") == 0 && v.domain == MP_DOMAIN_EDGE && v.type == MP_INDEX && v.none && v.rank == 0);
    CHECK(c, strcmp(v.range, "R") == 0 && v.range_value == -1 && v.rows == -1);
    FAILS(c, MP_USAGE, "no such input", mp_layer_value(l, MP_INPUT, 2, &v));
    FAILS(c, MP_USAGE, "no such input", mp_layer_value(l, MP_PARAM, 0, &v));
    DLTensor x = tensor(reals, kDLFloat, 32, SHAPE(10, 4));
    OK(c, mp_bind(l, "x", &x, 0));
    OK(c, mp_layer_find(l, "y", &v));
    CHECK(c, v.role == MP_OUTPUT && v.rank == 1 && strcmp(v.dims[0], "in") == 0 && v.shape[0] == 4);
    mp_static_info s = { .size = sizeof s };
    OK(c, mp_layer_static(l, 0, &s));
    CHECK(c, strcmp(s.name, "in") == 0 && s.settled && s.dim == 4 && s.kind == MP_STATIC_DIM);
    OK(c, mp_layer_static(l, 1, &s));
    CHECK(c, !s.settled);
    OK(c, mp_bind(l, "x", NULL, 0));
    OK(c, mp_layer_static(l, 0, &s));
    CHECK(c, !s.settled);
    mp_layer_destroy(l);
}

/* ---- Layers compiled again for known dims ------------------------------------------------------------------------ */

typedef struct jit {
    mp_context *ctx;
    mp_module_v1 *table;
    int asked, released;
    int64_t in;
    bool refuse;
} jit;

static void released(void *ud)
{
    ((jit *)ud)->released++;
}

static mp_module *compile(void *ud, const char *layer, const int64_t *dims, const double *values, uint32_t n, bool training)
{
    (void)training;
    jit *j = ud;
    j->asked++;
    j->in = dims[0];
    if (j->refuse || strcmp(layer, "SPMM") || n != 2 || values[1] != 2)
        return NULL;
    mp_module *m = NULL;
    module_from_table(j->ctx, j->table, &(module_source){ .release = released, .ud = j }, &m);
    return m;
}

static void specialise(check *c, const mp_module_v1 *table)
{
    /* what is "compiled" has SPMM alone */
    description *d = NULL;
    char why[DESC_WHY];
    CHECK(c, description_read(table->description, table->description_bytes, table->n_kernels, &d, why) == DESC_OK);
    desc_module one = { 1, description_module(d)->layers };
    void *bytes = NULL;
    mp_module_v1 small = *table;
    size_t n_bytes = 0;
    CHECK(c, description_write(&one, &bytes, &n_bytes));
    small.description = bytes;
    small.description_bytes = n_bytes;
    mp_graph *g;
    int32_t src[3] = { 0, 1, 2 }, dst[3] = { 1, 1, 0 };
    OK(c, mp_graph_from_coo(c->ctx, 3, 3, 3, src, dst, &g));
    for (int round = 0; round < 3; round++) {           /* fitting; another layer comes back; nothing comes back */
        jit j = { .ctx = c->ctx, .table = round == 1 ? (mp_module_v1 *)(uintptr_t)table : &small, .refuse = round == 2 };
        mp_module *mod = NULL;
        OK(c, module_from_table(c->ctx, table, &(module_source){ .release = released, .specialise = compile, .ud = &j }, &mod));
        for (int again = 0; again < 2; again++) {
            mp_layer *l = NULL;
            OK(c, mp_layer_create(mod, "SPMM", (mp_static[]){ MP_REAL("scale", 2) }, 1, &l));
            float x[6] = { 1, 2, 3, 4, 5, 6 }, w[3] = { 1, 10, 100 }, y[6];
            DLTensor tx = tensor(x, kDLFloat, 32, SHAPE(3, 2)), tw = tensor(w, kDLFloat, 32, SHAPE(3));
            DLTensor ty = tensor(y, kDLFloat, 32, SHAPE(3, 2));
            OK(c, mp_bind(l, "x", &tx, 0));
            OK(c, mp_bind(l, "w", &tw, 0));
            OK(c, mp_bind(l, "y", &ty, 0));
            OK(c, mp_forward(l, g));
            CHECK(c, y[0] == 1000 && y[1] == 1200 && y[2] == 62 && y[3] == 84 && y[4] == 0 && y[5] == 0);
            mp_layer_destroy(l);
        }
        CHECK(c, j.asked == 1 && j.in == 2);
        mp_module_destroy(mod);
        CHECK(c, j.released == (round == 2 ? 1 : 2));
    }
    mp_graph_destroy(g);
    free(bytes);
    description_free(d);
}

int main(void)
{
    check c = check_begin(2);
    size_t n;
    void *bytes = test_description(&n);
    mp_module_v1 table = test_table(bytes, n);
    mp_module *mod = NULL;
    OK(&c, module_from_table(c.ctx, &table, NULL, &mod));
    statics(&c, mod);
    bind(&c, mod);
    solve(&c, mod);
    reflect(&c, mod);
    mp_module_destroy(mod);
    specialise(&c, &table);
    free(bytes);
    return check_end(&c);
}
