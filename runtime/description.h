/*
 * The description of a module: what the runtime must know of each compiled layer, as data. A compiler fills in the
 * structs below and description_write makes one block of bytes of them; the block stands in the module beside the
 * kernels (abi.h), and description_read makes the structs again.
 *
 * The bytes are not trusted: every length is checked against what is left, and description_check follows every number
 * that names something else (a dim, a buffer, a step's operand). After that the structs are safe to walk: the runtime
 * never indexes outside of them, whatever the bytes were. Kernels are code and are trusted.
 *
 * The format is little-endian, without padding: magic number, version, a sum of all that follows, then the fields in
 * the order here; description.c has one list of them for reading and writing. Any change raises DESC_VERSION.
 */
#ifndef RUNTIME_DESCRIPTION_H
#define RUNTIME_DESCRIPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "mp.h"
#include "runtime/abi.h"

#define DESC_MAGIC UINT32_C(0x4473706d)         /* "mpsD" */
enum { DESC_VERSION = 4 };
#define DESC_NONE UINT32_MAX                    /* no such dim, static, ... */

/* ---- dims ------------------------------------------------------------------------------------------------------- */

/* A dim is a quotient of polynomials in the layer's symbols, whose division leaves no remainder. */
typedef struct desc_power { uint32_t symbol, exponent; } desc_power;              /* exponent 1..64 */
typedef struct desc_term { int64_t coef; uint32_t n_powers; desc_power *powers; } desc_term;
typedef struct desc_poly { uint32_t n_terms; desc_term *terms; } desc_poly;       /* no terms: 0 */
typedef struct desc_dim {
    const char *text;           /* in the user's notation: "heads*out" */
    desc_poly num, den;
} desc_dim;

/* A size inside a program: a constant, or a slot of mp_kargs.dim. */
typedef struct desc_size {
    bool is_const;
    int64_t value;              /* is_const */
    uint32_t slot;              /* otherwise */
} desc_size;

/* ---- what a layer shows to its user ----------------------------------------------------------------------------- */

typedef struct desc_static {    /* a static argument */
    const char *name;
    bool real;                  /* otherwise a dim */
    bool has_default, fixed;    /* fixed: given to the compiler (-D); `dim` or `value` is its value */
    int64_t dim;
    double value;               /* real: fixed value or default */
    uint32_t default_dim;       /* dim with a default: its number in dims, else DESC_NONE */
    uint32_t symbol;            /* dim: its symbol, DESC_NONE where no dim mentions it (any more) */
} desc_static;

typedef struct desc_value {     /* an input, a param, an output */
    const char *name;
    bool param, none, differentiable;       /* an input: it has a gradient; an output: a cotangent */
    mp_domain domain;
    mp_type type;
    uint32_t rows;              /* mp_rows_kind: ROWS_ONE .. ROWS_GRAPHS */
    uint32_t rank;              /* <= MP_MAX_RANK */
    uint32_t dims[MP_MAX_RANK]; /* numbers in dims */
    uint32_t range;             /* MP_INDEX: its R in dims, else DESC_NONE */
    mp_init init;               /* params */
} desc_value;

typedef struct desc_division { uint32_t num, den; } desc_division;               /* must leave no remainder */
typedef struct desc_check { uint32_t dim; int64_t least; const char *what; } desc_check;  /* "axis 0 of z": dim >= least */

typedef enum desc_need_kind { DESC_NEED_SQUARE, DESC_NEED_DEGREES, DESC_NEED_KINDS } desc_need_kind;
typedef struct desc_need { uint32_t kind; const char *name; } desc_need;

/* ---- programs --------------------------------------------------------------------------------------------------- */

typedef enum desc_elem { DESC_F64, DESC_F32, DESC_F16, DESC_BF16, DESC_I64, DESC_I32, DESC_BOOL, DESC_ELEMS } desc_elem;
static inline uint32_t desc_elem_size(desc_elem e)
{
    return e == DESC_F64 || e == DESC_I64 ? 8 : e == DESC_F32 || e == DESC_I32 ? 4 : e == DESC_BOOL ? 1 : 2;
}

typedef struct desc_buffer {
    uint32_t kind;              /* mp_buffer_kind */
    uint32_t index;             /* of the input, output, graph array, pair structure, saved value, buffer */
    uint32_t type;              /* desc_elem */
    mp_rows rows;
    desc_size elems;            /* elements a row */
    bool walk_order;            /* of edge rows alone: position in the incoming walk, not number in the edge list */
    bool sequence;              /* an array of `slots` such arrays, each from a multiple of 64 bytes on */
    uint32_t entries;           /* mp_entries; of those between, `index` is the sequence of those apart */
    desc_size slots;
    uint32_t first, last;       /* BUF_WORK, BUF_GRADIENT: steps between which it is alive; written first by `first` */
    const char *name;
} desc_buffer;

/* A local in the scratch (or, for an accumulator, in the state of a piece) of a kernel. They lie there in order, each
 * starting at a multiple of 64 bytes: desc_local_bytes, one after the other. */
typedef struct desc_local {
    desc_size elems;
    uint32_t copies;            /* rows of the tile, members of a block; 1 */
    uint32_t type;              /* desc_elem; bools take a byte */
} desc_local;

enum { DESC_LOCAL_ALIGN = 64 };

/* What a kernel does with a buffer of its program. */
enum { DESC_READS = 1, DESC_WRITES = 2 };
typedef struct desc_use { uint32_t buffer, how; } desc_use;

