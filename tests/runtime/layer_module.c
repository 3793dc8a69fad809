/*
 * The module made by hand: see layer_module.h. Each kernel names its buffers by their numbers in its program.
 */
#include "tests/runtime/layer_module.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF(T, n) ((T *)args->buf[n])
#define COUNT(list) ((uint32_t)(sizeof(list) / sizeof *(list)))

/* ---- SPMM: 0 x, 1 w, 2 y, 3 in.src, 4 in.eid; slot 0 is in; real 1 is scale ------------------------------------- */

static void spmm_walk(const mp_kargs *args, int64_t lo, int64_t hi, float *acc)
{
    int64_t d = args->dim[0];
    for (int64_t k = lo; k < hi; k++) {
        const float *x = BUF(const float, 0) + BUF(const int32_t, 3)[k] * d;
        float w = BUF(const float, 1)[BUF(const int64_t, 4)[k]];
        for (int64_t j = 0; j < d; j++)
            acc[j] += w * x[j];
    }
}

static void spmm_piece(const mp_kargs *args, const mp_launch *launch, int64_t row, int64_t lo, int64_t hi, void *state,
                       void *scratch)
{
    (void)launch, (void)row, (void)scratch;
    memset(state, 0, (size_t)args->dim[0] * sizeof(float));
    spmm_walk(args, lo, hi, state);
}

static void spmm_rows(const mp_kargs *args, const mp_launch *launch, int64_t lo, int64_t hi, int64_t hub, void *scratch)
{
    int64_t d = args->dim[0];
    float *acc = scratch;
    for (int64_t i = lo; i < hi; i++) {
        memset(acc, 0, (size_t)d * sizeof *acc);
        if (launch->hub_row[hub] == i) {
            for (int64_t p = launch->hub_first[hub]; p < launch->hub_first[hub + 1]; p++)
                for (int64_t j = 0; j < d; j++)
                    acc[j] += ((const float *)(launch->state + p * launch->state_bytes))[j];
            hub++;
        } else {
            spmm_walk(args, launch->ptr[i], launch->ptr[i + 1], acc);
        }
        for (int64_t j = 0; j < d; j++)
            BUF(float, 2)[i * d + j] = (float)args->real[1] * acc[j];
    }
}

/* ---- DRIFT: 0 h, 1 g, 2 z, 3 next, 4 change, 5 tol, 6 in.src; slot 0 is in, 1 is K -------------------------------- */

static void drift_begin(const mp_kargs *args, const mp_launch *launch, int64_t lo, int64_t hi, int64_t hub, void *scratch)
{
    (void)launch, (void)hub, (void)scratch;
    int64_t d = args->dim[0];
    memcpy(BUF(float, 2) + lo * d, BUF(float, 0) + lo * d, (size_t)((hi - lo) * d) * sizeof(float));
    if (lo == 0)
        *BUF(double, 5) = 1e-3;
}

static void drift_step(const mp_kargs *args, const mp_launch *launch, int64_t lo, int64_t hi, int64_t hub, void *scratch)
{
    (void)hub;
    int64_t d = args->dim[0];
    float *acc = scratch;
    for (int64_t i = lo; i < hi; i++) {
        int64_t n = launch->ptr[i + 1] - launch->ptr[i];
        memset(acc, 0, (size_t)d * sizeof *acc);
        for (int64_t k = launch->ptr[i]; k < launch->ptr[i + 1]; k++)
            for (int64_t j = 0; j < d; j++)
                acc[j] += BUF(const float, 2)[BUF(const int32_t, 6)[k] * d + j];
        for (int64_t j = 0; j < d; j++)
            BUF(float, 3)[i * d + j] = 0.5f * ((n ? acc[j] / (float)n : 0) + BUF(float, 0)[i * d + j]);
    }
}

static double drift_largest(const mp_kargs *args, int64_t lo, int64_t hi, double most)
{
    int64_t d = args->dim[0];
    for (int64_t i = lo * d; i < hi * d; i++) {
        double move = fabs((double)BUF(float, 3)[i] - BUF(float, 2)[i]);
        most = most > move || isnan(most) ? most : move;
    }
    return most;
}

