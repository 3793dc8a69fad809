/* What the commands share: exit statuses, reading the program, reporting. Only these files know stdout and stderr. */
#ifndef MPC_DRIVER_CLI_H
#define MPC_DRIVER_CLI_H

#include "compiler/driver/options.h"
#include "mp.h"

typedef enum exit_status { EXIT_DONE = 0, EXIT_WRONG = 1, EXIT_USAGE = 2, EXIT_SYSTEM = 3 } exit_status;

exit_status cmd_compile(const cli_options *o);
exit_status cmd_run(const cli_options *o);
exit_status cmd_bench(const cli_options *o);
exit_status cmd_check(const cli_options *o);
exit_status cmd_fmt(const cli_options *o);
exit_status cmd_explain(const cli_options *o);

/* Prints "mpc: error: ..." and returns the status. */
exit_status cli_fail(exit_status status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same with the context's message. */
exit_status cli_report(mp_context *ctx, mp_status st);
exit_status cli_status(compile_result r);
exit_status cli_exit_of(mp_status st);

/* A file's contents, malloc'ed and followed by a NUL; `-` is standard input. Reports what is wrong. */
typedef struct file_text { char *text; size_t n; const char *name; } file_text;
exit_status cli_read(const char *path, file_text *out);
bool cli_is_library(const file_text *f);        /* a shared library rather than text */

/* Are the names of --arch known? */
exit_status cli_check_arch(const cli_options *o);

/* Prints what there is to say about a compilation, and with --time how long it took. */
void cli_messages(compilation *c);
void cli_time(const cli_options *o, const compilation *c);

/* Writes a file whole or not at all; `-` or NULL is standard output. Reports. */
exit_status cli_write(const char *path, const char *bytes, size_t n);

/* Files that appear together or not at all: written under temporary names, then renamed. */
typedef struct pending_file { char *temporary; const char *path; bool renamed; } pending_file;
typedef struct pending { VEC(pending_file) files; } pending;
/* A temporary name beside `path`, to be written to; NULL without memory. What cannot be renamed (a device, a pipe) is
 * its own. Owned by `p`. */
const char *pending_add(pending *p, const char *path);
exit_status pending_finish(pending *p, bool keep);              /* renames all or removes all; reports */

void cli_json_string(buf *out, const char *s);
void cli_json_number(buf *out, double x);       /* null for what JSON lacks */

double cli_now_ms(void);

#endif
