/* Along maps: gather, aggregates, softmax and positions. Members come in their order; a member that the
 * map sends nowhere is in no group. */
#include "compiler/ir/interp_int.h"

#include <math.h>

static int64_t group_of(const interp_array *along, int64_t member) { return (int64_t)along->at[member]; }

void run_gather(run *x, ir_val v, double *out, int64_t rows)
{
    const interp_array *along = array_of(x, arg_of(x, v, 1));
    int64_t w = array_of(x, v)->n / (rows ? rows : 1);
    for (int64_t m = 0; m < rows; m++) {
        int64_t from = group_of(along, m);
        for (int64_t j = 0; from >= 0 && j < w; j++)
            out[m * w + j] = array_of(x, arg_of(x, v, 0))->at[from * w + j];
    }
}

/* Number of members of each group, in the scratch arena. */
static int64_t *group_sizes(run *x, const interp_array *along, int64_t groups)
{
    int64_t *n = arena_alloc_array(x->scratch, (size_t)groups, sizeof *n);
    for (int64_t m = 0; m < along->n; m++)
        if (along->at[m] >= 0)
            n[group_of(along, m)]++;
    return n;
}

/* Is b to be taken instead of a, where the greater wins (or the lesser), and the first NaN over all? */
static bool beats(double b, double a, bool greater)
{
    if (isnan(a))
        return false;
    return isnan(b) || (greater ? b > a : b < a);
}

/* The greatest member of each group, element by element; 0 for an empty one. */
static double *group_greatest(run *x, ir_val s, const interp_array *along, int64_t groups, int64_t w)
{
    double *max = arena_alloc_array(x->scratch, (size_t)(groups * w), sizeof *max);
    uint8_t *any = arena_alloc_array(x->scratch, (size_t)groups, 1);
    for (int64_t m = 0; m < along->n; m++) {
        int64_t g = group_of(along, m);
        if (g < 0)
            continue;
        for (int64_t j = 0; j < w; j++) {
            double a = array_of(x, s)->at[m * w + j];
            if (!any[g] || beats(a, max[g * w + j], true))
                max[g * w + j] = a;
        }
        any[g] = 1;
    }
    return max;
}

/* e^(s - greatest) of each member, and in `sum` its sum over the group. */
static double *shifted_exps(run *x, ir_val s, const interp_array *along, int64_t groups, int64_t w, double *sum)
{
    unsigned type = node_of(x, s)->type;
    const double *max = group_greatest(x, s, along, groups, w);
    double *e = arena_alloc_array(x->scratch, (size_t)(along->n * w), sizeof *e);
    for (int64_t m = 0; m < along->n; m++) {
        int64_t g = group_of(along, m);
        for (int64_t j = 0; g >= 0 && j < w; j++) {
            double shifted = run_keep(x, type, array_of(x, s)->at[m * w + j] - max[g * w + j]);
            e[m * w + j] = run_keep(x, type, exp(shifted));
            sum[g * w + j] = run_keep(x, type, sum[g * w + j] + e[m * w + j]);
        }
    }
    return e;
}

void run_softmax(run *x, ir_val v, double *out, int64_t rows)
{
    const interp_array *along = array_of(x, arg_of(x, v, 1));
    int64_t w = array_of(x, v)->n / (rows ? rows : 1), groups = run_rows(x, node_of(x, arg_of(x, v, 1))->u.cod);
    double *sum = arena_alloc_array(x->scratch, (size_t)(groups * w), sizeof *sum);
    const double *e = shifted_exps(x, arg_of(x, v, 0), along, groups, w, sum);
    for (int64_t m = 0; m < rows; m++) {
        int64_t g = group_of(along, m);
        for (int64_t j = 0; g >= 0 && j < w; j++)
            out[m * w + j] = run_keep(x, node_of(x, v)->type, e[m * w + j] / sum[g * w + j]);
    }
}

static void run_softsum(run *x, ir_val v, double *out, int64_t groups)
{
    ir_val s = arg_of(x, v, 0), value = arg_of(x, v, 1);
    const interp_array *along = array_of(x, arg_of(x, v, 2));
    unsigned type = node_of(x, v)->type;
    int64_t ws = run_extent(x, s).n, w = run_extent(x, value).n, each = ws ? w / ws : 0;
    double *sum = arena_alloc_array(x->scratch, (size_t)(groups * ws), sizeof *sum);
    const double *e = shifted_exps(x, s, along, groups, ws, sum);
    for (int64_t m = 0; m < along->n; m++) {
        int64_t g = group_of(along, m);
        for (int64_t j = 0; g >= 0 && j < w; j++) {
            double share = run_keep(x, type, e[m * ws + j / each] / sum[g * ws + j / each]);
            double part = run_keep(x, type, share * array_of(x, value)->at[m * w + j]);
            out[g * w + j] = run_keep(x, type, out[g * w + j] + part);
        }
    }
}

