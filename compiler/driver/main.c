/* mpc, the command. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "compiler/driver/cli.h"
#include "compiler/driver/version.h"

static exit_status say_version(void)
{
    printf("mpc " MPC_COMPILER_VERSION "\ntargets: cpu (LLVM %s)\n", MPC_LLVM_VERSION);
    return fflush(stdout) == 0 ? EXIT_DONE : EXIT_SYSTEM;
}

static exit_status say_help(const cli_options *o)
{
    buf text = buf_make(NULL);
    options_help(o, &text);
    exit_status st = cli_write(NULL, buf_text(&text), text.n);
    buf_free(&text);
    return st;
}

static exit_status dispatch(const cli_options *o)
{
    if (o->help)
        return say_help(o);
    if (o->version)
        return say_version();
    switch (o->command) {
    case CMD_COMPILE: return cmd_compile(o);
    case CMD_RUN: return cmd_run(o);
    case CMD_BENCH: return cmd_bench(o);
    case CMD_CHECK: return cmd_check(o);
    case CMD_FMT: return cmd_fmt(o);
    case CMD_EXPLAIN: return cmd_explain(o);
    }
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    cli_options o;
    char err[512];
    if (!options_parse(argc, argv, &o, err, sizeof err)) {
        cli_fail(EXIT_USAGE, "%s", err);
        fputs("mpc --help tells more\n", stderr);
        options_free(&o);
        return EXIT_USAGE;
    }
    exit_status st = dispatch(&o);
    options_free(&o);
    errno = 0;
    bool written = fflush(stdout) == 0 && !ferror(stdout);      /* before exit() would lose what could not be written */
    if (!written && st == EXIT_DONE)
        st = cli_fail(EXIT_SYSTEM, "cannot write to standard output: %s", errno ? strerror(errno) : "an earlier write failed");
    return (int)st;
}
