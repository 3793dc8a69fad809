/*
 * Descriptions of planned layers: what a source text says of names, shapes and conditions must be there, and the loader
 * must accept it. With files as arguments: describes all their layers and says what does not hold together.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/lower/lower.h"
#include "compiler/parser/parse.h"
#include "compiler/passes/passes.h"
#include "compiler/plan/describe.h"
#include "compiler/plan/plan.h"
#include "compiler/sema/sema.h"
#include "runtime/description.h"

static int failed;

#define CHECK(cond)                                                             \
    do {                                                                        \
        if (!(cond)) {                                                          \
            printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #cond);           \
            failed++;                                                           \
        }                                                                       \
    } while (0)

typedef struct described { description *d; const desc_module *m; const kplan *plans[64]; uint32_t n; } described;

/* All layers of a text that can be lowered and planned. */
static bool describe_text(arena *a, const char *name, const char *text, size_t n, described *out)
{
    str_table *names = str_table_new(a);
    source_set *sources = source_set_new(a);
    diags *ds = diags_new(a, sources);
    const ast_file *tree = parse_file(a, names, ds, sources, source_add(sources, name, text, n));
    const sem_program *p = sema_check(a, names, ds, tree, &(sem_options){ .real = SEM_F32 });
    if (diags_failed(ds)) {
        buf b = buf_make(NULL);
        diags_print_short(ds, &(diag_print_options){ 0 }, &b);
        printf("%s", buf_text(&b));
        buf_free(&b);
        return false;
    }
    describe_layer layers[64];
    *out = (described){ 0 };
    for (uint32_t i = 0; i < p->n_layers && out->n < 64; i++) {
        ir_layer *l = lower_layer(a, names, ds, p->layers[i]);
        pass_stats stats = { 0 };
        const char *why = "it cannot be lowered";
        ir_layer *done = l ? passes_run(l, a, &(pass_options){ .inference = true }, &stats) : NULL;
        const kplan *plan = done && !stats.broken ? plan_build(a, done, NULL, &why) : NULL;
        if (!plan) {
            printf("%s: layer %s has no plan: %s\n", name, p->layers[i]->name, stats.broken ? stats.broken : why);
            continue;
        }
        out->plans[out->n] = plan;
        layers[out->n++] = (describe_layer){ .layer = l, .forward = plan };
    }
    size_t n_bytes;
    const char *why = "";
    const void *bytes = describe_module(a, layers, out->n, &n_bytes, &why);
    if (!bytes) {
        printf("%s: %s\n", name, why);
        return false;
    }
    char text_of_why[DESC_WHY] = "";
    if (description_read(bytes, n_bytes, UINT32_MAX, &out->d, text_of_why) != DESC_OK) {
        printf("%s: %s\n", name, text_of_why);
        return false;
    }
    out->m = description_module(out->d);
    return true;
}

static const char program[] =
    "layer L(in, heads, K = 2 * heads, alpha: real = 0.5) {\n"
    "    node x[in];\n"
    "    edge rel: index(heads) or none;\n"
    "    edge w[3];\n"
    "    param W[in, heads, 4], b[heads * 4] init normal(0.1);\n"
    "    node z = x @ W;\n"
    "    update g = alpha * sum(src.z[1] * w[2]).reshape(4) + sum(w[:, None] * src.x[None, 2:5]).reshape(9)[in - 7];\n"
    "    update edge e = w * w;\n"
    "    iterate s = z.reshape(heads * 4) for K { next s = 0.5 * s + b; }\n"
    "    update global t = sum(s);\n"
    "}\n"
    "layer S(d) { src u[d]; dst v[d]; update y = sum(dot(src.u, dst.v)); }\n"
    "layer T(d) { src u[d]; edge e; update src a = u; update y = sum(src.u * e); }\n"
    "layer U(d) { node x[d]; dst v[d]; update dst a = v; update y = sum(src.x); }\n";

static const desc_dim *dim_named(const desc_layer *l, uint32_t i, const char *text)
{
    return i < l->n_dims && strcmp(l->dims[i].text, text) == 0 ? &l->dims[i] : NULL;
}

static bool has_check(const desc_layer *l, const char *text, int64_t least)
{
    for (uint32_t i = 0; i < l->n_checks; i++)
        if (dim_named(l, l->checks[i].dim, text) && l->checks[i].least == least)
            return true;
    return false;
}