static void drift_change_piece(const mp_kargs *args, const mp_launch *launch, int64_t row, int64_t lo, int64_t hi,
                               void *state, void *scratch)
{
    (void)launch, (void)row, (void)scratch;
    *(double *)state = drift_largest(args, lo, hi, 0);
}

static void drift_change(const mp_kargs *args, const mp_launch *launch, int64_t lo, int64_t hi, int64_t hub, void *scratch)
{
    (void)scratch;
    double most = 0;
    for (int64_t i = lo; i < hi; i++) {
        if (launch->hub_row[hub] != i)
            most = drift_largest(args, launch->ptr[i], launch->ptr[i + 1], most);
        for (int64_t p = launch->hub_first[hub]; launch->hub_row[hub] == i && p < launch->hub_first[hub + 1]; p++) {
            double x = *(const double *)(launch->state + p * launch->state_bytes);
            most = most > x || isnan(most) ? most : x;
        }
    }
    *BUF(double, 4) = most;
}

static void drift_end(const mp_kargs *args, const mp_launch *launch, int64_t lo, int64_t hi, int64_t hub, void *scratch)
{
    (void)launch, (void)hub, (void)scratch;
    int64_t d = args->dim[0];
    memcpy(BUF(float, 1) + lo * d, BUF(float, 2) + lo * d, (size_t)((hi - lo) * d) * sizeof(float));
}

/* ---- REL, BUCKET: 0 x, 1 rel or w, 2 y, 3 pairs, 4 by pair, 5 pair.idx, 6 pair.member, 7 in.src, 8 pair.by_index,
 *      9 (BUCKET) the computed index, in walk order, 10 in.eid; slot 0 is in, 1 is R ------------------------------- */

static void rel_sum(const mp_kargs *args, int64_t lo, int64_t hi, float *acc)
{
    int64_t d = args->dim[0];
    for (int64_t m = lo; m < hi; m++) {
        const float *x = BUF(const float, 0) + BUF(const int32_t, 7)[BUF(const int64_t, 6)[m]] * d;
        for (int64_t j = 0; j < d; j++)
            acc[j] += x[j];
    }
}

static void rel_pair_piece(const mp_kargs *args, const mp_launch *launch, int64_t row, int64_t lo, int64_t hi, void *state,
                           void *scratch)
{
    (void)launch, (void)row, (void)scratch;
    memset(state, 0, (size_t)args->dim[0] * sizeof(float));
    rel_sum(args, lo, hi, state);
}

static void rel_pair(const mp_kargs *args, const mp_launch *launch, int64_t lo, int64_t hi, int64_t hub, void *scratch)
{
    (void)scratch;
    int64_t d = args->dim[0];
    for (int64_t i = lo; i < hi; i++) {
        float *acc = BUF(float, 4) + i * d;
        memset(acc, 0, (size_t)d * sizeof *acc);
        if (launch->hub_row[hub] != i) {
            rel_sum(args, launch->ptr[i], launch->ptr[i + 1], acc);
            continue;
        }
        for (int64_t p = launch->hub_first[hub]; p < launch->hub_first[hub + 1]; p++)
            for (int64_t j = 0; j < d; j++)
                acc[j] += ((const float *)(launch->state + p * launch->state_bytes))[j];
        hub++;
    }
}

static void rel_base(const mp_kargs *args, const mp_launch *launch, int64_t lo, int64_t hi, int64_t hub, void *scratch)
{
    (void)hub, (void)scratch;
    int64_t d = args->dim[0];
    for (int64_t i = lo; i < hi; i++) {
        float *y = BUF(float, 2) + i * d;
        memset(y, 0, (size_t)d * sizeof *y);
        for (int64_t p = launch->ptr[i]; p < launch->ptr[i + 1]; p++)
            for (int64_t j = 0; j < d; j++)
                y[j] += (float)(BUF(const int32_t, 5)[p] + 1) * BUF(const float, 4)[p * d + j];
    }
}

static void rel_count(const mp_kargs *args, const mp_launch *launch, int64_t lo, int64_t hi, int64_t hub, void *scratch)
{
    (void)hub, (void)scratch;
    for (int64_t r = lo; r < hi; r++) {
        float n = 0;
        for (int64_t k = launch->ptr[r]; k < launch->ptr[r + 1]; k++)
            n += BUF(const int32_t, 5)[BUF(const int64_t, 8)[k]] == r;
        BUF(float, 3)[r] = n;
    }
}

