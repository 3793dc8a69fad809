/*
 * Programs lowered and run by the interpreter on a small graph, beside values worked out by hand; what a
 * graph must be; limits; static arguments given from outside.
 *
 * The graph: 0 -> 1, 2 -> 1, 2 -> 1, 1 -> 3, 3 -> 3 over four nodes; nothing goes into 0 and 2. As a block
 * its destinations are the first two nodes, and the last two edges are missing.
 */
#include "compiler/ir/interp.h"
#include "compiler/ir/verify.h"
#include "compiler/lower/lower.h"
#include "compiler/parser/parse.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static int failures;

typedef struct session { arena *a; str_table *names; diags *ds; sem_program *p; } session;

static session begin(const char *text, sem_elem real)
{
    arena *a = arena_new((size_t)1 << 31);
    source_set *sources = source_set_new(a);
    session s = {.a = a, .names = str_table_new(a), .ds = diags_new(a, sources)};
    const ast_file *f =
        parse_file(a, s.names, s.ds, sources, source_add(sources, "test.mp", text, strlen(text)));
    s.p = sema_check(a, s.names, s.ds, f, &(sem_options){.real = real});
    return s;
}

static void complain(const session *s, const char *text, const char *what)
{
    buf out = buf_make(s->a);
    diags_print_short(s->ds, &(diag_print_options){0}, &out);
    printf("FAILED: %s\n%s\n%s\n", what, text, buf_text(&out));
    failures++;
}

static ir_layer *lowered(session *s, const char *text)
{
    const sem_layer *l = sem_find_layer(s->p, NULL);
    ir_layer *r = diags_failed(s->ds) || !l ? NULL : lower_layer(s->a, s->names, s->ds, l);
    if (!r) {
        complain(s, text, "does not compile");
        return NULL;
    }
    const char *broken = ir_verify(r, s->a);
    if (broken) complain(s, text, broken);
    return broken ? NULL : r;
}

/* ---- values ---- */

static const double x_of[] = {1, 2, 3, 4, 5, 6, 7, 8}, w_of[] = {1, 2, 3, 4, 5}, r_of[] = {0, 1, 1, 0, 2},
                    t_of[] = {0, 1, -1, 1};
static const double W_of[] = {1, 0, 1, -1, 2, 0.5}, u_of[] = {10, 20};
static const struct { const char *name; const double *at; int n; } data[] = {
    {"x", x_of, 8}, {"w", w_of, 5}, {"r", r_of, 5}, {"t", t_of, 4}, {"W", W_of, 6}, {"u", u_of, 2}};

static bool lookup(void *ud, dim_sym s, int64_t *value)
{
    *value = ((const int64_t *)ud)[s.i];
    return *value != 0;
}

static void run(const char *body, sem_elem real, bool block, int n, const double *want)
{
    char text[2000];
    snprintf(
        text, sizeof text,
        "layer T(d = 2, R = 3) { node x[d]; node t: index(2) or none; edge w; edge r: index(R); param W[R, d]; graph u;\n%s }",
        body);
    session s = begin(text, real);
    ir_layer *l = lowered(&s, text);
    if (!l) {
        arena_free(s.a);
        return;
    }
    const int32_t src[] = {0, 2, 2, 1, 3}, dst[] = {1, 1, 1, 3, 3};
    const int64_t ptr[] = {0, 3, 4}; /* as a batch an edge would cross: used for node aggregates only */
    interp_graph g = {.n_src = 4,
                      .n_dst = block ? 2 : 4,
                      .n_edges = block ? 3 : 5,
                      .src = src,
                      .dst = dst,
                      .square = !block,
                      .n_graphs = 1};
    if (strstr(body, "graph y")) {
        g.n_graphs = 2;
        g.graph_ptr = ptr;
    }
    int64_t dims[8] = {0};
    double reals[8] = {0};
    for (uint32_t i = 0; i < l->n_statics; i++) {
        dim_sym sym;
        if (!dim_is_symbol(l->dims, dim_symbol(l->dims, l->statics[i].name), &sym)) continue;
        int64_t v = 0;
        dim_eval(l->dims, l->statics[i].dim_default, lookup, dims, &v);
        dims[sym.i] = v;
    }
    interp_data in[8] = {{0}};
    for (uint32_t i = 0; i < l->n_inputs; i++)
        for (size_t k = 0; k < sizeof data / sizeof *data; k++)
            if (!strcmp(data[k].name, l->inputs[i].name)) in[i] = (interp_data){data[k].at, data[k].n};
    for (uint32_t i = 0; i < l->n_inputs; i++) {
        if (!strcmp(l->inputs[i].name, "u")) in[i].n = g.n_graphs;
        if (ir_at(l, l->inputs[i].value)->dom.i == l->edge.i && l->edge.i) in[i].n = g.n_edges;
    }
    interp_result r;
    memset(&r, 0, sizeof r);
    const interp_call call = {.graph = &g,
                              .dims = dims,
                              .n_dims = dim_n_symbols(l->dims),
                              .reals = reals,
                              .inputs = in,
                              .round = true};
    if (!interp_run(l, &call, &r)) {
        complain(&s, text, r.why);
    } else {
        const interp_array *y = &r.outputs[0];
        bool same = y->n == n;
        for (int i = 0; i < n && same; i++)
            same = isnan(want[i]) ? isnan(y->at[i])
                                  : y->at[i] == want[i] || fabs(y->at[i] - want[i]) <= 2e-6 * fabs(want[i]);
        if (!same) {
            printf("FAILED: %s\n  got", body);
            for (int64_t i = 0; i < y->n; i++) printf(" %.9g", y->at[i]);
            printf("\n");
            failures++;
        }
    }
    interp_free(&r);
    arena_free(s.a);
}

