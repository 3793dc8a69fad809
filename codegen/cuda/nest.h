/* A loop nest while it is written: shared by nest.c (how each mode is written), nest_point.c (loop variables as functions of
 * lane and point) and nest_store.c (elements and sums to where they belong). */
#ifndef MPC_CODEGEN_CUDA_NEST_H
#define MPC_CODEGEN_CUDA_NEST_H

#include "codegen/cuda/cuda_gen.h"

static inline const char *cg_lane(const cgen *g) { return g->lanes > 1 ? "lane" : "0"; }

/* nest_point.c: axes that are bound, and what cg_unbind_axes sets back. */
typedef struct bound { binding old[CG_LOOPS]; uint32_t point, point0, vector_var; int chunk, elem; int from, to; } bound;

/* The axes from..to are bound to what lane and point make of them; f is the element at v = 0 (of heads: the head). */
bound cg_bind_point(cgen *g, const nest *n, int from, int to, const char *f, int chunk, int v);
/* The kept axes of heads in a chunk: the same for all its elements. */
bound cg_bind_head(cgen *g, const nest *n, int chunk);
/* Constants: element f of the axes from..to. */
bound cg_bind_constants(cgen *g, const nest *n, int from, int to, int64_t f);
void cg_unbind_axes(cgen *g, const nest *n, const bound *b);
/* Axes of extent 1 are no axes of a nest: their variables are 0 throughout. */
void cg_bind_ones(cgen *g, const nest *n);
/* Opens a loop over the axes from..to as one range and binds them: over all of it, or lane by lane. */
typedef enum range_by { BY_ONE, BY_LANE } range_by;
bound cg_open_range(cgen *g, const nest *n, int from, int to, range_by by);
void cg_close_range(cgen *g, const nest *n, const bound *b);

/* Number of the first element that this lane holds in a chunk; the head it belongs to; the condition that picks the lane which
 * writes a head's element to memory, in the chunk where the head begins. */
const char *cg_first(cgen *g, int chunk);
const char *cg_head(cgen *g, int chunk);
const char *cg_owns_head(cgen *g, int chunk);
/* Opens the guard of a chunk's element v where the nest ends inside; what is loaded then stays inside, too. */
bool cg_open_guard(cgen *g, int64_t total, int chunk, int v);
void cg_close_guard(cgen *g, bool open);

/* nest_store.c: lanes meet where these statements need what other lanes wrote. */
void cg_meet(cgen *g, knode *const *body, uint32_t n, kx cond);
/* dest = v, or dest = dest op v, for one element. Only one lane comes here for memory, or (guarded) is let in: `who`. */
void cg_put(cgen *g, const knode *s, const char *v);
void cg_put_guarded(cgen *g, const knode *s, const char *v, const char *who);
/* May the elements of a point be stored together? Then that. */
bool cg_stores_vector(cgen *g, const knode *s);
void cg_put_vector(cgen *g, const knode *s, const char *const *v);
/* A sum of a statement's values: its name; one value more, here; over lanes whose numbers differ below `lanes`, all of which
 * have it then. */
const char *cg_begin_sum(cgen *g, const knode *s);
void cg_add(cgen *g, const knode *s, const char *sum);
void cg_across(cgen *g, const knode *s, const char *sum, int lanes);

#endif