static void bucket_index(const mp_kargs *args, const mp_launch *launch, int64_t lo, int64_t hi, int64_t hub, void *scratch)
{
    (void)launch, (void)hub, (void)scratch;
    for (int64_t k = lo; k < hi; k++) {
        float w = BUF(const float, 1)[BUF(const int64_t, 10)[k]];
        int64_t r = w < 0 ? 0 : (int64_t)w;
        BUF(int32_t, 9)[k] = (int32_t)(r < args->dim[1] ? r : args->dim[1] - 1);
    }
}

/* ---- EDGES: 0 e, 1 keep, 2 s, 3 o, all edges in walk order; slot 0 is k ------------------------------------------ */

static void edges_rows(const mp_kargs *args, const mp_launch *launch, int64_t lo, int64_t hi, int64_t hub, void *scratch)
{
    (void)launch, (void)hub, (void)scratch;
    int64_t d = args->dim[0];
    for (int64_t k = lo; k < hi; k++)
        for (int64_t j = 0; j < d; j++)
            BUF(float, 3)[k * d + j] = BUF(const uint8_t, 1)[k] ? (float)(*BUF(const double, 2) * BUF(const float, 0)[k * d + j])
                                                                  : 0;
}

/* ---- Descriptions ----------------------------------------------------------------------------------------------- */

#define FIXED(n) { .is_const = true, .value = (n) }
#define SLOT(i) { .slot = (i) }
#define ROWS(k) { ROWS_##k, 0 }
#define LOCAL(size) { .elems = size, .copies = 1, .type = DESC_F32 }

static desc_power power0 = { 0, 1 }, power1 = { 1, 1 };
static desc_term term0 = { 1, 1, &power0 }, term1 = { 1, 1, &power1 }, one = { 1, 0, NULL }, fifty = { 50, 0, NULL };

#define SYMBOL_DIM(name, term) { .text = name, .num = { 1, &term }, .den = { 1, &one } }
#define DIM_STATIC(n, s) { .name = n, .default_dim = DESC_NONE, .symbol = (s) }

static desc_layer spmm_layer(void)
{
    static desc_static statics[] = { DIM_STATIC("in", 0),
        { .name = "scale", .real = true, .has_default = true, .value = 1, .default_dim = DESC_NONE, .symbol = DESC_NONE } };
    static const char *symbols[] = { "in" };
    static desc_dim dims[] = { SYMBOL_DIM("in", term0) };
    static desc_value inputs[] = {
        { .name = "x", .domain = MP_DOMAIN_NODE, .type = MP_F32, .rows = ROWS_SRC, .rank = 1, .dims = { 0 }, .range = DESC_NONE },
        { .name = "w", .domain = MP_DOMAIN_EDGE, .type = MP_F32, .rows = ROWS_EDGES, .range = DESC_NONE } };
    static desc_value outputs[] = {
        { .name = "y", .domain = MP_DOMAIN_NODE, .type = MP_F32, .rows = ROWS_DST, .rank = 1, .dims = { 0 }, .range = DESC_NONE } };
    static uint32_t slots[] = { 0 };
    static desc_buffer buffers[] = {
        { .kind = BUF_INPUT, .index = 0, .type = DESC_F32, .rows = ROWS(SRC), .elems = SLOT(0), .name = "x" },
        { .kind = BUF_INPUT, .index = 1, .type = DESC_F32, .rows = ROWS(EDGES), .elems = FIXED(1), .name = "w" },
        { .kind = BUF_OUTPUT, .index = 0, .type = DESC_F32, .rows = ROWS(DST), .elems = SLOT(0), .name = "y" },
        { .kind = BUF_GRAPH, .index = GRAPH_IN_SRC, .type = DESC_I32, .rows = ROWS(EDGES), .elems = FIXED(1), .name = "in.src" },
        { .kind = BUF_GRAPH, .index = GRAPH_IN_EID, .type = DESC_I64, .rows = ROWS(EDGES), .elems = FIXED(1), .name = "in.eid" } };
    static desc_local acc[] = { LOCAL(SLOT(0)) };
    static desc_kernel kernels[] = { { .name = "SPMM_walk", .rows = ROWS(DST), .fiber = { FIBER_IN, 0 }, .tile = 1, .row_cost = 4,
                                       .entry = 0, .n_scratch = 1, .scratch = acc, .n_state = 1, .state = acc } };
    static desc_step steps[] = { { STEP_LAUNCH, 0, 0, false } };
    static desc_program programs[] = { { .kind = DESC_FORWARD, .n_slots = 1, .slots = slots, .n_buffers = COUNT(buffers),
        .buffers = buffers, .n_kernels = 1, .kernels = kernels, .n_steps = 1, .steps = steps } };
    return (desc_layer){ .name = "SPMM", .n_statics = 2, .statics = statics, .n_symbols = 1, .symbols = symbols, .n_dims = 1,
        .dims = dims, .n_inputs = 2, .inputs = inputs, .n_outputs = 1, .outputs = outputs, .n_programs = 1, .programs = programs };
}

