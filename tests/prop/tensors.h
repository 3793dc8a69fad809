/* The oracle's data as the runtime takes it: graphs, tensors of a value's shape, elements of their types. */
#ifndef TESTS_PROP_TENSORS_H
#define TESTS_PROP_TENSORS_H

#include "mp.h"
#include "tests/prop/oracle.h"

/* A hard graph as a graph of the context. */
mp_status tensors_graph(mp_context *ctx, arena *mem, const hard_graph *g, mp_graph **out);
/* Rows of a domain; 1 where the graph does not tell them. */
int64_t tensors_rows(const ir_layer *l, ir_dom d, const hard_graph *g);

typedef struct tensor { DLTensor dl; int64_t shape[1 + IR_MAX_RANK], strides[1 + IR_MAX_RANK]; } tensor;

/* wide: indices of 64 bits. */
DLDataType tensors_type(unsigned type, bool f64, bool wide);
/* Rows of a value in `rows` on the situation's graph, `gap` elements between them (0: compact). Returns elements without gaps. */
int64_t tensors_describe(tensor *t, const ir_layer *l, ir_val v, ir_dom rows, const situation *s, DLDataType type, void *data, int64_t gap);
void tensors_put(void *at, DLDataType t, int64_t i, double x);
double tensors_get(const void *at, DLDataType t, int64_t i);

#endif
