/* The generated header. A layer's function makes an mp_layer at its first call and keeps it with the caller; binding is
 * by a small helper that asks reflection for rank and extents, so that all a call needs are pointers.
 *
 *     static inline mp_status GAT(mp_module *module, mp_layer **layer, mp_graph *graph,
 *                                 int64_t heads, double slope, const float *x, ..., float *g);
 */
#include "compiler/driver/header.h"

#include <ctype.h>
#include <string.h>

#include "compiler/driver/version.h"
#include "compiler/support/vec.h"

static const char prologue[] =
    "#ifndef MPC_GENERATED_BIND\n"
    "#define MPC_GENERATED_BIND\n"
    "/* Binds compact row-major memory, or with `grad` its derivative's; rows are those of the graph. */\n"
    "static inline mp_status mpc_generated_bind(mp_layer *layer, const mp_graph *graph, const char *name, const void *data, int grad)\n"
    "{\n"
    "    static const DLDataType types[] = {{kDLFloat, 32, 1}, {kDLFloat, 64, 1}, {kDLFloat, 16, 1},\n"
    "                                       {kDLBfloat, 16, 1}, {kDLInt, 32, 1}, {kDLUInt, 8, 1}};\n"
    "    int64_t shape[MP_MAX_RANK + 1];\n"
    "    mp_value_info v;\n"
    "    DLTensor t;\n"
    "    mp_status st;\n"
    "    int i;\n"
    "    v.size = sizeof v;\n"
    "    st = mp_layer_find(layer, name, &v);\n"
    "    if (st != MP_OK)\n"
    "        return st;\n"
    "    t.ndim = 0;\n"
    "    switch (v.domain) {\n"
    "    case MP_DOMAIN_EDGE: shape[t.ndim++] = mp_graph_num_edges(graph); break;\n"
    "    case MP_DOMAIN_NODE: shape[t.ndim++] = v.role == MP_OUTPUT ? mp_graph_num_dst(graph) : mp_graph_num_src(graph); break;\n"
    "    case MP_DOMAIN_SRC: shape[t.ndim++] = mp_graph_num_src(graph); break;\n"
    "    case MP_DOMAIN_DST: shape[t.ndim++] = mp_graph_num_dst(graph); break;\n"
    "    case MP_DOMAIN_GRAPH: shape[t.ndim++] = mp_graph_num_graphs(graph); break;\n"
    "    case MP_DOMAIN_GLOBAL: case MP_DOMAIN_PARAM: break;\n"
    "    }\n"
    "    for (i = 0; i < v.rank; i++)\n"
    "        shape[t.ndim++] = v.shape[i];\n"
    "    t.data = (void *)(uintptr_t)data;\n"
    "    t.device.device_type = kDLCPU;\n"
    "    t.device.device_id = 0;\n"
    "    t.dtype = types[v.type];\n"
    "    t.shape = shape;\n"
    "    t.strides = NULL;\n"
    "    t.byte_offset = 0;\n"
    "    return grad ? mp_bind_grad(layer, name, data ? &t : NULL, 0) : mp_bind(layer, name, &t, 0);\n"
    "}\n"
    "#endif\n";

/* C's and C++'s words that may be names in the language, and the names of the function's own arguments. */
static bool is_taken(const char *name)
{
    static const char *const words[] = {
        "auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else", "enum", "extern", "float",
        "for", "goto", "if", "inline", "int", "long", "register", "restrict", "return", "short", "signed", "sizeof", "static",
        "struct", "switch", "typedef", "union", "unsigned", "void", "volatile", "while", "asm", "bool", "catch", "class",
        "delete", "explicit", "export", "false", "friend", "mutable", "namespace", "new", "operator", "private", "protected",
        "public", "template", "this", "throw", "true", "try", "typename", "using", "virtual", "and", "or", "not", "xor",
        "module", "layer", "graph", "st", "statics", "n", "seed", "tape", "NULL"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i], name) == 0)
            return true;
    return false;
}

