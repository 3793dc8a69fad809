/* Does a plan hold together? Run after planning: a back end takes a verified plan as it is. */
#ifndef MPC_PLAN_VERIFY_H
#define MPC_PLAN_VERIFY_H

#include "compiler/plan/kernel.h"

/* NULL when it does; otherwise what is wrong first, in `mem`. */
const char *plan_verify(const kplan *p, arena *mem);

#endif
