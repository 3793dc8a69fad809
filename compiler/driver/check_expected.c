/* See check_expected.h. */
#include "compiler/driver/check_expected.h"

#include <math.h>
#include <stdlib.h>

enum { RUNS = 4 };                      /* of each layer: to the nearest, then by chance */

/* Which output of a layer that was compiled is output i of the joint one; -1: none. */
static int64_t output_of(const joint *j, const compiled_layer *made, uint32_t i)
{
    int64_t at = j->n_outputs;
    if (i < j->n_outputs)
        return i;
    for (uint32_t k = 0; k < j->n_inputs; k++) {
        if (j->gradient[k] == i)
            return made->wanted[k] ? at : -1;
        at += made->wanted[k];
    }
    return -1;
}

/* A run keeps every value; only outputs are read again. */
static void keep_outputs(interp_result *r, uint32_t n_outputs)
{
    for (uint32_t i = 0; i < r->n_values; i++) {
        bool read = false;
        for (uint32_t k = 0; k < n_outputs && r->values[i].at; k++)
            read = read || r->outputs[k].at == r->values[i].at;
        if (!read) {
            free(r->values[i].at);
            r->values[i].at = NULL;
        }
    }
}

static void widen(expected *e, uint32_t i, ir_type type, const interp_array *exact, const interp_array *rounded)
{
    bool plain = type == T_INDEX || type == T_BOOL;
    int64_t n = exact->n < e->exact.outputs[i].n ? exact->n : e->exact.outputs[i].n;
    for (int64_t k = 0; k < n; k++) {
        double a = exact->at[k], b = rounded->at[k];
        if (plain ? a != b : isfinite(a) != isfinite(b))
            e->open[i][k] = 1;
        else if (isfinite(a))
            e->rounding[i] = fmax(e->rounding[i], fabs(a - b));
    }
}

/* Adds the errors of one layer. exact: its own run that rounds nothing, or NULL: it is made. */
static exit_status add_layer(const reference *r, const ir_layer *l, const compiled_layer *made, bool training, const interp_result *exact,
                             expected *e)
{
    interp_result own = {0};
    exit_status st = exact ? EXIT_DONE : reference_run(r, l, training, ROUND_HALVES, 0, &own);
    if (!exact && st == EXIT_DONE)
        keep_outputs(&own, l->n_outputs);
    for (uint64_t run = 0; run < RUNS && st == EXIT_DONE; run++) {
        interp_result rounded = {0};
        st = reference_run(r, l, training, ROUND_ALL, run, &rounded);
        for (uint32_t i = 0; i < e->n && st == EXIT_DONE; i++) {
            int64_t k = made ? output_of(r->joint, made, i) : i;
            if (k >= 0)
                widen(e, i, (ir_type)ir_at(r->joint->l, r->joint->l->outputs[i].value)->type, &(exact ? exact : &own)->outputs[k],
                      &rounded.outputs[k]);
        }
        interp_free(&rounded);
    }
    interp_free(&own);
    return st;
}

exit_status expected_make(const reference *r, const compiled_layer *made, bool training, expected *out)
{
    const ir_layer *l = r->joint->l, *passed = training ? made->training ? made->training->joint : NULL : made->ir;
    *out = (expected){.n = training ? l->n_outputs : r->joint->n_outputs};
    exit_status st = reference_run(r, l, training, ROUND_HALVES, 0, &out->exact);
    if (st != EXIT_DONE)
        return st;
    keep_outputs(&out->exact, l->n_outputs);
    out->rounding = calloc(out->n + 1, sizeof *out->rounding);
    out->open = calloc(out->n + 1, sizeof *out->open);
    bool ok = out->rounding && out->open;
    for (uint32_t i = 0; ok && i < out->n; i++) {
        out->open[i] = calloc((size_t)out->exact.outputs[i].n + 1, 1);
        ok = out->open[i];
    }
    if (!ok)
        return cli_fail(EXIT_SYSTEM, "out of memory");
    st = add_layer(r, l, NULL, training, &out->exact, out);
    return st == EXIT_DONE && passed ? add_layer(r, passed, made, training, NULL, out) : st;
}

void expected_free(expected *e)
{
    for (uint32_t i = 0; e->open && i < e->n; i++)
        free(e->open[i]);
    free(e->open);
    free(e->rounding);
    interp_free(&e->exact);
    *e = (expected){0};
}