/* Names of a function's arguments: valid in C, each once. */
typedef struct arguments { arena *a; VEC(const char *) names; } arguments;

static const char *argument(arguments *g, const char *name)
{
    char *s = arena_printf(g->a, "%s", name);
    for (char *p = s; *p; p++)
        if (!isalnum((unsigned char)*p))
            *p = '_';
    for (;;) {
        bool again = is_taken(s);
        for (uint32_t i = 0; i < g->names.n; i++)
            again |= strcmp(g->names.at[i], s) == 0;
        if (!again)
            break;
        s = arena_printf(g->a, "%s_", s);
    }
    vec_push(g->a, &g->names, s);
    return s;
}

static const char *c_type(ir_type t)
{
    switch (t) {
    case T_F64: return "double";
    case T_F32: return "float";
    case T_F16: case T_BF16: return "uint16_t";
    case T_INDEX: return "int32_t";
    case T_BOOL: return "uint8_t";
    case T_MAP: break;
    }
    return "void";
}

static const char *rows_text(const ir_layer *l, ir_dom d, bool *any)
{
    const ir_domain *dom = &l->domains[d.i];
    *any = true;
    switch (dom->kind) {
    case DOM_NODES: return dom->side == SIDE_SRC ? "source nodes" : "destination nodes";
    case DOM_EDGES: return "edges";
    case DOM_GRAPHS: return "graphs";
    case DOM_UNIT: case DOM_INDEX: case DOM_PAIR: break;
    }
    *any = false;
    return "";
}

static void shape_text(const ir_layer *l, ir_val v, ir_dom rows, buf *out)
{
    bool any;
    const ir_node *n = ir_at(l, v);
    buf_printf(out, "[%s", rows_text(l, rows, &any));
    for (uint32_t i = 0; i < n->rank; i++) {
        buf_puts(out, i || any ? ", " : "");
        dim_print(l->dims, n->shape[i], out);
    }
    buf_puts(out, "]");
    if (n->type == T_F16 || n->type == T_BF16)
        buf_printf(out, " of %s", n->type == T_F16 ? "float16" : "bfloat16");
}

static void print_default(const ir_layer *l, const ir_static *s, buf *out)
{
    if (!s->real && dim_ok(s->dim_default))
        dim_print(l->dims, s->dim_default, out);
    else
        buf_double(out, s->value);
}

/* Defaults that are numbers, as constants for the caller. */
static void print_defaults(const ir_layer *l, buf *out)
{
    for (uint32_t i = 0; i < l->n_statics; i++) {
        const ir_static *s = &l->statics[i];
        if (s->fixed || !s->has_default || (!s->real && dim_ok(s->dim_default) && !dim_is_const(l->dims, s->dim_default, NULL)))
            continue;
        buf_printf(out, "#define %s_DEFAULT_%s ", l->name, s->name);
        print_default(l, s, out);
        buf_putc(out, '\n');
    }
}

static void describe_arguments(const ir_layer *l, const char *const *names, buf *out)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < l->n_statics; i++) {
        const ir_static *s = &l->statics[i];
        if (s->fixed)
            continue;
        buf_printf(out, " *   %-12s static argument", names[at++]);
        if (s->has_default) {
            buf_puts(out, ", default ");
            print_default(l, s, out);
        }
        buf_putc(out, '\n');
    }
    for (uint32_t i = 0; i < l->n_inputs; i++) {
        buf_printf(out, " *   %-12s %s ", names[at++], l->inputs[i].param ? "param" : "input");
        shape_text(l, l->inputs[i].value, ir_at(l, l->inputs[i].value)->dom, out);
        buf_putc(out, '\n');
    }
    for (uint32_t i = 0; i < l->n_outputs; i++) {
        buf_printf(out, " *   %-12s output ", names[at++]);
        shape_text(l, l->outputs[i].value, l->outputs[i].rows, out);
        buf_puts(out, "; NULL: in the layer's own memory\n");
    }
}

