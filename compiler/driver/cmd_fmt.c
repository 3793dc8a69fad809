/* mpc fmt FILE: the program in the one layout. */
#include <stdlib.h>
#include <string.h>

#include "compiler/driver/cli.h"

static exit_status put(const cli_options *o, const file_text *f, const buf *out)
{
    bool same = out->n == f->n && (!f->n || memcmp(out->at, f->text, f->n) == 0);
    if (o->check)
        return same ? EXIT_DONE : cli_fail(EXIT_WRONG, "%s: not in the layout of mpc fmt", o->input);
    if (o->in_place && same)
        return EXIT_DONE;
    return cli_write(o->in_place ? o->input : o->output, out->at ? out->at : "", out->n);
}

exit_status cmd_fmt(const cli_options *o)
{
    file_text f;
    exit_status st = cli_read(o->input, &f);
    if (st != EXIT_DONE)
        return st;
    compile_options co = options_compile(o);
    compilation *c = compile_new(&co);
    buf out = buf_make(NULL);
    if (!c)
        st = cli_fail(EXIT_SYSTEM, "out of memory");
    else if ((st = cli_status(compile_format(c, f.name, f.text, f.n, &out))) != EXIT_DONE)
        cli_messages(c);
    else
        st = out.failed ? cli_fail(EXIT_SYSTEM, "out of memory") : put(o, &f, &out);
    buf_free(&out);
    compile_free(c);
    free(f.text);
    return st;
}
