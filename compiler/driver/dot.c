/* Graphviz text of a layer: what the outputs depend on, from the inputs down. */
#include "compiler/driver/dot.h"

#include <stdlib.h>

#include "compiler/ir/print.h"

static const char *color_of(const ir_layer *l, const ir_node *n)
{
    if (n->type == T_MAP)
        return "gray90";
    switch (l->domains[n->dom.i].kind) {
    case DOM_UNIT: return "white";
    case DOM_NODES: return "lightblue";
    case DOM_EDGES: return "lightsalmon";
    case DOM_GRAPHS: return "palegreen";
    case DOM_INDEX: return "khaki";
    case DOM_PAIR: return "plum";
    }
    return "white";
}

static void quoted(buf *out, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '"' || s[i] == '\\')
            buf_putc(out, '\\');
        buf_putc(out, s[i] == '\n' ? ' ' : s[i]);
    }
}

static void value(const ir_layer *l, uint32_t i, buf *out)
{
    const ir_node *n = &l->nodes[i];
    buf line = buf_make(NULL);
    ir_print_type(l, (ir_val){i}, &line);
    buf_printf(out, "  v%u [fillcolor=%s, label=\"", i, color_of(l, n));
    if (n->op == OP_INPUT && n->u.input < l->n_inputs)
        quoted(out, l->inputs[n->u.input].name, str_length(l->inputs[n->u.input].name));
    else
        buf_puts(out, ir_ops[n->op].text);
    if (n->name && n->op != OP_INPUT) {
        buf_puts(out, "  ");
        quoted(out, n->name, str_length(n->name));
    }
    buf_puts(out, "\\n");
    quoted(out, buf_text(&line), line.n);
    buf_puts(out, "\"];\n");
    for (uint32_t k = 0; k < n->nargs; k++)
        buf_printf(out, "  v%u -> v%u;\n", n->args[k].i, i);
    buf_free(&line);
}

static void mark(bool *used, ir_val v)
{
    used[v.i] = true;
}

/* Operands have smaller numbers than what uses them, but for states of loops: their next is marked with the loop. */
static void mark_used(const ir_layer *l, bool *used)
{
    for (uint32_t i = 0; i < l->n_outputs; i++)
        mark(used, l->outputs[i].value);
    for (uint32_t i = 0; i < l->n_loops; i++) {
        mark(used, l->loops[i].tol);
        mark(used, l->loops[i].count);
        for (uint32_t k = 0; k < l->loops[i].nstates; k++) {
            mark(used, l->loops[i].states[k].init);
            mark(used, l->loops[i].states[k].state);
            mark(used, l->loops[i].states[k].next);
        }
    }
    for (uint32_t i = l->n_nodes; i-- > 1;)
        for (uint32_t k = 0; used[i] && k < l->nodes[i].nargs; k++)
            mark(used, l->nodes[i].args[k]);
}

void dot_print(const ir_layer *l, buf *out)
{
    bool *used = calloc(l->n_nodes + 1, sizeof *used);
    if (!used) {
        out->failed = true;
        return;
    }
    mark_used(l, used);
    buf_printf(out, "digraph \"%s\" {\n  node [shape=box, style=\"rounded,filled\", fontname=monospace, fontsize=10];\n", l->name);
    for (uint32_t i = 1; i < l->n_nodes; i++)
        if (used[i])
            value(l, i, out);
    for (uint32_t i = 0; i < l->n_loops; i++)
        for (uint32_t k = 0; k < l->loops[i].nstates; k++) {
            const ir_state *s = &l->loops[i].states[k];
            buf_printf(out, "  v%u -> v%u [style=dashed, label=\"next %s\"];\n", s->next.i, s->state.i, s->name);
            buf_printf(out, "  v%u -> v%u [style=dotted, label=\"init\"];\n", s->init.i, s->state.i);
        }
    for (uint32_t i = 0; i < l->n_outputs; i++)
        buf_printf(out, "  out%u [shape=plain, style=\"\", label=\"%s\"];\n  v%u -> out%u;\n", i, l->outputs[i].name,
                   l->outputs[i].value.i, i);
    buf_puts(out, "}\n");
    free(used);
}
