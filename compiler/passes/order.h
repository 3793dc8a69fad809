/* The cheapest order of a product: which factors to multiply first, where, and when to sum over the
 * members.
 *
 * The problem is abstract: factors are sets of letters with a home. Nothing of the IR is touched, so that
 * thousands of orders can be looked at; product.c states the problem and carries out the solution.
 *
 * Homes of the members' domain: 0 the unit domain, 1 the members themselves, the others codomains of maps.
 * A sum goes straight to its groups or by way of a finer grouping (pairs of group and index; nodes, on the
 * way from edges to graphs). After it, factors that are the same for a group are multiplied there. */
#ifndef MPC_PASSES_ORDER_H
#define MPC_PASSES_ORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "compiler/passes/term.h"

enum {
    ORDER_FACTORS = 8,
    ORDER_HOMES = 14,
    ORDER_WAYS = 5,
    ORDER_STEPS = 2 * ORDER_FACTORS,
    HOME_UNIT = 0,
    HOME_LOCAL = 1
};

typedef struct order_factor {
    letters at;
    uint8_t home;
    bool inverse;               /* divides */
    bool computed;              /* has to be stored before it is gathered */
    double steps;               /* how often it changes: steps of the loops it depends on */
} order_factor;

typedef struct order_way {      /* way 0 is straight: to the groups themselves */
    double rows;                /* of the domain it leads to */
    double byte;
    uint8_t home[ORDER_HOMES];  /* of a factor after it; ORDER_NO if it varies among the members summed */
} order_way;

/* homes on the way: codomain of the rest, of the index */
enum { ORDER_NO = 255, AFTER_REST = 2, AFTER_KIND = 3 };

typedef struct order_problem {
    double size[TERM_LETTERS];  /* dims of letters */
    letters out;
    uint32_t n;
    order_factor f[ORDER_FACTORS];
    uint32_t n_homes;
    double rows[ORDER_HOMES], byte[ORDER_HOMES];
    bool kind[ORDER_HOMES];     /* an index domain: a matrix for each kind */
    uint8_t join[ORDER_HOMES][ORDER_HOMES];     /* where both live */
    bool edges;                 /* the members are edges */
    bool sums;                  /* over members, by the ways */
    uint32_t n_ways;
    order_way way[ORDER_WAYS];
    double group_rows;
} order_problem;

typedef enum { STEP_MERGE, STEP_SUM, STEP_REST } order_kind;

typedef struct order_step {
    order_kind kind;
    /* MERGE: j into i; the last factor takes j's place. SUM: i is the factor that is summed */
    uint8_t i, j;
    uint8_t home;               /* MERGE: where */
    uint8_t way;                /* SUM */
} order_step;

typedef struct order {
    double cost;
    uint32_t n;
    order_step at[ORDER_STEPS];
} order;

/* False when no order was found in time. */
bool order_find(const order_problem *p, order *best);

/* Problems come again, sweep after sweep: those solved before are looked up. The problem's padding counts:
 * it is made in zeroed memory. */
typedef struct order_memo order_memo;
order_memo *order_memo_new(arena *mem);
bool order_find_again(order_memo *memo, const order_problem *p, order *best);

#endif