typedef struct desc_kernel {
    const char *name;
    mp_rows rows;
    mp_fiber fiber;
    uint32_t tile;              /* rows a tile, >= 1 */
    uint32_t row_cost;          /* in members */
    uint32_t entry;             /* in mp_module_v1.kernels */
    uint32_t n_uses, n_scratch, n_state;
    desc_use *uses;
    desc_local *scratch;        /* all locals */
    desc_local *state;          /* the accumulators, one copy of each */
} desc_kernel;

typedef struct desc_step { uint32_t kind, a, b; bool at_prepare; } desc_step;     /* mp_step_kind; outside of loops only */

typedef struct desc_pairs {
    mp_fiber base;              /* FIBER_IN, OUT, GRAPH_DST, GRAPH_EDGE or ALL */
    uint32_t index_buffer;      /* int32 */
    desc_size range;
} desc_pairs;

typedef struct desc_loop {
    const char *name;           /* of its first state */
    desc_size limit;
    bool until;
    uint32_t tol_buffer, change_buffer;     /* until: f64, one row of one element */
    uint32_t again;             /* 0; 1: it runs again what led to an entry of sequences, that of the step of the loop around it;
                                   2: of the step as far from that loop's last */
    uint32_t count_buffer;      /* 1 + the buffer of the number of steps, as above, or 0 */
    uint32_t steps_buffer;      /* 1 + the buffer that gets the number of steps, as above, or 0 */
} desc_loop;

/* FORWARD makes the outputs, without training. TRAIN makes the outputs and the saved values; BACKWARD reads inputs,
 * outputs, saved values and cotangents, and makes gradients. These two come together or not at all. */
typedef struct desc_replay {    /* a state of a loop that runs again */
    uint32_t loop;
    uint32_t kept, made;        /* sequences: the states apart, those between */
    uint32_t cur, next;         /* slots, in its step */
    uint32_t value;             /* a slot, in the step around: the state that was asked for */
} desc_replay;

typedef enum desc_program_kind { DESC_FORWARD, DESC_TRAIN, DESC_BACKWARD, DESC_PROGRAM_KINDS } desc_program_kind;

typedef struct desc_program {
    uint32_t kind;              /* desc_program_kind; at most one of each */
    uint32_t n_slots, n_buffers, n_kernels, n_steps, n_pairs, n_loops, n_replays;
    uint32_t *slots;            /* mp_kargs.dim: numbers in the layer's dims */
    desc_buffer *buffers;
    desc_kernel *kernels;
    desc_step *steps;
    desc_pairs *pairs;
    desc_loop *loops;
    desc_replay *replays;
} desc_program;

typedef struct desc_layer {
    const char *name;
    uint32_t n_saved;           /* values that TRAIN leaves for BACKWARD */
    uint32_t n_statics, n_symbols, n_dims, n_divisions, n_checks, n_inputs, n_outputs, n_needs, n_programs;
    desc_static *statics;
    const char **symbols;       /* names */
    desc_dim *dims;
    desc_division *divisions;
    desc_check *checks;
    desc_value *inputs, *outputs;       /* in the order of the source text */
    desc_need *needs;
    desc_program *programs;
} desc_layer;

typedef struct desc_module {
    uint32_t n_layers;
    desc_layer *layers;
} desc_module;

/* ---- reading and writing ---------------------------------------------------------------------------------------- */

/* The bytes, malloc'ed: the caller frees them. False when there is no memory or more than 4 GiB. Nothing is checked. */
bool description_write(const desc_module *m, void **bytes, size_t *n_bytes);

/* Puts the sum into bytes that were changed after they were written. Nothing is done to fewer than a head's. */
void description_seal(void *bytes, size_t n_bytes);

typedef struct description description;         /* what was read, with its memory */
typedef enum desc_result { DESC_OK, DESC_BAD, DESC_OTHER_VERSION, DESC_NO_MEMORY } desc_result;

/* Reads and checks. Nothing of `bytes` is needed afterwards. `why` (at least 128 bytes) says what is wrong. */
enum { DESC_WHY = 160 };
desc_result description_read(const void *bytes, size_t n_bytes, uint64_t n_kernels, description **out, char why[DESC_WHY]);
const desc_module *description_module(const description *d);
void description_free(description *d);

/* The check by itself, for a compiler that wants to know before it writes. */
bool description_check(const desc_module *m, uint64_t n_kernels, char why[DESC_WHY]);

/* The program of a kind, or NULL. */
const desc_program *desc_find_program(const desc_layer *l, desc_program_kind kind);

/* ---- dims at given values --------------------------------------------------------------------------------------- */

typedef enum desc_why { DESC_FINE, DESC_UNBOUND, DESC_OVERFLOW, DESC_REMAINDER, DESC_ZERO_DIVISOR } desc_why;

/* value[s] of symbol s, valid where known[s]. */
desc_why desc_dim_eval(const desc_dim *d, const int64_t *value, const bool *known, int64_t *out);
/* The solution of "d == v" for the one symbol that has no value. SOLVE_UNKNOWN: several have none, or d is not linear in
 * it; SOLVE_IMPOSSIBLE: no integer is a solution. */
typedef enum desc_solve { SOLVE_FOUND, SOLVE_UNKNOWN, SOLVE_IMPOSSIBLE } desc_solve;
desc_solve desc_dim_solve(const desc_dim *d, int64_t v, const int64_t *value, const bool *known, uint32_t *symbol,
                          int64_t *out);
/* "overflows 64 bits", ... */
const char *desc_why_text(desc_why why);

#endif
