/* See backend.h. */
#include "tests/prop/backend.h"

struct backend { int unused; };

backend *backend_new(const trial *t, buf *out)
{
    (void)t;
    buf_puts(out, "no backend\n");
    return NULL;
}

void backend_free(backend *b) { (void)b; }

verdict backend_compare(backend *b, arena *mem, const oracle *o, buf *out)
{
    (void)b, (void)mem, (void)o, (void)out;
    return V_SAME;
}
