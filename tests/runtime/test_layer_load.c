/*
 * Loading: tables and files that are no modules, and descriptions with any byte changed or cut off. Whatever is in the
 * bytes, the loader refuses it or gives layers that can be looked at, bound and prepared; kernels are not run on such.
 */
#include "tests/runtime/check.h"
#include "tests/runtime/layer_module.h"
#include "runtime/prepare.h"

/* No more than 32 MiB, so that dims from damaged bytes do not take the machine's memory. */
enum { LIMIT = 32 << 20 };

static void *limited(void *ud, void *ptr, size_t old_size, size_t new_size, size_t align)
{
    (void)ud;
    return new_size > LIMIT ? NULL : plain_resize(ptr, old_size, new_size, align);
}

static void tables(check *c, const mp_module_v1 *good)
{
    mp_module *m = NULL;
    mp_module_v1 t = *good;
    FAILS(c, MP_USAGE, "NULL", module_from_table(c->ctx, NULL, NULL, &m));
    t.abi_version = MP_ABI_VERSION + 1;
    FAILS(c, MP_UNSUPPORTED, "ABI version", module_from_table(c->ctx, &t, NULL, &m));
    t = *good;
    t.description = NULL;
    FAILS(c, MP_INVALID, "does not begin as one", module_from_table(c->ctx, &t, NULL, &m));
    t = *good;
    t.n_kernels = 3;
    FAILS(c, MP_INVALID, "unknown entry point", module_from_table(c->ctx, &t, NULL, &m));
    t = *good;
    t.n_variants = 0;
    FAILS(c, MP_INVALID, "no variants", module_from_table(c->ctx, &t, NULL, &m));
    const char *const elsewhere[] = { "no-such-feature" };
    t = *good;
    t.n_variants = 1;
    t.variant_features = elsewhere;
    FAILS(c, MP_UNSUPPORTED, "it needs no-such-feature", module_from_table(c->ctx, &t, NULL, &m));
    FAILS(c, MP_INVALID, "/nowhere/at/all.so: cannot be opened", mp_module_load(c->ctx, "/nowhere/at/all.so", &m));
    FAILS(c, MP_USAGE, "NULL", mp_module_load(c->ctx, NULL, &m));
    CHECK(c, m == NULL);
}

static float data[64 * 64];
static int32_t ints[64 * 64];

/* Looks at everything, binds what can be bound, and prepares where that runs no kernel. */
static void look(check *c, mp_module *m, mp_graph *g)
{
    for (int i = 0; i < mp_module_num_layers(m); i++) {
        mp_layer *l = NULL;
        if (mp_layer_create(m, mp_module_layer_name(m, i), NULL, 0, &l))
            continue;
        mp_value_info v = { .size = sizeof v };
        mp_static_info s = { .size = sizeof s };
        for (int k = 0; k < mp_layer_num_statics(l); k++)
            mp_layer_static(l, k, &s);
        for (int role = 0; role < 3; role++)
            for (int k = 0; !mp_layer_value(l, (mp_role)role, k, &v); k++) {
                static const int64_t rows[] = { 8, 4, 4, 4, 1, 0, 0 };
                int64_t shape[5];
                int at = 0;
                if (rows[v.domain])
                    shape[at++] = rows[v.domain];
                for (int r = 0; r < v.rank; r++)
                    shape[at++] = 2;
                bool index = v.type == MP_INDEX;
                DLTensor t = { .data = index ? (void *)ints : data, .device = { kDLCPU, 0 }, .ndim = at, .shape = shape,
                               .dtype = { index ? kDLInt : v.type == MP_BOOL ? kDLUInt : kDLFloat, v.type == MP_BOOL ? 8 : 32, 1 } };
                mp_bind(l, v.name, &t, 0);
            }
        bool runs = false;
        const desc_program *p = desc_find_program(l->desc, DESC_FORWARD);
        for (uint32_t k = 0; p && k < p->n_steps; k++)
            runs |= p->steps[k].at_prepare && p->steps[k].kind == STEP_LAUNCH;
        if (!runs)
            mp_prepare(l, g);
        mp_layer_destroy(l);
    }
    (void)c;
}

static int64_t try(check *c, const mp_module_v1 *good, const void *bytes, size_t n, mp_graph *g)
{
    mp_module_v1 t = *good;
    mp_module *m = NULL;
    t.description = bytes;
    t.description_bytes = n;
    if (module_from_table(c->ctx, &t, NULL, &m))
        return 0;
    look(c, m, g);
    mp_module_destroy(m);
    return 1;
}

static void damage(check *c, const mp_module_v1 *good, mp_graph *g)
{
    size_t n = good->description_bytes;
    const uint8_t *bytes = good->description;
    CHECK(c, try(c, good, bytes, n, g) == 1);
    int64_t accepted = 0, unsealed = 0;
    for (size_t cut = 0; cut < n; cut += cut < 200 ? 1 : 7) {
        uint8_t *copy = malloc(cut + 1);        /* of just this size, so that reading behind it shows */
        memcpy(copy, bytes, cut);
        accepted += try(c, good, copy, cut, g);
        description_seal(copy, cut);            /* past the sum, to the readers behind it */
        accepted += try(c, good, copy, cut, g);
        free(copy);
    }
    CHECK(c, accepted == 0);
    uint8_t *copy = malloc(n);
    uint64_t seed = 1;
    for (size_t i = 0; i < n; i++) {
        memcpy(copy, bytes, n);
        copy[i] ^= (uint8_t)(1u << check_below(&seed, 8));
        unsealed += try(c, good, copy, n, g);
        description_seal(copy, n);
        accepted += try(c, good, copy, n, g);
    }
    CHECK(c, unsealed == 0);
    CHECK(c, accepted > 0 && accepted < (int64_t)n);
    for (int round = 0; round < 1500; round++) {         /* several bytes, also to the values that hurt */
        memcpy(copy, bytes, n);
        for (int64_t k = check_below(&seed, 4); k >= 0; k--) {
            static const uint8_t nasty[] = { 0, 1, 0x7f, 0x80, 0xff };
            size_t at = (size_t)check_below(&seed, (int64_t)n - 8);
            memset(copy + at, nasty[check_below(&seed, 5)], (size_t)check_below(&seed, 8) + 1);
        }
        description_seal(copy, n);
        try(c, good, copy, n, g);
    }
    free(copy);
}

int main(void)
{
    check c = { 0 };
    if (mp_context_create(&(mp_context_options){ .threads = 1, .alloc = limited }, &c.ctx))
        return 1;
    size_t n;
    void *bytes = test_description(&n);
    mp_module_v1 table = test_table(bytes, n);
    mp_graph *g;
    int32_t src[8] = { 0, 1, 2, 3, 0, 1, 2, 3 }, dst[8] = { 1, 1, 0, 3, 3, 3, 0, 1 };
    OK(&c, mp_graph_from_coo(c.ctx, 4, 4, 8, src, dst, &g));
    tables(&c, &table);
    damage(&c, &table, g);
    mp_graph_destroy(g);
    free(bytes);
    return check_end(&c);
}
