/* mpc check: the layer's code beside the reference interpreter, on the same data. */
#include "compiler/driver/session.h"

exit_status cmd_check(const cli_options *o)
{
    session s;
    exit_status st = session_open(o, &s);
    session_close(&s);
    return st;
}