static desc_layer drift_layer(void)
{
    static desc_static statics[] = { DIM_STATIC("in", 0),
                                     { .name = "K", .has_default = true, .default_dim = 2, .symbol = 1 } };
    static const char *symbols[] = { "in", "K" };
    static desc_dim dims[] = { SYMBOL_DIM("in", term0), SYMBOL_DIM("K", term1), SYMBOL_DIM("50", fifty) };
    static desc_value inputs[] = {
        { .name = "h", .domain = MP_DOMAIN_NODE, .type = MP_F32, .rows = ROWS_SRC, .rank = 1, .dims = { 0 }, .range = DESC_NONE } };
    static desc_value outputs[] = {
        { .name = "g", .domain = MP_DOMAIN_NODE, .type = MP_F32, .rows = ROWS_DST, .rank = 1, .dims = { 0 }, .range = DESC_NONE } };
    static desc_need needs[] = { { DESC_NEED_SQUARE, "z" } };
    static uint32_t slots[] = { 0, 1 };
    static desc_buffer buffers[] = {
        { .kind = BUF_INPUT, .index = 0, .type = DESC_F32, .rows = ROWS(SRC), .elems = SLOT(0), .name = "h" },
        { .kind = BUF_OUTPUT, .index = 0, .type = DESC_F32, .rows = ROWS(DST), .elems = SLOT(0), .name = "g" },
        { .kind = BUF_WORK, .type = DESC_F32, .rows = ROWS(DST), .elems = SLOT(0), .first = 0, .last = 6, .name = "z" },
        { .kind = BUF_WORK, .type = DESC_F32, .rows = ROWS(DST), .elems = SLOT(0), .first = 2, .last = 4, .name = "next z" },
        { .kind = BUF_WORK, .type = DESC_F64, .rows = ROWS(ONE), .elems = FIXED(1), .first = 3, .last = 3, .name = "change" },
        { .kind = BUF_WORK, .type = DESC_F64, .rows = ROWS(ONE), .elems = FIXED(1), .first = 0, .last = 0, .name = "tol" },
        { .kind = BUF_GRAPH, .index = GRAPH_IN_SRC, .type = DESC_I32, .rows = ROWS(EDGES), .elems = FIXED(1), .name = "in.src" } };
    static desc_local acc[] = { LOCAL(SLOT(0)) };
    static desc_local most[] = { { .elems = FIXED(1), .copies = 1, .type = DESC_F64 } };
    static desc_kernel kernels[] = {
        { .name = "DRIFT_begin", .rows = ROWS(DST), .tile = 1, .row_cost = 1, .entry = 1 },
        { .name = "DRIFT_step", .rows = ROWS(DST), .fiber = { FIBER_IN, 0 }, .tile = 4, .row_cost = 1, .entry = 2, .n_scratch = 1,
          .scratch = acc },
        { .name = "DRIFT_change", .rows = ROWS(ONE), .fiber = { FIBER_ALL, ROWS_DST }, .tile = 1, .row_cost = 1, .entry = 3,
          .n_state = 1, .state = most },
        { .name = "DRIFT_end", .rows = ROWS(DST), .tile = 32, .row_cost = 1, .entry = 4 } };
    static desc_step steps[] = { { STEP_LAUNCH, 0, 0, false }, { STEP_LOOP, 0, 0, false }, { STEP_LAUNCH, 1, 0, false },
        { STEP_LAUNCH, 2, 0, false }, { STEP_SWAP, 2, 3, false }, { STEP_END, 0, 0, false }, { STEP_LAUNCH, 3, 0, false } };
    static desc_loop loops[] = { { .name = "z", .limit = SLOT(1), .until = true, .tol_buffer = 5, .change_buffer = 4 } };
    static desc_program programs[] = { { .kind = DESC_FORWARD, .n_slots = 2, .slots = slots, .n_buffers = COUNT(buffers),
        .buffers = buffers, .n_kernels = COUNT(kernels), .kernels = kernels, .n_steps = COUNT(steps), .steps = steps,
        .n_loops = 1, .loops = loops } };
    return (desc_layer){ .name = "DRIFT", .n_statics = 2, .statics = statics, .n_symbols = 2, .symbols = symbols, .n_dims = 3,
        .dims = dims, .n_inputs = 1, .inputs = inputs, .n_outputs = 1, .outputs = outputs, .n_needs = 1, .needs = needs,
        .n_programs = 1, .programs = programs };
}

