/* CUDA C from standard input to a cubin, which is thrown away; ptxas' words about each kernel go to standard output.
 *
 *     cubin_tool ARCH NAME
 *
 * Status 77: there is no NVRTC. */
#include <stdio.h>

#include "codegen/cuda/nvrtc.h"

int main(int argc, char **argv)
{
    char err[300], chunk[4096];
    nvrtc room;
    const nvrtc *n = nvrtc_open(&room, err, sizeof err);
    if (argc != 3 || !n) {
        fprintf(stderr, "%s\n", argc != 3 ? "usage: cubin_tool ARCH NAME" : err);
        return argc != 3 ? 2 : 77;
    }
    buf text = buf_make(NULL), out = buf_make(NULL), log = buf_make(NULL);
    for (size_t got; (got = fread(chunk, 1, sizeof chunk, stdin)) > 0;)
        buf_write(&text, chunk, got);
    nvrtc_options o = {.arch = argv[1], .verbose = true};
    bool ok = nvrtc_build(n, buf_text(&text), argv[2], &o, &out, &log) && out.n > 0 && !text.failed;
    fputs(buf_text(&log), stdout);
    buf_free(&text);
    buf_free(&out);
    buf_free(&log);
    return ok ? 0 : 1;
}
