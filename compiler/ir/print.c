/* The printer of the text form; print.h shows it. Every value is printed, used or not, under its own id. */
#include "compiler/ir/print.h"
#include "compiler/ir/table.h"

static void print_domain(const ir_layer *l, ir_dom d, buf *out)
{
    const ir_domain *p = &l->domains[d.i];
    if (p->kind != DOM_INDEX) {
        buf_puts(out, p->name);
        return;
    }
    buf_puts(out, "index(");
    dim_print(l->dims, p->range, out);
    buf_putc(out, ')');
}

void ir_print_type(const ir_layer *l, ir_val v, buf *out)
{
    const ir_node *n = ir_at(l, v);
    print_domain(l, n->dom, out);
    if (n->type == T_MAP) {
        buf_puts(out, " -> ");
        print_domain(l, n->u.cod, out);
        return;
    }
    buf_printf(out, " %s", ir_type_names[n->type]);
    if (n->type == T_INDEX) {
        buf_putc(out, '(');
        dim_print(l->dims, n->range, out);
        buf_puts(out, n->none ? ") or none" : ")");
    }
    for (uint32_t k = 0; k < n->rank; k++) {
        buf_puts(out, k ? ", " : "[");
        dim_print(l->dims, n->shape[k], out);
    }
    if (n->rank)
        buf_putc(out, ']');
    if (dim_ok(n->slots)) {
        buf_puts(out, " by step(");
        dim_print(l->dims, n->slots, out);
        buf_puts(out, n->apart ? ") apart" : ")");
    }
}

static void print_letters(const uint8_t *letters, uint32_t n, buf *out)
{
    for (uint32_t k = 0; k < n; k++)
        buf_putc(out, (char)('a' + letters[k]));
}

static void print_input(const ir_layer *l, const ir_node *n, buf *out)
{
    const ir_input *in = &l->inputs[n->u.input];
    buf_printf(out, "%s \"%s\"%s%s", in->param ? "param" : "input", in->name, in->sided ? " sided" : "", in->of_call ? " saved" : "");
    if (in->init == INIT_NONE)
        return;
    buf_printf(out, " init %s", ir_init_names[in->init]);
    if (ir_init_args[in->init]) {
        buf_putc(out, '(');
        buf_double(out, in->init_a);
        if (ir_init_args[in->init] > 1) {
            buf_puts(out, ", ");
            buf_double(out, in->init_b);
        }
        buf_putc(out, ')');
    }
}

static void print_before_operands(const ir_layer *l, const ir_node *n, buf *out)
{
    if (n->op == OP_INPUT) {
        print_input(l, n, out);
        return;
    }
    buf_puts(out, ir_ops[n->op].text);
    if (n->op == OP_CONST) {
        buf_putc(out, ' ');
        buf_double(out, n->u.value);
    } else if (n->op == OP_REALARG) {
        buf_printf(out, " %s", l->statics[n->u.realarg].name);
    } else if (n->op == OP_DIMVAL) {
        buf_putc(out, ' ');
        dim_print(l->dims, n->range, out);
    } else if (n->op == OP_EINSUM) {
        const ir_einsum *e = &n->u.ein;
        buf_puts(out, " \"");
        print_letters(e->a, e->na, out);
        buf_putc(out, ',');
        print_letters(e->b, e->nb, out);
        buf_puts(out, "->");
        print_letters(e->out, e->nout, out);
        buf_putc(out, '"');
    } else if (n->op == OP_STATE || n->op == OP_FINAL) {
        buf_printf(out, " %u of %u", n->u.loop.state, l->loops[n->u.loop.loop].region);
    } else if (ir_ops[n->op].cls == CLS_LOOP) {
        buf_printf(out, "%s of %u", (n->op == OP_STEP || n->op == OP_RECALL) && n->u.loop.state ? " back" : "",
                   l->loops[n->u.loop.loop].region);
    }
}

static void print_after_operands(const ir_layer *l, const ir_node *n, buf *out)
{
    if (ir_ops[n->op].cls == CLS_REDUCE || n->op == OP_CONCAT) {
        buf_printf(out, " axis %d", n->u.axis);
    } else if (n->op == OP_SLICE) {
        buf_printf(out, " axis %d from ", n->u.slice.axis);
        dim_print(l->dims, n->u.slice.lo, out);
    } else if (n->op == OP_TRANSPOSE) {
        for (uint32_t k = 0; k < n->rank; k++)
            buf_printf(out, "%s%u", k ? ", " : " (", n->u.perm[k]);
        buf_putc(out, ')');
    } else if (n->op == OP_DROPOUT) {
        buf_printf(out, " place %u", n->u.place);
    }
}

