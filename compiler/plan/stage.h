/* Inside of staging: the anchors (anchors.c), what each reads (reads.c), and what follows from it (stage.c). */
#ifndef MPC_PLAN_STAGE_H
#define MPC_PLAN_STAGE_H

#include "compiler/plan/planner.h"

/* Makes pl->anchors for what is stored by now. */
void anchors_make(planner *pl);

/* The way down from an anchor to what is at hand, a value at a time. */
typedef struct task { ir_val v; at where; } task;

typedef struct visit {
    planner *pl;
    anchor *a;                /* valid while no anchor is added */
    VEC(task) todo;
    bool begun;
    int least;                /* stage at least */
    VEC(uint32_t) post;       /* anchors of aggregates that are read at the own row after the walk */
} visit;

visit visit_begin(planner *pl, anchor *a);
/* The next value on the way; false at its end, or when there can be no plan. */
bool visit_next(visit *v, task *t);

#endif
