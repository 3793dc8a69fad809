/* The command line as data: which command, which file, which options. The table is options.def. */
#ifndef MPC_DRIVER_OPTIONS_H
#define MPC_DRIVER_OPTIONS_H

#include "compiler/driver/compile.h"
#include "compiler/support/vec.h"

typedef enum cli_command { CMD_COMPILE, CMD_RUN, CMD_BENCH, CMD_CHECK, CMD_FMT, CMD_EXPLAIN } cli_command;

typedef struct named_file { char *name; const char *file; } named_file;    /* NAME=FILE; name owned; NULL: a folder for all */

typedef struct cli_options {
    cli_command command;
    const char *input;
    const char *output, *emit, *header;
    bool wants_header, depends, debug, time, no_cache, json, train, tf32, backward, in_place, check, verbose, help, version;
    bool cpu, cuda;
    int level;
    sem_elem real;
    const char *layer, *graph, *weight, *grad;
    bool warn_all, warn_error, verify, color;
    int threads;                                /* 0: as many as there are */
    uint64_t seed;
    double min_time;
    VEC(const char *) defines;
    VEC(const char *) arch;
    VEC(named_file) in;
    VEC(named_file) out;
    VEC(named_file) cotangents;
    VEC(named_file) grad_out;
} cli_options;

/* False with a line in err: wrong usage. What argv holds is borrowed. */
bool options_parse(int argc, char **argv, cli_options *o, char *err, size_t err_size);
void options_free(cli_options *o);
void options_help(const cli_options *o, buf *out);

compile_options options_compile(const cli_options *o);

#endif
