/*
 * Opens a library that mpc wrote, tells what is in it, and runs one of its layers: what a host program of
 * libmp looks like, which has no compiler in it. Nothing here knows which layer it gets; all is asked of the
 * module.
 *
 *     aot LAYER.so [LAYER [NAME=VALUE ...]] [--graph SPEC]
 *
 * What no shape determines is given as NAME=VALUE; inputs and params are drawn at random.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mp.h"

enum { MAX_VALUES = 64, MAX_STATICS = 16 };

typedef struct run {
    mp_context *ctx;
    mp_layer *layer;
    mp_graph *graph;
    void *memory[MAX_VALUES];
    int n;
} run;

static void check(const run *r, mp_status status)
{
    if (status != MP_OK) {
        fprintf(stderr, "aot: %s\n", mp_error_message(r->ctx));
        exit((int)status);
    }
}

static const char *const domain_name[] = { "edge", "node", "src", "dst", "graph", "global", "param" };
static const char *const type_name[] = { "f32", "f64", "f16", "bf16", "index", "bool" };

static mp_value_info value(const run *r, mp_role role, int i)
{
    mp_value_info info = { .size = sizeof info };
    check(r, mp_layer_value(r->layer, role, i, &info));
    return info;
}

/* One line a value, as it was declared: domain, name, symbolic shape, type. */
static void describe(const run *r)
{
    static const char *const role_name[] = { "in", "param", "out" };
    printf("layer %s(", mp_layer_name(r->layer));
    for (int i = 0; i < mp_layer_num_statics(r->layer); i++) {
        mp_static_info s = { .size = sizeof s };
        check(r, mp_layer_static(r->layer, i, &s));
        printf("%s%s", i ? ", " : "", s.name);
        if (s.settled && s.kind == MP_STATIC_DIM)
            printf(" = %lld", (long long)s.dim);
        else if (s.settled)
            printf(" = %g", s.real);
    }
    printf(")\n");
    for (int role = MP_INPUT; role <= MP_OUTPUT; role++) {
        for (int i = 0; i < mp_layer_count(r->layer, (mp_role)role); i++) {
            mp_value_info v = value(r, (mp_role)role, i);
            printf("    %-5s  %-6s  %s", role_name[role], domain_name[v.domain], v.name);
            for (int k = 0; k < v.rank; k++)
                printf("%s%s", k ? ", " : "[", v.dims[k]);
            printf("%s: %s", v.rank ? "]" : "", type_name[v.type]);
            if (v.type == MP_INDEX)
                printf("(%s)", v.range);
            printf("\n");
        }
    }
}

static int64_t rows_of(const run *r, mp_domain d)
{
    switch (d) {
    case MP_DOMAIN_EDGE: return mp_graph_num_edges(r->graph);
    case MP_DOMAIN_NODE:
    case MP_DOMAIN_SRC: return mp_graph_num_src(r->graph);
    case MP_DOMAIN_DST: return mp_graph_num_dst(r->graph);
    case MP_DOMAIN_GRAPH: return mp_graph_num_graphs(r->graph);
    case MP_DOMAIN_GLOBAL:
    case MP_DOMAIN_PARAM: return -1;
    }
    return -1;
}

/* Binds one input or param: standard normals, random indices, ones for a bool, or what `init` of a param
 * says. */
static void bind_random(run *r, mp_value_info v)
{
    int64_t shape[1 + MP_MAX_RANK], elements = 1, rows = rows_of(r, v.domain);
    DLTensor t = { .device = { kDLCPU, 0 }, .shape = shape };
    if (rows >= 0)
        elements = shape[t.ndim++] = rows;
    for (int k = 0; k < v.rank; k++) {
        if (v.shape[k] < 0) {
            fprintf(stderr, "aot: '%s' has the open dim %s: give its static arguments as NAME=VALUE\n",
                    v.name, v.dims[k]);
            exit(2);
        }
        elements *= shape[t.ndim++] = v.shape[k];
    }
    t.dtype = v.type == MP_INDEX ? (DLDataType){ kDLInt, 32, 1 }
            : v.type == MP_BOOL ? (DLDataType){ kDLUInt, 8, 1 } : (DLDataType){ kDLFloat, 32, 1 };
    if (r->n == MAX_VALUES) {
        fprintf(stderr, "aot: more than %d inputs and params\n", MAX_VALUES);
        exit(2);
    }
    t.data = r->memory[r->n] = calloc((size_t)elements + 1, 4);
    if (v.type == MP_BOOL)
        memset(t.data, 1, (size_t)elements);
    else if (v.type == MP_INDEX)
        check(r, mp_fill_index(r->ctx, &t, v.range_value, 1, (uint64_t)r->n));
    else if (v.role == MP_PARAM)
        check(r, mp_fill_init(r->ctx, &t, &v.init, 1, (uint64_t)r->n));
    else
        check(r, mp_fill_normal(r->ctx, &t, 1, (uint64_t)r->n));
    check(r, mp_bind(r->layer, v.name, &t, 0));
    r->n++;
}

