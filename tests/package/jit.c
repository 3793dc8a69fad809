/* A program that an outside user writes: a layer from a string, compiled in memory by the installed libmpc. */
#include <mpc.h>
#include <stdio.h>
#include <string.h>

static const char source[] =
    "layer Count(d) {\n"
    "    node x[d];\n"
    "    update g = sum(src.x);\n"
    "}\n";

int main(void)
{
    int32_t src[3] = {0, 1, 2}, dst[3] = {1, 1, 0};
    float x[6] = {1, 2, 3, 4, 5, 6}, y[6] = {0};
    const float want[6] = {5, 6, 4, 6, 0, 0};
    int64_t shape[2] = {3, 2};
    DLTensor tx = {.data = x, .device = {kDLCPU, 0}, .ndim = 2, .dtype = {kDLFloat, 32, 1}, .shape = shape}, ty = tx;
    ty.data = y;

    mp_context *ctx = NULL;
    mp_module *module = NULL;
    mp_graph *graph = NULL;
    mp_layer *layer = NULL;
    char *ir = NULL;
    size_t size;
    if (mp_context_create(NULL, &ctx) || mpc_compile_text(ctx, "count.mp", source, NULL, &module) ||
        mp_graph_from_coo(ctx, 3, 3, 3, src, dst, &graph) || mp_layer_create(module, NULL, NULL, 0, &layer) ||
        mp_bind(layer, "x", &tx, 0) || mp_bind(layer, "g", &ty, 0) || mp_forward(layer, graph) ||
        mpc_emit(ctx, "count.mp", source, NULL, MPC_EMIT_IR, NULL, &ir, &size)) {
        fprintf(stderr, "%s\n", mp_error_message(ctx));
        return 1;
    }
    int wrong = memcmp(y, want, sizeof y) != 0 || !strstr(ir, "Count");
    /* what is wrong is said as a terminal would show it */
    mp_module *none = NULL;
    wrong |= mpc_compile_text(ctx, "bad.mp", "layer A(d) { node x[d]; update g = sum(x @ y); }", NULL, &none) != MP_INVALID;
    wrong |= none != NULL || !strstr(mp_error_message(ctx), "bad.mp:1:");
    mpc_free(ir);
    mp_layer_destroy(layer);
    mp_module_destroy(module);
    mp_graph_destroy(graph);
    mp_context_destroy(ctx);
    puts(wrong ? "wrong" : "right");
    return wrong;
}