static void signature(const ir_layer *l, bool train, const char *const *names, buf *out)
{
    uint32_t at = 0;
    buf_printf(out, "static inline mp_status %s%s(mp_module *module, mp_layer **layer, mp_graph *graph", l->name, train ? "_train" : "");
    for (uint32_t i = 0; i < l->n_statics; i++)
        if (!l->statics[i].fixed)
            buf_printf(out, ",\n    %s %s", l->statics[i].real ? "double" : "int64_t", names[at++]);
    for (uint32_t i = 0; i < l->n_inputs; i++)
        buf_printf(out, ",\n    const %s *%s", c_type((ir_type)ir_at(l, l->inputs[i].value)->type), names[at++]);
    for (uint32_t i = 0; i < l->n_outputs; i++)
        buf_printf(out, ",\n    %s *%s", c_type((ir_type)ir_at(l, l->outputs[i].value)->type), names[at++]);
    buf_puts(out, train ? ",\n    uint64_t seed, mp_tape **tape)\n" : ")\n");
}

static uint32_t open_statics(const ir_layer *l)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < l->n_statics; i++)
        n += !l->statics[i].fixed;
    return n;
}

static void create(const ir_layer *l, const char *const *names, buf *out)
{
    uint32_t n = open_statics(l), at = 0;
    buf_puts(out, "    if (!*layer) {\n");
    if (n) {
        buf_printf(out, "        mp_static statics[%u];\n        int n = 0;\n", n);
        for (uint32_t i = 0; i < l->n_statics; i++) {
            const ir_static *s = &l->statics[i];
            if (s->fixed)
                continue;
            const char *arg = names[at++];
            buf_printf(out, "        statics[n].name = \"%s\";\n", s->name);
            buf_printf(out, "        statics[n].kind = %s;\n", s->real ? "MP_STATIC_REAL" : "MP_STATIC_DIM");
            buf_printf(out, "        statics[n].dim = %s;\n", s->real ? "0" : arg);
            buf_printf(out, "        statics[n++].real = %s;\n", s->real ? arg : "0");
        }
    }
    buf_printf(out, "        st = mp_layer_create(module, \"%s\", %s, %s, layer);\n    }\n", l->name, n ? "statics" : "NULL", n ? "n" : "0");
}

/* The forward of inference, or the training pass: binds and calls. */
static void forward(const ir_layer *l, bool train, const arguments *g, buf *out)
{
    uint32_t at = open_statics(l);
    signature(l, train, g->names.at, out);
    buf_puts(out, "{\n    mp_status st = MP_OK;\n");
    create(l, g->names.at, out);
    for (uint32_t i = 0; i < l->n_inputs; i++, at++)
        buf_printf(out, "    if (st == MP_OK)\n        st = mpc_generated_bind(*layer, graph, \"%s\", %s, 0);\n", l->inputs[i].name, g->names.at[at]);
    for (uint32_t i = 0; i < l->n_outputs; i++, at++)
        buf_printf(out, "    if (st == MP_OK && %s)\n        st = mpc_generated_bind(*layer, graph, \"%s\", %s, 0);\n", g->names.at[at],
                   l->outputs[i].name, g->names.at[at]);
    buf_printf(out, "    return st == MP_OK ? %s : st;\n}\n", train ? "mp_forward_train(*layer, graph, seed, tape)" : "mp_forward(*layer, graph)");
}

