/* The text form: every operation prints and reads back as the same layer; wrong text is an error, never a
 * crash, whatever is cut out of a right one or changed in it. */
#include "tests/ir/fixture.h"

#include <stdlib.h>

static const char *text_of(const ir_layer *l, arena *mem)
{
    buf b = buf_make(mem);
    ir_print(l, &b);
    return buf_text(&b);
}

static void every_op_prints(const fixture *f)
{
    for (int k = 0; k < OP_N; k++) {
        bool found = false;
        for (uint32_t v = 1; v < f->l->n_nodes; v++)
            found = found || f->l->nodes[v].op == k;
        if (!found)
            fprintf(stderr, "no %s\n", ir_ops[k].id);
        CHECK(found);
    }
}

static void same_results(fixture *f, ir_layer *other)
{
    interp_result r;
    CHECK(fixture_run(f));
    bool ran = interp_run(other, &f->call, &r);
    CHECK(ran);
    for (uint32_t i = 0; ran && i < f->l->n_outputs; i++) {
        CHECK(r.outputs[i].n == f->result.outputs[i].n);
        CHECK_NEAR(r.outputs[i].at, fixture_out(f, i), r.outputs[i].n, 0);
    }
    interp_free(&r);
}

static void round_trip(void)
{
    fixture f;
    fixture_open(&f);
    fixture_random_graph(&f, 7, 7, 20);
    build_all_ops(&f);
    every_op_prints(&f);
    const char *text = text_of(f.l, f.mem), *error;
    ir_layer *again = ir_parse(f.mem, f.dims, f.names, text, &error);
    if (!again)
        fprintf(stderr, "%s\n", error);
    CHECK(again != NULL);
    if (again) {
        CHECK_TEXT(text_of(again, f.mem), text);
        same_results(&f, again);
        f.call.training = true;
        same_results(&f, ir_compact(again, f.mem));
        ir_layer *compact = ir_compact(f.l, f.mem);
        CHECK(ir_verify(compact, f.mem) == NULL);
        CHECK_TEXT(text_of(ir_compact(compact, f.mem), f.mem), text_of(compact, f.mem));
    }
    fixture_close(&f);
}

static void small_layer(void)
{
    static const char text[] =
        "// a comment\n"
        "layer SUM(d, k = 2*d, eps: real = 1e-05)\n"
        "need degrees \"x\"\n"
        "domain src nodes src\n"
        "domain edge edges\n"
        "domain dst nodes dst\n"
        "%1 = input \"x\" : src f32[d, d**2 + 1]\n"
        "%2 = map_src : edge -> src\n"
        "%3 = gather %1, %2 : edge f32[d, d**2 + 1]  // m\n"
        "%4 = map_dst : edge -> dst\n"
        "%5 = agg_sum %3, %4 : dst f32[d, d**2 + 1]\n"
        "%6 = const nan : unit f32\n"
        "%7 = const -1 : unit index(d + 2) or none\n"
        "output \"g\" dst %5\n";
    arena *mem = arena_new(0);
    dim_table *dims = dim_table_new(mem);
    str_table *names = str_table_new(mem);
    const char *error = NULL;
    ir_layer *l = ir_parse(mem, dims, names, text, &error);
    CHECK(l != NULL);
    if (l) {
        CHECK_TEXT(text_of(l, mem), text + strlen("// a comment\n"));
        CHECK(l->edge.i && l->src.i && l->dst.i && !l->graph.i);
        CHECK(l->nodes[3].name == str_of(names, "m"));
    } else {
        fprintf(stderr, "%s\n", error);
    }
    arena_free(mem);
}

static void errors(void)
{
    static const struct { const char *text, *error; } cases[] = {
        {"", "line 1: expected `layer`"},
        {"layer A()\n%1 = nothing : unit f32\n", "line 2: there is no operation nothing"},
        {"layer A()\n%1 = neg %2 : unit f32\n", "line 2: %2 is not known here"},
        {"layer A()\n%1 = const 1 : unit f32\n%1 = const 2 : unit f32\n", "line 3: a second %1"},
        {"layer A()\n%1 = const 1 : unit f32 @2\n", "line 2: %1 lies in region 0"},
        {"layer A()\n%1 = const 1 : edge f32\n", "line 2: there is no domain edge"},
        {"layer A()\n%1 = const 1 : unit f32[d]\n", "%1 = const: a constant is a scalar of the unit domain"},
        {"layer A()\n%1 = const 1 : unit f32\n%2 = const 1 : unit f64\n%3 = add %1, %2 : unit f32\n", "%3 = add: type of operand 1"},
        {"layer A()\n%1 = iota : unit f32[5/2]\n", "line 2: a dim that leaves a remainder"},
        {"layer A()\nloop 1 \"z\" in 0 for 3\n", "line 3: loop 1 has no states"},
        {"layer A()\ndomain p pair %3\n", "line 3: %3 does not make the pairs of p"},
        {"layer A() x\n", "line 1: expected the end of the line"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        arena *mem = arena_new(0);
        const char *error = "";
        CHECK(!ir_parse(mem, dim_table_new(mem), str_table_new(mem), cases[i].text, &error));
        CHECK_TEXT(error, cases[i].error);
        arena_free(mem);
    }
}

/* Cuts and changes at many places: either a sound layer or an error. */
static void mangled(void)
{
    fixture f;
    fixture_open(&f);
    fixture_random_graph(&f, 4, 4, 6);
    build_all_ops(&f);
    const char *text = text_of(f.l, f.mem);
    size_t n = strlen(text);
    static const char with[] = "%0123456789,:()[]@*/-> \n\"az";
    uint32_t seed = 12345, sound = 0;
    for (int i = 0; i < 600; i++) {
        arena *mem = arena_new(0);
        char *copy = arena_strndup(mem, text, n);
        seed = seed * 1664525 + 1013904223;
        size_t at = (seed >> 4) % n;
        seed = seed * 1664525 + 1013904223;
        if (i % 3 == 0)
            copy[at] = 0;
        else
            copy[at] = with[(seed >> 8) % (sizeof with - 1)];
        const char *error = NULL;
        ir_layer *l = ir_parse(mem, dim_table_new(mem), str_table_new(mem), copy, &error);
        CHECK((l != NULL) == (error == NULL));
        sound += l != NULL;
        if (l)
            ir_compact(l, mem);
        arena_free(mem);
    }
    CHECK(sound > 20);
    fixture_close(&f);
}

int main(void)
{
    round_trip();
    small_layer();
    errors();
    mangled();
    return check_done();
}
