/*
 * All params of a layer together: they start as declared, bind, step, and go through files.
 */
#include <unistd.h>

#include "tests/runtime/check.h"
#include "mpc.h"

static const char text[] =
    "layer Linear(in, out) { node x[in]; param W[in, out], b[out]; update y = x @ W + b; }\n"
    "layer Net(in, hid, out) {\n"
    "    node x[in]; param scale: f64 init constant(2), g[hid] init ones;\n"
    "    use c1 = Linear(in, hid); use c2 = Linear(hid, out);\n"
    "    update y = c2(x = g * relu(c1(x = x))) * scale; }\n";

static DLTensor matrix(float *data, int64_t *shape)
{
    return (DLTensor){ .data = data, .device = { kDLCPU, 0 }, .ndim = 2, .dtype = { kDLFloat, 32, 1 }, .shape = shape };
}

static DLTensor value_of(check *c, const mp_params *p, const char *wanted)
{
    DLTensor t = { 0 };
    for (int64_t i = 0; i < mp_params_count(p); i++) {
        const char *name;
        OK(c, mp_params_get(p, i, &name, &t, NULL));
        if (!strcmp(name, wanted))
            return t;
    }
    CHECK(c, !"a param of that name");
    return t;
}

static void files(check *c, mp_params *p, mp_params *q, const char *path, const char *other)
{
    float *w = value_of(c, q, "c1.W").data;
    w[5] = 123;
    OK(c, mp_params_save(p, path));
    OK(c, mp_params_load(q, path));
    CHECK(c, !memcmp(w, value_of(c, p, "c1.W").data, 12 * sizeof(float)));
    CHECK(c, *(double *)value_of(c, q, "scale").data == 2);
    int64_t shape[] = { 2, 2 };
    float wrong[4] = { 0 };
    DLTensor t = matrix(wrong, shape);
    if (strstr(path, ".npz"))
        OK(c, mp_npz_save(c->ctx, path, (const char *[]){ "scale" }, &t, 1));
    else
        OK(c, mp_safetensors_save(c->ctx, path, (const char *[]){ "scale" }, &t, 1));
    FAILS(c, MP_INVALID, "'scale' is [2, 2], but the layer's is []", mp_params_load(q, path));
    CHECK(c, *(double *)value_of(c, q, "scale").data == 2);
    FAILS(c, MP_USAGE, "kept in .npz or .safetensors files", mp_params_save(p, other));
    unlink(path);
}

static void params(check *c, mp_module *mod)
{
    mp_layer *l = NULL, *again = NULL;
    mp_params *p = NULL, *q = NULL;
    mp_graph *g = NULL;
    float x[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    int64_t shape[] = { 2, 4 };
    DLTensor tx = matrix(x, shape), y;
    OK(c, mp_layer_create(mod, "Net", (mp_static[]){ MP_DIM("hid", 3) }, 1, &l));
    FAILS(c, MP_USAGE, "'in' of 'c1.W' is not settled yet", mp_params_create(l, 1, &p));
    mp_layer_destroy(l);
    OK(c, mp_layer_create(mod, "Net", (mp_static[]){ MP_DIM("hid", 3), MP_DIM("out", 2) }, 2, &l));
    OK(c, mp_bind(l, "x", &tx, 0));
    OK(c, mp_params_create(l, 1, &p));
    CHECK(c, mp_params_count(p) == 6 && mp_params_elements(p) == 1 + 3 + 12 + 3 + 6 + 2);
    CHECK(c, ((float *)value_of(c, p, "g").data)[2] == 1 && *(double *)value_of(c, p, "scale").data == 2);
    CHECK(c, ((float *)value_of(c, p, "c2.b").data)[1] == 0 && value_of(c, p, "c2.W").shape[0] == 3);
    OK(c, mp_graph_from_coo(c->ctx, 2, 2, 0, NULL, NULL, &g));
    OK(c, mp_forward(l, g));
    OK(c, mp_output(l, "y", &y));
    float first = ((float *)y.data)[1];

    OK(c, mp_layer_create(mod, "Net", (mp_static[]){ MP_DIM("hid", 3), MP_DIM("out", 2) }, 2, &again));
    OK(c, mp_bind(again, "x", &tx, 0));
    OK(c, mp_params_create(again, 2, &q));
    OK(c, mp_params_bind(p, again, 0));
    OK(c, mp_forward(again, g));
    OK(c, mp_output(again, "y", &y));
    CHECK(c, ((float *)y.data)[1] == first);

    OK(c, mp_params_set_decay(p, "c1.*", 0));
    FAILS(c, MP_INVALID, "no param is named 'c3.*'", mp_params_set_decay(p, "c3.*", 0));
    CHECK(c, mp_params_load(p, "/dev/null/none.npz") != MP_OK);
    files(c, p, q, "params-test.npz", "params.txt");
    files(c, p, q, "params-test.safetensors", "params");
    mp_layer_destroy(l);
    mp_layer_destroy(again);
    mp_params_destroy(p);
    mp_params_destroy(q);
    mp_params_destroy(NULL);
    mp_graph_destroy(g);
}

int main(void)
{
    check c = check_begin(2);
    mp_module *mod = NULL;
    OK(&c, mpc_compile_text(c.ctx, "net.mp", text, &(mpc_options){ .no_cache = 1 }, &mod));
    if (mod)
        params(&c, mod);
    mp_module_destroy(mod);
    return check_end(&c);
}