/* Names with d_ before them: cotangents of outputs, then gradients of what was wanted. */
static void backward(arena *a, const compiled_layer *c, buf *out)
{
    const ir_layer *l = c->lowered;
    arguments g = {.a = a};
    VEC(const char *) of = {0};
    buf_printf(out, "\n/* The backward of a training pass: from the cotangents of the outputs (NULL: zero; all NULL: ones) to the gradients, each\n"
                    " * overwritten; what is NULL is not computed. */\n"
                    "static inline mp_status %s_backward(mp_layer *layer, mp_graph *graph, mp_tape *tape", l->name);
    for (uint32_t i = 0; i < l->n_outputs; i++) {
        ir_type t = (ir_type)ir_at(l, l->outputs[i].value)->type;
        if (!train_differentiable(l, l->outputs[i].value))
            continue;
        buf_printf(out, ",\n    const %s *%s", c_type(t), argument(&g, arena_printf(a, "d_%s", l->outputs[i].name)));
        vec_push(a, &of, l->outputs[i].name);
    }
    for (uint32_t i = 0; i < l->n_inputs; i++) {
        ir_type t = (ir_type)ir_at(l, l->inputs[i].value)->type;
        if (!c->wanted[i])
            continue;
        buf_printf(out, ",\n    %s *%s", c_type(t), argument(&g, arena_printf(a, "d_%s", l->inputs[i].name)));
        vec_push(a, &of, l->inputs[i].name);
    }
    buf_puts(out, ")\n{\n    mp_status st = MP_OK;\n");
    for (uint32_t i = 0; i < of.n; i++)
        buf_printf(out, "    if (st == MP_OK)\n        st = mpc_generated_bind(layer, graph, \"%s\", %s, 1);\n", of.at[i], g.names.at[i]);
    buf_puts(out, "    return st == MP_OK ? mp_backward(layer, tape) : st;\n}\n");
}

static void print_layer(arena *a, const compiled_layer *c, buf *out)
{
    const ir_layer *l = c->lowered;
    arguments g = {.a = a};
    for (uint32_t i = 0; i < l->n_statics; i++)
        if (!l->statics[i].fixed)
            argument(&g, l->statics[i].name);
    for (uint32_t i = 0; i < l->n_inputs; i++)
        argument(&g, l->inputs[i].name);
    for (uint32_t i = 0; i < l->n_outputs; i++)
        argument(&g, l->outputs[i].name);
    buf_printf(out, "\n/* Layer %s, the inference pass. *layer is NULL at the first call, which makes it; keep it for the calls after,\n"
                    " * which reuse what was prepared, and give it to mp_layer_destroy. Arrays are compact and row-major.\n", l->name);
    describe_arguments(l, g.names.at, out);
    buf_puts(out, " */\n");
    print_defaults(l, out);
    forward(l, false, &g, out);
    if (!c->wanted || !c->any_wanted)
        return;
    buf_printf(out, "\n/* The training pass of %s: dropout's seed, and a tape for the backward. *tape is NULL at the first call, which makes it;\n"
                    " * inputs and outputs must not change before its backward. Give it to mp_tape_destroy. */\n", l->name);
    forward(l, true, &g, out);
    backward(a, c, out);
}

/* "my-layers.mp" gives MY_LAYERS_H. */
static char *guard(arena *a, const char *file)
{
    const char *slash = strrchr(file, '/');
    char *s = arena_printf(a, "MPC_%s_H", slash ? slash + 1 : file);
    for (char *p = s; *p; p++)
        *p = isalnum((unsigned char)*p) ? (char)toupper((unsigned char)*p) : '_';
    return s;
}

void header_print(const compilation *c, buf *out)
{
    const char *file = source_get(c->sources, c->file)->name, *slash = strrchr(file, '/');
    const char *g = guard(c->mem, file);
    buf_printf(out, "/* Generated by mpc " MPC_COMPILER_VERSION " from %s: layers as C functions. Link with libmp. */\n", slash ? slash + 1 : file);
    buf_printf(out, "#ifndef %s\n#define %s\n\n#include <stddef.h>\n#include <stdint.h>\n\n#include <mp.h>\n\n", g, g);
    buf_puts(out, prologue);
    for (uint32_t i = 0; i < c->n_layers; i++)
        print_layer(c->mem, &c->layers[i], out);
    buf_puts(out, "\n#endif\n");
}
