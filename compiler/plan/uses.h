/* Which buffers a kernel reads and writes. */
#ifndef MPC_PLAN_USES_H
#define MPC_PLAN_USES_H

#include "compiler/plan/kernel.h"

typedef struct kuses { bool *read, *written; } kuses;      /* by buffer */

/* In arena `a`. */
kuses kernel_uses(const kplan *p, uint32_t kernel, arena *a);

#endif