/* REL and BUCKET share all but where the index comes from. */
static desc_static rel_statics[] = { DIM_STATIC("in", 0), DIM_STATIC("R", 1) };
static const char *rel_symbols[] = { "in", "R" };
static desc_dim rel_dims[] = { SYMBOL_DIM("in", term0), SYMBOL_DIM("R", term1) };
static desc_value rel_outputs[] = {
    { .name = "y", .domain = MP_DOMAIN_NODE, .type = MP_F32, .rows = ROWS_DST, .rank = 1, .dims = { 0 }, .range = DESC_NONE },
    { .name = "pairs", .domain = MP_DOMAIN_GLOBAL, .type = MP_F32, .rows = ROWS_ONE, .rank = 1, .dims = { 1 }, .range = DESC_NONE } };
static uint32_t rel_slots[] = { 0, 1 };
static desc_local rel_acc[] = { LOCAL(SLOT(0)) };

#define REL_BUFFERS(index_type, step0)                                                                                      \
    { .kind = BUF_INPUT, .index = 0, .type = DESC_F32, .rows = ROWS(SRC), .elems = SLOT(0), .name = "x" },                  \
    { .kind = BUF_INPUT, .index = 1, .type = index_type, .rows = ROWS(EDGES), .elems = FIXED(1), .name = "rel" },           \
    { .kind = BUF_OUTPUT, .index = 0, .type = DESC_F32, .rows = ROWS(DST), .elems = SLOT(0), .name = "y" },                 \
    { .kind = BUF_OUTPUT, .index = 1, .type = DESC_F32, .rows = ROWS(ONE), .elems = SLOT(1), .name = "pairs" },             \
    { .kind = BUF_WORK, .type = DESC_F32, .rows = ROWS(PAIRS), .elems = SLOT(0), .first = step0, .last = step0 + 1,         \
      .name = "by pair" },                                                                                                  \
    { .kind = BUF_PAIR_IDX, .type = DESC_I32, .rows = ROWS(PAIRS), .elems = FIXED(1), .name = "pair.idx" },                 \
    { .kind = BUF_PAIR_MEMBER, .type = DESC_I64, .rows = ROWS(EDGES), .elems = FIXED(1), .name = "pair.member" },           \
    { .kind = BUF_GRAPH, .index = GRAPH_IN_SRC, .type = DESC_I32, .rows = ROWS(EDGES), .elems = FIXED(1), .name = "in.src" },  \
    { .kind = BUF_PAIR_BY_INDEX, .type = DESC_I64, .rows = ROWS(PAIRS), .elems = FIXED(1), .name = "pair.by_index" }

#define REL_KERNELS                                                                                                         \
    { .name = "REL_pair", .rows = ROWS(PAIRS), .fiber = { FIBER_PAIR, 0 }, .tile = 1, .row_cost = 2, .entry = 5,            \
      .n_state = 1, .state = rel_acc },                                                                                     \
    { .name = "REL_base", .rows = ROWS(DST), .fiber = { FIBER_PAIR_BASE, 0 }, .tile = 1, .row_cost = 2, .entry = 6 },       \
    { .name = "REL_count", .rows = { ROWS_DIM, 1 }, .fiber = { FIBER_PAIR_INDEX, 0 }, .tile = 1, .row_cost = 2, .entry = 7 }