#define RUN(body, ...)                                                                                       \
    run(body, SEM_F32, false, sizeof((double[]){__VA_ARGS__}) / sizeof(double), (double[]){__VA_ARGS__})
#define RUN64(body, ...)                                                                                     \
    run(body, SEM_F64, false, sizeof((double[]){__VA_ARGS__}) / sizeof(double), (double[]){__VA_ARGS__})
#define RUN_BLOCK(body, ...)                                                                                 \
    run(body, SEM_F32, true, sizeof((double[]){__VA_ARGS__}) / sizeof(double), (double[]){__VA_ARGS__})

static void values(void)
{
    RUN("update y = sum(w);", 0, 6, 0, 9);
    RUN("update y = mean(src.x[0] * w);", 0, (1 + 10 + 15) / 3., 0, (12 + 35) / 2.);
    RUN("update y = prod(w) + max(-w) + min(w) + count();", 1, 6 - 1 + 1 + 3, 1, 20 - 4 + 4 + 2);
    RUN("update y = var(w);", 0, 2. / 3, 0, 0.25);
    RUN("update y = std(w * 0 + 16777216) + std(w);", 0, sqrt(2. / 3), 0, 0.5);
    RUN("update y = sum(w, by = src);", 1, 4, 5, 5);
    RUN("update y = sum(w, per = r);", 0, 0, 0, 1, 5, 0, 0, 0, 0, 4, 0, 5);
    RUN("update y = prod(w, per = r).sum(-1) + count(per = r)[1];", 0, 1 + 6 + 2, 0, 4 + 5);
    RUN("update global y = mean(x, per = t).sum(-1);", 3, 11);
    RUN("update y = W[0:2][t];", 1, 0, 1, -1, 0, 0, 1, -1);
    RUN("update y = where(t == 1, 1, 0) + where(t < 1, 10, 0) + where(t == t, 100, 0);", 110, 101, 110, 101);
    RUN("update y = sum(W[r] * w);", 0, 0, 1 + 2 + 3, -2 - 3, 0, 0, 4 + 10, 2.5);
    RUN("edge s = softmax(w); update y = sum(s);", 0, 1, 0, 1);
    RUN("edge s = softmax(0 * w, by = src); update edge y = s;", 1, 0.5, 0.5, 1, 1);
    RUN("edge s = softmax(0 * w, per = r); update edge y = s;", 1, 0.5, 0.5, 1, 1);
    RUN("update graph y = sum(x[0]) + num_nodes + u;", 9 + 3 + 10, 7 + 1 + 20);
    RUN("update graph y = sum(softmax(0 * x[0])) + mean(softmax(0 * x[0]));", 1 + 1 / 3., 2);
    RUN("update global y = sum(softmax(0 * x[0]) * x[1]) + num_edges;", 5 + 5);
    RUN("update y = (x * 1e-30).norm(-1) * 1e30 + (x * 1e30).norm(-1) * 1e-30;", 2 * sqrt(5), 10,
        2 * sqrt(61), 2 * sqrt(113));
    RUN("update y = (x * 0).norm(-1) + (x / 0).norm(-1) * 0;", NAN, NAN, NAN, NAN);
    RUN64("update y = (x * 1e-300).norm(-1) * 1e300 + (x * 1e300).norm(-1) * 1e-300 + (0 * x).norm(-1);",
          2 * sqrt(5), 10, 2 * sqrt(61), 2 * sqrt(113));
    RUN("update y = (x * 1000).softmax(-1)[1] + (x + 100000).var(-1) + (x * 1000).log_softmax(-1)[0] / 1000;",
        0.25, 0.25, 0.25, 0.25);
    RUN("update y = 1 / 3 + x[0] ** 2 - -x[1] ** 2;", 1 + 4 + 1. / 3, 9 + 16 + 1. / 3, 25 + 36 + 1. / 3,
        49 + 64 + 1. / 3);
    RUN("update y = einsum(\"i,ri,j->r\", x, W, x)[2] - einsum(\"j->\", x) * (W[2] * x).sum(-1);", 0, 0, 0,
        0);
    RUN("update y = d * real(iota(R)[2] > 1) + x[d - 1];", 4, 6, 8, 10);
    RUN("iterate z = x[0], c = 0 for R { next z = sum(src.z); next c = c + real(step); } update y = z + c;",
        3, 3, 3, 21 + 3);
    RUN("iterate z = 1 for 50 until change < 0.01 { next z = z * 0.5; } update y = z;", 0.0078125, 0.0078125,
        0.0078125, 0.0078125);
    RUN("iterate edge e = w for 2 { node s = sum(e); next e = dst.s - e; } update edge y = e;", 7, 8, 9, 4,
        5);
    RUN_BLOCK("update y = x[0];", 1, 3);
    RUN_BLOCK("update y = sum(src.x[0]) + x[1];", 2, 1 + 5 + 5 + 4);
    RUN_BLOCK("update src y = sum(w, by = src) + x[0];", 2, 3, 10, 7);
    RUN_BLOCK("update global y = sum(x[0]) + num_nodes;", 4 + 2);
    RUN_BLOCK("update y = in_degree + sum(dst.in_degree * dst.x[0]);", 0, 3 + 27);
    RUN_BLOCK("update y = sum(w, by = src);", 1, 0);
}