void ir_print_value(const ir_layer *l, ir_val v, buf *out)
{
    const ir_node *n = ir_at(l, v);
    buf_printf(out, "%%%u = ", v.i);
    print_before_operands(l, n, out);
    for (uint32_t k = 0; k < n->nargs; k++)
        buf_printf(out, "%s%%%u", k ? ", " : " ", n->args[k].i);
    print_after_operands(l, n, out);
    buf_puts(out, " : ");
    ir_print_type(l, v, out);
    if (n->region)
        buf_printf(out, " @%u", n->region);
    if (n->name)
        buf_printf(out, "  // %s", n->name);
}

static void print_static(const ir_layer *l, const ir_static *s, buf *out)
{
    buf_printf(out, "%s%s", s->name, s->real ? ": real" : "");
    if (s->has_default) {
        buf_puts(out, " = ");
        if (s->real)
            buf_double(out, s->value);
        else
            dim_print(l->dims, s->dim_default, out);
    }
    if (s->fixed) {
        buf_puts(out, " fixed ");
        buf_double(out, s->value);
    }
}

static void print_domain_line(const ir_layer *l, uint32_t i, buf *out)
{
    const ir_domain *d = &l->domains[i];
    buf_puts(out, "domain ");
    print_domain(l, (ir_dom){i}, out);
    switch (d->kind) {
    case DOM_UNIT:
    case DOM_INDEX: break;
    case DOM_NODES: buf_puts(out, d->side == SIDE_SRC ? " nodes src" : " nodes dst"); break;
    case DOM_EDGES: buf_puts(out, " edges"); break;
    case DOM_GRAPHS: buf_puts(out, " graphs"); break;
    case DOM_PAIR: buf_printf(out, " pair %%%u", d->map.i); break;
    }
    buf_putc(out, '\n');
}

static void print_loop_ends(const ir_layer *l, buf *out)
{
    for (uint32_t i = 0; i < l->n_loops; i++) {
        const ir_loop *p = &l->loops[i];
        for (uint32_t k = 0; k < p->nstates; k++) {
            const ir_state *s = &p->states[k];
            buf_printf(out, "next %u \"%s\" %%%u %%%u %%%u\n", p->region, s->name ? s->name : "", s->init.i, s->state.i, s->next.i);
        }
        if (ir_is(p->tol))
            buf_printf(out, "until %u %%%u\n", p->region, p->tol.i);
        if (ir_is(p->count))
            buf_printf(out, "count %u %%%u\n", p->region, p->count.i);
    }
}

void ir_print(const ir_layer *l, buf *out)
{
    buf_printf(out, "layer %s(", l->name);
    for (uint32_t i = 0; i < l->n_statics; i++) {
        buf_puts(out, i ? ", " : "");
        print_static(l, &l->statics[i], out);
    }
    buf_puts(out, ")\n");
    for (uint32_t i = 0; i < l->n_needs; i++)
        buf_printf(out, "need %s \"%s\"\n", l->needs[i].kind == NEED_SQUARE ? "square" : "degrees", l->needs[i].name ? l->needs[i].name : "");
    for (uint32_t i = 1; i < l->n_domains; i++)
        print_domain_line(l, i, out);
    for (uint32_t i = 0; i < l->n_loops; i++) {
        buf_printf(out, "loop %u \"%s\" in %u for ", l->loops[i].region, l->loops[i].name ? l->loops[i].name : "", l->loops[i].parent);
        dim_print(l->dims, l->loops[i].limit, out);
        buf_puts(out, l->loops[i].again == AGAIN_ON ? " again\n" : l->loops[i].again == AGAIN_BACK ? " again back\n" : "\n");
    }
    for (uint32_t v = 1; v < l->n_nodes; v++) {
        ir_print_value(l, (ir_val){v}, out);
        buf_putc(out, '\n');
    }
    print_loop_ends(l, out);
    for (uint32_t i = 0; i < l->n_outputs; i++) {
        buf_printf(out, "output \"%s\" %s", l->outputs[i].name, l->outputs[i].sided ? "sided " : "");
        print_domain(l, l->outputs[i].rows, out);
        buf_printf(out, " %%%u\n", l->outputs[i].value.i);
    }
}