static desc_layer rel_layer(void)
{
    static desc_value inputs[] = {
        { .name = "x", .domain = MP_DOMAIN_NODE, .type = MP_F32, .rows = ROWS_SRC, .rank = 1, .dims = { 0 }, .range = DESC_NONE },
        { .name = "rel", .domain = MP_DOMAIN_EDGE, .type = MP_INDEX, .rows = ROWS_EDGES, .none = true, .range = 1 } };
    static desc_buffer buffers[] = { REL_BUFFERS(DESC_I32, 1) };
    static desc_kernel kernels[] = { REL_KERNELS };
    static desc_step steps[] = { { STEP_PAIRS, 0, 0, true }, { STEP_LAUNCH, 0, 0, false }, { STEP_LAUNCH, 1, 0, false },
                                 { STEP_LAUNCH, 2, 0, false } };
    static desc_pairs pairs[] = { { .base = { FIBER_IN, 0 }, .index_buffer = 1, .range = SLOT(1) } };
    static desc_program programs[] = { { .kind = DESC_FORWARD, .n_slots = 2, .slots = rel_slots, .n_buffers = COUNT(buffers),
        .buffers = buffers, .n_kernels = COUNT(kernels), .kernels = kernels, .n_steps = COUNT(steps), .steps = steps,
        .n_pairs = 1, .pairs = pairs } };
    return (desc_layer){ .name = "REL", .n_statics = 2, .statics = rel_statics, .n_symbols = 2, .symbols = rel_symbols,
        .n_dims = 2, .dims = rel_dims, .n_inputs = 2, .inputs = inputs, .n_outputs = 2, .outputs = rel_outputs,
        .n_programs = 1, .programs = programs };
}

static desc_layer bucket_layer(void)
{
    static desc_value inputs[] = {
        { .name = "x", .domain = MP_DOMAIN_NODE, .type = MP_F32, .rows = ROWS_SRC, .rank = 1, .dims = { 0 }, .range = DESC_NONE },
        { .name = "w", .domain = MP_DOMAIN_EDGE, .type = MP_F32, .rows = ROWS_EDGES, .range = DESC_NONE } };
    static desc_buffer buffers[] = { REL_BUFFERS(DESC_F32, 2),
        { .kind = BUF_WORK, .type = DESC_I32, .rows = ROWS(EDGES), .elems = FIXED(1), .walk_order = true, .first = 0, .last = 1,
          .name = "bucket" },
        { .kind = BUF_GRAPH, .index = GRAPH_IN_EID, .type = DESC_I64, .rows = ROWS(EDGES), .elems = FIXED(1), .name = "in.eid" } };
    static desc_kernel kernels[] = { REL_KERNELS,
        { .name = "BUCKET_index", .rows = ROWS(EDGES), .tile = 1, .row_cost = 1, .entry = 8 } };
    static desc_step steps[] = { { STEP_LAUNCH, 3, 0, false }, { STEP_PAIRS, 0, 0, false }, { STEP_LAUNCH, 0, 0, false },
                                 { STEP_LAUNCH, 1, 0, false }, { STEP_LAUNCH, 2, 0, false } };
    static desc_pairs pairs[] = { { .base = { FIBER_IN, 0 }, .index_buffer = 9, .range = SLOT(1) } };
    static desc_program programs[] = { { .kind = DESC_FORWARD, .n_slots = 2, .slots = rel_slots, .n_buffers = COUNT(buffers),
        .buffers = buffers, .n_kernels = COUNT(kernels), .kernels = kernels, .n_steps = COUNT(steps), .steps = steps,
        .n_pairs = 1, .pairs = pairs } };
    return (desc_layer){ .name = "BUCKET", .n_statics = 2, .statics = rel_statics, .n_symbols = 2, .symbols = rel_symbols,
        .n_dims = 2, .dims = rel_dims, .n_inputs = 2, .inputs = inputs, .n_outputs = 2, .outputs = rel_outputs,
        .n_programs = 1, .programs = programs };
}

