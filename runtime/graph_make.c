/*
 * Graphs by formula: complete, R-MAT (Chakrabarti, Zhan and Faloutsos, SDM 2004), Erdos-Renyi with a given number of
 * edges, and Zachary's karate club. Each edge draws from the counter-based generator at its own place, so a description
 * means the same graph everywhere.
 */
#include <ctype.h>
#include <string.h>

#include "runtime/context.h"
#include "runtime/graph_read.h"
#include "runtime/random.h"

enum { MAX_NODES = 0x7fffffff, PART = 1 << 14, RMAT_MAX_SCALE = 30 };

/* n numbers separated by commas, and nothing else. */
static bool take_numbers(const char *p, uint64_t *out, int n)
{
    for (int i = 0; i < n; i++) {
        uint64_t v = 0;
        if (i && *p++ != ',')
            return false;
        if (!isdigit((unsigned char)*p))
            return false;
        for (; isdigit((unsigned char)*p); p++) {
            if (__builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
                return false;
        }
        out[i] = v;
    }
    return *p == 0;
}

static mp_status bad_spec(mp_context *ctx, const char *spec, const char *form)
{
    return error_set(ctx, MP_INVALID, "'%s' is not of the form %s", spec, form);
}

mp_status graph_make_complete(mp_context *ctx, const char *spec, const char *args, graph_source *s)
{
    uint64_t n;
    if (!take_numbers(args, &n, 1))
        return bad_spec(ctx, spec, "complete:NODES");
    if (n > MAX_NODES)
        return error_set(ctx, MP_INVALID, "'%s': at most %d nodes are possible", spec, MAX_NODES);
    *s = (graph_source){ .n_src = (int64_t)n, .n_dst = (int64_t)n, .n_edges = (int64_t)(n * n), .n_known = true, .complete = true };
    return MP_OK;
}

typedef struct maker {
    graph_source *s;
    uint64_t seed;
    int scale;          /* of R-MAT */
} maker;

enum { STREAM_RMAT = 1, STREAM_ER = 2 };

/* One level of the recursion by 32 random bits: quarters of probability .57 .19 .19 .05. */
static void rmat_level(uint32_t bits, uint32_t *src, uint32_t *dst)
{
    const uint32_t a = 2448131359u /* .57 * 2^32 */, ab = 3264175145u /* .76 */, abc = 4080218931u /* .95 */;
    *src = *src << 1 | (bits >= ab);
    *dst = *dst << 1 | ((bits >= a && bits < ab) || bits >= abc);
}

static void rmat_part(void *arg, int64_t part, int thread)
{
    (void)thread;
    const maker *m = arg;
    int64_t blocks = (m->scale + 3) / 4, end = (part + 1) * PART;
    for (int64_t e = part * PART; e < end && e < m->s->n_edges; e++) {
        uint32_t src = 0, dst = 0, bits[4];
        for (int level = 0; level < m->scale; level++) {
            if (level % 4 == 0)
                random_block(m->seed, STREAM_RMAT, (uint64_t)(e * blocks + level / 4), bits);
            rmat_level(bits[level % 4], &src, &dst);
        }
        m->s->src[e] = (int32_t)src;
        m->s->dst[e] = (int32_t)dst;
    }
}

static void er_part(void *arg, int64_t part, int thread)
{
    (void)thread;
    const maker *m = arg;
    int64_t end = (part + 1) * PART;
    for (int64_t e = part * PART; e < end && e < m->s->n_edges; e++) {
        uint32_t b[4];
        random_block(m->seed, STREAM_ER, (uint64_t)e, b);
        m->s->src[e] = (int32_t)(((unsigned __int128)((uint64_t)b[0] << 32 | b[1]) * (uint64_t)m->s->n_src) >> 64);
        m->s->dst[e] = (int32_t)(((unsigned __int128)((uint64_t)b[2] << 32 | b[3]) * (uint64_t)m->s->n_dst) >> 64);
    }
}

static mp_status make(mp_context *ctx, graph_source *s, uint64_t n, uint64_t n_edges, pool_fn part, maker *m)
{
    s->n_src = s->n_dst = (int64_t)n;
    s->n_known = true;
    mp_status st = graph_source_edges(ctx, s, n_edges > INT64_MAX ? INT64_MAX : (int64_t)n_edges, false);
    if (!st)
        pool_run(ctx->pool, (s->n_edges + PART - 1) / PART, part, m);
    return st;
}

mp_status graph_make_rmat(mp_context *ctx, const char *spec, const char *args, graph_source *s)
{
    uint64_t v[3];
    if (!take_numbers(args, v, 3))
        return bad_spec(ctx, spec, "rmat:SCALE,EDGES,SEED");
    if (v[0] > RMAT_MAX_SCALE)
        return error_set(ctx, MP_INVALID, "'%s': the scale is at most %d", spec, RMAT_MAX_SCALE);
    maker m = { .s = s, .seed = v[2], .scale = (int)v[0] };
    return make(ctx, s, (uint64_t)1 << v[0], v[1], rmat_part, &m);
}

mp_status graph_make_er(mp_context *ctx, const char *spec, const char *args, graph_source *s)
{
    uint64_t v[3];
    if (!take_numbers(args, v, 3))
        return bad_spec(ctx, spec, "er:NODES,EDGES,SEED");
    if (v[0] > MAX_NODES || (v[0] == 0 && v[1] > 0))
        return error_set(ctx, MP_INVALID, "'%s': %s", spec, v[0] ? "too many nodes" : "edges need nodes");
    maker m = { .s = s, .seed = v[2] };
    return make(ctx, s, v[0], v[1], er_part, &m);
}

/* Zachary, "An information flow model for conflict and fission in small groups", 1977: the friends of each member, and
 * the members who went with the instructor (0) and with the administrator (1). */
static const uint8_t karate_friends[34][18] = {
    { 16, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 17, 19, 21, 31 },
    { 9, 0, 2, 3, 7, 13, 17, 19, 21, 30 },
    { 10, 0, 1, 3, 7, 8, 9, 13, 27, 28, 32 },
    { 6, 0, 1, 2, 7, 12, 13 },
    { 3, 0, 6, 10 },
    { 4, 0, 6, 10, 16 },
    { 4, 0, 4, 5, 16 },
    { 4, 0, 1, 2, 3 },
    { 5, 0, 2, 30, 32, 33 },
    { 2, 2, 33 },
    { 3, 0, 4, 5 },
    { 1, 0 },
    { 2, 0, 3 },
    { 5, 0, 1, 2, 3, 33 },
    { 2, 32, 33 },
    { 2, 32, 33 },
    { 2, 5, 6 },
    { 2, 0, 1 },
    { 2, 32, 33 },
    { 3, 0, 1, 33 },
    { 2, 32, 33 },
    { 2, 0, 1 },
    { 2, 32, 33 },
    { 5, 25, 27, 29, 32, 33 },
    { 3, 25, 27, 31 },
    { 3, 23, 24, 31 },
    { 2, 29, 33 },
    { 4, 2, 23, 24, 33 },
    { 3, 2, 31, 33 },
    { 4, 23, 26, 32, 33 },
    { 4, 1, 8, 32, 33 },
    { 6, 0, 24, 25, 28, 32, 33 },
    { 12, 2, 8, 14, 15, 18, 20, 22, 23, 29, 30, 31, 33 },
    { 17, 8, 9, 13, 14, 15, 18, 19, 20, 22, 23, 26, 27, 28, 29, 30, 31, 32 },
};

static const uint8_t karate_side[34] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1, 0, 0, 1, 0, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1
};

mp_status graph_make_karate(mp_context *ctx, graph_source *s)
{
    enum { N = 34, E = 156 };
    s->n_src = s->n_dst = N;
    s->n_known = true;
    mp_status st = graph_source_edges(ctx, s, E, false);
    if (st)
        return st;
    s->labels = mem_array(ctx, N, sizeof *s->labels, "labels");
    if (!s->labels)
        return MP_SYSTEM;
    int64_t e = 0;
    for (int i = 0; i < N; i++) {
        s->labels[i] = karate_side[i];
        for (int k = 1; k <= karate_friends[i][0]; k++, e++) {
            s->src[e] = i;
            s->dst[e] = karate_friends[i][k];
        }
    }
    return MP_OK;
}