/* ---- needs ---- */

static void gradients(void)
{
    RUN("node h = x * 1; update y = grad(h * h + x, h);", 2, 4, 6, 8, 10, 12, 14, 16);
    RUN("node h = x * 1; update y = grad(h * h + x, x);", 3, 5, 7, 9, 11, 13, 15, 17);
    RUN("node s = sum(w * src.x); update y = grad(s, x);", 1, 1, 4, 4, 5, 5, 5, 5);
    RUN("global shift = zeros(d); node z = x + shift; update global y = grad(z * z, shift);", 32, 40);
    RUN("edge one = 1; update edge y = grad(sum(one * src.x[0]), one);", 1, 5, 5, 3, 7);
    RUN("node e = grad(x ** 3, x); update y = grad(e, x)[0];", 6, 18, 30, 42);
    RUN("iterate z = x[0] for 2 { next z = z - 0.25 * grad(z * z, z); } update y = z;", 0.25, 0.75, 1.25, 1.75);
    RUN_BLOCK("node s = sum(w * src.x); update src y = grad(s, x)[1];", 1, 0, 5, 0);
    RUN_BLOCK("node s = x * in_degree; update src y = grad(s, x)[0];", 0, 3, 0, 0);
}

static void need(const char *body, const char *square, const char *degrees)
{
    char text[1000];
    snprintf(text, sizeof text, "layer T(d) { node x[d]; edge w;\n%s }", body);
    session s = begin(text, SEM_F32);
    ir_layer *l = lowered(&s, text);
    const char *found[2] = {NULL, NULL};
    for (uint32_t i = 0; l && i < l->n_needs; i++) found[l->needs[i].kind == NEED_DEGREES] = l->needs[i].name;
    const char *want[] = {square, degrees};
    for (int k = 0; k < 2; k++)
        if (want[k] ? !found[k] || strcmp(found[k], want[k]) : found[k] != NULL) {
            printf("FAILED: %s\n  needs %s, not %s\n", body, found[k] ? found[k] : "nothing",
                   want[k] ? want[k] : "nothing");
            failures++;
        }
    arena_free(s.a);
}

