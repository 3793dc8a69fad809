/* Before planning: forms of the IR that no kernel has are rewritten to ones that have.
 *
 *   agg(f, map_index i)     rows(spread(agg(f, map_pair(i, map_unit)))): compact over the values that occur
 *   count of a pair map     agg_sum of ones
 *   softmax left by passes  cannot be (the attention pass expands it)
 *
 * Also the values that a loop with `until` compares: the greatest |next - state| over all states. */
#include "compiler/plan/planner.h"

#include <stdarg.h>
#include <stdio.h>

#include "compiler/ir/rebuild.h"

void plan_fail(planner *pl, const char *fmt, ...)
{
    if (pl->why)
        return;
    char text[300];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    pl->why = arena_strdup(pl->mem, text);
}
