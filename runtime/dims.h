/*
 * Values of a layer's dims: from what the compiler fixed, what the caller gave, the shapes of bound tensors, and
 * defaults, in this order. Each value remembers where it came from, so that a contradiction can name both sides.
 */
#ifndef RUNTIME_DIMS_H
#define RUNTIME_DIMS_H

#include "runtime/context.h"
#include "runtime/description.h"

typedef enum dim_origin_kind { DIM_OPEN, DIM_GIVEN, DIM_DEFAULT, DIM_SHAPE } dim_origin_kind;
typedef struct dim_origin {
    dim_origin_kind kind;
    const char *value;              /* DIM_SHAPE: name of the input or output */
} dim_origin;

/* By symbol of the layer. */
typedef struct dim_values {
    uint32_t n;
    int64_t *value;
    bool *known;
    dim_origin *origin;
} dim_values;

/* The shape of a bound tensor, without its rows, says that dims[i] of the value are these. */
typedef struct dim_shape {
    const desc_value *value;
    const int64_t *shape;           /* as bound, rows included */
    int rank;                       /* rows included */
} dim_shape;

bool dim_values_make(mp_context *ctx, uint32_t n, dim_values *v);       /* all open */
void dim_values_free(mp_context *ctx, dim_values *v);
void dim_values_copy(dim_values *to, const dim_values *from);           /* of the same n */

/* Adds to `v` what the shapes say, and checks that they agree with it and with each other. MP_INVALID names layer,
 * value, expected and given shape. */
mp_status dims_from_shapes(mp_context *ctx, const desc_layer *l, const dim_shape *shapes, uint32_t n, dim_values *v);

/* The same, then defaults for what is open (each may let shapes say more). Symbols may stay open. */
mp_status dims_settle(mp_context *ctx, const desc_layer *l, const dim_shape *shapes, uint32_t n, dim_values *v);

/* That divisions leave no remainder and dims are as large as they must be, as far as they have values. */
mp_status dims_check(mp_context *ctx, const desc_layer *l, const dim_values *v);

/* The value of a dim. MP_INVALID says which dim cannot be known and what would settle it. */
mp_status dims_eval(mp_context *ctx, const desc_layer *l, uint32_t dim, const dim_values *v, int64_t *out);

/* "[nodes, in, 8]": the shape as the user knows it, rows included. */
const char *dims_shape_text(const desc_layer *l, const desc_value *v, char *buf, size_t size);
const char *dims_rows_text(const desc_value *v);                        /* "nodes"; "" without rows */
static inline bool desc_value_has_rows(const desc_value *v) { return v->rows != ROWS_ONE; }

#endif