static desc_layer edges_layer(void)
{
    static desc_static statics[] = { DIM_STATIC("k", 0) };
    static const char *symbols[] = { "k" };
    static desc_power squared = { 0, 2 };
    static desc_term two_k = { 2, 1, &power0 }, k_squared = { 1, 1, &squared };
    static desc_dim dims[] = { SYMBOL_DIM("k", term0), SYMBOL_DIM("2*k", two_k), SYMBOL_DIM("k**2", k_squared) };
    static desc_check checks[] = { { 2, 4, "the square of k" } };
    static desc_value inputs[] = {
        { .name = "e", .domain = MP_DOMAIN_EDGE, .type = MP_F32, .rows = ROWS_EDGES, .rank = 1, .dims = { 1 }, .range = DESC_NONE },
        { .name = "keep", .domain = MP_DOMAIN_EDGE, .type = MP_BOOL, .rows = ROWS_EDGES, .range = DESC_NONE },
        { .name = "s", .param = true, .domain = MP_DOMAIN_PARAM, .type = MP_F64, .rows = ROWS_ONE, .range = DESC_NONE,
          .init = { .kind = MP_INIT_ONES } } };
    static desc_value outputs[] = {
        { .name = "o", .domain = MP_DOMAIN_EDGE, .type = MP_F32, .rows = ROWS_EDGES, .rank = 1, .dims = { 1 }, .range = DESC_NONE } };
    static uint32_t slots[] = { 1 };
    static desc_buffer buffers[] = {
        { .kind = BUF_INPUT, .index = 0, .type = DESC_F32, .rows = ROWS(EDGES), .elems = SLOT(0), .walk_order = true, .name = "e" },
        { .kind = BUF_INPUT, .index = 1, .type = DESC_BOOL, .rows = ROWS(EDGES), .elems = FIXED(1), .walk_order = true, .name = "keep" },
        { .kind = BUF_INPUT, .index = 2, .type = DESC_F64, .rows = ROWS(ONE), .elems = FIXED(1), .name = "s" },
        { .kind = BUF_OUTPUT, .index = 0, .type = DESC_F32, .rows = ROWS(EDGES), .elems = SLOT(0), .walk_order = true, .name = "o" } };
    static desc_kernel kernels[] = { { .name = "EDGES_map", .rows = ROWS(EDGES), .tile = 1, .row_cost = 1, .entry = 9 } };
    static desc_step steps[] = { { STEP_LAUNCH, 0, 0, false } };
    static desc_program programs[] = { { .kind = DESC_FORWARD, .n_slots = 1, .slots = slots, .n_buffers = COUNT(buffers),
        .buffers = buffers, .n_kernels = 1, .kernels = kernels, .n_steps = 1, .steps = steps } };
    return (desc_layer){ .name = "EDGES", .n_statics = 1, .statics = statics, .n_symbols = 1, .symbols = symbols, .n_dims = 3,
        .dims = dims, .n_checks = 1, .checks = checks, .n_inputs = 3, .inputs = inputs, .n_outputs = 1, .outputs = outputs,
        .n_programs = 1, .programs = programs };
}

void *test_description(size_t *n_bytes)
{
    desc_layer layers[] = { spmm_layer(), drift_layer(), rel_layer(), bucket_layer(), edges_layer() };
    desc_module m = { COUNT(layers), layers };
    void *bytes = NULL;
    if (!description_write(&m, &bytes, n_bytes))
        abort();
    return bytes;
}

mp_module_v1 test_table(const void *bytes, size_t n_bytes)
{
    static const mp_kernel_entry entries[] = {
        { spmm_rows, spmm_piece }, { drift_begin, NULL }, { drift_step, NULL }, { drift_change, drift_change_piece },
        { drift_end, NULL }, { rel_pair, rel_pair_piece }, { rel_base, NULL }, { rel_count, NULL }, { bucket_index, NULL },
        { edges_rows, NULL },
    };
    static const mp_kernel_entry *const variants[] = { entries, entries };
    static const char *const features[] = { "", "no-such-feature" };
    return (mp_module_v1){ .abi_version = MP_ABI_VERSION, .n_variants = 2, .compiler = "by hand", .description = bytes,
        .description_bytes = n_bytes, .variant_features = features, .kernels = variants, .n_kernels = COUNT(entries) };
}
