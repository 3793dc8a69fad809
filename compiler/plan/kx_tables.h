/* What the constructors of the plan share: its hash table, facts beside expressions, growing arrays. */
#ifndef MPC_PLAN_KX_TABLES_H
#define MPC_PLAN_KX_TABLES_H

#include "compiler/plan/kernel.h"
#include "compiler/support/map.h"

struct kx_fact;

struct kx_tables {
    idset set;
    struct kx_fact *facts;              /* by expression */
};

/* Room for one more entry in an array of n; returns where it is now. */
void *kx_grow(arena *a, void *at, uint32_t n, size_t size);

#endif
