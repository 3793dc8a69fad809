/*
 * What poly.c builds and poly_eval.c and poly_print.c read. Not for others.
 */
#ifndef MPC_SUPPORT_POLY_INTERNAL_H
#define MPC_SUPPORT_POLY_INTERNAL_H

#include "compiler/support/poly.h"
#include "compiler/support/vec.h"

#define NOTHING UINT32_MAX                       /* no such monomial or polynomial */

typedef struct power { uint32_t symbol, exponent; } power;   /* exponent >= 1 */
typedef struct mono { const power *list; uint32_t n, degree; } mono;       /* by ascending symbol; empty: 1 */
typedef struct term { int64_t coef; uint32_t mono; } term;   /* coef is not 0 */
typedef struct poly { const term *terms; uint32_t n; } poly; /* descending; empty: 0 */
typedef struct quotient { uint32_t num, den; } quotient;     /* ids of polynomials */
typedef struct division { dim a, b; } division;

struct dim_table {
    arena *a;
    VEC(str) symbols;
    map symbols_by_name, division_set;
    VEC(mono) monos;
    VEC(poly) polys;
    VEC(quotient) dims;
    idset mono_set, poly_set, dim_set;
    uint32_t mono_one, poly_zero, poly_one;
    VEC(division) divisions;
    dim_why why;
};

#endif
