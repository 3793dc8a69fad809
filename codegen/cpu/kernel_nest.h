/* A nest of loops over feature axes, while it is written: shared by kernel_loops.c (vectors and the loops around
 * them), kernel_axes.c (which axis becomes vectors), kernel_point.c (what is written for a point) and
 * kernel_segments.c (sums over short rows). A point is one vector; where the sizes are known and small, several
 * points of a nest are written one after the other. */
#ifndef MPC_CODEGEN_CPU_KERNEL_NEST_H
#define MPC_CODEGEN_CPU_KERNEL_NEST_H

#include "codegen/cpu/kernel_gen.h"

enum { MOST_LOOPS = IR_MAX_RANK + 2, MOST_STATEMENTS = 64 };

typedef enum { ROLE_OUTER, ROLE_VECTOR, ROLE_REDUCE } role;

typedef struct axis {
    uint32_t var;
    kdim extent;
    bool reduce;
    role role;
} axis;

typedef struct nest {
    knode *const *body;         /* statements */
    uint32_t n_body;
    kx cond;                    /* of an IFANY: then there are no statements */
    LLVMValueRef any;           /* its variable: was it true? */
    axis at[MOST_LOOPS];        /* axes of extent 1 are left out */
    int n;
    int width;                  /* lanes of a whole vector */
    bool doubled;               /* which is two of the machine's */
    int most;                   /* vectors that are written one after the other */
    bool sums;                  /* there are reduced axes */
    bool by_lane;               /* the vector axis is a reduced one */
    LLVMValueRef temp[MOST_STATEMENTS * KG_UNROLL];     /* running sums: by point, by statement */
    int points;                 /* in flight: first << 8 | count */
    int64_t unrolled;           /* times that what is inside is written so far */
} nest;

/* kernel_axes.c: width and roles of the axes, which are set; by_lane. */
void kg_choose_axes(kgen *g, nest *n);

/* kernel_point.c: what of a nest is written for its point number `point`. */
typedef enum part {
    PART_ALL,                   /* the statements as they are */
    PART_BEGIN,                 /* sums: as they are before the reduced loops, */
    PART_STEP,                  /* one term more, */
    PART_END,                   /* to their destinations */
    PART_VALUES,                /* the values, to `temp` */
    PART_TAKE                   /* from there to the destinations */
} part;
void kg_part(kgen *g, nest *n, part what, int point);
red_op kg_reduction(ir_op op);

/* kernel_loops.c: elements of the range of the vector axes; -1: not known. */
int64_t kg_nest_total(const nest *n);
/* Numbers for so many more points: the first of them. */
uint32_t kg_new_points(kgen *g, int count);
/* A part for the points first .. first + count of the range of the vector axes, whose sizes are known. Each point
 * keeps its number (base + its place) while the nest is written, so that what was computed for one part is there
 * for the next. */
void kg_points(kgen *g, nest *n, part what, uint32_t base, int64_t total, int first, int count);

/* kernel_segments.c: how many vectors there are; 0 where this form does not fit. */
int kg_segment_vectors(const nest *n);
void kg_sums_of_segments(kgen *g, nest *n, int vectors);

#endif