/* Shape, mean, spread and the first elements of an output, whatever its type. */
static void show(const run *r, const char *name)
{
    DLTensor t;
    check(r, mp_output(r->layer, name, &t));
    int64_t n = 1;
    printf("    %s[", name);
    for (int k = 0; k < t.ndim; k++) {
        printf("%s%lld", k ? ", " : "", (long long)t.shape[k]);
        n *= t.shape[k];
    }
    printf("]");
    if (t.dtype.code != kDLFloat || (t.dtype.bits != 32 && t.dtype.bits != 64)) {
        printf("\n");
        return;
    }
    const char *data = (const char *)t.data + t.byte_offset;
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) {
        double x = t.dtype.bits == 32 ? (double)((const float *)data)[i] : ((const double *)data)[i];
        sum += x;
        squares += x * x;
    }
    double mean = n ? sum / (double)n : 0;
    printf("  mean %.4f, standard deviation %.4f; starts", mean,
           n ? sqrt(fmax(squares / (double)n - mean * mean, 0)) : 0);
    for (int64_t i = 0; i < n && i < 5; i++)
        printf(" %.4f", t.dtype.bits == 32 ? (double)((const float *)data)[i] : ((const double *)data)[i]);
    printf(n > 5 ? " ...\n" : "\n");
}

int main(int argc, char **argv)
{
    const char *path = NULL, *layer = NULL, *spec = "karate";
    mp_static statics[MAX_STATICS];
    int n_statics = 0;
    for (int i = 1; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        if (!strcmp(argv[i], "--graph") && i + 1 < argc) {
            spec = argv[++i];
        } else if (equals && n_statics < MAX_STATICS) {
            *equals = 0;
            statics[n_statics++] = strpbrk(equals + 1, ".e")
                ? (mp_static)MP_REAL(argv[i], strtod(equals + 1, NULL))
                : (mp_static)MP_DIM(argv[i], strtoll(equals + 1, NULL, 10));
        } else if (!path) {
            path = argv[i];
        } else {
            layer = argv[i];
        }
    }
    if (!path) {
        fprintf(stderr, "usage: aot LAYER.so [LAYER [NAME=VALUE ...]] [--graph SPEC]\n");
        return 2;
    }

    run r = { 0 };
    mp_module *module = NULL;
    check(&r, mp_context_create(NULL, &r.ctx));
    check(&r, mp_module_load(r.ctx, path, &module));
    printf("%d layer%s in the library\n", mp_module_num_layers(module),
           mp_module_num_layers(module) == 1 ? "" : "s");
    check(&r, mp_layer_create(module, layer, statics, n_statics, &r.layer));
    describe(&r);

    check(&r, mp_graph_read(r.ctx, spec, &r.graph, NULL));
    for (int role = MP_INPUT; role <= MP_PARAM; role++)
        for (int i = 0; i < mp_layer_count(r.layer, (mp_role)role); i++)
            bind_random(&r, value(&r, (mp_role)role, i));
    size_t workspace = 0;
    check(&r, mp_workspace_bytes(r.layer, r.graph, &workspace));
    check(&r, mp_forward(r.layer, r.graph));
    printf("on %s: %lld nodes, %lld edges, %zu bytes of workspace\n", spec,
           (long long)mp_graph_num_dst(r.graph), (long long)mp_graph_num_edges(r.graph), workspace);
    for (int i = 0; i < mp_layer_count(r.layer, MP_OUTPUT); i++)
        show(&r, value(&r, MP_OUTPUT, i).name);

    mp_layer_destroy(r.layer);
    mp_module_destroy(module);
    mp_graph_destroy(r.graph);
    mp_context_destroy(r.ctx);
    for (int i = 0; i < r.n; i++)
        free(r.memory[i]);
    return 0;
}
