/* The graphs on which `mpc check` tries a layer when it is given none: small ones, each hard in a way of its own. */
#ifndef MPC_DRIVER_CHECK_GRAPHS_H
#define MPC_DRIVER_CHECK_GRAPHS_H

#include <stdbool.h>
#include "mp.h"

enum { CHECK_GRAPHS = 9 };

/* "scattered", "batch", "hub", ...; number < CHECK_GRAPHS. */
const char *check_graph_name(int number);
/* Of two sides of their own, rather than one set of nodes (or a block, whose destinations are among its sources). */
bool check_graph_two_sided(int number);
/* A layer may refuse it: it wants a square graph, or degrees that a block does not know. */
bool check_graph_is_block(int number);
mp_status check_graph_make(mp_context *ctx, int number, uint64_t seed, mp_graph **out);

#endif
