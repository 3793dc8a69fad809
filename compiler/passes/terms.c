/* See terms.h. */
#include "compiler/passes/terms.h"

bool sum_take(const rewriter *r, ir_val v, sum_of *s)
{
    const ir_layer *l = r->l;
    *s = (sum_of){.n = 1, .at = {v}};
    for (uint32_t k = 0; k < s->n;) {
        ir_val t = s->at[k];
        ir_op op = op_of(l, t);
        bool sum = op == OP_ADD || op == OP_SUB || op == OP_NEG;
        if (!sum || !ir_dom_same(dom_of(l, t), dom_of(l, v)) || (!ir_same(t, v) && rw_uses(r, t) > 1)) {
            k++;
            continue;
        }
        bool minus = s->minus[k];
        if (op == OP_NEG) {
            s->at[k] = arg_of(l, t, 0);
            s->minus[k] = !minus;
            continue;
        }
        if (s->n == MAX_TERMS)
            return false;
        for (uint32_t j = s->n; j > k + 1; j--) {
            s->at[j] = s->at[j - 1];
            s->minus[j] = s->minus[j - 1];
        }
        s->n++;
        s->at[k] = arg_of(l, t, 0);
        s->at[k + 1] = arg_of(l, t, 1);
        s->minus[k + 1] = minus != (op == OP_SUB);
    }
    return s->n > 1;
}

ir_val sum_make(ir_layer *l, const sum_of *s)
{
    ir_val sum = {0};
    for (uint32_t k = 0; k < s->n; k++)
        if (!s->minus[k])
            sum = ir_is(sum) ? ir_add(l, sum, s->at[k]) : s->at[k];
    for (uint32_t k = 0; k < s->n; k++)
        if (s->minus[k])
            sum = ir_is(sum) ? ir_sub(l, sum, s->at[k]) : ir_neg(l, s->at[k]);
    return sum;
}

void sum_drop(sum_of *s, uint32_t k)
{
    s->n--;
    for (uint32_t j = k; j < s->n; j++) {
        s->at[j] = s->at[j + 1];
        s->minus[j] = s->minus[j + 1];
    }
}
