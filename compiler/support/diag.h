/*
 * Diagnostics: collected by the stages, printed by whoever holds the context.
 *
 *     diag *d = diag_error(ds, DIAG_SHAPE, op_span, "cannot multiply %s by %s", l, r);
 *     diag_mark(d, left->span); diag_mark(d, right->span);      // underlined beside the ^
 *     diag_help(d, "to repeat the left along the last axis, write %s[:, None]", text);
 *
 * Text is one sentence in the user's terms, lower case, no full stop, names between `...` where they could
 * be taken for words. Of several errors at one place the first stands, the others are dropped: so a stage
 * need not know what another has reported. diag_error never returns NULL: what is added to a dropped one
 * goes nowhere.
 */
#ifndef MPC_SUPPORT_DIAG_H
#define MPC_SUPPORT_DIAG_H

#include "compiler/support/buf.h"
#include "compiler/support/map.h"
#include "compiler/support/span.h"

/* The class of an error, in brackets in its text. Warnings have names of their own. */
typedef enum diag_class {
    DIAG_SYNTAX, DIAG_NAME, DIAG_TYPE, DIAG_SHAPE, DIAG_DOMAIN, DIAG_STATIC, DIAG_VALUE, DIAG_LIMIT,
    DIAG_UNUSED, DIAG_PRECISION,                 /* of warnings */
    DIAG_N_CLASSES
} diag_class;

typedef enum diag_severity { DIAG_ERROR, DIAG_WARNING } diag_severity;

enum { DIAG_MAX_PRINTED = 20, DIAG_MAX_KEPT = 1000, DIAG_MAX_MARKS = 4 };

typedef struct diag_note {
    struct diag_note *next;
    bool is_help;                                /* a likely mend; otherwise a remark */
    bool placed;
    span at;                                     /* when placed */
    const char *text;
} diag_note;

typedef struct diag {
    diag_severity severity;
    diag_class class;
    bool dropped;                                /* not in the list */
    span at;                                     /* its first byte is the position that is reported */
    span marks[DIAG_MAX_MARKS];                  /* operands, in the order of diag_mark */
    uint32_t n_marks;
    const char *text;
    diag_note *notes, **last_note;
    uint32_t order;                              /* of reporting; decides between equal places */
    struct diags *in;
} diag;

typedef struct diags {
    arena *a;
    const source_set *sources;
    VEC(diag *);                                 /* sorted by diags_sort */
    uint32_t n_errors, n_warnings;               /* counted also past DIAG_MAX_KEPT */
    map places;                                  /* of errors and warnings, against repetition */
    diag *sink;                                  /* what dropped ones are written to */
} diags;

diags *diags_new(arena *a, const source_set *sources);

diag *diag_error(diags *ds, diag_class class, span at, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
diag *diag_warning(diags *ds, diag_class class, span at, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
diag *diag_verror(diags *ds, diag_class class, span at, const char *fmt, va_list ap)
    __attribute__((format(printf, 4, 0)));

void diag_mark(diag *d, span operand);
void diag_help(diag *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void diag_note_at(diag *d, span at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void diag_note_plain(diag *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static inline bool diags_failed(const diags *ds) { return ds->n_errors != 0; }

const char *diag_class_name(diag_class class);   /* "shape" */
void diags_sort(diags *ds);                      /* by file and place; errors before warnings at one place */

/* Whether an identifier of the user looks like a misspelling of another: for "did you mean". Distance of at
 * most a third of its length; DIAG_NOT_NEAR otherwise, smaller is nearer. */
enum { DIAG_NOT_NEAR = 1000 };
int diag_name_distance(const char *wrong, const char *known);

typedef struct diag_print_options {
    bool color;
    bool warnings;                               /* print them at all (-Wall) */
    bool warnings_are_errors;                    /* say "error" instead (-Werror) */
} diag_print_options;

/* All of them for people: sorted, at most DIAG_MAX_PRINTED, then a line that counts the rest. */
void diags_print(diags *ds, const diag_print_options *o, buf *out);
void diag_print_one(const diags *ds, const diag *d, const diag_print_options *o, buf *out);
/* One line each, "file:line:col: error[class]: text", without the source: for tests and editors. */
void diags_print_short(diags *ds, const diag_print_options *o, buf *out);

#endif