static void needs(void)
{
    need("update y = sum(src.x) * in_degree + sum(dst.in_degree * w);", NULL, NULL);
    need("update y = sum(src.in_degree * w);", NULL, "in_degree");
    need("node n = x / in_degree; update y = sum(src.n);", NULL, "n");
    need("node h = sum(src.x); update y = sum(src.h);", "h", NULL);
    need("node h = sum(w, by = src); update y = sum(src.h);", NULL, NULL);
    need("iterate z = x for 3 { next z = sum(src.z); } update y = z;", "z", NULL);
    need("iterate z = x for 3 { next z = z * 0.5; } update y = sum(src.z);", NULL, NULL);
    need("iterate z = x for 3 { next z = z * in_degree; } update y = sum(src.z);", NULL, "z");
    need("node dead = sum(src.x); edge unread = src.dead; update y = x;", NULL, NULL);
}

/* ---- limits, static arguments ---- */

static void limit(const char *head, const char *each, int n, const char *tail, bool may_pass)
{
    buf b = buf_make(NULL);
    buf_puts(&b, head);
    for (int i = 1; i < n; i++) {
        for (const char *p = each; *p; p++) {
            if (*p == '#') buf_printf(&b, "%d", i);
            else if (*p == '@') buf_printf(&b, "%d", i - 1);
            else buf_putc(&b, *p);
        }
    }
    buf_puts(&b, tail);
    session s = begin(buf_text(&b), SEM_F32);
    bool limited = false;
    for (uint32_t i = 0; i < s.ds->n; i++) limited |= s.ds->at[i]->class == DIAG_LIMIT;
    if (may_pass && !diags_failed(s.ds)) lowered(&s, head);
    else if (!limited) complain(&s, head, "no limit was reported");
    buf_free(&b);
    arena_free(s.a);
}

static void limits(void)
{
    limit("fn f0(x) = x + x;\n", "fn f#(x) = f@(f@(x));\n", 60,
          "layer A(d) { node x[d]; update g = f59(x); }", false);
    limit("layer L0(d) { node x[d]; param W[d]; update g = x * W; }\n",
          "layer L#(d) { node x[d]; use a = L@(d); use b = L@(d); update g = a(x = b(x = x)); }\n", 40, "",
          false);
    limit("layer L0(d) { node x[d]; param W[d]; update g = x * W; }\n",
          "layer L#(d) { node x[d]; use a = L@(d); use b = L@(d); update g = x; }\n", 30, "", false);
    limit("layer L0(d) { node x[d]; update g = x; }\n",
          "layer L#(d) { node x[d]; use a = L@(d); update g = a(x = x); }\n", 1000, "", false);
    limit(
        "layer L0(d) { node x[d]; update g = x; }\n",
        "layer L#(d) { node x[d]; use a = L@(d); iterate z = x for 2 { next z = a(x = z); } update g = z; }\n",
        50, "", true);
    limit("fn f0(x) = x;\n", "fn f#(x) = f@(x) + 1;\n", 5000,
          "layer A(d) { node x[d]; update g = f4999(x); }", false);
    limit("fn f(x) { let a0 = x;\n", "let a# = a@ + a@;\n", 5000,
          "return a4999; } layer A(d) { node x[d]; update g = f(x) + f(d); }", true);
    limit("layer A(d) { node x[d]; node y0 = x;\n", "node y# = y@ + 1;\n", 20000, "update g = y19999; }",
          true);
    limit("layer A(d) { node x[d]; node y0 = x;\n", "iterate y# = y@ for 2 { next y# = y# + 1; }\n", 2000,
          "update g = y1999; }", true);
    limit("layer A(d) { node x[d]; node y0 = x;\n", "node y# = where(x < #, y@ * x, 0);\n", 3000, "update g = grad(y2999, x); }", true);
    limit("layer A(d) { node x[d]; node y0 = sigmoid(x) * x;\n", "node y# = grad(y@, x);\n", 14, "update g = y13; }",
          true);
}

static void define(const char *name, const char *value, bool good)
{
    session s = begin(
        "layer A(in, out, p: real = 0.5) { node x[in]; param W[in, out]; update g = x @ W * p; } layer B(in) { node x[in]; update g = x; }",
        SEM_F32);
    bool got = sem_define(s.p, NULL, name, value, s.ds);
    if (got != good || got == diags_failed(s.ds)) {
        printf("FAILED: -D %s=%s\n", name, value);
        failures++;
    }
    arena_free(s.a);
}

int main(void)
{
    values();
    gradients();
    needs();
    limits();
    define("out", "4", true);
    define("p", "0.25", true);
    define("out", "0", false);
    define("out", "-4", false);
    define("out", "2.5", false);
    define("out", "many", false);
    define("out", "", false);
    define("out", "99999999999999999999999", false);
    define("p", "nan", false);
    define("width", "4", false);
    if (failures) printf("%d failed\n", failures);
    return failures != 0;
}
