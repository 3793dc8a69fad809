/* Sums over short rows, s[h] += sum over k of v[h, k], of known sizes that are powers of two: [h, k] is one range
 * of vectors, and neighbours are added until one number is left of each row. */
#include "codegen/cpu/kernel_nest.h"

int kg_segment_vectors(const nest *n)
{
    int64_t kept = 1, reduced = 1;
    int reduced_axes = 0;
    for (int i = 0; i < n->n; i++) {
        const axis *a = &n->at[i];
        if (!a->extent.is_const || (a->extent.value & (a->extent.value - 1)) || a->extent.value == 0
            || a->extent.value > 1 << 12)
            return 0;
        *(a->reduce ? &reduced : &kept) *= a->extent.value;
        reduced_axes += a->reduce;
        if (kept * reduced > KG_UNROLL * (int64_t)n->width)
            return 0;
    }
    if (!n->by_lane || reduced_axes != 1 || kept < 2 || kept * reduced < n->width)
        return 0;
    return (int)(kept * reduced / n->width);
}

static LLVMValueRef every_other(kgen *g, LLVMValueRef a, LLVMValueRef b, int first)
{
    LLVMValueRef pick[KG_LANES];
    int lanes = emit_lanes(a), out = b ? lanes : lanes / 2;
    for (int l = 0; l < out; l++)
        pick[l] = emit_i32(g->e, 2 * l + first);
    if (out == 1)
        return emit_lane(g->e, a, first);
    return LLVMBuildShuffleVector(g->e->b, a, b ? b : LLVMGetPoison(LLVMTypeOf(a)),
                                  LLVMConstVector(pick, (unsigned)out), "");
}

void kg_sums_of_segments(kgen *g, nest *n, int vectors)
{
    for (int i = 0; i + 1 < n->n; i++)              /* the reduced axis is the inner one */
        if (n->at[i].reduce) {
            axis a = n->at[i];
            n->at[i] = n->at[i + 1];
            n->at[i + 1] = a;
        }
    int64_t length = n->at[n->n - 1].extent.value, kept = 1;
    for (int i = 0; i < n->n; i++)
        n->at[i].role = ROLE_VECTOR;
    for (int i = 0; i + 1 < n->n; i++)
        kept *= n->at[i].extent.value;
    kg_points(g, n, PART_VALUES, kg_new_points(g, vectors), kept * length, 0, vectors);
    int left = 0;
    for (uint32_t i = 0; i < n->n_body; i++) {
        red_op op = kg_reduction(n->body[i]->op);
        LLVMValueRef v[KG_UNROLL];
        for (int c = 0; c < vectors; c++)
            v[c] = n->temp[c * (int)n->n_body + (int)i];
        int64_t k = length;
        left = vectors;
        for (; k > n->width; k /= 2, left /= 2)     /* rows of several vectors: whole vectors first */
            for (int c = 0; c < left / 2; c++)
                v[c] = emit_combine(g->e, op, v[2 * c], v[2 * c + 1]);
        for (; k > 1; k /= 2) {
            if (left == 1) {
                v[0] = emit_combine(g->e, op, every_other(g, v[0], NULL, 0), every_other(g, v[0], NULL, 1));
                continue;
            }
            for (int c = 0; c < left / 2; c++)
                v[c] = emit_combine(g->e, op, every_other(g, v[2 * c], v[2 * c + 1], 0),
                                    every_other(g, v[2 * c], v[2 * c + 1], 1));
            left /= 2;
        }
        for (int c = 0; c < left; c++)
            n->temp[c * (int)n->n_body + (int)i] = v[c];
    }
    n->at[n->n - 1].role = ROLE_REDUCE;
    kg_points(g, n, PART_TAKE, kg_new_points(g, left), kept, 0, left);
}
