/* A product taken apart: factors, the letters that are summed, and at most one sum over the members of
 * groups. */
#ifndef MPC_PASSES_PRODUCT_H
#define MPC_PASSES_PRODUCT_H

#include "compiler/passes/order.h"

typedef struct factor {
    term t;                     /* a value of the members' domain, or of the unit's */
    ir_val atom;                /* what it was before it was gathered to the members */
    bool inverse;
    bool outside;               /* stood outside of the sum over members */
    bool summed;                /* holds the sum over members */
    /* came out of the sum and may be no finite number where there are no members */
    bool wild;
    bool tainted;               /* stood outside, and the same: it shows where there are no members, too */
} factor;

typedef struct product {
    uint8_t names[IR_MAX_RANK]; /* letters of the result's axes */
    uint32_t rank;
    letters out;
    ir_val map;                 /* of the sum over members, or none */
    ir_dom members;             /* domain of the factors */
    uint32_t n;
    factor f[ORDER_FACTORS];
    bool minus;
    dim times;                  /* of summed letters that no factor has */
} product;

/* False: v is no product, or has too many factors. With `deep` contractions and gathers of products are
 * taken apart as well; otherwise they are factors. */
bool product_take(rewriter *r, ir_val v, bool deep, product *p);

#endif
