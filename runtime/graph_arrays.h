/*
 * A graph's arrays as compiled kernels read them (mp_graph_array of abi.h), in the types that are promised there. Each
 * is made at the first need, once, and lives with the graph; what the graph has in that type already is not copied.
 */
#ifndef RUNTIME_GRAPH_ARRAYS_H
#define RUNTIME_GRAPH_ARRAYS_H

#include "runtime/abi.h"
#include "runtime/graph.h"

mp_status graph_array(mp_graph *g, mp_graph_array which, const void **out);

#endif