/* Biased variance in two walks: the mean, then the squares about it. */
static void run_var(run *x, ir_val v, double *out, int64_t groups, int64_t w)
{
    const interp_array *along = array_of(x, arg_of(x, v, 1));
    unsigned type = node_of(x, v)->type;
    const int64_t *size = group_sizes(x, along, groups);
    double *mean = arena_alloc_array(x->scratch, (size_t)(groups * w), sizeof *mean);
    double *first = arena_alloc_array(x->scratch, (size_t)(groups * w), sizeof *first);
    for (int64_t m = along->n; m-- > 0;)
        for (int64_t j = 0; group_of(along, m) >= 0 && j < w; j++)
            first[group_of(along, m) * w + j] = array_of(x, arg_of(x, v, 0))->at[m * w + j];
    for (int pass = 0; pass < 2; pass++) {
        double *to = pass ? out : mean;
        for (int64_t m = 0; m < along->n; m++) {
            int64_t g = group_of(along, m);
            for (int64_t j = 0; g >= 0 && j < w; j++) {
                double a = array_of(x, arg_of(x, v, 0))->at[m * w + j];
                if (pass) {
                    a = run_keep(x, type, a - mean[g * w + j]);
                    a = run_keep(x, type, a * a);
                } else {                        /* from the first on: the mean of equal members is that number */
                    a = run_keep(x, type, a - first[g * w + j]);
                }
                to[g * w + j] = run_keep(x, type, to[g * w + j] + a);
            }
        }
        for (int64_t i = 0; i < groups * w; i++)
            if (size[i / w])
                to[i] = run_keep(x, type, (pass ? 0 : first[i]) + run_keep(x, type, to[i] / (double)size[i / w]));
    }
}

/* One member joins its group, which has n before it. */
static double joined(const run *x, const ir_node *n, double before, double a, int64_t size, double position_of_best, double *best)
{
    switch (n->op) {
    case OP_AGG_SUM: return run_keep(x, n->type, before + a);
    case OP_AGG_PROD: return run_keep(x, n->type, before * a);
    case OP_AGG_ANY: return before != 0 || a != 0;
    case OP_AGG_ALL: return before != 0 && a != 0;
    case OP_AGG_MAX: return size == 0 || beats(a, before, true) ? a : before;
    case OP_AGG_MIN: return size == 0 || beats(a, before, false) ? a : before;
    default:                                    /* agg_argmax, agg_argmin: `before` is a position */
        if (size && !beats(a, *best, n->op == OP_AGG_ARGMAX))
            return before;
        *best = a;
        return position_of_best;
    }
}

static double over_nothing(unsigned op)
{
    return op == OP_AGG_PROD || op == OP_AGG_ALL ? 1 : op == OP_AGG_ARGMAX || op == OP_AGG_ARGMIN ? -1 : 0;
}

void run_agg(run *x, ir_val v, double *out, int64_t rows)
{
    const ir_node *n = node_of(x, v);
    const interp_array *along = array_of(x, n->args[n->nargs - 1]);
    int64_t w = rows ? array_of(x, v)->n / rows : 0;
    if (n->op == OP_AGG_SOFTSUM) {
        run_softsum(x, v, out, rows);
        return;
    }
    if (n->op == OP_AGG_VAR) {
        run_var(x, v, out, rows, w);
        return;
    }
    if (n->op == OP_AGG_EXPSUM) {
        shifted_exps(x, n->args[0], along, rows, w, out);
        return;
    }
    int64_t *size = arena_alloc_array(x->scratch, (size_t)rows, sizeof *size);
    double *best = arena_alloc_array(x->scratch, (size_t)(rows * w), sizeof *best);
    for (int64_t i = 0; i < rows * w; i++)
        out[i] = over_nothing(n->op);
    for (int64_t m = 0; m < along->n; m++) {
        int64_t g = group_of(along, m);
        if (g < 0)
            continue;
        for (int64_t j = 0; j < w; j++) {
            double a = array_of(x, n->args[0])->at[m * w + j];
            out[g * w + j] = joined(x, n, out[g * w + j], a, size[g], (double)size[g], &best[g * w + j]);
        }
        size[g]++;
    }
}

void run_position(run *x, ir_val v, double *out, int64_t rows)
{
    ir_val along = arg_of(x, v, 0);
    int64_t *size = arena_alloc_array(x->scratch, (size_t)run_rows(x, node_of(x, along)->u.cod), sizeof *size);
    for (int64_t m = 0; m < rows; m++) {
        int64_t g = group_of(array_of(x, along), m);
        out[m] = g < 0 ? -1 : (double)size[g]++;
    }
}