static void values(const desc_layer *l)
{
    CHECK(strcmp(l->name, "L") == 0 && l->n_statics == 4 && l->n_inputs == 5 && l->n_outputs == 3);
    CHECK(strcmp(l->statics[0].name, "in") == 0 && l->statics[0].symbol != DESC_NONE && !l->statics[0].has_default);
    CHECK(l->statics[2].has_default && dim_named(l, l->statics[2].default_dim, "2*heads"));
    CHECK(l->statics[3].real && l->statics[3].has_default && l->statics[3].value == 0.5);
    const desc_value *x = &l->inputs[0], *rel = &l->inputs[1], *W = &l->inputs[3], *b = &l->inputs[4];
    CHECK(strcmp(x->name, "x") == 0 && x->domain == MP_DOMAIN_NODE && x->rows == ROWS_SRC && dim_named(l, x->dims[0], "in"));
    CHECK(rel->type == MP_INDEX && rel->none && dim_named(l, rel->range, "heads") && rel->domain == MP_DOMAIN_EDGE);
    CHECK(W->param && W->domain == MP_DOMAIN_PARAM && W->rank == 3 && W->rows == ROWS_ONE);
    CHECK(W->init.kind == MP_INIT_GLOROT_UNIFORM);
    CHECK(b->init.kind == MP_INIT_NORMAL && b->init.a == 0.1 && dim_named(l, b->dims[0], "4*heads"));
    CHECK(l->outputs[1].domain == MP_DOMAIN_EDGE && l->outputs[2].domain == MP_DOMAIN_GLOBAL);
    CHECK(has_check(l, "in - 7", 0));            /* a constant place that may lie outside */
    CHECK(has_check(l, "in - 5", 0));
    CHECK(has_check(l, "heads - 2", 0));
    const desc_program *p = desc_find_program(l, DESC_FORWARD);
    CHECK(p && p->n_loops == 1 && strcmp(p->loops[0].name, "s") == 0);
}

static void kernels(const described *d)
{
    uint32_t entry = 0;
    for (uint32_t i = 0; i < d->n; i++) {
        const desc_program *p = desc_find_program(&d->m->layers[i], DESC_FORWARD);
        const kplan *plan = d->plans[i];
        CHECK(p && p->n_kernels == plan->n_kernels && p->n_slots == plan->n_dims && p->n_steps == plan->n_steps);
        for (uint32_t k = 0; p && k < p->n_kernels; k++) {
            CHECK(p->kernels[k].entry == entry++);
            CHECK(p->kernels[k].n_scratch + 1 == plan->kernels[k].n_locals || !plan->kernels[k].n_locals);
        }
    }
}

static void described_program(arena *a)
{
    described d;
    CHECK(describe_text(a, "program", program, sizeof program - 1, &d));
    if (!d.m)
        return;
    CHECK(d.m->n_layers == 4);
    if (d.m->n_layers == 4) {
        values(&d.m->layers[0]);
        const desc_layer *s = &d.m->layers[1];
        CHECK(s->inputs[0].domain == MP_DOMAIN_SRC && s->inputs[1].domain == MP_DOMAIN_DST);
        CHECK(s->inputs[0].rows == ROWS_SRC && s->inputs[1].rows == ROWS_DST && s->n_checks == 0);
        CHECK(s->outputs[0].domain == MP_DOMAIN_DST);
        const desc_layer *t = &d.m->layers[2], *u = &d.m->layers[3];
        CHECK(t->inputs[0].domain == MP_DOMAIN_SRC && t->inputs[1].domain == MP_DOMAIN_EDGE);
        CHECK(t->outputs[0].domain == MP_DOMAIN_SRC && t->outputs[1].domain == MP_DOMAIN_DST);
        CHECK(u->inputs[0].domain == MP_DOMAIN_NODE && u->inputs[1].domain == MP_DOMAIN_DST);
        CHECK(u->outputs[0].domain == MP_DOMAIN_DST && u->outputs[1].domain == MP_DOMAIN_NODE);
        kernels(&d);
    }
    description_free(d.d);
}

static void described_file(arena *a, const char *path)
{
    FILE *f = fopen(path, "rb");
    char *text = arena_alloc(a, 1 << 20);
    size_t n = f ? fread(text, 1, 1 << 20, f) : 0;
    if (f)
        fclose(f);
    described d = { 0 };
    if (describe_text(a, path, text, n, &d))
        kernels(&d);
    else
        failed++;
    description_free(d.d);
}

int main(int argc, char **argv)
{
    for (int i = argc > 1 ? 1 : 0; i < argc; i++) {
        arena *a = arena_new((size_t)1 << 30);
        if (!a)
            return 1;
        if (argc > 1)
            described_file(a, argv[i]);
        else
            described_program(a);
        arena_free(a);
    }
    return failed != 0;
}
